// A stream into a queue: batches as full as time and the link's limit allow, and a report of what could not be sent.
import { Console, Effect, Schema, Stream } from "effect"
import { ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Reading = Schema.Struct({ sensor: Schema.String, celsius: Schema.Finite })

const Readings = ServiceBusEntity.queue("readings", { body: Reading })

const readings = Stream.range(1, 10_000).pipe(
  Stream.map((i) => ({
    // Sensor 13 is broken, and NaN is no finite number.
    body: { sensor: `s${i % 20}`, celsius: i === 13 ? NaN : 20 + (i % 7) },
    // Readings of one sensor stay in order; those of different sensors go at the same time.
    partitionKey: `s${i % 20}`
  }))
)

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Readings)
  const { rejected, sent } = yield* readings.pipe(
    Stream.run(sender.sink({ linger: "20 millis", concurrency: 8 }))
  )
  const emulator = yield* Emulator.Emulator
  const { enqueued } = yield* emulator.counters(Readings)
  const refusals = rejected.map(({ error, index }) => `message ${index}: ${error._tag}`)
  yield* Console.log(`sent ${sent}, the broker has ${enqueued}; rejected ${refusals.join(", ")}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Readings)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
