/**
 * The surface of a receiver, over what stands behind it: `receive`, streams, peeking, deferred messages and settlement, the
 * same for a receiver and inside a session.
 *
 * The types here are wider than the public ones: whether a session can be lost is known where one is made.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type InvalidOptionError,
  MessageDecodeError,
  type ReceiveError,
  ServiceBusConnectionError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import * as Settlement from "../../Settlement.ts"
import { released } from "../amqp/codec/Outcome.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import type { ReceiverLink } from "../amqp/ReceiverLink.ts"
import { bind } from "../bound.ts"
import { isUnreadable } from "../errorMap.ts"
import { monotonic } from "../monotonicClock.ts"
import { isRetryable } from "../namespace/RetryPolicy.ts"
import {
  checkedCount,
  checkedWait,
  type DeleteOptions,
  type PeekOptions,
  type PeekRawOptions,
  readOptions,
  type ReceiveOptions,
  toMillis,
  type Undecodable,
  withOptions
} from "../options.ts"
import { annotateMessages, type Hooks } from "../telemetry/Telemetry.ts"
import * as deleting from "./BatchDelete.ts"
import * as deferred from "./DeferredMessages.ts"
import { handingOver } from "./Handover.ts"
import * as peeking from "./MessageBrowser.ts"
import * as receivers from "./receivers.ts"
import * as receiving from "./ReceiverState.ts"
import * as settling from "./Settler.ts"

/** How a receiver reads. */
export interface ReaderOptions {
  readonly undecodable?: Undecodable | undefined
  readonly maxWait?: Duration.Input | undefined
}

type Lost = SessionLockLostError

const deleted: Hooks<number> = {
  onSuccess: (count, span) => span?.attribute("messaging.batch.message_count", count)
}

/** The window of a stream where no prefetch is set. */
const streamWindow = 100

/** What receivers and sessions of both modes do. */
export class Reader {
  readonly entity: string
  protected readonly self: receiving.Receiving
  private readonly undecodable: Undecodable
  /** Milliseconds; without end by default. */
  private readonly maxWait: number
  /** Two calls at a time would take each other's credit. */
  private readonly turn = Semaphore.makeUnsafe(1)
  /** Deferred messages that are here and not in anybody's hands. */
  private readonly unclaimed = new deferred.Unclaimed()
  /** How many calls have it or wait for it. */
  private calls = 0
  /** Attaches the link again, where one is lost; a call whose time is over leaves that to the next one. */
  private attaching: Fiber.Fiber<ReceiverLink, ReceiveError | Lost> | undefined = undefined
  /** What could not be decoded, while the messages before it are given first. */
  private failure: MessageDecodeError | undefined = undefined

