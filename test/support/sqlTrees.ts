/** Trees of SQL: made by a seed, and printed as text in one of the many ways to say them. */
import type {
  Comparison,
  Expression,
  Predicate,
  Property,
  Statement
} from "../../src/emulator/broker/filter/SqlParser.ts"

type Pick = (n: number) => number

const names = ["color", "Total", "a1_b", "größe", "and", "two words", "a]b", "a\"b", "sys", "p", "x"]
const texts = ["", "red", "it's", "50%", "a_b", "ünï", "'"]

const property = (pick: Pick): Property =>
  pick(4) === 0
    ? { kind: "property", scope: "sys", name: (["label", "messageid", "to"] as const)[pick(3)]! }
    : { kind: "property", scope: "user", name: names[pick(names.length)]! }

const expression = (pick: Pick, depth: number): Expression => {
  switch (depth <= 0 ? pick(6) : pick(10)) {
    case 0:
    case 1:
      return property(pick)
    case 2:
      return { kind: "constant", value: [null, true, false, texts[pick(texts.length)]!][pick(4)]! }
    case 3:
      return { kind: "constant", value: BigInt(pick(1000)) * (pick(3) === 0 ? 9_223_372_036_854_775n : 1n) }
    case 4:
      return { kind: "constant", value: [0.5, 2, 1.25e21, 3e-9][pick(4)]! }
    case 5:
      return pick(2) === 0 ? { kind: "newid" } : { kind: "parameter", name: ["a", "b"][pick(2)]!, at: 0 }
    case 6:
      return { kind: "propertyNamed", name: expression(pick, depth - 1) }
    case 7:
      return { kind: "sign", operator: pick(2) === 0 ? "+" : "-", operand: expression(pick, depth - 1) }
    default:
      return {
        kind: "arithmetic",
        operator: (["+", "-", "*", "/", "%"] as const)[pick(5)]!,
        left: expression(pick, depth - 1),
        right: expression(pick, depth - 1)
      }
  }
}

/** A predicate of at most so many levels. */
export const predicateOf = (pick: Pick, depth: number): Predicate => {
  const isNegated = pick(2) === 0
  switch (depth <= 0 ? pick(5) : pick(8)) {
    case 0:
    case 1:
      return {
        kind: "comparison",
        operator: (["=", "<>", ">", ">=", "<", "<="] as ReadonlyArray<Comparison>)[pick(6)]!,
        left: expression(pick, depth),
        right: expression(pick, depth)
      }
    case 2:
      return { kind: "isNull", operand: property(pick), isNegated }
    case 3:
      return {
        kind: "in",
        operand: expression(pick, depth),
        items: Array.from({ length: 1 + pick(3) }, () => expression(pick, depth - 1)),
        isNegated
      }
    case 4:
      return pick(3) === 0
        ? { kind: "exists", operand: property(pick) }
        : {
          kind: "like",
          operand: expression(pick, depth - 1),
          pattern: expression(pick, depth - 1),
          escape: pick(2) === 0 ? undefined : expression(pick, depth - 1),
          isNegated,
          at: { at: 0, text: "" }
        }
    case 5:
      return { kind: "not", operand: predicateOf(pick, depth - 1) }
    default: {
      const kind = pick(2) === 0 ? "and" : "or"
      // A chain of one operator is one node.
      const operands = Array.from({ length: 2 + pick(2) }, () => predicateOf(pick, depth - 1))
      return { kind, operands: operands.map((each) => each.kind === kind ? { kind: "not", operand: each } : each) }
    }
  }
}

/** Statements of an action. */
export const statementsOf = (pick: Pick): ReadonlyArray<Statement> =>
  Array.from({ length: 1 + pick(4) }, (): Statement =>
    pick(3) === 0
      ? { kind: "remove", target: property(pick) }
      : { kind: "set", target: property(pick), value: expression(pick, 2) })

