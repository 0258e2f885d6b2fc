/** How a broker is made: its key, its certificate, and what it says that clients dial. */
import { Cause, Effect, Exit, Layer, Redacted } from "effect"
import {
  ConnectionString,
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusRule,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { X509Certificate } from "node:crypto"
import * as net from "node:net"
import { networkInterfaces } from "node:os"
import { inspect } from "node:util"
import { failsWith } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const entities = [Emulator.entity("orders")]
const key = "a fixed+key="
const send = Effect.scoped(
  Effect.flatMap(ServiceBusSender.make("orders"), (sender) => sender.send({ body: new Uint8Array(1) }))
)

describe("a key of one's own", () => {
  it.effect("is that of the root policy, of a broker in memory too", () =>
    Effect.gen(function*() {
      const { connectionString } = yield* Emulator.Emulator
      assert.include(
        Redacted.value(connectionString),
        `SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=${key}`
      )
      yield* send
    }).pipe(Effect.provide(Emulator.layer({ entities, key: Redacted.make(key) }))))

  it.effect("that a connection string cannot hold is refused, and is in no error", () =>
    Effect.gen(function*() {
      const wrong = ["", "sec;ret", " secret", "secret\n", "secret".repeat(50), "secret\uD800"]
      for (const each of [...wrong.map((text) => Redacted.make(text)), "secret" as never, Redacted.make(5) as never]) {
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(Emulator.layer({ entities, key: each }))))
        assert.isTrue(Exit.isFailure(exit))
        const cause = Exit.isFailure(exit) ? exit.cause : Cause.empty
        assert.include(String(Cause.squash(cause)), "key must be a Redacted")
        assert.notInclude(inspect(cause, { depth: 9 }) + Cause.pretty(cause), "sec")
      }
    }))
})

describe("a broker on ports", () => {
  const own = Object.values(networkInterfaces()).flat()
  const hosts = ["0.0.0.0"]
  if (own.some((each) => each?.address === "::1")) hosts.push("::", "::1", "::0", "::ffff:0.0.0.0")
  // An address that others reach, on a machine that has one.
  const reached = own.find((each) => each?.internal === false && each.family === "IPv4")
  if (reached !== undefined) hosts.push(reached.address)
  for (const host of hosts) {
    it.live(`that listens on ${host} names what can be dialled, in its certificate too`, () =>
      Effect.gen(function*() {
        const { certificate, connectionString } = yield* Emulator.Emulator
        const dialled = (yield* ConnectionString.parse(connectionString)).host
        assert.strictEqual(dialled, /^(::ffff:)?[0.:]+$/.test(host) ? "localhost" : host)
        yield* send
        yield* Effect.provide(send, Emulator.layerClientOver("tls"))
        const parsed = new X509Certificate(certificate!)
        assert.strictEqual(parsed.checkHost("host.docker.internal"), "host.docker.internal")
      }).pipe(
        Effect.provide(Emulator.layerClient.pipe(
          Layer.provideMerge(Emulator.layerServer({ entities, host, tlsPort: 0 }))
        ))
      ))
  }

  it.live("with a certificate that is none is refused before it opens a port", () =>
    Effect.gen(function*() {
      const taken = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const server = net.createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = taken.address() as net.AddressInfo
      for (const certificate of [{ cert: "no", key: "no" }, {}, 5]) {
        const error = yield* failsWith("EmulatorError")(Effect.scoped(
          Layer.build(Emulator.layerServer({ entities, port, tlsPort: 0, certificate: certificate as never }))
        ))
        assert.match(error.problem, /^the certificate and its key are not usable/)
      }
    }))
})

describe("rules that a broker starts with", () => {
  const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
  const starting = (rule: ServiceBusRule.Rule) =>
    Effect.scoped(Layer.build(Emulator.layer({
      entities: [
        Emulator.entity(News),
        Emulator.entity(ServiceBusEntity.subscription(News, "sport"), { rules: [rule] })
      ]
    })))
  const values: ReadonlyArray<readonly [string, unknown]> = [
    ["a list", [1]],
    ["an object", { a: 1 }],
    ["a symbol", Symbol("x")],
    ["a function", () => 1],
    ["more than 64 bits", 2n ** 70n],
    ["half of a surrogate pair", "\ud800"],
    [
      "a proxy that throws",
      new Proxy({}, { getPrototypeOf: () => assert.fail("thrown"), get: () => assert.fail("thrown") })
    ]
  ]
  for (const [title, value] of values) {
    it.effect(`have no value that is none of a rule's: ${title}`, () =>
      Effect.gen(function*() {
        const given = { "@a": value } as never
        const rules = [
          [ServiceBusRule.make("r", ServiceBusRule.sql("a = @a", given)), "filter.parameters.@a"],
          [
            ServiceBusRule.make("r", ServiceBusRule.true, ServiceBusRule.action("SET a = @a", given)),
            "action.parameters.@a"
          ],
          [
            ServiceBusRule.make("r", ServiceBusRule.correlation({ applicationProperties: { a: value } } as never)),
            "filter.applicationProperties.a"
          ]
        ] as const
        for (const [rule, place] of rules) {
          const { problem } = yield* failsWith("EmulatorError")(starting(rule))
          assert.include(problem, `subscription "sport" of "news": rules[0].${place} must be`)
        }
      }))
  }

  it.effect("have the others", () =>
    Effect.asVoid(starting(ServiceBusRule.make("r", ServiceBusRule.sql("a = @a OR b = @b", { "@a": 1, "@b": null })))))
})

describe("a contract and options that contradict it", () => {
  const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true })
  const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
  it.effect("are refused", () =>
    Effect.gen(function*() {
      const cases = [
        [
          Emulator.entity(Carts, { requiresSession: false } as never),
          /queue "carts": requiresSession must be left out/
        ],
        [
          Emulator.entity(ServiceBusEntity.subscription(News, "all"), { requiresSession: true } as never),
          /"all" of "news": requiresSession must be left out: its contract has no sessions/
        ]
      ] as const
      for (const [entity, problem] of cases) {
        const layer = Emulator.layer({ entities: [Emulator.entity(News), entity] })
        assert.match((yield* failsWith("EmulatorError")(Effect.scoped(Layer.build(layer)))).problem, problem)
      }
    }))
})

describe("a target of forwarding that is not there", () => {
  it.effect("is named, however long the name is, in a line", () =>
    Effect.gen(function*() {
      const forwardTo = "x".repeat(100_000)
      const layer = Emulator.layer({ entities: [Emulator.entity("orders", { forwardTo })] })
      const { problem } = yield* failsWith("EmulatorError")(Effect.scoped(Layer.build(layer)))
      assert.match(problem, /destination entity "x{32}…" does not exist/)
    }))
})
