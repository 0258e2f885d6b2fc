/**
 * The embedded broker: Service Bus in this process, for tests and for running without Azure. It speaks the real protocol
 * (AMQP 1.0 with claims and management), in memory under the client's own code, or on a TCP port for anybody's SDK.
 *
 * Its time is Effect's Clock, so that TestClock drives locks, renewals and expiry. What it holds is gone with its scope.
 * Loopback only, unless told otherwise; SAS tokens are checked for real against a random key.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import * as net from "node:net"
import * as ConnectionString from "../ConnectionString.ts"
import { Sections } from "../internal/amqp/dataPlane/Sections.ts"
import { Writer } from "../internal/amqp/dataPlane/Writer.ts"
import * as Dispatcher from "../internal/amqp/Dispatcher.ts"
import * as Transport from "../internal/amqp/Transport.ts"
import { Destructive, encode } from "../internal/messageCodec.ts"
import type * as ServiceBusBody from "../ServiceBusBody.ts"
import * as ServiceBusClient from "../ServiceBusClient.ts"
import * as ServiceBusCredential from "../ServiceBusCredential.ts"
import type * as ServiceBusEntity from "../ServiceBusEntity.ts"
import { EmulatorError, MessageEncodeError } from "../ServiceBusError.ts"
import type { OutgoingMessage, ReceivedMessage } from "../ServiceBusMessage.ts"
import * as Alarm from "./Alarm.ts"
import { Door, type ExpiringLink, type ServerSocket } from "./amqp/Door.ts"
import * as memory from "./amqp/memory.ts"
import { incoming, outgoing } from "./amqp/StoredPayload.ts"
import type * as Authorization from "./Authorization.ts"
import * as Broker from "./Broker.ts"

/**
 * The options of a queue of the broker.
 *
 * @category models
 */
export type EntityOptions = Broker.QueueOptions

/**
 * An entity that the broker starts with.
 *
 * @category models
 */
export interface Entity {
  readonly name: string
  readonly options: EntityOptions
}

/**
 * Declares a queue of the broker from its contract.
 *
 * @category constructors
 */
export const entity = (
  contract: ServiceBusEntity.Queue<any, never> | string,
  options: EntityOptions = {}
): Entity => ({ name: typeof contract === "string" ? contract : contract.name, options })

/**
 * A shared access policy of the broker beside its root policy, to try what happens without a right.
 *
 * @category models
 */
export interface Policy {
  readonly name: string
  readonly key: Redacted.Redacted<string>
  readonly rights: ReadonlyArray<"Send" | "Listen" | "Manage">
}

/**
 * How a broker is made.
 *
 * @category models
 */
export interface Options {
  readonly entities: ReadonlyArray<Entity>
  readonly policies?: ReadonlyArray<Policy> | undefined
}

/**
 * What happened in an entity since the broker started.
 *
 * @category models
 */
export type Counters = Readonly<Broker.Counters>

/** A queue, or the dead-letter sub-queue of one. */
type Receivable<A> = ServiceBusEntity.Queue<A, never> | ServiceBusEntity.SubQueue<A>

/**
 * The broker's controls: what a test needs to see and to do behind the client's back.
 *
 * @category services
 */
export class Emulator extends Context.Service<Emulator, {
  /** The connection string of the root policy. */
  readonly connectionString: Redacted.Redacted<string>
  /** The port that the broker listens on; 0 where it is in memory. */
  readonly port: number
  /** Every message in an entity, of whatever state, oldest first. Fails with EmulatorError where it does not exist. */
  readonly messages: <A>(
    entity: Receivable<A>
  ) => Effect.Effect<ReadonlyArray<ReceivedMessage<A>>, EmulatorError>
  /** Every message in the dead-letter sub-queue of an entity. */
  readonly deadLetters: <A>(
    entity: ServiceBusEntity.Queue<A, never>
  ) => Effect.Effect<ReadonlyArray<ReceivedMessage<A>>, EmulatorError>
  /** Puts messages into an entity without a client. */
  readonly send: <A, In>(
    entity: ServiceBusEntity.Queue<A, In>,
    messages: ReadonlyArray<OutgoingMessage<In>>
  ) => Effect.Effect<void, EmulatorError | MessageEncodeError>
  /** What happened in an entity. */
  readonly counters: (entity: Receivable<any>) => Effect.Effect<Counters, EmulatorError>
  /** How many connections are open. */
  readonly connections: Effect.Effect<number>
  /** Cuts every connection without a word to the clients. */
  readonly dropConnections: Effect.Effect<void>
  /** Closes every connection with an error that the clients are told. */
  readonly closeConnections: (error: {
    readonly condition: string
    readonly description?: string | undefined
  }) => Effect.Effect<void>
  /** Completes when nothing is on its way between the broker and its in-memory clients. */
  readonly idle: Effect.Effect<void>
}>()("effect-service-bus/Emulator") {}

