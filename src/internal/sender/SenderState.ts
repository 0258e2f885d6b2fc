/**
 * A sender: its link, which is attached again by the next send after it was lost, and the encoders of its messages.
 *
 * What is tried again keeps its message ids, and a batch that was accepted is not sent again. All messages of a call are
 * encoded before the first of them leaves, into one writer, in one synchronous step: calls cannot mix their bytes.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import type * as Tracer from "effect/Tracer"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AttachError,
  type CancelScheduledError,
  InvalidOptionError,
  type ScheduleError,
  type SendError
} from "../../ServiceBusError.ts"
import type { OutgoingMessage } from "../../ServiceBusMessage.ts"
import { Writer } from "../amqp/codec/Writer.ts"
import * as SenderLink from "../amqp/SenderLink.ts"
import * as HiddenState from "../HiddenState.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import type { RequestResponseLink } from "../management/RequestResponseLink.ts"
import type { AmqpAnnotatedMessage } from "../message/AnnotatedMessage.ts"
import * as MessageBatch from "../message/MessageBatch.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import * as RecoveringLink from "../namespace/RecoveringLink.ts"
import {
  checkedIdentifier,
  isCount,
  isSequenceNumber,
  isTime,
  outOfRange,
  readList,
  readOptions,
  readValue,
  toMillis,
  withOptions
} from "../options.ts"
import { callerOf, errorTypeOf, type Hooks, Telemetry } from "../telemetry/Telemetry.ts"
import * as TraceContext from "../telemetry/TraceContext.ts"
import * as SenderBatch from "./SenderBatch.ts"
import * as SenderSink from "./SenderSink.ts"

type Message = OutgoingMessage<unknown>

/** How a batch is made, as a caller gives it. */
interface BatchOptions {
  readonly maxSize?: number | undefined
}

/** Attaches a sender, and gives the operations that users have of it. */
export const make = Effect.fnUntraced(function*(
  entity: ServiceBusEntity.Any,
  shared: Namespace,
  givenOptions?: { readonly identifier?: string | undefined }
) {
  const given = yield* Effect.fromResult(readOptions(entity.path, givenOptions))
  const identifier = yield* Effect.fromResult(checkedIdentifier(entity.path, given.identifier))
  const namespace = shared.identifiedAs(identifier)
  const { endpoint, timeout } = namespace.options
  const open = Effect.flatMap(
    namespace.session(entity.path),
    (session) => SenderLink.make(session, { entity: entity.path, identifier, timeout })
  )
  const telemetry = new Telemetry(entity, endpoint, identifier, yield* Effect.context<never>())
  const link = yield* namespace.retryPolicy.runIdempotent(RecoveringLink.make({
    open: () => Effect.tap(open, () => Effect.sync(() => telemetry.countAttached("sender"))),
    isLost: (sender) => sender.link.dead() !== undefined
  }))
  return operationsOf(new SenderState(entity, identifier, link, namespace, yield* Clock.Clock, telemetry))
})

const states = HiddenState.make<SenderState>("This sender was not made by ServiceBusSender.make.")

/** The state of a sender; throws for any other value. */
export const stateOf: (sender: object) => SenderState = states.of

/** The same; undefined for any other value. Tests tell a sender from a receiver with it. */
export const find: (value: unknown) => SenderState | undefined = states.find

