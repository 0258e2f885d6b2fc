/**
 * A batch that its user fills message by message and sends as one delivery. It has a writer of its own, in which messages are
 * encoded when they are added, and belongs to the sender that made it. Sending closes it: what is sent again is the same.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { type BatchError, InvalidOptionError } from "../../ServiceBusError.ts"
import type { OutgoingMessage } from "../../ServiceBusMessage.ts"
import { Writer } from "../amqp/codec/Writer.ts"
import * as HiddenState from "../HiddenState.ts"
import * as MessageBatch from "../message/MessageBatch.ts"
import { callerOf } from "../telemetry/Telemetry.ts"
import * as TraceContext from "../telemetry/TraceContext.ts"

type Message = OutgoingMessage<unknown>

/** A batch of a few messages needs no more; the writer grows with it. */
const blockSize = 4096

/** A batch that is being filled, or is closed. */
class SenderBatch {
  /** The ids of its messages, in order. */
  readonly ids: Array<string> = []
  /** The sender that made it. */
  readonly owner: object
  readonly maxSize: number
  private readonly entity: string
  private readonly builder: MessageBatch.BatchBuilder<Message>
  private isClosed = false
  /** The trace that the message of now belongs to. */
  private traceparent: string | undefined = undefined

  constructor(owner: object, encoder: MessageBatch.Encoder<Message>, maxSize: number) {
    this.owner = owner
    this.maxSize = maxSize
    this.entity = encoder.entity
    this.builder = new MessageBatch.BatchBuilder<Message>({
      ...encoder,
      write: (writer, message, name) => encoder.write(writer, message, name, this.traceparent)
    }, new Writer(blockSize))
  }

  get size(): number {
    return this.isClosed
      ? this.builder.closed.reduce((sum, { payload }) => sum + payload.length, 0)
      : this.builder.count === 0
      ? 0
      : this.builder.payloadSize
  }

  tryAdd(message: Message, fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<boolean, BatchError> {
    if (this.isClosed) {
      return Effect.fail(
        new InvalidOptionError({
          entity: this.entity,
          operation: "tryAdd",
          option: "batch",
          expected:
            "a batch that was not sent: what is added to it would be sent with the others again; make another one"
        })
      )
    }
    const span = callerOf(fiber)
    this.traceparent = span && TraceContext.traceparentOf(span)
    const id = this.builder.tryAdd(message, { maxMessageSize: this.maxSize, maxBatchSize: this.maxSize })
    if (id === undefined) return Effect.succeed(false)
    if (typeof id !== "string") return Effect.fail(id)
    this.ids.push(id)
    return Effect.succeed(true)
  }

  /** What is sent: one batch, or none where it is empty. */
  close(): ReadonlyArray<MessageBatch.Batch> {
    this.isClosed = true
    this.builder.close()
    return this.builder.closed
  }
}

const states = HiddenState.make<SenderBatch>("This batch was not made by a sender.")

/** The state of a batch; undefined for any other value. */
export const find: (value: unknown) => SenderBatch | undefined = states.find

/** Makes the batch that users have. */
export const make = (owner: object, encoder: MessageBatch.Encoder<Message>, maxSize: number) => {
  const self = new SenderBatch(owner, encoder, maxSize)
  return states.attach({
    entity: encoder.entity,
    maxSize,
    get size(): number {
      return self.size
    },
    get count(): number {
      return self.ids.length
    },
    tryAdd: (message: Message): Effect.Effect<boolean, BatchError> =>
      Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => self.tryAdd(message, fiber))
  }, self)
}
