/**
 * Within a session: in order, and with one holder at a time. Without sessions: in order where a consumer has an entity for itself,
 * but for what was delivered before and came back.
 */
import type { History } from "../History.ts"
import type { Oracle, Violation } from "./Oracle.ts"

export const order: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const last = new Map<string, bigint>()
  const seen = new Set<string>()
  const running = new Map<string, Set<string>>()
  /** What a handler has done with, and the broker was not told: it comes again before what follows it. */
  const open = new Map<string, { readonly consumer: string; readonly sequence: string; readonly token: string }>()
  const tokens = new Map<string, { readonly session: string; readonly token: string }>()
  /** The entities of deliveries, and the deliveries of entities that were deleted. */
  const delivered = new Map<string, string>()
  const gone = new Set<string>()
  for (const entry of history.entries) {
    if (entry.kind === "delivered") delivered.set(entry.token, entry.entity)
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
      if (entry.token !== undefined) {
        tokens.set(`${entry.consumer} ${key}`, { session, token: entry.token })
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
    if (entry.kind === "applied") {
      for (const [session, { token }] of open) if (token === entry.token) open.delete(session)
    }
    // With an entity all is gone that would come again.
    if (entry.kind === "deleted") {
      for (const session of open.keys()) if (session.startsWith(`${entry.entity} `)) open.delete(session)
      for (const [token, entity] of delivered) {
        if (entity !== entry.entity) continue
        delivered.delete(token)
        gone.add(token)
      }
    }
    if (entry.kind === "handled") {
      const held = tokens.get(`${entry.consumer} ${entry.entity} ${entry.sequence}`)
      if (held !== undefined && entry.outcome === "complete" && !gone.has(held.token)) {
        open.set(held.session, { consumer: entry.consumer, sequence: entry.sequence, token: held.token })
      }
      for (const holders of running.values()) holders.delete(entry.consumer)
    }
  }
  violations.push(...overtaken(history))
  return violations
}

/** What one consumer alone is given of an entity without sessions. */
const overtaken = (history: History): ReadonlyArray<Violation> => {
  const consumers = new Map<string, string>()
  const shared = new Set<string>()
  for (const { consumer, entity, session } of history.of("received")) {
    if (session !== undefined || (consumers.get(entity) ?? consumer) !== consumer) shared.add(entity)
    consumers.set(entity, consumer)
  }
  const violations: Array<Violation> = []
  const deliveries = new Map<string, number>()
  const last = new Map<string, bigint>()
  for (const entry of history.entries) {
    if (entry.kind === "delivered") {
      const key = `${entry.entity} ${entry.sequence}`
      deliveries.set(key, (deliveries.get(key) ?? 0) + 1)
    }
    if (entry.kind !== "received" || entry.mode === "deferred" || shared.has(entry.entity)) continue
    // It went back to the broker, by its consumer or because its lock ended, and came when it could.
    if (deliveries.get(`${entry.entity} ${entry.sequence}`)! > 1) continue
    const number = BigInt(entry.sequence)
    const before = last.get(entry.entity)
    if (before !== undefined && number < before) {
      violations.push({
        rule: "overtaken",
        what: `${entry.entity}: ${number} comes after ${before}, and ${entry.consumer} is alone`
      })
    }
    last.set(entry.entity, number)
  }
  return violations
}
