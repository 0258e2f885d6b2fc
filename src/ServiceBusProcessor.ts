/**
 * The consumer loop: takes messages off a receiver, its own or one that it is given, runs a handler for each of up to
 * `concurrency` messages at a time (or batches of them), keeps their locks, and settles each as its handler says. It comes as
 * an effect that runs (`process`), as a layer (`layer`), and as a value with operations (`make`).
 *
 * At-least-once. A handler's failure never ends the loop: `onFailure` decides about the message. A lock that is lost
 * interrupts the handler that held it and is counted. Closing the scope drains: no new messages, handlers finish within
 * `drainTimeout`, the rest is released.
 *
 * One file because the three shapes (single, batched, of sessions) are read beside each other; most of its lines are docstrings.
 *
 * @module
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Namespace from "./internal/namespace/Namespace.ts"
import { checkedCount, checkedWait, readOptions } from "./internal/options.ts"
import * as HandlerResult from "./internal/processor/HandlerResult.ts"
import * as HandlerRetry from "./internal/processor/HandlerRetry.ts"
import * as MessageProcessor from "./internal/processor/MessageProcessor.ts"
import type { Counts, DrainReport, SessionCounts } from "./internal/processor/ProcessorCounts.ts"
import * as ProcessorOptions from "./internal/processor/ProcessorOptions.ts"
import { start as startSessionProcessor } from "./internal/processor/SessionProcessor.ts"
import * as ReceiverState from "./internal/receiver/ReceiverState.ts"
import * as SessionSurface from "./internal/session/SessionSurface.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import type { AttachError, InvalidOptionError, ReceiveError } from "./ServiceBusError.ts"
import type { LogLevelOption } from "./ServiceBusEvent.ts"
import type { LockedMessage } from "./ServiceBusMessage.ts"
import * as ServiceBusReceiver from "./ServiceBusReceiver.ts"
import type * as ServiceBusSession from "./ServiceBusSession.ts"
import type * as Settlement from "./Settlement.ts"

/**
 * What a handler is given, and what it says.
 *
 * @category models
 * @since 0.1.0
 */
export type Handler<in A, out E = never, out R = never, in P = unknown> = (
  body: A,
  message: LockedMessage<A> & P
) => Effect.Effect<Settlement.Settlement | void, E, R>

/**
 * What a handler of batches is given, and what it says: one settlement for all of its messages, one for each of them in
 * their order, or nothing, which completes all.
 *
 * @category models
 * @since 0.1.0
 */
export type BatchHandler<in A, out E = never, out R = never, in P = unknown> = (
  messages: Arr.NonEmptyReadonlyArray<LockedMessage<A> & P>
) => Effect.Effect<Settlement.Settlement | Iterable<Settlement.Settlement> | void, E, R>

/**
 * How a processor works.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<in A = never, in E = never, in P = unknown> extends CommonOptions<A, E, P>, RetryOption<E> {}

/**
 * How a processor of single messages or of batches works.
 *
 * @category models
 * @since 0.1.0
 */
export interface CommonOptions<in A = never, in E = never, in P = unknown> {
  /** How many handlers run at a time, 1 to 5000. 1 by default. */
  readonly concurrency?: number | undefined
  /**
   * How many messages may wait beside those that are handled, 0 to 5000; by default as many as are handled at a time. Their
   * locks are kept while they wait.
   */
  readonly prefetch?: number | undefined
  /**
   * What becomes of a message whose handler failed; `Settlement.abandon()` by default, so that it comes again. A handler
   * that ends as interrupted has failed as well, unless the processor interrupted it: for a lock that was lost, or at the
   * end of `drainTimeout`. So has one that gives what is no settlement, or one that can never be made: with properties that
   * no message may have, or a retry that is not possible. The cause is then a defect, the MessageEncodeError,
   * InvalidOptionError, NotSupportedError or MessageSizeExceededError; without `onFailure`, and where it gives such a
   * settlement too, the message is dead-lettered with the error's name as the reason, which the log warns of. It is not asked
   * for a message that its handler settled or handed over itself.
   */
  readonly onFailure?:
    | ((cause: Cause.Cause<E>, message: LockedMessage<A> & P) => Settlement.Settlement)
    | undefined
  /**
   * For how long the lock of a message is renewed, from its arrival on; 5 minutes by default, 0 for never,
   * `Duration.infinity` for as long as the handler takes. When it is over the handler goes on, and is interrupted only when
   * the lock then ends.
   */
  readonly maxLockRenewal?: Duration.Input | undefined
  /** How long handlers may go on once the processor drains; 30 seconds by default. */
  readonly drainTimeout?: Duration.Input | undefined
  /** The level at which its events are logged; by default what the client's option of this name says. */
  readonly logLevel?: LogLevelOption | undefined
}

