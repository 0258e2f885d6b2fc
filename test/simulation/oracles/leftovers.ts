/** What is closed leaves nothing: no connection, no socket, no timer. */
import type { Oracle, Violation } from "./Oracle.ts"

export const leftovers: Oracle = ({ leftovers }) =>
  (Object.keys(leftovers) as ReadonlyArray<keyof typeof leftovers>).flatMap((name): ReadonlyArray<Violation> =>
    leftovers[name] === 0 ? [] : [{ rule: "leftover", what: `${leftovers[name]} ${name} after everything was closed` }]
  )
