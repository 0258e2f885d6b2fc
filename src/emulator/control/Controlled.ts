/**
 * The controls of the namespace that a request is for. The routes are made once for a server, whatever namespaces it has; what
 * they act on comes with each request.
 *
 * A file of its own because each file of routes imports it.
 */
import * as Context from "effect/Context"
import type { Controls } from "../Controls.ts"

/** The controls that a request is for. */
export class Controlled
  extends Context.Service<Controlled, Controls>()("effect-service-bus/emulator/control/Controlled")
{}
