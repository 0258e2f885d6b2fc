/**
 * Every public operation interrupted at each of its steps, while others on the same connection hold a session, a receiver
 * and a sender that must not notice. How many steps it has is counted by a run that is not interrupted. `npm test` takes some
 * operations; `npm run simulate:sweep` all of them, and several numbers of operations before a fiber yields.
 */
import * as All from "effect-service-bus"
import {
  AutoLockRenewer,
  ServiceBusAdministration,
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
  ServiceBusTopology,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Cause from "effect/Cause"
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
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })

/** Over a socket steps are not the same twice, and the kernel makes as many as it likes. */
const mostOverSockets = 72

/** By so many steps an operation may differ from when it was counted: what is here already is not opened again. */
const spare = 10

/** With how many operations a fiber yields, and how many steps an operation has then at most. */
const budgets: ReadonlyArray<readonly [budget: number, most: number]> = [
  [2048, 100],
  [21, 160],
  [12, 230],
  [7, 400],
  [4, 850]
]

/** Entities that no step before has used: with nothing known of them, and no management node of theirs open. */
const fresh = (step: number) => ({
  Plain: ServiceBusEntity.queue(`plain${step}`, { body: ServiceBusBody.text }),
  Held: ServiceBusEntity.queue(`held${step}`, { body: ServiceBusBody.text, sessions: true }),
  Sport: ServiceBusEntity.subscription(News, `sport${step}`)
})

type Fresh = ReturnType<typeof fresh>

/** Those of so many steps. */
const entitiesOf = (steps: number): ReadonlyArray<Emulator.Entity> => [
  Emulator.entity(News),
  ...Array.from({ length: steps }, (_, step) => {
    const { Held, Plain, Sport } = fresh(step)
    return [Emulator.entity(Plain), Emulator.entity(Held), Emulator.entity(Sport)]
  }).flat()
]

type Operation = Effect.Effect<unknown, unknown, Services | Scope.Scope>

/** Makes what there is to be, and gives what is interrupted. */
type Case = (entities: Fresh) => Effect.Effect<Operation, unknown, Services | Scope.Scope>

const at = (operation: (entities: Fresh) => Operation): Case => (entities) => Effect.succeed(operation(entities))

const ofSender = (operation: (sender: ServiceBusSender.ServiceBusSender<string>) => Operation): Case => ({ Plain }) =>
  Effect.map(ServiceBusSender.make(Plain), operation)

const plain = ({ Plain }: Fresh) =>
  Effect.andThen(Emulator.Emulator, (emulator) => emulator.send(Plain, [{ body: "a" }]))

const held = ({ Held }: Fresh) =>
  Effect.andThen(Emulator.Emulator, (emulator) => emulator.send(Held, [{ body: "a", sessionId: "a" }]))

/** What receives, each with a message that waits for it. */
const sources = {
  receiver: (entities: Fresh) => Effect.andThen(plain(entities), ServiceBusReceiver.make(entities.Plain)),
  destructiveReceiver: (entities: Fresh) =>
    Effect.andThen(plain(entities), ServiceBusReceiver.makeDestructive(entities.Plain)),
  session: (entities: Fresh) => Effect.andThen(held(entities), ServiceBusSession.accept(entities.Held, "a")),
  destructiveSession: (entities: Fresh) =>
    Effect.andThen(held(entities), ServiceBusSession.acceptDestructive(entities.Held, "a"))
}

type Reading = ServiceBusReceiver.Reading<string, unknown, unknown, unknown, unknown>

