/**
 * Contracts: a queue, a topic or a subscription as a value that carries its name, whether it has sessions and how its
 * bodies, and the application properties that it declares, are encoded.
 *
 * The kind of a contract is part of its type: a topic has no receivers, a subscription no senders, a queue with
 * sessions is received through a session and every message sent to it names one. A plain entity name stands for a
 * contract with a body of bytes.
 *
 * One file because the kinds are told apart by the types of all of them.
 *
 * @module
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ServiceBusBody from "./ServiceBusBody.ts"
import type {
  MessageWithOptionalProperties,
  MessageWithProperties,
  OutgoingMessage,
  SessionMessage,
  WithProperties
} from "./ServiceBusMessage.ts"
import * as ServiceBusProperties from "./ServiceBusProperties.ts"

const TypeId = "~effect-service-bus/ServiceBusEntity"

/**
 * What all contracts have: `path` is the entity's address in the namespace.
 *
 * @category models
 * @since 0.1.0
 */
export interface Contract<out A, in In = A> {
  readonly [TypeId]: typeof TypeId
  /** The address in the namespace: `orders`, `news/Subscriptions/sport`, `orders/$DeadLetterQueue`. */
  readonly path: string
  /** How bodies are encoded and decoded. */
  readonly body: ServiceBusBody.ServiceBusBody<A, In>
  /** The type of a received body, for `typeof Orders.Type`. A type only: there is no such value. */
  readonly Type: A
}

/**
 * A queue without sessions.
 *
 * @category models
 * @since 0.1.0
 */
export interface Queue<out A, in In = A> extends Contract<A, In> {
  readonly _tag: "Queue"
  readonly name: string
}

/**
 * A queue whose messages belong to sessions; `S` is the state of a session. A queue whose state is of any type is one that is
 * read as `unknown` and written as `never`.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionQueue<out A, in In = A, out S = Uint8Array, in SIn = S> extends Contract<A, In> {
  readonly _tag: "SessionQueue"
  readonly name: string
  /** How the state of a session is encoded and decoded. */
  readonly sessionState: ServiceBusBody.ServiceBusBody<S, SIn>
}

/**
 * A topic: send only.
 *
 * @category models
 * @since 0.1.0
 */
export interface Topic<out A, in In = A> extends Contract<A, In> {
  readonly _tag: "Topic"
  readonly name: string
}

/**
 * A topic with a subscription that has sessions: every message names a session.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionTopic<out A, in In = A> extends Contract<A, In> {
  readonly _tag: "SessionTopic"
  readonly name: string
}

/**
 * A subscription without sessions: receive only.
 *
 * @category models
 * @since 0.1.0
 */
export interface Subscription<out A> extends Contract<A, never> {
  readonly _tag: "Subscription"
  readonly topic: string
  readonly name: string
}

/**
 * A subscription with sessions: receive only; `S` is the state of a session.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionSubscription<out A, out S = Uint8Array, in SIn = S> extends Contract<A, never> {
  readonly _tag: "SessionSubscription"
  readonly topic: string
  readonly name: string
  /** How the state of a session is encoded and decoded. */
  readonly sessionState: ServiceBusBody.ServiceBusBody<S, SIn>
}

/**
 * The dead-letter sub-queue of a queue or subscription: receive only, never with sessions.
 *
 * @category models
 * @since 0.1.0
 */
export interface SubQueue<out A> extends Contract<A, never> {
  readonly _tag: "SubQueue"
  /** The path of the entity that it belongs to. */
  readonly of: string
}

/**
 * What a contract has beside its kind where it declares application properties: `F` are their Schemas, and `M` is the message
 * that can be sent, which has them. The kind itself says that nothing can be sent (`In` is `never`), so that what knows
 * of no properties sends none without them.
 *
 * @category models
 * @since 0.1.0
 */
export interface WithDeclaredProperties<out F extends ServiceBusProperties.Fields, in M> {
  /** How the declared properties are encoded and decoded. */
  readonly properties: ServiceBusProperties.ServiceBusProperties<F>
  /** What takes the message that can be sent. A type only: there is no such value. */
  readonly Takes: Take<M>
}

/** @inline */
type Take<M> = (message: M) => void

/**
 * What can be sent to without a session.
 *
 * @category models
 * @since 0.1.0
 */
export type Sendable<A, In = A> = Queue<A, In> | Topic<A, In>

