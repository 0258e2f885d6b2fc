/** Messages settled twice, not at all, too early, or by the wrong way; and what is said of it. */
import type { Mutant } from "./Mutant.ts"

export const settlement: ReadonlyArray<Mutant> = [
  {
    name: "a dead letter is made without its description",
    file: "receiver/SettlementOutcome.ts",
    text: "...(description === undefined ? {} : { DeadLetterErrorDescription: description })",
    replacement: "",
    workload: "letters"
  },
  {
    name: "a message can be settled twice",
    file: "amqp/ReceiverLink.ts",
    text:
      "        this.unsettled.delete(delivery)\n        this.link.session.dispose(delivery, outcome, false, operation)",
    replacement: "        this.link.session.dispose(delivery, outcome, false, operation)",
    workload: "receiving"
  },
  {
    name: "one message in fifty is not settled by its processor",
    file: "processor/HandlerResult.ts",
    text: "const result = exit.value === undefined ? Settlement.complete : exit.value",
    replacement: "const result = exit.value === undefined ? Settlement.complete : exit.value\n" +
      "      if (jobs[0]!.message.sequenceNumber % 50n === 7n) {\n" +
      "        for (const job of jobs) this.settled(job, Settlement.complete)\n" +
      "        return Effect.void\n" +
      "      }",
    workload: "processor"
  },
  {
    name: "a settlement is confirmed before its disposition is answered",
    file: "amqp/ReceiverLink.ts",
    text: "      this.deadlines.add(operation)\n      return Effect.sync(() => operation.cancel())",
    replacement: "      resume(Effect.void)\n      return Effect.void",
    workload: "receiving"
  },
  {
    name: "a settlement goes to the link that its message came on, though that is lost",
    file: "receiver/Settler.ts",
    text: "const isHere = deliveries.every((delivery) => delivery.holder === link)",
    replacement: "const isHere = true",
    workload: "receiving"
  },
  {
    name: "a settlement whose answer was lost fails as if it had not been made",
    file: "receiver/Settler.ts",
    text: "const settled = settleByToken(state, rest, settlement, true, onAnswer)",
    replacement: "const settled = settleByToken(state, rest, settlement, false, onAnswer)",
    workload: "receiving"
  },
  {
    name: "a settlement after the loss of its link is not made",
    file: "receiver/Settler.ts",
    text: "return notifyingWatchers(state, deliveries, settleByToken(state, deliveries, settlement, false, onAnswer))",
    replacement: "return Effect.fail(new MessageAlreadySettled(contextOf(state)))",
    workload: "receiving"
  },
  {
    name: "a copy for later is not sent, and its message completed",
    file: "receiver/Settler.ts",
    text: "restore(state.retryAfter.send(message, plan)),",
    replacement: "restore(Effect.void),",
    workload: "receiving"
  },
  {
    name: "the copy of a message has an id of its own",
    file: "message/MessageCopy.ts",
    text: "writer.string(idOf(message, `retry-${message.retryAttempt + 1}`))",
    replacement: "writer.string(`copy-${message.sequenceNumber}`)",
    workload: "receiving"
  },
  {
    name: "what a handler was given and its lock lost is in no book",
    file: "processor/MessageProcessor.ts",
    text: "if (job.state === \"lost\") this.totals.lockLost++",
    replacement: "if (job.state === \"lost\") this.totals.lockLost += 0",
    workload: "processor"
  },
  {
    name: "an outcome that was unknown becomes a failure with the next try",
    file: "namespace/RetryPolicy.ts",
    text: "lost === undefined || isUnknown(error) || options?.isFinal?.(error) === true",
    replacement: "true",
    workload: "receiving"
  },
  {
    name: "a settlement that a drain cuts off counts as given back",
    file: "processor/MessageProcessor.ts",
    text: "if (!isHeld(job)) return this.unsettled()",
    replacement: "if (!isHeld(job)) return this.returned(job)",
    by: "test/processor/MessageProcessor.test"
  },
  {
    name: "a message of a session is settled by its token after its link was lost",
    file: "receiver/Settler.ts",
    text: "if (ended !== undefined) return Effect.fail(ended)",
    replacement: "if (ended !== undefined) return settleByToken(state, deliveries, settlement, false, onAnswer)",
    also: [
      [
        "entity.path, state.isOpen, (node, timeout) => {\n      isOut",
        "entity.path, Effect.void, (node, timeout) => {\n      isOut"
      ],
      // The request is refused by itself where the session is over.
      [
        "        session: state.session,",
        "        session: state.session && { id: state.session.id, onEnd: () => () => {} },"
      ]
    ],
    by: "test/session/SessionLink.loss"
  },
  {
    name: "a handler whose settlement can never be made is run again",
    file: "processor/HandlerResult.ts",
    text: "isOpen(job) && isHeld(job) && isImpossible(reason) ? [{ job, reason }] : []",
    replacement: "isOpen(job) && isHeld(job) && false ? [{ job, reason }] : []",
    by: "test/processor/HandlerResult.events"
  },
  {
    name: "a handler that interrupts itself has not failed",
    file: "processor/MessageProcessor.ts",
    text: "this.run(call, Effect.suspend(() => this.results.fail(call, cause)), true)",
    replacement: "this.ended(call)",
    by: "test/processor/HandlerResult"
  },
  {
    name: "a dead letter of a processor is counted, and not made",
    file: "processor/HandlerResult.ts",
    text: "const made = Effect.suspend(() =>",
    replacement: "const made = tagOf(settlement) === \"DeadLetter\" ? Effect.void : Effect.suspend(() =>",
    workload: "letters"
  },
  {
    name: "settleEach dead-letters every third message that its handler completes",
    file: "receiver/StreamHandler.ts",
    text: "const settlement = given ?? Settlement.complete",
    replacement: "const settlement = given ??\n" +
      "              (message.sequenceNumber % 3n === 0n ? Settlement.deadLetter({ reason: \"third\" }) : Settlement.complete)",
    workload: "batches"
  },
  {
    name: "a message is settled by the token of another lock",
    file: "receiver/LockTokens.ts",
    text: "{ entity, tokens, settlement: made.settlement, timeout }",
    replacement:
      "{ entity, tokens: tokens.map(() => crypto.randomUUID() as LockToken), settlement: made.settlement, timeout }",
    workload: "receiving"
  },
  {
    name: "a message that is to be tried again, and is, fails as if its lock were lost",
    file: "receiver/Settler.ts",
    text: "Completion.run(restore, finish(settlement, accepted))",
    replacement: "Effect.andThen(\n" +
      "              Completion.run(restore, finish(settlement, accepted)),\n" +
      "              Effect.fail(new MessageLockLostError(contextOf(state)))\n" +
      "            )",
    also: [["  type MessageDecodeError,\n", "  type MessageDecodeError,\n  MessageLockLostError,\n"]],
    workload: "retrying"
  },
  {
    name: "what is interrupted waits for its completion, however long",
    file: "receiver/Completion.ts",
    text: "Effect.timeoutOption(Fiber.await(fiber), closeTimeout)",
    replacement: "Fiber.await(fiber)",
    workload: "retrying",
    fault: "interruptions,silence,busy"
  }
]
