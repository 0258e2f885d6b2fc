/**
 * Filters and actions over the application properties that a contract declares: a wrong name or a value of a wrong type does not
 * compile, and what is made is a filter of `ServiceBusRule`, with the SQL of the service.
 *
 * Names are delimited, so that none is a reserved word. Values stand in the text where SQL has a constant for them: texts, whole
 * numbers of 64 bits, doubles, booleans. Others (times, durations, bytes) are parameters, which AMQP does not carry:
 * `ServiceBusRuleManager` refuses them, the broker of the emulator takes them where an entity is declared.
 *
 * A condition is true, false or unknown, and a filter takes those messages alone for which it is true. A comparison is unknown
 * where the message has no such property, or null for it, and so is its `not` (Service Bus documentation, SQL filter syntax).
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type { AmqpValue } from "./AmqpValue.ts"
import * as ServiceBusEntity from "./ServiceBusEntity.ts"
import { InvalidOptionError } from "./ServiceBusError.ts"
import type * as ServiceBusProperties from "./ServiceBusProperties.ts"
import * as ServiceBusRule from "./ServiceBusRule.ts"

const TypeId = "~effect-service-bus/ServiceBusFilter"

/**
 * What has a value: `A` is its type in the program, `E` as it is written and compared.
 *
 * @category models
 * @since 0.1.0
 */
export interface Expression<in out A, out E = A> {
  readonly [TypeId]: Node
  /** Encodes a value to compare with. */
  readonly encode: (value: A) => AmqpValue
  /** The type of what is compared. A type only: there is no such value. */
  readonly Encoded: E
}

/**
 * A property of a message: one that the contract declares, or one of Service Bus's own. `O` says whether a message may be
 * without it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Property<in out A, out E = A, out O extends "optional" | "required" = "optional" | "required">
  extends Expression<A, E>
{
  /** The name, as the contract has it. */
  readonly name: string
  /** Whether a message may be without it. A type only: there is no such value. */
  readonly Optionality: O
}

/**
 * What is true, false or unknown of a message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Condition {
  readonly [TypeId]: ConditionNode
}

/**
 * What an action does to a message.
 *
 * @category models
 * @since 0.1.0
 */
export interface Statement {
  readonly [TypeId]: StatementNode
}

/**
 * What has an order, so that one may be less than another.
 *
 * @category models
 * @since 0.1.0
 */
export type Ordered = number | bigint | string | DateTime.Utc | Date | Duration.Duration

/** What values of a type are compared with. @inline */
type Kin<E> = E extends number | bigint ? number | bigint
  : E extends string ? string
  : E extends DateTime.Utc | Date ? DateTime.Utc | Date
  : E

/**
 * The properties that the contract of an entity declares, to build conditions of.
 *
 * @category models
 * @since 0.1.0
 */
export type PropertiesOf<E extends ServiceBusEntity.Any> = E extends
  ServiceBusEntity.WithDeclaredProperties<infer F, never> ? {
    readonly [K in keyof F & string]: Property<
      NonNullable<F[K]["Type"]>,
      NonNullable<F[K]["Encoded"]>,
      F[K] extends { readonly "~type.optionality": "optional" } ? "optional" : "required"
    >
  }
  : {}

/**
 * The properties that every message of Service Bus has, or may have.
 *
 * @category models
 * @since 0.1.0
 */
export interface SystemProperties {
  readonly contentType: Property<string, string, "optional">
  readonly correlationId: Property<string, string, "optional">
  readonly messageId: Property<string, string, "required">
  readonly partitionKey: Property<string, string, "optional">
  readonly replyTo: Property<string, string, "optional">
  readonly replyToSessionId: Property<string, string, "optional">
  readonly sessionId: Property<string, string, "optional">
  /** Other clients call it label. */
  readonly subject: Property<string, string, "optional">
  readonly to: Property<string, string, "optional">
}

type Node =
  | { readonly _tag: "Property"; readonly text: string }
  | { readonly _tag: "Value"; readonly value: AmqpValue }
  | { readonly _tag: "Arithmetic"; readonly operator: string; readonly left: Node; readonly right: Node }

type ConditionNode =
  | { readonly _tag: "Combined"; readonly operator: "AND" | "OR"; readonly conditions: ReadonlyArray<ConditionNode> }
  | { readonly _tag: "Not"; readonly condition: ConditionNode }
  | { readonly _tag: "Comparison"; readonly operator: string; readonly left: Node; readonly right: Node }
  | { readonly _tag: "In"; readonly operand: Node; readonly values: ReadonlyArray<Node> }
  | { readonly _tag: "Like"; readonly operand: Node; readonly pattern: string; readonly escape: string | undefined }
  | { readonly _tag: "IsNull"; readonly operand: Node }
  | { readonly _tag: "Exists"; readonly operand: Node }

