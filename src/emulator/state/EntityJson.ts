/**
 * Entities of the broker as JSON and back: settings and rules, by the names that a program gives them. Durations are written in
 * ISO 8601. What only the management API keeps of an entity, such as its policies with their keys, is not here.
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import type * as Broker from "../broker/Broker.ts"
import * as DurationJson from "./DurationJson.ts"
import { Value } from "./MessageJson.ts"
import * as ValueJson from "./ValueJson.ts"

// By its name alone: taken out of all of Schema it would keep all of Schema in bundles.
const optionalKey = Schema.optionalKey

const Span = Schema.Union([Schema.Finite, Schema.String])

const Values = Schema.Record(Schema.String, Value)

const Sql = Schema.Struct({ sql: Schema.String, parameters: optionalKey(Values) })

/** A rule. */
export const Rule = Schema.Struct({
  name: Schema.String,
  filter: Schema.Union([
    Schema.Literals(["true", "false"]),
    Sql,
    Schema.Struct({
      correlation: Schema.Struct({
        correlationId: optionalKey(Schema.String),
        messageId: optionalKey(Schema.String),
        to: optionalKey(Schema.String),
        replyTo: optionalKey(Schema.String),
        subject: optionalKey(Schema.String),
        sessionId: optionalKey(Schema.String),
        replyToSessionId: optionalKey(Schema.String),
        contentType: optionalKey(Schema.String),
        applicationProperties: optionalKey(Values)
      })
    })
  ]),
  action: optionalKey(Sql)
}).annotate({
  identifier: "Rule",
  description: "A rule: its filter is \"true\", \"false\", { sql } or { correlation }"
})

const shared = {
  defaultTimeToLive: optionalKey(Span),
  autoDeleteOnIdle: optionalKey(Span)
}

const sized = {
  maxSize: optionalKey(Schema.Int),
  maxMessageSize: optionalKey(Schema.Int),
  duplicateDetectionWindow: optionalKey(Span)
}

const received = {
  lockDuration: optionalKey(Span),
  maxDeliveryCount: optionalKey(Schema.Int),
  deadLetteringOnExpiration: optionalKey(Schema.Boolean),
  requiresSession: optionalKey(Schema.Boolean),
  forwardTo: optionalKey(Schema.String),
  forwardDeadLetteredMessagesTo: optionalKey(Schema.String)
}

/** What each kind of entity has beside what it holds. */
export const fields = {
  queue: {
    kind: Schema.Literal("queue"),
    name: Schema.String,
    options: optionalKey(Schema.Struct({
      ...received,
      ...shared,
      ...sized,
      status: optionalKey(Schema.Literals(["Active", "Disabled", "SendDisabled", "ReceiveDisabled"]))
    }))
  },
  topic: {
    kind: Schema.Literal("topic"),
    name: Schema.String,
    options: optionalKey(Schema.Struct({
      ...shared,
      ...sized,
      status: optionalKey(Schema.Literals(["Active", "Disabled", "SendDisabled"]))
    }))
  },
  subscription: {
    kind: Schema.Literal("subscription"),
    topic: Schema.String,
    name: Schema.String,
    options: optionalKey(Schema.Struct({
      ...received,
      ...shared,
      status: optionalKey(Schema.Literals(["Active", "Disabled", "ReceiveDisabled"])),
      deadLetteringOnFilterError: optionalKey(Schema.Boolean)
    })),
    rules: optionalKey(Schema.Array(Rule))
  }
} as const

/** An entity without what it holds. */
export const Entity = Schema.Union([
  Schema.Struct(fields.queue),
  Schema.Struct(fields.topic),
  Schema.Struct(fields.subscription)
])

export type Entity = typeof Entity.Type

const spans: ReadonlySet<string> = new Set([
  "lockDuration",
  "defaultTimeToLive",
  "autoDeleteOnIdle",
  "duplicateDetectionWindow"
])

const names = {
  queue: Object.keys({ ...received, ...shared, ...sized, status: 0 }),
  topic: Object.keys({ ...shared, ...sized, status: 0 }),
  subscription: Object.keys({ ...received, ...shared, status: 0, deadLetteringOnFilterError: 0 })
}

