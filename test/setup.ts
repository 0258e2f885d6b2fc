/** What holds in every test file: equality of Effect's values, and that the file leaves the process as it found it. */
import { addEqualityTesters, assert } from "@effect/vitest"
import * as tls from "node:tls"
import { afterAll } from "vitest"

addEqualityTesters()

// The files of a worker share one process. Node leaves this limit at zero where an argument of its own functions is a value
// that it cannot print, and what reads stack traces later is wrong.
const stackTraceLimit = Error.stackTraceLimit
/** One that NODE_EXTRA_CA_CERTS names again is there twice, in another form, until the list is set. */
const countAuthorities = (): number =>
  new Set(tls.getCACertificates("default").map((pem) => pem.replace(/\s|-----[A-Z ]+-----/g, ""))).size
const authorities = countAuthorities()

afterAll(() => {
  const left = Error.stackTraceLimit
  Error.stackTraceLimit = stackTraceLimit
  assert.strictEqual(left, stackTraceLimit, "Error.stackTraceLimit at the end of the file")
  assert.strictEqual(countAuthorities(), authorities, "authorities at the end of the file")
})
