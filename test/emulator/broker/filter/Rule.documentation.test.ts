/**
 * The examples of Microsoft's documentation, with the values that they must give: the pages on SQL filter syntax, SQL action syntax,
 * topic filters and filter examples, and the sample "Topic filters" of the SDK for .NET.
 */
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { assert, describe, it } from "../../../support/vitest.ts"
import {
  action,
  compile,
  correlation,
  linesAfter,
  linesOf,
  type Parameters,
  refuses,
  sql,
  storedOf,
  takes,
  truthOf
} from "../../filter/oracle/Bridge.ts"
import type { Truth } from "../../filter/oracle/Oracle.ts"
import { boolean, double, long, type Message, text, unknown, type Value } from "../../filter/oracle/Tree.ts"

const int = (value: number): Value => ({ kind: "whole", type: "int", value: BigInt(value) })
const time = (iso: string): Value => ({ kind: "time", millis: BigInt(Date.parse(iso)) })
const minutes = (count: number): Value => ({ kind: "span", ticks: BigInt(count) * 600_000_000n })

const messageOf = (
  properties: Readonly<Record<string, Value>> = {},
  system: Readonly<Record<string, string>> = {}
): Message => ({
  properties: new Map(Object.entries(properties)),
  system: new Map(Object.entries({ MessageId: "m", ...system }))
})

/** A filter, a message, and what the filter is of it. */
type Row = readonly [filter: string, message: Message, truth: Truth, parameters?: Parameters]

const holds = (title: string, rows: ReadonlyArray<Row>) =>
  it(title, () => {
    for (const [filter, message, expected, parameters] of rows) {
      const rules = [sql(filter, parameters), sql(`NOT (${filter})`, parameters)].map((each) => compile(each))
      assert.strictEqual(truthOf(rules[0]!, rules[1]!, storedOf(message)), expected, filter)
    }
  })

const none = messageOf()
const like = "property LIKE 'ABC\\%' ESCAPE '\\'"
const account = "\"http://schemas.microsoft.com/xrm/2011/Claims/EntityLogicalName\" = 'account'"
const claim = "http://schemas.microsoft.com/xrm/2011/Claims/EntityLogicalName"
const eight = "('Store1','Store2','Store3','Store4','Store5','Store6','Store7','Store8')"
const store = (StoreId: string, To?: string) => messageOf({ StoreId: text(StoreId) }, To === undefined ? {} : { To })
const numbers = (one: Value, other?: Value) =>
  messageOf({ MessageProperty: one, ...(other === undefined ? {} : { MessageProperty2: other }) })
const at = messageOf({
  DateTimeMp: time("2020-10-22T23:59:59.999Z"),
  DateTimeMp1: time("2020-10-22T10:00:00Z"),
  DateTimeMp2: time("2020-10-22T10:05:00Z")
})
const day = new Map([["@dtParam", time("2020-10-23T00:00:00Z")]])

