/**
 * Rules of a subscription over HTTP: listed, added, removed, and tried before they are. A rule is tried by what evaluates it when
 * it is there, on messages that the topic has taken lately and that are still somewhere.
 */
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EmulatorError } from "../../ServiceBusError.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import { read } from "../amqp/StoredProperties.ts"
import * as Rule from "../broker/filter/Rule.ts"
import type { BrowsedMessage, Queue, Refusal } from "../broker/Queue.ts"
import type { Namespace } from "../Namespace.ts"
import * as EntityJson from "../state/EntityJson.ts"
import * as MessageJson from "../state/MessageJson.ts"
import * as ValueJson from "../state/ValueJson.ts"
import { schemas as error } from "./ControlProblem.ts"
import { withQueue } from "./ControlTarget.ts"
import * as MessageSummary from "./MessageSummary.ts"

const entity = Schema.NonEmptyString

const Tried = Schema.Struct({
  /** Why the rule is none, in the words of the service, and where. */
  problem: Schema.optionalKey(Schema.Struct({
    part: Schema.Literals(["filter", "action"]),
    message: Schema.String,
    line: Schema.optionalKey(Schema.Int),
    column: Schema.optionalKey(Schema.Int)
  })),
  tried: Schema.Int,
  matched: Schema.Array(Schema.Struct({
    entity: Schema.String,
    message: MessageSummary.Summary,
    /** What the action would make of it; null is what it would remove. */
    changes: Schema.optionalKey(Schema.Record(Schema.String, MessageJson.Value))
  })),
  failed: Schema.Array(
    Schema.Struct({ entity: Schema.String, message: MessageSummary.Summary, problem: Schema.String })
  )
}).annotate({ identifier: "TriedRule" })

type Tried = typeof Tried.Type

export const group = HttpApiGroup.make("rules", { topLevel: true }).add(
  HttpApiEndpoint.get("rules", "/rules", { query: { entity }, success: Schema.Array(EntityJson.Rule), error })
    .annotate(OpenApi.Summary, "The rules of a subscription"),
  HttpApiEndpoint.post("addRule", "/rules", { query: { entity }, payload: EntityJson.Rule, error })
    .annotate(OpenApi.Summary, "Add a rule to a subscription"),
  HttpApiEndpoint.delete("removeRule", "/rules", { query: { entity, name: Schema.String }, error })
    .annotate(OpenApi.Summary, "Remove a rule from a subscription"),
  HttpApiEndpoint.post("tryRule", "/rules/try", {
    query: {
      entity,
      max: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })))
    },
    payload: EntityJson.Rule,
    success: Tried,
    error
  }).annotate(OpenApi.Summary, "Which of the last messages a rule would take")
)

const reasons: Partial<Record<Refusal["_tag"], EmulatorError["reason"]>> = {
  RuleExists: "alreadyExists",
  RuleNotFound: "notFound",
  QuotaExceeded: "quotaExceeded"
}

const words: Partial<Record<Refusal["_tag"], string>> = {
  RuleExists: "it has a rule of this name",
  RuleNotFound: "it has no rule of this name"
}

const refusal = (path: string, { _tag, detail = _tag }: Refusal): EmulatorError =>
  new EmulatorError({
    reason: reasons[_tag] ?? "invalid",
    problem: `"${path}": ${words[_tag] ?? detail.replace(/\.$/, "")}`
  })

const withRules = <A>(entity: string, run: (rules: NonNullable<Queue["rules"]>) => Result.Result<A, Refusal>) =>
  withQueue(entity, ({ path, rules }) =>
    rules === undefined
      ? Result.fail(new EmulatorError({ problem: `"${path}" has no rules: a subscription has` }))
      : Result.mapError(run(rules), (refused) => refusal(path, refused)))

/** A rule out of a request; a value that is none is refused. */
const ruleOf = (json: typeof EntityJson.Rule.Type): Result.Result<ServiceBusRule.Rule, EmulatorError> => {
  try {
    return Result.succeed(EntityJson.ruleOfJson(json, "rule"))
  } catch (problem) {
    if (!(problem instanceof ValueJson.JsonProblem)) throw problem
    return Result.fail(new EmulatorError({ problem: problem.message }))
  }
}

