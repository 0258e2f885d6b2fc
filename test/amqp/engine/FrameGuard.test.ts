/** What a peer may send passes whole, wherever it is cut, and what it may not never reaches the engine. */
import { FrameGuard, type Violation } from "../../../src/internal/amqp/engine/FrameGuard.ts"
import { begin, frame, frames, header, open, probes, real, saslHeader } from "../../support/probes.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const guarded = (role: "client" | "server" = "server", maxFrameSize = 65536) => {
  const violations: Array<string> = []
  let reads = 0
  const guard = new FrameGuard({
    role,
    maxFrameSize,
    onViolation: (violation: Violation) => violations.push(violation.message),
    onBytes: () => reads++
  })
  /** What of a read is passed on, in its pieces. */
  const push = (bytes: Buffer): ReadonlyArray<Buffer> => {
    const passed: Array<Buffer> = []
    guard.push(bytes, (vetted) => passed.push(vetted))
    return passed
  }
  return { push, violations, reads: () => reads }
}

/** What a peer may send, as one stream. */
const conversation = Buffer.concat([
  header,
  open,
  begin(3),
  real(frames.attach({ name: "l", handle: 0, role: false, source: undefined, initial_delivery_count: 0 }), 3),
  real(frames.flow({ next_incoming_id: 0, incoming_window: 5, next_outgoing_id: 0, outgoing_window: 5 }), 3),
  frame(""),
  // A transfer with a payload of its own, which only the data plane reads.
  frame("005314c0080643700000000040ffffffffff", 3),
  real(frames.detach({ handle: 0, closed: true, error: { condition: "a:b", description: "c" } }), 3),
  real(frames.end({}), 3),
  real(frames.close({}))
])

describe("FrameGuard", () => {
  it("passes on what holds, however it is cut", () => {
    for (const size of [1, 2, 3, 7, 8, 9, 50, 1000]) {
      const { push, reads, violations } = guarded()
      const out: Array<Buffer> = []
      for (let at = 0; at < conversation.length; at += size) out.push(...push(conversation.subarray(at, at + size)))
      assert.deepStrictEqual(violations, [], `cut by ${size}`)
      assert.isTrue(Buffer.concat(out).equals(conversation), `cut by ${size}`)
      assert.strictEqual(reads(), Math.ceil(conversation.length / size))
    }
  })

  it("passes on SASL and then AMQP, in a piece of its own, however it is cut", () => {
    const mechanisms = frames.write_frame(
      frames.sasl_frame(frames.sasl_mechanisms({ sasl_server_mechanisms: ["ANONYMOUS"] }))
    )
    const whole = Buffer.concat([saslHeader, mechanisms, frame("005344c003015000", 0, 1), header, open])
    const amqp = whole.length - header.length - open.length
    for (let size = 1; size <= whole.length; size++) {
      const { push, violations } = guarded("client")
      const out: Array<Buffer> = []
      for (let at = 0; at < whole.length; at += size) out.push(...push(whole.subarray(at, at + size)))
      assert.isTrue(Buffer.concat(out).equals(whole), `cut by ${size}`)
      const starts = out.map((_, i) => out.slice(0, i).reduce((sum, { length }) => sum + length, 0))
      assert.include(starts, amqp, `cut by ${size}`)
      assert.deepStrictEqual(violations, [])
    }
  })

  it("passes on what came before a violation, and tells of it then", () => {
    const order: Array<string> = []
    const guard = new FrameGuard({ role: "server", maxFrameSize: 65536, onViolation: () => order.push("violation") })
    guard.push(Buffer.concat([header, open, begin(0), begin(0)]), (vetted) => order.push(`${vetted.length} bytes`))
    assert.deepStrictEqual(order, [`${header.length + open.length + begin(0).length} bytes`, "violation"])
  })

  it("gives only whole frames: half a frame is kept back", () => {
    const { push } = guarded()
    assert.deepStrictEqual(push(Buffer.concat([header, open.subarray(0, 9)])), [header])
    assert.deepStrictEqual(push(open.subarray(9, 12)), [])
    assert.deepStrictEqual(push(open.subarray(12)), [open])
  })

  for (const [what, parts] of Object.entries(probes)) {
    it(`ends the connection at ${what}`, () => {
      const { push, violations } = guarded()
      let passed = 0
      for (const part of parts) for (const { length } of push(part)) passed += length
      assert.lengthOf(violations, 1)
      assert.match(violations[0]!, /^[a-z].*[a-z0-9]$/i)
      // Nothing comes after it.
      assert.deepStrictEqual(push(header), [])
      assert.lengthOf(violations, 1)
      assert.isAtMost(passed, parts.reduce((sum, part) => sum + part.length, 0))
    })
  }

  it("lets a server begin nothing by itself on a client", () => {
    const { push, violations } = guarded("client")
    push(Buffer.concat([header, open, begin(0)]))
    assert.deepStrictEqual(violations, ["the peer began a session by itself"])
    const other = guarded("client")
    other.push(Buffer.concat([header, open, begin(0, { remote_channel: 0 })]))
    assert.deepStrictEqual(other.violations, [])
  })

  it("keeps no more than one frame of what is not whole", () => {
    const { push, violations } = guarded("server", 1024)
    push(header)
    push(Buffer.from("0000040002000000", "hex"))
    for (let i = 0; i < 10; i++) push(Buffer.alloc(100))
    assert.deepStrictEqual(violations, [])
    push(Buffer.alloc(100))
    assert.lengthOf(violations, 1, "the frame was whole, and no AMQP")
  })

  it("never throws on mutated conversations", () => {
    let seed = 7
    const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 4294967296
    let violated = 0
    for (let i = 0; i < 20_000; i++) {
      const mutated = Buffer.from(conversation)
      for (let k = 0; k < 1 + random() * 4; k++) {
        mutated[Math.floor(random() * mutated.length)] = Math.floor(random() * 256)
      }
      const { push, violations } = guarded()
      push(mutated)
      violated += violations.length
    }
    assert.isAbove(violated, 5_000)
  })
})
