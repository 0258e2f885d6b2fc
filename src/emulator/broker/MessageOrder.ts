/**
 * The messages of a queue that wait for a consumer, in the order of their sequence numbers. Nothing is kept of a message
 * that has left, from wherever it left.
 */
import { Sorted } from "./SortedSet.ts"

/**
 * What can stand in a line. `waiting` belongs to the line.
 *
 * @category models
 */
export interface Waiting {
  readonly sequence: number
  waiting: boolean
}

const sequenceOf = (item: Waiting): number => item.sequence

/**
 * A line ordered by sequence number; no operation costs more than the logarithm of its length.
 *
 * @category models
 */
export class Line<A extends Waiting> {
  private readonly items = new Sorted<A, number>(sequenceOf)

  /** Puts an item in its place. */
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

  /** Removes an item wherever it stands. */
  leave(item: A): void {
    if (!item.waiting) return
    item.waiting = false
    this.items.delete(item)
  }

  /** Hands out the items in their order until `visit` returns false. None may come or leave meanwhile. */
  forEach(visit: (item: A) => boolean): void {
    this.items.forEachFrom(undefined, visit)
  }
}
