/**
 * An entity as a row of a file: a text in JSON with its settings, its rules and their times, and what those who administer it
 * keep of it, which has durations, times and keys.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import type { Entity } from "../broker/DeclaredEntity.ts"
import type { StoringEntity } from "../broker/Store.ts"
import * as EntityJson from "../state/EntityJson.ts"

/** An entity as the text says. */
export interface EntityRow {
  readonly entity: Entity
  readonly createdAt: number
  readonly updatedAt: number
  readonly kept: unknown
}

interface Json {
  readonly entity: EntityJson.Entity
  readonly createdAt: number
  readonly updatedAt: number
  /** When each rule was made, by its name. */
  readonly rules: ReadonlyArray<readonly [name: string, createdAt: number]>
  readonly kept?: unknown
}

/** An entity as a text. */
export const write = ({ createdAt, declared, kept, queue, updatedAt }: StoringEntity): string => {
  const { kind, names, path, settings } = declared
  const rules = queue.rules?.list() ?? []
  const json: Json = {
    entity: EntityJson.toJson({
      kind,
      path,
      name: names.at(-1)!,
      topic: kind === "subscription" ? names[0] : undefined,
      settings,
      createdAt,
      updatedAt
    }, rules),
    createdAt,
    updatedAt,
    rules: rules.flatMap(({ createdAt, name }) =>
      createdAt === undefined ? [] : [[name, DateTime.toEpochMillis(createdAt)]]
    ),
    ...(kept === undefined ? {} : { kept: encode(kept) })
  }
  return JSON.stringify(json)
}

/** An entity out of a text; throws where it is none. */
export const read = (text: string): EntityRow => {
  const { createdAt, entity: json, kept, rules, updatedAt } = JSON.parse(text) as Json
  const entity = EntityJson.ofJson(json, "entity")
  const times = new Map(rules)
  if (entity.kind === "subscription" && entity.options?.rules !== undefined) {
    const timed = entity.options.rules.map((rule) => {
      const at = times.get(rule.name)
      return at === undefined ? rule : { ...rule, createdAt: DateTime.makeUnsafe(at) }
    })
    return {
      entity: { ...entity, options: { ...entity.options, rules: timed } },
      createdAt,
      updatedAt,
      kept: kept === undefined ? undefined : decode(kept as Schema.Json)
    }
  }
  return { entity, createdAt, updatedAt, kept: kept === undefined ? undefined : decode(kept as Schema.Json) }
}

/** What JSON has no form for is an object with one key that names it. */
const encode = (value: unknown): Schema.Json => {
  if (DateTime.isDateTime(value)) return { $time: DateTime.toEpochMillis(value) }
  if (Duration.isDuration(value)) {
    return { $duration: Duration.isFinite(value) ? String(Duration.toNanosUnsafe(value)) : null }
  }
  if (Redacted.isRedacted(value)) return { $secret: String(Redacted.value(value)) }
  if (Array.isArray(value)) return value.map(encode)
  if (typeof value !== "object" || value === null) return value as Schema.Json
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) => item === undefined ? [] : [[key, encode(item)]])
  )
}

const decode = (json: Schema.Json): unknown => {
  if (Array.isArray(json)) return json.map((item) => decode(item as Schema.Json))
  if (typeof json !== "object" || json === null) return json
  const record = json as Readonly<Record<string, Schema.Json>>
  if ("$time" in record) return DateTime.makeUnsafe(record["$time"] as number)
  if ("$duration" in record) {
    const nanos = record["$duration"] as string | null
    return nanos === null ? Duration.infinity : Duration.nanos(BigInt(nanos))
  }
  if ("$secret" in record) return Redacted.make(record["$secret"] as string, { label: "access key" })
  return Object.fromEntries(Object.entries(record).map(([key, item]) => [key, decode(item)]))
}