describe("SQL filter syntax", () => {
  holds("examples", [
    ["source = @stringParam", messageOf({ source: text("orders") }), "T", new Map([["@stringParam", text("orders")]])],
    ["source = @stringParam", messageOf({ source: text("order") }), "F", new Map([["@stringParam", text("orders")]])],
    ["sys.Label LIKE '%bus%'", messageOf({}, { Label: "omnibus stop" }), "T"],
    ["sys.Label LIKE '%bus%'", messageOf({}, { Label: "tram" }), "F"],
    ["sys.Label LIKE '%bus%'", none, "U"],
    [
      "sys.Label LIKE '%bus%' OR user.tag IN ('queue', 'topic', 'subscription')",
      messageOf({ tag: text("topic") }, { Label: "tram" }),
      "T"
    ],
    [
      "sys.Label LIKE '%bus%' OR user.tag IN ('queue', 'topic', 'subscription')",
      messageOf({ tag: text("Topic") }, { Label: "tram" }),
      "F"
    ],
    [like, messageOf({ property: text("ABC%") }), "T"],
    [like, messageOf({ property: text("ABCD") }), "F"],
    ["property LIKE 'ABC%'", messageOf({ property: text("ABCD") }), "T"]
  ])

  holds("names", [
    ["[Property With Space] = 1", messageOf({ "Property With Space": long(1) }), "T"],
    ["[HR-EmployeeID] = 1", messageOf({ "HR-EmployeeID": long(1) }), "T"],
    ["\"Contoso & Northwind\" = 1", messageOf({ "Contoso & Northwind": long(1) }), "T"],
    ["[a]]b] = 1", messageOf({ "a]b": long(1) }), "T"],
    ["\"a\"\"b\" = 1", messageOf({ "a\"b": long(1) }), "T"],
    ["STOREid = 1 AND user.storeID = 1", messageOf({ StoreId: long(1) }), "T"],
    ["sys.LABEL = 'a' AND SYS.label = 'a'", messageOf({}, { Label: "a" }), "T"],
    ["Übung_2 = 1", messageOf({ Übung_2: long(1) }), "T"]
  ])

  holds("constants", [
    ["a = 1894 AND b = 2", messageOf({ a: int(1894), b: long(2) }), "T"],
    ["a = 9223372036854775807", messageOf({ a: long(2n ** 63n - 1n) }), "T"],
    ["a = 9223372036854775807", messageOf({ a: long(2n ** 63n - 2n) }), "F"],
    ["a = 1894.1204 AND b = 2.0", messageOf({ a: double(1894.1204), b: long(2) }), "T"],
    ["a = 101.5E5 AND b = 0.5E-2", messageOf({ a: int(10_150_000), b: double(0.005) }), "T"],
    ["a = TRUE AND b = FALSE", messageOf({ a: boolean(true), b: boolean(false) }), "T"],
    ["a = 'it''s'", messageOf({ a: text("it's") }), "T"],
    ["a = NULL", messageOf({ a: text("NULL") }), "U"]
  ])

  holds("functions", [
    ["newid() = newid()", none, "F"],
    ["newid() = id", messageOf({ id: { kind: "guid", value: "00112233-4455-6677-8899-aabbccddeeff" } }), "F"],
    ["property('a') = 1 AND p('A') = 1", messageOf({ a: long(1) }), "T"],
    ["p(which) = 1", messageOf({ a: long(1), which: text("a") }), "T"]
  ])

  holds("what is not there", [
    ["user.NoSuchProperty = 1", none, "U"],
    ["a IS NULL", none, "T"],
    ["a IS NULL", messageOf({ a: unknown }), "T"],
    ["a IS NULL", messageOf({ a: long(0) }), "F"],
    ["a IS NOT NULL", messageOf({ a: unknown }), "F"],
    ["a IS NOT NULL", messageOf({ a: long(0) }), "T"],
    ["EXISTS(a)", messageOf({ a: long(0) }), "T"],
    ["EXISTS(a)", none, "F"],
    ...["a + 1", "1 - a", "a * 1", "1 / a", "a % 1", "-a", "+a", "a"].map((each): Row => [`${each} = 1`, none, "U"]),
    ...["=", "<>", "!=", "<", "<=", ">", ">="].flatMap((each): ReadonlyArray<Row> => [
      [`a ${each} 1`, none, "U"],
      [`1 ${each} a`, none, "U"],
      [`a ${each} a`, messageOf({ a: unknown }), "U"]
    ]),
    ["a LIKE 'x'", none, "U"],
    ["a NOT LIKE 'x'", none, "U"],
    ["'x' LIKE a", none, "U"],
    ["'x' LIKE 'x' ESCAPE a", none, "U"],
    ["a IN (1, 2)", none, "U"],
    ["a NOT IN (1, 2)", none, "U"]
  ])

  const values = { T: "1 = 1", F: "1 = 0", U: "missing = 1" } as const
  const tables = {
    AND: { TT: "T", TF: "F", TU: "U", FT: "F", FF: "F", FU: "F", UT: "U", UF: "F", UU: "U" },
    OR: { TT: "T", TF: "T", TU: "T", FT: "T", FF: "F", FU: "U", UT: "T", UF: "U", UU: "U" }
  } as const
  for (const [operator, table] of Object.entries(tables)) {
    holds(
      `the table of ${operator}`,
      Object.entries(table).map(([[left, right], truth]) => [
        `${values[left as Truth & "T"]} ${operator} ${values[right as Truth & "T"]}`,
        none,
        truth
      ])
    )
  }

  it("of these no word is a name without delimiters", () => {
    for (const word of "and or not is null in like escape exists true false".split(" ")) {
      assert.throws(() => compile(sql(`${word} IS NULL`)), /refused/, word)
      const message = storedOf(messageOf({ [word]: long(1) }))
      assert.isTrue(takes(compile(sql(`[${word}] = 1 AND "${word}" = 1`)), message), word)
    }
  })
})

