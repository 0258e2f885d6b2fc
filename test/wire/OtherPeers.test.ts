/**
 * What the broker says to peers that none of this project wrote: by a bare rhea and bytes where only .NET, Go or Python ask
 * for it, and by Microsoft's own client.
 */
import { Clock, DateTime, Duration, Effect, Layer, Redacted } from "effect"
import { AmqpValue, ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import { once } from "node:events"
import { Sections } from "../../src/internal/amqp/codec/Sections.ts"
import { tokenFromTag } from "../../src/internal/message/ReceivedMessage.ts"
import { until } from "../support/harness.ts"
import { official } from "../support/official.ts"
import { messageOf, peer, types } from "../support/rheaPeer.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Paper = ServiceBusEntity.subscription(News, "paper")

const microsoft = official({ retryOptions: { maxRetries: 0, timeoutInMs: 2_000 } })

const onBroker = <E>(body: Effect.Effect<void, E, any>, texts: Emulator.EntityOptions) =>
  Effect.scoped(body).pipe(Effect.provide(
    Emulator.layerClientOver("tcp").pipe(Layer.provideMerge(Emulator.layerServer({
      entities: [
        Emulator.entity(Texts, { lockDuration: "1 second", ...texts }),
        Emulator.entity(Carts),
        Emulator.entity(News),
        Emulator.entity(Paper)
      ]
    })))
  )) as Effect.Effect<void>

const test = <E>(title: string, body: Effect.Effect<void, E, any>, texts: Emulator.EntityOptions = {}) =>
  it.live(title, () => onBroker(body, texts))

/** The filter by which a session is asked for, as Go writes it: a described value, by its code or by its name. */
const filterName = "com.microsoft:session-filter"
const sessionCode = 0x137000000c
const described = (descriptor: unknown, value: unknown) =>
  (types as any).described_nc(
    descriptor,
    value === null ? (types as any).wrap(null) : types.wrap_string(value as string)
  )

describe("sessions", () => {
  const forms = [
    ["its code", () => types.wrap_ulong(sessionCode)],
    ["its name", () => types.wrap_symbol(filterName)]
  ] as const
  for (const [form, descriptor] of forms) {
    for (const asked of ["a", null]) {
      test(
        `the filter that Go describes by ${form} is answered described: ${asked === null ? "the next one" : "by id"}`,
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Carts, [{ body: "x", sessionId: "a" }])
          const { claim, receives } = yield* peer
          yield* claim("carts")
          const source = { address: "carts", filter: { [filterName]: described(descriptor(), asked) } }
          const { receiver } = yield* receives("carts", { source })
          const { filter } = (receiver as any).remote.attach.source
          assert.deepStrictEqual(Object.keys(filter), [filterName])
          assert.strictEqual(filter[filterName].descriptor.value, descriptor().value)
          assert.strictEqual(filter[filterName].value, "a")
        })
      )
    }
  }

  test(
    "a plain filter is answered plainly, and one that is not applied is left out",
    Effect.gen(function*() {
      const { claim, receives } = yield* peer
      yield* claim("carts")
      yield* claim("texts")
      const selector = { "apache.org:selector-filter:string": described(types.wrap_ulong(0x468C00000004), "1=1") }
      const source = { address: "carts", filter: { [filterName]: "b", ...selector } }
      const { receiver } = yield* receives("carts", { source })
      assert.deepStrictEqual((receiver as any).remote.attach.source.filter, { [filterName]: "b" })
      const plain = yield* receives("texts", { source: { address: "texts", filter: selector } })
      assert.isNull((plain.receiver as any).remote.attach.source.filter ?? null)
    })
  )

  test(
    "one time alone lists those that are there; after any other those whose state was set later",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "x", sessionId: "a" }])
      const { claim, manages } = yield* peer
      yield* claim("carts")
      const carts = yield* manages("carts")
      const listed = (millis: number) =>
        Effect.map(
          carts("get-message-sessions", {
            "last-updated-time": types.wrap_timestamp(millis),
            skip: types.wrap_int(0),
            top: types.wrap_int(100)
          }),
          ({ body, status }) => status === 204 ? [] : body["sessions-ids"]
        )
      assert.deepStrictEqual(yield* listed(253402300800000), ["a"])
      for (const other of [253402300799999, 253402300800001, Date.UTC(9500, 0), 0]) {
        assert.deepStrictEqual(yield* listed(other), [], String(other))
      }
    })
  )

  test(
    "a batch may hold messages of several sessions: only partitioned entities refuse it",
    Effect.gen(function*() {
      const client = yield* microsoft
      const mixed = ["a", "b", "a"].map((sessionId) => ({ body: sessionId, sessionId }))
      yield* Effect.promise(() => client.createSender("carts").sendMessages(mixed))
      const emulator = yield* Emulator.Emulator
      const stored = yield* emulator.messages(Carts)
      assert.deepStrictEqual(stored.map(({ sessionId }) => sessionId), ["a", "b", "a"])
    })
  )
})

