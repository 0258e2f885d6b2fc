/** Call sites of every kind compile, with exactly the errors and services that they have. */
import type { DefaultAzureCredential } from "@azure/identity"
import {
  type Array as Arr,
  type Cause,
  Config,
  Context,
  Data,
  type DateTime,
  Effect,
  type Exit,
  Layer,
  type Option,
  Redacted,
  Schedule,
  Schema,
  type Scope,
  Stream
} from "effect"
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  type ServiceBusError,
  type ServiceBusEvent,
  type ServiceBusMessage,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { expectTypeOf, test } from "vitest"

class CardDeclined extends Data.TaggedError("CardDeclined")<{ readonly code: string }> {}
class Bank extends Context.Service<Bank, {
  readonly charge: (n: number) => Effect.Effect<void, CardDeclined>
}>()("app/Bank") {}
class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}

const bill = (order: Order) => Effect.flatMap(Bank, (bank) => bank.charge(order.total))

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Order) })
const SessionOrders = ServiceBusEntity.queue("orders-s", { body: ServiceBusBody.json(Order), sessions: true })
const Events = ServiceBusEntity.topic("events", { body: ServiceBusBody.text })
const All = ServiceBusEntity.subscription(Events, "all")

declare const sender: ServiceBusSender.ServiceBusSender<{ readonly id: string; readonly total: number }>
declare const receiver: ServiceBusReceiver.ServiceBusReceiver<Order>
declare const locked: ServiceBusMessage.LockedMessage<Order>
declare const peeked: ServiceBusMessage.PeekedMessage<Order>
declare const taken: ServiceBusMessage.DestructiveMessage<Order>

test("sending", () => {
  const produce = Effect.gen(function*() {
    const orders = yield* ServiceBusSender.make(Orders)
    yield* orders.send({ body: { id: "1", total: 9.5 } })
    return yield* orders.send({ body: new Order({ id: "1", total: 9.5 }) })
  }).pipe(
    Effect.scoped,
    Effect.retry({ while: (error) => error._tag === "ServiceBusServerBusyError", times: 3 }),
    Effect.catchTag("ServiceBusQuotaExceededError", () => Effect.succeed("later")),
    Effect.catchTag("MessageSizeExceededError", (error) => Effect.succeed(`over ${error.limit} bytes`))
  )
  expectTypeOf(produce).toEqualTypeOf<
    Effect.Effect<
      string,
      Exclude<
        ServiceBusError.SendError,
        ServiceBusError.ServiceBusQuotaExceededError | ServiceBusError.MessageSizeExceededError
      >,
      ServiceBusClient.ServiceBusClient
    >
  >()

  // @ts-expect-error a send meets no lock
  sender.send({ body: { id: "", total: 1 } }).pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))
  // @ts-expect-error nor does it settle
  sender.send({ body: { id: "", total: 1 } }).pipe(Effect.catchTags({ MessageAlreadySettled: () => Effect.void }))
  // @ts-expect-error a wrong body
  void sender.send({ body: { id: 1, total: 1 } })
  // @ts-expect-error a missing body
  void sender.send({})
  // @ts-expect-error a property that a message does not have
  void sender.send({ body: { id: "", total: 1 }, sesionId: "x" })

  expectTypeOf(ServiceBusSender.make("orders")).toEqualTypeOf<
    Effect.Effect<
      ServiceBusSender.ServiceBusSender<Uint8Array>,
      ServiceBusError.AttachError,
      ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  void ServiceBusSender.make(Events)
  // @ts-expect-error a subscription has no senders
  void ServiceBusSender.make(All)
  // @ts-expect-error nor has a dead-letter sub-queue
  void ServiceBusSender.make(ServiceBusEntity.deadLetter(Orders))
})

