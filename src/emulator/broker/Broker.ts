/**
 * The embedded broker as a state machine: queues, topics and subscriptions, dead-letter queues, locks and expiry, without
 * a wire.
 *
 * Everything on it is a plain synchronous function, because it is called from socket callbacks; time is Effect's Clock
 * alone. Delivery is at least once in peek-lock mode and at most once in receive-and-delete mode; nothing outlives the
 * scope in which the broker was made.
 *
 * One file because entities are made, changed, loaded and deleted in one registry, in steps that are whole.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { isDeepStrictEqual } from "node:util"
import { EmulatorError } from "../../ServiceBusError.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import { AutoDeletion } from "./AutoDeletion.ts"
import * as DeadlineTimer from "./DeadlineTimer.ts"
import {
  abbreviated,
  type DeclaredEntity,
  declaredOf,
  type Entity,
  isChangeable,
  nameProblemOf,
  rankOf,
  rulesProblemOf,
  topicsFirst,
  trim
} from "./DeclaredEntity.ts"
import * as EntityOptions from "./EntityOptions.ts"
import * as MessageQueue from "./MessageQueue.ts"
import type { Contents, KeptMessage, Queue, Refusal, RuntimeCounts } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"
import { MemoryStore, plainOf, type RestoredEntity, sizeOf, type Store } from "./Store.ts"
import type { Due, StoredMessage } from "./StoredMessage.ts"
import type { FilterCounts } from "./SubscriptionRules.ts"
import { Topic } from "./Topic.ts"

export { type Entity, problemOf } from "./DeclaredEntity.ts"
export type {
  EntityOptions,
  EntitySettings,
  EntityStatus,
  ForwardTarget,
  SubscriptionOptions,
  TopicOptions
} from "./EntityOptions.ts"
export type {
  Attachment,
  BrowsedMessage,
  Consumer,
  Contents,
  Counters,
  Delivery,
  IncomingMessage,
  KeptMessage,
  KeptState,
  MessageSnapshot,
  Queue,
  Refusal,
  Rules,
  RuntimeCounts
} from "./Queue.ts"

/**
 * What an entity holds, and its times in milliseconds.
 *
 * @category models
 */
export interface Runtime extends RuntimeCounts {
  readonly subscriptionCount: number
  /** Those of all subscriptions of a topic. */
  readonly filterCounts: Readonly<FilterCounts>
  readonly createdAt: number
  readonly updatedAt: number
}

/**
 * What an entity is declared with. Names are spelt as they were declared; times are milliseconds.
 *
 * @category models
 */
export interface Declaration {
  readonly kind: "queue" | "topic" | "subscription"
  readonly path: string
  readonly name: string
  /** That of a subscription. */
  readonly topic: string | undefined
  /** Complete, with the defaults; targets of forwarding as they are spelt where they are there, else in lower case. */
  readonly settings: EntityOptions.EntitySettings
  readonly createdAt: number
  readonly updatedAt: number
}

/**
 * Links to an entity that are to end: all of them, because it is deleted, once what is on its way to it has been answered;
 * those that receive from it or from its dead-letter queues; or those that receive from itself alone. `path` is in lower case.
 *
 * @category models
 */
