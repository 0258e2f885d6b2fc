/**
 * What Microsoft's documentation says a filter is of a message, and what an action makes of one: computed from the tree, never from
 * its text. Written from the pages on SQL filter syntax, SQL action syntax and topic filters, and from C#'s rules for operators; it
 * shares nothing with the broker. Where those say nothing it says `unsaid`, and the page of the broker in `docs/` decides for what
 * it names.
 */
import type {
  Arithmetic,
  Comparison,
  Expression,
  Message,
  Predicate,
  Property,
  Statement,
  Value,
  WholeType
} from "./Tree.ts"
import { unknown } from "./Tree.ts"

/** `unsaid`: nobody says what it is. `either`: unknown or an error, by which side is evaluated first. */
export type Result = Value | { readonly kind: "error" | "unsaid" | "either" }

/** True, false, unknown, error, or unsaid. */
export type Truth = "T" | "F" | "U" | "E" | "?"

const error: Result = { kind: "error" }
const unsaid: Result = { kind: "unsaid" }
const either: Result = { kind: "either" }

// Values --------------------------------------------------------------------------------------------------------------------

const leastLong = -(1n << 63n)
const greatestLong = (1n << 63n) - 1n

const ranges: Readonly<Record<WholeType, readonly [bigint, bigint]>> = {
  ubyte: [0n, 255n],
  ushort: [0n, 65_535n],
  uint: [0n, 4_294_967_295n],
  ulong: [0n, (1n << 64n) - 1n],
  byte: [-128n, 127n],
  short: [-32_768n, 32_767n],
  int: [-2_147_483_648n, 2_147_483_647n],
  long: [leastLong, greatestLong]
}

/** A whole number as the nearest single: from all of its bits, not by way of a double, which would round twice. */
const singleOf = (value: bigint): number => {
  const magnitude = value < 0n ? -value : value
  const spare = Math.max(0, magnitude.toString(2).length - 24)
  let kept = magnitude >> BigInt(spare)
  const rest = magnitude - (kept << BigInt(spare))
  const half = spare === 0 ? 1n : 1n << BigInt(spare - 1)
  if (spare > 0 && (rest > half || (rest === half && kept % 2n === 1n))) kept += 1n
  const rounded = Number(kept) * 2 ** spare
  return value < 0n ? -rounded : rounded
}

/** A number as a fraction: for decimals, which are exact. */
interface Fraction {
  readonly over: bigint
  readonly under: bigint
}

const fractionOf = (value: Value): Fraction | undefined =>
  value.kind === "whole"
    ? { over: value.value, under: 1n }
    : value.kind === "decimal"
    ? { over: value.digits, under: 10n ** BigInt(value.scale) }
    : undefined

type Pair =
  | { readonly of: "wholes"; readonly left: bigint; readonly right: bigint }
  | { readonly of: "singles" | "doubles"; readonly left: number; readonly right: number }
  | { readonly of: "decimals"; readonly left: Fraction; readonly right: Fraction }

const isNumeric = ({ kind }: Value) => kind === "whole" || kind === "single" || kind === "double" || kind === "decimal"

/** C# reckons with a character as with its code. */
const decoded = (value: Value): Value =>
  value.kind === "char" ? { kind: "whole", type: "ushort", value: BigInt(value.value.codePointAt(0)!) } : value

/** Two numbers in the type that C# promotes both to; undefined where one is no number. */
const promote = (one: Value, other: Value): Pair | undefined => {
  const [left, right] = [decoded(one), decoded(other)]
  if (!isNumeric(left) || !isNumeric(right)) return undefined
  if (left.kind === "whole" && right.kind === "whole") return { of: "wholes", left: left.value, right: right.value }
  const isOne = (kind: Value["kind"]) => left.kind === kind || right.kind === kind
  const isFloating = isOne("double") || isOne("single")
  if (isOne("decimal") && !isFloating) {
    return { of: "decimals", left: fractionOf(left)!, right: fractionOf(right)! }
  }
  // C# has no conversion between a decimal and the floating types; a constant with a point is a double, and the two are compared
  // as doubles.
  const isDouble = isOne("double") || isOne("decimal")
  const inType = (value: Value): number =>
    value.kind === "whole"
      ? isDouble ? Number(value.value) : singleOf(value.value)
      : value.kind === "decimal"
      ? Number(`${value.digits}e-${value.scale}`)
      : (value as { readonly value: number }).value
  return { of: isDouble ? "doubles" : "singles", left: inType(left), right: inType(right) }
}

