// A handler of batches: many rows go into the store with one statement, and each message is settled by itself.
import { Console, Deferred, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Reading = Schema.Struct({ sensor: Schema.Int, celsius: Schema.Finite })
const Readings = ServiceBusEntity.queue("readings", { body: Reading })

const rows: Array<typeof Reading.Type> = []
const insert = (batch: ReadonlyArray<typeof Reading.Type>) => Effect.sync(() => rows.push(...batch))

const isPlausible = ({ celsius }: typeof Reading.Type) => celsius > -100 && celsius < 100

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Readings)
  yield* sender.sendAll(
    Array.from({ length: 500 }, (_, i) => ({ body: { sensor: i, celsius: i % 100 === 0 ? 999 : 20 } }))
  )

  const done = yield* Deferred.make<void>()
  let batches = 0
  let handled = 0
  const processor = yield* ServiceBusProcessor.makeBatched(Readings, (messages) =>
    Effect.gen(function*() {
      batches++
      yield* insert(messages.map(({ body }) => body).filter(isPlausible))
      handled += messages.length
      if (handled === 500) yield* Deferred.succeed(done, undefined)
      // One settlement for each; one for all of them, or nothing, would do as well.
      return messages.map(({ body }) =>
        isPlausible(body) ? Settlement.complete : Settlement.deadLetter({ reason: "Implausible" })
      )
    }), { size: 100, within: "200 millis" })

  yield* Deferred.await(done)
  const { completed, deadLettered, received, settled } = yield* processor.drain
  yield* Console.log(
    `${rows.length} rows: ${completed} completed and ${deadLettered} dead-lettered in ${batches} batches, ` +
      `${settled} settled of ${received}`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Readings)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
