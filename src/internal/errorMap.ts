/**
 * The one place that makes errors out of what comes over the wire: AMQP conditions, status codes of `$cbs` and `$management`,
 * errors of sockets; and that narrows them to the union of an operation. Source: Service Bus documentation (AMQP errors) and
 * the tables of the official SDKs.
 *
 * One file because no other may make errors out of wire values: what a condition comes to is looked up here alone.
 */
import * as Duration from "effect/Duration"
import * as E from "../ServiceBusError.ts"

/** What is read of an AMQP error (AMQP 1.0 section 2.8.14). */
export interface ErrorCondition {
  readonly condition: string
  readonly description?: string | undefined
}

interface Context {
  readonly entity?: string | undefined
  readonly identifier?: string | undefined
  readonly operation?: string | undefined
  readonly cause?: unknown
}

// oxlint-disable-next-line no-control-regex
const ansi = /\x1b\[[0-9;?]*[A-Za-z]/g
/** C0, DEL, C1, line and paragraph separators, and the marks that turn the direction of text around. */
// oxlint-disable-next-line no-control-regex
const unprintable = /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+/g
const secrets = /\b(sig|SharedAccessKey)=[^&;\s]+/gi

const printable = (text: string): string => text.replace(ansi, "").replace(unprintable, " ").trim()

/** Text of a peer for errors and logs: no control characters, bounded, the tracking suffix apart. */
const clean = (text: unknown): { readonly description?: string; readonly trackingId?: string } => {
  if (typeof text !== "string" || text === "") return {}
  const at = text.indexOf("TrackingId:")
  const trackingId = at < 0 ? undefined : /^[\w-]+/.exec(text.slice(at + 11, at + 139))?.[0]
  // Cut before the expressions see it: a peer chooses the text, and its length.
  const description = printable((at < 0 ? text : text.slice(0, at)).slice(0, 2048))
    .replace(/\bReference:[\w-]+,$/, "").replace(secrets, "$1=<redacted>").trim().slice(0, 512)
  return { ...(description === "" ? {} : { description }), ...(trackingId === undefined ? {} : { trackingId }) }
}

const fields = (context: Context, condition?: string, text?: unknown) => ({
  ...(context.entity === undefined ? {} : { entity: context.entity }),
  ...(context.identifier === undefined ? {} : { identifier: context.identifier }),
  ...(context.operation === undefined ? {} : { operation: context.operation }),
  ...(context.cause === undefined ? {} : { cause: context.cause }),
  ...(condition === undefined ? {} : { condition: printable(condition.slice(0, 128)) }),
  ...clean(text)
})

/** The service's advice in a text like "Please wait 2 seconds and try again". */
const advice = (text: string | undefined) => {
  const seconds = /wait (\d{1,5}) seconds?/i.exec(text ?? "")?.[1]
  return seconds === undefined ? {} : { retryAfter: Duration.seconds(Number(seconds)) }
}

/**
 * The right that the service says is missing. It may name several, of which some are no rights: "'Listen,Manage,
 * SubscriptionRuleRead' claim(s) are required to perform this operation" (azure-docs #76896; 'Send' in azure-sdk-for-go,
 * client_test.go).
 */
const claimOf = (text: unknown): { readonly claim?: "Send" | "Listen" | "Manage" } => {
  const names = typeof text === "string" ? /'([\w,]{1,256})' claim\(s\)/.exec(text.slice(0, 2048))?.[1]?.split(",") : []
  const claim = names?.find((name) => name === "Send" || name === "Listen" || name === "Manage")
  return claim === undefined ? {} : { claim }
}

/**
 * Quotas by what the service says of them, as far as its texts are known. The maximum entity size: Service Bus documentation,
 * messaging exceptions. Connections: the same ("ConnectionsQuotaExceeded for namespace"), and of a queue ("maximumallowed
 * connections have been reached or exceeded"). Links: "Cannot allocate more handles" of the service (azure-sdk-for-java
 * #25718) and of .NET's AMQP library (azure-service-bus-dotnet #237). Tokens: documentation, troubleshooting guide, where
 * `$cbs` says it with 403.
 */
const quotas = [
  ["entitySize", /maximum entity size has been reached or exceeded/i],
  ["connections", /ConnectionsQuotaExceeded|connections have been reached or exceeded/i],
  ["links", /cannot allocate more handles/i],
  ["tokens", /tokens per connection has been reached/i]
] as const

const quotaOf = (text: unknown): Pick<E.ServiceBusQuotaExceededError, "quota"> => {
  const found = typeof text === "string" ? quotas.find(([, pattern]) => pattern.test(text.slice(0, 2048))) : undefined
  return found === undefined ? {} : { quota: found[0] }
}

/**
 * What to declare where a contract says other than the entity is about sessions, by the service's texts: azure-service-bus #326
 * (a receiver without a session), workflow-core #1217 (a session of an entity without them), azure-service-bus #289 (a message
 * without one).
 */
const misdeclared = [
  [
    /entity that requires sessions to create a non-sessionful/i,
    "sessions",
    "sessions: true in the contract, because the entity requires sessions; receive by ServiceBusSession.accept or acceptNext, " +
    "or by ServiceBusProcessor.processSessions or layerSessions"
  ],
  [
    /sessionful message receiver cannot be created on an entity that does not require sessions/i,
    "sessions",
    "a contract without sessions: true, because the entity has none; receive by ServiceBusReceiver.make, " +
    "or by ServiceBusProcessor.make, process or layer"
  ],
  [
    /SessionId was not set on a message/i,
    "sessionId",
    "a session id in every message, because the entity requires sessions: with sessions: true in the contract the compiler asks " +
    "for it"
  ]
] as const

const misdeclaredOf = (text: unknown): { readonly option: string; readonly expected: string } | undefined => {
  const found = typeof text === "string"
    ? misdeclared.find(([pattern]) => pattern.test(text.slice(0, 2048)))
    : undefined
  return found === undefined ? undefined : { option: found[1], expected: found[2] }
}

/** A peer takes no more AMQP sessions on a connection, of which every link of ours has one. */
export const tooManyLinks = (channelMax: number): E.ServiceBusQuotaExceededError =>
  new E.ServiceBusQuotaExceededError({
    condition: "amqp:resource-limit-exceeded",
    description: `the peer allows ${channelMax + 1} sessions on a connection, and every link has one`,
    quota: "links"
  })

/** The error of an AMQP condition. */
export const fromCondition = (error: ErrorCondition, context: Context): E.Any => {
  const common = fields(context, error.condition, error.description)
  switch (error.condition) {
    case "amqp:not-found":
      return new E.MessagingEntityNotFoundError(common)
    case "amqp:not-allowed": {
      const wrong = misdeclaredOf(error.description)
      return wrong === undefined ? new E.ServiceBusError(common) : new E.InvalidOptionError({ ...common, ...wrong })
    }
    case "amqp:unauthorized-access":
    case "com.microsoft:auth-failed":
      return new E.ServiceBusAuthorizationError({ ...common, ...claimOf(error.description) })
    case "amqp:resource-limit-exceeded":
      return new E.ServiceBusQuotaExceededError({ ...common, ...quotaOf(error.description) })
    case "amqp:link:detach-forced":
    case "amqp:connection:forced":
    case "com.microsoft:container-close":
      return new E.ServiceBusConnectionError(common)
    case "amqp:link:message-size-exceeded": {
      const size = Number(/size:\s*(\d{1,15})/.exec(error.description ?? "")?.[1] ?? 0)
      const limit = Number(/limit \((\d{1,15})/.exec(error.description ?? "")?.[1] ?? 0)
      return new E.MessageSizeExceededError({ ...common, size, limit })
    }
    case "com.microsoft:server-busy":
      return new E.ServiceBusServerBusyError({ ...common, ...advice(error.description) })
    case "com.microsoft:timeout":
      return new E.OperationTimeoutError({ ...common, outcome: "unknown" })
    case "com.microsoft:entity-disabled":
      return new E.MessagingEntityDisabledError(common)
    case "com.microsoft:entity-already-exists":
      return new E.MessagingEntityAlreadyExistsError(common)
    case "com.microsoft:message-lock-lost":
      return new E.MessageLockLostError(common)
    case "com.microsoft:session-lock-lost":
      return new E.SessionLockLostError(common)
    case "com.microsoft:session-cannot-be-locked":
      return new E.SessionCannotBeLockedError(common)
    case "com.microsoft:message-not-found":
      return new E.MessageNotFoundError(common)
    default:
      return new E.ServiceBusError(common)
  }
}

/** Keeps an error that the operation's union has; any other becomes a ServiceBusError with the same condition. */
const narrow = <T extends E.Any["_tag"]>(
  tags: ReadonlySet<E.Any["_tag"]>,
  error: E.Any
): Extract<E.Any, { _tag: T }> => {
  if (tags.has(error._tag)) return error as Extract<E.Any, { _tag: T }>
  const { attempts, cause, condition, description, trackingId, entity, identifier, operation } = error as Partial<
    E.ServiceBusError
  >
  return new E.ServiceBusError({
    ...(condition === undefined ? {} : { condition }),
    ...(description === undefined ? { description: error.message } : { description }),
    ...(trackingId === undefined ? {} : { trackingId }),
    ...(entity === undefined ? {} : { entity }),
    ...(identifier === undefined ? {} : { identifier }),
    ...(operation === undefined ? {} : { operation }),
    ...(attempts === undefined ? {} : { attempts }),
    ...(cause === undefined ? {} : { cause })
  }) as Extract<E.Any, { _tag: T }>
}

const connectTags = [
  "ServiceBusConnectionError",
  "ServiceBusCommunicationError",
  "ServiceBusAuthenticationError",
  "OperationTimeoutError",
  "CredentialError",
  "ServiceBusQuotaExceededError",
  "ServiceBusError"
] as const

const attachTags = [
  ...connectTags,
  "ServiceBusAuthorizationError",
  "MessagingEntityNotFoundError",
  "MessagingEntityDisabledError",
  "ServiceBusServerBusyError",
  "InvalidOptionError"
] as const

const healthTags = [...connectTags, "ServiceBusServerBusyError"] as const
const sendTags = [...attachTags, "MessageSizeExceededError", "MessageEncodeError"] as const
const settleTags = [
  ...attachTags,
  "MessageLockLostError",
  "MessageAlreadySettled",
  "MessageEncodeError",
  "NotSupportedError"
] as const
const renewTags = [...attachTags, "MessageLockLostError"] as const

const narrowedTo = <const Tags extends ReadonlyArray<E.Any["_tag"]>>(tags: Tags) => {
  const set = new Set<E.Any["_tag"]>(tags)
  return (error: ErrorCondition | E.Any, context: Context = {}): Extract<E.Any, { _tag: Tags[number] }> =>
    narrow<Tags[number]>(set, "_tag" in error ? error : fromCondition(error, context))
}

export const connectError = narrowedTo(connectTags)
export const healthError = narrowedTo(healthTags)
export const attachError = narrowedTo(attachTags)
export const sendError = narrowedTo(sendTags)
export const settleError = narrowedTo(settleTags)
export const renewError = narrowedTo(renewTags)

export const notFoundError = narrowedTo([...attachTags, "MessageNotFoundError"])

const sessionTag = "SessionLockLostError"
export const sessionSettleError = narrowedTo([
  ...attachTags,
  sessionTag,
  "MessageAlreadySettled",
  "MessageEncodeError",
  "NotSupportedError"
])
export const sessionRenewError = narrowedTo([...attachTags, sessionTag])
export const sessionStateError = narrowedTo([...attachTags, sessionTag, "MessageEncodeError", "MessageDecodeError"])
export const sessionDeferredError = narrowedTo([...attachTags, sessionTag, "MessageNotFoundError"])
/** Of a message with a lock of its own, or of a session's. */
export type SettlementError = E.SettleError | E.SessionSettleError

const acceptError = narrowedTo([...attachTags, "SessionCannotBeLockedError"])

/**
 * The error of an attach that asked for a session: what an attach has no name for is looked at again. A lock that is lost before
 * the session was given says nothing of the entity, and the next attach asks for another one.
 */
export const acceptSessionError = (error: E.Any, context: Context): E.AcceptSessionError => {
  if (error._tag !== "ServiceBusError" || error.condition === undefined) return acceptError(error, context)
  const { cause, condition, description } = error
  return condition === "com.microsoft:session-lock-lost"
    ? new E.ServiceBusConnectionError(fields({ ...context, cause }, condition, description))
    : acceptError({ condition, description }, { ...context, cause })
}

/** What the death of a session's link means: its lock is lost, unless its scope was closed. */
export const sessionEnded = (
  death: E.Any,
  context: { readonly entity: string; readonly identifier?: string | undefined; readonly operation: string }
): E.SessionLockLostError | E.ServiceBusConnectionError =>
  death._tag === "ServiceBusConnectionError" && death.isClosed === true || death._tag === "SessionLockLostError"
    ? death
    : new E.SessionLockLostError({
      ...fields(context),
      description: "the link of the session is lost, and its lock with it",
      cause: death
    })

const createRuleTags = narrowedTo([...attachTags, "MessagingEntityAlreadyExistsError"])
const deleteRuleTags = narrowedTo([...attachTags, "RuleNotFoundError"])

/** Conditions of a request that the service cannot take as it is. */
const refusedArguments = new Set([
  "com.microsoft:argument-error",
  "com.microsoft:argument-out-of-range",
  "amqp:invalid-field",
  "amqp:not-allowed"
])

interface RuleContext extends Context {
  readonly entity: string
  readonly rule: string
}

/** The error of a rule that is not created: one that exists is told by its own path, and what is wrong with it by the service. */
export const createRuleError = (error: ErrorCondition, { rule, ...context }: RuleContext): E.CreateRuleError => {
  if (refusedArguments.has(error.condition)) {
    return new E.InvalidOptionError({
      ...fields(context, error.condition, error.description),
      option: "rule",
      expected: "a rule that the service takes"
    })
  }
  return createRuleTags(
    error,
    error.condition === "com.microsoft:entity-already-exists"
      ? { ...context, entity: `${context.entity}/Rules/${rule}` }
      : context
  )
}

/**
 * The error of a rule that is not deleted. What is missing is the rule, unless the service names another entity: of a rule it
 * says "The messaging entity 'namespace:Topic:topic|subscription|rule' could not be found" (topicFilters.spec.ts of
 * azure-sdk-for-js; azure-sdk-for-java #36968).
 */
export const deleteRuleError = (error: ErrorCondition, { rule, ...context }: RuleContext): E.DeleteRuleError => {
  const named = /'([^']{1,1024})' could not be found/.exec(error.description?.slice(0, 2048) ?? "")?.[1]
  const isRule = named === undefined || named.toLowerCase().endsWith(`|${rule.toLowerCase()}`)
  return error.condition === "amqp:not-found" && isRule
    ? new E.RuleNotFoundError({ ...fields(context, error.condition, error.description), rule })
    : deleteRuleTags(error, context)
}

