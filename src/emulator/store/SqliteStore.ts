/**
 * Keeps what brokers hold in a file: all namespaces of a server in one, each in a store of its own.
 *
 * What a turn of the event loop changed is one transaction, which is written before anything leaves that tells of it, and at the
 * end of the turn in any case. A transaction that fails is no loss: what has changed is kept as such and written with the next
 * one, and until then nothing leaves, and nothing more is taken. A message has one row for its bytes, which is written once, and
 * one for its state; a row's number says of which namespace it is.
 *
 * One file because what has changed is collected, written as one transaction, and forgotten, or kept where that fails, in one
 * place.
 */
import * as Result from "effect/Result"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import type * as AmqpValue from "../../AmqpValue.ts"
import { EmulatorError } from "../../ServiceBusError.ts"
import type { IncomingMessage, KeptState, Payload } from "../broker/Queue.ts"
import {
  type Duplicate,
  type RestoredEntity,
  type RestoredMessage,
  sizeOf,
  type Store,
  type StoringEntity,
  type StoringQueue
} from "../broker/Store.ts"
import type { StoredMessage } from "../broker/StoredMessage.ts"
import * as ValueJson from "../state/ValueJson.ts"
import * as Checksum from "./Checksum.ts"
import type { MessageRow, PayloadRow } from "./Checksum.ts"
import * as DataFile from "./DataFile.ts"
import { DiskRoom, pause } from "./DiskRoom.ts"
import * as EntityRow from "./EntityRow.ts"
import { LazyMessage, type Reading, readOthers, type StoredBytes, writeOthers } from "./LazyMessage.ts"
import * as StoredText from "./StoredText.ts"

/** How a store is opened. */
export interface Options {
  /** The path of the file. */
  readonly file: string
  /** Whether each commit waits until the disk has it. */
  readonly isSynchronous: boolean
  /** Runs a task at the end of the turn. */
  readonly schedule: (task: () => void) => void
  /** Runs a task after so many milliseconds: what has failed is tried again. */
  readonly later: (task: () => void, millis: number) => void
  /** The time in milliseconds. */
  readonly now: () => number
  /** Is told what went wrong, and that it is over. */
  readonly report: (words: string, cause?: unknown) => void
  /** Is told what the file had and has no more. */
  readonly warn: (words: string) => void
}

/** How many rows a namespace has numbers for: as many messages it may be sent. */
const rowsOfNamespace = 2 ** 36

/** How many namespaces there are numbers for: those of rows stay within the 53 bits that Node reads. */
const mostNamespaces = 2 ** 17

/** Rows of the queues of an entity: its own, and those of its dead-letter queues. */
const queuesOfEntity = 4

/** What the flags of a message say. */
const isDeferred = 1
const wasScheduled = 2
const isLocked = 4

/** What a namespace is kept as: a text, which its maker reads. */
export interface StoredNamespace {
  readonly store: NamespaceStore
  readonly content: string
}

export class SqliteStore implements Reading {
  private readonly options: Options
  private readonly database: DatabaseSync
  private readonly room: DiskRoom
  private readonly statements: ReturnType<typeof statementsOf>
  private isClosed = false
  /** What comes of opening is written once all of it has come. */
  private isServing = false
  private isScheduled = false
  /** What has changed since the last commit. */
  private readonly changed = new Set<StoredMessage>()
  private readonly gone: Array<number> = []
  private readonly advanced = new Set<StoringQueue>()
  private readonly recalled = new Set<StoringQueue>()
  private readonly states = new Map<StoringQueue, Set<string>>()
  /** Entities, with the numbers of their namespaces. */
  private readonly entities = new Map<StoringEntity, number>()
  /** By their queues. */
  private readonly known = new WeakMap<
    StoringQueue,
    { readonly entity: StoringEntity; readonly namespace: number }
  >()
  private readonly deletedEntities: Array<number> = []
  private readonly changedNamespaces = new Map<number, string | undefined>()
  /** Why the last commit failed; undefined where it did not. */
  private failure: string | undefined
  private isWaiting = false
  /** What was read last: a message is asked for many things at once. */
  private lastRow = -1
  private lastBytes: StoredBytes | undefined
  private scratch = Buffer.alloc(4096)
  /** The numbers of namespaces that the file has, or has until the next commit. */
  private readonly namespaceIds = new Set<number>()
  private nextNamespace = 0
  private nextEntity = 1

