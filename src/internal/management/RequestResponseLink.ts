/**
 * Requests and responses over a pair of links on one session, for the nodes `$cbs` and `$management` (AMQP management, WD 09;
 * Service Bus protocol guide). Requests run side by side, and a response finds its request by its correlation-id. The links
 * belong to the scope; each request has its time-out.
 *
 * A request that was on the wire when its link died has an unknown outcome, like a message that was sent; only one that
 * may be repeated fails as the link did.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type { AmqpValue } from "../../AmqpValue.ts"
import * as AmqpValues from "../../AmqpValue.ts"
import {
  type Any,
  type AttachError,
  InvalidOptionError,
  OperationTimeoutError,
  ServiceBusError
} from "../../ServiceBusError.ts"
import { fieldOf } from "../amqp/codec/DecodedValue.ts"
import { accepted, type AmqpError, type Outcome } from "../amqp/codec/Outcome.ts"
import { EncodeProblem, Writer } from "../amqp/codec/Writer.ts"
import type { Connection } from "../amqp/Connection.ts"
import * as Deadlines from "../amqp/Deadlines.ts"
import type { DeliveryOwner, IncomingDelivery, OutgoingDelivery } from "../amqp/engine/Delivery.ts"
import * as Link from "../amqp/Link.ts"
import * as errorMap from "../errorMap.ts"
import { sectionsOf } from "../message/ReceivedMessage.ts"

export interface Response {
  readonly status: number
  readonly condition: string | undefined
  readonly description: string | undefined
  readonly body: AmqpValue
  /** The same with the exact type of every value: for what is kept of it. */
  readonly exactBody: () => AmqpValue
}

export interface RequestResponseLink {
  /** Whether its links are lost. */
  readonly isLost: () => boolean
  /**
   * Sends a request and waits for its response, whatever its status. `onEnd` tells of the end of what it is made on behalf of,
   * also where that is over: a request of which nothing has left is not sent from then on, and fails as that did.
   */
  readonly request: <E = never>(
    applicationProperties: Readonly<Record<string, AmqpValue>>,
    body: AmqpValue,
    operation: string,
    onEnd?: (hook: (error: E) => void) => () => void
  ) => Effect.Effect<Response, AttachError | E>
}

interface Options {
  readonly address: string
  readonly entity: string
  /** Milliseconds for attaching, and for each request. */
  readonly timeout: number
  /** Whether requests may be repeated: then one whose link dies fails as the link did. */
  readonly repeatable?: boolean
}

/** A field of the body of a response. */
export const field = (response: Response, name: string): AmqpValue => fieldOf(response.body, name)

/** Whether the node has done what was asked. */
export const isSuccess = (response: Response): boolean => response.status >= 200 && response.status < 300

/**
 * How long the service may work at a request, in whole milliseconds: a twentieth less than its answer is awaited, one second
 * at most, so that it comes while it is awaited, and has the reason. (The SDKs take something off too.)
 */
export const serverTimeout = (timeout: number) => ({
  "com.microsoft:server-timeout": AmqpValues.typed(
    "uint",
    Math.max(1, Math.min(Math.floor(timeout - Math.min(timeout / 20, 1000)), 0xffffffff))
  )
})

/** An answer with a status of success that is not as the protocol guide has it. */
export const malformed = (entity: string, operation: string, problem: string): ServiceBusError =>
  new ServiceBusError({ entity, operation, description: `the peer answered with ${problem}` })

/** Why the node has not, as an AMQP error. */
export const errorOf = (response: Response) =>
  errorMap.fromStatus(response.status, response.condition, response.description)

/** How many responses the peer may send without new credit. */
const credit = 100

