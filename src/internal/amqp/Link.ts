/**
 * AMQP sessions and links as scoped resources. Every link of the client has a session of its own, so that no link waits
 * for another's window; only the two links of requests and responses share one.
 *
 * A link dies once: by a detach of the peer, with its session or with its connection. Attaching succeeds only when the
 * peer has accepted the link: a refusal is an attach without terminus, followed by a detach that says why.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type * as E from "../../ServiceBusError.ts"
import { OperationTimeoutError, ServiceBusConnectionError } from "../../ServiceBusError.ts"
import * as errorMap from "../errorMap.ts"
import { awaitClose, type Connection, orDeath } from "./Connection.ts"
import * as ClientEndpoints from "./engine/ClientEndpoints.ts"
import type { LinkPlane } from "./engine/LinkPlane.ts"
import type { RheaError, RheaLink, RheaSession } from "./engine/rhea.ts"
import type { SessionPlane } from "./engine/SessionPlane.ts"

export interface Session {
  readonly connection: Connection
  readonly rhea: RheaSession
  readonly plane: SessionPlane
  readonly linkMaker: ClientEndpoints.LinkMaker
  /** Runs a function when the session ends; gives the function that removes it. */
  readonly onEnd: (hook: () => void) => () => void
}

export interface Link {
  readonly connection: Connection
  readonly rhea: RheaLink
  readonly plane: LinkPlane
  readonly session: SessionPlane
  readonly entity: string
  /** The name of the sender or receiver whose link it is; requests and responses have none. */
  readonly identifier: string | undefined
  /** The name by which both peers know the link. */
  readonly name: string
  /** Why the link is dead; undefined while it lives. */
  readonly dead: () => E.Any | undefined
  readonly onDeath: (hook: (death: E.Any) => void) => () => void
  /** Lets the peer send `credit` deliveries more; a dead link takes none. */
  readonly addCredit: (credit: number) => void
}

/** What errors of an operation on a link say of it. */
export const contextOf = ({ entity, identifier }: Link, operation: string) => ({
  entity,
  ...(identifier === undefined ? {} : { identifier }),
  operation
})

/** Closes what is open on the peer's side, unless the connection is dead. */
const closeWithPeer = (connection: Connection, effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.suspend(() => connection.dead() === undefined ? awaitClose(connection, effect) : Effect.void)

/** Begins a session; `timeout` is in milliseconds. */
export const session = (
  connection: Connection,
  timeout: number
): Effect.Effect<Session, E.ConnectError, Scope.Scope> =>
  // What was begun is ended, also where an interruption comes between the answer and its reception.
  Effect.uninterruptibleMask((restore) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const dead = connection.dead()
        if (dead !== undefined) return Effect.fail(dead)
        const rhea = connection.rhea.create_session()
        const { channelMax } = connection.plane
        if (rhea.local.channel > channelMax) {
          rhea.remove()
          return Effect.fail(errorMap.tooManyLinks(channelMax))
        }
        const linkMaker = ClientEndpoints.linkMakerOf(connection.promised, rhea)
        const onEnd = endOf(rhea)
        const answersBefore = connection.answers()
        return restore(
          orDeath(connection, ClientEndpoints.awaitEvent(rhea, "session_open", () => rhea.begin())).pipe(
            Effect.timeoutOrElse({
              duration: timeout,
              orElse: () => {
                connection.probeUnlessAnswered(answersBefore)
                return Effect.fail(unanswered("begin", timeout))
              }
            })
          )
        ).pipe(
          Effect.map(() => ({ connection, rhea, linkMaker, plane: connection.plane.of(rhea), onEnd })),
          Effect.onExit((exit) =>
            Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => ClientEndpoints.abandonSession(rhea))
          )
        )
      }),
      ({ rhea }) =>
        closeWithPeer(
          connection,
          Effect.suspend(() =>
            rhea.is_open()
              ? ClientEndpoints.awaitEvent(rhea, "session_close", () => ClientEndpoints.closeIfOpen(rhea))
              : Effect.void
          )
        )
    )
  )

/** Informs all links of a session of its end by one listener: the number of listeners does not grow with the links. */
const endOf = (rhea: RheaSession): Session["onEnd"] => {
  const hooks = new Set<() => void>()
  const ended = () => {
    for (const hook of [...hooks]) hook()
  }
  rhea.on("session_error", ended)
  rhea.on("session_close", ended)
  return (hook) => {
    hooks.add(hook)
    return () => {
      hooks.delete(hook)
    }
  }
}

const unanswered = (operation: string, timeout: number, entity?: string): OperationTimeoutError =>
  new OperationTimeoutError({
    operation,
    outcome: "notSent",
    description: `the peer did not answer within ${timeout} ms`,
    ...(entity === undefined ? {} : { entity })
  })

interface AttachOptions extends Omit<ClientEndpoints.LinkOptions, "name"> {
  /** Milliseconds. */
  readonly timeout: number
  readonly entity: string
  /** The name of its sender or receiver, which is the address of the terminus that is not the node. */
  readonly identifier?: string | undefined
}

export const attach = (
  session: Session,
  options: AttachOptions
): Effect.Effect<Link, E.AttachError, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) => Effect.acquireRelease(open(session, options, restore), close))

const open = (
  session: Session,
  options: AttachOptions,
  restore: <A, Err, R>(effect: Effect.Effect<A, Err, R>) => Effect.Effect<A, Err, R>
): Effect.Effect<OpenLink, E.AttachError> =>
  Effect.suspend(() => {
    const answersBefore = session.connection.answers()
    const link = new OpenLink(session, options)
    return restore(
      orDeath(session.connection, link.attached).pipe(
        Effect.timeoutOrElse({
          duration: options.timeout,
          orElse: () => {
            session.connection.probeUnlessAnswered(answersBefore)
            return Effect.fail(unanswered("attach", options.timeout, options.entity))
          }
        })
      )
    ).pipe(
      Effect.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : Effect.sync(() => link.abandon()))
    )
  })

