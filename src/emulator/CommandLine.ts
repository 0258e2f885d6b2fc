/**
 * The command line of `effect-service-bus emulator`: its flags, the environment variables of the same names, what its help
 * says of them, and the broker's options that they and a configuration file come to. What is wrong is an EmulatorError, before
 * anything listens: one that names the flag, the variable, or the file and the path in it.
 *
 * Its arguments are read by Node's parseArgs: `effect/cli` asks for a terminal, a file system and child processes, which
 * come with platform packages that users of the client would have to install.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { parseArgs } from "node:util"
import { EmulatorError } from "../ServiceBusError.ts"
import * as ServiceBusRule from "../ServiceBusRule.ts"
import * as Broker from "./broker/Broker.ts"
import * as EntityPath from "./broker/EntityPath.ts"
import * as Rule from "./broker/filter/Rule.ts"
import * as SqlLexer from "./broker/filter/SqlLexer.ts"
import * as ConfigFile from "./config/ConfigFile.ts"
import * as Configuration from "./config/Configuration.ts"
import * as TextFile from "./config/TextFile.ts"
import * as Emulator from "./Emulator.ts"
import * as Certificate from "./security/Certificate.ts"
import * as Identity from "./security/Identity.ts"

/** What `--help` prints: it fits a screen of 40 lines. */
export const usage = `Usage: effect-service-bus emulator [options]

Runs a Service Bus broker on ports of this machine, and prints what clients connect with.
Each flag but the last two is a variable too, --port EFFECT_SERVICE_BUS_PORT; the flag wins.
Where OTEL_EXPORTER_OTLP_ENDPOINT names a collector, metrics are sent to it.

Entities to start with; each flag may be given many times. Administration clients make others.
  --queue NAME                  a queue
  --topic NAME                  a topic
  --subscription TOPIC/NAME     a subscription, and its topic
  --rule TOPIC/SUB/NAME=SQL     a rule in place of $Default: a filter, or a filter; and an action
  --session-queue NAME, --session-subscription TOPIC/NAME        they require sessions
  --duplicate-queue NAME, --duplicate-topic NAME                 they detect duplicates
  --config FILE                 Microsoft's Config.json, or an ARM template (bicep build); once
  --parameter NAME=VALUE        a parameter of the template
What entities have that say nothing else of it
  --lock-duration SECONDS       how long a received message is locked; 60
  --max-delivery-count N        how often a message may fail until it is dead-lettered; 10
  --duplicate-window SECONDS    for how long duplicates are detected; 600
Ports: 0 is any free one
  --port PORT                   AMQP, and administration over HTTP; 5672
  --admin-port PORT             administration over HTTP; 5300, or any free one with --port 0
  --tls-port PORT, --websocket-port PORT, --https-port PORT      the same with TLS; none
  --host HOST                   the address to listen on; 127.0.0.1, and 0.0.0.0 for all
Keys and certificates
  --key KEY                     of RootManageSharedAccessKey; random, SAS_KEY_VALUE with --config
  --identity CLIENT_ID=SECRET   an identity that gets tokens as from Entra; Owner without a --role
  --role CLIENT_ID=ROLE[@ENTITY]    its role, owner, sender or receiver, of all or one; many times
  --cert FILE, --cert-key FILE  for the ports with TLS, in PEM; by default the broker signs one
  --write-cert FILE             where to write the one that it signs; printed by default
Namespaces, time, limits and output
  --max-connections N           connections open at a time; 5000
  --max-handshakes N            sockets in a handshake at a time; 1000
  --namespaces any              a namespace for each name of a key, or host, made by its first use
  --data FILE                   keeps all of it in a file, over restarts; in memory by default
  --data-sync normal|full       full: not even a loss of power takes what was accepted; normal
  --clock manual|real           manual: its time moves by POST /clock/advance alone; real
  --json                        prints one line of JSON when it is ready, all else to stderr
  --watch                       shows the counts of entities on the terminal, every second
  --help, --version             this text; which version this is`

