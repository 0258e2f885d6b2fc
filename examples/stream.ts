// Receiving as a Stream: back-pressured by the prefetch window, settled by a handler, stopped by taking enough.
import { Console, Effect, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Numbers = ServiceBusEntity.queue("numbers", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Numbers)
  yield* sender.sendAll(Array.from({ length: 100 }, (_, i) => ({ body: String(i) })))

  const receiver = yield* ServiceBusReceiver.make(Numbers, { prefetch: 20 })
  const settlements = yield* receiver.messages.pipe(
    ServiceBusReceiver.settleEach(
      (body) =>
        Effect.succeed(
          Number(body) % 10 === 0 ? Settlement.deadLetter({ reason: "RoundNumber" }) : Settlement.complete
        ),
      { concurrency: 4 }
    ),
    Stream.take(100),
    Stream.runCollect
  )
  const dead = settlements.filter((settlement) => settlement._tag === "DeadLetter").length
  yield* Console.log(`${settlements.length - dead} completed, ${dead} dead-lettered`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Numbers)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
