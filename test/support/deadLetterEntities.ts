/** A topic and its subscriptions, and the ways to fill dead-letter queues, which the tests of dead letters share. */
import {
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusMessage,
  ServiceBusReceiver,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import { Texts } from "./harness.ts"

export const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
export const Alpha = ServiceBusEntity.subscription(News, "alpha")
export const Beta = ServiceBusEntity.subscription(News, "beta")

export const DeadTexts = ServiceBusEntity.deadLetter(Texts)

/** Has texts in the dead-letter queue of `texts`. */
export const bury = (messages: ReadonlyArray<ServiceBusMessage.OutgoingMessage<string>>, reason = "Broken") =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* emulator.send(Texts, messages)
    yield* buryAll(Texts, messages.length, reason)
  })

/** Dead-letters `n` messages of a queue or subscription. */
export const buryAll = (entity: ServiceBusEntity.Receivable<unknown>, n: number, reason = "Broken") =>
  Effect.scoped(Effect.gen(function*() {
    const receiver = yield* ServiceBusReceiver.make(entity)
    for (let left = n; left > 0;) {
      const messages = yield* receiver.receive({ max: left })
      yield* receiver.settleAll(messages, Settlement.deadLetter({ reason, description: "it does not work" }))
      left -= messages.length
    }
  }))

/** How often each id that replays gave the copies of letters was enqueued: from `m` comes `m:replay-…`. */
export const originals = (messages: ReadonlyArray<{ readonly messageId: string }>) =>
  messages.map(({ messageId }) => messageId.replace(/:replay-.*$/, ""))

export const numbered = (n: number) => Array.from({ length: n }, (_, i) => String(i))