/** That of the package, which a test holds: where the command is one file there is no package.json to read. */
export const version = "0.1.0"

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

const options = {
  queue: { type: "string", multiple: true },
  topic: { type: "string", multiple: true },
  subscription: { type: "string", multiple: true },
  rule: { type: "string", multiple: true },
  "session-queue": { type: "string", multiple: true },
  "session-subscription": { type: "string", multiple: true },
  "duplicate-queue": { type: "string", multiple: true },
  "duplicate-topic": { type: "string", multiple: true },
  config: { type: "string" },
  parameter: { type: "string", multiple: true },
  "lock-duration": { type: "string" },
  "max-delivery-count": { type: "string" },
  "duplicate-window": { type: "string" },
  key: { type: "string" },
  identity: { type: "string", multiple: true },
  role: { type: "string", multiple: true },
  port: { type: "string" },
  "admin-port": { type: "string" },
  "tls-port": { type: "string" },
  "websocket-port": { type: "string" },
  "https-port": { type: "string" },
  host: { type: "string" },
  cert: { type: "string" },
  "cert-key": { type: "string" },
  "write-cert": { type: "string" },
  "max-connections": { type: "string" },
  "max-handshakes": { type: "string" },
  namespaces: { type: "string" },
  clock: { type: "string" },
  data: { type: "string" },
  "data-sync": { type: "string" },
  json: { type: "boolean" },
  watch: { type: "boolean" },
  help: { type: "boolean" },
  version: { type: "boolean" }
} as const

type Name = keyof typeof options

/** The flags that are given many times, and those that are given once. */
type ListName = { [N in Name]: (typeof options)[N] extends { readonly multiple: true } ? N : never }[Name]
type TextName = { [N in Name]: (typeof options)[N] extends { readonly type: "string" } ? N : never }[Name]

const parse = (args: ReadonlyArray<string>) => {
  const { positionals, tokens, values } = parseArgs({ args: [...args], allowPositionals: true, tokens: true, options })
  const given = tokens.flatMap((token) => token.kind === "option" ? [token.name] : [])
  const twice = given.find((name, index) =>
    given.indexOf(name) !== index && !Array.isArray(values[name as keyof typeof values])
  )
  if (twice !== undefined) throw new Error(`--${twice} is given twice`)
  return { positionals, values }
}

/** What the variables of all flags begin with. */
const prefix = "EFFECT_SERVICE_BUS_"

/** What the command is given: by flags, or else by variables; an empty variable is none. */
class Given {
  private readonly values: ReturnType<typeof parse>["values"]
  private readonly variables: Readonly<Record<string, string | undefined>>

  constructor(values: ReturnType<typeof parse>["values"], variables: Readonly<Record<string, string | undefined>>) {
    this.values = values
    this.variables = variables
  }

  /** The flag, or the variable that was given in its place. */
  title(name: Name): string {
    return this.values[name] === undefined && this.variable(name) !== undefined ? variableOf(name) : `--${name}`
  }

  text(name: Exclude<TextName, ListName>): string | undefined {
    return this.values[name] ?? this.variable(name)
  }

  /** A variable has its values on lines of their own; names, which have no commas, may stand between commas too. */
  list(name: ListName): ReadonlyArray<string> {
    const separator = name === "rule" || name === "parameter" || name === "identity" ? /\r?\n/ : /\r?\n|,/
    return this.values[name] ?? this.variable(name)?.split(separator).map((each) => each.trim()).filter(Boolean) ?? []
  }

  is(name: "json" | "watch"): Effect.Effect<boolean, EmulatorError> {
    const word = this.variable(name)
    if (this.values[name] !== undefined || word === undefined) return Effect.succeed(this.values[name] ?? false)
    if (/^(true|1)$/i.test(word)) return Effect.succeed(true)
    return /^(false|0)$/i.test(word)
      ? Effect.succeed(false)
      : fail(`${variableOf(name)} must be true or false, not "${word}"`)
  }

