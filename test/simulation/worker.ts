/** A process that runs plans, one after the other, for its parent, which ends it where a run takes too long. */
import type { Job, Report } from "./Runner.ts"
import { run } from "./Simulation.ts"

const reportOf = async ({ isTraced, plan }: Job): Promise<Report> => {
  try {
    const { history, messages, violations } = await run(plan)
    if (isTraced) { for (const entry of history.entries) console.log(JSON.stringify(entry)) }
    return { messages, faults: history.injected(), hash: history.hash(), violations }
  } catch (error) {
    const what = error instanceof Error ? error.stack ?? error.message : String(error)
    return { messages: 0, faults: [], hash: "none", violations: [{ rule: "harness", what }] }
  }
}

process.on("message", async (job: Job) => process.send!(await reportOf(job)))
process.send!("ready")
