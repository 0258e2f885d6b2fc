/** Rules as a whole, under fuzz: whatever a rule is, it compiles or is refused; whatever a message is, it matches or not, or fails. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as AmqpValue from "../../../../src/AmqpValue.ts"
import { change, incoming } from "../../../../src/emulator/amqp/StoredPayload.ts"
import { read } from "../../../../src/emulator/amqp/StoredProperties.ts"
import { FilterError } from "../../../../src/emulator/broker/filter/FilterMessage.ts"
import type * as Rule from "../../../../src/emulator/broker/filter/Rule.ts"
import { Writer } from "../../../../src/internal/amqp/codec/Writer.ts"
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { compiled, messageOf, problemOf } from "../../../support/filters.ts"
import { generator } from "../../../support/random.ts"
import { predicateOf, printer, statementsOf } from "../../../support/sqlTrees.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

const { typed } = AmqpValue

const randomOf = (seed: number) => {
  const pick = generator(seed)
  // The generator's first numbers are alike for seeds that are.
  for (let i = 0; i < 5; i++) pick(2)
  return (n: number) => Math.floor(pick(1 << 20) / 7) % n
}

const values: ReadonlyArray<AmqpValue.AmqpValue> = [
  null,
  true,
  false,
  typed("ubyte", 255),
  typed("ushort", 65_535),
  typed("uint", 4_294_967_295),
  typed("ulong", 18_446_744_073_709_551_615n),
  typed("byte", -128),
  typed("short", -1),
  0,
  7,
  9_223_372_036_854_775_807n,
  -9_223_372_036_854_775_808n,
  typed("float", Math.fround(0.1)),
  0.1,
  NaN,
  Infinity,
  typed("double", 0),
  typed("decimal32", Buffer.from("32800001", "hex")),
  typed("decimal64", Buffer.from("5fe0000000000001", "hex")),
  typed("decimal128", Buffer.from("5fffed09bead87c0378d8e63ffffffff", "hex")),
  typed("decimal128", Buffer.from("00000000000000000000000000000001", "hex")),
  typed("decimal128", Buffer.from("78000000000000000000000000000000", "hex")),
  typed("char", "A"),
  DateTime.makeUnsafe(0),
  typed("timestamp", 9_223_372_036_854_775_807n),
  typed("timestamp", -9_223_372_036_854_775_808n),
  AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
  new Uint8Array([1, 2]),
  "",
  "red",
  "50%_\\",
  "ünï😀",
  AmqpValue.symbol("s"),
  Duration.seconds(1),
  Duration.nanos((2n ** 63n - 1n) * 100n),
  new URL("https://example.org/"),
  AmqpValue.described(AmqpValue.symbol("com.microsoft:datetime-offset"), 0n)
]

const names = ["color", "Total", "a1_b", "größe", "and", "two words", "a]b", "a\"b", "sys", "p", "x"]

const storedOf = (random: (n: number) => number) => {
  const writer = new Writer()
  writer.descriptor(0x73)
  writer.value([values[random(values.length)] instanceof Uint8Array ? 5n : "id", null, null, "label"])
  writer.descriptor(0x74)
  const map = writer.begin(0xd1)
  let count = 0
  for (const name of names) {
    if (random(3) === 0) continue
    writer.string(random(2) === 0 ? name : name.toUpperCase())
    writer.value(values[random(values.length)])
    count += 2
  }
  writer.end(map, count)
  writer.descriptor(0x77)
  writer.value("body")
  return incoming(writer.take())
}

/** Runs it; gives whether it ended with an error that rules have. */
const endsWell = (run: () => unknown): boolean => {
  try {
    run()
    return true
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
    return false
  }
}

const use = (rule: Rule.CompiledRule, random: (n: number) => number): ReadonlyArray<boolean> => {
  const message = storedOf(random)
  const properties = read(message)
  const results = [endsWell(() => assert.isBoolean(rule.matches(properties)))]
  const { apply } = rule
  if (apply !== undefined) results.push(endsWell(() => read(change(message, apply(properties))).property("rulename")))
  return results
}

