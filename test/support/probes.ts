/**
 * Bytes that no peer may send, and that make the engine hang, crash, run out of memory or go on with wrong data where
 * nothing stands before it. Each is a stream from the header on.
 */
import { createRequire } from "node:module"

const require = createRequire(import.meta.url)
export const frames = createRequire(require.resolve("rhea-promise"))("rhea/lib/frames.js")

export const header = Buffer.from("414d515000010000", "hex")
export const saslHeader = Buffer.from("414d515003010000", "hex")

export const frame = (performative: string, channel = 0, type = 0, doff = 2): Buffer => {
  const body = Buffer.from(performative, "hex")
  const bytes = Buffer.alloc(8 + body.length)
  bytes.writeUInt32BE(bytes.length, 0)
  bytes[4] = doff
  bytes[5] = type
  bytes.writeUInt16BE(channel, 6)
  body.copy(bytes, 8)
  return bytes
}

export const real = (performative: unknown, channel = 0): Buffer =>
  frames.write_frame(frames.amqp_frame(channel, performative))

export const open = real(
  frames.open({ container_id: "peer", max_frame_size: 65536, idle_time_out: 1000, properties: { a: "b" } })
)
export const begin = (channel = 0, fields: object = {}) =>
  real(frames.begin({ next_outgoing_id: 0, incoming_window: 10, outgoing_window: 10, ...fields }), channel)

const list = (fields: string, count: number) =>
  `d0${(fields.length / 2 + 4).toString(16).padStart(8, "0")}${count.toString(16).padStart(8, "0")}${fields}`
export const probes: Record<string, ReadonlyArray<Buffer>> = {
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
  "a session on a channel above the agreed maximum": [header, open, begin(5000)],
  "SASL twice": [saslHeader, saslHeader],
  "a transfer outside of a session": [header, open, frame("005314c0080643700000000040", 7)],
  "an attach without a name": [header, open, begin(1), frame("005312" + list("404342", 3), 1)],
  "an end of no session": [header, open, real(frames.end({}), 4)],
  "6,000 sessions": [header, open, ...Array.from({ length: 6000 }, (_, i) => begin(i))],
  "SASL: a frame above 512 bytes": [saslHeader, Buffer.from("0000020102010000", "hex")],
  "SASL: an AMQP frame": [saslHeader, frame("005310" + list("a10161", 1))]
}
