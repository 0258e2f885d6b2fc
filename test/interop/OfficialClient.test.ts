/**
 * Microsoft's own client, unchanged, against the embedded broker on a TCP port.
 */
import { delay, ServiceBusClient, ServiceBusError, type ServiceBusReceivedMessage } from "@azure/service-bus"
import { Context, Effect, Layer, Redacted } from "effect"
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { assert, describe, it } from "../support/vitest.ts"

/** The namespace as the official client sees it. */
class Namespace extends Context.Service<Namespace, {
  readonly connectionString: string
  readonly emulator: Emulator.Emulator["Service"]
}>()("test/Namespace") {}

const listener = "Endpoint=sb://HOST;SharedAccessKeyName=listener;SharedAccessKey=listens;UseDevelopmentEmulator=true"

const queues: Record<string, Emulator.EntityOptions> = {
  "send-one": {},
  "send-array": {},
  "send-batch": { maxMessageSize: 20_000 },
  "nothing": {},
  "destructive": {},
  "auto": {},
  "manual": {},
  "failing": { maxDeliveryCount: 2 },
  "stopped": {},
  "abandon": {},
  "dead": {},
  "defer": {},
  "renew": { lockDuration: "5 seconds" },
  "poison": { maxDeliveryCount: 3 },
  "lost": { lockDuration: "1 second" },
  "lost-abandon": { lockDuration: "1 second" },
  "large": { maxMessageSize: 2000 },
  "full": { maxSize: 3000 },
  "rights": {},
  "ttl": {},
  "ttl-dead": { deadLetteringOnExpiration: true },
  "unnamed": {},
  "many": {},
  "close": {},
  "close-busy": {},
  "nested/name.of-queue_1": {}
}

const NamespaceLive = Layer.effect(
  Namespace,
  Effect.map(
    Emulator.Emulator,
    (emulator) => Namespace.of({ connectionString: Redacted.value(emulator.connectionString), emulator })
  )
).pipe(Layer.provide(Emulator.layerServer({
  entities: Object.entries(queues).map(([name, options]) => Emulator.entity(name, options)),
  policies: [{ name: "listener", key: Redacted.make("listens"), rights: ["Listen"] }]
})))

/** Waits are of the network alone, so that an error is not tried again for minutes. */
const options = { retryOptions: { maxRetries: 0, timeoutInMs: 5000, retryDelayInMs: 20 } }

/** A test in the client's own style: promises, and a client that is closed whatever happens. */
const using = (
  test: (client: ServiceBusClient, emulator: Emulator.Emulator["Service"]) => Promise<void>,
  connectionString?: (real: string) => string
) =>
  Effect.flatMap(Namespace, (namespace) =>
    Effect.acquireUseRelease(
      Effect.sync(() =>
        new ServiceBusClient(connectionString?.(namespace.connectionString) ?? namespace.connectionString, options)
      ),
      (client) => Effect.promise(() => test(client, namespace.emulator)),
      (client) => Effect.promise(() => client.close())
    ))

const failure = async (promise: Promise<unknown>): Promise<ServiceBusError> => {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    assert.instanceOf(error, ServiceBusError)
    return error
  }
  throw new Error(`expected a failure, got ${String(value)}`)
}

/** What the broker's controls take. */
const named = (name: string) => ServiceBusEntity.queue(name, { body: ServiceBusBody.bytes })

/** A promise with its ends; the library that we compile for has none yet. */
const withResolvers = <A>() => {
  let resolve!: (value: A) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<A>((onDone, onFail) => {
    resolve = onDone
    reject = onFail
  })
  return { promise, resolve, reject }
}

const bad = { deadLetterReason: "bad", deadLetterErrorDescription: "very" }

const quickly = { maxWaitTimeInMs: 400 }

const ids = (messages: ReadonlyArray<ServiceBusReceivedMessage>) => messages.map(({ messageId }) => messageId)

