/**
 * Sending what a stream gives, in batches: queues of messages that share a session and partition key, each filling a batch
 * while the one before it is in flight, and a fixed number of fibers that send them.
 *
 * A queue has one batch in flight at most, so that its messages arrive in order. What waits is bounded by number and bytes;
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
export interface SinkLink<in M, out E> {
  readonly encoder: MessageBatch.Encoder<M>
  readonly limits: () => MessageBatch.Limits
  readonly send: (batch: MessageBatch.Batch) => Effect.Effect<unknown, E>
}

interface Rejection<out M> {
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

/** Batches of a queue start small: there may be as many queues as messages wait. */
const blockSize = 4096

/** How many writers are kept for queues to come. */
const spareWriters = 16

/** The messages of one key. */
class KeyQueue<in M> {
  readonly key: string
  readonly writer: Writer
  readonly batcher: MessageBatch.BatchBuilder<M>
  /** The indices of what waits and is in flight, in order, where `onRefused` takes what is refused. */
  readonly indices: Array<number> = []
  /** A fiber sends a batch of it, or is about to. */
  isSending = false
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
class SinkRun<M, E> {
  sent = 0
  /** Wakes what waits for something to be sent. */
  readonly progressed = Latch.makeUnsafe(false)
  /** Wakes the timer when a batch is opened. */
  readonly opened = Latch.makeUnsafe(false)
  /** Queues that may send, each once. */
  readonly ready: Queue.Queue<KeyQueue<M>>
  private waiting = 0
  private waitingBytes = 0
  private readonly queues = new Map<string, KeyQueue<M>>()
  /** When the open batches are due, in the order in which they were opened. */
  private readonly due = new Map<KeyQueue<M>, number>()
  private readonly writers: Array<Writer> = []
  private readonly link: SinkLink<M, E>
  private readonly settings: Settings<M, unknown, unknown>
  private readonly clock: Clock.Clock

  constructor(
    link: SinkLink<M, E>,
    settings: Settings<M, unknown, unknown>,
    clock: Clock.Clock,
    ready: Queue.Queue<KeyQueue<M>>
  ) {
    this.link = link
    this.settings = settings
    this.clock = clock
    this.ready = ready
  }

  get isFull(): boolean {
    const { maxWaiting, maxWaitingBytes } = this.settings
    return this.waiting >= maxWaiting || this.waitingBytes >= maxWaitingBytes
  }

  get isIdle(): boolean {
    return this.queues.size === 0
  }

  /** Puts a message, which is the stream's at `index`, into the open batch of its queue. */
  add(message: M, index: number): MessageBatch.Refusal | undefined {
    const { encoder, limits } = this.link
    let key: string
    try {
      key = MessageBatch.batchKeyOf(encoder.routeOf(message))
    } catch (error) {
      return MessageBatch.unreadable(encoder, error)
    }
    let queue = this.queues.get(key)
    if (queue === undefined) {
      queue = new KeyQueue(key, this.writers.pop() ?? new Writer(blockSize), encoder)
      this.queues.set(key, queue)
    }
    const { batcher } = queue
    const closed = batcher.closed.length
    const size = batcher.size
    const id = batcher.add(message, limits(), key)
    if (typeof id !== "string") {
      this.leave(queue)
      return id
    }
    if (this.settings.onRefused !== undefined) queue.indices.push(index)
    this.waiting++
    // A batch that this message did not fit in has its size counted already.
    this.waitingBytes += batcher.closed.length > closed ? batcher.size : batcher.size - size
    if (batcher.count === 1) this.open(queue)
    if (batcher.closed.length > closed) this.offer(queue)
    return undefined
  }

  private open(queue: KeyQueue<M>): void {
    queue.isDue = false
    this.due.delete(queue)
    this.due.set(queue, monotonic(this.clock) + this.settings.linger)
    this.opened.openUnsafe()
  }

  /** Lets go what has waited long enough, or all of it. */
  makeDue(all: boolean): void {
    const now = monotonic(this.clock)
    for (const [queue, at] of this.due) {
      if (!all && at > now) return
      this.due.delete(queue)
      queue.isDue = true
      this.offer(queue)
    }
  }

  /** Milliseconds until the next batch is due; undefined where none is open. */
  get untilDue(): number | undefined {
    const next = this.due.values().next()
    return next.done === true ? undefined : next.value - monotonic(this.clock)
  }

  private offer(queue: KeyQueue<M>): void {
    if (queue.isSending || !queue.isReady) return
    queue.isSending = true
    Queue.offerUnsafe(this.ready, queue)
  }

  /** The next batch of a queue. */
  take(queue: KeyQueue<M>): MessageBatch.Batch {
    const { batcher } = queue
    if (batcher.closed.length === 0) {
      batcher.close()
      this.due.delete(queue)
      queue.isDue = false
    }
    const batch = batcher.closed.shift()!
    this.waiting -= batch.count
    this.waitingBytes -= batch.size
    this.progressed.openUnsafe()
    return batch
  }

