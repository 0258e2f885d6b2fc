// Which sessions there are: with messages or a state, and those whose state was set since a time. On a subscription too.
import { Console, DateTime, Effect, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Jobs = ServiceBusEntity.topic("jobs", { body: ServiceBusBody.text, sessions: true })
const Workers = ServiceBusEntity.subscription(Jobs, "workers", { sessions: true, sessionState: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Jobs)
  yield* sender.sendAll(["red", "green", "blue"].map((sessionId) => ({ body: "paint", sessionId })))

  const before = yield* DateTime.now
  yield* Effect.sleep("5 millis")
  yield* ServiceBusSession.use(Workers, "green", (session) => session.setState("half done"))

  const active = yield* Stream.runCollect(ServiceBusSession.list(Workers))
  const changed = yield* Stream.runCollect(ServiceBusSession.list(Workers, { updatedSince: before }))
  yield* Console.log(`sessions: ${active.join(", ")}; changed: ${changed.join(", ")}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Jobs), Emulator.entity(Workers)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
