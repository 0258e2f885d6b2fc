/** A handler: it writes down what it was given, and does what handlers do, well and badly. */
import * as Effect from "effect/Effect"
import type { LockedMessage } from "../../../src/ServiceBusMessage.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { bodyOf, type Mood, type World } from "../World.ts"
import { delayOf, letterOf } from "./settling.ts"

/** A failure of a handler, which ends the stream that it is a part of: no defect of the library. */
class HandlerError extends Error {
  readonly _tag = "HandlerError"
}

/** What a handler does, by its manner; any of them where it has none. */
const manners: Readonly<Record<Mood["manner"], number | undefined>> = { any: undefined, fails: 3, dies: 4, hangs: 11 }

export const handle = (
  world: World,
  consumer: string,
  entity: string,
  body: string,
  message: LockedMessage<string>,
  options: {
    /** What it does where it does well, other than completing: what that is called, and the settlement. */
    readonly well?: () => readonly [string, Settlement.Settlement] | undefined
    /** A stream waits for its handlers as long as they take, and a session is held as long. */
    readonly isEndless?: boolean
    /** What it does before all else. */
    readonly first?: Effect.Effect<void>
  } = {}
): Effect.Effect<Settlement.Settlement | void, Error> =>
  Effect.suspend(() => {
    const { history, mood, rng } = world
    const sequence = String(message.sequenceNumber)
    history.add({
      kind: "received",
      consumer,
      entity,
      id: message.messageId,
      sequence,
      delivery: message.deliveryCount,
      session: message.sessionId,
      mode: "locked",
      isIntact: body === bodyOf(history.originOf(message.messageId)),
      token: message.lockToken
    })
    let isOver = false
    const gives = <A extends Settlement.Settlement | void>(outcome: string, value: A) =>
      Effect.sync(() => {
        isOver = true
        history.add({
          kind: "handled",
          consumer,
          entity,
          sequence,
          outcome,
          letter: letterOf(value),
          delay: delayOf(value)
        })
        return value
      })
    const work: Effect.Effect<Settlement.Settlement | void, Error> = Effect.suspend(() => {
      if (!rng.chance(mood.handlers)) {
        const [outcome, settlement] = options.well?.() ?? ["complete", undefined]
        return gives(outcome, settlement)
      }
      switch (manners[mood.manner] ?? rng.between(0, 10)) {
        case 0:
          return gives("abandon", Settlement.abandon())
        case 1:
          return gives("deadLetter", Settlement.deadLetter({ reason: "simulated", description: message.messageId }))
        case 2:
          return gives("retryAfter", Settlement.retryAfter(rng.between(1, 10_000)))
        case 3:
          return Effect.andThen(gives("fails", undefined), Effect.fail(new HandlerError("the handler fails")))
        case 4:
          return Effect.andThen(gives("dies", undefined), Effect.die(new HandlerError("the handler dies")))
        case 5:
          return Effect.andThen(gives("interrupts itself", undefined), Effect.interrupt)
        case 6:
          // Its lock is renewed meanwhile.
          return Effect.andThen(Effect.sleep(rng.between(1, 60_000)), gives("complete", undefined))
        case 7:
          return Effect.andThen(Effect.yieldNow, gives("complete", Settlement.complete))
        case 8:
          return Effect.andThen(gives("gives nonsense", undefined), Effect.succeed(5 as never))
        case 9:
          // Longer than its lock is kept: it is interrupted.
          return Effect.andThen(Effect.sleep(400_000), gives("complete", undefined))
        case 11:
          // Until it is interrupted, as it is once its lock is over.
          if (options.isEndless ?? message.sessionId === undefined) return Effect.never
          return Effect.andThen(Effect.sleep(400_000), gives("complete", undefined))
        default:
          return Effect.andThen(Effect.sleep(rng.between(1, 5_000)), gives("complete", undefined))
      }
    })
    return Effect.onExit(Effect.andThen(options.first ?? Effect.void, work), () =>
      isOver ? Effect.void : gives("interrupted", undefined))
  })
