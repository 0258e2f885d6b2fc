/** Who has a message when something goes wrong: sent once, taken by one, and settled by the one that still has it. */
import { assert, describe } from "@effect/vitest"
import {
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import {
  both,
  failsWith,
  idsOf,
  type LayerFor,
  linkOf,
  type Name,
  once,
  passing,
  start,
  testsOf,
  Texts,
  texts,
  until
} from "../support/harness.ts"

/** `texts` again, through a codec that throws at some bodies. */
const Throwing = ServiceBusEntity.queue("texts", {
  body: ServiceBusBody.make<string>({
    encode: (value) => {
      if (value === "poison") throw new Error("cannot write that")
      return Result.succeed({ kind: "data", data: new TextEncoder().encode(value) })
    },
    decode: (sections) => {
      const text = sections.kind === "data" ? Buffer.from(sections.data as Uint8Array).toString() : ""
      if (text === "poison") throw new Error("bad wire type")
      return Result.succeed(text)
    }
  })
})

const suite = (name: Name, layerFor: LayerFor) =>
  describe(name, () => {
    const { clock, test } = testsOf(name, layerFor)

    test("a codec that throws is a body that does not decode, for receive and for a processor", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, [{ body: "a" }, { body: "poison" }, { body: "b" }])
        const receiver = yield* ServiceBusReceiver.make(Throwing)
        const messages = yield* receiver.receive({ max: 3 })
        assert.deepStrictEqual(messages.map(({ body }) => body), ["a", "b"])
        yield* receiver.completeAll(messages)
        yield* emulator.send(Texts, [{ body: "poison" }, { body: "c" }])
        const handled: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (body) => Effect.sync(() => void handled.push(body))
        )
        yield* until(Effect.map(emulator.counters(Texts), ({ completed }) => completed === 3))
        assert.deepStrictEqual(handled, ["c"])
        assert.deepInclude(yield* processor.drain, { undecodable: 1, completed: 1 })
        const letters = yield* emulator.deadLetters(Texts)
        assert.deepStrictEqual(letters.map((letter) => letter.deadLetterErrorDescription), [
          "bad wire type",
          "bad wire type"
        ])
      }))

    test("a codec that throws is a message that cannot be encoded, and spoils no other", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Throwing)
        const error = yield* sender.sendAll([{ body: "a" }, { body: "poison" }]).pipe(failsWith("MessageEncodeError"))
        assert.include(error.message, "cannot write that")
        const broken = function*() {
          yield { body: "b" }
          throw new Error("no more")
        }
        const unread = yield* sender.sendAll(broken()).pipe(failsWith("InvalidOptionError"))
        assert.strictEqual(unread.option, "messages")
        yield* sender.send({ body: "c" })
        assert.deepStrictEqual((yield* emulator.messages(Texts)).map(({ body }) => body), ["c"])
      }))

    test("what was accepted of many batches is not sent again", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", entity: Texts, error: { condition: "com.microsoft:timeout" } })
        yield* sender.sendAll(
          texts(5).map(({ body, messageId }) => ({ body, messageId, partitionKey: messageId }))
        )
        assert.deepStrictEqual(idsOf(yield* emulator.messages(Texts)).toSorted(), ["0", "1", "2", "3", "4"])
      })))

    test("one stream, processor or receive has a receiver's messages at a time", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const seen: Array<string> = []
        const stream = yield* start(
          Stream.runForEach(receiver.messages, (message) => Effect.sync(() => void seen.push(message.body)))
        )
        const refused = yield* receiver.receive({ maxWait: 0 }).pipe(failsWith("InvalidOptionError"))
        assert.include(refused.message, "a stream has them")
        yield* Stream.runDrain(receiver.messages).pipe(failsWith("InvalidOptionError"))
        yield* ServiceBusProcessor.make(receiver, () => Effect.void).pipe(failsWith("InvalidOptionError"))
        yield* emulator.send(Texts, texts(2))
        yield* until(Effect.sync(() => seen.length === 2))
        yield* Fiber.interrupt(stream)

        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* receiver.receive({ maxWait: 0 }).pipe(failsWith("InvalidOptionError"))
        yield* processor.drain
        yield* emulator.send(Texts, texts(1))
        assert.lengthOf(yield* receiver.receive(), 1)
      }))

    test("a destructive stream that ends early loses nothing", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(10))
        const receiver = yield* ServiceBusReceiver.makeDestructive(Texts)
        const first = yield* receiver.messages.pipe(Stream.take(1), Stream.runCollect)
        const second = yield* receiver.messages.pipe(Stream.take(2), Stream.runCollect)
        const rest = yield* receiver.receive({ max: 20 })
        assert.deepStrictEqual(idsOf([...first, ...second, ...rest]), idsOf(texts(10)))
      }))

    test("with a prefetch window, the first receive after a processor gets what there is", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 10 })
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* processor.drain
        yield* emulator.send(Texts, texts(3))
        const messages = yield* receiver.receive({ max: 3, maxWait: "5 seconds", maxWaitAfterFirst: "5 seconds" })
        assert.lengthOf(messages, 3)
      }))

    test("a processor drained while its link is attached again keeps nothing of the receiver", () =>
      passing(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        for (const turns of [2, 5, 10, 15]) {
          const link = linkOf(receiver)
          yield* emulator.dropConnections
          yield* until(Effect.sync(() => link.dead() !== undefined))
          for (let i = 0; i < turns; i++) yield* Effect.yieldNow
          yield* processor.drain
          yield* emulator.send(Texts, texts(3))
          const messages = yield* receiver.receive({ max: 3, maxWait: "5 seconds", maxWaitAfterFirst: "5 seconds" })
          assert.lengthOf(messages, 3)
          yield* receiver.completeAll(messages)
        }
      })))

    clock("after the link was lost, one lock that is over keeps no other message from being completed", () =>
      passing(
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          yield* emulator.send(Texts, texts(40))
          const receiver = yield* ServiceBusReceiver.make(Texts)
          const [first] = yield* receiver.receive()
          yield* Effect.sleep("20 seconds")
          const others = yield* receiver.receive({ max: 39 })
          const link = linkOf(receiver)
          yield* emulator.dropConnections
          yield* until(Effect.sync(() => link.dead() !== undefined))
          yield* Effect.sleep("15 seconds")
          yield* receiver.completeAll([first!, ...others]).pipe(failsWith("MessageLockLostError"))
          assert.strictEqual((yield* emulator.counters(Texts)).completed, 39)
        }),
        "1 second"
      ), { texts: { lockDuration: "30 seconds" } })

    test("a settlement that never reached the broker can be made again, also one that was interrupted", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(2))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [a, b] = yield* receiver.receive({ max: 2 })
        const link = linkOf(receiver)
        yield* emulator.stop
        yield* until(Effect.sync(() =>
          link.dead() !== undefined
        ))
        yield* receiver.complete(a!).pipe(failsWith("ServiceBusCommunicationError"))
        yield* emulator.start
        const interrupted = yield* start(receiver.complete(b!))
        yield* Fiber.interrupt(interrupted)
        yield* receiver.complete(a!)
        yield* receiver.complete(b!)
        assert.lengthOf(yield* emulator.messages(Texts), 0)
        yield* receiver.complete(a!).pipe(failsWith("MessageAlreadySettled"))
      }), once)

    test("nothing is asked for on behalf of a sender or receiver whose scope is closed", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const scope = yield* Scope.make()
        const sender = yield* Scope.provide(ServiceBusSender.make(Texts), scope)
        const receiver = yield* Scope.provide(ServiceBusReceiver.make(Texts), scope)
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!)
        yield* Scope.close(scope, Exit.void)
        const late: ReadonlyArray<Effect.Effect<unknown, ServiceBusError.Any>> = [
          receiver.peek(),
          receiver.receiveDeferred([1n]),
          sender.schedule({ body: "" }, "1 hour"),
          sender.cancelScheduled([1n])
        ]
        for (const each of late) {
          const error = yield* each.pipe(failsWith("ServiceBusConnectionError"))
          assert.isTrue(error.isClosed)
        }
        assert.lengthOf(yield* emulator.messages(Texts), 1)
      }))

    clock("where an answer was lost and nothing is found the next time, the outcome is unknown", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* emulator.send(Texts, texts(1))
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!)
        const number = yield* sender.schedule({ body: "x" }, "1 hour")
        const delivered = Effect.map(emulator.counters(Texts), (counters) =>
          counters.delivered)
        const tries = [
          [
            sender.cancelScheduled([number]),
            Effect.map(emulator.messages(Texts), (left) =>
              left.length === 1)
          ],
          [
            receiver.receiveDeferred([message!.sequenceNumber]),
            Effect.map(delivered, (count) =>
              count === 2)
          ]
        ] as const
        for (const [request, isDone] of tries) {
          const fiber = yield* start(Effect.asVoid<unknown, ServiceBusError.Any, never>(request))
          while (!(yield* isDone)) yield* Effect.yieldNow
          yield* emulator.dropConnections
          const error = yield* passing(Fiber.join(fiber)).pipe(failsWith("OperationTimeoutError"))
          assert.strictEqual(error.outcome, "unknown")
        }
      }))

    test("what is no sequence number is not cancelled", () =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.cancelScheduled([2n ** 63n]).pipe(failsWith("InvalidOptionError"))
        yield* sender.cancelScheduled([1 as never]).pipe(failsWith("InvalidOptionError"))
      }))

    test("a handler of settleEach that dies gives its message back", () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(1))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const exit = yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach(() =>
            Effect.die("bug")
          ),
          Stream.runDrain,
          Effect.exit
        )
        assert.isTrue(Exit.hasDies(exit))
        assert.strictEqual((yield* emulator.counters(Texts)).abandoned, 1)
      }))
  })

describe("Ownership of messages", () => both(suite))
