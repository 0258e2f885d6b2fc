/**
 * Encodes AMQP values (AMQP 1.0 part 1) into a block of bytes that grows. One writer serves many messages: `take` gives what
 * was written since the last one, without a copy, and the writer never writes there again.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { type AmqpArray, type AmqpValue, isTyped, type Typed, type TypeName } from "../../../AmqpValue.ts"

/** Why a value cannot be written; `path` is where it stands. */
export class EncodeProblem extends Error {}

const defaultBlockSize = 64 * 1024

export const halfPair = "it has half of a surrogate pair, which no text may have"

/** UTF-8 has no form for half of a surrogate pair; it would arrive as another text. */
const checkText = (value: string): void => {
  if (!value.isWellFormed()) throw new EncodeProblem(halfPair)
}

/** AMQP 1.0 sets no limit; the depth keeps a cyclic value from running for ever. */
const maxDepth = 32

/** Where in the text of a uuid the digits of each byte stand. */
const uuidPlaces = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]

const uuidHyphens = [8, 13, 18, 23]
const hyphen = 45

/** The value of a hexadecimal digit, of either case; NaN where it is none. */
export const hexDigit = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48
  const letter = code | 32
  return letter >= 97 && letter <= 102 ? letter - 87 : NaN
}

export class Writer {
  bytes: Buffer
  position = 0
  private start = 0
  private readonly blockSize: number

  constructor(blockSize = defaultBlockSize) {
    this.blockSize = blockSize
    this.bytes = Buffer.allocUnsafeSlow(blockSize)
  }

  /** The bytes written since the last `take`. They stay valid: the writer moves on. */
  take(): Buffer {
    const out = this.bytes.subarray(this.start, this.position)
    this.start = this.position
    return out
  }

  /** How many bytes were written since the last `take`. */
  get length(): number {
    return this.position - this.start
  }

  /** Forgets what was written since the last `take`. */
  reset(): void {
    this.position = this.start
  }

  /** What was written since a place, as a view that the next write may change. */
  since(at: number): Buffer {
    return this.bytes.subarray(this.start + at, this.position)
  }

  /** Forgets what was written since a place. */
  truncate(at: number): void {
    this.position = this.start + at
  }

  ensure(count: number): void {
    if (this.position + count <= this.bytes.length) return
    const kept = this.position - this.start
    const next = Buffer.allocUnsafeSlow(Math.max(this.blockSize, 2 * (kept + count)))
    this.bytes.copy(next, 0, this.start, this.position)
    this.bytes = next
    this.start = 0
    this.position = kept
  }

  u8(value: number): void {
    this.bytes[this.position++] = value
  }

  u16(value: number): void {
    const { bytes, position } = this
    bytes[position] = value >>> 8
    bytes[position + 1] = value
    this.position = position + 2
  }

  u32(value: number): void {
    const { bytes, position } = this
    bytes[position] = value >>> 24
    bytes[position + 1] = value >>> 16
    bytes[position + 2] = value >>> 8
    bytes[position + 3] = value
    this.position = position + 4
  }

  i64(value: bigint): void {
    this.position = this.bytes.writeBigInt64BE(BigInt.asIntN(64, value), this.position)
  }

  raw(value: Uint8Array): void {
    this.ensure(value.length)
    this.bytes.set(value, this.position)
    this.position += value.length
  }

  uint(value: number): void {
    this.ensure(5)
    if (value === 0) this.u8(0x43)
    else if (value < 256) {
      this.u8(0x52)
      this.u8(value)
    } else {
      this.u8(0x70)
      this.u32(value)
    }
  }

  boolean(value: boolean): void {
    this.ensure(1)
    this.u8(value ? 0x41 : 0x42)
  }

  null(): void {
    this.ensure(1)
    this.u8(0x40)
  }

  string(value: string): void {
    this.text(value, 0xa1, 0xb1)
  }

  symbol(value: string): void {
    if (!isAscii(value)) throw new EncodeProblem("a symbol may have ASCII characters only")
    this.text(value, 0xa3, 0xb3)
  }

