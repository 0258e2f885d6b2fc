/** Several clients that come and go: with tokens that last for less than a minute, or with a wall clock that is off. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusClient from "../../../src/ServiceBusClient.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import { beside, operate, type Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

const concurrency = { a: 3, b: 3 }

export const clients: Workload = {
  name: "clients",
  uses: ["handlers", "settlements", "locks", "tokens", "clocks"],
  entities: [Emulator.entity(Work, { lockDuration: "20 seconds", maxDeliveryCount: 5 })],
  drained: [Work],
  credits: { work: 6 },
  concurrency,
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      for (const kind of ["skewed", "tokens"] as const) {
        yield* beside(
          world,
          "sending",
          Effect.scoped(Effect.gen(function*() {
            const within = yield* world.client(kind)
            yield* within(send(world, Work, { name: kind, most: 30, isAtOnce: true }))
          }))
        )
        yield* beside(
          world,
          "health",
          Effect.gen(function*() {
            while (!world.isDone()) {
              yield* operate(
                world,
                "health",
                Effect.scoped(Effect.gen(function*() {
                  const within = yield* world.client(kind)
                  const health = within(Effect.flatMap(ServiceBusClient.ServiceBusClient, (client) => client.health))
                  if (rng.chance(0.5)) return yield* Effect.asVoid(health)
                  // Its client closes while it is still being interrupted, by a program that does not wait for it.
                  const fiber = yield* Effect.forkDetach(health, { startImmediately: true })
                  const patience = rng.chance(0.5) ? Effect.sleep(rng.between(1, 10_000)) : Effect.yieldNow
                  yield* Effect.raceFirst(Effect.exit(Fiber.join(fiber)), patience)
                  fiber.interruptUnsafe()
                }))
              )
              yield* Effect.sleep(rng.between(1_000, 20_000))
            }
          })
        )
      }
      yield* Effect.forEach([["a", "skewed"], ["b", "tokens"]] as const, ([name, kind]) =>
        consume(
          world,
          `processor ${name}`,
          Effect.gen(function*() {
            const within = yield* world.client(kind)
            const make = ServiceBusProcessor.make(
              Work,
              (body, message) => handle(world, name, Work.path, body, message),
              { concurrency: concurrency[name], drainTimeout: "10 seconds" }
            )
            return yield* within(keepBooks(world, name, Work.path, make))
            // A program whose credential is refused does not try again at once.
          }).pipe(Effect.tapError(() => Effect.sleep(1_000)))
        ), { concurrency: "unbounded", discard: true })
    })
}
