/**
 * The dead letters of a queue or subscription: to look at them, to count them, to delete them, and to send them again. The
 * entity is given as a contract, or by its plain name (`orders`, `news/Subscriptions/sport`), whose letters have bytes for
 * bodies: so does what no contract can decode.
 *
 * Looking, counting and deleting are requests: no link is attached and nothing is locked. Replaying receives each letter
 * under a lock, sends a copy, and completes the letter once the copy is accepted: at-least-once, and effectively once on an
 * entity with duplicate detection, because a letter's copy always has the same message id.
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DeadLetterReplay from "./internal/deadLetters/DeadLetterReplay.ts"
import { keepingManagementNode } from "./internal/namespace/Namespace.ts"
import { isLimit, outOfRange, readOptions, withOptions } from "./internal/options.ts"
import * as BatchDelete from "./internal/receiver/BatchDelete.ts"
import * as MessageBrowser from "./internal/receiver/MessageBrowser.ts"
import * as ReceiverState from "./internal/receiver/ReceiverState.ts"
import type { ServiceBusBody } from "./ServiceBusBody.ts"
import * as ServiceBusClient from "./ServiceBusClient.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import type {
  DeleteMessagesError,
  InvalidOptionError,
  MessageDecodeError,
  MessageEncodeError,
  MessageSizeExceededError,
  PeekError,
  ReplayError
} from "./ServiceBusError.ts"
import type {
  LockedMessage,
  MessageState,
  OutgoingMessage,
  PeekedMessage,
  SessionMessage
} from "./ServiceBusMessage.ts"
import type * as ServiceBusReceiver from "./ServiceBusReceiver.ts"

/**
 * Which dead letters are meant.
 *
 * @category models
 * @since 0.1.0
 */
export interface Which {
  /** Those of the transfer dead-letter queue: messages sent by way of the entity in vain. False by default. */
  readonly transfer?: boolean | undefined
}

/**
 * Which dead letters to look at.
 *
 * @category models
 * @since 0.1.0
 */
export interface BrowseOptions extends ServiceBusReceiver.PeekOptions, Which {}

/**
 * Which dead letters to look at, without decoding bodies.
 *
 * @category models
 * @since 0.1.0
 */
export interface BrowseRawOptions extends ServiceBusReceiver.PeekOptions, Which {
  /** Has the broker leave the bodies out, where it knows how; it sends them otherwise. True by default. */
  readonly omitBody?: boolean | undefined
}

/**
 * Which dead letters to delete.
 *
 * @category models
 * @since 0.1.0
 */
export interface PurgeOptions extends Which {
  /**
   * Only messages that were enqueued before this time; before now by default. What counts is the enqueued time that a letter
   * shows; the embedded broker leaves it as it was before the message was dead-lettered.
   */
  readonly before?: DateTime.Utc | undefined
  /** How many to delete at most, 1 or more; all by default. */
  readonly max?: number | undefined
}

/**
 * How many messages an entity has.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts extends Readonly<Record<MessageState, number>> {
  /** Those in the dead-letter queue, of whatever state; those in the transfer dead-letter queue are not among them. */
  readonly deadLetters: number
}

/**
 * How dead letters are replayed. `A` is the body of the letters.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReplayOptions<in out A, in out P = unknown> extends Which {
  /** Which letters to replay; all by default. The others stay. */
  readonly filter?: ((message: LockedMessage<A> & P) => boolean) | undefined
  /** Copies per second, more than 0; evenly, ten times a second at most. As fast as they go by default. */
  readonly rate?: number | undefined
  /** How many letters to replay at most, 1 or more; all by default. */
  readonly max?: number | undefined
}

/**
 * What is sent of a letter.
 *
 * @category models
 * @since 0.1.0
 */
export interface MapOption<in out A, out M, in out P = unknown> {
  /**
   * The message to send. By default one that says the same, as `ServiceBusMessage.fromReceived` makes it, whose retries
   * (`Settlement.retryAfter`) count anew; its body is the one that came, unchanged, where the target's contract has the same
   * codec, or the same Schema without services, and is encoded by the target's codec elsewhere.
   *
   * Where it has no message id, or the letter's own, it gets one that is derived from the letter's id, its sequence number
   * and its entity. The letter's own would have an entity with duplicate detection drop the copy, if it saw the original
   * within its window. Another id that you give is kept: give the same one each time.
   */
  readonly map: (message: LockedMessage<A> & P) => M
}

/**
 * `map` where the target does not take the letters as they are, because of their bodies or because they name no session;
 * optional where it does.
 *
 * @category models
 * @since 0.1.0
 */
