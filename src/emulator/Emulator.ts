/**
 * The embedded broker: Service Bus in this process, for tests and for running without Azure. It speaks the real protocol
 * (AMQP 1.0 with claims and management), in memory under the client's own code, or on a TCP port for any SDK.
 *
 * Its time is Effect's Clock, so that TestClock drives locks, renewals and expiry. What it holds is gone with its scope.
 * Loopback only, unless told otherwise; SAS tokens are checked for real against a random key.
 *
 * One file because it is one entry of the package, with all that a program names; most of its lines are their docstrings.
 *
 * @module emulator
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import { hostname } from "node:os"
import * as ConnectionString from "../ConnectionString.ts"
import * as Dispatcher from "../internal/amqp/engine/Dispatcher.ts"
import type { Socket } from "../internal/amqp/transport/Socket.ts"
import * as Transport from "../internal/amqp/transport/Transport.ts"
import * as ServiceBusAdministration from "../ServiceBusAdministration.ts"
import * as ServiceBusClient from "../ServiceBusClient.ts"
import * as ServiceBusCredential from "../ServiceBusCredential.ts"
import type * as ServiceBusEntity from "../ServiceBusEntity.ts"
import { EmulatorError } from "../ServiceBusError.ts"
import * as Admission from "./amqp/Admission.ts"
import { AmqpServer } from "./amqp/AmqpServer.ts"
import * as IdleDetach from "./amqp/IdleDetach.ts"
import * as Listener from "./amqp/Listener.ts"
import * as MemorySocket from "./amqp/MemorySocket.ts"
import type { IdleLimits } from "./amqp/ServedConnection.ts"
import { fireAll } from "./amqp/Timeout.ts"
import type * as Broker from "./broker/Broker.ts"
import * as DeadlineTimer from "./broker/DeadlineTimer.ts"
import type { Entity } from "./broker/DeclaredEntity.ts"
import { ManualClock } from "./broker/ManualClock.ts"
import * as BrokerMetrics from "./BrokerMetrics.ts"
import * as ControlMiddleware from "./control/ControlMiddleware.ts"
import * as Controls from "./Controls.ts"
import { CountHistory } from "./CountHistory.ts"
import { cut, type HttpAnswer, type HttpRequest } from "./http/HttpMessage.ts"
import * as HttpServer from "./http/HttpServer.ts"
import * as ManagementApi from "./http/ManagementApi.ts"
import * as MemoryHttpClient from "./http/MemoryHttpClient.ts"
import { TokenEndpoint } from "./http/TokenEndpoint.ts"
import * as Namespace from "./Namespace.ts"
import * as Namespaces from "./Namespaces.ts"
import * as PageMiddleware from "./page/PageMiddleware.ts"
import * as Policies from "./Policies.ts"
import type { Policy } from "./Policies.ts"
import * as Certificate from "./security/Certificate.ts"
import * as Identity from "./security/Identity.ts"
import type { IdentityOptions, Role, RoleOptions, RoleTarget } from "./security/Identity.ts"
import { IdentityProvider } from "./security/IdentityProvider.ts"
import type * as DumpState from "./state/Dump.ts"
import * as NamespaceRow from "./store/NamespaceRow.ts"
import * as SqliteStore from "./store/SqliteStore.ts"

export type { Entity }

/**
 * What is in a namespace, as one JSON value: its entities with their settings and rules, and every message in them. `dump` of the
 * controls makes it, and `load` takes it.
 *
 * @interface
 * @category models
 * @since 0.1.0
 */
export type Dump = DumpState.Dump

/**
 * The options of a queue of the broker.
 *
 * @interface
 * @category models
 * @since 0.1.0
 */
export type EntityOptions = Broker.EntityOptions

/**
 * The options of a topic of the broker.
 *
 * @interface
 * @category models
 * @since 0.1.0
 */
export type TopicOptions = Broker.TopicOptions

/**
 * The options of a subscription of the broker.
 *
 * @interface
 * @category models
 * @since 0.1.0
 */
export type SubscriptionOptions = Broker.SubscriptionOptions

/**
 * What an entity of the broker lets through. A queue that is `SendDisabled` takes no messages, one that is `ReceiveDisabled`
 * gives none, and `Disabled` is both. A topic is `Active`, `Disabled` or `SendDisabled`, a subscription `Active`, `Disabled` or
 * `ReceiveDisabled`: what is sent to its topic goes into it all the same.
 *
 * @category models
 * @since 0.1.0
 */
export type EntityStatus = Broker.EntityStatus

