/**
 * Messages and names that are meant to break a page: whatever stands in them is shown as a text, and nothing of it runs. What
 * every trial looks for (`Trial.ts`) is most of what these are about: no script, no request to elsewhere, no broken policy.
 */
import * as Emulator from "effect-service-bus/emulator"
import type { Page } from "playwright-core"
import { assert, describe } from "../support/vitest.ts"
import { trials } from "./Trial.ts"

const markup = [
  `<img src=x onerror="globalThis.ran='img'">`,
  `</script><script>globalThis.ran='script'</script>`,
  `</pre></dd></td></table><svg onload="globalThis.ran='svg'"><iframe srcdoc="<script>parent.ran='frame'</script>">`,
  `javascript:globalThis.ran='link'`,
  `"onmouseover="globalThis.ran='attribute'" x="`,
  `\${globalThis.ran='template'}{{constructor.constructor("globalThis.ran='angular'")()}}`,
  `<style>*{background:url(https://example.org/leak)}</style><link rel=stylesheet href=https://example.org/leak.css>`,
  `data:text/html,<script>opener.ran='data'</script>`
]

/** Signs that turn the direction of what follows around: a name that reads `exe.txt` may be `txt.exe`. */
const turned = "invoice\u202Efdp.exe\u2066\u200F\u0000\u0007\u001B[31m"

const body = (page: Page) => page.locator("pre.body")

/** Opens a message of the list that is shown, by the keyboard so that no other row is met. */
const openMessage = async (page: Page, number: string) => {
  const row = page.locator(`tr[data-number="${number}"]`)
  await row.focus()
  await page.keyboard.press("Enter")
  await page.getByRole("heading", { name: `Message ${number}`, exact: true }).waitFor()
}