/** Where an endpoint does not know an operation, trying again or another argument does not help. */
export const unsupportedOr = <Err extends E.Any>(
  error: ErrorCondition,
  context: Context,
  otherwise: (error: ErrorCondition, context: Context) => Err
): Err | E.NotSupportedError =>
  error.condition === "amqp:not-implemented" || error.condition === "amqp:not-allowed"
    ? new E.NotSupportedError(fields(context, error.condition, error.description))
    : otherwise(error, context)

/** Conditions of `$management` where the answer has a status and no condition (the JavaScript SDK's table). */
const conditionOf = (status: number): string => {
  switch (status) {
    case 400:
      return "amqp:not-allowed"
    case 401:
      return "amqp:unauthorized-access"
    case 403:
      return "amqp:resource-limit-exceeded"
    case 404:
      return "amqp:not-found"
    case 408:
      return "com.microsoft:timeout"
    case 409:
      return "com.microsoft:entity-already-exists"
    case 410:
      return "amqp:link:stolen"
    case 501:
      return "amqp:not-implemented"
    case 503:
      return "com.microsoft:server-busy"
    default:
      return "amqp:internal-error"
  }
}

/** A status that is not a success, as an AMQP error. */
export const fromStatus = (
  status: number,
  condition: string | undefined,
  description: string | undefined
): ErrorCondition => ({
  condition: condition ?? conditionOf(status),
  description
})

