/**
 * The broker's controls: what a test sees and does at the broker itself, without a client.
 *
 * They are of one namespace, and own nothing: each reads or changes the broker and its server when its Effect runs.
 *
 * One file because it is one service; most of its lines are the docstrings of its operations.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { Sections } from "../internal/amqp/codec/Sections.ts"
import { Writer } from "../internal/amqp/codec/Writer.ts"
import type * as Dispatcher from "../internal/amqp/engine/Dispatcher.ts"
import { declaredProperties, encode, problemOf } from "../internal/message/MessageEncoder.ts"
import { declaredIn, Destructive } from "../internal/message/ReceivedMessage.ts"
import type * as ServiceBusBody from "../ServiceBusBody.ts"
import type * as ServiceBusCredential from "../ServiceBusCredential.ts"
import * as ServiceBusEntity from "../ServiceBusEntity.ts"
import { EmulatorError, MessageEncodeError } from "../ServiceBusError.ts"
import type { OutgoingMessage, ReceivedMessage } from "../ServiceBusMessage.ts"
import type * as ServiceBusProperties from "../ServiceBusProperties.ts"
import type * as ServiceBusRule from "../ServiceBusRule.ts"
import { incoming, outgoing } from "./amqp/StoredPayload.ts"
import type * as Broker from "./broker/Broker.ts"
import type { Entity } from "./broker/DeclaredEntity.ts"
import { notTaken } from "./broker/Forwarding.ts"
import { ManualClock } from "./broker/ManualClock.ts"
import * as BrokerMetrics from "./BrokerMetrics.ts"
import * as Fault from "./Fault.ts"
import { type Namespace, randomKey } from "./Namespace.ts"
import type { Namespaces } from "./Namespaces.ts"
import * as Policies from "./Policies.ts"
import type { Policy } from "./Policies.ts"
import * as Dump from "./state/Dump.ts"

/**
 * What happened in an entity since the broker started.
 *
 * @interface
 * @category models
 * @since 0.1.0
 */
export type Counters = Readonly<Broker.Counters>

/**
 * What an entity holds, by the names of the service's own runtime properties. Messages that are locked or deferred are active
 * ones; a message that waits to be forwarded is a transfer message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Runtime {
  /** All of them, those of its dead-letter sub-queues included. */
  readonly totalMessageCount: number
  readonly activeMessageCount: number
  readonly deadLetterMessageCount: number
  readonly scheduledMessageCount: number
  readonly transferMessageCount: number
  readonly transferDeadLetterMessageCount: number
  /** Bytes of payload, those of its dead-letter sub-queues included; of a subscription those of its topic. */
  readonly sizeInBytes: number
  /** 0 but for a topic. */
  readonly subscriptionCount: number
  readonly createdAt: DateTime.Utc
  /** When its options were changed last. */
  readonly updatedAt: DateTime.Utc
  /**
   * When it, or its dead-letter sub-queue, was last sent to, received from, browsed, settled in or changed. A copy of its topic's
   * message does not count for a subscription.
   */
  readonly accessedAt: DateTime.Utc
}

/**
 * A queue, a subscription, or a dead-letter sub-queue of one, with sessions or without.
 *
 * @inline
 * @category models
 * @since 0.1.0
 */
export type Receivable<A> = ServiceBusEntity.SubQueue<A> | ServiceBusEntity.WithSubQueues<A>

/** What is read of an entity. @inline */
type MessageIn<E extends string | ServiceBusEntity.Any> =
  & ReceivedMessage<ServiceBusEntity.BodyOf<E>>
  & ServiceBusEntity.PropertiesOf<E>

/** What is put into an entity. Where it declares no properties, the broker sees whether a session is named. @inline */
type MessageFor<E extends string | ServiceBusEntity.Any> = E extends
  ServiceBusEntity.WithDeclaredProperties<ServiceBusProperties.Fields, never> ? ServiceBusEntity.MessageTo<E>
  : OutgoingMessage<ServiceBusEntity.InputOf<E>>

/** @inline */
type Subscription = Extract<ServiceBusEntity.Any, { readonly _tag: "Subscription" | "SessionSubscription" }>

/** @inline */
type Declared = Exclude<ServiceBusEntity.Any, { readonly _tag: "SubQueue" }>

/** @inline */
type Sendable = ServiceBusEntity.Sendable<unknown, never> | ServiceBusEntity.SessionSendable<unknown, never>

/**
 * A namespace that a program makes.
 *
 * @category models
 * @since 0.1.0
 */
export interface NamespaceOptions {
  /** 1 to 50 letters, digits, periods, underscores and hyphens; case does not matter. Azure takes 6 to 50, fewer signs. */
  readonly name: string
  /** The key of its root policy, as that of the broker is given; a random one by default. No other key opens it. */
  readonly key?: Redacted.Redacted<string> | undefined
  /** The entities that it starts with; those that the broker was started with by default. */
  readonly entities?: ReadonlyArray<Entity> | undefined
  /** Its policies beside the root's; those of the broker by default. */
  readonly policies?: ReadonlyArray<Policy> | undefined
}

