import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { createRequire } from "node:module"
import * as AmqpValue from "../../../src/AmqpValue.ts"
import { DecodeProblem, Reader } from "../../../src/internal/amqp/codec/Reader.ts"
import { walk } from "../../../src/internal/amqp/codec/skipValue.ts"
import { EncodeProblem, Writer } from "../../../src/internal/amqp/codec/Writer.ts"

const rhea = createRequire(import.meta.url)("rhea")

/** A value in one line, so that two of them can be compared whatever represents them. */
const show = (value: unknown): string => {
  if (value === null || value === undefined) return "null"
  if (typeof value === "bigint") return `${value}n`
  if (typeof value === "number") return Object.is(value, -0) ? "-0" : String(value)
  if (typeof value === "string") return JSON.stringify(value)
  if (value instanceof Uint8Array) return `binary(${Buffer.from(value).toString("hex")})`
  if (DateTime.isDateTime(value)) return `time(${DateTime.toEpochMillis(value)})`
  if (Duration.isDuration(value)) return `duration(${Duration.toNanosUnsafe(value)})`
  if (value instanceof URL) return `url(${value.href})`
  if (AmqpValue.isTyped(value)) {
    if (value.type === "described") {
      const { descriptor, value: inner } = value as AmqpValue.Described
      return `described(${show(descriptor)}, ${show(inner)})`
    }
    if (value.type === "array") return `array ${(value as AmqpValue.AmqpArray).of}${show(value.value)}`
    return `${value.type}(${show(value.value)})`
  }
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`
  if (value instanceof Map) return `map(${Array.from(value, ([k, v]) => `${show(k)}: ${show(v)}`).join(", ")})`
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${show(v)}`).join(", ")}}`
  }
  return String(value)
}

const same = (actual: unknown, expected: unknown, message?: string) =>
  assert.strictEqual(show(actual), show(expected), message)

const hexOf = (value: AmqpValue.AmqpValue): string => {
  const writer = new Writer()
  writer.value(value)
  return writer.take().toString("hex")
}

const hex = (spaced: string) => spaced.replaceAll(" ", "")
const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(" ", ""), "hex")

/** Decodes one value and checks that the reader and the walk agree about where it ends. */
const decode = (bytes: Buffer): AmqpValue.AmqpValue => {
  assert.strictEqual(walk(bytes, 0, bytes.length), bytes.length, "the walk refuses or ends elsewhere")
  const reader = new Reader(bytes)
  const value = reader.value()
  assert.strictEqual(reader.position, bytes.length, "the reader ends elsewhere")
  const skipper = new Reader(bytes)
  skipper.skip()
  assert.strictEqual(skipper.position, bytes.length, "skipping ends elsewhere")
  return value
}

const time = (millis: number) => DateTime.makeUnsafe(millis)
const newYear = 1704067200000
const guid = "00112233-4455-6677-8899-aabbccddeeff"
const { array, described, symbol, typed, uuid } = AmqpValue

describe("golden bytes, decoded (AMQP 1.0 section 1.6)", () => {
  const cases: ReadonlyArray<readonly [name: string, hex: string, value: unknown]> = [
    ["null", "40", null],
    ["boolean true", "41", true],
    ["boolean false", "42", false],
    ["boolean 0x56 true", "56 01", true],
    ["boolean 0x56 false", "56 00", false],
    ["ubyte", "50 ff", 255],
    ["ushort", "60 fffe", 65534],
    ["uint", "70 fffffffe", 4294967294],
    ["smalluint", "52 ff", 255],
    ["uint0", "43", 0],
    ["ulong", "80 ffffffffffffffff", 18446744073709551615n],
    ["ulong past 2^53", "80 0020000000000001", 9007199254740993n],
    ["smallulong", "53 ff", 255n],
    ["ulong0", "44", 0n],
    ["byte", "51 80", -128],
    ["short", "61 8000", -32768],
    ["int", "71 80000000", -2147483648],
    ["smallint", "54 ff", -1],
    ["long", "81 8000000000000000", -9223372036854775808n],
    ["long past 2^53", "81 0020000000000001", 9007199254740993n],
    ["smalllong", "55 fe", -2n],
    ["float", "72 3fc00000", 1.5],
    ["double", "82 bff8000000000000", -1.5],
    ["double NaN", "82 7ff8000000000000", NaN],
    ["double -0", "82 8000000000000000", -0],
    ["decimal32", "74 01020304", typed("decimal32", bytesOf("01020304"))],
    ["decimal64", "84 0102030405060708", typed("decimal64", bytesOf("0102030405060708"))],
    [
      "decimal128",
      "94 000102030405060708090a0b0c0d0e0f",
      typed("decimal128", bytesOf("000102030405060708090a0b0c0d0e0f"))
    ],
    ["char", "73 0001f600", typed("char", "😀")],
    ["char beyond Unicode", "73 00110000", typed("uint", 0x110000)],
    ["timestamp", "83 0000018cc251f400", time(newYear)],
    ["timestamp before the epoch", "83 ffffffffffffffff", time(-1)],
    ["last timestamp of JavaScript", "83 001eb208c2dc0000", time(8640000000000000)],
    ["timestamp beyond JavaScript", "83 001eb208c2dc0001", typed("timestamp", 8640000000000001n)],
    ["uuid", "98 00112233445566778899aabbccddeeff", uuid(guid)],
    ["vbin8", "a0 03 010203", bytesOf("010203")],
    ["vbin32", "b0 00000003 010203", bytesOf("010203")],
    ["str8", "a1 03 616263", "abc"],
    ["str8 of UTF-8", "a1 05 c3a9e282ac", "é€"],
    ["str32", "b1 00000003 616263", "abc"],
    ["sym8", "a3 03 616263", symbol("abc")],
    ["sym32", "b3 00000003 616263", symbol("abc")],
    ["list0", "45", []],
    ["list8", "c0 04 02 54 01 41", [1, true]],
    ["list8 without items", "c0 01 00", []],
    ["list32", "d0 00000007 00000002 54 01 41", [1, true]],
    ["map8", "c1 06 02 a1 01 61 54 01", { a: 1 }],
    ["map32", "d1 00000009 00000002 a1 01 61 54 01", { a: 1 }],
    ["map with other keys", "c1 05 02 54 01 a1 00", new Map([[1, ""]])],
    ["array8 of int", "e0 0a 02 71 00000001 ffffffff", array("int", [1, -1])],
    ["array32 of sym8", "f0 0000000a 00000002 a3 01 61 02 6263", array("symbol", ["a", "bc"])],
    ["array of smalllong", "e0 04 02 55 01 ff", array("long", [1n, -1n])],
    ["array of true", "e0 02 03 41", array("boolean", [true, true, true])],
    ["array of ulong0", "e0 02 02 44", array("ulong", [0n, 0n])],
    ["array of uuid", "e0 12 01 98 00112233445566778899aabbccddeeff", array("uuid", [guid])],
    ["array of char", "e0 06 01 73 00000041", array("char", ["A"])],
    ["array of null", "e0 02 02 40", [null, null]],
    ["array of list8", "e0 07 02 c0 02 01 41 01 00", [[true], []]],
    ["array of described", "e0 07 02 00 53 01 50 05 06", [described(1n, 5), described(1n, 6)]],
    ["empty array", "e0 02 00 70", array("uint", [])],
    ["described by smallulong", "00 53 10 41", described(16n, true)],
    ["described by ulong0", "00 44 41", described(0n, true)],
    ["described by ulong", "00 80 0000468c00000004 a1 00", described(0x468c00000004n, "")],
    ["described by sym8", "00 a3 01 61 41", described(symbol("a"), true)],
    ["described by sym32", "00 b3 00000001 61 41", described(symbol("a"), true)],
    [
      "timespan",
      `00 a3 16 ${Buffer.from("com.microsoft:timespan").toString("hex")} 81 0000000000000019`,
      Duration.nanos(2500n)
    ],
    [
      "negative timespan",
      `00 a3 16 ${Buffer.from("com.microsoft:timespan").toString("hex")} 55 ff`,
      Duration.nanos(-100n)
    ],
    [
      "uri",
      `00 a3 11 ${Buffer.from("com.microsoft:uri").toString("hex")} a1 0b ${
        Buffer.from("http://a.b/").toString("hex")
      }`,
      new URL("http://a.b/")
    ],
    [
      "text that is no uri",
      `00 a3 11 ${Buffer.from("com.microsoft:uri").toString("hex")} a1 01 61`,
      described(symbol("com.microsoft:uri"), "a")
    ],
    [
      // 2024-01-01 in .NET ticks: 638396640000000000.
      "datetime-offset",
      `00 a3 1d ${Buffer.from("com.microsoft:datetime-offset").toString("hex")} 81 08dc0a5c9900c000`,
      time(newYear)
    ]
  ]
  for (const [name, hex, value] of cases) {
    it(name, () => same(decode(bytesOf(hex)), value))
  }

  it("a value that is longer than its bytes is refused", () => {
    for (const [name, hex] of cases) {
      const bytes = bytesOf(hex)
      for (let end = 0; end < bytes.length; end++) {
        assert.strictEqual(walk(bytes, 0, end), -1, `${name} cut at ${end}`)
        assert.throws(() => new Reader(bytes, 0, end).value(), DecodeProblem)
      }
    }
  })

  it("the readers of one type take null for undefined and refuse other types", () => {
    assert.strictEqual(new Reader(bytesOf("40")).uint(), undefined)
    assert.strictEqual(new Reader(bytesOf("40")).boolean(), undefined)
    assert.strictEqual(new Reader(bytesOf("40")).binary(), undefined)
    assert.strictEqual(new Reader(bytesOf("40")).map(), 0)
    assert.strictEqual(new Reader(bytesOf("43")).uint(), 0)
    assert.strictEqual(new Reader(bytesOf("52 07")).uint(), 7)
    assert.strictEqual(new Reader(bytesOf("70 00000107")).uint(), 263)
    assert.strictEqual(new Reader(bytesOf("41")).boolean(), true)
    assert.strictEqual(new Reader(bytesOf("56 00")).boolean(), false)
    assert.strictEqual(new Reader(bytesOf("45")).list(), 0)
    assert.strictEqual(new Reader(bytesOf("00 80 0000000000000010")).descriptor(), 16)
    assert.strictEqual(new Reader(bytesOf("00 b3 00000001 61")).descriptor(), "a")
    for (const read of ["uint", "boolean", "binary", "list", "map", "descriptor"] as const) {
      assert.throws(() => new Reader(bytesOf("a1 01 61"))[read](), DecodeProblem)
      assert.throws(() => new Reader(bytesOf(""))[read](), DecodeProblem)
    }
  })
})

describe("golden bytes, encoded", () => {
  const text = (value: string) => Buffer.from(value).toString("hex")
  const cases: ReadonlyArray<readonly [name: string, value: AmqpValue.AmqpValue, hex: string]> = [
    ["null", null, "40"],
    ["undefined", undefined, "40"],
    ["true", true, "41"],
    ["false", false, "42"],
    ["0", 0, "54 00"],
    ["small int", -128, "54 80"],
    ["largest small int", 127, "54 7f"],
    ["int", 128, "71 00000080"],
    ["smallest int", -2147483648, "71 80000000"],
    ["largest int", 2147483647, "71 7fffffff"],
    ["long", 2147483648, "81 0000000080000000"],
    ["negative long", -2147483649, "81 ffffffff7fffffff"],
    ["largest safe integer", Number.MAX_SAFE_INTEGER, "81 001fffffffffffff"],
    ["an unsafe integer", 2 ** 53, "82 4340000000000000"],
    ["double", 1.5, "82 3ff8000000000000"],
    ["-0", -0, "82 8000000000000000"],
    ["NaN", NaN, "82 7ff8000000000000"],
    ["Infinity", Infinity, "82 7ff0000000000000"],
    ["bigint", -1n, "81 ffffffffffffffff"],
    ["largest long", 9223372036854775807n, "81 7fffffffffffffff"],
    ["bigint as ulong", 9223372036854775808n, "80 8000000000000000"],
    ["largest ulong", 18446744073709551615n, "80 ffffffffffffffff"],
    ["empty string", "", "a1 00"],
    ["string", "abc", "a1 03 616263"],
    ["non-ASCII string", "aé€😀", `a1 0a 61c3a9e282acf09f9880`],
    ["63 characters", "x".repeat(63), `a1 3f ${"78".repeat(63)}`],
    ["64 characters", "x".repeat(64), `a1 40 ${"78".repeat(64)}`],
    ["255 bytes", "x".repeat(255), `a1 ff ${"78".repeat(255)}`],
    ["256 bytes", "x".repeat(256), `b1 00000100 ${"78".repeat(256)}`],
    ["256 bytes of fewer characters", "é".repeat(128), `b1 00000100 ${"c3a9".repeat(128)}`],
    ["empty binary", new Uint8Array(0), "a0 00"],
    ["binary", new Uint8Array([1, 2]), "a0 02 0102"],
    ["255 bytes of binary", new Uint8Array(255), `a0 ff ${"00".repeat(255)}`],
    ["256 bytes of binary", new Uint8Array(256), `b0 00000100 ${"00".repeat(256)}`],
    ["DateTime", time(newYear), "83 0000018cc251f400"],
    ["DateTime before the epoch", time(-1), "83 ffffffffffffffff"],
    ["DateTime with a fraction", DateTime.addDuration(time(newYear), Duration.micros(500n)), "83 0000018cc251f400"],
    ["Date", new Date(newYear), "83 0000018cc251f400"],
    ["Duration", Duration.nanos(2599n), `00 a3 16 ${text("com.microsoft:timespan")} 81 0000000000000019`],
    ["negative Duration", Duration.millis(-1), `00 a3 16 ${text("com.microsoft:timespan")} 81 ffffffffffffd8f0`],
    ["URL", new URL("http://a.b"), `00 a3 11 ${text("com.microsoft:uri")} a1 0b ${text("http://a.b/")}`],
    ["uuid", uuid(guid), "98 00112233445566778899aabbccddeeff"],
    ["uuid in upper case", uuid(guid.toUpperCase()), "98 00112233445566778899aabbccddeeff"],
    ["symbol", symbol("abc"), "b3 00000003 616263"],
    ["empty list", [], "d0 00000004 00000000"],
    ["list", [1, undefined, [true]], "d0 00000011 00000003 5401 40 d0 00000005 00000001 41"],
    ["empty map", {}, "d1 00000004 00000000"],
    ["map of an object", { a: 1, b: undefined }, "d1 0000000d 00000004 a10161 5401 a10162 40"],
    ["map of a Map", new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([[1, "a"]]), "d1 00000009 00000002 5401 a10161"],
    [
      "map of an object without prototype",
      Object.assign(Object.create(null), { a: 1 }),
      "d1 00000009 00000002 a10161 5401"
    ],
    ["described by a bigint", described(0x10n, true), "00 80 0000000000000010 41"],
    ["described by a number", described(0x10, true), "00 80 0000000000000010 41"],
    ["described by a typed ulong", described(typed("ulong", 16n), true), "00 80 0000000000000010 41"],
    ["described by a symbol", described(symbol("a"), true), "00 a3 01 61 41"],
    ["described by the text of a symbol", described("a", [1]), "00 a3 01 61 d0 00000006 00000001 5401"],
    ["typed boolean", typed("boolean", true), "41"],
    ["typed ubyte", typed("ubyte", 255), "50 ff"],
    ["typed ushort", typed("ushort", 65534), "60 fffe"],
    ["typed uint", typed("uint", 4294967294), "70 fffffffe"],
    ["typed ulong", typed("ulong", 18446744073709551614n), "80 fffffffffffffffe"],
    ["typed ulong of a number", typed("ulong", 1), "53 01"],
    ["typed ulong of 0", typed("ulong", 0n), "44"],
    ["typed ulong of 256", typed("ulong", 256n), "80 0000000000000100"],
    ["typed byte", typed("byte", -2), "51 fe"],
    ["typed short", typed("short", -2), "61 fffe"],
    ["typed int", typed("int", -2n), "71 fffffffe"],
    ["typed long", typed("long", -2), "81 fffffffffffffffe"],
    ["typed float", typed("float", 1.5), "72 3fc00000"],
    ["typed double", typed("double", 1), "82 3ff0000000000000"],
    ["typed decimal32", typed("decimal32", bytesOf("01020304")), "74 01020304"],
    ["typed decimal64", typed("decimal64", bytesOf("0102030405060708")), "84 0102030405060708"],
    ["typed decimal128", typed("decimal128", new Uint8Array(16)), `94 ${"00".repeat(16)}`],
    ["typed char", typed("char", "😀"), "73 0001f600"],
    ["typed timestamp", typed("timestamp", -1n), "83 ffffffffffffffff"],
    ["typed timestamp of a DateTime", typed("timestamp", time(newYear)), "83 0000018cc251f400"],
    ["typed timestamp of a Date", typed("timestamp", new Date(newYear)), "83 0000018cc251f400"],
    ["typed binary", typed("binary", new Uint8Array([1])), "b0 00000001 01"],
    ["typed string", typed("string", "é"), "b1 00000002 c3a9"],
    ["typed null", typed("uint", null), "40"]
  ]
  for (const [name, value, hex] of cases) {
    it(name, () => assert.strictEqual(hexOf(value), hex.replaceAll(" ", "")))
  }

  const arrays: ReadonlyArray<readonly [of: AmqpValue.TypeName, items: ReadonlyArray<unknown>, hex: string]> = [
    ["boolean", [true, false], "56 01 00"],
    ["ubyte", [1, 255], "50 01 ff"],
    ["ushort", [1, 65535], "60 0001 ffff"],
    ["uint", [1, 4294967295], "70 00000001 ffffffff"],
    ["ulong", [1n, 18446744073709551615n], "80 0000000000000001 ffffffffffffffff"],
    ["byte", [1, -1], "51 01 ff"],
    ["short", [1, -1], "61 0001 ffff"],
    ["int", [1, -1], "71 00000001 ffffffff"],
    ["long", [1n, -1n], "81 0000000000000001 ffffffffffffffff"],
    ["float", [1.5, -1.5], "72 3fc00000 bfc00000"],
    ["double", [1.5], "82 3ff8000000000000"],
    ["decimal32", [bytesOf("01020304")], "74 01020304"],
    ["decimal64", [bytesOf("0102030405060708")], "84 0102030405060708"],
    ["decimal128", [new Uint8Array(16)], `94 ${"00".repeat(16)}`],
    ["char", ["A", "😀"], "73 00000041 0001f600"],
    ["timestamp", [time(1), time(-1)], "83 0000000000000001 ffffffffffffffff"],
    ["uuid", [guid, guid], "98 00112233445566778899aabbccddeeff 00112233445566778899aabbccddeeff"],
    ["binary", [bytesOf("01"), bytesOf("")], "b0 00000001 01 00000000"],
    ["string", ["a", "é"], "b1 00000001 61 00000002 c3a9"],
    ["symbol", ["a", "bc"], "b3 00000001 61 00000002 6263"]
  ]
  for (const [of, items, hex] of arrays) {
    it(`array of ${of}`, () => {
      const body = bytesOf(hex)
      const expected = Buffer.alloc(9 + body.length)
      expected[0] = 0xf0
      expected.writeUInt32BE(body.length + 4, 1)
      expected.writeUInt32BE(items.length, 5)
      body.copy(expected, 9)
      assert.strictEqual(hexOf(array(of, items)), expected.toString("hex"))
      same(decode(expected), array(of, items))
    })
    it(`empty array of ${of}`, () => same(decode(bytesOf(hexOf(array(of, [])))), array(of, [])))
  }

  it("uint takes the shortest form", () => {
    const writer = new Writer()
    for (const value of [0, 1, 255, 256, 4294967295]) writer.uint(value)
    assert.strictEqual(writer.take().toString("hex"), hex("43 5201 52ff 7000000100 70ffffffff"))
  })

  it("symbols and the UTF-8 of a text as binary", () => {
    const writer = new Writer()
    writer.symbol("abc")
    writer.symbol("x".repeat(256))
    writer.utf8Binary("é")
    writer.utf8Binary("")
    assert.strictEqual(
      writer.take().toString("hex"),
      hex(`a303616263 b300000100 ${"78".repeat(256)} b000000002c3a9 b000000000`)
    )
  })

  it("annotations leave out what is undefined", () => {
    const writer = new Writer()
    writer.annotations([["a", 1], ["b", undefined]])
    assert.strictEqual(writer.take().toString("hex"), hex("d1 00000009 00000002 a30161 5401"))
  })
})

describe("what has no AMQP form", () => {
  const cyclic: Array<AmqpValue.AmqpValue> = []
  cyclic.push({ again: cyclic })
  let deep: AmqpValue.AmqpValue = 1
  for (let i = 0; i < 33; i++) deep = [deep]
  class Point {
    readonly x = 1
  }
  const cases: ReadonlyArray<readonly [name: string, value: unknown]> = [
    ["a function", () => 1],
    ["half of a surrogate pair", "\ud800"],
    ["half of a surrogate pair in a long text", `${"x".repeat(300)}\udc00`],
    ["half of a surrogate pair in a key", { "\ud800": 1 }],
    ["a typed string with half of a surrogate pair", typed("string", "\ud800")],
    ["an array of such strings", array("string", ["\ud800"])],
    ["a symbol with half of a surrogate pair", symbol("\ud800")],
    ["a JavaScript symbol", Symbol("x")],
    ["an invalid Date", new Date(NaN)],
    ["a typed timestamp of an invalid Date", typed("timestamp", new Date(NaN))],
    ["a date beyond all numbers", DateTime.addDuration(time(0), Duration.infinity)],
    ["an infinite Duration", Duration.infinity],
    ["a negative infinite Duration", Duration.negate(Duration.infinity)],
    ["a Duration of more than 64 bits", Duration.nanos(2n ** 63n * 100n)],
    ["a bigint above 64 bits", 2n ** 64n],
    ["a bigint below 64 bits", -(2n ** 63n) - 1n],
    ["a cyclic value", cyclic],
    ["33 levels", deep],
    ["an instance of a class", new Point()],
    ["a Set", new Set([1])],
    ["a uuid that is none", uuid("not a uuid")],
    ["a uuid with 31 digits", uuid(guid.slice(1))],
    ["a uuid of a number", typed("uuid", 5)],
    ["a symbol beyond ASCII", symbol("é")],
    ["a symbol of a number", typed("symbol", 5)],
    ["an unknown type", typed("quad" as "int", 5)],
    ["an array of an unknown type", array("quad" as "int", [5])],
    ["an array with null", array("int", [null])],
    ["an array of mixed types", array("int", ["1"])],
    ["ubyte 256", typed("ubyte", 256)],
    ["ubyte -1", typed("ubyte", -1)],
    ["ushort 65536", typed("ushort", 65536)],
    ["uint 2^32", typed("uint", 4294967296)],
    ["int 2^31", typed("int", 2147483648)],
    ["int NaN", typed("int", NaN)],
    ["int 1.5", typed("int", 1.5)],
    ["byte 128", typed("byte", 128)],
    ["short 32768", typed("short", 32768)],
    ["ulong -1", typed("ulong", -1n)],
    ["ulong 2^64", typed("ulong", 2n ** 64n)],
    ["long 2^63", typed("long", 2n ** 63n)],
    ["long of an unsafe number", typed("long", 2 ** 53)],
    ["float of a text", typed("float", "1")],
    ["boolean of a text", typed("boolean", "yes")],
    ["char of two characters", typed("char", "ab")],
    ["char of none", typed("char", "")],
    ["decimal32 of 3 bytes", typed("decimal32", new Uint8Array(3))],
    ["binary of a text", typed("binary", "x")],
    ["string of a number", typed("string", 1)],
    ["a descriptor that is a list", described([1], 1)],
    ["a descriptor that is negative", described(-1n, 1)],
    ["a descriptor that is null", described(null, 1)],
    ["a described described value", described(1n, described(2n, 3))],
    ["a described Duration", described(1n, Duration.seconds(1))],
    ["a described URL", described(1n, new URL("http://a.b"))]
  ]
  for (const [name, value] of cases) {
    it(name, () => {
      const writer = new Writer()
      writer.string("before")
      const before = writer.take()
      assert.throws(() => writer.value([1, value as AmqpValue.AmqpValue]), EncodeProblem)
      writer.reset()
      writer.value("after")
      assert.strictEqual(writer.take().toString("hex"), hexOf("after"))
      assert.strictEqual(before.toString("hex"), hexOf("before"))
    })
  }

  it("32 levels are written and read, also below an annotation", () => {
    let value: AmqpValue.AmqpValue = 1
    for (let i = 0; i < 32; i++) value = [value]
    same(decode(bytesOf(hexOf(value))), value)
    const writer = new Writer()
    writer.annotations([["deep", value]])
    const bytes = writer.take()
    assert.strictEqual(walk(bytes, 0, bytes.length), bytes.length)
    same(new Reader(bytes).record(), { deep: value })
  })
})

describe("the block of a writer", () => {
  it("what was taken stays while the writer moves on to other blocks", () => {
    const writer = new Writer()
    const taken: Array<readonly [Buffer, string]> = []
    for (let i = 0; i < 300; i++) {
      const text = String.fromCharCode(97 + i % 26).repeat(1000)
      writer.value([text, new Uint8Array(i)])
      taken.push([writer.take(), hexOf([text, new Uint8Array(i)])])
    }
    for (const [bytes, hex] of taken) assert.strictEqual(bytes.toString("hex"), hex)
  })

  it("a compound may be open while the block is replaced", () => {
    const writer = new Writer()
    writer.string("first")
    writer.take()
    const value = {
      list: [new Uint8Array(40_000), "é".repeat(40_000), [uuid(guid)]],
      array: array("uuid", Array(10_000).fill(guid))
    }
    writer.value(value)
    const bytes = writer.take()
    same(decode(bytes), value)
  })

  it("values that end exactly at the end of a block", () => {
    for (let size = 65_480; size < 65_540; size++) {
      const writer = new Writer()
      writer.binary(new Uint8Array(size))
      writer.take()
      const values = [
        1n,
        1.5,
        time(1),
        uuid(guid),
        "é",
        "abc",
        null,
        true,
        300,
        typed("ulong", 1n),
        array("uuid", [guid])
      ]
      for (const value of values) writer.value(value)
      assert.strictEqual(writer.take().toString("hex"), values.map(hexOf).join(""))
    }
  })

  it("length counts what was written since the last take", () => {
    const writer = new Writer()
    assert.strictEqual(writer.length, 0)
    writer.string("abc")
    assert.strictEqual(writer.length, 5)
    writer.take()
    assert.strictEqual(writer.length, 0)
    const list = writer.begin(0xd0)
    writer.null()
    writer.end(list, 1)
    writer.patch(list, 99)
    assert.strictEqual(writer.take().toString("hex"), hex("d0 00000063 00000001 40"))
  })
})

describe("keys", () => {
  it("__proto__ is a key like any other", () => {
    const bytes = bytesOf(
      hexOf(new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([["__proto__", { polluted: true }], ["constructor", 1]]))
    )
    const values = [decode(bytes), new Reader(bytes).record()] as ReadonlyArray<Record<string, unknown>>
    for (const value of values) {
      assert.deepStrictEqual(Object.keys(value), ["__proto__", "constructor"])
      assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
      assert.strictEqual(value["polluted"], undefined)
    }
    assert.strictEqual(({} as Record<string, unknown>)["polluted"], undefined)
    assert.strictEqual(hexOf(values[0] as never), bytes.toString("hex"))
  })

  it("a record takes symbols and strings, and has a text for every other key", () => {
    const bytes = bytesOf(hexOf(
      new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>([
        [symbol("a"), 1],
        ["b", 2],
        [3n, 3],
        [null, 4],
        [{ toString: 1, valueOf: 1 }, 5],
        [[{ toString: 1, valueOf: 1 }], 6]
      ])
    ))
    const record = new Reader(bytes).record()
    assert.deepStrictEqual(Object.values(record), [3, 1, 2, 4, 5, 6])
    assert.deepStrictEqual(Object.keys(record).slice(0, 4), ["3", "a", "b", "null"])
    assert.strictEqual(Object.keys(record)[4], hexOf({ toString: 1, valueOf: 1 }))
  })

  it("the last of equal keys wins", () => same(decode(bytesOf("c1 0b 04 a10161 5401 a10161 5402")), { a: 2 }))
})

describe("message ids as text", () => {
  it("string, ulong, uuid and binary", () => {
    assert.strictEqual(AmqpValue.toText("a"), "a")
    assert.strictEqual(AmqpValue.toText(18446744073709551615n), "18446744073709551615")
    assert.strictEqual(AmqpValue.toText(uuid(guid)), guid)
    assert.strictEqual(AmqpValue.toText(new Uint8Array([0, 255])), "00ff")
  })
})

const edges = [0n, 1n, 255n, 256n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]

/** Mulberry32: the same numbers in every run. */
class Random {
  private state: number
  private readonly edges: ReadonlyArray<bigint>
  constructor(seed: number, bits64 = edges) {
    this.state = seed
    this.edges = bits64
  }
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  below(count: number): number {
    return Math.floor(this.next() * count)
  }
  integer(min: number, max: number): number {
    // The edges are where it breaks.
    const kind = this.below(8)
    if (kind === 0) return min
    if (kind === 1) return max
    if (kind === 2) return Math.max(min, Math.min(max, this.below(300) - 150))
    return min + Math.floor(this.next() * (max - min + 1))
  }
  bits64(): bigint {
    return this.below(3) === 0
      ? this.edges[this.below(this.edges.length)]!
      : (BigInt(this.below(4294967296)) << 32n) | BigInt(this.below(4294967296))
  }
  bytes(size: number): Buffer {
    return Buffer.from(Array.from({ length: size }, () => this.below(256)))
  }
  size(): number {
    return this.below(20) === 0 ? 250 + this.below(20) : this.below(12)
  }
  text(): string {
    const alphabet = ["a", "Z", "0", " ", "\0", "é", "€", "😀", "\u007f", "\u0080"]
    return Array.from({ length: this.size() }, () => alphabet[this.below(alphabet.length)]).join("")
  }
  ascii(): string {
    return Array.from({ length: this.size() }, () => String.fromCharCode(this.below(128))).join("")
  }
}

/** One value as we write it, as rhea writes it, and as it is decoded. */
interface Sample {
  readonly ours: AmqpValue.AmqpValue
  readonly rhea: any
  readonly decoded: AmqpValue.AmqpValue
}

const be64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, value))
  return bytes
}

const rawUuid = (text: string) => Buffer.from(text.replaceAll("-", ""), "hex")

const randomUuid = (random: Random): string =>
  random.bytes(16).toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")

const codes: Record<AmqpValue.TypeName, number> = {
  boolean: 0x56,
  ubyte: 0x50,
  ushort: 0x60,
  uint: 0x70,
  ulong: 0x80,
  byte: 0x51,
  short: 0x61,
  int: 0x71,
  long: 0x81,
  float: 0x72,
  double: 0x82,
  decimal32: 0x74,
  decimal64: 0x84,
  decimal128: 0x94,
  char: 0x73,
  timestamp: 0x83,
  uuid: 0x98,
  binary: 0xb0,
  string: 0xb1,
  symbol: 0xb3
}
const typeNames = Object.keys(codes) as ReadonlyArray<AmqpValue.TypeName>

/** An item of a type: for our `typed` and `array`, as rhea's writer takes it, and decoded. */
const item = (
  random: Random,
  type: AmqpValue.TypeName
): { ours: unknown; rhea: unknown; decoded: AmqpValue.AmqpValue } => {
  const plain = (value: AmqpValue.AmqpValue) => ({ ours: value, rhea: value, decoded: value })
  switch (type) {
    case "boolean": {
      const value = random.below(2) === 1
      return { ours: value, rhea: value ? 1 : 0, decoded: value }
    }
    case "ubyte":
      return plain(random.integer(0, 255))
    case "ushort":
      return plain(random.integer(0, 65535))
    case "uint":
      return plain(random.integer(0, 4294967295))
    case "byte":
      return plain(random.integer(-128, 127))
    case "short":
      return plain(random.integer(-32768, 32767))
    case "int":
      return plain(random.integer(-2147483648, 2147483647))
    case "ulong": {
      const value = random.bits64()
      return { ours: value, rhea: be64(value), decoded: value }
    }
    case "long": {
      const value = BigInt.asIntN(64, random.bits64())
      return { ours: value, rhea: be64(value), decoded: value }
    }
    case "float":
      return plain([Math.fround(random.next() * 1e10 - 5e9), 0, -0, NaN, Infinity, -Infinity][random.below(6)]!)
    case "double":
      return plain([random.next() * 1e300, -0, NaN, Infinity, Number.MIN_VALUE, 2 ** 70][random.below(6)]!)
    case "decimal32":
    case "decimal64":
    case "decimal128": {
      const bytes = random.bytes(type === "decimal32" ? 4 : type === "decimal64" ? 8 : 16)
      return { ours: bytes, rhea: bytes, decoded: typed(type, bytes) }
    }
    case "char": {
      const point = [0x41, 0xe9, 0x20ac, 0x1f600, 0x10ffff, 0][random.below(6)]!
      const value = String.fromCodePoint(point)
      return { ours: value, rhea: point, decoded: typed("char", value) }
    }
    case "timestamp": {
      const millis = random.integer(-8640000000000000, 8640000000000000)
      return { ours: random.below(2) === 0 ? time(millis) : new Date(millis), rhea: millis, decoded: time(millis) }
    }
    case "uuid": {
      const value = randomUuid(random)
      return { ours: value, rhea: rawUuid(value), decoded: uuid(value) }
    }
    case "binary":
      return plain(random.bytes(random.size()))
    case "string":
      return plain(random.text())
    case "symbol": {
      const value = random.ascii()
      return { ours: value, rhea: value, decoded: symbol(value) }
    }
  }
}

const constructorsOfRhea: Record<AmqpValue.TypeName, string> = {
  boolean: "Boolean",
  ubyte: "Ubyte",
  ushort: "Ushort",
  uint: "Uint",
  ulong: "Ulong",
  byte: "Byte",
  short: "Short",
  int: "Int",
  long: "Long",
  float: "Float",
  double: "Double",
  decimal32: "Decimal32",
  decimal64: "Decimal64",
  decimal128: "Decimal128",
  char: "CharUTF32",
  timestamp: "Timestamp",
  uuid: "Uuid",
  binary: "Vbin32",
  string: "Str32",
  symbol: "Sym32"
}

/** What rhea's own wrappers make of it: the short encodings. */
const wrapped = (type: AmqpValue.TypeName, value: any): any =>
  type.startsWith("decimal") ? rhea.types[constructorsOfRhea[type]](value) : rhea.types[`wrap_${type}`](value)

const simple = (random: Random): Sample => {
  const { types } = rhea
  switch (random.below(8)) {
    case 0:
      return { ours: null, rhea: types.Null(), decoded: null }
    case 1: {
      const value = random.integer(-2147483648, 2147483647)
      return { ours: value, rhea: types.wrap_int(value), decoded: value }
    }
    case 2: {
      const ticks = random.integer(-1e15, 1e15)
      const value = Duration.nanos(BigInt(ticks) * 100n)
      return {
        ours: value,
        rhea: types.wrap_described(types.wrap_long(ticks), "com.microsoft:timespan"),
        decoded: value
      }
    }
    case 3: {
      const value = new URL(`sb://host/${encodeURIComponent(random.text())}`)
      return { ours: value, rhea: types.wrap_described(value.href, "com.microsoft:uri"), decoded: value }
    }
    case 4: {
      const value = random.text()
      return { ours: value, rhea: types.wrap_string(value), decoded: value }
    }
    default: {
      const type = typeNames[random.below(typeNames.length)]!
      const { decoded, ours, rhea: raw } = item(random, type)
      return {
        ours: typed(type, ours),
        rhea: random.below(2) === 0 ? wrapped(type, raw) : types[constructorsOfRhea[type]](raw),
        decoded
      }
    }
  }
}

