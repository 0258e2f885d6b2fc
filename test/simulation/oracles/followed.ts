/** The outcome that a handler or a program gave for a message is the one that the broker carries out under its lock. */
import type { Outcome } from "../History.ts"
import type { Oracle, Violation } from "./Oracle.ts"

const explicit: ReadonlySet<string> = new Set<Outcome>(["complete", "abandon", "defer", "deadLetter", "retryAfter"])

/** How the broker counts an outcome: a retry is a copy, and the completion of the original. */
const atBroker = (outcome: string): string => outcome === "retryAfter" ? "complete" : outcome

export const followed: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const isCalm = history.of("fault").length === 0 && history.of("deleted").length === 0
  // What is no settlement cannot be made: its message is dead-lettered, and with it all others of its batch.
  const nonsensical = new Set(
    history.of("handled").flatMap(({ consumer, outcome }) => outcome === "gives nonsense" ? [consumer] : [])
  )
  const consumers = new Map<string, string>()
  /** The lock under which a consumer has a message. */
  const held = new Map<string, string>()
  /** What was given for what was received under a lock. */
  const given = new Map<string, Set<string>>()
  const open = new Map<string, string>()
  const give = (token: string | undefined, outcome: string, isDue: boolean): void => {
    if (token === undefined) return
    given.get(token)?.add(outcome)
    if (isDue) open.set(token, outcome)
    else open.delete(token)
  }
  for (const entry of history.entries) {
    switch (entry.kind) {
      case "received":
        if (entry.token === undefined) break
        consumers.set(entry.token, entry.consumer)
        held.set(`${entry.consumer} ${entry.entity} ${entry.sequence}`, entry.token)
        given.set(entry.token, new Set())
        break
      case "handled": {
        const token = held.get(`${entry.consumer} ${entry.entity} ${entry.sequence}`)
        if (explicit.has(entry.outcome)) give(token, atBroker(entry.outcome), true)
        // A subscription takes no copies.
        if (entry.outcome === "retryAfter" && entry.entity.includes("/")) give(token, "deadLetter", false)
        break
      }
      case "settle":
        give(entry.token, atBroker(entry.outcome), false)
        break
      case "lapsed":
        open.delete(entry.token)
        break
      case "released":
        for (const token of entry.tokens) open.delete(token)
        break
      case "applied": {
        const { outcome, token } = entry
        const known = token === undefined ? undefined : given.get(token)
        if (token === undefined || known === undefined || known.has(outcome)) {
          if (token !== undefined) open.delete(token)
          break
        }
        if (outcome === "deadLetter" && nonsensical.has(consumers.get(token)!)) break
        // What cannot be settled as it was to be is given back.
        const isGivenBack = outcome === "release" || outcome === "abandon"
        if (isGivenBack && !(isCalm && open.has(token))) break
        open.delete(token)
        const what = known.size === 0 ? "nothing" : [...known].join(" and ")
        violations.push({
          rule: "followed",
          what: `${entry.entity} ${entry.sequence} (${entry.id}): ${what} was given for it, the broker did ${outcome}`
        })
        break
      }
    }
  }
  for (const [token, outcome] of isCalm ? open : []) {
    violations.push({ rule: "followed", what: `${token}: ${outcome} was given for it, the broker did nothing` })
  }
  return violations
}
