/** What is scheduled is there when it is due, where nothing goes wrong; that it is not early is judged wherever it is sent. */
import type { Oracle, Violation } from "./Oracle.ts"

/** How late it may be, in milliseconds. */
const slack = 1_000

export const due: Oracle = ({ history }) => {
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
