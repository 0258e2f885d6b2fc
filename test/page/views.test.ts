/** What the page has beside messages: sessions, rules, connections, faults, the clock, namespaces, the last hour. */
import { Effect } from "effect"
import { ServiceBusReceiver, ServiceBusRule, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import type { Page } from "playwright-core"
import { Carts } from "../support/sessionEntities.ts"
import { assert, describe } from "../support/vitest.ts"
import { heldBack, signIn, trials } from "./Trial.ts"

const dialog = (page: Page) => page.getByRole("dialog")

const told = (page: Page, text: string | RegExp) => page.locator(".toast").filter({ hasText: text }).first().waitFor()

/** The cells of a table, row by row. */
const cells = (page: Page, label: string | RegExp) =>
  page.getByRole("region", { name: label }).locator("tbody tr").evaluateAll((rows) =>
    rows.map((row) => [...row.children].map((cell) => cell.textContent))
  )

describe("the views of the page", () => {
  const trial = trials()

  trial("show sessions with their state and who holds them, and end a lock", {
    entities: [Emulator.entity(Carts, { lockDuration: "5 minutes" })]
  }, async ({ open, page, run, send }) => {
    await send("carts", { sessionId: "a", body: "1" }, { sessionId: "a", body: "2" }, { sessionId: "<b>", body: "3" })
    await open({ entity: "carts", tab: "sessions" })
    await page.getByRole("row").filter({ hasText: "<b>" }).waitFor()
    await run(
      Effect.gen(function*() {
        const session = yield* ServiceBusSession.accept(Carts, "a")
        yield* session.setState({ items: ["tea"] })
        yield* Effect.promise(async () => {
          await page.reload()
          const row = page.getByRole("row").filter({ hasText: "held until" })
          await row.filter({ hasText: "a" }).waitFor()
          const [[name, messages, , state]] = (await cells(page, "Sessions of carts")).filter((row) =>
            row[2]!.startsWith("held")
          ) as [Array<string>]
          assert.strictEqual(name, "a")
          assert.strictEqual(messages, "2")
          assert.include(state, `"tea"`)
          await row.getByRole("button", { name: "End the lock" }).click()
          await told(page, /The lock of a has ended/)
          await row.waitFor({ state: "detached" })
        })
      }).pipe(Effect.scoped, Effect.provide(Emulator.layerClient))
    )
  })

  trial("stay at the sessions that were turned to, whatever an answer of before says", {
    entities: [Emulator.entity(Carts)]
  }, async ({ open, page, send }) => {
    await send("carts", ...Array.from({ length: 150 }, (_, index) => ({ sessionId: `s${1000 + index}`, body: "x" })))
    await open({ entity: "carts", tab: "sessions" })
    await page.getByRole("row").filter({ hasText: "s1000" }).waitFor()
    const { asked } = await heldBack(page, "/sessions")
    await send("carts", { sessionId: "s1000", body: "another" })
    const goOn = await asked
    await page.getByRole("button", { name: "Later →" }).click()
    await page.getByRole("row").filter({ hasText: "s1149" }).waitFor()
    await goOn()
    assert.strictEqual((await cells(page, "Sessions of carts")).at(-1)![0], "s1149")
  })

  trial("try a rule on the last messages by the broker's own evaluator, tell what is wrong in it, add and remove it", {
    entities: [
      { kind: "topic", name: "news" },
      {
        kind: "subscription",
        topic: "news",
        name: "sport",
        options: { rules: [ServiceBusRule.make("first", ServiceBusRule.sql("region = 'eu'"))] }
      },
      { kind: "subscription", topic: "news", name: "all" }
    ]
  }, async ({ ask, open, page, send }) => {
    await send(
      "news",
      ...["eu", "us", "eu"].map((region, index) => ({
        body: `${region} ${index}`,
        subject: "order",
        applicationProperties: { region, size: index }
      }))
    )
    await open({ entity: "news/Subscriptions/sport", tab: "rules" })
    await page.getByRole("row").filter({ hasText: "region = 'eu'" }).waitFor()
    const filter = page.locator("[name=sql]")
    await filter.fill("region = 'us' AND size >= 1")
    await page.locator("[name=action]").fill("SET size = size + 1; REMOVE region")
    await page.getByRole("button", { name: "Try", exact: true }).click()
    await page.getByText("It takes 1 of the last 3 messages.").waitFor()
    const [[message, , body, changes]] = (await cells(page, "Messages that it takes")) as [Array<string>]
    assert.include(message, "news/Subscriptions/all")
    assert.strictEqual(body, "us 1")
    assert.match(changes!, /size = 2/)
    assert.match(changes!, /region removed/)
    // Nothing was changed by that.
    const [first] = await ask("GET", "/messages?entity=news/Subscriptions/all")
    assert.deepInclude(first.applicationProperties, { region: "eu", size: 0 })
    await filter.fill("region =\n  AND")
    await page.getByRole("button", { name: "Try", exact: true }).click()
    await page.getByText(/The filter is not usable.*line 2/).waitFor()
    await filter.fill("size / 0 = 1")
    await page.getByRole("button", { name: "Try", exact: true }).click()
    await page.getByText(/It takes 0 of the last 3 messages/).waitFor()
    await filter.fill("size < 2")
    await page.locator("[name=action]").fill("")
    await page.locator("[name=name]").fill("small")
    await page.getByRole("button", { name: "Add the rule" }).click()
    await told(page, "The rule small is there")
    await page.getByRole("row").filter({ hasText: "small" }).waitFor()
    await send("news", { body: "new", applicationProperties: { region: "us", size: 1 } })
    assert.strictEqual((await ask("GET", "/messages?entity=news/Subscriptions/sport")).length, 3)
    await page.getByRole("row").filter({ hasText: "first" }).getByRole("button", { name: "Remove…" }).click()
    await dialog(page).getByRole("button", { name: "Remove", exact: true }).click()
    await page.getByRole("row").filter({ hasText: "first" }).waitFor({ state: "detached" })
    assert.deepStrictEqual(
      (await ask("GET", "/rules?entity=news/Subscriptions/sport")).map(({ name }: { name: string }) => name),
      ["small"]
    )
  })

  trial("show who is connected by which links, and cut them", {}, async ({ open, page, run }) => {
    await open({ view: "connections" })
    await page.getByText("No client is connected.").waitFor()
    await run(
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make("orders")
        const receiver = yield* ServiceBusReceiver.make("orders", { prefetch: 7 })
        yield* sender.send({ body: new Uint8Array([1]) })
        assert.strictEqual((yield* receiver.receive()).length, 1)
        yield* Effect.promise(async () => {
          await page.getByText(/^1 connection, \d links?\.$/).waitFor()
          await page.getByRole("cell", { name: "receives", exact: true }).first().waitFor()
          const links = await cells(page, /^Links of/)
          assert.includeMembers(links.map(([, role, entity]) => `${role} ${entity}`), [
            "sends orders",
            "receives orders"
          ])
          await page.getByRole("link", { name: "orders", exact: true }).first().waitFor()
          await page.getByRole("button", { name: "Cut all…" }).click()
          await dialog(page).getByRole("button", { name: "Cut", exact: true }).click()
          await told(page, "All connections were cut.")
        })
        // The client opens another one.
        yield* sender.send({ body: new Uint8Array([2]) })
      }).pipe(Effect.scoped, Effect.provide(Emulator.layerClient))
    )
  })

  trial("have operations go wrong, count what was struck, and take it back", {}, async ({ ask, open, page, run }) => {
    await open({ view: "faults" })
    await page.getByText("Nothing is to go wrong.").waitFor()
    await page.locator("form [name=entity]").selectOption("orders")
    await page.locator("[name=condition]").fill("com.microsoft:message-lock-lost")
    await page.locator("[name=operation]").fill("settle")
    const mistakes = [
      ["times", "abc", "every", "a whole number from 1 on"],
      ["probability", "", "1", "a number above 0 and up to 1"]
    ] as const
    for (const [name, wrong, right, expected] of mistakes) {
      await page.locator(`[name=${name}]`).fill(wrong)
      await page.getByRole("button", { name: "Add the fault" }).click()
      await page.locator("form").getByRole("alert").filter({ hasText: expected }).waitFor()
      await page.locator(`[name=${name}]`).fill(right)
    }
    assert.deepStrictEqual(await ask("GET", "/faults"), [])
    await page.getByRole("button", { name: "Add the fault" }).click()
    await page.getByRole("row").filter({ hasText: "settle" }).waitFor()
    const failed = await run(
      Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make("orders")
        const receiver = yield* ServiceBusReceiver.make("orders")
        yield* sender.send({ body: new Uint8Array([1]) })
        const [message] = yield* receiver.receive()
        return yield* Effect.flip(receiver.complete(message!))
      }).pipe(Effect.scoped, Effect.provide(Emulator.layerClient))
    )
    assert.strictEqual(failed._tag, "MessageLockLostError")
    await page.waitForFunction(() => /[1-9]/.test(document.querySelector("main td:nth-child(4)")?.textContent ?? ""))
    await page.locator("[name=operation]").fill("nonsense")
    await page.getByRole("button", { name: "Add the fault" }).click()
    await page.locator("form").getByRole("alert").filter({ hasText: "operation" }).waitFor()
    await page.getByRole("button", { name: "Take back", exact: true }).click()
    await page.getByText("Nothing is to go wrong.").waitFor()
    assert.deepStrictEqual(await ask("GET", "/faults"), [])
  })

  trial("end the locks of an entity, and detach its links", {
    entities: [Emulator.entity("orders", { lockDuration: "5 minutes" }), Emulator.entity("others")]
  }, async ({ open, page, run, send }) => {
    await open({ view: "faults" })
    const entity = page.locator("label").filter({ hasText: "Entity" }).last().locator("select")
    await run(
      Effect.gen(function*() {
        const receiver = yield* ServiceBusReceiver.make("orders")
        const bystander = yield* ServiceBusReceiver.make("others")
        yield* Effect.promise(() => Promise.all([send("orders", { body: "1" }), send("others", { body: "2" })]))
        const [first] = yield* receiver.receive()
        const [held] = yield* bystander.receive()
        yield* Effect.promise(async () => {
          await page.getByRole("button", { name: "End its locks" }).click()
          await told(page, "Choose an entity.")
          await entity.selectOption("orders")
          await page.getByRole("button", { name: "End its locks" }).click()
          await told(page, "The locks have ended; 1 message will come again.")
        })
        assert.strictEqual((yield* Effect.flip(receiver.complete(first!)))._tag, "MessageLockLostError")
        const [again] = yield* receiver.receive()
        assert.strictEqual(again!.deliveryCount, 1)
        yield* Effect.promise(async () => {
          await page.getByRole("button", { name: "Detach its links" }).click()
          await told(page, "The links of orders were detached.")
          await entity.selectOption("")
          await page.getByRole("button", { name: "Detach its links" }).click()
          await page.locator(".toast.bad").nth(1).filter({ hasText: "Choose an entity." }).waitFor()
        })
        // The receiver attaches again; that of the other entity has not noticed.
        yield* receiver.complete(again!)
        yield* bystander.complete(held!)
        // All of them are detached where somebody says so twice.
        yield* Effect.promise(async () => {
          await page.getByRole("button", { name: "Detach all links…" }).click()
          await dialog(page).getByRole("button", { name: "Detach", exact: true }).click()
          await told(page, "All links were detached.")
        })
      }).pipe(Effect.scoped, Effect.provide(Emulator.layerClient))
    )
  })

  trial("move a manual clock on, so that what was due has happened", {
    clock: "manual",
    entities: [Emulator.entity("orders", { defaultTimeToLive: "90 minutes" })]
  }, async ({ ask, go, open, page, send }) => {
    await open({ view: "clock" })
    const { now } = await ask("GET", "/clock")
    await page.getByText(now).waitFor()
    await send("orders", { body: "1" }, {
      body: "2",
      scheduledEnqueueTime: new Date(Date.parse(now) + 600_000).toISOString()
    })
    await page.locator("[name=by]").fill("no time")
    await page.getByRole("button", { name: "Move on" }).click()
    await page.getByRole("alert").filter({ hasText: /a duration of ISO 8601/ }).waitFor()
    for (const _ of [1, 2, 3]) {
      await page.locator("[name=by]").fill("5 minutes")
      await page.getByRole("button", { name: "Move on" }).click()
      await page.waitForFunction(() => !document.querySelector<HTMLButtonElement>("main form button")!.disabled)
    }
    await page.getByText(new Date(Date.parse(now) + 900_000).toISOString(), { exact: true }).waitFor()
    await go({ entity: "orders" })
    assert.deepStrictEqual(
      (await ask("GET", "/messages?entity=orders")).map(({ state }: { state: string }) => state),
      ["active", "active"]
    )
    await page.getByRole("link", { name: "Settings", exact: true }).click()
    await page.getByText("PT1H30M").waitFor()
    await page.getByRole("heading", { name: "What has happened since the broker started" }).waitFor()
  })

  trial("draw the counts and rates of the last hour", {}, async ({ ask, open, page }) => {
    const { interval, isKept } = await ask("GET", "/samples?entity=orders")
    assert.isTrue(isKept)
    // An hour is not waited for.
    const from = Date.parse("2030-01-01T10:00:00Z")
    const samples = Array.from({ length: 240 }, (_, index) => ({
      at: new Date(from + index * interval).toISOString(),
      active: index,
      scheduled: 0,
      deadLetter: 5,
      received: index % 2 * 75,
      completed: 15
    }))
    await page.route("**/samples?*", (route) => route.fulfill({ json: { interval, isKept, samples } }))
    await open({ entity: "orders", tab: "activity" })
    const counts = page.getByRole("img", {
      name: "Messages over 60 minutes: now 239 active, 5 dead letters, 0 scheduled; at most 239 active."
    })
    await counts.waitFor()
    const heights = async (style: string) =>
      (await counts.locator(`polyline.${style}`).getAttribute("points"))!.split(" ").map((point) =>
        Number(point.split(",")[1])
      )
    // A higher number is nearer to the top.
    const active = await heights("one")
    assert.strictEqual(active.length, 240)
    assert.deepStrictEqual(active, active.toSorted((a, b) => b - a))
    assert.strictEqual(new Set(await heights("two")).size, 1)
    const rates = page.getByRole("img", {
      name: /^Messages a second over 60 minutes: 9000 came in and 3600 went out/
    })
    assert.deepStrictEqual((await rates.locator("text").allTextContents()).slice(0, 2), ["0", "5"])
    assert.deepStrictEqual((await counts.locator("text").allTextContents()).slice(0, 3), ["0", "250", "500"])
  })

  trial("say of a clock that is the real one that it cannot be moved", {}, async ({ open, page }) => {
    await open({ view: "clock" })
    await page.getByRole("button", { name: "Move on" }).click()
    await page.getByRole("alert").filter({ hasText: /manual/ }).waitFor()
  })

  trial(
    "make a namespace, show it, and remove it; reset the one that is shown",
    {},
    async ({ ask, connectionString, open, page, send }) => {
      await send("orders", { body: "1" })
      await open({ view: "namespaces" })
      await page.getByRole("row").filter({ hasText: "default" }).waitFor()
      await page.locator("[name=namespace]").fill("not a name!")
      await page.getByRole("button", { name: "Make it" }).click()
      await page.locator("main .problem").filter({ hasText: /not a name!/ }).waitFor()
      await page.locator("[name=namespace]").fill("team-a")
      await page.getByRole("button", { name: "Make it" }).click()
      await page.getByLabel("Connection string").filter({ hasText: "SharedAccessKey=" }).waitFor()
      await page.getByRole("button", { name: "Show that namespace" }).click()
      await page.locator(".top").getByText("team-a").waitFor()
      await page.getByRole("link", { name: /^orders/ }).click()
      await page.getByText("No message is here.").waitFor()
      // Of namespaces its key is for that one alone: the view has the state of it, and the way back.
      await page.getByRole("link", { name: "Namespaces", exact: true }).click()
      await page.getByText("with a key of the default namespace").waitFor()
      await page.getByRole("button", { name: "Reset…" }).waitFor()
      assert.strictEqual(await page.getByRole("button", { name: "Make it" }).count(), 0)
      await page.getByRole("button", { name: "Back to the namespace before" }).click()
      await page.locator(".top").getByText("RootManageSharedAccessKey").waitFor()
      await page.getByRole("link", { name: "Namespaces", exact: true }).click()
      await page.getByRole("button", { name: "Make it" }).waitFor()
      assert.strictEqual(await page.getByRole("button", { name: "Back to" }).count(), 0)
      await page.getByRole("button", { name: "Sign out" }).click()
      await signIn(page, connectionString)
      await page.getByRole("link", { name: "Namespaces", exact: true }).click()
      await page.getByRole("row").filter({ hasText: "team-a" }).getByRole("button", { name: "Remove…" }).click()
      await dialog(page).getByRole("button", { name: "Remove", exact: true }).click()
      await page.getByRole("row").filter({ hasText: "team-a" }).waitFor({ state: "detached" })
      assert.strictEqual((await ask("GET", "/namespaces")).length, 1)
      await page.getByRole("button", { name: "Reset…" }).click()
      await dialog(page).getByRole("button", { name: "Reset", exact: true }).click()
      await told(page, "1 message")
      assert.deepStrictEqual(await ask("GET", "/messages?entity=orders"), [])
    }
  )

  trial("refuse a file that is none, and say what another one takes the place of", {
    entities: [Emulator.entity("orders"), Emulator.entity("carts", { requiresSession: true })]
  }, async ({ go, open, page }) => {
    await open({ view: "namespaces" })
    const load = async (text: string) => {
      await page.getByLabel("A file with the state of entities").setInputFiles({
        name: "dump.json",
        mimeType: "application/json",
        buffer: Buffer.from(text)
      })
      await page.getByRole("button", { name: "Load the file…" }).click()
    }
    await page.getByRole("button", { name: "Load the file…" }).click()
    await told(page, "Choose a file first.")
    await load("{")
    await told(page, /The file is no JSON/)
    await load(`{"version": 1, "entities": [{"kind": "queue", "name": "x", "colour": "red"}]}`)
    const dialog = page.getByRole("dialog")
    await dialog.getByText("None of them is here yet.").waitFor()
    await dialog.getByRole("button", { name: "Load", exact: true }).click()
    await dialog.getByRole("alert").filter({ hasText: "colour" }).waitFor()
    await page.keyboard.press("Escape")
    await dialog.waitFor({ state: "detached" })
    const entities = ["orders", "carts"].map((name) => ({ kind: "queue", name }))
    await load(JSON.stringify({ version: 1, entities }))
    await dialog.getByRole("listitem").nth(1).waitFor()
    assert.deepStrictEqual(await dialog.getByRole("listitem").allTextContents(), [
      "orders: 0 messages",
      "carts: 0 messages, and the states of its sessions"
    ])
    await page.keyboard.press("Escape")
    await dialog.waitFor({ state: "detached" })
    // What went wrong here is not told elsewhere.
    assert.strictEqual(await page.locator(".toast.bad").count(), 2)
    await go({ entity: "orders" })
    await page.getByText("No message is here.").waitFor()
    assert.strictEqual(await page.locator(".toast").count(), 0)
  })
})
