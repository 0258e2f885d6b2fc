/** Within a session: in order, and with one holder at a time. */
import type { Oracle, Violation } from "./Oracle.ts"

export const order: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const last = new Map<string, bigint>()
  const seen = new Set<string>()
  const running = new Map<string, Set<string>>()
  /** What a handler has done with, and the broker was not told: it comes again before what follows it. */
  const open = new Map<string, { readonly consumer: string; readonly sequence: string; readonly token: string }>()
  const tokens = new Map<string, { readonly session: string; readonly token: string }>()
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
      const left = open.get(session)
      if (left?.consumer === entry.consumer && BigInt(left.sequence) < BigInt(entry.sequence)) {
        violations.push({
          rule: "passed",
          what: `${session}: ${entry.sequence} comes, and ${left.sequence} is not settled`
        })
      }
      open.delete(session)
      if (entry.token !== undefined) tokens.set(`${entry.consumer} ${key}`, { session, token: entry.token })
      if (seen.has(key)) continue
      seen.add(key)
      const number = BigInt(entry.sequence)
      const before = last.get(session)
      if (before !== undefined && number < before) {
        violations.push({ rule: "reordered", what: `${session}: ${number} comes after ${before}` })
      }
      last.set(session, number)
    }
    if (entry.kind === "applied") {
      for (const [session, { token }] of open) if (token === entry.token) open.delete(session)
    }
    // With an entity all is gone that would come again.
    if (entry.kind === "deleted") {
      for (const session of open.keys()) if (session.startsWith(`${entry.entity} `)) open.delete(session)
    }
    if (entry.kind === "handled") {
      const held = tokens.get(`${entry.consumer} ${entry.entity} ${entry.sequence}`)
      if (held !== undefined && entry.outcome === "complete") {
        open.set(held.session, { consumer: entry.consumer, sequence: entry.sequence, token: held.token })
      }
      for (const holders of running.values()) holders.delete(entry.consumer)
    }
  }
  return violations
}
