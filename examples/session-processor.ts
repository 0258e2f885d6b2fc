// Many sessions on few slots: each session's messages in order, its state written when it is given up.
import { Console, Effect, Option, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Accounts = ServiceBusEntity.queue("accounts", {
  body: Schema.Struct({ amount: Schema.Int }),
  sessions: true,
  sessionState: Schema.Struct({ balance: Schema.Int })
})

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Accounts)
  yield* sender.sendAll(
    Array.from({ length: 300 }, (_, i) => ({ body: { amount: i }, sessionId: `account ${i % 30}` }))
  )

  const balances = new Map<string, number>()
  const processor = yield* ServiceBusProcessor.makeSessions(Accounts, (booking, _, session) =>
    Effect.sync(() => {
      balances.set(session.sessionId, (balances.get(session.sessionId) ?? 0) + booking.amount)
    }), {
    concurrentSessions: 4,
    messagesPerSession: 10,
    open: (session) =>
      Effect.map(
        session.state,
        (state) =>
          balances.set(session.sessionId, Option.match(state, { onNone: () => 0, onSome: ({ balance }) => balance }))
      ),
    // Lost, it is another consumer's, and what was not written is worked out again.
    close: (session, reason) =>
      reason === "lost" ? Effect.void : session.setState({ balance: balances.get(session.sessionId)! })
  })
  while ((yield* processor.counts).completed < 300) yield* Effect.sleep("10 millis")
  const { completed, sessions } = yield* processor.drain
  const total = [...balances.values()].reduce((sum, balance) => sum + balance, 0)
  yield* Console.log(`${completed} bookings of ${sessions} sessions, ${total} in all`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Accounts)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
