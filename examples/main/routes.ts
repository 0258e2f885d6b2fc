/**
 * Which line goes where: rules of the two subscriptions, by the property that the sender gives a line that is no flight. They
 * are set over AMQP, so that a real namespace needs the subscriptions and no rules.
 */
import { Effect } from "effect"
import { type ServiceBusEntity, ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
import type { Entities } from "./Flight.ts"

/** The application property that says what is wrong with a line; a flight has none. */
export const brokenProperty = "broken"

/** Has a subscription get what a rule takes, and no more what the rule takes that it was made with. */
const take = Effect.fnUntraced(
  function*(subscription: ServiceBusEntity.Subscription<unknown>, filter: ServiceBusRule.Filter) {
    const rules = yield* ServiceBusRuleManager.make(subscription)
    // An earlier run has left it there.
    yield* Effect.catchTag(rules.create("lines", filter), "MessagingEntityAlreadyExistsError", () => Effect.void)
    yield* Effect.catchTag(rules.delete(ServiceBusRule.defaultName), "RuleNotFoundError", () => Effect.void)
  },
  Effect.scoped
)

/** Each line enters one of the two subscriptions, whatever it holds. */
export const set = ({ broken, flights }: Entities) =>
  Effect.all([
    take(flights, ServiceBusRule.sql(`NOT EXISTS(${brokenProperty})`)),
    take(broken, ServiceBusRule.sql(`EXISTS(${brokenProperty})`))
  ], { concurrency: 2, discard: true })
