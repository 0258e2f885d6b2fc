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
 * One file because its functions are one vocabulary over one tree; most of its lines are their docstrings.
 *
 * @module
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Types from "effect/Types"
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
export interface Expression<in A, out E = A> {
  readonly [TypeId]: Operation<A>
  /** The type of what is compared. A type only: there is no such value. */
  readonly Encoded: E
}

/**
 * A property of a message: one that the contract declares, or one of Service Bus's own. `O` says whether a message may be
 * without it, and `N` whether it can be set to null.
 *
 * @category models
 * @since 0.1.0
 */
export interface Property<
  in A,
  out E = A,
  out O extends "optional" | "required" = "optional" | "required",
  in N extends null = never
> extends Expression<A, E> {
  /** The name, as the contract has it. */
  readonly name: string
  /** Whether a message may be without it, so that an action may remove it. A type only: there is no such value. */
  readonly Optionality: O
  /** What it can be set to beside its values. A type only: there is no such value. */
  readonly Null: Types.Contravariant<N>
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

/** What a value is compared with: one of its type, or an expression. @inline */
type Operand<A, E> = A | Expression<never, Kin<E>>

/** What a property can be set to: a text of its own kinds alone. @inline */
type Settable<E> = E extends string ? E : Kin<E>

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
      F[K] extends { readonly "~type.optionality": "optional" } ? "optional" : "required",
      // Where a Schema takes null, and the service puts it in the place of a value: of texts and of bytes alone.
      null extends F[K]["Encoded"] ? [NonNullable<F[K]["Encoded"]>] extends [string | Uint8Array] ? null : never : never
    >
  }
  : {}

/**
 * The properties that every message of Service Bus has, or may have. Actions set them, and cannot remove one.
 *
 * @category models
 * @since 0.1.0
 */
export interface SystemProperties {
  readonly contentType: Property<string, string, "required">
  readonly correlationId: Property<string, string, "required">
  readonly messageId: Property<string, string, "required">
  readonly partitionKey: Property<string, string, "required">
  readonly replyTo: Property<string, string, "required">
  readonly replyToSessionId: Property<string, string, "required">
  readonly sessionId: Property<string, string, "required">
  /** Other clients call it label. */
  readonly subject: Property<string, string, "required">
  readonly to: Property<string, string, "required">
}

/** An expression with what encodes the values that it is compared with, and the name of the property that those are of. */
interface Operation<in A> {
  readonly node: Node
  readonly encode: Encode<A>
  readonly name: string | undefined
}

type Encode<A> = (value: A) => AmqpValue

type Node =
  | { readonly _tag: "Property"; readonly text: string }
  | { readonly _tag: "Value"; readonly value: AmqpValue; readonly name: string | undefined }
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
    [TypeId]: { node: { _tag: "Property", text }, encode: (value: unknown) => encoded(name, schema, value), name },
    name
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
  // SQL does not tell names by their case (Service Bus documentation, SQL filter syntax).
  const known = new Set<string>()
  for (const name of Object.keys(fields)) {
    if (known.has(name.toLowerCase())) throw refused(name, "a name that no other property has in another case")
    known.add(name.toLowerCase())
  }
  return Object.fromEntries(
    Object.entries(fields).map(([name, schema]) => [name, property(name, delimited(name), schema)])
  ) as PropertiesOf<E>
}

/** A name that is delimited can be anything but empty. */
const delimited = (name: string): string => `[${name.replaceAll("]", "]]")}]`

