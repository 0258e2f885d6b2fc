// A subscription takes what a SQL condition is true for: over system properties and application properties, with parameters.
import { Console, Effect } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusRuleManager,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.topic("orders", { body: ServiceBusBody.text })
const Large = ServiceBusEntity.subscription(Orders, "large")

const program = Effect.gen(function*() {
  const rules = yield* ServiceBusRuleManager.make(Large)
  yield* rules.create(
    "large",
    ServiceBusRule.sql("sys.Label = 'placed' AND (total >= @least OR vip = TRUE) AND region LIKE 'eu-%'", {
      least: 1000
    })
  )
  // The rule that a new subscription has takes everything.
  yield* rules.delete(ServiceBusRule.defaultName)

  const sender = yield* ServiceBusSender.make(Orders)
  const order = (body: string, applicationProperties: { total?: number; vip?: boolean; region?: string }) => ({
    body,
    subject: "placed",
    applicationProperties
  })
  yield* sender.sendAll([
    order("A-1", { total: 1500, region: "eu-west" }),
    order("A-2", { total: 10, region: "eu-west" }),
    order("A-3", { total: 10, vip: true, region: "eu-north" }),
    // Unknown is not true: neither has what is asked for.
    order("A-4", { total: 9000 }),
    order("A-5", { region: "eu-south" }),
    { ...order("A-6", { total: 2000, region: "eu-west" }), subject: "cancelled" }
  ])

  const receiver = yield* ServiceBusReceiver.makeDestructive(Large)
  const taken = yield* receiver.receive({ max: 10 })

  // What the service does not understand is said in its own words.
  const refusal = yield* Effect.flip(rules.create("wrong", ServiceBusRule.sql("total >=")))
  yield* Console.log(`taken: ${taken.map(({ body }) => body).join(", ")}; "total >=" is an ${refusal._tag}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders), Emulator.entity(Large)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
