/** The curl lines of the page: every one runs as it stands there, and there is one for each route. */
import { Effect, Layer, Redacted } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { execFile } from "node:child_process"
import { readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { api } from "../../../src/emulator/control/ControlApi.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const text = readFileSync(new URL("../../../docs/emulator-http.md", import.meta.url), "utf8")

const lines = [...text.matchAll(/^curl .*$/gm)].map(([line]) => line)

const key = "secret"

/** Runs a line of a shell and gives what it prints; fails where the answer is a refusal. */
const run = (line: string, env: Record<string, string>) =>
  Effect.callback<string, Error>((resume) => {
    const child = execFile("sh", ["-c", line.replace(/^curl/, "curl -sS --fail-with-body --max-time 20")], {
      env: { ...process.env, ...env }
    }, (error, out, problems) => {
      resume(error === null ? Effect.succeed(out) : Effect.fail(new Error(`${line}\n${out}${problems}`)))
    })
    return Effect.sync(() => child.kill())
  })

describe("the page of the control API", () => {
  it("has a line for each route", () => {
    const asked = new Set(lines.map((line) => {
      const method = /-X (\w+)/.exec(line)?.[1] ?? (line.includes(" -d ") ? "POST" : "GET")
      return `${method} ${/http:\/\/localhost:5300([^\s"?]*)/.exec(line)![1]}`
    }))
    const routes = Object.values(api.groups).flatMap((group) =>
      Object.values(group.endpoints as Record<string, { readonly method: string; readonly path: string }>).map((
        { method, path }
      ) => [method, path] as const)
    )
    for (const [method, path] of routes) {
      const pattern = new RegExp(`^${method} ${path.replace(/:\w+/, "[^/]+")}$`)
      assert.isTrue([...asked].some((each) => pattern.test(each)), `${method} ${path} has no line`)
    }
  })

  it.live("runs, line by line", () =>
    Effect.gen(function*() {
      const { httpPort } = yield* Emulator.Emulator
      const folder = join(tmpdir(), `effect-service-bus-dump-${httpPort}.json`)
      for (const line of lines) {
        const mine = line.replace("localhost:5300", `127.0.0.1:${httpPort}`)
          .replace("/tmp/effect-service-bus-dump.json", folder)
        const out = yield* run(mine, { EMULATOR: `RootManageSharedAccessKey:${key}` })
        if (out !== "") assert.doesNotThrow(() => void JSON.parse(out), line)
      }
      yield* run(`rm -f ${folder}`, {})
    }).pipe(Effect.provide(
      Emulator.layerServer({
        entities: [
          Emulator.entity("orders"),
          Emulator.entity("carts", { requiresSession: true }),
          { kind: "topic", name: "news" },
          { kind: "subscription", topic: "news", name: "sport" }
        ],
        key: Redacted.make(key),
        httpPort: 0,
        clock: "manual"
      }).pipe(Layer.orDie)
    )), 60_000)
})
