/** The types of application properties that a contract declares. */
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import { expectTypeOf, test } from "vitest"
import type { AmqpValue } from "../../src/AmqpValue.ts"
import type * as Emulator from "../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import * as ServiceBusDeadLetters from "../../src/ServiceBusDeadLetters.ts"
import * as ServiceBusEntity from "../../src/ServiceBusEntity.ts"
import * as ServiceBusMessage from "../../src/ServiceBusMessage.ts"
import * as ServiceBusProcessor from "../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../src/ServiceBusReceiver.ts"
import * as ServiceBusSender from "../../src/ServiceBusSender.ts"
import type * as ServiceBusSession from "../../src/ServiceBusSession.ts"

const properties = { region: Schema.String, at: Schema.optionalKey(Schema.DateTimeUtc), count: Schema.FiniteFromString }

interface Properties {
  readonly region: string
  readonly at?: DateTime.Utc
  readonly count: number
}

const Orders = ServiceBusEntity.topic("orders", { body: ServiceBusBody.text, properties })
const Eu = ServiceBusEntity.subscription(Orders, "eu")
const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  properties: Schema.Struct({ page: Schema.Int })
})
const Hops = ServiceBusEntity.queue("hops", {
  body: ServiceBusBody.text,
  properties: { hop: Schema.optionalKey(Schema.Int) }
})

type Out<E> = E extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Element<S> = S extends Stream.Stream<infer A, infer _E, infer _R> ? A : never

test("contracts that declare none have the types that they had", () => {
  const Plain = ServiceBusEntity.queue("plain", { body: ServiceBusBody.text })
  expectTypeOf(Plain).toEqualTypeOf<ServiceBusEntity.Queue<string>>()
  expectTypeOf(ServiceBusEntity.topic("news", { body: ServiceBusBody.text, properties: undefined })).toEqualTypeOf<
    ServiceBusEntity.Topic<string>
  >()
  expectTypeOf(ServiceBusEntity.deadLetter(Plain)).toEqualTypeOf<ServiceBusEntity.SubQueue<string>>()
  expectTypeOf<ServiceBusEntity.PropertiesOf<typeof Plain>>().toEqualTypeOf<unknown>()
  type Receiver = Out<ReturnType<typeof ServiceBusReceiver.make<typeof Plain>>>
  expectTypeOf<Receiver>().toEqualTypeOf<ServiceBusReceiver.ServiceBusReceiver<string>>()
  expectTypeOf<Element<Receiver["messages"]>>().toEqualTypeOf<ServiceBusMessage.LockedMessage<string>>()
})

test("a message is sent with the properties that are declared", () => {
  const make = ServiceBusSender.make(Orders)
  type Message = Parameters<Out<typeof make>["send"]>[0]
  expectTypeOf<Message>().toEqualTypeOf<ServiceBusEntity.MessageTo<typeof Orders>>()
  expectTypeOf<Message["applicationProperties"]>().toEqualTypeOf<Properties>()
  return Effect.map(make, (sender) => [
    sender.send({ body: "x", applicationProperties: { region: "eu", count: 1 } }),
    // @ts-expect-error they are missing
    sender.send({ body: "x" }),
    // @ts-expect-error one is missing
    sender.schedule({ body: "x", applicationProperties: { region: "eu" } }, "1 minute"),
    // @ts-expect-error one has the type that it is encoded to
    sender.sendAll([{ body: "x", applicationProperties: { region: "eu", count: "1" } }]),
    // @ts-expect-error there is none of this name
    sender.send({ body: "x", applicationProperties: { region: "eu", count: 1, regoin: "eu" } }),
    // @ts-expect-error the body is of another type
    sender.send({ body: 1, applicationProperties: { region: "eu", count: 1 } })
  ])
})

test("all may be left out where each may", () =>
  Effect.map(ServiceBusSender.make(Hops), (sender) => [
    sender.send({ body: "x" }),
    sender.send({ body: "x", applicationProperties: {} }),
    // @ts-expect-error it has the wrong type
    sender.send({ body: "x", applicationProperties: { hop: "1" } })
  ]))

test("a message to an entity with sessions names one beside them", () =>
  Effect.map(ServiceBusSender.make(Carts), (sender) => [
    sender.send({ body: "x", sessionId: "s", applicationProperties: { page: 1 } }),
    // @ts-expect-error it names no session
    sender.send({ body: "x", applicationProperties: { page: 1 } }),
    // @ts-expect-error it has no properties
    sender.send({ body: "x", sessionId: "s" })
  ]))

test("what knows nothing of properties cannot send without them", () => {
  const publish = <A, In>(entity: ServiceBusEntity.Sendable<A, In>, body: In) =>
    Effect.flatMap(ServiceBusSender.make(entity), (sender) => sender.send({ body }))
  publish(ServiceBusEntity.topic("news", { body: ServiceBusBody.text }), "x")
  // @ts-expect-error nothing is of the type of its bodies
  publish(Orders, "x")
})

