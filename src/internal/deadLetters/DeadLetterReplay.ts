/**
 * Sending dead letters again: each is received under a lock, its copy is sent, and once the broker has accepted the copy the
 * letter is completed.
 *
 * At-least-once: a letter is never without one of the two. Its copy has the same message id however often it is sent, so
 * that an entity with duplicate detection drops the second one. What stays is kept locked until the scope closes, or it
 * would come again and again; what comes again all the same is known by its sequence number. Only letters that were there
 * at the start are replayed, which bounds the work even where every copy is dead-lettered at once.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createHash } from "node:crypto"
import * as AmqpValue from "../../AmqpValue.ts"
import * as ServiceBusBody from "../../ServiceBusBody.ts"
import * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AttachError,
  type InvalidOptionError,
  MessageDecodeError,
  type MessageEncodeError,
  type MessageSizeExceededError,
  type ReplayError,
  type SendError
} from "../../ServiceBusError.ts"
import { fromReceived, type LockedMessage, type OutgoingMessage } from "../../ServiceBusMessage.ts"
import * as Settlement from "../../Settlement.ts"
import { DecodeProblem } from "../amqp/codec/Reader.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import type { SettlementError } from "../errorMap.ts"
import { idOf } from "../message/MessageCopy.ts"
import { declaredIn, Locked, Received, retryPropertyNames } from "../message/ReceivedMessage.ts"
import { monotonic, wholeMillis } from "../monotonicClock.ts"
import { keepingManagementNode, type Namespace } from "../namespace/Namespace.ts"
import { checkedIdentifier, isLimit, outOfRange } from "../options.ts"
import * as Completion from "../receiver/Completion.ts"
import * as LockRenewal from "../receiver/LockRenewal.ts"
import * as MessageBrowser from "../receiver/MessageBrowser.ts"
import * as MessageLock from "../receiver/MessageLock.ts"
import { MessageReader } from "../receiver/MessageReader.ts"
import * as ReceiverState from "../receiver/ReceiverState.ts"
import * as Settler from "../receiver/Settler.ts"
import type * as SenderSink from "../sender/SenderSink.ts"
import * as SenderState from "../sender/SenderState.ts"

/** Why a letter stays that was to be replayed. */
type Refusal = MessageEncodeError | MessageSizeExceededError | MessageDecodeError

interface Report {
  readonly replayed: number
  readonly skipped: number
  readonly failed: ReadonlyArray<{ readonly sequenceNumber: bigint; readonly error: Refusal }>
}

/** The receiver of the letters. */
interface LetterReceiver<out A> {
  readonly state: ReceiverState.ReceiverState<A, "locked", never, never>
  /** Up to so many letters; none where none came in good time. */
  readonly receive: (max: number) => Effect.Effect<ReadonlyArray<LockedMessage<undefined>>, AttachError>
}

/** What became of copies, by their index: all that are in neither were accepted. */
interface Sent {
  /** Those that can never be sent. */
  readonly refused: ReadonlyMap<number, MessageEncodeError | MessageSizeExceededError>
  /** Those that were not sent, as far as is known, because of `error`. */
  readonly unsent: ReadonlySet<number>
  readonly error: AttachError | undefined
}

/** Sends copies in their order. */
type Send = (copies: ReadonlyArray<OutgoingMessage<unknown>>) => Effect.Effect<Sent, AttachError>

interface Options<in A> {
  /** The sequence numbers of the letters that may be replayed. */
  readonly letters: Iterable<bigint>
  readonly filter: ((message: LockedMessage<A>) => boolean) | undefined
  readonly map: ((message: LockedMessage<A>) => OutgoingMessage<unknown>) | undefined
  /** Copies take the bodies of the letters as their sections, as they came. */
  readonly isVerbatim: boolean
  /** Copies take the application properties of the letters as they came. */
  readonly keepsProperties: boolean
  /** Copies per second. */
  readonly rate: number | undefined
  readonly max: number
}

