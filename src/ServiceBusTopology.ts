/**
 * The entities that a program needs, declared as contracts with settings and rules, and made so in a namespace: planned first,
 * as data that a person can read, and then applied. What is there as it is declared is left alone, so that a program may do it
 * each time it starts; nothing is deleted that the program does not name.
 *
 * It reads and changes by `ServiceBusAdministration`, and needs the Manage right.
 *
 * @module
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type {
  QueueSettings,
  SettingsOf,
  SubscriptionSettings,
  TopicSettings
} from "./internal/administration/EntitySettings.ts"
import * as RuleSettings from "./internal/administration/RuleSettings.ts"
import * as Topology from "./internal/administration/Topology.ts"
import type { Change, Conflict, EntityName, Step } from "./internal/administration/Topology.ts"
import { checkedNames, outOfRange, readList, readOptions, readOrUndefined, readValue } from "./internal/options.ts"
import * as ServiceBusAdministration from "./ServiceBusAdministration.ts"
import type * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type AdministrationError,
  type CreateEntityError,
  InvalidOptionError,
  type ManageEntityError,
  type ManageRuleError,
  type MessagingEntityAlreadyExistsError
} from "./ServiceBusError.ts"
import * as ServiceBusRule from "./ServiceBusRule.ts"

export type { Change, Conflict, EntityName, Step }

const TypeId = "~effect-service-bus/ServiceBusTopology/Declaration"

/**
 * An entity as it is to be; what `entity` makes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Declaration {
  readonly [TypeId]: typeof TypeId
  readonly entity: Declarable
  readonly settings: QueueSettings | TopicSettings | SubscriptionSettings
}

/**
 * What can be declared: a queue, a topic or a subscription, by its contract; a plain name is a queue, and
 * `topic/Subscriptions/name` a subscription.
 *
 * @category models
 * @since 0.1.0
 */
export type Declarable =
  | ServiceBusAdministration.QueueTarget
  | ServiceBusAdministration.TopicTarget
  | ServiceBusAdministration.SubscriptionTarget

/**
 * Declares an entity with settings and, for a subscription, with rules: what is left out is not looked at where the entity is
 * there, and has the service's default where it is created. A contract without settings is a declaration by itself.
 *
 * Settings are those of `ServiceBusAdministration`, and of `Emulator.entity` where that has them. They are checked by `plan`.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusRule, ServiceBusTopology } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 * const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
 * const Sport = ServiceBusEntity.subscription(News, "sport")
 *
 * export const entities = [
 *   ServiceBusTopology.entity(Orders, { lockDuration: "30 seconds", maxDeliveryCount: 3 }),
 *   News,
 *   ServiceBusTopology.entity(Sport, {
 *     rules: [ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" }))]
 *   })
 * ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const entity: {
  (
    contract: ServiceBusEntity.Topic<unknown, never> | ServiceBusEntity.SessionTopic<unknown, never>,
    settings?: TopicSettings
  ): Declaration
  <S extends Exclude<ServiceBusAdministration.SubscriptionTarget, string>, const R extends boolean>(
    contract: S,
    settings?: SettingsOf<S, SubscriptionSettings, R>
  ): Declaration
  <Q extends ServiceBusAdministration.QueueTarget, const R extends boolean>(
    contract: Q,
    settings?: SettingsOf<Q, QueueSettings, R>
  ): Declaration
} = (
  contract: Declarable,
  settings: QueueSettings | TopicSettings | SubscriptionSettings = {}
): Declaration => ({ [TypeId]: TypeId, entity: contract, settings })

/**
 * What is to be done with what nobody declares.
 *
 * @category models
 * @since 0.1.0
 */
export interface PlanOptions {
  /**
   * Whether an entity or rule that is not declared is deleted, with all that is in it; none is by default. It is asked of all
   * queues and topics of the namespace, the subscriptions of declared topics, and the rules of subscriptions whose rules are
   * declared.
   */
  readonly prune?: ((entity: EntityName) => boolean) | undefined
}