const reads: Readonly<Record<Exclude<keyof Reading, "entity" | "identifier">, (source: Reading) => Operation>> = {
  receive: (source) => source.receive({ maxWait: 0 }),
  receiveOne: (source) => source.receiveOne({ maxWait: 0 }),
  receiveRaw: (source) => source.receiveRaw({ maxWait: 0 }),
  messages: (source) => Stream.runDrain(Stream.take(source.messages, 1)),
  messagesRaw: (source) => Stream.runDrain(Stream.take(source.messagesRaw, 1)),
  chunks: (source) => Stream.runDrain(source.chunks),
  peek: (source) => source.peek({ max: 10 }),
  peekRaw: (source) => source.peekRaw({ max: 10 }),
  browse: (source) => Stream.runDrain(source.browse()),
  browseRaw: (source) => Stream.runDrain(source.browseRaw()),
  deleteMessages: (source) => source.deleteMessages(),
  purge: (source) => source.purge(),
  receiveDeferred: (source) => Effect.ignore(source.receiveDeferred([1n]))
}

/** What settles, with a message that it has received. */
const settlers = {
  receiver: (entities: Fresh) =>
    Effect.gen(function*() {
      const source = yield* sources.receiver(entities)
      const [message] = yield* source.receive()
      return { message: message!, source }
    }),
  session: (entities: Fresh) =>
    Effect.gen(function*() {
      const source = yield* sources.session(entities)
      const [message] = yield* source.receive()
      return { message: message!, source }
    })
}

type Settling = ServiceBusReceiver.Settling<unknown>

type Message = Parameters<Settling["complete"]>[0]

const settlements: Readonly<Record<keyof Settling, (source: Settling, message: Message) => Operation>> = {
  settle: (source, message) => source.settle(message, Settlement.retryAfter("1 hour")),
  complete: (source, message) => source.complete(message),
  abandon: (source, message) => source.abandon(message),
  defer: (source, message) => source.defer(message),
  deadLetter: (source, message) => source.deadLetter(message),
  settleAll: (source, message) => source.settleAll([message], Settlement.complete),
  completeAll: (source, message) => source.completeAll([message])
}

const ofLocked = (
  operation: (
    locked: Effect.Success<ReturnType<typeof settlers["receiver"]>>,
    entities: Fresh
  ) => Operation
): Case =>
(entities) => Effect.map(settlers.receiver(entities), (locked) => operation(locked, entities))

const ofProcessor = (operation: (processor: ServiceBusProcessor.Processor) => Operation): Case => (entities) =>
  Effect.map(
    Effect.andThen(plain(entities), ServiceBusProcessor.make(entities.Plain, () => Effect.void)),
    operation
  )

const ofSessionProcessor =
  (operation: (processor: ServiceBusProcessor.SessionProcessor) => Operation): Case => (entities) =>
    Effect.map(
      Effect.andThen(held(entities), ServiceBusProcessor.makeSessions(entities.Held, () => Effect.void)),
      operation
    )

const ofRules = (operation: (rules: ServiceBusRuleManager.ServiceBusRuleManager) => Operation): Case => ({ Sport }) =>
  Effect.map(ServiceBusRuleManager.make(Sport), operation)

const ofAdministration = (
  operation: (
    administration: ServiceBusAdministration.ServiceBusAdministration["Service"],
    entities: Fresh
  ) => Operation
): Case =>
(entities) =>
  Effect.map(ServiceBusAdministration.ServiceBusAdministration, (administration) => operation(administration, entities))

