/** AMQP values as JSON and back: every type survives, what is none is told where it stands. */
import { AmqpValue } from "effect-service-bus"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as ValueJson from "../../../src/emulator/state/ValueJson.ts"
import { Reader } from "../../../src/internal/amqp/codec/Reader.ts"
import { Writer } from "../../../src/internal/amqp/codec/Writer.ts"
import { show } from "../../support/amqpValues.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const writer = new Writer()

const bytesOf = (value: AmqpValue.AmqpValue): Buffer => {
  writer.value(value)
  return Buffer.from(writer.take())
}

/** As a message that came over the wire has it. */
const exact = (bytes: Buffer): AmqpValue.AmqpValue => new Reader(bytes, 0, bytes.length, true).value()

/** Through JSON that was written and read. */
const survives = (value: AmqpValue.AmqpValue): void => {
  const before = exact(bytesOf(value))
  const json = JSON.parse(JSON.stringify(ValueJson.toJson(before)))
  const after = exact(bytesOf(ValueJson.ofJson(json, "value")))
  assert.strictEqual(show(after), show(before), JSON.stringify(json))
}

const { array, described, symbol, typed, uuid } = AmqpValue

const guid = "0f8fad5b-d9cb-469f-a165-70867728950e"

const scalars: ReadonlyArray<AmqpValue.AmqpValue> = [
  null,
  true,
  false,
  "",
  "text",
  "$long",
  0,
  -1,
  2147483647,
  -2147483648,
  1.5,
  1e300,
  -0,
  NaN,
  Infinity,
  -Infinity,
  5e-324,
  2 ** 53,
  typed("double", 7),
  typed("double", 2 ** 40),
  1n,
  9007199254740993n,
  -(2n ** 63n),
  2n ** 63n - 1n,
  2n ** 64n - 1n,
  typed("ulong", 0n),
  typed("ulong", 300n),
  typed("ubyte", 255),
  typed("ushort", 65535),
  typed("uint", 4294967295),
  typed("byte", -128),
  typed("short", -32768),
  typed("float", 1.1),
  typed("float", NaN),
  typed("float", -0),
  typed("decimal32", Buffer.from("01020304", "hex")),
  typed("decimal64", Buffer.from("0102030405060708", "hex")),
  typed("decimal128", Buffer.from("000102030405060708090a0b0c0d0e0f", "hex")),
  typed("char", "€"),
  typed("char", 0x110000),
  typed("timestamp", 2n ** 62n),
  DateTime.makeUnsafe(0),
  DateTime.makeUnsafe(-62135596800000),
  DateTime.makeUnsafe(8.64e15),
  uuid(guid),
  symbol("x-opt"),
  new Uint8Array(),
  new Uint8Array([0, 255, 254]),
  Duration.millis(1.5),
  Duration.nanos(-(2n ** 63n) * 100n),
  new URL("https://example.com/a?b=c"),
  described(symbol("com.microsoft:datetime-offset"), 637_000_000_000_000_001n),
  described(112n, ["x", 1]),
  described(symbol("com.microsoft:uri"), "no uri")
]

const compounds: ReadonlyArray<AmqpValue.AmqpValue> = [
  [],
  [1, "two", [null]],
  new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([["a", 1], ["b", new Map([["c", 1n]])]]),
  new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([["$long", "1"]]),
  new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([["z", 1], ["1", 2], ["a", 3]]),
  new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([[1, "a"], [symbol("s"), [1]], [null, null]]),
  new Map([["__proto__", 1], ["constructor", 2]]),
  array("uint", [1, 2]),
  array("ulong", [1n, 2n ** 64n - 1n]),
  array("null", [null, null]),
  array("boolean", [true, false]),
  array("string", ["a", ""]),
  array("uuid", [guid]),
  array("binary", [new Uint8Array([1])]),
  array("timestamp", [DateTime.makeUnsafe(5), 2n ** 62n]),
  array("decimal32", [Buffer.from("01020304", "hex")]),
  array("double", [1, NaN, -0]),
  array("list", [[1], ["a", [2]]]),
  array("map", [new Map([["a", 1]]), new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([[1, "b"]])]),
  array("array", [array("ubyte", [1]), array("ubyte", [2])]),
  array("int", [1], symbol("com.example:point")),
  array("int", [1], 112n)
]

