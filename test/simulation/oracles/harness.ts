/**
 * Faults and workloads do not die: what is not injected proves nothing, and what is not run neither. A file of its own because it
 * judges the simulation, and not the library.
 */
import type { Oracle } from "./Oracle.ts"

export const harness: Oracle = ({ history }) =>
  history.of("died").map(({ at, name, part, why }) => ({
    rule: "harness",
    what: `${part} ${name} died at ${at}: ${why}`
  }))