  private constructor(options: Options, file: DataFile.DataFile) {
    this.options = options
    this.database = file.database
    this.statements = statementsOf(file.database)
    this.room = new DiskRoom({
      path: file.path,
      freePages: () => {
        const [row] = DataFile.rowsOf(this.statements.freePages)
        return row![0] as number
      },
      checkpoint: () => {
        this.database.exec("PRAGMA wal_checkpoint(TRUNCATE)")
      },
      now: options.now,
      report: options.report
    })
  }

  /** Opens a file, and makes it where there is none. Fails with what is wrong with it, and what to do. */
  static open(options: Options): Result.Result<SqliteStore, EmulatorError> {
    return Result.map(DataFile.open(options.file, options.isSynchronous), (file) => {
      if (file.lost !== undefined) options.warn(file.lost)
      return new SqliteStore(options, file)
    })
  }

  /** The namespaces that it has, in the order in which they came. */
  namespaces(): ReadonlyArray<StoredNamespace> {
    const found: Array<StoredNamespace> = []
    for (const [id, content] of DataFile.rowsOf(this.statements.namespaces)) {
      found.push({ store: new NamespaceStore(this, id as number), content: content as string })
      this.namespaceIds.add(id as number)
      this.nextNamespace = Math.max(this.nextNamespace, id as number + 1)
    }
    const [row] = DataFile.rowsOf(this.statements.lastEntity)
    this.nextEntity = (row![0] as number | null ?? 0) + 1
    return found
  }

  /** Why it takes no further namespace; undefined where it does. */
  get namespaceRefusal(): string | undefined {
    return this.namespaceIds.size < mostNamespaces
      ? undefined
      : `its data has the ${mostNamespaces} namespaces that a file takes; remove one`
  }

  /**
   * A namespace that comes, where that is not refused. Its number is the next one that none has, and after the last one the
   * first ones again: what still reads of one that has gone reads nothing of another.
   */
  addNamespace(content: string): NamespaceStore {
    let id = this.nextNamespace % mostNamespaces
    while (this.namespaceIds.has(id)) id = (id + 1) % mostNamespaces
    this.nextNamespace = id + 1
    this.namespaceIds.add(id)
    const store = new NamespaceStore(this, id)
    this.setNamespace(store.id, content)
    return store
  }

  /** Has a namespace be another one. */
  setNamespace(id: number, content: string): void {
    this.changedNamespaces.set(id, content)
    this.isChanged()
  }

  /** A namespace goes, with all that is in it. */
  removeNamespace(id: number): void {
    this.changedNamespaces.set(id, undefined)
    for (const message of this.changed) if (namespaceOf(message) === id) this.changed.delete(message)
    for (const [entity, namespace] of this.entities) if (namespace === id) this.entities.delete(entity)
    const isOf = (queue: StoringQueue) => this.known.get(queue)?.namespace === id
    for (const queues of [this.advanced, this.recalled, this.states]) {
      for (const queue of queues.keys()) if (isOf(queue)) queues.delete(queue)
    }
    this.isChanged()
  }

