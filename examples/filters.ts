// Rules over the properties that a contract declares: filters, a correlation filter and an action, all of them typed.
import { Console, DateTime, Effect, Schema } from "effect"
import {
  ServiceBusEntity,
  ServiceBusFilter,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const { action, and, correlation, equals, exists, greaterThan, lessThan, multiply, not, or, set, startsWith, where } =
  ServiceBusFilter

const Orders = ServiceBusEntity.topic("orders", {
  body: Schema.Struct({ id: Schema.String }),
  properties: {
    region: Schema.Literals(["eu", "us"]),
    sku: Schema.String,
    total: Schema.Finite,
    due: Schema.optionalKey(Schema.DateTimeUtc)
  }
})
const Europe = ServiceBusEntity.subscription(Orders, "europe")
const Large = ServiceBusEntity.subscription(Orders, "large")
const Late = ServiceBusEntity.subscription(Orders, "late")

const large = ServiceBusRule.make(
  "large",
  where(
    Orders,
    ({ sku, total }, { subject }) =>
      and(or(greaterThan(total, 1000), equals(subject, "urgent")), not(startsWith(sku, "TEST_")))
  ),
  action(Orders, ({ total }, { subject }) => [set(total, multiply(total, 2)), set(subject, "doubled")])
)

// A time is a parameter: the broker takes it with the entity, AMQP carries none.
const late = ServiceBusRule.make(
  "late",
  where(Orders, ({ due }) => and(exists(due), lessThan(due, DateTime.makeUnsafe("2026-01-01T00:00:00Z"))))
)

const program = Effect.gen(function*() {
  const rules = yield* ServiceBusRuleManager.make(Large)
  yield* rules.create(large)
  yield* rules.delete(ServiceBusRule.defaultName)
  yield* Console.log(large.filter._tag === "SqlFilter" ? large.filter.expression : "")
  yield* Console.log(large.action?.expression ?? "")

  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll([
    { body: { id: "1" }, applicationProperties: { region: "eu", sku: "A-1", total: 5 } },
    { body: { id: "2" }, applicationProperties: { region: "us", sku: "A-2", total: 5000 } },
    { body: { id: "3" }, subject: "urgent", applicationProperties: { region: "eu", sku: "TEST_1", total: 1 } },
    {
      body: { id: "4" },
      subject: "urgent",
      applicationProperties: { region: "us", sku: "TESTS", total: 1, due: DateTime.makeUnsafe(0) }
    }
  ])

  for (const subscription of [Europe, Large, Late]) {
    const receiver = yield* ServiceBusReceiver.makeDestructive(subscription)
    const messages = yield* receiver.receive({ max: 10, maxWait: "1 second" })
    const texts = messages.map(({ applicationProperties: { total }, body }) => `${body.id} over ${total}`)
    yield* Console.log(`${subscription.name}: ${texts.join(", ")}`)
  }
})

const Broker = Emulator.layer({
  entities: [
    Emulator.entity(Orders),
    Emulator.entity(Europe, {
      rules: [ServiceBusRule.make("europe", correlation(Orders, { applicationProperties: { region: "eu" } }))]
    }),
    Emulator.entity(Large),
    Emulator.entity(Late, { rules: [late] })
  ]
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
