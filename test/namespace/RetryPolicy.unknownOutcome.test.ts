/** An operation whose outcome is unknown never says that it failed, whatever its next try meets. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  failsWith,
  idsOf,
  inMemory,
  linkOf,
  passing,
  type Services,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Carts = ServiceBusEntity.queue("carts", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.text
})

interface Operation {
  /** What is asked of the broker, once all is prepared. */
  readonly run: Effect.Effect<unknown, ServiceBusError.Any, any>
  /** Whether the broker has carried it out. */
  readonly isDone: Effect.Effect<boolean, unknown, any>
}

type Prepared = Effect.Effect<Operation, unknown, Services | Scope.Scope>

const stored = Effect.flatMap(Emulator.Emulator, (emulator) => emulator.messages(Texts))

const message = { body: "a", messageId: "1" }

/** The message alone is left, as it was. */
const isUntouched = Effect.map(stored, (messages) => idsOf(messages).join() === "1")

const received = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  yield* emulator.send(Texts, [message])
  const receiver = yield* ServiceBusReceiver.make(Texts)
  const [locked] = yield* receiver.receive()
  // The management node is there: what is asked of it takes few turns.
  yield* receiver.peek()
  return { emulator, receiver, locked: locked! }
})

const sending = (run: (sender: ServiceBusSender.ServiceBusSender<string>) => Operation["run"]): Prepared =>
  Effect.map(ServiceBusSender.make(Texts), (sender) => ({
    run: run(sender),
    isDone: Effect.map(stored, (messages) => messages.length > 0)
  }))

const operations: Record<string, Prepared> = {
  send: sending((sender) => sender.send(message)),
  sendAll: sending((sender) => sender.sendAll([message, { body: "b" }])),
  sink: sending((sender) => Stream.run(Stream.make(message), sender.sink())),
  schedule: Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Texts)
    yield* sender.cancelScheduled([yield* sender.schedule(message, "1 day")])
    return { run: sender.schedule(message, "1 day"), isDone: Effect.map(stored, (messages) => messages.length > 0) }
  }),
  cancelScheduled: Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Texts)
    const number = yield* sender.schedule(message, "1 day")
    return { run: sender.cancelScheduled([number]), isDone: Effect.map(stored, (messages) => messages.length === 0) }
  }),
  "complete, by disposition": Effect.map(received, ({ locked, receiver }) => ({
    run: receiver.complete(locked),
    isDone: Effect.map(isUntouched, (is) => !is)
  })),
  "complete, by request": Effect.gen(function*() {
    const { emulator, locked, receiver } = yield* received
    yield* emulator.dropConnections
    yield* until(Effect.sync(() => linkOf(receiver).dead() !== undefined))
    // Holds the new connection.
    yield* passing(ServiceBusSender.make(Texts))
    yield* receiver.peek()
    return { run: receiver.complete(locked), isDone: Effect.map(isUntouched, (is) => !is) }
  }),
  retryAfter: Effect.map(received, ({ locked, receiver }) => ({
    run: receiver.settle(locked, Settlement.retryAfter("1 day")),
    isDone: Effect.map(isUntouched, (is) => !is)
  })),
  settleByToken: Effect.gen(function*() {
    const { locked, receiver } = yield* received
    const token = yield* receiver.handOver(locked)
    return {
      run: ServiceBusReceiver.settleByToken(Texts, [token], Settlement.complete),
      isDone: Effect.map(isUntouched, (is) => !is)
    }
  }),
  renewLock: Effect.map(received, ({ emulator, locked, receiver }) => ({
    run: receiver.renewLock(locked),
    isDone: Effect.map(emulator.counters(Texts), ({ renewed }) => renewed > 0)
  })),
  deleteMessages: Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* emulator.send(Texts, [message])
    const receiver = yield* ServiceBusReceiver.make(Texts)
    yield* receiver.peek()
    yield* passing(Effect.sleep(1))
    return { run: receiver.deleteMessages(), isDone: Effect.map(isUntouched, (is) => !is) }
  }),
  "receiveDeferred, destructively": Effect.gen(function*() {
    const { locked, receiver } = yield* received
    yield* receiver.defer(locked)
    const destructive = yield* ServiceBusReceiver.makeDestructive(Texts)
    yield* destructive.peek()
    return {
      run: destructive.receiveDeferred([locked.sequenceNumber]),
      isDone: Effect.map(isUntouched, (is) => !is)
    }
  }),
  setState: Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const session = yield* ServiceBusSession.accept(Carts, "s")
    yield* session.state
    return {
      run: session.setState("new"),
      isDone: Effect.andThen(
        emulator.start,
        passing(ServiceBusSession.use(Carts, "s", (again) => Effect.map(again.state, Option.isSome)))
      )
    }
  })
}

