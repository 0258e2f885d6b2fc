/** In receive-and-delete mode: no message twice, and none lost but where a connection was. */
import type { Oracle, Violation } from "./Oracle.ts"

export const destructive: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const seen = new Set<string>()
  for (const { entity, mode, sequence } of history.of("received")) {
    if (mode !== "destructive") continue
    const key = `${entity} ${sequence}`
    if (seen.has(key)) violations.push({ rule: "twice", what: `${key}: received and deleted, twice` })
    seen.add(key)
  }
  return violations
}