  constructor(self: receiving.Receiving, options: ReaderOptions | undefined) {
    this.self = self
    this.entity = self.entity.path
    this.undecodable = options?.undecodable ?? "deadLetter"
    this.maxWait = options?.maxWait === undefined ? Infinity : toMillis(options.maxWait)
    bind(this)
    receivers.register(this, { receiving: self, undecodable: this.undecodable })
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

  get chunks(): Stream.Stream<any, any> {
    return this.chunked(this.self.entity.body)
  }

  peek(options?: PeekOptions): Effect.Effect<ReadonlyArray<any>, any> {
    return peeking.peek(this.self, options, this.self.entity.body)
  }

  peekRaw(options?: PeekRawOptions): Effect.Effect<ReadonlyArray<any>, any> {
    return peeking.peek(this.self, options, undefined)
  }

  browse(options?: PeekOptions): Stream.Stream<any, any> {
    return peeking.browse(this.self, options, this.self.entity.body)
  }

  browseRaw(options?: PeekRawOptions): Stream.Stream<any, any> {
    return peeking.browse(this.self, options, undefined)
  }

  deleteMessages(options?: DeleteOptions): Effect.Effect<number, any> {
    return withOptions(
      this.entity,
      options,
      (options) => this.self.telemetry.run("delete", () => deleting.deleteMessages(this.self, options), deleted)
    )
  }

  purge(options?: DeleteOptions): Effect.Effect<number, any> {
    return withOptions(
      this.entity,
      options,
      (options) => this.self.telemetry.run("delete", () => deleting.purge(this.self, options), deleted)
    )
  }

  receiveDeferred(
    sequenceNumbers: ReadonlyArray<bigint>
  ): Effect.Effect<ReadonlyArray<any>, any> {
    const { self, undecodable, unclaimed } = this
    return deferred.handedOver(self, unclaimed, (claim) =>
      self.telemetry.run(
        "receive_deferred",
        () => deferred.receive(self, this, sequenceNumbers, undecodable, unclaimed, claim),
        {
          onSuccess: (messages, span) => {
            self.telemetry.countConsumed("receive_deferred", messages.length)
            if (span !== undefined) annotateMessages(span, messages)
          }
        }
      ))
  }

  private collect(
    given: ReceiveOptions | undefined,
    body: ServiceBusEntity.Any["body"] | undefined
  ): Effect.Effect<ReadonlyArray<unknown>, ReceiveError | Lost | MessageDecodeError> {
    const read = readOptions(this.entity, given)
    if (Result.isFailure(read)) return Effect.fail(read.failure)
    const options = read.success
    const most = checkedCount(this.entity, "max", options.max ?? 1)
    if (Result.isFailure(most)) return Effect.fail(most.failure)
    const max = most.success
    const maxWait = checkedWait(this.entity, "maxWait", options.maxWait ?? "60 seconds")
    if (Result.isFailure(maxWait)) return Effect.fail(maxWait.failure)
    const afterFirst = checkedWait(this.entity, "maxWaitAfterFirst", options.maxWaitAfterFirst ?? 0)
    if (Result.isFailure(afterFirst)) return Effect.fail(afterFirst.failure)
    return Effect.suspend(() => {
      const claim = new Claim()
      const { clock } = this.self
      const deadline = monotonic(clock) + maxWait.success
      return handingOver(
        this.inTurn(deadline, this.taking(max, deadline, afterFirst.success, body, claim)),
        (isInterrupted) => this.unclaim(claim, isInterrupted),
        this.given
      )
    })
  }

  /** One call after the other: one that waits for others has nothing when its time is over. */
  private inTurn<E>(
    deadline: number,
    call: Effect.Effect<ReadonlyArray<unknown>, E>
  ): Effect.Effect<ReadonlyArray<unknown>, E> {
    let isBegun = false
    const mine = this.turn.withPermits(1)(Effect.suspend(() => {
      isBegun = true
      return call
    }))
    const left = Math.max(0, deadline - monotonic(this.self.clock))
    const inTime = this.calls++ === 0 || left === Infinity ? mine : Effect.raceFirst(
      mine,
      Effect.andThen(Effect.sleep(left), Effect.suspend(() => isBegun ? Effect.never : Effect.succeed(silence)))
    )
    return Effect.onExitPrimitive(inTime, () => {
      this.calls--
      return undefined
    })
  }

  /** The link, attached again where it was lost; undefined where that takes longer. */
  private attachedBy(deadline: number): Effect.Effect<ReceiverLink | undefined, ReceiveError | Lost> {
    return Effect.suspend((): Effect.Effect<ReceiverLink | undefined, ReceiveError | Lost> => {
      const { attached, clock, link, session } = this.self
      if (this.attaching === undefined && (session !== undefined || link.link.dead() === undefined)) return attached
      let fiber = this.attaching
      if (fiber === undefined) {
        const begun = fiber = this.attaching = this.self.fork(attached)
        // What comes of it is told to those who wait, and not to later ones.
        begun.addObserver(() => {
          if (this.attaching === begun) this.attaching = undefined
        })
      }
      const left = deadline - monotonic(clock)
      return left === Infinity
        ? Fiber.join(fiber)
        : Effect.map(Effect.timeoutOption(Fiber.join(fiber), Math.max(0, left)), Option.getOrUndefined)
    })
  }

  private taking(
    max: number,
    deadline: number,
    afterFirst: number,
    body: ServiceBusEntity.Any["body"] | undefined,
    claim: Claim
  ): Effect.Effect<ReadonlyArray<unknown>, ReceiveError | Lost | MessageDecodeError> {
    const { self } = this
    const { namespace, prefetch } = self
    return receiving.taking(
      self,
      "receive",
      Effect.suspend(() => {
        // What is tried again has the time that is left; what is held back until then gives what is here.
        const until = Math.max(deadline, monotonic(self.clock) + leastPatience)
        const gather = self.telemetry.runReceive(
          namespace.retryPolicy.runIdempotent(this.gather(max, deadline, until, afterFirst, body, claim), {
            until,
            otherwise: this.decode(max, body, claim)
          })
        )
        // Credit that nobody waits for would lock messages that nobody takes.
        return prefetch > 0 ? gather : Effect.onInterrupt(gather, () => self.link.drain)
      })
    )
  }

  /** Messages that their caller has now. */
  private readonly given = (messages: ReadonlyArray<unknown>): void =>
    this.self.telemetry.countConsumed("receive", messages.length)

  /** What was taken out for a caller that is interrupted before he has it is there again, for the next one. */
  private unclaim(claim: Claim, isInterrupted: boolean): void {
    const { deliveries, failure } = claim
    claim.deliveries = []
    claim.failure = undefined
    const { destructive, link } = this.self
    const back = deliveries.filter((delivery) => destructive || delivery.holder.isUnsettled(delivery))
    if (back.length > 0) link.putBack(back)
    // Else it is what the caller is told.
    if (isInterrupted) this.failure ??= failure
  }

  private readonly gather = Effect.fnUntraced(
    function*(
      this: Reader,
      max: number,
      deadline: number,
      patience: number,
      afterFirst: number,
      body: ServiceBusEntity.Any["body"] | undefined,
      claim: Claim
    ) {
      const { prefetch } = this.self
      for (;;) {
        if (this.failure !== undefined) return yield* this.decode(max, body, claim)
        const link = yield* this.attachedBy(patience)
        if (link === undefined) return yield* this.decode(max, body, claim)
        if (prefetch === 0) link.addCredit(max - link.size() - link.credit())
        else this.replenish()
        const left = Math.max(0, deadline - monotonic(this.self.clock))
        if (!(yield* this.arrival(within(link.awaitSize(1), left)))) continue
        if (afterFirst > 0 && link.size() > 0 && link.size() < max) yield* within(link.awaitSize(max), afterFirst)
        // The broker sends what it has and takes the rest of the credit back: nothing stays on its way.
        if (prefetch === 0 && link.credit() > 0) yield* link.drain
        const messages = yield* this.decode(max, body, claim)
        // Everything that came was undecodable or expired: there is still time for more.
        if (messages.length > 0 || monotonic(this.self.clock) >= deadline) return messages
      }
    }.bind(this)
  )

  /**
   * Waits for messages; false where the link was lost after a while. An idle link is lost every ten minutes: that is no
   * failure, and no try.
   */
  private arrival<E extends ReceiveError | Lost>(
    waiting: Effect.Effect<unknown, E>
  ): Effect.Effect<boolean, E | Lost | ServiceBusConnectionError> {
    return Effect.suspend(() => {
      const { clock } = this.self
      const since = monotonic(clock)
      return Effect.matchEffect(this.whileHeld(waiting), {
        onSuccess: () => Effect.succeed(true),
        onFailure: (error: E | Lost | ServiceBusConnectionError) => {
          const { link, namespace, session } = this.self
          if (isRetryable(error)) {
            return monotonic(clock) - since >= receiving.routine ? Effect.succeed(false) : Effect.fail(error)
          }
          // A link that was attached is lost, whatever for: what is not allowed is said where it is attached again.
          return session !== undefined || link.link.dead() === undefined || isUnreadable(error) ||
              namespace.options.retry.maxRetries === 0
            ? Effect.fail(error)
            : Effect.fail(
              new ServiceBusConnectionError({
                entity: this.entity,
                operation: "receive",
                description: "the link was lost",
                cause: error
              })
            )
        }
      })
    })
  }

  /** A session may be lost while its link lives: its lock could not be renewed, or its time is over. */
  private whileHeld<A, E>(waiting: Effect.Effect<A, E>): Effect.Effect<A, E | Lost | ServiceBusConnectionError> {
    const { session } = this.self
    return session === undefined ? waiting : Effect.raceFirst(
      waiting,
      Effect.callback<never, Lost | ServiceBusConnectionError>((resume) => {
        const ended = session.ended()
        if (ended !== undefined) return resume(Effect.fail(ended))
        return Effect.sync(session.onEnd((end) => resume(Effect.fail(end))))
      })
    )
  }

  /**
   * Takes and decodes what is in the inbox, in one synchronous step. Credit for more goes out while the messages are worked
   * on, not after.
   */
  private decode(
    max: number,
    body: ServiceBusEntity.Any["body"] | undefined,
    claim: Claim,
    window = this.self.prefetch
  ): Effect.Effect<Array<any>, MessageDecodeError> {
    return Effect.suspend(() => {
      const { failure } = this
      if (failure !== undefined) {
        this.failure = undefined
        claim.failure = failure
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
          if (messages.length === 0) {
            claim.failure = message
            return Effect.fail(message)
          }
          this.failure = message
          break
        }
        if (message === undefined) continue
        messages.push(message)
        claim.deliveries.push(deliveries[i]!)
      }
      return Effect.succeed(messages)
    })
  }

