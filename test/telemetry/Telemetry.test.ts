/**
 * Spans, metrics and logs: what each operation tells, as one golden structure, so that a change shows.
 */
import {
  AutoLockRenewer,
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import {
  both,
  failsWith,
  inMemory,
  type LayerFor,
  type Name,
  passing,
  testsWith,
  Texts,
  texts,
  until
} from "../support/harness.ts"
import { type Recorder, recorder, type Told } from "../support/spanRecorder.ts"
import { assert, describe, it } from "../support/vitest.ts"

class Broken extends Data.TaggedError("Broken")<{ readonly secret: string }> {}

const Tables = ServiceBusEntity.queue("tables", {
  body: ServiceBusBody.text,
  sessions: true,
  sessionState: ServiceBusBody.text
})
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Archive = ServiceBusEntity.subscription(News, "archive")

const types: Record<string, string> = {
  send: "send",
  schedule: "send",
  receive: "receive",
  receive_deferred: "receive",
  peek: "receive",
  process: "process",
  complete: "settle",
  abandon: "settle",
  defer: "settle",
  dead_letter: "settle",
  retry_after: "settle"
}

/** The golden span of an operation: what all spans say, and what is its own. */
const goldenFor = (
  server: { readonly host: string; readonly port: number },
  destination: Readonly<Record<string, unknown>> & { readonly "messaging.destination.name": string }
) =>
(operation: string, own: Readonly<Record<string, unknown>> = {}, rest: Partial<Told> = {}): Told => ({
  name: `${operation} ${destination["messaging.destination.name"]}`,
  kind: "client",
  parent: undefined,
  links: [],
  status: "ok",
  ...rest,
  attributes: {
    "messaging.system": "servicebus",
    ...destination,
    "server.address": server.host,
    "server.port": server.port,
    "az.namespace": "Microsoft.ServiceBus",
    "messaging.client.id": "an identifier",
    "messaging.operation.name": operation,
    ...(types[operation] === undefined ? {} : { "messaging.operation.type": types[operation] }),
    ...own
  }
})

const id = (messageId: string) => ({ "messaging.message.id": messageId })
const count = (messages: number) => ({ "messaging.batch.message_count": messages })
/** What is said of one received message; its time is checked by `timed`. */
const one = (messageId: string, deliveries = 1) => ({
  ...id(messageId),
  "messaging.servicebus.message.delivery_count": deliveries,
  "messaging.servicebus.message.enqueued_time": "a time"
})
const disposed = (disposition: string) => ({ "messaging.servicebus.disposition_status": disposition })
const failed = (error: string) => ({ "error.type": error })

/** Has times and identifiers that differ from run to run be words, once they are known to be what they should. */
const timed = (now: number) => (told: Told): Told => {
  if (told.attributes["messaging.system"] === undefined) return told
  const { "messaging.client.id": client, "messaging.servicebus.message.enqueued_time": time, ...rest } = told.attributes
  assert.match(String(client), /-[0-9a-f]{8}-[0-9a-f-]{27}$/)
  assert.isTrue(
    time === undefined || Number.isInteger(time) && Math.abs(time as number - now / 1000) < 60,
    String(time)
  )
  const attributes = {
    ...rest,
    "messaging.client.id": "an identifier",
    ...(time === undefined ? {} : { "messaging.servicebus.message.enqueued_time": "a time" })
  }
  return { ...told, attributes }
}

const inOrder = (told: Told): Told => ({
  ...told,
  attributes: Object.fromEntries(Object.entries(told.attributes).toSorted(([a], [b]) => a < b ? -1 : 1))
})

const same = (told: ReadonlyArray<Told>, golden: ReadonlyArray<Told>, now: number): void =>
  assert.deepStrictEqual(
    told.map(timed(now)).map(inOrder),
    golden.map(inOrder)
  )

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

const suite = (variant: Name, layerFor: LayerFor): void => {
  const { clock, test } = testsWith(variant, layerFor, [
    Emulator.entity(Tables),
    Emulator.entity(News),
    Emulator.entity(Archive)
  ])

  /** The address that the variant dials. */
  const serverOf = Effect.gen(function*() {
    const { connectionString, tlsPort, webSocketPort } = yield* Emulator.Emulator
    const { host, port = 5672 } = yield* ConnectionString.parse(connectionString)
    const dialled = variant === "over TLS" ? tlsPort : variant === "over WebSocket" ? webSocketPort : port
    return { host, port: dialled! }
  })

  /** Runs a program that is traced. */
  const traced = <A, E, R>(program: (recorder: Recorder) => Effect.Effect<A, E, R>) => {
    const recording = recorder()
    return Effect.withTracer(program(recording), recording.tracer)
  }

  /** Checks what was told since the last check. */
  const check = (
    { take }: Recorder,
    golden: (of: ReturnType<typeof goldenFor>) => ReadonlyArray<Told>,
    destination: Parameters<typeof goldenFor>[1] = { "messaging.destination.name": "texts" }
  ) =>
    Effect.gen(function*() {
      same(take(), golden(goldenFor(yield* serverOf, destination)), yield* now)
    })

  test("sending: a span for each call, with the caller's as its parent", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.send({ body: "one", messageId: "1", correlationId: "talk" })
        const [generated] = yield* sender.sendAll([{ body: "two" }])
        yield* sender.sendAll(texts(3))
        yield* sender.sendAnnotated({
          body: { kind: "data", data: [new Uint8Array(1)] },
          properties: { messageId: "4" }
        })
        yield* check(recording, (of) => [
          of("send", { ...id("1"), "messaging.message.conversation_id": "talk" }, { kind: "producer" }),
          of("send", { ...count(1), ...id(generated!) }, { kind: "producer" }),
          of("send", count(3), { kind: "producer" }),
          of("send", id("4"))
        ])

        yield* sender.send({ body: "five", messageId: "5" }).pipe(Effect.withSpan("checkout"))
        const [outer] = recording.all()
        assert.strictEqual(outer!.name, "checkout")
        recording.spans.shift()
        const [sent] = recording.spans
        assert.strictEqual(Option.getOrThrow(sent!.parent).traceId, sent!.traceId)
        recording.take()

        yield* failsWith("MessageSizeExceededError")(sender.send({ body: "x".repeat(300_000), messageId: "6" }))
        yield* failsWith("MessageEncodeError")(sender.sendAll([{ body: 7 as never }]))
        yield* check(recording, (of) => [
          of("send", { ...id("6"), ...failed("MessageSizeExceededError") }, { kind: "producer", status: "failed" }),
          of("send", failed("MessageEncodeError"), { kind: "producer", status: "failed" })
        ])
      })
    ))

  test("a sink: a span for each batch, in the trace of its caller", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* Stream.run(Stream.fromIterable(texts(5)), sender.sink()).pipe(Effect.withSpan("import"))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 5, maxWaitAfterFirst: "5 seconds" })
        yield* check(recording, (of) => [
          { name: "import", kind: "internal", attributes: {}, parent: undefined, links: [], status: "ok" },
          of("send", count(5), { parent: "import" }),
          of("receive", count(5), { links: ["import"] })
        ])
        assert.strictEqual(messages.length, 5)
      })
    ))

  test("a batch: a span where it is sent; each message in the trace of what added it", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const batch = yield* sender.batch()
        const [first, second, third] = texts(3)
        yield* batch.tryAdd(first!).pipe(Effect.withSpan("one"))
        yield* batch.tryAdd(second!).pipe(Effect.withSpan("two"))
        yield* batch.tryAdd(third!)
        yield* sender.sendBatch(batch).pipe(Effect.withSpan("flush"))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const messages = yield* receiver.receive({ max: 3, maxWaitAfterFirst: "5 seconds" })
        const internal = { kind: "internal", attributes: {}, parent: undefined, links: [], status: "ok" } as const
        yield* check(recording, (of) => [
          { name: "one", ...internal },
          { name: "two", ...internal },
          { name: "flush", ...internal },
          of("send", count(3), { parent: "flush" }),
          of("receive", count(3), { links: ["one", "two"] })
        ])
        assert.strictEqual(messages.length, 3)
        assert.notProperty(messages[2]!.applicationProperties, "traceparent")
      })
    ))

  test("scheduling and cancelling", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const number = yield* sender.schedule({ body: "later", messageId: "1" }, "1 hour")
        const numbers = yield* sender.scheduleAll(texts(2), "1 hour")
        yield* sender.cancelScheduled([number, ...numbers])
        yield* failsWith("MessageNotFoundError")(sender.cancelScheduled([number]))
        yield* check(recording, (of) => [
          of("schedule", { ...count(1), ...id("1") }, { kind: "producer" }),
          of("schedule", count(2), { kind: "producer" }),
          of("cancel_scheduled", count(3)),
          of("cancel_scheduled", { ...count(1), ...failed("MessageNotFoundError") }, { status: "failed" })
        ])
      })
    ))

  test("receiving is linked to the spans that sent, each once; nothing is told of nothing", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        assert.deepStrictEqual(yield* passing(receiver.receive({ maxWait: "10 millis" })), [])
        yield* check(recording, () => [])
        yield* sender.send({ body: "one", messageId: "1" })
        yield* receiver.receive()
        yield* check(recording, (of) => [
          of("send", id("1"), { kind: "producer" }),
          of("receive", { ...count(1), ...one("1") }, { links: ["send texts"] })
        ])
        yield* sender.sendAll(texts(3))
        yield* sender.send({ body: "own", applicationProperties: { traceparent: `00-${trace}-${span}-01` } })
        recording.take()
        yield* receiver.receive({ max: 4, maxWaitAfterFirst: "5 seconds" })
        const [received] = recording.take()
        assert.strictEqual(received!.links.length, 2)
        assert.strictEqual(received!.links[1], `${trace}/${span}`)
      })
    ))

  test("peeking, deferred messages, and deleting", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.sendAll(texts(3))
        yield* receiver.peek({ max: 2 })
        const [message] = yield* receiver.receive()
        yield* receiver.defer(message!)
        yield* receiver.receiveDeferred([message!.sequenceNumber])
        yield* receiver.renewLock(message!).pipe(Effect.exit)
        const before = DateTime.makeUnsafe((yield* now) + 60_000)
        yield* receiver.deleteMessages({ max: 1, before })
        yield* receiver.purge({ before })
        yield* failsWith("MessageNotFoundError")(receiver.receiveDeferred([99n]))
        const links = ["send texts"]
        yield* check(recording, (of) => [
          of("send", count(3), { kind: "producer" }),
          of("peek", count(2), { links }),
          of("receive", { ...count(1), ...one("0") }, { links }),
          of("defer", { ...one("0"), ...disposed("defer") }, { links }),
          // Deferring was one.
          of("receive_deferred", { ...count(1), ...one("0", 2) }, { links }),
          of("renew_message_lock", { ...one("0"), ...failed("MessageLockLostError") }, { links, status: "failed" }),
          of("delete", count(1)),
          of("delete", count(1)),
          of("receive_deferred", failed("MessageNotFoundError"), { status: "failed" })
        ])
      })
    ))

  test("settling: of one what it is, of many how many", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.sendAll(texts(8))
        const messages = yield* receiver.receive({ max: 8, maxWaitAfterFirst: "5 seconds" })
        recording.spans.length = 1
        yield* receiver.renewLock(messages[0]!)
        yield* receiver.complete(messages[0]!)
        yield* failsWith("MessageAlreadySettled")(receiver.complete(messages[0]!))
        yield* receiver.deadLetter(messages[1]!)
        yield* receiver.defer(messages[2]!)
        yield* receiver.completeAll(messages.slice(3, 5))
        yield* receiver.settle(messages[5]!, Settlement.retryAfter("1 hour"))
        yield* receiver.settle(messages[6]!, Settlement.retryAfter(Schedule.recurs(0)))
        yield* receiver.completeAll([])
        yield* receiver.abandon(messages[7]!)
        const links = ["send texts"]
        yield* check(recording, (of) => [
          of("send", count(8), { kind: "producer" }),
          of("renew_message_lock", one("0"), { links }),
          of("complete", { ...one("0"), ...disposed("complete") }, { links }),
          of("complete", { ...one("0"), ...disposed("complete"), ...failed("MessageAlreadySettled") }, {
            links,
            status: "failed"
          }),
          of("dead_letter", { ...one("1"), ...disposed("dead_letter") }, { links }),
          of("defer", { ...one("2"), ...disposed("defer") }, { links }),
          of("complete", { ...count(2), ...disposed("complete") }, { links }),
          of("retry_after", { ...one("5"), ...disposed("complete") }, { links }),
          of("retry_after", { ...one("6"), ...disposed("dead_letter") }, { links }),
          of("abandon", { ...one("7"), ...disposed("abandon") }, { links })
        ])
      })
    ))

  test("a processor goes on with the sender's trace, and settles in it", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.send({ body: "good", messageId: "1" })
        yield* sender.send({ body: "bad", messageId: "2" })
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(
          receiver,
          (body) => body === "bad" ? new Broken({ secret: "x" }) : Effect.void.pipe(Effect.withSpan("bill")),
          { onFailure: () => Settlement.deadLetter() }
        )
        yield* until(Effect.map(processor.counts, ({ completed, deadLettered }) => completed + deadLettered === 2))
        const spans = recording.spans.slice()
        yield* check(recording, (of) => [
          of("send", id("1"), { kind: "producer" }),
          of("send", id("2"), { kind: "producer" }),
          of("process", one("1"), { kind: "consumer", parent: "send texts" }),
          { name: "bill", kind: "internal", attributes: {}, parent: "process texts", links: [], status: "ok" },
          of("complete", { ...one("1"), ...disposed("complete") }, { parent: "process texts", links: ["send texts"] }),
          of("process", { ...one("2"), ...failed("Broken") }, {
            kind: "consumer",
            parent: "send texts",
            status: "failed"
          }),
          of("dead_letter", { ...one("2"), ...disposed("dead_letter") }, {
            parent: "process texts",
            links: ["send texts"]
          })
        ])
        assert.strictEqual(Option.getOrThrow(spans[2]!.parent).spanId, spans[0]!.spanId)
        assert.strictEqual(Option.getOrThrow(spans[5]!.parent).spanId, spans[1]!.spanId)
        assert.strictEqual(new Set(spans.map(({ traceId }) => traceId)).size, 2)
      })
    ))

  test("so do the Stream form, browsing, and what is settled by its token", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({ body: "one", messageId: "1" })
        yield* receiver.messages.pipe(
          ServiceBusReceiver.settleEach(() => Effect.void.pipe(Effect.withSpan("bill"))),
          Stream.take(1),
          Stream.runDrain
        )
        const links = ["send texts"]
        yield* check(recording, (of) => [
          of("send", id("1"), { kind: "producer" }),
          of("process", one("1"), { kind: "consumer", parent: "send texts" }),
          { name: "bill", kind: "internal", attributes: {}, parent: "process texts", links: [], status: "ok" },
          of("complete", { ...one("1"), ...disposed("complete") }, { parent: "process texts", links })
        ])
        yield* sender.send({ body: "two", messageId: "2" })
        yield* Stream.runDrain(receiver.browse())
        const [message] = yield* receiver.receive()
        const token = yield* receiver.handOver(message!)
        yield* ServiceBusReceiver.renewByToken(Texts, [token])
        yield* ServiceBusReceiver.settleByToken(Texts, [token], Settlement.complete)
        yield* check(recording, (of) => [
          of("send", id("2"), { kind: "producer" }),
          of("peek", { ...count(1), ...one("2") }, { links }),
          of("peek", count(0)),
          of("receive", { ...count(1), ...one("2") }, { links }),
          of("renew_message_lock", count(1)),
          of("complete", { ...count(1), ...disposed("complete") })
        ])
      })
    ))

  test("a processor of batches is linked to what sent them", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        yield* sender.sendAll(texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.makeBatched(receiver, () => Effect.void, { size: 3 })
        yield* until(Effect.map(processor.counts, ({ completed }) => completed === 3))
        yield* check(recording, (of) => [
          of("send", count(3), { kind: "producer" }),
          of("process", count(3), { kind: "consumer", links: ["send texts"] }),
          of("complete", { ...count(3), ...disposed("complete") }, { parent: "process texts", links: ["send texts"] })
        ])
      })
    ))

  test("sessions: accepting one, its state and its lock; nothing of none", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const at = { "messaging.destination.name": "tables" }
        const none = yield* passing(ServiceBusSession.acceptNext(Tables, { wait: "1 second" }), 1000)
        assert.isTrue(Option.isNone(none))
        yield* check(recording, () => [], at)
        const session = yield* ServiceBusSession.accept(Tables, "4")
        yield* session.setState("busy")
        yield* session.state
        yield* session.renewLock
        yield* failsWith("SessionCannotBeLockedError")(ServiceBusSession.accept(Tables, "4"))
        yield* check(recording, (of) => [
          of("accept_session"),
          of("set_session_state"),
          of("get_session_state"),
          of("renew_session_lock"),
          of("accept_session", failed("SessionCannotBeLockedError"), { status: "failed" })
        ], at)
      })
    ))

  test("rules of a subscription: one for each request for a page", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const at = { "messaging.destination.name": "news", "messaging.destination.subscription.name": "archive" }
        const rules = yield* ServiceBusRuleManager.make(Archive)
        yield* check(recording, () => [], at)
        yield* rules.create("all", ServiceBusRule.true)
        yield* Stream.runDrain(rules.list)
        yield* rules.delete("all")
        yield* failsWith("RuleNotFoundError")(rules.delete("all"))
        // What is not usable is no request.
        yield* failsWith("InvalidOptionError")(rules.create("", ServiceBusRule.true))
        yield* check(recording, (of) => [
          of("create_rule"),
          of("list_rules"),
          of("list_rules"),
          of("delete_rule"),
          of("delete_rule", failed("RuleNotFoundError"), { status: "failed" })
        ], at)
      })
    ))

  test("a subscription is told apart from its topic", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(News)
        const receiver = yield* ServiceBusReceiver.make(Archive)
        yield* sender.send({ body: "it rains", messageId: "1" })
        const topic = { "messaging.destination.name": "news" }
        yield* check(recording, (of) => [of("send", id("1"), { kind: "producer" })], topic)
        yield* receiver.receive()
        const [received] = recording.all()
        assert.strictEqual(received!.name, "receive news")
        assert.strictEqual(received!.attributes["messaging.destination.subscription.name"], "archive")
      })
    ))

  test("without a trace nothing is written; where the caller has a span, it is", () =>
    Effect.gen(function*() {
      const recording = recorder()
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const propertiesOf = Effect.fnUntraced(function*<E, R>(send: Effect.Effect<unknown, E, R>) {
        yield* send
        const [message] = yield* receiver.receive()
        yield* receiver.complete(message!)
        return message!.applicationProperties
      })
      const message = { body: "one", applicationProperties: { kept: true } }
      const parent = Tracer.externalSpan({ traceId: trace, spanId: span, sampled: false })
      const traceparent = `00-${trace}-${span}-00`
      const written = { kept: true, traceparent, "Diagnostic-Id": traceparent }
      assert.deepStrictEqual(yield* propertiesOf(sender.send(message)), { kept: true })
      assert.deepStrictEqual(yield* propertiesOf(sender.send(message).pipe(Effect.withParentSpan(parent))), written)
      assert.deepStrictEqual(
        yield* propertiesOf(
          Stream.run(Stream.make(message), sender.sink()).pipe(Effect.withParentSpan(parent))
        ),
        written
      )
      // A peer's ids may be anything.
      const foreign = Tracer.externalSpan({ traceId: "a trace", spanId: "a span" })
      assert.deepStrictEqual(yield* propertiesOf(sender.send(message).pipe(Effect.withParentSpan(foreign))), {
        kept: true
      })
      const own = { body: "own", applicationProperties: { "Diagnostic-Id": "|mine.1." } }
      assert.deepStrictEqual(
        yield* propertiesOf(sender.send(own).pipe(Effect.withTracer(recording.tracer))),
        { "Diagnostic-Id": "|mine.1." }
      )
      assert.deepStrictEqual(
        yield* propertiesOf(
          sender.sendAnnotated({ body: { kind: "data", data: [new Uint8Array(1)] } }).pipe(
            Effect.withTracer(recording.tracer)
          )
        ).pipe(Effect.exit, Effect.map(Exit.isSuccess)),
        true
      )
      recording.take()
      assert.deepStrictEqual(
        yield* propertiesOf(sender.send(message)).pipe(
          Effect.withSpan("unseen"),
          Effect.withTracer(recording.tracer),
          Effect.withTracerEnabled(false)
        ),
        { kept: true }
      )
      assert.deepStrictEqual(recording.take(), [])
      // Effect's own tracer keeps no span: the caller's is what is known.
      const properties = yield* propertiesOf(
        Effect.flatMap(Effect.currentSpan, (current) =>
          Effect.map(sender.send(message), () => recording.spans.push(current as Tracer.NativeSpan)))
      ).pipe(Effect.withSpan("caller"))
      assert.strictEqual(
        properties["traceparent"],
        `00-${recording.spans[0]!.traceId}-${recording.spans[0]!.spanId}-01`
      )
    }))

  test("what fails after it was sent, and a receive that fails, say so", () =>
    traced((recording) => {
      const registry: Map<string, any> = new Map()
      return Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const condition = "amqp:resource-limit-exceeded"
        yield* emulator.fail({ operation: "send", error: { condition } })
        yield* failsWith("ServiceBusQuotaExceededError")(sender.send({ body: "one", messageId: "1" }))
        yield* failsWith("MessageEncodeError")(sender.send({ body: 7 as never }))
        yield* emulator.detachLinks({ condition: "amqp:not-found" }, Texts)
        yield* emulator.fail({ operation: "attach", error: { condition: "amqp:not-found" } })
        yield* failsWith("MessagingEntityNotFoundError")(receiver.receive())
        yield* check(recording, (of) => [
          of("send", { ...id("1"), ...failed("ServiceBusQuotaExceededError") }, { kind: "producer", status: "failed" }),
          of("send", failed("MessageEncodeError"), { kind: "producer", status: "failed" }),
          of("receive", failed("MessagingEntityNotFoundError"), { status: "failed" })
        ])
        const all = yield* snapshot(registry, yield* serverOf)
        assert.deepStrictEqual(Object.keys(all).filter((name) => name.includes("error.type")), [
          "messaging.client.operation.duration error.type=MessageEncodeError messaging.operation.name=send",
          "messaging.client.operation.duration error.type=MessagingEntityNotFoundError messaging.operation.name=receive",
          "messaging.client.operation.duration error.type=ServiceBusQuotaExceededError messaging.operation.name=send",
          "messaging.client.sent.messages error.type=ServiceBusQuotaExceededError messaging.operation.name=send"
        ])
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    }), { client: { retry: { maxRetries: 0 } } })

  test("a message that is no plain object is sent as it is", () =>
    traced(() =>
      Effect.gen(function*() {
        class Letter {
          readonly #text = "dear"
          get body() {
            return this.#text
          }
          get messageId() {
            return "7"
          }
        }
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send(new Letter())
        const [message] = yield* receiver.receive()
        assert.deepStrictEqual([message!.body, message!.messageId], ["dear", "7"])
        assert.match(String(message!.applicationProperties["traceparent"]), /^00-/)
      })
    ))

  test("a processor of sessions: its sessions, and one drain", () => {
    const registry: Map<string, any> = new Map()
    return Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Tables)
      yield* sender.sendAll(["a", "b"].map((sessionId) => ({ body: sessionId, sessionId })))
      const processor = yield* ServiceBusProcessor.makeSessions(Tables, () => Effect.void, { concurrentSessions: 2 })
      yield* until(Effect.map(processor.counts, ({ completed }) => completed === 2))
      yield* processor.drain
      const all = yield* snapshot(registry, yield* serverOf, "tables")
      const countOf = (name: string) => all[name]
      assert.strictEqual(countOf("servicebus.link.attached role=session"), 2)
      assert.strictEqual(countOf("messaging.client.consumed.messages messaging.operation.name=process"), 2)
      assert.strictEqual(countOf(settled("complete", "complete")), 2)
      assert.strictEqual((countOf("servicebus.drain.duration") as ReadonlyArray<number>)[0], 1)
      assert.strictEqual(
        (countOf("messaging.client.operation.duration messaging.operation.name=accept_session") as ReadonlyArray<
          number
        >)[0],
        2
      )
    }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
  })

  test("what the program gives all spans is on these as well", () =>
    traced((recording) =>
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const linked = Tracer.externalSpan({ traceId: trace, spanId: span })
        yield* sender.send({ body: "one", messageId: "1" }).pipe(
          Effect.annotateSpans("tenant", "blue"),
          Effect.linkSpans(linked)
        )
        yield* sender.send({ body: "two", messageId: "2" }).pipe(
          Effect.provideService(Tracer.MinimumTraceLevel, "Error")
        )
        assert.deepStrictEqual(recording.spans.map(({ sampled }) => sampled), [true, false])
        yield* check(recording, (of) => [
          of("send", { ...id("1"), tenant: "blue" }, { kind: "producer", links: [`${trace}/${span}`] }),
          of("send", id("2"), { kind: "producer" })
        ])
      })
    ))

  clock("metrics of a fixed program, exactly", () =>
    Effect.gen(function*() {
      const registry: Map<string, any> = new Map()
      const program = Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        yield* sender.send({ body: "one" })
        yield* sender.sendAll(texts(6))
        yield* failsWith("MessageSizeExceededError")(sender.send({ body: "x".repeat(300_000) }))
        yield* sender.schedule({ body: "later" }, "1 hour")
        const messages = yield* receiver.receive({ max: 5, maxWaitAfterFirst: "1 second" })
        yield* receiver.complete(messages[0]!)
        yield* receiver.completeAll(messages.slice(1, 3))
        yield* receiver.deadLetter(messages[3]!)
        yield* receiver.defer(messages[4]!)
        const [deferred] = yield* receiver.receiveDeferred([messages[4]!.sequenceNumber])
        yield* receiver.settle(deferred!, Settlement.retryAfter("2 hours"))
        yield* failsWith("MessageAlreadySettled")(receiver.complete(deferred!))
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.sleep("2 seconds"))
        yield* passing(until(Effect.map(processor.counts, ({ completed }) => completed === 2)))
        yield* processor.drain
      })
      yield* program.pipe(Effect.provideService(Metric.MetricRegistry, registry))
      const told = yield* snapshot(registry, yield* serverOf)
      assert.deepStrictEqual(told, {
        "messaging.client.consumed.messages messaging.operation.name=process": 2,
        "messaging.client.consumed.messages messaging.operation.name=receive": 5,
        "messaging.client.consumed.messages messaging.operation.name=receive_deferred": 1,
        "messaging.client.operation.duration error.type=MessageAlreadySettled messaging.operation.name=complete": [
          1,
          0
        ],
        "messaging.client.operation.duration error.type=MessageSizeExceededError messaging.operation.name=send": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=complete": [4, 0],
        "messaging.client.operation.duration messaging.operation.name=dead_letter": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=defer": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=receive": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=receive_deferred": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=retry_after": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=schedule": [1, 0],
        "messaging.client.operation.duration messaging.operation.name=send": [2, 0],
        "messaging.client.sent.messages messaging.operation.name=schedule": 1,
        "messaging.client.sent.messages messaging.operation.name=send": 7,
        "messaging.process.duration messaging.operation.name=process": [2, 4],
        "servicebus.drain.duration": [1, 0],
        "servicebus.link.attached role=receiver": 1,
        "servicebus.link.attached role=sender": 1,
        "servicebus.lock.margin": [2, 114],
        "servicebus.receiver.credit": 0,
        "servicebus.receiver.waiting": 0,
        [settled("complete", "complete")]: 5,
        [settled("dead_letter", "dead_letter")]: 1,
        [settled("defer", "defer")]: 1,
        [settled("retry_after", "complete")]: 1
      })
    }))

  test("links are counted, first and again", () =>
    Effect.gen(function*() {
      const registry: Map<string, any> = new Map()
      const emulator = yield* Emulator.Emulator
      yield* Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const server = yield* serverOf
        const links = Effect.map(snapshot(registry, server), (all) =>
          Object.fromEntries(Object.entries(all).filter(([name]) => name.startsWith("servicebus.link"))))
        const golden = (n: number) => ({
          "servicebus.link.attached role=receiver": n,
          "servicebus.link.attached role=sender": n
        })
        assert.deepStrictEqual(yield* links, golden(1))
        yield* emulator.dropConnections
        yield* passing(sender.send({ body: "one" }))
        yield* passing(receiver.receive())
        assert.deepStrictEqual(yield* links, golden(2))
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    }))

  test("credit and what waits are read of all receivers of an entity, for as long as there are any", () =>
    Effect.gen(function*() {
      const registry: Map<string, any> = new Map()
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const server = yield* serverOf
        const gauges = Effect.map(
          snapshot(registry, server),
          (all) => Object.fromEntries(Object.entries(all).filter(([name]) => name.startsWith("servicebus.receiver")))
        )
        yield* Effect.gen(function*() {
          yield* ServiceBusReceiver.make(Texts, { prefetch: 10 })
          assert.deepStrictEqual(yield* gauges, {
            "servicebus.receiver.credit": 10,
            "servicebus.receiver.waiting": 0
          })
          yield* Effect.scoped(Effect.gen(function*() {
            yield* ServiceBusReceiver.make(Texts, { prefetch: 20 })
            assert.strictEqual((yield* gauges)["servicebus.receiver.credit"], 30)
          }))
          assert.strictEqual((yield* gauges)["servicebus.receiver.credit"], 10)
          yield* emulator.send(Texts, texts(4))
          yield* until(Effect.map(gauges, (all) => all["servicebus.receiver.waiting"] === 4))
          assert.strictEqual((yield* gauges)["servicebus.receiver.credit"], 6)
        }).pipe(Effect.scoped)
        assert.deepStrictEqual(yield* gauges, {})
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    }))

  clock("of what is refused in part, the rest is counted", () =>
    Effect.gen(function*() {
      const registry: Map<string, any> = new Map()
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [first] = yield* receiver.receive()
        yield* passing(Effect.sleep("50 seconds"), "1 second")
        const others = yield* receiver.receive({ max: 2, maxWaitAfterFirst: "1 second" })
        yield* passing(Effect.sleep("15 seconds"), "1 second")
        yield* failsWith("MessageLockLostError")(receiver.completeAll([first!, ...others]))
        const all = yield* snapshot(registry, yield* serverOf)
        assert.strictEqual(all[settled("complete", "complete")], 2)
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    }))

  clock("renewals are counted by lock, once each", () =>
    Effect.gen(function*() {
      const registry: Map<string, any> = new Map()
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send(Texts, texts(3))
        const receiver = yield* ServiceBusReceiver.make(Texts, { renewalBatch: 10 })
        const messages = yield* receiver.receive({ max: 3, maxWaitAfterFirst: "1 second" })
        // One request for all is refused: each is renewed by itself, and none has failed.
        yield* emulator.fail({ operation: "renew", error: { condition: "com.microsoft:message-lock-lost" } })
        const held = messages.map((message) =>
          Effect.sleep("90 seconds").pipe(AutoLockRenewer.withLock(receiver, message), Effect.exit)
        )
        yield* passing(Effect.all(held, { concurrency: "unbounded" }), "1 second")
        const all = yield* snapshot(registry, yield* serverOf)
        assert.deepStrictEqual(all["servicebus.lock.renewals result=renewed"], 3)
        assert.deepStrictEqual(all["servicebus.lock.renewals result=failed"], undefined)
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    }))
}

