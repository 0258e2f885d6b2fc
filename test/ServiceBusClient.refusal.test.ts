/** What a client is refused, and by which error: entities, credentials, options and hosts. */
import {
  ConnectionString,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import * as net from "node:net"
import { inspect } from "node:util"
import * as SasToken from "../src/internal/SasToken.ts"
import {
  both,
  failsWith,
  type LayerFor,
  linkOf,
  type Name,
  Orders,
  overTcp,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const keys = { listen: "listen-key-7f3a", send: "send-key-91bc" }

const policies: ReadonlyArray<Emulator.Policy> = [
  { name: "listen", key: Redacted.make(keys.listen), rights: ["Listen"] },
  { name: "send", key: Redacted.make(keys.send), rights: ["Send"] }
]

/** What every variant refuses, for any credential. */
const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { test } = testsOf(name, layerFor)
    const Missing = ServiceBusEntity.queue("missing", { body: Texts.body })

    test("an entity that does not exist", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (const make of [ServiceBusSender.make(Missing), ServiceBusReceiver.make(Missing)]) {
          const error = yield* Effect.scoped(Effect.asVoid<unknown, any, any>(make)).pipe(
            failsWith("MessagingEntityNotFoundError")
          )
          assert.strictEqual(error.condition, "amqp:not-found")
          assert.isString(error.trackingId)
          assert.include(error.message, "missing")
        }
        yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Missing)).pipe(
          failsWith("MessagingEntityNotFoundError")
        )
        // A refusal costs the connection nothing.
        const sender = yield* ServiceBusSender.make(Texts)
        yield* ServiceBusSender.make("nor-this").pipe(failsWith("MessagingEntityNotFoundError"))
        yield* sender.send({ body: "" })
        assert.strictEqual(yield* emulator.connections, 1)
      }))

    test("names that are none, before the wire", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        for (
          const bad of ["", " ", "a b", "/a", "a/", "a//b", "a?b", "a#b", "ä", "x".repeat(261), undefined as never]
        ) {
          const error = yield* ServiceBusSender.make(bad).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, "entity")
          yield* ServiceBusReceiver.make(bad).pipe(failsWith("InvalidOptionError"))
        }
        assert.strictEqual(yield* emulator.connections, 0)
      }))

    test("names of any case find their entity", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make("TEXTS")
        yield* sender.send({ body: new Uint8Array() })
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))
  })

/** A client of the emulator by another connection string. */
const withClient = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  change: Partial<ConnectionString.ConnectionString>,
  options?: ServiceBusClient.CommonOptions
) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const parsed = yield* ConnectionString.parse(emulator.connectionString)
    const client = yield* ServiceBusClient.fromConnectionString({ ...parsed, ...change }, options)
    return yield* Effect.provideService(effect, ServiceBusClient.ServiceBusClient, client)
  }).pipe(Effect.scoped)

const shared = (name: string, key: string) => ({ credential: ServiceBusCredential.sharedKey({ name, key }) })

/** A SAS token of the policy `listen`. */
const token = (resource: string, expiresAt: number, key = keys.listen) => ({
  credential: ServiceBusCredential.sas(
    SasToken.sign({ resource, keyName: "listen", key: Redacted.make(key), expiresAt })
  )
})

const soon = Math.floor(Date.now() / 1000) + 3600

const sender = Effect.asVoid(ServiceBusSender.make(Texts))
const receiver = Effect.asVoid(ServiceBusReceiver.make(Texts))

/** Virtual time over a real socket: in steps that leave the socket its turns. */
const minutes = (count: number) =>
  Effect.forEach(Array.from({ length: count }), () => {
    let turns = 0
    return Effect.andThen(TestClock.adjust("1 minute"), until(Effect.sync(() => ++turns > 5)))
  }, { discard: true })

