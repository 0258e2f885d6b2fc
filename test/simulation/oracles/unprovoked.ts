/** Where nothing goes wrong nothing fails: until the first fault comes, and once the last one is long over. */
import { faults } from "../faults/index.ts"
import type { Oracle } from "./Oracle.ts"
import { strikes } from "./Oracle.ts"

/**
 * What a right answer may be. A program that is slow loses locks, two of them want the same session, one settles a message
 * again, and one asks for a deferred message that another has.
 */
const expected: ReadonlySet<string | undefined> = new Set([
  "MessageLockLostError",
  "SessionLockLostError",
  "SessionCannotBeLockedError",
  "MessageAlreadySettled",
  "AutoLockRenewFailed"
])

const contended: ReadonlySet<string | undefined> = new Set([
  "MessagingEntityAlreadyExistsError",
  "MessagingEntityNotFoundError",
  "RuleNotFoundError"
])

export const unprovoked: Oracle = ({ history }) => {
  const isStruck = strikes(history, faults.map(({ name }) => name))
  const began = new Map<number, number>()
  const cancels = new Map<number, string>()
  const enqueued = new Set<string>()
  const refused = new Set<number>()
  return history.entries.flatMap((entry) => {
    switch (entry.kind) {
      case "enqueued":
        enqueued.add(entry.id)
        return []
      case "cancel":
        cancels.set(entry.op, entry.id)
        began.set(entry.op, entry.at)
        return []
      case "settle":
        // A subscription has no copies for later.
        if (entry.outcome === "retryAfter" && entry.entity.includes("/Subscriptions/")) refused.add(entry.op)
        began.set(entry.op, entry.at)
        return []
      case "send":
      case "ruling":
      case "administer":
        began.set(entry.op, entry.at)
        return []
      case "sent":
      case "settled":
      case "ruled":
      case "administered":
      case "cancelled":
      case "ended": {
        if (entry.result === "ok" || entry.result === "interrupted" || expected.has(entry.tag)) return []
        if (entry.kind === "ended" && entry.tag === "MessageNotFoundError") return []
        // Administrators create and delete the same: whether it is true is told elsewhere.
        if (entry.kind === "administered" && contended.has(entry.tag)) return []
        // A defect is noise, whatever came before it.
        if (entry.tag?.startsWith("defect") === true) return []
        if (refused.has(entry.op) && entry.tag === "NotSupportedError") return []
        // What is due before it is cancelled cannot be cancelled any more.
        if (enqueued.has(cancels.get(entry.op) ?? "") || isStruck(began.get(entry.op) ?? 0, entry.at)) return []
        return [{ rule: "unprovoked", what: `operation ${entry.op} ${entry.result} at ${entry.at}: ${entry.tag}` }]
      }
      default:
        return []
    }
  })
}