/**
 * When a handler that failed is run again.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryOption<in E = never> {
  /**
   * Has a handler that failed run again in place, as `Effect.retry` would, while the locks of its messages are kept: by a
   * schedule, or by a policy. Not at all by default. `onFailure` decides once it is not run again; a defect goes there at
   * once, and an interruption or a lost lock ends it. Each run has a scope of its own.
   */
  readonly retry?: Schedule.Schedule<unknown, E> | RetryPolicy<E> | undefined
}

/**
 * Whether and when a handler that failed is run again: what `Effect.retry` takes, at least one of these. All that are given
 * must allow it. A predicate that throws is a defect of the handler.
 *
 * @category models
 * @since 0.1.0
 */
export interface RetryPolicy<in E = never> {
  /** How many more times it is run at most, 0 or more; without end by default. */
  readonly times?: number | undefined
  /** Has it run again only while this is true of its error. */
  readonly while?: ((error: E) => boolean | Effect.Effect<boolean>) | undefined
  /** Has it run again only until this is true of its error. */
  readonly until?: ((error: E) => boolean | Effect.Effect<boolean>) | undefined
  /** When it is run again; its input is the handler's error. At once by default. */
  readonly schedule?: Schedule.Schedule<unknown, E> | undefined
}

/**
 * How a processor of batches works.
 *
 * @category models
 * @since 0.1.0
 */
export interface BatchOptions<in A = never, in E = never, in P = unknown>
  extends CommonOptions<A, E | InvalidOptionError, P>, RetryOption<E>
{
  /** The most messages of a batch, 1 to 5000. A processor has at most 5000 at a time, whatever `concurrency` is. */
  readonly size: number
  /**
   * How long a batch may wait to fill, from the arrival of its first message on; by default not at all: a handler gets what
   * is there.
   */
  readonly within?: Duration.Input | undefined
}

/**
 * What a processor takes messages from: a receiver; or an entity, as a contract or by its plain name (a body of bytes), for
 * which it attaches a receiver of its own, and closes it when its scope closes, drained. Where it may be one of several, its
 * messages have the bodies of all of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Source = ServiceBusReceiver.ServiceBusReceiver<unknown, unknown> | SourceEntity

/** @inline */
type SourceEntity = string | ServiceBusEntity.Receivable<unknown>

/**
 * The body of the messages that a processor takes from a source.
 *
 * @category models
 * @since 0.1.0
 */
export type BodyFrom<S extends Source | ServiceBusEntity.Any> = S extends SourceEntity ? ServiceBusEntity.BodyOf<S>
  : S extends ServiceBusReceiver.ServiceBusReceiver<infer A, unknown> ? A
  : never

/**
 * What the messages that a processor takes from a source have of the application properties that its contract declares.
 *
 * @category models
 * @since 0.1.0
 */
export type PropertiesFrom<S extends Source | ServiceBusEntity.Any> = S extends SourceEntity
  ? ServiceBusEntity.PropertiesOf<S>
  : S extends ServiceBusReceiver.ServiceBusReceiver<unknown, unknown, infer P> ? P
  : unknown

/**
 * How a processor that is given a contract has its receiver made: as `ServiceBusReceiver.make` is told, but for what the
 * processor decides itself, and an undecodable body cannot fail.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReceiverOptions
  extends Omit<ServiceBusReceiver.Options<"deadLetter" | "abandon">, "prefetch" | "maxWait">
{}

/**
 * What a layer of a processor takes beside the processor's own options.
 *
 * @category models
 * @since 0.1.0
 */
export interface LayerOptions {
  /**
   * Fails, with the cause, once the processor stops for good: what a program waits for that is to end with its worker. One
   * Deferred may be given to several layers; the first that stops fails it. A layer that is closed, and one that cannot be
   * built, leave it as it is. None by default.
   */
  readonly stopped?: Deferred.Deferred<never, ReceiveError> | undefined
}

export type { Counts, DrainReport, SessionCounts }

/**
 * A running processor.
 *
 * @category models
 * @since 0.1.0
 */
