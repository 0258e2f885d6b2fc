/**
 * Tokens: used while they are good, replaced in time or where they are doubted, and what a provider that fails costs.
 */
import {
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Claims from "../../src/internal/namespace/Claims.ts"
import { CredentialError } from "../../src/ServiceBusError.ts"
import { Lines, recorded, texts as linesOf } from "../support/eventRecorder.ts"
import { failsWith, inMemory, linkOf, passing, Texts, until } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Held = ServiceBusEntity.queue("held", { body: ServiceBusBody.text, sessions: true })

const Server = Emulator.layerServer({
  entities: [Emulator.entity(Texts), Emulator.entity(Held)],
  tlsPort: 0,
  policies: [{ name: "right", key: Redacted.make("right-key"), rights: ["Send", "Listen"] }]
})

const clientOf = (credential: ServiceBusCredential.ServiceBusCredential, maxRetries: number) =>
  Layer.unwrap(Effect.map(Emulator.Emulator, ({ certificate, tlsPort }) =>
    Layer.orDie(ServiceBusClient.layer({
      fullyQualifiedNamespace: "contoso.servicebus.windows.net",
      credential,
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      ca: certificate,
      retry: { maxRetries, delay: 1 }
    }))))

/** A provider that fails as often as it is told to, and how often it was asked. */
const provider = (tokens: ServiceBusCredential.TokenCredential) => {
  const state = { failing: 0, asked: 0 }
  const credential = ServiceBusCredential.identity({
    getToken: (...args) => {
      state.asked++
      return state.failing-- > 0 ? Promise.reject(new Error("the endpoint is down")) : tokens.getToken(...args)
    }
  })
  return { state, credential }
}

/** What provider gave each token, in an order, and when it expires. */
const given = (tokens: ReadonlyArray<number | Error>) => {
  let at = 0
  const asked = () => at
  const credential = ServiceBusCredential.identity({
    getToken: () => {
      const next = tokens[Math.min(at++, tokens.length - 1)]!
      return typeof next === "number"
        ? Promise.resolve({ token: `token ${at}`, expiresOnTimestamp: next })
        : Promise.reject(next)
    }
  })
  const provided = Claims.tokensOf(credential, 1_000)
  const get = (isRefresh?: boolean) =>
    Effect.map(provided.get("sb://host/entity", isRefresh), ({ token }) => Redacted.value(token))
  return { asked, get, token: provided.get("sb://host/entity"), tokens: provided }
}

const minutes = (n: number) => n * 60_000

describe("tokens", () => {
  it.effect("are not there where the provider ends as interrupted: it has failed, and those who wait for it have not", () =>
    Effect.gen(function*() {
      let asked = 0
      const ends = [
        Effect.interrupt,
        Effect.withFiber<never>((fiber) => Effect.andThen(Effect.sync(() => fiber.interruptUnsafe()), Effect.never))
      ]
      const credential = ServiceBusCredential.rotating(Effect.suspend(() => ends[asked++] ?? Effect.die("a bug")))
      const { get } = Claims.tokensOf(credential, 1_000)
      for (const description of ["the credential interrupted itself", "the credential interrupted itself", "a bug"]) {
        const both = yield* Effect.all([0, 1].map(() => failsWith("CredentialError")(get("sb://host/entity"))), {
          concurrency: 2
        })
        for (const error of both) assert.deepInclude(error, { reason: "provider", description, isTransient: true })
      }
      assert.strictEqual(asked, 3)
    }))

  it.effect("are used for all that is claimed until it is time for a new one", () =>
    Effect.gen(function*() {
      const { asked, get } = given([minutes(60), minutes(120)])
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* get(), "token 1")
      yield* TestClock.adjust("44 minutes")
      assert.strictEqual(yield* get(), "token 1")
      assert.strictEqual(asked(), 1)
      yield* TestClock.adjust("1 minute")
      // One asks, and all have what it was given.
      assert.strictEqual(yield* get(true), "token 2")
      assert.strictEqual(yield* get(true), "token 2")
      assert.strictEqual(asked(), 2)
    }))

  it.effect("of a secret that was wiped fail, and what was taken of it before is as it was", () =>
    Effect.gen(function*() {
      const key = Redacted.make("key")
      const token = Redacted.make("SharedAccessSignature sr=a&sig=b&se=99999999999&skn=c")
      const sharedKey = ServiceBusCredential.sharedKey({ name: "app", key })
      const credentials = [
        sharedKey,
        ServiceBusCredential.sas(token),
        ServiceBusCredential.rotating(Effect.succeed(sharedKey))
      ]
      const tokensOf = () => credentials.map((credential) => Claims.tokensOf(credential, 1_000).get("sb://host/entity"))
      const taken = yield* Effect.all(tokensOf())
      Redacted.wipeUnsafe(key)
      Redacted.wipeUnsafe(token)
      for (const get of tokensOf()) {
        assert.match((yield* failsWith("CredentialError")(get)).message, /was wiped|is no credential/)
      }
      assert.match(Redacted.value(taken[1]!.token), /^SharedAccessSignature sr=a/)
    }))

  it.effect("that are good are used where the provider fails, and not longer", () =>
    Effect.gen(function*() {
      const { asked, get } = given([minutes(60), new Error("down")])
      assert.strictEqual(yield* get(), "token 1")
      yield* TestClock.adjust("50 minutes")
      assert.strictEqual(yield* get(), "token 1")
      assert.strictEqual(asked(), 2)
      // A refresh needs a new one.
      assert.strictEqual((yield* failsWith("CredentialError")(get(true))).reason, "provider")
      yield* TestClock.adjust("10 minutes")
      const error = yield* failsWith("CredentialError")(get())
      assert.strictEqual(error.reason, "provider")
      assert.isTrue(error.isTransient)
    }))

  it.effect("that were refused are not used again, whatever the provider does", () =>
    Effect.gen(function*() {
      const { get, token, tokens } = given([minutes(60), new Error("down"), minutes(60), minutes(60)])
      const first = yield* token
      tokens.drop(first)
      yield* failsWith("CredentialError")(get())
      assert.strictEqual(yield* get(), "token 3")
      // That the first one is refused once more changes nothing.
      tokens.drop(first)
      assert.strictEqual(yield* get(), "token 3")
    }))

  it.effect("that are doubted are replaced, and used where the provider fails", () =>
    Effect.gen(function*() {
      const { asked, get, tokens } = given([minutes(60), new Error("down"), minutes(60)])
      assert.strictEqual(yield* get(), "token 1")
      // It was given just now.
      tokens.refreshNext(0)
      assert.strictEqual(yield* get(), "token 1")
      assert.strictEqual(asked(), 1)
      yield* TestClock.adjust("1 minute")
      tokens.refreshNext(minutes(1))
      assert.strictEqual(yield* get(), "token 1")
      assert.strictEqual(asked(), 2)
      assert.strictEqual(yield* get(), "token 3")
    }))

  it.effect("tell what their provider failed with, once", () =>
    Effect.gen(function*() {
      const cause = new Error("the endpoint is down")
      const { get } = given([cause])
      const error = yield* failsWith("CredentialError")(get())
      assert.strictEqual(error.description, "the endpoint is down")
      assert.strictEqual(error.cause, cause)
    }))

  it.live("a provider that fails while the last token is good costs no caller anything", () =>
    Effect.gen(function*() {
      const { emulator, tokens } = yield* Effect.map(Emulator.Emulator, (emulator) => ({
        emulator,
        tokens: provider(emulator.tokenCredential)
      }))
      yield* Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Texts)
        const seen: Array<string> = []
        const note = (text: string) => Effect.sync(() => void seen.push(text))
        yield* ServiceBusProcessor.make(yield* ServiceBusReceiver.make(Texts), note)
        yield* ServiceBusProcessor.makeSessions(Held, note)
        yield* sender.send({ body: "before" })
        yield* until(Effect.sync(() => seen.length === 1))
        tokens.state.failing = Infinity
        yield* emulator.dropConnections
        yield* sender.send({ body: "after" })
        yield* (yield* ServiceBusSender.make(Held)).send({ body: "in a session", sessionId: "a" })
        yield* until(Effect.sync(() => seen.length === 3))
        assert.strictEqual(tokens.state.asked, 1)
      }).pipe(Effect.scoped, Effect.provide(clientOf(tokens.credential, 3)))
    }).pipe(Effect.provide(Server)))

  it.live("a provider that fails is asked again, as often as the retries allow", () =>
    Effect.gen(function*() {
      const { tokenCredential } = yield* Emulator.Emulator
      const { credential, state } = provider(tokenCredential)
      state.failing = 3
      yield* Effect.scoped(ServiceBusSender.make(Texts)).pipe(Effect.provide(clientOf(credential, 3)))
      assert.strictEqual(state.asked, 4)
      const other = provider(tokenCredential)
      other.state.failing = Infinity
      const error = yield* Effect.scoped(ServiceBusSender.make(Texts)).pipe(
        Effect.provide(clientOf(other.credential, 3)),
        failsWith("CredentialError")
      )
      assert.strictEqual(error.attempts, 4)
    }).pipe(Effect.provide(Server)))

  it.live("a processor outlives its provider's failure, also where there is no token", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const state = { isDown: true, failures: 0 }
      const credential = ServiceBusCredential.rotating(Effect.suspend(() => {
        if (!state.isDown) return Effect.succeed(ServiceBusCredential.sharedKey({ name: "right", key: "right-key" }))
        state.failures++
        return Effect.fail(new Error("the vault is sealed"))
      }))
      yield* Effect.gen(function*() {
        const seen: Array<string> = []
        const sessions = yield* ServiceBusProcessor.makeSessions(
          Held,
          (text) => Effect.sync(() => void seen.push(text))
        )
        const over = yield* Effect.forkScoped(sessions.join)
        // More often than an operation is tried again.
        yield* until(Effect.sync(() => state.failures >= 5))
        assert.isUndefined(over.pollUnsafe())
        state.isDown = false
        yield* emulator.send(Held, [{ body: "in a session", sessionId: "a" }])
        yield* until(Effect.sync(() => seen.length === 1))
      }).pipe(Effect.scoped, Effect.provide(clientOf(credential, 1)))
    }).pipe(Effect.provide(Logger.layer([])), Effect.provide(Server)))

  it.live("one that is refused is replaced once before that is final", () =>
    Effect.gen(function*() {
      const keys = ["wrong-key", "right-key"]
      let asked = 0
      const rotating = ServiceBusCredential.rotating(
        Effect.sync(() => ServiceBusCredential.sharedKey({ name: "right", key: keys[Math.min(asked++, 1)]! }))
      )
      yield* Effect.scoped(ServiceBusSender.make(Texts)).pipe(Effect.provide(clientOf(rotating, 0)))
      assert.strictEqual(asked, 2)
      let others = 0
      const wrong = ServiceBusCredential.rotating(Effect.sync(() => {
        others++
        return ServiceBusCredential.sharedKey({ name: "right", key: "wrong-key" })
      }))
      yield* Effect.scoped(ServiceBusSender.make(Texts)).pipe(
        Effect.provide(clientOf(wrong, 3)),
        failsWith("ServiceBusAuthenticationError")
      )
      assert.strictEqual(others, 2)
    }).pipe(Effect.provide(Server)))
})

