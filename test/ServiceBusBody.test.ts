/** Body codecs: what each writes, what it reads, and what it says of a body that it cannot. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as AmqpValue from "../src/AmqpValue.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import { assert, describe, it } from "./support/vitest.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

const data = (data: Uint8Array | string | ReadonlyArray<Uint8Array>): ServiceBusBody.Sections => ({
  kind: "data",
  data
})

const empty: ServiceBusBody.Sections = { kind: "empty" }
const value = (value: AmqpValue.AmqpValue): ServiceBusBody.Sections => ({ kind: "value", value })
const sequence: ServiceBusBody.Sections = { kind: "sequence", sequences: [[1, 2], []] }

const succeeded = <A>(result: Result.Result<A, string>): A =>
  Result.isSuccess(result) ? result.success : assert.fail(`failed: ${result.failure}`)

const failed = (result: Result.Result<unknown, string>): string =>
  Result.isFailure(result) ? result.failure : assert.fail("succeeded")

/** The text that a codec writes into its data section. */
const written = (result: Result.Result<ServiceBusBody.Sections, string>): string => {
  const sections = succeeded(result)
  if (sections.kind !== "data" || typeof sections.data !== "string") return assert.fail("no text in a data section")
  return sections.data
}

class Line extends Schema.Class<Line>("Line")({
  sku: Schema.String.check(Schema.isMinLength(3)),
  count: Schema.Int
}) {}

class Order extends Schema.Class<Order>("Order")({
  id: Schema.String,
  total: Schema.Finite,
  lines: Schema.Array(Line),
  note: Schema.optionalKey(Schema.String)
}) {
  get isFree() {
    return this.total === 0
  }
}

const Orders = ServiceBusBody.json(Order)

const plain = { id: "1", total: 9.5, lines: [{ sku: "abc", count: 2 }] }

