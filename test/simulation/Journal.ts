/**
 * The truth of a run: what the queues of the broker did, written into the history. The broker has no hooks for it; its methods
 * are wrapped for the time of one run, of which there is one at a time in a process.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { AmqpConnection } from "../../src/emulator/amqp/AmqpConnection.ts"
import { AmqpServer } from "../../src/emulator/amqp/AmqpServer.ts"
import { Registry } from "../../src/emulator/broker/Broker.ts"
import { MessageQueue } from "../../src/emulator/broker/MessageQueue.ts"
import { SessionTable } from "../../src/emulator/broker/SessionTable.ts"
import { SubscriptionRules } from "../../src/emulator/broker/SubscriptionRules.ts"
import { ManagementApi } from "../../src/emulator/http/ManagementApi.ts"
import type { Entry, History, Outcome, Settings } from "./History.ts"
import { pathOf } from "./Topology.ts"

/** What a queue knows of a message. */
interface Held {
  readonly sequence: number
  readonly incoming: { readonly messageId: string | undefined; readonly sessionId: string | undefined }
}

type Method = (...args: Array<never>) => unknown

const outcomes: Readonly<Record<string, Outcome>> = {
  Complete: "complete",
  Abandon: "abandon",
  Defer: "defer",
  DeadLetter: "deadLetter"
}

/** A session of a queue as far as its lock is concerned. */
interface Session {
  readonly holder: object | undefined
  lockedUntil: number
}

/** A queue as far as its locks are concerned. */
interface Locking {
  readonly path: string
  readonly locks: ReadonlyMap<string, { lockedUntil: number }>
  /** Undefined where the queue has none. */
  readonly sessions: { readonly sessions: ReadonlyMap<string, Session> } | undefined
  readonly shared: { readonly deadlines: { readonly set: (message: unknown, at: number) => void } }
  readonly now: () => number
}

/** A queue as far as its numbers and its settings are concerned. */
interface Numbered {
  readonly path: string
  readonly options: { readonly status: string }
  lastSequence: number
}

/** What the broker did: of a broker that is killed, what was not committed did not happen. Locks and links are gone anyway. */
const deeds: ReadonlySet<Entry["kind"]> = new Set<Entry["kind"]>([
  "duplicate",
  "status",
  "deleted",
  "forwarded",
  "entity",
  "rule",
  "enqueued",
  "scheduled",
  "delivered",
  "applied",
  "erased",
  "buried",
  "removed",
  "afterlife"
])

export interface Journal {
  /** Has all locks of messages end, now. */
  readonly loseLocks: () => void
  /** The same of sessions. */
  readonly loseSessions: () => void
  /** How many messages are locked. */
  readonly locks: () => number
  /** What the broker has done until now is in its file. */
  readonly kept: () => void
  /** The process of the broker is killed: what it does from here on it does not do. */
  readonly killed: () => void
  /** Another one starts on its file. */
  readonly opens: () => void
}

/** What a filter says, of those that are changed. */
export const textOf = (filter: { readonly _tag: string; readonly expression?: string }): string =>
  filter.expression ?? filter._tag

