/** Tokens of identities at the broker: taken while they are good, replaced in time, and each that is not good refused in words. */
import {
  ConnectionString,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as MemorySocket from "../../src/emulator/amqp/MemorySocket.ts"
import * as Transport from "../../src/internal/amqp/transport/Transport.ts"
import { recorded } from "../support/eventRecorder.ts"
import { failsWith, passing, Texts } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const secret = Redacted.make("worker-secret")

/** A broker in memory, and what its token endpoint gives, by virtual time. */
const connect = Effect.gen(function*() {
  let through: Transport.Transport | undefined
  const broker = yield* Layer.build(
    Emulator.layer({
      entities: [Emulator.entity(Texts)],
      identities: [
        { clientId: "worker", secret, tokenLifetime: "40 seconds" },
        { clientId: "listener", secret, roles: [{ role: "Azure Service Bus Data Receiver", entity: Texts }] }
      ]
    })
  ).pipe(
    Effect.provideService(MemorySocket.Network, (transport) => through = transport)
  )
  const emulator = yield* Effect.provide(Emulator.Emulator, broker)
  const { host } = yield* ConnectionString.parse(emulator.connectionString)
  const tokenOf = (clientId: string, audience = "https://servicebus.azure.net/") =>
    Effect.gen(function*() {
      const response = yield* emulator.httpClient.execute(
        HttpClientRequest.post(`https://${host}/contoso.com/oauth2/v2.0/token`).pipe(
          HttpClientRequest.bodyUrlParams({
            grant_type: "client_credentials",
            client_id: clientId,
            client_secret: Redacted.value(secret),
            scope: `${audience}/.default`
          })
        )
      )
      return JSON.parse(yield* response.text) as { readonly access_token: string; readonly expires_in: number }
    })
  const clientOf = (credential: ServiceBusCredential.TokenCredential) =>
    ServiceBusClient.make({
      fullyQualifiedNamespace: host,
      credential: ServiceBusCredential.identity(credential),
      retry: { maxRetries: 0 }
    }).pipe(Effect.provideService(Transport.Transport, through!))
  /** Reads the description of the queue by a token. */
  const read = (authorization: string) =>
    Effect.gen(function*() {
      const response = yield* emulator.httpClient.execute(
        HttpClientRequest.get(`https://${host}/${Texts.name}?api-version=2021-05`).pipe(
          HttpClientRequest.setHeader("authorization", authorization)
        )
      )
      return { status: response.status, text: yield* response.text }
    })
  return { clientOf, emulator, host, read, tokenOf }
})

const test = (
  title: string,
  body: (
    broker: Effect.Success<typeof connect>
  ) => Effect.Effect<void, unknown, Emulator.Emulator | Scope.Scope>
) =>
  it.effect(
    title,
    () =>
      Effect.flatMap(connect, (broker) => Effect.provideService(body(broker), Emulator.Emulator, broker.emulator)).pipe(
        Effect.scoped,
        recorded
      )
  )

/** A credential that gives one token, for ever as it says. */
const constant = (token: string): ServiceBusCredential.TokenCredential => ({
  getToken: () => Promise.resolve({ token, expiresOnTimestamp: 1e15 })
})

describe("a token", () => {
  test("is taken by the broker that is there after a restart", ({ tokenOf }) =>
    Effect.gen(function*() {
      const { access_token } = yield* tokenOf("worker")
      const { clientOf, read } = yield* connect
      assert.strictEqual((yield* read(`Bearer ${access_token}`)).status, 200)
      const client = yield* clientOf(constant(access_token))
      const sender = yield* passing(ServiceBusSender.make(Texts)).pipe(
        Effect.provideService(ServiceBusClient.ServiceBusClient, client)
      )
      yield* passing(sender.send({ body: "text" }))
    }))

  test("is replaced before its end while links stay up, and they end with the last one", ({ clientOf, emulator, tokenOf }) =>
    Effect.gen(function*() {
      const state = { asked: 0, isDown: false }
      const now = yield* Effect.clockWith((clock) => Effect.succeed(() => clock.currentTimeMillisUnsafe()))
      const client = yield* clientOf({
        getToken: () => {
          state.asked++
          return state.isDown
            ? Promise.reject(new Error("the endpoint is down"))
            : Effect.runPromise(Effect.map(tokenOf("worker"), ({ access_token, expires_in }) => ({
              token: access_token,
              expiresOnTimestamp: now() + expires_in * 1000
            })))
        }
      })
      yield* Effect.gen(function*() {
        const sender = yield* passing(ServiceBusSender.make(Texts))
        yield* passing(Effect.sleep("3 minutes"), "1 second")
        yield* passing(sender.send({ body: "in time" }))
        assert.isAtLeast(state.asked, 5)
        assert.isAtMost(state.asked, 8)
        state.isDown = true
        yield* passing(Effect.sleep("2 minutes"), "1 second")
        const error = yield* failsWith("CredentialError")(passing(sender.send({ body: "too late" })))
        assert.include(error.message, "the endpoint is down")
        state.isDown = false
        yield* passing(sender.send({ body: "again" }))
      }).pipe(Effect.provideService(ServiceBusClient.ServiceBusClient, client))
      const stored = yield* emulator.messages(Texts)
      assert.deepStrictEqual(stored.map(({ body }) => body), ["in time", "again"])
    }))

  test("that is not good is refused in the service's words, over AMQP and HTTP", ({ clientOf, read, tokenOf }) =>
    Effect.gen(function*() {
      const { access_token: good } = yield* tokenOf("worker")
      const { access_token: elsewhere } = yield* tokenOf("worker", "https://fabrikam.servicebus.windows.net")
      const [head, payload, signature] = good.split(".")
      const other = JSON.stringify({ ...JSON.parse(Buffer.from(payload!, "base64url").toString()), exp: 9e9 })
      const refused = (token: string) =>
        Effect.gen(function*() {
          const client = yield* clientOf(constant(token))
          const error = yield* failsWith("ServiceBusAuthenticationError")(
            passing(Effect.provideService(ServiceBusSender.make(Texts), ServiceBusClient.ServiceBusClient, client))
          )
          assert.notInclude(error.message, signature!)
          const { status, text } = yield* read(`Bearer ${token}`)
          assert.strictEqual(status, 401)
          return [error.message, text] as const
        })
      const cases: ReadonlyArray<readonly [token: string, words: string, overHttp: string]> = [
        [
          `${head}.${Buffer.from(other).toString("base64url")}.${signature}`,
          "InvalidSignature: The token has an invalid signature",
          "The token has an invalid signature."
        ],
        [`${head}.${payload}.`, "InvalidSignature: ", "invalid signature"],
        ["no token", "MalformedToken: The token is malformed", "The token is malformed."],
        [
          elsewhere,
          "InvalidAudience: The authorization header contains a token with a wrong audience",
          "The token is for another resource."
        ]
      ]
      for (const [token, words, overHttp] of cases) {
        const [amqp, http] = yield* refused(token)
        assert.include(amqp, words)
        assert.include(http, overHttp)
      }
      assert.strictEqual((yield* read(`Bearer ${good}`)).status, 200)
      // As the administration client for Go sends it.
      assert.strictEqual((yield* read(good)).status, 200)
      yield* TestClock.adjust("41 seconds")
      const [amqp, http] = yield* refused(good)
      assert.include(amqp, "ExpiredToken: The token is expired")
      assert.include(http, "The token is expired.")
    }))

  test("gives the rights of the roles alone", ({ clientOf, read, tokenOf }) =>
    Effect.gen(function*() {
      const { access_token: token } = yield* tokenOf("listener")
      const client = yield* clientOf(constant(token))
      yield* Effect.gen(function*() {
        const receiver = yield* passing(ServiceBusReceiver.make(Texts))
        assert.lengthOf(yield* passing(receiver.peek()), 0)
        const error = yield* failsWith("ServiceBusAuthorizationError")(passing(ServiceBusSender.make(Texts)))
        assert.include(error.message, "'Send' claim(s) are required")
      }).pipe(Effect.provideService(ServiceBusClient.ServiceBusClient, client))
      const { status, text } = yield* read(`Bearer ${token}`)
      assert.strictEqual(status, 401)
      assert.include(text, "Manage,EntityRead claims required for this operation.")
    }))
})

describe("namespaces", () => {
  it.effect("have the roles that are in them, and one comes by the use of an identity", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const tokenOf = (clientId: string) =>
        Effect.gen(function*() {
          const response = yield* emulator.httpClient.execute(
            HttpClientRequest.post("https://localhost/contoso.com/oauth2/v2.0/token").pipe(
              HttpClientRequest.bodyUrlParams({
                grant_type: "client_credentials",
                client_id: clientId,
                client_secret: Redacted.value(secret),
                scope: "https://servicebus.azure.net/.default"
              })
            )
          )
          return (JSON.parse(yield* response.text) as { readonly access_token: string }).access_token
        })
      const token = yield* tokenOf("of-a")
      const status = (namespace: string, token: string) =>
        Effect.map(
          emulator.httpClient.execute(
            HttpClientRequest.get(`https://${namespace}.servicebus.windows.net/texts?api-version=2021-05`).pipe(
              HttpClientRequest.setHeader("authorization", `Bearer ${token}`)
            )
          ),
          (response) => response.status
        )
      assert.strictEqual(yield* status("team-a", token), 200)
      assert.strictEqual(yield* status("team-b", token), 401)
      const names = Effect.map(emulator.namespaces, (all) => all.map(({ name }) => name))
      // Where it has no role it makes nothing: it could do nothing there, and fill the broker.
      assert.deepStrictEqual(yield* names, ["default", "team-a"])
      // A token that is forged makes nothing.
      assert.strictEqual(yield* status("team-c", `${token.slice(0, -4)}AAAA`), 401)
      assert.deepStrictEqual(yield* names, ["default", "team-a"])
    }).pipe(
      Effect.provide(Emulator.layer({
        entities: [Emulator.entity(Texts)],
        namespaces: "any",
        identities: [{
          clientId: "of-a",
          secret,
          roles: [{ role: "Azure Service Bus Data Owner", namespace: "Team-A" }]
        }]
      })),
      Effect.scoped
    ))
})
