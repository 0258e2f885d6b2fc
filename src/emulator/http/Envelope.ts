/**
 * The envelopes of Atom around what the management API answers: entries, pages of lists, and the addresses in them, which
 * repeat those that were asked for. Clients read names out of them.
 */
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import * as AtomXml from "../../internal/administration/AtomXml.ts"
import * as Condition from "./HttpCondition.ts"
import { type HttpAnswer, server } from "./HttpMessage.ts"
import * as Resource from "./Resource.ts"

/** A request, as far as an envelope repeats it. */
export interface Asked {
  readonly method: string
  readonly resource: Resource.Resource
  readonly scheme: "http" | "https"
  /** Host and port, as the client dialled them. */
  readonly authority: string
  readonly apiVersion: string
  /** The condition of an update; undefined where it is none. */
  readonly ifMatch: string | undefined
  /** Milliseconds. */
  readonly now: number
}

const withEtag = (etag: string | undefined) => etag === undefined ? {} : { etag }

/** A path as it stands in a URL. */
const encoded = (path: string): string => encodeURI(path).replace(/[?#]/g, encodeURIComponent)

/** A time of an envelope, which has no parts of a second. */
export const secondsOf = (time: number | DateTime.Utc): string =>
  `${new Date(typeof time === "number" ? time : DateTime.toEpochMillis(time)).toISOString().slice(0, 19)}Z`

/** A path as it stands in an entry of a list. */
export const relative = ({ apiVersion }: Asked, path: string): string =>
  `${encoded(path)}?api-version=${encodeURIComponent(apiVersion)}`

/** The relative address of what is in the list that a request is for. */
export const belowOf = (asked: Asked, name: string): string =>
  relative(asked, `${asked.resource.path.slice(asked.resource.path.lastIndexOf("/") + 1)}/${name}`)

/** The address of another path. */
export const addressOf = (asked: Asked, path: string): string =>
  `${asked.scheme}://${asked.authority}/${relative(asked, path)}`

/** The address of a request; what is within a topic is read under another scheme. */
export const selfOf = ({ authority, resource: { path, search }, scheme }: Asked, isReadWithin = false): string =>
  `${isReadWithin ? "sb" : scheme}://${authority}/${encoded(path)}${search === "" ? "" : `?${search}`}`

/** The answer that is an entry. */
export const entry = (content: AtomXml.Entry, status: 200 | 201, etag: string | undefined): HttpAnswer => ({
  status,
  headers: { ...server, "content-type": "application/atom+xml;type=entry;charset=utf-8", ...withEtag(etag) },
  body: AtomXml.print(AtomXml.entryElement(content))
})

/** The answer to a deletion. */
export const empty = (etag: string): HttpAnswer => ({ status: 200, headers: { ...server, etag }, body: "" })

const feedAnswer = (body: string, etag?: string): HttpAnswer => ({
  status: 200,
  headers: { ...server, "content-type": "application/atom+xml;type=feed;charset=utf-8", ...withEtag(etag) },
  body
})

/** A number of a query; undefined where it is none. */
const countOf = (text: string | undefined, otherwise: number): number | undefined =>
  text === undefined ? otherwise : /^\d{1,15}$/.test(text) ? Number(text) : undefined

/**
 * The answer that is a page of a list: up to `$top` entries after `$skip`, and the address of the next page where this one is
 * full. Where all fits into it there is no entry on the next one.
 */
export const page = <A>(
  asked: Asked,
  title: string,
  all: ReadonlyArray<A>,
  entryOf: (each: A) => AtomXml.Entry,
  etag?: string
): Condition.Outcome => {
  const { apiVersion, authority, now, resource, scheme } = asked
  const skip = countOf(Resource.parameterOf(resource, "$skip"), 0)
  if (skip === undefined) return Result.fail(Condition.paging("skip"))
  const top = countOf(Resource.parameterOf(resource, "$top"), 100)
  if (top === undefined) return Result.fail(Condition.paging("top"))
  const self = selfOf(asked)
  const entries = all.slice(skip, skip + top)
  const next = `%24skip=${skip + top}&%24top=${top}&api-version=${encodeURIComponent(apiVersion)}`
  return Result.succeed(feedAnswer(
    AtomXml.print(AtomXml.feedElement({
      title,
      id: self,
      updated: secondsOf(now),
      self,
      next: top > 0 && entries.length === top
        ? `${scheme}://${authority}/${encoded(resource.path)}?${next}`
        : undefined,
      entries: entries.map(entryOf)
    })),
    etag
  ))
}

/** What the service answers to a GET of what is not there. */
export const nothing = (now: number): HttpAnswer => {
  const text = (name: string, content: string, type?: string) =>
    AtomXml.element(AtomXml.atom, name, [content], {
      attributes: type === undefined ? [] : [AtomXml.attribute("type", type)]
    })
  return feedAnswer(AtomXml.print(AtomXml.element(AtomXml.atom, "feed", [
    text("title", "Publicly Listed Services", "text"),
    text("subtitle", "This is the list of publicly-listed services currently available.", "text"),
    text("id", `uuid:${randomUUID()};id=1`),
    text("updated", secondsOf(now)),
    text("generator", "Service Bus 1.1")
  ])))
}
