/**
 * A network between a client and the broker in memory, with everything that a real one does: latency, chunks of any size, silence
 * in either direction, resets, half-open connections, refusals. What passes is written down, frame by frame.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Wires from "../../src/emulator/network/Wire.ts"
import type { Socket } from "../../src/internal/amqp/transport/Socket.ts"
import type { Transport } from "../../src/internal/amqp/transport/Transport.ts"
import { ServiceBusCommunicationError } from "../../src/ServiceBusError.ts"
import { type Frame, Frames } from "./Frames.ts"
import type { History } from "./History.ts"
import type { Rng } from "./Rng.ts"

export type Direction = Wires.Direction

/** How the network is now. Times are milliseconds. */
export interface Weather extends Wires.Weather {
  latency: number
  jitter: number
  chunk: number
  /** How long each chunk takes the one that reads it, on the way down. */
  pace: number
  isRefusing: boolean
}

export const fair = (): Weather => ({ latency: 0, jitter: 0, chunk: Infinity, pace: 0, isRefusing: false })

/** A connection of the client, whose frames are written down. */
class Wire extends Wires.Wire {
  private readonly number: number
  private readonly sim: Network
  private readonly frames = { up: new Frames(), down: new Frames() }

  constructor(network: Network, number: number, inner: Socket) {
    super(network, inner)
    this.sim = network
    this.number = number
  }

  private trace(direction: Direction, bytes: Buffer): void {
    for (const frame of this.frames[direction].push(bytes)) this.sim.wire(this.number, direction, frame)
  }

  protected override writing(bytes: Buffer): void {
    this.trace("up", bytes)
    this.sim.frame(this.number, "up", bytes.length)
  }

  protected override arriving(bytes: Buffer): void {
    this.sim.frame(this.number, "down", bytes.length)
  }

  protected override giving(bytes: Buffer): void {
    this.trace("down", bytes)
  }

  protected override ended(): void {
    this.sim.wires.delete(this)
    this.sim.wire(this.number, "down", { performative: "over", channel: 0 })
  }
}

export class Network implements Wires.WireNetwork {
  readonly wires = new Set<Wire>()
  readonly clock: Clock.Clock
  readonly random: Rng
  weather: Weather = fair()
  private readonly history: History
  private readonly timers: Wires.NetworkTimers
  private count = 0
  private frames = 0
  private readonly watches = new Map<number, Array<() => void>>()
  private readonly held = new Set<Wire>()

  constructor(options: {
    readonly clock: Clock.Clock
    readonly rng: Rng
    readonly history: History
    readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  }) {
    this.clock = options.clock
    this.random = options.rng
    this.history = options.history
    this.timers = new Wires.NetworkTimers(options.fork)
  }

  /** Runs a function later; never once the network has ended. */
  after(millis: number, run: () => void): void {
    this.timers.after(millis, run)
  }

  get end(): Effect.Effect<void> {
    return this.timers.end
  }

  pace(direction: Direction): number {
    return direction === "down" ? this.weather.pace : 0
  }

  frame(connection: number, direction: Direction, bytes: number): void {
    this.history.add({ kind: "frame", connection, direction, bytes })
    const due = this.watches.get(++this.frames)
    if (due === undefined) return
    this.watches.delete(this.frames)
    for (const run of due) run()
  }

  wire(connection: number, direction: Direction, frame: Frame): void {
    this.history.add({ kind: "wire", connection, direction, ...frame })
  }

  /** Has a function called when so many chunks more have passed. */
  afterFrames(count: number, run: () => void): void {
    const at = this.frames + Math.max(1, count)
    this.watches.set(at, [...this.watches.get(at) ?? [], run])
  }

  hold(direction: Direction | "both"): void {
    for (const wire of this.wires) {
      this.held.add(wire)
      if (direction !== "down") wire.hold("up")
      if (direction !== "up") wire.hold("down")
    }
  }

  release(): void {
    for (const wire of this.held) {
      wire.release("up")
      wire.release("down")
    }
    this.held.clear()
  }

  /** Nothing is wrong any more. */
  heal(): void {
    this.watches.clear()
    this.weather = fair()
    this.release()
    for (const wire of this.wires) {
      wire.hurry()
    }
  }

  /** The transport of a client, through this network. */
  over(transport: Transport): Transport {
    return {
      connect: (endpoint) =>
        Effect.suspend(() => {
          const { isRefusing, jitter, latency } = this.weather
          const wait = latency + (jitter === 0 ? 0 : this.random.between(0, jitter))
          this.history.add({ kind: "dialled" })
          const dialled = Effect.suspend(() =>
            isRefusing
              ? Effect.fail(
                new ServiceBusCommunicationError({ operation: "connect", description: "the network refuses" })
              )
              : Effect.map(transport.connect(endpoint), (inner) => {
                const wire = new Wire(this, ++this.count, inner)
                this.wires.add(wire)
                return wire.socket()
              })
          )
          return wait === 0 ? dialled : Effect.andThen(Effect.sleep(wait), dialled)
        })
    }
  }
}
