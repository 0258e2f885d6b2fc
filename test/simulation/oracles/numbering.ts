/** The number that the client gives for what it scheduled is the broker's number of that message. */
import type { Oracle } from "./Oracle.ts"

export const numbering: Oracle = ({ history }) => {
  // What is due by then is not scheduled any more, and has its number.
  const taken = [...history.of("scheduled"), ...history.of("enqueued")]
  const scheduled = new Set(taken.map(({ entity, id, sequence }) => `${entity} ${id} ${sequence}`))
  return history.of("numbered").flatMap(({ at, entity, ids, sequences }) =>
    ids.length === sequences.length && ids.every((id, i) => scheduled.has(`${entity} ${id} ${sequences[i]}`))
      ? []
      : [{
        rule: "numbered",
        what: `${entity} at ${at}: ${ids.join(", ")} were said to be ${sequences.join(", ")}, and are not`
      }]
  )
}