/**
 * What makes a namespace what is declared. It is plain data: steps may be looked at, and left out, before it is applied.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  readonly namespace: string
  /** What `apply` does, in this order. */
  readonly steps: ReadonlyArray<Step>
  /** What is declared and cannot be made so. With any of them `apply` does nothing. */
  readonly conflicts: ReadonlyArray<Conflict>
  /** What nobody declares and the plan leaves alone. */
  readonly unknown: ReadonlyArray<EntityName>
}

const Administration = ServiceBusAdministration.ServiceBusAdministration

type Service = ServiceBusAdministration.ServiceBusAdministration["Service"]

const byName = <A, E>(
  entities: Stream.Stream<A, E>,
  pathOf: (entity: A) => string
): Effect.Effect<ReadonlyMap<string, A>, E> =>
  Effect.map(Stream.runCollect(entities), (all) => new Map(all.map((each) => [pathOf(each).toLowerCase(), each])))

/** Reads what there is, as far as it is compared. */
const presentOf = Effect.fnUntraced(function*(
  administration: Service,
  declared: ReadonlyArray<Topology.Declared>
): Effect.fn.Return<Topology.Present, ManageEntityError> {
  const queues = yield* byName(administration.listQueues, ({ name }) => name)
  const topics = yield* byName(administration.listTopics, ({ name }) => name)
  const subscriptions = new Map<string, ServiceBusAdministration.Subscription>()
  const rules = new Map<string, ReadonlyArray<ServiceBusRule.ListedRule>>()
  const parents = new Set(declared.flatMap(({ kind, path, topic }) => topic ?? (kind === "topic" ? [path] : [])))
  for (const topic of parents) {
    if (!topics.has(topic.toLowerCase())) continue
    const found = yield* byName(administration.listSubscriptions(topic), ({ name }) => `${topic}/Subscriptions/${name}`)
    for (const [path, subscription] of found) subscriptions.set(path, subscription)
  }
  for (const { path, rules: wanted } of declared) {
    if (wanted === undefined || !subscriptions.has(path.toLowerCase())) continue
    rules.set(path.toLowerCase(), yield* Stream.runCollect(administration.listRules(path)))
  }
  return { queues, topics, subscriptions, rules }
})

const isDeclaration = (value: unknown): value is Declaration =>
  typeof value === "object" && value !== null && TypeId in value

