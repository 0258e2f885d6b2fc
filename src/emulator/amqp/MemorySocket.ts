/**
 * A transport without a network: two ends that hand bytes to each other as tasks of the Scheduler, so that every hop
 * between a client and the broker is known to TestClock. Bytes arrive in order; destroying one end ends both.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Dispatcher } from "../../internal/amqp/engine/Dispatcher.ts"
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import type { Transport } from "../../internal/amqp/transport/Transport.ts"
import { ServiceBusCommunicationError } from "../../ServiceBusError.ts"

/** Each event has arguments of its own; those of `emit` are what its listeners take. */
type Listener = (...args: Array<never>) => void

/** One end. `data`, `end`, `error` and `close` come as they do from a socket of Node. */
export class MemorySocket implements Socket {
  peer!: MemorySocket
  readonly isLocal = true
  private destroyed = false
  private readonly listeners = new Map<string, Array<Listener>>()
  private readonly dispatcher: Dispatcher

  constructor(dispatcher: Dispatcher) {
    this.dispatcher = dispatcher
  }

  on(event: string, listener: Listener): this {
    const listeners = this.listeners.get(event)
    if (listeners === undefined) this.listeners.set(event, [listener])
    else listeners.push(listener)
    return this
  }

  once(event: string, listener: Listener): this {
    const once: Listener = (...args) => {
      this.removeListener(event, once)
      listener(...args)
    }
    return this.on(event, once)
  }

  removeListener(event: string, listener: Listener): this {
    const listeners = this.listeners.get(event)?.filter((other) => other !== listener)
    if (listeners !== undefined) this.listeners.set(event, listeners)
    return this
  }

  removeAllListeners(event?: string): this {
    if (event === undefined) this.listeners.clear()
    else this.listeners.delete(event)
    return this
  }

  private emit(event: string, ...args: Array<unknown>): void {
    for (const listener of [...(this.listeners.get(event) ?? [])]) listener(...args as Array<never>)
  }

  setNoDelay(): this {
    return this
  }

  write(bytes: Uint8Array): boolean {
    if (this.destroyed) return false
    this.dispatcher.schedule(() => {
      if (!this.peer.destroyed) this.peer.emit("data", bytes)
    })
    return true
  }

  end(): this {
    this.dispatcher.schedule(() => {
      if (!this.peer.destroyed) this.peer.emit("end")
    })
    return this
  }

  /** Ends both sides; with an error the peer sees it as a reset. */
  destroy(error?: Error): this {
    if (this.destroyed) return this
    this.destroyed = true
    this.dispatcher.schedule(() => {
      this.emit("close")
      if (this.peer.destroyed) return
      if (error !== undefined) this.peer.emit("error", error)
      else this.peer.emit("end")
      this.peer.destroy()
    })
    return this
  }
}

/** Two ends that are connected. */
const pair = (dispatcher: Dispatcher): readonly [MemorySocket, MemorySocket] => {
  const near = new MemorySocket(dispatcher)
  const far = new MemorySocket(dispatcher)
  near.peer = far
  far.peer = near
  return [near, far]
}

/** Connects to this broker, whatever the endpoint; refuses where `accept` does not take the socket. */
export const transport = (dispatcher: Dispatcher, accept: (socket: MemorySocket) => boolean): Transport => ({
  connect: (endpoint) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        const [near, far] = pair(dispatcher)
        if (accept(far)) return Effect.succeed(near)
        return Effect.fail(
          new ServiceBusCommunicationError({
            operation: "connect",
            description: `${endpoint.host} refuses: the broker is stopped`
          })
        )
      }),
      (socket) => Effect.sync(() => socket.destroy())
    )
})

/** What stands between a client and the broker in memory: nothing by default. The simulation puts a network of its own there. */
export const Network: Context.Reference<(transport: Transport) => Transport> = Context.Reference(
  "effect-service-bus/emulator/amqp/Network",
  { defaultValue: () => (transport) => transport }
)
