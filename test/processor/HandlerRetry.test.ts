/** A handler that failed is run again in place, by a policy as `Effect.retry` takes it. */
import { ServiceBusError, ServiceBusProcessor, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import {
  both,
  failsWith,
  type LayerFor,
  type Name,
  passing,
  reached,
  testsWith,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"

type Retry = NonNullable<ServiceBusProcessor.RetryOption<number>["retry"]>

/** Runs of a handler that fails with their number, until it is not run again; then its message is dead-lettered. */
const runsOf = (retry: Retry) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const clock = yield* Clock.Clock
    const causes: Array<Cause.Cause<number>> = []
    const at: Array<number> = []
    yield* emulator.send(Texts, texts(1))
    const processor = yield* ServiceBusProcessor.make(
      Texts,
      () => Effect.suspend(() => Effect.fail(at.push(clock.currentTimeMillisUnsafe()))),
      {
        retry,
        onFailure: (cause) => {
          causes.push(cause)
          return Settlement.deadLetter()
        }
      }
    )
    yield* passing(reached(processor, ({ deadLettered }) => deadLettered === 1))
    yield* passing(processor.drain)
    return { runs: at.length, causes, at }
  }).pipe(Effect.scoped)

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    const policies: ReadonlyArray<readonly [what: string, Retry, runs: number]> = [
      ["times", { times: 2 }, 3],
      ["no times", { times: 0 }, 1],
      ["while", { while: (run) => run < 4 }, 4],
      ["while, by an Effect", { while: (run) => Effect.succeed(run < 4) }, 4],
      ["until", { until: (run) => run === 5 }, 5],
      ["until, by an Effect", { until: (run) => Effect.succeed(run === 5) }, 5],
      ["a schedule among others", { schedule: Schedule.recurs(5), times: 3, while: (run) => run < 3 }, 3],
      ["a schedule in a policy", { schedule: Schedule.recurs(5) }, 6],
      ["a schedule by itself", Schedule.recurs(1), 2]
    ]
    for (const [what, retry, runs] of policies) {
      test(`${what}: run ${runs} times, and onFailure is asked once, with the last error`, () =>
        Effect.gen(function*() {
          const { causes, runs: ran } = yield* runsOf(retry)
          assert.strictEqual(ran, runs)
          assert.deepStrictEqual(causes, [Cause.fail(runs)])
        }))
    }

    clock("times and a schedule: as often as the one says, when the other does", () =>
      Effect.gen(function*() {
        const { at } = yield* runsOf({ times: 2, schedule: Schedule.spaced("10 seconds") })
        assert.deepStrictEqual(at.map((time) => time - at[0]!), [0, 10_000, 20_000])
      }))

    for (const predicate of ["while", "until"] as const) {
      test(`${predicate} that throws, or gives what is no boolean, is a defect: onFailure is asked`, () =>
        Effect.gen(function*() {
          const defect = new Error("thrown by a predicate")
          const thrown = yield* runsOf({
            [predicate]: () => {
              throw defect
            }
          })
          assert.strictEqual(thrown.runs, 1)
          assert.strictEqual(Cause.squash(thrown.causes[0]!), defect)
          const wrong = yield* runsOf({ [predicate]: () => Promise.resolve(true) as never })
          assert.strictEqual(wrong.runs, 1)
          const error = Cause.squash(wrong.causes[0]!)
          assert.instanceOf(error, ServiceBusError.InvalidOptionError)
          assert.deepInclude(error, { option: `retry.${predicate}`, entity: "texts" })
        }))
    }

    test("handlers of batches and of sessions are run again as well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        let runs = 0
        const failing = Effect.suspend(() => ++runs % 3 === 0 ? Effect.void : Effect.fail("passes"))
        const retry = { times: 2, while: (error: string) => error === "passes" }
        const batches = yield* ServiceBusProcessor.makeBatched(Texts, () => failing, { size: 2, retry })
        yield* emulator.send(Texts, texts(1))
        yield* passing(reached(batches, ({ completed }) => completed === 1))
        const sessions = yield* ServiceBusProcessor.makeSessions(Carts, () => failing, { retry })
        yield* emulator.send(Carts, [{ body: "1", sessionId: "a" }])
        yield* passing(until(Effect.map(sessions.counts, ({ completed }) => completed === 1)))
        assert.strictEqual(runs, 6)
        assert.strictEqual((yield* sessions.counts).failed, 0)
      }))

    test("what is no policy is refused by its name, before anything is attached", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const wrong: ReadonlyArray<readonly [retry: unknown, option: string]> = [
          [{}, "retry"],
          [{ times: undefined }, "retry"],
          [3, "retry"],
          [null, "retry"],
          [() => 5, "retry"],
          [[], "retry"],
          [{ times: -1 }, "retry.times"],
          [{ times: 1.5 }, "retry.times"],
          [{ times: "3" }, "retry.times"],
          [{ while: true }, "retry.while"],
          [{ until: 5 }, "retry.until"],
          [{ schedule: "1 second" }, "retry.schedule"]
        ]
        const handler = () => Effect.fail("no")
        for (const [retry, option] of wrong) {
          const options = { size: 1, retry: retry as never }
          for (
            const made of [
              ServiceBusProcessor.process(Texts, handler, options),
              ServiceBusProcessor.processBatched(Texts, handler, options),
              ServiceBusProcessor.processSessions(Carts, handler, { retry: retry as never })
            ]
          ) assert.strictEqual((yield* made.pipe(failsWith("InvalidOptionError"))).option, option)
        }
        assert.strictEqual(yield* emulator.connections, 0)
      }))
  })

describe("A handler that is run again in place", () => both(suite))
