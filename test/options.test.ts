/** Values of every wrong kind are typed errors before anything is on the wire, in every function that takes options. */
import {
  AmqpAnnotatedMessage,
  AmqpValue,
  AutoLockRenewer,
  ConnectionString,
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusMessage,
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
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { failsWith, inMemory, passing, testsWith, Texts, texts, until } from "./support/harness.ts"
import { Carts } from "./support/sessionEntities.ts"
import { assert, describe, it } from "./support/vitest.ts"

const thrower: never = new Proxy({}, {
  get: () => {
    throw new Error("thrown by a proxy")
  },
  has: () => {
    throw new Error("thrown by a proxy")
  },
  ownKeys: () => {
    throw new Error("thrown by a proxy")
  },
  getPrototypeOf: () => {
    throw new Error("thrown by a proxy")
  }
}) as never

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

/** A secret whose text is gone. */
function wiped(text: string): Redacted.Redacted<string> {
  const secret = Redacted.make(text)
  Redacted.wipeUnsafe(secret)
  return secret
}

/** An agent as far as its address goes. */
class Agent {
  readonly url: string
  constructor(url: string) {
    this.url = url
  }
  addRequest(): void {}
}

/** Values that are none of what any function takes, or hardly. */
const nonsense: ReadonlyArray<readonly [string, unknown]> = [
  ["undefined", undefined],
  ["null", null],
  ["5", 5],
  ["NaN", NaN],
  ["-1", -1],
  ["1e300", 1e300],
  ["a bigint", 2n ** 70n],
  ["an empty text", ""],
  ["a text", "nonsense"],
  ["half of a surrogate pair", "a\ud800"],
  ["an object", {}],
  ["an array", []],
  ["an array of nothing", [undefined]],
  ["a Map", new Map([["a", 1]])],
  ["an invalid date", new Date(NaN)],
  ["a symbol", Symbol("x")],
  ["a function", () => 5],
  ["a function that throws", () => {
    throw new Error("thrown by a function")
  }],
  ["a promise", Promise.resolve(5)],
  ["an object without a prototype", Object.create(null)],
  ["a proxy that throws", thrower],
  ["a secret that was wiped", wiped("secret")]
]

/** An object whose field is this, and one that throws when that is read. */
const fieldsOf = (fields: ReadonlyArray<string>): ReadonlyArray<readonly [string, unknown]> =>
  fields.flatMap((field) => [
    ...nonsense.filter((_, i) => i % 2 === 1 || i > 16).map(([name, value]) =>
      [`${field}: ${name}`, { [field]: value }] as const
    ),
    [
      `${field}: a getter that throws`,
      Object.defineProperty({}, field, {
        enumerable: true,
        get: () => {
          throw new Error("thrown by a getter")
        }
      })
    ] as const
  ])

type Call = (value: never) => Effect.Effect<unknown, unknown, never> | Stream.Stream<unknown, unknown, never>

/** A function that throws, where one is asked for, is a defect of its own. */
const notThrowing = (values: ReadonlyArray<readonly [string, unknown]>): ReadonlyArray<readonly [string, unknown]> =>
  values.filter(([name]) => !name.includes("a function that throws"))

/** Calls a function with every value; what it returns may fail by a type that it has, and nothing else. */
const never = Effect.fnUntraced(function*(
  name: string,
  values: ReadonlyArray<readonly [string, unknown]>,
  call: Call
) {
  const problems: Array<string> = []
  for (const [what, value] of values) {
    let effect: Effect.Effect<unknown, unknown, never>
    try {
      const made = call(value as never)
      effect = Effect.isEffect(made) ? made : Stream.runDrain(Stream.take(made, 1))
    } catch (error) {
      problems.push(`${name}(${what}) threw ${String(error)}`)
      continue
    }
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    let turns = 0
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined || turns++ > 15))
    yield* Fiber.interrupt(fiber)
    const exit = yield* Fiber.await(fiber)
    if (Exit.isFailure(exit) && Cause.hasDies(exit.cause)) {
      problems.push(`${name}(${what}) died: ${String(Cause.squash(exit.cause))}`)
    } else if (Exit.isFailure(exit) && Cause.hasFails(exit.cause)) {
      const error = exit.cause.reasons.find(Cause.isFailReason)!.error as { readonly _tag?: string }
      if (typeof error?._tag !== "string") problems.push(`${name}(${what}) failed with ${String(error)}`)
    }
  }
  return problems
})