/** The refusal of a token by `$cbs`. A wrong entity can be refused here already. */
export const fromCbs = (
  status: number,
  condition: string | undefined,
  description: string | undefined,
  context: Context
):
  | E.ServiceBusAuthenticationError
  | E.MessagingEntityNotFoundError
  | E.ServiceBusServerBusyError
  | E.ServiceBusQuotaExceededError
  | E.ServiceBusError =>
{
  const error = fromStatus(status, condition, description)
  const common = fields(context, error.condition, description)
  const exceeded = quotaOf(description)
  if (exceeded.quota !== undefined) return new E.ServiceBusQuotaExceededError({ ...common, ...exceeded })
  if (status === 401 || status === 403 || error.condition === "amqp:unauthorized-access") {
    return new E.ServiceBusAuthenticationError(common)
  }
  if (status === 404 || error.condition === "amqp:not-found") return new E.MessagingEntityNotFoundError(common)
  if (status === 503 || error.condition === "com.microsoft:server-busy") {
    return new E.ServiceBusServerBusyError({ ...common, ...advice(description) })
  }
  return new E.ServiceBusError(common)
}

const unreachable = new Set([
  "ENOTFOUND",
  "ECONNREFUSED",
  "EHOSTUNREACH",
  "EHOSTDOWN",
  "ENETUNREACH",
  "ENETDOWN",
  "ENONET",
  "EADDRNOTAVAIL",
  "EAI_AGAIN",
  "EACCES",
  "EPERM",
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_NO_WEBSOCKET"
])

