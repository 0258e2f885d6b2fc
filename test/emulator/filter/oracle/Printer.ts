/**
 * Writes a tree as SQL, in whatever spelling the grammar allows: the case of keywords, space or none, parentheses that change
 * nothing, and each form of a name. The parentheses that are needed follow from the precedence of SQL-92.
 */
import type { Random } from "./Random.ts"
import type { Expression, Predicate, Property, Statement, Value } from "./Tree.ts"

/** The words of the grammar: none of them is a name without delimiters. */
const reserved = new Set(
  "and or not is null in like escape exists true false set remove".split(" ")
)

const regular = /^\p{L}[\p{L}\p{Nd}_]*$/u

/** Functions and scopes are no reserved words, but read otherwise where they stand alone. */
const isRegular = (name: string) =>
  regular.test(name) && !reserved.has(name.toLowerCase()) && !/^(sys|user|p|property|newid)$/i.test(name)

/** How strongly an operator binds; what binds less needs parentheses. */
const strength = { or: 1, and: 2, not: 3, predicate: 4, sum: 5, product: 6, sign: 7, atom: 8 }

/** Tokens, and how strongly what they are binds. */
interface Written {
  readonly tokens: ReadonlyArray<string>
  readonly binds: number
}

export class Printer {
  private readonly random: Random

  constructor(random: Random) {
    this.random = random
  }

  predicate(tree: Predicate): string {
    return this.join(this.predicateOf(tree).tokens)
  }

  statements(all: ReadonlyArray<Statement>): string {
    const tokens = all.flatMap((statement, index) => [
      ...this.statementOf(statement),
      // The semicolon is optional.
      ...(this.random.once(3) && (index < all.length - 1 || this.random.once(2)) ? [] : [";"])
    ])
    return this.join(tokens)
  }

  private statementOf(statement: Statement): ReadonlyArray<string> {
    return statement.node === "remove"
      ? [this.keyword("remove"), ...this.property(statement.property)]
      : [this.keyword("set"), ...this.property(statement.property), "=", ...this.expressionOf(statement.value).tokens]
  }

  private predicateOf(tree: Predicate): Written {
    const written = this.barePredicate(tree)
    return this.random.once(9) ? { tokens: ["(", ...written.tokens, ")"], binds: strength.atom } : written
  }

  private barePredicate(tree: Predicate): Written {
    const value = (expression: Expression) => this.within(this.expressionOf(expression), strength.sum)
    const not = (negated: boolean) => negated ? [this.keyword("not")] : []
    switch (tree.node) {
      case "not":
        return {
          tokens: [this.keyword("not"), ...this.within(this.predicateOf(tree.operand), strength.not)],
          binds: strength.not
        }
      case "and":
      case "or": {
        const binds = strength[tree.node]
        return {
          tokens: [
            ...this.within(this.predicateOf(tree.left), binds),
            this.keyword(tree.node),
            ...this.within(this.predicateOf(tree.right), binds + 1)
          ],
          binds
        }
      }
      case "compare": {
        const operator = tree.operator === "<>" ? this.random.pick(["<>", "!="]) : tree.operator
        return { tokens: [...value(tree.left), operator, ...value(tree.right)], binds: strength.predicate }
      }
      case "isNull":
        return {
          tokens: [...this.property(tree.property), this.keyword("is"), ...not(tree.negated), this.keyword("null")],
          binds: strength.predicate
        }
      case "exists":
        return {
          tokens: [this.keyword("exists"), "(", ...this.property(tree.property), ")"],
          binds: strength.predicate
        }
      case "in": {
        const choices = tree.choices.flatMap((each, index) => [
          ...(index === 0 ? [] : [","]),
          ...this.expressionOf(each).tokens
        ])
        return {
          tokens: [...value(tree.left), ...not(tree.negated), this.keyword("in"), "(", ...choices, ")"],
          binds: strength.predicate
        }
      }
      case "like":
        return {
          tokens: [
            ...value(tree.left),
            ...not(tree.negated),
            this.keyword("like"),
            ...value(tree.pattern),
            ...(tree.escape === undefined ? [] : [this.keyword("escape"), ...value(tree.escape)])
          ],
          binds: strength.predicate
        }
    }
  }

