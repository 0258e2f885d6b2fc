/** Messages, schedules and state over HTTP, on ports: what is answered, what is refused and where, and for which namespace. */
import { DateTime, Effect, Fiber, Layer, Redacted } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as http from "node:http"
import { basic, userOf } from "../../support/controlApi.ts"
import { idsOf, until } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Folder = ServiceBusEntity.queue("a/b", { body: ServiceBusBody.text })

const entities = [
  Emulator.entity(Orders),
  Emulator.entity(Folder),
  Emulator.entity("small", { maxSize: 10 }),
  Emulator.entity("sessions", { requiresSession: true })
]

const broker = (options?: Partial<Emulator.ServerOptions>) =>
  Emulator.layerClient.pipe(Layer.provideMerge(Emulator.layerServer({ entities, ...options })))

/** Asks over a socket. */
const ask = Effect.fnUntraced(function*(method: string, path: string, body?: unknown, user?: string) {
  const { port } = yield* Emulator.Emulator
  const authorization = basic(user ?? (yield* userOf))
  return yield* Effect.callback<{ readonly status: number | undefined; readonly json: any }>((resume) => {
    const request = http.request(
      { host: "127.0.0.1", port, method, path, headers: { authorization }, agent: false },
      (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
        response.on("end", () =>
          resume(Effect.succeed({
            status: response.statusCode,
            json: response.headers["content-type"]?.includes("json") === true ? JSON.parse(text) as never : text
          })))
      }
    )
    request.on("error", (error) => resume(Effect.succeed({ status: undefined, json: error.message })))
    request.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body))
    return Effect.sync(() => request.destroy())
  })
})

