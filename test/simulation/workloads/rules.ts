/**
 * A topic whose subscriptions have rules, some with actions and some that fail, which are made and deleted while messages flow.
 */
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import { propertiesOf, ruleOfKind } from "../rules.ts"
import { beside, type Workload } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { changeRules } from "./ruling.ts"
import { send } from "./sending.ts"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text, sessions: true })
const Fixed = ServiceBusEntity.subscription(News, "fixed", { sessions: false })
const Changed = ServiceBusEntity.subscription(News, "changed", { sessions: false })
const Sorted = ServiceBusEntity.subscription(News, "sorted", { sessions: true })

const options = { lockDuration: "20 seconds", maxDeliveryCount: 5 } as const

/** Several that match the same messages, one that makes copies, and one that fails. */
const fixed = ["even", "red", "copied", "failing"].map((kind) => ruleOfKind(kind, `${kind}-0`))

export const rules: Workload = {
  name: "rules",
  uses: ["handlers", "settlements", "locks", "sessions", "entities", "rules"],
  entities: [
    Emulator.entity(News),
    Emulator.entity(Fixed, { ...options, rules: fixed }),
    Emulator.entity(Changed, options),
    Emulator.entity(Sorted, options)
  ],
  // A topic keeps what is scheduled.
  drained: [News as unknown as typeof Fixed, Fixed, Changed, Sorted],
  concurrency: { fixed: 4, changed: 2 },
  run: (world) =>
    Effect.gen(function*() {
      yield* beside(
        world,
        "sending",
        send(world, News, { name: "news", most: 50, sessions: ["s1", "s2"], more: propertiesOf })
      )
      for (const each of [Changed, Sorted]) yield* beside(world, "changing rules", changeRules(world, each))
      const work = (name: string, entity: typeof Fixed, concurrency: number) =>
        consume(
          world,
          `processor ${name}`,
          keepBooks(
            world,
            name,
            entity.path,
            ServiceBusProcessor.make(entity, (body, { deliveryCount, lockToken, messageId, sequenceNumber }) => {
              // It belongs to no session here: what comes again comes later.
              const message = { deliveryCount, lockToken, messageId, sequenceNumber, sessionId: undefined }
              return handle(world, name, entity.path, body, message as Parameters<typeof handle>[4])
            }, { concurrency, drainTimeout: "10 seconds" })
          ),
          { pause: 1_000 }
        )
      const sorted = ServiceBusProcessor.makeSessions(
        Sorted,
        (body, message, session) => handle(world, `sorted ${session.sessionId}`, Sorted.path, body, message),
        { concurrentSessions: 2, idleTimeout: world.rng.between(100, 5_000), drainTimeout: "10 seconds" }
      )
      yield* Effect.all([
        work("fixed", Fixed, 4),
        work("changed", Changed, 2),
        consume(world, "sessions", keepBooks(world, "sorted", Sorted.path, sorted), { pause: 1_000 })
      ], { concurrency: "unbounded", discard: true })
    })
}