/**
 * Compares what is declared with what a namespace has, and gives what makes it so. Nothing is changed.
 *
 * Entities are created before what forwards to them, and topics before their subscriptions. Settings and rules that are declared
 * are compared, and no others. What is not declared is `unknown`, and left alone unless `prune` says otherwise.
 *
 * Fails with InvalidOptionError where a declaration is not usable, or an entity is declared twice, and with the errors of
 * `ServiceBusAdministration`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusTopology } from "effect-service-bus"
 *
 * // What it would do.
 * export const dryRun = (entities: ReadonlyArray<ServiceBusTopology.Declaration>) =>
 *   ServiceBusTopology.plan(entities).pipe(
 *     Effect.flatMap((plan) => Effect.log(ServiceBusTopology.format(plan)))
 *   )
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const plan: (
  entities: Iterable<Declaration | Declarable>,
  options?: PlanOptions
) => Effect.Effect<Plan, ManageEntityError, ServiceBusAdministration.ServiceBusAdministration> = Effect.fnUntraced(
  function*(entities, givenOptions) {
    const { prune } = yield* Effect.fromResult(
      Result.flatMap(
        readOptions(undefined, givenOptions),
        (options) => checkedNames(undefined, "options", options, ["prune"], "an object with prune", givenOptions)
      )
    )
    if (prune !== undefined && typeof prune !== "function") {
      return yield* outOfRange(undefined, "prune", "a function that says of an entity whether it is deleted")
    }
    const list = yield* Effect.fromResult(readList(undefined, "entities", entities))
    const given = yield* Effect.fromResult(
      readValue(undefined, "entities", "declarations that can be read", () =>
        list.map((each) =>
          isDeclaration(each)
            ? { entity: each.entity, settings: each.settings }
            : { entity: each, settings: {} }
        ))
    )
    const administration = yield* Administration
    const declared = yield* Effect.fromResult(
      yield* Effect.fromResult(
        readValue(
          undefined,
          "entities",
          "declarations that can be read",
          () => Topology.read(given, administration.fullyQualifiedNamespace)
        )
      )
    )
    const present = yield* presentOf(administration, declared)
    const { conflicts, steps, unknown } = Topology.compare(declared, present)
    const pruned = unknown.filter((name) => prune?.(name) === true)
    const needed = pruned.flatMap((name) => Topology.needOf(name, declared))
    return {
      namespace: administration.fullyQualifiedNamespace,
      steps: [...steps, ...pruned.map((name): Step => ({ _tag: "Delete", ...name }))],
      conflicts: [...conflicts, ...needed],
      unknown: unknown.filter((name) => !pruned.includes(name))
    }
  }
)

/**
 * Whether a plan has nothing to do, and nothing that it cannot do.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusTopology } from "effect-service-bus"
 *
 * export const isAsDeclared = (entities: ReadonlyArray<ServiceBusTopology.Declaration>) =>
 *   Effect.map(ServiceBusTopology.plan(entities), ServiceBusTopology.isEmpty)
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const isEmpty = ({ conflicts, steps }: Plan): boolean => steps.length === 0 && conflicts.length === 0

/**
 * A plan as text, a line for each step, conflict, and entity that is left alone: `+` is created, `~` changed, `-` deleted, `!`
 * cannot be done, and `?` is unknown.
 *
 * @example
 * ```ts
 * import { ServiceBusTopology } from "effect-service-bus"
 *
 * export const text = ServiceBusTopology.format({
 *   namespace: "contoso.servicebus.windows.net",
 *   steps: [{ _tag: "Create", kind: "queue", path: "orders", settings: { maxDeliveryCount: 3 } }],
 *   conflicts: [],
 *   unknown: []
 * }) // "contoso.servicebus.windows.net\n+ queue orders: maxDeliveryCount 3"
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const format = ({ conflicts, namespace, steps, unknown }: Plan): string =>
  [
    namespace,
    ...steps.map(lineOf),
    ...conflicts.map(({ kind, path, reason, setting }) => `! ${kind} ${path}: ${setting} ${reason}`),
    ...unknown.map(({ kind, path }) => `? ${kind} ${path}`),
    ...(steps.length + conflicts.length === 0 ? ["nothing to do"] : [])
  ].join("\n")

const lineOf = (step: Step): string => {
  switch (step._tag) {
    case "Create": {
      const settings = Object.entries(step.settings).filter(([, value]) => value !== undefined)
        .map(([name, value]) => Topology.settingText(name, value)).join(", ")
      return `+ ${step.kind} ${step.path}${settings === "" ? "" : `: ${settings}`}`
    }
    case "Update":
      return `~ ${step.kind} ${step.path}: ${
        step.changes.map(({ from, setting, to }) => `${setting} ${from} -> ${to}`).join(", ")
      }`
    case "CreateRule":
      return `+ rule ${step.subscription}/Rules/${step.rule.name}: ${Topology.describeRule(step.rule)}`
    case "UpdateRule":
      return `~ rule ${step.subscription}/Rules/${step.rule.name}: ${Topology.describeRule(step.before)} -> ${
        Topology.describeRule(step.rule)
      }`
    case "Delete":
      return `- ${step.kind} ${step.path}`
  }
}

/**
 * Does what a plan says, step by step, and nothing else. What another program did meanwhile is no failure where it did the same:
 * an entity that is there as it was to be created, and one that is gone and was to be deleted.
 *
 * Fails with InvalidOptionError before anything is done where the plan has conflicts, naming the first, and otherwise with the
 * errors of the step that failed: those before it are done. Interrupted, the steps before it are done, and the step may be. To
 * go on, make a new plan.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusTopology } from "effect-service-bus"
 *
 * // At the start of a program, as often as it starts.
 * export const prepared = (entities: ReadonlyArray<ServiceBusTopology.Declaration>) =>
 *   ServiceBusTopology.plan(entities).pipe(
 *     Effect.tap((plan) => ServiceBusTopology.isEmpty(plan) ? Effect.void : Effect.log(ServiceBusTopology.format(plan))),
 *     Effect.flatMap(ServiceBusTopology.apply)
 *   )
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const apply: (
  plan: Plan
) => Effect.Effect<void, CreateEntityError | ManageRuleError, ServiceBusAdministration.ServiceBusAdministration> =
  Effect
    .fnUntraced(function*(plan) {
      const { conflicts, steps } = yield* Effect.fromResult(readPlan(plan))
      const [conflict] = conflicts
      if (conflict !== undefined) {
        return yield* new InvalidOptionError({
          entity: conflict.path,
          option: conflict.setting,
          expected: "a plan without conflicts",
          description: `${conflict.setting} ${conflict.reason}`
        })
      }
      const administration = yield* Administration
      for (const step of steps) yield* run(administration, step)
    })

const entityKinds: ReadonlySet<string> = new Set<EntityName["kind"]>(["queue", "topic", "subscription"])

/** Whether a value is a step as far as it is told here; names, settings and rules are checked where they are used. */
const isStep = (step: Step): boolean => {
  switch (step._tag) {
    case "Create":
    case "Update":
      return entityKinds.has(step.kind)
    case "CreateRule":
    case "UpdateRule":
      return typeof step.rule === "object" && step.rule !== null
    case "Delete":
      return typeof step.path === "string" && (entityKinds.has(step.kind) || step.kind === "rule")
    default:
      return false
  }
}

