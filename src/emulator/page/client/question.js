/**
 * Questions to the broker whose answers may come in another order than they were asked in: what another answer has overtaken is
 * not shown any more.
 */
export const questions = () => {
  let asked = 0
  let least = 0
  return {
    /** Begins a question; what it gives tells, once the answer is there, whether that is to be shown. */
    ask: () => {
      const mine = ++asked
      return () => {
        if (mine < least) return false
        least = mine
        return true
      }
    },
    /** Something else is to be shown than what was asked for until now. */
    forget: () => {
      least = asked + 1
    }
  }
}
