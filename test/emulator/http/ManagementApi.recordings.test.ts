/**
 * The broker's answers beside the service's own: each recording is asked again, in order, of a broker that is empty, and each
 * answer is compared: status, what the broker has of the headers, and all elements in their order. Times, hosts and ids are not:
 * they are of the day.
 */
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as AtomXml from "../../../src/internal/administration/AtomXml.ts"
import { managementApi } from "../../support/managementApi.ts"
import * as Recordings from "../../support/recordings.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const host = "servicebustestsbname.servicebus.windows.net"

/** What is of the day, or of the namespace, is replaced. */
const normal = (text: string): string =>
  text
    .replace(/servicebustest\w+/g, "NAMESPACE")
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z?/g, (time) => time.startsWith("0001") ? "NEVER" : "TIME")
    .replace(/uuid:[\w-]+;id=\d+/g, "ID")
    .replace(/TrackingId:[\w-]+/g, "TrackingId:ID")
    // What is wrong with a token is told beside the service's words.
    .replace(/(token is invalid\.).*? (?=TrackingId)/, "$1 ")

/** What the broker does not say, or not there. */
const isLeftOut = (element: AtomXml.Element): boolean =>
  // It is not kept, and changes nothing.
  element.name === "RequiresPreprocessing" ||
  // In answers to GET the service has an empty one.
  element.name === "Parameters" && element.children.length === 0

const lines = (element: AtomXml.Element, indent = ""): ReadonlyArray<string> => {
  const attributes = element.attributes.map(({ name, value }) => ` ${name}=${normal(value)}`).join("")
  const elements = AtomXml.elementsOf(element)
  const text = elements.length > 0 ? "" : ` ${normal(AtomXml.textOf(element))}`
  return [
    `${indent}${element.namespace.split("/").at(-1)}:${element.name}${attributes}${text}`,
    ...elements.filter((child) => !isLeftOut(child)).flatMap((child) => lines(child, `${indent}  `))
  ]
}

/** Those of `some` that are not in `all`, in their order. */
const missing = (some: ReadonlyArray<string>, all: ReadonlyArray<string>): ReadonlyArray<string> => {
  let at = 0
  return some.filter((each) => {
    const found = all.indexOf(each, at)
    if (found >= 0) at = found + 1
    return found < 0
  })
}

const said = (body: string) => body === "" ? Effect.succeed([]) : Effect.map(AtomXml.parse(body), (root) => lines(root))

/**
 * The service took a queue that forwards to itself, and a subscription that forwards to its topic, which Microsoft's clients do
 * not ask for: the element stood where what it says has no effect.
 */
const forwardsToItself = new Set([
  "queue_update_success 10",
  "queue_update_dict_success 5",
  "subscription_update_success 9",
  "subscription_update_dict_success 8"
])

// They are no part of the repository.
describe.runIf(Recordings.arePresent)("a recording of the service", () => {
  for (const [name, exchanges] of Recordings.arePresent ? Recordings.recordings() : []) {
    it.effect(`is answered alike: ${name}`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(Date.UTC(2021, 3, 19))
        const ask = yield* managementApi(host)
        for (const exchange of exchanges) {
          yield* TestClock.adjust("1 second")
          const { pathname, search } = new URL(exchange.url)
          const answer = yield* ask(exchange.method, `${pathname}${search}`, exchange.requestBody, {
            ...(exchange.requestHeaders["If-Match"] === undefined ? {} : { "if-match": "*" }),
            ...(exchange.status === 401 ? { authorization: "SharedAccessSignature sr=x&sig=y&se=1&skn=z" } : {})
          })
          if (forwardsToItself.has(exchange.name)) {
            assert.strictEqual(answer.status, 400)
            assert.match(answer.body, /auto-forwarding policy to itself|would come back to it/)
            return
          }
          const what = `${exchange.name}: ${exchange.method} ${pathname}`
          assert.strictEqual(answer.status, exchange.status, what)
          for (const header of ["content-type", "server"]) {
            assert.strictEqual(answer.headers[header], exchange.headers[header]?.[0], `${what} ${header}`)
          }
          assert.strictEqual(answer.headers["etag"] !== undefined, exchange.headers["etag"] !== undefined, what)
          const [ours, theirs] = [yield* said(answer.body), yield* said(exchange.body)]
          // To an update the service says again what it was told; the broker says all that there is.
          if (exchange.requestHeaders["If-Match"] === undefined) assert.deepStrictEqual(ours, theirs, what)
          else assert.deepStrictEqual(missing(theirs, ours), [], what)
        }
      }).pipe(Effect.scoped))
  }
})