export interface Detachment {
  readonly path: string
  readonly links: "all" | "receivers" | "ownReceivers"
  /** Why, where it is not that the settings of the entity have changed. */
  readonly refusal?: Refusal | undefined
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
  /** The queues, topics and subscriptions that there are; each knows its dead-letter queues. */
  readonly queues: () => ReadonlyArray<Queue>
  /**
   * Adds an entity. Fails as `make` does, where a target of its forwarding is not there, and where it would forward in a
   * circle. `reason` of the error tells what is there already (the service's 409), the missing topic of a subscription (404),
   * rules over the quota (403) and what is not usable (400) apart.
   */
  readonly create: (entity: Entity) => Result.Result<void, EmulatorError>
  /**
   * Changes options of an entity, and leaves those that are not given as they are. Fails as `create` does, for what cannot be
   * changed, and where there is no such entity, with the reason `notFound`.
   */
  readonly update: (path: string, options: EntityOptions.EntityOptions) => Result.Result<void, EmulatorError>
  /**
   * Deletes an entity with what it holds, and a topic with its subscriptions; returns how many messages are gone. Fails where
   * there is no such entity, with the reason `notFound`.
   */
  readonly delete: (path: string) => Result.Result<number, EmulatorError>
  /**
   * Throws away the messages of an entity and all that it remembers, of a topic with its subscriptions, and returns how many
   * messages are gone. Fails where there is no such entity, with the reason `notFound`.
   */
  readonly reset: (path: string) => Result.Result<number, EmulatorError>
  /**
   * Makes the broker what it was when it was made: entities that came since are gone, those that went are there, settings and
   * rules are as they were declared, and nothing is in them. Returns how many messages are gone.
   */
  readonly resetAll: () => number
  /**
   * Has entities be as they are given, with what they hold: those that are there are changed or made anew, those that are not
   * given stay as they are. Fails as `create` does; then nothing has changed.
   */
  readonly load: (entities: ReadonlyArray<Loaded>) => Result.Result<void, EmulatorError>
  /** What an entity holds. */
  readonly runtime: (path: string) => Runtime | undefined
  /** What an entity is declared with, as it was changed last. */
  readonly declaration: (path: string) => Declaration | undefined
  /** The same of all queues, topics and subscriptions, each in the order in which they came. */
  readonly declarations: () => ReadonlyArray<Declaration>
  /** What those who administer an entity keep of it, which the broker does not look at; undefined where they keep nothing. */
  readonly kept: (path: string) => unknown
  /** Has it keep something of an entity. */
  readonly keep: (path: string, kept: unknown) => void
  /** Sets who ends the links of an entity when it is deleted, or its settings refuse them. */
  readonly onDetach: (detach: (detachment: Detachment) => void) => void
}

/**
 * An entity, and what is to be in it and in its dead-letter queues.
 *
 * @category models
 */
export interface Loaded {
  readonly entity: Entity
  readonly contents: Contents
  readonly deadLetters: ReadonlyArray<KeptMessage>
  readonly transferDeadLetters: ReadonlyArray<KeptMessage>
}

/** The bytes of the messages of an entity. */
const bytesOf = ({ contents, deadLetters, transferDeadLetters }: Loaded): number => {
  let bytes = 0
  for (const messages of [contents.messages, deadLetters, transferDeadLetters]) {
    for (const { incoming } of messages) bytes += sizeOf(incoming)
  }
  return bytes
}

/** An entity that there is. */
interface Registered {
  declared: DeclaredEntity
  readonly queue: MessageQueue.MessageQueue
  /** It, where it is a topic, or that of a subscription. */
  readonly topic: Topic | undefined
  autoDeletion: AutoDeletion | undefined
  readonly createdAt: number
  updatedAt: number
  kept: unknown
}

/**
 * Makes a broker with these entities. Fails with `EmulatorError` for an option out of range, for a name that is empty,
 * reserved or given twice, for a subscription without its topic, and for a forwarding whose target is not there or that leads
 * back to where it began. When the scope closes its timer ends and every further operation is refused as `EntityNotFound`.
 * `payloads` knows what is in a payload, which is opaque here; without it messages have no properties, and no quotas of them.
 * `store` keeps what it holds, and has what it held before: entities that are there already are changed as they are declared,
 * and what came due meanwhile happens at once.
 *
 * @category constructors
 * @internal
 */
