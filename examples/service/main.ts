/**
 * A whole service: an HTTP endpoint that sends, a worker over a queue, a worker over sessions, and one way to stop.
 *
 * Contracts.ts has the entities, Bus.ts decides by the environment what they run on, Api.ts, Billing.ts and Shipping.ts do the
 * work, Telemetry.ts tells of it, and Service.test.ts tests it on the embedded broker under TestClock. Copy it into a project
 * that has effect and effect-service-bus, and run it without Azure (in this repository: `npm run build`, then
 * `npm exec -- node examples/service/main.ts`):
 *
 *     cp -r node_modules/effect-service-bus/examples/service .
 *     npm install @effect/platform-node @azure/identity
 *     node service/main.ts
 *     curl -i -H 'content-type: application/json' -d '{"id":"1","customer":"ada","total":12}' localhost:3000/orders
 *
 * | variable                      | what it is                                                                      |
 * | ----------------------------- | ------------------------------------------------------------------------------- |
 * | `SERVICE_BUS_CONNECTION_STR`  | a namespace by its connection string                                            |
 * | `SERVICE_BUS_NAMESPACE`       | a namespace by its host name, with the identity that `DefaultAzureCredential` finds |
 * | `PORT`                        | of the HTTP endpoint; 3000 by default, 0 for any that is free                   |
 * | `OTEL_EXPORTER_OTLP_ENDPOINT` | a collector of OpenTelemetry, for example `http://localhost:4318`               |
 *
 * SIGTERM and SIGINT stop it: the endpoint takes no more requests, the workers no more messages; what has begun is finished
 * within 20 seconds, and the exit code is 0. A worker that cannot go on (its queue was deleted, say) ends the service with 1.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Effect, Exit, Layer, Runtime } from "effect"
import * as Api from "./Api.ts"
import * as Billing from "./Billing.ts"
import * as Bus from "./Bus.ts"
import * as Shipping from "./Shipping.ts"
import * as Telemetry from "./Telemetry.ts"

// Whichever fails ends the others; interrupted, each of them drains, all at the same time.
const service = Effect.all([Layer.launch(Api.layer), Billing.run, Shipping.run], { concurrency: "unbounded" })

service.pipe(
  Effect.onInterrupt(() => Effect.log("Drained")),
  Effect.provide([Bus.layer, Billing.Cards.layer]),
  Effect.provide(Telemetry.layer),
  NodeRuntime.runMain({
    // A signal is no failure once everything is drained.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
)
