/**
 * HTTP on sockets that a listener has accepted: requests are read to their end and answered, and a WebSocket that is asked for
 * carries AMQP.
 *
 * It never listens itself, so that one port may speak several protocols. What a peer sends is bounded, in bytes and in time, and
 * so is the number of its sockets.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as http from "node:http"
import type * as net from "node:net"
import { TLSSocket } from "node:tls"
import { WebSocketServer } from "ws"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import * as WebSocket from "../../internal/amqp/transport/WebSocket.ts"
import { cut, type HttpAnswer, type HttpRequest } from "./HttpMessage.ts"
import * as Origin from "./Origin.ts"

/** How a server is made. */
interface Options {
  readonly answer: (request: HttpRequest) => Effect.Effect<HttpAnswer>
  /** How many bytes the body of a request may have, told by its head. */
  readonly limitOf: (head: HttpRequest) => number
  /** How many bytes of bodies are held at a time while they are read; 512 MiB by default. */
  readonly held?: number
  /** Serves AMQP on a WebSocket. */
  readonly accept: (socket: Socket) => void
}

/** Serves HTTP on sockets. */
export interface HttpServer {
  /** Serves a socket, on which nothing has been read; `settled` is called once it has made a request. */
  readonly serve: (socket: net.Socket, settled: () => void) => void
}

/** Milliseconds for the head of a request, for all of it, and between two requests. */
const headersTimeout = 10_000
const requestTimeout = 30_000
const keepAliveTimeout = 120_000

/** Bytes of a head. */
const maxHeaderSize = 32 * 1024

/** Bytes of a body: the largest description of an entity has some 30 KiB. */
export const maxBodySize = 1024 * 1024

/** Bytes of all bodies together that have not come to their ends: anybody may begin one. */
const maxHeld = 512 * 1024 * 1024

/** How many sockets at a time: as many as a namespace takes connections. */
const maxSockets = 5000

/** Makes a server; its sockets are destroyed when the scope closes. */
export const make: (options: Options) => Effect.Effect<HttpServer, never, Scope.Scope> = Effect.fnUntraced(
  function*({ accept, answer, held = maxHeld, limitOf }) {
    /** What is to be called once they have made a request. */
    const sockets = new Map<net.Socket, () => void>()
    const server = http.createServer({
      noDelay: true,
      headersTimeout,
      requestTimeout,
      keepAliveTimeout,
      maxHeaderSize,
      connectionsCheckingInterval: headersTimeout / 4
    })
    const fork = Effect.runForkWith(yield* Effect.context<never>())
    const bodies = new Bodies(held)
    const settle = (socket: net.Socket) => sockets.get(socket)?.()
    server.on("request", (request, response) => {
      settle(request.socket)
      toOriginForm(request)
      if (Origin.isForeign(request.headers)) {
        // Its body is not read.
        response.writeHead(403, { connection: "close", "content-type": "text/plain; charset=utf-8" })
        return void response.end(`${Origin.refusal}\n`)
      }
      if (WebSocket.isPath(request.url ?? "")) {
        // A probe or a browser is told so.
        response.writeHead(426, { connection: "close", upgrade: "websocket", "content-type": "text/plain" })
        return void response.end("AMQP over WebSocket is spoken here.\n")
      }
      bodies.read(request, response, limitOf(requestOf(request, "")), (body) => {
        const answered = Effect.catchCause(answer(requestOf(request, body)), (cause) =>
          Effect.as(
            Effect.logError(`A request over HTTP failed (${request.method} ${pathOf(request)})`, cause),
            { status: 500, headers: {}, body: "" }
          ))
        const fiber = fork(Effect.map(answered, (given) => send(request, response, given)))
        // Nobody waits for an answer any more.
        response.once("close", () => fiber.interruptUnsafe())
      })
    })
    const webSockets = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: 1024 * 1024,
      verifyClient: ({ req }, verified) => verified(!Origin.isForeign(req.headers), 403, Origin.refusal),
      // The one that was asked for: .NET asks for "amqp", the others for "AMQPWSB10".
      handleProtocols: (offered) => [...offered].find((each) => WebSocket.protocols.includes(each)) ?? false
    })
    webSockets.shouldHandle = ({ url }) => WebSocket.isPath(url ?? "")
    webSockets.on("error", () => {})
    server.on("upgrade", (request, socket, head) => {
      if (request.headers.upgrade?.trim().toLowerCase() !== "websocket") {
        socket.unshift(withoutUpgrade(request, head))
        return void server.emit("connection", socket)
      }
      settle(request.socket)
      toOriginForm(request)
      webSockets.handleUpgrade(request, socket, head, (client) => accept(WebSocket.socketOf(client)))
    })
    // A server that does not listen has no time-outs: this starts what looks for requests that do not end.
    server.emit("listening")
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        server.close()
        for (const socket of sockets.keys()) socket.destroy()
      })
    )
    return {
      serve: (socket, settled) => {
        if (sockets.size >= maxSockets) return void socket.destroy()
        sockets.set(socket, settled)
        socket.once("close", () => sockets.delete(socket))
        server.emit("connection", socket)
      }
    }
  }
)