/** Every operation, by its module, or by what has it. */
const cases: Readonly<Record<string, Case>> = {
  "ServiceBusSender.make": at(({ Plain }) => ServiceBusSender.make(Plain)),
  "ServiceBusReceiver.make": at(({ Plain }) => ServiceBusReceiver.make(Plain, { prefetch: 10 })),
  "ServiceBusReceiver.makeDestructive": at(({ Plain }) => ServiceBusReceiver.makeDestructive(Plain)),
  "ServiceBusReceiver.settleByToken": ofLocked(({ message }, { Plain }) =>
    ServiceBusReceiver.settleByToken(Plain, [message.lockToken], Settlement.complete)
  ),
  "ServiceBusReceiver.renewByToken": ofLocked(({ message }, { Plain }) =>
    ServiceBusReceiver.renewByToken(Plain, [message.lockToken])
  ),
  "ServiceBusReceiver.settleEach": (entities) =>
    Effect.map(
      sources.receiver(entities),
      ({ messages }) => messages.pipe(Stream.take(1), ServiceBusReceiver.settleEach(() => Effect.void), Stream.runDrain)
    ),
  "ServiceBusSession.accept": at(({ Held }) => ServiceBusSession.accept(Held, "a")),
  "ServiceBusSession.acceptDestructive": at(({ Held }) => ServiceBusSession.acceptDestructive(Held, "a")),
  "ServiceBusSession.acceptNext": (entities) => Effect.as(held(entities), ServiceBusSession.acceptNext(entities.Held)),
  "ServiceBusSession.acceptNext, none is there": at(({ Held }) => ServiceBusSession.acceptNext(Held)),
  "ServiceBusSession.acceptNextDestructive": (entities) =>
    Effect.as(held(entities), ServiceBusSession.acceptNextDestructive(entities.Held)),
  "ServiceBusSession.use": at(({ Held }) => ServiceBusSession.use(Held, "a", (session) => session.peek())),
  "ServiceBusSession.useNext": (entities) =>
    Effect.as(held(entities), ServiceBusSession.useNext(entities.Held, (session) => session.receive())),
  "ServiceBusSession.sessions": (entities) =>
    Effect.as(held(entities), ServiceBusSession.sessions(entities.Held).pipe(Stream.take(1), Stream.runDrain)),
  "ServiceBusSession.list": at(({ Held }) => Stream.runDrain(ServiceBusSession.list(Held))),
  "ServiceBusDeadLetters.browse": at(({ Plain }) => Stream.runDrain(ServiceBusDeadLetters.browse(Plain))),
  "ServiceBusDeadLetters.browseRaw": at(({ Plain }) => Stream.runDrain(ServiceBusDeadLetters.browseRaw(Plain))),
  "ServiceBusDeadLetters.counts": at(({ Plain }) => ServiceBusDeadLetters.counts(Plain)),
  "ServiceBusDeadLetters.purge": at(({ Plain }) => ServiceBusDeadLetters.purge(Plain)),
  "ServiceBusDeadLetters.replay": (entities) =>
    Effect.flatMap(
      settlers.receiver(entities),
      ({ message, source }) => Effect.as(source.deadLetter(message), ServiceBusDeadLetters.replay(entities.Plain))
    ),
  "ServiceBusProcessor.make": at(({ Plain }) => ServiceBusProcessor.make(Plain, () => Effect.void)),
  "ServiceBusProcessor.makeBatched": at(({ Plain }) =>
    ServiceBusProcessor.makeBatched(Plain, () => Effect.void, { size: 2, within: 1 })
  ),
  "ServiceBusProcessor.makeSessions": (entities) =>
    Effect.as(held(entities), ServiceBusProcessor.makeSessions(entities.Held, () => Effect.void, { idleTimeout: 1 })),
  "ServiceBusProcessor.process": at(({ Plain }) =>
    Effect.flatMap(
      ServiceBusReceiver.make(Plain),
      (receiver) => ServiceBusProcessor.process(receiver, () => Effect.void)
    )
  ),
  "ServiceBusProcessor.processBatched": (entities) =>
    Effect.as(
      plain(entities),
      ServiceBusProcessor.processBatched(entities.Plain, () => Effect.void, { size: 2, within: 1 })
    ),
  "ServiceBusProcessor.processSessions": (entities) =>
    Effect.as(
      held(entities),
      ServiceBusProcessor.processSessions(entities.Held, () => Effect.void, { concurrentSessions: 2, idleTimeout: 1 })
    ),
  "ServiceBusProcessor.layer": at(({ Plain }) => Layer.launch(ServiceBusProcessor.layer(Plain, () => Effect.void))),
  "ServiceBusProcessor.layerBatched": (entities) =>
    Effect.as(
      plain(entities),
      Layer.launch(ServiceBusProcessor.layerBatched(entities.Plain, () => Effect.void, { size: 2, within: 1 }))
    ),
  "ServiceBusProcessor.layerSessions": (entities) =>
    Effect.as(
      held(entities),
      Layer.launch(ServiceBusProcessor.layerSessions(entities.Held, () => Effect.void, { idleTimeout: 1 }))
    ),
  "ServiceBusRuleManager.make": at(({ Sport }) => ServiceBusRuleManager.make(Sport)),
  "AutoLockRenewer.withLock": ofLocked(({ message, source }) =>
    AutoLockRenewer.withLock(source.complete(message), source, message)
  ),
  "AutoLockRenewer.watchLock": ofLocked(({ message, source }) =>
    Effect.raceFirst(
      Stream.runDrain(AutoLockRenewer.watchLock(source, message)),
      Effect.andThen(source.complete(message), Effect.never)
    )
  ),
  "client.health": at(() => Effect.flatMap(ServiceBusClient.ServiceBusClient, (client) => client.health)),
  "sender.send": ofSender((sender) => sender.send({ body: "sent" })),
  "sender.sendAll": ofSender((sender) => sender.sendAll([{ body: "1" }, { body: "2" }])),
  "sender.sendAnnotated": ofSender((sender) => sender.sendAnnotated({ body: { kind: "value", value: "sent" } })),
  "sender.sendBatch": ofSender((sender) =>
    Effect.gen(function*() {
      const batch = yield* sender.batch()
      yield* batch.tryAdd({ body: "1" })
      return yield* sender.sendBatch(batch)
    })
  ),
  "sender.sink": ofSender((sender) =>
    Stream.range(1, 3).pipe(Stream.map((i) => ({ body: String(i) })), Stream.run(sender.sink()))
  ),
  "sender.schedule": ofSender((sender) => sender.schedule({ body: "later" }, "1 hour")),
  "sender.scheduleAll": ofSender((sender) => sender.scheduleAll([{ body: "1" }, { body: "2" }], "1 hour")),
  "sender.cancelScheduled": ofSender((sender) =>
    Effect.flatMap(sender.schedule({ body: "later" }, "1 hour"), (number) => sender.cancelScheduled([number]))
  ),
  "receiver.handOver": ofLocked(({ message, source }) => source.handOver(message)),
  "receiver.renewLock": ofLocked(({ message, source }) => source.renewLock(message)),
  "session.renewLock": (entities) => Effect.map(sources.session(entities), (session) => session.renewLock),
  "session.state": (entities) => Effect.map(sources.session(entities), (session) => session.state),
  "session.setState": (entities) =>
    Effect.map(sources.session(entities), (session) => session.setState(new Uint8Array(3))),
  "session.clearState": (entities) => Effect.map(sources.session(entities), (session) => session.clearState),
  "session.lost": (entities) => Effect.map(sources.session(entities), (session) => session.lost),
  "processor.pause": ofProcessor((processor) => Effect.andThen(processor.pause, processor.resume)),
  "processor.drain": ofProcessor((processor) => processor.drain),
  "processor.join": ofProcessor((processor) => processor.join),
  "processor.stopped": ofProcessor((processor) => processor.stopped),
  "sessionProcessor.pause": ofSessionProcessor((processor) => Effect.andThen(processor.pause, processor.resume)),
  "sessionProcessor.drain": ofSessionProcessor((processor) => processor.drain),
  "sessionProcessor.join": ofSessionProcessor((processor) => processor.join),
  "sessionProcessor.stopped": ofSessionProcessor((processor) => processor.stopped),
  "rules.create": ofRules((rules) => rules.create("none", ServiceBusRule.false)),
  "rules.delete": ofRules((rules) => rules.delete(ServiceBusRule.defaultName)),
  "rules.get": ofRules((rules) => rules.get(ServiceBusRule.defaultName)),
  "rules.list": ofRules((rules) => Stream.runDrain(rules.list)),
  "administration.createQueue": ofAdministration(({ createQueue }, { Plain }) => createQueue(`${Plain.name}-new`)),
  "administration.getQueue": ofAdministration(({ getQueue }, { Plain }) => getQueue(Plain)),
  "administration.updateQueue": ofAdministration(({ updateQueue }, { Plain }) =>
    updateQueue(Plain, () => ({ maxDeliveryCount: 3 }))
  ),
  "administration.deleteQueue": ofAdministration(({ deleteQueue }, { Plain }) => deleteQueue(Plain)),
  "administration.listQueues": ofAdministration(({ listQueues }) => Stream.runDrain(Stream.take(listQueues, 1))),
  "administration.createSubscription": ofAdministration(({ createSubscription }, { Sport }) =>
    createSubscription(`${Sport.path}-new`, {
      rules: [ServiceBusRule.make("a", ServiceBusRule.true), ServiceBusRule.make("b", ServiceBusRule.false)]
    })
  ),
  "administration.createRule": ofAdministration(({ createRule }, { Sport }) =>
    createRule(Sport, ServiceBusRule.make("none", ServiceBusRule.false))
  ),
  "administration.updateRule": ofAdministration(({ updateRule }, { Sport }) =>
    updateRule(Sport, ServiceBusRule.defaultName, () => ({ filter: ServiceBusRule.false }))
  ),
  "administration.deleteRule": ofAdministration(({ deleteRule }, { Sport }) =>
    deleteRule(Sport, ServiceBusRule.defaultName)
  ),
  "ServiceBusTopology.apply": ({ Plain }) =>
    Effect.map(
      ServiceBusTopology.plan([ServiceBusTopology.entity(Plain, { maxDeliveryCount: 3 }), `${Plain.name}-declared`]),
      ServiceBusTopology.apply
    ),
  "administration.getNamespace": ofAdministration(({ getNamespace }) => getNamespace),
  ...Object.fromEntries(
    Object.entries(sources).flatMap(([name, make]) =>
      Object.entries(reads).map(([operation, run]): [string, Case] => [
        `${name}.${operation}`,
        (entities) => Effect.map(make(entities), run)
      ])
    )
  ),
  ...Object.fromEntries(
    Object.entries(settlements).flatMap(([operation, run]): ReadonlyArray<[string, Case]> => [
      [
        `receiver.${operation}`,
        (entities) => Effect.map(settlers.receiver(entities), ({ message, source }) => run(source, message))
      ],
      [
        `session.${operation}`,
        (entities) => Effect.map(settlers.session(entities), ({ message, source }) => run(source, message))
      ]
    ])
  )
}

