/**
 * Receiving from a queue, a subscription or a dead-letter sub-queue: under a lock (peek-lock, `make`) or destructively
 * (receive-and-delete, `makeDestructive`).
 *
 * A receiver is a link, attached when it is made and closed with its scope. Peek-lock is at-least-once: a message comes
 * again unless it is completed in time. What was received and not settled when the scope closes is released to the
 * broker. Receive-and-delete is at-most-once: the broker forgets a message when it sends it.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import { monotonic } from "./internal/amqp/monotonic.ts"
import * as deferred from "./internal/deferred.ts"
import { toMillis } from "./internal/duration.ts"
import { isCount, most, outOfRange } from "./internal/limits.ts"
import { Locked } from "./internal/messageCodec.ts"
import * as peeking from "./internal/peeking.ts"
import * as receiving from "./internal/receiving.ts"
import { canPass } from "./internal/retryPolicy.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import {
  type AttachError,
  InvalidOptionError,
  type LockRenewalError,
  MessageDecodeError,
  type PeekError,
  type ReceiveDeferredError,
  type ReceiveError,
  type SettleError
} from "./ServiceBusError.ts"
import type { DestructiveMessage, LockedMessage, PeekedMessage } from "./ServiceBusMessage.ts"
import * as Settlement from "./Settlement.ts"

/**
 * How a receiver is made.
 *
 * @category models
 */
export interface Options<U extends receiving.Undecodable = receiving.Undecodable> {
  /**
   * How many messages the broker may send before they are asked for, 0 to 5000. 0 by default for `receive`; `messages`
   * then uses a window of 100. The locks of prefetched messages run while they wait; one that runs out is dropped and
   * never handed out.
   */
  readonly prefetch?: number | undefined
  /**
   * What becomes of a message whose body does not decode: `"deadLetter"` (the default; the reason is MessageDecodeError
   * and the description what was wrong), `"abandon"`, or `"fail"`, which abandons it and fails with MessageDecodeError.
   */
  readonly undecodable?: U | undefined
  /**
   * How long `messages` waits for a message before the stream ends, more than 0; it does not fail. Without end by default.
   * Time in which nobody pulls does not count.
   */
  readonly maxWait?: Duration.Input | undefined
}

/**
 * How much to receive, and how long to wait for it.
 *
 * @category models
 */
export interface ReceiveOptions {
  /** The most messages to give, 1 to 5000. 1 by default. */
  readonly max?: number | undefined
  /** How long to wait for the first message. 60 seconds by default. */
  readonly maxWait?: Duration.Input | undefined
  /** How long to wait for more after the first one; by default not at all: what the broker has by then is given. */
  readonly maxWaitAfterFirst?: Duration.Input | undefined
}

/**
 * What to look at.
 *
 * @category models
 */
export interface PeekOptions {
  /** The most messages to give, 1 to 5000. 1 by default, for `browse` 100 per request. */
  readonly max?: number | undefined
  /** The sequence number to begin with. By default the first message there is. */
  readonly from?: bigint | undefined
}

/**
 * What receivers of both modes have. `A` is the body, `M` the message, `E` the error that the undecodable policy adds.
 *
 * @category models
 */
