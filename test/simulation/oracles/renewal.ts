/** Locks are renewed while a message is in somebody's hands, and not for long after it is settled. */
import { isStruck, network, type Oracle, peer, type Violation } from "./Oracle.ts"

/** How long after a settlement a request may still come that was on its way, in milliseconds: longer where it is held up. */
const grace = { calm: 5_000, rough: 130_000 }

export const renewal: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const most = isStruck(history, [...network, ...peer]) ? grace.rough : grace.calm
  const delivered = new Set<string>()
  const settled = new Map<string, number>()
  for (const entry of history.entries) {
    if (entry.kind === "delivered") delivered.add(entry.token)
    if (entry.kind === "applied" && entry.token !== undefined) settled.set(entry.token, entry.at)
    if (entry.kind !== "renewal") continue
    for (const token of entry.tokens) {
      if (!delivered.has(token)) {
        violations.push({ rule: "renewed", what: `${token}: no message was delivered under this lock` })
      }
      const since = settled.get(token)
      if (since !== undefined && entry.at - since > most) {
        violations.push({
          rule: "renewed",
          what: `${token}: its message was settled at ${since}, its lock was to be renewed at ${entry.at}`
        })
      }
    }
  }
  return violations
}