/** The most letters that are received at a time. */
const batchSize = 100

/** How long letters that were seen at the start may take to come, in milliseconds. */
const patience = 5_000

/** With a rate, how many times in a second copies leave at most. */
const stepsPerSecond = 10

/** A letter that is under our lock. */
interface Letter {
  readonly message: LockedMessage<undefined>
  readonly delivery: IncomingDelivery
  readonly kept: LockRenewal.KeptLock
}

type Codec = ServiceBusBody.Functions

/**
 * Each contract of a Schema has a codec of its own. What a Schema writes is also up to its services: a key, say, that those of
 * the other codec do not have. Codecs without services share the empty context.
 */
const isSameCodec = (one: Codec, other: Codec): boolean => {
  if (one === other) return true
  const [first, second] = [ServiceBusBody.originOf(one), ServiceBusBody.originOf(other)]
  return first?._tag === "Schema" && second?._tag === "Schema" && first.ast === second.ast &&
    first.services === second.services
}

/** Whether nothing can be sent to it: a plain name may be the address of a subscription. */
const isSubscription = ({ _tag, path }: ServiceBusEntity.Any): boolean =>
  _tag === "Subscription" || _tag === "SessionSubscription" || /\/subscriptions\/[^/]*$/i.test(path)

/** The message that says the same as a letter; how often it was tried before does not count any more. */
const copyWithoutRetries = (message: LockedMessage<unknown>, body: unknown): OutgoingMessage<unknown> => {
  const { applicationProperties, ...copy } = fromReceived(message, { body })
  const kept = Object.entries(applicationProperties ?? {}).filter(([key]) => !retryPropertyNames.has(key))
  return kept.length === 0 ? copy : { ...copy, applicationProperties: Object.fromEntries(kept) }
}

/** What copies are made for, in their ids. Letters of two subscriptions of a topic may share message id and number. */
const purposeOf = (path: string): string =>
  `replay-${createHash("sha256").update(path.toLowerCase()).digest("hex").slice(0, 8)}`

/** An id of the caller's own is kept; that of the letter would be taken for the letter. */
const isOwn = (id: AmqpValue.MessageId | undefined, message: LockedMessage<unknown>): boolean =>
  id !== undefined && ((id as unknown) === null || AmqpValue.toText(id) !== message.messageId)

/** Options as a caller gives them. */
interface GivenOptions<in A> {
  readonly filter?: ((message: LockedMessage<A>) => boolean) | undefined
  readonly map?: ((message: LockedMessage<A>) => OutgoingMessage<unknown>) | undefined
  readonly rate?: number | undefined
  readonly max?: number | undefined
}

const isCallable = (value: unknown): boolean => value === undefined || typeof value === "function"

/**
 * Replays the letters of an entity that are there now, to `to`, with options that it checks first; the link that receives them is
 * attached only where there are such.
 */
