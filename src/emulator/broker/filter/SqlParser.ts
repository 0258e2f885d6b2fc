/**
 * The grammar of SQL filters and actions (Service Bus, SQL filter syntax and SQL action syntax) as a parser by recursive descent:
 * text to a tree, or a `SqlProblem` with the token in error.
 *
 * The grammar has predicates and expressions, which parentheses may enclose alike: both are parsed by one set of functions, and
 * each operator checks which of the two it was given. From high to low they bind: signs; `*` `/` `%`; `+` `-`; comparisons, IN,
 * LIKE, IS NULL and EXISTS; NOT; AND; OR.
 */
import { settableNameOf, type SystemName, systemNameOf } from "./FilterMessage.ts"
import { type Kind, maxLength, SqlProblem, type Token, tokensOf } from "./SqlLexer.ts"

/** How deep parentheses, signs, NOT and functions may stand in each other. @category constants */
export const maxDepth = 100

/** How many statements an action may have (Service Bus quotas). @category constants */
export const maxStatements = 32

/**
 * A property: of the application, by its name as it was written, or one of the system's.
 *
 * @category models
 */
export type Property =
  | { readonly kind: "property"; readonly scope: "user"; readonly name: string }
  | { readonly kind: "property"; readonly scope: "sys"; readonly name: SystemName }

/** @category models */
export type Arithmetic = "+" | "-" | "*" | "/" | "%"

/** @category models */
export type Comparison = "=" | "<>" | ">" | ">=" | "<" | "<="

/**
 * What has a value.
 *
 * @category models
 */
export type Expression =
  | { readonly kind: "constant"; readonly value: string | bigint | number | boolean | null }
  | Property
  | { readonly kind: "propertyNamed"; readonly name: Expression }
  | { readonly kind: "parameter"; readonly name: string; readonly at: number }
  | { readonly kind: "newid" }
  | { readonly kind: "sign"; readonly operator: "+" | "-"; readonly operand: Expression }
  | {
    readonly kind: "arithmetic"
    readonly operator: Arithmetic
    readonly left: Expression
    readonly right: Expression
  }

/** What IS NULL and EXISTS are said of. @category models */
export type PropertyReference = Extract<Expression, { readonly kind: "property" | "propertyNamed" }>

/**
 * What is true, false or unknown.
 *
 * @category models
 */
export type Predicate =
  | { readonly kind: "and" | "or"; readonly operands: ReadonlyArray<Predicate> }
  | { readonly kind: "not"; readonly operand: Predicate }
  | {
    readonly kind: "comparison"
    readonly operator: Comparison
    readonly left: Expression
    readonly right: Expression
  }
  | { readonly kind: "isNull"; readonly operand: PropertyReference; readonly isNegated: boolean }
  | {
    readonly kind: "in"
    readonly operand: Expression
    readonly items: ReadonlyArray<Expression>
    readonly isNegated: boolean
  }
  | {
    readonly kind: "like"
    readonly operand: Expression
    readonly pattern: Expression
    readonly escape: Expression | undefined
    readonly isNegated: boolean
    /** The first token of the pattern. */
    readonly at: Pick<Token, "at" | "text">
  }
  | { readonly kind: "exists"; readonly operand: PropertyReference }

/** A statement of an action. @category models */
export type Statement =
  | { readonly kind: "set"; readonly target: Property; readonly value: Expression }
  | { readonly kind: "remove"; readonly target: Property }

/** The condition of a SQL filter. Throws a `SqlProblem`. @category conversions */
export const parseFilter = (text: string): Predicate => {
  const parser = parserOf(text)
  const predicate = parser.predicate()
  parser.end()
  return predicate
}

/** The statements of a SQL action. Throws a `SqlProblem`. @category conversions */
export const parseAction = (text: string): ReadonlyArray<Statement> => {
  const parser = parserOf(text)
  const statements = parser.statements()
  parser.end()
  return statements
}

const parserOf = (text: string): Parser => {
  if (text.length > maxLength) {
    throw new SqlProblem(`the expression has more than ${maxLength} characters`, maxLength, "")
  }
  return new Parser(tokensOf(text))
}

type Node = Expression | Predicate

const comparisons: ReadonlyMap<Kind, Comparison> = new Map<Kind, Comparison>([
  ["=", "="],
  ["<>", "<>"],
  ["!=", "<>"],
  [">", ">"],
  [">=", ">="],
  ["<", "<"],
  ["<=", "<="]
])

const predicates: ReadonlySet<Node["kind"]> = new Set([
  "and",
  "or",
  "not",
  "comparison",
  "isNull",
  "in",
  "like",
  "exists"
])

