/** What the broker's end of a connection does. */
import * as Effect from "effect/Effect"
import type { Fault, World } from "../World.ts"

const conditions = [
  "amqp:link:detach-forced",
  "amqp:internal-error",
  "com.microsoft:server-busy",
  "com.microsoft:timeout",
  "amqp:connection:forced",
  "com.microsoft:operation-cancelled"
]

const control = (
  name: string,
  run: (world: World, error: { readonly condition: string; readonly description: string }) => Effect.Effect<void>
): Fault => ({
  name,
  plan: (rng) => ({ condition: rng.pick(conditions) }),
  inject: (world, { condition }) => run(world, { condition: String(condition), description: "simulated" })
})

export const peer: ReadonlyArray<Fault> = [
  control("detach", ({ emulator }, error) => emulator.detachLinks(error)),
  control("detach of claims", ({ emulator }, error) => emulator.detachLinks(error, "$cbs")),
  control("detach of management", ({ emulator }, error) => emulator.detachLinks(error, "work/$management")),
  control("end", ({ emulator }, error) => emulator.endSessions(error)),
  control("close", ({ emulator }, error) => emulator.closeConnections(error)),
  { name: "drop", plan: () => ({}), inject: ({ emulator }) => emulator.dropConnections },
  {
    // Links are taken, and ended at once.
    name: "flapping",
    plan: (rng) => ({ times: rng.between(20, 300), pause: rng.between(10, 100) }),
    inject: ({ emulator, isHealed }, { pause, times }) =>
      Effect.gen(function*() {
        for (let i = 0; i < Number(times) && !isHealed(); i++) {
          yield* emulator.detachLinks({ condition: "amqp:link:detach-forced", description: "simulated" })
          yield* Effect.sleep(Number(pause))
        }
      })
  },
  { name: "lost locks", plan: () => ({}), inject: ({ loseLocks }) => Effect.sync(loseLocks) },
  {
    name: "restart",
    plan: (rng) => ({ ms: rng.between(1, 60_000) }),
    inject: ({ emulator, network }, { ms }) =>
      Effect.andThen(
        emulator.stop,
        Effect.sync(() => network.after(Number(ms), () => Effect.runFork(Effect.ignore(emulator.start))))
      )
  }
]