const withoutTls = "the port does not speak TLS; plain TCP, of an emulator, is spoken by a connection string with " +
  "UseDevelopmentEmulator=true alone"

const explained: Record<string, string> = {
  ENOTFOUND: "its name does not resolve",
  EAI_AGAIN: "its name does not resolve for now",
  ECONNREFUSED: "the port refuses",
  ECONNRESET: "the peer reset the connection",
  EPIPE: "the peer closed the connection",
  ETIMEDOUT: "no answer to the connection attempt",
  ERR_SSL_WRONG_VERSION_NUMBER: withoutTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: withoutTls
}

/** Whether an error of a socket means that the certificate is not trusted: trying again does not change that. */
export const isUntrusted = (error: unknown): boolean => {
  const code = (error as { readonly code?: unknown } | undefined)?.code
  return typeof code === "string" &&
    (code.startsWith("ERR_TLS") || code.includes("CERT") || code.includes("SIGNATURE"))
}

/** An error of a socket, while it connects or later. */
export const fromSocket = (
  error: unknown,
  endpoint?: { readonly host: string; readonly port: number },
  operation?: string
): E.ServiceBusCommunicationError | E.ServiceBusConnectionError => {
  const errors = error instanceof AggregateError ? error.errors as ReadonlyArray<unknown> : [error]
  const code = errors.map((e) => (e as { readonly code?: unknown } | undefined)?.code).find((c) =>
    typeof c === "string"
  ) as
    | string
    | undefined
  const where = endpoint === undefined ? "" : `${endpoint.host}:${endpoint.port}: `
  const text = code !== undefined && explained[code] !== undefined
    ? `${where}${explained[code]} (${code})`
    : `${where}${error instanceof Error ? error.message : String(error)}`
  const common = { ...fields({ operation, cause: error }), ...clean(text) }
  return isUntrusted(error) || (code !== undefined && unreachable.has(code))
    ? new E.ServiceBusCommunicationError(common)
    : new E.ServiceBusConnectionError(common)
}

