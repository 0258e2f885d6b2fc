/** The types of contracts and errors. */
import type { DefaultAzureCredential, TokenCredential } from "@azure/identity"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import type * as Stream from "effect/Stream"
import { expectTypeOf, test } from "vitest"
import type { AmqpValue } from "../../src/AmqpValue.ts"
import type * as ConnectionString from "../../src/ConnectionString.ts"
import * as errorMap from "../../src/internal/errorMap.ts"
import * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import type * as ServiceBusCredential from "../../src/ServiceBusCredential.ts"
import * as ServiceBusDeadLetters from "../../src/ServiceBusDeadLetters.ts"
import * as ServiceBusEntity from "../../src/ServiceBusEntity.ts"
import * as ServiceBusError from "../../src/ServiceBusError.ts"
import type * as ServiceBusMessage from "../../src/ServiceBusMessage.ts"
import * as ServiceBusProcessor from "../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../src/ServiceBusReceiver.ts"
import * as ServiceBusSender from "../../src/ServiceBusSender.ts"
import * as ServiceBusSession from "../../src/ServiceBusSession.ts"
import * as Settlement from "../../src/Settlement.ts"

class Order extends Schema.Class<Order>("Order")({
  id: Schema.String,
  total: Schema.Finite,
  note: Schema.optionalKey(Schema.String)
}) {
  get isFree() {
    return this.total === 0
  }
}

const body = ServiceBusBody.json(Order)

/** What a body takes and what it gives. */
type In<B> = B extends ServiceBusBody.ServiceBusBody<infer _A, infer I> ? I : never
type Out<B> = B extends ServiceBusBody.ServiceBusBody<infer A, never> ? A : never

interface OrderFields {
  readonly id: string
  readonly total: number
  readonly note?: string
}

test("a JSON body takes an instance or its fields and gives an instance", () => {
  expectTypeOf<Out<typeof body>>().toEqualTypeOf<Order>()
  expectTypeOf<OrderFields>().toExtend<In<typeof body>>()
  expectTypeOf<Order>().toExtend<In<typeof body>>()
  body.encode({ id: "1", total: 9.5 })
  body.encode(new Order({ id: "1", total: 9.5 }))
  // @ts-expect-error a key is missing
  body.encode({ id: "1" })
  // @ts-expect-error a field has the wrong type
  body.encode({ id: "1", total: "9.5" })
  // @ts-expect-error there is no such field
  body.encode({ id: "1", total: 9.5, sum: 1 })
  // @ts-expect-error an optional key is left out, not undefined
  body.encode({ id: "1", total: 9.5, note: undefined })
})

test("a JSON body takes and gives what the schema decodes to, not its JSON", () => {
  const rich = ServiceBusBody.json(Schema.Struct({ at: Schema.DateTimeUtcFromString, count: Schema.FiniteFromString }))
  expectTypeOf<Out<typeof rich>["count"]>().toEqualTypeOf<number>()
  expectTypeOf<In<typeof rich>["count"]>().toEqualTypeOf<number>()
  const defaulted = ServiceBusBody.json(Schema.Struct({
    version: Schema.Int.pipe(Schema.withConstructorDefault(Effect.succeed(1)))
  }))
  defaulted.encode({})
  expectTypeOf<Out<typeof defaulted>>().toEqualTypeOf<{ readonly version: number }>()
})

test("a Schema is a body by itself", () => {
  const Notes = ServiceBusEntity.queue("notes", { body: Order })
  expectTypeOf(Notes).toEqualTypeOf<ServiceBusEntity.Queue<Order, In<typeof body>>>()
  expectTypeOf<typeof Notes.Type>().toEqualTypeOf<Order>()
  const News = ServiceBusEntity.topic("news", {
    body: Schema.Struct({ at: Schema.DateTimeUtcFromString }),
    sessions: true
  })
  expectTypeOf<typeof News.Type>().toEqualTypeOf<{ readonly at: DateTime.Utc }>()
  const Sport = ServiceBusEntity.subscription(News, "sport", { sessions: true, sessionState: Schema.Int })
  expectTypeOf(Sport).toEqualTypeOf<
    ServiceBusEntity.SessionSubscription<{ readonly at: DateTime.Utc }, number>
  >()
  expectTypeOf<typeof Sport.Type>().toEqualTypeOf<typeof News.Type>()
  const Counted = ServiceBusEntity.queue("counted", { body: Order, sessions: true, sessionState: Schema.Int })
  expectTypeOf(Counted).toEqualTypeOf<ServiceBusEntity.SessionQueue<Order, In<typeof body>, number>>()
  expectTypeOf<typeof Counted.sessionState>().toEqualTypeOf<ServiceBusBody.ServiceBusBody<number>>()
  const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
  expectTypeOf<typeof Letters.Type>().toEqualTypeOf<string>()
  // @ts-expect-error neither a Schema nor a codec
  ServiceBusEntity.queue("notes", { body: 5 })
  // @ts-expect-error a body is required
  ServiceBusEntity.queue("notes", {})
  // @ts-expect-error a state belongs to sessions
  ServiceBusEntity.queue("notes", { body: Order, sessionState: Schema.Int })
})

