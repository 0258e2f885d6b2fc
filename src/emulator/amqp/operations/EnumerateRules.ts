/**
 * `com.microsoft:enumerate-rules`: a page of the rules of a subscription, by name; 204 where there are none. One that
 * forwards does not tell them, though they can be added and removed.
 *
 * Source: "Get rules" of the Service Bus AMQP request-response guide; answers of the service in azure-sdk-for-java,
 * MessageUtilsTest; azure-sdk-for-net #34816 for those that forward.
 */
import { type Answer, refuse } from "../NodeRequest.ts"
import { ok, type Operation, required } from "./Operation.ts"
import * as RuleDescription from "./RuleDescription.ts"
import { onRules } from "./RuleRequest.ts"

/** As the service writes it. */
const noRules: Answer = {
  status: 204,
  error: { condition: "com.microsoft:rules-not-found", description: "No rules found" }
}

export const EnumerateRules: Operation = onRules(
  "com.microsoft:enumerate-rules",
  (connection, rules, request, queue) => {
    if (queue.options.forwardTo !== undefined) {
      return refuse(connection.namespace.conditions.forwardsBrowsed(queue.path))
    }
    const skip = required.int(request.body, "skip", 0)
    const page = rules.list(skip, required.int(request.body, "top", 0))
    return page.length === 0 ? noRules : ok({ rules: page.map(RuleDescription.write) })
  }
)