/** What `npm test` takes: the ways in which the code of all differs. */
const some: ReadonlyArray<string> = [
  "ServiceBusSender.make",
  "ServiceBusReceiver.make",
  "ServiceBusSession.accept",
  "ServiceBusSession.acceptNext",
  "ServiceBusSession.acceptNext, none is there",
  "ServiceBusSession.use",
  "ServiceBusSession.sessions",
  "ServiceBusSession.list",
  "ServiceBusReceiver.settleByToken",
  "ServiceBusDeadLetters.counts",
  "ServiceBusDeadLetters.replay",
  "ServiceBusProcessor.process",
  "ServiceBusProcessor.processSessions",
  "ServiceBusProcessor.layer",
  "ServiceBusProcessor.layerBatched",
  "ServiceBusRuleManager.make",
  "client.health",
  "sender.send",
  "sender.sink",
  "sender.cancelScheduled",
  "receiver.peek",
  "receiver.receive",
  "receiver.receiveDeferred",
  "receiver.deleteMessages",
  "receiver.renewLock",
  "receiver.complete",
  "receiver.settle",
  "session.state",
  "rules.create",
  "administration.createSubscription",
  "ServiceBusTopology.apply"
]

/** Modules of values: what they give needs no client. */
const values: ReadonlySet<string> = new Set([
  "AmqpAnnotatedMessage",
  "AmqpValue",
  "ConnectionString",
  "ServiceBusBody",
  "ServiceBusCredential",
  "ServiceBusEntity",
  "ServiceBusError",
  "ServiceBusEvent",
  "ServiceBusFilter",
  "ServiceBusMessage",
  "ServiceBusProperties",
  "ServiceBusRule",
  "Settlement"
])

