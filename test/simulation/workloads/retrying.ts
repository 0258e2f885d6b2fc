/** Messages that are tried again later, several times each: by their handlers and by hand, after delays and by schedules. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import type { LockedMessage } from "../../../src/ServiceBusMessage.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as ServiceBusReceiver from "../../../src/ServiceBusReceiver.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { beside, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks, receiveNoted } from "./observing.ts"
import { send } from "./sending.ts"
import { note, settleNoted } from "./settling.ts"

const Work = ServiceBusEntity.queue("work", { body: ServiceBusBody.text })

/** Worked off by hand. */
const More = ServiceBusEntity.queue("more", { body: ServiceBusBody.text })

/** How often a message is to be tried again: from never to five times, by its id. */
const wantedOf = ({ history }: World, { messageId }: LockedMessage<string>): number =>
  Number(history.originOf(messageId).split("-")[1]) % 6

/** How many retries the schedule has. A message that wants more is dead-lettered. */
const times = 3

const schedule = Schedule.spaced("2 seconds").pipe(Schedule.upTo({ times }))

/** What is done with a message that is to be tried again, and what comes of it; nothing where it was tried often enough. */
const again = (
  world: World,
  message: LockedMessage<string>
): readonly ["retryAfter" | "deadLetter", Settlement.Settlement] | undefined => {
  const { rng } = world
  if (message.retryAttempt >= wantedOf(world, message)) return undefined
  if (rng.chance(0.8)) return ["retryAfter", Settlement.retryAfter(rng.between(0, 8_000))]
  return [message.retryAttempt < times ? "retryAfter" : "deadLetter", Settlement.retryAfter(schedule)]
}

const receiveAll = (world: World, name: string) =>
  Effect.gen(function*() {
    const { rng } = world
    const receiver = yield* ServiceBusReceiver.make(More)
    for (;;) {
      const messages = yield* receiveNoted(world, name, receiver, rng.between(1, 5), rng.between(0, 5_000))
      // All of them are in its hands now, however long it takes for the first.
      for (const message of messages) note(world, name, More.path, message, "locked")
      for (const message of messages) {
        const [outcome, settlement] = again(world, message) ?? ["complete" as const, Settlement.complete]
        yield* settleNoted(world, More.path, message, outcome, receiver.settle(message, settlement), settlement)
      }
    }
  })

export const retrying: Workload = {
  name: "retrying",
  uses: ["handlers", "settlements", "locks"],
  entities: [Work, More].map((each) => Emulator.entity(each, { lockDuration: "20 seconds", maxDeliveryCount: 5 })),
  drained: [Work, More],
  concurrency: { a: 4 },
  run: (world) =>
    Effect.gen(function*() {
      yield* beside(world, "sending", send(world, Work, { name: "work", most: 25 }))
      yield* beside(world, "sending", send(world, More, { name: "more", most: 25 }))
      const make = ServiceBusProcessor.make(
        Work,
        (body, message) => handle(world, "a", Work.path, body, message, { well: () => again(world, message) }),
        { concurrency: 4, drainTimeout: "10 seconds" }
      )
      yield* Effect.all([
        consume(world, "processor a", keepBooks(world, "a", Work.path, make)),
        consume(world, "receiver b", receiveAll(world, "b"))
      ], { concurrency: "unbounded", discard: true })
    })
}
