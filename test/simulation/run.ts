/**
 * `npm run simulate`: runs seeds in processes of their own, as many as there are cores, and ends with one line that says how many
 * and what was violated. A seed that fails is printed with its faults, as few as are needed, and with the command that runs it
 * again. A run that does not end in its bound of real time is a violation, and one whose process ends. Where many seeds are not
 * fresh ones, and of everything, it fails as well if a fault or a workload hardly came in these.
 */
import { availableParallelism } from "node:os"
import { Coverage, enough } from "./coverage.ts"
import { faults as kinds } from "./faults/index.ts"
import { type Command, parse, Refusal, usage } from "./options.ts"
import { type Report, Runner } from "./Runner.ts"
import { type Plan, planOf } from "./Simulation.ts"
import { workloads } from "./workloads/index.ts"

type Of<K extends Command["kind"]> = Extract<Command, { readonly kind: K }>

type Examined = Report & { readonly plan: Plan }

const print = ({ hash, plan, violations }: Examined): void => {
  console.log(`seed ${plan.seed}, workload ${plan.workload}, trace ${hash}:${violations.length === 0 ? " holds" : ""}`)
  for (const { rule, what } of violations.slice(0, 10)) console.log(`  ${rule}: ${what}`)
  if (violations.length > 10) console.log(`  and ${violations.length - 10} more`)
  for (const { at, name, parameters } of plan.faults) {
    const when = "ms" in at ? `at ${at.ms} ms` : `after ${at.frames} chunks`
    console.log(`  fault: ${name} ${when} ${JSON.stringify(parameters)}`)
  }
  if (violations.length === 0) return
  console.log(`  again: npm run simulate -- --plan '${JSON.stringify(plan).replaceAll("'", "'\\''")}'`)
}

/** The last line, by which scripts know what came of it. */
const conclude = (seeds: number, messages: number, faults: number, violations: number): void => {
  console.log(`${seeds} seeds, ${messages} messages, ${faults} faults, ${violations} violations`)
  if (violations > 0) process.exitCode = 1
}

const one = async ({ bound, isTraced, plan }: Of<"plan">): Promise<void> => {
  const runner = new Runner(bound)
  const report = isTraced ? { ...await runner.run(plan, true), plan } : await runner.examine(plan)
  runner.close()
  print(report)
  conclude(1, report.messages, report.faults.length, report.violations.length)
}

/** Runs seeds one after the other, until one fails. */
const first = async ({ bound, from, only, seeds }: Of<"first">): Promise<void> => {
  const runner = new Runner(bound)
  for (let seed = from; seed < from + seeds; seed++) {
    const plan = planOf(seed, only)
    const [violation] = (await runner.run(plan)).violations
    console.log(`seed ${seed}`)
    if (violation === undefined) continue
    console.log(`first: ${violation.rule}, seed ${seed} (${plan.workload}): ${violation.what}`)
    process.exitCode = 1
    break
  }
  runner.close()
}

const all = async ({ bound, fresh, from, jobs, only, seeds }: Of<"all">): Promise<void> => {
  const freshFrom = Date.now() % 1_000_000_000
  const known = { none: seeds, half: Math.ceil(seeds / 2), all: 0 }[fresh]
  if (known < seeds) console.log(`fresh seeds from ${freshFrom}`)
  const began = performance.now()
  const fired = new Coverage(kinds.map(({ name }) => name))
  const ran = new Coverage(workloads.map(({ name }) => name))
  /** What came in those that are not fresh. */
  const judged = new Coverage([...workloads, ...kinds].map(({ name }) => name))
  let next = 0
  let messages = 0
  let faults = 0
  let violations = 0
  const took = (report: Examined, isFresh: boolean): void => {
    messages += report.messages
    faults += report.faults.length
    violations += report.violations.length
    for (const name of report.faults) fired.add(name)
    ran.add(report.plan.workload)
    if (!isFresh) { for (const name of [report.plan.workload, ...report.faults]) judged.add(name) }
    if (report.violations.length > 0) print(report)
  }
  const worker = async () => {
    const runner = new Runner(bound)
    while (next < seeds) {
      const isFresh = next >= known
      const seed = isFresh ? freshFrom + next - known : from + next
      next++
      took(await runner.examine(planOf(seed, only)), isFresh)
    }
    runner.close()
  }
  await Promise.all(Array.from({ length: Math.min(jobs ?? availableParallelism(), seeds) }, worker))
  const seconds = (performance.now() - began) / 1000
  console.log(`workloads: ${ran}`)
  console.log(`faults: ${fired}`)
  console.log(`${(seeds / seconds).toFixed(1)} seeds a second, ${seconds.toFixed(0)} s`)
  conclude(seeds, messages, faults, violations)
  const isAll = only.workload === undefined && only.fault === undefined && known >= enough
  const missing = isAll ? judged.missing(known) : []
  if (missing.length === 0) return
  console.log(`hardly came in the first ${known}: ${missing.join(", ")}`)
  process.exitCode = 1
}

const commandOf = (args: ReadonlyArray<string>): Command => {
  try {
    return parse(args)
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    console.error(`simulate: ${error.message}\n\n${usage}`)
    process.exit(2)
  }
}

const command = commandOf(process.argv.slice(2))
switch (command.kind) {
  case "help":
    console.log(usage)
    process.exitCode = 2
    break
  case "plan":
    await one(command)
    break
  case "first":
    await first(command)
    break
  case "all":
    await all(command)
}