/**
 * Where an entity of the broker forwards to: a queue or a topic, as its contract or by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type ForwardTarget = Broker.ForwardTarget

/**
 * Declares a queue, a topic or a subscription of the broker from its contract; a plain name is a queue. One whose
 * contract has sessions requires them, and options do not say otherwise. A subscription gets a copy of every message of its
 * topic, which is declared beside it, or of those that its `rules` take.
 *
 * Names and options are checked when the broker starts, with EmulatorError: an entity forwards to one that is declared beside
 * it, and never in a circle.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
 *
 * export const entities = [
 *   Emulator.entity("orders", { lockDuration: "30 seconds", maxDeliveryCount: 3 }),
 *   Emulator.entity(News),
 *   Emulator.entity(ServiceBusEntity.subscription(News, "sport"))
 * ]
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const entity: {
  (
    contract: ServiceBusEntity.Topic<unknown, never> | ServiceBusEntity.SessionTopic<unknown, never>,
    options?: TopicOptions
  ): Entity
  <
    S extends Extract<ServiceBusEntity.Any, { readonly _tag: "Subscription" | "SessionSubscription" }>,
    const R extends boolean
  >(
    contract: S,
    options?: ServiceBusAdministration.SettingsOf<S, SubscriptionOptions, R>
  ): Entity
  <
    Q extends Extract<ServiceBusEntity.Any, { readonly _tag: "Queue" | "SessionQueue" }> | string,
    const R extends boolean
  >(
    contract: Q,
    options?: ServiceBusAdministration.SettingsOf<Q, EntityOptions, R>
  ): Entity
} = (
  contract: Exclude<ServiceBusEntity.Any, { readonly _tag: "SubQueue" }> | string,
  given: EntityOptions = {}
): Entity => {
  if (typeof contract === "string") return { name: contract, options: given }
  // Its name is refused when the broker starts.
  if (typeof contract !== "object" || contract === null) return { name: "", options: given }
  const hasSessions = contract._tag === "SessionQueue" || contract._tag === "SessionSubscription"
  const options = hasSessions ? { requiresSession: true, ...given } : given
  switch (contract._tag) {
    case "Queue":
    case "SessionQueue":
      return { name: contract.name, options, hasSessions }
    case "Topic":
    case "SessionTopic":
      return { kind: "topic", name: contract.name, options: given as TopicOptions }
    case "Subscription":
    case "SessionSubscription":
      return {
        kind: "subscription",
        topic: contract.topic,
        name: contract.name,
        options: options as SubscriptionOptions,
        hasSessions
      }
  }
}

/**
 * How a broker is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The entities that it starts with; what `entity` makes. */
  readonly entities: ReadonlyArray<Entity>
  /**
   * The key of the root policy `RootManageSharedAccessKey`: 1 to 256 characters without semicolons and control characters. A
   * random one by default: give one where clients are configured before the broker starts.
   */
  readonly key?: Redacted.Redacted<string> | undefined
  /**
   * By which time it goes: that of Effect's Clock by default (under TestClock, the test's), or one that stands still until
   * `advance` moves it on: locks, schedules, times to live, duplicate windows, idle entities and what is tried again later.
   * Tokens, handshakes, heartbeats and what clients wait for go by Effect's Clock all the same.
   */
  readonly clock?: "real" | "manual" | undefined
  /** What time it is at first by the manual clock; that of Effect's Clock by default. */
  readonly startAt?: DateTime.Utc | undefined
  /** Shared access policies beside `RootManageSharedAccessKey`, which has all rights; none by default. */
  readonly policies?: ReadonlyArray<Policy> | undefined
  /**
   * Identities that get tokens from the broker, as applications get theirs from Entra, and their roles; none by default. How
   * clients come to its token endpoint: docs/emulator.md, "Identities without Azure".
   */
  readonly identities?: ReadonlyArray<IdentityOptions> | undefined
  /**
   * What the broker ends when nothing happens: a link without traffic, and a connection without links. On ports it is the
   * service's 10 and 5 minutes by default; in memory it is nothing, so that a test may let a month pass at once. A duration
   * that is infinite ends nothing.
   */
  readonly idle?:
    | { readonly link?: Duration.Input | undefined; readonly connection?: Duration.Input | undefined }
    | undefined
  /**
   * How many connections are open at a time, 1 or more; 5,000 by default, as in Azure. One more is closed with
   * amqp:resource-limit-exceeded as soon as it has opened.
   */
  readonly maxConnections?: number | undefined
  /**
   * How many sockets are in a handshake at a time (TLS, WebSocket, SASL, open), 1 or more; 1,000 by default. One more is closed
   * without a word, and each has 5 seconds for AMQP.
   */
  readonly maxHandshakes?: number | undefined
  /**
   * `"any"`: a namespace comes by use, with the entities and policies that the broker starts with, for each name that a client
   * gives as the name of its key, or as the first label of its host. By default there are those that `createNamespace` makes.
   */
  readonly namespaces?: "any" | undefined
  /**
   * How long a namespace that came by use is kept without a connection and without a request over HTTP; 10 minutes by default.
   * One whose duration is infinite is kept as long as the broker.
   */
  readonly namespaceIdle?: Duration.Input | undefined
  /** How many namespaces there are at a time beside the default one, 1 or more; 10,000 by default. One more is refused. */
  readonly maxNamespaces?: number | undefined
  /**
   * The file that keeps what the broker holds, which is made where it is not there: with the same one the next broker goes on
   * where this one has ended, however that was (docs/persistence.md). By default all of it is gone with the broker. It needs
   * Node 22.13 or newer.
   */
  readonly data?: string | DataOptions | undefined
}

