/**
 * Microsoft's own client and ours on one broker, over each transport: what part of a queue's life neither of them sees
 * over plain TCP alone.
 */
import { ServiceBusClient as Official, type ServiceBusClientOptions } from "@azure/service-bus"
import { DateTime, Effect, Layer, Redacted, Schema } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { WebSocket } from "ws"
import { selfSigned } from "../../src/emulator/security/Certificate.ts"
import { trust } from "../support/trust.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Schema.Struct({ text: Schema.String })) })

// The official client has no option for an authority: it trusts what the process trusts.
const certificate = selfSigned()
trust(certificate.cert)

const Server = Emulator.layerServer({
  entities: [Emulator.entity(Orders, { maxMessageSize: 4 * 1024 * 1024, lockDuration: "30 seconds" })],
  tlsPort: 0,
  webSocketPort: 0,
  certificate
})

type Transport = "tcp" | "tls" | "webSocket"

const official = (transport: Transport, options: ServiceBusClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.map(Emulator.Emulator, ({ connectionString, tlsPort, webSocketPort }) => {
      const plain = Redacted.value(connectionString)
      const retryOptions = { maxRetries: 10, retryDelayInMs: 50, timeoutInMs: 5000 }
      if (transport === "tcp") return new Official(plain, { retryOptions, ...options })
      const text = plain.replace(/sb:\/\/[^;]+/, "sb://contoso.servicebus.windows.net/")
        .replace(";UseDevelopmentEmulator=true", "")
      return new Official(text, {
        retryOptions,
        ...options,
        customEndpointAddress: `sb://localhost:${transport === "tls" ? tlsPort : webSocketPort}`,
        ...(transport === "webSocket" ? { webSocketOptions: { webSocket: WebSocket as never } } : {})
      })
    }),
    (client) => Effect.promise(() => client.close())
  )

const large = "large ".repeat(200_000)

for (const transport of ["tcp", "tls", "webSocket"] as const) {
  describe(`over ${transport}`, () => {
    const test = (title: string, body: Effect.Effect<void, unknown, any>) =>
      it.live(title, () =>
        Effect.scoped(body).pipe(
          Effect.provide(Emulator.layerClientOver(transport).pipe(Layer.provideMerge(Server)))
        ) as Effect.Effect<void>)

    test(
      "from ours to theirs, 1 MB in many frames among them",
      Effect.gen(function*() {
        const client = yield* official(transport)
        const sender = yield* ServiceBusSender.make(Orders)
        const created = DateTime.makeUnsafe(1_700_000_000_123)
        const fields = {
          messageId: "id",
          correlationId: "correlation",
          subject: "subject",
          to: "to",
          replyTo: "reply",
          timeToLive: "1 hour",
          applicationProperties: { text: "t", number: 5, real: 1.5, flag: true, time: created }
        } as const
        yield* sender.send({ body: { text: "small" }, ...fields })
        yield* sender.send({ body: { text: large }, ...fields })
        const receiver = client.createReceiver("orders")
        for (const text of ["small", large]) {
          const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
          assert.strictEqual(message!.body.text, text)
          assert.deepInclude(message!, {
            messageId: "id",
            correlationId: "correlation",
            subject: "subject",
            to: "to",
            replyTo: "reply",
            contentType: "application/json"
          })
          assert.deepInclude(message!.applicationProperties!, { text: "t", number: 5, real: 1.5, flag: true })
          yield* Effect.promise(() => receiver.completeMessage(message!))
        }
      })
    )

    test(
      "from theirs to ours, 1 MB in many frames among them",
      Effect.gen(function*() {
        const client = yield* official(transport)
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const sender = client.createSender("orders")
        for (const text of ["small", large]) {
          yield* Effect.promise(() =>
            sender.sendMessages({
              body: { text },
              messageId: "id",
              correlationId: "correlation",
              subject: "subject",
              timeToLive: 3600_000,
              applicationProperties: { text: "t", number: 5, flag: false }
            })
          )
          const [message] = yield* receiver.receive()
          assert.strictEqual(message!.body.text, text)
          assert.strictEqual(message!.messageId, "id")
          assert.strictEqual(message!.correlationId, "correlation")
          assert.deepStrictEqual(message!.applicationProperties, { text: "t", number: 5, flag: false })
          yield* receiver.complete(message!)
        }
        const emulator = yield* Emulator.Emulator
        assert.lengthOf(yield* emulator.messages(Orders), 0)
      })
    )

    test(
      "theirs defers, receives what was deferred and settles it; a missing one is named",
      Effect.gen(function*() {
        const client = yield* official(transport, { retryOptions: { maxRetries: 0, timeoutInMs: 5000 } })
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Orders, [{ body: { text: "one" } }, { body: { text: "two" } }])
        const receiver = client.createReceiver("orders")
        const messages = yield* Effect.promise(() => receiver.receiveMessages(2))
        for (const message of messages) yield* Effect.promise(() => receiver.deferMessage(message, { seen: true }))
        const numbers = messages.map((message) => message.sequenceNumber!)
        assert.deepStrictEqual((yield* emulator.messages(Orders)).map((message) => message.state), [
          "deferred",
          "deferred"
        ])
        const deferred = yield* Effect.promise(() => receiver.receiveDeferredMessages(numbers))
        assert.deepStrictEqual(deferred.map((message) => message.body.text), ["one", "two"])
        assert.deepStrictEqual(deferred.map((message) => message.applicationProperties), [{ seen: true }, {
          seen: true
        }])
        yield* Effect.promise(() => receiver.completeMessage(deferred[0]!))
        yield* Effect.promise(() => receiver.abandonMessage(deferred[1]!, { again: 1 }))
        const [left] = yield* emulator.messages(Orders)
        assert.deepInclude(left!, { state: "deferred", deliveryCount: 2 })
        const error = yield* Effect.flip(Effect.tryPromise(() => receiver.receiveDeferredMessages(numbers)))
        assert.strictEqual((error.cause as { readonly code?: string }).code, "MessageNotFound")
        const [again] = yield* Effect.promise(() => receiver.receiveDeferredMessages([numbers[1]!]))
        yield* Effect.promise(() =>
          receiver.deadLetterMessage(again!, {
            deadLetterReason: "enough",
            deadLetterErrorDescription: "twice"
          })
        )
        assert.deepStrictEqual((yield* emulator.deadLetters(Orders)).map((m) => m.deadLetterReason), ["enough"])
      })
    )

    test(
      "theirs comes again after the broker was away",
      Effect.gen(function*() {
        const client = yield* official(transport)
        const emulator = yield* Emulator.Emulator
        const sender = client.createSender("orders")
        yield* Effect.promise(() => sender.sendMessages({ body: { text: "before" } }))
        yield* emulator.stop
        yield* Effect.sleep("50 millis")
        yield* emulator.start
        yield* Effect.promise(() => sender.sendMessages({ body: { text: "after" } }))
        const receiver = client.createReceiver("orders")
        const messages = yield* Effect.promise(() => receiver.receiveMessages(2, { maxWaitTimeInMs: 2000 }))
        assert.deepStrictEqual(messages.map((message) => message.body.text), ["before", "after"])
      })
    )
  })
}
