// Metrics: Effect's own, read as they are or as Prometheus reads them.
import { Console, Effect, Metric } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { PrometheusMetrics } from "effect/observability"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  yield* sender.sendAll(Array.from({ length: 5 }, (_, i) => ({ body: `letter ${i}` })))
  const receiver = yield* ServiceBusReceiver.make(Letters)
  const messages = yield* receiver.receive({ max: 5, maxWaitAfterFirst: "1 second" })
  yield* receiver.completeAll(messages)

  const counts = (yield* Metric.snapshot).flatMap((metric) =>
    metric.type === "Counter" && metric.id.endsWith(".messages") ? [`${metric.id} ${metric.state.count}`] : []
  )
  const prometheus = yield* PrometheusMetrics.format()
  const lines = prometheus.split("\n").filter((line) => line.startsWith("messaging_client_operation_duration_count"))
  yield* Console.log(`${counts.join(", ")}; ${lines.length} operations timed`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Letters)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