/** The connection is lost, for a reason that was found here and not sent by the peer. */
export const connectionLost = (description: string, cause?: unknown): E.ServiceBusConnectionError =>
  new E.ServiceBusConnectionError({ ...clean(description), ...(cause === undefined ? {} : { cause }) })

/**
 * The peer broke the protocol. Frames that are larger than was agreed will be so on the next connection too: only that is
 * not tried again.
 */
export const protocolBroken = (
  problem: Error,
  condition: string
): E.ServiceBusError | E.ServiceBusConnectionError => {
  const common = { ...clean(`the peer broke the protocol: ${problem.message}`), condition, cause: problem }
  return condition === framingError ? new E.ServiceBusError(common) : new E.ServiceBusConnectionError(common)
}

/**
 * A peer ended a connection, or a session, that was open. Whatever its reason, it is lost like any other, and what is not
 * allowed on the next one is refused there. Only where there are too many is it the answer to opening it.
 */
export const endedByPeer = (
  error: ErrorCondition,
  context: Context = {}
): E.ServiceBusConnectionError | E.ServiceBusQuotaExceededError =>
  error.condition === "amqp:resource-limit-exceeded"
    ? connectError(error, context) as E.ServiceBusQuotaExceededError
    : new E.ServiceBusConnectionError(fields(context, error.condition, error.description))

