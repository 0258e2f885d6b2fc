/**
 * Faults as a program writes them, or a request over HTTP: which operations of clients they fit, how often they strike, and what
 * happens then. One schema checks both; what it lets through becomes the plain value that a namespace keeps (`amqp/Faults`).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { problemOf } from "../ServiceBusBody.ts"
import type * as ServiceBusEntity from "../ServiceBusEntity.ts"
import { EmulatorError } from "../ServiceBusError.ts"
import * as Faults from "./amqp/Faults.ts"

/**
 * What the broker says when it refuses: an AMQP condition such as `com.microsoft:server-busy`, and a text.
 *
 * @category models
 * @since 0.1.0
 */
export interface BrokerError {
  /** The AMQP condition: `com.microsoft:server-busy`, `amqp:not-found` and so on; 1 to 256 characters of ASCII without spaces. */
  readonly condition: string
  /** At most 4,096 UTF-16 code units. */
  readonly description?: string | undefined
}

/**
 * What a fault may strike. `attach` is a link to the entity, and `acceptSession` one that asks for a session; a batch is one
 * `send`; `settle` and `renew` are so however they are asked for, `renew` of messages and of sessions. A `request` is any that
 * goes to the management node of the entity, and one of them alone is given by its name, such as `com.microsoft:peek-message`.
 * `putToken` is a token that a client puts for the entity, and `administer` a request over HTTP.
 *
 * @category models
 * @since 0.1.0
 */
export type FaultOperation = Faults.FaultOperation

/**
 * Which operations a fault strikes.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultTarget {
  /** What is to go wrong. */
  readonly operation: FaultOperation
  /** As a contract, or by its name; every entity where none is given. */
  readonly entity?: ServiceBusEntity.Any | string | undefined
  /** How often: 1 by default; `"every"` until it is taken back. */
  readonly times?: number | "every" | undefined
  /**
   * With which probability it strikes an operation that it fits, more than 0; 1 by default. Only those struck count for `times`.
   */
  readonly probability?: number | undefined
  /** Where the random numbers of `probability` begin, an integer; 0 by default. The same seed strikes the same operations. */
  readonly seed?: number | undefined
}

/**
 * What happens to an operation that a fault strikes.
 *
 * Where there is a `when`, it is `"before"` by default: the operation is not carried out, or not yet. With `"after"` it is
 * carried out, and then this happens in place of its answer, so that its client does not know the outcome. Times go by the
 * clock of the server: Effect's Clock where the layer was made, TestClock in a test.
 *
 * - `error`: it is refused, with what the client is told. Over HTTP the status is that which the condition comes to.
 * - `throttle`: refused as `com.microsoft:server-busy`, with the service's advice to wait for `retryAfter`, in whole seconds,
 *   2 seconds by default; over HTTP with the header `Retry-After` too.
 * - `delay`: it is carried out, or answered, that much later. Messages of one link keep their order: those that come after a
 *   delayed one wait behind it.
 * - `drop`: it is never answered. What is kept of it goes when its link ends.
 * - `loseLock`: the lock that it names, of a message or a session, ends before it is carried out.
 * - `detach`, `endSession`: its link or its AMQP session ends, with an error that the client is told. An attach is refused.
 * - `disconnect`: its connection is cut without a word.
 *
 * @category models
 * @since 0.1.0
 */
export type FaultAction =
  | { readonly action?: "error" | undefined; readonly error: BrokerError }
  | { readonly action: "throttle"; readonly retryAfter?: Duration.Input | undefined }
  | {
    readonly action: "delay"
    readonly delay: Duration.Input
    readonly when?: "before" | "after" | undefined
  }
  | { readonly action: "drop" | "disconnect"; readonly when?: "before" | "after" | undefined }
  | { readonly action: "loseLock" }
  | {
    readonly action: "detach" | "endSession"
    readonly error?: BrokerError | undefined
    readonly when?: "before" | "after" | undefined
  }

