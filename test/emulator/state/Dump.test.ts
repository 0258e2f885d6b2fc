/** The state of a namespace as JSON: nothing is lost on the way, and what is no dump changes nothing. */
import { Context, DateTime, Effect, Layer } from "effect"
import { ServiceBusReceiver, ServiceBusSender, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as DumpState from "../../../src/emulator/state/Dump.ts"
import { show } from "../../support/amqpValues.ts"
import { entities, fill, Once, Sport } from "../../support/everything.ts"
import { both, failsWith, idsOf, testsWith, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

both((name, layerFor) => {
  describe(`a dump ${name}`, () => {
    const { test } = testsWith(name, layerFor, entities)

    test("that an empty broker has loaded is what that dumps, and what it delivers", () =>
      Effect.gen(function*() {
        yield* fill
        const emulator = yield* Emulator.Emulator
        const before = JSON.stringify(yield* emulator.dump())
        const other = Context.get(
          yield* Layer.build(layerFor({ entities: [], clock: "manual", startAt: yield* emulator.now })),
          Emulator.Emulator
        )
        yield* other.load(JSON.parse(before))
        assert.strictEqual(JSON.stringify(yield* other.dump(), null, 1), JSON.stringify(JSON.parse(before), null, 1))
        for (const entity of [Texts, Sport, Once]) {
          const [one, two] = [yield* emulator.messages(entity), yield* other.messages(entity)]
          const shown = (messages: typeof one) =>
            messages.map((message) => [
              message.messageId,
              show(message.body),
              show(message.amqpApplicationProperties),
              show(message.amqpMessageAnnotations),
              message.deliveryCount,
              message.state
            ])
          assert.deepStrictEqual(shown(two), shown(one))
        }
        const { json } = yield* Effect.succeed({ json: JSON.parse(before) as DumpState.Dump })
        assert.deepStrictEqual(
          json.entities.map(({ kind }) => kind).toSorted(),
          ["queue", "queue", "queue", "queue", "queue", "queue", "subscription", "topic", "topic"].toSorted()
        )
        const texts = json.entities.find((each) => each.name === "texts") as Extract<
          DumpState.Dump["entities"][number],
          { kind: "queue" }
        >
        assert.deepStrictEqual(
          texts.messages!.map(({ body }) => body),
          [
            { text: "deferred" },
            { text: "abandoned" },
            { text: "locked" },
            { text: "all" },
            { text: "later" },
            { sequences: [[1, { $long: "2" }], [{ k: null }]] },
            { value: { $array: { of: "uint", items: [1] } } },
            { data: [{ base64: "/w==" }, { text: "{}" }] },
            { json: { a: [1, "ä"] } },
            { text: "{ \"a\": 9007199254740993}" }
          ] as never
        )
        assert.deepStrictEqual(texts.messages!.map(({ deliveryCount, state }) => [state, deliveryCount]).slice(0, 5), [
          ["deferred", 1],
          ["active", 1],
          ["active", 0],
          ["active", 0],
          ["scheduled", 0]
        ])
        assert.strictEqual(texts.messages![3]!.timeToLive, "P90D")
        assert.strictEqual(texts.deadLetters!.length + texts.transferDeadLetters!.length, 2)
      }))

    test("is loaded under clients that are connected: who receives gets what it says, who settles has lost the lock", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({ body: "locked" })
        const [locked] = yield* receiver.receive({ max: 1 })
        yield* emulator.send(Once, [{ body: "bystander" }])
        yield* emulator.load({
          entities: [
            {
              kind: "queue",
              name: "Texts",
              options: { lockDuration: "PT5S" },
              messages: [{ body: "one" }, { messageId: "two", body: { text: "two" } }, {}],
              deadLetters: [{ body: "dead" }]
            },
            { kind: "subscription", topic: "news", name: "sport", rules: [{ name: "all", filter: "true" }] },
            { kind: "topic", name: "fresh" },
            { kind: "subscription", topic: "fresh", name: "s", options: { forwardTo: "later" } },
            { kind: "queue", name: "later" }
          ]
        })
        yield* receiver.settle(locked!, Settlement.complete).pipe(failsWith("MessageLockLostError"))
        const got = yield* receiver.receive({ max: 2 })
        assert.deepStrictEqual(got.map(({ body, sequenceNumber }) => [body, sequenceNumber]), [["one", 1n], [
          "two",
          2n
        ]])
        assert.deepStrictEqual((yield* emulator.deadLetters(Texts)).map(({ sequenceNumber }) => sequenceNumber), [4n])
        yield* sender.send({ body: "next", messageId: "next" })
        assert.strictEqual((yield* emulator.messages(Texts)).at(-1)?.sequenceNumber, 5n)
        assert.strictEqual((yield* emulator.messages(Once)).length, 1)
        assert.deepStrictEqual((yield* emulator.rules(Sport)).map(({ name }) => name), ["all"])
        yield* emulator.send("fresh", [{ body: Buffer.from("x") }])
        assert.strictEqual((yield* emulator.messages("later")).length, 1)
      }))

    test("is loaded before what waits elsewhere for its entities comes to them, and that comes at once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const numbers = Effect.map(
          emulator.messages("target"),
          (messages) => messages.map(({ body, sequenceNumber }) => `${sequenceNumber} ${String(body)}`)
        )
        yield* emulator.create(Emulator.entity("target"))
        yield* emulator.create(Emulator.entity("source", { forwardTo: "target" }))
        yield* emulator.send("target", [{ body: Buffer.from("kept") }])
        const dump = yield* emulator.dump(["target"])
        yield* emulator.update("target", { status: "SendDisabled" })
        yield* emulator.send("source", [{ body: Buffer.from("refused before") }])
        yield* emulator.load(dump)
        assert.deepStrictEqual(yield* numbers, ["1 kept", "2 refused before"])
        yield* emulator.delete("target")
        yield* emulator.send("source", [{ body: Buffer.from("without a target") }])
        yield* emulator.load(dump)
        assert.deepStrictEqual(yield* numbers, ["1 kept", "2 without a target"])
      }))

    test("of a topic alone leaves its subscriptions as they are, or is refused", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.load({
          entities: [{ kind: "subscription", topic: "news", name: "sport", messages: [{ body: "stays" }] }]
        })
        yield* emulator.load({ entities: [{ kind: "topic", name: "news", options: { maxMessageSize: 2_000_000 } }] })
        assert.deepStrictEqual((yield* emulator.messages(Sport)).map(({ body }) => body), ["stays"])
        const detecting = { kind: "topic", name: "news", options: { duplicateDetectionWindow: "PT1M" } }
        const { problem } = yield* emulator.load({ entities: [detecting] }).pipe(failsWith("EmulatorError"))
        assert.include(problem, `without its subscription "news/Subscriptions/sport": give that too`)
        assert.lengthOf(yield* emulator.messages(Sport), 1)
        yield* emulator.load({ entities: [{ kind: "subscription", topic: "news", name: "sport" }, detecting] })
        assert.lengthOf(yield* emulator.messages(Sport), 0)
      }))

    test("has what was due meanwhile happen at once", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const now = yield* emulator.now
        const at = (hours: number) => DateTime.formatIso(DateTime.add(now, { hours }))
        yield* emulator.load({
          entities: [{
            kind: "queue",
            name: "past",
            options: { deadLetteringOnExpiration: true },
            messages: [
              { messageId: "due", scheduledEnqueueTime: at(-1) },
              { messageId: "over", enqueuedTime: at(-2), timeToLive: "PT1H" },
              { messageId: "lives", enqueuedTime: at(-2), timeToLive: "1 day" }
            ]
          }]
        })
        yield* Effect.yieldNow.pipe(Effect.repeat({ times: 20 }))
        assert.deepStrictEqual(idsOf(yield* emulator.messages("past")), ["lives", "due"])
        assert.deepStrictEqual(idsOf(yield* emulator.deadLetters("past")), ["over"])
      }))
  })
})

