/**
 * What a request of the control API acts on: a namespace, and its controls. The routes are made once for a server, whatever
 * namespaces it has; this comes with each request. What is listed over HTTP is the namespace's own, by pages, for which its
 * controls are not enough.
 *
 * A file of its own because each file of routes imports it.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Controls } from "../Controls.ts"
import type { Namespace } from "../Namespace.ts"

/** What a request acts on. */
export class ControlTarget extends Context.Service<ControlTarget, {
  readonly controls: Controls
  readonly namespace: Namespace
}>()("effect-service-bus/emulator/control/ControlTarget") {}

/** The controls that a request is for. */
export const controls: Effect.Effect<Controls, never, ControlTarget> = Effect.map(
  ControlTarget,
  ({ controls }) => controls
)
