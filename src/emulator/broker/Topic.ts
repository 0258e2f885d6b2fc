/**
 * A topic of the embedded broker: a queue that keeps what is scheduled until its time, and whose one consumer copies every
 * message to the subscriptions.
 */
import type { QueueSettings } from "./EntityOptions.ts"
import * as BrokerQueue from "./MessageQueue.ts"
import type { Queue } from "./Queue.ts"

/**
 * A subscription to be.
 *
 * @category models
 */
export interface Subscription {
  readonly path: string
  readonly settings: QueueSettings
}

/**
 * Makes a topic and its subscriptions, which it comes before in the result. They share the topic's limits of size.
 *
 * @category constructors
 */
export const make = (
  room: BrokerQueue.Room,
  path: string,
  settings: QueueSettings,
  declared: ReadonlyArray<Subscription>
): ReadonlyArray<Queue> => {
  const store = { bytes: 0 }
  // What the topic has taken they take: the quota is its own.
  const limits = { maxMessageSize: settings.maxMessageSize, maxSize: Number.MAX_SAFE_INTEGER }
  const subscriptions = declared.map((each) =>
    BrokerQueue.make(room, each.path, { ...each.settings, ...limits }, "subscription", store)
  )
  const topic = BrokerQueue.make(room, path, settings, "topic", store)
  topic.attach({
    mode: "receiveAndDelete",
    credit: () => Infinity,
    deliver: (deliveries) => {
      const messages = deliveries.map(({ message }) => message)
      // What they would refuse, the topic has refused.
      for (const subscription of subscriptions) subscription.send(messages)
    }
  }).wake()
  return [topic, ...subscriptions]
}
