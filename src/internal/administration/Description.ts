/**
 * The descriptions of entities in the management API, read and written: for each kind a table of its elements, in the order of
 * the service's answers, with a codec each; and the order of requests, in which the service ignores what stands elsewhere.
 * Fields have the names of their elements. What a table does not have is kept as it came, and written back at the end.
 *
 * Order and forms: the official clients' requests, and recorded answers of the service.
 */
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as AtomXml from "./AtomXml.ts"
import * as RuleDescription from "./RuleDescription.ts"
import * as Text from "./XmlText.ts"

/** An element that cannot be read. */
export class DescriptionProblem extends Data.TaggedError("DescriptionProblem")<{
  /** Its name. */
  readonly element: string
  readonly expected: string
}> {
  override get message(): string {
    return `${this.element} is not ${this.expected}`
  }
}

/** How an element is read and written. */
interface Codec<A> {
  readonly expected: string
  /** Undefined where it cannot be read. */
  readonly read: (element: AtomXml.Element) => A | undefined
  // A method, so that a table may have codecs of any values.
  write(name: string, value: A): AtomXml.Element
}

const element = (name: string, children: ReadonlyArray<AtomXml.Element | string>) =>
  AtomXml.element(AtomXml.connect, name, children)

const text = <A>({ expected, parse, print }: Text.Codec<A>): Codec<A> => ({
  expected,
  read: (element) => parse(AtomXml.textOf(element)),
  write: (name, value) => {
    const text = print(value)
    return element(name, text === "" ? [] : [text])
  }
})

const string = text(Text.string)
const boolean = text(Text.boolean)
const integer = text(Text.integer)
const duration = text(Text.duration)
const dateTime = text(Text.dateTime)

/** The numbers of an entity's messages by their state. */
export interface CountDetails {
  readonly ActiveMessageCount: number
  readonly DeadLetterMessageCount: number
  readonly ScheduledMessageCount: number
  readonly TransferMessageCount: number
  readonly TransferDeadLetterMessageCount: number
}

const counts: ReadonlyArray<keyof CountDetails> = [
  "ActiveMessageCount",
  "DeadLetterMessageCount",
  "ScheduledMessageCount",
  "TransferMessageCount",
  "TransferDeadLetterMessageCount"
]

const countsNamespace = "http://schemas.microsoft.com/netservices/2011/06/servicebus"

/** The service's prefix is d2p1, and d3p1 for subscriptions. */
const countDetails = (prefix: string): Codec<CountDetails> => ({
  expected: "a number for each state",
  read: (element) => {
    const read: Record<string, number> = Object.fromEntries(counts.map((name) => [name, 0]))
    for (const child of AtomXml.elementsOf(element)) {
      if (!Object.hasOwn(read, child.name)) continue
      const count = Text.integer.parse(AtomXml.textOf(child))
      if (count === undefined) return undefined
      read[child.name] = count
    }
    return read as Record<keyof CountDetails, number>
  },
  write: (name, value) => {
    const scope = { [prefix]: countsNamespace }
    return AtomXml.element(
      AtomXml.connect,
      name,
      counts.map((count) => AtomXml.element(countsNamespace, count, [String(value[count])], { prefix })),
      { scope }
    )
  }
})

/** A shared access policy of an entity. Keys that are masked or empty are not there. */
export interface AuthorizationRule {
  readonly KeyName: string
  /** `Manage`, `Send`, `Listen`, or what the service may have beside them. */
  readonly Rights: ReadonlyArray<string>
  readonly PrimaryKey?: Redacted.Redacted<string> | undefined
  readonly SecondaryKey?: Redacted.Redacted<string> | undefined
  readonly CreatedTime?: DateTime.Utc | undefined
  readonly ModifiedTime?: DateTime.Utc | undefined
}

const keyOf = (text: string | undefined): Redacted.Redacted<string> | undefined =>
  text === undefined || /^\**$/.test(text.trim()) ? undefined : Redacted.make(text.trim(), { label: "access key" })

const timeOf = (text: string | undefined): DateTime.Utc | undefined =>
  text === undefined ? undefined : Text.dateTime.parse(text)

