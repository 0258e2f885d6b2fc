/**
 * The sessions of one entity: which of them has a holder, who waits for the next one, and what state each keeps.
 *
 * A session is there as soon as somebody sends to it or asks for it, and is forgotten when it has no holder, no state and
 * no message that waits. Its lock covers every message delivered under it: those have no deadline of their own, and all of
 * them come back to their places when the session is given up, with one more failed delivery when its lock runs out.
 */
import * as Result from "effect/Result"
import type { Due, Entry } from "./Entry.ts"
import { Lane, type Owner } from "./Lane.ts"
import type { Attachment, HeldSession, Refusal, SessionHolder, Sessions } from "./Queue.ts"

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
  /** What was delivered under its lock and is not settled. */
  readonly locked: Set<Entry>
  /** Those who take its messages for the holder. */
  readonly attached: Set<Attachment>
  holder: SessionHolder | undefined
  lockedUntil: number
  state: Uint8Array | undefined
  stateUpdatedAt: number
}

/**
 * All sessions of an entity.
 *
 * @category models
 */
export class SessionTable implements Sessions {
  private readonly home: Home
  private readonly sessions = new Map<string, Session>()
  /** Sessions without a holder that may have messages: the one that has been there longest first. */
  private readonly available = new Set<Session>()
  private readonly waiting = new Set<SessionHolder>()
  private readonly touched = new Set<Session>()

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
        locked: new Set(),
        attached: new Set(),
        holder: undefined,
        lockedUntil: 0,
        state: undefined,
        stateUpdatedAt: 0,
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
    this.touched.add(session)
  }

  /** A message is not locked any more. */
  unlock(entry: Entry): void {
    this.sessions.get(entry.message.sessionId!)?.locked.delete(entry)
  }

  /** A message leaves the line of its session. */
  leave(entry: Entry): void {
    const session = this.sessions.get(entry.message.sessionId!)
    session?.lane.leave(entry)
    if (session !== undefined) this.forget(session)
  }

  /** Serves the holders of the sessions in which something happened, and finds holders for the others. */
  flush(): void {
    while (this.touched.size > 0) {
      const [session] = this.touched
      this.touched.delete(session!)
      if (session!.holder !== undefined) session!.lane.pump()
      else this.offer(session!)
    }
  }

  private offer(session: Session): void {
    if (this.home.isClosed()) return
    if (session.lane.first(this.home.now()) === undefined) return this.forget(session)
    this.available.add(session)
    const [holder] = this.waiting
    if (holder === undefined) return
    this.waiting.delete(holder)
    this.grant(session, holder)
  }

  private grant(session: Session, holder: SessionHolder): void {
    this.available.delete(session)
    this.home.counters.sessionsAccepted += 1
    session.holder = holder
    session.lockedUntil = this.home.now() + this.home.options.lockDuration
    this.home.alarm.set(session, session.lockedUntil)
    const held: HeldSession = {
      id: session.id,
      lockedUntil: session.lockedUntil,
      attach: (consumer) => {
        const attachment = session.lane.attach(consumer)
        if (session.holder === holder) session.attached.add(attachment)
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
    for (const attachment of session.attached) attachment.detach()
    session.attached.clear()
    const entries = [...session.locked]
    session.locked.clear()
    if (isLost) {
      this.home.counters.sessionsLost += 1
      holder?.lost()
    }
    this.touched.add(session)
    this.home.giveBack(entries, isLost, this.home.now())
    this.home.flush()
  }

  /** The alarm of a session's lock. */
  onDue(session: Session): void {
    this.end(session, true)
  }

  private forget(session: Session): void {
    if (session.holder !== undefined || session.state !== undefined || session.lane.line.peek() !== undefined) return
    this.available.delete(session)
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
    for (const session of this.available) {
      if (session.lane.first(now) !== undefined) {
        this.grant(session, holder)
        return Result.succeed(() => {})
      }
      // Its messages have expired, and the alarm comes late.
      this.available.delete(session)
      this.touched.add(session)
    }
    if (this.touched.size > 0) this.home.flush()
    this.waiting.add(holder)
    return Result.succeed(() => {
      this.waiting.delete(holder)
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
      return Result.void
    })
  }

  list(updatedSince: number | undefined): ReadonlyArray<string> {
    return [...this.sessions.values()]
      .filter((session) =>
        updatedSince === undefined
          ? session.state !== undefined || session.locked.size > 0 || session.lane.line.peek() !== undefined
          : session.state !== undefined && session.stateUpdatedAt > updatedSince
      )
      .map(({ id }) => id)
      .toSorted()
  }
}
