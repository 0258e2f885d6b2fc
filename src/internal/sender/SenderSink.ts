/**
 * Sending what a stream gives, in batches: lines of messages that share a session and partition key, each filling a batch
 * while the one before it is in flight, and a fixed number of fibers that send them.
 *
 * A line has one batch in flight at most, so that its messages arrive in order. What waits is bounded by number and bytes;
 * beyond that the stream is held back. There is a fiber per batch that may be in flight, and none per message.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import { Writer } from "../amqp/codec/Writer.ts"
import * as MessageBatch from "../message/MessageBatch.ts"
import { monotonic } from "../monotonicClock.ts"
import { callForEffect } from "../options.ts"

/** The link that a sink sends on. */
export interface Outlet<in M, out E> {
  readonly encoder: MessageBatch.Encoder<M>
  readonly limits: () => MessageBatch.Limits
  readonly send: (batch: MessageBatch.Batch) => Effect.Effect<unknown, E>
}

export interface Rejection<out M> {
  readonly index: number
  readonly message: M
  readonly error: MessageBatch.Refusal
}

/** How a sink batches, as a caller gives it. */
export interface Options<in M, out E, out R> {
  readonly linger?: Duration.Input | undefined
  readonly concurrency?: number | undefined
  readonly maxWaiting?: number | undefined
  readonly onRejected?: ((rejection: Rejection<M>) => Effect.Effect<unknown, E, R>) | undefined
}

/**
 * Takes the messages of a batch that the broker refused, and those of its key after it, by their indices in the stream;
 * false where the sink is to fail instead.
 */
export type OnRefused = (indices: ReadonlyArray<number>, error: unknown) => boolean

/** The same, checked. */
export interface Settings<in M, out E, out R> {
  /** Milliseconds. */
  readonly linger: number
  readonly concurrency: number
  readonly maxWaiting: number
  readonly maxWaitingBytes: number
  readonly onRejected: ((rejection: Rejection<M>) => Effect.Effect<unknown, E, R>) | undefined
  readonly onRefused?: OnRefused | undefined
}

export interface Report<out M> {
  readonly sent: number
  readonly rejected: ReadonlyArray<Rejection<M>>
}

/** Batches of a line start small: there may be as many lines as messages wait. */
const blockSize = 4096

/** How many writers are kept for lines to come. */
const spares = 16

/** The messages of one key. */
class Line<in M> {
  readonly key: string
  readonly writer: Writer
  readonly batcher: MessageBatch.BatchBuilder<M>
  /** The indices of what waits and is in flight, in order, where somebody takes what is refused. */
  readonly indices: Array<number> = []
  /** A fiber sends a batch of it, or is about to. */
  isTaken = false
  /** The open batch has waited long enough. */
  isDue = false

  constructor(key: string, writer: Writer, encoder: MessageBatch.Encoder<M>) {
    this.key = key
    this.writer = writer
    this.batcher = new MessageBatch.BatchBuilder(encoder, writer)
  }

  get isReady(): boolean {
    return this.batcher.closed.length > 0 || (this.isDue && this.batcher.count > 0)
  }

  get isEmpty(): boolean {
    return this.batcher.closed.length === 0 && this.batcher.count === 0
  }
}

/** One run of a sink. */
class Run<M, E> {
  sent = 0
  /** Wakes whoever waits for something to be sent. */
  readonly moved = Latch.makeUnsafe(false)
  /** Wakes the timer when a batch is opened. */
  readonly opened = Latch.makeUnsafe(false)
  /** Lines that may send, each once. */
  readonly ready: Queue.Queue<Line<M>>
  private waiting = 0
  private waitingBytes = 0
  private readonly lines = new Map<string, Line<M>>()
  /** When the open batches are due, in the order in which they were opened. */
  private readonly due = new Map<Line<M>, number>()
  private readonly writers: Array<Writer> = []
  private readonly outlet: Outlet<M, E>
  private readonly settings: Settings<M, unknown, unknown>
  private readonly clock: Clock.Clock

