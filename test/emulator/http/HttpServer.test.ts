/** HTTP on the broker's ports: beside AMQP on one port, over TLS, on ports of its own, and from peers that mean no good. */
import { Effect, Fiber, type Layer, Redacted } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import * as http from "node:http"
import * as https from "node:https"
import * as net from "node:net"
import * as tls from "node:tls"
import { WebSocket } from "ws"
import * as HttpServer from "../../../src/emulator/http/HttpServer.ts"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import * as SasToken from "../../../src/internal/SasToken.ts"
import { Lines, recorded, texts } from "../../support/eventRecorder.ts"
import { until } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

const serverOf = (options?: Partial<Emulator.ServerOptions>) =>
  Emulator.layerServer({ entities: [Emulator.entity(Letters)], ...options })

const body =
  `<entry xmlns="${AtomXml.atom}"><content type="application/xml"><QueueDescription xmlns="${AtomXml.connect}"/></content></entry>`

interface Answer {
  readonly status: number | undefined
  readonly body: string
  readonly socket: net.Socket | null
}

/** Asks with a token of the root policy. */
const ask = Effect.fnUntraced(function*(
  port: number,
  method: string,
  path: string,
  options: { readonly isSecure?: boolean; readonly body?: string | Buffer; readonly agent?: http.Agent } = {}
) {
  const { certificate, connectionString } = yield* Emulator.Emulator
  const { credential } = yield* ConnectionString.parse(connectionString)
  if (credential._tag !== "SharedKey") return assert.fail("a key was expected")
  const authorization = Redacted.value(
    SasToken.sign({
      resource: "https://localhost/",
      keyName: credential.name,
      key: credential.key,
      expiresAt: 10_000_000_000
    })
  )
  return yield* Effect.callback<Answer>((resume) => {
    const { request } = options.isSecure === true ? https : http
    const made = request(
      {
        host: "127.0.0.1",
        port,
        method,
        path,
        headers: { authorization },
        agent: options.agent ?? false,
        ...(options.isSecure === true ? { ca: certificate, servername: "localhost" } : {})
      },
      (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
        response.on(
          "end",
          () => resume(Effect.succeed({ status: response.statusCode, body: text, socket: made.socket }))
        )
      }
    )
    made.on("error", (error) => resume(Effect.succeed({ status: undefined, body: error.message, socket: null })))
    made.end(options.body)
  })
})

/** A port on which a server serves. */
const portOf = Effect.fnUntraced(function*(server: HttpServer.HttpServer) {
  const listener = net.createServer((socket) => server.serve(socket, () => {}))
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void listener.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => listener.close())
  )
  return (listener.address() as net.AddressInfo).port
})

/** What a peer gets that writes these bytes, until the broker closes. */
const written = (port: number, ...parts: ReadonlyArray<string | Buffer>) =>
  Effect.callback<string>((resume) => {
    const socket = net.connect({ host: "127.0.0.1", port })
    let got = ""
    socket.on("data", (chunk) => got += chunk.toString("latin1"))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(got)))
    const next = (index: number): void => {
      if (index < parts.length) socket.write(parts[index]!, () => next(index + 1))
    }
    socket.on("connect", () => next(0))
    return Effect.sync(() => socket.destroy())
  })

const all = { tlsPort: 0, webSocketPort: 0, httpPort: 0, httpsPort: 0 } as const

