/**
 * What once went wrong on the wire, below receivers and senders: the order of frames within one read, requests whose link
 * dies or that cannot be written, time-outs while the wall clock is set, malformed answers of `$management`, and tokens
 * that say no usable end.
 */
import {
  AmqpValue,
  ServiceBusClient,
  ServiceBusCredential,
  type ServiceBusError,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { accepted, type Outcome, released } from "../../src/internal/amqp/codec/Outcome.ts"
import { Writer } from "../../src/internal/amqp/codec/Writer.ts"
import * as Deadlines from "../../src/internal/amqp/Deadlines.ts"
import { OutgoingDelivery } from "../../src/internal/amqp/engine/Delivery.ts"
import type { SessionPlane } from "../../src/internal/amqp/engine/SessionPlane.ts"
import type { Link } from "../../src/internal/amqp/Link.ts"
import * as EntityManagement from "../../src/internal/management/EntityManagement.ts"
import type { RequestResponseLink } from "../../src/internal/management/RequestResponseLink.ts"
import * as Claims from "../../src/internal/namespace/Claims.ts"
import * as Namespace from "../../src/internal/namespace/Namespace.ts"
import * as SasToken from "../../src/internal/SasToken.ts"
import {
  failsWith,
  idsOf,
  inMemory,
  linkOf,
  once,
  passing,
  soon,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { test } = testsOf("in memory", inMemory)

const forced = { condition: "amqp:link:detach-forced", description: "moved" }

/** Keeps the bytes that come to a client instead of reading them; gives what reads them after all, as one read. */
const held = ({ connection }: Link): () => void => {
  const transport = connection.rhea.amqp_transport
  const { read } = transport
  const parts: Array<Buffer> = []
  transport.read = (bytes) => {
    parts.push(Buffer.from(bytes))
    return bytes.length
  }
  return () => {
    transport.read = read
    read.call(transport, Buffer.concat(parts))
  }
}

/** The session of the `$management` node of `texts`, on a link's connection. */
const managementOf = (link: Link): SessionPlane => {
  const { planes } = link.connection.plane as unknown as { readonly planes: ReadonlyMap<unknown, SessionPlane> }
  const found = [...planes.values()].find((plane) =>
    [...plane.handles.values()].some((each) =>
      (each.link.remote.attach?.["target"] as { readonly address?: unknown } | undefined)?.address ===
        "texts/$management"
    )
  )
  assert.isDefined(found)
  return found!
}

const node = Effect.flatMap(ServiceBusClient.ServiceBusClient, (client) => Namespace.of(client).managementNode("texts"))

/** Claims without a client. */
const unheard = { tokenAccepted: () => {}, tokenRefused: () => {} }

describe("what came before the end of a link, in one read with it", () => {
  const ends = {
    "a detach": ({ detachLinks }: Emulator.Controls) => detachLinks(forced, Texts),
    "the end of its session": ({ endSessions }: Emulator.Controls) => endSessions(forced),
    "the close of its connection": ({ closeConnections }: Emulator.Controls) =>
      closeConnections({ condition: "amqp:connection:forced", description: "maintenance" })
  }
  for (const [how, end] of Object.entries(ends)) {
    test(`is delivered: ${how}`, () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        const seen: Array<string> = []
        yield* start(
          Stream.runForEach(receiver.messages, ({ messageId }) => Effect.sync(() => seen.push(messageId)))
        )
        yield* emulator.idle
        const link = linkOf(receiver)
        const read = held(link)
        yield* emulator.send(Texts, texts(5))
        yield* emulator.idle
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        yield* end(emulator)
        yield* emulator.idle
        read()
        yield* passing(until(Effect.sync(() => link.dead() !== undefined && seen.length >= 5)))
        assert.deepStrictEqual(seen, ["0", "1", "2", "3", "4"])
      }))
  }
})