test("a contract of any body of a type", () => {
  const queueOf = <A, In>(body: ServiceBusBody.ServiceBusBody<A, In>) => ServiceBusEntity.queue("any", { body })
  expectTypeOf(queueOf(ServiceBusBody.text)).toEqualTypeOf<ServiceBusEntity.Queue<string>>()
  const withSessions = (sessions: boolean) => ServiceBusEntity.queue("any", { body: ServiceBusBody.text, sessions })
  expectTypeOf(withSessions).returns.toEqualTypeOf<
    ServiceBusEntity.Queue<string> | ServiceBusEntity.SessionQueue<string>
  >()
})

test("a codec takes the services of a Schema with it", () => {
  const needs = Schema.String.pipe(Schema.decodeTo(Schema.String, {
    decode: SchemaGetter.transformEffect(open),
    encode: SchemaGetter.transformEffect(seal)
  }))
  expectTypeOf(ServiceBusBody.makeJson(needs)).toEqualTypeOf<
    Effect.Effect<ServiceBusBody.ServiceBusBody<string>, ServiceBusError.InvalidOptionError, Cipher | Keys>
  >()
  // @ts-expect-error decoding needs a service
  ServiceBusEntity.queue("orders", { body: needs })
  // @ts-expect-error decoding needs a service
  ServiceBusEntity.topic("orders", { body: Schema.Struct({ a: Schema.Array(needs) }) })
  // @ts-expect-error decoding needs a service
  ServiceBusEntity.queue("orders", { body: Order, sessions: true, sessionState: needs })
})

test("functions over any schema", () => {
  type Any = Schema.Codec<unknown, unknown> & ServiceBusBody.Makeable
  const bodyOf = <S extends Any>(schema: S) => ServiceBusBody.json(schema)
  expectTypeOf(bodyOf(Order)).toEqualTypeOf(body)
  const queueOf = <S extends Any>(schema: S) => ServiceBusEntity.queue("any", { body: schema })
  expectTypeOf(queueOf(Order)).toEqualTypeOf(Orders)
  const topicOf = <S extends ServiceBusBody.CodecOrSchema>(body: S) => ServiceBusEntity.topic("any", { body })
  expectTypeOf(topicOf(Order)).toEqualTypeOf(Events)
  expectTypeOf(topicOf(ServiceBusBody.text)).toEqualTypeOf<ServiceBusEntity.Topic<string>>()
  const cartsOf = <S extends ServiceBusBody.SchemaWithoutServices>(sessionState: S) =>
    ServiceBusEntity.queue("any", { body, sessions: true, sessionState })
  expectTypeOf<typeof Carts["body"]>().toEqualTypeOf<ReturnType<typeof cartsOf<typeof Schema.Int>>["body"]>()
  // @ts-expect-error it may need services
  void (<S extends ServiceBusBody.AnySchema>(schema: S) => ServiceBusBody.json(schema))
})

interface Cipher {
  readonly service: "cipher"
}
interface Keys {
  readonly service: "keys"
}
declare const open: (text: string) => Effect.Effect<string, never, Cipher>
declare const seal: (text: string) => Effect.Effect<string, never, Keys>

test("a schema that needs services is no JSON body", () => {
  const needs = Schema.String as unknown as Schema.Codec<string, string, { readonly service: "needed" }>
  // @ts-expect-error decoding needs a service
  ServiceBusBody.json(needs)
})

