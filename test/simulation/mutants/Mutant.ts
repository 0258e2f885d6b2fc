/** A defect that is put back into a copy of the library: something has to see it. */
export interface Mutant {
  /** What the library does wrong. */
  readonly name: string
  /** The file, from `src/internal`; that of a mutant of rules, or of the broker, from `src/emulator`. */
  readonly file: string
  readonly isOfBroker?: true
  /** What stands there, once. */
  readonly text: string
  readonly replacement: string
  /** What else is replaced in the same file, where one place is not enough. */
  readonly also?: ReadonlyArray<readonly [text: string, replacement: string]>
  /** The workload that meets it, or several by commas; any where none is given. */
  readonly workload?: string
  /** The faults that it shows under, with commas between them; any where none is given. */
  readonly fault?: string
  /** How many seeds are run; 150 by default. */
  readonly seeds?: number
  /** It is seen by the death of a run, which is no proof of any other. */
  readonly isDeadly?: true
  /** The test that sees it, where no run of the simulation can; a mutant of rules is seen by any of theirs. */
  readonly by?: string
}

/** All that is replaced in the file of a mutant. */
export const replacementsOf = (
  { also = [], replacement, text }: Mutant
): ReadonlyArray<readonly [text: string, replacement: string]> => [[text, replacement], ...also]
