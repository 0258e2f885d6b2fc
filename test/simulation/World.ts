/**
 * What workloads and faults have: the broker, the network, the history, random numbers, and the operations of the client with
 * their outcome written down.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type * as Emulator from "../../src/emulator/Emulator.ts"
import type * as ServiceBusClient from "../../src/ServiceBusClient.ts"
import type * as ServiceBusEntity from "../../src/ServiceBusEntity.ts"
import * as ServiceBusError from "../../src/ServiceBusError.ts"
import type { BrokerProcess } from "./BrokerProcess.ts"
import type { History, Result } from "./History.ts"
import type { HttpNetwork } from "./HttpNetwork.ts"
import type { Network } from "./Network.ts"
import type { Peer } from "./Peer.ts"
import type { Rng } from "./Rng.ts"
import type { Topology } from "./Topology.ts"

/** How handlers behave, and the provider of tokens. Faults change it; healing makes all of it good again. */
export interface Mood {
  /** The probability that a handler does anything but complete. */
  handlers: number
  /** What it does then. */
  manner: "any" | "fails" | "dies" | "hangs"
  /** The probability that an operation is interrupted. */
  interruptions: number
  tokens: "good" | "failing" | "hanging" | "dying" | "useless"
  /** By how much the wall clock of a client that has one of its own is off, in milliseconds. */
  skew: number
}

export const good = (): Mood => ({ handlers: 0, manner: "any", interruptions: 0, tokens: "good", skew: 0 })

export interface World {
  readonly emulator: Emulator.Emulator["Service"]
  /** Where the broker has its state in a file. */
  readonly broker: BrokerProcess | undefined
  readonly network: Network
  /** What is between administrators and the broker. */
  readonly http: HttpNetwork
  readonly peer: Peer
  /** The paths of the entities of the workload. */
  readonly entities: ReadonlyArray<string>
  /** The same entities, to be disabled, filled, deleted and made again. */
  readonly topology: Topology
  readonly history: History
  readonly rng: Rng
  /** Random numbers beside those: what draws from it leaves plans that are kept as they are. */
  readonly aside: Rng
  readonly mood: Mood
  /** Whether the time of faults is over: workloads send nothing more then, and take what is left. */
  readonly isHealed: () => boolean
  /** Whether all is taken: consumers stop. */
  readonly isDone: () => boolean
  readonly now: () => number
  /** Has all locks of messages end at the broker, now. */
  readonly loseLocks: () => void
  /** The same of sessions. */
  readonly loseSessions: () => void
  /** A fiber of the workload: it ends well, and by itself once `isDone` says so. */
  readonly began: (name: string, fiber: Fiber.Fiber<unknown>) => void
  /**
   * A client beside the first: with the key and a wall clock of its own, or with tokens that last for less than a minute. It
   * closes with the scope.
   */
  readonly client: (kind: "skewed" | "tokens") => Effect.Effect<Client, never, Scope.Scope>
}

/** Runs what uses a client. */
export type Client = <A, E, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.Effect<A, E, Exclude<R, ServiceBusClient.ServiceBusClient>>

/**
 * What a workload may have in it: handlers, settlements by hand or by handlers, locks of messages, sessions, clients whose tokens
 * are from a provider, clients with a wall clock of their own, entities that may be disabled and deleted, rules that are changed,
 * entities that forward, administrators.
 */
export type Use =
  | "handlers"
  | "settlements"
  | "locks"
  | "sessions"
  | "tokens"
  | "clocks"
  | "entities"
  | "rules"
  | "forwards"
  | "administration"

/** A workload: what is declared, and a program that uses the library while faults come. */
export interface Workload {
  readonly name: string
  /** What a fault may need to have anything to strike. */
  readonly uses: ReadonlyArray<Use>
  readonly entities: ReadonlyArray<Emulator.Entity>
  /** What is to be empty once all is well again, but for dead letters and what is deferred. */
  readonly drained: ReadonlyArray<ServiceBusEntity.SubQueue<unknown> | ServiceBusEntity.WithSubQueues<unknown>>
  /** How many handlers of a consumer may run at a time. */
  readonly concurrency?: Readonly<Record<string, number>>
  /** How much credit a receiver of an entity, by its path, gives at most; 100 where nothing is said. */
  readonly credits?: Readonly<Record<string, number>>
  /** The only entity that sends to an entity is what forwards to it: each source, by its path, with its target. */
  readonly forwards?: Readonly<Record<string, string>>
  /** For how many milliseconds an entity, by its path, drops what has the id of another message. */
  readonly windows?: Readonly<Record<string, number>>
  /** Ends once `isDone` says so, or before. */
  readonly run: (world: World) => Effect.Effect<void, never, ServiceBusClient.ServiceBusClient | Scope.Scope>
}

/** A fault as it is planned: a value that can be printed, dropped and replayed. */
export interface PlannedFault {
  readonly name: string
  /** Milliseconds from the start, or after so many chunks on the network. */
  readonly at: { readonly ms: number } | { readonly frames: number }
  readonly parameters: Readonly<Record<string, number | string>>
}

