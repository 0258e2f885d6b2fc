/** Messages on the page: read, sent, and what is done to one or to several of them, each one's outcome told. */
import { Effect } from "effect"
import { ServiceBusReceiver } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { readFileSync } from "node:fs"
import type { Page } from "playwright-core"
import { assert, describe } from "../support/vitest.ts"
import { heldBack, type Trial, trials } from "./Trial.ts"

const row = (page: Page, number: number | string) => page.locator(`tr[data-number="${number}"]`)

const numbers = (page: Page) =>
  page.locator("tr[data-number]").evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset["number"]))

const toolbar = (page: Page) => page.getByRole("toolbar")

const dialog = (page: Page) => page.getByRole("dialog")

/** Answers the dialog that is open, and waits until it is gone. */
const confirm = async (page: Page, action: string) => {
  await dialog(page).getByRole("button", { name: action, exact: true }).click()
  await dialog(page).waitFor({ state: "detached" })
}

/** What is told, once it is. */
const told = (page: Page, text: string | RegExp) => page.locator(".toast").filter({ hasText: text }).first().waitFor()

const bodies = async ({ ask }: Trial, entity: string): Promise<ReadonlyArray<unknown>> =>
  (await ask("GET", `/messages?entity=${encodeURIComponent(entity)}`)).map(({ body }: { body: unknown }) => body)

