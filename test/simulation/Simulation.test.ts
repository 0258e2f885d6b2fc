/** The simulation itself: the same seed is the same run, and some seeds hold. Thousands of them are run by `npm run simulate`. */
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Emulator from "../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../src/ServiceBusEntity.ts"
import { assert, describe, it } from "../support/vitest.ts"
import { Coverage } from "./coverage.ts"
import { minimise } from "./minimise.ts"
import { type Plan, planOf, run } from "./Simulation.ts"
import { workloads } from "./workloads/index.ts"
import { send } from "./workloads/sending.ts"
import { beside, type Fault, strike, type Workload } from "./World.ts"

const listeners = process.listenerCount("uncaughtException")

// One at a time: a run has the ids and the queues of its process for itself.
describe("the simulation", { concurrent: false }, () => {
  for (const { name } of workloads) {
    it(`the same seed is the same run, to the last chunk: ${name}`, async () => {
      const plan = planOf(77, { workload: name })
      const hashes = [await run(plan), await run(plan), await run(plan)].map(({ history }) => history.hash())
      assert.deepStrictEqual(hashes, [hashes[0], hashes[0], hashes[0]])
      assert.notStrictEqual((await run(planOf(78, { workload: name }))).history.hash(), hashes[0])
    })
  }

  it("the same seed is the same run where the broker is killed, on a file that the next one opens", async () => {
    const plan = planOf(12, { store: "file", fault: "killed,reset,restart" })
    const [once, again] = [await run(plan), await run(plan)]
    assert.isAbove(once.history.of("fault").filter(({ name }) => name === "killed").length, 1)
    assert.deepStrictEqual(once.violations, [])
    assert.strictEqual(again.history.hash(), once.history.hash())
  })

  it("ten seeds hold, with faults that came and messages that were sent", async () => {
    let faults = 0
    let messages = 0
    for (let seed = 1; seed <= 10; seed++) {
      const outcome = await run(planOf(seed))
      assert.deepStrictEqual(outcome.violations, [], JSON.stringify(outcome.plan))
      faults += outcome.history.of("fault").length
      messages += outcome.messages
    }
    assert.isAbove(faults, 10)
    assert.isAbove(messages, 300)
  })

  /** What a run found in the library, and was mended there. */
  const found: Readonly<Record<string, Plan>> = {
    "an attach that was answered while the fiber that waits for it yielded": {
      seed: 150,
      workload: "sessions",
      faults: [
        { name: "reset", at: { frames: 174 }, parameters: {} },
        { name: "latency", at: { frames: 3 }, parameters: { latency: 344, jitter: 622, ms: 23330 } }
      ],
      turn: 3
    },
    "an answer that came when its link was detached, and was settled on it": {
      seed: 382,
      workload: "batches",
      faults: [
        { name: "useless tokens", at: { ms: 31637 }, parameters: { ms: 42994 } },
        { name: "restart", at: { ms: 8696 }, parameters: { ms: 14900 } },
        { name: "interruptions", at: { frames: 96 }, parameters: { percent: 25 } }
      ],
      turn: 2048,
      client: "tokens"
    },
    "a connection that its last holder gave up when its client ended": {
      seed: 35,
      workload: "clients",
      faults: [{ name: "half-open", at: { frames: 88 }, parameters: {} }],
      turn: 2048,
      client: "key"
    },
    "a request of a session that waited for credit, and was made after the session was lost": {
      seed: 120023,
      workload: "accepting",
      faults: [{ name: "starvation", at: { frames: 45 }, parameters: { of: "all", ms: 32716, every: 0 } }],
      turn: 2048,
      client: "key"
    },
    "what was received and deleted, and not written yet when the broker detached its link": {
      seed: 2007194,
      workload: "subscriptions",
      faults: [{ name: "flapping", at: { frames: 32 }, parameters: { times: 56, pause: 20 } }],
      turn: 64,
      client: "key"
    },
    "a link that closes while its session is ended: its handler held on to what another had": {
      seed: 2017167,
      workload: "sessions",
      faults: [
        { "name": "bare detach", "at": { "frames": 230 }, "parameters": { "closed": "yes" } },
        { "name": "bare end", "at": { "frames": 677 }, "parameters": { "what": "sessions" } },
        { "name": "detach", "at": { "frames": 134 }, "parameters": { "condition": "com.microsoft:server-busy" } },
        { "name": "flapping", "at": { "ms": 26324 }, "parameters": { "times": 55, "pause": 59 } },
        { "name": "detach", "at": { "ms": 21709 }, "parameters": { "condition": "amqp:link:detach-forced" } }
      ],
      turn: 2048,
      client: "tokens"
    },
    "locks that were renewed, and lasted for less than before": {
      seed: 14002015,
      workload: "forwards",
      faults: [
        { name: "hanging handlers", at: { ms: 31030 }, parameters: { percent: 15 } },
        {
          name: "updated entity",
          at: { frames: 255 },
          parameters: { which: 7, lockDuration: 23000, maxDeliveryCount: 2, ms: 43606 }
        }
      ],
      turn: 2048,
      client: "tokens"
    },
    "messages that came while the fiber of a stream that was to wait for them yielded": {
      seed: 2001072,
      workload: "destructive",
      faults: [
        {
          name: "refused entity",
          at: { ms: 49693 },
          parameters: { condition: "com.microsoft:server-busy", which: 6, times: 2 }
        },
        { name: "hanging tokens", at: { ms: 27951 }, parameters: { ms: 25055 } },
        { name: "interruptions", at: { frames: 79 }, parameters: { percent: 20 } }
      ],
      turn: 3,
      client: "tokens"
    },
    "a claim that was over while the service was too busy for a token: processors stopped for good": {
      seed: 2027185,
      workload: "sessions",
      faults: [
        { name: "expired claims", at: { ms: 27996 }, parameters: {} },
        { name: "busy", at: { ms: 25339 }, parameters: { ms: 29829 } },
        { name: "refused settle", at: { frames: 220 }, parameters: { condition: "com.microsoft:timeout", times: 1 } }
      ],
      turn: 2048,
      client: "tokens"
    },
    "a claim that was over while its provider failed: each new processor attached in vain": {
      seed: 2017502,
      workload: "sessions",
      faults: [
        { name: "failing tokens", at: { frames: 73 }, parameters: { ms: 43944 } },
        { name: "restart", at: { frames: 10 }, parameters: { ms: 1480 } }
      ],
      turn: 2048,
      client: "tokens"
    },
    "a retry that was interrupted while a broker that had become silent was to complete its original": {
      seed: 2034757,
      workload: "retrying",
      faults: [
        { name: "failing handlers", at: { ms: 1075 }, parameters: { percent: 34 } },
        { name: "silence", at: { frames: 189 }, parameters: { direction: "down", ms: 84927 } },
        { name: "interruptions", at: { frames: 18 }, parameters: { percent: 15 } }
      ],
      turn: 2048,
      client: "key"
    },
    "a retry that was interrupted while the service was too busy to complete its original": {
      seed: 5000016,
      workload: "receiving",
      faults: [
        { name: "interruptions", at: { ms: 4802 }, parameters: { percent: 11 } },
        { name: "bare detach", at: { ms: 10963 }, parameters: { closed: "yes" } },
        { name: "reset", at: { frames: 228 }, parameters: {} },
        { name: "slow reader", at: { frames: 71 }, parameters: { pace: 187, ms: 18632 } },
        {
          name: "refused settle",
          at: { frames: 281 },
          parameters: { condition: "com.microsoft:server-busy", times: 6 }
        },
        { name: "bare detach", at: { ms: 17061 }, parameters: { closed: "yes" } },
        { name: "drop", at: { ms: 1695 }, parameters: {} }
      ],
      turn: 2048,
      client: "key"
    }
  }

  for (const [what, plan] of Object.entries(found)) {
    it(`what once failed holds: ${what}`, async () => {
      assert.deepStrictEqual((await run(plan)).violations, [])
    })
  }

  const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })
  const broken: Workload = { name: "broken", uses: [], entities: [], drained: [], run: () => Effect.void }
  const plain: Plan = { seed: 1, workload: "broken", faults: [], turn: 2048 }
  const violationsOf = async (workload: Partial<Workload>, plan = plain, kinds: ReadonlyArray<Fault> = []) => {
    const console = globalThis.console.log
    const { history, violations } = await run(plan, { workloads: [{ ...broken, ...workload }], faults: kinds })
    // What it took of the process it has given back.
    assert.strictEqual(globalThis.console.log, console)
    return { history, violations: violations.map(({ rule, what }) => `${rule}: ${what.split("\n", 1)[0]}`) }
  }

  it("a run that cannot begin is a violation, and leaves nothing of itself", async () => {
    const entities = [Emulator.entity(Work, { lockDuration: "1 hour" })]
    const { violations } = await violationsOf({ entities })
    assert.strictEqual(violations.length, 1)
    assert.match(violations[0]!, /^harness: .*lockDuration/)
    assert.strictEqual(process.listenerCount("uncaughtException"), listeners)
  })

  it("a workload that dies is a violation, in all of its parts", async () => {
    const { violations } = await violationsOf({ run: () => Effect.die(new Error("here")) })
    assert.deepStrictEqual(violations, ["harness: workload broken died at 1: Error: here"])
    const part = await violationsOf({ run: (world) => beside(world, "part", Effect.die(new Error("there"))) })
    assert.deepStrictEqual(part.violations, ["harness: workload part died at 1: Error: there"])
  })

  it("a workload that does not end is a violation, in all of its parts", async () => {
    const { violations } = await violationsOf({ run: () => Effect.never })
    assert.deepStrictEqual(violations, ["unfinished: broken of the workload has not ended at 180001"])
    const part = await violationsOf({ run: (world) => beside(world, "part", Effect.never) })
    assert.deepStrictEqual(part.violations, ["unfinished: part of the workload has not ended at 180001"])
  })

  it("a sender that cannot be made where nothing is wrong is a violation", async () => {
    const bad = new Proxy(Work, {
      get: () => {
        throw new Error("here")
      }
    })
    const { violations } = await violationsOf({ run: (world) => send(world, bad, { name: "bad", most: 1 }) })
    assert.match(violations[0]!, /^unprovoked: operation 1 failed at 1: InvalidOptionError$/)
  })

  it("a fault that dies is a violation, and was not injected", async () => {
    const inject = Effect.die(new Error("here"))
    const fault: Fault = { name: "bad", of: "program", plan: () => ({}), inject: () => inject }
    const twice = { ...plain, faults: [5, 6].map((ms) => ({ name: "bad", at: { ms }, parameters: {} })) }
    const { history, violations } = await violationsOf({}, twice, [fault])
    assert.deepStrictEqual(violations, [5, 6].map((at) => `harness: fault bad died at ${at + 1}: Error: here`))
    assert.deepStrictEqual(history.injected(), [])
    const own = await violationsOf({ run: (world) => strike(world, fault, {}) })
    assert.strictEqual(own.violations[0], "harness: fault bad died at 1: Error: here")
    assert.deepStrictEqual(own.history.injected(), [])
  })

  it("a plan with parts that are not there is refused", async () => {
    for (
      const plan of [{ ...plain, workload: "none" }, {
        ...plain,
        faults: [{ name: "none", at: { ms: 1 }, parameters: {} }]
      }]
    ) {
      const error = await violationsOf({}, plan).catch(String)
      assert.match(String(error), /there is no (workload|fault) "none"/)
    }
  })

  it("every workload, fault, oracle and mutant is in the list of its folder", () => {
    const folders = [["workloads", "Workload"], ["faults", "Fault"], ["oracles", "Oracle"], [
      "mutants",
      "ReadonlyArray<Mutant>"
    ]]
    for (const [folder, type] of folders) {
      const path = fileURLToPath(new URL(`${folder}/`, import.meta.url))
      const list = readFileSync(join(path, "index.ts"), "utf8").replace(/^[^]*?= \[/, "")
      for (const file of readdirSync(path).filter((file) => file !== "index.ts")) {
        for (
          const [, name, of] of readFileSync(join(path, file), "utf8").matchAll(/^export const (\w+): ([^=]+) =/gm)
        ) {
          if (of === type) assert.match(list, new RegExp(`\\b${name}\\b`), `${folder}/${file}`)
        }
      }
    }
  })

  it("what hardly came in many seeds is told", () => {
    const coverage = new Coverage(["reset", "drop", "end"])
    for (let i = 0; i < 10; i++) coverage.add("reset")
    for (let i = 0; i < 9; i++) coverage.add("end")
    assert.deepStrictEqual(coverage.missing(500), ["drop 0", "end 9"])
    assert.strictEqual(String(coverage), "drop 0, end 9, reset 10")
    coverage.add("end")
    assert.deepStrictEqual(coverage.missing(500), ["drop 0"])
  })

  it("a plan is made as small as it can be and still fail", async () => {
    const reset = { name: "reset", at: { ms: 5_000 }, parameters: {} }
    const asked: Array<number> = []
    const plan: Plan = {
      seed: 5,
      workload: "processor",
      faults: [reset, { name: "bad handlers", at: { ms: 1 }, parameters: { percent: 80 } }, reset],
      turn: 8
    }
    const least = await minimise(plan, (smaller) => {
      asked.push(smaller.faults.length)
      return Promise.resolve(smaller.faults.some(({ name }) => name === "bad handlers"))
    })
    assert.deepStrictEqual(least, { ...plan, faults: [plan.faults[1]!], turn: 2048 })
    assert.isAbove(asked.length, 3)
  })
})
