/**
 * A network that is not good, between a client and its namespace: around the broker in memory, a broker on ports, or a real
 * namespace. It is put around the transport that a client would use, and knows nothing of what is sent over it but where frames
 * end.
 *
 * Its connections belong to the client that opened them. Random numbers come from a seed: the same program meets the same
 * network. What is administered over HTTP does not go through it.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Socket } from "../internal/amqp/transport/Socket.ts"
import * as Transport from "../internal/amqp/transport/Transport.ts"
import { problemOf } from "../ServiceBusBody.ts"
import { EmulatorError, ServiceBusCommunicationError } from "../ServiceBusError.ts"
import * as MemorySocket from "./amqp/MemorySocket.ts"
import { duration, millisOf } from "./Fault.ts"
import { FaultyWire, type Limit } from "./network/FaultyWire.ts"
import { type Direction, NetworkTimers, type Weather, type WireNetwork } from "./network/Wire.ts"
import { SeededRandom } from "./SeededRandom.ts"

/**
 * How a network is. Where nothing is said it is as good as the one beneath.
 *
 * @category models
 * @since 0.1.0
 */
export interface NetworkConditions {
  /** How long bytes take in each direction, and opening a connection; nothing by default. */
  readonly latency?: Duration.Input | undefined
  /** Added to the latency at random, from nothing up to this; nothing by default. Bytes keep their order. */
  readonly jitter?: Duration.Input | undefined
  /** How many bytes pass in a second, in each direction of each connection, 1 or more; without limit by default. */
  readonly bytesPerSecond?: number | undefined
  /** The most bytes that arrive together, 1 or more: in pieces of any size up to this. As they were written by default. */
  readonly chunk?: number | undefined
  /** Whether connections are refused, or with which probability from 0 to 1; `false` by default. */
  readonly refuse?: boolean | number | undefined
  /**
   * How connections that are opened from now on end: once exactly so many frames of AMQP, or bytes, have passed, of both
   * directions together. Two numbers are the least and the most: how many it is each connection draws. They live on by default.
   */
  readonly loss?: NetworkLoss | undefined
}

/**
 * When a connection is lost, and how: by a reset that the client is told of, or half-open, when nothing passes any more and
 * nobody is told. What is on its way is lost.
 *
 * @category models
 * @since 0.1.0
 */
export interface NetworkLoss {
  /** Frames, or bytes: 1 or more, or the least and the most of them. */
  readonly after:
    | { readonly frames: number | readonly [least: number, most: number] }
    | { readonly bytes: number | readonly [least: number, most: number] }
  /** `"reset"` by default. */
  readonly how?: "reset" | "halfOpen" | undefined
}

/**
 * How a bad network is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultyNetworkOptions extends NetworkConditions {
  /** Where its random numbers begin, an integer; 0 by default. */
  readonly seed?: number | undefined
}

/**
 * A bad network in the hand of a test.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultyNetworkControls {
  /**
   * Other conditions from now on, in place of those before; a `loss` is of the connections that are opened from then on. Fails
   * with EmulatorError where they are not usable.
   */
  readonly set: (conditions: NetworkConditions) => Effect.Effect<void, EmulatorError>
  /** Resets every connection: clients are told at once, and what is on its way is lost. Returns how many there were. */
  readonly reset: Effect.Effect<number>
  /** Leaves every connection half-open: the namespace's end is gone, and clients are not told. Returns how many there were. */
  readonly halfOpen: Effect.Effect<number>
  /**
   * Nothing passes `"up"` to the namespace, `"down"` from it, or in `"both"` directions, until the scope closes: then what was
   * held back comes, where its connection is still there.
   */
  readonly silence: (direction?: "up" | "down" | "both") => Effect.Effect<void, never, Scope.Scope>
  /** How many connections there are that their clients know of. */
  readonly connections: Effect.Effect<number>
}

/**
 * The network that a client of the same layers goes through, made by `layerFaultyNetwork`.
 *
 * @category services
 * @since 0.1.0
 */
export class FaultyNetwork extends Context.Service<FaultyNetwork, FaultyNetworkControls>()(
  "effect-service-bus/FaultyNetwork"
) {}

const isPositive = Schema.isGreaterThanOrEqualTo(1)