/**
 * What can only be sent to with a session id.
 *
 * @category models
 * @since 0.1.0
 */
export type SessionSendable<A, In = A> = SessionQueue<A, In, unknown, never> | SessionTopic<A, In>

/**
 * What can be received from without accepting a session.
 *
 * @category models
 * @since 0.1.0
 */
export type Receivable<A> = Queue<A, never> | Subscription<A> | SubQueue<A>

/**
 * What is received from through sessions.
 *
 * @category models
 * @since 0.1.0
 */
export type SessionReceivable<A, S, SIn = S> = SessionQueue<A, never, S, SIn> | SessionSubscription<A, S, SIn>

/**
 * What has sub-queues: whatever is received from, but no sub-queue itself.
 *
 * @category models
 * @since 0.1.0
 */
export type WithSubQueues<A> = Queue<A, never> | Subscription<A> | SessionReceivable<A, unknown, never>

/**
 * Any contract.
 *
 * @category models
 * @since 0.1.0
 */
export type Any =
  | Queue<unknown, never>
  | SessionQueue<unknown, never, unknown, never>
  | Topic<unknown, never>
  | SessionTopic<unknown, never>
  | Subscription<unknown>
  | SessionSubscription<unknown, unknown, never>
  | SubQueue<unknown>

/**
 * The body of what is received from an entity, which is given by its name or as a contract: bytes by its name, and where it
 * may be one of several contracts, the bodies of all of them.
 *
 * @category models
 * @since 0.1.0
 */
export type BodyOf<E extends string | Any> = E extends string ? Uint8Array
  : E extends Contract<infer A, never> ? A
  : never

/**
 * What a message that is received from an entity has beside its fields: the application properties that its contract declares.
 * Nothing where it declares none, or is given by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type PropertiesOf<E extends string | Any> = E extends WithDeclaredProperties<infer F, never>
  ? WithProperties<ServiceBusProperties.Type<F>>
  : unknown

/**
 * The message that can be sent to an entity, which is given by its name or as a contract; where it may be one of several
 * contracts, a message that all of them take.
 *
 * @category models
 * @since 0.1.0
 */
export type MessageTo<E extends string | Any> = [
  E extends string ? (message: OutgoingMessage<Uint8Array>) => void
    : E extends WithDeclaredProperties<ServiceBusProperties.Fields, infer M> ? (message: M) => void
    : E extends SessionQueue<unknown, infer In, unknown, never> | SessionTopic<unknown, infer In>
      ? (message: SessionMessage<In>) => void
    : E extends Queue<unknown, infer In> | Topic<unknown, infer In> ? (message: OutgoingMessage<In>) => void
    : never
] extends [infer Take] ? [Take] extends [never] ? never : [Take] extends [(message: infer M) => void] ? M : never
  : never

/**
 * The body that can be sent to an entity, which is given by its name or as a contract.
 *
 * @category models
 * @since 0.1.0
 */
export type InputOf<E extends string | Any> = MessageTo<E> extends { readonly body: infer In } ? In
  : never

/**
 * The state of a session of an entity, which is given as a contract.
 *
 * @category models
 * @since 0.1.0
 */
export type StateOf<E extends string | Any> = E extends
  { readonly sessionState: ServiceBusBody.ServiceBusBody<infer S, never> } ? S
  : never

// What a function does not take is part of the bound of its argument, beside what it takes: as a type that no value has, and that
// has a text for a name. So the compiler shows the text of the kind that was given, and a function over any contract of a kind
// that fits needs no more than that kind for a bound.

/**
 * What no argument is: its text says what to do instead.
 *
 * @category refusals
 * @since 0.1.0
 */
export interface Refused<out Advice extends string> {
  readonly refused: Advice
}

/**
 * A kind of contracts that is not taken, as a type that no contract has.
 *
 * @category refusals
 * @since 0.1.0
 */
export type Not<C, Advice extends string> = C extends unknown ? C & Refused<Advice> : never

/**
 * What is not received from without a session: no value is one, and the compiler shows its text.
 *
 * @category refusals
 * @since 0.1.0
 */
export type NotReceivable =
  | Not<
    AnyTopic,
    "A topic is only sent to. Receive from a subscription of it: ServiceBusEntity.subscription(topic, name)"
  >
  | Not<
    SessionReceivable<unknown, unknown, never>,
    "This entity has sessions. Receive by ServiceBusSession.accept or acceptNext, or by ServiceBusProcessor.processSessions or layerSessions"
  >