export interface Reading<out A, out M, out Raw, out E = never> {
  /** The entity's path. */
  readonly entity: string
  /**
   * Receives up to `max` messages; gives an empty array where none came within `maxWait`.
   *
   * Fails with InvalidOptionError where an option is out of range, and with the errors of a lost link. Interrupting it
   * loses nothing: what came meanwhile is given by the next call.
   */
  readonly receive: (options?: ReceiveOptions) => Effect.Effect<ReadonlyArray<M>, ReceiveError | E>
  /** `receive` without decoding bodies: `body` is undefined. */
  readonly receiveRaw: (options?: ReceiveOptions) => Effect.Effect<ReadonlyArray<Raw>, ReceiveError>
  /**
   * All messages, as they come; ends only where `maxWait` is set and none came in that time. The broker sends as many ahead as the prefetch window allows, and
   * no more until they are taken. Messages of one read of the socket come as one chunk: what a stream that ends early
   * (`Stream.take`) leaves of its last one stays locked until the receiver's scope closes. Under receive-and-delete they
   * come one by one, so that none is lost.
   *
   * One stream, `receive` or processor has a receiver's messages at a time: another fails with InvalidOptionError, except
   * that `receive` waits for `receive`.
   */
  readonly messages: Stream.Stream<M, ReceiveError | E>
  /** `messages` without decoding bodies: `body` is undefined. */
  readonly messagesRaw: Stream.Stream<Raw, ReceiveError>
  /**
   * Looks at messages in the order of their sequence numbers without receiving them: active, deferred and scheduled ones,
   * locked or not. The cursor is yours: go on from the last sequence number plus one. Gives an empty array at the end.
   *
   * Fails with InvalidOptionError where an option is out of range, with MessageDecodeError where a body does not decode
   * (`sequenceNumber` says whose; `peekRaw` shows the message), and with the errors of connecting. Interrupting it changes
   * nothing.
   */
  readonly peek: (
    options?: PeekOptions
  ) => Effect.Effect<ReadonlyArray<PeekedMessage<A>>, PeekError | MessageDecodeError>
  /** `peek` without decoding bodies: `body` is undefined. */
  readonly peekRaw: (
    options?: PeekOptions
  ) => Effect.Effect<ReadonlyArray<PeekedMessage<undefined>>, PeekError | MessageDecodeError>
  /** `peek` as a stream over all messages from a sequence number on; ends where there are no more, `max` at a time. */
  readonly browse: (options?: PeekOptions) => Stream.Stream<PeekedMessage<A>, PeekError | MessageDecodeError>
  /**
   * Receives messages that were deferred, by their sequence numbers: all of them or none. Under a lock they are settled and
   * renewed like others, by requests; a deferred message that is abandoned, or whose lock runs out, stays deferred.
   *
   * Fails with MessageNotFoundError (`missing`) where one is not there, not deferred or locked, with InvalidOptionError
   * where a number is no sequence number, and with the errors of connecting. What an interruption leaves locked comes free
   * when its lock runs out.
   */
  readonly receiveDeferred: (
    sequenceNumbers: ReadonlyArray<bigint>
  ) => Effect.Effect<ReadonlyArray<M>, ReceiveDeferredError | E>
}

/**
 * A receiver of messages under locks.
 *
 * @category models
 */
export interface ServiceBusReceiver<out A, out E = never>
  extends Reading<A, LockedMessage<A>, LockedMessage<undefined>, E>
{
  /**
   * Settles a message and waits for the broker's answer.
   *
   * Fails with MessageLockLostError where the lock is over, with MessageAlreadySettled where it was settled before
   * (nothing goes to the wire), with InvalidOptionError where another receiver received it, with MessageEncodeError where a
   * property cannot be encoded, and with OperationTimeoutError (`outcome: "unknown"`) where no answer came. Interrupting
   * it does not take the settlement back.
   */
  readonly settle: (
    message: LockedMessage<unknown>,
    settlement: Settlement.Settlement
  ) => Effect.Effect<void, SettleError>
  /** Settles with `Settlement.complete`. */
  readonly complete: (message: LockedMessage<unknown>) => Effect.Effect<void, SettleError>
  /** Settles with `Settlement.abandon`. */
  readonly abandon: (
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ) => Effect.Effect<void, SettleError>
  /** Settles with `Settlement.defer`. */
  readonly defer: (
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ) => Effect.Effect<void, SettleError>
  /** Settles with `Settlement.deadLetter`. */
  readonly deadLetter: (
    message: LockedMessage<unknown>,
    options?: {
      readonly reason?: string | undefined
      readonly description?: string | undefined
      readonly properties?: Settlement.Properties | undefined
    }
  ) => Effect.Effect<void, SettleError>
  /** Completes many messages with one write, and waits for all answers; fails with the first refusal. */
  readonly completeAll: (messages: ReadonlyArray<LockedMessage<unknown>>) => Effect.Effect<void, SettleError>
  /**
   * Renews the lock of a message once and gives its new end by the broker's clock. `AutoLockRenewer` does it for you.
   *
   * Fails with MessageLockLostError where the lock is over already.
   */
  readonly renewLock: (message: LockedMessage<unknown>) => Effect.Effect<DateTime.Utc, LockRenewalError>
}

