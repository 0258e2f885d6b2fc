/** Everything that begins ends, and once all is well again what was sent is taken within the stated time. */
import type { Oracle, Violation } from "./Oracle.ts"

/**
 * How long an operation may take to end once it is interrupted, in milliseconds: what it has begun is completed or closed, a
 * second for each; and how long a consumer, which drains first.
 */
const patience = 5_000
const patienceOfConsumers = 30_000

/** How long what lasts until all is taken may take to end then, in milliseconds: some of it stays for half a minute. */
const farewell = 60_000

export const liveness: Oracle = ({ hasConverged, history, left }) => {
  const violations: Array<Violation> = []
  const ends = {
    send: new Set(history.of("sent").map(({ op }) => op)),
    cancel: new Set(history.of("cancelled").map(({ op }) => op)),
    settle: new Set(history.of("settled").map(({ op }) => op)),
    administer: new Set(history.of("administered").map(({ op }) => op)),
    ruling: new Set(history.of("ruled").map(({ op }) => op)),
    began: new Set(history.of("ended").map(({ op }) => op))
  }
  for (const entry of history.entries) {
    const { kind } = entry
    if (!(kind in ends) || !("op" in entry)) continue
    if (ends[kind as keyof typeof ends].has(entry.op)) continue
    const what = entry.kind === "began" ? entry.what : entry.kind
    violations.push({ rule: "unended", what: `operation ${entry.op} (${what}) of ${entry.at} ms never ended` })
  }
  const ended = new Map(
    history.entries.flatMap((entry) => "op" in entry && "result" in entry ? [[entry.op, entry.at] as const] : [])
  )
  const phases = new Map(history.of("phase").map(({ at, name }) => [name, at]))
  const healed = phases.get("healed") ?? Infinity
  const drained = phases.get("drained") ?? Infinity
  // The end of its client ends everything: what ends by that alone has not ended.
  for (const { at, isLasting, op, what } of history.of("began")) {
    const end = ended.get(op)
    if (end === undefined || at >= healed || end <= drained + (isLasting === true ? farewell : 0)) continue
    violations.push({
      rule: "unended",
      what: `operation ${op} (${what}) of ${at} ms was still there when all was taken, until ${end}`
    })
  }
  const lasting = new Set(history.of("began").flatMap(({ isLasting, op }) => isLasting === true ? [op] : []))
  for (const { at, op } of history.of("interrupting")) {
    const end = ended.get(op)
    if (end !== undefined && end - at > (lasting.has(op) ? patienceOfConsumers : patience)) {
      violations.push({ rule: "lingering", what: `operation ${op}: interrupted at ${at}, it ended at ${end}` })
    }
  }
  for (const { at, what } of history.of("unfinished")) {
    violations.push({ rule: "unfinished", what: `${what} of the workload has not ended at ${at}` })
  }
  if (!hasConverged) {
    const rest = left.flatMap(({ entity, ids }) => ids.length === 0 ? [] : [`${entity}: ${ids.join(", ")}`])
    violations.push({ rule: "stuck", what: `not everything was taken once all was well: ${rest.join("; ")}` })
  }
  return violations
}
