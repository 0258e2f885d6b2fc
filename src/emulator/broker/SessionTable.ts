/**
 * The sessions of one entity: which of them has a holder, which holders wait for the next one, and what state each keeps.
 *
 * A session is there as soon as a message is sent to it or it is asked for, and is forgotten when it has no holder, no state and
 * no message that waits. Its lock covers every message delivered under it: those have no deadline of their own, and all of
 * them wait again when the session is given up, with one more failed delivery when its lock runs out.
 */
import * as Result from "effect/Result"
import { Consumers, type OwningQueue } from "./Consumers.ts"
import type { MessageOrder } from "./MessageOrder.ts"
import type {
  Attachment,
  BrowsedSession,
  HeldSession,
  KeptState,
  ListOptions,
  Refusal,
  SessionHolder,
  Sessions
} from "./Queue.ts"
import { SortedSet } from "./SortedSet.ts"
import { type Due, sequenceOf, type StoredMessage } from "./StoredMessage.ts"

/**
 * What sessions need of the queue that they belong to.
 *
 * @category models
 */
export interface SessionOwningQueue extends OwningQueue {
  readonly path: string
  readonly options: { readonly lockDuration: number; readonly maxMessageSize: number }
  readonly deadlines: { set(due: Due, at: number): void; clear(due: Due): void }
  /** A session's lock is over: its messages wait again, as failed deliveries or as if they had not been delivered. */
  returnMessages(messages: ReadonlyArray<StoredMessage>, failed: boolean, now: number): void
  /** Reserves so many bytes more; refuses where the size of the entity does not allow them. */
  reserve(bytes: number): Refusal | undefined
  /** The state of a session is another one. */
  stateChanged(id: string): void
  /** A session has come to have a holder, or has none any more. */
  holdersChanged(): void
  readonly counters: { renewed: number; sessionsAccepted: number; sessionsLost: number }
}

/**
 * A session.
 *
 * @category models
 */
interface Session extends Due {
  readonly id: string
  readonly consumers: Consumers
  /** What was delivered under its lock and is not settled; nothing while there is no holder. */
  locked: Set<StoredMessage> | undefined
  /** The consumers that take its messages for the holder. */
  attached: Set<Attachment> | undefined
  holder: SessionHolder | undefined
  lockedUntil: number
  state: Uint8Array | undefined
  stateUpdatedAt: number
  /** Its turn among those that are available, or 0. */
  turn: number
  isChanged: boolean
  /** Whether the list of sessions has it. */
  isListed: boolean
}

