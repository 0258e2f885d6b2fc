/**
 * What happened in one run, in order: what the client was asked to do and what came of it, what its handlers were given, what
 * the broker did (the truth), and which faults came. Oracles read it and nothing else.
 */
import { createHash } from "node:crypto"
import type { Frame } from "./Frames.ts"

/** What came of an operation: `unknown` where the client cannot tell whether it was carried out. */
export type Result = "ok" | "failed" | "unknown" | "interrupted"

/** How a consumer settles, as the broker counts it. */
export type Outcome = "complete" | "abandon" | "defer" | "deadLetter" | "retryAfter"

/** Why a message is dead-lettered. */
export interface Letter {
  readonly reason: string | undefined
  readonly description: string | undefined
}

/** Settings of an entity or a rule, as far as they are changed and compared. */
export type Settings = Readonly<Record<string, string | undefined>>

export type Entry =
  | {
    readonly kind: "send"
    readonly op: number
    readonly entity: string
    readonly ids: ReadonlyArray<string>
    readonly session: string | undefined
    readonly due: number | undefined
  }
  | { readonly kind: "sent"; readonly op: number; readonly result: Result; readonly tag: string | undefined }
  /** The numbers that the client gave for what it scheduled, in the order of the messages. */
  | {
    readonly kind: "numbered"
    readonly entity: string
    readonly ids: ReadonlyArray<string>
    readonly sequences: ReadonlyArray<string>
  }
  | { readonly kind: "cancel"; readonly op: number; readonly entity: string; readonly id: string }
  | { readonly kind: "cancelled"; readonly op: number; readonly result: Result; readonly tag: string | undefined }
  | {
    readonly kind: "received"
    readonly consumer: string
    readonly entity: string
    readonly id: string
    readonly sequence: string
    readonly delivery: number
    readonly session: string | undefined
    readonly mode: "locked" | "destructive" | "deferred"
    readonly isIntact: boolean
    /** The token of its lock, where it has one. */
    readonly token?: string | undefined
  }
  | {
    readonly kind: "handled"
    readonly consumer: string
    readonly entity: string
    readonly sequence: string
    readonly outcome: string
    /** What it is dead-lettered for, where it is. */
    readonly letter?: Letter | undefined
    /** After how many milliseconds it is to be tried again, where that is said. */
    readonly delay?: number | undefined
  }
  | {
    readonly kind: "settle"
    readonly op: number
    readonly entity: string
    readonly sequence: string
    readonly outcome: Outcome
    readonly token?: string | undefined
    readonly letter?: Letter | undefined
    readonly delay?: number | undefined
  }
  | { readonly kind: "settled"; readonly op: number; readonly result: Result; readonly tag: string | undefined }
  /** What is lasting, such as a consumer, goes on until all is taken. */
  | { readonly kind: "began"; readonly op: number; readonly what: string; readonly isLasting?: boolean }
  | { readonly kind: "ended"; readonly op: number; readonly result: Result; readonly tag: string | undefined }
  | { readonly kind: "scheduled"; readonly entity: string; readonly id: string; readonly sequence: string }
  | {
    readonly kind: "enqueued"
    readonly entity: string
    readonly id: string
    readonly sequence: string
    readonly session: string | undefined
  }
  | {
    readonly kind: "delivered"
    readonly entity: string
    readonly id: string
    readonly sequence: string
    readonly token: string
    readonly until: number
    readonly isLocked: boolean
  }
  | {
    readonly kind: "applied"
    readonly entity: string
    readonly id: string
    readonly sequence: string
    readonly outcome: Outcome | "release"
    readonly token?: string | undefined
  }
  /** What came of settling a message that was settled. */
  | { readonly kind: "resettled"; readonly sequence: string; readonly result: Result; readonly tag: string | undefined }
  /** The broker was asked to renew locks; until when they last, where it did. */
  | {
    readonly kind: "renewal"
    readonly entity: string
    readonly tokens: ReadonlyArray<string>
    readonly until: number | undefined
  }
  /** A lock ended at the broker that was not settled. */
  | { readonly kind: "lapsed"; readonly token: string }
  /** The lock of a session ended at the broker, and with it those of what was delivered under it. */
  | {
    readonly kind: "released"
    readonly entity: string
    readonly session: string
    readonly tokens: ReadonlyArray<string>
    /** Whether it ran out, and was not given up. */
    readonly isLost: boolean
  }
  /** What a processor said it had done, once it was over. */
  | {
    readonly kind: "books"
    readonly consumer: string
    readonly entity: string
    readonly counts: Readonly<Record<string, number>>
  }
  /** How much credit a consumer had with the broker at a moment when it may have so much at most. */
  | { readonly kind: "credit"; readonly consumer: string; readonly credit: number; readonly most: number }
  /** How many listeners its connection had when a consumer began. */
  | { readonly kind: "listeners"; readonly consumer: string; readonly count: number }
  /** The state of a session was read (`read`), is to be set (`asked`), or was set with this result. */
  | {
    readonly kind: "state"
    readonly session: string
    readonly value: number | undefined
    readonly result: Result | "read" | "asked"
  }
  /** The client dialled. */
  | { readonly kind: "dialled" }
  /** The broker was asked to attach a link. */
  | { readonly kind: "attached"; readonly address: string }
  /** What the broker had when it cut all connections, as it does when it closes: what it serves, and what is locked. */
  | {
    readonly kind: "served"
    readonly connections: number
    readonly links: number
    readonly sessions: number
    readonly locks: number
  }
  /** A client was closed, and so many timers of it were left. */
  | { readonly kind: "left"; readonly client: string; readonly sleeps: number }
  /** A fiber is interrupted: from here on the operation may take no longer than it needs to be over. */
  | { readonly kind: "interrupting"; readonly op: number }
  /** Something was printed, or a rejection was handled by nobody. */
  | { readonly kind: "noise"; readonly what: string }
  | {
    readonly kind: "buried"
    readonly entity: string
    readonly id: string
    readonly sequence: string
    readonly letter: Letter
  }
  | { readonly kind: "removed"; readonly entity: string; readonly id: string; readonly sequence: string }
  /** A consumer was given so many at once, or waited so many milliseconds, where it asked for so many at most. */
  | {
    readonly kind: "measured"
    readonly consumer: string
    readonly what: "messages" | "milliseconds"
    readonly count: number
    readonly most: number
  }
  /** From here on so many handlers of a consumer may run at a time, or handlers of so many sessions. */
  | { readonly kind: "bound"; readonly consumer: string; readonly of: "handlers" | "sessions"; readonly most: number }
  /** A lock is to be kept from here on, and is not any more. */
  | { readonly kind: "keeping"; readonly token: string; readonly isOver: boolean }
  /** A consumer of an entity takes nothing from here on, or does again. */
  | { readonly kind: "paused"; readonly entity: string; readonly isOver: boolean }
  /** So many messages at most are to be deleted unseen. */
  | { readonly kind: "deleting"; readonly entity: string; readonly most: number }
  /** The broker was asked to delete so many messages at most, and did so many. */
  | { readonly kind: "erased"; readonly entity: string; readonly asked: number; readonly count: number }
  /** Messages of an entity are looked at, and those that were seen: so many at most, or all. */
  | { readonly kind: "looking"; readonly look: number; readonly entity: string }
  | {
    readonly kind: "looked"
    readonly look: number
    readonly sequences: ReadonlyArray<string>
    readonly most: number | undefined
    readonly areIntact: boolean
  }
  /** A rule is to be created or deleted, and what came of it. */
  | {
    readonly kind: "ruling"
    readonly op: number
    readonly entity: string
    readonly what: "create" | "delete"
    readonly name: string
  }
  | { readonly kind: "ruled"; readonly op: number; readonly result: Result; readonly tag: string | undefined }
  /** Rules are to be listed, and those that were. */
  | { readonly kind: "listing"; readonly op: number; readonly entity: string }
  | { readonly kind: "listed"; readonly op: number; readonly names: ReadonlyArray<string> }
  /** An administrator is to do something with an entity or a rule, and what came of it. */
  | {
    readonly kind: "administer"
    readonly op: number
    readonly by: number
    readonly what: "create" | "update" | "delete" | "get" | "exists" | "list" | "apply"
    /** Its path; of a list that of what it is of. */
    readonly entity: string
    /** What is to be there afterwards, by its path. */
    readonly wanted: Readonly<Record<string, Settings>>
    /** It is made of several requests: where one fails, those before it are done. */
    readonly isPartial: boolean
  }
  | {
    readonly kind: "administered"
    readonly op: number
    readonly result: Result
    readonly tag: string | undefined
    /** Whether it is there, its settings, or the paths of a list. */
    readonly found?: boolean | Settings | ReadonlyArray<string> | undefined
  }
  /** The broker has an entity or a rule, or has it with other settings, or no more: by the request of which administrator. */
  | {
    readonly kind: "entity"
    readonly entity: string
    readonly change: "created" | "updated" | "deleted"
    readonly by: number | undefined
    readonly settings: Settings
  }
  /** The broker has a rule, or has it no more. */
  | { readonly kind: "rule"; readonly entity: string; readonly name: string; readonly isThere: boolean }
  /** A message has left an entity for the one that it forwards to. */
  | {
    readonly kind: "forwarded"
    readonly entity: string
    readonly id: string
    readonly sequence: string
    readonly to: string
  }
  /** A message was dropped, because its id had come before. */
  | { readonly kind: "duplicate"; readonly entity: string; readonly id: string }
  /** What an entity lets through from now on. */
  | { readonly kind: "status"; readonly entity: string; readonly status: string }
  /** An entity is deleted with all that it holds. */
  | { readonly kind: "deleted"; readonly entity: string }
  /** An entity that was deleted took a message, or gave one. */
  | { readonly kind: "afterlife"; readonly entity: string; readonly what: string }
  /** A broker that was killed right after a commit, and started again at once, holds something else than before. */
  | { readonly kind: "altered"; readonly before: string; readonly after: string }
  | { readonly kind: "fault"; readonly name: string; readonly what: string }
  /** A fault or a part of the workload died, which none does. */
  | { readonly kind: "died"; readonly part: "fault" | "workload"; readonly name: string; readonly why: string }
  /** A part of the workload that is to end by itself was still there long after all was taken. */
  | { readonly kind: "unfinished"; readonly what: string }
  | { readonly kind: "phase"; readonly name: "faults" | "healed" | "drained" | "closed" }
  /** A frame that the client wrote (`up`), or that came to it. */
  | { readonly kind: "wire"; readonly connection: number; readonly direction: "up" | "down" } & Frame
  | { readonly kind: "frame"; readonly connection: number; readonly direction: "up" | "down"; readonly bytes: number }

