/**
 * The benchmark works: its broker, its programs and its rows. How fast anything is, no test says.
 */
import { startBroker } from "../../benchmark/broker.ts"
import { run } from "../../benchmark/peer.ts"
import { rowsOf, type Sample, summarize } from "../../benchmark/report.ts"
import { verify } from "../../benchmark/verify.ts"
import { assert, describe, it } from "../support/vitest.ts"

const size = 256

describe("the benchmark", () => {
  it("measures, verifies and reports", { timeout: 60_000 }, async () => {
    const broker = await startBroker({ size })
    const samples: Array<Sample> = []
    try {
      for (const name of ["send-batch", "complete-chunk", "renew-1", "renew-100"] as const) {
        for (const peer of ["ours", "azure"] as const) {
          const entity = `${name === "send-batch" ? "sink" : `src.${size}`}.${name}.${peer}`
          const { port, tcpPort } = broker
          const measured = await run({ peer, case: name, size, entity, port, tcpPort, warmUp: 100, measure: 200 })
          verify({ peer, case: name }, measured, broker.stats(entity))
          samples.push({ ...measured, peer, case: name, size, round: 0 })
        }
      }
    } finally {
      broker.close()
    }
    const rows = rowsOf(summarize(samples))
    assert.deepStrictEqual(rows.map((row) => [row.case, row.peer, row.size]), [
      ["send-batch", "ours", size],
      ["send-batch", "azure", size],
      ["complete-chunk", "ours", size],
      ["complete-chunk", "azure", size],
      ["renew-1", "ours", size],
      ["renew-1", "azure", size],
      ["renew-100", "ours", size],
      ["renew-100", "azure", size]
    ])
    for (const row of rows) {
      assert.hasAllKeys(row, ["case", "peer", "size", "cpuMicros", "wallMicros", "ratioToAzure"])
      assert.isAbove(row.cpuMicros, 0)
      assert.isAbove(row.wallMicros, 0)
      assert.isAbove(row.ratioToAzure!, 0)
    }
  })

  it("sends messages of several frames, none larger than all peers take", { timeout: 60_000 }, async () => {
    const large = 200_000
    const broker = await startBroker({ size: large })
    try {
      for (const peer of ["ours", "azure"] as const) {
        const entity = `src.${large}.large.${peer}`
        const { port, tcpPort } = broker
        const measured = await run({
          peer,
          case: "complete-chunk",
          size: large,
          entity,
          port,
          tcpPort,
          warmUp: 50,
          measure: 100
        })
        verify({ peer, case: "complete-chunk" }, measured, broker.stats(entity))
        assert.isAbove(measured.messages, 0)
      }
    } finally {
      broker.close()
    }
  })

  it("fails a run whose counts or contents differ", () => {
    const measured = { cpuMicros: 1, wallMicros: 1, rssMegabytes: 1, messages: 1, total: 10 }
    const stats = { accepted: 10, completed: 10, renewed: 10, checked: 1, wrong: 0 }
    const check = (name: "send-each" | "complete-each" | "renew-1", counts: typeof stats) => () =>
      verify({ peer: "ours", case: name }, measured, counts)
    assert.doesNotThrow(check("send-each", stats))
    assert.doesNotThrow(check("complete-each", stats))
    assert.throws(check("send-each", { ...stats, accepted: 9 }), /accepted 9 messages/)
    assert.throws(check("send-each", { ...stats, wrong: 1 }), /other content/)
    assert.throws(check("send-each", { ...stats, checked: 0 }), /other content/)
    assert.doesNotThrow(check("renew-1", stats))
    assert.throws(check("renew-1", { ...stats, renewed: 9 }), /saw 9 locks renewed/)
    assert.throws(check("complete-each", { ...stats, completed: 11 }), /saw 11 messages completed/)
  })
})
