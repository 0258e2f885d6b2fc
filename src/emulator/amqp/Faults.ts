/**
 * Errors that a test asked for: each is given to the next operations that it fits, as often as was asked. They belong to the
 * namespace, and apply to all of its connections.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"

/** What a test can have the broker refuse. */
export type FaultOperation =
  | "attach"
  | "send"
  | "settle"
  | "renew"
  | "delete"
  | "listSessions"
  | "request"
  | "putToken"
  | "administer"

/** An error that operations are to be refused with. */
interface Fault {
  /** In lower case; undefined for every entity. */
  readonly entity: string | undefined
  readonly operation: FaultOperation
  readonly error: AmqpError
  times: number
}

/** The faults that are still to be given. */
export class Faults {
  private pending: Array<Fault> = []

  add(fault: Fault): void {
    if (fault.times > 0) this.pending.push(fault)
  }

  /** The error that an operation is to be refused with, if any. */
  take(operation: FaultOperation, entity: string): AmqpError | undefined {
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
