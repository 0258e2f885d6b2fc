/** Sessions whose messages are settled as they are sent: in receive-and-delete mode, called and streamed, by id and as they come. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusSession from "../../../src/ServiceBusSession.ts"
import { beside, observe, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { receiveNoted } from "./observing.ts"
import { send } from "./sending.ts"
import { note } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text, sessions: true })

const ids = ["s1", "s2", "s3"]

/** How long a session has nothing before it is given up, in milliseconds. */
const quiet = 2_000

const takeAll = (world: World, name: string) =>
  Effect.gen(function*() {
    const { history, rng } = world
    for (;;) {
      yield* observe(
        world,
        "session",
        Effect.scoped(Effect.gen(function*() {
          const session = rng.chance(0.3)
            ? Option.some(yield* ServiceBusSession.acceptDestructive(Work, rng.pick(ids), { maxWait: quiet }))
            : yield* ServiceBusSession.acceptNextDestructive(Work, {
              wait: Math.max(1, rng.between(0, 3_000)),
              maxWait: quiet
            })
          if (Option.isNone(session)) return
          const consumer = `${name} ${session.value.sessionId}`
          const take = (message: Parameters<typeof note>[3] & { readonly sequenceNumber: bigint }) => {
            note(world, consumer, Work.path, message, "destructive")
            const sequence = String(message.sequenceNumber)
            history.add({ kind: "handled", consumer, entity: Work.path, sequence, outcome: "by hand" })
          }
          if (rng.chance(0.3)) {
            // It ends by itself once nothing has come for a while.
            return yield* Stream.runForEach(session.value.messages, (message) => Effect.sync(() => take(message)))
          }
          for (let isEmpty = false; !isEmpty;) {
            const messages = yield* receiveNoted(world, name, session.value, rng.between(1, 5), rng.between(1, quiet))
            for (const message of messages) take(message)
            isEmpty = messages.length === 0
          }
        }))
      )
      yield* Effect.sleep(rng.between(1, 1_000))
    }
  })

export const takingSessions: Workload = {
  name: "taking sessions",
  uses: ["sessions"],
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds" })],
  drained: [Work],
  run: (world) =>
    Effect.gen(function*() {
      for (const name of ["work", "more"]) {
        yield* beside(world, "sending", send(world, Work, { name, most: 25, sessions: ids }))
      }
      yield* Effect.forEach(
        ["a", "b"],
        (name) => consume(world, `taking ${name}`, takeAll(world, name), { isKept: true }),
        { concurrency: "unbounded", discard: true }
      )
    })
}
