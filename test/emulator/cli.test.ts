/** The command as it is run: a process of its own, dialled as it says, with every flag of its help. */
import {
  ServiceBusAdministrationClient,
  ServiceBusClient as Official,
  type ServiceBusClientOptions
} from "@azure/service-bus"
import { Duration, Effect, Redacted, type Scope } from "effect"
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { X509Certificate } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import { WebSocket } from "ws"
import { version } from "../../src/emulator/CommandLine.ts"
import { selfSigned } from "../../src/emulator/security/Certificate.ts"
import { root } from "../support/codeBlocks.ts"
import { collector, valueIn } from "../support/collector.ts"
import { until } from "../support/harness.ts"
import * as OptionTables from "../support/optionTables.ts"
import { trust } from "../support/trust.ts"
import { assert, describe, it } from "../support/vitest.ts"

const folder = mkdtempSync(join(tmpdir(), "service-bus-command-"))
const certificate = selfSigned()
const files = {
  cert: join(folder, "cert.pem"),
  key: join(folder, "key.pem"),
  written: join(folder, "written.pem"),
  data: join(folder, "data.db")
}
writeFileSync(files.cert, certificate.cert)
writeFileSync(files.key, certificate.key)
trust(certificate.cert)
afterAll(() => rmSync(folder, { recursive: true }))

/** With what a shell would take for more than text. */
const key = "a+key/of=our `own` '$HOME' \"\\"

/** What is served by the tests below. Between them they have every flag of the help. */
const commands = {
  everything: [
    ...["--queue", "orders", "--session-queue", "carts", "--topic", "prices", "--topic", "News"],
    ...["--subscription", "news/all", "--session-subscription", "news/carts"],
    ...["--port", "0", "--tls-port", "0", "--websocket-port", "0", "--host", "0.0.0.0", "--key", key],
    ...["--admin-port", "0", "--https-port", "0", "--rule", "news/red/red=color = 'red'; SET seen = 1"],
    ...["--duplicate-queue", "unique", "--duplicate-topic", "prices", "--duplicate-window", "60"],
    ...["--cert", files.cert, "--cert-key", files.key, "--lock-duration", "150", "--max-delivery-count", "2"]
  ],
  limits: [
    ...["--queue", "orders", "--port", "0", "--tls-port", "0", "--write-cert", files.written],
    ...["--max-connections", "1", "--max-handshakes", "2", "--data", files.data, "--data-sync", "full"],
    ...["--identity", "billing=billing-secret", "--role", "billing=sender@orders"]
  ],
  defaults: ["--topic", "prices", "--port", "0", "--websocket-port", "0"],
  configured: [
    ...["--config", join(root, "examples/emulator-config/main.json"), "--parameter", "stage=test", "--json", "--watch"],
    ...["--clock", "manual", "--namespaces", "any"],
    ...["--port", "0", "--https-port", "0", "--cert", files.cert, "--cert-key", files.key]
  ]
} as const

interface Running {
  readonly child: ChildProcess
  /** Completes when it has printed so, or ended. */
  readonly has: (text: string) => Effect.Effect<void>
  readonly printed: () => string
  readonly complaints: () => string
  /** With what it ended: an exit code, or the signal that nothing of ours took. */
  readonly ended: Effect.Effect<number | NodeJS.Signals>
}

