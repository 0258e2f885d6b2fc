/**
 * The seam below AMQP: something that connects to an endpoint and gives a socket. TCP and TLS are here; the in-memory
 * broker sets another one.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import * as tls from "node:tls"
import type { ServiceBusCommunicationError, ServiceBusConnectionError } from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"

export interface Endpoint {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

/** What rhea needs of a socket, and what ends it at once. */
export interface Socket {
  on(event: string, listener: (...args: Array<any>) => void): unknown
  once(event: string, listener: (...args: Array<any>) => void): unknown
  removeListener(event: string, listener: (...args: Array<any>) => void): unknown
  removeAllListeners(event?: string): unknown
  write(bytes: Uint8Array): unknown
  end(): unknown
  destroy(): unknown
}

export interface Transport {
  /** Connects; the socket is destroyed when the scope closes. Interrupting it while it connects destroys it too. */
  readonly connect: (
    endpoint: Endpoint
  ) => Effect.Effect<Socket, ServiceBusCommunicationError | ServiceBusConnectionError, Scope.Scope>
}

const open = (
  endpoint: Endpoint
): Effect.Effect<net.Socket, ServiceBusCommunicationError | ServiceBusConnectionError> =>
  Effect.callback((resume) => {
    const socket = endpoint.tls
      ? tls.connect({
        host: endpoint.host,
        port: endpoint.port,
        servername: net.isIP(endpoint.host) === 0 ? endpoint.host : "",
        rejectUnauthorized: true,
        minVersion: "TLSv1.2"
      })
      : net.connect({ host: endpoint.host, port: endpoint.port })
    const onConnect = () => {
      socket.removeListener("error", onError)
      // Between here and the engine's own listener a late error must not be unhandled.
      socket.on("error", ignore)
      socket.setNoDelay(true)
      resume(Effect.succeed(socket))
    }
    const onError = (error: Error) => {
      socket.destroy()
      resume(Effect.fail(errorMap.fromSocket(error, endpoint)))
    }
    socket.once(endpoint.tls ? "secureConnect" : "connect", onConnect)
    socket.once("error", onError)
    return Effect.sync(() => {
      socket.removeListener("error", onError)
      socket.on("error", ignore)
      socket.destroy()
    })
  })

const ignore = () => {}

const tcp: Transport = {
  connect: (endpoint) =>
    Effect.acquireRelease(open(endpoint), (socket) =>
      Effect.sync(() => {
        socket.destroy()
      }), { interruptible: true })
}

export const Transport: Context.Reference<Transport> = Context.Reference<Transport>(
  "effect-service-bus/internal/amqp/Transport",
  { defaultValue: () => tcp }
)