  /** What the entities of a namespace are, in the order in which they were made: a topic before its subscriptions. */
  entitiesOf(namespace: number): ReadonlyArray<RestoredEntity> {
    const { duplicates, entities, progress, sessions } = this.statements
    const found: Array<RestoredEntity> = []
    for (const [id, content] of [...DataFile.rowsOf(entities, namespace)] as Array<[number, string]>) {
      const [row] = DataFile.rowsOf(progress, id)
      const [lastSequence = 0, lastEnqueuedAt = 0, accessedAt = 0, isInUse = 0] = (row ?? []) as Array<number>
      const known: Array<Duplicate> = []
      for (const [until, key, sequence] of DataFile.rowsOf(duplicates, id) as Iterable<[number, string, number]>) {
        known.push({ id: StoredText.read(key), sequence, until })
      }
      const states: Array<KeptState["sessions"][number]> = []
      for (const [key, state, updatedAt] of DataFile.rowsOf(sessions, id) as Iterable<[string, Uint8Array, number]>) {
        states.push({ id: StoredText.read(key), state, updatedAt })
      }
      found.push({
        ...EntityRow.read(content),
        row: id * queuesOfEntity,
        lastSequence,
        lastEnqueuedAt,
        accessedAt,
        isInUse: isInUse === 1,
        duplicates: known,
        sessions: states
      })
    }
    return found
  }

  /** Passes on the messages of a namespace, and returns the last row that one has. */
  messagesOf(namespace: number, visit: (queue: number, message: RestoredMessage) => void): number {
    const first = namespace * rowsOfNamespace
    let last = first
    const ids = new Map<string, string>()
    const pages = DataFile.pagesOf<MessageRow>(this.statements.messages, first, first + rowsOfNamespace - 1)
    // One object for all: a million would cost more than all else that is done here.
    const message: { -readonly [K in keyof RestoredMessage]: RestoredMessage[K] } = {
      row: 0,
      sequence: 0,
      incoming: undefined as never,
      enqueuedAt: 0,
      enqueueAt: undefined,
      expiresAt: undefined,
      timeToLive: undefined,
      deliveryCount: 0,
      properties: noProperties,
      deferred: false,
      wasScheduled: false,
      isLocked: false
    }
    const restore = (row: MessageRow) => {
      const flags = row[3]
      const session = row[10]
      let sessionId: string | undefined
      if (session !== null) {
        // One text for all messages of a session.
        sessionId = ids.get(session)
        if (sessionId === undefined) ids.set(session, sessionId = StoredText.read(session))
      }
      last = row[0]
      message.row = last
      message.sequence = row[2]
      message.incoming = new LazyMessage(this, last, row[9], sessionId)
      message.enqueuedAt = row[4]
      message.enqueueAt = row[5] ?? undefined
      message.expiresAt = row[6] ?? undefined
      message.timeToLive = row[7] ?? undefined
      message.deliveryCount = row[8]
      message.properties = row[11] === null ? noProperties : readProperties(row[11])
      message.deferred = (flags & isDeferred) !== 0
      message.wasScheduled = (flags & wasScheduled) !== 0
      message.isLocked = (flags & isLocked) !== 0
      visit(row[1], message)
    }
    for (const page of pages) for (const row of page) restore(row)
    return last
  }

  bytesOf(row: number): StoredBytes {
    if (this.lastRow === row) return this.lastBytes!
    const [found] = DataFile.rowsOf(this.statements.payload, row) as Iterable<PayloadRow>
    if (found === undefined) throw new Error(`the data has no bytes of message ${row}`)
    const [messageId, timeToLive, propertiesSize, others, body, sum] = found
    if (sum !== Checksum.ofPayload(row, found)) throw new Error(`the data of message ${row} is damaged`)
    this.lastBytes = {
      // As those that come from a peer: what reads them counts on it.
      payload: Buffer.from(body.buffer, body.byteOffset, body.byteLength),
      messageId: messageId === null ? undefined : StoredText.read(messageId),
      timeToLive: timeToLive ?? undefined,
      propertiesSize: propertiesSize ?? undefined,
      others: readOthers(others)
    }
    this.lastRow = row
    return this.lastBytes
  }

  // What the stores of namespaces tell.

  messageChanged(message: StoredMessage): void {
    this.changed.add(message)
    if (!this.isScheduled) this.isChanged()
  }

  /** What is told of it was told of another one. */
  messageForgotten(message: StoredMessage): void {
    this.changed.delete(message)
  }

