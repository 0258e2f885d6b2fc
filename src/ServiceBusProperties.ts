/**
 * The application properties that a contract declares: a Schema that types them where messages are sent, received and filtered
 * by, and the codec between its values and what AMQP writes.
 *
 * Codecs are synchronous and pure, as those of bodies are. Properties that do not encode fail the send with
 * `MessageEncodeError` before anything is on the wire; those that do not decode make a message undecodable, as a body would.
 * What the Schema does not name is left as it is in both directions: brokers and other peers add properties of their own.
 *
 * @module
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaGetter from "effect/SchemaGetter"
import * as AmqpValue from "./AmqpValue.ts"
import * as ServiceBusBody from "./ServiceBusBody.ts"

const TypeId = "~effect-service-bus/ServiceBusProperties"

/**
 * What an application property can be: the values of AMQP that are no lists, maps or arrays (AMQP 1.0 section 3.2.5), and the
 * two types that Service Bus adds, `Duration` and `URL`.
 *
 * @category models
 * @since 0.1.0
 */
export type SimpleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | DateTime.Utc
  | Date
  | Duration.Duration
  | URL
  | AmqpValue.Typed

/**
 * The codec of application properties that are declared by the Schemas `F`.
 *
 * `encode` and `decode` fail with one line that says what is wrong; it does not repeat values.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceBusProperties<out F extends Fields = Fields> {
  readonly [TypeId]: typeof TypeId
  /** The Schema of each property, by its name. */
  readonly fields: F
  /** Gives the properties as they are written, those that are not declared among them, or says what is wrong. */
  readonly encode: (properties: unknown) => Result.Result<Readonly<Record<string, AmqpValue.AmqpValue>>, string>
  /** Gives the declared properties, or says what is wrong with them. */
  readonly decode: (properties: Readonly<Record<string, AmqpValue.AmqpValue>>) => Result.Result<object, string>
}

/**
 * The Schema of one property: it encodes to a value that AMQP can write as a property, and needs no services.
 *
 * @category models
 * @since 0.1.0
 */
export type FieldSchema = Schema.ConstraintCodec<
  unknown,
  SimpleValue | undefined,
  ServiceBusBody.NoServices,
  ServiceBusBody.NoServices
>

/**
 * A GUID as a text, for a property that is an AMQP uuid, as .NET and Java write theirs: 36 characters with hyphens, in lower
 * case where it was received. A peer's text with such a form is read as well.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusProperties } from "effect-service-bus"
 *
 * export const Orders = ServiceBusEntity.queue("orders", {
 *   body: ServiceBusBody.text,
 *   properties: { tenant: ServiceBusProperties.Uuid }
 * })
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const Uuid: Schema.Codec<string, AmqpValue.Typed<"uuid", string> | string> = Schema.declare(
  (value): value is AmqpValue.Typed<"uuid", string> | string =>
    typeof value === "string" || AmqpValue.isTyped(value) && value.type === "uuid",
  { expected: "a uuid" }
).pipe(
  Schema.decodeTo(Schema.String.check(Schema.isPattern(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)), {
    decode: SchemaGetter.transform((value) => typeof value === "string" ? value : value.value),
    encode: SchemaGetter.transform(AmqpValue.uuid)
  })
)

/**
 * The Schemas of properties by their names, as `Schema.Struct` takes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Fields {
  readonly [name: string]: FieldSchema
}

/**
 * A struct of Schemas of properties. A class is none: what is received has other properties beside the declared ones.
 *
 * @category models
 * @since 0.1.0
 */
export type StructSchema =
  & Schema.ConstraintCodec<
    unknown,
    { readonly [name: string]: SimpleValue | undefined },
    ServiceBusBody.NoServices,
    ServiceBusBody.NoServices
  >
  & ServiceBusBody.Makeable
  & { readonly ast: SchemaAST.Objects; readonly fields: Schema.Struct.Fields }

/**
 * What a contract takes for its application properties: fields, or a struct of them.
 *
 * @category models
 * @since 0.1.0
 */
export type FieldsOrStruct = Fields | StructSchema

/**
 * The fields of what a contract takes for its application properties.
 *
 * @category models
 * @since 0.1.0
 */
export type FieldsOf<S> = S extends { readonly fields: infer F extends Fields } ? S extends StructSchema ? F : never
  : S extends Fields ? S
  : never

/**
 * The properties that are received, by their fields.
 *
 * @category models
 * @since 0.1.0
 */
export type Type<F extends Fields> = F extends Schema.Struct.Fields ? Schema.Struct.Type<F> : never

/**
 * The properties that can be sent, by their fields.
 *
 * @category models
 * @since 0.1.0
 */
export type Input<F extends Fields> = F extends Schema.Struct.Fields ? Schema.Struct.MakeIn<F>
  : never

type Struct = Schema.Codec<object, Readonly<Record<string, AmqpValue.AmqpValue>>> & {
  readonly fields: Fields
  readonly make: (input: unknown) => unknown
  readonly makeEffect: (input: unknown) => Effect.Effect<unknown, never>
}

/**
 * The codec of what a contract takes for its properties. What is neither fields nor a struct gives one that is refused where
 * it is used.
 *
 * @internal
 */
export const from = (source: FieldsOrStruct): ServiceBusProperties => {
  const struct = structOf(source)
  return struct === undefined ? unusable : codecOf(struct)
}

/** The struct of what was given; undefined where it is none. */
const structOf = (source: unknown): Struct | undefined => {
  try {
    if (typeof source !== "object" && typeof source !== "function" || source === null) return undefined
    if (Schema.isSchema(source)) {
      return "fields" in source && SchemaAST.isObjects(source.ast)
        ? source as unknown as Struct
        : undefined
    }
    return !Array.isArray(source) && Object.values(source).every(Schema.isSchema)
      ? Schema.Struct(source as Schema.Struct.Fields) as unknown as Struct
      : undefined
  } catch {
    return undefined
  }
}

