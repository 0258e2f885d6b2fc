/**
 * Takes messages off a receiver: one array for a call of `receive`, or the chunks of a stream. It asks the broker for as
 * many messages as its callers wait for, and keeps the prefetch window filled where there is one.
 *
 * A caller that is interrupted, or whose call fails, loses nothing: what was taken for it and not handed to it is back in
 * the inbox, for the next one.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { ServiceBusBody } from "../../ServiceBusBody.ts"
import {
  InvalidOptionError,
  MessageDecodeError,
  type ReceiveError,
  ServiceBusConnectionError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import { released } from "../amqp/codec/Outcome.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import type { ReceiverLink } from "../amqp/ReceiverLink.ts"
import { isUnreadable } from "../errorMap.ts"
import { monotonic } from "../monotonicClock.ts"
import { stableAfter } from "../namespace/RecoveringLink.ts"
import { isRetryable } from "../namespace/RetryPolicy.ts"
import { checkedCount, checkedWait, readOptions, type ReceiveOptions } from "../options.ts"
import * as Handover from "./Handover.ts"
import {
  consuming,
  decodeOrDispose,
  type MessageOf,
  type Mode,
  narrowErrorsTo,
  type ReceiverState,
  startConsuming,
  stopConsuming
} from "./ReceiverState.ts"

/** The codec of the bodies; undefined where they are not decoded. */
type Body<B> = ServiceBusBody<B, never> | undefined

/** The window of a stream where no prefetch is set. */
const streamWindow = 100

/** The parameters are those of `ReceiverState`. */
export class MessageReader<
  A,
  D extends Mode,
  E extends MessageDecodeError,
  L extends SessionLockLostError
