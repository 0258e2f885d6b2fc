/**
 * The Dockerfile and the Compose file of examples/emulator-container say what the command has: its ports, its variables, and a
 * health check that a broker answers. What the Dockerfile makes is run by `.ci/container.mjs`.
 */
import { Effect } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import * as net from "node:net"
import { join } from "node:path"
import * as CommandLine from "../../src/emulator/CommandLine.ts"
import { root } from "../support/codeBlocks.ts"
import { assert, describe, it } from "../support/vitest.ts"

const read = (path: string) => readFileSync(join(root, path), "utf8")
const dockerfile = read("examples/emulator-container/Dockerfile").replaceAll("\\\n", "")
const compose = read("examples/emulator-container/compose.yaml")

/** What an instruction of the Dockerfile says. */
const said = (name: string): string => new RegExp(`^${name} +(.*)$`, "m").exec(dockerfile)![1]!

/** The command's reading of variables. */
const served = (variables: Readonly<Record<string, string>>) =>
  Effect.flatMap(
    CommandLine.read(["emulator"], variables),
    (read) => read._tag === "Serve" ? Effect.succeed(read) : Effect.die("no help was asked for")
  )

const checkOf = JSON.parse(/CMD (\[.*\])/.exec(said("HEALTHCHECK"))![1]!) as ReadonlyArray<string>

/** What the check of the health comes to, where the broker has a port. */
const health = (args: ReadonlyArray<string>, port: number) =>
  Effect.callback<number>((resume) => {
    spawn(process.execPath, [...args], { env: { EFFECT_SERVICE_BUS_PORT: String(port) } })
      .once("close", (code) => resume(Effect.succeed(code!)))
  })

describe("the container", () => {
  it.effect("exposes the ports that the command has by default", () =>
    Effect.gen(function*() {
      const { server } = yield* served({})
      assert.deepStrictEqual(said("EXPOSE").split(" ").map(Number), [server.port, server.httpPort])
      const mapped = Array.from(compose.matchAll(/- "127\.0\.0\.1:(\d+):(\d+)"/g), ([, ...ports]) => ports.map(Number))
      assert.deepStrictEqual(mapped, [server.port, server.httpPort].map((port) => [port, port]))
    }))

  it.effect("is given variables that the command has", () =>
    Effect.sync(() => {
      const text = dockerfile + compose + read("docs/emulator-containers.md")
      const names = new Set(text.match(/\bEFFECT_SERVICE_BUS_[A-Z_]+/g))
      assert.isAbove(names.size, 3)
      const flags = CommandLine.usage.match(/--[a-z-]+/g)!
      const known = new Set(
        flags.map((flag) => `EFFECT_SERVICE_BUS_${flag.slice(2).toUpperCase().replaceAll("-", "_")}`)
      )
      const unknown = [...names].filter((name) => !known.has(name))
      assert.deepStrictEqual(unknown, [])
    }))

  it.effect("starts with an entry point and variables that the command takes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(JSON.parse(said("ENTRYPOINT")), ["node", "cli.js", "emulator"])
      const pairs = Array.from(compose.matchAll(/^ {6}(EFFECT_\w+): (\S+)$/gm), ([, name, value]) => [name!, value!])
      const [name, value] = said("ENV").split("=")
      const { names, server, warnings } = yield* served(Object.fromEntries([...pairs, [name!, value!]]))
      assert.deepStrictEqual(warnings, [])
      assert.strictEqual(server.host, "0.0.0.0")
      assert.deepStrictEqual(names, ["orders", "news", "news/all"])
    }))

  it.live("is healthy where the broker answers, and not where nothing does", () =>
    Effect.gen(function*() {
      assert.strictEqual(checkOf[0], "node")
      const { port } = yield* Emulator.Emulator
      assert.strictEqual(yield* health(checkOf.slice(1), port), 0)
      const closed = yield* Effect.callback<number>((resume) => {
        const server = net.createServer().listen(0, "127.0.0.1", () => {
          const { port } = server.address() as net.AddressInfo
          server.close(() => resume(Effect.succeed(port)))
        })
      })
      assert.strictEqual(yield* health(checkOf.slice(1), closed), 1)
    }).pipe(Effect.provide(Emulator.layerServer({ entities: [] }))))

  it("has one check of its health", () => {
    const [, script] = /- -e\n\s+- '(.*)'\n/.exec(compose)!
    const ofDockerfile = checkOf[2]!.replace("${process.env.EFFECT_SERVICE_BUS_PORT || 5672}", "5672")
    assert.strictEqual(script!.replaceAll("\"", "`"), ofDockerfile)
    for (const time of ["interval", "timeout", "start-period", "retries"]) {
      const [, value] = new RegExp(`--${time}=(\\w+)`).exec(said("HEALTHCHECK"))!
      assert.include(compose, `      ${time.replace("-", "_")}: ${value}\n`)
    }
    // Docker Engine before 25 refuses it, and so do Podman and Buildah: an image could not be built at all.
    assert.notMatch(said("HEALTHCHECK") + compose, /start[-_]interval/)
  })
})
