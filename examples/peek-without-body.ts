// A look at many large messages that costs little: the broker leaves the bodies out.
import { Console, Effect, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Films = ServiceBusEntity.queue("films", { body: ServiceBusBody.bytes })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Films)
  yield* Effect.forEach(
    ["alien", "brazil", "casablanca"],
    (subject) => sender.send({ body: new Uint8Array(100_000), subject })
  )

  const receiver = yield* ServiceBusReceiver.make(Films)
  const titles = yield* receiver.browseRaw({ omitBody: true }).pipe(
    Stream.map((message) =>
      `${message.sequenceNumber} ${message.subject} (${message.size < 1000 ? "small" : "large"})`
    ),
    Stream.runCollect
  )
  yield* Console.log(titles.join(", "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Films)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
