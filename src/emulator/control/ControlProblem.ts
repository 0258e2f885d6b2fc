/**
 * Why a request of the control API is refused: a kind, by which programs tell refusals apart, and a text for people. Each kind
 * has its status, and one schema for the answer and for the OpenAPI document.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { EmulatorError, MessageEncodeError } from "../../ServiceBusError.ts"
import type { HttpAnswer } from "../http/HttpMessage.ts"

/** The statuses of the kinds. */
const statuses = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  QuotaExceeded: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  AlreadyExists: 409,
  InternalError: 500,
  Unavailable: 503,
  InsufficientStorage: 507
} as const

export type Kind = keyof typeof statuses

/** A refusal. */
export interface ControlProblem<out K extends Kind = Kind> {
  readonly error: K
  readonly message: string
}

const schemaOf = <const K extends Kind>(error: K) =>
  Schema.Struct({ error: Schema.Literal(error), message: Schema.String }).annotate({
    identifier: error,
    httpApiStatus: statuses[error]
  })

/** Of a request that cannot be read. */
export const BadRequest = schemaOf("BadRequest")

/** What every operation may be refused with. */
export const schemas = [
  BadRequest,
  schemaOf("Unauthorized"),
  schemaOf("Forbidden"),
  schemaOf("QuotaExceeded"),
  schemaOf("NotFound"),
  schemaOf("AlreadyExists"),
  schemaOf("Unavailable"),
  schemaOf("InsufficientStorage")
] as const

/** What operations fail with. */
export type Refusal = (typeof schemas)[number]["Type"]

const kinds = {
  alreadyExists: "AlreadyExists",
  notFound: "NotFound",
  quotaExceeded: "QuotaExceeded",
  unavailable: "Unavailable",
  invalid: "BadRequest"
} as const satisfies Record<EmulatorError["reason"], Kind>

/** An operation of the controls, whose errors are refusals of the API. */
export const refused = <A, R>(
  operation: Effect.Effect<A, EmulatorError | MessageEncodeError, R>
): Effect.Effect<A, Refusal, R> =>
  Effect.mapError(operation, (error): Refusal =>
    error._tag === "EmulatorError"
      ? { error: kinds[error.reason], message: `${error.problem}.` }
      : { error: "BadRequest", message: error.message })

/** The answer to a request that no operation has seen. */
export const answerOf = (
  error: Kind,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): HttpAnswer => ({
  status: statuses[error],
  headers: { "content-type": "application/json", ...headers },
  body: JSON.stringify({ error, message } satisfies ControlProblem)
})