/**
 * A namespace that there is.
 *
 * @category models
 * @since 0.1.0
 */
export interface NamespaceSummary {
  readonly name: string
  /** Whether it came by use, and goes when nothing uses it. */
  readonly isByUse: boolean
  /** How many connections are open to it. */
  readonly connections: number
  readonly createdAt: DateTime.Utc
}

/**
 * What the service `Emulator` has: the broker, looked at and interfered with from a test. What reads fails with
 * EmulatorError where the entity is not declared; nothing here goes over the wire. Entities are given as contracts, or by
 * their plain names, whose bodies are bytes.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const left = Effect.gen(function*() {
 *   const emulator = yield* Emulator.Emulator
 *   yield* emulator.idle
 *   return yield* emulator.messages(Orders)
 * })
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Controls {
  /** The connection string of the root policy. */
  readonly connectionString: Redacted.Redacted<string>
  /**
   * An identity that this broker knows, as an `@azure/identity` credential would be one: it holds all rights, and its
   * tokens are valid for an hour. For `ServiceBusCredential.identity`.
   */
  readonly tokenCredential: ServiceBusCredential.TokenCredential
  /** The port for AMQP without TLS; 0 where the broker is in memory. */
  readonly port: number
  /** The port for AMQP over TLS; 0 where there is none. */
  readonly tlsPort: number
  /** The port for AMQP over WebSocket; 0 where there is none. */
  readonly webSocketPort: number
  /** The port for administration over HTTP, which the port for AMQP takes too; 0 where there is none. */
  readonly httpPort: number
  /** The port for administration over HTTPS; 0 where there is none. */
  readonly httpsPort: number
  /** The certificate of the ports with TLS in PEM, for clients to trust; undefined where there is none. */
  readonly certificate: string | undefined
  /** Asks the management API without a socket. @internal */
  readonly httpClient: HttpClient.HttpClient
  /** How a client that is made where this is provided comes to a broker in memory; undefined where that has ports. @internal */
  readonly reached: Layer.Layer<never> | undefined
  /** What the broker counts, at the moment of asking; that of one of its namespaces, what the namespace does. @internal */
  readonly observe: () => ReturnType<typeof BrokerMetrics.observe>
  /** Every message in an entity, of whatever state, oldest first. Fails with EmulatorError where it does not exist. */
  readonly messages: <E extends string | Receivable<unknown>>(
    entity: E
  ) => Effect.Effect<ReadonlyArray<MessageIn<E>>, EmulatorError>
  /** Every message in the dead-letter sub-queue of an entity. Fails with EmulatorError where the entity does not exist. */
  readonly deadLetters: <E extends string | ServiceBusEntity.WithSubQueues<unknown>>(
    entity: E
  ) => Effect.Effect<ReadonlyArray<MessageIn<E>>, EmulatorError>
  /**
   * Puts messages into a queue or topic without a client.
   *
   * Fails with EmulatorError where it does not exist or refuses them, and with MessageEncodeError where a message cannot be
   * encoded; then none of them is stored.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
   *
   * export const given = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* emulator.send(Orders, [{ body: "one" }, { body: "two", subject: "rush" }])
   * })
   * ```
   */
  readonly send: <E extends string | Sendable>(
    entity: E,
    messages: ReadonlyArray<MessageFor<E>>
  ) => Effect.Effect<void, EmulatorError | MessageEncodeError>
  /**
   * Puts messages into the transfer dead-letter sub-queue of an entity, as if they had been sent by way of it and could not be
   * delivered: this is how a test comes by such letters. `emulator.messages(transferDeadLetter(entity))` shows them.
   */
  readonly failTransfer: <E extends string | ServiceBusEntity.WithSubQueues<unknown>>(
    entity: E,
    messages: ReadonlyArray<OutgoingMessage<ServiceBusEntity.BodyOf<E>> & ServiceBusEntity.PropertiesOf<E>>,
    why?: { readonly reason?: string | undefined; readonly description?: string | undefined }
  ) => Effect.Effect<void, EmulatorError | MessageEncodeError>
  /**
   * What happened in an entity since the broker started. Fails with EmulatorError where it does not exist.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
   *
   * export const done = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   const { completed, renewed } = yield* emulator.counters(Orders)
   *   return { completed, renewed }
   * })
   * ```
   */
  readonly counters: (entity: string | Receivable<unknown>) => Effect.Effect<Counters, EmulatorError>
  /**
   * The rules of a subscription, by name, each with the time at which it came. Fails with EmulatorError
   * where it does not exist, or is no subscription.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
   * const Sport = ServiceBusEntity.subscription(News, "sport")
   *
   * export const names = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   return (yield* emulator.rules(Sport)).map(({ name }) => name)
   * })
   * ```
   */
  readonly rules: (
    subscription: string | Subscription
  ) => Effect.Effect<ReadonlyArray<ServiceBusRule.Rule>, EmulatorError>
  /** How many messages an entity holds, by their states. Fails with EmulatorError where it does not exist. */
  readonly runtime: (entity: string | Declared) => Effect.Effect<Runtime, EmulatorError>
  /**
   * Adds an entity while clients are connected; what `Emulator.entity` makes.
   *
   * Fails with EmulatorError where it is there already (its `reason` is `"alreadyExists"`), where a subscription has no topic
   * (`"notFound"`), and where an option is not usable, or what it forwards to is not there or would come back to it
   * (`"invalid"`).
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const again = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   const gone = yield* emulator.delete("orders")
   *   yield* Effect.log(`${gone} messages are gone`)
   *   yield* emulator.create(Emulator.entity("orders", { maxDeliveryCount: 3 }))
   * })
   * ```
   */
  readonly create: (entity: Broker.Entity) => Effect.Effect<void, EmulatorError>
  /**
   * Changes options of an entity while clients are connected; those that are not given stay as they are. Receivers of an entity
   * that gives nothing any more are detached.
   *
   * Fails with EmulatorError where there is no such entity, and for what `create` fails for or what the service does not change:
   * whether an entity requires sessions or detects duplicates.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const suspended = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* emulator.update("orders", { status: "SendDisabled" })
   *   yield* Effect.sleep("10 seconds")
   *   yield* emulator.update("orders", { status: "Active" })
   * })
   * ```
   */
  readonly update: {
    (
      entity: Extract<Declared, { readonly _tag: "Topic" | "SessionTopic" }>,
      options: Broker.TopicOptions
    ): Effect.Effect<void, EmulatorError>
    (
      entity: Extract<Declared, { readonly _tag: "Subscription" | "SessionSubscription" }>,
      options: Omit<Broker.SubscriptionOptions, "rules">
    ): Effect.Effect<void, EmulatorError>
    (
      entity: Extract<Declared, { readonly _tag: "Queue" | "SessionQueue" }> | string,
      options: Broker.EntityOptions
    ): Effect.Effect<void, EmulatorError>
  }
  /**
   * Deletes an entity while clients are connected, with its messages and a topic with its subscriptions, and returns how many
   * messages are gone. Links to it are detached, as not found. Fails with EmulatorError where there is no such entity.
   */
  readonly delete: (entity: string | Declared) => Effect.Effect<number, EmulatorError>
  /** What time it is in the broker: that of the messages, locks and schedules in it. */
  readonly now: Effect.Effect<DateTime.Utc>
  /**
   * Moves the time of a broker that was made with `clock: "manual"` on, and returns what time it is then. All that falls due
   * happens, at once and in the order of its times: locks expire, what is scheduled is enqueued, messages expire, idle entities
   * are deleted, forwarding is tried again. When it returns it has happened; what that delivers is on its way to the clients.
   *
   * Fails with EmulatorError where the clock is Effect's (TestClock moves that one), and where the duration is no finite one of
   * 0 or more or leads beyond the year 9999. An interruption leaves the time that it had come to.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const expired = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* emulator.advance("5 minutes")
   *   return (yield* emulator.counters("orders")).lockExpired
   * })
   * ```
   */
  readonly advance: (by: Duration.Input) => Effect.Effect<DateTime.Utc, EmulatorError>
  /**
   * The messages of a queue, topic or subscription that are scheduled, in the order of their sequence numbers. Fails with
   * EmulatorError where it does not exist.
   */
  readonly scheduled: <E extends string | Declared>(
    entity: E
  ) => Effect.Effect<ReadonlyArray<MessageIn<E>>, EmulatorError>
  /**
   * Enqueues scheduled messages now, of these sequence numbers or all of them, as if their time had come, and returns how many.
   * Fails with EmulatorError where the entity does not exist, and where one of the numbers is of no scheduled message; then none
   * is enqueued.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const atOnce = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   return yield* emulator.deliver("reminders")
   * })
   * ```
   */
  readonly deliver: (
    entity: string | Declared,
    sequenceNumbers?: ReadonlyArray<bigint>
  ) => Effect.Effect<number, EmulatorError>
  /**
   * Gives scheduled messages another time, of these sequence numbers or all of them, and returns how many: one time for all, or
   * what a function makes of the time of each. What is over is enqueued at once. Fails as `deliver` does, and where a time is no
   * DateTime or beyond the year 9999.
   *
   * @example
   * ```ts
   * import { DateTime, Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const anHourEarlier = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   return yield* emulator.reschedule("reminders", DateTime.subtract({ hours: 1 }))
   * })
   * ```
   */
  readonly reschedule: (
    entity: string | Declared,
    at: DateTime.Utc | ((at: DateTime.Utc) => DateTime.Utc),
    sequenceNumbers?: ReadonlyArray<bigint>
  ) => Effect.Effect<number, EmulatorError>
  /**
   * Empties one entity, a topic with its subscriptions, or makes the whole namespace what it was when it was made; returns how
   * many messages are gone. Messages, dead letters, sessions with their state, what duplicate detection remembers, counters and
   * sequence numbers begin anew. Without an entity those that came since are gone, those that went are there, settings and rules
   * are as they were declared, and faults are taken back. Connections and links to what is still there stay; locks are lost.
   *
   * Fails with EmulatorError where there is no such entity. It happens in one step.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const afterEach = Effect.flatMap(Emulator.Emulator, (emulator) => emulator.reset())
   * ```
   */
  readonly reset: (entity?: string | Declared) => Effect.Effect<number, EmulatorError>
  /**
   * The state of the namespace as a JSON value, or of these entities, of one instant: settings and rules, every message with its
   * properties and body in their AMQP types, its state, delivery count and times, states of sessions, what duplicate detection
   * remembers. Locks, counters and what only administration keeps of an entity (its policies with their keys) are not in it.
   *
   * Fails with EmulatorError where an entity does not exist, and with the reason `"quotaExceeded"` over 100,000 messages or
   * 64 MiB of them.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const fixture = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   return JSON.stringify(yield* emulator.dump(["orders"]))
   * })
   * ```
   */
  readonly dump: (entities?: ReadonlyArray<string | Declared>) => Effect.Effect<Dump.Dump, EmulatorError>
  /**
   * Has the entities of a dump be as it says, with what they held, and leaves all others as they are; any JSON value may be
   * given. What is there is emptied and changed, or made anew where the service would not change it so (links to it are
   * detached then, and of a topic all subscriptions must be given). Of a message nothing is needed: `{}` is one without a body.
   * What was due meanwhile happens at once.
   *
   * Fails with EmulatorError, which says where the value is no dump, and for what `create` fails for; then nothing has changed.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const given = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* emulator.load({
   *     entities: [{ kind: "queue", name: "orders", messages: [{ messageId: "1", body: { json: { total: 9.5 } } }] }]
   *   })
   * })
   * ```
   */
  readonly load: (dump: unknown) => Effect.Effect<void, EmulatorError>
  /** How many connections are open. */
  readonly connections: Effect.Effect<number>
  /** Cuts every connection without a word to the clients. */
  readonly dropConnections: Effect.Effect<void>
  /** Closes every connection with an error that the clients are told. */
  readonly closeConnections: (error: Fault.BrokerError) => Effect.Effect<void>
  /**
   * Detaches links with an error that the clients are told: those of one entity, given as a contract or as the address of
   * a node (`"orders/$management"`, `"$cbs"`), or all of them.
   */
  readonly detachLinks: (error: Fault.BrokerError, entity?: Receivable<unknown> | string) => Effect.Effect<void>
  /** Ends every session with an error that the clients are told. */
  readonly endSessions: (error: Fault.BrokerError) => Effect.Effect<void>
  /**
   * Has operations of clients go wrong: the next one that fits, or the next `times`, of one entity or of any. They are refused
   * with an `error`, or what the `action` says happens to them (`FaultAction`). It stays until it has struck so often, or is
   * taken back by `removeFault`; one for the time of a scope is `inject`. Returns it as `faults` lists it, with its id.
   *
   * Fails with EmulatorError where the fault is not usable, and says what is wrong with it. An entity that is not there is no
   * failure, for it may be made later: a warning is logged.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const throttled = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* emulator.fail({
   *     operation: "send",
   *     entity: "orders",
   *     error: { condition: "com.microsoft:server-busy", description: "try again later" },
   *     times: 2
   *   })
   *   // Stored, and the sender is never told.
   *   yield* emulator.fail({ operation: "send", entity: "orders", action: "drop", when: "after" })
   * })
   * ```
   */
  readonly fail: (fault: Fault.Fault) => Effect.Effect<Fault.FaultStatus, EmulatorError>
  /**
   * A fault for the time of a scope: the same as `fail`, every time by default, and taken back when the scope closes, by an
   * interruption too. An operation that it has struck by then goes on as it would: what is delayed comes.
   *
   * Fails with EmulatorError where the fault is not usable.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusSender } from "effect-service-bus"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const slow = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   const sender = yield* ServiceBusSender.make("orders")
   *   const half = { probability: 0.5, seed: 7 }
   *   const { hits } = yield* emulator.inject({ operation: "send", action: "delay", delay: "3 seconds", ...half })
   *   yield* Effect.forEach(["a", "b", "c"], (text) => sender.send({ body: Buffer.from(text) }))
   *   yield* Effect.log(`${yield* hits} of 3 were slow`)
   * }).pipe(Effect.scoped)
   * ```
   */
  readonly inject: (fault: Fault.Fault) => Effect.Effect<Fault.InjectedFault, EmulatorError, Scope.Scope>
  /** The faults that there are, and the latest of those that are spent, with what they have struck so far. */
  readonly faults: Effect.Effect<ReadonlyArray<Fault.FaultStatus>>
  /** Takes a fault back, by its id. Fails with EmulatorError (`"notFound"`) where there is none of that id. */
  readonly removeFault: (id: string) => Effect.Effect<void, EmulatorError>
  /** Takes all faults back. */
  readonly removeFaults: Effect.Effect<void>
  /**
   * Ends all locks of an entity now, as if their time were over, and returns how many messages were under them: the messages wait
   * again with one more failed delivery. Where sessions are required it is their locks that end, and their receivers are
   * detached. Fails with EmulatorError where the entity does not exist.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const lost = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   const count = yield* emulator.loseLocks("orders")
   *   yield* Effect.log(`${count} messages come again`)
   * })
   * ```
   */
  readonly loseLocks: (entity: string | Receivable<unknown>) => Effect.Effect<number, EmulatorError>
  /**
   * Ends the lock of one session now, and returns how many messages were under it. Fails with EmulatorError where the entity does
   * not exist, and (`"notFound"`) where the session is not locked.
   */
  readonly loseSession: (
    entity: string | Receivable<unknown>,
    sessionId: string
  ) => Effect.Effect<number, EmulatorError>
  /**
   * Takes the broker off the network: connections are cut and new ones refused, what it holds stays. Its ports are kept from
   * programs that ask for any free one.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const outage = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* emulator.stop
   *   yield* Effect.sleep("10 seconds")
   *   yield* emulator.start
   * })
   * ```
   */
  readonly stop: Effect.Effect<void>
  /** Brings it back, on the ports that it had. Fails with EmulatorError where another program has taken one of them. */
  readonly start: Effect.Effect<void, EmulatorError>
  /**
   * Completes when nothing is on its way between the broker and its in-memory clients: under TestClock, everything that can
   * happen without time passing has happened.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   * import { TestClock } from "effect/testing"
   *
   * export const aMinuteLater = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   yield* TestClock.adjust("1 minute")
   *   yield* emulator.idle
   * })
   * ```
   */
  readonly idle: Effect.Effect<void>
  /** The namespaces that there are, of the whole broker: the default one first, the others in the order in which they came. */
  readonly namespaces: Effect.Effect<ReadonlyArray<NamespaceSummary>>
  /**
   * The controls of one namespace: what they read and change is its own, and `stop` and `start` are for it alone. Fails with
   * EmulatorError where there is none of this name (its `reason` is `"notFound"`).
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const left = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   const team = yield* emulator.namespace("team-a")
   *   return yield* team.messages("orders")
   * })
   * ```
   */
  readonly namespace: (name: string) => Effect.Effect<Controls, EmulatorError>
  /**
   * Makes a namespace, and gives its controls: clients of its `connectionString` meet no others. It is there until it is removed
   * or the broker ends.
   *
   * Fails with EmulatorError where it is there already (its `reason` is `"alreadyExists"`), where there are as many as the broker
   * takes (`"quotaExceeded"`), and where an option is not usable (`"invalid"`). Interrupting it leaves nothing half made.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import * as Emulator from "effect-service-bus/emulator"
   *
   * export const team = Effect.gen(function*() {
   *   const emulator = yield* Emulator.Emulator
   *   const { connectionString } = yield* emulator.createNamespace({ name: "team-a" })
   *   return connectionString
   * })
   * ```
   */
  readonly createNamespace: (options: NamespaceOptions) => Effect.Effect<Controls, EmulatorError>
  /**
   * Removes a namespace with all that is in it: its links are detached and its connections closed as not found. Fails with
   * EmulatorError where there is none of this name (`"notFound"`), and for the default one (`"invalid"`).
   */
  readonly removeNamespace: (name: string) => Effect.Effect<void, EmulatorError>
}

