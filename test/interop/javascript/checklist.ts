/** The checklist with @azure/service-bus: a function for each check, which throws where something does not hold. */
import {
  type CorrelationRuleFilter,
  type RuleProperties,
  ServiceBusClient,
  type ServiceBusClientOptions,
  type ServiceBusMessage,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSessionReceiver
} from "@azure/service-bus"
import Long from "long"
import { deepStrictEqual, ok, strictEqual } from "node:assert"
import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { WebSocket } from "ws"
import { administration } from "./administration.ts"
import { identity, type IdentityPlace } from "./identity.ts"
import { plainAmqp } from "./plainAmqp.ts"

/** Where the broker is. */
interface Place extends IdentityPlace {
  readonly webSocketPort: number
}

/** Checks of what the SDK does not have, and why. */
export const lacking: Record<string, string> = {
  "released": "it drains its link and closes it, and releases nothing",
  "session-list": "this SDK does not list sessions",
  "admin-standard-port": "a connection string may have another one"
}

const retryOptions = { maxRetries: 1, retryDelayInMs: 100, timeoutInMs: 8000 }

export const rejects = async (
  what: string,
  code: string | undefined,
  action: () => Promise<unknown>,
  text?: string
) => {
  const started = Date.now()
  let error: (Error & { readonly code?: string }) | undefined
  try {
    await action()
  } catch (cause) {
    // What was tried again comes as all its failures.
    error = cause instanceof AggregateError ? cause.errors.at(-1) as Error : cause as Error
  }
  if (error === undefined) throw new Error(`${what}: nothing failed`)
  if (code !== undefined) {
    if (error.code !== code) {
      throw new Error(`${what}: ${error.name} ${error.code}, not ${code}: ${error.message}`, { cause: error })
    }
  }
  if (text !== undefined) {
    ok(error.message.includes(text), `${what}: the error does not say "${text}": ${error.message}`)
  }
  ok(Date.now() - started < 15_000, `${what}: took ${Date.now() - started} ms`)
}

export const bodies = (messages: ReadonlyArray<ServiceBusReceivedMessage>) =>
  messages.map(({ body }) => body as unknown)
const numbers = (messages: ReadonlyArray<ServiceBusReceivedMessage>) => messages.map((m) => Number(m.sequenceNumber))
const longs = (messages: ReadonlyArray<ServiceBusReceivedMessage>) => messages.map((m) => m.sequenceNumber!)

/** Exactly `count` messages. */
export const receive = async (receiver: ServiceBusReceiver, count: number) => {
  const messages: Array<ServiceBusReceivedMessage> = []
  const until = Date.now() + 8000
  while (messages.length < count && Date.now() < until) {
    messages.push(...await receiver.receiveMessages(count - messages.length, { maxWaitTimeInMs: 2000 }))
  }
  strictEqual(messages.length, count, `${messages.length} messages came, not ${count}`)
  return messages
}

export const one = async (receiver: ServiceBusReceiver) => (await receive(receiver, 1))[0]!

const peek = (receiver: ServiceBusReceiver, count: number, from: number) =>
  receiver.peekMessages(count, { fromSequenceNumber: Long.fromNumber(from) })

const isEmpty = async (receiver: ServiceBusReceiver) => {
  await sleep(200)
  deepStrictEqual(bodies(await peek(receiver, 10, 1)), [])
}

/** A client for one check, whose queue has the check's name. */
class Check {
  readonly name: string
  readonly place: Place
  readonly client: ServiceBusClient

  constructor(name: string, place: Place, connection = place.connection, options: ServiceBusClientOptions = {}) {
    this.name = name
    this.place = place
    this.client = new ServiceBusClient(connection, { retryOptions, ...options })
  }

  async send(...messages: ReadonlyArray<ServiceBusMessage | string>) {
    const sender = this.client.createSender(this.name)
    for (const message of messages) await sender.sendMessages(typeof message === "string" ? { body: message } : message)
    await sender.close()
  }

  sendTo(sessionId: string, ...texts: ReadonlyArray<string>) {
    return this.send(...texts.map((body) => ({ body, sessionId })))
  }

  receiver() {
    return this.client.createReceiver(this.name, { maxAutoLockRenewalDurationInMs: 0 })
  }

  destructive() {
    return this.client.createReceiver(this.name, { receiveMode: "receiveAndDelete" })
  }

  deadLetters() {
    return this.client.createReceiver(this.name, { subQueueType: "deadLetter", maxAutoLockRenewalDurationInMs: 0 })
  }

