/**
 * `npm run simulate -- --seeds N --from S [--workload W] [--fault F,G]`: runs seeds in processes of their own, as many as there are
 * cores, and ends with one line that says how many and what was violated. A seed that fails is printed with its faults, as few as
 * are needed, and with the command that runs it again. A seed that does not end in a minute of real time is a violation. A run of a
 * thousand seeds or more, of everything, fails as well where a fault or a workload hardly came.
 *
 * `--fresh` begins with a seed that no run began with, and prints it; with `--half-fresh` the second half of the seeds does.
 * `--first` runs them in this process and ends with the first that fails, as it is. `--plan JSON` runs one plan, `--trace` prints
 * everything that happened in it, with its hash.
 */
import { type ChildProcess, fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Coverage, enough, least } from "./coverage.ts"
import type { Violation } from "./oracles/Oracle.ts"
import type { Plan } from "./Simulation.ts"

/** How long one seed may take, in milliseconds of real time. */
const bound = 60_000

interface Job {
  readonly seed: number
}

interface Report {
  readonly plan: Plan
  readonly messages: number
  readonly faults: ReadonlyArray<string>
  readonly hash: string
  readonly violations: ReadonlyArray<Violation>
}

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    from: { type: "string", default: "1" },
    fresh: { type: "boolean", default: false },
    "half-fresh": { type: "boolean", default: false },
    workload: { type: "string" },
    fault: { type: "string" },
    plan: { type: "string" },
    trace: { type: "boolean", default: false },
    worker: { type: "boolean", default: false },
    first: { type: "boolean", default: false },
    jobs: { type: "string" }
  }
})

const count = (name: string, text: string, least: number): number => {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least) return value
  console.error(`simulate: --${name} must be an integer of ${least} or more, not ${text}`)
  process.exit(2)
}

const only = { workload: values.workload, fault: values.fault }

/** Runs a plan and, where it fails, finds the least that fails as well. */
const examine = async (plan: Plan): Promise<Report> => {
  const { run } = await import("./Simulation.ts")
  const { failsAgain, minimise } = await import("./minimise.ts")
  const first = await run(plan)
  const failed = first.violations.length > 0 && !values.trace
  const least = failed ? await minimise(plan, failsAgain(new Set(first.violations.map(({ rule }) => rule)))) : plan
  const outcome = failed ? await run(least) : first
  if (values.trace) { for (const entry of outcome.history.entries) console.log(JSON.stringify(entry)) }
  return {
    plan: least,
    messages: first.messages,
    faults: first.history.injected(),
    hash: outcome.history.hash(),
    violations: outcome.violations
  }
}

const print = ({ hash, plan, violations }: Report): void => {
  console.log(`seed ${plan.seed}, workload ${plan.workload}, trace ${hash}:`)
  for (const { rule, what } of violations.slice(0, 10)) console.log(`  ${rule}: ${what}`)
  if (violations.length > 10) console.log(`  and ${violations.length - 10} more`)
  for (const { at, name, parameters } of plan.faults) {
    const when = "ms" in at ? `at ${at.ms} ms` : `after ${at.frames} chunks`
    console.log(`  fault: ${name} ${when} ${JSON.stringify(parameters)}`)
  }
  console.log(`  again: npm run simulate -- --plan '${JSON.stringify(plan)}'`)
}

const work = (): void => {
  process.on("message", async ({ seed }: Job) => {
    const { planOf } = await import("./Simulation.ts")
    process.send!(await examine(planOf(seed, only)))
  })
}

const one = async (text: string): Promise<void> => {
  const report = await examine(JSON.parse(text) as Plan)
  print(report)
  if (report.violations.length > 0) process.exitCode = 1
}