test("the other bodies", () => {
  expectTypeOf(ServiceBusBody.bytes).toEqualTypeOf<ServiceBusBody.ServiceBusBody<Uint8Array>>()
  expectTypeOf(ServiceBusBody.text).toEqualTypeOf<ServiceBusBody.ServiceBusBody<string>>()
  expectTypeOf(ServiceBusBody.amqpValue).toEqualTypeOf<ServiceBusBody.ServiceBusBody<AmqpValue>>()
  expectTypeOf(ServiceBusBody.amqpSequence).toEqualTypeOf<
    ServiceBusBody.ServiceBusBody<ReadonlyArray<ReadonlyArray<AmqpValue>>>
  >()
  expectTypeOf(ServiceBusBody.sections).toEqualTypeOf<ServiceBusBody.ServiceBusBody<ServiceBusBody.Sections>>()
  // @ts-expect-error text is not bytes
  ServiceBusBody.bytes.encode("text")
  // @ts-expect-error bytes are not text
  ServiceBusBody.text.encode(new Uint8Array(1))
})

const Orders = ServiceBusEntity.queue("orders", { body })
const Carts = ServiceBusEntity.queue("carts", { body, sessions: true })
const Events = ServiceBusEntity.topic("events", { body })
const Steps = ServiceBusEntity.topic("steps", { body, sessions: true })
const Audit = ServiceBusEntity.subscription(Events, "audit")
const Workers = ServiceBusEntity.subscription(Steps, "workers", { sessions: true })
const Dead = ServiceBusEntity.deadLetter(Carts)

declare const send: <A, I>(entity: ServiceBusEntity.Sendable<A, I>, body: I) => A
declare const sendInSession: <A, I>(
  entity: ServiceBusEntity.SessionSendable<A, I>,
  message: ServiceBusMessage.SessionMessage<I>
) => A
declare const receive: <A>(entity: ServiceBusEntity.Receivable<A>) => A
declare const acceptSession: <A, S>(entity: ServiceBusEntity.SessionReceivable<A, S>) => A

test("each constructor gives its kind", () => {
  type I = In<typeof body>
  expectTypeOf(Orders).toEqualTypeOf<ServiceBusEntity.Queue<Order, I>>()
  expectTypeOf(Carts).toEqualTypeOf<ServiceBusEntity.SessionQueue<Order, I>>()
  expectTypeOf(Events).toEqualTypeOf<ServiceBusEntity.Topic<Order, I>>()
  expectTypeOf(Steps).toEqualTypeOf<ServiceBusEntity.SessionTopic<Order, I>>()
  expectTypeOf(Audit).toEqualTypeOf<ServiceBusEntity.Subscription<Order>>()
  expectTypeOf(Workers).toEqualTypeOf<ServiceBusEntity.SessionSubscription<Order>>()
  expectTypeOf(Dead).toEqualTypeOf<ServiceBusEntity.SubQueue<Order>>()
  expectTypeOf(ServiceBusEntity.transferDeadLetter(Audit)).toEqualTypeOf<ServiceBusEntity.SubQueue<Order>>()
  expectTypeOf(ServiceBusEntity.named("orders")).toEqualTypeOf<ServiceBusEntity.Queue<Uint8Array>>()
  expectTypeOf<
    typeof Orders | typeof Carts | typeof Events | typeof Steps | typeof Audit | typeof Workers | typeof Dead
  >()
    .toExtend<ServiceBusEntity.Any>()
})

test("a plain name has a body of bytes, and a value that may be one of several contracts the bodies of all", () => {
  expectTypeOf(ServiceBusEntity.subscription("events", "audit")).toEqualTypeOf<
    ServiceBusEntity.Subscription<Uint8Array>
  >()
  expectTypeOf(ServiceBusEntity.subscription("steps", "workers", { sessions: true })).toEqualTypeOf<
    ServiceBusEntity.SessionSubscription<Uint8Array>
  >()
  const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
  type Either = typeof Orders | typeof Texts
  expectTypeOf<ServiceBusEntity.BodyOf<"orders">>().toEqualTypeOf<Uint8Array>()
  expectTypeOf<ServiceBusEntity.BodyOf<Either | typeof Workers>>().toEqualTypeOf<Order | string>()
  expectTypeOf<ServiceBusEntity.MessageTo<"orders">>().toEqualTypeOf<ServiceBusMessage.OutgoingMessage<Uint8Array>>()
  expectTypeOf<ServiceBusEntity.MessageTo<typeof Carts>>().toEqualTypeOf<
    ServiceBusMessage.SessionMessage<In<typeof body>>
  >()
  expectTypeOf<ServiceBusEntity.MessageTo<Either>["body"]>().toEqualTypeOf<In<typeof body> & string>()
  expectTypeOf<ServiceBusEntity.MessageTo<typeof Audit>>().toEqualTypeOf<never>()
})

