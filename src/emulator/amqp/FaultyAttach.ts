/**
 * The attach of a link to an entity that a fault may strike: it is answered late or not at all, refused, or answered and followed
 * by the end of the link, its session or its connection.
 *
 * While an attach is held back the peer may end the link: then it is answered, without a terminus where it was not carried out,
 * and nothing is left of it.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { FaultOperation } from "./Faults.ts"
import * as FaultyOperation from "./FaultyOperation.ts"
import type { ServedConnection } from "./ServedConnection.ts"

/** Opens a link, and says why not. `open` does so where nothing is to go wrong. */
export const open = (
  connection: ServedConnection,
  link: RheaLink,
  kinds: ReadonlyArray<FaultOperation>,
  path: string,
  open: () => AmqpError | undefined
): AmqpError | undefined => {
  const { conditions, faults } = connection.namespace
  const { dispatcher } = connection.server.options
  const struck = faults.take(kinds, path)
  if (struck === undefined) return open()
  switch (struck.action) {
    case "error":
      return conditions.injected(struck.error, path)
    case "throttle":
      return conditions.throttled(path, struck.retryAfter)
    case "loseLock":
      // None is named, which is checked where faults are made.
      return open()
    case "delay":
    case "drop": {
      const release = hold(connection, link)
      const refusal = struck.when === "after" ? open() : undefined
      if (refusal !== undefined) {
        release()
        return refusal
      }
      if (struck.action === "drop") return undefined
      // The link is known to the connection once this attach is over.
      dispatcher.schedule(() => {
        if (!connection.links.has(link)) return
        FaultyOperation.later(connection, link, struck.delay, () => {
          release()
          const refusal = struck.when === "before" ? open() : undefined
          if (refusal !== undefined) connection.detach(link, refusal)
        })
      })
      return undefined
    }
    case "detach":
    case "endSession":
    case "disconnect": {
      const refusal = struck.when === "after" ? open() : undefined
      if (refusal !== undefined) return refusal
      if (struck.action === "detach" && struck.when === "before") {
        return conditions.injected(struck.error ?? FaultyOperation.detached, path)
      }
      // After the answer, where there is one.
      const release = struck.when === "before" ? hold(connection, link) : () => {}
      dispatcher.schedule(() => {
        if (!connection.links.has(link)) return
        FaultyOperation.end(connection, link, struck, path)
        release()
      })
      return undefined
    }
  }
}

/** Holds the attach of a link back until it is released, at its end at the latest. */
const hold = (connection: ServedConnection, link: RheaLink): () => void => {
  const plane = connection.plane.link(link)
  plane.holdAttach()
  let isHeld = true
  const release = (): void => {
    if (!isHeld) return
    isHeld = false
    // Nothing is said on a session that the peer has ended.
    if (link.session.is_open()) plane.releaseAttach()
  }
  connection.onEnd(link, release)
  return release
}