/**
 * What is to go wrong: with which operations, how often, and how. An operation that several faults fit is struck by the first
 * that was asked for.
 *
 * @category models
 * @since 0.1.0
 */
export type Fault = FaultTarget & FaultAction

/**
 * A fault for the time of a scope.
 *
 * @category models
 * @since 0.1.0
 */
export interface InjectedFault {
  readonly id: string
  /** How many operations it has struck so far, once it is taken back too. */
  readonly hits: Effect.Effect<number>
}

/**
 * A fault that the broker has, and what became of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface FaultStatus {
  readonly id: string
  /** As it was asked for: its entity by name, durations in milliseconds, with all defaults. */
  readonly fault: Fault
  /** How many operations it has struck. */
  readonly hits: number
  /** Whether it has struck as often as it was to. The latest 100 that are spent are kept. */
  readonly isSpent: boolean
}

/** A finite duration: milliseconds, words or ISO 8601. @internal */
export const duration = Schema.Union([Schema.Finite, Schema.String]).check(
  Schema.makeFilter((given) =>
    millisOf(given) === undefined
      ? "Expected a finite duration of 0 or more: milliseconds, a text such as \"5 seconds\", or ISO 8601"
      : undefined
  )
)

/** Whole milliseconds of it; undefined for what is none. @internal */
export const millisOf = (given: unknown): number | undefined => {
  const read = typeof given === "string" && given.startsWith("P")
    ? Duration.fromIso(given)
    : Duration.fromInput(given as Duration.Input)
  if (Option.isNone(read)) return undefined
  const millis = Duration.toMillis(read.value)
  return millis >= 0 && millis < Infinity ? Math.ceil(millis) : undefined
}

/** @internal */
export const brokerError = Schema.Struct({
  // A symbol of AMQP; both are in one frame with others, of which peers may have small ones.
  condition: Schema.String.check(
    Schema.isPattern(/^[!-~]{1,256}$/u, { expected: "1 to 256 characters of ASCII without spaces" })
  ),
  description: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(4_096)))
})

const target = {
  operation: Schema.Literals(Faults.operations).annotate({
    expected: `${
      Faults.operations.filter((name) => !name.startsWith("com.")).map((name) => `"${name}"`).join(", ")
    } or a request by its name, such as "com.microsoft:peek-message"`
  }),
  entity: Schema.optionalKey(Schema.NonEmptyString),
  times: Schema.optionalKey(
    Schema.Union([Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), Schema.Literal("every")])
  ),
  probability: Schema.optionalKey(Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1))),
  seed: Schema.optionalKey(Schema.Int)
}

const when = { when: Schema.optionalKey(Schema.Literals(["before", "after"])) }

const members = {
  error: Schema.Struct({ ...target, action: Schema.optionalKey(Schema.Literal("error")), error: brokerError }),
  throttle: Schema.Struct({ ...target, action: Schema.Literal("throttle"), retryAfter: Schema.optionalKey(duration) }),
  delay: Schema.Struct({ ...target, ...when, action: Schema.Literal("delay"), delay: duration }),
  drop: Schema.Struct({ ...target, ...when, action: Schema.Literal("drop") }),
  disconnect: Schema.Struct({ ...target, ...when, action: Schema.Literal("disconnect") }),
  loseLock: Schema.Struct({ ...target, action: Schema.Literal("loseLock") }),
  detach: Schema.Struct({
    ...target,
    ...when,
    action: Schema.Literal("detach"),
    error: Schema.optionalKey(brokerError)
  }),
  endSession: Schema.Struct({
    ...target,
    ...when,
    action: Schema.Literal("endSession"),
    error: Schema.optionalKey(brokerError)
  })
}

/** A fault as JSON: its entity by name, durations as texts or in milliseconds. @internal */
export const schema = Schema.Union([
  members.error,
  members.throttle,
  members.delay,
  members.drop,
  members.disconnect,
  members.loseLock,
  members.detach,
  members.endSession
])