export interface Processor {
  /**
   * What has been done so far.
   *
   * @example
   * ```ts
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const soFar = (processor: ServiceBusProcessor.Processor) => processor.counts
   * ```
   */
  readonly counts: Effect.Effect<Counts>
  /**
   * Takes no new messages; those in work go on, those that wait are released.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const rest = (processor: ServiceBusProcessor.Processor) =>
   *   Effect.andThen(processor.pause, Effect.sleep("1 minute")).pipe(Effect.ensuring(processor.resume))
   * ```
   */
  readonly pause: Effect.Effect<void>
  /**
   * Goes on after a pause.
   *
   * @example
   * ```ts
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const again = (processor: ServiceBusProcessor.Processor) => processor.resume
   * ```
   */
  readonly resume: Effect.Effect<void>
  /**
   * Changes how many handlers run at a time, from now on; those that are too many finish. Fails with InvalidOptionError for
   * what is not 1 to 5000.
   *
   * @example
   * ```ts
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const faster = (processor: ServiceBusProcessor.Processor) => processor.setConcurrency(64)
   * ```
   */
  readonly setConcurrency: (concurrency: number) => Effect.Effect<void, InvalidOptionError>
  /**
   * Stops: takes no new messages, lets handlers finish within `drainTimeout`, interrupts the rest and releases their
   * messages. Gives what the processor has done in all.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const stop = (processor: ServiceBusProcessor.Processor) =>
   *   Effect.tap(processor.drain, ({ received, settled }) => Effect.log(`${settled} of ${received} settled`))
   * ```
   */
  readonly drain: Effect.Effect<DrainReport>
  /**
   * Never succeeds. A link that is lost is attached again; `join` fails where that cannot succeed any more, because the
   * entity is gone, say, or the right to receive from it.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const run = (processor: ServiceBusProcessor.Processor) =>
   *   processor.join.pipe(Effect.catchTag("MessagingEntityNotFoundError", () => Effect.logError("the queue is gone")))
   * ```
   */
  readonly join: Effect.Effect<never, ReceiveError>
  /**
   * Completes once the processor has stopped, for good: with what it has done in all where it was drained, and with the
   * failure where it cannot go on any more. What comes first counts; it never fails itself.
   *
   * @example
   * ```ts
   * import { Effect, Exit } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const watch = (processor: ServiceBusProcessor.Processor) =>
   *   Effect.flatMap(processor.stopped, (exit) =>
   *     Exit.isSuccess(exit) ? Effect.log(`${exit.value.settled} settled`) : Effect.logFatal("It stopped", exit.cause))
   * ```
   */
  readonly stopped: Effect.Effect<Exit.Exit<DrainReport, ReceiveError>>
}

/** Options of a processor of messages or batches, checked, and what then gives it the receiver's state. */
const prepare = Effect.fnUntraced(function*<A, O extends ProcessorOptions.Options & ReceiverOptions>(
  source: Source | ServiceBusEntity.Any,
  handler: unknown,
  input: O | undefined
) {
  const { path, state } = yield* Effect.fromResult(ProcessorOptions.checkSource<A>(source))
  const options = yield* ProcessorOptions.read(path, handler, input)
  const settings = yield* ProcessorOptions.check(path, options)
  const attached = state !== undefined ? Effect.succeed(state) : Effect.map(
    ServiceBusReceiver.make(source as ServiceBusEntity.Receivable<A>, { ...options, prefetch: 0, maxWait: undefined }),
    (receiver) => ReceiverState.stateOf(receiver) as ReceiverState.ReceiverState<A, "locked">
  )
  return { path, options, settings, attached }
})

/** What starting a processor of a source can fail with: a receiver attaches nothing. */
type StartError<S> = S extends SourceEntity ? AttachError : InvalidOptionError

/** What it needs the client for: to attach. @inline */
type ClientFor<S> = S extends SourceEntity ? ServiceBusClient.ServiceBusClient : never

/** A processor that is started, of whatever source; `R` is what its handler needs. */
type Started<R> = Effect.Effect<
  Processor,
  AttachError,
  ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope> | Scope.Scope
>

/** The same by its source. */
const startedFrom = <S, R>(started: Started<R>) =>
  started as Effect.Effect<Processor, StartError<S>, ClientFor<S> | Exclude<R, Scope.Scope> | Scope.Scope>

/**
 * Runs what is started. Where that fails or dies it is reported as the end of a processor is: a fiber that nobody waits for
 * may be what runs it.
 */
const run = <E extends ReceiveError, E2, R>(
  source: unknown,
  options: object | undefined,
  started: Effect.Effect<{ readonly join: Effect.Effect<never, E2> }, E, R>
): Effect.Effect<never, E | E2, Exclude<R, Scope.Scope>> =>
  // One that dies is heard as well. An interruption of its own fiber does not come here.
  Effect.tapCause(started, (cause) => {
    const { path } = ServiceBusEntity.contractOf(source as string | ServiceBusEntity.Any)
    const state = ReceiverState.find(source)
    // That of the receiver that was given, or the one that could not be made: its error says it.
    const identifier = state?.identifier ?? ProcessorOptions.identifierOf(path, options) ??
      cause.reasons.find(Cause.isFailReason)?.error.identifier
    return Effect.contextWith((context: Context.Context<never>) => {
      const client = Context.getOption(context, ServiceBusClient.ServiceBusClient)
      const reporter = state?.reporter ??
        (Option.isSome(client) ? Namespace.of(client.value).reporter.within({ entity: path }) : undefined)
      return Effect.sync(() =>
        reporter?.within({
          context,
          logLevel: ProcessorOptions.logLevelOf(path, options),
          ...(identifier === undefined ? {} : { identifier })
        }).report({
          _tag: "ConsumerStopped",
          message: "A processor could not be started",
          cause
        })
      )
    })
  }).pipe(Effect.flatMap((processor) => processor.join), Effect.scoped)

