/**
 * What a queue with duplicate detection remembers: the ids of the messages that arrived within its window. It belongs to the
 * queue, and forgets in the order of arrival, at a constant cost for each message.
 */

/** An id and the number of the message that had it; until when it counts, in milliseconds. */
interface Seen {
  readonly id: string
  readonly sequence: number
  readonly until: number
}

/**
 * The ids that a queue has seen.
 *
 * @category models
 */
export class DuplicateHistory {
  private window: number
  private readonly known = new Map<string, number>()
  /** In the order of arrival, so that what is over is at `head`. An iterator of the map would pass over all deleted slots. */
  private seen: Array<Seen | undefined> = []
  private head = 0
  /** How many of them `take` has given. */
  private taken = 0

  /** The window is milliseconds. */
  constructor(window: number) {
    this.window = window
  }

  /** Another window, for the ids that come from now on. */
  setWindow(window: number): void {
    this.window = window
  }

  /** The number of the message that had this id within the window; where there is none, the id now stands for `sequence`. */
  findOrRemember(id: string, sequence: number, now: number): number | undefined {
    this.forget(now)
    const known = this.known.get(id)
    if (known === undefined) {
      this.known.set(id, sequence)
      this.seen.push({ id, sequence, until: now + this.window })
    }
    return known
  }

  /** What it knows, in the order of arrival. */
  list(now: number): ReadonlyArray<Seen> {
    this.forget(now)
    return this.seen.slice(this.head) as ReadonlyArray<Seen>
  }

  /** What it has come to know since this was asked last, or all that it knows. */
  take(all: boolean): ReadonlyArray<Seen> {
    const fresh = this.seen.slice(all ? this.head : Math.max(this.taken, this.head)) as ReadonlyArray<Seen>
    this.taken = this.seen.length
    return fresh
  }

  /** Has it know this, and nothing else. */
  restore(seen: ReadonlyArray<Seen>): void {
    this.taken = seen.length
    this.known.clear()
    this.seen = seen.toSorted((a, b) => a.until - b.until)
    this.head = 0
    for (const { id, sequence } of seen) this.known.set(id, sequence)
  }

  private forget(now: number): void {
    let oldest = this.seen[this.head]
    while (oldest !== undefined && oldest.until <= now) {
      this.known.delete(oldest.id)
      this.seen[this.head] = undefined
      this.head += 1
      oldest = this.seen[this.head]
    }
    if (this.head > 1024 && 2 * this.head > this.seen.length) {
      this.seen = this.seen.slice(this.head)
      this.taken = Math.max(0, this.taken - this.head)
      this.head = 0
    }
  }
}