/**
 * Makes a path of a target that is a whole URL, whose host counts in place of the header's: a server has to take both (RFC 9112,
 * section 3.2.2). Java's client asks for its WebSocket by a URL, as every client does that takes the server for a proxy.
 */
const toOriginForm = (request: http.IncomingMessage): void => {
  const [, host, path] = /^https?:\/\/([^/?#]*)(.*)$/i.exec(request.url ?? "") ?? []
  if (host === undefined || path === undefined) return
  request.url = path.startsWith("/") ? path : `/${path}`
  request.headers.host = host
}

/**
 * A request as it came, without an upgrade that is not taken: it is answered as any other (RFC 9110, section 7.8). The HTTP
 * client of Java's library, and curl, ask for HTTP/2 in this way on a plain port.
 */
const withoutUpgrade = (
  { httpVersion, method, rawHeaders, url }: http.IncomingMessage,
  head: Buffer
): Buffer => {
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]!
    if (!/^(upgrade|http2-settings)$/i.test(name)) text += `${name}: ${rawHeaders[index + 1]}\r\n`
  }
  return Buffer.concat([Buffer.from(`${text}\r\n`, "latin1"), head])
}

/** What a request is for, without its query, and not all of what is too long for a line of a log. */
const pathOf = ({ url = "" }: http.IncomingMessage): string => url.split("?")[0]!.slice(0, 256)

/** Reads bodies to their ends, unless one is too large, or all of them together are. */
class Bodies {
  /** Bytes that are held at most, and now. */
  private readonly most: number
  private held = 0

  constructor(most: number) {
    this.most = most
  }

  read(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    limit: number,
    then: (body: string) => void
  ): void {
    const chunks: Array<Buffer> = []
    let size = 0
    const release = () => {
      this.held -= size
      size = 0
      chunks.length = 0
    }
    const refuse = (status: number, headers: http.OutgoingHttpHeaders) => {
      // What is still to come is not read.
      request.pause()
      release()
      response.writeHead(status, { connection: "close", "content-length": "0", ...headers })
        .end(() => request.socket.destroy())
    }
    request.on("data", (chunk: Buffer) => {
      if (response.headersSent) return
      size += chunk.length
      this.held += chunk.length
      chunks.push(chunk)
      if (size > limit) refuse(413, {})
      else if (this.held > this.most) refuse(503, { "retry-after": "1" })
    })
    request.on("end", () => {
      if (response.headersSent) return
      const body = Buffer.concat(chunks).toString("utf8")
      release()
      then(body)
    })
    // It may end before its body does.
    request.on("close", release)
    request.on("error", () => {})
  }
}

const requestOf = ({ headers, method, socket, url }: http.IncomingMessage, body: string): HttpRequest => ({
  method: method ?? "GET",
  target: url ?? "/",
  headers: Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(", ") : value])
  ),
  body,
  isSecure: socket instanceof TLSSocket
})

const send = (request: http.IncomingMessage, response: http.ServerResponse, answer: HttpAnswer) => {
  if (answer === cut) return void request.socket.destroy()
  const { body, headers, status } = answer
  response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(body)) })
  response.end(request.method === "HEAD" ? "" : body)
}
