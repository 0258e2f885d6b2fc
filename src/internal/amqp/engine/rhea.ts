/**
 * The AMQP engine: rhea-promise and the rhea beneath it, and the parts of their objects that this library reads and
 * replaces, with a check at load that they are there. All of it comes by one static import of rhea-promise, which every
 * bundler follows, and rhea only through rhea-promise: a second rhea in the program cannot come between.
 */
// Named imports: what a default import of CommonJS gives differs between Node and bundlers.
import { Connection, Container, Session, types } from "rhea-promise"

/** A connection of rhea-promise. */
export interface PromisedConnection {
  readonly _connection: RheaConnection
  on(event: string, listener: () => void): unknown
}

/** rhea-promise. */
export const engine: {
  readonly Connection: new(options: object) => PromisedConnection
  readonly Session: new(connection: unknown, session: RheaSession) => {
    createSender(options: object): Promise<unknown>
    createReceiver(options: object): Promise<unknown>
  }
  // any: rhea-promise's own types leave out what is used here (`_connection`, a session over one of rhea's).
} = { Connection, Session } as any

/** The rhea of rhea-promise. */
export const rhea: {
  create_container(options: object): RheaContainer
  readonly types: {
    wrap_symbol(value: string): unknown
    wrap_ulong(value: number): unknown
    wrap_uint(value: number): unknown
    wrap_long(value: unknown): unknown
    wrap_described(value: unknown, descriptor: number): unknown
    wrap_string(value: string): unknown
    described_nc(descriptor: unknown, value: unknown): unknown
  }
  // any: `_container` is private in rhea-promise's types, and the types of `types` do not say how its functions are called.
} = { create_container: (options) => (new Container(options) as any)._container, types: types as any }

/** An error as it stands in a detach, an end or a close. */
export interface RheaError {
  readonly condition?: string | undefined
  readonly description?: string | undefined
  readonly info?: unknown
}

// any: rhea passes a context of another shape with each event, and no type of rhea's tells them apart by name.
type Listener = (context: any) => void

export interface Emitter {
  setMaxListeners(count: number): unknown
  on(event: string, listener: Listener): unknown
  once(event: string, listener: Listener): unknown
  removeListener(event: string, listener: Listener): unknown
}

export interface RheaContainer extends Emitter {
  create_connection(options: object): RheaConnection
}

/** The fields of a performative or a terminus, as rhea has decoded them. */
export interface Performative {
  // any: each field has a type of its own, which rhea does not declare; what is read is checked by the FrameGuard before.
  [field: string]: any
}

interface RheaFrame {
  readonly channel: number
  readonly performative: Performative
}

interface EndpointState {
  local_open: boolean
  remote_open: boolean
  open_requests: number
  close_requests: number
  need_open(): boolean
  need_close(): boolean
  has_settled(): boolean
}

interface RheaTransport {
  header_received: unknown
  read(bytes: Buffer): number
  write(socket: unknown): void
  encode(frame: RheaFrame): void
}

export interface RheaConnection extends Emitter {
  readonly options: { id: string }
  readonly container: unknown
  registered: boolean
  readonly state: EndpointState
  socket: { write(bytes: Uint8Array): unknown } | undefined
  amqp_transport: RheaTransport
  // any: rhea has no type for it; the broker sets one of its own there.
  sasl_transport: any
  readonly local: { open: Performative; close: Performative }
  readonly remote: { open?: Performative; close?: { error?: RheaError } }
  local_channel_map: Record<number, RheaSession>
  readonly remote_channel_map: Record<number, RheaSession>
  connect(): void
  open(): void
  accept(socket: unknown): void
  close(error?: RheaError): void
  is_open(): boolean
  _register(): void
  _process(): void
  _write_open(): void
  _write_close(): void
  _write_frame(channel: number, frame?: unknown): void
  on_open(frame: RheaFrame): void
  on_close(frame: RheaFrame): void
  create_session(buffer?: unknown): RheaSession
  remove_session(session: RheaSession): void
}

