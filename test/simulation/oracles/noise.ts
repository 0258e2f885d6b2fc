/** No operation dies, nothing is printed, no rejection is handled by nobody, and listeners do not grow in number. */
import type { Oracle, Violation } from "./Oracle.ts"

/** How many listeners a connection has at most, whatever was attached on it before. */
const mostListeners = 60

export const noise: Oracle = ({ history }) => [
  ...history.of("noise").map(({ what }): Violation => ({ rule: "noise", what })),
  ...history.entries.flatMap((entry): ReadonlyArray<Violation> =>
    "tag" in entry && entry.tag?.startsWith("defect") === true
      ? [{ rule: "defect", what: `${entry.kind} at ${entry.at}: ${entry.tag}` }]
      : []
  ),
  ...history.of("listeners").flatMap(({ consumer, count }): ReadonlyArray<Violation> =>
    count <= mostListeners ? [] : [{ rule: "listeners", what: `${consumer}: its connection has ${count} listeners` }]
  )
]
