/** Namespaces of one broker: they do not meet, come and go by a call or by use, and leave nothing. */
import { DateTime, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import {
  ConnectionString,
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpBody, HttpClientRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { once } from "node:events"
import type { Connection, EventContext } from "rhea"
import * as SasToken from "../../src/internal/SasToken.ts"
import * as Raw from "../support/frames.ts"
import { failsWith, until } from "../support/harness.ts"
import { messageOf, peer } from "../support/rheaPeer.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })

const key = Redacted.make("the broker's own")
const entities = [
  Emulator.entity(Orders, { lockDuration: "30 seconds" }),
  Emulator.entity(News),
  Emulator.entity(Sport)
]
const base = { entities, key }

type Given = Partial<Emulator.Options>

/** The two ways to a broker: each test is run in memory, under TestClock, and on a port. */
const both = (
  title: string,
  effect: Effect.Effect<void, unknown, Emulator.Emulator | Scope.Scope>,
  options: Given = {}
): void => {
  const given = { ...base, ...options }
  it.effect(`${title}, in memory`, () => effect.pipe(Effect.scoped, Effect.provide(Emulator.layer(given))))
  it.live(`${title}, on a port`, () => effect.pipe(Effect.scoped, Effect.provide(Emulator.layerServer(given))))
}

const any: Given = { namespaces: "any" }

/** A client of a namespace as a user makes it: of a connection string in which the name of the key was changed. */
const clientOf = Effect.fnUntraced(function*(
  change: { readonly name?: string; readonly host?: string; readonly key?: Redacted.Redacted<string> },
  options: ServiceBusClient.CommonOptions = {}
) {
  const controls = yield* Emulator.Emulator
  const parsed = yield* ConnectionString.parse(controls.connectionString)
  assert(parsed.credential._tag === "SharedKey")
  const connectionString = ConnectionString.format({
    ...parsed,
    host: change.host ?? parsed.host,
    credential: ServiceBusCredential.sharedKey({
      name: change.name ?? parsed.credential.name,
      key: change.key ?? parsed.credential.key
    })
  })
  const client = ServiceBusClient.layerConnectionString(connectionString, { retry: { maxRetries: 0 }, ...options })
  return yield* Layer.build(controls.reached === undefined ? client : Layer.provide(client, controls.reached))
})

const send = (body: string, entity: typeof Orders = Orders) =>
  Effect.scoped(Effect.flatMap(ServiceBusSender.make(entity), (sender) => sender.send({ body })))

/** Takes the next message, and completes it. */
const take = Effect.scoped(Effect.gen(function*() {
  const receiver = yield* ServiceBusReceiver.make(Orders)
  const [message] = yield* receiver.receive()
  yield* receiver.complete(message!)
  return message!.body
}))

const bodies = (controls: Emulator.Controls) =>
  Effect.map(controls.messages(Orders), (messages) => messages.map(({ body }) => body))

const names = Effect.flatMap(
  Emulator.Emulator,
  ({ namespaces }) => Effect.map(namespaces, (all) => all.map(({ name }) => name))
)

/** Asks the management API, with a token or without one. */
const ask = Effect.fnUntraced(function*(
  method: "GET" | "PUT" | "DELETE",
  path: string,
  { body = "", host = "localhost", token }: {
    readonly body?: string
    readonly host?: string
    readonly token?: string | undefined
  }
) {
  const { httpClient } = yield* Emulator.Emulator
  const response = yield* httpClient.execute(
    HttpClientRequest.make(method)(`http://${host}${path}`, {
      headers: token === undefined ? {} : { authorization: token },
      ...(body === "" ? {} : { body: HttpBody.text(body) })
    })
  )
  return { status: response.status, text: yield* response.text }
})

const tokenOf = (keyName: string, given: Redacted.Redacted<string> = key, resource = "http://localhost/") =>
  Redacted.value(SasToken.sign({ resource, keyName, key: given, expiresAt: 10_000_000_000 }))

const queue = `<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">
<QueueDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"/></content></entry>`

describe("namespaces that a program makes", () => {
  both(
    "do not meet: queues of one name, messages, rules and counters are of each",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const red = yield* Layer.build(Emulator.layerNamespace({ name: "red" }))
      const blue = yield* Layer.build(Emulator.layerNamespace({ name: "blue" }))
      yield* Effect.provide(send("to red"), red)
      yield* Effect.provide(send("to blue"), blue)
      yield* Effect.provide(send("to blue again"), blue)
      const urgent = ServiceBusRule.make("urgent", ServiceBusRule.sql("urgent = TRUE"))
      yield* Effect.provide(
        Effect.scoped(Effect.flatMap(ServiceBusRuleManager.make(Sport), (rules) => rules.create(urgent))),
        red
      )
      yield* Effect.provide(
        Effect.gen(function*() {
          const administration = yield* ServiceBusAdministration.ServiceBusAdministration
          yield* administration.createQueue("only-red")
        }),
        red
      )
      const [theRed, theBlue] = [yield* emulator.namespace("red"), yield* emulator.namespace("BLUE")]
      assert.deepStrictEqual(yield* bodies(theRed), ["to red"])
      assert.deepStrictEqual(yield* bodies(theBlue), ["to blue", "to blue again"])
      assert.deepStrictEqual(yield* bodies(emulator), [])
      assert.lengthOf(yield* theRed.rules(Sport), 2)
      assert.lengthOf(yield* theBlue.rules(Sport), 1)
      assert.strictEqual((yield* theRed.runtime("only-red")).totalMessageCount, 0)
      yield* failsWith("EmulatorError")(theBlue.runtime("only-red"))
      yield* failsWith("EmulatorError")(emulator.runtime("only-red"))
      assert.strictEqual(yield* Effect.provide(take, red), "to red")
      assert.strictEqual((yield* theRed.counters(Orders)).completed, 1)
      assert.strictEqual((yield* theBlue.counters(Orders)).completed, 0)
    })
  )

  both(
    "have faults, connections and an outage of their own",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const once = { client: { retry: { maxRetries: 0 } } }
      const red = yield* Layer.build(Emulator.layerNamespace({ name: "red", ...once }))
      const blue = yield* Layer.build(Emulator.layerNamespace({ name: "blue", ...once }))
      const theRed = yield* emulator.namespace("red")
      const theBlue = yield* emulator.namespace("blue")
      yield* theRed.fail({ operation: "send", error: { condition: "amqp:not-allowed" } })
      yield* Effect.provide(send("one"), blue)
      yield* Effect.flip(Effect.provide(send("one"), red))
      const held = yield* Effect.provide(ServiceBusSender.make(Orders), blue)
      yield* until(Effect.map(theBlue.connections, (connections) => connections === 1))
      assert.strictEqual(yield* emulator.connections, 0)
      yield* theRed.dropConnections
      yield* emulator.dropConnections
      yield* held.send({ body: "on the same link" })
      assert.strictEqual(yield* theBlue.connections, 1)
      yield* theRed.stop
      yield* Effect.flip(Effect.provide(send("two"), red))
      const administer = Effect.flatMap(
        ServiceBusAdministration.ServiceBusAdministration,
        (administration) => administration.getQueue(Orders)
      )
      yield* Effect.provide(administer, blue)
      const { credential } = yield* ConnectionString.parse(theRed.connectionString)
      assert(credential._tag === "SharedKey")
      const stopped = yield* ask("GET", "/orders", { token: tokenOf("red", credential.key) })
      assert.strictEqual(stopped.status, 503)
      yield* held.send({ body: "and again" })
      yield* theRed.start
      yield* Effect.provide(send("three"), red)
      assert.deepStrictEqual(yield* bodies(theRed), ["three"])
    })
  )

  both(
    "have keys of their own: neither that of the broker nor of another one opens them",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const red = yield* emulator.createNamespace({ name: "red" })
      const blue = yield* emulator.createNamespace({ name: "blue", key: Redacted.make("blue's") })
      const keyOf = ({ connectionString }: Emulator.Controls) =>
        Effect.map(ConnectionString.parse(connectionString), ({ credential }) => {
          assert(credential._tag === "SharedKey")
          return credential.key
        })
      assert.strictEqual(Redacted.value(yield* keyOf(blue)), "blue's")
      assert.notStrictEqual(Redacted.value(yield* keyOf(red)), Redacted.value(key))
      for (const wrong of [key, yield* keyOf(blue)]) {
        const client = yield* clientOf({ name: "red", key: wrong })
        yield* failsWith("ServiceBusAuthenticationError")(Effect.provide(send("no"), client))
        assert.strictEqual((yield* ask("GET", "/orders", { token: tokenOf("red", wrong) })).status, 401)
        // Nor by its host.
        const named = yield* ask("GET", "/orders", {
          host: "red.localhost",
          token: tokenOf("RootManageSharedAccessKey", wrong)
        })
        assert.strictEqual(named.status, 401)
      }
      // A key of one opens no other, and not the broker's own either.
      const token = tokenOf("RootManageSharedAccessKey", yield* keyOf(red))
      assert.strictEqual((yield* ask("GET", "/orders", { token })).status, 401)
      assert.strictEqual((yield* ask("GET", "/orders", { host: "blue.localhost", token })).status, 401)
      assert.strictEqual((yield* ask("GET", "/orders", { host: "red.localhost", token })).status, 200)
      assert.strictEqual((yield* ask("GET", "/orders", { token: tokenOf("RED", yield* keyOf(red)) })).status, 200)
      assert.strictEqual((yield* ask("GET", "/orders", { token: tokenOf("red", yield* keyOf(red)) })).status, 200)
      // An identity is of one namespace.
      const { token: bearer } = (yield* Effect.promise(async () => red.tokenCredential.getToken("")))!
      assert.strictEqual((yield* ask("GET", "/orders", { token: `Bearer ${bearer}` })).status, 200)
      yield* red.delete(Orders)
      assert.notInclude((yield* ask("GET", "/orders", { token: `Bearer ${bearer}` })).text, "QueueDescription")
      const foreign = yield* ask("GET", "/orders", { host: "blue.localhost", token: `Bearer ${bearer}` })
      assert.strictEqual(foreign.status, 401)
    })
  )

  both(
    "are checked: names, keys and entities that are wrong are said, and leave nothing",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const wrong: ReadonlyArray<readonly [options: unknown, problem: RegExp, reason: string | undefined]> = [
        [{ name: "" }, /1 to 50 letters/, "invalid"],
        [{ name: "a b" }, /not "a b"/, "invalid"],
        [{ name: "a".repeat(51) }, /1 to 50/, "invalid"],
        [{ name: 5 }, /not number/, "invalid"],
        [{}, /1 to 50/, "invalid"],
        [undefined, /the options of the namespace are not usable/, undefined],
        [{ name: "rootmanagesharedaccesskey" }, /root policy/, "invalid"],
        [{ name: "Reader" }, /name of a policy/, "invalid"],
        [{ name: "default" }, /has the namespace "default" already/, "alreadyExists"],
        [{ name: "TWICE" }, /already/, "alreadyExists"],
        [{ name: "red", key: Redacted.make("a;b") }, /key must be/, undefined],
        [{ name: "red", entities: [Emulator.entity("")] }, /needs a name/, undefined],
        [{ name: "red", entities: [null] }, /made by Emulator.entity/, undefined],
        [{ name: "red", entities: 5 }, /not usable/, undefined],
        [{ name: "red", policies: [{ name: "" }] }, /policies/, undefined]
      ]
      yield* emulator.createNamespace({ name: "twice" })
      for (const [options, problem, reason] of wrong) {
        const error = yield* failsWith("EmulatorError")(emulator.createNamespace(options as never))
        assert.match(error.problem, problem)
        assert.strictEqual(error.reason, reason ?? error.reason)
      }
      assert.deepStrictEqual(yield* names, ["default", "twice"])
      const missing = yield* failsWith("EmulatorError")(emulator.namespace("red"))
      assert.strictEqual(missing.reason, "notFound")
      assert.strictEqual((yield* failsWith("EmulatorError")(emulator.removeNamespace("red"))).reason, "notFound")
      assert.strictEqual((yield* failsWith("EmulatorError")(emulator.removeNamespace("Default"))).reason, "invalid")
      for (const odd of [undefined, null, 5, {}]) {
        yield* failsWith("EmulatorError")(emulator.removeNamespace(odd as never))
        yield* failsWith("EmulatorError")(emulator.namespace(odd as never))
      }
      yield* emulator.createNamespace({ name: "third" })
      const full = yield* failsWith("EmulatorError")(emulator.createNamespace({ name: "fourth" }))
      assert.strictEqual(full.reason, "quotaExceeded")
      yield* emulator.removeNamespace("third")
      yield* emulator.createNamespace({ name: "fourth" })
    }),
    { maxNamespaces: 2, policies: [{ name: "reader", key: Redacted.make("r"), rights: ["Listen"] }] }
  )

  it.live("options of the layer that are wrong are said", () =>
    Effect.gen(function*() {
      const wrong: ReadonlyArray<readonly [options: object, problem: RegExp]> = [
        [{ namespaces: "all" }, /namespaces must be "any"/],
        [{ namespaces: true }, /namespaces must be "any"/],
        [{ namespaceIdle: 0 }, /namespaceIdle must be a duration/],
        [{ namespaceIdle: "soon" }, /namespaceIdle must be a duration/],
        [{ maxNamespaces: 0 }, /maxNamespaces must be an integer/]
      ]
      for (const [options, problem] of wrong) {
        const layer = Emulator.layerServer({ ...base, ...options } as never)
        const error = yield* failsWith("EmulatorError")(Effect.scoped(Layer.build(layer)))
        assert.match(error.problem, problem)
      }
      const odd = Emulator.layerNamespace({ name: "red", client: { retry: { maxRetries: -1 } } })
      const layer = Layer.provideMerge(odd, Emulator.layerServer(base))
      yield* failsWith("EmulatorError")(Effect.scoped(Layer.build(layer)))
    }))
})

