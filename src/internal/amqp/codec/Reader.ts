/**
 * Decodes AMQP values (AMQP 1.0 part 1) out of bytes that came from the network. Every length, count and depth is checked
 * against what is really there before anything is allocated; what does not hold is a `DecodeProblem`. Binaries are views of the
 * bytes that were given.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../AmqpValue.ts"

/** Why bytes are not the AMQP that was expected. */
export class DecodeProblem extends Error {}

/** What `skipValue` allows, so that what it has checked can be decoded. */
const maxDepth = 34

const descriptors = new Set([0x44, 0x53, 0x80, 0xa3, 0xb3])

/**
 * Elements of an array may have no width at all (null): their number, over all arrays that one reader meets, is bounded by
 * this.
 */
const maxZeroWidth = 65536

/** .NET's ticks, of which a millisecond has 10,000, from the year 1 to 1970. */
export const ticksAtEpoch = 621_355_968_000_000_000n

export class Reader {
  bytes: Buffer
  position: number
  end: number
  private zeroWidth = maxZeroWidth
  /** Whether a value whose plain form would be written as another type is given as a `Typed` one. */
  private exact: boolean

  constructor(bytes: Buffer, position = 0, end = bytes.length, exact = false) {
    this.bytes = bytes
    this.position = position
    this.end = end
    this.exact = exact
  }

  reset(bytes: Buffer, position: number, end: number): void {
    this.bytes = bytes
    this.position = position
    this.end = end
    this.zeroWidth = maxZeroWidth
  }

  private need(count: number): number {
    const at = this.position
    if (at + count > this.end) throw new DecodeProblem("a value is longer than the bytes that are there")
    this.position = at + count
    return at
  }

  u8(): number {
    return this.bytes[this.need(1)]!
  }

  u32(): number {
    return this.bytes.readUInt32BE(this.need(4))
  }

  /** A uint, or `undefined` for null. */
  uint(): number | undefined {
    const code = this.u8()
    switch (code) {
      case 0x40:
        return undefined
      case 0x43:
        return 0
      case 0x52:
        return this.u8()
      case 0x70:
        return this.u32()
      default:
        throw new DecodeProblem(`expected a uint, got constructor 0x${code.toString(16)}`)
    }
  }

  /** A boolean, or `undefined` for null. */
  boolean(): boolean | undefined {
    const code = this.u8()
    switch (code) {
      case 0x40:
        return undefined
      case 0x41:
        return true
      case 0x42:
        return false
      case 0x56:
        return this.u8() === 1
      default:
        throw new DecodeProblem(`expected a boolean, got constructor 0x${code.toString(16)}`)
    }
  }

  /** A binary, or `undefined` for null. It is a view of the bytes. */
  binary(): Buffer | undefined {
    const code = this.u8()
    if (code === 0x40) return undefined
    if (code !== 0xa0 && code !== 0xb0) {
      throw new DecodeProblem(`expected a binary, got constructor 0x${code.toString(16)}`)
    }
    return this.view(code === 0xa0 ? this.u8() : this.u32())
  }

  private view(size: number): Buffer {
    const at = this.need(size)
    return this.bytes.subarray(at, at + size)
  }

  private utf8(size: number): string {
    const at = this.need(size)
    return this.bytes.toString("utf8", at, at + size)
  }

  private ascii(size: number): string {
    const at = this.need(size)
    return this.bytes.toString("latin1", at, at + size)
  }

  /** The number of items of a list that starts here; they follow. */
  list(): number {
    const code = this.u8()
    if (code === 0x45) return 0
    if (code !== 0xc0 && code !== 0xd0) {
      throw new DecodeProblem(`expected a list, got constructor 0x${code.toString(16)}`)
    }
    return this.compound(code === 0xd0)
  }

  /** The number of entries (keys and values together) of a map that starts here; they follow. */
  map(): number {
    const code = this.u8()
    if (code === 0x40) return 0
    if (code !== 0xc1 && code !== 0xd1) {
      throw new DecodeProblem(`expected a map, got constructor 0x${code.toString(16)}`)
    }
    const count = this.compound(code === 0xd1)
    if (count % 2 === 1) throw new DecodeProblem("a map has a key without a value")
    return count
  }