const timeElements = (name: string, time: DateTime.Utc | undefined) =>
  time === undefined ? [] : [dateTime.write(name, time)]

const authorizationRules: Codec<ReadonlyArray<AuthorizationRule>> = {
  expected: "a list of shared access policies",
  read: (list) => {
    const rules: Array<AuthorizationRule> = []
    for (const rule of AtomXml.elementsOf(list)) {
      const KeyName = AtomXml.childTextOf(rule, "KeyName")
      if (rule.name !== "AuthorizationRule" || KeyName === undefined) return undefined
      const rights = AtomXml.childOf(rule, "Rights")
      const CreatedTime = timeOf(AtomXml.childTextOf(rule, "CreatedTime"))
      const ModifiedTime = timeOf(AtomXml.childTextOf(rule, "ModifiedTime"))
      const PrimaryKey = keyOf(AtomXml.childTextOf(rule, "PrimaryKey"))
      const SecondaryKey = keyOf(AtomXml.childTextOf(rule, "SecondaryKey"))
      rules.push({
        KeyName,
        Rights: rights === undefined ? [] : AtomXml.elementsOf(rights).map(AtomXml.textOf),
        ...(PrimaryKey === undefined ? {} : { PrimaryKey }),
        ...(SecondaryKey === undefined ? {} : { SecondaryKey }),
        ...(CreatedTime === undefined ? {} : { CreatedTime }),
        ...(ModifiedTime === undefined ? {} : { ModifiedTime })
      })
    }
    return rules
  },
  write: (name, rules) =>
    element(
      name,
      rules.map((rule) =>
        RuleDescription.typed("AuthorizationRule", "SharedAccessAuthorizationRule", [
          element("ClaimType", ["SharedAccessKey"]),
          element("ClaimValue", ["None"]),
          element("Rights", rule.Rights.map((right) => element("AccessRights", [right]))),
          ...timeElements("CreatedTime", rule.CreatedTime),
          ...timeElements("ModifiedTime", rule.ModifiedTime),
          element("KeyName", [rule.KeyName]),
          // Empty where there is none, as .NET's client writes it: the service keeps the key, or makes one.
          element("PrimaryKey", rule.PrimaryKey === undefined ? [] : [Redacted.value(rule.PrimaryKey)]),
          element("SecondaryKey", rule.SecondaryKey === undefined ? [] : [Redacted.value(rule.SecondaryKey)])
        ])
      )
    )
}

const filter: Codec<RuleDescription.Filter> = {
  expected: "a filter whose type and values can be read",
  read: RuleDescription.readFilter,
  write: RuleDescription.writeFilter
}

const action: Codec<RuleDescription.Action> = {
  expected: "an action whose type and values can be read",
  read: RuleDescription.readAction,
  write: RuleDescription.writeAction
}

/** A table of elements. */
export type Fields = Readonly<Record<string, Codec<unknown>>>

/** What is read of a description, and written; a field that is undefined is not there. */
export type Values<F extends Fields> =
  & { readonly [K in keyof F]?: (F[K] extends Codec<infer A> ? A : never) | undefined }
  & {
    /** Elements that the table does not have, as they came. */
    readonly unknown?: ReadonlyArray<AtomXml.Element> | undefined
  }

/** A kind of description. */
export interface Kind<F extends Fields> {
  /** The name of its element. */
  readonly name: string
  /** In the order of the service's answers. */
  readonly fields: F
  /** What a request has, in its order. */
  readonly requested: ReadonlyArray<keyof F & string>
}

const kind = <F extends Fields>(
  name: string,
  fields: F,
  requested: ReadonlyArray<keyof F & string>
): Kind<F> => ({ name, fields, requested })

