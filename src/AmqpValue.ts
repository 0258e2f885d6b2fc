/**
 * A value of the AMQP type system as a TypeScript program sees it: what may stand in an application property, an
 * annotation or an AMQP body.
 *
 * Plain JavaScript values stand for the AMQP types they resemble; a `Typed` value names its AMQP type, for a peer that
 * insists on one. Decoding gives plain values wherever the AMQP type has an obvious one, and `Typed` values for the rest
 * (uuid, symbol, char, decimals, arrays), so that nothing is lost and no 64-bit number is rounded.
 *
 * Source: AMQP 1.0 part 1 (types); Service Bus protocol guide (timespan, uri and datetime-offset).
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"

/**
 * The primitive types of AMQP 1.0 that a value can be forced to.
 *
 * @category models
 * @since 0.1.0
 */
export type TypeName =
  | "boolean"
  | "ubyte"
  | "ushort"
  | "uint"
  | "ulong"
  | "byte"
  | "short"
  | "int"
  | "long"
  | "float"
  | "double"
  | "decimal32"
  | "decimal64"
  | "decimal128"
  | "char"
  | "timestamp"
  | "uuid"
  | "binary"
  | "string"
  | "symbol"

const TypeId = "~effect-service-bus/AmqpValue/Typed"

/**
 * A value with the AMQP type it is to have on the wire.
 *
 * @category models
 * @since 0.1.0
 */
export interface Typed<out T extends TypeName = TypeName, out V = unknown> {
  readonly [TypeId]: typeof TypeId
  /** The AMQP type that is written. */
  readonly type: T
  /** The value in the plain form of its type: a `bigint` of a ulong, a `string` of a uuid or symbol, say. */
  readonly value: V
}

/**
 * What an AMQP array can be of. The elements of an array of arrays are `AmqpArray`s.
 *
 * @category models
 * @since 0.1.0
 */
export type ElementType = TypeName | "null" | "list" | "map" | "array"

/**
 * An AMQP array: every element has the same AMQP type and, where there is one, the same descriptor.
 *
 * @category models
 * @since 0.1.0
 */
export interface AmqpArray {
  readonly [TypeId]: typeof TypeId
  readonly type: "array"
  /** The type of every element. */
  readonly of: ElementType
  readonly value: ReadonlyArray<unknown>
  /** What every element is described with, where they are described. */
  readonly descriptor?: AmqpValue
}

/**
 * A described AMQP value, for descriptors that this library does not interpret. The descriptor is a ulong (a `bigint` or
 * `number`) or a symbol (a `Typed` symbol or its text).
 *
 * @category models
 * @since 0.1.0
 */
export interface Described {
  readonly [TypeId]: typeof TypeId
  readonly type: "described"
  readonly descriptor: AmqpValue
  readonly value: AmqpValue
}

/**
 * What can be written as an AMQP value:
 *
 * - `number`: int where it is an integer of 32 bits, long where it is a larger safe integer, double otherwise
 * - `bigint`: long, or ulong above 2^63-1
 * - `string`, `boolean`, `null`; `undefined` in a list or map is written as null
 * - `Uint8Array`: binary; `DateTime.Utc` and `Date`: timestamp (milliseconds)
 * - `Duration`: the described `com.microsoft:timespan` (ticks of 100 ns); `URL`: the described `com.microsoft:uri`
 * - arrays: list; `Map` and plain objects: map
 * - `Typed`, `AmqpArray`, `Described`: as they say
 *
 * @category models
 * @since 0.1.0
 */
export type AmqpValue =
  | null
  | undefined
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | DateTime.Utc
  | Date
  | Duration.Duration
  | URL
  | Typed
  | AmqpArray
  | Described
  | ReadonlyArray<AmqpValue>
  | ReadonlyMap<AmqpValue, AmqpValue>
  | { readonly [key: string]: AmqpValue }

/**
 * Forces the AMQP type of a value. Whether the value fits the type is checked when it is encoded: a message with one that
 * does not fails with MessageEncodeError.
 *
 * @example
 * ```ts
 * import { AmqpValue } from "effect-service-bus"
 *
 * // A plain 7 would be written as an int.
 * export const attempts = AmqpValue.typed("ubyte", 7)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const typed = <const T extends TypeName, V>(type: T, value: V): Typed<T, V> => ({
  [TypeId]: TypeId,
  type,
  value
})

/**
 * A uuid, given in its canonical text form: 36 characters with hyphens, of either case.
 *
 * @example
 * ```ts
 * import { AmqpValue } from "effect-service-bus"
 *
 * export const id = AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const uuid = (value: string): Typed<"uuid", string> => typed("uuid", value)

/**
 * A symbol: text of ASCII characters, from a domain that its users agree on (AMQP 1.0 section 1.6.21).
 *
 * @example
 * ```ts
 * import { AmqpValue } from "effect-service-bus"
 *
 * export const currency = AmqpValue.symbol("x-currency")
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const symbol = (value: string): Typed<"symbol", string> => typed("symbol", value)

/**
 * An AMQP array of one type, with a descriptor where its elements are described (AMQP 1.0 section 1.6.24). A plain
 * JavaScript array is a list.
 *
 * @example
 * ```ts
 * import { AmqpValue } from "effect-service-bus"
 *
 * export const sizes = AmqpValue.array("uint", [10, 20, 30])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const array = (of: ElementType, value: ReadonlyArray<unknown>, descriptor?: AmqpValue): AmqpArray => ({
  [TypeId]: TypeId,
  type: "array",
  of,
  value,
  ...(descriptor === undefined ? {} : { descriptor })
})

/**
 * A described value (AMQP 1.0 section 1.1.2): it keeps its descriptor, whether this library knows it or not.
 *
 * @example
 * ```ts
 * import { AmqpValue } from "effect-service-bus"
 *
 * export const point = AmqpValue.described(AmqpValue.symbol("com.example:point"), [1, 2])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const described = (descriptor: AmqpValue, value: AmqpValue): Described => ({
  [TypeId]: TypeId,
  type: "described",
  descriptor,
  value
})

/**
 * Whether a value carries its AMQP type.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTyped = (u: unknown): u is Typed | AmqpArray | Described => Predicate.hasProperty(u, TypeId)

/**
 * The text of an AMQP message id: a string as it is, a ulong in decimal, a uuid in canonical form, binary in hex.
 *
 * @example
 * ```ts
 * import { AmqpValue } from "effect-service-bus"
 *
 * export const text = AmqpValue.toText(new Uint8Array([1, 255])) // "01ff"
 * ```
 *
 * @category destructors
 * @since 0.1.0
 */
export const toText = (value: MessageId): string => {
  if (typeof value === "string") return value
  if (typeof value === "bigint") return value.toString()
  if (value instanceof Uint8Array) return Array.from(value, (b) => b.toString(16).padStart(2, "0")).join("")
  return value.value
}

/**
 * What AMQP allows as message-id and correlation-id (AMQP 1.0 section 3.2.4): string, ulong, uuid or binary.
 *
 * @category models
 * @since 0.1.0
 */
export type MessageId = string | bigint | Uint8Array | Typed<"uuid", string>