const framingError = "amqp:connection:framing-error"

/** Whether a peer's frames cannot be read, on any connection: found here, not sent by the peer about ours. */
export const isUnreadable = (error: E.Any): boolean =>
  error._tag === "ServiceBusError" && error.condition === framingError && error.cause instanceof Error

/** The same error with other fields. Errors are values: it is a new one. */
export const withFields = <Err extends E.Any>(error: Err, fields: object): Err => {
  const { constructor } = error as unknown as { constructor: new(fields: object) => Err }
  // Not among what is spread.
  const { cause } = error as { readonly cause?: unknown }
  return new constructor({ ...error, ...(cause === undefined ? {} : { cause }), ...fields })
}

/** Whether the peer has no claim for what was asked of it; a refused token is another error. */
export const isUnauthorized = (error: E.Any): error is E.ServiceBusAuthorizationError | E.ServiceBusError =>
  (error._tag === "ServiceBusAuthorizationError" || error._tag === "ServiceBusError") &&
  (error.condition === "amqp:unauthorized-access" || error.condition === "com.microsoft:auth-failed")

/**
 * Whether the outcome of an operation is unknown, and the last try failed with an error of a tag: as it does where an earlier one
 * was carried out.
 */
export const isLostThen = (tag: E.Any["_tag"]) => (error: E.Any): error is E.OperationTimeoutError =>
  error._tag === "OperationTimeoutError" && error.outcome === "unknown" &&
  (error.cause as { readonly _tag?: unknown } | undefined)?._tag === tag

/** Whether an error means that a lock is lost. */
export const isLockLost = (error: unknown): error is E.MessageLockLostError | E.SessionLockLostError => {
  const tag = (error as { readonly _tag?: unknown } | undefined)?._tag
  return tag === "MessageLockLostError" || tag === "SessionLockLostError"
}

/** Whether a limit of the peer is reached, which time may lift. */
export const isLimitReached = (error: E.Any): boolean => error._tag === "ServiceBusQuotaExceededError"

/** Whether the peer has ended a wait, not this client: an attach for the next session, of which there is none. */
export const isTimedOutByPeer = (error: E.Any): error is E.OperationTimeoutError =>
  error._tag === "OperationTimeoutError" && error.condition === "com.microsoft:timeout"

/**
 * Whether the service closed a connection because it had no links for five minutes: nothing went wrong (Azure Service Bus
 * documentation, AMQP errors).
 */
export const isIdleClose = (error: E.Any): boolean =>
  error._tag === "ServiceBusConnectionError" && error.condition === "amqp:connection:forced" &&
  /\binactive\b/i.test(error.description ?? "")

/** Whether a response says that there is no such message: some peers answer so that a queue has none. */
export const isNoMessage = ({ condition }: { readonly condition: string | undefined }): boolean =>
  condition === "com.microsoft:message-not-found"

/** Whether a response says that there are no rules: some peers answer so, with one status or another, at the end of a list. */
export const isNoRule = ({ condition }: { readonly condition: string | undefined }): boolean =>
  condition === "com.microsoft:rules-not-found"

/** Whether a response says that there is no such session: some peers answer so that an entity has none. */
export const isNoSession = ({ condition }: { readonly condition: string | undefined }): boolean =>
  condition === "com.microsoft:session-not-found"

/** What the management API answers where it refuses. */
export interface HttpRefusal {
  readonly status: number
  /** The text of the service, or what else its answer says. */
  readonly detail: string
  /** When to try again, in milliseconds, as the headers say it. */
  readonly retryAfter?: number | undefined
}

/** A status of HTTP as a condition, with the sub-code of the service's text where there is one: `http:409.40901`. */
const httpCondition = ({ detail, status }: HttpRefusal): string => {
  const subCode = /\bSubCode=(\d{5})\b/i.exec(detail.slice(0, 2048))?.[1]
  return `http:${status}${subCode === undefined ? "" : `.${subCode}`}`
}

