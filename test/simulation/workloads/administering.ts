/** Administrators create, read, list, change and delete the same entities and rules at once, and write down what they were told. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as ConnectionString from "../../../src/ConnectionString.ts"
import * as ServiceBusAdministration from "../../../src/ServiceBusAdministration.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusRule from "../../../src/ServiceBusRule.ts"
import * as ServiceBusTopology from "../../../src/ServiceBusTopology.ts"
import type { Entry, Settings } from "../History.ts"
import { textOf } from "../Journal.ts"
import { ruleOfKind } from "../rules.ts"
import { attempt, flat, resultOf, type World } from "../World.ts"

type Administration = ServiceBusAdministration.ServiceBusAdministration["Service"]

type Asked = Extract<Entry, { readonly kind: "administer" }>

type Found = Extract<Entry, { readonly kind: "administered" }>["found"]

const subscriptions = ["news/Subscriptions/all", "news/Subscriptions/some", "feed/Subscriptions/one"]

/** They are created and deleted by all; the name says what a rule takes, whoever made it. */
const rules = ["even-1", "even-2", "large-1", "red-1", "copied-1"]

const ruleOf = (name: string) => ruleOfKind(name.replace(/-\d+$/, ""), name)

/** A filter that takes the same as the rule "even", and is told from others of its kind. */
const evenFilter = (number: number) => ServiceBusRule.sql(`n % 2 = 0 AND ${number} = ${number}`)

/** Has an administrator work until the time of faults is over. The number tells its requests from those of others. */
export const administer = (world: World, by: number, options: {
  /** Whether what is used meanwhile may be deleted, too. */
  readonly isRuthless: boolean
}) =>
  Effect.gen(function*() {
    const { emulator, history, rng } = world
    const parsed = yield* Effect.orDie(ConnectionString.parse(emulator.connectionString))
    const administration = yield* Effect.orDie(
      ServiceBusAdministration.ofConnectionString(emulator.httpClient, { port: by }, parsed)
    )
    const noted = <A, E>(
      what: Asked["what"],
      entity: string,
      wanted: Asked["wanted"],
      effect: Effect.Effect<A, E>,
      foundOf: (value: A) => Found,
      isPartial = false
    ) =>
      Effect.suspend(() => {
        const op = history.op()
        history.add({ kind: "administer", op, by, what, entity, wanted, isPartial })
        return Effect.onExit(attempt(world, effect, op), (exit) =>
          Effect.sync(() => {
            const done = flat(exit)
            const found = Exit.isSuccess(done) ? foundOf(done.value) : undefined
            history.add({ kind: "administered", op, ...resultOf(done), found })
          }))
      })
    let count = 0
    while (!world.isHealed()) {
      yield* Effect.sleep(rng.between(1, rng.pick([300, 1_000, 4_000])))
      if (world.isHealed()) return
      const number = by * 1_000 + ++count
      const choice = rng.between(0, 11)
      if (choice < 6) yield* ofEntities(world, administration, number, noted, options.isRuthless)
      else if (choice < 10) yield* ofRules(world, administration, number, noted)
      else if (choice < 11) yield* lists(world, administration, noted)
      else yield* topology(world, administration, number, noted)
    }
  })

type Noted = <A, E>(
  what: Asked["what"],
  entity: string,
  wanted: Asked["wanted"],
  effect: Effect.Effect<A, E>,
  foundOf: (value: A) => Found,
  isPartial?: boolean
) => Effect.Effect<unknown>

/** What is compared of what was read. */
const settingsOf = (
  entity: { readonly userMetadata: string | undefined; readonly maxDeliveryCount?: number }
): Settings => ({
  userMetadata: entity.userMetadata,
  ...(entity.maxDeliveryCount === undefined ? {} : { maxDeliveryCount: String(entity.maxDeliveryCount) })
})

const foundOf = (found: Option.Option<Parameters<typeof settingsOf>[0]>): Found =>
  Option.match(found, { onNone: () => false, onSome: settingsOf })

const nothing = (): Found => undefined

