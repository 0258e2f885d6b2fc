/** Makes the plan of a run that fails smaller: faults are left out one by one while it still breaks the same rule. */
import { type Plan, run } from "./Simulation.ts"

export const minimise = async (plan: Plan, rules: ReadonlySet<string>): Promise<Plan> => {
  const fails = async (smaller: Plan): Promise<boolean> =>
    (await run(smaller)).violations.some(({ rule }) => rules.has(rule))
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