export type Mapping<E extends string | ServiceBusEntity.Any, T extends string | ServiceBusEntity.Any> = [
  & ServiceBusEntity.PropertiesOf<E>
  & (E extends ServiceBusEntity.SessionReceivable<infer A, unknown, never> ? SessionMessage<A>
    : OutgoingMessage<ServiceBusEntity.BodyOf<E>>)
] extends [ServiceBusEntity.MessageTo<T>]
  ? Partial<MapOption<ServiceBusEntity.BodyOf<E>, ServiceBusEntity.MessageTo<T>, ServiceBusEntity.PropertiesOf<E>>>
  : MapOption<ServiceBusEntity.BodyOf<E>, ServiceBusEntity.MessageTo<T>, ServiceBusEntity.PropertiesOf<E>>

/**
 * What has dead letters: a queue or subscription, as a contract or by its plain name. A value that may be one of several
 * contracts has letters with the bodies of all of them.
 *
 * @category models
 * @since 0.1.0
 */
export type Entity = string | ServiceBusEntity.WithSubQueues<unknown>

/**
 * What letters are sent to: a queue or topic, as a contract or by its plain name.
 *
 * @category models
 * @since 0.1.0
 */
export type Target =
  | string
  | ServiceBusEntity.Sendable<unknown, never>
  | ServiceBusEntity.SessionSendable<unknown, never>

/**
 * A letter that stays because its body does not decode, or because its copy can never be sent.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed {
  /** Which letter it is. */
  readonly sequenceNumber: bigint
  /** Why its copy cannot be sent. */
  readonly error: MessageEncodeError | MessageSizeExceededError | MessageDecodeError
}

/**
 * What a replay did.
 *
 * @category models
 * @since 0.1.0
 */
export interface ReplayReport {
  /** How many copies were accepted. */
  readonly replayed: number
  /** How many letters `filter` rejected. */
  readonly skipped: number
  /** Letters that stay, because they cannot be replayed. */
  readonly failed: ReadonlyArray<Failed>
}

/**
 * All dead letters of a queue or subscription, in the order of their sequence numbers, without receiving them; ends where
 * there are no more. `max` are asked for at a time, 100 by default.
 *
 * Fails with MessageDecodeError where a body does not decode (`sequenceNumber` says whose; `browseRaw` shows the message),
 * with InvalidOptionError where an option is out of range, with MessagingEntityNotFoundError where the entity is missing,
 * and with the errors of connecting. Interrupting it changes nothing.
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { ServiceBusBody, ServiceBusDeadLetters, ServiceBusEntity } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const reasons = ServiceBusDeadLetters.browse(Orders).pipe(
 *   Stream.map((letter) => letter.deadLetterReason),
 *   Stream.runCollect
 * )
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const browse = <E extends Entity | ServiceBusEntity.NotWithSubQueues>(
  entity: E,
  options?: BrowseOptions
): Stream.Stream<
  PeekedMessage<ServiceBusEntity.BodyOf<E>> & ServiceBusEntity.PropertiesOf<E>,
  PeekError | MessageDecodeError,
  ServiceBusClient.ServiceBusClient
> =>
  Stream.unwrap(Effect.map(
    Effect.fromResult(readOptions(undefined, options)),
    (options) => {
      const letters = lettersOf<E>(entity, options)
      return looking<ServiceBusEntity.BodyOf<E>, ServiceBusEntity.PropertiesOf<E>>(letters, options, letters.body)
    }
  ))

/**
 * `browse` without bodies: `body` is undefined. Unless `omitBody` is false they are not sent either, so that it costs
 * little.
 *
 * Fails as `browse` does, except that no body is decoded.
 *
 * @example
 * ```ts
 * import { Stream } from "effect"
 * import { ServiceBusBody, ServiceBusDeadLetters, ServiceBusEntity } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const sizes = ServiceBusDeadLetters.browseRaw(Orders).pipe(
 *   Stream.map((letter) => letter.sequenceNumber),
 *   Stream.runCollect
 * )
 * ```
 *
 * @category streams
 * @since 0.1.0
 */
export const browseRaw = <E extends Entity | ServiceBusEntity.NotWithSubQueues>(
  entity: E,
  options?: BrowseRawOptions
): Stream.Stream<PeekedMessage<undefined>, PeekError | MessageDecodeError, ServiceBusClient.ServiceBusClient> =>
  Stream.unwrap(Effect.map(
    Effect.fromResult(readOptions(undefined, options)),
    (options) => looking(lettersOf<E>(entity, options), { ...options, omitBody: options.omitBody ?? true })
  ))

