/**
 * Messages over HTTP for whoever looks after a broker: read by pages in both directions, and completed, dead-lettered, deferred
 * or sent again by their sequence numbers. Of several messages each has an outcome of its own: what one is refused stops none of
 * the others.
 *
 * A message that a receiver has locked is the receiver's, and is refused.
 */
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { EmulatorError } from "../../ServiceBusError.ts"
import * as Settlement from "../../Settlement.ts"
import { notTaken } from "../broker/Forwarding.ts"
import type { IncomingMessage, MessageSnapshot, Queue, Refusal } from "../broker/Queue.ts"
import * as MessageJson from "../state/MessageJson.ts"
import * as ValueJson from "../state/ValueJson.ts"
import { schemas as error } from "./ControlProblem.ts"
import { queueOf, withQueue } from "./ControlTarget.ts"
import * as MessageSummary from "./MessageSummary.ts"

const SequenceNumber = MessageJson.SequenceNumber

const State = Schema.Literals(["active", "locked", "deferred", "scheduled"])

const entity = Schema.NonEmptyString

const Page = {
  entity,
  from: Schema.optionalKey(SequenceNumber),
  before: Schema.optionalKey(SequenceNumber),
  max: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 }))),
  state: Schema.optionalKey(State)
}

const Read = Schema.Struct({
  messages: Schema.Array(MessageSummary.Summary),
  hasEarlier: Schema.Boolean,
  hasLater: Schema.Boolean
}).annotate({ identifier: "MessagePage" })

const Chosen = { sequenceNumbers: Schema.Array(SequenceNumber) }

const Outcomes = Schema.Struct({
  outcomes: Schema.Array(Schema.Struct({
    sequenceNumber: SequenceNumber,
    isDone: Schema.Boolean,
    /** Why not. */
    problem: Schema.optionalKey(Schema.String),
    /** The number of what was sent. */
    sentAs: Schema.optionalKey(SequenceNumber)
  }))
}).annotate({ identifier: "Outcomes" })

type Outcome = (typeof Outcomes.Type)["outcomes"][number]

const Resent = Schema.Struct({
  /** Where they go; by default the entity that they are dead letters of, or are in. */
  to: Schema.optionalKey(Schema.NonEmptyString),
  messages: Schema.Array(Schema.Struct({
    sequenceNumber: SequenceNumber,
    /** What is sent in its place. */
    message: Schema.optionalKey(MessageJson.Outgoing)
  }))
})

const chosen = (name: "deleteMessages" | "deferMessages", path: "/messages/delete" | "/messages/defer", text: string) =>
  HttpApiEndpoint.post(name, path, { query: { entity }, payload: Schema.Struct(Chosen), success: Outcomes, error })
    .annotate(OpenApi.Summary, text)

export const group = HttpApiGroup.make("messages", { topLevel: true }).add(
  HttpApiEndpoint.get("pageOfMessages", "/messages/page", { query: Page, success: Read, error })
    .annotate(
      OpenApi.Summary,
      "A page of messages in a line each, from a sequence number on or the last ones before one"
    ),
  chosen("deleteMessages", "/messages/delete", "Complete messages, and take back those that are scheduled"),
  chosen("deferMessages", "/messages/defer", "Defer messages that wait"),
  HttpApiEndpoint.post("deadLetterMessages", "/messages/dead-letter", {
    query: { entity },
    payload: Schema.Struct({
      ...Chosen,
      reason: Schema.optionalKey(Schema.String),
      description: Schema.optionalKey(Schema.String)
    }),
    success: Outcomes,
    error
  }).annotate(OpenApi.Summary, "Dead-letter messages"),
  HttpApiEndpoint.post("resendMessages", "/messages/resend", {
    query: { entity },
    payload: Resent,
    success: Outcomes,
    error
  }).annotate(
    OpenApi.Summary,
    "Send messages again, as they are or as they are given, and complete those that were there"
  ),
  HttpApiEndpoint.post("purgeMessages", "/messages/purge", {
    query: { entity },
    payload: Schema.Struct({ state: Schema.optionalKey(State) }),
    success: Schema.Struct({ messages: Schema.Int }).annotate({ identifier: "Purged" }),
    error
  }).annotate(
    OpenApi.Summary,
    "Complete all messages of an entity, or those of a state, and leave its dead letters alone"
  )
)