describe("a receiving link", () => {
  test(
    "what is released has not failed, what is modified has",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "x" }])
      const { claim, receives } = yield* peer
      yield* claim("texts")
      const { next } = yield* receives("texts")
      const counts: Array<unknown> = []
      for (let i = 0; i < 8; i++) {
        const { delivery, sections } = yield* next
        counts.push(sections.readList(sections.header)[4])
        if (i < 5) delivery.release()
        else delivery.modified({ delivery_failed: i === 5 })
      }
      assert.deepStrictEqual(counts, [0, 0, 0, 0, 0, 0, 1, 2])
      yield* until(Effect.map(emulator.deadLetters(Texts), ({ length }) => length === 1))
    }),
    { maxDeliveryCount: 3, lockDuration: "1 minute" }
  )

  test(
    "`received` is no outcome: it is not answered, and the lock stays",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "x" }])
      const { claim, receives } = yield* peer
      yield* claim("texts")
      const { next } = yield* receives("texts", { rcv_settle_mode: 1, autosettle: false })
      const { delivery } = yield* next
      const state = (code: number) => (types as any).described_nc(types.wrap_ulong(code), (types as any).wrap_list([]))
      const received = (types as any).wrap_list([types.wrap_uint(0), (types as any).wrap_ulong(5)])
      delivery.update(false, (types as any).described_nc(types.wrap_ulong(0x23), received))
      // Answered after it.
      yield* claim("texts")
      assert.isFalse(delivery.remote_settled ?? false)
      assert.deepInclude(yield* emulator.counters(Texts), { delivered: 1, released: 0, completed: 0 })
      delivery.update(false, state(0x24))
      yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1))
    }),
    { lockDuration: "1 minute" }
  )
})

describe("a topic", () => {
  test(
    "shows what is scheduled in it, and takes it back; nothing is received from it",
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = client.createSender("news")
      const receiver = client.createReceiver("news")
      const at = new Date(Date.now() + 60_000)
      const numbers = yield* Effect.promise(() => sender.scheduleMessages([{ body: "a" }, { body: "b" }], at))
      const bodies = Effect.map(
        Effect.promise(() => receiver.peekMessages(5, { fromSequenceNumber: numbers[0]! })),
        (messages) => messages.map(({ body, state }) => [body, state])
      )
      assert.deepStrictEqual(yield* bodies, [["a", "scheduled"], ["b", "scheduled"]])
      yield* Effect.promise(() => sender.cancelScheduledMessages(numbers[0]!))
      assert.deepStrictEqual(yield* bodies, [["b", "scheduled"]])
      const paper = client.createReceiver("news", "paper")
      assert.deepStrictEqual(yield* Effect.promise(() => paper.peekMessages(5)), [], "not in the subscription yet")
      const error = yield* Effect.flip(Effect.tryPromise(() => receiver.receiveMessages(1, { maxWaitTimeInMs: 500 })))
      assert.match(String((error.cause as Error).message), /cannot be created on a topic/)
    })
  )
})

const day = 24 * 3_600_000