describe("what is no dump", () => {
  const queue = (fields: object) => ({ entities: [{ kind: "queue", name: "new", ...fields }] })
  const message = (fields: object, options?: object) => queue({ messages: [fields], ...options })
  const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
    [undefined, /Expected Dump/],
    ["{}", /Expected Dump/],
    [{}, /Missing key.*\["entities"\]/],
    [{ entities: {} }, /\["entities"\]/],
    [{ entities: [5] }, /\["entities"\]\[0\]/],
    [{ version: 2, entities: [] }, /\["version"\]/],
    [{ entities: [], more: 1 }, /\["more"\]/],
    [queue({ kind: "table" }), /\["entities"\]\[0\]/],
    [queue({ name: 5 }), /\["entities"\]\[0\]\["name"\]/],
    [queue({ option: {} }), /\["entities"\]\[0\]\["option"\]/],
    [queue({ options: { lockDurations: 1 } }), /\["lockDurations"\]/],
    [queue({ options: { lockDuration: "soon" } }), /entities\[0\]\.options\.lockDuration: Expected milliseconds/],
    [queue({ options: { lockDuration: "PT1H" } }), /lockDuration must be between 1 second and 5 minutes/],
    [
      queue({ options: { forwardTo: "nowhere" } }),
      /forwardTo: the auto forwarding destination entity "nowhere" does not exist/
    ],
    [queue({ name: "a*b" }), /a name is a well-formed text/],
    [{ entities: [{ kind: "queue", name: "a" }, { kind: "topic", name: "A" }] }, /topic "A" is given twice/],
    [{ entities: [{ kind: "subscription", topic: "none", name: "s" }] }, /there is no topic "none"/],
    [
      {
        entities: [{ kind: "topic", name: "t" }, {
          kind: "subscription",
          topic: "t",
          name: "s",
          rules: [{ name: "r", filter: { sql: "a =" } }]
        }]
      },
      /rule "r": /
    ],
    [
      {
        entities: [{ kind: "topic", name: "t" }, {
          kind: "subscription",
          topic: "t",
          name: "s",
          rules: [{ name: "r", filter: { sql: "a = @a", parameters: { a: { $int: "x" } } } }]
        }]
      },
      /entities\[1\]\.rules\[0\]\.filter\.parameters\.a\.\$int: expected/
    ],
    [message({ body: 5 }), /\["body"\]/],
    [message({ body: { text: "a", base64: "" } }), /\["body"\]/],
    [message({ body: { base64: "!" } }), /entities\[0\]\.messages\[0\]\.body\.base64: expected bytes/],
    [message({ body: { data: [{ text: "" }, { base64: "*" }] } }), /body\.data\[1\]\.base64/],
    [message({ applicationProperties: { a: { $none: 1 } } }), /messages\[0\]\.applicationProperties\.a: "\$none"/],
    [message({ messageId: { $uuid: "1" } }), /messages\[0\]\.messageId\.\$uuid/],
    [message({ messageId: 1.5 }), /messages\[0\]\.messageId/],
    [message({ enqueuedTime: "+275760-09-13T00:00:00.000Z" }), /enqueuedTime: expected a time of the years 1 to 9999/],
    [
      message({ sequenceNumber: "9007199254740991" }),
      /sequenceNumber: expected a whole number of 1 to 4503599627370496/
    ],
    [message({ enqueuedTime: "yesterday" }), /messages\[0\]\.enqueuedTime: expected a time/],
    [message({ timeToLive: -1 }), /messages\[0\]\.timeToLive: Expected/],
    [message({ sequenceNumber: "0" }), /messages\[0\]\.sequenceNumber: expected a whole number of 1/],
    [message({ sequenceNumber: "9007199254740993" }), /messages\[0\]\.sequenceNumber/],
    [
      queue({ messages: [{ sequenceNumber: "1" }], deadLetters: [{ sequenceNumber: "1" }] }),
      /deadLetters\[0\]\.sequenceNumber: another message/
    ],
    [message({ state: "scheduled" }), /scheduledEnqueueTime: a scheduled message has one/],
    [message({ state: "active", scheduledEnqueueTime: "2030-01-01T00:00:00Z" }), /a scheduled message alone/],
    [
      queue({ deadLetters: [{ scheduledEnqueueTime: "2030-01-01T00:00:00Z" }] }),
      /deadLetters\[0\]\.state: nothing is scheduled/
    ],
    [message({ deliveryCount: -1 }), /deliveryCount: expected 0/],
    [message({ priority: 300 }), /messages\[0\]\.priority/],
    [message({}, { options: { requiresSession: true } }), /messages\[0\]\.sessionId: the entity requires sessions/],
    [queue({ sessions: [{ sessionId: "s", state: { text: "" } }] }), /sessions: an entity has sessions where/],
    [
      queue({ duplicates: [{ messageId: "x", sequenceNumber: "1", until: "2030-01-01T00:00:00Z" }] }),
      /duplicates: an entity has them/
    ],
    [queue({ lastSequenceNumber: "-1" }), /lastSequenceNumber: expected/]
  ]

  it.effect("is refused with its place, and nothing has changed", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "kept" }])
      const before = JSON.stringify(yield* emulator.dump())
      for (const [dump, expected] of wrong) {
        const { problem } = yield* emulator.load(dump).pipe(failsWith("EmulatorError"))
        assert.match(problem, expected, JSON.stringify(dump))
      }
      // Neither has what stands before the wrong one.
      yield* emulator.load({
        entities: [{ kind: "queue", name: "texts" }, { kind: "queue", name: "x", options: { forwardTo: "x" } }]
      }).pipe(failsWith("EmulatorError"))
      assert.strictEqual(JSON.stringify(yield* emulator.dump()), before)
      const missing = yield* emulator.dump(["texts", "none"]).pipe(failsWith("EmulatorError"))
      assert.strictEqual(missing.reason, "notFound")
    }).pipe(Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))

  it.effect("nor is what holds more than a dump does", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const text = "x".repeat(2 ** 21)
      const messages = Array.from({ length: DumpState.limits.bytes / 2 ** 21 }, () => ({ body: { text } }))
      yield* emulator.load({ entities: [{ kind: "queue", name: "large", messages }] })
      const error = yield* emulator.dump().pipe(failsWith("EmulatorError"))
      assert.deepStrictEqual([error.reason, error.problem.includes("dump fewer entities")], ["quotaExceeded", true])
      assert.strictEqual((yield* emulator.dump(["texts"])).entities.length, 1)
    }).pipe(Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})
