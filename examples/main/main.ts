/**
 * `npm start`: works off a day of flights through a topic of the embedded broker, or of a real namespace where the
 * environment names one. Here are the edges only: arguments, environment, signals, layers, and the exit code.
 */
import { NodeFileSystem } from "@effect/platform-node"
import { Cause, Config, Console, Data, Effect, Exit, Layer, Option, References, Runtime } from "effect"
import { ServiceBusAdministration, ServiceBusClient } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { join, relative } from "node:path"
import { parseArgs } from "node:util"
import * as Flight from "./Flight.ts"
import * as Job from "./Job.ts"
import * as lines from "./lines.ts"
import * as Progress from "./Progress.ts"
import { report } from "./report.ts"
import * as topology from "./topology.ts"

const usage = `Usage: npm start -- [options] [file.ndjson]

Sends every line of a file of flights through a topic, routes broken lines to a subscription of their own by a rule,
and says what became of them.
Without a file it takes examples/data/flights.ndjson, 20,000 flights and 200 broken lines.

  --poison <id>   a flight whose handler always fails; F07777 where no file is given
  --slow <id>     a flight whose handler takes 12 seconds; F00500 where no file is given
  --help          this text

With SERVICE_BUS_CONNECTION_STR and SERVICE_BUS_TOPIC_NAME it runs against a real namespace. It makes the topic, with the
subscriptions "flights" and "broken" and their rules, and deletes all others of their rules; without the Manage right
topic and subscriptions have to be there.
Ctrl-C stops it: the workers finish what they have, and the counts so far are printed.

Exit codes: 0 all is well, 1 the counts do not add up or the job failed, 2 wrong usage, 130 stopped by Ctrl-C.`

class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

const args = Effect.try({
  try: () =>
    parseArgs({
      allowPositionals: true,
      options: { poison: { type: "string" }, slow: { type: "string" }, help: { type: "boolean", short: "h" } }
    }),
  catch: (error) => new UsageError({ message: (error as Error).message })
}).pipe(
  Effect.filterOrFail(
    ({ positionals }) => positionals.length <= 1,
    () => new UsageError({ message: "Give one file at most." })
  )
)

/** A variable of the environment; one that is empty counts as not set. */
const variable = (name: string) =>
  Config.option(Config.String(name)).pipe(Config.map(Option.filter((value) => value !== "")))

/** The topic to work with, the settings of its subscriptions, and the layer of the clients that reach it. */
const target = Effect.gen(function*() {
  const connection = yield* variable("SERVICE_BUS_CONNECTION_STR")
  const name = yield* variable("SERVICE_BUS_TOPIC_NAME")
  if (Option.isSome(connection) !== Option.isSome(name)) {
    return yield* new UsageError({
      message: "Set both SERVICE_BUS_CONNECTION_STR and SERVICE_BUS_TOPIC_NAME, or none of them."
    })
  }
  if (Option.isSome(name)) {
    return {
      topic: name.value,
      where: "the namespace of SERVICE_BUS_CONNECTION_STR",
      // A lock of up to five minutes may have to end before a message comes again.
      patience: 360,
      settings: {},
      client: Layer.merge(ServiceBusClient.layerEnv(), ServiceBusAdministration.layerEnv())
    }
  }
  return {
    topic: "flights",
    where: "the embedded broker",
    patience: 30,
    settings: { lockDuration: "5 seconds", maxDeliveryCount: 5 } as const,
    client: Emulator.layer({ entities: [] })
  }
})

/** Ctrl-C. Only the first one is listened to: the second ends the process. */
const signal = Effect.callback<void>((resume) => {
  const onSignal = () => resume(Effect.void)
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, onSignal)
  return Effect.sync(() => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.removeListener(name, onSignal)
  })
})

const day = join(import.meta.dirname, "../data/flights.ndjson")

const main = Effect.gen(function*() {
  const { positionals: [given], values } = yield* args
  if (values.help === true) return yield* Effect.as(Console.log(usage), 0)
  const file = given ?? day
  const { client, patience, settings, topic, where } = yield* target
  const size = yield* lines.sizeOf(file)
  const job = Job.run({
    file,
    size,
    topic,
    ready: Console.log(`Working off ${relative("", file)} through the topic "${topic}" of ${where}. Ctrl-C stops.`),
    poison: values.poison ?? (given === undefined ? "F07777" : undefined),
    slow: values.slow ?? (given === undefined ? "F00500" : undefined),
    slowFor: "12 seconds",
    stop: signal,
    patience
  })
  const result = yield* topology.prepare(Flight.entities(topic), settings).pipe(
    Effect.flatMap(Console.log),
    Effect.andThen(job),
    Effect.provide([client, Progress.layer(process.stdout)])
  )
  yield* Console.log(report(result))
  return result.problems.length > 0 ? 1 : result.end === "stopped" ? 130 : 0
})

/** Errors that were foreseen are a line for a person; anything else is a bug and shows where. */
const exitCode = main.pipe(
  Effect.provide(NodeFileSystem.layer),
  // What the library warns about, a lock that was lost, is counted.
  Effect.provideService(References.MinimumLogLevel, "Error"),
  Effect.catchTag("UsageError", ({ message }) => Effect.as(Console.error(`${message} Try --help.`), 2)),
  Effect.catch((error) => Effect.as(Console.error(`${error.message.split("\n")[0]}`), 1)),
  Effect.catchCause((cause) => Effect.as(Console.error(`This is a bug. ${Cause.pretty(cause)}`), 1))
)

// NodeRuntime.runMain would take Ctrl-C as an interruption of everything; here it is a wish that the job is told.
const runMain = Runtime.makeRunMain(({ fiber }) => {
  fiber.addObserver((exit) => {
    process.exitCode = Exit.isSuccess(exit) ? exit.value as number : 1
  })
})

// A reader that has seen enough, as `head` does, is no failure.
process.stdout.on("error", () => process.exit(0))

runMain(exitCode)
