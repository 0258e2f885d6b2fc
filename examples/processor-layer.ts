// Two workers in one program: one is a layer, whose end ends the program, one a service that is counted, drained, and asked how
// it ended.
import { Console, Context, Deferred, Effect, Exit, Layer } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusProcessor,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Invoices = ServiceBusEntity.queue("invoices", { body: ServiceBusBody.text })

// Attaches its receiver, or fails the program at its start; drains when the program ends. Where it stops for good it says so in
// the log, and `stopped` fails; without it the program would go on.
const Printer = (stopped: Deferred.Deferred<never, ServiceBusError.ReceiveError>) =>
  ServiceBusProcessor.layer(Invoices, () => Effect.sleep("1 millis"), { concurrency: 4, stopped })

// The same, and others can ask for it by its name: a class for each such worker.
class Billing extends Context.Service<Billing>()("app/Billing", {
  make: Effect.gen(function*() {
    const invoices = yield* ServiceBusSender.make(Invoices)
    return yield* ServiceBusProcessor.make(
      Orders,
      (order) => Effect.asVoid(invoices.send({ body: `invoice of ${order}` })),
      { concurrency: 16 }
    )
  })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

const program = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const billing = yield* Billing
  yield* emulator.send(Orders, Array.from({ length: 50 }, (_, i) => ({ body: `order ${i}` })))
  while ((yield* emulator.counters(Invoices)).completed < 50) yield* Effect.sleep("10 millis")

  // Somebody takes the right to receive away: it cannot go on, and whoever waits for its end is told why.
  yield* revoke(Orders)
  const exit = yield* billing.stopped
  const { settled } = yield* billing.drain
  yield* Console.log(`${settled} orders billed, then: ${Exit.isFailure(exit) ? "stopped for good" : "drained"}`)
  yield* revoke(Invoices)
  return yield* Effect.never
})

const revoke = Effect.fn("revoke")(function*(queue: typeof Orders) {
  const emulator = yield* Emulator.Emulator
  const error = { condition: "amqp:unauthorized-access", description: "the Listen claim was revoked" }
  yield* emulator.fail({ operation: "attach", entity: queue.name, error, times: Infinity })
  yield* emulator.detachLinks(error, queue)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders), Emulator.entity(Invoices)] })

// In a program of yours: NodeRuntime.runMain, which drains on a signal, and where `main` fails ends with an exit code of 1.
const main = Effect.gen(function*() {
  const stopped = yield* Deferred.make<never, ServiceBusError.ReceiveError>()
  const workers = Layer.merge(Printer(stopped), Billing.layer)
  return yield* Effect.raceFirst(Effect.provide(program, workers), Deferred.await(stopped))
})

await Effect.runPromise(main.pipe(
  Effect.catchTag("ServiceBusAuthorizationError", ({ entity }) => Console.log(`The program ends with ${entity}`)),
  Effect.provide(Broker)
))