/** A layer of what is started, which tells whoever waits for it where that stops for good. */
const layerOf = <E, R>(
  entity: string | ServiceBusEntity.Any,
  options: LayerOptions | undefined,
  started: Effect.Effect<{ readonly stopped: Effect.Effect<Exit.Exit<unknown, ReceiveError>> }, E, R>
): Layer.Layer<never, E | InvalidOptionError, Exclude<R, Scope.Scope>> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { path } = ServiceBusEntity.contractOf(entity)
    const told = yield* Effect.fromResult(ProcessorOptions.checkStopped(path, options))
    const { stopped } = yield* started
    if (told === undefined) return
    // The processor drains once this is over: its end by that is not told.
    yield* Effect.forkScoped(
      Effect.flatMap(stopped, (exit) => Exit.isFailure(exit) ? Deferred.failCause(told, exit.cause) : Effect.void),
      { startImmediately: true }
    )
  }))

const startMessages = <A, E, R, P>(
  source: Source | ServiceBusEntity.Any,
  handler: Handler<A, E, R, P>,
  input?: Options<A, E, P> & ReceiverOptions
): Started<R> =>
  Effect.gen(function*() {
    const { attached, options, path, settings } = yield* prepare<A, Options<A, E, P> & ReceiverOptions>(
      source,
      handler,
      input
    )
    const retry = yield* HandlerRetry.check(path, options.retry)
    const processor = yield* MessageProcessor.start<A, E, Exclude<R, Scope.Scope>>({
      state: yield* attached,
      settings,
      handler: HandlerRetry.withRetry(([message]) => handler(message.body, message as LockedMessage<A> & P), retry),
      onFailure: options.onFailure as Options<A, E>["onFailure"]
    })
    return MessageProcessor.operationsOf(processor)
  })

