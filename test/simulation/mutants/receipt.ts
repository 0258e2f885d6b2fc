/** Messages that are received and lost on the way to their consumer, too many of them, or too late. */
import type { Mutant } from "./Mutant.ts"

export const receipt: ReadonlyArray<Mutant> = [
  {
    name: "credit that a call did not use is not drained",
    file: "receiver/MessageReader.ts",
    text: "if (prefetch === 0 && link.credit() > 0) yield* link.drain",
    replacement: "",
    workload: "receiving"
  },
  {
    name: "a call that is interrupted leaves its credit with the broker",
    file: "receiver/MessageReader.ts",
    text: "return prefetch > 0 ? gather : Effect.onInterrupt(gather, () => state.link.drain)",
    replacement: "return gather",
    workload: "destructive",
    fault: "interruptions",
    seeds: 300
  },
  {
    name: "more than was asked for is dropped",
    file: "amqp/ReceiverLink.ts",
    text:
      "    if (this.inbox.length <= max) {\n      const all = this.inbox\n      this.inbox = []\n      return all\n    }",
    replacement:
      "    if (this.inbox.length >= 0) {\n      const all = this.inbox\n      this.inbox = []\n      return all.slice(0, max)\n    }",
    workload: "destructive"
  },
  {
    name: "whoever receives and deletes is given nothing",
    file: "amqp/ReceiverLink.ts",
    text: "      if (this.inbox.length === 0) this.inbox = deliveries\n",
    replacement:
      "      if (options.destructive) deliveries.length = 0\n      if (this.inbox.length === 0) this.inbox = deliveries\n",
    workload: "destructive"
  },
  {
    name: "messages that come while the fiber that is to wait for them yields do not wake it",
    file: "amqp/ReceiverLink.ts",
    text: "if (this.inbox.length >= count || this.link.dead() !== undefined) return resume(Effect.void)",
    replacement: "",
    by: "test/amqp/ReceiverLink"
  },
  {
    name: "what is put back comes after what came since",
    file: "amqp/ReceiverLink.ts",
    text: "this.inbox.unshift(...deliveries)",
    replacement: "this.inbox.push(...deliveries)",
    by: "test/receiver/Handover"
  },
  {
    name: "a drain is one more credit",
    file: "amqp/ReceiverLink.ts",
    text: "rhea.drain_credit()",
    replacement: "rhea.add_credit(1)",
    workload: "receiving"
  },
  {
    name: "what came on a lost link is not carried over",
    file: "receiver/ReceiverState.ts",
    text: "if (lost !== undefined) link.putBack(lost.take(Infinity))",
    replacement: "",
    workload: "destructive",
    fault: "detach",
    seeds: 300
  },
  {
    name: "what was taken for a call that is interrupted is not put back",
    file: "receiver/MessageReader.ts",
    text: "if (back.length > 0) link.putBack(back)",
    replacement: "",
    workload: "destructive",
    fault: "interruptions",
    seeds: 300
  },
  {
    name: "a call hands over without looking whether its fiber is about to yield",
    file: "receiver/Handover.ts",
    text: "isNearYield(fiber) ? Effect.andThen(Effect.yieldNow, last) : last",
    replacement: "last",
    by: "test/receiver/Handover"
  },
  {
    name: "a message whose lock ended while it waited is handed out",
    file: "receiver/ReceiverState.ts",
    text:
      "if (age < 1_000 || age < MessageLock.durationOf(state, delivery, MessageLock.timesOf(message))) return false",
    replacement: "if (age >= 0) return false",
    workload: "receiving",
    seeds: 300
  },
  {
    name: "a processor runs one handler more than it may",
    file: "processor/MessageProcessor.ts",
    text: "this.active.size < this.concurrency && this.isReady()",
    replacement: "this.active.size <= this.concurrency && this.isReady()",
    workload: "processor"
  },
  {
    name: "a processor asks for twice what it has room for",
    file: "processor/MessageProcessor.ts",
    text: "if (missing > 0 && (missing >= window / 2 || credit === 0)) link.addCredit(missing)",
    replacement: "if (missing > 0 && (missing >= window / 2 || credit === 0)) link.addCredit(2 * missing)",
    workload: "processor"
  },
  {
    name: "what waits when a processor drains is not given back",
    file: "processor/MessageProcessor.ts",
    text: "Effect.andThen(Effect.sync(() => this.releaseWaiting())),",
    replacement: "",
    by: "test/processor/MessageProcessor"
  },
  {
    name: "bytes that are no message end what reads them",
    file: "receiver/ReceiverState.ts",
    text: "if (!(error instanceof DecodeProblem)) throw error",
    replacement: "throw error",
    by: "test/receiver/ReceiverState.undecodable"
  },
  {
    name: "bytes are decoded where they are read from the socket",
    file: "amqp/ReceiverLink.ts",
    text: "        delivery.holder = this\n",
    replacement: "        delivery.holder = this\n        sectionsOf(delivery)\n",
    also: [[
      "import * as errorMap from \"../errorMap.ts\"\n",
      "import * as errorMap from \"../errorMap.ts\"\nimport { sectionsOf } from \"../message/ReceivedMessage.ts\"\n"
    ]],
    by: "test/receiver/ReceiverState.undecodable"
  },
  {
    name: "maxWait does not bound what waits for a service that is busy",
    file: "receiver/MessageReader.ts",
    text: "            until,\n            otherwise: this.decode(max, body, taken)\n          }, state.onRetry)",
    replacement:
      "            until: Infinity,\n            otherwise: this.decode(max, body, taken)\n          }, state.onRetry)",
    by: "test/receiver/MessageReader.maxWait"
  },
  {
    name: "deferred messages whose caller is gone stay locked",
    file: "receiver/DeferredMessages.ts",
    text: "if (Exit.isSuccess(exit)) giveBack(state, returned, exit.value)",
    replacement: "",
    by: "test/receiver/Handover"
  },
  {
    name: "an attach that took longer than its call is told to the next one",
    file: "receiver/MessageReader.ts",
    text: "          if (this.attaching === begun) this.attaching = undefined\n",
    replacement: "",
    by: "test/receiver/MessageReader"
  },
  {
    name: "a drain whose answer has no flag is waited for",
    file: "amqp/engine/DataPlane.ts",
    text: "      if (ahead > 0) {",
    replacement: "      if (ahead > 0 && drain === true) {",
    by: "test/wire/ForeignServers"
  },
  {
    name: "fifty times as many messages are deleted as were asked for",
    file: "receiver/BatchDelete.ts",
    text: "request(requester, max, time))",
    replacement: "request(requester, max * 50, time))",
    workload: "receiving"
  },
  {
    name: "batches are twice as large as they may be",
    file: "processor/MessageProcessor.ts",
    text: "[this.waiting.shift()!] : this.waiting.splice(0, size)",
    replacement: "[this.waiting.shift()!] : this.waiting.splice(0, size * 2)",
    workload: "batches"
  },
  {
    name: "settleEach runs twice as many handlers",
    file: "receiver/StreamHandler.ts",
    text: "    { concurrency, unordered: true }",
    replacement: "    { concurrency: concurrency * 2, unordered: true }",
    workload: "batches"
  },
  {
    name: "who looks at messages passes over five numbers",
    file: "receiver/MessageBrowser.ts",
    text: "from: next,",
    replacement: "from: next + 5n,",
    workload: "receiving"
  },
  {
    name: "a message that comes alone wakes nobody",
    file: "amqp/ReceiverLink.ts",
    text: "      else for (const delivery of deliveries) this.inbox.push(delivery)\n      this.wake(false)",
    replacement:
      "      else for (const delivery of deliveries) this.inbox.push(delivery)\n      if (deliveries.length > 1) this.wake(false)",
    workload: "batches"
  },
  {
    name: "a consumer that gives credit is looked at with the next message",
    file: "../emulator/broker/Consumers.ts",
    text: "        this.addReady(attached)\n        this.queue.flush(this)",
    replacement: "        this.addReady(attached)",
    workload: "batches"
  }
]
