/**
 * Receiving from a queue, a subscription or a dead-letter sub-queue: under a lock (peek-lock, `make`) or destructively
 * (receive-and-delete, `makeDestructive`).
 *
 * A receiver is a link, attached when it is made and closed with its scope. Peek-lock is at-least-once: a message comes
 * again unless it is completed in time. What was received and not settled when the scope closes is released to the
 * broker. Receive-and-delete is at-most-once: the broker forgets a message when it sends it.
 *
 * One file because the two kinds have most functions in common; most of its lines are their docstrings.
 *
 * @module
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type {
  DeleteOptions,
  Failure,
  PeekOptions,
  PeekRawOptions,
  ReceiveOptions,
  Undecodable
} from "./internal/options.ts"
import * as LockTokens from "./internal/receiver/LockTokens.ts"
import * as ReceiverState from "./internal/receiver/ReceiverState.ts"
import * as ReceiverSurface from "./internal/receiver/ReceiverSurface.ts"
import * as StreamHandler from "./internal/receiver/StreamHandler.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import type {
  AttachError,
  DeleteMessagesError,
  InvalidOptionError,
  LockRenewalError,
  MessageAlreadySettled,
  MessageDecodeError,
  PeekError,
  ReceiveDeferredError,
  ReceiveError,
  SettleError
} from "./ServiceBusError.ts"
import type { DestructiveMessage, LockedMessage, LockToken, PeekedMessage } from "./ServiceBusMessage.ts"
import type * as Settlement from "./Settlement.ts"

/**
 * How a receiver is made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<U extends Undecodable = Undecodable> {
  /**
   * How many messages the broker may send before they are asked for, 0 to 5000. 0 by default for `receive`; `messages`
   * then uses a window of 100. The locks of prefetched messages run while they wait; one that runs out is dropped and
   * never handed out.
   */
  readonly prefetch?: number | undefined
  /**
   * What becomes of a message whose body does not decode, or application properties that the contract declares:
   * `"deadLetter"` (the default; the reason is MessageDecodeError and the description what was wrong), `"abandon"`, or `"fail"`,
   * which abandons it and fails with MessageDecodeError.
   */
  readonly undecodable?: U | undefined
  /**
   * How long `messages` waits for a message before the stream ends, more than 0; it does not fail. Without end by default.
   * Time in which the stream is not pulled does not count.
   */
  readonly maxWait?: Duration.Input | undefined
  /**
   * How many locks are renewed with one request, 1 to 5000; 1 by default. Locks that are due together go together. Where the
   * broker refuses a request because one of its locks is lost, each is asked for by itself.
   */
  readonly renewalBatch?: number | undefined
  /**
   * How much of a lock's life is left when its renewal starts, as a fraction above 0 and below 1; by default a third, and at
   * most ten seconds. What is given counts for 0.2 seconds at least, or for half of a lock's life where that is less.
   */
  readonly renewalMargin?: number | undefined
  /**
   * The name of the receiver in the service's logs (the address of the link's target, and the link property
   * `com.microsoft:receiver-name`), on spans (`messaging.client.id`) and in errors: 1 to 512 characters. The entity's path
   * with a random part by default.
   */
  readonly identifier?: string | undefined
}

export type { DeleteOptions, PeekOptions, PeekRawOptions, ReceiveOptions }