describe("times", () => {
  /** What a received message says of its life: the header's ttl, the pair's difference, and the pair. */
  const lifeOf = (sections: Sections) => {
    const properties = sections.readList(sections.properties)
    const [until, from] = [properties[8], properties[9]].map((time) =>
      DateTime.isDateTime(time) ? DateTime.toEpochMillis(time) : NaN
    )
    return { header: sections.readList(sections.header)[2], pair: until! - from!, from, until }
  }
  const at = (millis: number) => DateTime.makeUnsafe(millis)
  const uintMax = 4294967295
  /** A message with a ttl of the header, an absolute-expiry-time and a creation-time, each of which may be missing. */
  const living = (ttl: number | undefined, until?: number, from?: number) =>
    messageOf({
      header: [null, null, ttl === undefined ? null : AmqpValue.typed("uint", ttl)],
      properties: [
        "id",
        ...Array<null>(7).fill(null),
        until === undefined ? null : at(until),
        from === undefined ? null : at(from)
      ]
    })

  const now = Date.now()
  const cases: ReadonlyArray<readonly [string, Buffer, { header: number; pair: number }, object?]> = [
    ["the header's alone", living(90_000), { header: 90_000, pair: 90_000 }],
    ["a pair that was written 5 seconds ago", living(60_000, now + 55_000, now - 5_000), {
      header: 60_000,
      pair: 60_000
    }, {
      from: now - 5_000,
      until: now + 55_000
    }],
    ["the pair goes before the header", living(1000, now + 60_000, now), { header: 60_000, pair: 60_000 }],
    ["the pair alone", living(undefined, now + 60_000, now), { header: 60_000, pair: 60_000 }],
    ["100 days, which no uint holds", living(uintMax, now + 100 * day, now), { header: uintMax, pair: 100 * day }],
    [
      "TimeSpan.MaxValue, as .NET writes it",
      living(uintMax, 253402243199000, now),
      { header: uintMax, pair: 253402243199000 - now },
      { until: 253402243199000 }
    ],
    [
      "DateTime.MaxValue, a millisecond beyond what .NET knows",
      living(uintMax, 253402300800000, now),
      { header: uintMax, pair: 253402300800000 - now }
    ],
    [
      "a creation-time without its pair stays",
      living(60_000, undefined, now - 9_000),
      { header: 60_000, pair: 60_000 },
      {
        from: now - 9_000
      }
    ],
    ["an expiry without its pair is rewritten", living(60_000, now + 1), { header: 60_000, pair: 60_000 }],
    ["a pair that says nothing", living(60_000, now - 5_000, now), { header: 60_000, pair: 60_000 }]
  ]
  for (const [title, message, { header, pair }, more] of cases) {
    test(
      `the time to live is one: ${title}`,
      Effect.gen(function*() {
        const { claim, receives, sends } = yield* peer
        yield* claim("texts")
        yield* (yield* sends("texts"))(message)
        const life = lifeOf((yield* (yield* receives("texts")).next).sections)
        assert.deepInclude(life, { header, pair, ...more })
      })
    )
  }

  test(
    "the entity's ceiling holds, on a topic's copies too, and in the dead-letter queue",
    Effect.gen(function*() {
      const { claim, receives, sends } = yield* peer
      yield* claim("texts")
      yield* claim("news")
      yield* claim("news/Subscriptions/paper")
      yield* (yield* sends("texts"))(living(uintMax, now + 100 * day, now - 1000))
      const queued = yield* (yield* receives("texts")).next
      assert.deepInclude(lifeOf(queued.sections), { header: 30 * day, pair: 30 * day, from: now - 1000 })
      queued.delivery.reject({ condition: "com.microsoft:dead-letter" })
      const letter = yield* (yield* receives("texts/$DeadLetterQueue")).next
      assert.deepInclude(lifeOf(letter.sections), { header: 30 * day, pair: 30 * day })
      yield* (yield* sends("news"))(living(uintMax, now + 100 * day, now - 1000))
      const copy = yield* (yield* receives("news/Subscriptions/paper")).next
      assert.deepInclude(lifeOf(copy.sections), { header: uintMax, pair: 100 * day + 1000 })
    }),
    { defaultTimeToLive: "30 days", lockDuration: "1 minute" }
  )

  it.effect("a message lives as long as its pair says, from when it is enqueued", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const from = yield* DateTime.now
      const until = DateTime.add(from, { days: 100 })
      // The connection is gone before the days pass, with its heartbeats.
      yield* Effect.scoped(Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const wide = { header: { timeToLive: Duration.millis(uintMax) } }
        const body = { kind: "data", data: Buffer.from("x") } as const
        yield* sender.sendAnnotated({ ...wide, body, properties: { creationTime: from, absoluteExpiryTime: until } })
        yield* sender.sendAnnotated({
          ...wide,
          body,
          properties: { creationTime: from, absoluteExpiryTime: until },
          messageAnnotations: { "x-opt-scheduled-enqueue-time": DateTime.add(from, { days: 10 }) }
        })
      }))
      const left = Effect.map(emulator.messages(Texts), ({ length }) => length)
      yield* TestClock.adjust("99 days")
      assert.strictEqual(yield* left, 2)
      yield* TestClock.adjust("2 days")
      assert.strictEqual(yield* left, 1, "the one that was scheduled lives on")
      yield* TestClock.adjust("8 days")
      assert.strictEqual(yield* left, 1)
      yield* TestClock.adjust("2 days")
      assert.strictEqual(yield* left, 0)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))

  test(
    "Microsoft's client reads what it sent: 90 seconds, and 100 days",
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = client.createSender("texts")
      yield* Effect.promise(() => sender.sendMessages({ body: 1, timeToLive: 90_000 }))
      // Its plain messages end at 49.7 days by themselves; those by their sections do not.
      const long = { bodyType: "data", body: 2, header: { timeToLive: 100 * day } } as const
      yield* Effect.promise(() => sender.sendMessages(long))
      const receiver = client.createReceiver("texts")
      const lives: Array<unknown> = []
      for (let i = 0; i < 2; i++) {
        const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
        // Its `timeToLive` is the header's alone.
        lives.push(message!._rawAmqpMessage.header?.timeToLive)
      }
      assert.deepStrictEqual(lives, [90_000, 100 * day])
    })
  )
})