/** Longer than any of them takes from its start to its answer, in turns of the Scheduler. */
const turns = 30

const onLinks = new Set(["send", "sendAll", "sink", "retryAfter"])

/** One that may pass and never does, and one that is final: neither reaches the broker. */
const endings = {
  "finds no broker": (emulator: Emulator.Controls) => emulator.stop,
  "is refused": (emulator: Emulator.Controls) =>
    Effect.andThen(
      emulator.fail({
        operation: "attach",
        error: { condition: "amqp:unauthorized-access", description: "no more" },
        times: 99
      }),
      emulator.dropConnections
    )
}

describe("An outcome that is unknown", () => {
  for (const [name, prepared] of Object.entries(operations)) {
    for (const [ending, end] of Object.entries(endings)) {
      // The broker can be told to refuse links to entities, not to their management nodes.
      if (ending === "is refused" && !onLinks.has(name)) continue
      it.effect(`stays so where the next try ${ending}: ${name}`, () =>
        Effect.gen(function*() {
          const seen = { success: 0, unknown: 0, definite: 0, doneButUnknown: 0 }
          // First of all before it has begun: that is definite, and said to be.
          for (let turn = -1; turn < turns && seen.success === 0; turn++) {
            yield* Effect.gen(function*() {
              const emulator = yield* Emulator.Emulator
              const { isDone, run } = yield* prepared
              yield* emulator.idle
              if (turn < 0) yield* Effect.andThen(end(emulator), emulator.idle)
              const fiber = yield* start(run)
              for (let i = 0; i < turn; i++) yield* Effect.yieldNow
              if (turn >= 0) yield* end(emulator)
              const exit = yield* Effect.exit(passing(Fiber.join(fiber), 20))
              const done = yield* isDone
              if (Exit.isSuccess(exit)) {
                seen.success++
                return assert.isTrue(done, `it succeeded after ${turn} turns, and was not carried out`)
              }
              const error = exit.cause.reasons.find((reason) => reason._tag === "Fail")!.error
              if (error._tag === "OperationTimeoutError" && error.outcome === "unknown") {
                seen.unknown++
                // What the last try failed with is told.
                assert.isTrue(
                  error.attempts === 1 || error.cause !== undefined,
                  `${error.attempts} tries, and no cause`
                )
                if (done) seen.doneButUnknown++
                return
              }
              seen.definite++
              assert.isFalse(done, `cut after ${turn} turns it failed with ${error._tag}, and was carried out`)
            }).pipe(
              Effect.scoped,
              Effect.provide(inMemory({ entities: [Emulator.entity(Texts), Emulator.entity(Carts)] }, {
                retry: { maxRetries: 2, delay: 10 }
              }))
            )
          }
          // All three were met, or nothing was shown.
          assert.strictEqual(seen.success, 1, JSON.stringify(seen))
          assert.isAbove(seen.definite, 0, JSON.stringify(seen))
          assert.isAbove(seen.doneButUnknown, 0, JSON.stringify(seen))
        }))
    }
  }

  const { clock } = testsOf("in memory", inMemory)
  clock(
    "where an answer was lost and nothing is found the next time, the outcome is unknown",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(1))
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!)
        const number = yield* sender.schedule({ body: "x" }, "1 hour")
        const delivered = Effect.map(emulator.counters(Texts), (counters) => counters.delivered)
        const tries = [
          [
            sender.cancelScheduled([number]),
            Effect.map(emulator.messages(Texts), (left) => left.length === 1)
          ],
          [
            receiver.receiveDeferred([message!.sequenceNumber]),
            Effect.map(delivered, (count) => count === 2)
          ]
        ] as const
        for (const [request, isDone] of tries) {
          const fiber = yield* start(Effect.asVoid<unknown, ServiceBusError.Any, never>(request))
          while (!(yield* isDone)) yield* Effect.yieldNow
          yield* emulator.dropConnections
          const error = yield* passing(Fiber.join(fiber)).pipe(failsWith("OperationTimeoutError"))
          assert.strictEqual(error.outcome, "unknown")
        }
      })
  )
})
