/**
 * How the body of a message becomes bytes and back: a codec is part of an entity's contract, so that senders and
 * receivers of one entity agree by construction.
 *
 * Codecs are synchronous and pure. A body that does not encode fails the send with `MessageEncodeError` before anything
 * is on the wire; one that does not decode is handled by the receiver's undecodable policy. The broker never changes a
 * body.
 *
 * @module
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type { AmqpValue } from "./AmqpValue.ts"
import { InvalidOptionError } from "./ServiceBusError.ts"

const TypeId = "~effect-service-bus/ServiceBusBody"

/**
 * The body sections of an AMQP message (AMQP 1.0 section 3.2.6 to 3.2.8): data, sequence or value. A message without a
 * body section is `empty`.
 *
 * @category models
 * @since 0.1.0
 */
export type Sections =
  | { readonly kind: "data"; readonly data: Uint8Array | string | ReadonlyArray<Uint8Array> }
  | { readonly kind: "sequence"; readonly sequences: ReadonlyArray<ReadonlyArray<AmqpValue>> }
  | { readonly kind: "value"; readonly value: AmqpValue }
  | { readonly kind: "empty" }

/**
 * A codec between a value and the body of a message. `In` is what can be sent, `A` what is received.
 *
 * `encode` and `decode` fail with one line that says what is wrong with the value; it does not repeat the value.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceBusBody<out A, in In = A> {
  readonly [TypeId]: typeof TypeId
  /** Written as the message's content type where the message names none. */
  readonly contentType: string | undefined
  /** Gives the body sections of a value, or says what is wrong with it. */
  readonly encode: (value: In) => Result.Result<Sections, string>
  /** Gives the value of body sections, or says what is wrong with them. */
  readonly decode: (sections: Sections) => Result.Result<A, string>
}

/**
 * A codec of your own, for a format that this module does not know. What it throws is taken for a body that cannot be
 * encoded or decoded.
 *
 * @example
 * ```ts
 * import { Result } from "effect"
 * import { ServiceBusBody } from "effect-service-bus"
 *
 * export const csv = ServiceBusBody.make<ReadonlyArray<string>>({
 *   contentType: "text/csv",
 *   encode: (cells) => Result.succeed({ kind: "data", data: cells.join(",") }),
 *   decode: (sections) =>
 *     Result.map(ServiceBusBody.text.decode(sections), (line) => line.split(","))
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <A, In = A>(codec: {
  readonly contentType?: string | undefined
  readonly encode: (value: In) => Result.Result<Sections, string>
  readonly decode: (sections: Sections) => Result.Result<A, string>
}): ServiceBusBody<A, In> => ({
  [TypeId]: TypeId,
  contentType: codec.contentType,
  encode: (value) => guarded(() => codec.encode(value)),
  decode: (sections) => guarded(() => codec.decode(sections))
})

/** One bad body must not end what carries all the others. */
const guarded = <A>(run: () => Result.Result<A, string>): Result.Result<A, string> => {
  try {
    return run()
  } catch (error) {
    return Result.fail(error instanceof Error ? error.message : String(error))
  }
}

const noBytes = new Uint8Array(0)

const dataOf = (sections: Sections): Result.Result<Uint8Array, string> => {
  if (sections.kind === "data") {
    const { data } = sections
    if (typeof data === "string") return Result.succeed(new TextEncoder().encode(data))
    if (data instanceof Uint8Array) return Result.succeed(data)
    return Result.succeed(data.length === 1 ? data[0]! : Buffer.concat(data))
  }
  if (sections.kind === "empty") return Result.succeed(noBytes)
  return Result.fail(`expected a data section, got an AMQP ${sections.kind} section`)
}

