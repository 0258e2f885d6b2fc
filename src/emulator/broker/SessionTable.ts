/**
 * The sessions of one entity: which of them has a holder, who waits for the next one, and what state each keeps.
 *
 * A session is there as soon as somebody sends to it or asks for it, and is forgotten when it has no holder, no state and
 * no message that waits. Its lock covers every message delivered under it: those have no deadline of their own, and all of
 * them come back to their places when the session is given up, with one more failed delivery when its lock runs out.
 */
import * as Result from "effect/Result"
import { Lane, type Owner } from "./Consumers.ts"
import type { Line } from "./MessageOrder.ts"
import type { Attachment, HeldSession, ListOptions, Refusal, SessionHolder, Sessions } from "./Queue.ts"
import { Sorted } from "./SortedSet.ts"
import { type Due, type Entry, sequenceOf } from "./StoredMessage.ts"

/**
 * The queue that the sessions belong to.
 *
 * @category models
 */
export interface Home extends Owner {
  readonly path: string
  readonly options: { readonly lockDuration: number; readonly maxMessageSize: number }
  readonly alarm: { set(due: Due, at: number): void; clear(due: Due): void }
  /** A session's lock is over: its messages go back, as failed deliveries or as if nothing had been. */
  giveBack(entries: ReadonlyArray<Entry>, failed: boolean, now: number): void
  /** Whether so many bytes more can be stored; notes them where they can. */
  store(bytes: number): Refusal | undefined
  readonly counters: { renewed: number; sessionsAccepted: number; sessionsLost: number }
}

/**
 * A session.
 *
 * @category models
 */
export interface Session extends Due {
  readonly id: string
  readonly lane: Lane
  /** What was delivered under its lock and is not settled; nothing while there is no holder. */
  locked: Set<Entry> | undefined
  /** Those who take its messages for the holder. */
  attached: Set<Attachment> | undefined
  holder: SessionHolder | undefined
  lockedUntil: number
  state: Uint8Array | undefined
  stateUpdatedAt: number
  /** Its place among those that are available, or 0. */
  turn: number
  isTouched: boolean
  /** Whether the list of sessions has it. */
  isListed: boolean
}

/** Who waits for a session, and which turn is theirs. */
interface Waiter {
  readonly turn: number
  readonly holder: SessionHolder
}

const turnOf = ({ turn }: { readonly turn: number }): number => turn
const idOf = ({ id }: Session): string => id

/**
 * All sessions of an entity.
 *
 * @category models
 */
export class SessionTable implements Sessions {
  private readonly home: Home
  private readonly sessions = new Map<string, Session>()
  /** Every message of a session, of whatever state: one that is deferred outlives it. */
  private readonly entries = new Map<string, Sorted<Entry, number>>()
  /**
   * By their ids: those with messages that wait or are locked, or with state, and some that had such before. A list that meets
   * one of those takes it out.
   */
  private readonly listed = new Sorted(idOf)
  // In their turns, and no Sets: to get at the first of a Set is to pass all that have left before it.
  /** Sessions without a holder that may have messages: the one that has been there longest first. */
  private readonly available = new Sorted<Session, number>(turnOf)
  private readonly waiting = new Sorted<Waiter, number>(turnOf)
  private lastTurn = 0
  private touched: Array<Session> = []
  /** How many of them have had their turn. */
  private done = 0

  constructor(home: Home) {
    this.home = home
  }

  /** The session of an id, which may be new. */
  of(id: string): Session {
    let session = this.sessions.get(id)
    if (session === undefined) {
      session = {
        id,
        queue: this,
        sequence: 0,
        lane: new Lane(this.home),
        locked: undefined,
        attached: undefined,
        holder: undefined,
        lockedUntil: 0,
        state: undefined,
        stateUpdatedAt: 0,
        turn: 0,
        isTouched: false,
        isListed: false,
        at: 0,
        slot: -1
      }
      this.sessions.set(id, session)
    }
    return session
  }

  /** The session under whose lock a message is, if that still holds. */
  holding(id: string | undefined, now: number): Session | undefined {
    const session = this.heldNow(id)
    return session !== undefined && session.lockedUntil > now ? session : undefined
  }

