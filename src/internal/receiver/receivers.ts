/**
 * What stands behind the receivers that users hold.
 */
import * as behind from "../behind.ts"
import type { Undecodable } from "../options.ts"
import type { Receiving } from "./ReceiverState.ts"

export interface Internals {
  readonly receiving: Receiving
  readonly undecodable: Undecodable
}

export const { find, register, of: internalsOf } = behind.make<Internals>(
  "This receiver was not made by ServiceBusReceiver.make."
)
