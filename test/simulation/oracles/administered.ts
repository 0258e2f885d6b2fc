/**
 * Administration keeps its word: what was confirmed was done, what failed for certain was not, nothing is done before or after
 * its operation, and what is read was so at some time while it was asked for.
 */
import type { Settings, Stamped } from "../History.ts"
import { type Oracle, type Violation } from "./Oracle.ts"

type Asked = Extract<Stamped, { readonly kind: "administer" }>
type Told = Extract<Stamped, { readonly kind: "administered" }>

/** Faults after which nobody knows what became of a request. */
const losing: ReadonlySet<string> = new Set(["lost administration", "refused administration", "late administration"])

/** An operation under way. */
interface Open {
  readonly asked: Asked
  /** What it has done, by the path of what it was done to. */
  readonly deeds: Array<string>
  /** Of everything that was there at some time since it began: the settings of then. */
  readonly seen: Map<string, Array<Settings>>
  /** What was not there at some time since it began. */
  readonly missed: Set<string>
  /** What was there when it began. */
  readonly before: ReadonlySet<string>
}

/** Whether settings are among those that are wanted. */
const has = (there: Settings, wanted: Settings): boolean =>
  Object.entries(wanted).every(([name, value]) => there[name] === value)

/** What stands above an entity or a rule, and itself. */
const above = (path: string): ReadonlyArray<string> => {
  const parts = path.split("/")
  return parts.flatMap((_, i) => i % 2 === 0 ? [parts.slice(0, i + 1).join("/")] : [])
}

/** Whether an entity or a rule is of a list. */
const isOf = (list: string, path: string): boolean =>
  list === "queues"
    ? /^(work|spare)$/.test(path)
    : list === "topics"
    ? /^(news|feed)$/.test(path)
    : path.startsWith(`${list}/`) && !path.slice(list.length + 1).includes("/")

export const administered: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const there = new Map<string, Settings>()
  const open = new Map<number, Open>()
  const isCalm = !history.of("fault").some(({ name }) => losing.has(name) || name === "restart")
  const report = (rule: "late" | "overwritten", at: number, what: string) =>
    violations.push({ rule, what: `at ${at}: ${what}` })
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "administer":
        open.set(entry.op, {
          asked: entry,
          deeds: [],
          seen: new Map([...there].map(([path, settings]) => [path, [settings]])),
          missed: new Set(),
          before: new Set(there.keys())
        })
        break
      case "entity": {
        const { at, by, change, entity, settings } = entry
        const before = there.get(entity)
        const own = [...open.values()].find(({ asked }) => asked.by === by)
        if (by !== undefined && by > 0) {
          if (own === undefined) report("late", at, `${entity} was ${change} by ${by}, which asks for nothing`)
          else own.deeds.push(entity)
        }
        if (own !== undefined && own.asked.what === "update" && change === "updated") {
          const wanted = own.asked.wanted[entity] ?? {}
          for (const [name, value] of Object.entries(settings)) {
            const isKept = name in wanted || (own.seen.get(entity) ?? []).some((seen) => seen[name] === value)
            if (!isKept) report("overwritten", at, `${entity} has ${name} ${value}, which nobody gave it meanwhile`)
          }
        }
        if (change === "deleted") there.delete(entity)
        else there.set(entity, change === "updated" ? { ...before, ...settings } : settings)
        for (const { missed, seen } of open.values()) {
          if (change === "deleted" || before === undefined) missed.add(entity)
          if (change !== "deleted") seen.set(entity, [...seen.get(entity) ?? [], there.get(entity)!])
        }
        break
      }
      case "administered": {
        const each = open.get(entry.op)!
        open.delete(entry.op)
        for (const { rule, what } of judged(each, entry, isCalm)) {
          violations.push({ rule, what: `at ${entry.at}: operation ${entry.op}, ${what}` })
        }
      }
    }
  }
  return violations
}

const judged = function*(
  { asked: { entity, isPartial, wanted, what }, before, deeds, missed, seen }: Open,
  { found, result, tag }: Told,
  isCalm: boolean
): Generator<Violation> {
  const isMissed = (path: string): boolean => missed.has(path) || !before.has(path) && !seen.has(path)
  const isSeen = (path: string, settings: Settings): boolean =>
    seen.get(path)?.some((each) => has(each, settings)) === true
  if (result === "ok") {
    for (const [path, settings] of Object.entries(wanted)) {
      if (!isSeen(path, settings)) {
        yield {
          rule: "promised",
          what: `${what} of ${path}: it ended well, and it never was ${JSON.stringify(settings)}`
        }
      }
    }
    if (what === "delete" && !isMissed(entity)) {
      yield { rule: "promised", what: `delete of ${entity}: it was there all the time` }
    }
    const isChange = what === "create" || what === "update" || what === "delete"
    const own = deeds.filter((path) => path === entity).length
    if (isChange && own !== 1 && isCalm) {
      yield { rule: "promised", what: `${what} of ${entity}: it was done ${own} times` }
    }
    if (what === "update" && own === 0) yield { rule: "promised", what: `update of ${entity}: it was not done` }
    if (found === false && !isMissed(entity)) {
      yield { rule: "pretended", what: `${entity}: it was there, and ${what} says no` }
    }
    if (found === true && !seen.has(entity)) {
      yield { rule: "pretended", what: `${entity}: it was not there, and ${what} says yes` }
    }
    if (Array.isArray(found)) {
      const names = new Set<string>(found)
      const absent = [...before].filter((path) => isOf(entity, path) && !missed.has(path) && !names.has(path))
      const wrong = [...absent, ...[...names].filter((path) => !seen.has(path))]
      if (wrong.length > 0) yield { rule: "pretended", what: `${entity}: the list is wrong about ${wrong.join(", ")}` }
    } else if (typeof found === "object" && !isSeen(entity, found as Settings)) {
      yield { rule: "pretended", what: `${what} of ${entity}: it never was ${JSON.stringify(found)}` }
    }
    return
  }
  if (result !== "failed") return
  if (deeds.length > 0 && !isPartial) {
    yield { rule: "undone", what: `${what} of ${entity}: it failed with ${tag}, and was done` }
  }
  if (isPartial) return
  if (tag === "MessagingEntityAlreadyExistsError" && !seen.has(entity)) {
    yield { rule: "pretended", what: `${what} of ${entity}: it failed with ${tag}, and there was none` }
  }
  const place = entity.replace(/\/(Subscriptions|Rules)$/, "")
  const isMissing = tag === "MessagingEntityNotFoundError" || tag === "RuleNotFoundError"
  if (isMissing && !above(place).some(isMissed)) {
    yield { rule: "pretended", what: `${what} of ${entity}: it failed with ${tag}, and it was there all the time` }
  }
}
