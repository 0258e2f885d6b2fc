/** Every view, in the light and in the dark, on a desk and on a phone: no violation that axe-core finds, nothing wider than the page. */
import axe from "axe-core"
import * as Emulator from "effect-service-bus/emulator"
import type { Page } from "playwright-core"
import { assert, describe } from "../support/vitest.ts"
import { type Trial, trials } from "./Trial.ts"

/** Violations of what is shown, a line each. */
const violations = async (page: Page): Promise<ReadonlyArray<string>> => {
  // Evaluated by the tool, not by the page: its policy takes no script that is put in.
  if (await page.evaluate(() => !("axe" in globalThis))) await page.evaluate(axe.source)
  const found = await page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    })
    return violations.map(({ help, id, nodes }) => ({ id, help, nodes: nodes.map(({ html }) => html.slice(0, 160)) }))
  })
  return found.map(({ help, id, nodes }) => `${id}: ${help}: ${nodes.slice(0, 3).join(" ; ")}`)
}

/** How many pixels the page is wider than its window; what scrolls by itself does not count. */
const tooWide = (page: Page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)

const entities: Emulator.ServerOptions["entities"] = [
  Emulator.entity("orders"),
  { kind: "queue", name: "carts", hasSessions: true },
  { kind: "topic", name: "news" },
  { kind: "subscription", topic: "news", name: "sport" },
  { kind: "queue", name: `a-long-name-${"x".repeat(200)}` }
]

const fill = async ({ ask, bury, send }: Trial) => {
  const later = new Date(Date.now() + 3_600_000).toISOString()
  await bury("orders", "InvalidTotal", {
    body: { json: { total: -1, lines: ["x".repeat(300)] } },
    contentType: "application/json",
    subject: "y".repeat(300),
    applicationProperties: { ["n".repeat(200)]: "v".repeat(500), n: 1 }
  })
  await send("orders", { body: "one", messageId: "z".repeat(120) }, { body: { base64: "AP/+" } }, {
    body: "later",
    scheduledEnqueueTime: later
  })
  const [number] = await send("orders", { body: "deferred" })
  await ask("POST", "/messages/defer?entity=orders", { sequenceNumbers: [number] })
  await send("carts", { body: "1", sessionId: "s".repeat(100) })
  await send("news", { body: "goal", subject: "sport" })
  await ask("POST", "/faults", { operation: "renew", action: "delay", delay: 1, times: "every" })
}

const places: ReadonlyArray<Readonly<Record<string, string>>> = [
  {},
  { entity: "none" },
  { entity: "orders", message: "2" },
  { entity: "orders", tab: "dead", message: "1" },
  ...["scheduled", "deferred", "activity", "settings"].map((tab) => ({ entity: "orders", tab })),
  { entity: "carts", tab: "sessions" },
  { entity: "news" },
  { entity: "news/Subscriptions/sport" },
  { entity: "news/Subscriptions/sport", tab: "rules" },
  { entity: `a-long-name-${"x".repeat(200)}` },
  ...["connections", "faults", "clock", "namespaces"].map((view) => ({ view }))
]

/** Buttons that open a dialog, and where they are. */
const dialogs: ReadonlyArray<readonly [Readonly<Record<string, string>>, string]> = [
  [{ entity: "orders" }, "Send…"],
  [{ entity: "orders" }, "Purge…"],
  [{ entity: "orders", tab: "dead", message: "1" }, "Repair and send again…"],
  [{ entity: "orders", tab: "dead", message: "1" }, "Send again…"],
  [{ entity: "orders", tab: "dead", message: "1" }, "Delete…"],
  [{ entity: "news/Subscriptions/sport", tab: "rules" }, "Remove…"],
  [{ view: "connections" }, "Cut all…"],
  [{ view: "namespaces" }, "Reset…"]
]

describe("the page is for everybody", () => {
  const trial = trials()
  const looks = [
    ["in the light", { colorScheme: "light", viewport: { width: 1280, height: 900 } }],
    ["in the dark", { colorScheme: "dark", viewport: { width: 1600, height: 1000 } }],
    ["on a phone", { colorScheme: "light", viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }],
    ["on a phone, in the dark", {
      colorScheme: "dark",
      viewport: { width: 360, height: 740 },
      hasTouch: true,
      isMobile: true
    }]
  ] as const

  for (const [look, context] of looks) {
    trial(`${look}: every view and dialog, and the login`, { entities, context }, async (the) => {
      const { go, open, origin, page } = the
      const wrong: Array<string> = []
      const examine = async (what: string) => {
        // Its words may not be there yet: nothing is asked for any more once it is drawn.
        await page.waitForLoadState("networkidle")
        const wide = await tooWide(page)
        if (wide > 0) wrong.push(`${what}: ${wide} pixels too wide`)
        for (const violation of await violations(page)) wrong.push(`${what}: ${violation}`)
      }
      await fill(the)
      await page.goto(`${origin}/`)
      await examine("login")
      await open()
      for (const place of places) {
        await go(place)
        await page.getByRole("heading", { level: 2 }).first().waitFor()
        if (place["message"] !== undefined) {
          await page.getByRole("heading", { name: `Message ${place["message"]}`, exact: true }).waitFor()
        }
        await examine(JSON.stringify(place).slice(0, 80))
      }
      for (const [place, name] of dialogs) {
        await go(place)
        if (place["message"] !== undefined) {
          await page.getByRole("heading", { name: `Message ${place["message"]}`, exact: true }).waitFor()
        }
        // Of two that are called so, the one of the message that is open.
        await page.locator("main").getByRole("button", { name, exact: true }).last().click()
        await page.getByRole("dialog").waitFor()
        await examine(`${JSON.stringify(place)} ${name}`)
        await page.keyboard.press("Escape")
        await page.getByRole("dialog").waitFor({ state: "detached" })
      }
      assert.deepStrictEqual([...new Set(wrong)], [])
    })
  }

  trial("says what it has done where a reader of the screen hears it", {}, async ({ bury, open, page }) => {
    await bury("orders", "x", { body: "1" })
    await open({ entity: "orders", tab: "dead", message: "1" })
    await page.locator(".detail").getByRole("button", { name: "Delete…" }).click()
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click()
    await page.locator("[aria-live=polite]").filter({ hasText: "1 message deleted." }).waitFor()
  })
})
