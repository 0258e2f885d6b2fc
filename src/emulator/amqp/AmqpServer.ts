/**
 * The AMQP server of the embedded broker: a socket becomes a connection of rhea's server side under the same data plane as
 * the client's, and its links become consumers and senders of the queues of a namespace.
 *
 * The server owns its connections. Claims alone decide what a peer may do: LinkAttach checks them for links, Operations for
 * requests.
 */
import { rhea, type RheaContainer } from "../../internal/amqp/engine/rhea.ts"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import { AmqpConnection } from "./AmqpConnection.ts"
import type { ServedNamespaces, Server, ServerOptions } from "./ServedConnection.ts"

/** Accepts sockets and serves them. */
export class AmqpServer implements Server {
  readonly options: ServerOptions
  readonly connections = new Set<AmqpConnection>()
  readonly namespaces: ServedNamespaces
  private readonly container: RheaContainer

  constructor(options: ServerOptions, namespaces: ServedNamespaces) {
    this.options = options
    this.namespaces = namespaces
    this.container = rhea.create_container({ id: options.host })
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
