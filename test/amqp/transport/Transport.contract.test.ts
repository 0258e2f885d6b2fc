/** What every way to a broker must do alike: in memory, over TCP, TLS and WebSocket, and over TCP in bad weather. */
import {
  ServiceBusBody,
  type ServiceBusClient,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { until } from "../../support/harness.ts"
import { steadily } from "../../support/steadyClock.ts"
import { assert, describe, it } from "../../support/vitest.ts"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Order) })
const Files = ServiceBusEntity.queue("files", { body: ServiceBusBody.bytes })

const options: Emulator.Options = {
  entities: [
    Emulator.entity(Orders, { lockDuration: "5 seconds", maxDeliveryCount: 100 }),
    Emulator.entity(Files, { maxMessageSize: 4 * 1024 * 1024, maxDeliveryCount: 100 })
  ]
}

type Services = ServiceBusClient.ServiceBusClient | Emulator.Emulator

const over = (
  transport: "tcp" | "tls" | "webSocket",
  client?: ServiceBusClient.CommonOptions
): Layer.Layer<Services, ServiceBusError.EmulatorError> =>
  Emulator.layerClientOver(transport, client).pipe(
    Layer.provideMerge(Emulator.layerServer({ ...options, tlsPort: 0, webSocketPort: 0 }))
  )

const orders = (n: number) =>
  Array.from({ length: n }, (_, i) => ({ body: new Order({ id: String(i), total: i }), messageId: String(i) }))

/**
 * What holds where an answer can be lost: at least once. A settlement without an answer may have been made, and then its
 * message is not there any more.
 */
const settled = <A, R>(effect: Effect.Effect<A, ServiceBusError.SettleError, R>) =>
  Effect.catchTags(Effect.asVoid(effect), {
    OperationTimeoutError: (error) =>
      error.outcome === "unknown" && error.isTransient ? Effect.void : Effect.fail(error)
  })

