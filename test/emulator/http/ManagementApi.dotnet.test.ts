/**
 * What the official .NET client sends (captured requests of 7.21.0), asked of the broker in the order in which it was sent:
 * each is taken, and what it asks for is there afterwards.
 */
import { Effect } from "effect"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import { managementApi } from "../../support/managementApi.ts"
import * as Recordings from "../../support/recordings.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const host = "127.0.0.1:16400"

/** What the service does not take either; the capture was made of a stub that takes everything. */
const refused: Readonly<Record<string, number>> = {
  "CreateQueueAsync(name) two characters to be escaped": 400,
  "CreateQueueAsync(options) status Renaming": 400,
  "SubscriptionExistsAsync missing": 404,
  "RuleExistsAsync missing": 404,
  // It asks for sessions.
  "UpdateSubscriptionAsync every property changed": 400,
  // Expressions that are none: an ampersand, names of parameters with a hyphen, and statements with commas between them.
  "CreateRuleAsync sql filter without parameters": 400,
  "CreateRuleAsync sql filter parameter datetime-utc": 400,
  "CreateRuleAsync sql filter parameter datetime-unspecified": 400,
  "CreateRuleAsync action with parameters": 400,
  "GetRuleAsync with action": 404,
  "UpdateRuleAsync untouched": 404,
  "UpdateRuleAsync other filter, action taken away": 404
}

const descriptionOf = (body: string) =>
  Effect.map(AtomXml.parse(body), (root) => {
    const envelope = AtomXml.envelopeOf(root)
    return envelope?._tag === "Entry" ? envelope.content : undefined
  })

/** What is asked for and not given back: the rule of a new subscription, and what no service of today has. */
const isDropped = ({ name }: AtomXml.Element): boolean => name === "DefaultRuleDescription" || name.startsWith("Future")

/** What is the service's to say: the client repeats what the stub had said. */
const isReadOnly = ({ name }: AtomXml.Element): boolean =>
  ["EntityAvailabilityStatus", "SqlFilterCount", "CorrelationFilterCount", "IsClientAffine"].includes(name)

/** The size of a partitioned entity is told for all of its partitions; times are told with their zone, paths with our host. */
const isSame = (name: string, wanted: string, got: string): boolean =>
  wanted === got || `${wanted}Z` === got ||
  name === "MaxSizeInMegabytes" && Number(got) === 16 * Number(wanted) ||
  name.startsWith("Forward") &&
    got.toLowerCase() === `sb://127.0.0.1/${wanted.replace(/^\w+:\/\/[^/]*\//, "")}`.toLowerCase()

/** What is wanted and not there; there may be more. */
const lacking = (wanted: AtomXml.Element, got: AtomXml.Element | undefined, path: string): ReadonlyArray<string> => {
  const elements = AtomXml.elementsOf(wanted)
  const text = AtomXml.textOf(wanted)
  if (got === undefined) return elements.length === 0 && text === "" ? [] : [`${path}: nothing`]
  const [type, gotType] = [AtomXml.typeOf(wanted)?.name, AtomXml.typeOf(got)?.name]
  if (type !== undefined && type !== gotType) return [`${path}: ${type} is ${gotType}`]
  if (elements.length === 0) {
    return isSame(wanted.name, text, AtomXml.textOf(got)) || text.trim() === "" && AtomXml.elementsOf(got).length === 0
      ? []
      : [`${path}: ${text} is ${AtomXml.textOf(got)}`]
  }
  return elements.filter((each) => !isDropped(each) && !isReadOnly(each)).flatMap((each) => {
    const place = elements.filter(({ name }) => name === each.name).indexOf(each)
    const found = AtomXml.elementsOf(got).filter(({ name }) => name === each.name)[place]
    return lacking(each, found, `${path}/${each.name}`)
  })
}

// They are no part of the repository.
describe.runIf(Recordings.arePresent)("the requests of .NET", () => {
  it.effect("are all taken, and give what they ask for", () =>
    Effect.gen(function*() {
      const ask = yield* managementApi(host)
      const problems: Array<string> = []
      let compared = 0
      for (const { body, call, headers, method, path, query } of Recordings.dotnetRequests()) {
        // What the client sends unchecked has tests of its own.
        if (call.startsWith("refused?")) continue
        const given = Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]).filter(([name]) =>
            name !== "host"
          )
        )
        const { body: answer, status } = yield* ask(method, `${path}?${query}`, body ?? "", given)
        const expected = refused[call] ?? (method !== "PUT" ? 200 : given["if-match"] === undefined ? 201 : 200)
        // Of a call that is refused, what it reads before may be there.
        if (status !== expected && !(call in refused && method === "GET" && status === 200)) {
          problems.push(`${call}: ${status} ${answer.slice(0, 200)}`)
        }
        if (method !== "PUT" || status >= 300) continue
        const wanted = yield* descriptionOf(body)
        const got = yield* descriptionOf((yield* ask("GET", `${path}?api-version=2024-05`)).body)
        problems.push(...lacking(wanted!, got, `${call}: `))
        compared += 1
      }
      assert.deepStrictEqual(problems, [])
      assert.isAbove(compared, 70)
    }).pipe(Effect.scoped))
})