/** What is no operation of its own, and why. */
const others: Readonly<Record<string, string>> = {
  "ServiceBusClient.ServiceBusClient": "the service",
  "ServiceBusRuleManager.isListedAs": "compares two values",
  "ServiceBusClient.make": "a client that is not used does nothing",
  "ServiceBusClient.layer": "the same",
  "ServiceBusClient.layerConfig": "the same",
  "ServiceBusClient.layerConnectionString": "the same",
  "ServiceBusClient.layerEnv": "the same",
  "ServiceBusClient.fromConnectionString": "the same",
  "ServiceBusClient.namespaceFor": "internal",
  "ServiceBusAdministration.ServiceBusAdministration": "the service",
  "ServiceBusTopology.entity": "makes a value",
  // It would read, at each step, all the entities that there are for the steps.
  "ServiceBusTopology.plan": "asks for lists alone, as administration.listQueues does",
  "ServiceBusTopology.isEmpty": "reads what is here",
  "ServiceBusTopology.format": "reads what is here",
  "ServiceBusAdministration.make": "a client that is not used does nothing",
  "ServiceBusAdministration.makeWith": "the same",
  "ServiceBusAdministration.ofConnectionString": "the same",
  "ServiceBusAdministration.layer": "the same",
  "ServiceBusAdministration.layerConnectionString": "the same",
  "ServiceBusAdministration.layerEnv": "the same",
  "ServiceBusAdministration.layerHttpClient": "the same",
  "administration.queueExists": "that of administration.getQueue",
  "administration.getQueueRuntime": "that of administration.getQueue",
  "administration.listQueueRuntimes": "that of administration.listQueues",
  "administration.getTopic": "that of administration.getQueue",
  "administration.topicExists": "that of administration.getQueue",
  "administration.getTopicRuntime": "that of administration.getQueue",
  "administration.listTopics": "that of administration.listQueues",
  "administration.listTopicRuntimes": "that of administration.listQueues",
  "administration.updateTopic": "that of administration.updateQueue",
  "administration.deleteTopic": "that of administration.deleteQueue",
  "administration.getSubscription": "that of administration.getQueue",
  "administration.subscriptionExists": "that of administration.getQueue",
  "administration.getSubscriptionRuntime": "that of administration.getQueue",
  "administration.listSubscriptions": "that of administration.listQueues",
  "administration.listSubscriptionRuntimes": "that of administration.listQueues",
  "administration.updateSubscription": "that of administration.updateQueue",
  "administration.deleteSubscription": "that of administration.deleteQueue",
  "administration.createTopic": "that of administration.createQueue",
  "administration.getRule": "that of administration.getQueue",
  "administration.ruleExists": "that of administration.getQueue",
  "administration.listRules": "that of administration.listQueues",
  "AutoLockRenewer.lockState": "reads what is here",
  "AutoLockRenewer.renewals": "reads what is here",
  "client.state": "reads what is here",
  "client.events": "reads what is here",
  "sender.batch": "a part of sender.sendBatch",
  "batch.tryAdd": "a part of sender.sendBatch",
  "session.lockedUntil": "reads what is here",
  "destructiveSession.lockedUntil": "reads what is here",
  "destructiveSession.renewLock": "that of a session",
  "destructiveSession.state": "that of a session",
  "destructiveSession.setState": "that of a session",
  "destructiveSession.clearState": "that of a session",
  "destructiveSession.lost": "that of a session",
  "processor.counts": "reads what is here",
  "processor.resume": "a part of processor.pause",
  "processor.setConcurrency": "sets what is here",
  "sessionProcessor.counts": "reads what is here",
  "sessionProcessor.resume": "a part of sessionProcessor.pause",
  "sessionProcessor.setConcurrentSessions": "sets what is here"
}