describe("a namespace that is removed", () => {
  both(
    "has nothing any more for a program that still has its controls, and takes nothing",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const red = yield* emulator.createNamespace({ name: "red" })
      yield* red.send(Orders, [{ body: "one" }])
      const dump = yield* red.dump()
      yield* emulator.removeNamespace("red")
      const refused: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        red.messages(Orders),
        red.runtime(Orders),
        red.send(Orders, [{ body: "two" }]),
        red.create(Emulator.entity("other")),
        red.update(Orders, { maxDeliveryCount: 3 }),
        red.delete(Orders),
        red.reset(Orders),
        red.load(dump)
      ]
      for (const each of refused) {
        const { reason } = yield* each.pipe(failsWith("EmulatorError"))
        assert.strictEqual(reason, "notFound")
      }
      assert.strictEqual(yield* red.reset(), 0)
      assert.deepStrictEqual((yield* red.dump()).entities, [])
    })
  )

  both(
    "lets nobody wait in it: for a message, for a session, or with a lock",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const red = yield* Layer.build(Emulator.layerNamespace({
        name: "red",
        entities: [Emulator.entity(Orders), Emulator.entity(Carts)],
        client: { retry: { maxRetries: 0 } }
      }))
      const theRed = yield* emulator.namespace("red")
      yield* theRed.send(Orders, [{ body: "one" }])
      yield* theRed.send(Carts, [{ body: "one", sessionId: "held" }])
      const receiver = yield* Effect.provide(ServiceBusReceiver.make(Orders), red)
      const [message] = yield* receiver.receive()
      const session = yield* Effect.provide(ServiceBusSession.accept(Carts, "held"), red)
      const waiting = yield* Effect.forEach([
        receiver.receive(),
        session.receive(),
        Effect.provide(ServiceBusSession.acceptNext(Carts), red)
      ], (each) => Effect.forkChild(Effect.asVoid(each as Effect.Effect<unknown, unknown, Scope.Scope>)))
      // The next session is asked for, and there is none.
      yield* until(Effect.map(theRed.connections, (connections) => connections === 1))
      yield* emulator.idle
      yield* emulator.removeNamespace("red")
      for (const each of waiting) yield* Fiber.await(each)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(receiver.complete(message!))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(session.renewLock)))
      yield* until(Effect.map(theRed.connections, (connections) => connections === 0))
    })
  )

  both(
    "detaches its links and closes its connections, while others go on",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.createNamespace({ name: "red", key })
      const red = yield* clientOf({ name: "red" })
      const blue = yield* Layer.build(Emulator.layerNamespace({ name: "blue" }))
      const bystander = yield* Effect.provide(ServiceBusSender.make(Orders), blue)
      const waiting = yield* Effect.forkChild(Effect.provide(take, red))
      const theRed = yield* emulator.namespace("red")
      yield* until(Effect.map(theRed.connections, (connections) => connections === 1))
      yield* emulator.idle
      yield* emulator.removeNamespace("red")
      const exit = yield* Fiber.await(waiting)
      assert.isTrue(Exit.isFailure(exit))
      yield* bystander.send({ body: "goes on" })
      assert.deepStrictEqual(yield* names, ["default", "blue"])
      yield* until(Effect.map(theRed.connections, (connections) => connections === 0))
      // Controls that a test still has find nothing.
      yield* failsWith("EmulatorError")(theRed.send(Orders, [{ body: "too late" }]))
      // Its name means nothing any more.
      yield* failsWith("ServiceBusAuthenticationError")(Effect.provide(send("no"), red))
      assert.strictEqual((yield* ask("GET", "/orders", { token: tokenOf("red") })).status, 401)
      // Made again it is another one.
      yield* emulator.createNamespace({ name: "red", key })
      yield* Effect.provide(send("anew"), red)
      assert.deepStrictEqual(yield* bodies(yield* emulator.namespace("red")), ["anew"])
    })
  )
})

