/** What a scope opens is closed with it, in whatever moment it ends: links, connections, fibers, timers and sockets. */
import {
  AutoLockRenewer,
  type ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  linkOf,
  type Name,
  overTcp,
  passing,
  type Services,
  start,
  testsOf,
  Texts,
  texts,
  until,
  wireOf
} from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

/** Everything that the client can do, in one scope. */
const everything = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Texts)
  yield* sender.sendAll(texts(20))
  const receiver = yield* ServiceBusReceiver.make(Texts)
  const [message] = yield* receiver.receive()
  yield* receiver.renewLock(message!).pipe(AutoLockRenewer.withLock(receiver, message!))
  yield* receiver.complete(message!)
  yield* receiver.messages.pipe(Stream.take(2), Stream.runDrain)
  yield* sender.sendAll(texts(20, 20))
  const worker = yield* ServiceBusReceiver.make(Texts, { prefetch: 5 })
  const processor = yield* ServiceBusProcessor.make(worker, () => Effect.void, { concurrency: 3 })
  yield* until(Effect.map(processor.counts, ({ completed }) => completed > 0))
  yield* start(receiver.receive({ max: 10 }))
})

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("the connection is opened by the first link and closed after the last", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        assert.strictEqual(yield* emulator.connections, 0)
        const first = yield* Scope.make()
        const second = yield* Scope.make()
        yield* ServiceBusSender.make(Texts).pipe(Scope.provide(first))
        yield* ServiceBusReceiver.make(Texts).pipe(Scope.provide(second))
        assert.strictEqual(yield* emulator.connections, 1)
        yield* Scope.close(first, Exit.void)
        assert.strictEqual(yield* emulator.connections, 1)
        yield* Scope.close(second, Exit.void)
        assert.strictEqual(yield* emulator.connections, 0)
        yield* Effect.scoped(ServiceBusSender.make(Texts))
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("nothing is left with the broker when all scopes are closed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* Effect.scoped(everything)
        assert.strictEqual(yield* emulator.connections, 0)
        const counters = yield* emulator.counters(Texts)
        assert.strictEqual(counters.delivered, counters.completed + counters.released)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const rest = yield* receiver.receive({ max: 100, maxWait: 0 })
        assert.lengthOf(rest, 40 - counters.completed)
      }))

    test("an interrupted scope closes as well as any other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const fiber = yield* start(Effect.scoped(Effect.andThen(everything, Effect.never)))
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed > 1))
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("interrupting make at any moment leaves nothing open", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (let turns = 0; turns < 60; turns++) {
          const fiber = yield* start(
            Effect.scoped(
              turns % 2 === 0 ? Effect.asVoid(ServiceBusSender.make(Texts)) : Effect.asVoid(
                ServiceBusReceiver.make(Texts)
              )
            )
          )
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
          yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
        }
        // And everything works.
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.send({ body: "" })
      }))

    test("opening and closing links leaves none on the connection", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const { connection } = wireOf(sender).rhea.session
        const size = () => [
          Object.keys(connection.local_channel_map).length,
          Object.keys(connection.remote_channel_map).length,
          (connection as unknown as { listenerCount(event: string): number }).listenerCount("session_error")
        ]
        const cycle = Effect.scoped(Effect.gen(function*() {
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const own = yield* ServiceBusSender.make(Texts)
          yield* own.send({ body: "" })
          const [message] = yield* receiver.receive()
          yield* receiver.renewLock(message!)
          yield* receiver.complete(message!)
        }))
        yield* cycle
        yield* emulator.idle
        const before = size()
        for (let i = 0; i < 20; i++) yield* cycle
        yield* emulator.idle
        yield* until(Effect.sync(() => String(size()) === String(before)))
        assert.strictEqual(yield* emulator.connections, 1)
      }))

    test("a receiver that is closed takes nothing more, while its connection lives on", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* Effect.scoped(ServiceBusReceiver.make(Texts, { prefetch: 100 }))
        yield* sender.sendAll(texts(10))
        const { delivered } = yield* emulator.counters(Texts)
        assert.strictEqual(delivered, 0)
        yield* receiver.receive().pipe(failsWith("ServiceBusConnectionError"))
        yield* receiver.messages.pipe(Stream.runDrain, failsWith("ServiceBusConnectionError"))
      }))

    test("what was made in a closed scope fails typed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const [sender, receiver, message] = yield* Effect.scoped(Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(Texts)
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [message] = yield* receiver.receive()
          return [sender, receiver, message!] as const
        }))
        yield* sender.send({ body: "" }).pipe(failsWith("ServiceBusConnectionError"))
        const settled = yield* Effect.flip(receiver.complete(message))
        assert.include(["ServiceBusConnectionError", "MessageAlreadySettled"], settled._tag)
        yield* receiver.renewLock(message).pipe(failsWith("ServiceBusConnectionError"))
      }))

    test("a client that is closed fails what is made of it", () =>
      Effect.gen(function*() {
        const context = yield* Effect.scoped(
          Effect.flatMap(
            Scope.Scope,
            (scope) => Layer.buildWithScope(Layer.fresh(layerFor({ entities: [Emulator.entity(Texts)] })), scope)
          )
        )
        yield* ServiceBusSender.make(Texts).pipe(
          Effect.provideContext(context),
          failsWith("ServiceBusConnectionError")
        )
      }))

    /** Runs a program on a broker of its own, with a clock that counts who sleeps. */
    const counted = <A, E>(program: (sleeping: () => number) => Effect.Effect<A, E, Services | Scope.Scope>) =>
      Effect.gen(function*() {
        const inner = yield* Clock.Clock
        let sleeping = 0
        const counting: Clock.Clock = Object.assign(Object.create(inner) as Clock.Clock, {
          sleep: (duration: Duration.Duration) =>
            Effect.acquireUseRelease(
              Effect.sync(() => sleeping++),
              () => inner.sleep(duration),
              () => Effect.sync(() => sleeping--)
            )
        })
        yield* program(() => sleeping).pipe(
          Effect.scoped,
          Effect.provide(layerFor({ entities: [Emulator.entity(Texts)] }, { retry: { delay: 1, maxDelay: 1 } })),
          (effect) => Effect.provideService(effect, Clock.Clock, counting)
        )
        yield* until(Effect.sync(() => sleeping === 0))
      })

    test("no timer of the client is left when all scopes are closed", () =>
      counted(Effect.fnUntraced(function*(sleeping) {
        const scope = yield* Scope.make()
        const context = yield* Effect.context<Services>()
        yield* everything.pipe(Effect.provideContext(context), Scope.provide(scope))
        assert.isAbove(sleeping(), 0)
        yield* Scope.close(scope, Exit.void)
      })))

    test("a hundred losses leave no timer", () =>
      counted(Effect.fnUntraced(function*(sleeping) {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const losses = Effect.fnUntraced(function*(count: number) {
          for (let i = 0; i < count; i++) {
            yield* passing(sender.send({ body: "" }), 1)
            const [message] = yield* passing(receiver.receive(), 1)
            const link = linkOf(receiver)
            yield* i % 2 === 0
              ? emulator.dropConnections
              : emulator.detachLinks({ condition: "amqp:link:detach-forced" })
            yield* until(Effect.sync(() => link.dead() !== undefined))
            yield* passing(receiver.renewLock(message!), 1)
            yield* passing(receiver.complete(message!), 1)
          }
          yield* emulator.idle
          return sleeping()
        })
        const before = yield* losses(4)
        assert.isAtMost(yield* losses(100), before + 2)
        assert.deepInclude(yield* emulator.counters(Texts), { completed: 104 })
      })), { timeout: 60_000 })

    clock("a link stays up for days: its token is put again before it expires", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        for (const duration of ["65 minutes", "25 hours"] as const) {
          const fiber = yield* start(receiver.receive({ maxWait: Duration.infinity }))
          yield* emulator.idle
          yield* TestClock.adjust(duration)
          assert.isUndefined(fiber.pollUnsafe())
          yield* sender.send({ body: "", messageId: duration })
          const messages = yield* Fiber.join(fiber)
          assert.deepStrictEqual(idsOf(messages), [duration])
          yield* receiver.renewLock(messages[0]!)
          yield* receiver.complete(messages[0]!)
        }
        assert.strictEqual(yield* emulator.connections, 1)
      }))

    test("nothing is asked for on behalf of a sender or receiver whose scope is closed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const scope = yield* Scope.make()
        const sender = yield* Scope.provide(ServiceBusSender.make(Texts), scope)
        const receiver = yield* Scope.provide(ServiceBusReceiver.make(Texts), scope)
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!)
        yield* Scope.close(scope, Exit.void)
        const late: ReadonlyArray<Effect.Effect<unknown, ServiceBusError.Any>> = [
          receiver.peek(),
          receiver.receiveDeferred([1n]),
          sender.schedule({ body: "" }, "1 hour"),
          sender.cancelScheduled([1n])
        ]
        for (const each of late) {
          const error = yield* each.pipe(failsWith("ServiceBusConnectionError"))
          assert.isTrue(error.isClosed)
        }
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))
  })

// One after the other: the last of them looks at the whole process.
describe("Lifetimes", { concurrent: false }, () => {
  both(suite)

  it.live("no socket, listener or timer of the process is left", () =>
    Effect.gen(function*() {
      const resources = () => {
        const all = process.getActiveResourcesInfo()
        return ["TCPSocketWrap", "TCPServerWrap", "TCPConnectWrap", "Timeout"].map((kind) =>
          all.filter((one) => one === kind).length
        )
      }
      const program = Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* sender.sendAll(texts(10))
        yield* until(Effect.map(processor.counts, ({ completed }) => completed === 10))
        return [emulator.port, resources()] as const
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] })))
      yield* until(Effect.sync(() => resources()[0] === 0))
      const before = resources()
      const [port, during] = yield* program
      assert.isAbove(port, 0)
      assert.isAbove(during[0]!, before[0]!)
      assert.isAbove(during[1]!, before[1]!)
      yield* until(Effect.sync(() => resources().every((count, i) => count <= before[i]!)))
    }))
})
