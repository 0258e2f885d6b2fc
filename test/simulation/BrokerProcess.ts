/**
 * A broker with its state in a file, as a process that is killed and started again: its memory is gone, its connections are cut,
 * and a new broker opens what the file had at that moment. It is killed at a moment of its own work: right after a commit, or
 * right after bytes have left for a client, whichever comes so and so often from then on. What it does after that reaches nobody.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as ConnectionString from "../../src/ConnectionString.ts"
import { AmqpServer } from "../../src/emulator/amqp/AmqpServer.ts"
import * as MemorySocket from "../../src/emulator/amqp/MemorySocket.ts"
import * as Emulator from "../../src/emulator/Emulator.ts"
import * as MemoryHttpClient from "../../src/emulator/http/MemoryHttpClient.ts"
import { SqliteStore } from "../../src/emulator/store/SqliteStore.ts"
import type { Transport } from "../../src/internal/amqp/transport/Transport.ts"
import { ServiceBusCommunicationError } from "../../src/ServiceBusError.ts"
import type { History } from "./History.ts"
import { type HttpNetwork, lossOf } from "./HttpNetwork.ts"
import type { Journal } from "./Journal.ts"

type Controls = Emulator.Emulator["Service"]

export interface BrokerProcess {
  /** The controls of the broker that runs; what is asked of them while none does waits for it. */
  readonly emulator: Controls
  /** Reaches the broker that runs, without a network between. */
  readonly transport: Transport
  /** Kills it at the moment of its work that comes so many after the next; ends once it is killed. */
  readonly kill: (moments: number) => Effect.Effect<void>
  /** Starts it on what the file had, where it does not run. */
  readonly start: Effect.Effect<void>
}

/** A folder in memory, where there is one: what is on a disk is none of the simulation's. */
const folder = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "simulation-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
)

interface Wrapped {
  accept(socket: MemorySocket.MemorySocket): void
  commit(): boolean
}

/** Has methods of the broker call a function of their result, for as long as the scope is open. */
const following = <K extends keyof Wrapped>(
  prototype: object,
  name: K,
  then: (result: ReturnType<Wrapped[K]>, args: Parameters<Wrapped[K]>) => void
) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const of = prototype as unknown as Record<K, (...args: Array<unknown>) => unknown>
      const original = of[name]
      of[name] = function(this: unknown, ...args) {
        const result = original.apply(this, args)
        then(result as ReturnType<Wrapped[K]>, args as Parameters<Wrapped[K]>)
        return result
      }
      return () => {
        of[name] = original
      }
    }),
    (restore) => Effect.sync(restore)
  )