test("a message to an entity with sessions names one", () => {
  void Effect.gen(function*() {
    const orders = yield* ServiceBusSender.make(SessionOrders)
    yield* orders.send({ body: { id: "1", total: 1 }, sessionId: "customer 1" })
    // @ts-expect-error no session id
    yield* orders.send({ body: { id: "1", total: 1 } })
    // @ts-expect-error none in one of many
    yield* orders.sendAll([{ body: { id: "1", total: 1 } }])
    const batch = yield* orders.batch()
    yield* batch.tryAdd({ body: { id: "1", total: 1 }, sessionId: "customer 1" })
    // @ts-expect-error none in a batch
    yield* batch.tryAdd({ body: { id: "1", total: 1 } })
  })
})

test("a batch by hand", () => {
  void Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Orders)
    const batch = yield* sender.batch({ maxSize: 1000 })
    expectTypeOf(sender.batch).returns.toEqualTypeOf<
      Effect.Effect<
        ServiceBusSender.Batch<ServiceBusMessage.OutgoingMessage<(typeof Order)["~type.make.in"]>>,
        ServiceBusError.InvalidOptionError
      >
    >()
    const added = batch.tryAdd({ body: { id: "1", total: 1 } })
    expectTypeOf(added).toEqualTypeOf<Effect.Effect<boolean, ServiceBusError.BatchError>>()
    expectTypeOf(sender.sendBatch(batch)).toEqualTypeOf<
      Effect.Effect<ReadonlyArray<string>, ServiceBusError.SendError>
    >()
    yield* added.pipe(Effect.catchTag("MessageSizeExceededError", ({ limit }) => Effect.log(limit)))
    // @ts-expect-error nothing is on the wire yet
    yield* added.pipe(Effect.catchTag("ServiceBusServerBusyError", () => Effect.void))
    // @ts-expect-error no order
    yield* batch.tryAdd({ body: "text" })
    // @ts-expect-error a list is no batch
    yield* sender.sendBatch([{ body: { id: "1", total: 1 } }])
  })
})

test("receiving", () => {
  expectTypeOf(ServiceBusReceiver.make(Orders)).toEqualTypeOf<
    Effect.Effect<
      ServiceBusReceiver.ServiceBusReceiver<Order>,
      ServiceBusError.AttachError,
      ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  expectTypeOf(receiver.receive()).toEqualTypeOf<
    Effect.Effect<ReadonlyArray<ServiceBusMessage.LockedMessage<Order>>, ServiceBusError.ReceiveError>
  >()
  expectTypeOf(receiver.receiveOne({ maxWait: "1 second" })).toEqualTypeOf<
    Effect.Effect<Option.Option<ServiceBusMessage.LockedMessage<Order>>, ServiceBusError.ReceiveError>
  >()
  // @ts-expect-error one is one
  void receiver.receiveOne({ max: 2 })
  expectTypeOf(receiver.messages).toEqualTypeOf<
    Stream.Stream<ServiceBusMessage.LockedMessage<Order>, ServiceBusError.ReceiveError>
  >()
  const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
  const either = ServiceBusReceiver.make({} as typeof Orders | typeof Texts)
  expectTypeOf<Effect.Success<typeof either>>().toEqualTypeOf<ServiceBusReceiver.ServiceBusReceiver<Order | string>>()
  const strict = ServiceBusReceiver.makeDestructive({} as typeof Orders | typeof Texts, { undecodable: "fail" })
  expectTypeOf<Effect.Success<typeof strict>>().toEqualTypeOf<
    ServiceBusReceiver.DestructiveReceiver<Order | string, ServiceBusError.MessageDecodeError>
  >()
  // @ts-expect-error one of them is a topic
  void ServiceBusReceiver.make({} as typeof Orders | typeof Events)
  void ServiceBusReceiver.make(All)
  void ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Orders))
  void ServiceBusReceiver.make(ServiceBusEntity.deadLetter(SessionOrders))
  // @ts-expect-error a topic is received through its subscriptions
  void ServiceBusReceiver.make(Events)
  // @ts-expect-error a queue with sessions is received through a session
  void ServiceBusReceiver.make(SessionOrders)
  // @ts-expect-error destructively as well
  void ServiceBusReceiver.makeDestructive(SessionOrders)
  // @ts-expect-error receiving meets no lost lock
  receiver.receive().pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))
  // @ts-expect-error and no undecodable body, unless the policy is to fail
  receiver.receive().pipe(Effect.catchTag("MessageDecodeError", () => Effect.void))
  void ServiceBusReceiver.make(Orders, { undecodable: "fail" }).pipe(
    Effect.flatMap((receiver) => receiver.receive()),
    Effect.catchTag("MessageDecodeError", () => Effect.succeed([]))
  )
})