const ofEntities = (
  world: World,
  administration: Administration,
  number: number,
  noted: Noted,
  isRuthless: boolean
): Effect.Effect<unknown> => {
  const { history, rng } = world
  const path = rng.pick(["work", "spare", "spare", "news", "feed", "feed", ...subscriptions])
  const kind = path.includes("/") ? "Subscription" : /^(news|feed)$/.test(path) ? "Topic" : "Queue"
  const what = rng.pick(["create", "create", "update", "update", "delete", "get", "exists"] as const)
  // A topic has no locks. What nobody marks is the same, whoever creates it.
  const isCounted = kind !== "Topic" && rng.chance(0.5)
  const isMarked = rng.chance(0.7)
  const asked = {
    ...(isMarked ? { userMetadata: `by ${number}` } : {}),
    ...(isCounted ? { maxDeliveryCount: rng.between(3, 20) } : {})
  }
  const wanted = {
    [path]: {
      ...(isMarked ? { userMetadata: asked.userMetadata } : {}),
      ...(isCounted ? { maxDeliveryCount: String(asked.maxDeliveryCount) } : {})
    }
  }
  switch (what) {
    case "create": {
      if (kind !== "Subscription") {
        return noted(what, path, wanted, administration[`create${kind}`](path, asked), settingsOf)
      }
      const given = rng.chance(0.5) ? undefined : ["even-1", "red-1"].slice(0, rng.between(0, 2)).map(ruleOf)
      const settings = { ...asked, rules: given }
      return noted(
        what,
        path,
        wanted,
        administration.createSubscription(path, settings),
        settingsOf,
        given !== undefined
      )
    }
    case "update": {
      const changed = kind === "Queue"
        ? administration.updateQueue(path, () => asked)
        : kind === "Topic"
        ? administration.updateTopic(path, () => asked)
        : administration.updateSubscription(path, () => asked)
      return noted<Parameters<typeof settingsOf>[0], unknown>(what, path, wanted, changed, settingsOf)
    }
    case "delete": {
      const isUsed = /^(work|news)/.test(path) && path !== "news/Subscriptions/some"
      if (isUsed && !isRuthless) return Effect.void
      // For those who use it that is the fault of this name: from when it is asked for, and for as long as it may be gone.
      const note = Effect.sync(() => {
        if (isUsed) history.add({ kind: "fault", name: "deleted entity", what: `{"ms":60000}` })
      })
      return Effect.andThen(
        note,
        Effect.ensuring(noted(what, path, {}, administration[`delete${kind}`](path), nothing), note)
      )
    }
    case "get":
      return noted<Option.Option<Parameters<typeof settingsOf>[0]>, unknown>(
        what,
        path,
        {},
        administration[`get${kind}`](path),
        foundOf
      )
    case "exists": {
      const exists = kind === "Queue"
        ? administration.queueExists(path)
        : kind === "Topic"
        ? administration.topicExists(path)
        : administration.subscriptionExists(path)
      return noted(what, path, {}, exists, (isThere) => isThere)
    }
  }
}

const ofRules = (
  { rng }: World,
  administration: Administration,
  number: number,
  noted: Noted
): Effect.Effect<unknown> => {
  const subscription = rng.pick(subscriptions)
  const name = rng.pick([...rules, ServiceBusRule.defaultName])
  const path = `${subscription}/Rules/${name}`
  const filterOf = ({ filter }: ServiceBusRule.ListedRule): Settings => ({ filter: textOf(filter) })
  switch (rng.pick(["create", "create", "update", "delete", "get", "exists"] as const)) {
    case "create": {
      const isEven = name.startsWith("even") && rng.chance(0.7)
      const rule = isEven ? ServiceBusRule.make(name, evenFilter(number)) : ruleOf(name)
      const wanted = { [path]: { filter: textOf(rule.filter) } }
      return noted("create", path, wanted, administration.createRule(subscription, rule), filterOf)
    }
    case "update": {
      const even = rng.pick(["even-1", "even-2"])
      const filter = evenFilter(number)
      const wanted = { [`${subscription}/Rules/${even}`]: { filter: textOf(filter) } }
      const changed = administration.updateRule(subscription, even, () => ({ filter }))
      return noted("update", `${subscription}/Rules/${even}`, wanted, changed, filterOf)
    }
    case "delete":
      return noted("delete", path, {}, administration.deleteRule(subscription, name), nothing)
    case "get":
      return noted(
        "get",
        path,
        {},
        administration.getRule(subscription, name),
        Option.match({
          onNone: (): Found => false,
          onSome: filterOf
        })
      )
    case "exists":
      return noted("exists", path, {}, administration.ruleExists(subscription, name), (isThere) => isThere)
  }
}

const lists = ({ rng }: World, administration: Administration, noted: Noted): Effect.Effect<unknown> => {
  const listed = <A extends { readonly name: string }, E>(of: string, all: Stream.Stream<A, E>, prefix = "") =>
    noted("list", of, {}, Stream.runCollect(all), (found) => found.map(({ name }) => prefix + name))
  const subscription = rng.pick(subscriptions)
  const topic = rng.pick(["news", "feed"])
  switch (rng.between(0, 3)) {
    case 0:
      return listed("queues", administration.listQueues)
    case 1:
      return listed("topics", administration.listTopics)
    case 2:
      return listed(`${topic}/Subscriptions`, administration.listSubscriptions(topic), `${topic}/Subscriptions/`)
    default:
      return listed(`${subscription}/Rules`, administration.listRules(subscription), `${subscription}/Rules/`)
  }
}

const Feed = ServiceBusEntity.topic("feed", { body: ServiceBusBody.text })
const One = ServiceBusEntity.subscription(Feed, "one")

const topology = (
  { rng }: World,
  administration: Administration,
  number: number,
  noted: Noted
): Effect.Effect<unknown> => {
  const userMetadata = `by ${number}`
  const maxDeliveryCount = rng.between(3, 20)
  const hasRules = rng.chance(0.5)
  const filter = evenFilter(number)
  const declarations = [
    ServiceBusTopology.entity("spare", { userMetadata }),
    ServiceBusTopology.entity(Feed, {}),
    ServiceBusTopology.entity(One, {
      maxDeliveryCount,
      ...(hasRules ? { rules: [ServiceBusRule.make("even-1", filter)] } : {})
    })
  ]
  const wanted = {
    spare: { userMetadata },
    feed: {},
    [One.path]: { maxDeliveryCount: String(maxDeliveryCount) },
    ...(hasRules ? { [`${One.path}/Rules/even-1`]: { filter: textOf(filter) } } : {})
  }
  const applied = ServiceBusTopology.plan(declarations).pipe(
    Effect.flatMap(ServiceBusTopology.apply),
    Effect.provideService(ServiceBusAdministration.ServiceBusAdministration, administration)
  )
  return noted("apply", "the topology", wanted, applied, nothing, true)
}
