// Stopping: nothing new is taken, handlers finish within a time, the rest is given back, and the report adds up.
import { Console, Effect, Fiber } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Tasks = ServiceBusEntity.queue("tasks", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Tasks)
  yield* sender.sendAll(Array.from({ length: 20 }, (_, i) => ({ body: i % 5 === 4 ? "slow" : "quick" })))
  const processor = yield* ServiceBusProcessor.make(
    Tasks,
    (task) => Effect.sleep(task === "slow" ? "1 minute" : "20 millis"),
    { concurrency: 5, prefetch: 5, drainTimeout: "300 millis" }
  )
  yield* Effect.sleep("30 millis")
  // Interrupting a fiber that runs `ServiceBusProcessor.process` does the same.
  const draining = yield* Effect.forkChild(processor.drain)
  const report = yield* Fiber.join(draining)
  const adds = report.received === report.settled + report.released + report.expired
  const emulator = yield* Emulator.Emulator
  const left = (yield* emulator.messages(Tasks)).length
  yield* Console.log(
    `${report.settled + left} of 20 tasks are done or left, the report ${adds ? "adds up" : "is wrong"}`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Tasks)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
