/**
 * The state of a namespace as one JSON value, and a namespace as such a value says: fixtures that a test loads, and what a test
 * left. A dump is of one instant; what is loaded replaces the entities that it names, all of them or none.
 *
 * A lock is no state: what is locked is dumped as it waits. What a dump gives, loaded into a broker without these entities and
 * dumped again at the same time, is the same value.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EmulatorError } from "../../ServiceBusError.ts"
import type * as Broker from "../broker/Broker.ts"
import * as EntityJson from "./EntityJson.ts"
import * as MessageJson from "./MessageJson.ts"
import * as ValueJson from "./ValueJson.ts"

// By its name alone: taken out of all of Schema it would keep all of Schema in bundles.
const optionalKey = Schema.optionalKey

const remembered = {
  lastSequenceNumber: optionalKey(Schema.String),
  duplicates: optionalKey(Schema.Array(Schema.Struct({
    messageId: Schema.String,
    sequenceNumber: Schema.String,
    until: Schema.String
  })))
}

const held = {
  sessions: optionalKey(Schema.Array(Schema.Struct({
    sessionId: Schema.String,
    state: MessageJson.Content,
    updatedAt: optionalKey(Schema.String)
  }))),
  messages: optionalKey(Schema.Array(MessageJson.Kept)),
  deadLetters: optionalKey(Schema.Array(MessageJson.Kept)),
  transferDeadLetters: optionalKey(Schema.Array(MessageJson.Kept))
}

const { queue, subscription, topic } = EntityJson.fields

/** The state of a namespace, or of a part of it. */
export const Dump = Schema.Struct({
  version: optionalKey(Schema.Literal(1)),
  entities: Schema.Array(Schema.Union([
    Schema.Struct({ ...queue, ...remembered, ...held }).annotate({ identifier: "Queue" }),
    Schema.Struct({ ...topic, ...remembered, messages: held.messages }).annotate({ identifier: "Topic" }),
    Schema.Struct({ ...subscription, lastSequenceNumber: remembered.lastSequenceNumber, ...held }).annotate({
      identifier: "Subscription"
    })
  ]))
}).annotate({ identifier: "Dump" })

export type Dump = typeof Dump.Type

type DumpedEntity = Dump["entities"][number]

/** How much a dump holds at most: messages, and bytes of them as they are stored. */
export const limits = { messages: 100_000, bytes: 64 * 1024 * 1024 }

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

/** The state of entities, in the order in which they are declared; refused where it is more than a dump holds. */
export const dump = (
  broker: Broker.Broker,
  declarations: ReadonlyArray<Broker.Declaration>
): Result.Result<Dump, EmulatorError> => {
  const left = { ...limits }
  const messagesOf = (of: Broker.Queue | undefined): ReadonlyArray<MessageJson.Kept> =>
    of?.messages().map((message) => {
      left.messages -= 1
      left.bytes -= message.payload.length
      if (left.messages < 0 || left.bytes < 0) throw new TooMuch()
      return MessageJson.toJson(message)
    }) ?? []
  const entityOf = (declaration: Broker.Declaration): DumpedEntity => {
    const found = broker.queue(declaration.path)!
    const state = found.state()
    return {
      ...EntityJson.toJson(declaration, found.rules?.list() ?? []),
      ...(state.lastSequenceNumber === 0n ? {} : { lastSequenceNumber: String(state.lastSequenceNumber) }),
      ...nonEmpty(
        "duplicates",
        state.duplicates.map(({ id, sequenceNumber, until }) => ({
          messageId: id,
          sequenceNumber: String(sequenceNumber),
          until: iso(until)
        }))
      ),
      ...nonEmpty(
        "sessions",
        state.sessions.map(({ id, state: bytes, updatedAt }) => ({
          sessionId: id,
          state: MessageJson.contentToJson(bytes),
          updatedAt: iso(updatedAt)
        }))
      ),
      ...nonEmpty("messages", messagesOf(found)),
      ...nonEmpty("deadLetters", messagesOf(found.deadLetterQueue)),
      ...nonEmpty("transferDeadLetters", messagesOf(found.transferDeadLetterQueue))
    } as DumpedEntity
  }
  try {
    return Result.succeed({ version: 1, entities: declarations.map(entityOf) })
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error
    return Result.fail(
      new EmulatorError({
        reason: "quotaExceeded",
        problem:
          `a dump holds ${limits.messages} messages and ${limits.bytes} bytes of them at most; dump fewer entities`
      })
    )
  }
}

class TooMuch extends Error {}

const nonEmpty = (name: string, items: ReadonlyArray<unknown>): Record<string, unknown> =>
  items.length === 0 ? {} : { [name]: items }

