/** Tokens of identities: which are taken, and for what each of the others is refused. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { createHmac, createPublicKey, generateKeyPairSync, type JsonWebKey, sign } from "node:crypto"
import * as Authorization from "../../../src/emulator/security/Authorization.ts"
import { defaultLifetime, type Identity } from "../../../src/emulator/security/Identity.ts"
import {
  IdentityProvider,
  isAudience,
  serviceBus,
  tenantIdOf
} from "../../../src/emulator/security/IdentityProvider.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const identity = (clientId: string, fields: Partial<Identity> = {}): Identity => ({
  clientId,
  secret: Redacted.make(`${clientId}-secret`),
  tenant: undefined,
  roles: [{ namespace: undefined, path: "orders", rights: ["Send"] }],
  tokenLifetime: defaultLifetime,
  ...fields
})

const billing = identity("Billing")
const tenanted = identity("tenanted", { tenant: "contoso.com" })
const everything = { namespace: undefined, path: "", rights: ["Manage", "Send", "Listen"] } as const
const owner = identity("own", { roles: [everything] })
/** The namespace of the tests, which has an identity of its own. */
const own = { namespace: "Default", identity: owner }
const tenant = "11111111-1111-1111-1111-111111111111"
const now = 1_800_000_000_500

const provider = () => new IdentityProvider([billing, tenanted])

const use = (fields: Partial<Parameters<IdentityProvider["check"]>[2]> = {}) => ({
  resource: "sb://contoso.servicebus.windows.net/orders",
  now,
  isOurs: (host: string) => host === "contoso.servicebus.windows.net",
  ...fields
})

const issued = (provider: IdentityProvider, of = billing, audience = serviceBus, named = tenant) =>
  Redacted.value(provider.issue(of, audience, named, now, "secret").token)

const problem = (result: Result.Result<unknown, string>): string => Result.isFailure(result) ? result.failure : "taken"

const partOf = (token: string, index: number) =>
  JSON.parse(Buffer.from(token.split(".")[index]!, "base64url").toString()) as Record<string, unknown>

const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url")

/** A token with other contents, signed by a function. */
const forged = (head: object, payload: object, signature: (text: string) => Buffer) => {
  const text = `${segment(head)}.${segment(payload)}`
  return `${text}.${signature(text).toString("base64url")}`
}