/**
 * A receiver in receive-and-delete mode: its messages cannot be settled.
 *
 * @category models
 */
export interface DestructiveReceiver<out A, out E = never>
  extends Reading<A, DestructiveMessage<A>, DestructiveMessage<undefined>, E>
{}

type Failure<U> = "fail" extends U ? MessageDecodeError : never

/**
 * Attaches a receiver in peek-lock mode to a queue, subscription or dead-letter sub-queue, given as a contract or as a
 * plain name (a body of bytes).
 *
 * Fails with MessagingEntityNotFoundError where the entity is missing, with ServiceBusAuthorizationError where the
 * credential lacks the Listen right, with InvalidOptionError where an option is out of range, and with the errors of
 * connecting.
 *
 * @category constructors
 */
export const make: {
  <const U extends receiving.Undecodable = "deadLetter">(
    entity: string,
    options?: Options<U>
  ): Effect.Effect<
    ServiceBusReceiver<Uint8Array, Failure<U>>,
    AttachError,
    ServiceBusClient.ServiceBusClient | Scope.Scope
  >
  <A, const U extends receiving.Undecodable = "deadLetter">(
    entity: ServiceBusEntity.Receivable<A>,
    options?: Options<U>
  ): Effect.Effect<ServiceBusReceiver<A, Failure<U>>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope>
} = (entity: string | ServiceBusEntity.Any, options?: Options): Effect.Effect<any, AttachError, any> =>
  Effect.map(
    open(ServiceBusEntity.contractOf(entity), options, false),
    (self) => new LockedReceiver(self, options)
  )

/**
 * Attaches a receiver in receive-and-delete mode. What the broker has sent and this program has not processed when it
 * stops is lost; prefetching makes that more.
 *
 * @category constructors
 */
export const makeDestructive: {
  <const U extends receiving.Undecodable = "deadLetter">(
    entity: string,
    options?: Options<U>
  ): Effect.Effect<
    DestructiveReceiver<Uint8Array, Failure<U>>,
    AttachError,
    ServiceBusClient.ServiceBusClient | Scope.Scope
  >
  <A, const U extends receiving.Undecodable = "deadLetter">(
    entity: ServiceBusEntity.Receivable<A>,
    options?: Options<U>
  ): Effect.Effect<DestructiveReceiver<A, Failure<U>>, AttachError, ServiceBusClient.ServiceBusClient | Scope.Scope>
} = (entity: string | ServiceBusEntity.Any, options?: Options): Effect.Effect<any, AttachError, any> =>
  Effect.map(
    open(ServiceBusEntity.contractOf(entity), options, true),
    (self) => new Reader(self, options)
  )

/** The window of a stream where no prefetch is set. */
const streamWindow = 100

const open = Effect.fnUntraced(function*(
  entity: ServiceBusEntity.Any,
  options: Options | undefined,
  destructive: boolean
) {
  const prefetch = options?.prefetch ?? 0
  if (!isCount(prefetch, 0)) {
    return yield* outOfRange(entity.path, "prefetch", `an integer from 0 to ${most}`)
  }
  if (options?.maxWait !== undefined && !(toMillis(options.maxWait) > 0)) {
    return yield* outOfRange(entity.path, "maxWait", "a duration of more than 0")
  }
  const namespace = yield* ServiceBusClient.namespaceFor(entity)
  return yield* receiving.make({ entity, namespace, destructive, prefetch })
})

const wait = (entity: string, option: string, input: Duration.Input): Result.Result<number, InvalidOptionError> => {
  const millis = toMillis(input)
  return millis >= 0 ? Result.succeed(millis) : Result.fail(outOfRange(entity, option, "a duration of 0 or more"))
}

class Reader implements Reading<unknown, unknown, unknown, MessageDecodeError> {
  readonly entity: string
  protected readonly self: receiving.Receiving
  private readonly undecodable: receiving.Undecodable
  /** Milliseconds; without end by default. */
  private readonly maxWait: number
  /** Two calls at a time would take each other's credit. */
  private readonly turn = Semaphore.makeUnsafe(1)
  /** What could not be decoded, while the messages before it are given first. */
  private failure: MessageDecodeError | undefined = undefined