/** What only a client of one's own can ask for. */
const credentials = () =>
  describe("over TCP", () => {
    const { test } = testsOf("over TCP", overTcp)

    test("a wrong key and an unknown policy", () =>
      Effect.gen(function*() {
        for (const credential of [shared("listen", "wrong"), shared("nobody", keys.listen)]) {
          const error = yield* withClient(receiver, credential).pipe(failsWith("ServiceBusAuthenticationError"))
          assert.strictEqual(error.condition, "amqp:unauthorized-access")
        }
        yield* until(Effect.flatMap(Emulator.Emulator, (emulator) =>
          Effect.map(emulator.connections, (connections) => connections === 0)))
      }), { policies })

    test("a policy without the right", () =>
      Effect.gen(function*() {
        const error = yield* withClient(sender, shared("listen", keys.listen)).pipe(
          failsWith("ServiceBusAuthorizationError")
        )
        assert.strictEqual(error.claim, "Send")
        const other = yield* withClient(receiver, shared("send", keys.send)).pipe(
          failsWith("ServiceBusAuthorizationError")
        )
        assert.strictEqual(other.claim, "Listen")
        yield* withClient(receiver, shared("listen", keys.listen))
        yield* withClient(sender, shared("send", keys.send))
      }), { policies })

    test("a policy with the right can do all that the right allows", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        yield* withClient(
          Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const [message] = yield* receiver.receive()
            yield* receiver.renewLock(message!)
            yield* receiver.complete(message!)
          }),
          shared("listen", keys.listen)
        )
        assert.strictEqual((yield* emulator.counters(Texts)).renewed, 1)
      }), { policies })

    test("SAS tokens: good, expired, of another entity, of a wrong key, and none", () =>
      Effect.gen(function*() {
        yield* withClient(receiver, token("sb://127.0.0.1/texts", soon))
        yield* withClient(receiver, token("sb://127.0.0.1/", soon))
        yield* withClient(sender, token("sb://127.0.0.1/texts", soon)).pipe(failsWith("ServiceBusAuthorizationError"))
        for (
          const bad of [
            token("sb://127.0.0.1/texts", 1_000_000),
            token("sb://127.0.0.1/orders", soon),
            token("sb://127.0.0.1/text", soon),
            token("sb://127.0.0.1/texts", soon, "wrong")
          ]
        ) yield* withClient(receiver, bad).pipe(failsWith("ServiceBusAuthenticationError"))
        yield* withClient(receiver, { credential: ServiceBusCredential.sas("no token") }).pipe(
          failsWith("CredentialError")
        )
      }), { policies })

    test("an identity that gives no token, fails, or never answers", () =>
      Effect.gen(function*() {
        const identities = [
          () => Promise.resolve(null),
          () => Promise.resolve({ token: "", expiresOnTimestamp: 0 }),
          () => Promise.reject(new Error("no identity here")),
          () => {
            throw new Error("thrown")
          },
          () => new Promise<null>(() => {})
        ]
        for (const getToken of identities) {
          yield* withClient(receiver, { credential: ServiceBusCredential.identity({ getToken }) }, {
            operationTimeout: "1 second",
            retry: { maxRetries: 1, delay: 1 }
          }).pipe(failsWith("CredentialError"))
        }
        // A token that the broker does not know.
        const getToken = () => Promise.resolve({ token: "x.y.z", expiresOnTimestamp: Date.now() + 3600_000 })
        yield* withClient(receiver, { credential: ServiceBusCredential.identity({ getToken }) }).pipe(
          failsWith("ServiceBusAuthenticationError")
        )
      }))

    test("a connection string from the environment, good and bad", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const from = (text: string) =>
          sender.pipe(
            Effect.scoped,
            Effect.provide(Layer.fresh(ServiceBusClient.layerEnv())),
            Effect.provideService(
              ConfigProvider.ConfigProvider,
              ConfigProvider.fromEnv({ env: { SERVICE_BUS_CONNECTION_STR: text } })
            )
          )
        const text = Redacted.value(emulator.connectionString)
        yield* from(text)
        const error = yield* from(text.replace(/SharedAccessKey=[^;]*/, "SharedAccessKey=")).pipe(
          failsWith("ConnectionStringError")
        )
        assert.strictEqual(error.part, "SharedAccessKey")
      }))

    test("an entity other than the EntityPath", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const error = yield* withClient(sender, { entityPath: "orders" }).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(error.option, "entity")
        assert.include(error.expected, "orders")
        assert.strictEqual(yield* emulator.connections, 0)
        yield* withClient(sender, { entityPath: "Texts" })
        yield* withClient(ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Texts)), { entityPath: "texts" })
      }))

    test("client options out of range, and hosts that are none", () =>
      Effect.gen(function*() {
        for (const operationTimeout of [0, -1, NaN, Infinity, "2 hours", "soon" as never] as const) {
          const error = yield* withClient(sender, {}, { operationTimeout: operationTimeout as Duration.Input }).pipe(
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, "operationTimeout")
        }
        const credential = ServiceBusCredential.sharedKey({ name: "n", key: "k" })
        for (const fullyQualifiedNamespace of ["", "contoso", "a b.c", "sb://", "contoso.net/path?x", "a..b"]) {
          const error = yield* ServiceBusClient.make({ fullyQualifiedNamespace, credential }).pipe(
            Effect.scoped,
            failsWith("InvalidOptionError")
          )
          assert.strictEqual(error.option, "fullyQualifiedNamespace")
        }
        yield* ServiceBusClient.make({ fullyQualifiedNamespace: " sb://Contoso.servicebus.windows.net/ ", credential })
        yield* withClient(sender, { host: "example.com" }).pipe(failsWith("ConnectionStringError"))
      }))

    test("no secret is in what can be printed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const root = (yield* ConnectionString.parse(emulator.connectionString)).credential
        assert(root._tag === "SharedKey")
        const expired = token("sb://127.0.0.1/texts", 1_000_000)
        assert(expired.credential._tag === "SharedAccessSignature")
        const signature = Redacted.value(expired.credential.token)
        const secrets = [
          Redacted.value(root.key),
          keys.listen,
          "wrong-key-5d",
          signature,
          SasToken.parse(signature)!.signature,
          encodeURIComponent(SasToken.parse(signature)!.signature)
        ]
        const printed: Array<string> = []
        const print = (value: unknown) =>
          printed.push(String(value), inspect(value, { depth: 12, showHidden: true }), JSON.stringify(value) ?? "")
        for (
          const credential of [shared("listen", "wrong-key-5d"), shared("send", keys.listen), expired]
        ) {
          print(credential)
          const exit = yield* Effect.exit(withClient(receiver, credential))
          assert.isTrue(Exit.isFailure(exit))
          if (Exit.isFailure(exit)) {
            print(Cause.squash(exit.cause))
            printed.push(Cause.pretty(exit.cause), inspect(exit, { depth: 12 }))
          }
        }
        const context = yield* Effect.context<ServiceBusClient.ServiceBusClient | Emulator.Emulator>()
        printed.push(inspect(yield* ServiceBusClient.ServiceBusClient, { depth: 12, showHidden: true }))
        printed.push(inspect(context, { depth: 12 }), inspect(emulator, { depth: 12 }))
        const made = [yield* ServiceBusSender.make(Texts), yield* ServiceBusReceiver.make(Texts)]
        for (const one of made) printed.push(inspect(one, { depth: 8 }))
        const text = printed.join("\n")
        for (const secret of secrets) assert.isFalse(text.includes(secret), secret)
      }), { policies })

    it.effect("a link is detached when its SAS token is over", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* withClient(
          Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const link = linkOf(receiver)
            // Attaching again needs a new token, and there is none.
            const fiber = yield* start(
              receiver.receive({ maxWait: Duration.infinity }).pipe(failsWith("ServiceBusAuthenticationError"))
            )
            yield* until(Effect.map(emulator.connections, (connections) => connections === 1))
            yield* minutes(8)
            assert.isUndefined(fiber.pollUnsafe())
            // Before the link would be detached for being idle.
            yield* minutes(1)
            assert.strictEqual(link.dead()?._tag, "ServiceBusAuthorizationError")
            assert.include(link.dead()?.message, "amqp:unauthorized-access")
            assert.include(link.dead()?.message, "ExpiredToken")
            // A minute at once is more than a handshake may take.
            yield* until(Effect.andThen(TestClock.adjust(100), Effect.sync(() => fiber.pollUnsafe() !== undefined)))
            const exit = fiber.pollUnsafe()!
            assert(Exit.isSuccess(exit))
            assert.include(exit.value.message, "ExpiredToken")
          }),
          token("sb://127.0.0.1/", 530)
        )
      }).pipe(
        Effect.provide(Logger.layer([])),
        Effect.provide(overTcp({ entities: [Emulator.entity(Texts), Emulator.entity(Orders)], policies }))
      ))
  })