/** A holder that waits for a session, and its turn. */
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
  private readonly queue: SessionOwningQueue
  private readonly sessions = new Map<string, Session>()
  /** Every message of a session, of whatever state: one that is deferred outlives it. */
  private readonly messages = new Map<string, SortedSet<StoredMessage, number>>()
  /**
   * Ordered by their ids: those with messages that wait or are locked, or with state, and some that had such before. Listing
   * takes out those of the last kind that it meets.
   */
  private readonly listed = new SortedSet(idOf)
  // Ordered by turn, and no Sets: to get at the first of a Set is to pass over all that have been deleted before it.
  /** Sessions without a holder that may have messages: the one that has been there longest first. */
  private readonly available = new SortedSet<Session, number>(turnOf)
  private readonly waiting = new SortedSet<Waiter, number>(turnOf)
  private lastTurn = 0
  private holders = 0
  private changed: Array<Session> = []
  /** How many of them `flush` has dealt with. */
  private flushed = 0

  constructor(queue: SessionOwningQueue) {
    this.queue = queue
  }

  /** The session of an id, which may be new. */
  of(id: string): Session {
    let session = this.sessions.get(id)
    if (session === undefined) {
      session = {
        id,
        owner: this,
        sequence: 0,
        consumers: new Consumers(this.queue),
        locked: undefined,
        attached: undefined,
        holder: undefined,
        lockedUntil: 0,
        state: undefined,
        stateUpdatedAt: 0,
        turn: 0,
        isChanged: false,
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

  /** The session if it has a holder, also where its lock has run out and the timer comes late: that will end it. */
  heldNow(id: string | undefined): Session | undefined {
    const session = id === undefined ? undefined : this.sessions.get(id)
    return session?.holder === undefined ? undefined : session
  }

  /** A message waits in its session. */
  add(message: StoredMessage): void {
    const session = this.of(message.incoming.sessionId!)
    session.consumers.add(message)
    this.enlist(session)
    this.markChanged(session)
  }

  /** A message was stored, of whatever state. */
  keep(message: StoredMessage): void {
    const { sessionId } = message.incoming
    if (sessionId === undefined) return
    let messages = this.messages.get(sessionId)
    if (messages === undefined) {
      messages = new SortedSet(sequenceOf)
      this.messages.set(sessionId, messages)
    }
    messages.add(message)
  }

  /** A message was removed. */
  drop(message: StoredMessage): void {
    const messages = this.messages.get(message.incoming.sessionId!)
    if (messages?.delete(message) === true && messages.size === 0) this.messages.delete(message.incoming.sessionId!)
  }

  /** The messages of a session, of whatever state. */
  messagesOf(id: string): SortedSet<StoredMessage, number> | undefined {
    return this.messages.get(id)
  }

  /** The messages of a session that wait. */
  waitingOf(id: string): MessageOrder<StoredMessage> | undefined {
    return this.sessions.get(id)?.consumers.waiting
  }

  /** A message is locked with its session. */
  lock(session: Session, message: StoredMessage): void {
    session.locked?.add(message)
    this.enlist(session)
  }

  /** A message is not locked any more. */
  unlock(message: StoredMessage): void {
    this.sessions.get(message.incoming.sessionId!)?.locked?.delete(message)
  }

  /** A message waits no longer in its session. */
  remove(message: StoredMessage): void {
    const session = this.sessions.get(message.incoming.sessionId!)
    session?.consumers.remove(message)
    if (session !== undefined) this.forget(session)
  }

  private markChanged(session: Session): void {
    if (session.isChanged) return
    session.isChanged = true
    this.changed.push(session)
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

  private makeUnavailable(session: Session): void {
    if (session.turn === 0) return
    this.available.delete(session)
    session.turn = 0
  }

  /** Delivers to the holders of the sessions that have changed, and finds holders for the others. */
  flush(): void {
    while (this.flushed < this.changed.length) {
      const session = this.changed[this.flushed++]!
      session.isChanged = false
      if (session.holder !== undefined) session.consumers.deliver()
      else this.offer(session)
    }
    this.changed = []
    this.flushed = 0
  }

  private offer(session: Session): void {
    if (this.queue.isClosed() || this.queue.isPaused()) return
    if (session.consumers.first(this.queue.now()) === undefined) return this.forget(session)
    this.makeAvailable(session)
    const next = this.waiting.shift()
    if (next !== undefined) this.grant(session, next.holder)
  }

  private grant(session: Session, holder: SessionHolder): void {
    this.makeUnavailable(session)
    this.queue.counters.sessionsAccepted += 1
    this.holders += 1
    this.queue.holdersChanged()
    session.holder = holder
    session.locked = new Set()
    session.attached = new Set()
    session.lockedUntil = this.queue.now() + this.queue.options.lockDuration
    this.queue.deadlines.set(session, session.lockedUntil)
    const held: HeldSession = {
      id: session.id,
      lockedUntil: session.lockedUntil,
      attach: (consumer) => {
        const attachment = session.consumers.attach(consumer)
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

  /** The lock of a session is over: it was given up or, if `isLost`, ran out. */
  private end(session: Session, isLost: boolean): void {
    const { holder } = session
    this.queue.deadlines.clear(session)
    this.holders -= 1
    this.queue.holdersChanged()
    session.holder = undefined
    // The consumers of the former holder get nothing of what comes after.
    for (const attachment of session.attached ?? []) attachment.detach()
    session.attached = undefined
    const messages = [...session.locked ?? []]
    session.locked = undefined
    if (isLost) {
      this.queue.counters.sessionsLost += 1
      holder?.lost()
    }
    this.markChanged(session)
    this.queue.returnMessages(messages, isLost, this.queue.now())
    this.queue.flush()
  }

  /** Whether a session is held or waited for. */
  get isInUse(): boolean {
    return this.holders > 0 || this.waiting.size > 0
  }

  /** Sessions can be accepted again: those with messages are offered to those who wait. */
  resume(): void {
    for (const session of this.sessions.values()) this.markChanged(session)
  }

  /** Forgets everything: its queue is deleted. */
  clear(): void {
    this.forgetSessions()
    this.waiting.clear()
  }

  /** Forgets everything but who waits for a session. Those who hold one are told that it is lost. */
  reset(): void {
    const holders = Array.from(this.sessions.values(), ({ holder }) => holder).filter((each) => each !== undefined)
    this.forgetSessions()
    for (const holder of holders) holder.lost()
  }

  private forgetSessions(): void {
    for (const session of this.sessions.values()) {
      this.queue.deadlines.clear(session)
      session.holder = undefined
      // It may be among those that are to be offered.
      session.turn = 0
      session.isListed = false
      // The size may be that of a topic, which stays.
      this.queue.reserve(-(session.state?.length ?? 0))
      if (session.state !== undefined) {
        session.state = undefined
        this.queue.stateChanged(session.id)
      }
      for (const attachment of session.attached ?? []) attachment.detach()
    }
    this.sessions.clear()
    this.messages.clear()
    this.listed.clear()
    this.available.clear()
    this.holders = 0
  }

  /** The sessions that have state, by their ids. */
  states(): KeptState["sessions"] {
    const kept: Array<KeptState["sessions"][number]> = []
    this.listed.forEachFrom(undefined, ({ id, state, stateUpdatedAt }) => {
      if (state !== undefined) kept.push({ id, state, updatedAt: stateUpdatedAt })
      return true
    })
    return kept
  }

  /** The state of a session; undefined where it has none. */
  stateOf(id: string): KeptState["sessions"][number] | undefined {
    const session = this.sessions.get(id)
    return session?.state === undefined
      ? undefined
      : { id, state: session.state, updatedAt: session.stateUpdatedAt }
  }

  /** Gives a session a state that it had. */
  restore({ id, state, updatedAt }: KeptState["sessions"][number]): void {
    const session = this.of(id)
    session.state = Uint8Array.from(state)
    session.stateUpdatedAt = updatedAt
    this.enlist(session)
  }

  /** The lock of a session has run out. */
  onDue(session: Session): void {
    // Its queue may have been deleted by what was due before it.
    if (session.holder !== undefined) this.end(session, true)
  }

  lose(id: string): number | undefined {
    const session = this.heldNow(id)
    if (session === undefined) return undefined
    const count = session.locked?.size ?? 0
    this.end(session, true)
    return count
  }

  loseAll(): void {
    // What is given to others meanwhile is not lost by them.
    const holders = Array.from(this.sessions.values(), (session) => [session, session.holder] as const)
    for (const [session, holder] of holders) {
      if (holder !== undefined && session.holder === holder) this.end(session, true)
    }
  }

  private forget(session: Session): void {
    if (session.holder !== undefined || session.state !== undefined || session.consumers.waiting.peek() !== undefined) {
      return
    }
    this.makeUnavailable(session)
    this.unlist(session)
    // Another session may have its id by now.
    if (this.sessions.get(session.id) === session) this.sessions.delete(session.id)
  }

  accept(id: string | undefined, holder: SessionHolder): Result.Result<() => void, Refusal> {
    const now = this.queue.now()
    if (this.queue.isClosed()) return Result.fail({ _tag: "EntityNotFound", entity: this.queue.path })
    if (id !== undefined) {
      const session = this.of(id)
      if (session.holder !== undefined) {
        return Result.fail({ _tag: "SessionCannotBeLocked", entity: this.queue.path, detail: id })
      }
      this.grant(session, holder)
      return Result.succeed(() => {})
    }
    // What is to be offered yet may be offered to nobody, and is available then.
    let session = this.nextAvailable(now)
    if (session === undefined && this.changed.length > 0) {
      this.queue.flush()
      session = this.nextAvailable(now)
    }
    if (session !== undefined) {
      this.grant(session, holder)
      return Result.succeed(() => {})
    }
    const waiter = { turn: ++this.lastTurn, holder }
    this.waiting.add(waiter)
    return Result.succeed(() => {
      this.waiting.delete(waiter)
    })
  }

  /** The session that has had messages and no holder for longest. */
  private nextAvailable(now: number): Session | undefined {
    let session = this.available.first()
    while (session !== undefined && session.consumers.first(now) === undefined) {
      // Its messages have expired, and the timer comes late.
      this.makeUnavailable(session)
      this.markChanged(session)
      session = this.available.first()
    }
    return session
  }

  private held(id: string, owner: object): Result.Result<Session, Refusal> {
    const session = this.holding(id, this.queue.now())
    return session === undefined || session.holder?.owner !== owner
      ? Result.fail({ _tag: "SessionLockLost", entity: this.queue.path, detail: id })
      : Result.succeed(session)
  }

  isHeld(id: string, owner: object): Result.Result<void, Refusal> {
    return Result.map(this.held(id, owner), () => {})
  }

  renew(id: string, owner: object): Result.Result<number, Refusal> {
    return Result.map(this.held(id, owner), (session) => {
      session.lockedUntil = this.queue.now() + this.queue.options.lockDuration
      this.queue.deadlines.set(session, session.lockedUntil)
      this.queue.counters.renewed += 1
      return session.lockedUntil
    })
  }

  state(id: string, owner: object): Result.Result<Uint8Array | undefined, Refusal> {
    return Result.map(this.held(id, owner), (session) => session.state)
  }

  setState(id: string, owner: object, state: Uint8Array | undefined): Result.Result<void, Refusal> {
    return Result.flatMap(this.held(id, owner), (session): Result.Result<void, Refusal> => {
      const { maxMessageSize } = this.queue.options
      if ((state?.length ?? 0) > maxMessageSize) {
        const detail = `the state has ${state!.length} of ${maxMessageSize} bytes`
        return Result.fail({ _tag: "MessageTooLarge", entity: this.queue.path, detail })
      }
      const refusal = this.queue.reserve((state?.length ?? 0) - (session.state?.length ?? 0))
      if (refusal !== undefined) return Result.fail(refusal)
      session.state = state === undefined ? undefined : Uint8Array.from(state)
      session.stateUpdatedAt = this.queue.now()
      this.enlist(session)
      this.queue.stateChanged(id)
      return Result.void
    })
  }

  look(id: string): BrowsedSession {
    const session = this.sessions.get(id)
    return {
      id,
      messages: this.messages.get(id)?.size ?? 0,
      lockedUntil: session?.holder === undefined ? undefined : session.lockedUntil,
      state: session?.state,
      stateUpdatedAt: session?.state === undefined ? undefined : session.stateUpdatedAt
    }
  }

  list({ after, count, skip = 0, updatedSince }: ListOptions): ReadonlyArray<string> {
    const ids: Array<string> = []
    const inactive: Array<Session> = []
    let left = skip
    this.listed.forEachFrom(after, (session) => {
      if (ids.length >= count) return false
      const { id, consumers, locked, state, stateUpdatedAt } = session
      if (id === after) return true
      const isActive = state !== undefined || (locked?.size ?? 0) > 0 || consumers.waiting.peek() !== undefined
      if (!isActive) inactive.push(session)
      else if (updatedSince !== undefined && (state === undefined || stateUpdatedAt <= updatedSince)) return true
      else if (left > 0) left -= 1
      else ids.push(id)
      return true
    })
    for (const session of inactive) this.unlist(session)
    return ids
  }
}
