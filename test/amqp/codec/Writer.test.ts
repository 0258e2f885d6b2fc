/** What the writer makes of values, byte by byte, and what it refuses. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../src/AmqpValue.ts"
import { Reader } from "../../../src/internal/amqp/codec/Reader.ts"
import { skipValue } from "../../../src/internal/amqp/codec/skipValue.ts"
import { EncodeProblem, Writer } from "../../../src/internal/amqp/codec/Writer.ts"
import { bytesOf, decode, guid, hex, hexOf, newYear, same, time } from "../../support/amqpValues.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const { array, described, symbol, typed, uuid } = AmqpValue

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
    ["no type, but a name that every object has", typed("constructor" as never, 1 as never)],
    ["another one", typed("__proto__" as never, 1 as never)],
    ["an array of the like", AmqpValue.array("toString" as never, [1 as never])],
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
    assert.strictEqual(skipValue(bytes, 0, bytes.length), bytes.length)
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