// Comparison ----------------------------------------------------------------------------------------------------------------

const truth = (value: boolean): Truth => value ? "T" : "F"

const ordered = <A extends bigint | number | string>(operator: Comparison, left: A, right: A): Truth => {
  switch (operator) {
    case "=":
      return truth(left === right)
    case "<>":
      return truth(left !== right)
    case "<":
      return truth(left < right)
    case "<=":
      return truth(left <= right)
    case ">":
      return truth(left > right)
    case ">=":
      return truth(left >= right)
  }
}

/** Of two values that are there. Kinds that C# does not compare are unknown: the documentation of the broker says so. */
const compareValues = (operator: Comparison, left: Value, right: Value): Truth => {
  const numbers = promote(left, right)
  if (numbers !== undefined) {
    switch (numbers.of) {
      case "decimals":
        return ordered(operator, numbers.left.over * numbers.right.under, numbers.right.over * numbers.left.under)
      case "wholes":
        return ordered(operator, numbers.left, numbers.right)
      default:
        return ordered(operator, numbers.left, numbers.right)
    }
  }
  if (left.kind === "text" && right.kind === "text") return ordered(operator, left.value, right.value)
  if (left.kind === "time" && right.kind === "time") return ordered(operator, left.millis, right.millis)
  if (left.kind === "span" && right.kind === "span") return ordered(operator, left.ticks, right.ticks)
  if (left.kind === "boolean" && right.kind === "boolean") {
    return ordered(operator, Number(left.value), Number(right.value))
  }
  if (left.kind === "guid" && right.kind === "guid") return ordered(operator, left.value, right.value)
  const unlisted = new Set(["binary", "symbol"])
  return unlisted.has(left.kind) || unlisted.has(right.kind) ? "?" : "U"
}

/** What operands come to where one of them is no value; undefined where all are. */
const lacking = (...operands: ReadonlyArray<Result>): Result | undefined => {
  const kinds = new Set(operands.map(({ kind }) => kind))
  if (kinds.has("unsaid")) return unsaid
  const isError = kinds.has("error")
  const isUnknown = kinds.has("unknown")
  if (kinds.has("either") || isError && isUnknown) return either
  return isError ? error : isUnknown ? unknown : undefined
}

// Arithmetic ----------------------------------------------------------------------------------------------------------------

const double = (value: number): Value => ({ kind: "double", value })
const single = (value: number): Value => ({ kind: "single", value: Math.fround(value) })

const onNumbers = (operator: Arithmetic, left: number, right: number): number => {
  switch (operator) {
    case "+":
      return left + right
    case "-":
      return left - right
    case "*":
      return left * right
    case "/":
      return left / right
    case "%":
      return left % right
  }
}

const onWholes = (operator: Arithmetic, left: bigint, right: bigint): bigint | undefined => {
  switch (operator) {
    case "+":
      return left + right
    case "-":
      return left - right
    case "*":
      return left * right
    case "/":
      return right === 0n ? undefined : left / right
    case "%":
      return right === 0n ? undefined : left - left / right * right
  }
}

const onDecimals = (operator: Arithmetic, left: Fraction, right: Fraction): Result => {
  const [a, b] = [left.over * right.under, right.over * left.under]
  const under = left.under * right.under
  if ((operator === "/" || operator === "%") && b === 0n) return error
  switch (operator) {
    case "+":
      return decimal(a + b, under)
    case "-":
      return decimal(a - b, under)
    case "*":
      return decimal(left.over * right.over, under)
    case "/":
      return decimal(a, b)
    case "%":
      return decimal(a - a / b * b, under)
  }
}

/** A fraction as a decimal, where 28 digits are enough for it. */
const decimal = (over: bigint, under: bigint): Result => {
  for (let scale = 0; scale <= 28; scale++) {
    const scaled = over * 10n ** BigInt(scale)
    if (scaled % under !== 0n) continue
    const digits = scaled / under
    return digits.toString().replace("-", "").length > 28 ? unsaid : { kind: "decimal", bits: 128, digits, scale }
  }
  return unsaid
}