  private text(value: string, short: number, long: number): void {
    const { length } = value
    if (length < 64) {
      // Most strings are short and ASCII: a loop beats the call into C++.
      this.ensure(length + 2)
      const { bytes } = this
      let { position } = this
      bytes[position++] = short
      bytes[position++] = length
      let i = 0
      for (; i < length; i++) {
        const code = value.charCodeAt(i)
        if (code > 127) break
        bytes[position++] = code
      }
      if (i === length) {
        this.position = position
        return
      }
    }
    checkText(value)
    const size = Buffer.byteLength(value)
    this.ensure(size + 5)
    if (size < 256) {
      this.u8(short)
      this.u8(size)
    } else {
      this.u8(long)
      this.u32(size)
    }
    this.position += this.bytes.write(value, this.position, size, "utf8")
  }

  binary(value: Uint8Array): void {
    this.ensure(value.length + 5)
    if (value.length < 256) {
      this.u8(0xa0)
      this.u8(value.length)
    } else {
      this.u8(0xb0)
      this.u32(value.length)
    }
    this.raw(value)
  }

  /** A vbin32 that holds the UTF-8 of a text, which is well-formed. */
  utf8Binary(value: string): void {
    // Three bytes for each UTF-16 unit is the most that UTF-8 needs.
    this.ensure(5 + value.length * 3)
    this.u8(0xb0)
    const at = this.position
    this.position += 4
    const size = this.bytes.write(value, this.position, value.length * 3, "utf8")
    this.bytes.writeUInt32BE(size, at)
    this.position += size
  }

  /** Milliseconds of the epoch; AMQP knows no fractions of them. */
  timestamp(millis: number): void {
    const whole = wholeMillis(millis)
    const high = Math.floor(whole / 2 ** 32)
    this.ensure(9)
    this.u8(0x83)
    // Without a BigInt: each message has two of them.
    this.u32(high)
    this.u32(whole - high * 2 ** 32)
  }

  uuid(text: string): void {
    this.ensure(17)
    const at = this.position + 1
    let isUuid = text.length === 36
    for (let i = 0; i < 4; i++) isUuid &&= text.charCodeAt(uuidHyphens[i]!) === hyphen
    for (let i = 0; i < 16 && isUuid; i++) {
      const place = uuidPlaces[i]!
      const byte = 16 * hexDigit(text.charCodeAt(place)) + hexDigit(text.charCodeAt(place + 1))
      isUuid = byte >= 0
      this.bytes[at + i] = byte
    }
    if (!isUuid) throw new EncodeProblem("a uuid must be given in its canonical text form")
    this.u8(0x98)
    this.position += 16
  }

  /** The three bytes before a described value whose descriptor is a small ulong. */
  descriptor(code: number): void {
    this.ensure(3)
    this.u8(0x00)
    this.u8(0x53)
    this.u8(code)
  }

  /** Opens a list32 or map32; `end` fills in its size and count. */
  begin(constructor: 0xd0 | 0xd1): number {
    this.ensure(9)
    this.u8(constructor)
    // Relative to the start: the block may be replaced while the compound is open.
    const at = this.position - this.start
    this.position += 8
    return at
  }

  end(at: number, count: number): void {
    const position = this.start + at
    this.bytes.writeUInt32BE(this.position - position - 4, position)
    this.bytes.writeUInt32BE(count, position + 4)
  }

  /** Writes a number of 32 bits at a place that was left for it. */
  patch(at: number, value: number): void {
    this.bytes.writeUInt32BE(value, this.start + at)
  }

  /** A map with symbol keys: annotations and the like (AMQP 1.0 section 3.2.10). */
  annotations(entries: Iterable<readonly [string, AmqpValue]>): void {
    const at = this.begin(0xd1)
    let count = 0
    for (const [key, value] of entries) {
      if (value === undefined) continue
      this.symbol(key)
      this.value(value)
      count += 2
    }
    this.end(at, count)
  }

