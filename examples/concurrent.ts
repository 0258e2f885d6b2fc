// Many senders and many receivers at once: fibers that share one connection, each with a link of its own.
import { Console, Effect, Ref } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Numbers = ServiceBusEntity.queue("numbers", { body: ServiceBusBody.text })

const produce = (id: number) =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Numbers)
    yield* Effect.forEach(Array.from({ length: 25 }), (_, i) => sender.send({ body: `${id}.${i}` }), {
      concurrency: 5
    })
  }).pipe(Effect.scoped)

const consume = (seen: Ref.Ref<number>) =>
  Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(Numbers)
    for (;;) {
      const messages = yield* receiver.receive({ max: 20, maxWait: "200 millis" })
      if (messages.length === 0) return
      yield* receiver.completeAll(messages)
      yield* Ref.update(seen, (n) => n + messages.length)
    }
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const seen = yield* Ref.make(0)
  yield* Effect.all([
    Effect.forEach([1, 2, 3, 4], produce, { concurrency: "unbounded" }),
    Effect.forEach([1, 2, 3], () => consume(seen), { concurrency: "unbounded" })
  ], { concurrency: "unbounded" })
  const emulator = yield* Emulator.Emulator
  yield* Console.log(`${yield* Ref.get(seen)} messages, ${yield* emulator.connections} connections left`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Numbers)] })

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