test("settling", () => {
  expectTypeOf(receiver.complete(locked)).toEqualTypeOf<Effect.Effect<void, ServiceBusError.SettleError>>()
  // @ts-expect-error a peeked message has no lock
  void receiver.complete(peeked)
  // @ts-expect-error a message that the broker has forgotten
  void receiver.settle(taken, Settlement.complete)
  // @ts-expect-error settling meets no missing message
  receiver.complete(locked).pipe(Effect.catchTag("MessageNotFoundError", () => Effect.void))
  // @ts-expect-error a settlement is data of its own
  void receiver.settle(locked, "complete")
})

test("processing", () => {
  const consume = Effect.gen(function*() {
    const orders = yield* ServiceBusReceiver.make(Orders)
    return yield* ServiceBusProcessor.process(orders, (order, message) =>
      bill(order).pipe(
        Effect.annotateLogs("message", message.messageId),
        Effect.as(Settlement.complete),
        Effect.catchTag("CardDeclined", () => Effect.succeed(Settlement.deadLetter({ reason: "CardDeclined" })))
      ), { concurrency: 16 })
  }).pipe(Effect.scoped)
  expectTypeOf(consume).toEqualTypeOf<
    Effect.Effect<never, ServiceBusError.ReceiveError, Bank | ServiceBusClient.ServiceBusClient>
  >()

  // The cause of a failure has the handler's type.
  void ServiceBusProcessor.process(receiver, bill, {
    onFailure: (cause, message) => {
      expectTypeOf(cause.reasons[0]).not.toBeAny()
      expectTypeOf(message.body).toEqualTypeOf<Order>()
      return message.deliveryCount > 3 ? Settlement.deadLetter() : Settlement.abandon()
    }
  })
  void ServiceBusProcessor.process(receiver, () => Effect.void)
  // @ts-expect-error a handler says what becomes of the message, or nothing
  void ServiceBusProcessor.process(receiver, () => Effect.succeed("ok"))
  // The handler's own scope is given to it.
  expectTypeOf(ServiceBusProcessor.process(receiver, () => Effect.addFinalizer(() => Effect.void))).toEqualTypeOf<
    Effect.Effect<never, ServiceBusError.ReceiveError>
  >()
  void receiver.messages.pipe(
    ServiceBusReceiver.settleEach((order: Order) => bill(order), { concurrency: 4 }),
    Stream.runDrain
  )
})

