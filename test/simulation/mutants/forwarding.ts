/** Messages that are lost or doubled between two entities, and entities that are disabled or deleted and do not look it. */
import type { Mutant } from "./Mutant.ts"

export const forwarding: ReadonlyArray<Mutant> = [
  {
    name: "what a target refused is not tried again",
    file: "../emulator/broker/Forwarding.ts",
    text: "      else this.add(message)\n",
    replacement: "",
    workload: "forwards",
    fault: "suspended entity,full entity,deleted entity"
  },
  {
    name: "the first of what is forwarded after a refusal is forwarded twice",
    file: "../emulator/broker/Forwarding.ts",
    text: "this.hand(transfers.slice(1).filter((each) => this.isPending(each)))",
    replacement: "this.hand(transfers)",
    workload: "forwards",
    fault: "suspended entity,full entity,deleted entity"
  },
  {
    name: "what is forwarded together comes in the order of its end",
    file: "../emulator/broker/Forwarding.ts",
    text: "      else messages.push(message)\n",
    replacement: "      else messages.unshift(message)\n",
    workload: "forwards"
  },
  {
    name: "hops are not counted",
    file: "../emulator/broker/Forwarding.ts",
    text: "hops: (incoming.hops ?? 0) + 1,",
    replacement: "hops: 1,",
    workload: "forwards"
  },
  {
    name: "one hop fewer is allowed",
    file: "../emulator/broker/Forwarding.ts",
    text: "export const maxHops = 4",
    replacement: "export const maxHops = 3",
    workload: "forwards"
  },
  {
    name: "what is forwarded is no duplicate",
    file: "../emulator/broker/MessageQueue.ts",
    text: "const known = incoming.messageId === undefined\n",
    replacement: "const known = incoming.messageId === undefined || incoming.hops !== undefined\n",
    workload: "forwards"
  },
  {
    name: "a disabled entity forwards",
    file: "../emulator/broker/Forwarding.ts",
    text: "while (this.again && !this.queue.isClosed() && !this.queue.isPaused()) {",
    replacement: "while (this.again && !this.queue.isClosed()) {",
    workload: "forwards",
    fault: "suspended entity"
  },
  {
    name: "an entity that takes nothing takes what is forwarded",
    file: "../emulator/broker/MessageQueue.ts",
    text: "if (this.kind !== \"subscription\" && !isSendable(this.options)) {",
    replacement:
      "if (this.kind !== \"subscription\" && !isSendable(this.options) && messages[0]?.hops === undefined) {",
    workload: "forwards",
    fault: "suspended entity"
  },
  {
    name: "dead letters of a subscription are not forwarded",
    file: "../emulator/broker/MessageQueue.ts",
    text: "    dead.consumers.deliver()\n    dead.forwarding?.run()",
    replacement: "    dead.consumers.deliver()",
    workload: "forwards"
  },
  {
    name: "who uses an entity is not told that it is deleted",
    file: "../emulator/broker/Broker.ts",
    text: "    this.detach({ path, links: \"all\", refusal: { _tag: \"EntityNotFound\", entity: queue.path } })\n",
    replacement: "",
    workload: "entities"
  }
]