const broker = inMemory({ entities: [Emulator.entity(Texts), Emulator.entity(Held)] })

describe("a refusal as unauthorized", () => {
  for (const condition of ["amqp:unauthorized-access", "com.microsoft:auth-failed"]) {
    const refusal = { operation: "attach", error: { condition } } as const

    it.effect(`${condition}: is tried once more under a fresh token`, () =>
      passing(Effect.scoped(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.fail({ ...refusal, times: 1 })
        const sender = yield* ServiceBusSender.make(Texts)
        yield* emulator.fail({ operation: "send", error: { condition }, times: 1 })
        yield* sender.send({ body: "sent" })
        const receiver = yield* ServiceBusReceiver.make(Texts)
        const [message] = yield* receiver.receive()
        yield* emulator.fail({ operation: "renew", error: { condition }, times: 1 })
        yield* receiver.renewLock(message!)
        // Where there is none the operation is not made again.
        yield* emulator.fail({ operation: "renew", error: { condition }, times: 1 })
        yield* emulator.fail({ operation: "putToken", error: { condition: "amqp:unauthorized-access" }, times: 2 })
        yield* failsWith("ServiceBusAuthenticationError")(receiver.renewLock(message!))
        yield* emulator.fail({ ...refusal, times: 1 })
        yield* ServiceBusSession.accept(Held, "a")
        yield* emulator.fail({ ...refusal, times: 2 })
        const error = yield* failsWith("ServiceBusAuthorizationError")(ServiceBusSender.make(Texts))
        assert.strictEqual(error.condition, condition)
      }))).pipe(Effect.provide(broker)))

    it.effect(`${condition}: ends a processor the second time only`, () =>
      passing(Effect.scoped(Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const seen: Array<string> = []
        const processor = yield* ServiceBusProcessor.make(
          yield* ServiceBusReceiver.make(Texts),
          (text) => Effect.sync(() => void seen.push(text))
        )
        // As when its claim is over.
        yield* emulator.fail({ ...refusal, times: 1 })
        yield* emulator.detachLinks({ condition })
        yield* emulator.send(Texts, [{ body: "goes on" }])
        yield* until(Effect.sync(() => seen.length === 1))
        yield* emulator.fail({ ...refusal, times: 2 })
        yield* emulator.detachLinks({ condition })
        yield* failsWith("ServiceBusAuthorizationError")(processor.join)
      }))).pipe(Effect.provide(broker)))
  }
})

