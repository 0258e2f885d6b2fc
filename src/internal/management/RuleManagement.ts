/**
 * Operations on the `$management` node of a subscription: its rules, created, deleted and listed (Service Bus documentation, AMQP
 * request/response operations). Like those of EntityManagement, each is one request, and none is tried again here.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as AmqpValue from "../../AmqpValue.ts"
import type { AttachError, CreateRuleError, DeleteRuleError, InvalidOptionError } from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import { fieldOf, itemsOf } from "../amqp/codec/DecodedValue.ts"
import { Writer } from "../amqp/codec/Writer.ts"
import * as errorMap from "../errorMap.ts"
import * as MessageEncoder from "../message/MessageEncoder.ts"
import { outOfRange } from "../options.ts"
import { errorOf, isSuccess, malformed, type RequestResponseLink, serverTimeout } from "./RequestResponseLink.ts"
import * as SqlParameters from "./SqlParameters.ts"

/** A rule as it is sent, checked. */
interface Description {
  readonly name: string
  readonly description: AmqpValue.AmqpValue
}

const scratch = new Writer()

/** How the service's maps name what a correlation filter asks for, in the order in which its lists have it. */
const conditions = [
  ["correlationId", "correlation-id"],
  ["messageId", "message-id"],
  ["to", "to"],
  ["replyTo", "reply-to"],
  ["subject", "label"],
  ["sessionId", "session-id"],
  ["replyToSessionId", "reply-to-session-id"],
  ["contentType", "content-type"]
] as const

/** The map that creates a rule; what is wrong with the rule is refused by the name of the part. */
export const describe = (
  entity: string,
  rule: ServiceBusRule.Rule
): Result.Result<Description, InvalidOptionError> => {
  try {
    const problem = ServiceBusRule.problemOf(rule)
    return problem === undefined
      ? descriptionOf(entity, rule)
      : Result.fail(outOfRange(entity, problem.option, problem.expected))
  } catch (cause) {
    // A proxy, or a getter.
    return Result.fail(outOfRange(entity, "rule", "a rule that can be read", cause))
  }
}

const descriptionOf = (
  entity: string,
  { action, filter, name }: ServiceBusRule.Rule
): Result.Result<Description, InvalidOptionError> => {
  return Result.flatMap(
    filterMap(entity, filter),
    (map) =>
      Result.map(
        action === undefined ? Result.succeed(null) : expressionMap(entity, "action", action),
        (action) => ({ name, description: { ...map, "sql-rule-action": action, "rule-name": name } })
      )
  )
}

/**
 * Whether a rule that is listed is the one that was asked for, with its types. What says the same in another way counts as
 * another rule.
 */
export const isAsAsked = (entity: string, asked: Description, listed: ServiceBusRule.ListedRule): boolean => {
  if (!ServiceBusRule.isKnown(listed)) return false
  const found = describe(entity, listed)
  return Result.isSuccess(found) && bytesOf(asked).equals(bytesOf(found.success))
}

const bytesOf = ({ description }: Description): Buffer => {
  scratch.value(description)
  return scratch.take()
}

type Fields = Readonly<Record<string, AmqpValue.AmqpValue>>

/** Those that take all or nothing have no form of their own in a request: the SDKs send these expressions, and so do we. */
const constants = { TrueFilter: "1=1", FalseFilter: "1=0" } as const

const filterMap = (
  entity: string,
  filter: ServiceBusRule.Filter
): Result.Result<Fields, InvalidOptionError> => {
  switch (filter._tag) {
    case "TrueFilter":
    case "FalseFilter":
      return Result.succeed({ "sql-filter": { expression: constants[filter._tag] } })
    case "SqlFilter":
      return Result.map(expressionMap(entity, "filter", filter), (map) => ({ "sql-filter": map }))
    case "CorrelationFilter":
      return Result.map(conditionsMap(entity, filter), (map) => ({ "correlation-filter": map }))
  }
}

