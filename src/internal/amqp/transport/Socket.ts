/**
 * What the engine needs of a socket, and what ends it at once: a TCP or TLS socket of Node, a WebSocket, or two ends in
 * memory.
 */
export interface Socket {
  /** Its peer is in this process: what ends one end ends the other, and neither needs heartbeats to know. */
  readonly isLocal?: boolean | undefined
  on(event: string, listener: (...args: Array<any>) => void): unknown
  once(event: string, listener: (...args: Array<any>) => void): unknown
  removeListener(event: string, listener: (...args: Array<any>) => void): unknown
  removeAllListeners(event?: string): unknown
  write(bytes: Uint8Array): unknown
  end(): unknown
  destroy(): unknown
}

/** A socket that is another one. */
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
