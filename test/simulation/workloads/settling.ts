/** Settles messages one by one, by hand, in every way that there is, and writes down what was asked and what was answered. */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { LockedMessage } from "../../../src/ServiceBusMessage.ts"
import * as Settlement from "../../../src/Settlement.ts"
import type { Outcome } from "../History.ts"
import { attempt, bodyOf, flat, resultOf, type World } from "../World.ts"

/** What settles: a receiver, or a session. */
interface Settles<E> {
  readonly settle: (message: LockedMessage<unknown>, settlement: Settlement.Settlement) => Effect.Effect<void, E>
}

const settlementOf = (world: World, outcome: Outcome): Settlement.Settlement => {
  switch (outcome) {
    case "complete":
      return Settlement.complete
    case "abandon":
      return Settlement.abandon()
    case "defer":
      return Settlement.defer()
    case "deadLetter":
      return Settlement.deadLetter({ reason: "simulated", description: "by hand" })
    case "retryAfter":
      return Settlement.retryAfter(world.rng.between(1, 10_000))
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
    isIntact: message.body === bodyOf(message.messageId)
  })

/** Runs a settlement and writes down what came of it. */
export const settleNoted = <E, R>(
  world: World,
  entity: string,
  sequenceNumber: bigint,
  outcome: Outcome,
  settle: Effect.Effect<void, E, R>
): Effect.Effect<Exit.Exit<void, E>, never, R> =>
  Effect.suspend(() => {
    const { history } = world
    const op = history.op()
    history.add({ kind: "settle", op, entity, sequence: String(sequenceNumber), outcome })
    return Effect.onExit(attempt(world, settle), (exit) =>
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
    return Effect.as(
      settleNoted(
        world,
        entity,
        message.sequenceNumber,
        outcome,
        receiver.settle(message, settlementOf(world, outcome))
      ),
      outcome
    )
  })
