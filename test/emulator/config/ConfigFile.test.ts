/**
 * Whatever a file is, reading it comes to an answer: problems in lines of their own, or entities that the broker takes. Files are
 * made of the examples, with parts that are taken away, doubled, or replaced by something else.
 */
import { Effect, Exit, Result } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Broker from "../../../src/emulator/broker/Broker.ts"
import * as ConfigFile from "../../../src/emulator/config/ConfigFile.ts"
import * as Jsonc from "../../../src/emulator/config/Jsonc.ts"
import { root } from "../../support/codeBlocks.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const examples = ["Config.json", "main.json"].map((name) =>
  readFileSync(join(root, "examples/emulator-config", name), "utf8")
)

const others: ReadonlyArray<unknown> = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1.5,
    1e300,
    "",
    " ",
    "x",
    "PT1M",
    "P14D",
    "true",
    "7",
    "a/b",
    "$Default",
    "news",
    "orders"
  ],
  ...["[", "[]", "[x]", "[parameters('stage')]", "[parameters('no')]", "[variables('lockDuration')]", "[concat('a']"],
  ...[
    "[format('{0}', 1)]",
    "[format('{9}')]",
    "[last(split('a/b', '/'))]",
    "[createObject('a', 1).b]",
    "[[x]",
    "\uE0000\uE001"
  ],
  ...[
    "Sql",
    "CorrelationFilter",
    "1=1",
    "a = = 1",
    "SET a = 1",
    "constructor",
    "__proto__",
    "\uD800",
    "x".repeat(2000)
  ],
  ...[[], {}, [[]], [null], { Name: "q" }, { name: "a/b", type: "Microsoft.ServiceBus/namespaces/queues" }],
  ...[{ existing: true }, { toString: 1 }, { copy: { count: 1 } }, Array.from({ length: 30 }, () => "q")]
]

/** A whole number below another, by the high bits of the generator's: its low ones repeat soon. */
type Random = (below: number) => number

type Mutable = Record<string, unknown> | Array<unknown>

/** A copy with one part of it that is another. */
const changed = (value: unknown, random: Random): unknown => {
  const copy = structuredClone(value)
  const places: Array<readonly [Mutable, string]> = []
  const visit = (at: unknown): void => {
    if (typeof at !== "object" || at === null) return
    for (const name of Object.keys(at)) {
      places.push([at as Mutable, name])
      visit((at as Record<string, unknown>)[name])
    }
  }
  visit(copy)
  if (places.length === 0) return copy
  const [holder, name] = places[random(places.length)]!
  const object = holder as Record<string, unknown>
  switch (random(4)) {
    case 0:
      delete object[name]
      break
    case 1:
      if (Array.isArray(holder)) holder.push(structuredClone(object[name]))
      else object[`${name}${random(2) === 0 ? "s" : ""}`.toUpperCase()] = structuredClone(object[name])
      break
    default:
      object[name] = structuredClone(others[random(others.length)])
  }
  return copy
}

describe("a configuration file", () => {
  it.effect("is refused by its places, or taken by the broker, whatever is in it", () =>
    Effect.gen(function*() {
      const next = generator(4242)
      const random: Random = (below) => Math.floor(next(0x7fffffff) / 0x7fffffff * below)
      let taken = 0
      for (const example of examples) {
        const plain: unknown = JSON.parse(JSON.stringify(Result.getOrThrow(Jsonc.parse(example))))
        for (let round = 0; round < 600; round++) {
          let value = plain
          for (let times = random(4); times >= 0; times--) value = changed(value, random)
          const text = JSON.stringify(value)
          const { entities, problems, warnings } = ConfigFile.read(text)
          for (const words of [...problems, ...warnings]) {
            assert.match(words, /^\S[^\n]* [^\n]+$/, text)
            assert.notMatch(words, /undefined|\[object|NaN/, text)
          }
          if (problems.length > 0) continue
          taken++
          const exit = yield* Effect.exit(Effect.scoped(Broker.make(entities)))
          // What entities come to together is the broker's to say.
          if (Exit.isFailure(exit)) assert.match(String(exit.cause), /forwardTo|forwardDeadLettered/, text)
        }
      }
      assert.isAbove(taken, 100)
    }))

  it("a text that ends anywhere is refused, or is one", () => {
    for (const example of examples) {
      for (let end = 0; end < example.trimEnd().length; end++) {
        const { problems } = ConfigFile.read(example.slice(0, end))
        assert.match(problems[0]!, /^line \d+, column \d+: /)
      }
    }
  })
})
