/**
 * A chain of forwards: queues, a topic, its subscription, a queue with sessions that drops duplicates; dead letters are forwarded,
 * too. What is sent to its beginning makes one hop more than a message may.
 */
import * as Effect from "effect/Effect"
import * as Emulator from "../../../src/emulator/Emulator.ts"
import * as ServiceBusBody from "../../../src/ServiceBusBody.ts"
import * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusProcessor from "../../../src/ServiceBusProcessor.ts"
import * as Settlement from "../../../src/Settlement.ts"
import { beside, bodyOf, resultOf, type Workload, type World } from "../World.ts"
import { consume } from "./consuming.ts"
import { handle } from "./handling.ts"
import { keepBooks } from "./observing.ts"
import { send } from "./sending.ts"

const queue = (name: string) => ServiceBusEntity.queue(name, { body: ServiceBusBody.text })

const Farther = queue("farther")
const Far = queue("far")
const In = queue("in")
const Next = queue("next")
const Fan = ServiceBusEntity.topic("fan", { body: ServiceBusBody.text, sessions: true })
const Onward = ServiceBusEntity.subscription(Fan, "onward", { sessions: false })
const Kept = ServiceBusEntity.subscription(Fan, "kept", { sessions: false })
const End = ServiceBusEntity.queue("end", { body: ServiceBusBody.text, sessions: true })
const Graves = queue("graves")

const options = { lockDuration: "20 seconds", maxDeliveryCount: 4, forwardDeadLetteredMessagesTo: Graves } as const

const window = 60_000

/** Has what was sent come a second time, as from a sender that did not hear that it was taken. */
const repeat = ({ emulator, history, isHealed, rng }: World) =>
  Effect.gen(function*() {
    const repeated = new Set<string>()
    while (!isHealed()) {
      yield* Effect.sleep(rng.between(1, 8_000))
      const confirmed = new Set(history.of("sent").flatMap(({ op, result }) => result === "ok" ? [op] : []))
      const fresh = history.of("send").flatMap(({ due, entity, ids, op, session }) =>
        entity === In.path && due === undefined && confirmed.has(op)
          ? ids.flatMap((id) => repeated.has(id) ? [] : [{ id, session }])
          : []
      )
      const again = fresh.at(-1 - rng.between(0, 3))
      if (again === undefined) continue
      repeated.add(again.id)
      const message = { messageId: again.id, sessionId: again.session, body: bodyOf(again.id) }
      const op = history.op()
      history.add({ kind: "send", op, entity: In.path, ids: [again.id], session: again.session, due: undefined })
      const exit = yield* Effect.exit(emulator.send(In, [message]))
      history.add({ kind: "sent", op, ...resultOf(exit) })
    }
  })

export const forwards: Workload = {
  name: "forwards",
  uses: ["handlers", "settlements", "locks", "sessions", "entities", "forwards"],
  entities: [
    Emulator.entity(Farther, { forwardTo: Far }),
    Emulator.entity(Far, { forwardTo: In }),
    Emulator.entity(In, { forwardTo: Next }),
    Emulator.entity(Next, { forwardTo: Fan }),
    Emulator.entity(Fan),
    Emulator.entity(Onward, { ...options, forwardTo: End }),
    Emulator.entity(Kept, options),
    Emulator.entity(End, { ...options, duplicateDetectionWindow: window }),
    Emulator.entity(Graves, { lockDuration: "20 seconds", maxDeliveryCount: 20 })
  ],
  drained: [Farther, Far, In, Next, Onward, Kept, End, Graves],
  concurrency: { kept: 3, graves: 1 },
  forwards: {
    farther: "far",
    far: "in",
    in: "next",
    next: "fan",
    [Onward.path]: "end",
    [`${Onward.path}/$DeadLetterQueue`]: "graves",
    [`${Kept.path}/$DeadLetterQueue`]: "graves",
    "end/$DeadLetterQueue": "graves"
  },
  windows: { end: window },
  run: (world) =>
    Effect.gen(function*() {
      const { rng } = world
      const sessions = ["s1", "s2", "s3"]
      for (const [entity, most] of [[In, 30], [Far, 10], [Farther, 10]] as const) {
        yield* beside(world, "sending", send(world, entity, { name: entity.path, most, sessions }))
      }
      yield* beside(world, "repeating", repeat(world))
      const dead = ["deadLetter", Settlement.deadLetter({ reason: "simulated" })] as const
      const work = (name: string, entity: typeof Kept | typeof Graves, concurrency: number, dies: number) =>
        consume(
          world,
          `processor ${name}`,
          keepBooks(
            world,
            name,
            entity.path,
            ServiceBusProcessor.make(
              entity as typeof Graves,
              (body, { deliveryCount, lockToken, messageId, sequenceNumber }) => {
                // It belongs to no session here: what comes again comes later.
                const message = { deliveryCount, lockToken, messageId, sequenceNumber, sessionId: undefined }
                return handle(world, name, entity.path, body, message as Parameters<typeof handle>[4], {
                  well: () => !world.isHealed() && rng.chance(dies) ? dead : undefined
                })
              },
              { concurrency, drainTimeout: "10 seconds" }
            )
          ),
          { pause: 1_000 }
        )
      const end = ServiceBusProcessor.makeSessions(
        End,
        (body, message, session) =>
          handle(world, `end ${session.sessionId}`, End.path, body, message, {
            well: () => !world.isHealed() && rng.chance(0.2) ? dead : undefined
          }),
        { concurrentSessions: 3, idleTimeout: rng.between(100, 5_000), drainTimeout: "10 seconds" }
      )
      yield* Effect.all([
        work("kept", Kept, 3, 0.2),
        work("graves", Graves, 1, 0),
        consume(world, "sessions", keepBooks(world, "end", End.path, end), { pause: 1_000 })
      ], { concurrency: "unbounded", discard: true })
    })
}