describe("messages over HTTP", () => {
  it.live("of a subscription are found by its path, which the refusal of another name tells", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ask("GET", "/messages?entity=news/Subscriptions/sport"), { status: 200, json: [] })
      const { json, status } = yield* ask("GET", "/messages?entity=news/sport")
      assert.strictEqual(status, 404)
      assert.match(json.message as string, /no entity "news\/sport"; the subscription is "news\/Subscriptions\/sport"/)
      const none = yield* ask("GET", "/messages?entity=news/chess")
      assert.match(none.json.message as string, /no entity "news\/chess"\.$/)
    }).pipe(Effect.provide(broker({
      entities: [
        { kind: "topic", name: "news" },
        { kind: "subscription", topic: "news", name: "sport" }
      ]
    }))))

  it.live("are looked at without a use of their entity, which goes when it is idle", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/messages?entity=brief", [{}])
      for (const status of [200, 200, 404]) {
        assert.strictEqual((yield* ask("GET", "/messages?entity=brief")).status, status)
        assert.strictEqual((yield* ask("GET", "/scheduled?entity=brief")).status, status)
        yield* ask("POST", "/clock/advance", { by: "PT3M" })
      }
    }).pipe(Effect.provide(broker({
      clock: "manual",
      entities: [Emulator.entity("brief", { autoDeleteOnIdle: "5 minutes" })]
    }))))

  it.live("are put in for clients, and looked at by pages while they are locked, deferred or dead", () =>
    Effect.gen(function*() {
      const receiver = yield* ServiceBusReceiver.make(Folder)
      const sent = yield* ask("POST", "/messages?entity=a/b", [
        { messageId: "1", body: "one", applicationProperties: { n: { $long: "7" } }, subject: "s" },
        { messageId: "2", body: { value: "two" } },
        { messageId: "3", scheduledEnqueueTime: "2100-01-01T00:00:00Z", timeToLive: "PT1H" }
      ])
      assert.deepStrictEqual(sent, { status: 200, json: { sequenceNumbers: ["1", "2", "3"] } })
      const [first] = yield* receiver.receive({ max: 1 })
      assert.deepStrictEqual([first?.body, first?.subject, first?.applicationProperties["n"]], ["one", "s", 7n])
      const { json: page } = yield* ask("GET", "/messages?entity=A%2FB&from=2&max=1")
      assert.strictEqual(page.length, 1)
      assert.deepInclude(page[0], { messageId: "2", sequenceNumber: "2", state: "active", body: { value: "two" } })
      const { json: scheduled } = yield* ask("GET", "/scheduled?entity=a/b&max=1000")
      assert.deepStrictEqual(scheduled.map(({ messageId, timeToLive }: any) => [messageId, timeToLive]), [[
        "3",
        "PT1H"
      ]])
      yield* receiver.deadLetter(first!)
      const { json: dead } = yield* ask("GET", "/messages?entity=a/b/$DeadLetterQueue")
      assert.deepStrictEqual(dead.map(({ messageId }: any) => messageId), ["1"])
      assert.deepStrictEqual((yield* ask("GET", "/messages?entity=a/b&from=9007199254740991")).json, [])
      assert.deepStrictEqual((yield* ask("POST", "/messages?entity=a/b", [])).json, { sequenceNumbers: [] })
    }).pipe(Effect.scoped, Effect.provide(broker())))

  it.live("that are scheduled are put off and delivered, to a client that waits", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Orders)
      const receiver = yield* ServiceBusReceiver.make(Orders)
      for (const id of ["a", "b", "c"]) yield* sender.schedule({ body: id, messageId: id }, "10 hours")
      const waiting = yield* Effect.forkChild(receiver.receive({ max: 1, maxWait: "20 seconds" }))
      assert.deepStrictEqual(
        (yield* ask("POST", "/scheduled/reschedule?entity=orders", { by: "-5 hours", sequenceNumbers: ["1"] })).json,
        { messages: 1 }
      )
      assert.deepStrictEqual(
        (yield* ask("POST", "/scheduled/reschedule?entity=orders", {
          to: DateTime.formatIso(DateTime.add(yield* emulator.now, { hours: 1 })),
          sequenceNumbers: ["2"]
        })).json,
        { messages: 1 }
      )
      assert.deepStrictEqual(
        (yield* ask("POST", "/scheduled/deliver?entity=orders", { sequenceNumbers: ["3"] })).json,
        { messages: 1 }
      )
      assert.deepStrictEqual(idsOf(yield* Fiber.join(waiting)), ["c"])
      assert.deepStrictEqual((yield* ask("POST", "/scheduled/deliver?entity=orders")).json, { messages: 2 })
      assert.deepStrictEqual(idsOf(yield* receiver.receive({ max: 2 })), ["b", "a"])
      assert.deepStrictEqual((yield* ask("POST", "/reset?entity=orders")).json, { messages: 3 })
      assert.deepStrictEqual((yield* ask("POST", "/reset")).json, { messages: 0 })
    }).pipe(Effect.scoped, Effect.provide(broker())))

  it.live(
    "and requests that cannot be answered are refused by their place, all or nothing",
    () =>
      Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const wrong: ReadonlyArray<readonly [string, string, unknown, number, RegExp]> = [
          ["GET", "/messages", undefined, 400, /\["entity"\]/],
          ["GET", "/messages?entity=", undefined, 400, /\["entity"\]/],
          ["GET", "/messages?entity=none", undefined, 404, /no entity "none"/],
          ["GET", `/messages?entity=${"x".repeat(5000)}`, undefined, 404, /no entity "x{300}"/],
          ["GET", "/messages?entity=orders&entity=a/b", undefined, 400, /\["entity"\]/],
          ["GET", "/messages?entity=orders&max=0", undefined, 400, /\["max"\]/],
          ["GET", "/messages?entity=orders&max=1001", undefined, 400, /\["max"\]/],
          ["GET", "/messages?entity=orders&from=-1", undefined, 400, /\["from"\]/],
          ["GET", "/messages?entity=orders&fron=1", undefined, 400, /\["fron"\]/],
          ["POST", "/messages?entity=orders", "[{", 400, /the body: .*JSON/],
          ["POST", "/messages?entity=orders", {}, 400, /the body/],
          ["POST", "/messages?entity=orders", [{}, { bodies: 1 }], 400, /\[1\]\["bodies"\]/],
          [
            "POST",
            "/messages?entity=orders",
            [{}, { body: { base64: "*" } }],
            400,
            /\[1\]\.body\.base64: expected bytes/
          ],
          ["POST", "/messages?entity=orders", [{ state: "deferred" }], 400, /\[0\]\["state"\]/],
          ["POST", "/messages?entity=orders", [{ sessionId: "x".repeat(200) }], 400, /\[0\]\.sessionId/],
          ["POST", "/messages?entity=orders", [{ applicationProperties: { a: "x".repeat(40_000) } }], 400, /\[0\]/],
          ["POST", "/messages?entity=orders", [{ body: "x".repeat(300_000) }], 400, /does not take the messages/],
          ["POST", "/messages?entity=small", [{ body: "x".repeat(20) }], 403, /maximum entity size/],
          ["POST", "/messages?entity=sessions", [{}], 400, /SessionId/],
          ["POST", "/messages?entity=orders/$DeadLetterQueue", [{}], 400, /dead-letter queue/],
          ["POST", "/messages?entity=none", [{}], 404, /no entity/],
          ["POST", "/scheduled/deliver?entity=orders", { sequenceNumbers: ["99"] }, 404, /no scheduled message 99/],
          ["POST", "/scheduled/deliver?entity=orders", { sequenceNumbers: [1] }, 400, /\["sequenceNumbers"\]\[0\]/],
          ["POST", "/scheduled/reschedule?entity=orders", {}, 400, /the body/],
          // Of the shapes that a body may have, only what is wrong for the one that was meant.
          [
            "POST",
            "/scheduled/reschedule?entity=orders",
            { by: "soon" },
            400,
            /^the body: Expected milli[^[]* at \["by"\]$/
          ],
          ["POST", "/scheduled/reschedule?entity=orders", { to: "tomorrow" }, 400, /to: expected a time/],
          [
            "POST",
            "/scheduled/reschedule?entity=orders",
            { by: "1 hour", to: "2100-01-01T00:00:00Z" },
            400,
            /the body/
          ],
          ["POST", "/reset?entity=none", undefined, 404, /no entity/],
          ["GET", "/dump?entity=none", undefined, 404, /no entity/],
          ["POST", "/load", "", 400, /\["entities"\]/],
          [
            "POST",
            "/load",
            { entities: [{ kind: "queue", name: "n", messages: [{ deliveryCount: -1 }] }] },
            400,
            /entities\[0\]\.messages\[0\]\.deliveryCount/
          ],
          ["DELETE", "/dump", undefined, 405, /see \/openapi\.json/],
          ["POST", "/namespaces", {}, 400, /\["name"\]/],
          ["POST", "/namespaces", { name: "a b" }, 400, /name/],
          ["POST", "/namespaces", { name: "n", key: "a;b" }, 400, /key must be/],
          [
            "POST",
            "/namespaces",
            { name: "n", entities: [{ kind: "queue", name: "q", options: { lockDuration: "x" } }] },
            400,
            /entities\[0\]\.options\.lockDuration/
          ],
          ["DELETE", "/namespaces/none", undefined, 404, /no namespace "none"/]
        ]
        yield* emulator.send(Orders, [{ body: "kept" }])
        for (const [method, path, body, status, expected] of wrong) {
          const { json, ...answer } = yield* ask(method, path, body)
          assert.strictEqual(
            answer.status,
            status,
            `${method} ${path} ${JSON.stringify(body)?.slice(0, 200)}: ${JSON.stringify(json)}`
          )
          assert.sameMembers(Object.keys(json as object), ["error", "message"])
          assert.match(json.message as string, expected)
        }
        assert.strictEqual((yield* emulator.messages(Orders)).length, 1)
        // Random bytes are no body either.
        for (const body of ["\0", "[[[[", "9".repeat(500), `{"entities":${"[".repeat(3000)}`]) {
          assert.strictEqual((yield* ask("POST", "/load", body)).status, 400)
        }
      }).pipe(Effect.provide(broker())),
    30_000
  )
})

