/** Rules at their call sites: what has rules, what a rule is, and the errors that there are. */
import { Effect, type Option, type Scope, type Stream } from "effect"
import {
  AmqpValue,
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusRule,
  ServiceBusRuleManager
} from "effect-service-bus"
import { expectTypeOf, test } from "vitest"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Chess = ServiceBusEntity.subscription(News, "chess", { sessions: true })
const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

declare const rules: ServiceBusRuleManager.ServiceBusRuleManager
declare const listed: ServiceBusRule.ListedRule

test("a subscription has rules, and nothing else has", () => {
  expectTypeOf(ServiceBusRuleManager.make(Sport)).toEqualTypeOf<
    Effect.Effect<
      ServiceBusRuleManager.ServiceBusRuleManager,
      ServiceBusError.AttachError,
      ServiceBusClient.ServiceBusClient | Scope.Scope
    >
  >()
  void ServiceBusRuleManager.make(Chess)
  void ServiceBusRuleManager.make("news/Subscriptions/sport")
  // @ts-expect-error a topic has none
  void ServiceBusRuleManager.make(News)
  // @ts-expect-error a queue has none
  void ServiceBusRuleManager.make(Orders)
  // @ts-expect-error a sub-queue has none
  void ServiceBusRuleManager.make(ServiceBusEntity.deadLetter(Sport))
})

test("a rule", () => {
  expectTypeOf(ServiceBusRule.make("a", ServiceBusRule.true)).toEqualTypeOf<ServiceBusRule.Rule>()
  void ServiceBusRule.sql("a = @a AND b = @b", { a: AmqpValue.typed("short", 1), "@b": null })
  void ServiceBusRule.correlation({ subject: "a", applicationProperties: { b: 1n } })
  // @ts-expect-error other clients say label
  void ServiceBusRule.correlation({ label: "a" })
  // @ts-expect-error an action is no filter
  void ServiceBusRule.make("a", ServiceBusRule.action("SET a = 1"))
  // @ts-expect-error a filter is no action
  void ServiceBusRule.make("a", ServiceBusRule.true, ServiceBusRule.sql("a = 1"))
})

test("creating, deleting and listing", () => {
  const { create } = rules
  expectTypeOf(create("a", ServiceBusRule.true)).toEqualTypeOf<Effect.Effect<void, ServiceBusError.CreateRuleError>>()
  expectTypeOf(create(ServiceBusRule.make("a", ServiceBusRule.true))).toEqualTypeOf<
    Effect.Effect<void, ServiceBusError.CreateRuleError>
  >()
  expectTypeOf(rules.delete("a")).toEqualTypeOf<Effect.Effect<void, ServiceBusError.DeleteRuleError>>()
  expectTypeOf(rules.list).toEqualTypeOf<Stream.Stream<ServiceBusRule.ListedRule, ServiceBusError.AttachError>>()
  expectTypeOf(rules.get("a")).toEqualTypeOf<
    Effect.Effect<Option.Option<ServiceBusRule.ListedRule>, ServiceBusError.AttachError>
  >()
  void create("a", ServiceBusRule.true).pipe(Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void))
  void rules.delete("a").pipe(Effect.catchTag("RuleNotFoundError", ({ rule }) => Effect.log(rule)))
  // @ts-expect-error what is created is not missing
  void create("a", ServiceBusRule.true).pipe(Effect.catchTag("RuleNotFoundError", () => Effect.void))
  // @ts-expect-error what is deleted does not exist already
  void rules.delete("a").pipe(Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void))
  // @ts-expect-error no message is sent
  void create("a", ServiceBusRule.true).pipe(Effect.catchTag("MessageSizeExceededError", () => Effect.void))
  // @ts-expect-error nothing is named
  void rules.get("a").pipe(Effect.catchTag("RuleNotFoundError", () => Effect.void))
})

test("what is listed may be newer than this version", () => {
  // @ts-expect-error of an unknown kind, perhaps
  void rules.create(listed)
  if (ServiceBusRule.isKnown(listed)) void rules.create(listed)
})
