/** The command that runs seeds: what it is asked for, what it refuses, and that no run takes longer than it may. */
import { execFile } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { assert, describe, it } from "../support/vitest.ts"
import { faults } from "./faults/index.ts"
import { minimise } from "./minimise.ts"
import { parse, planFrom, Refusal, usage } from "./options.ts"
import { Rng } from "./Rng.ts"
import { Runner } from "./Runner.ts"
import { type Plan, planOf } from "./Simulation.ts"

const reset = { name: "reset", at: { ms: 5 }, parameters: {} }
const plan: Plan = { seed: 3, workload: "processor", faults: [reset], turn: 2048 }
const json = (changes: object) => JSON.stringify({ ...plan, ...changes })

const refusalOf = (read: () => unknown): string => {
  try {
    read()
  } catch (error) {
    if (error instanceof Refusal) return error.message
    throw error
  }
  return "nothing is refused"
}

/** Runs it as a user does. */
const simulate = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly status: number; readonly stderr: string; readonly lines: ReadonlyArray<string> }>(
    (resolve) => {
      const file = fileURLToPath(new URL("run.ts", import.meta.url))
      execFile(
        process.execPath,
        [file, ...args],
        (error, stdout, stderr) =>
          resolve({ status: Number(error?.code ?? 0), stderr, lines: stdout.trimEnd().split("\n") })
      )
    }
  )

/** A process in place of the one that runs plans, with what it does when it is given one. */
const withProgram = async <A>(does: string, use: (program: URL) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "simulate-"))
  try {
    const file = join(folder, "program.mjs")
    writeFileSync(file, `process.on("message", ({ plan }) => { ${does} })\nprocess.send("ready")\n`)
    return await use(pathToFileURL(file))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe("the options of the simulation", () => {
  it("limit seeds to several workloads and faults", () => {
    const command = parse(["--workload", "sessions,batches", "--fault", "reset,drop", "--seeds", "7"])
    assert.deepInclude(command, { kind: "all", from: 1, seeds: 7, fresh: "none", bound: 60 })
    assert.isTrue(command.kind === "all")
    const plans = Array.from({ length: 60 }, (_, seed) => planOf(seed, command.kind === "all" ? command.only : {}))
    assert.deepStrictEqual([...new Set(plans.map(({ workload }) => workload))].toSorted(), ["batches", "sessions"])
    const kinds = new Set(plans.flatMap(({ faults }) => faults.map(({ name }) => name)))
    assert.deepStrictEqual([...kinds].toSorted(), ["drop", "reset"])
  })

  it("have every broker, none, or one in ten keep its state in a file", () => {
    const onFile = (args: ReadonlyArray<string>): number => {
      const command = parse(args)
      assert.isTrue(command.kind === "all")
      const plans = Array.from({ length: 200 }, (_, seed) => planOf(seed, command.kind === "all" ? command.only : {}))
      for (const { faults, store } of plans) {
        assert.strictEqual(faults.some(({ name }) => name === "killed"), store === "file")
      }
      return plans.filter(({ store }) => store === "file").length
    }
    assert.strictEqual(onFile(["--store", "file"]), 200)
    assert.strictEqual(onFile(["--store", "memory"]), 0)
    assert.strictEqual(onFile(["--fault", "killed,reset"]), 200)
    assert.approximately(onFile([]), 20, 10)
  })

  const refused: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: string | RegExp]> = [
    [["--seed", "4"], /Unknown option '--seed'/],
    [["sessions"], /Unexpected argument 'sessions'/],
    [["--seeds", "0"], "--seeds must be an integer of 1 or more, not \"0\""],
    [["--from", ""], "--from must be an integer of 0 or more, not \"\""],
    [["--jobs", "two"], "--jobs must be an integer of 1 or more, not \"two\""],
    [["--bound", "0"], "--bound must be seconds, above 0, not \"0\""],
    [["--first", "--workload", "none"], /^there is no workload "none"; there are processor, /],
    [["--fault", "reset,none"], /^there is no fault "none"; there are reset, /],
    [["--store", "disk"], "--store must be memory or file, not \"disk\""],
    [["--store", "memory", "--fault", "killed"], /^the fault "killed" strikes a broker on a file/],
    [["--first", "--fresh"], "--first does not go with --fresh"],
    [["--first", "--jobs", "2"], "--first does not go with --jobs"],
    [["--fresh", "--half-fresh"], "--fresh does not go with --half-fresh"],
    [["--fresh", "--from", "2"], "--fresh does not go with --from"],
    [["--trace"], "--trace goes with --plan only"],
    [["--plan", json({}), "--workload", "sessions"], "--plan does not go with --workload"],
    [
      ["--workload", "destructive", "--fault", "bad handlers"],
      "the workload \"destructive\" has nothing that these faults strike: \"bad handlers\" needs handlers"
    ]
  ]
  for (const [args, message] of refused) {
    it(`are refused where they cannot be heeded: ${args.join(" ").slice(0, 60)}`, () => {
      const said = refusalOf(() => parse(args))
      if (typeof message === "string") assert.strictEqual(said, message)
      else assert.match(said, message)
    })
  }

  const plans: ReadonlyArray<readonly [text: string, message: string | RegExp]> = [
    ["{", /^the plan is not JSON: /],
    ["[]", "the plan is not an object"],
    [json({ seed: "3" }), "the plan needs a seed, an integer of 0 or more"],
    [json({ workload: undefined }), "the plan needs a workload"],
    [json({ workload: "none" }), /^there is no workload "none"/],
    [json({ turn: 0 }), "the plan needs a turn, an integer of 1 or more"],
    [json({ client: "none" }), "the client of a plan is \"key\" or \"tokens\", not \"none\""],
    [json({ store: "disk" }), "the store of a plan is \"memory\" or \"file\", not \"disk\""],
    [json({ faults: undefined }), "the plan needs faults, an array"],
    [json({ more: 1 }), "a plan has no field \"more\""],
    [json({ faults: [5] }), "the fault 1 of the plan is not an object"],
    [json({ faults: [{ ...reset, name: "none" }] }), /^there is no fault "none"/],
    [json({ faults: [{ ...reset, at: {} }] }), /^the fault 1 of the plan has to be "at" either/],
    [json({ faults: [{ ...reset, parameters: undefined }] }), "the fault 1 of the plan has no parameters"],
    [json({ faults: [{ ...reset, name: "restart" }] }), "the fault 1 of the plan needs the parameter \"ms\", a number"]
  ]
  for (const [text, message] of plans) {
    it(`are refused where a plan is not one: ${text}`, () => {
      const said = refusalOf(() => planFrom(text))
      if (typeof message === "string") assert.strictEqual(said, message)
      else assert.match(said, message)
    })
  }

  it("take every plan that a seed makes", () => {
    for (let seed = 0; seed < 300; seed++) {
      const made = planOf(seed)
      assert.deepStrictEqual(planFrom(JSON.stringify(made)), made)
    }
    for (const { name, plan } of faults) {
      const shapes = Array.from({ length: 50 }, (_, seed) => Object.keys(plan(new Rng(seed))).join())
      assert.strictEqual(new Set(shapes).size, 1, name)
    }
  })
})