describe("a dump over HTTP", () => {
  it.live("is loaded by who holds the key, however large; who does not may send little", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const messages = Array.from({ length: 20 }, () => ({ body: { text: "x".repeat(200_000) } }))
      const large = JSON.stringify({ entities: [{ kind: "queue", name: "orders", messages }] })
      assert.strictEqual((yield* ask("POST", "/load", large)).status, 204)
      assert.strictEqual((yield* emulator.messages(Orders)).length, 20)
      const { json } = yield* ask("GET", "/dump?entity=orders&entity=a/b")
      assert.deepStrictEqual(json.entities.map(({ name }: any) => name), ["orders", "a/b"])
      assert.strictEqual((yield* ask("POST", "/load", large, "RootManageSharedAccessKey:wrong")).status, 413)
      assert.strictEqual((yield* ask("POST", "/clock/advance", large)).status, 413)
      assert.strictEqual((yield* emulator.messages(Orders)).length, 20)
    }).pipe(Effect.provide(broker())))
})

describe("a namespace", () => {
  it.live("is made, used and removed over HTTP, and its keys are for it alone", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const made = yield* ask("POST", "/namespaces", { name: "team", entities: [{ kind: "queue", name: "own" }] })
      assert.strictEqual(made.status, 200)
      const { credential } = yield* ConnectionString.parse(Redacted.make(made.json.connectionString as string))
      if (credential._tag !== "SharedKey") return assert.fail("a key was expected")
      const user = `${credential.name}:${Redacted.value(credential.key)}`
      assert.strictEqual((yield* ask("POST", "/messages?entity=own", [{}], user)).status, 200)
      assert.strictEqual((yield* ask("POST", "/clock/advance", { by: "1 day" }, user)).status, 200)
      // A bystander notices nothing of it.
      const before = (yield* ask("GET", "/clock")).json.now as string
      assert.isBelow(Date.parse(before), Date.parse((yield* ask("GET", "/clock", undefined, user)).json.now as string))
      assert.strictEqual((yield* ask("GET", "/messages?entity=own")).status, 404)
      yield* emulator.send(Orders, [{ body: "kept" }])
      assert.deepStrictEqual((yield* ask("POST", "/reset", undefined, user)).json, { messages: 1 })
      assert.strictEqual((yield* emulator.messages(Orders)).length, 1)
      assert.deepStrictEqual((yield* ask("GET", "/dump", undefined, user)).json.entities.map(({ name }: any) => name), [
        "own"
      ])
      for (const method of ["GET", "POST"] as const) {
        const { json, status } = yield* ask(method, "/namespaces", method === "POST" ? { name: "x" } : undefined, user)
        assert.deepStrictEqual([status, json.error], [403, "Forbidden"])
      }
      const { json, status } = yield* ask("DELETE", "/namespaces/team", undefined, user)
      assert.deepStrictEqual([status, json.error], [403, "Forbidden"])
      assert.strictEqual((yield* ask("POST", "/namespaces", { name: "team" })).status, 409)
      assert.deepStrictEqual(
        (yield* ask("GET", "/namespaces")).json.map(({ name }: any) => name).includes("team"),
        true
      )
      assert.strictEqual((yield* ask("DELETE", "/namespaces/team")).status, 204)
      const gone = yield* ask("GET", "/clock", undefined, user)
      assert.deepStrictEqual([gone.status, gone.json.error], [401, "Unauthorized"])
    }).pipe(Effect.provide(broker({ clock: "manual" }))))

  it.live("that comes by use is one for its requests over HTTP too", () =>
    Effect.gen(function*() {
      const { connectionString } = yield* Emulator.Emulator
      const { credential } = yield* ConnectionString.parse(connectionString)
      if (credential._tag !== "SharedKey") return assert.fail("a key was expected")
      const key = Redacted.value(credential.key)
      assert.strictEqual((yield* ask("POST", "/messages?entity=orders", [{}], `one:${key}`)).status, 200)
      assert.strictEqual((yield* ask("GET", "/messages?entity=orders", undefined, `two:${key}`)).json.length, 0)
      assert.strictEqual((yield* ask("GET", "/messages?entity=orders", undefined, `one:${key}`)).json.length, 1)
      const wrong = yield* ask("GET", "/clock", undefined, "three:wrong")
      assert.deepStrictEqual([wrong.status, wrong.json.error], [401, "Unauthorized"])
      assert.deepStrictEqual(
        (yield* ask("GET", "/namespaces")).json.map(({ name }: any) => name).toSorted().slice(-2),
        ["one", "two"]
      )
    }).pipe(Effect.provide(broker({ namespaces: "any" }))))
})

