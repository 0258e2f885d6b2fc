/** Administration at its call sites: what each kind of entity can be created with, and the errors that there are. */
import { Effect, type Option, Stream } from "effect"
import {
  type ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusEntity,
  type ServiceBusError,
  ServiceBusRule,
  ServiceBusTopology
} from "effect-service-bus"
import type * as Emulator from "effect-service-bus/emulator"
import * as Schema from "effect/Schema"
import { expectTypeOf, test } from "vitest"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const Priced = ServiceBusEntity.queue("priced", { body: ServiceBusBody.text, properties: { price: Schema.Finite } })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.bytes })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Chess = ServiceBusEntity.subscription(News, "chess", { sessions: true })

declare const administration: ServiceBusAdministration.ServiceBusAdministration["Service"]
declare const layer: ReturnType<typeof ServiceBusAdministration.layer>

test("each kind of entity has its own functions and settings", () => {
  void administration.createQueue(Orders, { lockDuration: "30 seconds", forwardTo: News })
  void administration.createQueue(Carts)
  void administration.createQueue(Priced)
  void administration.createQueue("plain", { forwardDeadLetteredMessagesTo: null })
  void administration.createTopic(News, { duplicateDetectionWindow: "10 minutes" })
  void administration.createSubscription(Sport, { rules: [ServiceBusRule.make("a", ServiceBusRule.true)] })
  void administration.createSubscription(Chess)
  // @ts-expect-error a topic is no queue
  void administration.createQueue(News)
  // @ts-expect-error a queue is no topic
  void administration.createTopic(Orders)
  // @ts-expect-error a subscription is no queue
  void administration.getQueue(Sport)
  // @ts-expect-error a dead-letter queue goes with its entity
  void administration.deleteQueue(ServiceBusEntity.deadLetter(Orders))
  // @ts-expect-error a topic locks nothing
  void administration.createTopic(News, { lockDuration: "30 seconds" })
  // @ts-expect-error nothing is received from a topic
  void administration.createTopic(News, { status: "ReceiveDisabled" })
  // @ts-expect-error nothing is sent to a subscription
  void administration.createSubscription(Sport, { status: "SendDisabled" })
  // @ts-expect-error rules are changed by themselves
  void administration.updateSubscription(Sport, () => ({ rules: [] }))
  // @ts-expect-error other clients say so
  void administration.createQueue(Orders, { maxSizeInMegabytes: 1024 })
  // @ts-expect-error the right is Send
  void administration.createQueue(Orders, { authorizationRules: [{ name: "app", rights: ["send"] }] })
  // @ts-expect-error so are other clients' names of it
  void administration.createTopic(News, { authorizationRules: [{ name: "app", claims: ["Send"] }] })
})

test("a contract says whether there are sessions, and settings do not say the contrary", () => {
  void administration.createQueue("plain", { requiresSession: true })
  void administration.createQueue("plain", { requiresSession: false })
  void administration.createQueue(Carts, { requiresSession: true, maxDeliveryCount: 3 })
  void administration.createSubscription(Chess, { requiresSession: true })
  // Settings that are for several entities.
  const settings: ServiceBusAdministration.QueueSettings = { maxDeliveryCount: 3 }
  void administration.createQueue(Carts, settings)
  ServiceBusTopology.entity(Carts, settings)
  const shared: ServiceBusAdministration.SubscriptionSettings = { maxDeliveryCount: 3 }
  void administration.createSubscription(Chess, shared)
  ServiceBusTopology.entity(Sport, shared)
  const any = (queue: ServiceBusAdministration.QueueTarget) => administration.createQueue(queue, settings)
  void any(Carts)
  // @ts-expect-error its contract has sessions
  void administration.createQueue(Carts, { requiresSession: false })
  // @ts-expect-error its contract has sessions
  void administration.createSubscription(Chess, { maxDeliveryCount: 3, requiresSession: false })
  // @ts-expect-error its contract has none
  void administration.createQueue(Orders, { requiresSession: true })
  // @ts-expect-error nor by a topology
  ServiceBusTopology.entity(Carts, { requiresSession: false })
  // @ts-expect-error nor a subscription
  ServiceBusTopology.entity(Chess, { requiresSession: false })
  // @ts-expect-error other names are none
  ServiceBusTopology.entity(Carts, { requiresSession: true, lockDurations: "1 minute" })
})