  /** Variables that are named as if they were for this command, and are not. */
  get unknown(): ReadonlyArray<string> {
    const { help: _help, version: _version, ...variables } = options
    const known = new Set(Object.keys(variables).map((name) => variableOf(name as Name)))
    return Object.keys(this.variables).filter((name) =>
      name.startsWith(prefix) && !known.has(name) && !isOfKubernetes(name)
    )
  }

  private variable(name: Name): string | undefined {
    const value = this.variables[variableOf(name)]
    // Kubernetes gives the containers of a pod such a variable for a service that is called effect-service-bus.
    return value === undefined || value === "" || name === "port" && value.startsWith("tcp://") ? undefined : value
  }
}

const variableOf = (name: Name): string => `${prefix}${name.toUpperCase().replaceAll("-", "_")}`

const isOfKubernetes = (name: string): boolean =>
  new RegExp(`^${prefix}(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\\d+_(TCP|UDP|SCTP)(_.*)?)$`).test(name)

/** A number that an option is given as, within a range that its error names. */
const number = (
  given: Given,
  name: Exclude<TextName, ListName>,
  min: number,
  max: number,
  isInteger = true
): Effect.Effect<number | undefined, EmulatorError> => {
  const text = given.text(name)
  if (text === undefined) return Effect.undefined
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN
  if (value >= min && value <= max && (!isInteger || Number.isInteger(value))) return Effect.succeed(value)
  return fail(
    `${given.title(name)} must be ${isInteger ? "an integer" : "a number"} from ${min} to ${max}, not "${text}"`
  )
}

const fileOf = (given: Given, name: "cert" | "cert-key" | "config", file: string) =>
  Effect.catch(
    Effect.try({ try: () => TextFile.read(file), catch: (cause) => cause }),
    (cause) => fail(`${given.title(name)}: "${file}" cannot be read (${wordsOf(cause)})`, cause)
  )

/** The key of Microsoft's emulator, as its documentation prints it. */
const documentedKey = "SAS_KEY_VALUE"

/** An entity that flags declare; several flags may say something of one. */
interface Flagged {
  /** The first flag that named it. */
  readonly title: string
  readonly kind: "queue" | "topic" | "subscription"
  readonly topic: string
  readonly name: string
  requiresSession: boolean
  detectsDuplicates: boolean
  readonly rules: Array<ServiceBusRule.Rule>
}

/** The topic and the name of a subscription. */
const pathOf = (text: string): readonly [topic: string, name: string] | undefined => {
  const slash = text.lastIndexOf("/")
  return slash === -1 ? undefined : [text.slice(0, slash), text.slice(slash + 1)]
}

/**
 * A rule, and the path of its subscription. No filter has a semicolon but in quotation marks or brackets: an action stands after
 * the first that is another.
 */
const ruleOf = (title: string, text: string) => {
  const [, path = "", name = "", sql = ""] = /^([^=]*)\/([^=/]*)=([^]*)$/.exec(text) ?? []
  const wrong = (problem: string) => fail(`${title} "${text.slice(0, text.indexOf("=") >>> 0)}": ${problem}`)
  if (pathOf(path) === undefined || name === "") {
    return fail(`${title} is TOPIC/SUBSCRIPTION/NAME=SQL, not "${text}"`)
  }
  const end = semicolonIn(sql)
  const action = sql.slice(end + 1).trim()
  const rule = ServiceBusRule.make(
    name,
    ServiceBusRule.sql(sql.slice(0, end)),
    action === "" ? undefined : ServiceBusRule.action(action)
  )
  const problem = ServiceBusRule.problemOf(rule)
  if (problem !== undefined) return wrong(`its ${problem.option} must be ${problem.expected}`)
  const compiled = Rule.compile(rule)
  return Result.isFailure(compiled)
    ? wrong(`its ${compiled.failure.part} cannot be read. ${compiled.failure.message}`)
    : Effect.succeed({ path, rule })
}

