/** What a client knows of its connection: its state, its health, and how it is given up and opened again. */
import {
  ConnectionString,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusError,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Connection from "../../src/internal/amqp/Connection.ts"
import * as Namespace from "../../src/internal/namespace/Namespace.ts"
import {
  both,
  failsWith,
  type LayerFor,
  linkOf,
  type Name,
  overTcp,
  passing,
  start,
  testsOf,
  Texts,
  until
} from "../support/harness.ts"
import { proxy, through } from "../support/silentProxy.ts"
import { assert, describe, it } from "../support/vitest.ts"

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    const watched = Effect.gen(function*() {
      const client = yield* ServiceBusClient.ServiceBusClient
      const seen: Array<ServiceBusClient.ConnectionState> = []
      yield* Effect.forkScoped(Stream.runForEach(client.state, (state) => Effect.sync(() => void seen.push(state))))
      yield* until(Effect.sync(() => seen.length === 1))
      return seen
    })

    test("the state is disconnected, connecting, connected, and again after a loss", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen = yield* watched
        assert.deepStrictEqual(seen, ["disconnected"])
        const scope = yield* Scope.make()
        const sender = yield* ServiceBusSender.make(Texts).pipe(Scope.provide(scope))
        yield* until(Effect.sync(() => seen.length === 3))
        yield* emulator.dropConnections
        yield* until(Effect.sync(() => seen.length === 4))
        yield* sender.send({ body: "" })
        yield* until(Effect.sync(() => seen.length === 6))
        yield* Scope.close(scope, Exit.void)
        yield* until(Effect.sync(() => seen.length === 7))
        const cycle = ["connecting", "connected", "disconnected"]
        assert.deepStrictEqual(seen, ["disconnected", ...cycle, ...cycle])
      })))

    test("the state says when the broker cannot be reached", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen = yield* watched
        yield* emulator.stop
        yield* ServiceBusSender.make(Texts).pipe(failsWith("ServiceBusCommunicationError"))
        yield* until(Effect.sync(() => seen.length === 3))
        assert.deepStrictEqual(seen, ["disconnected", "connecting", "disconnected"])
      }), { client: { retry: { maxRetries: 0 } } })

    test("health makes a round trip, with and without a connection, and after a loss", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const { health } = yield* ServiceBusClient.ServiceBusClient
        assert.isAtLeast(Duration.toMillis(yield* health), 0)
        yield* until(Effect.map(emulator.connections, (connections) => connections === 0))
        const sender = yield* ServiceBusSender.make(Texts)
        yield* health
        assert.strictEqual(yield* emulator.connections, 1)
        yield* emulator.dropConnections
        yield* until(Effect.sync(() => linkOf(sender).dead() !== undefined))
        yield* health
      }))

    test("health fails at once where the broker cannot be reached", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const { health } = yield* ServiceBusClient.ServiceBusClient
        yield* emulator.stop
        const error = yield* health.pipe(failsWith("ServiceBusCommunicationError"))
        assert.strictEqual(error.attempts, 1)
        yield* emulator.start
        yield* health
      }))

    clock("a client that ends ends the pauses between tries of what no caller waits for", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const scope = yield* Scope.make()
        const context = yield* Layer.buildWithScope(Layer.fresh(Emulator.layerClient), scope)
        const { retryPolicy } = Namespace.of(Context.get(context, ServiceBusClient.ServiceBusClient))
        const lost = new ServiceBusError.ServiceBusConnectionError({ description: "lost" })
        const waiting = yield* Effect.forkDetach(Effect.flip(retryPolicy.run(Effect.fail(lost))), {
          startImmediately: true
        })
        yield* emulator.idle
        assert.isUndefined(waiting.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        yield* emulator.idle
        assert.isDefined(waiting.pollUnsafe())
      }))

    test("a request is not made where what asks is over once its node is there", () =>
      Effect.gen(function*() {
        const namespace = Namespace.of(yield* ServiceBusClient.ServiceBusClient)
        for (const each of [namespace, yield* Namespace.keepingManagementNode(namespace)]) {
          let looks = 0
          let isAsked = false
          const isOpen = Effect.suspend(() => ++looks === 1 ? Effect.void : Effect.fail("over" as const))
          const asking = each.withManagementNode("texts", isOpen, () => {
            isAsked = true
            return Effect.void
          })
          assert.strictEqual(yield* Effect.flip(asking), "over")
          assert.isFalse(isAsked)
        }
      }))
  })