test("what can be sent to without a session", () => {
  expectTypeOf(send(Orders, { id: "1", total: 1 })).toEqualTypeOf<Order>()
  expectTypeOf(send(Events, new Order({ id: "1", total: 1 }))).toEqualTypeOf<Order>()
  // @ts-expect-error the body is another
  send(Orders, { id: 1 })
  // @ts-expect-error every message of a queue with sessions names one
  send(Carts, { id: "1", total: 1 })
  // @ts-expect-error every message of a topic with sessions names one
  send(Steps, { id: "1", total: 1 })
  // @ts-expect-error a subscription has no senders
  send(Audit, { id: "1", total: 1 })
  // @ts-expect-error a subscription has no senders
  send(Workers, { id: "1", total: 1 })
  // @ts-expect-error a sub-queue has no senders
  send(Dead, { id: "1", total: 1 })
})

test("what can only be sent to with a session", () => {
  sendInSession(Carts, { body: { id: "1", total: 1 }, sessionId: "a" })
  sendInSession(Steps, { body: { id: "1", total: 1 }, sessionId: "a" })
  // @ts-expect-error the message names no session
  sendInSession(Carts, { body: { id: "1", total: 1 } })
  // @ts-expect-error the message has an undefined session
  sendInSession(Carts, { body: { id: "1", total: 1 }, sessionId: undefined })
  // @ts-expect-error a queue without sessions
  sendInSession(Orders, { body: { id: "1", total: 1 }, sessionId: "a" })
  // @ts-expect-error a topic without sessions
  sendInSession(Events, { body: { id: "1", total: 1 }, sessionId: "a" })
})

test("what can be received from without a session", () => {
  expectTypeOf(receive(Orders)).toEqualTypeOf<Order>()
  expectTypeOf(receive(Audit)).toEqualTypeOf<Order>()
  expectTypeOf(receive(Dead)).toEqualTypeOf<Order>()
  // @ts-expect-error a queue with sessions is received from through one
  receive(Carts)
  // @ts-expect-error a topic has no receivers
  receive(Events)
  // @ts-expect-error a topic has no receivers
  receive(Steps)
  // @ts-expect-error a subscription with sessions is received from through one
  receive(Workers)
})

test("what is received from through a session", () => {
  expectTypeOf(acceptSession(Carts)).toEqualTypeOf<Order>()
  expectTypeOf(acceptSession(Workers)).toEqualTypeOf<Order>()
  // @ts-expect-error a queue without sessions
  acceptSession(Orders)
  // @ts-expect-error a subscription without sessions
  acceptSession(Audit)
  // @ts-expect-error a topic has no receivers
  acceptSession(Steps)
  // @ts-expect-error a sub-queue has no sessions
  acceptSession(Dead)
})

test("subscriptions are of topics, sub-queues of what is received from", () => {
  // @ts-expect-error a queue has no subscriptions
  ServiceBusEntity.subscription(Orders, "audit")
  // @ts-expect-error a subscription has no subscriptions
  ServiceBusEntity.subscription(Audit, "audit")
  // @ts-expect-error a topic has no dead-letter sub-queue
  ServiceBusEntity.deadLetter(Events)
  // @ts-expect-error a sub-queue has no sub-queues
  ServiceBusEntity.deadLetter(Dead)
  // @ts-expect-error a sub-queue has no sub-queues
  ServiceBusEntity.transferDeadLetter(Dead)
})

