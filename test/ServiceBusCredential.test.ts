/**
 * Each kind of credential is accepted, refused with a reason and without its secret, and rotated while links stay up.
 */
import { Cause, Effect, Exit, Layer, Redacted, Ref } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as SasToken from "../src/internal/SasToken.ts"
import { assert, describe, it } from "./support/vitest.ts"

const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })

/** Over TLS, so that any credential can be given. The broker's clock is the test's: under TestClock it stands still. */
const Server = Emulator.layerServer({
  entities: [Emulator.entity(Letters)],
  tlsPort: 0,
  policies: [
    { name: "first", key: Redacted.make("first-key"), rights: ["Send", "Listen"] },
    { name: "second", key: Redacted.make("second-key"), rights: ["Send", "Listen"] }
  ]
})

const clientOf = (credential: ServiceBusCredential.ServiceBusCredential, options?: ServiceBusClient.CommonOptions) =>
  Layer.unwrap(Effect.map(Emulator.Emulator, ({ certificate, tlsPort }) =>
    Layer.orDie(ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      credential,
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      ca: certificate,
      retry: { maxRetries: 0 },
      ...options
    }))))

const roundTrip = Effect.gen(function*() {
  const sender = yield* ServiceBusSender.make(Letters)
  const receiver = yield* ServiceBusReceiver.make(Letters)
  yield* sender.send({ body: "hello" })
  const [message] = yield* receiver.receive()
  yield* receiver.complete(message!)
  return message!.body
}).pipe(Effect.scoped)

const first = ServiceBusCredential.sharedKey({ name: "first", key: "first-key" })
const second = ServiceBusCredential.sharedKey({ name: "second", key: "second-key" })

describe("credentials", () => {
  it.live("a shared key, a SAS token and an identity are accepted", () =>
    Effect.gen(function*() {
      const { tokenCredential } = yield* Emulator.Emulator
      const token = SasToken.sign({
        resource: "sb://contoso.servicebus.windows.net/letters",
        keyName: "first",
        key: Redacted.make("first-key"),
        expiresAt: Date.now() / 1000 + 60
      })
      for (
        const credential of [
          first,
          ServiceBusCredential.sas(token),
          ServiceBusCredential.identity(tokenCredential),
          ServiceBusCredential.rotating(Effect.succeed(second))
        ]
      ) {
        assert.strictEqual(yield* Effect.provide(roundTrip, clientOf(credential)), "hello")
      }
    }).pipe(Effect.provide(Server)))

  it.live("what is wrong with one is said, and its secret is not", () =>
    Effect.gen(function*() {
      const secret = "a-very-secret-value"
      const cases: ReadonlyArray<readonly [ServiceBusCredential.ServiceBusCredential, string]> = [
        [ServiceBusCredential.sharedKey({ name: "first", key: secret }), "ServiceBusAuthenticationError"],
        [ServiceBusCredential.sharedKey({ name: "nobody", key: secret }), "ServiceBusAuthenticationError"],
        [ServiceBusCredential.sas(secret), "CredentialError"],
        [
          ServiceBusCredential.sas(`SharedAccessSignature sr=x&sig=${secret}&se=99999999999&skn=first`),
          "ServiceBusAuthenticationError"
        ],
        [
          ServiceBusCredential.identity({
            getToken: () => Promise.resolve({ token: secret, expiresOnTimestamp: 9e12 })
          }),
          "ServiceBusAuthenticationError"
        ],
        [ServiceBusCredential.identity({ getToken: () => Promise.resolve(null) }), "CredentialError"],
        [ServiceBusCredential.identity({ getToken: () => Promise.reject(new Error("no network")) }), "CredentialError"],
        [
          ServiceBusCredential.identity({
            getToken: () => {
              throw new Error("not logged in")
            }
          }),
          "CredentialError"
        ],
        [ServiceBusCredential.rotating(Effect.fail(new Error("the vault is sealed"))), "CredentialError"]
      ]
      for (const [credential, tag] of cases) {
        const exit = yield* Effect.exit(Effect.provide(roundTrip, clientOf(credential)))
        assert(Exit.isFailure(exit))
        const error = Cause.squash(exit.cause) as { readonly _tag: string; readonly message: string }
        assert.strictEqual(error._tag, tag, error.message)
        for (const text of [error.message, inspect(error), JSON.stringify(error), Cause.pretty(exit.cause)]) {
          assert.notInclude(text, secret)
        }
      }
    }).pipe(Effect.provide(Server)))

  it.effect("a rotated key is taken at the next refresh, while links stay up", () =>
    Effect.gen(function*() {
      const current = yield* Ref.make(first)
      const asked = yield* Ref.make(0)
      const rotating = ServiceBusCredential.rotating(Effect.andThen(Ref.update(asked, (n) => n + 1), Ref.get(current)))
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const sender = yield* ServiceBusSender.make(Letters)
        yield* sender.send({ body: "one" })
        yield* Ref.set(current, second)
        const before = yield* Ref.get(asked)
        // Bytes on a socket are not known to the clock: give them a real moment after each step.
        for (let minutes = 0; minutes < 70; minutes += 5) {
          yield* TestClock.adjust("5 minutes")
          yield* TestClock.withLive(Effect.sleep("15 millis"))
          yield* sender.send({ body: `at ${minutes}` })
        }
        assert.isAbove(yield* Ref.get(asked), before)
        assert.strictEqual(yield* emulator.connections, 1)
        assert.lengthOf(yield* emulator.messages(Letters), 15)
      }).pipe(Effect.scoped, Effect.provide(clientOf(rotating)))
    }).pipe(Effect.provide(Server)))

  it.live("a connection string with a SAS token", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const parsed = yield* ConnectionString.parse(emulator.connectionString)
      const token = SasToken.sign({
        resource: `sb://${parsed.host}/`,
        keyName: "second",
        key: Redacted.make("second-key"),
        expiresAt: Date.now() / 1000 + 60
      })
      const text = ConnectionString.format({ ...parsed, credential: ServiceBusCredential.sas(token) })
      assert.strictEqual(
        yield* Effect.provide(roundTrip, Layer.orDie(ServiceBusClient.layerConnectionString(text))),
        "hello"
      )
    }).pipe(Effect.provide(Server)))
})
