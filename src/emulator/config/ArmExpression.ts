/**
 * The expressions of templates of Azure Resource Manager, such as `[format('{0}/{1}', parameters('namespace'), 'orders')]`: those
 * that names and settings are made of are evaluated. What depends on a deployment (a resource group, a hash, a key), on a
 * parameter without a value, or on a function that is not known here is unknown, which matters only where it is needed.
 *
 * What is unknown is a mark within texts, the same for the same expression, so that names are told apart by it.
 *
 * Source: Azure Resource Manager, template syntax and functions.
 */
import * as Jsonc from "./Jsonc.ts"

/** Marks stand between two characters that no template has: of the private use area. */
const [open, close] = ["\uE000", "\uE001"]

/** How deep an expression may go, its parameters and variables among them. */
const deepest = 64

/**
 * What is unknown in a template, and why.
 */
export class Unknowns {
  private readonly reasons: Array<string> = []
  private readonly marks = new Map<string, string>()

  /** The mark of an expression. */
  mark(expression: string, reason: string): string {
    const before = this.marks.get(expression)
    if (before !== undefined) return before
    const mark = `${open}${this.reasons.push(reason) - 1}${close}`
    this.marks.set(expression, mark)
    return mark
  }

  /** Why a value is not known, where it is a text with a mark. */
  reasonIn(value: Jsonc.Json | undefined): string | undefined {
    if (typeof value !== "string") return undefined
    const [, index] = new RegExp(`${open}(\\d+)${close}`).exec(value) ?? []
    return index === undefined ? undefined : this.reasons[Number(index)]
  }
}

/** Whether a text is an expression; one that begins with two brackets is a text that begins with one. */
const isExpression = (text: string): boolean => text.startsWith("[") && text.endsWith("]") && !text.startsWith("[[")

/** What the template of a deployment has. */
interface Definitions {
  readonly parameters: Jsonc.JsonObject
  readonly variables: Jsonc.JsonObject
  /** What parameters are given, by their names in lower case. */
  readonly values: ReadonlyMap<string, Jsonc.Json>
}

let scopes = 0

/**
 * The parameters and variables of a template.
 */
export class Scope {
  private readonly definitions: Definitions
  private readonly unknowns: Unknowns
  /** Expressions of one text are others in another template. */
  private readonly id = ++scopes
  private depth = 0
  /** What parameters and variables have come to. */
  private readonly known = new Map<string, Jsonc.Json>()

  constructor(definitions: Definitions, unknowns: Unknowns) {
    this.definitions = definitions
    this.unknowns = unknowns
  }

