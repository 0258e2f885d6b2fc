/**
 * What the service says when it refuses: conditions and texts as they are on the wire, with the tracking suffix that ends
 * every one of them. Tools match on these texts (Service Bus protocol guide; texts seen of the service). Each refusal of the
 * broker has one condition, given by `of`.
 */
import { randomUUID } from "node:crypto"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import { maxPropertiesSize } from "../../internal/message/PropertyQuotas.ts"
import { describe } from "../broker/Forwarding.ts"
import type { Refusal } from "../broker/Queue.ts"
import type { Right, TokenProblem } from "../security/Authorization.ts"
import type { QuotaProblem } from "./StoredPayload.ts"

/** What the service says to who asks for too much; `retryAfter` is milliseconds. */
export const throttledText = (retryAfter: number): string =>
  `The request was terminated because the entity is being throttled. Error code : 50009. Please wait ${
    Math.ceil(retryAfter / 1000)
  } seconds and try again. To know more visit https://aka.ms/sbResourceMgrExceptions .`

/**
 * How long what a peer or a test has said may be in an error, in UTF-16 code units: an error is in one frame, and a peer whose
 * frames are exceeded ends the connection instead of telling it. `longestError` is of a text, and `longestName` of a name.
 */
const longestError = 4_096
const longestName = 1_024

const shortened = (text: string, longest: number): string =>
  text.length > longest ? `${text.slice(0, longest - 1)}…` : text

/** Makes the errors of one broker. */
export class Conditions {
  private readonly host: string
  private readonly now: () => number

  constructor(host: string, now: () => number) {
    this.host = host
    this.now = now
  }

  private error(condition: string, text: string, entity: string): AmqpError {
    const time = new Date(this.now()).toISOString().slice(0, 19)
    const [words, name] = [shortened(text, longestError), shortened(entity, longestName)]
    return {
      condition,
      description: `${words} TrackingId:${randomUUID()}_G0, SystemTracker:${this.host}:${name}, Timestamp:${time}`
    }
  }

  notFound(entity: string): AmqpError {
    return this.error(
      "amqp:not-found",
      `The messaging entity 'sb://${this.host}/${entity}' could not be found. To know more visit https://aka.ms/sbResourceMgrExceptions. `,
      entity
    )
  }

  /**
   * An entity that is disabled: for all, and for receiving, in the words of the gateway (azure-service-bus #677), for sending
   * alone in those of the entity (azure-sdk-for-net #10535).
   */
  disabled(entity: string, isForSend: boolean, kind = "Queue"): AmqpError {
    return this.error(
      "com.microsoft:entity-disabled",
      isForSend
        ? `Messaging entity '${this.host}:${kind}:${entity}' is currently disabled for Send operations. For more information please see https://aka.ms/ServiceBusExceptions .`
        : `Messaging entity 'sb://${this.host}/${entity}' is currently disabled. For more information please see https://aka.ms/ServiceBusExceptions .`,
      entity
    )
  }

  /** Nothing is received from an entity that forwards: the words were seen of the service (planetgeek.ch, forwarding). */
  forwards(entity: string): AmqpError {
    return this.notAllowed(entity, "Cannot create a message receiver on an entity with auto-forwarding enabled.")
  }

  /** Nor are its rules listed: the words of the service (azure-sdk-for-net #34816). */
  forwardsBrowsed(entity: string): AmqpError {
    return this.notAllowed(entity, "Cannot create a message browser on an entity with auto-forwarding enabled.")
  }

  /**
   * The settings of an entity have changed, so that nothing is received on a link any more. A client that attaches again is told
   * the reason (azure-sdk-for-python #34820: what receivers get when an entity is disabled; words of azure-sdk-for-java #6280).
   */
  changed(link: string): AmqpError {
    return this.error(
      "amqp:link:detach-forced",
      `The link '${link}' is force detached. Code: consumer(link0). Details: InnerMessageReceiver was closed.`,
      link
    )
  }

  unauthorized(entity: string, right: Right): AmqpError {
    return this.error(
      "amqp:unauthorized-access",
      `Unauthorized access. '${right}' claim(s) are required to perform this operation. Resource: 'sb://${this.host}/${entity}'.`,
      entity
    )
  }

  expired(entity: string): AmqpError {
    return this.error("amqp:unauthorized-access", "ExpiredToken: The token is expired.", entity)
  }

  token(problem: TokenProblem, audience: string): AmqpError {
    const texts = {
      MalformedToken: "MalformedToken: The token is malformed.",
      InvalidSignature: "InvalidSignature: The token has an invalid signature.",
      ExpiredToken: "ExpiredToken: The token is expired.",
      // What the service says of such a token is not known.
      EarlyToken: "InvalidToken: The token is not valid yet.",
      // As the service says it of a token of another tenant (azure-sdk-for-net #6462, logicapps #1390).
      InvalidIssuer: "InvalidIssuer: Token issuer is invalid.",
      InvalidAudience: "InvalidAudience: The authorization header contains a token with a wrong audience."
    }
    return this.error("amqp:unauthorized-access", texts[problem], audience)
  }