/**
 * Where and how a broker keeps what it holds.
 *
 * @category models
 * @since 0.1.0
 */
export interface DataOptions {
  /** The path of the file. */
  readonly file: string
  /**
   * `"normal"`, the default: what was accepted or settled outlives the end of the process, whatever ends it; a loss of power may
   * take what was committed last. `"full"`: that too, at the price of waiting for the disk with each commit.
   */
  readonly synchronous?: "normal" | "full" | undefined
}

/**
 * The broker's controls: what a test needs to see and to do without the client's knowledge.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const left = Effect.gen(function*() {
 *   const emulator = yield* Emulator.Emulator
 *   return yield* emulator.messages(Orders)
 * })
 * ```
 *
 * @category services
 * @since 0.1.0
 */
export class Emulator extends Context.Service<Emulator, Controls.Controls>()("effect-service-bus/Emulator") {}

export type { Controls, Counters, NamespaceOptions, NamespaceSummary, Runtime } from "./Controls.ts"
export type {
  BrokerError,
  Fault,
  FaultAction,
  FaultOperation,
  FaultStatus,
  FaultTarget,
  InjectedFault
} from "./Fault.ts"
export { FaultyNetwork, layerFaultyNetwork } from "./FaultyNetwork.ts"
export type { FaultyNetworkControls, FaultyNetworkOptions, NetworkConditions, NetworkLoss } from "./FaultyNetwork.ts"
export type { IdentityOptions, Policy, Role, RoleOptions, RoleTarget }

/** Whether a text can be the key of a policy. @internal */
export const isKey = Policies.isKey

interface Started {
  readonly server: AmqpServer
  readonly dispatcher: Dispatcher.Dispatcher
  readonly namespaces: Namespaces.Namespaces
  /** Answers a request over HTTP, of administration or for the controls. */
  readonly answer: (request: HttpRequest) => Effect.Effect<HttpAnswer>
  /** How many bytes the body of a request may have. */
  readonly limitOf: (head: HttpRequest) => number
  /** It listens, and has controls: requests are answered from now on. Fails where its data cannot be written. */
  readonly listens: (network: Controls.NetworkOf) => Effect.Effect<Controls.Controls, EmulatorError>
}

/** An option in milliseconds. */
const positive = (option: string, input: Duration.Input | undefined, otherwise: number) => {
  const duration = Duration.fromInput(input ?? otherwise)
  return duration._tag === "Some" && Duration.toMillis(duration.value) > 0
    ? Effect.succeed(Math.ceil(Duration.toMillis(duration.value)))
    : Effect.fail(new EmulatorError({ problem: `${option} must be a duration of more than 0` }))
}

/** Whether namespaces come by use. */
const isAny = (option: unknown) =>
  option === undefined || option === "any"
    ? Effect.succeed(option === "any")
    : Effect.fail(new EmulatorError({ problem: `namespaces must be "any", or be left out` }))

/** An option that is a number of things. */
const count = (option: string, value: number | undefined, otherwise: number) =>
  value === undefined
    ? Effect.succeed(otherwise)
    : Number.isSafeInteger(value) && value >= 1
    ? Effect.succeed(value)
    : Effect.fail(new EmulatorError({ problem: `${option} must be an integer of 1 or more` }))

