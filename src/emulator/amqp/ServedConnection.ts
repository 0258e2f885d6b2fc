/**
 * What the links, nodes and idle rules of the broker know of the connection that they belong to, of its server and of its
 * namespace: the contracts that AmqpConnection, AmqpServer and Namespace fulfil.
 *
 * There are two clocks. The server's is that of the wire: handshakes, heartbeats, idle links, expiry of tokens, and how long
 * a peer waits for a session. The namespace's is that of what is stored: locks, schedules, times to live.
 */
import type * as Clock from "effect/Clock"
import type * as Result from "effect/Result"
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import type { DataPlane } from "../../internal/amqp/engine/DataPlane.ts"
import type { Dispatcher } from "../../internal/amqp/engine/Dispatcher.ts"
import type { RheaConnection, RheaLink, RheaSession } from "../../internal/amqp/engine/rhea.ts"
import type { Broker } from "../broker/Broker.ts"
import type { DeadlineTimer } from "../broker/DeadlineTimer.ts"
import type * as Authorization from "../security/Authorization.ts"
import type { Use } from "../security/IdentityProvider.ts"
import type { Admission } from "./Admission.ts"
import type { Conditions } from "./Conditions.ts"
import type { Faults } from "./Faults.ts"
import type { Timeout } from "./Timeout.ts"

/** What the broker ends when nothing happens, in milliseconds. */
export interface IdleLimits {
  /** How long a link may go without a transfer, flow or disposition. */
  readonly link: number
  /** How long a connection may go without links. */
  readonly connection: number
}

/** What a server is made of. */
export interface ServerOptions {
  readonly dispatcher: Dispatcher
  readonly clock: Clock.Clock
  /** The name of its container. */
  readonly host: string
  readonly deadlines: DeadlineTimer<Timeout>
  readonly idle: IdleLimits
  readonly admission: Admission
  /** Has what has changed be kept; false where it cannot be, and nothing may be told of it. Undefined where nothing is kept. */
  readonly commit?: (() => boolean) | undefined
}

/** What the connections of a server share. */
export interface Server {
  readonly options: ServerOptions
  readonly namespaces: ServedNamespaces
}

/** Why a peer is given no namespace; `text` says what to do. */
export type NamespaceRefusal =
  | { readonly _tag: "Token"; readonly problem: Authorization.TokenProblem }
  | { readonly _tag: "Name"; readonly text: string }
  | { readonly _tag: "Quota"; readonly text: string }
  | { readonly _tag: "Stopped"; readonly text: string }

/** The namespaces of a server, as its connections see them. */
export interface ServedNamespaces {
  /** That of peers that name no other. */
  readonly first: ServedNamespace
  /** Whether there is that one alone, and others do not come by use: every connection is of it from the beginning. */
  readonly isAlone: boolean
  /**
   * The namespace that a peer means by the host that it names and by its credential, which is made where it is not there and the
   * credential may. `current` is that of the connection, if it is of one. The credential is not checked otherwise.
   */
  find(
    host: string | undefined,
    credential: Authorization.Credential,
    current?: ServedNamespace
  ): Result.Result<ServedNamespace, NamespaceRefusal>
}

/** What the connections of a namespace share. */
export interface ServedNamespace {
  readonly name: string
  /** Whether it was removed: nothing is of it any more. */
  readonly isRemoved: boolean
  readonly broker: Broker
  readonly clock: Clock.Clock
  /** Those of the namespace. */
  readonly policies: ReadonlyArray<Authorization.Policy>
  /** The name by which it speaks of itself. */
  readonly host: string
  readonly conditions: Conditions
  /** What was asked for to go wrong. */
  readonly faults: Faults
  /** Those that are served for it. */
  readonly connections: ReadonlySet<ServedConnection>
  /** A connection is of this namespace from now on, until it leaves. */
  join(connection: ServedConnection): void
  leave(connection: ServedConnection): void
  /** Whether a host in a token means this namespace; `called` is the host that the peer opened or asked. */
  isOurs(host: string, called: string | undefined): boolean
  /** Those of the entities that a SAS token is for, made over HTTP. */
  entityPolicies(token: string): ReadonlyArray<Authorization.Policy>
  /** Checks a token of an identity, and gives the claim. */
  checkToken(token: string, use: Use): Result.Result<Authorization.Claim, Authorization.TokenProblem>
}

/** How many links a connection has, by what its peer does on them. */
export const linkCounts = (
  { links }: ServedConnection
): { readonly senders: number; readonly receivers: number } => {
  let senders = 0
  for (const link of links.keys()) if (link.is_receiver()) senders += 1
  return { senders, receivers: links.size - senders }
}

/** What is told of traffic, for the idle rules. */
export interface Activity {
  /** A token was put, or the peer has signed in with a key. */
  authorized(): void
  /** A link was attached. */
  watch(link: RheaLink): void
  /** A link has traffic, or will not be expected to have any until a time. */
  touch(link: RheaLink, at?: number): void
  /** A request has been made for a link, and names it. */
  touchNamed(name: string): void
}

/** A connection that the broker serves. */
export interface ServedConnection {
  readonly server: Server
  /** That which it is of; the first one as long as it is of none. */
  readonly namespace: ServedNamespace
  /** Whether it is known which namespace it is of. */
  readonly isPlaced: boolean
  /** When it was accepted, in milliseconds of the server's clock. */
  readonly acceptedAt: number
  readonly rhea: RheaConnection
  readonly plane: DataPlane
  readonly claims: Authorization.Claims
  readonly idle: Activity
  /** The sessions that are held, by the names of the links that hold them. */
  readonly heldSessions: Map<string, string>
  /** The links that are attached, by the address of their node as the peer wrote it. */
  readonly links: Map<RheaLink, string>
  /** It is of this namespace from now on. */
  place(namespace: ServedNamespace): void
  /** Destroys the socket, without a word to the peer. */
  drop(): void
  /** Closes the connection with an error that the peer is told; nothing more is handed to it. */
  close(error: AmqpError): void
  /** Ends a session with an error that the peer is told; nothing more is handed to its links. */
  endSession(session: RheaSession, error: AmqpError): void
  /** Detaches a link with an error that the peer is told; nothing more is handed to it. */
  detach(link: RheaLink, error: AmqpError): void
  /** Runs a function when the link, its session or its connection ends. */
  onEnd(link: RheaLink, finalizer: () => void): void
}