const settled = (operation: string, disposition: string) =>
  `servicebus.settled.messages messaging.operation.name=${operation} messaging.servicebus.disposition_status=${disposition}`

const trace = "0af7651916cd43dd8448eb211c80319c"
const span = "b7ad6b7169203331"

/** The metrics of a registry: name and attributes without those that all have, and what they say. */
const snapshot = (
  registry: Map<string, any>,
  server: { readonly host: string; readonly port: number },
  entity = "texts"
) =>
  Effect.map(Effect.provideService(Metric.snapshot, Metric.MetricRegistry, registry), (all) =>
    Object.fromEntries(
      all.map(({ attributes, id, state, type }) => {
        const {
          "messaging.destination.name": destination,
          "messaging.system": system,
          "server.address": address,
          "server.port": port,
          ...own
        } = attributes as Record<string, string>
        assert.deepStrictEqual([system, destination, address, port], [
          "servicebus",
          entity,
          server.host,
          String(server.port)
        ])
        const key = [id, ...Object.keys(own).toSorted().map((name) => `${name}=${own[name]}`)].join(" ")
        const said = type === "Counter"
          ? (state as Metric.CounterState<number>).count
          : type === "Histogram"
          ? [(state as Metric.HistogramState).count, (state as Metric.HistogramState).sum]
          : (state as Metric.GaugeState<number>).value
        return [key, said] as const
      }).toSorted(([a], [b]) => a < b ? -1 : 1)
    ))

