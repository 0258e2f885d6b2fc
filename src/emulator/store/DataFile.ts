/**
 * The file of a broker's data: an SQLite database of its own form. It is opened, made where there is none, and refused where it
 * is not one, with what to do; what is refused is left as it is, byte for byte.
 *
 * One process has it at a time: the lock of SQLite is held until the file is closed, and ends with the process. It is made
 * beside its place and put there as a whole, so that what is cut short leaves no file that is none. The module of SQLite comes
 * with Node, and is loaded here alone.
 */
import * as Result from "effect/Result"
import * as fs from "node:fs"
import * as path from "node:path"
import type * as Sqlite from "node:sqlite"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import { EmulatorError } from "../../ServiceBusError.ts"
import * as Checksum from "./Checksum.ts"
import * as WriteAheadLog from "./WriteAheadLog.ts"

/** What is written in the header of the file: "ESBd". */
const applicationId = 0x45534264

/** The form of the tables. */
const version = 1

/**
 * The payload of a message is written once and never again, beside its state, which is a small row. A row of either has a number
 * that says of which namespace it is, so that those of one stand together.
 *
 * Times, spans and counts are REAL, as a number of JavaScript is: SQLite writes those that are whole as it writes an INTEGER, but
 * an INTEGER of more than 53 bits, which a peer can have us reckon, is one that Node refuses to read.
 */
const tables = `
CREATE TABLE namespace (id INTEGER PRIMARY KEY, content TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE entity (id INTEGER PRIMARY KEY, namespace INTEGER NOT NULL, content TEXT NOT NULL, checksum INTEGER NOT NULL);
CREATE TABLE progress (
  entity INTEGER PRIMARY KEY, last_sequence REAL NOT NULL, last_enqueued_at REAL NOT NULL, accessed_at REAL NOT NULL,
  is_in_use INTEGER NOT NULL, checksum INTEGER NOT NULL
);
CREATE TABLE session (
  entity INTEGER NOT NULL, id TEXT NOT NULL, state BLOB NOT NULL, updated_at REAL NOT NULL, checksum INTEGER NOT NULL,
  PRIMARY KEY (entity, id)
);
CREATE TABLE duplicate (
  entity INTEGER NOT NULL, until REAL NOT NULL, id TEXT NOT NULL, sequence REAL NOT NULL, checksum INTEGER NOT NULL,
  PRIMARY KEY (entity, until, id)
) WITHOUT ROWID;
CREATE TABLE message (
  id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, sequence REAL NOT NULL, flags INTEGER NOT NULL,
  enqueued_at REAL NOT NULL, enqueue_at REAL, expires_at REAL, time_to_live REAL, delivery_count REAL NOT NULL,
  size REAL NOT NULL, session TEXT, properties TEXT, checksum INTEGER NOT NULL
);
CREATE TABLE payload (
  id INTEGER PRIMARY KEY, message_id TEXT, time_to_live REAL, properties_size REAL, others TEXT, body BLOB NOT NULL,
  checksum INTEGER NOT NULL
);
`

/** The tables, one by one, as SQLite keeps the text of each. */
const schema = tables.split(";").map((each) => each.trim()).filter((each) => each !== "")

/** SQLite's own, which is the size of a page of memory. */
export const pageSize = 4096

/** Up to this many bytes of the write-ahead log stay for what is written next. */
const logLimit = 16 * 1024 * 1024

/** A file that is open. */
export interface DataFile {
  readonly path: string
  readonly database: DatabaseSync
  /** What was in its log and is not taken, in words; undefined where all is. */
  readonly lost: string | undefined
}

const fail = (problem: string, cause?: unknown, reason: EmulatorError["reason"] = "invalid") =>
  Result.fail(new EmulatorError(cause === undefined ? { problem, reason } : { problem, cause, reason }))

/** What a failure says. */
export const wordsOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** What SQLite says of a failure; undefined where it does not come from there. */
export const codeOf = (cause: unknown): number | undefined =>
  typeof cause === "object" && cause !== null && "errcode" in cause && typeof cause.errcode === "number"
    ? cause.errcode & 0xff
    : undefined