  constructor(
    outlet: Outlet<M, E>,
    settings: Settings<M, unknown, unknown>,
    clock: Clock.Clock,
    ready: Queue.Queue<Line<M>>
  ) {
    this.outlet = outlet
    this.settings = settings
    this.clock = clock
    this.ready = ready
  }

  get isFull(): boolean {
    const { maxWaiting, maxWaitingBytes } = this.settings
    return this.waiting >= maxWaiting || this.waitingBytes >= maxWaitingBytes
  }

  get isIdle(): boolean {
    return this.lines.size === 0
  }

  /** Puts a message, which is the stream's at `index`, into the open batch of its line. */
  add(message: M, index: number): MessageBatch.Refusal | undefined {
    const { encoder, limits } = this.outlet
    let key: string
    try {
      key = MessageBatch.batchKeyOf(encoder.routeOf(message))
    } catch (error) {
      return MessageBatch.unreadable(encoder, error)
    }
    let line = this.lines.get(key)
    if (line === undefined) {
      line = new Line(key, this.writers.pop() ?? new Writer(blockSize), encoder)
      this.lines.set(key, line)
    }
    const { batcher } = line
    const closed = batcher.closed.length
    const size = batcher.size
    const id = batcher.add(message, limits(), key)
    if (typeof id !== "string") {
      this.leave(line)
      return id
    }
    if (this.settings.onRefused !== undefined) line.indices.push(index)
    this.waiting++
    // A batch that this message did not fit in has its size counted already.
    this.waitingBytes += batcher.closed.length > closed ? batcher.size : batcher.size - size
    if (batcher.count === 1) this.open(line)
    if (batcher.closed.length > closed) this.offer(line)
    return undefined
  }

  private open(line: Line<M>): void {
    line.isDue = false
    this.due.delete(line)
    this.due.set(line, monotonic(this.clock) + this.settings.linger)
    this.opened.openUnsafe()
  }

  /** Lets go what has waited long enough, or all of it. */
  ripen(all: boolean): void {
    const now = monotonic(this.clock)
    for (const [line, at] of this.due) {
      if (!all && at > now) return
      this.due.delete(line)
      line.isDue = true
      this.offer(line)
    }
  }

  /** Milliseconds until the next batch is due; undefined where none is open. */
  get untilDue(): number | undefined {
    const next = this.due.values().next()
    return next.done === true ? undefined : next.value - monotonic(this.clock)
  }

  private offer(line: Line<M>): void {
    if (line.isTaken || !line.isReady) return
    line.isTaken = true
    Queue.offerUnsafe(this.ready, line)
  }

  /** The next batch of a line. */
  take(line: Line<M>): MessageBatch.Batch {
    const { batcher } = line
    if (batcher.closed.length === 0) {
      batcher.close()
      this.due.delete(line)
      line.isDue = false
    }
    const batch = batcher.closed.shift()!
    this.waiting -= batch.count
    this.waitingBytes -= batch.size
    this.moved.openUnsafe()
    return batch
  }

  /** The batch of a line was accepted. */
  done(line: Line<M>, batch: MessageBatch.Batch): void {
    if (this.settings.onRefused !== undefined) line.indices.splice(0, batch.count)
    this.sent += batch.count
    this.next(line)
  }

  /** A batch of a line was refused. True where somebody takes its messages, and all that wait behind them. */
  refused(line: Line<M>, error: unknown): boolean {
    const { onRefused } = this.settings
    if (onRefused === undefined || !onRefused(line.indices.slice(), error)) return false
    line.indices.length = 0
    while (!line.isEmpty) this.take(line)
    this.next(line)
    return true
  }

  private next(line: Line<M>): void {
    line.isTaken = false
    this.offer(line)
    this.leave(line)
    this.moved.openUnsafe()
  }

