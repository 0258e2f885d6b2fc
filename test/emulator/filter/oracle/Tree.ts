/**
 * Filters and actions as abstract trees, and the values that they are over: what the generator makes, the printer writes as SQL
 * and the oracle evaluates. Nothing here knows the broker.
 */

export type WholeType = "ubyte" | "ushort" | "uint" | "ulong" | "byte" | "short" | "int" | "long"

/** A value as the documentation names it: .NET's types by the names that AMQP has for them. */
export type Value =
  | { readonly kind: "unknown" }
  | { readonly kind: "boolean"; readonly value: boolean }
  | { readonly kind: "whole"; readonly type: WholeType; readonly value: bigint }
  | { readonly kind: "single"; readonly value: number }
  | { readonly kind: "double"; readonly value: number }
  /** `digits` divided by ten to the power of `scale`. */
  | { readonly kind: "decimal"; readonly bits: 32 | 64 | 128; readonly digits: bigint; readonly scale: number }
  | { readonly kind: "text"; readonly value: string }
  | { readonly kind: "guid"; readonly value: string }
  | { readonly kind: "time"; readonly millis: bigint }
  | { readonly kind: "span"; readonly ticks: bigint }
  /** What no operator is documented for: it can only be there or not. */
  | { readonly kind: "char"; readonly value: string }
  | { readonly kind: "binary"; readonly value: string }
  | { readonly kind: "symbol"; readonly value: string }

export const unknown: Value = { kind: "unknown" }
export const long = (value: bigint | number): Value => ({ kind: "whole", type: "long", value: BigInt(value) })
export const double = (value: number): Value => ({ kind: "double", value })
export const text = (value: string): Value => ({ kind: "text", value })
export const boolean = (value: boolean): Value => ({ kind: "boolean", value })

export interface Property {
  readonly node: "property"
  readonly scope: "sys" | "user" | undefined
  readonly name: string
}

export type Expression =
  | Property
  /** A whole number (negative if it is the least) or a double that is not negative, a text, a boolean, or NULL. */
  | { readonly node: "constant"; readonly value: Value }
  | { readonly node: "parameter"; readonly name: string; readonly value: Value }
  /** `property(name)`. */
  | { readonly node: "lookup"; readonly name: Expression }
  | { readonly node: "sign"; readonly operator: "+" | "-"; readonly operand: Expression }
  | { readonly node: "binary"; readonly operator: Arithmetic; readonly left: Expression; readonly right: Expression }

export type Arithmetic = "+" | "-" | "*" | "/" | "%"
export type Comparison = "=" | "<>" | "<" | "<=" | ">" | ">="

export type Predicate =
  | { readonly node: "not"; readonly operand: Predicate }
  | { readonly node: "and" | "or"; readonly left: Predicate; readonly right: Predicate }
  | { readonly node: "compare"; readonly operator: Comparison; readonly left: Expression; readonly right: Expression }
  | { readonly node: "isNull"; readonly negated: boolean; readonly property: Property }
  | { readonly node: "exists"; readonly property: Property }
  | {
    readonly node: "in"
    readonly negated: boolean
    readonly left: Expression
    readonly choices: ReadonlyArray<Expression>
  }
  | {
    readonly node: "like"
    readonly negated: boolean
    readonly left: Expression
    readonly pattern: Expression
    readonly escape: Expression | undefined
  }

export type Statement =
  | { readonly node: "set"; readonly property: Property; readonly value: Expression }
  | { readonly node: "remove"; readonly property: Property }

/** A message: application properties by their names, and system properties, all of them texts here. */
export interface Message {
  readonly properties: ReadonlyMap<string, Value>
  readonly system: ReadonlyMap<string, string>
}
