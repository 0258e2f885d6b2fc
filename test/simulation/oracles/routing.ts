/**
 * Every subscription gets of a message what its rules say at the moment at which the topic copies it, no more and no less; and
 * a rule is there or not as the client was told.
 */
import type { History } from "../History.ts"
import { copiesOf, ruleOf } from "../rules.ts"
import { type Oracle, strikes, type Violation } from "./Oracle.ts"

/** The topic of a subscription. */
const topicOf = (path: string): string => path.replace(/\/Subscriptions\/.*/, "")

/** The id of a message as it was sent: what a replay or a retry copies goes by rules that the journal does not know. */
const isOriginal = (id: string): boolean => /^[a-z]+-\d+$/.test(id.replace(ruleOf(id) ?? "", ""))

export const routing: Oracle = ({ history }) => [...misrouted(history), ...contradicted(history), ...listed(history)]

/** Whether what becomes of a message is known: of a copy it is where the only rule takes everything. */
const isJudged = (id: string, rules: ReadonlySet<string>): boolean =>
  isOriginal(id) || rules.size === 1 && rules.has("$Default")

const misrouted = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const rules = new Map<string, Set<string>>()
  /** How often each copy is to be in each subscription, less how often it was. */
  const open = new Map<string, number>()
  const count = (key: string, by: number) => open.set(key, (open.get(key) ?? 0) + by)
  /** The sessions of what a topic keeps: a disabled one copies it later, to the subscriptions of then. */
  const sessions = new Map<string, string | undefined>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "rule": {
        const its = rules.get(entry.entity) ?? new Set()
        rules.set(entry.entity, its)
        if (entry.isThere) its.add(entry.name)
        else its.delete(entry.name)
        break
      }
      case "entity": {
        // An administrator's rule of the default name that takes nothing.
        const of = /^(.*)\/Rules\/\$Default$/.exec(entry.entity)?.[1]
        if (of !== undefined && entry.settings["filter"] === "FalseFilter") rules.get(of)?.delete("$Default")
        break
      }
      case "enqueued": {
        const own = rules.get(entry.entity)
        if (own !== undefined) {
          if (isJudged(entry.id, own)) count(`${entry.entity} ${entry.id}`, -1)
        } else {
          sessions.set(`${entry.entity} ${entry.sequence}`, entry.session)
        }
        break
      }
      case "delivered": {
        if (rules.has(entry.entity)) break
        const session = sessions.get(`${entry.entity} ${entry.sequence}`)
        for (const [subscription, its] of rules) {
          if (topicOf(subscription) !== entry.entity || !isJudged(entry.id, its)) continue
          const copies = copiesOf(entry.id, history.originOf(entry.id), session, its)
          if (copies === undefined) count(`${subscription} ${entry.id}, as a dead letter`, 1)
          for (const id of copies ?? []) count(`${subscription} ${id}`, 1)
        }
        break
      }
      case "buried":
        if (entry.letter.reason === "FilterException") count(`${entry.entity} ${entry.id}, as a dead letter`, -1)
    }
  }
  for (const [key, missing] of open) {
    if (missing === 0) continue
    const what = missing > 0 ? `${missing} fewer` : `${-missing} more`
    violations.push({ rule: "misrouted", what: `${key}: ${what} are there than the rules say` })
  }
  return violations
}

/** What was confirmed was done, and what failed for certain was not. */
const contradicted = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  // Who is told first that nothing is known, and then that there is no such rule, takes it for deleted.
  const isRefused = strikes(history, ["refused requests"])
  const there = new Set<string>()
  /** What may be carried out after its caller was interrupted, or told that nothing is known: the next one finds it done. */
  const loose = new Set<string>()
  /** Operations under way, and whether the broker has done what they ask for, or deleted all rules. */
  const open = new Map<number, {
    readonly key: string
    readonly since: number
    readonly isThere: boolean
    isDone: boolean
    isGone: boolean
  }>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "rule": {
        const key = `${entry.entity} ${entry.name}`
        if (entry.isThere) there.add(key)
        else there.delete(key)
        for (const each of open.values()) if (each.key === key && each.isThere === entry.isThere) each.isDone = true
        break
      }
      case "deleted":
        for (const each of open.values()) if (each.key.startsWith(`${entry.entity} `)) each.isGone = true
        break
      case "ruling": {
        const key = `${entry.entity} ${entry.name}`
        const isThere = entry.what === "create"
        // What an earlier one, of which nothing is known, has done is done.
        open.set(entry.op, { key, since: entry.at, isThere, isDone: false, isGone: there.has(key) === isThere })
        break
      }
      case "ruled": {
        const { isDone, isGone, isThere, key, since } = open.get(entry.op)!
        open.delete(entry.op)
        const what = `${key}: it was ${isThere ? "created" : "deleted"}`
        if (!isDone && (entry.result === "interrupted" || entry.result === "unknown")) loose.add(what)
        if (entry.result === "ok" && !isDone && !isGone && (isThere || !isRefused(since, entry.at))) {
          violations.push({ rule: "ruled", what: `${what}, says the client, and it was not` })
        }
        if (entry.result === "failed" && isDone && !isGone && !loose.has(what)) {
          violations.push({ rule: "ruled", what: `${what}, and the client says that it failed with ${entry.tag}` })
        }
      }
    }
  }
  return violations
}

/** A list has every rule that was there all the time, and none that was not there at any. */
const listed = (history: History): ReadonlyArray<Violation> => {
  const violations: Array<Violation> = []
  const there = new Map<string, Set<string>>()
  const open = new Map<number, { readonly entity: string; readonly all: Set<string>; readonly any: Set<string> }>()
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "rule": {
        const its = there.get(entry.entity) ?? new Set()
        there.set(entry.entity, its)
        if (entry.isThere) its.add(entry.name)
        else its.delete(entry.name)
        for (const { all, any, entity } of open.values()) {
          if (entity !== entry.entity) continue
          if (entry.isThere) any.add(entry.name)
          else all.delete(entry.name)
        }
        break
      }
      case "listing": {
        const its = there.get(entry.entity) ?? []
        open.set(entry.op, { entity: entry.entity, all: new Set(its), any: new Set(its) })
        break
      }
      case "listed": {
        const { all, any, entity } = open.get(entry.op)!
        const names = new Set(entry.names)
        const wrong = [...all].filter((name) => !names.has(name)).concat(entry.names.filter((name) => !any.has(name)))
        if (wrong.length > 0) {
          violations.push({ rule: "listed", what: `${entity}: the list is wrong about ${wrong.join(", ")}` })
        }
      }
    }
  }
  return violations
}
