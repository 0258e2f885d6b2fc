/** Files of a broker's data for tests: each in a folder of its own, which is gone with the test. */
import { Effect, type Scope } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"

/** A folder that is removed with the test. */
export const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "data-"))),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

/** The path of a file that is not there yet. */
export const file: Effect.Effect<string, never, Scope.Scope> = Effect.map(
  folder,
  (folder) => path.join(folder, "data.db")
)

/** Copies what a process leaves behind that is killed now: the file and its log as they are. */
export const killed = (file: string, copy: string): Effect.Effect<void> =>
  Effect.sync(() => {
    for (const end of ["", "-wal"]) if (fs.existsSync(file + end)) fs.copyFileSync(file + end, copy + end)
  })

/** By which bytes are told from others, in less than they are. */
export const sumOf = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex")

/** The sums of what is in the folder of a file, by name. */
export const bytesOf = (file: string): Record<string, string> =>
  Object.fromEntries(
    fs.readdirSync(path.dirname(file)).toSorted().map((name) => [
      name,
      sumOf(fs.readFileSync(path.join(path.dirname(file), name)))
    ])
  )

/** Has each commit fail as on a disk that is full. */
export const full = Effect.acquireRelease(
  Effect.sync(() => {
    const { exec } = DatabaseSync.prototype
    DatabaseSync.prototype.exec = function(sql) {
      if (sql === "COMMIT") throw Object.assign(new Error("database or disk is full"), { errcode: 13 })
      exec.call(this, sql)
    }
    return exec
  }),
  (exec) =>
    Effect.sync(() => {
      DatabaseSync.prototype.exec = exec
    })
)
