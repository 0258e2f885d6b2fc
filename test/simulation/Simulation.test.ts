/** The simulation itself: the same seed is the same run, and some seeds hold. Thousands of them are run by `npm run simulate`. */
import { assert, describe, it } from "../support/vitest.ts"
import { Coverage, least } from "./coverage.ts"
import { minimise } from "./minimise.ts"
import { type Plan, planOf, run } from "./Simulation.ts"
import { workloads } from "./workloads/index.ts"

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
    "a connection that was not open when its client ended": {
      seed: 1246,
      workload: "sessions",
      faults: [{ name: "half-open", at: { frames: 9 }, parameters: {} }],
      turn: 2048
    },
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
    "a pause between tries, of what no caller waits for, when the client ended": {
      seed: 11748,
      workload: "receiving",
      faults: [{ name: "half-open", at: { frames: 97 }, parameters: {} }],
      turn: 2048
    },
    "a session that was lost while a request on its behalf waited for the management node": {
      seed: 700104,
      workload: "accepting",
      faults: [
        {
          name: "detach of management",
          at: { ms: 45826 },
          parameters: { condition: "com.microsoft:server-busy" }
        },
        { name: "latency", at: { frames: 166 }, parameters: { latency: 1516, jitter: 116, ms: 6890 } },
        { name: "silence", at: { ms: 27952 }, parameters: { direction: "up", ms: 48036 } },
        { name: "busy", at: { frames: 97 }, parameters: { ms: 3078 } },
        { name: "drop", at: { frames: 21 }, parameters: {} }
      ],
      turn: 2048,
      client: "key"
    },
    "a sender that was given no credit before its connection was closed": {
      seed: 740038,
      workload: "letters",
      faults: [
        { name: "starvation", at: { frames: 140 }, parameters: { of: "all", ms: 44040, every: 0 } },
        { name: "close", at: { ms: 41584 }, parameters: { condition: "amqp:link:detach-forced" } }
      ],
      turn: 2048,
      client: "key"
    },
    "a request of a session that waited for credit, and was made after the session was lost": {
      seed: 120023,
      workload: "accepting",
      faults: [{ name: "starvation", at: { frames: 45 }, parameters: { of: "all", ms: 32716, every: 0 } }],
      turn: 2048,
      client: "key"
    }
  }

  for (const [what, plan] of Object.entries(found)) {
    it(`what once failed holds: ${what}`, async () => {
      assert.deepStrictEqual((await run(plan)).violations, [])
    })
  }

  it("what hardly came in many seeds is told", () => {
    const coverage = new Coverage(["reset", "drop", "end"])
    for (let i = 0; i < least; i++) coverage.add("reset")
    for (let i = 1; i < least; i++) coverage.add("end")
    assert.deepStrictEqual(coverage.missing, ["drop 0", "end 19"])
    assert.strictEqual(String(coverage), "drop 0, end 19, reset 20")
    coverage.add("end")
    assert.deepStrictEqual(coverage.missing, ["drop 0"])
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