describe("json", () => {
  it("has the content type of JSON", () => {
    assert.strictEqual(Orders.contentType, "application/json")
  })

  it("takes an instance of the class", () => {
    const order = new Order({ ...plain, lines: [new Line({ sku: "abc", count: 2 })] })
    assert.deepStrictEqual(JSON.parse(written(Orders.encode(order))), plain)
  })

  it("takes the plain fields of the class, nested classes too", () => {
    assert.deepStrictEqual(JSON.parse(written(Orders.encode(plain))), plain)
  })

  it("gives an instance of the class", () => {
    for (const sections of [data(JSON.stringify(plain)), data(utf8(JSON.stringify(plain)))]) {
      const order = succeeded(Orders.decode(sections))
      assert.instanceOf(order, Order)
      assert.instanceOf(order.lines[0], Line)
      assert.isFalse(order.isFree)
      assert.strictEqual(order.total, 9.5)
    }
  })

  it("reads a body that came in several data sections", () => {
    const bytes = utf8(JSON.stringify({ ...plain, id: "Größe" }))
    for (let at = 0; at <= bytes.length; at++) {
      const order = succeeded(Orders.decode(data([bytes.subarray(0, at), bytes.subarray(at)])))
      assert.strictEqual(order.id, "Größe")
    }
  })

  it("reads text in an AMQP value section", () => {
    assert.strictEqual(succeeded(Orders.decode(value(JSON.stringify(plain)))).id, "1")
  })

  it("ignores a byte order mark", () => {
    assert.strictEqual(succeeded(Orders.decode(data(`\ufeff${JSON.stringify(plain)}`))).id, "1")
    assert.strictEqual(
      succeeded(Orders.decode(data(Uint8Array.of(0xef, 0xbb, 0xbf, ...utf8(JSON.stringify(plain)))))).id,
      "1"
    )
    assert.strictEqual(failed(Orders.decode(data(`\ufeff\ufeff${JSON.stringify(plain)}`))), "not JSON")
  })

  it("ignores keys that the schema does not have", () => {
    assert.isFalse("extra" in succeeded(Orders.decode(data(JSON.stringify({ ...plain, extra: 1 })))))
  })

  it("leaves an optional key out", () => {
    assert.notInclude(written(Orders.encode(plain)), "note")
    assert.strictEqual(JSON.parse(written(Orders.encode({ ...plain, note: "x" }))).note, "x")
    assert.isFalse("note" in succeeded(Orders.decode(data(JSON.stringify(plain)))))
  })

  it("fills in the defaults of the constructor", () => {
    const Body = ServiceBusBody.json(Schema.Struct({
      id: Schema.String,
      version: Schema.Int.pipe(Schema.withConstructorDefault(Effect.succeed(1)))
    }))
    assert.strictEqual(written(Body.encode({ id: "a" })), "{\"id\":\"a\",\"version\":1}")
    assert.strictEqual(written(Body.encode({ id: "a", version: 2 })), "{\"id\":\"a\",\"version\":2}")
  })

  it("writes what JSON does not know in a JSON form, and reads it back", () => {
    const Body = ServiceBusBody.json(Schema.Struct({
      date: Schema.Date,
      time: Schema.DateTimeUtc,
      big: Schema.BigInt,
      duration: Schema.Duration,
      bytes: Schema.Uint8Array,
      url: Schema.URL,
      map: Schema.ReadonlyMap(Schema.String, Schema.BigInt),
      option: Schema.Option(Schema.Date),
      nothing: Schema.optional(Schema.String)
    }))
    const rich = {
      date: new Date(0),
      time: DateTime.makeUnsafe("2024-02-29T12:00:00.001Z"),
      big: 9_007_199_254_740_993n,
      duration: Duration.seconds(2),
      bytes: Uint8Array.of(0, 255),
      url: new URL("https://example.com/a?b"),
      map: new Map([["a", 1n]]),
      option: Option.some(new Date(1)),
      nothing: undefined
    }
    const text = written(Body.encode(rich))
    assert.deepStrictEqual(JSON.parse(text), {
      date: "1970-01-01T00:00:00.000Z",
      time: "2024-02-29T12:00:00.001Z",
      big: "9007199254740993",
      duration: { _tag: "Millis", value: 2000 },
      bytes: "AP8=",
      url: "https://example.com/a?b",
      map: [["a", "1"]],
      option: { _tag: "Some", value: "1970-01-01T00:00:00.001Z" },
      nothing: null
    })
    const back = succeeded(Body.decode(data(text)))
    assert.strictEqual(back.date.getTime(), 0)
    assert.isTrue(DateTime.isDateTime(back.time))
    assert.strictEqual(back.big, rich.big)
    assert.strictEqual(Duration.toMillis(back.duration), 2000)
    assert.deepStrictEqual(Array.from(back.bytes), [0, 255])
    assert.strictEqual(back.url.href, rich.url.href)
    assert.strictEqual(back.map.get("a"), 1n)
    assert.strictEqual(Option.getOrThrow(back.option).getTime(), 1)
    assert.isUndefined(back.nothing)
  })

  it("applies transformations: the decoded value is what a program sees", () => {
    const Body = ServiceBusBody.json(Schema.Struct({
      count: Schema.FiniteFromString,
      at: Schema.DateTimeUtcFromMillis
    }))
    const text = written(Body.encode({ count: 3, at: DateTime.makeUnsafe(1000) }))
    assert.strictEqual(text, "{\"count\":\"3\",\"at\":1000}")
    const back = succeeded(Body.decode(data(text)))
    assert.strictEqual(back.count, 3)
    assert.strictEqual(DateTime.toEpochMillis(back.at), 1000)
  })

  it.each([
    ["a string", Schema.String, "größe \ud800 \u2028"],
    ["a number", Schema.Finite, 1.5],
    ["a boolean", Schema.Boolean, false],
    ["null", Schema.Null, null],
    ["an array", Schema.Array(Schema.Int), [1, 2]],
    ["a tuple", Schema.Tuple([Schema.String, Schema.Int]), ["a", 1]],
    ["a record", Schema.Record(Schema.String, Schema.Int), { a: 1 }],
    ["anything of JSON", Schema.Unknown, { a: [1, "b", null, { c: true }] }],
    ["a union", Schema.Union([Schema.String, Schema.Int]), 1]
  ])("carries %s", (_, schema, body) => {
    const Body = ServiceBusBody.json(schema as typeof Schema.Unknown)
    assert.deepStrictEqual(succeeded(Body.decode(data(written(Body.encode(body))))), body)
  })

  it.each([
    ["no body", empty, "not JSON"],
    ["text that is not JSON", data("SECRET"), "not JSON"],
    ["JSON that is cut off", data("{\"id\":\"SECRET"), "not JSON"],
    ["bytes that are not UTF-8", data(Uint8Array.of(0x22, 0xff, 0x22)), "not UTF-8"],
    ["a sequence", sequence, "expected a data section, got an AMQP sequence section"],
    ["an AMQP value that is not text", value(1), "expected a data section, got an AMQP value section"]
  ])("does not decode %s", (_, sections, problem) => {
    assert.strictEqual(failed(Orders.decode(sections)), problem)
  })

  const wrong: ReadonlyArray<readonly [what: string, body: unknown, problem: string]> = [
    ["a field of the wrong type", { ...plain, id: 777_777 }, "Expected string at [\"id\"]"],
    ["text for a number", { ...plain, total: "SECRET" }, "Expected number at [\"total\"]"],
    ["a missing key", { id: "SECRET", lines: [] }, "Missing key at [\"total\"]"],
    ["an array for an object", [["SECRET"]], "Expected object"],
    [
      "a nested value that a check refuses",
      { ...plain, lines: [...plain.lines, { sku: "S!", count: 1 }] },
      "Expected a value with a length of at least 3 at [\"lines\"][1][\"sku\"]"
    ],
    [
      "a nested value of the wrong type",
      { ...plain, lines: [{ sku: "SECRET", count: "SECRET" }] },
      "Expected number at [\"lines\"][0][\"count\"]"
    ],
    [
      "a number that is not an integer",
      { ...plain, lines: [{ sku: "SECRET", count: 7777.5 }] },
      "Expected an integer at [\"lines\"][0][\"count\"]"
    ]
  ]

  it.each(wrong)("says where it does not decode %s, and not what is there", (_, body, problem) => {
    const text = failed(Orders.decode(data(JSON.stringify(body))))
    assert.notMatch(text, /SECRET|7777|S!/)
    // The JSON form of a number also allows for what JSON has no number for; the place is the same.
    assert.strictEqual(text.replace(/"Infinity" \| "-Infinity" \| "NaN"/, "number"), problem)
  })

  it.each(wrong)("says where it does not encode %s, and not what is there", (_, body, problem) => {
    const text = failed(Orders.encode(body as typeof plain))
    assert.notMatch(text, /SECRET|7777|S!/)
    assert.strictEqual(text, problem)
  })

  it.each([[null], [undefined], ["SECRET"], [42], [() => {}]])("does not encode %j as an object", (body) => {
    const text = failed(Orders.encode(body as unknown as typeof plain))
    assert.match(text, /^(Expected object|Missing key at \["id"\])$/)
  })

  it("says where a value has no JSON form", () => {
    const Body = ServiceBusBody.json(Schema.Struct({ a: Schema.Struct({ b: Schema.Unknown }) }))
    const circle: { self?: unknown } = {}
    circle.self = circle
    for (const b of [1n, undefined, () => {}, circle, Symbol("SECRET"), Number.NaN, new Map([["SECRET", 1]])]) {
      const text = failed(Body.encode({ a: { b } }))
      assert.match(text, /^Expected JSON value at \["a"\]\["b"\]/)
      assert.notInclude(text, "SECRET")
    }
  })

  it.each([
    ["Date", Schema.Date],
    ["DateTimeUtc", Schema.DateTimeUtc],
    ["BigInt", Schema.BigInt],
    ["Duration", Schema.Duration],
    ["Uint8Array", Schema.Uint8Array],
    ["URL", Schema.URL],
    ["FiniteFromString", Schema.FiniteFromString],
    ["BigIntFromString", Schema.BigIntFromString],
    ["DateTimeUtcFromString", Schema.DateTimeUtcFromString],
    ["DurationFromIsoString", Schema.DurationFromIsoString],
    ["Literals", Schema.Literals(["a", "b"])],
    ["TemplateLiteral", Schema.TemplateLiteral(["id-", Schema.Int])],
    ["Union", Schema.Union([Schema.Struct({ a: Schema.Int }), Schema.Struct({ b: Schema.Int })])],
    ["a check by pattern", Schema.String.check(Schema.isPattern(/^[a-z]+$/))],
    ["a JSON string", Schema.fromJsonString(Schema.Struct({ a: Schema.Int }))]
  ])("does not repeat a wrong %s", (_, schema) => {
    const Body = ServiceBusBody.json(Schema.Struct({ at: Schema.Array(schema as unknown as typeof Schema.String) }))
    for (const bad of ["SECRET!", { SECRET: "SECRET" }, ["SECRET"], "2024-13-45 SECRET"]) {
      const decoding = failed(Body.decode(data(JSON.stringify({ at: [bad] }))))
      const encoding = failed(Body.encode({ at: [bad as string] }))
      for (const text of [decoding, encoding]) {
        assert.notInclude(text, "SECRET")
        assert.include(text, "[\"at\"][0]")
        assert.strictEqual(text.split("\n").length, 1)
      }
    }
  })

  it("has the text of a check that says its own", () => {
    const Body = ServiceBusBody.json(Schema.Struct({
      id: Schema.String.check(Schema.makeFilter((id) => id.startsWith("id-") || "an id starts\nwith id-"))
    }))
    const problem = "an id starts with id- at [\"id\"]"
    assert.strictEqual(failed(Body.decode(data("{\"id\":\"SECRET\"}"))), problem)
    assert.strictEqual(failed(Body.encode({ id: "SECRET" })), problem)
  })

  it("leaves out the input that a transformation or a check puts into its issue", () => {
    const Retains = Schema.String.pipe(Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transformEffect({
        decode: (text: string) => Effect.fail(new SchemaIssue.InvalidValue(undefined, text)),
        encode: (text: string) => Effect.fail(new SchemaIssue.InvalidValue({ expected: "a code" }, text))
      })
    ))
    const Checks = Schema.String.check(
      Schema.makeFilter((text) => new SchemaIssue.InvalidValue({ expected: "a code" }, text))
    )
    const A = ServiceBusBody.json(Schema.Struct({ a: Retains }))
    const B = ServiceBusBody.json(Schema.Struct({ a: Checks }))
    assert.strictEqual(failed(A.decode(data("{\"a\":\"SECRET\"}"))), "Expected a valid value at [\"a\"]")
    assert.strictEqual(failed(A.encode({ a: "SECRET" })), "Expected a code at [\"a\"]")
    assert.strictEqual(failed(B.decode(data("{\"a\":\"SECRET\"}"))), "Expected a code at [\"a\"]")
    assert.strictEqual(failed(B.encode({ a: "SECRET" })), "Expected a code at [\"a\"]")
  })

  it("fails, and shows no value, where the schema throws", () => {
    const Throws = Schema.String.pipe(Schema.decodeTo(
      Schema.BigInt,
      SchemaTransformation.transform({
        decode: (text: string) => BigInt(text),
        encode: (value: bigint) => {
          throw new RangeError(`no ${value}`)
        }
      })
    ))
    const Body = ServiceBusBody.json(Schema.Struct({ a: Throws }))
    assert.strictEqual(failed(Body.decode(data("{\"a\":\"SECRET\"}"))), "the schema threw a SyntaxError")
    assert.strictEqual(failed(Body.encode({ a: 777_777n })), "the schema threw a RangeError")
    const Text = ServiceBusBody.json(Schema.String.check(Schema.makeFilter((text) => {
      throw text
    })))
    assert.strictEqual(failed(Text.encode("SECRET")), "the schema threw a value that is not an Error")
  })

  it("fails where the schema is asynchronous", () => {
    const Later = Schema.String.pipe(Schema.decodeTo(
      Schema.String,
      SchemaTransformation.transformEffect({
        decode: (text: string) => Effect.delay(Effect.succeed(text), "1 second"),
        encode: (text: string) => Effect.delay(Effect.succeed(text), "1 second")
      })
    ))
    const Body = ServiceBusBody.json(Later)
    assert.strictEqual(failed(Body.decode(data("\"SECRET\""))), "the schema is asynchronous")
    assert.strictEqual(failed(Body.encode("SECRET")), "the schema is asynchronous")
  })

  it("bounds what it says", () => {
    const key = "k".repeat(2000)
    const Body = ServiceBusBody.json(Schema.Struct({ [key]: Schema.Int }))
    const text = failed(Body.decode(data("{}")))
    assert.strictEqual(text.length, 512)
    assert.isTrue(text.endsWith("…"))
  })

  it("decodes what is nested deeply, or says that it does not", () => {
    const deep = "[".repeat(50_000) + "]".repeat(50_000)
    const result = ServiceBusBody.json(Schema.Unknown).decode(data(deep))
    if (Result.isFailure(result)) assert.strictEqual(result.failure, "the schema threw a RangeError")
  })

  it("does not take the prototype of an object from a body", () => {
    const Body = ServiceBusBody.json(Schema.Record(Schema.String, Schema.Unknown))
    const result = Body.decode(data("{\"__proto__\":{\"polluted\":true}}"))
    assert.isUndefined(({} as { polluted?: boolean }).polluted)
    if (Result.isSuccess(result)) assert.isUndefined(result.success["polluted"])
  })
})