const semicolonIn = (sql: string): number => {
  try {
    return SqlLexer.tokensOf(sql).find(({ kind }) => kind === ";")?.at ?? sql.length
  } catch {
    // What it is refused for is said of the whole.
    return sql.length
  }
}

/** The entities that flags declare, the subscriptions after their topics. Names differ by more than their case. */
const flagged = Effect.fnUntraced(function*(given: Given) {
  const entities = new Map<string, Flagged>()
  const add = (option: Name, kind: Flagged["kind"], topic: string, name: string): Flagged => {
    const key = `${kind} ${topic}/${name}`.toLowerCase()
    const entity = entities.get(key) ?? {
      title: given.title(option),
      kind,
      topic,
      name,
      requiresSession: false,
      detectsDuplicates: false,
      rules: []
    }
    entities.set(key, entity)
    return entity
  }
  const subscription = (option: Name, path: string) => {
    const [topic, name] = pathOf(path)!
    add(option, "topic", "", topic)
    return add(option, "subscription", topic, name)
  }
  for (const name of given.list("queue")) add("queue", "queue", "", name)
  for (const name of given.list("session-queue")) add("session-queue", "queue", "", name).requiresSession = true
  for (const name of given.list("duplicate-queue")) add("duplicate-queue", "queue", "", name).detectsDuplicates = true
  for (const name of given.list("topic")) add("topic", "topic", "", name)
  for (const name of given.list("duplicate-topic")) add("duplicate-topic", "topic", "", name).detectsDuplicates = true
  for (const option of ["subscription", "session-subscription"] as const) {
    for (const path of given.list(option)) {
      if (pathOf(path) === undefined) return yield* fail(`${given.title(option)} is TOPIC/NAME, not "${path}"`)
      const made = subscription(option, path)
      made.requiresSession ||= option === "session-subscription"
    }
  }
  for (const text of given.list("rule")) {
    const { path, rule } = yield* ruleOf(given.title("rule"), text)
    const { rules } = subscription("rule", path)
    if (rules.some(({ name }) => name === rule.name)) {
      return yield* fail(`${given.title("rule")} "${path}/${rule.name}" is given twice`)
    }
    rules.push(rule)
  }
  return Array.from(entities.values()).toSorted((a, b) => rank[a.kind] - rank[b.kind])
})

const rank = { queue: 0, topic: 1, subscription: 2 } as const

/** What is wrong with a file, in lines: all of it, as long as somebody can read it. */
const problemsOf = (title: string, file: string, problems: ReadonlyArray<string>): string => {
  const [first, ...others] = problems
  if (others.length === 0) return `${title} "${file}": ${first}`
  const shown = problems.slice(0, 50)
  const more = problems.length - shown.length
  return [
    `${title} "${file}" has ${problems.length} problems:`,
    ...shown,
    ...(more === 0 ? [] : [`and ${more} more`])
  ].join("\n  ")
}

const config = Effect.fnUntraced(function*(
  given: Given,
  others: ReadonlyArray<Emulator.Entity>,
  defaults: NonNullable<Parameters<typeof ConfigFile.read>[1]>["defaults"]
) {
  const parameters = new Map<string, string>()
  for (const text of given.list("parameter")) {
    const [, name, value] = /^([^=]+)=([^]*)$/.exec(text) ?? []
    if (name === undefined) return yield* fail(`${given.title("parameter")} is NAME=VALUE, not "${text}"`)
    if (parameters.has(name)) return yield* fail(`${given.title("parameter")} "${name}" is given twice`)
    parameters.set(name, value!)
  }
  const file = given.text("config")
  if (file === undefined) {
    return parameters.size === 0
      ? undefined
      : yield* fail(`${given.title("parameter")} is for a template that --config names; give both`)
  }
  const read = ConfigFile.read(yield* fileOf(given, "config", file), { parameters, defaults, others })
  if (read.problems.length > 0) return yield* fail(problemsOf(given.title("config"), file, read.problems))
  return { ...read, warnings: read.warnings.map((words) => `${given.title("config")} "${file}": ${words}`) }
})

