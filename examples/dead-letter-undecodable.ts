// Letters that no consumer could decode are sent again as they are, byte for byte, once there is one that can.
import { Console, Effect, Schema, Stream } from "effect"
import { ServiceBusDeadLetters, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

/** What the consumers knew, and what they know since their last release. */
const Old = Schema.Struct({ celsius: Schema.Finite })
const New = Schema.Struct({ celsius: Schema.optional(Schema.Finite), fahrenheit: Schema.optional(Schema.Finite) })
const OldReadings = ServiceBusEntity.topic("readings", { body: Old })
const Readings = ServiceBusEntity.topic("readings", { body: New })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Readings)
  yield* sender.sendAll([{ body: { celsius: 20 } }, { body: { fahrenheit: 70 } }, { body: { fahrenheit: 50 } }])

  // Two of the three do not decode: the receiver dead-letters them.
  const before = yield* ServiceBusReceiver.make(ServiceBusEntity.subscription(OldReadings, "charts"), {
    maxWait: "100 millis"
  })
  yield* Stream.runForEach(before.messages, before.complete)

  // By the name the bodies are bytes: nothing is decoded, and nothing is encoded again.
  const { replayed } = yield* ServiceBusDeadLetters.replay("readings/Subscriptions/charts", {
    to: "readings",
    filter: (letter) => letter.deadLetterReason === "MessageDecodeError"
  })

  const after = yield* ServiceBusReceiver.make(ServiceBusEntity.subscription(Readings, "charts"))
  const messages = yield* after.receive({ max: 10, maxWait: "5 seconds" })
  yield* after.completeAll(messages)
  yield* Console.log(`${replayed} replayed: ${messages.map(({ body }) => `${body.fahrenheit} F`).join(", ")}`)
})

const Broker = Emulator.layer({
  entities: [Emulator.entity(Readings), Emulator.entity(ServiceBusEntity.subscription(Readings, "charts"))]
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
