/** A proxy before the broker that falls silent when it is told to, and a client that goes through it. */
import { ConnectionString, ServiceBusClient } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as net from "node:net"

interface Proxy {
  readonly port: number
  /** How often the client has written. */
  readonly writes: () => number
  /** From now on nothing passes, in either direction, and neither end is told. */
  readonly freeze: () => void
  /** Half of what comes next from the broker passes, and then nothing any more. */
  readonly halve: () => void
  /** From now on nothing passes in one direction: to the broker, or from it; its heartbeats are made up. */
  readonly vanish: (direction: "up" | "down") => void
  /** New connections pass again; what was frozen stays so. */
  readonly thaw: () => void
}

const heartbeat = Buffer.from([0, 0, 0, 8, 2, 0, 0, 0])

/** Has virtual time pass, where there is one. */
const minutes = Effect.gen(function*() {
  if (!("adjust" in (yield* Clock.Clock))) return
  for (let seconds = 0; seconds < 600; seconds++) {
    yield* TestClock.adjust("1 second")
    yield* Effect.callback<void>((resume) => {
      setImmediate(() => resume(Effect.void))
    })
  }
})

/** Stands before the broker and falls silent after so many writes of the client. */
export const proxy = (target: number, after = Infinity) =>
  Effect.acquireRelease(
    Effect.callback<Proxy & { readonly close: () => void }>((resume) => {
      const sockets = new Set<net.Socket>()
      let writes = 0
      let wire = { frozen: false, halved: false, up: false, down: false }
      const server = net.createServer((near) => {
        const mine = wire
        const far = net.connect({ host: "127.0.0.1", port: target })
        for (const socket of [near, far]) {
          sockets.add(socket)
          socket.setNoDelay(true)
          socket.on("error", () => {})
        }
        near.on("data", (bytes) => {
          if (++writes > after) mine.frozen = true
          if (!mine.frozen && !mine.up) far.write(bytes)
        })
        far.on("data", (bytes) => {
          if (mine.frozen) return
          if (mine.down) return void near.write(heartbeat)
          near.write(mine.halved ? bytes.subarray(0, bytes.length >> 1) : bytes)
          mine.frozen = mine.halved
        })
        near.on("close", () => far.destroy())
        far.on("close", () => {
          if (!mine.frozen) near.destroy()
        })
      })
      server.listen(0, "127.0.0.1", () =>
        resume(Effect.succeed({
          port: (server.address() as net.AddressInfo).port,
          writes: () => writes,
          freeze: () => {
            wire.frozen = true
          },
          halve: () => {
            wire.halved = true
          },
          thaw: () => {
            wire = { frozen: false, halved: false, up: false, down: false }
          },
          vanish: (direction) => {
            wire[direction] = true
          },
          close: () => {
            for (const socket of sockets) socket.destroy()
            server.close()
          }
        })))
    }),
    ({ close }) => Effect.sync(close)
  )

export const through = Effect.fnUntraced(function*<A, E, R>(
  proxy: Proxy,
  effect: Effect.Effect<A, E, R>,
  options: ServiceBusClient.CommonOptions = { operationTimeout: "1500 millis", retry: { maxRetries: 0 } }
) {
  const emulator = yield* Emulator.Emulator
  const parsed = yield* ConnectionString.parse(emulator.connectionString)
  const client = yield* ServiceBusClient.fromConnectionString({ ...parsed, port: proxy.port }, options)
  return yield* Effect.provideService(effect, ServiceBusClient.ServiceBusClient, client).pipe(
    // What failed is told once its client is closed, which waits for a peer that says nothing.
    Effect.tapCause(() => Effect.forkDetach(minutes))
  )
})
