/** The broker goes away under an open page, and comes back: the same, with another key, or with less in it. */
import { Effect } from "effect"
import { ServiceBusAdministration } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import type { Browser, Page } from "playwright-core"
import { afterAll, beforeAll } from "vitest"
import { assert, describe, it } from "../support/vitest.ts"
import * as Command from "./Command.ts"
import { launch, placeOf, signIn, trials, watch } from "./Trial.ts"

const flags = ["--queue", "orders", "--queue", "returns"]

describe("a broker that is lost", () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launch()
  })
  afterAll(() => browser?.close())

  /** A page of a command that the test may kill and start again at the same port. */
  const withCommand = async (
    run: (
      page: Page,
      broker: {
        readonly running: () => Command.Running
        readonly again: (...flags: ReadonlyArray<string>) => Promise<void>
        readonly send: (entity: string, messages: ReadonlyArray<unknown>) => Promise<void>
      }
    ) => Promise<void>
  ) => {
    let running = await Command.start("--port", "0", "--key", "secret", ...flags)
    const origin = `http://127.0.0.1:${running.port}`
    const context = await browser.newContext()
    try {
      const page = await context.newPage()
      const { problems } = watch(page, origin)
      await page.goto(`${origin}/`)
      await signIn(page, running.connectionString)
      await run(page, {
        running: () => running,
        again: async (...flags) => {
          running = await Command.start("--port", String(running.port), ...flags)
        },
        send: async (entity, messages) => {
          const response = await fetch(`${origin}/messages?entity=${entity}`, {
            method: "POST",
            headers: { authorization: `Basic ${btoa("RootManageSharedAccessKey:secret")}` },
            body: JSON.stringify(messages)
          })
          assert.strictEqual(response.status, 200)
        }
      })
      assert.deepStrictEqual(problems, [])
    } finally {
      await context.close()
      await running.kill()
    }
  }

  const banner = (page: Page) => page.locator(".banner")

  it("is said to be gone, and is there again by itself, at the same place of the page", () =>
    withCommand(async (page, { again, running, send }) => {
      await send("orders", Array.from({ length: 3 }, (_, index) => ({ body: `before ${index}` })))
      await page.goto(`${new URL(page.url()).origin}/${placeOf({ entity: "orders", message: "2" })}`)
      await page.locator("pre.body").filter({ hasText: "before 1" }).waitFor()
      await page.getByLabel("Find an entity").fill("ord")
      const before = page.url()
      await running().kill()
      const from = performance.now()
      await banner(page).filter({ hasText: "The broker does not answer" }).waitFor()
      assert.isBelow(performance.now() - from, 10_000)
      // What was there can still be read, and what is asked for is refused in words.
      assert.include(await page.locator("pre.body").innerText(), "before 1")
      await page.getByRole("button", { name: "Send…" }).click()
      await page.getByRole("dialog").getByLabel("Body", { exact: true }).fill("not lost")
      await page.getByRole("dialog").getByRole("button", { name: "Send", exact: true }).click()
      await page.getByRole("dialog").getByRole("alert").filter({ hasText: "does not answer" }).waitFor()
      await again("--key", "secret", ...flags)
      await banner(page).filter({ hasText: /^$/ }).waitFor({ state: "attached" })
      await page.getByText("The broker answers again.").waitFor()
      // The form is as it was, and is sent now.
      assert.strictEqual(
        await page.getByRole("dialog").getByLabel("Body", { exact: true }).inputValue(),
        "not lost"
      )
      await page.getByRole("dialog").getByRole("button", { name: "Send", exact: true }).click()
      await page.getByRole("row").filter({ hasText: "not lost" }).waitFor()
      assert.strictEqual(await page.getByLabel("Find an entity").inputValue(), "ord")
      assert.strictEqual(new URL(page.url()).hash.split("&")[0], new URL(before).hash.split("&")[0])
      // A reload shows the same place, without another login.
      await page.reload()
      await page.getByRole("row").filter({ hasText: "not lost" }).waitFor()
    }))

  it("is said to be gone wherever one is, and of what was never told nothing is said", () =>
    withCommand(async (page, { again, running, send }) => {
      await send("orders", Array.from({ length: 50 }, (_, index) => ({ body: `before ${index}` })))
      await send("returns", [{ body: "a return" }])
      await page.goto(`${new URL(page.url()).origin}/${placeOf({ entity: "orders" })}`)
      await page.locator("tr[data-number='50']").scrollIntoViewIfNeeded()
      await running().kill()
      await banner(page).filter({ hasText: "does not answer" }).waitFor()
      assert.isTrue(
        await banner(page).evaluate((element) => {
          const { left, top } = element.getBoundingClientRect()
          return top >= 0 && element.contains(document.elementFromPoint(left + 5, top + 5))
        })
      )
      await page.getByRole("link", { name: /^returns/ }).click()
      await page.locator("main .problem").filter({ hasText: "does not answer" }).waitFor()
      assert.isFalse(await page.getByText("No message is here.").isVisible())
      for (const name of ["Delete…", "Defer", "Send again…", "Later →"]) {
        assert.isTrue(await page.getByRole("button", { name }).isDisabled(), name)
      }
      await again("--key", "secret", ...flags)
      await page.getByText("No message is here.").waitFor()
    }))

  it("is asked less and less often, and at once where somebody says so", () =>
    withCommand(async (page, { again, running }) => {
      const asked: Array<number> = []
      page.on("request", (request) => {
        if (new URL(request.url()).pathname === "/entities") asked.push(performance.now())
      })
      await running().kill()
      await banner(page).filter({ hasText: "Trying again in" }).waitFor()
      const lost = asked.length
      await page.waitForFunction(() => / [3-9]\d* s\./.test(document.querySelector(".banner")?.textContent ?? ""))
      assert.isAtMost(asked.length - lost, 3)
      await again("--key", "secret", ...flags)
      await page.getByRole("button", { name: "Try now" }).click()
      await page.getByText("The broker answers again.").waitFor()
    }))

  it("is not said to answer again where somebody signs out", () =>
    withCommand(async (page, { running }) => {
      await running().kill()
      await banner(page).filter({ hasText: "does not answer" }).waitFor()
      await page.getByRole("button", { name: "Sign out" }).click()
      await page.getByRole("button", { name: "Show the broker" }).waitFor()
      assert.strictEqual(await page.getByText("The broker answers again.").count(), 0)
    }))

  it("with another key asks for it, and shows the same place then", () =>
    withCommand(async (page, { again, running }) => {
      await page.goto(`${new URL(page.url()).origin}/${placeOf({ entity: "returns" })}`)
      await page.getByRole("heading", { name: "returns", exact: true }).waitFor()
      await running().kill()
      await banner(page).filter({ hasText: "does not answer" }).waitFor()
      await again("--key", "another", ...flags)
      await page.getByRole("alert").filter({ hasText: "The key is not taken any more" }).waitFor()
      assert.strictEqual(await page.evaluate(() => sessionStorage.length), 0)
      await signIn(page, running().connectionString)
      await page.getByRole("heading", { name: "returns", exact: true }).waitFor()
    }))

  it("without the entity that is looked at says that it is gone", () =>
    withCommand(async (page, { again, running }) => {
      await page.getByRole("link", { name: /^returns/ }).click()
      await page.getByRole("heading", { name: "returns", exact: true }).waitFor()
      await running().kill()
      await banner(page).filter({ hasText: "does not answer" }).waitFor()
      await again("--key", "secret", "--queue", "orders")
      await page.getByText("There is no such entity, or not any more.").waitFor()
      assert.strictEqual(await page.getByRole("link", { name: /^returns/ }).count(), 0)
      await page.getByRole("link", { name: /^orders/ }).click()
      await page.getByText("No message is here.").waitFor()
    }))
})

