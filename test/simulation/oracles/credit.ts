/**
 * No consumer has more credit with the broker than what it was asked for: what nobody asked for would be locked, or
 * lost. A drain that is not answered in its time takes back none.
 */
import { network, type Oracle, strikes } from "./Oracle.ts"

export const credit: Oracle = ({ history }) => {
  const isHeldUp = strikes(history, network)
  return history.of("credit").flatMap(({ at, consumer, credit, most }) =>
    credit <= most || isHeldUp(at)
      ? []
      : [{ rule: "credit", what: `${consumer}: a credit of ${credit} at ${at}, of ${most} at most` }]
  )
}
