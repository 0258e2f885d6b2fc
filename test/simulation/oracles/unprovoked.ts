/** Where nothing goes wrong nothing fails. */
import type { Oracle } from "./Oracle.ts"

/**
 * What a right answer may be. A program that is slow loses locks, two of them want the same session, and one settles a message
 * again. What it sends may be due before it cancels it: cancelling is not judged.
 */
const expected: ReadonlySet<string | undefined> = new Set([
  "MessageLockLostError",
  "SessionLockLostError",
  "SessionCannotBeLockedError",
  "MessageAlreadySettled"
])

export const unprovoked: Oracle = ({ history }) =>
  history.of("fault").length > 0 ?
    [] :
    [...history.of("sent"), ...history.of("settled"), ...history.of("ruled"), ...history.of("ended")].flatMap((entry) =>
      // A defect is noise, whatever came before it.
      entry.result === "ok" || entry.result === "interrupted" || expected.has(entry.tag) ||
        entry.tag?.startsWith("defect") === true
        ? []
        : [{ rule: "unprovoked", what: `operation ${entry.op} ${entry.result} at ${entry.at}: ${entry.tag}` }]
    )
