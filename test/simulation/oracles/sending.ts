/** What was promised of messages that were sent: none is lost, none comes of nothing, none comes too often or too early. */
import type { History } from "../History.ts"
import { ruleOf } from "../rules.ts"
import { network, type Oracle, peer, strikes, tokens, type Violation } from "./Oracle.ts"

/** How long a copy for later may be on its way after its handler, in milliseconds. */
const patience = 120_000

/** The most tries of one operation: the first, and those of the client's default policy; some twice, under a fresh claim. */
const tries = 5

export const sending: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const results = new Map(history.of("sent").map((entry) => [entry.op, entry]))
  // A topic puts a copy into each of its subscriptions.
  const enqueued = new Map<string, Map<string, Array<number>>>()
  for (const { at, entity, id } of history.of("enqueued")) {
    if (entity.includes("/$")) continue
    const copies = enqueued.get(history.originOf(id)) ?? new Map<string, Array<number>>()
    enqueued.set(history.originOf(id), copies)
    // Each rule with an action makes a copy of its own.
    const place = entity + (ruleOf(id) ?? "")
    copies.set(place, [...copies.get(place) ?? [], at])
  }
  const names = new Map(history.of("received").map(({ entity, id, sequence }) => [`${entity} ${sequence}`, id]))
  // What is sent once is there once, but where its answer may have been lost: then it is sent again.
  const isUnsure = strikes(history, [...network, ...peer, ...tokens])
  const triesIn = (from: number, to: number): number => isUnsure(from, to) ? tries : 1
  const allowed = new Map<string, number>()
  const allow = (entity: string, id: string, count: number) => {
    // What is received from a subscription goes again to its topic.
    const key = `${entity.replace(/\/.*/, "")} ${history.originOf(id)}`
    allowed.set(key, (allowed.get(key) ?? 0) + count)
  }
  for (const { at, entity, ids, op } of history.of("send")) {
    for (const id of ids) allow(entity, id, triesIn(at, results.get(op)?.at ?? Infinity))
  }
  for (const { at, entity, outcome, sequence } of [...history.of("handled"), ...history.of("settle")]) {
    const id = names.get(`${entity} ${sequence}`)
    if (outcome === "retryAfter" && id !== undefined) allow(entity, id, triesIn(at, at + patience))
  }
  // A letter goes again, by each call that replays it; one that ends well leaves none that it has sent.
  const replayed = new Map(history.of("began").flatMap(({ op, what }) => what === "replay" ? [[op, what]] : []))
  const cutOff = history.of("ended").filter(({ op, result }) => replayed.has(op) && result !== "ok").length
  for (const { at, entity, id } of replayed.size === 0 ? [] : history.of("buried")) {
    allow(entity, id, triesIn(at, Infinity) * (1 + (isUnsure(at, Infinity) ? replayed.size : cutOff)))
  }
  const cancels = new Map(history.of("cancelled").map((entry) => [entry.op, entry]))
  const cancelled = new Map(history.of("cancel").map((entry) => [entry.id, cancels.get(entry.op)?.result]))
  const scheduled = new Map<string, number>()
  /** How often it came under its own id: copies of a retry have others. */
  const came = (id: string): number => {
    const counts = new Map<string, number>()
    for (const entry of history.of("enqueued")) {
      if (entry.id === id && !entry.entity.includes("/$")) counts.set(entry.entity, (counts.get(entry.entity) ?? 0) + 1)
    }
    return Math.max(0, ...counts.values())
  }
  // What is scheduled is gone with its entity.
  const gone = new Set<string>()
  for (const entry of history.entries) {
    if (entry.kind === "scheduled") scheduled.set(entry.id, (scheduled.get(entry.id) ?? 0) + 1)
    if (entry.kind !== "deleted") continue
    for (const { at, entity, id } of history.of("scheduled")) {
      if (entity === entry.entity && at <= entry.at) gone.add(id)
    }
  }
  const known = new Set<string>()
  const repeated = new Set<string>()
  const once = new Set<string>()
  for (const { ids } of history.of("send")) {
    for (const id of ids) (once.has(id) ? repeated : once).add(id)
  }
  for (const { due, entity, ids, op } of history.of("send")) {
    const result = results.get(op)
    for (const id of ids) {
      known.add(id)
      const times = [...enqueued.get(id)?.values() ?? []].toSorted((a, b) => b.length - a.length)[0] ?? []
      const cancel = cancelled.get(id)
      if (
        result?.result === "ok" && times.length === 0 && (cancel === undefined || cancel === "failed") && !gone.has(id)
      ) {
        violations.push({ rule: "lost", what: `${id}: its send to ${entity} was confirmed and it never came there` })
      }
      if (result?.result === "failed" && times.length > 0 && !repeated.has(id)) {
        violations.push({ rule: "definite", what: `${id}: its send failed with ${result.tag}, and it is there` })
      }
      // A request that was tried again may have scheduled it several times: one of them is cancelled.
      if (cancel === "ok" && came(id) >= (scheduled.get(id) ?? 0)) {
        violations.push({ rule: "cancelled", what: `${id}: it was cancelled, and came all the same` })
      }
      const most = allowed.get(`${entity} ${id}`)!
      const count = enqueued.get(id)?.get(entity)?.length ?? 0
      if (count > most) {
        violations.push({
          rule: "duplicated",
          what: `${id}: it is ${count} times in ${entity}, and ${most} times at most`
        })
      }
      if (due !== undefined && times.some((at) => at < due)) {
        violations.push({ rule: "early", what: `${id}: it was due at ${due}, and enqueued at ${Math.min(...times)}` })
      }
    }
  }
  violations.push(...vanished(history))
  for (const id of enqueued.keys()) {
    if (!known.has(id)) violations.push({ rule: "ghost", what: `${id}: it is there, and was never sent` })
  }
  return violations
}

/** What is there leaves only as it was settled, buried, forwarded, or deleted by somebody. */
const vanished = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const there = new Set(history.of("enqueued").map(({ entity, sequence }) => `${entity} ${sequence}`))
  const gone = new Set(
    history.entries.flatMap((entry) => {
      switch (entry.kind) {
        case "applied":
          return entry.outcome === "complete" ? [`${entry.entity} ${entry.sequence}`] : []
        case "delivered":
          return entry.isLocked ? [] : [`${entry.entity} ${entry.sequence}`]
        case "buried":
        case "forwarded":
          return [`${entry.entity} ${entry.sequence}`]
        default:
          return []
      }
    })
  )
  const ended = new Map(history.of("ended").map(({ at, op }) => [op, at]))
  const deletes = history.of("began").filter(({ what }) => what === "delete" || what === "purge")
  for (const { at, entity, id, sequence } of history.of("removed")) {
    const key = `${entity} ${sequence}`
    if (!there.has(key) || gone.has(key)) continue
    if (deletes.some((each) => each.at <= at && at <= (ended.get(each.op) ?? Infinity))) continue
    violations.push({ rule: "lost", what: `${key} (${id}): removed at ${at}, and nobody has settled or deleted it` })
  }
  return violations
}
