/**
 * The command line of `effect-service-bus emulator`: its flags, what its help says of them, and the broker's options that they
 * come to. What is wrong is an EmulatorError, before anything listens: here one that names the flag, and where the names of
 * entities do not fit, that of the broker.
 *
 * Its arguments are read by Node's parseArgs: `effect/cli` asks for a terminal, a file system and child processes, which
 * come with platform packages that users of the client would have to install.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { EmulatorError } from "../ServiceBusError.ts"
import * as Emulator from "./Emulator.ts"
import * as Certificate from "./security/Certificate.ts"

/** What `--help` prints. */
export const usage = `Usage: effect-service-bus emulator [--queue NAME] [--subscription TOPIC/NAME] [options]

Runs a Service Bus broker in memory on ports of this machine and prints what clients connect with. Entities that it does not
start with are made by administration clients.

  --queue NAME              a queue to start with; may be given many times
  --topic NAME              a topic to start with; may be given many times
  --subscription TOPIC/NAME a subscription to start with, and its topic; may be given many times
  --session-queue NAME, --session-subscription TOPIC/NAME
                            the same, requiring sessions
  --key KEY                 the key of RootManageSharedAccessKey; a random one by default
  --port PORT               the port for AMQP, and for administration over HTTP; 5672 by default, 0 for any free one
  --admin-port PORT         one more port for administration over HTTP; 5300 by default, 0 (which it is with --port 0) for any
                            free one
  --tls-port PORT           a port for AMQP over TLS; none by default, 0 for any free one
  --websocket-port PORT     a port for AMQP over WebSocket and TLS; none by default, 0 for any free one
  --https-port PORT         a port for administration over HTTPS; none by default, 0 for any free one
  --cert FILE, --cert-key FILE
                            certificate and key (PEM) of these three; by default the broker signs one itself
  --write-cert FILE         where to write the one that it signs, for clients to trust; it is printed by default
  --host HOST               the address to listen on; 127.0.0.1 by default, 0.0.0.0 for other machines and containers
  --lock-duration SECONDS   how long a received message is locked; 60 by default
  --max-delivery-count N    how often a message may fail before it is dead-lettered; 10 by default
  --max-connections N       how many connections may be open at a time; 5000 by default
  --max-handshakes N        how many sockets may be in a handshake at a time; 1000 by default
  --help                    this text`

/** A failure of the command. */
export const fail = (problem: string, cause?: unknown) =>
  Effect.fail(new EmulatorError(cause === undefined ? { problem } : { problem, cause }))

/** What went wrong, in its own words. */
export const wordsOf = (cause: unknown): string => cause instanceof Error ? cause.message : String(cause)

