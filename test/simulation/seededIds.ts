/** Ids from a seed instead of from the system, for the time of one run: the same run has the same names. */
import crypto from "node:crypto"
import { syncBuiltinESMExports } from "node:module"
import { Rng } from "./Rng.ts"

export const seededIds = (seed: number): () => void => {
  const rng = new Rng(seed ^ 0x9e3779b9)
  const hex = (digits: number): string => Array.from({ length: digits }, () => rng.between(0, 15).toString(16)).join("")
  const { randomBytes, randomUUID } = crypto
  const global = globalThis.crypto.randomUUID
  const uuid = () => `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(12)}` as ReturnType<typeof randomUUID>
  crypto.randomUUID = uuid
  globalThis.crypto.randomUUID = uuid
  crypto.randomBytes = ((size: number) => Buffer.from(hex(2 * size), "hex")) as typeof randomBytes
  syncBuiltinESMExports()
  return () => {
    crypto.randomUUID = randomUUID
    crypto.randomBytes = randomBytes
    globalThis.crypto.randomUUID = global
    syncBuiltinESMExports()
  }
}
