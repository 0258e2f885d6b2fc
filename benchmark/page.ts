// npm run bench:page [-- --messages N] [--seconds N] [--json FILE]
// The page of the built command in a real Chromium (Debian's, or the one that CHROMIUM names): how long it takes until it shows
// the messages of a large queue, what a turn of a page takes, what it costs the broker that somebody looks, and whether its
// memory stays. Times of the browser depend on what else the machine does; CPU of the broker does less.
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { type BrowserContext, type CDPSession, chromium, type Page } from "playwright-core"
import { machine } from "./process.ts"
import { median } from "./report.ts"

const command = join(import.meta.dirname, "../dist/emulator/cli.js")

const key = "secret"

/** Entities that somebody looks at. */
const entities = 50

interface Broker {
  readonly child: ChildProcess
  readonly origin: string
}

const start = async (flags: ReadonlyArray<string>): Promise<Broker> => {
  const args = ["emulator", "--port", "0", "--admin-port", "0", "--key", key, "--json", ...flags]
  const child = spawn(process.execPath, [command, ...args], { stdio: ["ignore", "pipe", "inherit"] })
  const [line] = await once(child.stdout, "data")
  return { child, origin: `http://127.0.0.1:${JSON.parse(String(line)).amqpPort}` }
}

const stop = async ({ child }: Broker): Promise<void> => {
  const closed = once(child, "close")
  child.kill("SIGTERM")
  await closed
}

/** Milliseconds of a core that all threads of a process have used. */
const cpuOf = (pid: number): number => {
  let nanoseconds = 0
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ")[0])
  }
  return nanoseconds / 1e6
}

/** Milliseconds of a core that all processes of the browser have used. */
const browserCpu = async (session: CDPSession): Promise<number> => {
  const { processInfo } = await session.send("SystemInfo.getProcessInfo")
  return processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0) * 1000
}

const ask = async ({ origin }: Broker, path: string, body?: unknown): Promise<any> => {
  const response = await fetch(`${origin}${path}`, {
    headers: { authorization: `Basic ${btoa(`RootManageSharedAccessKey:${key}`)}` },
    ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) })
  })
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

const messages = (count: number) =>
  Array.from({ length: count }, (_, index) => ({
    messageId: `order-${index}`,
    subject: "order",
    contentType: "application/json",
    applicationProperties: { region: "eu" },
    body: { json: { id: index, total: 9.5, lines: ["tea", "cups"] } }
  }))

/** Opens a place of the page, with somebody signed in. */
const opened = async (context: BrowserContext, { origin }: Broker, place: string): Promise<Page> => {
  const page = await context.newPage()
  const user = JSON.stringify({ name: "RootManageSharedAccessKey", key })
  await page.addInitScript(`sessionStorage.setItem("effect-service-bus", ${JSON.stringify(user)})`)
  await page.goto(`${origin}/${place}`)
  return page
}

/** Evaluated in the page: resolves with the milliseconds since it was opened at which it shows a row, painted. */
const firstRow = `new Promise((resolve) => {
  const look = () => document.querySelector("tr[data-number]") === null
    ? requestAnimationFrame(look)
    : requestAnimationFrame(() => resolve(performance.now()))
  look()
})`

/** Evaluated in the page: presses a button and resolves with the milliseconds until another first row is painted. */
const turn = (button: string) =>
  `new Promise((resolve) => {
  const first = () => document.querySelector("tr[data-number]")?.dataset.number
  const before = first()
  const from = performance.now()
  const look = () => first() === before
    ? requestAnimationFrame(look)
    : requestAnimationFrame(() => resolve(performance.now() - from))
  const button = [...document.querySelectorAll("button")].find(({ textContent }) => textContent === "${button}")
  if (button.disabled) throw new Error("${button} cannot be pressed")
  button.click()
  look()
})`

const rounded = (number: number, digits = 1): number => Math.round(number * 10 ** digits) / 10 ** digits

/** A large queue: how long until it is seen, and turned over. */
const measureLarge = async (context: BrowserContext, count: number) => {
  const broker = await start(["--queue", "orders"])
  try {
    for (let left = count; left > 0; left -= 5000) {
      await ask(broker, "/messages?entity=orders", messages(Math.min(left, 5000)))
    }
    const session = await context.browser()!.newBrowserCDPSession()
    const firsts: Array<number> = []
    const firstCpu: Array<number> = []
    for (let round = 0; round <= 5; round++) {
      const cpu = cpuOf(broker.child.pid!) + await browserCpu(session)
      const page = await opened(context, broker, "#entity=orders")
      const millis: number = await page.evaluate(firstRow)
      if (round > 0) {
        firsts.push(millis)
        firstCpu.push(cpuOf(broker.child.pid!) + await browserCpu(session) - cpu)
      }
      await page.close()
    }
    const page = await opened(context, broker, "#entity=orders")
    await page.evaluate(firstRow)
    const turns: Array<number> = []
    const cpu = cpuOf(broker.child.pid!)
    const browserBefore = await browserCpu(session)
    for (const button of ["Later →", "Last", "← Earlier", "First"]) {
      // Those to the ends turn once only.
      const times = button.length > 5 ? 20 : 1
      for (let round = 0; round < times; round++) turns.push(await page.evaluate(turn(button)))
    }
    const browserPerTurn = (await browserCpu(session) - browserBefore) / turns.length
    const cpuPerTurn = (cpuOf(broker.child.pid!) - cpu) / turns.length
    await page.close()
    return {
      messages: count,
      firstRowMillis: rounded(median(firsts)),
      firstRowMillisAtMost: rounded(Math.max(...firsts)),
      turnMillis: rounded(median(turns)),
      turnMillisAtMost: rounded(Math.max(...turns)),
      brokerCpuMillisPerTurn: rounded(cpuPerTurn, 2),
      browserCpuMillisPerTurn: rounded(browserPerTurn),
      // A page and a process for it are made within this.
      cpuMillisOfFirstRow: rounded(median(firstCpu))
    }
  } finally {
    await stop(broker)
  }
}

