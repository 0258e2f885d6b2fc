/**
 * `com.microsoft:enumerate-rules`: a page of the rules of a subscription, by name; 204 where there are none. A file of its own
 * because each operation has one.
 *
 * Source: "Get rules" of the Service Bus AMQP request-response guide; AmqpRuleManager of Azure.Messaging.ServiceBus.
 */
import { noContent, ok, type Operation, required } from "./Operation.ts"
import * as RuleDescription from "./RuleDescription.ts"
import { onRules } from "./RuleRequest.ts"

export const EnumerateRules: Operation = onRules("com.microsoft:enumerate-rules", (_connection, rules, request) => {
  const skip = required.int(request.body, "skip", 0)
  const page = rules.list(skip, required.int(request.body, "top", 0))
  return page.length === 0 ? noContent : ok({ rules: page.map(RuleDescription.write) })
})