const operationsOf = (self: SenderState) => {
  function sendAnnotated(message: AmqpAnnotatedMessage): Effect.Effect<string, SendError>
  function sendAnnotated(messages: Iterable<AmqpAnnotatedMessage>): Effect.Effect<ReadonlyArray<string>, SendError>
  function sendAnnotated(
    messages: AmqpAnnotatedMessage | Iterable<AmqpAnnotatedMessage>
  ): Effect.Effect<string | ReadonlyArray<string>, SendError> {
    return self.sendAnnotated(messages)
  }
  return states.attach({
    entity: self.entity,
    identifier: self.identifier,
    get maxMessageSize(): number {
      return self.maxMessageSize
    },
    send: (message: Message) => self.send(message),
    sendAll: (messages: Iterable<Message>) => self.sendAll(messages),
    sendAnnotated,
    batch: (options?: BatchOptions) => self.batch(options),
    sendBatch: (batch: object) => self.sendBatch(batch),
    sink: <A extends Message, E, R>(options?: SenderSink.Options<A, E, R>) => self.sink(options),
    schedule: (message: Message, at: DateTime.Utc | Duration.Input) =>
      Effect.map(self.schedule([message], at), (numbers) => numbers[0]!),
    scheduleAll: (messages: Iterable<Message>, at: DateTime.Utc | Duration.Input) => self.schedule(messages, at),
    cancelScheduled: (sequenceNumbers: Iterable<bigint>) => self.cancelScheduled(sequenceNumbers)
  }, self)
}

class SenderState {
  readonly entity: string
  readonly identifier: string
  private readonly encoder: MessageBatch.Encoder<Message>
  private readonly annotated: MessageBatch.Encoder<AmqpAnnotatedMessage>
  readonly link: RecoveringLink.RecoveringLink<SenderLink.SenderLink, AttachError>
  private readonly namespace: Namespace
  private readonly clock: Clock.Clock
  private readonly telemetry: Telemetry
  private readonly writer = new Writer()
  private readonly sentOne: Hooks<string> = {
    onSuccess: () => this.telemetry.countSent("send", 1),
    // What was refused here was not sent.
    onFailure: (error) => {
      if (!notSent.has(error)) this.telemetry.countSent("send", 1, error)
    }
  }

  constructor(
    contract: ServiceBusEntity.Any,
    identifier: string,
    link: RecoveringLink.RecoveringLink<SenderLink.SenderLink, AttachError>,
    namespace: Namespace,
    clock: Clock.Clock,
    telemetry: Telemetry
  ) {
    this.entity = contract.path
    this.identifier = identifier
    this.telemetry = telemetry
    this.encoder = MessageBatch.messageEncoder(contract, clock)
    this.annotated = MessageBatch.annotatedEncoder(contract, clock)
    this.link = link
    this.namespace = namespace
    this.clock = clock
  }

  get maxMessageSize(): number {
    return this.link.current().maxMessageSize
  }

  /** On the link of now, opened again where it was lost; what is tried again keeps its message ids. */
  private transfer(payload: Uint8Array, format: number): Effect.Effect<void, SendError> {
    const { link, namespace } = this
    return namespace.retryPolicy.run(Effect.flatMap(link.get, (sender) => sender.send([payload], [format])))
  }

  private transferAll(batches: ReadonlyArray<MessageBatch.Batch>): Effect.Effect<void, SendError> {
    const { link, namespace, telemetry } = this
    // What was accepted is not sent again.
    const accepted = new Set<MessageBatch.Batch>()
    const unsentOf = () => accepted.size === 0 ? batches : batches.filter((batch) => !accepted.has(batch))
    return Effect.onExit(
      namespace.retryPolicy.run(Effect.flatMap(link.get, (sender) => {
        const tried = unsentOf()
        return sender.send(tried.map(({ payload }) => payload), tried.map(({ format }) => format), (index) => {
          accepted.add(tried[index]!)
        })
      })),
      (exit) => {
        const unsent = Exit.isSuccess(exit) ? 0 : countOf(unsentOf())
        telemetry.countSent("send", countOf(batches) - unsent)
        telemetry.countSent("send", unsent, errorTypeOf(exit))
        return Effect.void
      }
    )
  }

  send(message: Message): Effect.Effect<string, SendError> {
    const { encoder, telemetry } = this
    return telemetry.run("send", (span, own) => this.sendOne(traced(encoder, span), message, own), this.sentOne)
  }

  sendAll(messages: Iterable<Message>): Effect.Effect<ReadonlyArray<string>, SendError> {
    const { encoder, telemetry } = this
    return telemetry.run("send", (span, own) => this.sendMany(traced(encoder, span), messages, own))
  }

