// Claim check: what is too large for a message is kept in a store, and the message says where. A message that is small goes as
// it is, and the consumer does not see the difference.
import { Console, Context, Deferred, Effect, Layer, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

/** Where large things are kept: blob storage, in a real program. */
class Blobs extends Context.Service<Blobs, {
  readonly put: (key: string, bytes: Uint8Array) => Effect.Effect<void>
  readonly get: (key: string) => Effect.Effect<Uint8Array>
}>()("Blobs") {
  static readonly layerMemory = Layer.sync(this, () => {
    const kept = new Map<string, Uint8Array>()
    return {
      put: (key, bytes) => Effect.sync(() => void kept.set(key, bytes)),
      get: (key) => Effect.suspend(() => kept.has(key) ? Effect.succeed(kept.get(key)!) : Effect.die(`no blob ${key}`))
    }
  })
}

const Scan = Schema.Union([
  Schema.TaggedStruct("Inline", { bytes: Schema.Uint8Array }),
  Schema.TaggedStruct("Claim", { key: Schema.String })
])
const Scans = ServiceBusEntity.queue("scans", { body: Scan })

const makeSender = ServiceBusSender.make(Scans)

/** Stored before the message is sent: what fails in between leaves a blob that nobody asks for, and not the other way round. */
const sendScan = Effect.fn("sendScan")(
  function*(sender: Effect.Success<typeof makeSender>, id: string, bytes: Uint8Array) {
    if (bytes.length < 100_000) return yield* sender.send({ messageId: id, body: { _tag: "Inline", bytes } })
    const blobs = yield* Blobs
    yield* blobs.put(id, bytes)
    return yield* sender.send({ messageId: id, body: { _tag: "Claim", key: id } })
  }
)

/**
 * What the handler gets: the bytes, wherever they were. No handler removes a blob, since its message may come again although
 * it succeeded: the store deletes them by age (a lifecycle rule of blob storage), later than a message can come.
 */
const fetched =
  <E, R>(handler: (bytes: Uint8Array) => Effect.Effect<void, E, R>) =>
  (body: typeof Scan.Type): Effect.Effect<void, E, R | Blobs> =>
    body._tag === "Inline"
      ? handler(body.bytes)
      : Effect.flatMap(Blobs, (blobs) => Effect.flatMap(blobs.get(body.key), handler))

const program = Effect.gen(function*() {
  const sender = yield* makeSender
  yield* sendScan(sender, "small", new Uint8Array(500))
  yield* sendScan(sender, "large", new Uint8Array(5_000_000))

  const emulator = yield* Emulator.Emulator
  const sizes = (yield* emulator.messages(Scans)).map(({ messageId, size }) => `${messageId} takes ${size} bytes`)
  const read: Array<number> = []
  const done = yield* Deferred.make<void>()
  yield* ServiceBusProcessor.make(
    Scans,
    fetched((bytes) =>
      Effect.gen(function*() {
        read.push(bytes.length)
        if (read.length === 2) yield* Deferred.succeed(done, undefined)
      })
    )
  )
  yield* Deferred.await(done)
  yield* Console.log(`${sizes.join(", ")}; read ${read.join(" and ")} bytes`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Scans)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Layer.merge(Broker, Blobs.layerMemory))))
