/**
 * What is closed leaves nothing: no connection, no socket, no fiber, no timer, and with the broker no link and no lock. Each client
 * that closes on the way is looked at, too.
 */
import type { History } from "../History.ts"
import { isStruck, network, type Oracle, peer, type Violation } from "./Oracle.ts"

const served = ["connections", "links", "sessions", "locks"] as const

/** Of the broker once its clients are closed. */
const ofBroker = (history: History): ReadonlyArray<Violation> => {
  // What a link had that was cut stays locked for its time.
  const judged = isStruck(history, [...network, ...peer]) ? served.filter((name) => name !== "locks") : served
  const drained = history.of("phase").find(({ name }) => name === "drained")?.at ?? Infinity
  return history.of("served").filter(({ at }) => at >= drained).flatMap((entry) =>
    judged.flatMap((name) =>
      entry[name] === 0
        ? []
        : [{ rule: "leftover", what: `${entry[name]} ${name} at the broker, whose clients are closed, at ${entry.at}` }]
    )
  )
}

export const leftovers: Oracle = ({ history, leftovers }) => [
  ...ofBroker(history),
  ...(Object.keys(leftovers) as ReadonlyArray<keyof typeof leftovers>).flatMap((name): ReadonlyArray<Violation> =>
    leftovers[name] === 0 ? [] : [{ rule: "leftover", what: `${leftovers[name]} ${name} after everything was closed` }]
  ),
  ...history.of("left").flatMap(({ at, client, sleeps }): ReadonlyArray<Violation> =>
    sleeps === 0 ? [] : [{ rule: "leftover", what: `${sleeps} sleeps of the client ${client} that closed at ${at}` }]
  )
]