/** Prints trees; what may be said in several ways is said in one that `pick` gives. */
export const printer = (pick: Pick) => {
  const space = () => [" ", "  ", "\n", "\t"][pick(4)]!
  const word = (text: string) => pick(2) === 0 ? text : text.toLowerCase()
  const spaced = (...parts: ReadonlyArray<string>) => parts.reduce((text, part) => text + space() + part)
  const identifier = (name: string) => {
    if (/^[a-z]\w*$/i.test(name) && name !== "and" && pick(2) === 0) return name
    return pick(2) === 0 ? `[${name.replaceAll("]", "]]")}]` : `"${name.replaceAll("\"", "\"\"")}"`
  }
  const named = ({ name, scope }: Property) =>
    scope === "sys"
      ? `${word("SYS")}.${identifier(name)}`
      : pick(2) === 0
      ? `user.${identifier(name)}`
      // Before a bracket these would be functions.
      : identifier(name)
  const constant = (value: string | bigint | number | boolean | null): string =>
    value === null
      ? word("NULL")
      : typeof value === "boolean"
      ? word(String(value).toUpperCase())
      : typeof value === "string"
      ? `'${value.replaceAll("'", "''")}'`
      : typeof value === "bigint"
      ? String(value)
      : Number.isInteger(value) && value < 1e21
      ? `${value}.0`
      : String(value).toUpperCase()

  const levels = { "+": 1, "-": 1, "*": 2, "/": 2, "%": 2 }
  const levelOf = (node: Expression) =>
    node.kind === "arithmetic" ? levels[node.operator] : node.kind === "sign" ? 3 : 4
  const enclosed = (text: string, isNeeded: boolean) => isNeeded || pick(8) === 0 ? `(${text})` : text

  const print = (node: Expression, least = 0): string => enclosed(bare(node), levelOf(node) < least)
  const bare = (node: Expression): string => {
    switch (node.kind) {
      case "constant":
        return constant(node.value)
      case "property":
        return named(node)
      case "propertyNamed":
        return `${pick(2) === 0 ? word("P") : word("PROPERTY")}(${print(node.name)})`
      case "parameter":
        return `@${node.name}`
      case "newid":
        return `${word("NEWID")}()`
      case "sign":
        // A minus before digits would be part of the number.
        return node.operator + space() + (isDigits(node.operand) ? `(${bare(node.operand)})` : print(node.operand, 3))
      case "arithmetic": {
        const level = levels[node.operator]
        return spaced(print(node.left, level), node.operator, print(node.right, level + 1))
      }
    }
  }
  const isDigits = (node: Expression) => node.kind === "constant" && typeof node.value === "bigint"

  const predicateLevel = (node: Predicate) =>
    node.kind === "or" ? 0 : node.kind === "and" ? 1 : node.kind === "not" ? 2 : 3
  const predicate = (node: Predicate, least = 0): string => {
    const text = barePredicate(node)
    return enclosed(text, predicateLevel(node) < least)
  }
  const barePredicate = (node: Predicate): string => {
    const not = "isNegated" in node && node.isNegated ? [word("NOT")] : []
    switch (node.kind) {
      case "and":
      case "or": {
        const level = node.kind === "or" ? 1 : 2
        return node.operands.map((each) => predicate(each, level)).join(
          space() + word(node.kind.toUpperCase()) + space()
        )
      }
      case "not":
        return spaced(word("NOT"), predicate(node.operand, 2))
      case "comparison": {
        const operator = node.operator === "<>" && pick(2) === 0 ? "!=" : node.operator
        return spaced(print(node.left), operator, print(node.right))
      }
      case "isNull":
        return spaced(named(node.operand as Property), word("IS"), ...not, word("NULL"))
      case "in":
        return spaced(print(node.operand), ...not, word("IN"), `(${node.items.map((item) => print(item)).join(",")})`)
      case "like": {
        const escape = node.escape === undefined ? [] : [word("ESCAPE"), print(node.escape)]
        return spaced(print(node.operand), ...not, word("LIKE"), print(node.pattern), ...escape)
      }
      case "exists":
        return `${word("EXISTS")}${space()}(${named(node.operand as Property)})`
    }
  }
  const statement = (node: Statement) =>
    node.kind === "remove"
      ? spaced(word("REMOVE"), named(node.target))
      : spaced(word("SET"), named(node.target), "=", print(node.value))
  return {
    predicate: (node: Predicate) => predicate(node),
    statements: (nodes: ReadonlyArray<Statement>) =>
      nodes.map(statement).join(pick(2) === 0 ? ";" : " ") + (pick(2) === 0 ? ";" : "")
  }
}
