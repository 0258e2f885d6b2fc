/**
 * A value of a configuration file with the path at which it stands. It is read as what is wanted there, and what is wrong with it
 * is noted by that path, so that one reading of a file finds everything that is wrong with it.
 *
 * Schema's decoders would say the same of types and ranges; they do not know which word was meant, what to do, or how a template
 * writes a value, which is most of what stands here.
 */
import * as Duration from "effect/Duration"
import * as Xml from "../../internal/administration/XmlText.ts"
import { nearest } from "../broker/EntityOptions.ts"
import * as Jsonc from "./Jsonc.ts"

/**
 * What is found while a file is read: what keeps the broker from starting, and what is left out of it.
 *
 * @category models
 */
export interface Findings {
  readonly problems: Array<string>
  readonly warnings: Array<string>
}

/**
 * How the texts of a file are read.
 *
 * @category models
 */
export interface Language {
  /** A name as the file spells it, out of `camelCase`. */
  readonly spell: (name: string) => string
  /** What a value comes to; one that was computed already is not computed again. */
  readonly resolve: (value: Jsonc.Json, isComputed: boolean) => Resolved
}

/** What a value comes to. */
interface Resolved {
  readonly value: Jsonc.Json
  /** Why it is not known as a whole. */
  readonly unknown?: string | undefined
  readonly isComputed: boolean
}

/**
 * A range of numbers or durations, in numbers or seconds.
 *
 * @category models
 */
export interface Range {
  readonly least: number
  readonly most?: number | undefined
}

/**
 * The members of an object, by their names in lower case.
 *
 * @category models
 */
export type Members = ReadonlyMap<string, ConfigValue>

/** The language of plain JSON. @category constants */
export const plain: Language = {
  spell: (name) => name.charAt(0).toUpperCase() + name.slice(1),
  resolve: (value, isComputed) => ({ value, isComputed })
}

export class ConfigValue {
  readonly path: string
  /** What it comes to, with marks for what is not known. */
  readonly given: Jsonc.Json
  /** What it is; undefined where that is not known. */
  readonly value: Jsonc.Json | undefined
  private readonly findings: Findings
  private readonly language: Language
  private readonly isComputed: boolean
  private readonly unknown: string | undefined

  constructor(value: Jsonc.Json, path: string, findings: Findings, language: Language = plain, isComputed = false) {
    this.path = path
    this.findings = findings
    this.language = language
    const resolved = language.resolve(value, isComputed)
    this.given = resolved.value
    this.value = resolved.unknown === undefined ? resolved.value : undefined
    this.unknown = resolved.unknown
    this.isComputed = resolved.isComputed
  }

  /** Notes what is wrong here. */
  problem(words: string): undefined {
    this.findings.problems.push(`${this.path === "" ? "the file" : this.path} ${words}`)
    return undefined
  }

  /** Notes what is left out, or read otherwise than it is written. */
  warning(words: string): void {
    this.findings.warnings.push(`${this.path} ${words}`)
  }

  spell(name: string): string {
    return this.language.spell(name)
  }

  /** Notes that it is something else than is wanted. */
  wrong(expected: string): undefined {
    if (this.unknown !== undefined) return this.problem(`is not known: ${this.unknown}`)
    return this.problem(`must be ${expected}, not ${shown(this.value)}`)
  }

  /** A text; `isEmptyNone` where one without a character means that nothing is given. */
  text(expected = "a text", isEmptyNone = false): string | undefined {
    if (typeof this.value !== "string") return this.wrong(expected)
    if (this.value !== "" || isEmptyNone) return this.value === "" ? undefined : this.value
    return this.wrong(`${expected} that is not empty`)
  }

  /** `true` or `false`, or a text of one of them, as templates have it. */
  boolean(): boolean | undefined {
    if (typeof this.value === "boolean") return this.value
    const word = typeof this.value === "string" ? this.value.toLowerCase() : undefined
    return word === "true" || word === "false" ? word === "true" : this.wrong("true or false")
  }

