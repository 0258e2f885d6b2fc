// Sessions: messages that belong together, in order, for one receiver at a time; by name, and the next one there is.
import { Console, Effect, Option, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Chats = ServiceBusEntity.queue("chats", { body: ServiceBusBody.text, sessions: true })

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Chats)
  // The compiler asks for a session id: this queue has sessions.
  yield* sender.sendAll([
    { body: "hello", sessionId: "ann" },
    { body: "hi", sessionId: "bob" },
    { body: "how are you?", sessionId: "ann" },
    { body: "bye", sessionId: "bob" }
  ])

  // By its id. No other consumer gets a message of it before the scope closes; its lock is renewed meanwhile.
  const ann = yield* Effect.scoped(Effect.gen(function*() {
    const session = yield* ServiceBusSession.accept(Chats, "ann")
    const messages = yield* session.receive({ max: 10 })
    yield* session.completeAll(messages)
    const taken = yield* ServiceBusSession.accept(Chats, "ann").pipe(
      Effect.scoped,
      Effect.as("free"),
      Effect.catchTag("SessionCannotBeLockedError", () => Effect.succeed("taken"))
    )
    return `ann: ${messages.map(({ body }) => body).join(" ")} (${taken})`
  }))

  // The next one that has messages and no receiver; None where there was none in time.
  const bob = yield* ServiceBusSession.useNext(Chats, (session) =>
    session.messages.pipe(
      Stream.take(2),
      Stream.mapEffect((message) => Effect.as(session.complete(message), message.body)),
      Stream.runCollect,
      Effect.map((bodies) => `${session.sessionId}: ${bodies.join(" ")}`)
    ))
  const none = yield* ServiceBusSession.useNext(Chats, () => Effect.void, { wait: "100 millis" })
  yield* Console.log(`${ann}; ${Option.getOrElse(bob, () => "no session")}; then ${none._tag}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Chats)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
