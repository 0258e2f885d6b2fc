/**
 * The embedded broker as a state machine: queues, topics and subscriptions, dead-letter queues, locks and expiry, without
 * a wire.
 *
 * Everything on it is a plain synchronous function, because it is called from socket callbacks; time is Effect's Clock
 * alone. Delivery is at least once in peek-lock mode and at most once in receive-and-delete mode; nothing outlives the
 * scope in which the broker was made.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { EmulatorError } from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import * as EntityOptions from "./EntityOptions.ts"
import * as MessageQueue from "./MessageQueue.ts"
import type { Queue, Refusal } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"
import type { Due } from "./StoredMessage.ts"
import { Topic } from "./Topic.ts"

export type { EntityOptions, EntitySettings, SubscriptionOptions, TopicOptions } from "./EntityOptions.ts"
export type {
  Attachment,
  Consumer,
  Counters,
  Delivery,
  IncomingMessage,
  MessageSnapshot,
  Queue,
  Refusal,
  Rules
} from "./Queue.ts"

/**
 * An entity that the broker starts with.
 *
 * @category models
 * @since 0.1.0
 */
export type Entity =
  | { readonly kind?: "queue"; readonly name: string; readonly options?: EntityOptions.EntityOptions | undefined }
  | { readonly kind: "topic"; readonly name: string; readonly options?: EntityOptions.TopicOptions | undefined }
  | {
    readonly kind: "subscription"
    readonly topic: string
    readonly name: string
    readonly options?: EntityOptions.SubscriptionOptions | undefined
  }

/**
 * A broker.
 *
 * @category models
 */
export interface Broker {
  /**
   * The queue, topic, subscription or dead-letter queue of a path such as `orders`, `orders/$DeadLetterQueue`,
   * `orders/$Transfer/$DeadLetterQueue` or `news/Subscriptions/all`: case does not matter, nor do slashes at its ends.
   */
  readonly queue: (path: string) => Queue | undefined
  /** The declared queues, topics and subscriptions; each knows its dead-letter queues. */
  readonly queues: () => ReadonlyArray<Queue>
}

/**
 * Makes a broker with these entities. Fails with `EmulatorError` for an option out of range, for a name that is empty,
 * reserved or given twice, and for a subscription without its topic. When the scope closes its timer ends and every
 * further operation is refused as `EntityNotFound`. `payloads` knows what is in a payload, which is opaque here; without it
 * messages have no properties, and no quotas of them.
 *
 * @category constructors
 * @internal
 */
export const make: (
  entities: ReadonlyArray<Entity>,
  payloads?: Partial<Payloads>
) => Effect.Effect<Broker, EmulatorError, Scope.Scope> = Effect
  .fnUntraced(function*(entities: ReadonlyArray<Entity>, payloads: Partial<Payloads> = {}) {
    const clock = yield* Clock.Clock
    const names = new Set<string>()
    const topics = new Set(entities.flatMap((each) => each.kind === "topic" ? [trim(each.name).toLowerCase()] : []))
    const declared: Array<Declared> = []
    for (const entity of entities) {
      const each = yield* Effect.fromResult(declaredOf(entity))
      const problem = nameProblem(each, names) ?? (each.topic === undefined || topics.has(each.topic)
        ? rulesProblem(each)
        : `${each.title}: there is no topic "${each.topic}"; declare it too`)
      if (problem !== undefined) return yield* new EmulatorError({ problem })
      names.add(each.path.toLowerCase())
      declared.push(each)
    }

    const deadlines = yield* DeadlineTimer.make<Due>(MessageQueue.onDue)
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const report = (queue: string, defect: unknown) =>
      void fork(Effect.logError(`A consumer of "${queue}" failed and is detached`, Cause.die(defect)))
    const shared: SharedState = { ...opaque, ...payloads, clock, deadlines, report, isClosed: false }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        shared.isClosed = true
      })
    )
    const queues: Array<Queue> = []
    for (const { kind, path, settings } of declared) {
      if (kind === "queue") queues.push(MessageQueue.make(shared, path, settings))
      if (kind === "topic") {
        const topic = new Topic(shared, path, settings)
        queues.push(topic.queue)
        for (const each of declared.filter((other) => other.topic === path.toLowerCase())) {
          const subscription = topic.subscribe(each.path, each.settings)
          for (const rule of each.rules) {
            const added = subscription.rules!.add(rule)
            if (Result.isFailure(added)) {
              return yield* new EmulatorError({ problem: ruleProblem(each, rule, added.failure) })
            }
          }
          queues.push(subscription)
        }
      }
    }
    const byPath = new Map<string, Queue>()
    for (const queue of queues) {
      for (const each of [queue, queue.deadLetterQueue, queue.transferDeadLetterQueue]) {
        if (each !== undefined) byPath.set(each.path.toLowerCase(), each)
      }
    }
    return {
      queue: (path) => byPath.get(trim(path).toLowerCase()),
      queues: () => queues
    }
  })

