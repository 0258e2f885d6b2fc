/** The counts of a processor add up, whatever its handlers do. */
import { ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import { inMemory, passing, Texts, texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Behaviour = Schema.Literals([
  "void",
  "complete",
  "abandon",
  "defer",
  "deadLetter",
  "retry",
  "fail",
  "fail then pass",
  "die",
  "hang",
  "interrupt",
  "slow",
  "throw in onFailure"
])

const Step = Schema.Literals(["pause", "resume", "1", "2", "5", "wait", "wait long", "send"])

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** A message: how often its handler ran, and its first lock. */
interface State {
  runs: number
  lock: string | undefined
}

/** What a handler does with a message that it sees for the first time; later it completes it. */
const act = Effect.fnUntraced(function*(behaviour: typeof Behaviour.Type, state: State) {
  switch (behaviour) {
    case "void":
      return undefined
    case "complete":
      return Settlement.complete
    case "abandon":
      return Settlement.abandon({ properties: { why: "property" } })
    case "defer":
      return Settlement.defer()
    case "deadLetter":
      return Settlement.deadLetter({ reason: "property" })
    case "retry":
      return Settlement.retryAfter("3 seconds")
    case "fail":
    case "throw in onFailure":
      return yield* Effect.fail(behaviour)
    case "fail then pass":
      return ++state.runs > 1 ? Settlement.complete : yield* Effect.fail(behaviour)
    case "die":
      return yield* Effect.die(behaviour)
    // Until its lock is lost.
    case "hang":
      return yield* Effect.never
    case "interrupt":
      return yield* Effect.interrupt
    case "slow":
      return yield* Effect.as(Effect.sleep("12 seconds"), Settlement.complete)
  }
})

const entities = [Emulator.entity(Texts, { lockDuration: "10 seconds", maxDeliveryCount: 2000 })]
const broker = Layer.merge(inMemory({ entities }), Logger.layer([]))

describe("The counts of a processor", () => {
  it.effect.prop(
    "every delivery has one outcome, the broker says the same, and handlers are never too many",
    {
      behaviours: Schema.Array(Behaviour).check(Schema.isMaxLength(25)),
      steps: Schema.Array(Step).check(Schema.isMaxLength(12)),
      concurrency: integer(1, 4),
      prefetch: integer(0, 6),
      size: integer(0, 4)
    },
    ({ behaviours, concurrency, prefetch, size, steps }) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        let limit = concurrency
        let running = 0
        /** Between a failure and the run after it, a handler is at work as well. */
        let between = 0
        const tooMany: Array<number> = []
        let sent = 0
        const behaviourOf = (id: string) => behaviours[Number(id) % behaviours.length] ?? "void"
        const entered = Effect.acquireRelease(
          Effect.sync(() => {
            running++
            if (running > limit) tooMany.push(running)
          }),
          () => Effect.sync(() => void running--)
        )
        const options = {
          concurrency,
          prefetch,
          maxLockRenewal: "15 seconds",
          drainTimeout: "5 seconds",
          retry: Schedule.spaced("1 second").pipe(
            Schedule.upTo({ times: 2 }),
            Schedule.while(({ input }) => {
              if (input !== "fail then pass") return false
              between++
              return true
            })
          ),
          onFailure: (_: unknown, message: { readonly messageId: string }) => {
            if (behaviourOf(message.messageId) === "throw in onFailure") throw new Error("thrown")
            return Settlement.abandon()
          }
        } as const
        const states = new Map<string, State>()
        const stateOf = (id: string) => {
          const state = states.get(id) ?? { runs: 0, lock: undefined }
          states.set(id, state)
          return state
        }
        // The first delivery is known by its lock: the count of one that was released stays 0.
        const said = (
          message: { readonly lockToken: string; readonly retryAttempt: number; readonly messageId: string }
        ) => {
          const state = stateOf(message.messageId)
          state.lock ??= message.lockToken
          return state.lock === message.lockToken && message.retryAttempt === 0
            ? act(behaviourOf(message.messageId), state)
            : Effect.succeed(undefined)
        }
        const processor = size === 0
          ? yield* ServiceBusProcessor.make(
            receiver,
            (_, message) => Effect.andThen(entered, said(message)),
            options
          )
          : yield* ServiceBusProcessor.makeBatched(
            receiver,
            (messages) =>
              Effect.andThen(
                entered,
                Effect.forEach(
                  messages,
                  (message) => Effect.map(said(message), (settlement) => settlement ?? Settlement.complete)
                )
              ),
            { ...options, size, within: "1 second" }
          )
        const send = Effect.suspend(() => {
          const from = sent
          sent += behaviours.length
          return emulator.send(Texts, texts(behaviours.length, from))
        })
        yield* send
        for (const step of steps) {
          switch (step) {
            case "pause":
              yield* passing(processor.pause)
              break
            case "resume":
              yield* processor.resume
              break
            case "send":
              yield* send
              break
            case "wait":
            case "wait long":
              yield* emulator.idle
              yield* TestClock.adjust(step === "wait" ? "2 seconds" : "21 seconds")
              break
            default:
              limit = Math.max(limit, Number(step))
              yield* processor.setConcurrency(Number(step))
              // Those that are at work already go on.
              limit = Math.max(running + between, Number(step))
          }
          yield* emulator.idle
        }
        const report = yield* passing(processor.drain, "1 second")
        assert.strictEqual(report.received, report.settled + report.released + report.expired)
        assert.strictEqual(
          report.settled,
          report.completed + report.abandoned + report.deferred + report.deadLettered + report.retried
        )
        assert.strictEqual(running, 0)
        assert.deepStrictEqual(tooMany, [])
        // What is left to its lock is known once that has ended.
        yield* emulator.idle
        yield* TestClock.adjust("11 seconds")
        yield* emulator.idle
        const counters = yield* emulator.counters(Texts)
        assert.isAtLeast(counters.abandoned, report.abandoned)
        assert.deepStrictEqual({
          delivered: counters.delivered,
          completed: counters.completed,
          deferred: counters.deferred,
          deadLettered: counters.deadLettered,
          // What its handler had and could not settle is given back as a failed delivery.
          back: counters.abandoned + counters.released,
          lockExpired: counters.lockExpired
        }, {
          delivered: report.received,
          completed: report.completed + report.retried,
          deferred: report.deferred,
          deadLettered: report.deadLettered,
          back: report.abandoned + report.released,
          lockExpired: report.expired
        })
        const left = (yield* emulator.messages(Texts)).length + (yield* emulator.deadLetters(Texts)).length
        assert.strictEqual(left, sent - report.completed)
      }).pipe(Effect.scoped, Effect.provide(broker)),
    { timeout: 120_000, arbitrary: { seed: 11, runs: 200 } }
  )
})
