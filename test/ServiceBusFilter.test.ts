/** Filters over what a contract declares: the SQL that they are, and that it means what they say, by the broker's evaluator. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as AmqpValue from "../src/AmqpValue.ts"
import * as Emulator from "../src/emulator/Emulator.ts"
import * as RuleManagement from "../src/internal/management/RuleManagement.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as ServiceBusError from "../src/ServiceBusError.ts"
import * as Filter from "../src/ServiceBusFilter.ts"
import * as ServiceBusRule from "../src/ServiceBusRule.ts"
import { changesOf, compiled, outcomeOf } from "./support/filters.ts"
import { generator } from "./support/random.ts"
import { assert, describe, it } from "./support/vitest.ts"

const Orders = ServiceBusEntity.topic("orders", {
  body: ServiceBusBody.text,
  properties: {
    region: Schema.String,
    state: Schema.optionalKey(Schema.Literals(["open", "closed"])),
    total: Schema.Number,
    units: Schema.optionalKey(Schema.BigInt),
    isGift: Schema.optionalKey(Schema.Boolean),
    due: Schema.optionalKey(Schema.DateTimeUtc),
    wait: Schema.optionalKey(Schema.Duration),
    count: Schema.optionalKey(Schema.FiniteFromString),
    note: Schema.NullOr(Schema.String),
    "order by [me]": Schema.optionalKey(Schema.String),
    and: Schema.optionalKey(Schema.Int)
  }
})

const Europe = ServiceBusEntity.subscription(Orders, "europe")

const refusal = (run: () => unknown) => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, ServiceBusError.InvalidOptionError)
    return error
  }
  return assert.fail("it was not refused")
}

const textOf = (condition: Parameters<typeof Filter.where<typeof Orders>>[1]) =>
  Filter.where(Orders, condition).expression

describe("the SQL of a condition", () => {
  const texts: ReadonlyArray<readonly [Parameters<typeof Filter.where<typeof Orders>>[1], string]> = [
    [($) => Filter.equals($.region, "eu"), "[region] = 'eu'"],
    [($) => Filter.equals($.region, "it's"), "[region] = 'it''s'"],
    [($) => Filter.notEquals($.state, "open"), "[state] <> 'open'"],
    [($) => Filter.greaterThan($.total, 5), "[total] > 5"],
    [($) => Filter.lessThan($.total, -5), "[total] < (-5)"],
    [($) => Filter.greaterThanOrEqualTo($.total, 9.5), "[total] >= 9.5E0"],
    [($) => Filter.lessThanOrEqualTo($.total, 1e-7), "[total] <= 1E-7"],
    [($) => Filter.equals($.units, 9_223_372_036_854_775_807n), "[units] = 9223372036854775807"],
    [($) => Filter.equals($.units, -(2n ** 63n)), "[units] = (-9223372036854775807 - 1)"],
    [($) => Filter.equals($.isGift, true), "[isGift] = TRUE"],
    [($) => Filter.equals($.count, 12), "[count] = '12'"],
    [($) => Filter.equals($["order by [me]"], "x"), "[order by [me]]] = 'x'"],
    [($) => Filter.equals($.and, 1), "[and] = 1"],
    [(_, message) => Filter.equals(message.subject, "x"), "sys.Label = 'x'"],
    [(_, message) => Filter.isIn(message.replyToSessionId, ["a"]), "sys.ReplyToSessionId IN ('a')"],
    [($) => Filter.isIn($.region, ["eu", "us"]), "[region] IN ('eu', 'us')"],
    [($) => Filter.isIn($.region, []), "1 = 0"],
    [($) => Filter.like($.region, "e_%"), "[region] LIKE 'e_%'"],
    [($) => Filter.like($.region, "e!%", { escape: "!" }), "[region] LIKE 'e!%' ESCAPE '!'"],
    [($) => Filter.startsWith($.region, "eu"), "[region] LIKE 'eu%'"],
    [($) => Filter.endsWith($.region, "5%"), "[region] LIKE '%5\\%' ESCAPE '\\'"],
    [($) => Filter.includes($.region, "_\\"), "[region] LIKE '%\\_\\\\%' ESCAPE '\\'"],
    [($) => Filter.exists($.due), "EXISTS ([due])"],
    [($) => Filter.isNull($.note), "[note] IS NULL"],
    [($) => Filter.not(Filter.isNull($.note)), "NOT ([note] IS NULL)"],
    [() => Filter.and(), "1 = 1"],
    [() => Filter.or(), "1 = 0"],
    [($) => Filter.and(Filter.exists($.due)), "EXISTS ([due])"],
    [
      ($) => Filter.and(Filter.exists($.due), Filter.and(Filter.exists($.and), Filter.or(Filter.exists($.note)))),
      "EXISTS ([due]) AND EXISTS ([and]) AND EXISTS ([note])"
    ],
    [
      ($) => Filter.and(Filter.exists($.due), Filter.or(Filter.exists($.and), Filter.exists($.note))),
      "EXISTS ([due]) AND (EXISTS ([and]) OR EXISTS ([note]))"
    ],
    [
      ($) => Filter.greaterThan(Filter.add($.total, Filter.multiply($.units, 2n)), 10),
      "([total] + ([units] * 2)) > 10"
    ],
    [($) => Filter.equals(Filter.remainder($.total, 2), 0), "([total] % 2) = 0"],
    [($) => Filter.equals(Filter.divide(Filter.subtract($.total, -1), 2), $.total), "(([total] - (-1)) / 2) = [total]"]
  ]
  it.each(texts.map(([condition, text]) => [text, condition] as const))("%s", (text, condition) => {
    assert.strictEqual(textOf(condition), text)
    // The broker takes it.
    assert.isTrue(Result.isSuccess(compiled(Filter.where(Orders, condition))))
  })

  it("has a parameter where SQL has no constant", () => {
    const due = DateTime.makeUnsafe("2026-01-01T00:00:00Z")
    const filter = Filter.where(
      Orders,
      ($) =>
        Filter.or(
          Filter.lessThan($.due, due),
          Filter.equals($.wait, Duration.minutes(1)),
          Filter.equals($.units, 2n ** 63n)
        )
    )
    assert.strictEqual(filter.expression, "[due] < @due OR [wait] = @wait OR [units] = @units")
    assert.deepStrictEqual(filter.parameters, { "@due": due, "@wait": Duration.minutes(1), "@units": 2n ** 63n })
    assert.strictEqual(
      outcomeOf(filter.expression, { due: DateTime.makeUnsafe(0) }, { parameters: filter.parameters }),
      true
    )
  })

  it("has parameters by the names of properties, as far as SQL has them", () => {
    const Named = ServiceBusEntity.topic("named", {
      body: ServiceBusBody.text,
      properties: { "is [it]?": Schema.DateTimeUtc, "1st": Schema.DateTimeUtc, größe: Schema.DateTimeUtc }
    })
    const time = DateTime.makeUnsafe(0)
    const filter = Filter.where(Named, ($) =>
      Filter.and(
        Filter.isIn($["is [it]?"], [time, DateTime.makeUnsafe(1)]),
        Filter.equals($["1st"], time),
        Filter.equals($.größe, time)
      ))
    assert.deepStrictEqual(Object.keys(filter.parameters), ["@is__it__", "@is__it___2", "@p1st", "@größe"])
    assert.isTrue(Result.isSuccess(compiled(filter)))
    const rule = ServiceBusRule.make("a", filter)
    assert.isUndefined(ServiceBusRule.problemOf(rule))
    // What cannot go over AMQP is refused by that name.
    const described = RuleManagement.describe("orders", rule)
    assert.strictEqual(Result.isFailure(described) ? described.failure.option : "taken", "filter.parameters.@is__it__")
  })

  it("that is too long is refused where it is made", () => {
    const most = Filter.where(Orders, ($) => Filter.equals($.region, "x".repeat(1024 - "[region] = ''".length)))
    assert.lengthOf(most.expression, 1024)
    const values = Array.from({ length: 300 }, (_, i) => `region ${i}`)
    const long = refusal(() => Filter.where(Orders, ($) => Filter.isIn($.region, values)))
    assert.strictEqual(long.option, "condition")
    assert.match(long.expected, /at most 1024 characters as SQL, not 41\d\d: fewer values of isIn/)
    assert.strictEqual(
      refusal(() => Filter.action(Orders, ($) => values.map((value) => Filter.set($.region, value)))).option,
      "statements"
    )
  })

  it("takes what an empty and, or, and isIn take", () => {
    assert.strictEqual(outcomeOf(textOf(() => Filter.and())), true)
    assert.strictEqual(outcomeOf(textOf(() => Filter.not(Filter.or()))), true)
    assert.strictEqual(outcomeOf(textOf(($) => Filter.not(Filter.isIn($.region, [])))), true)
  })
})

describe("what is wrong", () => {
  it("is refused by its name, whatever a program without types gives", () => {
    type Properties = Filter.PropertiesOf<typeof Orders>
    const where = (condition: (properties: Properties) => unknown) =>
      Filter.where(Orders, condition as (properties: Properties) => Filter.Condition)
    const action = (statements: (properties: Properties) => unknown) =>
      Filter.action(Orders, statements as (properties: Properties) => ReadonlyArray<Filter.Statement>)
    for (const wrong of [undefined, null, 1, "region", {}, [], () => true]) {
      const none = wrong as never
      const cases: ReadonlyArray<readonly [option: string, run: () => unknown]> = [
        ["condition", () => where(() => none)],
        ["condition", () => where(($) => $.isGift)],
        ["left", () => where(() => Filter.equals(none, 1 as never))],
        ["left", () => where(() => Filter.lessThan(none, 1 as never))],
        ["left", () => where(() => Filter.add(none, 1))],
        ["expression", () => where(() => Filter.isIn(none, []))],
        ["expression", () => where(() => Filter.like(none, "a"))],
        ["expression", () => where(() => Filter.includes(none, "a"))],
        ["property", () => where(() => Filter.exists(none))],
        ["property", () => where(() => Filter.isNull(none))],
        ["conditions", () => where(($) => Filter.and(Filter.exists($.due), none))],
        ["conditions", () => where(() => Filter.or(none))],
        ["condition", () => where(() => Filter.not(none))],
        ["statements", () => action(() => [none])],
        ["statements", () => action(($) => [Filter.exists($.due)])],
        ["property", () => action(() => [Filter.set(none, "a" as never)])],
        ["property", () => action(() => [Filter.remove(none)])]
      ]
      for (const [option, run] of cases) assert.strictEqual(refusal(run).option, option, String(wrong))
      if (typeof wrong !== "function") {
        assert.strictEqual(refusal(() => Filter.where(Orders, none)).option, "condition")
        assert.strictEqual(refusal(() => Filter.action(Orders, none)).option, "statements")
      }
      if (typeof wrong !== "string") {
        assert.strictEqual(refusal(() => where(($) => Filter.like($.region, none))).option, "pattern")
        assert.strictEqual(refusal(() => where(($) => Filter.startsWith($.region, none))).option, "text")
      }
      if (!Array.isArray(wrong)) {
        assert.strictEqual(refusal(() => where(($) => Filter.isIn($.region, none))).option, "values")
        assert.strictEqual(refusal(() => action(() => none)).option, "statements")
      }
      if (typeof wrong !== "number") {
        assert.strictEqual(refusal(() => where(($) => Filter.equals(Filter.add($.total, none), 1))).option, "right")
      }
      if (typeof wrong !== "object" || wrong === null) {
        assert.strictEqual(refusal(() => Filter.correlation(Orders, none)).option, "conditions")
      }
      assert.isFalse(ServiceBusRule.isKnown(none))
    }
  })

  it("is what cannot be read", () => {
    const fail = () => {
      throw new Error("unreadable")
    }
    const unreadable = new Proxy({}, { get: fail, has: fail, ownKeys: fail }) as never
    const options = [
      refusal(() => Filter.correlation(Orders, unreadable)),
      refusal(() => Filter.correlation(Orders, { applicationProperties: unreadable })),
      refusal(() => Filter.where(Orders, ($) => Filter.like($.region, "a", unreadable)))
    ].map(({ option }) => option)
    assert.deepStrictEqual(options, ["conditions", "applicationProperties", "options"])
    for (const each of [unreadable, { filter: unreadable }]) assert.isFalse(ServiceBusRule.isKnown(each as never))
  })

  it("is an operand that is no number, and none that the Schema beside it would refuse", () => {
    const Limited = ServiceBusEntity.topic("limited", {
      body: ServiceBusBody.text,
      properties: { percent: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })) }
    })
    const filter = Filter.where(Limited, ({ percent }) => Filter.greaterThan(Filter.multiply(percent, 1000), 50_000.5))
    assert.strictEqual(filter.expression, "([percent] * 1000) > 5.00005E4")
    assert.strictEqual(refusal(() => Filter.where(Limited, ($) => Filter.equals($.percent, 101))).option, "percent")
    const half = Filter.action(Limited, ({ percent }) => [Filter.set(percent, Filter.divide(percent, 0.5))])
    assert.strictEqual(half.expression, "SET [percent] = ([percent] / 5E-1)")
  })

  it("is a value that the Schema refuses, or for which it waits", () => {
    const error = refusal(() => Filter.where(Orders, ($) => Filter.equals($.state, "secret" as "open")))
    assert.strictEqual(error.option, "state")
    assert.notInclude(error.message, "secret")
    refusal(() => Filter.correlation(Orders, { applicationProperties: { state: "ajar" as "open" } }))
    refusal(() => Filter.action(Orders, ($) => [Filter.set($.state, "ajar" as "open")]))
    const Waiting = ServiceBusEntity.queue("a", {
      body: ServiceBusBody.text,
      properties: {
        a: Schema.String.pipe(Schema.decodeTo(Schema.String, {
          decode: SchemaGetter.passthrough(),
          encode: SchemaGetter.transformEffect((text: string) => Effect.delay(Effect.succeed(text), "1 second"))
        }))
      }
    })
    assert.strictEqual(refusal(() => Filter.where(Waiting, ($) => Filter.equals($.a, "x"))).option, "a")
  })

  it("is a name that SQL cannot tell from another", () => {
    const Twice = ServiceBusEntity.queue("a", {
      body: ServiceBusBody.text,
      properties: { region: Schema.String, Region: Schema.String }
    })
    assert.strictEqual(refusal(() => Filter.where(Twice, ($) => Filter.equals($.region, "x"))).option, "Region")
  })

  it("is a property that is not declared, and an escape of two characters", () => {
    const wrong = { applicationProperties: { regoin: "eu" } }
    assert.strictEqual(refusal(() => Filter.correlation(Orders, wrong as {})).option, "regoin")
    refusal(() => Filter.where(Orders, ($) => Filter.like($.region, "a", { escape: "!!" })))
    const misspelt = { escap: "!" } as {}
    assert.strictEqual(refusal(() => Filter.where(Orders, ($) => Filter.like($.region, "a", misspelt))).option, "escap")
    refusal(() => Filter.where(Orders, ($) => Filter.like($.region, "a!", { escape: "!" })))
    refusal(() => Filter.where(Orders, ($) => Filter.like($.region, "%%%", { escape: "%" })))
    assert.strictEqual(textOf(($) => Filter.like($.region, "a!!", { escape: "!" })), "[region] LIKE 'a!!' ESCAPE '!'")
  })
})

describe("a correlation filter", () => {
  it("has values as they are written", () => {
    assert.deepStrictEqual(
      Filter.correlation(Orders, { subject: "s", applicationProperties: { region: "eu", count: 12 } }),
      ServiceBusRule.correlation({ subject: "s", applicationProperties: { region: "eu", count: "12" } })
    )
    assert.deepStrictEqual(Filter.correlation(Orders, { to: "x" }), ServiceBusRule.correlation({ to: "x" }))
  })
})

describe("an action", () => {
  it("sets and removes", () => {
    const action = Filter.action(Orders, ($, message) => [
      Filter.set($.region, "it's"),
      Filter.set($.total, Filter.add($.total, 1)),
      Filter.set($.count, 7),
      Filter.set(message.subject, "s"),
      Filter.remove($.units)
    ])
    assert.strictEqual(
      action.expression,
      "SET [region] = 'it''s'; SET [total] = ([total] + 1); SET [count] = '7'; SET sys.Label = 's'; REMOVE [units]"
    )
    const { properties, system } = changesOf(action.expression, { total: 2, units: 5n }, { system: { label: "" } })
    assert.deepStrictEqual(
      [...properties],
      [["region", "it's"], ["total", AmqpValue.typed("int", 3)], ["count", "7"], ["units", undefined]]
    )
    assert.deepStrictEqual([...system], [["label", "s"]])
  })

  it("has parameters of its own", () => {
    const due = DateTime.makeUnsafe(0)
    const action = Filter.action(Orders, ($) => [Filter.set($.due, due)])
    assert.deepStrictEqual([action.expression, action.parameters], ["SET [due] = @due", { "@due": due }])
  })

  it("sets to null what its Schema takes null for", () => {
    const action = Filter.action(Orders, ($) => [Filter.set($.note, null)])
    assert.strictEqual(action.expression, "SET [note] = NULL")
    assert.deepStrictEqual([...changesOf(action.expression, { note: "a" }).properties], [["note", null]])
  })
})

/** True, false, or unknown. */
type Truth = boolean | undefined

