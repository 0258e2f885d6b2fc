// A new message out of a received one: what was dead-lettered goes back to its queue, mended.
import { Console, Effect } from "effect"
import {
  AmqpValue,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusMessage,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Names = ServiceBusEntity.queue("names", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Names)
  const receiver = yield* ServiceBusReceiver.make(Names)
  const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Names))

  yield* sender.send({
    body: "  ada ",
    messageId: "m-1",
    correlationId: "c-1",
    applicationProperties: { attempt: AmqpValue.typed("ubyte", 1) }
  })
  const [message] = yield* receiver.receive()
  if (message !== undefined) yield* receiver.deadLetter(message, { reason: "untrimmed" })

  const [lost] = yield* dead.receive()
  if (lost === undefined) return
  // What the sender said is kept, to the AMQP type; what the broker said, and why it was dead-lettered, is not.
  yield* sender.send(ServiceBusMessage.fromReceived(lost, { body: lost.body.trim() }))
  yield* dead.complete(lost)

  const [again] = yield* receiver.receive()
  if (again === undefined) return
  yield* receiver.complete(again)
  const { attempt } = again.amqpApplicationProperties
  const type = AmqpValue.isTyped(attempt) ? attempt.type : "?"
  yield* Console.log(
    `"${again.body}" is back as ${again.messageId}, attempt a ${type}, dead-letter reason ${
      again.deadLetterReason ?? "none"
    }`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Names)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
