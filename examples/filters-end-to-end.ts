// From a contract to a message in the right hands: filters typed by the properties that a topic declares, deployed with their
// subscriptions, tried by messages, and changed where they are. A time is a parameter, which this API carries with its type.
import { Console, DateTime, Effect, Option, Schema } from "effect"
import {
  ServiceBusAdministration,
  ServiceBusEntity,
  ServiceBusFilter,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender,
  ServiceBusTopology
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const { action, and, correlation, exists, greaterThan, lessThan, set, where } = ServiceBusFilter

const Orders = ServiceBusEntity.topic("orders", {
  body: Schema.Struct({ id: Schema.String }),
  properties: {
    region: Schema.Literals(["eu", "us"]),
    total: Schema.Finite,
    due: Schema.optionalKey(Schema.DateTimeUtc)
  }
})
const Europe = ServiceBusEntity.subscription(Orders, "europe")
const Large = ServiceBusEntity.subscription(Orders, "large")
const Late = ServiceBusEntity.subscription(Orders, "late")

const today = DateTime.makeUnsafe("2026-01-01T00:00:00Z")

const subscriptions = [
  ServiceBusTopology.entity(Europe, {
    rules: [ServiceBusRule.make("region", correlation(Orders, { applicationProperties: { region: "eu" } }))]
  }),
  ServiceBusTopology.entity(Large, {
    rules: [
      ServiceBusRule.make(
        "total",
        where(Orders, ({ total }) => greaterThan(total, 1000)),
        action(Orders, (_, { subject }) => [set(subject, "large")])
      )
    ]
  }),
  ServiceBusTopology.entity(Late, {
    rules: [ServiceBusRule.make("due", where(Orders, ({ due }) => and(exists(due), lessThan(due, today))))]
  })
]

/** Who gets an order of each kind. */
const deliver = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll([
    { body: { id: "small" }, applicationProperties: { region: "eu", total: 5 } },
    { body: { id: "big" }, applicationProperties: { region: "us", total: 5000 } },
    { body: { id: "old" }, applicationProperties: { region: "us", total: 100, due: DateTime.makeUnsafe(0) } }
  ])
  const got: Array<string> = []
  for (const subscription of [Europe, Large, Late]) {
    const receiver = yield* ServiceBusReceiver.makeDestructive(subscription)
    const messages = yield* receiver.receive({ max: 10, maxWait: "100 millis" })
    got.push(`${subscription.name} ${messages.map(({ body, subject }) => subject ?? body.id).join("+") || "nothing"}`)
  }
  return got.join(", ")
}).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  yield* ServiceBusTopology.apply(yield* ServiceBusTopology.plan([Orders, ...subscriptions]))
  const first = yield* deliver

  const administration = yield* ServiceBusAdministration.ServiceBusAdministration
  yield* administration.updateRule(Large, "total", () => ({
    filter: where(Orders, ({ total }) => greaterThan(total, 50))
  }))
  const second = yield* deliver

  const due = Option.getOrThrow(yield* administration.getRule(Late, "due"))
  const typed = due.filter._tag === "SqlFilter" && Object.values(due.filter.parameters).some(DateTime.isDateTime)
  yield* Console.log(`${first}; then ${second}; the date is ${typed ? "a date" : "lost"}`)
})

await Effect.runPromise(program.pipe(Effect.provide(Emulator.layer({ entities: [] }))))
