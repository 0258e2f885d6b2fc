/**
 * A queue that is received from by hand: one call after the other, with renewals, deferral, hand-over by token, and settlement
 * in every way. What is deferred is asked for by its number.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as AutoLockRenewer from "../../../src/AutoLockRenewer.ts"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { beside, operate, operateAside, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { lookNoted, noteCredit, noteListeners, receiveNoted } from "./observing.ts"
import { send } from "./sending.ts"
import { eraseNoted, note, settleNoted, settleSomehow } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

const { path } = Work

const receiveAll = (world: World, name: string, deferred: Set<bigint>) =>
  Effect.gen(function*() {
    const { rng } = world
    const prefetch = rng.pick([0, 0, 5])
    const receiver = yield* ServiceBusReceiver.make(Work, { prefetch })
    noteListeners(world, name, receiver)
    for (;;) {
      const messages = yield* receiveNoted(world, name, receiver, rng.between(1, 8), rng.between(0, 5_000))
      noteCredit(world, name, receiver, prefetch)
      noteListeners(world, name, receiver)
      for (const message of messages) note(world, name, path, message, "locked")
      for (const message of messages) {
        if (rng.chance(0.2)) {
          const wait = Effect.sleep(rng.between(1, 40_000))
          // Some settle first and go on: there is nothing to renew then.
          const isFirst = rng.chance(0.3)
          const work = isFirst ? Effect.andThen(settleSomehow(world, path, receiver, message), wait) : wait
          const keeping = (isOver: boolean) => world.history.add({ kind: "keeping", token: message.lockToken, isOver })
          keeping(false)
          yield* operate(world, "withLock", AutoLockRenewer.withLock(work, receiver, message))
          keeping(true)
          if (isFirst) continue
        } else if (rng.chance(0.1)) yield* operate(world, "renewLock", receiver.renewLock(message))
        if (world.aside.chance(0.1)) {
          yield* operateAside(world, "lockState", () => AutoLockRenewer.lockState(receiver, message))
        }
        if (rng.chance(0.1)) {
          // Another process settles it, by its token.
          const token = yield* operateAside(world, "handOver", () => receiver.handOver(message))
          if (token._tag === "Success") {
            if (world.aside.chance(0.5)) {
              yield* operateAside(world, "renewByToken", () => ServiceBusReceiver.renewByToken(Work, [token.value]))
            }
            const settle = ServiceBusReceiver.settleByToken(Work, [token.value], Settlement.complete)
            yield* settleNoted(world, path, message, "complete", settle)
          }
          continue
        }
        const outcome = yield* settleSomehow(world, path, receiver, message)
        if (outcome === "defer") deferred.add(message.sequenceNumber)
      }
      const [number] = deferred
      if (number !== undefined && rng.chance(0.3)) {
        deferred.delete(number)
        const exit = yield* operateAside(world, "receiveDeferred", () => receiver.receiveDeferred([number]))
        if (exit._tag === "Success") {
          for (const message of exit.value) {
            note(world, name, path, message, "deferred")
            yield* settleSomehow(world, path, receiver, message)
          }
        }
      }
      if (rng.chance(0.05)) yield* lookNoted(world, "browse", path, undefined, Stream.runCollect(receiver.browse()))
      if (rng.chance(0.02)) yield* eraseNoted(world, "delete", path, 2, receiver.deleteMessages({ max: 2 }))
      if (rng.chance(0.1)) {
        const max = rng.between(1, 20)
        yield* lookNoted(world, "peek", path, max, receiver.peek({ max }))
      }
    }
  })

export const receiving: Workload = {
  name: "receiving",
  uses: ["settlements", "locks"],
  entities: [Emulator.entity(Work, { lockDuration: "15 seconds", maxDeliveryCount: 6 })],
  drained: [Work],
  credits: { work: 8 },
  run: (world) =>
    Effect.gen(function*() {
      const deferred = new Set<bigint>()
      yield* beside(world, "sending", send(world, Work, { name: "work", most: 60 }))
      yield* Effect.forEach(
        ["a", "b"],
        (name) => consume(world, `receiver ${name}`, receiveAll(world, name, deferred)),
        {
          concurrency: "unbounded",
          discard: true
        }
      )
    })
}
