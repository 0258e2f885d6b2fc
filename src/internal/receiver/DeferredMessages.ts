/**
 * Receiving deferred messages by their sequence numbers. They come in a response of the entity's `$management` node, not on
 * the receiver's link.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import {
  InvalidOptionError,
  MessageDecodeError,
  type ReceiveDeferredError,
  type SessionLockLostError
} from "../../ServiceBusError.ts"
import { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as errorMap from "../errorMap.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { Peeked, sectionsOf, tagFromToken } from "../message/ReceivedMessage.ts"
import { monotonic } from "../monotonicClock.ts"
import { isSequenceNumber, outOfRange } from "../options.ts"
import { annotateMessages } from "../telemetry/Telemetry.ts"
import * as Handover from "./Handover.ts"
import { sectionsFrom } from "./MessageBrowser.ts"
import {
  decodeOrDispose,
  type MessageOf,
  type Mode,
  narrowErrorsTo,
  type ReceiverState,
  reportLost
} from "./ReceiverState.ts"
import { abandoned } from "./SettlementOutcome.ts"
import { LinklessHolder } from "./Settler.ts"

/**
 * Receives deferred messages, all of them or none. Where that fails for want of one, it looks which: the service does not
 * say.
 */
const fetch = Effect.fnUntraced(function*<L extends SessionLockLostError>(
  state: ReceiverState<unknown, Mode, MessageDecodeError, L>,
  sequenceNumbers: ReadonlyArray<bigint>,
  request: Request
): Effect.fn.Return<ReadonlyArray<IncomingDelivery>, ReceiveDeferredError | L> {
  const entity = state.entity.path
  const { isOpen, namespace } = state
  const destructive = state.mode === "destructive"
  const asked = namespace.withManagementNode(entity, isOpen, (node, timeout) => {
    // It is not asked again for a caller who is gone.
    if (request.isAbandoned) return Effect.interrupt
    request.isOut = true
    return Effect.tapError(
      EntityManagement.receiveDeferred(node, {
        entity,
        sequenceNumbers,
        destructive,
        session: state.session,
        timeout
      }),
      () =>
        Effect.sync(() => {
          request.isOut = false
        })
    )
  })
  // A caller whose answer was lost may have them locked, or have had them deleted.
  const messages = yield* narrowErrorsTo(state, namespace.retryPolicy.run(asked)).pipe(
    Effect.catchTag(
      "MessageNotFoundError",
      (error) =>
        Effect.flatMap(
          findMissing(state, sequenceNumbers),
          (missing) => Effect.fail(errorMap.withFields(error, { missing }))
        )
    )
  )
  const holder = new LinklessHolder(state)
  const now = monotonic(state.clock)
  return messages.map(({ bytes, lockToken }) => {
    const tag = destructive ? Buffer.alloc(0) : tagFromToken(lockToken)
    const delivery = new IncomingDelivery(undefined, 0, tag, 0, destructive, bytes)
    delivery.receivedAt = now
    // What came without a lock is settled.
    if (destructive) delivery.holder = holder
    else holder.hold(delivery)
    return delivery
  })
})

/** Which of these numbers is no deferred message. */
const findMissing = (
  state: ReceiverState,
  sequenceNumbers: ReadonlyArray<bigint>
): Effect.Effect<ReadonlyArray<bigint>> =>
  Effect.filter(sequenceNumbers, (number) =>
    Effect.match(sectionsFrom(state, number, 1), {
      onFailure: () => false,
      onSuccess: ([sections]) => {
        if (sections === undefined) return true
        const message = new Peeked(sections, undefined)
        return message.sequenceNumber !== number || message.state !== "deferred"
      }
    }), { concurrency: 8 })

/** A request for deferred messages. */
interface Request {
  /** It may be with the peer, which answers it also where no caller waits any more. */
  isOut: boolean
  /** No caller waits for it any more. */
  isAbandoned: boolean
}

/**
 * Messages that the broker has forgotten and whose caller was interrupted before it had them, by their sequence numbers: the
 * next call has them.
 */
export class ReturnedMessages {
  readonly messages = new Map<bigint, IncomingDelivery>()
  /** Requests whose caller is gone, and which are not answered yet. */
  readonly out = new Set<Fiber.Fiber<unknown, unknown>>()
}

/** Messages that have no caller: deferred again, or, where the broker has forgotten it, kept for the next call. */
const giveBack = (state: ReceiverState, returned: ReturnedMessages, deliveries: Iterable<IncomingDelivery>): void => {
  for (const delivery of deliveries) {
    if (state.mode === "locked") delivery.holder.dispose([delivery], abandoned)
    else {
      const number = sequenceNumberOf(delivery)
      if (number !== undefined) returned.messages.set(number, delivery)
    }
  }
}

