/**
 * What the broker answers to a peer that breaks a rule of AMQP, or only seems to: as Microsoft.Azure.Amqp does, on which
 * the service stands. A second session of the same connection must notice nothing of it.
 */
import { Effect, Redacted, type Scope } from "effect"
import { ConnectionString, ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as net from "node:net"
import type { AmqpValue } from "../../src/AmqpValue.ts"
import * as AmqpValues from "../../src/AmqpValue.ts"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import * as Raw from "../support/frames.ts"
import { until } from "../support/harness.ts"
import { assert, describe, it, vi } from "../support/vitest.ts"

const limit = 262_144

const Broker = Emulator.layerServer({
  policies: [{ name: "listener", key: Redacted.make("bGlzdGVu"), rights: ["Listen"] }],
  entities: [
    ...["q", "bystander"].map((name) => Emulator.entity(name)),
    Emulator.entity("sessions", { requiresSession: true })
  ]
})

const accepted = Raw.described(0x24)

/** Where the bystander's session is. */
const aside = 40

/** A peer that has signed in with a key, has a session on channel 0, and a bystander that sends on another one. */
const peer = Effect.gen(function*() {
  const { connectionString, port } = yield* Emulator.Emulator
  const { credential } = yield* ConnectionString.parse(connectionString)
  assert(credential._tag === "SharedKey")
  const raw = yield* Raw.connect(port)
  yield* raw.write(
    Raw.saslHeader,
    Raw.init("PLAIN", `\0${credential.name}\0${Redacted.value(credential.key)}`),
    Raw.amqpHeader,
    Raw.open,
    Raw.begin(),
    Raw.begin(aside),
    Raw.attachSender("bystander", { channel: aside })
  )
  yield* raw.next("attach")
  yield* raw.next("flow")
  let sent = 0
  /** The bystander sends, and is answered. */
  const bystander = Effect.gen(function*() {
    const id = sent++
    yield* raw.write(Raw.transfer({ channel: aside, id, payload: Raw.message(`by ${id}`) }))
    const { fields } = yield* raw.next("disposition")
    assert.deepStrictEqual(fields.slice(0, 4), [true, id, id, true])
    assert.deepStrictEqual(Raw.stateOf(fields[4]!), { code: 0x24, condition: undefined })
  })
  yield* bystander
  /** What came after something was written and the bystander was answered: the answer to it, if there is one. */
  const answersTo = (...bytes: ReadonlyArray<Buffer>) =>
    Effect.gen(function*() {
      const before = raw.frames.length
      yield* raw.write(...bytes)
      yield* bystander
      return raw.frames.slice(before, -1)
    })
  return { ...raw, answersTo, bystander, before: () => raw.frames.length }
})

const messagesOf = (entity: string) =>
  Effect.map(
    Effect.flatMap(
      Emulator.Emulator,
      (emulator) => emulator.messages(ServiceBusEntity.queue(entity, { body: ServiceBusBody.bytes }))
    ),
    (messages) => messages.length
  )

const endedWith = (frame: Raw.Frame, condition: string) => {
  const error = Raw.errorOf(frame)
  assert(error !== undefined)
  assert.strictEqual(error.condition, condition)
  // azure-servicebus for Python reads the third without asking.
  assert.strictEqual(error.fields, 3)
  assert.match(error.description, /TrackingId:/)
}

const test = <E>(title: string, effect: Effect.Effect<void, E, Emulator.Emulator | Scope.Scope>) =>
  it.live(title, () => effect.pipe(Effect.scoped, Effect.provide(Broker)))

describe("the broker", () => {
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
    test(
      `takes a link whose name is ${name}, in both directions, and lets it go`,
      Effect.gen(function*() {
        const { answersTo, bystander, next, write } = yield* peer
        for (const attach of [Raw.attachSender, Raw.attachReceiver]) {
          yield* write(attach("q", { handle: 3, name }))
          assert.strictEqual((yield* next("attach")).fields[0], name)
          yield* bystander
          yield* answersTo(Raw.frame("detach", [Raw.uint(3), true]))
        }
        yield* bystander
      })
    )
  }

  describe("end the session, and no other", () => {
    const cases: Record<string, { readonly bytes: ReadonlyArray<Buffer>; readonly condition: string }> = {
      "a transfer on an unknown handle": {
        bytes: [Raw.transfer({ handle: 7, id: 0 })],
        condition: "amqp:session:unattached-handle"
      },
      "a flow on an unknown handle": {
        bytes: [Raw.flow({ handle: 7, credit: 1 })],
        condition: "amqp:session:unattached-handle"
      },
      "a transfer on a handle that was detached": {
        bytes: [
          Raw.attachSender("q", { handle: 3 }),
          Raw.frame("detach", [Raw.uint(3), true]),
          Raw.transfer({ handle: 3, id: 0 })
        ],
        condition: "amqp:session:unattached-handle"
      },
      "a handle that is in use": {
        bytes: [Raw.attachSender("q", { handle: 3, name: "a" }), Raw.attachSender("q", { handle: 3, name: "b" })],
        condition: "amqp:session:handle-in-use"
      }
    }
    for (const [what, { bytes, condition }] of Object.entries(cases)) {
      test(
        what,
        Effect.gen(function*() {
          const { answersTo, bystander, next, write } = yield* peer
          const count = yield* messagesOf("q")
          yield* write(...bytes)
          const end = yield* next("end")
          assert.strictEqual(end.channel, 0)
          endedWith(end, condition)
          // What was under way on it is discarded until it is ended.
          const late = yield* answersTo(
            Raw.attachSender("q", { handle: 9 }),
            Raw.transfer({ handle: 9, id: 5 }),
            Raw.flow({ handle: 8, credit: 1 })
          )
          assert.deepStrictEqual(late, [])
          // The channel can be used again.
          yield* write(Raw.frame("end", []), Raw.begin(), Raw.attachSender("q"))
          yield* next("begin")
          yield* next("attach")
          yield* next("flow")
          yield* write(Raw.transfer({ id: 0 }))
          yield* next("disposition")
          assert.strictEqual(yield* messagesOf("q"), count + 1)
          yield* bystander
        })
      )
    }
  })

  describe("detach the link, and no other", () => {
    test(
      "a first transfer without delivery-id",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        yield* write(Raw.attachSender("q"), Raw.attachSender("q", { handle: 1 }))
        for (let i = 0; i < 2; i++) {
          yield* next("attach")
          yield* next("flow")
        }
        yield* write(Raw.transfer({ id: null }))
        const detach = yield* next("detach")
        assert.deepStrictEqual(detach.fields.slice(0, 2), [0, true])
        endedWith(detach, "amqp:not-allowed")
        // The rest of what is under way is discarded; the other link of the session goes on.
        yield* write(
          Raw.transfer({ id: 0 }),
          Raw.flow({ handle: 0, credit: 1 }),
          Raw.frame("detach", [Raw.uint(0), true]),
          Raw.transfer({ handle: 1, id: 1 })
        )
        const { fields } = yield* next("disposition")
        assert.deepStrictEqual(fields.slice(0, 4), [true, 1, 1, true])
      })
    )

    test(
      "a delivery within another",
      Effect.gen(function*() {
        const { bystander, next, write } = yield* peer
        yield* write(Raw.attachSender("q"))
        yield* next("flow")
        yield* write(Raw.transfer({ id: 0, more: true }), Raw.transfer({ id: 1 }))
        endedWith(yield* next("detach"), "amqp:not-allowed")
        yield* bystander
      })
    )

    test(
      "a name that the session has",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        yield* write(Raw.attachSender("q", { name: "twin" }), Raw.attachSender("q", { handle: 1, name: "twin" }))
        yield* next("attach")
        const second = yield* next("attach")
        assert.deepStrictEqual(second.fields.slice(5, 7), [null, null])
        const detach = yield* next("detach")
        assert.strictEqual(detach.fields[0], second.fields[1])
        endedWith(detach, "amqp:illegal-state")
        yield* write(Raw.frame("detach", [Raw.uint(1), true]), Raw.transfer({ id: 0 }))
        const { fields } = yield* next("disposition")
        assert.deepStrictEqual(fields.slice(0, 4), [true, 0, 0, true])
        // Once it is free it can be had.
        yield* write(Raw.frame("detach", [Raw.uint(0), true]))
        yield* next("detach")
        yield* write(Raw.attachSender("q", { handle: 2, name: "twin" }))
        assert.isNotNull((yield* next("attach")).fields[6])
        yield* write(Raw.transfer({ handle: 2, id: 1 }))
        yield* next("disposition")
      })
    )
  })

  describe("close the connection", () => {
    const cases: Record<string, readonly [Buffer, string]> = {
      "a begin above the agreed channel-max": [Raw.begin(5000), "amqp:resource-limit-exceeded"],
      "a begin on a channel that has a session": [Raw.begin(), "amqp:session:handle-in-use"],
      "a second open": [Raw.open, "amqp:illegal-state"],
      "a frame on a channel without a session": [
        Raw.frame("flow", [Raw.uint(0), Raw.uint(1), Raw.uint(0), Raw.uint(1)], { channel: 5 }),
        "amqp:not-found"
      ],
      "a transfer on a channel without a session": [Raw.transfer({ channel: 5, id: 0 }), "amqp:not-found"],
      "an unknown performative": [Raw.frame(0x99, [Raw.uint(0)]), "amqp:decode-error"],
      "a mandatory field that is missing": [Raw.frame("attach", [null, Raw.uint(0), false]), "amqp:invalid-field"],
      "a field of another type": [Raw.frame("attach", [1, Raw.uint(0), false]), "amqp:invalid-field"],
      "a disposition without its role": [Raw.frame("disposition", [null, Raw.uint(0)]), "amqp:decode-error"],
      "a transfer that is no list": [
        Buffer.from("0000000d02000000005314a000", "hex"),
        "amqp:decode-error"
      ],
      "a frame larger than was agreed": [Buffer.from("0001000102000000", "hex"), "amqp:connection:framing-error"],
      "a frame smaller than its header": [Buffer.from("0000000702000000", "hex"), "amqp:decode-error"]
    }
    for (const [what, [bytes, condition]] of Object.entries(cases)) {
      test(
        what,
        Effect.gen(function*() {
          const { closed, next, write } = yield* peer
          const count = yield* messagesOf("bystander")
          // What was due is answered first.
          yield* write(Raw.transfer({ channel: aside, id: 1 }), bytes)
          const { fields } = yield* next("disposition")
          assert.deepStrictEqual(Raw.stateOf(fields[4]!), { code: 0x24, condition: undefined })
          endedWith(yield* next("close"), condition)
          yield* closed
          assert.strictEqual(yield* messagesOf("bystander"), count + 1)
        })
      )
    }
  })

  test(
    "another protocol is answered with the own header, and the socket closed",
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      // The last is MQTT.
      for (const hex of ["414d515000000901", "414d515002010000", "414d515001010000", "100c00044d51545404"]) {
        const raw = yield* Raw.connect(port)
        yield* raw.write(Buffer.from(hex, "hex"))
        assert.deepStrictEqual((yield* raw.next("header")).bytes, Raw.amqpHeader, hex)
        yield* raw.closed
      }
    })
  )

  describe("nothing", () => {
    const cases: Record<string, ReadonlyArray<Buffer>> = {
      "a detach of an unknown handle": [Raw.frame("detach", [Raw.uint(9), true])],
      "a disposition of what is not there": [
        Raw.disposition(100, accepted, { settled: true }),
        Raw.disposition(100, accepted, { last: 4_000_000_000, settled: true }),
        Raw.disposition(4_000_000_000, accepted, { last: 3, settled: true }),
        Raw.disposition(9, accepted, { last: 3 }),
        Raw.frame("disposition", [false, Raw.uint(0), Raw.uint(77), true])
      ]
    }
    for (const [what, bytes] of Object.entries(cases)) {
      test(
        `is the answer to ${what}`,
        Effect.gen(function*() {
          const { answersTo } = yield* peer
          assert.deepStrictEqual(yield* answersTo(...bytes), [])
        })
      )
    }
  })

  describe("flow", () => {
    test(
      "with echo is answered with the state of the session, of a sending and of a receiving link",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        yield* write(Raw.flow({ echo: true }))
        const ofSession = yield* next("flow")
        assert.strictEqual(ofSession.channel, 0)
        assert.isNull(ofSession.fields[4])
        yield* write(Raw.attachSender("q"))
        const credit = (yield* next("flow")).fields[6]
        yield* write(Raw.flow({ handle: 0, echo: true }))
        const ofSender = yield* next("flow")
        assert.deepStrictEqual(ofSender.fields.slice(4, 7), [0, 0, credit])
        yield* write(Raw.attachReceiver("sessions/$DeadLetterQueue", { handle: 1 }))
        yield* next("attach")
        yield* write(Raw.flow({ handle: 1, credit: 5, echo: true }))
        const ofReceiver = yield* next("flow")
        assert.deepStrictEqual(ofReceiver.fields.slice(5, 7), [0, 5])
        // The peer does not ask back.
        for (const { fields } of [ofSession, ofSender, ofReceiver]) assert.notStrictEqual(fields[9], true)
      })
    )

    test(
      "of a link that says nothing of credit changes none",
      Effect.gen(function*() {
        const { answersTo, next, write } = yield* peer
        yield* write(Raw.attachReceiver("sessions/$DeadLetterQueue"), Raw.flow({ handle: 0, credit: 3 }))
        yield* next("attach")
        assert.deepStrictEqual(yield* answersTo(Raw.flow({ handle: 0 })), [])
        yield* write(Raw.flow({ handle: 0, echo: true }))
        assert.strictEqual((yield* next("flow")).fields[6], 3)
      })
    )

    test(
      "with echo while a session is waited for is not answered before the attach",
      Effect.gen(function*() {
        const { answersTo } = yield* peer
        const filter = new Map<AmqpValue, AmqpValue>([[Raw.symbol("com.microsoft:session-filter"), null]])
        const answers = yield* answersTo(
          Raw.attachReceiver("sessions", { filter }),
          Raw.flow({ handle: 0, credit: 1, echo: true })
        )
        assert.deepStrictEqual(answers, [])
      })
    )
  })

  test(
    "`received` is no outcome: it is not answered, and the lock stays",
    Effect.gen(function*() {
      const { answersTo, next, write } = yield* peer
      yield* write(Raw.attachSender("q", { name: "in" }), Raw.transfer({ id: 0, payload: Raw.message("once") }))
      yield* next("disposition")
      const total = yield* messagesOf("q")
      yield* write(Raw.attachReceiver("q", { handle: 1 }), Raw.flow({ handle: 1, credit: total }))
      const ids: Array<number> = []
      for (let i = 0; i < total; i++) ids.push(Number((yield* next("transfer")).fields[1]))
      const received = Raw.described(0x23, Raw.uint(0), AmqpValues.typed("ulong", 3))
      assert.deepStrictEqual(yield* answersTo(Raw.disposition(ids[0]!, received, { last: ids.at(-1)! })), [])
      assert.strictEqual(yield* messagesOf("q"), total)
      yield* write(Raw.disposition(ids[0]!, accepted, { last: ids.at(-1)! }))
      yield* next("disposition")
      assert.strictEqual(yield* messagesOf("q"), 0)
    })
  )

  test(
    "a receiver that takes back more credit than is left has none, and no less",
    Effect.gen(function*() {
      const { bystander, next, write } = yield* peer
      yield* write(Raw.attachSender("q", { name: "in" }))
      yield* next("flow")
      yield* write(...[0, 1, 2].map((id) => Raw.transfer({ id })))
      yield* next("disposition")
      yield* write(Raw.attachReceiver("q", { handle: 1 }), Raw.flow({ handle: 1, credit: 3 }))
      for (let i = 0; i < 3; i++) yield* next("transfer")
      // The flow counts from before the three.
      yield* write(Raw.flow({ handle: 1, credit: 1, echo: true }))
      assert.deepStrictEqual((yield* next("flow")).fields.slice(4, 7), [1, 3, 0])
      yield* bystander
    })
  )

  describe("a message over the limit", () => {
    test(
      "is rejected at any size, the rest of its frames discarded, and the link goes on",
      Effect.gen(function*() {
        const { bystander, next, write } = yield* peer
        const count = yield* messagesOf("q")
        yield* write(Raw.attachSender("q"))
        const attach = yield* next("attach")
        assert.strictEqual(attach.fields[10], BigInt(limit))
        yield* next("flow")
        let id = 0
        for (const size of [limit + 1, 1_500_000, 5_000_000]) {
          yield* write(Raw.transfers({ id, payload: Raw.message(Buffer.alloc(size - 8)) }))
          const { fields } = yield* next("disposition")
          assert.deepStrictEqual(fields.slice(0, 4), [true, id, id, true])
          assert.deepStrictEqual(Raw.stateOf(fields[4]!), { code: 0x25, condition: "amqp:link:message-size-exceeded" })
          id++
        }
        yield* write(Raw.transfers({ id, payload: Raw.message(Buffer.alloc(limit - 16)) }))
        const { fields } = yield* next("disposition")
        assert.deepStrictEqual(Raw.stateOf(fields[4]!), { code: 0x24, condition: undefined })
        yield* bystander
        assert.strictEqual(yield* messagesOf("q"), count + 1)
      })
    )

    test(
      "is rejected as a request too, and the node goes on",
      Effect.gen(function*() {
        const { bystander, next, write } = yield* peer
        yield* write(Raw.attachSender("$cbs"))
        yield* next("flow")
        yield* write(Raw.transfers({ id: 0, payload: Buffer.alloc(2_000_000) }))
        const { fields } = yield* next("disposition")
        assert.deepStrictEqual(Raw.stateOf(fields[4]!), { code: 0x25, condition: "amqp:link:message-size-exceeded" })
        yield* bystander
      })
    )

    test(
      "says how large it was",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        yield* write(Raw.attachSender("q"), Raw.transfers({ id: 0, payload: Buffer.alloc(2_000_000) }))
        const { bytes } = yield* next("disposition")
        assert.include(bytes.toString("latin1"), "delivery-id:0, size:2000000 bytes) exceeds the limit (262144 bytes)")
      })
    )
  })

  describe("SASL", () => {
    const signingIn = (response: (key: string) => string) =>
      Effect.gen(function*() {
        const { connectionString, port } = yield* Emulator.Emulator
        const { credential } = yield* ConnectionString.parse(connectionString)
        assert(credential._tag === "SharedKey")
        const raw = yield* Raw.connect(port)
        yield* raw.write(Raw.saslHeader, Raw.init("PLAIN", response(Redacted.value(credential.key))))
        const mechanisms = yield* raw.next("mechanisms")
        assert.include(mechanisms.bytes.toString("latin1"), "PLAIN")
        return { raw, code: (yield* raw.next("outcome")).fields[0] }
      })

    test(
      "PLAIN takes the name of a key and the key, and nothing else",
      Effect.gen(function*() {
        const name = "RootManageSharedAccessKey"
        assert.strictEqual((yield* signingIn((key) => `\0${name}\0${key}`)).code, 0)
        assert.strictEqual((yield* signingIn((key) => `${name}\0${name}\0${key}`)).code, 0)
        for (
          const wrong of [
            (key: string) => `\0${name}\0${key}x`,
            (key: string) => `\0${name}\0`.padEnd(key.length, "A"),
            (key: string) => `\0listener\0${key}`,
            (key: string) => `\0nobody\0${key}`,
            (key: string) => `\0${name}\0${key}\0`,
            (key: string) => `${name}\0${key}`,
            () => `\0${name}`,
            () => "",
            () => "\0\0"
          ]
        ) {
          const { code, raw } = yield* signingIn(wrong)
          assert.strictEqual(code, 1)
          yield* raw.closed
        }
      })
    )

    test(
      "PLAIN gives the rights of its key: one that may listen does not send",
      Effect.gen(function*() {
        const { raw } = yield* signingIn(() => "\0listener\0bGlzdGVu")
        yield* raw.write(Raw.amqpHeader, Raw.open, Raw.begin(), Raw.attachSender("q"))
        endedWith(yield* raw.next("detach"), "amqp:unauthorized-access")
        yield* raw.write(Raw.attachReceiver("q", { handle: 1 }))
        const attach = yield* raw.next("attach")
        assert.isNotNull(attach.fields[5])
      })
    )
  })

  describe("a handshake", () => {
    test(
      "may be cut anywhere, or not at all",
      Effect.gen(function*() {
        const { port } = yield* Emulator.Emulator
        const whole = Buffer.concat([
          Raw.saslHeader,
          Raw.init("PLAIN", "\0listener\0bGlzdGVu"),
          Raw.amqpHeader,
          Raw.open,
          Raw.begin(),
          Raw.attachReceiver("q")
        ])
        for (let size = whole.length; size > 0; size = Math.min(size - 1, Math.floor(size * 0.9))) {
          const raw = yield* Raw.connect(port)
          for (let at = 0; at < whole.length; at += size) {
            yield* raw.write(whole.subarray(at, at + size))
            yield* Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
          }
          yield* raw.next("open")
          yield* raw.next("begin")
          yield* raw.next("attach")
        }
      })
    )

    test(
      "without SASL too",
      Effect.gen(function*() {
        const { port } = yield* Emulator.Emulator
        const raw = yield* Raw.connect(port)
        yield* raw.write(Raw.amqpHeader, Raw.open, Raw.begin())
        yield* raw.next("begin")
      })
    )
  })

  describe("transactions, which there are none of", () => {
    const state = (outcome: AmqpValue = null) => Raw.described(0x34, Buffer.from("0123456789abcdef"), outcome)
    /** The capabilities of .NET: an array that is null. */
    const coordinator = Raw.frame("attach", [
      "c",
      Raw.uint(9),
      false,
      null,
      null,
      Raw.source("c"),
      Raw.described(0x30, null),
      null,
      null,
      Raw.uint(0)
    ])
    const refused = { code: 0x25, condition: "amqp:not-implemented" }

    test(
      "a coordinator's link is taken, before any other, and its declare refused by name",
      Effect.gen(function*() {
        const { port } = yield* Emulator.Emulator
        const raw = yield* Raw.connect(port)
        yield* raw.write(Raw.amqpHeader, Raw.open, Raw.begin(), coordinator)
        const attach = yield* raw.next("attach")
        const target = attach.fields[6]
        assert(AmqpValues.isTyped(target) && target.type === "described")
        assert.strictEqual(Number(target.descriptor), 0x30)
        yield* raw.next("flow")
        const declare = Buffer.from("005377005331c0020140", "hex")
        const discharge = Buffer.from("005377005332c003024042", "hex")
        for (const [id, payload] of [declare, discharge].entries()) {
          yield* raw.write(Raw.transfer({ handle: 9, id, payload }))
          const { bytes, fields } = yield* raw.next("disposition")
          assert.deepStrictEqual(fields.slice(0, 4), [true, id, id, true])
          assert.deepStrictEqual(Raw.stateOf(fields[4]!), refused)
          assert.match(bytes.toString("latin1"), /[Tt]ransactions are not supported/)
        }
      })
    )

    test(
      "a plain send beside a coordinator, on its session, works",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        yield* write(coordinator, Raw.attachSender("q"), Raw.transfer({ id: 0 }))
        const { fields } = yield* next("disposition")
        assert.strictEqual(Raw.stateOf(fields[4]!).code, 0x24)
      })
    )

    test(
      "a transfer in one is refused, and nothing stored",
      Effect.gen(function*() {
        const { bystander, next, write } = yield* peer
        const count = yield* messagesOf("q")
        yield* write(Raw.attachSender("q"), Raw.transfer({ id: 0, state: state() }))
        assert.deepStrictEqual(Raw.stateOf((yield* next("disposition")).fields[4]!), refused)
        // The state is on its first frame alone.
        yield* write(
          Raw.transfer({ id: 1, more: true, state: state() }),
          Raw.transfer({ id: 1, payload: Buffer.alloc(0) })
        )
        assert.deepStrictEqual(Raw.stateOf((yield* next("disposition")).fields[4]!), refused)
        // Nothing waits for an answer here: it is heard of all the same.
        yield* write(Raw.transfer({ id: 2, settled: true, state: state() }))
        endedWith(yield* next("detach"), "amqp:not-implemented")
        yield* bystander
        assert.strictEqual(yield* messagesOf("q"), count)
      })
    )

    test(
      "a settlement in one is refused, and the lock stays",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        yield* write(Raw.attachSender("q", { name: "in" }), Raw.transfer({ id: 0 }))
        yield* next("disposition")
        const total = yield* messagesOf("q")
        yield* write(Raw.attachReceiver("q", { handle: 1 }), Raw.flow({ handle: 1, credit: total }))
        let last = 0
        for (let i = 0; i < total; i++) last = Number((yield* next("transfer")).fields[1])
        yield* write(Raw.disposition(last, state(accepted)))
        const { fields } = yield* next("disposition")
        assert.deepStrictEqual(fields.slice(0, 4), [false, last, last, true])
        assert.deepStrictEqual(Raw.stateOf(fields[4]!), refused)
        assert.strictEqual(yield* messagesOf("q"), total)
      })
    )

    test(
      "a request in one is answered with 501, and not carried out",
      Effect.gen(function*() {
        const { next, write } = yield* peer
        const reply = Raw.frame("attach", [
          "replies",
          Raw.uint(1),
          true,
          null,
          null,
          Raw.source("q/$management"),
          Raw.target("me")
        ])
        yield* write(
          Raw.attachSender("q/$management"),
          reply,
          Raw.flow({ handle: 1, credit: 1 }),
          Raw.transfer({
            id: 0,
            settled: true,
            state: state(),
            payload: Raw.encoded(
              AmqpValues.described(0x73n, ["m", null, null, null, "me"]),
              AmqpValues.described(0x74n, { operation: "com.microsoft:renew-lock" }),
              AmqpValues.described(0x77n, { "lock-tokens": AmqpValues.array("uuid", []) })
            )
          })
        )
        const { payload } = yield* next("transfer")
        const sections = new Sections(payload, 0, payload.length)
        const { errorCondition, statusCode } = sections.readRecord(sections.applicationProperties)
        assert.strictEqual(statusCode, 501)
        assert.deepStrictEqual(errorCondition, AmqpValues.symbol("amqp:not-implemented"))
      })
    )
  })

  test(
    "a session to be shared with others is declined in the words that .NET looks for",
    Effect.gen(function*() {
      const { next, write } = yield* peer
      const filter = new Map<AmqpValue, AmqpValue>([[
        Raw.symbol("com.microsoft:non-exclusive-session-filter"),
        AmqpValues.described(0x137000000en, ["s", null])
      ]])
      yield* write(Raw.attachReceiver("sessions", { filter, name: "shared" }))
      const detach = yield* next("detach")
      endedWith(detach, "amqp:not-allowed")
      assert.match(Raw.errorOf(detach)!.description, /'shared' contains invalid filter type\./)
    })
  )

  test(
    "a terminus of an unknown kind is refused, and nothing is printed",
    Effect.gen(function*() {
      const warn = vi.spyOn(globalThis.console, "warn")
      const { next, write } = yield* peer
      yield* write(
        Raw.frame("attach", [
          "x",
          Raw.uint(0),
          false,
          null,
          null,
          Raw.source("x"),
          Raw.described(0x99),
          null,
          null,
          Raw.uint(0)
        ]),
        coordinatorOf(2)
      )
      endedWith(yield* next("detach"), "amqp:not-implemented")
      yield* next("flow")
      assert.deepStrictEqual(warn.mock.calls, [])
      warn.mockRestore()
    })
  )
})

