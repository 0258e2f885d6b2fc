/** A topic whose two subscriptions are worked off in batches and as a stream. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { beside, type Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const One = ServiceBusEntity.subscription(News, "one")
const Two = ServiceBusEntity.subscription(News, "two")

export const batches: Workload = {
  name: "batches",
  uses: ["handlers", "settlements", "locks"],
  entities: [
    Emulator.entity(News),
    Emulator.entity(One, { lockDuration: "20 seconds", maxDeliveryCount: 5 }),
    Emulator.entity(Two, { lockDuration: "20 seconds", maxDeliveryCount: 5 })
  ],
  // A topic keeps what is scheduled.
  drained: [News as unknown as typeof One, One, Two],
  credits: { [One.path]: 20 },
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      yield* beside(world, "sending", send(world, News, { name: "news", most: 50 }))
      const size = { most: 0 }
      const batched = consume(
        world,
        "batches",
        Effect.flatMap(ServiceBusReceiver.make(One), (receiver) =>
          keepBooks(
            world,
            "batches",
            One.path,
            ServiceBusProcessor.makeBatched(
              receiver,
              (messages) => {
                const { length: count } = messages
                world.history.add({ kind: "measured", consumer: "batches", what: "messages", count, most: size.most })
                return Effect.forEach(messages, (message) =>
                  Effect.map(
                    handle(world, "batches", One.path, message.body, message),
                    (settlement) => settlement ?? Settlement.complete
                  ))
              },
              { size: size.most = rng.between(1, 10), within: rng.between(0, 2_000), drainTimeout: "10 seconds" }
            )
          ))
      )
      const streamed = consume(
        world,
        "stream",
        Effect.flatMap(ServiceBusReceiver.make(Two), (receiver) =>
          receiver.messages.pipe(
            ServiceBusReceiver.settleEach(
              (body, message) => handle(world, "stream", Two.path, body, message, { isEndless: false }),
              {
                concurrency: 3
              }
            ),
            Stream.runDrain
          ))
      )
      world.history.add({ kind: "bound", consumer: "stream", of: "handlers", most: 3 })
      yield* Effect.all([batched, streamed], { concurrency: "unbounded", discard: true })
    })
}
