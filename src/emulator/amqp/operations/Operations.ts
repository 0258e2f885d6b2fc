/**
 * The operations of a `$management` node by their names, and what comes before each: the operation must be one that the kind
 * of entity has, and the connection must have a claim with the right that it needs (Service Bus AMQP request-response
 * guide). A new operation is a file beside this one and an item of the list.
 */
import type { RheaLink } from "../../../internal/amqp/engine/rhea.ts"
import { isReceivable, isSendable } from "../../broker/EntityOptions.ts"
import type { Queue } from "../../broker/Queue.ts"
import type { FaultOperation } from "../Faults.ts"
import * as FaultyOperation from "../FaultyOperation.ts"
import { type Answer, refuse, type Request } from "../NodeRequest.ts"
import type { ServedConnection } from "../ServedConnection.ts"
import { AddRule } from "./AddRule.ts"
import { BatchDeleteMessages } from "./BatchDeleteMessages.ts"
import { CancelScheduledMessage } from "./CancelScheduledMessage.ts"
import { EnumerateRules } from "./EnumerateRules.ts"
import { GetMessageSessions } from "./GetMessageSessions.ts"
import { GetSessionState } from "./GetSessionState.ts"
import { FieldProblem, lockTokensOf, type Operation } from "./Operation.ts"
import { PeekMessage } from "./PeekMessage.ts"
import { ReceiveBySequenceNumber } from "./ReceiveBySequenceNumber.ts"
import { RemoveRule } from "./RemoveRule.ts"
import { RenewLock } from "./RenewLock.ts"
import { RenewSessionLock } from "./RenewSessionLock.ts"
import { ScheduleMessage } from "./ScheduleMessage.ts"
import { sessionIdOf } from "./SessionRequest.ts"
import { SetSessionState } from "./SetSessionState.ts"
import { UpdateDisposition } from "./UpdateDisposition.ts"

/** An operation, and all that a fault may call it. */
interface Known {
  readonly operation: Operation
  readonly kinds: ReadonlyArray<FaultOperation>
}

const operations: ReadonlyMap<string, Known> = new Map(
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
  ].map((operation) => [
    operation.name,
    {
      operation,
      kinds: ["request", operation.name as FaultOperation, ...(operation.kind === undefined ? [] : [operation.kind])]
    }
  ])
)

/** Answers a request to the `$management` node of an entity, which came on a link: at once, unless a fault is to come between. */
export const answer = (
  connection: ServedConnection,
  link: RheaLink,
  path: string,
  request: Request,
  reply: (answer: Answer) => void
): void => {
  const { broker, conditions, faults } = connection.namespace
  const queue = broker.queue(path)
  // It was deleted, and the link is not detached yet.
  if (queue === undefined) return reply(refuse(conditions.notFound(path)))
  const known = operations.get(request.operation)
  const operation = known?.operation
  if (request.operation === "") return reply(refuse(conditions.argument(queue.path, "operation must be a string.")))
  const isUnfit = operation?.right === "Send"
    ? queue.kind === "subscription" || queue.kind === "deadLetter"
    : queue.kind === "topic" && operation?.isForTopics !== true
  if (isUnfit) {
    return reply(refuse(conditions.notAllowed(queue.path, `A ${queue.kind} does not know "${request.operation}".`)))
  }
  if (known === undefined) return reply(refuse(conditions.notImplemented(queue.path, request.operation)))
  if (connection.claims.heldUntil(queue.path, known.operation.right) === undefined) {
    return reply(refuse(conditions.unauthorized(queue.path, known.operation.right)))
  }
  const struck = faults.take(known.kinds, queue.path)
  if (struck === undefined) return reply(perform(connection, queue, known.operation, request))
  FaultyOperation.perform(connection, link, struck, queue.path, {
    run: () => perform(connection, queue, known.operation, request),
    refuse,
    answer: reply,
    loseLock: () => loseLocks(connection, queue, request)
  })
}

const perform = (connection: ServedConnection, queue: Queue, operation: Operation, request: Request): Answer => {
  const { conditions } = connection.namespace
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

/** Ends the locks that a request names: those of messages, and that of a session. */
const loseLocks = (connection: ServedConnection, queue: Queue, request: Request): void => {
  const sessionId = sessionIdOf(connection, request)
  if (sessionId !== undefined) queue.sessions?.lose(sessionId)
  queue.loseLocks(lockTokensOf(request.body))
}