/** What is in a payload: the part of the shared state that knows AMQP. */
type Payloads = Pick<SharedState, "fits" | "read" | "change">

const opaque: Payloads = {
  fits: () => true,
  read: () => ({ system: () => undefined, property: () => undefined, spelling: () => undefined }),
  change: (message) => message
}

/** What can be said of rules that may be anything, before their expressions are read. */
const rulesProblem = ({ rules, title }: Declared): string | undefined => {
  if (!Array.isArray(rules)) return `${title}: rules must be an array of rules, made by ServiceBusRule.make`
  for (const [index, rule] of rules.entries()) {
    const problem = ServiceBusRule.problemOf(rule)
    if (problem !== undefined) return `${title}: rules[${index}].${problem.option} must be ${problem.expected}`
  }
  return undefined
}

const ruleProblem = ({ title }: Declared, { name }: ServiceBusRule.Rule, { _tag, detail }: Refusal): string =>
  `${title}: rule "${name}": ${_tag === "RuleExists" ? "it is declared twice" : detail}`

/** A declaration, checked but for its name. */
interface Declared {
  readonly kind: "queue" | "topic" | "subscription"
  readonly path: string
  /** What an error calls it. */
  readonly title: string
  /** The names that its path is made of. */
  readonly names: ReadonlyArray<string>
  /** The topic of a subscription, in lower case. */
  readonly topic: string | undefined
  readonly settings: EntityOptions.EntitySettings
  /** Those of a subscription; their expressions have not been read. */
  readonly rules: ReadonlyArray<ServiceBusRule.Rule>
}

const declaredOf = (entity: Entity): Result.Result<Declared, EmulatorError> => {
  const { kind = "queue" } = entity
  const name = trim(entity.name)
  const topic = entity.kind === "subscription" ? trim(entity.topic) : undefined
  const title = topic === undefined
    ? `${kind} "${abbreviated(name)}"`
    : `subscription "${abbreviated(name)}" of "${abbreviated(topic)}"`
  return Result.map(EntityOptions.settings(title, entity.options ?? {}), (settings) => ({
    kind,
    title,
    settings,
    names: topic === undefined ? [name] : [topic, name],
    path: topic === undefined ? name : `${topic}/Subscriptions/${name}`,
    topic: topic?.toLowerCase(),
    rules: entity.kind === "subscription" ? entity.options?.rules ?? [everything] : []
  }))
}

/** The rule of a subscription that is given none. */
const everything = ServiceBusRule.make(ServiceBusRule.defaultName, ServiceBusRule.true)

const abbreviated = (name: string): string => name.length > 260 ? `${name.slice(0, 32)}…` : name

const trim = (path: string): string => path.replace(/^[/\s]+|[/\s]+$/g, "")

const nameProblem = ({ kind, names, path, title }: Declared, taken: ReadonlySet<string>): string | undefined => {
  for (const name of names) {
    if (name === "") return `a ${kind} needs a name`
    if (name.length > 260) return `${title}: a name has at most 260 characters`
    if (/(^|\/)(\$|\/)/.test(name)) return `${title}: no part of a name is empty or begins with "$"`
  }
  return taken.has(path.toLowerCase()) ? `${title} is declared twice` : undefined
}