describe("an advance over HTTP", () => {
  it.live("ends where its client goes away, at the instant that it had come to", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      // A dead letter that cannot be forwarded is tried again without end.
      yield* emulator.create(Emulator.entity("target"))
      yield* emulator.create(Emulator.entity("stuck", { forwardDeadLetteredMessagesTo: "target" }))
      yield* emulator.delete("target")
      yield* emulator.load({ entities: [] })
      yield* emulator.send("stuck", [{ body: Buffer.from("x") }])
      const receiver = yield* ServiceBusReceiver.make("stuck")
      const [message] = yield* receiver.receive({ max: 1 })
      yield* receiver.deadLetter(message!)
      const before = DateTime.toEpochMillis(yield* emulator.now)
      const fiber = yield* Effect.forkChild(ask("POST", "/clock/advance", { by: "2900000 days" }))
      yield* until(Effect.map(emulator.now, (now) => DateTime.toEpochMillis(now) > before))
      yield* Fiber.interrupt(fiber)
      // The next one has its turn.
      const { json } = yield* ask("POST", "/clock/advance", { by: 0 })
      assert.isBelow(Date.parse(json.now as string), before + 2_900_000 * 86_400_000)
    }).pipe(Effect.scoped, Effect.provide(broker({ clock: "manual" }))))
})
