/** Sessions: two processors compete for them, with state that counts, and idle and shared ends. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import type { LockedMessage } from "../../../src/ServiceBusMessage.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import type * as ServiceBusSession from "../../../src/ServiceBusSession.ts"
import { attempt, beside, flat, operateAside, resultOf, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"

const Work = ServiceBusEntity.queue("work", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.json(Schema.Number)
})

/** Reads the state of a session, or sets it. */
export const useState = (world: World, session: ServiceBusSession.ServiceBusSession<string, number>, value: number) =>
  Effect.suspend(() => {
    const { history, rng } = world
    const { sessionId } = session
    if (rng.chance(0.7)) return Effect.void
    if (rng.chance(0.5)) {
      history.add({ kind: "state", session: sessionId, value, result: "asked" })
      return Effect.onExit(
        attempt(world, session.setState(value)),
        (exit) =>
          Effect.sync(() =>
            history.add({ kind: "state", session: sessionId, value, result: resultOf(flat(exit)).result })
          )
      )
    }
    // Noted when it is read: its operation may go on until it is interrupted.
    const read = Effect.tap(
      session.state,
      (state) =>
        Effect.sync(() =>
          history.add({ kind: "state", session: sessionId, value: Option.getOrUndefined(state), result: "read" })
        )
    )
    return Effect.asVoid(operateAside(world, "state", () => read))
  })

export const sessions: Workload = {
  name: "sessions",
  uses: ["handlers", "settlements", "sessions"],
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds", maxDeliveryCount: 5 })],
  drained: [Work],
  credits: { work: 2 },
  run: (world) =>
    Effect.gen(function*() {
      const ids = ["s1", "s2", "s3", "s4"]
      for (const name of ["work", "more"]) {
        yield* beside(world, "sending", send(world, Work, { name, most: 30, sessions: ids }))
      }
      yield* Effect.forEach(["a", "b"], (name) => {
        const concurrentSessions = world.rng.between(1, 4)
        const idleTimeout = world.rng.between(100, 10_000)
        const messagesPerSession = world.rng.pick([undefined, 3])
        world.history.add({ kind: "bound", consumer: name, of: "sessions", most: concurrentSessions })
        const counts = new WeakMap<object, number>()
        const handler = (body: string, message: LockedMessage<string>, session: Parameters<typeof useState>[1]) => {
          const count = (counts.get(session) ?? 0) + 1
          counts.set(session, count)
          const most = messagesPerSession ?? Infinity
          world.history.add({ kind: "measured", consumer: name, what: "messages", count, most })
          const first = useState(world, session, Number(message.sequenceNumber))
          return handle(world, `${name} ${session.sessionId}`, Work.path, body, message, { first })
        }
        const make = ServiceBusProcessor.makeSessions(Work, handler, {
          concurrentSessions,
          idleTimeout,
          messagesPerSession,
          drainTimeout: "10 seconds"
        })
        return consume(world, `sessions ${name}`, keepBooks(world, name, Work.path, make))
      }, { concurrency: "unbounded", discard: true })
    })
}
