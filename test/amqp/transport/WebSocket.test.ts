/** AMQP over WebSocket through an HTTP proxy, by the agent that a user would take. */
import { Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpsProxyAgent } from "https-proxy-agent"
import { refused, tunnel } from "../../support/tunnel.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const Server = Emulator.layerServer({ entities: [Emulator.entity(Letters)], webSocketPort: 0 })

const clientThrough = (url: string) =>
  Emulator.layerClientOver("webSocket", { webSocketAgent: new HttpsProxyAgent(url), retry: { maxRetries: 0 } })

describe("a WebSocket through a proxy", () => {
  it.live("carries a message there and back in one tunnel", () =>
    Effect.gen(function*() {
      const { tunnels, url } = yield* tunnel
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Letters)
        const receiver = yield* ServiceBusReceiver.make(Letters)
        yield* sender.send({ body: "long".repeat(50_000) })
        const [message] = yield* receiver.receive()
        yield* receiver.complete(message!)
        assert.lengthOf(message!.body, 200_000)
        assert.deepStrictEqual(tunnels.map((target) => target.split(":")[1]), [`${emulator.webSocketPort}`])
      }).pipe(Effect.scoped, Effect.provide(clientThrough(url).pipe(Layer.provideMerge(Server))))
    }).pipe(Effect.scoped))

  it.live("a proxy that refuses is a typed error that says so", () =>
    Effect.gen(function*() {
      const { url } = yield* refused
      const error = yield* ServiceBusSender.make(Letters).pipe(
        Effect.scoped,
        Effect.flip,
        Effect.provide(clientThrough(url).pipe(Layer.provideMerge(Server)))
      )
      assert.strictEqual(error._tag, "ServiceBusCommunicationError")
      assert.match(error.message, /answers HTTP 407/)
    }).pipe(Effect.scoped))
})
