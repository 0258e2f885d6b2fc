/**
 * What is scheduled is there when it is due, where nothing goes wrong; that it is not early is judged wherever it is sent. What is
 * tried again after a delay is there as a copy when that is over, and not before.
 */
import { faults } from "../faults/index.ts"
import type { History } from "../History.ts"
import { isStruck, type Oracle, strikes, type Violation } from "./Oracle.ts"

/** How late it may be, in milliseconds. */
const slack = 1_000

/** The longest delay of workloads, in milliseconds. */
const longest = 10_000

/** What handlers do is no reason for a copy to be late. */
const reasons = faults.flatMap(({ name, of }) => of === "program" ? [] : [name])

export const due: Oracle = ({ history }) => [...scheduled(history), ...retried(history)]

const scheduled = (history: History): ReadonlyArray<Violation> => {
  if (history.of("fault").length > 0) return []
  const first = new Map<string, number>()
  for (const { at, entity, id } of history.of("enqueued")) {
    if (!first.has(`${entity} ${id}`)) first.set(`${entity} ${id}`, at)
  }
  return history.of("send").flatMap(({ due, entity, ids }) =>
    ids.flatMap((id): ReadonlyArray<Violation> => {
      const at = first.get(`${entity} ${id}`)
      return due === undefined || at === undefined || at <= due + slack
        ? []
        : [{ rule: "late", what: `${id}: it was due at ${due}, and enqueued at ${at}` }]
    })
  )
}

/** Copies of messages that are to be tried again after so many milliseconds. */
const retried = (history: History): ReadonlyArray<Violation> => {
  // A client whose clock is off schedules by that.
  if (isStruck(history, ["clock jump"])) return []
  const isHeldUp = strikes(history, reasons)
  /** When copies of a message are due, by the message: several where it was handled more than once. */
  const dues = new Map<string, Array<number>>()
  for (const entry of history.entries) {
    if (entry.kind !== "handled" && entry.kind !== "settle" || entry.outcome !== "retryAfter") continue
    const key = `${entry.entity} ${entry.sequence}`
    // One by a schedule may be due at any time.
    dues.set(key, [...dues.get(key) ?? [], entry.delay === undefined ? NaN : entry.at + entry.delay])
  }
  /** Where a copy was sent to: it may be forwarded to where another message has the number of its own. */
  const origins = new Map<string, string>()
  return history.of("enqueued").flatMap(({ at, entity, id }): ReadonlyArray<Violation> => {
    const origin = origins.get(id) ?? entity
    origins.set(id, origin)
    if (origin !== entity) return []
    const of = dues.get(`${entity} ${/:retry-\d+:(\d+)$/.exec(id)?.[1]}`)
    if (of === undefined || of.some(Number.isNaN)) return []
    const what = `${id}: it was to be tried again at ${of.join(" or ")}, and was enqueued at ${at}`
    if (at < Math.min(...of)) return [{ rule: "early", what }]
    const isLate = at > Math.max(...of) + slack && !isHeldUp(Math.min(...of) - longest, at)
    return isLate ? [{ rule: "late", what }] : []
  })
}
