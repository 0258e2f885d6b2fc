// Messages that are enqueued later, and one that is taken back before its time.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Reminders = ServiceBusEntity.queue("reminders", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Reminders)
  const receiver = yield* ServiceBusReceiver.make(Reminders)

  const wake = yield* sender.schedule({ body: "wake up" }, "300 millis")
  const [tea, cake] = yield* sender.scheduleAll([{ body: "tea" }, { body: "cake" }], "400 millis")
  yield* sender.cancelScheduled([cake!])
  yield* Console.log(`scheduled ${wake} and ${tea}, cancelled ${cake}`)

  // Cancelling what is enqueued already, or cancelled before, is a typed error.
  const again = yield* sender.cancelScheduled([cake!]).pipe(
    Effect.as("cancelled twice"),
    Effect.catchTag("MessageNotFoundError", () => Effect.succeed("not there any more"))
  )

  const bodies: Array<string> = []
  while (bodies.length < 2) {
    for (const message of yield* receiver.receive({ max: 2, maxWait: "5 seconds" })) {
      bodies.push(message.body)
      yield* receiver.complete(message)
    }
  }
  yield* Console.log(`${bodies.join(", then ")}; the cake is ${again}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Reminders)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