const range = Schema.Union([
  Schema.Int.check(isPositive),
  Schema.Tuple([Schema.Int.check(isPositive), Schema.Int.check(isPositive)]).check(
    Schema.makeFilter(([least, most]) => least <= most ? undefined : "Expected the least before the most")
  )
])

const schema = Schema.Struct({
  latency: Schema.optional(duration),
  jitter: Schema.optional(duration),
  bytesPerSecond: Schema.optional(Schema.Finite.check(isPositive)),
  chunk: Schema.optional(Schema.Int.check(isPositive)),
  refuse: Schema.optional(
    Schema.Union([
      Schema.Boolean,
      Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0), Schema.isLessThanOrEqualTo(1))
    ])
  ),
  loss: Schema.optional(Schema.Struct({
    after: Schema.Union([Schema.Struct({ frames: range }), Schema.Struct({ bytes: range })]),
    how: Schema.optional(Schema.Literals(["reset", "halfOpen"]))
  })),
  seed: Schema.optional(Schema.Int)
})

type Given = typeof schema.Type

/** Options may be anything; durations become what the schema knows. */
const read = (options: FaultyNetworkOptions): Effect.Effect<Given, EmulatorError> =>
  Effect.suspend(() => {
    const given: unknown = typeof options === "object" && options !== null
      ? {
        ...options,
        ...plain("latency", options.latency),
        ...plain("jitter", options.jitter)
      }
      : options
    return Effect.mapError(
      Schema.decodeUnknownEffect(schema)(given, { errors: "all", onExcessProperty: "error" }),
      (error) => new EmulatorError({ problem: `the network is not usable: ${problemOf(error)}` })
    )
  })

const plain = (name: string, value: unknown) =>
  value === undefined || typeof value === "string" ? {} : { [name]: millisOf(value) ?? String(value) }

/** The network. */
class Network implements WireNetwork {
  readonly wires = new Set<FaultyWire>()
  readonly clock: Clock.Clock
  readonly random: SeededRandom
  readonly timers: NetworkTimers
  weather: Weather = { latency: 0, jitter: 0, chunk: Infinity }
  private conditions: Given = {}
  /** How many scopes hold a direction. */
  private readonly holds = { up: 0, down: 0 }

  constructor(clock: Clock.Clock, timers: NetworkTimers, seed: number) {
    this.clock = clock
    this.timers = timers
    this.random = new SeededRandom(seed)
  }

  set(conditions: Given): void {
    this.conditions = conditions
    const { chunk, jitter, latency } = conditions
    this.weather = { latency: millisOf(latency ?? 0)!, jitter: millisOf(jitter ?? 0)!, chunk: chunk ?? Infinity }
  }

  after(millis: number, run: () => void): void {
    this.timers.after(millis, run)
  }

  pace(_direction: Direction, bytes: number): number {
    const { bytesPerSecond } = this.conditions
    return bytesPerSecond === undefined ? 0 : bytes / bytesPerSecond * 1000
  }

  hold(directions: ReadonlyArray<Direction>): void {
    for (const direction of directions) {
      this.holds[direction] += 1
      for (const wire of this.wires) wire.hold(direction)
    }
  }

  release(directions: ReadonlyArray<Direction>): void {
    for (const direction of directions) {
      this.holds[direction] -= 1
      if (this.holds[direction] > 0) continue
      for (const wire of [...this.wires]) wire.release(direction)
    }
  }

  private get isRefused(): boolean {
    const { refuse } = this.conditions
    return refuse === true || typeof refuse === "number" && refuse > 0 && this.random.chance(refuse)
  }

  private get limit(): Limit | undefined {
    const { loss } = this.conditions
    if (loss === undefined) return undefined
    const [unit, given] = "frames" in loss.after
      ? ["frames", loss.after.frames] as const
      : ["bytes", loss.after.bytes] as const
    const count = typeof given === "number" ? given : this.random.between(given[0], given[1])
    return { unit, count, end: loss.how ?? "reset" }
  }

  private wire(inner: Socket): FaultyWire {
    const wire = new FaultyWire(this, inner, this.limit, (ended) => this.wires.delete(ended))
    this.wires.add(wire)
    for (const direction of ["up", "down"] as const) if (this.holds[direction] > 0) wire.hold(direction)
    return wire
  }

