/**
 * Whether a run of many seeds did what it is there for: every fault came and every workload ran, often enough that what they find
 * would have been found. A fault that a change has made unreachable would go unseen otherwise.
 */

/** So many seeds are to have everything in them. */
export const enough = 1_000

/** How often everything comes in them at the least. */
export const least = 20

export class Coverage {
  private readonly counts = new Map<string, number>()

  constructor(names: ReadonlyArray<string>) {
    for (const name of names) this.counts.set(name, 0)
  }

  add(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  /** What came less often than it should. */
  get missing(): ReadonlyArray<string> {
    return [...this.counts].flatMap(([name, count]) => count < least ? [`${name} ${count}`] : [])
  }

  toString(): string {
    const sorted = [...this.counts].toSorted(([a], [b]) => a < b ? -1 : 1)
    return sorted.map(([name, count]) => `${name} ${count}`).join(", ")
  }
}
