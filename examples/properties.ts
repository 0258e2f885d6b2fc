// Application properties with a Schema: a contract declares them, senders must give them, and receivers have them decoded.
import { BigDecimal, Console, DateTime, Effect, Schema, Stream } from "effect"
import {
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Order = Schema.Struct({ id: Schema.String })

const Orders = ServiceBusEntity.topic("orders", {
  body: Order,
  properties: {
    region: Schema.Literals(["eu", "us"]),
    // A text on the wire, exact in the program.
    total: Schema.BigDecimalFromString,
    due: Schema.optionalKey(Schema.DateTimeUtc)
  }
})
const Billing = ServiceBusEntity.subscription(Orders, "billing")

/** The same topic for a program that knows nothing of its properties. */
const Careless = ServiceBusEntity.topic("orders", { body: Order })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.send({
    body: { id: "A-1" },
    applicationProperties: {
      region: "eu",
      total: BigDecimal.fromStringUnsafe("19.90"),
      due: DateTime.makeUnsafe("2026-12-24T00:00:00Z")
    }
  })

  const careless = yield* ServiceBusSender.make(Careless)
  yield* careless.send({ body: { id: "A-2" }, applicationProperties: { region: "mars", total: "5" } })
  // What the contract does not name stands beside what it does.
  yield* careless.send({ body: { id: "A-3" }, applicationProperties: { region: "us", total: "0.10", tenant: "acme" } })

  const receiver = yield* ServiceBusReceiver.make(Billing)
  const messages = yield* receiver.messages.pipe(Stream.take(2), Stream.runCollect)
  for (const { applicationProperties: { due, region, total, ...others }, body } of messages) {
    const until = due === undefined ? "any day" : DateTime.formatIsoDateUtc(due)
    const tenant = others["tenant"] === undefined ? "" : `, for ${String(others["tenant"])}`
    yield* Console.log(`${body.id} from ${region}: ${BigDecimal.format(total)}, due ${until}${tenant}`)
  }
  yield* receiver.completeAll(messages)

  // Properties that do not decode make a message undecodable, as a body would.
  yield* ServiceBusDeadLetters.browseRaw(Billing).pipe(
    Stream.runForEach((letter) => Console.log(`${letter.deadLetterReason}: ${letter.deadLetterErrorDescription}`))
  )
})

/** What a handler has of them is typed as well. */
export const Biller = ServiceBusProcessor.layer(
  Billing,
  (order, { applicationProperties: { region, total } }) =>
    Effect.log(`${order.id} of ${region} is over ${BigDecimal.format(total)}`)
)

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders), Emulator.entity(Billing)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
