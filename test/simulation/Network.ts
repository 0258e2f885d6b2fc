/**
 * A network between a client and the broker in memory, with everything that a real one does: latency, chunks of any size, silence
 * in either direction, resets, half-open connections, refusals. Bytes of one direction stay in order, as TCP keeps them: what is
 * held back comes later or, where the connection ends first, never.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { passing, type Socket } from "../../src/internal/amqp/transport/Socket.ts"
import type { Transport } from "../../src/internal/amqp/transport/Transport.ts"
import { ServiceBusCommunicationError } from "../../src/ServiceBusError.ts"
import { type Frame, Frames } from "./Frames.ts"
import type { History } from "./History.ts"
import type { Rng } from "./Rng.ts"

export type Direction = "up" | "down"

/** How the network is now. Times are milliseconds. */
export interface Weather {
  latency: number
  /** Added to the latency, at random from nothing up to this. */
  jitter: number
  /** The most bytes that arrive together; Infinity for as they were written. */
  chunk: number
  /** How long each chunk takes the one that reads it, on the way down. */
  pace: number
  isRefusing: boolean
}

export const fair = (): Weather => ({ latency: 0, jitter: 0, chunk: Infinity, pace: 0, isRefusing: false })

/** One direction of a connection: bytes that are on their way. */
class Pipe {
  private readonly queue: Array<{ due: number; readonly run: () => void }> = []
  private last = 0
  private isRunning = false
  isHeld = false
  private readonly network: Network

  constructor(network: Network) {
    this.network = network
  }

  push(run: () => void, pace = 0): void {
    const { clock, weather } = this.network
    const delay = weather.latency + (weather.jitter === 0 ? 0 : this.network.rng.between(0, weather.jitter))
    const now = clock.currentTimeMillisUnsafe()
    this.last = Math.max(this.last, now + delay) + pace
    this.queue.push({ due: this.last, run })
    this.pump()
  }

  pump(): void {
    if (this.isRunning || this.isHeld) return
    const now = this.network.clock.currentTimeMillisUnsafe()
    while (this.queue.length > 0 && !this.isHeld && this.queue[0]!.due <= now) this.queue.shift()!.run()
    if (this.queue.length === 0 || this.isHeld) return
    this.isRunning = true
    this.network.after(this.queue[0]!.due - now, () => {
      this.isRunning = false
      this.pump()
    })
  }

  /** What is on its way arrives now: a slow reader reads on. */
  hurry(): void {
    for (const each of this.queue) each.due = 0
    this.last = 0
    // A timer that waits for the first of them must not hold the others back.
    this.isRunning = false
    this.pump()
  }

  clear(): void {
    this.queue.length = 0
    this.isHeld = true
  }
}

/** A connection of the client, as the network sees it. */
export class Wire {
  readonly number: number
  readonly up: Pipe
  readonly down: Pipe
  private readonly network: Network
  private readonly inner: Socket
  private readonly data: Array<(bytes: Buffer) => void> = []
  private readonly ends: Array<() => void> = []
  private readonly errors: Array<(error: Error) => void> = []
  private readonly closes: Array<() => void> = []
  private readonly frames = { up: new Frames(), down: new Frames() }
  isOver = false

  constructor(network: Network, number: number, inner: Socket) {
    this.network = network
    this.number = number
    this.inner = inner
    this.up = new Pipe(network)
    this.down = new Pipe(network)
    inner.on(
      "data",
      (bytes) =>
        this.network.split(bytes).forEach((each) => this.down.push(() => this.arrive(each), this.network.weather.pace))
    )
    inner.on("end", () => this.down.push(() => this.ends.slice().forEach((listener) => listener())))
    inner.on("error", () => {})
    inner.on("close", () => this.down.push(() => this.close()))
  }

  private arrive(bytes: Buffer): void {
    if (this.isOver) return
    this.network.frame(this.number, "down", bytes.length)
    // What came of it may be a reset: a socket that is closed brings nothing more.
    if (this.isOver) return
    this.trace("down", bytes)
    for (const listener of this.data.slice()) listener(bytes)
  }

  /** Writes down the frames that the client wrote, or that came to it. */
  private trace(direction: Direction, bytes: Buffer): void {
    for (const frame of this.frames[direction].push(bytes)) this.network.wire(this.number, direction, frame)
  }