const textOf = (sections: Sections): Result.Result<string, string> => {
  // A peer that sends text as an AMQP value (a string) means the same.
  if (sections.kind === "value" && typeof sections.value === "string") return Result.succeed(sections.value)
  const data = dataOf(sections)
  if (Result.isFailure(data)) return Result.fail(data.failure)
  try {
    return Result.succeed(utf8.decode(data.success))
  } catch {
    return Result.fail("not UTF-8")
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * The bytes of the data section, as they are. Several data sections are concatenated; a message without a body gives no
 * bytes.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * // The same as the plain name "images" where an entity is asked for.
 * export const Images = ServiceBusEntity.queue("images", { body: ServiceBusBody.bytes })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const bytes: ServiceBusBody<Uint8Array> = make({
  encode: (value) =>
    value instanceof Uint8Array ? Result.succeed({ kind: "data", data: value }) : Result.fail("expected a Uint8Array"),
  decode: dataOf
})

const isWellFormed = (value: string): boolean => (value as string & { isWellFormed(): boolean }).isWellFormed()

/**
 * UTF-8 text in a data section, content type `text/plain; charset=utf-8`. A byte order mark is part of the text; half of
 * a surrogate pair, which UTF-8 cannot carry, does not encode.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const Letters = ServiceBusEntity.queue("letters", { body: ServiceBusBody.text })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const text: ServiceBusBody<string> = make({
  contentType: "text/plain; charset=utf-8",
  encode: (value) => {
    if (typeof value !== "string") return Result.fail("expected a string")
    return isWellFormed(value)
      ? Result.succeed({ kind: "data", data: value })
      : Result.fail("expected well-formed Unicode, got a lone surrogate")
  },
  decode: textOf
})

/**
 * An AMQP value section, for peers that speak AMQP types.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const Readings = ServiceBusEntity.queue("readings", { body: ServiceBusBody.amqpValue })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const amqpValue: ServiceBusBody<AmqpValue> = make({
  encode: (value) => Result.succeed({ kind: "value", value }),
  decode: (sections) =>
    sections.kind === "value"
      ? Result.succeed(sections.value)
      : Result.fail(`expected an AMQP value section, got ${sections.kind}`)
})

/**
 * AMQP sequence sections: a list of lists.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * export const Rows = ServiceBusEntity.queue("rows", { body: ServiceBusBody.amqpSequence })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const amqpSequence: ServiceBusBody<ReadonlyArray<ReadonlyArray<AmqpValue>>> = make({
  encode: (sequences) => Result.succeed({ kind: "sequence", sequences }),
  decode: (sections) =>
    sections.kind === "sequence"
      ? Result.succeed(sections.sequences)
      : Result.fail(`expected AMQP sequence sections, got ${sections.kind}`)
})

/**
 * The body sections as they are on the wire, whatever kind they are.
 *
 * @example
 * ```ts
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * // Whatever its senders write: `body.kind` says what came.
 * export const Mixed = ServiceBusEntity.queue("mixed", { body: ServiceBusBody.sections })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const sections: ServiceBusBody<Sections> = make({
  encode: Result.succeed,
  decode: Result.succeed
})

// What a schema retains of the input stays out of the text. Hiding it needs no copy: a formatter reads own properties.
const withoutInput = <I extends SchemaIssue.Issue>(issue: I): I => Object.create(issue)

const format = SchemaIssue.makeFormatterStandardSchemaV1({
  leafHook: (issue) => SchemaIssue.defaultLeafHook(withoutInput(issue)),
  checkHook: (issue) =>
    SchemaIssue.defaultCheckHook(issue) ??
      (issue.issue._tag === "InvalidValue" && SchemaIssue.hasInput(issue.issue)
        ? SchemaIssue.defaultLeafHook(withoutInput(issue.issue))
        : undefined)
})

const limit = 512

/** What is wrong, by what a schema failed with or threw. @internal */
export const problemOf = (error: unknown): string => {
  const issue = Schema.isSchemaError(error) ? error.issue : error
  if (!SchemaIssue.isIssue(issue)) {
    // The message of what a transformation throws quotes the value, as `BigInt("x")` does; its name does not.
    return `the schema threw ${error instanceof Error ? `a ${error.name}` : "a value that is not an Error"}`
  }
  const problems = format(issue).issues.map(({ message, path = [] }) => {
    const where = path.map((key) => `[${typeof key === "string" ? JSON.stringify(key) : String(key)}]`).join("")
    return where === "" ? message : `${message} at ${where}`
  })
  // oxlint-disable-next-line no-control-regex
  const line = problems.join("; ").replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, " ")
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line
}

/**
 * What `encode` and `decode` give where the schema waits: no fault of the body. It is known by its identity, since any codec and
 * any schema may fail with its text. @internal
 */
export const asynchronous: Result.Result<never, string> = Result.fail("the schema is asynchronous")

/** What `encode` and `decode` give of what a schema failed with or threw. @internal */
export const refusalOf = (error: unknown): Result.Result<never, string> => {
  if (error instanceof Unmakeable) return error.refusal
  if (!Cause.isAsyncFiberError(error)) return Result.fail(problemOf(error))
  error.fiber.interruptUnsafe()
  return asynchronous
}

class Unmakeable extends Error {
  readonly refusal: Result.Result<never, string>
  constructor(refusal: Result.Result<never, string>) {
    super()
    this.refusal = refusal
  }
}

/**
 * Makes the value of a schema. `make` is quick and says little of what is wrong; `makeEffect` says where. What it throws is for
 * `refusalOf`. @internal
 */
export const madeOf = <A, In>(
  schema: {
    readonly make: (input: In) => A
    readonly makeEffect: (input: In) => Effect.Effect<A, SchemaIssue.Issue>
  },
  input: In,
  runSyncExit: <B, E>(effect: Effect.Effect<B, E>) => Exit.Exit<B, E>
): A => {
  try {
    return schema.make(input)
  } catch {
    const exit = runSyncExit(schema.makeEffect(input))
    if (Exit.isSuccess(exit)) return exit.value
    throw new Unmakeable(refusalOf(Cause.squash(exit.cause)))
  }
}

/**
 * What stands behind a codec, for the check that a sender or receiver makes of it: a schema to be tried, or what is wrong with
 * what was given for a codec.
 *
 * @internal
 */
export type Origin =
  | { readonly _tag: "Schema"; readonly ast: SchemaAST.AST; readonly services: Context.Context<never> }
  | { readonly _tag: "Unusable"; readonly expected: string }

// By the functions of codecs: a record that has both functions of a codec is the same codec, whatever else it says.
const origins = new WeakMap<object, Origin>()

/** The two functions of a codec, of bodies or of application properties. @internal */
export type Functions = Readonly<Record<"decode" | "encode", (value: never) => unknown>>

/** @internal */
export const originOf = ({ decode, encode }: Functions): Origin | undefined => {
  const origin = origins.get(decode)
  return origin !== undefined && origins.get(encode) === origin ? origin : undefined
}

/** Notes what stands behind a codec. @internal */
export const withOrigin = <C extends Functions>(codec: C, origin: Origin): C => {
  origins.set(codec.encode, origin)
  origins.set(codec.decode, origin)
  return codec
}

/**
 * A schema that can build its value.
 *
 * @category models
 * @since 0.1.0
 */
export interface Makeable {
  readonly makeEffect: (input: never) => unknown
  readonly "~type.make.in": unknown
}

/**
 * A schema as a body, with whatever services it needs.
 *
 * @category models
 * @since 0.1.0
 */
export type AnySchema = Schema.ConstraintCodec<unknown, unknown, unknown, unknown> & Makeable

/**
 * A schema as a body that needs no services. What it may need has a type that is a text, so that the compiler shows it where a
 * schema needs any; a function over any schema is one over schemas of this type.
 *
 * @category models
 * @since 0.1.0
 */
export type SchemaWithoutServices = Schema.ConstraintCodec<unknown, unknown, NoServices, NoServices> & Makeable

/**
 * What a Schema needs that needs nothing, with the text that the compiler shows of one that does.
 *
 * @category models
 * @since 0.1.0
 */
export type NoServices =
  "This Schema needs services, and a codec runs without: make one with `yield* ServiceBusBody.makeJson(schema)`"

/**
 * What a contract takes for its bodies: a codec of this module, or a Schema, which means JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type CodecOrSchema = ServiceBusBody<unknown, never> | SchemaWithoutServices

/**
 * The body that is received, by its codec or Schema.
 *
 * @category models
 * @since 0.1.0
 */
export type Type<B> = B extends ServiceBusBody<infer A, never> ? A : B extends AnySchema ? B["Type"] : never

/**
 * What can be sent as a body, by its codec or Schema.
 *
 * @category models
 * @since 0.1.0
 */
export type Input<B> = B extends ServiceBusBody<unknown, infer In> ? In
  : B extends AnySchema ? B["~type.make.in"]
  : never

/**
 * JSON by a Schema: content type `application/json`, UTF-8 in a data section. Where a contract takes a body, the Schema by
 * itself means the same.
 *
 * Takes what the schema can be made from (an instance of its class or its plain fields) and gives what the schema
 * decodes to. Values that JSON does not know (dates, durations, bigint, bytes) are written in the JSON form that
 * `Schema.toCodecJson` derives. A schema that needs services is for `makeJson`.
 *
 * Throws an InvalidOptionError for what is no Schema. Sending what the schema refuses fails with MessageEncodeError; a
 * received body that it refuses, or that is no JSON, is what the receiver's `undecodable` is about. A schema that waits is
 * refused with InvalidOptionError where a sender or receiver is made; for that its transformations that are effects are run
 * once with a plain value. Where only some bodies make it wait, the first of them is released, and the receiver fails; in
 * receive-and-delete mode that message is lost, which the log says.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
 *
 * class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}
 *
 * export const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.json(Order) })
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const json = <S extends SchemaWithoutServices>(
  schema: S
): ServiceBusBody<S["Type"], S["~type.make.in"]> => {
  const read = schemaOf<S>(schema)
  if (Result.isFailure(read)) throw read.failure
  return jsonWith(read.success, Context.empty())
}

/**
 * `json` for a Schema whose transformations need services: the effect takes them from its context, and the codec that it gives
 * needs none. Codecs run synchronously, also with services.
 *
 * Fails with InvalidOptionError for what is no Schema.
 *
 * @example
 * ```ts
 * import { Context, Effect, Layer, Schema, SchemaGetter } from "effect"
 * import { ServiceBusBody, ServiceBusEntity, ServiceBusSender } from "effect-service-bus"
 *
 * class Cipher extends Context.Service<Cipher, {
 *   readonly seal: (text: string) => string
 *   readonly open: (text: string) => string
 * }>()("app/Cipher") {}
 *
 * const Sealed = Schema.String.pipe(Schema.decodeTo(Schema.String, {
 *   decode: SchemaGetter.transformEffect((text: string) => Effect.map(Cipher, (cipher) => cipher.open(text))),
 *   encode: SchemaGetter.transformEffect((text: string) => Effect.map(Cipher, (cipher) => cipher.seal(text)))
 * }))
 *
 * // The contract is made where its services are, and is a service itself.
 * export class Orders extends Context.Service<Orders>()("app/Orders", {
 *   make: Effect.map(ServiceBusBody.makeJson(Schema.Struct({ card: Sealed })), (body) =>
 *     ServiceBusEntity.queue("orders", { body }))
 * }) {
 *   static readonly layer = Layer.effect(this, this.make)
 * }
 *
 * export const place = Effect.gen(function*() {
 *   const sender = yield* ServiceBusSender.make(yield* Orders)
 *   yield* sender.send({ body: { card: "4111" } })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category codecs
 * @since 0.1.0
 */
export const makeJson = <S extends AnySchema>(
  schema: S
): Effect.Effect<
  ServiceBusBody<S["Type"], S["~type.make.in"]>,
  InvalidOptionError,
  S["DecodingServices"] | S["EncodingServices"]
> =>
  Effect.flatMap(
    Effect.context<S["DecodingServices"] | S["EncodingServices"]>(),
    (services) => Effect.fromResult(Result.map(schemaOf<S>(schema), (schema) => jsonWith(schema, services)))
  )

/** A Schema, with the form in which it is written as JSON. */
interface JsonSchema<S extends AnySchema> {
  readonly schema: {
    readonly make: (input: S["~type.make.in"]) => S["Type"]
    readonly makeEffect: (input: S["~type.make.in"]) => Effect.Effect<S["Type"], SchemaIssue.Issue>
  }
  /** Its services come from the context that it runs in. */
  readonly codec: Schema.Codec<S["Type"], unknown>
}

const schemaOf = <S extends AnySchema>(schema: unknown): Result.Result<JsonSchema<S>, InvalidOptionError> => {
  const refused = (expected: string, cause?: unknown) =>
    Result.fail(new InvalidOptionError({ option: "schema", expected, ...(cause === undefined ? {} : { cause }) }))
  try {
    return Schema.isSchema(schema)
      ? Result.succeed({
        schema: schema as unknown as JsonSchema<S>["schema"],
        codec: Schema.toCodecJson(schema as unknown as Schema.Codec<S["Type"], unknown>)
      })
      : refused("a Schema")
  } catch (cause) {
    return refused("a Schema that has a JSON form", cause)
  }
}

const jsonWith = <S extends AnySchema>(
  { codec, schema }: JsonSchema<S>,
  services: Context.Context<never>
): ServiceBusBody<S["Type"], S["~type.make.in"]> => {
  // Most schemas of JSON encode to what they are.
  const isPlain = SchemaAST.toEncoded(codec.ast) === codec.ast
  const runSyncExit = Effect.runSyncExitWith(services)
  const encodeEffect = Schema.encodeUnknownEffect(codec)
  const decodeEffect = Schema.decodeUnknownEffect(codec)
  const body: ServiceBusBody<S["Type"], S["~type.make.in"]> = make({
    contentType: "application/json",
    encode: (value: S["~type.make.in"]) => {
      try {
        let encoded: unknown = madeOf(schema, value, runSyncExit)
        if (!isPlain) {
          const exit = runSyncExit(encodeEffect(encoded))
          if (Exit.isFailure(exit)) return refusalOf(Cause.squash(exit.cause))
          encoded = exit.value
        }
        const data = JSON.stringify(encoded)
        return data === undefined ? Result.fail("has no JSON form") : Result.succeed({ kind: "data", data })
      } catch (error) {
        return refusalOf(error)
      }
    },
    decode: (sections) => {
      const text = textOf(sections)
      if (Result.isFailure(text)) return Result.fail(text.failure)
      let parsed: unknown
      try {
        // RFC 8259 section 8.1: a parser may ignore a byte order mark.
        parsed = JSON.parse(text.success.startsWith("\ufeff") ? text.success.slice(1) : text.success)
      } catch {
        // V8's message quotes the text; a body does not belong in an error.
        return Result.fail("not JSON")
      }
      try {
        const decoded = runSyncExit(decodeEffect(parsed))
        return Exit.isSuccess(decoded) ? Result.succeed(decoded.value) : refusalOf(Cause.squash(decoded.cause))
      } catch (error) {
        return refusalOf(error)
      }
    }
  })
  return withOrigin(body, { _tag: "Schema", ast: codec.ast, services })
}

/**
 * The codec of what a contract takes for its bodies. What is neither a codec nor a Schema gives one that is refused where it is
 * used.
 *
 * @internal
 */
export const from = <B extends CodecOrSchema>(source: B): ServiceBusBody<Type<B>, Input<B>> => {
  if (isBody(source)) return source as ServiceBusBody<unknown, never> as ServiceBusBody<Type<B>, Input<B>>
  const read = schemaOf<B & AnySchema>(source)
  if (Result.isSuccess(read)) {
    return jsonWith(read.success, Context.empty()) as ServiceBusBody<unknown, never> as ServiceBusBody<
      Type<B>,
      Input<B>
    >
  }
  const { expected } = read.failure
  const what = expected === "a Schema" ? "a Schema, or a codec of ServiceBusBody" : expected
  const refuse = () => Result.fail(`the contract's body is not ${what}`)
  return withOrigin(make({ encode: refuse, decode: refuse }), { _tag: "Unusable", expected: what })
}

/** Whether a value is a codec, whatever it is. */
const isBody = (value: unknown): value is ServiceBusBody<unknown, never> => {
  try {
    const { [TypeId]: id, decode, encode } = value as ServiceBusBody<unknown, never>
    return id === TypeId && typeof decode === "function" && typeof encode === "function"
  } catch {
    return false
  }
}
