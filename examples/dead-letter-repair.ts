// Reads dead letters, repairs them by hand and sends them back: what a program does that decides about each letter itself.
import { Console, Effect, Schema } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Payment = Schema.Struct({ amount: Schema.Finite, currency: Schema.String })
const Payments = ServiceBusEntity.queue("payments", { body: Payment })
/** The same queue by the text of its bodies: what does not decode can be read, too. */
const Raw = ServiceBusEntity.queue("payments", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Raw)
  yield* sender.sendAll(
    ["{\"amount\":1,\"currency\":\"EUR\"}", "{\"amount\":2}", "no JSON"].map((body) => ({ body }))
  )
  const receiver = yield* ServiceBusReceiver.make(Payments)
  // Two of the three do not decode: the receiver dead-letters them.
  yield* receiver.completeAll(yield* receiver.receive({ max: 3 }))

  const payments = yield* ServiceBusSender.make(Payments)
  const letters = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Raw))
  for (const letter of yield* letters.receive({ max: 10 })) {
    const repaired = yield* Schema.decodeEffect(Schema.fromJsonString(Schema.Struct({ amount: Schema.Finite })))(
      letter.body
    )
      .pipe(Effect.option)
    if (repaired._tag === "None") {
      yield* Console.log(`beyond repair: ${letter.deadLetterReason}`)
      yield* letters.complete(letter)
      continue
    }
    // The same message with another body and a new id; once it is accepted the letter is done.
    const body = { ...repaired.value, currency: "EUR" }
    yield* payments.send(ServiceBusMessage.fromReceived(letter, { body, messageId: undefined }))
    yield* letters.complete(letter)
  }

  const [back] = yield* receiver.receive()
  yield* receiver.complete(back!)
  yield* Console.log(`repaired: ${back!.body.amount} ${back!.body.currency}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Payments)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
