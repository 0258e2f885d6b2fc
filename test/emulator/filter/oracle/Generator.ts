/**
 * Random filters, actions and messages. Values are few, and often those at the ends of their types, so that equal ones meet; most
 * operators get operands that they are for, and some get others.
 */
import type { Random } from "./Random.ts"
import {
  type Arithmetic,
  boolean,
  type Comparison,
  double,
  type Expression,
  long,
  type Message,
  type Predicate,
  type Property,
  type Statement,
  text,
  unknown,
  type Value,
  type WholeType
} from "./Tree.ts"

type Sort = "number" | "text" | "boolean" | "guid" | "time" | "span" | "other"

const whole = (type: WholeType, value: bigint): Value => ({ kind: "whole", type, value })
const single = (value: number): Value => ({ kind: "single", value: Math.fround(value) })

/** Different from each other by one, and the same as doubles. */
const closeLongs = [(1n << 53n) - 1n, 1n << 53n, (1n << 53n) + 1n, (1n << 63n) - 2n, (1n << 63n) - 1n]

/** More than half of the way between two singles, and half of it once it is a double. */
const twiceRounded = (1n << 53n) + (1n << 29n) + 1n

const newYear = 1_704_067_200_000n
const minute = 600_000_000n

/** More characters than a word has bits. */
const longText = "Contoso & Northwind: wholesale of blue and red paint, 100%"

/** The values of each AMQP type that a property or parameter has. */
const values: Readonly<Record<Sort, ReadonlyArray<ReadonlyArray<Value>>>> = {
  number: [
    [0n, 1n, 7n, 255n].map((value) => whole("ubyte", value)),
    [0n, 7n, 300n, 65_535n].map((value) => whole("ushort", value)),
    [2n, 7n, 4_294_967_295n].map((value) => whole("uint", value)),
    [3n, 7n, (1n << 53n) + 1n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 2n, (1n << 64n) - 1n].map((value) =>
      whole("ulong", value)
    ),
    [-128n, -1n, 7n, 127n].map((value) => whole("byte", value)),
    [-32_768n, -7n, 7n, 300n].map((value) => whole("short", value)),
    [-2_147_483_648n, -3n, 0n, 2n, 7n, 10n, 16_777_217n, 2_147_483_647n].map((value) => whole("int", value)),
    [-(1n << 63n), 1n - (1n << 63n), -3n, 7n, twiceRounded, ...closeLongs].map((value) => whole("long", value)),
    [0, -0, 0.1, 0.5, 2.5, 7, 16_777_216, 2 ** 53 + 2 ** 30, -1.5, Infinity, NaN, 3.4028234663852886e38].map(single),
    [0, -0, 0.1, 0.5, 2.08, 2.5, 7, 9_007_199_254_740_992, -1.5, 1e300, Infinity, -Infinity, NaN].map(double),
    [[5n, 1], [25n, 1], [7n, 0], [-15n, 1], [0n, 0]].map(([digits, scale]) => ({
      kind: "decimal",
      bits: 32,
      digits: digits as bigint,
      scale: Number(scale)
    })),
    [[1n, 1], [1234567890123n, 3], [70n, 1]].map(([digits, scale]) => ({
      kind: "decimal",
      bits: 64,
      digits: digits as bigint,
      scale: Number(scale)
    })),
    [[9_223_372_036_854_775_807n, 0], [123_456_789_012_345_678_901n, 10], [2n, 0], [250n, 2]].map((
      [digits, scale]
    ) => ({ kind: "decimal", bits: 128, digits: digits as bigint, scale: Number(scale) }))
  ],
  text: [
    ["", "a", "A", "ab", "abc", "b", "blue", "Blue", "red"].map(text),
    ["a%c", "a_c", "100%", "it's", "a\nb", "ä", "zß", "7", " ", "a\\b", "[x]", longText].map(text)
  ],
  boolean: [[true, false].map(boolean)],
  guid: [
    ["00112233-4455-6677-8899-aabbccddeeff", "00000000-0000-0000-0000-000000000000"].map((value) => ({
      kind: "guid",
      value
    }))
  ],
  time: [[newYear, newYear + 60_000n, 0n, newYear - 1n].map((millis) => ({ kind: "time", millis }))],
  span: [[0n, minute, -minute, 10_000n * 3_600_000n].map((ticks) => ({ kind: "span", ticks }))],
  other: [
    [{ kind: "char", value: "x" }],
    [{ kind: "binary", value: "00ff" }],
    [{ kind: "symbol", value: "blue" }]
  ]
}