describe("a request whose link dies", () => {
  /** A message that is scheduled, and a request to cancel it that the broker has carried out and not answered. */
  const cancelled = Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const sender = yield* ServiceBusSender.make(Texts)
    const number = yield* sender.schedule({ body: "x" }, "1 hour")
    const read = held(linkOf(sender))
    const fiber = yield* start(Effect.exit(sender.cancelScheduled([number])))
    yield* until(Effect.map(emulator.messages(Texts), (messages) => messages.length === 0))
    yield* emulator.idle
    return { emulator, fiber, read }
  })

  test("after it went out has an unknown outcome, and says why it was lost", () =>
    Effect.gen(function*() {
      const { emulator, fiber } = yield* cancelled
      yield* emulator.dropConnections
      const error = yield* Effect.flatten(Fiber.join(fiber)).pipe(failsWith("OperationTimeoutError"))
      assert.deepInclude(error, { outcome: "unknown", operation: "cancelScheduled", entity: "texts" })
      assert.strictEqual((error.cause as { readonly _tag: string })._tag, "ServiceBusConnectionError")
    }), once)

  test("after its answer came is answered", () =>
    Effect.gen(function*() {
      const { emulator, fiber, read } = yield* cancelled
      yield* emulator.detachLinks(forced, "texts/$management")
      yield* emulator.idle
      read()
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
    }), once)

  test("before it went out fails as the link did", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      const number = yield* sender.schedule({ body: "x" }, "1 hour")
      yield* emulator.idle
      for (const { link } of managementOf(linkOf(sender)).handles.values()) if (!link.is_receiver()) link.credit = 0
      const fiber = yield* start(sender.cancelScheduled([number]))
      yield* emulator.idle
      yield* emulator.dropConnections
      const error = yield* Fiber.join(fiber).pipe(failsWith("ServiceBusConnectionError"))
      assert.isTrue(error.isTransient)
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    }), once)

  test("is made again where that does no harm: renewing and peeking", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      const requests: ReadonlyArray<Effect.Effect<number, ServiceBusError.Any>> = [
        Effect.map(receiver.renewLock(message!), () => 1),
        Effect.map(receiver.peek(), (messages) => messages.length)
      ]
      for (const request of requests) {
        // Its node is open, and it is out.
        yield* receiver.peek()
        const link = linkOf(receiver)
        held(link)
        const { outgoing } = managementOf(link).session
        const before = outgoing.next_delivery_id
        const fiber = yield* start(request)
        yield* soon(() => outgoing.next_delivery_id > before)
        yield* emulator.dropConnections
        assert.strictEqual(yield* passing(Fiber.join(fiber)), 1)
        // Attached again, by who uses it.
        yield* passing(receiver.receive({ maxWait: 0 }))
      }
    }))

  test("fails as the link did where it put a token: no outcome is unknown by that", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const link = linkOf(yield* ServiceBusSender.make(Texts))
      const claims = yield* Claims.make(link.connection, {
        host: "localhost",
        timeout: 1_000,
        outages: unheard,
        tokens: Claims.tokensOf(ServiceBusCredential.identity(emulator.tokenCredential), 1_000)
      })
      held(link)
      const fiber = yield* start(claims.authorize("texts"))
      yield* emulator.idle
      yield* emulator.dropConnections
      yield* Fiber.join(fiber).pipe(failsWith("ServiceBusConnectionError"))
    }), once)

  test("is known to a settlement that is made again: the lock that is gone may be settled", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      yield* receiver.peek()
      const link = linkOf(receiver)
      yield* emulator.detachLinks(forced, Texts)
      yield* until(Effect.sync(() => link.dead() !== undefined))
      held(link)
      const fiber = yield* start(receiver.complete(message!))
      yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1))
      yield* emulator.dropConnections
      const error = yield* passing(Fiber.join(fiber)).pipe(failsWith("OperationTimeoutError"))
      assert.strictEqual(error.outcome, "unknown")
    }))
})