/** The share of a sweep, of so many, or undefined where it is none. */
const sweep = process.env["SWEEP"]?.split("/").map(Number) as
  | [share: number, of: number, most: number]
  | undefined

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

/** How many tasks were scheduled. */
interface Tasks {
  count: number
}

/** The scheduler of the context, which is TestClock's, as one that counts its tasks. */
const counting = (tasks: Tasks): Effect.Effect<Scheduler.Scheduler> =>
  Effect.map(Scheduler.Scheduler, (scheduler) => ({
    executionMode: scheduler.executionMode,
    shouldYield: (fiber) => scheduler.shouldYield(fiber),
    makeDispatcher: () => {
      const dispatcher = scheduler.makeDispatcher()
      return {
        scheduleTask: (task, priority) => {
          tasks.count++
          dispatcher.scheduleTask(task, priority)
        },
        flush: () => dispatcher.flush()
      }
    }
  }))

/** What goes on where only time is waited for: batches that are not full, sessions that are idle. */
const passTime = Effect.forkChild(TestClock.adjust("10 millis"), { startImmediately: true })

/** How many steps an operation takes until it ends or waits for what does not come, and after how many a little time passes. */
const count = Effect.fnUntraced(function*(prepare: Case, tasks: Tasks) {
  const emulator = yield* Emulator.Emulator
  const operation = yield* prepare(fresh(0))
  yield* emulator.idle
  const fiber = yield* start(Effect.scoped(operation as Effect.Effect<unknown, unknown, Services>))
  let pause = Infinity
  let last = 0
  for (let step = 0, quiet = 0; fiber.pollUnsafe() === undefined; step++) {
    // Every task that is pending has had its turn by then.
    if (quiet === 5) {
      if (pause < Infinity) break
      pause = step
      quiet = 0
      yield* passTime
    }
    const before = tasks.count
    yield* Effect.yieldNow
    // One is its own.
    if (tasks.count - before > 1) {
      quiet = 0
      last = step + 1
    } else quiet++
  }
  const isOver = fiber.pollUnsafe() !== undefined
  yield* Fiber.interrupt(fiber)
  return { isOver, pause, last }
})

