/** The load of our client: every kind of send and settlement at once, each tried again by itself after a failure. */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as ServiceBusBody from "../../src/ServiceBusBody.ts"
import * as ServiceBusClient from "../../src/ServiceBusClient.ts"
import * as ServiceBusEntity from "../../src/ServiceBusEntity.ts"
import type { LockedMessage } from "../../src/ServiceBusMessage.ts"
import * as ServiceBusReceiver from "../../src/ServiceBusReceiver.ts"
import * as ServiceBusSender from "../../src/ServiceBusSender.ts"
import * as ServiceBusSession from "../../src/ServiceBusSession.ts"
import type { Rng } from "../simulation/Rng.ts"
import { placesOf, sessionCount, sessionPlace } from "./entities.ts"
import { bodyOf, deadLettersOf, type Ledger, type Outcome } from "./Ledger.ts"

const client = "ours"
const body = ServiceBusBody.text

const Carts = ServiceBusEntity.queue(sessionPlace, {
  body,
  sessions: true,
  sessionState: ServiceBusBody.text
})

/** What messages of a place are received by. */
const contractOf = (place: string) => {
  const [topic, , subscription] = place.split("/")
  return subscription === undefined
    ? ServiceBusEntity.queue(place, { body })
    : ServiceBusEntity.subscription(ServiceBusEntity.topic(topic!, { body }), subscription)
}

type Work = Effect.Effect<unknown, unknown, ServiceBusClient.ServiceBusClient | Scope.Scope>

/** What is asked of the load. */
export interface Task {
  readonly ledger: Ledger
  readonly random: Rng
  /** Whether it is to go on. */
  readonly isOn: () => boolean
}

/** A client that tries nothing again, so that a send is one send. */
const layerOf = (connectionString: string) =>
  ServiceBusClient.layerConnectionString(Redacted.make(connectionString), {
    retry: { maxRetries: 0 },
    operationTimeout: "5 seconds",
    logLevel: "None"
  }).pipe(Layer.provideMerge(Logger.layer([])))

const record = (ledger: Ledger, place: string, message: LockedMessage<string>, isAskedFor = false) =>
  ledger.delivered(
    client,
    place,
    {
      id: message.messageId ?? "",
      body: message.body,
      sequenceNumber: message.sequenceNumber,
      deliveryCount: message.deliveryCount,
      sessionId: message.sessionId
    },
    isAskedFor
  )

const settle = <E>(
  ledger: Ledger,
  place: string,
  receiver: ServiceBusReceiver.Settling<E>,
  message: LockedMessage<string>,
  outcome: Outcome
) => {
  const attempt = ledger.settling(client, place, message.sequenceNumber, outcome)
  return Effect.map(receiver[outcome](message), () => ledger.settled(attempt))
}

/** Mostly completed. */
export const outcomeOf = (random: number): Outcome =>
  random < 0.8 ? "complete" : random < 0.9 ? "abandon" : random < 0.95 ? "deadLetter" : "defer"

/** Sends until the load ends, one message after the other. */
const send = ({ isOn, ledger, random }: Task, entity: string, sessions?: Map<string, number>): Work =>
  Effect.gen(function*() {
    const sender = sessions === undefined
      ? yield* ServiceBusSender.make(ServiceBusEntity.topic(entity, { body }))
      : yield* ServiceBusSender.make(Carts)
    while (isOn()) {
      const kind = random.next() < 0.5 ? "a" : "b"
      const id = `${client}-${entity}-${ledger.size}`
      const session = sessions === undefined ? undefined : `${client}-${Math.floor(random.next() * sessionCount)}`
      const number = session === undefined ? 0 : (sessions!.get(session) ?? 0) + 1
      if (session !== undefined) sessions!.set(session, number)
      ledger.intend({
        id,
        places: placesOf(entity, kind),
        session: session === undefined ? undefined : { id: session, number }
      })
      yield* (sender as ServiceBusSender.ServiceBusSender<string, any>).send({
        messageId: id,
        body: bodyOf(id),
        applicationProperties: { kind },
        ...(session === undefined ? {} : { sessionId: session })
      })
      ledger.accepted(client, id)
    }
  })

/** Sends each message twice, the second time later. */
const sendTwice = ({ isOn, ledger }: Task, again: Array<string>): Work =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(ServiceBusEntity.queue("once", { body }))
    while (isOn()) {
      const id = again.length > 20 ? again.shift()! : `${client}-once-${ledger.size}`
      if (again.length <= 20) again.push(id)
      ledger.intend({ id, places: ["once"] })
      yield* sender.send({ messageId: id, body: bodyOf(id) })
      ledger.accepted(client, id)
    }
  })

/** Schedules, and cancels some of it. */
const schedule = ({ isOn, ledger, random }: Task): Work =>
  Effect.gen(function*() {
    const sender = yield* ServiceBusSender.make(ServiceBusEntity.queue("later", { body }))
    while (isOn()) {
      const id = `${client}-later-${ledger.size}`
      const due = Date.now() + 50 + Math.floor(random.next() * 1000)
      ledger.intend({ id, places: ["later"], due })
      const number = yield* sender.schedule({ messageId: id, body: bodyOf(id) }, DateTime.makeUnsafe(due))
      ledger.accepted(client, id)
      if (random.next() < 0.2) {
        ledger.cancelling(id)
        yield* sender.cancelScheduled([number])
        ledger.cancelled(client, id)
      }
    }
  })

