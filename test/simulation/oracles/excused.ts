/** A settlement fails by a lost lock only where the lock had ended at the broker. */
import type { Oracle, Violation } from "./Oracle.ts"

export const excused: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const isCalm = history.of("fault").length === 0
  const until = new Map<string, number>()
  const over = new Set<string>()
  const gone = new Set<string>()
  const asked = new Map<number, { readonly token: string; readonly isOver: boolean; readonly entity: string }>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "delivered":
        until.set(entry.token, entry.until)
        break
      case "renewal":
        if (entry.until !== undefined) { for (const token of entry.tokens) until.set(token, entry.until) }
        break
      case "lapsed":
      case "applied":
        if (entry.token !== undefined) over.add(entry.token)
        break
      case "released":
        for (const token of entry.tokens) over.add(token)
        break
      case "deleted":
        gone.add(entry.entity)
        break
      case "settle":
        if (entry.token !== undefined) {
          asked.set(entry.op, { token: entry.token, isOver: over.has(entry.token), entity: entry.entity })
        }
        break
      case "settled": {
        // The lock of a session ends with its link, of which faults make many ends.
        const isLost = entry.tag === "MessageLockLostError" || isCalm && entry.tag === "SessionLockLostError"
        const settlement = asked.get(entry.op)
        if (!isLost || settlement === undefined) break
        const { entity, token } = settlement
        if (settlement.isOver || over.has(token) || gone.has(entity)) break
        if (entry.at >= (until.get(token) ?? -Infinity)) break
        violations.push({
          rule: "excused",
          what: `operation ${entry.op} at ${entry.at}: ${entry.tag}, and lock ${token} lasts until ${until.get(token)}`
        })
        break
      }
    }
  }
  return violations
}
