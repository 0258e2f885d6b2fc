#!/usr/bin/env node
/**
 * The command `effect-service-bus emulator`: the embedded broker on ports, for any program on this machine. It prints its
 * connection strings once its entities are there, on the standard output, and all else on the standard error output; it runs
 * until it is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { writeFileSync } from "node:fs"
import * as ConnectionString from "../ConnectionString.ts"
import { EmulatorError } from "../ServiceBusError.ts"
import * as CommandLine from "./CommandLine.ts"
import type * as Controls from "./Controls.ts"
import * as CountScreen from "./CountScreen.ts"
import * as Emulator from "./Emulator.ts"

type Serve = Extract<CommandLine.CommandLine, { readonly _tag: "Serve" }>

// Who reads the output may have gone: the broker goes on.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

const print = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

const warn = (words: string) => Effect.sync(() => void process.stderr.write(`effect-service-bus: warning: ${words}\n`))

const opened = (port: number): number | undefined => port === 0 ? undefined : port

/** What an administration client connects with: over HTTPS where that is open, since only .NET's and ours speak HTTP. */
const adminConnectionString = ({ connectionString, httpPort, httpsPort }: Controls.Controls) =>
  httpsPort !== 0
    ? Emulator.overTls(connectionString, httpsPort)
    : Result.match(ConnectionString.parseResult(connectionString), {
      onSuccess: (parsed) => ConnectionString.format({ ...parsed, port: opened(httpPort) ?? parsed.port }),
      // The string is our own.
      onFailure: () => connectionString
    })

const json = (serve: Serve, emulator: Controls.Controls): string =>
  JSON.stringify({
    // The key is of this run, or the person's who started it.
    connectionString: Redacted.value(emulator.connectionString),
    adminConnectionString: Redacted.value(adminConnectionString(emulator)),
    amqpPort: emulator.port,
    adminPort: opened(emulator.httpPort),
    httpsPort: opened(emulator.httpsPort),
    tlsPort: opened(emulator.tlsPort),
    webSocketPort: opened(emulator.webSocketPort),
    certificate: emulator.certificate,
    ...signIn(serve, emulator)
  })

/** Where the identities of the broker, if it has any, get their tokens; the first of the two is https. */
const signIn = (
  { server }: Serve,
  { httpsPort, port, tlsPort, webSocketPort }: Controls.Controls
): { readonly authorityHost?: string; readonly identityEndpoint?: string } => {
  if (server.identities?.length === 0) return {}
  const host = Emulator.isAnyAddress(server.host) ? "localhost" : server.host
  const called = host.includes(":") ? `[${host}]` : host
  const secure = opened(httpsPort) ?? opened(tlsPort) ?? opened(webSocketPort)
  return {
    ...(secure === undefined ? {} : { authorityHost: `https://${called}:${secure}` }),
    identityEndpoint: `http://${called}:${port}/msi/token`
  }
}

const text = (serve: Serve, emulator: Controls.Controls): string => {
  const { names, server, writeTo } = serve
  const { certificate, connectionString, httpPort, httpsPort, port, tlsPort, webSocketPort } = emulator
  const { host } = server
  const address = (port: number) => `${host.includes(":") ? `[${host}]` : host}:${port}`
  const setting = (text: Redacted.Redacted<string>) =>
    `SERVICE_BUS_CONNECTION_STR=${CommandLine.quoted(Redacted.value(text))}`
  const secured = [[tlsPort, "TLS"], [webSocketPort, "WebSocket and TLS"]] as const
  const file = typeof server.data === "object" ? server.data.file : server.data
  const entities = file === undefined ? names : [...names, `what ${file} has`]
  const held = entities.length === 0 ? "no entities yet" : entities.join(", ")
  const lines = [`Listening on ${address(port)} with ${held}`]
  for (const [port, how] of secured) if (port !== 0) lines.push(`Listening on ${address(port)} over ${how}`)
  for (const [port, how] of [[httpPort, "HTTP"], [httpsPort, "HTTPS"]] as const) {
    if (port !== 0) lines.push(`Listening on ${address(port)} for administration over ${how}`)
  }
  const called = Emulator.isAnyAddress(host) ? "localhost" : host.includes(":") ? `[${host}]` : host
  lines.push(`Its page for a browser: http://${called}:${opened(httpPort) ?? port}/`)
  lines.push(setting(connectionString))
  for (const [port, how] of secured) {
    if (port !== 0) lines.push(`${setting(Emulator.overTls(connectionString, port))} # over ${how}`)
  }
  const { authorityHost, identityEndpoint } = signIn(serve, emulator)
  if (identityEndpoint !== undefined) {
    lines.push(`IDENTITY_ENDPOINT=${identityEndpoint} # IDENTITY_HEADER is the secret of the identity`)
  }
  if (authorityHost !== undefined) {
    lines.push(`AZURE_AUTHORITY_HOST=${authorityHost} AZURE_TENANT_ID=adfs # AZURE_CLIENT_ID and AZURE_CLIENT_SECRET`)
  }
  if (Emulator.isAnyAddress(host)) {
    lines.push("Other machines and containers dial this machine's name (or host.docker.internal) in place of localhost")
  }
  if (certificate !== undefined && server.certificate === undefined) {
    lines.push(
      writeTo === undefined
        ? `Clients over TLS have to trust its certificate:\n${certificate.trimEnd()}`
        : `Clients over TLS have to trust its certificate; with Node: NODE_EXTRA_CA_CERTS=${writeTo}`
    )
  }
  return lines.join("\n")
}

