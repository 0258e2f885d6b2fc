// node --expose-gc benchmark/heap.ts [locks]: how many bytes of heap a kept lock costs, beside the body of its message.
// One receiver holds that many locks at a time. What the message itself costs, the broker's part in the same process
// included, is told apart.
import { Deferred, Effect, Fiber } from "effect"
import { pathToFileURL } from "node:url"
import * as AutoLockRenewer from "../src/AutoLockRenewer.ts"
import * as Emulator from "../src/emulator/Emulator.ts"
import { Locked } from "../src/internal/message/ReceivedMessage.ts"
import * as MessageLock from "../src/internal/receiver/MessageLock.ts"
import * as ReceiverState from "../src/internal/receiver/ReceiverState.ts"
import * as ServiceBusBody from "../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../src/ServiceBusReceiver.ts"

export interface Bytes {
  readonly locks: number
  /** A message as it is handed out, and what the broker notes of its lock. */
  readonly message: number
  /** What the renewing fiber keeps of a lock. */
  readonly kept: number
  /** What `withLock` adds to a fiber that waits, with what the renewing fiber keeps. */
  readonly withLock: number
  /** What a processor adds to a message that waits, with what the renewing fiber keeps. */
  readonly waiting: number
}

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.bytes })

const heap = Effect.promise(async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc!()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
})

const received = (locks: number) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* emulator.send(
      Texts,
      Array.from({ length: locks }, (_, i) => ({ body: new Uint8Array(100), messageId: `${i}` }))
    )
    const receiver = yield* ServiceBusReceiver.make(Texts)
    const before = yield* heap
    const messages = []
    while (messages.length < locks) {
      for (const message of yield* receiver.receive({ max: Math.min(5000, locks - messages.length) })) {
        messages.push(message)
      }
    }
    return { receiver, messages, message: ((yield* heap) - before) / locks }
  })

const bare = (locks: number) =>
  Effect.gen(function*() {
    const { message, messages, receiver } = yield* received(locks)
    const state = ReceiverState.stateOf(receiver)
    const before = yield* heap
    const kept = messages.map((locked) => {
      const kept = {
        lock: MessageLock.of(state, locked, Locked.deliveryOf(locked, state)!),
        until: Infinity,
        done: false,
        bucket: 0,
        failure: undefined,
        onTrouble: () => void kept.done
      }
      state.renewal.keep(kept)
      return kept
    })
    const after = yield* heap
    for (const one of kept) state.renewal.release(one)
    yield* receiver.completeAll(messages)
    return { message, kept: (after - before) / locks }
  })

const fibers = (locks: number, isKept: boolean) =>
  Effect.gen(function*() {
    const { messages, receiver } = yield* received(locks)
    const gate = yield* Deferred.make<void>()
    const before = yield* heap
    const fiber = yield* Effect.forkChild(Effect.forEach(messages, (message) =>
      isKept ? Deferred.await(gate).pipe(AutoLockRenewer.withLock(receiver, message)) : Deferred.await(gate), {
      concurrency: "unbounded",
      discard: true
    }))
    yield* Effect.yieldNow
    const after = yield* heap
    yield* Deferred.succeed(gate, undefined)
    yield* Fiber.join(fiber)
    yield* receiver.completeAll(messages)
    return (after - before) / locks
  })

const inProcessor = (locks: number) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const receiver = yield* ServiceBusReceiver.make(Texts)
    yield* emulator.send(
      Texts,
      Array.from({ length: locks }, (_, i) => ({ body: new Uint8Array(100), messageId: `${i}` }))
    )
    const before = yield* heap
    const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.never, {
      prefetch: locks - 1,
      drainTimeout: 0
    })
    while ((yield* processor.counts).received < locks) {
      yield* Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))
    }
    const after = yield* heap
    yield* processor.drain
    return (after - before) / locks
  })

const run = <A>(effect: Effect.Effect<A, unknown, Effect.Services<ReturnType<typeof inProcessor>>>): Promise<A> =>
  Effect.runPromise(effect.pipe(
    Effect.scoped,
    Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts, { lockDuration: "5 minutes" })] }))
  ))

const measure = async (locks: number): Promise<Bytes> => {
  const { kept, message } = await run(bare(locks))
  const withLock = await run(fibers(locks, true)) - await run(fibers(locks, false))
  const waiting = await run(inProcessor(Math.min(5000, locks))) - message
  const whole = Math.round
  return { locks, message: whole(message), kept: whole(kept), withLock: whole(withLock), waiting: whole(waiting) }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log(JSON.stringify(await measure(Number(process.argv[2] ?? 10_000))))
}
