/**
 * Declared entities compared with those that a namespace has: the steps that make them what they are declared as, in the order
 * that forwarding asks for, and what cannot be made so. It compares what users see, and reads and changes by the administration
 * client alone.
 */
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { InvalidOptionError } from "../../ServiceBusError.ts"
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import { outOfRange, toMillis } from "../options.ts"
import * as Info from "./EntityInfo.ts"
import * as Settings from "./EntitySettings.ts"
import * as EntityTarget from "./EntityTarget.ts"
import * as RuleSettings from "./RuleSettings.ts"

/** A declared entity. */
export interface Declared {
  readonly kind: Settings.Kind
  /** Its path; of a subscription `topic/Subscriptions/name`. */
  readonly path: string
  /** The topic of a subscription. */
  readonly topic: string | undefined
  readonly settings: Readonly<Record<string, unknown>>
  readonly rules: ReadonlyArray<ServiceBusRule.Rule> | undefined
}

/** What there is, by its path in lower case. */
export interface Present {
  readonly queues: ReadonlyMap<string, Info.Queue>
  readonly topics: ReadonlyMap<string, Info.Topic>
  /** Of the declared topics. */
  readonly subscriptions: ReadonlyMap<string, Info.Subscription>
  /** Of the declared subscriptions whose rules are declared. */
  readonly rules: ReadonlyMap<string, ReadonlyArray<ServiceBusRule.ListedRule>>
}

/**
 * A setting that is to be another.
 *
 * @category models
 * @since 0.1.0
 */
export interface Change {
  readonly setting: string
  /** As text. */
  readonly from: string
  /** As text. */
  readonly to: string
}

/**
 * What an entity is: a rule is named by its subscription's path and its name, `news/Subscriptions/sport/Rules/urgent`.
 *
 * @category models
 * @since 0.1.0
 */
export interface EntityName {
  readonly kind: "queue" | "topic" | "subscription" | "rule"
  readonly path: string
}

/**
 * One thing that a plan does.
 *
 * @category models
 * @since 0.1.0
 */
export type Step =
  | {
    readonly _tag: "Create"
    readonly kind: "queue" | "topic" | "subscription"
    readonly path: string
    readonly settings: Settings.QueueSettings | Settings.TopicSettings | Settings.SubscriptionSettings
  }
  | {
    readonly _tag: "Update"
    readonly kind: "queue" | "topic" | "subscription"
    readonly path: string
    readonly changes: ReadonlyArray<Change>
    readonly settings: Settings.QueueChanges | Settings.TopicChanges | Settings.SubscriptionChanges
  }
  | { readonly _tag: "CreateRule"; readonly subscription: string; readonly rule: ServiceBusRule.Rule }
  | {
    readonly _tag: "UpdateRule"
    readonly subscription: string
    readonly rule: ServiceBusRule.Rule
    readonly before: ServiceBusRule.ListedRule
  }
  | ({ readonly _tag: "Delete" } & EntityName)

/**
 * What a plan cannot do: a setting that cannot be changed where the entity is, or something that is missing.
 *
 * @category models
 * @since 0.1.0
 */
export interface Conflict {
  readonly kind: "queue" | "topic" | "subscription"
  readonly path: string
  readonly setting: string
  readonly reason: string
}

/** The settings that the service does not let change. */
const fixed: ReadonlySet<string> = new Set(["requiresSession", "enablePartitioning"])

const key = (path: string): string => path.toLowerCase()

