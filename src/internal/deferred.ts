/**
 * Receiving deferred messages by their sequence numbers. They come in a response of the entity's `$management` node, not on
 * the receiver's link.
 */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import {
  MessageDecodeError,
  MessageNotFoundError,
  type ReceiveDeferredError,
  type SessionLockLostError
} from "../ServiceBusError.ts"
import { IncomingDelivery } from "./amqp/dataPlane/Delivery.ts"
import { monotonic } from "./amqp/monotonic.ts"
import { isSequenceNumber, outOfRange } from "./limits.ts"
import type { Undecodable } from "./limits.ts"
import * as management from "./management.ts"
import { abandoned } from "./outcomes.ts"
import { sectionsFrom } from "./peeking.ts"
import { Peeked, tagFromToken } from "./receivedMessage.ts"
import { type Handed, handOut, type Receiving } from "./receiving.ts"
import { LinklessHolder } from "./settling.ts"

/**
 * Receives deferred messages, all of them or none. Where that fails for want of one, it looks which: the service does not
 * say.
 */
const fetch = Effect.fnUntraced(function*(
  self: Receiving,
  sequenceNumbers: ReadonlyArray<bigint>
): Effect.fn.Return<ReadonlyArray<IncomingDelivery>, ReceiveDeferredError | SessionLockLostError> {
  const entity = self.entity.path
  const { isOpen, namespace } = self
  const request = namespace.managing(
    entity,
    isOpen,
    (node, timeout) =>
      management.receiveDeferred(node, {
        entity,
        sequenceNumbers,
        destructive: self.destructive,
        sessionId: self.session?.id,
        timeout
      })
  )
  // Whoever was answered nothing may have them locked, or have had them deleted.
  const messages = yield* namespace.retrying.run(request).pipe(
    Effect.catchTag(
      "MessageNotFoundError",
      (error) =>
        Effect.flatMap(
          missing(self, sequenceNumbers),
          (missing) => Effect.fail(new MessageNotFoundError({ ...error, missing }))
        )
    )
  )
  const holder = new LinklessHolder(self)
  const now = monotonic(self.clock)
  return messages.map(({ bytes, lockToken }) => {
    const tag = self.destructive ? Buffer.alloc(0) : tagFromToken(lockToken)
    const delivery = new IncomingDelivery(undefined, 0, tag, 0, self.destructive, bytes)
    delivery.receivedAt = now
    holder.hold(delivery)
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

/** Receives deferred messages and hands them out under the undecodable policy. */
export const receive = (
  self: Receiving,
  owner: object,
  sequenceNumbers: ReadonlyArray<bigint>,
  policy: Undecodable
): Effect.Effect<
  ReadonlyArray<Handed<unknown>>,
  ReceiveDeferredError | SessionLockLostError | MessageDecodeError
> => {
  const { entity } = self
  if (!sequenceNumbers.every(isSequenceNumber)) {
    return Effect.fail(outOfRange(entity.path, "sequenceNumbers", "an array of bigints of 0 or more"))
  }
  if (sequenceNumbers.length === 0) return Effect.succeed([])
  return Effect.flatMap(fetch(self, Arr.dedupe(sequenceNumbers)), (deliveries) => {
    const messages: Array<Handed<unknown>> = []
    let failure: MessageDecodeError | undefined = undefined
    for (const delivery of deliveries) {
      const message = handOut(self, owner, delivery, entity.body, policy)
      if (message instanceof MessageDecodeError) failure ??= message
      else if (message !== undefined) messages.push(message)
    }
    if (failure === undefined) return Effect.succeed(messages)
    // Nobody gets the others: they are deferred again.
    for (const delivery of deliveries) delivery.holder.dispose([delivery], abandoned)
    return Effect.fail(failure)
  })
}
