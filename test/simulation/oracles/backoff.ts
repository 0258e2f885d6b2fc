/** A service that is not well is not asked without pauses: so many connections and links of an entity in any minute, no more. */
import type { Oracle, Violation } from "./Oracle.ts"

const minute = 60_000

/** What several consumers and senders need at most, each with the tries of its policy, beside what faults make them do. */
const most = { dialled: 500, attached: 500 }

export const backoff: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const times = new Map<string, Array<number>>()
  for (const entry of history.entries) {
    if (entry.kind !== "dialled" && entry.kind !== "attached") continue
    const key = entry.kind === "dialled" ? "dialled" : `attached ${entry.address}`
    const all = times.get(key) ?? []
    times.set(key, all)
    all.push(entry.at)
    while (all[0]! <= entry.at - minute) all.shift()
    if (all.length === most[entry.kind] + 1) {
      violations.push({ rule: "backoff", what: `${key} ${all.length} times in the minute before ${entry.at}` })
    }
  }
  return violations
}
