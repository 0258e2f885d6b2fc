// What the broker counts: its own metrics, beside those of its clients, in the registry that Effect's exporters read.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { PrometheusMetrics } from "effect/observability"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.sendAll([{ body: "a" }, { body: "b" }, { body: "c" }])
  const receiver = yield* ServiceBusReceiver.make(Letters)
  const [first, second] = yield* receiver.receive({ max: 2, maxWaitAfterFirst: "1 second" })
  yield* receiver.complete(first!)
  yield* receiver.settle(second!, Settlement.deadLetter({ reason: "no address" }))

  // Prometheus' own format; OTLP is in docs/observability.md.
  const lines = (yield* PrometheusMetrics.format()).split("\n")
  const held = lines.filter((line) => /^servicebus_broker_message_current\{.*"letters"/.test(line)).map((line) => {
    const [, state, count] = /servicebus_message_state="(\w+)".* (\d+)$/.exec(line)!
    return `${state} ${count}`
  })
  yield* Console.log(held.join(", "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Emulator.layerMetrics), Effect.provide(Broker)))