describe("text", () => {
  it("has the content type of text", () => {
    assert.strictEqual(ServiceBusBody.text.contentType, "text/plain; charset=utf-8")
  })

  it.each(["", "a", "Größe 日本語 🚌", "\ufeffafter a mark", "\u0000\r\n"])("carries %j", (text) => {
    const sections = succeeded(ServiceBusBody.text.encode(text))
    assert.deepStrictEqual(sections, data(text))
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(sections)), text)
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(data(utf8(text)))), text)
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(value(text))), text)
  })

  it("keeps a byte order mark", () => {
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(data(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)))), "\ufeffa")
  })

  it("joins sections before it decodes them", () => {
    const [a, b] = utf8("ö")
    assert.strictEqual(
      succeeded(ServiceBusBody.text.decode(data([Uint8Array.of(a!), new Uint8Array(0), Uint8Array.of(b!)]))),
      "ö"
    )
  })

  it("reads no body as no text", () => {
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(empty)), "")
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(data([]))), "")
  })

  it.each([
    ["a byte that UTF-8 does not have", [0x61, 0xff]],
    ["a sequence that is cut off", [0xc3]],
    ["an overlong form", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]]
  ])("does not decode %s", (_, bytes) => {
    assert.strictEqual(failed(ServiceBusBody.text.decode(data(Uint8Array.from(bytes)))), "not UTF-8")
  })

  it("decodes after a failure as before", () => {
    failed(ServiceBusBody.text.decode(data(Uint8Array.of(0xc3))))
    assert.strictEqual(succeeded(ServiceBusBody.text.decode(data(utf8("ok")))), "ok")
  })

  it.each(["\ud800", "a\udc00b", "🚌".slice(0, 1)])("does not encode half of a pair: %j", (text) => {
    assert.strictEqual(
      failed(ServiceBusBody.text.encode(text)),
      "expected well-formed Unicode, got a lone surrogate"
    )
  })

  it.each([[undefined], [null], [1], [utf8("a")]])("does not encode %s", (body) => {
    assert.strictEqual(failed(ServiceBusBody.text.encode(body as unknown as string)), "expected a string")
  })

  it.each([
    ["a sequence", sequence],
    ["an AMQP value that is not text", value(1)],
    ["an AMQP symbol", value(AmqpValue.symbol("a"))]
  ])("does not decode %s", (_, sections) => {
    assert.include(failed(ServiceBusBody.text.decode(sections)), "expected a data section")
  })
})

