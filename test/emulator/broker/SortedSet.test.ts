/** A sorted set against an array that is sorted, and what it keeps. */
import { SortedSet } from "../../../src/emulator/broker/SortedSet.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const pagesOf = (items: unknown) =>
  (items as { readonly pages: ReadonlyArray<{ readonly items: ReadonlyArray<unknown> }> }).pages

describe("SortedSet", { timeout: 60_000 }, () => {
  it("agrees with a sorted array, whatever comes and goes", () => {
    const random = generator(7)
    for (const longest of [10, 2000]) {
      const items = new SortedSet<{ readonly key: number }, number>(({ key }) => key)
      const model: Array<{ readonly key: number }> = []
      const gone: typeof model = []
      let last = 0
      const place = (key: number) => {
        const at = model.findIndex((item) => item.key >= key)
        return at === -1 ? model.length : at
      }
      for (let i = 0; i < 30_000; i++) {
        // It grows and shrinks in turn.
        const isGrowing = model.length < longest && Math.floor(i / (2 * longest)) % 2 === 0
        const choice = random(10)
        if (choice < (isGrowing ? 5 : 2)) {
          const item = { key: last += 1 + random(3) }
          items.add(item)
          model.push(item)
        } else if (choice < (isGrowing ? 7 : 3) && gone.length > 0) {
          const [item] = gone.splice(random(gone.length), 1)
          items.add(item!)
          model.splice(place(item!.key), 0, item!)
        } else if (choice < 8) {
          const item = items.shift()
          assert.strictEqual(item, model.shift())
          if (item !== undefined) gone.push(item)
        } else if (model.length > 0) {
          const [item] = model.splice(random(model.length), 1)
          assert.isTrue(items.delete(item!))
          assert.isFalse(items.delete(item!))
          gone.push(item!)
        }
        assert.strictEqual(items.size, model.length)
        assert.strictEqual(items.first(), model[0])
        if (i % 50 !== 0) continue
        const from = random(last + 2)
        const expected = model.slice(place(from), place(from) + 300)
        assert.strictEqual(items.get(from), expected[0]?.key === from ? expected[0] : undefined)
        const found: typeof model = []
        items.forEachFrom(from, (item) => found.length < 300 && found.push(item) > 0)
        assert.deepStrictEqual(found, expected)
        const before: typeof model = []
        items.forEachBefore(from, (item) => before.length < 300 && before.push(item) > 0)
        assert.deepStrictEqual(before, model.slice(Math.max(0, place(from) - 300), place(from)).toReversed())
        const all: typeof model = []
        items.forEachBefore(undefined, (item) => all.push(item) > 0)
        assert.deepStrictEqual(all, model.toReversed())
      }
      assert.isBelow(pagesOf(items).length, 2 + items.size / 32)
    }
  })
})
