/**
 * What a request of the management API is about: the path and the query of its target, read as the service reads them. Names
 * may have slashes, so that a path is split at the words that the API has of its own; letter case does not matter to it.
 */
import * as EntityPath from "../broker/EntityPath.ts"

/** The resource of a path, with names as they were written. `path` has no slashes at its ends. */
export type Resource =
  & {
    readonly path: string
    readonly query: URLSearchParams
    /** The query as it was written, without its question mark. */
    readonly search: string
    /** The path of the entity that it is about: of rules their subscription. What is of the namespace itself has its own. */
    readonly entity: string
  }
  & (
    | { readonly kind: "root" }
    | { readonly kind: "namespace" }
    | { readonly kind: "queues" }
    | { readonly kind: "topics" }
    /** A queue or a topic: a path does not tell. */
    | { readonly kind: "entity" }
    | { readonly kind: "subscriptions"; readonly topic: string }
    | { readonly kind: "subscription"; readonly topic: string; readonly subscription: string }
    | { readonly kind: "rules"; readonly topic: string; readonly subscription: string }
    | { readonly kind: "rule"; readonly topic: string; readonly subscription: string; readonly rule: string }
  )

/** A resource of some kinds. */
export type Of<K extends Resource["kind"]> = Extract<Resource, { readonly kind: K }>

/** Reads a target; undefined where it is no resource. */
export const parse = (target: string): Resource | undefined => {
  const at = target.indexOf("?")
  const search = at < 0 ? "" : target.slice(at + 1)
  let path: string
  try {
    // A proxy is asked with the whole URL (RFC 9112, section 3.2.2).
    path = decodeURIComponent((at < 0 ? target : target.slice(0, at)).replace(/^https?:\/\/[^/]*/i, ""))
  } catch {
    return undefined
  }
  // One slash is the beginning of a path; what begins with two has no name.
  path = `${path.startsWith("//") ? "/" : ""}${EntityPath.withoutSlashes(path)}`
  const common = { path, search, query: new URLSearchParams(search), entity: path }
  const ofNamespace = namespaceKinds[path.toLowerCase()]
  if (ofNamespace !== undefined) return { ...common, kind: ofNamespace }
  const [, topic, subscription, rules, rule] =
    /^(.+?)\/subscriptions(?:\/([^/]+)(?:\/(rules)(?:\/(.+))?)?)?$/is.exec(path) ?? []
  if (topic === undefined) return { ...common, kind: "entity" }
  if (subscription === undefined) return { ...common, kind: "subscriptions", topic, entity: topic }
  const within = { ...common, topic, subscription, entity: `${topic}/Subscriptions/${subscription}` }
  if (rules === undefined) return { ...within, kind: "subscription" }
  return rule === undefined ? { ...within, kind: "rules" } : { ...within, kind: "rule", rule }
}

const namespaceKinds: Readonly<Record<string, "root" | "namespace" | "queues" | "topics" | undefined>> = {
  __proto__: null as never,
  "": "root",
  $namespaceinfo: "namespace",
  "$resources/queues": "queues",
  "$resources/topics": "topics"
}

/** The value of a parameter of the query, whose name may be written in any case. */
export const parameterOf = ({ query }: Resource, name: string): string | undefined => {
  for (const [key, value] of query) if (key.toLowerCase() === name) return value
  return undefined
}
