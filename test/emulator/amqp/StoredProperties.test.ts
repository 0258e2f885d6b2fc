/** What rules read of stored bytes, and what is written where an action changed something: every AMQP type, and no byte else. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../src/AmqpValue.ts"
import { change, incoming } from "../../../src/emulator/amqp/StoredPayload.ts"
import { read } from "../../../src/emulator/amqp/StoredProperties.ts"
import {
  type Changes,
  FilterError,
  type SettableName,
  type SystemName
} from "../../../src/emulator/broker/filter/FilterMessage.ts"
import * as Rule from "../../../src/emulator/broker/filter/Rule.ts"
import type { Payload } from "../../../src/emulator/broker/Queue.ts"
import { Sections } from "../../../src/internal/amqp/codec/Sections.ts"
import { Writer } from "../../../src/internal/amqp/codec/Writer.ts"
import * as ServiceBusRule from "../../../src/ServiceBusRule.ts"
import { assert, describe, it } from "../../support/vitest.ts"

type Entries = ReadonlyArray<readonly [AmqpValue.AmqpValue, AmqpValue.AmqpValue]>

interface Parts {
  readonly annotations?: Entries
  /** By their places. */
  readonly properties?: ReadonlyArray<AmqpValue.AmqpValue>
  readonly application?: Entries
  readonly body?: Uint8Array
}

const encoded = ({ annotations, application, body = new Uint8Array([1, 2, 3]), properties }: Parts): Buffer => {
  const writer = new Writer()
  const map = (code: number, entries: Entries) => {
    writer.descriptor(code)
    const at = writer.begin(0xd1)
    for (const [key, value] of entries) {
      writer.value(key)
      writer.value(value)
    }
    writer.end(at, 2 * entries.length)
  }
  writer.descriptor(0x70)
  writer.value([true, AmqpValue.typed("ubyte", 7)])
  if (annotations !== undefined) map(0x72, annotations)
  if (properties !== undefined) {
    writer.descriptor(0x73)
    writer.value(properties)
  }
  if (application !== undefined) map(0x74, application)
  writer.descriptor(0x75)
  writer.binary(body)
  map(0x78, [[AmqpValue.symbol("x-foot"), 1]])
  return writer.take()
}

const stored = (parts: Parts) => incoming(encoded(parts))

const bytesOf = (payload: Payload): Buffer =>
  typeof payload === "string" ? Buffer.from(payload, "latin1") : Buffer.from(payload)

const changes = (
  properties: Record<string, AmqpValue.AmqpValue>,
  system: Partial<Record<SettableName, AmqpValue.AmqpValue>> = {}
): Changes => ({
  properties: new Map(Object.entries(properties)),
  system: new Map(Object.entries(system)) as Changes["system"]
})

const { symbol, typed, uuid } = AmqpValue

/** One of each type, in the form that says it exactly. */
const ofEachType: Readonly<Record<string, AmqpValue.AmqpValue>> = {
  null: null,
  boolean: true,
  ubyte: typed("ubyte", 255),
  ushort: typed("ushort", 65_535),
  uint: typed("uint", 4_294_967_295),
  ulong: typed("ulong", 18_446_744_073_709_551_615n),
  byte: typed("byte", -128),
  short: typed("short", -32_768),
  int: -2_147_483_648,
  long: -9_223_372_036_854_775_808n,
  float: typed("float", 1.5),
  double: 0.1,
  wholeDouble: typed("double", 3),
  decimal32: typed("decimal32", Buffer.from("32800001", "hex")),
  decimal64: typed("decimal64", Buffer.from("31c0000000000001", "hex")),
  decimal128: typed("decimal128", Buffer.from("30400000000000000000000000000001", "hex")),
  char: typed("char", "ü"),
  timestamp: DateTime.makeUnsafe(1_700_000_000_123),
  farTimestamp: typed("timestamp", 9_223_372_036_854_775_807n),
  uuid: uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
  binary: Buffer.from([0, 1, 255]),
  string: "Zürich 😀",
  symbol: symbol("sym"),
  timespan: Duration.nanos(12_345_600n),
  uri: new URL("https://example.org/a"),
  described: AmqpValue.described(symbol("x:y"), 3)
}

