/**
 * A service that is not well is not asked without pauses: so many connections and links of an entity in any minute, no more, and
 * a receiver whose link comes to nothing waits before it tries again, longer each time, and for no fixed time.
 *
 * A pause is random, from nothing up to 100 ms, 200 ms and so on for what runs until it is stopped, and up to eight times that
 * for what was asked for (`RetryPolicy`). Four pauses in a row that take five milliseconds together come once in a hundred million
 * times: 5⁴ / 4! of 100 · 200 · 400 · 800. Ten seconds are enough for eight pauses on average, or three calls with their tries.
 */
import type { Stamped } from "../History.ts"
import { isStruck, network, type Oracle, type Violation } from "./Oracle.ts"

const minute = 60_000

/**
 * What several consumers and senders need at most, each with the tries of its policy: a program here that makes a new consumer
 * as soon as one fails tries some 80 times a minute.
 */
const most = 500

/**
 * Of connections, and of links for claims: a program whose tokens are refused at once tries every 100 ms with each of its
 * consumers, on a connection of its own with two such links.
 */
const mostOfClaims = 3_000

/** The most links that came to nothing within so many milliseconds. */
const bursts = [{ links: 5, within: 5 }, { links: 30, within: 10_000 }]

/** A link that lived for so long, in milliseconds, has not come to nothing. */
const stableAfter = 10_000

/** By these a try is held up, or goes when it is let, and not when its pause is over. */
const holdUps = [...network, "starvation", "unanswered"]

/** The pauses of a policy without jitter. */
const fixed = new Set(Array.from({ length: 10 }, (_, i) => [100 * 2 ** i, 800 * 2 ** i]).flat())

export const backoff: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const times = new Map<string, Array<number>>()
  for (const entry of history.entries) {
    if (entry.kind !== "dialled" && entry.kind !== "attached") continue
    const key = entry.kind === "dialled" ? "dialled" : `attached ${entry.address}`
    const all = times.get(key) ?? []
    times.set(key, all)
    all.push(entry.at)
    while (all[0]! <= entry.at - minute) all.shift()
    if (all.length === (key === "attached $cbs" || key === "dialled" ? mostOfClaims : most) + 1) {
      violations.push({ rule: "backoff", what: `${key} ${all.length} times in the minute before ${entry.at}` })
    }
  }
  const isPrompt = !isStruck(history, holdUps)
  for (const [name, tries] of failures(history.of("wire"))) {
    for (const { links, within } of bursts) {
      const at = tries.findIndex((at, i) => i + 1 >= links && at - tries[i + 1 - links]! <= within)
      if (at >= 0) {
        violations.push({
          rule: "backoff",
          what: `${name}: ${links} links that came to nothing within ${within} ms, until ${tries[at]}`
        })
      }
    }
    // Where nothing is held up, what lies between two tries is the pause.
    const gaps = tries.slice(1).map((at, i) => at - tries[i]!)
    if (isPrompt && gaps.some((_, i) => i >= 2 && gaps.slice(i - 2, i + 1).every((gap) => fixed.has(gap)))) {
      violations.push({ rule: "jitter", what: `${name}: it tries again after ${gaps.join(", ")} ms` })
    }
  }
  return violations
}

/** When a receiver attached a link that brought nothing, for each row of such links: those of sessions wait for one. */
const failures = (entries: ReadonlyArray<Extract<Stamped, { readonly kind: "wire" }>>) => {
  const rows: Array<readonly [string, Array<number>]> = []
  interface Try {
    readonly at: number
    isOfUse: boolean
    readonly row: Array<number>
  }
  const last = new Map<string, Try>()
  // By the names of links, and by the channels and handles that the broker gave them.
  const names = new Map<string, Try>()
  const handles = new Map<string, Try | undefined>()
  for (const entry of entries) {
    const { at, channel, connection, direction, handle, isReceiver, performative, session, source, target } = entry
    const key = `${connection} ${channel} ${handle}`
    if (performative === "transfer" && direction === "down") {
      const link = handles.get(key)
      if (link !== undefined) link.isOfUse = true
    }
    if (performative === "attach" && direction === "down") handles.set(key, names.get(entry.name!))
    if (performative !== "attach" || direction !== "up" || isReceiver !== true || session !== undefined) continue
    const name = `${source} ${target}`
    const before = last.get(name)
    let row = before?.row
    if (row === undefined || before!.isOfUse || at - before!.at >= stableAfter) rows.push([name, row = []])
    row.push(at)
    const attempt = { at, isOfUse: false, row }
    last.set(name, attempt)
    names.set(entry.name!, attempt)
  }
  return rows
}