const isConflict = ({ path, reason, setting }: Conflict): boolean =>
  [path, reason, setting].every((text) => typeof text === "string")

/** A plan is data, and may come from anywhere: it is looked at before anything is done. */
const readPlan = (plan: Plan): Result.Result<Pick<Plan, "conflicts" | "steps">, InvalidOptionError> => {
  const expected = "what ServiceBusTopology.plan gives"
  return Result.flatMap(
    readValue(undefined, "plan", expected, () => {
      const [conflicts, steps] = [[...plan.conflicts], [...plan.steps]]
      const step = steps.findIndex((each) => readOrUndefined(() => isStep(each)) !== true)
      const conflict = conflicts.findIndex((each) => readOrUndefined(() => isConflict(each)) !== true)
      return { conflicts, steps, wrong: step >= 0 ? `steps[${step}]` : conflict >= 0 ? `conflicts[${conflict}]` : "" }
    }),
    ({ conflicts, steps, wrong }) =>
      wrong === ""
        ? Result.succeed({ conflicts, steps })
        : Result.fail(outOfRange(undefined, `plan.${wrong}`, expected))
  )
}

const run = (administration: Service, step: Step): Effect.Effect<void, CreateEntityError | ManageRuleError> => {
  switch (step._tag) {
    case "Create":
      return Effect.catchTag(
        Effect.asVoid(create(administration, step)),
        "MessagingEntityAlreadyExistsError",
        (error) => isAsDeclared(administration, step, error)
      )
    case "Update":
      return Effect.asVoid(update(administration, step))
    case "CreateRule":
      return Effect.catchTag(
        Effect.asVoid(administration.createRule(step.subscription, step.rule)),
        "MessagingEntityAlreadyExistsError",
        (error) =>
          Effect.flatMap(
            administration.getRule(step.subscription, step.rule.name),
            (found) =>
              Option.exists(found, (rule) => RuleSettings.isSame(step.rule, rule)) ? Effect.void : Effect.fail(error)
          )
      )
    case "UpdateRule": {
      const { action, filter } = step.rule
      return Effect.asVoid(
        administration.updateRule(step.subscription, step.rule.name, () => ({ filter, action: action ?? null }))
      )
    }
    case "Delete":
      return Effect.catchTags(remove(administration, step), {
        MessagingEntityNotFoundError: () => Effect.void,
        RuleNotFoundError: () => Effect.void
      })
  }
}

