import { type ProcessErrorArgs, ServiceBusClient, type ServiceBusReceivedMessage } from "@azure/service-bus"
import { setTimeout as sleep } from "node:timers/promises"
import { connectionString, type Load, type Program, type Programs, repeat, window } from "../measure.ts"
import { messageOf, messagesOf } from "../message.ts"

type Sender = ReturnType<ServiceBusClient["createSender"]>

const sending = (step: (sender: Sender, load: Load, index: number) => Promise<number>): Program => async (load) => {
  const client = new ServiceBusClient(connectionString(load))
  const sender = client.createSender(load.entity)
  await repeat(load, (index) => step(sender, load, index))
  await client.close()
}

const each = sending(async (sender, { size }, index) => {
  await Promise.all(messagesOf(index, window, size).map((message) => sender.sendMessages(message)))
  return window
})

const batch = sending(async (sender, { size }, index) => {
  const messages = messagesOf(index, window, size)
  let full = await sender.createMessageBatch()
  for (const message of messages) {
    if (full.tryAddMessage(message)) continue
    await sender.sendMessages(full)
    full = await sender.createMessageBatch()
    full.tryAddMessage(message)
  }
  await sender.sendMessages(full)
  return window
})

const array = sending(async (sender, { size }, index) => {
  await sender.sendMessages(messagesOf(index, window, size))
  return window
})

const sequential = sending(async (sender, { size }, index) => {
  await sender.sendMessages(messageOf(index, size))
  return 1
})

interface Settings {
  readonly receiveMode: "peekLock" | "receiveAndDelete"
  readonly best: boolean
}

const receiving = ({ best, receiveMode }: Settings): Program => async (load) => {
  const { meter } = load
  const client = new ServiceBusClient(connectionString(load))
  const receiver = client.createReceiver(load.entity, {
    receiveMode,
    ...(best ? { maxAutoLockRenewalDurationInMs: 0, skipParsingBodyAsJson: true } : {})
  })
  const subscription = receiver.subscribe({
    processMessage: async (message: ServiceBusReceivedMessage) => {
      meter.take(best ? JSON.parse(String(message.body)) : message.body)
      meter.add(1)
    },
    processError: async ({ error }: ProcessErrorArgs) => meter.fail(error.message)
  }, { maxConcurrentCalls: best ? 1000 : window })
  await meter.finished
  await subscription.close()
  // The settlements of the last handlers are not waited for by close.
  await sleep(200)
  await client.close()
}

/** There is no renewing of many: each is a request. */
const renewing: Program = async (load) => {
  const client = new ServiceBusClient(connectionString(load))
  const receiver = client.createReceiver(load.entity)
  const messages: Array<ServiceBusReceivedMessage> = []
  while (messages.length < window) messages.push(...await receiver.receiveMessages(window - messages.length))
  await repeat(load, async () => {
    await Promise.all(messages.map((message) => receiver.renewMessageLock(message)))
    return messages.length
  })
  await client.close()
}

const of = (best: boolean): Programs => ({
  "send-chunk": best ? array : each,
  "send-each": each,
  "send-batch": best ? array : batch,
  "send-sink": best ? array : batch,
  "send-sequential": sequential,
  "receive-chunk": receiving({ receiveMode: "receiveAndDelete", best }),
  "complete-chunk": receiving({ receiveMode: "peekLock", best }),
  "complete-each": receiving({ receiveMode: "peekLock", best }),
  "renew-1": renewing,
  "renew-100": renewing
})

export const azure = of(false)
export const azureBest = of(true)
