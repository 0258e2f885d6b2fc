/**
 * The contract between a request/response node and what answers it: a request as ManagementNode has read it, and an answer as
 * ManagementNode writes it. ClaimsNode and the operations of `$management` are functions from one to the other.
 */
import type * as AmqpValue from "../../AmqpValue.ts"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"

/** A request to a node. */
export interface Request {
  readonly operation: string
  readonly properties: Readonly<Record<string, AmqpValue.AmqpValue>>
  readonly body: AmqpValue.AmqpValue
  /** The same with the exact type of every value: for what is kept of it. */
  readonly exactBody: () => AmqpValue.AmqpValue
}

/** What a node answers. */
export type Answer =
  | { readonly status: number; readonly description: string; readonly body?: AmqpValue.AmqpValue }
  | { readonly status: number; readonly error: AmqpError }

/** The status that goes with a condition (AMQP request-response guide; protocol of the SDKs). */
const statusOf = (error: AmqpError): number => {
  switch (error.condition) {
    case "amqp:not-found":
    case "com.microsoft:message-not-found":
      return 404
    case "com.microsoft:entity-already-exists":
      return 409
    case "com.microsoft:message-lock-lost":
    case "com.microsoft:session-lock-lost":
    case "com.microsoft:session-cannot-be-locked":
      return 410
    case "amqp:unauthorized-access":
      return 401
    case "amqp:resource-limit-exceeded":
    case "amqp:link:message-size-exceeded":
      return 403
    case "amqp:not-implemented":
      return 501
    case "amqp:internal-error":
      return 500
    case "com.microsoft:server-busy":
      return 503
    case "com.microsoft:timeout":
      return 408
    default:
      return 400
  }
}

/** The answer of a node that does not do what was asked. */
export const refuse = (error: AmqpError): Answer => ({ status: statusOf(error), error })
