/**
 * The operations that subscriptions alone have: those on their rules. A file of its own because three operations share it.
 *
 * Source: "Rule operations" of the Service Bus AMQP request-response guide.
 */
import type { Queue, Rules } from "../../broker/Queue.ts"
import { type Answer, refuse, type Request } from "../NodeRequest.ts"
import type { ServedConnection } from "../ServedConnection.ts"
import type { Operation } from "./Operation.ts"

/** An operation on the rules of a subscription; refused as not allowed where the entity is none. */
export const onRules = (
  name: string,
  run: (connection: ServedConnection, rules: Rules, request: Request, queue: Queue) => Answer
): Operation => ({
  name,
  right: "Listen",
  run: (connection, queue, request) =>
    queue.rules === undefined
      ? refuse(connection.namespace.conditions.notAllowed(queue.path, "The entity has no rules: a subscription has."))
      : run(connection, queue.rules, request, queue)
})