/**
 * What receivers of both modes have. `A` is the body, `M` the message, `E` the error that the undecodable policy adds, `L`
 * that of a session that is lost, `P` what messages have of the application properties that the contract declares.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reading<out A, out M, out Raw, out E = never, out L = never, out P = unknown> {
  /** The entity's path. */
  readonly entity: string
  /** The name by which the service's logs, spans and errors know this receiver or session. */
  readonly identifier: string
  /**
   * Receives up to `max` messages; gives an empty array where none came within `maxWait`.
   *
   * Fails with InvalidOptionError where an option is out of range, and with the errors of a lost link. Interrupting it
   * loses nothing, in receive-and-delete mode either: the next call gives what came meanwhile, or was about to be given.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const bodies = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.map(receiver.receive({ max: 20, maxWait: "5 seconds" }), (messages) => messages.map(({ body }) => body))
   * ```
   */
  readonly receive: (options?: ReceiveOptions) => Effect.Effect<ReadonlyArray<M>, ReceiveError | E | L>
  /**
   * Receives one message; gives None where none came within `maxWait`. Fails as `receive` does; interrupting it loses
   * nothing either.
   *
   * @example
   * ```ts
   * import { Effect, Option } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const next = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.flatMap(receiver.receiveOne({ maxWait: "5 seconds" }), Option.match({
   *     onNone: () => Effect.log("nothing to do"),
   *     onSome: (message) => Effect.andThen(Effect.log(message.body), receiver.complete(message))
   *   }))
   * ```
   */
  readonly receiveOne: (
    options?: Pick<ReceiveOptions, "maxWait">
  ) => Effect.Effect<Option.Option<M>, ReceiveError | E | L>
  /**
   * `receive` without decoding bodies: `body` is undefined. Fails as `receive` does; with `undecodable: "fail"` also with
   * MessageDecodeError, which its type does not say, where the bytes that came are no message.
   */
  readonly receiveRaw: (options?: ReceiveOptions) => Effect.Effect<ReadonlyArray<Raw>, ReceiveError | L>
  /**
   * All messages, as they come, one by one; ends only where `maxWait` is set and none came in that time. The broker sends as
   * many ahead as the prefetch window allows, and no more until they are taken. What was not pulled when the stream ends
   * is released to the broker at once, which is no failed delivery; it waits for the next call where the receiver has a
   * prefetch window, is destructive, or is a session.
   *
   * One stream, `receive` or processor has a receiver's messages at a time: another fails with InvalidOptionError, except
   * that `receive` waits for `receive`.
   *
   * @example
   * ```ts
   * import { Stream } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const all = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   receiver.messages.pipe(Stream.runForEach((message) => receiver.complete(message)))
   * ```
   */
  readonly messages: Stream.Stream<M, ReceiveError | E | L>
  /**
   * `messages` without decoding bodies: `body` is undefined. Fails as `messages` does; with `undecodable: "fail"` also with
   * MessageDecodeError, which its type does not say, where the bytes that came are no message.
   */
  readonly messagesRaw: Stream.Stream<Raw, ReceiveError | L>
  /**
   * `messages` in the chunks in which they come, for work that is done on many at once (`completeAll`): up to a prefetch
   * window of messages each, never empty.
   *
   * @example
   * ```ts
   * import { Stream } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const all = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   receiver.chunks.pipe(Stream.runForEach((messages) => receiver.completeAll(messages)))
   * ```
   */
  readonly chunks: Stream.Stream<Arr.NonEmptyReadonlyArray<M>, ReceiveError | E | L>
  /**
   * Looks at messages in the order of their sequence numbers without receiving them: active, deferred and scheduled ones,
   * locked or not. The cursor is yours: go on from the last sequence number plus one. Gives an empty array at the end.
   *
   * Fails with InvalidOptionError where an option is out of range, with MessageDecodeError where a body does not decode
   * (`sequenceNumber` says whose; `peekRaw` shows the message), and with the errors of connecting. Interrupting it changes
   * nothing.
   *
   * @example
   * ```ts
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const next = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>, last: bigint) =>
   *   receiver.peek({ from: last + 1n, max: 50 })
   * ```
   */
  readonly peek: (
    options?: PeekOptions
  ) => Effect.Effect<ReadonlyArray<PeekedMessage<A> & P>, PeekError | L | MessageDecodeError>
  /** `peek` without decoding bodies: `body` is undefined. */
  readonly peekRaw: (
    options?: PeekRawOptions
  ) => Effect.Effect<ReadonlyArray<PeekedMessage<undefined>>, PeekError | L | MessageDecodeError>
  /**
   * `peek` as a stream over all messages from a sequence number on; ends where there are no more, `max` at a time.
   *
   * @example
   * ```ts
   * import { Stream } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const subjects = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   receiver.browse().pipe(Stream.map(({ subject }) => subject), Stream.runCollect)
   * ```
   */
  readonly browse: (options?: PeekOptions) => Stream.Stream<PeekedMessage<A> & P, PeekError | L | MessageDecodeError>
  /** `browse` without decoding bodies: `body` is undefined. */
  readonly browseRaw: (
    options?: PeekRawOptions
  ) => Stream.Stream<PeekedMessage<undefined>, PeekError | L | MessageDecodeError>
  /**
   * Deletes up to `max` messages (1 by default) without receiving them, oldest first, and gives how many it were. Messages
   * that are locked, deferred or scheduled stay.
   *
   * Fails with NotSupportedError where the endpoint refuses (a partitioned entity, say), with InvalidOptionError where an
   * option is out of range, and with OperationTimeoutError where no answer came: then it is not known how many were deleted,
   * and it is not tried again. Interrupting it does not take it back.
   *
   * @example
   * ```ts
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const drop = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) => receiver.deleteMessages({ max: 100 })
   * ```
   */
  readonly deleteMessages: (options?: DeleteOptions) => Effect.Effect<number, DeleteMessagesError | L>
  /**
   * Deletes all messages that were enqueued before a time, now by default, in requests of `max` messages (500 by default),
   * until one finds nothing more. Best effort: what is locked then, deferred or scheduled stays. Fails as `deleteMessages`
   * does; what was deleted before stays deleted.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const emptied = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.tap(receiver.purge(), (count) => Effect.log(`${count} messages deleted`))
   * ```
   */
  readonly purge: (options?: DeleteOptions) => Effect.Effect<number, DeleteMessagesError | L>
  /**
   * Receives messages that were deferred, by their sequence numbers: all of them or none. Under a lock they are settled and
   * renewed like others, by requests; a deferred message that is abandoned, or whose lock runs out, stays deferred.
   *
   * Fails with MessageNotFoundError (`missing`) where one is not there, not deferred or locked, with InvalidOptionError
   * where a number is no sequence number, and with the errors of connecting. Interrupted, it
   * leaves them deferred; in receive-and-delete mode the broker may have forgotten them then, and this receiver gives them
   * to the next call that asks for them.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const back = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>, sequenceNumber: bigint) =>
   *   Effect.flatMap(receiver.receiveDeferred([sequenceNumber]), receiver.completeAll)
   * ```
   */
  readonly receiveDeferred: (
    sequenceNumbers: ReadonlyArray<bigint>
  ) => Effect.Effect<ReadonlyArray<M>, ReceiveDeferredError | E | L>
}

