import * as Effect from "effect/Effect"
import * as AtomXml from "../../src/internal/administration/AtomXml.ts"
import * as Recordings from "../support/recordings.ts"
import { assert, describe, it } from "../support/vitest.ts"

const { atom, connect, element, instance, parse, print } = AtomXml

/** A tree by its resolved names: prefixes and what is in scope are how it is written. */
const meaning = (node: AtomXml.Element): unknown => ({
  name: node.name,
  namespace: node.namespace,
  attributes: node.attributes.map(({ name, namespace, value }) => ({ name, namespace, value })),
  type: AtomXml.typeOf(node),
  children: node.children.map((child) => typeof child === "string" ? child : meaning(child))
})

describe("AtomXml", () => {
  it.effect("resolves names, whatever the prefixes", () =>
    Effect.gen(function*() {
      const root = yield* parse(
        `<?xml version='1.0' encoding='utf-8'?>\n<ns0:entry xmlns:ns0="${atom}" xmlns="${connect}"><ns0:content a="1">` +
          `<Rule x:type="y:int" xmlns:x="${instance}" xmlns:y="urn:y">5 &lt;&#x26;<![CDATA[<]]></Rule></ns0:content></ns0:entry>`
      )
      assert.deepStrictEqual([root.name, root.namespace], ["entry", atom])
      const content = AtomXml.childOf(root, "content")!
      assert.strictEqual(AtomXml.attributeOf(content, "a"), "1")
      const [rule] = AtomXml.elementsOf(content)
      assert.strictEqual(rule!.namespace, connect)
      assert.deepStrictEqual(AtomXml.typeOf(rule!), { name: "int", namespace: "urn:y" })
      assert.strictEqual(AtomXml.textOf(rule!), "5 <&<")
      // A part that is written elsewhere takes along what its values are named by.
      assert.deepStrictEqual(meaning(yield* parse(print(rule!))), meaning(rule!))
    }))

  it.effect("a prefix that a child declares anew is the child's", () =>
    Effect.gen(function*() {
      const text = `<p:a xmlns:p="urn:1"><p:a xmlns:p="urn:2"></p:a><a xmlns=""></a><p:b></p:b></p:a>`
      const root = yield* parse(text)
      assert.deepStrictEqual(AtomXml.elementsOf(root).map((child) => child.namespace), ["urn:2", "", "urn:1"])
      assert.deepStrictEqual(meaning(yield* parse(print(root))), meaning(root))
    }))

  it.effect("refuses what is not XML, what is bounded, and a DOCTYPE", () =>
    Effect.gen(function*() {
      const deep = (depth: number) => "<a>".repeat(depth) + "</a>".repeat(depth)
      const cases: ReadonlyArray<readonly [string | Uint8Array, RegExp]> = [
        ["", /empty/],
        [new Uint8Array(0), /empty/],
        ["  ", /root/],
        ["{\"a\": 1}", /root/],
        ["<a>", /unclosed/],
        ["<a></b>", /does not match/],
        ["<a/><b/>", /root/],
        [new Uint8Array([0x3c, 0x61, 0xff, 0x2f, 0x3e]), /UTF-8/],
        ["<!DOCTYPE a><a/>", /DOCTYPE/],
        ["<!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>", /entit|DOCTYPE/i],
        ["<p:a/>", /prefix of p:a/],
        ["<a p:b=''/>", /prefix of p:b/],
        // One name by two prefixes (Namespaces in XML 1.0, section 6.3).
        ["<a xmlns:p='urn:1' xmlns:q='urn:1' p:b='1' q:b='2'/>", /attribute b stands twice/],
        [deep(33), /depth|deep|nested/i],
        [`<a>${" ".repeat(100)}</a>`, /longer than 100/]
      ]
      for (const [document, problem] of cases) {
        const error = yield* Effect.flip(parse(document, { maxLength: 100 + 132 * Number(document.length > 200) }))
        assert.match(error.message, problem, String(document).slice(0, 60))
      }
      assert.strictEqual((yield* parse(deep(32))).name, "a")
    }))

  it.effect("refuses namespaces without number: each element that declares one has a copy of those around it", () =>
    Effect.gen(function*() {
      const declaring = (count: number) =>
        `<a ${Array.from({ length: count }, (_, index) => `xmlns:p${index}="urn:1"`).join(" ")}><b xmlns="urn:2"/></a>`
      assert.strictEqual((yield* parse(declaring(50))).name, "a")
      // It took minutes.
      const { message } = yield* Effect.flip(parse(declaring(40_000)))
      assert.strictEqual(message, "it has more than 64 namespaces in one place")
    }))

  it.effect("keeps every text that XML has, and replaces what it has not", () =>
    Effect.gen(function*() {
      const texts = ["", " ", "a\r\nb\tc", "<&>\"'", "]]>", "é 🙂 ", "\u0085\u2028", "&amp;"]
      for (const text of texts) {
        assert.isTrue(AtomXml.isWritable(text))
        const root = element("urn:a", "a", text === "" ? [] : [text], {
          attributes: [AtomXml.attribute("b", text)]
        })
        const read = yield* parse(print(root))
        assert.strictEqual(AtomXml.textOf(read), text, JSON.stringify(text))
        assert.strictEqual(AtomXml.attributeOf(read, "b"), text, JSON.stringify(text))
      }
      for (const text of ["\0", "\u0008", "\ud800", "\ufffe"]) {
        assert.isFalse(AtomXml.isWritable(text))
        assert.strictEqual(AtomXml.textOf(yield* parse(print(element("", "a", [text])))), "\ufffd")
      }
    }))

  it.effect("envelopes are read as they are written", () =>
    Effect.gen(function*() {
      const entry: AtomXml.Entry = {
        id: "https://host/a?api-version=2021-05",
        title: "a",
        published: "2021-09-28T19:01:58Z",
        updated: "2021-09-28T19:01:59Z",
        author: "host",
        self: "../a?api-version=2021-05",
        content: element(connect, "QueueDescription")
      }
      const feed: AtomXml.Feed = {
        id: "https://host/$Resources/queues?$skip=0&$top=1",
        title: "Queues",
        updated: "2021-09-28T19:01:59Z",
        self: "https://host/self",
        next: "https://host/next",
        entries: [entry, {}]
      }
      const text = print(AtomXml.feedElement(feed))
      assert.include(text, `<link rel="self" href="https://host/self"></link><link rel="next"`)
      assert.include(text, `<entry xml:base="https://host/$Resources/queues?$skip=0&amp;$top=1">`)
      const read = AtomXml.envelopeOf(yield* parse(text))
      const [first, second] = read?._tag === "Feed" ? read.entries : []
      assert.deepStrictEqual({ ...first, content: undefined }, { ...entry, content: undefined })
      assert.deepStrictEqual(meaning(first!.content!), meaning(entry.content!))
      assert.isUndefined(second!.content)
      assert.deepStrictEqual({ ...read, entries: [] }, { ...feed, _tag: "Feed", entries: [] })
      const single = AtomXml.envelopeOf(yield* parse(print(AtomXml.entryElement(entry))))
      assert.deepStrictEqual({ ...single!, content: undefined }, { ...entry, _tag: "Entry", content: undefined })
      assert.isUndefined(AtomXml.envelopeOf(yield* parse("<entry/>")))
      const refusal = { code: 409, detail: "SubCode=40900. Conflict.\r\nParameter name: a" }
      assert.deepStrictEqual(AtomXml.refusalOf(yield* parse(print(AtomXml.refusalElement(refusal)))), refusal)
      assert.isUndefined(AtomXml.refusalOf(yield* parse("<entry/>")))
    }))

  // The recordings are no part of this repository.
  it.effect.runIf(Recordings.arePresent)(
    "every recorded body survives being read and written",
    () =>
      Effect.gen(function*() {
        const bodies = [
          ...Recordings.recordings().flatMap(([, exchanges]) => exchanges).flatMap((exchange) => [
            exchange.requestBody,
            exchange.body
          ]),
          ...Recordings.dotnetRequests().map((request) => request.body)
        ].filter((body) => body !== "" && body !== null)
        assert.isAbove(bodies.length, 500)
        for (const body of bodies) {
          const root = yield* parse(body)
          assert.deepStrictEqual(meaning(yield* parse(print(root))), meaning(root), body)
        }
      })
  )
})
