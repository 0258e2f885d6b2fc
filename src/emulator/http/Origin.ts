/**
 * Whose page a request comes from. A page of any site that somebody opens can have the browser ask the ports of that machine: it
 * reads no answer of HTTP, but what it asks for is done, with the name and the key that the browser remembers or that the page
 * knows, and a WebSocket it reads as well. A browser says whose page asks, and no page can have it say otherwise (RFC 6454,
 * section 7; Fetch Standard, `Origin` header); other programs say nothing, or the host that they ask.
 *
 * What this does not stop is a page whose own name leads to this machine (DNS rebinding): it still needs the key.
 *
 * A file of its own because it is about browsers, of which the server knows nothing else.
 */
import type { IncomingHttpHeaders } from "node:http"
import * as Authorization from "../security/Authorization.ts"

/** Whether a request comes from a page of another site: one that is neither of this machine nor of the host that is asked. */
export const isForeign = ({ host, origin }: IncomingHttpHeaders): boolean => {
  if (origin === undefined) return false
  const from = URL.canParse(origin) ? Authorization.hostOf(new URL(origin).host) : ""
  return !(from !== "" && (Authorization.isLoopback(from) || host !== undefined && from === Authorization.hostOf(host)))
}

/** What it is answered with. */
export const refusal =
  "Pages of other sites may not use this broker: it takes those of this machine and of its own host."
