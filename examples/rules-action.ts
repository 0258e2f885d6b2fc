// An action changes the copy that its rule takes: SET and REMOVE, of application and of system properties. Each rule with an
// action makes a copy of its own, which says by RuleName whose it is.
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

const Readings = ServiceBusEntity.topic("readings", { body: ServiceBusBody.text })
const Alarms = ServiceBusEntity.subscription(Readings, "alarms")

const program = Effect.gen(function*() {
  const rules = yield* ServiceBusRuleManager.make(Alarms)
  yield* rules.create(
    "hot",
    ServiceBusRule.sql("celsius > @limit", { limit: 90 }),
    ServiceBusRule.action("SET severity = @severity; SET sys.Label = 'alarm'; REMOVE debug", { severity: "high" })
  )
  yield* rules.create("cold", ServiceBusRule.sql("celsius < 0"), ServiceBusRule.action("SET severity = 'low'"))
  yield* rules.delete(ServiceBusRule.defaultName)

  const sender = yield* ServiceBusSender.make(Readings)
  yield* sender.sendAll([95, 20, -3].map((celsius) => ({
    body: "sensor 1",
    subject: "reading",
    applicationProperties: { celsius, debug: true }
  })))

  const receiver = yield* ServiceBusReceiver.makeDestructive(Alarms)
  const alarms = (yield* receiver.receive({ max: 10 })).map(({ applicationProperties, subject }) => {
    const { RuleName, celsius, debug, severity } = applicationProperties
    return `${RuleName} ${celsius} ${severity} (${subject}${debug === true ? ", debug" : ""})`
  })
  yield* Console.log(alarms.join("; "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Readings), Emulator.entity(Alarms)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
