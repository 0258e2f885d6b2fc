/**
 * What stands behind the values that users hold: kept apart, so that nothing of it is in their public shape.
 */

export interface Behind<A> {
  readonly register: (value: object, behind: A) => void
  /** Throws for a value that was not registered. */
  readonly of: (value: object) => A
  /** The same for any value; undefined where it was not registered. */
  readonly find: (value: unknown) => A | undefined
}

/** `unknown` says what is wrong with a value that nothing stands behind. */
export const make = <A>(unknown: string): Behind<A> => {
  const known = new WeakMap<object, A>()
  return {
    register: (value, behind) => {
      known.set(value, behind)
    },
    find: (value) => known.get(value as object),
    of: (value) => {
      const behind = known.get(value)
      if (behind === undefined) throw new Error(unknown)
      return behind
    }
  }
}