describe("hostile messages", () => {
  const trial = trials()

  trial("cannot become markup: the browser itself refuses it", {}, async ({ open, page, watch }) => {
    await open()
    const refusal = await page.evaluate(() => {
      try {
        document.createElement("div").innerHTML = "<b>x</b>"
        return undefined
      } catch (error) {
        return String(error)
      }
    })
    assert.match(refusal ?? "taken", /TrustedHTML/)
    assert.match(watch.problems.splice(0).join(), /TrustedHTML|trusted/i)
  })

  trial("are texts: markup in bodies, ids, subjects, properties and reasons", {}, async ({ bury, open, page }) => {
    const numbers = await bury(
      "orders",
      markup[0]!,
      ...markup.map((text) => ({
        messageId: text,
        subject: text,
        contentType: text,
        correlationId: text,
        applicationProperties: { [text]: text },
        body: text
      }))
    )
    await open({ entity: "orders", tab: "dead" })
    for (const [index, number] of numbers.entries()) {
      const text = markup[index]!
      await openMessage(page, number)
      const detail = page.locator(".detail")
      assert.strictEqual(await body(page).textContent(), text)
      assert.strictEqual(await detail.locator("dt").filter({ hasText: text }).first().textContent(), text)
      assert.strictEqual(await detail.locator("dd").filter({ hasText: text }).count(), index === 0 ? 6 : 5)
      assert.include(await detail.locator(".reason").innerText(), markup[0]!)
      // Edited, it stands in inputs.
      await detail.getByRole("button", { name: "Repair and send again…" }).click()
      const dialog = page.getByRole("dialog")
      assert.strictEqual(await dialog.getByRole("textbox", { name: "Body", exact: true }).inputValue(), text)
      assert.strictEqual(await dialog.getByLabel("Name of the property").inputValue(), text)
      await page.keyboard.press("Escape")
      await dialog.waitFor({ state: "detached" })
    }
    // Nothing of it became an element, a link or an attribute that runs.
    assert.strictEqual(await page.locator("main :is(img, script, iframe, style, svg:not(.picture))").count(), 0)
    const attributes = await page.evaluate(() =>
      [...document.querySelectorAll("*")].flatMap((element) =>
        [...element.attributes].filter(({ name, value }) => name.startsWith("on") || /^(javascript|data):/.test(value))
          .map(({ name, value }) => `${element.tagName} ${name}=${value}`)
      )
    )
    assert.deepStrictEqual(attributes, [])
  })

  trial("keep their bytes: sent again as they are, none is another one", {}, async ({ ask, bury, open, page }) => {
    const bodies = [
      ...markup.map((text) => ({ text })),
      { text: turned },
      // No UTF-8, and bytes of all values.
      { base64: Buffer.from([0xff, 0xfe, 0xc3, 0x28, 0x00, 0xed, 0xa0, 0x80]).toString("base64") },
      { base64: Buffer.from(Array.from({ length: 256 }, (_, index) => index)).toString("base64") },
      { json: JSON.parse(`{"__proto__": {"a": 1}, "constructor": 1, "b": [null, true, -0.5e300]}`) },
      { text: `{"big": 9007199254740993, "zero": -0.0, "twice": 1, "twice": 2}` },
      { value: null },
      { text: "lines\r\nof\r\nWindows\n" },
      { data: [{ text: "a" }, { base64: "/w==" }] }
    ]
    const contentType = "application/json"
    await bury("orders", "x", ...bodies.map((body) => ({ body, contentType })))
    const before = await ask("GET", "/messages?entity=orders/$DeadLetterQueue")
    await open({ entity: "orders", tab: "dead" })
    for (const { sequenceNumber } of before) {
      await openMessage(page, sequenceNumber)
      await page.locator(".detail").getByRole("button", { name: "Repair and send again…" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Send again", exact: true }).click()
      await page.getByRole("dialog").waitFor({ state: "detached" })
      await page.locator(`tr[data-number="${sequenceNumber}"]`).waitFor({ state: "detached" })
    }
    const after = await ask("GET", "/messages?entity=orders")
    assert.deepStrictEqual(
      after.map(({ body }: { body: unknown }) => body),
      before.map(({ body }: { body: unknown }) => body)
    )
  })

  trial("are shown in hexadecimal where they are no text", {}, async ({ open, page, send }) => {
    const bytes = Buffer.from([0xff, 0xfe, 0x3c, 0x62, 0x3e, 0x00])
    const [number] = await send("orders", { body: { base64: bytes.toString("base64") } })
    await open({ entity: "orders", message: number! })
    await body(page).filter({ hasText: "ff fe 3c 62 3e 00" }).filter({ hasText: "..<b>." }).waitFor()
    await page.getByRole("button", { name: "Text", exact: true }).click()
    await body(page).filter({ hasText: "\uFFFD\uFFFD<b>" }).waitFor()
  })

  trial("may be a megabyte, of one line, and the page stays quick", {
    entities: [Emulator.entity("orders", { maxMessageSize: 2 * 1024 * 1024 } as object)]
  }, async ({ open, page, send }) => {
    const deep = `${"[".repeat(5000)}${"]".repeat(5000)}`
    const [large, nested] = await send(
      "orders",
      { body: "<b>".repeat(350_000) },
      { body: deep, contentType: "application/json" }
    )
    await open({ entity: "orders", message: large! })
    await page.getByText("Only the beginning is shown").waitFor()
    assert.isTrue((await body(page).textContent())!.startsWith("<b><b>"))
    await page.getByRole("button", { name: "Hex", exact: true }).click()
    await body(page).filter({ hasText: "3c 62 3e" }).waitFor()
    await openMessage(page, nested!)
    assert.include(await body(page).textContent(), "[")
  })

  trial(
    "have long and odd properties: 10,000 characters, turned directions, names of Object",
    {},
    async ({ ask, bury, open, page }) => {
      const applicationProperties = JSON.parse(
        JSON.stringify({
          long: "x".repeat(10_000),
          turned,
          constructor: "c",
          toString: "t",
          lines: "a\r\nb\nc",
          "": "none"
        })
          .replace("{", `{"__proto__": "p",`)
      )
      const id = `tr[data-number="1"] > *, #message-title; .detail { display: none }`
      const [number] = await bury("orders", turned, {
        messageId: id,
        subject: `${turned}\r\nof two lines`,
        body: turned,
        applicationProperties
      })
      await open({ entity: "orders", tab: "dead", message: number! })
      const detail = page.locator(".detail")
      await detail.waitFor()
      for (const [name, value] of Object.entries(applicationProperties)) {
        const at = (await detail.locator("dt").allTextContents()).indexOf(name)
        assert.isAbove(at, -1, name)
        assert.strictEqual((await detail.locator("dd").allTextContents())[at], value)
      }
      assert.isTrue((await detail.locator("dd").allTextContents()).includes(id))
      // A name that turns the direction does so for itself alone.
      assert.include(
        ["isolate", "plaintext", "isolate-override"],
        await detail.locator("dd").first().evaluate((dd) => getComputedStyle(dd).unicodeBidi)
      )
      assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth), 0)
      await detail.getByRole("button", { name: "Repair and send again…" }).click()
      await page.getByRole("dialog").getByRole("button", { name: "Send again", exact: true }).click()
      await page.getByText("No message of this entity is a dead letter.").waitFor()
      const [sent] = await ask("GET", "/messages?entity=orders")
      assert.deepStrictEqual(Object.entries(sent.applicationProperties), Object.entries(applicationProperties))
      assert.deepInclude(sent, { messageId: id, subject: `${turned}\r\nof two lines` })
    }
  )

  trial(
    "have values of every AMQP type, which are shown, edited and sent again as what they are",
    {},
    async ({ ask, bury, open, page }) => {
      const applicationProperties = {
        nothing: null,
        yes: true,
        ubyte: { $ubyte: 255 },
        ushort: { $ushort: 65535 },
        uint: { $uint: 4294967295 },
        ulong: { $ulong: "18446744073709551615" },
        byte: { $byte: -128 },
        short: { $short: -32768 },
        int: -2147483648,
        long: { $long: "-9223372036854775808" },
        float: { $float: 0.5 },
        double: { $double: 3 },
        fraction: 0.25,
        infinite: { $double: "Infinity" },
        nan: { $double: "NaN" },
        negative: { $double: "-0" },
        decimal32: { $decimal32: "22500001" },
        decimal64: { $decimal64: "2230000000000001" },
        decimal128: { $decimal128: "22080000000000000000000000000001" },
        char: { $char: "ä" },
        timestamp: { $timestamp: "2030-01-01T00:00:00.001Z" },
        uuid: { $uuid: "0f8fad5b-d9cb-469f-a165-70867728950e" },
        binary: { $binary: "AP8=" },
        symbol: { $symbol: "<b>" },
        text: "text"
      }
      const [number] = await bury(
        "orders",
        "x",
        {
          messageId: { $ulong: "1" },
          correlationId: { $uuid: "0f8fad5b-d9cb-469f-a165-70867728950e" },
          applicationProperties,
          annotations: { "x-map": { $map: [[1, "a"], ["<b>", { $long: "2" }]] } },
          footer: { f: { $symbol: "s" } },
          body: { value: { $array: { of: "uint", items: [1, 2] } } }
        },
        { body: { sequences: [[1, { $long: "2" }], [{ $described: { descriptor: { $symbol: "d" }, value: "v" } }]] } }
      )
      const before = await ask("GET", "/messages?entity=orders/$DeadLetterQueue")
      assert.deepStrictEqual(
        Object.keys(before[0].applicationProperties).length,
        Object.keys(applicationProperties).length + 1
      )
      await open({ entity: "orders", tab: "dead", message: number! })
      const dialog = page.getByRole("dialog")
      for (const { sequenceNumber } of before) {
        await openMessage(page, sequenceNumber)
        await page.locator(".detail").getByRole("button", { name: "Repair and send again…" }).click()
        await dialog.getByRole("button", { name: "Send again", exact: true }).click()
        await Promise.race([
          dialog.waitFor({ state: "detached" }),
          dialog.getByRole("alert").filter({ hasText: /./ }).waitFor().then(async () => {
            throw new Error(await dialog.getByRole("alert").innerText())
          })
        ])
        await page.locator(`tr[data-number="${sequenceNumber}"]`).waitFor({ state: "detached" })
      }
      const after = await ask("GET", "/messages?entity=orders")
      assert.deepStrictEqual(after[0].applicationProperties, applicationProperties)
      for (const name of ["messageId", "correlationId", "annotations", "footer", "body"]) {
        assert.deepStrictEqual(after[0][name], before[0][name], name)
      }
      assert.deepStrictEqual(after[1].body, before[1].body)
    }
  )

  trial(
    "would not run even if they became elements: the policy holds in a browser",
    {},
    async ({ open, page, watch }) => {
      await open()
      await page.evaluate(() => {
        const broken = new Set<string>()
        Object.assign(globalThis, { broken })
        addEventListener("securitypolicyviolation", ({ effectiveDirective }) => broken.add(effectiveDirective))
        /** What the browser refuses it throws, or leaves undone. */
        const put = (tag: string, change: (element: any) => unknown) => {
          const element = document.createElement(tag)
          try {
            change(element)
          } catch {
            // It is told of as a violation too.
          }
          document.body.append(element)
          element.click()
        }
        put("script", (script) => (script.textContent = "globalThis.ran = 'inline'"))
        put("script", (script) => script.append("globalThis.ran = 'appended'"))
        put("script", (script) => (script.src = "https://example.org/script.js"))
        put("img", (image) => (image.src = "https://example.org/leak.png"))
        put("button", (button) => button.setAttribute("onclick", "globalThis.ran = 'attribute'"))
        put("p", (text) => text.setAttribute("style", "background: url(https://example.org/leak.png)"))
        put("iframe", (frame) => (frame.src = "https://example.org/"))
        put("style", (style) => (style.textContent = "* { display: none }"))
        void fetch("https://example.org/").catch(() => {})
      })
      const expected = [
        "connect-src",
        "frame-src",
        "img-src",
        "require-trusted-types-for",
        "style-src-attr",
        "style-src-elem"
      ]
      await page.waitForFunction(
        (expected) => expected.every((each) => (globalThis as unknown as { broken: Set<string> }).broken.has(each)),
        expected
      )
      assert.isUndefined(await page.evaluate(() => globalThis.ran))
      // What was told of here was meant.
      watch.problems.length = 0
    }
  )
})