  batch(input: BatchOptions | undefined): Effect.Effect<ReturnType<typeof SenderBatch.make>, InvalidOptionError> {
    return Effect.suspend(() => {
      const { encoder, entity } = this
      const { maxBatchSize } = this.link.current()
      return withOptions(
        entity,
        input,
        ({ maxSize = maxBatchSize }) =>
          Number.isInteger(maxSize) && maxSize >= 1 && maxSize <= maxBatchSize
            ? Effect.succeed(SenderBatch.make(this, encoder, maxSize))
            : Effect.fail(outOfRange(entity, "maxSize", `an integer from 1 to ${maxBatchSize}, which the link allows`))
      )
    })
  }

  sendBatch(batch: object): Effect.Effect<ReadonlyArray<string>, SendError> {
    return Effect.suspend(() => {
      const state = SenderBatch.find(batch)
      if (state?.owner !== this) {
        return Effect.fail(
          new InvalidOptionError({
            entity: this.entity,
            operation: "sendBatch",
            option: "batch",
            expected: "a batch that this sender made"
          })
        )
      }
      const { ids } = state
      const batches = state.close()
      return this.telemetry.run("send", (_, own) => {
        if (own !== undefined) countMessages(own, ids)
        return Effect.as(this.transferAll(batches), ids)
      }, untraced)
    })
  }

  sendAnnotated(
    messages: AmqpAnnotatedMessage | Iterable<AmqpAnnotatedMessage>
  ): Effect.Effect<string | ReadonlyArray<string>, SendError> {
    const { annotated, telemetry } = this
    // As they are: no trace is written to them.
    const many = isIterable(messages)
    return Result.isFailure(many)
      ? Effect.fail(many.failure)
      : many.success
      ? telemetry.run(
        "send",
        (_, own) => this.sendMany(annotated, messages as Iterable<AmqpAnnotatedMessage>, own),
        untraced
      )
      : telemetry.run(
        "send",
        (_, own) => this.sendOne(annotated, messages as AmqpAnnotatedMessage, own),
        { ...this.sentOne, ...untraced }
      )
  }

  /** `onRefused` takes the messages of a batch that the broker refused: see the sink's settings. */
  sink<A extends Message, E = never, R = never>(
    input?: SenderSink.Options<A, E, R>,
    onRefused?: SenderSink.OnRefused
  ): Sink.Sink<SenderSink.Report<A>, A, never, SendError | E, R> {
    const read = readOptions(this.entity, input)
    if (Result.isFailure(read)) return Sink.fail(read.failure)
    const options = read.success
    const { concurrency = 4, maxWaiting = 5000, onRejected } = options
    const linger = toMillis(options.linger ?? 0)
    const problem = !(linger >= 0 && Number.isFinite(linger))
      ? outOfRange(this.entity, "linger", "a duration of 0 or more that ends")
      : !(isCount(concurrency) && concurrency <= 100)
      ? outOfRange(this.entity, "concurrency", "an integer from 1 to 100")
      : !(Number.isSafeInteger(maxWaiting) && maxWaiting >= 1)
      ? outOfRange(this.entity, "maxWaiting", "an integer of 1 or more")
      : onRejected !== undefined && typeof onRejected !== "function"
      ? outOfRange(this.entity, "onRejected", "a function")
      : undefined
    if (problem !== undefined) return Sink.fail(problem)
    const { encoder, telemetry } = this
    return Sink.unwrap(Effect.map(callerSpan, (span) =>
      SenderSink.make({
        // The messages of a batch belong to the trace of the fiber that runs the sink.
        encoder: traced(encoder, span),
        limits: this.link.current,
        send: ({ count, format, payload }) =>
          telemetry.run("send", () => this.transfer(payload, format), {
            ...untraced,
            attributes: () => ({ "messaging.batch.message_count": count }),
            onSuccess: () => telemetry.countSent("send", count),
            onFailure: (error) => telemetry.countSent("send", count, error)
          })
      }, {
        linger,
        concurrency,
        maxWaiting,
        maxWaitingBytes: concurrency * this.link.current().maxBatchSize,
        onRejected,
        onRefused
      })))
  }