describe("filter examples", () => {
  holds("on system properties", [
    ["sys.label LIKE '%bus%'", messageOf({}, { Label: "bus" }), "T"],
    ["sys.messageid = 'xxxx'", messageOf({}, { MessageId: "xxxx" }), "T"],
    ["sys.messageid = 'xxxx'", messageOf({}, { MessageId: "xxx" }), "F"],
    ["sys.correlationid like 'abc-%'", messageOf({}, { CorrelationId: "abc-" }), "T"],
    ["sys.correlationid like 'abc-%'", messageOf({}, { CorrelationId: "abc" }), "F"],
    ["sys.Subject = 'a'", messageOf({}, { Label: "a" }), "T"]
  ])

  holds("on message properties", [
    ["MessageProperty = 'A'", numbers(text("A")), "T"],
    ["MessageProperty = 'A'", numbers(text("a")), "F"],
    ["user.SuperHero like 'SuperMan%'", messageOf({ SuperHero: text("SuperMan II") }), "T"],
    ["user.SuperHero like 'SuperMan%'", messageOf({ SuperHero: text("Superman") }), "F"],
    [account, messageOf({ [claim]: text("account") }), "T"],
    [account, messageOf({ [claim]: text("lead") }), "F"],
    [account, none, "U"]
  ])

  holds("with numbers", [
    ["MessageProperty = 1", numbers(int(1)), "T"],
    ["MessageProperty = 1", numbers(double(1)), "T"],
    ["MessageProperty = 1", numbers(text("1")), "U"],
    ["MessageProperty > 1", numbers(int(1)), "F"],
    ["MessageProperty > 1", numbers(int(2)), "T"],
    ["MessageProperty > 2.08", numbers(double(2.08)), "F"],
    ["MessageProperty > 2.08", numbers(double(2.0800000000000005)), "T"],
    ["MessageProperty > 2.08", numbers(int(3)), "T"],
    ["MessageProperty = 1 AND MessageProperty2 = 3", numbers(int(1), int(3)), "T"],
    ["MessageProperty = 1 AND MessageProperty2 = 3", numbers(int(1), int(4)), "F"],
    ["MessageProperty = 1 AND MessageProperty2 = 3", numbers(int(1)), "U"],
    ["MessageProperty = 1 OR MessageProperty2 = 3", numbers(int(2), int(3)), "T"],
    ["MessageProperty = 1 OR MessageProperty2 = 3", numbers(int(1)), "T"],
    ["MessageProperty = 1 OR MessageProperty2 = 3", numbers(int(2), int(2)), "F"]
  ])

  holds("with parameters", [
    ["DateTimeMp < @dtParam", at, "T", day],
    ["DateTimeMp > @dtParam", at, "F", day],
    ["(DateTimeMp2-DateTimeMp1) <= @timespan", at, "T", new Map([["@timespan", minutes(5)]])],
    ["DateTimeMp2-DateTimeMp1 <= @timespan", at, "T", new Map([["@timespan", minutes(5)]])],
    ["DateTimeMp2-DateTimeMp1 <= @timespan", at, "F", new Map([["@timespan", minutes(4)]])]
  ])

  holds("with IN and NOT IN", [
    ["StoreId IN('Store1', 'Store2', 'Store3')", store("Store2"), "T"],
    ["StoreId IN('Store1', 'Store2', 'Store3')", store("Store4"), "F"],
    ["StoreId IN('Store1', 'Store2', 'Store3')", none, "U"],
    ["sys.To IN ('Store5','Store6','Store7') OR StoreId = 'Store8'", store("Store1", "Store6"), "T"],
    ["sys.To IN ('Store5','Store6','Store7') OR StoreId = 'Store8'", store("Store8"), "T"],
    ["sys.To IN ('Store5','Store6','Store7') OR StoreId = 'Store8'", store("Store1"), "U"],
    ["sys.To IN ('Store5','Store6','Store7') OR StoreId = 'Store8'", store("Store1", "Store1"), "F"],
    [`sys.To NOT IN ${eight} OR StoreId NOT IN ${eight}`, store("Store9", "Store1"), "T"],
    [`sys.To NOT IN ${eight} OR StoreId NOT IN ${eight}`, store("Store8", "Store1"), "F"],
    [`sys.To NOT IN ${eight} OR StoreId NOT IN ${eight}`, store("Store8"), "U"]
  ])

  it("a correlation filter, and the SQL that it is equivalent to", () => {
    const asked: Message = {
      properties: new Map([["color", text("Red")]]),
      system: new Map([["Label", "Important"], ["ReplyTo", "johndoe@contoso.com"]])
    }
    const equivalent = "sys.ReplyTo = 'johndoe@contoso.com' AND sys.Label = 'Important' AND color = 'Red'"
    const rules = [compile(correlation(asked)), compile(sql(equivalent))]
    const system = { Label: "Important", ReplyTo: "johndoe@contoso.com", To: "someone" }
    const cases: ReadonlyArray<readonly [Message, boolean]> = [
      [messageOf({ color: text("Red"), size: int(1) }, system), true],
      [messageOf({ color: text("red") }, system), false],
      [messageOf({}, system), false],
      [messageOf({ color: text("Red") }, { ...system, Label: "important" }), false],
      [messageOf({ color: text("Red") }, { Label: "Important" }), false]
    ]
    for (const [message, expected] of cases) {
      for (const rule of rules) assert.strictEqual(takes(rule, storedOf(message)), expected)
    }
  })
})