const sample = (random: Random, depth: number): Sample => {
  const { types } = rhea
  if (depth === 0) return simple(random)
  switch (random.below(7)) {
    case 0: {
      const items = Array.from({ length: random.below(5) }, () => sample(random, depth - 1))
      return {
        ours: items.map((item) => item.ours),
        rhea: types.wrap_list(items.map((item) => item.rhea)),
        decoded: items.map((item) => item.decoded)
      }
    }
    case 1: {
      const keys = Array.from(new Set(Array.from({ length: random.below(5) }, () => `k${random.text()}`)))
      if (random.below(4) === 0) keys.push("__proto__")
      const values = keys.map(() => sample(random, depth - 1))
      const entries = keys.map((key, i) => [key, values[i]!] as const)
      return {
        ours: Object.fromEntries(entries.map(([key, value]) => [key, value.ours])),
        rhea: types.Map32(entries.flatMap(([key, value]) => [types.wrap_string(key), value.rhea])),
        decoded: Object.fromEntries(entries.map(([key, value]) => [key, value.decoded]))
      }
    }
    case 2: {
      const entries = Array.from(
        { length: 1 + random.below(4) },
        (_, i) => [BigInt(i), sample(random, depth - 1)] as const
      )
      return {
        ours: new Map(entries.map(([key, value]) => [key, value.ours])),
        rhea: types.Map32(entries.flatMap(([key, value]) => [types.wrap_long(Number(key)), value.rhea])),
        decoded: new Map(entries.map(([key, value]) => [key, value.decoded]))
      }
    }
    case 3: {
      const of = typeNames[random.below(typeNames.length)]!
      const items = Array.from({ length: random.below(6) }, () => item(random, of))
      return {
        ours: array(of, items.map((item) => item.ours)),
        rhea: types.wrap_array(items.map((item) => item.rhea), codes[of]),
        decoded: array(of, items.map(({ decoded }) => AmqpValue.isTyped(decoded) ? decoded.value : decoded))
      }
    }
    case 4: {
      let inner = sample(random, depth - 1)
      while (Duration.isDuration(inner.ours) || inner.ours instanceof URL || inner.rhea.descriptor !== undefined) {
        inner = sample(random, depth - 1)
      }
      const code = random.integer(1, 1000)
      const name = `x:${random.ascii()}`
      const bySymbol = random.below(2) === 0
      return {
        ours: described(bySymbol ? symbol(name) : BigInt(code), inner.ours),
        rhea: types.wrap_described(inner.rhea, bySymbol ? name : code),
        decoded: described(bySymbol ? symbol(name) : BigInt(code), inner.decoded)
      }
    }
    default:
      return simple(random)
  }
}

