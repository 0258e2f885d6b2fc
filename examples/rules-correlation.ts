// A subscription takes what has given values, letter by letter: it costs the service less than SQL. Rules may also be given to
// the embedded broker with its entities.
import { Console, Effect } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Paint = ServiceBusEntity.topic("paint", { body: ServiceBusBody.text })
const Red = ServiceBusEntity.subscription(Paint, "red")
const Replies = ServiceBusEntity.subscription(Paint, "replies")

const { correlation, make } = ServiceBusRule

const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Paint),
    Emulator.entity(Red, {
      rules: [make("red", correlation({ subject: "paint", applicationProperties: { color: "red", coats: 2 } }))]
    }),
    // Several rules without an action are as one: a message that two of them take comes once.
    Emulator.entity(Replies, {
      rules: [make("mine", correlation({ correlationId: "job-7" })), make("urgent", correlation({ to: "urgent" }))]
    })
  ]
})

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Paint)
  yield* sender.sendAll([
    { body: "wall", subject: "paint", applicationProperties: { color: "red", coats: 2 } },
    { body: "door", subject: "paint", applicationProperties: { color: "Red", coats: 2 } },
    { body: "roof", subject: "paint", applicationProperties: { color: "red", coats: 1 } },
    { body: "done", correlationId: "job-7", to: "urgent" }
  ])
  const bodies = (subscription: typeof Red) =>
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.makeDestructive(subscription)
      return (yield* receiver.receive({ max: 10 })).map(({ body }) => body).join(", ")
    })
  yield* Console.log(`red: ${yield* bodies(Red)}; replies: ${yield* bodies(Replies)}`)
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
