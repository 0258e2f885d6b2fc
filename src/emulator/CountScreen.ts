/**
 * The counts of entities on a terminal, drawn again every second under what stands there: what the page shows of them, for those
 * who have no browser at hand. It asks the control API as the page does, and so costs the broker as little.
 */
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as ConnectionString from "../ConnectionString.ts"
import { EntityCounts } from "./control/EntityCounts.ts"
import { Emulator } from "./Emulator.ts"

/** What is drawn of an entity. */
const Row = EntityCounts.mapFields(Struct.pick([
  "path",
  "kind",
  "active",
  "scheduled",
  "deadLetter",
  "transferDeadLetter",
  "enqueued",
  "completed",
  "receivedAndDeleted"
]))

export type Row = typeof Row.Type

const Told = Schema.Struct({ version: Schema.String, isWhole: Schema.Boolean, entities: Schema.Array(Row) })

/** Why nothing is told. */
const Untold = Schema.Struct({ message: Schema.String })

const Answer = Schema.Union([Told, Untold])

/** A terminal. */
export interface Terminal {
  readonly write: (text: string) => void
  /** How wide and high it is now, in characters. */
  readonly size: () => { readonly columns: number; readonly rows: number }
}

/** Seconds between two looks. */
const interval = 1

const headings = ["messages", "scheduled", "dead", "in/s", "out/s"] as const

const width = 10

/** What could move the cursor of a terminal, or ring its bell. */
const withoutControls = (text: string): string => text.replaceAll(/\p{Cc}/gu, "?")

/**
 * The lines of a table that fits a terminal: all entities, or those that hold most. `before` is what was told a look earlier, for
 * the rates.
 */
export const draw = (
  rows: ReadonlyArray<Row>,
  before: ReadonlyMap<string, Row>,
  { columns, rows: height }: ReturnType<Terminal["size"]>
): ReadonlyArray<string> => {
  const nameWidth = Math.max(12, columns - headings.length * width - 1)
  const line = (name: string, cells: ReadonlyArray<string | number>) =>
    `${name.length > nameWidth ? `${name.slice(0, nameWidth - 1)}…` : name.padEnd(nameWidth)}${
      cells.map((cell) => String(cell).padStart(width)).join("")
    }`.slice(0, columns)
  const held = (row: Row) => row.active + row.scheduled + row.deadLetter + row.transferDeadLetter
  const most = Math.max(1, height - 4)
  const isCut = rows.length > most
  const shown = isCut ? rows.toSorted((a, b) => held(b) - held(a)).slice(0, most) : rows
  const rate = (row: Row, of: (row: Row) => number) =>
    Math.round(Math.max(0, of(row) - of(before.get(row.path) ?? row)) / interval)
  return [
    line("", headings),
    ...shown.map((row) =>
      line(withoutControls(row.path), [
        row.kind === "topic" ? "" : row.active,
        row.scheduled,
        row.deadLetter + row.transferDeadLetter,
        rate(row, ({ enqueued }) => enqueued),
        rate(row, ({ completed, receivedAndDeleted }) => completed + receivedAndDeleted)
      ])
    ),
    ...(isCut ? [`and ${rows.length - shown.length} more, which hold less`.slice(0, columns)] : [])
  ]
}

/**
 * Draws until it is interrupted; what it has drawn last stays. As long as the broker tells nothing, it draws what was told last
 * and why that is not told again.
 */
export const watch = ({ size, write }: Terminal): Effect.Effect<never, never, Emulator> =>
  Effect.gen(function*() {
    const { connectionString, httpClient } = yield* Emulator
    const { credential } = yield* ConnectionString.parse(connectionString)
    if (credential._tag !== "SharedKey") return yield* Effect.die("the broker's own key was expected")
    const key = Buffer.from(`${credential.name}:${Redacted.value(credential.key)}`).toString("base64")
    const look = (since: string) =>
      httpClient.execute(HttpClientRequest.get(`http://localhost/entities${since}`, {
        headers: { authorization: `Basic ${key}` }
      })).pipe(
        Effect.flatMap((response) => response.json),
        Effect.flatMap(Schema.decodeUnknownEffect(Answer)),
        Effect.catch(({ message }) => Effect.succeed({ message }))
      )
    const rows = new Map<string, Row>()
    let version = ""
    let height = 0
    let isTold = true
    while (true) {
      const told = yield* look(version === "" ? "" : `?since=${version}`)
      // What has come and gone over more than one look is no rate.
      const before = new Map(isTold ? rows : [])
      const reason = "message" in told ? told.message : undefined
      if ("entities" in told) {
        if (told.isWhole) rows.clear()
        for (const row of told.entities) rows.set(row.path, row)
        version = told.version
      }
      isTold = reason === undefined
      const { columns, rows: most } = size()
      const lines = [
        ...draw([...rows.values()], before, { columns, rows: most }),
        ...(reason === undefined ? [] : [withoutControls(reason).slice(0, columns)])
      ]
      // Back to where the table began, and away with all that is below.
      write(`${height === 0 ? "" : `\u001b[${height}A`}\r\u001b[J${lines.join("\n")}\n`)
      height = lines.length
      yield* Effect.sleep(interval * 1000)
    }
  }).pipe(Effect.orDie)
