/** A queue with two processors whose handlers do everything that handlers do, and a sender. */
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import { beside, type Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks, noteCredit, noteListeners } from "./observing.ts"
import { send } from "./sending.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

const concurrency = { a: 3, b: 5 }

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
            return keepBooks(
              world,
              name,
              Work.path,
              ServiceBusProcessor.make(receiver, (body, message) => {
                noteCredit(world, name, receiver, concurrency[name] + prefetch)
                return handle(world, name, Work.path, body, message)
              }, { concurrency: concurrency[name], prefetch, drainTimeout: "10 seconds" })
            )
          })
        )
      }, { concurrency: "unbounded", discard: true })
    })
}
