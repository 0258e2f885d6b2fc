/**
 * `com.microsoft:add-rule`: adds a rule to a subscription, with a SQL filter or a correlation filter, and perhaps a SQL action;
 * 409 where it has one of that name, 400 where an expression is wrong.
 *
 * Source: "Add rule" of the Service Bus AMQP request-response guide; tests of the rule managers of .NET and JavaScript.
 */
import type { Operation } from "./Operation.ts"
import * as RuleDescription from "./RuleDescription.ts"
import { changing, onRules } from "./RuleRequest.ts"

export const AddRule: Operation = onRules(
  "com.microsoft:add-rule",
  changing((rules, request) => rules.add(RuleDescription.read(request.exactBody())))
)