/** A kind of fault. */
export interface Fault {
  readonly name: string
  /** Where it comes from: oracles that hold for the calm only look at it. */
  readonly of: "network" | "peer" | "service" | "tokens" | "program"
  /** Whether it cuts connections or sessions of AMQP: what is on its way may be lost. */
  readonly isCutting?: true
  /** It comes to workloads that have this, or to brokers that have their state in a file. */
  readonly needs?: Use | "file"
  /** How often it is planned beside the others, where that is not once. */
  readonly weight?: number
  /** What it is to be this time. */
  readonly plan: (rng: Rng) => PlannedFault["parameters"]
  readonly inject: (
    world: World,
    parameters: PlannedFault["parameters"]
  ) => Effect.Effect<unknown, ServiceBusError.EmulatorError>
}

/** The exit of an operation whose attempt gives it as a value. */
export const flat = <A, E>(exit: Exit.Exit<Exit.Exit<A, E>>): Exit.Exit<A, E> =>
  Exit.isSuccess(exit) ? exit.value : Exit.failCause(exit.cause)

/** What an exit says of the operation: every error but an unknown outcome is the promise that nothing was done. */
export const resultOf = (
  exit: Exit.Exit<unknown, unknown>
): { readonly result: Result; readonly tag: string | undefined } => {
  if (Exit.isSuccess(exit)) return { result: "ok", tag: undefined }
  if (Cause.hasInterruptsOnly(exit.cause)) return { result: "interrupted", tag: undefined }
  const error = Cause.squash(exit.cause) as { readonly _tag?: unknown; readonly outcome?: unknown }
  // An error that no operation of the library declares is a defect, too; what a handler fails with is its own.
  const isKnown = ServiceBusError.isServiceBusError(error) || error?._tag === "HandlerError"
  const tag = isKnown ? String(error._tag) : `defect: ${String(error)}`
  return { result: error?._tag === "OperationTimeoutError" && error.outcome === "unknown" ? "unknown" : "failed", tag }
}

/** Runs an effect, which an interruption may end at any of its steps where the mood is so. Its exit is always given. */
export const attempt = <A, E, R>(
  world: World,
  effect: Effect.Effect<A, E, R>,
  op?: number
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.suspend(() => {
    const { history, mood, rng } = world
    if (!rng.chance(mood.interruptions)) return Effect.exit(effect)
    const steps = rng.between(0, 60)
    const millis = rng.chance(0.5) ? 0 : rng.between(1, 20_000)
    return Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
      for (let i = 0; i < steps && fiber.pollUnsafe() === undefined; i++) yield* Effect.yieldNow
      if (millis > 0 && fiber.pollUnsafe() === undefined) yield* Effect.sleep(millis)
      if (op !== undefined) history.add({ kind: "interrupting", op })
      yield* Fiber.interrupt(fiber)
      return yield* Fiber.await(fiber)
    })
  })

/** Runs something beside the rest of a workload. It ends by itself, and it is a violation where it dies or does not. */
export const beside = <R>(
  world: World,
  name: string,
  effect: Effect.Effect<void, never, R>
): Effect.Effect<void, never, R | Scope.Scope> =>
  Effect.map(Effect.forkScoped(effect), (fiber) => world.began(name, fiber))

/** Injects a fault that a workload has of its own. */
export const strike = (world: World, { inject, name }: Fault, parameters: PlannedFault["parameters"]) =>
  Effect.suspend(() => {
    world.history.add({ kind: "fault", name, what: JSON.stringify(parameters) })
    return Effect.onExit(Effect.orDie(inject(world, parameters)), (exit) =>
      Effect.sync(() => {
        if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
        world.history.add({ kind: "died", part: "fault", name, why: Cause.pretty(exit.cause) })
      }))
  })

/** An operation that leaves no trace in the books but that it began and ended. */
export const operate = <A, E, R>(
  world: World,
  what: string,
  effect: Effect.Effect<A, E, R>,
  isLasting = false
): Effect.Effect<Exit.Exit<A, E>, never, R> => traced(world, what, isLasting, (op) => attempt(world, effect, op))

/** The same, with random numbers of its own. It may be what makes the effect that dies. */
export const operateAside = <A, E, R>(
  world: World,
  what: string,
  make: () => Effect.Effect<A, E, R>
): Effect.Effect<Exit.Exit<A, E>, never, R> => operate({ ...world, rng: world.aside }, what, Effect.suspend(make))

/** The same of what is never interrupted. */
export const observe = <A, E, R>(
  world: World,
  what: string,
  effect: Effect.Effect<A, E, R>,
  isLasting = false
): Effect.Effect<Exit.Exit<A, E>, never, R> => traced(world, what, isLasting, () => Effect.exit(effect))

const traced = <A, E, R>(
  { history }: World,
  what: string,
  isLasting: boolean,
  run: (op: number) => Effect.Effect<Exit.Exit<A, E>, never, R>
): Effect.Effect<Exit.Exit<A, E>, never, R> =>
  Effect.suspend(() => {
    const op = history.op()
    history.add({ kind: "began", op, what, isLasting })
    return Effect.onExit(
      run(op),
      (exit) => Effect.sync(() => history.add({ kind: "ended", op, ...resultOf(flat(exit)) }))
    )
  })

/** The body of a message that is sent with this id, by which it is known whether it came as it was sent. */
export const bodyOf = (id: string): string => {
  let size = 0
  for (let i = 0; i < id.length; i++) size = (size * 31 + id.charCodeAt(i)) % 997
  return `${id} ${"x".repeat(size)}`
}