describe("annotations", () => {
  const lock = { lockDuration: "1 minute" } as const
  const keys = (record: object) => Object.keys(record).toSorted()
  const plain = ["x-opt-enqueued-time", "x-opt-sequence-number"]
  const seen = (sections: Sections) => ({
    message: keys(sections.readRecord(sections.messageAnnotations)),
    delivery: sections.deliveryAnnotations < 0 ? undefined : sections.readRecord(sections.deliveryAnnotations)
  })

  test(
    "are what belongs to the message, and no more: under a lock, without one, and in the map of a response",
    Effect.gen(function*() {
      const { claim, manages, receives, sends } = yield* peer
      yield* claim("texts")
      const send = yield* sends("texts")
      const own = { mine: null, number: AmqpValue.typed("short", 7), "x-opt-lock-token": "forged" }
      yield* send(messageOf({ deliveryAnnotations: own }))
      yield* send(messageOf({}))
      const first = yield* (yield* receives("texts")).next
      const token = AmqpValue.uuid(tokenFromTag(first.tag))
      const locked = ["x-opt-enqueued-time", "x-opt-locked-until", "x-opt-sequence-number"]
      assert.deepStrictEqual(seen(first.sections), {
        message: locked,
        delivery: { mine: null, number: 7, "x-opt-lock-token": token }
      })
      assert.deepStrictEqual(first.sections.readRecord(first.sections.deliveryAnnotations, true)["number"], own.number)
      const taken = yield* (yield* receives("texts", { snd_settle_mode: 1 })).next
      assert.isTrue(taken.settled)
      assert.strictEqual(taken.tag.length, 0)
      assert.deepStrictEqual(seen(taken.sections), { message: plain, delivery: {} })

      first.delivery.modified({ undeliverable_here: true })
      const texts = yield* manages("texts")
      const messageIn = (body: any): Sections =>
        new Sections(body.messages[0].message, 0, body.messages[0].message.length)
      const range = { "from-sequence-number": types.wrap_long(1), "message-count": types.wrap_int(1) }
      const peeked = seen(messageIn((yield* texts("peek-message", range)).body))
      assert.deepStrictEqual(peeked, {
        message: plain.toSpliced(0, 0, "x-opt-message-state").toSorted(),
        delivery: { mine: null, number: 7 }
      })
      const bodyless = messageIn((yield* texts("peek-message", { ...range, "omit-message-body": true })).body)
      assert.strictEqual(bodyless.bodyKind, 0)
      assert.strictEqual(bodyless.readRecord(bodyless.deliveryAnnotations)["omitted-message-body-size"], 6n)
      const deferred = (yield* texts("receive-by-sequence-number", {
        "sequence-numbers": types.wrap_array([1], 0x81, undefined),
        "receiver-settle-mode": types.wrap_uint(1)
      })).body
      const { delivery, message } = seen(messageIn(deferred))
      assert.deepStrictEqual(message, [...locked, "x-opt-message-state"].toSorted())
      const received = deferred.messages[0]["lock-token"] as Buffer
      assert.strictEqual(
        String((delivery!["x-opt-lock-token"] as any).value).replaceAll("-", ""),
        received.toString("hex")
      )
    }),
    lock
  )

  // Virtual time: what is scheduled is due when the test says so, however long its way takes.
  it.effect(
    "say that a message was scheduled, and the number that a topic gave its copy",
    () =>
      onBroker(
        Effect.gen(function*() {
          const { claim, receives, sends } = yield* peer
          for (const path of ["texts", "news", "news/Subscriptions/paper"]) yield* claim(path)
          const inASecond = Effect.map(Clock.currentTimeMillis, (now) => now + 1000)
          const scheduled = Effect.map(
            inASecond,
            (at) => messageOf({ messageAnnotations: { "x-opt-scheduled-enqueue-time": DateTime.makeUnsafe(at) } })
          )
          yield* (yield* sends("texts"))(yield* scheduled)
          yield* TestClock.adjust("1 second")
          const queued = yield* (yield* receives("texts")).next
          assert.deepInclude(queued.sections.readRecord(queued.sections.messageAnnotations), {
            "x-opt-message-state": 2,
            "x-opt-sequence-number": 2n
          })
          const publish = yield* sends("news")
          const paper = yield* receives("news/Subscriptions/paper")
          yield* publish(yield* scheduled)
          yield* TestClock.adjust("1 second")
          const copy = yield* paper.next
          assert.deepInclude(copy.sections.readRecord(copy.sections.messageAnnotations), {
            "x-opt-message-state": 2,
            "x-opt-enqueue-sequence-number": 2n,
            "x-opt-sequence-number": 1n
          })
          yield* publish(messageOf({}))
          const other = yield* paper.next
          const annotations = other.sections.readRecord(other.sections.messageAnnotations)
          assert.notProperty(annotations, "x-opt-message-state")
          assert.deepInclude(annotations, { "x-opt-enqueue-sequence-number": 3n, "x-opt-sequence-number": 2n })
          const client = yield* microsoft
          const sender = client.createSender("texts")
          const at = new Date(yield* inASecond)
          yield* Effect.promise(() => sender.scheduleMessages({ body: "x" }, at))
          yield* TestClock.adjust("1 second")
          const [message] = yield* Effect.promise(() => client.createReceiver("texts").receiveMessages(1))
          assert.strictEqual(message!.state, "scheduled")
        }),
        lock
      )
  )
})