describe("a value of AMQP", () => {
  it("is the same after JSON, whatever its type", () => {
    for (const value of [...scalars, ...compounds]) survives(value)
  })

  it("and so is what is made of these", () => {
    const random = generator(16)
    const pick = (depth: number): AmqpValue.AmqpValue => {
      const all = random(3) === 0 ? compounds : scalars
      const value = all[random(all.length)]
      if (depth > 4) return value
      switch (random(6)) {
        case 0:
          return [value, pick(depth + 1)]
        case 1:
          return new Map([[pick(depth + 1), value], ["k", pick(depth + 1)]])
        case 2:
          return new Map([["k", value], ["l", pick(depth + 1)]])
        case 3:
          return array("list", [[value], [pick(depth + 1)]])
        default:
          return value
      }
    }
    for (let i = 0; i < 2_000; i++) survives(pick(0))
  })

  it("is plain where JSON says the same, and is named where it does not", () => {
    const of = (value: AmqpValue.AmqpValue) => JSON.stringify(ValueJson.toJson(exact(bytesOf(value))))
    assert.strictEqual(of(5), "5")
    assert.strictEqual(of(5n), `{"$long":"5"}`)
    assert.strictEqual(of(typed("uint", 5)), `{"$uint":5}`)
    assert.strictEqual(of(uuid(guid)), `{"$uuid":"${guid}"}`)
    assert.strictEqual(of(DateTime.makeUnsafe(0)), `{"$timestamp":"1970-01-01T00:00:00.000Z"}`)
    assert.strictEqual(of({ a: [1.5, null] }), `{"a":[1.5,null]}`)
  })
})

describe("JSON that is no value", () => {
  it("is told where it stands", () => {
    const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
      [{ $long: "x" }, /^v\.\$long: expected a whole number/],
      [{ $long: "9223372036854775808" }, /^v\.\$long: it is no long/],
      [{ $ulong: "-1" }, /^v\.\$ulong: it is no ulong/],
      [{ $ulong: 1.5 }, /^v\.\$ulong: expected/],
      [{ $ubyte: 256 }, /^v\.\$ubyte: ubyte must be an integer from 0 to 255/],
      [{ $ubyte: "1" }, /^v\.\$ubyte: expected a whole number/],
      [{ $double: "many" }, /^v\.\$double: expected a number/],
      [{ $decimal32: "0102" }, /^v\.\$decimal32: a decimal32 must be given as its 4 bytes/],
      [{ $decimal32: "xy" }, /^v\.\$decimal32: expected its bytes/],
      [{ $uuid: "1" }, /^v\.\$uuid: a uuid must be/],
      [{ $symbol: "ä" }, /^v\.\$symbol: a symbol may have ASCII/],
      [{ $char: "ab" }, /^v\.\$char: a char must be/],
      [{ $timestamp: "yesterday" }, /^v\.\$timestamp: expected a time/],
      [{ $timestamp: 5 }, /^v\.\$timestamp: expected a time/],
      [{ $binary: "!" }, /^v\.\$binary: expected bytes in base64/],
      [{ $boolean: 1 }, /^v\.\$boolean: expected true or false/],
      [{ $uri: "no" }, /^v\.\$uri: expected a URI/],
      [{ $timespan: "1h" }, /^v\.\$timespan: expected/],
      [{ $map: [["a"]] }, /^v\.\$map: expected an array of/],
      [{ $map: [["a", { $long: "" }]] }, /^v\.\$map\[0\]\[1\]\.\$long: /],
      [{ $array: { of: "int" } }, /^v\.\$array: expected/],
      [{ $array: { of: "int", items: ["x"] } }, /^v\.\$array\.items\[0\]: expected a whole number/],
      [{ $array: { of: "none", items: [] } }, /^v\.\$array: none is not an AMQP type/],
      [{ $array: { of: "list", items: [1] } }, /^v\.\$array: an element/],
      [{ $described: { descriptor: 1.5, value: 1 } }, /^v\.\$described: ulong must be/],
      [
        { $described: { descriptor: 1, value: { $described: { descriptor: 1, value: 1 } } } },
        /^v\.\$described: a described value/
      ],
      [{ $described: { descriptor: 1 } }, /^v\.\$described: expected/],
      [{ $none: 1 }, /^v: "\$none" is no type of AMQP/],
      [{ $long: "1", other: 1 }, /^v: "\$long" names a type, and stands alone/],
      [{ a: [1, { b: { $int: 1.5 } }] }, /^v\.a\[1\]\.b\.\$int: expected a whole number/]
    ]
    for (const [json, expected] of wrong) {
      assert.throws(() => ValueJson.ofJson(json as never, "v"), expected)
    }
  })
})
