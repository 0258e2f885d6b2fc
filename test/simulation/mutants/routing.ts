/** Rules that take what they should not, or are not what the client was told of them. */
import type { Mutant } from "./Mutant.ts"

export const routing: ReadonlyArray<Mutant> = [
  {
    name: "each rule that matches makes a copy",
    file: "../emulator/broker/SubscriptionRules.ts",
    text: "if (!matches(message) || apply === undefined && isTaken) continue",
    replacement: "if (!matches(message)) continue",
    workload: "rules"
  },
  {
    name: "a rule with an action makes no copy beside one without",
    file: "../emulator/broker/SubscriptionRules.ts",
    text: "if (!matches(message) || apply === undefined && isTaken) continue",
    replacement: "if (!matches(message) || isTaken) continue",
    workload: "rules"
  },
  {
    name: "what a rule fails on is copied by the others all the same",
    file: "../emulator/broker/SubscriptionRules.ts",
    text: "if (routed !== undefined) routed.messages.length = before",
    replacement: "",
    workload: "rules"
  },
  {
    name: "a rule that was deleted goes on taking messages",
    file: "../emulator/broker/SubscriptionRules.ts",
    text: "    this.compiled.delete(name)\n    this.listed = undefined\n    this.count(found, -1)",
    replacement: "    this.listed = undefined",
    workload: "rules"
  },
  {
    name: "a rule that is added last is not listed",
    file: "../emulator/broker/SubscriptionRules.ts",
    text: "    this.compiled.set(given.name, compiled.success)\n    this.listed = undefined",
    replacement: "    this.listed ??= []\n    this.compiled.set(given.name, compiled.success)",
    workload: "rules"
  },
  {
    name: "a rule whose first try was answered by nobody is said to be another's",
    file: "rules/RuleManager.ts",
    text: "              errorMap.isLostThen(\"MessagingEntityAlreadyExistsError\"),",
    replacement: "              (_error): _error is never => false,",
    by: "test/rules/RuleManager"
  },
  {
    name: "a subscription that is made again has the rules that it had",
    file: "../emulator/broker/Topic.ts",
    text: "    for (const each of this.subscriptions) if (each.queue === queue) each.rules.clear()\n",
    replacement: "",
    workload: "rules",
    fault: "deleted entity"
  }
]
