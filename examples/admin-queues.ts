// A queue created, looked at, changed and deleted. In Azure it is the same with ServiceBusAdministration.layerConnectionString,
// whose policy has the Manage right.
import { Console, Duration, Effect, Option } from "effect"
import { ServiceBusAdministration, ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Orders = ServiceBusEntity.queue("admin-example/orders", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const administration = yield* ServiceBusAdministration.ServiceBusAdministration
  // Two instances may start at once: what is there already is as good.
  yield* administration.createQueue(Orders, {
    lockDuration: "30 seconds",
    maxDeliveryCount: 3,
    deadLetteringOnExpiration: true,
    userMetadata: "of the example"
  }).pipe(Effect.catchTag("MessagingEntityAlreadyExistsError", () => Effect.void))

  const sender = yield* ServiceBusSender.make(Orders)
  yield* sender.sendAll([{ body: "one" }, { body: "two" }])
  const runtime = yield* administration.getQueueRuntime(Orders)
  const waiting = Option.match(runtime, { onNone: () => 0, onSome: ({ activeMessageCount }) => activeMessageCount })

  // What the function leaves out stays as it is.
  const changed = yield* administration.updateQueue(Orders, (queue) => ({
    maxDeliveryCount: queue.maxDeliveryCount + 2,
    lockDuration: Duration.times(queue.lockDuration, 2)
  }))

  const refused = yield* administration.updateQueue(Orders, () => ({ lockDuration: "10 minutes" })).pipe(
    Effect.as("taken"),
    Effect.catchTag("InvalidOptionError", (error) => Effect.succeed(error.option))
  )
  yield* administration.deleteQueue(Orders)
  const isThere = yield* administration.queueExists(Orders)
  yield* Console.log(
    `${waiting} messages; locks of ${Duration.format(changed.lockDuration)}, ${changed.maxDeliveryCount} deliveries, ` +
      `"${changed.userMetadata}"; refused: ${refused}; ${isThere ? "still there" : "gone"}`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [] }))))
