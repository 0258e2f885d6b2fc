// A program that sets its subscription's rules when it starts, as often as it starts: what is missing is created first and what
// is not wanted is deleted then, $Default as well, so that no message is missed meanwhile.
import { Console, Effect, Equal, Option, Stream } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const wanted = [
  ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" })),
  ServiceBusRule.make("breaking", ServiceBusRule.sql("priority > 8"))
]

/** Needs the Listen right, as the receiver of the subscription does. */
const setRules = Effect.fn("setRules")(
  function*(subscription: typeof Sport, wanted: ReadonlyArray<ServiceBusRule.Rule>) {
    const rules = yield* ServiceBusRuleManager.make(subscription)
    const present = yield* Stream.runCollect(rules.list)
    const done: Array<string> = []
    for (const rule of wanted) {
      const found = present.find(({ name }) => name === rule.name)
      if (found !== undefined && Equal.equals(found.filter, rule.filter)) continue
      // A rule cannot be changed: for a moment there is none. A new name would leave no gap.
      if (found !== undefined) yield* rules.delete(rule.name)
      yield* rules.create(rule)
      done.push(`+${rule.name}`)
    }
    for (const { name } of present) {
      if (wanted.some((rule) => rule.name === name)) continue
      // Another instance of the program may be as far.
      yield* Effect.catchTag(rules.delete(name), "RuleNotFoundError", () => Effect.void)
      done.push(`-${name}`)
    }
    return done
  },
  Effect.scoped
)

const program = Effect.gen(function*() {
  const first = yield* setRules(Sport, wanted)
  const again = yield* setRules(Sport, wanted)
  const rules = yield* ServiceBusRuleManager.make(Sport)
  const isOpen = Option.isSome(yield* rules.get(ServiceBusRule.defaultName))
  yield* Console.log(
    `${first.join(" ")}, then ${again.length} changes; ${isOpen ? "takes all" : "takes what it wants"}`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(News), Emulator.entity(Sport)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
