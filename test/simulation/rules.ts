/**
 * Rules whose effect can be told without a parser: each kind is a filter, and the same in plain code. The name of a rule begins
 * with its kind; what a message has is told by its id. A rule with an action says its name in the id of its copy.
 */
import * as ServiceBusRule from "../../src/ServiceBusRule.ts"

/** What rules see of a message. */
interface Seen {
  readonly n: number
  readonly colour: string
  readonly session: string | undefined
}

interface Kind {
  readonly filter: ServiceBusRule.Filter
  /** Whether it takes a message; undefined where it fails on it. */
  readonly takes: (message: Seen) => boolean | undefined
  readonly isActing?: true
}

const colours = ["red", "green", "blue"]

/** The properties of a message that is sent with this id. */
export const propertiesOf = (id: string) => {
  const n = Number(id.split("-").at(-1))
  const colour = colours[n % colours.length]!
  return { subject: colour, applicationProperties: { n, colour } }
}

const { correlation, sql } = ServiceBusRule

export const kinds: Readonly<Record<string, Kind>> = {
  $Default: { filter: ServiceBusRule.true, takes: () => true },
  none: { filter: ServiceBusRule.false, takes: () => false },
  even: { filter: sql("n % 2 = 0"), takes: ({ n }) => n % 2 === 0 },
  large: { filter: sql("n >= @least", { least: 20 }), takes: ({ n }) => n >= 20 },
  like: { filter: sql("sys.Label LIKE '%re%' AND missing IS NULL"), takes: ({ colour }) => colour !== "blue" },
  never: { filter: sql("NOT (missing = 1)"), takes: () => false },
  red: { filter: correlation({ applicationProperties: { colour: "red" } }), takes: ({ colour }) => colour === "red" },
  first: { filter: correlation({ sessionId: "s1" }), takes: ({ session }) => session === "s1" },
  both: {
    filter: correlation({ subject: "blue", applicationProperties: { colour: "blue" } }),
    takes: ({ colour }) => colour === "blue"
  },
  copied: { filter: sql("n % 3 <> 1"), takes: ({ n }) => n % 3 !== 1, isActing: true },
  every: { filter: ServiceBusRule.true, takes: () => true, isActing: true },
  failing: { filter: sql("n / (n % 7) >= 0"), takes: ({ n }) => n % 7 === 0 ? undefined : true }
}

const kindOf = (name: string): Kind | undefined => kinds[name.replace(/-\d+$/, "")]

/** A rule of a kind. */
export const ruleOfKind = (kind: string, name: string): ServiceBusRule.Rule => {
  const { filter, isActing } = kinds[kind]!
  const action = ServiceBusRule.action(`SET sys.MessageId = sys.MessageId + ':rule-${name}'; SET colour = 'none'`)
  return ServiceBusRule.make(name, filter, isActing ? action : undefined)
}

/** What the id of a copy says of the rule that made it. */
export const ruleOf = (id: string): string | undefined => /:rule-[^:]*/.exec(id)?.[0]

/** The ids of the copies that a subscription with these rules is to get; undefined where one of the rules fails. */
export const copiesOf = (
  id: string,
  origin: string,
  session: string | undefined,
  rules: Iterable<string>
): ReadonlyArray<string> | undefined => {
  const { applicationProperties: { colour, n } } = propertiesOf(origin)
  const message: Seen = { n, colour, session }
  const copies: Array<string> = []
  let isTaken = false
  for (const name of rules) {
    const kind = kindOf(name)
    const takes = kind?.takes(message)
    if (takes === undefined) return undefined
    if (takes && kind?.isActing) copies.push(`${id}:rule-${name}`)
    else if (takes) isTaken = true
  }
  return isTaken ? [id, ...copies] : copies
}
