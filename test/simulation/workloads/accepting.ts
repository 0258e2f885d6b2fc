/** Sessions by hand: accepted by their ids and as they come, under locks and destructively, with their state, listed and peeked. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusSession from "../../../src/ServiceBusSession.ts"
import { beside, operate, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { receiveNoted } from "./observing.ts"
import { send } from "./sending.ts"
import { useState } from "./sessions.ts"
import { note, settleSomehow } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.json(Schema.Number)
})

const ids = ["s1", "s2", "s3"]

const acceptAll = (world: World, name: string, deferred: Map<string, Array<bigint>>) =>
  Effect.gen(function*() {
    const { rng } = world
    for (;;) {
      yield* operate(
        world,
        "session",
        Effect.scoped(Effect.gen(function*() {
          const wait = Math.max(1, rng.between(0, 3_000))
          const next = ServiceBusSession.acceptNext(Work, { wait })
          const session = rng.chance(0.3)
            ? Option.some(yield* ServiceBusSession.accept(Work, rng.pick(ids)))
            : yield* next
          if (Option.isNone(session)) return
          yield* useState(world, session.value, rng.between(1, 1_000_000))
          const own = deferred.get(session.value.sessionId) ?? []
          deferred.set(session.value.sessionId, own)
          for (let empty = 0; empty < 2;) {
            const messages = yield* receiveNoted(world, name, session.value, rng.between(1, 5), rng.between(0, 2_000))
            if (messages.length === 0) empty++
            for (const message of messages) {
              const consumer = `${name} ${session.value.sessionId}`
              note(world, consumer, Work.path, message, "locked")
              // What follows may take longer than the session is held, and nobody interrupts it.
              const sequence = String(message.sequenceNumber)
              world.history.add({ kind: "handled", consumer, entity: Work.path, sequence, outcome: "by hand" })
            }
            for (const message of messages) {
              yield* useState(world, session.value, Number(message.sequenceNumber))
              if (rng.chance(0.1)) yield* operate(world, "renew", session.value.renewLock)
              const outcome = yield* settleSomehow(world, Work.path, session.value, message)
              if (outcome === "defer") own.push(message.sequenceNumber)
            }
            const number = rng.chance(0.3) ? own.shift() : undefined
            if (number !== undefined) {
              for (const message of yield* session.value.receiveDeferred([number])) {
                const consumer = `${name} ${session.value.sessionId}`
                note(world, consumer, Work.path, message, "deferred")
                world.history.add({
                  kind: "handled",
                  consumer,
                  entity: Work.path,
                  sequence: String(number),
                  outcome: "by hand"
                })
                yield* settleSomehow(world, Work.path, session.value, message)
              }
            }
            if (rng.chance(0.1)) yield* operate(world, "peek", session.value.peek({ max: rng.between(1, 20) }))
          }
        }))
      )
      if (rng.chance(0.1)) yield* operate(world, "list", Stream.runDrain(ServiceBusSession.list(Work)))
      yield* Effect.sleep(rng.between(1, 1_000))
    }
  })

export const accepting: Workload = {
  name: "accepting",
  uses: ["settlements", "sessions"],
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds", maxDeliveryCount: 6 })],
  drained: [Work],
  credits: { work: 5 },
  run: (world) =>
    Effect.gen(function*() {
      for (const name of ["work", "more"]) {
        yield* beside(world, "sending", send(world, Work, { name, most: 25, sessions: ids }))
      }
      const deferred = new Map<string, Array<bigint>>()
      yield* Effect.forEach(
        ["a", "b"],
        (name) => consume(world, `accepting ${name}`, acceptAll(world, name, deferred)),
        {
          concurrency: "unbounded",
          discard: true
        }
      )
    })
}