export const make: (
  connection: Connection,
  options: Options
) => Effect.Effect<RequestResponseLink, AttachError, Scope.Scope> = Effect.fnUntraced(function*(connection, options) {
  const session = yield* Link.session(connection, options.timeout)
  const replyTo = `reply-${randomUUID()}`
  const sender = yield* Link.attach(session, {
    role: "sender",
    address: options.address,
    local: replyTo,
    entity: options.entity,
    timeout: options.timeout
  })
  const receiver = yield* Link.attach(session, {
    role: "receiver",
    address: options.address,
    local: replyTo,
    entity: options.entity,
    timeout: options.timeout
  })
  const deadlines = yield* Deadlines.make(options.timeout)
  const writer = new Writer()
  const pending = new Map<string, PendingRequest>()

  let answeredSinceCredit = 0
  receiver.plane.onDeliveries = (deliveries) => {
    for (const delivery of deliveries) {
      if (!delivery.settled) receiver.session.dispose(delivery, accepted, true)
      answer(pending, delivery)
    }
    connection.countAnswer()
    answeredSinceCredit += deliveries.length
    if (answeredSinceCredit >= credit / 2) {
      receiver.addCredit(answeredSinceCredit)
      answeredSinceCredit = 0
    }
  }
  // Before the links are detached: a delivery that comes then has no link on which it could be settled.
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      receiver.plane.onDeliveries = undefined
    })
  )
  receiver.addCredit(credit)

  return {
    isLost: () => sender.dead() !== undefined || receiver.dead() !== undefined,
    request: <E>(
      applicationProperties: Readonly<Record<string, AmqpValue>>,
      body: AmqpValue,
      operation: string,
      onEnd?: (hook: (error: E) => void) => () => void
    ) =>
      Effect.callback<Response, AttachError | E>((resume) => {
        const dead = sender.dead() ?? receiver.dead()
        if (dead !== undefined) {
          resume(Effect.fail(errorMap.attachError(dead, { entity: options.entity, operation })))
          return
        }
        const id = randomUUID()
        // First of all: a request that cannot be encoded registers nothing.
        const payload = encode(writer, id, replyTo, applicationProperties, body)
        if (payload instanceof EncodeProblem) {
          resume(Effect.fail(
            new InvalidOptionError({
              entity: options.entity,
              operation,
              option: "the request",
              expected: "values that AMQP can carry",
              description: payload.message
            })
          ))
          return
        }
        let off: (() => void) | undefined
        const forget = (): void => {
          off?.()
          pending.delete(id)
          deadlines.remove(request)
        }
        const request: PendingRequest = new PendingRequest(sender, receiver, options, operation, (effect) => {
          forget()
          resume(effect)
        })
        pending.set(id, request)
        off = onEnd?.((error) => {
          if (!request.withdraw()) return
          forget()
          resume(Effect.fail(error))
        })
        // Where that is over it is withdrawn already.
        if (!pending.has(id)) return
        request.send(payload)
        deadlines.add(request)
        return Effect.sync(() => {
          forget()
          request.cancel()
        })
      })
  }
})

const encode = (
  writer: Writer,
  id: string,
  replyTo: string,
  applicationProperties: Readonly<Record<string, AmqpValue>>,
  body: AmqpValue
): Buffer | EncodeProblem => {
  writer.reset()
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  writer.string(id)
  for (let i = 0; i < 3; i++) writer.null()
  writer.string(replyTo)
  writer.end(list, 5)
  try {
    writer.descriptor(0x74)
    writer.value(applicationProperties)
    writer.descriptor(0x77)
    writer.value(body)
  } catch (error) {
    if (error instanceof EncodeProblem) return error
    throw error
  }
  return writer.take()
}

const answer = (pending: ReadonlyMap<string, PendingRequest>, delivery: IncomingDelivery): void => {
  try {
    const sections = sectionsOf(delivery)
    const id = sections.readList(sections.properties)[5]
    const request = typeof id === "string" ? pending.get(id) : undefined
    if (request === undefined) return
    const properties = sections.readRecord(sections.applicationProperties)
    const bodyOf = (exact: boolean): AmqpValue => {
      const body = sections.readBody(exact)
      return body.kind === "value" ? body.value : null
    }
    // `$cbs` writes dashes where `$management` writes camel case.
    const status = properties["statusCode"] ?? properties["status-code"]
    const condition = properties["errorCondition"] ?? properties["error-condition"]
    const description = properties["statusDescription"] ?? properties["status-description"]
    request.succeed({
      status: typeof status === "number" ? status : typeof status === "bigint" ? Number(status) : 500,
      condition: typeof condition === "string"
        ? condition
        : AmqpValues.isTyped(condition) && condition.type === "symbol"
        ? condition.value as string
        : undefined,
      description: typeof description === "string" ? description : undefined,
      body: bodyOf(false),
      exactBody: () => bodyOf(true)
    })
  } catch {
    // A response that is no message answers no request, which ends by its time-out.
  }
}