/** Reads what a caller declares, which may be a value of any kind. */
export const read = (
  entities: ReadonlyArray<{ readonly entity: unknown; readonly settings: unknown }>,
  host: string
): Result.Result<ReadonlyArray<Declared>, InvalidOptionError> => {
  const declared: Array<Declared> = []
  const seen = new Set<string>()
  for (const { entity, settings } of entities) {
    const target = EntityTarget.read(entity, "any", "entities")
    if (Result.isFailure(target)) return Result.fail(target.failure)
    const { hasSessions, kind, path, topic } = target.success
    if (seen.has(key(path))) return Result.fail(outOfRange(path, "entities", "each entity once"))
    seen.add(key(path))
    const { rules, ...own } = typeof settings === "object" && settings !== null
      ? settings as Settings.SubscriptionSettings
      : { rules: undefined }
    if (rules !== undefined && kind !== "subscription") {
      return Result.fail(outOfRange(path, "settings.rules", `nothing: a ${kind} has no rules`))
    }
    // The host is of no account here.
    const written = Settings.write(path, kind, own, "")
    if (Result.isFailure(written)) return Result.fail(written.failure)
    const contradiction = Settings.contradictionOf(
      path,
      { ...(hasSessions === true ? { RequiresSession: true } : {}), ...written.success },
      hasSessions
    )
    if (contradiction !== undefined) return Result.fail(contradiction)
    const checked = rulesOf(path, rules)
    if (Result.isFailure(checked)) return Result.fail(checked.failure)
    const requiresSession = hasSessions === true ? { requiresSession: true } : {}
    // A target of this namespace may be given by its whole address.
    const targets = Object.fromEntries(
      forwarding.filter((name) => typeof own[name as keyof typeof own] === "string")
        .map((name) => [name, Info.nameOf(own[name as keyof typeof own] as string, host)])
    )
    declared.push({
      kind,
      path,
      topic,
      settings: { ...requiresSession, ...own, ...targets },
      rules: checked.success
    })
  }
  return Result.succeed(declared)
}

const rulesOf = (
  path: string,
  rules: ReadonlyArray<ServiceBusRule.Rule> | undefined
): Result.Result<ReadonlyArray<ServiceBusRule.Rule> | undefined, InvalidOptionError> => {
  if (rules === undefined) return Result.succeed(undefined)
  return Result.map(RuleSettings.writeAll(path, rules), () => rules)
}

/** TimeSpan.MaxValue, which the service has for a duration without end. */
const longestMillis = 2 ** 63 / 10_000 - 1

/** A value of a setting, so that equal ones are equal texts. */
const textOf = (setting: string, value: unknown): string => {
  if (value === undefined || value === null) return "none"
  switch (setting) {
    case "lockDuration":
    case "defaultTimeToLive":
    case "autoDeleteOnIdle":
    case "duplicateDetectionWindow": {
      // As it is written: in milliseconds, and at most as .NET's longest.
      const millis = toMillis(value as Duration.Input)
      return millis < longestMillis ? Duration.format(Duration.millis(millis)) : "without end"
    }
    case "maxSize":
    case "maxMessageSize":
      return bytesOf(value as number)
    case "forwardTo":
    case "forwardDeadLetteredMessagesTo":
      return targetOf(value)
    case "userMetadata":
      return JSON.stringify(value)
    case "authorizationRules":
      return (value as ReadonlyArray<Settings.AuthorizationRule>).map(policyText).toSorted().join(", ") || "none"
    default:
      return String(value)
  }
}

/** Its keys are told apart, and not told. */
const policyText = ({ name, rights }: Settings.AuthorizationRule): string => `${name} (${rights.toSorted().join(" ")})`

const bytesOf = (bytes: number): string =>
  bytes % 1024 ** 3 === 0
    ? `${bytes / 1024 ** 3} GiB`
    : bytes % 1024 ** 2 === 0
    ? `${bytes / 1024 ** 2} MiB`
    : `${bytes / 1024} KiB`

/** The name of a target, or its address where that is in another namespace. */
const targetOf = (value: unknown): string =>
  (typeof value === "string" ? value : (value as { readonly path: string }).path).replace(/^[/\s]+|[/\s]+$/g, "")

/** Whether a setting is as it is declared. */
const isSame = (setting: string, wanted: unknown, found: Readonly<Record<string, unknown>>): boolean => {
  const there = found[setting]
  switch (setting) {
    case "maxSize":
      return there === wanted ||
        found["enablePartitioning"] === true && there === Settings.partitions * (wanted as number)
    case "authorizationRules":
      return textOf(setting, wanted) === textOf(setting, there) && hasKeys(wanted, there)
    case "forwardTo":
    case "forwardDeadLetteredMessagesTo":
      return key(textOf(setting, wanted)) === key(textOf(setting, there))
    default:
      return textOf(setting, wanted) === textOf(setting, there)
  }
}

