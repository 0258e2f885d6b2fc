/** Writes down what a program does not see of its consumers: the credit of a receiver, the listeners of its connection, the books. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as ReceiverState from "../../../src/internal/receiver/ReceiverState.ts"
import type * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import { bodyOf, operate, type World } from "../World.ts"

/** Notes the credit of a receiver where it may have so much at most. */
export const noteCredit = ({ history }: World, consumer: string, receiver: object, most: number): void => {
  history.add({ kind: "credit", consumer, credit: ReceiverState.stateOf(receiver).link.credit(), most })
}

/** Receives, and notes how many messages came and how long it took. */
export const receiveNoted = <M, E, R>(
  { history, now }: World,
  consumer: string,
  receiver: {
    readonly receive: (
      options: { readonly max: number; readonly maxWait: number }
    ) => Effect.Effect<ReadonlyArray<M>, E, R>
    readonly receiveOne: (options: { readonly maxWait: number }) => Effect.Effect<Option.Option<M>, E, R>
  },
  max: number,
  maxWait: number
): Effect.Effect<ReadonlyArray<M>, E, R> =>
  Effect.suspend(() => {
    const began = now()
    const receiving = max === 1
      ? Effect.map(receiver.receiveOne({ maxWait }), Option.toArray)
      : receiver.receive({ max, maxWait })
    return Effect.map(receiving, (messages) => {
      const { length } = messages
      history.add({ kind: "measured", consumer, what: "messages", count: length, most: max })
      history.add({ kind: "measured", consumer, what: "milliseconds", count: now() - began, most: maxWait })
      return messages
    })
  })

/** Looks at messages and notes which were seen: so many at most, or all of the entity. */
export const lookNoted = <E, R>(
  world: World,
  what: string,
  entity: string,
  most: number | undefined,
  look: Effect.Effect<
    ReadonlyArray<{ readonly sequenceNumber: bigint; readonly messageId: string; readonly body: string }>,
    E,
    R
  >
): Effect.Effect<void, never, R> =>
  Effect.suspend(() => {
    const { history } = world
    const number = history.op()
    history.add({ kind: "looking", look: number, entity })
    return Effect.map(operate(world, what, look), (exit) => {
      if (Exit.isFailure(exit)) return
      history.add({
        kind: "looked",
        look: number,
        sequences: exit.value.map(({ sequenceNumber }) => String(sequenceNumber)),
        most,
        areIntact: exit.value.every(({ body, messageId }) => body === bodyOf(history.originOf(messageId)))
      })
    })
  })

/** Notes how many listeners the connection of a receiver has, its session and its link. */
export const noteListeners = ({ history }: World, consumer: string, receiver: object): void => {
  const { connection, rhea } = ReceiverState.stateOf(receiver).link.link
  const emitters = [connection.rhea, rhea.session, rhea] as ReadonlyArray<unknown> as ReadonlyArray<NodeJS.EventEmitter>
  let count = 0
  for (const emitter of emitters) for (const event of emitter.eventNames()) count += emitter.listenerCount(event)
  history.add({ kind: "listeners", consumer, count })
}

/** Runs a processor until it cannot go on, or is interrupted, and notes what it says that it did. */
export const keepBooks = <E, E2, R>(
  { history }: World,
  consumer: string,
  entity: string,
  make: Effect.Effect<
    { readonly counts: Effect.Effect<ServiceBusProcessor.Counts>; readonly join: Effect.Effect<never, E2> },
    E,
    R
  >
): Effect.Effect<never, E | E2, R | Scope.Scope> =>
  Effect.gen(function*() {
    let counts: Effect.Effect<ServiceBusProcessor.Counts> | undefined
    // After its own, which drains it.
    yield* Effect.addFinalizer(() =>
      counts === undefined ? Effect.void : Effect.map(counts, (counts) => {
        history.add({ kind: "books", consumer, entity, counts: { ...counts } })
      })
    )
    const processor = yield* make
    counts = processor.counts
    return yield* processor.join
  })
