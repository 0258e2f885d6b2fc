/**
 * Queues, topics, subscriptions and rules created, looked at, changed and deleted, over the management API (HTTPS). It needs the
 * Manage right; sending and receiving do not need it.
 *
 * It holds no connection, so that it is a service without a scope. What fails for a passing reason is tried again as the client
 * does it, and a service that throttles is left alone for as long as it advises. A change whose answer was lost is looked at
 * again: it ends as what is known of it, and as OperationTimeoutError with the outcome `"unknown"` where that is nothing.
 *
 * Settings have the names that `Emulator.entity` gives them: what declares an entity of the embedded broker creates it in Azure.
 *
 * One file, because it is one service: what is long are the docstrings of its operations. What they do is in
 * `internal/administration`.
 *
 * @module
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import * as ConnectionString from "./ConnectionString.ts"
import * as Administration from "./internal/administration/Administration.ts"
import * as AtomClient from "./internal/administration/AtomClient.ts"
import type {
  EntityInfo,
  EntityTimes,
  NamespaceInfo,
  Queue,
  QueueRuntime,
  ReceivableInfo,
  Subscription,
  SubscriptionRuntime,
  Topic,
  TopicRuntime
} from "./internal/administration/EntityInfo.ts"
import type {
  AccessRight,
  AuthorizationRule,
  EntityStatus,
  ForwardTarget,
  QueueChanges,
  QueueSettings,
  SettingsOf,
  SubscriptionChanges,
  SubscriptionSettings,
  TopicChanges,
  TopicSettings,
  UnknownRight
} from "./internal/administration/EntitySettings.ts"
import * as ConfiguredOptions from "./internal/namespace/ConfiguredOptions.ts"
import * as NamespaceOptions from "./internal/namespace/NamespaceOptions.ts"
import * as RetryPolicy from "./internal/namespace/RetryPolicy.ts"
import { checkedNames, readOptions } from "./internal/options.ts"
import type { Configured, RetryOptions } from "./ServiceBusClient.ts"
import type { ServiceBusCredential } from "./ServiceBusCredential.ts"
import type * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type AdministrationError,
  type Any as ServiceBusError,
  type ConnectionStringError,
  type CreateEntityError,
  InvalidOptionError,
  type ManageEntityError,
  type ManageRuleError
} from "./ServiceBusError.ts"
import type * as ServiceBusRule from "./ServiceBusRule.ts"

export type {
  AccessRight,
  AuthorizationRule,
  EntityInfo,
  EntityStatus,
  EntityTimes,
  ForwardTarget,
  NamespaceInfo,
  Queue,
  QueueChanges,
  QueueRuntime,
  QueueSettings,
  ReceivableInfo,
  SettingsOf,
  Subscription,
  SubscriptionChanges,
  SubscriptionRuntime,
  SubscriptionSettings,
  Topic,
  TopicChanges,
  TopicRuntime,
  TopicSettings,
  UnknownRight
}

/**
 * A queue, as a contract or by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type QueueTarget =
  | string
  | ServiceBusEntity.Queue<unknown, never>
  | ServiceBusEntity.SessionQueue<unknown, never, unknown, never>

/**
 * A topic, as a contract or by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type TopicTarget =
  | string
  | ServiceBusEntity.Topic<unknown, never>
  | ServiceBusEntity.SessionTopic<unknown, never>

/**
 * A subscription, as a contract or by its path (`news/Subscriptions/sport`).
 *
 * @category models
 * @since 0.1.0
 */
export type SubscriptionTarget =
  | string
  | ServiceBusEntity.Subscription<unknown>
  | ServiceBusEntity.SessionSubscription<unknown, unknown, never>

/**
 * What of a rule is changed; what is left out stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface RuleChanges {
  /** Which messages it takes. */
  readonly filter?: ServiceBusRule.Filter | undefined
  /** What it changes in its copy of them; null for nothing. */
  readonly action?: ServiceBusRule.SqlAction | null | undefined
}

