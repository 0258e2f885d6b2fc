/** Messages that are settled as they are sent: by a receiver in receive-and-delete mode, called and streamed. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import type { Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { send } from "./sending.ts"
import { note } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

export const destructive: Workload = {
  name: "destructive",
  entities: [Emulator.entity(Work)],
  drained: [Work],
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      yield* Effect.forkScoped(send(world, Work, { name: "work", most: 60 }))
      const called = consume(
        world,
        "receiver a",
        Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.makeDestructive(Work, { prefetch: rng.pick([0, 5]) })
          for (;;) {
            const messages = yield* receiver.receive({ max: rng.between(1, 8), maxWait: rng.between(0, 5_000) })
            for (const message of messages) note(world, "a", Work.path, message, "destructive")
          }
        })
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
            )))
      )
      yield* Effect.all([called, streamed], { concurrency: "unbounded", discard: true })
    })
}
