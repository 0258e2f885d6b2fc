/** What the process trusts: for the official client, which has no option for an authority over plain TLS. */
import * as tls from "node:tls"
import { afterAll } from "vitest"

/** Has the process trust a certificate until the tests of the file are over: the files of a worker share it. */
export const trust = (certificate: string): void => {
  const before = tls.getCACertificates("default")
  tls.setDefaultCACertificates([...before, certificate])
  afterAll(() => {
    tls.setDefaultCACertificates(before)
  })
}
