/**
 * What is in a namespace, over HTTP: messages looked at and put in, those that are scheduled delivered or put off, and all of it
 * emptied, dumped and loaded. An entity is named by the parameter `entity`, for its path has slashes; a dead-letter queue is
 * named `orders/$DeadLetterQueue`.
 */
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EmulatorError } from "../../ServiceBusError.ts"
import { notTaken } from "../broker/Forwarding.ts"
import type { Controls } from "../Controls.ts"
import { Dump } from "../state/Dump.ts"
import * as MessageJson from "../state/MessageJson.ts"
import * as ValueJson from "../state/ValueJson.ts"
import { refused, schemas as error } from "./ControlProblem.ts"
import { controls, withQueue } from "./ControlTarget.ts"
import { DurationInput } from "./DurationInput.ts"

const Number = MessageJson.SequenceNumber

const Entity = { entity: Schema.NonEmptyString }

const Page = {
  entity: Schema.NonEmptyString,
  from: Schema.optionalKey(Number),
  max: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })))
}

const Count = Schema.Struct({ messages: Schema.Int }).annotate({ identifier: "Count" })

const Some = Schema.Struct({ sequenceNumbers: Schema.optionalKey(Schema.Array(Number)) })

const Rescheduled = Schema.Union([
  Schema.Struct({ to: Schema.String, ...Some.fields }),
  Schema.Struct({ by: DurationInput, ...Some.fields })
])

const Sent = Schema.Struct({ sequenceNumbers: Schema.Array(Number) }).annotate({ identifier: "Sent" })

export const group = HttpApiGroup.make("state", { topLevel: true }).add(
  HttpApiEndpoint.post("reset", "/reset", {
    query: { entity: Schema.optionalKey(Schema.NonEmptyString) },
    success: Count,
    error
  }).annotate(OpenApi.Summary, "Empty an entity, or make the namespace what it was when it was made"),
  HttpApiEndpoint.get("messages", "/messages", { query: Page, success: Schema.Array(MessageJson.Kept), error })
    .annotate(OpenApi.Summary, "Look at messages of whatever state, from a sequence number on"),
  HttpApiEndpoint.post("send", "/messages", {
    query: Entity,
    payload: Schema.Array(MessageJson.Outgoing),
    success: Sent,
    error
  }).annotate(OpenApi.Summary, "Put messages into a queue or topic, all of them or none"),
  HttpApiEndpoint.get("scheduled", "/scheduled", { query: Page, success: Schema.Array(MessageJson.Kept), error })
    .annotate(OpenApi.Summary, "Look at the messages that are scheduled"),
  HttpApiEndpoint.post("deliver", "/scheduled/deliver", { query: Entity, payload: Some, success: Count, error })
    .annotate(OpenApi.Summary, "Enqueue scheduled messages now, of these numbers or all"),
  HttpApiEndpoint.post("reschedule", "/scheduled/reschedule", {
    query: Entity,
    payload: Rescheduled,
    success: Count,
    error
  }).annotate(
    OpenApi.Summary,
    "Give scheduled messages another time: to one for all, or each by a span, which may be negative"
  ),
  HttpApiEndpoint.get("dump", "/dump", {
    query: { entity: Schema.optionalKey(Schema.Union([Schema.NonEmptyString, Schema.Array(Schema.NonEmptyString)])) },
    success: Dump,
    error
  }).annotate(OpenApi.Summary, "The state of the namespace, or of the entities that are named"),
  HttpApiEndpoint.post("load", "/load", { payload: Dump, error })
    .annotate(OpenApi.Summary, "Have entities be as a dump says, all of them or none")
)

const controlled = <A>(
  run: (controls: Controls) => Effect.Effect<A, EmulatorError>
) => Effect.flatMap(controls, (controls) => refused(run(controls)))

const counted = (run: (controls: Controls) => Effect.Effect<number, EmulatorError>) =>
  controlled((controls) => Effect.map(run(controls), (messages) => ({ messages })))

type Place = { readonly entity: string; readonly from?: string; readonly max?: number }

const page = ({ entity, from = "0", max = 100 }: Place, isMeant: (state: MessageJson.Kept["state"]) => boolean) =>
  withQueue(entity, (queue) => {
    const found: Array<MessageJson.Kept> = []
    // What is looked at by pages is not copied as a whole.
    for (let at = BigInt(from); found.length < max;) {
      const messages = queue.messages(at, 1000)
      for (const message of messages) {
        if (found.length < max && isMeant(message.state)) found.push(MessageJson.toJson(message))
      }
      const last = messages.at(-1)
      if (last === undefined) break
      at = last.sequenceNumber + 1n
    }
    return Result.succeed(found)
  })

const put = (entity: string, messages: ReadonlyArray<MessageJson.Outgoing>) =>
  withQueue(entity, (queue, { clock }) => {
    try {
      const sent = queue.send(messages.map((message, index) => MessageJson.toSend(message, `[${index}]`, clock)))
      return Result.mapBoth(sent, {
        onSuccess: (numbers) => ({ sequenceNumbers: numbers.map(String) }),
        onFailure: (refusal) => notTaken(queue.path, refusal)
      })
    } catch (problem) {
      if (!(problem instanceof ValueJson.JsonProblem)) throw problem
      return Result.fail(new EmulatorError({ problem: problem.message }))
    }
  })

/** What the time of a scheduled message becomes. */
const timeOf = (payload: typeof Rescheduled.Type): Effect.Effect<(at: DateTime.Utc) => DateTime.Utc, EmulatorError> => {
  if ("by" in payload) return Effect.succeed((at) => DateTime.addDuration(at, payload.by as Duration.Duration))
  try {
    const to = ValueJson.timeOf(payload.to, "to")
    return Effect.succeed(() => to)
  } catch (problem) {
    return Effect.fail(new EmulatorError({ problem: problem instanceof Error ? problem.message : String(problem) }))
  }
}

const numbersOf = ({ sequenceNumbers }: typeof Some.Type): ReadonlyArray<bigint> | undefined =>
  sequenceNumbers?.map(BigInt)

/** What is done for each. */
export const handlers = {
  reset: ({ query }: { readonly query: { readonly entity?: string } }) => counted(({ reset }) => reset(query.entity)),
  messages: ({ query }: { readonly query: Place }) => page(query, () => true),
  send: (
    { payload, query }: { readonly query: Place; readonly payload: ReadonlyArray<MessageJson.Outgoing> }
  ) => put(query.entity, payload),
  scheduled: ({ query }: { readonly query: Place }) => page(query, (state) => state === "scheduled"),
  deliver: ({ payload, query }: { readonly query: Place; readonly payload: typeof Some.Type }) =>
    counted(({ deliver }) => deliver(query.entity, numbersOf(payload))),
  reschedule: ({ payload, query }: { readonly query: Place; readonly payload: typeof Rescheduled.Type }) =>
    counted(({ reschedule }) =>
      Effect.flatMap(timeOf(payload), (time) => reschedule(query.entity, time, numbersOf(payload)))
    ),
  dump: ({ query: { entity } }: { readonly query: { readonly entity?: string | ReadonlyArray<string> } }) =>
    controlled(({ dump }) => dump(typeof entity === "string" ? [entity] : entity)),
  load: ({ payload }: { readonly payload: typeof Dump.Type }) => controlled(({ load }) => load(payload))
}
