/**
 * What the engine needs of a socket, and what ends it at once: a TCP or TLS socket of Node, a WebSocket, or two ends in
 * memory.
 *
 * A file of its own because it stands below all of these and below what wraps one.
 */

/** The events of a socket, and their listeners. */
export interface SocketEvents {
  readonly data: (bytes: Buffer) => void
  /** The peer sends nothing more. */
  readonly end: () => void
  readonly close: () => void
  readonly error: (error: Error) => void
}

export interface Socket {
  /** Its peer is in this process: what ends one end ends the other, and neither needs heartbeats to know. */
  readonly isLocal?: boolean | undefined
  on<E extends keyof SocketEvents>(event: E, listener: SocketEvents[E]): unknown
  once<E extends keyof SocketEvents>(event: E, listener: SocketEvents[E]): unknown
  removeListener<E extends keyof SocketEvents>(event: E, listener: SocketEvents[E]): unknown
  removeAllListeners(event?: keyof SocketEvents): unknown
  write(bytes: Uint8Array): unknown
  end(): unknown
  destroy(): unknown
}

/** A socket that passes everything on to another one: what a wrapper changes is put over it. */
export const passing = (socket: Socket): Socket => ({
  isLocal: socket.isLocal,
  on: (event, listener) => socket.on(event, listener),
  once: (event, listener) => socket.once(event, listener),
  removeListener: (event, listener) => socket.removeListener(event, listener),
  removeAllListeners: (event) => socket.removeAllListeners(event),
  write: (bytes) => socket.write(bytes),
  end: () => socket.end(),
  destroy: () => socket.destroy()
})
