/**
 * A binary min-heap of which any element can be removed or moved, not only the least.
 *
 * The heap reports the slot of each element through `moved`; to remove an element from the middle its owner
 * remembers that slot. The heap owns nothing but the order.
 */

/**
 * A min-heap ordered by `before`; `moved` is called with the slot of an element whenever it changes.
 *
 * @category models
 */
export class Heap<A> {
  private items: Array<A> = []
  private readonly before: (a: A, b: A) => boolean
  private readonly moved: (item: A, slot: number) => void

  constructor(before: (a: A, b: A) => boolean, moved: (item: A, slot: number) => void = () => {}) {
    this.before = before
    this.moved = moved
  }

  /** How many elements there are. */
  get size(): number {
    return this.items.length
  }

  /** The least element. */
  peek(): A | undefined {
    return this.items[0]
  }

  /** Adds an element: constant time where it is not less than what is there already. */
  push(item: A): void {
    this.items.push(item)
    this.up(this.items.length - 1, item)
  }

  /** Removes and returns the least element. */
  pop(): A | undefined {
    const least = this.items[0]
    if (least !== undefined) this.removeAt(0)
    return least
  }

  /** Removes the element in a slot. */
  removeAt(slot: number): void {
    const last = this.items.pop()
    if (last === undefined || slot === this.items.length) return
    this.items[slot] = last
    this.moveAt(slot)
  }

  /** Puts the element in a slot, whose key has changed, where it belongs. */
  moveAt(slot: number): void {
    const item = this.items[slot]!
    this.up(slot, item)
    if (this.items[slot] === item) this.down(slot, item)
  }

  /** Forgets every element. */
  clear(): void {
    this.items = []
  }

  private up(slot: number, item: A): void {
    const items = this.items
    while (slot > 0) {
      const parent = (slot - 1) >>> 1
      const above = items[parent]!
      if (!this.before(item, above)) break
      items[slot] = above
      this.moved(above, slot)
      slot = parent
    }
    items[slot] = item
    this.moved(item, slot)
  }

  private down(slot: number, item: A): void {
    const items = this.items
    const half = items.length >>> 1
    while (slot < half) {
      let child = 2 * slot + 1
      if (child + 1 < items.length && this.before(items[child + 1]!, items[child]!)) child += 1
      const below = items[child]!
      if (!this.before(below, item)) break
      items[slot] = below
      this.moved(below, slot)
      slot = child
    }
    items[slot] = item
    this.moved(item, slot)
  }
}