/**
 * The management API of a namespace, as a service.
 *
 * Every function fails with the errors of reaching the service, with ServiceBusAuthenticationError where the credential is
 * refused, ServiceBusAuthorizationError where it lacks the Manage right, ServiceBusServerBusyError where the service throttles
 * longer than it is tried again, and InvalidOptionError where a name or a setting is not usable: `option` names it, and where
 * it is the service that refuses, its words are the `description`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusAdministration, ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const prepared = Effect.gen(function*() {
 *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
 *   if (yield* administration.queueExists(Orders)) return
 *   yield* administration.createQueue(Orders, { lockDuration: "30 seconds", maxDeliveryCount: 3 })
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class ServiceBusAdministration extends Context.Service<ServiceBusAdministration, {
  /** The namespace's host name, for example `contoso.servicebus.windows.net`. */
  readonly fullyQualifiedNamespace: string
  /**
   * Creates a queue, and gives it as it is then. One whose contract has sessions requires them, and its settings cannot say
   * otherwise. What requires sessions does not forward to a queue that requires them, too: the service refuses it.
   *
   * Fails with MessagingEntityAlreadyExistsError where there is a queue or a topic of this name, with
   * MessagingEntityNotFoundError or InvalidOptionError where a target of forwarding is missing, and with
   * ServiceBusQuotaExceededError where the namespace has too many entities. Where no answer came it is tried again, and a queue
   * that is then there, as it was asked for, is a success. Interrupted, it may be created.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * export const once = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   yield* administration.createQueue("orders", { requiresSession: true, defaultTimeToLive: "14 days" }).pipe(
   *     Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void)
   *   )
   * })
   * ```
   */
  readonly createQueue: <Q extends QueueTarget, const R extends boolean>(
    queue: Q,
    settings?: SettingsOf<Q, QueueSettings, R>
  ) => Effect.Effect<Queue, CreateEntityError>
  /**
   * A queue as it is; None where there is none, also where a topic has the name. Interrupting it changes nothing.
   *
   * @example
   * ```ts
   * import { Effect, Option } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * export const attempts = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   return Option.map(yield* administration.getQueue("orders"), (queue) => queue.maxDeliveryCount)
   * })
   * ```
   */
  readonly getQueue: (queue: QueueTarget) => Effect.Effect<Option.Option<Queue>, AdministrationError>
  /** Whether there is a queue of this name. */
  readonly queueExists: (queue: QueueTarget) => Effect.Effect<boolean, AdministrationError>
  /**
   * All queues by their names, 100 for each request, as they are pulled: where queues come and go meanwhile one may be missed
   * or come twice.
   *
   * @example
   * ```ts
   * import { Effect, Stream } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * export const disabled = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   return yield* administration.listQueues.pipe(
   *     Stream.filter((queue) => queue.status !== "Active"),
   *     Stream.map((queue) => queue.name),
   *     Stream.runCollect
   *   )
   * })
   * ```
   */
  readonly listQueues: Stream.Stream<Queue, AdministrationError>
  /**
   * Changes a queue by a function, which is given the queue as it is and gives the settings that are to be others: what it leaves
   * out stays, also what this version does not know. The service has no way to notice that somebody else changes it meanwhile:
   * the last one wins.
   *
   * Fails with MessagingEntityNotFoundError where there is none, and with InvalidOptionError where a setting cannot be changed:
   * sessions and partitioning, which are not in the type, and whether duplicates are detected. Where no answer came it is tried
   * again, and once a try may have been carried out no later failure says that it was not: it is OperationTimeoutError with the
   * outcome `"unknown"`. Interrupted, it may be changed.
   *
   * @example
   * ```ts
   * import { Duration, Effect } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * // Twice as long, and nowhere else any more.
   * export const changed = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   return yield* administration.updateQueue("orders", (queue) => ({
   *     lockDuration: Duration.times(queue.lockDuration, 2),
   *     forwardTo: null
   *   }))
   * })
   * ```
   */
  readonly updateQueue: (
    queue: QueueTarget,
    change: (queue: Queue) => QueueChanges
  ) => Effect.Effect<Queue, ManageEntityError>
  /**
   * Deletes a queue with all its messages. The service goes by the name alone: a topic that has it is deleted, too.
   *
   * Fails with MessagingEntityNotFoundError where there is none; where no answer came it is tried again, and one that is not
   * there then is deleted. Interrupted, it may be deleted.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * export const gone = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   yield* administration.deleteQueue("orders").pipe(
   *     Effect.catchTag("MessagingEntityNotFoundError", () => Effect.void)
   *   )
   * })
   * ```
   */
  readonly deleteQueue: (queue: QueueTarget) => Effect.Effect<void, ManageEntityError>
  /**
   * How many messages a queue has, by their state; None where there is no queue of this name.
   *
   * @example
   * ```ts
   * import { Effect, Option } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * export const waiting = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   return Option.match(yield* administration.getQueueRuntime("orders"), {
   *     onNone: () => 0,
   *     onSome: (runtime) => runtime.activeMessageCount
   *   })
   * })
   * ```
   */
  readonly getQueueRuntime: (queue: QueueTarget) => Effect.Effect<Option.Option<QueueRuntime>, AdministrationError>
  /** As `getQueueRuntime`, of all queues, as `listQueues` lists them. */
  readonly listQueueRuntimes: Stream.Stream<QueueRuntime, AdministrationError>
  /** As `createQueue`, for a topic. */
  readonly createTopic: (topic: TopicTarget, settings?: TopicSettings) => Effect.Effect<Topic, CreateEntityError>
  /** As `getQueue`, for a topic. */
  readonly getTopic: (topic: TopicTarget) => Effect.Effect<Option.Option<Topic>, AdministrationError>
  /** As `queueExists`, for a topic. */
  readonly topicExists: (topic: TopicTarget) => Effect.Effect<boolean, AdministrationError>
  /** As `listQueues`, for topics. */
  readonly listTopics: Stream.Stream<Topic, AdministrationError>
  /** As `updateQueue`, for a topic. */
  readonly updateTopic: (
    topic: TopicTarget,
    change: (topic: Topic) => TopicChanges
  ) => Effect.Effect<Topic, ManageEntityError>
  /** As `deleteQueue`, for a topic: its subscriptions go with it. */
  readonly deleteTopic: (topic: TopicTarget) => Effect.Effect<void, ManageEntityError>
  /** How many subscriptions, filters and scheduled messages a topic has; None where there is no topic of this name. */
  readonly getTopicRuntime: (topic: TopicTarget) => Effect.Effect<Option.Option<TopicRuntime>, AdministrationError>
  /** As `getTopicRuntime`, of all topics. */
  readonly listTopicRuntimes: Stream.Stream<TopicRuntime, AdministrationError>
  /**
   * Creates a subscription, with the rules that it is to have. Its topic must be there.
   *
   * Fails with MessagingEntityNotFoundError, whose `entity` is the topic, where that is missing, and otherwise as `createQueue`
   * and `createRule` do: with several rules it may be there without all of them. A rule that is not usable is named by its place,
   * `rules[1].filter.expression`. A plain name is its path.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusAdministration, ServiceBusBody, ServiceBusEntity, ServiceBusRule } from "effect-service-bus"
   *
   * const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
   * const Sport = ServiceBusEntity.subscription(News, "sport")
   *
   * export const created = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   yield* administration.createTopic(News)
   *   yield* administration.createSubscription(Sport, {
   *     maxDeliveryCount: 5,
   *     rules: [ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" }))]
   *   })
   * })
   * ```
   */
  readonly createSubscription: <S extends SubscriptionTarget, const R extends boolean>(
    subscription: S,
    settings?: SettingsOf<S, SubscriptionSettings, R>
  ) => Effect.Effect<Subscription, CreateEntityError>
  /** As `getQueue`, for a subscription. */
  readonly getSubscription: (
    subscription: SubscriptionTarget
  ) => Effect.Effect<Option.Option<Subscription>, AdministrationError>
  /** As `queueExists`, for a subscription. */
  readonly subscriptionExists: (subscription: SubscriptionTarget) => Effect.Effect<boolean, AdministrationError>
  /** As `listQueues`, for the subscriptions of a topic. It may fail with MessagingEntityNotFoundError where that is missing. */
  readonly listSubscriptions: (topic: TopicTarget) => Stream.Stream<Subscription, ManageEntityError>
  /** As `updateQueue`, for a subscription. Its rules are changed by themselves. */
  readonly updateSubscription: (
    subscription: SubscriptionTarget,
    change: (subscription: Subscription) => SubscriptionChanges
  ) => Effect.Effect<Subscription, ManageEntityError>
  /** As `deleteQueue`, for a subscription. */
  readonly deleteSubscription: (subscription: SubscriptionTarget) => Effect.Effect<void, ManageEntityError>
  /** As `getQueueRuntime`, for a subscription. */
  readonly getSubscriptionRuntime: (
    subscription: SubscriptionTarget
  ) => Effect.Effect<Option.Option<SubscriptionRuntime>, AdministrationError>
  /** As `getSubscriptionRuntime`, of all subscriptions of a topic. */
  readonly listSubscriptionRuntimes: (topic: TopicTarget) => Stream.Stream<SubscriptionRuntime, ManageEntityError>
  /**
   * Creates a rule of a subscription. Parameters go as they are, with their types: nothing is written into the expression.
   *
   * Fails with MessagingEntityAlreadyExistsError where there is a rule of this name, with InvalidOptionError where it is not
   * usable, with ServiceBusQuotaExceededError where there are too many, and with MessagingEntityNotFoundError where the
   * subscription is missing. Where no answer came it is tried again, and a rule that is then there, equal to the one that was
   * asked for, is a success.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusAdministration, ServiceBusRule } from "effect-service-bus"
   *
   * export const created = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   yield* administration.createRule(
   *     "news/Subscriptions/sport",
   *     ServiceBusRule.make("urgent", ServiceBusRule.sql("priority > @least", { least: 5 }))
   *   )
   * })
   * ```
   */
  readonly createRule: (
    subscription: SubscriptionTarget,
    rule: ServiceBusRule.Rule
  ) => Effect.Effect<ServiceBusRule.ListedRule, CreateEntityError>
  /** The rule of a name; None where there is none, or no such subscription. */
  readonly getRule: (
    subscription: SubscriptionTarget,
    name: string
  ) => Effect.Effect<Option.Option<ServiceBusRule.ListedRule>, AdministrationError>
  /** Whether a subscription has a rule of this name. */
  readonly ruleExists: (subscription: SubscriptionTarget, name: string) => Effect.Effect<boolean, AdministrationError>
  /** As `listQueues`, for the rules of a subscription. */
  readonly listRules: (
    subscription: SubscriptionTarget
  ) => Stream.Stream<ServiceBusRule.ListedRule, ManageEntityError>
  /**
   * Changes a rule by a function, as `updateQueue` does a queue.
   *
   * Fails with RuleNotFoundError where there is none of this name.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusAdministration, ServiceBusRule } from "effect-service-bus"
   *
   * export const narrowed = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   yield* administration.updateRule("news/Subscriptions/sport", "urgent", () => ({
   *     filter: ServiceBusRule.sql("priority > 8"),
   *     action: null
   *   }))
   * })
   * ```
   */
  readonly updateRule: (
    subscription: SubscriptionTarget,
    name: string,
    change: (rule: ServiceBusRule.ListedRule) => RuleChanges
  ) => Effect.Effect<ServiceBusRule.ListedRule, ManageRuleError>
  /** Deletes a rule. Fails with RuleNotFoundError where there is none of this name, and otherwise as `deleteQueue` does. */
  readonly deleteRule: (subscription: SubscriptionTarget, name: string) => Effect.Effect<void, ManageRuleError>
  /**
   * What the namespace is: its tier, its times.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { ServiceBusAdministration } from "effect-service-bus"
   *
   * export const isPremium = Effect.gen(function*() {
   *   const administration = yield* ServiceBusAdministration.ServiceBusAdministration
   *   return (yield* administration.getNamespace).sku === "Premium"
   * })
   * ```
   */
  readonly getNamespace: Effect.Effect<NamespaceInfo, AdministrationError>
}>()("effect-service-bus/ServiceBusAdministration") {}

