/** What the token endpoint answers: its documents, tokens of every way of asking, and a refusal for each that is wrong. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { TestClock } from "effect/testing"
import { createPublicKey, type JsonWebKey, verify } from "node:crypto"
import type { HttpRequest } from "../../../src/emulator/http/HttpMessage.ts"
import { TokenEndpoint } from "../../../src/emulator/http/TokenEndpoint.ts"
import * as Identity from "../../../src/emulator/security/Identity.ts"
import { IdentityProvider } from "../../../src/emulator/security/IdentityProvider.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const identities: ReadonlyArray<Identity.IdentityOptions> = [
  { clientId: "billing", secret: Redacted.make("billing&secret=+%") },
  { clientId: "shipping", secret: Redacted.make("shipping-secret"), tokenLifetime: "10 minutes" },
  { clientId: "of-a-tenant", secret: Redacted.make("of-a-tenant-secret"), tenant: "contoso.com" }
]

const tenant = "11111111-1111-1111-1111-111111111111"

type Answer = { readonly status: number; readonly body: any; readonly headers: Readonly<Record<string, string>> }

const endpoint = Effect.fnUntraced(function*(given = identities) {
  const clock = yield* Clock.Clock
  const provider = new IdentityProvider(yield* Identity.readAll(given))
  const tokens = new TokenEndpoint({ identities: provider, clock, host: "127.0.0.1" })
  const ask = (request: Partial<HttpRequest>): Effect.Effect<Answer | undefined> => {
    const answer = tokens.answer({
      method: "GET",
      target: "/",
      body: "",
      isSecure: true,
      ...request,
      headers: { host: "localhost:8443", ...request.headers }
    })
    return answer === undefined ? Effect.undefined : Effect.map(answer, (answer) => ({
      ...answer,
      body: JSON.parse(answer.body)
    }))
  }
  const answered = (request: Partial<HttpRequest>) =>
    Effect.map(ask(request), (answer) => answer ?? assert.fail("it is not for the endpoint"))
  const post = (form: Readonly<Record<string, string>>, request: Partial<HttpRequest> = {}) =>
    answered({
      method: "POST",
      target: `/${tenant}/oauth2/v2.0/token`,
      body: new URLSearchParams(form).toString(),
      ...request
    })
  return { ask, answered, post, provider }
})

const form = {
  grant_type: "client_credentials",
  client_id: "billing",
  client_secret: "billing&secret=+%",
  scope: "https://servicebus.azure.net//.default"
}

const without = (...names: ReadonlyArray<string>): Record<string, string> =>
  Object.fromEntries(Object.entries(form).filter(([name]) => !names.includes(name)))

/** A refusal as it must be, whatever it is for. */
const refused = ({ body, headers, status }: Answer) => {
  const { correlation_id, error, error_codes, error_description, timestamp, trace_id } = body
  assert.strictEqual(headers["cache-control"], "no-store")
  assert.isUndefined(body.access_token)
  const code = error_codes[0] as number | undefined
  const start = code === undefined ? "" : `AADSTS${code}: `
  const end = ` Trace ID: ${trace_id} Correlation ID: ${correlation_id} Timestamp: ${timestamp}`
  assert.isTrue(error_description.startsWith(start) && error_description.endsWith(end), error_description)
  return { status, error, code, text: error_description.slice(start.length, -end.length) as string }
}

const payloadOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[1]!, "base64url").toString())

describe("documents", () => {
  it.effect("of a tenant are as MSAL wants them, under the name by which the broker is asked", () =>
    Effect.gen(function*() {
      const { answered } = yield* endpoint()
      const { body, status } = yield* answered({ target: `/${tenant}/v2.0/.well-known/openid-configuration` })
      assert.strictEqual(status, 200)
      const authority = `https://localhost:8443/${tenant}`
      assert.deepInclude(body, {
        issuer: `${authority}/v2.0`,
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
        token_endpoint: `${authority}/oauth2/v2.0/token`,
        jwks_uri: `${authority}/discovery/v2.0/keys`
      })
      const adfs = yield* answered({
        target: "/adfs/.well-known/openid-configuration",
        headers: { host: "broker:1" }
      })
      assert.deepInclude(adfs.body, {
        issuer: "https://broker:1/adfs",
        token_endpoint: "https://broker:1/adfs/oauth2/token",
        jwks_uri: "https://broker:1/adfs/discovery/keys"
      })
      const unnamed = yield* answered({ target: "/adfs/discovery/keys?x=1", headers: { host: undefined } })
      assert.strictEqual(unnamed.status, 200)
    }))

  it.effect("have the public key of the tokens, and nothing of the private one", () =>
    Effect.gen(function*() {
      const { answered, post } = yield* endpoint()
      const { body: { keys: [key] } } = yield* answered({ target: `/${tenant}/discovery/v2.0/keys` })
      assert.deepStrictEqual(Object.keys(key).toSorted(), ["alg", "e", "kid", "kty", "n", "use"])
      const { body: { access_token: token } } = yield* post(form)
      const [head, payload, signature] = token.split(".")
      assert.strictEqual(JSON.parse(Buffer.from(head, "base64url").toString()).kid, key.kid)
      assert.isTrue(
        verify(
          "RSA-SHA256",
          Buffer.from(`${head}.${payload}`),
          createPublicKey({ key: key as JsonWebKey, format: "jwk" }),
          Buffer.from(signature, "base64url")
        )
      )
    }))
})