/**
 * Starts a processor of what a receiver gives; it drains when the scope closes. Given a contract instead, it attaches a
 * receiver of its own first, with the receiver's options among its own, and closes it once it is drained.
 *
 * Fails with InvalidOptionError where an option is out of range, or a stream, a `receive` that waits or another processor
 * has the receiver's messages; given a contract, also as `ServiceBusReceiver.make` does. Interrupting it leaves nothing
 * attached.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusProcessor, type ServiceBusReceiver, Settlement } from "effect-service-bus"
 *
 * export const program = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   Effect.gen(function*() {
 *     const processor = yield* ServiceBusProcessor.make(
 *       receiver,
 *       (body) => Effect.as(Effect.log(body), Settlement.complete),
 *       { concurrency: 16 }
 *     )
 *     yield* Effect.sleep("1 minute")
 *     return yield* processor.drain
 *   }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <S extends Source | ServiceBusEntity.NotReceivable, E, R>(
  source: S,
  handler: Handler<BodyFrom<S>, E, R, PropertiesFrom<S>>,
  options?: Options<BodyFrom<S>, NoInfer<E>, PropertiesFrom<S>> & (S extends SourceEntity ? ReceiverOptions : unknown)
): Effect.Effect<
  Processor,
  S extends SourceEntity ? AttachError : InvalidOptionError,
  ClientFor<S> | Exclude<R, Scope.Scope> | Scope.Scope
> => startedFrom<S, R>(startMessages(source, handler, options))

const startBatches = <A, E, R, P>(
  source: Source | ServiceBusEntity.Any,
  handler: BatchHandler<A, E, R, P>,
  input: BatchOptions<A, E, P> & ReceiverOptions
): Started<R> =>
  Effect.gen(function*() {
    const { attached, options, path, settings } = yield* prepare<A, BatchOptions<A, E, P> & ReceiverOptions>(
      source,
      handler,
      input
    )
    const size = yield* Effect.fromResult(checkedCount(path, "size", options.size as number))
    const within = yield* Effect.fromResult(checkedWait(path, "within", options.within ?? 0))
    const run = HandlerRetry.withRetry(handler as BatchHandler<A, E, R>, yield* HandlerRetry.check(path, options.retry))
    const processor = yield* MessageProcessor.start<A, E | InvalidOptionError, Exclude<R, Scope.Scope>>({
      state: yield* attached,
      settings: { ...settings, size, within },
      handler: (messages) =>
        Effect.flatMap(run(messages), (settlements) => HandlerResult.ofBatch(path, settlements, messages.length)),
      onFailure: options.onFailure as BatchOptions<A, E>["onFailure"]
    })
    return MessageProcessor.operationsOf(processor)
  })

/**
 * Starts a processor whose handler is given up to `size` messages at a time; it drains when the scope closes.
 *
 * Settlements that are equal leave in one call. A handler that gives another number of settlements than it was given
 * messages has failed: `onFailure` is asked about each message, with an InvalidOptionError as the cause. The locks of all
 * messages are kept. A message whose lock is lost is not settled any more and is counted, and the others go on: the handler
 * is interrupted once all locks of its batch are lost. `concurrency` counts batches.
 *
 * Fails as `make` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusProcessor, type ServiceBusReceiver } from "effect-service-bus"
 *
 * export const program = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   ServiceBusProcessor.makeBatched(
 *     receiver,
 *     (messages) => Effect.log(`${messages.length} rows`),
 *     { size: 100, within: "1 second" }
 *   )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeBatched = <S extends Source | ServiceBusEntity.NotReceivable, E, R>(
  source: S,
  handler: BatchHandler<BodyFrom<S>, E, R, PropertiesFrom<S>>,
  options:
    & BatchOptions<BodyFrom<S>, NoInfer<E>, PropertiesFrom<S>>
    & (S extends SourceEntity ? ReceiverOptions : unknown)
): Effect.Effect<
  Processor,
  S extends SourceEntity ? AttachError : InvalidOptionError,
  ClientFor<S> | Exclude<R, Scope.Scope> | Scope.Scope
> => startedFrom<S, R>(startBatches(source, handler, options))

/**
 * Runs a processor until it is interrupted: `make` and `join`. Interrupting it drains.
 *
 * Fails as `make` and `Processor.join` do.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusProcessor, type ServiceBusReceiver, Settlement } from "effect-service-bus"
 *
 * export const program = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   ServiceBusProcessor.process(
 *     receiver,
 *     (body) => Effect.succeed(body === "" ? Settlement.deadLetter({ reason: "Empty" }) : Settlement.complete),
 *     { concurrency: 16, onFailure: () => Settlement.retryAfter("1 minute") }
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const process = <S extends Source | ServiceBusEntity.NotReceivable, E, R>(
  source: S,
  handler: Handler<BodyFrom<S>, E, R, PropertiesFrom<S>>,
  options?: Options<BodyFrom<S>, NoInfer<E>, PropertiesFrom<S>> & (S extends SourceEntity ? ReceiverOptions : unknown)
): Effect.Effect<never, ReceiveError, ClientFor<S> | Exclude<R, Scope.Scope>> =>
  run(source, options, startedFrom<S, R>(startMessages(source, handler, options)))

/**
 * Runs a processor of batches until it is interrupted: `makeBatched` and `join`. Interrupting it drains.
 *
 * Fails as `makeBatched` and `Processor.join` do.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusProcessor, type ServiceBusReceiver, Settlement } from "effect-service-bus"
 *
 * export const program = (receiver: ServiceBusReceiver.ServiceBusReceiver<string>) =>
 *   ServiceBusProcessor.processBatched(
 *     receiver,
 *     (messages) =>
 *       Effect.succeed(messages.map(({ body }) => body === "" ? Settlement.abandon() : Settlement.complete)),
 *     { size: 100 }
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const processBatched = <S extends Source | ServiceBusEntity.NotReceivable, E, R>(
  source: S,
  handler: BatchHandler<BodyFrom<S>, E, R, PropertiesFrom<S>>,
  options:
    & BatchOptions<BodyFrom<S>, NoInfer<E>, PropertiesFrom<S>>
    & (S extends SourceEntity ? ReceiverOptions : unknown)
): Effect.Effect<never, ReceiveError, ClientFor<S> | Exclude<R, Scope.Scope>> =>
  run(source, options, startedFrom<S, R>(startBatches(source, handler, options)))

/**
 * A worker as a layer: attaches a receiver to an entity, and handles its messages as long as the layer is there. When the
 * layer is closed the processor drains, and then its receiver is closed.
 *
 * The layer is built once the receiver is attached, and fails as `make` does. What comes later fails no layer: where the
 * processor stops for good (the entity is deleted, say, or the right to receive is revoked) an error is logged, and the rest
 * of the program goes on. A program that is to end then gives the layer a Deferred (`stopped`) and waits for it; or it runs
 * `process`, which fails; or it has the processor as a service, whose `join` fails and whose `stopped` completes.
 *
 * @example
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
 *
 * const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 * const Parcels = ServiceBusEntity.queue("parcels", { body: ServiceBusBody.text })
 *
 * export const Workers = Layer.mergeAll(
 *   ServiceBusProcessor.layer(Letters, (letter) => Effect.log(letter), { concurrency: 16 }),
 *   ServiceBusProcessor.layer(Parcels, (parcel) => Effect.log(parcel))
 * )
 * ```
 *
 * @example
 * ```ts
 * import { Deferred, Effect, Layer } from "effect"
 * import {
 *   ServiceBusBody,
 *   ServiceBusEntity,
 *   type ServiceBusError,
 *   ServiceBusProcessor
 * } from "effect-service-bus"
 *
 * const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 *
 * // Ends, and fails, where its worker stops for good.
 * export const program = Effect.gen(function*() {
 *   const stopped = yield* Deferred.make<never, ServiceBusError.ReceiveError>()
 *   const Worker = ServiceBusProcessor.layer(Letters, (letter) => Effect.log(letter), { stopped })
 *   return yield* Effect.raceFirst(Layer.launch(Worker), Deferred.await(stopped))
 * })
 * ```
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
 *
 * const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 *
 * // The same as a service: for its counts, to pause it, to end with it.
 * class Reader extends Context.Service<Reader>()("app/Reader", {
 *   make: ServiceBusProcessor.make(Letters, (letter) => Effect.log(letter), { concurrency: 16 })
 * }) {
 *   static readonly layer = Layer.effect(this, this.make)
 * }
 *
 * export const program = Effect.flatMap(Reader, (reader) => reader.join).pipe(Effect.provide(Reader.layer))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <S extends SourceEntity | ServiceBusEntity.NotReceivable, E, R>(
  entity: S,
  handler: Handler<ServiceBusEntity.BodyOf<S>, E, R, ServiceBusEntity.PropertiesOf<S>>,
  options?:
    & Options<ServiceBusEntity.BodyOf<S>, NoInfer<E>, ServiceBusEntity.PropertiesOf<S>>
    & ReceiverOptions
    & LayerOptions
): Layer.Layer<never, AttachError, ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope>> =>
  layerOf(entity, options, startMessages(entity, handler, options))

/**
 * `layer` for handlers of batches. Fails as `makeBatched` does.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
 *
 * const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 *
 * export const Archive = ServiceBusProcessor.layerBatched(
 *   Letters,
 *   (letters) => Effect.log(`${letters.length} letters`),
 *   { size: 100, within: "1 second" }
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBatched = <S extends SourceEntity | ServiceBusEntity.NotReceivable, E, R>(
  entity: S,
  handler: BatchHandler<ServiceBusEntity.BodyOf<S>, E, R, ServiceBusEntity.PropertiesOf<S>>,
  options:
    & BatchOptions<ServiceBusEntity.BodyOf<S>, NoInfer<E>, ServiceBusEntity.PropertiesOf<S>>
    & ReceiverOptions
    & LayerOptions
): Layer.Layer<never, AttachError, ServiceBusClient.ServiceBusClient | Exclude<R, Scope.Scope>> =>
  layerOf(entity, options, startBatches(entity, handler, options))

/**
 * What a handler of a session's messages is given, and what it says.
 *
 * @category models
 * @since 0.1.0
 */