/** A text as a shell takes it literally (POSIX Shell Command Language, single quotes). */
export const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`

/** Node's word on arguments, without its advice to users of parseArgs. */
const argumentProblem = (cause: unknown): string => {
  const [first = "", ...advice] = wordsOf(cause).split(/\.? *\n|\. /)
  const dashed = advice.find((line) => line.includes("starting with a dash"))?.replace(/.*use '(--[\w-]+)=.*/s, "$1")
  return dashed === undefined
    ? `${first}; see --help`
    : `${dashed} has no value; one that begins with a dash is written ${dashed}=VALUE`
}

const parse = (args: ReadonlyArray<string>) => {
  const { positionals, tokens, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    tokens: true,
    options: {
      queue: { type: "string", multiple: true },
      topic: { type: "string", multiple: true },
      subscription: { type: "string", multiple: true },
      "session-queue": { type: "string", multiple: true },
      "session-subscription": { type: "string", multiple: true },
      key: { type: "string" },
      port: { type: "string" },
      "tls-port": { type: "string" },
      "websocket-port": { type: "string" },
      "admin-port": { type: "string" },
      "https-port": { type: "string" },
      cert: { type: "string" },
      "cert-key": { type: "string" },
      "write-cert": { type: "string" },
      host: { type: "string" },
      "lock-duration": { type: "string" },
      "max-delivery-count": { type: "string" },
      "max-connections": { type: "string" },
      "max-handshakes": { type: "string" },
      help: { type: "boolean" }
    }
  })
  const given = tokens.flatMap((token) => token.kind === "option" ? [token.name] : [])
  const twice = given.find((name, index) =>
    given.indexOf(name) !== index && !Array.isArray(values[name as keyof typeof values])
  )
  if (twice !== undefined) throw new Error(`--${twice} is given twice`)
  return { positionals, values }
}

/** A number that an option is given as, within a range that its error names. */
const number = (name: string, text: string | undefined, min: number, max: number, isInteger = true) => {
  if (text === undefined) return Effect.undefined
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
  if (value >= min && value <= max && (!isInteger || Number.isInteger(value))) return Effect.succeed(value)
  return fail(`--${name} must be ${isInteger ? "an integer" : "a number"} from ${min} to ${max}, not "${text}"`)
}

const port = (name: string, text: string | undefined) => number(name, text, 0, 65535)

const pem = (name: string, file: string) =>
  Effect.catch(
    Effect.try({ try: () => readFileSync(file, "utf8"), catch: (cause) => cause }),
    (cause) => fail(`--${name}: "${file}" cannot be read (${wordsOf(cause)})`, cause)
  )

/** What the command is told to do. */
export type CommandLine = { readonly _tag: "Help" } | {
  readonly _tag: "Serve"
  readonly server: Emulator.ServerOptions & { readonly host: string }
  /** The entities, as the command tells of them. */
  readonly names: ReadonlyArray<string>
  /** The file for the certificate that the broker signs itself. */
  readonly writeTo: string | undefined
}

/** Reads the arguments of the command. */
export const read: (args: ReadonlyArray<string>) => Effect.Effect<CommandLine, EmulatorError> = Effect.fnUntraced(
  function*(args) {
    const { positionals, values } = yield* Effect.catch(
      Effect.try({ try: () => parse(args), catch: (cause) => cause }),
      (cause) => fail(argumentProblem(cause), cause)
    )
    if (values.help === true) return { _tag: "Help" }
    if (positionals[0] !== "emulator" || positionals.length !== 1) {
      const [first, second] = positionals
      return yield* fail(
        first === undefined
          ? "give the command \"emulator\"; see --help"
          : `"${first === "emulator" ? second : first}" is no command: the only one is "emulator"; see --help`
      )
    }
    const queues = [
      ...(values.queue ?? []).map((name) => ({ name, requiresSession: false })),
      ...(values["session-queue"] ?? []).map((name) => ({ name, requiresSession: true }))
    ]
    const subscriptions: Array<{ readonly topic: string; readonly name: string; readonly requiresSession: boolean }> =
      []
    for (const option of ["subscription", "session-subscription"] as const) {
      for (const path of values[option] ?? []) {
        const slash = path.lastIndexOf("/")
        if (slash === -1) return yield* fail(`--${option} is TOPIC/NAME, not "${path}"`)
        subscriptions.push({
          topic: path.slice(0, slash),
          name: path.slice(slash + 1),
          requiresSession: option === "session-subscription"
        })
      }
    }
    // Names differ by more than their case.
    const topics = Array.from(
      new Map(
        [...(values.topic ?? []), ...subscriptions.map(({ topic }) => topic)].map((name) => [name.toLowerCase(), name])
      )
        .values()
    )
    const isSecure = [values["tls-port"], values["websocket-port"], values["https-port"]].some((port) =>
      port !== undefined
    )
    const writeTo = values["write-cert"]
    if (!isSecure && (values.cert ?? values["cert-key"] ?? writeTo) !== undefined) {
      return yield* fail("a certificate is for --tls-port, --websocket-port and --https-port; give one of them")
    }
    if ((values.cert === undefined) !== (values["cert-key"] === undefined)) {
      return yield* fail("give --cert and --cert-key together")
    }
    if (values.cert !== undefined && writeTo !== undefined) {
      return yield* fail("give either --cert with --cert-key, or --write-cert for one that the broker signs itself")
    }
    const lock = yield* number("lock-duration", values["lock-duration"], 1, 300, false)
    const options = {
      lockDuration: lock === undefined ? undefined : Duration.seconds(lock),
      maxDeliveryCount: yield* number("max-delivery-count", values["max-delivery-count"], 1, 2000)
    }
    if (values.key !== undefined && !Emulator.isKey(values.key)) {
      return yield* fail("--key must be 1 to 256 characters, without semicolons and without spaces at its ends")
    }
    let certificate: Certificate.Certificate | undefined
    if (values.cert !== undefined && values["cert-key"] !== undefined) {
      certificate = { cert: yield* pem("cert", values.cert), key: yield* pem("cert-key", values["cert-key"]) }
      yield* Effect.catch(
        Certificate.check(certificate),
        ({ cause, problem }) => fail(`--cert and --cert-key: ${problem}`, cause)
      )
    }
    const host = values.host ?? "127.0.0.1"
    const amqpPort = (yield* port("port", values.port)) ?? 5672
    const server = {
      host,
      port: amqpPort,
      tlsPort: yield* port("tls-port", values["tls-port"]),
      webSocketPort: yield* port("websocket-port", values["websocket-port"]),
      httpPort: (yield* port("admin-port", values["admin-port"])) ?? (amqpPort === 0 ? 0 : 5300),
      httpsPort: yield* port("https-port", values["https-port"]),
      key: values.key === undefined ? undefined : Redacted.make(values.key),
      certificate,
      maxConnections: yield* number("max-connections", values["max-connections"], 1, Number.MAX_SAFE_INTEGER),
      maxHandshakes: yield* number("max-handshakes", values["max-handshakes"], 1, Number.MAX_SAFE_INTEGER),
      entities: [
        ...queues.map(({ name, requiresSession }) => Emulator.entity(name, { ...options, requiresSession })),
        ...topics.map((name) => ({ kind: "topic" as const, name })),
        ...subscriptions.map(({ name, requiresSession, topic }) => ({
          kind: "subscription" as const,
          topic,
          name,
          options: { ...options, requiresSession }
        }))
      ]
    }
    const names = [
      ...queues.map(({ name }) => name),
      ...topics,
      ...subscriptions.map(({ name, topic }) => `${topic}/${name}`)
    ]
    return { _tag: "Serve", server, names, writeTo }
  }
)
