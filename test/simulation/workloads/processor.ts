/** A queue with two processors whose handlers do everything that handlers do, and a sender. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import { beside, observe, operateAside, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks, noteCredit, noteListeners } from "./observing.ts"
import { send } from "./sending.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

const concurrency = { a: 3, b: 5 }

/** Changes how many handlers run, pauses for a while, and now and then drains, after which a new processor comes. */
const control = (
  world: World,
  name: keyof typeof concurrency,
  processor: ServiceBusProcessor.Processor,
  drained: Deferred.Deferred<void>
) =>
  Effect.gen(function*() {
    const { aside, history } = world
    while (!world.isHealed()) {
      yield* Effect.sleep(aside.between(1_000, 20_000))
      const choice = aside.between(0, 9)
      if (choice < 4) {
        const most = aside.between(1, concurrency[name])
        yield* operateAside(world, "setConcurrency", () => processor.setConcurrency(most))
      } else if (choice < 8) {
        history.add({ kind: "paused", entity: Work.path, isOver: false })
        yield* operateAside(world, "pause", () => processor.pause)
        yield* Effect.andThen(Effect.sleep(aside.between(1, 40_000)), observe(world, "resume", processor.resume)).pipe(
          Effect.ensuring(Effect.sync(() => history.add({ kind: "paused", entity: Work.path, isOver: true })))
        )
      } else if (choice === 8) {
        yield* operateAside(world, "drain", () => processor.drain)
        yield* Deferred.succeed(drained, undefined)
        return
      }
    }
  })

export const processor: Workload = {
  name: "processor",
  uses: ["handlers", "settlements", "locks"],
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds", maxDeliveryCount: 5 })],
  drained: [Work],
  credits: { work: 15 },
  concurrency,
  run: (world) =>
    Effect.gen(function*() {
      yield* beside(world, "sending", send(world, Work, { name: "work", most: 60 }))
      yield* Effect.forEach(["a", "b"] as const, (name) => {
        const prefetch = world.rng.between(0, 10)
        return consume(
          world,
          `processor ${name}`,
          Effect.flatMap(ServiceBusReceiver.make(Work), (receiver) => {
            noteListeners(world, name, receiver)
            const make = ServiceBusProcessor.make(receiver, (body, message) => {
              noteCredit(world, name, receiver, concurrency[name] + prefetch)
              return handle(world, name, Work.path, body, message)
            }, { concurrency: concurrency[name], prefetch, drainTimeout: "10 seconds" })
            const drained = Deferred.makeUnsafe<void>()
            const controlled = Effect.tap(
              make,
              (processor) => Effect.forkScoped(control(world, name, processor, drained))
            )
            return Effect.raceFirst(keepBooks(world, name, Work.path, controlled), Deferred.await(drained))
          })
        )
      }, { concurrency: "unbounded", discard: true })
    })
}
