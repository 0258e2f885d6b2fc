/** A schedule says how often and when an operation is tried again; whether it is, its error says. */
import { ServiceBusClient, type ServiceBusError, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Lines } from "../support/eventRecorder.ts"
import { failsWith, inMemory, passing, start, testsOf, Texts, texts } from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const forced = { condition: "com.microsoft:operation-cancelled" }

const withRetry = (retry: ServiceBusClient.CommonOptions["retry"]) => ({ client: { retry } })

describe("A schedule as retry", () => {
  const { test } = testsOf("in memory", inMemory)

  /** What a send comes to where so many tries are refused, and when, in milliseconds. */
  const sent = (refusals: number, error = forced) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      yield* emulator.fail({ operation: "send", error, times: refusals })
      const began = yield* Clock.currentTimeMillis
      const timed = Effect.all([Effect.result(sender.send({ body: "a" })), Clock.currentTimeMillis])
      const [exit, ended] = yield* passing(timed)
      return { exit, took: ended - began }
    })

  test("has its own delays, without jitter, and its own number", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* sent(2)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(took, 4_000)
    }), withRetry(Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 2 }))))

  test("that has ended lets the error of the last try through", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* sent(10)
      assert(exit._tag === "Failure")
      assert.strictEqual((exit.failure as ServiceBusError.ServiceBusError).attempts, 3)
      assert.strictEqual(took, 4_000)
    }), withRetry(Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times: 2 }))))

  test("that ends at once tries nothing again", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* sent(1)
      assert(exit._tag === "Failure")
      assert.strictEqual((exit.failure as ServiceBusError.ServiceBusError).attempts, 1)
      assert.strictEqual(took, 0)
    }), withRetry(Schedule.recurs(0)))

  test("that never ends goes on until it succeeds", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* sent(150)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(took, 150_000)
    }), withRetry(Schedule.spaced("1 second")))

  test("is not asked about an error that no later try can change", () =>
    Effect.gen(function*() {
      const { exit, took } = yield* sent(1, { condition: "com.microsoft:argument-error" })
      assert.strictEqual(exit._tag, "Failure")
      assert.strictEqual(took, 0)
    }), withRetry(Schedule.spaced("1 second")))

  test(
    "is given the errors",
    () =>
      Effect.gen(function*() {
        const { exit } = yield* sent(1, { condition: "com.microsoft:server-busy" })
        assert(exit._tag === "Failure")
        assert.strictEqual(exit.failure._tag, "ServiceBusServerBusyError")
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* sent(1)).exit._tag, "Success")
      }),
    withRetry(
      Schedule.spaced("1 second").pipe(
        Schedule.setInputType<ServiceBusError.Any>(),
        Schedule.while(({ input }) => input._tag === "ServiceBusError")
      )
    )
  )

  test("waits for what the service advises all the same", () =>
    Effect.gen(function*() {
      const description = "The entity is being throttled. Please wait 7 seconds and try again."
      const { exit, took } = yield* sent(1, { condition: "com.microsoft:server-busy", description } as never)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(took, 7_000)
    }), withRetry(Schedule.spaced("1 second")))

  test("is begun anew for each operation", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* sent(1)).exit._tag, "Success")
    }), withRetry(Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 1 }))))

  test("does not end a stream", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const fiber = yield* start(receiver.messages.pipe(Stream.take(1), Stream.runCollect))
      yield* emulator.idle
      yield* emulator.fail({ operation: "attach", entity: Texts, error: forced, times: 5 })
      yield* emulator.dropConnections
      yield* emulator.send(Texts, texts(1))
      assert.lengthOf(yield* passing(Fiber.join(fiber), "1 second"), 1)
    }), withRetry(Schedule.recurs(0)))

  const refused = (condition: string) =>
    Effect.flatMap(
      Emulator.Emulator,
      (emulator) => emulator.fail({ operation: "attach", entity: Texts, error: { condition }, times: 1 })
    )

  /** What is said of a receiver that cannot be attached, with the condition that the try was refused with. */
  const said = Effect.gen(function*() {
    const lines = yield* Lines
    yield* refused("com.microsoft:operation-cancelled")
    yield* refused("amqp:internal-error")
    const exit = yield* passing(Effect.exit(ServiceBusReceiver.make(Texts)))
    assert.strictEqual(exit._tag, "Failure")
    return lines.map(({ error, text }) => [text, (error as ServiceBusError.ServiceBusError).condition])
  })

  const again = "A receiver cannot be attached to its entity; it is tried again"

  test(
    "that ends at once has nothing said to be tried again: what fails is for its caller alone",
    () => Effect.map(said, (lines) => assert.deepStrictEqual(lines, [])),
    withRetry(Schedule.recurs(0))
  )

  for (const [how, retry] of [["a schedule", Schedule.recurs(1)], ["a number", { maxRetries: 1 }]] as const) {
    test(
      `by ${how} says of each try that is made again that it is, and not of the last`,
      () => Effect.map(said, (lines) => assert.deepStrictEqual(lines, [[again, "com.microsoft:operation-cancelled"]])),
      withRetry(retry)
    )
  }

  test("must be a schedule, or options", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (const retry of [5, "exponential", Schedule.spaced, [Schedule.recurs(1)]]) {
        const error = yield* failsWith("InvalidOptionError")(Effect.scoped(
          ServiceBusClient.ServiceBusClient.pipe(
            Effect.provide(ServiceBusClient.layerConnectionString(emulator.connectionString, { retry: retry as never }))
          )
        ))
        assert.strictEqual(error.option, "retry")
      }
    }))
})