/** The queues in which messages of the same topic may be, or the one alone. */
const related = ({ broker }: Namespace, queue: Queue): ReadonlyArray<Queue> => {
  const topic = queue.kind === "topic" ? queue.path : queue.path.replace(/\/Subscriptions\/.*$/i, "")
  const isOfTopic = queue.kind === "topic" || topic !== queue.path
  const within = `${topic}/Subscriptions/`.toLowerCase()
  const found = isOfTopic
    ? broker.queues().filter(({ path }) => path.toLowerCase().startsWith(within))
    : [queue]
  return found.flatMap((each) => each.deadLetterQueue === undefined ? [each] : [each, each.deadLetterQueue])
}

/** The last messages of some queues, the latest first; of the copies of one message the first that is found. */
const lastOf = (
  queues: ReadonlyArray<Queue>,
  max: number
): ReadonlyArray<{ readonly entity: string; readonly message: BrowsedMessage }> => {
  const found = new Map<bigint, { readonly entity: string; readonly message: BrowsedMessage }>()
  for (const { browse, path } of queues.map((queue) => ({ path: queue.path, browse: queue.browse.bind(queue) }))) {
    for (const message of browse({ before: BigInt(Number.MAX_SAFE_INTEGER), count: max })) {
      const number = message.firstSequenceNumber ?? message.sequenceNumber
      if (!found.has(number)) found.set(number, { entity: path, message })
    }
  }
  return [...found].toSorted(([a], [b]) => a < b ? 1 : -1).slice(0, max).map(([, each]) => each)
}

const tryRule = (entity: string, max: number, json: typeof EntityJson.Rule.Type) =>
  withQueue(entity, (queue, namespace) =>
    Result.map(ruleOf(json), (rule): Tried => {
      const compiled = Rule.compile(rule)
      if (Result.isFailure(compiled)) {
        const { column, line, message, part } = compiled.failure
        return { problem: MessageJson.present({ part, message, line, column }), tried: 0, matched: [], failed: [] }
      }
      const { apply, matches } = compiled.success
      const messages = lastOf(related(namespace, queue), max)
      const matched: Array<Tried["matched"][number]> = []
      const failed: Array<Tried["failed"][number]> = []
      for (const { entity, message } of messages) {
        try {
          const seen = read(message)
          if (!matches(seen)) continue
          const changes = apply?.(seen)
          matched.push({
            entity,
            message: MessageSummary.of(message),
            ...(changes === undefined ? {} : {
              changes: Object.fromEntries(
                [...changes.system, ...changes.properties].map((
                  [name, value]
                ) => [name, ValueJson.toJson(value ?? null)])
              )
            })
          })
        } catch (problem) {
          if (!(problem instanceof Rule.FilterError)) throw problem
          failed.push({ entity, message: MessageSummary.of(message), problem: problem.message })
        }
      }
      return { tried: messages.length, matched, failed }
    }))

type Query = { readonly query: { readonly entity: string } }
type Given = { readonly payload: typeof EntityJson.Rule.Type }

/** What is done for each. */
export const handlers = {
  rules: ({ query }: Query) =>
    withRules(query.entity, (rules) => Result.succeed(rules.list().map(EntityJson.ruleToJson))),
  addRule: ({ payload, query }: Query & Given) =>
    Effect.flatMap(
      withQueue(query.entity, () => ruleOf(payload)),
      (rule) => withRules(query.entity, (rules) => rules.add(rule))
    ),
  removeRule: ({ query }: { readonly query: { readonly entity: string; readonly name: string } }) =>
    withRules(query.entity, (rules) => rules.remove(query.name)),
  tryRule: (
    { payload, query }: { readonly query: { readonly entity: string; readonly max?: number } } & Given
  ) => tryRule(query.entity, query.max ?? 100, payload)
}
