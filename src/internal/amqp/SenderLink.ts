/**
 * A sending link: deliveries go out as the peer's credit allows, and each call waits for the outcomes of all of its
 * deliveries. One callback per call, not per message. The queue, and what credit is left, are the LinkPlane's.
 *
 * At-least-once: a call succeeds only when the peer has accepted everything. A delivery that was on the wire when the link
 * died has an unknown outcome.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type AttachError, OperationTimeoutError, type SendError } from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import type { Outcome } from "./codec/Outcome.ts"
import * as Deadlines from "./Deadlines.ts"
import type { DeliveryOwner, OutgoingDelivery } from "./engine/Delivery.ts"
import type { Performative } from "./engine/rhea.ts"
import * as Link from "./Link.ts"

export interface SenderLink {
  readonly link: Link.Link
  /** The most bytes of one message that the peer takes. */
  readonly maxMessageSize: number
  /** The most bytes of one batch that the peer takes. */
  readonly maxBatchSize: number
  /**
   * Sends encoded messages and waits until the peer has decided on each of them. `formats` are their message formats;
   * `onAccepted` is called with the index of each that is accepted.
   */
  readonly send: (
    payloads: ReadonlyArray<Uint8Array>,
    formats: ReadonlyArray<number>,
    onAccepted?: (index: number) => void
  ) => Effect.Effect<void, SendError>
}

interface Options {
  readonly entity: string
  /** The address of the source, which the service's logs show: there Microsoft's clients for .NET and JavaScript put it. */
  readonly identifier: string
  /** Milliseconds for attaching, and for the outcome of what is sent. */
  readonly timeout: number
}

export const make: (session: Link.Session, options: Options) => Effect.Effect<SenderLink, AttachError, Scope.Scope> =
  Effect
    .fnUntraced(function*(session, options) {
      const link = yield* Link.attach(session, {
        role: "sender",
        address: options.entity,
        identifier: options.identifier,
        entity: options.entity,
        timeout: options.timeout
      })
      const deadlines = yield* Deadlines.make(options.timeout)
      const attach = link.rhea.remote.attach
      const advertised = Number(attach?.["max_message_size"] ?? 0)
      // 0 and absent mean no limit (AMQP 1.0 section 2.7.3); a peer without one gets the service's standard limit.
      const maxMessageSize = advertised > 0 && Number.isSafeInteger(advertised)
        ? advertised
        : advertised > 0
        ? 104857600
        : 262144
      return {
        link,
        maxMessageSize,
        maxBatchSize: Math.min(maxMessageSize, batchSizeOf(attach?.["properties"]) ?? 1024 * 1024),
        send: (payloads, formats, onAccepted) =>
          payloads.length === 0 ? Effect.void : Effect.callback((resume) => {
            const dead = link.dead()
            if (dead !== undefined) {
              resume(Effect.fail(errorMap.sendError(dead, Link.contextOf(link, "send"))))
              return
            }
            const operation = new PendingSend(link, deadlines, payloads, formats, options.timeout, resume, onAccepted)
            deadlines.add(operation)
            return Effect.sync(() => operation.cancel())
          })
      }
    })

/**
 * The most bytes of a batch that the peer advertises, a ulong among the properties of its attach: the service gives it, and
 * .NET fills its batches to it. Without it 1 MiB holds, also where messages may be larger (Service Bus quotas).
 */
const batchSizeOf = (properties: Performative | undefined): number | undefined => {
  const size = properties?.["com.microsoft:max-message-batch-size"]
  // rhea gives a number over 2^53 as its bytes: no limit of ours is as large.
  return Number.isInteger(size) && size > 0 ? size : undefined
}

class PendingSend implements DeliveryOwner, Deadlines.Expiring {
  expiresAt = 0
  private done = false
  private remaining: number
  private failure: SendError | undefined
  private readonly deliveries: Array<OutgoingDelivery>
  private readonly link: Link.Link
  private readonly deadlines: Deadlines.Deadlines
  private readonly timeout: number
  private readonly resume: (effect: Effect.Effect<void, SendError>) => void
  private readonly onAccepted: ((index: number) => void) | undefined
  private readonly off: () => void
  /** How many answers the connection had before. */
  private readonly answersBefore: number

