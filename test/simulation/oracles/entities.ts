/** An entity that is disabled takes or gives nothing, and one that is deleted does neither. */
import type { Oracle, Violation } from "./Oracle.ts"

export const entities: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const statuses = new Map<string, string>()
  const scheduled = new Set<string>()
  const topics = new Set(history.of("rule").map(({ entity }) => entity.replace(/\/Subscriptions\/.*/, "")))
  const report = (entity: string, did: string, sequence: string) => {
    const what = `${entity}: it is ${statuses.get(entity)}, and ${did} ${sequence}`
    violations.push({ rule: "suspended", what })
  }
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "status":
        statuses.set(entry.entity, entry.status)
        break
      case "deleted":
        statuses.delete(entry.entity)
        break
      case "scheduled":
        if (/^(Send)?Disabled$/.test(statuses.get(entry.entity) ?? "")) report(entry.entity, "took", entry.sequence)
        scheduled.add(`${entry.entity} ${entry.id}`)
        break
      case "enqueued":
        // What was scheduled becomes active in it, and what dies in it is buried in it.
        if (entry.entity.includes("/") || scheduled.has(`${entry.entity} ${entry.id}`)) break
        if (/^(Send)?Disabled$/.test(statuses.get(entry.entity) ?? "")) report(entry.entity, "took", entry.sequence)
        break
      case "delivered":
      case "forwarded":
        // A topic hands on to its subscriptions whatever it has.
        if (topics.has(entry.entity)) break
        if (/^(Receive)?Disabled$/.test(statuses.get(entry.entity) ?? "")) report(entry.entity, "gave", entry.sequence)
        break
      case "afterlife":
        violations.push({ rule: "gone", what: `${entry.entity}: it was deleted, and ${entry.what}` })
    }
  }
  return violations
}
