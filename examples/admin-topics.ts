// Topics created, changed and looked at: their subscriptions are what holds messages.
import { Console, Duration, Effect, Option, Stream } from "effect"
import { ServiceBusAdministration, ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })

const program = Effect.gen(function*() {
  const administration = yield* ServiceBusAdministration.ServiceBusAdministration
  yield* administration.createTopic(News, { defaultTimeToLive: "7 days", duplicateDetectionWindow: "10 minutes" })
  yield* administration.createTopic("archive")
  for (const name of ["all", "audit"]) yield* administration.createSubscription(`news/Subscriptions/${name}`)

  yield* (yield* ServiceBusSender.make(News)).send({ body: "read all about it" })
  const runtime = Option.getOrThrow(yield* administration.getTopicRuntime(News))
  const held = yield* Stream.runCollect(administration.listSubscriptionRuntimes(News))

  // Paused: nothing is sent to it meanwhile.
  const paused = yield* administration.updateTopic(News, () => ({ status: "SendDisabled" }))
  const topics = yield* Stream.runCollect(administration.listTopics)
  yield* administration.deleteTopic(News)
  const left = yield* Stream.runCollect(administration.listTopics)
  yield* Console.log(
    `${topics.map(({ name }) => name).join(" and ")}; ${runtime.subscriptionCount} subscriptions with ` +
      `${held.map(({ activeMessageCount, name }) => `${name} ${activeMessageCount}`).join(", ")}; ` +
      `${paused.status}, messages live ${Duration.format(paused.defaultTimeToLive)}; left: ${left.length}`
  )
})

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [] }))))
