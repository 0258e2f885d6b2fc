/** No more messages are deleted unseen than a program asked for. */
import type { Oracle, Violation } from "./Oracle.ts"

export const deleting: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const allowed = new Map<string, { each: number; all: number }>()
  const erased = new Map<string, number>()
  for (const entry of history.entries) {
    if (entry.kind === "deleting") {
      const { all, each } = allowed.get(entry.entity) ?? { each: 0, all: 0 }
      allowed.set(entry.entity, { each: Math.max(each, entry.most), all: all + entry.most })
    }
    if (entry.kind !== "erased") continue
    const { all, each } = allowed.get(entry.entity) ?? { each: 0, all: 0 }
    const total = (erased.get(entry.entity) ?? 0) + entry.count
    erased.set(entry.entity, total)
    if (entry.asked <= each && total <= all) continue
    violations.push({
      rule: "erased",
      what: `${entry.entity} at ${entry.at}: ${entry.asked} were to be deleted where a program asked for ${each}, ` +
        `and ${total} were of ${all} in all`
    })
  }
  return violations
}