describe("bytes", () => {
  it("has no content type", () => {
    assert.isUndefined(ServiceBusBody.bytes.contentType)
  })

  it("carries bytes as they are, without a copy", () => {
    const body = Uint8Array.of(0, 1, 255)
    const sections = succeeded(ServiceBusBody.bytes.encode(body))
    assert.deepStrictEqual(sections, data(body))
    assert.strictEqual(succeeded(ServiceBusBody.bytes.decode(sections)), body)
    assert.strictEqual(succeeded(ServiceBusBody.bytes.decode(data([body]))), body)
  })

  it.each([
    ["no body", empty, []],
    ["no data section", data([]), []],
    ["several data sections", data([Uint8Array.of(1), new Uint8Array(0), Uint8Array.of(2, 3)]), [1, 2, 3]],
    ["text", data("ö"), [0xc3, 0xb6]]
  ])("gives the bytes of %s", (_, sections, expected) => {
    const bytes = succeeded(ServiceBusBody.bytes.decode(sections))
    assert.instanceOf(bytes, Uint8Array)
    assert.deepStrictEqual(Array.from(bytes), expected)
  })

  it.each([["a"], [null], [undefined], [[1]], [new ArrayBuffer(1)]])("does not encode %s", (body) => {
    assert.strictEqual(failed(ServiceBusBody.bytes.encode(body as unknown as Uint8Array)), "expected a Uint8Array")
  })

  it("does not decode AMQP values", () => {
    assert.strictEqual(
      failed(ServiceBusBody.bytes.decode(value("SECRET"))),
      "expected a data section, got an AMQP value section"
    )
  })
})

