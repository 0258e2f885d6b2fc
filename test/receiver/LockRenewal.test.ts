/** Locks that are renewed: on the broker, under clocks that are off, and by the renewing fiber alone. */
import { AutoLockRenewer, ServiceBusProcessor, ServiceBusReceiver, Settlement } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as EntityManagement from "../../src/internal/management/EntityManagement.ts"
import { monotonic } from "../../src/internal/monotonicClock.ts"
import * as LockRenewal from "../../src/internal/receiver/LockRenewal.ts"
import * as ReceiverState from "../../src/internal/receiver/ReceiverState.ts"
import { type LockRenewalError, MessageLockLostError, ServiceBusConnectionError } from "../../src/ServiceBusError.ts"
import { both, failsWith, type LayerFor, type Name, start, testsOf, Texts, texts, until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const half = { texts: { lockDuration: "30 seconds" } } as const

/** The clock of this program with a wall clock that is off by so many milliseconds. */
const skewed = (offset: () => number): Effect.Effect<Clock.Clock> =>
  Effect.map(Effect.service(Clock.Clock), (clock) => {
    const millis = () => clock.currentTimeMillisUnsafe() + offset()
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(offset()) * 1_000_000n
    return {
      ...clock,
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
  })

const tagsOf = (states: ReadonlyArray<AutoLockRenewer.LockState>): ReadonlyArray<string> =>
  states.map((state) => state._tag === "Held" ? `Held ${state.renewals}` : state._tag)

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    const locked = (options?: ServiceBusReceiver.Options<"deadLetter">) =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts, options)
        const [message] = yield* receiver.receive()
        return { emulator, receiver, message: message! }
      })

    /** How many requests to renew went out. */
    const requestsOf = (receiver: ServiceBusReceiver.ServiceBusReceiver<unknown>) => {
      const state = ReceiverState.stateOf(receiver)
      const sizes: Array<number> = []
      const { withManagementNode } = state.namespace
      const restore = () => Object.assign(state.namespace, { withManagementNode })
      Object.assign(state.namespace, {
        withManagementNode: (...args: Parameters<typeof withManagementNode>) => {
          const [entity, isOpen, request] = args
          return withManagementNode(entity, isOpen, (node, timeout) =>
            request({
              ...node,
              request: (properties, body, operation) => {
                const tokens = (body as Record<string, { readonly value: ReadonlyArray<string> }>)["lock-tokens"]
                if (operation === "renewLock") sizes.push(tokens!.value.length)
                return node.request(properties, body, operation)
              }
            }, timeout))
        }
      })
      return { sizes, restore }
    }

    test("lockState says what is known of a lock, and asks for nothing", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked()
        const state = yield* AutoLockRenewer.lockState(receiver, message)
        if (state._tag !== "Held") return assert.fail(state._tag)
        assert.strictEqual(state.renewals, 0)
        const remaining = Duration.toMillis(state.remaining)
        assert.isAbove(remaining, 25_000)
        assert.isAtMost(remaining, 30_000)
        yield* receiver.renewLock(message)
        assert.deepInclude(yield* AutoLockRenewer.lockState(receiver, message), { _tag: "Held", renewals: 1 })
        // By hand is not by the renewer.
        assert.strictEqual(yield* AutoLockRenewer.renewals(receiver), 0)
        yield* receiver.complete(message)
        assert.deepStrictEqual(yield* AutoLockRenewer.lockState(receiver, message), { _tag: "Settled" })
        const other = yield* ServiceBusReceiver.make(Texts)
        const error = yield* AutoLockRenewer.lockState(other, message).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(error.option, "message")
        yield* Stream.runDrain(AutoLockRenewer.watchLock(other, message)).pipe(failsWith("InvalidOptionError"))
      }), half)

    test("watchLock ends when its message is settled", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked()
        const seen: Array<AutoLockRenewer.LockState> = []
        const fiber = yield* start(Stream.runForEach(
          AutoLockRenewer.watchLock(receiver, message),
          (state) => Effect.sync(() => void seen.push(state))
        ))
        yield* until(Effect.sync(() => seen.length === 1))
        yield* receiver.renewLock(message)
        yield* until(Effect.sync(() => seen.length === 2))
        yield* receiver.complete(message)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(tagsOf(seen), ["Held 0", "Held 1", "Settled"])
        assert.isFalse(ReceiverState.stateOf(receiver).renewal.isWatched())
        assert.deepStrictEqual(
          tagsOf(yield* Stream.runCollect(AutoLockRenewer.watchLock(receiver, message))),
          ["Settled"]
        )
      }), half)

    test("a watch that stops leaves nothing", () =>
      Effect.gen(function*() {
        const { message, receiver } = yield* locked()
        const { renewal } = ReceiverState.stateOf(receiver)
        const fiber = yield* start(Stream.runDrain(AutoLockRenewer.watchLock(receiver, message)))
        yield* until(Effect.sync(() => renewal.isWatched()))
        yield* Fiber.interrupt(fiber)
        assert.isFalse(renewal.isWatched())
      }), half)

    clock("watchLock sees every renewal, and the end of a lock that is kept no longer", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked()
        const seen: Array<AutoLockRenewer.LockState> = []
        const watching = yield* start(Stream.runForEach(
          AutoLockRenewer.watchLock(receiver, message),
          (state) => Effect.sync(() => void seen.push(state))
        ))
        const fiber = yield* start(
          Effect.never.pipe(AutoLockRenewer.withLock(receiver, message, { maxDuration: "1 minute" }), Effect.exit)
        )
        yield* emulator.idle
        yield* TestClock.adjust("89 seconds")
        yield* emulator.idle
        assert.deepStrictEqual(tagsOf(seen), ["Held 0", "Held 1", "Held 2", "Held 3"])
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(fiber)
        yield* Fiber.join(watching)
        assert.deepStrictEqual(seen.at(-1), { _tag: "Lost", reason: "expired", renewals: 3 })
        assert.strictEqual(yield* AutoLockRenewer.renewals(receiver), 3)
      }), half)

    clock("watchLock sees a lock that is not kept end", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked()
        const watching = yield* start(Stream.runCollect(AutoLockRenewer.watchLock(receiver, message)))
        yield* emulator.idle
        yield* TestClock.adjust("31 seconds")
        assert.deepStrictEqual(tagsOf(yield* Fiber.join(watching)), ["Held 0", "Lost"])
      }), half)

    clock("a lock that the broker does not know any more is lost, for its renewer and for who settles", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked()
        yield* emulator.fail({ operation: "renew", error: { condition: "com.microsoft:message-lock-lost" } })
        const fiber = yield* start(Effect.never.pipe(AutoLockRenewer.withLock(receiver, message), Effect.exit))
        yield* emulator.idle
        yield* TestClock.adjust("21 seconds")
        assert.isTrue(Exit.isFailure(yield* Fiber.join(fiber)))
        assert.deepStrictEqual(
          yield* AutoLockRenewer.lockState(receiver, message),
          { _tag: "Lost", reason: "failed", renewals: 0 }
        )
        yield* receiver.abandon(message)
        const [again] = yield* receiver.receive()
        const watching = yield* start(Stream.runCollect(AutoLockRenewer.watchLock(receiver, again!)))
        yield* emulator.idle
        yield* emulator.fail({ operation: "settle", error: { condition: "com.microsoft:message-lock-lost" } })
        yield* receiver.complete(again!).pipe(failsWith("MessageLockLostError"))
        assert.deepStrictEqual(tagsOf(yield* Fiber.join(watching)), ["Held 0", "Lost"])
      }), half)

    clock("a handler can watch its own lock", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const seen: Array<AutoLockRenewer.LockState> = []
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.make(receiver, (_, message) =>
          Effect.gen(function*() {
            yield* Effect.forkScoped(Stream.runForEach(
              AutoLockRenewer.watchLock(receiver, message),
              (state) =>
                Effect.sync(() =>
                  void seen.push(state)
                )
            ))
            yield* started.open
            yield* Effect.sleep("50 seconds")
          }))
        yield* started.await
        yield* emulator.idle
        yield* TestClock.adjust("50 seconds")
        yield* emulator.idle
        assert.deepInclude(yield* processor.counts, { completed: 1, renewals: 2 })
        assert.deepStrictEqual(tagsOf(seen), ["Held 0", "Held 1", "Held 2"])
        assert.isFalse(ReceiverState.stateOf(receiver).renewal.isWatched())
      }), half)

    for (const [renewalBatch, requests] of [[undefined, 250], [100, 3], [5000, 1]] as const) {
      clock(`250 locks are renewed by ${requests} requests where renewalBatch is ${renewalBatch}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(250))
          const receiver = yield* ServiceBusReceiver.make(Texts, { renewalBatch })
          const { restore, sizes } = requestsOf(receiver)
          const started = yield* Latch.make()
          const processor = yield* ServiceBusProcessor.makeBatched(
            receiver,
            () =>
              Effect.andThen(started.open, Effect.sleep("25 seconds")),
            { size: 250, within: "1 second" }
          )
          yield* started.await
          yield* emulator.idle
          yield* TestClock.adjust("21 seconds")
          // All of them have their answers before the handler ends.
          yield* until(Effect.map(processor.counts, ({ renewals }) =>
            renewals === 250))
          yield* TestClock.adjust("4 seconds")
          yield* until(Effect.map(processor.counts, ({ completed }) => completed === 250))
          restore()
          assert.deepInclude(yield* processor.counts, { completed: 250, renewals: 250, lockLost: 0 })
          assert.strictEqual((yield* emulator.counters(Texts)).renewed, 250)
          assert.strictEqual(sizes.length, requests)
          assert.strictEqual(
            sizes.reduce((a, b) => a + b, 0),
            250
          )
        }), half)
    }

    clock("one lost lock in a batch of renewals costs no other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.make(Texts, { renewalBatch: 10 })
        const messages = yield* receiver.receive({ max: 10 })
        const fibers = yield* Effect.forEach(messages, (message) =>
          start(Effect.sleep("1 minute").pipe(AutoLockRenewer.withLock(receiver, message), Effect.exit)))
        // Settled where the client does not see it.
        const lost = messages[3]!
        const other = yield* ServiceBusReceiver.make(Texts)
        const state = ReceiverState.stateOf(other)
        yield* state.namespace.withManagementNode("texts", state.isOpen, (node, timeout) =>
          EntityManagement.updateDisposition(node, {
            entity: "texts",
            tokens: [lost.lockToken],
            settlement: Settlement.complete,
            timeout
          }))
        yield* emulator.idle
        yield* TestClock.adjust("1 minute")
        yield* emulator.idle
        const exits = yield* Effect.forEach(fibers, (fiber) =>
          Fiber.join(fiber))
        assert.deepStrictEqual(
          exits.flatMap((exit, i) =>
            Exit.isFailure(exit) ? [i] : []
          ),
          [3]
        )
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
        yield* receiver.completeAll(messages.filter((message) =>
          message !== lost
        ))
      }), half)

    clock("ten thousand locks on one receiver are kept", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10_000))
        const receiver = yield* ServiceBusReceiver.make(Texts, { renewalBatch: 500 })
        const messages = [...yield* receiver.receive({ max: 5000 }), ...yield* receiver.receive({ max: 5000 })]
        assert.lengthOf(messages, 10_000)
        const fiber = yield* start(
          Effect.forEach(messages, (message) =>
            Effect.sleep("1 minute").pipe(AutoLockRenewer.withLock(receiver, message)), {
            concurrency: "unbounded",
            discard: true
          })
        )
        yield* emulator.idle
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
        yield* receiver.completeAll(messages.slice(0, 5000))
        yield* receiver.completeAll(messages.slice(5000))
        const { completed, lockExpired } = yield* emulator.counters(Texts)
        assert.deepStrictEqual([completed, lockExpired], [10_000, 0])
        assert.isAtLeast(yield* AutoLockRenewer.renewals(receiver), 20_000)
      }), { ...half, timeout: 60_000 })

    clock("renewalMargin says how much of a lock's life is left when it is renewed", () =>
      Effect.gen(function*() {
        for (
          const [renewalMargin, renewed] of [[0.9, 20], [0.5, 4], [0.1, 2], [0.000001, 2], [undefined, 3]] as const
        ) {
          const { emulator, message, receiver } = yield* locked({ renewalMargin })
          const before = (yield* emulator.counters(Texts)).renewed
          const fiber = yield* start(Effect.sleep("1 minute").pipe(AutoLockRenewer.withLock(receiver, message)))
          yield* emulator.idle
          yield* TestClock.adjust("61 seconds")
          yield* Fiber.join(fiber)
          yield* receiver.complete(message)
          const times = (yield* emulator.counters(Texts)).renewed - before
          assert.isAtLeast(times, renewed - 1, String(renewalMargin))
          assert.isAtMost(times, renewed, String(renewalMargin))
        }
        assert.strictEqual(
          (yield* Effect.flatMap(Emulator.Emulator, (it) =>
            it.counters(Texts))).lockExpired,
          0
        )
      }), half)

    test("renewal options out of range are refused", () =>
      Effect.gen(function*() {
        const bad: ReadonlyArray<ServiceBusReceiver.Options<"deadLetter">> = [
          ...[0, -1, 1.5, NaN, 5001].map((renewalBatch) => ({ renewalBatch })),
          ...[0, 1, -0.5, 1.5, NaN, Infinity].map((renewalMargin) => ({ renewalMargin }))
        ]
        for (const options of bad) {
          const error = yield* ServiceBusReceiver.make(Texts, options).pipe(failsWith("InvalidOptionError"))
          assert.strictEqual(error.option, Object.keys(options)[0])
        }
      }))

    clock("an infinite maxLockRenewal keeps a handler's lock for hours", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () =>
            Effect.andThen(started.open, Effect.sleep("3 hours")),
          { maxLockRenewal: Duration.infinity }
        )
        yield* started.await
        yield* emulator.idle
        yield* TestClock.adjust("3 hours")
        yield* emulator.idle
        assert.deepInclude(yield* processor.counts, { completed: 1, lockLost: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), half)

    clock("locks are renewed in time where the entity gives shorter ones than before", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const started = yield* Latch.make()
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          () => Effect.andThen(started.open, Effect.sleep("3 minutes")),
          { drainTimeout: 0 }
        )
        yield* started.await
        yield* emulator.idle
        for (const lockDuration of ["10 seconds", "30 seconds", "5 seconds"] as const) {
          yield* emulator.update(Texts, { lockDuration })
          for (let i = 0; i < 30; i++) {
            yield* TestClock.adjust("2 seconds")
            yield* emulator.idle
          }
        }
        yield* emulator.idle
        assert.deepInclude(yield* processor.counts, { completed: 1, lockLost: 0 })
        assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
      }), half)

    clock("a lock that is renewed by hand lasts as long as the broker says", () =>
      Effect.gen(function*() {
        const { emulator, message, receiver } = yield* locked()
        yield* emulator.update(Texts, { lockDuration: "10 seconds" })
        yield* receiver.renewLock(message)
        const remains = Effect.map(
          AutoLockRenewer.lockState(receiver, message),
          (state) => state._tag === "Held" ? Duration.toMillis(state.remaining) : state._tag
        )
        assert.strictEqual(yield* remains, 10_000)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* remains, "Lost")
      }), half)

    for (const minutes of [10, -10, 2, -2, 0.4]) {
      const title = `${Math.abs(minutes)} minutes ${minutes > 0 ? "fast" : "slow"}`
      clock(`a wall clock that is ${title} loses no lock`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(6))
          const off = yield* skewed(() => minutes * 60_000)
          yield* Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts, { renewalBatch: 10 })
            const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.sleep("2 minutes"), {
              concurrency: 2,
              prefetch: 4,
              maxLockRenewal: "20 minutes"
            })
            yield* until(Effect.map(processor.counts, ({ received }) => received === 6))
            yield* emulator.idle
            yield* TestClock.adjust("6 minutes")
            yield* emulator.idle
            assert.deepInclude(yield* processor.counts, { received: 6, completed: 6, lockLost: 0 })
          }).pipe(Effect.provideService(Clock.Clock, off))
          assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
        }), half)

      clock(`a wall clock that jumps while a processor runs, ${title}, loses no lock`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(3))
          let offset = 0
          const off = yield* skewed(() => offset)
          yield* Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts)
            const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.sleep("1 minute"), {
              prefetch: 3
            })
            yield* until(Effect.map(processor.counts, ({ received }) => received === 3))
            yield* emulator.idle
            for (let i = 0; i < 6; i++) {
              yield* TestClock.adjust("30 seconds")
              yield* emulator.idle
              offset = i % 2 === 0 ? minutes * 60_000 : 0
            }
            assert.deepInclude(yield* processor.counts, { received: 3, completed: 3, lockLost: 0 })
          }).pipe(Effect.provideService(Clock.Clock, off))
          assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 0)
        }), half)

      clock(`a buffered message whose lock ran out reaches no caller, with a wall clock ${title}`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(3))
          let offset = 0
          const off = yield* skewed(() =>
            offset
          )
          yield* Effect.gen(function*() {
            const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 3 })
            yield* emulator.idle
            yield* TestClock.adjust("31 seconds")
            offset = minutes * 60_000
            const messages = yield* receiver.receive({ max: 3 })
            // They come again, under locks that live.
            assert.isTrue(messages.every(({ deliveryCount }) => deliveryCount === 1))
            yield* receiver.completeAll(messages)
          }).pipe(Effect.provideService(Clock.Clock, off))
          assert.strictEqual((yield* emulator.counters(Texts)).lockExpired, 3)
        }), half)
    }

    clock("a message that waited for its handler beyond its lock is not handled", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const handled: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(receiver, (_, message) =>
          Effect.andThen(
            Effect.sync(() =>
              void handled.push(`${message.messageId}.${message.deliveryCount}`)
            ),
            Effect.sleep("30 seconds")
          ), { prefetch: 2, maxLockRenewal: 0, drainTimeout: 0 })
        yield* until(Effect.map(processor.counts, ({ received }) => received === 3))
        yield* emulator.idle
        // The first handler ends in the very moment in which the locks of those that wait do.
        yield* TestClock.adjust("30 seconds")
        yield* emulator.idle
        assert.isTrue(handled.slice(1).every((seen) => seen.endsWith(".1")), handled.join())
        assert.isAtLeast((yield* processor.counts).lockLost, 2)
      }), half)

    clock("a watch of a lock is told at once that its message was handed over", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        const watching = yield* start(Stream.runLast(AutoLockRenewer.watchLock(receiver, message!)))
        yield* receiver.handOver(message!)
        yield* emulator.idle
        assert.isDefined(watching.pollUnsafe())
      }))
  })

describe("Locks", () => both(suite))

interface Watched extends LockRenewal.KeptLock {
  lost: readonly [reason: string, cause: string | undefined, at: number] | undefined
}

const keep = (clock: Clock.Clock, token: string, options: {
  readonly duration: number
  readonly budget?: number
  readonly age?: number
  readonly held?: () => boolean
}): Watched => {
  const now = monotonic(clock)
  const kept: Watched = {
    lock: {
      token,
      duration: options.duration,
      longest: options.duration,
      offset: 0,
      expiresAt: now - (options.age ?? 0) + options.duration,
      held: options.held ?? (() => true),
      renewals: 0,
      lost: undefined
    },
    until: now + (options.budget ?? Infinity),
    done: false,
    bucket: 0,
    failure: undefined,
    lost: undefined,
    onTrouble: (reason, cause) => {
      if (reason !== "failing") kept.lost = [reason, cause?._tag, monotonic(clock)]
    }
  }
  return kept
}

const unreachable = new ServiceBusConnectionError({})

/** The lock lasts as long as before. */
const asBefore = Infinity

const renewing = Effect.fnUntraced(function*(
  renew: (token: string, calls: number) => Effect.Effect<number | void, LockRenewalError>,
  options?: Pick<LockRenewal.Options, "margin">
) {
  const clock = yield* Clock.Clock
  const calls: Array<readonly [string, number]> = []
  const made = yield* LockRenewal.make({
    ...options,
    renew: ([token]) => {
      calls.push([token!, monotonic(clock)])
      return Effect.map(renew(token!, calls.length), (until) => [until ?? asBefore])
    }
  })
  return { ...made, clock, calls }
})

describe("LockRenewal", () => {
  it.effect("a renewal that is never answered costs its own lock only", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* renewing((token) => token === "stuck" ? Effect.never : Effect.void)
      const stuck = keep(clock, "stuck", { duration: 30_000 })
      self.keep(stuck)
      yield* TestClock.adjust("1 second")
      const other = keep(clock, "other", { duration: 30_000 })
      self.keep(other)
      yield* TestClock.adjust("28 seconds")
      assert.isUndefined(stuck.lost)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(stuck.lost, ["failed", "OperationTimeoutError", 30_000])
      assert.isUndefined(other.lost)
    }))

  it.effect("says that renewals fail once for as long as they do, and again the next time", () =>
    Effect.gen(function*() {
      const down = new Set([1, 2, 4, 5])
      const { clock, ...self } = yield* renewing((_, calls) => down.has(calls) ? Effect.fail(unreachable) : Effect.void)
      const failing: Array<number> = []
      const kept = keep(clock, "a", { duration: 30_000 })
      self.keep({
        ...kept,
        onTrouble: (reason) => {
          if (reason === "failing") failing.push(self.calls.length)
        }
      })
      yield* TestClock.adjust("2 minutes")
      assert.isAbove(self.calls.length, 5)
      assert.deepStrictEqual(failing, [1, 4])
    }))

  it.effect("a lock that its renewal makes shorter is renewed as it says, and at most for as long as it was at first", () =>
    Effect.gen(function*() {
      const durations = [10_000, 10_000, 60_000, 5_000]
      const clock = yield* Clock.Clock
      const self = yield* renewing((_, calls) => Effect.sync(() => monotonic(clock) + (durations[calls - 1] ?? 30_000)))
      const kept = keep(clock, "a", { duration: 30_000 })
      self.keep(kept)
      yield* TestClock.adjust("100 seconds")
      const times = self.calls.map(([, at]) => at)
      assert.deepStrictEqual(times.slice(0, 6), [20_000, 26_700, 33_400, 53_400, 56_800, 76_800])
      assert.isUndefined(kept.lost)
    }))

  it.effect("a lock ends when its last renewal said, by the broker's clock", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      // That of the broker is an hour ahead.
      const offset = -3_600_000
      const self = yield* renewing(() => Effect.sync(() => monotonic(clock) - offset + 12_000))
      const kept = keep(clock, "a", { duration: 30_000, budget: 21_000 })
      self.keep({ ...kept, lock: { ...kept.lock, offset } })
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(self.calls, 1)
      assert.deepStrictEqual(kept.lost, ["budget", undefined, 32_000])
    }))

  it.effect("what a renewal says that no lock can be is the shortest lock", () =>
    Effect.gen(function*() {
      for (const until of [0, NaN, -Infinity]) {
        const { clock, ...self } = yield* renewing(() => Effect.succeed(until))
        const kept = keep(clock, "a", { duration: 30_000 })
        self.keep(kept)
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(kept.lock.expiresAt, monotonic(clock) + 5_000)
        self.release(kept)
      }
    }))

  it.effect("an answer that comes after that to a later request changes no end", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* renewing(() => Effect.void)
      const { lock } = keep(clock, "a", { duration: 30_000 })
      self.renewed(lock, 20_000, asBefore)
      self.renewed(lock, 10_000, 40_000)
      assert.strictEqual(lock.expiresAt, 50_000)
      assert.strictEqual(lock.renewals, 2)
    }))

  it.effect("tries again while the lock lives, and forgets a failure that was mended", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* renewing((_, calls) => calls <= 2 ? Effect.fail(unreachable) : Effect.void)
      const kept = keep(clock, "a", { duration: 30_000, budget: 40_000 })
      self.keep(kept)
      yield* TestClock.adjust("25 seconds")
      assert.isAtLeast(self.calls.length, 3)
      assert.strictEqual(self.renewals(), 1)
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(kept.lost?.[0], "budget")
    }))

  it.effect("says why when it never succeeds, at the end of the lock and not before", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* renewing(() => Effect.fail(unreachable))
      yield* TestClock.adjust(777)
      const kept = keep(clock, "a", { duration: 30_000, budget: 25_000 })
      self.keep(kept)
      yield* TestClock.adjust(29_900)
      assert.isUndefined(kept.lost)
      yield* TestClock.adjust(200)
      assert.deepStrictEqual((kept as Watched).lost, ["failed", "ServiceBusConnectionError", 30_800])
      // Once a second at the most.
      assert.isAtMost(self.calls.length, 11)
    }))

  for (const offset of [0, 1, 250, 333, 999]) {
    it.effect(`nothing spins, whatever the time is: ${offset} ms into a second`, () =>
      Effect.gen(function*() {
        const { clock, ...self } = yield* renewing(() => Effect.void)
        yield* TestClock.adjust(offset)
        for (const duration of [1000, 1500, 2100, 5000, 30_000, 59_999, 300_000]) {
          self.keep(keep(clock, String(duration), { duration }))
          self.keep(keep(clock, `short ${duration}`, { duration, budget: 0 }))
        }
        yield* TestClock.adjust("5 minutes")
        for (const duration of [1000, 1500, 2100, 5000, 30_000, 59_999]) {
          const times = self.calls.filter(([token]) => token === String(duration)).length
          assert.isAtLeast(times, Math.floor(300_000 / duration), String(duration))
          assert.isAtMost(times, Math.ceil(300_000 / (duration * 2 / 3)), String(duration))
        }
        assert.lengthOf(self.calls.filter(([token]) => token.startsWith("short")), 0)
      }))
  }

  it.effect("keeps nothing that is settled or has no keeper any more", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* renewing(() => Effect.void)
      let held = true
      const settled = keep(clock, "settled", { duration: 30_000, held: () => held })
      const left = keep(clock, "left", { duration: 30_000 })
      self.keep(settled)
      self.keep(left)
      yield* TestClock.adjust("25 seconds")
      assert.lengthOf(self.calls, 2)
      held = false
      left.done = true
      yield* TestClock.adjust("5 minutes")
      assert.lengthOf(self.calls, 2)
      assert.isUndefined(settled.lost)
      assert.isUndefined(left.lost)
    }))

  for (const batch of [1, 3, 10]) {
    it.effect(`locks that are due together are renewed by requests of up to ${batch}`, () =>
      Effect.gen(function*() {
        const clock = yield* Clock.Clock
        const requests: Array<ReadonlyArray<string>> = []
        const self = yield* LockRenewal.make({
          batch,
          renew: (tokens) => {
            requests.push(tokens)
            // One is gone from the second time on: all or none are renewed.
            return requests.flat().filter((token) => token === "2").length > 1 && tokens.includes("2")
              ? Effect.fail(new MessageLockLostError({}))
              : Effect.succeed(tokens.map(() => asBefore))
          }
        })
        const all = Array.from({ length: 7 }, (_, i) => keep(clock, String(i), { duration: 30_000 }))
        // Another who keeps the same lock.
        for (const kept of [...all, { ...all[0]! }]) self.keep(kept)
        yield* TestClock.adjust("21 seconds")
        const most = Math.max(...requests.map(({ length }) => length))
        assert.strictEqual(most, Math.min(batch, 7))
        assert.deepStrictEqual([...new Set(requests.flat())].toSorted(), ["0", "1", "2", "3", "4", "5", "6"])
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(all.map(({ lost }) => lost?.[0]), [
          undefined,
          undefined,
          "failed",
          undefined,
          undefined,
          undefined,
          undefined
        ])
        assert.deepStrictEqual(all.map(({ lock }) => lock.lost), all.map((_, i) => i === 2 ? "failed" : undefined))
      }))
  }

  it.effect("two keepers of one lock renew it once", () =>
    Effect.gen(function*() {
      const { clock, ...self } = yield* renewing(() => Effect.void)
      const first = keep(clock, "a", { duration: 30_000 })
      self.keep(first)
      yield* TestClock.adjust("7 seconds")
      self.keep({ ...first })
      yield* TestClock.adjust("73 seconds")
      assert.lengthOf(self.calls, 4)
    }))
})
