/** What processors say that they did adds up, and is what the broker did. */
import type { History } from "../History.ts"
import { isStruck, network, type Oracle, peer, tokens, type Violation } from "./Oracle.ts"

const ends = [
  "completed",
  "abandoned",
  "deferred",
  "deadLettered",
  "retried",
  "undecodable",
  "taken",
  "lockLost",
  "unsettled",
  "released"
]

/** By these the link of a session, or its lock, may be over before it is renewed. */
const unattached = ["refused attach", "refused entity", "refused requests", "busy"]

/** Whether a handler took longer than the lock of its session is kept, in milliseconds. */
const isLong = (history: History): boolean => {
  const began = new Map<string, number>()
  return history.entries.some((entry) => {
    if (entry.kind === "received") began.set(`${entry.consumer} ${entry.sequence}`, entry.at)
    return entry.kind === "handled" && entry.at - (began.get(`${entry.consumer} ${entry.sequence}`) ?? 0) > 250_000
  })
}

export const books: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const isCalm = !isStruck(history, [...network, ...peer, ...tokens, ...unattached]) && !isLong(history)
  const sums = new Map<string, Record<string, number>>()
  for (const { consumer, counts, entity } of history.of("books")) {
    if (isCalm && (counts["sessionsLost"] ?? 0) > 0) {
      violations.push({ rule: "lapsed", what: `${consumer}: ${counts["sessionsLost"]} sessions were lost` })
    }
    const sum = ends.reduce((sum, name) => sum + counts[name]!, 0)
    if (sum !== counts["received"]) {
      violations.push({
        rule: "books",
        what: `${consumer}: it received ${counts["received"]}, and says what became of ${sum}: ${
          JSON.stringify(counts)
        }`
      })
    }
    const total = sums.get(entity) ?? {}
    sums.set(entity, total)
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count
  }
  const applied = (entity: string, outcome: string): number =>
    history.of("applied").filter((entry) => entry.entity === entity && entry.outcome === outcome).length
  for (const [entity, total] of sums) {
    const of = (name: string): number => total[name] ?? 0
    for (
      const [outcome, said] of [
        ["complete", of("completed") + of("retried")],
        ["abandon", of("abandoned")],
        ["defer", of("deferred")],
        ["deadLetter", of("deadLettered")]
      ] as const
    ) {
      const done = applied(entity, outcome)
      if (said > done) {
        violations.push({
          rule: "books",
          what: `${entity}: processors counted ${said} as ${outcome}, the broker ${done}`
        })
      }
    }
    // Of what was left to its lock it is not known.
    const unknown = of("taken") + of("unsettled") + of("lockLost")
    for (
      const [outcome, said] of [
        ["complete", of("completed") + of("retried")],
        ["deadLetter", of("deadLettered") + of("undecodable")]
      ] as const
    ) {
      const done = applied(entity, outcome)
      if (done > said + unknown) {
        violations.push({
          rule: "books",
          what: `${entity}: the broker did ${outcome} ${done} times, and processors account for ${said + unknown}`
        })
      }
    }
  }
  return violations
}
