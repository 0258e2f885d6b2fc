/**
 * Runs what a frame or an event causes, as tasks of Effect's Scheduler, so that TestClock knows of every step between a fiber
 * and the bytes. Never `process.nextTick`, never a Promise. Each connection has one, or shares one with its peer in memory.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"

export interface Dispatcher {
  readonly schedule: (task: () => void) => void
  /** Completes once what was scheduled before has run. */
  readonly turn: Effect.Effect<void>
  /** Completes when nothing that was scheduled here is pending, and nothing new came for three rounds. */
  readonly idle: Effect.Effect<void>
}

export const make: Effect.Effect<Dispatcher> = Effect.gen(function*() {
  const dispatcher = (yield* Scheduler.Scheduler).makeDispatcher()
  let pending = 0
  let ran = 0
  const schedule = (task: () => void): void => {
    pending++
    dispatcher.scheduleTask(() => {
      pending--
      ran++
      task()
    }, 0)
  }
  return {
    schedule,
    turn: Effect.callback<void>((resume) => schedule(() => resume(Effect.void))),
    idle: Effect.gen(function*() {
      let ranBefore = -1
      for (let idleRounds = 0; idleRounds < 3;) {
        yield* Effect.yieldNow
        idleRounds = pending === 0 && ran === ranBefore ? idleRounds + 1 : 0
        ranBefore = ran
      }
    })
  }
})

/**
 * The dispatcher that a connection shares with others, where one is set: the in-memory broker and its clients share
 * one, so that a test can wait until both are idle.
 */
export class Shared extends Context.Reference<Dispatcher | undefined>("effect-service-bus/internal/amqp/Dispatcher", {
  defaultValue: () => undefined
}) {}

/** The shared dispatcher, or a new one. */
export const get: Effect.Effect<Dispatcher> = Effect.flatMap(
  Shared,
  (shared) => shared === undefined ? make : Effect.succeed(shared)
)
