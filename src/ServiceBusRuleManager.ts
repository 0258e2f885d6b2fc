/**
 * The rules of a subscription, created, listed and deleted over AMQP: which messages of its topic it gets. It needs the Listen
 * right on the subscription, not Manage.
 *
 * A manager is attached when it is made and closed with its scope. Rules act at once, on messages that are sent from then on;
 * those that a subscription has stay in it. A rule cannot be changed: it is deleted and created. To replace all of them without
 * losing a message create the new ones first; meanwhile a message may come once for each rule with an action that takes it.
 *
 * @module
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as RuleManagement from "./internal/management/RuleManagement.ts"
import * as RuleManager from "./internal/rules/RuleManager.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import { type AttachError, type CreateRuleError, type DeleteRuleError, InvalidOptionError } from "./ServiceBusError.ts"
import * as ServiceBusRule from "./ServiceBusRule.ts"

/**
 * The rules of a subscription.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceBusRuleManager {
  /** The path of the subscription. */
  readonly entity: string
  /**
   * Creates a rule, given as a whole or by its parts.
   *
   * Parameters of SQL are written into the expression as constants, because AMQP carries none: they may be strings, integers of
   * 64 bits, doubles, booleans and null. What is listed afterwards is the expression with them.
   *
   * Fails with MessagingEntityAlreadyExistsError where there is a rule of this name; with InvalidOptionError where the name, the
   * filter or the action is not usable, either before anything is sent, or by the answer of the service, whose words are its
   * `description`, when it does not understand the SQL; with ServiceBusQuotaExceededError where there are too many rules; and
   * with the errors of connecting. Where no answer came it is tried again, and a rule that is then there, equal to the one that
   * was asked for, is a success; OperationTimeoutError (`outcome: "unknown"`) is what is left. Interrupted, it may be created.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusRule, type ServiceBusRuleManager } from "effect-service-bus"
   *
   * export const once = (rules: ServiceBusRuleManager.ServiceBusRuleManager) =>
   *   rules.create("urgent", ServiceBusRule.sql("priority > @least", { least: 5 })).pipe(
   *     Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void)
   *   )
   * ```
   */
  readonly create: {
    (rule: ServiceBusRule.Rule): Effect.Effect<void, CreateRuleError>
    (
      name: string,
      filter: ServiceBusRule.Filter,
      action?: ServiceBusRule.SqlAction
    ): Effect.Effect<void, CreateRuleError>
  }
  /**
   * Deletes a rule. A subscription without any gets no messages.
   *
   * Fails with RuleNotFoundError where there is no rule of this name, with InvalidOptionError where no rule can have it, and with
   * the errors of connecting. Where no answer came it is tried again, and a rule that is not there then is deleted; what is left
   * is OperationTimeoutError (`outcome: "unknown"`). Interrupted, it may be deleted.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusRule, type ServiceBusRuleManager } from "effect-service-bus"
   *
   * export const narrow = (rules: ServiceBusRuleManager.ServiceBusRuleManager) =>
   *   rules.delete(ServiceBusRule.defaultName).pipe(Effect.catchTag("RuleNotFoundError", () => Effect.void))
   * ```
   */
  readonly delete: (name: string) => Effect.Effect<void, DeleteRuleError>
  /**
   * The rule of a name, letter by letter; None where there is none. It looks through the list, since AMQP has no request for a
   * single rule.
   *
   * Fails with InvalidOptionError where no rule can have the name, and with the errors of connecting. Interrupting it changes
   * nothing.
   *
   * @example
   * ```ts
   * import { Effect, Option } from "effect"
   * import { ServiceBusRule, type ServiceBusRuleManager } from "effect-service-bus"
   *
   * export const takesAll = (rules: ServiceBusRuleManager.ServiceBusRuleManager) =>
   *   Effect.map(rules.get(ServiceBusRule.defaultName), Option.isSome)
   * ```
   */
  readonly get: (name: string) => Effect.Effect<Option.Option<ServiceBusRule.ListedRule>, AttachError>
  /**
   * All rules, in the order of the service, 100 for each request, as they are pulled: where rules come and go meanwhile one may
   * be missed or come twice. A filter or action of a kind that this version does not know is `UnknownFilter` or `UnknownAction`.
   * Of a filter that takes all or nothing the service may say `1=1` or `1=0`: it is read as what it was created of.
   *
   * Fails with ServiceBusError where the subscription forwards its messages (`condition: "amqp:not-allowed"`): the service does
   * not list the rules of one that does. Fails with the errors of connecting. Interrupting it changes nothing.
   *
   * @example
   * ```ts
   * import { Effect, Stream } from "effect"
   * import { type ServiceBusRuleManager } from "effect-service-bus"
   *
   * export const clear = (rules: ServiceBusRuleManager.ServiceBusRuleManager) =>
   *   Stream.runCollect(rules.list).pipe(
   *     Effect.flatMap(Effect.forEach((rule) => rules.delete(rule.name)))
   *   )
   * ```
   */
  readonly list: Stream.Stream<ServiceBusRule.ListedRule, AttachError>
}