describe("topic filters", () => {
  const order = (color: string | null, quantity: number, priority: string | null): Message =>
    messageOf(
      {
        color: color === null ? unknown : text(color),
        quantity: int(quantity),
        priority: priority === null ? unknown : text(priority)
      },
      { ...(color === null ? {} : { Label: color }), ...(priority === null ? {} : { CorrelationId: priority }) }
    )

  const orders = [
    order(null, 0, null),
    order("blue", 5, "low"),
    order("red", 10, "high"),
    order("yellow", 5, "low"),
    order("blue", 10, "low"),
    order("blue", 5, "high"),
    order("blue", 10, "low"),
    order("red", 5, "low"),
    order("red", 10, "low"),
    order("red", 5, "low"),
    order("yellow", 10, "high"),
    order("yellow", 5, "low"),
    order("yellow", 10, "low")
  ]
  const taken = (filter: ServiceBusRule.Filter) => {
    const rule = compile(filter)
    return orders.flatMap((each, index) => takes(rule, storedOf(each)) === true ? [index] : [])
  }

  it("the orders of the sample come to the subscriptions that they are for", () => {
    assert.lengthOf(taken(ServiceBusRule.true), 13)
    assert.lengthOf(taken(ServiceBusRule.false), 0)
    assert.lengthOf(taken(sql("1=1")), 13)
    assert.deepStrictEqual(taken(sql("color='blue' AND quantity=10")), [4, 6])
    assert.deepStrictEqual(taken(sql("user.color='red'")), [2, 7, 8, 9])
    assert.deepStrictEqual(taken(ServiceBusRule.correlation({ subject: "red", correlationId: "high" })), [2])
  })

  it("the action of the sample halves the quantity, removes the priority and sets the correlation id", () => {
    const statements = action("SET quantity = quantity / 2; REMOVE priority;SET sys.CorrelationId = 'low';")
    const rule = compile(sql("user.color='red'"), statements)
    for (const [index, quantity] of [[2, 5], [7, 2], [8, 5], [9, 2]] as const) {
      const expected = messageOf(
        { color: text("red"), quantity: int(quantity), RuleName: text("rule") },
        { Label: "red", CorrelationId: "low" }
      )
      assert.deepStrictEqual(linesAfter(rule, storedOf(orders[index]!)), linesOf(storedOf(expected)))
    }
  })
})