type StatementNode =
  | { readonly _tag: "Set"; readonly target: Node; readonly value: Node }
  | { readonly _tag: "Remove"; readonly target: Node }

const refused = (option: string, expected: string, cause?: unknown): InvalidOptionError =>
  new InvalidOptionError({ option, expected, ...(cause === undefined ? {} : { cause }) })

const property = (name: string, text: string, schema: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>) =>
  ({
    [TypeId]: { _tag: "Property", text },
    name,
    encode: (value: unknown) => encoded(name, schema, value)
  }) as unknown as Property<unknown, unknown>

/** A value of a property as its Schema writes it. */
const encoded = (
  name: string,
  schema: Schema.ConstraintCodec<unknown, unknown, unknown, unknown>,
  value: unknown
): AmqpValue => {
  try {
    return Schema.encodeUnknownSync(schema as Schema.Codec<unknown, AmqpValue>)(value)
  } catch (cause) {
    throw refused(name, "a value that the Schema of the property encodes, without waiting", cause)
  }
}

const systemNames: ReadonlyMap<keyof SystemProperties, string> = new Map([
  ["contentType", "ContentType"],
  ["correlationId", "CorrelationId"],
  ["messageId", "MessageId"],
  ["partitionKey", "PartitionKey"],
  ["replyTo", "ReplyTo"],
  ["replyToSessionId", "ReplyToSessionId"],
  ["sessionId", "SessionId"],
  ["subject", "Label"],
  ["to", "To"]
])

const system = Object.fromEntries(
  Array.from(systemNames, ([name, sqlName]) => [name, property(name, `sys.${sqlName}`, Schema.String)])
) as unknown as SystemProperties

/** The properties of a contract. */
const propertiesOf = <E extends ServiceBusEntity.Any>(contract: E): PropertiesOf<E> => {
  const fields = ServiceBusEntity.propertiesOf(ServiceBusEntity.contractOf(contract))?.fields ?? {}
  return Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name, property(name, delimited(name), schema)])
  ) as PropertiesOf<E>
}

/** A name that is delimited can be anything but empty. */
const delimited = (name: string): string => `[${name.replaceAll("]", "]]")}]`

/**
 * A filter by a condition over the properties that a contract declares, and over those of Service Bus.
 *
 * Throws an InvalidOptionError for a value that the Schema of its property does not encode. An expression that is longer than
 * the service takes (1,024 characters) is refused where the rule is used, as that of any filter is.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter, ServiceBusRule } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.Literals(["eu", "us"]), total: Schema.Finite }
 * })
 *
 * // [region] = 'eu' AND ([total] >= 1000 OR sys.Label = 'urgent')
 * export const important = ServiceBusRule.make("important",
 *   ServiceBusFilter.where(Orders, (order, message) =>
 *     ServiceBusFilter.and(
 *       ServiceBusFilter.equals(order.region, "eu"),
 *       ServiceBusFilter.or(
 *         ServiceBusFilter.greaterThanOrEqualTo(order.total, 1000),
 *         ServiceBusFilter.equals(message.subject, "urgent")
 *       )
 *     )))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const where = <E extends ServiceBusEntity.Any>(
  contract: E,
  condition: (properties: PropertiesOf<E>, system: SystemProperties) => Condition
): ServiceBusRule.SqlFilter => {
  const print = new Printer()
  const text = print.condition(condition(propertiesOf(contract), system)[TypeId])
  return ServiceBusRule.sql(text, print.parameters)
}

/**
 * A correlation filter, whose application properties have the names and types of those that a contract declares. A message is
 * taken that has all of these values.
 *
 * Throws an InvalidOptionError for a value that the Schema of its property does not encode.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.Literals(["eu", "us"]), total: Schema.Finite }
 * })
 *
 * export const europe = ServiceBusFilter.correlation(Orders, { applicationProperties: { region: "eu" } })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const correlation = <E extends ServiceBusEntity.Any>(
  contract: E,
  conditions: Omit<ServiceBusRule.Conditions, "applicationProperties"> & {
    readonly applicationProperties?:
      | (E extends ServiceBusEntity.WithDeclaredProperties<infer F, never> ? Partial<ServiceBusProperties.Type<F>> : {})
      | undefined
  }
): ServiceBusRule.CorrelationFilter => {
  const { applicationProperties } = conditions
  if (!Predicate.isObject(applicationProperties)) {
    return ServiceBusRule.correlation(conditions as ServiceBusRule.Conditions)
  }
  const declared: Readonly<Record<string, Property<unknown>>> = propertiesOf(contract)
  const encodedProperties = Object.entries(applicationProperties).flatMap(([name, value]) => {
    if (value === undefined) return []
    const property = declared[name]
    if (property === undefined) throw refused(name, "a property that the contract declares")
    return [[name, property.encode(value)] as const]
  })
  return ServiceBusRule.correlation({ ...conditions, applicationProperties: Object.fromEntries(encodedProperties) })
}

/**
 * An action that sets and removes properties that a contract declares, and those of Service Bus. Statements run in their order,
 * and each sees what those before it did. A property that messages must have cannot be removed.
 *
 * Throws an InvalidOptionError for a value that the Schema of its property does not encode.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite, draft: Schema.optionalKey(Schema.Boolean) }
 * })
 *
 * // SET [total] = ([total] * 2); SET sys.Label = 'doubled'; REMOVE [draft]
 * export const double = ServiceBusFilter.action(Orders, (order, message) => [
 *   ServiceBusFilter.set(order.total, ServiceBusFilter.multiply(order.total, 2)),
 *   ServiceBusFilter.set(message.subject, "doubled"),
 *   ServiceBusFilter.remove(order.draft)
 * ])
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const action = <E extends ServiceBusEntity.Any>(
  contract: E,
  statements: (properties: PropertiesOf<E>, system: SystemProperties) => ReadonlyArray<Statement>
): ServiceBusRule.SqlAction => {
  const print = new Printer()
  const texts = statements(propertiesOf(contract), system).map((statement) => print.statement(statement[TypeId]))
  return ServiceBusRule.action(texts.join("; "), print.parameters)
}

/** Prints conditions and statements, and collects the values that have no constant. */
class Printer {
  readonly parameters: Record<string, AmqpValue> = {}
  private count = 0