export interface RheaSession extends Emitter {
  readonly connection: RheaConnection
  readonly state: EndpointState
  readonly local: {
    channel: number
    handles: Record<number, RheaLink>
    readonly begin: Performative
    readonly end: Performative
  }
  readonly remote: { channel?: number; handles: Record<number, RheaLink>; end?: { error?: RheaError } }
  links: Record<string, RheaLink>
  readonly error: RheaError | undefined
  readonly outgoing: {
    next_delivery_id: number
    next_pending_delivery: number
    next_transfer_id: number
    remote_next_transfer_id: number | undefined
    remote_window: number | undefined
  }
  readonly incoming: { next_transfer_id: number; max_transfer_id: number; readonly window: number }
  begin(): void
  open(): void
  end(error?: RheaError): void
  close(error?: RheaError): void
  create_link(name: string, constructor: unknown, options: unknown): RheaLink
  remove(): void
  remove_link(link: RheaLink): void
  output(frame: unknown): void
  _process(): void
  _write_flow(link?: RheaLink): void
  is_open(): boolean
  on_attach(frame: RheaFrame): void
  on_detach(frame: RheaFrame): void
  on_end(frame: RheaFrame): void
  on_flow(frame: RheaFrame): void
}

export interface RheaLink extends Emitter {
  readonly name: string
  readonly session: RheaSession
  connection: Pick<RheaConnection, "options" | "container" | "_register">
  readonly state: EndpointState
  readonly local: { handle: number; readonly attach: Performative; readonly detach: Performative }
  readonly remote: { attach?: Performative; detach?: { closed?: boolean; error?: RheaError } }
  readonly error: RheaError | undefined
  credit: number
  delivery_count: number
  drain?: boolean
  issue_flow: boolean
  is_receiver(): boolean
  is_open(): boolean
  close(error?: RheaError): void
  remove(): void
  set_source(fields: object): void
  set_target(fields: object): void
  add_credit(credit: number): void
  drain_credit(): void
  dispatch(event: string, context: unknown): boolean
  _context(): unknown
  _process(): void
  _get_drain: () => boolean | undefined
  /** Of a sender: whether the peer drains it, and is not answered yet. */
  _draining?: boolean
  on_flow(frame: RheaFrame): void
}

/**
 * What the data plane leans on: refused at load, with a clear error, where a version of rhea lacks it, or where the
 * connections that rhea-promise makes are of another rhea than the broker's: a bundler can be told to do so.
 */
const probe = (): void => {
  const container = rhea.create_container({ id: "probe" })
  // any: it is looked at for what its type says, and its methods are replaced.
  const connection = container.create_connection({ reconnect: false }) as any
  const missing: Array<string> = []
  const promised = new engine.Connection({ reconnect: false })._connection
  if (promised?.constructor !== connection.constructor) missing.push("the connections of rhea-promise")
  // any: what is missing is missing from its type too.
  const need = (holder: any, name: string, path: string) => {
    if (holder?.[name] === undefined) missing.push(path)
  }
  for (
    const name of [
      "_register",
      "_process",
      "_write_open",
      "_write_close",
      "_write_frame",
      "on_open",
      "on_close",
      "create_session",
      "remove_session",
      "amqp_transport",
      "local_channel_map",
      "remote_channel_map"
    ]
  ) need(connection, name, `connection.${name}`)
  for (const name of ["read", "write", "encode"]) need(connection.amqp_transport, name, `transport.${name}`)
  // Registering would schedule a tick for a connection that is never used.
  connection._register = () => {}
  const session = connection.create_session()
  for (
    const name of [
      "begin",
      "open",
      "end",
      "close",
      "create_link",
      "on_attach",
      "on_detach",
      "on_end",
      "on_flow",
      "remove_link",
      "output",
      "_process",
      "_write_flow"
    ]
  ) need(session, name, `session.${name}`)
  for (const name of ["need_open", "need_close", "has_settled"]) need(session.state, name, `state.${name}`)
  for (const name of ["next_delivery_id", "next_pending_delivery", "next_transfer_id"]) {
    need(session.outgoing, name, `session.outgoing.${name}`)
  }
  for (const name of ["next_transfer_id", "max_transfer_id", "window"]) {
    need(session.incoming, name, `session.incoming.${name}`)
  }
  const link = session.create_sender("probe", {})
  for (
    const name of [
      "credit",
      "delivery_count",
      "local",
      "remote",
      "state",
      "set_source",
      "set_target",
      "on_flow",
      "dispatch",
      "connection",
      "_context",
      "_process",
      "_get_drain"
    ]
  ) need(link, name, `link.${name}`)
  if (missing.length > 0) {
    throw new Error(
      `effect-service-bus: the rhea that was loaded lacks ${
        missing.join(", ")
      }. The package brings rhea 3.0.5 and rhea-promise 3.0.3 in its own node_modules: nothing else may take their place.`
    )
  }
}

probe()
