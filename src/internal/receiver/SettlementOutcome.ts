/**
 * From settlements as data to what is written: checked as messages are, before anything is on the wire.
 *
 * Reason and description of a dead letter are cut to what the service takes, for whoever dead-letters with a stack trace wants
 * the message out of the way, not an error.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { InvalidOptionError, MessageEncodeError } from "../../ServiceBusError.ts"
import * as Settlement from "../../Settlement.ts"
import { accepted, type Outcome } from "../amqp/codec/Outcome.ts"
import { Writer } from "../amqp/codec/Writer.ts"
import * as MessageEncoder from "../message/MessageEncoder.ts"

/** The outcome of `Settlement.abandon`. */
export const abandoned: Extract<Outcome, { readonly _tag: "Modified" }> = {
  _tag: "Modified",
  deliveryFailed: true,
  undeliverableHere: false
}

/** The most characters of a dead letter's reason, and of its description (.NET's client holds it too). */
export const maxTextLength = 4096

/** A settlement as it is written. */
export interface Written {
  /** With the texts that are written; its properties are a copy, which nobody changes meanwhile. */
  readonly settlement: Settlement.Settlement
  readonly outcome: Outcome
  /** What was cut. */
  readonly cut: ReadonlyArray<"reason" | "description">
}

const scratch = new Writer()

const none: ReadonlyArray<never> = []

const completed: Written = { settlement: Settlement.complete, outcome: accepted, cut: none }

/** The AMQP outcome of a settlement (Service Bus protocol guide). What is no settlement is refused too. */
export const written = (
  entity: ServiceBusEntity.Any,
  settlement: Settlement.Settlement
): Result.Result<Written, MessageEncodeError | InvalidOptionError> => {
  if (settlement === Settlement.complete) return Result.succeed(completed)
  try {
    return Settlement.isSettlement(settlement)
      ? Result.succeed(writtenOf(settlement))
      : Result.fail(
        new InvalidOptionError({
          entity: entity.path,
          operation: "settle",
          option: "settlement",
          expected: `a value that Settlement makes; it is ${MessageEncoder.kindOf(settlement)}`
        })
      )
  } catch (error) {
    const { description, part } = MessageEncoder.problemOf("settlement", error)
    return Result.fail(new MessageEncodeError({ entity: entity.path, operation: "settle", part, description }))
  } finally {
    scratch.reset()
  }
}

const writtenOf = (settlement: Settlement.Settlement): Written => {
  switch (settlement._tag) {
    case "Complete":
      return completed
    case "Abandon": {
      const annotations = propertiesOf(settlement.properties)
      const outcome: Outcome = annotations === undefined ? abandoned : { ...abandoned, annotations }
      return { settlement: { _tag: "Abandon", properties: annotations }, outcome, cut: none }
    }
    case "Defer": {
      const annotations = propertiesOf(settlement.properties)
      return {
        settlement: { _tag: "Defer", properties: annotations },
        outcome: { _tag: "Modified", undeliverableHere: true, annotations },
        cut: none
      }
    }
    case "DeadLetter": {
      const cut: Array<"reason" | "description"> = []
      const reason = textOf("reason", settlement.reason, cut)
      const description = textOf("description", settlement.description, cut)
      const properties = propertiesOf(settlement.properties)
      return {
        settlement: { _tag: "DeadLetter", reason, description, properties },
        outcome: {
          _tag: "Rejected",
          error: {
            condition: "com.microsoft:dead-letter",
            info: {
              ...properties,
              ...(reason === undefined ? {} : { DeadLetterReason: reason }),
              ...(description === undefined ? {} : { DeadLetterErrorDescription: description })
            }
          }
        },
        cut
      }
    }
    // Once its copy is accepted.
    case "RetryAfter":
      return { settlement: { _tag: "RetryAfter", delay: delayOf(settlement) }, outcome: accepted, cut: none }
  }
}