test("what cannot be changed is nothing that an update gives", () => {
  void administration.updateQueue(Orders, () => ({ maxDeliveryCount: 3, forwardTo: null }))
  // What is read can be written back.
  void administration.updateQueue(Orders, (queue) => ({
    authorizationRules: [...queue.authorizationRules, { name: "app", rights: ["Send"] }]
  }))
  // @ts-expect-error sessions
  void administration.updateQueue(Orders, () => ({ maxDeliveryCount: 3, requiresSession: true }))
  // @ts-expect-error sessions of a subscription
  void administration.updateSubscription(Sport, () => ({ maxDeliveryCount: 3, requiresSession: true }))
  // @ts-expect-error rules are changed by themselves
  void administration.updateSubscription(Sport, () => ({ maxDeliveryCount: 3, rules: [] }))
  // @ts-expect-error partitions
  void administration.updateQueue(Orders, () => ({ maxDeliveryCount: 3, enablePartitioning: true }))
  // @ts-expect-error partitions of a topic
  void administration.updateTopic(News, () => ({ status: "Active", enablePartitioning: true }))
})

test("what declares an entity of the broker creates it in Azure", () => {
  expectTypeOf<Emulator.EntityOptions>().toExtend<ServiceBusAdministration.QueueSettings>()
  expectTypeOf<Emulator.TopicOptions>().toExtend<ServiceBusAdministration.TopicSettings>()
  expectTypeOf<Emulator.SubscriptionOptions>().toExtend<ServiceBusAdministration.SubscriptionSettings>()
})

test("what is read of an entity can be written to another", () => {
  expectTypeOf<Pick<ServiceBusAdministration.Queue, "lockDuration" | "maxDeliveryCount" | "forwardTo" | "maxSize">>()
    .toExtend<ServiceBusAdministration.QueueSettings>()
})

test("the errors of each operation", () => {
  expectTypeOf(administration.getQueue(Orders)).toEqualTypeOf<
    Effect.Effect<Option.Option<ServiceBusAdministration.Queue>, ServiceBusError.AdministrationError>
  >()
  expectTypeOf(administration.deleteRule(Sport, "a")).toEqualTypeOf<
    Effect.Effect<void, ServiceBusError.ManageRuleError>
  >()
  administration.createQueue(Orders).pipe(
    Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void),
    Effect.catchTag("InvalidOptionError", (error) => Effect.logWarning(error.option)),
    Effect.catchTag("ServiceBusServerBusyError", (error) => Effect.sleep(error.retryAfter))
  )
  // @ts-expect-error reading finds nothing or something
  administration.getQueue(Orders).pipe(Effect.catchTag("MessagingEntityNotFoundError", () => Effect.void))
  const updated = administration.updateQueue(Orders, () => ({}))
  // @ts-expect-error nothing is created
  updated.pipe(Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void))
  // @ts-expect-error no message is in it
  administration.createQueue(Orders).pipe(Effect.catchTag("MessageLockLostError", () => Effect.void))
  // @ts-expect-error a list of queues is there, if empty
  administration.listQueues.pipe(Stream.catchTag("MessagingEntityNotFoundError", () => Stream.empty))
})

test("a topology is declared by contracts", () => {
  const entities = [
    ServiceBusTopology.entity(Orders, { maxDeliveryCount: 3 }),
    ServiceBusTopology.entity(Sport, { rules: [] }),
    Carts,
    News,
    "plain"
  ]
  expectTypeOf(ServiceBusTopology.plan(entities)).toEqualTypeOf<
    Effect.Effect<
      ServiceBusTopology.Plan,
      ServiceBusError.ManageEntityError,
      ServiceBusAdministration.ServiceBusAdministration
    >
  >()
  // @ts-expect-error a topic locks nothing
  ServiceBusTopology.entity(News, { lockDuration: "30 seconds" })
  // @ts-expect-error a queue has no rules
  ServiceBusTopology.entity(Orders, { rules: [] })
  // @ts-expect-error it is prune
  ServiceBusTopology.plan(entities, { prunee: () => true })
  // @ts-expect-error it goes with its entity
  ServiceBusTopology.plan([ServiceBusEntity.deadLetter(Orders)])
  expectTypeOf(Effect.provide(ServiceBusTopology.plan(entities), layer)).toEqualTypeOf<
    Effect.Effect<ServiceBusTopology.Plan, ServiceBusError.ManageEntityError | ServiceBusError.InvalidOptionError>
  >()
})