const policyName = "RootManageSharedAccessKey"

interface Started {
  readonly broker: Broker.Broker
  readonly door: Door
  readonly dispatcher: Dispatcher.Dispatcher
  readonly key: Redacted.Redacted<string>
}

const start: (options: Options, host: string) => Effect.Effect<Started, EmulatorError, Scope.Scope> = Effect.fnUntraced(
  function*(options, host) {
    const clock = yield* Clock.Clock
    const dispatcher = yield* Dispatcher.get
    const broker = yield* Broker.make(options.entities)
    const key = Redacted.make(randomBytes(32).toString("base64"), { label: "emulator key" })
    const policies: ReadonlyArray<Authorization.Policy> = [
      { name: policyName, key, rights: ["Manage", "Send", "Listen"] },
      ...(options.policies ?? [])
    ]
    const alarm = yield* Alarm.make<ExpiringLink>((due) => {
      for (const link of due) link.expire()
    })
    const door = new Door({ broker, dispatcher, clock, policies, host, alarm })
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const served of [...door.connections]) served.drop()
      })
    )
    return { broker, door, dispatcher, key }
  }
)

const connectionStringOf = (key: Redacted.Redacted<string>, host: string, port: number | undefined) =>
  ConnectionString.format({
    host,
    port,
    credential: ServiceBusCredential.sharedKey({ name: policyName, key }),
    entityPath: undefined,
    useDevelopmentEmulator: true
  })

const controls = (started: Started, port: number, connectionString: Redacted.Redacted<string>): Emulator["Service"] => {
  const { broker, dispatcher, door } = started
  const writer = new Writer()
  const queueOf = (entity: Receivable<any>): Effect.Effect<Broker.Queue, EmulatorError> => {
    const queue = broker.queue(entity.path)
    return queue === undefined
      ? Effect.fail(
        new EmulatorError({ problem: `it has no entity "${entity.path}"; declare it with Emulator.entity` })
      )
      : Effect.succeed(queue)
  }
  const list = <A>(
    queue: Broker.Queue,
    body: ServiceBusBody.ServiceBusBody<A, never>
  ): ReadonlyArray<ReceivedMessage<A>> =>
    queue.messages().map((message) => {
      const bytes = outgoing(message, undefined)
      const sections = new Sections(bytes, 0, bytes.length)
      const decoded = body.decode(sections.readBody())
      // A body that does not decode is there all the same; a test looks at the other fields.
      return new Destructive(sections, Result.isSuccess(decoded) ? decoded.success : undefined as A)
    })
  return Emulator.of({
    connectionString,
    port,
    messages: (entity) => Effect.map(queueOf(entity), (queue) => list(queue, entity.body)),
    deadLetters: (entity) => Effect.map(queueOf(entity), (queue) => list(queue.deadLetterQueue!, entity.body)),
    send: (entity, messages) =>
      Effect.flatMap(
        queueOf(entity as Receivable<any>),
        (queue) =>
          Effect.suspend((): Effect.Effect<void, EmulatorError | MessageEncodeError> => {
            const stored: Array<Broker.IncomingMessage> = []
            for (const message of messages) {
              const body = entity.body.encode(message.body)
              if (Result.isFailure(body)) {
                return Effect.fail(
                  new MessageEncodeError({ entity: entity.path, part: "body", description: body.failure })
                )
              }
              try {
                encode(writer, message, body.success, entity.body.contentType)
                stored.push(incoming(writer.take()))
              } catch (error) {
                writer.reset()
                if (error instanceof MessageEncodeError) return Effect.fail(error)
                throw error
              }
            }
            const sent = queue.send(stored)
            return Result.isSuccess(sent)
              ? Effect.void
              : Effect.fail(new EmulatorError({ problem: sent.failure.detail ?? sent.failure._tag }))
          })
      ),
    counters: (entity) => Effect.map(queueOf(entity), (queue) => ({ ...queue.counters })),
    connections: Effect.sync(() => door.connections.size),
    dropConnections: Effect.sync(() => {
      for (const served of [...door.connections]) served.drop()
    }),
    closeConnections: (error) =>
      Effect.sync(() => {
        for (const served of [...door.connections]) served.close(error)
      }),
    idle: dispatcher.idle
  })
}

