/**
 * One run: client and broker in one process, over a network in memory, in virtual time, with faults from a seed. The same plan
 * gives the same run, frame by frame.
 *
 * Faults come for a while; then everything is well again, and what was sent has to be taken within a stated time; then
 * everything is closed, and nothing may be left.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as ConnectionString from "../../src/ConnectionString.ts"
import * as MemorySocket from "../../src/emulator/amqp/MemorySocket.ts"
import * as Emulator from "../../src/emulator/Emulator.ts"
import * as MemoryHttpClient from "../../src/emulator/http/MemoryHttpClient.ts"
import * as Transport from "../../src/internal/amqp/transport/Transport.ts"
import * as ServiceBusClient from "../../src/ServiceBusClient.ts"
import * as ServiceBusCredential from "../../src/ServiceBusCredential.ts"
import * as BrokerProcess from "./BrokerProcess.ts"
import { faults } from "./faults/index.ts"
import { History } from "./History.ts"
import { HttpNetwork } from "./HttpNetwork.ts"
import * as Journal from "./Journal.ts"
import { Network } from "./Network.ts"
import { oracles } from "./oracles/index.ts"
import type { Violation } from "./oracles/Oracle.ts"
import * as Peer from "./Peer.ts"
import * as Resources from "./Resources.ts"
import { Rng } from "./Rng.ts"
import { seededIds } from "./seededIds.ts"
import { Topology } from "./Topology.ts"
import { workloads } from "./workloads/index.ts"
import { type Client, type Fault, good, type Mood, type PlannedFault, type Workload, type World } from "./World.ts"

/** How long faults come, and how long it may take to be well again, in milliseconds of virtual time. */
const faultTime = 60_000
const healingTime = 600_000

/** Everything that a run is made of. */
export interface Plan {
  readonly seed: number
  readonly workload: string
  readonly faults: ReadonlyArray<PlannedFault>
  /** How many operations a fiber runs before another has its turn. */
  readonly turn: number
  /** What the client of the workload signs in with: the key where it is not given. */
  readonly client?: "key" | "tokens"
  /** Where the broker has its state: in memory where it is not given. */
  readonly store?: "memory" | "file"
}

export interface Outcome {
  readonly plan: Plan
  readonly violations: ReadonlyArray<Violation>
  readonly history: History
  readonly messages: number
}

/** What seeds are limited to. */
export interface Only {
  readonly workload?: string | undefined
  readonly fault?: string | undefined
  /** One seed in ten has its broker on a file where nothing is said. */
  readonly store?: "memory" | "file" | undefined
}

const timeOf = (rng: Rng): PlannedFault["at"] =>
  rng.chance(0.5)
    ? { ms: rng.between(0, faultTime - 10_000) }
    : { frames: rng.between(1, rng.pick([100, 400, 1_200])) }

/**
 * What a seed makes of a run: a workload, up to eight faults, and how fibers take turns. That its broker is on a file, where it is
 * killed up to three times, is drawn by itself: of the others nothing is changed by it.
 */
