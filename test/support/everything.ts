/** A broker with one of everything that it may hold: for tests of what keeps it. */
import { Effect } from "effect"
import {
  AmqpValue,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { Texts } from "./harness.ts"

export const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
export const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
export const Sport = ServiceBusEntity.subscription(News, "sport")
export const Once = ServiceBusEntity.queue("once", { body: ServiceBusBody.text })

export const entities = [
  Emulator.entity(Carts, { lockDuration: 1500, defaultTimeToLive: "14 days" }),
  Emulator.entity(News),
  Emulator.entity(Sport, {
    rules: [
      ServiceBusRule.make(
        "large",
        ServiceBusRule.sql("size > @least", { least: 1n }),
        ServiceBusRule.action("SET a = 1")
      ),
      ServiceBusRule.make("none", ServiceBusRule.false),
      ServiceBusRule.make(
        "red",
        ServiceBusRule.correlation({
          subject: "paint",
          applicationProperties: { id: AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e") }
        })
      )
    ]
  }),
  Emulator.entity(Once, { duplicateDetectionWindow: "1 hour" }),
  Emulator.entity("stuck", { forwardTo: "to", forwardDeadLetteredMessagesTo: "to" }),
  Emulator.entity("to", { status: "SendDisabled", autoDeleteOnIdle: "1 hour" }),
  Emulator.entity(ServiceBusEntity.topic("a later topic", { body: ServiceBusBody.text }))
]

/** Fills a broker with one of everything. */
export const fill = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  const sender = yield* ServiceBusSender.make(Texts)
  const receiver = yield* ServiceBusReceiver.make(Texts)
  yield* sender.sendAll(["dead", "deferred", "abandoned", "locked"].map((body) => ({ body, messageId: body })))
  const [dead, deferred, abandoned] = yield* receiver.receive({ max: 4 })
  yield* receiver.settle(
    dead!,
    Settlement.deadLetter({ reason: "why", properties: { n: AmqpValue.typed("ubyte", 1) } })
  )
  yield* receiver.settle(deferred!, Settlement.defer({ properties: { when: new Date(0) } }))
  yield* receiver.settle(abandoned!, Settlement.abandon())
  yield* sender.send({
    body: "all",
    messageId: AmqpValue.uuid("0f8fad5b-d9cb-469f-a165-70867728950e") as never,
    subject: "s",
    to: "t",
    replyTo: "r",
    replyToSessionId: "rs",
    correlationId: 2n ** 63n as never,
    contentType: "application/json",
    timeToLive: "90 days",
    applicationProperties: { "1": 1, b: 2n, a: AmqpValue.typed("double", 3), $odd: "x" }
  })
  yield* sender.schedule({ body: "later", timeToLive: "1 minute" }, "2 hours")
  yield* sender.sendAnnotated({
    header: { durable: true, priority: 9 },
    deliveryAnnotations: { d: 1 },
    messageAnnotations: { "x-own": [1, "a"] },
    properties: { userId: new Uint8Array([1, 2]), contentEncoding: "gzip", groupSequence: 7 },
    footer: { f: AmqpValue.symbol("s") },
    body: { kind: "sequence", sequences: [[1, 2n], [new Map([["k", null]])]] }
  })
  yield* sender.sendAnnotated({ body: { kind: "value", value: AmqpValue.array("uint", [1]) } })
  yield* sender.sendAnnotated({ body: { kind: "data", data: [new Uint8Array([255]), Buffer.from("{}")] } })
  yield* sender.sendAnnotated({
    properties: { contentType: "application/json" },
    body: { kind: "data", data: Buffer.from(`{"a":[1,"ä"]}`) }
  })
  yield* sender.sendAnnotated({
    properties: { contentType: "application/json" },
    body: { kind: "data", data: Buffer.from(`{ "a": 9007199254740993}`) }
  })
  yield* emulator.failTransfer(Texts, [{ body: "transfer" }], { reason: "lost" })
  yield* emulator.send(Carts, [{ body: "1", sessionId: "s" }, { body: "2", sessionId: "t" }])
  const session = yield* ServiceBusSession.accept(Carts, "s")
  yield* session.setState(new Uint8Array([0, 255]) as never)
  // Written, and then no more: what is cleared and what goes leaves nothing behind.
  const cleared = yield* ServiceBusSession.accept(Carts, "t")
  yield* cleared.setState(new Uint8Array([1]) as never)
  yield* emulator.idle
  yield* cleared.clearState
  yield* emulator.send(News, [{ body: "news", applicationProperties: { size: 2 } }])
  yield* (yield* ServiceBusSender.make(News)).schedule({ body: "tomorrow" }, "1 day")
  yield* emulator.send(Carts, [{ body: "odd", sessionId: "\0\x01\x010" }])
  const odd = yield* ServiceBusSession.accept(Carts, "\0\x01\x010")
  yield* odd.setState(new Uint8Array([1]) as never)
  yield* emulator.send(Once, ["x", "b", "a", "\0\x01"].map((body) => ({ body, messageId: body })))
  yield* emulator.send("stuck", [{ body: Buffer.from("waits") }])
})
