// The four settlements by hand, and what a second one of the same message gives.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Tasks = ServiceBusEntity.queue("tasks", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Tasks)
  yield* sender.sendAll(["done", "later", "aside", "broken"].map((body) => ({ body })))

  const receiver = yield* ServiceBusReceiver.make(Tasks)
  const [done, later, aside, broken] = yield* receiver.receive({ max: 4 })
  if (!done || !later || !aside || !broken) return yield* Effect.die("four messages were sent")

  yield* receiver.complete(done)
  yield* receiver.abandon(later, { properties: { tried: true } })
  yield* receiver.defer(aside)
  yield* receiver.deadLetter(broken, { reason: "Unreadable", description: "the third page is missing" })

  const twice = yield* receiver.complete(done).pipe(
    Effect.as("settled twice"),
    Effect.catchTag("MessageAlreadySettled", () => Effect.succeed("a second settlement is refused"))
  )
  const [again] = yield* receiver.receive()
  yield* Console.log(`${twice}; "${again?.body}" came again, delivery ${(again?.deliveryCount ?? 0) + 1}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Tasks)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