export const planOf = (seed: number, only: Only = {}): Plan => {
  const rng = new Rng(seed)
  const client = rng.pick(["key", "key", "tokens"] as const)
  const asked = faults.filter(({ name }) => only.fault?.split(",").includes(name) ?? true)
  const fitting = (uses: Workload["uses"]) =>
    asked.filter(({ needs }) =>
      needs === undefined || needs !== "file" && uses.includes(needs) || needs === "tokens" && client === "tokens"
    )
  const ofFiles = asked.filter(({ needs }) => needs === "file")
  const workload = rng.pick(
    workloads.filter(({ name, uses }) =>
      only.workload === undefined
        ? fitting(uses).length > 0 || ofFiles.length > 0
        : only.workload.split(",").includes(name)
    )
  )
  const kinds = fitting(workload.uses).flatMap((fault) => Array.from({ length: fault.weight ?? 1 }, () => fault))
  const planned = Array.from({ length: kinds.length === 0 ? 0 : rng.between(0, 8) }, (): PlannedFault => {
    const fault = rng.pick(kinds)
    const at = timeOf(rng)
    return { name: fault.name, at, parameters: fault.plan(rng) }
  })
  const turn = rng.pick([2048, 2048, 2048, 64, 8, 3])
  const own = new Rng(seed ^ 0x1b873593)
  const isOnFile = own.chance(only.fault !== undefined && ofFiles.length > 0 ? 1 : 0.1)
  const plan = { seed, workload: workload.name, faults: planned, turn, client }
  if (only.store === "memory" || only.store === undefined && !isOnFile) return plan
  const kills = Array.from({ length: ofFiles.length === 0 ? 0 : own.between(1, 3) }, (): PlannedFault => {
    const fault = own.pick(ofFiles)
    return { name: fault.name, at: timeOf(own), parameters: fault.plan(own) }
  })
  return { ...plan, faults: [...planned, ...kills], store: "file" }
}

/** Has the history say when a part of a run dies that is to end by itself, or to be interrupted. */
const noteDeath = (history: History, part: "fault" | "workload", name: string, fiber: Fiber.Fiber<unknown>): void => {
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
    history.add({ kind: "died", part, name, why: Cause.pretty(exit.cause) })
  })
}

/** A clock that counts what sleeps on it. */
const counted = (clock: Clock.Clock, sleeps: { count: number }): Clock.Clock => {
  const wrapped = Object.create(clock) as { -readonly [K in keyof Clock.Clock]: Clock.Clock[K] }
  wrapped.sleep = (duration) =>
    Effect.acquireUseRelease(
      Effect.sync(() => sleeps.count++),
      () => clock.sleep(duration),
      () => Effect.sync(() => sleeps.count--)
    )
  return wrapped
}

/** Has what is printed, and what nobody handles, written down for the time of a run. */
const listen = (history: History) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const names = ["log", "info", "warn", "error", "debug"] as const
      const before = names.map((name) => console[name])
      const note = (kind: string) => (value: unknown): void => {
        history.add({ kind: "noise", what: `${kind}: ${String(value)}` })
      }
      for (const name of names) console[name] = note(`console.${name}`)
      const events = ["unhandledRejection", "uncaughtException", "warning"] as const
      const listeners = events.map((event) => note(event))
      events.forEach((event, i) => process.on(event, listeners[i]!))
      return () => {
        names.forEach((name, i) => {
          console[name] = before[i]!
        })
        events.forEach((event, i) => process.off(event, listeners[i]!))
      }
    }),
    (restore) => Effect.sync(restore)
  )

/** A clock whose wall time is off. */
const skewed = (clock: Clock.Clock, mood: Mood): Clock.Clock => {
  const wrapped = Object.create(clock) as { -readonly [K in keyof Clock.Clock]: Clock.Clock[K] }
  wrapped.currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + mood.skew
  wrapped.currentTimeMillis = Effect.sync(() => wrapped.currentTimeMillisUnsafe())
  wrapped.currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + BigInt(mood.skew) * 1_000_000n
  wrapped.currentTimeNanos = Effect.sync(() => wrapped.currentTimeNanosUnsafe())
  return wrapped
}

