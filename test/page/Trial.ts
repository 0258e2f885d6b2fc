/**
 * A trial of the page: a broker that listens, and a page of it in a real browser. The tests of a file share one browser; each
 * has a broker of its own and a profile of its own.
 *
 * Whatever a trial is about, nothing that came from the broker may run, nothing may break the content security policy, and no
 * request may leave the broker: each is looked for in every trial, and fails it.
 */
import { Effect, Layer, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { existsSync } from "node:fs"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { afterAll, beforeAll } from "vitest"
import { basic } from "../support/controlApi.ts"
import { it } from "../support/vitest.ts"

/** Debian's Chromium, or the one that CHROMIUM names. */
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium"

/** Launches a browser; whoever does closes it. */
export const launch = (): Promise<Browser> => {
  if (!existsSync(executablePath)) {
    throw new Error(`there is no browser at ${executablePath}: install chromium, or name one by CHROMIUM`)
  }
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
  })
}

/** Set by whatever a hostile message or name gets to run. */
declare global {
  var ran: unknown
}

/** What an open page has done that no page may do. */
export interface Watch {
  readonly problems: Array<string>
  /** The targets of its requests. */
  readonly requests: Array<string>
}

/** Looks for what no page may do. */
export const watch = (page: Page, origin: string): Watch => {
  const problems: Array<string> = []
  const requests: Array<string> = []
  page.on("pageerror", (error) => problems.push(`an error of a script: ${error.stack ?? error}`))
  page.on("console", (message) => {
    // A refusal of the control API is an answer, and a broker that is gone refuses connections.
    if (message.type() !== "error" || /status of [45]\d\d|net::ERR_/.test(message.text())) return
    problems.push(`on the console: ${message.text()}`)
  })
  page.on("dialog", (dialog) => {
    problems.push(`a dialog of a script: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on("popup", (popup) => problems.push(`a window was opened: ${popup.url()}`))
  page.on("request", (request) => {
    requests.push(request.url())
    // What is saved is made in the page itself.
    if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith(`blob:${origin}/`)) {
      problems.push(`a request to elsewhere: ${request.url()}`)
    }
  })
  return { problems, requests }
}

export interface Trial {
  readonly page: Page
  readonly origin: string
  readonly connectionString: string
  readonly key: string
  readonly watch: Watch
  readonly controls: (typeof Emulator.Emulator)["Service"]
  /** Asks the control API, and fails where it refuses. */
  readonly ask: (method: "GET" | "POST" | "DELETE", path: string, body?: unknown) => Promise<any>
  /** Sends messages in the JSON of the control API; gives their sequence numbers. */
  readonly send: (entity: string, ...messages: ReadonlyArray<unknown>) => Promise<ReadonlyArray<string>>
  /** Sends them and dead-letters them. */
  readonly bury: (entity: string, reason: string, ...messages: ReadonlyArray<unknown>) => Promise<ReadonlyArray<string>>
  /** Runs an effect with the broker's client and controls. */
  readonly run: <A, E>(effect: Effect.Effect<A, E, Emulator.Emulator>) => Promise<A>
  /** Signs in, and shows a place of the page. */
  readonly open: (place?: Readonly<Record<string, string>>) => Promise<void>
  /** Shows another place. */
  readonly go: (place: Readonly<Record<string, string>>) => Promise<void>
}

export interface Given extends Omit<Emulator.ServerOptions, "entities"> {
  readonly entities?: Emulator.ServerOptions["entities"]
  /** Of the browser's profile: its size, its colours. */
  readonly context?: BrowserContextOptions
}

/** The address of a place of the page, behind its #. */
export const placeOf = (place: Readonly<Record<string, string>>): string => `#${new URLSearchParams(place)}`

/** Signs in by the form, with a connection string. */
export const signIn = async (page: Page, connectionString: string): Promise<void> => {
  await page.getByLabel("Connection string").fill(connectionString)
  await page.getByRole("button", { name: "Show the broker" }).click()
  await page.getByRole("navigation", { name: "Entities" }).waitFor()
}

/** Holds back the next request for a path. Once it was made `asked` gives what lets it go, which is over when the page has it. */
export const heldBack = async (page: Page, path: string): Promise<{ readonly asked: Promise<() => Promise<void>> }> => {
  let hold = (_goOn: () => Promise<void>) => {}
  const asked = new Promise<() => Promise<void>>((resolve) => {
    hold = resolve
  })
  await page.route((url) => url.pathname === path, (route) => {
    const request = route.request()
    const answered = page.waitForEvent("requestfinished", (each) => each === request)
    hold(async () => {
      await route.continue()
      await answered
      // What the page makes of it comes after it has the text.
      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 100)))
    })
  }, { times: 1 })
  return { asked }
}

/** Trials that share a browser: to be called at the top of a file or `describe`. Gives what defines one. */
export const trials = (): (name: string, given: Given, run: (trial: Trial) => Promise<void>) => void => {
  let browser: Browser
  beforeAll(async () => {
    browser = await launch()
  })
  afterAll(() => browser?.close())
  return (name, { context, entities = [Emulator.entity("orders")], ...server }, run) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const controls = yield* Emulator.Emulator
        const services = yield* Effect.context<Emulator.Emulator>()
        const opened = yield* Effect.acquireRelease(
          Effect.promise(() => browser.newContext(context)),
          (opened) => Effect.promise(() => opened.close())
        )
        const page = yield* Effect.promise(() => opened.newPage())
        const origin = `http://127.0.0.1:${controls.port}`
        const connectionString = Redacted.value(controls.connectionString)
        const key = /SharedAccessKey=([^;]*)/.exec(connectionString)![1]!
        const watched = watch(page, origin)
        const ask: Trial["ask"] = async (method, path, body) => {
          const response = await fetch(`${origin}${path}`, {
            method,
            headers: { authorization: basic(`RootManageSharedAccessKey:${key}`) },
            ...(body === undefined ? {} : { body: JSON.stringify(body) })
          })
          const text = await response.text()
          if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
          return text === "" ? undefined : JSON.parse(text)
        }
        const send: Trial["send"] = async (entity, ...messages) =>
          (await ask("POST", `/messages?entity=${encodeURIComponent(entity)}`, messages)).sequenceNumbers
        const trial: Trial = {
          page,
          origin,
          connectionString,
          key,
          watch: watched,
          controls,
          ask,
          send,
          bury: async (entity, reason, ...messages) => {
            const sequenceNumbers = await send(entity, ...messages)
            await ask("POST", `/messages/dead-letter?entity=${encodeURIComponent(entity)}`, { sequenceNumbers, reason })
            return sequenceNumbers
          },
          run: (effect) => Effect.runPromise(Effect.provide(effect, services)),
          open: async (place = {}) => {
            await page.goto(`${origin}/${placeOf(place)}`)
            await signIn(page, connectionString)
          },
          go: async (place) => {
            await page.goto(`${origin}/${placeOf(place)}`)
          }
        }
        yield* Effect.promise(() => run(trial))
        const ran = yield* Effect.promise(() => page.evaluate(() => globalThis.ran).catch(() => undefined))
        if (ran !== undefined) watched.problems.push(`a script of a message ran: ${String(ran)}`)
        if (watched.problems.length > 0) throw new Error(watched.problems.join("\n"))
      }).pipe(Effect.scoped, Effect.provide(Layer.orDie(Emulator.layerServer({ entities, ...server })))))
}
