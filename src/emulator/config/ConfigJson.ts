/**
 * The configuration file of Microsoft's emulator, Config.json: its schema, and what real files have beyond it (no Logging, only
 * queues or only topics, any name of the namespace, topics without subscriptions, the service's sizes and states). The limits are
 * the service's, where the emulator's are narrower.
 *
 * What it leaves out has the defaults of that emulator. Source: its Config-schema.json and Config.json.
 */
import type * as Broker from "../broker/Broker.ts"
import * as Configuration from "./Configuration.ts"
import { ConfigValue, type Findings } from "./ConfigValue.ts"
import * as EntityProperties from "./EntityProperties.ts"
import type * as Jsonc from "./Jsonc.ts"
import * as RuleProperties from "./RuleProperties.ts"

const filterTypes = { sql: "Sql", correlation: "Correlation" }

const entity = "an object with a Name, such as { \"Name\": \"orders\" }"

/** What other tools write in place of Queues and Topics. */
const advice = { entities: "queues stand in Queues, topics in Topics" }

/** Reads a file; `others` are entities that are declared beside it. @category conversions */
export const read = (
  json: Jsonc.Json,
  defaults: Partial<EntityProperties.Defaults>,
  others: ReadonlyArray<Broker.Entity>
): Configuration.Configuration => {
  const findings: Findings = { problems: [], warnings: [] }
  const declared: Array<Configuration.Declared> = []
  const all: EntityProperties.Defaults = { ...EntityProperties.emulatorDefaults, ...defaults }
  let maxConnections: number | undefined

  const named = (part: ConfigValue, known: ReadonlyArray<string>) => {
    const members = part.members(["name", "properties", ...known], { expected: entity, advice })
    const name = members.get("name")
    if (name === undefined && members.size > 0) part.problem("has no Name")
    return { members, name: name?.text("a name") }
  }
  const queue = (part: ConfigValue) => {
    const { members, name } = named(part, [])
    const { forwarding, options } = EntityProperties.read("queue", members.get("properties"), all)
    if (name !== undefined) declared.push({ entity: { name, options }, part, forwarding })
  }
  const topic = (part: ConfigValue) => {
    const { members, name } = named(part, ["subscriptions"])
    const { options } = EntityProperties.read("topic", members.get("properties"), all)
    if (name !== undefined) {
      declared.push({
        entity: { kind: "topic", name, options: options as Broker.TopicOptions },
        part,
        forwarding: []
      })
    }
    for (const each of members.get("subscriptions")?.items("an array of subscriptions") ?? []) {
      subscription(each, name)
    }
  }
  const subscription = (part: ConfigValue, topic: string | undefined) => {
    const { members, name } = named(part, ["rules"])
    const { forwarding, options } = EntityProperties.read("subscription", members.get("properties"), all)
    const rules = RuleProperties.distinct(
      (members.get("rules")?.items("an array of rules") ?? []).flatMap((part) => {
        const read = rule(part)
        return read === undefined ? [] : [{ rule: read, part }]
      })
    )
    if (name === undefined || topic === undefined) return
    const made = Configuration.subscription(topic, name, options as Broker.SubscriptionOptions, rules)
    declared.push({ entity: made, part, forwarding })
  }
  const rule = (part: ConfigValue) => {
    const { members } = named(part, [])
    const [name, properties] = [members.get("name"), members.get("properties")]
    if (name !== undefined && properties === undefined) part.problem("has no Properties; a rule has a filter in them")
    return name === undefined || properties === undefined
      ? undefined
      : RuleProperties.read(name, properties, filterTypes)
  }

  const root = new ConfigValue(json, "", findings).members(["userConfig"], {
    ignored: ["$schema"],
    expected: "an object"
  })
  const user = root.get("userconfig")
  if (user === undefined) {
    findings.problems.push(
      "UserConfig is missing: this is neither a Config.json nor a template of Azure Resource Manager (which has resources)"
    )
  }
  const members = user?.members(["namespaces", "logging"])
  // What the broker says is on its standard error output, whatever the type.
  members?.get("logging")?.members(["type"]).get("type")?.word(["File", "Console", "File,Console", "Console,File"])
  const namespaces = members?.get("namespaces")
  if (user !== undefined && namespaces === undefined) user.problem("has no Namespaces")
  for (const [index, part] of namespaces?.items("an array with one namespace").entries() ?? []) {
    if (index > 0) {
      part.problem("is a second namespace; a file declares one: start another broker, with a file of its own, for it")
      continue
    }
    const members = part.members(["name", "properties", "queues", "topics"], { expected: "a namespace", advice })
    // It takes the name by which its clients call it.
    members.get("name")?.text("the name of the namespace")
    maxConnections = members.get("properties")?.members(["maxAllowedConnections"]).get("maxallowedconnections")
      ?.integer({ least: 1 })
    for (const each of members.get("queues")?.items("an array of queues") ?? []) queue(each)
    for (const each of members.get("topics")?.items("an array of topics") ?? []) topic(each)
  }
  Configuration.check(declared, others)
  return { ...findings, entities: declared.map(({ entity }) => entity), policies: [], maxConnections }
}