/** What a message of these tests has. */
interface Sample {
  readonly region?: string | undefined
  readonly note?: string | null | undefined
  readonly total?: number | undefined
  readonly units?: bigint | undefined
  readonly isGift?: boolean | undefined
  readonly due?: DateTime.Utc | undefined
}

/** A condition, and what it says by itself. */
interface Case {
  readonly condition: Filter.Condition
  readonly of: (message: Sample) => Truth
}

type Properties = Filter.PropertiesOf<typeof Orders>

const words = ["", "ab", "abb", "eu", "us", "a%", "_b", "it's", "%", "x\\y", "Eu", "[z]", "ü𝄞"]
const numbers = [0, 1, -1, 2, 9.5, -0.25, 1e300, 5_000_000_000, Number.MAX_SAFE_INTEGER]
const integers = [0n, 1n, -1n, 2n, 2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n)]
const times = [0, 1, 1_700_000_000_000].map((millis) => DateTime.makeUnsafe(millis))

/** Unknown where the value is missing or null. */
const of = <A>(value: A | null | undefined, test: (value: A) => boolean): Truth =>
  value === null || value === undefined ? undefined : test(value)

const orders: ReadonlyArray<readonly [typeof Filter.greaterThan, (order: number) => boolean]> = [
  [Filter.equals, (order) => order === 0],
  [Filter.notEquals, (order) => order !== 0],
  [Filter.lessThan, (order) => order < 0],
  [Filter.lessThanOrEqualTo, (order) => order <= 0],
  [Filter.greaterThan, (order) => order > 0],
  [Filter.greaterThanOrEqualTo, (order) => order >= 0]
]

