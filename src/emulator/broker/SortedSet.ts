/**
 * A set of items in the order of their keys, of which any can be found, added and removed for the logarithm of their
 * number, and of which nothing is kept once it is removed.
 *
 * Items are kept in pages, as in the leaves of a B-tree. What comes at the end and what leaves at the front, as in a queue,
 * costs a push and a shift.
 */

/** The most items of a page. */
const full = 256

/** Items of which the first has left some slots free: the slots before `head` are empty, and none after. */
interface Page<A> {
  items: Array<A | undefined>
  head: number
}

/**
 * Items of distinct keys, which do not change while they are in here.
 *
 * @category models
 */
export class SortedSet<A, K extends number | string> {
  private readonly keyOf: (item: A) => K
  /** None of them is empty. */
  private readonly pages: Array<Page<A>> = []
  private count = 0

  constructor(keyOf: (item: A) => K) {
    this.keyOf = keyOf
  }

  /** How many items there are. */
  get size(): number {
    return this.count
  }

  /** Removes all items. */
  clear(): void {
    this.pages.length = 0
    this.count = 0
  }

  /** The item of the least key. */
  first(): A | undefined {
    const page = this.pages[0]
    return page === undefined ? undefined : page.items[page.head]
  }

  /** The item of a key. */
  get(key: K): A | undefined {
    const page = this.pages[this.pageOf(key)]
    if (page === undefined) return undefined
    const item = page.items[this.slotIn(page, key)]
    return item !== undefined && this.keyOf(item) === key ? item : undefined
  }

  /** Adds an item whose key is not there yet. */
  add(item: A): void {
    const { keyOf, pages } = this
    const key = keyOf(item)
    this.count += 1
    const last = pages[pages.length - 1]
    if (last === undefined) {
      pages.push({ items: [item], head: 0 })
    } else if (keyOf(lastOf(last)) < key) {
      if (last.items.length < full) last.items.push(item)
      else pages.push({ items: [item], head: 0 })
    } else {
      this.insert(item, key)
    }
  }

  private insert(item: A, key: K): void {
    const { pages } = this
    const at = this.pageOf(key)
    const page = pages[at]!
    const { head, items } = page
    const slot = this.slotIn(page, key)
    if (head > 0) {
      // Those before it move into the free slot.
      for (let i = head; i < slot; i++) items[i - 1] = items[i]
      items[slot - 1] = item
      page.head -= 1
    } else if (items.length < full) {
      items.splice(slot, 0, item)
    } else {
      items.splice(slot, 0, item)
      pages.splice(at, 1, { items: items.slice(0, full / 2), head: 0 }, { items: items.slice(full / 2), head: 0 })
    }
  }

  /** Removes an item, if it is there. */
  delete(item: A): boolean {
    if (this.first() === item) {
      this.shift()
      return true
    }
    const key = this.keyOf(item)
    const at = this.pageOf(key)
    const page = this.pages[at]
    if (page === undefined) return false
    const slot = this.slotIn(page, key)
    const { head, items } = page
    if (items[slot] !== item) return false
    this.count -= 1
    if (slot - head < items.length - slot) {
      for (let i = slot; i > head; i--) items[i] = items[i - 1]
      items[head] = undefined
      page.head += 1
    } else {
      items.splice(slot, 1)
    }
    if (items.length - page.head < full / 4) this.join(at)
    return true
  }

  /** Removes and returns the item of the least key. */
  shift(): A | undefined {
    const page = this.pages[0]
    if (page === undefined) return undefined
    this.count -= 1
    const { head, items } = page
    const item = items[head]
    items[head] = undefined
    page.head = head + 1
    if (page.head === items.length) this.pages.shift()
    return item
  }

  /**
   * Hands out the items from a key on, in their order, until `visit` returns false. Nothing may be added or removed
   * meanwhile.
   */
  forEachFrom(key: K | undefined, visit: (item: A) => boolean): void {
    const { pages } = this
    let at = key === undefined ? 0 : this.pageOf(key)
    let slot = key === undefined || at === pages.length ? 0 : this.slotIn(pages[at]!, key)
    for (; at < pages.length; at++, slot = 0) {
      const { head, items } = pages[at]!
      for (let i = Math.max(slot, head); i < items.length; i++) if (!visit(items[i]!)) return
    }
  }

  /** Hands out the items before a key, or all, from the last one to the first, until `visit` returns false; as the one above. */
  forEachBefore(key: K | undefined, visit: (item: A) => boolean): void {
    const { pages } = this
    const at = key === undefined ? pages.length : this.pageOf(key)
    if (at < pages.length) {
      const { head, items } = pages[at]!
      for (let i = this.slotIn(pages[at]!, key!) - 1; i >= head; i--) if (!visit(items[i]!)) return
    }
    for (let before = at - 1; before >= 0; before--) {
      const { head, items } = pages[before]!
      for (let i = items.length - 1; i >= head; i--) if (!visit(items[i]!)) return
    }
  }

  /** Which page holds a key, or would: the first whose last key is not less. Their number where there is none. */
  private pageOf(key: K): number {
    const { keyOf, pages } = this
    let low = 0
    let high = pages.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (keyOf(lastOf(pages[middle]!)) < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The slot in a page of a key, or where it would be inserted. */
  private slotIn({ head, items }: Page<A>, key: K): number {
    const { keyOf } = this
    let low = head
    let high = items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (keyOf(items[middle]!) < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Pages that hold little are joined, so that their number, and the memory that they take, keeps to that of the items. */
  private join(at: number): void {
    const { pages } = this
    const size = sizeOf(pages[at]!)
    if (size === 0) {
      pages.splice(at, 1)
      return
    }
    for (const left of [at, at - 1]) {
      const one = pages[left]
      const other = pages[left + 1]
      if (one !== undefined && other !== undefined && sizeOf(one) + sizeOf(other) <= full / 2) {
        const items = one.items.slice(one.head).concat(other.items.slice(other.head))
        pages.splice(left, 2, { items, head: 0 })
        return
      }
    }
  }
}

const lastOf = <A>({ items }: Page<A>): A => items[items.length - 1]!

const sizeOf = <A>({ head, items }: Page<A>): number => items.length - head
