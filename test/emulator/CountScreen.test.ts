/** The counts of entities on a terminal: what is drawn, where it fits, and that it is drawn again. */
import { Effect, Fiber } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as CountScreen from "../../src/emulator/CountScreen.ts"
import { ask } from "../support/controlApi.ts"
import * as DataFile from "../support/dataFile.ts"
import { assert, describe, it } from "../support/vitest.ts"

const row = (path: string, counts: Partial<CountScreen.Row> = {}): CountScreen.Row => ({
  path,
  kind: "queue",
  active: 0,
  scheduled: 0,
  deadLetter: 0,
  transferDeadLetter: 0,
  enqueued: 0,
  completed: 0,
  receivedAndDeleted: 0,
  ...counts
})

const size = { columns: 64, rows: 24 }

/** What was written, with the character of escape as a word. */
const shown = (text: string | undefined): string => text?.replaceAll("\u001b", "ESC") ?? ""

describe("the counts on a terminal", () => {
  it("are a line for each entity, with what came and went since the look before", () => {
    const before = new Map([["orders", row("orders", { enqueued: 10, completed: 1, receivedAndDeleted: 5 })]])
    const rows = [
      row("orders", {
        active: 5,
        scheduled: 1,
        deadLetter: 2,
        transferDeadLetter: 1,
        enqueued: 14,
        completed: 3,
        receivedAndDeleted: 6
      }),
      row("news", { kind: "topic", enqueued: 7 })
    ]
    assert.deepStrictEqual(CountScreen.draw(rows, before, size), [
      "               messages scheduled      dead      in/s     out/s",
      "orders                5         1         3         4         3",
      "news                            0         0         0         0"
    ])
  })

  it("fit: long names are cut, and of many entities those are shown that hold most", () => {
    const rows = Array.from({ length: 30 }, (_, index) => row(`${"q".repeat(40)}${index}`, { active: index }))
    const lines = CountScreen.draw(rows, new Map(), { columns: 64, rows: 10 })
    assert.strictEqual(lines.length, 8)
    assert.match(lines[1]!, /^q+… +29 /)
    assert.strictEqual(lines.at(-1), "and 24 more, which hold less")
    for (const narrow of [1, 20, 40]) {
      for (const line of CountScreen.draw(rows, new Map(), { columns: narrow, rows: 10 })) {
        assert.isAtMost(line.length, narrow)
      }
    }
    assert.notMatch(CountScreen.draw([row("a\u001b[2Jb\u0007")], new Map(), size).join(""), /\p{Cc}/u)
  })

  it.effect("are drawn over what was drawn before, every second, until that is ended", () =>
    Effect.gen(function*() {
      const { idle } = yield* Emulator.Emulator
      // What answers is loaded with the first request.
      yield* ask("GET", "/clock")
      const written: Array<string> = []
      const fiber = yield* Effect.forkChild(
        CountScreen.watch({ write: (text) => written.push(text), size: () => size })
      )
      yield* idle
      yield* TestClock.adjust(0)
      assert.strictEqual(written.length, 1)
      assert.match(shown(written[0]), /^\rESC\[J +messages .*\norders +0 .*\n$/s)
      yield* ask("POST", "/messages?entity=orders", [{}, {}])
      yield* TestClock.adjust("1 second")
      assert.match(shown(written[1]), /^ESC\[2A\rESC\[J +messages .*\norders +2 +0 +0 +2 +0\n$/s)
      yield* TestClock.adjust("1 second")
      assert.match(written[2]!, /orders +2 +0 +0 +0 +0\n$/)
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(written.length, 3)
    }).pipe(Effect.provide(Emulator.layer({ entities: [Emulator.entity("orders")] }))))

  it.effect("stay where the broker tells nothing, with the reason, until it tells again", () =>
    Effect.gen(function*() {
      const data = yield* DataFile.file
      const written: Array<string> = []
      yield* Effect.gen(function*() {
        const { idle, send } = yield* Emulator.Emulator
        yield* ask("GET", "/clock")
        yield* Effect.forkScoped(CountScreen.watch({ write: (text) => written.push(text), size: () => size }))
        yield* idle
        yield* TestClock.adjust(0)
        assert.strictEqual(written.length, 1)
        yield* Effect.scoped(Effect.gen(function*() {
          yield* DataFile.full
          const { message } = yield* Effect.flip(send("orders", [{ body: new Uint8Array(1) }]))
          assert.include(message, "its data cannot be written")
          yield* TestClock.adjust("1 second")
          assert.match(
            shown(written[1]),
            /^ESC\[2A\rESC\[J +messages .*\norders +0 .*\nThe broker's data cannot be .*\n$/s
          )
          assert.isAtMost(written[1]!.split("\n").at(-2)!.length, 64)
        }))
        yield* TestClock.adjust("1 second")
        assert.match(shown(written[2]), /^ESC\[3A\rESC\[J +messages .*\norders +1 +0 +0 +0 +0\n$/s)
      }).pipe(
        Effect.scoped,
        Effect.provide(Emulator.layer({ data, entities: [Emulator.entity("orders")] }))
      )
    }))
})
