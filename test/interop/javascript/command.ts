/**
 * The published command with @azure/service-bus: each check starts it, reads its line, and controls it over HTTP by `fetch`.
 */
import { ClientSecretCredential } from "@azure/identity"
import {
  ServiceBusAdministrationClient,
  ServiceBusClient,
  type ServiceBusClientOptions,
  type ServiceBusMessage,
  type ServiceBusReceiver
} from "@azure/service-bus"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import * as tls from "node:tls"
import { WebSocket } from "ws"
import type { Start } from "../command.ts"
import { bodies, one, receive, rejects } from "./checklist.ts"

/** What the command prints when it is ready. */
interface Ready {
  readonly connectionString: string
  readonly adminConnectionString: string
  readonly amqpPort: number
  readonly adminPort: number
  readonly httpsPort?: number
  readonly tlsPort?: number
  readonly webSocketPort?: number
  readonly certificate?: string
}

const partsOf = (connection: string) =>
  Object.fromEntries(
    connection.split(";").filter((part) => part !== "").map((part) => {
      const at = part.indexOf("=")
      return [part.slice(0, at), part.slice(at + 1)]
    })
  )

/** A connection string with other parts; what is undefined is not there. */
const connectionOf = (connection: string, parts: Record<string, string | undefined>) =>
  Object.entries({ ...partsOf(connection), ...parts })
    .flatMap(([name, value]) => value === undefined ? [] : [`${name}=${value}`]).join(";")

/** The command, while a check runs. */
class Broker {
  readonly ready: Ready
  readonly process: ChildProcess
  readonly lines: ReadonlyArray<string>
  /** Its exit code and signal, once it has ended. */
  readonly ended: Promise<ReadonlyArray<unknown>>
  readonly #clients: Array<ServiceBusClient> = []
  readonly #flags: ReadonlyArray<string>

  private constructor(
    flags: ReadonlyArray<string>,
    process: ChildProcess,
    lines: ReadonlyArray<string>,
    ended: Promise<ReadonlyArray<unknown>>
  ) {
    this.#flags = flags
    this.process = process
    this.lines = lines
    this.ended = ended
    this.ready = JSON.parse(lines[0]!)
  }

  static async start({ arguments: flags, variables }: Start): Promise<Broker> {
    const child = spawn("effect-service-bus", ["emulator", ...flags], {
      env: { ...process.env, ...variables },
      stdio: ["ignore", "pipe", "pipe"]
    })
    let said = ""
    child.stderr.setEncoding("utf8").on("data", (text) => said += text)
    const lines: Array<string> = []
    const output = createInterface(child.stdout)
    output.on("line", (line) => lines.push(line))
    const ended = once(child, "close")
    await Promise.race([once(output, "line"), ended])
    if (lines.length === 0) throw new Error(`the command did not start: ${said}`)
    const broker = new Broker(flags, child, lines, ended)
    // The clients have no option for an authority: they trust what the process trusts.
    const { certificate } = broker.ready
    if (certificate !== undefined) tls.setDefaultCACertificates([...tls.getCACertificates("default"), certificate])
    return broker
  }