/**
 * What has rules: a subscription, as a contract or by its path (`news/Subscriptions/sport`).
 *
 * @category models
 * @since 0.1.0
 */
export type Entity =
  | string
  | ServiceBusEntity.Subscription<unknown>
  | ServiceBusEntity.SessionSubscription<unknown, unknown, never>
  | ServiceBusEntity.NotSubscription

/**
 * Attaches to a subscription, for as long as the scope.
 *
 * Fails with MessagingEntityNotFoundError where the subscription is missing, with ServiceBusAuthorizationError where the
 * credential lacks the Listen right, with InvalidOptionError where the name is none of a subscription, and with the errors of
 * connecting. Interrupting it leaves nothing behind. The functions of a manager whose scope is closed fail with
 * ServiceBusConnectionError.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
 *
 * const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
 * const Sport = ServiceBusEntity.subscription(News, "sport")
 *
 * // Only what is about sport, from now on.
 * export const onlySport = Effect.gen(function*() {
 *   const rules = yield* ServiceBusRuleManager.make(Sport)
 *   yield* rules.create("sport", ServiceBusRule.correlation({ subject: "sport" }))
 *   yield* rules.delete(ServiceBusRule.defaultName)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  subscription: Entity
) => Effect.Effect<ServiceBusRuleManager, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope> = Effect
  .fnUntraced(function*(subscription) {
    const entity = ServiceBusEntity.subscriptionOf(subscription)
    if (entity === undefined) {
      return yield* new InvalidOptionError({
        option: "entity",
        expected: "a subscription: a contract, or its path, topic/Subscriptions/name"
      })
    }
    const manager = yield* RuleManager.make(entity, yield* ServiceBusClient.namespaceFor(entity))
    return {
      entity: entity.path,
      create: (
        rule: string | ServiceBusRule.Rule,
        filter?: ServiceBusRule.Filter,
        action?: ServiceBusRule.SqlAction
      ) => manager.create(typeof rule === "string" ? ServiceBusRule.make(rule, filter!, action) : rule),
      delete: manager.delete,
      get: manager.get,
      list: manager.list
    }
  })

/**
 * Whether a rule that is listed is what `create` would make of a rule: name, filter and action, with parameters written in as
 * constants and values of their AMQP types. It is false where the same is said in another way, and of a rule that cannot be
 * created. A rule cannot be changed: this tells whether it has to be replaced.
 *
 * @example
 * ```ts
 * import { Effect, Option } from "effect"
 * import { ServiceBusRule, ServiceBusRuleManager } from "effect-service-bus"
 *
 * const urgent = ServiceBusRule.make("urgent", ServiceBusRule.sql("priority > @least", { least: 5 }))
 *
 * export const isSet = (rules: ServiceBusRuleManager.ServiceBusRuleManager) =>
 *   Effect.map(rules.get(urgent.name), Option.exists((listed) => ServiceBusRuleManager.isListedAs(urgent, listed)))
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const isListedAs = (rule: ServiceBusRule.Rule, listed: ServiceBusRule.ListedRule): boolean => {
  const asked = RuleManagement.describe("", rule)
  return Result.isSuccess(asked) && RuleManagement.isAsAsked("", asked.success, listed)
}
