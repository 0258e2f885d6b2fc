/**
 * Which line goes where: rules of the two subscriptions, by the property that the sender gives a line that is no flight. They
 * are set over AMQP, so that a real namespace needs the subscriptions and no rules.
 */
import { Effect, Stream } from "effect"
import { type ServiceBusEntity, ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
import type { Entities } from "./Flight.ts"

/** The application property that says what is wrong with a line; a flight has none. */
export const brokenProperty = "broken"

/** Has a subscription get what a filter takes, and nothing else, whatever rules it has. */
const take = Effect.fnUntraced(
  function*(subscription: ServiceBusEntity.Subscription<unknown>, filter: ServiceBusRule.Filter) {
    const rules = yield* ServiceBusRuleManager.make(subscription)
    const lines = ServiceBusRule.make("lines", filter)
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

/** Each line enters one of the two subscriptions, whatever it holds. */
export const set = ({ broken, flights }: Entities) =>
  Effect.all([
    take(flights, ServiceBusRule.sql(`NOT EXISTS(${brokenProperty})`)),
    take(broken, ServiceBusRule.sql(`EXISTS(${brokenProperty})`))
  ], { concurrency: 2, discard: true })
