/**
 * What a rule sees of a message and what its action changes: the contract between the filters, which know nothing of AMQP, and
 * the stored bytes, which alone hold the properties. Values have their exact AMQP types, so that nothing is rounded.
 *
 * A filter reads the properties that it names and no others; what was read is kept for the next filter of the same message.
 */
import type { AmqpValue } from "../../../AmqpValue.ts"

/**
 * A message, as rules read it. Names are in lower case, and match those of the message whatever their case is (Service Bus,
 * SQL filter syntax: property names are case-insensitive).
 *
 * @category models
 */
export interface FilterMessage {
  /** A system property by one of the names that `systemNameOf` gives; null or undefined where the message has none. */
  system(name: SystemName): AmqpValue
  /** An application property; undefined where the message has none of that name, null where its value is null. */
  property(name: string): AmqpValue
  /** Its name as the message spells it; undefined where it has none. */
  spelling(name: string): string | undefined
}

/**
 * What an action did. A value replaces the one before or is new; undefined has the property removed. Application properties
 * go by the name that the message has, system properties by one of `settableNames`.
 *
 * @category models
 */
export interface Changes {
  readonly properties: ReadonlyMap<string, AmqpValue>
  readonly system: ReadonlyMap<SettableName, AmqpValue>
}

/** The system properties that an action may set. @category models */
export type SettableName = (typeof settableNames)[number]

/**
 * The same, in lower case and by the older of their two names, as filters have them.
 *
 * @category constants
 */
export const settableNames = [
  "contenttype",
  "correlationid",
  "label",
  "messageid",
  "partitionkey",
  "replyto",
  "replytosessionid",
  "scheduledenqueuetimeutc",
  "sessionid",
  "timetolive",
  "to",
  "viapartitionkey"
] as const

/** Those that an action may read, as it may those before. */
const readableNames = [
  "deadlettersource",
  "deliverycount",
  "enqueuedsequencenumber",
  "enqueuedtimeutc",
  "expiresatutc",
  "forcepersistence",
  "lockeduntilutc",
  "locktoken",
  "sequencenumber",
  "size",
  "state"
] as const

/** The system properties that there are. @category models */
export type SystemName = SettableName | (typeof readableNames)[number]

const systemNames: ReadonlySet<string> = new Set([...settableNames, ...readableNames])

const aliases: ReadonlyMap<string, string> = new Map([
  ["subject", "label"],
  ["transactionpartitionkey", "viapartitionkey"],
  ["scheduledenqueuetime", "scheduledenqueuetimeutc"],
  ["enqueuedtime", "enqueuedtimeutc"],
  ["expiresat", "expiresatutc"],
  ["lockeduntil", "lockeduntilutc"]
])

/**
 * A system property as messages know it: its name in lower case, and in .NET's older form where the newer client has another
 * (Service Bus, filter examples: filters take the names of ServiceBusMessage, whose Subject is the Label of Message). Undefined
 * where there is none of that name.
 *
 * @category conversions
 */
export const systemNameOf = (name: string): SystemName | undefined => {
  const lower = name.toLowerCase()
  const known = aliases.get(lower) ?? lower
  return systemNames.has(known) ? known as SystemName : undefined
}

/** The same, where an action may set it. @category conversions */
export const settableNameOf = (name: string): SettableName | undefined => {
  const known = systemNameOf(name)
  return settableNames.find((each) => each === known)
}

/** A rule could not be evaluated for a message: what the service calls a FilterException. @category errors */
export class FilterError extends Error {
  override readonly name = "FilterException"
}

/**
 * Why a rule is refused, in the service's words. `line` counts from 1 and `column` from 0, as the service's do; they are not
 * there where the problem has no place.
 *
 * @category errors
 */
export interface RuleProblem {
  readonly part: "filter" | "action"
  readonly message: string
  readonly line?: number | undefined
  readonly column?: number | undefined
}