export type SessionHandler<in A, in out S, out E = never, out R = never, in P = unknown> = (
  body: A,
  message: LockedMessage<A> & P,
  session: ServiceBusSession.ServiceBusSession<A, S, never, P>
) => Effect.Effect<Settlement.Settlement | void, E, R>

/**
 * How a session processor works.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionOptions<A = never, S = never, in E = never, out R = never, P = unknown>
  extends Omit<CommonOptions<A, E, P>, "concurrency">, RetryOption<E>
{
  /** How many sessions are held at a time, 1 to 5000. 8 by default. */
  readonly concurrentSessions?: number | undefined
  /**
   * How many handlers run at a time for one session, 1 to 5000. 1 by default: with more, or with a `prefetch`, a message
   * that is abandoned comes after those that were on their way already.
   */
  readonly callsPerSession?: number | undefined
  /** How many messages of a session may wait beside those that are handled, 0 to 5000; 0 by default. */
  readonly prefetch?: number | undefined
  /** For how long the lock of a session is renewed, 0 for never; `Duration.infinity` by default: as long as it is held. */
  readonly maxLockRenewal?: Duration.Input | undefined
  /**
   * How long a session without messages is held, counted while no handler of it runs, more than 0; 60 seconds by default.
   * Then the slot takes the next session at once.
   */
  readonly idleTimeout?: Duration.Input | undefined
  /** How many messages of a session are taken before it is the next one's turn, 1 or more; no end by default. */
  readonly messagesPerSession?: number | undefined
  /** The only sessions to take, in turn; by default whichever has messages. */
  readonly sessionIds?: ReadonlyArray<string> | undefined
  /** What becomes of a message whose body does not decode; `"deadLetter"` by default. */
  readonly undecodable?: "deadLetter" | "abandon" | undefined
  /** The name of the receivers of all its sessions, as for a session; the entity's path with a random part by default. */
  readonly identifier?: string | undefined
  /**
   * Runs before the first message of a session, in a scope that closes when the session is given up: what it acquires is
   * released then. A session that cannot be opened is given up, and taken again after a while. It is interrupted where the
   * session is lost or the processor drains, and `close` does not run then.
   */
  readonly open?:
    | ((session: ServiceBusSession.ServiceBusSession<A, S, never, P>) => Effect.Effect<unknown, unknown, R>)
    | undefined
  /**
   * Runs after the last message of a session, once for each that was opened, and is told why: to write its state, say. The
   * session is held until it ends, unless the reason is `"lost"`: then its state cannot be written any more, and its messages
   * not be settled. It is interrupted where the session is lost meanwhile, and does not run again then: what must happen in
   * any case belongs into the scope of `open`. It may take as long as the session is held; where the session is lost, or the
   * processor drains, `drainTimeout`. One that fails is logged.
   */
  readonly close?:
    | ((
      session: ServiceBusSession.ServiceBusSession<A, S, never, P>,
      reason: CloseReason
    ) => Effect.Effect<unknown, unknown, R>)
    | undefined
}

