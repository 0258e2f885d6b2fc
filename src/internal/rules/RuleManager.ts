/**
 * The rules of a subscription: requests to its `$management` node, which is held for as long as the manager's scope, tried
 * again as other requests are. What is lost on the way is looked at again where that can tell whether it was done: a rule that
 * exists as it was asked for is created, and one that is not there is deleted.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as ServiceBusEntity from "../../ServiceBusEntity.ts"
import type {
  AttachError,
  CreateRuleError,
  DeleteRuleError,
  InvalidOptionError,
  RuleError
} from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as errorMap from "../errorMap.ts"
import type { RequestResponseLink } from "../management/RequestResponseLink.ts"
import * as RuleManagement from "../management/RuleManagement.ts"
import type { Namespace } from "../namespace/Namespace.ts"
import * as RecoveringLink from "../namespace/RecoveringLink.ts"
import { outOfRange } from "../options.ts"
import { Telemetry } from "../telemetry/Telemetry.ts"

export interface RuleManager {
  readonly create: (rule: ServiceBusRule.Rule) => Effect.Effect<void, CreateRuleError>
  readonly delete: (name: string) => Effect.Effect<void, DeleteRuleError>
  readonly get: (name: string) => Effect.Effect<Option.Option<ServiceBusRule.ListedRule>, AttachError>
  readonly list: Stream.Stream<ServiceBusRule.ListedRule, AttachError>
}

/** The most rules in one answer. */
const pageSize = 100

/** Attaches to the node of a subscription. */
export const make = Effect.fnUntraced(function*(
  entity: ServiceBusEntity.Any,
  namespace: Namespace
): Effect.fn.Return<RuleManager, AttachError, Scope.Scope> {
  const { path } = entity
  const { options, retryPolicy } = namespace
  const link = yield* retryPolicy.runIdempotent(
    RecoveringLink.make({ open: () => namespace.managementNode(path), isLost: (node) => node.isLost() })
  )
  const context = yield* Effect.context<never>()
  const telemetry = new Telemetry(entity, options.endpoint, options.identifier, context)

  const request = <A, E extends RuleError>(
    ask: (node: RequestResponseLink, timeout: number) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | AttachError> => Effect.flatMap(link.get, (node) => ask(node, options.timeout))

  const page = (skip: number) =>
    telemetry.run("list_rules", () =>
      retryPolicy.runIdempotent(
        request((node, timeout) => RuleManagement.enumerate(node, { entity: path, skip, top: pageSize, timeout }))
      ))

  // A peer may give fewer than it was asked for: only none is the end.
  const list = Stream.paginate(
    0,
    (skip) =>
      Effect.map(
        page(skip),
        (rules) => [rules, rules.length === 0 ? Option.none() : Option.some(skip + rules.length)] as const
      )
  )

  const find = (name: string) => list.pipe(Stream.filter((rule) => rule.name === name), Stream.runHead)

  const checkName = (name: string): Effect.Effect<void, InvalidOptionError> => {
    const problem = ServiceBusRule.nameProblemOf(name)
    return problem === undefined ? Effect.void : Effect.fail(outOfRange(path, problem.option, problem.expected))
  }

  return {
    create: (rule) =>
      Effect.suspend(() => {
        const described = RuleManagement.describe(path, rule)
        return Effect.flatMap(Effect.fromResult(described), (asked) =>
          telemetry.run("create_rule", () =>
            Effect.catchIf(
              retryPolicy.run(
                request((node, timeout) => RuleManagement.add(node, { entity: path, rule: asked, timeout }))
              ),
              errorMap.isLostThen("MessagingEntityAlreadyExistsError"),
              (error) =>
                Effect.matchEffect(find(asked.name), {
                  onFailure: () => Effect.fail(error),
                  onSuccess: (found) =>
                    Option.exists(found, (rule) => RuleManagement.isAsAsked(path, asked, rule))
                      ? Effect.void
                      : Effect.fail(error)
                })
            )))
      }),
    delete: (name) =>
      Effect.andThen(
        checkName(name),
        telemetry.run("delete_rule", () =>
          Effect.catchIf(
            retryPolicy.run(request((node, timeout) => RuleManagement.remove(node, { entity: path, name, timeout }))),
            errorMap.isLostThen("RuleNotFoundError"),
            () => Effect.void
          ))
      ),
    get: (name) => Effect.andThen(checkName(name), find(name)),
    list
  }
})
