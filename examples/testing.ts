// Testing your own handler: the real broker in memory, under TestClock. Five minutes pass in no time and no lock is lost.
import { Console, Deferred, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"

const Reports = ServiceBusEntity.queue("reports", { body: ServiceBusBody.text })

/** The handler under test: it takes its time. */
const render = (title: string) => Effect.sleep("5 minutes").pipe(Effect.andThen(Effect.logDebug(`rendered ${title}`)))

const test = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  yield* emulator.send(Reports, [{ body: "yearly" }])

  const started = yield* Deferred.make<void>()
  yield* ServiceBusProcessor.make(
    Reports,
    (title) => Effect.andThen(Deferred.succeed(started, undefined), render(title))
  )

  // What is under way when the clock moves must have begun: await a fact first.
  yield* Deferred.await(started)
  yield* TestClock.adjust("5 minutes")
  yield* emulator.idle

  const { completed, lockExpired, renewed } = yield* emulator.counters(Reports)
  yield* Console.log(`${completed} completed, ${renewed} renewals, ${lockExpired} locks lost`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Reports, { lockDuration: "30 seconds" })] })

await Effect.runPromise(test.pipe(Effect.scoped, Effect.provide(Broker), Effect.provide(TestClock.layer())))