// The clock of these tests is the real one.
it.layer(NamespaceLive, { excludeTestServices: true })("the official client", (it) => {
  describe("sends", () => {
    it.effect("one message, with what the broker says of it", () =>
      using(async (client) => {
        const before = Date.now()
        await client.createSender("send-one").sendMessages({ body: { total: 1 }, messageId: "one" })
        const receiver = client.createReceiver("send-one")
        const [message, ...more] = await receiver.receiveMessages(5)
        assert.lengthOf(more, 0)
        assert.deepStrictEqual(message!.body, { total: 1 })
        assert.strictEqual(message!.messageId, "one")
        assert.strictEqual(message!.deliveryCount, 0)
        assert.strictEqual(message!.sequenceNumber!.toString(), "1")
        // Only where it was forwarded.
        assert.isUndefined(message!.enqueuedSequenceNumber)
        assert.strictEqual(message!.state, "active")
        assert.match(message!.lockToken!, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
        assert.closeTo(message!.enqueuedTimeUtc!.getTime(), before, 4000)
        assert.closeTo(message!.lockedUntilUtc!.getTime(), before + 60_000, 4000)
        await receiver.completeMessage(message!)
        assert.deepStrictEqual(await receiver.receiveMessages(1, quickly), [])
      }))

    it.effect("an array as one batch, in order", () =>
      using(async (client) => {
        const bodies = Array.from({ length: 120 }, (_, i) => ({ body: i, messageId: `m${i}` }))
        await client.createSender("send-array").sendMessages(bodies)
        const receiver = client.createReceiver("send-array", { receiveMode: "receiveAndDelete" })
        const messages = await receiver.receiveMessages(bodies.length)
        assert.deepStrictEqual(messages.map(({ body }) => body), bodies.map(({ body }) => body))
        assert.deepStrictEqual(ids(messages), bodies.map(({ messageId }) => messageId))
      }))

    it.effect("a batch that is filled up to the link's limit", () =>
      using(async (client) => {
        const sender = client.createSender("send-batch")
        const batch = await sender.createMessageBatch()
        assert.strictEqual(batch.maxSizeInBytes, 20_000)
        while (batch.tryAddMessage({ body: Buffer.alloc(900, batch.count), messageId: `${batch.count}` }));
        assert.isAbove(batch.count, 15)
        assert.isAtMost(batch.sizeInBytes, 20_000)
        await sender.sendMessages(batch)
        const smaller = await sender.createMessageBatch({ maxSizeInBytes: 500 })
        assert.isFalse(smaller.tryAddMessage({ body: Buffer.alloc(600) }))
        const receiver = client.createReceiver("send-batch", { receiveMode: "receiveAndDelete" })
        const messages = await receiver.receiveMessages(batch.count)
        assert.deepStrictEqual(ids(messages), Array.from({ length: batch.count }, (_, i) => `${i}`))
        assert.deepStrictEqual(messages[7]!.body, Buffer.alloc(900, 7))
      }))

    it.effect("messages without an id, which the broker names", () =>
      using(async (client) => {
        await client.createSender("unnamed").sendMessages([{ body: 1 }, { body: 2, timeToLive: 60_000 }])
        const receiver = client.createReceiver("unnamed")
        const messages = await receiver.receiveMessages(2)
        assert.lengthOf(messages, 2)
        for (const { messageId } of messages) assert.match(String(messageId), /^[0-9a-f]{32}$/)
        assert.notStrictEqual(messages[0]!.messageId, messages[1]!.messageId)
        // It cannot even settle a message without an id.
        await Promise.all(messages.map((message) => receiver.completeMessage(message)))
      }))

    it.effect("to a name with slashes", () =>
      using(async (client) => {
        await client.createSender("nested/name.of-queue_1").sendMessages({ body: "in there" })
        const receiver = client.createReceiver("Nested/Name.Of-Queue_1")
        const [message] = await receiver.receiveMessages(1)
        assert.strictEqual(message!.body, "in there")
        await receiver.completeMessage(message!)
      }))
  })

  describe("receives", () => {
    it.effect("nothing from an empty queue, and what comes while it waits", () =>
      using(async (client) => {
        const receiver = client.createReceiver("nothing")
        assert.deepStrictEqual(await receiver.receiveMessages(10, quickly), [])
        const waiting = receiver.receiveMessages(10)
        await client.createSender("nothing").sendMessages({ body: "late" })
        const [message] = await waiting
        assert.strictEqual(message!.body, "late")
        await receiver.completeMessage(message!)
        // Drained: what is sent while no receiver asks stays in the queue.
        await client.createSender("nothing").sendMessages({ body: "later" })
        const other = client.createReceiver("nothing", { receiveMode: "receiveAndDelete" })
        assert.strictEqual((await other.receiveMessages(1))[0]!.body, "later")
      }))

    it.effect("destructively, without locks", () =>
      using(async (client, emulator) => {
        await client.createSender("destructive").sendMessages([{ body: "a" }, { body: "b" }, { body: "c" }])
        const receiver = client.createReceiver("destructive", { receiveMode: "receiveAndDelete" })
        const first = await receiver.receiveMessages(2)
        assert.deepStrictEqual(first.map(({ body }) => body), ["a", "b"])
        assert.isUndefined(first[0]!.lockedUntilUtc)
        const second = await receiver.receiveMessages(2, { maxWaitTimeInMs: 1000 })
        assert.deepStrictEqual(second.map(({ body }) => body), ["c"])
        const counters = await Effect.runPromise(emulator.counters(named("destructive")))
        assert.deepInclude(counters, { enqueued: 3, delivered: 3, completed: 0 })
      }))

    it.effect("many messages in several calls, each of them once", () =>
      using(async (client) => {
        const sender = client.createSender("many")
        for (let i = 0; i < 3; i++) {
          await sender.sendMessages(
            Array.from({ length: 400 }, (_, j) => ({ body: i * 400 + j, messageId: `${i}-${j}` }))
          )
        }
        const receiver = client.createReceiver("many")
        const seen: Array<number> = []
        while (seen.length < 1200) {
          const messages = await receiver.receiveMessages(500)
          await Promise.all(messages.map((message) => receiver.completeMessage(message)))
          for (const { body } of messages) seen.push(body)
        }
        assert.deepStrictEqual(seen, Array.from({ length: 1200 }, (_, i) => i))
        assert.deepStrictEqual(await receiver.receiveMessages(1, quickly), [])
      }))
  })

  describe("subscribes", () => {
    it.effect("and completes by itself", () =>
      using(async (client, emulator) => {
        await client.createSender("auto").sendMessages(Array.from({ length: 30 }, (_, i) => ({ body: i })))
        const receiver = client.createReceiver("auto")
        const bodies: Array<number> = []
        const errors: Array<unknown> = []
        const done = withResolvers<void>()
        const subscription = receiver.subscribe({
          processMessage: async ({ body }) => {
            bodies.push(body)
            if (bodies.length === 30) done.resolve()
          },
          processError: async ({ error }) => void errors.push(error)
        }, { maxConcurrentCalls: 5 })
        await done.promise
        await subscription.close()
        await receiver.close()
        assert.deepStrictEqual(bodies.toSorted((a, b) => a - b), Array.from({ length: 30 }, (_, i) => i))
        assert.deepStrictEqual(errors, [])
        const counters = await Effect.runPromise(emulator.counters(named("auto")))
        assert.deepInclude(counters, { delivered: 30, completed: 30, redelivered: 0 })
      }))

    it.effect("and settles as it is told", () =>
      using(async (client, emulator) => {
        await client.createSender("manual").sendMessages([{ body: "good" }, { body: "bad" }, { body: "again" }])
        const receiver = client.createReceiver("manual")
        const done = withResolvers<void>()
        const seen: Array<string> = []
        const subscription = receiver.subscribe({
          processMessage: async (message) => {
            if (message.body === "bad") await receiver.deadLetterMessage(message, bad)
            else if (message.body === "again" && message.deliveryCount === 0) await receiver.abandonMessage(message)
            else await receiver.completeMessage(message)
            seen.push(message.body)
            if (seen.length === 4) done.resolve()
          },
          processError: async ({ error }) => done.reject(error)
        }, { autoCompleteMessages: false })
        await done.promise
        await subscription.close()
        assert.deepStrictEqual(seen.toSorted(), ["again", "again", "bad", "good"])
        const counters = await Effect.runPromise(emulator.counters(named("manual")))
        assert.deepInclude(counters, { completed: 2, abandoned: 1, deadLettered: 1 })
      }))

    it.effect("and abandons what its handler throws at, until the broker has had enough", () =>
      using(async (client) => {
        await client.createSender("failing").sendMessages({ body: "x" })
        const receiver = client.createReceiver("failing")
        const counts: Array<number> = []
        const subscription = receiver.subscribe({
          processMessage: async ({ deliveryCount }) => {
            counts.push(deliveryCount!)
            throw new Error("as planned")
          },
          processError: async () => {}
        })
        const [dead] = await client.createReceiver("failing", { subQueueType: "deadLetter" }).receiveMessages(1)
        await subscription.close()
        assert.deepStrictEqual(counts, [0, 1])
        assert.strictEqual(dead!.deadLetterReason, "MaxDeliveryCountExceeded")
      }))

    it.effect("and gets nothing any more once it is closed", () =>
      using(async (client) => {
        const receiver = client.createReceiver("stopped")
        const first = withResolvers<void>()
        const seen: Array<string> = []
        const subscription = receiver.subscribe({
          processMessage: async ({ body }) => {
            seen.push(body)
            first.resolve()
          },
          processError: async ({ error }) => first.reject(error)
        })
        const sender = client.createSender("stopped")
        await sender.sendMessages({ body: "during" })
        await first.promise
        await subscription.close()
        await sender.sendMessages({ body: "after" })
        const [message] = await client.createReceiver("stopped").receiveMessages(1)
        assert.deepStrictEqual(seen, ["during"])
        assert.strictEqual(message!.body, "after")
        assert.strictEqual(message!.deliveryCount, 0)
      }))
  })

  describe("settles", () => {
    it.effect("by abandoning, with properties to modify", () =>
      using(async (client) => {
        await client.createSender("abandon").sendMessages({
          body: "x",
          messageId: "kept",
          applicationProperties: { kept: 1, changed: "before" }
        })
        const receiver = client.createReceiver("abandon")
        const tokens = new Set<string>()
        for (let count = 0; count < 3; count++) {
          const [message] = await receiver.receiveMessages(1)
          assert.strictEqual(message!.deliveryCount, count)
          assert.strictEqual(message!.messageId, "kept")
          assert.strictEqual(message!.sequenceNumber!.toString(), "1")
          tokens.add(message!.lockToken!)
          // The client gives numbers for dates.
          assert.deepStrictEqual(
            message!.applicationProperties,
            count === 0
              ? { kept: 1, changed: "before" }
              : { kept: 1, changed: "after", at: 0, count, none: null, yes: true }
          )
          await receiver.abandonMessage(message!, {
            changed: "after",
            at: new Date(0),
            count: count + 1,
            none: null,
            yes: true
          })
        }
        assert.strictEqual(tokens.size, 3)
      }))

    it.effect("by dead-lettering, and reads the dead letter", () =>
      using(async (client) => {
        await client.createSender("dead").sendMessages([
          { body: { n: 1 }, messageId: "told", correlationId: "c", applicationProperties: { kept: true } },
          { body: { n: 2 }, messageId: "untold" }
        ])
        const receiver = client.createReceiver("dead")
        const [told, untold] = await receiver.receiveMessages(2)
        await receiver.deadLetterMessage(told!, {
          deadLetterReason: "NotForUs",
          deadLetterErrorDescription: "it is for somebody else",
          attempt: 3
        })
        await receiver.deadLetterMessage(untold!)
        const letters = client.createReceiver("dead", { subQueueType: "deadLetter" })
        const [first, second] = await letters.receiveMessages(2)
        assert.strictEqual(first!.messageId, "told")
        assert.strictEqual(first!.correlationId, "c")
        assert.deepStrictEqual(first!.body, { n: 1 })
        assert.strictEqual(first!.deadLetterReason, "NotForUs")
        assert.strictEqual(first!.deadLetterErrorDescription, "it is for somebody else")
        assert.deepInclude(first!.applicationProperties, { kept: true, attempt: 3 })
        assert.strictEqual(second!.messageId, "untold")
        assert.isNotOk(second!.deadLetterReason)
        // Abandoned there it stays there.
        await letters.abandonMessage(first!)
        const [again] = await letters.receiveMessages(1)
        assert.strictEqual(again!.messageId, "told")
        await letters.completeMessage(again!)
        await letters.completeMessage(second!)
        assert.deepStrictEqual(await letters.receiveMessages(1, quickly), [])
      }))

    it.effect("by deferring", () =>
      using(async (client, emulator) => {
        await client.createSender("defer").sendMessages({ body: "x", messageId: "aside" })
        const receiver = client.createReceiver("defer")
        const [message] = await receiver.receiveMessages(1)
        await receiver.deferMessage(message!, { why: "later" })
        assert.deepStrictEqual(await receiver.receiveMessages(1, quickly), [])
        const [held] = await Effect.runPromise(emulator.messages(named("defer")))
        assert.strictEqual(held!.state, "deferred")
        assert.strictEqual(held!.messageId, "aside")
        assert.deepInclude(held!.applicationProperties, { why: "later" })
      }))

    it.effect("after it renewed the lock", () =>
      using(async (client, emulator) => {
        await client.createSender("renew").sendMessages({ body: "x" })
        const receiver = client.createReceiver("renew", { maxAutoLockRenewalDurationInMs: 0 })
        const [message] = await receiver.receiveMessages(1)
        const before = message!.lockedUntilUtc!
        await delay(30)
        const until = await receiver.renewMessageLock(message!)
        assert.isAbove(until.getTime(), before.getTime())
        assert.closeTo(until.getTime(), Date.now() + 5000, 1000)
        assert.deepStrictEqual(message!.lockedUntilUtc, until)
        await receiver.completeMessage(message!)
        const lost = await failure(receiver.renewMessageLock(message!))
        assert.strictEqual(lost.code, "MessageLockLost")
        const counters = await Effect.runPromise(emulator.counters(named("renew")))
        assert.deepInclude(counters, { renewed: 1, completed: 1 })
      }))

    it.effect("too often: the broker takes the message to the dead letters", () =>
      using(async (client) => {
        await client.createSender("poison").sendMessages({ body: "x", messageId: "poison" })
        const receiver = client.createReceiver("poison")
        for (let count = 0; count < 3; count++) {
          const [message] = await receiver.receiveMessages(1)
          assert.strictEqual(message!.deliveryCount, count)
          await receiver.abandonMessage(message!)
        }
        assert.deepStrictEqual(await receiver.receiveMessages(1, quickly), [])
        const [dead] = await client.createReceiver("poison", { subQueueType: "deadLetter" }).receiveMessages(1)
        assert.strictEqual(dead!.messageId, "poison")
        assert.strictEqual(dead!.deadLetterReason, "MaxDeliveryCountExceeded")
        assert.match(dead!.deadLetterErrorDescription!, /could not be consumed after 3 delivery attempts/)
      }))
  })

  describe("is told", () => {
    it.effect("that a lock is lost", () =>
      using(async (client) => {
        await client.createSender("lost").sendMessages({ body: "x" })
        const receiver = client.createReceiver("lost", { maxAutoLockRenewalDurationInMs: 0 })
        const [message] = await receiver.receiveMessages(1)
        await delay(1200)
        const error = await failure(receiver.completeMessage(message!))
        assert.strictEqual(error.code, "MessageLockLost")
        assert.isFalse(error.retryable)
        assert.match(error.message, /The lock supplied is invalid.*TrackingId:.*Timestamp:/)
        const [again] = await receiver.receiveMessages(1)
        assert.strictEqual(again!.deliveryCount, 1)
        assert.notStrictEqual(again!.lockToken, message!.lockToken)
        await receiver.completeMessage(again!)
      }))

    it.effect("that a lock is lost, whatever it wanted to do", () =>
      using(async (client) => {
        await client.createSender("lost-abandon").sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }, { body: 4 }])
        const receiver = client.createReceiver("lost-abandon", { maxAutoLockRenewalDurationInMs: 0 })
        const [one, two, three, four] = await receiver.receiveMessages(4)
        await delay(1200)
        // In one tick: neighbours on the wire.
        const errors = await Promise.all([
          failure(receiver.abandonMessage(one!)),
          failure(receiver.deferMessage(two!)),
          failure(receiver.deadLetterMessage(three!)),
          failure(receiver.renewMessageLock(four!))
        ])
        assert.deepStrictEqual(errors.map(({ code }) => code), Array.from({ length: 4 }, () => "MessageLockLost"))
      }))

    it.effect("that a message is too large", () =>
      using(async (client, emulator) => {
        const sender = client.createSender("large")
        const error = await failure(sender.sendMessages({ body: Buffer.alloc(3000) }))
        assert.strictEqual(error.code, "MessageSizeExceeded")
        assert.isFalse(error.retryable)
        await sender.sendMessages({ body: "the link lives on" })
        assert.lengthOf(await Effect.runPromise(emulator.messages(named("large"))), 1)
      }))

    it.effect("that the queue is full", () =>
      using(async (client) => {
        const sender = client.createSender("full")
        await sender.sendMessages({ body: Buffer.alloc(2000) })
        const error = await failure(sender.sendMessages({ body: Buffer.alloc(2000) }))
        assert.strictEqual(error.code, "QuotaExceeded")
      }))

    it.effect("that an entity is missing", () =>
      using(async (client) => {
        const sending = await failure(client.createSender("missing").sendMessages({ body: "x" }))
        assert.strictEqual(sending.code, "MessagingEntityNotFound")
        assert.match(sending.message, /could not be found/)
        const receiving = await failure(client.createReceiver("missing").receiveMessages(1))
        assert.strictEqual(receiving.code, "MessagingEntityNotFound")
        const letters = client.createReceiver("missing", { subQueueType: "deadLetter" })
        assert.strictEqual((await failure(letters.receiveMessages(1))).code, "MessagingEntityNotFound")
        const streamed = withResolvers<unknown>()
        const receiver = client.createReceiver("missing")
        const subscription = receiver.subscribe({
          processMessage: async () => {},
          processError: async ({ error }) => streamed.resolve(error)
        })
        const error = await streamed.promise as ServiceBusError
        await subscription.close()
        assert.strictEqual(error.code, "MessagingEntityNotFound")
      }))

    it.effect("that its key is wrong", () =>
      using(async (client) => {
        const error = await failure(client.createSender("rights").sendMessages({ body: "x" }))
        assert.strictEqual(error.code, "UnauthorizedAccess")
        assert.match(error.message, /InvalidSignature/)
        const receiving = await failure(client.createReceiver("rights").receiveMessages(1))
        assert.strictEqual(receiving.code, "UnauthorizedAccess")
      }, (real) => real.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc=")))

    it.effect("that it lacks the right to send", () =>
      using(async (client) => {
        const error = await failure(client.createSender("rights").sendMessages({ body: "x" }))
        assert.strictEqual(error.code, "UnauthorizedAccess")
        assert.match(error.message, /'Send' claim/)
        assert.deepStrictEqual(await client.createReceiver("rights").receiveMessages(1, quickly), [])
      }, (real) => listener.replace("HOST", /sb:\/\/([^;/]+)/.exec(real)![1]!)))
  })

  describe("sees time to live", () => {
    it.effect("drop a message", () =>
      using(async (client, emulator) => {
        await client.createSender("ttl").sendMessages([
          { body: "short", timeToLive: 200 },
          { body: "long", timeToLive: 60_000 }
        ])
        await delay(300)
        const receiver = client.createReceiver("ttl")
        const [message, ...more] = await receiver.receiveMessages(2, { maxWaitTimeInMs: 1000 })
        assert.lengthOf(more, 0)
        assert.strictEqual(message!.body, "long")
        // It counts from the sender's clock to the broker's word on the end.
        assert.closeTo(message!.timeToLive!, 60_000, 4000)
        assert.strictEqual(
          message!.expiresAtUtc!.getTime(),
          message!.enqueuedTimeUtc!.getTime() + 60_000
        )
        await receiver.completeMessage(message!)
        const counters = await Effect.runPromise(emulator.counters(named("ttl")))
        assert.deepInclude(counters, { expired: 1, deadLettered: 0 })
      }))

    it.effect("take a message to the dead letters", () =>
      using(async (client) => {
        await client.createSender("ttl-dead").sendMessages({ body: "short", timeToLive: 100 })
        const letters = client.createReceiver("ttl-dead", { subQueueType: "deadLetter" })
        const [dead] = await letters.receiveMessages(1)
        assert.strictEqual(dead!.body, "short")
        assert.strictEqual(dead!.deadLetterReason, "TTLExpiredException")
        assert.strictEqual(dead!.deadLetterErrorDescription, "The message expired and was dead lettered.")
        await letters.completeMessage(dead!)
      }))
  })
})

