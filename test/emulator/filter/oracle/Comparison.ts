/** The broker's rules against the oracle, over as many generated pairs of a rule and a message as are asked for. */
import * as ServiceBusRule from "../../../../src/ServiceBusRule.ts"
import { action, compile, correlation, linesAfter, linesOf, sql, storedOf, takes, truthOf } from "./Bridge.ts"
import { Generator } from "./Generator.ts"
import { act, correlates, judge, refuses } from "./Oracle.ts"
import { Printer } from "./Printer.ts"
import { Random } from "./Random.ts"
import { type Message, text } from "./Tree.ts"

/** Where the two differ, in words, and how often the broker came to what. */
export interface Comparison {
  readonly found: ReadonlyArray<string>
  readonly seen: ReadonlyMap<string, number>
}

/** What is wrong is wrong for many: a few are enough. */
const enough = 8

/** Expressions have up to 1,024 characters (Service Bus quotas). */
const maxLength = 1024

const show = (value: unknown) =>
  JSON.stringify(
    value,
    (_, each) => typeof each === "bigint" ? `${each}n` : each instanceof Map ? Object.fromEntries(each) : each
  )

/** What of a message the text names: all of it would hide what matters. */
const named = (sql: string, { properties, system }: Message) => {
  const lower = sql.toLowerCase().replaceAll("]]", "]").replaceAll("\"\"", "\"")
  const isNamed = ([name]: readonly [string, unknown]) => lower.includes(name.toLowerCase())
  return show({
    ...Object.fromEntries(Array.from(properties).filter(isNamed)),
    sys: new Map(Array.from(system).filter(isNamed))
  })
}

/** Judges cases until there are `count` of them, or enough that differ. A case that is not judged gives undefined. */
const compare = (
  count: number,
  judgeCase: (random: Random) => ReadonlyArray<{ readonly actual: string; readonly difference: string | undefined }>,
  firstSeed: number
): Comparison => {
  const found: Array<string> = []
  const seen = new Map<string, number>()
  let judged = 0
  for (let seed = firstSeed; judged < count && found.length < enough; seed++) {
    for (const { actual, difference } of judgeCase(new Random(seed))) {
      judged++
      seen.set(actual, (seen.get(actual) ?? 0) + 1)
      if (difference !== undefined) found.push(`seed ${seed} | ${difference}`)
    }
  }
  return { found, seen }
}

/** Filters in SQL, each with four messages: true, false, unknown or an error. */
export const compareFilters = (count: number): Comparison =>
  compare(count, (random) => {
    const generator = new Generator(random)
    const printer = new Printer(random)
    const { parameters, tree } = generator.filter()
    const positive = printer.predicate(tree)
    const negative = printer.predicate({ node: "not", operand: tree })
    if (Math.max(positive.length, negative.length) > maxLength) return []
    const title = `${positive} | ${show(parameters)}`
    let rules: ReadonlyArray<ReturnType<typeof compile>>
    try {
      rules = [compile(sql(positive, parameters)), compile(sql(negative, parameters))]
    } catch (problem) {
      const difference = refuses(tree) ? undefined : `${title} | ${negative} | ${String(problem)}`
      return [{ actual: "refused", difference }]
    }
    if (refuses(tree)) return [{ actual: "taken", difference: `${title} | is not refused` }]
    return Array.from({ length: 4 }, () => generator.message()).flatMap((message) => {
      const expected: ReadonlySet<string> = judge(tree, message)
      if (expected.has("?")) return []
      const actual = truthOf(rules[0]!, rules[1]!, storedOf(message))
      const difference = expected.has(actual)
        ? undefined
        : `${title} | is ${actual}, not ${Array.from(expected).join(" or ")} | ${named(positive, message)}`
      return [{ actual, difference }]
    })
  }, 1)

/** Correlation filters, each with a message that has some of what is asked for. */
export const compareCorrelations = (count: number): Comparison =>
  compare(count, (random) => {
    const generator = new Generator(random)
    const message = generator.message()
    const asked = generator.conditions(message)
    if (asked.properties.size + asked.system.size === 0) return []
    const expected = correlates(asked, message)
    if (expected === "?") return []
    const actual = takes(compile(correlation(asked)), storedOf(message)) === true ? "T" : "F"
    const difference = actual === expected
      ? undefined
      : `${show(asked)} | is ${actual}, not ${expected} | ${named(show(asked), message)}`
    return [{ actual, difference }]
  }, 2_000_001)

/** Actions, each with a message: what the message is afterwards, to the last bit. */
export const compareActions = (count: number): Comparison =>
  compare(count, (random) => {
    const generator = new Generator(random)
    const { parameters, statements } = generator.action()
    const written = new Printer(random).statements(statements)
    const message = generator.message()
    const expected = refuses(statements) ? undefined : act(statements, message)
    if (written.length > maxLength || expected === "unsaid") return []
    const title = `${written} | ${show(parameters)}`
    let actual: ReadonlyArray<string> | undefined
    try {
      actual = linesAfter(compile(ServiceBusRule.true, action(written, parameters)), storedOf(message))
    } catch (problem) {
      return [{ actual: "refused", difference: refuses(statements) ? undefined : `${title} | ${String(problem)}` }]
    }
    if (refuses(statements)) return [{ actual: "taken", difference: `${title} | is not refused` }]
    const wanted = expected === undefined
      ? undefined
      : linesOf(storedOf({ ...expected, properties: new Map([...expected.properties, ["RuleName", text("rule")]]) }))
    const outcome = actual === undefined ? "E" : "changed"
    if (String(actual) === String(wanted)) return [{ actual: outcome, difference: undefined }]
    const differing = actual === undefined || wanted === undefined
      ? `is ${outcome}, not ${wanted === undefined ? "E" : "changed"}`
      : `is ${actual.filter((each) => !wanted.includes(each)).join("; ")}, not ${
        wanted.filter((each) => !actual.includes(each)).join("; ")
      }`
    return [{ actual: outcome, difference: `${title} | ${differing} | ${named(written, message)}` }]
  }, 1_000_001)
