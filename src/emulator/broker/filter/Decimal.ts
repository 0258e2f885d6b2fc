/**
 * Decimal numbers of filters: exact, as `System.Decimal` has them (96 bits and a scale of at most 28), which is what clients of
 * .NET send. AMQP's decimals are those of IEEE 754-2008 in binary integer form (AMQP 1.0 section 1.6.13 to 1.6.15), and are read
 * with all of their digits.
 */
import { FilterError } from "./FilterMessage.ts"

/** The value is `coefficient` divided by ten to the power of `scale`. @category models */
export class Decimal {
  readonly coefficient: bigint
  readonly scale: number

  constructor(coefficient: bigint, scale: number) {
    this.coefficient = coefficient
    this.scale = scale
  }
}

const maxCoefficient = 2n ** 96n - 1n
const maxScale = 28

const power = (exponent: number): bigint => 10n ** BigInt(exponent)

/** @category conversions */
export const ofInteger = (value: bigint): Decimal => new Decimal(value, 0)

/**
 * A number in digits, with or without a point and an exponent. Throws a `FilterError` where no decimal is so large, and for what
 * is no number.
 *
 * @category conversions
 */
export const ofText = (text: string): Decimal => {
  const parts = /^([+-]?)(\d*)\.?(\d*)(?:[eE]([+-]?\d+))?$/.exec(text)
  if (parts === null) return overflow()
  const [, sign, whole = "", fraction = "", exponent = "0"] = parts
  const coefficient = BigInt(`${whole}${fraction}`)
  const scale = fraction.length - Number(exponent)
  // Far less than the least decimal, or far more than the largest one.
  if (coefficient === 0n || scale > 400) return ofInteger(0n)
  if (scale < -400) return overflow()
  return trimmed(limited(sign === "-" ? -coefficient : coefficient, scale))
}

/** The nearest whole number, and of two the even one. @category conversions */
export const toInteger = ({ coefficient, scale }: Decimal): bigint =>
  scale <= 0 ? coefficient * power(-scale) : rounded(coefficient, scale)

/** The nearest double. @category conversions */
export const toNumber = (value: Decimal): number => Number(`${value.coefficient}e${-value.scale}`)

/** Without an exponent, and with as many digits after the point as it has. @category conversions */
export const toText = ({ coefficient, scale }: Decimal): string => {
  if (scale <= 0) return String(coefficient * power(-scale))
  const digits = String(coefficient < 0n ? -coefficient : coefficient).padStart(scale + 1, "0")
  return `${coefficient < 0n ? "-" : ""}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** Negative, zero or positive. @category comparisons */
export const compare = (a: Decimal, b: Decimal): number => {
  if (a.scale === b.scale) return sign(a.coefficient - b.coefficient)
  const [left, right] = aligned(a, b)
  return sign(left - right)
}

const sign = (value: bigint): number => value < 0n ? -1 : value > 0n ? 1 : 0

const aligned = (a: Decimal, b: Decimal): readonly [bigint, bigint, number] => {
  const scale = Math.max(a.scale, b.scale)
  return [a.coefficient * power(scale - a.scale), b.coefficient * power(scale - b.scale), scale]
}

/**
 * The five operations of C#. Throws a `FilterError` where the result is too large, or divided by zero.
 *
 * @category operations
 */
export const calculate = (operator: "+" | "-" | "*" | "/" | "%", a: Decimal, b: Decimal): Decimal => {
  if (operator === "*") return limited(a.coefficient * b.coefficient, a.scale + b.scale)
  const [left, right, scale] = aligned(a, b)
  switch (operator) {
    case "+":
      return limited(left + right, scale)
    case "-":
      return limited(left - right, scale)
    case "%":
      if (right === 0n) throw new FilterError("Attempted to divide by zero.")
      return limited(left % right, scale)
    case "/": {
      if (right === 0n) throw new FilterError("Attempted to divide by zero.")
      const scaled = left * power(maxScale + 1)
      // Another digit says that there is a rest, so that a half is one.
      const rest = scaled % right === 0n ? 0n : scaled < 0n === right < 0n ? 1n : -1n
      return trimmed(limited(scaled / right * 10n + rest, maxScale + 2))
    }
  }
}

/** Rounds to what a decimal holds, half to even. */
const limited = (coefficient: bigint, scale: number): Decimal => {
  if (scale < 0) return limited(coefficient * power(-scale), 0)
  let digits = Math.max(scale - maxScale, 0)
  let value = rounded(coefficient, digits)
  while (isTooLarge(value)) {
    if (digits >= scale) return overflow()
    value = rounded(coefficient, ++digits)
  }
  return new Decimal(value, scale - digits)
}

const isTooLarge = (coefficient: bigint): boolean => coefficient > maxCoefficient || coefficient < -maxCoefficient

const rounded = (coefficient: bigint, digits: number): bigint => {
  if (digits === 0) return coefficient
  const unit = power(digits)
  const rest = coefficient % unit
  const whole = coefficient / unit
  const twice = (rest < 0n ? -rest : rest) * 2n
  if (twice < unit || twice === unit && whole % 2n === 0n) return whole
  return coefficient < 0n ? whole - 1n : whole + 1n
}

const trimmed = (value: Decimal): Decimal => {
  let { coefficient, scale } = value
  while (scale > 0 && coefficient % 10n === 0n) {
    coefficient /= 10n
    scale--
  }
  return new Decimal(coefficient, scale)
}

const overflow = (): never => {
  throw new FilterError("Value was either too large or too small for a Decimal.")
}

/** The layout of each type: all of its bits, those of the exponent, and its bias. */
const layouts = {
  4: { bits: 32n, exponent: 8n, bias: 101, digits: 7 },
  8: { bits: 64n, exponent: 10n, bias: 398, digits: 16 },
  16: { bits: 128n, exponent: 14n, bias: 6176, digits: 34 }
}

/**
 * What AMQP's bytes mean; undefined for infinities, for what is no number, and where there are not 4, 8 or 16 of them.
 *
 * @category conversions
 */
export const ofBytes = (bytes: Uint8Array): Decimal | undefined => {
  const layout = layouts[bytes.length as 4]
  if (layout === undefined) return undefined
  let all = 0n
  for (const byte of bytes) all = all << 8n | BigInt(byte)
  const { bias, bits, digits, exponent } = layout
  const isNegative = all >> bits - 1n === 1n
  const top = all >> bits - 5n & 15n
  if (top === 15n) return undefined
  // Both ones: the exponent stands two bits further right, and the coefficient begins with 100.
  const isShifted = top >= 12n
  const width = bits - 1n - exponent - (isShifted ? 2n : 0n)
  const low = BigInt.asUintN(Number(width), all)
  const coefficient = isShifted ? 1n << bits - exponent - 1n | low : low
  const power10 = Number(BigInt.asUintN(Number(exponent), all >> width)) - bias
  // More digits than the type has are not canonical, and mean zero.
  const value = coefficient >= power(digits) ? 0n : coefficient
  return new Decimal(isNegative ? -value : value, -power10)
}

/** As a decimal128. @category conversions */
export const toBytes = ({ coefficient, scale }: Decimal): Uint8Array => {
  const isNegative = coefficient < 0n
  let all = (isNegative ? 1n : 0n) << 127n | BigInt(6176 - scale) << 113n | (isNegative ? -coefficient : coefficient)
  const bytes = new Uint8Array(16)
  for (let i = 15; i >= 0; i--) {
    bytes[i] = Number(all & 255n)
    all >>= 8n
  }
  return bytes
}