  private compound(wide: boolean): number {
    const size = wide ? this.u32() : this.u8()
    if (this.position + size > this.end) throw new DecodeProblem("a compound is longer than the bytes that are there")
    const count = wide ? this.u32() : this.u8()
    if (count > size) throw new DecodeProblem("a compound has more items than bytes")
    return count
  }

  /** A ulong code or a symbol, as it stands before a described value. The leading zero byte is read too. */
  descriptor(): number | string {
    if (this.u8() !== 0x00) throw new DecodeProblem("expected a described value")
    const code = this.u8()
    switch (code) {
      case 0x44:
        return 0
      case 0x53:
        return this.u8()
      case 0x80:
        return Number(this.bytes.readBigUInt64BE(this.need(8)))
      case 0xa3:
        return this.ascii(this.u8())
      case 0xb3:
        return this.ascii(this.u32())
      default:
        throw new DecodeProblem(`expected a descriptor, got constructor 0x${code.toString(16)}`)
    }
  }

  value(depth = 0): AmqpValue.AmqpValue {
    return this.valueOfType(this.u8(), depth)
  }

  /** The entries of a map as `record` gives them, with the exact type of every value. */
  exactRecord(): Record<string, AmqpValue.AmqpValue> {
    const { exact } = this
    this.exact = true
    try {
      return this.record()
    } finally {
      this.exact = exact
    }
  }

  private typedIfExact(type: AmqpValue.TypeName, value: number | bigint): AmqpValue.AmqpValue {
    return this.exact ? AmqpValue.typed(type, value) : value
  }

  private valueOfType(code: number, depth: number): AmqpValue.AmqpValue {
    switch (code) {
      case 0x00:
        return this.described(depth)
      case 0x40:
        return null
      case 0x41:
        return true
      case 0x42:
        return false
      case 0x56:
        return this.u8() === 1
      case 0x43:
        return this.typedIfExact("uint", 0)
      case 0x50:
        return this.typedIfExact("ubyte", this.u8())
      case 0x52:
        return this.typedIfExact("uint", this.u8())
      case 0x60:
        return this.typedIfExact("ushort", this.bytes.readUInt16BE(this.need(2)))
      case 0x70:
        return this.typedIfExact("uint", this.u32())
      case 0x44:
        return this.typedIfExact("ulong", 0n)
      case 0x53:
        return this.typedIfExact("ulong", BigInt(this.u8()))
      case 0x80:
        return this.typedIfExact("ulong", this.bytes.readBigUInt64BE(this.need(8)))
      case 0x51:
        return this.typedIfExact("byte", this.bytes.readInt8(this.need(1)))
      case 0x54:
        return this.bytes.readInt8(this.need(1))
      case 0x61:
        return this.typedIfExact("short", this.bytes.readInt16BE(this.need(2)))
      case 0x71:
        return this.bytes.readInt32BE(this.need(4))
      case 0x55:
        return BigInt(this.bytes.readInt8(this.need(1)))
      case 0x81:
        return this.bytes.readBigInt64BE(this.need(8))
      case 0x72:
        return this.typedIfExact("float", this.bytes.readFloatBE(this.need(4)))
      case 0x82: {
        const number = this.bytes.readDoubleBE(this.need(8))
        // A whole number is written as an int or a long.
        return Number.isSafeInteger(number) && !Object.is(number, -0) ? this.typedIfExact("double", number) : number
      }
      case 0x74:
        return AmqpValue.typed("decimal32", this.view(4))
      case 0x84:
        return AmqpValue.typed("decimal64", this.view(8))
      case 0x94:
        return AmqpValue.typed("decimal128", this.view(16))
      case 0x73: {
        const point = this.u32()
        return point > 0x10ffff
          ? AmqpValue.typed(this.exact ? "char" : "uint", point)
          : AmqpValue.typed("char", String.fromCodePoint(point))
      }
      case 0x83:
        return this.timestamp()
      case 0x98:
        return AmqpValue.uuid(this.uuid())
      case 0xa0:
        return this.view(this.u8())
      case 0xb0:
        return this.view(this.u32())
      case 0xa1:
        return this.utf8(this.u8())
      case 0xb1:
        return this.utf8(this.u32())
      case 0xa3:
        return AmqpValue.symbol(this.ascii(this.u8()))
      case 0xb3:
        return AmqpValue.symbol(this.ascii(this.u32()))
      case 0x45:
        return []
      case 0xc0:
      case 0xd0: {
        const count = this.compound(code === 0xd0)
        this.checkDepth(depth)
        const items: Array<AmqpValue.AmqpValue> = []
        for (let i = 0; i < count; i++) items.push(this.value(depth + 1))
        return items
      }
      case 0xc1:
      case 0xd1:
        return this.entries(this.compound(code === 0xd1), depth)
      case 0xe0:
      case 0xf0:
        return this.array(code === 0xf0, depth)
      default:
        throw new DecodeProblem(`0x${code.toString(16)} is not an AMQP constructor`)
    }
  }

