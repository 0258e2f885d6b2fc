/**
 * The AMQP outcome of a settlement, checked as messages are, before anything is on the wire.
 *
 * Reason and description of a dead letter are truncated to what the service takes: a caller that dead-letters with a stack
 * trace wants the message out of the way, not an error.
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import { InvalidOptionError, MessageEncodeError } from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import * as Settlement from "../../Settlement.ts"
import { accepted, type Outcome } from "../amqp/codec/Outcome.ts"
import { Writer } from "../amqp/codec/Writer.ts"
import * as MessageEncoder from "../message/MessageEncoder.ts"
import { type EventReporter, subjectOf } from "../telemetry/EventReporter.ts"

/** The outcome of `Settlement.abandon`. */
export const abandoned: Extract<Outcome, { readonly _tag: "Modified" }> = {
  _tag: "Modified",
  deliveryFailed: true,
  undeliverableHere: false
}

/** The most characters of a dead letter's reason, and of its description (.NET's client holds it too). */
const maxTextLength = 4096

/** A settlement and its outcome. */
export interface SettlementOutcome {
  /** With the texts that are written; its properties are a copy, which cannot change meanwhile. */
  readonly settlement: Settlement.Settlement
  readonly outcome: Outcome
  /** Which texts were truncated. */
  readonly truncated: ReadonlyArray<"reason" | "description">
}

const scratch = new Writer()

const none: ReadonlyArray<never> = []

const completed: SettlementOutcome = { settlement: Settlement.complete, outcome: accepted, truncated: none }

/** The AMQP outcome of a settlement (Service Bus protocol guide). What is no settlement is refused too. */
export const make = (
  entity: ServiceBusEntity.Any,
  settlement: Settlement.Settlement
): Result.Result<SettlementOutcome, MessageEncodeError | InvalidOptionError> => {
  if (settlement === Settlement.complete) return Result.succeed(completed)
  try {
    return Settlement.isSettlement(settlement)
      ? Result.succeed(outcomeOf(settlement))
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

const outcomeOf = (settlement: Settlement.Settlement): SettlementOutcome => {
  switch (settlement._tag) {
    case "Complete":
      return completed
    case "Abandon": {
      const annotations = propertiesOf(settlement.properties)
      const outcome: Outcome = annotations === undefined ? abandoned : { ...abandoned, annotations }
      return { settlement: { _tag: "Abandon", properties: annotations }, outcome, truncated: none }
    }
    case "Defer": {
      const annotations = propertiesOf(settlement.properties)
      return {
        settlement: { _tag: "Defer", properties: annotations },
        outcome: { _tag: "Modified", undeliverableHere: true, annotations },
        truncated: none
      }
    }
    case "DeadLetter": {
      const truncated: Array<"reason" | "description"> = []
      const reason = textOf("reason", settlement.reason, truncated)
      const description = textOf("description", settlement.description, truncated)
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
        truncated
      }
    }
    // Once its copy is accepted.
    case "RetryAfter":
      return { settlement: { _tag: "RetryAfter", delay: delayOf(settlement) }, outcome: accepted, truncated: none }
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
  truncated: Array<Part>
): string | undefined => {
  if (value === undefined) return undefined
  if (typeof value !== "string") return MessageEncoder.refuse(part, "it must be a string")
  const text = truncateText(value)
  if (text.length < value.length) truncated.push(part)
  MessageEncoder.encodePart(part, () => scratch.string(text))
  return text
}

/** As much of a text as the service takes, and no half of a surrogate pair at its end. */
export const truncateText = (text: string): string => {
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
export const withoutUnencodable = (
  { description, properties, reason }: Settlement.DeadLetter
): { readonly settlement: Settlement.Settlement; readonly omitted: ReadonlyArray<string> } => {
  const omitted: Array<string> = []
  const kept: Record<string, Settlement.Properties[string]> = {}
  const textual = (part: string, value: unknown): string | undefined => {
    if (value === undefined) return undefined
    const text = typeof value === "string" ? truncateText(value.toWellFormed()) : undefined
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

/** Reports what was truncated, once for all messages of a settlement, which are named where there is one. */
export const reportTruncation = (
  reporter: EventReporter,
  { truncated }: SettlementOutcome,
  messages: ReadonlyArray<LockedMessage<unknown>>
): Effect.Effect<void> =>
  reporter.reportHere({
    _tag: "DeadLetterTruncated",
    message: `The ${
      truncated.join(" and the ")
    } of a dead letter had more than ${maxTextLength} characters and was cut to that`,
    parts: truncated,
    ...(messages.length === 1 ? subjectOf(messages[0]!) : {})
  })

/** The same for settlements that are equal. Values of properties are not compared: those stand for themselves. */
export const groupKeyOf = (settlement: Settlement.Settlement): unknown => {
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