describe("the quotas of properties", () => {
  const lock = { lockDuration: "1 minute" } as const
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, "x".repeat(1000)]))
  const sizes: ReadonlyArray<readonly [string, Record<string, AmqpValue.AmqpValue>, string | undefined]> = [
    ["a property of 32 KB", { p: "x".repeat(32_768) }, undefined],
    ["one byte more", { p: "x".repeat(32_769) }, "amqp:internal-error"],
    ["bytes over 32 KB", { p: Buffer.alloc(32_769) }, "amqp:internal-error"],
    ["60 KB in many", many(60), undefined],
    ["70 KB in many", many(70), "amqp:link:message-size-exceeded"]
  ]
  for (const [title, applicationProperties, condition] of sizes) {
    test(
      `${title}: ${condition ?? "taken"}, sent and scheduled`,
      Effect.gen(function*() {
        const { claim, manages, sends } = yield* peer
        yield* claim("texts")
        const message = messageOf({ applicationProperties, body: Buffer.alloc(100_000) })
        const state = yield* (yield* sends("texts"))(message)
        assert.strictEqual(state.error?.condition, condition)
        const scheduled = yield* (yield* manages("texts"))("schedule-message", {
          messages: [{ "message-id": "1", message }]
        })
        assert.strictEqual(scheduled.condition, condition)
        const status = condition === undefined ? 200 : condition === "amqp:internal-error" ? 500 : 403
        assert.strictEqual(scheduled.status, status)
      })
    )
  }

  test(
    "what outgrows them in the broker is dead-lettered, without what was too much",
    Effect.gen(function*() {
      const { claim, receives, sends } = yield* peer
      yield* claim("texts")
      const send = yield* sends("texts")
      const { next } = yield* receives("texts")
      const dead = yield* receives("texts/$DeadLetterQueue")
      const withProperties = messageOf({ applicationProperties: { ...many(40), big: "y".repeat(20_000) } })
      const large = "z".repeat(20_000)
      const outcomes: ReadonlyArray<readonly [string, (delivery: any) => void]> = [
        ["abandon", (delivery) => delivery.modified({ delivery_failed: true, message_annotations: { large } })],
        ["defer", (delivery) => delivery.modified({ undeliverable_here: true, message_annotations: { large } })],
        [
          "dead-letter",
          (delivery) =>
            delivery.reject({ condition: "com.microsoft:dead-letter", info: { DeadLetterErrorDescription: large } })
        ],
        [
          "a property over 32 KB",
          (delivery) => delivery.modified({ message_annotations: { large: "z".repeat(40_000) } })
        ]
      ]
      for (const [title, settle] of outcomes) {
        yield* send(title.startsWith("a ") ? messageOf({}) : withProperties)
        settle((yield* next).delivery)
        const letter = yield* dead.next
        const properties = letter.sections.readRecord(letter.sections.applicationProperties)
        assert.deepInclude(properties, {
          DeadLetterReason: "HeaderSizeExceeded",
          DeadLetterErrorDescription: "The size quota for this stream has been exceeded."
        }, title)
        assert.notProperty(properties, "large")
        letter.delivery.accept()
      }
      // What takes the place of the sender's own counts once.
      yield* send(withProperties)
      const first = yield* next
      first.delivery.modified({ delivery_failed: true, message_annotations: { big: large } })
      const again = yield* next
      assert.strictEqual(again.sections.readRecord(again.sections.applicationProperties)["big"], large)
    }),
    lock
  )
})