  /** The type of a descriptor or a key is known by its place: it is given in its plain form. */
  private plainValue(code: number, depth: number): AmqpValue.AmqpValue {
    const { exact } = this
    this.exact = false
    const value = this.valueOfType(code, depth)
    this.exact = exact
    return value
  }

  private checkDepth(depth: number): void {
    if (depth >= maxDepth) throw new DecodeProblem(`values are nested more than ${maxDepth} deep`)
  }

  private timestamp(): AmqpValue.AmqpValue {
    const millis = this.bytes.readBigInt64BE(this.need(8))
    // Outside of this range a JavaScript date is invalid.
    return millis >= -8640000000000000n && millis <= 8640000000000000n
      ? DateTime.makeUnsafe(Number(millis))
      : AmqpValue.typed("timestamp", millis)
  }

  private uuid(): string {
    const at = this.need(16)
    return canonical(this.bytes.toString("hex", at, at + 16))
  }

  private described(depth: number): AmqpValue.AmqpValue {
    const constructor = this.u8()
    if (!descriptors.has(constructor)) throw new DecodeProblem("a descriptor is neither a ulong nor a symbol")
    const descriptor = this.plainValue(constructor, depth)
    const code = this.u8()
    if (code === 0x00) throw new DecodeProblem("a described value is described again")
    const value = this.valueOfType(code, depth)
    if (AmqpValue.isTyped(descriptor) && descriptor.type === "symbol") {
      if (descriptor.value === "com.microsoft:timespan" && typeof value === "bigint") {
        return Duration.nanos(value * 100n)
      }
      if (descriptor.value === "com.microsoft:uri" && typeof value === "string" && URL.canParse(value)) {
        const url = new URL(value)
        if (!this.exact || url.href === value) return url
      }
      // A DateTime is written as a timestamp.
      if (!this.exact && descriptor.value === "com.microsoft:datetime-offset" && typeof value === "bigint") {
        const millis = (value - ticksAtEpoch) / 10000n
        if (millis >= -8640000000000000n && millis <= 8640000000000000n) return DateTime.makeUnsafe(Number(millis))
      }
    }
    return AmqpValue.described(descriptor, value)
  }

  /** A plain object where all keys are strings, a Map otherwise. */
  private entries(count: number, depth: number): AmqpValue.AmqpValue {
    if (count % 2 === 1) throw new DecodeProblem("a map has a key without a value")
    this.checkDepth(depth)
    const keys: Array<AmqpValue.AmqpValue> = []
    const values: Array<AmqpValue.AmqpValue> = []
    for (let i = 0; i < count; i += 2) {
      keys.push(this.value(depth + 1))
      values.push(this.value(depth + 1))
    }
    if (keys.every((key) => typeof key === "string")) {
      const record: Record<string, AmqpValue.AmqpValue> = {}
      for (let i = 0; i < keys.length; i++) put(record, keys[i] as string, values[i])
      // AMQP's maps are ordered; an object puts keys that look like indices first.
      if (!this.exact || Object.keys(record).every((key, i) => key === keys[i])) return record
    }
    return new Map(keys.map((key, i) => [key, values[i]]))
  }

  /**
   * The entries of a map whose keys are strings or symbols: application properties, annotations. Another key goes by its
   * text where it is a number or a boolean, and by its bytes in hexadecimal otherwise.
   */
  record(): Record<string, AmqpValue.AmqpValue> {
    const count = this.map()
    const record: Record<string, AmqpValue.AmqpValue> = {}
    for (let i = 0; i < count; i += 2) {
      const at = this.position
      const key = this.plainValue(this.u8(), 1)
      const after = this.position
      const value = this.value(1)
      if (typeof key === "string") put(record, key, value)
      else if (AmqpValue.isTyped(key) && key.type === "symbol") put(record, key.value as string, value)
      else if (typeof key !== "object" || key === null) put(record, String(key), value)
      else put(record, this.bytes.toString("hex", at, after), value)
    }
    return record
  }

