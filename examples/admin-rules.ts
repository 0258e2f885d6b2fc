// Rules of a subscription, created, listed, changed where they are, and deleted. A parameter keeps its type, and its name.
import { Console, Effect, Option, Stream } from "effect"
import { ServiceBusAdministration, ServiceBusBody, ServiceBusEntity, ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")

const program = Effect.gen(function*() {
  const administration = yield* ServiceBusAdministration.ServiceBusAdministration
  yield* administration.createRule(
    Sport,
    ServiceBusRule.make(
      "urgent",
      ServiceBusRule.sql("priority >= @least", { least: 5 }),
      ServiceBusRule.action("SET desk = 'night'")
    )
  )
  yield* administration.createRule(
    Sport,
    ServiceBusRule.make(
      "tennis",
      ServiceBusRule.correlation({ applicationProperties: { discipline: "tennis", sets: 3 } })
    )
  )
  yield* administration.deleteRule(Sport, ServiceBusRule.defaultName)
  // Over this API a rule can be changed; over AMQP it is deleted and created.
  yield* administration.updateRule(Sport, "urgent", () => ({
    filter: ServiceBusRule.sql("priority >= @least", { least: 8 }),
    action: null
  }))
  const listed = yield* Stream.runCollect(administration.listRules(Sport))
  const urgent = Option.getOrThrow(yield* administration.getRule(Sport, "urgent"))
  const least = urgent.filter._tag === "SqlFilter" ? urgent.filter.parameters["@least"] : undefined
  const missing = yield* administration.deleteRule(Sport, "rowing").pipe(
    Effect.as("deleted"),
    Effect.catchTag("RuleNotFoundError", ({ rule }) => Effect.succeed(`no ${rule}`))
  )
  yield* Console.log(
    `${listed.map(({ filter, name }) => `${name} (${filter._tag})`).join(", ")}; @least is ${String(least)}, ` +
      `action ${urgent.action === undefined ? "none" : "some"}; ${missing}`
  )
})

const Broker = Emulator.layer({ entities: [Emulator.entity(News), Emulator.entity(Sport)] })

await Effect.runPromise(program.pipe(Effect.provide(Broker)))
