/** The state of a session is the one that was set last, or one of which nobody knows whether it was set. */
import type { Oracle, Violation } from "./Oracle.ts"

export const state: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const possible = new Map<string, Set<number | undefined>>()
  /** What is being set, which may be read before the one that sets it has its answer. */
  const pending = new Map<string, Set<number | undefined>>()
  for (const { at, result, session, value } of history.of("state")) {
    const values = possible.get(session) ?? new Set<number | undefined>([undefined])
    possible.set(session, values)
    const open = pending.get(session) ?? new Set<number | undefined>()
    pending.set(session, open)
    if (result === "asked") open.add(value)
    else if (result !== "read") open.delete(value)
    if (result === "ok") values.clear()
    if (result === "ok" || result === "unknown" || result === "interrupted") values.add(value)
    if (result === "read" && !values.has(value) && !open.has(value)) {
      violations.push({
        rule: "state",
        what: `${session}: its state is ${value} at ${at}, which is none of ${[...values].join(", ")}`
      })
    }
  }
  return violations
}