  /** The session that somebody holds, also where its lock has run out and the alarm comes late: it will end all of it. */
  heldNow(id: string | undefined): Session | undefined {
    const session = id === undefined ? undefined : this.sessions.get(id)
    return session?.holder === undefined ? undefined : session
  }

  /** A message waits in its session. */
  add(entry: Entry): void {
    const session = this.of(entry.message.sessionId!)
    session.lane.add(entry)
    this.enlist(session)
    this.touch(session)
  }

  /** A message is there, of whatever state. */
  keep(entry: Entry): void {
    const { sessionId } = entry.message
    if (sessionId === undefined) return
    let entries = this.entries.get(sessionId)
    if (entries === undefined) {
      entries = new Sorted(sequenceOf)
      this.entries.set(sessionId, entries)
    }
    entries.add(entry)
  }

  /** A message is gone. */
  drop(entry: Entry): void {
    const entries = this.entries.get(entry.message.sessionId!)
    if (entries?.delete(entry) === true && entries.size === 0) this.entries.delete(entry.message.sessionId!)
  }

  /** The messages of a session, of whatever state. */
  entriesOf(id: string): Sorted<Entry, number> | undefined {
    return this.entries.get(id)
  }

  /** The messages of a session that wait. */
  lineOf(id: string): Line<Entry> | undefined {
    return this.sessions.get(id)?.lane.line
  }

  /** A message is locked with its session. */
  lock(session: Session, entry: Entry): void {
    session.locked?.add(entry)
    this.enlist(session)
  }

  /** A message is not locked any more. */
  unlock(entry: Entry): void {
    this.sessions.get(entry.message.sessionId!)?.locked?.delete(entry)
  }

  /** A message leaves the line of its session. */
  leave(entry: Entry): void {
    const session = this.sessions.get(entry.message.sessionId!)
    session?.lane.leave(entry)
    if (session !== undefined) this.forget(session)
  }

  private touch(session: Session): void {
    if (session.isTouched) return
    session.isTouched = true
    this.touched.push(session)
  }

  private enlist(session: Session): void {
    if (session.isListed) return
    session.isListed = true
    this.listed.add(session)
  }

  private unlist(session: Session): void {
    if (!session.isListed) return
    session.isListed = false
    this.listed.delete(session)
  }

  private makeAvailable(session: Session): void {
    if (session.turn !== 0) return
    session.turn = ++this.lastTurn
    this.available.add(session)
  }

  private withhold(session: Session): void {
    if (session.turn === 0) return
    this.available.delete(session)
    session.turn = 0
  }

  /** Serves the holders of the sessions in which something happened, and finds holders for the others. */
  flush(): void {
    while (this.done < this.touched.length) {
      const session = this.touched[this.done++]!
      session.isTouched = false
      if (session.holder !== undefined) session.lane.pump()
      else this.offer(session)
    }
    this.touched = []
    this.done = 0
  }

  private offer(session: Session): void {
    if (this.home.isClosed()) return
    if (session.lane.first(this.home.now()) === undefined) return this.forget(session)
    this.makeAvailable(session)
    const next = this.waiting.shift()
    if (next !== undefined) this.grant(session, next.holder)
  }

  private grant(session: Session, holder: SessionHolder): void {
    this.withhold(session)
    this.home.counters.sessionsAccepted += 1
    session.holder = holder
    session.locked = new Set()
    session.attached = new Set()
    session.lockedUntil = this.home.now() + this.home.options.lockDuration
    this.home.alarm.set(session, session.lockedUntil)
    const held: HeldSession = {
      id: session.id,
      lockedUntil: session.lockedUntil,
      attach: (consumer) => {
        const attachment = session.lane.attach(consumer)
        if (session.holder === holder) session.attached!.add(attachment)
        else attachment.detach()
        return attachment
      },
      release: () => {
        if (session.holder === holder) this.end(session, false)
      }
    }
    holder.granted(held)
  }

  /** The lock of a session is over. */
  private end(session: Session, isLost: boolean): void {
    const { holder } = session
    this.home.alarm.clear(session)
    session.holder = undefined
    // Whoever was attached has no part in what comes after.
    for (const attachment of session.attached ?? []) attachment.detach()
    session.attached = undefined
    const entries = [...session.locked ?? []]
    session.locked = undefined
    if (isLost) {
      this.home.counters.sessionsLost += 1
      holder?.lost()
    }
    this.touch(session)
    this.home.giveBack(entries, isLost, this.home.now())
    this.home.flush()
  }

