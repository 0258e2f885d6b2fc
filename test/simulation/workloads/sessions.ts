/** Sessions: two processors compete for them, with state that counts, and idle and shared ends. */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import type { Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { send } from "./sending.ts"

const Work = ServiceBusEntity.queue("work", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.json(Schema.Number)
})

export const sessions: Workload = {
  name: "sessions",
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds", maxDeliveryCount: 5 })],
  drained: [Work],
  run: (world) =>
    Effect.gen(function*() {
      const ids = ["s1", "s2", "s3", "s4"]
      for (const name of ["work", "more"]) {
        yield* Effect.forkScoped(send(world, Work, { name, most: 30, sessions: ids }))
      }
      yield* Effect.forEach(["a", "b"], (name) =>
        consume(
          world,
          `sessions ${name}`,
          ServiceBusProcessor.processSessions(
            Work,
            (body, message, session) =>
              Effect.andThen(
                world.rng.chance(0.2) ? Effect.ignore(session.setState(Number(message.sequenceNumber))) : Effect.void,
                handle(world, `${name} ${session.sessionId}`, Work.path, body, message)
              ),
            {
              concurrentSessions: world.rng.between(1, 4),
              idleTimeout: world.rng.between(100, 10_000),
              messagesPerSession: world.rng.pick([undefined, 3]),
              drainTimeout: "10 seconds"
            }
          )
        ), { concurrency: "unbounded", discard: true })
    })
}
