/**
 * Queues, a topic and subscriptions that are disabled, filled, changed, deleted and made again while senders, processors, session
 * processors and receivers use them.
 */
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import { deleted } from "../faults/deleted.ts"
import { full } from "../faults/full.ts"
import { suspended } from "../faults/suspended.ts"
import { updated } from "../faults/updated.ts"
import { beside, operate, strike, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks, lookNoted } from "./observing.ts"
import { send } from "./sending.ts"
import { note, settleSomehow } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })
const Cases = ServiceBusEntity.queue("cases", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const All = ServiceBusEntity.subscription(News, "all")
const Taken = ServiceBusEntity.subscription(News, "taken")

const options = { lockDuration: "20 seconds", maxDeliveryCount: 5 } as const

/** Has what befalls entities befall one of them, again and again, until the time of faults is over. */
const strikeAll = (world: World) =>
  Effect.gen(function*() {
    const { rng } = world
    while (!world.isHealed()) {
      yield* Effect.sleep(rng.between(1, 15_000))
      if (world.isHealed()) return
      const fault = rng.pick([deleted, deleted, suspended, full, updated])
      const parameters = fault.plan(rng)
      yield* Effect.raceFirst(strike(world, fault, parameters), healed(world))
    }
  })

const healed = (world: World) =>
  Effect.gen(function*() {
    while (!world.isHealed()) yield* Effect.sleep(500)
  })

const receiveAll = (world: World) =>
  Effect.gen(function*() {
    const { rng } = world
    const receiver = yield* ServiceBusReceiver.make(All)
    for (;;) {
      const messages = yield* receiver.receive({ max: rng.between(1, 5), maxWait: rng.between(0, 5_000) })
      for (const message of messages) note(world, "all", All.path, message, "locked")
      for (const message of messages) {
        if (rng.chance(0.1)) yield* operate(world, "renewLock", receiver.renewLock(message))
        if (world.isHealed() || rng.chance(0.8)) yield* settleSomehow(world, All.path, receiver, message)
      }
      if (rng.chance(0.1)) {
        const max = rng.between(1, 20)
        yield* lookNoted(world, "peek", All.path, max, receiver.peek({ max }))
      }
    }
  })

const takeAll = (world: World) =>
  Effect.gen(function*() {
    const { rng } = world
    const receiver = yield* ServiceBusReceiver.makeDestructive(Taken)
    for (;;) {
      const messages = yield* receiver.receive({ max: rng.between(1, 5), maxWait: rng.between(0, 5_000) })
      for (const message of messages) note(world, "taken", Taken.path, message, "destructive")
    }
  })

export const entities: Workload = {
  name: "entities",
  uses: ["handlers", "settlements", "locks", "sessions", "entities"],
  entities: [
    Emulator.entity(Work, options),
    Emulator.entity(Cases, options),
    Emulator.entity(News),
    Emulator.entity(All, options),
    Emulator.entity(Taken, options)
  ],
  // A topic keeps what is scheduled.
  drained: [News as unknown as typeof Work, Work, Cases, All, Taken],
  concurrency: { a: 3 },
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      for (const entity of [Work, News]) {
        yield* beside(world, "sending", send(world, entity, { name: entity.path, most: 30 }))
      }
      yield* beside(world, "sending", send(world, Cases, { name: "cases", most: 30, sessions: ["s1", "s2", "s3"] }))
      yield* beside(world, "striking", strikeAll(world))
      const processor = ServiceBusProcessor.make(
        Work,
        (body, message) => handle(world, "a", Work.path, body, message),
        { concurrency: 3, drainTimeout: "10 seconds" }
      )
      const cases = ServiceBusProcessor.makeSessions(
        Cases,
        (body, message, session) => handle(world, `cases ${session.sessionId}`, Cases.path, body, message),
        { concurrentSessions: 2, idleTimeout: rng.between(100, 5_000), drainTimeout: "10 seconds" }
      )
      yield* Effect.all([
        consume(world, "processor a", keepBooks(world, "a", Work.path, processor), { pause: 1_000 }),
        consume(world, "sessions", keepBooks(world, "cases", Cases.path, cases), { pause: 1_000 }),
        consume(world, "receiving", receiveAll(world), { pause: 1_000 }),
        consume(world, "receiver", takeAll(world), { isKept: true, pause: 1_000 })
      ], { concurrency: "unbounded", discard: true })
    })
}