describe("namespaces that come by use", () => {
  both(
    "need a change of the key's name in the connection string, and nothing else",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const red = yield* clientOf({ name: "team-red" })
      const blue = yield* clientOf({ name: "Team_Blue.1" })
      const plain = yield* clientOf({})
      yield* Effect.provide(send("to red"), red)
      yield* Effect.provide(send("to blue"), blue)
      yield* Effect.provide(send("to default"), plain)
      assert.deepStrictEqual(yield* names, ["default", "team-red", "Team_Blue.1"])
      assert.strictEqual(yield* Effect.provide(take, red), "to red")
      assert.strictEqual(yield* Effect.provide(take, blue), "to blue")
      assert.strictEqual(yield* Effect.provide(take, plain), "to default")
      // Case does not matter.
      yield* Effect.provide(send("again"), yield* clientOf({ name: "TEAM-RED" }))
      assert.deepStrictEqual(yield* bodies(yield* emulator.namespace("Team-Red")), ["again"])
      assert.lengthOf(yield* names, 3)
      const held = yield* Effect.provide(ServiceBusSender.make(Orders), blue)
      yield* held.send({ body: "held" })
      const summaries = yield* emulator.namespaces
      assert.deepStrictEqual(summaries.map(({ isByUse }) => isByUse), [false, true, true])
      assert.deepStrictEqual(summaries.map(({ connections }) => connections), [0, 0, 1])
    }),
    any
  )

  const byHost = (
    clientFor: (host: string) => ReturnType<typeof clientOf>
  ): Effect.Effect<void, unknown, Emulator.Emulator | Scope.Scope> =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      for (const host of ["red.localhost", "blue.servicebus.windows.net"]) {
        yield* Effect.provide(send(host), yield* clientFor(host))
        const token = tokenOf("RootManageSharedAccessKey", key, `http://${host}/`)
        const answered = yield* ask("GET", "/orders", { host, token })
        assert.include(answered.text, "<MessageCount>1</MessageCount>")
        // A token for the host of another one is none of this one.
        assert.strictEqual((yield* ask("GET", "/orders", { host: "green.localhost", token })).status, 401)
      }
      assert.deepStrictEqual(yield* names, ["default", "red", "green", "blue"])
      assert.deepStrictEqual(yield* bodies(yield* emulator.namespace("blue")), ["blue.servicebus.windows.net"])
      // A host that says where the broker is names none.
      for (const host of ["emulator", "127.0.0.1", "host.docker.internal", "bus.example.org", "emulator.localhost"]) {
        const token = tokenOf("RootManageSharedAccessKey", key, `http://${host}/`)
        if (host !== "emulator.localhost" || emulator.port === 0) yield* ask("GET", "/orders", { host, token })
      }
      assert.lengthOf(yield* names, 4)
    })

  it.effect("are told by a host of Azure's form, too, in memory", () =>
    byHost((host) => clientOf({ host }, { allowPlainTcp: true })).pipe(
      Effect.scoped,
      Effect.provide(Emulator.layer({ ...base, ...any }))
    ))

  it.live("are told by a host of Azure's form, too, at another address over TLS", () =>
    byHost((host) =>
      Effect.flatMap(Emulator.Emulator, ({ certificate, tlsPort }) =>
        Layer.build(ServiceBusClient.layer({
          fullyQualifiedNamespace: host,
          credential: ServiceBusCredential.sharedKey({ name: "RootManageSharedAccessKey", key }),
          customEndpointAddress: `sb://127.0.0.1:${tlsPort}`,
          ca: certificate
        })))
    ).pipe(Effect.scoped, Effect.provide(Emulator.layerServer({ ...base, ...any, tlsPort: 0 }))))

  both(
    "are not made by a wrong key, a wrong name or no token, nor more of them than may be",
    Effect.gen(function*() {
      const wrong = Redacted.make("wrong")
      const refused = yield* failsWith("ServiceBusAuthenticationError")(
        Effect.provide(send("no"), yield* clientOf({ name: "red", key: wrong }))
      )
      assert.include(refused.message, "InvalidSignature")
      assert.strictEqual((yield* ask("GET", "/orders", { token: tokenOf("red", wrong) })).status, 401)
      const expired = Redacted.value(
        SasToken.sign({ resource: "http://localhost/", keyName: "red", key, expiresAt: 0 })
      )
      assert.strictEqual((yield* ask("GET", "/orders", { token: expired })).status, 401)
      assert.strictEqual((yield* ask("GET", "/orders", { host: "red.localhost" })).status, 401)
      assert.strictEqual((yield* ask("GET", "/orders", { token: "Bearer e30.eyJucyI6InJlZCJ9.x" })).status, 401)
      const misnamed = yield* failsWith("ServiceBusAuthenticationError")(
        Effect.provide(send("no"), yield* clientOf({ name: "red team" }))
      )
      assert.include(misnamed.message, "1 to 50 letters")
      assert.include((yield* ask("GET", "/orders", { token: tokenOf("é") })).text, "1 to 50 letters")
      assert.deepStrictEqual(yield* names, ["default"])
      yield* Effect.provide(send("yes"), yield* clientOf({ name: "one" }))
      const over = yield* failsWith("ServiceBusAuthenticationError")(
        Effect.provide(send("no"), yield* clientOf({ name: "two" }))
      )
      assert.include(over.message, "maxNamespaces")
      assert.strictEqual(over.condition, "amqp:resource-limit-exceeded")
      const answered = yield* ask("GET", "/orders", { token: tokenOf("two") })
      assert.strictEqual(answered.status, 403)
      assert.include(answered.text, "maxNamespaces")
      assert.deepStrictEqual(yield* names, ["default", "one"])
    }),
    { ...any, maxNamespaces: 1 }
  )

  both(
    "are made by a request of the control API too, which is refused in its own words",
    Effect.gen(function*() {
      const basic = (name: string, given = key) =>
        `Basic ${Buffer.from(`${name}:${Redacted.value(given)}`).toString("base64")}`
      assert.strictEqual((yield* ask("GET", "/clock", { token: basic("red") })).status, 200)
      assert.deepStrictEqual(yield* names, ["default", "red"])
      const refusals = [
        ["blue", Redacted.make("wrong"), 401, "Unauthorized"],
        ["blue team", key, 401, "Unauthorized"],
        ["blue", key, 403, "QuotaExceeded"]
      ] as const
      for (const [name, given, status, error] of refusals) {
        const answered = yield* ask("GET", "/clock", { token: basic(name, given) })
        assert.strictEqual(answered.status, status)
        assert.strictEqual((JSON.parse(answered.text) as { readonly error: string }).error, error)
      }
      const { namespace } = yield* Emulator.Emulator
      yield* (yield* namespace("red")).stop
      assert.strictEqual((yield* ask("GET", "/clock", { token: basic("red") })).status, 503)
      assert.deepStrictEqual(yield* names, ["default", "red"])
    }),
    { ...any, maxNamespaces: 1 }
  )

  both(
    "start with what the broker was started with, and change nothing of it",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.delete(Orders)
      yield* emulator.create(Emulator.entity("later"))
      yield* Effect.provide(send("there"), yield* clientOf({ name: "red" }))
      const red = yield* emulator.namespace("red")
      yield* failsWith("EmulatorError")(red.runtime("later"))
      // Policies of the broker are keys of each, by its host: a name of a policy is no name of a namespace.
      const reader = Redacted.make("reader's")
      const token = tokenOf("reader", reader, "http://red.localhost/")
      assert.match((yield* ask("GET", "/orders", { host: "red.localhost", token })).text, /Manage,EntityRead/)
      assert.strictEqual((yield* ask("GET", "/later", { token: tokenOf("reader", reader) })).status, 401)
      assert.deepStrictEqual(yield* names, ["default", "red"])
      // Made by a program, with nothing but what it says.
      const own = yield* emulator.createNamespace({ name: "own", entities: [Emulator.entity("mine")], policies: [] })
      yield* failsWith("EmulatorError")(own.runtime(Orders))
      assert.strictEqual((yield* own.runtime("mine")).totalMessageCount, 0)
    }),
    { ...any, policies: [{ name: "reader", key: Redacted.make("reader's"), rights: ["Listen"] }] }
  )

  both(
    "are told by the keys of an entity's policies only where these are, in the default one or by the host",
    Effect.gen(function*() {
      const put = (host: string, name: string) =>
        ask("PUT", "/keyed?api-version=2021-05", {
          host,
          token: tokenOf(name, key, `http://${host}/`),
          body: queue.replace(
            "/></content>",
            `><AuthorizationRules><AuthorizationRule i:type="SharedAccessAuthorizationRule" xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><ClaimType>SharedAccessKey</ClaimType><ClaimValue>None</ClaimValue><Rights><AccessRights>Manage</AccessRights><AccessRights>Send</AccessRights><AccessRights>Listen</AccessRights></Rights><KeyName>entitys</KeyName><PrimaryKey>${
              Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")
            }</PrimaryKey></AuthorizationRule></AuthorizationRules></QueueDescription></content>`
          )
        })
      const given = Redacted.make(Buffer.from("0123456789abcdef0123456789abcdef").toString("base64"))
      const made = yield* put("localhost", "RootManageSharedAccessKey")
      assert.strictEqual(made.status, 201, made.text)
      const token = (host: string) => tokenOf("entitys", given, `http://${host}/keyed`)
      assert.strictEqual((yield* ask("GET", "/keyed", { token: token("localhost") })).status, 200)
      assert.deepStrictEqual(yield* names, ["default"])
      // In another namespace there is no such entity, until it is made there.
      assert.strictEqual((yield* put("red.localhost", "RootManageSharedAccessKey")).status, 201)
      const answered = yield* ask("GET", "/keyed", { host: "red.localhost", token: token("red.localhost") })
      assert.strictEqual(answered.status, 200)
    }),
    any
  )

  it.live("are made once, however many ask for one at the same time", () =>
    Effect.gen(function*() {
      const { namespace, port } = yield* Emulator.Emulator
      // Each says all that it has to say as soon as it is connected: a handshake has five seconds, on a busy machine too.
      const peers = yield* Effect.forEach(Array.from({ length: 1_000 }), (_, index) =>
        Effect.tap(Raw.connect(port), ({ write }) =>
          write(
            Raw.saslHeader,
            Raw.init("PLAIN", `\0${index % 2 === 0 ? "crowd" : "CROWD"}\0${Redacted.value(key)}`),
            Raw.amqpHeader,
            Raw.open
          )), { concurrency: 50 })
      yield* until(Effect.sync(() =>
        peers.every(({ frames }) =>
          frames.at(-1)?.performative === "open"
        )
      ))
      assert.lengthOf(yield* names, 2)
      assert.strictEqual(yield* (yield* namespace("crowd")).connections, 1_000)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layerServer({ ...base, ...any }))))

  /** What a test of idling does while a time passes. */
  const passes = (time: Duration.Input) => Effect.andThen(TestClock.adjust(time), Effect.yieldNow)

  it.effect("are removed once nothing has used them for a time, and no earlier", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.createNamespace({ name: "stays" })
      const scope = yield* Scope.make()
      const client = yield* Scope.provide(clientOf({ name: "goes" }), scope)
      yield* Effect.provide(send("kept as long"), client)
      // A connection is a use, for as long as it is open.
      yield* Scope.provide(Effect.provide(ServiceBusSender.make(Orders), client), scope)
      yield* passes("3 hours")
      assert.deepStrictEqual(yield* names, ["default", "stays", "goes"])
      yield* Scope.close(scope, Exit.void)
      yield* passes("9 minutes")
      assert.deepStrictEqual(yield* names, ["default", "stays", "goes"])
      // So is a request.
      assert.strictEqual((yield* ask("GET", "/orders", { token: tokenOf("goes") })).status, 200)
      yield* passes("9 minutes")
      assert.deepStrictEqual(yield* names, ["default", "stays", "goes"])
      yield* passes("61 seconds")
      assert.deepStrictEqual(yield* names, ["default", "stays"])
      // It is another one when it comes again.
      const again = yield* clientOf({ name: "goes" })
      yield* Effect.provide(send("new"), again)
      assert.deepStrictEqual(yield* bodies(yield* emulator.namespace("goes")), ["new"])
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ ...base, ...any }))))

  it.effect("keep what they have while they are stopped", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.flatMap(clientOf({ name: "off" }), (client) => Effect.provide(send("kept"), client)))
      const emulator = yield* Emulator.Emulator
      const { start, stop } = yield* emulator.namespace("off")
      yield* stop
      yield* passes("3 hours")
      assert.deepStrictEqual(yield* names, ["default", "off"])
      yield* start
      yield* passes("9 minutes")
      assert.deepStrictEqual(yield* bodies(yield* emulator.namespace("off")), ["kept"])
      yield* passes("11 minutes")
      assert.deepStrictEqual(yield* names, ["default"])
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ ...base, ...any }))))

  it.effect("stay where the time is infinite", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.flatMap(clientOf({ name: "stays" }), (client) => Effect.provide(send("x"), client)))
      yield* passes("365 days")
      assert.deepStrictEqual(yield* names, ["default", "stays"])
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ ...base, ...any, namespaceIdle: Infinity }))))
})