/** Whether the keys that are declared are those that are there; where the service shows none, they are taken to be. */
const hasKeys = (wanted: unknown, there: unknown): boolean =>
  (wanted as ReadonlyArray<Settings.AuthorizationRule>).every((policy) => {
    const found = (there as ReadonlyArray<Settings.AuthorizationRule>).find(({ name }) => name === policy.name)
    return (["primaryKey", "secondaryKey"] as const).every((each) => {
      const [one, other] = [policy[each], found?.[each]]
      return one === undefined || other === undefined || Redacted.value(one) === Redacted.value(other)
    })
  })

/** What a comparison finds. */
interface Comparison {
  readonly steps: ReadonlyArray<Step>
  readonly conflicts: ReadonlyArray<Conflict>
  /** What nobody declares: entities, and rules of subscriptions whose rules are declared. */
  readonly unknown: ReadonlyArray<EntityName>
}

/** What of a declared entity is other than it is there. */
export const differencesOf = (
  { kind, path, settings }: Pick<Declared, "kind" | "path" | "settings">,
  found: Info.Queue | Info.Topic | Info.Subscription
): { readonly changes: ReadonlyArray<Change>; readonly conflicts: ReadonlyArray<Conflict> } => {
  const changes: Array<Change> = []
  const conflicts: Array<Conflict> = []
  const there = found as unknown as Readonly<Record<string, unknown>>
  for (const [setting, wanted] of Object.entries(settings)) {
    if (wanted === undefined || isSame(setting, wanted, there)) continue
    const change = { setting, from: textOf(setting, there[setting]), to: textOf(setting, wanted) }
    const isFixed = fixed.has(setting) || setting === "duplicateDetectionWindow" && there[setting] === undefined
    if (isFixed) {
      const reason = `is ${change.from} and cannot be changed to ${change.to}: delete the ${kind} and create it again`
      conflicts.push({ kind, path, setting, reason })
    } else changes.push(change)
  }
  return { changes, conflicts }
}

const forwarding = ["forwardTo", "forwardDeadLetteredMessagesTo"] as const

/** Where an entity of a namespace gets to once all that is declared is there: targets of forwarding, subscriptions of topics. */
class Ways {
  private readonly targets = new Map<string, string>()
  private readonly subscriptions = new Map<string, Array<string>>()

  constructor(declared: ReadonlyArray<Declared>, { queues, subscriptions }: Present) {
    const set = (path: string, target: unknown): void => {
      if (target === undefined || target === null) this.targets.delete(path)
      else this.targets.set(path, key(targetOf(target)))
    }
    const topics = new Map<string, string>()
    for (const [path, { forwardTo }] of queues) set(path, forwardTo)
    for (const [path, { forwardTo, topic }] of subscriptions) {
      set(path, forwardTo)
      topics.set(path, key(topic))
    }
    for (const { path, settings, topic } of declared) {
      if (settings["forwardTo"] !== undefined) set(key(path), settings["forwardTo"])
      if (topic !== undefined) topics.set(key(path), key(topic))
    }
    for (const [path, topic] of topics) this.subscriptions.set(topic, [...this.subscriptions.get(topic) ?? [], path])
  }

  /** The entities that get what an entity has. */
  private after(path: string): ReadonlyArray<string> {
    const target = this.targets.get(path)
    return target === undefined ? this.subscriptions.get(path) ?? [] : [target]
  }

  /** The way from an entity back to it; undefined where there is none. */
  circleOf(path: string): ReadonlyArray<string> | undefined {
    const cameFrom = new Map<string, string>()
    const next = [path]
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      for (const each of this.after(at)) {
        if (each === path) {
          const way = [path]
          for (let step: string | undefined = at; step !== undefined && step !== path; step = cameFrom.get(step)) {
            way.unshift(step)
          }
          return [path, ...way]
        }
        if (cameFrom.has(each)) continue
        cameFrom.set(each, at)
        next.push(each)
      }
    }
    return undefined
  }

  /** Paths, with what an entity gets to before that entity. */
  order(paths: ReadonlyArray<string>): ReadonlyMap<string, number> {
    const order = new Map<string, number>()
    const seen = new Set<string>()
    for (const from of paths) {
      const open: Array<{ readonly path: string; readonly rest: Array<string> }> = []
      const visit = (path: string): void => {
        if (seen.has(path)) return
        seen.add(path)
        open.push({ path, rest: [...this.after(path)] })
      }
      visit(from)
      for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
        const child = top.rest.pop()
        if (child !== undefined) {
          visit(child)
          continue
        }
        order.set(top.path, order.size)
        open.pop()
      }
    }
    return order
  }
}

