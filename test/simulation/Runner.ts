/** Runs plans in a process of its own, which is ended where a run takes too long: a loop that never yields ends, too. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import { failsAgain, minimise } from "./minimise.ts"
import type { Violation } from "./oracles/Oracle.ts"
import type { Plan } from "./Simulation.ts"

/** How long a plan is made smaller, in milliseconds of real time. */
const patience = 120_000

export interface Job {
  readonly plan: Plan
  readonly isTraced: boolean
}

/** What came of a run. */
export interface Report {
  readonly messages: number
  /** The names of the faults that were injected. */
  readonly faults: ReadonlyArray<string>
  readonly hash: string
  readonly violations: ReadonlyArray<Violation>
}

export class Runner {
  private readonly bound: number
  private readonly program: URL
  private child: ChildProcess | undefined

  /** With the seconds of real time that a run may take. */
  constructor(bound: number, program = new URL("worker.ts", import.meta.url)) {
    this.bound = bound
    this.program = program
  }

  run(plan: Plan, isTraced = false): Promise<Report> {
    return new Promise((resolve) => {
      const child = this.child ?? fork(fileURLToPath(this.program))
      let timer: NodeJS.Timeout | undefined
      const end = (report: Report): void => {
        clearTimeout(timer)
        child.removeAllListeners()
        resolve(report)
      }
      const failed = (rule: string, what: string): void => {
        child.kill("SIGKILL")
        this.child = undefined
        end({ messages: 0, faults: [], hash: "none", violations: [{ rule, what }] })
      }
      const give = (): void => {
        const late = `it did not end in ${this.bound} s of real time`
        timer = setTimeout(() => failed("endless", late), this.bound * 1_000)
        child.send({ plan, isTraced } satisfies Job)
      }
      child.once("exit", (code, signal) => failed("dead", `its process ended with ${code ?? signal}`))
      child.once("error", (error) => failed("dead", String(error)))
      child.on("message", (message: Report | "ready") => message === "ready" ? give() : end(message))
      if (this.child === undefined) this.child = child
      else give()
    })
  }

  /** Runs a plan and, where it fails, looks for the least that fails as well, for as long as its patience lasts. */
  async examine(plan: Plan): Promise<Report & { readonly plan: Plan }> {
    const first = await this.run(plan)
    if (first.violations.length === 0) return { ...first, plan }
    const until = performance.now() + patience
    let report = first
    const rules = new Set(first.violations.map(({ rule }) => rule))
    const fails = failsAgain(rules, (smaller) => this.run(smaller), (other) => {
      report = other
    })
    const least = await minimise(plan, fails, () => performance.now() > until)
    return { ...report, messages: first.messages, faults: first.faults, plan: least }
  }

  close(): void {
    this.child?.removeAllListeners()
    this.child?.kill()
  }
}
