/** The files of the page: who gets them, with which headers, and what is in them. */
import { Effect } from "effect"
import * as Emulator from "effect-service-bus/emulator"
import { HttpClientRequest } from "effect/http"
import { readdirSync, readFileSync } from "node:fs"
import * as MessageRoutes from "../../../src/emulator/control/MessageRoutes.ts"
import * as PageFile from "../../../src/emulator/page/PageFile.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const get = Effect.fnUntraced(function*(path: string, headers: Record<string, string> = {}) {
  const { httpClient } = yield* Emulator.Emulator
  const response = yield* Effect.orDie(
    httpClient.execute(HttpClientRequest.get(`http://localhost${path}`, { headers }))
  )
  return { status: response.status, headers: response.headers, text: yield* Effect.orDie(response.text) }
})

const html = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" }

const broker = Emulator.layer({ entities: [] })

const folder = new URL("../../../src/emulator/page/client/", import.meta.url)

const files = readdirSync(folder).filter((name) => /\.(js|html|css|svg)$/.test(name))

describe("the page", () => {
  it.effect("is at the root for browsers, without a key, and the feed of administration is for others", () =>
    Effect.gen(function*() {
      const page = yield* get("/", html)
      assert.strictEqual(page.status, 200)
      assert.match(page.headers["content-type"]!, /^text\/html/)
      assert.match(page.text, /<script type="module" src="\/\$page\/main\.js">/)
      const feed = yield* get("/", { accept: "application/atom+xml" })
      assert.match(feed.headers["content-type"]!, /atom\+xml/)
    }).pipe(Effect.provide(broker)))

  it("leaves out of a message that is sent again what the broker does", async () => {
    const { notSentAgain, ofDeath } = await import(new URL("resending.js", folder).href)
    assert.deepStrictEqual(ofDeath, MessageRoutes.ofDeath)
    assert.deepStrictEqual(notSentAgain, MessageRoutes.notSentAgain)
  })

  it.effect("has all that it names, runs no script but its own files, and is framed by nobody", () =>
    Effect.gen(function*() {
      for (const path of ["/", ...files.map((name) => `/$page/${name}`)]) {
        const { headers, status } = yield* get(path, html)
        assert.strictEqual(status, 200, path)
        assert.strictEqual(
          headers["content-security-policy"],
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
            "form-action 'none'; frame-ancestors 'none'; base-uri 'none'; trusted-types 'none'; " +
            "require-trusted-types-for 'script'"
        )
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.strictEqual(headers["referrer-policy"], "no-referrer")
        assert.strictEqual(headers["cache-control"], "no-store")
      }
      for (const path of ["/$page/", "/$page/none.js", "/$page/tsconfig.json"]) {
        assert.strictEqual((yield* get(path)).status, 404, path)
      }
      for (const target of ["/$page/../cli.ts", "/$page/%2e%2e/PageText.ts", "/$page/./main.js", "//main.js"]) {
        assert.strictEqual(
          PageFile.answer({ method: "GET", target, headers: {}, body: "", isSecure: false }).status,
          404,
          target
        )
      }
    }).pipe(Effect.provide(broker)))

  it("makes no markup of what it is given, and asks nobody else", () => {
    assert.isAbove(files.length, 8)
    for (const name of files) {
      const text = readFileSync(new URL(name, folder), "utf8")
      if (name.endsWith(".js")) {
        assert.notMatch(
          text,
          /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc|DOMParser/,
          name
        )
        assert.notMatch(text, /localStorage|document\.cookie/, name)
      }
      if (name.endsWith(".html")) assert.notMatch(text, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/, name)
      assert.notMatch(text.replaceAll("http://www.w3.org/2000/svg", ""), /https?:\/\/|@import|url\(/, name)
    }
  })

  it("has nothing that no part of it uses", () => {
    const scripts = new Map(
      files.filter((name) => name.endsWith(".js")).map((name) => [name, readFileSync(new URL(name, folder), "utf8")])
    )
    const unused = Array.from(
      scripts,
      ([name, text]) =>
        Array.from(text.matchAll(/^export (?:const|let|class|function) (\w+)/gm), ([, exported]) => exported!)
          .filter((exported) =>
            ![...scripts].some(([other, text]) => other !== name && new RegExp(`\\b${exported}\\b`).test(text))
          )
          .map((exported) => `${name} exports ${exported}, which no other file imports`)
    ).flat()
    const styles = readFileSync(new URL("page.css", folder), "utf8").replaceAll(/\/\*[^]*?\*\/|\{[^{}]*\}/g, " ")
    const all = [...scripts.values()].join("\n")
    const isSaid = (name: string) => new RegExp(`["' \`]${name}["' \`]`).test(all)
    /** A class that is made of a name, such as `of-${name}`. */
    const isMade = (style: string) => {
      const [, beginning, name] = /^([a-z]+-)(\w+)$/.exec(style) ?? []
      return name !== undefined && all.includes(`${beginning}\${`) && new RegExp(`\\b${name}:`).test(all)
    }
    for (const [, style] of styles.matchAll(/\.([a-z][\w-]*)/g)) {
      if (!isSaid(style!) && !isMade(style!)) unused.push(`page.css has .${style}, which nothing has`)
    }
    assert.strictEqual(unused.join("\n"), "")
  })
})
