/**
 * Receiving deferred messages by their sequence numbers. They come in a response of the entity's `$management` node, not on
 * the receiver's link.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { MessageDecodeError, type ReceiveDeferredError, type SessionLockLostError } from "../../ServiceBusError.ts"
import { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import * as errorMap from "../errorMap.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { Peeked, sectionsOf, tagFromToken } from "../message/ReceivedMessage.ts"
import { monotonic } from "../monotonicClock.ts"
import { isSequenceNumber, outOfRange, type Undecodable } from "../options.ts"
import { handingOver } from "./Handover.ts"
import { sectionsFrom } from "./MessageBrowser.ts"
import { type Handed, handOut, type Receiving } from "./ReceiverState.ts"
import { abandoned } from "./SettlementOutcome.ts"
import { LinklessHolder } from "./Settler.ts"

/**
 * Receives deferred messages, all of them or none. Where that fails for want of one, it looks which: the service does not
 * say.
 */
const fetch = Effect.fnUntraced(function*(
  self: Receiving,
  sequenceNumbers: ReadonlyArray<bigint>,
  request: Request
): Effect.fn.Return<ReadonlyArray<IncomingDelivery>, ReceiveDeferredError | SessionLockLostError> {
  const entity = self.entity.path
  const { isOpen, namespace } = self
  const asked = namespace.withManagementNode(entity, isOpen, (node, timeout) => {
    // It is not asked again for a caller who is gone.
    if (request.isAbandoned) return Effect.interrupt
    request.isOut = true
    return Effect.tapError(
      EntityManagement.receiveDeferred(node, {
        entity,
        sequenceNumbers,
        destructive: self.destructive,
        sessionId: self.session?.id,
        timeout
      }),
      () =>
        Effect.sync(() => {
          request.isOut = false
        })
    )
  })
  // Whoever was answered nothing may have them locked, or have had them deleted.
  const messages = yield* namespace.retryPolicy.run(asked).pipe(
    Effect.catchTag(
      "MessageNotFoundError",
      (error) =>
        Effect.flatMap(
          missing(self, sequenceNumbers),
          (missing) => Effect.fail(errorMap.withFields(error, { missing }))
        )
    )
  )
  const holder = new LinklessHolder(self)
  const now = monotonic(self.clock)
  return messages.map(({ bytes, lockToken }) => {
    const tag = self.destructive ? Buffer.alloc(0) : tagFromToken(lockToken)
    const delivery = new IncomingDelivery(undefined, 0, tag, 0, self.destructive, bytes)
    delivery.receivedAt = now
    // What came without a lock is settled.
    if (self.destructive) delivery.holder = holder
    else holder.hold(delivery)
    return delivery
  })
})

/** Which of these numbers is no deferred message. */
const missing = (self: Receiving, sequenceNumbers: ReadonlyArray<bigint>): Effect.Effect<ReadonlyArray<bigint>> =>
  Effect.filter(sequenceNumbers, (number) =>
    Effect.match(sectionsFrom(self, number, 1), {
      onFailure: () => false,
      onSuccess: ([sections]) => {
        if (sections === undefined) return true
        const message = new Peeked(sections, undefined)
        return message.sequenceNumber !== number || message.state !== "deferred"
      }
    }), { concurrency: 8 })

/** A request for deferred messages. */
interface Request {
  /** It may be with the peer, which answers it also where nobody waits any more. */
  isOut: boolean
  /** Nobody waits for it any more. */
  isAbandoned: boolean
}

/**
 * Messages that the broker has forgotten and whose caller was interrupted before he had them, by their sequence numbers: the
 * next call has them.
 */
export class Unclaimed {
  readonly messages = new Map<bigint, IncomingDelivery>()
  /** Requests whose caller is gone, and which are not answered yet. */
  readonly out = new Set<Fiber.Fiber<unknown, unknown>>()
}