const coordinatorOf = (handle: number) =>
  Raw.frame("attach", [
    "c",
    Raw.uint(handle),
    false,
    null,
    null,
    Raw.source("c"),
    Raw.described(0x30),
    null,
    null,
    Raw.uint(0)
  ])

/** The same numbers in every run (Numerical Recipes). */
const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor(state / 4294967296 * below)
  }
}

describe("conversations in any order, and mutated", () => {
  const node = "q/$management"
  const steps = [
    Raw.transfer({ id: 0 }),
    Raw.transfer({ id: 1, more: true }),
    Raw.transfer({ id: 1, payload: Buffer.alloc(5) }),
    Raw.transfer({ id: 2, settled: true }),
    Raw.transfer({ id: 9, handle: 2, payload: Buffer.alloc(50, 1) }),
    Raw.transfer({ id: 10, handle: 3 }),
    Raw.transfer({ id: 11, handle: 5 }),
    Raw.flow({ echo: true }),
    Raw.flow({ handle: 0, credit: 1, echo: true }),
    Raw.flow({ handle: 1, credit: 9, drain: true }),
    Raw.flow({ handle: 5, echo: true }),
    Raw.disposition(0, accepted, { last: 9 }),
    Raw.disposition(0, Raw.described(0x27, true, false), { last: 9, settled: true }),
    Raw.frame("detach", [Raw.uint(0), true]),
    Raw.frame("detach", [Raw.uint(1), false]),
    Raw.attachSender("q"),
    Raw.attachReceiver("q", { handle: 1 }),
    Raw.attachSender("q", { handle: 5, name: "s0" }),
    Raw.attachSender("not there", { handle: 5 }),
    Raw.attachReceiver("q/$DeadLetterQueue", { handle: 6 }),
    Raw.begin(),
    Raw.begin(7),
    Raw.frame("end", []),
    Raw.frame("end", [], { channel: 1 }),
    Raw.open,
    Raw.frame("close", [])
  ]
  const interesting = [0, 0x40, 0x41, 0x42, 0x43, 0x45, 0x52, 0x53, 0x70, 0xa0, 0xc0, 0xd0]

  /** One peer that says everything at once, and ends. */
  const say = (port: number, bytes: Buffer) =>
    Effect.callback<void>((resume) => {
      const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
      socket.on("error", () => {})
      socket.on("close", () => resume(Effect.void))
      socket.resume()
      socket.end(bytes)
      return Effect.sync(() => {
        socket.destroy()
      })
    })

  it.live(
    "no peer is noticed by another, and none is left",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const { bystander } = yield* peer
        const { credential } = yield* ConnectionString.parse(emulator.connectionString)
        assert(credential._tag === "SharedKey")
        const hello = Buffer.concat([
          Raw.saslHeader,
          Raw.init("PLAIN", `\0${credential.name}\0${Redacted.value(credential.key)}`),
          Raw.amqpHeader,
          Raw.open,
          Raw.begin(),
          Raw.begin(1),
          Raw.attachSender("q"),
          Raw.attachReceiver("q", { handle: 1 }),
          Raw.flow({ handle: 1, credit: 5 }),
          Raw.attachSender(node, { handle: 2 }),
          Raw.attachSender("$cbs", { handle: 3 }),
          Raw.attachReceiver("$cbs", { handle: 4 })
        ])
        const random = randomOf(11)
        const conversations = Array.from({ length: 3000 }, () => {
          const parts = Array.from({ length: 1 + random(25) }, () => {
            const part = Buffer.from(steps[random(steps.length)]!)
            for (let count = random(3) === 0 ? 1 + random(3) : 0; count > 0; count--) {
              const value = random(4) === 0 ? random(256) : interesting[random(interesting.length)]!
              part[8 + random(part.length - 8)] = value
            }
            return part
          })
          return Buffer.concat([hello, ...parts])
        })
        yield* Effect.forEach(conversations, (bytes) => say(emulator.port, bytes), { concurrency: 8 })
        yield* bystander
        yield* until(Effect.map(emulator.connections, (count) => count === 1))
      }).pipe(Effect.scoped, Effect.provide(Broker)),
    // Thousands of connections.
    240_000
  )
})

it.effect("who signed in with a key needs no token", () =>
  Effect.gen(function*() {
    const { bystander } = yield* peer
    yield* TestClock.adjust("30 seconds")
    yield* bystander
  }).pipe(Effect.scoped, Effect.provide(Broker)))