  private expressionOf(tree: Expression): Written {
    const written = this.bareExpression(tree)
    return this.random.once(12) ? { tokens: ["(", ...written.tokens, ")"], binds: strength.atom } : written
  }

  private bareExpression(tree: Expression): Written {
    switch (tree.node) {
      case "constant":
        return { tokens: [this.constant(tree.value)], binds: strength.atom }
      case "property":
        return { tokens: this.property(tree), binds: strength.atom }
      case "parameter":
        return { tokens: [tree.name.replace(/[a-z]/gi, (letter) => this.cased(letter))], binds: strength.atom }
      case "lookup":
        return {
          tokens: [
            this.cased(this.random.pick(["property", "p"])),
            "(",
            ...this.expressionOf(tree.name).tokens,
            ")"
          ],
          binds: strength.atom
        }
      case "sign":
        return {
          tokens: [tree.operator, ...this.within(this.expressionOf(tree.operand), strength.sign)],
          binds: strength.sign
        }
      case "binary": {
        const binds = tree.operator === "+" || tree.operator === "-" ? strength.sum : strength.product
        return {
          tokens: [
            ...this.within(this.expressionOf(tree.left), binds),
            tree.operator,
            ...this.within(this.expressionOf(tree.right), binds + 1)
          ],
          binds
        }
      }
    }
  }

  private within({ binds, tokens }: Written, needed: number): ReadonlyArray<string> {
    return binds < needed ? ["(", ...tokens, ")"] : tokens
  }

  private property({ name, scope }: Property): ReadonlyArray<string> {
    const prefix = scope === undefined ? "" : `${this.cased(scope)}.`
    return [`${prefix}${this.name(name)}`]
  }

  private name(name: string): string {
    const delimited = `[${name.replaceAll("]", "]]")}]`
    const quoted = `"${name.replaceAll("\"", "\"\"")}"`
    return isRegular(name) && !this.random.once(5) ? name : this.random.once(3) ? quoted : delimited
  }

  private constant(value: Value): string {
    switch (value.kind) {
      case "unknown":
        return this.keyword("null")
      case "boolean":
        return this.keyword(String(value.value))
      case "text":
        return `'${value.value.replaceAll("'", "''")}'`
      case "whole":
        return `${this.random.once(10) && value.value >= 0n ? "00" : ""}${value.value}`
      case "double":
        return this.double(value.value)
      default:
        throw new Error(`there is no constant of a ${value.kind}`)
    }
  }

  /** With a point, or with an exponent. */
  private double(value: number): string {
    const plain = String(value)
    if (!/[eE]/.test(plain) && this.random.once(2)) return plain.includes(".") ? plain : `${plain}.0`
    const [mantissa, exponent] = value.toExponential().split("e")
    const withPoint = mantissa!.includes(".") ? mantissa : `${mantissa}.0`
    return `${withPoint}${this.random.pick(["E", "e"])}${exponent!.replace("+", this.random.pick(["", "+"]))}`
  }

  private keyword(word: string): string {
    return this.random.once(2) ? word.toUpperCase() : this.cased(word)
  }

  private cased(word: string): string {
    return Array.from(word, (letter) => this.random.once(2) ? letter.toUpperCase() : letter.toLowerCase()).join("")
  }

  private join(tokens: ReadonlyArray<string>): string {
    const isDense = this.random.once(3)
    let text = this.random.once(6) ? this.space() : ""
    tokens.forEach((token, index) => {
      const before = tokens[index - 1]
      if (before !== undefined && (!isDense || !this.random.once(2) || mustPart(before, token))) text += this.space()
      text += token
    })
    return this.random.once(6) ? text + this.space() : text
  }

  private space(): string {
    return this.random.once(8) ? this.random.pick(["  ", "\t", "\n", "\r\n", " \n  "]) : " "
  }
}

/** Two words would be one; two signs might be a comment, and `<` before `=` another operator. */
const mustPart = (before: string, after: string): boolean =>
  /[\p{L}\p{Nd}_.]$/u.test(before) && /^[\p{L}\p{Nd}_.@]/u.test(after) ||
  /[-+*/%<>=!]$/.test(before) && /^[-+*/%<>=!]/.test(after) ||
  before.endsWith("'") && after.startsWith("'") ||
  before.endsWith("\"") && after.startsWith("\"")