  condition(node: ConditionNode): string {
    switch (node._tag) {
      case "Combined": {
        const parts = flattened(node.operator, node.conditions)
        // Of none, all are true and none is.
        if (parts.length === 0) return node.operator === "AND" ? "1 = 1" : "1 = 0"
        return parts.length === 1
          ? this.condition(parts[0]!)
          : parts.map((part) => this.operand(part)).join(` ${node.operator} `)
      }
      case "Not":
        return `NOT (${this.condition(node.condition)})`
      case "Comparison":
        return `${this.value(node.left)} ${node.operator} ${this.value(node.right)}`
      case "In":
        return node.values.length === 0
          ? "1 = 0"
          : `${this.value(node.operand)} IN (${node.values.map((value) => this.value(value)).join(", ")})`
      case "Like": {
        const text = `${this.value(node.operand)} LIKE ${this.constant(node.pattern)}`
        return node.escape === undefined ? text : `${text} ESCAPE ${this.constant(node.escape)}`
      }
      case "IsNull":
        return `${this.value(node.operand)} IS NULL`
      case "Exists":
        return `EXISTS (${this.value(node.operand)})`
    }
  }

  statement(node: StatementNode): string {
    return node._tag === "Set"
      ? `SET ${this.value(node.target)} = ${this.value(node.value)}`
      : `REMOVE ${this.value(node.target)}`
  }

  private operand(node: ConditionNode): string {
    const text = this.condition(node)
    return node._tag === "Combined" ? `(${text})` : text
  }

  private value(node: Node): string {
    switch (node._tag) {
      case "Property":
        return node.text
      case "Value":
        return this.constant(node.value)
      case "Arithmetic":
        return `(${this.value(node.left)} ${node.operator} ${this.value(node.right)})`
    }
  }

  private constant(value: AmqpValue): string {
    const constant = ServiceBusRule.constantOf(value)
    if (constant !== undefined) return constant
    const name = `@p${++this.count}`
    this.parameters[name] = value
    return name
  }
}

/** What is combined by the same operator stands side by side. */
const flattened = (operator: "AND" | "OR", conditions: ReadonlyArray<ConditionNode>): ReadonlyArray<ConditionNode> =>
  conditions.flatMap((condition) =>
    condition._tag !== "Combined" || condition.conditions.length === 0
      ? [condition]
      : condition.operator === operator || condition.conditions.length === 1
      ? flattened(operator, condition.conditions)
      : [condition]
  )

const isExpression = (value: unknown): value is Expression<unknown, unknown> => Predicate.hasProperty(value, TypeId)

/** An operand as it is given: an expression, or a value of the type of the one beside it. */
const nodeOf = <A>(beside: Expression<A, unknown>, value: A | Expression<never, unknown>): Node =>
  isExpression(value) ? value[TypeId] : { _tag: "Value", value: beside.encode(value as A) }

const conditionOf = (node: ConditionNode): Condition => ({ [TypeId]: node })

const comparison = (operator: string) =>
<A, E>(left: Expression<A, E>, right: A | Expression<never, unknown>): Condition =>
  conditionOf({ _tag: "Comparison", operator, left: left[TypeId], right: nodeOf(left, right) })
