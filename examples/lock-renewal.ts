// Work that takes longer than the lock: the lock is renewed while the work runs, and the work is interrupted if it is lost.
import { Console, Effect } from "effect"
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Films = ServiceBusEntity.queue("films", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Films)
  yield* sender.send({ body: "a long one" })

  const receiver = yield* ServiceBusReceiver.make(Films)
  const [film] = yield* receiver.receive()
  if (film === undefined) return yield* Effect.die("a message was sent")

  const encode = Effect.sleep("3 seconds")
  yield* encode.pipe(AutoLockRenewer.withLock(receiver, film, { maxDuration: "1 minute" }))
  yield* receiver.complete(film)

  const emulator = yield* Emulator.Emulator
  const { completed, lockExpired, renewed } = yield* emulator.counters(Films)
  yield* Console.log(
    `${completed} completed after ${renewed > 0 ? "renewals" : "no renewal"}, ${lockExpired} locks lost`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Films, { lockDuration: "2 seconds" })] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