const codes = {
  error: 1,
  busy: 5,
  readOnly: 8,
  inputOutput: 10,
  corrupt: 11,
  full: 13,
  cannotOpen: 14,
  notADatabase: 26
}

/** Rows as arrays, which cost a third of what objects do; an older Node gives objects, whose values stand in the same order. */
export const rowsOf = (
  statement: StatementSync,
  ...values: Array<number | string>
): Iterable<ReadonlyArray<unknown>> =>
  givesArrays(statement)
    ? statement.iterate(...values) as unknown as Iterable<ReadonlyArray<unknown>>
    : objectsOf(statement.iterate(...values))

/** The same, all at once. */
const allOf = (statement: StatementSync, ...values: Array<number | string>): ReadonlyArray<ReadonlyArray<unknown>> =>
  givesArrays(statement)
    ? statement.all(...values) as unknown as ReadonlyArray<ReadonlyArray<unknown>>
    : [...objectsOf(statement.all(...values))]

const givesArrays = (statement: StatementSync): boolean => {
  if (!("setReturnArrays" in statement) || typeof statement.setReturnArrays !== "function") return false
  ;(statement as StatementSync & { readonly setReturnArrays: (enabled: boolean) => void }).setReturnArrays(true)
  return true
}

/** How many rows of `pagesOf` are read at a time. */
const rowsAtATime = 1000

/**
 * Rows in the order of a whole number that is their first column, many at a time: by one at a time they cost half as much again.
 * `statement` is given the least number, the largest one, and how many rows it may give.
 */
export function* pagesOf<Row extends readonly [number, ...ReadonlyArray<unknown>]>(
  statement: StatementSync,
  first = -Number.MAX_SAFE_INTEGER,
  last = Number.MAX_SAFE_INTEGER
): Iterable<ReadonlyArray<Row>> {
  for (let from = first; from <= last;) {
    const rows = allOf(statement, from, last, rowsAtATime) as unknown as ReadonlyArray<Row>
    if (rows.length > 0) yield rows
    if (rows.length < rowsAtATime) return
    from = rows.at(-1)![0] + 1
  }
}

function* objectsOf(rows: Iterable<unknown>): Iterable<ReadonlyArray<unknown>> {
  for (const row of rows) yield Object.values(row as object)
}

/** Opens a file, or makes it. `isFull` has every commit wait for the disk. */
export const open = (file: string, isFull: boolean): Result.Result<DataFile, EmulatorError> => {
  if (typeof file !== "string" || file === "" || file.includes("\0")) {
    return fail("data must be the path of a file")
  }
  const sqlite = process.getBuiltinModule?.("node:sqlite") as typeof Sqlite | undefined
  if (sqlite === undefined) {
    return fail(
      `data needs node:sqlite, which this ${process.version} has not: use Node 22.13 or newer, or leave data out`,
      undefined,
      "unavailable"
    )
  }
  const title = `data "${file}"`
  try {
    const real = realPathOf(path.resolve(file))
    let lost: string | undefined
    let hasRest = false
    const isThere = stateOf(real)
    if (typeof isThere === "string") return fail(`${title} ${isThere}`)
    if (!isThere) {
      // Another process was faster: it has the file by now, or has left it.
      if (!make(sqlite, real)) return open(file, isFull)
    } else {
      const found = check(sqlite, real, isFull)
      if (found.problem !== undefined) return fail(`${title} ${found.problem}`)
      if (found.lost !== undefined) lost = `${title}: ${found.lost}`
      hasRest = found.hasRest
    }
    return Result.succeed({ path: real, database: take(sqlite, real, isFull, hasRest), lost })
  } catch (cause) {
    return problemOf(title, file, cause)
  }
}

const diskFull = "cannot be opened: its disk is full; make room on it"

/** What SQLite needs to open a file with a log: a table of contents of that, in bytes. */
const leastRoom = 64 * 1024

/** How many bytes the disk of a file has left. Throws where its folder is gone. */
export const roomOf = (file: string): number => {
  const { bavail, bsize } = fs.statfsSync(path.dirname(path.resolve(file)))
  return bavail * bsize
}

/** The same; none is known of what is not there. */
const roomBeside = (file: string): number => {
  try {
    return roomOf(file)
  } catch {
    return Infinity
  }
}

