/** What Microsoft's own client has a broker take, which no contract of ours would: the file gives it back, and so does a dump. */
import type { CorrelationRuleFilter } from "@azure/service-bus"
import { Context, DateTime, Effect, Layer } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import * as DataFile from "../../support/dataFile.ts"
import { inMemory } from "../../support/harness.ts"
import { official } from "../../support/official.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const filters: Readonly<Record<string, CorrelationRuleFilter>> = {
  "a time": { applicationProperties: { at: new Date("2026-03-01T10:00:00.001Z") } },
  "the first time": { applicationProperties: { at: new Date("0001-01-01T00:00:00Z") } },
  "the last time": { applicationProperties: { at: new Date("9999-12-31T23:59:59.999Z") } },
  "an empty text": { correlationId: "" },
  numbers: { applicationProperties: { n: 1.5, large: 2 ** 53, negative: -(2 ** 40), most: Infinity, none: NaN } },
  texts: { applicationProperties: { nul: "a\0b", "": "empty", constructor: "own" } }
}

/** Times that neither .NET has nor an entry of administration. */
const far = [new Date("0000-12-31T23:59:59.999Z"), new Date("-000001-01-01T00:00:00Z"), new Date(8.64e15)]

describe("rules of @azure/service-bus in a file", () => {
  it.live("are after a kill what they were, and so is their dump in another broker", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      const copy = yield* DataFile.file
      const startAt = DateTime.makeUnsafe("2026-02-28T23:59:59.999Z")
      const options = { clock: "manual", startAt } as const
      const before = yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        const rules = (yield* official()).createRuleManager("news", "all")
        for (const [name, filter] of Object.entries(filters)) {
          yield* Effect.promise(() => rules.createRule(name, filter))
        }
        for (const at of far) {
          const error = yield* Effect.promise(() =>
            rules.createRule("far", { applicationProperties: { at } }).then(() => undefined, (error: Error) => error)
          )
          assert.include(error?.message, "a time of the years 1 to 9999")
        }
        yield* DataFile.killed(file, copy)
        return yield* emulator.dump()
      }).pipe(
        Effect.scoped,
        Effect.provide(Emulator.layerServer({
          ...options,
          data: file,
          entities: [{ kind: "topic", name: "news" }, { kind: "subscription", topic: "news", name: "all" }]
        }))
      )
      const started = (data?: string) =>
        Effect.map(
          Layer.build(inMemory({ ...options, entities: [], ...(data === undefined ? {} : { data }) })),
          (context) => Context.get(context, Emulator.Emulator)
        )
      assert.deepStrictEqual(yield* (yield* started(copy)).dump(), before)
      const loaded = yield* started()
      yield* loaded.load(before)
      assert.deepStrictEqual(yield* loaded.dump(), before)
    }).pipe(Effect.scoped))
})