  value(value: AmqpValue, depth = 0): void {
    switch (typeof value) {
      case "string":
        return this.string(value)
      case "number":
        return this.number(value)
      case "boolean":
        return this.boolean(value)
      case "bigint":
        return this.bigint(value)
      case "undefined":
        return this.null()
      case "object":
        return value === null ? this.null() : this.object(value, depth)
      default:
        throw new EncodeProblem(`a ${typeof value} has no AMQP form`)
    }
  }

  private number(value: number): void {
    this.ensure(9)
    if (Number.isInteger(value) && !Object.is(value, -0)) {
      if (value >= -2147483648 && value <= 2147483647) {
        if (value >= -128 && value <= 127) {
          this.u8(0x54)
          this.u8(value & 255)
        } else {
          this.u8(0x71)
          this.u32(value)
        }
        return
      }
      if (Number.isSafeInteger(value)) {
        this.u8(0x81)
        this.i64(BigInt(value))
        return
      }
    }
    this.u8(0x82)
    this.position = this.bytes.writeDoubleBE(value, this.position)
  }

  private bigint(value: bigint): void {
    this.ensure(9)
    if (value >= -9223372036854775808n && value <= 9223372036854775807n) this.u8(0x81)
    else if (value > 0n && value <= 18446744073709551615n) this.u8(0x80)
    else throw new EncodeProblem("a bigint must fit 64 bits")
    this.i64(value)
  }

  private object(value: object, depth: number): void {
    if (depth >= maxDepth) throw new EncodeProblem(`values may be nested ${maxDepth} deep at most`)
    if (value instanceof Uint8Array) return this.binary(value)
    if (Array.isArray(value)) return this.items(this.begin(0xd0), value, depth)
    if (DateTime.isDateTime(value)) return this.timestamp(DateTime.toEpochMillis(value))
    if (value instanceof Date) return this.timestamp(value.getTime())
    if (Duration.isDuration(value)) {
      const nanos = Duration.toNanos(value)
      if (nanos._tag === "None") throw new EncodeProblem("an infinite duration has no AMQP form")
      this.microsoftDescriptor("com.microsoft:timespan")
      this.ensure(9)
      this.u8(0x81)
      return this.i64(long("long", nanos.value / 100n, -9223372036854775808n, 9223372036854775807n))
    }
    if (value instanceof URL) {
      this.microsoftDescriptor("com.microsoft:uri")
      return this.string(value.href)
    }
    if (isTyped(value)) return this.typed(value, depth)
    this.entries(this.begin(0xd1), value, depth)
  }

  private items(at: number, values: ReadonlyArray<AmqpValue>, depth: number): void {
    for (const item of values) this.value(item, depth + 1)
    this.end(at, values.length)
  }

  private entries(at: number, value: object, depth: number): void {
    let count = 0
    if (value instanceof Map) {
      for (const [key, item] of value) {
        this.value(key, depth + 1)
        this.value(item, depth + 1)
        count += 2
      }
      return this.end(at, count)
    }
    const prototype = Object.getPrototypeOf(value)
    if (prototype !== null && prototype !== Object.prototype) {
      throw new EncodeProblem(`an instance of ${prototype.constructor?.name ?? "a class"} has no AMQP form`)
    }
    for (const key of Object.keys(value)) {
      this.string(key)
      this.value((value as Record<string, AmqpValue>)[key], depth + 1)
      count += 2
    }
    this.end(at, count)
  }

  private microsoftDescriptor(name: string): void {
    this.ensure(1)
    this.u8(0x00)
    this.symbol(name)
  }