const isPredicate = (node: Node): node is Predicate => predicates.has(node.kind)

class Parser {
  private readonly tokens: ReadonlyArray<Token>
  private position = 0
  private depth = 0

  constructor(tokens: ReadonlyArray<Token>) {
    this.tokens = tokens
  }

  predicate(): Predicate {
    return this.asPredicate(this.or())
  }

  end(): void {
    if (this.next.kind !== "EOF") this.fail()
  }

  statements(): ReadonlyArray<Statement> {
    const statements: Array<Statement> = []
    do {
      const { at, text } = this.next
      if (this.accept("SET")) {
        const first = this.next
        const target = this.property()
        // Microsoft's library for .NET Framework, SetPropertyExpression: it is refused when the expression is read.
        if (target.scope === "sys" && settableNameOf(target.name) === undefined) {
          throw new SqlProblem(`the system property "${target.name}" cannot be set`, first.at, first.text)
        }
        this.expect("=")
        statements.push({ kind: "set", target, value: this.asExpression(this.additive()) })
      } else if (this.accept("REMOVE")) statements.push({ kind: "remove", target: this.property() })
      else this.fail("SET", "REMOVE")
      if (statements.length > maxStatements) {
        throw new SqlProblem(`an action has at most ${maxStatements} expressions`, at, text)
      }
      this.accept(";")
    } while (this.next.kind !== "EOF")
    return statements
  }

  private or(): Node {
    return this.chain("OR", "or", () => this.and())
  }

  private and(): Node {
    return this.chain("AND", "and", () => this.not())
  }

  private chain(keyword: Kind, kind: "and" | "or", operand: () => Node): Node {
    const first = operand()
    if (this.next.kind !== keyword) return first
    const operands = [this.asPredicate(first)]
    while (this.accept(keyword)) operands.push(this.asPredicate(operand()))
    return { kind, operands }
  }

  private not(): Node {
    if (!this.accept("NOT")) return this.relation()
    return this.nested(() => ({ kind: "not", operand: this.asPredicate(this.not()) }))
  }

  /** What stands beside at most one comparison, IN, LIKE or IS NULL. */
  private relation(): Node {
    const left = this.additive()
    const operator = comparisons.get(this.next.kind)
    if (operator !== undefined) {
      this.asExpression(left)
      this.position++
      return { kind: "comparison", operator, left: left as Expression, right: this.asExpression(this.additive()) }
    }
    if (this.next.kind === "IS") {
      if (left.kind !== "property" && left.kind !== "propertyNamed") this.fail()
      this.position++
      const isNegated = this.accept("NOT")
      this.expect("NULL")
      return { kind: "isNull", operand: left as PropertyReference, isNegated }
    }
    const isNegated = this.next.kind === "NOT"
    const kind = isNegated ? this.tokens[this.position + 1]!.kind : this.next.kind
    if (isPredicate(left) || !isNegated && kind !== "IN" && kind !== "LIKE") return left
    if (isNegated) this.position++
    if (this.accept("IN")) return this.in(left, isNegated)
    this.expect("LIKE", "IN")
    const at = this.next
    const pattern = this.asExpression(this.additive())
    const escape = this.accept("ESCAPE") ? this.asExpression(this.additive()) : undefined
    return { kind: "like", operand: left, pattern, escape, isNegated, at }
  }

  private in(operand: Expression, isNegated: boolean): Node {
    const items: Array<Expression> = []
    this.expect("(")
    do {
      items.push(this.asExpression(this.additive()))
    } while (this.accept(","))
    this.expect(")")
    return { kind: "in", operand, items, isNegated }
  }

  private additive(): Node {
    return this.binary(["+", "-"], () => this.multiplicative())
  }

  private multiplicative(): Node {
    return this.binary(["*", "/", "%"], () => this.sign())
  }

  private binary(operators: ReadonlyArray<Arithmetic>, operand: () => Node): Node {
    let left = operand()
    for (;;) {
      const operator = operators.find((each) => each === this.next.kind)
      if (operator === undefined) return left
      this.asExpression(left)
      this.position++
      left = { kind: "arithmetic", operator, left: left as Expression, right: this.asExpression(operand()) }
    }
  }

  private sign(): Node {
    const { kind } = this.next
    if (kind !== "+" && kind !== "-") return this.primary()
    this.position++
    // The least integer has no positive one: its digits are a number with their sign alone.
    if (kind === "-" && this.next.kind === "INTEGER") {
      return { kind: "constant", value: this.integer(-1n) }
    }
    return this.nested(() => ({ kind: "sign", operator: kind, operand: this.asExpression(this.sign()) }))
  }