/** What nobody gets: deferred again, or, where the broker has forgotten it, kept for the next call. */
const giveBack = (self: Receiving, unclaimed: Unclaimed, deliveries: Iterable<IncomingDelivery>): void => {
  for (const delivery of deliveries) {
    if (!self.destructive) delivery.holder.dispose([delivery], abandoned)
    else {
      const number = sequenceNumberOf(delivery)
      if (number !== undefined) unclaimed.messages.set(number, delivery)
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

/** Fetches messages into a claim; where the caller is interrupted once the request is out, what comes is given back. */
const fetching = (
  self: Receiving,
  sequenceNumbers: ReadonlyArray<bigint>,
  unclaimed: Unclaimed,
  claim: Array<IncomingDelivery>
): Effect.Effect<void, ReceiveDeferredError | SessionLockLostError> =>
  Effect.uninterruptibleMask((restore) => {
    const request: Request = { isOut: false, isAbandoned: false }
    return Effect.flatMap(
      Effect.forkDetach(Effect.interruptible(fetch(self, sequenceNumbers, request)), { startImmediately: true }),
      (fiber) =>
        Effect.map(
          Effect.onInterrupt(restore(Fiber.join(fiber)), () =>
            Effect.suspend(() => {
              request.isAbandoned = true
              unclaimed.out.add(fiber)
              fiber.addObserver((exit) => {
                unclaimed.out.delete(fiber)
                if (Exit.isSuccess(exit)) giveBack(self, unclaimed, exit.value)
              })
              return request.isOut ? Effect.void : Fiber.interrupt(fiber)
            })),
          (deliveries) => void claim.push(...deliveries)
        )
    )
  })

/** Receives deferred messages and hands them out under the undecodable policy. */
export const receive = (
  self: Receiving,
  owner: object,
  sequenceNumbers: ReadonlyArray<bigint>,
  policy: Undecodable,
  unclaimed: Unclaimed,
  claim: Array<IncomingDelivery>
): Effect.Effect<
  ReadonlyArray<Handed<unknown>>,
  ReceiveDeferredError | SessionLockLostError | MessageDecodeError
> => {
  const { entity } = self
  if (!Array.isArray(sequenceNumbers) || !sequenceNumbers.every(isSequenceNumber)) {
    return Effect.fail(outOfRange(entity.path, "sequenceNumbers", "an array of bigints of 0 or more"))
  }
  if (sequenceNumbers.length === 0) return Effect.succeed([])
  const wanted = Arr.dedupe(sequenceNumbers)
  // What an answer on its way brings is not asked for again.
  const fetched = Effect.andThen(
    Effect.suspend(() => unclaimed.out.size === 0 ? Effect.void : Fiber.awaitAll([...unclaimed.out])),
    Effect.suspend(() => {
      const missing: Array<bigint> = []
      for (const number of wanted) {
        const delivery = unclaimed.messages.get(number)
        unclaimed.messages.delete(number)
        if (delivery === undefined) missing.push(number)
        else claim.push(delivery)
      }
      return missing.length === 0 ? Effect.void : fetching(self, missing, unclaimed, claim)
    })
  )
  return Effect.flatMap(fetched, () => {
    const messages: Array<Handed<unknown>> = []
    let failure: MessageDecodeError | undefined = undefined
    for (const delivery of [...claim]) {
      const message = handOut(self, owner, delivery, entity.body, policy)
      if (message instanceof MessageDecodeError) failure ??= message
      else if (message !== undefined) {
        messages.push(message)
        continue
      }
      // Its own word was said.
      claim.splice(claim.indexOf(delivery), 1)
    }
    // Nobody gets the others.
    return failure === undefined ? Effect.succeed(messages) : Effect.fail(failure)
  })
}

/** Gives deferred messages to their caller, or has them again. */
export const handedOver = <A, E>(
  self: Receiving,
  unclaimed: Unclaimed,
  receive: (claim: Array<IncomingDelivery>) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const claim: Array<IncomingDelivery> = []
    return handingOver(receive(claim), () => giveBack(self, unclaimed, claim))
  })