const orderOf = (left: string | number | bigint | boolean, right: string | number | bigint | boolean): number =>
  left < right ? -1 : left > right ? 1 : 0

const cases = ($: Properties, pick: <A>(items: ReadonlyArray<A>) => A, depth: number): Case => {
  const leaf: ReadonlyArray<() => Case> = [
    () => {
      const [compare, holds] = pick(orders)
      const word = pick(words)
      return {
        condition: compare($.region, word),
        of: ({ region }) => of(region, (value) => holds(orderOf(value, word)))
      }
    },
    () => {
      const [compare, holds] = pick(orders)
      const number = pick(numbers)
      return {
        condition: compare($.total, number),
        of: ({ total }) => of(total, (value) => holds(orderOf(value, number)))
      }
    },
    () => {
      const [compare, holds] = pick(orders)
      const integer = pick(integers)
      return {
        condition: compare($.units, integer),
        of: ({ units }) => of(units, (value) => holds(orderOf(value, integer)))
      }
    },
    () => {
      const [compare, holds] = pick(orders)
      const time = pick(times)
      return {
        condition: compare($.due, time),
        of: ({ due }) => of(due, (value) => holds(orderOf(DateTime.toEpochMillis(value), DateTime.toEpochMillis(time))))
      }
    },
    () => {
      const wanted = pick([true, false])
      return { condition: Filter.equals($.isGift, wanted), of: ({ isGift }) => of(isGift, (value) => value === wanted) }
    },
    () => {
      const some = [pick(words), pick(words), pick(words)].slice(pick([0, 1, 2]))
      return {
        condition: Filter.isIn($.note, some),
        of: ({ note }) => some.length === 0 ? false : of(note, (value) => some.includes(value))
      }
    },
    () => {
      const word = pick(words)
      const [make, holds] = pick(
        [
          [Filter.startsWith, (value: string) => value.startsWith(word)],
          [Filter.endsWith, (value: string) => value.endsWith(word)],
          [Filter.includes, (value: string) => value.includes(word)]
        ] as const
      )
      return { condition: make($.note, word), of: ({ note }) => of(note, holds) }
    },
    () => ({ condition: Filter.isNull($.note), of: ({ note }) => note === null || note === undefined }),
    () => ({ condition: Filter.exists($.note), of: ({ note }) => note !== undefined }),
    () => {
      const [operate, calculate] = pick(
        [
          [Filter.add, (a: number, b: number) => a + b],
          [Filter.subtract, (a: number, b: number) => a - b],
          [Filter.multiply, (a: number, b: number) => a * b]
        ] as const
      )
      // Small ones, so that nothing overflows.
      const operand = pick([0.5, -0.5, 2.5])
      const number = pick(numbers)
      return {
        condition: Filter.lessThan(operate($.total, operand), number),
        of: ({ total }) => of(total, (value) => calculate(value, operand) < number)
      }
    }
  ]
  const inner = () => cases($, pick, depth - 1)
  const nested: ReadonlyArray<() => Case> = depth === 0 ? [] : [
    () => {
      const one = inner()
      return {
        condition: Filter.not(one.condition),
        of: (message) => {
          const truth = one.of(message)
          return truth === undefined ? undefined : !truth
        }
      }
    },
    () => {
      const all = [inner(), inner(), inner()].slice(pick([0, 1, 2, 3]))
      return {
        condition: Filter.and(...all.map(({ condition }) => condition)),
        of: (message) => {
          const truths = new Set(all.map(({ of }) => of(message)))
          return truths.has(false) ? false : truths.has(undefined) ? undefined : true
        }
      }
    },
    () => {
      const all = [inner(), inner(), inner()].slice(pick([0, 1, 2, 3]))
      return {
        condition: Filter.or(...all.map(({ condition }) => condition)),
        of: (message) => {
          const truths = new Set(all.map(({ of }) => of(message)))
          return truths.has(true) ? true : truths.has(undefined) ? undefined : false
        }
      }
    }
  ]
  return pick(depth === 0 ? leaf : [...leaf, ...nested, ...nested])()
}