/** It ends by itself once it is stopped; where it is held, only by a signal. */
const run = (
  args: ReadonlyArray<string>,
  options: { readonly isHeld?: boolean; readonly env?: Readonly<Record<string, string>> } = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const hold = options.isHeld === true ? ["--import", "data:text/javascript,setInterval(() => {}, 1e9)"] : []
      const child = spawn(process.execPath, [...hold, "src/emulator/cli.ts", ...args], {
        cwd: root,
        env: { ...process.env, ...options.env },
        stdio: ["ignore", "pipe", "pipe"]
      })
      let stdout = ""
      let stderr = ""
      let end: number | NodeJS.Signals | undefined
      child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
      child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
      child.on("close", (code, signal) => {
        end = code ?? signal!
      })
      const on = <A>(fact: () => A | undefined) =>
        Effect.callback<A>((resume) => {
          const look = () => {
            const found = fact()
            if (found !== undefined) resume(Effect.succeed(found))
          }
          child.stdout.on("data", look)
          child.on("close", look)
          look()
        })
      return {
        child,
        has: (text: string) => Effect.asVoid(on(() => stdout.includes(text) || end !== undefined ? true : undefined)),
        printed: () => stdout,
        complaints: () => stderr,
        ended: on(() => end)
      }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

/** Serves, and gives the connection strings that are printed, by what they are over. */
const serve = (name: keyof typeof commands, options: { readonly isHeld?: boolean } = {}) =>
  Effect.gen(function*() {
    const running = yield* run(["emulator", ...commands[name]], options)
    yield* running.has("SERVICE_BUS_CONNECTION_STR")
    assert.strictEqual(running.complaints(), "")
    const strings = new Map(
      Array.from(
        running.printed().matchAll(/^SERVICE_BUS_CONNECTION_STR=.*?(?: # over (.*))?$/gm),
        (
          [line, over]
        ) => [
          over ?? "TCP",
          spawnSync("sh", ["-c", `${line}\nprintf %s "$SERVICE_BUS_CONNECTION_STR"`], { encoding: "utf8" }).stdout
        ]
      )
    )
    return { ...running, strings }
  })

/** Sends and receives by our client. */
const ours = <A, E>(
  text: string,
  use: Effect.Effect<A, E, ServiceBusClient.ServiceBusClient | Scope.Scope>,
  options: ServiceBusClient.CommonOptions = {}
) =>
  Effect.scoped(use).pipe(
    Effect.provide(
      ServiceBusClient.layerConnectionString(Redacted.make(text), { retry: { maxRetries: 0 }, ...options })
    )
  )

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text, sessions: true })
const AllNews = ServiceBusEntity.subscription(ServiceBusEntity.topic("news", { body: ServiceBusBody.text }), "all")
const CartNews = ServiceBusEntity.subscription(News, "carts", { sessions: true })
const RedNews = ServiceBusEntity.subscription(ServiceBusEntity.topic("news", { body: ServiceBusBody.text }), "red")
const Unique = ServiceBusEntity.queue("unique", { body: ServiceBusBody.text })
const Prices = ServiceBusEntity.topic("prices", { body: ServiceBusBody.text })

const roundTrip = (body: string) =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(Orders)
    yield* sender.send({ body })
    const receiver = yield* ServiceBusReceiver.make(Orders)
    const [message] = yield* receiver.receive()
    yield* receiver.complete(message!)
    return message!.body
  })

const official = (text: string, options: ServiceBusClientOptions = {}) =>
  Effect.acquireUseRelease(
    Effect.sync(() => new Official(text, { retryOptions: { maxRetries: 0 }, ...options })),
    (client) =>
      Effect.promise(async () => {
        await client.createSender("orders").sendMessages({ body: "theirs" })
        const receiver = client.createReceiver("orders")
        const [message] = await receiver.receiveMessages(1)
        await receiver.completeMessage(message!)
        return message!.body as string
      }),
    (client) => Effect.promise(() => client.close())
  )

/** Whether nothing listens on a port any more. */
const refuses = (port: number) =>
  Effect.callback<boolean>((resume) => {
    const socket = net.connect(port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resume(Effect.succeed(false))
    })
    socket.on("error", () => resume(Effect.succeed(true)))
  })

