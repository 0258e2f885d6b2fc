/**
 * A timer for any number of deadlines, with at most one sleeping fiber. The broker has one for its messages and sessions, its
 * AMQP server another for its connections and links.
 *
 * A deadline is a field of the thing that has it, so that setting it again moves it and nothing is left of
 * it once it is cleared: a lock renewed ten thousand times stays one item. The timer is driven by synchronous code and runs
 * on the Clock and Scheduler of the fiber that made it; the scope in which it was made ends it, with its fiber. On a ManualClock
 * it has no fiber: an advance of the clock calls it, at each instant at which something is due.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { Heap } from "./Heap.ts"
import { ManualClock } from "./ManualClock.ts"

/**
 * What can be due. Both fields are written by the timer: `at` is the time in milliseconds, `slot` where the timer keeps it
 * (-1: not set, `due`: handed over as due).
 *
 * @category models
 */
export interface Deadline {
  at: number
  slot: number
}

/** The slot of what was handed to `onDue` and was neither cleared nor set again meanwhile, by what was due before it. */
export const due = -2

/**
 * Deadlines that can be set, moved and cleared; after its scope has closed it does nothing.
 *
 * @category models
 */
export interface DeadlineTimer<in D extends Deadline> {
  /** Sets the deadline of `d`, or moves it. */
  set(d: D, at: number): void
  /** Forgets the deadline of `d`. */
  clear(d: D): void
  /** How many deadlines are set: for tests, which see by it that nothing is left. */
  readonly size: () => number
}

/**
 * Makes a timer. `onDue` gets all that is due at one time in one array, never from within `set`; it may set and clear
 * deadlines itself.
 *
 * @category constructors
 */
export const make: <D extends Deadline>(
  onDue: (due: ReadonlyArray<D>, now: number) => void
) => Effect.Effect<DeadlineTimer<D>, never, Scope.Scope> = Effect.fnUntraced(
  function*<D extends Deadline>(onDue: (due: ReadonlyArray<D>, now: number) => void) {
    const clock = yield* Clock.Clock
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const heap = new Heap<D>((a, b) => a.at < b.at, (d, slot) => {
      d.slot = slot
    })
    let fiber: Fiber.Fiber<void> | undefined
    let scheduledAt = Infinity
    let isFiring = false
    let closed = false

    const fire = Effect.sync(() => {
      const now = clock.currentTimeMillisUnsafe()
      const ended: Array<D> = []
      let next = heap.peek()
      while (next !== undefined && next.at <= now) {
        heap.pop()
        next.slot = due
        ended.push(next)
        next = heap.peek()
      }
      if (ended.length === 0) return
      isFiring = true
      try {
        onDue(ended, now)
      } finally {
        isFiring = false
        for (const each of ended) if (each.slot === due) each.slot = -1
      }
    }).pipe(
      // One defect must not end the other deadlines.
      Effect.ignoreCause({ log: "Error", message: "A deadline of the embedded broker failed" })
    )

    const watch = Effect.gen(function*() {
      while (true) {
        const next = heap.peek()
        if (next === undefined) {
          fiber = undefined
          scheduledAt = Infinity
          return
        }
        scheduledAt = next.at
        const delay = Math.ceil(next.at - clock.currentTimeMillisUnsafe())
        // The first turn runs inside `set`: even what is due already must wait until its caller has returned.
        yield* delay > 0 ? Effect.sleep(delay) : Effect.yieldNow
        yield* fire
      }
    })

    const isDue = () => (heap.peek()?.at ?? Infinity) <= clock.currentTimeMillisUnsafe()
    const overdue = Effect.gen(function*() {
      while (isDue()) {
        yield* Effect.yieldNow
        yield* fire
      }
      fiber = undefined
    })
    const unregister = clock instanceof ManualClock
      ? clock.register({ next: () => heap.peek()?.at, fire })
      : undefined
    const reschedule = unregister === undefined
      ? () => {
        fiber?.interruptUnsafe()
        fiber = fork(watch)
      }
      : () => {
        // What is not due yet waits for an advance; what is due already, for its caller to return.
        if (isDue() && fiber === undefined) fiber = fork(overdue)
      }

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        closed = true
        heap.clear()
        unregister?.()
        return fiber === undefined ? Effect.void : Fiber.interrupt(fiber)
      })
    )

    return {
      set: (d, at) => {
        if (closed) return
        d.at = at
        if (d.slot < 0) heap.push(d)
        else heap.moveAt(d.slot)
        if (at < scheduledAt && !isFiring) reschedule()
      },
      clear: (d) => {
        if (d.slot === -1 || closed) return
        if (d.slot >= 0) heap.removeAt(d.slot)
        d.slot = -1
      },
      size: () => heap.size
    } satisfies DeadlineTimer<D>
  }
)