const expressionMap = (
  entity: string,
  part: "filter" | "action",
  { expression, parameters }: ServiceBusRule.SqlFilter | ServiceBusRule.SqlAction
): Result.Result<Fields, InvalidOptionError> => {
  const inlined = SqlParameters.inline(expression, parameters)
  if (Result.isFailure(inlined)) {
    const { expected, name } = inlined.failure
    return Result.fail(outOfRange(entity, `${part}.parameters.${name}`, expected))
  }
  return inlined.success.length > ServiceBusRule.maxExpression
    ? Result.fail(
      outOfRange(
        entity,
        `${part}.expression`,
        `at most ${ServiceBusRule.maxExpression} characters once its parameters are written into it, as AMQP needs it`
      )
    )
    : Result.succeed({ expression: inlined.success })
}

/** The properties are those that a message could have. */
const conditionsMap = (
  entity: string,
  filter: ServiceBusRule.CorrelationFilter
): Result.Result<Fields, InvalidOptionError> => {
  const map: Record<string, AmqpValue.AmqpValue> = {}
  for (const [name, key] of conditions) {
    if (filter[name] !== undefined) map[key] = filter[name]
  }
  const properties = new Map<AmqpValue.AmqpValue, AmqpValue.AmqpValue>(
    Object.entries(filter.applicationProperties ?? {})
      .filter(([, value]) => value !== undefined)
      // Peers keep them in an order of their own.
      .toSorted(([one], [other]) => one < other ? -1 : 1)
  )
  if (properties.size > 0) map["properties"] = properties
  try {
    MessageEncoder.writeApplicationProperties(scratch, filter.applicationProperties ?? {})
    return Result.succeed(map)
  } catch (error) {
    const { description, part } = MessageEncoder.problemOf("applicationProperties", error)
    return Result.fail(outOfRange(entity, `filter.${part}`, `what a message could have: ${description}`))
  } finally {
    scratch.reset()
  }
}

/** Creates a rule. */
export const add = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly rule: Description
  readonly timeout: number
}): Effect.fn.Return<void, CreateRuleError> {
  const operation = "createRule"
  const { description, name } = options.rule
  const response = yield* node.request(
    { operation: "com.microsoft:add-rule", ...serverTimeout(options.timeout) },
    { "rule-name": name, "rule-description": description },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.createRuleError(errorOf(response), { entity: options.entity, operation, rule: name })
  }
})

/** Deletes a rule. */
export const remove = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly name: string
  readonly timeout: number
}): Effect.fn.Return<void, DeleteRuleError> {
  const operation = "deleteRule"
  const { entity, name } = options
  const response = yield* node.request(
    { operation: "com.microsoft:remove-rule", ...serverTimeout(options.timeout) },
    { "rule-name": name },
    operation
  )
  if (!isSuccess(response)) {
    return yield* errorMap.deleteRuleError(errorOf(response), { entity, operation, rule: name })
  }
})

/** Some of the rules, from a place in their order on; none means the end. */
export const enumerate = Effect.fnUntraced(function*(node: RequestResponseLink, options: {
  readonly entity: string
  readonly skip: number
  readonly top: number
  readonly timeout: number
}): Effect.fn.Return<ReadonlyArray<ServiceBusRule.ListedRule>, AttachError> {
  const operation = "listRules"
  const { entity } = options
  const response = yield* node.request(
    { operation: "com.microsoft:enumerate-rules", ...serverTimeout(options.timeout) },
    { top: AmqpValue.typed("int", options.top), skip: AmqpValue.typed("int", options.skip) },
    operation
  )
  if (response.status === 204 || errorMap.isNoRule(response)) return []
  if (!isSuccess(response)) return yield* errorMap.attachError(errorOf(response), { entity, operation })
  const entries = itemsOf(fieldOf(response.exactBody(), "rules")) ?? []
  const rules = entries.map((entry) => ruleOf(fieldOf(entry as AmqpValue.AmqpValue, "rule-description")))
  const read = rules.filter((rule) => rule !== undefined)
  return read.length === rules.length ? read : yield* malformed(entity, operation, "a rule that has no name")
})

/** The fields of a described list; none of another value. */
const fieldsOf = (value: AmqpValue.AmqpValue): ReadonlyArray<AmqpValue.AmqpValue> =>
  (itemsOf(describedOf(value)?.value) ?? []) as ReadonlyArray<AmqpValue.AmqpValue>