/** Opens the file of the broker's data, if it is to have one, until the scope closes; options may be values of any kind. */
const storeOf = Effect.fnUntraced(function*(
  data: Options["data"],
  schedule: (task: () => void) => void
) {
  if (data === undefined) return undefined
  const { file, synchronous = "normal" } = typeof data === "object" && data !== null ? data : { file: data }
  if (synchronous !== "normal" && synchronous !== "full") {
    return yield* Effect.fail(new EmulatorError({ problem: `data.synchronous must be "normal" or "full"` }))
  }
  const clock = yield* Clock.Clock
  const fork = Effect.runForkWith(yield* Effect.context<never>())
  const report = (words: string, cause?: unknown) =>
    void fork(cause === undefined ? Effect.logInfo(words) : Effect.logError(words, Cause.die(cause)))
  const warn = (words: string) => void fork(Effect.logWarning(words))
  const scope = yield* Effect.scope
  const later = (task: () => void, millis: number) =>
    void fork(Effect.forkIn(Effect.andThen(Effect.sleep(millis), Effect.sync(task)), scope))
  return yield* Effect.acquireRelease(
    Effect.suspend(() =>
      Effect.fromResult(
        SqliteStore.SqliteStore.open({
          file,
          isSynchronous: synchronous === "full",
          schedule,
          later,
          now: () => clock.currentTimeMillisUnsafe(),
          report,
          warn
        })
      )
    ),
    (store) => Effect.sync(() => store.close())
  )
})

/** What a store has of the namespaces, the first one first; the key of that is the one that is given, or that it had. */
const storedOf = (
  store: SqliteStore.SqliteStore | undefined,
  given: Redacted.Redacted<string> | undefined,
  now: () => number
): Effect.Effect<
  { readonly key: Redacted.Redacted<string>; readonly stored: ReadonlyArray<SqliteStore.StoredNamespace> },
  EmulatorError
> =>
  Effect.try({
    try: () => {
      if (store === undefined) return { key: given ?? Namespace.randomKey(), stored: [] }
      const stored = store.namespaces()
      const had = stored[0] === undefined ? undefined : NamespaceRow.read(stored[0].content)
      const key = given ?? had?.key ?? Namespace.randomKey()
      const content = NamespaceRow.write({
        name: Namespace.firstName,
        isByUse: false,
        createdAt: had === undefined ? now() : had.createdAt,
        // One that is given is the program's to keep.
        key: given === undefined ? key : undefined,
        policies: undefined,
        entities: undefined
      })
      if (stored[0] === undefined) return { key, stored: [{ content, store: store.addNamespace(content) }] }
      if (stored[0].content !== content) stored[0].store.describe(content)
      return { key, stored }
    },
    catch: (cause) => new EmulatorError({ problem: `what was stored cannot be read (${String(cause)})`, cause })
  })

/** The clocks of namespaces, each that of one; options may be values of any kind. */
const clockOf = (
  { clock = "real", startAt }: Options,
  real: Clock.Clock
): Effect.Effect<() => Clock.Clock, EmulatorError> => {
  if (clock !== "real" && clock !== "manual") {
    return Effect.fail(new EmulatorError({ problem: "clock must be \"real\" or \"manual\"" }))
  }
  if (startAt === undefined) {
    return Effect.succeed(clock === "real" ? () => real : () => new ManualClock(real.currentTimeMillisUnsafe()))
  }
  const millis = DateTime.isDateTime(startAt) ? DateTime.toEpochMillis(startAt) : NaN
  return clock === "manual" && millis >= 0 && millis <= ManualClock.latest
    ? Effect.succeed(() => new ManualClock(millis))
    : Effect.fail(
      new EmulatorError({ problem: "startAt must be a DateTime from 1970 to 9999, beside clock: \"manual\"" })
    )
}

