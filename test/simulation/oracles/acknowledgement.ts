/** What became of messages: nothing is completed that no handler was done with, and what was confirmed was carried out. */
import type { History } from "../History.ts"
import type { Oracle, Violation } from "./Oracle.ts"

export const acknowledgement: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const asked = new Set<string>()
  const applied = new Map<string, number>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "handled":
      case "settle": {
        // A retry is a copy, and the completion of the original.
        const outcome = entry.outcome === "retryAfter" ? "complete" : entry.outcome
        asked.add(`${entry.entity} ${entry.sequence} ${outcome}`)
        break
      }
      case "applied": {
        if (entry.outcome !== "complete") break
        const key = `${entry.entity} ${entry.sequence}`
        applied.set(key, (applied.get(key) ?? 0) + 1)
        if (!asked.has(`${key} ${entry.outcome}`) && !entry.entity.includes("/$")) {
          violations.push({
            rule: "acknowledged",
            what: `${key} (${entry.id}): ${entry.outcome}, and no handler was done with it so`
          })
        }
        break
      }
    }
  }
  for (const [key, count] of applied) {
    if (count > 1) violations.push({ rule: "acknowledged", what: `${key}: completed ${count} times` })
  }
  const done = new Set(
    history.of("applied").flatMap(({ entity, outcome, sequence, token }) => {
      const key = `${entity} ${sequence} ${outcome}`
      return [key, `${key} ${token}`]
    })
  )
  const ops = new Map(history.of("settle").map((entry) => [entry.op, entry]))
  for (const { op, result } of history.of("settled")) {
    const { entity, outcome, sequence, token } = ops.get(op)!
    const key = `${entity} ${sequence} ${outcome === "retryAfter" ? "complete" : outcome}`
    // What another has done under a lock of its own is not what was asked for.
    if (result === "ok" && !done.has(token === undefined ? key : `${key} ${token}`)) {
      violations.push({ rule: "unconfirmed", what: `${key}: confirmed, and the broker did not do it` })
    }
  }
  violations.push(...denied(history), ...vanished(history), ...unreplayed(history))
  for (const { result, sequence, tag } of history.of("resettled")) {
    if (result !== "failed" || tag !== "MessageAlreadySettled") {
      violations.push({ rule: "resettled", what: `${sequence}: it was settled, and again: ${result} ${tag}` })
    }
  }
  return violations
}

/** A settlement that failed for certain was not carried out. */
const denied = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const open = new Map<string, { readonly op: number; isApplied: boolean }>()
  const asked = new Map<number, string>()
  for (const entry of history.entries) {
    if (entry.kind === "settle" && entry.token !== undefined) {
      // What is tried again is completed once its copy is there.
      const key = `${entry.token} ${entry.outcome === "retryAfter" ? "complete" : entry.outcome}`
      asked.set(entry.op, key)
      open.set(key, { op: entry.op, isApplied: false })
    }
    if (entry.kind === "applied") {
      const settlement = open.get(`${entry.token} ${entry.outcome}`)
      if (settlement !== undefined) settlement.isApplied = true
    }
    if (entry.kind === "settled") {
      const key = asked.get(entry.op)
      const settlement = key === undefined ? undefined : open.get(key)
      if (entry.result === "failed" && settlement?.op === entry.op && settlement.isApplied) {
        violations.push({ rule: "denied", what: `${key}: it failed with ${entry.tag}, and the broker did it` })
      }
    }
  }
  return violations
}

/** A message that is tried again later is there as a copy before it is completed. */
const vanished = (history: History): ReadonlyArray<Violation> => {
  const tokens = new Map(history.of("received").map((entry) => [`${entry.entity} ${entry.sequence}`, entry.id]))
  const later = new Set(
    [...history.of("handled"), ...history.of("settle")].flatMap(({ entity, outcome, sequence }) =>
      outcome === "retryAfter" ? [`${entity} ${sequence}`] : []
    )
  )
  const copies = new Map<string, number>()
  const violations: Array<Violation> = []
  for (const entry of history.entries) {
    if (entry.kind === "scheduled" || entry.kind === "enqueued") {
      copies.set(
        history.originOf(entry.id),
        Math.max(copies.get(history.originOf(entry.id)) ?? 0, Number(entry.sequence))
      )
    }
    if (entry.kind !== "applied" || entry.outcome !== "complete") continue
    const key = `${entry.entity} ${entry.sequence}`
    // One that a handler had before may be completed by the next.
    if (!later.has(key) || isCompletedBy(history, key)) continue
    const id = tokens.get(key)
    if (id !== undefined && !((copies.get(history.originOf(id)) ?? 0) > Number(entry.sequence))) {
      violations.push({ rule: "vanished", what: `${key} (${id}): completed to be tried again, and there is no copy` })
    }
  }
  return violations
}

/** A letter that is replayed is there as a copy before it is completed. */
const unreplayed = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const copies = new Set<string>()
  for (const entry of history.entries) {
    if (entry.kind === "enqueued") copies.add(/:replay-[^:]*:(\d+)$/.exec(entry.id)?.[1] ?? "")
    if (entry.kind !== "applied" || entry.outcome !== "complete" || !entry.entity.includes("/$")) continue
    if (!copies.has(entry.sequence)) {
      violations.push({
        rule: "vanished",
        what: `letter ${entry.sequence} (${entry.id}): completed, and there is no copy`
      })
    }
  }
  return violations
}

const isCompletedBy = (history: History, key: string): boolean =>
  [...history.of("handled"), ...history.of("settle")].some(({ entity, outcome, sequence }) =>
    outcome === "complete" && `${entity} ${sequence}` === key
  )