type Given = typeof schema.Type

const actions: ReadonlyArray<string> = Object.keys(members)

const refused = (problem: string) => Effect.fail(new EmulatorError({ problem: `the fault is not usable: ${problem}` }))

const withoutUndefined = (record: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))

/** What a program gives, as JSON would have it: it may be anything. */
const plain = (fault: Fault): unknown => {
  if (typeof fault !== "object" || fault === null) return fault
  const given = withoutUndefined(fault)
  if (typeof given["error"] === "object" && given["error"] !== null) given["error"] = withoutUndefined(given["error"])
  if (typeof given["entity"] === "object" && given["entity"] !== null) {
    given["entity"] = "path" in given["entity"] ? given["entity"].path : undefined
    // Without a name it would be every entity.
    if (given["entity"] === undefined) given["entity"] = null
  }
  for (const option of ["delay", "retryAfter"]) {
    const value = given[option]
    if (value !== undefined && typeof value !== "string") given[option] = millisOf(value) ?? String(value)
  }
  if (given["times"] === Infinity) given["times"] = "every"
  return given
}

/** Reads a fault, which strikes `times` where it does not say. Fails with EmulatorError for what it cannot be. @internal */
export const read = (fault: Fault, times: number | "every" = 1): Effect.Effect<Faults.Fault, EmulatorError> =>
  Effect.suspend(() => {
    const given = plain(fault)
    const action = typeof given === "object" && given !== null && "action" in given ? given.action ?? "error" : "error"
    // By its action, so that what is said is of that one alone.
    if (typeof action !== "string" || !actions.includes(action)) {
      return refused(`its action must be one of ${actions.map((name) => `"${name}"`).join(", ")}`)
    }
    const member: Schema.Codec<Given> = members[action as keyof typeof members]
    return Effect.matchEffect(Schema.decodeUnknownEffect(member)(given, { errors: "all", onExcessProperty: "error" }), {
      onSuccess: (read) => fromGiven({ ...read, times: read.times ?? times }),
      onFailure: (error) => refused(problemOf(error))
    })
  })

/** A fault that the schema has let through. */
const fromGiven = (given: Given): Effect.Effect<Faults.Fault, EmulatorError> => {
  const consequence = actionOf(given)
  const problem = Faults.unfit(given.operation, consequence.action)
  if (problem !== undefined) return refused(problem)
  const { entity, operation, probability, seed, times } = given
  return Effect.succeed({
    operation,
    entity,
    times: times === "every" ? Infinity : times ?? 1,
    probability: probability ?? 1,
    seed: seed ?? 0,
    consequence
  })
}

/** Milliseconds; the advice that was seen of the service. */
const usualRetryAfter = 2_000

const actionOf = (given: Given): Faults.Action => {
  switch (given.action) {
    case "throttle":
      return { action: "throttle", retryAfter: millisOf(given.retryAfter ?? usualRetryAfter)! }
    case "delay":
      return { action: "delay", delay: millisOf(given.delay)!, when: given.when ?? "before" }
    case "drop":
    case "disconnect":
      return { action: given.action, when: given.when ?? "before" }
    case "loseLock":
      return { action: "loseLock" }
    case "detach":
    case "endSession":
      return { action: given.action, error: given.error, when: given.when ?? "before" }
    default:
      return { action: "error", error: given.error }
  }
}

/** What has become of a fault. @internal */
export const statusOf = ({ fault, hits, id, isSpent }: Faults.AddedFault): FaultStatus => {
  const { consequence, entity, operation, probability, seed, times } = fault
  return {
    id,
    fault: {
      operation,
      ...(entity === undefined ? {} : { entity }),
      times: times === Infinity ? "every" : times,
      probability,
      seed,
      ...withoutUndefined(consequence) as Faults.Action
    },
    hits,
    isSpent
  }
}
