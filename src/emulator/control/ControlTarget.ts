/**
 * What a request of the control API acts on: a namespace, and its controls. The routes are made once for a server, whatever
 * namespaces it has; this comes with each request. What is listed over HTTP is the namespace's own, by pages, for which its
 * controls are not enough.
 *
 * A file of its own because each file of routes imports it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import { EmulatorError } from "../../ServiceBusError.ts"
import type { Queue } from "../broker/Queue.ts"
import type { Controls } from "../Controls.ts"
import type { CountHistory } from "../CountHistory.ts"
import type { Namespace } from "../Namespace.ts"
import { type Refusal, refused } from "./ControlProblem.ts"

/** What a request acts on. */
export class ControlTarget extends Context.Service<ControlTarget, {
  readonly controls: Controls
  readonly namespace: Namespace
  /** That of the server; a broker in memory has none. */
  readonly history: CountHistory | undefined
}>()("effect-service-bus/emulator/control/ControlTarget") {}

/** The controls that a request is for. */
export const controls: Effect.Effect<Controls, never, ControlTarget> = Effect.map(
  ControlTarget,
  ({ controls }) => controls
)

/** A queue of the namespace that a request is for, named as its parameter names it. */
export const queueOf = (
  entity: string
): Effect.Effect<{ readonly queue: Queue; readonly namespace: Namespace }, Refusal, ControlTarget> =>
  Effect.flatMap(ControlTarget, ({ namespace }) => {
    const queue = namespace.broker.queue(entity)
    if (queue !== undefined) return Effect.succeed({ queue, namespace })
    // As the command and the contracts write it; paths of the service have a word between the two.
    const subscription = entity.replace(/^([^/]+)\/([^/]+)$/, "$1/Subscriptions/$2")
    const isThere = namespace.broker.queue(subscription) !== undefined
    const problem = `it has no entity "${entity.slice(0, 300)}"` +
      (isThere ? `; the subscription is "${subscription}"` : "")
    return refused(Effect.fail(new EmulatorError({ reason: "notFound", problem })))
  })

/** An operation on a queue. */
export const withQueue = <A>(
  entity: string,
  run: (queue: Queue, namespace: Namespace) => Result.Result<A, EmulatorError>
): Effect.Effect<A, Refusal, ControlTarget> =>
  Effect.flatMap(queueOf(entity), ({ namespace, queue }) => refused(Effect.fromResult(run(queue, namespace))))
