/**
 * Which node an address means: `$cbs`, the `$management` node of an entity, or an entity (Service Bus protocol guide). A file
 * of its own because links and claims both name nodes.
 */
import * as EntityPath from "../broker/EntityPath.ts"
import * as Authorization from "../security/Authorization.ts"

/** A node of the broker; `path` is that of the entity, as the peer wrote it. */
export interface NodeAddress {
  readonly kind: "cbs" | "management" | "entity"
  readonly path: string
}

/** The node that an address names. */
export const parse = (address: string): NodeAddress => {
  const path = Authorization.bareOf(address)
  const lower = path.toLowerCase()
  if (lower === "$cbs") return { kind: "cbs", path }
  return lower.endsWith("/$management")
    ? { kind: "management", path: path.slice(0, -"/$management".length) }
    : { kind: "entity", path }
}

/** Whether an address is that of an entity or, `withParts`, of its nodes and dead-letter queues; `path` is in lower case. */
export const belongs = (address: string, path: string, withParts: boolean): boolean => {
  const of = EntityPath.trimmed(Authorization.bareOf(address)).toLowerCase()
  return of === path || withParts && of.startsWith(`${path}/$`)
}