export const replay = Effect.fnUntraced(function*<A, R>(
  { letters, namespaceFor, to }: {
    readonly letters: ServiceBusEntity.SubQueue<A>
    readonly to: ServiceBusEntity.Any
    readonly namespaceFor: (entity: ServiceBusEntity.Any) => Effect.Effect<Namespace, InvalidOptionError, R>
  },
  options: GivenOptions<A>
): Effect.fn.Return<Report, ReplayError, R | Scope.Scope> {
  const { filter, map, max = Infinity, rate } = options
  if (!isCallable(filter)) return yield* outOfRange(letters.path, "filter", "a function")
  if (!isCallable(map)) return yield* outOfRange(letters.path, "map", "a function")
  if (isSubscription(to)) {
    return yield* outOfRange(letters.path, "to", "a queue or topic: nothing can be sent to a subscription")
  }
  if (!isLimit(max)) return yield* outOfRange(letters.path, "max", "an integer of 1 or more")
  if (rate !== undefined && !(typeof rate === "number" && rate > 0 && Number.isFinite(rate))) {
    return yield* outOfRange(letters.path, "rate", "a number of more than 0")
  }
  // Bodies of the same codec are not encoded again: that would drop what its schema does not know.
  const isVerbatim = map === undefined && isSameCodec(to.body, letters.body)
  const [own, others] = [ServiceBusEntity.propertiesOf(letters), ServiceBusEntity.propertiesOf(to)]
  const keepsProperties = map === undefined &&
    (others === undefined || own !== undefined && isSameCodec(others, own))
  const sender = yield* SenderState.make({
    ...to,
    ...(isVerbatim ? { body: ServiceBusBody.sections } : {}),
    ...(keepsProperties ? { properties: undefined } : {})
  }, yield* namespaceFor(to))
  const namespace = yield* namespaceFor(letters)
  const requester = yield* ReceiverState.withoutLink(letters, yield* keepingManagementNode(namespace))
  const numbers: Array<bigint> = []
  yield* MessageBrowser.forEachMessage(requester, ({ sequenceNumber, state }) => {
    if (state === "active") numbers.push(sequenceNumber)
  })
  if (numbers.length === 0) return { replayed: 0, skipped: 0, failed: [] }
  const state = yield* ReceiverState.make({
    entity: letters,
    identifier: yield* Effect.fromResult(checkedIdentifier(letters.path, undefined)),
    body: letters.body,
    namespace,
    mode: "locked",
    undecodable: ReceiverState.policyOf<never>(),
    prefetch: 0,
    // Many letters may be kept for long.
    renewal: { batch: 100, margin: undefined }
  })
  const reader = new MessageReader(state, Infinity)
  return yield* run(
    { state, receive: (max) => reader.receive<undefined>({ max, maxWait: patience }, undefined) },
    sendCopies(sender),
    { filter, map, isVerbatim, keepsProperties, rate, max, letters: numbers }
  )
})