/** A property for each AMQP type, twice for some: the first words of its name say what it mostly is. */
const names: ReadonlyArray<readonly [name: string, sort: Sort, type: number]> = [
  ["quantity", "number", 6],
  ["size_2", "number", 6],
  ["Big", "number", 7],
  ["ubyte", "number", 0],
  ["ushort", "number", 1],
  ["uint", "number", 2],
  ["ulong", "number", 3],
  ["sbyte", "number", 4],
  ["short", "number", 5],
  ["Single", "number", 8],
  ["ratio", "number", 9],
  ["price", "number", 9],
  ["dec32", "number", 10],
  ["dec64", "number", 11],
  ["dec128", "number", 12],
  ["color", "text", 0],
  ["StoreId", "text", 0],
  ["größe", "text", 0],
  ["Property With Space", "text", 1],
  ["HR-EmployeeID", "text", 1],
  ["Contoso & Northwind", "text", 0],
  ["a]b\"c'd", "text", 1],
  ["like", "text", 1],
  ["http://schemas.microsoft.com/xrm/2011/Claims/EntityLogicalName", "text", 0],
  ["isFragile", "boolean", 0],
  ["ready", "boolean", 0],
  ["id", "guid", 0],
  ["other id", "guid", 0],
  ["DateTimeMp", "time", 0],
  ["DateTimeMp2", "time", 0],
  ["took", "span", 0],
  ["waits", "span", 0],
  ["letter", "other", 0],
  ["bytes", "other", 1],
  ["sym", "other", 2],
  ["never there", "text", 0]
]

const systemNames = [
  "ContentType",
  "CorrelationId",
  "Label",
  "MessageId",
  "PartitionKey",
  "ReplyTo",
  "ReplyToSessionId",
  "SessionId",
  "To"
]

const comparisons: ReadonlyArray<Comparison> = ["=", "<>", "<", "<=", ">", ">="]
const arithmetic: ReadonlyArray<Arithmetic> = ["+", "-", "*", "/", "%"]

export class Generator {
  private readonly random: Random
  /** Parameters of the filter or action that is being made, with their `@`. */
  private parameters = new Map<string, Value>()

  constructor(random: Random) {
    this.random = random
  }

  message(): Message {
    const { random } = this
    const properties = new Map<string, Value>()
    for (const [name, sort, type] of names) {
      if (name === "never there" || random.once(5)) continue
      const value = random.once(12)
        ? unknown
        : random.once(12)
        ? this.anyValue()
        : random.pick(values[sort][type]!)
      properties.set(name, value)
    }
    const system = new Map<string, string>()
    for (const name of systemNames) {
      // The broker gives a message id to a message without one, and asks for a partition key that is the session id.
      if (name === "MessageId" || name !== "PartitionKey" && !random.once(3)) system.set(name, this.systemText(name))
    }
    const sessionId = system.get("SessionId")
    if (sessionId !== undefined && random.once(2)) system.set("PartitionKey", sessionId)
    return { properties, system }
  }

  private systemText(name: string): string {
    const given = this.random.pick(["a", "ab", "bus stop", "Store5", "abc-%1", "red"])
    return name === "ContentType" ? given.replace(" ", "/") : given
  }

  /** What a correlation filter asks for: mostly what the message has, so that some conditions hold. */
  conditions({ properties, system }: Message): Message {
    const { random } = this
    const some = <A>(all: ReadonlyMap<string, A>, most: number, other: (name: string) => A) =>
      new Map(
        Array.from({ length: random.below(most) }, () => random.pick(Array.from(all.keys()))).map((name) =>
          [name, random.once(6) ? other(name) : all.get(name)!] as const
        )
      )
    const asked = some(properties, 4, () => this.anyValue())
    for (const [name, value] of asked) if (value.kind === "unknown") asked.delete(name)
    const texts = some(system, 3, (name) => this.systemText(name))
    // There is none for it.
    texts.delete("PartitionKey")
    return { properties: asked, system: texts }
  }