/**
 * What every way of making an administration client takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommonOptions {
  /** How often, and when, a request is tried again while its error can pass; as the client's option of this name. */
  readonly retry?: RetryOptions | Schedule.Schedule<unknown, ServiceBusError> | undefined
  /** How long one try of a request may take, 1 millisecond to 1 hour. 60 seconds by default. */
  readonly operationTimeout?: Duration.Input | undefined
  /** What stands behind the library's own name in the user agent: 1 to 256 printable ASCII characters. */
  readonly userAgentSuffix?: string | undefined
  /**
   * The port of the management API. By default that of the connection string; otherwise 443, and 5300 for an emulator
   * (`UseDevelopmentEmulator=true`), where Microsoft's and ours listen.
   */
  readonly port?: number | undefined
  /**
   * The version of the API, `"2021-05"` by default. `"2017-04"` knows no message sizes; `"2024-05"` has the filter counts of
   * topics, in some regions.
   */
  readonly apiVersion?: "2017-04" | "2021-05" | "2024-05" | undefined
  /**
   * Lets `UseDevelopmentEmulator=true` of a connection string speak plain HTTP to another machine, an emulator in a container of
   * its own for example: tokens go over the network in the clear. False by default: this machine only.
   */
  readonly allowPlainTcp?: boolean | undefined
}

