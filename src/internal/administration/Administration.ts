/**
 * What an administrator does with entities: requests to the management API, tried again as the operations of a client are. What
 * is lost on the way is looked at again where that can tell whether it was done: an entity that exists as it was asked for is
 * created, and one that is not there is deleted.
 *
 * One file because every operation is one request with the same retries, and the kinds of entities differ by a table.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as E from "../../ServiceBusError.ts"
import * as ServiceBusRule from "../../ServiceBusRule.ts"
import * as errorMap from "../errorMap.ts"
import type { RetryPolicy } from "../namespace/RetryPolicy.ts"
import { checkedNames, outOfRange, readOptions } from "../options.ts"
import * as AtomClient from "./AtomClient.ts"
import type * as AtomXml from "./AtomXml.ts"
import * as Description from "./Description.ts"
import * as Info from "./EntityInfo.ts"
import * as Settings from "./EntitySettings.ts"
import * as EntityTarget from "./EntityTarget.ts"
import * as RuleSettings from "./RuleSettings.ts"

interface Options {
  readonly atom: AtomClient.AtomClient
  readonly retryPolicy: RetryPolicy
  /** The namespace. */
  readonly host: string
}

/** The most entries that a page is asked for, as the official clients do. */
const pageSize = 100

/** What was read of an entry. */
interface Found<F extends Description.Fields> {
  readonly name: string
  readonly fields: Description.Values<F>
}

/** What every request on an entity has. */
type EntityRequest = Pick<AtomClient.Request, "entity" | "operation" | "path">

type FoundEntity = Found<Description.EntityFields>

