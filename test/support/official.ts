/** Microsoft's own client beside ours on one broker, over plain TCP. */
import { ServiceBusClient as Official, type ServiceBusClientOptions } from "@azure/service-bus"
import { Effect, Layer, Redacted, type Scope } from "effect"
import type { ServiceBusClient } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { it } from "./vitest.ts"

/** Their client on the broker of now; closed with the scope. */
export const official = (options: ServiceBusClientOptions = {}) =>
  Effect.acquireRelease(
    Effect.map(
      Emulator.Emulator,
      ({ connectionString }) => new Official(Redacted.value(connectionString), options)
    ),
    (client) => Effect.promise(() => client.close())
  )

/** Tests in which both clients meet on a broker of these entities. */
export const testsOn = (...entities: ReadonlyArray<Emulator.Entity>) =>
(
  title: string,
  body: Effect.Effect<void, unknown, ServiceBusClient.ServiceBusClient | Emulator.Emulator | Scope.Scope>
) =>
  it.live(title, () =>
    Effect.scoped(body).pipe(
      Effect.provide(
        Emulator.layerClientOver("tcp").pipe(Layer.provideMerge(Emulator.layerServer({ entities })))
      )
    ))
