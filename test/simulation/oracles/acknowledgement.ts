/** What became of messages: nothing is completed that no handler was done with, and what was confirmed was carried out. */
import type { Oracle, Violation } from "./Oracle.ts"

export const acknowledgement: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const completing = new Set<string>()
  const applied = new Map<string, number>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "handled":
      case "settle":
        // A retry is a copy, and the completion of the original.
        if (entry.outcome === "complete" || entry.outcome === "retryAfter") {
          completing.add(`${entry.entity} ${entry.sequence}`)
        }
        break
      case "applied": {
        if (entry.outcome !== "complete") break
        const key = `${entry.entity} ${entry.sequence}`
        applied.set(key, (applied.get(key) ?? 0) + 1)
        if (!completing.has(key)) {
          violations.push({
            rule: "acknowledged",
            what: `${key} (${entry.id}): completed, and no handler was done with it`
          })
        }
        break
      }
    }
  }
  for (const [key, count] of applied) {
    if (count > 1) violations.push({ rule: "acknowledged", what: `${key}: completed ${count} times` })
  }
  const done = new Set(history.of("applied").map(({ entity, outcome, sequence }) => `${entity} ${sequence} ${outcome}`))
  const ops = new Map(history.of("settle").map((entry) => [entry.op, entry]))
  for (const { op, result } of history.of("settled")) {
    const { entity, outcome, sequence } = ops.get(op)!
    const key = `${entity} ${sequence} ${outcome === "retryAfter" ? "complete" : outcome}`
    if (result === "ok" && !done.has(key)) {
      violations.push({ rule: "unconfirmed", what: `${key}: confirmed, and the broker did not do it` })
    }
  }
  return violations
}
