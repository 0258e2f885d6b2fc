/**
 * The state of a public value, held by a function under a symbol of its own: no part of the value's shape, not copied with its
 * fields, and printed as a function even where hidden properties are shown.
 */

interface HiddenState<S> {
  /** Gives a value its state. */
  readonly attach: <V extends object>(value: V, state: S) => V
  /** The state of any value; undefined where it has none. */
  readonly find: (value: unknown) => S | undefined
  /** The same for a value that must have one: throws where it has none. */
  readonly of: (value: unknown) => S
}

/** `missing` is what `of` says of a value without a state. */
export const make = <S>(missing: string): HiddenState<S> => {
  const key = Symbol("effect-service-bus/state")
  const find = (value: unknown): S | undefined => {
    if (typeof value !== "object" || value === null) return undefined
    try {
      const read: (() => S) | undefined = Object.getOwnPropertyDescriptor(value, key)?.value
      return read?.()
    } catch {
      // A proxy that throws is none of ours.
      return undefined
    }
  }
  return {
    attach: (value, state) => Object.defineProperty(value, key, { value: () => state }),
    find,
    of: (value) => {
      const state = find(value)
      if (state === undefined) throw new Error(missing)
      return state
    }
  }
}
