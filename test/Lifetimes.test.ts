import { assert, describe, it } from "@effect/vitest"
import { ServiceBusProcessor, ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import { both, overTcp, Texts, texts, until } from "./suites/harness.ts"
import { suite } from "./suites/lifetimes.ts"

// One after the other: the last of them looks at the whole process.
describe("Lifetimes", { concurrent: false }, () => {
  both(suite)

  it.live("no socket, listener or timer of the process is left", () =>
    Effect.gen(function*() {
      const resources = () => {
        const all = process.getActiveResourcesInfo()
        return ["TCPSocketWrap", "TCPServerWrap", "TCPConnectWrap", "Timeout"].map((kind) =>
          all.filter((one) => one === kind).length
        )
      }
      const program = Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Texts)
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const processor = yield* ServiceBusProcessor.make(receiver, () => Effect.void)
        yield* sender.sendAll(texts(10))
        yield* until(Effect.map(processor.counts, ({ completed }) => completed === 10))
        return [emulator.port, resources()] as const
      }).pipe(Effect.scoped, Effect.provide(overTcp({ entities: [Emulator.entity(Texts)] })))
      yield* until(Effect.sync(() => resources()[0] === 0))
      const before = resources()
      const [port, during] = yield* program
      assert.isAbove(port, 0)
      assert.isAbove(during[0]!, before[0]!)
      assert.isAbove(during[1]!, before[1]!)
      yield* until(Effect.sync(() => resources().every((count, i) => count <= before[i]!)))
    }))
})
