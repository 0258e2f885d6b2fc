/** The grammar: what is refused and where, and that every tree comes back from its text. */
import { maxLength } from "../../../../src/emulator/broker/filter/SqlLexer.ts"
import * as SqlParser from "../../../../src/emulator/broker/filter/SqlParser.ts"
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { compiled, problemOf } from "../../../support/filters.ts"
import { generator } from "../../../support/random.ts"
import { predicateOf, printer, statementsOf } from "../../../support/sqlTrees.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

const filterProblem = (expression: string) => problemOf(ServiceBusRule.sql(expression))
const actionProblem = (expression: string) => problemOf(ServiceBusRule.true, ServiceBusRule.action(expression))

describe("a filter is refused", () => {
  const cases: ReadonlyArray<
    readonly [expression: string, line: number, column: number, token: string, details: string]
  > = [
    ["", 1, 0, "", "syntax error, unexpected EOF"],
    ["   ", 1, 3, "", "syntax error, unexpected EOF"],
    ["color", 1, 5, "", "syntax error, unexpected EOF"],
    ["1", 1, 1, "", "syntax error, unexpected EOF"],
    ["TRUE", 1, 4, "", "syntax error, unexpected EOF"],
    ["color = ", 1, 8, "", "syntax error, unexpected EOF"],
    ["color == 1", 1, 7, "=", "syntax error, unexpected '='"],
    ["color = 1 2", 1, 10, "2", "syntax error, unexpected INTEGER"],
    ["color = 1 AND", 1, 13, "", "syntax error, unexpected EOF"],
    ["color = 1 AND total", 1, 19, "", "syntax error, unexpected EOF"],
    ["color AND total = 1", 1, 6, "AND", "syntax error, unexpected AND"],
    ["NOT color", 1, 9, "", "syntax error, unexpected EOF"],
    ["a = 1 = 2", 1, 6, "=", "syntax error, unexpected '='"],
    ["a < 1 < 2", 1, 6, "<", "syntax error, unexpected '<'"],
    ["(a = 1) = TRUE", 1, 8, "=", "syntax error, unexpected '='"],
    ["(a = 1) + 1 = 2", 1, 8, "+", "syntax error, unexpected '+'"],
    ["1 + (a = 1) = 2", 1, 12, "=", "syntax error, unexpected '='"],
    ["-(a = 1) = 2", 1, 9, "=", "syntax error, unexpected '='"],
    ["(a = 1", 1, 6, "", "syntax error, unexpected EOF, expecting ')'"],
    ["a = 1)", 1, 5, ")", "syntax error, unexpected ')'"],
    ["a IS 1", 1, 5, "1", "syntax error, unexpected INTEGER, expecting NULL"],
    ["1 IS NULL", 1, 2, "IS", "syntax error, unexpected IS"],
    ["a + 1 IS NULL", 1, 6, "IS", "syntax error, unexpected IS"],
    ["a IN 1", 1, 5, "1", "syntax error, unexpected INTEGER, expecting '('"],
    ["a IN ()", 1, 6, ")", "syntax error, unexpected ')'"],
    ["a IN (1,)", 1, 8, ")", "syntax error, unexpected ')'"],
    ["a IN (1", 1, 7, "", "syntax error, unexpected EOF, expecting ')'"],
    ["a NOT = 1", 1, 6, "=", "syntax error, unexpected '=', expecting LIKE, or IN"],
    ["a NOT", 1, 5, "", "syntax error, unexpected EOF, expecting LIKE, or IN"],
    ["a LIKE", 1, 6, "", "syntax error, unexpected EOF"],
    ["a LIKE 'x' ESCAPE", 1, 17, "", "syntax error, unexpected EOF"],
    ["EXISTS a", 1, 7, "a", "syntax error, unexpected IDENTIFIER, expecting '('"],
    ["EXISTS('a')", 1, 7, "'a'", "syntax error, unexpected STRING, expecting IDENTIFIER"],
    ["EXISTS(newid())", 1, 14, ")", "syntax error, unexpected ')'"],
    ["newid(1) = 1", 1, 6, "1", "syntax error, unexpected INTEGER, expecting ')'"],
    ["f(1) = 1", 1, 0, "f", "there is no function \"f\""],
    ["p() = 1", 1, 2, ")", "syntax error, unexpected ')'"],
    ["other.color = 1", 1, 0, "other", "the scope of a property is sys or user, not \"other\""],
    ["sys. = 1", 1, 5, "=", "syntax error, unexpected '=', expecting IDENTIFIER"],
    ["sys.To.b = 1", 1, 6, ".", "syntax error, unexpected '.'"],
    ["like = 1", 1, 0, "like", "syntax error, unexpected LIKE"],
    ["color = 1;", 1, 9, ";", "syntax error, unexpected ';'"],
    ["SET a = 1", 1, 0, "SET", "syntax error, unexpected SET"],
    ["color = #1", 1, 8, "#", "Unrecognized character. '#'"],
    ["_a = 1", 1, 0, "_", "Unrecognized character. '_'"],
    ["@ = 1", 1, 0, "@", "Unrecognized character. '@'"],
    ["a ! b", 1, 2, "!", "Unrecognized character. '!'"],
    ["color = 'red", 1, 8, "'red", "the closing ' is missing"],
    ["[color = 1", 1, 0, "[color = 1", "the closing ] is missing"],
    ["\"color = 1", 1, 0, "\"color = 1", "the closing \" is missing"],
    ["[] = 1", 1, 0, "[]", "an identifier has no characters"],
    ["a = @x", 1, 4, "@x", "the parameter @x has no value"],
    ["a = 9223372036854775808", 1, 4, "9223372036854775808", "the number is too large"],
    ["a = -9223372036854775809", 1, 5, "9223372036854775809", "the number is too large"],
    ["a = 1e999", 1, 4, "1e999", "the number is too large"],
    ["a = 1\n  AND\nb ~ 1", 3, 2, "~", "Unrecognized character. '~'"],
    ["a = 1\r\nAND b", 2, 5, "", "syntax error, unexpected EOF"]
  ]

  for (const [expression, line, column, token, details] of cases) {
    it(JSON.stringify(expression), () =>
      assert.deepStrictEqual(filterProblem(expression), {
        part: "filter",
        line,
        column,
        message:
          `There was an error parsing the SQL expression. [Token line=${line}, column=${column}, Token in error= ${token}, Additional details= ${details}]`
      }))
  }
})