const calculate = (operator: Arithmetic, left: Value, right: Value): Result => {
  const numbers = promote(left, right)
  switch (numbers?.of) {
    case "decimals":
      return onDecimals(operator, numbers.left, numbers.right)
    case "doubles":
      return double(onNumbers(operator, numbers.left, numbers.right))
    case "singles":
      return single(onNumbers(operator, numbers.left, numbers.right))
    case "wholes": {
      const result = onWholes(operator, numbers.left, numbers.right)
      if (result === undefined) return error
      if (result >= leastLong && result <= greatestLong) return { kind: "whole", type: "long", value: result }
      // A ulong is no long: C# has no operator for the two, and the documentation no word.
      return [left, right].some((value) => value.kind === "whole" && value.type === "ulong") ? unsaid : error
    }
    case undefined:
  }
  if (operator === "+" && left.kind === "text" && right.kind === "text") {
    return { kind: "text", value: left.value + right.value }
  }
  // C# joins a text and whatever else.
  if (operator === "+" && (left.kind === "text" || right.kind === "text")) {
    const texts = [textOf(left), textOf(right)]
    return texts.includes(undefined) ? unsaid : { kind: "text", value: texts.join("") }
  }
  if (left.kind === "time" && right.kind === "time" && operator === "-") {
    return { kind: "span", ticks: (left.millis - right.millis) * 10_000n }
  }
  if (left.kind === "time" && right.kind === "span" && (operator === "+" || operator === "-")) {
    if (right.ticks % 10_000n !== 0n) return unsaid
    const moved = right.ticks / 10_000n
    return { kind: "time", millis: operator === "+" ? left.millis + moved : left.millis - moved }
  }
  if (left.kind === "span" && right.kind === "span" && (operator === "+" || operator === "-")) {
    return { kind: "span", ticks: operator === "+" ? left.ticks + right.ticks : left.ticks - right.ticks }
  }
  const unlisted = new Set(["binary", "symbol", "span"])
  return unlisted.has(left.kind) || unlisted.has(right.kind) ? unsaid : error
}

/** How C# writes it; undefined where that is another thing in each culture or version. */
const textOf = (value: Value): string | undefined => {
  switch (value.kind) {
    case "text":
    case "char":
    case "guid":
      return value.value
    case "whole":
      return String(value.value)
    case "boolean":
      return value.value ? "True" : "False"
    default:
      return undefined
  }
}

const signed = (operator: "+" | "-", given: Value): Result => {
  const value = decoded(given)
  switch (value.kind) {
    case "unknown":
      return unknown
    case "whole": {
      const result = operator === "-" ? -value.value : value.value
      if (result > greatestLong || result < leastLong) return value.type === "ulong" ? unsaid : error
      return { kind: "whole", type: "long", value: result }
    }
    case "single":
    case "double":
      return { kind: value.kind, value: operator === "-" ? -value.value : value.value }
    case "decimal":
      return { ...value, digits: operator === "-" ? -value.digits : value.digits }
    case "span":
      return { kind: "span", ticks: operator === "-" ? -value.ticks : value.ticks }
    case "binary":
    case "symbol":
      return unsaid
    default:
      return error
  }
}

// Expressions ---------------------------------------------------------------------------------------------------------------

/** The system properties of a message that the trees here use, by the names of both generations of Microsoft's clients. */
const systemNames: ReadonlyMap<string, string> = new Map([
  ["contenttype", "ContentType"],
  ["correlationid", "CorrelationId"],
  ["label", "Label"],
  ["subject", "Label"],
  ["messageid", "MessageId"],
  ["partitionkey", "PartitionKey"],
  ["replyto", "ReplyTo"],
  ["replytosessionid", "ReplyToSessionId"],
  ["sessionid", "SessionId"],
  ["to", "To"]
])

const sameName = (one: string, other: string) => one.toLowerCase() === other.toLowerCase()

const userProperty = (message: Message, name: string): Value | undefined => {
  for (const [each, value] of message.properties) if (sameName(each, name)) return value
  return undefined
}

/** Undefined where the message lacks it. */
const propertyOf = (message: Message, { name, scope }: Property): Result | undefined => {
  if (scope !== "sys") return userProperty(message, name)
  const value = message.system.get(systemNames.get(name.toLowerCase())!)
  return value === undefined ? undefined : { kind: "text", value }
}