  accept(session: string): Promise<ServiceBusSessionReceiver> {
    return this.client.acceptSession(this.name, session, { maxAutoLockRenewalDurationInMs: 0 })
  }

  next(): Promise<ServiceBusSessionReceiver> {
    return this.client.acceptNextSession(this.name, { maxAutoLockRenewalDurationInMs: 0 })
  }

  async roundTrip(size: number) {
    const body = randomBytes(size)
    await this.send({ body })
    const receiver = this.receiver()
    const message = await one(receiver)
    ok(body.equals(message.body as Buffer), `the body of ${size} bytes came back other`)
    await receiver.completeMessage(message)
    await isEmpty(receiver)
  }

  async refused(size: number) {
    const sender = this.client.createSender(this.name)
    const started = Date.now()
    await rejects("sending", "MessageSizeExceeded", () => sender.sendMessages({ body: Buffer.alloc(size) }))
    ok(Date.now() - started < 8000, "it took more than 8 s")
    await sender.sendMessages({ body: "after" })
    strictEqual((await one(this.receiver())).body, "after")
  }
}

const checks: Record<string, (c: Check) => Promise<void>> = {
  // Sending and receiving.

  "documented": async (c) => {
    process.env["SERVICE_BUS_CONNECTION_STR"] = c.place.connection
    await import("./documented.ts")
    await isEmpty(c.client.createReceiver("orders"))
  },
  "send-receive": async (c) => {
    await c.send("one", "two", "drei ä")
    const receiver = c.receiver()
    const messages = await receive(receiver, 3)
    deepStrictEqual(bodies(messages), ["one", "two", "drei ä"])
    for (const message of messages) {
      strictEqual(message.deliveryCount, 0)
      await receiver.completeMessage(message)
    }
    await isEmpty(receiver)
  },

  "receive-and-delete": async (c) => {
    await c.send("one", "two")
    const receiver = c.destructive()
    const messages = await receive(receiver, 2)
    deepStrictEqual(bodies(messages), ["one", "two"])
    strictEqual(messages[0]!.lockToken, undefined)
    await isEmpty(receiver)
  },

  "batch": async (c) => {
    const sender = c.client.createSender(c.name)
    const batch = await sender.createMessageBatch()
    const expected = Array.from({ length: 50 }, (_, index) => String(index))
    for (const body of expected) ok(batch.tryAddMessage({ body, messageId: `id-${body}` }))
    await sender.sendMessages(batch)
    await sender.sendMessages([{ body: "list-1" }, { body: "list-2" }])
    const messages = await receive(c.receiver(), 52)
    deepStrictEqual(bodies(messages), [...expected, "list-1", "list-2"])
    deepStrictEqual(messages.slice(0, 50).map((m) => m.messageId), expected.map((body) => `id-${body}`))
    deepStrictEqual(numbers(messages), messages.map((_, index) => index + 1))
  },

  "batch-of-sessions": async (c) => {
    const sender = c.client.createSender(c.name)
    const batch = await sender.createMessageBatch()
    for (const session of ["a", "b", "c"]) ok(batch.tryAddMessage({ body: session, sessionId: session }))
    await sender.sendMessages(batch)
    for (const session of ["a", "b", "c"]) {
      const receiver = await c.accept(session)
      const message = await one(receiver)
      strictEqual(message.body, session)
      await receiver.completeMessage(message)
    }
  },

  "fields": async (c) => {
    const fields = {
      messageId: "id",
      correlationId: "correlation",
      subject: "subject",
      to: "to",
      replyTo: "reply",
      replyToSessionId: "reply-session",
      contentType: "text/plain",
      sessionId: "key",
      partitionKey: "key"
    }
    const before = Date.now() - 2000
    await c.send({ body: "body", ...fields })
    const receiver = c.receiver()
    const message = await one(receiver)
    deepStrictEqual(
      Object.fromEntries(Object.keys(fields).map((key) => [key, message[key as keyof typeof fields]])),
      fields
    )
    strictEqual(Number(message.sequenceNumber), 1)
    strictEqual(message.enqueuedSequenceNumber, undefined)
    const enqueued = message.enqueuedTimeUtc!.getTime()
    ok(enqueued > before && enqueued < Date.now() + 2000, `enqueued at ${enqueued}`)
    const left = message.lockedUntilUtc!.getTime() - Date.now()
    ok(left > 25_000 && left < 31_000, `locked for ${left} ms`)
    ok(/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(message.lockToken!), `lock token ${message.lockToken}`)
    await receiver.completeMessage(message)
  },

  "time-to-live": async (c) => {
    const spans = [90_000, 40 * 86_400_000, 60 * 86_400_000]
    const [short, long, longest] = spans
    const began = Date.now()
    await c.send({ body: "x", timeToLive: short! }, { body: "x", timeToLive: long! })
    // Its plain messages end at 49.7 days by themselves; those by their sections do not.
    await c.send({ bodyType: "data", body: "x", header: { timeToLive: longest! } } as never)
    const messages = await receive(c.receiver(), 3)
    // The client counts from when a message is made, the broker from when it comes.
    const most = Date.now() - began + 1000
    deepStrictEqual(messages.map((m) => m._rawAmqpMessage.header!.timeToLive), spans)
    for (const [index, message] of messages.entries()) {
      const { absoluteExpiryTime } = message._rawAmqpMessage.properties!
      const off = Math.abs(absoluteExpiryTime! - message.enqueuedTimeUtc!.getTime() - spans[index]!)
      ok(off < most, `expires off by ${off} ms`)
    }
  },

  "property-types": async (c) => {
    const applicationProperties = {
      text: "täxt",
      yes: true,
      no: false,
      small: 5,
      negative: -70_000,
      large: 2 ** 40,
      real: 1.5,
      nothing: null
    }
    const time = new Date(1_700_000_000_123)
    await c.send({ body: "x", applicationProperties: { ...applicationProperties, time } })
    // The SDK gives times as numbers.
    deepStrictEqual({ ...(await one(c.receiver())).applicationProperties }, {
      ...applicationProperties,
      time: time.getTime()
    })
  },

  "body-kinds": async (c) => {
    const sender = c.client.createSender(c.name)
    await sender.sendMessages({ bodyType: "data", body: Buffer.from([0, 255]) })
    await sender.sendMessages({ bodyType: "value", body: { a: 1, b: [true, "x"] } })
    await sender.sendMessages({
      bodyType: "sequence",
      body: [[1, 2], ["three"]],
      header: { priority: 7 },
      messageAnnotations: { mine: 1 },
      footer: { end: 2 }
    })
    const messages = await receive(c.receiver(), 3)
    deepStrictEqual([...messages[0]!.body as Buffer], [0, 255])
    const [data, value, sequence] = messages.map((m) => m._rawAmqpMessage)
    deepStrictEqual([data!.bodyType, value!.bodyType, sequence!.bodyType], ["data", "value", "sequence"])
    deepStrictEqual(messages[1]!.body, { a: 1, b: [true, "x"] })
    deepStrictEqual(messages[2]!.body, [[1, 2], ["three"]])
    strictEqual(sequence!.messageAnnotations!["mine"], 1)
    strictEqual((sequence!.footer as Record<string, unknown>)["end"], 2)
    strictEqual(sequence!.header!.priority, 7)
  },

  "annotations": async (c) => {
    const names = (map: object | undefined) => Object.keys(map ?? {}).toSorted()
    await c.send("a", "b")
    const receiver = c.receiver()
    const locked = await one(receiver)
    deepStrictEqual(names(locked._rawAmqpMessage.messageAnnotations), [
      "x-opt-enqueued-time",
      "x-opt-locked-until",
      "x-opt-sequence-number"
    ])
    deepStrictEqual(names(locked._rawAmqpMessage.deliveryAnnotations), ["x-opt-lock-token"])
    await receiver.completeMessage(locked)
    await receiver.close()
    const free = await one(c.destructive())
    deepStrictEqual(names(free._rawAmqpMessage.messageAnnotations), ["x-opt-enqueued-time", "x-opt-sequence-number"])
    deepStrictEqual(names(free._rawAmqpMessage.deliveryAnnotations), [])
  },

  "peek": async (c) => {
    await c.send("0", "1", "2", "3", "4")
    const receiver = c.receiver()
    const first = await receiver.peekMessages(3)
    deepStrictEqual(bodies(first), ["0", "1", "2"])
    deepStrictEqual(numbers(first), [1, 2, 3])
    strictEqual(first[0]!.state, "active")
    deepStrictEqual(bodies(await receiver.peekMessages(10)), ["3", "4"])
    deepStrictEqual(bodies(await peek(receiver, 10, 4)), ["3", "4"])
    deepStrictEqual(bodies(await peek(receiver, 10, 100)), [])
    const locked = await one(receiver)
    const [again] = await peek(receiver, 1, 1)
    deepStrictEqual([again!.body, again!.deliveryCount], ["0", 0])
    await receiver.completeMessage(locked)
  },

  "schedule": async (c) => {
    const due = Date.now() + 7000
    const scheduled = await c.client.createSender(c.name).scheduleMessages(
      [{ body: "a" }, { body: "b" }],
      new Date(due)
    )
    const receiver = c.receiver()
    const peeked = await peek(receiver, 5, 1)
    deepStrictEqual(bodies(peeked), ["a", "b"])
    deepStrictEqual(numbers(peeked), scheduled.map(Number))
    deepStrictEqual(peeked.map((m) => m.state), ["scheduled", "scheduled"])
    strictEqual(peeked[0]!.scheduledEnqueueTimeUtc!.getTime(), due)
    const messages = await receive(receiver, 2)
    ok(Date.now() >= due - 50, "came early")
    deepStrictEqual(bodies(messages), ["a", "b"])
    deepStrictEqual(messages.map((m) => m.state), ["scheduled", "scheduled"])
    ok(numbers(messages)[0]! > Number(scheduled[1]), "the number did not change")
  },

  "cancel": async (c) => {
    const sender = c.client.createSender(c.name)
    const scheduled = await sender.scheduleMessages([{ body: "a" }, { body: "b" }], new Date(Date.now() + 60_000))
    await sender.cancelScheduledMessages(scheduled)
    await rejects("cancelled again", "MessageNotFound", () => sender.cancelScheduledMessages(scheduled))
    await isEmpty(c.receiver())
  },

  "duplicates": async (c) => {
    await c.send({ body: "first", messageId: "same" }, { body: "second", messageId: "same" }, {
      body: "third",
      messageId: "other"
    })
    deepStrictEqual(bodies(await receive(c.receiver(), 2)), ["first", "third"])
  },

  // Settling.

  "abandon": async (c) => {
    await c.send("x")
    const receiver = c.receiver()
    const tokens = new Set<string>()
    for (let count = 0; count < 3; count++) {
      const message = await one(receiver)
      strictEqual(message.deliveryCount, count)
      tokens.add(message.lockToken!)
      await receiver.abandonMessage(message)
    }
    strictEqual(tokens.size, 3)
  },

  "abandon-properties": async (c) => {
    await c.send({ body: "x", applicationProperties: { own: "kept", old: "before" } })
    const receiver = c.receiver()
    const changes = { old: "after", number: 5, real: 1.5, large: 2 ** 40, yes: true }
    await receiver.abandonMessage(await one(receiver), changes)
    deepStrictEqual({ ...(await one(receiver)).applicationProperties }, { own: "kept", ...changes })
  },

  "defer": async (c) => {
    await c.send("x", "y")
    const receiver = c.receiver()
    const messages = await receive(receiver, 2)
    await receiver.deferMessage(messages[0]!, { why: "later" })
    await receiver.deferMessage(messages[1]!)
    deepStrictEqual((await peek(receiver, 5, 1)).map((m) => m.state), ["deferred", "deferred"])
    const deferred = await receiver.receiveDeferredMessages(longs(messages))
    deepStrictEqual(deferred.map((m) => [m.body as string, m.deliveryCount, m.state]), [
      ["x", 1, "deferred"],
      ["y", 1, "deferred"]
    ])
    strictEqual(deferred[0]!.applicationProperties!["why"], "later")
    await receiver.completeMessage(deferred[0]!)
    await receiver.deadLetterMessage(deferred[1]!, { deadLetterReason: "why", deadLetterErrorDescription: "how" })
    await isEmpty(receiver)
    const letter = await one(c.deadLetters())
    deepStrictEqual([letter.body, letter.deadLetterReason, letter.deadLetterErrorDescription], ["y", "why", "how"])
  },

  "defer-dead-letters": async (c) => {
    await c.send("x")
    const receiver = c.receiver()
    const message = await one(receiver)
    await receiver.deferMessage(message)
    const [deferred] = await receiver.receiveDeferredMessages(message.sequenceNumber!)
    strictEqual(deferred!.deliveryCount, 1)
    await receiver.deferMessage(deferred!)
    strictEqual((await one(c.deadLetters())).deadLetterReason, "MaxDeliveryCountExceeded")
  },

  "deferred-missing": async (c) => {
    const receiver = c.receiver()
    await rejects(
      "a number that is not there",
      "MessageNotFound",
      () => receiver.receiveDeferredMessages(Long.fromNumber(77))
    )
  },

  "dead-letter": async (c) => {
    await c.send({ body: "x", messageId: "m", applicationProperties: { own: "kept" } })
    const receiver = c.receiver()
    await receiver.abandonMessage(await one(receiver))
    await receiver.deadLetterMessage(await one(receiver), {
      deadLetterReason: "no good",
      deadLetterErrorDescription: "at all",
      added: 5,
      half: 0.5
    })
    await isEmpty(receiver)
    const letters = c.deadLetters()
    const letter = await one(letters)
    deepStrictEqual(
      [letter.body, letter.messageId, letter.deadLetterReason, letter.deadLetterErrorDescription, letter.deliveryCount],
      ["x", "m", "no good", "at all", 1]
    )
    deepStrictEqual({ ...letter.applicationProperties }, {
      own: "kept",
      added: 5,
      half: 0.5,
      DeadLetterReason: "no good",
      DeadLetterErrorDescription: "at all"
    })
    await letters.completeMessage(letter)
    await isEmpty(letters)
  },

  "dead-letter-count": async (c) => {
    await c.send("x")
    const receiver = c.receiver()
    await receiver.deadLetterMessage(await one(receiver))
    const letters = c.deadLetters()
    for (let time = 0; time < 3; time++) {
      const letter = await one(letters)
      strictEqual(letter.deliveryCount, 0)
      await letters.abandonMessage(letter)
    }
  },

  "max-delivery-count": async (c) => {
    await c.send("x")
    const receiver = c.receiver()
    await receiver.abandonMessage(await one(receiver))
    await receiver.abandonMessage(await one(receiver))
    const letter = await one(c.deadLetters())
    deepStrictEqual([letter.deadLetterReason, letter.deliveryCount], ["MaxDeliveryCountExceeded", 2])
  },

  "lock-renewal": async (c) => {
    await c.send("x")
    const receiver = c.receiver()
    const message = await one(receiver)
    for (let time = 0; time < 3; time++) {
      await sleep(1500)
      const before = message.lockedUntilUtc!
      const until = await receiver.renewMessageLock(message)
      ok(until > before, `${until.toISOString()} is not after ${before.toISOString()}`)
    }
    await receiver.completeMessage(message)
    await isEmpty(receiver)
  },

  "lock-lost": async (c) => {
    await c.send("x")
    const receiver = c.receiver()
    const message = await one(receiver)
    await sleep(1600)
    await rejects("renewing", "MessageLockLost", () => receiver.renewMessageLock(message))
    await rejects("completing", "MessageLockLost", () => receiver.completeMessage(message))
    strictEqual((await one(receiver)).deliveryCount, 1)
  },

  "expiry": async (c) => {
    await c.send({ body: "x", timeToLive: 1000 })
    await sleep(1500)
    deepStrictEqual(await c.receiver().receiveMessages(1, { maxWaitTimeInMs: 1000 }), [])
    const letter = await one(c.deadLetters())
    deepStrictEqual([letter.deadLetterReason, letter.deliveryCount], ["TTLExpiredException", 0])
  },

  // Sessions.

  "session-accept": async (c) => {
    await c.sendTo("s", "x")
    await c.sendTo("other", "y")
    const receiver = await c.accept("s")
    strictEqual(receiver.sessionId, "s")
    const left = receiver.sessionLockedUntilUtc.getTime() - Date.now()
    ok(left > 25_000 && left < 31_000, `locked for ${left} ms`)
    const message = await one(receiver)
    deepStrictEqual([message.body, message.sessionId], ["x", "s"])
    await receiver.completeMessage(message)
    deepStrictEqual(await receiver.receiveMessages(1, { maxWaitTimeInMs: 1000 }), [])
  },

  "session-next": async (c) => {
    await c.sendTo("a", "a")
    await c.sendTo("b", "b")
    const sessions: Array<string> = []
    for (let time = 0; time < 2; time++) {
      const receiver = await c.next()
      sessions.push(receiver.sessionId)
      const message = await one(receiver)
      strictEqual(message.body, receiver.sessionId)
      await receiver.completeMessage(message)
    }
    deepStrictEqual(sessions.toSorted(), ["a", "b"])
  },

  "session-none": async (c) => {
    const options = { retryOptions: { maxRetries: 0, timeoutInMs: 3000 } }
    const impatient = new ServiceBusClient(c.place.connection, options)
    await rejects("no session", "ServiceTimeout", () => impatient.acceptNextSession(c.name))
    await impatient.close()
  },

  "session-order": async (c) => {
    await c.sendTo("s", "0", "1", "2", "3", "4", "5")
    const receiver = await c.accept("s")
    const messages = await receive(receiver, 2)
    deepStrictEqual(bodies(messages), ["0", "1"])
    await receiver.completeMessage(messages[0]!)
    await receiver.abandonMessage(messages[1]!)
    const abandoned = await one(receiver)
    deepStrictEqual([abandoned.body, abandoned.deliveryCount], ["1", 1])
    await receiver.close()
    // The session went with the link, and without a failed delivery.
    const rest = await receive(await c.accept("s"), 5)
    deepStrictEqual(bodies(rest), ["1", "2", "3", "4", "5"])
    deepStrictEqual(rest.map((m) => m.deliveryCount), [1, 0, 0, 0, 0])
  },

  "session-state": async (c) => {
    const first = await c.accept("s")
    ok(!await first.getSessionState(), "a state at first")
    await first.setSessionState(Buffer.from([1, 0, 255]))
    await first.close()
    const second = await c.accept("s")
    deepStrictEqual([...await second.getSessionState() as Buffer], [1, 0, 255])
    await second.setSessionState(null)
    ok(!await second.getSessionState(), "a state after it was cleared")
  },

  "session-renewal": async (c) => {
    await c.sendTo("s", "x")
    const receiver = await c.accept("s")
    const message = await one(receiver)
    for (let time = 0; time < 3; time++) {
      await sleep(1500)
      const before = receiver.sessionLockedUntilUtc
      const until = await receiver.renewSessionLock()
      ok(until > before, `${until.toISOString()} is not after ${before.toISOString()}`)
    }
    await receiver.completeMessage(message)
    await isEmpty(receiver)
  },

  "session-deferred": async (c) => {
    await c.sendTo("s", "x", "y")
    const receiver = await c.accept("s")
    const messages = await receive(receiver, 2)
    for (const message of messages) await receiver.deferMessage(message)
    const deferred = await receiver.receiveDeferredMessages(longs(messages))
    deepStrictEqual(deferred.map((m) => [m.body as string, m.sessionId, m.deliveryCount]), [["x", "s", 1], [
      "y",
      "s",
      1
    ]])
    await receiver.completeMessage(deferred[0]!)
    await receiver.deadLetterMessage(deferred[1]!, { deadLetterReason: "why", deadLetterErrorDescription: "" })
    await isEmpty(receiver)
    const letter = await one(c.deadLetters())
    deepStrictEqual([letter.body, letter.sessionId, letter.deadLetterReason], ["y", "s", "why"])
  },

  "session-locked": async (c) => {
    await c.accept("s")
    await rejects("held by another", "SessionCannotBeLocked", () => c.accept("s"))
  },

  "session-lost": async (c) => {
    await c.sendTo("s", "x")
    const receiver = await c.accept("s")
    const message = await one(receiver)
    await sleep(2000)
    await rejects("renewing", "SessionLockLost", () => receiver.renewSessionLock())
    await rejects("completing", "SessionLockLost", () => receiver.completeMessage(message))
    await receiver.close()
    strictEqual((await one(await c.accept("s"))).deliveryCount, 1)
  },

  // Topics.

  "topic": async (c) => {
    await c.send({ body: "x", messageId: "m" })
    for (const subscription of ["one", "two"]) {
      const receiver = c.client.createReceiver(c.name, subscription)
      const message = await one(receiver)
      deepStrictEqual([message.body, message.messageId], ["x", "m"])
      await receiver.deadLetterMessage(message, { deadLetterReason: "no", deadLetterErrorDescription: "" })
      const letter = await one(c.client.createReceiver(c.name, subscription, { subQueueType: "deadLetter" }))
      deepStrictEqual([letter.body, letter.deadLetterReason], ["x", "no"])
    }
  },

  "topic-schedule": async (c) => {
    const due = Date.now() + 6000
    const sender = c.client.createSender(c.name)
    const scheduled = await sender.scheduleMessages([{ body: "a" }, { body: "b" }], new Date(due))
    await sender.cancelScheduledMessages(scheduled[0]!)
    for (const subscription of ["one", "two"]) {
      const receiver = c.client.createReceiver(c.name, subscription)
      const message = await one(receiver)
      ok(Date.now() >= due - 50, "came early")
      deepStrictEqual([message.body, message.state], ["b", "scheduled"])
      await receiver.completeMessage(message)
    }
  },

  "topic-peek": async (c) => {
    const sender = c.client.createSender(c.name)
    const scheduled = await sender.scheduleMessages({ body: "a" }, new Date(Date.now() + 60_000))
    await isEmpty(c.client.createReceiver(c.name, "one"))
    // A receiver of the topic's own path cannot receive, but it shows what waits in the topic.
    const [waiting, ...others] = await c.client.createReceiver(c.name).peekMessages(10)
    deepStrictEqual([waiting?.body, waiting?.state, others.length], ["a", "scheduled", 0])
    await sender.cancelScheduledMessages(scheduled)
    await rejects("cancelled again", "MessageNotFound", () => sender.cancelScheduledMessages(scheduled))
  },

  "rule-manager": async (c) => {
    const manager = c.client.createRuleManager(c.name, "one")
    const list = async () => {
      const rules: Array<RuleProperties> = []
      // The SDK gives an empty page as an item of nothing.
      for await (const rule of manager.listRules()) if (rule !== undefined) rules.push(rule)
      return rules
    }
    deepStrictEqual(await list(), [{ name: "$Default", filter: { sqlExpression: "1=1" }, action: {} }])
    await manager.deleteRule("$Default")
    deepStrictEqual(await list(), [])
    const sql = { sqlExpression: "color = 'blue' AND quantity > 5" }
    await manager.createRule("sql", sql, { sqlExpression: "SET priority = 'high'" })
    await manager.createRule("correlation", { subject: "red", applicationProperties: { quantity: 7 } })
    await rejects(
      "a name that is there",
      "MessagingEntityAlreadyExists",
      () => manager.createRule("sql", sql),
      "sql' already exists"
    )
    await rejects(
      "a name that is not",
      "MessagingEntityNotFound",
      () => manager.deleteRule("no"),
      "no' could not be found"
    )
    await rejects(
      "SQL that is none",
      undefined,
      () => manager.createRule("bad", { sqlExpression: "color = = 'blue'" }),
      "SQL"
    )
    const [second, first, ...more] = await list()
    deepStrictEqual(first, { name: "sql", filter: sql, action: { sqlExpression: "SET priority = 'high'" } })
    const filter = second!.filter as CorrelationRuleFilter
    deepStrictEqual([second!.name, filter.subject, filter.applicationProperties], ["correlation", "red", {
      quantity: 7
    }])
    deepStrictEqual(more, [])
    const order = (body: string, subject: string, quantity: number, color: string) => ({
      body,
      subject,
      applicationProperties: { color, quantity }
    })
    await c.send(order("a", "x", 6, "blue"), order("b", "red", 7, "green"), order("c", "red", 5, "blue"))
    const taken = await receive(c.client.createReceiver(c.name, "one"), 2)
    deepStrictEqual(bodies(taken), ["a", "b"])
    deepStrictEqual({ ...taken[0]!.applicationProperties }, {
      color: "blue",
      quantity: 6,
      priority: "high",
      RuleName: "sql"
    })
    deepStrictEqual({ ...taken[1]!.applicationProperties }, { color: "green", quantity: 7 })
    deepStrictEqual(bodies(await receive(c.client.createReceiver(c.name, "two"), 3)), ["a", "b", "c"])
  },

  "filters": async (c) => {
    const applicationProperties = {
      text: "täxt",
      yes: true,
      no: false,
      small: 5,
      negative: -7,
      large: 2 ** 40,
      real: 1.5,
      time: new Date(1_700_000_000_123)
    }
    await c.send({ body: "x", applicationProperties })
    const expected = Object.keys(applicationProperties).toSorted()
    for (const subscription of ["one", "two"]) {
      const taken = await receive(c.client.createReceiver(c.name, subscription), expected.length)
      deepStrictEqual(taken.map((m) => m.applicationProperties!["RuleName"]).toSorted(), expected)
      ok(taken.every((m) => m.applicationProperties!["taken"] === true && m.applicationProperties!["text"] === "täxt"))
    }
  },

  // Errors.

  "missing-sender": async (c) => {
    const sender = c.client.createSender(c.name)
    await rejects("sending", "MessagingEntityNotFound", () => sender.sendMessages({ body: "x" }))
    await rejects("a batch", "MessagingEntityNotFound", () => sender.createMessageBatch())
  },

  "missing-receiver": async (c) => {
    const receiver = c.receiver()
    await rejects("receiving", "MessagingEntityNotFound", () => receiver.receiveMessages(1, { maxWaitTimeInMs: 2000 }))
    await rejects("peeking", "MessagingEntityNotFound", () => receiver.peekMessages(1))
  },

  "missing-subscription": async (c) => {
    const receiver = c.client.createReceiver(c.name, "missing")
    await rejects("receiving", "MessagingEntityNotFound", () => receiver.receiveMessages(1, { maxWaitTimeInMs: 2000 }))
  },

  "wrong-key": async (c) => {
    const wrong = c.place.connection.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc=")
    const other = new Check(c.name, c.place, wrong)
    await rejects("sending", "UnauthorizedAccess", () => other.send("x"))
    const receiver = other.receiver()
    await rejects("receiving", "UnauthorizedAccess", () => receiver.receiveMessages(1, { maxWaitTimeInMs: 2000 }))
    await other.client.close()
  },

  "namespaces": async (c) => {
    const places = ["RootManageSharedAccessKey", "team-a", "team-b"].map((key) => {
      const connection = c.place.connection.replace(/SharedAccessKeyName=[^;]+/, `SharedAccessKeyName=${key}`)
      return { key, check: new Check(c.name, c.place, connection) }
    })
    for (const { check, key } of places) await check.send(key)
    for (const { check, key } of places) {
      const receiver = check.receiver()
      const message = await one(receiver)
      strictEqual(message.body, key)
      await receiver.completeMessage(message)
      await isEmpty(receiver)
      await check.client.close()
    }
    const wrong = places[1]!.check.place.connection.replace(/SharedAccessKeyName=[^;]+/, "SharedAccessKeyName=team-c")
    const other = new Check(c.name, c.place, wrong.replace(/SharedAccessKey=[^;]+/, "SharedAccessKey=d3Jvbmc="))
    await rejects("sending with a wrong key", "UnauthorizedAccess", () => other.send("x"))
    await other.client.close()
  },

  "wrong-kind": async (c) => {
    const receiver = c.receiver()
    // The SDK has no code of its own for amqp:not-allowed.
    await rejects(
      "a receiver without a session",
      "GeneralError",
      () => receiver.receiveMessages(1),
      "requires sessions"
    )
    await rejects("a message without a session", "GeneralError", () => c.send("x"), "SessionId")
    // With which error, hangs on whether the SDK sees the session that it did not get before the refusal.
    await rejects("a session of a plain queue", undefined, () => c.client.acceptSession("send-receive", "s"))
  },

  // Sizes.

  "size-200k": (c) => c.roundTrip(200 * 1024),
  "size-300k-refused": (c) => c.refused(300 * 1024),
  "size-2m-refused": (c) => c.refused(2 * 1024 * 1024),
  "size-5m": (c) => c.roundTrip(5 * 1024 * 1024),

  "plain-amqp": async (c) => {
    await plainAmqp(c.name, c.place.connection)
    await isEmpty(c.receiver())
  },
  "tls": (c) => secure(c, { customEndpointAddress: `sb://localhost:${c.place.tlsPort}` }),
  "web-socket": (c) =>
    secure(c, {
      customEndpointAddress: `sb://localhost:${c.place.webSocketPort}`,
      webSocketOptions: { webSocket: WebSocket as never }
    })
}

/** Over TLS: the host must be one that the certificate names; where it is dialled is another matter. */
const secure = async (c: Check, options: ServiceBusClientOptions) => {
  const connection = c.place.connection.replace(/sb:\/\/[^;]+/, "sb://localhost/").replace(
    ";UseDevelopmentEmulator=true",
    ""
  )
  const over = new Check(c.name, c.place, connection, options)
  await over.send("x")
  const receiver = over.receiver()
  const message = await one(receiver)
  strictEqual(message.body, "x")
  await receiver.completeMessage(message)
  await over.client.close()
}

/** Runs one check against the broker; throws what does not hold. */
export const runCheck = async (name: string, place: Place): Promise<void> => {
  if (name in administration) return administration[name]!(name, place)
  if (name in identity) return identity[name]!(name, place)
  const body = checks[name]
  if (body === undefined) throw new Error("there is no such check")
  const check = new Check(name, place)
  try {
    await body(check)
  } finally {
    await check.client.close()
  }
}
