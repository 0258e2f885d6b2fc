/**
 * Templates of Azure Resource Manager, as `bicep build` writes them: the queues, topics, subscriptions, rules and authorization
 * rules of Microsoft.ServiceBus that they declare, flat or within each other, in arrays or by symbolic names, in modules.
 *
 * A loop, and a condition, a name or a setting that is known only to a deployment are refused by their path; resources of other
 * types are left out with a warning. What the template leaves out has the defaults of the service. A rule takes the place of
 * `$Default`, as it does where templates are deployed (hashicorp/terraform-provider-azurerm issue 20718), and a tilde in a name
 * is a slash (Azure/azure-resource-manager-schemas issue 230).
 */
import type * as ServiceBusRule from "../../ServiceBusRule.ts"
import type * as Broker from "../broker/Broker.ts"
import * as ArmExpression from "./ArmExpression.ts"
import * as Configuration from "./Configuration.ts"
import { ConfigValue, type Findings, type Language } from "./ConfigValue.ts"
import * as EntityProperties from "./EntityProperties.ts"
import * as Jsonc from "./Jsonc.ts"
import * as RuleProperties from "./RuleProperties.ts"

const provider = "microsoft.servicebus/"

const filterTypes = { sql: "SqlFilter", correlation: "CorrelationFilter" }

/** What stands above a resource. */
interface Parent {
  readonly type: string
  readonly name: string
}

/** A resource of Service Bus. */
interface Resource {
  readonly part: ConfigValue
  readonly members: ReadonlyMap<string, ConfigValue>
  /** Its names below the namespace, or undefined where one of them is not known. */
  readonly names: ReadonlyArray<string> | undefined
  readonly isExisting: boolean
}

/**
 * Reads a template; `values` are given to its parameters, and `others` are entities that are declared beside it.
 *
 * @category conversions
 */
export const read = (
  json: Jsonc.JsonObject,
  values: ReadonlyMap<string, string>,
  defaults: Partial<EntityProperties.Defaults>,
  others: ReadonlyArray<Broker.Entity>
): Configuration.Configuration =>
  new Template(values, { ...EntityProperties.serviceDefaults, ...defaults }).read(json, others)

class Template {
  private readonly findings: Findings = { problems: [], warnings: [] }
  private readonly unknowns = new ArmExpression.Unknowns()
  private readonly values: ReadonlyMap<string, string>
  private readonly defaults: EntityProperties.Defaults
  private readonly resources = new Map<string, Array<Resource>>()
  private readonly leftOut = new Map<string, number>()
  private namespace: string | undefined

  constructor(values: ReadonlyMap<string, string>, defaults: EntityProperties.Defaults) {
    this.values = values
    this.defaults = defaults
  }

  read(json: Jsonc.JsonObject, others: ReadonlyArray<Broker.Entity>): Configuration.Configuration {
    const parameters = objectOf(json["parameters"])
    const names = Object.keys(parameters)
    for (const name of this.values.keys()) {
      if (names.some((each) => each.toLowerCase() === name.toLowerCase())) continue
      this.findings.problems.push(
        `--parameter ${name}: the template has ${
          names.length === 0 ? "no parameters" : `no such parameter; it has ${names.join(", ")}`
        }`
      )
    }
    this.template(json, "", new Map(Array.from(this.values, ([name, value]) => [name.toLowerCase(), value])))
    const declared = this.declared(others)
    Configuration.check(declared, others)
    if (this.leftOut.size > 0) {
      const types = Array.from(this.leftOut, ([type, count]) => count === 1 ? type : `${type} (${count})`)
      this.findings.warnings.push(`resources of other types are left out: ${types.join(", ")}`)
    }
    return {
      ...this.findings,
      entities: declared.map(({ entity }) => entity),
      policies: this.policies(),
      maxConnections: undefined
    }
  }

  private template(json: Jsonc.JsonObject, path: string, values: ReadonlyMap<string, Jsonc.Json>): void {
    const scope = new ArmExpression.Scope({
      parameters: objectOf(json["parameters"]),
      variables: objectOf(json["variables"]),
      values
    }, this.unknowns)
    if (json["resources"] !== undefined) this.walk(json["resources"], `${path}resources`, scope, undefined)
  }

  private walk(json: Jsonc.Json, path: string, scope: ArmExpression.Scope, parent: Parent | undefined): void {
    const language: Language = {
      spell: (name) => name,
      resolve: (value, isComputed) => {
        const given = isComputed || typeof value !== "string" ? value : scope.evaluate(value)
        return {
          value: given,
          unknown: this.unknowns.reasonIn(given),
          // What is no text is as it was written, with texts in it that are not.
          isComputed: isComputed || typeof value === "string"
        }
      }
    }
    const list = new ConfigValue(json, path, this.findings, language)
    const resources = Array.isArray(list.value)
      ? list.items("an array")
      : list.entries("an array or an object of resources").map(([, part]) => part)
    for (const part of resources) this.resource(part, scope, parent)
  }