/**
 * What `make` and `layer` take.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends CommonOptions {
  /** For example `contoso.servicebus.windows.net`; `sb://` before it and a slash after it are taken off. */
  readonly fullyQualifiedNamespace: string
  /** What one of the constructors of `ServiceBusCredential` gives. */
  readonly credential: ServiceBusCredential
}

/**
 * What `layerEnv` takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnvOptions extends CommonOptions {
  /** Required where the environment names a namespace; not used where it has a connection string. */
  readonly credential?: ServiceBusCredential | undefined
}

const apiVersions: ReadonlySet<unknown> = new Set(["2017-04", "2021-05", "2024-05"])

const optionNames = [
  "retry",
  "operationTimeout",
  "userAgentSuffix",
  "port",
  "apiVersion",
  "allowPlainTcp"
] as const satisfies ReadonlyArray<keyof CommonOptions>

/**
 * An administration client of a target, over an HTTP client.
 *
 * @internal
 */
export const makeWith: (
  http: HttpClient.HttpClient,
  options: CommonOptions,
  target: NamespaceOptions.Target
) => Effect.Effect<ServiceBusAdministration["Service"], InvalidOptionError> = Effect.fnUntraced(
  function*(http, given, target) {
    const { apiVersion = "2021-05", port, ...options } = yield* Effect.fromResult(
      checkedNames<CommonOptions>(undefined, "options", given, optionNames, `an object with ${optionNames.join(", ")}`)
    )
    if (!apiVersions.has(apiVersion)) {
      return yield* new InvalidOptionError({ option: "apiVersion", expected: `"2017-04", "2021-05" or "2024-05"` })
    }
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65535)) {
      return yield* new InvalidOptionError({ option: "port", expected: "a number from 1 to 65535" })
    }
    const { credential, retry, timeout, userAgent } = yield* NamespaceOptions.check(options, target)
    const { host, isPlain } = target.endpoint
    const dialled = port ?? target.endpoint.port ?? (isPlain ? 5300 : undefined)
    const authority = `${host.includes(":") ? `[${host}]` : host}${dialled === undefined ? "" : `:${dialled}`}`
    const atom = AtomClient.make({
      http,
      base: `${isPlain ? "http" : "https"}://${authority}`,
      audience: `https://${target.host}/${target.entityPath ?? ""}`,
      credential,
      apiVersion,
      userAgent,
      timeout
    })
    const retryPolicy = yield* RetryPolicy.make(retry)
    return ServiceBusAdministration.of(Administration.make({ atom, retryPolicy, host: target.host }))
  }
)