export const queue = kind("QueueDescription", {
  LockDuration: duration,
  MaxSizeInMegabytes: integer,
  RequiresDuplicateDetection: boolean,
  RequiresSession: boolean,
  DefaultMessageTimeToLive: duration,
  DeadLetteringOnMessageExpiration: boolean,
  DuplicateDetectionHistoryTimeWindow: duration,
  MaxDeliveryCount: integer,
  EnableBatchedOperations: boolean,
  SizeInBytes: integer,
  MessageCount: integer,
  IsAnonymousAccessible: boolean,
  AuthorizationRules: authorizationRules,
  Status: string,
  CreatedAt: dateTime,
  UpdatedAt: dateTime,
  AccessedAt: dateTime,
  SupportOrdering: boolean,
  CountDetails: countDetails("d2p1"),
  AutoDeleteOnIdle: duration,
  EnablePartitioning: boolean,
  EntityAvailabilityStatus: string,
  EnableExpress: boolean,
  ForwardTo: string,
  UserMetadata: string,
  ForwardDeadLetteredMessagesTo: string,
  MaxMessageSizeInKilobytes: integer
}, [
  "LockDuration",
  "MaxSizeInMegabytes",
  "RequiresDuplicateDetection",
  "RequiresSession",
  "DefaultMessageTimeToLive",
  "DeadLetteringOnMessageExpiration",
  "DuplicateDetectionHistoryTimeWindow",
  "MaxDeliveryCount",
  "EnableBatchedOperations",
  "IsAnonymousAccessible",
  "AuthorizationRules",
  "Status",
  "ForwardTo",
  "UserMetadata",
  "SupportOrdering",
  "AutoDeleteOnIdle",
  "EnablePartitioning",
  "ForwardDeadLetteredMessagesTo",
  "EnableExpress",
  "MaxMessageSizeInKilobytes"
])

export type Queue = Values<typeof queue.fields>

export const topic = kind("TopicDescription", {
  DefaultMessageTimeToLive: duration,
  MaxSizeInMegabytes: integer,
  RequiresDuplicateDetection: boolean,
  DuplicateDetectionHistoryTimeWindow: duration,
  EnableBatchedOperations: boolean,
  SizeInBytes: integer,
  FilteringMessagesBeforePublishing: boolean,
  IsAnonymousAccessible: boolean,
  AuthorizationRules: authorizationRules,
  Status: string,
  CreatedAt: dateTime,
  UpdatedAt: dateTime,
  AccessedAt: dateTime,
  SupportOrdering: boolean,
  CountDetails: countDetails("d2p1"),
  SubscriptionCount: integer,
  AutoDeleteOnIdle: duration,
  EnablePartitioning: boolean,
  EntityAvailabilityStatus: string,
  EnableSubscriptionPartitioning: boolean,
  EnableExpress: boolean,
  UserMetadata: string,
  MaxMessageSizeInKilobytes: integer,
  // Where API 2024-05 has them is not recorded.
  SqlFilterCount: integer,
  CorrelationFilterCount: integer
}, [
  "DefaultMessageTimeToLive",
  "MaxSizeInMegabytes",
  "RequiresDuplicateDetection",
  "DuplicateDetectionHistoryTimeWindow",
  "EnableBatchedOperations",
  "FilteringMessagesBeforePublishing",
  "IsAnonymousAccessible",
  "AuthorizationRules",
  "Status",
  "UserMetadata",
  "SupportOrdering",
  "AutoDeleteOnIdle",
  "EnablePartitioning",
  "EnableSubscriptionPartitioning",
  "EnableExpress",
  "MaxMessageSizeInKilobytes"
])

export type Topic = Values<typeof topic.fields>

export const rule = kind("RuleDescription", {
  Filter: filter,
  Action: action,
  CreatedAt: dateTime,
  Name: string
}, ["Filter", "Action", "Name"])

export type Rule = Values<typeof rule.fields>

const defaultRule: Codec<Rule> = {
  expected: "a rule",
  read: (element) => {
    const rule_ = read({ ...rule, name: element.name }, element)
    return Result.isSuccess(rule_) ? rule_.success : undefined
  },
  write: (name, value) => write({ ...rule, name }, value, "request")
}

