// Looking without receiving: messages of every state, from any sequence number on.
import { Console, Effect, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.sendAll([..."abcdef"].map((body) => ({ body })))
  yield* sender.schedule({ body: "g" }, "1 hour")
  const receiver = yield* ServiceBusReceiver.make(Letters)
  const [first] = yield* receiver.receive()
  yield* receiver.defer(first!)

  // A page at a time: the cursor is yours.
  const page = yield* receiver.peek({ from: 3n, max: 2 })
  yield* Console.log(page.map(({ body, sequenceNumber }) => `${sequenceNumber}: ${body}`).join(", "))

  // All there is, as a stream.
  const states = yield* receiver.browse().pipe(
    Stream.map(({ body, state }) => `${body} ${state}`),
    Stream.runCollect
  )
  yield* Console.log(states.join(", "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