test("functions over any contract of a kind", () => {
  const received = <A>(entity: ServiceBusEntity.Receivable<A>) => ServiceBusReceiver.make(entity)
  expectTypeOf<Effect.Success<ReturnType<typeof received<Order>>>>().toEqualTypeOf<
    ServiceBusReceiver.ServiceBusReceiver<Order>
  >()
  const receivedFrom = <E extends ServiceBusEntity.Receivable<unknown>>(entity: E) => ServiceBusReceiver.make(entity)
  expectTypeOf<Effect.Success<ReturnType<typeof receivedFrom<typeof Audit>>>>().toEqualTypeOf<
    ServiceBusReceiver.ServiceBusReceiver<Order>
  >()
  const sent = <A, I>(entity: ServiceBusEntity.Sendable<A, I>) => ServiceBusSender.make(entity)
  expectTypeOf<Effect.Success<ReturnType<typeof sent<Order, string>>>>().toEqualTypeOf<
    ServiceBusSender.ServiceBusSender<string>
  >()
  const accepted = <A, S>(entity: ServiceBusEntity.SessionReceivable<A, S>) => ServiceBusSession.accept(entity, "a")
  expectTypeOf<Effect.Success<ReturnType<typeof accepted<Order, number>>>>().toEqualTypeOf<
    ServiceBusSession.ServiceBusSession<Order, number>
  >()
  const dead = <E extends ServiceBusEntity.WithSubQueues<unknown>>(entity: E) => ServiceBusEntity.deadLetter(entity)
  expectTypeOf<ReturnType<typeof dead<typeof Carts>>>().toEqualTypeOf<ServiceBusEntity.SubQueue<Order>>()
  const sentBy = <E extends ServiceBusEntity.Sendable<unknown, never>>(entity: E) => ServiceBusSender.make(entity)
  expectTypeOf(sentBy).toBeFunction()
  const acceptedFrom = <E extends ServiceBusEntity.SessionReceivable<unknown, unknown, never>>(entity: E) =>
    ServiceBusSession.accept(entity, "a")
  expectTypeOf<Effect.Success<ReturnType<typeof acceptedFrom<typeof Carts>>>>().toEqualTypeOf<
    ServiceBusSession.ServiceBusSession<Order, Uint8Array>
  >()
  const processed = <E extends ServiceBusEntity.Receivable<unknown>>(entity: E) =>
    ServiceBusProcessor.make(entity, (body: ServiceBusProcessor.BodyFrom<E>) => Effect.asVoid(Effect.succeed(body)))
  expectTypeOf<Effect.Success<ReturnType<typeof processed<typeof Audit>>>>().toEqualTypeOf<
    ServiceBusProcessor.Processor
  >()
  const layered = <E extends ServiceBusEntity.Receivable<unknown>>(entity: E) =>
    ServiceBusProcessor.layer(entity, (body: ServiceBusEntity.BodyOf<E>) => Effect.asVoid(Effect.succeed(body)))
  expectTypeOf(layered).toBeFunction()
  const processedSessions = <E extends ServiceBusEntity.SessionReceivable<unknown, unknown, never>>(entity: E) =>
    ServiceBusProcessor.processSessions(entity, () => Effect.void)
  expectTypeOf(processedSessions).toBeFunction()
  const browsed = <E extends ServiceBusEntity.WithSubQueues<unknown>>(entity: E) => ServiceBusDeadLetters.browse(entity)
  expectTypeOf<Stream.Success<ReturnType<typeof browsed<typeof Carts>>>>().toEqualTypeOf<
    ServiceBusMessage.PeekedMessage<Order>
  >()
  const replayed = <E extends ServiceBusEntity.Queue<unknown, never>>(entity: E) => ServiceBusDeadLetters.replay(entity)
  expectTypeOf(replayed).returns.toEqualTypeOf<ServiceBusDeadLetters.Replay>()
  const subscribed = <E extends ServiceBusEntity.Topic<unknown, never>>(topic: E) =>
    ServiceBusEntity.subscription(topic, "all")
  expectTypeOf<ReturnType<typeof subscribed<typeof Events>>>().toEqualTypeOf<ServiceBusEntity.Subscription<Order>>()
  // One that may be of a wrong kind is of a wrong kind.
  // @ts-expect-error a topic has no receivers
  ServiceBusReceiver.make(Orders as typeof Orders | typeof Events)
})

test("kinds are not assignable to each other", () => {
  expectTypeOf(Carts).not.toExtend<ServiceBusEntity.Queue<Order, never>>()
  expectTypeOf(Orders).not.toExtend<ServiceBusEntity.SessionQueue<Order, never>>()
  expectTypeOf(Steps).not.toExtend<ServiceBusEntity.Topic<Order, never>>()
  expectTypeOf(Orders).not.toExtend<ServiceBusEntity.Topic<Order, never>>()
  expectTypeOf(Workers).not.toExtend<ServiceBusEntity.Subscription<Order>>()
  expectTypeOf(Audit).not.toExtend<ServiceBusEntity.SubQueue<Order>>()
  // A contract is made by a constructor: an object that looks like one is none.
  expectTypeOf<{ readonly _tag: "Queue"; readonly name: string; readonly path: string; readonly body: typeof body }>()
    .not.toExtend<ServiceBusEntity.Any>()
})

