/** Settles messages one by one, by hand, in every way that there is, and writes down what was asked and what was answered. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { LockedMessage } from "../../../src/ServiceBusMessage.ts"
import * as Settlement from "../../../src/Settlement.ts"
import type { Letter, Outcome } from "../History.ts"
import { attempt, bodyOf, flat, observe, operate, resultOf, type World } from "../World.ts"

/** What settles: a receiver, or a session. */
interface Settles<E> {
  readonly settle: (message: LockedMessage<unknown>, settlement: Settlement.Settlement) => Effect.Effect<void, E>
}

const settlementOf = ({ rng }: World, outcome: Outcome): Settlement.Settlement => {
  switch (outcome) {
    case "complete":
      return Settlement.complete
    case "abandon":
      return Settlement.abandon()
    case "defer":
      return Settlement.defer()
    case "deadLetter":
      return Settlement.deadLetter({ reason: "simulated", description: `by hand ${rng.between(1, 9)}` })
    case "retryAfter":
      return Settlement.retryAfter(rng.between(1, 10_000))
  }
}

const others: ReadonlyArray<Outcome> = ["abandon", "defer", "deadLetter", "retryAfter"]

/** Writes down that a message was handed out. */
export const note = (
  world: World,
  consumer: string,
  entity: string,
  message: {
    readonly messageId: string
    readonly body: string
    readonly sequenceNumber: bigint
    readonly deliveryCount: number
    readonly sessionId: string | undefined
    readonly lockToken?: string | undefined
  },
  mode: "locked" | "destructive" | "deferred"
): void =>
  world.history.add({
    kind: "received",
    consumer,
    entity,
    id: message.messageId,
    sequence: String(message.sequenceNumber),
    delivery: message.deliveryCount,
    session: message.sessionId,
    mode,
    isIntact: message.body === bodyOf(world.history.originOf(message.messageId)),
    token: message.lockToken
  })

/** What a settlement gives a dead letter to say, where it makes one. */
export const letterOf = (settlement: Settlement.Settlement | void): Letter | undefined =>
  settlement?._tag === "DeadLetter"
    ? { reason: settlement.reason, description: settlement.description }
    : undefined

/** After how many milliseconds a settlement has a message tried again, where it says so. */
export const delayOf = (settlement: Settlement.Settlement | void): number | undefined =>
  settlement?._tag === "RetryAfter" && Duration.isDuration(settlement.delay)
    ? Duration.toMillis(settlement.delay)
    : undefined

/** Runs a settlement and writes down what came of it. */
export const settleNoted = <E, R>(
  world: World,
  entity: string,
  { lockToken, sequenceNumber }: { readonly lockToken: string; readonly sequenceNumber: bigint },
  outcome: Outcome,
  settle: Effect.Effect<void, E, R>,
  settlement?: Settlement.Settlement
): Effect.Effect<Exit.Exit<void, E>, never, R> =>
  Effect.suspend(() => {
    const { history } = world
    const op = history.op()
    const sequence = String(sequenceNumber)
    const [letter, delay] = [letterOf(settlement), delayOf(settlement)]
    history.add({ kind: "settle", op, entity, sequence, outcome, token: lockToken, letter, delay })
    return Effect.onExit(attempt(world, settle, op), (exit) =>
      Effect.sync(() => history.add({ kind: "settled", op, ...resultOf(flat(exit)) })))
  })

/** Settles a message somehow; gives what was done. While all is well it is completed. */
export const settleSomehow = <E>(
  world: World,
  entity: string,
  receiver: Settles<E>,
  message: LockedMessage<string>
): Effect.Effect<Outcome> =>
  Effect.suspend(() => {
    const { rng } = world
    const outcome = world.isHealed() || rng.chance(0.6) ? "complete" as const : rng.pick(others)
    const settlement = settlementOf(world, outcome)
    const settle = receiver.settle(message, settlement)
    const isAgain = rng.chance(0.1)
    return Effect.gen(function*() {
      const exit = yield* settleNoted(world, entity, message, outcome, settle, settlement)
      if (isAgain && Exit.isSuccess(exit)) {
        const again = yield* observe(world, "settle again", receiver.settle(message, Settlement.abandon()))
        world.history.add({ kind: "resettled", sequence: String(message.sequenceNumber), ...resultOf(again) })
      }
      return outcome
    })
  })

/** Deletes messages unseen, and writes down how many it may be. */
export const eraseNoted = <A, E, R>(
  world: World,
  what: string,
  entity: string,
  most: number,
  erase: Effect.Effect<A, E, R>
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.suspend(() => {
    world.history.add({ kind: "deleting", entity, most })
    return operate(world, what, erase)
  })