/** How a text names what is refused: the first is the service's, the second the broker's (`queue "a": status must …`). */
const namings = [
  /(?:Parameter name: |[Tt]he property '|The value for the )(\w{1,64})/,
  /": (\w{1,64})(?:: | must )/
] as const

/** What a text is about that names nothing (azure-service-bus #203). */
const topics = [
  [/auto.?forward/i, "ForwardTo"],
  [/authorization rule/i, "AuthorizationRules"],
  // "contains character(s) that is not allowed by Service Bus. Entity segments can contain only …" (NimbusAPI/Nimbus #10)
  [/entity segments? can contain/i, "entity"]
] as const

/** The element, or the setting, that a refused description is refused for. */
const refusedElement = (detail: string): string | undefined => {
  const text = detail.slice(0, 4096)
  for (const naming of namings) {
    const name = naming.exec(text)?.[1]
    if (name !== undefined) return name
  }
  return topics.find(([topic]) => topic.test(text))?.[1]
}

/**
 * The error of a refusal of the management API. Statuses: the table of the SDK for JavaScript, which the one for .NET follows.
 * `optionOf` gives the name that an element has as an option, and `option` is that of the whole description; `existing` says
 * that a 409 is of an entity that exists.
 */
export const fromHttp = (
  refusal: HttpRefusal,
  { existing, option, optionOf, ...context }: Context & {
    readonly option: string
    readonly optionOf: (element: string) => string | undefined
    readonly existing: boolean
  }
): E.Any => {
  const { detail, retryAfter, status } = refusal
  const condition = httpCondition(refusal)
  const common = fields(context, condition, detail)
  switch (status) {
    case 400: {
      const element = refusedElement(detail)
      return new E.InvalidOptionError({
        ...common,
        option: (element === undefined ? undefined : optionOf(element)) ?? element ?? option,
        expected: "what the service takes"
      })
    }
    case 401: {
      const missing = claimOf(detail)
      return missing.claim === undefined
        ? new E.ServiceBusAuthenticationError(common)
        : new E.ServiceBusAuthorizationError({ ...common, ...missing })
    }
    case 403: {
      const missing = claimOf(detail)
      if (missing.claim !== undefined) return new E.ServiceBusAuthorizationError({ ...common, ...missing })
      return condition.endsWith(".40301")
        ? new E.ServiceBusError(common)
        : new E.ServiceBusQuotaExceededError({ ...common, ...quotaOf(detail) })
    }
    case 404:
      return new E.MessagingEntityNotFoundError(common)
    case 409:
      return existing && !condition.endsWith(".40901")
        ? new E.MessagingEntityAlreadyExistsError(common)
        : new E.ServiceBusError(common)
    case 429:
    case 503:
      return new E.ServiceBusServerBusyError({
        ...common,
        ...advice(detail),
        ...(retryAfter === undefined ? {} : { retryAfter: Duration.millis(retryAfter) })
      })
    default:
      return new E.ServiceBusError(common)
  }
}

const administrationTags = [
  ...connectTags,
  "ServiceBusAuthorizationError",
  "ServiceBusServerBusyError",
  "InvalidOptionError"
] as const

export const administrationError = narrowedTo(administrationTags)
export const manageEntityError = narrowedTo([...administrationTags, "MessagingEntityNotFoundError"])
export const createEntityError = narrowedTo([
  ...administrationTags,
  "MessagingEntityNotFoundError",
  "MessagingEntityAlreadyExistsError"
])

/**
 * The error of a rule that is changed or deleted. What is missing is the rule, unless the service names another entity: "Entity
 * 'namespace:Topic:topic|subscription|rule' was not found" (recorded answers).
 */
export const manageRuleError = (error: E.ManageEntityError, entity: string, rule: string): E.ManageRuleError => {
  if (error._tag !== "MessagingEntityNotFoundError") return error
  const { attempts, cause, condition, description, operation, trackingId } = error
  const named = /'([^']{1,1024})' (?:was|could) not/.exec(description ?? "")?.[1]
  return named !== undefined && !named.toLowerCase().endsWith(`|${rule.toLowerCase()}`)
    ? error
    : new E.RuleNotFoundError({
      entity,
      rule,
      attempts,
      ...(condition === undefined ? {} : { condition }),
      ...(description === undefined ? {} : { description }),
      ...(operation === undefined ? {} : { operation }),
      ...(trackingId === undefined ? {} : { trackingId }),
      ...(cause === undefined ? {} : { cause })
    })
}
