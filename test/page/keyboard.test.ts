/** The page without a mouse: all of it is reached, where one is can be seen, and what is updated meanwhile moves nobody. */
import * as Emulator from "effect-service-bus/emulator"
import type { Page } from "playwright-core"
import { assert, describe } from "../support/vitest.ts"
import { heldBack, trials } from "./Trial.ts"

/** What has the focus: its role or tag and its words; "BODY" where it is lost. */
const focused = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement
    if (!(element instanceof HTMLElement) || element === document.body) return "BODY"
    const label = element.getAttribute("aria-label") ?? (element as HTMLInputElement).labels?.[0]?.textContent ??
      element.textContent ?? ""
    return `${element.tagName} ${element.dataset["number"] ?? label.trim().slice(0, 60)}`
  })

/** Fails unless something has the focus, and can be seen to. */
const seesFocus = async (page: Page) => {
  const [what, isVisible] = await page.evaluate(() => {
    const element = document.activeElement
    if (!(element instanceof HTMLElement) || element === document.body) return ["nothing", false] as const
    const { outlineStyle, outlineWidth } = getComputedStyle(element)
    const box = element.getBoundingClientRect()
    return [
      element.outerHTML.slice(0, 200),
      outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && box.width > 0 && box.bottom > 0 &&
      box.top < innerHeight
    ] as const
  })
  assert.isTrue(isVisible, `the focus is not to be seen: ${what}`)
}

/** Tabs until something that is called so has the focus; each stop on the way can be seen. */
const tabTo = async (page: Page, name: RegExp, back = false) => {
  const way: Array<string> = []
  for (let steps = 0; steps < 80; steps++) {
    await page.keyboard.press(back ? "Shift+Tab" : "Tab")
    const now = await focused(page)
    way.push(now)
    if (now !== "BODY") await seesFocus(page)
    if (name.test(now)) return
  }
  throw new Error(`${name} is not reached by Tab: ${way.join(" | ")}`)
}

const until = (page: Page, name: RegExp) =>
  page.waitForFunction(
    ([source]) => {
      const element = document.activeElement
      const label = element === document.body
        ? "BODY"
        : `${(element as HTMLElement).dataset["number"] ?? ""} ${
          element?.getAttribute("aria-label") ?? ""
        } ${element?.textContent}`
      return new RegExp(source!).test(label)
    },
    [name.source] as const
  )

const rows = (page: Page) => page.locator("tr[data-number]")

const chosen = (page: Page) =>
  page.locator("tr[aria-selected=true]").evaluateAll((rows) =>
    rows.map((row) => (row as HTMLElement).dataset["number"])
  )

