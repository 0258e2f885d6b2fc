/** What is closed leaves nothing: no connection, no socket, no fiber, no timer. Each client that closes on the way is looked at, too. */
import type { Oracle, Violation } from "./Oracle.ts"

export const leftovers: Oracle = ({ history, leftovers }) => [
  ...(Object.keys(leftovers) as ReadonlyArray<keyof typeof leftovers>).flatMap((name): ReadonlyArray<Violation> =>
    leftovers[name] === 0 ? [] : [{ rule: "leftover", what: `${leftovers[name]} ${name} after everything was closed` }]
  ),
  ...history.of("left").flatMap(({ at, client, sleeps }): ReadonlyArray<Violation> =>
    sleeps === 0 ? [] : [{ rule: "leftover", what: `${sleeps} sleeps of the client ${client} that closed at ${at}` }]
  )
]