describe("a token", () => {
  it.effect("is given for a secret in the form or as Basic, and for an assertion", () =>
    Effect.gen(function*() {
      const { post, provider } = yield* endpoint()
      const basic = `Basic ${Buffer.from(`billing:${encodeURIComponent("billing&secret=+%")}`).toString("base64")}`
      const assertion = {
        client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion: "billing&secret=+%"
      }
      const answers = [
        yield* post(form),
        yield* post({ ...form, client_id: "BILLING", scope: `openid profile ${form.scope} offline_access` }),
        yield* post(without("client_id", "client_secret"), { headers: { authorization: basic } }),
        yield* post({ ...without("client_secret"), ...assertion }),
        yield* post(form, { target: "/adfs/oauth2/token" }),
        yield* post(form, { target: "/ADFS/OAuth2/Token" })
      ]
      for (const { body, headers, status } of answers) {
        assert.strictEqual(status, 200, JSON.stringify(body))
        assert.deepInclude(headers, { "cache-control": "no-store", pragma: "no-cache" })
        assert.deepInclude(body, { token_type: "Bearer", expires_in: 3600, ext_expires_in: 3600 })
        const claim = provider.check(body.access_token, { namespace: "default" }, {
          resource: "orders",
          now: 0,
          isOurs: () => true
        })
        assert.isTrue(Result.isSuccess(claim))
      }
      assert.deepStrictEqual(answers.map(({ body }) => payloadOf(body.access_token).appidacr), [
        "1",
        "1",
        "1",
        "2",
        "1",
        "1"
      ])
    }))

  it.effect("is of the version 1.0 where a resource is asked for", () =>
    Effect.gen(function*() {
      const { post } = yield* endpoint()
      yield* TestClock.adjust("1 minute")
      const { body } = yield* post({ ...without("scope"), resource: "https://servicebus.azure.net" }, {
        target: `/${tenant}/oauth2/token`
      })
      assert.deepInclude(body, {
        token_type: "Bearer",
        expires_in: "3600",
        expires_on: "3660",
        not_before: "60",
        resource: "https://servicebus.azure.net"
      })
      assert.strictEqual(payloadOf(body.access_token).aud, "https://servicebus.azure.net")
    }))

  it.effect("lasts as long as the identity's do, and says whole seconds that are left", () =>
    Effect.gen(function*() {
      const { post } = yield* endpoint()
      yield* TestClock.adjust(1500)
      const { body } = yield* post({ ...form, client_id: "shipping", client_secret: "shipping-secret" })
      assert.strictEqual(body.expires_in, 599)
      assert.deepInclude(payloadOf(body.access_token), { iat: 1, nbf: 1, exp: 601 })
    }))

  it.effect("of a managed identity is given for the secret in the header, with or without TLS", () =>
    Effect.gen(function*() {
      const { answered, ask } = yield* endpoint()
      const target = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fservicebus.azure.net"
      const headers = { "x-identity-header": "shipping-secret" }
      for (const isSecure of [true, false]) {
        const { body, status } = yield* answered({ target: `${target}&client_id=Shipping`, headers, isSecure })
        assert.strictEqual(status, 200)
        assert.deepInclude(body, {
          token_type: "Bearer",
          expires_on: "600",
          resource: "https://servicebus.azure.net",
          client_id: "shipping"
        })
        assert.strictEqual(payloadOf(body.access_token).appid, "shipping")
      }
      assert.strictEqual(
        (yield* answered({ target: "/MSI/token/?resource=https://servicebus.azure.net/", headers })).status,
        200
      )
      const failures: ReadonlyArray<readonly [Partial<HttpRequest>, number, RegExp]> = [
        [{ target, headers: { "x-identity-header": "wrong" } }, 400, /IDENTITY_HEADER must be the secret/],
        [{ target, headers: { "x-identity-header": "" } }, 400, /IDENTITY_HEADER must be the secret/],
        [{ target: `${target}&client_id=billing`, headers }, 400, /its own, not 'billing'/],
        [{ target: "/msi/token", headers }, 400, /'resource' is missing/],
        [{ target: "/msi/token?resource=https://vault.azure.net", headers }, 400, /^AADSTS500011: /],
        [{ target, headers, method: "POST" }, 405, /only accepts GET/]
      ]
      for (const [request, status, message] of failures) {
        const { body, status: given } = yield* answered(request)
        assert.strictEqual(given, status)
        assert.strictEqual(body.statusCode, status)
        assert.match(body.message, message)
      }
      // It may be a queue.
      assert.isUndefined(yield* ask({ target }))
    }))
})

