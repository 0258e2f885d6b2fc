/** Processors that own their receivers: as layers and as services, from their start to their end. */
import {
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import {
  both,
  failsWith,
  type LayerFor,
  linkOf,
  type Name,
  Orders,
  OrderTexts,
  passing,
  reached,
  soon,
  start,
  testsWith,
  Texts,
  texts,
  until
} from "./support/harness.ts"
import { Carts } from "./support/sessionEntities.ts"
import { assert, describe } from "./support/vitest.ts"

/** What is logged as an error: its text, its cause and its annotations. */
const errors = () => {
  const lines: Array<{
    readonly message: unknown
    readonly cause: Cause.Cause<unknown>
    readonly annotations: Readonly<Record<string, unknown>>
  }> = []
  const logger = Logger.make(({ cause, fiber, logLevel, message }) => {
    if (logLevel === "Error") {
      lines.push({ message, cause, annotations: fiber.getRef(References.CurrentLogAnnotations) })
    }
  })
  return { lines, layer: Logger.layer([logger]) }
}

/** The entity is deleted, as far as those can tell who attach to it. */
const gone = (entity: ServiceBusEntity.Receivable<unknown>) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const error = { condition: "amqp:not-found", description: "deleted" }
    yield* emulator.fail({ operation: "attach", entity: entity.path, error, times: Infinity })
    yield* emulator.detachLinks(error, entity)
  })

const completed = (entity: ServiceBusEntity.Receivable<unknown>, count: number) =>
  Effect.flatMap(
    Emulator.Emulator,
    (emulator) => until(Effect.map(emulator.counters(entity), (counters) => counters.completed === count))
  )