describe("an action is refused", () => {
  const cases: ReadonlyArray<readonly [expression: string, column: number, details: string]> = [
    // What the service said of it (an issue of Azure/bicep).
    ["EventType = OriginalEventType", 0, "syntax error, unexpected IDENTIFIER, expecting SET, or REMOVE"],
    ["", 0, "syntax error, unexpected EOF, expecting SET, or REMOVE"],
    [";", 0, "syntax error, unexpected ';', expecting SET, or REMOVE"],
    ["SET a = 1;;", 10, "syntax error, unexpected ';', expecting SET, or REMOVE"],
    ["SET a", 5, "syntax error, unexpected EOF, expecting '='"],
    ["SET 'a' = 1", 4, "syntax error, unexpected STRING, expecting IDENTIFIER"],
    ["SET a = b = 1", 10, "syntax error, unexpected '=', expecting SET, or REMOVE"],
    ["SET a = (b = 1)", 15, "syntax error, unexpected EOF"],
    ["SET a = 1, b = 2", 9, "syntax error, unexpected ',', expecting SET, or REMOVE"],
    ["REMOVE", 6, "syntax error, unexpected EOF, expecting IDENTIFIER"],
    ["REMOVE p('a')", 8, "syntax error, unexpected '(', expecting SET, or REMOVE"]
  ]

  for (const [expression, column, details] of cases) {
    it(JSON.stringify(expression), () => {
      const problem = actionProblem(expression)
      assert.deepStrictEqual([problem.part, problem.line, problem.column], ["action", 1, column])
      assert.include(problem.message, `Additional details= ${details}]`)
    })
  }
})

