/**
 * The order of the messages that wait for a consumer: by their sequence numbers. Nothing is kept of a message that was removed,
 * from wherever in the order.
 */
import { SortedSet } from "./SortedSet.ts"

/**
 * What can be ordered. `waiting` is written by the order alone.
 *
 * @category models
 */
export interface Waiting {
  readonly sequence: number
  waiting: boolean
}

const sequenceOf = (item: Waiting): number => item.sequence

/**
 * Items ordered by sequence number; no operation costs more than the logarithm of their number.
 *
 * @category models
 */
export class MessageOrder<A extends Waiting> {
  private readonly items = new SortedSet<A, number>(sequenceOf)

  /** Adds an item at its place in the order. */
  add(item: A): void {
    item.waiting = true
    this.items.add(item)
  }

  /** The first item, without removing it. */
  peek(): A | undefined {
    return this.items.first()
  }

  /** Removes the first item. */
  take(): A | undefined {
    const item = this.items.shift()
    if (item !== undefined) item.waiting = false
    return item
  }

  /** Removes an item wherever it is in the order. */
  remove(item: A): void {
    if (!item.waiting) return
    item.waiting = false
    this.items.delete(item)
  }

  /** Passes the items on in their order until `visit` returns false. None may come or leave meanwhile. */
  forEach(visit: (item: A) => boolean): void {
    this.items.forEachFrom(undefined, visit)
  }
}
