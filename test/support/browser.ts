/** A real browser for tests of the page: Debian's Chromium, or the one that CHROMIUM names. */
import { Effect } from "effect"
import { existsSync } from "node:fs"
import { chromium } from "playwright-core"

/** Where it is; undefined on a machine without one. */
export const path = [process.env["CHROMIUM"], "/usr/bin/chromium"].find((each) =>
  each !== undefined && existsSync(each)
)

/** A browser, until the scope closes. */
export const browser = Effect.acquireRelease(
  Effect.promise(() =>
    chromium.launch({
      executablePath: path!,
      args: ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    })
  ),
  (browser) => Effect.promise(() => browser.close())
)

/** A page of a browser of its own; what goes wrong in it (an error, a broken rule of its content security policy) fails the test. */
export const page = Effect.gen(function*() {
  const opened = yield* browser
  const page = yield* Effect.promise(() => opened.newPage())
  const problems: Array<string> = []
  page.on("pageerror", (error) => problems.push(String(error)))
  page.on("console", (message) => {
    // A refusal of the control API is an answer.
    if (message.type() === "error" && !/status of (4\d\d|5\d\d)/.test(message.text())) problems.push(message.text())
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      if (problems.length > 0) throw new Error(`in the browser: ${problems.join("\n")}`)
    })
  )
  return page
})
