/**
 * What clients were told by a broker that is killed again and again, and what that obliges it to: nothing accepted is lost,
 * nothing settled comes back, no sequence number is given twice, sessions are in order, states are those that were set.
 *
 * The ledger belongs to the process of the clients, which is never killed. What a client was not told (its connection ended before
 * the answer) may be either way, and is known once the message is seen again or at the end.
 */

/** What is done with a message: `release` is nothing, it waits again. */
export type Outcome = "complete" | "abandon" | "deadLetter" | "defer"

/** A message as it came. */
export interface Delivered {
  readonly id: string
  readonly body: string
  readonly sequenceNumber: bigint
  readonly deliveryCount: number
  readonly sessionId?: string | undefined
}

/** A message as it was sent. */
export interface Intended {
  readonly id: string
  /** Where it must arrive, once each. */
  readonly places: ReadonlyArray<string>
  /** Its session, and its number in it. */
  readonly session?: { readonly id: string; readonly number: number } | undefined
  /** When it may come at the earliest, in milliseconds. */
  readonly due?: number | undefined
}

interface Message extends Intended {
  /** The highest number seen at each place before it was sent: its own is above. */
  readonly floors: ReadonlyArray<bigint>
  accepted: boolean
  /** Whether it was cancelled, where that was asked for: undefined is not known. */
  cancelled: boolean | undefined
}

/** A message at a place. */
interface Copy {
  readonly message: Message
  readonly place: string
  readonly sequenceNumber: bigint
  state: "delivered" | "settling" | "completed" | "deadLettered" | "deferred" | "waiting"
  /** What was asked for last, since it was delivered last. */
  attempt: Attempt | undefined
  deliveryCount: number
  /** In which life of the broker it was delivered last. */
  life: number
  /** What was done with it, for who reads a violation. */
  readonly story: Array<string>
}

/** A settlement that was asked for. */
export interface Attempt {
  readonly client: string
  readonly copy: Copy
  readonly outcome: Outcome
}

interface Session {
  lastNumber: number
  state: string | undefined
  /** States that may have been set. */
  readonly maybe: Set<string>
}

/** The dead letters of a place. */
export const deadLettersOf = (place: string): string => `${place}/$DeadLetterQueue`

/** The body of a message. */
export const bodyOf = (id: string): string => `${id} ${"x".repeat(id.length % 7)}`.repeat(8)

/** How often each thing was told by the broker, by the name of the client. */
export type Counts = Record<string, number>

const stateAfter = { complete: "completed", abandon: "waiting", deadLetter: "deadLettered", defer: "deferred" } as const

export class Ledger {
  /** Which life of the broker it is; a kill ends one. */
  life = 1
  readonly violations: Array<string> = []
  readonly counts: Counts = {}
  private readonly messages = new Map<string, Message>()
  private readonly copies = new Map<string, Copy>()
  /** Copies by place and message. */
  private readonly arrived = new Map<string, Copy>()
  private readonly highest = new Map<string, bigint>()
  private readonly sessions = new Map<string, Session>()

  private report(what: string): void {
    this.violations.push(`life ${this.life}: ${what}`)
  }

  private count(client: string, what: string): void {
    const name = `${client} ${what}`
    this.counts[name] = (this.counts[name] ?? 0) + 1
  }

  /** Before a message is sent. */
  intend(intended: Intended): void {
    if (this.messages.has(intended.id)) return
    this.messages.set(intended.id, {
      ...intended,
      floors: intended.places.map((place) => this.highest.get(place) ?? 0n),
      accepted: false,
      cancelled: false
    })
  }

  /** The broker took it. */
  accepted(client: string, id: string): void {
    this.messages.get(id)!.accepted = true
    this.count(client, "accepted")
  }

  cancelling(id: string): void {
    this.messages.get(id)!.cancelled = undefined
  }

  cancelled(client: string, id: string): void {
    const message = this.messages.get(id)!
    message.cancelled = true
    for (const place of message.places) {
      if (this.arrived.has(`${place} ${id}`)) this.report(`${id} was cancelled after it had come to ${place}`)
    }
    this.count(client, "cancelled")
  }

  delivered(client: string, place: string, came: Delivered, isAskedFor = false): void {
    this.count(client, "delivered")
    const { deliveryCount, id, sequenceNumber } = came
    const name = `${id} at ${place} (${sequenceNumber})`
    const message = this.messages.get(id)
    if (message === undefined) return this.report(`${name} was never sent`)
    if (came.body !== bodyOf(id)) this.report(`${name} has another body`)
    if (message.cancelled === true) this.report(`${name} comes though it was cancelled`)
    if (message.due !== undefined && Date.now() < message.due - 2) this.report(`${name} comes before its time`)
    const key = `${place} ${sequenceNumber}`
    const known = this.copies.get(key)
    if (known === undefined) this.first(client, name, place, came, message)
    else if (known.message !== message) {
      this.report(`${name} has the number that ${known.message.id} had`)
    } else {
      const { life, state, story } = known
      const told = `${name} [${story.join(", ")}]`
      if (state === "completed" || state === "deadLettered") this.report(`${told} comes though it is ${state}`)
      if (state === "deferred" && !isAskedFor) this.report(`${told} comes by itself though it is deferred`)
      if (deliveryCount < known.deliveryCount) {
        this.report(`${told} was delivered ${known.deliveryCount} times, and now ${deliveryCount}`)
      }
      // A lock that ended with the broker is a delivery that failed.
      if (state === "delivered" && life < this.life && deliveryCount <= known.deliveryCount) {
        this.report(`${told} was locked when the broker was killed: its delivery count stays ${deliveryCount}`)
      }
      known.state = "delivered"
      known.attempt = undefined
      known.deliveryCount = deliveryCount
      known.life = this.life
      story.push(`${client} got it in life ${this.life}, ${deliveryCount}`)
    }
  }