/** Interrupts an operation once it has taken so many steps; true where it had ended by then. */
const interrupted = Effect.fnUntraced(function*(prepare: Case, steps: number, pause: number) {
  const operation = yield* prepare(fresh(steps + 1))
  const fiber = yield* start(Effect.scoped(operation as Effect.Effect<unknown, unknown, Services>))
  for (let step = 0; step < steps && fiber.pollUnsafe() === undefined; step++) {
    if (step === pause) yield* passTime
    yield* Effect.yieldNow
  }
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

/** What attaches, where nothing else may stay of it: also by fibers that yield often. */
const attaching: ReadonlySet<string> = new Set(["ServiceBusSender.make", "ServiceBusSession.accept", "client.health"])

const suite = (name: Name, layerFor: LayerFor) =>
  describe(`interrupted at each step, ${name}`, () => {
    const isCounted = name === "in memory"
    const names = sweep === undefined ? some : Object.keys(cases).filter((_, i) => i % sweep[1] === sweep[0])
    for (const operation of names) {
      const it = cases[operation]!
      const isAttaching = attaching.has(operation)
      for (
        const [budget, most] of isCounted && (sweep !== undefined || isAttaching)
          ? budgets.filter(([, most]) => sweep === undefined || most <= sweep[2])
          : [[2048, 100]] as const
      ) {
        const tasks: Tasks = { count: 0 }
        const steps = isCounted ? most : mostOverSockets + spare
        const { test } = testsWith(
          name,
          (options, client) =>
            Layer.provide(layerFor(options, client), Layer.effect(Scheduler.Scheduler, counting(tasks))),
          [Emulator.entity(Sessions), Emulator.entity(Empty), ...entitiesOf(steps + 1)]
        )
        test(budget === 2048 ? operation : `${operation}, ${budget} operations before a yield`, () =>
          Effect.gen(function*() {
            const emulator = yield* Emulator.Emulator
            const bystander = yield* bystanders
            yield* emulator.idle
            const sessions = bystander.sessions()
            const within = Effect.provideService(Scheduler.MaxOpsBeforeYield, budget)
            const { isOver: isEnding, last, pause } = isCounted
              ? yield* within(Effect.scoped(count(it, tasks)))
              : { isOver: false, last: mostOverSockets, pause: Infinity }
            assert.isAtMost(last + spare, steps, "an operation with more steps than there are entities for")
            // Over a socket a step is not the same twice.
            const stride = isCounted ? 1 : 3
            let isOver = false
            for (let step = 0; !isOver && step < (isEnding ? steps : last + 1); step += stride) {
              isOver = yield* within(Effect.scoped(interrupted(it, step, pause)))
              yield* emulator.idle
              assert.isTrue(bystander.isWell(), `a bystander noticed an interruption after ${step} steps`)
              if (isAttaching && isCounted) {
                assert.strictEqual(bystander.sessions(), sessions, `${step} steps`)
              }
            }
            assert.isTrue(isOver || !isEnding, "an operation that ended while it was counted, and not again")
            if (isCounted) {
              // Management nodes are kept for five minutes; nothing else is. In steps: time that passes at once overtakes
              // a fiber that still takes its turns.
              for (let i = 0; i < 24; i++) {
                yield* TestClock.adjust("15 seconds")
              }
              yield* emulator.idle
              assert.isAtMost(bystander.sessions(), sessions)
            }
            yield* bystander.works
          }).pipe(Effect.provideServiceEffect(Scheduler.Scheduler, counting(tasks))), { timeout: 300_000 })
      }
    }
  })

if (sweep === undefined) {
  both(suite)
  describe("What is interrupted", () => {
    const { test } = testsWith(
      "in memory",
      inMemory,
      entitiesOf(1)
    )
    test("is every operation that is exported", () =>
      Effect.gen(function*() {
        const { Held, Plain, Sport } = fresh(0)
        const sender = yield* ServiceBusSender.make(Plain)
        const owners = {
          ...Object.fromEntries(Object.entries(All).filter(([name]) => !values.has(name))),
          client: yield* ServiceBusClient.ServiceBusClient,
          sender,
          batch: yield* sender.batch(),
          receiver: yield* ServiceBusReceiver.make(Plain),
          destructiveReceiver: yield* ServiceBusReceiver.makeDestructive(Plain),
          session: yield* ServiceBusSession.accept(Held, "a"),
          destructiveSession: yield* ServiceBusSession.acceptDestructive(Held, "b"),
          processor: yield* ServiceBusProcessor.make(Plain, () => Effect.void),
          sessionProcessor: yield* ServiceBusProcessor.makeSessions(Held, () => Effect.void),
          rules: yield* ServiceBusRuleManager.make(Sport),
          administration: yield* ServiceBusAdministration.ServiceBusAdministration
        }
        const operations = Object.entries(owners).flatMap(([owner, of]) =>
          Object.entries(of).flatMap(([name, value]) =>
            typeof value === "function" || typeof value === "object" ? [`${owner}.${name}`] : []
          )
        )
        assert.deepStrictEqual(
          operations.filter((name) => !(name in cases) && !(name in others)),
          [],
          "what is in none of `cases`, `others` and `values`"
        )
        const known = Object.keys({ ...cases, ...others }).filter((name) => !name.includes(","))
        assert.deepStrictEqual(known.filter((name) => !operations.includes(name)), [], "what is no operation any more")
        assert.deepStrictEqual(some.filter((name) => !(name in cases)), [])
      }))
  })
} else suite("in memory", inMemory)