test("processors that own their receivers", () => {
  const processing = ServiceBusProcessor.process(Orders, bill, { concurrency: 16, undecodable: "abandon" })
  expectTypeOf(processing).toEqualTypeOf<
    Effect.Effect<never, ServiceBusError.ReceiveError, Bank | ServiceBusClient.ServiceBusClient>
  >()
  expectTypeOf(ServiceBusProcessor.make(Orders, bill)).toEqualTypeOf<
    Effect.Effect<
      ServiceBusProcessor.Processor,
      ServiceBusError.AttachError,
      Bank | ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  // One that is there attaches nothing.
  expectTypeOf(ServiceBusProcessor.make(receiver, bill)).toEqualTypeOf<
    Effect.Effect<ServiceBusProcessor.Processor, ServiceBusError.InvalidOptionError, Bank | Scope.Scope>
  >()
  // @ts-expect-error and has its options already
  void ServiceBusProcessor.make(receiver, bill, { undecodable: "abandon" })
  // @ts-expect-error a body that does not decode is no failure of a processor
  void ServiceBusProcessor.process(Orders, bill, { undecodable: "fail" })
  // @ts-expect-error a topic is received through its subscriptions
  void ServiceBusProcessor.process(Events, () => Effect.void)
  // @ts-expect-error a queue with sessions by processSessions
  void ServiceBusProcessor.process(SessionOrders, () => Effect.void)
  void ServiceBusProcessor.process(All, () => Effect.void)

  expectTypeOf(ServiceBusProcessor.process("orders", (body) => Effect.log(body.byteLength))).toEqualTypeOf<
    Effect.Effect<never, ServiceBusError.ReceiveError, ServiceBusClient.ServiceBusClient>
  >()
  void ServiceBusProcessor.layer("orders", (body, { body: same }) => Effect.log(body === same), { concurrency: 2 })
  const either = {} as typeof Orders | ServiceBusEntity.Queue<string>
  void ServiceBusProcessor.process(either, (body) => typeof body === "string" ? Effect.log(body) : bill(body))
  void ServiceBusProcessor.process({} as typeof receiver | typeof either, (body, message) => {
    expectTypeOf(body).toEqualTypeOf<Order | string>()
    expectTypeOf(message).toEqualTypeOf<ServiceBusMessage.LockedMessage<Order | string>>()
    return Effect.void
  })
  // @ts-expect-error one of them is no order
  void ServiceBusProcessor.process(either, bill)
  // @ts-expect-error bytes are none
  void ServiceBusProcessor.process("orders", bill)

  // Other people's functions over any body.
  const ofReceiver = <A>(source: ServiceBusReceiver.ServiceBusReceiver<A>, handler: ServiceBusProcessor.Handler<A>) =>
    ServiceBusProcessor.process(source, handler)
  expectTypeOf(ofReceiver<string>).returns.toEqualTypeOf<Effect.Effect<never, ServiceBusError.ReceiveError>>()
  const ofEntity = <A>(entity: ServiceBusEntity.Receivable<A>, handler: ServiceBusProcessor.Handler<A>) =>
    ServiceBusProcessor.process(entity, handler)
  expectTypeOf(ofEntity<string>).returns.toEqualTypeOf<
    Effect.Effect<never, ServiceBusError.ReceiveError, ServiceBusClient.ServiceBusClient>
  >()

  const worker = ServiceBusProcessor.layer(Orders, bill, {
    onFailure: (cause) => {
      expectTypeOf(cause).toEqualTypeOf<Cause.Cause<CardDeclined>>()
      return Settlement.abandon()
    }
  })
  type Worker<E> = Layer.Layer<never, E, Bank | ServiceBusClient.ServiceBusClient>
  expectTypeOf(worker).toEqualTypeOf<Worker<ServiceBusError.AttachError>>()
  expectTypeOf(
    ServiceBusProcessor.layerBatched(Orders, ([first]) => bill(first.body), { size: 2 })
  ).toEqualTypeOf<Worker<ServiceBusError.AttachError>>()
  expectTypeOf(
    ServiceBusProcessor.layerSessions(SessionOrders, (order) => bill(order))
  ).toEqualTypeOf<Worker<ServiceBusError.InvalidOptionError>>()
  // @ts-expect-error a layer owns its receiver
  void ServiceBusProcessor.layer(receiver, bill)

  void Effect.map(Effect.flatMap(ServiceBusProcessor.make(Orders, bill), ({ stopped }) => stopped), (exit) => {
    expectTypeOf(exit).toEqualTypeOf<Exit.Exit<ServiceBusProcessor.DrainReport, ServiceBusError.ReceiveError>>()
  })
})