  private resource(part: ConfigValue, scope: ArmExpression.Scope, parent: Parent | undefined): void {
    const members = new Map(part.entries("a resource").map(([name, member]) => [name.toLowerCase(), member]))
    if (!Jsonc.isObject(part.value)) return
    const type = members.get("type")
    if (type === undefined) return void part.problem("has no type")
    const given = type.text("the type of a resource")
    if (given === undefined) return
    const full = parent === undefined || given.includes("/") ? given : `${parent.type}/${given}`
    const key = full.toLowerCase()
    if (key === "microsoft.resources/deployments") return this.deployment(part, members, scope)
    if (!known.has(key)) return void this.leftOut.set(full, (this.leftOut.get(full) ?? 0) + 1)
    if (!this.isAlways(members)) return
    const name = this.nameOf(part, members, full, parent)
    if (name === undefined) return
    const [namespace = "", ...below] = name.split("/")
    this.namespace ??= namespace
    if (this.namespace.toLowerCase() !== namespace.toLowerCase()) {
      part.problem(
        "is in a second namespace; a file declares one: start another broker, with a template of its own, for it"
      )
    }
    const unknown = below.map((each) => this.unknowns.reasonIn(each)).find((reason) => reason !== undefined)
    if (unknown !== undefined) members.get("name")!.problem(`is not known: ${unknown}`)
    const existing = members.get("existing")
    const list = this.resources.get(key) ?? []
    this.resources.set(key, list)
    list.push({
      part,
      members,
      names: unknown === undefined ? below.map((each) => each.replaceAll("~", "/")) : undefined,
      isExisting: existing !== undefined && existing.boolean() === true
    })
    const children = members.get("resources")
    if (children !== undefined && children.value !== undefined) {
      this.walk(children.value, children.path, scope, { type: full, name })
    }
  }

  /** The whole name of a resource, which has a segment for each of its type. */
  private nameOf(
    part: ConfigValue,
    members: ReadonlyMap<string, ConfigValue>,
    type: string,
    parent: Parent | undefined
  ): string | undefined {
    const member = members.get("name")
    if (member === undefined) return part.problem("has no name")
    if (typeof member.given !== "string" || member.given === "") return member.wrong("the name of the resource")
    const segments = type.split("/").length - 1
    const names = [member.given, ...(parent === undefined ? [] : [`${parent.name}/${member.given}`])]
    const name = names.find((each) => each.split("/").length === segments)
    if (name !== undefined) return name
    const reason = this.unknowns.reasonIn(member.given)
    if (reason !== undefined) return member.problem(`is not known: ${reason}`)
    const wanted = type.split("/").slice(1).map((each) => `{${each}}`).join("/")
    return member.problem(`must be ${wanted}, a name for each segment of the type ${type}`)
  }

  /** Whether a resource is there, and once. */
  private isAlways(members: ReadonlyMap<string, ConfigValue>): boolean {
    const [copy, condition] = [members.get("copy"), members.get("condition")]
    if (copy !== undefined) {
      copy.problem("is a loop, which is not evaluated here; write out the resources that it makes")
      return false
    }
    if (condition === undefined) return true
    const word = String(condition.given).toLowerCase()
    if (word === "true") return true
    if (word === "false") condition.warning("is false: the resource is left out")
    else condition.problem("is a condition that is not evaluated here; write true or false, or make it a parameter")
    return false
  }

  /** A module: a template within a deployment. */
  private deployment(part: ConfigValue, members: ReadonlyMap<string, ConfigValue>, scope: ArmExpression.Scope): void {
    const properties = new Map(
      (members.get("properties")?.entries() ?? []).map(([name, member]) => [name.toLowerCase(), member])
    )
    const template = properties.get("template")
    if (template === undefined || !Jsonc.isObject(template.value)) {
      part.warning("is a template of another file, and left out")
      return
    }
    // Loops and conditions of what is left out anyhow are nobody's concern.
    const isOurs = JSON.stringify(template.value).toLowerCase().includes(provider)
    if (!isOurs || !this.isAlways(members)) return
    const options = objectOf(properties.get("expressionevaluationoptions")?.value)
    const path = `${template.path}.`
    if (String(options["scope"] ?? "outer").toLowerCase() !== "inner") {
      const { resources } = template.value
      if (resources !== undefined) this.walk(resources, `${path}resources`, scope, undefined)
      return
    }
    const given = (properties.get("parameters")?.entries() ?? []).flatMap(([name, parameter]) => {
      const value = objectOf(parameter.value)["value"]
      return value === undefined ? [] : [[name.toLowerCase(), scope.evaluate(value)] as const]
    })
    this.template(template.value, path, new Map(given))
  }

  private of(type: string): ReadonlyArray<Resource> {
    return this.resources.get(`${provider}namespaces${type}`) ?? []
  }