/** Runs seeds here, until one fails. */
const first = async (): Promise<void> => {
  const { planOf, run } = await import("./Simulation.ts")
  const from = count("from", values.from, 0)
  for (let seed = from; seed < from + count("seeds", values.seeds, 1); seed++) {
    const { plan, violations } = await run(planOf(seed, only))
    console.log(`seed ${seed}`)
    if (violations.length === 0) continue
    const [{ rule, what }] = violations as readonly [Violation]
    console.log(`first: ${rule}, seed ${seed} (${plan.workload}): ${what}`)
    process.exit(1)
  }
}

const all = async (): Promise<void> => {
  const from = count("from", values.from, 0)
  const seeds = count("seeds", values.seeds, 1)
  const freshFrom = Date.now() % 1_000_000_000
  const known = values.fresh ? 0 : values["half-fresh"] ? Math.ceil(seeds / 2) : seeds
  if (known < seeds) console.log(`fresh seeds from ${freshFrom}`)
  const { faults: kinds } = await import("./faults/index.ts")
  const { workloads } = await import("./workloads/index.ts")
  for (const [option, known] of [["workload", workloads], ["fault", kinds]] as const) {
    const asked = values[option]?.split(",").find((each) => !known.some(({ name }) => name === each))
    if (asked !== undefined) {
      console.error(`simulate: there is no ${option} "${asked}"; there are ${known.map(({ name }) => name).join(", ")}`)
      process.exit(2)
    }
  }
  const began = performance.now()
  const fired = new Coverage(kinds.map(({ name }) => name))
  const ran = new Coverage(workloads.map(({ name }) => name))
  let next = 0
  let messages = 0
  let faults = 0
  let violations = 0
  const took = (report: Report): void => {
    messages += report.messages
    faults += report.faults.length
    violations += report.violations.length
    for (const name of report.faults) fired.add(name)
    ran.add(report.plan.workload)
    if (report.violations.length > 0) print(report)
  }
  const child = (): ChildProcess =>
    fork(fileURLToPath(import.meta.url), [
      "--worker",
      ...(["workload", "fault"] as const).flatMap((name) =>
        values[name] === undefined ? [] : [`--${name}`, values[name]]
      )
    ])
  const worker = () =>
    new Promise<void>((resolve) => {
      let process = child()
      let timer: NodeJS.Timeout
      const give = (): void => {
        if (next >= seeds) {
          process.kill()
          return resolve()
        }
        const seed = next < known ? from + next : freshFrom + next - known
        next++
        const failed = (what: string): void => {
          clearTimeout(timer)
          process.removeAllListeners()
          process.kill("SIGKILL")
          violations++
          console.log(`seed ${seed}:\n  endless: ${what}\n  again: npm run simulate -- --seeds 1 --from ${seed}`)
          process = child()
          give()
        }
        timer = setTimeout(() => failed(`it did not end in ${bound / 1000} s of real time`), bound)
        process.once("exit", (code) => failed(`its process ended with ${code}`))
        process.once("message", (report: Report) => {
          clearTimeout(timer)
          process.removeAllListeners("exit")
          took(report)
          give()
        })
        process.send({ seed } satisfies Job)
      }
      give()
    })
  const jobs = values.jobs === undefined ? availableParallelism() : count("jobs", values.jobs, 1)
  await Promise.all(Array.from({ length: Math.min(jobs, seeds) }, worker))
  const seconds = (performance.now() - began) / 1000
  console.log(`workloads: ${ran}`)
  console.log(`faults: ${fired}`)
  console.log(`${(seeds / seconds).toFixed(1)} seeds a second, ${seconds.toFixed(0)} s`)
  console.log(`${seeds} seeds, ${messages} messages, ${faults} faults, ${violations} violations`)
  const isAll = values.workload === undefined && values.fault === undefined && seeds >= enough
  const missing = isAll ? [...ran.missing, ...fired.missing] : []
  if (missing.length > 0) console.log(`fewer than ${least} times: ${missing.join(", ")}`)
  if (violations > 0 || missing.length > 0) process.exitCode = 1
}

if (values.worker) work()
else await (values.first ? first() : values.plan === undefined ? all() : one(values.plan))