/** What rhea decoded, as we would have decoded it. */
const fromRhea = (value: any): AmqpValue.AmqpValue => {
  const { descriptor } = value
  if (descriptor !== undefined && descriptor !== null) {
    const name = descriptor.value
    const inner = fromRhea({ type: value.type, value: value.value, array_constructor: value.array_constructor })
    if (name === "com.microsoft:timespan") return Duration.nanos((inner as bigint) * 100n)
    if (name === "com.microsoft:uri") return new URL(inner as string)
    return described(typeof name === "string" ? symbol(name) : BigInt(name), inner)
  }
  const v = value.value
  switch (value.type.name) {
    case "Null":
      return null
    case "True":
    case "False":
      return v
    case "Boolean":
      return v === 1
    case "Ulong":
    case "SmallUlong":
    case "Ulong0":
      return typeof v === "number" ? BigInt(v) : v.readBigUInt64BE()
    case "Long":
    case "SmallLong":
      return typeof v === "number" ? BigInt(v) : v.readBigInt64BE()
    case "Decimal32":
    case "Decimal64":
    case "Decimal128":
      return typed(value.type.name.toLowerCase(), v)
    case "CharUTF32":
      return typed("char", String.fromCodePoint(v))
    case "Timestamp":
      return time(v.getTime())
    case "Uuid":
      return uuid(v.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"))
    case "Sym8":
    case "Sym32":
      return symbol(v)
    case "List0":
    case "List8":
    case "List32":
      return v.map(fromRhea)
    case "Map8":
    case "Map32": {
      const items = v.map(fromRhea) as ReadonlyArray<AmqpValue.AmqpValue>
      const entries: Array<readonly [AmqpValue.AmqpValue, AmqpValue.AmqpValue]> = []
      for (let i = 0; i < items.length; i += 2) entries.push([items[i], items[i + 1]])
      return entries.every(([key]) => typeof key === "string")
        ? Object.fromEntries(entries as ReadonlyArray<readonly [string, AmqpValue.AmqpValue]>)
        : new Map(entries)
    }
    case "Array8":
    case "Array32": {
      const of = typeNames.find((name) => codes[name] === value.array_constructor.typecode)!
      return array(of, v.map(fromRhea).map((item: AmqpValue.AmqpValue) => AmqpValue.isTyped(item) ? item.value : item))
    }
    default:
      return v
  }
}

/** A uint above 2^31 is a number once it is decoded, and as such is written as a long. */
const withoutWidth = (value: AmqpValue.AmqpValue) => show(value).replace(/(\d)n/g, "$1")

describe("round trips", () => {
  const runs = 4000

  it("ours to ours", () => {
    const random = new Random(1)
    const writer = new Writer()
    for (let i = 0; i < runs; i++) {
      const { decoded, ours } = sample(random, i % 4)
      writer.value(ours)
      const once = decode(writer.take())
      same(once, decoded, `run ${i}`)
      // What was decoded can be written again, and means the same.
      writer.value(once)
      assert.strictEqual(withoutWidth(decode(writer.take())), withoutWidth(decoded), `run ${i}, again`)
    }
  })

  it("ours to rhea", () => {
    // rhea rounds what is a little above 2^53.
    const random = new Random(2, edges.filter((edge) => edge !== 2n ** 53n + 1n))
    const writer = new Writer()
    for (let i = 0; i < runs; i++) {
      const { decoded, ours } = sample(random, i % 4)
      writer.value(ours)
      const bytes = writer.take()
      const reader = new rhea.types.Reader(bytes)
      same(fromRhea(reader.read()), decoded, `run ${i}: ${bytes.toString("hex")}`)
      assert.strictEqual(reader.position, bytes.length)
    }
  })

  it("rhea to ours", () => {
    const random = new Random(3)
    for (let i = 0; i < runs; i++) {
      const { decoded, rhea: typed } = sample(random, i % 4)
      const writer = new rhea.types.Writer()
      writer.write(typed)
      same(decode(writer.toBuffer()), decoded, `run ${i}: ${writer.toBuffer().toString("hex")}`)
    }
  })

  it.prop(
    "any JSON-like text and number survives",
    [Schema.String, Schema.Number],
    ([any, number]) => {
      // UTF-8 has no form for half of a surrogate pair.
      const text = Buffer.from(any).toString()
      const decoded = decode(bytesOf(hexOf([text, number, { [text]: number }])))
      const expected = Number.isSafeInteger(number) && (number < -2147483648 || number > 2147483647)
        ? BigInt(number)
        : number
      same(decoded, [text, expected, { [text]: expected }])
    },
    { arbitrary: { seed: 1, runs: 200 } }
  )
})
