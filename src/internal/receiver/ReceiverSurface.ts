/**
 * The operations that users have of a receiver and of a session, as records of functions over its state: a function works by
 * itself (`Effect.forEach(messages, receiver.complete)`).
 *
 * The types of the state say what they fail with: that a session is lost, or that a body does not decode, where it can be.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Stream from "effect/Stream"
import type { MessageDecodeError, ReceiveError, SessionLockLostError } from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import * as Settlement from "../../Settlement.ts"
import { Locked } from "../message/ReceivedMessage.ts"
import {
  checkedCount,
  checkedIdentifier,
  checkedRenewal,
  checkedStreamWait,
  checkedUndecodable,
  type DeleteOptions,
  outOfRange,
  type PeekOptions,
  type PeekRawOptions,
  readOptions,
  type ReceiveOptions,
  type Undecodable,
  withOptions
} from "../options.ts"
import { type Hooks, linksOf, messageAttributes } from "../telemetry/Telemetry.ts"
import * as BatchDelete from "./BatchDelete.ts"
import * as DeferredMessages from "./DeferredMessages.ts"
import * as MessageBrowser from "./MessageBrowser.ts"
import * as MessageLock from "./MessageLock.ts"
import { MessageReader } from "./MessageReader.ts"
import * as ReceiverState from "./ReceiverState.ts"
import * as Settler from "./Settler.ts"

const deleted: Hooks<number> = {
  onSuccess: (count, span) => span?.attribute("messaging.batch.message_count", count)
}

/** Options of a receiver as a caller gives them. */
interface Options<out U extends Undecodable> {
  readonly prefetch?: number | undefined
  readonly undecodable?: U | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly renewalBatch?: number | undefined
  readonly renewalMargin?: number | undefined
  readonly identifier?: string | undefined
}

/** The options of a receiver, checked. */
export const check = Effect.fnUntraced(function*<U extends Undecodable>(
  entity: string,
  input: Options<U> | undefined
) {
  const options = yield* Effect.fromResult(readOptions(entity, input))
  const prefetch = yield* Effect.fromResult(checkedCount(entity, "prefetch", options.prefetch ?? 0, 0))
  const maxWait = yield* Effect.fromResult(checkedStreamWait(entity, options.maxWait))
  const undecodable = yield* Effect.fromResult(checkedUndecodable(entity, options.undecodable))
  const renewal = yield* Effect.fromResult(checkedRenewal(entity, options))
  const identifier = yield* Effect.fromResult(checkedIdentifier(entity, options.identifier))
  return { prefetch, maxWait, undecodable, renewal, identifier }
})

type Raw<D extends ReceiverState.Mode> = ReceiverState.MessageOf<D, undefined>

/** What receivers and sessions of both modes do. */
export const readOperations = <
  A,
  D extends ReceiverState.Mode,
  E extends MessageDecodeError,
  L extends SessionLockLostError
