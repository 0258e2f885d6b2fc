/**
 * Ports of the broker: plain TCP, TLS, and WebSocket over TLS on one more. A listener can be closed and opened again, on
 * the port that it had.
 *
 * The listener owns its sockets until they are served: what is in a handshake counts in the admission, and the end of the
 * listener cuts all of its sockets.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as https from "node:https"
import * as net from "node:net"
import * as tls from "node:tls"
import { WebSocketServer } from "ws"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import * as WebSocket from "../../internal/amqp/transport/WebSocket.ts"
import { EmulatorError } from "../../ServiceBusError.ts"
import type { Certificate } from "../security/Certificate.ts"
import type { Admission, Admitted } from "./Admission.ts"

/** How a port is opened. */
interface Options {
  readonly host: string
  readonly port: number
  readonly kind: "tcp" | "tls" | "webSocket"
  /** For TLS and WebSocket. */
  readonly certificate?: Certificate | undefined
  readonly accept: (socket: Socket) => void
  readonly admission: Admission
}

/** A port that can be closed and opened again. */
export interface Listener {
  readonly port: number
  /** Closes the port and cuts its connections. */
  readonly stop: Effect.Effect<void>
  /** Opens the port again. */
  readonly start: Effect.Effect<void, EmulatorError>
}

interface Running {
  readonly server: net.Server
  readonly sockets: Set<net.Socket>
}

const listen = (options: Options, port: number): Effect.Effect<Running, EmulatorError> =>
  Effect.callback((resume) => {
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      resume(Effect.fail(new EmulatorError({ problem: "the port must be an integer from 0 to 65535" })))
      return
    }
    // Node would listen on every address for an empty one, and keep a stack trace limit of zero for what it cannot print.
    if (typeof options.host !== "string" || options.host === "") {
      resume(Effect.fail(new EmulatorError({ problem: "the host must be an address or a name" })))
      return
    }
    const sockets = new Set<net.Socket>()
    // Handshakes before there is AMQP, by the address of the peer: the socket that TLS makes is another one.
    const handshakes = new Map<string, Admitted>()
    const endHandshake = (socket: net.Socket) => {
      const key = keyOf(socket)
      handshakes.get(key)?.end()
      handshakes.delete(key)
    }
    const server = serverOf(options, endHandshake)
    server.on("connection", (socket: net.Socket) => {
      // The AMQP server destroys the socket; an error of it after that has no other listener.
      socket.on("error", () => {})
      if (options.kind !== "tcp") {
        const admitted = options.admission.begin()
        if (admitted === undefined) return void socket.destroy()
        const key = keyOf(socket)
        handshakes.set(key, admitted)
        // A closed socket no longer knows the address of its peer.
        socket.on("close", () => {
          admitted.end()
          if (handshakes.get(key) === admitted) handshakes.delete(key)
        })
      }
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
    })
    server.once("error", (cause: Error) =>
      resume(
        Effect.fail(
          new EmulatorError({
            reason: "unavailable",
            problem: `it cannot listen on ${options.host}:${port} (${cause.message})`,
            cause
          })
        )
      ))
    server.listen({ host: options.host, port }, () => resume(Effect.succeed({ server, sockets })))
    return Effect.sync(() => {
      server.close()
    })
  })

const keyOf = ({ remoteAddress, remotePort }: net.Socket): string => `${remoteAddress} ${remotePort}`

/** How long TLS, and the request for a WebSocket, may take, in milliseconds. */
const handshakeTimeout = 10_000

/** A handshake that fails or takes too long concerns the client alone; Node would keep its socket. */
const destroyFailed = (_: Error, socket: net.Socket): void => {
  socket.destroy()
}

const serverOf = ({ accept, certificate, kind }: Options, endHandshake: (socket: net.Socket) => void): net.Server => {
  switch (kind) {
    case "tcp":
      return net.createServer({ noDelay: true }, accept)
    case "tls": {
      const server = tls.createServer({ ...certificate, noDelay: true, handshakeTimeout }, (socket) => {
        socket.on("error", () => {})
        endHandshake(socket)
        accept(socket)
      })
      server.on("tlsClientError", destroyFailed)
      return server
    }
    case "webSocket": {
      const server = https.createServer({
        ...certificate,
        noDelay: true,
        handshakeTimeout,
        headersTimeout: handshakeTimeout,
        connectionsCheckingInterval: handshakeTimeout / 4
      })
      server.on("tlsClientError", destroyFailed)
      // There is nothing else here: a probe or a browser is told so, and its socket does not stay admitted.
      server.on("request", (_, response) => {
        response.writeHead(426, { connection: "close", upgrade: "websocket", "content-type": "text/plain" })
        response.end("AMQP over WebSocket is spoken here.\n")
      })
      const webSockets = new WebSocketServer({
        server,
        perMessageDeflate: false,
        maxPayload: 1024 * 1024,
        // The one that was asked for: .NET asks for "amqp", the others for "AMQPWSB10".
        handleProtocols: (offered) => [...offered].find((each) => WebSocket.protocols.includes(each)) ?? false
      })
      webSockets.shouldHandle = ({ url }) => WebSocket.isPath(url ?? "")
      webSockets.on("connection", (client, request) => {
        endHandshake(request.socket)
        accept(WebSocket.socketOf(client))
      })
      webSockets.on("error", () => {})
      return server
    }
  }
}

const close = ({ server, sockets }: Running): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
    // A server is closed once its connections are, and clients keep theirs.
    for (const socket of sockets) socket.destroy()
  })

/**
 * Keeps a port that is to be opened again: nothing listens on it, so that clients are refused, and yet nobody is given it who
 * asks for any free one, by a connection that leaves from it. A port that cannot be kept is free.
 */
const hold = (host: string, port: number): Effect.Effect<Effect.Effect<void>> =>
  Effect.callback((resume) => {
    const peer = net.createServer((socket) => void socket.on("error", () => {}).resume())
    let held: net.Socket | undefined
    const release = Effect.callback<void>((released) => {
      // Without a time of waiting, in which the port would still be taken.
      held?.resetAndDestroy()
      peer.close(() => released(Effect.void))
    })
    const done = () => resume(Effect.succeed(release))
    peer.on("error", done).listen({ host, port: 0 }, () => {
      const { address, port: to } = peer.address() as net.AddressInfo
      held = net.connect({ host: address, port: to, localAddress: address, localPort: port })
      held.on("error", done).on("connect", done)
    })
  })

/** Opens a port until the scope closes. */
export const make: (options: Options) => Effect.Effect<Listener, EmulatorError, Scope.Scope> = Effect.fnUntraced(
  function*(options) {
    let running: Running | undefined = yield* listen(options, options.port)
    const { port } = running.server.address() as net.AddressInfo
    let held: Effect.Effect<void> = Effect.void
    const shut = Effect.suspend(() => {
      const open = running
      running = undefined
      return open === undefined ? Effect.void : close(open)
    })
    const release = Effect.suspend(() => {
      const release = held
      held = Effect.void
      return release
    })
    yield* Effect.addFinalizer(() => Effect.andThen(shut, release))
    return {
      port,
      stop: Effect.suspend(() =>
        running === undefined ? Effect.void : Effect.andThen(
          shut,
          Effect.map(hold(options.host, port), (release) => {
            held = release
          })
        )
      ).pipe(Effect.uninterruptible),
      start: Effect.suspend(() =>
        running !== undefined ? Effect.void : Effect.andThen(
          release,
          Effect.map(listen(options, port), (open) => {
            running = open
          })
        )
      )
    }
  }
)