/**
 * What a way of listening adds.
 *
 * @category models
 * @since 0.1.0
 */
export type Network = Pick<
  Controls,
  // The client of the management API is internal: declarations that are packed do not have it.
  Extract<
    keyof Controls,
    | "port"
    | "tlsPort"
    | "webSocketPort"
    | "httpPort"
    | "httpsPort"
    | "certificate"
    | "httpClient"
    | "reached"
    | "connectionString"
    | "stop"
    | "start"
  >
>

/** What a way of listening adds for a namespace. @internal */
export type NetworkOf = (namespace: Namespace) => Network

/** What is to be controlled. @internal */
export interface Started {
  readonly namespaces: Namespaces
  readonly requests: BrokerMetrics.HttpRequests
  readonly dispatcher: Dispatcher.Dispatcher
  readonly network: NetworkOf
  /** Has what has changed be kept; false where it cannot be. Undefined where nothing is kept. */
  readonly commit?: (() => boolean) | undefined
}

/** What takes the broker off the network and brings it back; of a namespace that shares it, the namespace alone. @internal */
export const powerOf = (
  namespace: Namespace,
  broker: Pick<Controls, "stop" | "start">
): Pick<Controls, "stop" | "start"> =>
  namespace.isFirst ? broker : {
    stop: Effect.sync(() => namespace.stop()),
    start: Effect.sync(() => namespace.start())
  }

