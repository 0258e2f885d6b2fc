// A subscription created with the rules that it is to have, received from, changed, and deleted.
import { Console, Effect, Option } from "effect"
import {
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusRule,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const program = Effect.gen(function*() {
  const administration = yield* ServiceBusAdministration.ServiceBusAdministration
  yield* administration.createTopic(News)
  yield* administration.createQueue("too-late")
  // Its rules are there from the first message on; $Default, which takes everything, never is.
  yield* administration.createSubscription(Sport, {
    rules: [ServiceBusRule.make("sport", ServiceBusRule.correlation({ subject: "sport" }))],
    maxDeliveryCount: 3,
    deadLetteringOnExpiration: true,
    forwardDeadLetteredMessagesTo: "too-late"
  })

  const sender = yield* ServiceBusSender.make(News)
  yield* sender.sendAll([{ body: "goal", subject: "sport" }, { body: "rain", subject: "weather" }])
  const receiver = yield* ServiceBusReceiver.make(Sport)
  const received = yield* receiver.receive({ max: 10 })
  yield* receiver.completeAll(received)

  // Null: nowhere any more.
  const changed = yield* administration.updateSubscription(Sport, (subscription) => ({
    maxDeliveryCount: subscription.maxDeliveryCount * 2,
    forwardDeadLetteredMessagesTo: null
  }))
  const found = yield* administration.getSubscription("news/Subscriptions/weather")
  yield* administration.deleteSubscription(Sport)
  yield* Console.log(
    `received ${received.map(({ body }) => body).join()}; ${changed.maxDeliveryCount} deliveries, dead letters ` +
      `${changed.forwardDeadLetteredMessagesTo ?? "stay"}; weather is ${Option.isSome(found) ? "there" : "missing"}; ` +
      `sport is ${(yield* administration.subscriptionExists(Sport)) ? "there" : "gone"}`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [] }))))
