/** What the command refuses before anything listens: each flag by its name, and what to give. */
import { Duration, Effect, Redacted } from "effect"
import * as CommandLine from "../../src/emulator/CommandLine.ts"
import { failsWith } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const queue = ["emulator", "--queue", "orders"]
const secured = [...queue, "--tls-port", "0"]

const refused: ReadonlyArray<readonly [args: ReadonlyArray<string>, problem: RegExp]> = [
  [["broker"], /^"broker" is no command: the only one is "emulator"; see --help$/],
  [["emulator", "now"], /^"now" is no command/],
  [[...queue, "--nope"], /^Unknown option '--nope'; see --help$/],
  [[...queue, "--host"], /--host <value>' argument missing; see --help$/],
  [[...queue, "--help=5"], /'--help' does not take an argument; see --help$/],
  [[...queue, "--port", "-5"], /^--port has no value; one that begins with a dash is written --port=VALUE$/],
  [[...queue, "--port", "67a"], /^--port must be an integer from 0 to 65535, not "67a"$/],
  [[...queue, "--port", ""], /^--port must be an integer/],
  [[...queue, "--tls-port", "70000"], /^--tls-port must be an integer from 0 to 65535/],
  [[...queue, "--admin-port", "-1"], /^--admin-port has no value/],
  [[...queue, "--https-port", "70000"], /^--https-port must be an integer from 0 to 65535/],
  [[...queue, "--websocket-port", "1.5"], /^--websocket-port must be an integer from 0 to 65535/],
  [[...queue, "--port", "1", "--port", "2"], /^--port is given twice/],
  [[...queue, "--lock-duration", "301"], /^--lock-duration must be a number from 1 to 300/],
  [[...queue, "--max-delivery-count", "0"], /^--max-delivery-count must be an integer from 1 to 2000/],
  [[...queue, "--max-connections", "0"], /^--max-connections must be an integer from 1 to 9007199254740991, not "0"$/],
  [[...queue, "--max-connections", "9".repeat(26)], /^--max-connections must be an integer from 1 to 9007199254740991/],
  [[...queue, "--max-handshakes", "many"], /^--max-handshakes must be an integer from 1 to 9007199254740991/],
  [[...queue, "--subscription", "news"], /^--subscription is TOPIC\/NAME, not "news"$/],
  [[...queue, "--session-subscription", "news"], /^--session-subscription is TOPIC\/NAME/],
  [[...queue, "--cert", "a.pem"], /^a certificate is for --tls-port, --websocket-port and --https-port/],
  [[...queue, "--write-cert", "a.pem"], /^a certificate is for --tls-port, --websocket-port and --https-port/],
  [[...secured, "--cert", "a.pem"], /^give --cert and --cert-key together$/],
  [[...secured, "--cert-key", "a.pem"], /^give --cert and --cert-key together$/],
  [[...secured, "--cert", "a.pem", "--cert-key", "b.pem", "--write-cert", "c.pem"], /^give either --cert/],
  [[...secured, "--cert", "no such file", "--cert-key", "b.pem"], /^--cert: "no such file" cannot be read \(ENOENT/],
  [
    [...secured, "--cert", import.meta.filename, "--cert-key", import.meta.filename],
    /^--cert and --cert-key: the certificate and its key are not usable \(/
  ],
  [
    [...queue, "--key", "a;b"],
    /^--key must be 1 to 256 characters, without semicolons and without spaces at its ends$/
  ],
  [[...queue, "--key="], /^--key must be 1 to 256 characters/]
]

describe("the command line", () => {
  for (const [args, problem] of refused) {
    it.effect(`refuses ${args.join(" ")}`, () =>
      Effect.gen(function*() {
        assert.match((yield* failsWith("EmulatorError")(CommandLine.read(args))).problem, problem)
      }))
  }

  it.effect("is the options of a broker", () =>
    Effect.gen(function*() {
      const read = yield* CommandLine.read([
        ...[...secured, "--topic", "NEWS", "--subscription", "news/all", "--session-queue", "carts", "--key", "=a"],
        ...["--lock-duration", "1.5", "--session-subscription", "prices/carts", "--max-connections", "3"]
      ])
      if (read._tag === "Help") return assert.fail("no help was asked for")
      const options = { lockDuration: Duration.millis(1500), maxDeliveryCount: undefined }
      assert.deepStrictEqual(read.names, ["orders", "carts", "news", "prices", "news/all", "prices/carts"])
      assert.deepStrictEqual(read.server.entities, [
        { name: "orders", options: { ...options, requiresSession: false } },
        { name: "carts", options: { ...options, requiresSession: true } },
        { kind: "topic", name: "news" },
        { kind: "topic", name: "prices" },
        { kind: "subscription", topic: "news", name: "all", options: { ...options, requiresSession: false } },
        { kind: "subscription", topic: "prices", name: "carts", options: { ...options, requiresSession: true } }
      ])
      const { host, key, maxConnections, port, tlsPort, webSocketPort } = read.server
      assert.deepStrictEqual([host, port, tlsPort, webSocketPort, maxConnections], ["127.0.0.1", 5672, 0, undefined, 3])
      const ports = (...args: ReadonlyArray<string>) =>
        Effect.map(CommandLine.read(["emulator", ...args]), (read) =>
          read._tag === "Help" ? [] : [read.server.port, read.server.httpPort, read.server.httpsPort])
      assert.deepStrictEqual(yield* ports(), [5672, 5300, undefined])
      assert.deepStrictEqual(yield* ports("--port", "0"), [0, 0, undefined])
      assert.deepStrictEqual(yield* ports("--port", "0", "--admin-port", "5301", "--https-port", "443"), [0, 5301, 443])
      assert.strictEqual(Redacted.value(key!), "=a")
      assert.notInclude(String(key), "=a")
    }))
})