/**
 * What is not received from through sessions: no value is one, and the compiler shows its text.
 *
 * @category refusals
 * @since 0.1.0
 */
export type NotSessionReceivable =
  | Not<
    AnyTopic,
    "A topic is only sent to. Receive from a subscription of it: ServiceBusEntity.subscription(topic, name, { sessions: true })"
  >
  | Not<
    SubQueue<unknown>,
    "A sub-queue has no sessions. Receive by ServiceBusReceiver.make, or by ServiceBusProcessor.make, process or layer"
  >
  | Not<
    Queue<unknown, never> | Subscription<unknown>,
    "This contract has no sessions. Receive by ServiceBusReceiver.make, or by ServiceBusProcessor.make, process or layer; or declare sessions: true where the entity requires them"
  >

/**
 * What every contract has and a plain name has not: where a name is given the compiler shows the text.
 *
 * @category refusals
 * @since 0.1.0
 */
export interface NoName<
  out Advice extends string =
    "A plain name has no sessions. Give a contract: ServiceBusEntity.queue(name, { body, sessions: true })"
> {
  readonly path: string
  readonly advice?: Advice
}

/**
 * What is not sent to: no value is one, and the compiler shows its text.
 *
 * @category refusals
 * @since 0.1.0
 */
export type NotSendable =
  | Not<SubQueue<unknown>, "A sub-queue is only received from. Send to the entity that it belongs to">
  | Not<
    Subscription<unknown> | SessionSubscription<unknown, unknown, never>,
    "A subscription is only received from. Send to its topic"
  >

/**
 * What has no sub-queues: no value is one, and the compiler shows its text.
 *
 * @category refusals
 * @since 0.1.0
 */
export type NotWithSubQueues =
  | Not<AnyTopic, "A topic has no dead letters. Its subscriptions have">
  | Not<SubQueue<unknown>, "A sub-queue has no sub-queues. Give the entity that it belongs to">

/**
 * What has no subscriptions: no value is one, and the compiler shows its text.
 *
 * @category refusals
 * @since 0.1.0
 */
export type NotTopic = Not<Exclude<Any, AnyTopic>, "Only a topic has subscriptions">

/**
 * What has no rules: no value is one, and the compiler shows its text.
 *
 * @category refusals
 * @since 0.1.0
 */
export type NotSubscription = Not<
  Exclude<Any, Subscription<unknown> | SessionSubscription<unknown, unknown, never>>,
  "Only a subscription has rules. Give the contract of one: ServiceBusEntity.subscription(topic, name)"
>

/** @inline */
type AnyTopic = Topic<unknown, never> | SessionTopic<unknown, never>

/** @inline */
type Type<B> = ServiceBusBody.Type<B>

/** @inline */
type Input<B> = ServiceBusBody.Input<B>

/** What the kind of a contract says that can be sent. @inline */
type Taken<B, P> = [P] extends [undefined] ? Input<B> : never

/** What a contract has of the properties that it declares. @inline */
type Declared<B, P, Sessions> = [P] extends [undefined] ? unknown : WithDeclaredProperties<
  ServiceBusProperties.FieldsOf<P>,
  & MessageOf<Input<B>, ServiceBusProperties.Input<ServiceBusProperties.FieldsOf<P>>>
  & (Sessions extends true ? { readonly sessionId: string } : unknown)
>

/** @inline */
type MessageOf<In, P> = {} extends P ? MessageWithOptionalProperties<In, P> : MessageWithProperties<In, P>

/** What of it what is only received from has. @inline */
type DeclaredBy<E> = E extends WithDeclaredProperties<infer F, never> ? WithDeclaredProperties<F, never> : unknown

/** Anything with sessions; otherwise the text that the compiler is to show. @inline */
type WithSessions<Sessions> = Sessions extends true ? unknown
  : "sessionState is the state of sessions: say sessions: true"

// What is no contract, or has no options, is refused where it is used.

/** Bytes where nothing else is said: `S` is that by default. */
const stateOf = (state: ServiceBusBody.CodecOrSchema | undefined) => ServiceBusBody.from(state ?? ServiceBusBody.bytes)

type Fields<C> = C extends unknown ? Omit<C, "Type"> : never

/** The field of a contract that declares properties. */
interface Declaring {
  readonly properties: ServiceBusProperties.ServiceBusProperties
}