const problemOf = (title: string, file: string, cause: unknown): Result.Result<never, EmulatorError> => {
  switch (codeOf(cause)) {
    case codes.busy:
      return fail(
        `${title} is in use by another process, and one has it at a time: end that one, or give another file`,
        cause,
        "unavailable"
      )
    // Of a file that is whole all tables and columns are known.
    case codes.error:
    case codes.corrupt:
    case codes.notADatabase:
      return fail(`${title} ${damaged(wordsOf(cause))}`, cause)
    case codes.full:
      return fail(`${title} ${diskFull}`, cause, "quotaExceeded")
    case codes.readOnly:
      return fail(`${title} cannot be written; give this user the right to write it and its folder`, cause)
    case codes.inputOutput:
    case codes.cannotOpen:
      // What it needs beside it cannot be made.
      if (roomBeside(file) < leastRoom) return fail(`${title} ${diskFull}`, cause, "quotaExceeded")
      return fail(`${title} cannot be opened (${wordsOf(cause)})`, cause)
    default:
      return fail(`${title} cannot be opened (${wordsOf(cause)})`, cause)
  }
}

/** What is said of a file that is damaged. */
export const damaged = (how: string): string =>
  `is damaged (${how}), and is left as it is: put a copy of it in its place that is not, with the log (-wal) of that copy or ` +
  `none beside it, or move both away and begin with a new one`

/** Where a file is that is given by a link, or by a link to one: its log is beside it, and not beside the link. */
const realPathOf = (full: string): string => {
  try {
    return fs.realpathSync(full)
  } catch (cause) {
    // Of links that come back to where they began there is no file.
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") return full
    // It may be the link of one that is not there yet.
    const folder = path.dirname(full)
    const link = fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true
      ? fs.lstatSync(full, { throwIfNoEntry: false })
      : undefined
    return link?.isSymbolicLink() === true ? realPathOf(path.resolve(folder, fs.readlinkSync(full))) : full
  }
}

/** Whether there is a file, or why it cannot be one. */
const stateOf = (full: string): boolean | string => {
  const folder = fs.statSync(path.dirname(full), { throwIfNoEntry: false })
  if (folder === undefined) return `is in a folder that is not there: make "${path.dirname(full)}"`
  if (!folder.isDirectory()) return `is in no folder: "${path.dirname(full)}" is a file`
  const stat = fs.statSync(full, { throwIfNoEntry: false })
  const log = fs.statSync(`${full}-wal`, { throwIfNoEntry: false })?.size ?? 0
  // SQLite would write the pages of that log into whatever file there is.
  if (stat === undefined && log > 0) {
    return `is not there, but its log "${full}-wal" is: put back the file that it belongs to, or move the log away too`
  }
  if (stat === undefined) return false
  if (!stat.isFile()) return "is no file; give the path of one"
  try {
    fs.accessSync(full, fs.constants.R_OK | fs.constants.W_OK)
    fs.accessSync(path.dirname(full), fs.constants.W_OK)
  } catch {
    return "cannot be read and written; give this user the right to, for its folder too"
  }
  // As `mktemp` makes one.
  if (stat.size === 0 && log === 0) return false
  // SQLite would remove the log beside an empty one.
  return stat.size < pageSize ? `is no file of this broker, ${foreign}` : true
}

const foreign = "and is left as it is: give a path of its own, where no file is yet"

/** What is wrong with the header of a file; undefined where it is that of one of this release. */
const headerProblem = (full: string): string | undefined => {
  const header = Buffer.alloc(100)
  const descriptor = fs.openSync(full, "r")
  try {
    fs.readSync(descriptor, header, 0, 100, 0)
  } finally {
    fs.closeSync(descriptor)
  }
  if (header.toString("latin1", 0, 16) !== "SQLite format 3\0") return `is no file of this broker, ${foreign}`
  if (header.readUInt32BE(68) !== applicationId) return `is a database of another program, ${foreign}`
  // What SQLite would read as a file that nobody may write, or as pages of another size.
  if (header[18] !== header[19] || header[18]! < 1 || header[18]! > 2 || header.readUInt16BE(16) !== pageSize) {
    return damaged("its header is not what was written")
  }
  const found = header.readUInt32BE(60)
  if (found === version) return undefined
  return found > version
    ? `was written by a newer release (its version is ${found}, this one knows ${version}): use that one, or give another file`
    : `is of version ${found}, which this release does not read: use the one that wrote it, or give another file`
}

