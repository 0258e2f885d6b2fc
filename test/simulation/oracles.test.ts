/** Each oracle sees what it is there for: histories that are bad in one way, and one that is good. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { createHash } from "node:crypto"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { MessageLockLostError } from "../../src/ServiceBusError.ts"
import { assert, describe, it } from "../support/vitest.ts"
import { type Entry, History, type Settings } from "./History.ts"
import { oracles } from "./oracles/index.ts"
import type { Leftovers, Run } from "./oracles/Oracle.ts"
import { resultOf } from "./World.ts"

const nothing: Leftovers = { connections: 0, wires: 0, sleeps: 0, fibers: 0, timers: 0, listeners: 0 }

const run = (entries: ReadonlyArray<Entry & { readonly at?: number }>, rest: Partial<Run> = {}): Run => {
  let now = 0
  const history = new History(() => now)
  for (const { at, ...entry } of entries) {
    now = at ?? now
    history.add(entry as Entry)
  }
  return {
    history,
    left: [],
    hasConverged: true,
    leftovers: nothing,
    concurrency: { a: 1 },
    ...rest
  }
}

const rulesOf = (run: Run): ReadonlyArray<string> => [
  ...new Set(oracles.flatMap((oracle) => oracle(run)).map(({ rule }) => rule))
]

const message = { entity: "q", id: "m-1", sequence: "1" }
const send: Entry = { kind: "send", op: 1, entity: "q", ids: ["m-1"], session: undefined, due: undefined }
const sent: Entry = { kind: "sent", op: 1, result: "ok", tag: undefined }
const enqueued: Entry = { kind: "enqueued", ...message, session: undefined }
const delivered: Entry = { kind: "delivered", ...message, token: "t", until: 1, isLocked: true }
const received: Entry = {
  kind: "received",
  ...message,
  consumer: "a",
  delivery: 0,
  session: undefined,
  mode: "locked",
  isIntact: true
}
const handled: Entry = { kind: "handled", consumer: "a", entity: "q", sequence: "1", outcome: "complete" }
const applied: Entry = { kind: "applied", ...message, outcome: "complete" }
const good: ReadonlyArray<Entry> = [send, enqueued, sent, delivered, received, handled, applied]

const failed: Entry = { kind: "sent", op: 1, result: "failed", tag: "ServiceBusQuotaExceededError" }
const fault: Entry = { kind: "fault", name: "refused send", what: "{}" }
const cancel: Entry = { kind: "cancel", op: 2, entity: "q", id: "m-1" }
const cancelled: Entry = { kind: "cancelled", op: 2, result: "ok", tag: undefined }
const settle: Entry = { kind: "settle", op: 3, entity: "q", sequence: "1", outcome: "defer" }
const settled: Entry = { kind: "settled", op: 3, result: "ok", tag: undefined }
/** Frames of one link on which the client receives, each way. */
const up = { kind: "wire", connection: 1, channel: 0, direction: "up" } as const
const down = { ...up, direction: "down" } as const
const link = { performative: "attach", handle: 0, name: "q-1", source: "q" } as const
const attached: ReadonlyArray<Entry> = [
  { ...up, performative: "begin", next: 0, window: 9 },
  { ...down, performative: "begin", remote: 0, next: 0, window: 9 },
  { ...up, ...link, isReceiver: true },
  { ...down, ...link, isReceiver: false, count: 0 },
  { ...up, performative: "flow", handle: 0, count: 0, credit: 1, window: 9 }
]
const held = attached.map((entry): Entry =>
  entry.kind === "wire" && entry.performative === "attach" ? { ...entry, session: "s" } : entry
)
/** A receiver tries to attach. */
const dialling = (at: number): Entry & { readonly at: number } => ({
  ...up,
  ...link,
  target: "r",
  isReceiver: true,
  at
})
const transfer = (delivery: number): Entry => ({ ...down, performative: "transfer", handle: 0, delivery, token: "t" })
const disposition: Entry = { ...up, performative: "disposition", isReceiver: true, first: 0, last: 0, isSettled: true }
const heartbeat: Entry = { kind: "frame", connection: 1, direction: "down", bytes: 8 }
const detach = { performative: "detach", handle: 0 } as const

/** A message is sent to an entity, and is in one. */
const sentTo = (entity: string, id = "m-1"): ReadonlyArray<Entry> => [{ ...send, entity, ids: [id] }, sent]
const inEntity = (entity: string, id = "m-1"): Entry => ({ ...enqueued, entity, id })
/** A topic takes a message and copies it. */
const throughTopic = (id = "m-1"): ReadonlyArray<Entry> => [
  inEntity("news", id),
  { ...delivered, entity: "news", id, isLocked: false } as Entry
]
const all = "news/Subscriptions/all"
const rule = (name: string, isThere = true): Entry => ({ kind: "rule", entity: all, name, isThere })
const ruling: Entry = { kind: "ruling", op: 8, entity: all, what: "create", name: "even-0" }
const ruled = (result: "ok" | "failed", tag?: string): Entry => ({ kind: "ruled", op: 8, result, tag })
const asking = (
  what: "create" | "update" | "delete" | "get" | "exists" | "list",
  entity: string,
  wanted = {}
): Entry => ({
  kind: "administer",
  op: 12,
  by: 7001,
  what,
  entity,
  wanted,
  isPartial: false
})
const told = (
  result: "ok" | "failed" | "interrupted",
  tag?: string,
  found?: boolean | Settings | ReadonlyArray<string>
): Entry => ({ kind: "administered", op: 12, result, tag, found })
const entity = (
  entity: string,
  change: "created" | "updated" | "deleted",
  settings: Settings = {},
  by?: number
): Entry => ({
  kind: "entity",
  entity,
  change,
  by,
  settings
})
/** From here on answers are lost. */
const losing: Entry = { kind: "fault", name: "lost administration", what: "{}" }
const forwarded = (sequence: string): Entry => ({ kind: "forwarded", ...message, sequence, to: "r" })
const looking: Entry = { kind: "looking", look: 9, entity: "q" }
const looked = (sequences: ReadonlyArray<string>) =>
  ({ kind: "looked", look: 9, sequences, most: undefined, areIntact: true }) as const