/** Percent of a core that the broker uses with nobody looking and with a page open, in turns; idle, and where all counts change. */
const measureLooking = async (context: BrowserContext, seconds: number) => {
  const names = Array.from({ length: entities }, (_, index) => `queue-${index}`)
  const broker = await start(names.flatMap((name) => ["--queue", name]))
  try {
    for (const name of names) await ask(broker, `/messages?entity=${name}`, messages(20))
    const during = async (isBusy: boolean): Promise<number> => {
      const until = performance.now() + seconds * 1000
      const from = performance.now()
      const cpu = cpuOf(broker.child.pid!)
      while (performance.now() < until) {
        if (isBusy) { for (const name of names) await ask(broker, `/messages?entity=${name}`, messages(1)) }
        await sleep(Math.min(2000, Math.max(0, until - performance.now())))
      }
      return 100 * (cpuOf(broker.child.pid!) - cpu) / (performance.now() - from)
    }
    const result: Record<string, number> = {}
    for (const isBusy of [false, true]) {
      const alone: Array<number> = []
      const looked: Array<number> = []
      for (let round = 0; round < 2; round++) {
        alone.push(await during(isBusy))
        const page = await opened(context, broker, "#entity=queue-0")
        await page.evaluate(firstRow)
        // What opening costs is not what looking does.
        await sleep(2000)
        looked.push(await during(isBusy))
        await page.close()
      }
      const what = isBusy ? "PercentBusy" : "PercentIdle"
      result[`alone${what}`] = rounded(median(alone), 2)
      result[`looked${what}`] = rounded(median(looked), 2)
      result[`page${what}`] = rounded(median(looked) - median(alone), 2)
    }
    return { entities, seconds, ...result }
  } finally {
    await stop(broker)
  }
}

/** What the page keeps after so many updates: its time is driven, so that five minutes of them pass sooner. */
const measureMemory = async (context: BrowserContext, updates: number) => {
  const broker = await start(["--queue", "orders", "--queue", "others"])
  try {
    await ask(broker, "/messages?entity=orders", messages(200))
    const page = await context.newPage()
    await page.clock.install()
    const user = JSON.stringify({ name: "RootManageSharedAccessKey", key })
    await page.addInitScript(`sessionStorage.setItem("effect-service-bus", ${JSON.stringify(user)})`)
    await page.goto(`${broker.origin}/#entity=orders&message=1`)
    await page.locator("pre.body").waitFor()
    const session = await context.newCDPSession(page)
    await session.send("Performance.enable")
    const look = async () => {
      await session.send("HeapProfiler.collectGarbage")
      const { metrics } = await session.send("Performance.getMetrics")
      const of = (name: string) => metrics.find((each) => each.name === name)?.value ?? NaN
      return {
        kilobytes: Math.round(of("JSHeapUsedSize") / 1024),
        nodes: of("Nodes"),
        listeners: of("JSEventListeners")
      }
    }
    const update = async (times: number) => {
      for (let round = 0; round < times; round++) {
        await ask(broker, "/messages?entity=orders", messages(1))
        const answered = page.waitForResponse((response) => response.url().includes("/messages/page"))
        await page.clock.runFor(2000)
        await answered
      }
    }
    // Compiled code and caches are there after some.
    await update(20)
    const before = await look()
    await update(updates)
    const after = await look()
    await page.close()
    return { updates, before, after }
  } finally {
    await stop(broker)
  }
}

const main = async (): Promise<void> => {
  const { values } = parseArgs({
    options: {
      messages: { type: "string", default: "100000" },
      seconds: { type: "string", default: "30" },
      updates: { type: "string", default: "150" },
      json: { type: "string" }
    }
  })
  const numberOf = (name: "messages" | "seconds" | "updates"): number => {
    const number = Number(values[name])
    if (!Number.isInteger(number) || number < 1) throw new Error(`--${name}: "${values[name]}" is no number of them`)
    return number
  }
  const [count, seconds, updates] = [numberOf("messages"), numberOf("seconds"), numberOf("updates")]
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
  })
  try {
    const context = await browser.newContext()
    const figures: Record<string, unknown> = {}
    const tell = (name: string, figure: unknown) => {
      figures[name] = figure
      console.log(`${name}: ${JSON.stringify(figure, null, 2)}`)
    }
    tell("machine", machine(["playwright-core"]))
    tell("large", await measureLarge(context, count))
    tell("looking", await measureLooking(context, seconds))
    tell("memory", await measureMemory(context, updates))
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(figures, null, 2)}\n`)
  } finally {
    await browser.close()
  }
}

await main()