  /** The batch of a queue was accepted. */
  accepted(queue: KeyQueue<M>, batch: MessageBatch.Batch): void {
    if (this.settings.onRefused !== undefined) queue.indices.splice(0, batch.count)
    this.sent += batch.count
    this.next(queue)
  }

  /** A batch of a queue was refused. True where `onRefused` takes its messages and all that wait after them. */
  refused(queue: KeyQueue<M>, error: unknown): boolean {
    const { onRefused } = this.settings
    if (onRefused === undefined || !onRefused(queue.indices.slice(), error)) return false
    queue.indices.length = 0
    while (!queue.isEmpty) this.take(queue)
    this.next(queue)
    return true
  }

  private next(queue: KeyQueue<M>): void {
    queue.isSending = false
    this.offer(queue)
    this.leave(queue)
    this.progressed.openUnsafe()
  }

  /** Forgets a queue that has nothing more. */
  private leave(queue: KeyQueue<M>): void {
    if (queue.isSending || !queue.isEmpty) return
    this.queues.delete(queue.key)
    if (this.writers.length < spareWriters) this.writers.push(queue.writer)
  }
}

/** Sends what is ready, for ever. */
const sendReady = Effect.fnUntraced(function*<M, E>(run: SinkRun<M, E>, link: SinkLink<M, E>) {
  while (true) {
    const queue = yield* Queue.take(run.ready)
    const batch = run.take(queue)
    const result = yield* Effect.result(link.send(batch))
    if (Result.isSuccess(result)) run.accepted(queue, batch)
    else if (!run.refused(queue, result.failure)) return yield* Effect.fail(result.failure)
  }
})

/** Lets batches go when they are due, for ever. */
const makeDueInTime = Effect.fnUntraced(function*<M, E>(run: SinkRun<M, E>) {
  while (true) {
    const wait = run.untilDue
    if (wait === undefined) {
      run.opened.closeUnsafe()
      yield* run.opened.await
    } else if (wait > 0) yield* Effect.sleep(wait)
    else run.makeDue(false)
  }
})

/** Waits until something holds that sending brings about. */
const waitUntil = <M, E>(run: SinkRun<M, E>, condition: () => boolean): Effect.Effect<void> =>
  Effect.whileLoop({
    while: () => !condition(),
    body: () => {
      run.progressed.closeUnsafe()
      return run.progressed.await
    },
    step: () => {}
  })

/** A sink of messages. Each time it is run it has queues of its own. */
export const make = <M, E, E2, R>(
  link: SinkLink<M, E>,
  settings: Settings<M, E2, R>
): Sink.Sink<Report<M>, M, never, E | E2, R> =>
  Sink.fromTransform(Effect.fnUntraced(function*(upstream) {
    const clock = yield* Clock.Clock
    const run = new SinkRun(
      link,
      settings as Settings<M, unknown, unknown>,
      clock,
      yield* Queue.unbounded<KeyQueue<M>>()
    )
    const failed = Deferred.makeUnsafe<never, E>()
    const rejected: Array<Rejection<M>> = []
    const onRejected = settings.onRejected ?? ((rejection) => Effect.sync(() => void rejected.push(rejection)))
    const failingAll = <A>(effect: Effect.Effect<A, E>) =>
      Effect.onExit(effect, (exit) => Exit.isFailure(exit) ? Deferred.failCause(failed, exit.cause) : Effect.void)
    for (let i = 0; i < settings.concurrency; i++) yield* Effect.forkScoped(failingAll(sendReady(run, link)))
    if (settings.linger > 0) yield* Effect.forkScoped(makeDueInTime(run))

    let index = 0
    const addAll = Effect.fnUntraced(function*(messages: ReadonlyArray<M>) {
      for (const message of messages) {
        if (run.isFull) {
          // More would not fit: there is nothing to wait for.
          run.makeDue(true)
          yield* waitUntil(run, () => !run.isFull)
        }
        const at = index++
        const error = run.add(message, at)
        if (error === undefined) continue
        // `onRejected` may take long: what came before does not wait for that.
        if (settings.linger === 0 && settings.onRejected !== undefined) run.makeDue(true)
        // The error is in the type of the sink.
        yield* callForEffect(undefined, "onRejected", onRejected, { index: at, message, error }) as Effect.Effect<
          unknown,
          E2,
          R
        >
      }
      if (settings.linger === 0) run.makeDue(true)
    })

    const flush = Effect.suspend(() => {
      run.makeDue(true)
      return waitUntil(run, () => run.isIdle)
    })

    // What the stream gave is sent also where it fails; its error is in no type here, and passes through.
    const pull = Effect.catchCause(upstream, (cause) => Effect.andThen(flush, Effect.failCause(cause)))

    yield* Effect.raceFirst(
      Effect.forever(Effect.flatMap(pull, addAll)).pipe(Pull.catchDone(() => Effect.void)),
      Deferred.await(failed)
    )
    return [{ sent: run.sent, rejected }] as const
  }, Effect.scoped))
