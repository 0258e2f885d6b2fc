/**
 * The truth of a run: what the queues of the broker did, written into the history. The broker has no hooks for it; its methods
 * are wrapped for the time of one run, of which there is one at a time in a process.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { MessageQueue } from "../../src/emulator/broker/MessageQueue.ts"
import type { History, Outcome } from "./History.ts"

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

/** Writes the broker's deeds for as long as the scope is open. */
export const record = (history: History) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const prototype = MessageQueue.prototype as unknown as Record<string, Method>
      const before = new Map<string, Method>()
      const wrap = (name: string, wrapped: (original: Method, queue: any, args: ReadonlyArray<any>) => unknown) => {
        const original = prototype[name]
        if (original === undefined) throw new Error(`MessageQueue has no ${name}: the journal must follow it`)
        before.set(name, original)
        prototype[name] = function(this: unknown, ...args: Array<never>) {
          return wrapped(original, this, args)
        }
      }
      const named = (queue: { readonly path: string }, { incoming, sequence }: Held) => ({
        entity: queue.path,
        id: String(incoming.messageId),
        sequence: String(sequence)
      })
      wrap("accept", (original, queue, args) => {
        const result = original.apply(queue, args as never)
        const message = args[0] as Held
        history.add({ kind: "enqueued", ...named(queue, message), session: message.incoming.sessionId })
        return result
      })
      wrap("schedule", (original, queue, args) => {
        history.add({ kind: "scheduled", ...named(queue, args[0]) })
        return original.apply(queue, args as never)
      })
      wrap("take", (original, queue, args) => {
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
          history.add({ kind: "applied", ...named(queue, message), outcome: outcomes[args[1]._tag] ?? "complete" })
        }
        return result
      })
      wrap("release", (original, queue, args) => {
        const message = queue.findLocked(args[0], queue.now()) as Held | undefined
        const result = original.apply(queue, args as never) as Result.Result<void, unknown>
        if (Result.isSuccess(result) && message !== undefined) {
          history.add({ kind: "applied", ...named(queue, message), outcome: "release" })
        }
        return result
      })
      wrap("deadLetter", (original, queue, args) => {
        history.add({ kind: "buried", ...named(queue, args[0]), reason: String(args[1]) })
        return original.apply(queue, args as never)
      })
      wrap("remove", (original, queue, args) => {
        history.add({ kind: "removed", ...named(queue, args[0]) })
        return original.apply(queue, args as never)
      })
      return () => {
        for (const [name, original] of before) prototype[name] = original
      }
    }),
    (restore) => Effect.sync(restore)
  )