  private declared(others: ReadonlyArray<Broker.Entity>): ReadonlyArray<Configuration.Declared> {
    const declared: Array<Configuration.Declared> = []
    const existing: Array<Configuration.Declared> = []
    const rules = this.rules()
    for (const [kind, type] of kinds) {
      for (const { isExisting, members, names, part } of this.of(type)) {
        const properties = isExisting ? undefined : members.get("properties")
        const { forwarding, options } = EntityProperties.read(kind, properties, this.defaults)
        if (names === undefined) continue
        const [first = "", second = ""] = names
        const entity: Broker.Entity = kind === "subscription"
          ? Configuration.subscription(first, second, options as Broker.SubscriptionOptions, rules.take(first, second))
          : kind === "topic"
          ? { kind, name: first, options: options as Broker.TopicOptions }
          : { name: first, options }
        const list = isExisting ? existing : declared
        list.push({ entity, part, forwarding })
      }
    }
    // What is there already in Azure is not here, unless another resource or a flag declares it.
    const paths = new Set([...declared.map(({ entity }) => entity), ...others].map(Configuration.pathOf))
    for (const each of existing) {
      const path = Configuration.pathOf(each.entity)
      if (paths.has(path)) continue
      paths.add(path)
      each.part.warning("is an existing resource: it is made with the settings that the service has by default")
      declared.push(each)
    }
    rules.refuseRest()
    return declared
  }

  /** The rules of subscriptions. */
  private rules() {
    const bySubscription = new Map<string, Array<{ readonly rule: ServiceBusRule.Rule; readonly part: ConfigValue }>>()
    const keyOf = (topic: string, subscription: string) => `${topic}/${subscription}`.toLowerCase()
    for (const { isExisting, members, names, part } of this.of("/topics/subscriptions/rules")) {
      if (isExisting) continue
      const properties = members.get("properties")
      if (properties === undefined) {
        part.problem("has no properties; a rule has a filter in them")
        continue
      }
      // Its name is checked where all of it is known.
      const [topic, subscription, name] = names ?? ["", "", "unknown"]
      const named = new ConfigValue(name!, `${part.path}.name`, this.findings)
      const rule = RuleProperties.read(named, properties, filterTypes)
      if (rule === undefined || names === undefined) continue
      const key = keyOf(topic!, subscription!)
      const list = bySubscription.get(key) ?? []
      bySubscription.set(key, list)
      list.push({ rule, part })
    }
    return {
      take: (topic: string, subscription: string): ReadonlyArray<ServiceBusRule.Rule> => {
        const key = keyOf(topic, subscription)
        const found = bySubscription.get(key) ?? []
        bySubscription.delete(key)
        return RuleProperties.distinct(found)
      },
      refuseRest: () => {
        for (const [path, rest] of bySubscription) {
          for (const { part } of rest) {
            part.problem(`is a rule of the subscription "${path}", which the template does not declare; declare it too`)
          }
        }
      }
    }
  }

  /** The authorization rules of the namespace; those of entities are left out. */
  private policies(): ReadonlyArray<Configuration.DeclaredPolicy> {
    for (const type of ["/queues/authorizationrules", "/topics/authorizationrules"]) {
      for (const { isExisting, part } of this.of(type)) {
        if (!isExisting) part.warning("is an authorization rule of one entity, and left out: use one of the namespace")
      }
    }
    const policies: Array<Configuration.DeclaredPolicy> = []
    for (const { isExisting, members, names, part } of this.of("/authorizationrules")) {
      const properties = members.get("properties")
      const rights = properties?.members(["rights"]).get("rights")?.items("an array of rights")
        .flatMap((each) => each.word(["Send", "Listen", "Manage"]) ?? []) ?? []
      const name = names?.[0]
      // The broker has this one itself.
      if (isExisting || name === undefined || name === "RootManageSharedAccessKey") continue
      if (rights.length === 0) part.problem("has no rights; give Send, Listen, or both with Manage")
      else if (rights.includes("Manage") && new Set(rights).size < 3) {
        part.problem("has the right Manage, which needs Send and Listen too")
      } else if (policies.some((each) => each.name === name)) part.problem("is there twice")
      else policies.push({ name, rights })
    }
    return policies
  }
}

/** The types of entities, those first that others stand in. */
const kinds: ReadonlyArray<readonly [Broker.Declaration["kind"], string]> = [
  ["queue", "/queues"],
  ["topic", "/topics"],
  ["subscription", "/topics/subscriptions"]
]

const known: ReadonlySet<string> = new Set(
  [
    "",
    ...kinds.map(([, type]) => type),
    "/topics/subscriptions/rules",
    "/authorizationrules",
    "/queues/authorizationrules",
    "/topics/authorizationrules"
  ].map((type) => `${provider}namespaces${type}`)
)

const objectOf = (value: Jsonc.Json | undefined): Jsonc.JsonObject => Jsonc.isObject(value) ? value : {}
