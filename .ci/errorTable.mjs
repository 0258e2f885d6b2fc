// Writes the table of operations and the errors that each can fail with into docs/errors.md, out of the unions in
// src/ServiceBusError.ts. `node .ci/errorTable.mjs --write` brings the page up to date; the tests say when it is not.
import { readFileSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")
const page = join(root, "docs/errors.md")
const [start, end] = ["<!-- errors: generated -->", "<!-- /errors -->"]

/** What a user calls, and the union of its errors. */
const operations = [
  ["`make` of a sender, receiver or rule manager", "AttachError"],
  ["`send`, `sendAll`, `sendAnnotated`, `sendBatch`, `sink`", "SendError"],
  ["`tryAdd` of a batch", "BatchError"],
  ["`schedule`, `scheduleAll`", "ScheduleError"],
  ["`cancelScheduled`", "CancelScheduledError"],
  ["`receive`, `receiveOne`, `messages`, `join`, `peek`, `browse`", "ReceiveError"],
  ["`receiveDeferred`", "ReceiveDeferredError"],
  ["`settle`, `complete`, …", "SettleError"],
  ["`renewLock`", "LockRenewalError"],
  ["`deleteMessages`, `purge`", "DeleteMessagesError"],
  ["accepting a session", "AcceptSessionError"],
  ["settling in a session", "SessionSettleError"],
  ["`state`, `setState` of a session", "SessionStateError"],
  ["`create` of a rule", "CreateRuleError"],
  ["`delete` of a rule", "DeleteRuleError"],
  ["`list`, `get` of rules", "AttachError"],
  ["`health`", "HealthCheckError"],
  ["administration: `get…`, `…Exists`, `list…`", "AdministrationError"],
  ["administration: `create…`", "CreateEntityError"],
  ["administration: `update…`, `delete…`, lists within a topic or subscription", "ManageEntityError"],
  ["administration: `updateRule`, `deleteRule`", "ManageRuleError"]
]

const unions = () => {
  const source = readFileSync(join(root, "src/ServiceBusError.ts"), "utf8").replace(/\/\*[\s\S]*?\*\//g, "")
  const found = new Map()
  for (const [, name, body] of source.matchAll(/export type (\w+) =([\s\S]*?)(?=\n\n|\nexport|\nconst|$)/g)) {
    found.set(name, body.split("|").map((member) => member.trim()).filter((member) => member !== ""))
  }
  return found
}

const expand = (found, name) =>
  found.has(name) ? [...new Set(found.get(name).flatMap((member) => expand(found, member)))] : [name]

export const table = () => {
  const found = unions()
  const columns = operations.map(([, union]) => {
    if (!found.has(union)) throw new Error(`no union ${union}`)
    return new Set(expand(found, union))
  })
  const errors = [...new Set(columns.flatMap((column) => [...column]))].toSorted()
  const row = (cells) => `| ${cells.join(" | ")} |`
  return [
    row(["", ...operations.map(([operation]) => operation)]),
    row(["---", ...operations.map(() => ":-:")]),
    ...errors.map((error) => row([`\`${error}\``, ...columns.map((column) => column.has(error) ? "●" : "")]))
  ].join("\n")
}

export const withTable = (text) => {
  const [before, rest] = text.split(start)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`docs/errors.md has no ${start} … ${end}`)
  return `${before}${start}\n\n${table()}\n\n${end}${after}`
}

export const current = () => readFileSync(page, "utf8")

if (process.argv.includes("--write")) writeFileSync(page, withTable(current()))