  /** A whole number, or a text of one, as templates have it. */
  integer({ least, most = Number.MAX_SAFE_INTEGER }: Range): number | undefined {
    const value = typeof this.value === "string" && /^\d{1,16}$/.test(this.value) ? Number(this.value) : this.value
    return typeof value === "number" && Number.isSafeInteger(value) && value >= least && value <= most
      ? value
      : this.wrong(
        most === Number.MAX_SAFE_INTEGER
          ? `a whole number of ${least} or more`
          : `a whole number from ${least} to ${most}`
      )
  }

  /** A duration of ISO 8601; a text without a character means that none is given. */
  duration({ least, most = Infinity }: Range): Duration.Duration | undefined {
    if (this.value === "") return undefined
    const value = typeof this.value === "string" ? Xml.duration.parse(this.value) : undefined
    const seconds = value === undefined ? NaN : Duration.toSeconds(value)
    if (seconds >= least && seconds <= most) return value
    const print = (seconds: number) => Xml.duration.print(Duration.seconds(seconds))
    return this.wrong(
      most === Infinity
        ? `a duration of ISO 8601 of ${print(least)} or more, such as "PT1H"`
        : `a duration of ISO 8601 from ${print(least)} to ${print(most)}, such as "PT1M"`
    )
  }

  /** One of some words, whatever their case. */
  word<const Word extends string>(choices: ReadonlyArray<Word>): Word | undefined {
    const given = typeof this.value === "string" ? this.value.toLowerCase() : undefined
    const words = choices.map((word) => `"${word}"`)
    return choices.find((word) => word.toLowerCase() === given) ??
      this.wrong(`${words.slice(0, -1).join(", ")} or ${words.at(-1)}`)
  }

  /** The items of an array. */
  items(expected: string): ReadonlyArray<ConfigValue> {
    if (!Array.isArray(this.value)) {
      this.wrong(expected)
      return []
    }
    return this.value.map((item, index) => this.child(item, `[${index}]`))
  }

  /** All members of an object as they are spelt; without them where it is none. */
  entries(expected = "an object"): ReadonlyArray<readonly [name: string, part: ConfigValue]> {
    if (!Jsonc.isObject(this.value)) {
      this.wrong(expected)
      return []
    }
    return Object.entries(this.value).map(([name, value]) => [name, this.child(value, `.${name}`)] as const)
  }

  /**
   * The members of an object, whatever the case of their names; null is none. One that is not `known` is a problem, with the name
   * that may have been meant, unless `advice` has words for it; what is `ignored` is left out.
   */
  members(
    known: ReadonlyArray<string>,
    { advice = {}, expected = "an object", ignored = [] }: {
      readonly expected?: string
      readonly ignored?: ReadonlyArray<string>
      readonly advice?: Readonly<Record<string, string>>
    } = {}
  ): Members {
    const members = new Map<string, ConfigValue>()
    const names = known.map((name) => this.spell(name))
    const isIn = (list: ReadonlyArray<string>, key: string) => list.some((each) => each.toLowerCase() === key)
    for (const [name, part] of this.entries(expected)) {
      const key = name.toLowerCase()
      if (part.isNull || isIn(ignored, key)) continue
      if (members.has(key)) part.problem("is given twice, in different cases")
      else if (isIn(known, key)) members.set(key, part)
      else {
        const near = nearest(name, names)
        const words = near === undefined ? `what may stand here is ${names.join(", ")}` : `did you mean ${near}?`
        part.problem(`is not known; ${Object.hasOwn(advice, key) ? advice[key] : words}`)
      }
    }
    return members
  }

  /** Whether nothing is given. */
  get isNull(): boolean {
    return this.value === null
  }

  private child(value: Jsonc.Json, step: string): ConfigValue {
    const path = this.path === "" ? step.replace(/^\./, "") : `${this.path}${step}`
    return new ConfigValue(value, path, this.findings, this.language, this.isComputed)
  }
}

/** A value in an error. */
const shown = (value: Jsonc.Json | undefined): string => {
  if (Array.isArray(value)) return "an array"
  if (Jsonc.isObject(value)) return "an object"
  const text = JSON.stringify(value) ?? "nothing"
  return text.length > 64 ? `${text.slice(0, 64)}…` : text
}