/** Hosts that are no Service Bus. */
const hosts = () =>
  describe("hosts", () => {
    const listening = (serve: (socket: net.Socket) => void) =>
      Effect.acquireRelease(
        Effect.callback<readonly [number, () => void]>((resume) => {
          const sockets = new Set<net.Socket>()
          const server = net.createServer((socket) => {
            sockets.add(socket)
            socket.on("error", () => {})
            serve(socket)
          })
          server.listen(0, "127.0.0.1", () =>
            resume(Effect.succeed([(server.address() as net.AddressInfo).port, () => {
              for (const socket of sockets) socket.destroy()
              server.close()
            }])))
        }),
        ([, close]) => Effect.sync(close)
      ).pipe(Effect.map(([port]) => port))

    const attempt = (port: number, operationTimeout: Duration.Input = "5 seconds") =>
      Effect.gen(function*() {
        const parsed = yield* ConnectionString.parse(Redacted.make(
          `Endpoint=sb://127.0.0.1:${port};SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true`
        ))
        const client = yield* ServiceBusClient.fromConnectionString(parsed, {
          operationTimeout,
          retry: { maxRetries: 0 }
        })
        yield* Effect.provideService(sender, ServiceBusClient.ServiceBusClient, client)
      }).pipe(Effect.scoped)

    it.live("a port that refuses", () =>
      Effect.gen(function*() {
        const port = yield* Effect.scoped(listening(() => {}))
        const error = yield* attempt(port).pipe(failsWith("ServiceBusCommunicationError"))
        assert.include(error.message, "ECONNREFUSED")
        assert.include(error.message, String(port))
      }))

    it.live("a peer that closes at once, or resets", () =>
      Effect.gen(function*() {
        const ends = yield* listening((socket) => socket.end())
        yield* attempt(ends).pipe(failsWith("ServiceBusConnectionError"))
        const resets = yield* listening((socket) => socket.resetAndDestroy())
        yield* attempt(resets).pipe(failsWith("ServiceBusConnectionError"))
      }))

    it.live("a peer that speaks something else", () =>
      Effect.gen(function*() {
        for (
          const answer of [
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            Buffer.alloc(4096, 0xff),
            Buffer.from("AMQP\x00\x00\x09\x01", "latin1")
          ]
        ) {
          const port = yield* listening((socket) => {
            socket.on("data", () => {})
            socket.write(answer)
          })
          const error = yield* Effect.flip(attempt(port))
          assert.include(["ServiceBusConnectionError", "ServiceBusError"], error._tag)
        }
      }))

    it.live("a peer that says nothing", () =>
      Effect.gen(function*() {
        const port = yield* listening((socket) => socket.on("data", () => {}))
        const error = yield* attempt(port, "50 millis").pipe(failsWith("OperationTimeoutError"))
        assert.strictEqual(error.outcome, "notSent")
        assert.strictEqual(error.operation, "connect")
      }))

    it.live("interrupting while the peer says nothing closes the socket", () =>
      Effect.gen(function*() {
        const closed: Array<string> = []
        const port = yield* listening((socket) => {
          socket.on("data", () => {})
          closed.push("open")
          socket.on("close", () => closed.push("close"))
        })
        const fiber = yield* start(attempt(port))
        yield* until(Effect.sync(() => closed.length === 1))
        fiber.interruptUnsafe()
        yield* until(Effect.sync(() => closed.length === 2))
      }))
  })

describe("Refusals", () => {
  both(suite)
  credentials()
  hosts()
})
