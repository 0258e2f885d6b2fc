/**
 * What the broker says to peers that none of this project wrote: by a bare rhea and bytes where only .NET, Go or Python ask
 * for it, and by Microsoft's own client.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { once } from "node:events"
import { until } from "./suites/harness.ts"
import { official } from "./suites/official.ts"
import { messageOf, peer, types } from "./suites/rheaPeer.ts"

const Texts = ServiceBusEntity.queue("texts", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Paper = ServiceBusEntity.subscription(News, "paper")

const microsoft = official({ retryOptions: { maxRetries: 0, timeoutInMs: 2_000 } })

const test = <E>(title: string, body: Effect.Effect<void, E, any>, texts: Emulator.EntityOptions = {}) =>
  it.live(title, () =>
    Effect.scoped(body).pipe(Effect.provide(
      Emulator.layerClientOver("tcp").pipe(Layer.provideMerge(Emulator.layerServer({
        entities: [
          Emulator.entity(Texts, { lockDuration: "1 second", ...texts }),
          Emulator.entity(Carts),
          Emulator.entity(News),
          Emulator.entity(Paper)
        ]
      })))
    )) as Effect.Effect<void>, 20_000)

/** The filter by which a session is asked for, as Go writes it: a described value, by its code or by its name. */
const filterName = "com.microsoft:session-filter"
const sessionCode = 0x137000000c
const described = (descriptor: unknown, value: unknown) =>
  (types as any).described_nc(descriptor, value === null ? (types as any).wrap(null) : types.wrap_string(value as string))

describe("sessions", () => {
  const forms = [
    ["its code", () => types.wrap_ulong(sessionCode)],
    ["its name", () => types.wrap_symbol(filterName)]
  ] as const
  for (const [form, descriptor] of forms) {
    for (const asked of ["a", null]) {
      test(
        `the filter that Go describes by ${form} is answered described: ${asked === null ? "the next one" : "by id"}`,
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Carts, [{ body: "x", sessionId: "a" }])
          const { claim, receives } = yield* peer
          yield* claim("carts")
          const source = { address: "carts", filter: { [filterName]: described(descriptor(), asked) } }
          const { receiver } = yield* receives("carts", { source })
          const { filter } = (receiver as any).remote.attach.source
          assert.deepStrictEqual(Object.keys(filter), [filterName])
          assert.strictEqual(filter[filterName].descriptor.value, descriptor().value)
          assert.strictEqual(filter[filterName].value, "a")
        })
      )
    }
  }

  test(
    "a plain filter is answered plainly, and one that is not applied is left out",
    Effect.gen(function*() {
      const { claim, receives } = yield* peer
      yield* claim("carts")
      yield* claim("texts")
      const selector = { "apache.org:selector-filter:string": described(types.wrap_ulong(0x468C00000004), "1=1") }
      const source = { address: "carts", filter: { [filterName]: "b", ...selector } }
      const { receiver } = yield* receives("carts", { source })
      assert.deepStrictEqual((receiver as any).remote.attach.source.filter, { [filterName]: "b" })
      const plain = yield* receives("texts", { source: { address: "texts", filter: selector } })
      assert.isNull((plain.receiver as any).remote.attach.source.filter ?? null)
    })
  )

  test(
    "one time alone lists those that are there; after any other those whose state was set later",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "x", sessionId: "a" }])
      const { claim, manages } = yield* peer
      yield* claim("carts")
      const carts = yield* manages("carts")
      const listed = (millis: number) =>
        Effect.map(
          carts("get-message-sessions", {
            "last-updated-time": types.wrap_timestamp(millis),
            skip: types.wrap_int(0),
            top: types.wrap_int(100)
          }),
          ({ body, status }) => status === 204 ? [] : body["sessions-ids"]
        )
      assert.deepStrictEqual(yield* listed(253402300800000), ["a"])
      for (const other of [253402300799999, 253402300800001, Date.UTC(9500, 0), 0]) {
        assert.deepStrictEqual(yield* listed(other), [], String(other))
      }
    })
  )

  test(
    "a batch may hold messages of several sessions: only partitioned entities refuse it",
    Effect.gen(function*() {
      const client = yield* microsoft
      const mixed = ["a", "b", "a"].map((sessionId) => ({ body: sessionId, sessionId }))
      yield* Effect.promise(() => client.createSender("carts").sendMessages(mixed))
      const emulator = yield* Emulator.Emulator
      const stored = yield* emulator.messages(Carts)
      assert.deepStrictEqual(stored.map(({ sessionId }) => sessionId), ["a", "b", "a"])
    })
  )
})

describe("a receiving link", () => {
  test(
    "what is released has not failed, what is modified has",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "x" }])
      const { claim, receives } = yield* peer
      yield* claim("texts")
      const { next } = yield* receives("texts")
      const counts: Array<unknown> = []
      for (let i = 0; i < 8; i++) {
        const { delivery, sections } = yield* next
        counts.push(sections.readList(sections.header)[4])
        if (i < 5) delivery.release()
        else delivery.modified({ delivery_failed: i === 5 })
      }
      assert.deepStrictEqual(counts, [0, 0, 0, 0, 0, 0, 1, 2])
      yield* until(Effect.map(emulator.deadLetters(Texts), ({ length }) => length === 1))
    }),
    { maxDeliveryCount: 3, lockDuration: "1 minute" }
  )

  test(
    "`received` is no outcome: it is not answered, and the lock stays",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, [{ body: "x" }])
      const { claim, receives } = yield* peer
      yield* claim("texts")
      const { next } = yield* receives("texts", { rcv_settle_mode: 1, autosettle: false })
      const { delivery } = yield* next
      const state = (code: number) => (types as any).described_nc(types.wrap_ulong(code), (types as any).wrap_list([]))
      const received = (types as any).wrap_list([types.wrap_uint(0), (types as any).wrap_ulong(5)])
      delivery.update(false, (types as any).described_nc(types.wrap_ulong(0x23), received))
      yield* Effect.sleep("100 millis")
      assert.isFalse(delivery.remote_settled ?? false)
      assert.deepInclude(yield* emulator.counters(Texts), { delivered: 1, released: 0, completed: 0 })
      delivery.update(false, state(0x24))
      yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 1))
    }),
    { lockDuration: "1 minute" }
  )
})

describe("a topic", () => {
  test(
    "shows what is scheduled in it, and takes it back; nothing is received from it",
    Effect.gen(function*() {
      const client = yield* microsoft
      const sender = client.createSender("news")
      const receiver = client.createReceiver("news")
      const at = new Date(Date.now() + 60_000)
      const numbers = yield* Effect.promise(() => sender.scheduleMessages([{ body: "a" }, { body: "b" }], at))
      const bodies = Effect.map(
        Effect.promise(() => receiver.peekMessages(5, { fromSequenceNumber: numbers[0]! })),
        (messages) => messages.map(({ body, state }) => [body, state])
      )
      assert.deepStrictEqual(yield* bodies, [["a", "scheduled"], ["b", "scheduled"]])
      yield* Effect.promise(() => sender.cancelScheduledMessages(numbers[0]!))
      assert.deepStrictEqual(yield* bodies, [["b", "scheduled"]])
      const paper = client.createReceiver("news", "paper")
      assert.deepStrictEqual(yield* Effect.promise(() => paper.peekMessages(5)), [], "not in the subscription yet")
      const error = yield* Effect.flip(Effect.tryPromise(() => receiver.receiveMessages(1, { maxWaitTimeInMs: 500 })))
      assert.match(String((error.cause as Error).message), /cannot be created on a topic/)
    })
  )
})

void once
void messageOf