  /** What a value comes to, with all that is in it. */
  evaluate(value: Jsonc.Json): Jsonc.Json {
    if (typeof value === "string") {
      if (isExpression(value)) return this.expression(value.slice(1, -1))
      return value.startsWith("[[") ? value.slice(1) : value
    }
    if (Array.isArray(value)) return value.map((item) => this.evaluate(item))
    if (!Jsonc.isObject(value)) return value
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, this.evaluate(member)]))
  }

  unknown(expression: string, reason: string): string {
    return this.unknowns.mark(`${this.id} ${expression.replace(/\s+/g, "")}`, reason)
  }

  reasonIn(value: Jsonc.Json | undefined): string | undefined {
    return this.unknowns.reasonIn(value)
  }

  parameter(name: string): Jsonc.Json {
    return this.once(`parameters('${name.toLowerCase()}')`, (expression) => {
      const definition = memberOf(this.definitions.parameters, name)
      const given = this.definitions.values.get(name.toLowerCase())
      if (!Jsonc.isObject(definition)) {
        return given ?? this.unknown(expression, `the template has no parameter "${name}"`)
      }
      const byDefault = given === undefined ? memberOf(definition, "defaultValue") : undefined
      const value = given ?? (byDefault === undefined ? undefined : this.evaluate(byDefault))
      if (value !== undefined) {
        const problem = this.reasonIn(value) === undefined ? limitProblem(value, definition) : undefined
        return problem === undefined ? value : this.unknown(expression, `the parameter "${name}" ${problem}`)
      }
      if (memberOf(definition, "nullable") === true) return null
      return this.unknown(
        expression,
        `the parameter "${name}" has no defaultValue; give it one, or --parameter ${name}=VALUE`
      )
    })
  }

  variable(name: string): Jsonc.Json {
    return this.once(`variables('${name.toLowerCase()}')`, (expression) => {
      const value = memberOf(this.definitions.variables, name)
      if (value !== undefined) return this.evaluate(value)
      const isLoop = memberOf(this.definitions.variables, "copy") !== undefined
      return this.unknown(
        expression,
        isLoop
          ? `the variable "${name}" is not there, or made by a loop (copy), which is not evaluated here; write it out`
          : `the template has no variable "${name}"`
      )
    })
  }

  /** Each is evaluated once: what is made of two of another, over and over, would never end. */
  private once(expression: string, evaluate: (expression: string) => Jsonc.Json): Jsonc.Json {
    const before = this.known.get(expression)
    if (before !== undefined) return before
    this.known.set(expression, this.unknown(`${expression} in itself`, `"${expression}" comes back to itself`))
    const value = evaluate(expression)
    this.known.set(expression, value)
    return value
  }

  private expression(text: string): Jsonc.Json {
    if (this.depth >= deepest) {
      return this.unknown(text, `"${text.slice(0, 64)}" goes too deep`)
    }
    this.depth++
    try {
      return new Evaluator(text, this).whole()
    } finally {
      this.depth--
    }
  }
}

const memberOf = (object: Jsonc.JsonObject, name: string): Jsonc.Json | undefined => {
  const key = name.toLowerCase()
  return Object.entries(object).find(([each]) => each.toLowerCase() === key)?.[1]
}

/** Limits of a parameter, and what of its value each is for. */
const limits = [
  ["minValue", "maxValue", "is", (value: Jsonc.Json) => typeof value === "object" ? undefined : Number(value)],
  [
    "minLength",
    "maxLength",
    "has the length",
    (value: Jsonc.Json) => typeof value === "string" || Array.isArray(value) ? value.length : undefined
  ]
] as const

/**
 * What a deployment refuses a parameter for: a value that is not allowed, in whatever case (Azure/bicep #2489), or out of its
 * limits. What the command gives is a text, for a number too.
 */
const limitProblem = (value: Jsonc.Json, definition: Jsonc.JsonObject): string | undefined => {
  const allowed = memberOf(definition, "allowedValues")
  const plain = (each: Jsonc.Json) => (typeof each === "string" ? each : JSON.stringify(each)).toLowerCase()
  if (Array.isArray(allowed) && !Array.isArray(value) && !allowed.some((each) => plain(each) === plain(value))) {
    return `is ${JSON.stringify(value).slice(0, 64)}, and allowedValues has ${JSON.stringify(allowed).slice(0, 300)}`
  }
  for (const [least, most, what, sizeOf] of limits) {
    const size = sizeOf(value)
    const [min, max] = [memberOf(definition, least), memberOf(definition, most)]
    if (size === undefined) continue
    if (typeof min === "number" && !(size >= min)) return `${what} ${size}, and ${least} is ${min}`
    if (typeof max === "number" && !(size <= max)) return `${what} ${size}, and ${most} is ${max}`
  }
  return undefined
}

/** A value within a text, as the functions of templates have it; undefined for an array and an object. */
const textOf = (value: Jsonc.Json | undefined): string | undefined => {
  if (typeof value === "string") return value
  if (typeof value === "boolean") return value ? "True" : "False"
  return value === null ? "" : typeof value === "number" ? String(value) : undefined
}

/** Several, one after the other. */
const textsOf = (values: Arguments): string | undefined => {
  const texts = values.map(textOf)
  return texts.includes(undefined) ? undefined : texts.join("")
}

/** The longest text or array that something comes to: more than any name or setting has. */
const longest = 10_000

type Arguments = ReadonlyArray<Jsonc.Json>