export const make: (
  entities: ReadonlyArray<Entity>,
  payloads?: Partial<Payloads>,
  store?: Store
) => Effect.Effect<Broker, EmulatorError, Scope.Scope> = Effect
  .fnUntraced(function*(
    entities: ReadonlyArray<Entity>,
    payloads: Partial<Payloads> = {},
    store: Store = new MemoryStore()
  ) {
    const clock = yield* Clock.Clock
    const deadlines = yield* DeadlineTimer.make<Due>(MessageQueue.onDue)
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const report = (queue: string, defect: unknown) =>
      void fork(Effect.logError(`A consumer of "${queue}" failed and is detached`, Cause.die(defect)))
    const registry: Registry = new Registry({
      ...opaque,
      ...payloads,
      clock,
      deadlines,
      store,
      report,
      find: (path) => registry.entities.get(path)?.queue,
      isClosed: false
    })
    // Targets of forwarding and topics may be declared after what needs them.
    const inOrder = topicsFirst(entities)
    const restored = yield* Effect.flatMap(fromStore(() => registry.restore()), Effect.fromResult)
    for (const entity of inOrder) yield* Effect.fromResult(registry.declare(entity, restored))
    // Those of the store alone may forward to what has been deleted since.
    for (const entity of inOrder) {
      const { path } = yield* Effect.fromResult(declaredOf(entity))
      yield* Effect.fromResult(registry.checkForwarding(registry.entities.get(path.toLowerCase())!.declared))
    }
    registry.initial = inOrder
    if (restored.size > 0) yield* fromStore(() => registry.restoreMessages())
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        registry.close()
      })
    )
    return {
      queue: (path) => registry.byPath.get(trim(path).toLowerCase()),
      queues: () => Array.from(registry.entities.values(), ({ queue }) => queue),
      create: (entity) => registry.create(entity),
      update: (path, options) => registry.update(trim(path).toLowerCase(), options),
      delete: (path) => registry.delete(trim(path).toLowerCase()),
      reset: (path) => registry.reset(trim(path).toLowerCase()),
      resetAll: () => registry.resetAll(),
      load: (entities) => registry.load(entities),
      runtime: (path) => registry.runtime(trim(path).toLowerCase()),
      declaration: (path) => registry.declaration(trim(path).toLowerCase()),
      declarations: () => Array.from(registry.entities.keys(), (path) => registry.declaration(path)!),
      kept: (path) => registry.entities.get(trim(path).toLowerCase())?.kept,
      keep: (path, kept) => registry.keep(trim(path).toLowerCase(), kept),
      onDetach: (detach) => {
        registry.detach = detach
      }
    } satisfies Broker
  })

/** What a store gives: what cannot be read of it is no defect of the broker. */
const fromStore = <A>(read: () => A): Effect.Effect<A, EmulatorError> =>
  Effect.try({
    try: read,
    catch: (cause) => {
      const words = cause instanceof Error ? cause.message : String(cause)
      return new EmulatorError({ problem: `what was stored cannot be read (${words})`, cause })
    }
  })

/** What is in a payload: the part of the shared state that knows AMQP. */
type Payloads = Pick<SharedState, "fits" | "read" | "change" | "isRuleValue" | "reschedule">

const opaque: Payloads = {
  fits: () => true,
  read: () => ({ system: () => undefined, property: () => undefined, spelling: () => undefined }),
  change: (message) => message,
  isRuleValue: () => true,
  reschedule: (message, enqueueAt) => ({ ...plainOf(message), enqueueAt })
}

const ruleRefused = (
  { title }: DeclaredEntity,
  { name }: ServiceBusRule.Rule,
  { _tag, detail }: Refusal
): Result.Result<never, EmulatorError> =>
  Result.fail(
    new EmulatorError({
      reason: _tag === "QuotaExceeded" ? "quotaExceeded" : "invalid",
      problem: `${title}: rule "${name}": ${_tag === "RuleExists" ? "it is declared twice" : detail}`
    })
  )

/** The entities of a broker. */
export class Registry {
  readonly shared: SharedState
  /** By their paths in lower case. */
  readonly entities = new Map<string, Registered>()
  /** The same, and their dead-letter queues. */
  readonly byPath = new Map<string, Queue>()
  /** What it was made with, topics before their subscriptions. */
  initial: ReadonlyArray<Entity> = []
  detach: (detachment: Detachment) => void = () => {}

  constructor(shared: SharedState) {
    this.shared = shared
  }

  private now(): number {
    return this.shared.clock.currentTimeMillisUnsafe()
  }

  /** What it holds is not found any more, whoever still has it. */
  close(): void {
    this.shared.isClosed = true
    this.entities.clear()
    this.byPath.clear()
    this.initial = []
  }

