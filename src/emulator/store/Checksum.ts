/**
 * Sums of the rows of a file, by which a row is told that is not what was written: SQLite itself sees damage only where a page
 * makes no sense.
 */
import { crc32 } from "node:zlib"

/** The columns of the tables: a sum is of all of them, in this order, and stands after them. */
export const columns = {
  namespace: "id, content",
  entity: "id, namespace, content",
  progress: "entity, last_sequence, last_enqueued_at, accessed_at, is_in_use",
  session: "entity, id, state, updated_at",
  duplicate: "entity, until, id, sequence",
  message:
    "id, queue, sequence, flags, enqueued_at, enqueue_at, expires_at, time_to_live, delivery_count, size, session, " +
    "properties",
  payload: "id, message_id, time_to_live, properties_size, others, body"
} as const

/** The columns of a message. */
export type MessageRow = [
  id: number,
  queue: number,
  sequence: number,
  flags: number,
  enqueuedAt: number,
  enqueueAt: number | null,
  expiresAt: number | null,
  timeToLive: number | null,
  deliveryCount: number,
  size: number,
  session: string | null,
  properties: string | null,
  checksum: number
]

/** Those of its bytes, but for the number. */
export type PayloadRow = [
  messageId: string | null,
  timeToLive: number | null,
  propertiesSize: number | null,
  others: string | null,
  body: Uint8Array,
  checksum: number
]

const double = new Float64Array(1)
const halves = new Int32Array(double.buffer)

/** What a column has that is not of its type: no sum of what was written is it. */
const foreign = 0x5a17

const mix = (sum: number, value: number | null): number => {
  if (value !== null && typeof value !== "number") return sum ^ foreign
  // SQLite has no -0.
  double[0] = (value ?? NaN) + 0
  return Math.imul(Math.imul(sum ^ halves[0]!, 0x01000193) ^ halves[1]!, 0x5bd1e995) ^ (sum >>> 15)
}

const ofText = (text: string, seed = 0): number => typeof text === "string" ? crc32(text, seed) : foreign

const ofBytes = (bytes: Uint8Array, seed = 0): number => typeof bytes === "object" ? crc32(bytes, seed) : foreign

const ofNumbers = (...values: ReadonlyArray<number>): number => {
  let sum = 0x2545f491
  for (const value of values) sum = mix(sum, value)
  return sum
}

export const ofNamespace = (id: number, content: string): number => ofNumbers(id) ^ ofText(content)

export const ofEntity = (id: number, namespace: number, content: string): number =>
  ofNumbers(id, namespace) ^ ofText(content)

export const ofProgress: (
  entity: number,
  lastSequence: number,
  lastEnqueuedAt: number,
  accessedAt: number,
  isInUse: number
) => number = ofNumbers

export const ofDuplicate = (entity: number, until: number, id: string, sequence: number): number =>
  ofNumbers(entity, until, sequence) ^ ofText(id)

export const ofSession = (entity: number, id: string, state: Uint8Array, updatedAt: number): number =>
  ofNumbers(entity, updatedAt) ^ ofText(id) ^ ofBytes(state, 1)

export const ofMessage = (row: MessageRow): number => {
  let sum = 0x2545f491
  for (let index = 0; index < 10; index++) sum = mix(sum, row[index] as number | null)
  if (row[10] !== null) sum ^= ofText(row[10])
  if (row[11] !== null) sum ^= ofText(row[11], 1)
  return sum
}

/** `row` has the columns from an index on. */
export const ofPayload = (id: number, row: PayloadRow | readonly [number, ...PayloadRow], from: 0 | 1 = 0): number => {
  const messageId = row[from] as PayloadRow[0]
  const others = row[from + 3] as PayloadRow[3]
  let sum = ofBytes(row[from + 4] as Uint8Array)
  sum = mix(mix(mix(sum, id), row[from + 1] as PayloadRow[1]), row[from + 2] as PayloadRow[2])
  if (messageId !== null) sum ^= ofText(messageId, 1)
  if (others !== null) sum ^= ofText(others, 2)
  return sum
}