describe("a namespace that is removed", () => {
  const trial = trials()

  trial("asks for a key again", {}, async ({ ask, origin, page }) => {
    const { connectionString } = await ask("POST", "/namespaces", {
      name: "team",
      entities: [{ kind: "queue", name: "theirs" }]
    })
    await page.goto(`${origin}/`)
    await signIn(page, connectionString)
    await page.getByRole("link", { name: /^theirs/ }).click()
    await page.getByText("No message is here.").waitFor()
    assert.strictEqual(await page.getByRole("link", { name: /^orders/ }).count(), 0)
    await ask("DELETE", "/namespaces/team")
    await page.getByRole("alert").filter({ hasText: "the namespace is gone" }).waitFor()
    await page.getByRole("button", { name: "Show the broker" }).waitFor()
  })

  trial("and an entity that is removed meanwhile is said to be gone", {}, async ({ open, page, run }) => {
    await open({ entity: "orders" })
    await page.getByText("No message is here.").waitFor()
    await run(
      Effect.gen(function*() {
        const administration = yield* ServiceBusAdministration.ServiceBusAdministration
        yield* administration.deleteQueue("orders")
      }).pipe(Effect.provide(Emulator.layerAdministration))
    )
    await page.getByText("This entity is gone.").waitFor()
    assert.strictEqual(await page.getByRole("link", { name: /^orders/ }).count(), 0)
    await page.getByText("There are no entities yet.").waitFor()
  })
})
