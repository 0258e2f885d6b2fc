/**
 * XML as the management API writes it: a small tree with names resolved against namespaces (the prefixes of its writers differ),
 * and the envelopes of Atom around descriptions. Reading is bounded, in size and in depth, and refuses a DOCTYPE; a document
 * without one has no entities to expand. Client and broker share it.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Xml from "effect/encoding/Xml"
import * as Stream from "effect/Stream"

/** Atom (RFC 4287). */
export const atom = "http://www.w3.org/2005/Atom"
/** The namespace of descriptions. */
export const connect = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
/** XML Schema's, of the values of rules. */
export const schema = "http://www.w3.org/2001/XMLSchema"
/** XML Schema's for instances, of the attribute `type`. */
export const instance = "http://www.w3.org/2001/XMLSchema-instance"

/** An attribute; declarations of namespaces are none. */
export interface Attribute {
  readonly name: string
  /** Empty where it has no prefix. */
  readonly namespace: string
  readonly prefix: string
  readonly value: string
}

/** Namespaces by their prefixes; the default namespace by the empty one. */
export type Scope = Readonly<Record<string, string>>

export interface Element {
  /** The name without its prefix. */
  readonly name: string
  readonly namespace: string
  /** The prefix that it was written with, and is written with. */
  readonly prefix: string
  readonly attributes: ReadonlyArray<Attribute>
  /** What is in scope within it; where it is written what its parent lacks of it is declared. */
  readonly scope: Scope
  readonly children: ReadonlyArray<Element | string>
}

/** A document that is not XML, or not such as this reads. */
export class XmlProblem extends Data.TaggedError("XmlProblem")<{
  readonly problem: string
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.problem
  }
}

interface Limits {
  /** The longest document, in UTF-16 code units of its text or bytes of its encoding. */
  readonly maxLength: number
  readonly maxDepth: number
}

/** Wide for a page of 100 entries with all they may have. */
const defaults: Limits = { maxLength: 16 * 1024 * 1024, maxDepth: 32 }

/** The namespace of the prefix xml, which nobody declares. */
const xml = "http://www.w3.org/XML/1998/namespace"

const noScope: Scope = Object.freeze(Object.assign(Object.create(null) as Record<string, string>, { "": "", xml }))

/** The most namespaces in scope: each element that declares one has a copy of them. The service's answers have four. */
const maxNamespaces = 64

const isDeclaration = (name: string): boolean => name === "xmlns" || name.startsWith("xmlns:")

interface Open extends Element {
  readonly written: string
  readonly children: Array<Element | string>
}

/** Reads a document. */
export const parse = (
  document: string | Uint8Array,
  limits: Partial<Limits> = {}
): Effect.Effect<Element, XmlProblem> => {
  const { maxLength, maxDepth } = { ...defaults, ...limits }
  if (document.length > maxLength) {
    return Effect.fail(new XmlProblem({ problem: `it is longer than ${maxLength}` }))
  }
  if (document.length === 0) return Effect.fail(new XmlProblem({ problem: "it is empty" }))
  const options: Xml.DecodeOptions = { maxDepth, maxTokenSize: maxLength }
  const events = typeof document === "string"
    ? Stream.pipeThroughChannel(Stream.make(document), Xml.decodeString(options))
    : Stream.pipeThroughChannel(Stream.make(document), Xml.decode(options))
  return Stream.runCollect(events).pipe(
    Effect.mapError((cause) => new XmlProblem({ problem: cause.message, cause })),
    Effect.flatMap((events) => {
      const root = treeOf(events)
      return root instanceof XmlProblem ? Effect.fail(root) : Effect.succeed(root)
    })
  )
}

const treeOf = (events: ReadonlyArray<Xml.Event>): Element | XmlProblem => {
  const open: Array<Open> = []
  let root: Open | undefined
  for (const event of events) {
    const parent = open.at(-1)
    switch (event._tag) {
      case "Doctype":
        return new XmlProblem({ problem: "it has a DOCTYPE" })
      case "StartElement": {
        const element = resolve(event, parent?.scope ?? noScope)
        if (element instanceof XmlProblem) return element
        parent?.children.push(element)
        root ??= element
        open.push(element)
        break
      }
      case "EndElement":
        open.pop()
        break
      case "Text": {
        const { children } = parent!
        const last = children.length - 1
        if (typeof children[last] === "string") children[last] += event.text
        else children.push(event.text)
        break
      }
    }
  }
  return root ?? new XmlProblem({ problem: "it has no element" })
}