/**
 * How many messages an entity has, by their states, and how many dead letters; of an entity with sessions, those of all
 * sessions. Over AMQP the service tells no totals: it looks at every message, without bodies, a request for each few
 * hundred of them on one connection, so that what it costs grows with what there is. Best effort, because messages come and
 * go meanwhile; a message that is locked is active.
 *
 * Fails as `browseRaw` does. Interrupting it changes nothing.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusDeadLetters, ServiceBusEntity } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const waiting = Effect.map(ServiceBusDeadLetters.counts(Orders), ({ active }) => active)
 * ```
 *
 * @category accessors
 * @since 0.1.0
 */
export const counts = <E extends Entity | ServiceBusEntity.NotWithSubQueues>(
  entity: E
): Effect.Effect<Counts, PeekError | MessageDecodeError, ServiceBusClient.ServiceBusClient> =>
  Effect.gen(function*() {
    const states = { active: 0, deferred: 0, scheduled: 0 }
    const messages = yield* requester(ServiceBusEntity.contractOf(entity))
    yield* MessageBrowser.forEachMessage(messages, ({ state }) => {
      states[state]++
    })
    let deadLetters = 0
    yield* MessageBrowser.forEachMessage(yield* requester(lettersOf(entity, undefined), messages.namespace), () => {
      deadLetters++
    })
    return { ...states, deadLetters }
  }).pipe(Effect.scoped)

/**
 * Deletes the dead letters of a queue or subscription that were enqueued before a time, now by default, oldest first, and
 * gives how many it were. Best effort: what is locked or deferred stays.
 *
 * Fails with NotSupportedError where the endpoint refuses (a partitioned entity, say), with InvalidOptionError where an
 * option is out of range, and with OperationTimeoutError where no answer came: then it is not known how many were deleted.
 * What was deleted before an error or an interruption stays deleted.
 *
 * @example
 * ```ts
 * import { DateTime, Effect } from "effect"
 * import { ServiceBusBody, ServiceBusDeadLetters, ServiceBusEntity } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const old = Effect.gen(function*() {
 *   const before = DateTime.subtract(yield* DateTime.now, { days: 30 })
 *   return yield* ServiceBusDeadLetters.purge(Orders, { before })
 * })
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const purge: <E extends Entity | ServiceBusEntity.NotWithSubQueues>(
  entity: E,
  options?: PurgeOptions
) => Effect.Effect<number, DeleteMessagesError, ServiceBusClient.ServiceBusClient> = Effect.fnUntraced(
  function*(entity, input) {
    const options = yield* Effect.fromResult(readOptions(undefined, input))
    const letters = lettersOf(entity, options)
    const { before, max = Infinity } = options
    if (!isLimit(max)) return yield* outOfRange(letters.path, "max", "an integer of 1 or more")
    const self = yield* requester(letters)
    return yield* self.telemetry.run("delete", () => BatchDelete.purge(self, { before }, max))
  },
  Effect.scoped
)

/**
 * Sends the dead letters of a queue or subscription again: to the queue itself, or to any queue or topic `to`, which what
 * comes from a subscription needs.
 *
 * Each letter is received under a lock, which is kept; a copy of it is sent; and once that is accepted the letter is
 * completed. At-least-once: a program that dies in between leaves both, and the next replay sends a copy with the same
 * message id, which an entity with duplicate detection drops if it comes within its window. Letters leave in their order,
 * each session's too.
 *
 * Only letters that are there at the start are replayed: it looks at them first, without bodies. Those that `filter`
 * rejects, and those that cannot be replayed (a body that does not decode, a copy that cannot be encoded or is too large:
 * `failed`), are kept locked, in memory, until it ends, and are then given back. What is deferred, or locked elsewhere for
 * longer than 5 seconds once nothing else is left, is not waited for.
 *
 * Without `map` a copy has the body that came, byte for byte, as long as the target's contract has the codec of the
 * letters, or their Schema without services: what a schema does not know is kept. A letter whose body its contract does not
 * decode is in `failed`, so that it is not sent to consumers that cannot read it either. To replay such letters as they are,
 * give the entity by its name: bodies are bytes then, which are not decoded. A contract of `ServiceBusBody.sections` does the
 * same for bodies that are AMQP values or sequences.
 *
 * Fails with MessagingEntityNotFoundError where an entity is missing, with ServiceBusAuthorizationError where the credential
 * lacks the rights Listen and Send, with InvalidOptionError where an option is out of range, and with the errors of
 * connecting, sending and settling once the client's `retry` gives up; with MessageDecodeError where a message is none.
 * What was replayed before an error or an interruption stays replayed, and what was not is given back, as far as the broker
 * has said; a letter whose completion was refused comes free when its lock runs out. A copy on its way when it is
 * interrupted may be sent, and its letter stay; letters whose copies were accepted have a second to be completed.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { ServiceBusBody, ServiceBusDeadLetters, ServiceBusEntity } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
 *
 * export const again = ServiceBusDeadLetters.replay(Orders, {
 *   filter: (letter) => letter.deadLetterReason === "CardDeclined",
 *   rate: 50
 * }).pipe(Effect.tap(({ failed, replayed }) => Effect.log(`${replayed} sent again, ${failed.length} stay`)))
 *
 * // The consumers decode them by now: what the client dead-lettered is sent again as it is.
 * export const undecodable = ServiceBusDeadLetters.replay("orders", {
 *   filter: (letter) => letter.deadLetterReason === "MessageDecodeError"
 * })
 * ```
 *
 * @category operations
 * @since 0.1.0
 */
