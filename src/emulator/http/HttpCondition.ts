/**
 * What the management API says when it refuses: statuses and texts of recorded answers, and where there is none of texts that
 * users have reported. Each ends with the tracking suffix; clients match on status, SubCode and words.
 */
import type * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import * as AtomXml from "../../internal/administration/AtomXml.ts"
import type { TokenProblem } from "../security/Authorization.ts"
import { type HttpAnswer, server } from "./HttpMessage.ts"

/** A refusal: a status and its text, without the sub-code and the suffix. */
export interface HttpCondition {
  readonly status: number
  /** What the text begins with, where the service says it. */
  readonly subCode: number | undefined
  readonly text: string
  /** What is within a topic is answered by another part of the service, which does not say which. */
  readonly isTracked: boolean
}

/** An answer, or why it is refused. */
export type Outcome = Result.Result<HttpAnswer, HttpCondition>

const visit = "To know more visit https://aka.ms/sbResourceMgrExceptions."

const condition = (status: number, subCode: number | undefined, text: string, isTracked = true): HttpCondition => ({
  status,
  subCode,
  text,
  isTracked
})

/** A description or a parameter that cannot be taken. */
export const invalid = (text: string): HttpCondition => condition(400, 40000, `${text} ${visit} .`)

/** A value out of its range; `advice` is whether the text tells where to read more. */
export const outOfRange = (words: string, name: string, actual: string, advice: boolean): HttpCondition =>
  condition(
    400,
    40000,
    `${words}${advice ? ` ${visit} ` : ""}\r\nParameter name: ${name}\r\nActual value was ${actual}.`
  )

/** A parameter of a list. */
export const paging = (name: string): HttpCondition =>
  condition(400, undefined, `Parameter '${name}' should be non-negative integer.\r\nParameter name: ${name}.`)

/** What an existing entity does not change. */
export const immutable = (property: string, kind: string): HttpCondition =>
  invalid(`The value for the ${property} property of an existing ${kind} cannot be changed.`)

/** The words are those of the service (NimbusAPI/Nimbus #10 and #161). */
export const name = (url: string): HttpCondition =>
  condition(
    400,
    40000,
    `'${url}' contains character(s) that is not allowed by Service Bus. Entity segments can contain only letters, numbers, periods (.), hyphens (-), and underscores (_).`
  )

/** A token that proves nothing; what is wrong with it is added. */
export const token = (problem: string): HttpCondition =>
  condition(401, undefined, `claim is empty or token is invalid. ${problem}`)

/** What is wrong with a token. */
export const tokenProblems: Readonly<Record<TokenProblem, string>> = {
  MalformedToken: "The token is malformed.",
  InvalidSignature: "The token has an invalid signature.",
  ExpiredToken: "The token is expired.",
  EarlyToken: "The token is not valid yet.",
  InvalidIssuer: "Token issuer is invalid.",
  InvalidAudience: "The token is for another resource."
}

/** A token without the right: the words are those of the service (AspNetCore.Diagnostics.HealthChecks #555). */
export const unauthorized = (right: "EntityRead" | "EntityWrite" | "EntityDelete"): HttpCondition =>
  condition(401, undefined, `Manage,${right} claims required for this operation.`)

/** An update of a queue or topic that is not there. */
export const updateOfMissing = condition(404, 40400, `Not Found. The Operation doesn't exist. ${visit} .`)

/** A deletion of a queue or topic that is not there. */
export const deletionOfMissing = condition(404, undefined, "No service is hosted at the specified address.")

/** A subscription or rule that is not there: of it the service says so to a GET too (azure-sdk-for-java #33609, #36050). */
export const notFoundWithin = (entity: string): HttpCondition =>
  condition(404, undefined, `Entity '${entity}' was not found. ${visit} `, false)

/** The topic of a new subscription that is not there (azure-sdk-for-node #1420). */
export const topicNotFound = condition(
  404,
  40400,
  `The incoming request is not recognized as a namespace policy put request: Unrecognized policy type: SubscriptionDescription, ${AtomXml.connect}. ${visit} .`
)

/** A queue or topic that is there already. */
export const conflict = condition(
  409,
  40900,
  `Conflict. You're requesting an operation that isn't allowed in the resource's current state. ${visit} .`
)

/** A subscription or rule that is there already. */
export const conflictWithin = (entity: string): HttpCondition =>
  condition(409, undefined, `The messaging entity '${entity}' already exists. ${visit} `, false)

/** An etag that is not that of now. */
export const precondition = condition(412, 40504, "The entity has been changed since its ETag was given.")

/** Over a quota. */
export const quota = (text: string): HttpCondition => condition(403, 40300, `${text} ${visit} .`)

/** What cannot be kept, of which the service knows nothing. */
export const notKept = (text: string): HttpCondition => condition(507, undefined, text)

/** A method that a resource does not have (ServiceBusExplorer #707). */
export const method = (verb: string): HttpCondition =>
  condition(400, undefined, `The specified HTTP verb (${verb}) is not valid. ${visit} .`)

/** The statuses of conditions of AMQP, and their sub-codes; that of any other is 500. */
const statuses: Readonly<Record<string, readonly [status: number, subCode?: number]>> = {
  "com.microsoft:server-busy": [503],
  "com.microsoft:timeout": [504],
  "com.microsoft:argument-error": [400, 40000],
  "com.microsoft:entity-already-exists": [409, 40900],
  "amqp:not-found": [404, 40400],
  "amqp:not-allowed": [403, 40301],
  "amqp:unauthorized-access": [401],
  "amqp:resource-limit-exceeded": [403, 40300]
}

/** What a test has asked for. */
export const injected = (
  error: { readonly condition: string; readonly description?: string | undefined }
): HttpCondition => {
  const known = Object.hasOwn(statuses, error.condition) ? statuses[error.condition] : undefined
  const [status, subCode] = known ?? [500]
  return condition(status, subCode, error.description ?? "The broker was asked to fail.")
}

/** What is refused of something within a topic has no sub-code. */
export const within = (condition: HttpCondition): HttpCondition => ({ ...condition, subCode: undefined })

/** Makes the answer of a refusal; `tracker` says what was asked for, and `now` is in milliseconds. */
export const answerOf = (
  { isTracked, status, subCode, text }: HttpCondition,
  tracker: string,
  now: number
): HttpAnswer => {
  const time = new Date(now).toISOString().slice(0, 19)
  const system = isTracked ? tracker : "NoSystemTracker"
  const beginning = subCode === undefined ? "" : `SubCode=${subCode}. `
  const detail = `${beginning}${text} TrackingId:${randomUUID()}_G0, SystemTracker:${system}, Timestamp:${time}`
  return {
    status,
    headers: { ...server, "content-type": "application/xml; charset=utf-8" },
    body: AtomXml.print(AtomXml.refusalElement({ code: status, detail }))
  }
}