  messageRemoved(message: StoredMessage): void {
    this.changed.delete(message)
    const { row } = message
    message.row = 0
    if (row <= 0) return
    this.gone.push(row)
    if (!this.isScheduled) this.isChanged()
  }

  queueAdvanced(queue: StoringQueue): void {
    this.advanced.add(queue)
    if (!this.isScheduled) this.isChanged()
  }

  queueRecalled(queue: StoringQueue): void {
    this.recalled.add(queue)
    this.isChanged()
  }

  stateChanged(queue: StoringQueue, id: string): void {
    let ids = this.states.get(queue)
    if (ids === undefined) this.states.set(queue, ids = new Set())
    ids.add(id)
    this.isChanged()
  }

  entityDeclared(entity: StoringEntity, namespace: number): void {
    const { queue } = entity
    // One that came from the file is only made known.
    const isRestored = queue.row !== 0 && !this.known.has(queue)
    if (queue.row === 0) {
      queue.row = this.nextEntity++ * queuesOfEntity
      // From its beginning it is known when it was used.
      this.advanced.add(queue)
      if (queue.deadLetterQueue !== undefined) queue.deadLetterQueue.row = queue.row + 1
      if (queue.transferDeadLetterQueue !== undefined) queue.transferDeadLetterQueue.row = queue.row + 2
    }
    this.known.set(queue, { entity, namespace })
    if (isRestored) return
    this.entities.set(entity, namespace)
    this.isChanged()
  }

  entityDeleted(entity: StoringEntity): void {
    const { queue } = entity
    this.entities.delete(entity)
    this.deletedEntities.push(queue.row / queuesOfEntity)
    // What is still told of it is not written.
    queue.row = 0
    this.isChanged()
  }

  /** The rules of a subscription are part of what it is. */
  rulesChanged(queue: StoringQueue): void {
    const entity = this.known.get(queue)
    if (entity !== undefined && queue.row > 0) this.entityDeclared(entity.entity, entity.namespace)
  }

  refusal(bytes: number): string | undefined {
    return this.failure !== undefined && !this.commit() ? this.failure : this.room.refusal(bytes)
  }

  private isChanged(): void {
    if (this.isScheduled || this.isClosed) return
    this.isScheduled = true
    this.options.schedule(() => {
      this.commit()
    })
  }

  /** Writes what has changed; false where that failed, and nothing may be told of it. */
  commit(): boolean {
    if (!this.isScheduled || this.isClosed || !this.isServing) return true
    const inserted: Array<StoredMessage> = []
    const { database } = this
    try {
      database.exec("BEGIN")
      try {
        this.write(inserted)
        database.exec("COMMIT")
      } catch (cause) {
        this.rollBack()
        throw cause
      }
    } catch (cause) {
      for (const message of inserted) message.row = -message.row
      // Which of the ids were written is not known any more.
      for (const queue of this.advanced) this.recalled.add(queue)
      this.room.committed()
      if (this.failure === undefined) {
        this.options.report("The broker's data cannot be written: it serves nothing until it can", cause)
      }
      this.failure = `The broker's data cannot be written (${DataFile.wordsOf(cause)})`
      this.commitLater()
      return false
    }
    if (this.failure !== undefined) {
      this.failure = undefined
      this.options.report("The broker's data is written again")
    }
    this.isScheduled = false
    for (const [id, content] of this.changedNamespaces) {
      if (content === undefined) {
        this.namespaceIds.delete(id)
        this.lastRow = -1
      }
    }
    this.changed.clear()
    this.gone.length = 0
    this.advanced.clear()
    this.recalled.clear()
    this.states.clear()
    this.entities.clear()
    this.deletedEntities.length = 0
    this.changedNamespaces.clear()
    this.room.committed()
    return true
  }

  private rollBack(): void {
    try {
      this.database.exec("ROLLBACK")
    } catch {
      // SQLite itself has, where the disk is full. What has failed is told of.
    }
  }

