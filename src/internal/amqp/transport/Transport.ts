/**
 * What connects to an endpoint and gives a socket. TCP, TLS and WebSocket are here; the broker in memory sets a transport of its
 * own. A socket belongs to the scope in which it was connected.
 *
 * Certificates are always verified, against the host that is dialled; there is no switch for it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Agent } from "node:http"
import * as net from "node:net"
import * as tls from "node:tls"
import { WebSocket as WebSocketClient } from "ws"
import type { ServiceBusCommunicationError, ServiceBusConnectionError } from "../../../ServiceBusError.ts"
import * as errorMap from "../../errorMap.ts"
import type { Socket } from "./Socket.ts"
import * as WebSocket from "./WebSocket.ts"

export interface Endpoint {
  readonly host: string
  readonly port: number
  /** Plain TCP is for an emulator on this machine only, which the maker of the endpoint checks. */
  readonly kind: "tcp" | "tls" | "webSocket"
  /** Certificate authorities, in PEM, that are trusted beside the system's. */
  readonly ca?: string | ReadonlyArray<string> | undefined
  /** Dials for WebSocket: an agent of `node:http`, through a proxy for example. */
  readonly agent?: object | undefined
  /** Whether what it fails with has a secret in it, and is not to be told. */
  readonly isSecret?: ((error: unknown) => boolean) | undefined
}

type ConnectError = ServiceBusCommunicationError | ServiceBusConnectionError

export interface Transport {
  /** Connects; the socket is destroyed when the scope closes. Interrupting it while it connects destroys it too. */
  readonly connect: (endpoint: Endpoint) => Effect.Effect<Socket, ConnectError, Scope.Scope>
}

/** The authorities to trust: none given means the system's. */
const authorities = (endpoint: Endpoint): { readonly ca?: Array<string> } =>
  endpoint.ca === undefined
    ? {}
    : { ca: [...tls.rootCertificates, ...(typeof endpoint.ca === "string" ? [endpoint.ca] : endpoint.ca)] }

const secure = (endpoint: Endpoint) => ({
  ...authorities(endpoint),
  rejectUnauthorized: true,
  minVersion: "TLSv1.2" as const
})

const openSocket = (endpoint: Endpoint, onOpen: (socket: Socket) => void): Effect.Effect<Socket, ConnectError> =>
  Effect.callback((resume) => {
    const isTls = endpoint.kind === "tls"
    const socket = isTls
      ? tls.connect({
        host: endpoint.host,
        port: endpoint.port,
        // A name only: an address is no server name (RFC 6066 section 3).
        servername: net.isIP(endpoint.host) === 0 ? endpoint.host : "",
        ...secure(endpoint)
      })
      : net.connect({ host: endpoint.host, port: endpoint.port })
    const onConnect = () => {
      socket.removeListener("error", onError)
      // Between here and the engine's own listener a late error must not be unhandled.
      socket.on("error", ignore)
      socket.setNoDelay(true)
      onOpen(socket)
      resume(Effect.succeed(socket))
    }
    const onError = (error: Error) => {
      socket.destroy()
      resume(Effect.fail(errorMap.fromSocket(error, endpoint)))
    }
    socket.once(isTls ? "secureConnect" : "connect", onConnect)
    socket.once("error", onError)
    return Effect.sync(() => {
      socket.removeListener("error", onError)
      socket.on("error", ignore)
      socket.destroy()
    })
  })

const ignore = () => {}

/** The path and subprotocol of the service (Service Bus protocol guide, AMQP over WebSockets). */
const openWebSocket = (
  endpoint: Endpoint,
  onSocket: (socket: Socket) => void
): Effect.Effect<Socket, ConnectError> =>
  Effect.callback((resume) => {
    const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host
    let client: WebSocketClient
    try {
      client = new WebSocketClient(`wss://${host}:${endpoint.port}${WebSocket.path}`, WebSocket.protocol, {
        ...secure(endpoint),
        perMessageDeflate: false,
        followRedirects: false,
        ...(endpoint.agent === undefined ? {} : { agent: endpoint.agent as Agent })
      })
    } catch (error) {
      // The agent is the user's, and is asked at once.
      return resume(Effect.fail(errorMap.fromSocket(error, endpoint)))
    }
    const onOpen = () => {
      client.removeListener("error", onError)
      const socket = WebSocket.socketOf(client)
      onSocket(socket)
      resume(Effect.succeed(socket))
    }
    const onError = (error: Error) => {
      client.on("error", ignore)
      client.terminate()
      const told = endpoint.isSecret?.(error) === true
        ? new Error("the agent of its proxy failed; what it says has the proxy's password in it, and is left out")
        : error
      resume(Effect.fail(errorMap.fromSocket(told, endpoint)))
    }
    client.once("open", onOpen)
    client.once("error", onError)
    // A proxy that refuses, or an endpoint that is no namespace.
    client.once("unexpected-response", (_request, { statusCode }) =>
      onError(
        Object.assign(new Error(`it answers HTTP ${statusCode} and opens no WebSocket`), { code: "ERR_NO_WEBSOCKET" })
      ))
    return Effect.sync(() => {
      client.removeListener("error", onError)
      client.on("error", ignore)
      client.terminate()
    })
  })

const network: Transport = {
  connect: (endpoint) =>
    Effect.uninterruptibleMask((restore) => {
      let opened: Socket | undefined
      const onSocket = (socket: Socket): void => {
        opened = socket
      }
      const opening = endpoint.kind === "webSocket" ? openWebSocket(endpoint, onSocket) : openSocket(endpoint, onSocket)
      const destroy = Effect.sync(() => {
        opened?.destroy()
      })
      // A socket that is open when an interruption comes is not the scope's yet.
      return Effect.acquireRelease(Effect.onError(restore(opening), () => destroy), () => destroy)
    })
}

export const Transport: Context.Reference<Transport> = Context.Reference<Transport>(
  "effect-service-bus/internal/amqp/Transport",
  { defaultValue: () => network }
)
