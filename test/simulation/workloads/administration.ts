/**
 * Administrators who create, read, list, change and delete the same queues, topics, subscriptions and rules at once, and apply a
 * topology, while messages go through some of them.
 */
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import { propertiesOf } from "../rules.ts"
import { beside, type Workload } from "../World.ts"
import { administer } from "./administering.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const All = ServiceBusEntity.subscription(News, "all")

const options = { lockDuration: "20 seconds", maxDeliveryCount: 5 } as const

export const administration: Workload = {
  name: "administration",
  uses: ["handlers", "settlements", "locks", "entities", "administration"],
  entities: [Emulator.entity(Work, options), Emulator.entity(News), Emulator.entity(All, options)],
  // A topic keeps what is scheduled.
  drained: [News as unknown as typeof Work, Work, All],
  concurrency: { work: 3, all: 3 },
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      const isRuthless = rng.chance(0.6)
      for (const entity of [Work, News]) {
        yield* beside(world, "sending", send(world, entity, { name: entity.path, most: 20, more: propertiesOf }))
      }
      const administrators = Array.from({ length: rng.between(1, 4) }, (_, i) =>
        administer(world, 7_001 + i, { isRuthless }))
      const administering = Effect.all(administrators, { concurrency: "unbounded", discard: true })
      yield* beside(world, "administering", Effect.andThen(administering, world.topology.heal))
      const work = (name: string, entity: typeof Work | typeof All) =>
        consume(
          world,
          `processor ${name}`,
          keepBooks(
            world,
            name,
            entity.path,
            ServiceBusProcessor.make(
              entity as typeof Work,
              (body, message) =>
                handle(world, name, entity.path, body, message),
              { concurrency: 3, drainTimeout: "10 seconds" }
            )
          ),
          { pause: 1_000 }
        )
      yield* Effect.all([work("work", Work), work("all", All)], { concurrency: "unbounded", discard: true })
    })
}