test("processing batches, retrying in place, and the report of a drain", () => {
  const consume = ServiceBusProcessor.processBatched(
    receiver,
    (messages) => {
      // There is always a first one.
      expectTypeOf(messages[0].body).toEqualTypeOf<Order>()
      return Effect.as(Effect.forEach(messages, ({ body }) => bill(body)), messages.map(() => Settlement.complete))
    },
    {
      size: 100,
      within: "1 second",
      retry: Schedule.recurs(3),
      onFailure: (cause) => {
        expectTypeOf(cause).toEqualTypeOf<Cause.Cause<CardDeclined | ServiceBusError.InvalidOptionError>>()
        return Settlement.abandon()
      }
    }
  )
  expectTypeOf(consume).toEqualTypeOf<Effect.Effect<never, ServiceBusError.ReceiveError, Bank>>()
  void ServiceBusProcessor.processBatched(receiver, () => Effect.void, { size: 10 })
  void ServiceBusProcessor.processBatched(receiver, () => Effect.succeed(Settlement.complete), { size: 10 })
  // @ts-expect-error a size must be given
  void ServiceBusProcessor.processBatched(receiver, () => Effect.void, {})
  // @ts-expect-error the bodies are no settlements
  void ServiceBusProcessor.processBatched(receiver, (messages) => Effect.succeed(messages), { size: 10 })
  void ServiceBusProcessor.process(receiver, bill, {
    retry: Schedule.recurs(3).pipe(
      Schedule.while(({ input }: { readonly input: unknown }) => input instanceof CardDeclined)
    )
  })
  void ServiceBusProcessor.process(receiver, bill, { retry: {} as Schedule.Schedule<number, CardDeclined> })
  void ServiceBusProcessor.process(receiver, bill, {
    retry: {
      times: 3,
      schedule: Schedule.exponential("1 second"),
      while: (error) => {
        expectTypeOf(error).toEqualTypeOf<CardDeclined>()
        return error._tag === "CardDeclined"
      },
      until: () => Effect.succeed(false)
    }
  })
  void ServiceBusProcessor.layerBatched(Orders, ([first]) => bill(first.body), {
    size: 2,
    retry: {
      until: (error) => {
        expectTypeOf(error).toEqualTypeOf<CardDeclined>()
        return false
      }
    }
  })
  void ServiceBusProcessor.processSessions(SessionOrders, (order) => bill(order), {
    retry: {
      while: (error) => {
        expectTypeOf(error).toEqualTypeOf<CardDeclined>()
        return true
      }
    }
  })
  // @ts-expect-error a number of times, not a word
  void ServiceBusProcessor.process(receiver, bill, { retry: { times: "3" } })
  // @ts-expect-error a predicate decides by a boolean
  void ServiceBusProcessor.process(receiver, bill, { retry: { while: () => Promise.resolve(true) } })
  // A wrong number of settlements is nothing to run a handler again for.
  const billAll = (messages: Arr.NonEmptyReadonlyArray<ServiceBusMessage.LockedMessage<Order>>) =>
    Effect.asVoid(Effect.forEach(messages, ({ body }) => bill(body)))
  void ServiceBusProcessor.processBatched(receiver, billAll, {
    size: 10,
    retry: {} as Schedule.Schedule<number, CardDeclined>
  })
  // @ts-expect-error the schedule's input is the handler's error
  void ServiceBusProcessor.process(receiver, bill, { retry: {} as Schedule.Schedule<number, string> })

  const drain = Effect.flatMap(ServiceBusProcessor.make(receiver, () => Effect.void), (processor) => processor.drain)
  void Effect.map(drain, (report) => {
    expectTypeOf(report).toEqualTypeOf<ServiceBusProcessor.DrainReport>()
    expectTypeOf(report).toExtend<ServiceBusProcessor.Counts>()
  })
})