  /** Tries again by itself: nobody may ask for anything meanwhile. */
  private commitLater(): void {
    if (this.isWaiting) return
    this.isWaiting = true
    this.options.later(() => {
      this.isWaiting = false
      this.commit()
    }, pause)
  }

  private write(inserted: Array<StoredMessage>): void {
    const { statements } = this
    for (const [id, content] of this.changedNamespaces) {
      if (content === undefined) this.deleteNamespace(id)
      else statements.setNamespace.run(id, content, Checksum.ofNamespace(id, content))
    }
    for (const id of this.deletedEntities) this.deleteEntity(id)
    for (const [entity, namespace] of this.entities) this.writeEntity(entity, namespace)
    for (const row of this.gone) {
      statements.deleteMessage.run(row)
      statements.deletePayload.run(row)
    }
    for (const message of this.changed) this.writeMessage(message, inserted)
    for (const queue of this.advanced) this.writeProgress(queue)
    for (const queue of this.recalled) if (!this.advanced.has(queue)) this.writeProgress(queue)
    for (const [queue, ids] of this.states) {
      if (queue.row > 0) { for (const id of ids) this.writeState(queue, id) }
    }
  }

  private deleteNamespace(id: number): void {
    const { statements } = this
    for (const [entity] of [...DataFile.rowsOf(statements.entities, id)]) this.deleteEntity(entity as number)
    statements.deleteNamespace.run(id)
    const first = id * rowsOfNamespace
    statements.deleteMessages.run(first, first + rowsOfNamespace - 1)
    statements.deletePayloads.run(first, first + rowsOfNamespace - 1)
  }

  private deleteEntity(id: number): void {
    const { deleteDuplicates, deleteEntity, deleteProgress, deleteSessions } = this.statements
    for (const statement of [deleteEntity, deleteProgress, deleteSessions, deleteDuplicates]) statement.run(id)
  }

  private writeEntity(entity: StoringEntity, namespace: number): void {
    const id = entity.queue.row / queuesOfEntity
    const content = EntityRow.write(entity)
    this.statements.setEntity.run(id, namespace, content, Checksum.ofEntity(id, namespace, content))
  }

  private writeMessage(message: StoredMessage, inserted: Array<StoredMessage>): void {
    const { deliveryCount, enqueueAt, enqueuedAt, expiresAt, incoming, properties, sequence, timeToLive } = message
    const { row: queue } = message.owner
    if (message.row < 0) {
      message.row = -message.row
      inserted.push(message)
      this.writePayload(message.row, incoming)
    }
    const flags = (message.deferred ? isDeferred : 0) | (message.wasScheduled ? wasScheduled : 0) |
      (message.lockToken === undefined ? 0 : isLocked)
    const row: MessageRow = [
      message.row,
      queue,
      sequence,
      flags,
      enqueuedAt,
      enqueueAt ?? null,
      expiresAt ?? null,
      timeToLive ?? null,
      deliveryCount,
      sizeOf(incoming),
      incoming.sessionId === undefined ? null : StoredText.write(incoming.sessionId),
      properties.length === 0 ? null : writeProperties(properties),
      0
    ]
    row[12] = Checksum.ofMessage(row)
    this.statements.setMessage.run(...row)
  }

  private writePayload(id: number, incoming: IncomingMessage): void {
    const { messageId, payload, propertiesSize, timeToLive } = incoming
    const row: PayloadRow = [
      messageId === undefined ? null : StoredText.write(messageId),
      timeToLive ?? null,
      propertiesSize ?? null,
      writeOthers(incoming),
      this.bytes(payload),
      0
    ]
    row[5] = Checksum.ofPayload(id, row)
    this.statements.addPayload.run(id, ...row)
  }

  /** The bytes of a payload, good until the next one is asked for. */
  private bytes(payload: Payload): Uint8Array {
    if (typeof payload !== "string") return payload
    if (this.scratch.length < payload.length) this.scratch = Buffer.alloc(2 * payload.length)
    return this.scratch.subarray(0, this.scratch.write(payload, "latin1"))
  }

