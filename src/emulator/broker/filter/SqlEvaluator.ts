/**
 * Predicates and expressions of SQL as functions of a message, made once for a rule: what is constant is worked out here, and
 * names are in the form that messages have them by.
 *
 * A predicate is true, false or (undefined) unknown. Operands are evaluated from the left, and none that can no longer change
 * the result. Evaluation throws nothing but a `FilterError`.
 */
import type { AmqpValue } from "../../../AmqpValue.ts"
import { FilterError, type FilterMessage } from "./FilterMessage.ts"
import * as LikePattern from "./LikePattern.ts"
import { SqlProblem } from "./SqlLexer.ts"
import type { Comparison, Expression, Predicate, Property, PropertyReference } from "./SqlParser.ts"
import * as SqlValue from "./SqlValue.ts"

/** True, false or unknown. @category models */
export type Decide = (message: FilterMessage) => boolean | undefined

/** A value; undefined where it is unknown. @category models */
export type Evaluate = (message: FilterMessage) => SqlValue.Value

/** Values by names, which may begin with `@`. @category models */
export type Parameters = Readonly<Record<string, AmqpValue>>

/** Makes a predicate ready. Throws a `SqlProblem` for a parameter without a value. @category constructors */
export const predicate = (node: Predicate, parameters: Parameters): Decide => {
  switch (node.kind) {
    case "and":
      return and(node.operands.map((operand) => predicate(operand, parameters)))
    case "or":
      return or(node.operands.map((operand) => predicate(operand, parameters)))
    case "not": {
      const operand = predicate(node.operand, parameters)
      return (message) => negated(operand(message))
    }
    case "comparison":
      return comparison(node.operator, expression(node.left, parameters), expression(node.right, parameters))
    case "isNull": {
      const operand = reference(node.operand, parameters)
      return (message) => ((operand(message) ?? null) === null) !== node.isNegated
    }
    case "exists": {
      const operand = reference(node.operand, parameters)
      return (message) => operand(message) !== undefined
    }
    case "in":
      return isIn(node, parameters)
    case "like":
      return like(node, parameters)
  }
}

const negated = (value: boolean | undefined): boolean | undefined => value === undefined ? undefined : !value

const and = (operands: ReadonlyArray<Decide>): Decide => (message) => {
  let result: boolean | undefined = true
  for (const operand of operands) {
    const value = operand(message)
    if (value === false) return false
    if (value === undefined) result = undefined
  }
  return result
}

const or = (operands: ReadonlyArray<Decide>): Decide => (message) => {
  let result: boolean | undefined = false
  for (const operand of operands) {
    const value = operand(message)
    if (value === true) return true
    if (value === undefined) result = undefined
  }
  return result
}

const comparison = (operator: Comparison, left: Evaluate, right: Evaluate): Decide => {
  const holds = comparisons[operator]
  return (message) => {
    const a = left(message)
    const b = right(message)
    const order = a === undefined || b === undefined ? undefined : SqlValue.compare(a, b)
    return order === undefined ? undefined : holds(order)
  }
}

/** What an order says of each operator; where there is none (NaN) two values are different, and no more. */
const comparisons: { readonly [operator in Comparison]: (order: number) => boolean } = {
  "=": (order) => order === 0,
  "<>": (order) => order !== 0,
  ">": (order) => order > 0,
  ">=": (order) => order >= 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0
}

/** Unknown where the left side is, and by no item (Service Bus, SQL filter syntax). */
const isIn = (node: Extract<Predicate, { kind: "in" }>, parameters: Parameters): Decide => {
  const operand = expression(node.operand, parameters)
  const items = node.items.map((item) => expression(item, parameters))
  return (message) => {
    const value = operand(message)
    if (value === undefined) return undefined
    return items.some((item) => SqlValue.compare(value, item(message)) === 0) !== node.isNegated
  }
}

/** A constant pattern is made here, and refused where it is wrong for every message. */
const like = (node: Extract<Predicate, { kind: "like" }>, parameters: Parameters): Decide => {
  const operand = expression(node.operand, parameters)
  const patternOf = isFixed(node.pattern) && (node.escape === undefined || isFixed(node.escape))
    ? fixedPattern(node, parameters)
    : patternIn(node, parameters)
  return (message) => {
    const value = operand(message)
    if (value === undefined) return undefined
    const pattern = patternOf(message)
    return pattern === undefined || typeof value !== "string" ? undefined : pattern.matches(value) !== node.isNegated
  }
}

type PatternOf = (message: FilterMessage) => LikePattern.LikePattern | undefined

