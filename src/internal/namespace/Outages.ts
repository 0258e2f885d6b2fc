/**
 * What a client cannot reach for now, the namespace or one of its entities: reported once for as long as it lasts, and once
 * for each kind of error with which it fails, however many operations try again meanwhile.
 *
 * Only what goes on is reported. An operation that fails for good has its error for its caller.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type { Any, AttachError, ConnectError, SessionCannotBeLockedError } from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { monotonic } from "../monotonicClock.ts"
import type { EventReporter } from "../telemetry/EventReporter.ts"
import { stableAfter } from "./RecoveringLink.ts"

/** Errors that say the same are one. */
const kindOf = (error: Any): string => {
  const { condition, reason } = error as { readonly condition?: string; readonly reason?: string }
  return `${error._tag} ${condition} ${reason}`
}

/** The most kinds that are remembered of one outage: what a peer can say has no end. */
const mostKinds = 16

/** The most entities whose refused tokens are remembered: what is never accepted would be for the client's life. */
const mostRefused = 1_000

/** The kinds of error that were reported since it was last well: an outage may have several faces that take turns. */
class Kinds {
  private readonly said = new Set<string>()

  get size(): number {
    return this.said.size
  }

  /** Whether an error is to be reported: its kind is new, and not one too many. */
  isNew(error: Any): boolean {
    const kind = kindOf(error)
    if (this.said.has(kind) || this.said.size >= mostKinds) return false
    this.said.add(kind)
    return true
  }

  clear(): void {
    this.said.clear()
  }
}

/** What this program closed itself is not lost. */
const isClosed = (error: Any): boolean => error._tag === "ServiceBusConnectionError" && error.isClosed === true

/** These have events of their own. */
const isReportedElsewhere = ({ _tag }: Any): boolean =>
  _tag === "CredentialError" || _tag === "ServiceBusAuthenticationError" || _tag === "ServiceBusServerBusyError"

export class Outages {
  private readonly reporter: EventReporter
  /** Why the connection could not be opened the last time. */
  private connectFailure: ConnectError | AttachError | undefined
  private readonly reported = new Kinds()
  isConnectionLost = false
  /** The kinds of credential errors that were reported, by what the token was for. */
  private readonly refused = new Map<string, Kinds>()

  constructor(reporter: EventReporter) {
    this.reporter = reporter
  }

  connected(): void {
    const isAgain = this.isConnectionLost || this.reported.size > 0
    this.connectFailure = undefined
    this.reported.clear()
    this.isConnectionLost = false
    this.reporter.report({
      _tag: "Connected",
      message: isAgain ? "Connected to Service Bus again" : "Connected to Service Bus",
      isAgain
    })
  }

  connectionLost(error: ConnectError): void {
    if (isClosed(error)) return
    const isIdle = errorMap.isIdleClose(error)
    this.isConnectionLost = !isIdle
    this.reporter.report({
      _tag: "ConnectionLost",
      message: isIdle
        ? "The connection was idle and is closed by the service; it is opened again when it is needed"
        : "The connection to Service Bus is lost; what needs one opens it again",
      isIdle,
      cause: Cause.fail(error)
    })
  }

  connectFailed(error: AttachError): void {
    this.connectFailure = error
  }

  /** An operation of the client failed, and is tried again. */
  retried(): void {
    const error = this.connectFailure
    if (error === undefined || isReportedElsewhere(error) || !this.reported.isNew(error)) return
    this.reporter.report({
      _tag: "ConnectFailed",
      message: "Service Bus cannot be reached; connecting is tried again",
      cause: Cause.fail(error)
    })
  }

  /** Whether the connection cannot be opened, so that it is no failure of a link that none is attached. */
  get isUnreachable(): boolean {
    return this.connectFailure !== undefined
  }

  /** No token could be put for an entity, or a fresh one. */
  tokenRefused(entity: string, error: AttachError, isRefresh: boolean): void {
    // A provider fails for all entities alike.
    const about = error._tag === "CredentialError" ? "" : entity
    if (!isReportedElsewhere(error) && !isRefresh || error._tag === "ServiceBusServerBusyError") return
    const refused = this.refused.get(about) ?? new Kinds()
    if (!refused.isNew(error)) return
    // The oldest one is said again, where it still is refused.
    if (!this.refused.has(about) && this.refused.size >= mostRefused) {
      this.refused.delete(this.refused.keys().next().value!)
    }
    this.refused.set(about, refused)
    const what = error._tag === "CredentialError" ? "The credential gave no token" : "A token was refused"
    this.reporter.within({ entity }).report({
      _tag: "CredentialRefused",
      message: isRefresh
        ? `${what}, or could not be put; it is tried again every 10 seconds, and links go on until the last one ends`
        : `${what}; nothing can be done on this entity until there is one`,
      isRefresh,
      cause: Cause.fail(error)
    })
  }

  tokenAccepted(entity: string): void {
    if (this.refused.size === 0) return
    this.refused.delete("")
    this.refused.delete(entity)
  }

  throttled(error: Any, advice: Duration.Duration): void {
    if (error._tag !== "ServiceBusServerBusyError") return
    const { entity } = error
    const reporter = entity === undefined ? this.reporter : this.reporter.within({ entity })
    reporter.report({
      _tag: "Throttled",
      message: `The service is too busy; all operations of this client wait for ${Duration.format(advice)}`,
      advice,
      cause: Cause.fail(error)
    })
  }
}

/** The link of a receiver, or those of the sessions of an entity, while there is none. */
export class LinkOutage {
  private readonly outages: Outages
  private readonly reporter: EventReporter
  private readonly clock: Clock.Clock
  private since: number | undefined
  private attachedAt: number | undefined
  /** How many links in a row were lost soon after they were attached. */
  private shortLived = 0
  private failures = 0
  private readonly reported = new Kinds()

  constructor(outages: Outages, reporter: EventReporter, clock: Clock.Clock) {
    this.outages = outages
    this.reporter = reporter
    this.clock = clock
  }

  lost(error: Any): void {
    if (isClosed(error)) return
    const now = monotonic(this.clock)
    this.since ??= now
    this.reporter.report({
      _tag: "LinkLost",
      message: "The link of a receiver is lost; its next use attaches it again",
      cause: Cause.fail(error)
    })
    if (this.outages.isConnectionLost) return
    this.shortLived = this.attachedAt !== undefined && now - this.attachedAt < stableAfter ? this.shortLived + 1 : 0
    if (this.shortLived !== 2) return
    this.reporter.report({
      _tag: "ProcessorError",
      message: "The link of a receiver is lost again and again, soon after it was attached; that is tried further",
      source: "receive",
      cause: Cause.fail(error)
    })
  }

  /** It could not be attached, which is tried again. */
  failed(error: AttachError | SessionCannotBeLockedError): void {
    const { isConnectionLost, isUnreachable } = this.outages
    if (isUnreachable || isConnectionLost || error._tag === "ServiceBusServerBusyError") return
    this.since ??= monotonic(this.clock)
    this.failures++
    if (isReportedElsewhere(error) || !this.reported.isNew(error)) return
    this.reporter.report({
      _tag: "ConnectFailed",
      message: "A receiver cannot be attached to its entity; it is tried again",
      cause: Cause.fail(error)
    })
  }

  attached(): void {
    const { failures, since } = this
    this.attachedAt = monotonic(this.clock)
    if (since === undefined) return
    this.since = undefined
    this.failures = 0
    this.reported.clear()
    this.reporter.report({
      _tag: "LinkRecovered",
      message: "A receiver is attached to its entity again",
      away: Duration.millis(monotonic(this.clock) - since),
      failures
    })
  }
}