const start: (
  options: Options,
  host: string,
  idles: IdleLimits,
  keepsHistory: boolean
) => Effect.Effect<Started, EmulatorError, Scope.Scope> = Effect
  .fnUntraced(
    function*(options, host, idles, keepsHistory) {
      const clock = yield* Clock.Clock
      const dispatcher = yield* Dispatcher.get
      const given = options.key === undefined ? undefined : yield* Policies.keyOf("key", options.key)
      const policies = yield* Policies.policiesOf(options.policies ?? [])
      const deadlines = yield* DeadlineTimer.make(fireAll)
      const idle = {
        link: yield* positive("idle.link", options.idle?.link, idles.link),
        connection: yield* positive("idle.connection", options.idle?.connection, idles.connection)
      }
      const admission = new Admission.Admission({
        connections: yield* count("maxConnections", options.maxConnections, Admission.limits.connections),
        handshakes: yield* count("maxHandshakes", options.maxHandshakes, Admission.limits.handshakes)
      })
      const identities = new IdentityProvider(yield* Identity.readAll(options.identities ?? []))
      const tokens = new TokenEndpoint({ identities, clock, host })
      // It is given up after all that is kept in it.
      const store = yield* storeOf(options.data, dispatcher.schedule)
      const clocks = yield* clockOf(options, clock)
      const { key, stored } = yield* storedOf(store, given, () => clocks().currentTimeMillisUnsafe())
      const namespaces = yield* Namespaces.make({
        identities,
        content: { entities: options.entities, key, policies },
        host,
        isAny: yield* isAny(options.namespaces),
        idle: yield* positive("namespaceIdle", options.namespaceIdle, Namespaces.limits.idle),
        most: yield* count("maxNamespaces", options.maxNamespaces, Namespaces.limits.most),
        clockOf: clocks,
        serverClock: clock,
        deadlines,
        store,
        stored
      })
      const commit = store === undefined ? undefined : () => store.commit()
      const server = new AmqpServer({ dispatcher, clock, host, deadlines, idle, admission, commit }, namespaces)
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          server.dropAll()
        })
      )
      const control = yield* ControlMiddleware.make
      const page = yield* PageMiddleware.make
      const requests = new BrokerMetrics.HttpRequests()
      let controlsOf: ReturnType<typeof Controls.make> | undefined
      const history = keepsHistory
        ? new CountHistory({ namespaces: () => namespaces.list(), clock, deadlines })
        : undefined
      const answerFor = (namespace: Namespace.Namespace, request: HttpRequest) =>
        control(request, {
          controls: controlsOf!(namespace),
          namespace,
          history,
          now: () => clock.currentTimeMillisUnsafe()
        }) ?? namespace.management.answer(request)
      return {
        server,
        dispatcher,
        namespaces,
        answer: (request) =>
          Effect.map(
            controlsOf === undefined
              ? Effect.succeed(ManagementApi.unhealthy)
              : tokens.answer(request) ?? page(request) ??
                kept(
                  store,
                  namespaces.answer(request, answerFor, ControlMiddleware.refuse),
                  () => notKept(request, host, clock.currentTimeMillisUnsafe())
                ),
            (answer) => {
              if (answer !== cut) requests.add(request.method, answer.status)
              return answer
            }
          ),
        limitOf: (head) =>
          ControlMiddleware.limitOf(
            head,
            () => Result.getOrUndefined(namespaces.of(head)),
            clock.currentTimeMillisUnsafe()
          ),
        listens: (network) =>
          Effect.suspend(() => Effect.fromResult(store?.serve() ?? Result.void)).pipe(Effect.map(() => {
            controlsOf = Controls.make({ commit, dispatcher, namespaces, network, requests })
            return controlsOf(namespaces.first)
          }))
      }
    }
  )

/** Answers once what the request has changed is kept; where it cannot be, that is the answer. */
const kept = (
  store: SqliteStore.SqliteStore | undefined,
  answer: Effect.Effect<HttpAnswer>,
  otherwise: () => HttpAnswer
): Effect.Effect<HttpAnswer> =>
  store === undefined ? answer : Effect.map(answer, (given) => store.commit() ? given : otherwise())

const notKept = (request: HttpRequest, host: string, now: number): HttpAnswer => {
  const answer = ControlMiddleware.notKept(request) ?? ManagementApi.notKept(request, host, now)
  return { ...answer, headers: { ...answer.headers, "retry-after": "5" } }
}

/** What clients of a namespace connect with: they tell it by the name of the key. */
const connectionStringOf = ({ isFirst, key, name }: Namespace.Namespace, host: string, port: number | undefined) =>
  ConnectionString.format({
    host,
    port,
    credential: ServiceBusCredential.sharedKey({ name: isFirst ? Namespace.rootPolicy : name, key }),
    entityPath: undefined,
    useDevelopmentEmulator: true
  })

/**
 * Whether a host means any address of this machine, however it is spelt: 0.0.0.0, ::, or the first within the second.
 * @internal
 */
export const isAnyAddress = (host: string): boolean =>
  net.isIPv6(host) && URL.canParse(`http://[${host}]`)
    ? /^\[::(ffff:0:0)?\]$/.test(new URL(`http://[${host}]`).hostname)
    : /^[0.]+$/.test(host)

/** What clients of this machine dial: an address that means any of them cannot be dialled everywhere. */
const dialled = (host: string): string => isAnyAddress(host) ? "localhost" : host

/** A connection string of a broker that listens, for its port of AMQP over TLS, or over WebSocket and TLS. @internal */
export const overTls = (connectionString: Redacted.Redacted<string>, port: number): Redacted.Redacted<string> =>
  Result.match(ConnectionString.parseResult(connectionString), {
    onSuccess: (parsed) => ConnectionString.format({ ...parsed, useDevelopmentEmulator: false, port }),
    // The string is our own.
    onFailure: () => connectionString
  })

const memoryHost = "emulator.localhost"

/**
 * How a broker in memory is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface MemoryOptions extends Options {
  /** Options of its client. */
  readonly client?: ServiceBusClient.CommonOptions | undefined
}

