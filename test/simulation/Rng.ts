/** Random numbers that a seed determines: the same run every time, on every machine. */
import { SeededRandom } from "../../src/emulator/SeededRandom.ts"

export class Rng extends SeededRandom {
  pick<A>(values: ReadonlyArray<A>): A {
    return values[Math.floor(this.next() * values.length)]!
  }

  /** A generator of its own: what takes from it does not move this one. */
  fork(): Rng {
    return new Rng(Math.floor(this.next() * 4294967296))
  }
}