/**
 * Makes a file beside its place, and puts it there: only whoever runs the broker may read it, for it has keys. False where
 * another process has put one there meanwhile.
 */
const make = (sqlite: typeof Sqlite, full: string): boolean => {
  const made = `${full}.${process.pid}.new`
  fs.rmSync(made, { force: true })
  try {
    fs.closeSync(fs.openSync(made, "wx", 0o600))
    const database = new sqlite.DatabaseSync(made)
    try {
      database.exec(`PRAGMA page_size = ${pageSize}; BEGIN; ${tables}
        PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${version}; COMMIT`)
    } finally {
      database.close()
    }
    return put(made, full)
  } finally {
    fs.rmSync(made, { force: true })
    fs.rmSync(`${made}-journal`, { force: true })
  }
}

/** Has a file be in its place too, unless one with something in it is there: by then another process may have it open. */
const put = (made: string, full: string): boolean => {
  try {
    fs.linkSync(made, full)
    return true
  } catch {
    if ((fs.statSync(full, { throwIfNoEntry: false })?.size ?? 0) > 0) return false
    // It is empty, or this disk has no links.
    fs.renameSync(made, full)
    return true
  }
}

/**
 * Reads a file without writing to it, and says what is wrong with it.
 *
 * SQLite reads it first, which refuses what anybody has, in this process too. Nothing else may open it before: where a process
 * closes any descriptor of a file, the system drops all locks of that process on it (POSIX, fcntl), those of SQLite among them.
 */
const check = (sqlite: typeof Sqlite, full: string, isFull: boolean): WriteAheadLog.Finding => {
  // Its log and a table of contents of that, which SQLite makes where they are not, for who only reads too.
  const made = [`${full}-wal`, `${full}-shm`].filter((file) => !fs.existsSync(file))
  const database = new sqlite.DatabaseSync(full, { readOnly: true })
  // Another process has it, and those files are its own, where not even this can be read.
  let isOurs = true
  try {
    const problem = (isOfAnother(database) ? `is a database of another program, ${foreign}` : undefined) ??
      headerProblem(full)
    if (problem !== undefined) return { problem, hasRest: false }
    const log = WriteAheadLog.look(full, isFull)
    if (log.problem !== undefined) return { ...log, problem: damaged(log.problem) }
    const [row] = rowsOf(database.prepare("PRAGMA quick_check(1)"))
    const found = String(row?.[0])
    const wrong = found === "ok" ? wrongRow(database) : found.replaceAll(/\s+/g, " ")
    return wrong === undefined ? log : { ...log, problem: damaged(wrong) }
  } catch (cause) {
    isOurs = codeOf(cause) !== codes.busy
    throw cause
  } finally {
    // While it is open no other process begins to write to them.
    if (isOurs) { for (const file of made) removeMade(file) }
    database.close()
  }
}

/** Whether SQLite can read a file, and it is not one of a broker. Fails where it is in use. */
const isOfAnother = (database: DatabaseSync): boolean => {
  try {
    const [row] = rowsOf(database.prepare("PRAGMA application_id"))
    return row![0] !== applicationId
  } catch (cause) {
    if (codeOf(cause) === codes.busy) throw cause
    // What is wrong with it, its header and its log say better.
    return false
  }
}

/** Where Windows keeps a file that is open, it stays. */
const removeMade = (file: string): void => {
  try {
    fs.rmSync(file, { force: true })
  } catch {
    // It is empty, and taken by who opens the file next.
  }
}