describe("amqpValue", () => {
  it.each([[null], ["a"], [1n], [AmqpValue.uuid("b7a1c1f0-0000-4000-8000-000000000000")], [[1, "a"]], [
    new Map([[1, 2]])
  ]])(
    "carries %s",
    (body) => {
      const sections = succeeded(ServiceBusBody.amqpValue.encode(body as AmqpValue.AmqpValue))
      assert.strictEqual(sections.kind, "value")
      assert.strictEqual(succeeded(ServiceBusBody.amqpValue.decode(sections)), body)
    }
  )

  it.each([["data", data("SECRET")], ["sequence", sequence], ["empty", empty]])(
    "does not decode %s",
    (kind, sections) => {
      assert.strictEqual(
        failed(ServiceBusBody.amqpValue.decode(sections)),
        `expected an AMQP value section, got ${kind}`
      )
    }
  )
})

describe("amqpSequence", () => {
  it("carries lists of lists", () => {
    const body = [[1, "a"], [], [null]]
    const sections = succeeded(ServiceBusBody.amqpSequence.encode(body))
    assert.deepStrictEqual(sections, { kind: "sequence", sequences: body })
    assert.strictEqual(succeeded(ServiceBusBody.amqpSequence.decode(sections)), body)
  })

  it.each([["data", data("SECRET")], ["value", value("SECRET")], ["empty", empty]])(
    "does not decode %s",
    (kind, sections) => {
      assert.strictEqual(
        failed(ServiceBusBody.amqpSequence.decode(sections)),
        `expected AMQP sequence sections, got ${kind}`
      )
    }
  )
})