  constructor(self: receiving.Receiving, options: Options | undefined) {
    this.self = self
    this.entity = self.entity.path
    this.undecodable = options?.undecodable ?? "deadLetter"
    this.maxWait = options?.maxWait === undefined ? Infinity : toMillis(options.maxWait)
    internals.set(this, { receiving: self, undecodable: this.undecodable })
  }

  receive(options?: ReceiveOptions): Effect.Effect<ReadonlyArray<any>, any> {
    return this.collect(options, this.self.entity.body)
  }

  receiveRaw(options?: ReceiveOptions): Effect.Effect<ReadonlyArray<any>, any> {
    return this.collect(options, undefined)
  }

  get messages(): Stream.Stream<any, any> {
    return this.stream(this.self.entity.body)
  }

  get messagesRaw(): Stream.Stream<any, any> {
    return this.stream(undefined)
  }

  peek(options?: PeekOptions): Effect.Effect<ReadonlyArray<any>, PeekError | MessageDecodeError> {
    return peeking.peek(this.self, options, this.self.entity.body)
  }

  peekRaw(options?: PeekOptions): Effect.Effect<ReadonlyArray<any>, PeekError | MessageDecodeError> {
    return peeking.peek(this.self, options, undefined)
  }

  browse(options?: PeekOptions): Stream.Stream<any, PeekError | MessageDecodeError> {
    return peeking.browse(this.self, options, this.self.entity.body)
  }

  receiveDeferred(
    sequenceNumbers: ReadonlyArray<bigint>
  ): Effect.Effect<ReadonlyArray<any>, ReceiveDeferredError | MessageDecodeError> {
    return deferred.receive(this.self, this, sequenceNumbers, this.undecodable)
  }

  private collect(
    options: ReceiveOptions | undefined,
    body: ServiceBusEntity.Any["body"] | undefined
  ): Effect.Effect<ReadonlyArray<unknown>, ReceiveError | MessageDecodeError> {
    const max = options?.max ?? 1
    if (!isCount(max)) return Effect.fail(outOfRange(this.entity, "max", `an integer from 1 to ${most}`))
    const maxWait = wait(this.entity, "maxWait", options?.maxWait ?? "60 seconds")
    if (Result.isFailure(maxWait)) return Effect.fail(maxWait.failure)
    const afterFirst = wait(this.entity, "maxWaitAfterFirst", options?.maxWaitAfterFirst ?? 0)
    if (Result.isFailure(afterFirst)) return Effect.fail(afterFirst.failure)
    const { self } = this
    const { namespace, prefetch } = self
    return this.turn.withPermits(1)(receiving.taking(
      self,
      "receive",
      Effect.suspend(() => {
        // What is tried again has the time that is left.
        const deadline = monotonic(self.clock) + maxWait.success
        const gather = namespace.retrying.run(this.gather(max, deadline, afterFirst.success, body))
        // Credit that nobody waits for would lock messages that nobody takes.
        return prefetch > 0 ? gather : Effect.onInterrupt(gather, () => self.link.drain)
      })
    ))
  }

  private readonly gather = Effect.fnUntraced(
    function*(
      this: Reader,
      max: number,
      deadline: number,
      afterFirst: number,
      body: ServiceBusEntity.Any["body"] | undefined
    ) {
      const { prefetch } = this.self
      for (;;) {
        if (this.failure !== undefined) return yield* this.decode(max, body)
        const link = yield* this.self.attached
        if (prefetch === 0) link.addCredit(max - link.size() - link.credit())
        else this.replenish()
        const left = Math.max(0, deadline - monotonic(this.self.clock))
        if (!(yield* this.arrival(within(link.awaitSize(1), left)))) continue
        if (afterFirst > 0 && link.size() > 0 && link.size() < max) yield* within(link.awaitSize(max), afterFirst)
        // The broker sends what it has and takes the rest of the credit back: nothing stays on its way.
        if (prefetch === 0 && link.credit() > 0) yield* link.drain
        const messages = yield* this.decode(max, body)
        // Everything that came was undecodable or expired: there is still time for more.
        if (messages.length > 0 || monotonic(this.self.clock) >= deadline) return messages
      }
    }.bind(this)
  )

