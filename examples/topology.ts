// A program declares the entities that it needs, and makes them so when it starts, as often as it starts: what would be done is
// data first, and nothing is deleted that it does not name.
import { Console, Effect } from "effect"
import { ServiceBusBody, ServiceBusEntity, ServiceBusRule, ServiceBusTopology } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const Errors = ServiceBusEntity.queue("errors", { body: ServiceBusBody.bytes })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

// In any order.
const entities = [
  ServiceBusTopology.entity(Sport, {
    forwardTo: Orders,
    rules: [ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" }))]
  }),
  ServiceBusTopology.entity(Orders, {
    lockDuration: "30 seconds",
    maxDeliveryCount: 3,
    forwardDeadLetteredMessagesTo: Errors
  }),
  News,
  Errors
]

const program = Effect.gen(function*() {
  // The queue `orders` is there, with other settings, and so is one that nobody needs any more.
  const plan = yield* ServiceBusTopology.plan(entities, { prune: ({ path }) => path.startsWith("retired/") })
  yield* Console.log(ServiceBusTopology.format(plan))
  yield* ServiceBusTopology.apply(plan)

  const again = yield* ServiceBusTopology.plan(entities)
  yield* Console.log(`the second time: ${again.steps.length} steps, ${again.unknown.length} unknown`)

  // What cannot be changed where it is.
  const Sessions = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text, sessions: true })
  const impossible = yield* ServiceBusTopology.plan([Sessions])
  const refused = yield* ServiceBusTopology.apply(impossible).pipe(
    Effect.as("applied"),
    Effect.catchTag("InvalidOptionError", ({ option }) => Effect.succeed(`refused, because of ${option}`))
  )
  yield* Console.log(`${plan.steps.length} steps at first, ${again.steps.length} the second time; sessions: ${refused}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity("orders"), Emulator.entity("retired/orders-v1")] })

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
