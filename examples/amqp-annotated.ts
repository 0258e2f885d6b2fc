// Messages by their AMQP sections: sent as they are, kept as bytes, read again with every AMQP type.
import { Console, Effect } from "effect"
import { AmqpAnnotatedMessage, AmqpValue, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make("raw")
  const receiver = yield* ServiceBusReceiver.makeDestructive("raw")

  // A body that no codec of the contract knows: two AMQP sequence sections.
  yield* sender.sendAnnotated({
    properties: { messageId: "m-1", groupSequence: 7 },
    messageAnnotations: { "x-source": AmqpValue.symbol("plant-4") },
    body: { kind: "sequence", sequences: [[1, AmqpValue.typed("uint", 2)], ["three"]] }
  })
  const [message] = yield* receiver.receiveRaw()
  if (message === undefined) return

  // To a file or a database, and back.
  const kept = AmqpAnnotatedMessage.bytesOfReceived(message)
  const read = yield* Effect.fromResult(AmqpAnnotatedMessage.fromBytes(kept))
  yield* sender.sendAnnotated(read)

  const [again] = yield* receiver.receiveRaw()
  yield* Console.log(`${kept.length} bytes, a body of kind ${read.body.kind}, sent again as ${again?.messageId}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity("raw")] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
