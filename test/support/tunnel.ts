/** An HTTP proxy that tunnels with CONNECT, or refuses to. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { createServer } from "node:http"
import { type AddressInfo, connect, type Socket } from "node:net"

interface Tunnel {
  readonly url: string
  /** What was asked for, `host:port`. */
  readonly tunnels: Array<string>
  /** What was given as Proxy-Authorization. */
  readonly authorizations: Array<string | undefined>
  readonly close: () => void
}

const open = (answer: "tunnel" | "407"): Effect.Effect<Tunnel, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Tunnel>((resume) => {
      const tunnels: Array<string> = []
      const authorizations: Array<string | undefined> = []
      const sockets = new Set<Socket>()
      const server = createServer()
      server.on("connect", ({ headers, url }, client, head) => {
        sockets.add(client as Socket)
        if (answer === "407") {
          return void client.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        }
        tunnels.push(url!)
        authorizations.push(headers["proxy-authorization"])
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
          authorizations,
          close: () => {
            server.close()
            for (const socket of sockets) socket.destroy()
          }
        })))
    }),
    ({ close }) => Effect.sync(close)
  )

export const tunnel = open("tunnel")

/** One that wants a password, whatever is given. */
export const refused = open("407")
