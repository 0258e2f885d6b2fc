/**
 * What stands behind the senders that users hold: kept apart, so that nothing of it is in their public shape.
 */
import type * as Sink from "effect/Sink"
import type { SendError } from "../ServiceBusError.ts"
import type { OutgoingMessage } from "../ServiceBusMessage.ts"
import type * as sink from "./sink.ts"

type Message = OutgoingMessage<unknown>

export interface Internals {
  /**
   * The sender's sink, which goes on where a batch is refused and `onRefused` takes its messages and those of their key that
   * wait behind them: none of them was sent.
   */
  readonly sink: (
    onRefused: (messages: ReadonlyArray<Message>, error: unknown) => boolean
  ) => Sink.Sink<sink.Report<Message>, Message, never, SendError>
}

const internals = new WeakMap<object, Internals>()

export const register = (sender: object, behind: Internals): void => {
  internals.set(sender, behind)
}

export const internalsOf = (sender: object): Internals => {
  const found = internals.get(sender)
  if (found === undefined) throw new Error("This sender was not made by ServiceBusSender.make.")
  return found
}