  /** A socket as its client has it, until the scope closes. */
  private through(inner: Socket): Effect.Effect<Socket, never, Scope.Scope> {
    return Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => this.wire(inner)),
        // One that is half-open has heard nothing of its end.
        (wire) => Effect.sync(() => this.wires.delete(wire))
      ),
      (wire) => wire.socket()
    )
  }

  /** A transport through this network. Its connects can be interrupted, as those of the one beneath. */
  over(transport: Transport.Transport): Transport.Transport {
    return {
      connect: (endpoint) =>
        Effect.suspend(() => {
          const { jitter, latency } = this.weather
          const wait = latency + (jitter === 0 ? 0 : this.random.between(0, jitter))
          const connected = Effect.suspend(() =>
            this.isRefused
              ? Effect.fail(
                new ServiceBusCommunicationError({
                  operation: "connect",
                  description: `${endpoint.host} refuses: the network of the test does`
                })
              )
              : Effect.flatMap(transport.connect(endpoint), (inner) => this.through(inner))
          )
          return wait === 0 ? connected : Effect.delay(connected, wait)
        })
    }
  }
}

/**
 * A bad network: clients that are made with this layer beneath them go through it, whichever namespace they are of.
 *
 * Fails with EmulatorError where an option is not usable. When the layer is released nothing is delayed any more; its clients
 * have been closed by then. Latency and pace go by the clock that the layer was made with: under TestClock, the test's.
 *
 * @example
 * ```ts
 * import { Config, Effect, Layer } from "effect"
 * import { ServiceBusClient, ServiceBusSender } from "effect-service-bus"
 * import * as Emulator from "effect-service-bus/emulator"
 *
 * // Every connection is lost after 20 to 60 frames, the same ones in each run.
 * const Bad = Emulator.layerFaultyNetwork({ latency: "20 millis", loss: { after: { frames: [20, 60] } }, seed: 7 })
 *
 * // A real namespace, or `Emulator.layer`, or `Emulator.layerClient`.
 * const Live = ServiceBusClient.layerConnectionString(Config.Redacted("SERVICE_BUS_CONNECTION_STR"))
 *
 * export const program = Effect.gen(function*() {
 *   const network = yield* Emulator.FaultyNetwork
 *   const sender = yield* ServiceBusSender.make("orders")
 *   yield* sender.send({ body: Buffer.from("one") })
 *   yield* network.reset
 *   yield* sender.send({ body: Buffer.from("two") })
 * }).pipe(Effect.scoped, Effect.provide(Live.pipe(Layer.provideMerge(Bad))))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerFaultyNetwork = (
  options: FaultyNetworkOptions = {}
): Layer.Layer<FaultyNetwork, EmulatorError> =>
  Layer.effectContext(Effect.gen(function*() {
    const given = yield* read(options)
    const timers = new NetworkTimers(Effect.runForkWith(yield* Effect.context<never>()))
    const network = new Network(yield* Clock.Clock, timers, given.seed ?? 0)
    network.set(given)
    yield* Effect.addFinalizer(() => timers.end)
    const transport = yield* Transport.Transport
    const memory = yield* MemorySocket.Network
    const all = (end: (wire: FaultyWire) => void) =>
      Effect.sync(() => {
        const wires = [...network.wires]
        for (const wire of wires) end(wire)
        return wires.length
      })
    return Context.make(FaultyNetwork, {
      set: (conditions) => Effect.map(read(conditions), (read) => network.set(read)),
      reset: all((wire) => wire.reset()),
      halfOpen: all((wire) => wire.halfOpen()),
      silence: (direction = "both") => {
        const directions: ReadonlyArray<Direction> = direction === "both" ? ["up", "down"] : [direction]
        return Effect.acquireRelease(
          Effect.sync(() => network.hold(directions)),
          () => Effect.sync(() => network.release(directions))
        )
      },
      connections: Effect.sync(() => network.wires.size)
    }).pipe(
      Context.add(Transport.Transport, network.over(transport)),
      Context.add(MemorySocket.Network, (transport: Transport.Transport) => network.over(memory(transport)))
    )
  }))
