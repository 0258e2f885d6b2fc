import { ServiceBusClient } from "@azure/service-bus"
import { assert, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"

it.live("probe", () =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    yield* Effect.promise(async () => {
      const client = new ServiceBusClient(Redacted.value(emulator.connectionString))
      console.time("a")
      const s = client.createSender("q")
      await s.sendMessages({ body: { a: 1 } })
      console.timeLog("a", "sent")
      const r = client.createReceiver("q")
      const [m] = await r.receiveMessages(1)
      console.timeLog("a", "received")
      assert.deepStrictEqual(m!.body, { a: 1 })
      await r.completeMessage(m!)
      console.timeLog("a", "completed")
      await r.close()
      console.timeLog("a", "closed")
      await client.close()
      console.timeLog("a", "closed")
    })
    console.log(yield* emulator.connections)
  }).pipe(Effect.provide(Emulator.layerServer({ entities: [Emulator.entity("q")] }))))
