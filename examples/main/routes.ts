/**
 * Which line goes where: rules of the two subscriptions, by the property that the sender gives a line that is no flight. They
 * are set over AMQP too, for a credential without the Manage right: then a namespace needs the subscriptions and no rules.
 */
import { Effect, Stream } from "effect"
import { type ServiceBusEntity, ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
import type { Entities } from "./Flight.ts"

/** The application property that says what is wrong with a line; a flight has none. */
export const brokenProperty = "broken"

/** The rule of each subscription: each line enters one of the two, whatever it holds. */
export const rules = {
  flights: ServiceBusRule.make("lines", ServiceBusRule.sql(`NOT EXISTS(${brokenProperty})`)),
  broken: ServiceBusRule.make("lines", ServiceBusRule.sql(`EXISTS(${brokenProperty})`))
}

/** Has a subscription get what a rule takes, and nothing else, whatever rules it has. */
const take = Effect.fnUntraced(
  function*(subscription: ServiceBusEntity.Subscription<unknown>, lines: ServiceBusRule.Rule) {
    const rules = yield* ServiceBusRuleManager.make(subscription)
    const present = yield* Stream.runCollect(rules.list)
    const foreign = present.filter((rule) => !ServiceBusRuleManager.isListedAs(lines, rule))
    for (const { name } of foreign) {
      yield* Effect.catchTag(rules.delete(name), "RuleNotFoundError", () => Effect.void)
    }
    // An earlier run has left it there.
    if (foreign.length === present.length) yield* rules.create(lines)
  },
  Effect.scoped
)

/** Has each line enter one of the two subscriptions. */
export const set = ({ broken, flights }: Entities) =>
  Effect.all([take(flights, rules.flights), take(broken, rules.broken)], { concurrency: 2, discard: true })
