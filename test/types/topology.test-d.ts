/** What an entity of the broker can be declared with, and changed to, by the kind of its contract. */
import { ServiceBusBody, ServiceBusEntity, type ServiceBusError } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { expectTypeOf, test } from "vitest"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
const Priced = ServiceBusEntity.queue("priced", { body: ServiceBusBody.text, properties: { price: Schema.Finite } })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.bytes })
const Sport = ServiceBusEntity.subscription(News, "sport")

declare const emulator: Emulator.Controls

test("queues and subscriptions forward to queues and topics, by contract or by name", () => {
  Emulator.entity(Orders, { forwardTo: News, forwardDeadLetteredMessagesTo: "errors" })
  Emulator.entity(Sport, { forwardTo: Carts })
  Emulator.entity(Sport, { forwardTo: Priced })
  // @ts-expect-error a subscription takes messages of its topic alone
  Emulator.entity(Orders, { forwardTo: Sport })
  // @ts-expect-error nothing is sent to dead letters
  Emulator.entity(Orders, { forwardTo: ServiceBusEntity.deadLetter(Carts) })
  // @ts-expect-error a topic forwards nothing: its subscriptions do
  Emulator.entity(News, { forwardTo: Orders })
  // @ts-expect-error its contract has sessions
  Emulator.entity(Carts, { requiresSession: false })
  // @ts-expect-error its contract has none
  Emulator.entity(Orders, { maxDeliveryCount: 3, requiresSession: true })
  Emulator.entity("plain", { requiresSession: true })
  // @ts-expect-error no status
  Emulator.entity(Orders, { status: "Paused" })
})

test("an entity has the states of its kind", () => {
  Emulator.entity(Orders, { status: "ReceiveDisabled" })
  Emulator.entity(News, { status: "SendDisabled" })
  Emulator.entity(Sport, { status: "ReceiveDisabled" })
  // @ts-expect-error nothing is received from a topic
  Emulator.entity(News, { status: "ReceiveDisabled" })
  // @ts-expect-error nothing is sent to a subscription
  Emulator.entity(Sport, { status: "SendDisabled" })
  // @ts-expect-error nor by an update
  emulator.update(News, { status: "ReceiveDisabled" })
  // @ts-expect-error nor by this one
  emulator.update(Sport, { status: "SendDisabled" })
})

test("an entity is changed within the options of its kind, and a dead-letter queue is none", () => {
  expectTypeOf(emulator.update(Orders, { status: "SendDisabled" })).toEqualTypeOf<
    Effect.Effect<void, ServiceBusError.EmulatorError>
  >()
  // @ts-expect-error rules are changed by a rule manager
  emulator.update(Sport, { rules: [] })
  // @ts-expect-error the topic has the quota
  emulator.update(Sport, { maxSize: 1 })
  // @ts-expect-error a topic locks nothing
  emulator.update(News, { lockDuration: "1 minute" })
  // @ts-expect-error it goes with its entity
  emulator.delete(ServiceBusEntity.deadLetter(Orders))
  expectTypeOf(emulator.runtime(News)).toEqualTypeOf<Effect.Effect<Emulator.Runtime, ServiceBusError.EmulatorError>>()
})
