/**
 * Files of a broker's data that are damaged, foreign or mixed up: each opens with all that a broker had that was killed at one
 * moment or another, or is refused with what to do and left as it is, byte for byte. `FUZZ=5000` tries so many damages.
 */
import { Cause, Context, Effect, Exit, Layer } from "effect"
import { ServiceBusReceiver, ServiceBusSender } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { SqliteStore } from "../../../src/emulator/store/SqliteStore.ts"
import type { EmulatorError } from "../../../src/ServiceBusError.ts"
import * as DataFile from "../../support/dataFile.ts"
import { entities, fill } from "../../support/everything.ts"
import { inMemory, Texts } from "../../support/harness.ts"
import { generator } from "../../support/random.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const count = Number(process.env["FUZZ"] ?? 150)
const seed = 20_261_130

/** How long a file may take to be opened or refused, in milliseconds: what hangs takes far longer. */
const patience = 10_000

type Random = (n: number) => number

/** A file, with the log beside it where there is one. */
interface Data {
  readonly file: Buffer
  readonly log: Buffer | undefined
}

/** What a file says that a broker has; of locks, which end with the process, it does not say the same. */
const stateOf = (emulator: Emulator.Emulator["Service"]) =>
  Effect.map(emulator.dump(), (dump) => JSON.stringify(dump).replaceAll(/"deliveryCount":\d+,?/g, ""))

/** Files of a broker that is killed and of one that ends, and what it had with each of its commits. */
const written = Effect.gen(function*() {
  const file = yield* DataFile.file
  const copy = yield* DataFile.file
  const startAt = yield* Emulator.now
  const states = new Set<string>()
  // Before its first commit it has nothing.
  states.add(
    yield* Layer.build(inMemory({ clock: "manual", startAt, entities: [] })).pipe(
      Effect.flatMap((built) => stateOf(Context.get(built, Emulator.Emulator))),
      Effect.scoped
    )
  )
  let emulator: Emulator.Emulator["Service"] | undefined
  const { commit } = SqliteStore.prototype
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      SqliteStore.prototype.commit = function(this: SqliteStore) {
        const isKept = commit.call(this)
        if (emulator !== undefined) states.add(Effect.runSync(stateOf(emulator)))
        return isKept
      }
    }),
    () =>
      Effect.sync(() => {
        SqliteStore.prototype.commit = commit
      })
  )
  const last = yield* Effect.gen(function*() {
    emulator = yield* Emulator.Emulator
    states.add(yield* stateOf(emulator))
    yield* fill
    const sender = yield* ServiceBusSender.make(Texts)
    const receiver = yield* ServiceBusReceiver.make(Texts)
    yield* sender.sendAll(Array.from({ length: 60 }, (_, i) => ({ body: `${i} ${"x".repeat((i * 97) % 3000)}` })))
    yield* receiver.completeAll(yield* receiver.receive({ max: 20 }))
    yield* emulator.createNamespace({ name: "second", entities: [Emulator.entity("other")] })
    yield* emulator.idle
    yield* DataFile.killed(file, copy)
    const last = yield* stateOf(emulator)
    // What it is when it ends is nothing.
    emulator = undefined
    return last
  }).pipe(
    Effect.scoped,
    Effect.provide(inMemory({ clock: "manual", startAt, data: file, entities: [Emulator.entity(Texts), ...entities] }))
  )
  const killed: Data = { file: readFileSync(copy), log: readFileSync(`${copy}-wal`) }
  const ended: Data = { file: readFileSync(file), log: undefined }
  return { killed, ended, last, states, startAt }
})

const flipped = (bytes: Buffer, random: Random, most: number): Buffer => {
  const other = Buffer.from(bytes)
  for (let i = random(most) + 1; i > 0; i--) other[random(bytes.length)]! ^= 1 << random(8)
  return other
}

const page = 4096

const zeroed = (bytes: Buffer, random: Random): Buffer => {
  const other = Buffer.from(bytes)
  const at = random(Math.ceil(bytes.length / page)) * page
  return other.fill(0, at, Math.min(at + page, bytes.length))
}