/**
 * How messages under a lock are settled; `Err` is what a settlement can fail with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settling<out Err> {
  /**
   * Settles a message and waits for the broker's answer.
   *
   * Fails with MessageLockLostError where the lock is over (in a session with SessionLockLostError, also where its link is
   * lost), with MessageAlreadySettled where it was settled before (nothing goes to the wire), with InvalidOptionError where
   * another receiver received it, with MessageEncodeError where a property cannot be encoded, and with
   * OperationTimeoutError (`outcome: "unknown"`) where no answer came. Interrupting it does not take the settlement back.
   * `Settlement.retryAfter` sends a copy first, and fails as a send does: then the message is not settled.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { type ServiceBusReceiver, Settlement } from "effect-service-bus"
   *
   * export const one = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.gen(function*() {
   *     const [message] = yield* receiver.receive()
   *     if (message !== undefined) yield* receiver.settle(message, Settlement.retryAfter("1 minute"))
   *   })
   * ```
   */
  readonly settle: (
    message: LockedMessage<unknown>,
    settlement: Settlement.Settlement
  ) => Effect.Effect<void, Err>
  /** Settles with `Settlement.complete`. Fails as `settle` does. */
  readonly complete: (message: LockedMessage<unknown>) => Effect.Effect<void, Err>
  /** Settles with `Settlement.abandon`. Fails as `settle` does. */
  readonly abandon: (
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ) => Effect.Effect<void, Err>
  /** Settles with `Settlement.defer`. Fails as `settle` does. */
  readonly defer: (
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ) => Effect.Effect<void, Err>
  /**
   * Settles with `Settlement.deadLetter`. Fails as `settle` does.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const refuse = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.flatMap(receiver.receive(), Effect.forEach((message) =>
   *     receiver.deadLetter(message, { reason: "Unreadable", description: "The third field is missing" })))
   * ```
   */
  readonly deadLetter: (
    message: LockedMessage<unknown>,
    options?: {
      readonly reason?: string | undefined
      readonly description?: string | undefined
      readonly properties?: Settlement.Properties | undefined
    }
  ) => Effect.Effect<void, Err>
  /**
   * Settles many messages alike with one write, and waits for all answers; fails with the first refusal.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import { type ServiceBusReceiver, Settlement } from "effect-service-bus"
   *
   * export const later = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.flatMap(receiver.receive({ max: 100 }), (messages) => receiver.settleAll(messages, Settlement.defer()))
   * ```
   */
  readonly settleAll: (
    messages: ReadonlyArray<LockedMessage<unknown>>,
    settlement: Settlement.Settlement
  ) => Effect.Effect<void, Err>
  /** `settleAll` with `Settlement.complete`. */
  readonly completeAll: (messages: ReadonlyArray<LockedMessage<unknown>>) => Effect.Effect<void, Err>
}