const declaredIn = (source: ServiceBusProperties.FieldsOrStruct | undefined): Declaring | {} =>
  source === undefined ? {} : { properties: ServiceBusProperties.from(source) }

/** A subscription has the properties of its topic, and a sub-queue those of what it belongs to. */
const inherited = (parent: Any): Declaring | {} => {
  const properties = propertiesOf(parent)
  return properties === undefined ? {} : { properties }
}

/**
 * How the application properties of a contract are encoded and decoded; undefined where it declares none.
 *
 * @internal
 */
export const propertiesOf = (
  entity: Any
): ServiceBusProperties.ServiceBusProperties | undefined => (entity as Partial<Declaring>).properties

/** A contract of its fields; `Type` has no value. */
const typed = <C extends Contract<unknown, never>>(fields: Fields<Any>): C => fields as unknown as C

/**
 * A queue. `body` is a Schema, which means JSON, or a codec of `ServiceBusBody`. `sessions: true` says that the entity requires
 * sessions; `sessionState` is how the state of a session is encoded, bytes by default.
 *
 * The contract is checked where it is used, with InvalidOptionError: its name (at most 260 characters, letters, digits, `.`,
 * `-`, `_`, `~` and inner `/`: Service Bus naming rules), that its body is a Schema or a codec, that its properties are
 * Schemas, and that no Schema waits.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })
 *
 * export const Orders = ServiceBusEntity.queue("orders", { body: Order })
 * export const Carts = ServiceBusEntity.queue("carts", {
 *   body: ServiceBusBody.text,
 *   sessions: true,
 *   sessionState: Schema.Int
 * })
 *
 * export const isFree = (order: typeof Orders.Type) => order.total === 0
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const queue = <
  B extends ServiceBusBody.CodecOrSchema,
  Sessions extends boolean = false,
  S extends ServiceBusBody.CodecOrSchema = ServiceBusBody.ServiceBusBody<Uint8Array>,
  const P extends ServiceBusProperties.FieldsOrStruct | undefined = undefined
>(name: string, options: {
  readonly body: B
  readonly properties?: P
  readonly sessions?: Sessions | undefined
  readonly sessionState?: S & WithSessions<Sessions> | undefined
}):
  & (Sessions extends true ? SessionQueue<Type<B>, Taken<B, NoInfer<P>>, Type<S>, Input<S>>
    : Queue<Type<B>, Taken<B, NoInfer<P>>>)
  & Declared<B, NoInfer<P>, Sessions> =>
{
  const contract = {
    [TypeId]: TypeId,
    name,
    path: name,
    body: ServiceBusBody.from(options?.body),
    ...declaredIn(options?.properties)
  } as const
  return typed(
    options?.sessions === true
      ? { ...contract, _tag: "SessionQueue", sessionState: stateOf(options.sessionState) }
      : { ...contract, _tag: "Queue" }
  )
}

/**
 * A topic. `sessions: true` says that a subscription of it requires sessions, so that every message must name one. `properties`
 * declares application properties, as a queue's do; its subscriptions have them too, and rules filter by them.
 *
 * Its name is checked as a queue's is.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
 *
 * export const Orders = ServiceBusEntity.topic("orders", {
 *   body: Schema.Struct({ id: Schema.String }),
 *   properties: { region: Schema.String, total: Schema.Finite }
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const topic = <
  B extends ServiceBusBody.CodecOrSchema,
  Sessions extends boolean = false,
  const P extends ServiceBusProperties.FieldsOrStruct | undefined = undefined
>(name: string, options: {
  readonly body: B
  readonly properties?: P
  readonly sessions?: Sessions | undefined
}):
  & (Sessions extends true ? SessionTopic<Type<B>, Taken<B, NoInfer<P>>> : Topic<Type<B>, Taken<B, NoInfer<P>>>)
  & Declared<B, NoInfer<P>, Sessions> =>
  typed({
    [TypeId]: TypeId,
    _tag: options?.sessions === true ? "SessionTopic" : "Topic",
    name,
    path: name,
    body: ServiceBusBody.from(options?.body),
    ...declaredIn(options?.properties)
  })

/**
 * A subscription of a topic, which is given as a contract or by its plain name (a body of bytes): its bodies and its
 * application properties are the topic's.
 *
 * Its name is checked where the contract is used, with InvalidOptionError: at most 50 characters, and no `/`.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
 *
 * export const Sport = ServiceBusEntity.subscription(News, "sport")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const subscription = <
  E extends string | AnyTopic | NotTopic,
  Sessions extends boolean = false,
  S extends ServiceBusBody.CodecOrSchema = ServiceBusBody.ServiceBusBody<Uint8Array>
>(of: E, name: string, options?: {
  readonly sessions?: Sessions | undefined
  readonly sessionState?: S & WithSessions<Sessions> | undefined
}):
  & (Sessions extends true ? SessionSubscription<BodyOf<E>, Type<S>, Input<S>> : Subscription<BodyOf<E>>)
  & DeclaredBy<E> =>
{
  const parent = contractOf(of)
  // A topic's path is its name.
  const { body, path: topic } = parent
  const contract = { [TypeId]: TypeId, topic, name, path: pathOf(topic, name), body, ...inherited(parent) } as const
  return typed(
    options?.sessions === true
      ? { ...contract, _tag: "SessionSubscription", sessionState: stateOf(options.sessionState) }
      : { ...contract, _tag: "Subscription" }
  )
}

/**
 * The dead-letter sub-queue of a queue or subscription, given as a contract or as a plain name (a body of bytes): messages
 * that could not be delivered, that expired, or that a handler rejected.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const first = Effect.gen(function*() {
 *   const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Orders))
 *   return yield* receiver.receive()
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const deadLetter = <E extends string | WithSubQueues<unknown> | NotWithSubQueues>(
  entity: E
): SubQueue<BodyOf<E>> & DeclaredBy<E> => subQueue(entity, "$DeadLetterQueue")

/**
 * The transfer dead-letter sub-queue of a queue or subscription, given as a contract or as a plain name (a body of bytes):
 * messages that were sent by way of the entity, in a transaction across entities, and could not be delivered.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const receiver = ServiceBusReceiver.make(ServiceBusEntity.transferDeadLetter(Orders))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const transferDeadLetter = <E extends string | WithSubQueues<unknown> | NotWithSubQueues>(
  entity: E
): SubQueue<BodyOf<E>> & DeclaredBy<E> => subQueue(entity, "$Transfer/$DeadLetterQueue")

const subQueue = <C extends SubQueue<unknown>>(entity: string | Any, name: string): C => {
  // What is no contract has a name that is refused.
  const contract = contractOf(entity)
  const { body, path } = contract
  return typed({
    [TypeId]: TypeId,
    _tag: "SubQueue",
    of: path,
    path: `${path}/${name}`,
    body,
    ...inherited(contract)
  })
}

/**
 * The name of a queue from configuration, by the variable of the official samples: `SERVICE_BUS_QUEUE_NAME`.
 *
 * Fails with ConfigError where it is missing or empty.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const queue = Effect.map(ServiceBusEntity.queueName, (name) =>
 *   ServiceBusEntity.queue(name, { body: ServiceBusBody.text }))
 * ```
 *
 * @category configuration
 * @since 0.1.0
 */
