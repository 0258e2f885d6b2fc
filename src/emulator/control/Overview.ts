/**
 * What there is in a namespace at a glance: its entities, each with its counts. Whoever asks again names the version that it was
 * given, and is told what has changed since, so that to look on costs little where little happens: no message is looked at, and
 * of an entity that nothing happens to nothing is written.
 *
 * It keeps the last numbers of each entity that it told of, and nothing where nobody asks.
 */
import type * as Broker from "../broker/Broker.ts"
import { EntityCounts } from "./EntityCounts.ts"

/** What is told. */
export interface Told {
  readonly version: string
  /** Whether all entities are told of, and others are there no more. */
  readonly isWhole: boolean
  readonly entities: ReadonlyArray<EntityCounts>
}

interface Known {
  row: EntityCounts
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
    const entities: Array<EntityCounts> = []
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

const rowOf = (queue: Broker.Queue): EntityCounts => {
  const { counters, kind, options, path } = queue
  const counts = queue.runtime()
  return {
    path,
    kind: kind as EntityCounts["kind"],
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

const names = Object.keys(EntityCounts.fields) as ReadonlyArray<keyof EntityCounts>

const isSame = (one: EntityCounts, other: EntityCounts): boolean => names.every((name) => one[name] === other[name])