describe("a request", () => {
  test("that cannot be written fails, and nothing is kept of it", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      const self = yield* node
      // Tests run side by side: only what is of this one counts.
      const { connection } = linkOf(sender)
      const prototype = Object.getPrototypeOf(linkOf(sender)) as Link
      const { onDeath } = prototype
      let hooks = 0
      ;(prototype as { onDeath: Link["onDeath"] }).onDeath = function(this: Link, hook) {
        if (this.connection !== connection) return onDeath.call(this, hook)
        hooks++
        const off = onDeath.call(this, hook)
        return () => {
          hooks--
          off()
        }
      }
      yield* Effect.gen(function*() {
        const error = yield* self.request({ operation: "x", bad: AmqpValue.typed("uint", 1.5) }, null, "x").pipe(
          failsWith("InvalidOptionError")
        )
        assert.include(error.message, "uint")
        assert.strictEqual(hooks, 0)
        // The next one is written as if nothing had been.
        yield* EntityManagement.peek(self, { entity: "texts", from: 0n, count: 1, timeout: 1000 })
        assert.strictEqual(hooks, 0)
      }).pipe(Effect.ensuring(Effect.sync(() => {
        ;(prototype as { onDeath: Link["onDeath"] }).onDeath = onDeath
      })))
    }))

  const refusals: ReadonlyArray<readonly [Outcome, string]> = [
    [released, "com.microsoft:operation-cancelled"],
    [{ _tag: "Modified" }, "com.microsoft:operation-cancelled"],
    [{ _tag: "Rejected" }, "amqp:internal-error"]
  ]
  for (const [outcome, condition] of refusals) {
    test(`that the peer did not take ends at once: ${outcome._tag}`, () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const self = yield* node
        const link = linkOf(sender)
        const plane = managementOf(link)
        plane.send = (at, payload, { owner } = {}) => {
          const delivery = new OutgoingDelivery(at, payload, false, 0, undefined, owner, 0)
          delivery.id = 1000
          link.connection.dispatcher.schedule(() => owner!.onOutcome(delivery, outcome, true))
          return delivery
        }
        const error = yield* self.request({ operation: "x" }, null, "x").pipe(failsWith("ServiceBusError"))
        assert.strictEqual(error.condition, condition)
        assert.isTrue(error.isTransient)
      }))
  }

  test("that the peer took waits for its response", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      const self = yield* node
      const link = linkOf(sender)
      managementOf(link).send = (at, payload, { owner } = {}) => {
        const delivery = new OutgoingDelivery(at, payload, false, 0, undefined, owner, 0)
        delivery.id = 1000
        link.connection.dispatcher.schedule(() => owner!.onOutcome(delivery, accepted, true))
        return delivery
      }
      const fiber = yield* start(self.request({ operation: "x" }, null, "x"))
      yield* Effect.flatMap(Emulator.Emulator, ({ idle }) => idle)
      assert.isUndefined(fiber.pollUnsafe())
      const error = yield* passing(Fiber.join(fiber)).pipe(failsWith("OperationTimeoutError"))
      assert.strictEqual(error.outcome, "unknown")
    }), { client: { operationTimeout: "1 second" } })
})

describe("time-outs while the wall clock is set", () => {
  const skewed = Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const wall = { skew: 0 }
    const time = () => clock.currentTimeMillisUnsafe() + wall.skew
    const deadlines = yield* Deadlines.make(1_000).pipe(
      Effect.provideService(
        Clock.Clock,
        Object.create(clock, {
          currentTimeMillisUnsafe: { value: time },
          currentTimeMillis: { value: Effect.sync(time) }
        }) as Clock.Clock
      )
    )
    const expired: Array<string> = []
    const add = (name: string) => deadlines.add({ expiresAt: 0, expire: () => expired.push(name) })
    return { wall, add, expired }
  })

  it.effect("back: an operation ends in its time", () =>
    Effect.gen(function*() {
      const { add, expired, wall } = yield* skewed
      add("a")
      yield* TestClock.adjust(100)
      wall.skew = -3_600_000
      yield* TestClock.adjust(899)
      assert.deepStrictEqual(expired, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(expired, ["a"])
    }))

  it.effect("forward: each operation keeps its time", () =>
    Effect.gen(function*() {
      const { add, expired, wall } = yield* skewed
      add("a")
      yield* TestClock.adjust(900)
      add("b")
      wall.skew = 3_600_000
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(expired, ["a"])
      yield* TestClock.adjust(899)
      assert.deepStrictEqual(expired, ["a"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(expired, ["a", "b"])
    }))
})

describe("operations on $management", () => {
  const token = "00000000-0000-0000-0000-000000000001"
  const at = DateTime.makeUnsafe(0)

  const answering = (body: AmqpValue.AmqpValue) => {
    const asked: Array<Readonly<Record<string, AmqpValue.AmqpValue>>> = []
    const self: RequestResponseLink = {
      isLost: () => false,
      request: (properties) => {
        asked.push(properties)
        return Effect.succeed({
          status: 200,
          condition: undefined,
          description: undefined,
          body,
          exactBody: () => body
        })
      }
    }
    return { self, asked }
  }

  const message = { id: "m", bytes: Buffer.alloc(1), sessionId: undefined, partitionKey: undefined }

  const all = (self: RequestResponseLink, timeout: number) => {
    const common = { entity: "texts", timeout }
    const sequenceNumbers = [1n]
    return Effect.all([
      EntityManagement.updateDisposition(self, { ...common, tokens: [token], settlement: { _tag: "Complete" } }),
      EntityManagement.renewLocks(self, { ...common, tokens: [token], link: "link" }),
      EntityManagement.peek(self, { ...common, from: 0n, count: 1 }),
      EntityManagement.schedule(self, { ...common, messages: [{ ...message, viaPartitionKey: undefined }] }),
      EntityManagement.cancelScheduled(self, { ...common, sequenceNumbers }),
      EntityManagement.receiveDeferred(self, { ...common, sequenceNumbers, destructive: false })
    ])
  }

  it.effect("give the server a time-out that is less than the client's and can be written, whatever that is", () =>
    Effect.gen(function*() {
      for (
        const [timeout, written] of [[60_000, 59_000], [1000.5, 950], [10, 9], [0.2, 1], [1e12, 4_294_967_295]] as const
      ) {
        const { asked, self } = answering({ expirations: [at], "sequence-numbers": [1n], messages: [] })
        yield* all(self, timeout)
        assert.lengthOf(asked, 6)
        for (const properties of asked) {
          assert.deepStrictEqual(properties["com.microsoft:server-timeout"], AmqpValue.typed("uint", written))
          new Writer().value(properties)
        }
      }
    }))

  test("work with a time-out of half a millisecond more", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(2))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const [message] = yield* receiver.receive()
      yield* receiver.renewLock(message!)
      assert.deepStrictEqual(idsOf(yield* receiver.peek({ max: 2 })), ["0", "1"])
    }), { client: { operationTimeout: 60_000.5 } })

  const numbers: Readonly<Record<string, AmqpValue.AmqpValue>> = {
    "too few": [],
    "too many": [1n, 2n],
    none: undefined,
    "no array": 1n,
    "a fraction": [1.5],
    "no number": ["x"],
    "a map": [{ a: 1 }],
    "nothing": [null]
  }
  for (const [what, value] of Object.entries(numbers)) {
    it.effect(`sequence numbers that are malformed are an error: ${what}`, () =>
      Effect.gen(function*() {
        const { self } = answering(value === undefined ? null : { "sequence-numbers": value })
        const error = yield* EntityManagement.schedule(self, {
          entity: "texts",
          timeout: 1000,
          messages: [{ ...message, viaPartitionKey: undefined }]
        }).pipe(failsWith("ServiceBusError"))
        assert.deepInclude(error, { entity: "texts", operation: "schedule" })
        assert.include(error.message, "for 1 messages")
      }))
  }

  it.effect("sequence numbers of either form are read", () =>
    Effect.gen(function*() {
      for (const value of [[7n], [7], AmqpValue.array("long", [7n])]) {
        const { self } = answering({ "sequence-numbers": value })
        const messages = [{ ...message, viaPartitionKey: undefined }]
        assert.deepStrictEqual(yield* EntityManagement.schedule(self, { entity: "texts", timeout: 1000, messages }), [
          7n
        ])
      }
    }))
})

