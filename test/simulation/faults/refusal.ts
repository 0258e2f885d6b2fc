/** Operations that the broker refuses. */
import type { Fault } from "../World.ts"

const operations = ["attach", "send", "settle", "renew"] as const

const conditions = [
  "com.microsoft:server-busy",
  "com.microsoft:timeout",
  "amqp:internal-error",
  "amqp:resource-limit-exceeded",
  "com.microsoft:operation-cancelled",
  "amqp:unauthorized-access",
  "amqp:not-found"
]

export const refusal: ReadonlyArray<Fault> = operations.map((operation): Fault => ({
  name: `refused ${operation}`,
  plan: (rng) => ({ condition: rng.pick(conditions), times: rng.between(1, 6) }),
  inject: ({ emulator }, { condition, times }) =>
    emulator.fail({
      operation,
      error: { condition: String(condition), description: "simulated" },
      times: Number(times)
    })
}))