const isTexts = (args: Arguments): args is ReadonlyArray<string> => args.every((arg) => typeof arg === "string")

/** What functions come to; undefined where they cannot take their arguments. */
const functions: ReadonlyMap<string, (args: Arguments, scope: Scope) => Jsonc.Json | undefined> = new Map<
  string,
  (args: Arguments, scope: Scope) => Jsonc.Json | undefined
>([
  ["parameters", ([name], scope) => typeof name === "string" ? scope.parameter(name) : undefined],
  ["variables", ([name], scope) => typeof name === "string" ? scope.variable(name) : undefined],
  [
    "concat",
    (args) => args.length > 0 && args.every((arg) => Array.isArray(arg)) ? args.flat() : textsOf(args)
  ],
  ["format", ([text, ...args]) => typeof text === "string" ? formatted(text, args) : undefined],
  ["string", ([value]) => textOf(value)],
  ["toLower", (args) => isTexts(args) ? args[0]?.toLowerCase() : undefined],
  ["toUpper", (args) => isTexts(args) ? args[0]?.toUpperCase() : undefined],
  ["trim", (args) => isTexts(args) ? args[0]?.trim() : undefined],
  ["replace", (args) => isTexts(args) && args.length === 3 ? args[0]!.replaceAll(args[1]!, args[2]!) : undefined],
  ["split", (args) => isTexts(args) && args.length === 2 ? args[0]!.split(args[1]!) : undefined],
  ["first", ([list]) => Array.isArray(list) || typeof list === "string" ? list[0] as Jsonc.Json : undefined],
  ["last", ([list]) => Array.isArray(list) || typeof list === "string" ? list.at(-1) as Jsonc.Json : undefined],
  ["int", ([value]) => /^-?\d{1,15}$/.test(textOf(value) ?? "") ? Number(value) : undefined],
  ["bool", ([value]) => {
    const word = textOf(value)?.toLowerCase()
    return word === "true" || word === "1" ? true : word === "false" || word === "0" ? false : undefined
  }],
  ["true", () => true],
  ["false", () => false],
  ["null", () => null],
  ["createArray", (args) => args],
  [
    "createObject",
    (args) =>
      args.length % 2 === 0
        ? Object.fromEntries(args.flatMap((name, at) => at % 2 === 0 ? [[textOf(name) ?? "", args[at + 1]!]] : []))
        : undefined
  ]
])

/** Those whose texts may have marks: they stand in what they come to. */
const throughMarks = new Set(["concat", "format", "string", "toLower", "toUpper", "createArray", "createObject"])

const byLowerCase = new Map(Array.from(functions, ([name, run]) => [name.toLowerCase(), { name, run }]))

/** As .NET's String.Format; undefined where it has a format of its own for a value. */
const formatted = (text: string, args: Arguments): string | undefined => {
  let isKnown = true
  const result = text.replace(/\{\{|\}\}|\{(\d+)([^}]*)\}/g, (found, index: string | undefined, format: string) => {
    if (index === undefined) return found.slice(1)
    const value = args[Number(index)]
    const shown = textOf(value)
    if (shown === undefined || format !== "") isKnown = false
    return shown ?? ""
  })
  return isKnown ? result : undefined
}