/** Compares what is declared with what there is. */
export const compare = (declared: ReadonlyArray<Declared>, present: Present): Comparison => {
  const creates: Array<Step> = []
  const updates: Array<Extract<Step, { readonly _tag: "Update" }>> = []
  const rules: Array<Step> = []
  const conflicts: Array<Conflict> = []
  const unknown: Array<EntityName> = []
  const byPath = new Map(declared.map((each) => [key(each.path), each]))
  const isThere = (path: string) => present.queues.has(path) || present.topics.has(path)
  const foundOf = ({ kind, path }: Declared) =>
    (kind === "queue" ? present.queues : kind === "topic" ? present.topics : present.subscriptions).get(key(path))

  /** Creates targets and topics before what needs them. What forwards in a circle gets its targets last. */
  const done = new Set<string>()
  const open = new Set<string>()
  const create = (entity: Declared): void => {
    const own = key(entity.path)
    if (done.has(own) || open.has(own)) return
    open.add(own)
    const topic = entity.topic === undefined ? undefined : byPath.get(key(entity.topic))
    if (topic !== undefined) create(topic)
    const late: Record<string, unknown> = {}
    for (const setting of forwarding) {
      const value = entity.settings[setting]
      if (value === undefined || value === null) continue
      const target = byPath.get(key(targetOf(value)))
      if (target === undefined) continue
      create(target)
      if (!done.has(key(target.path)) && foundOf(target) === undefined) late[setting] = value
    }
    open.delete(own)
    done.add(own)
    if (foundOf(entity) !== undefined) return
    const { kind, path } = entity
    const settings = Object.fromEntries(Object.entries(entity.settings).filter(([name]) => !(name in late)))
    creates.push({
      _tag: "Create",
      kind,
      path,
      settings: entity.rules === undefined ? settings : { ...settings, rules: entity.rules }
    })
    if (Object.keys(late).length > 0) {
      const changes = Object.entries(late).map(([setting, value]) => ({
        setting,
        from: "none",
        to: textOf(setting, value)
      }))
      updates.push({ _tag: "Update", kind, path, changes, settings: late })
    }
  }

  const hasSessions = (path: string): boolean =>
    (byPath.get(path)?.settings["requiresSession"] ?? (present.queues.get(path) ?? present.subscriptions.get(path))
      ?.requiresSession) === true
  const ways = new Ways(declared, present)
  const circling = new Set<string>()
  for (const entity of declared) {
    const { kind, path, settings } = entity
    const conflict = (setting: string, reason: string) => conflicts.push({ kind, path, setting, reason })
    if (kind === "queue" && present.topics.has(key(path))) conflict("name", "is the name of a topic that is there")
    if (kind === "topic" && present.queues.has(key(path))) conflict("name", "is the name of a queue that is there")
    if (entity.topic !== undefined && !byPath.has(key(entity.topic)) && !present.topics.has(key(entity.topic))) {
      conflict("topic", `"${entity.topic}" is neither there nor declared`)
    }
    for (const setting of forwarding) {
      const value = settings[setting]
      if (value === undefined || value === null) continue
      const target = targetOf(value)
      const target_ = byPath.get(key(target))
      const isUsable = /^[a-z]+:\/\//i.test(target) || isThere(key(target)) || target_ !== undefined
      if (!isUsable) conflict(setting, `"${target}" is neither there nor declared`)
      if (setting === "forwardDeadLetteredMessagesTo" && key(target) === key(path)) {
        conflict(setting, "is the entity itself")
      }
    }
    const isForwarding = settings["forwardTo"] !== undefined && settings["forwardTo"] !== null
    const circle = isForwarding && !circling.has(key(path)) ? ways.circleOf(key(path)) : undefined
    if (circle !== undefined) {
      for (const each of circle) circling.add(each)
      conflict("forwardTo", `would bring messages back to where they come from: ${circle.join(" -> ")}`)
    }
    const found = foundOf(entity)
    if (isForwarding && hasSessions(key(path)) && hasSessions(key(targetOf(settings["forwardTo"])))) {
      conflict(
        "forwardTo",
        "is a queue that requires sessions, and the service forwards to none from what requires them"
      )
    }
    create(entity)
    if (found === undefined) continue
    const differences = differencesOf(entity, found)
    conflicts.push(...differences.conflicts)
    if (differences.changes.length > 0) {
      const changed = Object.fromEntries(differences.changes.map(({ setting }) => [setting, settings[setting]]))
      updates.push({ _tag: "Update", kind, path, changes: differences.changes, settings: changed })
    }
    const listed = present.rules.get(key(path)) ?? []
    for (const rule of entity.rules ?? []) {
      const before = listed.find(({ name }) => key(name) === key(rule.name))
      if (before === undefined) rules.push({ _tag: "CreateRule", subscription: path, rule })
      else if (!RuleSettings.isSame(rule, before)) rules.push({ _tag: "UpdateRule", subscription: path, rule, before })
    }
    if (entity.rules !== undefined) {
      const wanted = new Set(entity.rules.map(({ name }) => key(name)))
      for (const { name } of listed) {
        if (!wanted.has(key(name))) unknown.push({ kind: "rule", path: `${path}/Rules/${name}` })
      }
    }
  }
  for (const [path, { name }] of present.queues) if (!byPath.has(path)) unknown.push({ kind: "queue", path: name })
  for (const [path, { name, topic }] of present.subscriptions) {
    if (!byPath.has(path)) unknown.push({ kind: "subscription", path: `${topic}/Subscriptions/${name}` })
  }
  for (const [path, { name }] of present.topics) if (!byPath.has(path)) unknown.push({ kind: "topic", path: name })
  // What is changed after all that it forwards to never makes a circle with what is still to be changed.
  const order = ways.order(updates.map(({ path }) => key(path)))
  const placeOf = ({ path }: { readonly path: string }) => order.get(key(path)) ?? 0
  const ordered = updates.toSorted((one, other) => placeOf(one) - placeOf(other))
  return { steps: [...creates, ...ordered, ...rules], conflicts, unknown }
}