export const make = ({ atom, host, retryPolicy }: Options) => {
  const traced = <A, Err, R>(
    operation: string,
    entity: string | undefined,
    effect: Effect.Effect<A, Err, R>
  ): Effect.Effect<A, Err, R> => {
    // As the operations of the client are named.
    const name = operation.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    return Effect.withSpan(effect, entity === undefined ? name : `${name} ${entity}`, {
      kind: "client",
      captureStackTrace: false,
      attributes: {
        "messaging.system": "servicebus",
        "messaging.operation.name": name,
        "server.address": host,
        "az.namespace": "Microsoft.ServiceBus",
        ...(entity === undefined ? {} : { "messaging.destination.name": entity })
      }
    })
  }

  /** What an entry has of a kind; undefined where it is of another one. */
  const read = <F extends Description.Fields>(
    kind: Description.Kind<F>,
    { content, title }: AtomXml.Entry,
    request: Pick<AtomClient.Request, "entity" | "operation">
  ): Result.Result<Found<F> | undefined, E.ServiceBusError> => {
    if (content === undefined || !Description.isOf(kind, content)) {
      return content !== undefined && Description.isAny(content)
        ? Result.succeed(undefined)
        : Result.fail(AtomClient.malformed(request, `an entry of it, "${title ?? ""}", has no ${kind.name}`))
    }
    const fields = Description.read(kind, content)
    return Result.isFailure(fields)
      ? Result.fail(AtomClient.malformed(request, `of "${title ?? ""}", ${fields.failure.message}`))
      : Result.succeed({ name: title ?? "", fields: fields.success })
  }

  const get = <F extends Description.Fields>(
    kind: Description.Kind<F>,
    request: Pick<AtomClient.Request, "entity" | "operation" | "path" | "query">
  ): Effect.Effect<Option.Option<Found<F>>, E.AdministrationError> =>
    retryPolicy.runIdempotent(atom.request({ ...request, method: "GET" })).pipe(
      Effect.flatMap((answer) =>
        answer?._tag === "Entry"
          ? Effect.map(Effect.fromResult(read(kind, answer, request)), Option.fromUndefinedOr)
          // A feed without entries is what the service answers where there is no such entity, and nothing else is.
          : answer?._tag === "Feed" && answer.entries.length === 0
          ? Effect.succeed(Option.none())
          : Effect.fail(AtomClient.malformed(request, "it answered a request for one entity with a list"))
      ),
      Effect.catchTag("MessagingEntityNotFoundError", () => Effect.succeed(Option.none())),
      Effect.mapError((error) => errorMap.administrationError(error))
    )

  const put = <F extends Description.Fields>(
    kind: Description.Kind<F>,
    fields: Description.Values<F>,
    request: Pick<AtomClient.Request, "entity" | "operation" | "path" | "isUpdate" | "supplementary">
  ): Effect.Effect<Found<F>, E.CreateEntityError> =>
    Effect.flatMap(
      atom.request({ ...request, method: "PUT", content: Description.write(kind, fields, "request") }),
      (answer) =>
        Effect.flatMap(
          answer?._tag === "Entry" ? Effect.fromResult(read(kind, answer, request)) : Effect.succeed(undefined),
          (found) =>
            found === undefined
              ? Effect.fail(AtomClient.malformed(request, `it answered a request to change with no ${kind.name}`))
              : Effect.succeed(found)
        )
    )

  /** Tries to create. Where an answer was lost, what is there then was created if it is what was asked for. */
  const created = <F extends Description.Fields>(
    kind: Description.Kind<F>,
    request: EntityRequest,
    tried: Effect.Effect<Found<F>, E.CreateEntityError>,
    isAsAsked: (fields: Description.Values<F>) => Effect.Effect<boolean, E.AdministrationError>
  ): Effect.Effect<Found<F>, E.CreateEntityError> =>
    retryPolicy.run(tried).pipe(
      Effect.catchIf(errorMap.isLostThen("MessagingEntityAlreadyExistsError"), (error) =>
        get(kind, request).pipe(
          Effect.flatMap(Option.match({
            onNone: () => Effect.fail(error),
            onSome: (found) =>
              Effect.flatMap(isAsAsked(found.fields), (is) => is ? Effect.succeed(found) : Effect.fail(error))
          })),
          Effect.mapError(() => error)
        ))
    )

  /** Pages of a list, as they are pulled. */
  const list = <F extends Description.Fields, A>(
    kind: Description.Kind<F>,
    request: EntityRequest,
    as: (found: Found<F>) => A
  ): Stream.Stream<A, E.ManageEntityError> =>
    Stream.paginate({ skip: 0, first: undefined as string | undefined }, ({ first, skip }) =>
      traced(
        request.operation,
        request.entity,
        retryPolicy.runIdempotent(
          atom.request({ ...request, method: "GET", query: { $skip: String(skip), $top: String(pageSize) } })
        )
      ).pipe(
        Effect.mapError((error) => errorMap.manageEntityError(error)),
        Effect.flatMap((answer) => {
          if (answer?._tag !== "Feed") {
            return Effect.fail(AtomClient.malformed(request, "it answered a request for a list with none"))
          }
          const { entries } = answer
          const title = entries[0]?.title
          if (title !== undefined && title === first) {
            return Effect.fail(AtomClient.malformed(request, `two pages of it begin with "${title}"`))
          }
          const found: Array<A> = []
          for (const entry of entries) {
            const one = read(kind, entry, request)
            if (Result.isFailure(one)) return Effect.fail(one.failure)
            if (one.success !== undefined) found.push(as(one.success))
          }
          const next = nextOf(answer, skip, entries.length)
          return Effect.succeed([found, Option.map(next, (skip) => ({ skip, first: title }))] as const)
        })
      ))

  /** The same for what stands in no entity. */
  const listAll = <F extends Description.Fields, A>(
    kind: Description.Kind<F>,
    request: Pick<AtomClient.Request, "operation" | "path">,
    as: (found: Found<F>) => A
  ): Stream.Stream<A, E.AdministrationError> =>
    Stream.mapError(list(kind, request, as), (error) => errorMap.administrationError(error))

  const remove = (
    request: EntityRequest
  ): Effect.Effect<void, E.ManageEntityError> =>
    retryPolicy.run(atom.request({ ...request, method: "DELETE" })).pipe(
      Effect.catchIf(errorMap.isLostThen("MessagingEntityNotFoundError"), () => Effect.void),
      Effect.mapError((error) => errorMap.manageEntityError(error)),
      Effect.asVoid
    )

  /** Runs an operation on an entity that a caller names. */
  const at = <A, Err>(
    operation: string,
    kind: Settings.Kind,
    entity: unknown,
    run: (
      target: EntityTarget.EntityTarget,
      request: EntityRequest
    ) => Effect.Effect<A, Err>
  ): Effect.Effect<A, Err | E.InvalidOptionError> =>
    Effect.suspend((): Effect.Effect<A, Err | E.InvalidOptionError> => {
      const target = EntityTarget.read(entity, kind, "entity")
      if (Result.isFailure(target)) return Effect.fail(target.failure)
      const { path } = target.success
      return traced(operation, path, run(target.success, { operation, entity: path, path }))
    })

  /** The headers that a description needs beside its own. */
  const supplementaryOf = (fields: Settings.Written): ReadonlyArray<string> =>
    Object.entries(AtomClient.supplementary).flatMap(([element, header]) =>
      fields[element as keyof typeof AtomClient.supplementary] === undefined ? [] : [header]
    )

  /** What is done with the entities of a kind. */
  const operationsOf = <Given, A, Runtime>({ kind, runtime, title, view }: {
    readonly kind: Settings.Kind
    /** What operations are called: `Queue`. */
    readonly title: string
    readonly view: (name: string, fields: Description.Entity, topic: string) => A
    readonly runtime: (name: string, fields: Description.Entity) => Runtime
  }) => {
    const description = Description.entities[kind]
    // The name as it was asked for: an answer may have it in another case.
    const nameOf = (target: EntityTarget.EntityTarget, found: FoundEntity) =>
      found.name === "" ? target.name : found.name
    const viewOf = (target: EntityTarget.EntityTarget, found: FoundEntity): A =>
      view(nameOf(target, found), found.fields, target.topic ?? "")

    /** Creates one with `more` than its settings; `isStarted` tells whether one that is there has that. */
    const create = (
      entity: unknown,
      given: Given | undefined,
      more: Settings.Written = {},
      isStarted: (request: EntityRequest) => Effect.Effect<boolean, E.AdministrationError> = () => Effect.succeed(true)
    ) =>
      at(`create${title}`, kind, entity, (target, request): Effect.Effect<A, E.CreateEntityError> => {
        const written = Settings.write(target.path, kind, given as Settings.QueueSettings | undefined, host)
        if (Result.isFailure(written)) return Effect.fail(written.failure)
        const asked: Settings.Written = {
          ...(target.hasSessions === true ? { RequiresSession: true } : {}),
          ...written.success
        }
        const problem = Settings.contradictionOf(target.path, asked, target.hasSessions)
        if (problem !== undefined) return Effect.fail(problem)
        const supplementary = supplementaryOf(asked)
        const tried = put(description, { ...asked, ...more }, { ...request, supplementary })
        return created(
          description,
          request,
          tried,
          (found) => Settings.isAsAsked(kind, asked, found) ? isStarted(request) : Effect.succeed(false)
        ).pipe(
          Effect.map((found) => viewOf(target, found))
        )
      })

    const find = <B>(
      operation: string,
      entity: unknown,
      as: (target: EntityTarget.EntityTarget, found: FoundEntity) => B,
      query = {}
    ) =>
      at(
        operation,
        kind,
        entity,
        (target, request) =>
          Effect.map(get(description, { ...request, query }), Option.map((found) => as(target, found)))
      )

    return {
      create,
      get: (entity: unknown) => find(`get${title}`, entity, viewOf),
      exists: (entity: unknown) => Effect.map(find(`get${title}`, entity, () => true), Option.isSome),
      runtime: (entity: unknown) =>
        find(
          `get${title}Runtime`,
          entity,
          (target, found) => runtime(nameOf(target, found), found.fields),
          { enrich: "true" }
        ),
      update: (entity: unknown, change: (entity: A) => Given) =>
        at(
          `update${title}`,
          kind,
          entity,
          (target, request) =>
            Effect.gen(function*(): Effect.fn.Return<A, E.ManageEntityError> {
              if (typeof change !== "function") return yield* outOfRange(target.path, "change", expectedChange)
              const found = yield* get(description, request)
              if (Option.isNone(found)) return yield* new E.MessagingEntityNotFoundError({ ...contextOf(request) })
              const before = found.value.fields
              const given = change(viewOf(target, found.value)) as Settings.QueueSettings
              const changes = yield* Effect.fromResult(Settings.write(target.path, kind, given, host))
              const fields: Settings.Written = { ...Settings.writable(before), ...changes }
              const problem = Settings.immutableOf(target.path, kind, changes, before)
              if (problem !== undefined) return yield* problem
              // The same again does no harm, but that it failed is not said of what may have been done.
              const written = yield* retryPolicy.run(
                put(description, fields, {
                  ...request,
                  isUpdate: true,
                  supplementary: supplementaryOf(fields)
                })
              ).pipe(Effect.mapError((error) => errorMap.manageEntityError(error)))
              return viewOf(target, written)
            })
        ),
      delete: (entity: unknown) => at(`delete${title}`, kind, entity, (_, request) => remove(request)),
      view: (found: FoundEntity, topic = ""): A => view(found.name, found.fields, topic),
      runtimeView: (found: FoundEntity): Runtime => runtime(found.name, found.fields)
    }
  }

  const queues = operationsOf({
    kind: "queue",
    title: "Queue",
    view: (name, fields) => Info.queueOf(name, fields, host),
    runtime: Info.queueRuntimeOf
  })
  const topics = operationsOf({
    kind: "topic",
    title: "Topic",
    view: Info.topicOf,
    runtime: Info.topicRuntimeOf
  })
  const subscriptions = operationsOf({
    kind: "subscription",
    title: "Subscription",
    view: (name, fields, topic) => Info.subscriptionOf(topic, name, fields, host),
    runtime: Info.subscriptionRuntimeOf
  })

  const listSubscriptions = <A>(
    operation: string,
    topic: unknown,
    as: (found: FoundEntity, topic: string) => A
  ): Stream.Stream<A, E.ManageEntityError> =>
    Stream.suspend(() => {
      const target = EntityTarget.read(topic, "topic", "entity")
      return Result.isFailure(target)
        ? Stream.fail(target.failure)
        : list(Description.entities.subscription, {
          operation,
          entity: target.success.path,
          path: `${target.success.path}/Subscriptions`
        }, (found) => as(found, target.success.path))
    })

  const ruleRequest = (request: EntityRequest, name: string) => ({
    ...request,
    entity: `${request.entity}/Rules/${name}`,
    path: `${request.path}/Rules/${name}`
  })

  const checkedName = (entity: string, name: unknown): Effect.Effect<string, E.InvalidOptionError> => {
    const problem = ServiceBusRule.nameProblemOf(name) ?? RuleSettings.nameProblemOf(name as string)
    return problem === undefined
      ? Effect.succeed(name as string)
      : Effect.fail(outOfRange(entity, problem.option, problem.expected))
  }

  const createRule = (subscription: unknown, rule: ServiceBusRule.Rule) =>
    at("createRule", "subscription", subscription, (target, request): Effect.Effect<
      ServiceBusRule.ListedRule,
      E.CreateEntityError
    > => {
      const asked = RuleSettings.write(target.path, rule)
      if (Result.isFailure(asked)) return Effect.fail(asked.failure)
      const one = ruleRequest(request, rule.name)
      // What is not found is no rule: it is what the rule was to be in.
      const within = Effect.mapError(put(Description.rule, asked.success, one), missingIs(target.path))
      return created(
        Description.rule,
        one,
        within,
        (found) => Effect.succeed(RuleSettings.isAsAsked(asked.success, found))
      ).pipe(
        Effect.map((found) => RuleSettings.read(rule.name, found.fields))
      )
    })

  const deleteRule = (subscription: unknown, name: string) =>
    at(
      "deleteRule",
      "subscription",
      subscription,
      (target, request) =>
        Effect.flatMap(checkedName(target.path, name), () =>
          Effect.mapError(
            remove(ruleRequest(request, name)),
            (error) => errorMap.manageRuleError(error, target.path, name)
          ))
    )

  const getRule = (subscription: unknown, name: string) =>
    at(
      "getRule",
      "subscription",
      subscription,
      (target, request) =>
        Effect.flatMap(checkedName(target.path, name), () =>
          Effect.map(
            get(Description.rule, ruleRequest(request, name)),
            Option.map(({ fields }) => RuleSettings.read(fields.Name ?? name, fields))
          ))
    )

  const updateRule = (
    subscription: unknown,
    name: string,
    change: (rule: ServiceBusRule.ListedRule) => {
      readonly filter?: ServiceBusRule.Filter | undefined
      readonly action?: ServiceBusRule.SqlAction | null | undefined
    }
  ) =>
    at(
      "updateRule",
      "subscription",
      subscription,
      (target, request) =>
        Effect.gen(function*(): Effect.fn.Return<ServiceBusRule.ListedRule, E.ManageRuleError> {
          yield* checkedName(target.path, name)
          if (typeof change !== "function") return yield* outOfRange(target.path, "change", expectedChange)
          const one = ruleRequest(request, name)
          const found = yield* get(Description.rule, one)
          if (Option.isNone(found)) return yield* new E.RuleNotFoundError({ ...contextOf(request), rule: name })
          const before = found.value.fields
          const given = change(RuleSettings.read(before.Name ?? name, before))
          const { action, filter } = yield* Effect.fromResult(
            Result.flatMap(
              readOptions(target.path, given, "changes"),
              (changes) =>
                checkedNames(target.path, "changes", changes, ["filter", "action"], "an object with filter and action")
            )
          )
          // What is not changed goes back as it came, also where this version does not know it.
          const checked = yield* Effect.fromResult(
            RuleSettings.write(
              target.path,
              ServiceBusRule.make(name, filter ?? ServiceBusRule.true, action ?? undefined)
            )
          )
          const fields: Description.Rule = {
            ...before,
            Name: before.Name ?? name,
            Filter: filter === undefined ? before.Filter : checked.Filter,
            Action: action === undefined ? before.Action : action === null ? undefined : checked.Action
          }
          const written = yield* retryPolicy.run(put(Description.rule, fields, { ...one, isUpdate: true }))
            .pipe(
              Effect.mapError((error) => errorMap.manageRuleError(errorMap.manageEntityError(error), target.path, name))
            )
          return RuleSettings.read(written.fields.Name ?? name, written.fields)
        })
    )

  /** Whether a subscription has a rule that it was to start with. */
  const startsWith = (rule: Description.Rule) => (request: EntityRequest) =>
    Effect.map(
      get(Description.rule, ruleRequest(request, rule.Name!)),
      Option.exists(({ fields }) => RuleSettings.isAsAsked(rule, fields))
    )

  /** A subscription with the rules that it is to start with. */
  const createSubscription = (
    subscription: unknown,
    given: Settings.SubscriptionSettings | undefined
  ): Effect.Effect<Info.Subscription, E.CreateEntityError> =>
    Effect.suspend(() => {
      const target = EntityTarget.read(subscription, "subscription", "entity")
      if (Result.isFailure(target)) return Effect.fail(target.failure)
      const { path, topic = path } = target.success
      const read = readOptions(path, given, "settings")
      if (Result.isFailure(read)) return Effect.fail(read.failure)
      const { rules, ...settings } = read.success
      if (rules === undefined) {
        return Effect.mapError(
          subscriptions.create(subscription, settings, {}, startsWith(defaultRule)),
          missingIs(topic)
        )
      }
      const written = RuleSettings.writeAll(path, rules)
      if (Result.isFailure(written)) return Effect.fail(written.failure)
      // The service gives every new subscription a rule: one that takes nothing is there until it is deleted.
      const [first = { ...defaultRule, Filter: ServiceBusRule.false }] = written.success
      const started = { DefaultRuleDescription: first }
      return subscriptions.create(subscription, settings, started, startsWith(first)).pipe(
        Effect.mapError(missingIs(topic)),
        Effect.mapError((error) =>
          error._tag === "InvalidOptionError" && error.option === "settings" && isOfRule(error)
            ? errorMap.withFields(error, { option: RuleSettings.optionOf(0, "rule") })
            : error
        ),
        Effect.tap(() =>
          rules.length === 0
            ? Effect.catchTag(
              deleteRule(subscription, ServiceBusRule.defaultName),
              "RuleNotFoundError",
              () => Effect.void
            )
            : Effect.forEach(
              rules.slice(1),
              (rule, index) => Effect.mapError(createRule(subscription, rule), atRule(index + 1))
            )
        )
      )
    })

  const namespaceRequest = { operation: "getNamespace", path: "$namespaceinfo" }

  return {
    fullyQualifiedNamespace: host,
    createQueue: queues.create,
    getQueue: queues.get,
    queueExists: queues.exists,
    listQueues: listAll(
      Description.entities.queue,
      { operation: "listQueues", path: "$Resources/queues" },
      queues.view
    ),
    updateQueue: queues.update,
    deleteQueue: queues.delete,
    getQueueRuntime: queues.runtime,
    listQueueRuntimes: listAll(
      Description.entities.queue,
      { operation: "listQueueRuntimes", path: "$Resources/queues" },
      queues.runtimeView
    ),
    createTopic: topics.create,
    getTopic: topics.get,
    topicExists: topics.exists,
    listTopics: listAll(
      Description.entities.topic,
      { operation: "listTopics", path: "$Resources/topics" },
      topics.view
    ),
    updateTopic: topics.update,
    deleteTopic: topics.delete,
    getTopicRuntime: topics.runtime,
    listTopicRuntimes: listAll(
      Description.entities.topic,
      { operation: "listTopicRuntimes", path: "$Resources/topics" },
      topics.runtimeView
    ),
    createSubscription,
    getSubscription: subscriptions.get,
    subscriptionExists: subscriptions.exists,
    listSubscriptions: (topic: unknown) => listSubscriptions("listSubscriptions", topic, subscriptions.view),
    updateSubscription: subscriptions.update,
    deleteSubscription: subscriptions.delete,
    getSubscriptionRuntime: subscriptions.runtime,
    listSubscriptionRuntimes: (topic: unknown) =>
      listSubscriptions("listSubscriptionRuntimes", topic, subscriptions.runtimeView),
    createRule,
    getRule,
    ruleExists: (subscription: unknown, name: string) => Effect.map(getRule(subscription, name), Option.isSome),
    listRules: (subscription: unknown): Stream.Stream<ServiceBusRule.ListedRule, E.ManageEntityError> =>
      Stream.suspend(() => {
        const target = EntityTarget.read(subscription, "subscription", "entity")
        if (Result.isFailure(target)) return Stream.fail(target.failure)
        const { path } = target.success
        return list(
          Description.rule,
          { operation: "listRules", entity: path, path: `${path}/Rules` },
          ({ fields, name }) => RuleSettings.read(fields.Name ?? name, fields)
        )
      }),
    updateRule,
    deleteRule,
    getNamespace: Effect.flatMap(
      traced("getNamespace", undefined, get(Description.namespaceInfo, namespaceRequest)),
      Option.match({
        onNone: () => Effect.fail(AtomClient.malformed(namespaceRequest, "it says nothing of the namespace")),
        onSome: ({ fields, name }) => Effect.succeed(Info.namespaceInfoOf(name, fields))
      })
    )
  }
}