  private writeProgress(queue: StoringQueue): void {
    // Numbers are those of an entity, not of its dead letters.
    if (queue.row === 0 || queue.row % queuesOfEntity !== 0) return
    const id = queue.row / queuesOfEntity
    const { accessedAt, isInUse, lastEnqueuedAt, lastSequence } = queue.progress()
    const { addDuplicate, deleteDuplicates, forgetDuplicates, setProgress } = this.statements
    const used = isInUse ? 1 : 0
    const sum = Checksum.ofProgress(id, lastSequence, lastEnqueuedAt, accessedAt, used)
    setProgress.run(id, lastSequence, lastEnqueuedAt, accessedAt, used, sum)
    const isAll = this.recalled.has(queue)
    const known = queue.duplicates(isAll)
    if (known === undefined) return
    if (isAll) deleteDuplicates.run(id)
    else forgetDuplicates.run(id, queue.now())
    for (const { id: given, sequence, until } of known) {
      const key = StoredText.write(given)
      addDuplicate.run(id, until, key, sequence, Checksum.ofDuplicate(id, until, key, sequence))
    }
  }

  private writeState(queue: StoringQueue, sessionId: string): void {
    const id = queue.row / queuesOfEntity
    const key = StoredText.write(sessionId)
    const session = queue.sessionState(sessionId)
    if (session === undefined) this.statements.deleteSession.run(id, key)
    else {
      const { state, updatedAt } = session
      this.statements.setSession.run(id, key, state, updatedAt, Checksum.ofSession(id, key, state, updatedAt))
    }
  }

  /**
   * From now on it is written to: a broker that does not come to be has not touched it. Fails where what comes of opening cannot
   * be written; nothing is written after that.
   */
  serve(): Result.Result<void, EmulatorError> {
    this.isServing = true
    if (this.commit()) return Result.void
    this.isServing = false
    const problem =
      `data "${this.options.file}" cannot be written, and is left as it is: make room on its disk (${this.failure})`
    return Result.fail(new EmulatorError({ problem, reason: "quotaExceeded" }))
  }

  /** Writes what has changed, and gives the file up. */
  close(): void {
    if (this.isClosed) return
    this.commit()
    this.isClosed = true
    this.database.close()
  }
}

/** The store of the broker of one namespace. */
export class NamespaceStore implements Store {
  readonly id: number
  private readonly all: SqliteStore
  /** What the next message is stored under: never one that was used before. */
  private nextRow: number
  private isRemoved = false

  constructor(all: SqliteStore, id: number) {
    this.all = all
    this.id = id
    this.nextRow = id * rowsOfNamespace + 1
  }

  entities(): ReadonlyArray<RestoredEntity> {
    return this.all.entitiesOf(this.id)
  }

  messages(visit: (queue: number, message: RestoredMessage) => void): void {
    this.nextRow = this.all.messagesOf(this.id, visit) + 1
  }

  changed(message: StoredMessage): void {
    if (this.isRemoved) return
    // Below 0 it has a number, and is not written yet.
    if (message.row === 0) message.row = -this.nextRow++
    this.all.messageChanged(message)
  }

  replaced(message: StoredMessage): void {
    this.removed(message)
    this.changed(message)
  }

  moved(from: StoredMessage, to: StoredMessage): void {
    to.row = from.row
    from.row = 0
    this.all.messageForgotten(from)
  }

  removed(message: StoredMessage): void {
    if (!this.isRemoved) this.all.messageRemoved(message)
  }

  advanced(queue: StoringQueue): void {
    if (!this.isRemoved) this.all.queueAdvanced(queue)
  }

  recalled(queue: StoringQueue): void {
    if (!this.isRemoved) this.all.queueRecalled(queue)
  }

  sessionChanged(queue: StoringQueue, id: string): void {
    if (!this.isRemoved) this.all.stateChanged(queue, id)
  }

  declared(entity: StoringEntity): void {
    if (!this.isRemoved) this.all.entityDeclared(entity, this.id)
  }