/** The roles of identities by their words. */
const roles = {
  owner: "Azure Service Bus Data Owner",
  sender: "Azure Service Bus Data Sender",
  receiver: "Azure Service Bus Data Receiver"
} as const

/** The path that a role is on: a subscription may be named as flags declare it, unless an entity is called so. */
const roleTarget = (entity: string, declared: ReadonlySet<string>): string => {
  const path = EntityPath.trimmed(entity)
  const [topic, name] = pathOf(path) ?? []
  const within = `${topic}/Subscriptions/${name}`
  return !declared.has(path.toLowerCase()) && declared.has(within.toLowerCase()) ? within : path
}

/**
 * The identities that flags declare. What is wrong with one is said without what may be its secret. `declared` are paths of
 * entities in lower case.
 */
const identitiesOf = Effect.fnUntraced(function*(given: Given, declared: ReadonlySet<string>) {
  const warnings: Array<string> = []
  const identities = new Map<string, Emulator.IdentityOptions & { readonly roles: Array<Emulator.RoleOptions> }>()
  for (const [index, text] of given.list("identity").entries()) {
    const [, clientId, secret] = /^([^=]+)=([^]*)$/.exec(text) ?? []
    const title = `${given.title("identity")} (the ${index + 1}. of them)`
    if (clientId === undefined) return yield* fail(`${title} is CLIENT_ID=SECRET`)
    if (!Identity.isClientId(clientId)) {
      return yield* fail(`${title}: the client id must be 1 to 128 letters, digits, ".", "_" and "-"`)
    }
    if (identities.has(clientId.toLowerCase())) return yield* fail(`${title}: "${clientId}" is given twice`)
    if (!Identity.isSecret(secret)) {
      return yield* fail(`${title}: the secret of "${clientId}" must be 1 to 256 printable characters without spaces`)
    }
    identities.set(clientId.toLowerCase(), { clientId, secret: Redacted.make(secret), roles: [] })
  }
  for (const text of given.list("role")) {
    const [, clientId, word, entity] = /^([^=]+)=([^@]*)(?:@([^]+))?$/.exec(text) ?? []
    const role = Object.entries(roles).find(([name]) => name === word?.toLowerCase())?.[1]
    if (clientId === undefined || role === undefined) {
      return yield* fail(
        `${
          given.title("role")
        } is CLIENT_ID=ROLE or CLIENT_ID=ROLE@ENTITY with owner, sender or receiver, not "${text}"`
      )
    }
    const identity = identities.get(clientId.toLowerCase())
    if (identity === undefined) {
      return yield* fail(`${given.title("role")} "${text}": no --identity has the client id "${clientId}"`)
    }
    const path = entity === undefined ? undefined : roleTarget(entity, declared)
    if (path === "") return yield* fail(`${given.title("role")} "${text}": ENTITY is the path of an entity`)
    if (path !== undefined && !declared.has(path.toLowerCase())) {
      warnings.push(
        `${given.title("role")} "${text}": no entity "${path}" is declared; the role is on one that is made`
      )
    }
    identity.roles.push({ role, entity: path })
  }
  return {
    identities: Array.from(
      identities.values(),
      ({ roles, ...identity }): Emulator.IdentityOptions => roles.length === 0 ? identity : { ...identity, roles }
    ),
    warnings
  }
})

/** What the command is told to do. */
export type CommandLine = { readonly _tag: "Help" } | { readonly _tag: "Version" } | {
  readonly _tag: "Serve"
  readonly server: Emulator.ServerOptions & { readonly host: string }
  /** The entities, as the command tells of them. */
  readonly names: ReadonlyArray<string>
  /** The file for the certificate that the broker signs itself. */
  readonly writeTo: string | undefined
  readonly isJson: boolean
  /** Whether counts are shown on the terminal. */
  readonly isWatched: boolean
  /** Whether nobody asked for the port of administration, which another program may have. */
  readonly isAdminPortOptional: boolean
  /** What is said before it serves. */
  readonly warnings: ReadonlyArray<string>
  /** The flag, or the variable that was given in its place: what an error is said of. */
  readonly title: (flag: ServedFlag) => string
}

