/**
 * AMQP over WebSocket (AMQP WebSocket binding; Service Bus protocol guide): a WebSocket as the socket that the engine
 * knows. The stream's bytes go in binary messages, whose boundaries mean nothing.
 */
import type { RawData, WebSocket } from "ws"
import type { Socket, SocketEvents } from "./Socket.ts"

export const path = "/$servicebus/websocket"

export const protocol = "AMQPWSB10"

/** The subprotocols that clients offer (.NET 7.21: the second). */
export const protocols: ReadonlyArray<string> = [protocol, "amqp"]

/** Whether a request is for the path: .NET, Rust and Python's uamqp write a slash at its end. */
export const isPath = (url: string): boolean => {
  const asked = url.split("?", 1)[0]!
  return asked === path || asked === `${path}/`
}

/** A peer may limit its messages; none limits them below a frame. */
const largestMessage = 65536

const bytesOf = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)

type Listener = (argument: unknown) => void

/** The event of a WebSocket for each of a socket's, and its listener. */
const events: {
  readonly [E in keyof SocketEvents]: readonly [name: string, adapt: (listener: SocketEvents[E]) => Listener]
} = {
  data: ["message", (listener) => (data) => listener(bytesOf(data as RawData))],
  end: ["close", (listener) => () => listener()],
  close: ["close", (listener) => () => listener()],
  error: ["error", (listener) => (error) => listener(error as Error)]
}

export const socketOf = (socket: WebSocket): Socket => {
  const listeners = new Map<string, Array<readonly [given: unknown, adapted: Listener]>>()
  const on = <E extends keyof SocketEvents>(event: E, listener: SocketEvents[E], once: boolean): void => {
    // The engine listens for other events too, which no WebSocket has.
    if (!(event in events)) return
    const [name, adapt] = events[event]
    const adapted = adapt(listener)
    const all = listeners.get(event) ?? []
    all.push([listener, adapted])
    listeners.set(event, all)
    if (once) socket.once(name, adapted)
    else socket.on(name, adapted)
  }
  const remove = (event: keyof SocketEvents, listener: unknown): void => {
    for (const [given, adapted] of listeners.get(event) ?? []) {
      if (given === listener) socket.removeListener(events[event][0], adapted)
    }
  }
  // An error without a listener would end the process.
  socket.on("error", () => {})
  return {
    on: (event, listener) => on(event, listener, false),
    once: (event, listener) => on(event, listener, true),
    removeListener: remove,
    removeAllListeners: (event) => {
      if (event === undefined) return
      for (const [, adapted] of listeners.get(event) ?? []) socket.removeListener(events[event][0], adapted)
      listeners.delete(event)
    },
    write: (bytes) => {
      for (let at = 0; at < bytes.length && socket.readyState === socket.OPEN; at += largestMessage) {
        socket.send(bytes.subarray(at, at + largestMessage), { binary: true })
      }
    },
    end: () => socket.close(),
    destroy: () => socket.terminate()
  }
}
