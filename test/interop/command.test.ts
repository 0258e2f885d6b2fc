/**
 * That the second checklist of `npm run interop` leaves nothing of the command out: every flag is in what its checks start it
 * with, and every program asks for every route.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as CommandLine from "../../src/emulator/CommandLine.ts"
import * as ControlPath from "../../src/emulator/control/ControlPath.ts"
import { assert, describe, it } from "../support/vitest.ts"
import { commandChecks, startsIn } from "./command.ts"

const programs = ["javascript/command.ts", "python/command.py", "go/command.go"]

describe("the checklist of the command", () => {
  it.effect("has every flag", () =>
    Effect.sync(() => {
      const used = new Set(Object.values(startsIn("")).flatMap(({ arguments: flags }) => flags))
      const flags = Array.from(new Set([...CommandLine.usage.matchAll(/--[a-z-]+/g)].map(([flag]) => flag)))
      assert.isAbove(flags.length, 25)
      assert.deepStrictEqual(flags.filter((flag) => !used.has(flag)), ["--help", "--version"])
    }))

  for (const program of programs) {
    const text = readFileSync(join(import.meta.dirname, program), "utf8")

    it.effect(`has every route in ${program}`, () =>
      Effect.sync(() => {
        // After a path its parameters come, or its text ends; after one with a slash at its end a name, or what it is made of.
        const isAsked = (path: string) => {
          const end = path.endsWith("/") ? "[\\w%$\"]" : "[?\"`]"
          return new RegExp(`["\`}]${path.replaceAll(".", "\\.")}${end}`).test(text)
        }
        assert.deepStrictEqual([...ControlPath.paths, "/health"].filter((path) => !isAsked(path)), [])
      }))

    it.effect(`has every check in ${program}`, () =>
      Effect.sync(() => {
        const name = (check: string) =>
          program.endsWith(".py") ? `def ${check.replace("command-", "check_").replaceAll("-", "_")}(` : `"${check}"`
        assert.deepStrictEqual(commandChecks.filter((check) => !text.includes(name(check))), [])
      }))
  }
})
