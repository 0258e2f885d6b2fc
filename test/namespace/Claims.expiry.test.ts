/** A claim that is over because there was no token in time: what the client says meanwhile, and that it goes on. */
import {
  ConnectionString,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as MemorySocket from "../../src/emulator/amqp/MemorySocket.ts"
import * as Transport from "../../src/internal/amqp/transport/Transport.ts"
import { recorded } from "../support/eventRecorder.ts"
import { failsWith, passing, start, Texts, until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

/** A client whose tokens are good for 40 seconds each, and a provider that fails where it is told to. */
const connect = Effect.gen(function*() {
  let through: Transport.Transport | undefined
  const broker = yield* Layer.build(Emulator.layer({ entities: [Emulator.entity(Texts)] })).pipe(
    Effect.provideService(MemorySocket.Network, (transport) => through = transport)
  )
  const state = { isDown: false }
  const client = yield* Effect.provide(
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const { credential, host } = yield* ConnectionString.parse(emulator.connectionString)
      assert(credential?._tag === "SharedKey")
      const token = ServiceBusCredential.generateSas({
        resource: `sb://${host}/`,
        keyName: credential.name,
        key: credential.key,
        timeToLive: "40 seconds"
      })
      return yield* ServiceBusClient.make({
        fullyQualifiedNamespace: host,
        credential: ServiceBusCredential.rotating(Effect.suspend(() =>
          state.isDown
            ? Effect.fail(new Error("the vault is sealed"))
            : Effect.map(token, ServiceBusCredential.sas)
        )),
        retry: { delay: "1 second" }
      })
    }),
    broker
  ).pipe(Effect.provideService(Transport.Transport, through!))
  return {
    state,
    services: Layer.mergeAll(Layer.succeedContext(broker), Layer.succeed(ServiceBusClient.ServiceBusClient, client))
  }
})

const test = (
  title: string,
  body: (
    state: { isDown: boolean }
  ) => Effect.Effect<void, unknown, Emulator.Emulator | ServiceBusClient.ServiceBusClient>
) =>
  it.effect(title, () =>
    Effect.flatMap(connect, ({ services, state }) => Effect.provide(body(state), services)).pipe(
      Effect.scoped,
      recorded
    ))

describe("A claim that is over while its provider fails", () => {
  test("a processor goes on once there is a token", (state) =>
    Effect.scoped(Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      // It holds the connection, and the claim on it.
      yield* passing(ServiceBusSender.make(Texts))
      const seen: Array<string> = []
      const processor = yield* passing(ServiceBusProcessor.make(
        yield* ServiceBusReceiver.make(Texts),
        (text) => Effect.sync(() => void seen.push(text))
      ))
      const over = yield* Effect.forkScoped(processor.join)
      for (let time = 1; time <= 2; time++) {
        state.isDown = true
        yield* passing(Effect.sleep("3 minutes"), "1 second")
        assert.isUndefined(over.pollUnsafe())
        state.isDown = false
        yield* emulator.send(Texts, [{ body: "goes on" }])
        yield* passing(until(Effect.sync(() => seen.length === time)), "1 second")
      }
    })))

  test("a stream that waits goes on, also where it happens twice and nothing comes between", (state) =>
    Effect.scoped(Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* passing(ServiceBusSender.make(Texts))
      const receiver = yield* passing(ServiceBusReceiver.make(Texts))
      const stream = yield* start(Stream.runHead(receiver.messages))
      for (let time = 1; time <= 2; time++) {
        state.isDown = true
        yield* passing(Effect.sleep("3 minutes"), "1 second")
        state.isDown = false
        yield* passing(Effect.sleep("3 minutes"), "1 second")
        assert.isUndefined(stream.pollUnsafe())
      }
      yield* emulator.send(Texts, [{ body: "comes" }])
      assert.strictEqual(Option.getOrThrow(yield* passing(Fiber.join(stream))).body, "comes")
    })))

  test("a sender says that there is no token, and sends once there is", (state) =>
    Effect.scoped(Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* passing(ServiceBusReceiver.make(Texts))
      const sender = yield* passing(ServiceBusSender.make(Texts))
      state.isDown = true
      yield* passing(TestClock.adjust("2 minutes"), "1 second")
      const error = yield* failsWith("CredentialError")(passing(sender.send({ body: "too early" })))
      assert.strictEqual(error.attempts, 4)
      state.isDown = false
      yield* passing(sender.send({ body: "sent" }))
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    })))
})