  /**
   * Waits for messages; false where the link was lost after a while. An idle link is lost every ten minutes: that is no
   * failure, and no try.
   */
  private arrival<E extends ReceiveError>(waiting: Effect.Effect<unknown, E>): Effect.Effect<boolean, E> {
    return Effect.suspend(() => {
      const { clock } = this.self
      const since = monotonic(clock)
      return Effect.matchEffect(waiting, {
        onSuccess: () => Effect.succeed(true),
        onFailure: (error) =>
          canPass(error) && monotonic(clock) - since >= receiving.routine
            ? Effect.succeed(false)
            : Effect.fail(error)
      })
    })
  }

  /**
   * Takes and decodes what is in the inbox, in one synchronous step. Credit for more goes out while the messages are worked
   * on, not after.
   */
  private decode(
    max: number,
    body: ServiceBusEntity.Any["body"] | undefined,
    window = this.self.prefetch
  ): Effect.Effect<Array<unknown>, MessageDecodeError> {
    return Effect.suspend(() => {
      const { failure } = this
      if (failure !== undefined) {
        this.failure = undefined
        return Effect.fail(failure)
      }
      const { link } = this.self
      const deliveries = link.take(max)
      this.replenish(window)
      const messages: Array<unknown> = []
      for (let i = 0; i < deliveries.length; i++) {
        const message = receiving.handOut(this.self, this, deliveries[i]!, body, this.undecodable)
        if (message instanceof MessageDecodeError) {
          link.putBack(deliveries.slice(i + 1))
          if (messages.length === 0) return Effect.fail(message)
          this.failure = message
          return Effect.succeed(messages)
        }
        if (message !== undefined) messages.push(message)
      }
      return Effect.succeed(messages)
    })
  }

  private replenish(window = this.self.prefetch): void {
    const { link } = this.self
    const missing = window - link.size() - link.credit()
    if (window > 0 && missing >= window / 2) link.addCredit(missing)
  }

  private stream(
    body: ServiceBusEntity.Any["body"] | undefined
  ): Stream.Stream<unknown, ReceiveError | MessageDecodeError> {
    const { destructive, namespace, prefetch } = this.self
    const window = prefetch > 0 ? prefetch : streamWindow
    // What the broker has forgotten is given one by one: a stream that ends early leaves the rest here.
    const chunkSize = destructive ? 1 : window
    const { clock } = this.self
    const next = (deadline: number): Effect.Effect<ReadonlyArray<unknown>, ReceiveError | MessageDecodeError> =>
      Effect.suspend(() => {
        const left = deadline - monotonic(clock)
        if (left <= 0) return Effect.succeed(silence)
        return Effect.flatMap(this.self.attached, (link) => {
          this.replenish(window)
          return Effect.flatMap(this.arrival(within(link.awaitSize(1), left)), (isThere) =>
            isThere && link.size() > 0
              ? this.decode(chunkSize, body, window)
              : next(deadline))
        })
      })
    const pull: Effect.Effect<ReadonlyArray<unknown>, ReceiveError | MessageDecodeError> = Effect.suspend(() =>
      // What is here already is given without more ado.
      this.failure !== undefined || this.self.link.size() > 0
        ? this.decode(chunkSize, body, window)
        : namespace.retrying.persist(next(monotonic(clock) + this.maxWait))
    )
    // Everything that came was undecodable or expired: a chunk is not empty.
    const chunk: Pull.Pull<Arr.NonEmptyReadonlyArray<unknown>, ReceiveError | MessageDecodeError> = Effect.flatMap(
      pull,
      (messages) =>
        messages === silence ? Cause.done() : Arr.isReadonlyArrayNonEmpty(messages) ? Effect.succeed(messages) : chunk
    )
    // Without a window of its own the receiver has no credit outstanding once the stream is over, and what was not
    // taken waits for the next call.
    return Stream.unwrap(Effect.as(
      Effect.acquireRelease(
        receiving.take(this.self, "stream"),
        () =>
          Effect.ensuring(
            prefetch > 0 ? Effect.void : Effect.suspend(() => this.self.link.drain),
            receiving.leave(this.self)
          )
      ),
      Stream.fromPull(Effect.succeed(chunk))
    ))
  }
}