/** What is wrong with the first row whose sum is not that of what it has; undefined where there is none. */
const wrongRow = (database: DatabaseSync): string | undefined => {
  const find = <Row extends ReadonlyArray<unknown>>(
    table: keyof typeof Checksum.columns,
    sumOf: (row: Row) => number
  ): string | undefined => {
    const statement = database.prepare(`SELECT ${Checksum.columns[table]}, checksum FROM ${table}`)
    for (const row of rowsOf(statement)) {
      if (row.at(-1) !== sumOf(row as unknown as Row)) return wrong(table, row)
    }
    return undefined
  }
  /** Of the tables that have many rows; where they are too large for many at a time, one by one. */
  const findInPages = <Row extends readonly [number, ...ReadonlyArray<unknown>]>(
    table: keyof typeof Checksum.columns,
    sumOf: (row: Row) => number,
    isLarge = "false"
  ): string | undefined => {
    let found = 0
    const wrongOf = (row: Row): string | undefined => {
      found += 1
      return row[row.length - 1] === sumOf(row) ? undefined : wrong(table, row)
    }
    const select = `SELECT ${Checksum.columns[table]}, checksum FROM ${table} WHERE`
    const pages = database.prepare(`${select} id BETWEEN ? AND ? AND ${isLarge} IS NOT TRUE ORDER BY id LIMIT ?`)
    for (const page of pagesOf<Row>(pages)) {
      for (const row of page) {
        const problem = wrongOf(row)
        if (problem !== undefined) return problem
      }
    }
    for (const row of rowsOf(database.prepare(`${select} ${isLarge} IS TRUE`))) {
      const problem = wrongOf(row as unknown as Row)
      if (problem !== undefined) return problem
    }
    const [count] = rowsOf(database.prepare(`SELECT count(*) FROM ${table}`))
    return found === count![0] ? undefined : `rows of ${table} have keys that were never given`
  }
  const found = Array.from(
    rowsOf(database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid")),
    ([sql]) => sql
  )
  if (found.length !== schema.length || !found.every((sql, index) => sql === schema[index])) {
    return "its tables are not what was written"
  }
  return find("namespace", ([id, content]: [number, string]) => Checksum.ofNamespace(id, content)) ??
    find(
      "entity",
      ([id, namespace, content]: [number, number, string]) => Checksum.ofEntity(id, namespace, content)
    ) ??
    find(
      "progress",
      ([entity, sequence, enqueuedAt, accessedAt, isInUse]: [number, number, number, number, number]) =>
        Checksum.ofProgress(entity, sequence, enqueuedAt, accessedAt, isInUse)
    ) ??
    find(
      "session",
      ([entity, id, state, updatedAt]: [number, string, Uint8Array, number]) =>
        Checksum.ofSession(entity, id, state, updatedAt)
    ) ??
    find(
      "duplicate",
      ([entity, until, id, sequence]: [number, number, string, number]) =>
        Checksum.ofDuplicate(entity, until, id, sequence)
    ) ??
    findInPages("message", Checksum.ofMessage) ??
    findInPages(
      "payload",
      (row: readonly [number, ...Checksum.PayloadRow]) => Checksum.ofPayload(row[0], row, 1),
      "length(body) > 65536"
    ) ?? missing(database)
}

const wrong = (table: string, row: ReadonlyArray<unknown>): string =>
  `the row ${String(row[0])} of ${table} is not what was written`

/** Whether there is a message without its bytes, or bytes without their message. */
const missing = (database: DatabaseSync): string | undefined => {
  const [row] = rowsOf(database.prepare("SELECT (SELECT count(*) FROM message), (SELECT count(*) FROM payload)"))
  return row![0] === row![1] ? undefined : `it has ${String(row![0])} messages and the bytes of ${String(row![1])}`
}

/** Has a file for this process alone; its log begins anew where what is not taken of it would be found there again. */
const take = (sqlite: typeof Sqlite, full: string, isFull: boolean, beginsAnew: boolean): DatabaseSync => {
  const database = new sqlite.DatabaseSync(full)
  try {
    database.exec(`
      PRAGMA busy_timeout = 0;
      PRAGMA locking_mode = EXCLUSIVE;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${isFull ? "FULL" : "NORMAL"};
      PRAGMA journal_size_limit = ${logLimit};
      PRAGMA temp_store = MEMORY;
      BEGIN IMMEDIATE;
      UPDATE namespace SET id = id WHERE id = 0;
      COMMIT;
      ${beginsAnew ? "PRAGMA wal_checkpoint(TRUNCATE);" : ""}
    `)
    return database
  } catch (cause) {
    database.close()
    throw cause
  }
}
