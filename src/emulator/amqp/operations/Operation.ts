/**
 * What an operation of a `$management` node is: its name, the right that it needs, and how it answers a request. How the fields
 * of a request are read is here too: clients write them as maps or objects, arrays or lists.
 *
 * An operation owns nothing. It is called with a connection whose claim on the entity has been checked, answers in the same
 * turn, and either does all that was asked or refuses; a FieldProblem that it throws is answered as a wrong argument.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as AmqpValue from "../../../AmqpValue.ts"
import { fieldOf, itemsOf, longsOf } from "../../../internal/amqp/codec/DecodedValue.ts"
import type { Queue, Refusal } from "../../broker/Queue.ts"
import type { Right } from "../../security/Authorization.ts"
import type { FaultOperation } from "../Faults.ts"
import { type Answer, refuse, type Request } from "../NodeRequest.ts"
import type { ServedConnection } from "../ServedConnection.ts"

/** An operation of a `$management` node. */
export interface Operation {
  /** As it is in a request, such as `com.microsoft:renew-lock`. */
  readonly name: string
  /** The right on the entity that it needs. */
  readonly right: Right
  /** What a fault may call it beside `request` and its name: what it has in common with other ways to do the same. */
  readonly kind?: FaultOperation
  /** Whether a topic has it, though it is not for senders. */
  readonly isForTopics?: boolean
  readonly run: (connection: ServedConnection, queue: Queue, request: Request) => Answer
}

/** The answer of a node that has done what was asked. */
export const ok = (body?: AmqpValue.AmqpValue): Answer => ({ status: 200, description: "OK", body })

/** The answer where there is nothing to give. */
export const noContent: Answer = { status: 204, description: "NoContent" }

/** The answer to what the queue has done, or why it has not. */
export const result = <A>(
  connection: ServedConnection,
  done: Result.Result<A, Refusal>,
  body?: (value: A) => AmqpValue.AmqpValue
): Answer =>
  Result.isFailure(done) ? refuse(connection.namespace.conditions.of(done.failure)) : ok(body?.(done.success))

/** A value, if it is a string. */
export const text = (value: AmqpValue.AmqpValue): string | undefined => typeof value === "string" ? value : undefined

/** A field of a request that is missing, or of a type that it cannot have: the request is answered with 400. */
export class FieldProblem extends Error {}

const wrong = (name: string, expected: string): never => {
  throw new FieldProblem(`${name} must be ${expected}.`)
}

/** A field that may be left out, or be null. */
export const optional = {
  text: (body: AmqpValue.AmqpValue, name: string): string | undefined => {
    const value = fieldOf(body, name) ?? undefined
    return value === undefined || typeof value === "string" ? value : wrong(name, "a string")
  },
  boolean: (body: AmqpValue.AmqpValue, name: string): boolean | undefined => {
    const value = fieldOf(body, name) ?? undefined
    return value === undefined || typeof value === "boolean" ? value : wrong(name, "a boolean")
  }
}

/** A field that must be there. Clients differ in the width of integers, and whether they are signed. */
export const required = {
  text: (body: AmqpValue.AmqpValue, name: string): string => optional.text(body, name) ?? wrong(name, "a string"),
  long: (body: AmqpValue.AmqpValue, name: string): bigint => {
    const value = fieldOf(body, name)
    return typeof value === "bigint"
      ? value
      : Number.isSafeInteger(value)
      ? BigInt(value as number)
      : wrong(name, "a long")
  },
  int: (body: AmqpValue.AmqpValue, name: string, least: number, most = 0x7fffffff): number => {
    const value = fieldOf(body, name)
    const number = typeof value === "bigint" ? Number(value) : value
    return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most
      ? number
      : wrong(name, `an int from ${least} to ${most}`)
  },
  time: (body: AmqpValue.AmqpValue, name: string): number => {
    const value = fieldOf(body, name)
    return DateTime.isDateTime(value) ? DateTime.toEpochMillis(value) : wrong(name, "a timestamp")
  },
  longs: (body: AmqpValue.AmqpValue, name: string): ReadonlyArray<bigint> =>
    longs(fieldOf(body, name)) ?? wrong(name, "an array of long"),
  uuids: (body: AmqpValue.AmqpValue, name: string): ReadonlyArray<string> =>
    uuids(fieldOf(body, name)) ?? wrong(name, "an array of uuid")
}

/** The lock tokens of a request, if it has any. */
export const lockTokensOf = (body: AmqpValue.AmqpValue): ReadonlyArray<string> =>
  uuids(fieldOf(body, "lock-tokens")) ?? []

const uuids = (value: AmqpValue.AmqpValue): ReadonlyArray<string> | undefined => {
  if (AmqpValue.isTyped(value) && value.type === "array" && value.of === "uuid") {
    return value.value as ReadonlyArray<string>
  }
  if (!Array.isArray(value)) return undefined
  const tokens = value.flatMap((item) => AmqpValue.isTyped(item) && item.type === "uuid" ? [String(item.value)] : [])
  return tokens.length === value.length ? tokens : undefined
}

const longs = (value: AmqpValue.AmqpValue): ReadonlyArray<bigint> | undefined => {
  const items = itemsOf(value)
  const numbers = items && longsOf(items)
  return numbers?.length === items?.length ? numbers : undefined
}