  filter(): { readonly tree: Predicate; readonly parameters: ReadonlyMap<string, Value> } {
    this.parameters = new Map()
    const tree = this.predicate(this.random.below(4))
    return { tree, parameters: this.parameters }
  }

  action(): { readonly statements: ReadonlyArray<Statement>; readonly parameters: ReadonlyMap<string, Value> } {
    this.parameters = new Map()
    const statements = Array.from({ length: 1 + this.random.below(4) }, () => this.statement())
    return { statements, parameters: this.parameters }
  }

  private statement(): Statement {
    const { random } = this
    if (random.once(4)) {
      return { node: "remove", property: random.once(12) ? this.systemProperty() : this.userProperty() }
    }
    if (random.once(5)) {
      const name = random.once(15) ? "SequenceNumber" : random.pick(["Label", "CorrelationId", "To", "ReplyTo"])
      return {
        node: "set",
        property: { node: "property", scope: "sys", name },
        value: this.expression("text", random.below(2))
      }
    }
    const sort = this.anySort()
    const property = random.once(4)
      ? { node: "property" as const, scope: undefined, name: this.recased(random.pick(["New", "also new"])) }
      : this.userProperty(random.once(5) ? undefined : sort)
    return { node: "set", property, value: this.expression(sort, random.below(3)) }
  }

  private predicate(depth: number): Predicate {
    const { random } = this
    if (depth > 0 && !random.once(4)) {
      const node = random.pick(["and", "or", "not"] as const)
      if (node === "not") return { node, operand: this.predicate(depth - 1) }
      return { node, left: this.predicate(depth - 1), right: this.predicate(depth - 1) }
    }
    switch (random.below(10)) {
      case 0:
        return { node: "isNull", negated: random.once(2), property: this.property() }
      case 1:
        return { node: "exists", property: this.property() }
      case 2:
      case 3: {
        const sort = this.anySort()
        return {
          node: "in",
          negated: random.once(2),
          left: this.expression(sort, random.below(2)),
          choices: Array.from(
            { length: 1 + random.below(4) },
            () => this.expression(random.once(8) ? this.anySort() : sort, random.once(6) ? 1 : 0)
          )
        }
      }
      case 4:
      case 5:
        return this.like()
      default: {
        const sort = this.anySort()
        return {
          node: "compare",
          operator: random.pick(comparisons),
          left: this.expression(sort, random.below(3)),
          right: this.expression(random.once(10) ? this.anySort() : sort, random.below(3))
        }
      }
    }
  }

  private like(): Predicate {
    const { random } = this
    const escape = random.once(3) ? random.pick(["\\", "!", "a", "%", "_", "'"]) : undefined
    const pieces = Array.from({ length: random.below(5) }, () => {
      const piece = random.pick(["%", "_", "a", "b", "c", "blue", "A", "ä", "'", "\n", "-", "\\"])
      if (escape === undefined) return piece
      return piece === escape || (piece === "%" || piece === "_") && random.once(2) ? escape + piece : piece
    })
    const constant = (value: Value): Expression => random.once(4) ? this.parameter(value) : { node: "constant", value }
    const like = random.pick(random.pick(values.text))
    const isMadeOf = random.once(2)
    const pattern = text(isMadeOf ? this.patternOf(like, escape) : pieces.join(""))
    return {
      node: "like",
      negated: random.once(2),
      left: isMadeOf && random.once(2)
        ? constant(like)
        : this.expression(random.once(15) ? this.anySort() : "text", random.below(2)),
      pattern: random.once(12) ? this.expression("text", 1) : constant(pattern),
      escape: escape === undefined ? undefined : constant(text(escape))
    }
  }

  /** A pattern that a text is like, or nearly: of what is left of it, with runs and single characters in places of its own. */
  private patternOf(value: Value, escape: string | undefined): string {
    const { random } = this
    const wildcard = (sign: string, times: number) => random.once(times) && sign !== escape ? sign : undefined
    const characters = Array.from((value as { readonly value: string }).value, (character) => {
      const sign = wildcard("_", 12) ?? wildcard("%", 16)
      if (sign !== undefined) return sign
      const isEscaped = escape !== undefined && (character === "%" || character === "_" || character === escape)
      return isEscaped ? escape + character : character
    })
    const from = random.once(3) ? random.below(characters.length + 1) : 0
    const to = random.once(3) ? random.below(characters.length + 1) : characters.length
    return [wildcard("%", 3), ...characters.slice(from, to), wildcard("%", 3)].join("")
  }

