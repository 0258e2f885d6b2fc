/** What the suites of the client share: the two ways to a broker, entities, and small observations. */
import {
  type ServiceBusAdministration,
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusEntity,
  type ServiceBusError,
  type ServiceBusProcessor
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import type { DataPlane } from "../../src/internal/amqp/engine/DataPlane.ts"
import type { RheaLink } from "../../src/internal/amqp/engine/rhea.ts"
import type { Link } from "../../src/internal/amqp/Link.ts"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import * as SenderState from "../../src/internal/sender/SenderState.ts"
import * as DataFile from "./dataFile.ts"
import { recorded } from "./eventRecorder.ts"
import { assert, it } from "./vitest.ts"

export type Services =
  | ServiceBusClient.ServiceBusClient
  | ServiceBusAdministration.ServiceBusAdministration
  | Emulator.Emulator

/** A broker, and a client of it with options. */
export type LayerFor = (
  options: Emulator.Options,
  client?: ServiceBusClient.CommonOptions
) => Layer.Layer<Services, ServiceBusError.EmulatorError>

export type Name = "in memory" | "over TCP" | "over TLS" | "over WebSocket"

/** As strict with what is idle as the service is: in memory the broker is not by itself. */
export const inMemory: LayerFor = (options, client) =>
  Emulator.layer({ idle: { link: "10 minutes", connection: "5 minutes" }, ...options, client })

const clients = (...over: Parameters<typeof Emulator.layerClientOver>) =>
  Layer.merge(Emulator.layerClientOver(...over), Emulator.layerAdministration)

export const overTcp: LayerFor = (options, client) =>
  clients("tcp", client).pipe(Layer.provideMerge(Emulator.layerServer(options)))

const overTls: LayerFor = (options, client) =>
  clients("tls", client).pipe(Layer.provideMerge(Emulator.layerServer({ ...options, tlsPort: 0 })))

const overWebSocket: LayerFor = (options, client) =>
  clients("webSocket", client).pipe(Layer.provideMerge(Emulator.layerServer({ ...options, webSocketPort: 0 })))

/** Each broker with a file of its own, which is gone with it. */
const onFile = (layerFor: LayerFor): LayerFor => (options, client) =>
  options.data !== undefined
    ? layerFor(options, client)
    : Layer.unwrap(Effect.map(DataFile.file, (data) => layerFor({ ...options, data }, client)))

/**
 * Runs a suite in memory and over TCP; with `TRANSPORTS=all` in the environment over TLS and WebSocket instead, and with
 * `STORE=file` with a broker that keeps in a file what it holds.
 */
export const both = (suite: (name: Name, layerFor: LayerFor) => unknown): void => {
  if (process.env["STORE"] === "file") {
    suite("in memory", onFile(inMemory))
    suite("over TCP", onFile(overTcp))
    return
  }
  if (process.env["TRANSPORTS"] === "all") {
    suite("over TLS", overTls)
    suite("over WebSocket", overWebSocket)
    return
  }
  suite("in memory", inMemory)
  suite("over TCP", overTcp)
}

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })
export const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Order) })
export const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
/** `texts` again, by the bytes of its bodies. */
export const TextBytes = ServiceBusEntity.queue("texts", { body: ServiceBusBody.bytes })
/** `orders` again, by the bytes of its bodies. */
export const OrderBytes = ServiceBusEntity.queue("orders", { body: ServiceBusBody.bytes })
/** `orders` again, by the text of its bodies. */
export const OrderTexts = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })

/** A client that tries nothing again: for what a failure looks like. */
export const once = { client: { retry: { maxRetries: 0 } } } as const

type Body<E> = (name: string, effect: () => Effect.Effect<void, E, Services | Scope.Scope>, options?: {
  readonly texts?: Emulator.EntityOptions
  readonly orders?: Emulator.EntityOptions
  readonly policies?: ReadonlyArray<Emulator.Policy>
  readonly client?: ServiceBusClient.CommonOptions
  readonly timeout?: number
}) => void

interface Tests {
  /** A test of both variants: under TestClock in memory, live over TCP. */
  readonly test: Body<unknown>
  /** A test that needs more time than a live clock should give: in memory only. */
  readonly clock: Body<unknown>
}