/** A client of the same broker, over the same network. What still sleeps of it once it is closed is written down. */
const otherClient = Effect.fnUntraced(
  function*(kind: "skewed" | "tokens", { clock, emulator, history, mood, transport }: {
    readonly history: History
    readonly emulator: Emulator.Emulator["Service"]
    readonly mood: Mood
    readonly clock: Clock.Clock
    readonly transport: Transport.Transport
  }) {
    const { credential, host } = yield* Effect.orDie(ConnectionString.parse(emulator.connectionString))
    if (credential?._tag !== "SharedKey") throw new Error("the broker has no key")
    const token = (keyName: string) =>
      Effect.map(
        ServiceBusCredential.generateSas({
          resource: `sb://${host}/`,
          keyName,
          key: credential.key,
          timeToLive: "40 seconds"
        }),
        ServiceBusCredential.sas
      )
    const provider = Effect.suspend(() => {
      switch (mood.tokens) {
        case "good":
          return token(credential.name)
        case "useless":
          return token("NoSuchPolicy")
        case "failing":
          return Effect.fail(new Error("there is no token now"))
        case "dying":
          return Effect.die(new Error("the provider dies"))
        case "hanging":
          return Effect.never
      }
    })
    const sleeps = { count: 0 }
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => history.add({ kind: "left", client: kind, sleeps: sleeps.count }))
    )
    const client = yield* Effect.orDie(ServiceBusClient.make({
      fullyQualifiedNamespace: host,
      credential: kind === "skewed" ? credential : ServiceBusCredential.rotating(provider)
    })).pipe(
      Effect.provideService(Transport.Transport, transport),
      Effect.provideService(Clock.Clock, counted(clock, sleeps))
    )
    const time = counted(kind === "skewed" ? skewed(clock, mood) : clock, sleeps)
    const within: Client = (effect) =>
      effect.pipe(
        Effect.provideService(ServiceBusClient.ServiceBusClient, client),
        Effect.provideService(Clock.Clock, time)
      )
    return { client, within }
  }
)

interface Ground {
  readonly entities: ReadonlyArray<Emulator.Entity>
  readonly http: HttpNetwork
  readonly network: Network
}

const client = { identifier: "simulated" }

/** A broker in memory, with its client. */
const inMemory = Effect.fnUntraced(function*({ entities, http, network }: Ground) {
  let through: Transport.Transport | undefined
  const built = yield* Layer.build(Emulator.layer({ entities, client })).pipe(
    Effect.provideService(MemorySocket.Network, (transport) => through = network.over(transport)),
    Effect.provideService(MemoryHttpClient.Network, (client) => http.over(client))
  )
  return { built, transport: through!, broker: undefined }
})

/** One that is killed, with a client that is not. */
const onFile = Effect.fnUntraced(function*(
  ground: Ground & {
    readonly history: History
    readonly journal: Journal.Journal
  }
) {
  const broker = yield* BrokerProcess.make(ground)
  const transport = ground.network.over(broker.transport)
  const parsed = yield* BrokerProcess.connectionStringOf(broker)
  const made = yield* Effect.orDie(ServiceBusClient.fromConnectionString(parsed, client)).pipe(
    Effect.provideService(Transport.Transport, transport)
  )
  const built = Context.add(
    Context.make(ServiceBusClient.ServiceBusClient, made),
    Emulator.Emulator,
    broker.emulator
  )
  return { built, transport, broker }
})