/** Why an entity that nobody declares cannot be deleted: what is declared needs it. */
export const needOf = ({ kind, path }: EntityName, declared: ReadonlyArray<Declared>): ReadonlyArray<Conflict> => {
  if (kind === "rule" || kind === "subscription") return []
  const user = declared.find(({ settings, topic }) =>
    topic !== undefined && key(topic) === key(path) ||
    forwarding.some((setting) => {
      const value = settings[setting]
      return value !== undefined && value !== null && key(targetOf(value)) === key(path)
    })
  )
  return user === undefined
    ? []
    : [{ kind, path, setting: "prune", reason: `would delete what ${user.kind} ${user.path} needs: declare it` }]
}

/** A setting as a person reads it. */
export const settingText = (setting: string, value: unknown): string =>
  setting === "rules"
    ? `rules ${(value as ReadonlyArray<ServiceBusRule.Rule>).map(({ name }) => name).join(", ") || "none"}`
    : `${setting} ${textOf(setting, value)}`

/** A rule as a person reads it. */
export const describeRule = ({ action, filter }: ServiceBusRule.ListedRule): string => {
  const text = filter._tag === "SqlFilter"
    ? filter.expression
    : filter._tag === "CorrelationFilter"
    ? conditionsText(filter)
    : filter._tag === "TrueFilter"
    ? "everything"
    : filter._tag === "FalseFilter"
    ? "nothing"
    : "a filter of another kind"
  return action === undefined ? text : `${text}; ${action._tag === "SqlAction" ? action.expression : "another action"}`
}

const conditionsText = ({ _tag, applicationProperties = {}, ...texts }: ServiceBusRule.CorrelationFilter): string =>
  [...Object.entries(texts), ...Object.entries(applicationProperties)]
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} = ${String(value)}`).join(", ")