const sequenceNumberOf = (delivery: IncomingDelivery): bigint | undefined => {
  try {
    return new Peeked(sectionsOf(delivery), undefined).sequenceNumber
  } catch {
    return undefined
  }
}

/**
 * Fetches messages into what is taken for the caller; where the caller is interrupted once the request is out, what comes is
 * given back.
 */
const fetchInto = <L extends SessionLockLostError>(
  state: ReceiverState<unknown, Mode, MessageDecodeError, L>,
  sequenceNumbers: ReadonlyArray<bigint>,
  returned: ReturnedMessages,
  taken: Array<IncomingDelivery>
): Effect.Effect<void, ReceiveDeferredError | L> =>
  Effect.uninterruptibleMask((restore) => {
    const request: Request = { isOut: false, isAbandoned: false }
    return Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(fetch(state, sequenceNumbers, request)), { startImmediately: true }),
      (fiber) =>
        Effect.map(
          Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
            Effect.suspend(() => {
              request.isAbandoned = true
              returned.out.add(fiber)
              fiber.addObserver((exit) => {
                returned.out.delete(fiber)
                if (Exit.isSuccess(exit)) giveBack(state, returned, exit.value)
              })
              return request.isOut ? Effect.void : Fiber.interrupt(fiber)
            })),
          (deliveries) => void taken.push(...deliveries)
        )
    )
  })

/**
 * Receives deferred messages, and decodes them under the undecodable policy. Where their caller is interrupted before it has
 * them, they are given back.
 */
export const receive = <A, D extends Mode, E extends MessageDecodeError, L extends SessionLockLostError>(
  state: ReceiverState<A, D, E, L>,
  returned: ReturnedMessages,
  sequenceNumbers: ReadonlyArray<bigint>
): Effect.Effect<ReadonlyArray<MessageOf<D, A>>, ReceiveDeferredError | E | L> =>
  Effect.suspend(() => {
    const taken: Array<IncomingDelivery> = []
    return Handover.run(
      state.telemetry.run("receive_deferred", () => receiveInto(state, returned, sequenceNumbers, taken), {
        onSuccess: (messages: ReadonlyArray<MessageOf<D, A>>, span) => {
          state.telemetry.countConsumed("receive_deferred", messages.length)
          if (span !== undefined) annotateMessages(span, messages)
        }
      }),
      () => giveBack(state, returned, taken)
    )
  })

const receiveInto = <A, D extends Mode, E extends MessageDecodeError, L extends SessionLockLostError>(
  state: ReceiverState<A, D, E, L>,
  returned: ReturnedMessages,
  sequenceNumbers: ReadonlyArray<bigint>,
  taken: Array<IncomingDelivery>
): Effect.Effect<ReadonlyArray<MessageOf<D, A>>, ReceiveDeferredError | E | L> => {
  if (!Array.isArray(sequenceNumbers) || !sequenceNumbers.every(isSequenceNumber)) {
    return Effect.fail(outOfRange(state.entity.path, "sequenceNumbers", "an array of bigints of 0 or more"))
  }
  if (sequenceNumbers.length === 0) return Effect.succeed([])
  const wanted = Arr.dedupe(sequenceNumbers)
  // What an answer on its way brings is not asked for again.
  const fetched = Effect.andThen(
    Effect.suspend(() => returned.out.size === 0 ? Effect.void : Fiber.awaitAll([...returned.out])),
    Effect.suspend(() => {
      const missing: Array<bigint> = []
      for (const number of wanted) {
        const delivery = returned.messages.get(number)
        returned.messages.delete(number)
        if (delivery === undefined) missing.push(number)
        else taken.push(delivery)
      }
      return missing.length === 0 ? Effect.void : fetchInto(state, missing, returned, taken)
    })
  )
  return Effect.flatMap(fetched, (): Effect.Effect<ReadonlyArray<MessageOf<D, A>>, E | InvalidOptionError> => {
    const messages: Array<MessageOf<D, A>> = []
    let failure: E | InvalidOptionError | undefined = undefined
    for (const delivery of [...taken]) {
      const message = decodeOrDispose(state, delivery, state.body)
      if (message instanceof MessageDecodeError || message instanceof InvalidOptionError) {
        // The caller hears of one; the broker has forgotten the others, too.
        const isUnheard = failure !== undefined && state.mode === "destructive"
        if (isUnheard && message instanceof MessageDecodeError) reportLost(state.reporter, delivery, message)
        failure ??= message
      } else if (message !== undefined) {
        messages.push(message)
        continue
      }
      // It has its outcome.
      taken.splice(taken.indexOf(delivery), 1)
    }
    // The others have no caller.
    return failure === undefined ? Effect.succeed(messages) : Effect.fail(failure)
  })
}