const run = Effect.fnUntraced(function*<A>(
  source: LetterReceiver<A>,
  send: Send,
  options: Options<A>
): Effect.fn.Return<Report, AttachError> {
  const { filter, isVerbatim, keepsProperties, map, max, rate } = options
  const { state } = source
  const { clock, renewal } = state
  const purpose = purposeOf(state.entity.path)
  /** Nothing is decided about these. */
  const left = new Set(options.letters)
  /** The copy was accepted, and as far as is known the letter is not completed. */
  const sent = new Set<bigint>()
  /** What stays, what came after the start among it. */
  const held = new Set<bigint>()
  const failed: Array<Report["failed"][number]> = []
  let replayed = 0
  let skipped = 0
  let nextAt = monotonic(clock)

  const keep = (message: LockedMessage<undefined>): Letter => {
    const delivery = Locked.deliveryOf(message, state)!
    // It comes again, as another delivery.
    const kept = LockRenewal.keptLock(
      MessageLock.of(state, message, delivery),
      Infinity,
      (reason) => reason === "failing" ? undefined : delivery.holder.forget(delivery)
    )
    renewal.keep(kept)
    return { message, delivery, kept }
  }

  const isWanted = (): boolean => replayed < max

  const stays = (sequenceNumber: bigint): void => {
    left.delete(sequenceNumber)
    held.add(sequenceNumber)
  }

  /** What is sent of a letter; undefined where it stays. */
  const copyOf = (
    { delivery, message: raw }: Letter
  ): { readonly message: OutgoingMessage<unknown> } | undefined => {
    const { sequenceNumber } = raw
    const message = decoded(state, raw, delivery)
    if (message instanceof MessageDecodeError) {
      failed.push({ sequenceNumber, error: message })
      return undefined
    }
    if (filter !== undefined && !filter(message)) {
      skipped++
      return undefined
    }
    const copy = map === undefined
      ? copyWithoutRetries(
        keepsProperties ? raw : message,
        isVerbatim ? Received.sectionsOf(message)!.readBody(true) : message.body
      )
      : map(message)
    // What is no message is refused as that where it is encoded.
    const isNamed = typeof copy !== "object" || copy === null || isOwn(copy.messageId, message)
    return { message: isNamed ? copy : { ...copy, messageId: idOf(message, purpose) } }
  }

  /** Completes letters whose copies were accepted. One whose lock is gone comes again, and is completed then. */
  const complete = (accepted: ReadonlyArray<Letter>): Effect.Effect<void, AttachError> => {
    // Its renewal may know that already.
    const letters = accepted.filter(({ delivery }) => delivery.holder.isUnsettled(delivery))
    if (letters.length === 0) return Effect.void
    const numbers = new Map(letters.map(({ delivery, message }) => [delivery, message.sequenceNumber]))
    let fatal: SettlementError | undefined
    const noted = (error: SettlementError): void => {
      if (!isOpenEnded(error)) fatal ??= error
    }
    const messages = letters.map(({ message }) => message)
    return Settler.settle(state, messages, Settlement.complete, (delivery, error) => {
      if (error === undefined) sent.delete(numbers.get(delivery)!)
      else noted(error)
    }).pipe(
      Effect.catch((error) => {
        noted(error)
        // A completion sends nothing, and what it settles is a message of its own.
        return fatal === undefined ? Effect.void : Effect.fail(fatal as AttachError)
      }),
      Effect.ensuring(Effect.sync(() => {
        for (const { kept } of accepted) renewal.release(kept)
      }))
    )
  }

  const replay = (
    letters: ReadonlyArray<Letter>,
    copies: ReadonlyArray<OutgoingMessage<unknown>>
  ): Effect.Effect<void, AttachError> =>
    // Once copies are accepted, the completion of their letters is begun, and has a little longer than its caller.
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(restore(send(copies)), ({ error: failure, refused, unsent }) => {
        const accepted = letters.filter(({ message: { sequenceNumber } }, index) => {
          if (unsent.has(index)) return false
          const error = refused.get(index)
          if (error === undefined) {
            left.delete(sequenceNumber)
            sent.add(sequenceNumber)
            replayed++
            return true
          }
          stays(sequenceNumber)
          failed.push({ sequenceNumber, error })
          return false
        })
        const completed = Completion.run(restore, complete(accepted))
        return failure === undefined ? completed : Effect.andThen(completed, Effect.fail(failure))
      })
    )

  const isLocked = ({ kept: { lock } }: Letter): boolean =>
    lock.held() && lock.lost === undefined && lock.expiresAt > monotonic(clock)

  /** In steps as wide as the rate allows. A letter whose lock was lost while it waited comes again. */
  const replayAll = Effect.fnUntraced(function*(fresh: ReadonlyArray<Letter>) {
    const width = rate === undefined ? fresh.length : Math.max(1, Math.floor(rate / stepsPerSecond))
    for (let next = 0; next < fresh.length && isWanted();) {
      const wait = rate === undefined ? 0 : nextAt - monotonic(clock)
      if (wait > 0) yield* Effect.sleep(wholeMillis(wait))
      const letters: Array<Letter> = []
      const copies: Array<OutgoingMessage<unknown>> = []
      for (const most = Math.min(width, max - replayed); next < fresh.length && letters.length < most; next++) {
        const letter = fresh[next]!
        if (!isLocked(letter)) continue
        const copy = copyOf(letter)
        if (copy === undefined) {
          stays(letter.message.sequenceNumber)
          continue
        }
        letters.push(letter)
        copies.push(copy.message)
      }
      if (letters.length === 0) continue
      if (rate !== undefined) nextAt = Math.max(nextAt, monotonic(clock)) + letters.length * 1000 / rate
      yield* replay(letters, copies)
    }
  })

  /** Since when, and how many of them, only letters came about which there is nothing to do. */
  let newsAt = monotonic(clock)
  let known = 0
  /** Each letter that stays may come a second time; a third time it is in the way of the others. */
  let bound = batchSize
  while (sent.size > 0 || left.size > 0 && isWanted()) {
    // Of those that a filter sees, it is not known how many are replayed.
    const most = filter === undefined ? Math.max(1, Math.min(batchSize, max - replayed)) : batchSize
    const letters = (yield* source.receive(most)).map(keep)
    if (letters.length === 0) break
    const late = letters.filter(({ message }) => sent.has(message.sequenceNumber))
    const fresh = letters.filter(({ message }) => left.has(message.sequenceNumber))
    for (const { message: { sequenceNumber } } of letters) {
      if (!sent.has(sequenceNumber) && !left.has(sequenceNumber)) held.add(sequenceNumber)
    }
    if (late.length > 0) yield* complete(late)
    else if (!isWanted()) break
    yield* replayAll(fresh)
    if (late.length + fresh.length > 0) {
      newsAt = monotonic(clock)
      known = 0
      bound = batchSize + 2 * held.size
    } else known += letters.length
    // Locks end faster than they can be renewed, or others are dead-lettered without end.
    if (known > bound && monotonic(clock) - newsAt >= patience) break
  }
  return { replayed, skipped, failed }
})