/** What a function comes to; undefined where that is no text, because it would be longer than one can be. */
const attempt = <A>(run: () => A): A | undefined => {
  try {
    return run()
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** Why an expression is refused as it is written. */
class SyntaxProblem extends Error {}

/** Evaluates one expression as it reads it. */
class Evaluator {
  private readonly text: string
  private readonly scope: Scope
  private at = 0
  private depth = 0

  constructor(text: string, scope: Scope) {
    this.text = text
    this.scope = scope
  }

  whole(): Jsonc.Json {
    try {
      const value = this.value()
      if (this.next() !== undefined) {
        throw new SyntaxProblem(`it goes on with "${this.text.slice(this.at, this.at + 16)}"`)
      }
      return value
    } catch (problem) {
      if (!(problem instanceof SyntaxProblem)) throw problem
      return this.scope.unknown(
        this.text,
        `the expression "[${this.text.slice(0, 200)}]" cannot be read: ${problem.message}`
      )
    }
  }

  /** The next character that is no space. */
  private next(): string | undefined {
    while (/\s/.test(this.text[this.at] ?? "")) this.at++
    return this.text[this.at]
  }

  private value(): Jsonc.Json {
    if (++this.depth > deepest) throw new SyntaxProblem("it goes too deep")
    this.next()
    const start = this.at
    let value = this.primary()
    for (;;) {
      const char = this.next()
      if (char === ".") {
        this.at++
        const [, name] = this.match(/\??([A-Za-z_]\w*)/y, "the name of a property")
        value = this.member(value, name!, start)
      } else if (char === "[") {
        this.at++
        if (this.text[this.at] === "?") this.at++
        const key = this.value()
        this.expect("]")
        value = this.member(value, key, start)
      } else {
        this.depth--
        return value
      }
    }
  }

  private primary(): Jsonc.Json {
    const char = this.next()
    if (char === "'") {
      const [, text] = this.match(/'((?:[^']|'')*)'/y, "a text that ends")
      return text!.replaceAll("''", "'")
    }
    if (char !== undefined && /[\d-]/.test(char)) return Number(this.match(/-?\d+(\.\d+)?/y, "a number")[0])
    const start = this.at
    const [, name] = this.match(/([A-Za-z_][\w.]*)\s*\(/y, "a function, a text or a number")
    const args: Array<Jsonc.Json> = []
    if (this.next() === ")") this.at++
    else {
      for (;;) {
        args.push(this.value())
        if (this.next() !== ",") break
        this.at++
      }
      this.expect(")")
    }
    return this.call(name!, args, this.text.slice(start, this.at))
  }

  private call(name: string, args: Arguments, text: string): Jsonc.Json {
    const known = byLowerCase.get(name.toLowerCase())
    if (known === undefined) {
      return this.scope.unknown(
        text,
        `"${text.slice(0, 200)}" cannot be known here; write what it comes to${
          name.toLowerCase() === "if" ? "" : ", or make it a parameter"
        }`
      )
    }
    if (!throughMarks.has(known.name)) {
      const marked = args.find((arg) => this.scope.reasonIn(arg) !== undefined)
      if (marked !== undefined) return this.scope.unknown(text, this.scope.reasonIn(marked)!)
    }
    const result = attempt(() => known.run(args, this.scope))
    if (result === undefined) {
      return this.scope.unknown(text, `"${text.slice(0, 200)}" does not fit the arguments of ${known.name}`)
    }
    const isLong = (typeof result === "string" || Array.isArray(result)) && result.length > longest
    return isLong
      ? this.scope.unknown(text, `"${text.slice(0, 200)}" comes to more than ${longest} characters`)
      : result
  }

  private member(value: Jsonc.Json, key: Jsonc.Json, start: number): Jsonc.Json {
    const text = this.text.slice(start, this.at)
    const reason = this.scope.reasonIn(value) ?? this.scope.reasonIn(key)
    if (reason !== undefined) return this.scope.unknown(text, reason)
    const member = Array.isArray(value) && typeof key === "number"
      ? value[key] as Jsonc.Json | undefined
      : Jsonc.isObject(value) && typeof key === "string"
      ? memberOf(value, key)
      : undefined
    return member ?? this.scope.unknown(text, `"${text.slice(0, 200)}" is not there`)
  }

  private match(pattern: RegExp, wanted: string): RegExpExecArray {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)
    if (found === null) {
      const rest = this.text.slice(this.at, this.at + 16)
      throw new SyntaxProblem(`${wanted} is wanted ${rest === "" ? "at its end" : `in place of "${rest}"`}`)
    }
    this.at = pattern.lastIndex
    return found
  }

  private expect(char: string): void {
    if (this.next() !== char) this.match(/(?!)/y, `"${char}"`)
    this.at++
  }
}