  constructor(
    link: Link.Link,
    deadlines: Deadlines.Deadlines,
    payloads: ReadonlyArray<Uint8Array>,
    formats: ReadonlyArray<number>,
    timeout: number,
    resume: (effect: Effect.Effect<void, SendError>) => void,
    onAccepted: ((index: number) => void) | undefined
  ) {
    this.link = link
    this.onAccepted = onAccepted
    this.deadlines = deadlines
    this.timeout = timeout
    this.resume = resume
    this.remaining = payloads.length
    this.answersBefore = link.connection.answers()
    const { plane, session } = link
    this.deliveries = payloads.map((payload, index) =>
      session.send(plane, payload, { format: formats[index]!, owner: this, index })
    )
    this.off = link.onDeath((death) => this.lost(death))
  }

  onOutcome(delivery: OutgoingDelivery, outcome: Outcome | undefined, settled: boolean): void {
    // A peer that waits for our settlement (mode second) has decided as well.
    if (!settled) this.link.session.settle(delivery, outcome)
    if (this.done) return
    this.remaining--
    if (outcome?._tag === "Accepted") this.onAccepted?.(delivery.index)
    else if (this.failure === undefined) this.failure = refused(this.link, outcome)
    if (this.remaining > 0) return
    this.end(this.failure === undefined ? Effect.void : Effect.fail(this.failure))
  }

  expire(): void {
    const unknown = this.cancelAll()
    if (unknown) this.link.connection.probeUnlessAnswered(this.answersBefore)
    this.unanswered(
      unknown,
      unknown
        ? `the peer did not answer within ${this.timeout} ms`
        : `the peer gave no credit within ${this.timeout} ms`,
      undefined
    )
  }

  private lost(death: ReturnType<Link.Link["dead"]> & {}): void {
    if (this.cancelAll()) return this.unanswered(true, "the link was lost before the peer answered", death)
    this.end(Effect.fail(
      this.failure ?? errorMap.sendError(death, Link.contextOf(this.link, "send"))
    ))
  }

  /**
   * An unknown outcome takes precedence over a refusal of other deliveries: no other error says that something may be stored.
   */
  private unanswered(unknown: boolean, description: string, death: unknown): void {
    const { failure, link: { entity } } = this
    const cause = failure ?? death
    this.end(Effect.fail(
      failure !== undefined && !unknown ? failure : new OperationTimeoutError({
        entity,
        operation: "send",
        outcome: unknown ? "unknown" : "notSent",
        description: failure === undefined ? description : `${description}; of others it said: ${failure.message}`,
        ...(cause === undefined ? {} : { cause })
      })
    ))
  }

  /** Interrupted: what is not on the wire is taken back. */
  cancel(): void {
    if (this.done) return
    this.over()
    this.cancelAll()
  }

  /** True if something may have been carried out. */
  private cancelAll(): boolean {
    let unknown = false
    for (const delivery of this.deliveries) if (!this.link.session.cancel(delivery)) unknown = true
    return unknown
  }

  private end(effect: Effect.Effect<void, SendError>): void {
    if (this.done) return
    this.over()
    this.resume(effect)
  }

  private over(): void {
    this.done = true
    this.off()
    this.deadlines.remove(this)
  }
}

const refused = (link: Link.Link, outcome: Outcome | undefined): SendError => {
  const context = Link.contextOf(link, "send")
  if (outcome?._tag === "Rejected" && outcome.error !== undefined) return errorMap.sendError(outcome.error, context)
  return errorMap.sendError({
    // The service does not use the other outcomes for sends; they mean that it did not take the message.
    condition: outcome?._tag === "Released" || outcome?._tag === "Modified"
      ? "com.microsoft:operation-cancelled"
      : "amqp:internal-error",
    description: `the peer answered with ${outcome?._tag.toLowerCase() ?? "no outcome"}`
  }, context)
}