export const evaluate = (expression: Expression, message: Message): Result => {
  switch (expression.node) {
    case "constant":
    case "parameter":
      return expression.value
    case "property":
      return propertyOf(message, expression) ?? unknown
    case "lookup": {
      const name = evaluate(expression.name, message)
      return name.kind === "text" ? userProperty(message, name.value) ?? unknown : unsaid
    }
    case "sign": {
      const operand = evaluate(expression.operand, message)
      return isValue(operand) ? signed(expression.operator, operand) : operand
    }
    case "binary": {
      const left = evaluate(expression.left, message)
      const right = evaluate(expression.right, message)
      return lacking(left, right) ?? calculate(expression.operator, left as Value, right as Value)
    }
  }
}

const isValue = (result: Result): result is Value =>
  result.kind !== "error" && result.kind !== "unsaid" && result.kind !== "either"

// Predicates ----------------------------------------------------------------------------------------------------------------

/** What it may be: more than one where nothing says in which order the sides are evaluated. */
export type Truths = ReadonlySet<Truth>

const only = (...truths: ReadonlyArray<Truth>): Truths => new Set(truths)

const fromResult = (result: Result): Truths => {
  switch (result.kind) {
    case "error":
      return only("E")
    case "either":
      return only("U", "E")
    case "unknown":
      return only("U")
    default:
      return only("?")
  }
}

const conjunction: Readonly<Record<string, Truth>> = {
  TT: "T",
  TF: "F",
  TU: "U",
  FT: "F",
  FF: "F",
  FU: "F",
  UT: "U",
  UF: "F",
  UU: "U"
}

const negation: Readonly<Record<Truth, Truth>> = { T: "F", F: "T", U: "U", E: "E", "?": "?" }

const negate = (truths: Truths): Truths => new Set(Array.from(truths, (each) => negation[each]))

const both = (left: Truths, right: Truths): Truths => {
  const all = new Set<Truth>()
  for (const a of left) {
    for (const b of right) {
      if (a === "?" || b === "?") all.add("?")
      else if (a === "E") all.add("E")
      else if (b === "E") {
        // A side that decides may leave the other one out.
        if (a === "F") all.add("F")
        all.add("E")
      } else all.add(conjunction[a + b]!)
    }
  }
  return all
}

export const judge = (predicate: Predicate, message: Message): Truths => {
  switch (predicate.node) {
    case "not":
      return negate(judge(predicate.operand, message))
    case "and":
      return both(judge(predicate.left, message), judge(predicate.right, message))
    case "or":
      return negate(both(negate(judge(predicate.left, message)), negate(judge(predicate.right, message))))
    case "compare": {
      const left = evaluate(predicate.left, message)
      const right = evaluate(predicate.right, message)
      const result = lacking(left, right)
      return result === undefined
        ? only(compareValues(predicate.operator, left as Value, right as Value))
        : fromResult(result)
    }
    case "isNull": {
      const value = propertyOf(message, predicate.property) ?? unknown
      if (!isValue(value)) return fromResult(value)
      return only(truth((value.kind === "unknown") !== predicate.negated))
    }
    case "exists": {
      const value = propertyOf(message, predicate.property)
      // The documentation speaks of application properties alone: whether a system property without a value exists is not said.
      if (predicate.property.scope === "sys" && (value === undefined || !isValue(value))) return only("?")
      return only(truth(value !== undefined))
    }
    case "in":
      return judgeIn(predicate, message)
    case "like":
      return judgeLike(predicate, message)
  }
}

const judgeIn = (
  { choices, left, negated }: Extract<Predicate, { node: "in" }>,
  message: Message
): Truths => {
  const value = evaluate(left, message)
  const results = choices.map((choice) => evaluate(choice, message))
  const fails = results.some(({ kind }) => kind === "error" || kind === "either")
  if (!isValue(value) || value.kind === "unknown") {
    return value.kind === "unknown" && fails ? only("U", "E") : fromResult(value)
  }
  const found = new Set(results.map((result) =>
    isValue(result) && result.kind !== "unknown"
      ? compareValues("=", value, result)
      : result.kind === "unsaid"
      ? "?" as const
      : "F" as const
  ))
  if (found.has("?")) return only("?")
  const isIn = found.has("T")
  const result = truth(isIn !== negated)
  if (!fails) return only(result)
  return isIn ? only(result, "E") : only("E")
}

/** A part of a pattern: a character, any one, or any run. */
type Part = { readonly is: "one"; readonly character: string } | { readonly is: "any" | "run" }

