import { assert, describe, it } from "@effect/vitest"
import { createRequire } from "node:module"
import { Guard, type Violation } from "../src/internal/amqp/Guard.ts"

const require = createRequire(import.meta.url)
const frames = createRequire(require.resolve("rhea-promise"))("rhea/lib/frames.js")

const header = Buffer.from("414d515000010000", "hex")
const saslHeader = Buffer.from("414d515003010000", "hex")

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

const frame = (performative: string, channel = 0, type = 0, doff = 2): Buffer => {
  const body = Buffer.from(performative, "hex")
  const bytes = Buffer.alloc(8 + body.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes[4] = doff
  bytes[5] = type
  bytes.writeUInt16BE(channel, 6)
  body.copy(bytes, 8)
  return bytes
}

const real = (performative: unknown, channel = 0): Buffer =>
  frames.write_frame(frames.amqp_frame(channel, performative))

const open = real(
  frames.open({ container_id: "peer", max_frame_size: 65536, idle_time_out: 1000, properties: { a: "b" } })
)
const begin = (channel = 0, fields: object = {}) =>
  real(frames.begin({ next_outgoing_id: 0, incoming_window: 10, outgoing_window: 10, ...fields }), channel)

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

  // The probes that make the engine hang, crash, run out of memory or go on with wrong data.
  const list = (fields: string, count: number) =>
    `d0${(fields.length / 2 + 4).toString(16).padStart(8, "0")}${count.toString(16).padStart(8, "0")}${fields}`
  const probes: Record<string, ReadonlyArray<Buffer>> = {
    "an HTTP answer instead of a header": [Buffer.from("HTTP/1.1 400 Bad Request\r\n")],
    "ASCII in place of frames": [header, Buffer.from("hello, is anybody there?")],
    "AMQP 0-9-1": [Buffer.from("414d515000000901", "hex")],
    "a frame of size 0": [header, Buffer.from("0000000002000000", "hex")],
    "a frame of size 7": [header, Buffer.from("0000000702000000", "hex")],
    "a frame of 4 GB": [header, Buffer.from("ffffffff02000000", "hex")],
    "a frame beyond what was agreed": [header, Buffer.from("0001000102000000", "hex")],
    "doff 0": [header, frame("005310c0", 0, 0, 0)],
    "doff beyond the frame": [header, frame("005310c0", 0, 0, 255)],
    "frame type 2": [header, frame("005310c0", 0, 2)],
    "a SASL frame after the AMQP header": [header, frame("005344c003015000", 0, 1)],
    "an unknown performative": [header, frame("005399" + list("", 0))],
    "a performative that is not described": [header, frame("45")],
    "a performative named constructor": [header, frame("00a30b" + Buffer.from("constructor").toString("hex") + "45")],
    "a performative named __proto__": [header, frame("00a309" + Buffer.from("__proto__").toString("hex") + "45")],
    "an unknown constructor": [header, frame("005310" + list("3f", 1))],
    "a list of 2^32-1 items": [header, frame("005310d000000004ffffffff")],
    "an array of 2^32-1 nulls": [header, frame("005310" + list("f000000005ffffffff40", 1))],
    "an array of 20 million nulls": [header, frame("005310" + list("f00000000501312d0040", 1))],
    "a string of 2^32-1 bytes": [header, frame("005310" + list("b1ffffffff", 1))],
    "a map with an odd count": [header, frame("005310" + list("a10161" + "40".repeat(8) + "c1020140", 10))],
    "a container id that is a number": [header, frame("005310" + list("5201", 1))],
    "an open without a container id": [header, frame("005310" + list("40", 1))],
    "2,000 nested lists": [header, frame("005310" + "c0ff01".repeat(2000))],
    "10,000 nested descriptors": [header, frame("00".repeat(10000))],
    "bytes after a performative": [header, Buffer.concat([frame(open.subarray(8).toString("hex") + "00")])],
    "max-frame-size 20": [header, real(frames.open({ container_id: "x", max_frame_size: 20 }))],
    "a begin before the open": [header, begin()],
    "a second open": [header, open, open],
    "a second begin on a channel": [header, open, begin(1), begin(1)],
    "a flow on an unknown channel": [
      header,
      open,
      real(frames.flow({ incoming_window: 1, next_outgoing_id: 0, outgoing_window: 1 }), 9)
    ],
    "an incomplete flow": [header, open, begin(1), frame("005313" + list("43", 1), 1)],
    "a link's flow without credit": [
      header,
      open,
      begin(1),
      real(frames.flow({ incoming_window: 1, next_outgoing_id: 0, outgoing_window: 1, handle: 0 }), 1)
    ],
    "a transfer outside of a session": [header, open, frame("005314c0080643700000000040", 7)],
    "an attach without a name": [header, open, begin(1), frame("005312" + list("404342", 3), 1)],
    "an end of no session": [header, open, real(frames.end({}), 4)],
    "6,000 sessions": [header, open, ...Array.from({ length: 6000 }, (_, i) => begin(i))],
    "SASL: a frame above 512 bytes": [saslHeader, Buffer.from("0000020102010000", "hex")],
    "SASL: an AMQP frame": [saslHeader, frame("005310" + list("a10161", 1))]
  }
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