describe("a port", () => {
  it.live("answers HTTP beside AMQP, and each of them within TLS where there is a certificate", () =>
    Effect.gen(function*() {
      const { httpPort, httpsPort, port, tlsPort, webSocketPort } = yield* Emulator.Emulator
      const secure = [tlsPort, webSocketPort, httpsPort]
      for (const [index, each] of [port, httpPort, ...secure].entries()) {
        const isSecure = secure.includes(each)
        const created = yield* ask(each, "PUT", `/q${index}`, { isSecure, body })
        assert.strictEqual(created.status, 201)
        assert.include(created.body, `<id>${isSecure ? "https" : "http"}://127.0.0.1:${each}/q${index}</id>`)
      }
      // TLS on a plain port.
      assert.strictEqual((yield* ask(port, "GET", "/q0", { isSecure: true })).status, 200)
      assert.lengthOf((yield* ask(httpPort, "GET", "/$Resources/queues")).body.match(/<entry/g)!, 6)
      for (const transport of ["tcp", "tls", "webSocket"] as const) {
        yield* Effect.flatMap(ServiceBusSender.make(Letters), (sender) => sender.send({ body: transport })).pipe(
          Effect.scoped,
          Effect.provide(Emulator.layerClientOver(transport))
        )
      }
      const emulator = yield* Emulator.Emulator
      assert.lengthOf(yield* emulator.messages(Letters), 3)
    }).pipe(Effect.provide(serverOf(all))))

  it.live("carries AMQP over WebSocket, where it is asked for", () =>
    Effect.gen(function*() {
      const { certificate, httpPort, httpsPort, port, tlsPort, webSocketPort } = yield* Emulator.Emulator
      const first = (url: string) =>
        Effect.callback<string>((resume) => {
          const socket = new WebSocket(`${url}/$servicebus/websocket`, ["AMQPWSB10"], { ca: certificate })
          socket.on("open", () => socket.send(Buffer.from("AMQP\x03\x01\x00\x00", "latin1")))
          socket.on("message", (data: Buffer) => {
            socket.terminate()
            resume(Effect.succeed(data.subarray(0, 4).toString()))
          })
          socket.on("error", (error) => resume(Effect.succeed(error.message)))
        })
      for (const each of [port, httpPort]) assert.strictEqual(yield* first(`ws://localhost:${each}`), "AMQP")
      for (const each of [port, tlsPort, webSocketPort, httpsPort]) {
        assert.strictEqual(yield* first(`wss://localhost:${each}`), "AMQP")
      }
      const probe = yield* written(port, "GET /$servicebus/websocket HTTP/1.1\r\nhost: a\r\n\r\n")
      assert.match(probe, /^HTTP\/1\.1 426 /)
    }).pipe(Effect.provide(serverOf(all))))

  it.live("takes a target that is a whole URL, whose host counts, as Java's client writes it for a WebSocket", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      const end = "connection: close\r\n\r\n"
      const answer = (target: string) => written(port, `GET ${target} HTTP/1.1\r\nhost: a\r\n${end}`)
      assert.match(yield* answer("HTTP://other.example/health"), /^HTTP\/1\.1 200 OK.*healthy/s)
      for (const [target, path] of [["http://other.example?x", "/?x"], ["http://other.example", "/"]] as const) {
        const statusOf = (text: string) => text.split("\r\n", 1)[0]
        assert.strictEqual(statusOf(yield* answer(target)), statusOf(yield* answer(path)))
      }
      const upgraded = (host: string, origin: string) =>
        written(
          port,
          [
            `GET https://${host}/$servicebus/websocket HTTP/1.1`,
            "connection: Upgrade,Keep-Alive",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
            "sec-websocket-protocol: AMQPWSB10",
            "host: page.example",
            `origin: ${origin}\r\n\r\n`
          ].join("\r\n"),
          // A close of the WebSocket.
          Buffer.from([0x88, 0x80, 0, 0, 0, 0])
        )
      assert.match(yield* upgraded("localhost", "https://localhost"), /^HTTP\/1\.1 101 .*AMQPWSB10/s)
      assert.match(yield* upgraded("localhost", "https://page.example"), /^HTTP\/1\.1 403 /)
    }).pipe(Effect.provide(serverOf())))

  it.live("tells what is spoken by the first byte, which may come alone", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      assert.match(
        yield* written(port, "G", "ET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"),
        /^HTTP\/1\.1 200 OK.*healthy/s
      )
      assert.match(yield* written(port, "TRACE / HTTP/1.1\r\n\r\n"), /^AMQP/)
      // There is no certificate.
      assert.match(yield* written(port, Buffer.from([0x16, 3, 1, 0, 1, 0, 0, 0])), /^AMQP/)
      assert.match(yield* written(port, "GET nonsense\r\n\r\n"), /^HTTP\/1\.1 400/)
    }).pipe(Effect.provide(serverOf())))

  it.live("answers many requests on one connection, and cuts it when the broker stops", () =>
    Effect.gen(function*() {
      const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
      const { port, start, stop } = yield* Emulator.Emulator
      const sockets = new Set<net.Socket | null>()
      for (let i = 0; i < 3; i++) {
        const { socket, status } = yield* ask(port, "GET", "/letters", { agent })
        assert.strictEqual(status, 200)
        sockets.add(socket)
      }
      const [socket] = sockets
      assert.strictEqual(sockets.size, 1)
      yield* stop
      assert.isUndefined((yield* ask(port, "GET", "/letters")).status)
      yield* until(Effect.sync(() => socket!.destroyed))
      yield* start
      assert.strictEqual((yield* ask(port, "GET", "/letters")).status, 200)
      agent.destroy()
    }).pipe(Effect.provide(serverOf())))

  it.effect("cuts a peer that says nothing after five seconds", () =>
    Effect.gen(function*() {
      const { certificate, port, tlsPort } = yield* Emulator.Emulator
      const connected = yield* Effect.callback<tls.TLSSocket>((resume) => {
        const socket = tls.connect(
          { host: "127.0.0.1", port: tlsPort, ca: certificate!, servername: "localhost" },
          () => resume(Effect.succeed(socket))
        )
      })
      const silent = yield* Effect.forkChild(written(port))
      const silentWithin = yield* Effect.forkChild(Effect.callback<void>((resume) => {
        connected.resume().on("close", () => resume(Effect.void))
      }))
      // Both have been accepted when a third one has been answered.
      assert.match(yield* written(port, "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"), /200 OK/)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(silent), "")
      yield* Fiber.join(silentWithin)
    }).pipe(Effect.scoped, Effect.provide(serverOf({ tlsPort: 0 }) as Layer.Layer<Emulator.Emulator>)))

  it.live("makes policies of an entity whose keys clients of AMQP sign with", () =>
    Effect.gen(function*() {
      const { connectionString, httpPort } = yield* Emulator.Emulator
      const rule =
        `<AuthorizationRules><AuthorizationRule i:type="SharedAccessAuthorizationRule"><Rights><AccessRights>Send</AccessRights></Rights><KeyName>sender</KeyName><PrimaryKey>a-key</PrimaryKey></AuthorizationRule></AuthorizationRules>`
      yield* ask(httpPort, "PUT", "/signed", {
        body: body.replace("\"/></content>", `" xmlns:i="${AtomXml.instance}">${rule}</QueueDescription></content>`)
      })
      const parsed = yield* ConnectionString.parse(connectionString)
      const client = yield* ServiceBusClient.fromConnectionString(
        { ...parsed, credential: ServiceBusCredential.sharedKey({ name: "sender", key: Redacted.make("a-key") }) },
        { retry: { maxRetries: 0 } }
      )
      const provided = <A, E, R>(effect: Effect.Effect<A, E, R | ServiceBusClient.ServiceBusClient>) =>
        Effect.provideService(effect, ServiceBusClient.ServiceBusClient, client)
      const sender = yield* provided(ServiceBusSender.make("signed"))
      yield* sender.send({ body: new Uint8Array(1) })
      assert.strictEqual(
        (yield* Effect.flip(provided(ServiceBusReceiver.make("signed"))))._tag,
        "ServiceBusAuthorizationError"
      )
      assert.strictEqual(
        (yield* Effect.flip(provided(ServiceBusSender.make("letters"))))._tag,
        "ServiceBusAuthenticationError"
      )
    }).pipe(Effect.scoped, Effect.provide(serverOf({ httpPort: 0 }))))

  it.live("answers a request that asks for HTTP/2 as any other", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      const head = (method: string, target: string) =>
        `${method} ${target} HTTP/1.1\r\nhost: a\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n`
      const last = "GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
      assert.match(yield* written(port, `${head("GET", "/health")}\r\n`, last), /200 OK.*healthy.*200 OK.*healthy/s)
      // Its body comes with the head, and after it.
      const put = yield* written(port, `${head("PUT", "/q")}content-length: 8\r\n\r\n<ent`, "ry/>", last)
      assert.match(put, /^HTTP\/1\.1 401 .*200 OK.*healthy/s)
    }).pipe(Effect.provide(serverOf())))

  it.live("says in its log why it answers 500, and answers the next request", () =>
    Effect.gen(function*() {
      const server = yield* HttpServer.make({
        answer: ({ target }) =>
          target.startsWith("/bad")
            ? Effect.die(new Error("a defect"))
            : Effect.succeed({ status: 200, headers: { connection: "close" }, body: "fine" }),
        limitOf: () => HttpServer.maxBodySize,
        accept: (socket) => socket.destroy()
      })
      const port = yield* portOf(server)
      const got = yield* written(
        port,
        "PUT /bad?sig=secret HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n"
      )
      assert.match(got, /^HTTP\/1\.1 500 .*200 OK.*fine$/s)
      const lines = yield* Lines
      assert.deepStrictEqual(texts(lines), ["Error: A request over HTTP failed (PUT /bad)"])
      assert.strictEqual((lines[0]!.error as Error).message, "a defect")
    }).pipe(Effect.scoped, recorded))

  it.live("bounds heads and bodies", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      const large = Buffer.alloc(1024 * 1024 + 1, "x")
      assert.strictEqual((yield* ask(port, "PUT", "/q", { body: large })).status, 413)
      assert.strictEqual((yield* ask(port, "GET", `/${"q".repeat(40_000)}`)).status, 431)
      assert.strictEqual((yield* ask(port, "GET", "/letters")).status, 200)
    }).pipe(Effect.provide(serverOf())))

  it.live("bounds what it holds of bodies that do not come to their ends, which anybody may send", () =>
    Effect.gen(function*() {
      const server = yield* HttpServer.make({
        answer: ({ body }) =>
          Effect.succeed({ status: 200, headers: { connection: "close" }, body: String(body.length) }),
        limitOf: () => HttpServer.maxBodySize,
        accept: (socket) => socket.destroy(),
        held: 100_000
      })
      const port = yield* portOf(server)
      const head = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 80000\r\n\r\n"
      const part = Buffer.alloc(60_000, "x")
      const silent = yield* Effect.forkChild(written(port, head, part))
      // The first one has come when another one is too much.
      const refused = yield* Effect.repeat(written(port, head, part, Buffer.alloc(20_000, "x")), {
        until: (got) => got.startsWith("HTTP/1.1 503 ")
      })
      assert.match(refused, /retry-after: 1/i)
      assert.match(yield* written(port, head.replace("80000", "3"), "abc"), /200 OK.*3$/s)
      // What is cut is not held any more, nor is what was answered.
      yield* Fiber.interrupt(silent)
      yield* Effect.repeat(written(port, head, part, Buffer.alloc(20_000, "x")), {
        until: (got) => got.startsWith("HTTP/1.1 200 OK")
      })
      for (let i = 0; i < 3; i++) {
        assert.match(yield* written(port, head, Buffer.alloc(80_000, "x")), /200 OK.*80000$/s)
      }
    }).pipe(Effect.scoped))
})
