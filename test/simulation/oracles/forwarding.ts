/**
 * What is forwarded is in one place at a time, in its order, and no longer on its way than it may be: nothing is lost or doubled
 * between an entity and the one that it forwards to.
 */
import { type Oracle, strikes, type Violation } from "./Oracle.ts"

/** How long a message may wait for a target that takes it, in milliseconds: it is forwarded at once. */
const patience = 1_000

/** Faults by which a target takes nothing for a while, or a source has none. */
const blocking = [
  "suspended entity",
  "full entity",
  "deleted entity",
  "updated entity",
  "forward taken away",
  "restart"
]

/** The most hops of a message (Service Bus documentation, dead-letter queues). */
const most = 4

/** The id of a message as it was sent: copies begin elsewhere. */
const isOriginal = (id: string): boolean => /^[a-z]+-\d+$/.test(id)

export const forwarding: Oracle = ({ forwards = {}, history, windows = {} }) => {
  const violations: Array<Violation> = []
  const report = (rule: "forwarded" | "hops" | "doubled", what: string) => violations.push({ rule, what })
  const sources = (target: string) => Object.keys(forwards).filter((source) => forwards[source] === target)
  const targets = new Set(Object.values(forwards))
  /** How often each message left for an entity, less how often it came there. */
  const between = new Map<string, number>()
  const count = (key: string, by: number) => between.set(key, (between.get(key) ?? 0) + by)
  /** What waits in a source since when, by entity and number. */
  const waiting = new Map<string, { readonly at: number; readonly entity: string; readonly id: string }>()
  const isBlocked = strikes(history, blocking)
  /** How many hops each message has made that is in an entity. */
  const hops = new Map<string, number>()
  const last = new Map<string, bigint>()
  const known = new Map<string, number>()
  const sent = new Set<string>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "send":
        for (const id of entry.ids) {
          sent.add(`${entry.entity} ${id}`)
          hops.set(`${entry.entity} ${id}`, 0)
        }
        break
      case "enqueued": {
        const { at, entity, id, sequence } = entry
        if (entity in forwards) waiting.set(`${entity} ${sequence}`, { at, entity, id })
        if (!isOriginal(id)) break
        const key = `${entity} ${id}`
        // It comes there before it is said to have left, and may be far beyond by then.
        const made = hops.get(`${entity.replace(/\/(\$DeadLetterQueue|Subscriptions\/[^/]*)$/, "")} ${id}`) ??
          sources(entity).map((source) => (hops.get(`${source} ${id}`) ?? NaN) + 1).find((made) => made > 0)
        if (made !== undefined && !hops.has(key)) hops.set(key, made)
        if (targets.has(entity) && !sent.has(key)) count(key, -1)
        const window = windows[entity]
        if (window === undefined) break
        if ((known.get(key) ?? -Infinity) + window > at) {
          report("doubled", `${key}: it came at ${known.get(key)} and again at ${at}`)
        }
        known.set(key, at)
        break
      }
      case "duplicate":
        if (targets.has(entry.entity)) count(`${entry.entity} ${entry.id}`, -1)
        break
      case "forwarded": {
        const { at, entity, id, sequence, to } = entry
        const since = waiting.get(`${entity} ${sequence}`)?.at
        waiting.delete(`${entity} ${sequence}`)
        if (since === undefined) {
          report("forwarded", `${entity} ${sequence} (${id}): it was forwarded, and was not there`)
        } else if (at - since > patience && !isBlocked(since, at)) {
          report(
            "forwarded",
            `${entity} ${sequence} (${id}): it waited for ${at - since} ms, and nothing was in its way`
          )
        }
        if (forwards[entity] !== to) report("forwarded", `${entity} ${sequence} (${id}): it was forwarded to ${to}`)
        const before = last.get(entity)
        // Dead letters come in the order in which they die.
        if (!entity.includes("/$") && before !== undefined && before > BigInt(sequence)) {
          report("forwarded", `${entity} ${sequence} (${id}): it was forwarded after ${before}`)
        }
        last.set(entity, BigInt(sequence))
        if (!isOriginal(id)) break
        if (!sent.has(`${to} ${id}`)) count(`${to} ${id}`, 1)
        const made = hops.get(`${entity} ${id}`)
        if (made !== undefined && made >= most) {
          report("hops", `${entity} ${sequence} (${id}): forwarded after ${made} hops`)
        }
        break
      }
      case "buried": {
        waiting.delete(`${entry.entity} ${entry.sequence}`)
        const made = hops.get(`${entry.entity} ${entry.id}`)
        if (entry.letter.reason === "MaxTransferHopCountExceeded" && made !== undefined && made < most) {
          report("hops", `${entry.entity} ${entry.sequence} (${entry.id}): buried after ${made} hops`)
        }
        break
      }
      case "deleted":
        for (const [key, { entity }] of waiting) if (entity === entry.entity) waiting.delete(key)
        for (const key of known.keys()) if (key.startsWith(`${entry.entity} `)) known.delete(key)
    }
  }
  for (const [key, missing] of between) {
    if (missing !== 0) report("forwarded", `${key}: it left for there ${missing} times more often than it came`)
  }
  // Once all is well nothing waits, but dead letters that have made all of their hops.
  for (const [key, { entity, id }] of history.of("phase").some(({ name }) => name === "drained") ? waiting : []) {
    const isStranded = entity.includes("/$") && (hops.get(`${entity} ${id}`) ?? most) >= most
    if (!isStranded) report("forwarded", `${key} (${id}): it was never forwarded`)
  }
  return violations
}