> {
  private readonly state: ReceiverState<A, D, E, L>
  /** How long a stream waits for a message before it ends, in milliseconds; Infinity for without end. */
  private readonly maxWait: number
  /** Two calls at a time would take each other's credit. */
  private readonly turn = Semaphore.makeUnsafe(1)
  /** How many calls have it or wait for it. */
  private calls = 0
  /** Attaches the link again, where one is lost; a call whose time is over leaves that to the next one. */
  private attaching: Fiber.Fiber<ReceiverLink, ReceiveError | L> | undefined = undefined
  /** What could not be decoded, while the messages before it are given first. */
  private failure: E | InvalidOptionError | undefined = undefined

  constructor(state: ReceiverState<A, D, E, L>, maxWait: number) {
    this.state = state
    this.maxWait = maxWait
  }

  /** Up to as many messages as the options say; none where none came in time. */
  receive<B>(
    input: ReceiveOptions | undefined,
    body: Body<B>
  ): Effect.Effect<ReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> {
    const entity = this.state.entity.path
    const read = readOptions(entity, input)
    if (Result.isFailure(read)) return Effect.fail(read.failure)
    const options = read.success
    const most = checkedCount(entity, "max", options.max ?? 1)
    if (Result.isFailure(most)) return Effect.fail(most.failure)
    const max = most.success
    const maxWait = checkedWait(entity, "maxWait", options.maxWait ?? "60 seconds")
    if (Result.isFailure(maxWait)) return Effect.fail(maxWait.failure)
    const afterFirst = checkedWait(entity, "maxWaitAfterFirst", options.maxWaitAfterFirst ?? 0)
    if (Result.isFailure(afterFirst)) return Effect.fail(afterFirst.failure)
    return Effect.suspend(() => {
      const taken = new Taken<E>()
      const { clock } = this.state
      const deadline = monotonic(clock) + maxWait.success
      return Handover.run(
        this.inTurn(deadline, this.take(max, deadline, afterFirst.success, body, taken)),
        (isInterrupted) => this.putBack(taken, isInterrupted),
        this.consumed
      )
    })
  }

  /** One call after the other: one that waits for others has nothing when its time is over. */
  private inTurn<M, Err>(
    deadline: number,
    call: Effect.Effect<ReadonlyArray<M>, Err>
  ): Effect.Effect<ReadonlyArray<M>, Err> {
    let isBegun = false
    const mine = this.turn.withPermits(1)(Effect.suspend(() => {
      isBegun = true
      return call
    }))
    const left = Math.max(0, deadline - monotonic(this.state.clock))
    const inTime = this.calls++ === 0 || left === Infinity ? mine : Effect.raceFirst(
      mine,
      Effect.andThen(Effect.sleep(left), Effect.suspend(() => isBegun ? Effect.never : Effect.succeed(nothing)))
    )
    return Effect.onExitPrimitive(inTime, () => {
      this.calls--
      return undefined
    })
  }

  /** The link, attached again where it was lost; undefined where that takes longer. */
  private attachedBy(deadline: number): Effect.Effect<ReceiverLink | undefined, ReceiveError | L> {
    return Effect.suspend((): Effect.Effect<ReceiverLink | undefined, ReceiveError | L> => {
      const { attached, clock, link, session } = this.state
      if (this.attaching === undefined && (session !== undefined || link.link.dead() === undefined)) return attached
      let fiber = this.attaching
      if (fiber === undefined) {
        const begun = fiber = this.attaching = this.state.fork(attached)
        // Its exit is that of the calls that wait for it, and not of later ones.
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

  private take<B>(
    max: number,
    deadline: number,
    afterFirst: number,
    body: Body<B>,
    taken: Taken<E>
  ): Effect.Effect<ReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> {
    const { state } = this
    const { namespace, prefetch } = state
    return consuming(
      state,
      "receive",
      Effect.suspend(() => {
        // What is tried again has the time that is left; what is held back until then gives what is here.
        const until = Math.max(deadline, monotonic(state.clock) + leastPatience)
        const gather = state.telemetry.runReceive(
          namespace.retryPolicy.runIdempotent(this.gather(max, deadline, until, afterFirst, body, taken), {
            until,
            otherwise: this.decode(max, body, taken)
          }, state.onRetry)
        )
        // Credit that no caller waits for would lock messages that none takes.
        return prefetch > 0 ? gather : Effect.onInterrupt(gather, () => state.link.drain)
      })
    )
  }

  /** Messages that their caller has now. */
  private readonly consumed = (messages: ReadonlyArray<unknown>): void =>
    this.state.telemetry.countConsumed("receive", messages.length)

  /** Puts back what was taken for a caller that is interrupted before it has it, for the next one. */
  private putBack(taken: Taken<E>, isInterrupted: boolean): void {
    const { deliveries, failure } = taken
    taken.deliveries = []
    taken.failure = undefined
    const { link, mode } = this.state
    const back = deliveries.filter((delivery) => mode === "destructive" || delivery.holder.isUnsettled(delivery))
    if (back.length > 0) link.putBack(back)
    // Else it is what the caller is told.
    if (isInterrupted) this.failure ??= failure
  }

  private gather<B>(
    max: number,
    deadline: number,
    patience: number,
    afterFirst: number,
    body: Body<B>,
    taken: Taken<E>
  ): Effect.Effect<ReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> {
    return Effect.gen({ self: this }, function*() {
      const { prefetch } = this.state
      for (;;) {
        if (this.failure !== undefined) return yield* this.decode(max, body, taken)
        const link = yield* this.attachedBy(patience)
        if (link === undefined) return yield* this.decode(max, body, taken)
        if (prefetch === 0) link.addCredit(max - link.size() - link.credit())
        else this.replenish()
        const left = Math.max(0, deadline - monotonic(this.state.clock))
        if (!(yield* this.arrival(within(narrowErrorsTo(this.state, link.awaitSize(1)), left)))) continue
        if (afterFirst > 0 && link.size() > 0 && link.size() < max) {
          yield* within(narrowErrorsTo(this.state, link.awaitSize(max)), afterFirst)
        }
        // The broker sends what it has and takes the rest of the credit back: nothing stays on its way.
        if (prefetch === 0 && link.credit() > 0) yield* link.drain
        const messages = yield* this.decode(max, body, taken)
        // Everything that came was undecodable or expired: there is still time for more.
        if (messages.length > 0 || monotonic(this.state.clock) >= deadline) return messages
      }
    })
  }

  /**
   * Waits for messages; false where the link was lost after a while. An idle link is lost every ten minutes: that is no
   * failure, and no try.
   */
  private arrival(waiting: Effect.Effect<unknown, ReceiveError | L>): Effect.Effect<boolean, ReceiveError | L> {
    return Effect.suspend(() => {
      const { clock } = this.state
      const since = monotonic(clock)
      return Effect.matchEffect(this.whileHeld(waiting), {
        onSuccess: () => Effect.succeed(true),
        onFailure: (error) => {
          const { link, namespace, session } = this.state
          if (isRetryable(error)) {
            return monotonic(clock) - since >= stableAfter ? Effect.succeed(false) : Effect.fail(error)
          }
          // A link that was attached is lost, whatever for: what is not allowed is said where it is attached again.
          return session !== undefined || link.link.dead() === undefined || isUnreadable(error) ||
              namespace.options.retry.maxRetries === 0
            ? Effect.fail(error)
            : Effect.fail(
              new ServiceBusConnectionError({
                entity: this.state.entity.path,
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
  private whileHeld<B, Err>(waiting: Effect.Effect<B, Err>): Effect.Effect<B, Err | L | ServiceBusConnectionError> {
    const { session } = this.state
    return session === undefined ? waiting : Effect.raceFirst(
      waiting,
      Effect.callback<never, L | ServiceBusConnectionError>((resume) => {
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
  private decode<B>(
    max: number,
    body: Body<B>,
    taken: Taken<E>,
    window = this.state.prefetch
  ): Effect.Effect<ReadonlyArray<MessageOf<D, B>>, E | InvalidOptionError> {
    return Effect.suspend((): Effect.Effect<ReadonlyArray<MessageOf<D, B>>, E | InvalidOptionError> => {
      const { failure } = this
      if (failure !== undefined) {
        this.failure = undefined
        taken.failure = failure
        return Effect.fail(failure)
      }
      const { link } = this.state
      const deliveries = link.take(max)
      this.replenish(window)
      const messages: Array<MessageOf<D, B>> = []
      for (let i = 0; i < deliveries.length; i++) {
        const message = decodeOrDispose(this.state, deliveries[i]!, body)
        if (message instanceof MessageDecodeError || message instanceof InvalidOptionError) {
          link.putBack(deliveries.slice(i + 1))
          if (messages.length === 0) {
            taken.failure = message
            return Effect.fail(message)
          }
          this.failure = message
          break
        }
        if (message === undefined) continue
        messages.push(message)
        taken.deliveries.push(deliveries[i]!)
      }
      return Effect.succeed(messages)
    })
  }

  private replenish(window = this.state.prefetch): void {
    const { link } = this.state
    const missing = window - link.size() - link.credit()
    if (window > 0 && missing >= window / 2) link.addCredit(missing)
  }

  /**
   * Chunks as they come, at most `size` messages in each: only what is pulled is taken. Without a window of its own
   * the receiver has no credit outstanding once the stream is over, and what came and was not pulled goes back.
   */
  private pull<B>(
    body: Body<B>,
    size: number
  ): Effect.Effect<
    Pull.Pull<Arr.NonEmptyReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L>,
    InvalidOptionError,
    Scope.Scope
  > {
    const { clock, mode, prefetch, session } = this.state
    const { window } = this
    const next = (
      deadline: number
    ): Effect.Effect<ReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> =>
      Effect.suspend(() => {
        const left = deadline - monotonic(clock)
        if (left <= 0) return Effect.succeed(nothing)
        return Effect.flatMap(this.attachedBy(deadline), (link) => {
          if (link === undefined) return next(deadline)
          this.replenish(window)
          return Effect.flatMap(this.arrival(within(narrowErrorsTo(this.state, link.awaitSize(1)), left)), (isThere) =>
            isThere && link.size() > 0
              ? this.decode(size, body, taken, window)
              : next(deadline))
        })
      })
    // One for all pulls: there is one at a time.
    const taken = new Taken<E>()
    const pull: Effect.Effect<ReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> = Handover.run(
      Effect.suspend(() =>
        // What is here already is given at once.
        this.failure !== undefined || this.state.link.size() > 0
          ? this.decode(size, body, taken, window)
          : this.retryUntil(next)
      ),
      (isInterrupted) => this.putBack(taken, isInterrupted),
      (messages) => {
        taken.deliveries = []
        this.consumed(messages)
      }
    )
    // Everything that came was undecodable or expired: a chunk is not empty.
    const chunk: Pull.Pull<Arr.NonEmptyReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> = Effect
      .flatMap(
        pull,
        (messages) =>
          messages === nothing ? Cause.done() : Arr.isReadonlyArrayNonEmpty(messages) ? Effect.succeed(messages) : chunk
      )
    const giveBack = Effect.suspend(() => {
      const { link } = this.state
      return Effect.andThen(
        link.drain,
        Effect.sync(() => {
          // What the broker has forgotten, and what a session has in order, waits for the next call.
          if (mode === "locked" && session === undefined) link.dispose(link.take(Infinity), released)
        })
      )
    })
    return Effect.as(
      Effect.acquireRelease(
        startConsuming(this.state, "stream"),
        () => Effect.ensuring(prefetch > 0 ? Effect.void : giveBack, stopConsuming(this.state))
      ),
      chunk
    )
  }

  /** Runs until it has something, or the stream has waited long enough. */
  private retryUntil<M>(
    next: (deadline: number) => Effect.Effect<ReadonlyArray<M>, ReceiveError | E | L>
  ): Effect.Effect<ReadonlyArray<M>, ReceiveError | E | L> {
    const { clock, namespace: { retryPolicy } } = this.state
    const until = monotonic(clock) + this.maxWait
    return retryPolicy.retryUntilSuccess(
      next(until),
      until === Infinity ? undefined : { until, otherwise: Effect.succeed(nothing) },
      this.state.onRetry
    )
  }

  /** Messages one by one. */
  stream<B>(body: Body<B>): Stream.Stream<MessageOf<D, B>, ReceiveError | E | L> {
    return Stream.unwrap(
      Effect.suspend(() => Effect.map(this.pull(body, 1), (pull) => Stream.fromPull(Effect.succeed(pull))))
    )
  }

  private get window(): number {
    return this.state.prefetch > 0 ? this.state.prefetch : streamWindow
  }

  /** Messages in the chunks in which they come. */
  chunks<B>(body: Body<B>): Stream.Stream<Arr.NonEmptyReadonlyArray<MessageOf<D, B>>, ReceiveError | E | L> {
    return Stream.unwrap(Effect.suspend(() =>
      Effect.map(
        this.pull(body, this.window),
        (pull) => Stream.fromPull(Effect.succeed(Effect.map(pull, (messages) => [messages] as const)))
      )
    ))
  }
}

/** What was taken out of the inbox for one caller that does not have it yet. */
class Taken<E> {
  deliveries: Array<IncomingDelivery> = []
  failure: E | InvalidOptionError | undefined = undefined
}

/**
 * For how long a call waits at least where its link is lost or the service throttles, in milliseconds: a call that waits for
 * nothing is to see what the broker has.
 */
const leastPatience = 1_000

/** What is given where nothing came in its time. */
const nothing: ReadonlyArray<never> = []

const within = <A, E>(effect: Effect.Effect<A, E>, millis: number): Effect.Effect<unknown, E> =>
  Number.isFinite(millis) ? Effect.timeoutOption(effect, millis) : effect