export const replay: {
  <
    E extends
      | Exclude<Entity, ServiceBusEntity.Subscription<unknown> | SessionSubscription>
      | ServiceBusEntity.NotWithSubQueues
  >(
    entity: E,
    options?:
      & ReplayOptions<ServiceBusEntity.BodyOf<E>, ServiceBusEntity.PropertiesOf<E>>
      & { readonly to?: undefined }
      & Partial<MapOption<ServiceBusEntity.BodyOf<E>, ServiceBusEntity.MessageTo<E>, ServiceBusEntity.PropertiesOf<E>>>
  ): Replay
  <E extends Entity | ServiceBusEntity.NotWithSubQueues, T extends Target | ServiceBusEntity.NotSendable>(
    entity: E,
    options:
      & ReplayOptions<ServiceBusEntity.BodyOf<E>, ServiceBusEntity.PropertiesOf<E>>
      & { readonly to: T }
      & Mapping<E, T>
  ): Replay
} = <E extends string | ServiceBusEntity.Any>(
  entity: E,
  options?: AnyReplayOptions<ServiceBusEntity.BodyOf<E>>
): Replay =>
  withOptions(undefined, options, (options) =>
    Effect.scoped(Effect.suspend(() =>
      DeadLetterReplay.replay({
        letters: lettersOf(entity, options),
        to: ServiceBusEntity.contractOf(options.to ?? entity),
        namespaceFor: ServiceBusClient.namespaceFor
      }, options)
    )))

/**
 * A replay that is not running yet.
 *
 * @category models
 * @since 0.1.0
 */
export type Replay = Effect.Effect<ReplayReport, ReplayError, ServiceBusClient.ServiceBusClient>

interface AnyReplayOptions<in out A> extends ReplayOptions<A>, Partial<MapOption<A, OutgoingMessage<unknown>>> {
  readonly to?: Target | undefined
}

type SessionSubscription = ServiceBusEntity.SessionSubscription<unknown, unknown, never>

const lettersOf = <E extends string | ServiceBusEntity.Any>(
  entity: E,
  which: Which | undefined
): ServiceBusEntity.SubQueue<ServiceBusEntity.BodyOf<E>> => {
  // What has none is refused by its name.
  const contract = ServiceBusEntity.contractOf(entity) as ServiceBusEntity.WithSubQueues<ServiceBusEntity.BodyOf<E>>
  return which?.transfer === true
    ? ServiceBusEntity.transferDeadLetter(contract)
    : ServiceBusEntity.deadLetter(contract)
}

/** Requests to the node of an entity, on one connection: that of `kept`, or one that is kept for as long as the scope. */
const requester = (
  entity: ServiceBusEntity.Any,
  kept?: ReceiverState.Requester["namespace"]
): Effect.Effect<ReceiverState.Requester<never>, InvalidOptionError, ServiceBusClient.ServiceBusClient | Scope.Scope> =>
  Effect.flatMap(
    Effect.flatMap(
      ServiceBusClient.namespaceFor(entity),
      (namespace) => kept === undefined ? keepingManagementNode(namespace) : Effect.succeed(kept)
    ),
    (namespace) => ReceiverState.withoutLink(entity, namespace)
  )

const looking = <B = undefined, P = unknown>(
  entity: ServiceBusEntity.Any,
  options: BrowseRawOptions | undefined,
  body?: ServiceBusBody<B, never>
): Stream.Stream<PeekedMessage<B> & P, PeekError | MessageDecodeError, ServiceBusClient.ServiceBusClient> =>
  Stream.unwrap(Effect.map(
    requester(entity),
    (self) =>
      // What the contract declares is decoded with the body.
      MessageBrowser.browse(self, options, body) as Stream.Stream<
        PeekedMessage<B> & P,
        PeekError | MessageDecodeError
      >
  ))
