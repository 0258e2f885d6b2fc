/**
 * A trial of a schema: whether its parsers are asynchronous. Codecs run synchronously, and nothing in a schema says whether an
 * effect of it waits; only a run does. So the transformations that are effects are run once each, one by one, with the plainest
 * value that their side has, which any peer might send as well. Transformations that are no effects are not run.
 *
 * What is found is certain. What is not found may still be there: a transformation that waits for some values only, or one of
 * a type that no plain value is known of. The first body that meets it tells.
 */
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as SchemaAST from "effect/SchemaAST"
import * as ServiceBusBody from "../ServiceBusBody.ts"
import { InvalidOptionError } from "../ServiceBusError.ts"
import { isEffect } from "./options.ts"

/** What is wrong with a codec of a contract that cannot be used, or nothing. A schema is tried once. */
export const problemOf = (
  entity: string,
  option: "body" | "properties" | "sessionState",
  codec: ServiceBusBody.Functions
): InvalidOptionError | undefined => {
  const origin = ServiceBusBody.originOf(codec)
  if (origin === undefined) return undefined
  if (origin._tag === "Unusable") return new InvalidOptionError({ entity, option, expected: origin.expected })
  let isTriedAsynchronous = tried.get(origin)
  if (isTriedAsynchronous === undefined) {
    isTriedAsynchronous = isAsynchronous(origin.ast, origin.services)
    tried.set(origin, isTriedAsynchronous)
  }
  return isTriedAsynchronous ? asynchronous(entity, option) : undefined
}

const tried = new WeakMap<ServiceBusBody.Origin, boolean>()

/** Says what to do instead, and what became of the message by which it was found. */
export const asynchronous = (
  entity: string,
  option: "body" | "properties" | "sessionState",
  message?: "released" | "lost"
): InvalidOptionError =>
  new InvalidOptionError({
    entity,
    option,
    ...(message === undefined ? {} : { description: outcomes[message] }),
    expected:
      "a Schema that does not wait: what it has to wait for (a request, a file, a delay) belongs in the handler, " +
      "before the message is sent or after it is received"
  })

const outcomes = {
  released: "a message for which its Schema waits is released",
  lost: "a message for which its Schema waits is lost, since it was received in receive-and-delete mode"
}

/** Whether a parser of a schema waits, in either direction or where it makes its values. */
const isAsynchronous = (ast: SchemaAST.AST, services: Context.Context<never>): boolean => {
  const isPending = pendingWith(services)
  return hasPending(ast, isPending) || hasPending(SchemaAST.flip(ast), isPending)
}

/** Whether an effect is not over at once; what it waits for is interrupted. */
type IsPending = (effect: () => unknown) => boolean

const pendingWith = (services: Context.Context<never>): IsPending => {
  const run = Effect.runSyncExitWith(services)
  return (effect) => {
    try {
      const made = effect()
      if (!isEffect(made)) return false
      const exit = run(made as Effect.Effect<unknown, unknown>)
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      if (!Cause.isAsyncFiberError(error)) return false
      error.fiber.interruptUnsafe()
      return true
    } catch {
      // What throws is found by the bodies that it throws at.
      return false
    }
  }
}

const hasPending = (root: SchemaAST.AST, isPending: IsPending): boolean => {
  const seen = new Set<SchemaAST.AST>()
  const visit = (ast: SchemaAST.AST): boolean => {
    if (seen.has(ast)) return false
    seen.add(ast)
    const { constructorDefault } = ast.context ?? {}
    return (
      constructorDefault !== undefined && isPending(() => constructorDefault) ||
      ast.encoding?.some((link) => visit(link.to) || waits(link, isPending)) === true ||
      partsOf(ast).some(visit)
    )
  }
  return visit(root)
}

const parseOptions: SchemaAST.ParseOptions = {}

/** Whether decoding over a link waits. */
const waits = ({ to, transformation }: SchemaAST.Link, isPending: IsPending): boolean => {
  const sample = Option.liftThrowable(sampleOf)(to, 0)
  if (transformation._tag === "Middleware") {
    return isPending(() => transformation.decode(Effect.succeed(sample), parseOptions))
  }
  const getter = transformation.decode
  switch (getter._tag) {
    case "TransformEffect":
      return Option.isSome(sample) && isPending(() => getter.transform(sample.value, parseOptions))
    case "TransformOptionalEffect":
      return [sample, Option.none()].some((input) => isPending(() => getter.transform(input, parseOptions)))
    default:
      return false
  }
}

const partsOf = (ast: SchemaAST.AST): ReadonlyArray<SchemaAST.AST> => {
  switch (ast._tag) {
    case "Declaration":
      return ast.typeParameters
    case "Arrays":
      return [...ast.elements, ...ast.rest]
    case "Objects":
      return [
        ...ast.propertySignatures.map(({ type }) => type),
        ...ast.indexSignatures.flatMap(({ parameter, type }) => [parameter, type])
      ]
    case "Union":
      return ast.types
    case "Suspend":
      return [ast.thunk()]
    default:
      return []
  }
}

/** The plainest value of a type, its checks apart; throws where none is known. */
const sampleOf = (ast: SchemaAST.AST, depth: number): unknown => {
  if (depth > 32) throw new Error("a type without an end")
  switch (ast._tag) {
    case "Any":
    case "Unknown":
    case "Null":
      return null
    case "Undefined":
    case "Void":
      return undefined
    case "String":
      return ""
    case "Number":
      return 0
    case "Boolean":
      return false
    case "BigInt":
      return 0n
    case "Literal":
      return ast.literal
    case "UniqueSymbol":
      return ast.symbol
    case "Enum":
      return ast.enums[0]?.[1]
    case "ObjectKeyword":
      return {}
    case "Arrays":
      return ast.elements.filter((element) => !SchemaAST.isOptional(element)).map((element) =>
        sampleOf(element, depth + 1)
      )
    case "Objects":
      return Object.fromEntries(
        ast.propertySignatures.filter(({ type }) => !SchemaAST.isOptional(type)).map(({ name, type }) =>
          [name, sampleOf(type, depth + 1)] as const
        )
      )
    case "Union":
      return sampleOf(ast.types[0]!, depth + 1)
    case "Suspend":
      return sampleOf(ast.thunk(), depth + 1)
    default:
      throw new Error(`no value is known of ${ast._tag}`)
  }
}
