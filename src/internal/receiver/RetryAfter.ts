/**
 * `Settlement.retryAfter`, trying a message again later: a copy of it goes to its own queue, to be enqueued after a delay,
 * and once the broker has accepted the copy the original is completed.
 *
 * At-least-once: a message is never without one of the two. If the program dies between the steps, the original comes again
 * and sends a copy with the same message id, which an entity with duplicate detection drops. The sending link is attached by
 * the first copy and ends with the receiver's scope.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import {
  type AttachError,
  InvalidOptionError,
  MessageEncodeError,
  MessageSizeExceededError,
  NotSupportedError,
  type SendError
} from "../../ServiceBusError.ts"
import type { LockedMessage } from "../../ServiceBusMessage.ts"
import type { RetryAfter, Settlement } from "../../Settlement.ts"
import * as SenderLink from "../amqp/SenderLink.ts"
import { copyOf } from "../message/MessageCopy.ts"
import { arePropertiesTooLarge, maxPropertiesSize } from "../message/PropertyQuotas.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import * as RecoveringLink from "../namespace/RecoveringLink.ts"

/** Sends the copies of a receiver's messages. */
export interface RetryAfterSender {
  /**
   * What a retry comes to: a delay in milliseconds, or the settlement of a message whose schedule is done. Fails before
   * anything is on the wire where the entity or the delay does not allow it.
   */
  readonly plan: (
    message: LockedMessage<unknown>,
    settlement: RetryAfter
  ) => Effect.Effect<number | Settlement, NotSupportedError | InvalidOptionError>
  /** Sends a copy of a message to be enqueued after a delay in milliseconds, and waits until the broker has accepted it. */
  readonly send: (
    message: LockedMessage<unknown>,
    delay: number
  ) => Effect.Effect<void, SendError>
}

/** More retries than any schedule is followed for: a sender cannot make a receiver count for longer. */
const mostSteps = 10_000

/** Whether what is sent to the entity comes to its receivers, and to no others. A plain name may be any address. */
const isQueue = (entity: ServiceBusEntity.Any): boolean =>
  (entity._tag === "Queue" || entity._tag === "SessionQueue") && !/\/subscriptions\/|\/\$/i.test(entity.path)

export const make = Effect.fnUntraced(function*(options: {
  readonly entity: ServiceBusEntity.Any
  /** That of the receiver. */
  readonly identifier: string
  readonly namespace: Namespace
  readonly clock: Clock.Clock
}): Effect.fn.Return<RetryAfterSender, never, Scope.Scope> {
  const { clock, entity, identifier, namespace } = options
  const { timeout } = namespace.options
  const scope = yield* Effect.scope
  const attaching = Semaphore.makeUnsafe(1)
  let link: RecoveringLink.RecoveringLink<SenderLink.SenderLink, AttachError> | undefined

  const attach = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const own = yield* Scope.fork(scope)
      link = yield* restore(Scope.provide(
        RecoveringLink.make({
          open: () =>
            Effect.flatMap(
              namespace.session(entity.path),
              (session) => SenderLink.make(session, { entity: entity.path, identifier, timeout })
            ),
          isLost: (sender) => sender.link.dead() !== undefined
        }),
        own
      )).pipe(Effect.onError(() => Scope.close(own, Exit.void)))
      return link
    })
  )
  const sender = Effect.suspend(() =>
    link?.get ?? Effect.flatMap(
      attaching.withPermits(1)(Effect.suspend(() => link === undefined ? attach : Effect.succeed(link))),
      (attached) => attached.get
    )
  )

  return {
    plan: (message, { delay }) =>
      Effect.suspend((): Effect.Effect<number | Settlement, NotSupportedError | InvalidOptionError> => {
        if (!isQueue(entity)) {
          return Effect.fail(
            new NotSupportedError({
              entity: entity.path,
              operation: "settle",
              description:
                "Settlement.retryAfter sends a copy to the message's own queue; what is sent to a topic goes to all of its subscriptions, and the service takes no messages for a sub-queue"
            })
          )
        }
        return Duration.isDuration(delay) || !Schedule.isSchedule(delay)
          ? checkedDelay(entity, delay)
          : Effect.flatMap(
            stepOf(delay, message),
            (step): Effect.Effect<number | Settlement, InvalidOptionError> =>
              Option.isSome(step) ? checkedDelay(entity, step.value) : Effect.succeed(exhausted(message))
          )
      }),
    send: (message, delay) =>
      Effect.suspend(() => {
        const now = clock.currentTimeMillisUnsafe()
        const { payload: copy, propertiesSize } = copyOf(message, { enqueueAt: now + delay, now })
        if (arePropertiesTooLarge(propertiesSize)) {
          return Effect.fail(
            new MessageEncodeError({
              entity: entity.path,
              operation: "settle",
              part: "properties",
              description:
                `those of its copy have ${propertiesSize} bytes with annotations and header, and Service Bus takes ${maxPropertiesSize}`
            })
          )
        }
        return namespace.retryPolicy.run(Effect.flatMap(sender, (sender) =>
          copy.length > sender.maxMessageSize
            ? Effect.fail(
              new MessageSizeExceededError({
                entity: entity.path,
                operation: "settle",
                size: copy.length,
                limit: sender.maxMessageSize
              })
            )
            : sender.send([copy], [0])))
      })
  }
})

/** More than any timestamp has left, in milliseconds: 250,000 years. */
const longest = 8e15

const checkedDelay = (
  entity: ServiceBusEntity.Any,
  delay: unknown
): Effect.Effect<number, InvalidOptionError> => {
  const millis = Duration.isDuration(delay) ? Duration.toMillis(delay) : NaN
  return millis >= 0 && millis <= longest
    ? Effect.succeed(millis)
    : Effect.fail(
      new InvalidOptionError({
        entity: entity.path,
        operation: "settle",
        option: "delay",
        expected: "a finite duration of 0 or more"
      })
    )
}

/** The delay of a schedule's step for a message, as if its retries had come one after the other. */
const stepOf = (
  schedule: Schedule.Schedule<unknown>,
  message: LockedMessage<unknown>
): Effect.Effect<Option.Option<Duration.Duration>> =>
  Effect.gen(function*() {
    const next = yield* Schedule.toStep(schedule)
    let now = DateTime.toEpochMillis(message.firstEnqueuedTime)
    for (let attempt = 0;; attempt++) {
      const step = yield* Effect.option(next(now, attempt))
      if (Option.isNone(step)) return Option.none()
      const [, delay] = step.value
      if (attempt >= Math.min(message.retryAttempt, mostSteps)) return Option.some(delay)
      now += Duration.toMillis(delay)
    }
  })

const exhausted = (message: LockedMessage<unknown>): Settlement => ({
  _tag: "DeadLetter",
  reason: "RetriesExhausted",
  description: `it was tried ${message.retryAttempt + 1} times, and its retry schedule is done`
})
