// A batch filled by hand: what is sent together is decided here, by size.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Lines = ServiceBusEntity.queue("lines", { body: ServiceBusBody.text })

const lines = Array.from({ length: 500 }, (_, i) => `line ${i}`)

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Lines)
  const sizes: Array<number> = []
  const newBatch = sender.batch({ maxSize: 16 * 1024 })
  const flush = Effect.fn(function*(batch: Effect.Success<typeof newBatch>) {
    sizes.push(batch.count)
    return yield* sender.sendBatch(batch)
  })

  let batch = yield* newBatch
  for (const body of lines) {
    // False: it does not fit any more. What could never be sent fails instead.
    if (yield* batch.tryAdd({ body })) continue
    yield* flush(batch)
    batch = yield* newBatch
    yield* batch.tryAdd({ body })
  }
  yield* flush(batch)

  const { enqueued } = yield* Effect.flatMap(Emulator.Emulator, (emulator) => emulator.counters(Lines))
  yield* Console.log(`${enqueued} messages in batches of ${sizes.join(", ")}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Lines)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
