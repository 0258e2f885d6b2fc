// What costs time, and what to do about it: many messages with one call, several calls at a time, handlers beside each other.
// The numbers are of this machine and the broker in memory; to Azure each wait is a round trip, and the differences are larger.
import { Clock, Console, Deferred, Effect } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Readings = ServiceBusEntity.queue("readings", { body: ServiceBusBody.text })

const many = Array.from({ length: 2000 }, (_, i) => ({ body: `reading ${i}` }))

/** Messages per second of what takes `many`. */
const rateOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeNanos
    yield* effect
    const end = yield* Clock.currentTimeNanos
    return Math.round(many.length / (Number(end - start) / 1e9))
  })

const process = (concurrency: number) =>
  Effect.gen(function*() {
    let handled = 0
    const done = yield* Deferred.make<void>()
    yield* ServiceBusProcessor.make(
      Readings,
      () =>
        Effect.sleep("1 millis").pipe(
          Effect.andThen(() => ++handled === many.length ? Deferred.succeed(done, undefined) : Effect.void),
          Effect.asVoid
        ),
      // As many wait at the client as are handled; more where the broker is far away.
      { concurrency }
    )
    yield* Deferred.await(done)
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Readings)
  const receive = Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(Readings)
    for (let left = many.length; left > 0;) {
      const messages = yield* receiver.receive({ max: 500 })
      yield* receiver.completeAll(messages)
      left -= messages.length
    }
  }).pipe(Effect.scoped)

  yield* Console.log("messages per second")
  yield* Console.log(`  send, one after the other      ${yield* rateOf(Effect.forEach(many, sender.send))}`)
  yield* Console.log(`  receive, 500 at a time         ${yield* rateOf(receive)}`)
  const beside = Effect.forEach(many, sender.send, { concurrency: 100 })
  yield* Console.log(`  send, 100 at a time            ${yield* rateOf(beside)}`)
  yield* Console.log(`  handlers of 1 ms, 10 at a time ${yield* rateOf(process(10))}`)
  yield* Console.log(`  sendAll, in batches            ${yield* rateOf(sender.sendAll(many))}`)
  yield* Console.log(`  handlers, 100 at a time        ${yield* rateOf(process(100))}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Readings)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
