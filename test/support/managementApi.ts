/** The management API of a broker of its own, asked without sockets. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Faults } from "../../src/emulator/amqp/Faults.ts"
import * as Broker from "../../src/emulator/broker/Broker.ts"
import type { HttpAnswer } from "../../src/emulator/http/HttpMessage.ts"
import { ManagementApi } from "../../src/emulator/http/ManagementApi.ts"
import * as Authorization from "../../src/emulator/security/Authorization.ts"
import { IdentityProvider } from "../../src/emulator/security/IdentityProvider.ts"
import * as SasToken from "../../src/internal/SasToken.ts"

const key = Redacted.make("a key")

/** A token for a resource, of the root policy where no other is given. */
export const tokenOf = (resource: string, keyName = "root", text = Redacted.value(key)) =>
  Redacted.value(SasToken.sign({ resource, keyName, key: Redacted.make(text), expiresAt: 10_000_000_000 }))

/** Asks with a token that has all rights, unless another header is given. */
export type Ask = (
  method: string,
  target: string,
  body?: string,
  headers?: Readonly<Record<string, string>>
) => Effect.Effect<HttpAnswer>

export const managementApi = Effect.fnUntraced(function*(
  host = "localhost",
  entities: ReadonlyArray<Broker.Entity> = []
) {
  const clock = yield* Clock.Clock
  const broker = yield* Broker.make(entities)
  const identities = new IdentityProvider([])
  const api = new ManagementApi({
    broker,
    clock,
    serverClock: clock,
    host,
    isOurs: (name, called) => Authorization.isLoopback(name) || name === host || name === called,
    faults: new Faults(),
    checkToken: (token, use) => identities.check(token, { namespace: "default" }, use),
    policies: [
      { name: "root", key, rights: ["Manage", "Send", "Listen"] },
      { name: "user", key, rights: ["Send", "Listen"] }
    ]
  })
  const ask: Ask = (method, target, body = "", headers = {}) =>
    api.answer({
      method,
      target,
      body,
      isSecure: host.includes(".servicebus."),
      headers: { host, authorization: tokenOf(`https://${host}/`), ...headers }
    })
  return Object.assign(ask, { broker })
})