/**
 * An administration client of a parsed connection string, over an HTTP client.
 *
 * @internal
 */
export const ofConnectionString = (
  http: HttpClient.HttpClient,
  options: CommonOptions,
  parsed: ConnectionString.ConnectionString
): Effect.Effect<ServiceBusAdministration["Service"], ConnectionStringError | InvalidOptionError> =>
  Effect.flatMap(
    Effect.fromResult(NamespaceOptions.targetOfString(parsed, options.allowPlainTcp)),
    (target) => makeWith(http, options, target)
  )

/** Redirections are not followed: they would take the token along. */
const fetchLayer = Layer.provide(
  FetchHttpClient.layer,
  Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" })
)

const withFetch = <A, E, R>(effect: Effect.Effect<A, E, R | HttpClient.HttpClient>) =>
  Effect.provide(effect, fetchLayer) as Effect.Effect<A, E, Exclude<R, HttpClient.HttpClient>>

const ofName = Effect.fnUntraced(function*(input: Options) {
  const { credential, fullyQualifiedNamespace, ...options } = yield* Effect.fromResult(readOptions(undefined, input))
  const target = yield* Effect.fromResult(NamespaceOptions.targetOfName(fullyQualifiedNamespace, credential))
  return yield* makeWith(yield* HttpClient.HttpClient, options, target)
})