const swapped = (bytes: Buffer, random: Random): Buffer => {
  const other = Buffer.from(bytes)
  const pages = Math.floor(bytes.length / page)
  const [a, b] = [random(pages) * page, random(pages) * page]
  bytes.copy(other, a, b, b + page)
  bytes.copy(other, b, a, a + page)
  return other
}

const overwritten = (bytes: Buffer, random: Random): Buffer => {
  const other = Buffer.from(bytes)
  const at = random(bytes.length)
  for (let i = random(64); i >= 0 && at + i < bytes.length; i--) other[at + i] = random(256)
  return other
}

const truncated = (bytes: Buffer, random: Random): Buffer =>
  bytes.subarray(0, random(2) === 0 ? random(Math.ceil(bytes.length / page)) * page : random(bytes.length))

const damages: ReadonlyArray<readonly [name: string, damage: (bytes: Buffer, random: Random) => Buffer]> = [
  ["a flipped bit", (bytes, random) => flipped(bytes, random, 1)],
  ["flipped bits", (bytes, random) => flipped(bytes, random, 20)],
  ["a page of zeros", zeroed],
  ["swapped pages", swapped],
  ["other bytes", overwritten],
  ["cut off", truncated],
  ["bytes after its end", (bytes, random) => Buffer.concat([bytes, Buffer.alloc(random(9000), random(256))])]
]

const versioned = ({ file, log }: Data, version: number): Data => {
  const other = Buffer.from(file)
  other.writeUInt32BE(version, 60)
  return { file: other, log }
}

/** Those that open: tables of contents that were left over are made anew, and before a log has a header nothing is in it. */
const taken = {
  "a table of contents of another time": "the last moment",
  "a log that is cut off in its header": "an earlier one",
  "a log that has its size alone": "an earlier one"
} as const

/** Files that are no data, or not of this. */
const foreigners = (killed: Data) =>
  Effect.gen(function*() {
    const file = yield* DataFile.file
    const other = yield* written
    const database = new DatabaseSync(file)
    database.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT); INSERT INTO orders VALUES (1, 'one')")
    database.close()
    return [
      ["a database of another program", { file: readFileSync(file), log: undefined }],
      ["a text", { file: Buffer.from("# Notes\n\n- one\n".repeat(500)), log: undefined }],
      ["a short text", { file: Buffer.from("SQLite"), log: undefined }],
      ["zeros", { file: Buffer.alloc(8192), log: undefined }],
      ["nothing but a log", { file: Buffer.alloc(0), log: killed.log }],
      ["a version that is to come", versioned(killed, 99)],
      ["a version that never was", versioned(killed, 0)],
      ["a log of another program", { file: killed.file, log: Buffer.from("log\n".repeat(5000)) }],
      ["a log that is cut off in its header", { file: killed.file, log: killed.log!.subarray(0, 20) }],
      ["a log that has its size alone", { file: killed.file, log: Buffer.alloc(32) }],
      ["a log of zeros", { file: killed.file, log: Buffer.alloc(killed.log!.length) }],
      ["a log of a file that has ended", {
        file: other.ended.file,
        log: Buffer.concat([killed.log!.subarray(0, 24), Buffer.alloc(8)])
      }],
      ["a table of contents of another time", killed, { "-shm": Buffer.alloc(32_768, 7) }]
    ] as ReadonlyArray<readonly [name: string, data: Data, others?: Readonly<Record<string, Buffer>>]>
  })

interface Outcome {
  readonly exit: Exit.Exit<string, EmulatorError>
  readonly millis: number
}