/** What a test gives may be anything; what cannot be used is told by its name, not as a defect. @internal */
export const usable = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | EmulatorError, R> =>
  Effect.catchDefect(
    effect,
    (cause) =>
      Effect.fail(
        new EmulatorError({
          problem: `${what} are not usable: ${cause instanceof Error ? cause.message : typeof cause}`,
          cause
        })
      )
  )

/** A value that may be of any kind, in an error. */
const shown = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value.slice(0, 300)) : `a value of the type ${typeof value}`

const invalid = (problem: string): Effect.Effect<never, EmulatorError> => Effect.fail(new EmulatorError({ problem }))

const missing = (path: unknown): Effect.Effect<never, EmulatorError> =>
  Effect.fail(
    new EmulatorError({
      reason: "notFound",
      problem: `it has no entity "${String(path)}"; declare it where the broker starts, or create it`
    })
  )

/** Messages are encoded in one step. */
const writer = new Writer()

/** The controls of each namespace. @internal */
export const make = (started: Started): (namespace: Namespace) => Controls => {
  const made = new WeakMap<Namespace, Controls>()
  const controlsOf = (namespace: Namespace): Controls => {
    const before = made.get(namespace)
    if (before !== undefined) return before
    const controls = of(started, namespace, controlsOf)
    made.set(namespace, controls)
    return controls
  }
  return controlsOf
}

