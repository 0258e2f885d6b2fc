/**
 * Numbers of channels and handles: one that was given back is taken again before a new one, so that they stay below the most
 * that were in use at a time, and taking one costs the same however many there are. (rhea tries every number from 0 on.)
 *
 * A file of its own because a connection numbers its channels with it and a session its handles.
 */
export class FreeNumbers {
  private readonly back: Array<number> = []
  /** The first that was never taken. */
  private next = 0

  take(): number {
    return this.back.pop() ?? this.next++
  }

  giveBack(number: number): void {
    this.back.push(number)
  }
}
