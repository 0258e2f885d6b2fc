// Scheduling on a topic: the topic keeps the message until its time, then every subscription has a copy.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Reminders = ServiceBusEntity.topic("reminders", { body: ServiceBusBody.text })
const Mail = ServiceBusEntity.subscription(Reminders, "mail")
const Phone = ServiceBusEntity.subscription(Reminders, "phone")

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Reminders)
  yield* sender.schedule({ body: "soon" }, "50 millis")
  const later = yield* sender.scheduleAll([{ body: "tomorrow" }, { body: "next week" }], "1 day")
  yield* sender.cancelScheduled(later)

  const mail = yield* ServiceBusReceiver.makeDestructive(Mail)
  const phone = yield* ServiceBusReceiver.makeDestructive(Phone)
  const [byMail] = yield* mail.receive({ maxWait: "5 seconds" })
  const [byPhone] = yield* phone.receive({ maxWait: "5 seconds" })
  yield* Console.log(`mail: ${byMail!.body}, phone: ${byPhone!.body}, ${later.length} cancelled`)
})

const Broker = Emulator.layer({
  entities: [Emulator.entity(Reminders), Emulator.entity(Mail), Emulator.entity(Phone)]
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