test("messages have them as they are decoded, others beside them as they came", () => {
  type Receiver = Out<ReturnType<typeof ServiceBusReceiver.make<typeof Eu>>>
  type Message = Element<Receiver["messages"]>
  expectTypeOf<Message["applicationProperties"]["region"]>().toEqualTypeOf<string>()
  expectTypeOf<Message["applicationProperties"]["at"]>().toEqualTypeOf<DateTime.Utc | undefined>()
  expectTypeOf<Message["applicationProperties"]["count"]>().toEqualTypeOf<number>()
  expectTypeOf<Message["applicationProperties"]["other"]>().toEqualTypeOf<AmqpValue>()
  expectTypeOf<Message>().toExtend<ServiceBusMessage.LockedMessage<string>>()
  expectTypeOf<Out<ReturnType<Receiver["peek"]>>[number]["applicationProperties"]["count"]>().toEqualTypeOf<number>()
  expectTypeOf<Element<Receiver["messagesRaw"]>["applicationProperties"]["count"]>().toEqualTypeOf<AmqpValue>()
  type Session = Out<ReturnType<typeof ServiceBusSession.accept<typeof Carts>>>
  expectTypeOf<Element<Session["messages"]>["applicationProperties"]["page"]>().toEqualTypeOf<number>()
  type Letter = Element<ReturnType<typeof ServiceBusDeadLetters.browse<typeof Eu>>>
  expectTypeOf<Letter["applicationProperties"]["region"]>().toEqualTypeOf<string>()
})

test("handlers have them", () => {
  ServiceBusProcessor.process(Eu, (_, message) => {
    expectTypeOf(message.applicationProperties.count).toEqualTypeOf<number>()
    return Effect.void
  }, {
    onFailure: (_, message) => {
      expectTypeOf(message.applicationProperties.count).toEqualTypeOf<number>()
      return { _tag: "Complete" } as never
    }
  })
  ServiceBusProcessor.layerBatched(Eu, ([message]) => {
    expectTypeOf(message.applicationProperties.region).toEqualTypeOf<string>()
    return Effect.void
  }, { size: 2 })
  ServiceBusProcessor.processSessions(Carts, (_, message, session) => {
    expectTypeOf(message.applicationProperties.page).toEqualTypeOf<number>()
    return Effect.asVoid(session.peek())
  })
  return Effect.flatMap(
    ServiceBusReceiver.make(Eu),
    (receiver) =>
      ServiceBusProcessor.process(receiver, (_, message) => {
        expectTypeOf(message.applicationProperties.count).toEqualTypeOf<number>()
        return Effect.void
      })
  )
})

test("a received message is sent again with them", () =>
(
  message: ServiceBusMessage.LockedMessage<string> & ServiceBusMessage.WithProperties<Properties>
) =>
  Effect.map(ServiceBusSender.make(Orders), (sender) => [
    sender.send(ServiceBusMessage.fromReceived(message)),
    sender.send(
      ServiceBusMessage.fromReceived(message, {
        applicationProperties: { ...message.applicationProperties, region: "us" }
      })
    ),
    // @ts-expect-error one is missing
    sender.send(ServiceBusMessage.fromReceived(message, { applicationProperties: { region: "us" } }))
  ]))

test("letters without them need a map to an entity that declares them", () => {
  const Plain = ServiceBusEntity.queue("plain", { body: ServiceBusBody.text })
  ServiceBusDeadLetters.replay(Eu, {
    to: Orders,
    filter: ({ applicationProperties }) => applicationProperties.count > 1
  })
  ServiceBusDeadLetters.replay(Eu, { to: Plain })
  // @ts-expect-error map is missing
  ServiceBusDeadLetters.replay(Plain, { to: Orders })
  ServiceBusDeadLetters.replay(Plain, {
    to: Orders,
    map: (letter) => ({ body: letter.body, applicationProperties: { region: "eu", count: 1 } })
  })
})

test("the controls of the emulator know them", () => (emulator: Emulator.Controls) => {
  expectTypeOf<Out<ReturnType<typeof emulator.messages<typeof Eu>>>[number]["applicationProperties"]["count"]>()
    .toEqualTypeOf<number>()
  emulator.send(Orders, [{ body: "x", applicationProperties: { region: "eu", count: 1 } }])
  // @ts-expect-error they are missing
  emulator.send(Orders, [{ body: "x" }])
})

test("only what AMQP can write is a property", () => {
  const body = ServiceBusBody.text
  // @ts-expect-error a list is none
  ServiceBusEntity.queue("a", { body, properties: { tags: Schema.Array(Schema.String) } })
  // @ts-expect-error nor is a decimal of Effect's
  ServiceBusEntity.queue("a", { body, properties: { price: Schema.BigDecimal } })
  class Line extends Schema.Class<Line>("Line")({ sku: Schema.String }) {}
  // @ts-expect-error what is received has others beside it, so that it is no instance of a class
  ServiceBusEntity.queue("a", { body, properties: Line })
  ServiceBusEntity.queue("a", { body, properties: { price: Schema.BigDecimalFromString, at: Schema.Duration } })
})
