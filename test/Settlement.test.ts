/** Settlements are plain values. */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import * as Settlement from "../src/Settlement.ts"
import { assert, describe, it } from "./support/vitest.ts"

const properties = { attempt: 2, reason: "slow" }

const all: ReadonlyArray<Settlement.Settlement> = [
  Settlement.complete,
  Settlement.abandon(),
  Settlement.defer(),
  Settlement.deadLetter(),
  Settlement.retryAfter("1 minute")
]

describe("Settlement", () => {
  it("complete is a value that cannot be changed", () => {
    assert.deepStrictEqual(Settlement.complete, { _tag: "Complete" })
    assert.isTrue(Object.isFrozen(Settlement.complete))
  })

  it("abandon and defer may change properties", () => {
    assert.deepStrictEqual(Settlement.abandon(), { _tag: "Abandon", properties: undefined })
    assert.deepStrictEqual(Settlement.abandon({}), { _tag: "Abandon", properties: undefined })
    assert.deepStrictEqual(Settlement.abandon({ properties }), { _tag: "Abandon", properties })
    assert.deepStrictEqual(Settlement.defer(), { _tag: "Defer", properties: undefined })
    assert.deepStrictEqual(Settlement.defer({ properties }), { _tag: "Defer", properties })
  })

  it("deadLetter may say why", () => {
    const none = { _tag: "DeadLetter", reason: undefined, description: undefined, properties: undefined } as const
    assert.deepStrictEqual(Settlement.deadLetter(), none)
    assert.deepStrictEqual(Settlement.deadLetter({ reason: "CardDeclined" }), { ...none, reason: "CardDeclined" })
    assert.deepStrictEqual(
      Settlement.deadLetter({ reason: "CardDeclined", description: "The bank said no.", properties }),
      { _tag: "DeadLetter", reason: "CardDeclined", description: "The bank said no.", properties }
    )
  })

  it.each([
    ["5 minutes", 300_000],
    [250, 250],
    [Duration.seconds(3), 3000],
    [{ hours: 1 }, 3_600_000],
    [0, 0]
  ] as ReadonlyArray<[Duration.Input, number]>)("retryAfter takes the duration %j", (delay, millis) => {
    const settlement = Settlement.retryAfter(delay)
    if (settlement._tag !== "RetryAfter") return assert.fail(settlement._tag)
    if (!Duration.isDuration(settlement.delay)) return assert.fail("it is no duration")
    assert.strictEqual(Duration.toMillis(settlement.delay), millis)
  })

  it("retryAfter takes a schedule as it is", () => {
    const schedule = Schedule.spaced("1 second")
    const settlement = Settlement.retryAfter(schedule)
    assert.isTrue(Settlement.isSettlement(settlement))
    assert.strictEqual(settlement._tag === "RetryAfter" && settlement.delay, schedule)
  })

  it("is data: two of the same content are equal", () => {
    assert.deepStrictEqual(Settlement.deadLetter({ reason: "a" }), Settlement.deadLetter({ reason: "a" }))
    assert.notDeepEqual(Settlement.deadLetter({ reason: "a" }), Settlement.deadLetter({ reason: "b" }))
    assert.strictEqual(new Set(all.map((settlement) => settlement._tag)).size, all.length)
  })

  it.each(all.map((settlement) => [settlement._tag, settlement] as const))(
    "isSettlement recognises %s",
    (_, settlement) => {
      assert.isTrue(Settlement.isSettlement(settlement))
    }
  )

  it.each([
    [undefined],
    [null],
    ["Complete"],
    [{}],
    [{ _tag: "complete" }],
    [{ _tag: 1 }],
    [{ _tag: "Some", value: 1 }],
    [{ _tag: "toString" }],
    [Settlement.abandon]
  ])("isSettlement does not recognise %s", (value) => {
    assert.isFalse(Settlement.isSettlement(value))
  })
})
