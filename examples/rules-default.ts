// A program that sets its subscription's rules when it starts, as often as it starts. What is missing is created first, what has
// changed is taken under a second name while it is replaced, and what is not wanted is deleted last, $Default as well: no message
// is missed meanwhile, and one may come twice where its rule has an action.
import { Console, Effect, Option, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const least = 8
const wanted = [
  ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" })),
  ServiceBusRule.make("breaking", ServiceBusRule.sql("priority > @least", { least }))
]

/** Needs the Listen right, as the receiver of the subscription does. */
const setRules = Effect.fn("setRules")(
  function*(subscription: typeof Sport, wanted: ReadonlyArray<ServiceBusRule.Rule>) {
    const rules = yield* ServiceBusRuleManager.make(subscription)
    const present = yield* Stream.runCollect(rules.list)
    const done: Array<string> = []
    // Another instance of the program may be as far.
    const create = (rule: ServiceBusRule.Rule) =>
      Effect.catchTag(rules.create(rule), "MessagingEntityAlreadyExistsError", () => Effect.void)
    const remove = (name: string) => Effect.catchTag(rules.delete(name), "RuleNotFoundError", () => Effect.void)
    const missing = wanted.filter((rule) => !present.some(({ name }) => name === rule.name))
    for (const rule of missing) {
      yield* create(rule)
      done.push(`+${rule.name}`)
    }
    for (const rule of wanted) {
      const found = present.find(({ name }) => name === rule.name)
      if (found === undefined || ServiceBusRuleManager.isListedAs(rule, found)) continue
      // A rule cannot be changed. Where this ends halfway, the next start finds a rule that it does not want.
      const second = { ...rule, name: crypto.randomUUID() }
      yield* create(second)
      yield* remove(rule.name)
      yield* create(rule)
      yield* remove(second.name)
      done.push(`~${rule.name}`)
    }
    for (const { name } of present) {
      if (wanted.some((rule) => rule.name === name)) continue
      yield* remove(name)
      done.push(`-${name}`)
    }
    return done
  },
  Effect.scoped
)

const program = Effect.gen(function*() {
  const first = yield* setRules(Sport, wanted)
  const again = yield* setRules(Sport, wanted)
  const [sport, breaking] = wanted
  const changed = yield* setRules(Sport, [
    sport!,
    ServiceBusRule.make("breaking", breaking!.filter, ServiceBusRule.action("SET sys.Label = 'breaking'"))
  ])
  const rules = yield* ServiceBusRuleManager.make(Sport)
  const isOpen = Option.isSome(yield* rules.get(ServiceBusRule.defaultName))
  yield* Console.log(
    `${first.join(" ")}, then ${again.length} changes, then ${changed.join(" ")}; ${
      isOpen ? "takes all" : "takes what it wants"
    }`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(News), Emulator.entity(Sport)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