/** Why the peer refused a request, by the outcome of its delivery. After any other outcome the response is still to come. */
const refusalOf = (outcome: Outcome | undefined): AmqpError | undefined => {
  switch (outcome?._tag) {
    case "Rejected":
      return outcome.error ?? { condition: "amqp:internal-error", description: "the peer rejected the request" }
    case "Released":
    case "Modified":
      return {
        condition: "com.microsoft:operation-cancelled",
        description: `the peer answered with ${outcome._tag.toLowerCase()}`
      }
    default:
      return undefined
  }
}

/** A request that was sent and is not answered. */
class PendingRequest implements DeliveryOwner, Deadlines.Expiring {
  expiresAt = 0
  private done = false
  private delivery: OutgoingDelivery | undefined
  private readonly sender: Link.Link
  private readonly options: Options
  private readonly operation: string
  private readonly complete: (effect: Effect.Effect<Response, AttachError>) => void
  private readonly off: ReadonlyArray<() => void>
  /** How many answers the connection had before. */
  private readonly answersBefore: number

  constructor(
    sender: Link.Link,
    receiver: Link.Link,
    options: Options,
    operation: string,
    complete: (effect: Effect.Effect<Response, AttachError>) => void
  ) {
    this.sender = sender
    this.options = options
    this.operation = operation
    this.complete = complete
    this.answersBefore = sender.connection.answers()
    this.off = [sender, receiver].map((link) => link.onDeath((death) => this.lost(death)))
  }

  send(payload: Buffer): void {
    this.delivery = this.sender.session.send(this.sender.plane, payload, { owner: this })
  }

  onOutcome(
    delivery: OutgoingDelivery,
    outcome: Outcome | undefined,
    settled: boolean
  ): void {
    if (!settled) this.sender.session.settle(delivery, outcome)
    const error = refusalOf(outcome)
    if (error === undefined) return
    this.end(Effect.fail(errorMap.attachError(error, { entity: this.options.entity, operation: this.operation })))
  }

  succeed(response: Response): void {
    this.end(Effect.succeed(response))
  }

  expire(): void {
    const { operation, options: { entity, timeout } } = this
    const unsent = this.takeBack()
    if (!unsent) this.sender.connection.probeUnlessAnswered(this.answersBefore)
    this.end(Effect.fail(
      new OperationTimeoutError({
        entity,
        operation,
        outcome: unsent ? "notSent" : "unknown",
        description: `no response within ${timeout} ms`
      })
    ))
  }

  cancel(): void {
    if (this.done) return
    this.done = true
    for (const off of this.off) off()
    this.takeBack()
  }

  /** True if nothing of the request was on the wire, and nothing of it ever will be. */
  withdraw(): boolean {
    if (this.done || !this.takeBack()) return false
    this.done = true
    for (const off of this.off) off()
    return true
  }

  private lost(death: Any): void {
    const { operation, options: { entity, repeatable } } = this
    const error = errorMap.attachError(death, { entity, operation })
    const unsent = this.takeBack()
    this.end(Effect.fail(
      unsent || repeatable === true ? error : new OperationTimeoutError({
        entity,
        operation,
        outcome: "unknown",
        description: "the link was lost before the peer answered",
        cause: error
      })
    ))
  }

  /** True if nothing of the request was on the wire. */
  private takeBack(): boolean {
    return this.delivery === undefined || this.sender.session.cancel(this.delivery)
  }

  private end(effect: Effect.Effect<Response, AttachError>): void {
    if (this.done) return
    this.done = true
    for (const off of this.off) off()
    this.complete(effect)
  }
}