const decode = Schema.decodeUnknownResult(Dump)

/** Reads a dump, which may be a value of any kind; the error says where it is none. */
export const read = (given: unknown, now: number): Result.Result<ReadonlyArray<Broker.Loaded>, EmulatorError> => {
  const decoded = decode(given, { onExcessProperty: "error" })
  if (Result.isFailure(decoded)) {
    return invalid(decoded.failure.message.replaceAll(/\s*\n\s*/g, " "))
  }
  try {
    return Result.succeed(
      decoded.success.entities.map((entity, index) => entityOfJson(entity, `entities[${index}]`, now))
    )
  } catch (error) {
    if (!(error instanceof ValueJson.JsonProblem)) throw error
    return invalid(error.message)
  }
}

const invalid = (problem: string) => Result.fail(new EmulatorError({ problem: `it is no dump: ${problem}` }))

const entityOfJson = (json: DumpedEntity, path: string, now: number): Broker.Loaded => {
  const isTopic = json.kind === "topic"
  const requiresSession = !isTopic && json.options?.requiresSession === true
  const { deadLetters = [], transferDeadLetters = [] } = isTopic ? {} : json
  const { messages = [] } = json
  const given = json.lastSequenceNumber === undefined
    ? 0n
    : MessageJson.numberOf(json.lastSequenceNumber, `${path}.lastSequenceNumber`, 0)
  const numbers = new Numbers(given, [...messages, ...deadLetters, ...transferDeadLetters])
  const kept = (name: string, of: ReadonlyArray<MessageJson.Kept>, isDeadLetter = true) =>
    of.map((message, index) => {
      const at = `${path}.${name}[${index}]`
      const place = { isDeadLetter, requiresSession: requiresSession && !isDeadLetter, now }
      const one = MessageJson.toKeep(message, at, { ...place, next: numbers.next(message) })
      numbers.take(one.sequenceNumber, at)
      return one
    })
  const sessions = isTopic ? [] : json.sessions ?? []
  if (sessions.length > 0 && !requiresSession) {
    throw new ValueJson.JsonProblem(`${path}.sessions`, "an entity has sessions where its options say requiresSession")
  }
  const duplicates = json.kind === "subscription" ? [] : json.duplicates ?? []
  if (
    duplicates.length > 0 &&
    (json.options as { duplicateDetectionWindow?: unknown })?.duplicateDetectionWindow === undefined
  ) {
    throw new ValueJson.JsonProblem(`${path}.duplicates`, "an entity has them with a duplicateDetectionWindow")
  }
  const contents = kept("messages", messages, false)
  const dead = {
    deadLetters: kept("deadLetters", deadLetters),
    transferDeadLetters: kept("transferDeadLetters", transferDeadLetters)
  }
  return {
    entity: EntityJson.ofJson(json, path),
    contents: {
      lastSequenceNumber: numbers.last,
      messages: contents,
      sessions: sessions.map(({ sessionId, state, updatedAt }, index) => {
        const at = `${path}.sessions[${index}]`
        return {
          id: sessionId,
          state: MessageJson.contentOfJson(state, `${at}.state`),
          updatedAt: updatedAt === undefined
            ? now
            : DateTime.toEpochMillis(ValueJson.timeOf(updatedAt, `${at}.updatedAt`))
        }
      }),
      duplicates: duplicates.map(({ messageId, sequenceNumber, until }, index) => {
        const at = `${path}.duplicates[${index}]`
        return {
          id: messageId,
          sequenceNumber: MessageJson.numberOf(sequenceNumber, `${at}.sequenceNumber`, 1),
          until: DateTime.toEpochMillis(ValueJson.timeOf(until, `${at}.until`))
        }
      })
    },
    ...dead
  }
}

/** The sequence numbers of an entity: a dead letter keeps the one that it had in it, and no two messages have the same. */
class Numbers {
  last: bigint
  private readonly taken = new Set<bigint>()

  constructor(last: bigint, messages: ReadonlyArray<MessageJson.Kept>) {
    this.last = last
    for (const { sequenceNumber = "" } of messages) {
      const number = /^\d{1,16}$/.test(sequenceNumber) ? BigInt(sequenceNumber) : 0n
      if (number > this.last) this.last = number
    }
  }

  /** The number of a message that has none: after all that there are. */
  next({ sequenceNumber }: MessageJson.Kept): bigint {
    if (sequenceNumber === undefined) this.last += 1n
    return this.last
  }

  take(number: bigint, path: string): void {
    if (this.taken.has(number)) {
      throw new ValueJson.JsonProblem(`${path}.sequenceNumber`, "another message of the entity has it")
    }
    this.taken.add(number)
  }
}