describe("a random condition", () => {
  it("means for the broker what it says, for 4,000 messages", () => {
    const below = generator(14)
    const pick = <A>(items: ReadonlyArray<A>): A => items[(below(1 << 20) >> 5) % items.length]!
    const seen = { true: 0, false: 0, unknown: 0 }
    let made = 0
    while (made < 4000) {
      let it: Case | undefined
      const filter = Filter.where(Orders, ($) => {
        it = cases($, pick, pick([0, 1, 2, 3]))
        return it.condition
      })
      if (filter.expression.length > 1024) continue
      made++
      const sample: Sample = {
        region: pick([undefined, ...words]),
        note: pick([undefined, null, ...words]),
        total: pick([undefined, ...numbers]),
        units: pick([undefined, ...integers]),
        isGift: pick([undefined, true, false]),
        due: pick([undefined, ...times])
      }
      const expected = it!.of(sample) ?? "unknown"
      const properties = Object.fromEntries(Object.entries(sample).filter(([, value]) => value !== undefined))
      const { expression, parameters } = filter
      assert.strictEqual(outcomeOf(expression, properties, { parameters }), expected, expression)
      seen[`${expected}`]++
    }
    for (const count of Object.values(seen)) assert.isAbove(count, 300, JSON.stringify(seen))
  })
})