>(
  state: ReceiverState.ReceiverState<A, D, E, L>,
  /** How long its streams wait for a message before they end, in milliseconds. */
  maxWait: number
) => {
  const { body, telemetry } = state
  const entity = state.entity.path
  const reader = new MessageReader(state, maxWait)
  const returned = new DeferredMessages.ReturnedMessages()
  return {
    entity,
    identifier: state.identifier,
    receive: (options?: ReceiveOptions) => reader.receive(options, body),
    receiveOne: (options?: Pick<ReceiveOptions, "maxWait">) =>
      withOptions(
        entity,
        options,
        ({ maxWait }) =>
          Effect.map(reader.receive({ max: 1, maxWait }, body), ([message]) => Option.fromUndefinedOr(message))
      ),
    // The public types of both do not say that bytes which are no message fail them too, where the policy is to fail.
    receiveRaw: (options?: ReceiveOptions) =>
      reader.receive<undefined>(options, undefined) as Effect.Effect<ReadonlyArray<Raw<D>>, ReceiveError | L>,
    messages: reader.stream(body),
    messagesRaw: reader.stream<undefined>(undefined) as Stream.Stream<Raw<D>, ReceiveError | L>,
    chunks: reader.chunks(body),
    peek: (options?: PeekOptions) => MessageBrowser.peek(state, options, body),
    peekRaw: (options?: PeekRawOptions) => MessageBrowser.peek(state, options),
    browse: (options?: PeekOptions) => MessageBrowser.browse(state, options, body),
    browseRaw: (options?: PeekRawOptions) => MessageBrowser.browse(state, options),
    deleteMessages: (options?: DeleteOptions) =>
      withOptions(
        entity,
        options,
        (options) => telemetry.run("delete", () => BatchDelete.deleteMessages(state, options), deleted)
      ),
    purge: (options?: DeleteOptions) =>
      withOptions(
        entity,
        options,
        (options) => telemetry.run("delete", () => BatchDelete.purge(state, options), deleted)
      ),
    receiveDeferred: (sequenceNumbers: ReadonlyArray<bigint>) =>
      DeferredMessages.receive(state, returned, sequenceNumbers)
  }
}

type LockedState<L extends SessionLockLostError> = ReceiverState.ReceiverState<unknown, "locked", MessageDecodeError, L>

/** What settles messages under locks. */
export const settleOperations = <L extends SessionLockLostError>(state: LockedState<L>) => {
  const entity = state.entity.path
  const settle = (message: LockedMessage<unknown>, settlement: Settlement.Settlement) =>
    Settler.settle(state, [message], settlement)
  const settleWith = <O extends object>(
    message: LockedMessage<unknown>,
    options: O | undefined,
    settlement: (options: O) => Settlement.Settlement
  ) => withOptions(entity, options, (options) => settle(message, settlement(options as O)))
  return {
    settle,
    complete: (message: LockedMessage<unknown>) => settle(message, Settlement.complete),
    abandon: (
      message: LockedMessage<unknown>,
      options?: { readonly properties?: Settlement.Properties | undefined }
    ) => settleWith(message, options, Settlement.abandon),
    defer: (
      message: LockedMessage<unknown>,
      options?: { readonly properties?: Settlement.Properties | undefined }
    ) => settleWith(message, options, Settlement.defer),
    deadLetter: (
      message: LockedMessage<unknown>,
      options?: {
        readonly reason?: string | undefined
        readonly description?: string | undefined
        readonly properties?: Settlement.Properties | undefined
      }
    ) => settleWith(message, options, Settlement.deadLetter),
    settleAll: (messages: ReadonlyArray<LockedMessage<unknown>>, settlement: Settlement.Settlement) =>
      Settler.settle(state, messages, settlement),
    completeAll: (messages: ReadonlyArray<LockedMessage<unknown>>) =>
      Settler.settle(state, messages, Settlement.complete)
  }
}

/** What is done with the locks of messages: of a receiver only, since a session has one lock for all. */
export const lockOperations = (state: LockedState<never>) => ({
  handOver: (message: LockedMessage<unknown>) =>
    Effect.suspend(() => {
      const delivery = ReceiverState.deliveryOf(state, message, "handOver")
      if (Result.isFailure(delivery)) return Effect.fail(delivery.failure)
      delivery.success.holder.forget(delivery.success)
      state.renewal.changed(MessageLock.of(state, message, delivery.success))
      return Effect.succeed(message.lockToken)
    }),
  renewLock: (message: LockedMessage<unknown>) =>
    Effect.suspend(() => {
      const delivery = Locked.deliveryOf(message, state)
      if (delivery === undefined) {
        return Effect.fail(outOfRange(state.entity.path, "message", "a message that this receiver received"))
      }
      return state.telemetry.run("renew_message_lock", () => ReceiverState.renewLock(state, message, delivery), {
        attributes: () => messageAttributes(message),
        links: () => linksOf([message])
      })
    })
})
