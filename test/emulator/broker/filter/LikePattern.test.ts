/** Patterns against a matcher that tries everything, and their cost. */
import { FilterError } from "../../../../src/emulator/broker/filter/FilterMessage.ts"
import * as LikePattern from "../../../../src/emulator/broker/filter/LikePattern.ts"
import { generator } from "../../../support/random.ts"
import { assert, describe, it } from "../../../support/vitest.ts"

/** Without an escape character, slow and plain. */
const triesAll = (pattern: string, text: string): boolean =>
  pattern === ""
    ? text === ""
    : pattern[0] === "%"
    ? triesAll(pattern.slice(1), text) || text !== "" && triesAll(pattern, text.slice(1))
    : text !== "" && (pattern[0] === "_" || pattern[0] === text[0]) && triesAll(pattern.slice(1), text.slice(1))

describe("LikePattern", () => {
  it("matches as one that tries everything", () => {
    const pick = generator(1)
    const random = (n: number) => Math.floor(pick(1 << 20) / 7) % n
    const word = (letters: string, most: number) =>
      Array.from({ length: random(most + 1) }, () => letters[random(letters.length)]).join("")
    let matched = 0
    for (let i = 0; i < 20_000; i++) {
      const pattern = word("ab%_", 7)
      const text = word("ab", 8)
      const expected = triesAll(pattern, text)
      if (expected) matched++
      assert.strictEqual(LikePattern.make(pattern, undefined).matches(text), expected, `${text} LIKE ${pattern}`)
    }
    assert.isAbove(matched, 2000)
  })

  it("matches where a pattern is longer than a word of bits", () => {
    for (const length of [29, 30, 31, 32, 61, 62, 63, 64, 100, 1000]) {
      const signs = "abcdefghij_".repeat(100).slice(0, length)
      const text = signs.replaceAll("_", "z")
      for (const [pattern, isMatch] of [[`_${signs}`, true], [`%${signs}%`, true], [`${signs}_`, false]] as const) {
        assert.strictEqual(LikePattern.make(pattern, undefined).matches(`y${text}`), isMatch, `${length}: ${pattern}`)
      }
      assert.isFalse(LikePattern.make(`%${signs}`, undefined).matches(text.slice(0, -1)))
      assert.isTrue(LikePattern.make(`%${signs}`, undefined).matches(text + text))
    }
  })

  it("takes units of UTF-16 one by one, and control characters as they are", () => {
    assert.isTrue(LikePattern.make("__", undefined).matches("😀"))
    assert.isFalse(LikePattern.make("_", undefined).matches("😀"))
    assert.isTrue(LikePattern.make("a%b", undefined).matches("a\n\r\0b"))
    assert.isTrue(LikePattern.make("a.*b", undefined).matches("a.*b"))
    assert.isFalse(LikePattern.make("a.*b", undefined).matches("axxb"))
  })

  it("takes time by the length of the text, whatever the pattern", () => {
    const text = "a".repeat(32_000)
    const patterns = [
      `%${"a%".repeat(500)}b`,
      `%${"a_".repeat(500)}b%`,
      `${"_%".repeat(500)}b`,
      `%${"a".repeat(1000)}b%`
    ]
    for (const pattern of patterns) {
      const before = process.cpuUsage()
      assert.isFalse(LikePattern.make(pattern, undefined).matches(text))
      const { user } = process.cpuUsage(before)
      // Each way tried by itself would be millions of years, one after the other seconds.
      assert.isBelow(user, 1_000_000, pattern)
    }
  })

  it("is made in time by its length, however many characters it has", () => {
    const pattern = `%${Array.from({ length: 1000 }, (_, i) => String.fromCharCode(200 + i)).join("")}_`
    const before = process.cpuUsage()
    for (let i = 0; i < 300; i++) assert.isFalse(LikePattern.make(pattern, undefined).matches("a"))
    assert.isBelow(process.cpuUsage(before).user, 800_000)
  })

  it("is refused where it ends with its escape character, or is longer than an expression may be", () => {
    assert.throws(() => LikePattern.make("a!", "!"), FilterError)
    assert.throws(() => LikePattern.make("a".repeat(1025), undefined), FilterError)
    assert.isTrue(LikePattern.make("a!!", "!").matches("a!"))
  })
})
