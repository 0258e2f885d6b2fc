/**
 * What the job needs: the topic, its subscriptions, and the rules that say which line goes where. It is planned and applied
 * before the job starts, and so is there afterwards, whatever was there before; rules of others in the two subscriptions go.
 */
import { Effect } from "effect"
import { type ServiceBusAdministration, ServiceBusTopology } from "effect-service-bus"
import type { Entities } from "./Flight.ts"
import * as routes from "./routes.ts"

/** Makes the entities what the job needs, and gives a line for a person. */
export const prepare = Effect.fnUntraced(
  function*({ broken, flights, topic }: Entities, settings: ServiceBusAdministration.SubscriptionSettings) {
    const plan = yield* ServiceBusTopology.plan([
      topic,
      ServiceBusTopology.entity(flights, { ...settings, rules: [routes.rules.flights] }),
      ServiceBusTopology.entity(broken, { ...settings, rules: [routes.rules.broken] })
    ], { prune: ({ kind }) => kind === "rule" })
    yield* ServiceBusTopology.apply(plan)
    const lines = ServiceBusTopology.format({ ...plan, unknown: [] }).split("\n").slice(1)
    return `Topology: ${lines.join("; ")}.`
  },
  // A policy that may send and receive alone is enough where the entities are there.
  Effect.catchTag(
    "ServiceBusAuthorizationError",
    () => Effect.succeed("Topology: not looked at, because the credential lacks the Manage right.")
  )
)