/**
 * A broker in memory, its controls, and a client and an administration client that are connected to it.
 *
 * Fails with EmulatorError where an entity or an option is not usable.
 *
 * Its clock is Effect's: under TestClock, locks, schedules and times to live pass when the test says so. When the layer is
 * released, what it holds is gone.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const program = Effect.gen(function*() {
 *   const sender = yield* ServiceBusSender.make(Orders)
 *   yield* sender.send({ body: "one" })
 * }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Orders)] })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MemoryOptions
): Layer.Layer<
  ServiceBusClient.ServiceBusClient | ServiceBusAdministration.ServiceBusAdministration | Emulator,
  EmulatorError
> =>
  Layer.effectContext(Controls.usable(
    "the broker's options",
    Effect.gen(function*() {
      const dispatcher = yield* Dispatcher.make
      const started = yield* Effect.provideService(
        start(options, memoryHost, IdleDetach.never, false),
        Dispatcher.Shared,
        dispatcher
      )
      const connectionString = connectionStringOf(started.namespaces.first, memoryHost, undefined)
      let isUp = true
      const network = yield* MemorySocket.Network
      const transport = network(MemorySocket.transport(dispatcher, (socket) => {
        if (isUp) started.server.accept(socket)
        return isUp
      }))
      const reached = Layer.merge(
        Layer.succeed(Transport.Transport, transport),
        Layer.succeed(Dispatcher.Shared, dispatcher)
      )
      const httpNetwork = yield* MemoryHttpClient.Network
      const httpClient = httpNetwork(
        MemoryHttpClient.make(started.answer, () => isUp)
      )
      const { administration, client } = yield* Effect.gen(function*() {
        const parsed = yield* ConnectionString.parse(connectionString)
        const { operationTimeout, retry, userAgentSuffix } = options.client ?? {}
        return {
          client: yield* ServiceBusClient.fromConnectionString(parsed, options.client),
          administration: yield* ServiceBusAdministration.ofConnectionString(
            httpClient,
            { operationTimeout, retry, userAgentSuffix },
            parsed
          )
        }
      }).pipe(
        Effect.provideService(Dispatcher.Shared, dispatcher),
        Effect.provideService(Transport.Transport, transport),
        // The string is our own.
        Effect.catchTag("ConnectionStringError", Effect.die),
        Effect.catchTag(
          "InvalidOptionError",
          (error) => Effect.fail(new EmulatorError({ problem: error.message, cause: error }))
        )
      )
      const controls = yield* started.listens((namespace) => ({
        port: 0,
        tlsPort: 0,
        webSocketPort: 0,
        httpPort: 0,
        httpsPort: 0,
        certificate: undefined,
        connectionString: connectionStringOf(namespace, memoryHost, undefined),
        httpClient,
        reached,
        ...Controls.powerOf(namespace, {
          stop: Effect.sync(() => {
            isUp = false
            started.server.dropAll()
          }),
          start: Effect.sync(() => {
            isUp = true
          })
        })
      }))
      return Context.make(ServiceBusClient.ServiceBusClient, client).pipe(
        Context.add(ServiceBusAdministration.ServiceBusAdministration, administration),
        Context.add(Emulator, controls)
      )
    })
  ))

/**
 * How a broker listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServerOptions extends Options {
  /** The port for AMQP without TLS. 0 by default: any free port; `Emulator.port` tells which. */
  readonly port?: number | undefined
  /** A port for AMQP over TLS; none by default, 0 for any free one. */
  readonly tlsPort?: number | undefined
  /** A port for AMQP over WebSocket and TLS; none by default, 0 for any free one. */
  readonly webSocketPort?: number | undefined
  /** One more port for administration over HTTP; none by default, 0 for any free one. */
  readonly httpPort?: number | undefined
  /** A port for administration over HTTPS; none by default, 0 for any free one. */
  readonly httpsPort?: number | undefined
  /**
   * Certificate and key in PEM for the ports with TLS. By default the broker signs one itself, for localhost, this machine's
   * name, host.docker.internal, `host`, and names that look like the service's; `Emulator.certificate` gives it to clients.
   */
  readonly certificate?: { readonly cert: string; readonly key: string } | undefined
  /**
   * 127.0.0.1 by default. Anything but loopback is reachable from elsewhere; for an address that means all of this machine's
   * (0.0.0.0, ::) the connection string names localhost.
   */
  readonly host?: string | undefined
}