type PageQuery = {
  readonly entity: string
  readonly from?: string
  readonly before?: string
  readonly max?: number
  readonly state?: typeof State.Type
}

/** As many as are asked for and one more, which says whether there is another page. */
const page = (queue: Queue, { before, from = "0", max = 100, state }: PageQuery): typeof Read.Type => {
  if (before !== undefined) {
    const found = queue.browse({ before: BigInt(before), count: max + 1, state })
    const messages = found.slice(-max)
    const last = messages.at(-1)?.sequenceNumber ?? -1n
    return {
      messages: messages.map(MessageSummary.of),
      hasEarlier: found.length > max,
      hasLater: queue.browse({ from: last + 1n, count: 1, state }).length > 0
    }
  }
  const found = queue.browse({ from: BigInt(from), count: max + 1, state })
  const messages = found.slice(0, max)
  const first = messages[0]?.sequenceNumber ?? BigInt(from)
  return {
    messages: messages.map(MessageSummary.of),
    hasEarlier: queue.browse({ before: first, count: 1, state }).length > 0,
    hasLater: found.length > max
  }
}

const reasonOf = ({ _tag, detail = _tag }: Refusal): string => detail

/** Does something to each of some messages, and tells what came of it. */
const each = (
  sequenceNumbers: ReadonlyArray<string>,
  run: (sequenceNumber: bigint) => Result.Result<unknown, Refusal>
): typeof Outcomes.Type => ({
  outcomes: sequenceNumbers.map((sequenceNumber): Outcome =>
    Result.match(run(BigInt(sequenceNumber)), {
      onSuccess: () => ({ sequenceNumber, isDone: true }),
      onFailure: (refusal) => ({ sequenceNumber, isDone: false, problem: reasonOf(refusal) })
    })
  )
})

const dispose = (entity: string, sequenceNumbers: ReadonlyArray<string>, settlement: Parameters<Queue["dispose"]>[1]) =>
  withQueue(
    entity,
    (queue): Result.Result<typeof Outcomes.Type, EmulatorError> =>
      Result.succeed(each(sequenceNumbers, (sequenceNumber) => queue.dispose(sequenceNumber, settlement)))
  )

/** What a dead-letter queue is the dead-letter queue of. */
const sourceOf = (path: string): string => path.replace(/(?:\/\$Transfer)?\/\$DeadLetterQueue$/i, "")

/** Properties that tell of a death, which is over. The page has the same, and of what follows. */
export const ofDeath: ReadonlySet<string> = new Set(["DeadLetterReason", "DeadLetterErrorDescription"])

/** What the broker says of a message and no sender does, and when it was to be there and to end: it begins anew, and at once. */
export const notSentAgain: ReadonlySet<string> = new Set([
  ...Object.keys(MessageJson.Kept.fields).filter((name) => !Object.hasOwn(MessageJson.outgoingFields, name)),
  "scheduledEnqueueTime",
  "creationTime",
  "absoluteExpiryTime"
])

/** A message as its sender sent it. */
const sentAgain = (message: MessageSnapshot): MessageJson.Outgoing => {
  const kept = MessageJson.toJson(message)
  const json: Record<string, unknown> = Object.fromEntries(
    Object.entries(kept).filter(([name, value]) => value !== undefined && !notSentAgain.has(name))
  )
  const properties = Object.entries(kept.applicationProperties ?? {}).filter(([name]) => !ofDeath.has(name))
  if (properties.length > 0) json["applicationProperties"] = Object.fromEntries(properties)
  else delete json["applicationProperties"]
  return json
}

