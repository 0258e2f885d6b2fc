/** The order of a queue keeps nothing of the messages that left it. */
import { MessageOrder } from "../../../src/emulator/broker/MessageOrder.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const pagesOf = (items: unknown) =>
  (items as { readonly pages: ReadonlyArray<{ readonly items: ReadonlyArray<unknown> }> }).pages

describe("MessageOrder", { timeout: 60_000 }, () => {
  it("keeps nothing of what is gone", () => {
    const order = new MessageOrder<{ readonly sequence: number; waiting: boolean }>()
    const all = Array.from({ length: 10_000 }, (_, i) => ({ sequence: i, waiting: false }))
    for (const item of all) order.add(item)
    const random = generator(11)
    for (const item of all) if (random(50) !== 0) order.remove(item)
    for (let i = 0; i < 20; i++) order.take()
    const kept = pagesOf((order as unknown as { items: unknown }).items).flatMap(({ items }) => items)
    assert.deepStrictEqual(
      kept.filter((item) => item !== undefined),
      all.filter(({ waiting }) => waiting)
    )
    // Neither does an empty place.
    assert.isBelow(kept.length, 1000)
  })
})
