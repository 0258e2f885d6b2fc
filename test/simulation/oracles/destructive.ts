/** In receive-and-delete mode: no message twice, and none lost but where a connection was. */
import type { History } from "../History.ts"
import { cutting, network, type Oracle, strikes, type Violation } from "./Oracle.ts"

/** How long what was sent may be on its way, in milliseconds: longer where the network holds it up. */
const flight = { calm: 1_000, rough: 130_000 }

/** For how long a consumer keeps what came, in milliseconds. */
const keeping = 60_000

export const destructive: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const seen = new Set<string>()
  for (const { entity, mode, sequence } of history.of("received")) {
    if (mode !== "destructive") continue
    const key = `${entity} ${sequence}`
    if (seen.has(key)) violations.push({ rule: "twice", what: `${key}: received and deleted, twice` })
    seen.add(key)
  }
  // What a topic hands on, or an entity that forwards, is received from there by nobody.
  const taken = new Set(
    history.of("wire").flatMap(({ direction, isReceiver, performative, source }) =>
      performative === "attach" && direction === "up" && isReceiver === true && source !== undefined ? [source] : []
    )
  )
  const isExcused = excuses(history)
  for (const { at, entity, id, isLocked, sequence } of history.of("delivered")) {
    if (isLocked || !taken.has(entity) || seen.has(`${entity} ${sequence}`) || isExcused(at)) continue
    violations.push({ rule: "dropped", what: `${entity} ${sequence} (${id}): sent to a receiver, and given to nobody` })
  }
  return violations
}

/** Tells whether what the broker sent at a moment may be lost: on a wire that is cut, or with a consumer that has ended. */
const excuses = (history: History) => {
  const isHeldUp = strikes(history, network)
  const isSilent = strikes(history, cutting.filter((name) => network.includes(name)))
  const isCut = strikes(history, cutting, flight.calm)
  const drained = history.of("phase").find(({ name }) => name === "drained")?.at ?? 0
  const began = new Map(history.of("began").map((entry) => [entry.op, entry]))
  const ends = history.of("ended").flatMap(({ at, op, result }) => {
    const begin = began.get(op)
    if (begin === undefined) return []
    const isOver = begin.what === "session"
      // One that is given up has nothing on its way, where the broker has answered its drain in time.
      ? result !== "ok" || isHeldUp(begin.at, at)
      : at < drained && /^(receiver|stream)/.test(begin.what)
    return isOver ? [{ from: Math.max(begin.at, at - keeping), to: at + flight.calm }] : []
  })
  return (at: number): boolean => {
    const to = at + (isHeldUp(at) ? flight.rough : flight.calm)
    return isSilent(at, to) || isCut(at, to) || ends.some((end) => end.from <= at && at <= end.to)
  }
}
