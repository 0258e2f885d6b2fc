/** Within a session: in order, and with one holder at a time. */
import type { Oracle, Violation } from "./Oracle.ts"

export const order: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const last = new Map<string, bigint>()
  const seen = new Set<string>()
  const running = new Map<string, Set<string>>()
  for (const entry of history.entries) {
    if (entry.kind === "received" && entry.session !== undefined) {
      const session = `${entry.entity} ${entry.session}`
      const key = `${entry.entity} ${entry.sequence}`
      const holders = running.get(session) ?? new Set()
      running.set(session, holders)
      holders.add(entry.consumer)
      if (holders.size > 1) {
        violations.push({ rule: "exclusive", what: `${session}: in the hands of ${[...holders].join(" and ")}` })
      }
      if (seen.has(key)) continue
      seen.add(key)
      const number = BigInt(entry.sequence)
      const before = last.get(session)
      if (before !== undefined && number < before) {
        violations.push({ rule: "reordered", what: `${session}: ${number} comes after ${before}` })
      }
      last.set(session, number)
    }
    if (entry.kind === "handled") {
      for (const holders of running.values()) holders.delete(entry.consumer)
    }
  }
  return violations
}