describe("The id of a message", () => {
  it("is a text, and the same one for the same bytes, also where it is of no type that an id has", () => {
    const ids: ReadonlyArray<AmqpValue.AmqpValue> = [
      "id",
      7n,
      uuid("00112233-4455-6677-8899-aabbccddeeff"),
      new Uint8Array([1, 255]),
      symbol("id"),
      true,
      DateTime.makeUnsafe(5),
      Duration.millis(5),
      typed("decimal64", new Uint8Array(8)),
      ["a"]
    ]
    const texts = ids.map((id) => stored({ properties: [id] }).messageId)
    for (const text of texts) assert.typeOf(text, "string")
    assert.deepStrictEqual(ids.map((id) => stored({ properties: [id] }).messageId), texts)
    assert.deepStrictEqual(texts.slice(0, 5), ["id", "7", "00112233-4455-6677-8899-aabbccddeeff", "01ff", "id"])
  })
})

describe("application properties are read", () => {
  it("in their exact types, by names of any case", () => {
    const message = read(stored({ application: Object.entries(ofEachType) }))
    for (const [key, value] of Object.entries(ofEachType)) {
      assert.deepStrictEqual(message.property(key.toLowerCase()), value, key)
      assert.strictEqual(message.spelling(key.toLowerCase()), key)
    }
    assert.strictEqual(message.property("missing"), undefined)
    assert.strictEqual(message.spelling("missing"), undefined)
  })

  it("also where the message has none, and where a key is no text", () => {
    assert.strictEqual(read(stored({})).property("a"), undefined)
    const message = read(stored({ application: [[7, "seven"], [symbol("Sym"), "by symbol"], ["after", 1]] }))
    assert.deepStrictEqual(["7", "sym", "after"].map((name) => message.property(name)), [undefined, "by symbol", 1])
  })

  it("with names beyond ASCII, and with long ones", () => {
    const long = `Long${"x".repeat(300)}`
    const message = read(stored({ application: [["GRÖSSE", 1], ["grosse", 2], [long, 3], ["Größe", 4]] }))
    assert.strictEqual(message.property("grösse"), 1)
    assert.strictEqual(message.property("grosse"), 2)
    assert.strictEqual(message.property(long.toLowerCase()), 3)
    assert.strictEqual(message.property("größe"), 4)
    assert.strictEqual(message.property("gr"), undefined)
  })

  it("the first of a name that is there twice", () => {
    const message = read(stored({ application: [["Color", "red"], ["color", "blue"]] }))
    assert.strictEqual(message.property("color"), "red")
    assert.strictEqual(message.spelling("color"), "Color")
  })

  it("of two messages in turn: one may be filtered while another is", () => {
    const first = read(stored({ application: [["a", "one"]] }))
    assert.strictEqual(first.property("a"), "one")
    const second = read(stored({ application: [["a", "two"], ["b", Buffer.from([9])]] }))
    const binary = second.property("b")
    const third = read(stored({ application: [["b", Buffer.from([1])]], body: new Uint8Array(5000) }))
    assert.deepStrictEqual(third.property("b"), Buffer.from([1]))
    assert.strictEqual(first.property("missing"), undefined)
    assert.strictEqual(second.property("a"), "two")
    assert.deepStrictEqual(binary, Buffer.from([9]))
  })
})

