/** Where nothing goes wrong nothing fails. */
import type { Oracle } from "./Oracle.ts"

/** A program that is slow loses locks; what it sends may be due before it cancels it. */
const expected: ReadonlySet<string | undefined> = new Set(["MessageLockLostError", "SessionLockLostError"])

export const unprovoked: Oracle = ({ history }) =>
  history.of("fault").length > 0 ?
    [] :
    [...history.of("sent"), ...history.of("settled"), ...history.of("ruled")].flatMap((entry) =>
      entry.result === "ok" || entry.result === "interrupted" || expected.has(entry.tag)
        ? []
        : [{ rule: "unprovoked", what: `operation ${entry.op} ${entry.result} at ${entry.at}: ${entry.tag}` }]
    )
