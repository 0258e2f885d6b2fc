/**
 * The pattern of LIKE: `%` is any run of characters, `_` any single one, a character of UTF-16 each. Whatever pattern and value
 * are, a match takes one step for each character and 31 signs of the pattern: no expression of the language's own is made of it,
 * and nothing is tried twice.
 */
import { FilterError } from "./FilterMessage.ts"
import { maxLength } from "./SqlLexer.ts"

/** @category models */
export interface LikePattern {
  readonly matches: (text: string) => boolean
}

/** What a sign of the pattern takes: a character, or any. */
type Sign = number | "any"

/** Makes a pattern ready. Throws a `FilterError` where the escape character stands at its end. @category constructors */
export const make = (pattern: string, escape: string | undefined): LikePattern => {
  if (pattern.length > maxLength) throw new FilterError(`A pattern of LIKE has at most ${maxLength} characters.`)
  const signs: Array<Sign> = []
  /** Before which of the signs, the end included, any run of characters may stand. */
  const runs = new Set<number>()
  for (let i = 0; i < pattern.length; i++) {
    if (pattern[i] === escape) {
      if (++i === pattern.length) throw new FilterError("The pattern of LIKE ends with its escape character.")
      signs.push(pattern.charCodeAt(i))
    } else if (pattern[i] === "%") runs.add(signs.length)
    else signs.push(pattern[i] === "_" ? "any" : pattern.charCodeAt(i))
  }
  return { matches: simple(signs, runs) ?? general(signs, runs) }
}

/** What the language has an operation of its own for: equal texts, their beginnings and ends. */
const simple = (signs: ReadonlyArray<Sign>, runs: ReadonlySet<number>): LikePattern["matches"] | undefined => {
  const inner = [...runs].some((run) => run > 0 && run < signs.length)
  if (inner || !signs.every((sign) => typeof sign === "number")) return undefined
  const text = String.fromCharCode(...signs)
  const isOpenBefore = runs.has(0)
  const isOpenAfter = runs.has(signs.length)
  if (text === "" && (isOpenBefore || isOpenAfter)) return () => true
  if (isOpenBefore) return isOpenAfter ? undefined : (value) => value.endsWith(text)
  return isOpenAfter ? (value) => value.startsWith(text) : (value) => value === text
}

/** Signs in one word of bits. */
const width = 31

/**
 * All ways to match are followed at once: bit i says that the signs before i have taken the text so far. A character moves each
 * bit past the sign that takes it, and a run keeps its bit where it is.
 */
const general = (signs: ReadonlyArray<Sign>, runs: ReadonlySet<number>): LikePattern["matches"] => {
  const words = Math.floor(signs.length / width) + 1
  const stays = new Int32Array(words)
  const others = new Int32Array(words)
  const takes = new Map<number, Int32Array>()
  for (const run of runs) setBit(stays, run)
  for (const [at, sign] of signs.entries()) {
    if (sign === "any") setBit(others, at)
    else {
      const its = takes.get(sign) ?? new Int32Array(words)
      takes.set(sign, its)
      setBit(its, at)
    }
  }
  for (const its of takes.values()) for (let word = 0; word < words; word++) its[word]! |= others[word]!
  const last = Math.floor(signs.length / width)
  const end = 1 << signs.length % width
  return (text) => {
    const state = new Int32Array(words)
    state[0] = 1
    for (let i = 0; i < text.length; i++) {
      const taken = takes.get(text.charCodeAt(i)) ?? others
      let carry = 0
      for (let word = 0; word < words; word++) {
        const before = state[word]!
        const moved = before & taken[word]!
        state[word] = (moved << 1 | carry) & mask | before & stays[word]!
        carry = moved >>> width - 1 & 1
      }
    }
    return (state[last]! & end) !== 0
  }
}

const setBit = (words: Int32Array, at: number): void => {
  words[Math.floor(at / width)]! |= 1 << at % width
}

/** The bits of a word that are used. */
const mask = 0x7fffffff
