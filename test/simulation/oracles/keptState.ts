/**
 * What a broker has in its file outlives it: it holds the same when it is started again, gives no number twice, and counts a
 * lock that has ended, with it or before, as a delivery that failed.
 */
import { isStruck, type Oracle, type Violation } from "./Oracle.ts"

/** The first line in which two texts are not the same. */
const difference = (before: string, after: string): string => {
  const lines = after.split("\n")
  const old = before.split("\n")
  const at = lines.findIndex((line, i) => line !== old[i])
  return `line ${at + 1} of its dump was ${old[at]?.trim()} and is ${lines[at]?.trim()}`
}

export const keptState: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  // One that is never killed has its numbers in its memory.
  const isKilled = isStruck(history, ["killed"])
  const numbers = new Map<string, string>()
  const lapsed = new Set<string>()
  const last = new Map<string, { readonly delivery: number; readonly token: string }>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "altered":
        violations.push({
          rule: "altered",
          what: `a broker that was started again at ${entry.at}: ${difference(entry.before, entry.after)}`
        })
        break
      case "scheduled":
      case "enqueued": {
        const key = `${entry.entity} ${entry.sequence}`
        const id = numbers.get(key)
        if (isKilled && id !== undefined && id !== entry.id) {
          violations.push({ rule: "reused", what: `${key}: it was the number of ${id}, and is that of ${entry.id}` })
        }
        numbers.set(key, entry.id)
        break
      }
      case "lapsed":
        lapsed.add(entry.token)
        break
      case "received": {
        // The lock of a session is another thing.
        if (entry.token === undefined || entry.session !== undefined) break
        const key = `${entry.entity} ${entry.sequence}`
        const before = last.get(key)
        last.set(key, { delivery: entry.delivery, token: entry.token })
        if (before === undefined || before.token === entry.token || !lapsed.has(before.token)) break
        if (entry.delivery <= before.delivery) {
          violations.push({
            rule: "uncounted",
            what:
              `${key} (${entry.id}): its lock ended after delivery ${before.delivery}, and it comes as ${entry.delivery}`
          })
        }
      }
    }
  }
  return violations
}