  private primary(): Node {
    const token = this.next
    switch (token.kind) {
      case "STRING":
        this.position++
        return { kind: "constant", value: token.value }
      case "INTEGER":
        return { kind: "constant", value: this.integer(1n) }
      case "DOUBLE": {
        const value = Number(token.value)
        if (value === Infinity) throw new SqlProblem("the number is too large", token.at, token.text)
        this.position++
        return { kind: "constant", value }
      }
      case "TRUE":
      case "FALSE":
        this.position++
        return { kind: "constant", value: token.kind === "TRUE" }
      case "NULL":
        this.position++
        return { kind: "constant", value: null }
      case "PARAMETER":
        this.position++
        return { kind: "parameter", name: token.value, at: token.at }
      case "EXISTS":
        return this.exists()
      case "(":
        this.position++
        return this.nested(() => {
          const node = this.or()
          this.expect(")")
          return node
        })
      case "IDENTIFIER":
        return this.isCall() ? this.call() : this.property()
      default:
        return this.fail()
    }
  }

  private integer(sign: bigint): bigint {
    const { at, text, value } = this.next
    const integer = sign * BigInt(value)
    if (BigInt.asIntN(64, integer) !== integer) throw new SqlProblem("the number is too large", at, text)
    this.position++
    return integer
  }

  private exists(): Node {
    this.position++
    this.expect("(")
    const operand = this.isCall() ? this.nested(() => this.call()) : this.property()
    if (operand.kind !== "property" && operand.kind !== "propertyNamed") this.fail()
    this.expect(")")
    return { kind: "exists", operand: operand as PropertyReference }
  }

  private isCall(): boolean {
    return this.next.kind === "IDENTIFIER" && !this.next.isDelimited && this.tokens[this.position + 1]!.kind === "("
  }

  private call(): Node {
    const name = this.next.value.toLowerCase()
    if (name === "newid") {
      this.position += 2
      this.expect(")")
      return { kind: "newid" }
    }
    if (name !== "property" && name !== "p") {
      throw new SqlProblem(`there is no function "${this.next.value}"`, this.next.at, this.next.text)
    }
    this.position += 2
    return this.nested(() => {
      const argument = this.asExpression(this.additive())
      this.expect(")")
      return { kind: "propertyNamed", name: argument }
    })
  }

  private property(): Property {
    const first = this.identifier()
    if (!this.accept(".")) return { kind: "property", scope: "user", name: first.value }
    const scope = first.value.toLowerCase()
    if (scope !== "sys" && scope !== "user") {
      throw new SqlProblem(`the scope of a property is sys or user, not "${first.value}"`, first.at, first.text)
    }
    const name = this.identifier()
    if (scope === "user") return { kind: "property", scope, name: name.value }
    // The same, GetPropertyExpression.
    const system = systemNameOf(name.value)
    if (system === undefined) {
      throw new SqlProblem(`a message has no system property "${name.value}"`, name.at, name.text)
    }
    return { kind: "property", scope, name: system }
  }

  private identifier(): Token {
    const token = this.next
    if (token.kind !== "IDENTIFIER") this.fail("IDENTIFIER")
    this.position++
    return token
  }

  private nested(parse: () => Node): Node {
    if (++this.depth > maxDepth) {
      throw new SqlProblem(`the expression is more than ${maxDepth} levels deep`, this.next.at, this.next.text)
    }
    const node = parse()
    this.depth--
    return node
  }

  /** A predicate where the grammar wants one; what ends an expression in its place is the token in error. */
  private asPredicate(node: Node): Predicate {
    return isPredicate(node) ? node : this.fail()
  }

  private asExpression(node: Node): Expression {
    return isPredicate(node) ? this.fail() : node
  }

  private get next(): Token {
    return this.tokens[this.position]!
  }

  private accept(kind: Kind): boolean {
    if (this.next.kind !== kind) return false
    this.position++
    return true
  }

  private expect(...kinds: ReadonlyArray<Kind>): void {
    if (!this.accept(kinds[0]!)) this.fail(...kinds)
  }

  /** Refuses the next token, in the words of the service's parser. */
  private fail(...expected: ReadonlyArray<Kind>): never {
    const { at, kind, text } = this.next
    const list = expected.map(nameOf).join(", or ")
    throw new SqlProblem(
      `syntax error, unexpected ${nameOf(kind)}${list === "" ? "" : `, expecting ${list}`}`,
      at,
      text
    )
  }
}

/** As parsers of its kind name a token: a mark by itself, in quotes. */
const nameOf = (kind: Kind): string => /^[A-Z]/.test(kind) ? kind : `'${kind}'`