describe("hostile names", () => {
  const trial = trials()
  const names = [
    "a/b/c",
    "constructor",
    "__proto__",
    "toString",
    "hasOwnProperty",
    "a~b",
    "über.größe",
    "日本語",
    "messages",
    "clock",
    "x-<b>",
    "50%",
    "a&b=c",
    "tr[data-number]"
  ]

  trial("are found, shown, and their messages are theirs", { entities: [] }, async ({ ask, go, open, page, send }) => {
    const taken: Array<string> = []
    for (const name of names) {
      try {
        await ask("POST", "/load", { version: 1, entities: [{ kind: "queue", name }] })
        taken.push(name)
      } catch {
        // The broker has no such name, as the service has none.
      }
    }
    assert.includeMembers(taken, ["a/b/c", "constructor", "toString", "hasOwnProperty", "messages", "clock"])
    for (const name of taken) await send(name, { messageId: `in ${name}`, body: name })
    await open()
    const tree = page.getByRole("navigation", { name: "Entities" })
    for (const name of taken) {
      await tree.getByRole("link").filter({ has: page.getByText(name, { exact: true }) }).click()
      await page.getByRole("heading", { name, exact: true }).waitFor()
      await page.getByRole("row").filter({ hasText: `in ${name}` }).click()
      await body(page).filter({ hasText: name }).waitFor()
      await page.getByRole("link", { name: /^Dead letters/ }).click()
      await page.getByText("No message of this entity is a dead letter.").waitFor()
    }
    // Places that are none.
    for (const entity of ["<img src=x onerror=globalThis.ran=1>", "__proto__/constructor", "%00"]) {
      await go({ entity })
      await page.getByText("There is no such entity").waitFor()
      assert.strictEqual(await page.locator("main h2").textContent(), entity)
    }
    for (const view of ["constructor", "__proto__", "<b>"]) await go({ view })
    await go({ entity: "a/b/c", tab: "__proto__", message: "1; DROP", from: "x", before: "-1" })
    await page.getByRole("heading", { name: "a/b/c", exact: true }).waitFor()
  })
})
