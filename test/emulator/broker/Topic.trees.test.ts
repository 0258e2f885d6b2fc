/**
 * Random trees of topics, subscriptions, rules and forwards: every message that is sent is found exactly where a model of a few
 * lines says, changed as it says, and nowhere else.
 */
import { ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { assert, describe, it } from "../../support/vitest.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const arrayOf = <S extends Schema.Top>(schema: S, least: number, most: number) =>
  Schema.Array(schema).check(Schema.isMinLength(least), Schema.isMaxLength(most))

type N = number | undefined

/** What rules read and change: `n`, the rule that changed it last, and whether it is a dead letter that was forwarded. */
interface Message {
  readonly n: N
  readonly rule: string
  readonly isDead: boolean
}

/** Each filter as a rule has it, and what it says of a message; "fails" where it does. */
const filters: Record<
  string,
  readonly [(k: number) => ServiceBusRule.Filter, (n: N, k: number, isDead: boolean) => boolean | "fails"]
> = {
  equal: [(k) => ServiceBusRule.sql(`n = ${k}`), (n, k) => n === k],
  greater: [(k) => ServiceBusRule.sql("n > @k", { "@k": k }), (n, k) => n !== undefined && n > k],
  other: [(k) => ServiceBusRule.sql(`NOT (n = ${k})`), (n, k) => n !== undefined && n !== k],
  odd: [() => ServiceBusRule.sql("n % 2 = 1"), (n) => n !== undefined && n % 2 === 1],
  none: [() => ServiceBusRule.sql("n IS NULL"), (n) => n === undefined],
  dead: [() => ServiceBusRule.sql("EXISTS(deadletterreason)"), (_n, _k, isDead) => isDead],
  correlation: [(k) => ServiceBusRule.correlation({ applicationProperties: { n: k } }), (n, k) => n === k],
  true: [() => ServiceBusRule.true, () => true],
  false: [() => ServiceBusRule.false, () => false],
  fails: [
    (k) => ServiceBusRule.sql(`10 / (n - ${k}) > 1`),
    (n, k) => n === k ? "fails" : n !== undefined && Math.trunc(10 / (n - k)) > 1
  ]
}

/** Each action, and the `n` that it gives; "fails" where it does. */
const actions: Record<string, readonly [string, (n: N) => N | "fails"]> = {
  plus: ["SET n = n + 1", (n) => n === undefined ? undefined : n + 1],
  remove: ["REMOVE n", () => undefined],
  divide: ["SET n = 12 / (n - 1)", (n) => n === undefined ? n : n === 1 ? "fails" : Math.trunc(12 / (n - 1))]
}

const Rule = Schema.Struct({
  filter: Schema.Literals(Object.keys(filters)),
  k: integer(0, 4),
  // More rules without an action than with each.
  action: Schema.Literals(["", "", "", "plus", "remove", "divide"])
})
/** How many entities further on, none at 0; often the next one, so that chains grow long. */
const Source = { forwardTo: Schema.Literals([0, 1, 1, 1, 2, 3]), deadTo: integer(0, 3) }
const Entity = Schema.Struct({
  ...Source,
  isTopic: Schema.Boolean,
  subscriptions: arrayOf(Schema.Struct({ ...Source, rules: arrayOf(Rule, 0, 4), keepsFailed: Schema.Boolean }), 1, 3)
})
type Entity = typeof Entity.Type
type Rule = typeof Rule.Type

const ruleName = (i: number) => `rule ${i}`

/** What a subscription gets of a message: copies, or "fails". */
const taken = (rules: ReadonlyArray<Rule>, message: Message): ReadonlyArray<Message> | "fails" => {
  const copies: Array<Message> = []
  for (const [i, { action, filter, k }] of rules.entries()) {
    const matches = filters[filter]![1](message.n, k, message.isDead)
    const n = matches === true && action !== "" ? actions[action]![1](message.n) : message.n
    if (matches === "fails" || n === "fails") return "fails"
    if (matches && action !== "") copies.push({ ...message, n, rule: ruleName(i) })
    else if (matches && !copies.includes(message)) copies.push(message)
  }
  return copies
}

/** Where the copies of a message end: by path, id, `n`, and the rule that changed it last. */
const model = (entities: ReadonlyArray<Entity>, first: number, id: number, n: number): ReadonlyArray<string> => {
  const found: Array<string> = []
  const enter = (at: number, message: Message, hops: number): void => {
    const entity = entities[at]!
    if (!entity.isTopic) return arrive(at, `e${at}`, entity, message, hops)
    for (const [i, subscription] of entity.subscriptions.entries()) {
      const path = `e${at}/Subscriptions/s${i}`
      const copies = taken(subscription.rules, message)
      if (copies !== "fails") { for (const copy of copies) arrive(at, path, subscription, copy, hops) }
      else if (subscription.keepsFailed) die(at, path, subscription.deadTo, message, hops)
    }
  }
  const pass = (at: number, offset: number, message: Message, hops: number): boolean => {
    if (offset === 0 || at + offset >= entities.length || hops === 4) return false
    enter(at + offset, message, hops + 1)
    return true
  }
  const arrive = (
    at: number,
    path: string,
    { deadTo, forwardTo }: Pick<Entity, "deadTo" | "forwardTo">,
    message: Message,
    hops: number
  ) => {
    if (pass(at, forwardTo, message, hops)) return
    if (forwardTo > 0 && at + forwardTo < entities.length) return die(at, path, deadTo, message, hops)
    found.push(`${path} ${id} n=${message.n} ${message.rule}`)
  }
  const die = (at: number, path: string, deadTo: number, message: Message, hops: number) => {
    if (pass(at, deadTo, { ...message, isDead: true }, hops)) return
    found.push(`${path}/$DeadLetterQueue ${id} n=${message.n} ${message.rule}`)
  }
  enter(first, { n, rule: "", isDead: false }, 0)
  return found
}

const forwarding = (at: number, count: number, { deadTo, forwardTo }: Pick<Entity, "deadTo" | "forwardTo">) => ({
  ...(forwardTo > 0 && at + forwardTo < count ? { forwardTo: `e${at + forwardTo}` } : {}),
  ...(deadTo > 0 && at + deadTo < count ? { forwardDeadLetteredMessagesTo: `e${at + deadTo}` } : {})
})

const ruleOf = ({ action, filter, k }: Rule, i: number) =>
  ServiceBusRule.make(
    ruleName(i),
    filters[filter]![0](k),
    action === "" ? undefined : ServiceBusRule.action(actions[action]![0])
  )

const declared = (entities: ReadonlyArray<Entity>): ReadonlyArray<Emulator.Entity> =>
  entities.flatMap((entity, at): ReadonlyArray<Emulator.Entity> =>
    entity.isTopic
      ? [
        { kind: "topic", name: `e${at}` },
        ...entity.subscriptions.map((subscription, i) => ({
          kind: "subscription" as const,
          topic: `e${at}`,
          name: `s${i}`,
          options: {
            ...forwarding(at, entities.length, subscription),
            rules: subscription.rules.map(ruleOf),
            deadLetteringOnFilterError: subscription.keepsFailed
          }
        }))
      ]
      : [{ name: `e${at}`, options: forwarding(at, entities.length, entity) }]
  )

describe("Topics, rules and forwards", () => {
  it.effect.prop(
    "bring every message where the model says, and nowhere else",
    { entities: arrayOf(Entity, 2, 9), sends: arrayOf(Schema.Struct({ to: integer(0, 3), n: integer(0, 5) }), 1, 6) },
    ({ entities, sends }) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const expected: Array<string> = []
        for (const [id, { n, to }] of sends.entries()) {
          const first = to % entities.length
          expected.push(...model(entities, first, id, n))
          yield* emulator.send(`e${first}`, [{ body: Buffer.of(id), applicationProperties: { n } }])
        }
        yield* emulator.idle
        const found: Array<string> = []
        for (const [at, { isTopic, subscriptions }] of entities.entries()) {
          const sources = isTopic ? subscriptions.map((_, i) => `e${at}/Subscriptions/s${i}`) : [`e${at}`]
          for (
            const path of [
              ...isTopic ? [`e${at}`] : [],
              ...sources.flatMap((each) => [each, `${each}/$DeadLetterQueue`])
            ]
          ) {
            for (const { applicationProperties: { RuleName = "", n }, body } of yield* emulator.messages(path)) {
              found.push(`${path} ${body[0]} n=${n ?? undefined} ${RuleName}`)
            }
          }
        }
        assert.deepStrictEqual(found.toSorted(), expected.toSorted())
      }).pipe(Effect.provide(Emulator.layer({ entities: declared(entities) }))),
    { timeout: 120_000, arbitrary: { seed: 14, runs: 1000 } }
  )
})