const resend = (entity: string, { messages, to }: typeof Resent.Type) =>
  withQueue(entity, (queue, { broker, clock }) => {
    const target = to ?? sourceOf(queue.path)
    const into = broker.queue(target)
    const one = (sequenceNumber: string, given: MessageJson.Outgoing | undefined): Outcome => {
      const fail = (problem: string): Outcome => ({ sequenceNumber, isDone: false, problem })
      if (into === undefined) return fail(`there is no entity "${target.slice(0, 300)}"`)
      const [found] = queue.browse({ from: BigInt(sequenceNumber), count: 1 })
      if (found === undefined || String(found.sequenceNumber) !== String(BigInt(sequenceNumber))) {
        return fail(`there is no message ${sequenceNumber}`)
      }
      if (found.lockedUntil !== undefined) return fail("it is locked by a receiver")
      let incoming: IncomingMessage
      try {
        incoming = MessageJson.toSend(given ?? sentAgain(found), "message", clock)
      } catch (problem) {
        if (!(problem instanceof ValueJson.JsonProblem)) throw problem
        return fail(problem.message)
      }
      const { duplicates } = into.counters
      const sent = into.send([incoming])
      if (Result.isFailure(sent)) return fail(notTaken(into.path, sent.failure).problem)
      if (into.counters.duplicates > duplicates) {
        return fail(
          `"${into.path}" has taken a message of this id before and dropped this one: give it another messageId`
        )
      }
      const sentAs = String(sent.success[0])
      const removed = queue.dispose(found.sequenceNumber, Settlement.complete)
      return Result.isSuccess(removed)
        ? { sequenceNumber, isDone: true, sentAs }
        : {
          sequenceNumber,
          isDone: false,
          problem: `it was sent, and is here too: ${reasonOf(removed.failure)}`,
          sentAs
        }
    }
    return Result.succeed({ outcomes: messages.map(({ message, sequenceNumber }) => one(sequenceNumber, message)) })
  })

/** How many messages are purged before others have their turn, and what is gone by then is written. */
const purgedAtOnce = 5000

const purge = (entity: string, state: typeof State.Type | undefined) =>
  Effect.gen(function*() {
    const { queue } = yield* queueOf(entity)
    // What comes meanwhile stays.
    const [last] = queue.browse({ before: BigInt(Number.MAX_SAFE_INTEGER), count: 1 })
    let messages = 0
    let next: bigint | undefined = last === undefined ? undefined : 0n
    while (next !== undefined) {
      if (messages > 0) yield* Effect.yieldNow
      const part = queue.purge({ from: next, to: last!.sequenceNumber, count: purgedAtOnce, state })
      messages += part.messages
      next = part.next
    }
    return { messages }
  })

type For<A> = { readonly query: { readonly entity: string }; readonly payload: A }
type Some = { readonly sequenceNumbers: ReadonlyArray<string> }

/** What is done for each. */
export const handlers = {
  pageOfMessages: ({ query }: { readonly query: PageQuery }) =>
    withQueue(query.entity, (queue) => Result.succeed(page(queue, query))),
  deleteMessages: ({ payload, query }: For<Some>) =>
    dispose(query.entity, payload.sequenceNumbers, Settlement.complete),
  deferMessages: ({ payload, query }: For<Some>) => dispose(query.entity, payload.sequenceNumbers, Settlement.defer()),
  deadLetterMessages: ({ payload, query }: For<Some & { readonly reason?: string; readonly description?: string }>) =>
    dispose(
      query.entity,
      payload.sequenceNumbers,
      Settlement.deadLetter({ reason: payload.reason, description: payload.description })
    ),
  resendMessages: ({ payload, query }: For<typeof Resent.Type>) => resend(query.entity, payload),
  purgeMessages: ({ payload, query }: For<{ readonly state?: typeof State.Type }>) => purge(query.entity, payload.state)
} satisfies Record<string, (request: never) => Effect.Effect<unknown, unknown, unknown>>
