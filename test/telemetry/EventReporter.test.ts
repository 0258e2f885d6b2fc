/** At which level an event is logged, and in whose name. */
import { ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { Lines } from "../support/eventRecorder.ts"
import { inMemory, passing, reached, testsOf, Texts, texts } from "../support/harness.ts"
import { recorder } from "../support/spanRecorder.ts"
import { assert, describe } from "../support/vitest.ts"

const { test } = testsOf("in memory", inMemory)

describe("The level of an event", () => {
  test("is the processor's, then the client's, then its own", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const lines = yield* Lines
      const run = (logLevel: ServiceBusProcessor.Options<string, never>["logLevel"]) =>
        Effect.scoped(Effect.gen(function*() {
          yield* emulator.send(Texts, texts(1))
          const processor = yield* ServiceBusProcessor.make(Texts, () => Effect.fail("no"), {
            onFailure: () => Settlement.complete,
            logLevel
          })
          yield* passing(reached(processor, ({ completed }) => completed === 1))
        }))
      yield* run("Fatal")
      yield* run(() => "Error")
      yield* run(() => undefined)
      yield* run(undefined)
      assert.deepStrictEqual(lines.map(({ level }) => level), ["Fatal", "Error", "Info", "Info"])
    }), { client: { logLevel: (event) => event._tag === "ProcessorError" ? "Info" : undefined } })
})

/** The annotations and the span of what is logged. */
const origins = () => {
  const seen: Array<readonly [annotation: unknown, span: string | undefined]> = []
  const logger = Logger.make(({ fiber, logLevel }) => {
    if (logLevel !== "Warn") return
    const span = fiber.cache.span
    seen.push([
      fiber.getRef(References.CurrentLogAnnotations)["job"],
      span?._tag === "Span" ? span.name : undefined
    ])
  })
  return { seen, layer: Logger.layer([logger]) }
}

describe("The line of an event", () => {
  test("that a caller's operation causes has the annotations and the span of the caller", () => {
    const { layer, seen } = origins()
    return Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(2))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [first, second] = yield* receiver.receive({ max: 2 })
      const long = { reason: "r".repeat(5000) }
      const token = yield* receiver.handOver(second!)
      yield* Effect.andThen(
        receiver.deadLetter(first!, long),
        ServiceBusReceiver.settleByToken(Texts, [token], Settlement.deadLetter(long))
      ).pipe(Effect.withSpan("clean up"), Effect.annotateLogs("job", "nightly"))
      assert.deepStrictEqual(seen, [["nightly", "clean up"], ["nightly", "clean up"]])
    }).pipe(Effect.provide(layer), Effect.annotateLogs("job", "of the receiver"))
  })

  test("of a handler that failed has the span in which the handler ran", () => {
    const { layer, seen } = origins()
    return Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const processor = yield* ServiceBusProcessor.make(Texts, () => Effect.fail("no"), {
        onFailure: () => Settlement.complete
      })
      yield* passing(reached(processor, ({ completed }) => completed === 1))
      assert.deepStrictEqual(seen, [["of the processor", "process texts"]])
    }).pipe(
      Effect.provide(layer),
      Effect.provideService(Tracer.Tracer, recorder().tracer),
      Effect.annotateLogs("job", "of the processor")
    )
  })
})
