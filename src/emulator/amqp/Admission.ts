/**
 * How many connections the broker takes at a time, and how many that are not open yet: a peer that opens thousands of sockets
 * and says nothing must not keep the others out for long, nor fill the memory.
 *
 * All ports of a broker share one admission; each socket holds its part of it until it ends.
 */

/** How many at a time. */
interface Limits {
  readonly connections: number
  readonly handshakes: number
}

/** A namespace of Azure takes 5,000 connections (Service Bus quotas). */
export const limits: Limits = { connections: 5000, handshakes: 1000 }

/** Counts the sockets that are admitted. */
export class Admission {
  readonly limits: Limits
  private connections = 0
  private handshakes = 0

  constructor(limits: Limits) {
    this.limits = limits
  }

  /** Begins the handshake of a socket; undefined where there are too many of them, and the socket is to be closed. */
  begin(): Admitted | undefined {
    if (this.handshakes >= this.limits.handshakes) return undefined
    this.handshakes += 1
    let state: "handshake" | "open" | "over" = "handshake"
    return {
      open: () => {
        if (state !== "handshake" || this.connections >= this.limits.connections) return false
        state = "open"
        this.handshakes -= 1
        this.connections += 1
        return true
      },
      end: () => {
        if (state === "handshake") this.handshakes -= 1
        if (state === "open") this.connections -= 1
        state = "over"
      }
    }
  }
}

/** One socket that was admitted. */
export interface Admitted {
  /** Its handshake is over; false where there are too many connections. */
  readonly open: () => boolean
  readonly end: () => void
}
