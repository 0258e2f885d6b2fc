// The dead letters of a queue without a receiver of your own: count them, look at them, send some again, delete the rest.
import { Console, Effect, Schema, Stream } from "effect"
import {
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })
const Orders = ServiceBusEntity.queue("orders", { body: Order })

/** Some orders that a handler rejected. */
const reject = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll(["a", "b", "c", "d"].map((id, i) => ({ body: { id, total: i - 1 }, messageId: id })))
  const receiver = yield* ServiceBusReceiver.make(Orders)
  for (const order of yield* receiver.receive({ max: 4 })) {
    const reason = order.body.total < 0 ? "NegativeTotal" : "ShopIsClosed"
    yield* receiver.settle(order, Settlement.deadLetter({ reason }))
  }
}).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  yield* reject
  const { deadLetters } = yield* ServiceBusDeadLetters.counts(Orders)

  // Without bodies, and without locking anything: a look that costs little.
  const reasons = yield* ServiceBusDeadLetters.browseRaw(Orders).pipe(
    Stream.map((letter) => `${letter.messageId} ${letter.deadLetterReason}`),
    Stream.runCollect
  )
  yield* Console.log(reasons.join(", "))

  // The shop is open again. A hundred a second are enough for those who receive them.
  const report = yield* ServiceBusDeadLetters.replay(Orders, {
    filter: (letter) => letter.deadLetterReason === "ShopIsClosed",
    map: (letter) => ServiceBusMessage.fromReceived(letter, { subject: "replayed" }),
    rate: 100
  })

  const deleted = yield* ServiceBusDeadLetters.purge(Orders)
  yield* Console.log(
    `${deadLetters} letters: ${report.replayed} replayed, ${report.skipped} skipped, ${deleted} deleted`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders, { duplicateDetectionWindow: "10 minutes" })] })

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