export type Stamped = Entry & { readonly at: number }

export class History {
  readonly entries: Array<Stamped> = []
  /** What has begun and not ended, by its operation; not what is lasting. */
  readonly open = new Map<number, string>()
  /** What the ids are digests of that have outgrown an id's length. */
  private readonly digested = new Map<string, string>()
  private readonly now: () => number
  private ops = 0

  constructor(now: () => number) {
    this.now = now
  }

  add(entry: Entry): void {
    this.entries.push({ ...entry, at: this.now() })
    switch (entry.kind) {
      case "send":
      case "cancel":
      case "settle":
      case "ruling":
      case "administer":
        this.open.set(entry.op, entry.kind)
        break
      case "began":
        if (entry.isLasting !== true) this.open.set(entry.op, entry.what)
        break
      case "sent":
      case "cancelled":
      case "settled":
      case "ruled":
      case "administered":
      case "ended":
        this.open.delete(entry.op)
    }
  }

  /** What was written down since there were so many entries did not happen, as far as it is of these kinds. */
  retract(since: number, kinds: ReadonlySet<string>): void {
    const rest = this.entries.splice(since)
    this.entries.push(...rest.filter(({ kind }) => !kinds.has(kind)))
  }

  /** A message has come with this id: a copy of its copies may have a digest of it. */
  noteId(id: string): void {
    if (id.length > 100) this.digested.set(createHash("sha256").update(id).digest("hex"), this.originOf(id))
  }

  /** The id under which a message was sent, of it and of the copies that a rule, a retry or a replay makes. */
  originOf(id: string): string {
    const first = id.split(":", 1)[0]!
    return this.digested.get(first) ?? first
  }

  /** The number of a new operation. */
  op(): number {
    return ++this.ops
  }

  of<K extends Entry["kind"]>(kind: K): ReadonlyArray<Extract<Stamped, { readonly kind: K }>> {
    return this.entries.filter((entry): entry is Extract<Stamped, { readonly kind: K }> => entry.kind === kind)
  }

  /** The names of the faults that were injected: not of those whose injection died. */
  injected(): ReadonlyArray<string> {
    const names = this.of("fault").map(({ name }) => name)
    for (const { name, part } of this.of("died")) {
      const index = part === "fault" ? names.indexOf(name) : -1
      if (index >= 0) names.splice(index, 1)
    }
    return names
  }

  /** The same for the same run, frame by frame (FNV-1a over all entries). */
  hash(): string {
    let hash = 0x811c9dc5
    for (const entry of this.entries) {
      const text = JSON.stringify(entry)
      for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    }
    return (hash >>> 0).toString(16).padStart(8, "0")
  }
}