  private replenish(window = this.self.prefetch): void {
    const { link } = this.self
    const missing = window - link.size() - link.credit()
    if (window > 0 && missing >= window / 2) link.addCredit(missing)
  }

  /**
   * Chunks as they come, at most `size` messages in each: only what is pulled is handed out. Without a window of its own
   * the receiver has no credit outstanding once the stream is over, and what came and was not pulled goes back.
   */
  private pulling(
    body: ServiceBusEntity.Any["body"] | undefined,
    size: number
  ): Effect.Effect<
    Pull.Pull<Arr.NonEmptyReadonlyArray<unknown>, ReceiveError | Lost | MessageDecodeError>,
    InvalidOptionError,
    Scope.Scope
  > {
    const { clock, destructive, prefetch, session } = this.self
    const { window } = this
    const next = (
      deadline: number
    ): Effect.Effect<ReadonlyArray<unknown>, ReceiveError | Lost | MessageDecodeError> =>
      Effect.suspend(() => {
        const left = deadline - monotonic(clock)
        if (left <= 0) return Effect.succeed(silence)
        return Effect.flatMap(this.attachedBy(deadline), (link) => {
          if (link === undefined) return next(deadline)
          this.replenish(window)
          return Effect.flatMap(this.arrival(within(link.awaitSize(1), left)), (isThere) =>
            isThere && link.size() > 0
              ? this.decode(size, body, claim, window)
              : next(deadline))
        })
      })
    // One for all pulls: there is one at a time.
    const claim = new Claim()
    const pull: Effect.Effect<ReadonlyArray<unknown>, ReceiveError | Lost | MessageDecodeError> = handingOver(
      Effect.suspend(() =>
        // What is here already is given without more ado.
        this.failure !== undefined || this.self.link.size() > 0
          ? this.decode(size, body, claim, window)
          : this.persisting(next)
      ),
      (isInterrupted) => this.unclaim(claim, isInterrupted),
      (messages) => {
        claim.deliveries = []
        this.given(messages)
      }
    )
    // Everything that came was undecodable or expired: a chunk is not empty.
    const chunk: Pull.Pull<Arr.NonEmptyReadonlyArray<unknown>, ReceiveError | Lost | MessageDecodeError> = Effect
      .flatMap(
        pull,
        (messages) =>
          messages === silence ? Cause.done() : Arr.isReadonlyArrayNonEmpty(messages) ? Effect.succeed(messages) : chunk
      )
    const giveBack = Effect.suspend(() => {
      const { link } = this.self
      return Effect.andThen(
        link.drain,
        Effect.sync(() => {
          // What the broker has forgotten, and what a session has in order, waits for the next call.
          if (!destructive && session === undefined) link.dispose(link.take(Infinity), released)
        })
      )
    })
    return Effect.as(
      Effect.acquireRelease(
        receiving.take(this.self, "stream"),
        () => Effect.ensuring(prefetch > 0 ? Effect.void : giveBack, receiving.leave(this.self))
      ),
      chunk
    )
  }

