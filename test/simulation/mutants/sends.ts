/** Sends that promise too much, too little, or go out again as something else. */
import type { Mutant } from "./Mutant.ts"

export const sends: ReadonlyArray<Mutant> = [
  {
    name: "a send is confirmed before the peer has answered",
    file: "amqp/SenderLink.ts",
    text: "            deadlines.add(operation)\n",
    replacement: "            deadlines.add(operation)\n            resume(Effect.void)\n"
  },
  {
    name: "a send on a lost link fails as if nothing had been sent",
    file: "amqp/SenderLink.ts",
    text: "if (this.cancelAll()) return this.unanswered(true, \"the link was lost before the peer answered\", death)",
    replacement: "this.cancelAll()",
    by: "test/namespace/RecoveringLink.connectionLoss"
  },
  {
    name: "a send that is refused counts as accepted",
    file: "amqp/SenderLink.ts",
    text: "else if (this.failure === undefined) this.failure = refused(this.link, outcome)",
    replacement: ""
  },
  {
    name: "a send that is not answered waits for ever",
    file: "amqp/SenderLink.ts",
    text: "            deadlines.add(operation)\n",
    replacement: "",
    fault: "unanswered"
  },
  {
    name: "an interrupted send leaves its place in the queue",
    file: "amqp/SenderLink.ts",
    text: "    this.over()\n    this.cancelAll()",
    replacement: "    this.over()",
    by: "test/sender/SenderState"
  },
  {
    name: "a scheduled message has the number of another",
    file: "management/EntityManagement.ts",
    text: "  return numbers\n",
    replacement: "  return numbers.map((number) => number - 1n)\n"
  },
  {
    name: "a send that is tried again has another id",
    file: "sender/SenderState.ts",
    text:
      "    const { link, namespace } = this\n    return namespace.retryPolicy.run(Effect.flatMap(link.get, (sender) => sender.send([payload], [format])))",
    replacement:
      "    const { link, namespace } = this\n    let tries = 0\n    const again = Buffer.from(Buffer.from(payload).toString(\"latin1\").replace(/(work|more|news|tokens|skewed)-/g, (name) => `${name.slice(0, -2)}x-`), \"latin1\")\n    return namespace.retryPolicy.run(Effect.flatMap(link.get, (sender) => sender.send([tries++ === 0 ? payload : again], [format])))"
  },
  {
    name: "what of many was accepted is sent again with the rest",
    file: "sender/SenderState.ts",
    text: "          accepted.add(tried[index]!)\n",
    replacement: "",
    by: "test/sender/SenderState"
  },
  {
    name: "every message is sent twice",
    file: "sender/SenderState.ts",
    text: "return namespace.retryPolicy.run(Effect.flatMap(link.get, (sender) => sender.send([payload], [format])))",
    replacement:
      "return namespace.retryPolicy.run(Effect.flatMap(link.get, (sender) => sender.send([payload, payload], [format, format])))"
  },
  {
    name: "what is scheduled together has its numbers in reverse",
    file: "sender/SenderState.ts",
    text:
      "scheduleAll: (messages: Iterable<Message>, at: DateTime.Utc | Duration.Input) => self.schedule(messages, at),",
    replacement: "scheduleAll: (messages: Iterable<Message>, at: DateTime.Utc | Duration.Input) =>\n" +
      "      Effect.map(self.schedule(messages, at), (numbers) => numbers.toReversed()),",
    workload: "receiving"
  },
  {
    name: "what is scheduled comes a minute late",
    file: "sender/SenderState.ts",
    text: "DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe() + delay)",
    replacement: "DateTime.makeUnsafe(this.clock.currentTimeMillisUnsafe() + delay + 60_000)",
    workload: "receiving"
  }
]
