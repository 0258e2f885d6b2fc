/** Tokens that are signed for others: as Microsoft's library signs them, taken by the broker, and good for as long as was said. */
import { createSasTokenProvider } from "@azure/core-amqp"
import { ServiceBusClient, ServiceBusCredential, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import { failsWith, Texts } from "./support/harness.ts"
import { assert, describe, it } from "./support/vitest.ts"

const given = { resource: "sb://contoso.servicebus.windows.net/texts", keyName: "guests", key: "a key/with+signs=" }

/** When a token ends, in seconds. */
const endOf = (token: Redacted.Redacted<string>) => Number(/&se=(\d+)/.exec(Redacted.value(token))?.[1])

describe("generateSas", () => {
  it.live.each([
    given,
    { resource: "sb://contoso.servicebus.windows.net/", keyName: "Root Manage/Key", key: "c2VjcmV0" },
    { resource: "https://ünïcode.example/a b&c=d", keyName: "größe", key: "schlüssel" }
  ])("signs as the official library does: %j", (options) =>
    Effect.gen(function*() {
      const { key, keyName, resource } = options
      const official = yield* Effect.promise(() =>
        createSasTokenProvider({ sharedAccessKeyName: keyName, sharedAccessKey: key }).getToken(resource)
      )
      const expiresAt = DateTime.makeUnsafe(official.expiresOnTimestamp * 1000)
      const token = yield* ServiceBusCredential.generateSas({ ...options, expiresAt })
      assert.strictEqual(Redacted.value(token), official.token)
    }))

  it.effect("is good for an hour, for a duration, or until a time", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("30 days")
      const now = (yield* Clock.currentTimeMillis) / 1000
      assert.strictEqual(endOf(yield* ServiceBusCredential.generateSas(given)), now + 3600)
      assert.strictEqual(
        endOf(yield* ServiceBusCredential.generateSas({ ...given, timeToLive: "10 minutes" })),
        now + 600
      )
      const expiresAt = DateTime.addDuration(yield* DateTime.now, Duration.days(2))
      assert.strictEqual(endOf(yield* ServiceBusCredential.generateSas({ ...given, expiresAt })), now + 2 * 86_400)
    }))

  it.effect("names what is out of range, and never the key", () =>
    Effect.gen(function*() {
      const past = DateTime.makeUnsafe(0)
      for (
        const [option, options] of [
          ["resource", { resource: "" }],
          ["resource", { resource: "\ud800" }],
          ["keyName", { keyName: "" }],
          ["key", { key: "" }],
          ["key", { key: 5 }],
          ["timeToLive", { timeToLive: "999 millis" }],
          ["timeToLive", { timeToLive: Infinity }],
          ["timeToLive", { timeToLive: NaN }],
          ["expiresAt", { expiresAt: past }],
          ["expiresAt", { expiresAt: new Date() }],
          ["expiresAt", { expiresAt: past, timeToLive: "1 hour" }]
        ] as const
      ) {
        const error = yield* failsWith("InvalidOptionError")(
          ServiceBusCredential.generateSas({ ...given, ...options as object })
        )
        assert.strictEqual(error.option, option)
        assert.notInclude(inspect(error), given.key)
      }
      assert.notInclude(inspect(yield* ServiceBusCredential.generateSas(given)), "sig=")
    }))

  it.live("gives what the broker takes, for the entity that it names alone", () =>
    Effect.gen(function*() {
      const { certificate, tlsPort } = yield* Emulator.Emulator
      const sending = (resource: string) =>
        Effect.gen(function*() {
          const token = yield* ServiceBusCredential.generateSas({ ...given, resource })
          const client = yield* ServiceBusClient.make({
            fullyQualifiedNamespace: "contoso.servicebus.windows.net",
            credential: ServiceBusCredential.sas(token),
            customEndpointAddress: `sb://localhost:${tlsPort}`,
            ca: certificate,
            retry: { maxRetries: 0 }
          })
          const sender = yield* Effect.provideService(
            ServiceBusSender.make(Texts),
            ServiceBusClient.ServiceBusClient,
            client
          )
          yield* sender.send({ body: "by a token" })
        }).pipe(Effect.scoped)
      yield* sending(given.resource)
      yield* sending("sb://contoso.servicebus.windows.net")
      yield* failsWith("ServiceBusAuthenticationError")(sending("sb://contoso.servicebus.windows.net/others"))
    }).pipe(Effect.provide(Emulator.layerServer({
      entities: [Emulator.entity(Texts)],
      tlsPort: 0,
      policies: [{ name: given.keyName, key: Redacted.make(given.key), rights: ["Send"] }]
    }))))
})