  create(entity: Entity): Result.Result<void, EmulatorError> {
    if (this.shared.isClosed) return closed()
    const declared = declaredOf(entity)
    if (Result.isFailure(declared)) return Result.fail(declared.failure)
    if (this.entities.has(declared.success.path.toLowerCase())) {
      return Result.fail(
        new EmulatorError({
          reason: "alreadyExists",
          problem: `${declared.success.title} is there already; delete or update it`
        })
      )
    }
    const wrong = nameProblemOf(declared.success) ??
      rulesProblemOf(declared.success, this.shared.isRuleValue)
    if (wrong !== undefined) return Result.fail(new EmulatorError({ problem: wrong }))
    const checked = this.checkForwarding(declared.success)
    if (Result.isFailure(checked)) return checked
    const added = this.add(entity)
    if (Result.isSuccess(added)) this.retryForwardingTo(declared.success.path.toLowerCase())
    return added
  }

  keep(path: string, kept: unknown): void {
    const registered = this.entities.get(path)
    if (registered === undefined) return
    registered.kept = kept
    this.shared.store.declared(registered)
  }

  /** Has the entities that the store has, and returns their paths. What idles is seen to once their messages are there. */
  restore(): Result.Result<ReadonlySet<string>, EmulatorError> {
    for (const kept of this.shared.store.entities()) {
      const added = this.add(kept.entity, kept)
      if (Result.isFailure(added)) return Result.fail(added.failure)
    }
    return Result.succeed(new Set(this.entities.keys()))
  }

  /** Has the messages that the store has: locks have ended with the process, and what came due meanwhile is due now. */
  restoreMessages(): void {
    const byRow = new Map<number, MessageQueue.MessageQueue>()
    const queues = Array.from(this.entities.values(), ({ queue }) => queue)
    for (const queue of queues) for (const each of queuesOf(queue)) byRow.set(each.row, each)
    const now = this.now()
    const locked: Array<readonly [MessageQueue.MessageQueue, StoredMessage]> = []
    this.shared.store.messages((row, kept) => {
      const queue = byRow.get(row)
      if (queue === undefined) throw new Error(`the message ${kept.row} is in a queue that is not there`)
      const message = queue.restoreMessage(kept)
      if (kept.isLocked) locked.push([queue, message])
    })
    for (const [queue, message] of locked.toSorted(([, a], [, b]) => a.sequence - b.sequence)) {
      queue.loseLock(message, now)
    }
    for (const queue of queues) queue.flush()
    for (const [path, registered] of [...this.entities]) {
      // One before it may have taken its subscriptions with it.
      if (this.entities.get(path) === registered) this.watchIdle(registered)
    }
  }

  /** Adds an entity with which the broker starts, or has one that the store has be as it is declared, in what it is given. */
  declare(entity: Entity, restored: ReadonlySet<string>): Result.Result<void, EmulatorError> {
    return Result.flatMap(declaredOf(entity), (declared) => {
      const wrong = rulesProblemOf(declared, this.shared.isRuleValue)
      if (wrong !== undefined) return Result.fail(new EmulatorError({ problem: wrong }))
      const registered = this.entities.get(declared.path.toLowerCase())
      if (registered === undefined || !restored.has(declared.path.toLowerCase())) return this.add(entity)
      const fail = (problem: string) =>
        Result.fail(new EmulatorError({ problem: `${declared.title}: ${problem}; declare it so, or delete it first` }))
      const { declared: before } = registered
      if (before.kind !== declared.kind) return fail(`the file has a ${before.kind} of this name`)
      // What is not given stays as it was changed last.
      const { rules, ...options } = { rules: undefined, ...entity.options }
      return Result.flatMap(
        declaredOf({ ...before.entity, options: { ...before.entity.options, ...given(options) } } as Entity),
        (merged) => {
          if (!isChangeable(before, merged)) {
            const what = before.settings.requiresSession === merged.settings.requiresSession
              ? `${before.settings.duplicateDetectionWindow === undefined ? "no " : ""}duplicate detection`
              : `requiresSession ${before.settings.requiresSession}`
            return fail(`the file has it with ${what}, which cannot be changed`)
          }
          // What is as it was declared before has not been updated.
          if (!isDeepStrictEqual(before.settings, merged.settings)) this.configure(registered, merged)
          return this.putRules(registered, rules === undefined ? [] : declared.rules)
        }
      )
    })
  }