/**
 * A receiver of messages under locks.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceBusReceiver<out A, out E = never, out P = unknown>
  extends Reading<A, LockedMessage<A> & P, LockedMessage<undefined>, E, never, P>, Settling<SettleError>
{
  /**
   * Renews the lock of a message once and gives its new end by the broker's clock. `AutoLockRenewer` does it for you.
   *
   * Fails with MessageLockLostError where the lock is over already, with InvalidOptionError where another receiver received
   * the message, and with the errors of connecting. Interrupting it does not take a request back that has left: the lock may
   * then be renewed, of which this program does not know.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const longer = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.flatMap(receiver.receive(), Effect.forEach(receiver.renewLock))
   * ```
   */
  readonly renewLock: (message: LockedMessage<unknown>) => Effect.Effect<DateTime.Utc, LockRenewalError>
  /**
   * Leaves a message to what has its lock token: another process, say, that settles it with `settleByToken`. This receiver
   * does not settle it any more, and does not release it when its scope closes.
   *
   * Fails with MessageAlreadySettled where it was settled before, and with InvalidOptionError where another receiver
   * received it.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusReceiver } from "effect-service-bus"
   *
   * export const tokens = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
   *   Effect.flatMap(receiver.receive({ max: 10 }), Effect.forEach(receiver.handOver))
   * ```
   */
  readonly handOver: (
    message: LockedMessage<unknown>
  ) => Effect.Effect<LockToken, MessageAlreadySettled | InvalidOptionError>
}

/**
 * A receiver in receive-and-delete mode: its messages cannot be settled.
 *
 * @category models
 * @since 0.1.0
 */
export interface DestructiveReceiver<out A, out E = never, out P = unknown>
  extends Reading<A, DestructiveMessage<A> & P, DestructiveMessage<undefined>, E, never, P>
{}

/** @inline */
type Receivable = string | ServiceBusEntity.Receivable<unknown> | ServiceBusEntity.NotReceivable