  /** A token of another namespace than that of the connection. */
  otherNamespace(name: string, own: string): AmqpError {
    return this.error(
      "amqp:unauthorized-access",
      `The token is of the namespace "${name}", and the connection is of "${own}": open a connection for each namespace.`,
      "$cbs"
    )
  }

  /** A name that no namespace has. */
  namespaceName(text: string): AmqpError {
    return this.error("amqp:unauthorized-access", text, "$cbs")
  }

  /** More namespaces than the broker takes. */
  namespaceQuota(text: string): AmqpError {
    return this.error("amqp:resource-limit-exceeded", text, "$cbs")
  }

  /** The namespace was removed, and what was in it is gone. */
  removed(name: string): AmqpError {
    return this.error("amqp:not-found", `The namespace "${name}" was removed, with all that was in it.`, "$connection")
  }

  /** A rule of the protocol was broken. */
  protocol(condition: string, text: string): AmqpError {
    return this.error(condition, text, "$connection")
  }

  /** There are no transactions, yet. */
  transactions(entity: string): AmqpError {
    return this.error("amqp:not-implemented", "Transactions are not supported by this broker.", entity)
  }

  /** Nothing is sent by way of an entity. */
  transferDestination(entity: string, destination: string): AmqpError {
    return this.error(
      "amqp:not-implemented",
      `Sending to '${
        destination.slice(0, 260)
      }' by way of '${entity}' is not supported by this broker. Send to it directly.`,
      entity
    )
  }

  /** As the service declines a filter: .NET looks for these words. */
  filterType(entity: string, link: string): AmqpError {
    return this.notAllowed(entity, `The link '${link}' contains invalid filter type.`)
  }

  notAllowed(entity: string, text: string): AmqpError {
    return this.error("amqp:not-allowed", text, entity)
  }

  notImplemented(entity: string, operation: string): AmqpError {
    return this.error("amqp:not-implemented", `The operation '${operation}' is not supported.`, entity)
  }

  argument(entity: string, text: string): AmqpError {
    return this.error("com.microsoft:argument-error", text, entity)
  }

  decode(entity: string, text: string): AmqpError {
    return this.error("amqp:decode-error", text, entity)
  }

  tooLarge(entity: string, id: number, size: number, limit: number): AmqpError {
    return this.error(
      "amqp:link:message-size-exceeded",
      `The received message (delivery-id:${id}, size:${size} bytes) exceeds the limit (${limit} bytes) currently allowed on the link.`,
      entity
    )
  }

  /** A batch over the limit of batches, where a message may be larger: the words of the service (azure-sdk-for-js #33278). */
  batchTooLarge(link: string): AmqpError {
    return this.notAllowed(
      link,
      `The link '${link}' is force detached by the broker because publisher(link0) received a batch message with no data in it. Detach origin: Publisher.`
    )
  }

  /** Properties over their quotas: both texts were seen of the service (Rebus.AzureServiceBus #35, azure-sdk-for-net #15325). */
  properties(entity: string, problem: QuotaProblem): AmqpError {
    return problem.property === undefined
      ? this.error(
        "amqp:link:message-size-exceeded",
        `A serialization error occurred while processing the message header stream. The serialization process return the following message: The size quota for this stream (${maxPropertiesSize}) has been exceeded..`,
        entity
      )
      : this.error(
        "amqp:internal-error",
        `The service was unable to process the request; please retry the operation. For more information on exception types and proper exception handling, please refer to http://go.microsoft.com/fwlink/?LinkId=761101 Reference:${randomUUID()}, the broker adds: ${problem.message}.`,
        entity
      )
  }

  lockLost(entity: string): AmqpError {
    return this.error(
      "com.microsoft:message-lock-lost",
      "The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue, or was received by a different receiver instance.",
      entity
    )
  }

  /** A receiver must ask for a session where the entity requires them, and only there. */
  sessions(entity: string, isRequired: boolean, isAsked: boolean): AmqpError | undefined {
    if (isRequired === isAsked) return undefined
    return this.notAllowed(
      entity,
      isRequired
        ? "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."
        : "A sessionful message receiver cannot be created on an entity that does not require sessions. Ensure RequiresSession is set to true when creating a Queue or Subscription to enable sessionful behavior."
    )
  }

  sessionLockLost(entity: string): AmqpError {
    return this.error(
      "com.microsoft:session-lock-lost",
      "The session lock has expired on the MessageSession. Accept a new MessageSession.",
      entity
    )
  }