test("trying again later", () => {
  void receiver.settle(locked, Settlement.retryAfter("1 minute"))
  void receiver.settle(
    locked,
    Settlement.retryAfter(Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 })))
  )
  // @ts-expect-error the schedule needs no service
  void Settlement.retryAfter({} as Schedule.Schedule<number, unknown, never, Bank>)
  void receiver.settle(locked, Settlement.retryAfter(0)).pipe(
    Effect.catchTag("MessageSizeExceededError", (error) => Effect.logWarning(`over ${error.limit} bytes`)),
    Effect.catchTag("NotSupportedError", () => receiver.abandon(locked))
  )
  expectTypeOf(locked.retryAttempt).toEqualTypeOf<number>()
  expectTypeOf(peeked.firstEnqueuedTime).toEqualTypeOf<DateTime.Utc>()
  expectTypeOf(peeked.enqueuedTime).toEqualTypeOf<DateTime.Utc>()
})

test("watching locks", () => {
  expectTypeOf(AutoLockRenewer.lockState(receiver, locked)).toEqualTypeOf<
    Effect.Effect<AutoLockRenewer.LockState, ServiceBusError.InvalidOptionError>
  >()
  expectTypeOf(AutoLockRenewer.watchLock(receiver, locked)).toEqualTypeOf<
    Stream.Stream<AutoLockRenewer.LockState, ServiceBusError.InvalidOptionError>
  >()
  expectTypeOf(AutoLockRenewer.renewals(receiver)).toEqualTypeOf<Effect.Effect<number>>()
  // @ts-expect-error a peeked message has no lock
  void AutoLockRenewer.lockState(receiver, peeked)
})

test("locks", () => {
  const work: Effect.Effect<number, CardDeclined> = Effect.succeed(1)
  const kept = work.pipe(AutoLockRenewer.withLock(receiver, locked, { maxDuration: "1 minute" }))
  expectTypeOf(kept).toEqualTypeOf<
    Effect.Effect<
      number,
      | CardDeclined
      | ServiceBusError.AutoLockRenewFailed
      | ServiceBusError.AutoLockRenewTimeout
      | ServiceBusError.MessageAlreadySettled
      | ServiceBusError.InvalidOptionError
    >
  >()
  expectTypeOf(AutoLockRenewer.withLock(work, receiver, locked)).toEqualTypeOf(kept)
  // @ts-expect-error a peeked message has no lock to keep
  void AutoLockRenewer.withLock(work, receiver, peeked)
})

test("options of a client as values and as configuration", () => {
  const key = Redacted.make("key")
  const credential = ServiceBusCredential.sharedKey({ name: "app", key })
  const identity = ServiceBusCredential.identity({} as DefaultAzureCredential)
  expectTypeOf(ServiceBusClient.layerConfig({ fullyQualifiedNamespace: "contoso.servicebus.windows.net", credential }))
    .toEqualTypeOf<
      Layer.Layer<ServiceBusClient.ServiceBusClient, Config.ConfigError | ServiceBusError.InvalidOptionError>
    >()
  ServiceBusClient.layerConfig({
    fullyQualifiedNamespace: Config.String("NAMESPACE"),
    credential: Config.all({ name: Config.String("POLICY"), key: Config.Redacted("KEY") }).pipe(
      Config.map(ServiceBusCredential.sharedKey)
    ),
    transport: Config.Literals(["amqp", "amqpWebSockets"], "TRANSPORT"),
    ca: Config.String("CA").pipe(Config.withDefault(undefined)),
    retry: { maxRetries: Config.Int("RETRIES"), delay: "1 second", maxDelay: Config.Duration("MAX_DELAY") },
    operationTimeout: Config.Duration("TIMEOUT"),
    frameTrace: Config.Boolean("TRACE")
  })
  ServiceBusClient.layerConfig({
    fullyQualifiedNamespace: "contoso.servicebus.windows.net",
    credential: Config.map(Config.Redacted("TOKEN"), ServiceBusCredential.sas),
    transport: "amqpWebSockets",
    retry: Config.map(Config.Int("RETRIES"), (maxRetries) => ({ maxRetries }))
  })
  const whole: Config.Config<ServiceBusClient.Options> = Config.map(
    Config.String("NAMESPACE"),
    (fullyQualifiedNamespace) => ({ fullyQualifiedNamespace, credential: identity })
  )
  ServiceBusClient.layerConfig(whole)
  ServiceBusClient.layerEnv({ credential: identity, retry: { maxRetries: Config.Int("RETRIES") } })
  expectTypeOf(ServiceBusClient.layerConnectionString(key, { identifier: "app" })).toEqualTypeOf<
    Layer.Layer<
      ServiceBusClient.ServiceBusClient,
      ServiceBusError.ConnectionStringError | ServiceBusError.InvalidOptionError
    >
  >()
  expectTypeOf(ServiceBusClient.layerConnectionString(key, { identifier: Config.String("APP") })).toEqualTypeOf<
    Layer.Layer<
      ServiceBusClient.ServiceBusClient,
      Config.ConfigError | ServiceBusError.ConnectionStringError | ServiceBusError.InvalidOptionError
    >
  >()
  // @ts-expect-error a credential is missing
  ServiceBusClient.layerConfig({ fullyQualifiedNamespace: "contoso.servicebus.windows.net" })
  // @ts-expect-error a number is no namespace
  ServiceBusClient.layerConfig({ fullyQualifiedNamespace: Config.Int("NAMESPACE"), credential })
  // @ts-expect-error there is no such transport
  ServiceBusClient.layerEnv({ transport: Config.String("TRANSPORT") })
  // @ts-expect-error there is no such option
  ServiceBusClient.layerEnv({ retry: { times: Config.Int("RETRIES") } })
})

