/** Makes the plan of a run that fails smaller: faults are left out one by one while it still fails. */
import { type Plan, run } from "./Simulation.ts"

/** Whether a run of a plan breaks one of these rules. */
export const failsAgain = (rules: ReadonlySet<string>) => async (plan: Plan): Promise<boolean> =>
  (await run(plan)).violations.some(({ rule }) => rules.has(rule))

export const minimise = async (plan: Plan, fails: (plan: Plan) => Promise<boolean>): Promise<Plan> => {
  let least = plan
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false
    for (let i = least.faults.length - 1; i >= 0; i--) {
      const smaller = { ...least, faults: least.faults.filter((_, other) => other !== i) }
      if (await fails(smaller)) {
        least = smaller
        isSmaller = true
      }
    }
    const plain = { ...least, turn: 2048 }
    if (least.turn !== plain.turn && await fails(plain)) least = plain
  }
  return least
}
