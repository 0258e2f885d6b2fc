/**
 * Options of receiving, those that are in range, and the error of those that are not. Public declarations name the types: nothing
 * is imported here whose own declarations need more than Effect's.
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { InvalidOptionError } from "../ServiceBusError.ts"
import { toMillis } from "./duration.ts"

/** What becomes of a message whose bytes or body cannot be decoded. */
export type Undecodable = "deadLetter" | "abandon" | "fail"

/**
 * How much to receive, and how long to wait for it.
 *
 * @category models
 */
export interface ReceiveOptions {
  /** The most messages to give, 1 to 5000. 1 by default. */
  readonly max?: number | undefined
  /**
   * How long to wait for the first message, 60 seconds by default: whatever keeps it away, also another call of this receiver,
   * a service that throttles the client, or a link that is attached again (which goes on, for the next call). The latter two may
   * take a second in any case. Where tries failed until then, the last one's error is the answer.
   */
  readonly maxWait?: Duration.Input | undefined
  /** How long to wait for more after the first one; by default not at all: what the broker has by then is given. */
  readonly maxWaitAfterFirst?: Duration.Input | undefined
}

/**
 * What to look at.
 *
 * @category models
 */
export interface PeekOptions {
  /** The most messages to give, 1 to 5000. 1 by default, for `browse` 100 per request. */
  readonly max?: number | undefined
  /** The sequence number to begin with. By default the first message there is. */
  readonly from?: bigint | undefined
}

/**
 * What to look at, without decoding bodies.
 *
 * @category models
 */
export interface PeekRawOptions extends PeekOptions {
  /** Has the broker leave the bodies out, where it knows how; it sends them otherwise. They are sent by default. */
  readonly omitBody?: boolean | undefined
}

/**
 * What to delete.
 *
 * @category models
 */
export interface DeleteOptions {
  /** Only messages that were enqueued before this time; before now by default. */
  readonly before?: DateTime.Utc | undefined
  /**
   * The most messages of one request, 1 or more. The service has an upper bound of its own, and refuses what is above: 4000
   * in the Premium tier and 500 elsewhere as of today.
   */
  readonly max?: number | undefined
}

/** The most messages that one call gives, and the widest window (what one session may hold comfortably). */
export const most = 5000

export const isCount = (value: number, least = 1): boolean => Number.isInteger(value) && value >= least && value <= most

/** Sequence numbers are longs. */
export const isSequenceNumber = (value: unknown): value is bigint =>
  typeof value === "bigint" && value >= 0n && value < 2n ** 63n

export const outOfRange = (entity: string, option: string, expected: string): InvalidOptionError =>
  new InvalidOptionError({ entity, option, expected })

/** How many there may be. */
export const count = (
  entity: string,
  option: string,
  value: number,
  least = 1
): Result.Result<number, InvalidOptionError> =>
  isCount(value, least)
    ? Result.succeed(value)
    : Result.fail(outOfRange(entity, option, `an integer from ${least} to ${most}`))

/** How long to wait, in milliseconds. */
export const wait = (
  entity: string,
  option: string,
  input: Duration.Input
): Result.Result<number, InvalidOptionError> => {
  const millis = toMillis(input)
  return millis >= 0 ? Result.succeed(millis) : Result.fail(outOfRange(entity, option, "a duration of 0 or more"))
}

/** How the locks of a receiver are renewed. */
export const renewalOf = (
  entity: string,
  options: { readonly renewalBatch?: number | undefined; readonly renewalMargin?: number | undefined } | undefined
): Result.Result<{ readonly batch: number; readonly margin: number | undefined }, InvalidOptionError> => {
  const { renewalBatch: batch = 1, renewalMargin: margin } = options ?? {}
  const counted = count(entity, "renewalBatch", batch)
  if (Result.isFailure(counted)) return Result.fail(counted.failure)
  return margin === undefined || typeof margin === "number" && margin > 0 && margin < 1
    ? Result.succeed({ batch, margin })
    : Result.fail(outOfRange(entity, "renewalMargin", "a number above 0 and below 1"))
}

/** The policy that was given, or that of nobody's choice. */
export const undecodable = (
  entity: string,
  value: Undecodable | undefined
): Result.Result<Undecodable, InvalidOptionError> =>
  value === undefined || value === "deadLetter" || value === "abandon" || value === "fail"
    ? Result.succeed(value ?? "deadLetter")
    : Result.fail(outOfRange(entity, "undecodable", `"deadLetter", "abandon" or "fail"`))