/** An entity as JSON: all of its settings, with the defaults. */
export const toJson = (
  { kind, name, settings, topic }: Broker.Declaration,
  rules: ReadonlyArray<ServiceBusRule.Rule>
): Entity => {
  const options: Record<string, Schema.Json> = {}
  for (const option of names[kind]) {
    const value = settings[option as keyof typeof settings]
    if (value !== undefined) options[option] = spans.has(option) ? DurationJson.write(value as number) : value
  }
  return {
    kind,
    ...(topic === undefined ? {} : { topic }),
    name,
    options,
    ...(kind === "subscription" ? { rules: rules.map(ruleToJson) } : {})
  } as Entity
}

const valuesToJson = (values: ServiceBusRule.Parameters | undefined): Record<string, Schema.Json> | undefined => {
  const entries = Object.entries(values ?? {})
  return entries.length === 0
    ? undefined
    : Object.fromEntries(entries.map(([name, value]) => [name, ValueJson.toJson(value)]))
}

const sqlToJson = (
  { expression, parameters }: ServiceBusRule.SqlFilter | ServiceBusRule.SqlAction
): typeof Sql.Type => {
  const given = valuesToJson(parameters)
  return { sql: expression, ...(given === undefined ? {} : { parameters: given }) }
}

/** A rule as JSON. */
export const ruleToJson = ({ action, filter, name }: ServiceBusRule.Rule): typeof Rule.Type => ({
  name,
  filter: filterToJson(filter),
  ...(action === undefined ? {} : { action: sqlToJson(action) })
})

const filterToJson = (filter: ServiceBusRule.Filter): (typeof Rule.Type)["filter"] => {
  switch (filter._tag) {
    case "TrueFilter":
      return "true"
    case "FalseFilter":
      return "false"
    case "SqlFilter":
      return sqlToJson(filter)
    case "CorrelationFilter": {
      const { _tag, applicationProperties, ...conditions } = filter
      const given = valuesToJson(applicationProperties)
      return {
        correlation: {
          ...Object.fromEntries(Object.entries(conditions).filter(([, value]) => value !== undefined)),
          ...(given === undefined ? {} : { applicationProperties: given })
        }
      }
    }
  }
}

/** An entity out of JSON; throws a JsonProblem. Whether the broker takes it, the broker says. */
export const ofJson = (json: Entity, path: string): Broker.Entity => {
  const options: Record<string, unknown> = { ...json.options }
  for (const option of spans) {
    const given = options[option] as number | string | undefined
    if (given === undefined) continue
    options[option] = Option.getOrElse(DurationJson.read(given), () => {
      throw new ValueJson.JsonProblem(`${path}.options.${option}`, DurationJson.expected)
    })
  }
  if (json.kind !== "subscription") return { kind: json.kind, name: json.name, options } as Broker.Entity
  const rules = json.rules?.map((rule, index) => ruleOfJson(rule, `${path}.rules[${index}]`))
  return {
    kind: "subscription",
    topic: json.topic,
    name: json.name,
    options: { ...options, ...(rules === undefined ? {} : { rules }) } as Broker.SubscriptionOptions
  }
}

const valuesOfJson = (
  json: Readonly<Record<string, Schema.Json>> | undefined,
  path: string
): ServiceBusRule.Parameters | undefined =>
  json === undefined
    ? undefined
    : Object.fromEntries(
      Object.entries(json).map(([name, value]) => [name, ValueJson.ofJson(value, `${path}.${name}`)])
    )

/** A rule out of JSON; throws a JsonProblem. */
export const ruleOfJson = ({ action, filter, name }: typeof Rule.Type, path: string): ServiceBusRule.Rule =>
  ServiceBusRule.make(
    name,
    filterOfJson(filter, `${path}.filter`),
    action === undefined
      ? undefined
      : ServiceBusRule.action(action.sql, valuesOfJson(action.parameters, `${path}.action.parameters`))
  )

const filterOfJson = (json: (typeof Rule.Type)["filter"], path: string): ServiceBusRule.Filter => {
  if (json === "true") return ServiceBusRule.true
  if (json === "false") return ServiceBusRule.false
  if ("sql" in json) return ServiceBusRule.sql(json.sql, valuesOfJson(json.parameters, `${path}.parameters`))
  const { applicationProperties, ...conditions } = json.correlation
  const values = valuesOfJson(applicationProperties, `${path}.correlation.applicationProperties`)
  return ServiceBusRule.correlation({
    ...conditions,
    ...(values === undefined ? {} : { applicationProperties: values })
  })
}