describe("a token", () => {
  it("says what Entra's of version 1.0 say, and is signed by the key that is published", () => {
    const tokens = provider()
    const token = issued(tokens)
    const { kid } = tokens.publicKey
    assert.deepStrictEqual(partOf(token, 0), { typ: "JWT", alg: "RS256", kid })
    const payload = partOf(token, 1)
    assert.deepInclude(payload, {
      aud: "https://servicebus.azure.net/",
      iss: `https://sts.windows.net/${tenant}/`,
      idp: `https://sts.windows.net/${tenant}/`,
      tid: tenant,
      appid: "Billing",
      appidacr: "1",
      idtyp: "app",
      ver: "1.0",
      iat: 1_800_000_000,
      nbf: 1_800_000_000,
      exp: 1_800_003_600
    })
    assert.match(String(payload["oid"]), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
    assert.strictEqual(payload["sub"], payload["oid"])
    // One of each token, the object of each identity.
    assert.strictEqual(tokens.issue(billing, serviceBus, tenant, now, "secret").secondsLeft, 3599)
    const again = partOf(issued(tokens), 1)
    assert.notStrictEqual(again["uti"], payload["uti"])
    assert.strictEqual(again["oid"], payload["oid"])
    assert.notStrictEqual(partOf(issued(tokens, tenanted), 1)["oid"], payload["oid"])
  })

  it("is taken where it was put for, with the roles of its identity", () => {
    const tokens = provider()
    const claim = tokens.check(issued(tokens), own, use())
    assert.deepStrictEqual(
      claim,
      Result.succeed({ path: "orders", grants: billing.roles, expiresAt: 1_800_003_600_000 })
    )
    // The id of a client is written in any case.
    assert.strictEqual(tokens.find("BILLING"), billing)
    const ofOwn = tokens.check(issued(tokens, owner), own, use({ resource: "" }))
    assert.isTrue(Result.isSuccess(ofOwn) && Authorization.allows(ofOwn.success, "other", "Listen"))
  })

  it("is refused after its end and before its beginning", () => {
    const tokens = provider()
    const token = issued(tokens)
    const at = (now: number) => problem(tokens.check(token, own, use({ now })))
    assert.strictEqual(at(1_800_003_599_999), "taken")
    assert.strictEqual(at(1_800_003_600_000), "ExpiredToken")
    assert.strictEqual(at(1_800_000_000_000), "taken")
    assert.strictEqual(at(1_799_999_999_999), "EarlyToken")
  })

  it("is refused for another audience, and for a resource of another namespace", () => {
    const tokens = provider()
    const of = (audience: string, resource = "orders") =>
      problem(tokens.check(issued(tokens, billing, audience), own, use({ resource })))
    for (
      const audience of [
        "https://servicebus.azure.net",
        "https://servicebus.azure.net/",
        "https://contoso.servicebus.windows.net",
        "https://contoso.servicebus.windows.net/"
      ]
    ) assert.strictEqual(of(audience), "taken", audience)
    for (
      const audience of [
        "https://vault.azure.net/",
        "https://fabrikam.servicebus.windows.net/",
        "https://servicebus.azure.net/orders",
        "http://servicebus.azure.net/",
        ""
      ]
    ) assert.strictEqual(of(audience), "InvalidAudience", audience)
    assert.strictEqual(of(serviceBus, "sb://fabrikam.servicebus.windows.net/orders"), "InvalidAudience")
  })

  it("is refused of another tenant than the identity's, and of an identity that is not known", () => {
    const tokens = provider()
    const of = (identity: Identity, tenant: string) =>
      problem(tokens.check(issued(tokens, identity, serviceBus, tenant), own, use()))
    assert.strictEqual(of(tenanted, "contoso.com"), "taken")
    assert.strictEqual(of(tenanted, "Contoso.com"), "taken")
    assert.strictEqual(of(tenanted, tenantIdOf("contoso.com")), "taken")
    assert.strictEqual(of(tenanted, "fabrikam.com"), "InvalidIssuer")
    assert.strictEqual(of(identity("stranger"), tenant), "InvalidIssuer")
  })

  it("has the roles that are in the namespace, and those that are in each", () => {
    const [inA, inEach] = [{ ...everything, namespace: "a" }, { ...everything, path: "orders" }]
    const scoped = identity("scoped", { roles: [inA, inEach] })
    const tokens = new IdentityProvider([scoped])
    const rolesIn = (namespace: string) =>
      Result.map(tokens.check(issued(tokens, scoped), { namespace }, use()), ({ grants }) => grants)
    assert.deepStrictEqual(rolesIn("A"), Result.succeed([inA, inEach]))
    assert.deepStrictEqual(rolesIn("b"), Result.succeed([inEach]))
    // The identity of a namespace is known to it alone.
    assert.strictEqual(problem(tokens.check(issued(tokens, owner), { namespace: "a" }, use())), "InvalidIssuer")
  })

  it("that is forged is refused, whatever it says of itself", () => {
    const tokens = provider()
    const token = issued(tokens)
    const [head, payload] = [partOf(token, 0), partOf(token, 1)]
    const check = (token: string) => problem(tokens.check(token, own, use()))
    assert.strictEqual(check(token), "taken")
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 })
    const stranger = { ...billing, secret: Redacted.make("stranger") }
    const ofAnother = issued(provider()).split(".")
    const key = { ...tokens.publicKey } as JsonWebKey
    const pem = createPublicKey({ key, format: "jwk" }).export({ type: "spki", format: "pem" }) as string
    const forgeries = {
      "another broker's, with another secret": issued(new IdentityProvider([stranger]), stranger),
      "another key, under the name of ours": forged(
        head,
        payload,
        (text) => sign("RSA-SHA256", Buffer.from(text), other.privateKey)
      ),
      "another broker's, with other contents": [
        ofAnother[0],
        segment({ ...partOf(ofAnother.join("."), 1), exp: 1_900_000_000 }),
        ofAnother[2]
      ].join("."),
      "another broker's, for an identity that is of no use to it": [
        ofAnother[0],
        segment({ ...partOf(ofAnother.join("."), 1), appid: 1 }),
        ofAnother[2]
      ].join("."),
      "another broker's, without its code": [
        ofAnother[0],
        segment({ ...partOf(ofAnother.join("."), 1), rh: undefined }),
        ofAnother[2]
      ].join("."),
      "no signature": `${token.split(".").slice(0, 2).join(".")}.`,
      "alg none": forged({ ...head, alg: "none" }, payload, () => Buffer.alloc(0)),
      "alg none with our signature": [segment({ ...head, alg: "none" }), ...token.split(".").slice(1)].join("."),
      "HS256 with the public key": forged(
        { ...head, alg: "HS256" },
        payload,
        (text) => createHmac("sha256", pem).update(text).digest()
      ),
      "other contents": [token.split(".")[0], segment({ ...payload, appid: "own" }), token.split(".")[2]].join("."),
      "another kid": forged(
        { ...head, kid: "another" },
        payload,
        (text) => sign("RSA-SHA256", Buffer.from(text), other.privateKey)
      ),
      "a key of its own": forged(
        { ...head, kid: "mine", jwk: other.publicKey.export({ format: "jwk" }) },
        payload,
        (text) => sign("RSA-SHA256", Buffer.from(text), other.privateKey)
      )
    }
    for (const [name, forgery] of Object.entries(forgeries)) {
      assert.strictEqual(check(forgery), "InvalidSignature", name)
    }
  })

  it("of the broker before it was started again is taken, with the roles that its identity has now", () => {
    const before = issued(provider())
    const mayListen: Identity = {
      ...billing,
      clientId: "billing",
      roles: [{ namespace: undefined, path: "orders", rights: ["Listen"] }]
    }
    const claim = new IdentityProvider([mayListen, tenanted]).check(before, own, use())
    assert.deepStrictEqual(
      Result.map(claim, ({ grants }) => grants),
      Result.succeed(mayListen.roles)
    )
    const after = (identities: ReadonlyArray<Identity>, token = before, at = now) =>
      problem(new IdentityProvider(identities).check(token, own, use({ now: at })))
    assert.strictEqual(after([billing], before, 1_800_003_600_000), "ExpiredToken")
    assert.strictEqual(after([{ ...billing, tenant: "contoso.com" }]), "InvalidIssuer")
    assert.strictEqual(after([{ ...billing, secret: Redacted.make("changed") }]), "InvalidSignature")
    assert.strictEqual(after([tenanted]), "InvalidSignature")
    // The identity of a namespace is made anew with it.
    assert.strictEqual(after([billing], issued(provider(), owner)), "InvalidSignature")
  })

  it("that is none is malformed", () => {
    const tokens = provider()
    const token = issued(tokens)
    for (
      const text of ["", ".", "..", "a.b.c", `${token}.more`, `${token}.`, token.slice(5), "null.null.x", "\u{d800}"]
    ) {
      assert.strictEqual(problem(tokens.check(text, own, use())), "MalformedToken", text)
    }
  })

  it("of a provider that never issued one is refused without a key", () => {
    const tokens = new IdentityProvider([])
    assert.strictEqual(problem(tokens.check(issued(provider()), own, use())), "InvalidSignature")
    assert.strictEqual(problem(tokens.check(issued(tokens, owner), own, use())), "taken")
  })
})

