/** The page in a real browser, in front of a broker that listens. */
import { Effect, Layer } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import * as Browser from "../../support/browser.ts"
import { ask, userOf } from "../../support/controlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const broker = Emulator.layerServer({
  entities: [
    Emulator.entity("orders"),
    { kind: "topic", name: "news" },
    { kind: "subscription", topic: "news", name: "sport" }
  ]
})

/** A page of the broker in a browser of its own, signed in. */
const signedIn = Effect.gen(function*() {
  const { port } = yield* Emulator.Emulator
  const page = yield* Browser.page
  const [, key = ""] = (yield* userOf).split(/:(.*)/s)
  yield* Effect.promise(async () => {
    await page.goto(`http://127.0.0.1:${port}/`)
    await page.getByLabel("Key", { exact: true }).fill(key)
    await page.getByRole("button", { name: "Show the broker" }).click()
    await page.getByRole("navigation", { name: "Entities" }).waitFor()
  })
  return page
})

// A machine without a browser tests the rest: `.ci/run` installs one.
describe.skipIf(Browser.path === undefined)("the page in a browser", () => {
  it.live("shows why a dead letter died, repairs its body and sends it again", () =>
    Effect.gen(function*() {
      yield* ask("POST", "/messages?entity=orders", [{
        messageId: "a",
        body: { json: { total: -1 } },
        contentType: "application/json"
      }])
      yield* ask("POST", "/messages/dead-letter?entity=orders", {
        sequenceNumbers: ["1"],
        reason: "InvalidTotal",
        description: "below 0"
      })
      const page = yield* signedIn
      yield* Effect.promise(async () => {
        await page.getByRole("link", { name: /^orders/ }).first().click()
        await page.getByRole("link", { name: /^Dead letters/ }).click()
        await page.getByRole("row", { name: /InvalidTotal/ }).click()
        assert.include(await page.locator(".reason").innerText(), "below 0")
        await page.getByRole("button", { name: "Repair and send again…" }).click()
        await page.getByRole("textbox", { name: "Body", exact: true }).fill("{\"total\": 10}")
        await page.getByRole("dialog").getByRole("button", { name: "Send again" }).click()
        await page.getByText("1 message sent again to orders.").waitFor()
        await page.getByText("No message of this entity is a dead letter.").waitFor()
      })
      const { json } = yield* ask("GET", "/messages?entity=orders")
      assert.strictEqual(json.length, 1)
      assert.deepInclude(json[0], { messageId: "a", body: { json: { total: 10 } } })
      assert.notProperty(json[0], "applicationProperties")
    }).pipe(Effect.scoped, Effect.provide(broker.pipe(Layer.orDie))), 60_000)

  it.live("refuses a wrong key, and says so", () =>
    Effect.gen(function*() {
      const { port } = yield* Emulator.Emulator
      const page = yield* Browser.page
      yield* Effect.promise(async () => {
        await page.goto(`http://127.0.0.1:${port}/`)
        await page.getByLabel("Key", { exact: true }).fill("wrong")
        await page.getByRole("button", { name: "Show the broker" }).click()
        await page.getByRole("alert").filter({ hasText: "There is no policy of this name with this key." }).waitFor()
      })
    }).pipe(Effect.scoped, Effect.provide(broker.pipe(Layer.orDie))), 60_000)
})