describe("a file of a broker's data that is not what was written", () => {
  it.effect(
    "is opened with all that the broker had at one moment, or refused and left as it is",
    () =>
      Effect.gen(function*() {
        const { ended, killed, last, startAt, states } = yield* written
        const place = join(yield* DataFile.folder, "place")
        const file = join(place, "data.db")
        const open = (data: Data, others: Readonly<Record<string, Buffer>> = {}): Effect.Effect<Outcome> =>
          Effect.gen(function*() {
            rmSync(place, { recursive: true, force: true })
            mkdirSync(place)
            writeFileSync(file, data.file)
            if (data.log !== undefined) writeFileSync(`${file}-wal`, data.log)
            for (const [end, bytes] of Object.entries(others)) writeFileSync(file + end, bytes)
            const began = performance.now()
            const exit = yield* Layer.build(inMemory({ clock: "manual", startAt, data: file, entities: [] })).pipe(
              Effect.flatMap((built) => stateOf(Context.get(built, Emulator.Emulator))),
              Effect.scoped,
              Effect.exit
            )
            return { exit: exit as Outcome["exit"], millis: performance.now() - began }
          })
        /** Says what is wrong with what came of a file, whose bytes were these. */
        const wrong = ({ exit, millis }: Outcome, before: Record<string, string>, isPrefix: boolean) => {
          if (millis > patience) return `it took ${millis} ms`
          if (Exit.isSuccess(exit)) {
            return exit.value === last || isPrefix && states.has(exit.value)
              ? undefined
              : "it was opened with other things in it"
          }
          const reason = exit.cause.reasons.find((each) => each._tag === "Fail")
          const error = reason?._tag === "Fail" ? reason.error : undefined
          if (error?._tag !== "EmulatorError") return `it died: ${Cause.pretty(exit.cause)}`
          if (
            !/: (give|put|use|make|end)| put | give /.test(error.problem)
          ) return `it says not what to do: ${error.problem}`
          const after = DataFile.bytesOf(file)
          return JSON.stringify(after) === JSON.stringify(before) ?
            undefined :
            `it was refused, and is another: ${
              Object.keys({ ...before, ...after }).filter((name) => after[name] !== before[name]).join(", ")
            } (${error.problem})`
        }
        const findings: Array<string> = []
        const counts = { opened: 0, refused: 0 }
        const judge = Effect.fnUntraced(
          function*(name: string, data: Data, isPrefix: boolean, others: Readonly<Record<string, Buffer>> = {}) {
            rmSync(place, { recursive: true, force: true })
            mkdirSync(place)
            const before: Record<string, string> = {}
            const named = { "data.db": data.file, "data.db-wal": data.log }
            for (const [name, bytes] of Object.entries(named)) {
              if (bytes !== undefined) before[name] = DataFile.sumOf(bytes)
            }
            for (const [end, bytes] of Object.entries(others)) before[`data.db${end}`] = DataFile.sumOf(bytes)
            const sorted = Object.fromEntries(Object.entries(before).toSorted(([a], [b]) => a < b ? -1 : 1))
            const outcome = yield* open(data, others)
            counts[Exit.isSuccess(outcome.exit) ? "opened" : "refused"]++
            const problem = wrong(outcome, sorted, isPrefix)
            if (problem !== undefined) findings.push(`${name}: ${problem}`)
            return outcome
          }
        )
        // As they are, they open.
        assert.strictEqual(Exit.isSuccess((yield* judge("killed", killed, false)).exit), true)
        assert.strictEqual(Exit.isSuccess((yield* judge("ended", ended, false)).exit), true)
        const foreign = yield* foreigners(killed)
        for (const [name, data, others = {}] of foreign) {
          const moment = (taken as Readonly<Record<string, string>>)[name]
          const { exit } = yield* judge(name, data, moment === "an earlier one", others)
          assert.strictEqual(Exit.isSuccess(exit), moment !== undefined, name)
        }
        const random = generator(seed)
        for (let i = 0; i < count; i++) {
          const [name, damage] = damages[random(damages.length)]!
          const where = random(3)
          if (where === 0) {
            yield* judge(`${i}: ${name} in the log`, { ...killed, log: damage(killed.log!, random) }, true)
          } else {
            const whole = where === 1 ? ended : killed
            yield* judge(`${i}: ${name} in the file`, { ...whole, file: damage(whole.file, random) }, false)
          }
        }
        assert.deepStrictEqual(findings, [])
        assert.isAbove(counts.refused, count / 4)
      }),
    600_000
  )
})
