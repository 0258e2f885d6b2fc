/**
 * Dead letters: one that a client makes says what its handler or its caller gave it to say, or what the library says by itself of a
 * message that it cannot decode, try again or settle as it was told.
 */
import type { Letter } from "../History.ts"
import type { Oracle, Violation } from "./Oracle.ts"

/** The reasons of the library. */
const own: ReadonlySet<string | undefined> = new Set([
  "InvalidOptionError",
  "MessageDecodeError",
  "MessageEncodeError",
  "MessageSizeExceededError",
  "NotSupportedError",
  "RetriesExhausted"
])

const textOf = ({ description, reason }: Letter): string => `${reason}: ${description}`

export const letters: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const given = new Map<string, Set<string>>()
  const buried = new Map<string, Letter>()
  for (const entry of history.entries) {
    if ((entry.kind === "handled" || entry.kind === "settle") && entry.letter !== undefined) {
      const key = `${entry.entity} ${entry.sequence}`
      given.set(key, (given.get(key) ?? new Set()).add(textOf(entry.letter)))
    }
    if (entry.kind === "buried") buried.set(`${entry.entity} ${entry.sequence}`, entry.letter)
    if (entry.kind !== "applied" || entry.outcome !== "deadLetter") continue
    const key = `${entry.entity} ${entry.sequence}`
    const letter = buried.get(key)
    const texts = given.get(key) ?? new Set()
    if (letter === undefined || own.has(letter.reason) || texts.has(textOf(letter))) continue
    violations.push({
      rule: "letter",
      what: `${key} (${entry.id}): its dead letter says "${textOf(letter)}", and was to say "${
        [...texts].join("\" or \"")
      }"`
    })
  }
  return violations
}