  private array(wide: boolean, depth: number): AmqpValue.AmqpValue {
    this.checkDepth(depth)
    const size = wide ? this.u32() : this.u8()
    if (this.position + size > this.end) throw new DecodeProblem("an array is longer than the bytes that are there")
    const count = wide ? this.u32() : this.u8()
    let code = this.u8()
    let descriptor: AmqpValue.AmqpValue
    const isDescribed = code === 0x00
    if (isDescribed) {
      const constructor = this.u8()
      if (!descriptors.has(constructor)) throw new DecodeProblem("a descriptor is neither a ulong nor a symbol")
      descriptor = this.plainValue(constructor, depth)
      code = this.u8()
      if (code === 0x00) throw new DecodeProblem("a described value is described again")
    }
    if ((code >>> 4) === 4) {
      this.zeroWidth -= count
      if (this.zeroWidth < 0) throw new DecodeProblem("arrays have too many items without a width")
    } else if (count > size) throw new DecodeProblem("an array has more items than bytes")
    const items: Array<AmqpValue.AmqpValue> = []
    for (let i = 0; i < count; i++) {
      const value = this.valueOfType(code, depth + 1)
      items.push(isDescribed && !this.exact ? AmqpValue.described(descriptor, value) : value)
    }
    const type = typeNames[code]
    if (this.exact) {
      const of = type ?? elementTypes[code]!
      return AmqpValue.array(of, type === undefined ? items : items.map(untyped), descriptor)
    }
    return isDescribed || type === undefined
      ? items
      : AmqpValue.array(type, items.map(untyped))
  }

  /** Steps over one value without looking into it; the size of a compound is trusted. */
  skip(): void {
    let code = this.u8()
    if (code === 0x00) {
      this.position--
      this.descriptor()
      code = this.u8()
    }
    switch (code >>> 4) {
      case 0x4:
        return
      case 0x5:
        this.need(1)
        return
      case 0x6:
        this.need(2)
        return
      case 0x7:
        this.need(4)
        return
      case 0x8:
        this.need(8)
        return
      case 0x9:
        this.need(16)
        return
      case 0xa:
      case 0xc:
      case 0xe:
        this.need(this.u8())
        return
      case 0xb:
      case 0xd:
      case 0xf:
        this.need(this.u32())
        return
      default:
        throw new DecodeProblem(`0x${code.toString(16)} is not an AMQP constructor`)
    }
  }
}

/** Assigning to `__proto__` would replace the prototype instead of adding a key. */
const put = (record: Record<string, AmqpValue.AmqpValue>, key: string, value: AmqpValue.AmqpValue): void => {
  if (key === "__proto__") {
    Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true })
  } else record[key] = value
}

/** The canonical text of 32 hexadecimal digits. */
export const canonical = (hex: string): string =>
  `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`

const untyped = (item: AmqpValue.AmqpValue): unknown => AmqpValue.isTyped(item) ? item.value : item

/** The constructors that have no type of their own for a single value. */
const elementTypes: { readonly [code: number]: AmqpValue.ElementType } = {
  0x40: "null",
  0x45: "list",
  0xc0: "list",
  0xd0: "list",
  0xc1: "map",
  0xd1: "map",
  0xe0: "array",
  0xf0: "array"
}

const typeNames: { readonly [code: number]: AmqpValue.TypeName } = {
  0x41: "boolean",
  0x42: "boolean",
  0x56: "boolean",
  0x43: "uint",
  0x50: "ubyte",
  0x52: "uint",
  0x60: "ushort",
  0x70: "uint",
  0x44: "ulong",
  0x53: "ulong",
  0x80: "ulong",
  0x51: "byte",
  0x54: "int",
  0x61: "short",
  0x71: "int",
  0x55: "long",
  0x81: "long",
  0x72: "float",
  0x82: "double",
  0x74: "decimal32",
  0x84: "decimal64",
  0x94: "decimal128",
  0x73: "char",
  0x83: "timestamp",
  0x98: "uuid",
  0xa0: "binary",
  0xb0: "binary",
  0xa1: "string",
  0xb1: "string",
  0xa3: "symbol",
  0xb3: "symbol"
}