describe("a refusal", () => {
  it.effect("is the one of Entra, for each that is wrong, and says no secret", () =>
    Effect.gen(function*() {
      const { post } = yield* endpoint()
      const cases: ReadonlyArray<
        readonly [name: string, Record<string, string>, Partial<HttpRequest>, number, string, number | undefined]
      > = [
        ["nothing", {}, {}, 400, "invalid_request", 900144],
        ["no form", {}, { body: JSON.stringify(form) }, 400, "invalid_request", 900144],
        ["a user's grant", { ...form, grant_type: "password" }, {}, 400, "unsupported_grant_type", 70003],
        ["no client", without("client_id"), {}, 400, "invalid_request", 900144],
        ["a stranger", { ...form, client_id: "stranger" }, {}, 400, "unauthorized_client", 700016],
        ["a client that is no text", { ...form, client_id: "\u{0}" }, {}, 400, "unauthorized_client", 700016],
        ["another tenant", { ...form, client_id: "of-a-tenant" }, {}, 400, "unauthorized_client", 700016],
        ["a wrong secret", { ...form, client_secret: "hunter2" }, {}, 401, "invalid_client", 7000215],
        ["an empty secret", { ...form, client_secret: "" }, {}, 401, "invalid_client", 7000215],
        ["another's secret", { ...form, client_secret: "shipping-secret" }, {}, 401, "invalid_client", 7000215],
        ["no secret", without("client_secret"), {}, 401, "invalid_client", 7000218],
        [
          "an assertion of another kind",
          { ...without("client_secret"), client_assertion: "a.b.c", client_assertion_type: "saml" },
          {},
          401,
          "invalid_client",
          7000218
        ],
        [
          "an assertion of another issuer",
          {
            ...form,
            client_assertion: "a.b.c",
            client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
          },
          {},
          401,
          "invalid_client",
          700027
        ],
        ["no scope", without("scope"), {}, 400, "invalid_request", 900144],
        ["an empty scope", { ...form, scope: "openid  profile" }, {}, 400, "invalid_scope", 70011],
        [
          "two scopes",
          { ...form, scope: `${form.scope} https://vault.azure.net/.default` },
          {},
          400,
          "invalid_scope",
          70011
        ],
        [
          "a scope of users",
          { ...form, scope: "https://servicebus.azure.net/user_impersonation" },
          {},
          400,
          "invalid_scope",
          1002012
        ],
        [
          "another resource",
          { ...form, scope: "https://vault.azure.net/.default" },
          {},
          400,
          "invalid_resource",
          500011
        ],
        ["another resource, by name", { ...without("scope"), resource: "x" }, {}, 400, "invalid_resource", 500011],
        [
          "two clients",
          form,
          { body: `${new URLSearchParams(form)}&client_id=shipping` },
          400,
          "invalid_request",
          9000411
        ],
        [
          "two secrets",
          form,
          { body: `${new URLSearchParams(form)}&client_secret=x` },
          400,
          "invalid_request",
          9000411
        ],
        ["GET", form, { method: "GET" }, 405, "invalid_request", 900561],
        ["no TLS", form, { isSecure: false }, 400, "invalid_request", undefined]
      ]
      for (const [name, fields, request, status, error, code] of cases) {
        const answer = yield* post(fields, request)
        assert.deepInclude(refused(answer), { status, error, code }, name)
        assert.notInclude(answer.body.error_description, "hunter2")
        assert.notInclude(answer.body.error_description, "secret=")
        // It is read by people: no answer repeats all of what came.
        const long = yield* post(
          Object.fromEntries(
            Object.entries(fields).map(([key, value]) => [key, key === "grant_type" ? value : value.repeat(999)])
          ),
          request
        )
        assert.isBelow(long.body.error_description?.length ?? 0, 900, name)
      }
    }))

  it.effect("of a header that is no Basic is the one of a request without", () =>
    Effect.gen(function*() {
      const { post } = yield* endpoint()
      for (const authorization of ["Basic", "Basic !!", "Basic bm9jb2xvbg==", "Bearer x", ""]) {
        const answer = yield* post(without("client_id", "client_secret"), { headers: { authorization } })
        assert.deepInclude(refused(answer), { status: 400, code: 900144 }, authorization)
      }
      const wrong = `Basic ${Buffer.from("billing:%E0%A4%A").toString("base64")}`
      const answer = yield* post(without("client_id", "client_secret"), { headers: { authorization: wrong } })
      assert.deepInclude(refused(answer), { status: 401, code: 7000215 })
    }))

  it.effect("names the methods that are answered, and Basic where that was tried", () =>
    Effect.gen(function*() {
      const { answered, post } = yield* endpoint()
      const header = (name: string, answer: Answer) => answer.headers[name]
      assert.strictEqual(header("allow", yield* post(form, { method: "GET" })), "POST")
      assert.strictEqual(
        header("allow", yield* answered({ target: "/adfs/discovery/keys", method: "POST" })),
        "GET, HEAD"
      )
      const managed = { target: "/msi/token", headers: { "x-identity-header": "x" }, method: "POST" }
      assert.strictEqual(header("allow", yield* answered(managed)), "GET")
      const wrong = { headers: { authorization: `Basic ${btoa("billing:wrong")}` } }
      const basic = yield* post(without("client_secret"), wrong)
      assert.deepStrictEqual([basic.status, header("www-authenticate", basic)], [
        401,
        "Basic realm=\"effect-service-bus\""
      ])
      const inForm = yield* post({ ...form, client_secret: "wrong" })
      assert.deepStrictEqual([inForm.status, header("www-authenticate", inForm)], [401, undefined])
    }))

  it.effect("comes of who proves itself in two ways, or as two clients", () =>
    Effect.gen(function*() {
      const { post } = yield* endpoint()
      const basicOf = (id: string, secret: string) => ({
        headers: { authorization: `Basic ${btoa(`${id}:${encodeURIComponent(secret)}`)}` }
      })
      const right = basicOf("billing", form.client_secret)
      for (
        const answer of [
          yield* post(form, right),
          yield* post(form, basicOf("billing", "wrong")),
          yield* post({ ...without("client_secret"), client_id: "shipping" }, right)
        ]
      ) assert.deepInclude(refused(answer), { status: 400, error: "invalid_request", code: undefined })
      assert.strictEqual((yield* post(without("client_secret"), right)).status, 200)
    }))

  it.effect("says the id by which the client asked, if it is one", () =>
    Effect.gen(function*() {
      const { post } = yield* endpoint()
      const id = "22222222-2222-2222-2222-222222222222"
      const ask = (id: string) =>
        Effect.map(post({}, { headers: { "client-request-id": id } }), ({ body }) => body.correlation_id)
      assert.strictEqual(yield* ask(id), id)
      assert.match(yield* ask("<script>"), /^[0-9a-f-]{36}$/)
    }))

  it.effect("comes of a tenant that no identity is of, and of no tenant where there are no identities", () =>
    Effect.gen(function*() {
      const { answered, post } = yield* endpoint(identities.slice(2))
      const target = `/${tenant}/v2.0/.well-known/openid-configuration`
      assert.deepInclude(refused(yield* answered({ target })), { status: 400, error: "invalid_tenant", code: 90002 })
      assert.deepInclude(refused(yield* post(form)), { status: 400, error: "invalid_request", code: 90002 })
      const contoso = yield* answered({ target: "/Contoso.COM/v2.0/.well-known/openid-configuration" })
      assert.strictEqual(contoso.status, 200)
      const none = yield* endpoint([])
      assert.strictEqual((yield* none.answered({ target })).status, 200)
      assert.deepInclude(refused(yield* none.post(form)), { status: 400, code: 700016 })
    }))
})

describe("what else is asked", () => {
  it.effect("is left to the management API, entities that are called alike among them", () =>
    Effect.gen(function*() {
      const { ask } = yield* endpoint()
      for (
        const target of [
          "/",
          "",
          "/orders",
          "/$Resources/queues?api-version=2021-05",
          `/${tenant}/oauth2/v2.0/token?api-version=2021-05`,
          "/a/b/oauth2/v2.0/token",
          "/a b/oauth2/v2.0/token",
          "//oauth2/v2.0/token",
          "/oauth2/v2.0/token/",
          `/${tenant}/__proto__`,
          `/${tenant}/constructor`
        ]
      ) assert.isUndefined(yield* ask({ target }), target)
    }))
})
