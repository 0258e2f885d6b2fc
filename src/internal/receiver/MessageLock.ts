/**
 * The lock of a message as far as this program knows of it: how long it lasts, by the monotonic clock since the message
 * came, and how it stands now. That of a session's message is the session's.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import type { IncomingDelivery } from "../amqp/engine/Delivery.ts"
import { Locked, tokenFromTag } from "../message/ReceivedMessage.ts"
import { monotonic } from "../monotonicClock.ts"
import { type Lock, plausible } from "./LockRenewal.ts"

/** The receiver of a message. */
interface Owner {
  readonly clock: Clock.Clock
  readonly session: { readonly lock: Lock } | undefined
}

/** What the delivery of a message says of its lock. */
export const timesOf = (message: LockedMessage<unknown>) => (message as Locked<unknown>).lockTimes()

/** How long the lock of a message lasts, in milliseconds: what its delivery says, as seen when it arrived. */
export const durationOf = (
  { clock }: Owner,
  delivery: IncomingDelivery,
  { enqueued, lockedUntil }: ReturnType<typeof timesOf>
): number => {
  const age = monotonic(clock) - delivery.receivedAt
  const byOurs = lockedUntil - (clock.currentTimeMillisUnsafe() - age)
  // By the broker's clock alone: it locked the message after it had enqueued it.
  const most = lockedUntil - enqueued
  return plausible(most >= 500 ? Math.min(byOurs, most) : byOurs)
}

/** There may be many thousands of them: it keeps what it cannot do without. */
class DeliveryLock implements Lock {
  expiresAt: number
  renewals = 0
  lost: "failed" | "expired" | undefined = undefined
  duration: number
  readonly longest: number
  readonly offset: number
  private readonly delivery: IncomingDelivery

  constructor(delivery: IncomingDelivery, duration: number, lockedUntil: number) {
    this.delivery = delivery
    this.duration = duration
    this.longest = duration
    this.expiresAt = delivery.receivedAt + duration
    this.offset = this.expiresAt - lockedUntil
  }

  get token(): string {
    return tokenFromTag(this.delivery.tag)
  }

  held(): boolean {
    return this.delivery.holder.isUnsettled(this.delivery)
  }
}

/** The lock of a message. */
export const of = (owner: Owner, message: LockedMessage<unknown>, delivery: IncomingDelivery): Lock => {
  if (owner.session !== undefined) return owner.session.lock
  let lock = delivery.lock as Lock | undefined
  if (lock === undefined) {
    const times = timesOf(message)
    lock = new DeliveryLock(delivery, durationOf(owner, delivery, times), times.lockedUntil)
    delivery.lock = lock
  }
  return lock
}

/** How a lock stands. */
export type LockState =
  | { readonly _tag: "Held"; readonly remaining: Duration.Duration; readonly renewals: number }
  | { readonly _tag: "Lost"; readonly reason: "failed" | "expired"; readonly renewals: number }
  | { readonly _tag: "Settled" }

/** The lock of a message that `owner` received, and how it stands now; undefined for a message of another receiver. */
export const viewOf = (
  owner: Owner,
  message: LockedMessage<unknown>
): { readonly lock: Lock; readonly view: LockState } | undefined => {
  const delivery = Locked.deliveryOf(message, owner)
  if (delivery === undefined) return undefined
  const lock = of(owner, message, delivery)
  const { lost, renewals } = lock
  const remaining = lock.expiresAt - monotonic(owner.clock)
  if (lost !== undefined) return { lock, view: { _tag: "Lost", reason: lost, renewals } }
  if (!lock.held()) return { lock, view: { _tag: "Settled" } }
  return remaining > 0
    ? { lock, view: { _tag: "Held", remaining: Duration.millis(remaining), renewals } }
    : { lock, view: { _tag: "Lost", reason: "expired", renewals } }
}
