/**
 * Parameters of a SQL expression, written into it as constants. AMQP carries the expression of a filter or an action and nothing
 * else (Service Bus documentation, AMQP request/response operations; the SDKs for .NET, Java and JavaScript send it alone, and
 * drop parameters): a parameter that is sent by its name would mean nothing.
 */
import * as Result from "effect/Result"
import { type AmqpValue, isTyped, type Typed } from "../../AmqpValue.ts"
import type { Parameters } from "../../ServiceBusRule.ts"

/** What parameters cannot be: which one, and what it would have to be. */
interface Problem {
  readonly name: string
  readonly expected: string
}

/** A string, a delimited name, a quoted name, or a parameter. One that is not closed is the service's to refuse. */
const tokens = /'(?:[^']|'')*'?|\[(?:[^\]]|\]\])*\]?|"(?:[^"]|"")*"?|@[\p{L}_][\p{L}\p{N}_]*/gu

/** The expression with a constant in the place of each parameter. */
export const inline = (expression: string, parameters: Parameters): Result.Result<string, Problem> => {
  let problem: Problem | undefined
  const text = expression.replace(tokens, (token) => {
    if (!token.startsWith("@")) return token
    const value = valueOf(parameters, token)
    const constant = constantOf(value)
    if (constant !== undefined) return constant
    problem ??= {
      name: token,
      expected: value === undefined
        ? "a value: the expression names it"
        : "a value that SQL has a constant for, because AMQP carries no parameters of rules: " +
          "a string, an integer of 64 bits, a double, a boolean or null"
    }
    return token
  })
  return problem === undefined ? Result.succeed(text) : Result.fail(problem)
}

/** The value of a parameter. SQL does not tell names by their case; one that is written alike goes first. */
const valueOf = (parameters: Parameters, token: string): AmqpValue => {
  const name = Object.hasOwn(parameters, token)
    ? token
    : Object.keys(parameters).find((each) => each.toLowerCase() === token.toLowerCase())
  return name === undefined ? undefined : parameters[name]
}

/** A value as SQL writes it; undefined where it has no form for it (Service Bus documentation, SQL filter syntax: constants). */
const constantOf = (value: AmqpValue): string | undefined => {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? `'${value.replaceAll("'", "''")}'` : undefined
    case "boolean":
      return value ? "TRUE" : "FALSE"
    case "bigint":
      return integer(value)
    case "number":
      return Number.isSafeInteger(value) ? integer(BigInt(value)) : approximate(value)
    default:
      return value === null ? "NULL" : isTyped(value) ? typedConstantOf(value as Typed) : undefined
  }
}

const typedConstantOf = ({ type, value }: Typed): string | undefined => {
  switch (type) {
    case "string":
      return typeof value === "string" ? constantOf(value) : undefined
    case "boolean":
      return typeof value === "boolean" ? constantOf(value) : undefined
    case "float":
      return typeof value === "number" ? approximate(Math.fround(value)) : undefined
    case "double":
      return typeof value === "number" ? approximate(value) : undefined
    case "ubyte":
    case "ushort":
    case "uint":
    case "ulong":
    case "byte":
    case "short":
    case "int":
    case "long":
      return typeof value === "bigint"
        ? integer(value)
        : Number.isSafeInteger(value)
        ? integer(BigInt(value as number))
        : undefined
    default:
      return undefined
  }
}

/** The constant of an integer is a long. The least one is a negation of what is none. */
const integer = (value: bigint): string | undefined =>
  value >= 2n ** 63n || value < -(2n ** 63n)
    ? undefined
    : value === -(2n ** 63n)
    ? `(-${2n ** 63n - 1n} - 1)`
    : signed(String(value))

/** With an exponent it is a double; the service says of constants with a point that their type may change. */
const approximate = (value: number): string | undefined =>
  Number.isFinite(value) ? signed(value.toExponential().replace("e", "E").replace("+", "")) : undefined

/** In parentheses, so that what stands before it cannot make another sign of it. */
const signed = (text: string): string => text.startsWith("-") ? `(${text})` : text
