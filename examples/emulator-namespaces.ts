// One broker on a port, and two suites that run against it at the same time: each has a namespace of its own, so that their
// queues of the same name, their faults and their clean-up do not meet. Any SDK does the same with the connection string.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

/** Started once for all suites. Namespaces start with its entities. */
const Server = Emulator.layerServer({ entities: [Emulator.entity(Orders)] })

/** A test, in a namespace that is made for it and removed with it. It would fail if another one took its messages, or put some there. */
const test = Effect.fn(function*(name: string, count: number) {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll(Array.from({ length: count }, (_, i) => ({ body: `${name} ${i}` })))
  const emulator = yield* Emulator.Emulator
  // The next send fails here, and nowhere else.
  yield* emulator.fail({ operation: "send", error: { condition: "amqp:not-allowed" } })
  yield* Effect.flip(sender.send({ body: "refused" }))
  const receiver = yield* ServiceBusReceiver.make(Orders)
  let taken = 0
  while (taken < count) {
    const messages = yield* receiver.receive({ max: count })
    yield* receiver.completeAll(messages)
    taken += messages.filter(({ body }) => body.startsWith(name)).length
  }
  return `${name} sent and took ${taken}, ${(yield* emulator.messages(Orders)).length} left`
}, Effect.scoped)

const program = Effect.gen(function*() {
  const results = yield* Effect.all([
    test("red", 3).pipe(Effect.provide(Emulator.layerNamespace({ name: "team-red" }))),
    test("blue", 5).pipe(Effect.provide(Emulator.layerNamespace({ name: "team-blue" })))
  ], { concurrency: "unbounded" })
  yield* Console.log(results.join("\n"))
  const emulator = yield* Emulator.Emulator
  const left = yield* emulator.namespaces
  yield* Console.log(`namespaces left: ${left.map(({ name }) => name).join(", ")}`)
})

await Effect.runPromise(program.pipe(Effect.provide(Server)))
