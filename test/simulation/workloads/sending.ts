/** Sends in every way that there is, and writes down what was promised. Workloads share it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type * as ServiceBusEntity from "../../../src/ServiceBusEntity.ts"
import * as ServiceBusSender from "../../../src/ServiceBusSender.ts"
import { attempt, bodyOf, flat, operateAside, resultOf, type World } from "../World.ts"

/** Sends until the time of faults is over, or `most` messages were sent. */
export const send = (
  world: World,
  entity: ServiceBusEntity.Sendable<string, string> | ServiceBusEntity.SessionSendable<string, string>,
  options: {
    readonly name: string
    readonly most: number
    readonly sessions?: ReadonlyArray<string>
    /** Nothing is scheduled: what is due by a clock that is off may be early. */
    readonly isAtOnce?: boolean
    /** What a message has besides its id and body. */
    readonly more?: (id: string) => object
  }
) =>
  Effect.gen(function*() {
    const { history, rng } = world
    let count = 0
    const isOver = () => world.isHealed() || count >= options.most
    while (!isOver()) {
      const made = yield* Effect.exit(Effect.scoped(Effect.gen(function*() {
        // The types know whether a session is needed; this knows it by its options.
        const make = () => ServiceBusSender.make(entity as ServiceBusEntity.Queue<string, string>)
        const sender = yield* yield* operateAside(world, "make a sender", make)
        const session = options.sessions === undefined ? undefined : rng.pick(options.sessions)
        const message = () => {
          const id = `${options.name}-${++count}`
          return {
            messageId: id,
            body: bodyOf(id),
            ...(session === undefined ? {} : { sessionId: session }),
            ...options.more?.(id)
          }
        }
        const noted = <A, E, R>(
          messages: ReadonlyArray<{ readonly messageId: string }>,
          effect: Effect.Effect<A, E, R>,
          due?: number
        ) =>
          Effect.suspend(() => {
            const op = history.op()
            const ids = messages.map(({ messageId }) => messageId)
            history.add({ kind: "send", op, entity: entity.path, ids, session, due })
            return Effect.onExit(
              attempt(world, effect, op),
              (exit) => Effect.sync(() => history.add({ kind: "sent", op, ...resultOf(flat(exit)) }))
            )
          })
        const number = (messages: ReadonlyArray<{ readonly messageId: string }>, numbers: ReadonlyArray<bigint>) =>
          history.add({
            kind: "numbered",
            entity: entity.path,
            ids: messages.map(({ messageId }) => messageId),
            sequences: numbers.map(String)
          })
        // A sender lives for a while, and another one comes.
        for (let uses = rng.between(5, 40); uses > 0 && !isOver(); uses--) {
          const kind = options.isAtOnce === true ? rng.pick([0, 4, 6, 9]) : rng.between(0, 9)
          if (kind < 4) {
            const one = message()
            const isPlain = session === undefined && options.more === undefined
            const annotated = () =>
              sender.sendAnnotated({
                properties: { messageId: one.messageId },
                body: { kind: "data", data: Buffer.from(one.body) }
              })
            yield* noted([one], isPlain && world.aside.chance(0.2) ? annotated() : sender.send(one))
          } else if (kind < 6) {
            const many = Array.from({ length: rng.between(1, 12) }, message)
            const batched = Effect.gen(function*() {
              const batch = yield* sender.batch()
              for (const one of many) yield* batch.tryAdd(one)
              return yield* sender.sendBatch(batch)
            })
            yield* noted(many, world.aside.chance(0.3) ? batched : sender.sendAll(many))
          } else if (kind === 6) {
            const many = Array.from({ length: rng.between(1, 12) }, message)
            yield* noted(many, Stream.fromIterable(many).pipe(Stream.run(sender.sink())))
          } else if (kind === 8) {
            const many = Array.from({ length: rng.between(1, 6) }, message)
            const wait = rng.between(1, 20_000)
            const exit = yield* noted(many, sender.scheduleAll(many, Duration.millis(wait)), world.now() + wait)
            if (Exit.isSuccess(exit)) number(many, exit.value)
          } else if (kind < 9) {
            const one = message()
            const wait = rng.between(1, 20_000)
            const exit = yield* noted([one], sender.schedule(one, Duration.millis(wait)), world.now() + wait)
            if (Exit.isSuccess(exit)) number([one], [exit.value])
            if (Exit.isSuccess(exit) && rng.chance(0.5)) {
              const op = history.op()
              history.add({ kind: "cancel", op, entity: entity.path, id: one.messageId })
              yield* Effect.onExit(
                attempt(world, sender.cancelScheduled([exit.value]), op),
                (done) => Effect.sync(() => history.add({ kind: "cancelled", op, ...resultOf(flat(done)) }))
              )
            }
          } else {
            const many = Array.from({ length: rng.between(2, 8) }, message)
            yield* Effect.forEach(many, (one) => noted([one], sender.send(one)), { concurrency: "unbounded" })
          }
          if (rng.chance(0.5)) yield* Effect.sleep(rng.between(1, rng.pick([1_000, 4_000, 15_000])))
        }
      })))
      if (Exit.isFailure(made)) yield* Effect.sleep(rng.between(1, 2_000))
    }
  })