/** What the service gives a new subscription that is given none. */
const defaultRule: Description.Rule = { Name: ServiceBusRule.defaultName, Filter: ServiceBusRule.true }

const expectedChange = "a function of what is there, which gives what is to be another"

/** The same error, and what is missing is another entity than the one that was asked for: the one that it was to be in. */
const missingIs = (entity: string) => <Err extends E.Any>(error: Err): Err =>
  error._tag === "MessagingEntityNotFoundError" && !isOfForwarding(error)
    ? errorMap.withFields(error, { entity })
    : error

const isOfForwarding = ({ description }: { readonly description?: string | undefined }): boolean =>
  /forward/i.test(description ?? "")

/** Whether the service speaks of the rule that a subscription was to start with. */
const isOfRule = ({ description }: { readonly description?: string | undefined }): boolean =>
  /\b(?:sql|expression|filter|rule|action)\b/i.test(description ?? "")

/** The same error, of a rule in a list. */
const atRule = (index: number) => <Err extends E.Any>(error: Err): Err =>
  error._tag === "InvalidOptionError" && error.option !== "entity"
    ? errorMap.withFields(error, { option: RuleSettings.optionOf(index, error.option) })
    : error

const contextOf = ({ entity, operation }: Pick<AtomClient.Request, "entity" | "operation">) => ({
  operation,
  ...(entity === undefined ? {} : { entity })
})

/** Where the page after one begins; none after the last one. */
const nextOf = (answer: AtomClient.Answer, skip: number, length: number): Option.Option<number> => {
  if (answer?._tag !== "Feed" || length === 0) return Option.none()
  const next = answer.next === undefined ? undefined : /[?&](?:\$|%24)skip=(\d{1,9})(?:&|$)/i.exec(answer.next)?.[1]
  if (next !== undefined && Number(next) > skip) return Option.some(Number(next))
  // The service's link stands where a page is full. Others may leave it out.
  return length >= pageSize ? Option.some(skip + length) : Option.none()
}
