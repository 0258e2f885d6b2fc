/** What is tried again while the broker is away loses nothing, counts its attempts, and ends with its scope. */
import {
  AutoLockRenewer,
  ServiceBusClient,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  linkOf,
  type Name,
  once,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe } from "../support/vitest.ts"

const pace: Record<Name, number> = { "in memory": 1, "over TCP": 2, "over TLS": 10, "over WebSocket": 10 }

/**
 * Takes the broker off the network again and again, in the middle of work, until the scope closes. It stays so long that
 * something is done: on a machine that has other things to do a handshake takes longer than any time that is set.
 */
const unsteadily = (up: number, down: number) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const done = Effect.map(emulator.counters(Texts), ({ completed, enqueued, redelivered }) =>
      completed + enqueued + redelivered)
    const once = Effect.gen(function*() {
      const before = yield* done
      yield* Effect.sleep(up)
      // Without spinning meanwhile: others need the turns.
      while ((yield* done) === before) {
        yield* Effect.sleep(10)
      }
      yield* emulator.stop
      yield* Effect.sleep(down)
      yield* emulator.start
    })
    yield* Effect.forever(once).pipe(Effect.ensuring(Effect.ignore(emulator.start)), Effect.forkScoped)
  })

const client = { client: { retry: { maxRetries: 100, delay: 50, maxDelay: 500 } }, timeout: 60_000 } as const

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)
    // A handshake must fit in, on a machine that has other things to do as well.
    const unsteady = (up: number, down: number) => unsteadily(up * pace[name], down)

    test("hundreds of sends: none is lost, all ids are known", () =>
      passing(
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const sender = yield* ServiceBusSender.make(Texts)
          const ids = yield* Effect.scoped(Effect.andThen(
            unsteady(20, 20),
            Effect.forEach(texts(300), (message, i) => Effect.andThen(Effect.sleep(i % 97), sender.send(message)), {
              concurrency: 100
            })
          ))
          assert.deepStrictEqual(ids, idsOf(texts(300)))
          const stored = new Set(idsOf(yield* emulator.messages(Texts)))
          assert.strictEqual(stored.size, 300)
        }),
        5
      ), client)

    test("a stream: every message comes", () =>
      passing(
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const seen = new Set<string>()
          yield* emulator.send(Texts, texts(300))
          yield* Effect.scoped(Effect.andThen(
            unsteady(30, 30),
            receiver.messages.pipe(
              Stream.mapEffect((message) =>
                Effect.andThen(Effect.sleep(1), receiver.complete(message)).pipe(
                  // Only where the broker has made it and could not say so.
                  Effect.catchTag(
                    "OperationTimeoutError",
                    (error) => Effect.sync(() => assert.strictEqual(error.outcome, "unknown"))
                  ),
                  Effect.andThen(Effect.sync(() => seen.add(message.messageId)))
                ), { concurrency: 16 }),
              Stream.takeUntil(() => seen.size === 300),
              Stream.runDrain
            )
          ))
          assert.strictEqual(seen.size, 300)
          yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 300))
        }),
        5
      ), client)

    test("a processor with 8 handlers: every message is completed", () =>
      passing(
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* emulator.send(Texts, texts(80))
          const handled = new Map<string, number>()
          yield* Effect.scoped(Effect.gen(function*() {
            yield* unsteady(40, 25)
            const processor = yield* ServiceBusProcessor.make(receiver, (_, { messageId }) =>
              Effect.andThen(
                Effect.sleep(15),
                Effect.sync(() => void handled.set(messageId, (handled.get(messageId) ?? 0) + 1))
              ), { concurrency: 8 })
            yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 80))
            const { completed, failed, lockLost, received, unsettled } = yield* processor.drain
            assert.strictEqual(handled.size, 80)
            assert.deepInclude({ failed, lockLost }, { failed: 0, lockLost: 0 })
            assert.isAtLeast(completed + unsettled, 80)
            assert.isAtLeast(received, 80)
          }))
          assert.lengthOf(yield* emulator.messages(Texts), 0)
        }),
        5
      ), { ...client, texts: { lockDuration: "5 seconds", maxDeliveryCount: 100 } })

    test("receive: everything comes, and is completed", () =>
      passing(
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(100))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          yield* Effect.scoped(Effect.gen(function*() {
            yield* unsteady(30, 20)
            for (let completed = 0; completed < 100;) {
              const messages = yield* receiver.receive({ max: 5, maxWait: "1 second" })
              yield* Effect.exit(receiver.completeAll(messages))
              completed = (yield* emulator.counters(Texts)).completed
            }
          }))
          assert.lengthOf(yield* emulator.messages(Texts), 0)
        }),
        5
      ), { ...client, texts: { lockDuration: "1 second", maxDeliveryCount: 100 } })

    clock("a handler of five minutes whose connection is cut every minute keeps its lock", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.sleep("5 minutes"), {
          maxLockRenewal: "10 minutes"
        })
        yield* Effect.sleep("1 minute").pipe(
          Effect.andThen(emulator.dropConnections),
          Effect.forever,
          Effect.forkScoped
        )
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 1)), "1 second")
        assert.deepInclude(yield* processor.counts, { received: 1, completed: 1, lockLost: 0 })
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 1, lockExpired: 0, delivered: 1 })
      }), { texts: { lockDuration: "30 seconds" } })

    clock("work under withLock is kept through an outage that is shorter than the lock", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* Effect.sleep("15 seconds").pipe(
          Effect.andThen(emulator.stop),
          Effect.andThen(Effect.sleep("10 seconds")),
          Effect.andThen(emulator.start),
          Effect.forkScoped
        )
        yield* passing(
          Effect.sleep("2 minutes").pipe(
            AutoLockRenewer.withLock(receiver, message!),
            Effect.andThen(receiver.complete(message!))
          ),
          "1 second"
        )
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 1, lockExpired: 0 })
      }), { texts: { lockDuration: "30 seconds" } })

    test("attempts are counted in the error when they are used up", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.stop
        yield* until(Effect.sync(() => linkOf(sender).dead() !== undefined && linkOf(receiver).dead() !== undefined))
        const failed = yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusCommunicationError"))
        assert.strictEqual(failed.attempts, 3)
        assert.include(failed.message, "3 attempts")
        assert.strictEqual((yield* Effect.flip(receiver.receive())).attempts, 3)
        const made = yield* ServiceBusSender.make(Texts).pipe(failsWith("ServiceBusCommunicationError"))
        assert.strictEqual(made.attempts, 3)
      })), { client: { retry: { maxRetries: 2, delay: 10 } } })

    test("what cannot pass is not tried again", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        for (
          const [condition, tag] of [
            ["amqp:resource-limit-exceeded", "ServiceBusQuotaExceededError"],
            ["amqp:not-allowed", "ServiceBusError"]
          ] as const
        ) {
          yield* emulator.fail({ operation: "send", error: { condition } })
          assert.strictEqual((yield* sender.send({ body: "" }).pipe(failsWith(tag))).attempts, 1)
        }
        assert.strictEqual(
          (yield* ServiceBusSender.make("missing").pipe(failsWith("MessagingEntityNotFoundError"))).attempts,
          1
        )
      }))

    test("what can pass is: an attach and a send that are refused for a while", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const error = { condition: "amqp:internal-error", description: "try again" }
        yield* emulator.fail({ operation: "attach", error, times: 2 })
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error, times: 3, entity: "TEXTS" })
        assert.strictEqual(yield* sender.send({ body: "", messageId: "a" }), "a")
        yield* emulator.fail({ operation: "send", error, times: 4 })
        const failed = yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusError"))
        assert.strictEqual(failed.attempts, 4)
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      })), { client: { retry: { delay: 50 } } })

    test("with no retries the first failure is the answer", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: { condition: "amqp:internal-error" } })
        yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusError"))
        yield* sender.send({ body: "" })
      }), once)

    test("closing the scope in the middle of a recovery leaves nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (let turns = 0; turns < 40; turns++) {
          const scope = yield* Scope.make()
          const sender = yield* ServiceBusSender.make(Texts).pipe(Scope.provide(scope))
          yield* emulator.dropConnections
          yield* until(Effect.sync(() => linkOf(sender).dead() !== undefined))
          const fiber = yield* start(Effect.exit(sender.send({ body: "" })))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Scope.close(scope, Exit.void)
          const exit = yield* passing(Fiber.join(fiber))
          if (Exit.isFailure(exit)) {
            const error = yield* Effect.flip(exit)
            assert.include(["ServiceBusConnectionError", "OperationTimeoutError"], error._tag)
          }
          yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
        }
      }), client)

    test("closing the client in the middle of a recovery ends it, typed", () =>
      Effect.gen(function*() {
        for (let turns = 0; turns < 30; turns++) {
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithScope(
            Layer.fresh(layerFor({ entities: [Emulator.entity(Texts)] }, client.client)),
            scope
          )
          yield* Effect.gen(function*() {
            const emulator = yield* Emulator.Emulator
            const sender = yield* ServiceBusSender.make(Texts)
            // Nothing comes there, even where the send goes through.
            const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
            const other = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts))
            yield* emulator.dropConnections
            yield* until(Effect.sync(() => linkOf(sender).dead() !== undefined))
            const fibers = [
              yield* start(Effect.flip(Effect.asVoid(sender.send({ body: "" })))),
              yield* start(Effect.flip(Effect.asVoid(receiver.receive({ maxWait: Duration.infinity })))),
              yield* start(Effect.flip(Stream.runDrain(other.messages)))
            ]
            for (let i = 0; i < turns; i++) yield* Effect.yieldNow
            yield* Scope.close(scope, Exit.void)
            for (const fiber of fibers.slice(1)) {
              const error = yield* passing(Fiber.join<ServiceBusError.Any, unknown>(fiber))
              assert.include(["ServiceBusConnectionError", "OperationTimeoutError"], error._tag)
            }
            yield* passing(Fiber.await<ServiceBusError.Any, unknown>(fibers[0]!))
            const late = yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusConnectionError"))
            assert.isTrue(late.isClosed)
            assert.isFalse(late.isTransient)
          }).pipe(Effect.scoped, Effect.provideContext(context))
        }
      }))

    test("a hundred losses leave no fiber, link or listener", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processed = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(processed, () => Effect.void)
        const joined = yield* start(processor.join)
        for (let i = 0; i < 100; i++) {
          yield* sender.send({ body: "" })
          yield* i % 2 === 0 ? emulator.dropConnections : emulator.detachLinks({ condition: "amqp:link:detach-forced" })
          yield* receiver.receive({ maxWait: 0 })
        }
        assert.isUndefined(joined.pollUnsafe())
        const { connection } = linkOf(sender)
        assert.isTrue(linkOf(receiver).connection === connection)
        assert.strictEqual(yield* emulator.connections, 1)
        assert.isAtMost(Object.keys(connection.rhea.local_channel_map).length, 8)
        const { health } = yield* ServiceBusClient.ServiceBusClient
        yield* health
      })), client)
  })

describe("Outages", () => both(suite))