  /** There was no session in time; `millis` is how long was waited. */
  noSession(entity: string, millis: number): AmqpError {
    const time = new Date(millis).toISOString().slice(11, 19)
    return this.error(
      "com.microsoft:timeout",
      `The operation did not complete within the allotted timeout of ${time}. The time allotted to this operation may have been a portion of a longer timeout.`,
      entity
    )
  }

  /** A link without traffic; `receives`: as the broker sees it. */
  idle(link: string, receives: boolean, millis: number): AmqpError {
    const [kind, role] = receives
      ? ["AmqpMessagePublisher", "publisher"] as const
      : ["AmqpMessageConsumer", "consumer"] as const
    const time = new Date(millis).toISOString().slice(11, 19)
    return this.error(
      "amqp:link:detach-forced",
      `The link '${link}' is force detached by the broker due to errors occurred in ${role}(link0). Detach origin: ${kind}.IdleTimerExpired: Idle timeout: ${time}.`,
      link
    )
  }

  /** A connection without links. */
  inactive(millis: number): AmqpError {
    return this.error(
      "amqp:connection:forced",
      `The connection was inactive for more than the allowed ${millis} milliseconds and is closed by container 'LinkTracker'.`,
      "$connection"
    )
  }

  /** More connections than the namespace takes. */
  tooManyConnections(limit: number): AmqpError {
    return this.error(
      "amqp:resource-limit-exceeded",
      `ConnectionsQuotaExceeded for namespace ${this.host}. It takes ${limit} connections at a time.`,
      "$connection"
    )
  }

  /** A connection on which no token was put. */
  anonymous(millis: number): AmqpError {
    return this.error(
      "amqp:connection:forced",
      `The connection was not authorized within the allowed ${millis} milliseconds and is closed.`,
      "$connection"
    )
  }

  /** Too much is asked for: the words of the service, with its advice in whole seconds (protocol of the SDKs, throttling). */
  throttled(entity: string, retryAfter: number): AmqpError {
    return this.error("com.microsoft:server-busy", throttledText(retryAfter), entity)
  }

  /** A fault that was asked for. */
  injected(error: AmqpError, entity: string): AmqpError {
    return this.error(error.condition, error.description ?? "The broker was asked to fail.", entity)
  }

  /** A rule as the service names it: topic and subscription in lower case, the rule as it is (NServiceBus issue 748). */
  private ruleName({ detail, entity }: Refusal): string {
    const [topic = "", subscription = ""] = entity.toLowerCase().split("/subscriptions/")
    return `${this.host.split(".")[0]}:Topic:${topic}|${subscription}|${detail}`
  }

  of(refusal: Refusal): AmqpError {
    const { entity } = refusal
    switch (refusal._tag) {
      case "EntityNotFound":
        return this.notFound(entity)
      case "Disabled":
        return this.disabled(entity, refusal.isForSend === true, refusal.kind)
      case "LockLost":
        return this.lockLost(entity)
      case "SessionLockLost":
        return this.sessionLockLost(entity)
      case "SessionCannotBeLocked":
        return this.error(
          "com.microsoft:session-cannot-be-locked",
          `The requested session '${refusal.detail}' cannot be accepted. It may be locked by another receiver.`,
          entity
        )
      case "MessageNotFound":
        return this.error(
          "com.microsoft:message-not-found",
          "Failed to lock one or more specified messages. Either the message is already locked or does not exist.",
          entity
        )
      case "QuotaExceeded":
        return this.error("amqp:resource-limit-exceeded", describe(refusal), entity)
      case "MessageTooLarge":
        return this.error(
          "amqp:link:message-size-exceeded",
          `The received message exceeds the limit currently allowed on the link.${
            refusal.detail === undefined ? "" : ` ${refusal.detail}.`
          }`,
          entity
        )
      case "PropertiesTooLarge":
        return this.error(
          "amqp:link:message-size-exceeded",
          `The size quota for this stream (${maxPropertiesSize}) has been exceeded.`,
          entity
        )
      case "RuleExists":
        return this.error(
          "com.microsoft:entity-already-exists",
          `The messaging entity '${
            this.ruleName(refusal)
          }' already exists. To know more visit https://aka.ms/sbResourceMgrExceptions. `,
          entity
        )
      case "RuleNotFound":
        return this.error(
          "amqp:not-found",
          `The messaging entity '${
            this.ruleName(refusal)
          }' could not be found. To know more visit https://aka.ms/sbResourceMgrExceptions. `,
          entity
        )
      case "InvalidRule":
        return this.argument(entity, refusal.detail ?? "The rule is not valid.")
      case "NotAllowed":
        return this.notAllowed(entity, refusal.detail ?? "The operation is not allowed for this entity.")
    }
  }
}
