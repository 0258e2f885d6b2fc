/** The types of what is done with dead letters. */
import { type Effect, Schema, type Stream } from "effect"
import {
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusMessage
} from "effect-service-bus"
import { expectTypeOf, test } from "vitest"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Order) })
const SessionOrders = ServiceBusEntity.queue("orders-s", { body: ServiceBusBody.json(Order), sessions: true })
const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
const Events = ServiceBusEntity.topic("events", { body: ServiceBusBody.json(Order) })
const All = ServiceBusEntity.subscription(Events, "all")
const SessionEvents = ServiceBusEntity.topic("events-s", { body: ServiceBusBody.json(Order), sessions: true })
const SessionAll = ServiceBusEntity.subscription(SessionEvents, "all", { sessions: true })

test("what has sub-queues has dead letters", () => {
  expectTypeOf(ServiceBusDeadLetters.browse(Orders)).toEqualTypeOf<
    Stream.Stream<
      ServiceBusMessage.PeekedMessage<Order>,
      ServiceBusError.PeekError | ServiceBusError.MessageDecodeError,
      ServiceBusClient.ServiceBusClient
    >
  >()
  expectTypeOf(ServiceBusDeadLetters.browseRaw(SessionAll)).toEqualTypeOf<
    Stream.Stream<
      ServiceBusMessage.PeekedMessage<undefined>,
      ServiceBusError.PeekError | ServiceBusError.MessageDecodeError,
      ServiceBusClient.ServiceBusClient
    >
  >()
  expectTypeOf(ServiceBusDeadLetters.purge(SessionOrders)).toEqualTypeOf<
    Effect.Effect<number, ServiceBusError.DeleteMessagesError, ServiceBusClient.ServiceBusClient>
  >()
  // @ts-expect-error a topic has none
  ServiceBusDeadLetters.counts(Events)
  // @ts-expect-error a sub-queue has none
  ServiceBusDeadLetters.counts(ServiceBusEntity.deadLetter(Orders))
})

test("a plain name has letters of bytes, and one of several contracts those of all", () => {
  expectTypeOf(ServiceBusDeadLetters.browse("orders")).toEqualTypeOf<
    Stream.Stream<
      ServiceBusMessage.PeekedMessage<Uint8Array>,
      ServiceBusError.PeekError | ServiceBusError.MessageDecodeError,
      ServiceBusClient.ServiceBusClient
    >
  >()
  const either = {} as typeof Orders | typeof Texts | typeof SessionAll
  expectTypeOf(ServiceBusDeadLetters.browse(either)).toEqualTypeOf<
    Stream.Stream<
      ServiceBusMessage.PeekedMessage<Order | string>,
      ServiceBusError.PeekError | ServiceBusError.MessageDecodeError,
      ServiceBusClient.ServiceBusClient
    >
  >()
  expectTypeOf(ServiceBusEntity.deadLetter("orders")).toEqualTypeOf<ServiceBusEntity.SubQueue<Uint8Array>>()
  expectTypeOf(ServiceBusEntity.transferDeadLetter(Orders)).toEqualTypeOf<ServiceBusEntity.SubQueue<Order>>()
  void ServiceBusDeadLetters.counts("orders")
  void ServiceBusDeadLetters.purge(either)
  void ServiceBusDeadLetters.browseRaw("orders")
  ServiceBusDeadLetters.replay("orders", { filter: (letter) => letter.body.length > 0 })
  ServiceBusDeadLetters.replay("orders", { map: (letter) => ({ body: letter.body.subarray(1) }) })
  ServiceBusDeadLetters.replay("news/Subscriptions/sport", { to: "news" })
  ServiceBusDeadLetters.replay(All, { to: "archive", map: (letter) => ({ body: new Uint8Array(letter.body.total) }) })
  // @ts-expect-error other bodies need a map
  ServiceBusDeadLetters.replay(All, { to: "archive" })
  // @ts-expect-error bytes are no order
  ServiceBusDeadLetters.replay("orders", { to: Orders })
  // @ts-expect-error nor is what is made of them
  ServiceBusDeadLetters.replay("orders", { map: () => ({ body: "text" }) })
  const queue = {} as typeof Orders | typeof Texts
  ServiceBusDeadLetters.replay(queue, {
    filter: ({ body }) => typeof body === "string" || body.total > 0
  })
  ServiceBusDeadLetters.replay(either, { to: queue, map: (letter) => ({ body: letter.body as never }) })
  // @ts-expect-error a text is not what both of them take
  ServiceBusDeadLetters.replay(queue, { map: () => ({ body: "text" }) })
  // @ts-expect-error one of them is a subscription
  ServiceBusDeadLetters.replay(either)
  // @ts-expect-error a topic is none of them
  ServiceBusDeadLetters.browse({} as typeof Orders | typeof Events)
})

