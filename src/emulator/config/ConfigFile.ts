/**
 * The file of `--config`: Microsoft's Config.json, or a template of Azure Resource Manager, told apart by what they have at their
 * top. It reads a text and touches no disk.
 */
import * as Result from "effect/Result"
import type * as Broker from "../broker/Broker.ts"
import * as ArmTemplate from "./ArmTemplate.ts"
import * as ConfigJson from "./ConfigJson.ts"
import type { Configuration } from "./Configuration.ts"
import type { Defaults } from "./EntityProperties.ts"
import * as Jsonc from "./Jsonc.ts"

export type { Configuration, DeclaredPolicy } from "./Configuration.ts"

/** What is told beside a file. */
interface Options {
  /** Values of a template's parameters. */
  readonly parameters?: ReadonlyMap<string, string> | undefined
  /** What holds where the file says nothing, in place of its own defaults. */
  readonly defaults?: Partial<Defaults> | undefined
  /** Entities that are declared beside the file. */
  readonly others?: ReadonlyArray<Broker.Entity> | undefined
}

/** Reads a file. What is wrong with it is in its `problems`, all of it at once. @category conversions */
export const read = (
  text: string,
  { defaults = {}, others = [], parameters = new Map<string, string>() }: Options = {}
): Configuration => {
  const json = Jsonc.parse(text)
  if (Result.isFailure(json)) return wrong(json.failure)
  const value = json.success
  const schema = Jsonc.isObject(value) ? value["$schema"] : undefined
  if (typeof schema === "string" && schema.includes("deploymentParameters.json")) {
    return wrong("these are the parameters of a template; give the template, and each value by --parameter NAME=VALUE")
  }
  const isTemplate = Jsonc.isObject(value) &&
    (value["resources"] !== undefined || typeof schema === "string" && schema.includes("eploymentTemplate.json"))
  if (isTemplate) return ArmTemplate.read(value, parameters, defaults, others)
  return parameters.size > 0
    ? wrong("--parameter is for the parameters of a template, and this file is none")
    : ConfigJson.read(value, defaults, others)
}

const wrong = (problem: string): Configuration => ({
  problems: [problem],
  warnings: [],
  entities: [],
  policies: [],
  maxConnections: undefined
})