describe("system properties are read", () => {
  const properties = [
    "id",
    Buffer.from("user"),
    "to",
    "label",
    "reply-to",
    "correlation",
    symbol("text/plain"),
    null,
    null,
    null,
    "session",
    null,
    "reply-session"
  ]
  const annotations: Entries = [
    [symbol("x-opt-partition-key"), "session"],
    [symbol("x-opt-scheduled-enqueue-time"), DateTime.makeUnsafe(60_000)],
    [symbol("x-opt-deadletter-source"), "from"]
  ]

  it("from the bare message, its annotations and what the broker knows", () => {
    const message = read({
      ...stored({ properties, annotations }),
      timeToLive: 1500,
      sequenceNumber: 9_007_199_254_740_993n,
      enqueuedAt: 1000,
      expiresAt: 2500
    })
    const expected: ReadonlyArray<readonly [name: SystemName, value: unknown]> = [
      ["messageid", "id"],
      ["to", "to"],
      ["label", "label"],
      ["replyto", "reply-to"],
      ["correlationid", "correlation"],
      ["contenttype", "text/plain"],
      ["sessionid", "session"],
      ["replytosessionid", "reply-session"],
      ["partitionkey", "session"],
      ["viapartitionkey", undefined],
      ["scheduledenqueuetimeutc", DateTime.makeUnsafe(60_000)],
      ["deadlettersource", "from"],
      ["timetolive", Duration.nanos(1_500_000_000n)],
      ["sequencenumber", 9_007_199_254_740_993n],
      ["enqueuedsequencenumber", 9_007_199_254_740_993n],
      ["enqueuedtimeutc", typed("timestamp", 1000n)],
      ["expiresatutc", typed("timestamp", 2500n)],
      ["deliverycount", 0],
      ["forcepersistence", true],
      ["state", 0]
    ]
    for (const [name, value] of expected) {
      assert.deepStrictEqual(message.system(name), value as AmqpValue.AmqpValue, name)
      // And again, from what was kept.
      assert.deepStrictEqual(message.system(name), value as AmqpValue.AmqpValue, name)
    }
  })

  it("as texts, whatever type an id has", () => {
    const id = uuid("0f8fad5b-d9cb-469f-a165-70867728950e")
    const message = read(stored({ properties: [7n, null, null, null, null, id] }))
    assert.strictEqual(message.system("messageid"), "7")
    assert.strictEqual(message.system("correlationid"), "0f8fad5b-d9cb-469f-a165-70867728950e")
  })

  it("as without end, where a message has no time to live", () => {
    const message = read(stored({}))
    assert.deepStrictEqual(message.system("timetolive"), Duration.nanos((2n ** 63n - 1n) * 100n))
    assert.deepStrictEqual(message.system("expiresatutc"), typed("timestamp", 253_402_300_799_999n))
  })
})

