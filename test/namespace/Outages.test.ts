/** What is heard of a namespace that is lost, throttles or refuses a token: once for as long as it lasts. */
import {
  ServiceBusClient,
  ServiceBusError,
  ServiceBusEvent,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { Outages } from "../../src/internal/namespace/Outages.ts"
import { Lines, listen, only, texts as linesOf } from "../support/eventRecorder.ts"
import {
  both,
  failsWith,
  inMemory,
  type LayerFor,
  linkOf,
  type Name,
  passing,
  reached,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("a connection that is lost and opened again: a warning, and a line when it is well", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const processor = yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
        yield* emulator.send(Texts, texts(1))
        yield* reached(processor, ({ completed }) => completed === 1)
        yield* emulator.dropConnections
        yield* emulator.send(Texts, texts(1, 1))
        yield* passing(reached(processor, ({ completed }) => completed === 2))
        yield* until(Effect.sync(() => only(events, "LinkRecovered").length === 1))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: The connection to Service Bus is lost; what needs one opens it again",
          "Info: Connected to Service Bus again"
        ])
        assert.deepInclude(lines[0]!.error as object, { _tag: "ServiceBusConnectionError" })
        assert.hasAllKeys(lines[0]!.annotations, ["namespace", "identifier"])
        assert.deepStrictEqual(
          events.filter(({ _tag }) => _tag !== "LinkRecovered").map(({ _tag }) => _tag),
          ["Connected", "ConnectionLost", "LinkLost", "Connected"]
        )
        assert.deepStrictEqual(only(events, "Connected").map(({ isAgain }) => isAgain), [false, true])
        assert.deepInclude(only(events, "LinkRecovered")[0]!, { entity: "texts", failures: 0 })
      }))

    clock("an outage: one warning that it cannot be reached, however often it is tried", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const processor = yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
        yield* emulator.stop
        yield* passing(Effect.sleep("2 seconds"))
        yield* passing(until(Effect.sync(() => only(events, "ConnectFailed").length === 1)))
        yield* passing(Effect.sleep("1 second"))
        yield* emulator.start
        yield* emulator.send(Texts, texts(1))
        yield* passing(reached(processor, ({ completed }) => completed === 1), "1 second")
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: The connection to Service Bus is lost; what needs one opens it again",
          "Warn: Service Bus cannot be reached; connecting is tried again",
          "Info: Connected to Service Bus again"
        ])
      }))

    test("a namespace that cannot be reached at the start", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.stop
        const making = yield* start(ServiceBusReceiver.make(Texts))
        yield* passing(until(Effect.sync(() => lines.length === 1)))
        yield* emulator.start
        yield* passing(until(Effect.sync(() => making.pollUnsafe() !== undefined)), "1 second")
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: Service Bus cannot be reached; connecting is tried again",
          "Info: Connected to Service Bus again"
        ])
      }), { client: { retry: { maxRetries: 100, maxDelay: "1 second" } } })

    test("what fails for good is for its caller alone", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* emulator.stop
        yield* Effect.exit(ServiceBusSender.make(Texts))
        yield* emulator.start
        yield* failsWith("MessagingEntityNotFoundError")(ServiceBusReceiver.make("missing"))
        assert.deepStrictEqual(lines, [])
      }), { client: { retry: { maxRetries: 0 } } })

    test("an entity that cannot be attached for now", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const processor = yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
        yield* emulator.fail({ operation: "attach", error: { condition: "amqp:resource-limit-exceeded" }, times: 3 })
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" })
        yield* emulator.send(Texts, texts(1))
        const goesOn = Effect.as(reached(processor, ({ completed }) => completed === 1), true)
        assert.isTrue(yield* passing(Effect.raceFirst(goesOn, Effect.as(processor.stopped, false))))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A receiver cannot be attached to its entity; it is tried again",
          "Info: A receiver is attached to its entity again"
        ])
        assert.deepInclude(lines[0]!.annotations, { entity: "texts" })
        assert.deepInclude(lines[0]!.error as object, { _tag: "ServiceBusQuotaExceededError" })
        yield* until(Effect.sync(() => only(events, "LinkRecovered").length === 1))
        const [recovered] = only(events, "LinkRecovered")
        assert.deepInclude(recovered!, { entity: "texts", failures: 3 })
        assert.isAbove(Duration.toMillis(recovered!.away), 0)
      }))

    test("a receiver that is closed has lost nothing", () =>
      Effect.gen(function*() {
        const events = yield* listen
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* Effect.scoped(Effect.gen(function*() {
          const closing = yield* ServiceBusReceiver.make(Texts)
          yield* ServiceBusProcessor.make(closing, () => Effect.void)
        }))
        // Its connection goes on, or is closed with it.
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Connected"])
        assert.isUndefined(linkOf(receiver).dead())
        yield* Effect.scoped(ServiceBusReceiver.make(Texts))
        yield* until(Effect.sync(() => events.length > 0))
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Connected"])
      }))

    test("an outage with several faces: one warning for each", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const processor = yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
        for (let i = 0; i < 12; i++) {
          const condition = i % 2 === 0 ? "amqp:internal-error" : "com.microsoft:timeout"
          yield* emulator.fail({ operation: "attach", error: { condition }, times: 1 })
        }
        yield* emulator.detachLinks({ condition: "amqp:link:detach-forced" })
        yield* emulator.send(Texts, texts(1))
        yield* passing(reached(processor, ({ completed }) => completed === 1))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: A receiver cannot be attached to its entity; it is tried again",
          "Warn: A receiver cannot be attached to its entity; it is tried again",
          "Info: A receiver is attached to its entity again"
        ])
      }), { client: { retry: { delay: 1, maxDelay: 2 } } })

    test("what an outage may have to say has an end, and a credential that is refused in several ways says each once", () =>
      Effect.gen(function*() {
        const reported: Array<string> = []
        const reporter = { report: ({ _tag }: { readonly _tag: string }) => void reported.push(_tag) }
        const outages = new Outages(Object.assign(reporter, { within: () => reporter }) as never)
        const failing = (condition: string) => new ServiceBusError.ServiceBusConnectionError({ condition })
        for (let i = 0; i < 200; i++) {
          outages.connectFailed(failing(String(i % 100)))
          outages.retried()
        }
        assert.deepStrictEqual(reported.splice(0), Array.from({ length: 16 }, () => "ConnectFailed"))
        outages.connected()
        outages.connectFailed(failing("0"))
        outages.retried()
        assert.deepStrictEqual(reported.splice(0), ["Connected", "ConnectFailed"])
        const refusals = (["provider", "token"] as const).map((reason) =>
          new ServiceBusError.CredentialError({ operation: "authorize", reason, description: reason })
        )
        for (let i = 0; i < 10; i++) outages.tokenRefused("texts", refusals[i % 2]!, false)
        outages.tokenAccepted("texts")
        outages.tokenRefused("texts", refusals[0]!, false)
        assert.deepStrictEqual(reported, ["CredentialRefused", "CredentialRefused", "CredentialRefused"])
      }))

    test("entities whose tokens are refused are remembered, the last thousand", () =>
      Effect.sync(() => {
        const reported: Array<string | undefined> = []
        const reporter = {
          within: ({ entity }: { readonly entity?: string }) => ({ report: () => void reported.push(entity) })
        }
        const outages = new Outages(reporter as never)
        const refuse = (i: number) =>
          outages.tokenRefused(`q${i}`, new ServiceBusError.ServiceBusAuthenticationError({}), false)
        for (let i = 0; i <= 1_000; i++) refuse(i)
        assert.lengthOf(reported.splice(0), 1_001)
        for (let i = 1_000; i > 0; i--) refuse(i)
        assert.deepStrictEqual(reported, [])
        refuse(0)
        assert.deepStrictEqual(reported, ["q0"])
      }))

    clock("an idle link and an idle connection are nothing to speak of", () =>
      Effect.gen(function*() {
        const lines = yield* Lines
        const events = yield* listen
        yield* Effect.scoped(Effect.gen(function*() {
          const alone = yield* ServiceBusSender.make(Texts)
          yield* TestClock.adjust("35 minutes")
          assert.deepStrictEqual(only(events, "ConnectionLost").map(({ isIdle }) => isIdle), [true])
          yield* alone.send({ body: "" })
          assert.deepStrictEqual(only(events, "Connected").map(({ isAgain }) => isAgain), [false, false])
        }))
        yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
        const sender = yield* ServiceBusSender.make(Texts)
        yield* TestClock.adjust("35 minutes")
        assert.isDefined(linkOf(sender).dead())
        assert.isAtLeast(only(events, "LinkLost").length, 3)
        assert.isAtLeast(only(events, "LinkRecovered").length, 3)
        assert.deepStrictEqual(lines, [])
      }))

    clock("a link that is lost again and again, soon after it was attached", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
        for (let i = 0; i < 5; i++) {
          yield* emulator.detachLinks({ condition: "amqp:internal-error" })
          yield* passing(Effect.sleep("2 seconds"), "1 second")
        }
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: The link of a receiver is lost again and again, soon after it was attached; that is tried further"
        ])
        assert.deepInclude(lines[0]!.annotations, { source: "receive", entity: "texts" })
      }))

    clock(
      "links that are lost with their connection, again and again: the connections are told of, not the links",
      () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const lines = yield* Lines
          const events = yield* listen
          yield* ServiceBusProcessor.make(Texts, () => Effect.void)
          for (let i = 1; i <= 5; i++) {
            yield* emulator.dropConnections
            yield* passing(until(Effect.sync(() => only(events, "LinkRecovered").length === i)))
          }
          assert.deepStrictEqual([...new Set(linesOf(lines))], [
            "Warn: The connection to Service Bus is lost; what needs one opens it again",
            "Info: Connected to Service Bus again"
          ])
        })
    )

    clock("throttling: once, with the advice", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({
          operation: "send",
          error: { condition: "com.microsoft:server-busy", description: "Please wait 7 seconds and try again." },
          times: 2
        })
        yield* Effect.forEach(texts(2), sender.send, { concurrency: 2 }).pipe((send) => passing(send, "1 second"))
        assert.deepStrictEqual(linesOf(lines), [
          "Warn: The service is too busy; all operations of this client wait for 7s"
        ])
        assert.strictEqual(Duration.toMillis(only(events, "Throttled")[0]!.advice), 7_000)
        assert.deepInclude(lines[0]!.annotations, { entity: "texts" })
      }))

    test("the level is an option, whatever it gives", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const lines = yield* Lines
        const events = yield* listen
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, (_, { messageId }) => Effect.fail(messageId), {
          onFailure: () => Settlement.complete
        })
        yield* emulator.send(Texts, texts(4))
        yield* passing(reached(processor, ({ completed }) => completed === 4))
        yield* until(Effect.sync(() => only(events, "ProcessorError").length === 4))
        assert.deepStrictEqual(lines.map(({ annotations, level, text }) => [annotations["messageId"], level, text]), [
          ["0", "Fatal", "A handler failed; its message is completed"],
          ["2", "Warn", "A handler failed; its message is completed"],
          ["3", "Warn", "A handler failed; its message is completed"]
        ])
      }), {
      client: {
        logLevel: (event) => {
          if (event._tag !== "ProcessorError") return ServiceBusEvent.defaultLogLevel(event)
          // What it writes is nobody else's.
          Reflect.set(event, "message", "written by a level")
          if (event.messageId === "0") return "Fatal"
          if (event.messageId === "1") return "None"
          if (event.messageId === "2") return "nonsense" as "Warn"
          throw new Error("a bug")
        }
      }
    })
  })

