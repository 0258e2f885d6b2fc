#!/usr/bin/env node
/**
 * The command `effect-service-bus emulator`: the embedded broker on a port, for any program on this machine. It prints the
 * connection string and runs until it is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { parseArgs } from "node:util"
import { EmulatorError } from "../ServiceBusError.ts"
import * as Emulator from "./Emulator.ts"

const usage = `Usage: effect-service-bus emulator [--queue NAME] [--subscription TOPIC/NAME] [options]

Runs a Service Bus broker in memory on a TCP port and prints its connection string.

  --queue NAME              a queue to start with; may be given many times
  --subscription TOPIC/NAME a subscription to start with, and its topic; may be given many times
  --session-queue NAME, --session-subscription TOPIC/NAME
                            the same, requiring sessions
  --port PORT               the port to listen on; 5672 by default, 0 for any free one
  --host HOST               the address to listen on; 127.0.0.1 by default
  --lock-duration SECONDS   how long a received message is locked; 60 by default
  --max-delivery-count N    how often a message may fail before it is dead-lettered; 10 by default
  --max-connections N       how many connections may be open at a time; 5000 by default
  --max-handshakes N        how many sockets may be in a handshake at a time; 1000 by default
  --help                    this text`

const number = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === "" || !Number.isFinite(value)) throw new EmulatorError({ problem: `--${name} must be a number` })
  return value
}

const serve = Effect.gen(function*() {
  const { positionals, values } = yield* Effect.try({
    try: () =>
      parseArgs({
        allowPositionals: true,
        options: {
          queue: { type: "string", multiple: true },
          subscription: { type: "string", multiple: true },
          "session-queue": { type: "string", multiple: true },
          "session-subscription": { type: "string", multiple: true },
          port: { type: "string" },
          host: { type: "string" },
          "lock-duration": { type: "string" },
          "max-delivery-count": { type: "string" },
          "max-connections": { type: "string" },
          "max-handshakes": { type: "string" },
          help: { type: "boolean" }
        }
      }),
    catch: (cause) => new EmulatorError({ problem: cause instanceof Error ? cause.message : String(cause) })
  })
  if (values.help === true) return yield* Console.log(usage)
  if (positionals[0] !== "emulator" || positionals.length !== 1) {
    return yield* new EmulatorError({ problem: "the only command is \"emulator\"; see --help" })
  }
  const queues = [
    ...(values.queue ?? []).map((name) => ({ name, requiresSession: false })),
    ...(values["session-queue"] ?? []).map((name) => ({ name, requiresSession: true }))
  ]
  const subscriptions: Array<{ readonly topic: string; readonly name: string; readonly requiresSession: boolean }> = []
  for (const option of ["subscription", "session-subscription"] as const) {
    for (const path of values[option] ?? []) {
      const slash = path.lastIndexOf("/")
      if (slash === -1) return yield* new EmulatorError({ problem: `--${option} is TOPIC/NAME, not "${path}"` })
      subscriptions.push({
        topic: path.slice(0, slash),
        name: path.slice(slash + 1),
        requiresSession: option === "session-subscription"
      })
    }
  }
  if (queues.length + subscriptions.length === 0) {
    return yield* new EmulatorError({
      problem: "give at least one --queue, --subscription, --session-queue or --session-subscription"
    })
  }
  const settings = yield* Effect.try({
    try: () => ({
      port: number("port", values.port) ?? 5672,
      lock: number("lock-duration", values["lock-duration"]),
      count: number("max-delivery-count", values["max-delivery-count"]),
      connections: number("max-connections", values["max-connections"]),
      handshakes: number("max-handshakes", values["max-handshakes"])
    }),
    catch: (error) => error as EmulatorError
  })
  const options = {
    ...(settings.lock === undefined ? {} : { lockDuration: Duration.seconds(settings.lock) }),
    ...(settings.count === undefined ? {} : { maxDeliveryCount: settings.count })
  }
  const entities: ReadonlyArray<Emulator.Entity> = [
    ...queues.map(({ name, requiresSession }) => Emulator.entity(name, { ...options, requiresSession })),
    // Names differ by more than their case.
    ...Array.from(
      new Map(subscriptions.map(({ topic }) => [topic.toLowerCase(), topic])).values(),
      (name) => ({ kind: "topic" as const, name })
    ),
    ...subscriptions.map(({ name, requiresSession, topic }) => ({
      kind: "subscription" as const,
      topic,
      name,
      options: { ...options, requiresSession }
    }))
  ]
  const announce = Effect.gen(function*() {
    const { connectionString, port } = yield* Emulator.Emulator
    yield* Console.log(
      `Listening on ${values.host ?? "127.0.0.1"}:${port} with ${
        [...queues.map(({ name }) => name), ...subscriptions.map(({ name, topic }) => `${topic}/${name}`)].join(", ")
      }`
    )
    // A random key of this run, for the person who started it.
    yield* Console.log(`SERVICE_BUS_CONNECTION_STR="${Redacted.value(connectionString)}"`)
  })
  return yield* Layer.launch(Layer.provide(
    Layer.effectDiscard(announce),
    Emulator.layerServer({
      port: settings.port,
      host: values.host,
      maxConnections: settings.connections,
      maxHandshakes: settings.handshakes,
      entities
    })
  ))
})

const fiber = Effect.runFork(serve)
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => fiber.interruptUnsafe())
Effect.runFork(Effect.map(Fiber.await(fiber), (exit) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
  const error = Cause.squash(exit.cause)
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}))