/** An action, a message, and what it becomes; undefined where the action fails. */
type ActionRow = readonly [action: string, before: Message, after: Message | undefined, parameters?: Parameters]

const becomes = (title: string, rows: ReadonlyArray<ActionRow>) =>
  it(title, () => {
    for (const [statements, before, after, parameters] of rows) {
      const rule = compile(ServiceBusRule.true, action(statements, parameters))
      const expected = after === undefined ? undefined : {
        ...after,
        properties: new Map([...after.properties, ["RuleName", text("rule")]])
      }
      assert.deepStrictEqual(
        linesAfter(rule, storedOf(before)),
        expected === undefined ? undefined : linesOf(storedOf(expected)),
        statements
      )
    }
  })

describe("SQL action syntax", () => {
  becomes("SET creates and updates, REMOVE removes", [
    ["SET source='routedOrders'", messageOf({ source: text("orders") }), messageOf({ source: text("routedOrders") })],
    ["SET source='routedOrders'", none, messageOf({ source: text("routedOrders") })],
    ["SET user.a = 1 SET b = a + 1", none, messageOf({ a: long(1), b: long(2) })],
    ["SET a = 'x'; SET A = 'y'", messageOf({ a: text("") }), messageOf({ a: text("y") })],
    ["SET [Property With Space] = 'x';", none, messageOf({ "Property With Space": text("x") })],
    ["SET sys.Label = 'x'", messageOf({}, { Label: "y" }), messageOf({}, { Label: "x" })],
    ["SET sys.To = sys.ReplyTo", messageOf({}, { ReplyTo: "y" }), messageOf({}, { To: "y", ReplyTo: "y" })],
    ["REMOVE a", messageOf({ a: long(1), b: long(2) }), messageOf({ b: long(2) })],
    ["REMOVE a; REMOVE b;", messageOf({ a: long(1), b: long(2) }), none],
    ["SET Priority = @param", none, messageOf({ Priority: text("str1") }), new Map([["@param", text("str1")]])]
  ])

  becomes("implicit conversion to the type that is there", [
    ["SET quantity = 7", messageOf({ quantity: int(1) }), messageOf({ quantity: int(7) })],
    ["SET quantity = quantity + 1", messageOf({ quantity: int(1) }), messageOf({ quantity: int(2) })],
    ["SET ratio = 7", messageOf({ ratio: double(0.5) }), messageOf({ ratio: double(7) })],
    ["SET quantity = '7'", messageOf({ quantity: int(1) }), messageOf({ quantity: int(7) })],
    ["SET color = 7", messageOf({ color: text("red") }), messageOf({ color: text("7") })],
    ["SET quantity = 'many'", messageOf({ quantity: int(1) }), undefined]
  ])

  it("system properties that there are not are refused, and those that cannot be set", () => {
    for (const each of ["SET a = sys.NoSuchProperty", "SET sys.NoSuchProperty = 1", "SET sys.SequenceNumber = 1"]) {
      assert.isTrue(refuses(ServiceBusRule.true, action(each)), each)
    }
    assert.isTrue(refuses(sql("sys.NoSuchProperty = 1")))
  })

  becomes("what is not there fails in no other place", [
    ["REMOVE noSuchProperty", none, none],
    ["SET a = noSuchProperty + 1", none, messageOf({ a: unknown })]
  ])
})
