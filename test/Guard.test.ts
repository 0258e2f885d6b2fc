import { assert, describe, it } from "@effect/vitest"
import { Guard, type Violation } from "../src/internal/amqp/Guard.ts"
import { begin, frame, frames, header, open, probes, real, saslHeader } from "./suites/probes.ts"

const guarded = (role: "client" | "server" = "server", maxFrameSize = 65536) => {
  const violations: Array<string> = []
  let reads = 0
  const guard = new Guard({
    role,
    maxFrameSize,
    onViolation: (violation: Violation) => violations.push(violation.message),
    onBytes: () => reads++
  })
  return { guard, violations, reads: () => reads }
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

describe("Guard", () => {
  it("passes on what holds, however it is cut", () => {
    for (const size of [1, 2, 3, 7, 8, 9, 50, 1000]) {
      const { guard, reads, violations } = guarded()
      const out: Array<Buffer> = []
      for (let at = 0; at < conversation.length; at += size) {
        const vetted = guard.push(conversation.subarray(at, at + size))
        if (vetted !== undefined) out.push(vetted)
      }
      assert.deepStrictEqual(violations, [], `cut by ${size}`)
      assert.isTrue(Buffer.concat(out).equals(conversation), `cut by ${size}`)
      assert.strictEqual(reads(), Math.ceil(conversation.length / size))
    }
  })

  it("passes on SASL and then AMQP", () => {
    const { guard, violations } = guarded("client")
    const mechanisms = frames.write_frame(
      frames.sasl_frame(frames.sasl_mechanisms({ sasl_server_mechanisms: ["ANONYMOUS"] }))
    )
    const whole = Buffer.concat([saslHeader, mechanisms, frame("005344c003015000", 0, 1), header, open])
    assert.isTrue(guard.push(whole)?.equals(whole))
    assert.deepStrictEqual(violations, [])
  })

  it("gives only whole frames: half a frame is kept back", () => {
    const { guard } = guarded()
    assert.isTrue(guard.push(Buffer.concat([header, open.subarray(0, 9)]))?.equals(header))
    assert.isUndefined(guard.push(open.subarray(9, 12)))
    assert.isTrue(guard.push(open.subarray(12))?.equals(open))
  })

  for (const [what, parts] of Object.entries(probes)) {
    it(`ends the connection at ${what}`, () => {
      const { guard, violations } = guarded()
      let passed = 0
      for (const part of parts) passed += guard.push(part)?.length ?? 0
      assert.lengthOf(violations, 1)
      assert.match(violations[0]!, /^[a-z].*[a-z0-9]$/i)
      // Nothing comes after it.
      assert.isUndefined(guard.push(header))
      assert.lengthOf(violations, 1)
      assert.isAtMost(passed, parts.reduce((sum, part) => sum + part.length, 0))
    })
  }

  it("lets a server begin nothing by itself on a client", () => {
    const { guard, violations } = guarded("client")
    guard.push(Buffer.concat([header, open, begin(0)]))
    assert.deepStrictEqual(violations, ["the peer began a session by itself"])
    const other = guarded("client")
    other.guard.push(Buffer.concat([header, open, begin(0, { remote_channel: 0 })]))
    assert.deepStrictEqual(other.violations, [])
  })

  it("keeps no more than one frame of what is not whole", () => {
    const { guard, violations } = guarded("server", 1024)
    guard.push(header)
    guard.push(Buffer.from("0000040002000000", "hex"))
    for (let i = 0; i < 10; i++) guard.push(Buffer.alloc(100))
    assert.deepStrictEqual(violations, [])
    guard.push(Buffer.alloc(100))
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
      const { guard, violations } = guarded()
      guard.push(mutated)
      violated += violations.length
    }
    assert.isAbove(violated, 5_000)
  })
})