  private sendOne<M>(
    encoder: MessageBatch.Encoder<M>,
    message: M,
    own: Tracer.Span | undefined
  ): Effect.Effect<string, SendError> {
    return Effect.suspend(() => {
      const { maxMessageSize, writer } = this
      writer.reset()
      const id = MessageBatch.encodeMessage(encoder, writer, message)
      if (typeof id !== "string") return Effect.fail(id)
      if (own !== undefined) {
        own.attribute("messaging.message.id", id)
        const conversation = encoder.conversationOf(message)
        if (conversation !== undefined) own.attribute("messaging.message.conversation_id", conversation)
      }
      const size = writer.length
      if (size <= maxMessageSize) return Effect.as(this.transfer(writer.take(), 0), id)
      writer.reset()
      return Effect.fail(MessageBatch.tooLarge(this.entity, size, maxMessageSize))
    })
  }

  private sendMany<M>(
    encoder: MessageBatch.Encoder<M>,
    messages: Iterable<M>,
    own: Tracer.Span | undefined
  ): Effect.Effect<ReadonlyArray<string>, SendError> {
    return Effect.suspend(() => {
      const all = readList(this.entity, "messages", messages)
      if (Result.isFailure(all)) return Effect.fail(all.failure)
      this.writer.reset()
      const packed = this.batchesOf(encoder, all.success)
      if (!("batches" in packed)) return Effect.fail(packed)
      const { batches, ids } = packed
      if (own !== undefined) countMessages(own, ids)
      return Effect.as(this.transferAll(batches), ids)
    })
  }

  schedule(
    messages: Iterable<Message>,
    at: DateTime.Utc | Duration.Input
  ): Effect.Effect<ReadonlyArray<bigint>, ScheduleError> {
    const { encoder, telemetry } = this
    return telemetry.run("schedule", (span, own) => this.scheduleMany(traced(encoder, span), messages, at, own))
  }

  private scheduleMany(
    encoder: MessageBatch.Encoder<Message>,
    messages: Iterable<Message>,
    at: DateTime.Utc | Duration.Input,
    own: Tracer.Span | undefined
  ): Effect.Effect<ReadonlyArray<bigint>, ScheduleError> {
    return Effect.suspend(() => {
      const scheduledEnqueueTime = this.timeOf(at)
      if (scheduledEnqueueTime === undefined) {
        return Effect.fail(
          new InvalidOptionError({
            entity: this.entity,
            operation: "schedule",
            option: "at",
            expected: "a time, or a duration of 0 or more"
          })
        )
      }
      const all = readList(this.entity, "messages", messages)
      if (Result.isFailure(all)) return Effect.fail(all.failure)
      const encoded: Array<Parameters<typeof EntityManagement.schedule>[1]["messages"][number]> = []
      this.writer.reset()
      for (const one of all.success) {
        const read = readValue(
          this.entity,
          "message",
          "a message whose fields can be read",
          () => typeof one === "object" && one !== null ? { ...one, scheduledEnqueueTime } : one
        )
        if (Result.isFailure(read)) return Effect.fail(read.failure)
        const message = read.success
        const id = MessageBatch.encodeMessage(encoder, this.writer, message)
        if (typeof id !== "string") return Effect.fail(id)
        const size = this.writer.length
        if (size > this.maxMessageSize) {
          this.writer.reset()
          return Effect.fail(MessageBatch.tooLarge(this.entity, size, this.maxMessageSize))
        }
        const { partitionKey, sessionId, viaPartitionKey } = message
        encoded.push({ id, bytes: this.writer.take(), partitionKey, sessionId, viaPartitionKey })
      }
      if (own !== undefined) countMessages(own, encoded.map(({ id }) => id))
      if (encoded.length === 0) return Effect.succeed([])
      const { entity, telemetry } = this
      return Effect.onExit(
        this.request((node, timeout) => EntityManagement.schedule(node, { entity, messages: encoded, timeout })),
        (exit) => {
          telemetry.countSent("schedule", encoded.length, errorTypeOf(exit))
          return Effect.void
        }
      )
    })
  }