/** Receives and settles; some messages are left under their lock for a while. */
const receive = ({ isOn, ledger, random }: Task, place: string): Work =>
  Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(contractOf(place), { prefetch: 20 })
    while (isOn()) {
      const messages = yield* receiver.receive({ max: 10, maxWait: "200 millis" })
      for (const message of messages) record(ledger, place, message)
      yield* Effect.forEach(
        messages,
        (message) => settle(ledger, place, receiver, message, outcomeOf(random.next())),
        { concurrency: 5 }
      )
      if (random.next() < 0.1) {
        const numbers = ledger.deferred(place).slice(0, 3)
        for (const message of numbers.length === 0 ? [] : yield* receiver.receiveDeferred(numbers)) {
          record(ledger, place, message, true)
          yield* settle(ledger, place, receiver, message, "complete")
        }
      }
    }
  })

const receiveSession = ({ isOn, ledger, random }: Task): Work =>
  Effect.gen(function*() {
    while (isOn()) {
      const accepted = yield* ServiceBusSession.acceptNext(Carts, { wait: "300 millis" })
      if (Option.isNone(accepted)) continue
      const session = accepted.value
      ledger.stateRead(sessionPlace, session.sessionId, Option.getOrUndefined(yield* session.state))
      for (const message of yield* session.receive({ max: 5, maxWait: "100 millis" })) {
        record(ledger, sessionPlace, message)
        yield* settle(ledger, sessionPlace, session, message, random.next() < 0.95 ? "complete" : "abandon")
        const state = `${message.messageId} was seen`
        ledger.settingState(sessionPlace, session.sessionId, state)
        yield* session.setState(state)
        ledger.stateSet(client, sessionPlace, session.sessionId, state)
      }
    }
  })

/** Runs until `isOn` says no. */
export const run = (connectionString: string, task: Task, places: ReadonlyArray<string>): Effect.Effect<void> => {
  const sessions = new Map<string, number>()
  const again: Array<string> = []
  const works: ReadonlyArray<() => Work> = [
    ...["orders", "inbox", "news", "news"].map((entity) => () => send(task, entity)),
    () => send(task, sessionPlace, sessions),
    () => sendTwice(task, again),
    () => schedule(task),
    ...places.map((place) => () => receive(task, place)),
    () => receiveSession(task),
    () => receiveSession(task)
  ]
  return Effect.forEach(works, (work) =>
    Effect.gen(function*() {
      while (task.isOn()) {
        yield* Effect.ignore(Effect.scoped(work()))
        yield* Effect.sleep("20 millis")
      }
    }), { concurrency: "unbounded", discard: true }).pipe(Effect.provide(layerOf(connectionString)), Effect.orDie)
}

/** Takes everything out of the broker, once it is not killed any more. */
export const drain = (connectionString: string, ledger: Ledger, places: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.gen(function*() {
    const all = (place: string, contract: ReturnType<typeof contractOf>) =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(contract)
        const numbers = ledger.deferred(place)
        for (const number of numbers) {
          // One whose deferral was not answered may wait as it did, or be gone.
          const messages = yield* receiver.receiveDeferred([number]).pipe(
            Effect.catchTag("MessageNotFoundError", () => Effect.succeed([]))
          )
          for (const message of messages) {
            record(ledger, place, message, true)
            yield* settle(ledger, place, receiver, message, "complete")
          }
        }
        for (let silent = 0; silent < 2;) {
          const messages = yield* receiver.receive({ max: 100, maxWait: "1 second" })
          silent = messages.length === 0 ? silent + 1 : 0
          for (const message of messages) {
            record(ledger, place, message)
            yield* settle(ledger, place, receiver, message, "complete")
          }
        }
      }).pipe(Effect.scoped)
    yield* Effect.forEach(places, (place) => all(place, contractOf(place)), { concurrency: 3, discard: true })
    const dead = (place: string) =>
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(contractOf(place)))
        for (let silent = 0; silent < 2;) {
          const messages = yield* receiver.receive({ max: 100, maxWait: "500 millis" })
          silent = messages.length === 0 ? silent + 1 : 0
          for (const message of messages) {
            record(ledger, deadLettersOf(place), message)
            yield* settle(ledger, deadLettersOf(place), receiver, message, "complete")
          }
        }
      }).pipe(Effect.scoped)
    yield* Effect.forEach(places, dead, { concurrency: 3, discard: true })
    while (true) {
      const isMore = yield* Effect.scoped(Effect.gen(function*() {
        const accepted = yield* ServiceBusSession.acceptNext(Carts, { wait: "1 second" })
        if (Option.isNone(accepted)) return false
        const session = accepted.value
        ledger.stateRead(sessionPlace, session.sessionId, Option.getOrUndefined(yield* session.state))
        for (let silent = false; !silent;) {
          const messages = yield* session.receive({ max: 100, maxWait: "300 millis" })
          silent = messages.length === 0
          for (const message of messages) {
            record(ledger, sessionPlace, message)
            yield* settle(ledger, sessionPlace, session, message, "complete")
          }
        }
        return true
      }))
      if (!isMore) break
    }
  }).pipe(Effect.provide(layerOf(connectionString)), Effect.orDie)
