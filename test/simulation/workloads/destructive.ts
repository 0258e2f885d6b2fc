/** Messages that are settled as they are sent: by a receiver in receive-and-delete mode, called and streamed. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import { attempt, beside, type Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { noteCredit, receiveNoted } from "./observing.ts"
import { send } from "./sending.ts"
import { note } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

export const destructive: Workload = {
  name: "destructive",
  uses: [],
  entities: [Emulator.entity(Work)],
  drained: [Work],
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      yield* beside(world, "sending", send(world, Work, { name: "work", most: 60 }))
      const called = consume(
        world,
        "receiver a",
        Effect.gen(function*() {
          const prefetch = rng.pick([0, 5])
          const receiver = yield* ServiceBusReceiver.makeDestructive(Work, { prefetch })
          for (;;) {
            // A call that is interrupted loses nothing: the next one has it.
            const exit = yield* attempt(
              world,
              Effect.tap(
                receiveNoted(world, "a", receiver, rng.between(1, 8), rng.between(0, 5_000)),
                (messages) =>
                  Effect.sync(() => {
                    for (const message of messages) note(world, "a", Work.path, message, "destructive")
                  })
              )
            )
            if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) return yield* exit
            noteCredit(world, "a", receiver, prefetch)
          }
        }),
        { isKept: true }
      )
      const streamed = consume(
        world,
        "stream b",
        Effect.flatMap(ServiceBusReceiver.makeDestructive(Work), (receiver) =>
          Stream.runForEach(receiver.messages, (message) =>
            Effect.andThen(
              Effect.sync(() =>
                note(world, "b", Work.path, message, "destructive")
              ),
              Effect.sleep(rng.between(0, 500))
            ))),
        { isKept: true }
      )
      yield* Effect.all([called, streamed], { concurrency: "unbounded", discard: true })
    })
}