const arrayOf = (values: ReadonlyArray<unknown>, code: number): unknown => (types as any).wrap_array(values, code)

describe("a token", () => {
  test(
    "for an entity that does not exist is answered with 404; a wrong one with 401 before that",
    Effect.gen(function*() {
      const { claim, tokenOf } = yield* peer
      for (
        const path of [
          "texts",
          "TEXTS/$management",
          "texts/$DeadLetterQueue",
          "texts/$Transfer/$DeadLetterQueue/$management",
          "news",
          "news/Subscriptions/paper",
          "news/subscriptions",
          "news/Subscriptions/paper/$deadletterqueue",
          "carts",
          ""
        ]
      ) {
        assert.strictEqual((yield* claim(path)).status, 202, path)
      }
      for (const path of ["nothing", "nothing/$management", "text", "news/Subscriptions/none", "texts/x"]) {
        const answer = yield* claim(path)
        assert.strictEqual(answer.status, 404, path)
        assert.strictEqual(answer.condition, "amqp:not-found")
        const bare = path.replace("/$management", "")
        // Microsoft's clients look for these words.
        assert.include(answer.description, `The messaging entity 'sb://127.0.0.1/${bare}' could not be found.`)
      }
      assert.strictEqual((yield* claim("nothing", tokenOf("nothing", Redacted.make("wrong")))).status, 401)
    })
  )
})