type Of<T extends Step["_tag"]> = Extract<Step, { readonly _tag: T }>

const create = (
  administration: Service,
  { kind, path, settings }: Of<"Create">
): Effect.Effect<unknown, CreateEntityError> =>
  kind === "queue"
    ? administration.createQueue(path, settings as QueueSettings)
    : kind === "topic"
    ? administration.createTopic(path, settings as TopicSettings)
    : administration.createSubscription(path, settings as SubscriptionSettings)

const find = (
  administration: Service,
  { kind, path }: Pick<Of<"Create">, "kind" | "path">
): Effect.Effect<
  Option.Option<
    ServiceBusAdministration.Queue | ServiceBusAdministration.Topic | ServiceBusAdministration.Subscription
  >,
  AdministrationError
> =>
  kind === "queue"
    ? administration.getQueue(path)
    : kind === "topic"
    ? administration.getTopic(path)
    : administration.getSubscription(path)

/** Another program may have created it meanwhile, and have ended before its rules were there. */
const isAsDeclared = (
  administration: Service,
  step: Of<"Create">,
  error: MessagingEntityAlreadyExistsError
): Effect.Effect<void, CreateEntityError | ManageRuleError> =>
  Effect.flatMap(find(administration, step), (found) => {
    const { rules, ...settings } = step.settings as SubscriptionSettings
    const isSame = Option.exists(found, (there) => {
      const { changes, conflicts } = Topology.differencesOf({ ...step, settings: { ...settings } }, there)
      return changes.length + conflicts.length === 0
    })
    if (!isSame) return Effect.fail(error)
    const steps = rules === undefined
      ? []
      : rules.length === 0
      ? [{ _tag: "Delete", kind: "rule", path: `${step.path}/Rules/${ServiceBusRule.defaultName}` } as const]
      : rules.map((rule) => ({ _tag: "CreateRule", subscription: step.path, rule }) as const)
    return Effect.forEach(steps, (each) => run(administration, each), { discard: true })
  })

const update = (
  administration: Service,
  { kind, path, settings }: Of<"Update">
): Effect.Effect<unknown, ManageEntityError> =>
  kind === "queue"
    ? administration.updateQueue(path, () => settings as ServiceBusAdministration.QueueChanges)
    : kind === "topic"
    ? administration.updateTopic(path, () => settings as ServiceBusAdministration.TopicChanges)
    : administration.updateSubscription(path, () => settings as ServiceBusAdministration.SubscriptionChanges)

const remove = (administration: Service, { kind, path }: Of<"Delete">): Effect.Effect<void, ManageRuleError> => {
  switch (kind) {
    // The service deletes by the name: it may be that of the other kind by now.
    case "queue":
      return Effect.flatMap(
        administration.queueExists(path),
        (isThere) => isThere ? administration.deleteQueue(path) : Effect.void
      )
    case "topic":
      return Effect.flatMap(
        administration.topicExists(path),
        (isThere) => isThere ? administration.deleteTopic(path) : Effect.void
      )
    case "subscription":
      return administration.deleteSubscription(path)
    case "rule": {
      const at = path.lastIndexOf("/Rules/")
      return administration.deleteRule(path.slice(0, at), path.slice(at + "/Rules/".length))
    }
  }
}