/** What is neither a duration nor a schedule is refused as an infinite duration is. */
const delayOf = ({ delay }: Settlement.RetryAfter): Settlement.RetryAfter["delay"] => {
  try {
    return Duration.isDuration(delay) || Schedule.isSchedule(delay) ? delay : Duration.infinity
  } catch {
    return Duration.infinity
  }
}

/** A text as it is written; it counts as a property does. */
const textOf = <const Part extends string>(
  part: Part,
  value: string | undefined,
  cut: Array<Part>
): string | undefined => {
  if (value === undefined) return undefined
  if (typeof value !== "string") return MessageEncoder.refuse(part, "it must be a string")
  const text = cutText(value)
  if (text.length < value.length) cut.push(part)
  MessageEncoder.encodePart(part, () => scratch.string(text))
  return text
}

/** As much of a text as the service takes, and no half of a surrogate pair at its end. */
export const cutText = (text: string): string => {
  if (text.length <= maxTextLength) return text
  const last = text.charCodeAt(maxTextLength - 1)
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? maxTextLength - 1 : maxTextLength)
}

const propertiesOf = (properties: Settlement.Properties | undefined): Settlement.Properties | undefined => {
  if (properties === undefined) return undefined
  const own: Settlement.Properties = { ...MessageEncoder.entriesOf("properties", properties) }
  MessageEncoder.checkSettlement(scratch, own)
  return own
}

/** What can be written of a dead letter that cannot be written as it is, and the names of what is left out or changed. */
export const writable = (
  { description, properties, reason }: Settlement.DeadLetter
): { readonly settlement: Settlement.Settlement; readonly omitted: ReadonlyArray<string> } => {
  const omitted: Array<string> = []
  const kept: Record<string, Settlement.Properties[string]> = {}
  const textual = (part: string, value: unknown): string | undefined => {
    if (value === undefined) return undefined
    const text = typeof value === "string" ? cutText(value.toWellFormed()) : undefined
    if (text !== value) omitted.push(part)
    if (text !== undefined) scratch.string(text)
    return text
  }
  scratch.reset()
  const texts = { reason: textual("reason", reason), description: textual("description", description) }
  try {
    for (const key of Object.keys(properties === undefined ? {} : MessageEncoder.entriesOf("properties", properties))) {
      const before = scratch.length
      try {
        const value = properties![key]
        MessageEncoder.checkSettlement(scratch, { [key]: value })
        kept[key] = value
      } catch {
        scratch.truncate(before)
        omitted.push(`properties "${key.toWellFormed()}"`)
      }
    }
  } catch {
    omitted.push("properties")
  }
  scratch.reset()
  return { settlement: Settlement.deadLetter({ ...texts, properties: kept }), omitted }
}

/** Says what was cut of a settlement, once for all of its messages. */
export const warnOfCut = (entity: string, { cut }: Written): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWarning(
      `The ${cut.join(" and the ")} of a dead letter had more than ${maxTextLength} characters and was cut to that`
    ),
    { entity }
  )

/** The same for settlements that are equal. Values of properties are not compared: those stand for themselves. */
export const keyOf = (settlement: Settlement.Settlement): unknown => {
  try {
    return keyOfSettlement(settlement)
  } catch {
    // What user code gives may be anything.
    return settlement
  }
}

const keyOfSettlement = (settlement: Settlement.Settlement): unknown => {
  switch (settlement._tag) {
    case "Complete":
      return settlement._tag
    case "Abandon":
    case "Defer":
      return settlement.properties === undefined ? settlement._tag : settlement
    case "DeadLetter": {
      const { description, properties, reason } = settlement
      return properties === undefined && isText(reason) && isText(description)
        ? JSON.stringify([reason ?? null, description ?? null])
        : settlement
    }
    case "RetryAfter":
      return Duration.isDuration(settlement.delay) ? Duration.toMillis(settlement.delay) : settlement.delay
    default:
      return settlement
  }
}

const isText = (value: unknown): boolean => value === undefined || typeof value === "string"