/** On brokers of their own, whose connections can be counted and cut. */
describe("the official client closes", () => {
  const alone = (test: (client: ServiceBusClient, emulator: Emulator.Emulator["Service"]) => Promise<void>) =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const client = new ServiceBusClient(Redacted.value(emulator.connectionString), options)
      yield* Effect.promise(() => test(client, emulator))
      return client
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity("q")] })))

  const connections = (emulator: Emulator.Emulator["Service"]) => Effect.runPromise(emulator.connections)

  /** Until the other side of the socket has heard of it too. */
  const noConnections = async (emulator: Emulator.Emulator["Service"]) => {
    while (await connections(emulator) > 0) await delay(5)
  }

  it.live("links, receivers and itself, and leaves no connection", () =>
    alone(async (client, emulator) => {
      const sender = client.createSender("q")
      await sender.sendMessages([{ body: 1 }, { body: 2 }])
      const receiver = client.createReceiver("q")
      const [one] = await receiver.receiveMessages(1)
      await receiver.renewMessageLock(one!)
      assert.strictEqual(await connections(emulator), 1)
      await receiver.close()
      await sender.close()
      await client.close()
      await noConnections(emulator)
    }))

  it.live("while it subscribes and while it waits", () =>
    alone(async (client, emulator) => {
      const errors: Array<unknown> = []
      const first = withResolvers<void>()
      client.createReceiver("q").subscribe({
        processMessage: async () => first.resolve(),
        processError: async ({ error }) => void errors.push(error)
      })
      await client.createSender("q").sendMessages({ body: 1 })
      await first.promise
      const receiver = client.createReceiver("q")
      // It goes on waiting for as long as it was told to.
      const waiting = receiver.receiveMessages(1, { maxWaitTimeInMs: 700 }).catch((error: unknown) => error)
      await delay(300)
      await client.close()
      await waiting
      await noConnections(emulator)
      assert.deepStrictEqual(errors, [])
    }))

  it.live("after the broker, which does not wait for it", () =>
    Effect.gen(function*() {
      const client = yield* alone(async (client) => {
        await client.createSender("q").sendMessages({ body: 1 })
      })
      // Until it has seen that the socket is gone it waits for an answer.
      yield* Effect.promise(() => delay(200).then(() => client.close()))
    }))

  it.live("nothing when the broker cuts the connection: it comes again", () =>
    alone(async (client, emulator) => {
      const sender = client.createSender("q")
      await sender.sendMessages({ body: 1 })
      await Effect.runPromise(emulator.dropConnections)
      await delay(200)
      await sender.sendMessages({ body: 2 })
      const receiver = client.createReceiver("q")
      assert.lengthOf(await receiver.receiveMessages(2), 2)
      await client.close()
    }))
})