const partsOf = (pattern: string, escape: string | undefined): ReadonlyArray<Part> | undefined => {
  const parts: Array<Part> = []
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index]!
    if (character === escape) {
      const next = pattern[++index]
      // What an escape means before anything but a wildcard or itself is not said.
      if (next === undefined || next !== "%" && next !== "_" && next !== escape) return undefined
      parts.push({ is: "one", character: next })
    } else if (character === "%") parts.push({ is: "run" })
    else if (character === "_") parts.push({ is: "any" })
    else parts.push({ is: "one", character })
  }
  return parts
}

/** Which beginnings of the text the parts so far match: one row of a table for each part. */
const matches = (subject: string, parts: ReadonlyArray<Part>): boolean => {
  let row: ReadonlyArray<boolean> = Array.from({ length: subject.length + 1 }, (_, length) => length === 0)
  for (const part of parts) {
    const before = row
    row = before.map((_, length) => {
      if (part.is === "run") return before.slice(0, length + 1).includes(true)
      if (length === 0 || !before[length - 1]) return false
      return part.is !== "one" || part.character === subject[length - 1]
    })
  }
  return row[subject.length]!
}

const judgeLike = (
  { escape, left, negated, pattern }: Extract<Predicate, { node: "like" }>,
  message: Message
): Truths => {
  const results = [left, pattern, ...(escape === undefined ? [] : [escape])].map((each) => evaluate(each, message))
  const result = lacking(...results)
  if (result !== undefined) return fromResult(result)
  const texts = results.map((each) => each.kind === "text" ? each.value : undefined)
  const [subject, form, sign] = texts
  if (texts.includes(undefined) || sign !== undefined && sign.length !== 1) return only("?")
  const parts = partsOf(form!, sign)
  return parts === undefined ? only("?") : only(truth(matches(subject!, parts) !== negated))
}

// Correlation filters -------------------------------------------------------------------------------------------------------

/** Whether a message has every value that is asked for: `?` where nobody says whether two of them are equal. */
export const correlates = (asked: Message, message: Message): Truth => {
  const results = [
    ...Array.from(asked.system, ([name, value]) => truth(message.system.get(name) === value)),
    ...Array.from(asked.properties, ([name, value]) => {
      const actual = userProperty(message, name) ?? unknown
      return actual.kind === "unknown" ? "F" as const : compareValues("=", value, actual)
    })
  ]
  if (results.includes("?")) return "?"
  return truth(results.every((each) => each === "T"))
}

// Actions -------------------------------------------------------------------------------------------------------------------

/** What a message is after an action: `undefined` where it fails, `"unsaid"` where nobody says. */
export type After = Message | undefined | "unsaid"

/** A half goes to the even number beside it: so does `Convert.ToInt32` of a double and of a decimal. */
const nearest = (over: bigint, under: bigint): bigint => {
  const below = over / under - (over < 0n && over % under !== 0n ? 1n : 0n)
  const twice = (over - below * under) * 2n
  return twice > under || twice === under && below % 2n !== 0n ? below + 1n : below
}

/** A number that is finite as a fraction of a power of two. */
const exactly = (value: number): Fraction => {
  let under = 1n
  let over = value
  while (!Number.isInteger(over)) {
    over *= 2
    under *= 2n
  }
  return { over: BigInt(over), under }
}

const numberOf = (value: Value): number | undefined => {
  switch (value.kind) {
    case "whole":
      return Number(value.value)
    case "boolean":
      return Number(value.value)
    case "single":
    case "double":
      return value.value
    case "decimal":
      return Number(`${value.digits}e-${value.scale}`)
    case "text":
      return /^[+-]?\d+(\.\d+)?$/.test(value.value) ? Number(value.value) : undefined
    default:
      return undefined
  }
}

const wholeOf = (value: Value): bigint | undefined => {
  switch (value.kind) {
    case "whole":
      return value.value
    case "char":
      return BigInt(value.value.codePointAt(0)!)
    case "boolean":
      return value.value ? 1n : 0n
    case "decimal": {
      const { over, under } = fractionOf(value)!
      return nearest(over, under)
    }
    case "single":
    case "double": {
      if (!Number.isFinite(value.value)) return undefined
      const { over, under } = exactly(value.value)
      return nearest(over, under)
    }
    case "text":
      return /^\s*[+-]?\d+\s*$/.test(value.value) ? BigInt(value.value.trim().replace("+", "")) : undefined
    default:
      return undefined
  }
}

/** What C# writes in another way in each culture or version, or reads so. */
const isVarying = ({ kind }: Value) =>
  kind === "double" || kind === "single" || kind === "decimal" || kind === "time" || kind === "span"