  /** Another one, started as this one was. */
  again(): Promise<Broker> {
    return Broker.start({ arguments: this.#flags })
  }

  client(connection = this.ready.connectionString, options: ServiceBusClientOptions = {}) {
    const retryOptions = { maxRetries: 5, retryDelayInMs: 100, timeoutInMs: 8000 }
    return this.closing(new ServiceBusClient(connection, { retryOptions, ...options }))
  }

  /** A client that is closed with the check. */
  closing(client: ServiceBusClient) {
    this.#clients.push(client)
    return client
  }

  /** What it was started with. */
  flag(name: string): string {
    return this.#flags[this.#flags.indexOf(name) + 1]!
  }

  /** A client over TLS, at a port of its own. */
  secure(port: number | undefined, options: ServiceBusClientOptions = {}) {
    ok(port !== undefined, "the port is not in the line")
    const connection = connectionOf(this.ready.connectionString, {
      Endpoint: "sb://localhost/",
      UseDevelopmentEmulator: undefined
    })
    return this.client(connection, { customEndpointAddress: `sb://localhost:${port}`, ...options })
  }

  administration() {
    return new ServiceBusAdministrationClient(this.ready.adminConnectionString)
  }

  /** A request of the control API, and what its JSON says. */
  async http(method: string, path: string, body?: unknown, connection = this.ready.connectionString): Promise<any> {
    const { SharedAccessKey, SharedAccessKeyName } = partsOf(connection)
    const response = await fetch(`http://127.0.0.1:${this.ready.adminPort}${path}`, {
      method,
      headers: { authorization: `Basic ${btoa(`${SharedAccessKeyName}:${SharedAccessKey}`)}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) })
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === "" ? undefined : JSON.parse(text)
  }

  async close() {
    // A client that waits for its broker is not waited for.
    for (const client of this.#clients) void client.close().catch(() => {})
    this.process.kill("SIGKILL")
    await this.ended
  }
}

const send = async (client: ServiceBusClient, name: string, ...messages: ReadonlyArray<ServiceBusMessage>) => {
  const sender = client.createSender(name)
  for (const message of messages) await sender.sendMessages(message)
  await sender.close()
}

const withoutRenewal = { maxAutoLockRenewalDurationInMs: 0 } as const

/** Receives what there must be, and completes it. */
const take = async (receiver: ServiceBusReceiver, ...expected: ReadonlyArray<unknown>) => {
  const messages = await receive(receiver, expected.length)
  deepStrictEqual(bodies(messages), expected)
  for (const message of messages) await receiver.completeMessage(message)
  await receiver.close()
  return messages
}

const roundTrip = async (client: ServiceBusClient, name: string) => {
  await send(client, name, { body: "one" }, { body: { total: 9.5 } })
  await take(client.createReceiver(name, withoutRenewal), "one", { total: 9.5 })
}

/** What an HTTP request is refused with. */
const status = async (url: string) => (await fetch(url)).status

const checks: Record<string, (broker: Broker) => Promise<void>> = {
  "command-plain": async (broker) => {
    deepStrictEqual(Object.keys(broker.ready).toSorted(), [
      "adminConnectionString",
      "adminPort",
      "amqpPort",
      "connectionString"
    ])
    await roundTrip(broker.client(), "orders")
  },

  "command-tls": (broker) => roundTrip(broker.secure(broker.ready.tlsPort), "orders"),

  "command-web-socket": (broker) =>
    roundTrip(
      broker.secure(broker.ready.webSocketPort, { webSocketOptions: { webSocket: WebSocket as never } }),
      "orders"
    ),

  "command-identity": async (broker) => {
    const { certificate, connectionString, httpsPort, tlsPort } = broker.ready
    ok(certificate !== undefined, "there is no certificate")
    strictEqual(partsOf(connectionString)["SharedAccessKey"], "of-the-root")
    const clientOf = (clientId: string) =>
      broker.closing(
        new ServiceBusClient(
          "contoso.servicebus.windows.net",
          new ClientSecretCredential("11111111-1111-1111-1111-111111111111", clientId, `${clientId}-secret`, {
            authorityHost: `https://localhost:${httpsPort}`,
            disableInstanceDiscovery: true
          }),
          { customEndpointAddress: `sb://localhost:${tlsPort}`, retryOptions: { maxRetries: 0, timeoutInMs: 8000 } }
        )
      )
    const shop = clientOf("shop")
    await send(shop, "orders", { body: "of the shop" })
    await rejects("receiving", "UnauthorizedAccess", () => shop.createReceiver("orders").receiveMessages(1))
    await take(clientOf("billing").createReceiver("orders", withoutRenewal), "of the shop")
  },

  "command-administration": async (broker) => {
    strictEqual(readFileSync(broker.flag("--write-cert"), "utf8"), broker.ready.certificate)
    const administration = broker.administration()
    await administration.createQueue("made", { lockDuration: "PT45S" })
    strictEqual((await administration.getQueue("made")).lockDuration, "PT45S")
    await roundTrip(broker.client(), "made")
    await administration.deleteQueue("orders")
    deepStrictEqual([await administration.queueExists("made"), await administration.queueExists("orders")], [
      true,
      false
    ])
  },

  "command-health": async (broker) => {
    const at = `http://127.0.0.1:${broker.ready.adminPort}`
    strictEqual(await status(`${at}/health`), 200)
    strictEqual(await status(`${at}/messages?entity=orders`), 401)
    const { openapi } = await broker.http("GET", "/openapi.json")
    ok(openapi.startsWith("3.1"), openapi)
    await roundTrip(broker.client(), "orders")
  },

  "command-stop": async (broker) => {
    const client = broker.client()
    await send(client, "orders", { body: "locked" }, { body: "waiting" })
    await one(client.createReceiver("orders", withoutRenewal))
    broker.process.kill("SIGTERM")
    const [code, signal] = await broker.ended
    deepStrictEqual([code, signal, broker.lines.length], [0, null, 1])
  },

  "command-entities": async (broker) => {
    const client = broker.client()
    await send(
      client,
      "news",
      { body: "cup", applicationProperties: { round: "final" }, sessionId: "s" },
      { body: "more", sessionId: "s" }
    )
    await take(client.createReceiver("news", "all", withoutRenewal), "cup", "more")
    const [cup] = await take(client.createReceiver("news", "finals", withoutRenewal), "cup")
    strictEqual(cup!.applicationProperties!["priority"], 1)
    await take(await client.acceptSession("news", "keyed", "s", withoutRenewal), "cup", "more")
    await send(client, "carts", { body: "cart", sessionId: "of-ada" })
    await take(await client.acceptNextSession("carts", withoutRenewal), "cart")
    await send(client, "empty", { body: "nobody takes it" })
    for (const [name, receiver] of [["once", ["once"]], ["unique", ["unique", "all"]]] as const) {
      const message = { body: name, messageId: "the same" }
      await send(client, name, message, message, { body: "last" })
      const [queue, subscription] = receiver
      await take(
        subscription === undefined
          ? client.createReceiver(queue, withoutRenewal)
          : client.createReceiver(queue, subscription, withoutRenewal),
        name,
        "last"
      )
    }
    await send(client, "orders", { body: "bad" })
    const orders = client.createReceiver("orders", withoutRenewal)
    for (let time = 0; time < 2; time++) await orders.abandonMessage(await one(orders))
    const letter = await one(client.createReceiver("orders", { subQueueType: "deadLetter" }))
    strictEqual(letter.deadLetterReason, "MaxDeliveryCountExceeded")
  },

  "command-variables": async (broker) => {
    strictEqual(partsOf(broker.ready.connectionString)["SharedAccessKey"], "of-a-container")
    const client = broker.client()
    await roundTrip(client, "orders")
    await roundTrip(client, "carts")
    await send(client, "news", { body: "third", applicationProperties: { round: "third" } }, { body: "none" })
    await take(client.createReceiver("news", "finals", withoutRenewal), "third")
    await take(client.createReceiver("news", "rest", withoutRenewal), "none")
  },

  "command-config": async (broker) => {
    strictEqual(partsOf(broker.ready.connectionString)["SharedAccessKey"], "SAS_KEY_VALUE")
    const client = broker.client()
    await send(
      client,
      "news",
      { body: "english", subject: "sport", applicationProperties: { language: "en" } },
      { body: "final", subject: "cup", applicationProperties: { round: "final" } },
      { body: "rumour", subject: "rumour", applicationProperties: { round: "final" } }
    )
    const [, final] = await take(client.createReceiver("news", "sport", withoutRenewal), "english", "final")
    strictEqual(final!.applicationProperties!["priority"], 1)
    await take(client.createReceiver("news", "archive", withoutRenewal), "english", "final", "rumour")
    await send(client, "carts", { body: "cart", sessionId: "of-ada" })
    await take(await client.acceptNextSession("carts", withoutRenewal), "cart")
    await send(client, "orders", { body: "bad" })
    const orders = client.createReceiver("orders", withoutRenewal)
    await orders.deadLetterMessage(await one(orders))
    await take(client.createReceiver("failed", withoutRenewal), "bad")
  },

  "command-template": async (broker) => {
    const client = broker.client(
      connectionOf(broker.ready.connectionString, { SharedAccessKeyName: "shop", SharedAccessKey: "SAS_KEY_VALUE" })
    )
    await send(client, "news", { body: "goal", subject: "sport" }, { body: "rain", subject: "weather" })
    await take(client.createReceiver("news", "sport", withoutRenewal), "goal")
    await take(client.createReceiver("news", "archive", withoutRenewal), "goal", "rain")
    await roundTrip(client, "orders")
    await send(client, "orders", { body: "bad" })
    const orders = client.createReceiver("orders", withoutRenewal)
    await orders.deadLetterMessage(await one(orders))
    await take(client.createReceiver("failed", withoutRenewal), "bad")
  },

  "command-namespaces": async (broker) => {
    const names = ["team-a", "team-b"]
    await Promise.all(names.map(async (name) => {
      const client = broker.client(connectionOf(broker.ready.connectionString, { SharedAccessKeyName: name }))
      await send(client, "orders", { body: name }, { body: `${name}, too` })
      await take(client.createReceiver("orders", withoutRenewal), name, `${name}, too`)
      await send(client, "orders", { body: `left in ${name}` })
      await client.close()
    }))
    const left = (name: string) =>
      broker.http(
        "GET",
        "/messages?entity=orders",
        undefined,
        connectionOf(broker.ready.connectionString, { SharedAccessKeyName: name })
      )
    deepStrictEqual((await left("team-b")).map(({ body }: { readonly body: unknown }) => body), [
      { text: "\"left in team-b\"" }
    ])
    const there = async () =>
      (await broker.http("GET", "/namespaces")).map(({ name }: { readonly name: string }) => name).toSorted()
    deepStrictEqual(await there(), ["default", ...names])
    await broker.http("DELETE", "/namespaces/team-a")
    deepStrictEqual(await there(), ["default", "team-b"])
    // It comes again, empty.
    deepStrictEqual(await left("team-a"), [])
  },

  "command-namespace-made": async (broker) => {
    const { connectionString } = await broker.http("POST", "/namespaces", {
      name: "own",
      entities: [{ kind: "queue", name: "carts" }]
    })
    const { SharedAccessKey } = partsOf(broker.ready.connectionString)
    ok(partsOf(connectionString)["SharedAccessKey"] !== SharedAccessKey, "its key is that of the broker")
    await roundTrip(broker.client(connectionString), "carts")
    const retryOptions = { maxRetries: 0, timeoutInMs: 8000 }
    const stranger = broker.client(connectionOf(connectionString, { SharedAccessKey }), { retryOptions })
    await rejects("another key", "UnauthorizedAccess", () => send(stranger, "carts", { body: "x" }))
  },

  "command-data": async (broker) => {
    await send(broker.client(), "orders", { body: "taken" }, { body: "locked" }, { body: "waiting" })
    await take(broker.client().createReceiver("orders", withoutRenewal), "taken")
    await one(broker.client().createReceiver("orders", withoutRenewal))
    broker.process.kill("SIGKILL")
    await broker.ended
    const again = await broker.again()
    try {
      strictEqual(again.ready.connectionString.split(";")[2], broker.ready.connectionString.split(";")[2])
      const left = await take(again.client().createReceiver("orders", withoutRenewal), "locked", "waiting")
      deepStrictEqual(left.map(({ deliveryCount }) => deliveryCount), [1, 0])
    } finally {
      await again.close()
    }
  },

  "command-clock-lock": async (broker) => {
    const client = broker.client()
    await send(client, "orders", { body: "x" })
    const receiver = client.createReceiver("orders", withoutRenewal)
    const message = await one(receiver)
    const before = await broker.http("GET", "/clock")
    const after = await broker.http("POST", "/clock/advance", { by: "PT31S" })
    strictEqual(Date.parse(after.now) - Date.parse(before.now), 31_000)
    await rejects("completing", "MessageLockLost", () => receiver.completeMessage(message))
    strictEqual((await one(receiver)).deliveryCount, 1)
  },

  "command-clock-schedule": async (broker) => {
    const client = broker.client()
    const { now } = await broker.http("GET", "/clock")
    await client.createSender("orders").scheduleMessages({ body: "later" }, new Date(Date.parse(now) + 3_600_000))
    const waiting = async () =>
      (await broker.http("GET", "/messages?entity=orders"))
        .map(({ body, state }: { readonly body: unknown; readonly state: unknown }) => [body, state])
    await broker.http("POST", "/clock/advance", { by: "59 minutes" })
    deepStrictEqual(await waiting(), [[{ text: "\"later\"" }, "scheduled"]])
    await broker.http("POST", "/clock/advance", { by: 60_000 })
    await take(client.createReceiver("orders", withoutRenewal), "later")
  },

  "command-clock-expiry": async (broker) => {
    await broker.administration().createQueue("short", { deadLetteringOnMessageExpiration: true })
    const client = broker.client()
    await send(client, "short", { body: "old", timeToLive: 60_000 })
    await broker.http("POST", "/clock/advance", { by: "61 seconds" })
    const letter = await one(client.createReceiver("short", { subQueueType: "deadLetter" }))
    deepStrictEqual([letter.body, letter.deadLetterReason], ["old", "TTLExpiredException"])
  },

  "command-messages": async (broker) => {
    const { sequenceNumbers } = await broker.http("POST", "/messages?entity=orders", [
      { messageId: "1", body: { json: { total: 9.5 } }, contentType: "application/json", subject: "new" },
      { body: "\"text\"", applicationProperties: { large: { $long: "1099511627776" }, yes: true } }
    ])
    deepStrictEqual(sequenceNumbers, ["1", "2"])
    const client = broker.client()
    const [first, second] = await take(
      client.createReceiver("orders", withoutRenewal),
      { total: 9.5 },
      "text"
    )
    deepStrictEqual([first!.messageId, first!.subject, first!.contentType], ["1", "new", "application/json"])
    deepStrictEqual(second!.applicationProperties, { large: 2 ** 40, yes: true })
    await send(client, "orders", {
      body: { total: 3 },
      messageId: "3",
      contentType: "application/json",
      applicationProperties: { text: "täxt" }
    })
    const [seen] = await broker.http("GET", "/messages?entity=orders&from=3&max=1")
    deepStrictEqual(
      [seen.messageId, seen.body, seen.applicationProperties, seen.state, seen.sequenceNumber],
      ["3", { json: { total: 3 } }, { text: "täxt" }, "active", "3"]
    )
  },

  "command-browse": async (broker) => {
    const client = broker.client()
    for (const body of ["one", "two", "three", "four"]) await send(client, "orders", { body })
    const { entities, version } = await broker.http("GET", "/entities")
    deepStrictEqual(
      entities.map(({ active, path }: any) => [path, active]),
      [["orders", 4], ["carts", 0], ["news", 0], ["news/Subscriptions/sport", 0]]
    )
    strictEqual((await broker.http("GET", "/samples?entity=orders")).isKept, true)
    const { counters, entity } = await broker.http("GET", "/settings?entity=orders")
    deepStrictEqual([entity.kind, entity.name, counters.enqueued], ["queue", "orders", 4])
    const { hasEarlier, messages } = await broker.http("GET", "/messages/page?entity=orders&before=4&max=2")
    deepStrictEqual([messages.map(({ sequenceNumber }: any) => sequenceNumber), hasEarlier], [["2", "3"], true])
    const done = async (path: string, payload: object, of = "orders") => {
      const { outcomes } = await broker.http("POST", `${path}?entity=${of}`, payload)
      return outcomes.map(({ isDone }: any) => isDone)
    }
    deepStrictEqual(await done("/messages/dead-letter", { sequenceNumbers: ["1", "2"], reason: "Bad" }), [true, true])
    deepStrictEqual(await done("/messages/delete", { sequenceNumbers: ["3", "3"] }), [true, false])
    deepStrictEqual(await done("/messages/defer", { sequenceNumbers: ["4"] }), [true])
    const dead = client.createReceiver("orders", { subQueueType: "deadLetter", ...withoutRenewal })
    strictEqual((await dead.peekMessages(2))[0]!.deadLetterReason, "Bad")
    const repaired = {
      messages: [{ sequenceNumber: "1", message: { body: { json: "mended" } } }, { sequenceNumber: "2" }]
    }
    deepStrictEqual(await done("/messages/resend", repaired, "orders/$DeadLetterQueue"), [true, true])
    await take(client.createReceiver("orders", withoutRenewal), "mended", "two")
    deepStrictEqual(await broker.http("POST", "/messages/purge?entity=orders", { state: "deferred" }), { messages: 1 })
    await client.createSender("carts").sendMessages({ body: "one", sessionId: "s" })
    const session = await client.acceptSession("carts", "s")
    await session.setSessionState({ step: 1 })
    const links = (await broker.http("GET", "/connections")).flatMap(({ links }: any) => links)
    deepStrictEqual(
      links.filter(({ session }: any) => session === "s").map(({ address, role }: any) => [address, role]),
      [["carts", "receiver"]]
    )
    const [cart] = await broker.http("GET", "/sessions?entity=carts")
    deepStrictEqual([cart.sessionId, cart.messages, cart.state], ["s", 1, { json: { step: 1 } }])
    await session.close()
    const sport = "news/Subscriptions/sport"
    const rule = { name: "finals", filter: { sql: "round = 'final'" } }
    for (const round of ["third", "final"]) {
      await send(client, "news", { body: round, applicationProperties: { round } })
    }
    const tried = await broker.http("POST", `/rules/try?entity=${sport}`, rule)
    deepStrictEqual([tried.tried, tried.matched.map(({ message }: any) => message.preview)], [2, ["\"final\""]])
    await broker.http("POST", `/rules?entity=${sport}`, rule)
    await broker.http("DELETE", `/rules?entity=${sport}&name=$Default`)
    deepStrictEqual(await broker.http("GET", `/rules?entity=${sport}`), [rule])
    const changed = await broker.http("GET", `/entities?since=${version}`)
    deepStrictEqual(
      changed.entities.map(({ active, path }: any) => [path, active]),
      [["orders", 0], ["carts", 1], ["news", 0], ["news/Subscriptions/sport", 2]]
    )
  },

  "command-scheduled": async (broker) => {
    const client = broker.client()
    const numbers = await client.createSender("orders").scheduleMessages(
      [{ body: "first" }, { body: "second" }],
      new Date(Date.now() + 3_600_000)
    )
    const scheduled = () => broker.http("GET", "/scheduled?entity=orders")
    deepStrictEqual((await scheduled()).map((m: any) => m.sequenceNumber), numbers.map(String))
    await broker.http("POST", "/scheduled/reschedule?entity=orders", {
      to: "2100-01-01T00:00:00.000Z",
      sequenceNumbers: [String(numbers[0])]
    })
    strictEqual((await scheduled())[0].scheduledEnqueueTime, "2100-01-01T00:00:00.000Z")
    deepStrictEqual(await broker.http("POST", "/scheduled/deliver?entity=orders", {}), { messages: 2 })
    // In the order of their times.
    await take(client.createReceiver("orders", withoutRenewal), "second", "first")
  },

  "command-state": async (broker) => {
    const client = broker.client()
    await send(client, "orders", { body: "kept", applicationProperties: { number: 5 } })
    await send(client, "carts", { body: "emptied" })
    const dump = await broker.http("GET", "/dump?entity=orders")
    deepStrictEqual(await broker.http("POST", "/reset?entity=carts"), { messages: 1 })
    await broker.http("POST", "/reset")
    deepStrictEqual(await broker.http("GET", "/messages?entity=orders"), [])
    await broker.http("POST", "/load", dump)
    await broker.http("POST", "/load", {
      entities: [{ kind: "queue", name: "fixture", messages: [{ body: "one" }], deadLetters: [{ body: "dead" }] }]
    })
    const [kept] = await take(client.createReceiver("orders", withoutRenewal), "kept")
    deepStrictEqual(kept!.applicationProperties, { number: 5 })
    const dead = client.createReceiver("fixture", { subQueueType: "deadLetter", ...withoutRenewal })
    deepStrictEqual((await receive(client.createReceiver("fixture", withoutRenewal), 1)).map(textOf), ["one"])
    deepStrictEqual((await receive(dead, 1)).map(textOf), ["dead"])
  },

  "command-fault-busy": async (broker) => {
    const { id } = await broker.http("POST", "/faults", {
      operation: "send",
      entity: "orders",
      error: { condition: "com.microsoft:server-busy" }
    })
    const client = broker.client()
    await send(client, "orders", { body: "in the end" })
    const [fault] = await broker.http("GET", "/faults")
    deepStrictEqual([fault.id, fault.hits, fault.isSpent], [id, 1, true])
    await take(client.createReceiver("orders", withoutRenewal), "in the end")
  },

  "command-fault-cut": async (broker) => {
    // A send that lost its connection is tried again once its time is up.
    const retryOptions = { maxRetries: 5, retryDelayInMs: 100, timeoutInMs: 2000 }
    const client = broker.client(broker.ready.connectionString, { retryOptions })
    const sender = client.createSender("orders")
    const receiver = client.createReceiver("orders", withoutRenewal)
    for (const [number, path] of ["/connections/drop", "/links/detach"].entries()) {
      await sender.sendMessages({ body: number })
      await receiver.completeMessage(await one(receiver))
      await broker.http("POST", path, path === "/links/detach" ? { entity: "orders" } : undefined)
    }
    await broker.http("POST", "/faults", { operation: "send", action: "disconnect" })
    await sender.sendMessages({ body: "after all" })
    await take(receiver, "after all")
  },

  "command-fault-lock": async (broker) => {
    const client = broker.client()
    await send(client, "orders", { body: "x" })
    const receiver = client.createReceiver("orders", withoutRenewal)
    const message = await one(receiver)
    deepStrictEqual(await broker.http("POST", "/locks/lose", { entity: "orders" }), { messages: 1 })
    await rejects("completing", "MessageLockLost", () => receiver.completeMessage(message))
    const again = await one(receiver)
    strictEqual(again.deliveryCount, 1)
    await broker.http("POST", "/faults", { operation: "settle", action: "loseLock" })
    await rejects("completing again", "MessageLockLost", () => receiver.completeMessage(again))
    await send(client, "carts", { body: "x", sessionId: "s" })
    const session = await client.acceptSession("carts", "s", withoutRenewal)
    await broker.http("POST", "/locks/lose", { entity: "carts", session: "s" })
    await rejects("renewing", "SessionLockLost", () => session.renewSessionLock())
  },

  "command-fault-delay": async (broker) => {
    await broker.http("POST", "/faults", { operation: "send", action: "delay", delay: 500 })
    const client = broker.client()
    const started = performance.now()
    await send(client, "orders", { body: "late" })
    ok(performance.now() - started > 490, `it took ${performance.now() - started} ms`)
    await take(client.createReceiver("orders", withoutRenewal), "late")
  },

  "command-faults-listed": async (broker) => {
    const add = (operation: string) => broker.http("POST", "/faults", { operation, action: "drop" })
    const listed = async () => (await broker.http("GET", "/faults")).map((each: any) => each.fault.operation)
    const { id } = await add("send")
    await add("settle")
    await add("attach")
    await broker.http("DELETE", `/faults/${id}`)
    deepStrictEqual(await listed(), ["settle", "attach"])
    await broker.http("DELETE", "/faults")
    deepStrictEqual(await listed(), [])
    await roundTrip(broker.client(), "orders")
  }
}

/** A body that came as bytes, as a text. */
const textOf = ({ body }: { readonly body: unknown }) => Buffer.isBuffer(body) ? body.toString() : body

/** Runs a check with a command of its own. */
export const runCommandCheck = async (name: string, start: Start) => {
  const broker = await Broker.start(start)
  try {
    await checks[name]!(broker)
  } finally {
    await broker.close()
  }
}
