/**
 * A connection that the door serves, as its nodes, links and idle rules know it.
 */
import type * as Clock from "effect/Clock"
import type * as Redacted from "effect/Redacted"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import type { DataPlane } from "../../internal/amqp/engine/DataPlane.ts"
import type { Dispatcher } from "../../internal/amqp/engine/Dispatcher.ts"
import type { RheaConnection, RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Broker } from "../broker/Broker.ts"
import { type Alarm, type Deadline, due } from "../broker/DeadlineTimer.ts"
import type * as Authorization from "../security/Authorization.ts"
import type { Admission } from "./Admission.ts"
import type { Refusals } from "./Conditions.ts"
import type { Operation } from "./Faults.ts"

/** What the broker ends when nothing happens, in milliseconds. */
export interface Limits {
  /** How long a link may go without a transfer, flow or disposition. */
  readonly link: number
  /** How long a connection may go without links. */
  readonly connection: number
}

export interface Options {
  readonly broker: Broker
  readonly dispatcher: Dispatcher
  readonly clock: Clock.Clock
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** Signs the tokens of the broker's own identity. */
  readonly identityKey: Redacted.Redacted<string>
  /** Under which name the namespace speaks of itself. */
  readonly host: string
  readonly alarm: Alarm<Timer>
  readonly idle: Limits
  readonly admission: Admission
}

/** Something of a connection that is due at a time. */
export interface Timer extends Deadline {
  readonly ring: () => void
}

/** What an alarm of timers does. One that ends a connection ends its other timers, also those due at the same instant. */
export const ring = (ended: ReadonlyArray<Timer>): void => {
  for (const timer of ended) if (timer.slot === due) timer.ring()
}

/** A timer that is not set yet. */
export const timer = (ring: () => void): Timer => ({ at: 0, slot: -1, ring })

export interface Served {
  readonly door: {
    readonly options: Options
    readonly refusals: Refusals
    /** The refusal that a test asked for, if any. */
    fault(operation: Operation, entity: string): AmqpError | undefined
  }
  readonly rhea: RheaConnection
  readonly plane: DataPlane
  readonly claims: Authorization.Claims
  /** The sessions that are held, by the names of the links that hold them. */
  readonly heldSessions: Map<string, string>
  /** Something was done on a link, given as itself or by its name. */
  readonly idle: { touch(link: RheaLink, at?: number): void; touchNamed(name: string): void }
  /** Closes the connection with an error that the peer is told; nothing more is handed to it. */
  close(error: AmqpError): void
  /** Detaches a link with an error that the peer is told; nothing more is handed to it. */
  detach(link: RheaLink, error: AmqpError): void
  /** Runs a function when the link or its connection ends. */
  onEnd(link: RheaLink, closer: () => void): void
}
