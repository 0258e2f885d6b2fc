/**
 * A connection of a client with a network between it and its peer: bytes take time and come in pieces, are held back or lost, and
 * the connection ends as real ones do. Bytes of one direction stay in order, as TCP keeps them: what is held back comes later or,
 * where the connection ends first, never.
 *
 * The socket beneath belongs to the scope that connected it. Faults of a user's network and those of the simulation are made of
 * this.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { passing, type Socket } from "../../internal/amqp/transport/Socket.ts"
import type { SeededRandom } from "../SeededRandom.ts"

/** From the client up to the broker, or down to the client. */
export type Direction = "up" | "down"

/** How a network is now. Times are milliseconds. */
export interface Weather {
  readonly latency: number
  /** Added to the latency, at random from nothing up to this. */
  readonly jitter: number
  /** The most bytes that arrive together; Infinity for as they were written. */
  readonly chunk: number
}

/** What is to happen later in a network, until it ends. */
export class NetworkTimers {
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  private readonly fibers = new Set<Fiber.Fiber<void>>()
  private isEnded = false

  constructor(fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.fork = fork
  }

  /** Runs a function later; never once the network has ended. */
  after(millis: number, run: () => void): void {
    if (this.isEnded) return
    const fiber = this.fork(Effect.andThen(Effect.sleep(Math.max(1, millis)), Effect.sync(run)))
    this.fibers.add(fiber)
    fiber.addObserver(() => {
      this.fibers.delete(fiber)
    })
  }

  get end(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isEnded = true
      return Fiber.interruptAll([...this.fibers])
    })
  }
}

/** What the connections of a network share. */
export interface WireNetwork {
  readonly clock: Clock.Clock
  readonly random: SeededRandom
  readonly weather: Weather
  /** Runs a function later; never once the network has ended. */
  after(millis: number, run: () => void): void
  /** How long so many bytes take a direction, in milliseconds: what comes after them waits for that. */
  pace(direction: Direction, bytes: number): number
}

/** One direction of a connection: bytes that are on their way. */
class Pipe {
  private readonly queue: Array<{ due: number; readonly run: () => void }> = []
  private last = 0
  private isRunning = false
  isHeld = false
  private isClosed = false
  private readonly network: WireNetwork

  constructor(network: WireNetwork) {
    this.network = network
  }

  push(run: () => void, pace = 0): void {
    const { clock, random, weather } = this.network
    const delay = weather.latency + (weather.jitter === 0 ? 0 : random.between(0, weather.jitter))
    const now = clock.currentTimeMillisUnsafe()
    this.last = Math.max(this.last, now + delay) + pace
    if (this.isClosed) return
    this.queue.push({ due: this.last, run })
    this.pump()
  }

  pump(): void {
    if (this.isRunning || this.isHeld) return
    const now = this.network.clock.currentTimeMillisUnsafe()
    while (this.queue.length > 0 && !this.isHeld && this.queue[0]!.due <= now) this.queue.shift()!.run()
    if (this.queue.length === 0 || this.isHeld) return
    this.isRunning = true
    this.network.after(Math.ceil(this.queue[0]!.due - now), () => {
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

  /** What is on its way is lost, and so is what comes after. */
  clear(): void {
    this.queue.length = 0
    this.isHeld = true
    this.isClosed = true
  }
}

/** A connection of the client, as the network sees it. */
export class Wire {
  protected readonly network: WireNetwork
  private readonly up: Pipe
  private readonly down: Pipe
  private readonly inner: Socket
  private readonly data: Array<(bytes: Buffer) => void> = []
  private readonly ends: Array<() => void> = []
  private readonly errors: Array<(error: Error) => void> = []
  private readonly closes: Array<() => void> = []
  /** For the client it is over. */
  isOver = false

  constructor(network: WireNetwork, inner: Socket) {
    this.network = network
    this.inner = inner
    this.up = new Pipe(network)
    this.down = new Pipe(network)
    inner.on(
      "data",
      (bytes) => this.split(bytes).forEach((each) => this.down.push(() => this.arrive(each), this.pace("down", each)))
    )
    inner.on("end", () => this.down.push(() => this.ends.slice().forEach((listener) => listener())))
    inner.on("error", () => {})
    inner.on("close", () => this.down.push(() => this.close()))
  }

  /** The client has written bytes; they leave after this. */
  protected writing(_bytes: Buffer): void {}

  /** What passes of bytes that are written, or that have come: all of them, unless the connection is to end within them. */
  protected limited(bytes: Buffer): Buffer {
    return bytes
  }

  /** Bytes have passed. */
  protected passed(): void {}

  /** Bytes have come to the client; it is given them after this, where the connection is not over by then. */
  protected arriving(_bytes: Buffer): void {}

  /** The client is given bytes now. */
  protected giving(_bytes: Buffer): void {}

  /** For the client the connection is over. */
  protected ended(): void {}

  private pace(direction: Direction, { length }: Buffer): number {
    return this.network.pace(direction, length)
  }

  private split(bytes: Buffer): ReadonlyArray<Buffer> {
    const { random, weather: { chunk } } = this.network
    if (bytes.length <= chunk) return [bytes]
    const parts: Array<Buffer> = []
    for (let at = 0; at < bytes.length;) {
      const size = random.between(1, chunk)
      parts.push(bytes.subarray(at, at + size))
      at += size
    }
    return parts
  }

  private arrive(bytes: Buffer): void {
    if (this.isOver) return
    this.arriving(bytes)
    // What came of it may be a reset: a socket that is closed brings nothing more.
    if (this.isOver) return
    this.giving(bytes)
    const given = this.limited(bytes)
    for (const listener of this.data.slice()) listener(given)
    this.passed()
  }

  private finish(): void {
    this.isOver = true
    this.ended()
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
        this.writing(copy)
        for (const each of this.split(this.limited(copy))) {
          this.up.push(() => this.inner.write(each), this.pace("up", each))
        }
        this.passed()
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

  /** What is written in a direction, and what is on its way, waits. */
  hold(direction: Direction): void {
    this[direction].isHeld = true
  }

  /** What was held back comes. */
  release(direction: Direction): void {
    if (this.isOver) return
    this[direction].isHeld = false
    this[direction].pump()
  }

  /** What is on its way arrives now. */
  hurry(): void {
    this.up.hurry()
    this.down.hurry()
  }
}
