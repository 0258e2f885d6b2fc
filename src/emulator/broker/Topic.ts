/**
 * A topic of the embedded broker: a queue that keeps what is scheduled until its time, and whose one consumer copies every
 * message to the subscriptions. The topic owns the limits of size: its subscriptions take whatever it has taken.
 */
import type { EntitySettings } from "./EntityOptions.ts"
import * as MessageQueue from "./MessageQueue.ts"
import type { Queue } from "./Queue.ts"
import type { SharedState } from "./SharedState.ts"

/**
 * A subscription to be.
 *
 * @category models
 */
interface Subscription {
  readonly path: string
  readonly settings: EntitySettings
}

/**
 * Makes a topic and its subscriptions, which it comes before in the result. They share the topic's limits of size.
 *
 * @category constructors
 */
export const make = (
  shared: SharedState,
  path: string,
  settings: EntitySettings,
  declared: ReadonlyArray<Subscription>
): ReadonlyArray<Queue> => {
  const size = { bytes: 0 }
  // What the topic has taken its subscriptions take: the quota is that of the topic.
  const limits = { maxMessageSize: settings.maxMessageSize, maxSize: Number.MAX_SAFE_INTEGER }
  const subscriptions = declared.map((each) =>
    MessageQueue.make(shared, each.path, { ...each.settings, ...limits }, "subscription", size)
  )
  const topic = MessageQueue.make(shared, path, settings, "topic", size)
  topic.attach({
    mode: "receiveAndDelete",
    credit: () => Infinity,
    deliver: (deliveries) => {
      const messages = deliveries.map(({ message }) => message)
      // What a subscription would refuse, the topic has refused.
      for (const subscription of subscriptions) subscription.send(messages)
    }
  }).wake()
  return [topic, ...subscriptions]
}