const resolve = ({ attributes, name }: Xml.StartElement, outer: Scope): Open | XmlProblem => {
  const written = Object.entries(attributes)
  const declared = written.filter(([name]) => isDeclaration(name))
  let scope = outer
  if (declared.length > 0) {
    const inner = Object.assign(Object.create(null) as Record<string, string>, outer)
    for (const [name, value] of declared) inner[name.slice(6)] = value
    if (Object.keys(inner).length > maxNamespaces) {
      return new XmlProblem({ problem: `it has more than ${maxNamespaces} namespaces in one place` })
    }
    scope = inner
  }
  const named = (name: string, isAttribute: boolean) => {
    const colon = name.indexOf(":")
    const prefix = colon < 0 ? "" : name.slice(0, colon)
    // An attribute without a prefix is in no namespace (Namespaces in XML 1.0, section 6.2).
    const namespace = isAttribute && prefix === "" ? "" : scope[prefix]
    return namespace === undefined ? undefined : { name: name.slice(colon + 1), namespace, prefix }
  }
  const unbound = (name: string) => new XmlProblem({ problem: `the prefix of ${name.slice(0, 64)} is not declared` })
  const own = named(name, false)
  if (own === undefined) return unbound(name)
  const resolved: Array<Attribute> = []
  const seen = new Set<string>()
  for (const [name, value] of written) {
    if (isDeclaration(name)) continue
    const attribute = named(name, true)
    if (attribute === undefined) return unbound(name)
    // Namespaces in XML 1.0, section 6.3.
    const expanded = `${attribute.namespace} ${attribute.name}`
    if (seen.has(expanded)) {
      return new XmlProblem({ problem: `the attribute ${attribute.name.slice(0, 64)} stands twice in an element` })
    }
    seen.add(expanded)
    resolved.push({ ...attribute, value })
  }
  return { ...own, written: name, attributes: resolved, scope, children: [] }
}

/** What an element may have beside its children. */
interface Parts {
  /** None by default: the name is in the default namespace. */
  readonly prefix?: string
  readonly attributes?: ReadonlyArray<Attribute>
  /** What is declared on it beside its own namespace. */
  readonly scope?: Scope
}

/** An element to be written. */
export const element = (
  namespace: string,
  name: string,
  children: ReadonlyArray<Element | string> = [],
  { attributes = [], prefix = "", scope = {} }: Parts = {}
): Element => ({ name, namespace, prefix, attributes, scope: { ...scope, [prefix]: namespace }, children })

export const attribute = (name: string, value: string, prefix = "", namespace = ""): Attribute => ({
  name,
  namespace,
  prefix,
  value
})

/**
 * Writes a document, or a part of one. What XML has no way to write (most control characters, lone surrogates) becomes U+FFFD:
 * `isWritable` tells of a text that has such.
 */
export const print = (root: Element): string => printIn(root, noScope)

const printIn = (element: Element, outer: Scope): string => {
  const name = element.prefix === "" ? element.name : `${element.prefix}:${element.name}`
  let tag = `<${name}`
  for (const { name, prefix, value } of element.attributes) {
    tag += ` ${prefix === "" ? name : `${prefix}:${name}`}="${escapeAttribute(value)}"`
  }
  const scope: Record<string, string> = Object.assign(Object.create(null), outer)
  for (const [prefix, namespace] of Object.entries(element.scope)) {
    if (outer[prefix] === namespace) continue
    scope[prefix] = namespace
    tag += ` xmlns${prefix === "" ? "" : `:${prefix}`}="${escapeAttribute(namespace)}"`
  }
  if (element.children.length === 0) return `${tag}></${name}>`
  let content = ""
  for (const child of element.children) content += typeof child === "string" ? escape(child) : printIn(child, scope)
  return `${tag}>${content}</${name}>`
}

// oxlint-disable-next-line no-control-regex
const unwritable = /[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g

/** Whether XML 1.0 can write a text as it is (section 2.2). */
export const isWritable = (text: string): boolean => text.isWellFormed() && text.search(unwritable) < 0

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "\"": "&quot;",
  "\r": "&#xD;"
}