describe("What is heard of a namespace", () => both(suite))

const client = { identifier: "test" } as const

describe("The events of a client", () => {
  const { test } = testsOf("in memory", inMemory)

  test("are the latest 1,024 for a listener that is slow, and hold nothing back", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const { events } = yield* ServiceBusClient.ServiceBusClient
      const latch = yield* Latch.make()
      const seen: Array<string> = []
      yield* events.pipe(
        Stream.filter((event) => event._tag === "ProcessorError"),
        Stream.runForEach((event) => Effect.andThen(Effect.sync(() => void seen.push(event.messageId!)), latch.await)),
        Effect.forkScoped({ startImmediately: true })
      )
      const processor = yield* ServiceBusProcessor.make(
        yield* ServiceBusReceiver.make(Texts),
        () => Effect.fail("no"),
        { concurrency: 100, onFailure: () => Settlement.complete, logLevel: "None" }
      )
      yield* emulator.send(Texts, texts(1))
      yield* passing(reached(processor, ({ completed }) => completed === 1))
      yield* until(Effect.sync(() => seen.length === 1))
      yield* emulator.send(Texts, texts(2000, 1))
      yield* passing(reached(processor, ({ completed }) => completed === 2001))
      assert.lengthOf(seen, 1)
      yield* latch.open
      yield* until(Effect.sync(() => seen.at(-1) === "2000"))
      assert.lengthOf(seen, 1 + 1024)
      assert.strictEqual(seen[1], String(2001 - 1024))
    }))

  it.effect("end with its scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(inMemory({ entities: [Emulator.entity(Texts)] }, client), scope)
      const { events } = Context.get(context, ServiceBusClient.ServiceBusClient)
      const before = yield* start(Stream.runCollect(events))
      yield* Effect.scoped(ServiceBusSender.make(Texts)).pipe(Effect.provideContext(context))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual((yield* Fiber.join(before)).map(({ _tag }) => _tag), ["Connected"])
      assert.deepStrictEqual(yield* Stream.runCollect(events), [])
    }))

  test("are counted, by their kind and source", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const processor = yield* ServiceBusProcessor.make(
        yield* ServiceBusReceiver.make(Texts),
        () => Effect.fail("no"),
        { onFailure: () => Settlement.complete, logLevel: "None" }
      )
      yield* emulator.send(Texts, texts(3))
      yield* passing(reached(processor, ({ completed }) => completed === 3))
      yield* processor.drain
      // Another consumer of the entity counts on.
      const other = yield* ServiceBusProcessor.make(Texts, () => Effect.fail("no"), {
        onFailure: () => Settlement.complete,
        logLevel: "None"
      })
      yield* emulator.send(Texts, texts(2))
      yield* passing(reached(other, ({ completed }) => completed === 2))
      const counted = (yield* Metric.snapshot).filter(({ attributes, id }) =>
        id === "servicebus.events" && attributes?.["messaging.destination.name"] === "texts"
      )
      assert.lengthOf(counted, 1)
      assert.deepInclude(counted[0]!.attributes!, {
        event: "ProcessorError",
        source: "handler",
        "messaging.system": "servicebus"
      })
      assert.deepInclude(counted[0]!.state, { count: 5 })
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))

  test("are logged by loggers that throw, and harm nothing", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const processor = yield* ServiceBusProcessor.make(
        yield* ServiceBusReceiver.make(Texts),
        () => Effect.fail("no"),
        { onFailure: () => Settlement.complete }
      )
      yield* emulator.send(Texts, texts(3))
      yield* passing(reached(processor, ({ completed }) => completed === 3))
    }).pipe(Effect.provide(Logger.layer([Logger.make(() => {
      throw new Error("a logger's bug")
    })]))))
})
