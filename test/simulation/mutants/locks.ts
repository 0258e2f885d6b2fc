/** Locks that are renewed too long, too late, for others, or not at all. */
import type { Mutant } from "./Mutant.ts"

export const locks: ReadonlyArray<Mutant> = [
  {
    name: "a lock is renewed after its message is settled",
    file: "receiver/MessageLock.ts",
    text: "return this.delivery.holder.isUnsettled(this.delivery)",
    replacement: "return true",
    workload: "receiving"
  },
  {
    name: "locks of one message id are one",
    file: "receiver/MessageLock.ts",
    text: "let lock = delivery.lock as Lock | undefined",
    replacement: "let lock = ((globalThis as any).locks ??= new Map()).get(message.messageId) as Lock | undefined",
    also: [["    delivery.lock = lock\n", "    ;(globalThis as any).locks.set(message.messageId, lock)\n"]],
    workload: "processor",
    fault: "bad handlers",
    seeds: 100
  },
  {
    name: "locks are not renewed",
    file: "receiver/LockRenewal.ts",
    text: "keep: (kept) => put(kept, dueAt(kept)),",
    replacement: "keep: (kept) => put(kept, kept.lock.expiresAt),",
    workload: "processor",
    fault: "bad handlers"
  },
  {
    name: "a renewal begins when the lock has ended",
    file: "receiver/LockRenewal.ts",
    text: "? Math.min(10_000, duration / 3)",
    replacement: "? 0",
    workload: "processor",
    fault: "bad handlers"
  },
  {
    name: "a renewal is taken to last as long as the lock did at first",
    file: "receiver/LockRenewal.ts",
    text: "until + lock.offset - now",
    replacement: "Infinity",
    workload: "forwards,entities,rules",
    fault: "updated entity,bad handlers",
    seeds: 300
  },
  {
    name: "a lost lock leaves its handler running",
    file: "processor/MessageProcessor.ts",
    text: "call.fiber?.interruptUnsafe()",
    replacement: "",
    workload: "processor",
    fault: "hanging handlers,lost locks"
  },
  {
    name: "withLock keeps no lock",
    file: "receiver/LockedWork.ts",
    text: "      state.renewal.keep(kept)\n",
    replacement: "\n",
    workload: "receiving"
  }
]