const status = (status: string): Entry => ({ kind: "status", entity: "q", status })

const counts = {
  received: 0,
  completed: 0,
  abandoned: 0,
  deferred: 0,
  deadLettered: 0,
  retried: 0,
  undecodable: 0,
  lockLost: 0,
  unsettled: 0,
  taken: 0,
  released: 0
}

describe("the oracles", () => {
  it("find nothing wrong with a good run", () => {
    assert.deepStrictEqual(rulesOf(run(good)), [])
    const again = { ...delivered, sequence: "2" }
    const cameBack = [send, enqueued, sent, delivered, again, { ...received, sequence: "2" }, {
      ...handled,
      sequence: "2"
    }]
    assert.deepStrictEqual(rulesOf(run([...cameBack, delivered, received, handled])), [])
    // Its lock was kept from its arrival on, and it waited for its handler.
    const waited: Entry & { readonly at: number } = { ...received, token: "t", at: 40_000 }
    const kept: ReadonlyArray<Entry & { readonly at?: number }> = [send, enqueued, sent, {
      ...delivered,
      until: 60_000
    }]
    const lapsed: Entry & { readonly at: number } = { kind: "lapsed", token: "t", at: 310_000 }
    assert.deepStrictEqual(rulesOf(run([...kept, waited, lapsed, { ...handled, outcome: "interrupted" }])), [])
    const letter = { reason: "MaxDeliveryCountExceeded", description: "twice" }
    assert.deepStrictEqual(rulesOf(run([...good.slice(0, 5), handled, { kind: "buried", ...message, letter }])), [])
  })

  it("know the origin of a copy by what came in its run, however long its id is", () => {
    const { history } = run([])
    const long = `m-1${":retry-1:1".repeat(12)}`
    const digest = createHash("sha256").update(long).digest("hex")
    assert.strictEqual(history.originOf("m-1:retry-1:5"), "m-1")
    history.noteId(long)
    assert.strictEqual(history.originOf(`${digest}:retry-13:20`), "m-1")
    assert.strictEqual(run([]).history.originOf(digest), digest)
  })

  it("find nothing wrong with what is gone with its entity, and with what goes as rules and forwards say", () => {
    const held = { ...received, session: "s", token: "t" }
    const next = { ...delivered, sequence: "2" }
    const gone: Entry = { kind: "deleted", entity: "q" }
    const after: ReadonlyArray<Entry> = [next, { ...held, sequence: "2" }, { ...handled, sequence: "2" }]
    assert.deepStrictEqual(rulesOf(run([send, enqueued, sent, delivered, held, handled, gone, ...after])), [])
    assert.deepStrictEqual(rulesOf(run([send, enqueued, sent, delivered, held, gone, handled, ...after])), [])
    assert.deepStrictEqual(rulesOf(run([{ ...send, due: 5 }, { kind: "scheduled", ...message }, sent, gone])), [])
    const routed = [...sentTo("news"), rule("$Default"), rule("every-1"), ...throughTopic(), inEntity(all)]
    assert.deepStrictEqual(rulesOf(run([...routed, inEntity(all, "m-1:rule-every-1")])), [])
    // A disabled topic keeps what is due: its subscription is gone when it copies.
    const kept = [...sentTo("news"), rule("$Default"), inEntity("news"), rule("$Default", false)]
    assert.deepStrictEqual(rulesOf(run([...kept, ...throughTopic().slice(1), rule("$Default")])), [])
    const moved = [...sentTo("q"), inEntity("q"), inEntity("r"), forwarded("1")]
    const drained: Entry = { kind: "phase", name: "drained" }
    assert.deepStrictEqual(rulesOf(run([...moved, drained], { forwards: { q: "r" }, windows: { r: 9 } })), [])
    assert.deepStrictEqual(rulesOf(run([ruling, rule("even-0"), ruled("ok")])), [])
    // A try of a deletion was not answered, and the next one was refused: there is no such rule, it says.
    const refused: Entry = { kind: "fault", name: "refused requests", what: "{\"times\":2}" }
    const removing: Entry = { ...ruling, what: "delete" } as Entry
    assert.deepStrictEqual(rulesOf(run([rule("even-0"), removing, refused, ruled("ok")])), [])
    assert.deepStrictEqual(rulesOf(run([rule("even-0"), removing, ruled("ok")])), ["ruled"])
    // One that is interrupted is on its way: it is done while the next one waits, which finds nothing.
    const second: Entry = { ...removing, op: 9 } as Entry
    const missing: Entry = { ...ruled("failed", "RuleNotFoundError"), op: 9 } as Entry
    const done = rule("even-0", false)
    assert.deepStrictEqual(
      rulesOf(
        run([
          fault,
          rule("even-0"),
          removing,
          { ...ruled("failed"), result: "interrupted" } as Entry,
          second,
          done,
          missing
        ])
      ),
      []
    )
    assert.deepStrictEqual(rulesOf(run([fault, rule("even-0"), second, done, missing])), ["ruled"])
  })

  it("find a copy not early where it is forwarded to, and another message has the number of its own", () => {
    const copyIn = (entity: string) => ({ ...inEntity(entity, "m-9:retry-1:1"), at: 1 })
    const later: Entry = { ...handled, outcome: "retryAfter", delay: 5_000 } as Entry
    const history = run([...good.slice(0, 5), copyIn("p"), later, copyIn("q")])
    assert.notInclude(rulesOf(history), "early")
  })

  it("find no receiver silent for what another one got before it was said to be back", () => {
    const over: ReadonlyArray<Entry> = [
      ...attached,
      ...good.slice(0, 4),
      transfer(0),
      { ...received, token: "t" } as Entry,
      { ...handled, outcome: "abandon" } as Entry,
      { ...delivered, token: "u", until: 90_000 } as Entry,
      { ...applied, outcome: "abandon", token: "t" } as Entry,
      { ...received, consumer: "b", delivery: 1, token: "u" } as Entry
    ]
    const later: Entry & { readonly at: number } = { ...handled, consumer: "b", at: 40_000 } as Entry & { at: number }
    assert.notInclude(rulesOf(run([...over, later, { ...applied, token: "u" } as Entry, heartbeat])), "silent")
  })

  const bad: Readonly<Record<string, Run>> = {
    lost: run([send, sent]),
    definite: run([send, enqueued, failed, fault]),
    cancelled: run([{ ...send, due: 5 }, { kind: "scheduled", ...message }, sent, cancel, cancelled, {
      ...enqueued,
      at: 9
    }]),
    duplicated: run([send, enqueued, enqueued, sent]),
    "definite, of many": run([
      { ...send, ids: ["m-1", "m-2"] },
      enqueued,
      inEntity("q", "m-2"),
      failed,
      fault
    ]),
    "lost, once it was there": run([...good.slice(0, 3), { kind: "removed", ...message }]),
    "misrouted, to one of two subscriptions": run([
      ...sentTo("news"),
      rule("$Default"),
      { ...rule("$Default"), entity: "news/Subscriptions/others" } as Entry,
      ...throughTopic(),
      inEntity(all)
    ]),
    "unconfirmed, and done under another lock": run([
      ...good.slice(0, 5),
      { ...settle, token: "t" },
      { ...applied, outcome: "defer", token: "u" },
      settled
    ]),
    "unprovoked, of a cancel": run([
      { ...send, due: 5 },
      { kind: "scheduled", ...message },
      sent,
      cancel,
      { ...cancelled, result: "failed", tag: "MessageNotFoundError" },
      { ...enqueued, at: 9 }
    ]),
    "unprovoked, before a fault": run([
      send,
      { ...sent, result: "unknown", tag: "OperationTimeoutError" },
      { ...fault, at: 1 }
    ]),
    "duplicated, more often than it was tried": run([
      send,
      { ...fault, name: "reset" },
      ...Array.from({ length: 6 }, () => enqueued),
      sent
    ]),
    "duplicated, before anything went wrong": run([
      send,
      enqueued,
      enqueued,
      sent,
      { ...fault, name: "reset", at: 1 }
    ]),
    "duplicated, of what is tried again": run([
      ...good.slice(0, 5),
      { ...handled, outcome: "retryAfter" },
      inEntity("q", "m-1:retry-1"),
      inEntity("q", "m-1:retry-1")
    ]),
    "duplicated, of a letter": run([
      ...good.slice(0, 3),
      { kind: "buried", ...message, letter: { reason: "simulated", description: undefined } },
      { kind: "began", op: 9, what: "replay" },
      inEntity("q", "m-1:replay-1:1"),
      inEntity("q", "m-1:replay-1:1"),
      { kind: "ended", op: 9, result: "ok", tag: undefined }
    ]),
    early: run([{ ...send, due: 50 }, sent, { ...enqueued, at: 49 }]),
    ghost: run([enqueued]),
    changed: run([send, enqueued, sent, delivered, { ...received, isIntact: false }, handled]),
    completed: run([...good, delivered]),
    concurrency: run([
      send,
      enqueued,
      sent,
      delivered,
      received,
      delivered,
      { ...received, delivery: 1 },
      handled,
      handled,
      applied
    ]),
    twice: run([
      send,
      enqueued,
      sent,
      delivered,
      { ...received, consumer: "b", mode: "destructive" },
      { ...received, consumer: "b", mode: "destructive" }
    ]),
    acknowledged: run([send, enqueued, sent, delivered, received, { ...handled, outcome: "fails" }, applied]),
    unconfirmed: run([send, enqueued, sent, delivered, received, handled, settle, settled]),
    reordered: run([
      send,
      enqueued,
      sent,
      { ...delivered, sequence: "2" },
      { ...received, sequence: "2", session: "s" },
      { ...handled, sequence: "2" },
      delivered,
      { ...received, session: "s" },
      handled
    ]),
    passed: run([
      fault,
      send,
      enqueued,
      sent,
      delivered,
      { ...received, session: "s", token: "t" },
      handled,
      { ...delivered, sequence: "2" },
      { ...received, sequence: "2", session: "s" },
      { ...handled, sequence: "2" }
    ]),
    "lapsed, a session": run([{
      kind: "books",
      consumer: "a",
      entity: "q",
      counts: { ...counts, sessionsLost: 1 }
    }]),
    "unheld, a message": run([
      fault,
      send,
      enqueued,
      sent,
      ...held,
      delivered,
      transfer(0),
      { ...down, ...detach },
      { ...received, session: "s", token: "t", at: 1 },
      handled
    ]),
    "unheld, a message after its lock": run([
      fault,
      send,
      enqueued,
      sent,
      { ...delivered, until: 6_001 },
      { kind: "released", entity: "q", session: "s", tokens: ["t"], isLost: true },
      { ...received, session: "s", token: "t", at: 6_000 },
      handled
    ]),
    "unheld, a request": run([
      ...held,
      { ...up, performative: "begin", channel: 1, next: 0, window: 9 },
      { ...down, performative: "begin", channel: 1, remote: 1, next: 0, window: 9 },
      { ...up, ...link, channel: 1, name: "m", isReceiver: false },
      { ...down, ...link, channel: 1, name: "m", isReceiver: true },
      { ...down, channel: 1, performative: "flow", handle: 0, count: 0, credit: 9 },
      { ...down, performative: "end" },
      { ...up, channel: 1, performative: "transfer", handle: 0, delivery: 0, operation: "renew", behalf: "q-1", at: 1 }
    ]),
    overtaken: run([
      send,
      enqueued,
      sent,
      delivered,
      { ...delivered, sequence: "2" },
      { ...received, sequence: "2" },
      { ...handled, sequence: "2" },
      received,
      handled
    ]),
    letter: run([
      ...good.slice(0, 5),
      { ...handled, outcome: "deadLetter", letter: { reason: "simulated", description: "of m-1" } },
      { kind: "buried", ...message, letter: { reason: "simulated", description: "of m-2" } },
      { ...applied, outcome: "deadLetter" }
    ]),
    exclusive: run([
      send,
      enqueued,
      sent,
      delivered,
      { ...received, session: "s" },
      delivered,
      { ...received, consumer: "b", session: "s" },
      handled,
      { ...handled, consumer: "b" }
    ]),
    dropped: run([...attached, send, enqueued, sent, { ...delivered, isLocked: false }]),
    "dropped, before a connection was cut": run([
      ...attached,
      send,
      enqueued,
      sent,
      { ...delivered, isLocked: false },
      { ...fault, name: "reset", at: 20_000 }
    ]),
    "dropped, long after a connection was cut": run([
      ...attached,
      send,
      enqueued,
      sent,
      { ...fault, name: "drop" },
      { ...delivered, isLocked: false, at: 20_000 }
    ]),
    "dropped, by a consumer that goes on": run([
      ...attached,
      send,
      enqueued,
      sent,
      { ...delivered, isLocked: false },
      { kind: "began", op: 9, what: "receiver a", at: 5_000 },
      // Nothing else went wrong: a session that another holds is a right answer.
      { kind: "ended", op: 9, result: "failed", tag: "SessionCannotBeLockedError" },
      { kind: "phase", name: "drained", at: 6_000 }
    ]),
    expired: run([
      fault,
      send,
      enqueued,
      sent,
      { ...delivered, until: 5 },
      { ...received, token: "t", at: 6 },
      handled,
      applied
    ]),
    "expired, before a fault": run([
      send,
      enqueued,
      sent,
      { ...delivered, until: 5 },
      { ...received, token: "t", at: 6 },
      handled,
      applied,
      { ...fault, name: "reset", at: 7 }
    ]),
    "lapsed, in spite of pieces": run([
      { ...fault, name: "chunks" },
      send,
      enqueued,
      sent,
      delivered,
      { ...received, token: "t" },
      { kind: "lapsed", token: "t" }
    ]),
    ...Object.fromEntries(
      [
        ["expired", [{ ...received, token: "t", at: 6 }]],
        ["lapsed", [{ ...received, token: "t" }, { kind: "lapsed", token: "t" }]]
      ].map(([rule, entries]) => [
        `${rule}, in spite of shorter locks`,
        run([
          { ...fault, name: "updated entity" },
          send,
          enqueued,
          sent,
          { ...delivered, until: 5 },
          ...entries as ReadonlyArray<Entry>,
          handled,
          applied
        ])
      ])
    ),
    lapsed: run([send, enqueued, sent, delivered, { ...received, token: "t" }, { kind: "lapsed", token: "t" }]),
    denied: run([
      send,
      enqueued,
      sent,
      delivered,
      received,
      { ...settle, outcome: "complete", token: "t" },
      { ...applied, token: "t" },
      { ...settled, result: "failed", tag: "ServiceBusServerBusyError" },
      fault
    ]),
    "denied, though it is to be tried again": run([
      send,
      enqueued,
      sent,
      delivered,
      received,
      { ...settle, outcome: "retryAfter", token: "t" },
      { ...enqueued, id: "m-1:retry-1", sequence: "2" },
      { ...applied, token: "t" },
      { ...settled, result: "failed", tag: "MessageLockLostError" },
      fault
    ]),
    followed: run([
      send,
      enqueued,
      sent,
      delivered,
      { ...received, token: "t" },
      handled,
      { ...applied, outcome: "deadLetter", token: "t" },
      fault
    ]),
    "followed, by nothing": run([
      send,
      enqueued,
      sent,
      delivered,
      { ...received, token: "t" },
      { ...handled, outcome: "deadLetter" }
    ]),
    "followed, by a release": run([
      send,
      enqueued,
      sent,
      delivered,
      { ...received, token: "t" },
      handled,
      { ...applied, outcome: "abandon", token: "t" }
    ]),
    "followed, not by what was asked": run([
      send,
      enqueued,
      sent,
      delivered,
      { ...received, token: "t", consumer: "b" },
      { ...settle, outcome: "abandon", token: "t" },
      { ...applied, outcome: "deadLetter", token: "t" },
      { ...settled, result: "unknown", tag: "OperationTimeoutError" },
      fault
    ]),
    excused: run([
      send,
      enqueued,
      sent,
      { ...delivered, until: 50 },
      { ...received, token: "t", consumer: "b" },
      { ...settle, outcome: "complete", token: "t" },
      { ...settled, result: "failed", tag: "MessageLockLostError", at: 40 },
      fault
    ]),
    vanished: run([send, enqueued, sent, delivered, received, { ...handled, outcome: "retryAfter" }, applied]),
    "vanished, of a letter": run([
      send,
      enqueued,
      sent,
      { kind: "applied", entity: "q/$DeadLetterQueue", id: "m-1", sequence: "7", outcome: "complete" }
    ]),
    "early, of what is tried again": run([
      fault,
      ...good.slice(0, 5),
      { ...handled, outcome: "retryAfter", delay: 5_000 },
      { ...enqueued, id: "m-1:retry-1:1", at: 4_000 }
    ]),
    "late, of what is tried again": run([
      ...good.slice(0, 5),
      { ...handled, outcome: "retryAfter", delay: 5_000 },
      { ...enqueued, id: "m-1:retry-1:1", at: 65_000 }
    ]),
    late: run([{ ...send, due: 5_000 }, { kind: "scheduled", ...message }, sent, { ...enqueued, at: 65_000 }]),
    limit: run([{ kind: "measured", consumer: "a", what: "messages", count: 3, most: 2 }]),
    "limit, of time": run([{ kind: "measured", consumer: "a", what: "milliseconds", count: 50_000, most: 5_000 }]),
    "limit, of handlers": run([
      ...good.slice(0, 4),
      { kind: "bound", consumer: "b", of: "handlers", most: 1 },
      { ...received, consumer: "b" },
      { ...received, consumer: "b" }
    ]),
    "limit, of sessions": run([
      ...good.slice(0, 4),
      { kind: "bound", consumer: "b", of: "sessions", most: 1 },
      { ...received, consumer: "b s1", session: "s1" },
      { ...received, consumer: "b s2", session: "s2" }
    ]),
    kept: run([
      { kind: "keeping", token: "t", isOver: false },
      { kind: "lapsed", token: "t", at: 15_000 },
      { kind: "keeping", token: "t", isOver: true }
    ]),
    erased: run([{ kind: "deleting", entity: "q", most: 2 }, {
      kind: "erased",
      entity: "q",
      asked: 3,
      count: 0
    }]),
    "erased, unasked": run([{ kind: "erased", entity: "q", asked: 1, count: 1 }]),
    "erased, too often": run([
      { kind: "deleting", entity: "q", most: 2 },
      { kind: "erased", entity: "q", asked: 2, count: 2 },
      { kind: "erased", entity: "q", asked: 1, count: 1 }
    ]),
    numbered: run([
      { kind: "scheduled", entity: "q", id: "m-1", sequence: "1" },
      { kind: "scheduled", entity: "q", id: "m-2", sequence: "2" },
      { kind: "numbered", entity: "q", ids: ["m-1", "m-2"], sequences: ["2", "1"] }
    ]),
    altered: run([{ kind: "altered", before: "[\n1\n]", after: "[\n2\n]" }]),
    reused: run([
      ...good,
      { ...fault, name: "killed" } as Entry,
      { ...send, op: 2, ids: ["m-2"] } as Entry,
      { ...enqueued, id: "m-2" } as Entry,
      { ...sent, op: 2 } as Entry
    ]),
    uncounted: run([
      ...good.slice(0, 4),
      { ...fault, name: "killed" } as Entry,
      { ...received, token: "t" } as Entry,
      { ...handled, outcome: "is interrupted" } as Entry,
      { kind: "lapsed", token: "t" },
      { ...delivered, token: "u" } as Entry,
      { ...received, token: "u" } as Entry
    ]),
    resettled: run([{ kind: "resettled", sequence: "1", result: "ok", tag: undefined }]),
    renewed: run([...good.slice(0, -1), { ...applied, token: "t" }, {
      kind: "renewal",
      entity: "q",
      tokens: ["t"],
      until: undefined,
      at: 6_000
    }]),
    credit: run([{ kind: "credit", consumer: "a", credit: 3, most: 2 }]),
    "credit, before a fault": run([
      { kind: "credit", consumer: "a", credit: 3, most: 2 },
      { ...fault, name: "latency", at: 1 }
    ]),
    "credit, on the wire": run([...attached, { ...up, performative: "flow", handle: 0, count: 0, credit: 200 }]),
    "credit, miscounted": run([...attached, { ...up, performative: "flow", handle: 0, count: 1, credit: 1 }]),
    overrun: run([...attached, transfer(0), disposition, transfer(1)]),
    "overrun, after a drain": run([
      ...attached,
      { ...up, performative: "flow", handle: 0, count: 0, credit: 1 },
      { ...down, performative: "flow", handle: 0, count: 1, credit: 0 },
      transfer(0)
    ]),
    "overrun, by the client": run([
      ...attached.slice(0, 2),
      { ...up, ...link, isReceiver: false, count: 0 },
      { ...down, ...link, isReceiver: true },
      { ...down, performative: "flow", handle: 0, count: 0, credit: 1, window: 9 },
      { ...up, performative: "transfer", handle: 0, delivery: 0 },
      { ...up, performative: "transfer", handle: 0, delivery: 1 }
    ]),
    window: run([
      ...attached.slice(0, 2),
      { ...up, ...link, isReceiver: false, count: 0 },
      { ...down, ...link, isReceiver: true },
      { ...down, performative: "flow", handle: 0, count: 0, credit: 100, expected: 0, window: 1 },
      { ...up, performative: "transfer", handle: 0, delivery: 0 },
      { ...up, performative: "transfer", handle: 0, delivery: 1 }
    ]),
    disposed: run([...attached, transfer(0), disposition, disposition]),
    "disposed, of nothing": run([...attached, disposition]),
    detached: run([...attached, transfer(0), { ...up, ...detach }, disposition]),
    "detached, by the broker": run([...attached, transfer(0), { ...down, ...detach }, { ...disposition, at: 1 }]),
    backoff: run(Array.from({ length: 600 }, (_, at) => ({ kind: "attached", address: "q", at }))),
    "backoff, of a receiver": run(Array.from({ length: 5 }, () => dialling(0))),
    jitter: run([0, 100, 300, 700].map(dialling)),
    books: run([{ kind: "books", consumer: "a", entity: "q", counts: { ...counts, received: 1 } }]),
    "books, of more than was done": run([{
      kind: "books",
      consumer: "a",
      entity: "q",
      counts: { ...counts, received: 1, completed: 1 }
    }]),
    "books, of letters that were not made": run([{
      kind: "books",
      consumer: "a",
      entity: "q",
      counts: { ...counts, received: 1, deadLettered: 1 }
    }]),
    "books, of fewer letters than were made": run([
      ...good.slice(0, -1),
      { ...applied, outcome: "deadLetter" },
      { kind: "books", consumer: "a", entity: "q", counts }
    ]),
    "books, of less than was done": run([...good, { kind: "books", consumer: "a", entity: "q", counts }]),
    state: run([
      { kind: "state", session: "s", value: 1, result: "ok" },
      { kind: "state", session: "s", value: 2, result: "unknown" },
      { kind: "state", session: "s", value: 1, result: "read" },
      { kind: "state", session: "s", value: 3, result: "ok" },
      { kind: "state", session: "s", value: 2, result: "read" }
    ]),
    "state, of what was not set": run([
      { kind: "state", session: "s", value: 1, result: "asked" },
      { kind: "state", session: "s", value: 1, result: "failed" },
      { kind: "state", session: "s", value: 1, result: "read" }
    ]),
    misrouted: run([...sentTo("news", "m-2"), rule("even-0"), ...throughTopic("m-2")]),
    "misrouted, to where no rule is": run([...sentTo("news"), rule("none-0"), ...throughTopic(), inEntity(all)]),
    "misrouted, twice": run([
      ...sentTo("news"),
      rule("even-0"),
      rule("$Default"),
      ...throughTopic(),
      inEntity(all),
      inEntity(all)
    ]),
    "misrouted, not once for each action": run([
      ...sentTo("news"),
      rule("every-0"),
      rule("every-1"),
      ...throughTopic(),
      inEntity(all, "m-1:rule-every-1")
    ]),
    "misrouted, where a rule fails": run([...sentTo("news", "m-7"), rule("failing-0"), ...throughTopic("m-7")]),
    ruled: run([ruling, ruled("ok")]),
    "ruled, and said to have failed": run([ruling, rule("even-0"), ruled("failed", "ServiceBusError"), fault]),
    promised: run([asking("create", "spare", { spare: {} }), told("ok")]),
    "promised, of settings": run([
      entity("spare", "created", { userMetadata: "a" }),
      asking("create", "spare", { spare: { userMetadata: "b" } }),
      told("ok"),
      losing
    ]),
    "promised, of what another did": run([
      entity("spare", "created"),
      asking("update", "spare", {}),
      entity("spare", "updated"),
      told("ok"),
      losing
    ]),
    "promised, of what is there still": run([
      entity("spare", "created"),
      asking("delete", "spare"),
      told("ok"),
      losing
    ]),
    "promised, and done twice": run([
      entity("spare", "created"),
      asking("update", "spare"),
      entity("spare", "updated", {}, 7001),
      entity("spare", "updated", {}, 7001),
      told("ok")
    ]),
    undone: run([
      asking("create", "spare"),
      entity("spare", "created", {}, 7001),
      told("failed", "ServiceBusServerBusyError"),
      losing
    ]),
    "late, after its operation": run([
      asking("create", "spare"),
      told("interrupted"),
      entity("spare", "created", {}, 7001)
    ]),
    overwritten: run([
      entity("spare", "created", { userMetadata: "a" }),
      asking("update", "spare", { spare: { maxDeliveryCount: "3" } }),
      entity("spare", "updated", { userMetadata: "b", maxDeliveryCount: "3" }, 7001),
      told("ok")
    ]),
    "pretended, to be there": run([asking("exists", "spare"), told("ok", undefined, true)]),
    "pretended, not to be there": run([
      entity("spare", "created"),
      asking("exists", "spare"),
      told("ok", undefined, false)
    ]),
    "pretended, in other settings": run([
      entity("spare", "created", { userMetadata: "a" }),
      asking("get", "spare"),
      told("ok", undefined, { userMetadata: "b" })
    ]),
    "pretended, by a list without it": run([
      entity("spare", "created"),
      asking("list", "queues"),
      told("ok", undefined, [])
    ]),
    "pretended, by a list": run([asking("list", "queues"), told("ok", undefined, ["spare"])]),
    "pretended, to exist already": run([
      asking("create", "spare"),
      told("failed", "MessagingEntityAlreadyExistsError")
    ]),
    "pretended, to be missing": run([
      entity("news", "created"),
      entity(all, "created"),
      asking("get", `${all}/Rules/even-1`),
      entity(`${all}/Rules/even-1`, "created"),
      told("ok", undefined, {}),
      asking("list", `${all}/Rules`),
      told("failed", "MessagingEntityNotFoundError")
    ]),
    listed: run([rule("even-0"), { kind: "listing", op: 9, entity: all }, { kind: "listed", op: 9, names: [] }]),
    "listed, and was never there": run([
      rule("even-0"),
      rule("even-0", false),
      { kind: "listing", op: 9, entity: all },
      { kind: "listed", op: 9, names: ["even-0"] }
    ]),
    forwarded: run([...good, forwarded("1"), { kind: "phase", name: "drained" }], { forwards: { q: "r" } }),
    "forwarded, and kept": run([
      ...sentTo("q"),
      inEntity("q"),
      forwarded("1"),
      inEntity("r"),
      forwarded("1")
    ], { forwards: { q: "r" } }),
    "forwarded, in another order": run([
      ...sentTo("q"),
      ...sentTo("q"),
      inEntity("q"),
      { ...inEntity("q"), sequence: "2" } as Entry,
      forwarded("2"),
      inEntity("r"),
      forwarded("1"),
      inEntity("r")
    ], { forwards: { q: "r" } }),
    "forwarded, to another entity": run(
      [...sentTo("q"), inEntity("q"), { ...forwarded("1"), to: "s" } as Entry, inEntity("s")],
      { forwards: { q: "r" } }
    ),
    "forwarded, late": run([
      ...sentTo("q"),
      inEntity("q"),
      { ...inEntity("r"), at: 5_000 },
      forwarded("1")
    ], { forwards: { q: "r" } }),
    "forwarded, never": run([...sentTo("q"), inEntity("q"), { kind: "phase", name: "drained" }], {
      forwards: { q: "r" }
    }),
    doubled: run([
      ...sentTo("q"),
      ...sentTo("q"),
      inEntity("q"),
      forwarded("1"),
      inEntity("r"),
      { ...inEntity("q"), sequence: "2" } as Entry,
      forwarded("2"),
      inEntity("r")
    ], { forwards: { q: "r" }, windows: { r: 9 } }),
    "doubled, of what is sent twice": run([...sentTo("q"), inEntity("q"), ...sentTo("q"), inEntity("q")], {
      windows: { q: 9 }
    }),
    hops: run([
      ...sentTo("h0"),
      inEntity("h0"),
      ...[1, 2, 3, 4, 5].flatMap((hop): ReadonlyArray<Entry> => [
        { ...forwarded("1"), entity: `h${hop - 1}`, to: `h${hop}` } as Entry,
        inEntity(`h${hop}`)
      ])
    ], { forwards: Object.fromEntries([1, 2, 3, 4, 5].map((hop) => [`h${hop - 1}`, `h${hop}`])) }),
    "hops, too few of them": run([
      ...sentTo("q"),
      inEntity("q"),
      { kind: "buried", ...message, letter: { reason: "MaxTransferHopCountExceeded", description: undefined } }
    ]),
    suspended: run([...good.slice(0, 1), status("Disabled"), ...good.slice(1, 3)]),
    "suspended, and gives": run([...good.slice(0, 3), status("ReceiveDisabled"), ...good.slice(3)]),
    "suspended, and forwards": run([...sentTo("q"), inEntity("q"), status("Disabled"), forwarded("1"), inEntity("r")], {
      forwards: { q: "r" }
    }),
    gone: run([{ kind: "deleted", entity: "q" }, { kind: "afterlife", entity: "q", what: "gave a message" }]),
    harness: run([{ kind: "died", part: "fault", name: "reset", why: "Error: here" }]),
    unfinished: run([{ kind: "unfinished", what: "sending" }]),
    defect: run([{ kind: "began", op: 9, what: "a" }, {
      kind: "ended",
      op: 9,
      result: "failed",
      tag: "defect: TypeError"
    }]),
    noise: run([{ kind: "noise", what: "console.log: here" }]),
    listeners: run([{ kind: "listeners", consumer: "a", count: 700 }]),
    unprovoked: run([send, { ...sent, result: "unknown", tag: "OperationTimeoutError" }]),
    "unprovoked, of any operation": run([
      { kind: "began", op: 9, what: "peek" },
      { kind: "ended", op: 9, result: "failed", tag: "ServiceCommunicationError" }
    ]),
    lingering: run([
      { kind: "began", op: 9, what: "a" },
      { kind: "interrupting", op: 9 },
      { kind: "ended", op: 9, result: "interrupted", tag: undefined, at: 40_000 }
    ]),
    unended: run([send, enqueued]),
    "unended, but by the end of its client": run([
      { kind: "began", op: 9, what: "health" },
      { kind: "phase", name: "healed", at: 1 },
      { kind: "phase", name: "drained", at: 2 },
      { kind: "ended", op: 9, result: "interrupted", tag: undefined, at: 3 }
    ]),
    "unended, a consumer": run([
      { kind: "began", op: 9, what: "processor a", isLasting: true },
      { kind: "phase", name: "healed", at: 1 },
      { kind: "phase", name: "drained", at: 2 },
      { kind: "ended", op: 9, result: "interrupted", tag: undefined, at: 70_000 }
    ]),
    peeked: run([...sentTo("q"), inEntity("q"), looking, looked(["1", "7"])]),
    "peeked, and missed": run([...sentTo("q"), inEntity("q"), looking, looked([])]),
    "peeked, in another order": run([
      ...sentTo("q", "m-2"),
      ...sentTo("q"),
      inEntity("q", "m-2"),
      { ...enqueued, sequence: "2" },
      looking,
      looked(["2", "1"])
    ]),
    "peeked, more than was asked for": run([...sentTo("q"), inEntity("q"), looking, { ...looked(["1"]), most: 0 }]),
    silent: run([
      ...attached,
      send,
      enqueued,
      sent,
      { ...delivered, until: 60_000 },
      transfer(0),
      { ...received, token: "t", at: 40_000 },
      handled,
      { ...applied, token: "t" },
      heartbeat
    ]),
    "silent, though it had credit": run([
      ...attached,
      ...good,
      ...sentTo("q", "m-2"),
      { ...inEntity("q", "m-2"), sequence: "2" } as Entry,
      { ...delivered, id: "m-2", sequence: "2", token: "u", until: 90_000, at: 40_000 },
      { ...received, id: "m-2", sequence: "2" },
      { ...handled, sequence: "2" },
      heartbeat
    ]),
    stuck: run([send, enqueued, sent], { hasConverged: false, left: [{ entity: "q", ids: ["m-1"] }] }),
    ...Object.fromEntries(
      ["connections", "links", "sessions", "locks"].map((name) => [
        `leftover, ${name} of the broker`,
        run([
          { kind: "phase", name: "drained" },
          { kind: "served", connections: 0, links: 0, sessions: 0, locks: 0, [name]: 1 }
        ])
      ])
    ),
    ...Object.fromEntries(
      Object.keys(nothing).map((name) => [`leftover, ${name}`, run([], { leftovers: { ...nothing, [name]: 1 } })])
    )
  }

  it("see an error that the library does not declare as a defect", () => {
    const { tag } = resultOf(Exit.fail(new Cause.NoSuchElementError("here")))
    assert.match(String(tag), /^defect: /)
    assert.strictEqual(
      resultOf(Exit.fail(new MessageLockLostError({ message: "here" } as never))).tag,
      "MessageLockLostError"
    )
  })

  it("have a history for each of their rules, and each rule a line of the list", () => {
    const folder = fileURLToPath(new URL("oracles/", import.meta.url))
    const sources = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8")).join("")
    const rules = new Set(Array.from(sources.matchAll(/(?:rule: |report\()"(\w+)"/g), ([, rule]) => rule!))
    assert.deepStrictEqual(
      [...new Set(Object.keys(bad).map((name) => name.replace(/,.*/, "")))].toSorted(),
      [
        ...rules
      ].toSorted()
    )
    const list = readFileSync(fileURLToPath(new URL("README.md", import.meta.url)), "utf8")
    for (const rule of rules) assert.include(list, `\`${rule}\``)
  })

  for (const [rule, history] of Object.entries(bad)) {
    it(`see a run that is wrong: ${rule}`, () => {
      assert.deepStrictEqual(rulesOf(history), [rule.replace(/,.*/, "")])
    })
  }
})
