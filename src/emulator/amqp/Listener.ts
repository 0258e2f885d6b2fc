/**
 * Ports of the broker. Each speaks AMQP, HTTP and WebSocket, told apart by the first byte that a client sends; a port for TLS
 * speaks them within TLS, and a plain one takes TLS too where there is a certificate. A listener can be closed and opened
 * again, on the port that it had.
 *
 * The listener owns its sockets until they are served: what is in a handshake counts in the admission, and the end of the
 * listener cuts all of its sockets.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import * as tls from "node:tls"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import { EmulatorError } from "../../ServiceBusError.ts"
import type { DeadlineTimer } from "../broker/DeadlineTimer.ts"
import type { Certificate } from "../security/Certificate.ts"
import type { Admission, Admitted } from "./Admission.ts"
import { type Timeout, timeout } from "./Timeout.ts"

/** How a port is opened. */
interface Options {
  readonly host: string
  readonly port: number
  /** Whether everything on it is within TLS, for which there is a certificate. */
  readonly isSecure: boolean
  readonly certificate?: Certificate | undefined
  /** Serves AMQP. */
  readonly accept: (socket: Socket) => void
  /** Serves HTTP; `settled` is to be called once the socket has made a request. */
  readonly serve: (socket: net.Socket, settled: () => void) => void
  readonly admission: Admission
  readonly clock: Clock.Clock
  readonly deadlines: DeadlineTimer<Timeout>
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
    const accept = acceptor(options)
    const server = net.createServer({ noDelay: true }, (socket) => {
      // What serves the socket destroys it; an error of it after that has no other listener.
      socket.on("error", () => {})
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
      accept(socket)
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

/** How long TLS may take, in milliseconds, and then the first byte. */
const tlsTimeout = 10_000
const silenceTimeout = 5_000

/** The first byte of TLS (RFC 8446, content type handshake). */
const tlsHandshake = 0x16

/** The first letters of the methods GET, PUT, POST, PATCH, DELETE, HEAD and OPTIONS. */
const methods = Buffer.from("GPDHO")

/** What serves the sockets of a port. */
const acceptor = (options: Options): (socket: net.Socket) => void => {
  /** Sockets that are in a handshake, by the address of the peer: the socket that TLS makes is another one. */
  const handshakes = new Map<string, Admitted>()
  const settle = (key: string) => {
    handshakes.get(key)?.end()
    handshakes.delete(key)
  }
  const speak = (socket: net.Socket, byte: number, key: string): void => {
    if (methods.includes(byte)) return options.serve(socket, () => settle(key))
    // What is no AMQP either is answered as AMQP says. It counts there from now.
    settle(key)
    options.accept(socket)
  }
  const secure = options.certificate === undefined ? undefined : tls.createServer(
    { ...options.certificate, handshakeTimeout: tlsTimeout },
    (socket) => {
      socket.on("error", () => {})
      onFirstByte(options, socket, (byte) => speak(socket, byte, keyOf(socket)))
    }
  )
  // A handshake that fails or takes too long concerns the client alone; Node would keep its socket.
  secure?.on("tlsClientError", (_, socket) => {
    socket.destroy()
  })
  return (socket) => {
    const admitted = options.admission.begin()
    if (admitted === undefined) return void socket.destroy()
    const key = keyOf(socket)
    handshakes.set(key, admitted)
    // A closed socket no longer knows the address of its peer.
    socket.on("close", () => {
      admitted.end()
      if (handshakes.get(key) === admitted) handshakes.delete(key)
    })
    if (options.isSecure) secure!.emit("connection", socket)
    else {
      onFirstByte(options, socket, (byte) => {
        if (byte === tlsHandshake && secure !== undefined) secure.emit("connection", socket)
        else speak(socket, byte, key)
      })
    }
  }
}

const keyOf = ({ remoteAddress, remotePort }: net.Socket): string => `${remoteAddress} ${remotePort}`

/** Looks at the first byte of a socket, and leaves it there; a socket that sends none in time is destroyed. */
const onFirstByte = ({ clock, deadlines }: Options, socket: net.Socket, then: (byte: number) => void): void => {
  const silence = timeout(() => void socket.destroy())
  deadlines.set(silence, clock.currentTimeMillisUnsafe() + silenceTimeout)
  const end = () => deadlines.clear(silence)
  socket.once("close", end)
  socket.once("readable", () => {
    end()
    const chunk = socket.read() as Buffer | null
    if (chunk === null) return void socket.destroy()
    socket.unshift(chunk)
    then(chunk[0]!)
  })
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