const escape = (text: string): string =>
  text.toWellFormed().replace(unwritable, "\ufffd").replace(/[&<>"\r]/g, (character) => escapes[character]!)

/** In an attribute a reader makes a blank of these (XML 1.0, section 3.3.3). */
const escapeAttribute = (text: string): string =>
  escape(text).replace(/[\t\n]/g, (character) => character === "\t" ? "&#x9;" : "&#xA;")

/** The text directly within an element. */
export const textOf = (element: Element): string =>
  element.children.filter((child) => typeof child === "string").join("")

/** The elements directly within one. */
export const elementsOf = (element: Element): ReadonlyArray<Element> =>
  element.children.filter((child) => typeof child !== "string")

/** The first child of a name, in the namespace of its parent unless one is given. */
export const childOf = (parent: Element, name: string, namespace = parent.namespace): Element | undefined =>
  elementsOf(parent).find((child) => child.name === name && child.namespace === namespace)

/** The text of a child; undefined where there is none. */
export const childTextOf = (parent: Element, name: string): string | undefined => {
  const child = childOf(parent, name)
  return child === undefined ? undefined : textOf(child)
}

/** The value of an attribute; undefined where there is none. */
export const attributeOf = (element: Element, name: string, namespace = ""): string | undefined =>
  element.attributes.find((each) => each.name === name && each.namespace === namespace)?.value

/** The type that an element says to be of (`i:type`), without its prefix, and the namespace of that. */
export const typeOf = (element: Element): { readonly name: string; readonly namespace: string } | undefined => {
  const value = attributeOf(element, "type", instance)?.trim()
  if (value === undefined) return undefined
  const colon = value.indexOf(":")
  const namespace = element.scope[colon < 0 ? "" : value.slice(0, colon)] ?? ""
  return { name: value.slice(colon + 1), namespace }
}

/** Whether it is said of an element that it has no value. */
export const isNil = (element: Element): boolean => attributeOf(element, "nil", instance) === "true"

/** An entry of Atom: what an entity is in the management API. Times are texts of RFC 3339. */
export interface Entry {
  readonly id?: string | undefined
  readonly title?: string | undefined
  readonly published?: string | undefined
  readonly updated?: string | undefined
  /** The name of the namespace, in entries of what is not within a topic. */
  readonly author?: string | undefined
  /** The link to itself. */
  readonly self?: string | undefined
  /** The description. */
  readonly content?: Element | undefined
}

/** A page of entries. */
export interface Feed {
  readonly id?: string | undefined
  readonly title?: string | undefined
  readonly updated?: string | undefined
  readonly self?: string | undefined
  /** The link to the page after it. */
  readonly next?: string | undefined
  readonly entries: ReadonlyArray<Entry>
}

/** What a document is: an entry, a feed, or neither. */
export const envelopeOf = (
  root: Element
): ({ readonly _tag: "Entry" } & Entry) | ({ readonly _tag: "Feed" } & Feed) | undefined => {
  if (root.namespace !== atom) return undefined
  switch (root.name) {
    case "entry":
      return { _tag: "Entry", ...entryOf(root) }
    case "feed":
      return {
        _tag: "Feed",
        id: childTextOf(root, "id"),
        title: childTextOf(root, "title"),
        updated: childTextOf(root, "updated"),
        self: linkOf(root, "self"),
        next: linkOf(root, "next"),
        entries: elementsOf(root).filter((child) => child.namespace === atom && child.name === "entry").map(entryOf)
      }
    default:
      return undefined
  }
}

const entryOf = (root: Element): Entry => {
  const author = childOf(root, "author")
  const content = childOf(root, "content")
  return {
    id: childTextOf(root, "id"),
    title: childTextOf(root, "title"),
    published: childTextOf(root, "published"),
    updated: childTextOf(root, "updated"),
    author: author === undefined ? undefined : childTextOf(author, "name"),
    self: linkOf(root, "self"),
    content: content === undefined ? undefined : elementsOf(content)[0]
  }
}

const linkOf = (root: Element, rel: string): string | undefined => {
  const link = elementsOf(root).find((child) => child.name === "link" && attributeOf(child, "rel") === rel)
  return link === undefined ? undefined : attributeOf(link, "href")
}

const textElement = (name: string, text: string | undefined, attributes: ReadonlyArray<Attribute> = []) =>
  text === undefined ? [] : [element(atom, name, text === "" ? [] : [text], { attributes })]

const linkElement = (rel: string, href: string | undefined) =>
  href === undefined
    ? []
    : [element(atom, "link", [], { attributes: [attribute("rel", rel), attribute("href", href)] })]

const isText = [attribute("type", "text")]

/** The element of an entry; `base` is the id of the feed that it stands in. */
export const entryElement = (entry: Entry, base?: string): Element =>
  element(atom, "entry", [
    ...textElement("id", entry.id),
    ...textElement("title", entry.title, isText),
    ...textElement("published", entry.published),
    ...textElement("updated", entry.updated),
    ...(entry.author === undefined ? [] : [element(atom, "author", textElement("name", entry.author))]),
    ...linkElement("self", entry.self),
    ...(entry.content === undefined
      ? []
      : [element(atom, "content", [entry.content], { attributes: [attribute("type", "application/xml")] })])
  ], { attributes: base === undefined ? [] : [attribute("base", base, "xml", xml)] })

/** The element of a feed, as the service writes it. */
export const feedElement = (feed: Feed): Element =>
  element(atom, "feed", [
    ...textElement("title", feed.title, isText),
    ...textElement("id", feed.id),
    ...textElement("updated", feed.updated),
    ...linkElement("self", feed.self),
    ...linkElement("next", feed.next),
    ...feed.entries.map((entry) => entryElement(entry, feed.id))
  ])

/** What the service says of a refusal. */
export interface Refusal {
  readonly code: number | undefined
  readonly detail: string
}

/** The refusal that a document is; undefined where it is none. */
export const refusalOf = (root: Element): Refusal | undefined => {
  if (root.name !== "Error") return undefined
  const code = Number(childTextOf(root, "Code"))
  return { code: Number.isInteger(code) ? code : undefined, detail: childTextOf(root, "Detail") ?? "" }
}

/** The element of a refusal. */
export const refusalElement = ({ code, detail }: Refusal): Element =>
  element("", "Error", [
    ...(code === undefined ? [] : [element("", "Code", [String(code)])]),
    element("", "Detail", [detail])
  ])