/** What needs a socket, or a client of one's own. */
const networked = () =>
  describe("over TCP", () => {
    const { test } = testsOf("over TCP", overTcp)

    test("health fails where the connection is silent", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const silent = yield* proxy(emulator.port)
        yield* Effect.scoped(through(
          silent,
          Effect.gen(function*() {
            yield* ServiceBusSender.make(Texts)
            const { health } = yield* ServiceBusClient.ServiceBusClient
            yield* health
            silent.freeze()
            yield* health.pipe(failsWith("OperationTimeoutError"))
          })
        ))
      }))

    test("a client that ends waits for a connection that is opened for no caller, wherever its peer fell silent", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const parsed = yield* ConnectionString.parse(emulator.connectionString)
        yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6], (passed) =>
          Effect.gen(function*() {
            const silent = yield* proxy(emulator.port, passed)
            const scope = yield* Scope.make()
            const client = yield* ServiceBusClient.fromConnectionString({ ...parsed, port: silent.port }).pipe(
              Scope.provide(scope)
            )
            const making = yield* Effect.scoped(ServiceBusSender.make(Texts)).pipe(
              Effect.provideService(ServiceBusClient.ServiceBusClient, client),
              Effect.forkDetach({ startImmediately: true })
            )
            yield* until(Effect.sync(() => silent.writes() > passed || making.pollUnsafe() !== undefined))
            making.interruptUnsafe()
            yield* Scope.close(scope, Exit.void)
            // Once the connection is gone its fiber has some steps to go; a close that is not answered takes a second.
            for (let i = 0; i < 20; i++) yield* Effect.yieldNow
            assert.isDefined(making.pollUnsafe(), `after ${passed} writes`)
          }), { concurrency: "unbounded" })
      }))

    for (const how of ["freeze", "halve"] as const) {
      it.effect(`a connection that falls silent (${how}) is left for a new one, and no caller is told`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const silent = yield* proxy(emulator.port)
          yield* Effect.scoped(through(
            silent,
            Effect.gen(function*() {
              const sender = yield* ServiceBusSender.make(Texts)
              const receiver = yield* ServiceBusReceiver.make(Texts)
              const streamed = yield* start(
                receiver.messages.pipe(Stream.take(1), Stream.runCollect)
              )
              yield* emulator.idle
              silent[how]()
              const sent = yield* start(sender.send({ body: "", messageId: "a" }))
              yield* TestClock.adjust("1 second")
              silent.thaw()
              yield* passing(Fiber.join(sent), 250)
              const [message] = yield* passing(Fiber.join(streamed), 250)
              assert.strictEqual(message!.messageId, "a")
              yield* passing(receiver.complete(message!), 250)
            }),
            {}
          ))
        }).pipe(
          Effect.scoped,
          Effect.provide(Logger.layer([])),
          Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))
        ))
    }

    it.effect("links stay up while the identity fails for a while", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const parsed = yield* ConnectionString.parse(emulator.connectionString)
        let failing = false
        const asked = { given: 0, refused: 0 }
        const credential = ServiceBusCredential.identity({
          getToken: (scopes, options) => {
            if (failing) {
              asked.refused++
              return Promise.reject(new Error("the identity is away"))
            }
            asked.given++
            return emulator.tokenCredential.getToken(scopes, options)
          }
        })
        const client = yield* ServiceBusClient.fromConnectionString({ ...parsed, credential })
        yield* Effect.gen(function*() {
          const sender = yield* ServiceBusSender.make(Texts)
          const link = linkOf(sender)
          assert.strictEqual(asked.given, 1)
          yield* passing(Effect.sleep("40 minutes"), "5 seconds")
          failing = true
          yield* passing(Effect.sleep("15 minutes"), "5 seconds")
          assert.isAtLeast(asked.refused, 5)
          failing = false
          yield* passing(Effect.sleep("30 minutes"), "5 seconds")
          assert.strictEqual(asked.given, 2)
          assert.isUndefined(link.dead())
          yield* sender.send({ body: "" })
          assert.strictEqual(linkOf(sender), link)
        }).pipe(Effect.provideService(ServiceBusClient.ServiceBusClient, client))
      }).pipe(
        Effect.scoped,
        Effect.provide(Logger.layer([])),
        Effect.provide(overTcp({ entities: [Emulator.entity(Texts)], idle: { link: "1 day" } }))
      ))

    it.effect("a connection that puts no token is closed by the broker", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const connection = yield* Connection.open({
          endpoint: { host: "127.0.0.1", port: emulator.port, kind: "tcp" },
          hostname: "127.0.0.1",
          containerId: "silent",
          userAgent: "test",
          idleTimeout: 60_000,
          openTimeout: 5_000
        })
        yield* TestClock.adjust("19 seconds")
        assert.isUndefined(connection.dead())
        yield* TestClock.adjust("2 seconds")
        yield* until(Effect.sync(() => connection.dead() !== undefined))
        assert.strictEqual(connection.dead()?.condition, "amqp:connection:forced")
        assert.include(connection.dead()?.message, "not authorized within the allowed 20000 milliseconds")
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] }))))
  })

describe("Connection state", () => {
  both(suite)
  networked()
})
