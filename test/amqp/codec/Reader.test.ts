/** What the reader makes of bytes, and that `skipValue` agrees with it about their end. */
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../src/AmqpValue.ts"
import { DecodeProblem, Reader } from "../../../src/internal/amqp/codec/Reader.ts"
import { skipValue } from "../../../src/internal/amqp/codec/skipValue.ts"
import { bytesOf, decode, guid, hexOf, newYear, same, time } from "../../support/amqpValues.ts"
import { assert, describe, it } from "../../support/vitest.ts"

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
        assert.strictEqual(skipValue(bytes, 0, end), -1, `${name} cut at ${end}`)
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
