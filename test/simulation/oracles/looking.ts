/** Who looks at messages sees what is there, in order: nothing that is not, and all that is there meanwhile. */
import type { Oracle, Violation } from "./Oracle.ts"

interface Look {
  readonly entity: string
  /** What is there all the time, and what is at any. */
  readonly all: Set<string>
  readonly any: Set<string>
}

export const looking: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const there = new Map<string, Set<string>>()
  /** What is scheduled has another number once it is due, and may be cancelled. */
  const scheduled = new Map<string, Set<string>>()
  const open = new Map<number, Look>()
  const add = (to: Map<string, Set<string>>, entity: string, sequence: string): void => {
    to.set(entity, (to.get(entity) ?? new Set()).add(sequence))
    for (const look of open.values()) if (look.entity === entity) look.any.add(sequence)
  }
  const remove = (entity: string, sequence: string): void => {
    there.get(entity)?.delete(sequence)
    for (const look of open.values()) if (look.entity === entity) look.all.delete(sequence)
  }
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "enqueued":
        add(there, entry.entity, entry.sequence)
        break
      case "scheduled":
        add(scheduled, entry.entity, entry.sequence)
        break
      case "removed":
      case "forwarded":
        remove(entry.entity, entry.sequence)
        break
      case "deleted":
        for (const sequence of there.get(entry.entity) ?? []) remove(entry.entity, sequence)
        break
      case "looking": {
        const all = there.get(entry.entity) ?? []
        const any = new Set([...all, ...scheduled.get(entry.entity) ?? []])
        open.set(entry.look, { entity: entry.entity, all: new Set(all), any })
        break
      }
      case "looked": {
        const { all, any, entity } = open.get(entry.look)!
        open.delete(entry.look)
        const { areIntact, most = Infinity, sequences } = entry
        const report = (what: string) => violations.push({ rule: "peeked", what: `${entity} at ${entry.at}: ${what}` })
        if (sequences.length > most) report(`${sequences.length} messages, of ${most} at most`)
        if (!areIntact) report("a body is another")
        const last = BigInt(sequences.at(-1) ?? -1)
        const seen = new Set(sequences)
        if (sequences.some((sequence, i) => i > 0 && BigInt(sequence) <= BigInt(sequences[i - 1]!))) {
          report(`${sequences.join(", ")} are not in order`)
        }
        const strange = sequences.filter((sequence) => !any.has(sequence))
        if (strange.length > 0) report(`${strange.join(", ")} are not there`)
        // One that is asked for some may give fewer.
        const missing = [...all].filter((sequence) =>
          !seen.has(sequence) && (most === Infinity || sequences.length === 0 || BigInt(sequence) < last)
        )
        if (missing.length > 0) report(`${missing.join(", ")} are there, and were not seen`)
      }
    }
  }
  return violations
}
