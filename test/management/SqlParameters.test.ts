/** Parameters become constants of SQL, or are refused by their names; text that only looks like one stays as it is. */
import { AmqpValue } from "effect-service-bus"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import { inline } from "../../src/internal/management/SqlParameters.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { typed } = AmqpValue

const constants: ReadonlyArray<readonly [value: AmqpValue.AmqpValue, constant: string]> = [
  ["", "''"],
  ["it's ''ours''", "'it''s ''''ours'''''"],
  ["$& $1 @p [x] \"y\" \n ü", "'$& $1 @p [x] \"y\" \n ü'"],
  [true, "TRUE"],
  [false, "FALSE"],
  [null, "NULL"],
  [0, "0"],
  [-0, "0"],
  [42, "42"],
  [-42, "(-42)"],
  [Number.MAX_SAFE_INTEGER, "9007199254740991"],
  [9.5, "9.5E0"],
  [-0.1, "(-1E-1)"],
  [1e21, "1E21"],
  [5e-324, "5E-324"],
  [2n ** 63n - 1n, "9223372036854775807"],
  [-(2n ** 63n), "(-9223372036854775807 - 1)"],
  [-(2n ** 63n) + 1n, "(-9223372036854775807)"],
  [typed("string", "a"), "'a'"],
  [typed("boolean", true), "TRUE"],
  [typed("ubyte", 7), "7"],
  [typed("long", -7n), "(-7)"],
  [typed("ulong", 7n), "7"],
  [typed("double", 2), "2E0"],
  [typed("float", 0.1), "1.0000000149011612E-1"]
]

const without: ReadonlyArray<AmqpValue.AmqpValue> = [
  NaN,
  Infinity,
  2n ** 63n,
  -(2n ** 63n) - 1n,
  "\ud800",
  typed("ulong", 2n ** 64n - 1n),
  typed("int", 1.5),
  typed("int", "1"),
  typed("string", 1),
  typed("boolean", "true"),
  typed("double", "1"),
  typed("char", "a"),
  typed("decimal64", new Uint8Array(8)),
  AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
  AmqpValue.symbol("a"),
  AmqpValue.array("int", [1]),
  AmqpValue.described(AmqpValue.symbol("a"), 1),
  new Uint8Array(1),
  new Date(0),
  DateTime.makeUnsafe(0),
  Duration.seconds(1),
  new URL("http://a"),
  [1],
  new Map(),
  { a: 1 }
]

describe("a parameter", () => {
  it.each(constants.map(([value, constant]) => ({ value, constant })))(
    "becomes a constant: $constant",
    ({ constant, value }) => {
      assert.deepStrictEqual(inline("a=@p", { "@p": value }), Result.succeed(`a=${constant}`))
    }
  )

  it("that SQL has no constant for is refused", () => {
    for (const value of without) {
      const result = inline("a = @p", { "@p": value })
      assert.isTrue(Result.isFailure(result), String(value))
      assert.strictEqual(Result.isFailure(result) ? result.failure.name : "", "@p")
    }
  })

  it("that has no value is refused, the first of them; what is inherited is none", () => {
    const result = inline("a = @a AND b = @toString AND c = @c", { "@a": 1 })
    assert.strictEqual(Result.isFailure(result) ? result.failure.name : "", "@toString")
    assert.include(Result.isFailure(result) ? result.failure.expected : "", "the expression names it")
    assert.isTrue(Result.isFailure(inline("a = @toString", {})))
    assert.isTrue(Result.isFailure(inline("a = @p", { "@p": undefined })))
  })

  it("that the expression does not name is left out", () => {
    assert.deepStrictEqual(inline("a = 1", { "@p": new Date(0) }), Result.succeed("a = 1"))
  })

  it("stands at every place of its name, and at none of a longer one", () => {
    assert.deepStrictEqual(
      inline("@a=@ab OR @ab-@a>@A", { "@a": 1, "@ab": -2, "@A": 3 }),
      Result.succeed("1=(-2) OR (-2)-1>3")
    )
    assert.deepStrictEqual(inline("@A=@a", { "@a": 1 }), Result.succeed("1=1"))
    assert.deepStrictEqual(inline("@größe_1", { "@größe_1": "x" }), Result.succeed("'x'"))
  })

  it("is none in a string, a delimited name or a quoted one", () => {
    for (
      const text of [
        "a = 'it''s @p'",
        "a = '[@p' AND b = ']'",
        "[it]] @p] = 1",
        "\"it\"\" @p\" = 1",
        "a = '@p",
        "[@p",
        "\"@p",
        "a = '\"' AND b = '\"@p'"
      ]
    ) assert.deepStrictEqual(inline(text, { "@p": 1 }), Result.succeed(text))
    assert.deepStrictEqual(
      inline("a = 'x' AND [b] = @p AND \"c\" = @p", { "@p": 1 }),
      Result.succeed("a = 'x' AND [b] = 1 AND \"c\" = 1")
    )
  })
})
