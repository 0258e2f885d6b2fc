/**
 * The tokens of SQL filters and actions (Service Bus, SQL filter syntax and SQL action syntax). It goes over the text once and
 * holds no more than the tokens; what is no token is refused with its place.
 */

/** What an expression may have in characters (Service Bus quotas). @category constants */
export const maxLength = 1024

/**
 * Why an expression is refused; `at` is where the token in error starts.
 *
 * @category errors
 */
export class SqlProblem extends Error {
  readonly at: number
  readonly token: string

  constructor(details: string, at: number, token: string) {
    super(details)
    this.at = at
    this.token = token
  }
}

/**
 * The kinds of tokens; a keyword and a punctuation mark is its own kind.
 *
 * @category models
 */
export type Kind =
  | "IDENTIFIER"
  | "STRING"
  | "INTEGER"
  | "DOUBLE"
  | "PARAMETER"
  | "EOF"
  | Keyword
  | Mark

const keywords = [
  "AND",
  "ESCAPE",
  "EXISTS",
  "FALSE",
  "IN",
  "IS",
  "LIKE",
  "NOT",
  "NULL",
  "OR",
  "REMOVE",
  "SET",
  "TRUE"
] as const

type Keyword = (typeof keywords)[number]

/** Longer ones first, so that `<=` is not `<` and `=`. */
const marks = ["<>", "!=", ">=", "<=", "=", ">", "<", "+", "-", "*", "/", "%", "(", ")", ",", ".", ";"] as const

type Mark = (typeof marks)[number]

const kinds: ReadonlyMap<string, Keyword> = new Map(keywords.map((keyword) => [keyword, keyword]))

/**
 * A token. `value` is the name of an identifier or parameter, the text of a string, the digits of a number.
 *
 * @category models
 */
export interface Token {
  readonly kind: Kind
  readonly value: string
  /** As it stands in the expression. */
  readonly text: string
  readonly at: number
  /** Whether an identifier stands in brackets or quotation marks, and so is never a keyword or a function. */
  readonly isDelimited: boolean
}

/**
 * The tokens of an expression, the last of them its end. Throws a `SqlProblem`.
 *
 * @category conversions
 */
export const tokensOf = (text: string): ReadonlyArray<Token> => {
  if (!text.isWellFormed()) throw new SqlProblem("the expression has half of a surrogate pair", 0, "")
  const tokens: Array<Token> = []
  let at = 0
  const add = (kind: Kind, value: string, end: number, isDelimited = false) => {
    tokens.push({ kind, value, text: text.slice(at, end), at, isDelimited })
    at = end
  }
  while (at < text.length) {
    const char = text[at]!
    if (/\s/.test(char)) at++
    else if (char === "'") {
      const { end, value } = enclosed(text, at, "'")
      add("STRING", value, end)
    } else if (char === "[" || char === "\"") {
      const { end, value } = enclosed(text, at, char === "[" ? "]" : char)
      if (value === "") throw new SqlProblem("an identifier has no characters", at, text.slice(at, end))
      add("IDENTIFIER", value, end, true)
    } else if (isDigit(char) || char === "." && isDigit(text[at + 1])) {
      const end = numberEnd(text, at)
      const digits = text.slice(at, end)
      add(/^\d+$/.test(digits) ? "INTEGER" : "DOUBLE", digits, end)
    } else if (isLetter(char)) {
      const end = wordEnd(text, at)
      const word = text.slice(at, end)
      add(kinds.get(word.toUpperCase()) ?? "IDENTIFIER", word, end)
    } else if (char === "@" && isLetter(text[at + 1])) {
      const end = wordEnd(text, at + 1)
      add("PARAMETER", text.slice(at + 1, end), end)
    } else {
      const mark = marks.find((each) => text.startsWith(each, at))
      if (mark === undefined) throw new SqlProblem(`Unrecognized character. '${char}'`, at, char)
      add(mark, mark, at + mark.length)
    }
  }
  add("EOF", "", at)
  return tokens
}

/** What stands between a mark and the one that ends it, which is doubled where it is meant itself. */
const enclosed = (text: string, start: number, last: string): { readonly value: string; readonly end: number } => {
  let value = ""
  let from = start + 1
  for (;;) {
    const next = text.indexOf(last, from)
    if (next < 0) throw new SqlProblem(`the closing ${last} is missing`, start, text.slice(start))
    value += text.slice(from, next)
    if (text[next + 1] !== last) return { value, end: next + 1 }
    value += last
    from = next + 2
  }
}

const numberEnd = (text: string, start: number): number => {
  let at = digitsEnd(text, start)
  if (text[at] === ".") at = digitsEnd(text, at + 1)
  if (text[at] === "e" || text[at] === "E") {
    const sign = text[at + 1] === "+" || text[at + 1] === "-" ? 1 : 0
    const end = digitsEnd(text, at + 1 + sign)
    // Without digits it is no exponent, and begins the next token.
    if (end > at + 1 + sign) at = end
  }
  return at
}

const digitsEnd = (text: string, start: number): number => {
  let at = start
  while (isDigit(text[at])) at++
  return at
}

const wordEnd = (text: string, start: number): number => {
  let at = start
  while (at < text.length && (isLetter(text[at]) || text[at] === "_" || /\p{Nd}/u.test(text[at]!))) at++
  return at
}

const isDigit = (char: string | undefined): boolean => char !== undefined && char >= "0" && char <= "9"

/** As `System.Char.IsLetter` has it, for one unit of UTF-16. */
const isLetter = (char: string | undefined): boolean => char !== undefined && /\p{L}/u.test(char)
