/**
 * AMQP over WebSocket (AMQP WebSocket binding; Service Bus protocol guide): a WebSocket as the socket that the engine
 * knows. The stream's bytes go in binary messages, whose limits mean nothing.
 */
import type { RawData, WebSocket } from "ws"
import type { Socket } from "./Socket.ts"

export const path = "/$servicebus/websocket"

export const protocol = "AMQPWSB10"

/** What clients ask for (.NET 7.21: the second). */
export const protocols: ReadonlyArray<string> = [protocol, "amqp"]

/** Whether a request is for the path: .NET, Rust and Python's uamqp write a slash at its end. */
export const isPath = (url: string): boolean => {
  const asked = url.split("?", 1)[0]!
  return asked === path || asked === `${path}/`
}

/** A peer may bound its messages; none bounds them below a frame. */
const largestMessage = 65536

const bytesOf = (data: RawData): Buffer =>
  Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)

export const socketOf = (socket: WebSocket): Socket => {
  const listeners = new Map<string, Array<readonly [(...args: Array<any>) => void, (...args: Array<any>) => void]>>()
  /** What the engine listens for, by the names that WebSocket has for it. */
  const events: Record<
    string,
    readonly [string, (listener: (...args: Array<any>) => void) => (...args: Array<any>) => void]
  > = {
    data: ["message", (listener) => (data: RawData) => listener(bytesOf(data))],
    end: ["close", (listener) => () => listener()],
    close: ["close", (listener) => () => listener()],
    error: ["error", (listener) => listener]
  }
  const on = (event: string, listener: (...args: Array<any>) => void, once: boolean): void => {
    const known = events[event]
    if (known === undefined) return
    const [name, wrap] = known
    const wrapped = wrap(listener)
    const all = listeners.get(event) ?? []
    all.push([listener, wrapped])
    listeners.set(event, all)
    if (once) socket.once(name, wrapped)
    else socket.on(name, wrapped)
  }
  const remove = (event: string, listener: (...args: Array<any>) => void): void => {
    for (const [given, wrapped] of listeners.get(event) ?? []) {
      if (given === listener) socket.removeListener(events[event]![0], wrapped)
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
      for (const [, wrapped] of listeners.get(event) ?? []) socket.removeListener(events[event]![0], wrapped)
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