/**
 * Attaches a receiver in peek-lock mode to a queue, subscription or dead-letter sub-queue, given as a contract or as a
 * plain name (a body of bytes).
 *
 * Fails with MessagingEntityNotFoundError where the entity is missing, with ServiceBusAuthorizationError where the
 * credential lacks the Listen right, with InvalidOptionError where an option is out of range, and with the errors of
 * connecting.
 *
 * When the scope closes, what was received and not settled is released, and the link is closed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver } from "effect-service-bus"
 *
 * const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 *
 * export const program = Effect.gen(function*() {
 *   const receiver = yield* ServiceBusReceiver.make(Letters)
 *   const messages = yield* receiver.receive({ max: 10, maxWait: "5 seconds" })
 *   yield* Effect.forEach(messages, receiver.complete)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: <E extends Receivable, const U extends Undecodable = "deadLetter">(
  entity: E,
  options?: Options<U>
) => Effect.Effect<
  ServiceBusReceiver<ServiceBusEntity.BodyOf<E>, Failure<U>, ServiceBusEntity.PropertiesOf<E>>,
  AttachError,
  ServiceBusClient.ServiceBusClient | Scope.Scope
> = <A, P, const U extends Undecodable>(
  entity: string | ServiceBusEntity.Any,
  options?: Options<U>
): Effect.Effect<ServiceBusReceiver<A, Failure<U>, P>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope> =>
  Effect.map(
    open<A, U, "locked">(entity, options, "locked"),
    ({ maxWait, state }) =>
      ReceiverState.attachTo<ServiceBusReceiver<A, Failure<U>>>({
        ...ReceiverSurface.readOperations(state, maxWait),
        ...ReceiverSurface.settleOperations(state),
        ...ReceiverSurface.lockOperations(state)
      }, state) as ServiceBusReceiver<A, Failure<U>, P>
  )

/**
 * Attaches a receiver in receive-and-delete mode. What the broker has sent and this program has not processed when it
 * stops is lost; prefetching makes that more.
 *
 * Fails as `make` does.
 *
 * @example
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { ServiceBusReceiver } from "effect-service-bus"
 *
 * export const sizes = Effect.gen(function*() {
 *   const receiver = yield* ServiceBusReceiver.makeDestructive("metrics", { maxWait: "1 second" })
 *   return yield* receiver.messages.pipe(Stream.map(({ size }) => size), Stream.runCollect)
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeDestructive: <E extends Receivable, const U extends Undecodable = "deadLetter">(
  entity: E,
  options?: Options<U>
) => Effect.Effect<
  DestructiveReceiver<ServiceBusEntity.BodyOf<E>, Failure<U>, ServiceBusEntity.PropertiesOf<E>>,
  AttachError,
  ServiceBusClient.ServiceBusClient | Scope.Scope
> = <A, P, const U extends Undecodable>(
  entity: string | ServiceBusEntity.Any,
  options?: Options<U>
): Effect.Effect<DestructiveReceiver<A, Failure<U>, P>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope> =>
  Effect.map(
    open<A, U, "destructive">(entity, options, "destructive"),
    ({ maxWait, state }) =>
      ReceiverState.attachTo<DestructiveReceiver<A, Failure<U>>>(
        ReceiverSurface.readOperations(state, maxWait),
        state
      ) as DestructiveReceiver<A, Failure<U>, P>
  )

// What the contract declares is decoded with the body: a receiver of a contract gives messages that have it.

const open = Effect.fnUntraced(function*<A, const U extends Undecodable, D extends ReceiverState.Mode>(
  input: string | ServiceBusEntity.Any,
  givenOptions: Options<U> | undefined,
  mode: D
) {
  const entity = ServiceBusEntity.contractOf(input)
  const { maxWait, undecodable, ...checked } = yield* ReceiverSurface.check(entity.path, givenOptions)
  const state = yield* ReceiverState.make({
    ...checked,
    entity,
    // That of the contract; a plain name has one of bytes.
    body: entity.body as ServiceBusEntity.Receivable<A>["body"],
    namespace: yield* ServiceBusClient.namespaceFor(entity),
    mode,
    undecodable: ReceiverState.policyOf<Failure<U>>(undecodable)
  })
  return { state, maxWait }
})

/**
 * Settles messages by their lock tokens, without the receiver that received them, all with one settlement and in one
 * request: `handOver` leaves them to what has the tokens. `Settlement.retryAfter` is not possible so.
 *
 * Fails with MessageLockLostError where a lock is over, with InvalidOptionError where there is no token, with
 * NotSupportedError for `Settlement.retryAfter`, with OperationTimeoutError (`outcome: "unknown"`) where no answer came, and
 * with the errors of connecting. Interrupting it does not take the settlement back.
 *
 * @example
 * ```ts
 * import { type ServiceBusMessage, ServiceBusReceiver, Settlement } from "effect-service-bus"
 *
 * export const finish = (token: ServiceBusMessage.LockToken) =>
 *   ServiceBusReceiver.settleByToken("orders", [token], Settlement.complete)
 * ```
 *
 * @category settlement
 * @since 0.1.0
 */
