/** A topic whose subscriptions are worked off in every other way: sessions, by hand, and destructively. */
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusDeadLetters from "../../../src/ServiceBusDeadLetters.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { beside, operate, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"
import { note, settleNoted } from "./settling.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text, sessions: true })
const Sorted = ServiceBusEntity.subscription(News, "sorted", { sessions: true })
const Loose = ServiceBusEntity.subscription(News, "loose", { sessions: false })
const Taken = ServiceBusEntity.subscription(News, "taken", { sessions: false })

const receiveAll = (world: World) =>
  Effect.gen(function*() {
    const { rng } = world
    const receiver = yield* ServiceBusReceiver.make(Loose)
    for (;;) {
      const messages = yield* receiver.receive({ max: rng.between(1, 5), maxWait: rng.between(0, 5_000) })
      // All of them are in its hands now, however long it takes for the first.
      for (const message of messages) {
        // It belongs to no session here: what comes again comes later.
        const { body, deliveryCount, lockToken, messageId, sequenceNumber } = message
        const sent = { body, deliveryCount, lockToken, messageId, sequenceNumber, sessionId: undefined }
        note(world, "loose", Loose.path, sent, "locked")
      }
      for (const message of messages) {
        const isBad = !world.isHealed() && rng.chance(0.2)
        const settlement = isBad ? Settlement.deadLetter({ description: message.messageId }) : Settlement.complete
        const settle = receiver.settle(message, settlement)
        const outcome = isBad ? "deadLetter" : "complete"
        yield* settleNoted(world, Loose.path, message, outcome, settle, settlement)
      }
      if (rng.chance(0.1)) yield* operate(world, "counts", ServiceBusDeadLetters.counts(Loose))
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

export const subscriptions: Workload = {
  name: "subscriptions",
  uses: ["handlers", "settlements", "locks", "sessions"],
  entities: [
    Emulator.entity(News),
    ...[Sorted, Loose, Taken].map((each) => Emulator.entity(each, { lockDuration: "20 seconds", maxDeliveryCount: 5 }))
  ],
  // A topic keeps what is scheduled.
  drained: [News as unknown as typeof Loose, Sorted, Loose, Taken],
  run: (world) =>
    Effect.gen(function*() {
      yield* beside(world, "sending", send(world, News, { name: "news", most: 30, sessions: ["s1", "s2"] }))
      const sorted = ServiceBusProcessor.makeSessions(
        Sorted,
        (body, message, session) => handle(world, `sorted ${session.sessionId}`, Sorted.path, body, message),
        { concurrentSessions: 2, idleTimeout: world.rng.between(100, 5_000), drainTimeout: "10 seconds" }
      )
      yield* Effect.all([
        consume(world, "sessions", keepBooks(world, "sorted", Sorted.path, sorted)),
        consume(world, "receiving", receiveAll(world)),
        consume(world, "receiver", takeAll(world), { isKept: true })
      ], { concurrency: "unbounded", discard: true })
    })
}
