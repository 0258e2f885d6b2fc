/** A file that cannot be a broker's data is refused, with what to do, and left as it is. */
import { Effect, Layer } from "effect"
import type { ServiceBusError } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as DataFile from "../../support/dataFile.ts"
import { entities, fill } from "../../support/everything.ts"
import { inMemory, Texts } from "../../support/harness.ts"
import { assert, describe, it } from "../../support/vitest.ts"

/** Why a broker with this file does not start. */
const refusalOf = (data: Emulator.Options["data"]): Effect.Effect<ServiceBusError.EmulatorError> =>
  Effect.flip(Effect.scoped(Layer.build(inMemory({ entities: [], data })))).pipe(
    Effect.catchCause(() => Effect.die(new Error("it has started")))
  )

/** A file of a broker that has ended. */
const filled = Effect.gen(function*() {
  const file = yield* DataFile.file
  yield* Effect.scoped(
    Effect.provide(fill, inMemory({ entities: [Emulator.entity(Texts), ...entities], data: file }))
  )
  return file
})

describe("a file", () => {
  it.effect("that is no database is refused as it is", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      fs.writeFileSync(file, "the letters of a friend")
      const before = DataFile.bytesOf(file)
      assert.include((yield* refusalOf(file)).problem, "is no file of this broker, and is left as it is")
      assert.deepStrictEqual(DataFile.bytesOf(file), before)
    }))

  it.effect("of another program is refused as it is, with its log", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      const source = yield* DataFile.file
      const other = new DatabaseSync(source)
      other.exec("PRAGMA journal_mode = WAL; CREATE TABLE friend (name); INSERT INTO friend VALUES ('Ada')")
      yield* DataFile.killed(source, file)
      other.close()
      const before = DataFile.bytesOf(file)
      assert.deepStrictEqual(Object.keys(before), ["data.db", "data.db-wal"])
      assert.include((yield* refusalOf(file)).problem, "is a database of another program")
      assert.deepStrictEqual(DataFile.bytesOf(file), before)
    }))

  it.effect("of a newer release is refused as it is", () =>
    Effect.gen(function*() {
      const file = yield* filled
      const newer = new DatabaseSync(file)
      newer.exec("PRAGMA user_version = 2")
      newer.close()
      const before = DataFile.bytesOf(file)
      assert.include((yield* refusalOf(file)).problem, "was written by a newer release (its version is 2")
      assert.deepStrictEqual(DataFile.bytesOf(file), before)
    }))

  it.effect("of an older form, which no release has written, is refused as it is", () =>
    Effect.gen(function*() {
      const file = yield* filled
      const older = new DatabaseSync(file)
      older.exec("PRAGMA user_version = 0")
      older.close()
      const before = DataFile.bytesOf(file)
      assert.include((yield* refusalOf(file)).problem, "is of version 0, which this release does not read")
      assert.deepStrictEqual(DataFile.bytesOf(file), before)
    }))

  it.effect("that is damaged anywhere is refused as it is, or what it holds is whole", () =>
    Effect.gen(function*() {
      const good = yield* filled
      const bytes = fs.readFileSync(good)
      const dump = (data: string) =>
        Effect.flatMap(Emulator.Emulator, (emulator) => emulator.dump()).pipe(
          Effect.provide(inMemory({ entities: [], data, clock: "manual" })),
          Effect.scoped
        )
      const copy = yield* DataFile.file
      fs.writeFileSync(copy, bytes)
      const whole = JSON.stringify(yield* dump(copy))
      let refused = 0
      // Primes, so that all columns of all tables are struck somewhere.
      for (let at = 16; at < bytes.length; at += at < 100 ? 1 : 293) {
        const file = yield* DataFile.file
        const damaged = Buffer.from(bytes)
        damaged[at]! ^= 0x55
        fs.writeFileSync(file, damaged)
        const before = DataFile.bytesOf(file)
        const outcome = yield* Effect.result(dump(file))
        if (outcome._tag === "Success") assert.strictEqual(JSON.stringify(outcome.success), whole, `byte ${at}`)
        else {
          refused += 1
          assert.strictEqual(outcome.failure._tag, "EmulatorError")
          assert.match(outcome.failure.problem, /is damaged \(|cannot be opened|is no file|another program|version/)
          assert.deepStrictEqual(DataFile.bytesOf(file), before, `byte ${at}`)
        }
      }
      assert.isAbove(refused, 20)
    }), 120_000)

  it.effect("with another value in any column of any table is refused, byte for byte as it is", () =>
    Effect.gen(function*() {
      const file = yield* filled
      const source = new DatabaseSync(file, { readOnly: true })
      const rows = (sql: string) => source.prepare(sql).all() as ReadonlyArray<Record<string, string>>
      const others = [
        "CASE typeof(v) WHEN 'text' THEN v || 'x' WHEN 'blob' THEN v || x'00' WHEN 'null' THEN 1 ELSE v + 1 END",
        // The same bytes of another type.
        "CASE typeof(v) WHEN 'text' THEN CAST(v AS BLOB) WHEN 'blob' THEN CAST(v AS TEXT) WHEN 'null' THEN 1 ELSE v + 1 END"
      ]
      const tried: Array<string> = []
      for (const { name: table } of rows("SELECT name FROM sqlite_schema WHERE type = 'table'")) {
        for (const { name: column } of rows(`PRAGMA table_info(${table})`)) {
          for (const other of others) {
            const copy = yield* DataFile.file
            fs.copyFileSync(file, copy)
            const database = new DatabaseSync(copy)
            // The last one, so that its key is free after that; one that has a value, where there is one.
            const which = `SELECT ${column} FROM ${table} ORDER BY ${column} DESC LIMIT 1`
            const set = `${column} = ${other.replaceAll(/\bv\b/g, column!)}`
            const { changes } = database.prepare(`UPDATE ${table} SET ${set} WHERE ${column} IS (${which})`).run()
            database.close()
            assert.notStrictEqual(changes, 0, `${table}.${column}`)
            const before = DataFile.bytesOf(copy)
            assert.include((yield* refusalOf(copy)).problem, `of ${table} is not what was written`, `${table} ${set}`)
            assert.deepStrictEqual(DataFile.bytesOf(copy), before)
          }
          tried.push(`${table}.${column}`)
        }
      }
      source.close()
      assert.includeMembers(tried, [
        "entity.namespace",
        "message.flags",
        "payload.body",
        "session.state",
        "duplicate.until"
      ])
    }))

  it.effect("with tables of another form is refused, though SQLite reads them", () =>
    Effect.gen(function*() {
      const file = yield* filled
      const bytes = fs.readFileSync(file)
      const at = bytes.indexOf("message_id TEXT") + "message_id ".length
      bytes.write("U", at)
      fs.writeFileSync(file, bytes)
      assert.include((yield* refusalOf(file)).problem, "its tables are not what was written")
    }))

  it.effect("with messages in no entity is refused as it is, by the number of the first", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      yield* Effect.gen(function*() {
        const emulator = yield* Emulator.Emulator
        yield* emulator.send("orders", [{ body: Buffer.from("x") }])
      }).pipe(
        Effect.provide(inMemory({ entities: [Emulator.entity("orders"), Emulator.entity("others")], data: file })),
        Effect.scoped
      )
      const database = new DatabaseSync(file)
      database.exec("DELETE FROM entity WHERE content LIKE '%\"orders\"%'")
      database.close()
      const before = DataFile.bytesOf(file)
      assert.include(
        (yield* refusalOf(file)).problem,
        "what was stored cannot be read (the message 1 is in a queue that is not there)"
      )
      assert.deepStrictEqual(DataFile.bytesOf(file), before)
    }))

  it.effect("that another broker has is refused, and is free with its end", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(inMemory({ entities: [], data: file }))
        const { problem, reason } = yield* refusalOf(file)
        assert.include(problem, "is in use by another process")
        assert.strictEqual(reason, "unavailable")
        // A second one in this process has not taken the lock of the first with it.
        const write = `new (require("node:sqlite").DatabaseSync)(process.argv[1]).exec("BEGIN IMMEDIATE")`
        const other = spawnSync(process.execPath, ["--no-warnings", "-e", write, file], { encoding: "utf8" })
        assert.include(other.stderr, "database is locked")
      }))
      yield* Effect.scoped(Layer.build(inMemory({ entities: [], data: file })))
    }))

  it.effect("that is the database of another part of this process is refused, and its locks stay", () =>
    Effect.gen(function*() {
      const file = yield* DataFile.file
      const database = new DatabaseSync(file)
      database.exec("CREATE TABLE orders (id); BEGIN IMMEDIATE; INSERT INTO orders VALUES (1)")
      assert.include((yield* refusalOf(file)).problem, "is a database of another program")
      const write = `new (require("node:sqlite").DatabaseSync)(process.argv[1]).exec("BEGIN IMMEDIATE")`
      const other = spawnSync(process.execPath, ["--no-warnings", "-e", write, file], { encoding: "utf8" })
      assert.include(other.stderr, "database is locked")
      database.exec("COMMIT")
      database.close()
    }))

  it.effect("has a folder, and is one", () =>
    Effect.gen(function*() {
      const folder = yield* DataFile.folder
      const missing = path.join(folder, "not/there.db")
      assert.include((yield* refusalOf(missing)).problem, `make "${path.join(folder, "not")}"`)
      assert.include((yield* refusalOf(folder)).problem, "is no file; give the path of one")
      const file = path.join(folder, "a")
      fs.writeFileSync(file, "")
      assert.include((yield* refusalOf(path.join(file, "b"))).problem, "is in no folder")
      assert.include((yield* refusalOf("")).problem, "data must be the path of a file")
      assert.include((yield* refusalOf(7 as never)).problem, "data must be the path of a file")
      assert.include((yield* refusalOf({ file, synchronous: "often" as never })).problem, "data.synchronous must be")
    }))

  it.effect("that is empty is made one, which its user alone may read", () =>
    Effect.gen(function*() {
      const folder = yield* DataFile.folder
      const file = path.join(folder, "made by mktemp")
      fs.writeFileSync(file, "")
      yield* Effect.scoped(Layer.build(inMemory({ entities: [], data: file })))
      assert.strictEqual(fs.statSync(file).mode & 0o777, 0o600)
      assert.deepStrictEqual(fs.readdirSync(folder), ["made by mktemp"])
    }))

  it.effect("that is given by links is made where the last one leads, and the links stay", () =>
    Effect.gen(function*() {
      const folder = yield* DataFile.folder
      const [first, second, target] = ["first", "second", "target"].map((name) => path.join(folder, name))
      fs.symlinkSync("second", first!)
      fs.symlinkSync(target!, second!)
      yield* Effect.scoped(Layer.build(inMemory({ entities: [], data: first! })))
      assert.deepStrictEqual([fs.readlinkSync(first!), fs.readlinkSync(second!)], ["second", target])
      assert.isAbove(fs.statSync(target!).size, 0)
      const [here, there] = ["here", "there"].map((name) => path.join(folder, name))
      fs.symlinkSync("there", here!)
      fs.symlinkSync("here", there!)
      assert.include((yield* refusalOf(here!)).problem, "ELOOP")
    }))

  it.effect("needs a Node that has SQLite", () =>
    Effect.gen(function*() {
      const { getBuiltinModule } = process
      try {
        process.getBuiltinModule = ((name: string) =>
          name === "node:sqlite" ? undefined : getBuiltinModule.call(process, name)) as typeof getBuiltinModule
        const { problem, reason } = yield* refusalOf(yield* DataFile.file)
        assert.include(problem, "use Node 22.13 or newer")
        assert.strictEqual(reason, "unavailable")
      } finally {
        process.getBuiltinModule = getBuiltinModule
      }
    }))
})