describe("a request to a management node", () => {
  const uuid = AmqpValue.uuid("00112233-4455-6677-8899-aabbccddeeff")
  const good: Record<string, Record<string, unknown>> = {
    "renew-lock": { "lock-tokens": arrayOf([Buffer.alloc(16)], 0x98) },
    "peek-message": { "from-sequence-number": types.wrap_long(1), "message-count": types.wrap_int(1) },
    "receive-by-sequence-number": {
      "sequence-numbers": arrayOf([1], 0x71),
      "receiver-settle-mode": types.wrap_uint(1)
    },
    "cancel-scheduled-message": { "sequence-numbers": arrayOf([1], 0x71) },
    "update-disposition": {
      "disposition-status": "completed",
      "lock-tokens": arrayOf([Buffer.alloc(16)], 0x98)
    },
    "schedule-message": { messages: [] },
    "batch-delete-messages": { "message-count": types.wrap_int(1), "enqueued-time-utc": new Date() }
  }
  const ofSessions: Record<string, Record<string, unknown>> = {
    "renew-session-lock": { "session-id": "s" },
    "get-session-state": { "session-id": "s" },
    "set-session-state": { "session-id": "s", "session-state": null },
    "get-message-sessions": {
      "last-updated-time": new Date(),
      skip: types.wrap_int(0),
      top: types.wrap_int(1)
    }
  }
  // What may be left out, and what of another type it may not be.
  const optional: ReadonlyArray<readonly [string, string, unknown]> = [
    ["peek-message", "session-id", 1],
    ["peek-message", "omit-message-body", "yes"],
    ["receive-by-sequence-number", "session-id", true],
    ["receive-by-sequence-number", "receiver-settle-mode", types.wrap_uint(7)],
    ["update-disposition", "deadletter-reason", 1],
    ["update-disposition", "deadletter-description", 1],
    ["update-disposition", "properties-to-modify", "none"],
    ["update-disposition", "disposition-status", "forgotten"],
    ["batch-delete-messages", "session-id", 1],
    ["batch-delete-messages", "message-count", types.wrap_int(0)],
    ["peek-message", "message-count", types.wrap_int(-1)]
  ]
  test(
    "is answered with 400 where a field is missing or of another type",
    Effect.gen(function*() {
      const { claim, manages } = yield* peer
      for (const [path, operations] of [["texts", good], ["carts", ofSessions]] as const) {
        yield* claim(path)
        const ask = yield* manages(path)
        for (const [operation, body] of Object.entries(operations)) {
          const whole = yield* ask(operation, body)
          assert.notStrictEqual(whole.status, 400, `${operation}: ${whole.description}`)
          for (const name of Object.keys(body)) {
            const { [name]: _, ...rest } = body
            const answers = [yield* ask(operation, { ...rest, [name]: types.wrap_symbol("odd") })]
            if (body[name] !== null) answers.push(yield* ask(operation, rest))
            for (const answer of answers) {
              assert.strictEqual(answer.status, 400, `${operation} ${name}`)
              assert.strictEqual(answer.condition, "com.microsoft:argument-error")
              assert.include(answer.description, name === "messages" ? "messages" : name)
            }
          }
          assert.strictEqual((yield* ask(operation, "none" as never)).status, 400, operation)
        }
        if (path === "carts") continue
        for (const [operation, name, value] of optional) {
          const answer = yield* ask(operation, { ...good[operation], [name]: value })
          assert.strictEqual(answer.status, 400, `${operation} ${name}`)
        }
        const unknown = yield* ask("renew-lock", {}, { operation: types.wrap_int(3) })
        assert.strictEqual(unknown.status, 400)
        const tokens = yield* ask("renew-lock", { "lock-tokens": [uuid.value, "text"] })
        assert.strictEqual(tokens.status, 400)
      }
    })
  )

  test(
    "finds its session by the link that it names, as Go's do",
    Effect.gen(function*() {
      const { claim, manages, receives, sends } = yield* peer
      yield* claim("carts")
      yield* (yield* sends("carts"))(messageOf({ properties: ["m", ...Array<null>(9).fill(null), "mine"] }))
      const { next, receiver } = yield* receives("carts", {
        source: {
          address: "carts",
          filter: {
            "com.microsoft:session-filter": described(types.wrap_ulong(sessionCode), "mine")
          }
        },
        rcv_settle_mode: 1
      })
      const { delivery } = yield* next
      const settled = once(receiver, "settled")
      delivery.modified({ undeliverable_here: true })
      yield* Effect.promise(() => settled)
      const ask = yield* manages("carts")
      const wanted = { "sequence-numbers": arrayOf([1], 0x71), "receiver-settle-mode": types.wrap_uint(1) }
      assert.strictEqual((yield* ask("receive-by-sequence-number", wanted)).status, 404)
      const named = { "associated-link-name": receiver.name }
      const found = yield* ask("receive-by-sequence-number", wanted, named)
      assert.strictEqual(found.status, 200)
      const token = found.body.messages[0]["lock-token"]
      const done = { "disposition-status": "completed", "lock-tokens": arrayOf([token], 0x98) }
      assert.strictEqual((yield* ask("update-disposition", done, named)).status, 200)
    })
  )
})