/** Tells of a broker that is ready. */
const announce = (command: Serve) =>
  Effect.gen(function*() {
    const emulator = yield* Emulator.Emulator
    const { certificate } = emulator
    const { isJson, title, writeTo } = command
    if (certificate !== undefined && writeTo !== undefined) {
      yield* Effect.catch(
        Effect.try({
          try: () => {
            writeFileSync(writeTo, certificate)
          },
          catch: (cause) => cause
        }),
        (cause) =>
          CommandLine.fail(
            `${title("write-cert")}: "${writeTo}" cannot be written (${CommandLine.wordsOf(cause)})`,
            cause
          )
      )
    }
    yield* print(isJson ? json(command, emulator) : text(command, emulator))
  })

const terminal: CountScreen.Terminal = {
  write: (text) => void process.stdout.write(text),
  size: () => ({ columns: process.stdout.columns, rows: process.stdout.rows })
}

/** Shows counts where that was asked for, and there is a terminal that they can be drawn on. */
const watch = ({ isJson, isWatched }: Serve): Layer.Layer<never, never, Emulator.Emulator> => {
  if (!isWatched) return Layer.empty
  return Layer.effectDiscard(
    process.stdout.isTTY && !isJson
      ? Effect.forkScoped(CountScreen.watch(terminal))
      : warn("--watch shows nothing: the output is no terminal, or is for programs (--json)")
  )
}

/** The flag of the port that cannot be listened on, where an error is about one. */
const flagOf = ({ server }: Serve, cause: unknown): CommandLine.ServedFlag | undefined => {
  if (typeof cause !== "object" || cause === null || !("port" in cause)) return undefined
  const flags = [
    ["port", server.port],
    ["admin-port", server.httpPort],
    ["tls-port", server.tlsPort],
    ["websocket-port", server.webSocketPort],
    ["https-port", server.httpsPort]
  ] as const
  return flags.find(([, port]) => port === cause.port)?.[0]
}

/** Sends what the broker counts to a collector, where a variable names one; otherwise what does it is not loaded. */
const exportMetrics: Effect.Effect<Layer.Layer<never, never, Emulator.Emulator>> = Effect.gen(function*() {
  const { OTEL_EXPORTER_OTLP_ENDPOINT: ofAll, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: ofMetrics } = process.env
  if (!(ofAll?.trim() || ofMetrics?.trim())) return Layer.empty
  const MetricExport = yield* Effect.promise(() => import("./MetricExport.ts"))
  const { settings, warnings } = MetricExport.read(process.env)
  for (const words of warnings) yield* warn(words)
  return settings === undefined ? Layer.empty : MetricExport.layer(settings, warn)
})

const listen = (
  command: Serve,
  metrics: Layer.Layer<never, never, Emulator.Emulator>
): Effect.Effect<never, EmulatorError> =>
  Effect.catch(
    // What sends metrics ends first, while the broker is there.
    Layer.launch(
      // What is drawn stands under what is told.
      watch(command).pipe(
        Layer.provideMerge(Layer.effectDiscard(announce(command))),
        Layer.merge(metrics),
        Layer.provide(Emulator.layerServer(command.server))
      )
    ),
    (error) => {
      const flag = flagOf(command, error.cause)
      if (flag === undefined) return Effect.fail(error)
      const { httpPort, port, ...server } = command.server
      if (flag !== "admin-port" || !command.isAdminPortOptional) {
        return CommandLine.fail(
          `${command.title(flag)}: ${error.problem}; give another port, or 0 for any free one`,
          error.cause
        )
      }
      return Effect.andThen(
        warn(`port ${httpPort} is not open, since ${error.problem}; administration is answered on port ${port} alone`),
        listen({ ...command, server: { ...server, port }, isAdminPortOptional: false }, metrics)
      )
    }
  )

const serve = Effect.gen(function*() {
  const command = yield* CommandLine.read(process.argv.slice(2), process.env)
  if (command._tag === "Help") return yield* print(CommandLine.usage)
  if (command._tag === "Version") {
    return yield* print(`effect-service-bus ${CommandLine.version} on Node ${process.versions.node}`)
  }
  for (const words of command.warnings) yield* warn(words)
  return yield* listen(command, yield* exportMetrics)
})

const fiber = Effect.runFork(Effect.provideService(serve, Logger.LogToStderr, true))
const signals = ["SIGINT", "SIGTERM"] as const
const stop = () => {
  // The next one ends the process, as it does without us.
  for (const signal of signals) process.off(signal, stop)
  fiber.interruptUnsafe()
}
for (const signal of signals) process.on(signal, stop)
Effect.runFork(Effect.map(Fiber.await(fiber), (exit) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return
  const error = Cause.squash(exit.cause)
  const problem = error instanceof EmulatorError ? error.problem : CommandLine.wordsOf(error)
  // The problems of a file have lines of their own, which are indented.
  process.stderr.write(`effect-service-bus: ${problem.replaceAll(/\n(?!  )/g, " ")}\n`)
  process.exitCode = 1
}))