/**
 * A broker that listens on TCP ports, and its controls: without TLS for any client that knows
 * `UseDevelopmentEmulator=true`, and over TLS and WebSocket where ports are given for them.
 *
 * Fails with EmulatorError where a port is taken, or an entity or option is not usable.
 *
 * Ports are closed and connections cut when the layer is released.
 *
 * @example
 * ```ts
 * import { Effect, Redacted } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * // Prints what another program connects with, and listens until it is interrupted.
 * export const program = Effect.gen(function*() {
 *   const { connectionString } = yield* Emulator.Emulator
 *   yield* Effect.log(Redacted.value(connectionString))
 *   yield* Effect.never
 * }).pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity("orders")], port: 5672 })))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerServer = (options: ServerOptions): Layer.Layer<Emulator, EmulatorError> =>
  Layer.effect(
    Emulator,
    Controls.usable(
      "the broker's options",
      Effect.gen(function*() {
        const host = options.host ?? "127.0.0.1"
        const started = yield* start(options, host, IdleDetach.limits, true)
        const accept = (socket: Socket) => {
          started.server.accept(socket)
        }
        const isSecure = [options.tlsPort, options.webSocketPort, options.httpsPort].some((port) => port !== undefined)
        const certificate = !isSecure
          ? undefined
          : options.certificate ?? Certificate.selfSigned([host, hostname()])
        if (certificate !== undefined) yield* Certificate.check(certificate)
        const { answer, limitOf } = started
        const { serve } = yield* HttpServer.make({ accept, answer, limitOf })
        const { admission, clock, deadlines } = started.server.options
        const listeners: Array<Listener.Listener> = []
        const listen = Effect.fnUntraced(function*(port: number, isSecure: boolean) {
          const listener = yield* Listener.make({
            host,
            port,
            isSecure,
            certificate,
            accept,
            serve,
            admission,
            clock,
            deadlines
          })
          listeners.push(listener)
          return listener.port
        })
        const listenOn = (port: number | undefined, isSecure: boolean) =>
          port === undefined ? Effect.succeed(0) : listen(port, isSecure)
        const port = yield* listen(options.port ?? 0, false)
        const tlsPort = yield* listenOn(options.tlsPort, true)
        const webSocketPort = yield* listenOn(options.webSocketPort, true)
        const httpPort = yield* listenOn(options.httpPort, false)
        const httpsPort = yield* listenOn(options.httpsPort, true)
        return yield* started.listens((namespace) => ({
          port,
          tlsPort,
          webSocketPort,
          httpPort,
          httpsPort,
          certificate: certificate?.cert,
          connectionString: connectionStringOf(namespace, dialled(host), port),
          // Who asks in this process needs no port.
          httpClient: MemoryHttpClient.make(answer, () => true),
          reached: undefined,
          ...Controls.powerOf(namespace, {
            stop: Effect.forEach(listeners, (listener) => listener.stop, { discard: true }),
            start: Effect.forEach(listeners, (listener) => listener.start, { discard: true })
          })
        }))
      })
    )
  )

/** A client of the namespace of these controls. */
const clientOf = (
  { connectionString, reached }: Controls.Controls,
  options: ServiceBusClient.CommonOptions
): Layer.Layer<ServiceBusClient.ServiceBusClient> => {
  // It may listen on an address that others reach too; it is in this program all the same.
  const given = { ...options, allowPlainTcp: true }
  const layer = Layer.orDie(ServiceBusClient.layerConnectionString(connectionString, given))
  return reached === undefined ? layer : Layer.provide(layer, reached)
}

/** An administration client of the same. */
const administrationOf = (
  { connectionString, httpClient, reached }: Controls.Controls
): Layer.Layer<ServiceBusAdministration.ServiceBusAdministration> =>
  Layer.orDie(
    reached === undefined
      ? ServiceBusAdministration.layerConnectionString(connectionString, { allowPlainTcp: true })
      : Layer.provide(
        ServiceBusAdministration.layerHttpClient(connectionString),
        Layer.succeed(HttpClient.HttpClient, httpClient)
      )
  )

/**
 * A client of a broker that listens, over plain TCP; of one in memory, a further one.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * export const Test = Emulator.layerClient.pipe(
 *   Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity("orders")] }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerClient: Layer.Layer<ServiceBusClient.ServiceBusClient, never, Emulator> = /* @__PURE__ */ Layer
  .unwrap(
    // Marked for bundlers: a program that does not use it is rid of the client.
    /* @__PURE__ */ Effect.map(Emulator, (controls) => clientOf(controls, {}))
  )

/**
 * An administration client of a broker that listens, over plain HTTP; of one in memory, without a socket.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * export const Test = Layer.mergeAll(Emulator.layerClient, Emulator.layerAdministration).pipe(
 *   Layer.provideMerge(Emulator.layerServer({ entities: [] }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerAdministration: Layer.Layer<
  ServiceBusAdministration.ServiceBusAdministration,
  never,
  Emulator
> = /* @__PURE__ */ Layer.unwrap(
  /* @__PURE__ */ Effect.map(
    Emulator,
    administrationOf
  )
)