const memoryHost = "emulator.localhost"

/**
 * A broker in memory, its controls, and a client that is connected to it.
 *
 * Fails with EmulatorError where an entity or an option is not usable.
 *
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<ServiceBusClient.ServiceBusClient | Emulator, EmulatorError> =>
  Layer.effectContext(Effect.gen(function*() {
    const dispatcher = yield* Dispatcher.make
    const started = yield* Effect.provideService(start(options, memoryHost), Dispatcher.Shared, dispatcher)
    const connectionString = connectionStringOf(started.key, memoryHost, undefined)
    const client = yield* ConnectionString.parse(connectionString).pipe(
      Effect.flatMap((parsed) => ServiceBusClient.fromConnectionString(parsed)),
      Effect.provideService(Dispatcher.Shared, dispatcher),
      Effect.provideService(
        Transport.Transport,
        memory.transport(dispatcher, (socket) => {
          started.door.accept(socket)
        })
      ),
      // The string and the options are our own.
      Effect.orDie
    )
    return Context.make(ServiceBusClient.ServiceBusClient, client).pipe(
      Context.add(Emulator, controls(started, 0, connectionString))
    )
  }))

/**
 * How a broker listens.
 *
 * @category models
 */
export interface ServerOptions extends Options {
  /** 0 by default: any free port. `Emulator.port` tells which. */
  readonly port?: number | undefined
  /** 127.0.0.1 by default. Anything but loopback is reachable from elsewhere, without TLS. */
  readonly host?: string | undefined
}

/**
 * A broker that listens on a TCP port without TLS, for any client that knows `UseDevelopmentEmulator=true`, and its
 * controls.
 *
 * Fails with EmulatorError where the port is taken, or an entity or option is not usable.
 *
 * @category layers
 */
export const layerServer = (options: ServerOptions): Layer.Layer<Emulator, EmulatorError> =>
  Layer.effect(
    Emulator,
    Effect.gen(function*() {
      const host = options.host ?? "127.0.0.1"
      const started = yield* start(options, host)
      const port = yield* listen(host, options.port ?? 0, (socket) => {
        started.door.accept(socket)
      })
      return controls(started, port, connectionStringOf(started.key, host, port))
    })
  )

/**
 * A client of a broker that listens: `Emulator.layerClient.pipe(Layer.provideMerge(Emulator.layerServer({ … })))`.
 *
 * @category layers
 */
export const layerClient: Layer.Layer<ServiceBusClient.ServiceBusClient, never, Emulator> = Layer.unwrap(
  Effect.map(Emulator, ({ connectionString }) => Layer.orDie(ServiceBusClient.layerConnectionString(connectionString)))
)

const listen = (
  host: string,
  port: number,
  accept: (socket: ServerSocket) => void
): Effect.Effect<number, EmulatorError, Scope.Scope> => {
  const sockets = new Set<net.Socket>()
  return Effect.acquireRelease(
    Effect.callback<net.Server, EmulatorError>((resume) => {
      if (!Number.isInteger(port) || port < 0 || port > 65535) {
        resume(Effect.fail(new EmulatorError({ problem: "the port must be an integer from 0 to 65535" })))
        return
      }
      const server = net.createServer({ noDelay: true }, (socket) => {
        // The door destroys the socket; a late error of it is nobody's.
        socket.on("error", () => {})
        sockets.add(socket)
        socket.on("close", () => sockets.delete(socket))
        accept(socket)
      })
      server.once("error", (cause) =>
        resume(
          Effect.fail(new EmulatorError({ problem: `it cannot listen on ${host}:${port} (${cause.message})`, cause }))
        ))
      server.listen({ host, port }, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        // A server is closed once its connections are, and clients keep theirs.
        for (const socket of sockets) socket.destroy()
      })
  ).pipe(Effect.map((server) => (server.address() as net.AddressInfo).port))
}

/** The time of the broker, for messages that a test prepares. @category accessors */
export const now: Effect.Effect<DateTime.Utc> = DateTime.now
