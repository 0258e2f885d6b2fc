/**
 * No receiver is silent: what is there for one that is attached, and whose consumer has nothing in its hands, comes to it soon,
 * whether it waits at the broker or came to the client already.
 */
import { faults } from "../faults/index.ts"
import type { Oracle, Violation } from "./Oracle.ts"
import { strikes } from "./Oracle.ts"
import { type Link, linksOf } from "./wire.ts"

/** How long something may be there for a receiver that is idle, in milliseconds. */
const patience = 30_000

/** How often it is looked while there are frames and nothing else, in milliseconds. */
const pause = 1_000

/** What handlers do, and who is interrupted, is no reason. */
const reasons = faults.flatMap(({ name, of }) => of === "program" ? [] : [name])

/** A link, and what its consumer has of it. */
interface Receiver {
  readonly link: Link
  /** The locks of what came and was not given to the consumer, and of what it works on. */
  readonly waiting: Set<string>
  readonly held: Set<string>
  /** Since when there is something for it and it does nothing. */
  since: number | undefined
}

const endOf = ({ detached, ended }: Link): number => Math.min(detached.up, detached.down, ended)

export const silence: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const isStruck = strikes(history, reasons)
  // Others ask for what they want now and then: those that look at dead letters do.
  const consumed = new Set(history.of("received").map(({ entity }) => entity))
  const receivers = linksOf(history).flatMap((link): ReadonlyArray<Receiver> =>
    link.isReceiver && !link.isOfSession && consumed.has(link.entity)
      ? [{ link, waiting: new Set(), held: new Set(), since: undefined }]
      : []
  )
  const byToken = new Map(
    receivers.flatMap((each) => [...each.link.came.keys()].map((token) => [token, each] as const))
  )
  /** What an entity has to give, by its number, and what it will not give again. */
  const available = new Map([...consumed].map((entity) => [entity, new Set<string>()]))
  const gone = new Set<string>()
  const tokens = new Map<string, string>()
  const kept = new Set<string>()
  /** How many consumers of an entity take nothing. */
  const paused = new Map<string, number>()
  /** Handlers may go on when the lock of their message is over. */
  const handlers = new Set(history.of("handled").map(({ consumer }) => consumer))
  const working = new Map<string, string>()
  const worked = new Set<string>()
  const ended = new Set<string>()
  const over = (token: string): void => {
    ended.add(token)
    byToken.get(token)?.waiting.delete(token)
    if (!kept.has(token) && !worked.has(token)) byToken.get(token)?.held.delete(token)
  }
  /** It may be with the next one already when it is said to be back. */
  const back = (entity: string, sequence: string, token: string | undefined): void => {
    const key = `${entity} ${sequence}`
    if (!gone.has(key) && (token === undefined || tokens.get(key) === token)) available.get(entity)?.add(sequence)
  }
  const lost = (entity: string, sequence: string): void => {
    gone.add(`${entity} ${sequence}`)
    available.get(entity)?.delete(sequence)
  }
  /** Under which lock what was delivered. */
  const locks = new Map<string, { readonly entity: string; readonly sequence: string }>()
  let looked = -Infinity
  for (const entry of history.entries) {
    const { at } = entry
    if ((entry.kind === "wire" || entry.kind === "frame") && at - looked < pause) continue
    looked = at
    for (const each of receivers) {
      const { link, since } = each
      if (since === undefined || at - since <= patience) continue
      each.since = undefined
      const end = endOf(link)
      if (end - since <= patience || isStruck(since, at)) continue
      violations.push({
        rule: "silent",
        what: `${link.entity}: ${link.name} has nothing to do from ${since} to ${Math.min(at, end)}, and there was ` +
          (each.waiting.size > 0 ? `${[...each.waiting].join(", ")} with the client` : "a message")
      })
    }
    if (entry.kind === "phase" && entry.name === "drained") break
    switch (entry.kind) {
      case "enqueued":
        available.get(entry.entity)?.add(entry.sequence)
        break
      case "delivered":
        available.get(entry.entity)?.delete(entry.sequence)
        locks.set(entry.token, entry)
        tokens.set(`${entry.entity} ${entry.sequence}`, entry.token)
        byToken.get(entry.token)?.waiting.add(entry.token)
        break
      case "received": {
        const token = entry.token ?? tokens.get(`${entry.entity} ${entry.sequence}`) ?? ""
        const receiver = byToken.get(token)
        if (receiver === undefined) break
        receiver.since = undefined
        receiver.waiting.delete(token)
        if (entry.mode !== "locked") break
        receiver.held.add(token)
        if (!handlers.has(entry.consumer)) break
        working.set(`${entry.consumer} ${entry.sequence}`, token)
        worked.add(token)
        break
      }
      case "handled": {
        const token = working.get(`${entry.consumer} ${entry.sequence}`) ?? ""
        if (worked.delete(token) && ended.has(token)) over(token)
        break
      }
      case "keeping":
        if (!entry.isOver) {
          kept.add(entry.token)
          byToken.get(entry.token)?.held.add(entry.token)
        } else if (kept.delete(entry.token)) over(entry.token)
        break
      case "paused":
        paused.set(entry.entity, (paused.get(entry.entity) ?? 0) + (entry.isOver ? -1 : 1))
        break
      case "applied":
        if (entry.outcome === "abandon" || entry.outcome === "release") back(entry.entity, entry.sequence, entry.token)
        else lost(entry.entity, entry.sequence)
        if (entry.token !== undefined) over(entry.token)
        break
      case "lapsed": {
        const lock = locks.get(entry.token)
        if (lock !== undefined) back(lock.entity, lock.sequence, entry.token)
        over(entry.token)
        break
      }
      case "removed":
      case "forwarded":
        lost(entry.entity, entry.sequence)
        break
      case "deleted":
        available.get(entry.entity)?.clear()
        for (const { held, link, waiting } of receivers) {
          if (link.entity !== entry.entity) continue
          held.clear()
          waiting.clear()
        }
    }
    const isExcused = isStruck(at)
    // What is worked on that came on a link that is lost takes the room of what comes on the next one.
    const busy = new Set(receivers.flatMap(({ held, link }) => held.size > 0 && endOf(link) <= at ? [link.entity] : []))
    for (const each of receivers) {
      const { held, link, waiting } = each
      const isAttached = at >= link.at && at < endOf(link)
      const isIdle = held.size === 0 && !busy.has(link.entity) && !(paused.get(link.entity)! > 0)
      const isThere = waiting.size > 0 || available.get(link.entity)!.size > 0
      if (!isAttached || !isIdle || !isThere || isExcused) each.since = undefined
      else each.since ??= at
    }
  }
  return violations
}
