/**
 * The files of the page, as they are answered: the page itself at the root, what it is made of in a folder of its own.
 *
 * Nothing of the page may run that is not one of these files, nothing may be loaded from elsewhere or frame it: a body of a
 * message that is shown stays a text, whatever stands in it.
 */
import type { HttpAnswer, HttpRequest } from "../http/HttpMessage.ts"
import { texts } from "./PageText.ts"

const types: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml"
}

const headers = {
  "content-security-policy": [
    "default-src 'none'",
    ...["script-src", "style-src", "connect-src", "img-src"].map((name) => `${name} 'self'`),
    ...["form-action", "frame-ancestors", "base-uri", "trusted-types"].map((name) => `${name} 'none'`),
    // No text becomes markup, whatever the page does with it.
    "require-trusted-types-for 'script'"
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  // The next broker at this port may be another version.
  "cache-control": "no-store"
}

/** Answers a request for a file. */
export const answer = ({ target }: HttpRequest): HttpAnswer => {
  const path = target.replace(/[?#].*$/s, "")
  const name = path === "/" ? "index.html" : path.slice(path.lastIndexOf("/") + 1)
  const text = path === "/" || path === `/$page/${name}` ? texts().get(name) : undefined
  return text === undefined
    ? { status: 404, headers: { ...headers, "content-type": "text/plain" }, body: "The page has no such file.\n" }
    : { status: 200, headers: { ...headers, "content-type": types[name.replace(/^.*\./, "")]! }, body: text }
}
