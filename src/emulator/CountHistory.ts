/**
 * The counts of entities over the last hour, by a sample every 15 seconds, for pictures of them. A broker that listens has one
 * for all of its namespaces; in memory there is none.
 *
 * Its memory is fixed: each entity to which something has happened has a ring of 240 samples (4.7 KiB), and no more than 2,000 of
 * them have one. To take a sample looks at no message; it costs the time of a look at each entity's counters.
 */
import type * as Clock from "effect/Clock"
import type { Timeout } from "./amqp/Timeout.ts"
import { timeout } from "./amqp/Timeout.ts"
import type { Queue } from "./broker/Broker.ts"
import type { DeadlineTimer } from "./broker/DeadlineTimer.ts"
import type { Counters, RuntimeCounts } from "./broker/Queue.ts"
import type { Namespace } from "./Namespace.ts"

/** Milliseconds between two samples. */
export const interval = 15_000

/** How many samples there are at most: those of an hour. */
const length = 240

/** How many entities are followed at a time. */
const mostRings = 2000

/** What an entity held at a time, and what had happened to it since the sample before. */
export interface Sample {
  /** Milliseconds of the server's clock. */
  readonly at: number
  readonly active: number
  readonly scheduled: number
  readonly deadLetter: number
  readonly received: number
  /** What its receivers are done with: completed, or received and deleted. */
  readonly completed: number
}

/** Numbers of a sample. */
const width = 5

/** What had happened to an entity. */
type Counted = Pick<Counters, "enqueued" | "completed">

const countedOf = ({ counters: { completed, enqueued, receivedAndDeleted } }: Queue): Counted => ({
  enqueued,
  completed: completed + receivedAndDeleted
})

const nothing: Counted = { enqueued: 0, completed: 0 }

/** The samples of one entity, at the places of their ticks. */
class Ring {
  private readonly numbers = new Uint32Array(length * width)
  private readonly since: number
  private enqueued: number
  private completed: number
  /** The tick in which something has happened or been there last. */
  changedIn: number

  /** What was counted before this ring began is not of it. */
  constructor(tick: number, { completed, enqueued }: Counted) {
    this.since = tick
    this.changedIn = tick
    this.enqueued = enqueued
    this.completed = completed
  }

  add(tick: number, queue: Queue): void {
    const counters = countedOf(queue)
    const counts = queue.runtime()
    const at = tick % length * width
    const { numbers } = this
    // A reset counts from 0 again.
    const received = Math.max(0, counters.enqueued - this.enqueued)
    const completed = Math.max(0, counters.completed - this.completed)
    if (received + completed > 0 || hasContent(counts)) this.changedIn = tick
    numbers[at] = counts.activeMessageCount
    numbers[at + 1] = counts.scheduledMessageCount
    numbers[at + 2] = counts.deadLetterMessageCount
    numbers[at + 3] = received
    numbers[at + 4] = completed
    this.enqueued = counters.enqueued
    this.completed = counters.completed
  }

  list(tick: number, times: Float64Array): ReadonlyArray<Sample> {
    const samples: Array<Sample> = []
    for (let each = Math.max(this.since, tick - length + 1); each <= tick; each++) {
      const at = each % length * width
      const number = (index: number) => this.numbers[at + index]!
      samples.push({
        at: times[each % length]!,
        active: number(0),
        scheduled: number(1),
        deadLetter: number(2),
        received: number(3),
        completed: number(4)
      })
    }
    return samples
  }
}

/** What it is made of. */
interface Options {
  readonly namespaces: () => ReadonlyArray<Namespace>
  readonly clock: Clock.Clock
  readonly deadlines: DeadlineTimer<Timeout>
}

/** The history of a server. */
export class CountHistory {
  private readonly options: Options
  private readonly times = new Float64Array(length)
  /** By the queues, which are other ones once an entity is made anew. */
  private readonly rings = new Map<Queue, Ring>()
  /** What had happened, by the last sample, to those that have no ring any more or found no place for one. */
  private readonly unfollowed = new WeakMap<Queue, Counted>()
  private tick = -1

  /** The first sample is taken after an interval, and so on until the timer ends. */
  constructor(options: Options) {
    this.options = options
    const { clock, deadlines } = options
    const next = timeout(() => {
      this.sample(clock.currentTimeMillisUnsafe())
      deadlines.set(next, clock.currentTimeMillisUnsafe() + interval)
    })
    deadlines.set(next, clock.currentTimeMillisUnsafe() + interval)
  }

  /** The samples of an entity, the earliest first; none of one to which nothing has happened. */
  of(queue: Queue): ReadonlyArray<Sample> {
    return this.rings.get(queue)?.list(this.tick, this.times) ?? []
  }

  /** How many entities are followed. */
  get size(): number {
    return this.rings.size
  }

  private sample(now: number): void {
    const tick = ++this.tick
    this.times[tick % length] = now
    const seen = new Set<Queue>()
    for (const { broker } of this.options.namespaces()) {
      for (const queue of broker.queues()) {
        const ring = this.rings.get(queue) ?? this.begin(queue, tick)
        if (ring === undefined) continue
        seen.add(queue)
        ring.add(tick, queue)
      }
    }
    for (const [queue, { changedIn }] of this.rings) {
      // It is gone, or nothing has been in it for all that would be shown.
      if (seen.has(queue) && tick - changedIn < length) continue
      this.rings.delete(queue)
      this.unfollow(queue)
    }
  }

  /** A ring for an entity that something is in, or to which something has happened since the last sample. */
  private begin(queue: Queue, tick: number): Ring | undefined {
    const { completed, enqueued } = countedOf(queue)
    const last = this.unfollowed.get(queue)
    // A reset counts from 0 again.
    const before = last === undefined || enqueued < last.enqueued ? nothing : last
    if (enqueued === before.enqueued && completed === before.completed && !hasContent(queue.runtime())) return undefined
    if (this.rings.size >= mostRings) {
      this.unfollow(queue)
      return undefined
    }
    this.unfollowed.delete(queue)
    const ring = new Ring(tick, before)
    this.rings.set(queue, ring)
    return ring
  }

  private unfollow(queue: Queue): void {
    this.unfollowed.set(queue, countedOf(queue))
  }
}

/** Whether there is something to follow. */
const hasContent = (
  { activeMessageCount, deadLetterMessageCount, scheduledMessageCount }: RuntimeCounts
): boolean => activeMessageCount + deadLetterMessageCount + scheduledMessageCount > 0
