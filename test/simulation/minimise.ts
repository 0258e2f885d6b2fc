/** Makes the plan of a run that fails smaller: faults are left out one by one while it still fails. */
import type { Violation } from "./oracles/Oracle.ts"
import type { Plan } from "./Simulation.ts"

/** Whether a run of a plan breaks one of these rules. A run that does is noted. */
export const failsAgain = <A extends { readonly violations: ReadonlyArray<Violation> }>(
  rules: ReadonlySet<string>,
  run: (plan: Plan) => Promise<A>,
  note: (outcome: A) => void
) =>
async (plan: Plan): Promise<boolean> => {
  const outcome = await run(plan)
  const isBroken = outcome.violations.some(({ rule }) => rules.has(rule))
  if (isBroken) note(outcome)
  return isBroken
}

/** The least that was found before `isOver` says that it takes too long. */
export const minimise = async (
  plan: Plan,
  fails: (plan: Plan) => Promise<boolean>,
  isOver: () => boolean = () => false
): Promise<Plan> => {
  let least = plan
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false
    for (let i = least.faults.length - 1; i >= 0; i--) {
      if (isOver()) return least
      const smaller = { ...least, faults: least.faults.filter((_, other) => other !== i) }
      if (await fails(smaller)) {
        least = smaller
        isSmaller = true
      }
    }
    const plain = { ...least, turn: 2048 }
    if (least.turn !== plain.turn && !isOver() && await fails(plain)) least = plain
  }
  return least
}
