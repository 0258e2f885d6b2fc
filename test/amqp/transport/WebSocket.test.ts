/** AMQP over WebSocket through an HTTP proxy, by the agent that a user would take. */
import { Effect, Layer } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpsProxyAgent } from "https-proxy-agent"
import { createServer } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"
import { assert, describe, it } from "../../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const Server = Emulator.layerServer({ entities: [Emulator.entity(Letters)], webSocketPort: 0 })

/** A proxy that tunnels with CONNECT, or refuses to. */
const proxy = (answer: "tunnel" | "407") =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly tunnels: Array<string>; readonly close: () => void }>((resume) => {
      const tunnels: Array<string> = []
      const sockets = new Set<Socket>()
      const server = createServer()
      server.on("connect", ({ url }, client, head) => {
        sockets.add(client as Socket)
        if (answer === "407") {
          return void client.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        }
        tunnels.push(url!)
        const [host, port] = url!.split(":")
        const remote = connect(Number(port), host, () => {
          client.write("HTTP/1.1 200 Connection Established\r\n\r\n")
          remote.write(head)
          remote.pipe(client).pipe(remote)
        })
        sockets.add(remote)
        for (const each of [client, remote]) each.on("error", () => {})
      })
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({
          url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
          tunnels,
          close: () => {
            server.close()
            for (const socket of sockets) socket.destroy()
          }
        })))
    }),
    ({ close }) => Effect.sync(close)
  )

const clientThrough = (url: string) =>
  Emulator.layerClientOver("webSocket", { webSocketAgent: new HttpsProxyAgent(url), retry: { maxRetries: 0 } })

describe("a WebSocket through a proxy", () => {
  it.live("carries a message there and back in one tunnel", () =>
    Effect.gen(function*() {
      const { tunnels, url } = yield* proxy("tunnel")
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
      const { url } = yield* proxy("407")
      const error = yield* ServiceBusSender.make(Letters).pipe(
        Effect.scoped,
        Effect.flip,
        Effect.provide(clientThrough(url).pipe(Layer.provideMerge(Server)))
      )
      assert.strictEqual(error._tag, "ServiceBusCommunicationError")
      assert.match(error.message, /answers HTTP 407/)
    }).pipe(Effect.scoped))
})
