/** A lock that a program keeps does not run out while it is kept. */
import type { Oracle, Violation } from "./Oracle.ts"

/** One that ends just when it is to be kept may be renewed too late, in milliseconds. */
const grace = 1_000

export const keeping: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  if (history.of("fault").length > 0) return violations
  const since = new Map<string, number>()
  for (const entry of history.entries) {
    if (entry.kind === "keeping") {
      if (entry.isOver) since.delete(entry.token)
      else since.set(entry.token, entry.at)
    }
    if (entry.kind !== "lapsed") continue
    const began = since.get(entry.token)
    if (began === undefined || entry.at - began < grace) continue
    violations.push({ rule: "kept", what: `${entry.token}: it was to be kept from ${began}, and ended at ${entry.at}` })
  }
  return violations
}