const ofString = Effect.fnUntraced(function*(
  text: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
  input: Configured<CommonOptions> | undefined
) {
  const parsed = yield* ConnectionString.parse(ConfiguredOptions.isConfig(text) ? yield* text : text)
  const options = yield* ConfiguredOptions.read<CommonOptions>(input)
  return yield* ofConnectionString(yield* HttpClient.HttpClient, options, parsed)
})

/**
 * Makes an administration client of a namespace, over HTTPS, by the `fetch` of the runtime. No I/O happens here.
 *
 * Fails with InvalidOptionError where an option is out of range or the namespace is not a fully qualified host name.
 *
 * @example
 * ```ts
 * import { DefaultAzureCredential } from "@azure/identity"
 * import { Effect } from "effect"
 * import { ServiceBusAdministration, ServiceBusCredential } from "effect-service-bus"
 *
 * export const tier = Effect.gen(function*() {
 *   const administration = yield* ServiceBusAdministration.make({
 *     fullyQualifiedNamespace: "contoso.servicebus.windows.net",
 *     credential: ServiceBusCredential.identity(new DefaultAzureCredential())
 *   })
 *   return (yield* administration.getNamespace).sku
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options): Effect.Effect<ServiceBusAdministration["Service"], InvalidOptionError> =>
  withFetch(ofName(options))

/**
 * The layer of an administration client of a namespace, over HTTPS. Fails as `make` does.
 *
 * @example
 * ```ts
 * import { Redacted } from "effect"
 * import { ServiceBusAdministration, ServiceBusCredential } from "effect-service-bus"
 *
 * export const layer = (key: Redacted.Redacted<string>) =>
 *   ServiceBusAdministration.layer({
 *     fullyQualifiedNamespace: "contoso.servicebus.windows.net",
 *     credential: ServiceBusCredential.sharedKey({ name: "RootManageSharedAccessKey", key })
 *   })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<ServiceBusAdministration, InvalidOptionError> =>
  Layer.effect(ServiceBusAdministration, make(options))

/**
 * The layer of an administration client from a connection string: HTTPS, or plain HTTP where it says
 * `UseDevelopmentEmulator=true` and names this machine. The string and each option may be a value or the `Config` of one.
 *
 * Fails with ConnectionStringError where it is malformed, naming the part and never the secret, with InvalidOptionError where an
 * option is out of range, and with ConfigError where configuration is missing or malformed.
 *
 * @example
 * ```ts
 * import { Config } from "effect"
 * import { ServiceBusAdministration } from "effect-service-bus"
 *
 * export const Live = ServiceBusAdministration.layerConnectionString(Config.Redacted("SERVICE_BUS_CONNECTION_STR"))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConnectionString: {
  (
    connectionString: Redacted.Redacted<string>,
    options?: CommonOptions
  ): Layer.Layer<ServiceBusAdministration, ConnectionStringError | InvalidOptionError>
  (
    connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
    options?: Configured<CommonOptions>
  ): Layer.Layer<ServiceBusAdministration, Config.ConfigError | ConnectionStringError | InvalidOptionError>
} = layerOfString

// Overloads of a function are checked against its body together, those of a constant each alone.
function layerOfString(
  connectionString: Redacted.Redacted<string>,
  options?: CommonOptions
): Layer.Layer<ServiceBusAdministration, ConnectionStringError | InvalidOptionError>
function layerOfString(
  connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
  options?: Configured<CommonOptions>
): Layer.Layer<ServiceBusAdministration, Config.ConfigError | ConnectionStringError | InvalidOptionError>
function layerOfString(
  connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
  options?: Configured<CommonOptions>
): Layer.Layer<ServiceBusAdministration, Config.ConfigError | ConnectionStringError | InvalidOptionError> {
  return Layer.effect(ServiceBusAdministration, withFetch(ofString(connectionString, options)))
}

const namespaceNames = ["SERVICE_BUS_NAMESPACE", "SERVICEBUS_FQDN"] as const

/**
 * The layer of an administration client from the environment, by the names that `ServiceBusClient.layerEnv` reads:
 * `SERVICE_BUS_CONNECTION_STR`, or else a namespace in `SERVICE_BUS_NAMESPACE` or `SERVICEBUS_FQDN` with the `credential` of
 * the options.
 *
 * Fails with ConfigError where none of them is set, with InvalidOptionError where there is a namespace and no credential, and
 * otherwise as `layerConnectionString` and `layer` do.
 *
 * @example
 * ```ts
 * import { DefaultAzureCredential } from "@azure/identity"
 * import { ServiceBusAdministration, ServiceBusCredential } from "effect-service-bus"
 *
 * export const Live = ServiceBusAdministration.layerEnv({
 *   credential: ServiceBusCredential.identity(new DefaultAzureCredential())
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerEnv = (
  options?: Configured<EnvOptions>
): Layer.Layer<ServiceBusAdministration, Config.ConfigError | ConnectionStringError | InvalidOptionError> =>
  Layer.effect(
    ServiceBusAdministration,
    withFetch(Effect.gen(function*() {
      const { credential, ...values } = yield* ConfiguredOptions.read<EnvOptions>(options)
      const connectionString = yield* Config.option(ConnectionString.config())
      if (Option.isSome(connectionString)) return yield* ofString(connectionString.value, values)
      for (const name of namespaceNames) {
        const namespace = yield* Config.option(Config.NonEmptyString(name))
        if (Option.isNone(namespace)) continue
        if (credential === undefined) {
          return yield* new InvalidOptionError({
            option: "credential",
            expected: `what ServiceBusCredential makes: the environment has ${name} and no SERVICE_BUS_CONNECTION_STR`
          })
        }
        return yield* ofName({ ...values, fullyQualifiedNamespace: namespace.value, credential })
      }
      return yield* ofString(ConnectionString.config(), values)
    }))
  )

/**
 * The layer of an administration client over another HTTP client than `fetch`: one that goes through a proxy, or trusts an
 * authority of its own. **Unstable**: Effect's `HttpClient` is not stable yet, and a minor version may change it.
 *
 * The connection string or the options are those of `layerConnectionString` and `layer`, and so are the errors. Give it a client
 * that follows no redirections, as in the example: one that does takes tokens to where the answer says. An answer of another host
 * is ServiceBusError.
 *
 * @example
 * ```ts
 * import { Config, Layer } from "effect"
 * import { ServiceBusAdministration } from "effect-service-bus"
 * import { FetchHttpClient } from "effect/http"
 *
 * export const Live = ServiceBusAdministration.layerHttpClient(Config.Redacted("SERVICE_BUS_CONNECTION_STR")).pipe(
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provide(Layer.succeed(FetchHttpClient.RequestInit, { redirect: "manual" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttpClient: {
  (
    connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
    options?: Configured<CommonOptions>
  ): Layer.Layer<
    ServiceBusAdministration,
    Config.ConfigError | ConnectionStringError | InvalidOptionError,
    HttpClient.HttpClient
  >
  (options: Options): Layer.Layer<ServiceBusAdministration, InvalidOptionError, HttpClient.HttpClient>
} = layerOfClient

function layerOfClient(
  connectionString: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>>,
  options?: Configured<CommonOptions>
): Layer.Layer<
  ServiceBusAdministration,
  Config.ConfigError | ConnectionStringError | InvalidOptionError,
  HttpClient.HttpClient
>
function layerOfClient(
  options: Options
): Layer.Layer<ServiceBusAdministration, InvalidOptionError, HttpClient.HttpClient>
function layerOfClient(
  first: Redacted.Redacted<string> | Config.Config<Redacted.Redacted<string>> | Options,
  options?: Configured<CommonOptions>
): Layer.Layer<
  ServiceBusAdministration,
  Config.ConfigError | ConnectionStringError | InvalidOptionError,
  HttpClient.HttpClient
> {
  const isOptions = typeof first === "object" && first !== null && "fullyQualifiedNamespace" in first
  return Layer.effect(ServiceBusAdministration, isOptions ? ofName(first) : ofString(first, options))
}
