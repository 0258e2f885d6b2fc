/**
 * A session that is lost is not used as if it were held: once its link is gone, or its lock has ended, its holder is given no
 * message of it and asks nothing on its behalf.
 */
import type { Stamped } from "../History.ts"
import type { Oracle, Violation } from "./Oracle.ts"

/** How long after the end of its lock a session may still be taken for held, in milliseconds. */
const grace = 5_000

/** The link that holds a session, and when the client knew that it is gone. */
interface Holder {
  readonly name: string
  lost: number
}

/** The links of sessions, as the client sees them. */
class Holders {
  /** By connection, direction, channel and handle. */
  private readonly handles = new Map<string, Holder>()
  readonly byName = new Map<string, Holder>()
  readonly byToken = new Map<string, Holder>()

  take(entry: Extract<Stamped, { readonly kind: "wire" }>): void {
    const { at, channel, connection, direction, handle, isReceiver, name, performative, session, token } = entry
    const key = `${connection} ${direction} ${channel} `
    switch (performative) {
      case "attach": {
        const isAsked = direction === "up" && isReceiver === true && session !== undefined
        if (isAsked) this.byName.set(name!, { name: name!, lost: Infinity })
        const holder = isAsked || direction === "down" ? this.byName.get(name!) : undefined
        if (holder !== undefined) this.handles.set(`${key}${handle}`, holder)
        else this.handles.delete(`${key}${handle}`)
        return
      }
      case "transfer": {
        const holder = direction === "down" ? this.handles.get(`${key}${handle}`) : undefined
        if (holder !== undefined && token !== undefined) this.byToken.set(token, holder)
        return
      }
      case "detach":
        return this.lose(at, `${key}${handle}`)
      case "end":
        return this.lose(at, key)
      case "close":
      case "over":
        return this.lose(at, `${connection} `)
    }
  }

  private lose(at: number, key: string): void {
    for (const [each, holder] of this.handles) {
      if (each !== key && !(key.endsWith(" ") && each.startsWith(key))) continue
      holder.lost = Math.min(holder.lost, at)
      this.handles.delete(each)
    }
  }
}

export const session: Oracle = ({ history }) => {
  const violations: Array<Violation> = []
  const holders = new Holders()
  const ended = new Map<string, number>()
  for (const entry of history.entries) {
    if (entry.kind === "wire") {
      holders.take(entry)
      const holder = entry.direction === "up" ? holders.byName.get(entry.behalf ?? "") : undefined
      if (holder !== undefined && holder.lost < entry.at) {
        violations.push({
          rule: "unheld",
          what:
            `${holder.name}: ${entry.operation} was asked for at ${entry.at}, and its link was lost at ${holder.lost}`
        })
      }
    }
    if (entry.kind === "released" && entry.isLost) { for (const token of entry.tokens) ended.set(token, entry.at) }
    if (entry.kind !== "received" || entry.session === undefined || entry.token === undefined) continue
    const holder = holders.byToken.get(entry.token)
    if (holder !== undefined && holder.lost < entry.at) {
      violations.push({
        rule: "unheld",
        what: `${entry.sequence} of ${entry.session} was given to ${entry.consumer} at ${entry.at}, ` +
          `and the link ${holder.name} was lost at ${holder.lost}`
      })
    }
    const end = ended.get(entry.token)
    if (end !== undefined && end + grace < entry.at) {
      violations.push({
        rule: "unheld",
        what: `${entry.sequence} of ${entry.session} was given to ${entry.consumer} at ${entry.at}, ` +
          `and the lock of its session ended at ${end}`
      })
    }
  }
  return violations
}