  private typed(value: Extract<AmqpValue, { readonly type: string }>, depth: number): void {
    if (value.type === "described") {
      const { descriptor, value: inner } = value as { descriptor: AmqpValue; value: AmqpValue }
      this.ensure(1)
      this.u8(0x00)
      this.anyDescriptor(descriptor)
      if (Duration.isDuration(inner) || inner instanceof URL || (isTyped(inner) && inner.type === "described")) {
        throw new EncodeProblem("a described value may not be described again")
      }
      return this.value(inner, depth + 1)
    }
    if (value.type === "array") {
      this.ensure(1)
      this.u8(0xf0)
      return this.array(value as AmqpArray, depth)
    }
    const { type, value: inner } = value as Typed
    const constructor = constructors[type]
    if (constructor === undefined) throw new EncodeProblem(`${String(type)} is not an AMQP type`)
    if (inner === null || inner === undefined) return this.null()
    // Rhea, and Microsoft's client with it, reads a boolean of one byte as a number.
    if (type === "boolean" && typeof inner === "boolean") return this.boolean(inner)
    // Small ones are short, as all peers write them.
    if (type === "ulong" && (typeof inner === "bigint" || typeof inner === "number") && inner >= 0 && inner < 256) {
      return this.smallUlong(integer(type, inner, 0, 255))
    }
    this.ensure(1)
    this.u8(constructor)
    this.fixed(type, inner)
  }

  private smallUlong(value: number): void {
    this.ensure(2)
    if (value === 0) return this.u8(0x44)
    this.u8(0x53)
    this.u8(value)
  }

  /** An array32 without its constructor. */
  private array(value: AmqpArray, depth: number): void {
    const { descriptor, of, value: items } = value
    if (depth >= maxDepth) throw new EncodeProblem(`values may be nested ${maxDepth} deep at most`)
    const isCompound = of === "list" || of === "map" || of === "array" || of === "null"
    const constructor = isCompound ? compounds[of] : constructors[of]
    if (constructor === undefined) throw new EncodeProblem(`${String(of)} is not an AMQP type`)
    const at = this.open()
    if (descriptor !== undefined) {
      this.ensure(1)
      this.u8(0x00)
      this.anyDescriptor(descriptor)
    }
    this.ensure(1)
    this.u8(constructor)
    for (const item of items) {
      if (isCompound) this.element(of, item, depth + 1)
      else this.fixed(of, item)
    }
    this.end(at, items.length)
  }

  /** The place of a compound's size and count. */
  private open(): number {
    this.ensure(8)
    const at = this.position - this.start
    this.position += 8
    return at
  }

  private element(of: keyof typeof compounds, value: unknown, depth: number): void {
    if (of === "null") {
      if (value === null || value === undefined) return
    } else if (of === "list") {
      if (Array.isArray(value)) return this.items(this.open(), value, depth)
    } else if (of === "array") {
      if (isTyped(value) && value.type === "array") return this.array(value as AmqpArray, depth)
    } else if (typeof value === "object" && value !== null && !Array.isArray(value) && !isTyped(value)) {
      return this.entries(this.open(), value, depth)
    }
    throw new EncodeProblem(`an element of the array is not of its type, ${of}`)
  }

  /** AMQP 1.0 section 1.2 reserves descriptors other than ulongs and symbols. */
  private anyDescriptor(descriptor: AmqpValue): void {
    const known = isTyped(descriptor) && (descriptor.type === "ulong" || descriptor.type === "symbol")
    const value = known ? descriptor.value : descriptor
    if (typeof value === "string") return this.symbol(value)
    if (typeof value !== "bigint" && typeof value !== "number") {
      throw new EncodeProblem("a descriptor must be a ulong or a symbol")
    }
    this.ensure(1)
    this.u8(0x80)
    this.fixed("ulong", value)
  }

