/**
 * Messages by their AMQP sections, with the AMQP type of every value: for what Service Bus's own names do not show, for
 * peers that speak other AMQP, and for keeping a message as bytes.
 *
 * Plain immutable data, read from a received message or from bytes, and sent by `sender.sendAnnotated`. Nothing is
 * interpreted on the way: a body stays the sections that it is, and no codec is asked.
 *
 * Source: AMQP 1.0 section 3.2.
 *
 * @module
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { DecodeProblem } from "./internal/amqp/codec/Reader.ts"
import { Writer } from "./internal/amqp/codec/Writer.ts"
import * as AnnotatedMessage from "./internal/message/AnnotatedMessage.ts"
import * as MessageEncoder from "./internal/message/MessageEncoder.ts"
import { Received } from "./internal/message/ReceivedMessage.ts"
import { MessageDecodeError, MessageEncodeError } from "./ServiceBusError.ts"
import type { ReceivedMessage } from "./ServiceBusMessage.ts"

export type { AmqpAnnotatedMessage, Header, Properties } from "./internal/message/AnnotatedMessage.ts"

/** @inline */
type AmqpAnnotatedMessage = AnnotatedMessage.AmqpAnnotatedMessage

const sectionsOf = (message: ReceivedMessage<unknown>) => {
  const sections = Received.sectionsOf(message)
  if (sections === undefined) throw new TypeError("only a message that was received has AMQP sections")
  return sections
}

/**
 * The sections of a received message, locked, destructive or peeked. What the broker wrote is among them: its annotations
 * and its delivery count. Bytes in it are views of what was received.
 *
 * Throws a TypeError for an object that no receiver handed out.
 *
 * @example
 * ```ts
 * import { AmqpAnnotatedMessage, type ServiceBusMessage } from "effect-service-bus"
 *
 * export const priorityOf = (message: ServiceBusMessage.ReceivedMessage<unknown>) =>
 *   AmqpAnnotatedMessage.fromReceived(message).header?.priority
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromReceived = (message: ReceivedMessage<unknown>): AmqpAnnotatedMessage =>
  AnnotatedMessage.ofSections(sectionsOf(message))

/**
 * The bytes of a received message as they came, in a copy: what `fromBytes` reads.
 *
 * Throws a TypeError for an object that no receiver handed out.
 *
 * @example
 * ```ts
 * import { AmqpAnnotatedMessage, type ServiceBusMessage } from "effect-service-bus"
 * import { writeFileSync } from "node:fs"
 *
 * export const keep = (message: ServiceBusMessage.ReceivedMessage<unknown>) =>
 *   writeFileSync(`${message.sequenceNumber}.amqp`, AmqpAnnotatedMessage.bytesOfReceived(message))
 * ```
 *
 * @category destructors
 * @since 0.1.0
 */
export const bytesOfReceived = (message: ReceivedMessage<unknown>): Uint8Array => {
  const { bytes, end, start } = sectionsOf(message)
  return new Uint8Array(bytes.subarray(start, end))
}

const writer = new Writer()

/**
 * Encodes a message as AMQP. Fails with MessageEncodeError where a value has no AMQP form, or stands where its type may
 * not. Service Bus's limits are not checked here.
 *
 * @example
 * ```ts
 * import { AmqpAnnotatedMessage } from "effect-service-bus"
 *
 * export const bytes = AmqpAnnotatedMessage.toBytes({
 *   properties: { subject: "greeting" },
 *   body: { kind: "value", value: "hello" }
 * })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const toBytes = (message: AmqpAnnotatedMessage): Result.Result<Uint8Array, MessageEncodeError> => {
  writer.reset()
  try {
    AnnotatedMessage.encode(writer, message)
    // The writer's block is shared.
    return Result.succeed(new Uint8Array(writer.take()))
  } catch (error) {
    writer.reset()
    return Result.fail(
      error instanceof MessageEncodeError
        ? error
        : new MessageEncodeError(MessageEncoder.problemOf("message", error))
    )
  }
}

/**
 * Decodes the bytes of one AMQP message. Fails with MessageDecodeError where they are none: truncated, of another
 * structure, nested more than 34 deep. Keys of annotations that are neither symbols nor strings come as text, and a field
 * of the header or the properties that has another type than AMQP gives it is left out.
 *
 * @example
 * ```ts
 * import { Result } from "effect"
 * import { AmqpAnnotatedMessage } from "effect-service-bus"
 *
 * export const subjectOf = (bytes: Uint8Array) =>
 *   Result.map(AmqpAnnotatedMessage.fromBytes(bytes), (message) => message.properties?.subject)
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const fromBytes = (bytes: Uint8Array): Result.Result<AmqpAnnotatedMessage, MessageDecodeError> => {
  if (!ArrayBuffer.isView(bytes)) {
    return Result.fail(new MessageDecodeError({ part: "message", description: "it is no Uint8Array" }))
  }
  try {
    return Result.succeed(AnnotatedMessage.decode(bytes))
  } catch (error) {
    if (!(error instanceof DecodeProblem)) throw error
    return Result.fail(new MessageDecodeError({ part: "message", description: error.message }))
  }
}

const isAnnotated = (value: unknown): value is AmqpAnnotatedMessage =>
  typeof value === "object" && value !== null && "body" in value

/**
 * A Schema between the bytes of an AMQP message and the message; as JSON (`Schema.toCodecJson`) the bytes are base64.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { AmqpAnnotatedMessage } from "effect-service-bus"
 *
 * // A message that is kept in a file of JSON, with when it was kept.
 * export const Kept = Schema.toCodecJson(
 *   Schema.Struct({ at: Schema.DateTimeUtcFromString, message: AmqpAnnotatedMessage.Wire })
 * )
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const Wire: Schema.Codec<AmqpAnnotatedMessage, Uint8Array> = Schema.Uint8Array.pipe(
  Schema.decodeTo(
    Schema.declare(isAnnotated),
    SchemaTransformation.transformEffect({
      decode: (bytes) => issueOr(fromBytes(bytes)),
      encode: (message) => issueOr(toBytes(message))
    })
  )
)

const issueOr = <A>(
  result: Result.Result<A, MessageDecodeError | MessageEncodeError>
): Effect.Effect<A, SchemaIssue.Issue> =>
  Result.isSuccess(result)
    ? Effect.succeed(result.success)
    : Effect.fail(new SchemaIssue.InvalidValue({ message: result.failure.message }, "<message>"))