  /** Has a subscription have these rules as they are given, beside those that it has under other names. */
  private putRules(
    { declared, queue }: Registered,
    rules: ReadonlyArray<ServiceBusRule.Rule>
  ): Result.Result<void, EmulatorError> {
    for (const rule of rules) {
      const put = queue.rules!.find(rule.name)?.name === rule.name ? queue.rules!.replace(rule) : queue.rules!.add(rule)
      if (Result.isFailure(put)) return ruleRefused(declared, rule, put.failure)
    }
    return Result.void
  }

  /** Adds an entity whose forwarding is checked elsewhere: a new one, or one that the store has. */
  add(entity: Entity, restored?: RestoredEntity): Result.Result<void, EmulatorError> {
    return Result.flatMap(declaredOf(entity), (declared) => {
      const { kind, path, settings, title } = declared
      const key = path.toLowerCase()
      const topic = declared.topic === undefined ? undefined : this.entities.get(declared.topic)?.topic
      const problem = nameProblemOf(declared)
      if (problem !== undefined) return Result.fail(new EmulatorError({ problem }))
      if (this.entities.has(key)) {
        return Result.fail(new EmulatorError({ reason: "alreadyExists", problem: `${title} is declared twice` }))
      }
      if (declared.topic !== undefined && topic === undefined) {
        return Result.fail(
          new EmulatorError({
            reason: "notFound",
            problem: `${title}: there is no topic "${declared.topic}"; declare it too`
          })
        )
      }
      const made = kind === "topic" ? new Topic(this.shared, path, settings) : topic
      const subscribed = kind === "subscription" ? topic!.subscribe(path, settings, declared.rules) : undefined
      if (subscribed !== undefined && Result.isFailure(subscribed)) {
        return ruleRefused(declared, subscribed.failure.rule, subscribed.failure.refusal)
      }
      const queue = subscribed?.success ?? made?.queue ?? MessageQueue.make(this.shared, path, settings)
      const now = this.now()
      const registered: Registered = {
        declared,
        queue,
        topic: made,
        autoDeletion: undefined,
        createdAt: restored?.createdAt ?? now,
        updatedAt: restored?.updatedAt ?? now,
        kept: restored?.kept
      }
      this.entities.set(key, registered)
      for (const each of queuesOf(queue)) this.byPath.set(each.path.toLowerCase(), each)
      if (restored === undefined) this.watchIdle(registered)
      else {
        for (const [index, each] of queuesOf(queue).entries()) each.row = restored.row + index
        queue.restoreState(restored)
      }
      this.shared.store.declared(registered)
      return Result.void
    })
  }

  update(path: string, options: EntityOptions.EntityOptions): Result.Result<void, EmulatorError> {
    const registered = this.entities.get(path)
    if (registered === undefined) return missing(path)
    const { declared: before } = registered
    if (typeof options !== "object" || options === null) {
      return Result.fail(new EmulatorError({ problem: `${before.title}: options must be an object` }))
    }
    if ("rules" in options && options.rules !== undefined) {
      const problem = `${before.title}: rules must be left out; a rule manager adds and removes them`
      return Result.fail(new EmulatorError({ problem }))
    }
    return Result.flatMap(declaredOf(before.entity, options), (declared) => {
      const { settings } = declared
      for (const option of ["requiresSession", "duplicateDetectionWindow"] as const) {
        // Service Bus, recorded: 400 with SubCode 40000.
        const isSame = option === "requiresSession"
          ? settings.requiresSession === before.settings.requiresSession
          : (settings[option] === undefined) === (before.settings[option] === undefined)
        if (isSame) continue
        const name = option === "requiresSession" ? "RequiresSession" : "RequiresDuplicateDetection"
        const kind = `${before.kind.slice(0, 1).toUpperCase()}${before.kind.slice(1)}`
        const problem =
          `${before.title}: the value for the ${name} property of an existing ${kind} cannot be changed; delete it and create it again`
        return Result.fail(new EmulatorError({ problem }))
      }
      const checked = this.checkForwarding(declared)
      if (Result.isFailure(checked)) return checked
      this.configure(registered, declared)
      this.retryForwardingTo(path)
      return Result.void
    })
  }