describe("roles", () => {
  it("are on an entity and what is within it, and on nothing beside", () => {
    const claims = new Authorization.Claims({ currentTimeMillisUnsafe: () => 0 } as never)
    claims.add({
      path: "",
      grants: [
        { path: "orders", rights: ["Send"] },
        { path: "news/subscriptions/sport", rights: ["Listen"] },
        { path: "prices", rights: ["Listen"] },
        { path: "carts", rights: ["Manage", "Send", "Listen"] }
      ],
      expiresAt: 1000
    })
    const held = (path: string, right: Authorization.Right) => claims.heldUntil(path, right) !== undefined
    const expected: ReadonlyArray<readonly [path: string, right: Authorization.Right, isHeld: boolean]> = [
      ["Orders", "Send", true],
      ["orders/$DeadLetterQueue", "Send", true],
      ["orders", "Listen", false],
      ["orders2", "Send", false],
      ["orders/archive", "Send", false],
      ["orders/archive/$DeadLetterQueue", "Send", false],
      ["prices/Subscriptions", "Listen", true],
      ["prices/Subscriptions/gold", "Listen", true],
      ["prices/Subscriptions/gold/$DeadLetterQueue", "Listen", true],
      ["prices/Subscriptions2/gold", "Listen", false],
      ["news/Subscriptions/Sport/Rules/first", "Listen", true],
      ["news", "Listen", false],
      ["news/Subscriptions/Sport", "Listen", true],
      ["news/Subscriptions/Sport/$DeadLetterQueue", "Listen", true],
      ["news/Subscriptions/Sports", "Listen", false],
      ["carts", "Listen", true],
      ["carts", "Send", true],
      ["", "Send", false]
    ]
    for (const [path, right, isHeld] of expected) assert.strictEqual(held(path, right), isHeld, `${path} ${right}`)
  })

  it("reach no further than the claim that they are of", () => {
    const claim: Authorization.Claim = {
      path: "orders",
      grants: Authorization.everywhere(["Manage", "Send", "Listen"]),
      expiresAt: 0
    }
    assert.isTrue(Authorization.allows(claim, "/Orders/", "Manage"))
    assert.isFalse(Authorization.allows(claim, "carts", "Listen"))
    assert.isFalse(Authorization.allows(claim, "", "Listen"))
  })
})

describe("audiences", () => {
  it("are Service Bus and namespaces", () => {
    for (const audience of ["https://servicebus.azure.net/", "https://a-1.servicebus.windows.net"]) {
      assert.isTrue(isAudience(audience), audience)
    }
    for (
      const audience of [
        "https://servicebus.azure.net//",
        "https://servicebus.azure.net.evil.com/",
        "https://evil.com/a.servicebus.windows.net",
        "https://evil.com#.servicebus.windows.net",
        "https://user@a.servicebus.windows.net/",
        "sb://a.servicebus.windows.net/",
        "https://localhost/"
      ]
    ) assert.isFalse(isAudience(audience), audience)
  })
})
