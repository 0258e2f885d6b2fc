/**
 * What there is in a namespace at a glance: its entities, each with its counts. Whoever asks again names the version that it was
 * given, and is told what has changed since, so that to look on costs little where little happens: no message is looked at, and
 * of an entity that nothing happens to nothing is written.
 *
 * It keeps the last numbers of each entity that it told of, and nothing where nobody asks.
 */
import type * as Broker from "../broker/Broker.ts"

/** An entity with its counts. */
export interface Row {
  readonly path: string
  readonly kind: "queue" | "topic" | "subscription"
  readonly status: string
  readonly requiresSession: boolean
  readonly forwardTo?: string
  /** Messages by their states; those that are locked or deferred are active ones. */
  readonly active: number
  readonly scheduled: number
  readonly deadLetter: number
  readonly transferDeadLetter: number
  readonly sizeInBytes: number
  /** What has happened since the entity was made. */
  readonly enqueued: number
  readonly delivered: number
  readonly completed: number
  readonly receivedAndDeleted: number
  readonly deadLettered: number
}

/** What is told. */
export interface Told {
  readonly version: string
  /** Whether all entities are told of, and others are there no more. */
  readonly isWhole: boolean
  readonly entities: ReadonlyArray<Row>
}

interface Known {
  row: Row
  /** The version in which it became what it is. */
  since: number
  /** The look that has seen it last. */
  seen: number
}

/** The overview of one broker. */
export class Overview {
  private readonly broker: Broker.Broker
  /** A broker that has started again comes to the same numbers. */
  private readonly name: string = crypto.randomUUID()
  private readonly known = new Map<string, Known>()
  private version = 0
  private looks = 0
  /** The version in which an entity went for the last time. */
  private wentIn = 0

  constructor(broker: Broker.Broker) {
    this.broker = broker
  }

  /** What has changed since a version, or all. */
  since(token: string | undefined): Told {
    this.look()
    const given = token?.startsWith(`${this.name}.`) === true ? Number(token.slice(this.name.length + 1)) : NaN
    const isWhole = !(given >= this.wentIn && given <= this.version)
    const entities: Array<Row> = []
    for (const { row, since } of this.known.values()) if (isWhole || since > given) entities.push(row)
    return { version: `${this.name}.${this.version}`, isWhole, entities }
  }

  private look(): void {
    const look = ++this.looks
    const next = this.version + 1
    let isChanged = false
    for (const queue of this.broker.queues()) {
      const row = rowOf(queue)
      const known = this.known.get(queue.path)
      if (known === undefined) {
        this.known.set(queue.path, { row, since: next, seen: look })
        isChanged = true
        continue
      }
      known.seen = look
      if (isSame(known.row, row)) continue
      known.row = row
      known.since = next
      isChanged = true
    }
    for (const [path, { seen }] of this.known) {
      if (seen === look) continue
      this.known.delete(path)
      this.wentIn = next
      isChanged = true
    }
    if (isChanged) this.version = next
  }
}

const rowOf = (queue: Broker.Queue): Row => {
  const { counters, kind, options, path } = queue
  const counts = queue.runtime()
  return {
    path,
    kind: kind as Row["kind"],
    status: options.status,
    requiresSession: options.requiresSession,
    ...(options.forwardTo === undefined ? {} : { forwardTo: options.forwardTo }),
    active: counts.activeMessageCount,
    scheduled: counts.scheduledMessageCount,
    deadLetter: counts.deadLetterMessageCount,
    transferDeadLetter: counts.transferDeadLetterMessageCount,
    sizeInBytes: counts.sizeInBytes,
    enqueued: counters.enqueued,
    delivered: counters.delivered,
    completed: counters.completed,
    receivedAndDeleted: counters.receivedAndDeleted,
    deadLettered: counters.deadLettered
  }
}

const isSame = (one: Row, other: Row): boolean =>
  one.enqueued === other.enqueued && one.delivered === other.delivered && one.completed === other.completed &&
  one.receivedAndDeleted === other.receivedAndDeleted &&
  one.active === other.active && one.scheduled === other.scheduled && one.deadLetter === other.deadLetter &&
  one.deadLettered === other.deadLettered && one.transferDeadLetter === other.transferDeadLetter &&
  one.sizeInBytes === other.sizeInBytes && one.status === other.status && one.kind === other.kind &&
  one.requiresSession === other.requiresSession && one.forwardTo === other.forwardTo
