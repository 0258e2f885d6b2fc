/**
 * The operations of a `$management` node by their names, and what comes before each: the operation must be one that the kind
 * of entity has, and the connection must have a claim with the right that it needs (Service Bus AMQP request-response
 * guide). A new operation is a file beside this one and an item of the list.
 */
import { isReceivable, isSendable } from "../../broker/EntityOptions.ts"
import { type Answer, refuse, type Request } from "../NodeRequest.ts"
import type { ServedConnection } from "../ServedConnection.ts"
import { AddRule } from "./AddRule.ts"
import { BatchDeleteMessages } from "./BatchDeleteMessages.ts"
import { CancelScheduledMessage } from "./CancelScheduledMessage.ts"
import { EnumerateRules } from "./EnumerateRules.ts"
import { GetMessageSessions } from "./GetMessageSessions.ts"
import { GetSessionState } from "./GetSessionState.ts"
import { FieldProblem, type Operation } from "./Operation.ts"
import { PeekMessage } from "./PeekMessage.ts"
import { ReceiveBySequenceNumber } from "./ReceiveBySequenceNumber.ts"
import { RemoveRule } from "./RemoveRule.ts"
import { RenewLock } from "./RenewLock.ts"
import { RenewSessionLock } from "./RenewSessionLock.ts"
import { ScheduleMessage } from "./ScheduleMessage.ts"
import { SetSessionState } from "./SetSessionState.ts"
import { UpdateDisposition } from "./UpdateDisposition.ts"

const operations: ReadonlyMap<string, Operation> = new Map(
  [
    RenewLock,
    UpdateDisposition,
    ReceiveBySequenceNumber,
    PeekMessage,
    BatchDeleteMessages,
    RenewSessionLock,
    GetSessionState,
    SetSessionState,
    GetMessageSessions,
    ScheduleMessage,
    CancelScheduledMessage,
    AddRule,
    RemoveRule,
    EnumerateRules
  ].map((operation) => [operation.name, operation])
)

/** Answers a request to the `$management` node of an entity. */
export const answer = (connection: ServedConnection, path: string, request: Request): Answer => {
  const { broker, conditions } = connection.namespace
  const queue = broker.queue(path)
  // It was deleted, and the link is not detached yet.
  if (queue === undefined) return refuse(conditions.notFound(path))
  const operation = operations.get(request.operation)
  if (request.operation === "") return refuse(conditions.argument(queue.path, "operation must be a string."))
  const isUnfit = operation?.right === "Send"
    ? queue.kind === "subscription" || queue.kind === "deadLetter"
    : queue.kind === "topic" && operation?.isForTopics !== true
  if (isUnfit) {
    return refuse(conditions.notAllowed(queue.path, `A ${queue.kind} does not know "${request.operation}".`))
  }
  if (operation === undefined) return refuse(conditions.notImplemented(queue.path, request.operation))
  if (connection.claims.heldUntil(queue.path, operation.right) === undefined) {
    return refuse(conditions.unauthorized(queue.path, operation.right))
  }
  const fault = connection.namespace.fault("request", queue.path)
  if (fault !== undefined) return refuse(fault)
  // Peeking at a topic shows what was sent to it: a topic is not received from.
  const isSending = operation.right === "Send" || queue.kind === "topic"
  if (!(isSending ? isSendable : isReceivable)(queue.options)) {
    const kind = queue.kind === "topic" ? "Topic" : "Queue"
    return refuse(conditions.disabled(queue.path, queue.options.status === "SendDisabled", kind))
  }
  try {
    return operation.run(connection, queue, request)
  } catch (error) {
    if (error instanceof FieldProblem) return refuse(conditions.argument(queue.path, error.message))
    throw error
  }
}