class Reader extends Context.Service<Reader>()("test/Reader", {
  make: ServiceBusProcessor.make(Texts, () => Effect.void, { concurrency: 4 })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

class Packer extends Context.Service<Packer>()("test/Packer", {
  make: ServiceBusProcessor.makeBatched(Orders, () => Effect.void, { size: 10 })
}) {
  static readonly layer = Layer.effect(this, this.make)
}

class Shop extends Context.Service<Shop>()("test/Shop", {
  make: ServiceBusProcessor.makeSessions(Carts, () => Effect.void)
}) {
  static readonly layer = Layer.effect(this, this.make)
}

class Ink extends Context.Service<Ink, { readonly use: Effect.Effect<void> }>()("test/Ink") {}

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsWith(name, layerFor, [Emulator.entity(Carts)])

    test("layers handle what comes, each on a receiver of its own, with the services that their handlers need", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        let used = 0
        const workers = Layer.mergeAll(
          ServiceBusProcessor.layer(Texts, () => Ink.use((ink) => ink.use), { concurrency: 4 }),
          ServiceBusProcessor.layerBatched(Orders, () => Ink.use((ink) => ink.use), {
            size: 5
          }),
          ServiceBusProcessor.layerSessions(Carts, () => Ink.use((ink) => ink.use))
        ).pipe(Layer.provide(Layer.succeed(Ink, { use: Effect.sync(() => void used++) })))
        yield* Layer.build(workers)
        yield* emulator.send(Texts, texts(20))
        yield* emulator.send(Orders, [{ body: { id: "1", total: 1 } }])
        yield* emulator.send(Carts, [{ body: "1", sessionId: "a" }])
        yield* passing(Effect.all([completed(Texts, 20), completed(Orders, 1)]))
        yield* passing(until(Effect.map(emulator.counters(Carts as never), (counters) => counters.completed === 1)))
        assert.strictEqual(used, 22)
      }))

    test("a layer that closes drains, then closes its receiver, and nobody else's", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const bystander = yield* ServiceBusReceiver.make(Orders)
        const { connection } = linkOf(bystander)
        const sessions = () => Object.keys(connection.rhea.local_channel_map).length
        const before = sessions()
        const scope = yield* Scope.make()
        const begun = yield* Latch.make()
        const gate = yield* Latch.make()
        yield* Layer.build(
          ServiceBusProcessor.layer(Texts, () => Effect.andThen(begun.open, gate.await).pipe(Effect.asVoid))
        ).pipe(Scope.provide(scope))
        yield* emulator.send(Texts, texts(3))
        yield* begun.await
        const closing = yield* start(Scope.close(scope, Exit.void))
        yield* emulator.idle
        assert.isUndefined(closing.pollUnsafe())
        yield* gate.open
        yield* Fiber.join(closing)
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 1 })
        yield* until(Effect.sync(() => sessions() === before))
        // What it had not begun is there for others, and counts as no failed delivery.
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const rest = yield* receiver.receive({ max: 3, maxWaitAfterFirst: "100 millis" }).pipe(passing)
        assert.deepStrictEqual(rest.map(({ deliveryCount }) => deliveryCount), [0, 0])
        yield* emulator.send(Orders, [{ body: { id: "1", total: 1 } }])
        assert.lengthOf(yield* bystander.receive(), 1)
      }))

    clock("a layer that closes interrupts what is not done within drainTimeout", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const begun = yield* Latch.make()
        let interrupted = 0
        const fiber = yield* start(Layer.launch(ServiceBusProcessor.layer(
          Texts,
          () =>
            Effect.andThen(begun.open, Effect.never).pipe(
              Effect.onInterrupt(() => Effect.sync(() => void interrupted++))
            ),
          { drainTimeout: "10 seconds" }
        )))
        yield* emulator.send(Texts, texts(1))
        yield* begun.await
        const stopping = yield* start(Fiber.interrupt(fiber))
        yield* passing(Effect.sleep("9 seconds"), "1 second")
        assert.strictEqual(interrupted, 0)
        yield* passing(Fiber.join(stopping), "1 second")
        assert.strictEqual(interrupted, 1)
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("a layer of what is missing, or with options out of range, is not built; the latter attaches nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const build = <E>(layer: Layer.Layer<never, E, Ink | Layer.Success<ReturnType<LayerFor>>>) =>
          Effect.scoped(Layer.build(layer)).pipe(Effect.provideService(Ink, { use: Effect.void }))
        const refused = <E>(layer: Layer.Layer<never, E, Ink | Layer.Success<ReturnType<LayerFor>>>) =>
          Effect.map(failsWith("InvalidOptionError")(build(layer)), ({ option }) => option)
        const handler = () => Effect.void
        assert.strictEqual(yield* refused(ServiceBusProcessor.layer(Texts, handler, { concurrency: 0 })), "concurrency")
        assert.strictEqual(yield* refused(ServiceBusProcessor.layer(Texts, 5 as never)), "handler")
        assert.strictEqual(yield* refused(ServiceBusProcessor.layer(5 as never, handler)), "receiver")
        const undecodable = { undecodable: "fail" as never }
        assert.strictEqual(yield* refused(ServiceBusProcessor.layer(Texts, handler, undecodable)), "undecodable")
        assert.strictEqual(
          yield* refused(ServiceBusProcessor.layerSessions(Carts, handler, undecodable)),
          "undecodable"
        )
        assert.strictEqual(
          yield* refused(ServiceBusProcessor.layer(Texts, handler, { renewalBatch: 0 })),
          "renewalBatch"
        )
        assert.strictEqual(yield* refused(ServiceBusProcessor.layerBatched(Texts, handler, { size: 0 })), "size")
        const sessions = ServiceBusProcessor.layerSessions(Carts, handler, { concurrentSessions: 0 })
        assert.strictEqual(yield* refused(sessions), "concurrentSessions")
        const junk = { stopped: Effect.never as never, size: 1 }
        assert.strictEqual(yield* refused(ServiceBusProcessor.layer(Texts, handler, junk)), "stopped")
        assert.strictEqual(yield* refused(ServiceBusProcessor.layerBatched(Texts, handler, junk)), "stopped")
        assert.strictEqual(yield* refused(ServiceBusProcessor.layerSessions(Carts, handler, junk)), "stopped")
        assert.strictEqual(yield* emulator.connections, 0)
        const Missing = ServiceBusEntity.queue("missing", { body: Texts.body })
        yield* build(ServiceBusProcessor.layer(Missing, handler)).pipe(failsWith("MessagingEntityNotFoundError"))
        yield* build(ServiceBusProcessor.layerBatched(Missing, handler, { size: 1 })).pipe(
          failsWith("MessagingEntityNotFoundError")
        )
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("its receiver is made with the receiver's options", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(OrderTexts, [{ body: "no order" }])
        yield* Layer.build(
          ServiceBusProcessor.layer(Orders, () => Effect.void, { undecodable: "abandon", prefetch: 3 })
        )
        yield* until(Effect.map(emulator.counters(Orders), ({ deadLettered }) => deadLettered === 1))
        assert.strictEqual((yield* emulator.counters(Orders)).abandoned, 2)
      }), { orders: { maxDeliveryCount: 2 } })

    test("where it stops for good one error is logged, the program goes on, and others do not notice", () => {
      const { layer, lines } = errors()
      return Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* Layer.build(Layer.mergeAll(
          ServiceBusProcessor.layer(Texts, () => Effect.void),
          ServiceBusProcessor.layerBatched(Orders, () => Effect.void, { size: 2 })
        ))
        yield* gone(Texts)
        yield* passing(until(Effect.sync(() => lines.length > 0)))
        yield* emulator.send(Orders, [{ body: { id: "1", total: 1 } }])
        yield* passing(completed(Orders, 1))
        yield* emulator.idle
        assert.lengthOf(lines, 1)
        assert.deepInclude(lines[0]!.annotations, { entity: "texts" })
        assert.strictEqual((Cause.squash(lines[0]!.cause) as { _tag: string })._tag, "MessagingEntityNotFoundError")
      }).pipe(Effect.provide(layer))
    })

    clock("an entity that goes while its processor drains is no error", () => {
      const { layer, lines } = errors()
      return Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const begun = yield* Latch.make()
        const end = yield* Latch.make()
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.andThen(begun.open, end.await))
        yield* emulator.send(Texts, texts(1))
        yield* begun.await
        const link = linkOf(receiver)
        yield* gone(Texts)
        yield* soon(() => link.dead() !== undefined)
        // The drain begins while an attach is on its way, which is refused.
        for (let i = 0; i < 5; i++) yield* Effect.yieldNow
        const draining = yield* start(processor.drain)
        yield* emulator.idle
        yield* end.open
        yield* passing(Fiber.join(draining))
        assert.deepStrictEqual(lines, [])
      }).pipe(Effect.provide(layer))
    })

    test("where it stops for good the Deferred of several layers fails with the cause, after the line of the log", () => {
      const { layer, lines } = errors()
      return Effect.gen(function*() {
        const stopped = yield* Deferred.make<never, ServiceBusError.ReceiveError>()
        const ends: Array<number> = []
        const program = yield* start(Effect.raceFirst(
          Layer.launch(Layer.mergeAll(
            ServiceBusProcessor.layer(Texts, () => Effect.void, { stopped }),
            ServiceBusProcessor.layerBatched(Orders, () => Effect.void, { size: 2, stopped }),
            ServiceBusProcessor.layerSessions(Carts, () => Effect.void, { stopped })
          )),
          Effect.onExit(Deferred.await(stopped), () => Effect.sync(() => void ends.push(lines.length)))
        ))
        const emulator = yield* Emulator.Emulator
        yield* until(Effect.map(emulator.connections, (connections) => connections === 1))
        yield* emulator.send(Orders, [{ body: { id: "1", total: 1 } }])
        yield* passing(completed(Orders, 1))
        assert.isUndefined(program.pollUnsafe())
        yield* gone(Orders)
        const error = yield* passing(Fiber.join(program).pipe(failsWith("MessagingEntityNotFoundError")))
        assert.strictEqual(error.entity, "orders")
        assert.deepStrictEqual(ends, [1])
        assert.strictEqual(yield* emulator.connections, 0)
      }).pipe(Effect.provide(layer))
    })

    test("one of sessions fails it, and a layer that closes, or is not built, does not", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const stopped = yield* Deferred.make<never, ServiceBusError.ReceiveError>()
        const handled = yield* Latch.make()
        const workers = Layer.mergeAll(
          ServiceBusProcessor.layer(Texts, () => Effect.asVoid(handled.open), { stopped }),
          ServiceBusProcessor.layerBatched(Orders, () => Effect.void, { size: 2, stopped }),
          ServiceBusProcessor.layerSessions(Carts, () => Effect.void, { stopped })
        )
        yield* emulator.send(Texts, texts(1))
        yield* passing(Effect.scoped(Effect.andThen(Layer.build(workers), handled.await)))
        yield* emulator.idle
        const Missing = ServiceBusEntity.queue("missing", { body: Texts.body })
        yield* Effect.scoped(Layer.build(ServiceBusProcessor.layer(Missing, () => Effect.void, { stopped }))).pipe(
          failsWith("MessagingEntityNotFoundError")
        )
        assert.isFalse(yield* Deferred.isDone(stopped))
        const Gone = ServiceBusEntity.queue("gone", { body: Texts.body, sessions: true })
        yield* Layer.build(ServiceBusProcessor.layerSessions(Gone, () => Effect.void, { stopped }))
        yield* passing(Deferred.await(stopped).pipe(failsWith("MessagingEntityNotFoundError")))
      }))

    test("a session processor that stops for good logs one error, however many slots it has", () => {
      const { layer, lines } = errors()
      return Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const Gone = ServiceBusEntity.queue("gone", { body: Texts.body, sessions: true })
        const processor = yield* ServiceBusProcessor.makeSessions(Gone, () => Effect.void, { concurrentSessions: 5 })
        const exit = yield* passing(processor.stopped)
        assert.isTrue(Exit.isFailure(exit))
        yield* emulator.idle
        assert.lengthOf(lines, 1)
        assert.deepInclude(lines[0]!.annotations, { entity: "gone" })
        // Draining it changes nothing of how it ended.
        yield* passing(processor.drain)
        assert.deepStrictEqual(yield* processor.stopped, exit)
      }).pipe(Effect.provide(layer))
    })

    test(
      "a namespace that is down at the start fails it, unless the program tries again; one of sessions waits",
      () => {
        const seen: Array<string> = []
        const layer = ServiceBusProcessor.layer(Texts, (text) => Effect.sync(() => void seen.push(text)))
        return Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.stop
          const down = ["ServiceBusCommunicationError", "ServiceBusConnectionError"]
          const error = yield* passing(Effect.flip(Layer.launch(layer)))
          assert.include(down, error._tag)
          yield* Effect.forkScoped(
            Layer.launch(layer).pipe(
              Effect.retry({ while: ({ _tag }) => down.includes(_tag), schedule: Schedule.spaced("100 millis") })
            )
          )
          yield* Layer.build(
            ServiceBusProcessor.layerSessions(Carts, (text) => Effect.sync(() => void seen.push(text)))
          )
          yield* passing(Effect.sleep("300 millis"))
          yield* emulator.start
          yield* emulator.send(Texts, [{ body: "text" }])
          yield* emulator.send(Carts, [{ body: "cart", sessionId: "ada" }])
          yield* passing(until(Effect.sync(() => seen.length === 2)))
          assert.deepStrictEqual(seen.toSorted(), ["cart", "text"])
        })
      },
      { client: { retry: { maxRetries: 1, delay: 1 } } }
    )

    test("the loss of a session is no end of its processor", () => {
      const { layer, lines } = errors()
      return Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const begun = yield* Latch.make()
        let calls = 0
        const processor = yield* ServiceBusProcessor.makeSessions(
          Carts,
          () => ++calls > 1 ? Effect.void : Effect.andThen(begun.open, Effect.never),
          { concurrentSessions: 3 }
        )
        const stopped = yield* start(processor.stopped)
        yield* emulator.send(Carts, [{ body: "1", sessionId: "a" }])
        yield* begun.await
        // The slots that wait for a session are told the same.
        yield* emulator.detachLinks({ condition: "com.microsoft:session-lock-lost" }, Carts as never)
        yield* passing(until(Effect.map(processor.counts, ({ sessionsLost }) => sessionsLost === 1)))
        yield* emulator.send(Carts, ["b", "c"].map((sessionId) => ({ body: "2", sessionId })))
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 3)))
        assert.isUndefined(stopped.pollUnsafe())
        assert.deepStrictEqual(lines, [])
      }).pipe(Effect.provide(layer))
    })

    test("two processors as services: counted, paused and drained each by itself; stopped tells of either end", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const reader = yield* Reader
        const packer = yield* Packer
        const shop = yield* Shop
        yield* packer.pause
        yield* emulator.send(Texts, texts(5))
        yield* emulator.send(Orders, [{ body: { id: "1", total: 1 } }])
        yield* reached(reader, (counts) => counts.completed === 5)
        yield* emulator.idle
        assert.strictEqual((yield* packer.counts).received, 0)
        const stopped = yield* start(reader.stopped)
        const joined = yield* start(reader.join)
        const report = yield* passing(reader.drain)
        assert.deepStrictEqual(yield* Fiber.join(stopped), Exit.succeed(report))
        assert.isUndefined(joined.pollUnsafe())
        yield* packer.resume
        yield* reached(packer, (counts) => counts.completed === 1)
        yield* gone(Orders)
        const failure = yield* passing(packer.join.pipe(failsWith("MessagingEntityNotFoundError")))
        assert.deepStrictEqual(yield* packer.stopped, Exit.fail(failure))
        const all = yield* passing(shop.drain)
        assert.deepStrictEqual(yield* shop.stopped, Exit.succeed(all))
      }).pipe(Effect.provide([Reader.layer, Packer.layer, Shop.layer])))

    test("a program ends with its worker where it runs process, or joins the service", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const handled = yield* Deferred.make<void>()
        const processing = yield* start(
          ServiceBusProcessor.process(Texts, () => Effect.asVoid(Deferred.succeed(handled, undefined)))
        )
        const joining = yield* start(
          Effect.flatMap(Packer, (packer) => packer.join).pipe(Effect.provide(Packer.layer))
        )
        yield* emulator.send(Texts, texts(1))
        yield* Deferred.await(handled)
        yield* gone(Texts)
        yield* passing(Fiber.join(processing).pipe(failsWith("MessagingEntityNotFoundError")))
        yield* gone(Orders)
        yield* passing(Fiber.join(joining).pipe(failsWith("MessagingEntityNotFoundError")))
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("a plain name stands for its entity, with bodies of bytes; a value may be one of several contracts", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen: Array<string> = []
        yield* emulator.send(Texts, texts(2))
        const named = yield* ServiceBusProcessor.make(
          "texts",
          (body) => Effect.sync(() => void seen.push(Buffer.from(body).toString()))
        )
        yield* completed(Texts, 2)
        yield* passing(named.drain)
        yield* emulator.send(Texts, [{ body: "three" }])
        yield* emulator.send(Orders, [{ body: { id: "four", total: 1 } }])
        const sources: ReadonlyArray<typeof Texts | typeof Orders> = [Texts, Orders]
        for (const source of sources) {
          yield* Effect.forkScoped(ServiceBusProcessor.processBatched(source, (messages) =>
            Effect.sync(() => {
              for (const { body } of messages) {
                seen.push(typeof body === "string" ? body : body.id)
              }
            }), { size: 1 }))
        }
        yield* completed(Texts, 3)
        yield* completed(Orders, 1)
        assert.deepStrictEqual(seen.toSorted(), ["body 0", "body 1", "four", "three"])
        const error = yield* ServiceBusProcessor.make("", () => Effect.void).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(error.option, "receiver")
        yield* ServiceBusProcessor.make("missing", () => Effect.void).pipe(failsWith("MessagingEntityNotFoundError"))
      }))

    test("process and processBatched of a contract close their receivers when they are interrupted", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const processing = yield* start(ServiceBusProcessor.process(Texts, () => Effect.void))
        yield* sender.send({ body: "1" })
        yield* completed(Texts, 1)
        yield* passing(Fiber.interrupt(processing))
        const batches = yield* start(ServiceBusProcessor.processBatched(Texts, () => Effect.void, { size: 3 }))
        yield* sender.send({ body: "2" })
        yield* completed(Texts, 2)
        yield* passing(Fiber.interrupt(batches))
        yield* sender.send({ body: "3" })
        yield* emulator.idle
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 2, delivered: 2 })
      }))
  })

describe("Processors that own their receivers", () => both(suite))
