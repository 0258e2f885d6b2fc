/**
 * The operations that subscriptions alone have: those on their rules. A file of its own because three operations share it.
 *
 * Source: "Rule operations" of the Service Bus AMQP request-response guide.
 */
import * as Result from "effect/Result"
import type { Queue, Refusal, Rules } from "../../broker/Queue.ts"
import { type Answer, refuse, type Request } from "../NodeRequest.ts"
import type { ServedConnection } from "../ServedConnection.ts"
import { type Operation, result } from "./Operation.ts"

/**
 * Refuses what changes the rules of a subscription that is disabled, or whose topic is: "You cannot add or remove a rule of a
 * disabled subscription or a subscription to a disabled topic" (Service Bus documentation, EntityStatus). Over HTTP an
 * administrator may: "All management operations are permitted on disabled entities" (also there; azure-sdk-for-js #12345).
 */
export const changing =
  (run: (rules: Rules, request: Request) => Result.Result<void, Refusal>) =>
  (connection: ServedConnection, rules: Rules, request: Request, { path }: Queue): Answer =>
    result(connection, rules.isDisabled ? Result.fail({ _tag: "Disabled", entity: path }) : run(rules, request))

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