both((name, layerFor) => describe(`Telemetry, ${name}`, () => suite(name, layerFor)))

describe("Telemetry", () => {
  it.live("has no token, no key and no body in it, also where a credential fails", () => {
    const recording = recorder()
    const registry: Map<string, any> = new Map()
    const logged: Array<string> = []
    const logger = Logger.make(({ cause, fiber, message }) => {
      logged.push(inspect([message, Cause.pretty(cause), cause, fiber.getRef(References.CurrentLogAnnotations)], {
        depth: 20
      }))
    })
    const body = "a body that no other may read"
    const program = Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      yield* sender.sendAll([{ body }, { body }])
      yield* Effect.exit(sender.send({ body: body.repeat(10_000) }))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.fail("declined"))
      yield* until(Effect.map(processor.counts, ({ failed }) => failed > 1))
    }).pipe(Effect.scoped)
    return Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* program
      const { credential } = yield* ConnectionString.parse(emulator.connectionString)
      assert(credential._tag === "SharedKey")
      const key = Redacted.value(credential.key)
      const secrets = [key, "not the key", "not a token", "SharedAccessSignature", "sig=", body]
      const failing = (bad: ServiceBusCredential.ServiceBusCredential) =>
        Effect.exit(Effect.withSpan(
          Effect.provide(
            program,
            ServiceBusClient.layer({
              fullyQualifiedNamespace: "contoso.servicebus.windows.net",
              credential: bad,
              customEndpointAddress: `sb://localhost:${emulator.tlsPort}`,
              ca: emulator.certificate,
              retry: { maxRetries: 0 }
            })
          ),
          "failing"
        ))
      const token = "SharedAccessSignature sr=not a token&sig=not a token&se=1&skn=first"
      const exits = [
        yield* failing(ServiceBusCredential.sharedKey({ name: "RootManageSharedAccessKey", key: "not the key" })),
        yield* failing(ServiceBusCredential.sas(token))
      ]
      for (const exit of exits) assert.isTrue(Exit.isFailure(exit))
      const metrics = yield* Metric.snapshot
      const spans = recording.spans.map((span) => [
        span.name,
        [...span.attributes],
        span.events,
        span.status._tag === "Ended" && Exit.isFailure(span.status.exit)
          ? [Cause.pretty(span.status.exit.cause), span.status.exit.cause]
          : []
      ])
      assert.isAbove(spans.length, 6)
      assert.isAbove(metrics.length, 6)
      const all = [inspect(spans, { depth: 20 }), inspect(metrics, { depth: 20 }), ...logged].join("\n")
      assert.include(all, "ServiceBusAuth")
      for (const secret of secrets) assert.notInclude(all, secret)
    }).pipe(
      Effect.withTracer(recording.tracer),
      Effect.provide(
        Emulator.layerClientOver("tcp").pipe(
          Layer.provideMerge(Emulator.layerServer({ entities: [Emulator.entity(Texts)], tlsPort: 0 }))
        )
      ),
      Effect.provideService(Metric.MetricRegistry, registry),
      Effect.provideService(References.MinimumLogLevel, "Trace"),
      Effect.provide(Logger.layer([logger]))
    )
  })

  it.effect("costs no span and writes nothing without a trace", () =>
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      const receiver = yield* ServiceBusReceiver.make(Texts)
      yield* sender.sendAll([{ body: "one" }])
      const [message] = yield* receiver.receive()
      assert.deepStrictEqual(message!.applicationProperties, {})
    }).pipe(Effect.scoped, Effect.provide(inMemory({ entities: [Emulator.entity(Texts)] }))))
})
