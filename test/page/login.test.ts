/** Who sees the page: whoever has a key, and nobody without one. */
import { assert, describe } from "../support/vitest.ts"
import { heldBack, signIn, trials } from "./Trial.ts"

describe("the login", () => {
  const trial = trials()

  trial(
    "takes a connection string that was pasted, whatever stands around it",
    {},
    async ({ connectionString, origin, page, watch }) => {
      await page.goto(`${origin}/`)
      await signIn(page, `  ${connectionString};EntityPath=orders\n`)
      await page.getByRole("link", { name: /^orders/ }).waitFor()
      const key = encodeURIComponent(/SharedAccessKey=([^;]*)/.exec(connectionString)![1]!)
      for (const request of [...watch.requests, page.url()]) assert.notInclude(request, key)
    }
  )

  trial("takes a name and a key", {}, async ({ key, origin, page }) => {
    await page.goto(`${origin}/`)
    await page.getByLabel("Key", { exact: true }).fill(key)
    await page.keyboard.press("Enter")
    await page.getByRole("link", { name: /^orders/ }).waitFor()
  })

  trial("refuses a wrong key and says so, and what is no connection string too", {}, async ({ key, origin, page }) => {
    await page.goto(`${origin}/`)
    const problem = page.getByRole("alert")
    await page.getByLabel("Key", { exact: true }).fill(`${key.slice(0, -2)}x=`)
    await page.keyboard.press("Enter")
    await problem.filter({ hasText: "There is no policy of this name with this key" }).waitFor()
    await page.getByLabel("Connection string").fill("Endpoint=sb://localhost")
    await page.keyboard.press("Enter")
    await problem.filter({ hasText: "no SharedAccessKeyName and SharedAccessKey" }).waitFor()
    // Whoever has pressed the button is still there, once it is known.
    await page.getByLabel("Connection string").fill("")
    const submit = page.getByRole("button", { name: "Show the broker" })
    await submit.focus()
    await page.keyboard.press("Enter")
    await problem.filter({ hasText: "There is no policy of this name with this key" }).waitFor()
    await submit.and(page.locator(":focus")).waitFor()
    assert.strictEqual(await page.getByRole("navigation", { name: "Entities" }).count(), 0)
    assert.strictEqual(await page.evaluate(() => sessionStorage.length), 0)
  })

  trial(
    "is over with the tab, outlasts a reload, and is no more once somebody signs out",
    {},
    async ({ open, origin, page }) => {
      await open({ entity: "orders" })
      await page.reload()
      await page.getByRole("heading", { name: "orders" }).waitFor()
      assert.strictEqual(await page.evaluate(() => localStorage.length), 0)
      const other = await page.context().newPage()
      await other.goto(`${origin}/`)
      await other.getByRole("button", { name: "Show the broker" }).waitFor()
      await page.getByRole("button", { name: "Sign out" }).click()
      await page.getByRole("button", { name: "Show the broker" }).waitFor()
      assert.strictEqual(await page.evaluate(() => sessionStorage.length), 0)
      await page.reload()
      await page.getByRole("button", { name: "Show the broker" }).waitFor()
    }
  )

  for (const place of [{ entity: "orders", tab: "activity" }, { view: "connections" }]) {
    trial(`leaves nothing that goes on asking once somebody signs out of ${JSON.stringify(place)}`, {}, async (the) => {
      const { open, page, watch } = the
      await page.clock.install()
      await open(place)
      await page.getByText(/No client is connected|Nothing has happened here/).waitFor()
      const before = watch.requests.length
      await page.clock.runFor(6000)
      await page.waitForTimeout(300)
      assert.isAbove(watch.requests.length, before)
      await page.getByRole("button", { name: "Sign out" }).click()
      await page.getByRole("button", { name: "Show the broker" }).waitFor()
      const after = watch.requests.length
      await page.clock.runFor(20_000)
      await page.evaluate(() => {
        location.hash = "#entity=orders&tab=settings"
      })
      await page.waitForTimeout(300)
      // A browser asks for the icon of the page where its address changes.
      assert.deepStrictEqual(watch.requests.slice(after).filter((each) => !each.endsWith("/icon.svg")), [])
    })
  }

  trial(
    "shows the namespace of the key that was given last, whatever is answered to the one before",
    {},
    async (the) => {
      const { ask, open, page } = the
      const team = await ask("POST", "/namespaces", { name: "team", entities: [{ kind: "queue", name: "theirs" }] })
      await open()
      await page.getByRole("link", { name: /^orders/ }).waitFor()
      const { asked } = await heldBack(page, "/entities")
      const goOn = await asked
      await page.getByRole("button", { name: "Sign out" }).click()
      await signIn(page, team.connectionString)
      await page.getByRole("link", { name: /^theirs/ }).waitFor()
      await goOn()
      assert.strictEqual(await page.getByRole("link", { name: /^orders/ }).count(), 0)
    }
  )

  trial("is asked for again by no refusal of a key that somebody has signed out with", {}, async (the) => {
    const { ask, connectionString, origin, page } = the
    const team = await ask("POST", "/namespaces", { name: "team" })
    await page.goto(`${origin}/`)
    await signIn(page, team.connectionString)
    const { asked } = await heldBack(page, "/entities")
    const goOn = await asked
    await ask("DELETE", "/namespaces/team")
    await page.getByRole("button", { name: "Sign out" }).click()
    await signIn(page, connectionString)
    await goOn()
    await page.getByRole("link", { name: /^orders/ }).click()
    await page.getByRole("heading", { name: "orders", exact: true }).waitFor()
  })

  trial("shows nothing of the broker to those who have no key", {}, async ({ origin, page, watch }) => {
    await page.goto(`${origin}/#entity=orders`)
    await page.getByRole("button", { name: "Show the broker" }).waitFor()
    assert.notInclude(await page.content(), "orders")
    assert.deepStrictEqual(watch.requests.filter((each) => !/\/(\$page\/[\w.]+)?$/.test(each)), [])
  })
})
