/** What identities of the broker may be, and that what they may not be is named. */
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Authorization from "../../../src/emulator/security/Authorization.ts"
import * as Identity from "../../../src/emulator/security/Identity.ts"
import { failsWith } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const good = { clientId: "a", secret: Redacted.make("a-secret") }
const other = { ...good, clientId: "b" }

const News = ServiceBusEntity.topic("News", { body: ServiceBusBody.text })

describe("an identity", () => {
  it.effect("is Owner of all where nothing is said, and nothing where no role is", () =>
    Effect.gen(function*() {
      const [plain, bare] = yield* Identity.readAll([good, { ...good, clientId: "b", roles: [] }])
      assert.deepInclude(plain, { clientId: "a", tenant: undefined, tokenLifetime: 3_600_000 })
      assert.deepStrictEqual(plain!.roles, [
        { namespace: undefined, path: "", rights: ["Manage", "Send", "Listen"] }
      ])
      assert.deepStrictEqual(bare!.roles, [])
    }))

  it.effect("has roles on contracts and paths, in a namespace", () =>
    Effect.gen(function*() {
      const role = "Azure Service Bus Data Receiver"
      const [{ roles } = assert.fail()] = yield* Identity.readAll([{
        ...good,
        roles: [
          { role, entity: News },
          { role, entity: ServiceBusEntity.subscription(News, "Sport") },
          { role: "Azure Service Bus Data Sender", entity: "/Orders/", namespace: "Team-A" },
          { role: "Azure Service Bus Data Owner", namespace: "b" }
        ]
      }])
      assert.deepStrictEqual(roles, [
        { namespace: undefined, path: "news", rights: ["Listen"] },
        { namespace: undefined, path: "news/subscriptions/sport", rights: ["Listen"] },
        { namespace: "team-a", path: "orders", rights: ["Send"] },
        { namespace: "b", path: "", rights: ["Manage", "Send", "Listen"] }
      ])
    }))

  it.effect("keeps its secret, whatever becomes of the one that was given, and shows it nowhere", () =>
    Effect.gen(function*() {
      const secret = Redacted.make("hunter2")
      const identities = yield* Identity.readAll([{ ...good, secret }])
      Redacted.wipeUnsafe(secret)
      assert.isTrue(Authorization.isSame(identities[0]!.secret, "hunter2"))
      assert.isFalse(Authorization.isSame(identities[0]!.secret, "hunter"))
      assert.notInclude(JSON.stringify(identities), "hunter2")
      assert.notInclude(String(identities[0]!.secret), "hunter2")
    }))

  it.effect("that cannot be is named", () =>
    Effect.gen(function*() {
      const wiped = Redacted.make("wiped")
      Redacted.wipeUnsafe(wiped)
      const thrower = {
        get clientId() {
          throw new Error("no")
        }
      }
      const role = "Azure Service Bus Data Owner"
      const cases: ReadonlyArray<readonly [identity: unknown, problem: RegExp]> = [
        [{ ...good, clientId: "" }, /^identities\[1\]\.clientId must/],
        [{ ...good, clientId: "b c" }, /^identities\[1\]\.clientId must/],
        [{ ...good, clientId: 5 }, /^identities\[1\]\.clientId must/],
        [{ ...good, clientId: "A" }, /^identities\[1\]\.clientId is that of another identity/],
        [{ ...other, secret: "in the open" }, /^identities\[1\]\.secret must be a Redacted text/],
        [{ ...other, secret: wiped }, /^identities\[1\]\.secret must/],
        [{ ...other, secret: Redacted.make("with space") }, /^identities\[1\]\.secret must/],
        [{ ...other, secret: Redacted.make("ü") }, /^identities\[1\]\.secret must/],
        [{ ...other, secret: Redacted.make("") }, /^identities\[1\]\.secret must/],
        [{ ...other, tenant: "a/b" }, /^identities\[1\]\.tenant must/],
        [
          { ...other, tokenLifetime: "0 seconds" },
          /^identities\[1\]\.tokenLifetime must be a duration from 1 second to 1/
        ],
        [{ ...other, tokenLifetime: Infinity }, /^identities\[1\]\.tokenLifetime must/],
        [{ ...other, tokenLifetime: "soon" }, /^identities\[1\]\.tokenLifetime must/],
        [
          { ...other, roles: [{ role: "Owner" }] },
          /^identities\[1\]\.roles\[0\]\.role must be one of "Azure Service Bus Data Ow/
        ],
        [{ ...other, roles: [{ role: "constructor" }] }, /^identities\[1\]\.roles\[0\]\.role must/],
        [{ ...other, roles: [{ role }, { role, entity: "/" }] }, /^identities\[1\]\.roles\[1\]\.entity must/],
        [{ ...other, roles: [{ role, entity: 5 }] }, /^identities\[1\]\.roles\[0\]\.entity must/],
        [{ ...other, roles: [{ role, entity: {} }] }, /^identities\[1\]\.roles\[0\]\.entity must/],
        [{ ...other, roles: [{ role, entity: "\ud800" }] }, /^identities\[1\]\.roles\[0\]\.entity must/],
        [{ ...other, roles: [{ role, namespace: "" }] }, /^identities\[1\]\.roles\[0\]\.namespace must/],
        [{ ...other, roles: [null] }, /^identities must be an array of .* roles of/],
        [{ ...other, roles: 5 }, /^identities must be an array of/],
        [thrower, /^identities must be an array of/],
        [null, /^identities must be an array of/]
      ]
      for (const [identity, problem] of cases) {
        const error = yield* failsWith("EmulatorError")(Identity.readAll([good, identity as typeof good]))
        assert.match(error.problem, problem)
        assert.notInclude(error.message, "in the open")
      }
      assert.match(
        (yield* failsWith("EmulatorError")(Identity.readAll(5 as never))).problem,
        /^identities must be an array/
      )
    }))
})
