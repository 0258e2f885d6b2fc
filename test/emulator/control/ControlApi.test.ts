/** The control API as a peer sees it: which requests are for it, who may ask, and what is said to what cannot be read. */
import { Effect, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { api } from "../../../src/emulator/control/ControlApi.ts"
import * as ControlPath from "../../../src/emulator/control/ControlPath.ts"
import * as SasToken from "../../../src/internal/SasToken.ts"
import { ask, basic, userOf } from "../../support/controlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const key = Redacted.make("listener's")
const layer = Emulator.layer({
  entities: [Emulator.entity("orders"), Emulator.entity("clock")],
  policies: [{ name: "Listener", key, rights: ["Listen"] }]
})

describe("the paths of the control API", () => {
  it("are those of its routes", () => {
    const routes = Object.values(api.groups).flatMap((group) =>
      Object.values(group.endpoints as Record<string, { readonly path: string }>).map(({ path }) => path)
    )
    const paths = new Set(routes.map((path) => path.replace(/:.*$/, "")))
    assert.deepStrictEqual(new Set(ControlPath.paths), new Set([...paths, "/openapi.json"]))
  })

  it.effect("are told from administration by the parameter of its version", () =>
    Effect.gen(function*() {
      assert.property((yield* ask("GET", "/clock")).json, "now")
      const { httpClient } = yield* Emulator.Emulator
      const described = yield* httpClient.get("http://localhost/clock?api-version=2017-04")
      assert.strictEqual(described.status, 401)
      assert.include(yield* described.text, "Error")
      const unknown = yield* httpClient.get("http://localhost/clocks")
      assert.include(unknown.headers["content-type"]!, "xml")
    }).pipe(Effect.provide(layer)))

  it.effect("are told from misspelt ones by HTTP Basic, which administration does not know", () =>
    Effect.gen(function*() {
      const misspelt = yield* ask("GET", "/message?entity=orders")
      assert.strictEqual(misspelt.status, 404)
      assert.strictEqual(misspelt.json.error, "NotFound")
      assert.match(misspelt.json.message as string, /^There is no path "\/message"; \/openapi\.json has all/)
      const wrongKey = yield* ask("GET", "/message", undefined, basic("RootManageSharedAccessKey:wrong"))
      assert.deepStrictEqual([wrongKey.status, wrongKey.json.error], [401, "Unauthorized"])
      const nobody = yield* ask("GET", "/message", undefined, basic("nobody:wrong"))
      assert.deepStrictEqual([nobody.status, nobody.json.error], [401, "Unauthorized"])
      const { httpClient } = yield* Emulator.Emulator
      const administration = yield* httpClient.get("http://localhost/orders?api-version=2021-05", {
        headers: { authorization: basic(yield* userOf) }
      })
      assert.strictEqual(administration.status, 401)
      assert.include(administration.headers["content-type"]!, "xml")
    }).pipe(Effect.provide(layer)))

  it.effect("are all in the OpenAPI document, with how to get in", () =>
    Effect.gen(function*() {
      const { json, status } = yield* ask("GET", "/openapi.json")
      assert.strictEqual(status, 200)
      assert.strictEqual(json.openapi, "3.1.0")
      assert.deepStrictEqual(json.security, [{ policy: [] }, { token: [] }])
      assert.sameMembers(
        Object.keys(json.paths as object).map((path) => path.replace(/\{.*\}$/, "{name}")),
        ControlPath.paths.filter((path) => path !== "/openapi.json").map((path) =>
          path.endsWith("/") ? `${path}{name}` : path
        )
      )
    }).pipe(Effect.provide(layer)))
})

describe("what a route of the control API does not take", () => {
  it.effect("is refused and does nothing, in a body or a parameter", () =>
    Effect.gen(function*() {
      const emulator = yield* Emulator.Emulator
      yield* emulator.send("orders", [{ body: Buffer.from("one") }])
      yield* emulator.fail({ operation: "settle", action: "drop" })
      const refused = [
        [
          "POST",
          "/reset",
          { entity: "clock" },
          "the body: POST /reset takes none; what it is for is said by parameters"
        ],
        ["POST", "/reset?entitiy=clock", undefined, "entitiy"],
        ["DELETE", "/faults?entity=clock", undefined, "the parameters: DELETE /faults takes none."],
        ["DELETE", "/faults/1?times=1", undefined, "the parameters: DELETE /faults/1 takes none."],
        ["DELETE", "/faults", { id: "2" }, "the body: DELETE /faults takes none."],
        ["POST", "/connections/drop", { entity: "clock" }, "the body: POST /connections/drop takes none."],
        ["GET", "/clock?namespace=team-a", undefined, "the parameters: GET /clock takes none."]
      ] as const
      for (const [method, path, body, message] of refused) {
        const { json, status } = yield* ask(method, path, body)
        assert.deepStrictEqual([status, json.error], [400, "BadRequest"], path)
        assert.include(json.message as string, message)
      }
      assert.lengthOf(yield* emulator.messages("orders"), 1)
      assert.lengthOf(yield* emulator.faults, 1)
      for (const body of [undefined, {}, " "]) {
        assert.strictEqual((yield* ask("POST", "/reset", body)).status, 200)
      }
    }).pipe(Effect.provide(layer)))
})

describe("the key of the control API", () => {
  it.effect("is the name and key of a policy with Manage, or a token", () =>
    Effect.gen(function*() {
      const user = yield* userOf
      const tokenOf = (keyName: string, secret: Redacted.Redacted<string>, resource: string) =>
        Redacted.value(SasToken.sign({ resource, keyName, key: secret, expiresAt: 10_000_000_000 }))
      const [name = "", secret = ""] = user.split(/:(.*)/s)
      const root = Redacted.make(secret)
      const { tokenCredential } = yield* Emulator.Emulator
      const bearer = yield* Effect.promise(() => Promise.resolve(tokenCredential.getToken("scope", {})))
      for (
        const header of [basic(user), tokenOf(name, root, "https://localhost/"), `Bearer ${bearer!.token}`]
      ) assert.strictEqual((yield* ask("GET", "/clock", undefined, header)).status, 200)
      const refused = [
        null,
        basic(`${name}:${secret}x`),
        basic("RootManageSharedAccessKey"),
        basic(`Listener:${Redacted.value(key)}`),
        "Basic !",
        "Basic ",
        "nothing",
        `Bearer ${bearer!.token}x`,
        tokenOf(name, key, "https://localhost/"),
        tokenOf("Listener", key, "https://localhost/"),
        // Of one entity alone.
        tokenOf(name, root, "https://localhost/orders")
      ]
      for (const header of refused) {
        const { headers, json, status } = yield* ask("GET", "/clock", undefined, header)
        assert.strictEqual(status, 401, String(header))
        assert.strictEqual(json.error, "Unauthorized")
        assert.match(headers["www-authenticate"]!, /^Basic realm=/)
        assert.notInclude(JSON.stringify(json), secret)
      }
    }).pipe(Effect.provide(layer)))
})

describe("a request that cannot be answered", () => {
  it.effect("is refused as JSON", () =>
    Effect.gen(function*() {
      const method = yield* ask("PUT", "/clock")
      assert.deepInclude(method, { status: 405 })
      assert.strictEqual(method.json.error, "MethodNotAllowed")
      const allowed = (path: string) => Effect.map(ask("PATCH", path), ({ headers }) => headers["allow"])
      assert.deepStrictEqual(
        yield* Effect.forEach(["/clock", "/clock/advance", "/faults", "/faults/1", "/openapi.json"], allowed),
        ["GET, HEAD", "POST", "GET, HEAD, POST, DELETE", "DELETE", "GET, HEAD"]
      )
    }).pipe(Effect.provide(layer)))
})