describe("a message is changed", () => {
  const parts: Parts = {
    annotations: [[symbol("x-opt-partition-key"), "s"], [symbol("x-own"), typed("ubyte", 1)]],
    properties: ["id", null, "to", "label", null, typed("ulong", 5n), null, null, null, null, "s"],
    application: [...Object.entries(ofEachType), ["Color", "red"]]
  }

  it("in what the changes name; all else stays byte for byte", () => {
    const before = stored(parts)
    const after = change(before, changes({ Color: "blue", size: typed("short", 3), int: undefined }))
    const expected = encoded({
      ...parts,
      application: [
        ...Object.entries(ofEachType).filter(([key]) => key !== "int"),
        ["Color", "blue"],
        ["size", typed("short", 3)]
      ]
    })
    assert.strictEqual(bytesOf(after.payload).toString("hex"), expected.toString("hex"))
    assert.deepStrictEqual({ ...after, payload: "", propertiesSize: 0 }, { ...before, payload: "", propertiesSize: 0 })
    assert.strictEqual(after.propertiesSize, incoming(expected).propertiesSize)
    assert.strictEqual(bytesOf(before.payload).toString("hex"), encoded(parts).toString("hex"))
  })

  it("not at all by no change", () => {
    const before = stored(parts)
    assert.deepStrictEqual(change(before, changes({})), before)
  })

  it("in its system properties, which the broker goes by", () => {
    const after = change(
      stored(parts),
      changes({}, {
        messageid: "new id",
        sessionid: "new session",
        label: undefined,
        correlationid: "c",
        replytosessionid: "rs",
        partitionkey: undefined,
        viapartitionkey: "via",
        scheduledenqueuetimeutc: typed("timestamp", 5000n),
        timetolive: Duration.seconds(3)
      })
    )
    assert.deepStrictEqual(
      [after.messageId, after.sessionId, after.timeToLive, after.enqueueAt],
      ["new id", "new session", 3000, undefined]
    )
    const bytes = bytesOf(after.payload)
    const sections = new Sections(bytes, 0, bytes.length)
    const nulls = Array.from({ length: 13 }, () => null)
    assert.deepStrictEqual(
      sections.readList(sections.properties),
      Object.assign(nulls, { 0: "new id", 2: "to", 5: "c", 10: "new session", 12: "rs" })
    )
    assert.deepStrictEqual(sections.readRecord(sections.messageAnnotations, true), {
      "x-own": typed("ubyte", 1),
      "x-opt-via-partition-key": "via",
      "x-opt-scheduled-enqueue-time": DateTime.makeUnsafe(5000)
    })
  })

  it("where it had none of the sections that change", () => {
    const after = change(stored({}), changes({ a: 1 }, { to: "x", partitionkey: "p" }))
    const message = read(after)
    assert.deepStrictEqual([message.property("a"), message.system("to"), message.system("partitionkey")], [1, "x", "p"])
    assert.isString(after.messageId)
  })

  it("whatever its size", () => {
    const after = change(stored({ ...parts, body: new Uint8Array(10_000).fill(3) }), changes({ Color: "blue" }))
    assert.strictEqual(read(after).property("color"), "blue")
    assert.strictEqual(after.payload.length, stored({ ...parts, body: new Uint8Array(10_000) }).payload.length + 1)
  })

  it("has no expiry any more where its time to live was removed", () => {
    const dated: Parts = {
      properties: ["id", null, null, null, null, null, null, null, DateTime.makeUnsafe(9000), DateTime.makeUnsafe(4000)]
    }
    const before = stored(dated)
    assert.strictEqual(before.timeToLive, 5000)
    const after = change(before, changes({}, { timetolive: undefined }))
    const bytes = bytesOf(after.payload)
    const sections = new Sections(bytes, 0, bytes.length)
    assert.strictEqual(after.timeToLive, undefined)
    assert.deepStrictEqual(sections.readList(sections.properties).slice(8, 10), [null, DateTime.makeUnsafe(4000)])
    assert.strictEqual(incoming(bytes).timeToLive, undefined)
  })

  it("not where a value has no AMQP form: that is an error of the rule, and leaves no byte behind", () => {
    for (const value of ["half \ud800", typed("int", 2 ** 40), Duration.infinity]) {
      assert.throws(() => change(stored(parts), changes({ a: 1, b: value })), FilterError)
    }
    assert.deepStrictEqual(change(stored(parts), changes({})), stored(parts))
  })

  it("gets a new id where an action removed its own", () => {
    const after = change(stored(parts), changes({}, { messageid: undefined, sessionid: undefined }))
    assert.match(after.messageId!, /^[0-9a-f]{32}$/)
    assert.strictEqual(after.sessionId, undefined)
  })
})

describe("a rule over stored bytes", () => {
  const compiled = (rule: ServiceBusRule.Rule) => {
    const result = Rule.compile(rule)
    if (result._tag === "Failure") throw new Error(result.failure.message)
    return result.success
  }

  it("matches, and changes its copy (the documentation's own example)", () => {
    const rule = compiled(ServiceBusRule.make(
      "RedOrdersWithAction",
      ServiceBusRule.sql("user.color='red'"),
      ServiceBusRule.action("SET quantity = quantity / 2; REMOVE priority;SET sys.CorrelationId = 'low';")
    ))
    const parts: Parts = {
      properties: ["id", null, null, "red", null, "high"],
      application: [["color", "red"], ["quantity", 10], ["priority", "high"]]
    }
    const before = stored(parts)
    assert.isTrue(rule.matches(read(before)))
    const after = change(before, rule.apply!(read(before)))
    const bytes = bytesOf(after.payload)
    const sections = new Sections(bytes, 0, bytes.length)
    assert.deepStrictEqual(sections.readRecord(sections.applicationProperties, true), {
      color: "red",
      quantity: 5,
      RuleName: "RedOrdersWithAction"
    })
    assert.strictEqual(read(after).system("correlationid"), "low")
    assert.isFalse(rule.matches(read(stored({ application: [["color", "Red"]] }))))
  })
})