export const settleByToken = (
  entity: Receivable,
  tokens: ReadonlyArray<LockToken>,
  settlement: Settlement.Settlement
): Effect.Effect<void, SettleError, ServiceBusClient.ServiceBusClient> =>
  Effect.flatMap(requester(entity), (self) => LockTokens.settle(self, tokens, settlement))

/**
 * Renews locks by their tokens, all or none, and gives their new ends by the broker's clock, in order.
 *
 * Fails with MessageLockLostError where a lock is over, and otherwise as `settleByToken` does.
 *
 * @example
 * ```ts
 * import { type ServiceBusMessage, ServiceBusReceiver } from "effect-service-bus"
 *
 * export const keep = (token: ServiceBusMessage.LockToken) => ServiceBusReceiver.renewByToken("orders", [token])
 * ```
 *
 * @category settlement
 * @since 0.1.0
 */
export const renewByToken = (
  entity: Receivable,
  tokens: ReadonlyArray<LockToken>
): Effect.Effect<ReadonlyArray<DateTime.Utc>, LockRenewalError, ServiceBusClient.ServiceBusClient> =>
  Effect.flatMap(requester(entity), (self) => LockTokens.renew(self, tokens))

const requester = (input: Receivable) => {
  const entity = ServiceBusEntity.contractOf(input)
  return Effect.flatMap(
    ServiceBusClient.namespaceFor(entity),
    (namespace) => ReceiverState.withoutLink(entity, namespace)
  )
}

/**
 * Handles each message of a stream and settles it: the Stream form of a processor. Emits the settlements.
 *
 * A handler that succeeds with nothing completes its message. One that fails, or interrupts itself, has its message
 * abandoned and ends the stream so; handle errors in the handler to keep the stream going. What is in flight when the stream
 * is interrupted is released with the receiver's scope. The stream fails where a settlement does, and with
 * InvalidOptionError where `concurrency` is less than 1.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusReceiver, Settlement } from "effect-service-bus"
 *
 * export const work = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   receiver.messages.pipe(
 *     ServiceBusReceiver.settleEach((body: string) => Effect.as(Effect.log(body), Settlement.complete), { concurrency: 8 })
 *   )
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const settleEach = <A, E, R, P = unknown>(
  handler: (body: A, message: LockedMessage<A> & P) => Effect.Effect<Settlement.Settlement | void, E, R>,
  options?: { readonly concurrency?: number | undefined }
) =>
<E2, R2>(
  messages: Stream.Stream<LockedMessage<A> & P, E2, R2>
): Stream.Stream<Settlement.Settlement, E | E2 | SettleError, R | R2> =>
  StreamHandler.settleEach(messages, handler, options)