export const subscription = kind("SubscriptionDescription", {
  LockDuration: duration,
  RequiresSession: boolean,
  DefaultMessageTimeToLive: duration,
  DeadLetteringOnMessageExpiration: boolean,
  DeadLetteringOnFilterEvaluationExceptions: boolean,
  // In a request that creates it alone.
  DefaultRuleDescription: defaultRule,
  MessageCount: integer,
  MaxDeliveryCount: integer,
  EnableBatchedOperations: boolean,
  Status: string,
  ForwardTo: string,
  CreatedAt: dateTime,
  UpdatedAt: dateTime,
  AccessedAt: dateTime,
  CountDetails: countDetails("d3p1"),
  ForwardDeadLetteredMessagesTo: string,
  AutoDeleteOnIdle: duration,
  EntityAvailabilityStatus: string,
  UserMetadata: string,
  IsClientAffine: boolean
}, [
  "LockDuration",
  "RequiresSession",
  "DefaultMessageTimeToLive",
  "DeadLetteringOnMessageExpiration",
  "DeadLetteringOnFilterEvaluationExceptions",
  "DefaultRuleDescription",
  "MaxDeliveryCount",
  "EnableBatchedOperations",
  "Status",
  "ForwardTo",
  "UserMetadata",
  "ForwardDeadLetteredMessagesTo",
  "AutoDeleteOnIdle"
])

export type Subscription = Values<typeof subscription.fields>

export type EntityFields = typeof queue.fields & typeof topic.fields & typeof subscription.fields

/** What queues, topics and subscriptions have together: a field that is none of a kind is not there. */
export type Entity = Values<EntityFields>

/** The kinds by what they describe; each reads and writes what its own table has. */
export const entities = { queue, topic, subscription } as unknown as Readonly<
  Record<"queue" | "topic" | "subscription", Kind<EntityFields>>
>

export const namespaceInfo = kind("NamespaceInfo", {
  Alias: string,
  CreatedTime: dateTime,
  MessagingSKU: string,
  MessagingUnits: integer,
  ModifiedTime: dateTime,
  Name: string,
  NamespaceType: string
}, [])

export type NamespaceInfo = Values<typeof namespaceInfo.fields>

/** Whether an element is a description of a kind. */
export const isOf = <F extends Fields>({ name }: Kind<F>, element: AtomXml.Element | undefined): boolean =>
  element !== undefined && element.name === name && element.namespace === AtomXml.connect

/** Whether an element is a description of any kind. */
export const isAny = (element: AtomXml.Element): boolean =>
  [queue, topic, subscription, rule, namespaceInfo].some(({ name }) =>
    element.name === name && element.namespace === AtomXml.connect
  )

/**
 * Reads a description; its elements may stand in any order, and of those that stand twice the first one holds. What is said to
 * have no value is not there.
 */
export const read = <F extends Fields>(
  { fields, name }: Kind<F>,
  description: AtomXml.Element
): Result.Result<Values<F>, DescriptionProblem> => {
  if (description.name !== name || description.namespace !== AtomXml.connect) {
    return Result.fail(new DescriptionProblem({ element: description.name, expected: `a ${name}` }))
  }
  const values: Record<string, unknown> = {}
  const unknown: Array<AtomXml.Element> = []
  for (const element of AtomXml.elementsOf(description)) {
    const codec = element.namespace === AtomXml.connect && Object.hasOwn(fields, element.name)
      ? fields[element.name]
      : undefined
    if (codec === undefined) {
      unknown.push(element)
    } else if (!AtomXml.isNil(element) && !Object.hasOwn(values, element.name)) {
      const value = codec.read(element)
      if (value === undefined) {
        return Result.fail(new DescriptionProblem({ element: element.name, expected: codec.expected }))
      }
      values[element.name] = value
    }
  }
  return Result.succeed((unknown.length === 0 ? values : { ...values, unknown }) as Values<F>)
}

/** Writes a description: as the service answers, or what a request has of it. */
export const write = <F extends Fields>(
  { fields, name, requested }: Kind<F>,
  values: NoInfer<Values<F>>,
  as: "answer" | "request"
): AtomXml.Element => {
  const names: ReadonlyArray<keyof F & string> = as === "answer" ? Object.keys(fields) : requested
  const elements = names.flatMap((each) => {
    const value = values[each]
    return value === undefined ? [] : [fields[each]!.write(each, value)]
  })
  return AtomXml.element(AtomXml.connect, name, [...elements, ...(values.unknown ?? [])], {
    scope: { i: AtomXml.instance }
  })
}