/**
 * Why a session processor gives a session up:
 *
 * - `"idle"`: it had no messages for `idleTimeout`
 * - `"share"`: `messagesPerSession` were taken
 * - `"unsettled"`: the settlement of a message was not confirmed, and it comes again in its place only by that
 * - `"drain"`: the processor drains
 * - `"lost"`: the lock is over, or the link is lost and the lock with it
 *
 * @category models
 * @since 0.1.0
 */
export type CloseReason = "idle" | "share" | "unsettled" | "drain" | "lost"

/**
 * A running session processor.
 *
 * @category models
 * @since 0.1.0
 */
export interface SessionProcessor {
  /**
   * What has been done so far, over all sessions.
   *
   * @example
   * ```ts
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const soFar = (processor: ServiceBusProcessor.SessionProcessor) => processor.counts
   * ```
   */
  readonly counts: Effect.Effect<Counts & SessionCounts>
  /**
   * Takes no new sessions, and no new messages of those that are held; what waits stays where it is.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const rest = (processor: ServiceBusProcessor.SessionProcessor) =>
   *   Effect.andThen(processor.pause, Effect.sleep("1 minute")).pipe(Effect.ensuring(processor.resume))
   * ```
   */
  readonly pause: Effect.Effect<void>
  /**
   * Goes on after a pause.
   *
   * @example
   * ```ts
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const again = (processor: ServiceBusProcessor.SessionProcessor) => processor.resume
   * ```
   */
  readonly resume: Effect.Effect<void>
  /**
   * Changes how many sessions are held at a time; those that are too many end as they would have. Fails with
   * InvalidOptionError for what is not 1 to 5000.
   *
   * @example
   * ```ts
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const more = (processor: ServiceBusProcessor.SessionProcessor) => processor.setConcurrentSessions(64)
   * ```
   */
  readonly setConcurrentSessions: (concurrentSessions: number) => Effect.Effect<void, InvalidOptionError>
  /**
   * Stops: takes nothing new, lets handlers finish within `drainTimeout`, and then `close` within the same time, interrupts
   * the rest and gives all sessions up. Gives what the processor has done in all.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const stop = (processor: ServiceBusProcessor.SessionProcessor) =>
   *   Effect.tap(processor.drain, ({ sessions, settled }) => Effect.log(`${settled} messages of ${sessions} sessions`))
   * ```
   */
  readonly drain: Effect.Effect<DrainReport & SessionCounts>
  /**
   * Never succeeds; fails where no session can be accepted any more, because the entity is gone, say, or the right to receive
   * from it. The processor drains first: the sessions that it holds are given up, with `drainTimeout` for their handlers.
   *
   * @example
   * ```ts
   * import { Effect } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const run = (processor: ServiceBusProcessor.SessionProcessor) =>
   *   processor.join.pipe(Effect.catchTag("MessagingEntityNotFoundError", () => Effect.logError("the queue is gone")))
   * ```
   */
  readonly join: Effect.Effect<never, AttachError>
  /**
   * Completes once the processor has stopped, for good, and holds no session any more: with what it has done in all where it
   * was drained, and with the failure where no session can be accepted any more. It never fails itself.
   *
   * @example
   * ```ts
   * import { Effect, Exit } from "effect"
   * import type { ServiceBusProcessor } from "effect-service-bus"
   *
   * export const watch = (processor: ServiceBusProcessor.SessionProcessor) =>
   *   Effect.flatMap(processor.stopped, (exit) =>
   *     Exit.isSuccess(exit) ? Effect.log(`${exit.value.settled} settled`) : Effect.logFatal("It stopped", exit.cause))
   * ```
   */
  readonly stopped: Effect.Effect<Exit.Exit<DrainReport & SessionCounts, AttachError>>
}

/** @inline */
type SessionSource =
  | string
  | ServiceBusEntity.SessionReceivable<unknown, unknown, never>
  | ServiceBusEntity.NotSessionReceivable

