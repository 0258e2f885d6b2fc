// Through the HTTP proxy that the environment names: AMQP over WebSocket, in a tunnel. The package https-proxy-agent speaks
// to the proxy; this program gives its class, and starts a proxy of its own to go through.
import { ConfigProvider, Console, Effect, Layer } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { HttpsProxyAgent } from "https-proxy-agent"
import * as http from "node:http"
import * as net from "node:net"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

/** Any proxy that knows CONNECT. */
const proxy = Effect.acquireRelease(
  Effect.callback<{ readonly port: number; readonly tunnels: Array<string>; readonly server: http.Server }>(
    (resume) => {
      const tunnels: Array<string> = []
      const server = http.createServer().on("connect", ({ url = "" }, client) => {
        tunnels.push(url)
        const [host, port] = url.split(":")
        const remote = net.connect(Number(port), host, () => {
          client.write("HTTP/1.1 200 Connection Established\r\n\r\n")
          remote.pipe(client).pipe(remote)
        })
        for (const socket of [client, remote]) socket.on("error", () => {})
      })
      server.listen(0, "127.0.0.1", () => {
        resume(Effect.succeed({ port: (server.address() as net.AddressInfo).port, tunnels, server }))
      })
    }
  ),
  ({ server }) => Effect.sync(() => server.close())
)

const program = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  return yield* sender.send({ body: "through a tunnel" })
}).pipe(Effect.scoped)

const main = Effect.gen(function*() {
  const { port, tunnels } = yield* proxy
  const { certificate, tokenCredential, webSocketPort } = yield* Emulator.Emulator
  const Client = ServiceBusClient.layer({
    fullyQualifiedNamespace: "contoso.servicebus.windows.net",
    credential: ServiceBusCredential.identity(tokenCredential),
    transport: "amqpWebSockets",
    // Where NO_PROXY names the host, or no variable is set, there is no proxy.
    proxy: { agent: HttpsProxyAgent },
    // Your namespace needs neither of the two.
    customEndpointAddress: `sb://localhost:${webSocketPort}`,
    ca: certificate
  })
  // In your program the environment has it.
  const Environment = ConfigProvider.layer(ConfigProvider.fromUnknown({ HTTPS_PROXY: `http://127.0.0.1:${port}` }))
  yield* program.pipe(Effect.provide(Client.pipe(Layer.provide(Environment))))
  yield* Console.log(`sent through ${tunnels.length} tunnel, to ${tunnels[0]?.split(":")[0]}`)
})

const Broker = Emulator.layerServer({ entities: [Emulator.entity(Letters)], webSocketPort: 0 })

await Effect.runPromise(main.pipe(Effect.scoped, Effect.provide(Broker)))