/**
 * The metrics of a broker (docs/observability.md has their table), in the registry that `Metric.snapshot` and Effect's exporters
 * read where this layer is provided; what the program itself counts is in it too. Of a namespace's controls, as `layerNamespace`
 * gives them, they are those of the namespace.
 *
 * Nothing is counted for it: values are read when the registry is. It holds the broker, and nothing is left of it when its scope
 * closes.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import { FetchHttpClient } from "effect/http"
 * import { OtlpMetrics, OtlpSerialization } from "effect/observability"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * // Sends them to a collector every ten seconds.
 * const Export = OtlpMetrics.layer({ url: "http://localhost:4318/v1/metrics", resource: { serviceName: "broker" } }).pipe(
 *   Layer.provide(OtlpSerialization.layerJson),
 *   Layer.provide(FetchHttpClient.layer),
 *   Layer.provide(Emulator.layerMetrics)
 * )
 *
 * export const Server = Export.pipe(
 *   Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity("orders")], port: 5672 }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMetrics: Layer.Layer<never, never, Emulator> = /* @__PURE__ */ Layer.effectContext(
  /* @__PURE__ */ Effect.gen(function*() {
    const { observe } = yield* Emulator
    return Context.make(Metric.MetricRegistry, new BrokerMetrics.Registry(yield* Metric.MetricRegistry, observe))
  })
)

/**
 * How a namespace is made for a layer.
 *
 * @category models
 * @since 0.1.0
 */
export interface LayerNamespaceOptions extends Controls.NamespaceOptions {
  /** Options of its client. */
  readonly client?: ServiceBusClient.CommonOptions | undefined
}

/**
 * A namespace of a broker, its controls, and a client and an administration client that are connected to it: what `layer` is,
 * with a broker that others use too.
 *
 * Fails with EmulatorError where the namespace is there already, or an option is not usable.
 *
 * When the layer is released, what is in the namespace is gone, and its connections are closed.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * const Server = Emulator.layerServer({ entities: [Emulator.entity("orders")] })
 *
 * // Tests that use one of these each do not meet, though they have one broker.
 * export const TeamA = Emulator.layerNamespace({ name: "team-a" }).pipe(Layer.provide(Server))
 * export const TeamB = Emulator.layerNamespace({ name: "team-b" }).pipe(Layer.provide(Server))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNamespace = (
  options: LayerNamespaceOptions
): Layer.Layer<
  ServiceBusClient.ServiceBusClient | ServiceBusAdministration.ServiceBusAdministration | Emulator,
  EmulatorError,
  Emulator
> =>
  Layer.effectContext(Effect.gen(function*() {
    const emulator = yield* Emulator
    const controls = yield* Effect.acquireRelease(
      emulator.createNamespace(options),
      // It may have been removed before.
      () => Effect.ignore(emulator.removeNamespace(options.name))
    )
    const clients = Layer.merge(clientOf(controls, options.client ?? {}), administrationOf(controls))
    return Context.add(yield* Controls.usable("the client's options", Layer.build(clients)), Emulator, controls)
  }))

/**
 * A client of a broker that listens, over the transport of choice: `"tcp"`, `"tls"` or `"webSocket"`. It trusts the
 * broker's certificate.
 *
 * The broker must have a port for that transport (`tlsPort`, `webSocketPort`): without one it connects to nothing.
 *
 * @example
 * ```ts
 * import { Layer } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * export const Test = Emulator.layerClientOver("tls").pipe(
 *   Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity("orders")], tlsPort: 0 }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerClientOver = (
  transport: "tcp" | "tls" | "webSocket",
  options?: ServiceBusClient.CommonOptions
): Layer.Layer<ServiceBusClient.ServiceBusClient, never, Emulator> =>
  Layer.unwrap(Effect.map(Emulator, ({ certificate, connectionString, tlsPort, webSocketPort }) => {
    const port = transport === "tls" ? tlsPort : webSocketPort
    return Layer.orDie(ServiceBusClient.layerConnectionString(
      transport === "tcp" ? connectionString : overTls(connectionString, port),
      {
        ...options,
        ...(transport === "tcp" ? { allowPlainTcp: true } : { ca: certificate }),
        ...(transport === "webSocket" ? { transport: "amqpWebSockets" as const } : {})
      }
    ))
  }))

/**
 * The time of the broker, for messages that a test prepares: Effect's clock, under TestClock too.
 *
 * @example
 * ```ts
 * import { DateTime, Effect } from "effect"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * export const tomorrow = Effect.map(Emulator.now, DateTime.add({ days: 1 }))
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const now: Effect.Effect<DateTime.Utc> = DateTime.now