  private first(client: string, name: string, place: string, came: Delivered, message: Message): void {
    const { deliveryCount, id, sequenceNumber } = came
    const at = message.places.indexOf(place)
    const isDead = at < 0 && message.places.some((each) => deadLettersOf(each) === place)
    if (at < 0 && !isDead) this.report(`${name} does not belong there`)
    const other = this.arrived.get(`${place} ${id}`)
    if (other !== undefined) this.report(`${name} is there twice: ${other.sequenceNumber} too`)
    if (at >= 0 && sequenceNumber <= message.floors[at]!) {
      this.report(`${name} has a number that was given before: ${message.floors[at]} was seen before it was sent`)
    }
    if (sequenceNumber > (this.highest.get(place) ?? 0n)) this.highest.set(place, sequenceNumber)
    if (message.session !== undefined && !isDead) {
      if (came.sessionId !== message.session.id) this.report(`${name} is of the session ${came.sessionId}`)
      const session = this.sessionOf(place, message.session.id)
      if (message.session.number < session.lastNumber) {
        this.report(`${name} comes after the ${session.lastNumber} of its session`)
      }
      session.lastNumber = Math.max(session.lastNumber, message.session.number)
    }
    const copy: Copy = {
      message,
      place,
      sequenceNumber,
      state: "delivered",
      attempt: undefined,
      deliveryCount,
      life: this.life,
      story: [`${client} got it in life ${this.life}, ${deliveryCount}`]
    }
    this.copies.set(`${place} ${sequenceNumber}`, copy)
    this.arrived.set(`${place} ${id}`, copy)
  }

  /** Before a message is settled. */
  settling(client: string, place: string, sequenceNumber: bigint, outcome: Outcome): Attempt {
    const copy = this.copies.get(`${place} ${sequenceNumber}`)!
    copy.state = "settling"
    copy.story.push(`${client} ${outcome}`)
    return copy.attempt = { client, copy, outcome }
  }

  /** The broker says that it is settled. */
  settled(attempt: Attempt): void {
    const { client, copy, outcome } = attempt
    this.count(client, outcome)
    copy.story.push(`${client} told so`)
    // It may have been delivered again before the client has read that it was abandoned.
    if (copy.attempt === attempt) copy.state = stateAfter[outcome]
  }

  /** What is deferred, or may be. */
  deferred(place: string): ReadonlyArray<bigint> {
    return [...this.copies.values()]
      .filter((each) => each.place === place && each.attempt?.outcome === "defer")
      .map(({ sequenceNumber }) => sequenceNumber)
  }

  private sessionOf(place: string, id: string): Session {
    const key = `${place} ${id}`
    const known = this.sessions.get(key)
    if (known !== undefined) return known
    const session: Session = { lastNumber: -1, state: undefined, maybe: new Set() }
    this.sessions.set(key, session)
    return session
  }

  settingState(place: string, session: string, state: string): void {
    this.sessionOf(place, session).maybe.add(state)
  }

  stateSet(client: string, place: string, id: string, state: string): void {
    const session = this.sessionOf(place, id)
    session.state = state
    session.maybe.clear()
    this.count(client, "state")
  }

  stateRead(place: string, id: string, state: string | undefined): void {
    const session = this.sessionOf(place, id)
    if (state !== session.state && !(state !== undefined && session.maybe.has(state))) {
      this.report(`the session ${id} of ${place} has the state ${state}, and ${session.state} was set`)
    }
    session.state = state
    session.maybe.clear()
  }

  /** Once everything has been taken out of the broker: what it still owes. */
  finish(): void {
    for (const message of this.messages.values()) {
      // One that was sent again after it was cancelled, or whose end is not known, may be there or not.
      if (!message.accepted || message.cancelled !== false) continue
      for (const place of message.places) {
        if (!this.arrived.has(`${place} ${message.id}`)) {
          this.report(`${message.id} was accepted and never came to ${place}`)
        }
      }
    }
    for (const { attempt, message, place, sequenceNumber, state, story } of this.copies.values()) {
      const name = `${message.id} at ${place} (${sequenceNumber}) [${story.join(", ")}]`
      const outcome = attempt?.outcome
      const dead = this.arrived.has(`${deadLettersOf(place)} ${message.id}`)
      if (state === "deadLettered" && !dead) this.report(`${name} was dead-lettered and is no dead letter`)
      if (state === "delivered" || state === "waiting" || state === "deferred") {
        this.report(`${name} is ${state}, and nowhere any more`)
      }
      // Nobody was told: it is gone as was asked for, or it came again.
      if (state === "settling" && (outcome === "abandon" || outcome === "defer" || outcome === "deadLetter" && !dead)) {
        this.report(`${name} was to be settled (${outcome}), and is nowhere any more`)
      }
    }
  }

  /** How many messages it knows. */
  get size(): number {
    return this.messages.size
  }
}