/**
 * A filter by a condition over the properties that a contract declares, and over those of Service Bus.
 *
 * Throws an InvalidOptionError for a value that the Schema of its property does not encode, and for an expression that is longer
 * than the service takes: 1,024 characters, which many values of `isIn` are.
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
  const made = called("condition", condition, contract)
  const text = print.condition(conditionNode("condition", made))
  return ServiceBusRule.sql(limited("condition", text), print.parameters)
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
  if (!Predicate.isObject(conditions)) throw refused("conditions", "an object with a value for each condition")
  const read = readable("conditions", () => ({ ...conditions }))
  const { applicationProperties } = read
  if (!Predicate.isObject(applicationProperties)) {
    return ServiceBusRule.correlation(read as ServiceBusRule.Conditions)
  }
  const declared: Readonly<Record<string, Property<unknown>>> = propertiesOf(contract)
  const given = readable("applicationProperties", () => Object.entries(applicationProperties))
  const encodedProperties = given.flatMap(([name, value]) => {
    if (value === undefined) return []
    const property = Object.hasOwn(declared, name) ? declared[name] : undefined
    if (property === undefined) throw refused(name, "a property that the contract declares")
    return [[name, property[TypeId].encode(value)] as const]
  })
  return ServiceBusRule.correlation({ ...read, applicationProperties: Object.fromEntries(encodedProperties) })
}

/**
 * An action that sets and removes properties that a contract declares, and those of Service Bus. Statements run in their order,
 * and each sees what those before it did. A property that messages must have cannot be removed.
 *
 * Throws an InvalidOptionError for a value that the Schema of its property does not encode, and for more text than the service
 * takes: 1,024 characters.
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
  const made = called("statements", statements, contract)
  const texts = listOf("statements", made).map((statement) => print.statement(statementNode(statement)))
  return ServiceBusRule.action(limited("statements", texts.join("; ")), print.parameters)
}

/** What a function of the caller makes of the properties of a contract. */
const called = <E extends ServiceBusEntity.Any, A>(
  option: string,
  make: (properties: PropertiesOf<E>, system: SystemProperties) => A,
  contract: E
): A => {
  if (typeof make !== "function") throw refused(option, "a function of the properties")
  return make(propertiesOf(contract), system)
}

const limited = (option: string, text: string): string => {
  const most = ServiceBusRule.maxExpression
  if (text.length <= most) return text
  throw refused(option, `at most ${most} characters as SQL, not ${text.length}: fewer values of isIn, or more rules`)
}