/** What a stream is given where nothing came in its time. */
const silence: ReadonlyArray<never> = []

const within = <A, E>(effect: Effect.Effect<A, E>, millis: number): Effect.Effect<unknown, E> =>
  Number.isFinite(millis) ? Effect.timeoutOption(effect, millis) : effect

class LockedReceiver extends Reader implements ServiceBusReceiver<any, any> {
  settle(message: LockedMessage<unknown>, settlement: Settlement.Settlement): Effect.Effect<void, SettleError> {
    return receiving.settle(this.self, this, [message], settlement)
  }
  complete(message: LockedMessage<unknown>): Effect.Effect<void, SettleError> {
    return this.settle(message, Settlement.complete)
  }
  abandon(
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ): Effect.Effect<void, SettleError> {
    return this.settle(message, Settlement.abandon(options))
  }
  defer(
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ): Effect.Effect<void, SettleError> {
    return this.settle(message, Settlement.defer(options))
  }
  deadLetter(
    message: LockedMessage<unknown>,
    options?: {
      readonly reason?: string | undefined
      readonly description?: string | undefined
      readonly properties?: Settlement.Properties | undefined
    }
  ): Effect.Effect<void, SettleError> {
    return this.settle(message, Settlement.deadLetter(options))
  }
  completeAll(messages: ReadonlyArray<LockedMessage<unknown>>): Effect.Effect<void, SettleError> {
    return receiving.settle(this.self, this, messages, Settlement.complete)
  }
  renewLock(message: LockedMessage<unknown>): Effect.Effect<DateTime.Utc, LockRenewalError> {
    return Effect.suspend(() => {
      const delivery = Locked.deliveryOf(message, this)
      return delivery === undefined
        ? Effect.fail(outOfRange(this.entity, "message", "a message that this receiver received"))
        : receiving.renewLock(this.self, message, delivery)
    })
  }
}

/** What stands behind a receiver: for the renewer and the processor. */
const internals = new WeakMap<
  object,
  { readonly receiving: receiving.Receiving; readonly undecodable: receiving.Undecodable }
>()

/** @internal */
export const internalsOf = (
  receiver: object
): { readonly receiving: receiving.Receiving; readonly undecodable: receiving.Undecodable } => {
  const found = internals.get(receiver)
  if (found === undefined) throw new Error("This receiver was not made by ServiceBusReceiver.make.")
  return found
}

/**
 * Handles each message of a stream and settles it: the Stream form of a processor. Emits the settlements.
 *
 * A handler that succeeds with nothing completes its message. One that fails has its message abandoned and fails the
 * stream; handle errors in the handler to keep the stream going. What is in flight when the stream is interrupted is
 * released with the receiver's scope.
 *
 * @category streams
 */
export const settleEach = <A, E, R>(
  handler: (body: A, message: LockedMessage<A>) => Effect.Effect<Settlement.Settlement | void, E, R>,
  options?: { readonly concurrency?: number | undefined }
) =>
<E2, R2>(
  messages: Stream.Stream<LockedMessage<A>, E2, R2>
): Stream.Stream<Settlement.Settlement, E | E2 | SettleError, R | R2> =>
  Stream.mapEffect(
    messages,
    Effect.fnUntraced(function*(message: LockedMessage<A>) {
      const receiver = Locked.ownerOf(message) as ServiceBusReceiver<A> | undefined
      if (receiver === undefined) {
        return yield* new InvalidOptionError({ option: "messages", expected: "the messages of a receiver" })
      }
      const settlement = (yield* handler(message.body, message).pipe(
        Effect.onError((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.ignore(receiver.abandon(message))
        )
      )) ?? Settlement.complete
      yield* receiver.settle(message, settlement)
      return settlement
    }),
    { concurrency: options?.concurrency ?? 1, unordered: true }
  )
