/**
 * The messages of a queue that wait for a consumer, in the order of their sequence numbers.
 *
 * New messages stand in a deque; a message that comes back to a place before its end stands in a heap, and the smaller
 * head of the two is next. A message that leaves from the middle (it expired) stays as a stale entry until it is met or
 * until the stale ones outnumber the others.
 */
import { Heap } from "./Heap.ts"

/**
 * What can stand in a line. `waiting` belongs to the line.
 *
 * @category models
 */
export interface Waiting {
  readonly sequence: number
  waiting: boolean
}

/**
 * A line ordered by sequence number; no operation costs more than the logarithm of its length, amortized.
 *
 * @category models
 */
export class Line<A extends Waiting> {
  private fresh: Array<A | undefined> = []
  private head = 0
  private readonly returned = new Heap<A>((a, b) => a.sequence < b.sequence)
  private stale = 0

  /** Puts an item in its place. */
  add(item: A): void {
    item.waiting = true
    const last = this.fresh.length > this.head ? this.fresh[this.fresh.length - 1] : undefined
    if (last === undefined || last.sequence < item.sequence) this.fresh.push(item)
    else this.returned.push(item)
  }

  /** The first item, without removing it. */
  peek(): A | undefined {
    const fresh = this.firstFresh()
    const returned = this.firstReturned()
    if (fresh === undefined) return returned
    return returned === undefined || fresh.sequence < returned.sequence ? fresh : returned
  }

  /** Removes the first item. */
  take(): A | undefined {
    const item = this.peek()
    if (item === undefined) return undefined
    item.waiting = false
    if (item === this.fresh[this.head]) this.skipFresh()
    else this.returned.pop()
    return item
  }

  /** Removes an item wherever it stands; it must not be added to this line again. */
  leave(item: A): void {
    if (!item.waiting) return
    item.waiting = false
    this.stale += 1
    if (this.stale > 64 && 2 * this.stale > this.fresh.length - this.head + this.returned.size) this.compact()
  }

  private firstFresh(): A | undefined {
    while (this.head < this.fresh.length) {
      const item = this.fresh[this.head]!
      if (item.waiting) return item
      this.stale -= 1
      this.skipFresh()
    }
    return undefined
  }

  private firstReturned(): A | undefined {
    let item = this.returned.peek()
    while (item !== undefined && !item.waiting) {
      this.stale -= 1
      this.returned.pop()
      item = this.returned.peek()
    }
    return item
  }

  private skipFresh(): void {
    this.fresh[this.head] = undefined
    this.head += 1
    if (this.head > 1024 && 2 * this.head > this.fresh.length) {
      this.fresh = this.fresh.slice(this.head)
      this.head = 0
    }
  }

  private compact(): void {
    this.fresh = this.fresh.filter((item) => item?.waiting === true)
    this.head = 0
    this.returned.filter((item) => item.waiting)
    this.stale = 0
  }
}