  /** Runs until it has something, or its time is over. */
  private persisting<E extends ReceiveError | Lost | MessageDecodeError>(
    next: (deadline: number) => Effect.Effect<ReadonlyArray<unknown>, E>
  ): Effect.Effect<ReadonlyArray<unknown>, E> {
    const { clock, namespace: { retryPolicy } } = this.self
    const until = monotonic(clock) + this.maxWait
    return retryPolicy.retryUntilSuccess(
      next(until),
      until === Infinity ? undefined : { until, otherwise: Effect.succeed(silence) }
    )
  }

  private stream(
    body: ServiceBusEntity.Any["body"] | undefined
  ): Stream.Stream<unknown, ReceiveError | Lost | MessageDecodeError> {
    return Stream.unwrap(Effect.map(this.pulling(body, 1), (pull) => Stream.fromPull(Effect.succeed(pull))))
  }

  private get window(): number {
    return this.self.prefetch > 0 ? this.self.prefetch : streamWindow
  }

  private chunked(
    body: ServiceBusEntity.Any["body"] | undefined
  ): Stream.Stream<any, ReceiveError | Lost | MessageDecodeError> {
    return Stream.unwrap(Effect.map(
      this.pulling(body, this.window),
      (pull) => Stream.fromPull(Effect.succeed(Effect.map(pull, (messages) => [messages] as const)))
    ))
  }
}