describe("values of every wrong kind", () => {
  const { test } = testsWith("in memory", inMemory, [
    Emulator.entity(Carts),
    Emulator.entity(News),
    Emulator.entity(Sport)
  ])

  const all = (
    name: string,
    calls: Effect.Effect<
      Record<string, readonly [ReadonlyArray<readonly [string, unknown]>, (value: never) => unknown]>,
      unknown,
      any
    >
  ) =>
    test(name, () =>
      passing(
        Effect.scoped(Effect.gen(function*() {
          const context = yield* Effect.context<never>()
          const problems: Array<string> = []
          for (const [called, [values, call]] of Object.entries(yield* calls)) {
            problems.push(
              ...(yield* never(called, values, (value) => {
                const made = call(value)
                return Effect.isEffect(made)
                  ? Effect.scoped(Effect.provideContext(made as Effect.Effect<unknown>, context))
                  : Stream.provideContext(made as Stream.Stream<unknown>, context)
              }))
            )
          }
          assert.deepStrictEqual(problems, [])
        }) as Effect.Effect<void, unknown, any>),
        "1 second"
      ), { timeout: 120_000 })

  const messageFields = fieldsOf([
    "body",
    "messageId",
    "correlationId",
    "sessionId",
    "partitionKey",
    "viaPartitionKey",
    "subject",
    "to",
    "replyTo",
    "replyToSessionId",
    "contentType",
    "contentEncoding",
    "userId",
    "timeToLive",
    "scheduledEnqueueTime",
    "absoluteExpiryTime",
    "creationTime",
    "groupSequence",
    "durable",
    "priority",
    "applicationProperties",
    "messageAnnotations",
    "deliveryAnnotations",
    "footer"
  ]).map(([name, fields]) => [name, "body" in (fields as object) ? fields : withBody(fields as object)] as const)
  const annotatedFields = fieldsOf([
    "body",
    "header",
    "properties",
    "applicationProperties",
    "messageAnnotations",
    "deliveryAnnotations",
    "footer"
  ]).map(([name, fields]) =>
    [name, "body" in (fields as object) ? fields : withBody(fields as object, { kind: "empty" })] as const
  )

  all(
    "of a sender",
    Effect.gen(function*() {
      const sender = yield* ServiceBusSender.make(Texts)
      return {
        make: [nonsense, (value) => ServiceBusSender.make(value)],
        "make with options": [
          [...nonsense, ...fieldsOf(["identifier"])],
          (value) => ServiceBusSender.make(Texts, value)
        ],
        "make of a contract": [
          fieldsOf(["_tag", "name", "path", "body"]),
          (value) => ServiceBusSender.make(value)
        ],
        send: [[...nonsense, ...messageFields], sender.send],
        sendAll: [nonsense, sender.sendAll],
        "sendAll of one": [[...nonsense, ...messageFields], (value) => sender.sendAll([{ body: "" }, value])],
        batch: [[...nonsense, ...fieldsOf(["maxSize"])], sender.batch],
        sendBatch: [nonsense, sender.sendBatch],
        tryAdd: [
          [...nonsense, ...messageFields],
          (value) => Effect.flatMap(sender.batch(), (batch) => batch.tryAdd(value))
        ],
        sendAnnotated: [[...nonsense, ...annotatedFields], sender.sendAnnotated],
        "sendAnnotated of many": [[...nonsense, ...annotatedFields], (value) => sender.sendAnnotated([value])],
        "schedule a message": [[...nonsense, ...messageFields], (value) => sender.schedule(value, "1 hour")],
        "schedule at": [nonsense, (value) => sender.schedule({ body: "" }, value)],
        scheduleAll: [nonsense, (value) => sender.scheduleAll(value, "1 hour")],
        cancelScheduled: [nonsense, sender.cancelScheduled],
        "sink of messages": [
          [...nonsense, ...messageFields],
          (value) => Stream.run(Stream.make({ body: "" }, value), sender.sink())
        ],
        "sink options": [
          [...nonsense, ...fieldsOf(["linger", "concurrency", "maxWaiting", "onRejected"])],
          (value) => Stream.run(Stream.make({ body: "" }), sender.sink(value))
        ]
      }
    })
  )

  all(
    "of administration",
    Effect.gen(function*() {
      const administration = yield* ServiceBusAdministration.ServiceBusAdministration
      yield* administration.createQueue("there")
      yield* administration.createRule(Sport, ServiceBusRule.make("rule", ServiceBusRule.true))
      const common = [
        "defaultTimeToLive",
        "duplicateDetectionWindow",
        "maxSize",
        "maxMessageSize",
        "status",
        "autoDeleteOnIdle",
        "enableBatchedOperations",
        "enablePartitioning",
        "enableExpress",
        "userMetadata",
        "authorizationRules"
      ]
      const receiving = [
        "lockDuration",
        "maxDeliveryCount",
        "deadLetteringOnExpiration",
        "requiresSession",
        "forwardTo",
        "forwardDeadLetteredMessagesTo"
      ]
      const settings = [...nonsense, ...fieldsOf([...common, ...receiving, "rules", "deadLetteringOnFilterError"])]
      const policies = fieldsOf(["name", "rights", "primaryKey", "secondaryKey", "createdAt", "modifiedAt"]).map((
        [name, fields]
      ) =>
        [
          `a policy's ${name}`,
          { authorizationRules: [withField(fields as object, "name" in (fields as object) ? "more" : "name", "a")] }
        ] as const
      )
      const rules = [
        ...nonsense,
        ...fieldsOf(["name", "filter", "action"]),
        ...fieldsOf(["_tag"]).map(([name, filter]) => [`a filter's ${name}`, { name: "r", filter }] as const),
        ...fieldsOf(["expression", "parameters", "subject", "applicationProperties"]).flatMap((
          [name, fields]
        ) =>
          ["SqlFilter", "CorrelationFilter"].map((_tag) =>
            [`a ${_tag}'s ${name}`, { name: "r", filter: withField(fields as object, "_tag", _tag) }] as const
          )
        )
      ]
      const contracts = fieldsOf(["_tag", "name", "path", "topic"])
      const names = [...nonsense, ...contracts]
      return {
        createQueue: [names, (value) => administration.createQueue(value)],
        "settings of a queue": [[...settings, ...policies], (value) => administration.createQueue("new", value)],
        "settings of a topic": [[...settings, ...policies], (value) => administration.createTopic("new", value)],
        "settings of a subscription": [
          settings,
          (value) => administration.createSubscription("news/Subscriptions/n", value)
        ],
        "rules of a subscription": [
          rules,
          (value) => administration.createSubscription("news/Subscriptions/r", { rules: [value] })
        ],
        getQueue: [names, (value) => administration.getQueue(value)],
        queueExists: [names, (value) => administration.queueExists(value)],
        getQueueRuntime: [names, (value) => administration.getQueueRuntime(value)],
        deleteQueue: [names, (value) => administration.deleteQueue(value)],
        createTopic: [names, (value) => administration.createTopic(value)],
        deleteTopic: [names, (value) => administration.deleteTopic(value)],
        createSubscription: [names, (value) => administration.createSubscription(value)],
        deleteSubscription: [names, (value) => administration.deleteSubscription(value)],
        listSubscriptions: [names, (value) => administration.listSubscriptions(value)],
        listSubscriptionRuntimes: [names, (value) => administration.listSubscriptionRuntimes(value)],
        listRules: [names, (value) => administration.listRules(value)],
        updateQueue: [notThrowing(nonsense), (value) => administration.updateQueue("there", value)],
        "changes of a queue": [[...settings, ...policies], (value) => administration.updateQueue("there", () => value)],
        "changes of a topic": [settings, (value) => administration.updateTopic(News, () => value)],
        "changes of a subscription": [settings, (value) => administration.updateSubscription(Sport, () => value)],
        createRule: [rules, (value) => administration.createRule(Sport, value)],
        getRule: [nonsense, (value) => administration.getRule(Sport, value)],
        ruleExists: [nonsense, (value) => administration.ruleExists(Sport, value)],
        deleteRule: [nonsense, (value) => administration.deleteRule(Sport, value)],
        updateRule: [notThrowing(nonsense), (value) => administration.updateRule(Sport, "rule", value)],
        "changes of a rule": [
          [...nonsense, ...fieldsOf(["filter", "action"])],
          (value) => administration.updateRule(Sport, "rule", () => value)
        ],
        plan: [nonsense, (value) => ServiceBusTopology.plan(value)],
        "plan of one": [names, (value) => ServiceBusTopology.plan([value])],
        "plan of settings": [
          [...settings, ...policies],
          (value) => ServiceBusTopology.plan([ServiceBusTopology.entity("there", value)])
        ],
        "plan of rules": [
          rules,
          (value) => ServiceBusTopology.plan([ServiceBusTopology.entity(Sport, { rules: [value] })])
        ],
        "options of a plan": [
          [...nonsense, ...notThrowing(fieldsOf(["prune"]))],
          (value) => ServiceBusTopology.plan([], value)
        ],
        apply: [
          [
            ...nonsense,
            ...fieldsOf(["steps", "conflicts"]),
            ...nonsense.map(([name, step]) => [`a step: ${name}`, { steps: [step], conflicts: [] }] as const),
            ...nonsense.map(([name, conflict]) =>
              [`a conflict: ${name}`, { steps: [], conflicts: [conflict] }] as const
            )
          ],
          (value) => ServiceBusTopology.apply(value)
        ]
      }
    })
  )

  all(
    "of a receiver",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(3))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const destructive = yield* ServiceBusReceiver.makeDestructive(Texts)
      const [message] = yield* receiver.receive()
      const token = message!.lockToken
      const receiving = fieldsOf(["max", "maxWait", "maxWaitAfterFirst"])
      const making = fieldsOf(["prefetch", "maxWait", "undecodable", "renewalBatch", "renewalMargin", "identifier"])
      const settling = [...nonsense, ...fieldsOf(["reason", "description", "properties"])]
      const settlements = [
        ...nonsense,
        ...fieldsOf(["_tag"]),
        ...fieldsOf(["reason", "description", "properties", "delay"]).flatMap(([name, fields]) =>
          ["Abandon", "Defer", "DeadLetter", "RetryAfter"].map((_tag) =>
            [`${_tag} ${name}`, Object.defineProperty(fields, "_tag", { value: _tag, configurable: true })] as const
          ).slice(-1)
        )
      ]
      return {
        make: [nonsense, (value) => ServiceBusReceiver.make(value)],
        "make of a contract": [fieldsOf(["_tag", "name", "path", "body"]), (value) => ServiceBusReceiver.make(value)],
        "make with options": [[...nonsense, ...making], (value) => ServiceBusReceiver.make(Texts, value)],
        "makeDestructive with options": [
          [...nonsense, ...making],
          (value) => ServiceBusReceiver.makeDestructive(Texts, value)
        ],
        receive: [[...nonsense, ...receiving], receiver.receive],
        receiveOne: [[...nonsense, ...receiving], receiver.receiveOne],
        receiveRaw: [[...nonsense, ...receiving], receiver.receiveRaw],
        "receive destructively": [[...nonsense, ...receiving], destructive.receive],
        peek: [[...nonsense, ...fieldsOf(["max", "from", "omitBody"])], receiver.peek],
        peekRaw: [[...nonsense, ...fieldsOf(["max", "from", "omitBody"])], receiver.peekRaw],
        browse: [[...nonsense, ...fieldsOf(["max", "from"])], receiver.browse],
        browseRaw: [[...nonsense, ...fieldsOf(["max", "from", "omitBody"])], receiver.browseRaw],
        receiveDeferred: [nonsense, receiver.receiveDeferred],
        "receiveDeferred of one": [nonsense, (value) => receiver.receiveDeferred([value])],
        deleteMessages: [fieldsOf(["max", "before"]), receiver.deleteMessages],
        purge: [fieldsOf(["max", "before"]), receiver.purge],
        settle: [settlements, (value) => receiver.settle(message!, value)],
        settleAll: [settlements, (value) => receiver.settleAll([message!], value)],
        "settle a message": [nonsense, (value) => receiver.settle(value, Settlement.complete)],
        "settleAll messages": [nonsense, (value) => receiver.settleAll(value, Settlement.complete)],
        "settleAll of one": [nonsense, (value) => receiver.settleAll([value], Settlement.retryAfter("1 hour"))],
        complete: [nonsense, receiver.complete],
        completeAll: [nonsense, receiver.completeAll],
        abandon: [settling.slice(nonsense.length), (value) => receiver.abandon(message!, value)],
        defer: [settling.slice(nonsense.length), (value) => receiver.defer(message!, value)],
        deadLetter: [settling.slice(nonsense.length), (value) => receiver.deadLetter(message!, value)],
        "deadLetter a message": [nonsense, (value) => receiver.deadLetter(value)],
        renewLock: [nonsense, receiver.renewLock],
        handOver: [nonsense, receiver.handOver],
        settleByToken: [nonsense, (value) => ServiceBusReceiver.settleByToken(Texts, value, Settlement.complete)],
        "settleByToken a settlement": [settlements, (value) => ServiceBusReceiver.settleByToken(Texts, [token], value)],
        "settleByToken of an entity": [
          nonsense,
          (value) => ServiceBusReceiver.settleByToken(value, [token], Settlement.complete)
        ],
        renewByToken: [nonsense, (value) => ServiceBusReceiver.renewByToken(Texts, value)],
        "settleEach a handler": [
          nonsense,
          (value) => receiver.messages.pipe(ServiceBusReceiver.settleEach(value), Stream.ignoreCause)
        ],
        "settleEach options": [
          [...nonsense, ...fieldsOf(["concurrency"])],
          (value) => receiver.messages.pipe(ServiceBusReceiver.settleEach(() => Effect.void, value))
        ],
        "settleEach of messages": [
          nonsense,
          (value) => Stream.make(value).pipe(ServiceBusReceiver.settleEach(() => Effect.void))
        ],
        withLock: [nonsense, (value) => AutoLockRenewer.withLock(Effect.void, value, message!)],
        "withLock of a message": [nonsense, (value) => AutoLockRenewer.withLock(Effect.void, receiver, value)],
        "withLock with options": [
          [...nonsense, ...fieldsOf(["maxDuration"])],
          (value) => AutoLockRenewer.withLock(Effect.void, receiver, message!, value)
        ],
        lockState: [nonsense, (value) => AutoLockRenewer.lockState(receiver, value)],
        "lockState of a receiver": [nonsense, (value) => AutoLockRenewer.lockState(value, message!)],
        watchLock: [nonsense, (value) => AutoLockRenewer.watchLock(receiver, value)],
        renewals: [nonsense, (value) => AutoLockRenewer.renewals(value)]
      }
    })
  )

  all(
    "of sessions",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Carts, [{ body: "", sessionId: "a" }])
      const session = yield* ServiceBusSession.accept(Carts, "a")
      const options = [
        ...nonsense,
        ...fieldsOf(["prefetch", "maxWait", "undecodable", "wait", "maxLockRenewal", "identifier"])
      ]
      return {
        accept: [nonsense, (value) => ServiceBusSession.accept(Carts, value)],
        "accept of an entity": [nonsense, (value) => ServiceBusSession.accept(value, "b")],
        "accept with options": [options, (value) => ServiceBusSession.accept(Carts, "b", value)],
        acceptNext: [options, (value) => ServiceBusSession.acceptNext(Carts, value)],
        "acceptNext of an entity": [nonsense, (value) => ServiceBusSession.acceptNext(value)],
        acceptDestructive: [nonsense, (value) => ServiceBusSession.acceptDestructive(Carts, value)],
        acceptNextDestructive: [options, (value) => ServiceBusSession.acceptNextDestructive(Carts, value)],
        use: [nonsense, (value) => ServiceBusSession.use(Carts, value, () => Effect.void)],
        useNext: [options, (value) => ServiceBusSession.useNext(Carts, () => Effect.void, value)],
        sessions: [options, (value) => ServiceBusSession.sessions(Carts, value)],
        list: [nonsense, (value) => ServiceBusSession.list(value)],
        "list with options": [
          [...nonsense, ...fieldsOf(["updatedSince"])],
          (value) => ServiceBusSession.list(Carts, value)
        ],
        setState: [nonsense, session.setState],
        settle: [nonsense, (value) => session.settle(value, Settlement.complete)],
        receive: [[...nonsense, ...fieldsOf(["max", "maxWait"])], session.receive],
        withLock: [
          [...nonsense, ...fieldsOf(["maxDuration"])],
          (value) => AutoLockRenewer.withLock(Effect.void, session, value)
        ]
      }
    })
  )

  all(
    "of processors and dead letters",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(1))
      const common = [
        ...nonsense,
        ...fieldsOf(["concurrency", "prefetch", "onFailure", "maxLockRenewal", "drainTimeout", "retry", "logLevel"])
      ]
      const retries = fieldsOf(["times", "while", "until", "schedule"]).map(([name, retry]) =>
        [`retry: ${name}`, { retry, size: 1 }] as const
      )
      const failing = () => Effect.fail("no")
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const processor = yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), () => Effect.void)
      const replaying = fieldsOf(["filter", "rate", "max", "map", "to", "transfer"])
      return {
        make: [nonsense, (value) => ServiceBusProcessor.make(value, () => Effect.void)],
        "make with a handler": [nonsense, (value) => ServiceBusProcessor.make(receiver, value)],
        "make with options": [common, (value) => ServiceBusProcessor.make(receiver, () => Effect.void, value)],
        makeBatched: [
          [...common, ...fieldsOf(["size", "within"])],
          (value) => ServiceBusProcessor.makeBatched(receiver, () => Effect.void, value)
        ],
        "make of a contract": [nonsense, (value) => ServiceBusProcessor.make(Texts, value)],
        "make of a contract with options": [
          [...common, ...fieldsOf(["undecodable", "identifier", "renewalBatch", "renewalMargin"])],
          (value) => ServiceBusProcessor.make(Texts, () => Effect.void, value)
        ],
        "make with a policy": [retries, (value) => ServiceBusProcessor.make(Texts, failing, value)],
        "makeBatched with a policy": [retries, (value) => ServiceBusProcessor.makeBatched(Texts, failing, value)],
        "makeSessions with a policy": [retries, (value) => ServiceBusProcessor.makeSessions(Carts, failing, value)],
        layer: [nonsense, (value) => Layer.build(ServiceBusProcessor.layer(value, () => Effect.void))],
        "layer with options": [
          [...common, ...fieldsOf(["stopped"])],
          (value) => Layer.build(ServiceBusProcessor.layer(Texts, () => Effect.void, value))
        ],
        layerBatched: [
          [...common, ...fieldsOf(["size", "within", "stopped"])],
          (value) => Layer.build(ServiceBusProcessor.layerBatched(Texts, () => Effect.void, value))
        ],
        layerSessions: [
          [...common, ...fieldsOf(["stopped"])],
          (value) => Layer.build(ServiceBusProcessor.layerSessions(Carts, () => Effect.void, value))
        ],
        makeSessions: [nonsense, (value) => ServiceBusProcessor.makeSessions(value, () => Effect.void)],
        "makeSessions with options": [
          [
            ...common,
            ...fieldsOf([
              "concurrentSessions",
              "callsPerSession",
              "idleTimeout",
              "messagesPerSession",
              "sessionIds",
              "undecodable",
              "open",
              "close"
            ])
          ],
          (value) => ServiceBusProcessor.makeSessions(Carts, () => Effect.void, value)
        ],
        setConcurrency: [nonsense, processor.setConcurrency],
        browse: [nonsense, (value) => ServiceBusDeadLetters.browse(value)],
        "browse with options": [
          [...nonsense, ...fieldsOf(["max", "from", "transfer"])],
          (value) => ServiceBusDeadLetters.browse(Texts, value)
        ],
        browseRaw: [
          [...nonsense, ...fieldsOf(["max", "from", "transfer", "omitBody"])],
          (value) => ServiceBusDeadLetters.browseRaw(Texts, value)
        ],
        counts: [nonsense, (value) => ServiceBusDeadLetters.counts(value)],
        purge: [nonsense, (value) => ServiceBusDeadLetters.purge(value)],
        "purge with options": [
          [...nonsense, ...fieldsOf(["before", "max", "transfer"])],
          (value) => ServiceBusDeadLetters.purge(Texts, value)
        ],
        replay: [nonsense, (value) => ServiceBusDeadLetters.replay(value)],
        "replay to": [nonsense, (value) => ServiceBusDeadLetters.replay("texts", { to: value })],
        deadLetter: [nonsense, (value) => ServiceBusReceiver.make(ServiceBusEntity.deadLetter(value))],
        "replay with options": [
          [...nonsense, ...replaying],
          (value) => ServiceBusDeadLetters.replay(Texts, value)
        ]
      }
    })
  )

  all(
    "of rules",
    Effect.gen(function*() {
      const { create, delete: remove, get } = yield* ServiceBusRuleManager.make(Sport)
      const { correlation, make, sql } = ServiceBusRule
      const filters = [
        ...nonsense,
        ...["SqlFilter", "CorrelationFilter", "SqlAction"].flatMap((_tag) =>
          fieldsOf(["expression", "parameters", "correlationId", "subject", "applicationProperties"]).map((
            [name, value]
          ) => [`${_tag} ${name}`, Object.defineProperty(value as object, "_tag", { value: _tag })] as const)
        )
      ]
      return {
        make: [nonsense, (value) => ServiceBusRuleManager.make(value)],
        "a rule": [[...nonsense, ...fieldsOf(["name", "filter", "action"])], (value) => create(value)],
        "a name": [nonsense, (value) => create(value, ServiceBusRule.true)],
        "a filter": [filters, (value) => create("a", value)],
        "an action": [filters, (value) => create("a", ServiceBusRule.true, value)],
        "an expression": [nonsense, (value) => create("a", sql(value))],
        "parameters": [[...nonsense, ...fieldsOf(["p", "@p"])], (value) => create("a", sql("a = @p", value))],
        "conditions": [
          [...nonsense, ...fieldsOf(["to", "messageId", "applicationProperties"])],
          (value) => create(make("a", correlation(value)))
        ],
        "a property": [fieldsOf(["p"]), (applicationProperties) => create("a", correlation({ applicationProperties }))],
        delete: [nonsense, remove],
        get: [nonsense, get]
      }
    })
  )

  all(
    "of clients",
    Effect.gen(function*() {
      const { connectionString } = yield* Emulator.Emulator
      const parsed = yield* ConnectionString.parse(connectionString)
      const credential = parsed.credential
      const common = [
        ...nonsense,
        ...fieldsOf([
          "transport",
          "customEndpointAddress",
          "ca",
          "webSocketAgent",
          "proxy",
          "retry",
          "identifier",
          "operationTimeout",
          "idleTimeout",
          "userAgentSuffix",
          "allowPlainTcp",
          "frameTrace",
          "logLevel"
        ]),
        ...fieldsOf(["agent", "url"]).map(([name, proxy]) =>
          [`proxy ${name}`, {
            transport: "amqpWebSockets",
            proxy: "agent" in (proxy as object)
              ? proxy
              : Object.defineProperty(proxy as object, "agent", { value: Agent, enumerable: true })
          }] as const
        ),
        ...fieldsOf(["maxRetries", "delay", "maxDelay"]).map(([name, retry]) => [`retry ${name}`, { retry }] as const)
      ]
      const host = "contoso.servicebus.windows.net"
      const text = ConnectionString.format(parsed)
      const env = ConfigProvider.fromEnv({ env: { SERVICE_BUS_CONNECTION_STR: Redacted.value(text) } })
      // Configuration of nonsense, and what only looks like configuration.
      const configured = nonsense.flatMap(([name, value]) => [
        [`a Config of ${name}`, Config.succeed(value)] as const,
        [`retry: a Config of ${name}`, { retry: Config.succeed(value) }] as const,
        [`a Config of maxRetries: ${name}`, { retry: { maxRetries: Config.succeed(value) } }] as const,
        [`what looks like a Config, with ${name}`, { identifier: { "~effect/Config": value } }] as const
      ])
      return {
        make: [
          [...nonsense, ...fieldsOf(["fullyQualifiedNamespace", "credential"])],
          (value) => ServiceBusClient.make(value)
        ],
        "make a namespace": [
          nonsense,
          (value) => ServiceBusClient.make({ fullyQualifiedNamespace: value, credential })
        ],
        "make a credential": [
          nonsense,
          (value) => ServiceBusClient.make({ fullyQualifiedNamespace: host, credential: value })
        ],
        layer: [
          nonsense,
          (value) => Layer.build(ServiceBusClient.layer(value))
        ],
        fromConnectionString: [nonsense, (value) => ServiceBusClient.fromConnectionString(value)],
        "fromConnectionString with options": [common, (value) => ServiceBusClient.fromConnectionString(parsed, value)],
        layerConnectionString: [nonsense, (value) => Layer.build(ServiceBusClient.layerConnectionString(value))],
        "layerConnectionString with options": [
          common,
          (value) => Layer.build(ServiceBusClient.layerConnectionString(text, value))
        ],
        layerConfig: [
          [...nonsense, ...fieldsOf(["fullyQualifiedNamespace", "credential", "retry"]), ...configured],
          (value) => Layer.build(ServiceBusClient.layerConfig(value))
        ],
        "layerConfig with options": [
          configured,
          (value: object) =>
            Layer.build(ServiceBusClient.layerConfig({ fullyQualifiedNamespace: host, credential, ...value }))
        ],
        layerEnv: [
          [...common, ...fieldsOf(["credential"]), ...configured],
          (value) =>
            Effect.provideService(Layer.build(ServiceBusClient.layerEnv(value)), ConfigProvider.ConfigProvider, env)
        ],
        parse: [[...nonsense, ["redacted", Redacted.make(5)]], (value) => ConnectionString.parse(value)],
        sharedKey: [nonsense, (value) => use(ServiceBusCredential.sharedKey({ name: value, key: "key" }))],
        "sharedKey's key": [nonsense, (value) => use(ServiceBusCredential.sharedKey({ name: "name", key: value }))],
        generateSas: [
          [...nonsense, ...fieldsOf(["resource", "keyName", "key", "timeToLive", "expiresAt"])],
          (value) => ServiceBusCredential.generateSas(value)
        ],
        "generateSas with fields": [
          fieldsOf(["resource", "keyName", "key", "timeToLive", "expiresAt"]).map(([name, given]) => {
            const rest = { resource: "sb://a.b/c", keyName: "n", key: "k" }
            for (const [field, value] of Object.entries(rest)) {
              if (!(field in (given as object))) Object.assign(given as object, { [field]: value })
            }
            return [name, given] as const
          }),
          (value) => ServiceBusCredential.generateSas(value)
        ],
        sas: [nonsense, (value) => use(ServiceBusCredential.sas(value))],
        identity: [
          [...nonsense, ...fieldsOf(["getToken"])],
          (value) => use(ServiceBusCredential.identity(value))
        ],
        rotating: [nonsense, (value) => use(ServiceBusCredential.rotating(value))],
        "rotating to": [nonsense, (value) => use(ServiceBusCredential.rotating(Effect.succeed(value)))]
      }

      /** Uses a credential. */
      function use(credential: ServiceBusCredential.ServiceBusCredential) {
        return Effect.gen(function*() {
          const client = yield* ServiceBusClient.fromConnectionString({ ...parsed, credential }, {
            retry: { maxRetries: 0 }
          })
          yield* Effect.provideService(ServiceBusSender.make(Texts), ServiceBusClient.ServiceBusClient, client)
        })
      }
    })
  )

  all(
    "of the broker",
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      return {
        layer: [
          [...nonsense, ...fieldsOf(["entities", "key", "policies", "idle", "client"])].filter(([name]) =>
            name !== "undefined" && name !== "5"
          ),
          (value) => Layer.build(Emulator.layer(value))
        ],
        "layer with options": [
          fieldsOf(["key", "policies", "idle", "client"]).map(([name, fields]) =>
            [name, withField(fields as object, "entities", [])] as const
          ),
          (value) => Layer.build(Emulator.layer(value))
        ],
        "layer of a policy": [nonsense, (value) => Layer.build(Emulator.layer({ entities: [], policies: [value] }))],
        "layer of a policy's fields": [
          fieldsOf(["name", "key", "rights"]),
          (value: object) =>
            Layer.build(
              Emulator.layer({
                entities: [],
                policies: [Object.defineProperties(
                  { name: "a", key: Redacted.make("b"), rights: [] },
                  Object.getOwnPropertyDescriptors(value)
                )]
              })
            )
        ],
        "layer of an identity": [
          nonsense,
          (value) => Layer.build(Emulator.layer({ entities: [], identities: [value] }))
        ],
        "layer of an identity's fields": [
          fieldsOf(["clientId", "secret", "tenant", "roles", "tokenLifetime"]),
          (value: object) =>
            Layer.build(
              Emulator.layer({
                entities: [],
                identities: [Object.defineProperties(
                  { clientId: "a", secret: Redacted.make("b") },
                  Object.getOwnPropertyDescriptors(value)
                )]
              })
            )
        ],
        "layer of a role": [
          [...nonsense, ...fieldsOf(["role", "entity", "namespace"])],
          (value) =>
            Layer.build(
              Emulator.layer({
                entities: [],
                identities: [{ clientId: "a", secret: Redacted.make("b"), roles: [value] }]
              })
            )
        ],
        "layer of an entity": [nonsense, (value) => Layer.build(Emulator.layer({ entities: [value] }))],
        "layer of a named entity": [
          nonsense,
          (value) => Layer.build(Emulator.layer({ entities: [Emulator.entity("a"), { name: value, options: {} }] }))
        ],
        "layer with entity options": [
          fieldsOf([
            "lockDuration",
            "maxDeliveryCount",
            "defaultTimeToLive",
            "requiresSession",
            "duplicateDetectionWindow",
            "maxMessageSize",
            "maxSize"
          ]),
          (value) => Layer.build(Emulator.layer({ entities: [Emulator.entity("a", value)] }))
        ],
        layerServer: [
          fieldsOf(["port", "tlsPort", "webSocketPort", "certificate", "host"]).map(([name, fields]) =>
            [name, withField(fields as object, "entities", [])] as const
          ).filter(([name]) => !name.startsWith("host: a text")),
          (value) => Layer.build(Emulator.layerServer(value))
        ],
        messages: [nonsense, emulator.messages],
        deadLetters: [nonsense, emulator.deadLetters],
        send: [nonsense, (value) => emulator.send(Texts, value)],
        "send one": [[...nonsense, ...messageFields], (value) => emulator.send(Texts, [value])],
        "send to": [nonsense, (value) => emulator.send(value, [])],
        failTransfer: [nonsense, (value) => emulator.failTransfer(Texts, [{ body: "" }], value)],
        counters: [nonsense, emulator.counters]
      }
    })
  )

  test("retries with names that mean something elsewhere are refused, by name and with the right ones", () =>
    Effect.gen(function*() {
      const credential = ServiceBusCredential.sharedKey({ name: "app", key: "key" })
      const clientOf = (options: object) =>
        failsWith("InvalidOptionError")(Effect.scoped(
          ServiceBusClient.make({ fullyQualifiedNamespace: "contoso.servicebus.windows.net", credential, ...options })
        ))
      for (const retry of [{ times: 3 }, { maxRetries: 3, schedule: Schedule.recurs(3) }]) {
        const { message, option } = yield* clientOf({ retry })
        assert.strictEqual(option, "times" in retry ? "retry.times" : "retry.schedule")
        assert.include(message, "maxRetries, delay and maxDelay, or a Schedule")
      }
      assert.strictEqual((yield* clientOf({ frameTrace: 1 })).option, "frameTrace")
      const { message, option } = yield* failsWith("InvalidOptionError")(Effect.scoped(
        ServiceBusProcessor.make(Texts, () => Effect.void, { retry: { times: 3, delay: 100 } as object })
      ))
      assert.strictEqual(option, "retry.delay")
      assert.include(message, "times, while, until or schedule")
    }))

  test("a key or a right that a policy of the broker cannot have is named", () =>
    Effect.gen(function*() {
      const good = { name: "app", key: Redacted.make("key"), rights: ["Send"] as const }
      const refusals = yield* Effect.forEach(
        [{ key: wiped("key") }, { key: "key" }, { name: "" }, { rights: ["send"] }],
        (fields) =>
          failsWith("EmulatorError")(Effect.scoped(Layer.build(
            Emulator.layer({ entities: [], policies: [good, { ...good, ...fields } as Emulator.Policy] })
          )))
      )
      assert.deepStrictEqual(refusals.map(({ problem }) => problem.split(" must")[0]), [
        "policies[1].key",
        "policies[1].key",
        "policies[1].name",
        "policies[1].rights"
      ])
    }))

  test("text with half of a surrogate pair, and maps that are no plain objects, are refused and not changed", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      const half = "a\ud800"
      const fields = ["messageId", "correlationId", "partitionKey", "subject", "to", "replyTo", "replyToSessionId"]
      const messages: Array<object> = [
        { body: half },
        ...fields.map((field) => ({ body: "", [field]: half })),
        { body: "", contentType: half },
        { body: "", contentEncoding: half },
        { body: "", sessionId: half },
        { body: "", applicationProperties: { [half]: 1 } },
        { body: "", applicationProperties: { a: half } },
        { body: "", applicationProperties: { a: AmqpValue.typed("string", half) } },
        { body: "", messageAnnotations: { a: half } },
        { body: "", footer: { a: [half] } },
        { body: "", applicationProperties: new Map([["a", 1]]) },
        { body: "", messageAnnotations: new Map([["a", 1]]) },
        {
          body: "",
          applicationProperties: new (class Properties {
            a = 1
          })()
        }
      ]
      for (const message of messages) {
        yield* sender.send(message as never).pipe(failsWith("MessageEncodeError"))
        yield* sender.sendAll([{ body: "" }, message as never]).pipe(failsWith("MessageEncodeError"))
        yield* sender.schedule(message as never, "1 hour").pipe(failsWith("MessageEncodeError"))
      }
      const body = { kind: "empty" } as const
      const annotated: Array<object> = [
        { body: { kind: "value", value: half } },
        { body, properties: { subject: half } },
        { body, properties: { groupId: half } },
        { body, applicationProperties: new Map([["a", 1]]) },
        { body, applicationProperties: { [half]: 1 } },
        { body, messageAnnotations: new Map([["a", 1]]) },
        { body, footer: new Map([["a", 1]]) }
      ]
      for (const message of annotated) {
        yield* sender.sendAnnotated(message as never).pipe(failsWith("MessageEncodeError"))
      }
      for (const entity of [half, new Map(), 5, Symbol("x"), { _tag: "Queue", name: "texts", path: "texts" }]) {
        yield* ServiceBusSender.make(entity as never).pipe(failsWith("InvalidOptionError"))
        yield* ServiceBusReceiver.make(entity as never).pipe(failsWith("InvalidOptionError"))
      }
      yield* ServiceBusSession.accept(Carts, half).pipe(failsWith("InvalidOptionError"))
      yield* sender.sendAll(null as never).pipe(failsWith("InvalidOptionError"))
      yield* sender.sendAll(5 as never).pipe(failsWith("InvalidOptionError"))
      yield* sender.cancelScheduled(null as never).pipe(failsWith("InvalidOptionError"))
      assert.deepStrictEqual(yield* emulator.messages(Texts), [])
    }))

  test("a handler that gives what is no Effect has failed, and costs no slot", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send(Texts, texts(4))
      const receiver = yield* ServiceBusReceiver.make(Texts)
      const nothings: ReadonlyArray<unknown> = [5, undefined, Promise.resolve(), {}]
      const processor = yield* ServiceBusProcessor.make(
        receiver,
        (_, { messageId }) => nothings[Number(messageId)] as Effect.Effect<void>,
        { onFailure: (cause) => Settlement.deadLetter({ reason: String(Cause.squash(cause)) }) }
      )
      yield* passing(until(Effect.map(processor.counts, ({ deadLettered }) => deadLettered === 4)))
      for (const letter of yield* emulator.deadLetters(Texts)) {
        assert.include(letter.deadLetterReason, "Expected a function that gives an Effect")
      }
    }))

  it("values that are made without an effect are refused where they are used, or as a value", () => {
    const problems: Array<string> = []
    for (const [name, value] of nonsense) {
      const calls: Record<string, () => unknown> = {
        "Settlement.abandon": () => Settlement.abandon(value as never),
        "Settlement.defer": () => Settlement.defer(value as never),
        "Settlement.deadLetter": () => Settlement.deadLetter(value as never),
        "Settlement.retryAfter": () => Settlement.retryAfter(value as never),
        "Settlement.isSettlement": () => Settlement.isSettlement(value),
        "ServiceBusEntity.queue": () => ServiceBusEntity.queue(value as never, { body: ServiceBusBody.text }),
        "ConnectionString.parseResult": () => ConnectionString.parseResult(value as never),
        "ConnectionString.parseEndpoint": () => ConnectionString.parseEndpoint(value as never),
        "AmqpAnnotatedMessage.toBytes": () => AmqpAnnotatedMessage.toBytes(value as never),
        "AmqpAnnotatedMessage.fromBytes": () => AmqpAnnotatedMessage.fromBytes(value as never),
        ...Object.fromEntries(
          ([
            ["text", ServiceBusBody.text],
            ["bytes", ServiceBusBody.bytes],
            ["amqpValue", ServiceBusBody.amqpValue],
            ["amqpSequence", ServiceBusBody.amqpSequence],
            ["sections", ServiceBusBody.sections],
            ["json", ServiceBusBody.json(Schema.Struct({ a: Schema.Date }))]
          ] as const).flatMap(([codec, { encode }]) => [
            [`ServiceBusBody.${codec}.encode`, () => (encode as (value: unknown) => unknown)(value)]
          ])
        )
      }
      for (const [called, call] of Object.entries(calls)) {
        try {
          call()
        } catch (error) {
          if (!isThrowers(name)) problems.push(`${called}(${name}) threw ${String(error)}`)
          else if (!called.startsWith("Settlement.")) problems.push(`${called}(${name}) threw ${String(error)}`)
        }
      }
    }
    for (const [name, message] of annotatedFields) {
      try {
        const written = AmqpAnnotatedMessage.toBytes(message as never)
        if (Result.isSuccess(written)) AmqpAnnotatedMessage.fromBytes(written.success)
      } catch (error) {
        problems.push(`toBytes(${name}) threw ${String(error)}`)
      }
    }
    assert.deepStrictEqual(problems, [])
  })
})