/** The flags of what may fail once the broker serves. */
export type ServedFlag = "port" | "admin-port" | "tls-port" | "websocket-port" | "https-port" | "write-cert"

/** Reads the arguments of the command, and the variables of its environment. */
export const read: (
  args: ReadonlyArray<string>,
  variables?: Readonly<Record<string, string | undefined>>
) => Effect.Effect<CommandLine, EmulatorError> = Effect.fnUntraced(
  function*(args, variables = {}) {
    const { positionals, values } = yield* Effect.catch(
      Effect.try({ try: () => parse(args), catch: (cause) => cause }),
      (cause) => fail(argumentProblem(cause), cause)
    )
    if (values.help === true) return { _tag: "Help" }
    if (values.version === true) return { _tag: "Version" }
    if (positionals[0] !== "emulator" || positionals.length !== 1) {
      const [first, second] = positionals
      return yield* fail(
        first === undefined
          ? "give the command \"emulator\"; see --help"
          : `"${first === "emulator" ? second : first}" is no command: the only one is "emulator"; see --help`
      )
    }
    const given = new Given(values, variables)
    const warnings = given.unknown.map((name) => `the variable ${name} is none of this command, and has no effect`)
    const isSecure = (["tls-port", "websocket-port", "https-port"] as const).some((name) =>
      given.text(name) !== undefined
    )
    const [cert, certKey, writeTo] = [given.text("cert"), given.text("cert-key"), given.text("write-cert")]
    if (!isSecure && (cert ?? certKey ?? writeTo) !== undefined) {
      return yield* fail("a certificate is for --tls-port, --websocket-port and --https-port; give one of them")
    }
    if ((cert === undefined) !== (certKey === undefined)) return yield* fail("give --cert and --cert-key together")
    if (cert !== undefined && writeTo !== undefined) {
      return yield* fail("give either --cert with --cert-key, or --write-cert for one that the broker signs itself")
    }
    const lock = yield* number(given, "lock-duration", 1, 300, false)
    const window = yield* number(given, "duplicate-window", 5, 604_800, false)
    const maxDeliveryCount = yield* number(given, "max-delivery-count", 1, 2000)
    const lockDuration = lock === undefined ? undefined : Duration.seconds(lock)
    const duplicateWindow = Duration.seconds(window ?? 600)
    const flags = yield* flagged(given)
    const declared = flags.map(({ detectsDuplicates, kind, name, requiresSession, rules, topic }): Emulator.Entity => {
      const options = { lockDuration, maxDeliveryCount, requiresSession }
      const detecting = detectsDuplicates ? { duplicateDetectionWindow: duplicateWindow } : {}
      return kind === "queue"
        ? { name, options: { ...options, ...detecting } }
        : kind === "topic"
        ? { kind, name, options: detecting }
        : Configuration.subscription(topic, name, options, rules)
    })
    const paths = new Map<string, string>()
    for (const [index, entity] of declared.entries()) {
      const { title } = flags[index]!
      const path = Configuration.pathOf(entity)
      const problem = Broker.problemOf(entity) ??
        (paths.has(path) ? `"${entity.name}" is declared by ${paths.get(path)} already, as another kind` : undefined)
      if (problem !== undefined) return yield* fail(`${title}: ${problem}`)
      paths.set(path, title)
    }
    const file = yield* config(given, declared, {
      ...(lockDuration === undefined ? {} : { lockDuration }),
      ...(maxDeliveryCount === undefined ? {} : { maxDeliveryCount }),
      ...(window === undefined ? {} : { duplicateWindow })
    })
    if (window !== undefined && file === undefined && !flags.some(({ detectsDuplicates }) => detectsDuplicates)) {
      return yield* fail(
        `${given.title("duplicate-window")} is for --duplicate-queue, --duplicate-topic and --config; give one of them`
      )
    }
    const key = given.text("key") ?? (file === undefined ? undefined : documentedKey)
    if (key !== undefined && !Emulator.isKey(key)) {
      return yield* fail(
        `${
          given.title("key")
        } must be 1 to 256 characters, without semicolons, control characters and spaces at its ends`
      )
    }
    if (file !== undefined && given.text("key") === undefined) {
      warnings.push(
        `with --config the key is ${documentedKey}, as in the documentation of Microsoft's emulator: ` +
          "whoever reaches a port of this broker can use it; --key gives it another one"
      )
    }
    let certificate: Certificate.Certificate | undefined
    if (cert !== undefined && certKey !== undefined) {
      certificate = { cert: yield* fileOf(given, "cert", cert), key: yield* fileOf(given, "cert-key", certKey) }
      yield* Effect.catch(
        Certificate.check(certificate),
        ({ cause, problem }) => fail(`${given.title("cert")} and ${given.title("cert-key")}: ${problem}`, cause)
      )
    }
    const time = given.text("clock")
    if (time !== undefined && time !== "manual" && time !== "real") {
      return yield* fail(`${given.title("clock")} must be manual or real, not "${time}"`)
    }
    const clock: Emulator.ServerOptions["clock"] = time
    const data = given.text("data")
    const word = given.text("data-sync")
    if (word !== undefined && word !== "normal" && word !== "full") {
      return yield* fail(`${given.title("data-sync")} must be normal or full, not "${word}"`)
    }
    const synchronous: Emulator.DataOptions["synchronous"] = word
    if (synchronous !== undefined && data === undefined) {
      return yield* fail(`${given.title("data-sync")} is for --data; give both`)
    }
    const isolation = given.text("namespaces")
    if (isolation !== undefined && isolation !== "any") {
      return yield* fail(`${given.title("namespaces")} must be any, not "${isolation}"; leave it out for one namespace`)
    }
    const namespaces: Emulator.ServerOptions["namespaces"] = isolation
    const host = given.text("host") ?? "127.0.0.1"
    const port = (name: "port" | "admin-port" | "tls-port" | "websocket-port" | "https-port") =>
      number(given, name, 0, 65_535)
    const amqpPort = (yield* port("port")) ?? 5672
    const adminPort = yield* port("admin-port")
    const entities = [...declared, ...file?.entities ?? []]
    const redacted = key === undefined ? undefined : Redacted.make(key)
    const known = yield* identitiesOf(given, new Set(entities.map(Configuration.pathOf)))
    const server = {
      host,
      port: amqpPort,
      tlsPort: yield* port("tls-port"),
      webSocketPort: yield* port("websocket-port"),
      httpPort: adminPort ?? (amqpPort === 0 ? 0 : 5300),
      httpsPort: yield* port("https-port"),
      key: redacted,
      // One key is enough to know: a policy is told by its name, and limits the rights.
      policies: (file?.policies ?? []).map(({ name, rights }) => ({ name, rights, key: redacted! })),
      identities: known.identities,
      certificate,
      clock,
      data: data === undefined ? undefined : { file: data, synchronous },
      namespaces,
      maxConnections: (yield* number(given, "max-connections", 1, Number.MAX_SAFE_INTEGER)) ?? file?.maxConnections,
      maxHandshakes: yield* number(given, "max-handshakes", 1, Number.MAX_SAFE_INTEGER),
      entities
    }
    return {
      _tag: "Serve",
      server,
      names: entities.map((entity) => entity.kind === "subscription" ? `${entity.topic}/${entity.name}` : entity.name),
      writeTo,
      isJson: yield* given.is("json"),
      isWatched: yield* given.is("watch"),
      isAdminPortOptional: adminPort === undefined,
      warnings: [...warnings, ...known.warnings, ...file?.warnings ?? []],
      title: (flag) => given.title(flag)
    }
  }
)