const expected = "fields of Schemas, or a Schema.Struct of them"

const refuse = () => Result.fail(`the contract's properties are not ${expected}`)

const unusable: ServiceBusProperties = ServiceBusBody.withOrigin(
  { [TypeId]: TypeId, fields: {}, encode: refuse, decode: refuse },
  { _tag: "Unusable", expected }
)

const codecOf = (struct: Struct): ServiceBusProperties => {
  const services = Context.empty()
  const runSyncExit = Effect.runSyncExitWith(services)
  const encodeEffect = Schema.encodeUnknownEffect(struct)
  const decodeEffect = Schema.decodeUnknownEffect(struct)
  const encoded = SchemaAST.toEncoded(struct.ast)
  const isPlain = encoded === struct.ast
  const declared = SchemaAST.isObjects(encoded)
    ? encoded.propertySignatures.map(({ name, type }) => ({ name: String(name), read: readerOf(type) }))
    : []
  const names = new Set([...declared.map(({ name }) => name), ...Object.keys(struct.fields)])
  return ServiceBusBody.withOrigin({
    [TypeId]: TypeId,
    fields: struct.fields,
    encode: (given: unknown) => {
      try {
        let written: unknown = ServiceBusBody.madeOf(struct, given, runSyncExit)
        if (!isPlain) {
          const exit = runSyncExit(encodeEffect(written))
          if (Exit.isFailure(exit)) return ServiceBusBody.refusalOf(Cause.squash(exit.cause))
          written = exit.value
        }
        const properties: Record<string, AmqpValue.AmqpValue> = {}
        const undeclared = given as Readonly<Record<string, AmqpValue.AmqpValue>>
        for (const name of Object.keys(undeclared)) {
          if (!names.has(name)) put(properties, name, undeclared[name])
        }
        for (const [name, value] of Object.entries(written as typeof undeclared)) put(properties, name, value)
        return Result.succeed(properties)
      } catch (error) {
        return ServiceBusBody.refusalOf(error)
      }
    },
    decode: (properties: Readonly<Record<string, AmqpValue.AmqpValue>>) => {
      // Without a prototype: a property may have the name of a method of objects.
      const found: Record<string, AmqpValue.AmqpValue> = Object.create(null)
      for (const { name, read } of declared) {
        const value = Object.hasOwn(properties, name) ? read(properties[name]) : undefined
        if (value !== undefined) put(found, name, value)
      }
      try {
        const exit = runSyncExit(decodeEffect(found))
        return Exit.isSuccess(exit) ? Result.succeed(exit.value) : ServiceBusBody.refusalOf(Cause.squash(exit.cause))
      } catch (error) {
        return ServiceBusBody.refusalOf(error)
      }
    }
  }, { _tag: "Schema", ast: struct.ast, services })
}

/** Also where the name is `__proto__`. */
const put = (record: Record<string, AmqpValue.AmqpValue>, name: string, value: AmqpValue.AmqpValue): void => {
  if (name === "__proto__") {
    Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true })
  } else record[name] = value
}

/** Turns what came from the wire into what a Schema takes; undefined where the property is as good as missing. */
type Read = (value: AmqpValue.AmqpValue) => AmqpValue.AmqpValue

/**
 * Peers write the same number, text or time as different AMQP types: a whole number as an int or a long, whatever its Schema
 * says. What is no other value for that is read as the one that the Schema takes.
 */
const readerOf = (ast: SchemaAST.AST): Read => {
  const kinds = kindsOf(ast, new Set())
  return (value) => {
    if (value === null) return kinds.has("null") ? null : undefined
    if (typeof value === "bigint" && kinds.has("number") && !kinds.has("bigint")) {
      const number = Number(value)
      return Number.isSafeInteger(number) ? number : value
    }
    if (typeof value === "number" && kinds.has("bigint") && !kinds.has("number")) {
      return Number.isSafeInteger(value) ? BigInt(value) : value
    }
    if (AmqpValue.isTyped(value) && typeof value.value === "string" && kinds.has("string")) return value.value
    if (DateTime.isDateTime(value) && kinds.has("Date")) return DateTime.toDate(value)
    return value
  }
}

/** The kinds of values that an encoded type takes, as far as they matter. */
const kindsOf = (ast: SchemaAST.AST, kinds: Set<string>): ReadonlySet<string> => {
  switch (ast._tag) {
    case "Null":
      return kinds.add("null")
    case "Any":
    case "Unknown":
      return kinds.add("null").add("number").add("bigint")
    case "Number":
      return kinds.add("number")
    case "BigInt":
      return kinds.add("bigint")
    case "String":
    case "TemplateLiteral":
      return kinds.add("string")
    case "Literal":
      return kinds.add(typeof ast.literal)
    case "Enum":
      for (const [, value] of ast.enums) kinds.add(typeof value)
      return kinds
    case "Declaration":
      return isDate(ast) ? kinds.add("Date") : kinds
    case "Union":
      for (const type of ast.types) kindsOf(type, kinds)
      return kinds
    case "Suspend":
      return kindsOf(ast.thunk(), kinds)
    default:
      return kinds
  }
}

/** Schema.Date, with checks or without: a timestamp is read as a DateTime elsewhere. */
const isDate = ({ annotations }: SchemaAST.Declaration): boolean =>
  Predicate.hasProperty(annotations?.["representation"], "id") &&
  annotations["representation"].id === dateId

const dateId = Predicate.hasProperty(Schema.Date.ast.annotations?.["representation"], "id")
  ? Schema.Date.ast.annotations["representation"].id
  : undefined
