/** What `npm run simulate` is asked for, read from its arguments. What it would not do, or would not heed, is refused. */
import { parseArgs } from "node:util"
import { faults } from "./faults/index.ts"
import { Rng } from "./Rng.ts"
import type { Only, Plan } from "./Simulation.ts"
import { workloads } from "./workloads/index.ts"
import type { PlannedFault } from "./World.ts"

export const usage = `usage: npm run simulate -- [options]

  --seeds N          how many seeds are run (100)
  --from N           the first of them (1)
  --fresh            begins with a seed that no run began with, and prints it
  --half-fresh       the second half of the seeds begins there
  --workload A,B     these workloads only
  --fault A,B        these faults only
  --store S          file: every broker has its state in a file, and is killed; memory: none has (file for one seed in ten)
  --jobs N           how many seeds are run at a time (as many as there are cores)
  --first            one after the other, and ends with the first that fails, as it is
  --plan JSON        runs one plan, as a seed that failed printed it
  --trace            prints everything that happened in it
  --bound SECONDS    how long one run may take, in real time (60)
  --help             prints this

exit code: 0 where everything held, 1 where something did not, 2 where no run was asked for, or none that can be
`

/** Arguments that cannot be heeded, in one sentence. */
export class Refusal extends Error {}

export type Command =
  | { readonly kind: "help" }
  | { readonly kind: "plan"; readonly plan: Plan; readonly isTraced: boolean; readonly bound: number }
  | {
    readonly kind: "first"
    readonly from: number
    readonly seeds: number
    readonly only: Only
    readonly bound: number
  }
  | {
    readonly kind: "all"
    readonly from: number
    readonly seeds: number
    readonly fresh: "none" | "half" | "all"
    readonly only: Only
    readonly jobs: number | undefined
    readonly bound: number
  }

type Given = Readonly<Record<string, string | boolean | undefined>>

const integer = (given: Given, name: string, least: number): number | undefined => {
  const text = given[name]
  if (text === undefined) return undefined
  const value = Number(text)
  if (typeof text === "string" && /^\d+$/.test(text) && Number.isSafeInteger(value) && value >= least) return value
  throw new Refusal(`--${name} must be an integer of ${least} or more, not "${text}"`)
}

const known = (option: "workload" | "fault", text: string, all: ReadonlyArray<{ readonly name: string }>) => {
  for (const name of text.split(",")) {
    if (all.some((each) => each.name === name)) continue
    throw new Refusal(`there is no ${option} "${name}"; there are ${all.map((each) => each.name).join(", ")}`)
  }
}

const isOfFiles = (fault: string): boolean => faults.find(({ name }) => name === fault)?.needs === "file"

/** Limits of seeds: names that are there, and faults that find something to strike. */
const onlyOf = (given: Given): Only => {
  const store = given["store"]
  if (store !== undefined && store !== "memory" && store !== "file") {
    throw new Refusal(`--store must be memory or file, not "${store}"`)
  }
  const only: Only = {
    workload: given["workload"] as string | undefined,
    fault: given["fault"] as string | undefined,
    store
  }
  if (only.workload !== undefined) known("workload", only.workload, workloads)
  if (only.fault !== undefined) known("fault", only.fault, faults)
  if (store === "memory" && only.fault?.split(",").some((name) => isOfFiles(name)) === true) {
    throw new Refusal(`the fault "${only.fault}" strikes a broker on a file: leave --store memory out`)
  }
  if (only.workload === undefined || only.fault === undefined) return only
  const asked = faults.filter(({ name }) => only.fault!.split(",").includes(name))
  for (const name of only.workload.split(",")) {
    const { uses } = workloads.find((each) => each.name === name)!
    // Any workload may have a client with tokens.
    const isAny = (needs: (typeof asked)[number]["needs"]) =>
      needs === undefined || needs === "tokens" || needs === "file"
    if (asked.some(({ needs }) => isAny(needs) || uses.includes(needs as never))) continue
    const needs = asked.map((fault) => `"${fault.name}" needs ${fault.needs}`).join(", ")
    throw new Refusal(`the workload "${name}" has nothing that these faults strike: ${needs}`)
  }
  return only
}