export const queueName: Config.Config<string> = Config.NonEmptyString("SERVICE_BUS_QUEUE_NAME")

/**
 * The name of a queue with sessions from configuration: `SERVICE_BUS_SESSION_QUEUE_NAME`. Fails as `queueName` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const queue = Effect.map(ServiceBusEntity.sessionQueueName, (name) =>
 *   ServiceBusEntity.queue(name, { body: ServiceBusBody.text, sessions: true }))
 * ```
 *
 * @category configuration
 * @since 0.1.0
 */
export const sessionQueueName: Config.Config<string> = Config.NonEmptyString("SERVICE_BUS_SESSION_QUEUE_NAME")

/**
 * The name of a topic from configuration: `SERVICE_BUS_TOPIC_NAME`. Fails as `queueName` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const topic = Effect.map(ServiceBusEntity.topicName, (name) =>
 *   ServiceBusEntity.topic(name, { body: ServiceBusBody.text }))
 * ```
 *
 * @category configuration
 * @since 0.1.0
 */
export const topicName: Config.Config<string> = Config.NonEmptyString("SERVICE_BUS_TOPIC_NAME")

/**
 * The name of a subscription from configuration: `SERVICE_BUS_SUBSCRIPTION_NAME`. Fails as `queueName` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const subscription = Effect.gen(function*() {
 *   const topic = ServiceBusEntity.topic(yield* ServiceBusEntity.topicName, { body: ServiceBusBody.text })
 *   return ServiceBusEntity.subscription(topic, yield* ServiceBusEntity.subscriptionName)
 * })
 * ```
 *
 * @category configuration
 * @since 0.1.0
 */
