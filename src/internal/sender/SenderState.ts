/**
 * What stands behind the senders that users hold.
 */
import type * as Sink from "effect/Sink"
import type { SendError } from "../../ServiceBusError.ts"
import type { OutgoingMessage } from "../../ServiceBusMessage.ts"
import * as behind from "../behind.ts"
import type * as sink from "./SenderSink.ts"

type Message = OutgoingMessage<unknown>

export interface Internals {
  /**
   * The sender's sink, which goes on where a batch is refused and `onRefused` takes its messages and those of their key that
   * wait behind them, by their indices in the stream: none of them was sent.
   */
  readonly sink: (
    onRefused: (indices: ReadonlyArray<number>, error: unknown) => boolean
  ) => Sink.Sink<sink.Report<Message>, Message, never, SendError>
}

export const { register, of: internalsOf } = behind.make<Internals>(
  "This sender was not made by ServiceBusSender.make."
)