/** Whether the letter may be completed or may come again: that is not known, or its lock is over. */
const isOpenEnded = ({ _tag }: SettlementError): boolean =>
  _tag === "MessageLockLostError" || _tag === "OperationTimeoutError"

/** A letter with its body. */
const decoded = <A>(
  state: ReceiverState.ReceiverState<A>,
  message: LockedMessage<undefined>,
  delivery: IncomingDelivery
): LockedMessage<A> | MessageDecodeError => {
  const { body, entity } = state
  const { sequenceNumber } = message
  const failure = (description: string, part: string = "body") =>
    new MessageDecodeError({ entity: entity.path, operation: "replay", part, description, sequenceNumber })
  const sections = Received.sectionsOf(message)!
  try {
    const value = body.decode(sections.readBody())
    if (Result.isFailure(value)) return failure(value.failure)
    const properties = declaredIn(sections, state.properties)
    return Result.isSuccess(properties)
      ? new Locked(sections, value.success, delivery, state, properties.success)
      : failure(properties.failure, "applicationProperties")
  } catch (error) {
    if (!(error instanceof DecodeProblem)) throw error
    return failure(error.message)
  }
}

/**
 * Sends in batches; one by one where the broker refuses a batch for what a single message may be to blame for. What is
 * accepted is not sent again, and each session keeps its order.
 */
const sendCopies = (sender: Sender): Send => (copies) =>
  Effect.suspend(() => {
    const left = new Set<number>()
    let fatal: AttachError | undefined
    const unsent = new Set<number>()
    const sink = SenderState.stateOf(sender).sink(undefined, (indices, error) => {
      if (!isForOne(error as SendError)) fatal ??= error as AttachError
      for (const index of indices) left.add(index)
      return true
    })
    // What is taken there does not fail it.
    const sent = Stream.run(Stream.fromIterable(copies), sink) as Effect.Effect<
      SenderSink.Report<OutgoingMessage<unknown>>,
      AttachError
    >
    return Effect.flatMap(sent, ({ rejected }) => {
      const refused = new Map(rejected.map(({ error, index }) => [index, error]))
      return Effect.map(
        Effect.forEach(copies, (copy, index) => {
          if (!left.has(index)) return Effect.void
          if (fatal === undefined) {
            return Effect.catch(sender.send(copy), (error) =>
              Effect.sync(() => {
                if (isForOne(error)) return void refused.set(index, error)
                fatal = error
                unsent.add(index)
              }))
          }
          unsent.add(index)
          return Effect.void
        }, { discard: true }),
        () => ({ refused, unsent, error: fatal })
      )
    })
  })

type Sender = Effect.Success<ReturnType<typeof SenderState.make>>

const isForOne = (error: SendError): error is MessageEncodeError | MessageSizeExceededError =>
  error._tag === "MessageEncodeError" || error._tag === "MessageSizeExceededError"