  /** The bytes of a value in the widest encoding of its type, without a constructor. */
  private fixed(type: TypeName, value: unknown): void {
    this.ensure(17)
    switch (type) {
      case "boolean":
        if (typeof value !== "boolean") throw new EncodeProblem("boolean must be true or false")
        return this.u8(value ? 1 : 0)
      case "ubyte":
        return this.u8(integer(type, value, 0, 255))
      case "byte":
        return this.u8(integer(type, value, -128, 127) & 255)
      case "ushort":
        return this.u16(integer(type, value, 0, 65535))
      case "short":
        return this.u16(integer(type, value, -32768, 32767) & 65535)
      case "uint":
        return this.u32(integer(type, value, 0, 4294967295))
      case "int":
        return this.u32(integer(type, value, -2147483648, 2147483647))
      case "ulong":
        return this.i64(long(type, value, 0n, 18446744073709551615n))
      case "long":
        return this.i64(long(type, value, -9223372036854775808n, 9223372036854775807n))
      case "timestamp":
        return this.i64(
          DateTime.isDateTime(value)
            ? epoch(DateTime.toEpochMillis(value))
            : value instanceof Date
            ? epoch(value.getTime())
            : long(type, value, -9223372036854775808n, 9223372036854775807n)
        )
      case "float":
        this.position = this.bytes.writeFloatBE(real(type, value), this.position)
        return
      case "double":
        this.position = this.bytes.writeDoubleBE(real(type, value), this.position)
        return
      case "char": {
        // What is no code point has no text.
        if (typeof value === "number" && value > 0x10ffff) return this.u32(integer(type, value, 0, 4294967295))
        const code = typeof value === "string" ? value.codePointAt(0) : undefined
        if (code === undefined || String.fromCodePoint(code) !== value) {
          throw new EncodeProblem("a char must be a string of one character")
        }
        return this.u32(code)
      }
      case "uuid":
        if (typeof value !== "string") throw new EncodeProblem("a uuid must be given in its canonical text form")
        this.uuid(value)
        // `uuid` writes a constructor of its own: the bytes move over it.
        this.bytes.copyWithin(this.position - 17, this.position - 16, this.position)
        this.position--
        return
      case "decimal32":
        return this.sized(type, value, 4)
      case "decimal64":
        return this.sized(type, value, 8)
      case "decimal128":
        return this.sized(type, value, 16)
      case "binary":
        if (!(value instanceof Uint8Array)) throw new EncodeProblem("a binary must be a Uint8Array")
        this.ensure(4)
        this.u32(value.length)
        return this.raw(value)
      case "string":
      case "symbol": {
        if (typeof value !== "string") throw new EncodeProblem(`a ${type} must be a string`)
        if (type === "symbol" && !isAscii(value)) {
          throw new EncodeProblem("a symbol may have ASCII characters only")
        }
        checkText(value)
        const size = Buffer.byteLength(value)
        this.ensure(size + 4)
        this.u32(size)
        this.position += this.bytes.write(value, this.position, size, "utf8")
        return
      }
    }
  }

  private sized(type: TypeName, value: unknown, size: number): void {
    if (!(value instanceof Uint8Array) || value.length !== size) {
      throw new EncodeProblem(`a ${type} must be given as its ${size} bytes`)
    }
    this.raw(value)
  }
}

/** The constructor of the widest encoding of each type (AMQP 1.0 section 1.6). */
const constructors: Readonly<Record<string, number | undefined>> & Record<TypeName, number> = {
  // "constructor" is no type.
  __proto__: null as never,
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

/** The constructors of arrays whose elements are not of a primitive type with a width. */
const compounds = { null: 0x40, list: 0xd0, map: 0xd1, array: 0xf0 } as const

const integer = (type: TypeName, value: unknown, min: number, max: number): number => {
  const number = typeof value === "bigint" ? Number(value) : value
  if (typeof number !== "number" || !Number.isInteger(number) || number < min || number > max) {
    throw new EncodeProblem(`${type} must be an integer from ${min} to ${max}`)
  }
  return number
}

const long = (type: TypeName, value: unknown, min: bigint, max: bigint): bigint => {
  const big = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value
  if (typeof big !== "bigint" || big < min || big > max) {
    throw new EncodeProblem(`${type} must be an integer from ${min} to ${max}`)
  }
  return big
}

/** Only ASCII characters take one byte of UTF-8 each. */
const isAscii = (value: string): boolean => Buffer.byteLength(value) === value.length

const wholeMillis = (millis: number): number => {
  const whole = Math.floor(millis)
  if (!Number.isSafeInteger(whole)) throw new EncodeProblem("an invalid date has no AMQP form")
  return whole
}

const epoch = (millis: number): bigint => BigInt(wholeMillis(millis))

const real = (type: TypeName, value: unknown): number => {
  if (typeof value !== "number") throw new EncodeProblem(`${type} must be a number`)
  return value
}
