/**
 * A namespace as a row of a file: a text in JSON with its name, and what it has of its own. The keys that a program has made are
 * in it, which is why nobody else may read the file; the key that a broker is given is not.
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { Entity } from "../broker/DeclaredEntity.ts"
import { declaredOf } from "../broker/DeclaredEntity.ts"
import type * as Authorization from "../security/Authorization.ts"
import * as EntityJson from "../state/EntityJson.ts"

/** A namespace as the text says: what is undefined it has of the broker. */
export interface NamespaceRow {
  readonly name: string
  readonly isByUse: boolean
  /** Milliseconds of its own clock; undefined where a file is older than that. */
  readonly createdAt: number | undefined
  readonly key: Redacted.Redacted<string> | undefined
  readonly policies: ReadonlyArray<Authorization.Policy> | undefined
  /** What it was declared with. */
  readonly entities: ReadonlyArray<Entity> | undefined
}

interface Json {
  readonly name: string
  readonly isByUse: boolean
  readonly createdAt?: number
  readonly key?: string
  readonly policies?: ReadonlyArray<
    { readonly name: string; readonly key: string; readonly rights: Authorization.Policy["rights"] }
  >
  readonly entities?: ReadonlyArray<EntityJson.Entity>
}

const keyOf = (key: string) => Redacted.make(key, { label: "emulator key" })

/** A namespace as a text. */
export const write = ({ createdAt, entities, isByUse, key, name, policies }: NamespaceRow): string =>
  JSON.stringify(
    {
      name,
      isByUse,
      ...(createdAt === undefined ? {} : { createdAt }),
      ...(key === undefined ? {} : { key: Redacted.value(key) }),
      ...(policies === undefined
        ? {}
        : { policies: policies.map(({ key, name, rights }) => ({ name, key: Redacted.value(key), rights })) }),
      ...(entities === undefined ? {} : { entities: entities.flatMap(jsonOf) })
    } satisfies Json
  )

/** An entity that a broker has taken; one that it has not is none. */
const jsonOf = (entity: Entity): ReadonlyArray<EntityJson.Entity> =>
  Result.match(declaredOf(entity), {
    onFailure: () => [],
    onSuccess: ({ kind, names, path, rules, settings }) => [
      EntityJson.toJson({
        kind,
        path,
        name: names.at(-1)!,
        topic: kind === "subscription" ? names[0] : undefined,
        settings,
        createdAt: 0,
        updatedAt: 0
      }, rules)
    ]
  })

/** A namespace out of a text; throws where it is none. */
export const read = (text: string): NamespaceRow => {
  const { createdAt, entities, isByUse, key, name, policies } = JSON.parse(text) as Json
  return {
    name,
    isByUse,
    createdAt,
    key: key === undefined ? undefined : keyOf(key),
    policies: policies?.map(({ key, name, rights }) => ({ name, key: keyOf(key), rights })),
    entities: entities?.map((json) => EntityJson.ofJson(json, "entity"))
  }
}
