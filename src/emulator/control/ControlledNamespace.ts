/**
 * The namespace that a request is for, where its controls are not enough: what is listed over HTTP is the broker's own, by pages.
 *
 * A file of its own because each file of routes imports it.
 */
import * as Context from "effect/Context"
import type { Namespace } from "../Namespace.ts"

/** The namespace that a request is for. */
export class ControlledNamespace extends Context.Service<ControlledNamespace, Namespace>()(
  "effect-service-bus/emulator/control/ControlledNamespace"
) {}