  /** Has an entity be as it is declared, where the service lets it be changed so. */
  private configure(registered: Registered, declared: DeclaredEntity): void {
    const { declared: before, queue } = registered
    const { settings } = declared
    const path = before.path.toLowerCase()
    registered.declared = declared
    registered.updatedAt = this.now()
    this.shared.store.declared(registered)
    if (before.kind === "topic") registered.topic!.configure(settings)
    else if (before.kind === "subscription") this.topicOf(declared).configureSubscription(queue, settings)
    else queue.configure(settings)
    // Links end after that: what they give back goes to no other link that ends.
    this.detachRefused(path, before.settings, settings)
    this.watchIdle(registered)
  }

  /** The topic of a subscription, which is there. */
  private topicOf({ topic }: DeclaredEntity): Topic {
    return this.entities.get(topic!)!.topic!
  }

  reset(path: string): Result.Result<number, EmulatorError> {
    const registered = this.entities.get(path)
    if (registered === undefined) return missing(path)
    const { declared: { kind }, queue, topic } = registered
    const queues = kind === "topic" ? [queue, ...topic!.queues] : [queue]
    let gone = 0
    for (const each of queues) gone += each.reset()
    return Result.succeed(gone)
  }

  resetAll(): number {
    const initial = new Map<string, DeclaredEntity>()
    for (const entity of this.initial) {
      Result.map(declaredOf(entity), (declared) => initial.set(declared.path.toLowerCase(), declared))
    }
    let gone = 0
    for (const [path, { declared }] of [...this.entities]) {
      const first = initial.get(path)
      if (first !== undefined && isChangeable(declared, first)) gone += Result.getOrElse(this.reset(path), () => 0)
      // With a topic its subscriptions went.
      else gone += Result.getOrElse(this.delete(path), () => 0)
    }
    for (const declared of initial.values()) this.put(declared)
    return gone
  }

  /** Has an entity be as it is declared, with its rules, whether it is there or not. It could have been made so. */
  private put(declared: DeclaredEntity): Result.Result<void, EmulatorError> {
    const registered = this.entities.get(declared.path.toLowerCase())
    if (registered === undefined) return this.add(declared.entity)
    this.configure(registered, declared)
    if (declared.kind !== "subscription") return Result.void
    const refused = this.topicOf(declared).setRules(registered.queue, declared.rules)
    this.shared.store.rulesChanged(registered.queue)
    return refused === undefined ? Result.void : ruleRefused(declared, refused.rule, refused.refusal)
  }

  load(entities: ReadonlyArray<Loaded>): Result.Result<void, EmulatorError> {
    if (this.shared.isClosed) return closed()
    // On entities that nothing is in and that nobody knows.
    const inert: SharedState["deadlines"] = { set: () => {}, clear: () => {}, size: () => 0 }
    const trial: Registry = new Registry({
      ...this.shared,
      deadlines: inert,
      store: new MemoryStore(),
      find: (path) => trial.entities.get(path)?.queue
    })
    const present = Array.from(this.entities.values(), ({ declared: { entity } }) => entity)
    for (const entity of topicsFirst(present)) trial.add(entity)
    const empty = { messages: [], lastSequenceNumber: 0n, sessions: [], duplicates: [] }
    const bare = entities.map(({ entity }) => ({
      entity,
      contents: empty,
      deadLetters: [],
      transferDeadLetters: []
    }))
    return Result.flatMap(trial.fill(bare), () => {
      // Of contents nothing but their size can be refused.
      const full = this.shared.store.refusal(entities.reduce((bytes, each) => bytes + bytesOf(each), 0))
      return full === undefined
        ? this.fill(entities)
        : Result.fail(new EmulatorError({ problem: full, reason: "quotaExceeded" }))
    })
  }