// Each of them starts processes: a busy machine takes its time.
describe("the command of the simulation", { concurrent: false, timeout: 300_000 }, () => {
  it("says that a plan holds, and ends with the line that all runs end with", async () => {
    const { lines, status } = await simulate("--plan", json({ workload: "batches", faults: [] }))
    assert.strictEqual(status, 0)
    assert.match(lines[0]!, /^seed 3, workload batches, trace [0-9a-f]{8}: holds$/)
    assert.match(lines.at(-1)!, /^1 seeds, [1-9]\d* messages, 0 faults, 0 violations$/)
  })

  it("ends with 2 and its usage where it is asked for wrongly", async () => {
    const { lines, status, stderr } = await simulate("--plan", "{}")
    assert.deepStrictEqual(lines, [""])
    assert.strictEqual(status, 2)
    assert.strictEqual(stderr, `simulate: the plan needs a seed, an integer of 0 or more\n\n${usage}\n`)
  })

  it("ends a run that takes longer than it may, and prints its plan", async () => {
    const { lines, status } = await simulate("--plan", json({ workload: "batches" }), "--bound", "0.001")
    assert.strictEqual(status, 1)
    assert.include(lines, "  endless: it did not end in 0.001 s of real time")
    assert.include(lines, `  again: npm run simulate -- --plan '${json({ workload: "batches", faults: [] })}'`)
    assert.strictEqual(lines.at(-1), "1 seeds, 0 messages, 0 faults, 1 violations")
    const first = await simulate("--first", "--seeds", "5", "--from", "8", "--bound", "0.001")
    assert.strictEqual(first.status, 1)
    assert.match(first.lines.at(-1)!, /^first: endless, seed 8 /)
  })
})

describe("what runs plans", { concurrent: false, timeout: 300_000 }, () => {
  it("ends a process that never yields, keeps the fault that makes it, and goes on with another", () =>
    withProgram(
      "if (plan.faults.length > 0) for (;;); process.send({ messages: 1, faults: [], hash: 'h', violations: [] })",
      async (program) => {
        const runner = new Runner(0.2, program)
        const { plan: least, violations } = await runner.examine({ ...plan, faults: [reset, reset] })
        assert.deepStrictEqual(violations, [{ rule: "endless", what: "it did not end in 0.2 s of real time" }])
        assert.deepStrictEqual(least, plan)
        assert.strictEqual((await runner.run({ ...plan, faults: [] })).messages, 1)
        runner.close()
      }
    ))

  it("says that a process ended", () =>
    withProgram("process.exit(7)", async (program) => {
      const { violations } = await new Runner(60, program).run(plan)
      assert.deepStrictEqual(violations, [{ rule: "dead", what: "its process ended with 7" }])
    }))

  it("says what an error was that no run is to have", async () => {
    const runner = new Runner(60)
    const { violations } = await runner.run({ ...plan, faults: undefined as never })
    runner.close()
    assert.deepStrictEqual(violations.map(({ rule }) => rule), ["harness"])
    assert.match(violations[0]!.what, /TypeError/)
  })

  it("gives the least that was found in time", async () => {
    let runs = 0
    const least = await minimise({ ...plan, faults: [reset, reset, reset] }, async () => {
      runs++
      return true
    }, () => runs === 2)
    assert.strictEqual(least.faults.length, 1)
  })
})