/** What these options would not heed. */
const without = (given: Given, which: string, ignored: ReadonlyArray<string>): void => {
  const name = ignored.find((each) => given[each] !== undefined)
  if (name !== undefined) throw new Refusal(`${which} does not go with --${name}`)
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const isCount = (value: unknown, least: number): value is number =>
  Number.isSafeInteger(value) && Number(value) >= least

const only = (what: string, value: Readonly<Record<string, unknown>>, fields: ReadonlyArray<string>): void => {
  const other = Object.keys(value).find((field) => !fields.includes(field))
  if (other !== undefined) throw new Refusal(`${what} has no field "${other}"`)
}

const faultFrom = (value: unknown, index: number): PlannedFault => {
  const what = `the fault ${index + 1} of the plan`
  if (!isRecord(value)) throw new Refusal(`${what} is not an object`)
  only(what, value, ["name", "at", "parameters"])
  const { at, name, parameters } = value
  if (typeof name !== "string") throw new Refusal(`${what} has no name`)
  known("fault", name, faults)
  const when = isRecord(at) ? Object.entries(at) : []
  if (when.length !== 1 || !["ms", "frames"].includes(when[0]![0]) || !isCount(when[0]![1], 0)) {
    throw new Refusal(`${what} has to be "at" either { "ms": integer } or { "frames": integer }`)
  }
  if (!isRecord(parameters)) throw new Refusal(`${what} has no parameters`)
  const wanted = Object.entries(faults.find((fault) => fault.name === name)!.plan(new Rng(1)))
  only(`the parameters of ${what}`, parameters, wanted.map(([field]) => field))
  for (const [field, example] of wanted) {
    if (typeof parameters[field] !== typeof example) {
      throw new Refusal(`${what} needs the parameter "${field}", a ${typeof example}`)
    }
  }
  return value as unknown as PlannedFault
}

/** A plan from its JSON. */
export const planFrom = (text: string): Plan => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new Refusal(`the plan is not JSON: ${(error as Error).message}`)
  }
  if (!isRecord(value)) throw new Refusal("the plan is not an object")
  only("a plan", value, ["seed", "workload", "faults", "turn", "client", "store"])
  const { client, faults: planned, seed, store, turn, workload } = value
  if (!isCount(seed, 0)) throw new Refusal("the plan needs a seed, an integer of 0 or more")
  if (typeof workload !== "string") throw new Refusal("the plan needs a workload")
  known("workload", workload, workloads)
  if (!isCount(turn, 1)) throw new Refusal("the plan needs a turn, an integer of 1 or more")
  if (client !== undefined && client !== "key" && client !== "tokens") {
    throw new Refusal(`the client of a plan is "key" or "tokens", not ${JSON.stringify(client)}`)
  }
  if (store !== undefined && store !== "memory" && store !== "file") {
    throw new Refusal(`the store of a plan is "memory" or "file", not ${JSON.stringify(store)}`)
  }
  if (!Array.isArray(planned)) throw new Refusal("the plan needs faults, an array")
  planned.forEach(faultFrom)
  return value as unknown as Plan
}

/** What is asked for; throws a `Refusal`. */
export const parse = (args: ReadonlyArray<string>): Command => {
  let given: Given
  try {
    given = parseArgs({
      args: [...args],
      options: {
        seeds: { type: "string" },
        from: { type: "string" },
        fresh: { type: "boolean" },
        "half-fresh": { type: "boolean" },
        workload: { type: "string" },
        fault: { type: "string" },
        store: { type: "string" },
        plan: { type: "string" },
        trace: { type: "boolean" },
        first: { type: "boolean" },
        jobs: { type: "string" },
        bound: { type: "string" },
        help: { type: "boolean" }
      }
    }).values
  } catch (error) {
    throw new Refusal((error as Error).message.split("\n", 1)[0]!)
  }
  if (given["help"] === true) return { kind: "help" }
  const bound = given["bound"] === undefined ? 60 : Number(given["bound"])
  if (!(bound > 0 && bound < 86_400)) throw new Refusal(`--bound must be seconds, above 0, not "${given["bound"]}"`)
  if (given["plan"] !== undefined) {
    without(given, "--plan", ["seeds", "from", "fresh", "half-fresh", "workload", "fault", "store", "first", "jobs"])
    return { kind: "plan", plan: planFrom(String(given["plan"])), isTraced: given["trace"] === true, bound }
  }
  if (given["trace"] === true) throw new Refusal("--trace goes with --plan only")
  const seeds = integer(given, "seeds", 1) ?? 100
  const from = integer(given, "from", 0) ?? 1
  const jobs = integer(given, "jobs", 1)
  const limits = onlyOf(given)
  if (given["first"] === true) {
    without(given, "--first", ["fresh", "half-fresh", "jobs"])
    return { kind: "first", from, seeds, only: limits, bound }
  }
  if (given["fresh"] === true) without(given, "--fresh", ["half-fresh", "from"])
  const fresh = given["fresh"] === true ? "all" : given["half-fresh"] === true ? "half" : "none"
  return { kind: "all", from, seeds, fresh, only: limits, jobs, bound }
}