/** Their own error is theirs, where a value is made of them. */
const isThrowers = (name: string): boolean => name === "a proxy that throws"

function withField(fields: object, name: string, value: unknown): object {
  return Object.defineProperty(Object.defineProperties({}, Object.getOwnPropertyDescriptors(fields)), name, {
    value,
    enumerable: true
  })
}

function withBody(fields: object, body: unknown = ""): object {
  return withField(fields, "body", body)
}

const Held = ServiceBusEntity.queue("held", { body: ServiceBusBody.text, sessions: true })

describe("nonsense", () => {
  it.effect("in what is to be called, and in constructors", () =>
    Effect.gen(function*() {
      yield* (yield* Emulator.Emulator).send(Held, [{ body: "", sessionId: "a" }])
      const rejecting = () => Promise.reject(new Error("it is not heard"))
      for (const work of [5, null, () => 5, rejecting]) {
        const given = work as unknown as () => Effect.Effect<void>
        assert.strictEqual((yield* Effect.flip(ServiceBusSession.use(Held, "a", given)))._tag, "InvalidOptionError")
        assert.strictEqual((yield* Effect.flip(ServiceBusSession.useNext(Held, given)))._tag, "InvalidOptionError")
      }
      const queue = ServiceBusEntity.queue as unknown as (...args: ReadonlyArray<unknown>) => typeof Held
      const topic = ServiceBusEntity.topic as unknown as (...args: ReadonlyArray<unknown>) => typeof Held
      const contracts: ReadonlyArray<unknown> = [
        queue("q", null),
        queue(5, undefined),
        topic(5),
        ServiceBusEntity.subscription(null as never, "a"),
        ServiceBusEntity.deadLetter(null as never)
      ]
      for (const contract of contracts) {
        const error = yield* Effect.flip(Effect.scoped(ServiceBusReceiver.make(contract as string)))
        assert.strictEqual(error._tag, "InvalidOptionError")
      }
      for (const make of [() => ServiceBusBody.json(5 as never), () => ServiceBusMessage.fromReceived(5 as never)]) {
        const exit = yield* Effect.exit(Effect.try({ try: make, catch: (error) => error }))
        assert(Exit.isFailure(exit))
        assert.strictEqual((Cause.squash(exit.cause) as { readonly _tag?: string })._tag, "InvalidOptionError")
      }
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Held)] }))))
})