describe("a rule under fuzz", () => {
  const parameters = { "@a": values[7], b: "red" }

  it("of random trees and random messages ends with a value or the error of rules", () => {
    let refused = 0
    let ended = 0
    let failed = 0
    for (let seed = 1; seed <= 4000; seed++) {
      const random = randomOf(seed)
      const filter = printer(random).predicate(predicateOf(random, 3))
      const action = printer(random).statements(statementsOf(random))
      const rule = compiled(ServiceBusRule.sql(filter, parameters), ServiceBusRule.action(action, parameters))
      if (Result.isFailure(rule)) {
        refused++
        continue
      }
      for (const isWell of use(rule.success, random)) {
        if (isWell) ended++
        else failed++
      }
    }
    assert.isBelow(refused, 400, "what is too long, and patterns that are wrong")
    assert.isAbove(ended, 2000)
    assert.isAbove(failed, 100)
  })

  const tokens = [
    "AND OR NOT IS NULL IN LIKE ESCAPE EXISTS TRUE FALSE SET REMOVE sys user color newid property p",
    "= <> != > >= < <= + - * / % ( ) , . ; @a @b @c 1 2.5 1e9 'x' '' [x] \"y\" # ' [ \" 99999999999999999999"
  ].flatMap((line) => line.split(" "))

  it("of random tokens compiles or is refused at a place that it has", () => {
    let accepted = 0
    for (let seed = 1; seed <= 20_000; seed++) {
      const random = randomOf(seed)
      const text = Array.from({ length: 1 + random(9) }, () => tokens[random(tokens.length)]).join(random(4) ? " " : "")
      for (
        const rule of [
          compiled(ServiceBusRule.sql(text, parameters)),
          compiled(ServiceBusRule.true, ServiceBusRule.action(text, parameters))
        ]
      ) {
        if (Result.isSuccess(rule)) {
          accepted++
          use(rule.success, random)
          continue
        }
        const { column = -1, line = -1, message } = rule.failure
        const lines = text.split("\n")
        assert.isTrue(line >= 1 && line <= lines.length && column >= 0 && column <= lines[line - 1]!.length, text)
        assert.match(
          message,
          /^There was an error parsing the SQL expression\. \[Token line=\d+, column=\d+, Token in error= /
        )
      }
    }
    assert.isAbove(accepted, 50)
  })

  it("of valid text with characters changed compiles or is refused", () => {
    for (let seed = 1; seed <= 5000; seed++) {
      const random = randomOf(seed)
      const characters = Array.from(printer(random).predicate(predicateOf(random, 2)))
      for (let i = 0; i <= random(3); i++) {
        const at = random(characters.length + 1)
        const inserted = String.fromCodePoint([random(128), random(0xd800), 0x1f600, 39, 0][random(5)]!)
        characters.splice(at, random(2), ...(random(3) === 0 ? [] : [inserted]))
      }
      const rule = compiled(ServiceBusRule.sql(characters.join(""), parameters))
      if (Result.isSuccess(rule)) use(rule.success, random)
    }
  })

  it("of random bytes compiles or is refused", () => {
    for (let seed = 1; seed <= 5000; seed++) {
      const random = randomOf(seed)
      const bytes = Buffer.from(Array.from({ length: random(60) }, () => random(256)))
      compiled(ServiceBusRule.sql(bytes.toString(random(2) === 0 ? "utf8" : "utf16le")))
      compiled(ServiceBusRule.true, ServiceBusRule.action(bytes.toString("latin1")))
    }
  })

  it("of any length, and nested as deep as it is long, takes no time to refuse", () => {
    const parts = [
      "(",
      "-",
      "NOT ",
      "p(",
      "EXISTS(",
      "a=1 AND ",
      "a+",
      "a IN(",
      "'",
      "[",
      "\"",
      "@",
      "1.",
      "1e",
      "SET a=",
      " "
    ]
    const before = process.cpuUsage()
    for (const part of parts) {
      for (const length of [10, 1000, 100_000, 1_000_000]) {
        const text = part.repeat(Math.ceil(length / part.length)).slice(0, length)
        assert.isTrue(Result.isFailure(compiled(ServiceBusRule.sql(text))), part)
        assert.isTrue(Result.isFailure(compiled(ServiceBusRule.true, ServiceBusRule.action(text))), part)
      }
    }
    assert.isBelow(process.cpuUsage(before).user, 5_000_000)
  })

  it("of the longest chains is evaluated", () => {
    for (const [part, length] of [["a=1 OR ", 1000], ["a+", 1000], ["a*1+", 1000], ["'a'+", 1000]] as const) {
      const text = part.repeat(Math.floor(length / part.length)) + (part.endsWith("OR ") ? "b=2" : "b = 2")
      const rule = Result.getOrThrow(compiled(ServiceBusRule.sql(text)))
      use(rule, randomOf(1))
    }
  })
})

describe("a rule matches", () => {
  it("where its filter is true, not where it is unknown", () => {
    const outcomes = ["a = 1", "a = 2", "missing = 1", "NOT missing = 1", "missing = 1 OR a = 1"].map((expression) =>
      Result.getOrThrow(compiled(ServiceBusRule.sql(expression))).matches(messageOf({ a: 1 }))
    )
    assert.deepStrictEqual(outcomes, [true, false, false, false, true])
  })
})

/** The orders and the filters of the live tests of Microsoft's .NET client (RuleManagerLiveTests). */
describe("the tests of Microsoft's client", () => {
  const orders = [
    ["blue", 5, "low"],
    ["red", 10, "high"],
    ["yellow", 5, "low"],
    ["blue", 10, "low"],
    ["blue", 5, "high"],
    ["blue", 10, "low"],
    ["red", 5, "low"],
    ["red", 10, "low"],
    ["red", 5, "low"],
    ["yellow", 10, "high"],
    ["yellow", 5, "low"],
    ["yellow", 10, "low"]
  ] as const
  const messages = orders.map(([color, quantity, priority]) =>
    messageOf({ color, quantity, priority }, { correlationid: priority, label: color })
  )
  const taken = (filter: ServiceBusRule.Filter) => {
    const { matches } = Result.getOrThrow(compiled(filter))
    return orders.filter((_, i) => matches(messages[i]!))
  }

  it("take the orders that they expect", () => {
    const { correlation, sql } = ServiceBusRule
    assert.deepStrictEqual(taken(correlation({ subject: "red" })), orders.filter(([color]) => color === "red"))
    assert.deepStrictEqual(
      taken(correlation({ applicationProperties: { Color: "blue" } })),
      orders.filter(([color]) => color === "blue")
    )
    assert.deepStrictEqual(taken(sql("sys.Label = 'yellow'")), orders.filter(([color]) => color === "yellow"))
    assert.deepStrictEqual(taken(sql("Color = 'yellow'")), orders.filter(([color]) => color === "yellow"))
    assert.deepStrictEqual(
      taken(sql("Color = 'blue' and Quantity = 10")),
      orders.filter(([color, quantity]) => color === "blue" && quantity === 10)
    )
    assert.deepStrictEqual(
      taken(sql("Color = 'blue' or Quantity = 10")),
      orders.filter(([color, quantity]) => color === "blue" || quantity === 10)
    )
  })

  it("find what an action set under the name that the message had", () => {
    const rule = Result.getOrThrow(compiled(ServiceBusRule.true, ServiceBusRule.action("Set Priority = 'high'")))
    for (const message of messages) assert.strictEqual(rule.apply!(message).properties.get("priority"), "high")
  })
})

describe("a rule is refused", () => {
  it("where a program gave values that are not of their type", () => {
    const wrong = [typed("int", "x"), typed("long", 1.5), typed("uuid", 5), typed("int", null)]
    for (const value of wrong) {
      assert.include(problemOf(ServiceBusRule.sql("a = @v", { v: value })).message, "the parameter @v")
      assert.include(
        problemOf(ServiceBusRule.true, ServiceBusRule.action("SET a = @v", { v: value })).message,
        "the parameter @v"
      )
      assert.include(
        problemOf(ServiceBusRule.correlation({ applicationProperties: { a: value } })).message,
        "the property \"a\""
      )
    }
  })

  it("where its text has half of a surrogate pair", () => {
    assert.include(problemOf(ServiceBusRule.sql("a = '\ud800'")).message, "half of a surrogate pair")
  })
})
