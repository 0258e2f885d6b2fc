/**
 * A connection as people see it: who opened it, and its links with what they are attached to. It is made when somebody asks, out
 * of what the connection knows anyway.
 */
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { ServedConnection } from "./ServedConnection.ts"

/** A link, as its peer sees it. */
export interface LinkSummary {
  readonly name: string
  readonly role: "sender" | "receiver"
  readonly address: string
  /** The session that it holds. */
  readonly session: string | undefined
  /** How many more messages its receiving end takes. */
  readonly credit: number
  /** Messages that were chosen for it and wait to be written. */
  readonly pending: number
}

/** A connection. */
export interface ConnectionSummary {
  readonly containerId: string
  readonly hostname: string | undefined
  /** What the client's library says of itself. */
  readonly product: string | undefined
  /** When it was accepted, in milliseconds of the server's clock. */
  readonly acceptedAt: number
  readonly links: ReadonlyArray<LinkSummary>
}

/** A connection, now. */
export const of = (connection: ServedConnection): ConnectionSummary => {
  const open = connection.rhea.remote.open ?? {}
  return {
    containerId: textOf(open["container_id"]) ?? "",
    hostname: textOf(open["hostname"]),
    product: productOf(open["properties"]),
    acceptedAt: connection.acceptedAt,
    links: Array.from(connection.links, ([link, address]) => linkOf(connection, link, address))
  }
}

const linkOf = (connection: ServedConnection, link: RheaLink, address: string): LinkSummary => ({
  name: link.name,
  // The broker's end of a link on which the peer sends is the receiver.
  role: link.is_receiver() ? "sender" : "receiver",
  address,
  session: connection.heldSessions.get(link.name),
  credit: link.credit,
  pending: connection.plane.link(link).pending
})

const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value.slice(0, 300) : undefined

const productOf = (properties: unknown): string | undefined => {
  if (typeof properties !== "object" || properties === null) return undefined
  const of = (name: string) => textOf((properties as Record<string, unknown>)[name])
  const words = [of("product"), of("version")].filter((each) => each !== undefined)
  return words.length > 0 ? words.join(" ") : of("user-agent")
}
