/** Sessions that are lost and go on, or whose order is broken. */
import type { Mutant } from "./Mutant.ts"

export const session: ReadonlyArray<Mutant> = [
  {
    name: "nobody is told that a session is lost with its link",
    file: "session/SessionLink.ts",
    text: "  link.link.onDeath((cause) =>\n    lose(",
    replacement: "  link.link.onDeath((cause) =>\n    void (",
    workload: "sessions",
    fault: "detach,end,bad handlers",
    seeds: 300
  },
  {
    name: "a lost session goes on as if it were held",
    file: "session/SessionLink.ts",
    text: "      ended: () => end,",
    replacement: "      ended: () => undefined,",
    by: "test/processor/SessionProcessor"
  },
  {
    name: "a request of a session that waits for credit is made after the session is lost",
    file: "session/SessionLink.ts",
    text: "onEnd: session!.onEnd",
    replacement: "onEnd: () => () => {}",
    by: "test/simulation/Simulation.test"
  },
  {
    name: "a request of a session that waits for credit is not taken back when the session ends",
    file: "management/RequestResponseLink.ts",
    text: "          if (!request.withdraw()) return\n",
    replacement: "          if (true) return\n",
    by: "test/session/SessionLink.credit"
  },
  {
    name: "a request on behalf of a session that is over is made",
    file: "session/SessionLink.ts",
    text: "          hook(end)\n",
    replacement: "",
    by: "test/session/SessionLink.credit"
  },
  {
    name: "deferred messages of a session are asked for after it is lost",
    file: "receiver/DeferredMessages.ts",
    text: "session: state.session,",
    replacement: "session: state.session && { id: state.session.id, onEnd: () => () => {} },",
    by: "test/session/SessionLink.credit"
  },
  {
    name: "a deferred message of a session is settled after it is lost",
    file: "receiver/Settler.ts",
    text: "        session: state.session,",
    replacement: "        session: state.session && { id: state.session.id, onEnd: () => () => {} },",
    by: "test/session/SessionLink.credit"
  },
  {
    name: "a message of a session that could not be settled is passed over",
    file: "processor/MessageProcessor.ts",
    text: "if (this.state.session !== undefined) this.isStuck = true",
    replacement: "",
    workload: "sessions",
    fault: "refused settle,silence",
    seeds: 300
  },
  {
    name: "a session's lock is not renewed",
    file: "session/SessionLink.ts",
    text: "began + options.maxLockRenewal, (reason, cause)",
    replacement: "began, (reason, cause)",
    workload: "sessions",
    fault: "bad handlers",
    seeds: 100
  },
  {
    name: "the state of a session that is set is another",
    file: "management/SessionManagement.ts",
    text: "{ \"session-state\": options.state ?? null }",
    replacement: "{ \"session-state\": null }",
    workload: "sessions"
  },
  {
    name: "a session that is lost is accepted again in silence",
    file: "session/SessionLink.ts",
    text: "  link.link.onDeath((cause) =>\n    lose(",
    replacement:
      "  link.link.onDeath((cause) =>\n    !options.namespace.retryPolicy.isRetried(cause) ? undefined : void Effect.runForkWith(context as any)(Effect.map(attachIn({ ...options, id }, () => {}) as any, ({ receiver }: any) => Object.assign(state, { link: receiver, attached: Effect.succeed(receiver) }))) as any ?? (() => {})(",
    workload: "sessions",
    fault: "detach,end,bad handlers",
    seeds: 300
  },
  {
    name: "a session processor holds one session more than it may",
    file: "processor/SessionProcessor.ts",
    text: "this.slots = options.concurrentSessions",
    replacement: "this.slots = options.concurrentSessions + 1",
    workload: "sessions"
  }
]