test("only a locked message has a lock", () => {
  expectTypeOf<ServiceBusMessage.LockedMessage<Order>["lockToken"]>().toExtend<string>()
  expectTypeOf<string>().not.toExtend<ServiceBusMessage.LockToken>()
  expectTypeOf<ServiceBusMessage.PeekedMessage<Order>>().not.toExtend<ServiceBusMessage.LockedMessage<Order>>()
  expectTypeOf<ServiceBusMessage.DestructiveMessage<Order>>().not.toExtend<ServiceBusMessage.LockedMessage<Order>>()
  expectTypeOf<ServiceBusMessage.LockedMessage<Order>>().toExtend<ServiceBusMessage.ReceivedMessage<Order>>()
  expectTypeOf<ServiceBusMessage.ReceivedMessage<Order>["sequenceNumber"]>().toEqualTypeOf<bigint>()
  expectTypeOf<ServiceBusMessage.LockedMessage<Order>>().toExtend<ServiceBusMessage.LockedMessage<unknown>>()
})

test("settlements are plain values", () => {
  expectTypeOf(Settlement.complete).toEqualTypeOf<Settlement.Settlement>()
  expectTypeOf<Settlement.Settlement["_tag"]>().toEqualTypeOf<
    "Complete" | "Abandon" | "Defer" | "DeadLetter" | "RetryAfter"
  >()
  expectTypeOf<{ readonly _tag: "Complete" }>().toExtend<Settlement.Settlement>()
  expectTypeOf<{ readonly _tag: "DeadLetter"; readonly reason: string }>().toExtend<Settlement.Settlement>()
  expectTypeOf<{ readonly _tag: "RetryAfter" }>().not.toExtend<Settlement.Settlement>()
  expectTypeOf(Settlement.deadLetter).returns.toEqualTypeOf<Settlement.Settlement>()
  expectTypeOf(Settlement.retryAfter).parameter(0).toEqualTypeOf<Duration.Input | Schedule.Schedule<unknown>>()
  Settlement.abandon({ properties: { attempt: 2, at: new Date(0) } })
  // @ts-expect-error a function is no AMQP value
  Settlement.abandon({ properties: { attempt: () => 2 } })
  // @ts-expect-error complete takes nothing: it is a value
  Settlement.complete()
  // @ts-expect-error a settlement is not changed
  Settlement.complete._tag = "Abandon"
})

type Connect =
  | "ServiceBusConnectionError"
  | "ServiceBusCommunicationError"
  | "ServiceBusAuthenticationError"
  | "OperationTimeoutError"
  | "CredentialError"
  | "ServiceBusQuotaExceededError"
  | "ServiceBusError"

type Attach =
  | Connect
  | "ServiceBusAuthorizationError"
  | "MessagingEntityNotFoundError"
  | "MessagingEntityDisabledError"
  | "ServiceBusServerBusyError"
  | "InvalidOptionError"

type Send = Attach | "MessageSizeExceededError" | "MessageEncodeError"

test("each union has exactly its tags", () => {
  expectTypeOf<ServiceBusError.ConnectError["_tag"]>().toEqualTypeOf<Connect>()
  expectTypeOf<ServiceBusError.AttachError["_tag"]>().toEqualTypeOf<Attach>()
  expectTypeOf<ServiceBusError.HealthCheckError["_tag"]>().toEqualTypeOf<Connect | "ServiceBusServerBusyError">()
  expectTypeOf<ServiceBusError.SendError["_tag"]>().toEqualTypeOf<Send>()
  expectTypeOf<ServiceBusError.ScheduleError["_tag"]>().toEqualTypeOf<Send>()
  expectTypeOf<ServiceBusError.BatchError["_tag"]>().toEqualTypeOf<
    "MessageSizeExceededError" | "MessageEncodeError" | "InvalidOptionError"
  >()
  expectTypeOf<ServiceBusError.CancelScheduledError["_tag"]>().toEqualTypeOf<Attach | "MessageNotFoundError">()
  expectTypeOf<ServiceBusError.ReceiveError["_tag"]>().toEqualTypeOf<Attach>()
  expectTypeOf<ServiceBusError.PeekError["_tag"]>().toEqualTypeOf<Attach>()
  expectTypeOf<ServiceBusError.ReceiveDeferredError["_tag"]>().toEqualTypeOf<Attach | "MessageNotFoundError">()
  expectTypeOf<ServiceBusError.SettleError["_tag"]>().toEqualTypeOf<
    | Attach
    | "MessageLockLostError"
    | "MessageAlreadySettled"
    | "MessageEncodeError"
    | "MessageSizeExceededError"
    | "NotSupportedError"
  >()
  expectTypeOf<ServiceBusError.SessionSettleError["_tag"]>().toEqualTypeOf<
    | Attach
    | "SessionLockLostError"
    | "MessageAlreadySettled"
    | "MessageEncodeError"
    | "MessageSizeExceededError"
    | "NotSupportedError"
  >()
  expectTypeOf<ServiceBusError.LockRenewalError["_tag"]>().toEqualTypeOf<Attach | "MessageLockLostError">()
  expectTypeOf<ServiceBusError.AcceptSessionError["_tag"]>().toEqualTypeOf<Attach | "SessionCannotBeLockedError">()
  expectTypeOf<ServiceBusError.SessionStateError["_tag"]>().toEqualTypeOf<
    Attach | "SessionLockLostError" | "MessageEncodeError" | "MessageDecodeError"
  >()
})

