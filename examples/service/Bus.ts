// What the service runs on, by the environment: a connection string, a namespace with the identity of the process, or, where
// neither is set, the embedded broker.
import { DefaultAzureCredential } from "@azure/identity"
import { Config, Effect, Layer, Option } from "effect"
import { ServiceBusClient, ServiceBusCredential, type ServiceBusError } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { Orders, Shipments } from "./Contracts.ts"

/** As the queues are declared in Azure: one with duplicate detection drops a message whose id it has had within the window. */
const declared = { lockDuration: "30 seconds", maxDeliveryCount: 5, duplicateDetectionWindow: "10 minutes" } as const

/** The entities for a local run and for the tests. */
export const layerEmulator = Emulator.layer({
  entities: [Emulator.entity(Orders, declared), Emulator.entity(Shipments, declared)]
})

/** Asked for a token only where the environment names a namespace. */
const credential = ServiceBusCredential.identity(new DefaultAzureCredential())

type Client = Layer.Layer<ServiceBusClient.ServiceBusClient, Config.ConfigError | ServiceBusError.Any>

export const layer = Layer.unwrap(Effect.gen(function*(): Effect.fn.Return<Client, Config.ConfigError> {
  const names = ["SERVICE_BUS_CONNECTION_STR", "SERVICE_BUS_NAMESPACE"]
  const variables = yield* Effect.forEach(names, (name) => Config.option(Config.Redacted(name)))
  return variables.some(Option.isSome) ? ServiceBusClient.layerEnv({ credential }) : layerEmulator
}))