const close = (link: OpenLink): Effect.Effect<void> =>
  closeWithPeer(
    link.connection,
    Effect.suspend(() => {
      if (!link.rhea.is_open() || link.dead() !== undefined) return Effect.void
      link.isClosing = true
      // The end of its session answers, too: no detach comes after it.
      return Effect.callback<void>((resume) => {
        const off = link.onDeath(() => resume(Effect.void))
        if (link.dead() === undefined) ClientEndpoints.closeIfOpen(link.rhea)
        return Effect.sync(off)
      })
    })
  ).pipe(Effect.andThen(Effect.sync(() => link.release())))

class OpenLink implements Link {
  readonly connection: Connection
  readonly rhea: RheaLink
  readonly plane: LinkPlane
  readonly session: SessionPlane
  readonly entity: string
  readonly identifier: string | undefined
  readonly kind: "sender" | "receiver"
  readonly name: string
  private death: E.Any | undefined
  /** It is being detached from here: what the peer says of that is no loss. */
  isClosing = false
  private isReleased = false
  private readonly hooks = new Set<(death: E.Any) => void>()
  private readonly off: Array<() => void> = []
  private readonly abort = new AbortController()
  /** Completes when the peer has taken the link; fails with its reason when it refuses. */
  readonly attached: Effect.Effect<OpenLink, E.AttachError>

  constructor(session: Session, options: AttachOptions) {
    this.connection = session.connection
    this.session = session.plane
    this.entity = options.entity
    this.identifier = options.identifier
    this.kind = options.role
    this.name = `${options.entity}-${randomUUID()}`
    this.rhea = ClientEndpoints.makeLink(
      session.linkMaker,
      session.rhea,
      { ...options, local: options.local ?? options.identifier, name: this.name },
      this.abort.signal
    )
    this.plane = session.plane.of(this.rhea)
    this.listen(this.rhea, `${this.kind}_error`, () => this.die(this.rhea.error))
    this.listen(this.rhea, `${this.kind}_close`, () => this.die(this.rhea.error))
    this.off.push(session.onEnd(() => this.ended(session.rhea.error)))
    this.off.push(session.connection.onDeath((death) => this.dieOf(death)))

    this.attached = Effect.callback((resume) => {
      const off = this.onDeath((death) => resume(Effect.fail(errorMap.attachError(death))))
      const opened = () => {
        // A refusal's detach comes in the same read as its attach: look once the read is over.
        this.connection.dispatcher.schedule(() => {
          if (this.death === undefined && ClientEndpoints.isAccepted(this.rhea)) resume(Effect.succeed(this))
        })
      }
      // The attach was written when the link was made: a fiber that yielded since finds the answer here already.
      if (this.rhea.is_open()) opened()
      else this.rhea.once(`${this.kind}_open`, opened)
      return Effect.sync(() => {
        off()
        this.rhea.removeListener(`${this.kind}_open`, opened)
      })
    })
  }

  private listen(emitter: RheaLink, event: string, listener: () => void): void {
    emitter.on(event, listener)
    this.off.push(() => {
      emitter.removeListener(event, listener)
    })
  }

  private die(error: RheaError | undefined): void {
    if (this.death !== undefined) return
    if (this.isClosing) return this.dieOf(this.closed())
    this.dieOf(
      error?.condition === undefined
        ? new ServiceBusConnectionError({ entity: this.entity, description: "the peer detached the link" })
        : errorMap.fromCondition(
          { condition: error.condition, description: error.description },
          { entity: this.entity }
        )
    )
  }

  /** Its session was ended. */
  private ended(error: RheaError | undefined): void {
    const { condition, description } = error ?? {}
    this.dieOf(
      condition === undefined
        ? new ServiceBusConnectionError({ entity: this.entity, description: "the peer ended the session" })
        : errorMap.endedByPeer({ condition, description }, { entity: this.entity })
    )
  }

  private dieOf(death: E.Any): void {
    if (this.death !== undefined) return
    this.death = death
    for (const hook of [...this.hooks]) hook(death)
    this.hooks.clear()
  }

  dead(): E.Any | undefined {
    if (this.isReleased) {
      // Made on demand: it is rarely asked for, and an error with its stack is expensive.
      this.death ??= this.closed()
    }
    return this.death
  }

  private closed(): ServiceBusConnectionError {
    return new ServiceBusConnectionError({ entity: this.entity, description: "the link is closed", isClosed: true })
  }

  addCredit(credit: number): void {
    if (this.death === undefined && !this.isReleased) this.rhea.add_credit(credit)
  }

  onDeath(hook: (death: E.Any) => void): () => void {
    const death = this.dead()
    if (death !== undefined) {
      hook(death)
      return () => {}
    }
    this.hooks.add(hook)
    return () => {
      this.hooks.delete(hook)
    }
  }

  /** Gives up a link that is not attached yet: the peer's late answer is closed by rhea-promise. */
  abandon(): void {
    this.release()
  }

  /** Nothing of the link is used any more. */
  release(): void {
    // rhea-promise waits, under a timer, for the first credit of a sender: a connection that dies may give none.
    this.abort.abort()
    for (const off of this.off) off()
    this.off.length = 0
    this.isReleased = true
    for (const hook of [...this.hooks]) hook(this.dead()!)
    this.hooks.clear()
    this.session.forgetLink(this.plane)
  }
}