/**
 * A value in the type of the one that it overwrites. The page says that there is a conversion; what is converted to what, and that
 * the action fails otherwise, is in Microsoft's library for .NET Framework (SetPropertyExpression: `Convert.ChangeType`, and texts
 * to and from GUIDs and spans).
 */
const converted = (value: Value, before: Value | undefined): Result => {
  if (before === undefined || before.kind === "unknown") return value
  if (value.kind === before.kind && (value.kind !== "whole" || value.type === (before as { type: WholeType }).type)) {
    return value
  }
  if (value.kind === "symbol" || before.kind === "symbol") return unsaid
  if (value.kind === "unknown") return before.kind === "text" || before.kind === "binary" ? value : error
  const mayBeRead = value.kind === "text" && /\d/.test(value.value)
  switch (before.kind) {
    case "whole": {
      const whole = wholeOf(value)
      const [least, greatest] = ranges[before.type]
      return whole === undefined || whole < least || whole > greatest
        ? error
        : { kind: "whole", type: before.type, value: whole }
    }
    case "double":
    case "single": {
      const number = numberOf(value)
      if (number === undefined) return mayBeRead ? unsaid : error
      if (before.kind === "double") return double(number)
      return single(value.kind === "whole" ? singleOf(value.value) : number)
    }
    case "decimal": {
      const whole = isNumeric(value) && value.kind !== "whole" ? undefined : wholeOf(value)
      if (value.kind === "char") return error
      if (whole !== undefined) return { kind: "decimal", bits: 128, digits: whole, scale: 0 }
      return isVarying(value) && isNumeric(value) || mayBeRead ? unsaid : error
    }
    case "boolean": {
      if (value.kind === "text") {
        const word = value.value.trim().toLowerCase()
        return word === "true" || word === "false" ? { kind: "boolean", value: word === "true" } : error
      }
      const number = isNumeric(value) ? numberOf(value) : undefined
      return number === undefined ? error : { kind: "boolean", value: number !== 0 }
    }
    case "text": {
      const words = textOf(value)
      return words === undefined ? isVarying(value) ? unsaid : error : { kind: "text", value: words }
    }
    case "guid":
      return value.kind === "text" && /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value.value)
        ? { kind: "guid", value: value.value }
        : mayBeRead
        ? unsaid
        : error
    case "char": {
      if (value.kind === "text" && value.value.length === 1) return { kind: "char", value: value.value }
      if (value.kind !== "whole" || value.value < 0n || value.value > 65_535n) return error
      const code = Number(value.value)
      return code >= 0xd800 && code <= 0xdfff ? unsaid : { kind: "char", value: String.fromCodePoint(code) }
    }
    default:
      return mayBeRead && before.kind !== "binary" ? unsaid : error
  }
}

/**
 * Whether a rule is refused: it names a system property that there is not, or sets one that cannot be set (the same library,
 * GetPropertyExpression and SetPropertyExpression). The trees read none of the latter.
 */
export const refuses = (tree: unknown): boolean => {
  if (typeof tree !== "object" || tree === null) return false
  const { name, scope } = tree as { readonly name?: unknown; readonly scope?: unknown }
  if (scope === "sys" && !systemNames.has(String(name).toLowerCase())) return true
  return Object.values(tree).some(refuses)
}

export const act = (statements: ReadonlyArray<Statement>, message: Message): After => {
  const properties = new Map(message.properties)
  const system = new Map(message.system)
  const spelled = (name: string) => Array.from(properties.keys()).find((each) => sameName(each, name)) ?? name
  for (const statement of statements) {
    const { name, scope } = statement.property
    if (statement.node === "remove") {
      // The same, RemovePropertyExpression.
      if (scope === "sys") return undefined
      properties.delete(spelled(name))
      continue
    }
    const result = evaluate(statement.value, { properties, system })
    if (result.kind === "error") return undefined
    if (!isValue(result)) return "unsaid"
    if (scope === "sys") {
      const known = systemNames.get(name.toLowerCase())
      if (known === undefined || result.kind !== "text") return "unsaid"
      system.set(known, result.value)
    } else {
      const value = converted(result, userProperty({ properties, system }, name))
      if (value.kind === "error") return undefined
      if (!isValue(value)) return "unsaid"
      properties.set(spelled(name), value)
    }
  }
  return { properties, system }
}