/** What was taken out of the inbox for one caller, and is not his yet. */
class Claim {
  deliveries: Array<IncomingDelivery> = []
  failure: MessageDecodeError | undefined = undefined
}

/**
 * For how long a call waits at least where its link is lost or the service throttles, in milliseconds: a call that waits for
 * nothing is to see what the broker has.
 */
const leastPatience = 1_000

/** What is given where nothing came in its time. */
const silence: ReadonlyArray<never> = []

const within = <A, E>(effect: Effect.Effect<A, E>, millis: number): Effect.Effect<unknown, E> =>
  Number.isFinite(millis) ? Effect.timeoutOption(effect, millis) : effect

/** What settles, beside: the public types say which errors there are. */
export class LockedReader extends Reader {
  settle(message: LockedMessage<unknown>, settlement: Settlement.Settlement): Effect.Effect<void, any> {
    return settling.settle(this.self, this, [message], settlement)
  }
  complete(message: LockedMessage<unknown>): Effect.Effect<void, any> {
    return this.settle(message, Settlement.complete)
  }
  abandon(
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ): Effect.Effect<void, any> {
    return this.saying(message, options, Settlement.abandon)
  }
  defer(
    message: LockedMessage<unknown>,
    options?: { readonly properties?: Settlement.Properties | undefined }
  ): Effect.Effect<void, any> {
    return this.saying(message, options, Settlement.defer)
  }
  deadLetter(
    message: LockedMessage<unknown>,
    options?: {
      readonly reason?: string | undefined
      readonly description?: string | undefined
      readonly properties?: Settlement.Properties | undefined
    }
  ): Effect.Effect<void, any> {
    return this.saying(message, options, Settlement.deadLetter)
  }
  private saying<O extends object>(
    message: LockedMessage<unknown>,
    options: O | undefined,
    settlement: (options: O) => Settlement.Settlement
  ): Effect.Effect<void, any> {
    return withOptions(this.entity, options, (options) => this.settle(message, settlement(options as O)))
  }
  settleAll(
    messages: ReadonlyArray<LockedMessage<unknown>>,
    settlement: Settlement.Settlement
  ): Effect.Effect<void, any> {
    return settling.settle(this.self, this, messages, settlement)
  }
  completeAll(messages: ReadonlyArray<LockedMessage<unknown>>): Effect.Effect<void, any> {
    return settling.settle(this.self, this, messages, Settlement.complete)
  }
}