describe("clocks of namespaces", () => {
  both(
    "that a test has in its hand go by themselves: what is due in one is not in another",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const red = yield* emulator.createNamespace({ name: "red" })
      const blue = yield* emulator.createNamespace({ name: "blue" })
      for (const each of [red, blue, emulator]) {
        yield* each.send(Orders, [{ body: "in time", timeToLive: "1 minute" }])
      }
      const [redBefore, blueBefore] = [yield* red.now, yield* blue.now]
      yield* red.advance("2 minutes")
      assert.deepStrictEqual(yield* bodies(red), [])
      assert.deepStrictEqual(yield* bodies(blue), ["in time"])
      assert.deepStrictEqual(yield* bodies(emulator), ["in time"])
      assert.strictEqual(DateTime.formatIso(yield* blue.now), DateTime.formatIso(blueBefore))
      assert.strictEqual(Duration.toMillis(DateTime.distance(redBefore, yield* red.now)), 120_000)
    }),
    { clock: "manual" }
  )
})

describe("a connection", () => {
  const Broker = Emulator.layerServer({ ...base, ...any })
  const test = (title: string, effect: Effect.Effect<void, unknown, Emulator.Emulator | Scope.Scope>) =>
    it.live(title, () => effect.pipe(Effect.scoped, Effect.provide(Broker)))

  /** What a peer that attaches is told, with another session beside it that nobody disturbs. */
  const refusalOf = (connection: Connection, entity: string) =>
    Effect.promise(async () => {
      const sender = connection.open_sender(entity)
      const [{ sender: closed }] = await once(sender, "sender_error") as [EventContext]
      return String(closed!.error && "condition" in closed!.error ? closed!.error.condition : "none")
    })

  test(
    "may put tokens, and nothing else, until it has put one; then it is of one namespace",
    Effect.gen(function*() {
      const { claim, connection, sends } = yield* peer
      // Nothing is told of what is there.
      for (const entity of ["orders", "missing", "orders/$management"]) {
        assert.strictEqual(yield* refusalOf(connection, entity), "amqp:unauthorized-access")
      }
      const of = (name: string, path = "orders") => claim(path, tokenOf(name, key, `sb://127.0.0.1/${path}`))
      assert.strictEqual((yield* of("red", "missing")).status, 404)
      assert.strictEqual((yield* of("blue")).status, 202)
      const { namespace } = yield* Emulator.Emulator
      // What goes wrong in another namespace is for its own connections.
      yield* (yield* namespace("red")).fail({ operation: "putToken", error: { condition: "amqp:not-allowed" } })
      const other = yield* of("red")
      assert.strictEqual(other.status, 401)
      assert.match(other.description, /of the namespace "red", and the connection is of "blue"/)
      assert.strictEqual((yield* of("RootManageSharedAccessKey")).status, 401)
      assert.strictEqual((yield* of("BLUE")).status, 202)
      const send = yield* sends("orders")
      yield* send(messageOf({ body: Buffer.from("to blue") }))
      assert.deepStrictEqual(yield* bodies(yield* namespace("blue")), ["to blue"])
      assert.deepStrictEqual(yield* bodies(yield* namespace("red")), [])
    })
  )

  const signsIn = Effect.fnUntraced(function*(keyName: string, host: string, given = key) {
    const { port } = yield* Emulator.Emulator
    const raw = yield* Raw.connect(port)
    yield* raw.write(
      Raw.saslHeader,
      Raw.init("PLAIN", `\0${keyName}\0${Redacted.value(given)}`),
      Raw.amqpHeader,
      Raw.frame("open", ["raw", host])
    )
    return raw
  })

  test(
    "that signs in with a key is of the namespace of the key's name, or of the host that it opens",
    Effect.gen(function*() {
      const { connections, namespace } = yield* Emulator.Emulator
      const taken: ReadonlyArray<readonly [keyName: string, host: string, name: string]> = [
        ["RootManageSharedAccessKey", "127.0.0.1", "default"],
        ["red", "127.0.0.1", "red"],
        ["RootManageSharedAccessKey", "blue.servicebus.windows.net", "blue"],
        ["green", "green.localhost:5672", "green"]
      ]
      for (const [keyName, host, name] of taken) {
        const raw = yield* signsIn(keyName, host)
        yield* raw.write(Raw.begin(), Raw.attachSender("orders"))
        yield* raw.next("flow")
        yield* raw.write(Raw.transfer({ id: 0, payload: Raw.message(name) }))
        yield* raw.next("disposition")
        assert.strictEqual(yield* (yield* namespace(name)).connections, 1)
        assert.deepStrictEqual(yield* bodies(yield* namespace(name)), [name])
      }
      assert.strictEqual(yield* connections, 1)
      // The host that it opens says another one, of which the key's name is none.
      const raw = yield* signsIn("red", "blue.localhost")
      const { condition } = Raw.errorOf(yield* raw.next("close"))!
      assert.strictEqual(condition, "amqp:unauthorized-access")
      const wrong = yield* signsIn("violet", "127.0.0.1", Redacted.make("wrong"))
      yield* wrong.closed
      assert.deepStrictEqual(yield* names, ["default", "red", "blue", "green"])
    })
  )
})