const describedOf = (value: AmqpValue.AmqpValue): AmqpValue.Described | undefined =>
  AmqpValue.isTyped(value) && value.type === "described" ? value as AmqpValue.Described : undefined

/**
 * What a filter or an action is, by its descriptor: the service writes the code, others may write the name. The codes of
 * filters have a digit less than that of an action; a peer that writes either form is understood, because what stands where is
 * known.
 */
const kindOf = (value: AmqpValue.AmqpValue, kinds: Readonly<Record<string, number>>): string | undefined => {
  const { descriptor } = describedOf(value) ?? {}
  const plain = AmqpValue.isTyped(descriptor) ? descriptor.value : descriptor
  const name = /^com\.microsoft:([a-z-]+):list$/.exec(String(plain))?.[1]
  if (name !== undefined) return Object.hasOwn(kinds, name) ? name : undefined
  if (typeof plain !== "number" && typeof plain !== "bigint") return undefined
  const code = Number(plain)
  return Object.keys(kinds).find((kind) =>
    code === 0x13700000000 + kinds[kind]! || code === 0x1370000000 + kinds[kind]!
  )
}

const filters = { "sql-filter": 6, "true-filter": 7, "false-filter": 8, "correlation-filter": 9 }
const actions = { "empty-rule-action": 5, "sql-rule-action": 6 }

/** A rule; undefined where it has no name. */
const ruleOf = (value: AmqpValue.AmqpValue): ServiceBusRule.ListedRule | undefined => {
  const [filter, action, name, createdAt] = fieldsOf(value)
  const text = textOf(name)
  if (text === undefined) return undefined
  const read = actionOf(action)
  return {
    name: text,
    filter: filterOf(filter),
    ...(read === undefined ? {} : { action: read }),
    ...(DateTime.isDateTime(createdAt) ? { createdAt: DateTime.toUtc(createdAt) } : {})
  }
}

const filterOf = (value: AmqpValue.AmqpValue): ServiceBusRule.ListedRule["filter"] => {
  const unknown: ServiceBusRule.UnknownFilter = { _tag: "UnknownFilter", value }
  switch (kindOf(value, filters)) {
    case "true-filter":
      return ServiceBusRule.true
    case "false-filter":
      return ServiceBusRule.false
    case "sql-filter": {
      const expression = textOf(fieldsOf(value)[0])
      return expression === undefined
        ? unknown
        : expression === constants.TrueFilter
        ? ServiceBusRule.true
        : expression === constants.FalseFilter
        ? ServiceBusRule.false
        : ServiceBusRule.sql(expression)
    }
    case "correlation-filter": {
      const fields = fieldsOf(value)
      const read: Record<string, string> = {}
      for (const [index, [name]] of conditions.entries()) {
        const text = textOf(fields[index])
        if (text !== undefined) read[name] = text
      }
      const properties = propertiesOf(fields[conditions.length])
      return ServiceBusRule.correlation({
        ...read,
        ...(properties === undefined ? {} : { applicationProperties: properties })
      })
    }
    default:
      return unknown
  }
}

const actionOf = (value: AmqpValue.AmqpValue): ServiceBusRule.ListedRule["action"] => {
  const kind = kindOf(value, actions)
  const expression = kind === "sql-rule-action" ? textOf(fieldsOf(value)[0]) : undefined
  return expression !== undefined
    ? ServiceBusRule.action(expression)
    : kind === "empty-rule-action" || value === null || value === undefined
    ? undefined
    : { _tag: "UnknownAction", value }
}

/** What there is as text; what is empty is not there. */
const textOf = (value: AmqpValue.AmqpValue): string | undefined => {
  const text = AmqpValue.isTyped(value) ? value.value : value
  return typeof text === "string" && text !== "" ? text : undefined
}

const propertiesOf = (value: AmqpValue.AmqpValue): Fields | undefined => {
  if (typeof value !== "object" || value === null || AmqpValue.isTyped(value)) return undefined
  const entries = value instanceof Map ? [...value].map(([key, item]) => [String(key), item]) : Object.entries(value)
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}