const patternIn = (node: Extract<Predicate, { kind: "like" }>, parameters: Parameters): PatternOf => {
  const pattern = expression(node.pattern, parameters)
  const escape = node.escape === undefined ? undefined : expression(node.escape, parameters)
  return (message) => {
    const text = pattern(message)
    return escape === undefined ? likePattern(text) : likePattern(text, { mark: escape(message) })
  }
}

const fixedPattern = (node: Extract<Predicate, { kind: "like" }>, parameters: Parameters): PatternOf => {
  // No constant and no parameter reads a message.
  const made = refusing(() => patternIn(node, parameters)(noMessage), node.at)
  return () => made
}

const noMessage: FilterMessage = { system: () => undefined, property: () => undefined, spelling: () => undefined }

/** Unknown where one of the two is. Throws a `FilterError`. */
const likePattern = (
  text: SqlValue.Value,
  escape?: { readonly mark: SqlValue.Value }
): LikePattern.LikePattern | undefined => {
  if (text === undefined || escape !== undefined && escape.mark === undefined) return undefined
  if (typeof text !== "string") throw new FilterError("The pattern of LIKE is not a string.")
  if (escape === undefined) return LikePattern.make(text, undefined)
  const { mark } = escape
  if (typeof mark === "string" && mark.length === 1) return LikePattern.make(text, mark)
  throw new FilterError("The escape character of LIKE is not a string of one character.")
}

/** What a function gives, or a `SqlProblem` with its `FilterError`. */
const refusing = <A>(make: () => A, { at, text }: { readonly at: number; readonly text: string }): A => {
  try {
    return make()
  } catch (error) {
    throw error instanceof FilterError ? new SqlProblem(error.message, at, text) : error
  }
}

const isFixed = (node: Expression): boolean => node.kind === "constant" || node.kind === "parameter"

/** Makes an expression ready. Throws a `SqlProblem` for a parameter without a value. @category constructors */
export const expression = (node: Expression, parameters: Parameters): Evaluate => {
  switch (node.kind) {
    case "constant": {
      const value = node.value ?? undefined
      return () => value
    }
    case "parameter": {
      const value = fixedValue(parameter(node, parameters), `the parameter @${node.name}`, node.at)
      return () => value
    }
    case "newid":
      return () => new SqlValue.Uuid(crypto.randomUUID())
    case "property":
    case "propertyNamed": {
      const read = reference(node, parameters)
      return (message) => SqlValue.fromAmqp(read(message))
    }
    case "sign": {
      const operand = expression(node.operand, parameters)
      const apply = node.operator === "-" ? SqlValue.negate : SqlValue.affirm
      return (message) => {
        const value = operand(message)
        return value === undefined ? undefined : apply(value)
      }
    }
    case "arithmetic": {
      const left = expression(node.left, parameters)
      const right = expression(node.right, parameters)
      return (message) => {
        const a = left(message)
        const b = right(message)
        return a === undefined || b === undefined ? undefined : SqlValue.calculate(node.operator, a, b)
      }
    }
  }
}

/**
 * The value of a parameter or a condition, which a program may have given wrongly. Throws a `SqlProblem` with what it is of.
 *
 * @category conversions
 */
export const fixedValue = (value: AmqpValue, title: string, at = 0): SqlValue.Value => {
  try {
    return SqlValue.fromAmqp(value)
  } catch {
    throw new SqlProblem(`the value of ${title} is not of its AMQP type`, at, "")
  }
}

/**
 * The value of a parameter as it was given. Throws a `SqlProblem` where there is none.
 *
 * @category accessors
 */
export const parameter = (node: Extract<Expression, { kind: "parameter" }>, parameters: Parameters): AmqpValue => {
  const name = node.name.toLowerCase()
  const key = Object.keys(parameters).find((each) => each.replace(/^@/, "").toLowerCase() === name)
  if (key === undefined) throw new SqlProblem(`the parameter @${node.name} has no value`, node.at, `@${node.name}`)
  return parameters[key]
}

/** What reads a property, its AMQP type kept. Throws a `SqlProblem`. @category constructors */
export const reference = (
  node: PropertyReference,
  parameters: Parameters
): (message: FilterMessage) => AmqpValue => {
  if (node.kind === "propertyNamed") {
    const named = expression(node.name, parameters)
    return (message) => {
      const name = named(message)
      if (name === undefined) return undefined
      if (typeof name !== "string") throw new FilterError("The name of a property is not a string.")
      return message.property(name.toLowerCase())
    }
  }
  return readerOf(node)
}

const readerOf = (node: Property): (message: FilterMessage) => AmqpValue => {
  if (node.scope === "sys") return (message) => message.system(node.name)
  const name = node.name.toLowerCase()
  return (message) => message.property(name)
}