describe("any text", () => {
  /** Of characters that mean something to SQL, or look like it. */
  const signs = ["'", "\"", "[", "]", "%", "_", "\\", "@", "-", ";", " ", "\n", "a", "A", "é", "𝄞", "0", "."]
  const below = generator(7)
  const random = (least: number): string =>
    Array.from({ length: least + below(8) }, () => signs[(below(1 << 20) >> 5) % signs.length]!).join("")

  it("is a value, a name and a part of a pattern", () => {
    for (let n = 0; n < 2000; n++) {
      const name = random(1)
      const value = random(0)
      const other = random(0)
      const Named = ServiceBusEntity.topic("named", {
        body: ServiceBusBody.text,
        properties: { [name]: Schema.String }
      })
      const says = (condition: (property: Filter.Property<string, string>) => Filter.Condition, given: string) =>
        outcomeOf(Filter.where(Named, ($) => condition($[name]!)).expression, { [name]: given })
      const text = JSON.stringify([name, value, other])
      assert.isTrue(says((property) => Filter.equals(property, value), value), text)
      assert.strictEqual(says((property) => Filter.equals(property, value), other), value === other, text)
      assert.strictEqual(says((property) => Filter.startsWith(property, value), other), other.startsWith(value), text)
      assert.isTrue(says((property) => Filter.endsWith(property, value), other + value), text)
      assert.strictEqual(says((property) => Filter.includes(property, value), other), other.includes(value), text)
    }
  })
})

it.effect("a message is found in the subscription whose rule takes it, as its action leaves it", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* emulator.send(Orders, [
      { body: "in", applicationProperties: { region: "eu", total: 20, note: null } },
      { body: "out", applicationProperties: { region: "us", total: 20, note: null } }
    ])
    const messages = yield* emulator.messages(Europe)
    assert.deepStrictEqual(messages.map(({ body }) => body), ["in"])
    assert.strictEqual(messages[0]!.applicationProperties.total, 40)
    assert.strictEqual(messages[0]!.applicationProperties["RuleName"], "big")
  }).pipe(Effect.provide(Emulator.layer({
    entities: [
      Emulator.entity(Orders),
      Emulator.entity(Europe, {
        rules: [
          ServiceBusRule.make(
            "big",
            Filter.where(Orders, ($) => Filter.and(Filter.equals($.region, "eu"), Filter.greaterThan($.total, 10))),
            Filter.action(Orders, ($) => [Filter.set($.total, Filter.multiply($.total, 2))])
          )
        ]
      })
    ]
  }))))
