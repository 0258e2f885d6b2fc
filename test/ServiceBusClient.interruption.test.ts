/**
 * Every public operation interrupted at each of its steps, while others on the same connection hold a session, a receiver
 * and a sender that must not notice. `npm run simulate:sweep` does it for more of them, and with several numbers of
 * operations before a fiber yields.
 */
import {
  AutoLockRenewer,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scheduler from "effect/Scheduler"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import {
  both,
  inMemory,
  type LayerFor,
  linkOf,
  type Name,
  type Services,
  start,
  testsWith,
  Texts
} from "./support/harness.ts"
import { assert, describe } from "./support/vitest.ts"

const Sessions = ServiceBusEntity.queue("sessions", { body: ServiceBusBody.text, sessions: true })
/** Nothing ever comes there. */
const Empty = ServiceBusEntity.queue("empty", { body: ServiceBusBody.text })

/** An operation takes no more steps, or waits. */
const most = 72

/** Entities that no step before has used: with nothing known of them, and no management node of theirs open. */
const fresh = (step: number) => {
  const Topic = ServiceBusEntity.topic(`topic${step}`, { body: ServiceBusBody.text })
  return {
    Plain: ServiceBusEntity.queue(`plain${step}`, { body: ServiceBusBody.text }),
    Held: ServiceBusEntity.queue(`held${step}`, { body: ServiceBusBody.text, sessions: true }),
    Topic,
    Subscription: ServiceBusEntity.subscription(Topic, "one")
  }
}

type Fresh = ReturnType<typeof fresh>

type Operation = Effect.Effect<unknown, unknown, Services | Scope.Scope>

/** Makes what there is to be, and gives what is interrupted. */
type Case = (entities: Fresh) => Effect.Effect<Operation, unknown, Services | Scope.Scope>

const at = (operation: (entities: Fresh) => Operation): Case => (entities) => Effect.succeed(operation(entities))

const ofReceiver =
  (operation: (receiver: ServiceBusReceiver.ServiceBusReceiver<string, never>) => Operation): Case => ({ Plain }) =>
    Effect.map(ServiceBusReceiver.make(Plain), operation)

const ofSender = (operation: (sender: ServiceBusSender.ServiceBusSender<string>) => Operation): Case => ({ Plain }) =>
  Effect.map(ServiceBusSender.make(Plain), operation)

const ofRules = (
  operation: (rules: ServiceBusRuleManager.ServiceBusRuleManager) => Operation
): Case =>
({ Subscription }) => Effect.map(ServiceBusRuleManager.make(Subscription), operation)

const locked = ({ Plain }: Fresh) =>
  Effect.gen(function*() {
    yield* (yield* Emulator.Emulator).send(Plain, [{ body: "locked" }])
    const receiver = yield* ServiceBusReceiver.make(Plain)
    const [message] = yield* receiver.receive()
    return { message: message!, receiver }
  })

const held = ({ Held }: Fresh) =>
  Effect.andThen(Emulator.Emulator, (emulator) => emulator.send(Held, [{ body: "a", sessionId: "a" }]))

const cases: Readonly<Record<string, Case>> = {
  "ServiceBusSender.make": at(({ Plain }) => ServiceBusSender.make(Plain)),
  "ServiceBusReceiver.make": at(({ Plain }) => ServiceBusReceiver.make(Plain, { prefetch: 10 })),
  "ServiceBusReceiver.makeDestructive": at(({ Plain }) => ServiceBusReceiver.makeDestructive(Plain)),
  "ServiceBusSession.accept": at(({ Held }) => ServiceBusSession.accept(Held, "a")),
  "ServiceBusSession.acceptNext, one is there": (entities) =>
    Effect.as(held(entities), ServiceBusSession.acceptNext(entities.Held)),
  "ServiceBusSession.acceptNext, none is": at(({ Held }) => ServiceBusSession.acceptNext(Held)),
  "ServiceBusSession.use": at(({ Held }) => ServiceBusSession.use(Held, "a", (session) => session.peek())),
  "ServiceBusSession.sessions": (entities) =>
    Effect.as(held(entities), ServiceBusSession.sessions(entities.Held).pipe(Stream.take(1), Stream.runDrain)),
  "ServiceBusSession.list": at(({ Held }) => Stream.runDrain(ServiceBusSession.list(Held))),
  "a session's state": ({ Held }) =>
    Effect.map(
      ServiceBusSession.accept(Held, "a"),
      (session) => Effect.andThen(session.setState(new Uint8Array(3)), session.state)
    ),
  "a first peek": ofReceiver((receiver) => receiver.peek({ max: 10 })),
  "a first receive": ofReceiver((receiver) => receiver.receive({ maxWait: 0 })),
  "a first receiveDeferred": ofReceiver((receiver) => Effect.ignore(receiver.receiveDeferred([1n]))),
  "a first deleteMessages": ofReceiver((receiver) => receiver.deleteMessages()),
  "a first send": ofSender((sender) => sender.send({ body: "sent" })),
  "a first schedule": ofSender((sender) =>
    Effect.flatMap(sender.schedule({ body: "later" }, "1 hour"), (number) => sender.cancelScheduled([number]))
  ),
  "a sink": ofSender((sender) =>
    Stream.range(1, 3).pipe(Stream.map((i) => ({ body: String(i) })), Stream.run(sender.sink()))
  ),
  "a first renewLock": (entities) =>
    Effect.map(locked(entities), ({ message, receiver }) => receiver.renewLock(message)),
  "a first complete": (entities) => Effect.map(locked(entities), ({ message, receiver }) => receiver.complete(message)),
  "a first retryAfter": (entities) =>
    Effect.map(locked(entities), ({ message, receiver }) => receiver.settle(message, Settlement.retryAfter("1 hour"))),
  "ServiceBusReceiver.settleByToken": (entities) =>
    Effect.map(
      locked(entities),
      ({ message }) => ServiceBusReceiver.settleByToken(entities.Plain, [message.lockToken], Settlement.complete)
    ),
  "ServiceBusDeadLetters.counts": at(({ Plain }) => ServiceBusDeadLetters.counts(Plain)),
  "ServiceBusDeadLetters.purge": at(({ Plain }) => ServiceBusDeadLetters.purge(Plain)),
  "ServiceBusDeadLetters.replay": (entities) =>
    Effect.flatMap(
      locked(entities),
      ({ message, receiver }) => Effect.as(receiver.deadLetter(message), ServiceBusDeadLetters.replay(entities.Plain))
    ),
  "ServiceBusRuleManager.make": at(({ Subscription }) => ServiceBusRuleManager.make(Subscription)),
  "rules that are created, listed and deleted": ofRules((rules) =>
    Effect.gen(function*() {
      // The one of an operation that was interrupted may be there.
      yield* Effect.catchTag(
        rules.create("a", ServiceBusRule.sql("a = 1")),
        "MessagingEntityAlreadyExistsError",
        () => Effect.void
      )
      yield* rules.get("a")
      yield* Stream.runDrain(rules.list)
      yield* rules.delete("a")
    })
  ),
  "ServiceBusProcessor.process": at(({ Plain }) =>
    Effect.flatMap(
      ServiceBusReceiver.make(Plain),
      (receiver) => ServiceBusProcessor.process(receiver, () => Effect.void)
    )
  ),
  "ServiceBusProcessor.processSessions": (entities) =>
    Effect.as(
      held(entities),
      ServiceBusProcessor.processSessions(entities.Held, () => Effect.void, { concurrentSessions: 2, idleTimeout: 1 })
    ),
  "ServiceBusProcessor.layer": at(({ Plain }) => Layer.launch(ServiceBusProcessor.layer(Plain, () => Effect.void))),
  "ServiceBusProcessor.layerBatched": (entities) =>
    Effect.as(
      Effect.andThen(Emulator.Emulator, (emulator) => emulator.send(entities.Plain, [{ body: "1" }])),
      Layer.launch(ServiceBusProcessor.layerBatched(entities.Plain, () => Effect.void, { size: 2, within: 1 }))
    ),
  "ServiceBusProcessor.layerSessions": (entities) =>
    Effect.as(
      held(entities),
      Layer.launch(ServiceBusProcessor.layerSessions(entities.Held, () => Effect.void, { idleTimeout: 1 }))
    ),
  "client.health": at(() => Effect.flatMap(ServiceBusClient.ServiceBusClient, (client) => client.health))
}

/** What runs over the same code as one of those, and stops elsewhere: in a sweep. */
const more: Readonly<Record<string, Case>> = {
  "a first sendAll": ofSender((sender) => sender.sendAll([{ body: "1" }, { body: "2" }])),
  "a first batch": ofSender((sender) =>
    Effect.gen(function*() {
      const batch = yield* sender.batch()
      yield* batch.tryAdd({ body: "1" })
      return yield* sender.sendBatch(batch)
    })
  ),
  "a first scheduleAll": ofSender((sender) => sender.scheduleAll([{ body: "1" }, { body: "2" }], "1 hour")),
  "a first receiveOne": ofReceiver((receiver) => receiver.receiveOne({ maxWait: 0 })),
  "a first browse": ofReceiver((receiver) => Stream.runDrain(receiver.browse())),
  "a first purge": ofReceiver((receiver) => receiver.purge()),
  "messages": (entities) =>
    Effect.map(locked(entities), ({ receiver }) => Stream.runDrain(Stream.take(receiver.messages, 1))),
  "chunks": ofReceiver((receiver) => Stream.runDrain(receiver.chunks)),
  "a first abandon": (entities) => Effect.map(locked(entities), ({ message, receiver }) => receiver.abandon(message)),
  "a first defer": (entities) =>
    Effect.map(
      locked(entities),
      ({ message, receiver }) =>
        Effect.andThen(receiver.defer(message), receiver.receiveDeferred([message.sequenceNumber]))
    ),
  "a first deadLetter": (entities) =>
    Effect.map(locked(entities), ({ message, receiver }) => receiver.deadLetter(message)),
  "a first completeAll": (entities) =>
    Effect.map(locked(entities), ({ message, receiver }) => receiver.completeAll([message])),
  "a first handOver": (entities) => Effect.map(locked(entities), ({ message, receiver }) => receiver.handOver(message)),
  "ServiceBusReceiver.renewByToken": (entities) =>
    Effect.map(locked(entities), ({ message }) => ServiceBusReceiver.renewByToken(entities.Plain, [message.lockToken])),
  "ServiceBusReceiver.settleEach": (entities) =>
    Effect.map(
      locked(entities),
      ({ receiver }) =>
        receiver.messages.pipe(Stream.take(1), ServiceBusReceiver.settleEach(() => Effect.void), Stream.runDrain)
    ),
  "AutoLockRenewer.withLock": (entities) =>
    Effect.map(
      locked(entities),
      ({ message, receiver }) => AutoLockRenewer.withLock(receiver.complete(message), receiver, message)
    ),
  "ServiceBusSession.acceptDestructive": at(({ Held }) => ServiceBusSession.acceptDestructive(Held, "a")),
  "ServiceBusSession.useNext": (entities) =>
    Effect.as(held(entities), ServiceBusSession.useNext(entities.Held, (session) => session.receive())),
  "a session's lock": ({ Held }) =>
    Effect.map(ServiceBusSession.accept(Held, "a"), (session) => Effect.andThen(session.renewLock, session.clearState)),
  "ServiceBusDeadLetters.browse": at(({ Plain }) => Stream.runDrain(ServiceBusDeadLetters.browse(Plain))),
  "ServiceBusProcessor.processBatched": at(({ Plain }) =>
    ServiceBusProcessor.processBatched(Plain, () => Effect.void, { size: 2, within: 1 })
  )
}

/** Whether every operation is interrupted at every step, and with every number of operations before a yield. */
const isSweep = process.env["SWEEP"] === "all"

const bystanders = Effect.gen(function*() {
  const emulator = yield* Emulator.Emulator
  yield* emulator.send(Sessions, [{ body: "mine", sessionId: "mine" }])
  const session = yield* ServiceBusSession.accept(Sessions, "mine", { maxLockRenewal: "1 hour" })
  const receiver = yield* ServiceBusReceiver.make(Texts, { prefetch: 1 })
  const sender = yield* ServiceBusSender.make(Empty)
  const [message] = yield* session.receive()
  // Opens the management node that renews its lock.
  yield* session.renewLock
  const links = [session, receiver, sender].map(linkOf)
  const { connection } = links[0]!
  return {
    /** How many AMQP sessions the connection has. */
    sessions: () => Object.keys(connection.rhea.local_channel_map).length,
    isWell: () => links.every((link) => link.dead() === undefined) && connection.dead() === undefined,
    works: Effect.gen(function*() {
      yield* session.renewLock
      yield* sender.send({ body: "still here" })
      assert.strictEqual(yield* emulator.connections, 1)
      return yield* session.complete(message!)
    })
  }
})

/** Interrupts an operation once it has taken so many steps; true where it had ended by then. */
const interrupted = Effect.fnUntraced(function*(prepare: Case, steps: number) {
  const operation = yield* prepare(fresh(steps))
  const fiber = yield* start(Effect.scoped(operation as Effect.Effect<unknown, unknown, Services>))
  for (let step = 0; step < steps && fiber.pollUnsafe() === undefined; step++) yield* Effect.yieldNow
  const isOver = fiber.pollUnsafe() !== undefined
  yield* Fiber.interrupt(fiber)
  const exit = yield* Fiber.await(fiber)
  if (Exit.isFailure(exit)) {
    assert.isFalse(Cause.hasDies(exit.cause), Cause.pretty(exit.cause))
    // Nothing that was interrupted before keeps it from its end.
    if (isOver) assert.fail(Cause.pretty(exit.cause))
  }
  return isOver
})

/** With how many operations a fiber yields: also between what it is answered and what it does with it. */
const budgets = [4, 7, 12, 21]

/** What attaches, where nothing else may stay of it. */
const attaching: ReadonlyArray<string> = ["ServiceBusSender.make", "ServiceBusSession.accept", "client.health"]

const suite = (name: Name, layerFor: LayerFor) =>
  describe(`interrupted at each step, ${name}`, () => {
    const entities = Array.from({ length: most }, (_, step) => {
      const { Held, Plain, Subscription, Topic } = fresh(step)
      return [Emulator.entity(Plain), Emulator.entity(Held), Emulator.entity(Topic), Emulator.entity(Subscription)]
    }).flat()
    const { test } = testsWith(name, layerFor, [
      Emulator.entity(Sessions),
      Emulator.entity(Empty),
      ...entities
    ])
    // Over a socket a step is not the same twice.
    const stride = name === "in memory" ? 1 : 3
    for (const [operation, it] of Object.entries(isSweep ? { ...cases, ...more } : cases)) {
      const run = (budget: number) =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const others = yield* bystanders
          yield* emulator.idle
          const sessions = others.sessions()
          for (let steps = 0, isOver = false; !isOver && steps < most; steps += stride) {
            isOver = yield* Effect.scoped(interrupted(it, steps)).pipe(
              Effect.provideService(Scheduler.MaxOpsBeforeYield, budget)
            )
            yield* emulator.idle
            assert.isTrue(others.isWell(), `a bystander noticed an interruption after ${steps} steps of ${budget}`)
          }
          if ("adjust" in (yield* Clock.Clock)) {
            // Management nodes are kept for five minutes; nothing else is. In steps: time that passes at once overtakes
            // a fiber that still takes its turns.
            for (let i = 0; i < 24; i++) yield* TestClock.adjust("15 seconds")
            yield* emulator.idle
            assert.isAtMost(others.sessions(), sessions)
          }
          yield* others.works
        })
      test(operation, () => run(2048))
      for (const budget of isSweep ? budgets : []) {test(`${operation}, ${budget} operations before a yield`, () =>
          run(budget))}
    }
    for (const operation of name === "in memory" && !isSweep ? attaching : []) {
      test(`${operation}, by a fiber that yields often`, () =>
        Effect.gen(function*() {
          const emulator = yield* Emulator.Emulator
          const others = yield* bystanders
          yield* emulator.idle
          const sessions = others.sessions()
          for (const budget of budgets) {
            for (let steps = 0, isOver = false; !isOver && steps < most; steps++) {
              isOver = yield* Effect.scoped(interrupted(cases[operation]!, steps)).pipe(
                Effect.provideService(Scheduler.MaxOpsBeforeYield, budget)
              )
              yield* emulator.idle
              assert.isTrue(others.isWell(), `a bystander noticed an interruption after ${steps} steps of ${budget}`)
              assert.strictEqual(others.sessions(), sessions, `${steps} steps of ${budget}`)
            }
          }
          yield* others.works
        }))
    }
  })

if (isSweep) suite("in memory", inMemory)
else both(suite)