test("layers", () => {
  class OrdersOut extends Context.Service<OrdersOut>()("app/OrdersOut", { make: ServiceBusSender.make(Orders) }) {
    static readonly layer = Layer.effect(this, this.make)
  }
  expectTypeOf(OrdersOut.layer).toEqualTypeOf<
    Layer.Layer<OrdersOut, ServiceBusError.AttachError, ServiceBusClient.ServiceBusClient>
  >()
  const Test = Emulator.layer({ entities: [Emulator.entity(Orders)] })
  expectTypeOf(OrdersOut.layer.pipe(Layer.provide(Test))).toEqualTypeOf<
    Layer.Layer<OrdersOut, ServiceBusError.AttachError | ServiceBusError.EmulatorError>
  >()
  expectTypeOf(ServiceBusClient.layerEnv()).toEqualTypeOf<
    Layer.Layer<
      ServiceBusClient.ServiceBusClient,
      Config.ConfigError | ServiceBusError.ConnectionStringError | ServiceBusError.InvalidOptionError
    >
  >()
})

test("events are told apart by their tags, and those of processors by their source", () => {
  const told = Effect.gen(function*() {
    const client = yield* ServiceBusClient.ServiceBusClient
    yield* Stream.runForEach(client.events, (event) => {
      expectTypeOf(event.entity).toEqualTypeOf<string | undefined>()
      if (event._tag === "ProcessorError") {
        expectTypeOf(event.source).toEqualTypeOf<"receive" | "settle" | "renew" | "handler" | "decode">()
        expectTypeOf(event.sequenceNumber).toEqualTypeOf<bigint | undefined>()
        return Effect.void
      }
      // @ts-expect-error a connection has no source
      if (event._tag === "ConnectionLost") return Effect.log(event.source)
      return Effect.void
    })
  })
  expectTypeOf(told).toEqualTypeOf<Effect.Effect<void, never, ServiceBusClient.ServiceBusClient>>()
  expectTypeOf<ServiceBusClient.CommonOptions["logLevel"]>().toEqualTypeOf<ServiceBusEvent.LogLevelOption | undefined>()
  // @ts-expect-error no line has this level
  const all: ServiceBusEvent.LogLevelOption = "All"
  expectTypeOf(all).toExtend<ServiceBusEvent.LogLevelOption>()
})
