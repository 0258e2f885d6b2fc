// A body that does not decode: dead-lettered with what is wrong with it, while the others are received, or an error of the
// receiver; "abandon" would give it back for a consumer that can read it. Its text is not lost in any of the three.
import { Console, Effect, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })
const Orders = ServiceBusEntity.queue("orders", { body: Order })
/** The same queue, as a program with a mistake writes it. */
const Wrong = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

const sendBoth = Effect.gen(function*() {
  const [wrong, right] = [yield* ServiceBusSender.make(Wrong), yield* ServiceBusSender.make(Orders)]
  yield* wrong.send({ body: `{ "id": "1", "total": "much" }` })
  yield* right.send({ body: { id: "2", total: 9.5 } })
}).pipe(Effect.scoped)

/** What is received, completed. */
const receiveAll = (undecodable: "deadLetter" | "fail") =>
  Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(Orders, { undecodable })
    const messages = yield* receiver.receive({ max: 2, maxWait: "200 millis" })
    yield* receiver.completeAll(messages)
    return messages.map(({ body }) => body.id).join(", ")
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator

  yield* sendBoth
  const received = yield* receiveAll("deadLetter")
  const [letter] = yield* emulator.deadLetters(Orders)
  yield* Console.log(`received ${received}; ${letter!.deadLetterReason}: ${letter!.deadLetterErrorDescription}`)

  yield* sendBoth
  const failed = yield* receiveAll("fail").pipe(
    Effect.catchTag("MessageDecodeError", (error) => Effect.succeed(error.message))
  )
  yield* Console.log(failed)

  // For people, or another consumer: by another contract everything can be read.
  const receiver = yield* ServiceBusReceiver.make(Wrong)
  const texts = yield* receiver.receive({ max: 2 })
  yield* receiver.completeAll(texts)
  yield* Console.log(texts.map(({ body }) => body).join(" and "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