describe("a token that says no usable end", () => {
  test("of an identity is refused before the wire", () =>
    Effect.gen(function*() {
      const { tokenCredential } = yield* Emulator.Emulator
      const { connection } = linkOf(yield* ServiceBusSender.make(Texts))
      yield* TestClock.adjust("10 seconds")
      const claimsFor = (expiresOnTimestamp: unknown) =>
        Claims.make(connection, {
          host: "localhost",
          timeout: 1_000,
          outages: unheard,
          tokens: Claims.tokensOf(
            ServiceBusCredential.identity({
              getToken: (scope, options) =>
                tokenCredential.getToken(scope, options).then((token) => ({
                  token: token!.token,
                  expiresOnTimestamp: expiresOnTimestamp as number
                }))
            }),
            1_000
          )
        })
      const bad: ReadonlyArray<readonly [unknown, string]> = [
        [NaN, "NaN"],
        [Infinity, "Infinity"],
        [undefined, "undefined"],
        ["3600000", "string"],
        [10_000, "10000, which is past"],
        // In seconds.
        [3610, "3610, which is past"]
      ]
      for (const [expiresOn, says] of bad) {
        const claims = yield* claimsFor(expiresOn)
        const error = yield* claims.authorize("texts").pipe(failsWith("CredentialError"))
        assert.include(error.message, "expiresOnTimestamp")
        assert.include(error.message, says)
      }
      yield* Effect.flatMap(claimsFor(3_610_000), (claims) => claims.authorize("texts"))
    }))

  test("of SAS is refused before the wire", () =>
    Effect.gen(function*() {
      const { connection } = linkOf(yield* ServiceBusSender.make(Texts))
      for (const se of ["", "soon", "NaN", "1e3", "-1", "Infinity"]) {
        const token = `SharedAccessSignature sr=x&sig=y&se=${se}&skn=z`
        assert.isUndefined(SasToken.parse(token))
        const claims = yield* Claims.make(connection, {
          host: "localhost",
          timeout: 1_000,
          outages: unheard,
          tokens: Claims.tokensOf(ServiceBusCredential.sas(Redacted.make(token)), 1_000)
        })
        yield* claims.authorize("texts").pipe(failsWith("CredentialError"))
      }
    }))
})
