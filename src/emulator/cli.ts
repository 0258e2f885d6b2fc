#!/usr/bin/env node
/**
 * The command `effect-service-bus emulator`: the embedded broker on ports, for any program on this machine. It prints its
 * connection strings and runs until it is interrupted.
 */
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { writeFileSync } from "node:fs"
import { EmulatorError } from "../ServiceBusError.ts"
import * as CommandLine from "./CommandLine.ts"
import * as Emulator from "./Emulator.ts"

const serve = Effect.gen(function*() {
  const command = yield* CommandLine.read(process.argv.slice(2))
  if (command._tag === "Help") return yield* Console.log(CommandLine.usage)
  const { names, server, writeTo } = command
  const { host } = server
  const announce = Effect.gen(function*() {
    const { certificate, connectionString, httpPort, httpsPort, port, tlsPort, webSocketPort } = yield* Emulator
      .Emulator
    const address = (port: number) => `${host.includes(":") ? `[${host}]` : host}:${port}`
    // The key is of this run, or the person's who started it.
    const setting = (text: Redacted.Redacted<string>) =>
      `SERVICE_BUS_CONNECTION_STR=${CommandLine.quoted(Redacted.value(text))}`
    const secured = [[tlsPort, "TLS"], [webSocketPort, "WebSocket and TLS"]] as const
    const lines = [`Listening on ${address(port)} with ${names.length === 0 ? "no entities yet" : names.join(", ")}`]
    for (const [port, how] of secured) if (port !== 0) lines.push(`Listening on ${address(port)} over ${how}`)
    for (const [port, how] of [[httpPort, "HTTP"], [httpsPort, "HTTPS"]] as const) {
      if (port !== 0) lines.push(`Listening on ${address(port)} for administration over ${how}`)
    }
    lines.push(setting(connectionString))
    for (const [port, how] of secured) {
      if (port !== 0) lines.push(`${setting(Emulator.overTls(connectionString, port))} # over ${how}`)
    }
    if (Emulator.isAnyAddress(host)) {
      lines.push(
        "Other machines and containers dial this machine's name (or host.docker.internal) in place of localhost"
      )
    }
    if (certificate !== undefined && server.certificate === undefined) {
      if (writeTo === undefined) lines.push(`Clients over TLS have to trust its certificate:\n${certificate.trimEnd()}`)
      else {
        yield* Effect.catch(
          Effect.try({
            try: () => {
              writeFileSync(writeTo, certificate)
            },
            catch: (cause) => cause
          }),
          (cause) =>
            CommandLine.fail(`--write-cert: "${writeTo}" cannot be written (${CommandLine.wordsOf(cause)})`, cause)
        )
        lines.push(`Clients over TLS have to trust its certificate; with Node: NODE_EXTRA_CA_CERTS=${writeTo}`)
      }
    }
    yield* Console.log(lines.join("\n"))
  })
  return yield* Layer.launch(Layer.provide(Layer.effectDiscard(announce), Emulator.layerServer(server)))
})

const fiber = Effect.runFork(serve)
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
  process.stderr.write(`effect-service-bus: ${problem.replaceAll("\n", " ")}\n`)
  process.exitCode = 1
}))