  cancelScheduled(sequenceNumbers: Iterable<bigint>): Effect.Effect<void, CancelScheduledError> {
    return Effect.suspend(() => {
      const { entity } = this
      const all = readList(entity, "sequenceNumbers", sequenceNumbers)
      if (Result.isFailure(all)) return Effect.fail(all.failure)
      const numbers = all.success
      if (!numbers.every(isSequenceNumber)) {
        return Effect.fail(outOfRange(entity, "sequenceNumbers", "bigints of 0 or more"))
      }
      if (numbers.length === 0) return Effect.void
      return this.telemetry.run(
        "cancel_scheduled",
        () =>
          this.request((node, timeout) =>
            EntityManagement.cancelScheduled(node, { entity, sequenceNumbers: numbers, timeout })
          ),
        { attributes: () => ({ "messaging.batch.message_count": numbers.length }) }
      )
    })
  }

  /** A request to the entity's node, tried again as sends are. */
  private request<A, E extends ScheduleError | CancelScheduledError>(
    request: (node: RequestResponseLink, timeout: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | AttachError> {
    const { namespace } = this
    return namespace.retryPolicy.run(namespace.withManagementNode(this.entity, this.link.isOpen, request))
  }

  private timeOf(at: DateTime.Utc | Duration.Input): DateTime.Utc | undefined {
    if (isTime(at)) return DateTime.toUtc(at)
    const delay = toMillis(at)
    // No date is so far away.
    return delay >= 0 && delay <= 8e15
      ? DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe() + delay)
      : undefined
  }

  /** Encodes messages straight into as few batches as the limits allow. */
  private batchesOf<M>(encoder: MessageBatch.Encoder<M>, messages: Iterable<M>): Packed | MessageBatch.Refusal {
    const { writer } = this
    const limits = this.link.current()
    const batcher = new MessageBatch.BatchBuilder(encoder, writer)
    const ids: Array<string> = []
    for (const message of messages) {
      const id = batcher.add(message, limits)
      if (typeof id !== "string") {
        writer.reset()
        return id
      }
      ids.push(id)
    }
    batcher.close()
    return { ids, batches: batcher.closed }
  }
}

/** Whether many messages are given, or one. A Map is neither: its entries are no messages. */
const isIterable = (messages: unknown): Result.Result<boolean, InvalidOptionError> =>
  readValue(
    undefined,
    "messages",
    "a message, or an iterable of messages",
    () => typeof messages === "object" && messages !== null && Symbol.iterator in messages
  )

/** An encoder whose messages belong to the trace of a span. */
const traced = (
  encoder: MessageBatch.Encoder<Message>,
  span: Tracer.AnySpan | undefined
): MessageBatch.Encoder<Message> => {
  const traceparent = span && TraceContext.traceparentOf(span)
  return traceparent === undefined
    ? encoder
    : { ...encoder, write: (writer, message, name) => encoder.write(writer, message, name, traceparent) }
}

/** The span of the fiber that runs it. */
const callerSpan = Effect.withFiber((fiber: Fiber.Fiber<unknown, unknown>) => Effect.succeed(callerOf(fiber)))

/** Of a span whose messages do not name it: they cannot be traced to it. */
const untraced = { kind: "client" } as const

/** Errors of messages that were refused before they were sent. */
const notSent: ReadonlySet<string> = new Set(["InvalidOptionError", "MessageEncodeError", "MessageSizeExceededError"])

const countMessages = (span: Tracer.Span, ids: ReadonlyArray<string>): void => {
  span.attribute("messaging.batch.message_count", ids.length)
  if (ids.length === 1) span.attribute("messaging.message.id", ids[0])
}

const countOf = (batches: ReadonlyArray<MessageBatch.Batch>): number =>
  batches.reduce((sum, { count }) => sum + count, 0)

/** Messages in batches. */
interface Packed {
  readonly ids: ReadonlyArray<string>
  readonly batches: ReadonlyArray<MessageBatch.Batch>
}