  private fill(entities: ReadonlyArray<Loaded>): Result.Result<void, EmulatorError> {
    const loaded = new Map<string, { readonly declared: DeclaredEntity; readonly of: Loaded }>()
    for (const of of entities.toSorted((a, b) => rankOf(a.entity) - rankOf(b.entity))) {
      const declared = declaredOf(of.entity)
      if (Result.isFailure(declared)) return Result.fail(declared.failure)
      const path = declared.success.path.toLowerCase()
      if (loaded.has(path)) {
        return Result.fail(new EmulatorError({ problem: `${declared.success.title} is given twice` }))
      }
      loaded.set(path, { declared: declared.success, of })
    }
    for (const [path, { declared }] of loaded) {
      const registered = this.entities.get(path)
      if (registered === undefined) continue
      if (isChangeable(registered.declared, declared)) {
        // Subscriptions of a topic that are not given stay as they are.
        registered.queue.reset()
        continue
      }
      const left = declared.kind === "topic"
        ? registered.topic!.queues.find((each) => !loaded.has(each.path.toLowerCase()))
        : undefined
      if (left !== undefined) {
        const problem = `${declared.title} would be made anew, without its subscription "${left.path}": give that too`
        return Result.fail(new EmulatorError({ problem }))
      }
      this.delete(path)
    }
    for (const { declared } of loaded.values()) {
      const made = this.put(declared)
      if (Result.isFailure(made)) return made
    }
    for (const { declared } of loaded.values()) {
      const checked = this.checkForwarding(declared)
      if (Result.isFailure(checked)) return checked
    }
    const queues = Array.from(loaded, ([path, { of }]) => {
      const { queue } = this.entities.get(path)!
      queue.load(of.contents)
      for (
        const [dead, messages] of [
          [queue.deadLetterQueue, of.deadLetters],
          [queue.transferDeadLetterQueue, of.transferDeadLetters]
        ] as const
      ) dead?.load({ messages, lastSequenceNumber: 0n, sessions: [], duplicates: [] })
      return queue
    })
    // All of it is there before anything is delivered or forwarded.
    for (const queue of queues) queue.flush()
    // And before what waits elsewhere for these entities comes to them: it has the numbers after those that they are given.
    for (const path of loaded.keys()) this.retryForwardingTo(path)
    return Result.void
  }

  delete(path: string): Result.Result<number, EmulatorError> {
    const registered = this.entities.get(path)
    if (registered === undefined) return missing(path)
    const { declared: { kind }, queue, topic } = registered
    let gone = 0
    if (kind === "topic") {
      for (const subscription of topic!.queues) {
        gone += Result.getOrElse(this.delete(subscription.path.toLowerCase()), () => 0)
      }
    }
    registered.autoDeletion?.end()
    this.entities.delete(path)
    for (const each of queuesOf(queue)) this.byPath.delete(each.path.toLowerCase())
    if (kind === "subscription") topic!.unsubscribe(queue)
    queue.end()
    this.shared.store.deleted(registered)
    this.detach({ path, links: "all", refusal: { _tag: "EntityNotFound", entity: queue.path } })
    return Result.succeed(gone + queue.discard())
  }

  declaration(path: string): Declaration | undefined {
    const registered = this.entities.get(path)
    if (registered === undefined) return undefined
    const { createdAt, declared: { kind, names, path: spelt, settings }, topic, updatedAt } = registered
    const spellingOf = (target: string | undefined) =>
      target === undefined ? undefined : this.entities.get(target)?.declared.path ?? target
    return {
      kind,
      path: spelt,
      name: names.at(-1)!,
      topic: kind === "subscription" ? topic!.queue.path : undefined,
      settings: {
        ...settings,
        forwardTo: spellingOf(settings.forwardTo),
        forwardDeadLetteredMessagesTo: spellingOf(settings.forwardDeadLetteredMessagesTo)
      },
      createdAt,
      updatedAt
    }
  }

  runtime(path: string): Runtime | undefined {
    const registered = this.entities.get(path)
    if (registered === undefined) return undefined
    const { createdAt, declared, queue, topic, updatedAt } = registered
    const ofTopic = declared.kind === "topic"
      ? { subscriptionCount: topic!.queues.length, filterCounts: { ...topic!.filterCounts } }
      : { subscriptionCount: 0, filterCounts: { sql: 0, correlation: 0 } }
    return { ...queue.runtime(), ...ofTopic, createdAt, updatedAt }
  }

