// Handlers that take much longer than a lock lasts: their locks are kept, renewed together, and can be watched.
import { Console, Deferred, Duration, Effect, Stream } from "effect"
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Films = ServiceBusEntity.queue("films", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Films)
  yield* sender.sendAll(Array.from({ length: 20 }, (_, i) => ({ body: `film ${i}` })))

  // The locks of twenty messages are renewed with one request, when half of their life is left.
  const receiver = yield* ServiceBusReceiver.make(Films, { renewalBatch: 20, renewalMargin: 0.5 })
  const done = yield* Deferred.make<void>()
  let handled = 0
  let most = 0
  const processor = yield* ServiceBusProcessor.make(receiver, (_, message) =>
    Effect.gen(function*() {
      yield* AutoLockRenewer.watchLock(receiver, message).pipe(
        Stream.runForEach((lock) =>
          Effect.sync(() => {
            if (lock._tag === "Held") most = Math.max(most, lock.renewals)
          })
        ),
        Effect.forkScoped
      )
      yield* Effect.sleep("3500 millis")
      if (++handled === 20) yield* Deferred.succeed(done, undefined)
    }), { concurrency: 20, maxLockRenewal: Duration.infinity })

  yield* Deferred.await(done)
  const { completed, lockLost } = yield* processor.drain
  const renewals = yield* AutoLockRenewer.renewals(receiver)
  yield* Console.log(
    `${completed} completed, ${lockLost} locks lost; ${
      most > 0 && renewals >= 20 ? "every" : "not every"
    } lock was renewed`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Films, { lockDuration: "2 seconds" })] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