  /** The alarm of a session's lock. */
  onDue(session: Session): void {
    this.end(session, true)
  }

  private forget(session: Session): void {
    if (session.holder !== undefined || session.state !== undefined || session.lane.line.peek() !== undefined) return
    this.withhold(session)
    this.unlist(session)
    // Another may have its id by now.
    if (this.sessions.get(session.id) === session) this.sessions.delete(session.id)
  }

  accept(id: string | undefined, holder: SessionHolder): Result.Result<() => void, Refusal> {
    const now = this.home.now()
    if (this.home.isClosed()) return Result.fail({ _tag: "EntityNotFound", entity: this.home.path })
    if (id !== undefined) {
      const session = this.of(id)
      if (session.holder !== undefined) {
        return Result.fail({ _tag: "SessionCannotBeLocked", entity: this.home.path, detail: id })
      }
      this.grant(session, holder)
      return Result.succeed(() => {})
    }
    let session = this.available.first()
    while (session !== undefined) {
      if (session.lane.first(now) !== undefined) {
        this.grant(session, holder)
        return Result.succeed(() => {})
      }
      // Its messages have expired, and the alarm comes late.
      this.withhold(session)
      this.touch(session)
      session = this.available.first()
    }
    if (this.touched.length > 0) this.home.flush()
    const waiter = { turn: ++this.lastTurn, holder }
    this.waiting.add(waiter)
    return Result.succeed(() => {
      this.waiting.delete(waiter)
    })
  }

  private held(id: string, owner: object): Result.Result<Session, Refusal> {
    const session = this.holding(id, this.home.now())
    return session === undefined || session.holder?.owner !== owner
      ? Result.fail({ _tag: "SessionLockLost", entity: this.home.path, detail: id })
      : Result.succeed(session)
  }

  isHeld(id: string, owner: object): Result.Result<void, Refusal> {
    return Result.map(this.held(id, owner), () => {})
  }

  renew(id: string, owner: object): Result.Result<number, Refusal> {
    return Result.map(this.held(id, owner), (session) => {
      session.lockedUntil = this.home.now() + this.home.options.lockDuration
      this.home.alarm.set(session, session.lockedUntil)
      this.home.counters.renewed += 1
      return session.lockedUntil
    })
  }

  state(id: string, owner: object): Result.Result<Uint8Array | undefined, Refusal> {
    return Result.map(this.held(id, owner), (session) => session.state)
  }

  setState(id: string, owner: object, state: Uint8Array | undefined): Result.Result<void, Refusal> {
    return Result.flatMap(this.held(id, owner), (session) => {
      const { maxMessageSize } = this.home.options
      if ((state?.length ?? 0) > maxMessageSize) {
        const detail = `the state has ${state!.length} of ${maxMessageSize} bytes`
        return Result.fail({ _tag: "MessageTooLarge", entity: this.home.path, detail })
      }
      const refusal = this.home.store((state?.length ?? 0) - (session.state?.length ?? 0))
      if (refusal !== undefined) return Result.fail(refusal)
      session.state = state === undefined ? undefined : Uint8Array.from(state)
      session.stateUpdatedAt = this.home.now()
      this.enlist(session)
      return Result.void
    })
  }

  list({ after, count, skip = 0, updatedSince }: ListOptions): ReadonlyArray<string> {
    const ids: Array<string> = []
    const idle: Array<Session> = []
    let left = skip
    this.listed.forEachFrom(after, (session) => {
      if (ids.length >= count) return false
      const { id, lane, locked, state, stateUpdatedAt } = session
      if (id === after) return true
      const isActive = state !== undefined || (locked?.size ?? 0) > 0 || lane.line.peek() !== undefined
      if (!isActive) idle.push(session)
      else if (updatedSince !== undefined && (state === undefined || stateUpdatedAt <= updatedSince)) return true
      else if (left > 0) left -= 1
      else ids.push(id)
      return true
    })
    for (const session of idle) this.unlist(session)
    return ids
  }
}
