/**
 * The AMQP server of the embedded broker: a socket becomes a connection of rhea's server side under the same data plane as
 * the client's, and its links become consumers and senders of the broker's queues.
 *
 * The server owns its connections and the faults that a test asked for. Claims alone decide what a peer may do: LinkAttach checks
 * them for links, Operations for requests.
 */
import type { AmqpError } from "../../internal/amqp/codec/Outcome.ts"
import { rhea, type RheaContainer, type RheaLink } from "../../internal/amqp/engine/rhea.ts"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import type { Detachment } from "../broker/Broker.ts"
import { AmqpConnection } from "./AmqpConnection.ts"
import { Conditions } from "./Conditions.ts"
import { type FaultOperation, Faults } from "./Faults.ts"
import * as NodeAddress from "./NodeAddress.ts"
import type { ServedConnection, Server, ServerOptions } from "./ServedConnection.ts"
import { timeout } from "./Timeout.ts"

/** How long what comes for a deleted entity is answered before its link is detached, in milliseconds. */
const farewell = 1_000

/** Accepts sockets and serves them. */
export class AmqpServer implements Server {
  readonly options: ServerOptions
  readonly conditions: Conditions
  readonly faults = new Faults()
  readonly connections = new Set<AmqpConnection>()
  private readonly container: RheaContainer

  constructor(options: ServerOptions) {
    this.options = options
    this.conditions = new Conditions(options.host, () => options.clock.currentTimeMillisUnsafe())
    this.container = rhea.create_container({ id: options.host })
    options.broker.onDetach((detachment) => this.detachLinks(detachment))
    // rhea throws or prints what has no listener.
    for (
      const event of [
        "error",
        "protocol_error",
        "connection_error",
        "connection_close",
        "session_error",
        "session_close",
        "sender_error",
        "sender_close",
        "receiver_error",
        "receiver_close",
        "disconnected"
      ]
    ) this.container.on(event, () => {})
  }

  fault(operation: FaultOperation, entity: string): AmqpError | undefined {
    const error = this.faults.take(operation, entity)
    return error === undefined ? undefined : this.conditions.injected(error, entity)
  }

  /** Ends links of an entity that is deleted, or whose settings have changed. */
  private detachLinks({ links, path, refusal }: Detachment): void {
    for (const connection of [...this.connections]) {
      for (const [link, address] of [...connection.links]) {
        const isReceiver = NodeAddress.parse(address).kind === "entity" && !link.is_receiver()
        const isMeant = links === "all" || isReceiver
        if (!isMeant || !NodeAddress.belongs(address, path, links !== "ownReceivers")) continue
        const error = refusal === undefined
          ? this.conditions.changed(link.name)
          : this.conditions.of(refusal)
        if (links === "all" && !isReceiver) this.detachLater(connection, link, address, error)
        else connection.detach(link, error)
      }
    }
  }

  /**
   * A link on which messages or requests may be on their way: they are rejected, where a detached link would answer nothing. It
   * stays where the entity is there again by then, and serves that one.
   */
  private detachLater(connection: ServedConnection, link: RheaLink, address: string, error: AmqpError): void {
    const { broker, clock, deadlines } = this.options
    const end = timeout(() => {
      if (broker.queue(NodeAddress.parse(address).path) === undefined) connection.detach(link, error)
    })
    deadlines.set(end, clock.currentTimeMillisUnsafe() + farewell)
    connection.onEnd(link, () => deadlines.clear(end))
  }

  /** Destroys every connection. */
  dropAll(): void {
    for (const connection of [...this.connections]) connection.drop()
  }

  /** Serves a socket until it closes; closes it at once where too many sockets are in their handshakes. */
  accept(socket: Socket): void {
    const admitted = this.options.admission.begin()
    if (admitted === undefined) return void socket.destroy()
    const connection: AmqpConnection = new AmqpConnection(
      this,
      this.container,
      socket,
      admitted,
      (ended) => this.connections.delete(ended)
    )
    this.connections.add(connection)
  }
}