describe("the page by its keys", () => {
  const trial = trials()

  trial("leads from the login to a dead letter that is repaired and sent again", {
    entities: [Emulator.entity("orders"), Emulator.entity("returns")]
  }, async ({ ask, bury, connectionString, origin, page }) => {
    await bury("orders", "InvalidTotal", { body: { json: { total: -1 } }, contentType: "application/json" }, {
      body: "other"
    })
    await page.goto(`${origin}/`)
    await until(page, /^/)
    assert.match(await focused(page), /Connection string/)
    await page.keyboard.insertText(connectionString)
    await page.keyboard.press("Enter")
    await page.getByRole("navigation", { name: "Entities" }).waitFor()
    assert.notStrictEqual(await focused(page), "BODY", "the focus after the login")
    await tabTo(page, /^A orders/)
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "orders", exact: true }).waitFor()
    assert.notStrictEqual(await focused(page), "BODY", "the focus in an entity")
    await tabTo(page, /^A Dead letters/)
    await page.keyboard.press("Enter")
    await page.getByRole("row", { name: /InvalidTotal/ }).first().waitFor()
    assert.match(await focused(page), /^A Dead letters/, "the focus after another tab was chosen")
    await tabTo(page, /^TR 1$/)
    await page.keyboard.press("ArrowDown")
    assert.strictEqual(await focused(page), "TR 2")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Message 1", exact: true }).waitFor()
    await until(page, /Message 1$/)
    assert.include(await page.locator(".reason").innerText(), "InvalidTotal")
    await tabTo(page, /Repair and send again/)
    await page.keyboard.press("Enter")
    await page.getByRole("dialog").waitFor()
    assert.match(await focused(page), /^TEXTAREA Body/)
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.insertText(`{"total": 10}`)
    await tabTo(page, /^BUTTON Send again$/)
    await page.keyboard.press("Enter")
    await page.getByText("1 message sent again to ").waitFor()
    await rows(page).filter({ hasText: "InvalidTotal" }).nth(1).waitFor({ state: "detached" })
    await page.getByRole("dialog").waitFor({ state: "detached" })
    assert.notStrictEqual(await focused(page), "BODY", "the focus after it was sent")
    const [sent] = await ask("GET", "/messages?entity=orders")
    assert.deepStrictEqual(sent.body, { json: { total: 10 } })
  })

  trial("gives a dialog up by Escape, and is where it was before", {}, async ({ ask, open, page, send }) => {
    await send("orders", { body: "1" }, { body: "2" })
    await open({ entity: "orders" })
    await rows(page).first().focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Delete")
    await page.getByRole("dialog").waitFor()
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
    assert.strictEqual(await focused(page), "TR 1")
    assert.deepStrictEqual(await chosen(page), ["1"])
    // Of the list it gives up what is chosen, then of the message that is open that one.
    await page.keyboard.press("Enter")
    await until(page, /Message 1$/)
    await page.keyboard.press("Escape")
    await page.locator(".detail").waitFor({ state: "hidden" })
    assert.strictEqual(await focused(page), "TR 1")
    await page.keyboard.press("Escape")
    assert.deepStrictEqual(await chosen(page), [])
    assert.strictEqual((await ask("GET", "/messages?entity=orders")).length, 2)
  })

  trial(
    "chooses rows by Space, Shift and Ctrl+A, and has one of them in the order of Tab",
    {},
    async ({ open, page, send }) => {
      await send("orders", ...Array.from({ length: 60 }, (_, index) => ({ body: String(index) })))
      await open({ entity: "orders" })
      await rows(page).first().focus()
      assert.strictEqual(await page.locator("tr[tabindex='0']").count(), 1)
      await page.keyboard.press("ArrowDown")
      await page.keyboard.press("Space")
      assert.deepStrictEqual(await chosen(page), ["2"])
      for (const _ of [1, 2]) await page.keyboard.press("Shift+ArrowDown")
      assert.deepStrictEqual(await chosen(page), ["2", "3", "4"])
      for (const _ of [1, 2, 3]) await page.keyboard.press("Shift+ArrowUp")
      assert.deepStrictEqual(await chosen(page), ["1", "2"])
      await page.keyboard.press("End")
      assert.strictEqual(await focused(page), "TR 50")
      await page.keyboard.press("Home")
      await page.keyboard.press("ControlOrMeta+a")
      assert.strictEqual((await chosen(page)).length, 50)
      await page.getByText("50 chosen").waitFor()
      await page.keyboard.press("Escape")
      await page.keyboard.press("PageDown")
      await page.locator("tr[data-number='51']").waitFor()
      await until(page, /^51/)
      await page.keyboard.press("PageUp")
      await page.locator("tr[data-number='1']").waitFor()
      assert.match(await focused(page), /^TR/)
      // Another Tab leaves the table.
      await page.keyboard.press("Tab")
      assert.notMatch(await focused(page), /^TR/)
    }
  )

  trial(
    "begins a range where one stands, and stays there where rows are deleted",
    {},
    async ({ ask, open, page, send }) => {
      await send("orders", ...Array.from({ length: 70 }, (_, index) => ({ body: String(index) })))
      await open({ entity: "orders" })
      const at = (number: number) => page.locator(`tr[data-number='${number}']`)
      await at(3).click({ modifiers: ["ControlOrMeta"] })
      await page.keyboard.press("PageDown")
      await until(page, /^51/)
      await page.keyboard.press("Shift+ArrowDown")
      assert.deepStrictEqual(await chosen(page), ["51", "52"])
      await page.keyboard.press("ArrowDown")
      await page.keyboard.press("Escape")
      await page.keyboard.press("Space")
      assert.deepStrictEqual(await chosen(page), ["53"])
      await page.keyboard.press("Delete")
      await page.getByRole("dialog").waitFor()
      await page.keyboard.press("ControlOrMeta+Enter")
      await page.getByRole("dialog").waitFor({ state: "detached" })
      await until(page, /^54/)
      await page.keyboard.press("Shift+ArrowDown")
      assert.deepStrictEqual(await chosen(page), ["54", "55"])
      assert.notInclude((await ask("GET", "/messages?entity=orders")).map(({ body }: any) => body.text), "52")
      // What was given up is no beginning of another range.
      await at(60).click({ modifiers: ["ControlOrMeta"] })
      await page.keyboard.press("Escape")
      await at(65).focus()
      await page.keyboard.press("Shift+ArrowDown")
      assert.deepStrictEqual(await chosen(page), ["65", "66"])
      // A text that is marked elsewhere is no reason to do nothing.
      await page.evaluate(() => getSelection()!.selectAllChildren(document.querySelector("h2")!))
      await at(68).click({ modifiers: ["Shift"] })
      assert.deepStrictEqual(await chosen(page), ["65", "66", "67", "68"])
      await page.evaluate(() => getSelection()!.selectAllChildren(document.querySelector("h2")!))
      await at(70).getByText("69", { exact: true }).click()
      await page.getByRole("heading", { name: "Message 70", exact: true }).waitFor()
    }
  )

  trial("is soon past the entities, however many there are, and finds one by its name", {
    entities: Array.from({ length: 400 }, (_, index) => Emulator.entity(`queue-${index}`))
  }, async ({ open, page, send }) => {
    await send("queue-7", { body: "x" })
    await open()
    await page.getByRole("link", { name: /^queue-7\b/ }).focus()
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "queue-7", exact: true }).waitFor()
    await page.keyboard.press("Tab")
    assert.strictEqual(await focused(page), "BUTTON Skip to the content")
    await seesFocus(page)
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert.match(await focused(page), /^A Messages/)
    await page.getByLabel("Find an entity").focus()
    await page.keyboard.insertText("queue-39")
    await page.getByText("queue-398").waitFor()
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "queue-39", exact: true }).waitFor()
    assert.match(await focused(page), /^A Messages/)
    // The first stop of all leads there too.
    await page.evaluate(() => (document.activeElement as HTMLElement).blur())
    await page.locator("body").press("Control+Home")
    await tabTo(page, /Skip to the content/)
  })

  trial("stays where it is while counts and lists are updated", {
    entities: [
      Emulator.entity("orders"),
      { kind: "topic", name: "news" },
      { kind: "subscription", topic: "news", name: "sport" }
    ]
  }, async ({ ask, go, open, page, send }) => {
    await send("orders", { body: "1" }, { body: "2" }, { body: "3" })
    await open({ entity: "orders" })
    const count = page.getByRole("link", { name: /^orders/ }).getByTitle("Messages", { exact: true })
    /** Sends until the page shows it, and looks for what has the focus then. */
    const updated = async (what: string) => {
      const before = await focused(page)
      await send("orders", { body: "more" })
      const { entities } = await ask("GET", "/entities")
      const active = entities.find(({ path }: { path: string }) => path === "orders").active
      await count.filter({ hasText: new RegExp(`^${active}$`) }).waitFor()
      // A link says how many there are.
      const name = (words: string) => words.replace(/^(A .*?)\d+$/, "$1")
      assert.strictEqual(name(await focused(page)), name(before), what)
    }
    const places: ReadonlyArray<readonly [string, () => Promise<unknown>]> = [
      ["a row", () => page.locator("tr[data-number='2']").focus()],
      ["a box of a row", () => page.locator("tr[data-number='2'] input").focus()],
      ["the box of all", () => page.getByLabel("Choose all of this page").focus()],
      ["a link of the tree", () => page.getByRole("link", { name: /^orders/ }).focus()],
      ["the search of the tree", () => page.getByLabel("Find an entity").focus()],
      ["a tab", () => page.getByRole("link", { name: /^Dead letters/ }).focus()],
      ["a button of the list", () => page.getByRole("button", { name: "Send…" }).focus()]
    ]
    for (const [what, focus] of places) {
      await focus()
      await updated(what)
    }
    // In a dialog, and in a message that is open.
    await page.locator("tr[data-number='2']").focus()
    await page.keyboard.press("Enter")
    await until(page, /Message 2$/)
    await updated("an open message")
    await page.getByRole("button", { name: "Send…" }).click()
    await page.getByRole("dialog").getByLabel("Body", { exact: true }).focus()
    await page.keyboard.insertText("half a message")
    await updated("a dialog")
    assert.strictEqual(
      await page.getByRole("dialog").getByLabel("Body", { exact: true }).inputValue(),
      "half a message"
    )
    // What was typed is given up only by one more.
    await page.keyboard.press("Escape")
    assert.strictEqual(await page.getByRole("dialog").count(), 1)
    await page.keyboard.press("Escape")
    await page.getByRole("dialog").waitFor({ state: "detached" })
    // In the list of another view.
    await ask("POST", "/faults", { operation: "send", entity: "orders", action: "delay", delay: 1, times: "every" })
    await go({ view: "faults" })
    await page.getByRole("button", { name: "Take back", exact: true }).focus()
    await ask("POST", "/faults", { operation: "renew", action: "delay", delay: 1, times: "every" })
    await page.getByRole("button", { name: "Take back", exact: true }).nth(1).waitFor()
    assert.match(await focused(page), /^BUTTON Take back/)
  })

  trial("takes the focus from nobody who has gone on meanwhile", {}, async ({ open, page, send }) => {
    await send("orders", { body: "1" }, { body: "2" })
    await open({ entity: "orders" })
    await rows(page).first().focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Delete")
    // The browser tells that a dialog has closed after it has closed it.
    await page.evaluate(() =>
      new Promise((resolve) => {
        const dialog = document.querySelector("dialog")!
        dialog.addEventListener("close", () => setTimeout(resolve))
        dialog.close()
        document.querySelector<HTMLElement>("tr[data-number='2']")!.focus()
      })
    )
    assert.strictEqual(await focused(page), "TR 2")
    // A message that comes late.
    const { asked } = await heldBack(page, "/messages")
    await page.keyboard.press("Enter")
    const letGo = await asked
    await page.keyboard.press("ArrowUp")
    await letGo()
    await page.getByRole("heading", { name: "Message 2", exact: true }).waitFor()
    assert.strictEqual(await focused(page), "TR 1")
  })

  trial("does not lose the focus with what had it", {
    entities: [Emulator.entity("orders"), Emulator.entity("others")]
  }, async ({ ask, bury, controls, go, open, page, run }) => {
    await bury("orders", "bad", { body: "1" })
    await bury("others", "bad", { body: "1" })
    await open()
    // Of the list of dead letters, which is made again.
    const dead = page.locator("#content").getByRole("link", { name: "orders", exact: true })
    await dead.focus()
    await bury("others", "bad", { body: "2" })
    await page.getByText("(2)").waitFor()
    assert.strictEqual(await focused(page), "A orders")
    // Of the tree, which is made again where an entity comes.
    await page.getByRole("navigation", { name: "Entities" }).getByRole("link", { name: /^others/ }).focus()
    await run(controls.create(Emulator.entity("another")))
    await page.getByRole("link", { name: /^another/ }).waitFor()
    assert.match(await focused(page), /^A others/)
    // And of a place in it that goes.
    await go({ entity: "others" })
    await page.getByRole("heading", { name: "others", exact: true }).waitFor()
    await page.getByRole("button", { name: "Send…" }).focus()
    await run(controls.delete("others"))
    await page.getByText("This entity is gone.").waitFor()
    assert.match(await focused(page), /^MAIN/)
    // A dialog that could not do what was asked for.
    await go({ entity: "orders", tab: "dead" })
    await rows(page).first().focus()
    await page.keyboard.press("Enter")
    await until(page, /Message 1$/)
    await page.getByRole("button", { name: "Repair and send again…" }).click()
    const dialog = page.getByRole("dialog")
    for (const _ of [1, 2]) await dialog.getByRole("button", { name: "Add a property" }).click()
    await dialog.getByRole("button", { name: "Remove" }).first().focus()
    await page.keyboard.press("Enter")
    assert.strictEqual(await focused(page), "INPUT Name of the property")
    await dialog.getByRole("button", { name: "Remove" }).focus()
    await page.keyboard.press("Enter")
    assert.strictEqual(await focused(page), "BUTTON Add a property")
    await dialog.getByLabel("Body is").selectOption("JSON")
    await dialog.getByRole("textbox", { name: "Body", exact: true }).fill("no JSON")
    await tabTo(page, /^BUTTON Send again$/)
    await page.keyboard.press("Enter")
    await dialog.getByText("no JSON").waitFor()
    assert.strictEqual(await focused(page), "BUTTON Send again")
    // The broker refuses it a while later: the browser has taken the focus from the button by then.
    await dialog.getByRole("textbox", { name: "Body", exact: true }).fill("1")
    await ask("POST", "/messages/delete?entity=orders/$DeadLetterQueue", { sequenceNumbers: ["1"] })
    await page.route((url) => url.pathname === "/messages/resend", async (route) => {
      await until(page, /^BODY$/)
      await route.continue()
    }, { times: 1 })
    const submit = dialog.getByRole("button", { name: "Send again", exact: true })
    await submit.focus()
    await page.keyboard.press("Enter")
    await dialog.getByText("there is no message 1").waitFor()
    await submit.and(page.locator(":focus")).waitFor()
    for (const _ of [1, 2]) await page.keyboard.press("Escape")
    await dialog.waitFor({ state: "detached" })
    // A broker that is gone, and asked for once more.
    await run(controls.stop)
    await page.getByRole("button", { name: "Try now" }).focus()
    await page.keyboard.press("Enter")
    await page.getByText("Trying again in 2 s.").waitFor()
    assert.strictEqual(await focused(page), "BUTTON Try now")
    await run(controls.start)
    await page.getByText("The broker answers again.").waitFor()
    assert.match(await focused(page), /^A Dead letters/)
    // And of what is told, of several the one that comes where that was.
    await go({ view: "namespaces" })
    for (const _ of [1, 2, 3]) await page.getByRole("button", { name: "Load the file…" }).click()
    const dismiss = page.locator(".toast.bad").getByRole("button", { name: "Dismiss" })
    await dismiss.nth(2).waitFor()
    await dismiss.nth(1).focus()
    await page.keyboard.press("Enter")
    assert.strictEqual(await dismiss.count(), 2)
    await dismiss.nth(1).and(page.locator(":focus")).waitFor()
    for (const _ of [1, 2]) await page.keyboard.press("Enter")
    assert.notStrictEqual(await focused(page), "BODY")
  })

  trial("does nothing to another one than has the focus", {
    entities: [Emulator.entity("orders"), Emulator.entity("others")]
  }, async ({ ask, go, open, page, send }) => {
    const delayed = (entity: string, operation = "send") =>
      ask("POST", "/faults", { operation, entity, action: "delay", delay: 1, times: "every" })
    const first = await delayed("orders")
    await delayed("others")
    await open({ view: "faults" })
    const all = page.getByRole("button", { name: "Take back", exact: true })
    await all.nth(1).focus()
    await ask("DELETE", `/faults/${first.id}`)
    await delayed("orders")
    await delayed("orders", "renew")
    await page.getByRole("row", { name: /^renew/ }).waitFor()
    await page.keyboard.press("Enter")
    await page.getByText("is taken back").waitFor()
    const faults = await ask("GET", "/faults")
    assert.deepStrictEqual(faults.map(({ fault }: any) => `${fault.operation} ${fault.entity}`), [
      "send orders",
      "renew orders"
    ])
    // A dialog ends with the place that it was opened at.
    await send("orders", { body: "1" })
    await send("others", { body: "1" })
    await go({ entity: "orders" })
    await go({ entity: "others" })
    await page.getByRole("heading", { name: "others", exact: true }).waitFor()
    await rows(page).first().focus()
    await page.keyboard.press("Space")
    await page.keyboard.press("Delete")
    await page.getByRole("dialog").waitFor()
    await page.goBack()
    await page.getByRole("heading", { name: "orders", exact: true }).waitFor()
    await page.getByRole("dialog").waitFor({ state: "detached" })
    await page.keyboard.press("ControlOrMeta+Enter")
    assert.strictEqual((await ask("GET", "/messages?entity=others")).length, 1)
  })

  trial(
    "moves nobody to a message that is not in the list any more, and tells of what was refused after a dialog",
    {},
    async (
      { open, page, send }
    ) => {
      await send("orders", ...Array.from({ length: 70 }, (_, index) => ({ body: String(index) })))
      await open({ entity: "orders" })
      const { asked } = await heldBack(page, "/messages")
      await page.locator("tr[data-number='2']").focus()
      await page.keyboard.press("Enter")
      const letGo = await asked
      await page.keyboard.press("PageDown")
      await page.locator("tr[data-number='51']").waitFor()
      await page.getByLabel("Find an entity").focus()
      await letGo()
      await page.getByRole("heading", { name: "Message 2", exact: true }).waitFor()
      assert.match(await focused(page), /^INPUT Find/)
      // A refusal that comes once its dialog was closed.
      await page.route((url) => url.pathname === "/messages/delete", async (route) => {
        await page.getByRole("dialog").waitFor({ state: "detached" })
        await route.fulfill({ status: 500, json: { message: "no luck" } })
      }, { times: 1 })
      await page.locator("tr[data-number='51']").focus()
      await page.keyboard.press("Space")
      await page.keyboard.press("Delete")
      await page.keyboard.press("ControlOrMeta+Enter")
      await page.keyboard.press("Escape")
      await page.locator(".toast.bad").filter({ hasText: "no luck" }).waitFor()
      // A key that is refused: what was open is not over the login.
      await page.getByRole("button", { name: "Send…" }).click()
      await page.getByRole("dialog").waitFor()
      await page.route(() => true, (route) => route.fulfill({ status: 401, json: { message: "no" } }))
      await page.locator("main.login").waitFor()
      await page.getByRole("dialog").waitFor({ state: "detached" })
      assert.match(await focused(page), /^INPUT Connection string/)
      assert.strictEqual(await page.locator(".toast.bad").count(), 0)
    }
  )

  trial("has all views, and the order of Tab is that of the page", {}, async ({ open, page }) => {
    await open()
    for (const name of ["Connections", "Faults", "Clock", "Namespaces", "Entities"]) {
      await page.keyboard.press("Control+Home")
      await tabTo(page, new RegExp(`^A ${name}$`), false)
      await page.keyboard.press("Enter")
      await page.getByRole("heading", { name, exact: true }).waitFor()
      assert.match(await focused(page), new RegExp(`^A ${name}$`))
    }
    const order = await page.evaluate(() =>
      [...document.querySelectorAll<HTMLElement>("[tabindex]")].filter(({ tabIndex }) => tabIndex > 0).length
    )
    assert.strictEqual(order, 0)
  })
})
