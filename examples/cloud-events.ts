// CloudEvents 1.0 over Service Bus, by their AMQP binding: structured (the event is the body) and binary (its attributes are
// application properties), as senders of other languages write them.
// https://github.com/cloudevents/spec/blob/main/cloudevents/bindings/amqp-protocol-binding.md
import { Console, DateTime, Effect, Result, Schema } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })

const OrderPlaced = Schema.Struct({
  specversion: Schema.Literal("1.0"),
  type: Schema.Literal("com.example.order.placed"),
  source: Schema.String,
  id: Schema.String,
  time: Schema.optional(Schema.DateTimeUtc),
  data: Order
})

/** The JSON format, under the content type by which receivers tell it from the binary mode. */
const structured = {
  ...ServiceBusBody.json(OrderPlaced),
  contentType: "application/cloudevents+json; charset=utf-8"
}

const Events = ServiceBusEntity.queue("events", { body: structured })
/** The same queue in binary mode, and as the bytes of whichever mode. */
const Data = ServiceBusEntity.queue("events", { body: Order })
const Bytes = ServiceBusEntity.queue("events", { body: ServiceBusBody.bytes })

/** An event in binary mode: its data is the body, and every other attribute a property. */
const binary = ({ data, ...attributes }: typeof OrderPlaced.Type) => ({
  body: data,
  applicationProperties: Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => value === undefined ? [] : [[`cloudEvents:${name}`, value]])
  )
})

const isOrderPlaced = Schema.decodeUnknownOption(Schema.toType(OrderPlaced))

/** The event of a message in whichever mode, or what is wrong with it. */
const eventOf = (message: ServiceBusMessage.ReceivedMessage<Uint8Array>) => {
  const sections = { kind: "data", data: message.body } as const
  if (message.contentType?.startsWith("application/cloudevents+json")) return structured.decode(sections)
  // Some senders write an underscore for the colon.
  const attributes = Object.entries(message.applicationProperties).flatMap(([name, value]) => {
    const [, attribute] = /^cloudEvents[:_](.*)/.exec(name) ?? []
    return attribute === undefined ? [] : [[attribute, value] as const]
  })
  return Result.flatMap(
    Data.body.decode(sections),
    (data) =>
      Result.fromOption(isOrderPlaced({ ...Object.fromEntries(attributes), data }), () => "no event of an order")
  )
}

const program = Effect.gen(function*() {
  const event = {
    specversion: "1.0",
    type: "com.example.order.placed",
    source: "/shop",
    id: "e-1",
    time: yield* DateTime.now,
    data: { id: "1", total: 9.5 }
  } as const
  const events = yield* ServiceBusSender.make(Events)
  yield* events.send({ body: event, messageId: event.id })
  const data = yield* ServiceBusSender.make(Data)
  yield* data.send({ ...binary({ ...event, id: "e-2" }), messageId: "e-2" })

  const receiver = yield* ServiceBusReceiver.make(Bytes)
  const messages = yield* receiver.receive({ max: 2 })
  const read = messages.map((message) =>
    Result.match(eventOf(message), {
      onFailure: (problem) => problem,
      onSuccess: ({ data, id, source }) => `${id} from ${source}, an order of ${data.total} (${message.contentType})`
    })
  )
  yield* receiver.completeAll(messages)
  yield* Console.log(read.join("; "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Events)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
