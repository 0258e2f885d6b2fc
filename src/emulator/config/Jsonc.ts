/**
 * JSON with what people write in configuration files beside it: comments of both kinds, trailing commas, a byte order mark.
 *
 * A parser of its own, because those of the registry give the offset of an error and no words for it, and take the last of two
 * members of one name without a word. Objects have no prototype, so that a member may have any name.
 */
import * as Result from "effect/Result"

/**
 * A value of JSON.
 *
 * @category models
 */
export type Json = null | boolean | number | string | ReadonlyArray<Json> | JsonObject

/**
 * An object of JSON.
 *
 * @category models
 */
export interface JsonObject {
  readonly [name: string]: Json
}

/** Whether a value is an object of JSON. @category guards */
export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** How deep values may stand in each other: more than any file has, and far less than the stack. */
const deepest = 256

/** Why a text is refused, and where in it. */
class JsonProblem extends Error {
  readonly at: number

  constructor(words: string, at: number) {
    super(words)
    this.at = at
  }
}

/**
 * The value of a text, or what is wrong with the text, with its line and column.
 *
 * @category conversions
 */
export const parse = (text: string): Result.Result<Json, string> => {
  try {
    return Result.succeed(new Parser(text).document())
  } catch (problem) {
    if (!(problem instanceof JsonProblem)) throw problem
    const before = text.slice(0, problem.at).split("\n")
    return Result.fail(`line ${before.length}, column ${before.at(-1)!.length + 1}: ${problem.message}`)
  }
}

const escapes: Readonly<Record<string, string>> = {
  "\"": "\"",
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t"
}

const words: ReadonlyMap<string, Json> = new Map<string, Json>([["true", true], ["false", false], ["null", null]])

class Parser {
  private readonly text: string
  private at: number
  private depth = 0

  constructor(text: string) {
    this.text = text
    this.at = text.startsWith("\uFEFF") ? 1 : 0
  }

  document(): Json {
    const value = this.value()
    this.skip()
    if (this.at < this.text.length) this.fail(`${this.shown()} stands after the end of the value`)
    return value
  }

  private value(): Json {
    this.skip()
    const char = this.text[this.at]
    if (char === "{") return this.within(() => this.object())
    if (char === "[") return this.within(() => this.array())
    if (char === "\"") return this.string()
    const [word = ""] = /^[\w+.-]+/.exec(this.text.slice(this.at, this.at + 64)) ?? []
    const known = words.get(word)
    if (known === undefined && !/^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(word)) {
      this.fail(char === "'" ? "a text stands in double quotation marks" : `${this.shown()} is no value of JSON`)
    }
    this.at += word.length
    return known === undefined ? Number(word) : known
  }

  private within<A>(read: () => A): A {
    if (++this.depth > deepest) this.fail(`values stand more than ${deepest} deep in each other`)
    const value = read()
    this.depth--
    return value
  }

  private object(): JsonObject {
    const members: Record<string, Json> = Object.create(null)
    this.list("}", () => {
      const start = this.at
      if (this.text[this.at] !== "\"") this.fail(`${this.shown()} is no name; it stands in double quotation marks`)
      const name = this.string()
      if (name in members) this.fail(`"${name}" is there twice in one object`, start)
      this.skip()
      if (this.text[this.at] !== ":") this.fail(`a colon is missing after "${name}"`)
      this.at++
      members[name] = this.value()
    })
    return members
  }

  private array(): ReadonlyArray<Json> {
    const items: Array<Json> = []
    this.list("]", () => items.push(this.value()))
    return items
  }

  /** What stands between a bracket and the one that closes it, with commas between and after. */
  private list(close: string, item: () => void): void {
    const start = this.at++
    for (;;) {
      this.skip()
      if (this.text[this.at] === close) break
      if (this.at >= this.text.length) this.fail(`"${this.text[start]}" is not closed`, start)
      item()
      this.skip()
      if (this.text[this.at] === ",") this.at++
      else if (this.text[this.at] !== close) {
        if (this.at >= this.text.length) this.fail(`"${this.text[start]}" is not closed`, start)
        this.fail(`a comma is missing before ${this.shown()}`)
      }
    }
    this.at++
  }

  private string(): string {
    const start = this.at++
    let value = ""
    for (;;) {
      const char = this.text[this.at]
      if (char === undefined || char === "\n") this.fail("a text is not closed", start)
      this.at++
      if (char === "\"") return value
      if (char !== "\\") {
        value += char
        continue
      }
      const escape = this.text[this.at++] ?? ""
      const digits = this.text.slice(this.at, this.at + 4)
      if (escape === "u" && /^[\da-fA-F]{4}$/.test(digits)) {
        value += String.fromCharCode(Number.parseInt(digits, 16))
        this.at += 4
      } else {
        value += escapes[escape] ?? this.fail(`"\\${escape}" is no escape of JSON`, this.at - 2)
      }
    }
  }

  /** Skips spaces and comments. */
  private skip(): void {
    for (;;) {
      while (/\s/.test(this.text[this.at] ?? "")) this.at++
      if (this.text.startsWith("//", this.at)) {
        const end = this.text.indexOf("\n", this.at)
        this.at = end === -1 ? this.text.length : end
      } else if (this.text.startsWith("/*", this.at)) {
        const end = this.text.indexOf("*/", this.at + 2)
        if (end === -1) this.fail("a comment is not closed")
        this.at = end + 2
      } else return
    }
  }

  /** What stands here, for an error. */
  private shown(): string {
    const [token] = /^([\w$.-]+|[^])/u.exec(this.text.slice(this.at, this.at + 32)) ?? []
    return token === undefined ? "the end of the file" : `"${token}"`
  }

  private fail(words: string, at = this.at): never {
    throw new JsonProblem(words, at)
  }
}
