/** What was given to handlers: what the broker gave, as it was sent, and no more at a time than was asked for. */
import { network, type Oracle, peer, strikes, tokens, type Violation } from "./Oracle.ts"

/** For how long a processor keeps a lock by default, from the arrival of its message on, and a little less, in milliseconds. */
const longest = 280_000

/** By these a lock may not be renewed in time. */
const unrenewed = ["refused renew", "refused requests", "refused attach", "refused entity", "busy"]

/** Faults by which a client may not know when a lock ends: it is told of one that lasts for less than before. */
const untold = [...network, ...peer].filter((name) => name !== "updated entity")

export const delivery: Oracle = ({ concurrency, history }) => {
  const violations: Array<Violation> = []
  const delivered = new Set<string>()
  const completed = new Set<string>()
  const running = new Map<string, number>()
  // Where nothing is held up the client knows when a lock ends.
  const locks = new Map<string, number>()
  const arrivals = new Map<string, number>()
  const isHeldUp = strikes(history, untold)
  // Their processor keeps the locks of what handlers have.
  const isUnrenewed = strikes(history, [...untold, ...tokens, ...unrenewed])
  const handlers = new Map<string, { readonly consumer: string; readonly key: string; readonly at: number }>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "delivered": {
        const key = `${entry.entity} ${entry.sequence}`
        if (completed.has(key)) violations.push({ rule: "completed", what: `${key}: completed, and delivered again` })
        delivered.add(`${key} ${entry.id}`)
        locks.set(entry.token, entry.until)
        arrivals.set(entry.token, entry.at)
        break
      }
      case "renewal":
        if (entry.until !== undefined) { for (const token of entry.tokens) locks.set(token, entry.until) }
        break
      case "applied":
        if (entry.outcome === "complete") completed.add(`${entry.entity} ${entry.sequence}`)
        break
      case "received": {
        const key = `${entry.entity} ${entry.sequence} ${entry.id}`
        if (!delivered.has(key)) violations.push({ rule: "ghost", what: `${key}: no delivery of the broker` })
        if (!entry.isIntact) violations.push({ rule: "changed", what: `${key}: its body is another` })
        const until = entry.token === undefined || entry.mode !== "locked" ? undefined : locks.get(entry.token)
        if (until !== undefined && until < entry.at && !isHeldUp(entry.at)) {
          violations.push({ rule: "expired", what: `${key}: handed out at ${entry.at}, its lock ended at ${until}` })
        }
        const most = concurrency[entry.consumer]
        if (entry.token !== undefined && most !== undefined) {
          handlers.set(entry.token, {
            consumer: entry.consumer,
            key: `${entry.entity} ${entry.sequence}`,
            at: arrivals.get(entry.token) ?? entry.at
          })
        }
        const count = (running.get(entry.consumer) ?? 0) + 1
        running.set(entry.consumer, count)
        if (most !== undefined && count > most) {
          violations.push({ rule: "concurrency", what: `${entry.consumer}: ${count} handlers at a time, of ${most}` })
        }
        break
      }
      case "lapsed": {
        const handler = handlers.get(entry.token)
        if (handler !== undefined && entry.at - handler.at < longest && !isUnrenewed(handler.at, entry.at)) {
          violations.push({
            rule: "lapsed",
            what: `${handler.consumer}: the lock of what came to it at ${handler.at} ended at ${entry.at}`
          })
        }
        break
      }
      case "handled":
        for (const [token, handler] of handlers) {
          if (handler.key === `${entry.entity} ${entry.sequence}`) handlers.delete(token)
        }
        running.set(entry.consumer, (running.get(entry.consumer) ?? 0) - 1)
        break
    }
  }
  return violations
}