/** Prints conditions and statements, and collects the values that have no constant. */
class Printer {
  readonly parameters: Record<string, AmqpValue> = {}
  private readonly names = new Set<string>()

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
        const text = `${this.value(node.operand)} LIKE ${this.constant(node.pattern, undefined)}`
        return node.escape === undefined ? text : `${text} ESCAPE ${this.constant(node.escape, undefined)}`
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
        return this.constant(node.value, node.name)
      case "Arithmetic":
        return `(${this.value(node.left)} ${node.operator} ${this.value(node.right)})`
    }
  }

  private constant(value: AmqpValue, of: string | undefined): string {
    const constant = ServiceBusRule.constantOf(value)
    if (constant !== undefined) return constant
    const name = this.parameterName(of)
    this.parameters[name] = value
    return name
  }

  /** By the property that the value is of, as far as a name of SQL can say it: who refuses it tells its name. */
  private parameterName(of = "value"): string {
    const letters = of.slice(0, 40).replaceAll(/[^\p{L}\p{Nd}_]/gu, "_")
    const first = /^\p{L}/u.test(letters) ? `@${letters}` : `@p${letters}`
    let name = first
    // SQL does not tell them by their case.
    for (let n = 2; this.names.has(name.toLowerCase()); n++) name = `${first}_${n}`
    this.names.add(name.toLowerCase())
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

/** What stands behind a value of this module, whatever a program without types gives in its place. */
const hidden = (value: unknown): { readonly _tag?: unknown; readonly node?: Node } | undefined => {
  const found = Predicate.hasProperty(value, TypeId) ? value[TypeId] : undefined
  return Predicate.isObject(found) ? found : undefined
}

const isExpression = (value: unknown): value is Expression<unknown, unknown> => hidden(value)?.node !== undefined

const operationOf = <A>(option: string, expression: Expression<A, unknown>): Operation<A> => {
  if (isExpression(expression)) return expression[TypeId]
  throw refused(option, "a property of the contract or of Service Bus, or arithmetic with them")
}

const propertyNode = (property: Property<never, unknown>): Node => {
  const { node } = operationOf("property", property)
  if (node._tag !== "Property") throw refused("property", "a property of the contract or of Service Bus")
  return node
}

const conditionTags: ReadonlySet<unknown> = new Set<ConditionNode["_tag"]>([
  "Combined",
  "Not",
  "Comparison",
  "In",
  "Like",
  "IsNull",
  "Exists"
])

const conditionNode = (option: string, condition: Condition): ConditionNode => {
  if (conditionTags.has(hidden(condition)?._tag)) return condition[TypeId]
  throw refused(option, "a condition, such as ServiceBusFilter.equals makes")
}

const statementNode = (statement: Statement): StatementNode => {
  const tag = hidden(statement)?._tag
  if (tag === "Set" || tag === "Remove") return statement[TypeId]
  throw refused("statements", "an array of what ServiceBusFilter.set and remove make")
}

/** A list as it is now; it may be anything. */
const listOf = <A>(option: string, values: Iterable<A>): ReadonlyArray<A> => {
  if (typeof values === "string" || !Predicate.isIterable(values)) throw refused(option, "an array")
  return readable(option, () => Array.from(values))
}

/** What is read of a value whose getters, or whose proxy, may throw. */
const readable = <A>(option: string, read: () => A): A => {
  try {
    return read()
  } catch (cause) {
    throw refused(option, "a value that can be read", cause)
  }
}

const textOf = (option: string, text: string): string => {
  if (typeof text !== "string") throw refused(option, "a string")
  return text
}

/** An operand as it is given: an expression, or a value of the type of the one beside it. */
const nodeOf = <A>({ encode, name }: Operation<A>, value: A | Expression<never, unknown>): Node =>
  isExpression(value) ? value[TypeId].node : { _tag: "Value", value: encode(value as A), name }

const conditionOf = (node: ConditionNode): Condition => ({ [TypeId]: node })

const compare = <A>(
  operator: string,
  left: Expression<A, unknown>,
  right: A | Expression<never, unknown>
): Condition => {
  const operation = operationOf("left", left)
  return conditionOf({ _tag: "Comparison", operator, left: operation.node, right: nodeOf(operation, right) })
}

/**
 * Whether a value is equal to another: one of the type of the property, or an expression. Texts are compared letter by letter.
 * Whether a property is null is for `isNull`.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String }
 * })
 *
 * // [region] = 'eu'
 * export const filter = ServiceBusFilter.where(Orders, ({ region }) =>
 *   ServiceBusFilter.equals(region, "eu"))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const equals = <A, E>(left: Expression<A, E>, right: Operand<NoInfer<A>, NoInfer<E>>): Condition =>
  compare("=", left, right)

/**
 * Whether a value is another one. It is unknown, and the message not taken, where there is no value.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String }
 * })
 *
 * // [region] <> 'eu'
 * export const filter = ServiceBusFilter.where(Orders, ({ region }) =>
 *   ServiceBusFilter.notEquals(region, "eu"))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const notEquals = <A, E>(left: Expression<A, E>, right: Operand<NoInfer<A>, NoInfer<E>>): Condition =>
  compare("<>", left, right)

/**
 * Whether a value is greater than another.
 * A property whose Schema encodes to another type, a number to a text, say, does not compile: the order would be that of texts.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // [total] > 1000
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThan(total, 1000))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const greaterThan = <A extends Ordered, E extends Kin<A>>(
  left: Expression<A, E>,
  right: Operand<NoInfer<A>, NoInfer<E>>
): Condition => compare(">", left, right)

/**
 * Whether a value is greater than another, or equal to it.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // [total] >= 1000
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThanOrEqualTo(total, 1000))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const greaterThanOrEqualTo = <A extends Ordered, E extends Kin<A>>(
  left: Expression<A, E>,
  right: Operand<NoInfer<A>, NoInfer<E>>
): Condition => compare(">=", left, right)

/**
 * Whether a value is less than another.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // [total] < 1000
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.lessThan(total, 1000))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const lessThan = <A extends Ordered, E extends Kin<A>>(
  left: Expression<A, E>,
  right: Operand<NoInfer<A>, NoInfer<E>>
): Condition => compare("<", left, right)

/**
 * Whether a value is less than another, or equal to it.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // [total] <= 1000
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.lessThanOrEqualTo(total, 1000))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const lessThanOrEqualTo = <A extends Ordered, E extends Kin<A>>(
  left: Expression<A, E>,
  right: Operand<NoInfer<A>, NoInfer<E>>
): Condition => compare("<=", left, right)

/**
 * Whether a value is one of many. No value is one of none. `where` refuses more of them than an expression has room for.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String }
 * })
 *
 * // [region] IN ('eu', 'us')
 * export const filter = ServiceBusFilter.where(Orders, ({ region }) =>
 *   ServiceBusFilter.isIn(region, ["eu", "us"]))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const isIn = <A, E>(expression: Expression<A, E>, values: ReadonlyArray<NoInfer<A>>): Condition => {
  const operation = operationOf("expression", expression)
  return conditionOf({
    _tag: "In",
    operand: operation.node,
    values: listOf("values", values).map((value) => nodeOf(operation, value))
  })
}

/**
 * Whether a text is like a pattern: `%` stands for any characters, `_` for one. The character `escape`, if one is given, has the
 * one after it stand for itself.
 *
 * Throws an InvalidOptionError where `escape` is not one character, or is the last of the pattern with nothing to escape, and for
 * an option of another name.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { sku: Schema.String }
 * })
 *
 * // [sku] LIKE 'A-_00%'
 * export const filter = ServiceBusFilter.where(Orders, ({ sku }) =>
 *   ServiceBusFilter.like(sku, "A-_00%"))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const like = <A extends string, E extends string>(
  expression: Expression<A, E>,
  pattern: string,
  options?: { readonly escape?: string | undefined }
): Condition => {
  const { node } = operationOf("expression", expression)
  if (options !== undefined && !Predicate.isObject(options)) throw refused("options", "an object: { escape }")
  const { escape, ...others } = readable("options", () => ({ ...options }))
  const [other] = Object.keys(others)
  if (other !== undefined) throw refused(other, "nothing: the option of like is escape")
  if (escape !== undefined && !(typeof escape === "string" && escape.length === 1)) {
    throw refused("escape", "one character")
  }
  if (escape !== undefined && endsEscaping(textOf("pattern", pattern), escape)) {
    throw refused("pattern", "a text with a character after each escape character")
  }
  return conditionOf({ _tag: "Like", operand: node, pattern: textOf("pattern", pattern), escape })
}

/** Whether the escape character at the end of a pattern has nothing to escape. */
const endsEscaping = (pattern: string, escape: string): boolean => {
  let i = 0
  while (i < pattern.length) i += pattern[i] === escape ? 2 : 1
  return i > pattern.length
}

/**
 * Whether a text starts with another, whatever characters that has.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { sku: Schema.String }
 * })
 *
 * // [sku] LIKE '5\%%' ESCAPE '\'
 * export const filter = ServiceBusFilter.where(Orders, ({ sku }) =>
 *   ServiceBusFilter.startsWith(sku, "5%"))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const startsWith = <A extends string, E extends string>(expression: Expression<A, E>, text: string): Condition =>
  literally(expression, text, (escaped) => `${escaped}%`)

/**
 * Whether a text ends with another, whatever characters that has.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { sku: Schema.String }
 * })
 *
 * // [sku] LIKE '%5\%' ESCAPE '\'
 * export const filter = ServiceBusFilter.where(Orders, ({ sku }) =>
 *   ServiceBusFilter.endsWith(sku, "5%"))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const endsWith = <A extends string, E extends string>(expression: Expression<A, E>, text: string): Condition =>
  literally(expression, text, (escaped) => `%${escaped}`)

/**
 * Whether a text has another one in it, whatever characters that has.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { sku: Schema.String }
 * })
 *
 * // [sku] LIKE '%5\%%' ESCAPE '\'
 * export const filter = ServiceBusFilter.where(Orders, ({ sku }) =>
 *   ServiceBusFilter.includes(sku, "5%"))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const includes = <A extends string, E extends string>(expression: Expression<A, E>, text: string): Condition =>
  literally(expression, text, (escaped) => `%${escaped}%`)

/** A pattern of a text that stands for itself. Without one of the three no character needs an escape. */
const literally = (
  expression: Expression<never, unknown>,
  text: string,
  pattern: (escaped: string) => string
): Condition => {
  const escaped = textOf("text", text).replaceAll(/[\\%_]/g, "\\$&")
  const isEscaped = escaped !== text
  return conditionOf({
    _tag: "Like",
    operand: operationOf("expression", expression).node,
    pattern: pattern(escaped),
    escape: isEscaped ? "\\" : undefined
  })
}

/**
 * Whether a message has a property, null or not. It is never unknown.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { due: Schema.optionalKey(Schema.String) }
 * })
 *
 * // EXISTS ([due])
 * export const filter = ServiceBusFilter.where(Orders, ({ due }) =>
 *   ServiceBusFilter.exists(due))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const exists = (property: Property<never, unknown>): Condition =>
  conditionOf({ _tag: "Exists", operand: propertyNode(property) })

/**
 * Whether a message has no such property, or null for it. It is never unknown.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { due: Schema.optionalKey(Schema.String) }
 * })
 *
 * // [due] IS NULL
 * export const filter = ServiceBusFilter.where(Orders, ({ due }) =>
 *   ServiceBusFilter.isNull(due))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const isNull = (property: Property<never, unknown>): Condition =>
  conditionOf({ _tag: "IsNull", operand: propertyNode(property) })

/**
 * Whether all conditions are true; without any, every message is taken.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String, total: Schema.Finite }
 * })
 *
 * // [region] = 'eu' AND [total] < 9
 * export const filter = ServiceBusFilter.where(Orders, ({ region, total }) =>
 *   ServiceBusFilter.and(ServiceBusFilter.equals(region, "eu"), ServiceBusFilter.lessThan(total, 9)))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const and = (...conditions: ReadonlyArray<Condition>): Condition => combined("AND", conditions)

/**
 * Whether one condition at least is true; without any, no message is taken.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String, total: Schema.Finite }
 * })
 *
 * // [region] = 'eu' OR [total] < 9
 * export const filter = ServiceBusFilter.where(Orders, ({ region, total }) =>
 *   ServiceBusFilter.or(ServiceBusFilter.equals(region, "eu"), ServiceBusFilter.lessThan(total, 9)))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const or = (...conditions: ReadonlyArray<Condition>): Condition => combined("OR", conditions)

const combined = (operator: "AND" | "OR", conditions: ReadonlyArray<Condition>): Condition =>
  conditionOf({
    _tag: "Combined",
    operator,
    conditions: conditions.map((condition) => conditionNode("conditions", condition))
  })

/**
 * Whether a condition is false. Where the condition is unknown, so is this: a message without the property is not taken.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String }
 * })
 *
 * // NOT ([region] LIKE 'eu%')
 * export const filter = ServiceBusFilter.where(Orders, ({ region }) =>
 *   ServiceBusFilter.not(ServiceBusFilter.startsWith(region, "eu")))
 * ```
 *
 * @category conditions
 * @since 0.1.0
 */
export const not = (condition: Condition): Condition =>
  conditionOf({ _tag: "Not", condition: conditionNode("condition", condition) })

/**
 * The sum of two numbers.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // ([total] + 2) > 10
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThan(ServiceBusFilter.add(total, 2), 10))
 * ```
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const add = (
  left: Expression<never, number | bigint>,
  right: number | bigint | Expression<never, number | bigint>
): Expression<number | bigint> => arithmetic("+", left, right)

/**
 * The difference of two numbers.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // ([total] - 2) > 10
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThan(ServiceBusFilter.subtract(total, 2), 10))
 * ```
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const subtract = (
  left: Expression<never, number | bigint>,
  right: number | bigint | Expression<never, number | bigint>
): Expression<number | bigint> => arithmetic("-", left, right)

/**
 * The product of two numbers.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // ([total] * 2) > 10
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThan(ServiceBusFilter.multiply(total, 2), 10))
 * ```
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const multiply = (
  left: Expression<never, number | bigint>,
  right: number | bigint | Expression<never, number | bigint>
): Expression<number | bigint> => arithmetic("*", left, right)

/**
 * The quotient of two numbers. That of two whole numbers is a whole number; by zero it is an error of the rule.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // ([total] / 2) > 10
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThan(ServiceBusFilter.divide(total, 2), 10))
 * ```
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const divide = (
  left: Expression<never, number | bigint>,
  right: number | bigint | Expression<never, number | bigint>
): Expression<number | bigint> => arithmetic("/", left, right)

/**
 * What is left of one number where it is divided by another.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { total: Schema.Finite }
 * })
 *
 * // ([total] % 2) > 10
 * export const filter = ServiceBusFilter.where(Orders, ({ total }) =>
 *   ServiceBusFilter.greaterThan(ServiceBusFilter.remainder(total, 2), 10))
 * ```
 *
 * @category arithmetic
 * @since 0.1.0
 */
export const remainder = (
  left: Expression<never, number | bigint>,
  right: number | bigint | Expression<never, number | bigint>
): Expression<number | bigint> => arithmetic("%", left, right)

/** An operand is a number as it stands, whatever range the values of the property beside it have: they are not of its kind. */
const arithmetic = (
  operator: string,
  left: Expression<never, unknown>,
  right: number | bigint | Expression<never, unknown>
): Expression<number | bigint> => {
  const { name, node } = operationOf("left", left)
  const encode = (value: number | bigint) => {
    if (typeof value === "number" || typeof value === "bigint") return value
    throw refused("right", "a number, a bigint, or an expression")
  }
  const operation: Operation<number | bigint> = {
    node: { _tag: "Arithmetic", operator, left: node, right: nodeOf({ node, encode, name }, right) },
    encode,
    name
  }
  return { [TypeId]: operation } as unknown as Expression<number | bigint>
}

/**
 * Has an action set a property: to a value of its type, to null where it is a text or bytes and its Schema takes null, or to
 * what an expression gives. What arithmetic gives need not be in the range that the Schema of the property asks for: a message
 * with such a value does not decode.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { region: Schema.String }
 * })
 *
 * // SET [region] = 'eu'
 * export const move = ServiceBusFilter.action(Orders, ({ region }) => [ServiceBusFilter.set(region, "eu")])
 * ```
 *
 * @category statements
 * @since 0.1.0
 */
export const set = <A, E, N extends null = never>(
  property: Property<A, E, "optional" | "required", N>,
  value: NoInfer<A> | NoInfer<N> | Expression<never, Settable<NoInfer<E>>>
): Statement => {
  const target = propertyNode(property)
  return { [TypeId]: { _tag: "Set", target, value: nodeOf(property[TypeId] as Operation<A | N>, value) } }
}

/**
 * Has an action remove a property, which a message may be without by its contract. Properties of Service Bus cannot be removed.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusFilter } from "effect-service-bus"
 *
 * const Orders = ServiceBusEntity.topic("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { due: Schema.optionalKey(Schema.String) }
 * })
 *
 * // REMOVE [due]
 * export const forget = ServiceBusFilter.action(Orders, ({ due }) => [ServiceBusFilter.remove(due)])
 * ```
 *
 * @category statements
 * @since 0.1.0
 */
export const remove = (property: Property<never, unknown, "optional">): Statement => ({
  [TypeId]: { _tag: "Remove", target: propertyNode(property) }
})
