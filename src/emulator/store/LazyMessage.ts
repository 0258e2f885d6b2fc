/**
 * A message that was stored by a broker before this one: its bytes are read when they are asked for, so that a broker with a
 * million of them opens at once and is small.
 */
import type { IncomingMessage, Payload } from "../broker/Queue.ts"

/** What is stored of a message beside its state. */
export interface StoredBytes {
  readonly payload: Payload
  readonly messageId: string | undefined
  readonly timeToLive: number | undefined
  readonly propertiesSize: number | undefined
  readonly others: Others
}

/** What few messages have. */
export type Others = Pick<
  IncomingMessage,
  | "sequenceNumber"
  | "firstSequenceNumber"
  | "wasScheduled"
  | "expiresAt"
  | "hops"
  | "deadLetterSource"
  | "enqueueNextAt"
>

/** What reads it. */
export interface Reading {
  /** What is stored under a number, which does not change: the same object where it is asked for again at once. */
  bytesOf(row: number): StoredBytes
}

export class LazyMessage implements IncomingMessage {
  private readonly store: Reading
  private readonly row: number
  readonly size: number
  readonly sessionId: string | undefined

  constructor(store: Reading, row: number, size: number, sessionId: string | undefined) {
    this.store = store
    this.row = row
    this.size = size
    this.sessionId = sessionId
  }

  private get stored(): StoredBytes {
    return this.store.bytesOf(this.row)
  }

  get payload(): Payload {
    return this.stored.payload
  }

  get messageId(): string | undefined {
    return this.stored.messageId
  }

  get timeToLive(): number | undefined {
    return this.stored.timeToLive
  }

  get propertiesSize(): number | undefined {
    return this.stored.propertiesSize
  }

  get sequenceNumber(): bigint | undefined {
    return this.stored.others.sequenceNumber
  }

  get firstSequenceNumber(): bigint | undefined {
    return this.stored.others.firstSequenceNumber
  }

  get wasScheduled(): boolean | undefined {
    return this.stored.others.wasScheduled
  }

  get expiresAt(): number | undefined {
    return this.stored.others.expiresAt
  }

  get hops(): number | undefined {
    return this.stored.others.hops
  }

  get deadLetterSource(): string | undefined {
    return this.stored.others.deadLetterSource
  }

  get enqueueNextAt(): number | undefined {
    return this.stored.others.enqueueNextAt
  }
}

/** The others of a message, as a text; null where it has none. */
export const writeOthers = (incoming: IncomingMessage): string | null => {
  const { deadLetterSource, enqueueNextAt, expiresAt, firstSequenceNumber, hops, sequenceNumber, wasScheduled } =
    incoming
  if (
    sequenceNumber === undefined && firstSequenceNumber === undefined && wasScheduled === undefined &&
    expiresAt === undefined && hops === undefined && deadLetterSource === undefined && enqueueNextAt === undefined
  ) return null
  return JSON.stringify({
    deadLetterSource,
    enqueueNextAt,
    expiresAt,
    firstSequenceNumber: firstSequenceNumber === undefined ? undefined : String(firstSequenceNumber),
    hops,
    sequenceNumber: sequenceNumber === undefined ? undefined : String(sequenceNumber),
    wasScheduled
  })
}

const none: Others = {}

/** The others out of a text. */
export const readOthers = (text: string | null): Others => {
  if (text === null) return none
  const { firstSequenceNumber, sequenceNumber, ...others } = JSON.parse(text) as
    & Omit<
      Others,
      "firstSequenceNumber" | "sequenceNumber"
    >
    & { readonly firstSequenceNumber?: string; readonly sequenceNumber?: string }
  return {
    ...others,
    firstSequenceNumber: firstSequenceNumber === undefined ? undefined : BigInt(firstSequenceNumber),
    sequenceNumber: sequenceNumber === undefined ? undefined : BigInt(sequenceNumber)
  }
}