describe("a sender that is idle", () => {
  it.effect("warns of nothing, however long", () => {
    const lines: Array<unknown> = []
    return Effect.scoped(Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const sender = yield* ServiceBusSender.make(Texts)
      for (let hours = 0; hours < 3; hours++) {
        yield* TestClock.adjust("1 hour")
        yield* emulator.idle
      }
      assert.isDefined(linkOf(sender).connection.dead())
      assert.deepStrictEqual(lines, [])
      yield* sender.send({ body: "still works" })
      assert.lengthOf(yield* emulator.messages(Texts), 1)
    })).pipe(
      Effect.provide(broker),
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(message))]))
    )
  })
})

describe("a token that cannot be had", () => {
  it.live("is said once, however often it is tried, and that it is well again", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      const lines = yield* Lines
      const state = { isDown: true, failures: 0 }
      const credential = ServiceBusCredential.rotating(Effect.suspend(() => {
        if (!state.isDown) return Effect.succeed(ServiceBusCredential.sharedKey({ name: "right", key: "right-key" }))
        state.failures++
        return Effect.fail(new Error("the vault is sealed"))
      }))
      yield* Effect.gen(function*() {
        const processor = yield* ServiceBusProcessor.makeSessions(Held, () => Effect.void)
        yield* until(Effect.sync(() => state.failures >= 5))
        state.isDown = false
        yield* emulator.send(Held, [{ body: "in a session", sessionId: "a" }])
        yield* until(Effect.map(processor.counts, ({ completed }) => completed === 1))
      }).pipe(Effect.scoped, Effect.provide(clientOf(credential, 1)))
      assert.deepStrictEqual(linesOf(lines), [
        "Warn: The credential gave no token; nothing can be done on this entity until there is one",
        "Info: A receiver is attached to its entity again"
      ])
      assert.deepInclude(lines[0]!.annotations, { namespace: "contoso.servicebus.windows.net", entity: "held" })
      assert.deepInclude(lines[0]!.error as object, { _tag: "CredentialError", description: "the vault is sealed" })
      assert.notInclude(JSON.stringify(lines), "right-key")
    }).pipe(Effect.provide(Server), recorded))

  it.effect("for a refresh, too: while links go on", () =>
    Effect.gen(function*() {
      const { tokenCredential } = yield* Emulator.Emulator
      const refused: Array<readonly [string, string, boolean]> = []
      let accepted = 0
      const { credential, state } = provider({
        getToken: (...args) =>
          tokenCredential.getToken(...args).then((token) => ({
            token: token!.token,
            expiresOnTimestamp: minutes(accepted === 0 ? 60 : 600)
          }))
      })
      const { connection } = linkOf(yield* ServiceBusSender.make(Texts))
      const claims = yield* Claims.make(connection, {
        host: "emulator.localhost",
        timeout: 60_000,
        tokens: Claims.tokensOf(credential, 60_000),
        outages: {
          tokenAccepted: () => void accepted++,
          tokenRefused: (entity, error, isRefresh) => void refused.push([entity, error._tag, isRefresh])
        }
      })
      yield* claims.authorize("texts")
      assert.deepStrictEqual([refused, accepted], [[], 1])
      state.failing = 2
      yield* TestClock.adjust("44 minutes")
      // A token comes by a promise, of which virtual time knows nothing.
      yield* passing(until(Effect.sync(() => accepted === 2)), "1 second")
      assert.deepStrictEqual([refused, accepted], [
        [["texts", "CredentialError", true], ["texts", "CredentialError", true]],
        2
      ])
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})

describe("a claim that was over before its time", () => {
  it.effect("is no claim for those that come later, until a token is put for it", () =>
    Effect.gen(function*() {
      const { tokenCredential } = yield* Emulator.Emulator
      const tokens = Claims.tokensOf(ServiceBusCredential.identity(tokenCredential), 60_000)
      const failure = new CredentialError({ reason: "provider" })
      let isDown = false
      let accepted = 0
      const { connection } = linkOf(yield* ServiceBusSender.make(Texts))
      const claims = yield* Claims.make(connection, {
        host: "emulator.localhost",
        timeout: 60_000,
        tokens: { ...tokens, get: (audience) => isDown ? Effect.fail(failure) : tokens.get(audience) },
        outages: { tokenAccepted: () => void accepted++, tokenRefused: () => {} }
      })
      yield* claims.authorize("texts")
      isDown = true
      yield* failsWith("CredentialError")(claims.renew("texts"))
      yield* failsWith("CredentialError")(claims.authorize("texts"))
      isDown = false
      yield* claims.authorize("texts")
      yield* claims.authorize("texts")
      assert.strictEqual(accepted, 2)
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})

describe("a provider that dies where a token is to be refreshed", () => {
  it.effect("is heard of, and asked again", () =>
    Effect.gen(function*() {
      const { tokenCredential } = yield* Emulator.Emulator
      const refused: Array<readonly [entity: string, tag: string, cause: unknown, isRefresh: boolean]> = []
      let refreshes = 0
      const bug = new Error("a bug")
      const tokens = Claims.tokensOf(ServiceBusCredential.identity(tokenCredential), 60_000)
      const { connection } = linkOf(yield* ServiceBusSender.make(Texts))
      const claims = yield* Claims.make(connection, {
        host: "emulator.localhost",
        timeout: 60_000,
        tokens: {
          ...tokens,
          get: (audience, isRefresh) =>
            isRefresh === true && ++refreshes === 1
              ? Effect.die(bug)
              : Effect.map(tokens.get(audience), (token) => ({
                ...token,
                expiresAt: minutes(isRefresh === true ? 600 : 60)
              }))
        },
        outages: {
          tokenAccepted: () => {},
          tokenRefused: (entity, error, isRefresh) =>
            void refused.push([entity, error._tag, (error as { readonly cause?: unknown }).cause, isRefresh])
        }
      })
      yield* claims.authorize("texts")
      yield* TestClock.adjust("44 minutes")
      yield* passing(until(Effect.sync(() => refreshes === 2)), "1 second")
      assert.deepStrictEqual(refused, [["texts", "CredentialError", bug, true]])
    }).pipe(Effect.scoped, Effect.provide(Emulator.layer({ entities: [Emulator.entity(Texts)] }))))
})

describe("what fails to be made", () => {
  const Missing = ServiceBusEntity.queue("missing", { body: ServiceBusBody.text })
  const MissingSessions = ServiceBusEntity.queue("missing", { body: ServiceBusBody.text, sessions: true })
  const makers: Readonly<
    Record<string, Effect.Effect<unknown, unknown, ServiceBusClient.ServiceBusClient | Scope.Scope>>
  > = {
    "ServiceBusSender.make": ServiceBusSender.make(Missing),
    "ServiceBusReceiver.make": ServiceBusReceiver.make(Missing),
    "ServiceBusReceiver.makeDestructive": ServiceBusReceiver.makeDestructive(Missing),
    "ServiceBusSession.accept": ServiceBusSession.accept(MissingSessions, "a"),
    "ServiceBusSession.acceptNext": ServiceBusSession.acceptNext(MissingSessions),
    "ServiceBusSession.acceptNext, of none": ServiceBusSession.acceptNext(Held, { wait: 1 }),
    "ServiceBusProcessor.makeSessions": ServiceBusProcessor.makeSessions(Held, () => Effect.void, {
      concurrentSessions: 0
    })
  }
  for (const [name, make] of Object.entries(makers)) {
    it.effect(`${name} leaves nothing in its caller's scope`, () =>
      Effect.scoped(Effect.gen(function*() {
        // Keeps the connection.
        yield* ServiceBusSender.make(Texts)
        const scope = yield* Scope.make()
        for (let i = 0; i < 3; i++) yield* passing(Effect.exit(make.pipe(Scope.provide(scope))))
        const state = scope.state as {
          readonly finalizer?: unknown
          readonly finalizers?: ReadonlyMap<unknown, unknown>
        }
        assert.isTrue(state.finalizer === undefined && (state.finalizers?.size ?? 0) === 0)
        yield* Scope.close(scope, Exit.void)
      })).pipe(Effect.provide(inMemory({ entities: [Emulator.entity(Texts), Emulator.entity(Held)] }, {
        retry: { maxRetries: 2 }
      }))))
  }
})
