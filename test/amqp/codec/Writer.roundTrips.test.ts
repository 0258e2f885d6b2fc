/** Values of every type, there and back: between the writer and the reader, and between either and rhea. */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { createRequire } from "node:module"
import * as AmqpValue from "../../../src/AmqpValue.ts"
import { Writer } from "../../../src/internal/amqp/codec/Writer.ts"
import { bytesOf, decode, hexOf, same, show, time } from "../../support/amqpValues.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const rhea = createRequire(import.meta.url)("rhea")
const { array, described, symbol, typed, uuid } = AmqpValue

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