describe("messages on the page", () => {
  const trial = trials()

  trial(
    "have counts that update by themselves, in the tree and in the entity",
    {},
    async ({ bury, open, page, send }) => {
      await open({ entity: "orders" })
      await page.getByText("No message is here.").waitFor()
      await send("orders", { body: "1" }, { body: "2", scheduledEnqueueTime: "2100-01-01T00:00:00Z" })
      await bury("orders", "x", { body: "3" })
      const link = page.getByRole("link", { name: /^orders/ })
      for (const [title, count] of [["Messages", "1"], ["Scheduled", "1 later"], ["Dead letters", "1 dead"]] as const) {
        await link.getByTitle(title, { exact: true }).filter({ hasText: new RegExp(`^${count}$`) }).waitFor()
      }
      await row(page, 1).waitFor()
      await page.getByRole("link", { name: "Dead letters 1" }).waitFor()
      await page.getByText("3 in, 0 out").waitFor()
    }
  )

  trial(
    "are read: JSON with its lines, text, hexadecimal, properties and system properties",
    {},
    async ({ open, page, send }) => {
      const [number] = await send("orders", {
        messageId: "id-1",
        sessionId: "s-1",
        subject: "sub",
        correlationId: "c-1",
        contentType: "application/json",
        timeToLive: "PT2H",
        applicationProperties: { region: "eu", total: { $long: "12" }, when: { $timestamp: "2030-01-01T00:00:00Z" } },
        body: { json: { a: [1, "ä"] } }
      })
      await open({ entity: "orders" })
      await row(page, number!).click()
      const body = page.locator("pre.body")
      await body.waitFor()
      assert.strictEqual(await body.textContent(), JSON.stringify({ a: [1, "ä"] }, null, 2))
      await page.getByRole("button", { name: "Text", exact: true }).click()
      assert.strictEqual(await body.textContent(), `{"a":[1,"ä"]}`)
      await page.getByRole("button", { name: "Hex", exact: true }).click()
      assert.match(
        (await body.textContent())!,
        /^0+ {2}7b 22 61 22 3a 5b 31 2c 22 c3 a4 22 5d 7d .*\{"a":\[1,"\.\."\]\}$/
      )
      const facts = await page.locator(".detail dl").evaluateAll((lists) =>
        Object.fromEntries(
          lists.flatMap((list) =>
            [...list.querySelectorAll("dt")].map((name) => [name.textContent, name.nextElementSibling?.textContent])
          )
        )
      )
      assert.deepInclude(facts, {
        region: "eu",
        total: "12 (long)",
        "Sequence number": "1",
        "Message id": "id-1",
        "Session id": "s-1",
        Subject: "sub",
        "Correlation id": "c-1",
        "Content type": "application/json"
      })
      assert.include(facts["when"], "2030-01-01")
      assert.match(facts["Expires"]!, /in 120 min|in 2 h/)
      // The address leads there again.
      await page.reload()
      await page.getByRole("heading", { name: "Message 1", exact: true }).waitFor()
    }
  )

  trial(
    "of JSON are shown with the numbers and names that were sent, whatever a parser makes of them",
    {},
    async (the) => {
      const { open, page, send } = the
      const text =
        ` {"id": 12345678901234567890, "f":1.10,"a":1,"a": [ ], "n": [-0, 1E400, {}],"s":"a\\u0041 \\" {, :"} `
      const deep = "[".repeat(3000) + "]".repeat(3000)
      await send("orders", { body: { text } }, { body: { text: JSON.stringify({ a: [{ b: null }, []], "": "" }) } }, {
        body: { text: deep }
      })
      await open({ entity: "orders" })
      const body = page.locator("pre.body")
      const shown = async (number: number) => {
        await row(page, number).click()
        await page.getByRole("heading", { name: `Message ${number}`, exact: true }).waitFor()
        return body.textContent()
      }
      assert.strictEqual(
        await shown(1),
        [
          "{",
          `  "id": 12345678901234567890,`,
          `  "f": 1.10,`,
          `  "a": 1,`,
          `  "a": [],`,
          `  "n": [`,
          "    -0,",
          "    1E400,",
          "    {}",
          "  ],",
          `  "s": "a\\u0041 \\" {, :"`,
          "}"
        ].join("\n")
      )
      assert.strictEqual(await shown(2), JSON.stringify({ a: [{ b: null }, []], "": "" }, null, 2))
      assert.isBelow((await shown(3))!.length, 1_000_000)
    }
  )

  trial("are sent, one with all that a sender may say and several at once", {}, async (the) => {
    const { ask, open, page } = the
    await open({ entity: "orders" })
    await page.getByRole("button", { name: "Send…" }).click()
    await dialog(page).getByLabel("Body", { exact: true }).fill(`{"total": 1.50}`)
    await dialog(page).getByLabel("Body is").selectOption("JSON")
    for (const [name, text] of Object.entries({ messageId: "m", subject: "sub", timeToLive: "1 hour" })) {
      await dialog(page).locator(`[name=${name}]`).fill(text)
    }
    await dialog(page).getByRole("button", { name: "Add a property" }).click()
    await dialog(page).getByLabel("Name of the property").fill("count")
    await dialog(page).getByLabel("Type of the property").selectOption("long")
    await dialog(page).getByLabel("Value of the property").fill("x")
    await dialog(page).getByRole("button", { name: "Send", exact: true }).click()
    await dialog(page).getByRole("alert").filter({ hasText: `The property "count": expected a whole number` }).waitFor()
    await dialog(page).getByLabel("Value of the property").fill("9007199254740993")
    await dialog(page).locator("[name=timeToLive]").fill("soon")
    await dialog(page).getByRole("button", { name: "Send", exact: true }).click()
    await dialog(page).getByRole("alert").filter({ hasText: /^Time to live: expected milliseconds/ }).waitFor()
    await dialog(page).locator("[name=timeToLive]").fill("1 hour")
    await confirm(page, "Send")
    await told(page, "1 message sent.")
    await row(page, 1).waitFor()
    const [sent] = await ask("GET", "/messages?entity=orders")
    assert.deepInclude(sent, {
      messageId: "m",
      subject: "sub",
      timeToLive: "PT1H",
      applicationProperties: { count: { $long: "9007199254740993" } },
      body: { text: `{"total": 1.50}` }
    })
    await page.getByRole("button", { name: "Send…" }).click()
    await dialog(page).getByLabel("Body", { exact: true }).fill("many")
    await dialog(page).locator("[name=copies]").fill("20")
    await confirm(page, "Send")
    await told(page, "20 messages sent.")
    await row(page, 21).waitFor()
    assert.strictEqual((await bodies(the, "orders")).length, 21)
  })

  trial("are refused in words where they are too large, and what was written stays", {}, async ({ open, page }) => {
    await open({ entity: "orders" })
    await page.getByRole("button", { name: "Send…" }).click()
    const body = dialog(page).getByLabel("Body", { exact: true })
    await body.fill("x".repeat(300_000))
    await dialog(page).getByRole("button", { name: "Send", exact: true }).click()
    await dialog(page).getByRole("alert").filter({ hasText: /262144|262,144|large/ }).waitFor()
    assert.strictEqual((await body.inputValue()).length, 300_000)
    await body.fill("small")
    await confirm(page, "Send")
    await row(page, 1).waitFor()
  })

  trial("that are dead tell why; several are sent again at once, and one with another body to another queue", {
    entities: [Emulator.entity("orders"), Emulator.entity("returns")]
  }, async (the) => {
    const { ask, bury, open, page } = the
    await bury("orders", "Stock", ...["a", "b", "c", "d"].map((body) => ({ body, messageId: body })))
    await open({ entity: "orders", tab: "dead" })
    await row(page, 1).filter({ hasText: "Stock" }).waitFor()
    for (const number of [1, 3]) await row(page, number).getByRole("checkbox").click()
    await page.getByText("2 chosen").waitFor()
    await toolbar(page).getByRole("button", { name: "Send again…" }).click()
    await confirm(page, "Send again")
    await told(page, "2 messages sent again to ")
    await row(page, 1).waitFor({ state: "detached" })
    assert.deepStrictEqual(await numbers(page), ["2", "4"])
    assert.deepStrictEqual(await bodies(the, "orders"), ["a", "c"].map((text) => ({ text })))
    await row(page, 2).click()
    await page.locator(".detail").getByRole("button", { name: "Repair and send again…" }).click()
    await dialog(page).getByLabel("Send to").selectOption("returns")
    await dialog(page).getByRole("textbox", { name: "Body", exact: true }).fill("repaired")
    await confirm(page, "Send again")
    await told(page, "1 message sent again to ")
    assert.deepStrictEqual(await bodies(the, "returns"), [{ text: "repaired" }])
    assert.notProperty((await ask("GET", "/messages?entity=returns"))[0], "applicationProperties")
  })

  trial(
    "are JSON where their content type says so: one that is none is sent only where that is asked for twice",
    {},
    async (the) => {
      const { bury, open, page } = the
      const contentType = "application/json"
      await bury("orders", "Amount", { body: `{"id": "o-6", "amount": "10"}`, contentType }, {
        body: `{"id": `,
        contentType
      })
      await open({ entity: "orders", tab: "dead" })
      await row(page, 1).click()
      const repair = () => page.locator(".detail").getByRole("button", { name: "Repair and send again…" }).click()
      await repair()
      const kind = dialog(page).getByLabel("Body is")
      assert.strictEqual(await kind.inputValue(), "JSON")
      const text = dialog(page).getByRole("textbox", { name: "Body", exact: true })
      await text.fill(`{"total": "x`)
      const send = dialog(page).getByRole("button", { name: "Send again", exact: true })
      await send.click()
      const problem = dialog(page).getByRole("alert")
      await problem.filter({ hasText: "The body is no JSON" }).waitFor()
      // It is seen where the button is, however long the form.
      assert.isTrue(
        await problem.evaluate((element) => {
          const { left, top } = element.getBoundingClientRect()
          return element.contains(document.elementFromPoint(left + 5, top + 5))
        })
      )
      await text.fill(`{"id": "o-6", "amount": 10}`)
      await send.click()
      await told(page, "1 message sent again to ")
      await row(page, 2).click()
      await repair()
      assert.strictEqual(await kind.inputValue(), "text")
      await text.fill(`{"id": 2`)
      await send.click()
      await problem.filter({ hasText: "Once more, and it is sent as it is" }).waitFor()
      assert.deepStrictEqual(await bodies(the, "orders/$DeadLetterQueue"), [{ text: `{"id": ` }])
      await send.click()
      await dialog(page).waitFor({ state: "detached" })
      assert.deepStrictEqual(await bodies(the, "orders"), [{ json: { id: "o-6", amount: 10 } }, { text: `{"id": 2` }])
    }
  )

  trial("that are repaired and refused stay in their form, which says why and is given up only on purpose", {
    entities: [Emulator.entity("orders"), Emulator.entity("carts", { requiresSession: true })]
  }, async (the) => {
    const { ask, bury, open, page } = the
    await bury("orders", "Amount", { body: "bad" })
    await open({ entity: "orders", tab: "dead" })
    await row(page, 1).click()
    await page.locator(".detail").getByRole("button", { name: "Repair and send again…" }).click()
    const text = dialog(page).getByRole("textbox", { name: "Body", exact: true })
    const send = dialog(page).getByRole("button", { name: "Send again", exact: true })
    const problem = dialog(page).getByRole("alert")
    await text.fill("a long repair")
    await dialog(page).getByLabel("Send to").selectOption("carts")
    await send.click()
    await problem.filter({ hasText: /not sent again to carts:\s*1: .*session/i }).waitFor()
    // Escape asks first, and what is typed then goes on as before.
    await page.keyboard.press("Escape")
    await problem.filter({ hasText: "What was changed here is lost then." }).waitFor()
    assert.strictEqual(await text.inputValue(), "a long repair")
    await text.fill("a longer repair")
    await problem.filter({ hasText: /^$/ }).waitFor({ state: "attached" })
    await dialog(page).getByRole("button", { name: "Cancel", exact: true }).click()
    await dialog(page).getByRole("button", { name: "Discard what was changed" }).waitFor()
    // Meanwhile somebody else takes it.
    await ask("POST", "/messages/delete?entity=orders/$DeadLetterQueue", { sequenceNumbers: ["1"] })
    await dialog(page).getByLabel("Send to").selectOption("orders")
    await send.click()
    await problem.filter({ hasText: "there is no message 1" }).waitFor()
    assert.strictEqual(await text.inputValue(), "a longer repair")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await dialog(page).waitFor({ state: "detached" })
    assert.deepStrictEqual(await bodies(the, "orders"), [])
    // Nothing was changed in this one.
    await page.getByRole("link", { name: /^Messages/ }).click()
    await toolbar(page).getByRole("button", { name: "Send…" }).click()
    await page.keyboard.press("Escape")
    await dialog(page).waitFor({ state: "detached" })
  })

  trial("are chosen with Shift and Ctrl, dead-lettered, deferred and deleted; those that are locked are told of", {
    entities: [Emulator.entity("orders", { lockDuration: "5 minutes" })]
  }, async (the) => {
    const { ask, open, page, run, send } = the
    await send("orders", ...Array.from({ length: 10 }, (_, index) => ({ body: String(index + 1) })))
    await open({ entity: "orders" })
    await row(page, 2).click()
    await row(page, 4).click({ modifiers: ["Shift"] })
    await row(page, 8).click({ modifiers: ["ControlOrMeta"] })
    await page.getByText("4 chosen").waitFor()
    await toolbar(page).getByRole("button", { name: "Dead-letter…" }).click()
    await dialog(page).getByLabel("Reason").fill("Checked")
    await dialog(page).getByLabel("Description").fill("by hand")
    await confirm(page, "Dead-letter")
    await told(page, "4 messages dead-lettered.")
    const dead = await ask("GET", "/messages?entity=orders/$DeadLetterQueue")
    assert.deepStrictEqual(
      dead.map(({ applicationProperties, body }: any) => [body.text, applicationProperties.DeadLetterReason]),
      ["2", "3", "4", "8"].map((text) => [text, "Checked"])
    )
    await row(page, 9).click()
    await toolbar(page).getByRole("button", { name: "Defer", exact: true }).click()
    await told(page, "1 message deferred.")
    await row(page, 9).filter({ hasText: "deferred" }).waitFor()
    // A receiver takes two; the others that are chosen are deleted all the same.
    await run(
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make("orders")
        assert.strictEqual((yield* receiver.receive({ max: 2 })).length, 2)
        yield* Effect.promise(async () => {
          await row(page, 1).filter({ hasText: "locked" }).waitFor()
          await page.getByLabel("Choose all of this page").click()
          await toolbar(page).getByRole("button", { name: "Delete…" }).click()
          await confirm(page, "Delete")
          await told(page, "4 messages deleted.")
          await told(page, /2 messages not deleted:\s*1: .*lock.*\s*5: .*lock/)
          await row(page, 10).waitFor({ state: "detached" })
        })
      }).pipe(Effect.scoped, Effect.provide(Emulator.layerClient))
    )
    assert.deepStrictEqual((await bodies(the, "orders")).map((body: any) => body.text), ["1", "5"])
  })

  trial(
    "that are dead for no reason say so, also where a client gave null for one",
    {},
    async ({ bury, open, page }) => {
      await bury("orders", "x", { body: "dead" })
      await page.route("**/messages?*", async (route) => {
        const [message] = await (await route.fetch()).json()
        const applicationProperties = { DeadLetterReason: null, DeadLetterErrorDescription: null }
        await route.fulfill({ json: [{ ...message, applicationProperties }] })
      })
      await open({ entity: "orders", tab: "dead" })
      await row(page, 1).click()
      await page.locator(".detail .reason").waitFor()
      assert.strictEqual(
        await page.locator(".detail .reason").innerText(),
        "Why it is a dead letter: no reason was given"
      )
    }
  )

  trial("that somebody else has taken are neither chosen nor open for anything any more", {}, async (the) => {
    const { ask, open, page, send } = the
    await send("orders", ...Array.from({ length: 60 }, (_, index) => ({ body: `body ${index + 1}` })))
    const take = (...sequenceNumbers: ReadonlyArray<string>) =>
      ask("POST", "/messages/delete?entity=orders", { sequenceNumbers })
    await open({ entity: "orders" })
    await row(page, 2).click()
    for (const number of [3, 50]) await row(page, number).click({ modifiers: ["ControlOrMeta"] })
    const repair = page.locator(".detail").getByRole("button", { name: "Repair and send again…" })
    await repair.focus()
    await take("2")
    await page.locator(".detail").getByRole("alert").filter({ hasText: "It is not in this list any more." }).waitFor()
    await page.getByText("2 chosen").waitFor()
    // What was in it can still be read.
    assert.strictEqual(await page.locator("pre.body").innerText(), "body 2")
    assert.deepStrictEqual(await page.locator(".detail .row").getByRole("button").allTextContents(), [
      "Close",
      "Copy JSON",
      "Text",
      "Hex"
    ])
    assert.strictEqual(await page.evaluate(() => document.activeElement?.textContent), "Message 2")
    // Of another page it is seen once something is done to them.
    await page.getByRole("button", { name: "Later →" }).click()
    await row(page, 52).waitFor()
    await page.getByText("2 chosen").waitFor()
    await take("3")
    await toolbar(page).getByRole("button", { name: "Delete…" }).click()
    await confirm(page, "Delete")
    await told(page, "1 message deleted.")
    await told(page, "3: there is no message 3")
    await page.getByText("chosen", { exact: false }).waitFor({ state: "detached" })
    assert.isTrue(await toolbar(page).getByRole("button", { name: "Delete…" }).isDisabled())
  })

  trial(
    "are saved as a file that is loaded again, with all that is in them",
    {},
    async ({ ask, bury, go, open, page }) => {
      await bury(
        "orders",
        "why",
        ...["a", "b", "c"].map((body) => ({
          body: { base64: Buffer.from(body).toString("base64") },
          messageId: body,
          applicationProperties: { n: { $long: "1" }, __proto__x: 1 }
        }))
      )
      await open({ entity: "orders", tab: "dead" })
      await row(page, 1).click()
      await row(page, 2).click({ modifiers: ["Shift"] })
      const downloading = page.waitForEvent("download")
      await toolbar(page).getByRole("button", { name: "Save", exact: true }).click()
      const path = await (await downloading).path()
      const dump = JSON.parse(readFileSync(path, "utf8"))
      const before = await ask("GET", "/messages?entity=orders/$DeadLetterQueue")
      assert.deepStrictEqual(dump.entities[0].deadLetters.map(({ messageId }: any) => messageId), ["a", "b"])
      await page.getByRole("button", { name: "Purge…" }).click()
      await confirm(page, "Purge")
      await told(page, "3 messages deleted.")
      await page.getByText("No message of this entity is a dead letter.").waitFor()
      await go({ view: "namespaces" })
      await page.getByLabel("A file with the state of entities").setInputFiles(path)
      await page.getByRole("button", { name: "Load the file…" }).click()
      // What is lost by it is named first.
      await page.getByRole("dialog").getByText("orders: 0 messages").waitFor()
      await page.getByRole("dialog").getByRole("button", { name: "Load", exact: true }).click()
      await told(page, "The entities of the file are as it says.")
      const after = await ask("GET", "/messages?entity=orders/$DeadLetterQueue")
      const timeless = (messages: ReadonlyArray<any>) =>
        messages.map((message) => ({ ...message, enqueuedTime: undefined }))
      assert.deepStrictEqual(timeless(after), timeless(before.slice(0, 2)))
    }
  )

  trial("are purged once somebody says so, and not before", {}, async (the) => {
    const { open, page, send } = the
    await send("orders", { body: "1" }, { body: "2" })
    await open({ entity: "orders" })
    await row(page, 1).waitFor()
    await page.getByRole("button", { name: "Purge…" }).click()
    await dialog(page).getByRole("button", { name: "Cancel" }).click()
    await dialog(page).waitFor({ state: "detached" })
    assert.strictEqual((await bodies(the, "orders")).length, 2)
    await page.getByRole("button", { name: "Purge…" }).click()
    await dialog(page).getByText("All messages here (2) are deleted").waitFor()
    await confirm(page, "Purge")
    await told(page, "2 messages deleted.")
    await page.getByText("No message is here.").waitFor()
    assert.deepStrictEqual(await bodies(the, "orders"), [])
  })

  trial("that are scheduled stand on a time line, are put off, delivered now and taken back", {}, async (the) => {
    const { ask, open, page, send } = the
    const at = (minutes: number) => new Date(Date.now() + minutes * 60_000).toISOString()
    await send(
      "orders",
      ...[10, 20, 30, 600].map((minutes) => ({
        body: String(minutes),
        scheduledEnqueueTime: at(minutes)
      }))
    )
    await open({ entity: "orders", tab: "scheduled" })
    await page.getByRole("img", { name: /^4 messages scheduled, the next one in \d+ min, the last one in 10 h/ })
      .waitFor()
    assert.isAtLeast(await page.locator("svg.picture .bar-mark").count(), 2)
    await row(page, 1).click()
    await toolbar(page).getByRole("button", { name: "Put off…" }).click()
    await dialog(page).locator("[name=by]").fill("soon")
    await dialog(page).getByRole("button", { name: "Put off", exact: true }).click()
    await dialog(page).getByRole("alert").filter({
      hasText: /^By: expected milliseconds, a duration of ISO 8601 such as "PT5M", or words such as "5 minutes"$/
    }).waitFor()
    await dialog(page).locator("[name=by]").fill("2 hours")
    await confirm(page, "Put off")
    await told(page, "1 message put off.")
    const scheduled: ReadonlyArray<any> = await ask("GET", "/scheduled?entity=orders")
    const due = new Map(
      scheduled.map(({ body, scheduledEnqueueTime }) => [body.text, Date.parse(scheduledEnqueueTime)])
    )
    assert.approximately(due.get("10")!, Date.now() + 130 * 60_000, 120_000)
    const byBody = (text: string) =>
      page.locator("tr[data-number]").filter({ has: page.getByText(text, { exact: true }) })
    await byBody("20").click()
    await toolbar(page).getByRole("button", { name: "Deliver now" }).click()
    await told(page, "1 message enqueued.")
    await byBody("20").waitFor({ state: "detached" })
    await byBody("600").click()
    await toolbar(page).getByRole("button", { name: "Take back…" }).click()
    await confirm(page, "Delete")
    await told(page, "1 message deleted.")
    await byBody("600").waitFor({ state: "detached" })
    const states = (await ask("GET", "/messages?entity=orders")).map(({ body, state }: any) => [body.text, state])
    assert.sameDeepMembers(states, [["20", "active"], ["30", "scheduled"], ["10", "scheduled"]])
  })

  trial(
    "that are scheduled are each put off and delivered by themselves, one that has gone meanwhile too",
    {},
    async (the) => {
      const { ask, open, page, send } = the
      const scheduledEnqueueTime = new Date(Date.now() + 3_600_000).toISOString()
      const numbers = await send("orders", ...["a", "b", "c", "d"].map((body) => ({ body, scheduledEnqueueTime })))
      await open({ entity: "orders", tab: "scheduled" })
      await row(page, numbers[0]!).click()
      await row(page, numbers[2]!).click({ modifiers: ["Shift"] })
      await page.getByText("3 chosen").waitFor()
      await toolbar(page).getByRole("button", { name: "Put off…" }).click()
      await ask("POST", "/messages/delete?entity=orders", { sequenceNumbers: [numbers[1]] })
      await dialog(page).locator("[name=by]").fill("2 hours")
      await confirm(page, "Put off")
      await told(page, "2 messages put off.")
      await told(page, `there is no scheduled message ${numbers[1]}`)
      await row(page, numbers[2]!).click()
      await row(page, numbers[3]!).click({ modifiers: ["Shift"] })
      await ask("POST", "/messages/delete?entity=orders", { sequenceNumbers: [numbers[3]] })
      await toolbar(page).getByRole("button", { name: "Deliver now" }).click()
      await told(page, "1 message enqueued.")
      await page.getByText(/\d chosen/).waitFor({ state: "hidden" })
      const states = (await ask("GET", "/messages?entity=orders")).map(({ body, state }: any) => [body.text, state])
      assert.sameDeepMembers(states, [["a", "scheduled"], ["c", "active"]])
    }
  )

  trial("that are deferred are in a list of their own, and are sent again from there", {}, async (the) => {
    const { ask, open, page, send } = the
    const [number] = await send("orders", { body: "deferred" }, { body: "active" })
    await ask("POST", "/messages/defer?entity=orders", { sequenceNumbers: [number] })
    await open({ entity: "orders", tab: "deferred" })
    await row(page, 1).waitFor()
    assert.deepStrictEqual(await numbers(page), ["1"])
    await row(page, 1).click()
    await toolbar(page).getByRole("button", { name: "Send again…" }).click()
    await confirm(page, "Send again")
    await page.getByText("Nothing is deferred.").waitFor()
    const states = (await ask("GET", "/messages?entity=orders")).map(({ body, state }: any) => [body.text, state])
    assert.deepStrictEqual(states, [["active", "active"], ["deferred", "active"]])
  })

  trial(
    "are turned over by pages, forth and back, and the address keeps the page",
    {},
    async ({ open, page, send }) => {
      await send("orders", ...Array.from({ length: 120 }, (_, index) => ({ body: String(index + 1) })))
      await open({ entity: "orders" })
      await row(page, 1).waitFor()
      const turn = async (name: string, first: number) => {
        await page.getByRole("button", { name, exact: true }).click()
        await page.waitForFunction((first) => {
          const row = document.querySelector("tr[data-number]")
          return row instanceof HTMLElement && row.dataset["number"] === String(first)
        }, first)
      }
      await turn("Later →", 51)
      await turn("Later →", 101)
      assert.strictEqual((await numbers(page)).length, 20)
      assert.isTrue(await page.getByRole("button", { name: "Later →" }).isDisabled())
      await turn("← Earlier", 51)
      await page.reload()
      await row(page, 51).waitFor()
      await turn("First", 1)
      await turn("Last", 71)
      assert.strictEqual((await numbers(page)).at(-1), "120")
    }
  )

  trial("stay on the page that was turned to, whatever an answer of before says", {}, async ({ open, page, send }) => {
    await send("orders", ...Array.from({ length: 120 }, (_, index) => ({ body: String(index + 1) })))
    await open({ entity: "orders" })
    await row(page, 1).waitFor()
    const { asked } = await heldBack(page, "/messages/page")
    await send("orders", { body: "another" })
    const goOn = await asked
    await page.getByRole("button", { name: "Later →" }).click()
    await row(page, 51).waitFor()
    await goOn()
    assert.strictEqual((await numbers(page))[0], "51")
    assert.include(page.url(), "from=51")
  })

  for (const [width, isBeside] of [[1280, true], [900, false]] as const) {
    trial(`are read where one looks, ${width} pixels wide, and a page from its start`, {
      context: { viewport: { width, height: 720 } }
    }, async ({ open, page, send }) => {
      await send(
        "orders",
        ...Array.from({ length: 120 }, (_, index) => ({ body: "x".repeat(200), messageId: `m${index}` }))
      )
      await open({ entity: "orders" })
      await row(page, 30).click()
      const title = page.getByRole("heading", { name: "Message 30", exact: true })
      await title.waitFor()
      await page.waitForTimeout(200)
      const { height, x, y } = (await title.boundingBox())!
      assert.isAtLeast(y, 0)
      assert.isBelow(y + height, 360)
      const list = (await page.getByRole("grid").boundingBox())!
      assert.strictEqual(x > list.x + 200, isBeside)
      await page.locator(".detail").getByRole("button", { name: "Close" }).click()
      await page.getByRole("button", { name: "Later →" }).click()
      await row(page, 51).waitFor()
      await page.waitForTimeout(200)
      const first = (await row(page, 51).boundingBox())!
      assert.isTrue(first.y >= 0 && first.y < 400, `the first row is at ${first.y}`)
      // Turned on from there, with nothing between.
      await page.getByRole("button", { name: "Later →" }).click({ timeout: 2000 })
      await row(page, 101).waitFor()
    })
  }

  trial("are sent to a topic, and are in its subscriptions", {
    entities: [{ kind: "topic", name: "news" }, { kind: "subscription", topic: "news", name: "sport" }]
  }, async (the) => {
    const { open, page } = the
    await open({ entity: "news" })
    await page.getByRole("button", { name: "Send…" }).click()
    await dialog(page).getByLabel("Body", { exact: true }).fill("goal")
    await confirm(page, "Send")
    await told(page, "1 message sent.")
    assert.deepStrictEqual(await bodies(the, "news/Subscriptions/sport"), [{ text: "goal" }])
    await page.getByRole("link", { name: /^sport/ }).click()
    await page.getByRole("row").filter({ hasText: "goal" }).waitFor()
  })

  trial("that could not be forwarded have a list of their own, and are sent on from there", {
    entities: [Emulator.entity("orders"), Emulator.entity("elsewhere")]
  }, async (the) => {
    const { open, page, run } = the
    await run(
      Effect.flatMap(
        Emulator.Emulator,
        (emulator) => emulator.failTransfer("orders", [{ body: Buffer.from("lost") }], { reason: "NoSuchEntity" })
      )
    )
    await open({ entity: "orders" })
    await page.getByRole("link", { name: "Transfer dead letters 1" }).click()
    await row(page, 1).filter({ hasText: "NoSuchEntity" }).click()
    await page.getByRole("button", { name: "Text", exact: true }).waitFor()
    await toolbar(page).getByRole("button", { name: "Send again…" }).click()
    await dialog(page).getByLabel("Send to").selectOption("elsewhere")
    await confirm(page, "Send again")
    await told(page, "1 message sent again to ")
    assert.deepStrictEqual(await bodies(the, "elsewhere"), [{ text: "lost" }])
    assert.deepStrictEqual(await bodies(the, "orders/$Transfer/$DeadLetterQueue"), [])
  })

  trial("are copied as the JSON that the control API has of them", {
    context: { permissions: ["clipboard-read", "clipboard-write"] }
  }, async ({ ask, open, page, send }) => {
    await send("orders", { messageId: "m", body: { json: { a: 1 } }, contentType: "application/json" })
    await open({ entity: "orders" })
    await row(page, 1).click()
    await page.getByRole("button", { name: "Copy JSON" }).click()
    await told(page, "The message is on the clipboard.")
    const copied = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()))
    assert.deepStrictEqual(copied, (await ask("GET", "/messages?entity=orders"))[0])
  })
})