test("a replay to the queue itself", () => {
  expectTypeOf(ServiceBusDeadLetters.replay(Orders)).toEqualTypeOf<ServiceBusDeadLetters.Replay>()
  expectTypeOf(ServiceBusDeadLetters.replay(SessionOrders, { rate: 1, max: 2 })).toEqualTypeOf<
    Effect.Effect<
      ServiceBusDeadLetters.ReplayReport,
      ServiceBusError.ReplayError,
      ServiceBusClient.ServiceBusClient
    >
  >()
  ServiceBusDeadLetters.replay(Orders, {
    filter: (letter) => letter.body.total > 0,
    map: (letter) => ({ body: { id: letter.body.id, total: 0 } })
  })
  ServiceBusDeadLetters.replay(Orders, { map: (letter) => ServiceBusMessage.fromReceived(letter, { to: "x" }) })
  ServiceBusDeadLetters.replay(SessionOrders, {
    map: (letter) => ServiceBusMessage.fromReceived(letter, { sessionId: "s" })
  })
  // @ts-expect-error the body is none of the queue's
  ServiceBusDeadLetters.replay(Orders, { map: (letter) => ({ body: letter.body.id }) })
  // @ts-expect-error the message names no session
  ServiceBusDeadLetters.replay(SessionOrders, { map: (letter) => ({ body: letter.body }) })
})

test("a replay to another entity", () => {
  ServiceBusDeadLetters.replay(All, { to: Orders })
  ServiceBusDeadLetters.replay(All, { to: Events })
  ServiceBusDeadLetters.replay(SessionAll, { to: SessionOrders })
  ServiceBusDeadLetters.replay(SessionAll, { to: Orders })
  ServiceBusDeadLetters.replay(Orders, { to: Texts, map: (letter) => ({ body: letter.body.id }) })
  ServiceBusDeadLetters.replay(Orders, {
    to: SessionOrders,
    map: (letter) => ServiceBusMessage.fromReceived(letter, { sessionId: letter.body.id })
  })
  // @ts-expect-error nothing can be sent to a subscription
  ServiceBusDeadLetters.replay(All)
  // @ts-expect-error nor with other options
  ServiceBusDeadLetters.replay(SessionAll, { max: 1 })
  // @ts-expect-error nor to another one
  ServiceBusDeadLetters.replay(All, { to: All })
  // @ts-expect-error other bodies need a map
  ServiceBusDeadLetters.replay(Orders, { to: Texts })
  // @ts-expect-error letters without sessions need a map that names one
  ServiceBusDeadLetters.replay(Orders, { to: SessionOrders })
  // @ts-expect-error the message names no session
  ServiceBusDeadLetters.replay(Orders, { to: SessionOrders, map: (letter) => ({ body: letter.body }) })
})

test("nothing that cannot happen is in the errors", () => {
  expectTypeOf<Extract<ServiceBusError.ReplayError, { readonly _tag: "MessageLockLostError" }>>().toEqualTypeOf<never>()
  expectTypeOf<ServiceBusDeadLetters.Failed["error"]["_tag"]>().toEqualTypeOf<
    "MessageEncodeError" | "MessageSizeExceededError" | "MessageDecodeError"
  >()
})