describe("sections", () => {
  it.each([["data", data("a")], ["value", value(1)], ["sequence", sequence], ["empty", empty]])(
    "carries %s",
    (_, body) => {
      assert.strictEqual(succeeded(ServiceBusBody.sections.encode(body)), body)
      assert.strictEqual(succeeded(ServiceBusBody.sections.decode(body)), body)
    }
  )
})

describe("make", () => {
  const Csv = ServiceBusBody.make<ReadonlyArray<string>, string | ReadonlyArray<string>>({
    contentType: "text/csv",
    encode: (cells) => ServiceBusBody.text.encode(typeof cells === "string" ? cells : cells.join(",")),
    decode: (sections) => Result.map(ServiceBusBody.text.decode(sections), (text) => text.split(","))
  })

  it("is a codec for a format of one's own, with an input of its own", () => {
    assert.strictEqual(Csv.contentType, "text/csv")
    assert.strictEqual(written(Csv.encode(["a", "b"])), "a,b")
    assert.strictEqual(written(Csv.encode("a,b")), "a,b")
    assert.deepStrictEqual(succeeded(Csv.decode(data("a,b"))), ["a", "b"])
    assert.strictEqual(failed(Csv.decode(data(Uint8Array.of(0xff)))), "not UTF-8")
  })

  it("needs no content type", () => {
    const body = ServiceBusBody.make({ encode: Csv.encode, decode: Csv.decode })
    assert.isUndefined(body.contentType)
  })
})
