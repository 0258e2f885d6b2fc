/** Dead letters: a processor makes them, and they are looked at, counted, deleted, and sent again. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusDeadLetters from "../../../src/ServiceBusDeadLetters.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { beside, operate, type Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"
import { eraseNoted } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

export const letters: Workload = {
  name: "letters",
  uses: ["handlers", "settlements", "locks"],
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds", maxDeliveryCount: 3 })],
  drained: [Work],
  credits: { work: 8 },
  concurrency: { a: 4 },
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      yield* beside(world, "sending", send(world, Work, { name: "work", most: 40 }))
      yield* beside(
        world,
        "dead letters",
        Effect.gen(function*() {
          while (!world.isHealed()) {
            yield* Effect.sleep(rng.between(500, 5_000))
            const kind = rng.between(0, 9)
            if (kind < 5) {
              const options = { max: rng.between(1, 10), ...(rng.chance(0.5) ? { rate: rng.between(1, 20) } : {}) }
              const exit = yield* operate(world, "replay", Effect.scoped(ServiceBusDeadLetters.replay(Work, options)))
              if (exit._tag === "Success") {
                const { replayed: count } = exit.value
                world.history.add({ kind: "measured", consumer: "replay", what: "messages", count, most: options.max })
              }
            } else if (kind < 7) yield* operate(world, "counts", ServiceBusDeadLetters.counts(Work))
            else if (kind < 9) yield* operate(world, "browse", Stream.runDrain(ServiceBusDeadLetters.browse(Work)))
            else {
              const purge = ServiceBusDeadLetters.purge(Work, { max: 2 })
              yield* eraseNoted(world, "purge", `${Work.path}/$DeadLetterQueue`, 2, purge)
            }
          }
        })
      )
      const make = ServiceBusProcessor.make(Work, (body, message) =>
        handle(world, "a", Work.path, body, message, {
          well: () =>
            !world.isHealed() && rng.chance(0.3)
              ? ["deadLetter", Settlement.deadLetter({ reason: `simulated ${rng.between(1, 9)}` })]
              : undefined
        }), { concurrency: 4, drainTimeout: "10 seconds" })
      yield* consume(world, "processor a", keepBooks(world, "a", Work.path, make))
    })
}