export const subscriptionName: Config.Config<string> = Config.NonEmptyString("SERVICE_BUS_SUBSCRIPTION_NAME")

/**
 * The id of a session from configuration: `SERVICE_BUS_SESSION_ID`. Fails as `queueName` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSession } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const cart = Effect.flatMap(ServiceBusEntity.sessionId, (id) => ServiceBusSession.accept(Carts, id))
 * ```
 *
 * @category configuration
 * @since 0.1.0
 */
export const sessionId: Config.Config<string> = Config.NonEmptyString("SERVICE_BUS_SESSION_ID")

/** The contract that a plain entity name stands for: a body of bytes, no sessions. @internal */
export const named = (name: string): Queue<Uint8Array> => queue(name, { body: ServiceBusBody.bytes })

/**
 * The contract of what a caller named: a contract, or a plain name. What is neither has a name that is refused.
 *
 * @internal
 */
export const contractOf = (entity: string | Any): Any => {
  try {
    if (typeof entity === "string") return named(entity)
    return typeof entity === "object" && entity !== null && isContract(entity) ? entity : unknown
  } catch {
    // What cannot even be read.
    return unknown
  }
}

/**
 * The contract of a subscription that a caller named by it, or by its path; undefined for what is none.
 *
 * @internal
 */
export const subscriptionOf = (
  entity: string | Any
): Extract<Any, { readonly _tag: "Subscription" | "SessionSubscription" }> | undefined => {
  const contract = contractOf(entity)
  if (contract._tag === "Subscription" || contract._tag === "SessionSubscription") return contract
  const [, topicName, name] = typeof entity === "string" ? /^(.+)\/subscriptions\/([^/]+)$/i.exec(entity) ?? [] : []
  return topicName === undefined || name === undefined
    ? undefined
    : subscription(topic(topicName, { body: contract.body }), name)
}

/** Stands for what is neither a name nor a contract; its name is refused. */
const unknown: Any = Object.freeze(named(""))

/** Whether a value has what a constructor of contracts gives it. */
const isContract = (entity: Any): boolean => {
  const { body, path } = entity
  if (typeof body !== "object" || body === null || typeof body.decode !== "function") return false
  switch (entity._tag) {
    case "Queue":
    case "SessionQueue":
    case "Topic":
    case "SessionTopic":
      return path === entity.name
    case "Subscription":
    case "SessionSubscription":
      return path === pathOf(entity.topic, entity.name)
    case "SubQueue":
      return typeof path === "string" && path.startsWith(`${entity.of}/$`)
    default:
      return false
  }
}

const pathOf = (topic: string, name: string): string =>
  typeof topic === "string" && typeof name === "string" ? `${topic}/Subscriptions/${name}` : ""

/**
 * Says what is wrong with the name of an entity, or nothing. A queue or topic has at most 260 characters, a
 * subscription 50; letters, digits, `.`, `-`, `_`, `~` and, except in a subscription, `/` inside (Service Bus naming rules).
 *
 * @internal
 */
export const problemOf = (entity: Any): string | undefined => {
  const check = (name: string, what: string, limit: number): string | undefined => {
    if (typeof name !== "string" || name === "") {
      return `the ${what} has no name`
    }
    if (name.length > limit) {
      return `the name of the ${what} has ${name.length} characters, at most ${limit} are allowed`
    }
    const slash = what !== "subscription"
    return /^[A-Za-z0-9]$|^[A-Za-z0-9][\w\-./~]*[A-Za-z0-9_~-]$/.test(name) && !name.includes(slash ? "//" : "/")
      // What makes a URL of it leaves these parts out: "a/../b" would be "b".
      ? /\/\.{1,2}\//.test(name) ? `the name of the ${what} has "." or ".." for a part of its path` : undefined
      : `the name of the ${what} may have letters, digits, ".", "-", "_", "~"${slash ? " and inner \"/\"" : ""} only`
  }
  switch (entity._tag) {
    case "Queue":
    case "SessionQueue":
      return check(entity.name, "queue", 260)
    case "Topic":
    case "SessionTopic":
      return check(entity.name, "topic", 260)
    case "Subscription":
    case "SessionSubscription":
      return check(entity.topic, "topic", 260) ?? check(entity.name, "subscription", 50)
    case "SubQueue":
      return check(entity.of, "entity", 330)
  }
}