describe("properties that are changed", () => {
  const given: ReadonlyArray<readonly [string, any, AmqpValue.AmqpValue]> = [
    ["ubyte", types.wrap_ubyte(200), AmqpValue.typed("ubyte", 200)],
    ["byte", types.wrap_byte(-3), AmqpValue.typed("byte", -3)],
    ["ushort", types.wrap_ushort(60000), AmqpValue.typed("ushort", 60000)],
    ["short", types.wrap_short(-300), AmqpValue.typed("short", -300)],
    ["uint", types.wrap_uint(4e9), AmqpValue.typed("uint", 4e9)],
    ["ulong", types.wrap_ulong(7), AmqpValue.typed("ulong", 7n)],
    ["int", types.wrap_int(7), 7],
    ["long", types.wrap_long(7), 7n],
    ["float", types.wrap_float(1.5), AmqpValue.typed("float", 1.5)],
    ["double", types.wrap_double(2), AmqpValue.typed("double", 2)],
    ["uuid", types.wrap_uuid(Buffer.alloc(16, 1)), AmqpValue.uuid("01010101-0101-0101-0101-010101010101")],
    ["binary", types.wrap_binary(Buffer.from([1, 2])), Buffer.from([1, 2])],
    ["symbol", types.wrap_symbol("s"), AmqpValue.symbol("s")],
    ["timestamp", types.wrap_timestamp(5), DateTime.makeUnsafe(5)],
    [
      "offset",
      (types as any).described_nc(types.wrap_symbol("com.microsoft:datetime-offset"), types.wrap_long(7)),
      AmqpValue.described(AmqpValue.symbol("com.microsoft:datetime-offset"), 7n)
    ]
  ]
  const written = Object.fromEntries(given.map(([name, value]) => [name, value]))
  const lock = { lockDuration: "1 minute" } as const
  const typesOf = (sections: Sections) => {
    const record = sections.readRecord(sections.applicationProperties, true)
    return given.map(([name]) => [name, record[name]])
  }
  const expected = given.map(([name, , value]) => [name, value])

  test(
    "keep their AMQP type: by abandoning, deferring, dead-lettering and a request",
    Effect.gen(function*() {
      const { claim, manages, receives, sends } = yield* peer
      yield* claim("texts")
      const send = yield* sends("texts")
      const { next } = yield* receives("texts")
      const dead = yield* receives("texts/$DeadLetterQueue")
      const ask = yield* manages("texts")
      yield* send(messageOf({}))
      ;(yield* next).delivery.modified({ delivery_failed: true, message_annotations: written })
      const again = yield* next
      assert.deepStrictEqual(typesOf(again.sections), expected)
      again.delivery.accept()

      yield* send(messageOf({}))
      const info = {
        ...written,
        DeadLetterReason: types.wrap_int(5),
        DeadLetterErrorDescription: types.wrap_symbol("d")
      }
      ;(yield* next).delivery.reject({ condition: "com.microsoft:dead-letter", info } as never)
      const letter = yield* dead.next
      assert.deepStrictEqual(typesOf(letter.sections), expected)
      // What is no text stays what it is.
      assert.deepInclude(letter.sections.readRecord(letter.sections.applicationProperties, true), {
        DeadLetterReason: 5,
        DeadLetterErrorDescription: AmqpValue.symbol("d")
      })

      yield* send(messageOf({}))
      const { tag } = yield* next
      const changed = {
        "disposition-status": "abandoned",
        "lock-tokens": arrayOf([Buffer.from(tokenFromTag(tag).replaceAll("-", ""), "hex")], 0x98),
        "properties-to-modify": types.wrap_map(written)
      }
      assert.strictEqual((yield* ask("update-disposition", changed)).status, 200)
      const byRequest = yield* next
      assert.deepStrictEqual(typesOf(byRequest.sections), expected)
    }),
    lock
  )
})
