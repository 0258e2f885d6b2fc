/**
 * No consumer has more credit with the broker than what it was asked for: what nobody asked for would be locked, or
 * lost. A drain that is not answered in its time takes back none.
 */
import { isStruck, network, type Oracle } from "./Oracle.ts"

export const credit: Oracle = ({ history }) =>
  isStruck(history, network) ?
    [] :
    history.of("credit").flatMap(({ at, consumer, credit, most }) =>
      credit <= most
        ? []
        : [{ rule: "credit", what: `${consumer}: a credit of ${credit} at ${at}, of ${most} at most` }]
    )
