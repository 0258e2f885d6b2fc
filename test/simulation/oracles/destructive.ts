/** In receive-and-delete mode: no message twice, and none lost but where a connection was. */
import { cutting, isStruck, network, type Oracle, type Violation } from "./Oracle.ts"

export const destructive: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const seen = new Set<string>()
  for (const { entity, mode, sequence } of history.of("received")) {
    if (mode !== "destructive") continue
    const key = `${entity} ${sequence}`
    if (seen.has(key)) violations.push({ rule: "twice", what: `${key}: received and deleted, twice` })
    seen.add(key)
  }
  // A topic hands its messages on.
  const taken = new Set(history.of("received").flatMap(({ entity, mode }) => mode === "destructive" ? [entity] : []))
  // What is on a wire that is cut is lost, and what a consumer had that ended by an error.
  const consumers = new Map(history.of("began").map(({ op, what }) => [op, what]))
  const drained = history.of("phase").find(({ name }) => name === "drained")?.at ?? 0
  const isCut = isStruck(history, cutting) ||
    history.of("ended").some(({ at, op, result }) => {
      const what = consumers.get(op) ?? ""
      if (what !== "session") return at < drained && /^(receiver|stream)/.test(what)
      // One that is given up has nothing on its way, where the broker has answered its drain in time.
      return result !== "ok" || isStruck(history, network)
    })
  for (const { entity, id, isLocked, sequence } of isCut ? [] : history.of("delivered")) {
    if (isLocked || !taken.has(entity) || seen.has(`${entity} ${sequence}`)) continue
    violations.push({ rule: "dropped", what: `${entity} ${sequence} (${id}): sent to a receiver, and given to nobody` })
  }
  return violations
}
