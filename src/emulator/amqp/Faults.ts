/**
 * Refusals that a test asked for: each is given to the next operations that it fits, as often as was asked.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"

/** What a test can have the broker refuse. */
export type Operation = "attach" | "send" | "settle" | "renew" | "delete" | "listSessions"

export interface Fault {
  /** In lower case; undefined for every entity. */
  readonly entity: string | undefined
  readonly operation: Operation
  readonly error: AmqpError
  times: number
}

export class Faults {
  private pending: Array<Fault> = []

  add(fault: Fault): void {
    if (fault.times > 0) this.pending.push(fault)
  }

  /** The error that an operation is to be refused with, if any. */
  take(operation: Operation, entity: string): AmqpError | undefined {
    if (this.pending.length === 0) return undefined
    const path = entity.toLowerCase()
    const fault = this.pending.find((each) =>
      each.operation === operation && (each.entity === undefined || each.entity === path)
    )
    if (fault === undefined) return undefined
    if (--fault.times === 0) this.pending = this.pending.filter((each) => each !== fault)
    return fault.error
  }
}