describe("the bounds", () => {
  const padded = (length: number) => `a = '${"x".repeat(length - 6)}'`

  it(`an expression has at most ${maxLength} characters`, () => {
    assert.strictEqual(padded(maxLength).length, maxLength)
    assert.strictEqual(compiled(ServiceBusRule.sql(padded(maxLength)))._tag, "Success")
    assert.include(filterProblem(padded(maxLength + 1)).message, "the expression has more than 1024 characters")
    assert.include(actionProblem(`SET ${padded(maxLength)}`).message, "the expression has more than 1024 characters")
    assert.include(filterProblem("(".repeat(1_000_000)).message, "the expression has more than 1024 characters")
  })

  it("an action has at most 32 expressions", () => {
    const statements = (count: number) => Array.from({ length: count }, (_, i) => `SET a${i} = ${i}`).join(";")
    assert.strictEqual(compiled(ServiceBusRule.true, ServiceBusRule.action(statements(32)))._tag, "Success")
    const problem = actionProblem(statements(33))
    assert.include(problem.message, "an action has at most 32 expressions")
    assert.strictEqual(problem.column, statements(32).length + 1)
  })

  it("an expression is at most 100 levels deep", () => {
    const deep: ReadonlyArray<(levels: number) => string> = [
      (levels) => `${"(".repeat(levels)}1 = 1${")".repeat(levels)}`,
      (levels) => `${"(".repeat(levels)}1${")".repeat(levels)} = 1`,
      (levels) => `${"NOT ".repeat(levels)}1 = 1`,
      (levels) => `${"-".repeat(levels)}a = 1`,
      (levels) => `${"p(".repeat(levels)}a${")".repeat(levels)} = 1`
    ]
    for (const of of deep) {
      assert.strictEqual(compiled(ServiceBusRule.sql(of(100)))._tag, "Success", of(100))
      assert.include(filterProblem(of(101)).message, "the expression is more than 100 levels deep")
    }
    // What stands side by side is no deeper for it.
    const wide = Array.from({ length: 80 }, (_, i) => `(a=${i})`).join("OR")
    assert.strictEqual(compiled(ServiceBusRule.sql(wide))._tag, "Success")
  })
})

/** Without the places of parameters, which depend on the text. */
const placeless = (tree: unknown) =>
  JSON.stringify(tree, (key, value) => key === "at" ? undefined : typeof value === "bigint" ? `${value}n` : value)

describe("every tree comes back from its text", () => {
  it("of filters", () => {
    let count = 0
    for (let seed = 1; seed <= 3000; seed++) {
      const pick = generator(seed)
      // The generator's first numbers are alike for seeds that are.
      for (let i = 0; i < 5; i++) pick(2)
      const random = (n: number) => Math.floor(pick(1 << 20) / 7) % n
      const tree = predicateOf(random, 3)
      const text = printer(random).predicate(tree)
      if (text.length > maxLength) continue
      count++
      assert.strictEqual(placeless(SqlParser.parseFilter(text)), placeless(tree), `seed ${seed}: ${text}`)
    }
    assert.isAbove(count, 2500)
  })

  it("of actions", () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const pick = generator(seed)
      for (let i = 0; i < 5; i++) pick(2)
      const random = (n: number) => Math.floor(pick(1 << 20) / 7) % n
      const tree = statementsOf(random)
      const text = printer(random).statements(tree)
      if (text.length > maxLength) continue
      assert.strictEqual(placeless(SqlParser.parseAction(text)), placeless(tree), `seed ${seed}: ${text}`)
    }
  })
})