/** Writes the broker's deeds for as long as the scope is open; gives what ends all locks of messages, and of sessions. */
export const record = (whole: History): Effect.Effect<Journal, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      /** How many entries there were when the broker had all that it had done in its file. */
      let kept = 0
      let isDead = false
      const history = {
        add: (entry: Entry): void => {
          if (!isDead) whole.add(entry)
        },
        noteId: (id: string): void => whole.noteId(id)
      }
      const restores: Array<() => void> = []
      const queues = new Set<Locking>()
      const wrapOf = (of: { readonly prototype: object; readonly name: string }) => {
        const prototype = of.prototype as unknown as Record<string, Method>
        return (name: string, wrapped: (original: Method, self: any, args: ReadonlyArray<any>) => unknown) => {
          const original = prototype[name]
          if (original === undefined) throw new Error(`${of.name} has no ${name}: the journal must follow it`)
          restores.push(() => {
            prototype[name] = original
          })
          prototype[name] = function(this: unknown, ...args: Array<never>) {
            return wrapped(original, this, args)
          }
        }
      }
      const wrap = wrapOf(MessageQueue)
      wrapOf(AmqpConnection)("attach", (original, connection, args) => {
        const { source, target } = args[0].remote.attach
        const address = args[0].is_receiver() ? target?.address : source?.address
        history.add({ kind: "attached", address: String(address) })
        return original.apply(connection, args as never)
      })
      const named = (queue: { readonly path: string }, { incoming, sequence }: Held) => ({
        entity: queue.path,
        id: String(incoming.messageId),
        sequence: String(sequence)
      })
      const ended = new WeakSet<object>()
      const taken = new WeakSet<object>()
      /** How far the numbers of entities had come that were deleted, by their paths. */
      const gone = new Map<string, number>()
      const counted = new WeakSet<Numbered>()
      /** The numbers of an entity that is made again go on, so that in one run a number is one message. */
      const number = (queue: Numbered): void => {
        if (counted.has(queue)) return
        counted.add(queue)
        queue.lastSequence = Math.max(queue.lastSequence, gone.get(queue.path) ?? 0)
      }
      const noteAfterlife = (queue: Numbered, what: string): void => {
        if (ended.has(queue)) history.add({ kind: "afterlife", entity: queue.path, what })
      }
      wrap("store", (original, queue, args) => {
        number(queue)
        const result = original.apply(queue, args as never) as Result.Result<unknown, unknown>
        if (Result.isFailure(result) || queue.options.duplicateDetectionWindow === undefined) return result
        for (const incoming of args[0] as ReadonlyArray<Held["incoming"]>) {
          if (taken.has(incoming)) continue
          history.add({ kind: "duplicate", entity: queue.path, id: String(incoming.messageId) })
        }
        return result
      })
      for (const name of ["deadLetterArrival", "failTransfer"]) {
        wrap(name, (original, queue, args) => {
          number(queue)
          return original.apply(queue, args as never)
        })
      }
      wrap("configure", (original, queue, args) => {
        const { status } = args[0]
        if (status !== queue.options.status) history.add({ kind: "status", entity: queue.path, status })
        return original.apply(queue, args as never)
      })
      wrap("end", (original, queue, args) => {
        history.add({ kind: "deleted", entity: queue.path })
        gone.set(queue.path, Math.max(queue.lastSequence, gone.get(queue.path) ?? 0))
        ended.add(queue)
        return original.apply(queue, args as never)
      })
      wrap("forwarded", (original, queue, args) => {
        history.add({ kind: "forwarded", ...named(queue, args[0]), to: queue.options.forwardTo })
        return original.apply(queue, args as never)
      })
      /** The administrator whose request is carried out: each asks at a port of its own. */
      let by: number | undefined
      /** What a file has is made known to a broker that starts: nothing of it is new. */
      let isRestoring = false
      const changed = (entity: string, change: "created" | "updated" | "deleted", settings: Settings = {}) =>
        isRestoring ? undefined : history.add({ kind: "entity", entity, change, by, settings })
      wrapOf(ManagementApi)("perform", (original, api, args) => {
        const { authority, ifMatch, method, resource } = args[0]
        by = Number(authority.split(":")[1] ?? 0)
        const outcome = original.apply(api, args as never) as Result.Result<unknown, unknown>
        const isOfEntity = resource.kind === "entity" || resource.kind === "subscription"
        if (method === "PUT" && isOfEntity && Result.isSuccess(outcome)) {
          const { path, settings } = api.entities.find(resource)
          changed(path, ifMatch === undefined ? "created" : "updated", {
            userMetadata: api.entities.keptOf(path).UserMetadata,
            maxDeliveryCount: String(settings.maxDeliveryCount)
          })
        }
        by = undefined
        return outcome
      })
      const wrapBroker = wrapOf(Registry)
      wrapBroker("restore", (original, broker, args) => {
        isRestoring = true
        const result = original.apply(broker, args as never)
        isRestoring = false
        return result
      })
      wrapBroker("add", (original, broker, args) => {
        const result = original.apply(broker, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result) && by === undefined) {
          const { path, settings } = broker.declaration(pathOf(args[0]).toLowerCase())
          changed(path, "created", { maxDeliveryCount: String(settings.maxDeliveryCount) })
        }
        return result
      })
      wrapBroker("update", (original, broker, args) => {
        const result = original.apply(broker, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result) && by === undefined) {
          const { path, settings } = broker.declaration(args[0])
          changed(path, "updated", { maxDeliveryCount: String(settings.maxDeliveryCount) })
        }
        return result
      })
      wrapBroker("delete", (original, broker, args) => {
        const path = broker.declaration(args[0])?.path
        const result = original.apply(broker, args as never) as Result.Result<number, unknown>
        if (Result.isSuccess(result)) changed(path, "deleted")
        return result
      })
      const wrapRules = wrapOf(SubscriptionRules)
      let isReplacing = false
      wrapRules("replace", (original, rules, args) => {
        isReplacing = true
        const result = original.apply(rules, args as never)
        isReplacing = false
        return result
      })
      wrapRules("declare", (original, rules, args) => {
        const result = original.apply(rules, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result)) {
          const { filter, name } = args[0]
          if (!isRestoring) history.add({ kind: "rule", entity: rules.path, name, isThere: true })
          changed(`${rules.path}/Rules/${name}`, isReplacing ? "updated" : "created", { filter: textOf(filter) })
        }
        return result
      })
      wrapRules("remove", (original, rules, args) => {
        const result = original.apply(rules, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result)) {
          history.add({ kind: "rule", entity: rules.path, name: args[0], isThere: false })
          changed(`${rules.path}/Rules/${args[0]}`, "deleted")
        }
        return result
      })
      wrapRules("clear", (original, rules, args) => {
        for (const { name } of rules.list()) {
          history.add({ kind: "rule", entity: rules.path, name, isThere: false })
          changed(`${rules.path}/Rules/${name}`, "deleted")
        }
        return original.apply(rules, args as never)
      })
      // Its scope closes after those of its clients.
      wrapOf(AmqpServer)("dropAll", (original, server, args) => {
        const connections = [...(server as AmqpServer).connections]
        const held = [...queues].flatMap(({ sessions }) =>
          [...sessions?.sessions.values() ?? []].filter(({ holder }) => holder !== undefined)
        )
        history.add({
          kind: "served",
          connections: connections.length,
          links: connections.reduce((sum, { links }) => sum + links.size, 0),
          sessions: held.length,
          locks: [...queues].reduce((sum, { locks }) => sum + locks.size, 0)
        })
        return original.apply(server, args as never)
      })
      wrap("accept", (original, queue, args) => {
        noteAfterlife(queue, "took a message")
        const message = args[0] as Held
        taken.add(message.incoming)
        const result = original.apply(queue, args as never)
        history.add({ kind: "enqueued", ...named(queue, message), session: message.incoming.sessionId })
        history.noteId(String(message.incoming.messageId))
        return result
      })
      wrap("schedule", (original, queue, args) => {
        taken.add((args[0] as Held).incoming)
        history.add({ kind: "scheduled", ...named(queue, args[0]) })
        return original.apply(queue, args as never)
      })
      wrap("take", (original, queue, args) => {
        queues.add(queue)
        noteAfterlife(queue, "gave a message")
        const delivery = original.apply(queue, args as never) as {
          readonly lockToken: string
          readonly lockedUntil: number
        }
        history.add({
          kind: "delivered",
          ...named(queue, args[0]),
          token: delivery.lockToken,
          until: delivery.lockedUntil,
          isLocked: args[1] === "peekLock"
        })
        return delivery
      })
      wrap("settle", (original, queue, args) => {
        const message = queue.findLocked(args[0], queue.now()) as Held | undefined
        const result = original.apply(queue, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result) && message !== undefined) {
          history.add({
            kind: "applied",
            ...named(queue, message),
            outcome: outcomes[args[1]._tag] ?? "complete",
            token: String(args[0])
          })
        }
        return result
      })
      wrap("release", (original, queue, args) => {
        const message = queue.findLocked(args[0], queue.now()) as Held | undefined
        const result = original.apply(queue, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result) && message !== undefined) {
          history.add({ kind: "applied", ...named(queue, message), outcome: "release", token: String(args[0]) })
        }
        return result
      })
      wrap("renew", (original, queue, args) => {
        const result = original.apply(queue, args as never) as Result.Result<ReadonlyArray<number>, unknown>
        history.add({
          kind: "renewal",
          entity: queue.path,
          tokens: args[0],
          until: Result.isSuccess(result) ? result.success[0] : undefined
        })
        return result
      })
      wrap("onDue", (original, queue, args) => {
        const { enqueueAt, lockToken } = args[0]
        if (enqueueAt === undefined && lockToken !== undefined) history.add({ kind: "lapsed", token: lockToken })
        return original.apply(queue, args as never)
      })
      wrapOf(SessionTable)("end", (original, table, args) => {
        const [session, isLost] = args
        const tokens = Array.from(session.locked ?? [], ({ lockToken }) => String(lockToken))
        history.add({ kind: "released", entity: table.queue.path, session: session.id, tokens, isLost })
        return original.apply(table, args as never)
      })
      wrap("deleteBefore", (original, queue, args) => {
        const result = original.apply(queue, args as never) as Result.Result<number, unknown>
        const count = Result.isSuccess(result) ? result.success : 0
        history.add({ kind: "erased", entity: queue.path, asked: args[1], count })
        return result
      })
      wrap("deadLetter", (original, queue, args) => {
        history.add({ kind: "buried", ...named(queue, args[0]), letter: { reason: args[1], description: args[2] } })
        return original.apply(queue, args as never)
      })
      wrap("remove", (original, queue, args) => {
        history.add({ kind: "removed", ...named(queue, args[0]) })
        return original.apply(queue, args as never)
      })
      return {
        restore: () => {
          for (const restore of restores) restore()
        },
        loseLocks: () => {
          for (const queue of queues) {
            if (queue.sessions !== undefined) continue
            for (const message of queue.locks.values()) {
              message.lockedUntil = queue.now()
              queue.shared.deadlines.set(message, message.lockedUntil)
            }
          }
        },
        locks: () => [...queues].reduce((sum, { locks }) => sum + locks.size, 0),
        kept: () => {
          kept = whole.entries.length
        },
        killed: () => {
          whole.retract(kept, deeds)
          for (const { locks, path, sessions } of queues) {
            for (const token of locks.keys()) history.add({ kind: "lapsed", token })
            for (const [session, { holder }] of sessions?.sessions ?? []) {
              if (holder === undefined) continue
              history.add({ kind: "released", entity: path, session, tokens: [...locks.keys()], isLost: true })
            }
          }
          queues.clear()
          isDead = true
        },
        opens: () => {
          isDead = false
        },
        loseSessions: () => {
          for (const queue of queues) {
            for (const session of queue.sessions?.sessions.values() ?? []) {
              if (session.holder === undefined) continue
              session.lockedUntil = queue.now()
              queue.shared.deadlines.set(session, session.lockedUntil)
            }
          }
        }
      }
    }),
    ({ restore }) => Effect.sync(restore)
  )