const simulate = (
  plan: Plan,
  workload: Workload,
  kinds: ReadonlyArray<Fault>,
  resources: () => Resources.Resources
) =>
  Effect.gen(function*() {
    const before = resources()
    const sleeps = { count: 0 }
    const clock = counted(yield* Clock.Clock, sleeps)
    const rng = new Rng(plan.seed ^ 0x5bd1e995)
    const history = new History(() => clock.currentTimeMillisUnsafe())
    const outer = yield* Scope.make()
    const context = yield* Effect.context<never>()
    const fork = Effect.runForkWith(Context.add(context, Clock.Clock, clock))
    const network = new Network({ clock, rng: rng.fork(), history, fork })
    let phase: "faults" | "healed" | "done" = "faults"
    const mood = good()
    const messages = () => history.of("enqueued").length

    const inside = Effect.gen(function*() {
      const journal = yield* Journal.record(history)
      const { loseLocks, loseSessions } = journal
      const peer = yield* Peer.make
      const http = new HttpNetwork()
      yield* listen(history)
      const { broker, built, transport } = plan.store === "file"
        ? yield* onFile({ entities: workload.entities, history, http, journal, network })
        : yield* inMemory({ entities: workload.entities, http, network })
      const emulator = Context.get(built, Emulator.Emulator)
      const topology = new Topology(emulator, workload.entities)
      const ground = { emulator, history, mood, clock, transport }
      const services = plan.client === "tokens"
        ? Context.add(built, ServiceBusClient.ServiceBusClient, (yield* otherClient("tokens", ground)).client)
        : built
      const besides: Array<readonly [name: string, fiber: Fiber.Fiber<unknown>]> = []
      const world: World = {
        emulator,
        broker,
        network,
        http,
        peer,
        entities: workload.drained.map(({ path }) => path),
        topology,
        history,
        rng: rng.fork(),
        aside: new Rng(plan.seed ^ 0x2545f491),
        mood,
        loseLocks,
        loseSessions,
        began: (name, fiber) => {
          besides.push([name, fiber])
          noteDeath(history, "workload", name, fiber)
        },
        client: (kind) => Effect.map(otherClient(kind, ground), ({ within }) => within),
        isHealed: () => phase !== "faults",
        isDone: () => phase === "done",
        now: () => clock.currentTimeMillisUnsafe()
      }
      history.add({ kind: "phase", name: "faults" })
      const strikes = new Set<Fiber.Fiber<void>>()
      for (const each of plan.faults) {
        const kind = kinds.find(({ name }) => name === each.name)!
        const strike = Effect.suspend(() => {
          if (phase !== "faults") return Effect.void
          history.add({ kind: "fault", name: each.name, what: JSON.stringify(each.parameters) })
          return Effect.asVoid(Effect.orDie(kind.inject(world, each.parameters)))
        })
        const begun = (fiber: Fiber.Fiber<void>): void => {
          strikes.add(fiber)
          noteDeath(history, "fault", each.name, fiber)
        }
        if ("frames" in each.at) network.afterFrames(each.at.frames, () => begun(fork(strike)))
        else begun(yield* Effect.forkScoped(Effect.andThen(Effect.sleep(each.at.ms), strike)))
      }
      const working = yield* Effect.forkScoped(Effect.provideContext(workload.run(world), services))
      noteDeath(history, "workload", workload.name, working)
      yield* Effect.sleep(faultTime)
      phase = "healed"
      yield* Fiber.interruptAll(strikes)
      if (broker !== undefined) yield* broker.start
      Object.assign(mood, good())
      peer.heal()
      network.heal()
      http.heal()
      yield* Effect.ignore(emulator.start)
      // Administrators may still delete what they were to: who has them makes it again.
      if (workload.uses.includes("entities") && !workload.uses.includes("administration")) yield* topology.heal
      history.add({ kind: "phase", name: "healed" })
      // What is under way may bring something still; nothing but its own end ends it. Others begin again and again.
      const under = new Set(history.open.keys())
      const isJudged = (op: number, what: string) =>
        under.has(op) || /^(send|cancel|settle|ruling|administer)$/.test(what)
      const left = Effect.map(
        Effect.forEach(workload.drained, (entity) =>
          Effect.match(emulator.messages(entity), {
            onSuccess: (messages) => ({
              entity: entity.path,
              ids: messages.filter(({ state }) => state !== "deferred").map(({ messageId }) => messageId)
            }),
            onFailure: () => ({ entity: entity.path, ids: ["it is not there"] })
          })),
        (entities) => [
          ...entities,
          {
            entity: "operations",
            ids: [...history.open].flatMap(([op, what]) => isJudged(op, what) ? [`${op} (${what})`] : [])
          }
        ]
      )
      const until = clock.currentTimeMillisUnsafe() + healingTime
      let rest = yield* left
      while (rest.some(({ ids }) => ids.length > 0) && clock.currentTimeMillisUnsafe() < until) {
        yield* Effect.sleep(1_000)
        rest = yield* left
      }
      phase = "done"
      history.add({ kind: "phase", name: "drained" })
      const ending = Effect.andThen(Fiber.await(working), Effect.forEach(besides, ([, fiber]) => Fiber.await(fiber)))
      yield* Effect.timeoutOption(ending, 120_000)
      for (const [name, fiber] of [...besides, [workload.name, working] as const]) {
        if (fiber.pollUnsafe() === undefined) history.add({ kind: "unfinished", what: name })
      }
      return { rest, emulator }
    })

    const whole = Effect.gen(function*() {
      const { emulator, rest } = yield* Scope.provide(inside, outer).pipe(
        Effect.onError(() => Scope.close(outer, Exit.void)),
        Effect.provideService(Clock.Clock, clock)
      )
      const connections = emulator.connections
      yield* Effect.provideService(Scope.close(outer, Exit.void), Clock.Clock, clock)
      yield* network.end
      history.add({ kind: "phase", name: "closed" })
      // What has been interrupted ends.
      yield* Effect.sleep(1)
      const after = resources()
      const run = {
        history,
        left: rest,
        hasConverged: rest.every(({ ids }) => ids.length === 0),
        leftovers: {
          connections: yield* connections,
          wires: network.wires.size,
          sleeps: sleeps.count,
          fibers: after.fibers - before.fibers,
          timers: after.timers - before.timers,
          listeners: after.listeners - before.listeners
        },
        concurrency: workload.concurrency ?? {},
        credits: workload.credits ?? {},
        forwards: workload.forwards ?? {},
        windows: workload.windows ?? {}
      }
      return {
        plan,
        history,
        violations: oracles.flatMap((oracle) => oracle(run)),
        messages: messages()
      }
    })
    // What dies here is no finding of an oracle, and no run that holds.
    return yield* Effect.catchCause(whole, (cause) =>
      Effect.succeed<Outcome>({
        plan,
        history,
        violations: [{ rule: "harness", what: Cause.pretty(cause) }],
        messages: messages()
      }))
  })

