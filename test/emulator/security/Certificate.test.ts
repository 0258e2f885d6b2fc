/**
 * The certificate that a broker signs for itself, as the TLS of Node, which is OpenSSL, takes it.
 */
import { Effect } from "effect"
import { once } from "node:events"
import * as tls from "node:tls"
import { selfSigned } from "../../../src/emulator/security/Certificate.ts"
import { assert, describe, it } from "../../support/vitest.ts"

const listen = (certificate: { readonly cert: string; readonly key: string }) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = tls.createServer({ ...certificate }, (socket) => socket.end("here"))
      server.listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) => Effect.promise(() => new Promise((resolve) => server.close(resolve)))
  )

const connect = (server: tls.Server, ca: ReadonlyArray<string>) =>
  Effect.promise(() =>
    new Promise<string>((resolve) => {
      const { port } = server.address() as { readonly port: number }
      const socket = tls.connect({ port, host: "127.0.0.1", servername: "localhost", ca: [...ca] })
      socket.once("data", (data) => resolve(data.toString()))
      socket.once("error", (error) => resolve(error.message))
    })
  )

describe("the certificates of several brokers", () => {
  it.live("are each found by a client that trusts them all", () =>
    Effect.gen(function*() {
      const certificates = [selfSigned(), selfSigned(), selfSigned()]
      const ca = certificates.map(({ cert }) => cert)
      for (const certificate of certificates) {
        assert.strictEqual(yield* connect(yield* listen(certificate), ca), "here")
      }
      assert.include(yield* connect(yield* listen(selfSigned()), ca), "self-signed certificate")
    }))
})
