/**
 * `com.microsoft:remove-rule`: removes a rule of a subscription; 404 where there is none of that name. A file of its own because
 * each operation has one.
 *
 * Source: "Remove rule" of the Service Bus AMQP request-response guide; tests of JavaScript's client for the 404.
 */
import { type Operation, required } from "./Operation.ts"
import { changing, onRules } from "./RuleRequest.ts"

export const RemoveRule: Operation = onRules(
  "com.microsoft:remove-rule",
  changing((rules, request) => rules.remove(required.text(request.body, "rule-name")))
)