/** What plans are made of. */
export interface Parts {
  readonly workloads: ReadonlyArray<Workload>
  readonly faults: ReadonlyArray<Fault>
}

/** Runs a plan. What dies of the run itself is a violation, too. */
export const run = (plan: Plan, parts: Parts = { workloads, faults }): Promise<Outcome> => {
  const workload = parts.workloads.find(({ name }) => name === plan.workload)
  if (workload === undefined) return Promise.reject(new Error(`there is no workload "${plan.workload}"`))
  const unknown = plan.faults.find(({ name }) => !parts.faults.some((fault) => fault.name === name))
  if (unknown !== undefined) return Promise.reject(new Error(`there is no fault "${unknown.name}"`))
  const restore = seededIds(plan.seed)
  const { fibers, service } = Resources.countedFibers()
  const timers = Resources.countedTimers()
  const resources = (): Resources.Resources => ({
    fibers: fibers.count,
    timers: timers.count(),
    listeners: Resources.processListeners()
  })
  const program = Effect.gen(function*() {
    // TestClock waits for what a wake causes, and for nothing else: everything here is caused by one.
    const fiber = yield* Effect.forkChild(
      Effect.andThen(Effect.sleep(1), simulate(plan, workload, parts.faults, resources)),
      {
        startImmediately: true
      }
    )
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("10 seconds")
    return yield* Effect.flatten(Effect.sync(() => fiber.pollUnsafe()!))
  })
  return Effect.runPromise(program.pipe(
    Random.withSeed(`simulation ${plan.seed}`),
    Effect.provideService(Scheduler.MaxOpsBeforeYield, plan.turn),
    Effect.provideService(Metric.FiberRuntimeMetrics, service),
    Effect.provide(Logger.layer([])),
    Effect.provide(TestClock.layer({ warningDelay: "10 minutes" }))
  )).finally(() => {
    timers.restore()
    restore()
  })
}
