/** The load of Microsoft's client: the same as of ours, in promises. */
import {
  ServiceBusClient,
  type ServiceBusReceivedMessage,
  type ServiceBusReceiver,
  type ServiceBusSender
} from "@azure/service-bus"
import Long from "long"
import { setTimeout as sleep } from "node:timers/promises"
import { outcomeOf, type Task } from "./effectLoad.ts"
import { placesOf, sessionCount, sessionPlace } from "./entities.ts"
import { bodyOf, type Ledger, type Outcome } from "./Ledger.ts"

const client = "official"

const numberOf = (message: ServiceBusReceivedMessage): bigint => BigInt(message.sequenceNumber!.toString())

const record = (ledger: Ledger, place: string, message: ServiceBusReceivedMessage, isAskedFor = false) =>
  ledger.delivered(client, place, {
    id: String(message.messageId),
    body: String(message.body),
    sequenceNumber: numberOf(message),
    deliveryCount: message.deliveryCount ?? 0,
    sessionId: message.sessionId
  }, isAskedFor)

const methods = {
  complete: "completeMessage",
  abandon: "abandonMessage",
  defer: "deferMessage",
  deadLetter: "deadLetterMessage"
} as const

const settle = async (
  ledger: Ledger,
  place: string,
  receiver: ServiceBusReceiver,
  message: ServiceBusReceivedMessage,
  outcome: Outcome
) => {
  const attempt = ledger.settling(client, place, numberOf(message), outcome)
  await receiver[methods[outcome]](message)
  ledger.settled(attempt)
}

type Work = (bus: ServiceBusClient, isOn: () => boolean) => Promise<void>

/** How long a call may take, in milliseconds, until its client is left alone: some never end once their connection is lost. */
const patience = 3000

/** Runs until `isOn` says no. */
export const run = async (
  connectionString: string,
  { isOn: isOnAtAll, ledger, random }: Task,
  places: ReadonlyArray<string>
): Promise<void> => {
  const numbers = new Map<string, number>()
  const again: Array<string> = []
  const sending = (entity: string, one: (sender: ServiceBusSender) => Promise<void>): Work => async (bus, isOn) => {
    const sender = bus.createSender(entity)
    while (isOn()) await one(sender)
  }
  const accepted = async (
    sender: ServiceBusSender,
    message: Parameters<ServiceBusSender["sendMessages"]>[0],
    id: string
  ) => {
    await sender.sendMessages(message)
    ledger.accepted(client, id)
  }
  const send = (entity: string) =>
    sending(entity, (sender) => {
      const kind = random.next() < 0.5 ? "a" : "b"
      const id = `${client}-${entity}-${ledger.size}`
      ledger.intend({ id, places: placesOf(entity, kind) })
      return accepted(sender, { messageId: id, body: Buffer.from(bodyOf(id)), applicationProperties: { kind } }, id)
    })
  const sendToSession = sending(sessionPlace, (sender) => {
    const id = `${client}-${sessionPlace}-${ledger.size}`
    const sessionId = `${client}-${Math.floor(random.next() * sessionCount)}`
    const number = (numbers.get(sessionId) ?? 0) + 1
    numbers.set(sessionId, number)
    ledger.intend({ id, places: [sessionPlace], session: { id: sessionId, number } })
    return accepted(sender, { messageId: id, body: Buffer.from(bodyOf(id)), sessionId }, id)
  })
  const sendTwice = sending("once", (sender) => {
    const id = again.length > 20 ? again.shift()! : `${client}-once-${ledger.size}`
    if (again.length <= 20) again.push(id)
    ledger.intend({ id, places: ["once"] })
    return accepted(sender, { messageId: id, body: Buffer.from(bodyOf(id)) }, id)
  })
  const schedule = sending("later", async (sender) => {
    const id = `${client}-later-${ledger.size}`
    const due = Date.now() + 50 + Math.floor(random.next() * 1000)
    ledger.intend({ id, places: ["later"], due })
    const [number] = await sender.scheduleMessages({ messageId: id, body: Buffer.from(bodyOf(id)) }, new Date(due))
    ledger.accepted(client, id)
    if (random.next() < 0.2) {
      ledger.cancelling(id)
      await sender.cancelScheduledMessages(number!)
      ledger.cancelled(client, id)
    }
  })
  const receive = (place: string): Work => async (bus, isOn) => {
    const [entity, , subscription] = place.split("/")
    const receiver = subscription === undefined
      ? bus.createReceiver(entity!)
      : bus.createReceiver(entity!, subscription)
    while (isOn()) {
      const messages = await receiver.receiveMessages(10, { maxWaitTimeInMs: 200 })
      for (const message of messages) record(ledger, place, message)
      // One at a time: rhea 3 writes different outcomes of one tick as one range with the outcome of the first.
      for (const message of messages) await settle(ledger, place, receiver, message, outcomeOf(random.next()))
      if (random.next() < 0.1) {
        const deferred = ledger.deferred(place).slice(0, 3).map((number) => Long.fromString(String(number)))
        for (const message of deferred.length === 0 ? [] : await receiver.receiveDeferredMessages(deferred)) {
          record(ledger, place, message, true)
          await settle(ledger, place, receiver, message, "complete")
        }
      }
    }
  }
  const receiveSession: Work = async (bus, isOn) => {
    while (isOn()) {
      const session = await bus.acceptNextSession(sessionPlace)
      const stateOf = (state: unknown) => state === undefined || state === null ? undefined : String(state)
      ledger.stateRead(sessionPlace, session.sessionId, stateOf(await session.getSessionState()))
      for (const message of await session.receiveMessages(5, { maxWaitTimeInMs: 100 })) {
        record(ledger, sessionPlace, message)
        await settle(ledger, sessionPlace, session, message, random.next() < 0.95 ? "complete" : "abandon")
        const state = `${message.messageId} was seen`
        ledger.settingState(sessionPlace, session.sessionId, state)
        await session.setSessionState(Buffer.from(state))
        ledger.stateSet(client, sessionPlace, session.sessionId, state)
      }
      await session.close()
    }
  }
  const works: ReadonlyArray<Work> = [
    ...["orders", "inbox", "news"].map(send),
    sendToSession,
    sendTwice,
    schedule,
    ...places.map(receive),
    receiveSession
  ]
  await Promise.all(works.map(async (work) => {
    while (isOnAtAll()) {
      const bus = new ServiceBusClient(connectionString, {
        retryOptions: { maxRetries: 0, timeoutInMs: 2000, retryDelayInMs: 20 }
      })
      const over = new AbortController()
      let lastTurn = Date.now()
      const isOn = () => {
        lastTurn = Date.now()
        return isOnAtAll() && !over.signal.aborted
      }
      const isStuck = async () => {
        while (!over.signal.aborted && Date.now() - lastTurn < patience) await sleep(200)
      }
      // The broker was killed, or a session was waited for in vain: it is tried again.
      await Promise.race([work(bus, isOn).catch(() => sleep(20)), isStuck()])
      over.abort()
      await Promise.race([bus.close().catch(() => {}), sleep(1000)])
    }
  }))
}