  rulesChanged(queue: StoringQueue): void {
    if (!this.isRemoved) this.all.rulesChanged(queue)
  }

  deleted(entity: StoringEntity): void {
    if (!this.isRemoved) this.all.entityDeleted(entity)
  }

  refusal(bytes: number): string | undefined {
    return this.all.refusal(bytes)
  }

  /** Says that the namespace is another one. */
  describe(content: string): void {
    this.all.setNamespace(this.id, content)
  }

  /** The namespace is gone, with all that is in it; what is told after that is nothing. */
  remove(): void {
    this.isRemoved = true
    this.all.removeNamespace(this.id)
  }
}

const namespaceOf = ({ row }: StoredMessage): number => Math.floor(Math.abs(row) / rowsOfNamespace)

const noProperties: ReadonlyArray<AmqpValue.AmqpValue> = []

const writeProperties = (properties: ReadonlyArray<AmqpValue.AmqpValue>): string =>
  JSON.stringify(properties.map(ValueJson.toJson))

const readProperties = (text: string): ReadonlyArray<AmqpValue.AmqpValue> =>
  (JSON.parse(text) as ReadonlyArray<Parameters<typeof ValueJson.ofJson>[0]>).map((json) =>
    ValueJson.ofJson(json, "property")
  )

const statementsOf = (database: DatabaseSync) => {
  const { columns } = Checksum
  const prepare = (sql: string): StatementSync => database.prepare(sql)
  return {
    namespaces: prepare(`SELECT ${columns.namespace} FROM namespace ORDER BY id`),
    lastEntity: prepare("SELECT max(id) FROM entity"),
    entities: prepare("SELECT id, content FROM entity WHERE namespace = ? ORDER BY id"),
    progress: prepare("SELECT last_sequence, last_enqueued_at, accessed_at, is_in_use FROM progress WHERE entity = ?"),
    duplicates: prepare(
      "SELECT until, id, sequence FROM duplicate WHERE entity = ? ORDER BY until, sequence"
    ),
    sessions: prepare("SELECT id, state, updated_at FROM session WHERE entity = ?"),
    messages: prepare(
      `SELECT ${columns.message}, checksum FROM message WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?`
    ),
    payload: prepare(
      "SELECT message_id, time_to_live, properties_size, others, body, checksum FROM payload WHERE id = ?"
    ),
    freePages: prepare("PRAGMA freelist_count"),
    setNamespace: prepare("INSERT OR REPLACE INTO namespace VALUES (?, ?, ?)"),
    deleteNamespace: prepare("DELETE FROM namespace WHERE id = ?"),
    deleteMessages: prepare("DELETE FROM message WHERE id BETWEEN ? AND ?"),
    deletePayloads: prepare("DELETE FROM payload WHERE id BETWEEN ? AND ?"),
    setEntity: prepare("INSERT OR REPLACE INTO entity VALUES (?, ?, ?, ?)"),
    deleteEntity: prepare("DELETE FROM entity WHERE id = ?"),
    setProgress: prepare("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?)"),
    deleteProgress: prepare("DELETE FROM progress WHERE entity = ?"),
    setSession: prepare("INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?)"),
    deleteSession: prepare("DELETE FROM session WHERE entity = ? AND id = ?"),
    deleteSessions: prepare("DELETE FROM session WHERE entity = ?"),
    addDuplicate: prepare("INSERT OR REPLACE INTO duplicate VALUES (?, ?, ?, ?, ?)"),
    forgetDuplicates: prepare("DELETE FROM duplicate WHERE entity = ? AND until <= ?"),
    deleteDuplicates: prepare("DELETE FROM duplicate WHERE entity = ?"),
    setMessage: prepare("INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
    deleteMessage: prepare("DELETE FROM message WHERE id = ?"),
    addPayload: prepare("INSERT OR REPLACE INTO payload VALUES (?, ?, ?, ?, ?, ?, ?)"),
    deletePayload: prepare("DELETE FROM payload WHERE id = ?")
  }
}