test("what the service's text names is one of a few words", () => {
  expectTypeOf<ServiceBusError.ServiceBusAuthorizationError["claim"]>()
    .toEqualTypeOf<"Send" | "Listen" | "Manage" | undefined>()
  expectTypeOf<ServiceBusError.ServiceBusQuotaExceededError["quota"]>()
    .toEqualTypeOf<"entitySize" | "connections" | "links" | "tokens" | undefined>()
})

test("all errors are caught by isServiceBusError, and ServiceBusError's tag is one of them", () => {
  const send = Effect.fail({} as ServiceBusError.SendError | Error)
  const all = send.pipe(Effect.catchIf(ServiceBusError.isServiceBusError, () => Effect.void))
  expectTypeOf(all).toEqualTypeOf<Effect.Effect<void, Error>>()
  const one = Effect.fail({} as ServiceBusError.SendError).pipe(
    Effect.catchTag("ServiceBusError", () => Effect.void)
  )
  expectTypeOf<Effect.Error<typeof one>>().toEqualTypeOf<
    Exclude<ServiceBusError.SendError, ServiceBusError.ServiceBusError>
  >()
})

/** The classes of the module, by what it exports. */
type Instances = {
  [K in keyof typeof ServiceBusError]: (typeof ServiceBusError)[K] extends abstract new(...args: never) => infer E ? E
    : never
}[keyof typeof ServiceBusError]

test("Any has every class of the module", () => {
  expectTypeOf<ServiceBusError.Any["_tag"]>().toEqualTypeOf<Instances["_tag"]>()
})

test("a tag is caught with its class", () => {
  const send = Effect.fail({} as ServiceBusError.SendError)
  const caught = send.pipe(
    Effect.catchTag("MessageSizeExceededError", (error) => {
      expectTypeOf(error.limit).toEqualTypeOf<number>()
      return Effect.succeed(error.size)
    }),
    Effect.catchTag("OperationTimeoutError", (error) => {
      expectTypeOf(error.outcome).toEqualTypeOf<"unknown" | "notSent">()
      return Effect.fail("unknown" as const)
    })
  )
  expectTypeOf<Effect.Error<typeof caught>>().toEqualTypeOf<
    | Exclude<ServiceBusError.SendError, { _tag: "MessageSizeExceededError" | "OperationTimeoutError" }>
    | "unknown"
  >()
})