/** What a program gives a namespace, checked. */
const contentOf = Effect.fnUntraced(function*({ entities, key, policies }: NamespaceOptions) {
  return {
    ...(entities === undefined ? {} : { entities }),
    key: key === undefined ? randomKey() : yield* Policies.keyOf("key", key),
    ...(policies === undefined ? {} : { policies: yield* Policies.policiesOf(policies) })
  }
})

const of = (
  { commit, dispatcher, namespaces, network, requests }: Started,
  namespace: Namespace,
  controlsOf: (namespace: Namespace) => Controls
): Controls => {
  const { broker, clock } = namespace
  const now = Effect.sync(() => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe()))
  const queueOf = (entity: string | ServiceBusEntity.Any): Effect.Effect<Broker.Queue, EmulatorError> =>
    Effect.suspend(() => {
      const { path } = ServiceBusEntity.contractOf(entity)
      const queue = typeof path === "string" ? broker.queue(path) : undefined
      return queue === undefined
        ? missing(path)
        : Effect.succeed(queue)
    })
  const list = <E extends string | ServiceBusEntity.Any>(
    queue: Broker.Queue,
    entity: E,
    messages = queue.messages()
  ): ReadonlyArray<MessageIn<E>> => {
    type Body = ServiceBusEntity.BodyOf<E>
    const contract = ServiceBusEntity.contractOf(entity)
    const body = contract.body as ServiceBusBody.ServiceBusBody<Body, never>
    const properties = ServiceBusEntity.propertiesOf(contract)
    return messages.map((message) => {
      const bytes = outgoing(message, undefined)
      const sections = new Sections(bytes, 0, bytes.length)
      const decoded = body.decode(sections.readBody())
      const declared = declaredIn(sections, properties)
      // What does not decode is there all the same; a test looks at the other fields.
      return new Destructive(
        sections,
        Result.isSuccess(decoded) ? decoded.success : undefined as Body,
        Result.isSuccess(declared) ? declared.success : undefined
      ) as Destructive<Body> & ServiceBusEntity.PropertiesOf<E>
    })
  }
  /** Encodes messages with a codec, and has the queue of an entity store them. */
  const put = <In>(
    entity: string | ServiceBusEntity.Any,
    messages: ReadonlyArray<OutgoingMessage<In>>,
    store: (
      queue: Broker.Queue,
      messages: ReadonlyArray<Broker.IncomingMessage>
    ) => Result.Result<unknown, Broker.Refusal>
  ): Effect.Effect<void, EmulatorError | MessageEncodeError> =>
    Effect.flatMap(
      queueOf(entity),
      (queue) =>
        Effect.suspend((): Effect.Effect<void, EmulatorError | MessageEncodeError> => {
          const contract = ServiceBusEntity.contractOf(entity)
          const { body, path } = contract
          const declared = ServiceBusEntity.propertiesOf(contract)
          // Codecs encode what they decode.
          const codec = body as ServiceBusBody.ServiceBusBody<unknown, In>
          const stored: Array<Broker.IncomingMessage> = []
          for (const message of messages) {
            if (typeof message !== "object" || message === null) {
              const description = "expected an object with a body"
              return Effect.fail(new MessageEncodeError({ entity: path, part: "message", description }))
            }
            const encoded = codec.encode(message.body)
            if (Result.isFailure(encoded)) {
              return Effect.fail(new MessageEncodeError({ entity: path, part: "body", description: encoded.failure }))
            }
            try {
              const properties = declared && declaredProperties(declared, message.applicationProperties)
              encode(writer, message, encoded.success, codec.contentType, clock, undefined, undefined, properties)
              stored.push(incoming(writer.take()))
            } catch (error) {
              writer.reset()
              return Effect.fail(new MessageEncodeError({ entity: path, ...problemOf("message", error) }))
            }
          }
          const sent = store(queue, stored)
          return Result.isSuccess(sent)
            ? Effect.void
            : Effect.fail(notTaken(path, sent.failure))
        })
    )
  /** The outcome of an operation that names messages. */
  const taken = (result: Result.Result<number, Broker.Refusal>): Effect.Effect<number, EmulatorError> =>
    Effect.mapError(
      Effect.fromResult(result),
      ({ _tag, detail = _tag, entity }) =>
        new EmulatorError({
          reason: _tag === "MessageNotFound" || _tag === "EntityNotFound" ? "notFound" : "invalid",
          problem: `"${entity}": ${detail}`
        })
    )
  const addFault = (fault: Fault.Fault, otherwise?: "every") =>
    usable(
      "the fault's options",
      Effect.flatMap(
        Fault.read(fault, otherwise),
        (read) => Effect.map(expectEntity("A fault", read.entity), () => namespace.faults.add(read))
      )
    )
  // It may be made later, and what is to happen then may be what the test is about.
  const expectEntity = (what: string, path: string | undefined) =>
    Effect.suspend(() =>
      path === undefined || broker.queue(path) !== undefined
        ? Effect.void
        : Effect.logWarning(`${what} is for ${shown(path)}, of which nothing is there by now: is the name right?`)
    )
  /** What a control has changed is kept when it is over. */
  const kept = <A, E>(change: Effect.Effect<A, E>): Effect.Effect<A, E | EmulatorError> =>
    commit === undefined ? change : Effect.tap(change, () =>
      Effect.suspend(() =>
        commit()
          ? Effect.void
          : Effect.fail(
            new EmulatorError({
              reason: "unavailable",
              problem: "its data cannot be written, and will be once there is room on the disk"
            })
          )
      ))
  return {
    ...network(namespace),
    observe: () =>
      namespace.isFirst
        ? BrokerMetrics.observe(namespaces.list(), requests)
        : BrokerMetrics.observe([namespace], undefined),
    tokenCredential: namespace.tokenCredential,
    messages: (entity) => Effect.map(queueOf(entity), (queue) => list(queue, entity)),
    deadLetters: (entity) =>
      Effect.flatMap(
        queueOf(entity),
        ({ deadLetterQueue, path }) =>
          deadLetterQueue === undefined
            ? invalid(`"${path}" has no dead letters: a queue or a subscription has`)
            : Effect.succeed(list(deadLetterQueue, entity))
      ),
    send: (entity, messages) =>
      kept(usable(
        "the messages",
        put(entity, messages, (queue, stored) => queue.send(stored))
      )),
    failTransfer: (entity, messages, why) =>
      kept(usable(
        "the messages",
        put(
          entity,
          messages,
          (queue, stored) => queue.failTransfer(stored, why?.reason, why?.description)
        )
      )),
    counters: (entity) => Effect.map(queueOf(entity), (queue) => ({ ...queue.counters })),
    rules: (subscription) =>
      Effect.flatMap(queueOf(subscription), ({ path, rules }) =>
        rules === undefined
          ? Effect.fail(new EmulatorError({ problem: `"${path}" has no rules; a subscription has` }))
          : Effect.succeed(rules.list())),
    runtime: (entity) =>
      Effect.suspend(() => {
        const { path } = ServiceBusEntity.contractOf(entity)
        const runtime = typeof path === "string" ? broker.runtime(path) : undefined
        if (runtime === undefined) return missing(path)
        const { accessedAt, createdAt, filterCounts: _, updatedAt, ...counts } = runtime
        return Effect.succeed({
          ...counts,
          totalMessageCount: counts.activeMessageCount + counts.deadLetterMessageCount +
            counts.scheduledMessageCount + counts.transferMessageCount + counts.transferDeadLetterMessageCount,
          createdAt: DateTime.makeUnsafe(createdAt),
          updatedAt: DateTime.makeUnsafe(updatedAt),
          accessedAt: DateTime.makeUnsafe(accessedAt)
        })
      }),
    create: (entity) => kept(usable("the options", Effect.suspend(() => Effect.fromResult(broker.create(entity))))),
    update: (entity: string | Declared, options: Broker.EntityOptions) =>
      kept(usable(
        "the options",
        Effect.suspend(() => Effect.fromResult(broker.update(ServiceBusEntity.contractOf(entity).path, options)))
      )),
    delete: (entity) =>
      kept(Effect.suspend(() => Effect.fromResult(broker.delete(ServiceBusEntity.contractOf(entity).path)))),
    now,
    advance: (by) =>
      kept(Effect.suspend(() => {
        const { clock } = namespace
        if (!(clock instanceof ManualClock)) {
          return invalid(
            "its time is the real one: start it with --clock manual (clock: \"manual\" in a program) to advance it, " +
              "or adjust TestClock where a test has that"
          )
        }
        const millis = Number.isNaN(by)
          ? NaN
          : Duration.toMillis(Option.getOrElse(Duration.fromInput(by), () => Duration.infinity))
        return millis >= 0 && clock.currentTimeMillisUnsafe() + millis <= ManualClock.latest
          ? Effect.andThen(clock.advance(millis), now)
          : invalid("a clock is advanced by a finite duration of 0 or more, and not beyond the year 9999")
      })),
    scheduled: (entity) =>
      Effect.map(
        queueOf(entity),
        (queue) => list(queue, entity, queue.messages().filter(({ state }) => state === "scheduled"))
      ),
    deliver: (entity, sequenceNumbers) =>
      kept(usable(
        "the sequence numbers",
        Effect.flatMap(queueOf(entity), (queue) => taken(queue.enqueueScheduled(sequenceNumbers)))
      )),
    reschedule: (entity, at, sequenceNumbers) =>
      kept(usable(
        "the time and the sequence numbers",
        Effect.flatMap(queueOf(entity), (queue) =>
          taken(queue.reschedule(sequenceNumbers, (millis) => {
            const time = typeof at === "function" ? at(DateTime.makeUnsafe(millis)) : at
            const given = DateTime.isDateTime(time) ? DateTime.toEpochMillis(time) : NaN
            if (given <= ManualClock.latest && given >= -ManualClock.latest) return given
            throw new RangeError("a time is a DateTime that is not beyond the year 9999")
          })))
      )),
    reset: (entity) =>
      kept(Effect.suspend(() =>
        entity === undefined
          ? Effect.succeed(namespace.reset())
          : Effect.fromResult(broker.reset(ServiceBusEntity.contractOf(entity).path))
      )),
    dump: (entities) =>
      Effect.suspend(() => {
        if (entities === undefined) return Effect.fromResult(Dump.dump(broker, broker.declarations()))
        if (!Array.isArray(entities)) return invalid(`what is dumped is an array of entities, not ${shown(entities)}`)
        const declarations: Array<Broker.Declaration> = []
        for (const entity of entities) {
          const { path } = ServiceBusEntity.contractOf(entity)
          const declaration = typeof path === "string" ? broker.declaration(path) : undefined
          if (declaration === undefined) return missing(path)
          declarations.push(declaration)
        }
        return Effect.fromResult(Dump.dump(broker, declarations))
      }),
    load: (dump) =>
      kept(
        Effect.suspend(() =>
          Effect.fromResult(Result.flatMap(Dump.read(dump, clock.currentTimeMillisUnsafe()), broker.load))
        )
      ),
    connections: Effect.sync(() => namespace.connections.size),
    dropConnections: Effect.sync(() => namespace.dropConnections()),
    closeConnections: (error) =>
      Effect.sync(() => {
        for (const connection of [...namespace.connections]) connection.close(error)
      }),
    detachLinks: (error, entity) =>
      Effect.map(expectEntity("A detachment", pathOf(entity)), () => {
        const path = pathOf(entity)
        for (const connection of [...namespace.connections]) {
          for (const [link, address] of [...connection.links]) {
            if (path === undefined || address.toLowerCase() === path) connection.detach(link, error)
          }
        }
      }),
    endSessions: (error) =>
      Effect.sync(() => {
        for (const connection of [...namespace.connections]) {
          for (const session of new Set([...connection.links.keys()].map((link) => link.session))) {
            connection.endSession(session, error)
          }
        }
      }),
    fail: (fault) => Effect.map(addFault(fault), Fault.statusOf),
    inject: (fault) =>
      Effect.map(
        Effect.acquireRelease(
          addFault(fault, "every"),
          ({ id }) => Effect.sync(() => namespace.faults.remove(id))
        ),
        (added) => ({ id: added.id, hits: Effect.sync(() => added.hits) })
      ),
    faults: Effect.sync(() => namespace.faults.list().map(Fault.statusOf)),
    removeFault: (id) =>
      Effect.suspend(() =>
        namespace.faults.remove(id)
          ? Effect.void
          : Effect.fail(new EmulatorError({ reason: "notFound", problem: `it has no fault with the id ${shown(id)}` }))
      ),
    removeFaults: Effect.sync(() => namespace.faults.clear()),
    loseLocks: (entity) => kept(Effect.map(queueOf(entity), (queue) => queue.loseLocks())),
    loseSession: (entity, sessionId) =>
      kept(Effect.flatMap(queueOf(entity), ({ path, sessions }) =>
        Effect.fromNullishOr(sessions?.lose(sessionId)).pipe(
          Effect.mapError(() =>
            new EmulatorError({
              reason: "notFound",
              problem: `"${path}" has no locked session ${shown(sessionId)}`
            })
          )
        ))),
    idle: dispatcher.idle,
    namespaces: Effect.sync(() =>
      namespaces.list().map((each) => ({
        name: each.name,
        isByUse: namespaces.isByUse(each),
        connections: each.connections.size,
        createdAt: DateTime.makeUnsafe(each.createdAt)
      }))
    ),
    namespace: (name) =>
      Effect.suspend(() => {
        const found = typeof name === "string" ? namespaces.get(name) : undefined
        return found === undefined
          ? Effect.fail(new EmulatorError({ reason: "notFound", problem: `it has no namespace ${shown(name)}` }))
          : Effect.succeed(controlsOf(found))
      }),
    createNamespace: (options) =>
      kept(usable(
        "the options of the namespace",
        Effect.flatMap(
          contentOf(options),
          (content) => Effect.map(Effect.fromResult(namespaces.create(options.name, content)), controlsOf)
        )
      )),
    removeNamespace: (name) =>
      kept(Effect.suspend(() =>
        typeof name === "string"
          ? Effect.fromResult(namespaces.remove(name))
          : Effect.fail(new EmulatorError({ reason: "notFound", problem: `it has no namespace ${shown(name)}` }))
      ))
  }
}

const pathOf = (entity: Receivable<unknown> | string | undefined): string | undefined =>
  (typeof entity === "string" ? entity : entity?.path)?.toLowerCase()
