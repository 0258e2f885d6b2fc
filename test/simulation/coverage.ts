/**
 * Whether a run of many seeds did what it is there for: every fault came and every workload ran, often enough that what they find
 * would have been found. A fault that a change has made unreachable would go unseen otherwise.
 */

/** So many seeds that are the same in each run are to have everything in them: by new ones it would be left to chance. */
export const enough = 500

/** In how many of a hundred of them everything comes at the least. */
const share = 2

export class Coverage {
  private readonly counts = new Map<string, number>()

  constructor(names: ReadonlyArray<string>) {
    for (const name of names) this.counts.set(name, 0)
  }

  add(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1)
  }

  /** What came less often than it should in so many seeds. */
  missing(seeds: number): ReadonlyArray<string> {
    return [...this.counts].flatMap(([name, count]) => count < seeds * share / 100 ? [`${name} ${count}`] : [])
  }

  toString(): string {
    const sorted = [...this.counts].toSorted(([a], [b]) => a < b ? -1 : 1)
    return sorted.map(([name, count]) => `${name} ${count}`).join(", ")
  }
}