test("a tag that an operation cannot meet is not caught", () => {
  const send = Effect.fail({} as ServiceBusError.SendError)
  // @ts-expect-error a send loses no lock
  send.pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))
  // @ts-expect-error a send settles nothing
  send.pipe(Effect.catchTag("MessageAlreadySettled", () => Effect.void))
  // @ts-expect-error a send has no session to lock
  send.pipe(Effect.catchTag("SessionCannotBeLockedError", () => Effect.void))
  // @ts-expect-error a misspelt tag
  send.pipe(Effect.catchTag("ServiceBusServerBusy", () => Effect.void))

  const receive = Effect.fail({} as ServiceBusError.ReceiveError)
  // @ts-expect-error a receive sends nothing
  receive.pipe(Effect.catchTag("MessageSizeExceededError", () => Effect.void))
  // @ts-expect-error a receive loses no lock: settling does
  receive.pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))

  const settle = Effect.fail({} as ServiceBusError.SettleError)
  settle.pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))
  // @ts-expect-error a message outside a session has no session's lock
  settle.pipe(Effect.catchTag("SessionLockLostError", () => Effect.void))
  // The copy that retryAfter sends may be too large.
  settle.pipe(Effect.catchTag("MessageSizeExceededError", () => Effect.void))

  const settleInSession = Effect.fail({} as ServiceBusError.SessionSettleError)
  settleInSession.pipe(Effect.catchTag("SessionLockLostError", () => Effect.void))
  // @ts-expect-error a message of a session has no lock of its own
  settleInSession.pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))

  const renew = Effect.fail({} as ServiceBusError.LockRenewalError)
  // @ts-expect-error renewing settles nothing
  renew.pipe(Effect.catchTag("MessageAlreadySettled", () => Effect.void))

  const connect = Effect.fail({} as ServiceBusError.ConnectError)
  // @ts-expect-error a connection is to a namespace, not to an entity
  connect.pipe(Effect.catchTag("MessagingEntityNotFoundError", () => Effect.void))
})

test("fields that are always there", () => {
  expectTypeOf<ServiceBusError.ServiceBusServerBusyError["retryAfter"]>().toEqualTypeOf<Duration.Duration>()
  expectTypeOf<ServiceBusError.SendError["attempts"]>().toEqualTypeOf<number>()
  expectTypeOf<ServiceBusError.Any["message"]>().toEqualTypeOf<string>()
  expectTypeOf<ServiceBusError.Any["isTransient"]>().toEqualTypeOf<boolean>()
})

test("what a class is made of", () => {
  const busy = [
    new ServiceBusError.ServiceBusServerBusyError({}),
    new ServiceBusError.ServiceBusServerBusyError({ retryAfter: Duration.seconds(1) })
  ]
  expectTypeOf(busy).toEqualTypeOf<Array<ServiceBusError.ServiceBusServerBusyError>>()
  type Options<C extends abstract new(...args: never) => unknown> = NonNullable<ConstructorParameters<C>[0]>
  // What became of the operation is always said; a description that is not known is left out.
  expectTypeOf<{}>().not.toExtend<Options<typeof ServiceBusError.OperationTimeoutError>>()
  expectTypeOf<{ outcome: "notSent" }>().toExtend<Options<typeof ServiceBusError.OperationTimeoutError>>()
  expectTypeOf<{ description: undefined }>().not.toExtend<Options<typeof ServiceBusError.ServiceBusError>>()
})

test("the guard narrows to any error of the library", () => {
  const value: unknown = undefined
  if (ServiceBusError.isServiceBusError(value)) expectTypeOf(value).toEqualTypeOf<ServiceBusError.Any>()
})

test("retrySchedule fits any operation and adds no error and no service", () => {
  const retried = Effect.fail({} as ServiceBusError.SendError).pipe(Effect.retry(ServiceBusError.retrySchedule))
  expectTypeOf(retried).toEqualTypeOf<Effect.Effect<never, ServiceBusError.SendError>>()
})

test("what comes over the wire is narrowed to the union of its operation", () => {
  expectTypeOf(errorMap.connectError).returns.toEqualTypeOf<ServiceBusError.ConnectError>()
  expectTypeOf(errorMap.attachError).returns.toEqualTypeOf<ServiceBusError.AttachError>()
  expectTypeOf(errorMap.sendError).returns.toEqualTypeOf<ServiceBusError.SendError>()
  expectTypeOf(errorMap.settleError).returns.toEqualTypeOf<
    Exclude<ServiceBusError.SettleError, ServiceBusError.MessageSizeExceededError>
  >()
  expectTypeOf(errorMap.renewError).returns.toEqualTypeOf<ServiceBusError.LockRenewalError>()
})

test("a credential of @azure/identity fits as it is", () => {
  expectTypeOf<TokenCredential>().toExtend<ServiceBusCredential.TokenCredential>()
  expectTypeOf<DefaultAzureCredential>().toExtend<ServiceBusCredential.TokenCredential>()
})

test("a parsed connection string has no secret in the open", () => {
  type SharedKey = Extract<ConnectionString.ConnectionString["credential"], { _tag: "SharedKey" }>
  expectTypeOf<SharedKey["key"]>().not.toExtend<string>()
})