const contract = (name: string, layer: Layer.Layer<Services, ServiceBusError.EmulatorError>, weather: "good" | "bad") =>
  describe(name, () => {
    const test = (title: string, effect: () => Effect.Effect<void, unknown, Services | Scope.Scope>) =>
      it.live(title, () =>
        Effect.suspend(effect).pipe(
          (work) => weather === "good" ? work : Effect.scoped(Effect.andThen(storm, work)),
          Effect.scoped,
          Effect.provide(Logger.layer([])),
          Effect.provide(layer),
          // Locks and outages last for as much as the program does meanwhile, on a machine that is busy too.
          steadily
        ))

    test("send, receive and complete", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Orders)
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const id = yield* sender.send({
          body: new Order({ id: "1", total: 9.5 }),
          subject: "new",
          applicationProperties: { a: 1 }
        })
        const [message] = yield* receiver.receive()
        assert.strictEqual(message!.messageId, id)
        assert.strictEqual(message!.subject, "new")
        assert.deepStrictEqual(message!.applicationProperties, { a: 1 })
        assert.instanceOf(message!.body, Order)
        assert.strictEqual(message!.body.total, 9.5)
        yield* settled(receiver.complete(message!))
        yield* rest(emulator, receiver)
      }))

    test("sendAll, and a stream of it", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Orders)
        const receiver = yield* ServiceBusReceiver.make(Orders)
        assert.lengthOf(yield* sender.sendAll(orders(500)), 500)
        const seen = new Set<string>()
        yield* receiver.messages.pipe(
          Stream.mapEffect((message) =>
            Effect.andThen(settled(receiver.complete(message)), Effect.sync(() => seen.add(message.messageId))), {
            concurrency: 32
          }),
          Stream.takeUntil(() =>
            seen.size === 500
          ),
          Stream.runDrain
        )
        assert.strictEqual(seen.size, 500)
      }))

    test("complete, abandon, defer and dead-letter", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Orders, orders(4))
        const receiver = yield* ServiceBusReceiver.make(Orders, { prefetch: 4 })
        const [a, b, c, d] = yield* receiver.receive({ max: 4, maxWaitAfterFirst: "5 seconds" })
        yield* settled(receiver.complete(a!))
        yield* settled(receiver.defer(c!, { properties: { when: "later" } }))
        yield* settled(receiver.deadLetter(d!, { reason: "bad", description: "really" }))
        yield* settled(receiver.abandon(b!, { properties: { tried: true } }))
        const letters = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Orders))
        const [letter] = yield* letters.receive()
        assert.strictEqual(letter!.deadLetterReason, "bad")
        assert.strictEqual(letter!.deadLetterErrorDescription, "really")
        yield* settled(letters.complete(letter!))
        const [again] = yield* receiver.receive()
        assert.strictEqual(again!.messageId, "1")
        assert.isAtLeast(again!.deliveryCount, 1)
        assert.strictEqual(again!.applicationProperties["tried"], true)
        yield* settled(receiver.complete(again!))
        yield* until(Effect.map(emulator.messages(Orders), (messages) => messages.length === 1))
        const [left] = yield* emulator.messages(Orders)
        assert.strictEqual(left!.applicationProperties["when"], "later")
      }))

    test("a lock is renewed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Orders, orders(1))
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const [message] = yield* receiver.receive()
        const until = yield* receiver.renewLock(message!)
        assert.isAtLeast(until.epochMilliseconds, message!.lockedUntil.epochMilliseconds)
        yield* settled(receiver.complete(message!))
      }))

    test("a processor", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Orders, orders(100))
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (order) =>
            Effect.as(
              Effect.sleep(10),
              order.total === 7 ? Settlement.deadLetter({ reason: "seven" }) : Settlement.complete
            ),
          { concurrency: 8 }
        )
        yield* until(
          Effect.map(
            emulator.counters(Orders),
            ({ completed, deadLettered }) => completed === 99 && deadLettered === 1
          )
        )
        const { failed, lockLost } = yield* processor.drain
        assert.deepStrictEqual([failed, lockLost], [0, 0])
        const [letter] = yield* emulator.deadLetters(Orders)
        assert.strictEqual(letter!.messageId, "7")
      }))

    test("a message of a megabyte", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Files)
        assert.isAtLeast(sender.maxMessageSize, 4 * 1024 * 1024)
        const body = Uint8Array.from({ length: 1024 * 1024 }, (_, i) => (i * 31) & 0xff)
        yield* sender.send({ body, messageId: "large" })
        const receiver = yield* ServiceBusReceiver.makeDestructive(Files)
        const [message] = yield* receiver.receive()
        assert.deepStrictEqual(Buffer.compare(message!.body, body), 0)
      }))
  })

/** Everything is completed in the end, whatever was sent twice. */
const rest = Effect.fnUntraced(function*(
  emulator: Emulator.Controls,
  receiver: ServiceBusReceiver.ServiceBusReceiver<Order>
) {
  while ((yield* emulator.messages(Orders)).length > 0) {
    for (const message of yield* receiver.receive({ maxWait: "100 millis" })) yield* settled(receiver.complete(message))
  }
})

/** The broker is away for 30 of every 300 milliseconds, in the middle of everything. */
const storm = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  yield* Effect.sleep(40).pipe(
    Effect.andThen(emulator.stop),
    Effect.andThen(Effect.sleep(30)),
    Effect.andThen(emulator.start),
    Effect.andThen(Effect.sleep(230)),
    Effect.forever,
    Effect.forkScoped
  )
})

describe("Contract", () => {
  contract("in memory", Emulator.layer(options), "good")
  for (const transport of ["tcp", "tls", "webSocket"] as const) contract(`over ${transport}`, over(transport), "good")
  contract("over tcp, in bad weather", over("tcp", { retry: { maxRetries: 20, delay: 50, maxDelay: 500 } }), "bad")
})