/**
 * Starts a processor of sessions; it drains when the scope closes.
 *
 * Each of `concurrentSessions` slots holds one session at a time and handles its messages in order, until it is idle, has
 * had its share (`messagesPerSession`) or is lost (`CloseReason`); then it takes the next one at once. The lock of a session
 * is renewed as long as the session is held, or for `maxLockRenewal`. A lock that is lost interrupts the handlers of its
 * session and is counted.
 *
 * Fails with InvalidOptionError where an option is out of range.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const program = ServiceBusProcessor.makeSessions(
 *   Carts,
 *   (body, _message, session) => Effect.log(`${session.sessionId}: ${body}`),
 *   { concurrentSessions: 32 }
 * )
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeSessions: <C extends SessionSource, E, R, R2 = never>(
  entity: C & ServiceBusEntity.NoName,
  handler: SessionHandler<
    ServiceBusEntity.BodyOf<C>,
    ServiceBusEntity.StateOf<C>,
    E,
    R,
    ServiceBusEntity.PropertiesOf<C>
  >,
  options?: SessionOptions<
    ServiceBusEntity.BodyOf<C>,
    ServiceBusEntity.StateOf<C>,
    NoInfer<E>,
    R2,
    ServiceBusEntity.PropertiesOf<C>
  >
) => Effect.Effect<
  SessionProcessor,
  InvalidOptionError,
  ServiceBusClient.ServiceBusClient | Exclude<R | R2, Scope.Scope> | Scope.Scope
> = Effect.fnUntraced(function*<A, S, E, R, R2, P>(
  input: string | ServiceBusEntity.Any,
  handler: SessionHandler<A, S, E, R, P>,
  givenOptions?: SessionOptions<A, S, NoInfer<E>, R2, P>
) {
  const contract = ServiceBusEntity.contractOf(input) as ServiceBusEntity.SessionReceivable<A, S>
  const options = yield* Effect.fromResult(readOptions(contract.path, givenOptions))
  // A session is held as long as its slot has it.
  const { identifier, logLevel, maxLockRenewal = Duration.infinity, undecodable } = options
  const given = { identifier, logLevel, maxLockRenewal, undecodable }
  const session = yield* SessionSurface.check(contract, ServiceBusClient.namespaceFor(contract), given)
  const checked = yield* ProcessorOptions.checkSessions(contract.path, handler, options)
  return yield* startSessionProcessor(
    session,
    checked,
    handler as SessionHandler<A, S, E, R>,
    options as SessionOptions<A, S, NoInfer<E>, R2>
  )
})

/**
 * Runs a processor of sessions until it is interrupted: `makeSessions` and `join`. Interrupting it drains.
 *
 * Fails as `makeSessions` and `SessionProcessor.join` do.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const program = ServiceBusProcessor.processSessions(
 *   Carts,
 *   (body) => Effect.log(body),
 *   { close: (session, reason) => reason === "idle" ? session.clearState : Effect.void }
 * )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const processSessions = <C extends SessionSource, E, R, R2 = never>(
  entity: C & ServiceBusEntity.NoName,
  handler: SessionHandler<
    ServiceBusEntity.BodyOf<C>,
    ServiceBusEntity.StateOf<C>,
    E,
    R,
    ServiceBusEntity.PropertiesOf<C>
  >,
  options?: SessionOptions<
    ServiceBusEntity.BodyOf<C>,
    ServiceBusEntity.StateOf<C>,
    NoInfer<E>,
    R2,
    ServiceBusEntity.PropertiesOf<C>
  >
): Effect.Effect<
  never,
  AttachError | InvalidOptionError,
  ServiceBusClient.ServiceBusClient | Exclude<R | R2, Scope.Scope>
> => run(entity, options, makeSessions<C, E, R, R2>(entity, handler, options))

/**
 * A worker over sessions as a layer: accepts sessions as long as the layer is there. When the layer is closed the processor
 * drains, and gives its sessions up.
 *
 * Building it fails with InvalidOptionError where an option is out of range, and waits for no session. Where no session can
 * be accepted, at the start or later, because the entity is missing, say, an error is logged and the rest of the program goes
 * on: as with `layer`, the Deferred of `stopped` fails then, `processSessions` fails, and `makeSessions` as a service tells
 * of it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProcessor } from "effect-service-bus"
 *
 * const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
 *
 * export const Worker = ServiceBusProcessor.layerSessions(
 *   Carts,
 *   (body, _message, session) => Effect.log(`${session.sessionId}: ${body}`),
 *   { concurrentSessions: 32 }
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerSessions = <C extends SessionSource, E, R, R2 = never>(
  entity: C & ServiceBusEntity.NoName,
  handler: SessionHandler<
    ServiceBusEntity.BodyOf<C>,
    ServiceBusEntity.StateOf<C>,
    E,
    R,
    ServiceBusEntity.PropertiesOf<C>
  >,
  options?:
    & SessionOptions<
      ServiceBusEntity.BodyOf<C>,
      ServiceBusEntity.StateOf<C>,
      NoInfer<E>,
      R2,
      ServiceBusEntity.PropertiesOf<C>
    >
    & LayerOptions
): Layer.Layer<
  never,
  InvalidOptionError,
  ServiceBusClient.ServiceBusClient | Exclude<R | R2, Scope.Scope>
> => layerOf(entity, options, makeSessions<C, E, R, R2>(entity, handler, options))
