/**
 * What stands behind the receivers that users hold: kept apart, so that nothing of it is in their public shape.
 */
import type { Receiving, Undecodable } from "./receiving.ts"

export interface Internals {
  readonly receiving: Receiving
  readonly undecodable: Undecodable
}

const internals = new WeakMap<object, Internals>()

export const register = (receiver: object, behind: Internals): void => {
  internals.set(receiver, behind)
}

export const internalsOf = (receiver: object): Internals => {
  const found = internals.get(receiver)
  if (found === undefined) throw new Error("This receiver was not made by ServiceBusReceiver.make.")
  return found
}