  /** For the client the connection is over. */
  private finish(): void {
    this.isOver = true
    this.network.wires.delete(this)
    this.network.wire(this.number, "down", { performative: "over", channel: 0 })
  }

  private close(): void {
    if (this.isOver) return
    this.finish()
    for (const listener of this.closes.slice()) listener()
  }

  /** What the client has as its socket. */
  socket(): Socket {
    const lists: Record<string, Array<(...args: Array<never>) => void>> = {
      data: this.data,
      end: this.ends,
      error: this.errors,
      close: this.closes
    }
    const on = (event: string, listener: (...args: Array<never>) => void): void => {
      lists[event]?.push(listener)
    }
    const off = (event: string, listener: (...args: Array<never>) => void): void => {
      const list = lists[event]
      const at = list?.indexOf(listener) ?? -1
      if (at >= 0) list!.splice(at, 1)
    }
    return {
      ...passing(this.inner),
      // A real connection: its ends learn of a loss by silence alone.
      isLocal: false,
      on,
      once: (event, listener) => {
        const once = (...args: Array<never>): void => {
          off(event, once)
          ;(listener as (...args: Array<never>) => void)(...args)
        }
        on(event, once)
      },
      removeListener: off,
      removeAllListeners: (event) => {
        for (const name of event === undefined ? Object.keys(lists) : [event]) lists[name]!.length = 0
      },
      write: (bytes) => {
        if (this.isOver) return false
        const copy = Buffer.from(bytes)
        this.trace("up", copy)
        this.network.frame(this.number, "up", bytes.length)
        for (const each of this.network.split(copy)) this.up.push(() => this.inner.write(each))
        return true
      },
      end: () => this.up.push(() => this.inner.end()),
      destroy: () => {
        if (this.isOver) return
        this.finish()
        this.down.clear()
        this.up.push(() => this.inner.destroy())
      }
    }
  }

  /** Both ends see a reset at once; what was on its way is lost. */
  reset(): void {
    if (this.isOver) return
    this.finish()
    this.up.clear()
    this.down.clear()
    this.inner.destroy()
    const error = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" })
    for (const listener of this.errors.slice()) listener(error)
    for (const listener of this.closes.slice()) listener()
  }

  /** The broker's end is gone, and the client is not told: what it writes goes nowhere. */
  halfOpen(): void {
    this.up.clear()
    this.down.clear()
    this.inner.destroy()
  }

  hold(direction: Direction): void {
    this[direction].isHeld = true
  }

  release(direction: Direction): void {
    if (this.isOver) return
    this[direction].isHeld = false
    this[direction].pump()
  }
}

export class Network {
  readonly wires = new Set<Wire>()
  readonly clock: Clock.Clock
  readonly rng: Rng
  weather: Weather = fair()
  private readonly history: History
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly timers = new Set<Fiber.Fiber<void>>()
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
    this.rng = options.rng
    this.history = options.history
    this.fork = options.fork
  }

  /** Runs a function later; never once the network has ended. */
  after(millis: number, run: () => void): void {
    const fiber = this.fork(Effect.andThen(Effect.sleep(Math.max(1, millis)), Effect.sync(run)))
    this.timers.add(fiber)
    fiber.addObserver(() => {
      this.timers.delete(fiber)
    })
  }

  get end(): Effect.Effect<void> {
    return Effect.suspend(() => Fiber.interruptAll([...this.timers]))
  }

  split(bytes: Buffer): ReadonlyArray<Buffer> {
    const { chunk } = this.weather
    if (bytes.length <= chunk) return [bytes]
    const parts: Array<Buffer> = []
    for (let at = 0; at < bytes.length;) {
      const size = this.rng.between(1, chunk)
      parts.push(bytes.subarray(at, at + size))
      at += size
    }
    return parts
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
      wire.up.hurry()
      wire.down.hurry()
    }
  }

  /** The transport of a client, through this network. */
  over(transport: Transport): Transport {
    return {
      connect: (endpoint) =>
        Effect.suspend(() => {
          const { isRefusing, jitter, latency } = this.weather
          const wait = latency + (jitter === 0 ? 0 : this.rng.between(0, jitter))
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
