/**
 * What a queue with duplicate detection remembers: the ids of the messages that came within its window.
 */
export class History {
  private readonly window: number
  /** In the order of their coming, so that what is over is at the front. */
  private readonly seen = new Map<string, { readonly sequence: number; readonly until: number }>()

  /** The window is milliseconds. */
  constructor(window: number) {
    this.window = window
  }

  /** The number of the message that had this id within the window; where there is none, the id now stands for `sequence`. */
  recall(id: string, sequence: number, now: number): number | undefined {
    for (const [old, { until }] of this.seen) {
      if (until > now) break
      this.seen.delete(old)
    }
    const known = this.seen.get(id)
    if (known === undefined) this.seen.set(id, { sequence, until: now + this.window })
    return known?.sequence
  }
}