  private anySort(): Sort {
    return this.random.pick([
      "number",
      "number",
      "number",
      "number",
      "text",
      "text",
      "text",
      "boolean",
      "guid",
      "time",
      "span",
      this.random.once(4) ? "other" : "number"
    ])
  }

  /** An expression that is mostly of this sort. */
  private expression(sort: Sort, depth: number): Expression {
    const { random } = this
    if (depth > 0) {
      const operand = (of: Sort) => this.expression(random.once(25) ? this.anySort() : of, depth - 1)
      switch (sort) {
        case "number":
          if (random.once(4)) return { node: "sign", operator: random.pick(["+", "-"]), operand: operand("number") }
          return {
            node: "binary",
            operator: random.pick(arithmetic),
            left: operand("number"),
            right: operand("number")
          }
        case "text":
          if (random.once(3)) {
            const [name] = random.pick(names)
            return { node: "lookup", name: { node: "constant", value: text(name) } }
          }
          return { node: "binary", operator: "+", left: operand("text"), right: operand("text") }
        case "time":
          return {
            node: "binary",
            operator: random.pick(["+", "-"]),
            left: operand("time"),
            right: operand("span")
          }
        case "span":
          return random.once(2)
            ? { node: "binary", operator: "-", left: operand("time"), right: operand("time") }
            : { node: "binary", operator: random.pick(["+", "-"]), left: operand("span"), right: operand("span") }
        default:
      }
    }
    if (random.once(30)) return { node: "constant", value: unknown }
    switch (random.below(5)) {
      case 0:
        return this.parameter(random.pick(random.pick(values[sort])))
      case 1:
      case 2:
        return this.constant(sort) ?? this.parameter(random.pick(random.pick(values[sort])))
      default:
        return sort === "text" && random.once(4) ? this.systemProperty() : this.userProperty(sort)
    }
  }

  private constant(sort: Sort): Expression | undefined {
    const { random } = this
    switch (sort) {
      case "number":
        return {
          node: "constant",
          value: random.once(3)
            ? double(random.pick([0, 0.1, 0.5, 2.08, 2.5, 7, 1e300, 0.0015, 9_007_199_254_740_992]))
            : long(random.pick([0n, 1n, 2n, 3n, 7n, 10n, 255n, 16_777_217n, -(1n << 63n), twiceRounded, ...closeLongs]))
        }
      case "text":
        return { node: "constant", value: random.pick(random.pick(values.text)) }
      case "boolean":
        return { node: "constant", value: boolean(random.once(2)) }
      default:
        return undefined
    }
  }

  private anyValue(): Value {
    const { random } = this
    return random.pick(random.pick(values[this.anySort()]))
  }

  private parameter(value: Value): Expression {
    const known = Array.from(this.parameters).find(([, each]) => each === value)
    const name = known?.[0] ?? `@${this.random.pick(["p", "Param_", "größe"])}${this.parameters.size}`
    this.parameters.set(name, value)
    return { node: "parameter", name, value }
  }

  private property(): Property {
    return this.random.once(4) ? this.systemProperty() : this.userProperty()
  }

  private userProperty(sort?: Sort): Property {
    const [name] = this.random.pick(sort === undefined ? names : names.filter(([, each]) => each === sort))
    return { node: "property", scope: this.random.once(3) ? "user" : undefined, name: this.recased(name) }
  }

  private systemProperty(): Property {
    const name = this.random.once(40)
      ? "NoSuchProperty"
      : this.random.once(12)
      ? "Subject"
      : this.random.pick(systemNames)
    return { node: "property", scope: "sys", name: this.recased(name) }
  }

  /** Names have no case. Letters outside ASCII keep theirs, for not all of them have two of one length. */
  private recased(name: string): string {
    if (!this.random.once(3)) return name
    return name.replace(/[A-Za-z]/g, (letter) => this.random.once(2) ? letter.toUpperCase() : letter.toLowerCase())
  }
}