export const make = Effect.fnUntraced(function*({ entities, history, http, journal }: {
  readonly entities: ReadonlyArray<Emulator.Entity>
  readonly history: History
  readonly http: HttpNetwork
  readonly journal: Journal
}) {
  const files = yield* folder
  const clock = yield* Clock.Clock
  const now = (): number => clock.currentTimeMillisUnsafe()
  let life = 0
  const fileOf = (which: number): string => join(files, `${which}.db`)
  let current: { readonly controls: Controls; readonly scope: Scope.Closeable } | undefined
  let through: Transport | undefined
  let direct: HttpClient.HttpClient | undefined
  let isUp = false
  /** What it held when it was killed, and when that was, where the file has the same, and nothing was locked. */
  let held: { readonly dump: string; readonly at: number } | undefined
  const sockets = new Set<MemorySocket.MemorySocket>()
  const armed = new Set<{ left: number; readonly struck: () => void }>()
  const waiting = new Set<() => void>()

  const strike = (isAfterCommit: boolean): void => {
    isUp = false
    held = isAfterCommit && journal.locks() === 0
      ? { dump: JSON.stringify(Effect.runSync(current!.controls.dump()), undefined, 1), at: now() }
      : undefined
    for (const end of ["", "-wal"]) {
      if (existsSync(fileOf(life) + end)) copyFileSync(fileOf(life) + end, fileOf(life + 1) + end)
    }
    life++
    journal.killed()
    for (const socket of sockets) {
      socket.write = () => false
      socket.destroy(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }))
    }
    sockets.clear()
  }
  /** Something has been done by which a broker that is killed now would be known. */
  const moment = (isAfterCommit: boolean): void => {
    if (!isUp) return
    for (const kill of armed) {
      if (kill.left-- > 0) continue
      armed.delete(kill)
      strike(isAfterCommit)
      return kill.struck()
    }
  }
  yield* following(SqliteStore.prototype, "commit", (isKept) => {
    if (!isUp || !isKept) return
    journal.kept()
    moment(true)
  })
  yield* following(AmqpServer.prototype, "accept", (_, [socket]) => {
    if (!isUp) return
    sockets.add(socket)
    const { write } = socket
    socket.write = (bytes) => {
      const isTaken = write.call(socket, bytes)
      moment(false)
      return isTaken
    }
  })

  const start: Effect.Effect<void> = Effect.uninterruptible(Effect.gen(function*() {
    if (isUp) return
    if (current !== undefined) yield* Scope.close(current.scope, Exit.void)
    const scope = yield* Scope.make()
    const isFirst = life === 0
    journal.opens()
    // What it was declared with is in the file.
    const built = yield* Layer.build(
      Emulator.layer({ entities: isFirst ? entities : [], data: fileOf(life) })
    ).pipe(
      Effect.provideService(MemorySocket.Network, (transport) => through = transport),
      Effect.provideService(MemoryHttpClient.Network, (client) => direct = client),
      Scope.provide(scope),
      Effect.orDie
    )
    journal.kept()
    current = { controls: Context.get(built, Emulator.Emulator), scope }
    // Later it may be another: what was due is done.
    if (held?.at === now()) {
      const after = JSON.stringify(yield* Effect.orDie(current.controls.dump()), undefined, 1)
      if (after !== held.dump) history.add({ kind: "altered", before: held.dump, after })
    }
    isUp = true
    for (const go of [...waiting]) go()
  }))
  const running = Effect.callback<void>((resume) => {
    if (isUp) return resume(Effect.void)
    const go = () => {
      waiting.delete(go)
      resume(Effect.void)
    }
    waiting.add(go)
    return Effect.sync(() => waiting.delete(go))
  })
  /** An effect of whatever broker runs: of one that is killed meanwhile nobody knows what came of it. */
  const ofRunning = (make: () => Effect.Effect<unknown, unknown>): Effect.Effect<unknown, unknown> =>
    Effect.flatMap(running, () => {
      const before = life
      return Effect.flatMap(make(), (value) => life === before ? Effect.succeed(value) : Effect.interrupt)
    })

  yield* Effect.addFinalizer(() => current === undefined ? Effect.void : Scope.close(current.scope, Exit.void))
  yield* start
  const first = current!.controls
  const httpClient = http.over(HttpClient.make((request) =>
    Effect.suspend(() => {
      if (!isUp) return lossOf(request, "ECONNREFUSED")
      const before = life
      return Effect.flatMap(direct!.execute(request), (response) => {
        if (life !== before) return lossOf(request)
        // It has left, and so it comes.
        moment(false)
        return Effect.succeed(response)
      })
    })
  ))
  const emulator = new Proxy(first, {
    get: (_, name) => {
      if (name === "httpClient") return httpClient
      const read = (): unknown => Reflect.get(current!.controls, name)
      const value = read()
      if (Effect.isEffect(value)) return ofRunning(() => read() as Effect.Effect<unknown, unknown>)
      return typeof value === "function"
        ? (...args: Array<unknown>) =>
          ofRunning(() => (read() as (...args: Array<unknown>) => Effect.Effect<unknown, unknown>)(...args))
        : value
    }
  })
  return {
    emulator,
    transport: {
      connect: (endpoint) =>
        Effect.suspend(() =>
          isUp
            ? through!.connect(endpoint)
            : Effect.fail(
              new ServiceBusCommunicationError({ operation: "connect", description: "the broker was killed" })
            )
        )
    },
    kill: (moments) =>
      Effect.andThen(
        running,
        Effect.callback<void>((resume) => {
          const kill = { left: moments, struck: () => resume(Effect.void) }
          armed.add(kill)
          return Effect.sync(() => armed.delete(kill))
        })
      ),
    start
  } satisfies BrokerProcess
})

/** What clients connect with, whichever broker runs: the file has its key. */
export const connectionStringOf = ({ emulator }: BrokerProcess) =>
  Effect.orDie(ConnectionString.parse(emulator.connectionString))