  /** Whether the targets of an entity are there, and none leads back to it. */
  checkForwarding({ path, settings, title, topic }: DeclaredEntity): Result.Result<void, EmulatorError> {
    const fail = (option: string, words: string) =>
      Result.fail(new EmulatorError({ problem: `${title}: ${option}: ${words}` }))
    const key = path.toLowerCase()
    for (const option of ["forwardTo", "forwardDeadLetteredMessagesTo"] as const) {
      const target = settings[option]
      if (target === undefined) continue
      if (target === key) {
        // The words of the official clients, which look before the service does.
        return fail(option, "entity cannot have auto-forwarding policy to itself; name another queue or topic")
      }
      const found = this.entities.get(target)
      if (found === undefined || found.declared.kind === "subscription") {
        return fail(
          option,
          `the auto forwarding destination entity "${abbreviated(target)}" does not exist; declare it too`
        )
      }
    }
    if (settings.forwardTo === undefined) return Result.void
    const { kind, settings: target } = this.entities.get(settings.forwardTo)!.declared
    if (settings.requiresSession && kind === "queue" && target.requiresSession) {
      // Azure/azure-service-bus #317 and #660. To a topic the service took it (recorded).
      return fail("forwardTo", "from what requires sessions no queue that requires them is forwarded to; name another")
    }
    const seen = new Set<string>()
    const next = [settings.forwardTo]
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      if (at === key || at === topic) {
        return fail(
          "forwardTo",
          `its messages would come back to it by way of "${abbreviated(settings.forwardTo)}"; break the circle`
        )
      }
      const registered = seen.has(at) ? undefined : this.entities.get(at)
      seen.add(at)
      if (registered === undefined) continue
      const forwarding = registered.declared.kind === "topic" ? registered.topic!.queues : [registered.queue]
      for (const { options } of forwarding) if (options.forwardTo !== undefined) next.push(options.forwardTo)
    }
    return Result.void
  }

  /** Ends the links on which an entity gives nothing any more. What comes on those of senders is rejected, which is an answer. */
  private detachRefused(
    path: string,
    before: EntityOptions.EntitySettings,
    after: EntityOptions.EntitySettings
  ): void {
    const { isReceivable } = EntityOptions
    if (isReceivable(before) && !isReceivable(after)) this.detach({ path, links: "receivers" })
    if (before.forwardTo === undefined && after.forwardTo !== undefined) this.detach({ path, links: "ownReceivers" })
    if (before.forwardDeadLetteredMessagesTo === undefined && after.forwardDeadLetteredMessagesTo !== undefined) {
      this.detach({ path: `${path}/$deadletterqueue`, links: "ownReceivers" })
    }
  }

  private watchIdle(registered: Registered): void {
    const { declared: { kind, path, settings }, queue, topic } = registered
    registered.autoDeletion?.end()
    registered.autoDeletion = undefined
    if (settings.autoDeleteOnIdle === undefined) return
    // To be the target of a forwarding is no use, what comes from there is (Service Bus documentation of 2022, chaining entities
    // with autoforwarding: it makes no changes to the destination, which is deleted when it is idle).
    const idling = {
      lastUse: (now: number) => (kind === "topic" ? topic! : queue).lastUse(now),
      delete: () => void this.delete(path.toLowerCase())
    }
    registered.autoDeletion = new AutoDeletion(this.shared.deadlines, settings.autoDeleteOnIdle, idling, this.now())
  }

  /** A target is there again, or may take what it refused. */
  private retryForwardingTo(path: string): void {
    const sources: Array<MessageQueue.MessageQueue> = []
    for (const { declared, queue } of this.entities.values()) if (forwardsTo(declared, path)) sources.push(queue)
    for (const queue of sources) queue.retryForwarding()
  }
}

const forwardsTo = ({ settings }: DeclaredEntity, path: string): boolean =>
  settings.forwardTo === path || settings.forwardDeadLetteredMessagesTo === path

/** The options that are given. */
const given = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

const queuesOf = (queue: MessageQueue.MessageQueue): ReadonlyArray<MessageQueue.MessageQueue> =>
  [queue, queue.deadLetterQueue, queue.transferDeadLetterQueue].filter((each) => each !== undefined)

const missing = (path: string): Result.Result<never, EmulatorError> =>
  Result.fail(new EmulatorError({ reason: "notFound", problem: `it has no entity "${path}"` }))

const closed = (): Result.Result<never, EmulatorError> =>
  Result.fail(
    new EmulatorError({
      reason: "notFound",
      problem: "it takes nothing any more: it has ended, or its namespace was removed"
    })
  )