describe("the command", () => {
  it.live("its help names the flags that are tried here, which are those that it takes", () =>
    Effect.gen(function*() {
      const { complaints, ended, printed } = yield* run(["--help"])
      assert.strictEqual(yield* ended, 0)
      assert.strictEqual(complaints(), "")
      const named = new Set(printed().match(/--[\w-]+/g))
      const tried = new Set([
        "--help",
        "--version",
        ...Object.values(commands).flat().filter((arg) => arg.startsWith("--"))
      ])
      assert.deepStrictEqual([...named].toSorted(), [...tried].toSorted())
      assert.deepStrictEqual([...named].toSorted(), [...OptionTables.declared().get("cli")!.keys()].toSorted())
    }))

  it.live("says its version, and that of Node", () =>
    Effect.gen(function*() {
      const { complaints, ended, printed } = yield* run(["--version"])
      assert.strictEqual(yield* ended, 0)
      assert.strictEqual(complaints(), "")
      assert.strictEqual(printed(), `effect-service-bus ${version} on Node ${process.versions.node}\n`)
    }))

  it.live("serves what it is told, and what it prints is dialled by both clients over every transport", () =>
    Effect.gen(function*() {
      const { child, complaints, ended, printed, strings } = yield* serve("everything")
      assert.match(
        printed(),
        /^Listening on 0\.0\.0\.0:\d+ with orders, carts, unique, prices, News, news\/all, news\/carts, news\/red\nListening on 0\.0\.0\.0:\d+ over TLS\n/
      )
      assert.notInclude(printed(), "BEGIN CERTIFICATE", "a certificate that was given is known")
      for (const scheme of ["http", "https"]) {
        const [, port] = new RegExp(`:(\\d+) for administration over ${scheme.toUpperCase()}\n`).exec(printed())!
        const response = yield* Effect.promise(() => fetch(`${scheme}://localhost:${port}/health`))
        assert.strictEqual(response.status, 200)
      }
      assert.include(printed(), "host.docker.internal")
      assert.deepStrictEqual([...strings.keys()], ["TCP", "TLS", "WebSocket and TLS"])
      for (const [over, text] of strings) {
        assert.match(text, /^Endpoint=sb:\/\/localhost:\d+\/;/)
        assert.include(text, `;SharedAccessKey=${key}`)
        const secured = over === "TCP" ? {} : { ca: certificate.cert }
        const isWebSocket = over === "WebSocket and TLS"
        assert.strictEqual(
          yield* ours(
            text,
            roundTrip(over),
            isWebSocket ? { ...secured, transport: "amqpWebSockets" } : secured
          ),
          over
        )
        assert.strictEqual(
          yield* official(text, isWebSocket ? { webSocketOptions: { webSocket: WebSocket as never } } : {}),
          "theirs"
        )
      }
      const left = yield* ours(
        strings.get("TCP")!,
        Effect.gen(function*() {
          const prices = yield* ServiceBusSender.make(Prices)
          yield* prices.send({ body: "no subscription" })
          const news = yield* ServiceBusSender.make(News)
          yield* news.send({ body: "copied", sessionId: "ada" })
          yield* news.send({ body: "red", sessionId: "bob", applicationProperties: { color: "red" } })
          const red = yield* ServiceBusReceiver.make(RedNews)
          const reds = yield* red.receive({ max: 2 })
          assert.deepStrictEqual(reds.map(({ applicationProperties, body }) => [body, applicationProperties["seen"]]), [
            ["red", 1n]
          ])
          const unique = yield* ServiceBusSender.make(Unique)
          for (const body of ["first", "again"]) yield* unique.send({ body, messageId: "1" })
          const uniques = yield* ServiceBusReceiver.make(Unique)
          assert.deepStrictEqual((yield* uniques.peek({ max: 9 })).map(({ body }) => body), ["first"])
          const carts = yield* ServiceBusSender.make(Carts)
          yield* carts.send({ body: "chairs", sessionId: "ada" })
          yield* ServiceBusSession.use(Carts, "ada", (session) => session.receive())
          yield* ServiceBusSession.use(CartNews, "ada", (session) => session.receive())
          const receiver = yield* ServiceBusReceiver.make(AllNews)
          const [first] = yield* receiver.receive()
          const lock = first!.lockedUntil!.epochMilliseconds - Date.now()
          assert.isTrue(lock > 100_000 && lock <= Duration.toMillis("150 seconds"), String(lock))
          yield* receiver.abandon(first!)
          const [second] = yield* receiver.receive()
          yield* receiver.abandon(second!)
          const letters = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(AllNews))
          const [letter] = yield* letters.receive()
          // A client is connected while it is told to stop.
          child.kill("SIGINT")
          return [letter!.body, letter!.deadLetterReason, yield* ended]
        })
      )
      assert.deepStrictEqual(left, ["copied", "MaxDeliveryCountExceeded", 0])
      assert.strictEqual(complaints(), "")
    }))

  it.live("keeps to its limits, and writes the certificate that it signs", () =>
    Effect.gen(function*() {
      const { child, ended, printed, strings } = yield* serve("limits", { isHeld: true })
      assert.include(printed(), `NODE_EXTRA_CA_CERTS=${files.written}`)
      assert.notInclude(printed(), "BEGIN CERTIFICATE")
      const ca = readFileSync(files.written, "utf8")
      const tlsString = strings.get("TLS")!
      const port = Number(/localhost:(\d+)|127\.0\.0\.1:(\d+)/.exec(strings.get("TCP")!)![2])
      const sockets = yield* Effect.acquireRelease(
        Effect.sync(() => [0, 1, 2].map(() => net.connect(port, "127.0.0.1").on("error", () => {}).resume())),
        (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
      )
      yield* Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.on("close", () => resume(Effect.void))
      })
      const left = sockets.filter((socket) => !socket.closed)
      assert.strictEqual(left.length, 2, "handshakes")
      // It was one too many, and not out of time: the others are still heard.
      const heard = yield* Effect.forEach(left, (socket) =>
        Effect.callback<string>((resume) => {
          socket.on("data", () => resume(Effect.succeed("answered"))).on(
            "close",
            () => resume(Effect.succeed("closed"))
          )
          socket.write(Uint8Array.from([...Buffer.from("AMQP"), 3, 1, 0, 0]))
        }))
      assert.deepStrictEqual(heard, ["answered", "answered"])
      for (const socket of sockets) socket.destroy()
      const refused = yield* ours(
        tlsString,
        Effect.gen(function*() {
          assert.strictEqual(yield* roundTrip("only"), "only")
          return yield* Effect.flip(ours(tlsString, ServiceBusReceiver.make(Orders), { ca }))
        }),
        { ca, retry: { maxRetries: 5, delay: 10 } }
      )
      assert.deepInclude(refused, { condition: "amqp:resource-limit-exceeded" })
      // It has stopped, and something else of the process goes on: the second one ends it.
      child.kill("SIGTERM")
      yield* until(refuses(port))
      child.kill("SIGTERM")
      assert.strictEqual(yield* ended, "SIGTERM")
    }))

  it.live("by default listens on loopback with a random key, prints its certificate, and ends by SIGTERM", () =>
    Effect.gen(function*() {
      const { child, ended, printed, strings } = yield* serve("defaults")
      assert.match(printed(), /^Listening on 127\.0\.0\.1:\d+ with prices\n/)
      assert.match(strings.get("TCP")!, /^Endpoint=sb:\/\/127\.0\.0\.1:\d+\/;.*;UseDevelopmentEmulator=true$/)
      assert.match(strings.get("TCP")!, /SharedAccessKey=[\w+/]{43}=/)
      const text = strings.get("WebSocket and TLS")!
      assert.notInclude(text, "UseDevelopmentEmulator")
      const [ca] = /-----BEGIN[^]*CERTIFICATE-----/.exec(printed())!
      assert.strictEqual(new X509Certificate(ca).checkIP("127.0.0.1"), "127.0.0.1")
      yield* ours(text, ServiceBusSender.make(Prices), { ca, transport: "amqpWebSockets" })
      child.kill("SIGTERM")
      assert.strictEqual(yield* ended, 0)
    }))

  it.live("with --json it prints one line, for programs, once its entities are there", () =>
    Effect.gen(function*() {
      const { child, complaints, ended, has, printed } = yield* run(["emulator", ...commands.configured])
      yield* has("\n")
      assert.match(printed(), /^[^\n]+\n$/)
      const ready = JSON.parse(printed())
      assert.hasAllKeys(ready, [
        "connectionString",
        "adminConnectionString",
        "amqpPort",
        "adminPort",
        "httpsPort",
        "certificate"
      ])
      const key = "SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE"
      assert.strictEqual(
        ready.connectionString,
        `Endpoint=sb://127.0.0.1:${ready.amqpPort}/;${key};UseDevelopmentEmulator=true`
      )
      assert.strictEqual(ready.adminConnectionString, `Endpoint=sb://127.0.0.1:${ready.httpsPort}/;${key}`)
      // What is only told of comes after what programs wait for.
      yield* until(Effect.sync(() => complaints().includes("--watch")))
      assert.match(
        complaints(),
        /^effect-service-bus: warning: with --config the key is SAS_KEY_VALUE,[^\n]+\n[^\n]+--watch shows nothing: [^\n]+\n$/
      )
      assert.strictEqual(ready.certificate, certificate.cert)
      for (const [scheme, port] of [["http", ready.adminPort], ["https", ready.httpsPort]]) {
        const response = yield* Effect.promise(() => fetch(`${scheme}://127.0.0.1:${port}/health`))
        assert.strictEqual(response.status, 200)
      }
      const administration = new ServiceBusAdministrationClient(ready.adminConnectionString)
      const orders = yield* Effect.promise(() => administration.getQueue("orders"))
      assert.deepStrictEqual([orders.lockDuration, orders.maxDeliveryCount], ["PT30S", 5])
      assert.strictEqual(yield* ours(ready.connectionString, roundTrip("text")), "text")
      // Its authorization rule signs with the same key, and may not manage.
      const shop = ready.connectionString.replace("RootManageSharedAccessKey", "shop")
      assert.strictEqual(yield* ours(shop, roundTrip("shop")), "shop")
      // A namespace of its own, with the entities of the file.
      const team = ready.connectionString.replace("RootManageSharedAccessKey", "team-a")
      assert.strictEqual(yield* ours(team, roundTrip("team")), "team")
      const advanced = yield* Effect.promise(() =>
        fetch(`http://127.0.0.1:${ready.amqpPort}/clock/advance`, {
          method: "POST",
          headers: {
            authorization: `Basic ${btoa("RootManageSharedAccessKey:SAS_KEY_VALUE")}`,
            "content-type": "application/json"
          },
          body: JSON.stringify({ by: "PT1H" })
        })
      )
      assert.strictEqual(advanced.status, 200, yield* Effect.promise(() => advanced.text()))
      child.kill("SIGTERM")
      assert.strictEqual(yield* ended, 0)
      assert.match(printed(), /^[^\n]+\n$/)
    }))

  it.live("goes on without the port of administration that nobody asked for, where another program has it", () =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(
        // Whoever has it on this machine, it is taken then.
        Effect.callback<net.Server>((resume) => {
          const server = net.createServer()
          server.on("error", () => resume(Effect.succeed(server))).listen(
            5300,
            "127.0.0.1",
            () => resume(Effect.succeed(server))
          )
        }),
        (server) => Effect.sync(() => server.close())
      )
      const port = yield* Effect.callback<number>((resume) => {
        const server = net.createServer().listen(0, "127.0.0.1", () => {
          const { port } = server.address() as net.AddressInfo
          server.close(() => resume(Effect.succeed(port)))
        })
      })
      const { child, complaints, ended, has, printed } = yield* run(["emulator", "--port", String(port), "--json"])
      yield* has("\n")
      assert.match(
        complaints(),
        /^effect-service-bus: warning: port 5300 is not open, since it cannot listen on .*EADDRINUSE.*; administration is answered on port \d+ alone\n$/
      )
      const ready = JSON.parse(printed())
      assert.hasAllKeys(ready, ["connectionString", "adminConnectionString", "amqpPort"])
      assert.strictEqual(ready.adminConnectionString, ready.connectionString)
      const response = yield* Effect.promise(() => fetch(`http://127.0.0.1:${ready.amqpPort}/health`))
      assert.strictEqual(response.status, 200)
      child.kill("SIGINT")
      assert.strictEqual(yield* ended, 0)
      // Who asks for it is told that it cannot be had.
      const asked = yield* run(["emulator", "--port", "0", "--admin-port", "5300"])
      assert.strictEqual(yield* asked.ended, 1)
      assert.match(asked.complaints(), /^effect-service-bus: --admin-port: it cannot listen on .*EADDRINUSE/)
    }))

  it.live("tells where its identities get their tokens", () =>
    Effect.gen(function*() {
      const args = ["emulator", "--port", "0", "--tls-port", "0", "--cert", files.cert, "--cert-key", files.key]
      const running = yield* run([...args, "--identity", "billing=billing-secret", "--json"])
      yield* running.has("\n")
      const ready = JSON.parse(running.printed())
      const { amqpPort, authorityHost, identityEndpoint, tlsPort } = ready
      const [table] = /### For scripts[^]*?A port that is not open/.exec(
        readFileSync(join(root, "docs/emulator.md"), "utf8")
      )!
      for (const member of Object.keys(ready)) assert.include(table, `\`${member}\``)
      assert.strictEqual(authorityHost, `https://127.0.0.1:${tlsPort}`)
      assert.strictEqual(identityEndpoint, `http://127.0.0.1:${amqpPort}/msi/token`)
      const response = yield* Effect.promise(() =>
        fetch(`${identityEndpoint}?api-version=2019-08-01&resource=https://servicebus.azure.net`, {
          headers: { "x-identity-header": "billing-secret" }
        })
      )
      const { access_token, client_id } = (yield* Effect.promise(() => response.json())) as Record<string, string>
      assert.strictEqual(client_id, "billing")
      const administration = yield* Effect.promise(() =>
        fetch(`http://127.0.0.1:${amqpPort}/$Resources/queues`, {
          headers: { authorization: `Bearer ${access_token}` }
        })
      )
      assert.strictEqual(administration.status, 200)
      const text = yield* run([...args, "--identity", "billing=billing-secret"])
      yield* text.has("AZURE_TENANT_ID=adfs")
      assert.match(text.printed(), /^IDENTITY_ENDPOINT=http:\/\/127\.0\.0\.1:\d+\/msi\/token #/m)
      assert.notInclude(running.printed() + running.complaints() + text.printed(), "billing-secret")
    }))

  it.live("takes its variables, and goes on where nobody reads what it prints any more", () =>
    Effect.gen(function*() {
      const { child, ended, has, printed } = yield* run(["emulator", "--port", "0"], {
        env: { EFFECT_SERVICE_BUS_JSON: "true", EFFECT_SERVICE_BUS_QUEUE: "orders", EFFECT_SERVICE_BUS_PORT: "1" }
      })
      yield* has("\n")
      const { connectionString } = JSON.parse(printed())
      child.stdout!.destroy()
      child.stderr!.destroy()
      assert.strictEqual(yield* ours(connectionString, roundTrip("text")), "text")
      child.kill("SIGTERM")
      assert.strictEqual(yield* ended, 0)
    }))

  it.live("sends its metrics to the collector that a variable names, until it is stopped", () =>
    Effect.gen(function*() {
      const { endpoint, exports, has: came } = yield* collector()
      const { child, complaints, ended, has, printed } = yield* run(
        ["emulator", "--queue", "orders", "--port", "0", "--json"],
        {
          env: {
            OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
            OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
            OTEL_EXPORTER_OTLP_HEADERS: "api-key=hush,wrong",
            OTEL_RESOURCE_ATTRIBUTES: "",
            OTEL_SERVICE_NAME: ""
          }
        }
      )
      yield* has("\n")
      yield* came(1)
      const { connectionString } = JSON.parse(printed())
      assert.strictEqual(yield* ours(connectionString, roundTrip("counted")), "counted")
      child.kill("SIGTERM")
      assert.strictEqual(yield* ended, 0)
      // The next one was due after a minute.
      assert.strictEqual(exports.length, 2)
      const settled = { "messaging.destination.name": "orders", "messaging.servicebus.disposition_status": "complete" }
      assert.strictEqual(valueIn(exports[1]!, "servicebus.broker.message.settled", settled), 1)
      assert.strictEqual(exports[1]!.headers["api-key"], "hush")
      assert.strictEqual(
        complaints(),
        "effect-service-bus: warning: OTEL_EXPORTER_OTLP_HEADERS must be NAME=VALUE between commas; the 2. of them is left out\n"
      )
    }))

  it.live("refuses what is wrong in one line, and fails", () =>
    Effect.gen(function*() {
      const busy = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const server = net.createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = busy.address() as net.AddressInfo
      const queue = ["emulator", "--queue", "orders"]
      const secured = [...queue, "--port", "0", "--tls-port", "0"]
      const wrong: ReadonlyArray<
        readonly [args: ReadonlyArray<string>, problem: RegExp, env?: Readonly<Record<string, string>>]
      > = [
        [[], /: give the command "emulator"; see --help/],
        [[...queue, "--nope"], /: Unknown option '--nope'; see --help/],
        [[...queue, "--subscription", "news/"], /: a subscription needs a name/],
        [
          [...secured, "--cert", files.key, "--cert-key", files.cert],
          /: --cert and --cert-key: the certificate and its key are/
        ],
        [[...secured, "--write-cert", join(folder, "no/cert.pem")], /: --write-cert: ".*cert.pem" cannot be written/],
        [
          [...queue, "--port", String(port)],
          /: --port: it cannot listen on 127\.0\.0\.1:\d+ \(.*EADDRINUSE.*; give another port, or 0 for any free one/
        ],
        [
          [...queue, "--port", "0", "--tls-port", String(port)],
          /: --tls-port: it cannot listen on 127\.0\.0\.1:\d+ \(.*EADDRINUSE/
        ],
        [
          [...queue, "--port", "0"],
          /: EFFECT_SERVICE_BUS_HTTPS_PORT: it cannot listen on 127\.0\.0\.1:\d+ \(.*EADDRINUSE/,
          { EFFECT_SERVICE_BUS_HTTPS_PORT: String(port) }
        ]
      ]
      yield* Effect.forEach(wrong, ([args, problem, env = {}]) =>
        Effect.scoped(Effect.gen(function*() {
          const { complaints, ended, printed } = yield* run(args, { env })
          const code = yield* ended
          assert.match(complaints(), problem, args.join(" "))
          assert.match(complaints(), /^effect-service-bus: [^\n]+\n$/, args.join(" "))
          assert.strictEqual(code, 1, args.join(" "))
          assert.strictEqual(printed(), "", args.join(" "))
        })), { concurrency: 2, discard: true })
    }))
})