  /** Forgets a line that has nothing more. */
  private leave(line: Line<M>): void {
    if (line.isTaken || !line.isEmpty) return
    this.lines.delete(line.key)
    if (this.writers.length < spares) this.writers.push(line.writer)
  }
}

/** Sends what is ready, for ever. */
const sending = Effect.fnUntraced(function*<M, E>(run: Run<M, E>, outlet: Outlet<M, E>) {
  while (true) {
    const line = yield* Queue.take(run.ready)
    const batch = run.take(line)
    const result = yield* Effect.result(outlet.send(batch))
    if (Result.isSuccess(result)) run.done(line, batch)
    else if (!run.refused(line, result.failure)) return yield* Effect.fail(result.failure)
  }
})

/** Lets batches go when they are due, for ever. */
const lingering = Effect.fnUntraced(function*<M, E>(run: Run<M, E>) {
  while (true) {
    const wait = run.untilDue
    if (wait === undefined) {
      run.opened.closeUnsafe()
      yield* run.opened.await
    } else if (wait > 0) yield* Effect.sleep(wait)
    else run.ripen(false)
  }
})

/** Waits until something holds that sending brings about. */
const awaiting = <M, E>(run: Run<M, E>, condition: () => boolean): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => !condition(),
    body: () => {
      run.moved.closeUnsafe()
      return run.moved.await
    },
    step: () => {}
  })

/** A sink of messages. Each time it is run it has lines of its own. */
export const make = <M, E, E2, R>(
  outlet: Outlet<M, E>,
  settings: Settings<M, E2, R>
): Sink.Sink<Report<M>, M, never, E | E2, R> =>
  Sink.fromTransform(Effect.fnUntraced(function*(upstream) {
    const clock = yield* Clock.Clock
    const run = new Run(outlet, settings as Settings<M, unknown, unknown>, clock, yield* Queue.unbounded<Line<M>>())
    const failed = Deferred.makeUnsafe<never, E>()
    const rejected: Array<Rejection<M>> = []
    const onRejected = settings.onRejected ?? ((rejection) => Effect.sync(() => void rejected.push(rejection)))
    const failing = <A>(effect: Effect.Effect<A, E>) =>
      Effect.onExit(effect, (exit) => Exit.isFailure(exit) ? Deferred.failCause(failed, exit.cause) : Effect.void)
    for (let i = 0; i < settings.concurrency; i++) yield* Effect.forkScoped(failing(sending(run, outlet)))
    if (settings.linger > 0) yield* Effect.forkScoped(lingering(run))

    let index = 0
    const taking = Effect.fnUntraced(function*(messages: ReadonlyArray<M>) {
      for (const message of messages) {
        if (run.isFull) {
          // More would not fit: nobody waits for it.
          run.ripen(true)
          yield* awaiting(run, () => !run.isFull)
        }
        const at = index++
        const error = run.add(message, at)
        if (error === undefined) continue
        // Whoever takes it may take long: what came before does not wait for that.
        if (settings.linger === 0 && settings.onRejected !== undefined) run.ripen(true)
        // Who sends through it knows that error.
        yield* callForEffect(undefined, "onRejected", onRejected, { index: at, message, error }) as Effect.Effect<
          unknown,
          E2,
          R
        >
      }
      if (settings.linger === 0) run.ripen(true)
    })

    const flush = Effect.suspend(() => {
      run.ripen(true)
      return awaiting(run, () => run.isIdle)
    })

    // What the stream gave is sent also where it fails; its error is in no type here, and passes through.
    const pull = Effect.catchCause(upstream, (cause) => Effect.andThen(flush, Effect.failCause(cause)))

    yield* Effect.raceFirst(
      Effect.forever(Effect.flatMap(pull, taking)).pipe(Pull.catchDone(() => Effect.void)),
      Deferred.await(failed)
    )
    return [{ sent: run.sent, rejected }] as const
  }, Effect.scoped))
