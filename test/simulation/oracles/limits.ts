/** A consumer is given no more than it asked for, at once and at a time, and waits no longer. */
import type { Oracle, Violation } from "./Oracle.ts"

/** How much longer than it was told a call may wait, in milliseconds: credit that it gave is taken back first. */
const slack = 1_000

export const limits: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  // What is wrong with its link or its entity may keep a call for as long as it is tried again.
  const isCalm = history.of("fault").length === 0
  const bounds = new Map<string, { readonly of: "handlers" | "sessions"; readonly most: number }>()
  const running = new Map<string, number>()
  const consumers = new Map<number, string>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "measured": {
        const { consumer, count, most, what } = entry
        if (what === "milliseconds" ? isCalm && count > most + slack : count > most) {
          violations.push({ rule: "limit", what: `${consumer} at ${entry.at}: ${count} ${what}, of ${most} at most` })
        }
        break
      }
      case "bound":
        bounds.set(entry.consumer, entry)
        break
      case "received": {
        running.set(entry.consumer, (running.get(entry.consumer) ?? 0) + 1)
        const [consumer, session] = entry.consumer.split(" ")
        const bound = bounds.get(consumer!)
        if (bound === undefined) break
        const count = bound.of === "handlers" || session === undefined
          ? running.get(entry.consumer)!
          : Array.from(running).filter(([of, count]) => count > 0 && of.startsWith(`${consumer} `)).length
        if (count > bound.most) {
          violations.push({ rule: "limit", what: `${consumer} at ${entry.at}: ${count} ${bound.of}, of ${bound.most}` })
        }
        break
      }
      case "began":
        consumers.set(entry.op, entry.what)
        break
      // A handler that is interrupted before its first step says nothing of its end; it is over with its consumer.
      case "ended":
        running.delete(consumers.get(entry.op) ?? "")
        break
      case "handled":
        running.set(entry.consumer, (running.get(entry.consumer) ?? 0) - 1)
        break
    }
  }
  return violations
}
