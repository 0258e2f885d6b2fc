/**
 * Options of receiving that are in range, and the error of those that are not.
 */
import type * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { InvalidOptionError } from "../ServiceBusError.ts"
import { toMillis } from "./duration.ts"

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
