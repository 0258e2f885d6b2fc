/** A connection that ends once so many frames or bytes have passed: exactly so many. */
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import { FaultyWire, type Limit } from "../../../src/emulator/network/FaultyWire.ts"
import { NetworkTimers } from "../../../src/emulator/network/Wire.ts"
import { SeededRandom } from "../../../src/emulator/SeededRandom.ts"
import type { Socket } from "../../../src/internal/amqp/transport/Socket.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const header = Buffer.from("AMQP\x00\x01\x00\x00", "latin1")

/** A frame of a size, all of one byte after its head. */
const frame = (size: number, byte: number) => {
  const bytes = Buffer.alloc(size, byte)
  bytes.writeUInt32BE(size)
  return bytes
}

/** Both ends of a connection with a limit: what is written to it, and what has come out. */
const wired = (limit: Limit) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const written: Array<Uint8Array> = []
    const given: Array<Buffer> = []
    const happened: Array<string> = []
    let onData = (_bytes: Buffer): void => {}
    const inner = {
      on: (event: string, listener: (bytes: Buffer) => void) => {
        if (event === "data") onData = listener
      },
      write: (bytes: Uint8Array) => written.push(bytes),
      destroy: () => happened.push("destroyed")
    } as unknown as Socket
    const timers = new NetworkTimers(Effect.runFork)
    const wire = new FaultyWire(
      {
        clock,
        random: new SeededRandom(1),
        weather: { latency: 0, jitter: 0, chunk: Infinity },
        after: (millis, run) => timers.after(millis, run),
        pace: () => 0
      },
      inner,
      limit,
      () => happened.push("over")
    )
    const socket = wire.socket()
    socket.on("data", (bytes) => given.push(bytes))
    socket.on("error", (error) => happened.push(error.message))
    socket.on("close", () => happened.push("close"))
    return {
      up: (bytes: Buffer) => void socket.write(bytes),
      down: (bytes: Buffer) => onData(bytes),
      written: () => Buffer.concat(written),
      given: () => Buffer.concat(given),
      happened
    }
  })

const reset = ["over", "destroyed", "read ECONNRESET", "close"]

describe("a connection that ends", () => {
  for (const size of [1, 3, 8, 1000]) {
    it.effect(`after so many frames, in pieces of ${size}: headers are none`, () =>
      Effect.gen(function*() {
        const wire = yield* wired({ unit: "frames", count: 3, end: "reset" })
        const pieces = (bytes: Buffer) =>
          Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
        for (const each of pieces(Buffer.concat([header, frame(8, 1)]))) wire.up(each)
        for (const each of pieces(Buffer.concat([header, frame(20, 2)]))) wire.down(each)
        assert.deepStrictEqual(wire.happened, [])
        const more = Buffer.concat([frame(30, 3), frame(40, 4), frame(50, 5)])
        for (const each of pieces(more)) wire.up(each)
        assert.deepStrictEqual(wire.written(), Buffer.concat([header, frame(8, 1), frame(30, 3)]))
        assert.deepStrictEqual(wire.given(), Buffer.concat([header, frame(20, 2)]))
        assert.deepStrictEqual(wire.happened, reset)
        wire.down(frame(10, 6))
        assert.strictEqual(wire.given().length, 28)
      }))
  }

  it.effect("after so many bytes, of both directions together", () =>
    Effect.gen(function*() {
      const wire = yield* wired({ unit: "bytes", count: 25, end: "reset" })
      wire.up(Buffer.alloc(10))
      wire.down(Buffer.alloc(10))
      assert.deepStrictEqual(wire.happened, [])
      wire.up(Buffer.alloc(10))
      assert.deepStrictEqual([wire.written().length, wire.given().length], [15, 10])
      assert.deepStrictEqual(wire.happened, reset)
    }))

  it.effect("half-open, is not told", () =>
    Effect.gen(function*() {
      const wire = yield* wired({ unit: "bytes", count: 5, end: "halfOpen" })
      wire.up(Buffer.alloc(10))
      wire.up(Buffer.alloc(10))
      wire.down(Buffer.alloc(10))
      assert.deepStrictEqual([wire.written().length, wire.given().length], [5, 0])
      assert.deepStrictEqual(wire.happened, ["destroyed"])
    }))
})

describe("the timers of a network", () => {
  it.effect("run nothing once it has ended, what is asked for later neither", () =>
    Effect.gen(function*() {
      const happened: Array<string> = []
      const timers = new NetworkTimers(Effect.runForkWith(yield* Effect.context<never>()))
      timers.after(5, () => happened.push("in time"))
      timers.after(50, () => happened.push("too late"))
      yield* TestClock.adjust(10)
      yield* timers.end
      timers.after(5, () => happened.push("after the end"))
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(happened, ["in time"])
    }))
})
