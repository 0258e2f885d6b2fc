/**
 * Browsing: looking at messages without receiving them, by requests to the `$management` node of the entity.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type * as ServiceBusBody from "../../ServiceBusBody.ts"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AttachError,
  MessageDecodeError,
  type PeekError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import type { PeekedMessage } from "../../ServiceBusMessage.ts"
import { DecodeProblem } from "../amqp/codec/Reader.ts"
import { Sections } from "../amqp/codec/Sections.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import type { RequestResponseLink } from "../management/RequestResponseLink.ts"
import { declaredIn, Peeked } from "../message/ReceivedMessage.ts"
import { checkedCount, isSequenceNumber, outOfRange, type PeekRawOptions, readOptions } from "../options.ts"
import { annotateMessages, type Hooks } from "../telemetry/Telemetry.ts"
import type { Requester } from "./ReceiverState.ts"

/** A request to the entity's node that changes nothing there, tried again while its error can pass. */
const request = <A, Err extends PeekError, L extends SessionLockLostError>(
  requester: Requester<L>,
  request: (node: RequestResponseLink, timeout: number) => Effect.Effect<A, Err>
): Effect.Effect<A, Err | AttachError | L> =>
  requester.namespace.retryPolicy.runIdempotent(
    requester.namespace.withManagementNode(requester.entity.path, requester.isOpen, request)
  )

/** Looks at up to `count` messages from a sequence number on, in as many requests as it takes. */
export const sectionsFrom = Effect.fnUntraced(function*<L extends SessionLockLostError>(
  requester: Requester<L>,
  from: bigint,
  count: number,
  omitBody = false
): Effect.fn.Return<ReadonlyArray<Sections>, PeekError | L | MessageDecodeError> {
  const found: Array<Sections> = []
  let next = from
  while (found.length < count) {
    const bytes = yield* request(
      requester,
      (node, timeout) =>
        EntityManagement.peek(node, {
          entity: requester.entity.path,
          from: next,
          count: count - found.length,
          omitBody,
          sessionId: requester.session?.id,
          timeout
        })
    )
    if (bytes.length === 0) break
    for (const each of bytes) {
      const sections = sectionsOrFailure(requester, each)
      if (Result.isFailure(sections)) return yield* Effect.fail(sections.failure)
      found.push(sections.success)
    }
    next = new Peeked(found[found.length - 1]!, undefined).sequenceNumber + 1n
  }
  return found
})

const sectionsOrFailure = (requester: Requester, bytes: Buffer): Result.Result<Sections, MessageDecodeError> => {
  try {
    return Result.succeed(new Sections(bytes, 0, bytes.length))
  } catch (error) {
    if (!(error instanceof DecodeProblem)) throw error
    return Result.fail(
      new MessageDecodeError({
        entity: requester.entity.path,
        operation: "peek",
        part: "message",
        description: error.message
      })
    )
  }
}

/**
 * A peeked message with its body; a MessageDecodeError where that does not decode. Without a codec the body is undefined.
 */
const peeked = <A>(
  requester: Requester,
  sections: Sections,
  body: ServiceBusBody.ServiceBusBody<A, never> | undefined
): Result.Result<PeekedMessage<A>, MessageDecodeError> => {
  const failure = (part: string, description: string) =>
    Result.fail(
      new MessageDecodeError({
        entity: requester.entity.path,
        operation: "peek",
        part,
        description,
        sequenceNumber: new Peeked(sections, undefined).sequenceNumber
      })
    )
  if (body === undefined) return Result.succeed(new Peeked(sections, undefined as A))
  const decoded = body.decode(sections.readBody())
  if (Result.isFailure(decoded)) return failure("body", decoded.failure)
  const properties = declaredIn(sections, ServiceBusEntity.propertiesOf(requester.entity))
  return Result.isSuccess(properties)
    ? Result.succeed(new Peeked(sections, decoded.success, properties.success))
    : failure("applicationProperties", properties.failure)
}

/** Looks at up to `max` messages. */
export const peek = <L extends SessionLockLostError, B = undefined>(
  requester: Requester<L>,
  input: PeekRawOptions | undefined,
  body?: ServiceBusBody.ServiceBusBody<B, never>
): Effect.Effect<ReadonlyArray<PeekedMessage<B>>, PeekError | L | MessageDecodeError> => {
  const read = readOptions(requester.entity.path, input)
  if (Result.isFailure(read)) return Effect.fail(read.failure)
  const options = read.success
  const { from = 0n, max = 1 } = options
  const counted = checkedCount(requester.entity.path, "max", max)
  if (Result.isFailure(counted)) return Effect.fail(counted.failure)
  if (!isSequenceNumber(from)) return Effect.fail(outOfRange(requester.entity.path, "from", "a bigint of 0 or more"))
  const look = Effect.flatMap(
    sectionsFrom(requester, from, max, body === undefined && options.omitBody === true),
    (found): Effect.Effect<ReadonlyArray<PeekedMessage<B>>, MessageDecodeError> => {
      const messages: Array<PeekedMessage<B>> = []
      for (const sections of found) {
        const message = peeked(requester, sections, body)
        if (Result.isFailure(message)) return Effect.fail(message.failure)
        messages.push(message.success)
      }
      return Effect.succeed(messages)
    }
  )
  return requester.telemetry.run("peek", () => look, hooks)
}

const hooks: Hooks<ReadonlyArray<PeekedMessage<unknown>>> = {
  onSuccess: (messages, span) => {
    if (span !== undefined) annotateMessages(span, messages)
  }
}

/** Looks at all messages from a number on, `max` at a time. */
export const browse = <L extends SessionLockLostError, B = undefined>(
  requester: Requester<L>,
  input: PeekRawOptions | undefined,
  body?: ServiceBusBody.ServiceBusBody<B, never>
): Stream.Stream<PeekedMessage<B>, PeekError | L | MessageDecodeError> => {
  const read = readOptions(requester.entity.path, input)
  if (Result.isFailure(read)) return Stream.fail(read.failure)
  const options = read.success
  return Stream.paginate(options.from ?? 0n, (from) =>
    Effect.map(
      peek(requester, { ...options, max: options.max ?? 100, from }, body),
      (page) => [page, Option.map(Arr.last(page), (message) => message.sequenceNumber + 1n)] as const
    ))
}

/** How many messages are asked for at a time: the broker sends as many as it likes. */
const pageSize = 1000

/** Looks at all messages, without their bodies. */
export const forEachMessage = Effect.fnUntraced(function*<L extends SessionLockLostError>(
  requester: Requester<L>,
  visit: (message: PeekedMessage<unknown>) => void
): Effect.fn.Return<void, PeekError | L | MessageDecodeError> {
  let from = 0n
  while (true) {
    const page = yield* peek(requester, { max: pageSize, omitBody: true, from })
    for (const message of page) visit(message)
    // Fewer than were asked for: there was an answer with none.
    if (page.length < pageSize) return
    from = page[page.length - 1]!.sequenceNumber + 1n
  }
})