/** The broker of each test has the queues `orders` and `texts`, and is gone before the test's own scope closes. */
export const testsOf = (name: Name, layerFor: LayerFor): Tests => testsWith(name, layerFor, [])

/** The same, with more entities. */
export const testsWith = (name: Name, layerFor: LayerFor, entities: ReadonlyArray<Emulator.Entity>): Tests => {
  const test: Body<unknown> = (title, effect, options) =>
    (name === "in memory" ? it.effect : it.live)(title, () =>
      Effect.suspend(effect).pipe(
        Effect.scoped,
        Effect.provide(layerFor({
          entities: [Emulator.entity(Orders, options?.orders), Emulator.entity(Texts, options?.texts), ...entities],
          ...(options?.policies === undefined ? {} : { policies: options.policies })
        }, options?.client)),
        // What is logged is expected, and there for a test that cares for it.
        recorded
      ), options?.timeout)
  return { test, clock: name === "in memory" ? test : () => {} }
}

/** The error of an effect, checked by its tag. */
export const failsWith = <const T extends ServiceBusError.Any["_tag"]>(tag: T) =>
<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<Extract<ServiceBusError.Any, { readonly _tag: T }>, never, R> =>
  Effect.map(Effect.exit(effect), (exit) => {
    if (Exit.isSuccess(exit)) assert.fail(`it succeeded with ${String(exit.value)}, expected ${tag}`)
    const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error as
      | ServiceBusError.Any
      | undefined
    assert.strictEqual(error?._tag, tag, String(exit.cause))
    return error as Extract<ServiceBusError.Any, { readonly _tag: T }>
  })

/** The link of now under a receiver, or under a sender, whose link is private. */
export const linkOf = (holder: object): Link =>
  (SenderState.find(holder)?.link.current() ?? ReceiverState.stateOf(holder).link).link

/** The data plane under it. */
export const wireOf = (holder: object): { readonly plane: DataPlane; readonly rhea: RheaLink } => {
  const { connection, rhea } = linkOf(holder)
  return { plane: connection.plane, rhea }
}

/** How many deliveries a sender has put on the wire. */
export const deliveriesOf = (sender: object): number => wireOf(sender).rhea.session.outgoing.next_delivery_id

/** Waits until something holds, in turns of the event loop; a test's own time-out ends what never does. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    while (!(yield* condition)) {
      yield* Effect.callback<void>((resume) => {
        const handle = setImmediate(() => resume(Effect.void))
        return Effect.sync(() => clearImmediate(handle))
      })
    }
  })

/** Waits until the counts of a processor are so. */
export const reached = (
  processor: ServiceBusProcessor.Processor,
  predicate: (counts: ServiceBusProcessor.Counts) => boolean
): Effect.Effect<void> => until(Effect.map(processor.counts, predicate))

/** Waits until something holds, in turns of the Scheduler: seen before the next hop of the wire. */
export const soon = (condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (!condition()) yield* Effect.yieldNow
  })

/** Starts an effect and waits until it is suspended in its first wait. */
export const start = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> =>
  Effect.forkChild(effect, { startImmediately: true })

/** Runs an effect while time passes, where time is virtual: in steps, each once nothing is on its way any more. */
export const passing = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  step: Duration.Input = 100
): Effect.Effect<A, E, R | Emulator.Emulator> =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const fiber = yield* start(effect)
    const isVirtual = "adjust" in (yield* Clock.Clock)
    yield* until(Effect.suspend(() =>
      fiber.pollUnsafe() !== undefined
        ? Effect.succeed(true)
        : isVirtual
        ? emulator.idle.pipe(Effect.andThen(TestClock.adjust(step)), Effect.as(false))
        : Effect.succeed(false)
    ))
    return yield* Fiber.join(fiber)
  })

/** `n` texts. */
export const texts = (n: number, from = 0): ReadonlyArray<{ readonly body: string; readonly messageId: string }> =>
  Array.from({ length: n }, (_, i) => ({ body: `body ${from + i}`, messageId: String(from + i) }))

export const idsOf = (messages: ReadonlyArray<{ readonly messageId: string }>): ReadonlyArray<string> =>
  messages.map(({ messageId }) => messageId)
