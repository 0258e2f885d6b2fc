/** What each operator says of each type, known and unknown; the sources are Microsoft's pages on SQL filters, and C#. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as AmqpValue from "../../../../src/AmqpValue.ts"
import * as Decimal from "../../../../src/emulator/broker/filter/Decimal.ts"
import { type Outcome, outcomeOf, type Properties } from "../../../support/filters.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

const { typed, uuid } = AmqpValue

type Rows = ReadonlyArray<readonly [expression: string, outcome: Outcome]>

const holds = (name: string, properties: Properties, rows: Rows, options?: Parameters<typeof outcomeOf>[2]) =>
  it(name, () => {
    for (const [expression, outcome] of rows) {
      assert.strictEqual(outcomeOf(expression, properties, options), outcome, expression)
    }
  })

const decimal = (text: string) => {
  const scale = text.includes(".") ? text.length - text.indexOf(".") - 1 : 0
  return typed("decimal128", Decimal.toBytes(new Decimal.Decimal(BigInt(text.replace(".", "")), scale)))
}

const T = "1 = 1"
const F = "1 = 2"
const U = "missing = 1"
const divided = "error: Attempted to divide by zero."
const overflown = "error: Arithmetic operation resulted in an overflow."

describe("logic of three values", () => {
  holds("AND", {}, [
    [`${T} AND ${T}`, true],
    [`${T} AND ${F}`, false],
    [`${T} AND ${U}`, "unknown"],
    [`${F} AND ${T}`, false],
    [`${F} AND ${F}`, false],
    [`${F} AND ${U}`, false],
    [`${U} AND ${T}`, "unknown"],
    [`${U} AND ${F}`, false],
    [`${U} AND ${U}`, "unknown"],
    [`${T} AND ${T} AND ${U}`, "unknown"],
    [`${U} AND ${T} AND ${F}`, false]
  ])

  holds("OR", {}, [
    [`${T} OR ${T}`, true],
    [`${T} OR ${F}`, true],
    [`${T} OR ${U}`, true],
    [`${F} OR ${T}`, true],
    [`${F} OR ${F}`, false],
    [`${F} OR ${U}`, "unknown"],
    [`${U} OR ${T}`, true],
    [`${U} OR ${F}`, "unknown"],
    [`${U} OR ${U}`, "unknown"],
    [`${F} OR ${F} OR ${U}`, "unknown"],
    [`${U} OR ${F} OR ${T}`, true]
  ])

  holds("NOT", {}, [
    [`NOT ${T}`, false],
    [`NOT ${F}`, true],
    [`NOT ${U}`, "unknown"],
    [`NOT NOT ${T}`, true]
  ])

  holds("precedence: NOT before AND before OR, parentheses before all", {}, [
    [`${T} OR ${F} AND ${F}`, true],
    [`(${T} OR ${F}) AND ${F}`, false],
    [`NOT ${T} OR ${T}`, true],
    [`NOT (${T} OR ${T})`, false],
    [`NOT ${F} AND ${F}`, false],
    [`${F} AND ${F} OR ${T}`, true],
    [`not 1=1 or 1=1 and not 1=2`, true]
  ])

  holds("what cannot change the result is not evaluated, from left to right", {}, [
    [`${F} AND 1/0 = 1`, false],
    [`1/0 = 1 AND ${F}`, divided],
    [`${T} OR 1/0 = 1`, true],
    [`1/0 = 1 OR ${T}`, divided],
    [`${U} AND 1/0 = 1`, divided]
  ])
})

describe("comparisons", () => {
  holds("of whole numbers, 64 bits of them", {
    i: 7,
    long: 9_007_199_254_740_993n,
    ulong: typed("ulong", 18_446_744_073_709_551_615n),
    byte: typed("byte", -1),
    ubyte: typed("ubyte", 200),
    short: typed("short", -300),
    ushort: typed("ushort", 60_000),
    uint: typed("uint", 4_000_000_000)
  }, [
    ["i = 7", true],
    ["i <> 7", false],
    ["i != 7", false],
    ["i != 8", true],
    ["i > 6", true],
    ["i > 7", false],
    ["i >= 7", true],
    ["i < 8", true],
    ["i < 7", false],
    ["i <= 7", true],
    ["i <= 6", false],
    ["7 = i", true],
    ["-7 < i", true],
    ["long = 9007199254740993", true],
    ["long = 9007199254740992", false],
    ["long > 9007199254740992", true],
    ["ulong > 9223372036854775807", true],
    ["ulong - 1 = ulong", false],
    ["byte = -1", true],
    ["ubyte = 200", true],
    ["short = -300", true],
    ["ushort = 60000", true],
    ["uint = 4000000000", true],
    ["-9223372036854775808 < long", true]
  ])

  holds("of numbers of different types, promoted as C# does", {
    d: 0.1,
    whole: typed("double", 3),
    f: typed("float", Math.fround(0.1)),
    f2: typed("float", 1.5),
    big: typed("float", 16_777_216),
    bigger: typed("float", 2 ** 53 + 2 ** 30),
    nan: NaN,
    infinite: Infinity,
    m: decimal("10.50"),
    tenth: decimal("0.1"),
    huge: decimal("79228162514264337593543950335"),
    i: 3
  }, [
    ["d = 0.1", true],
    ["d < 1", true],
    ["whole = 3", true],
    ["i = 3.0", true],
    ["i < 3.5", true],
    ["f = 0.1", false],
    ["f > 0.1", true],
    ["f2 = 1.5", true],
    ["f2 > 1", true],
    // A float has no more digits: the whole number becomes one.
    ["big = 16777217", true],
    // Once, not by way of a double.
    ["bigger = 9007199791611905 AND -bigger = -9007199791611905", true],
    ["nan = nan", false],
    ["nan <> nan", true],
    ["nan < 1", false],
    ["nan >= 1", false],
    ["infinite > 9223372036854775807", true],
    ["m = 10.5", true],
    ["m > 10", true],
    ["m < 11", true],
    ["m = 10", false],
    ["tenth + tenth + tenth - tenth - tenth = tenth", true],
    ["d + d + d = 0.3", false],
    ["tenth = 0.1", true],
    ["huge > 9223372036854775807", true],
    ["1e2 = 100", true],
    ["1.5E-1 = 0.15", true],
    [".5 = 0.5", true]
  ])

  holds("of texts, letter by letter", { s: "abc", empty: "", sym: AmqpValue.symbol("abc") }, [
    ["s = 'abc'", true],
    ["s = 'ABC'", false],
    ["s <> 'abd'", true],
    ["s < 'abd'", true],
    ["s > 'ABC'", true],
    ["s >= 'abc'", true],
    ["empty = ''", true],
    ["empty < s", true],
    ["sym = s", true],
    ["'it''s' = 'it''s'", true]
  ])

  holds("of GUIDs, times, spans of time, booleans, binaries, characters and URIs", {
    id: uuid("0F8FAD5B-d9cb-469f-a165-70867728950e"),
    same: uuid("0f8fad5b-d9cb-469f-a165-70867728950e"),
    other: uuid("1f8fad5b-d9cb-469f-a165-70867728950e"),
    t: DateTime.makeUnsafe(1000),
    later: typed("timestamp", 2000n),
    offset: AmqpValue.described(
      AmqpValue.symbol("com.microsoft:datetime-offset"),
      621_355_968_000_000_000n + 10_000_000n
    ),
    span: Duration.seconds(1),
    ticks: AmqpValue.described(AmqpValue.symbol("com.microsoft:timespan"), typed("long", 10_000_000)),
    yes: true,
    no: false,
    bin: new Uint8Array([1, 2]),
    bin2: new Uint8Array([1, 2, 0]),
    a: typed("char", "A"),
    uri: new URL("https://example.org/")
  }, [
    ["id = same", true],
    ["id <> other", true],
    ["id < other", true],
    ["newid() = newid()", false],
    ["newid() <> newid()", true],
    ["t < later", true],
    ["t = later", false],
    ["t = offset", true],
    ["later - t = span", true],
    ["later - t = ticks", true],
    ["t + ticks = later", true],
    ["t + span = later", true],
    ["later - span = t", true],
    ["span + span > span", true],
    ["span - span < span", true],
    ["-span < span", true],
    ["yes = TRUE", true],
    ["no = true", false],
    ["yes <> no", true],
    ["bin = bin", true],
    ["bin = bin2", false],
    ["bin < bin2", true],
    ["a = 65", true],
    ["a + 1 = 66", true],
    ["uri = uri", true]
  ])

  holds("of what has no value is unknown, and so is that of types that C# has no operator for", {
    nothing: null,
    s: "1",
    i: 1,
    b: true,
    list: [1],
    id: uuid("0f8fad5b-d9cb-469f-a165-70867728950e")
  }, [
    ["missing = 1", "unknown"],
    ["1 <> missing", "unknown"],
    ["nothing = 1", "unknown"],
    ["nothing = nothing", "unknown"],
    ["i = NULL", "unknown"],
    ["NULL = NULL", "unknown"],
    ["s = 1", "unknown"],
    ["s <> 1", "unknown"],
    ["i = '1'", "unknown"],
    ["b = 1", "unknown"],
    ["b = 'true'", "unknown"],
    ["list = list", "unknown"],
    ["id = '0f8fad5b-d9cb-469f-a165-70867728950e'", "unknown"]
  ])
})

describe("arithmetic", () => {
  holds("of whole numbers, exact to the last of 64 bits", {
    i: 7,
    big: 9_007_199_254_740_993n,
    max: 9_223_372_036_854_775_807n,
    min: -9_223_372_036_854_775_808n,
    umax: typed("ulong", 18_446_744_073_709_551_615n)
  }, [
    ["i + 1 = 8", true],
    ["i - 10 = -3", true],
    ["i * 3 = 21", true],
    ["i / 2 = 3", true],
    ["-i / 2 = -3", true],
    ["i % 4 = 3", true],
    ["-i % 4 = -3", true],
    ["i % -4 = 3", true],
    ["big + 2 = 9007199254740995", true],
    ["big * 3 = 27021597764222979", true],
    ["max + 1 = 0", overflown],
    ["min - 1 = 0", overflown],
    ["max * 2 = 0", overflown],
    ["min / -1 = 0", overflown],
    ["-min = 0", overflown],
    ["-max < 0", true],
    ["umax - 1 < umax", true],
    ["umax + 1 = 0", overflown],
    ["i / 0 = 1", divided],
    ["i % 0 = 1", divided],
    ["+i = 7", true],
    ["- - i = 7", true],
    ["--i = 7", true],
    ["- -7 = i", true]
  ])

  holds("precedence: signs before products before sums, from left to right", {}, [
    ["2 + 3 * 4 = 14", true],
    ["(2 + 3) * 4 = 20", true],
    ["10 - 3 - 2 = 5", true],
    ["100 / 10 / 5 = 2", true],
    ["100 / (10 / 5) = 50", true],
    ["10 - 3 + 2 = 9", true],
    ["7 % 4 * 2 = 6", true],
    ["-2 * 3 = -6", true],
    ["-2 + 3 = 1", true],
    ["1 + 1 < 1 * 3", true]
  ])

  holds("of doubles and floats, as IEEE 754 has it", { d: 7.5, f: typed("float", 1.5), zero: typed("double", 0) }, [
    ["d / 2 = 3.75", true],
    ["d % 2 = 1.5", true],
    ["7 / 2.0 = 3.5", true],
    ["d * 2 = 15", true],
    ["d - 0.5 = 7", true],
    ["-d < 0", true],
    ["f + f = 3", true],
    ["f / 3 = 0.5", true],
    ["d / zero > 1e300", true],
    ["d / zero = d / zero", true],
    ["zero / zero = zero / zero", false],
    ["d + 1e308 * 10 > 1", true]
  ])

  holds("of decimals, exact to 28 digits", {
    m: decimal("0.1"),
    two: decimal("0.2"),
    three: decimal("0.3"),
    max: decimal("79228162514264337593543950335"),
    zero: decimal("0")
  }, [
    ["m + two = three", true],
    ["three - two = m", true],
    ["m * 3 = three", true],
    ["three / 3 = m", true],
    ["m * m = m / 10", true],
    ["three % two = m", true],
    ["-m < 0", true],
    ["m / 3 * 3 = m", false],
    ["max + 1 = max", "error: Value was either too large or too small for a Decimal."],
    ["m / zero = 1", divided],
    ["m % 0 = 1", divided]
  ])

  holds("of texts: a plus joins them, with the other's text too", {
    first: "Ada",
    last: "Lovelace",
    b: true,
    id: uuid("0F8FAD5B-D9CB-469F-A165-70867728950E")
  }, [
    ["first + ' ' + last = 'Ada Lovelace'", true],
    ["first + 1 = 'Ada1'", true],
    ["1 + first = '1Ada'", true],
    ["first + b = 'AdaTrue'", true],
    ["'' + id = '0f8fad5b-d9cb-469f-a165-70867728950e'", true],
    ["first + missing = 'Ada'", "unknown"],
    ["first * 2 = 1", "error: Operator '*' cannot be applied to operands of type 'string' and 'long'"],
    ["first - last = 1", "error: Operator '-' cannot be applied to operands of type 'string' and 'string'"],
    ["-first = 1", "error: Operator '-' cannot be applied to operand of type 'string'"],
    ["+b = 1", "error: Operator '+' cannot be applied to operand of type 'bool'"],
    ["b + 1 = 2", "error: Operator '+' cannot be applied to operands of type 'bool' and 'long'"]
  ])

  holds("of what has no value is unknown", { i: 1, nothing: null }, [
    ["i + missing = 1", "unknown"],
    ["missing * i = 1", "unknown"],
    ["-missing = 1", "unknown"],
    ["+nothing = 1", "unknown"],
    ["missing / 0 = 1", "unknown"],
    ["i + NULL = 1", "unknown"]
  ])
})

describe("IN", () => {
  holds("is true by one equal value, and unknown by the left side alone", {
    s: "b",
    i: 2,
    d: 2.5,
    nothing: null
  }, [
    ["s IN ('a', 'b', 'c')", true],
    ["s IN ('a')", false],
    ["s IN ('B')", false],
    ["s NOT IN ('a', 'c')", true],
    ["s NOT IN ('a', 'b')", false],
    ["i IN (1, 2.0)", true],
    ["d IN (2, 2.5)", true],
    ["i + 1 IN (3)", true],
    ["i in (1+1)", true],
    ["missing IN ('a')", "unknown"],
    ["missing NOT IN ('a')", "unknown"],
    ["nothing IN (NULL)", "unknown"],
    ["s IN ('a', NULL)", false],
    ["s NOT IN ('a', NULL)", true],
    ["s IN (NULL, 'b')", true],
    ["s IN (1, 'b')", true],
    ["s IN (s)", true],
    ["NOT s IN ('a')", true]
  ])
})

describe("LIKE", () => {
  holds("takes % for any run and _ for any character", { s: "business", e: "", i: 1 }, [
    ["s LIKE '%bus%'", true],
    ["s LIKE 'bus%'", true],
    ["s LIKE '%ess'", true],
    ["s LIKE 'business'", true],
    ["s LIKE 'BUSINESS'", false],
    ["s LIKE 'bus'", false],
    ["s LIKE '_usiness'", true],
    ["s LIKE 'b_s_n_s_'", true],
    ["s LIKE '________'", true],
    ["s LIKE '_______'", false],
    ["s LIKE '_________'", false],
    ["s LIKE 'b%n%s'", true],
    ["s LIKE 'b%s%s%s%s'", false],
    ["s LIKE '%'", true],
    ["e LIKE '%'", true],
    ["e LIKE ''", true],
    ["e LIKE '_'", false],
    ["s LIKE ''", false],
    ["s NOT LIKE '%bus%'", false],
    ["s NOT LIKE 'x%'", true],
    ["s like 'bus' + '%'", true],
    ["s LIKE s", true],
    ["missing LIKE '%'", "unknown"],
    ["missing NOT LIKE '%'", "unknown"],
    ["s LIKE missing", "unknown"],
    ["s LIKE NULL", "unknown"],
    ["s LIKE 'a' ESCAPE missing", "unknown"],
    ["i LIKE '1'", "unknown"],
    ["s LIKE 1", "refused: The pattern of LIKE is not a string."],
    ["s LIKE i", "error: The pattern of LIKE is not a string."]
  ])

  holds("takes what stands after the escape character as it is", { p: "ABC%", q: "ABCD", r: "a_b", x: "a\\b" }, [
    ["p LIKE 'ABC\\%' ESCAPE '\\'", true],
    ["q LIKE 'ABC\\%' ESCAPE '\\'", false],
    ["q LIKE 'ABC%' ESCAPE '\\'", true],
    ["r LIKE 'a!_b' ESCAPE '!'", true],
    ["q LIKE 'A!BCD' ESCAPE '!'", true],
    ["x LIKE 'a\\\\b' ESCAPE '\\'", true],
    ["x LIKE 'a\\b'", true],
    ["p LIKE '%%%' ESCAPE '%'", "refused: The pattern of LIKE ends with its escape character."],
    ["p LIKE 'ABC%%' ESCAPE '%'", true],
    ["p LIKE 'a!' ESCAPE '!'", "refused: The pattern of LIKE ends with its escape character."],
    ["p LIKE 'a' ESCAPE '!!'", "refused: The escape character of LIKE is not a string of one character."],
    ["p LIKE 'a' ESCAPE 1", "refused: The escape character of LIKE is not a string of one character."]
  ])
})

describe("IS NULL and EXISTS", () => {
  holds("are never unknown", { a: 1, nothing: null }, [
    ["a IS NULL", false],
    ["a IS NOT NULL", true],
    ["missing IS NULL", true],
    ["missing IS NOT NULL", false],
    ["nothing IS NULL", true],
    ["nothing IS NOT NULL", false],
    ["EXISTS(a)", true],
    ["EXISTS(missing)", false],
    ["EXISTS (nothing)", true],
    ["NOT EXISTS(missing)", true],
    ["exists(user.a) and not exists([missing])", true],
    ["p('a') IS NOT NULL", true],
    ["EXISTS(property('missing'))", false]
  ])
})

describe("names", () => {
  holds("are those of application properties by themselves, in any case and any form", {
    Color: "red",
    "HR-EmployeeID": 1,
    "a]b": 2,
    "say \"hi\"": 3,
    "http://schemas.microsoft.com/xrm/2011/Claims/EntityLogicalName": "account",
    größe: 4,
    in: 5,
    sys: 6,
    newid: 7,
    a1_b: 8
  }, [
    ["color = 'red'", true],
    ["COLOR = 'red'", true],
    ["user.Color = 'red'", true],
    ["USER.color = 'red'", true],
    ["[color] = 'red'", true],
    ["\"Color\" = 'red'", true],
    ["user.[Color] = 'red'", true],
    ["[user].[Color] = 'red'", true],
    ["[HR-EmployeeID] = 1", true],
    ["[a]]b] = 2", true],
    ["\"say \"\"hi\"\"\" = 3", true],
    ["\"http://schemas.microsoft.com/xrm/2011/Claims/EntityLogicalName\" = 'account'", true],
    ["GRÖSSE = 4", "unknown"],
    ["GRÖßE = 4", true],
    ["[in] = 5", true],
    ["sys = 6", true],
    ["newid = 7", true],
    ["a1_b = 8", true],
    ["sys.Label IS NULL AND [sys] = 6", true]
  ], { system: { label: undefined } })

  holds("of system properties have a scope, and must be known", { label: "own" }, [
    ["sys.Label = 'x'", true],
    ["sys.label = 'x'", true],
    ["SYS.Subject = 'x'", true],
    ["label = 'own'", true],
    ["sys.MessageId = '1'", true],
    ["sys.To = 'a'", "unknown"],
    ["sys.To IS NULL", true],
    ["EXISTS(sys.Label)", true],
    ["EXISTS(sys.To)", false],
    ["sys.nothing = 1", "refused: a message has no system property \"nothing\""],
    ["sys.nothing IS NULL", "refused: a message has no system property \"nothing\""]
  ], { system: { label: "x", messageid: "1", to: undefined } })

  holds("can be values, of application properties alone", { color: "red", which: "Color", n: 1, "sys.Label": "own" }, [
    ["property('color') = 'red'", true],
    ["P('COLOR') = 'red'", true],
    ["p(which) = 'red'", true],
    ["p('col' + 'or') = 'red'", true],
    ["p('SYS.label') = 'own'", true],
    ["p('user.color') = 'red'", "unknown"],
    ["p(missing) = 1", "unknown"],
    ["p(n) = 1", "error: The name of a property is not a string."]
  ], { system: { label: "x" } })

  holds("with @ are parameters, of every type", { total: 5, at: DateTime.makeUnsafe(5), s: "it's" }, [
    ["total = @Total", true],
    ["at < @time", true],
    ["at - at <= @span", true],
    ["s = @text", true],
    ["@total = 5", true],
    ["@none = 1", "unknown"],
    ["s LIKE @pattern ESCAPE @mark", true],
    ["p(@name) = 5", true]
  ], {
    parameters: {
      "@total": 5,
      time: DateTime.makeUnsafe(6),
      "@span": Duration.zero,
      text: "it's",
      none: null,
      pattern: "it%",
      mark: "\\",
      name: "total"
    }
  })
})

describe("the documentation's examples", () => {
  holds("of filters on properties", { StoreId: "Store8", MessageProperty: 3, SuperHero: "SuperMan II", tag: "queue" }, [
    ["sys.label LIKE '%bus%'", true],
    ["sys.messageid = 'xxxx'", true],
    ["sys.correlationid like 'abc-%'", true],
    ["user.SuperHero like 'SuperMan%'", true],
    ["MessageProperty > 2.08", true],
    ["MessageProperty = 1 OR MessageProperty2 = 3", "unknown"],
    ["sys.Label LIKE '%bus%' OR user.tag IN ('queue', 'topic', 'subscription')", true],
    ["StoreId IN('Store1', 'Store2', 'Store3')", false],
    ["sys.To IN ('Store5','Store6','Store7') OR StoreId = 'Store8'", true],
    ["sys.To NOT IN ('Store1','Store2') OR StoreId NOT IN ('Store8')", true]
  ], { system: { label: "omnibus", messageid: "xxxx", correlationid: "abc-1", to: "Store9" } })

  holds("of filters with parameters", {
    DateTimeMp: DateTime.makeUnsafe(10),
    DateTimeMp1: DateTime.makeUnsafe(1000),
    DateTimeMp2: DateTime.makeUnsafe(3000)
  }, [
    ["DateTimeMp < @dtParam", true],
    ["DateTimeMp > @dtParam", false],
    ["(DateTimeMp2-DateTimeMp1) <= @timespan", true],
    ["DateTimeMp2-DateTimeMp1 <= @timespan", true]
  ], { parameters: { "@dtParam": DateTime.makeUnsafe(20), "@timespan": Duration.seconds(2) } })
})
