/** Connection strings: parsed, refused without showing a secret, formatted, and read from the configuration. */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { inspect } from "node:util"
import * as ConnectionString from "../src/ConnectionString.ts"
import * as ServiceBusCredential from "../src/ServiceBusCredential.ts"
import { ConnectionStringError } from "../src/ServiceBusError.ts"
import { assert, describe, it } from "./support/vitest.ts"

const secret = "TOPSECRETabcdefghijklmnopqrstuvwxyz0123456789="
const token = `SharedAccessSignature sr=sb%3a%2f%2fcontoso&sig=${secret}&se=1700000000&skn=Root`
const rest = `SharedAccessKeyName=Root;SharedAccessKey=${secret}`
const full = `Endpoint=sb://contoso.servicebus.windows.net/;${rest}`

/** What is parsed, with the secret in the open, for comparing. */
const parse = (text: string) => {
  const parsed = Result.getOrThrow(ConnectionString.parseResult(text))
  const { credential, ...address } = parsed
  return {
    ...address,
    ...(credential._tag === "SharedKey"
      ? { name: credential.name, key: Redacted.value(credential.key) }
      : credential._tag === "SharedAccessSignature"
      ? { token: Redacted.value(credential.token) }
      : {})
  }
}

const base = {
  host: "contoso.servicebus.windows.net",
  port: undefined,
  name: "Root",
  key: secret,
  entityPath: undefined,
  useDevelopmentEmulator: false
}

const withEndpoint = (endpoint: string) => `Endpoint=${endpoint};${rest}`

describe("parse", () => {
  it.each([
    ["the form of the portal", full, {}],
    ["a trailing semicolon", `${full};`, {}],
    ["empty parts", `;;${full};;`, {}],
    ["no trailing slash", withEndpoint("sb://contoso.servicebus.windows.net"), {}],
    ["several trailing slashes", withEndpoint("sb://contoso.servicebus.windows.net//"), {}],
    ["another scheme", withEndpoint("amqps://contoso.servicebus.windows.net/"), {}],
    ["a host in capitals", withEndpoint("sb://Contoso.ServiceBus.Windows.Net/"), {}],
    ["a port", withEndpoint("sb://localhost:5300/"), { host: "localhost", port: 5300 }],
    ["the highest port", withEndpoint("sb://localhost:65535"), { host: "localhost", port: 65_535 }],
    ["an IPv4 address", withEndpoint("sb://127.0.0.1:5672"), { host: "127.0.0.1", port: 5672 }],
    ["an IPv6 address", withEndpoint("sb://[::1]/"), { host: "::1" }],
    ["an IPv6 address with a port", withEndpoint("sb://[fe80::AB:1]:5672/"), { host: "fe80::ab:1", port: 5672 }],
    ["keys in another order", `${rest};Endpoint=sb://contoso.servicebus.windows.net/`, {}],
    [
      "keys in any case",
      `ENDPOINT=sb://contoso.servicebus.windows.net/;sharedaccesskeyname=Root;sharedAccessKEY=${secret}`,
      {}
    ],
    [
      "white space around keys, values and parts",
      ` Endpoint = sb://contoso.servicebus.windows.net/ ;\r\n SharedAccessKeyName = Root ;\tSharedAccessKey = ${secret} \n`,
      {}
    ],
    ["an entity", `${full};EntityPath=orders/eu`, { entityPath: "orders/eu" }],
    ["the emulator", `${full};UseDevelopmentEmulator=true`, { useDevelopmentEmulator: true }],
    ["the emulator in capitals", `${full};UseDevelopmentEmulator=TRUE;`, { useDevelopmentEmulator: true }],
    ["the emulator off", `${full};UseDevelopmentEmulator=False`, {}],
    [
      "legacy keys",
      `${full};TransportType=Amqp;OperationTimeout=00:01:00;RuntimePort=9354;ManagementPort=9355;StsEndpoint=https://x;HostName=y`,
      {}
    ],
    ["a name with an equals sign", full.replace("=Root", "=a=b"), { name: "a=b" }],
    ["a key that is not base64", full.replace(secret, "SAS_KEY_VALUE"), { key: "SAS_KEY_VALUE" }],
    ["a key with padding", full.replace(secret, "abc=="), { key: "abc==" }],
    [
      "the longest name and key",
      `Endpoint=sb://a;SharedAccessKeyName=${"n".repeat(256)};SharedAccessKey=${"k".repeat(256)}`,
      {
        host: "a",
        name: "n".repeat(256),
        key: "k".repeat(256)
      }
    ]
  ])("accepts %s", (_, text, expected) => {
    assert.deepStrictEqual(parse(text), { ...base, ...expected })
  })

  it("accepts a signature", () => {
    const { key: _, name: _2, ...address } = base
    assert.deepStrictEqual(
      parse(`Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessSignature=${token}`),
      { ...address, token }
    )
  })

  it("accepts a Redacted string", () => {
    const parsed = Result.getOrThrow(ConnectionString.parseResult(Redacted.make(full)))
    assert.strictEqual(parsed.host, base.host)
  })

  it.effect("succeeds and fails as an Effect", () =>
    Effect.gen(function*() {
      const parsed = yield* ConnectionString.parse(full)
      assert.strictEqual(parsed.host, base.host)
      const error = yield* Effect.flip(ConnectionString.parse(rest))
      assert.strictEqual(error._tag, "ConnectionStringError")
      assert.strictEqual(error.part, "Endpoint")
    }))

  it("shows no secret of what it parsed", () => {
    for (const text of [full, `Endpoint=sb://a;SharedAccessSignature=${token}`]) {
      const parsed = Result.getOrThrow(ConnectionString.parseResult(text))
      for (
        const shown of [
          inspect(parsed, { depth: 20, showHidden: true }),
          JSON.stringify(parsed),
          String(parsed.credential)
        ]
      ) {
        assert.notInclude(shown, "SECRET")
      }
      assert.include(JSON.stringify(parsed), "<redacted")
    }
  })
})

/** Each malformed form and the part that its error names. */
const malformed: ReadonlyArray<readonly [what: string, text: string, part: string]> = [
  ["nothing", "", "the whole string"],
  ["white space", " \n\t", "the whole string"],
  ["more than 8192 characters", `${full};EntityPath=${"x".repeat(8192)}`, "the whole string"],
  ["only semicolons", ";;;", "Endpoint"],
  ["the key alone", secret.replaceAll("=", ""), "part 1"],
  ["the key before its equals sign", secret, "part 1"],
  ["a part without an equals sign", `${full};${secret.replaceAll("=", "")}`, "part 4"],
  ["a part without a key", `${full};=${secret}`, "part 4"],
  ["a misspelt key", full.replace("SharedAccessKey=", "SharedAcessKey="), "part 3"],
  ["a key with a space inside", full.replace("SharedAccessKey=", "Shared AccessKey="), "part 3"],
  ["another product's key", `${full};AccountKey=${secret}`, "part 4"],
  ["a key of Object's prototype", `${full};__proto__=${secret};constructor=${secret}`, "part 4"],
  ["a key twice", `${full};sharedaccesskey=${secret}`, "SharedAccessKey"],
  ["the endpoint twice", `${full};Endpoint=sb://other/`, "Endpoint"],
  ["no endpoint", rest, "Endpoint"],
  ["only a legacy host name", `HostName=contoso;${rest}`, "Endpoint"],
  ["an empty endpoint", withEndpoint(""), "Endpoint"],
  ["an endpoint without a scheme", withEndpoint("contoso.servicebus.windows.net"), "Endpoint"],
  ["an endpoint with an empty scheme", withEndpoint("://contoso.servicebus.windows.net"), "Endpoint"],
  ["an endpoint without a host", withEndpoint("sb://"), "Endpoint"],
  ["an endpoint with a slash only", withEndpoint("sb:///"), "Endpoint"],
  ["an endpoint with a path", withEndpoint("sb://contoso/orders"), "Endpoint"],
  ["an endpoint with a query", withEndpoint(`sb://contoso?key=${secret}`), "Endpoint"],
  ["an endpoint with a user", withEndpoint(`sb://Root:${secret}@contoso`), "Endpoint"],
  ["an endpoint with a user and no password", withEndpoint(`sb://${secret}@contoso`), "Endpoint"],
  ["a host with a space", withEndpoint("sb://con toso"), "Endpoint"],
  ["a host with a control character", withEndpoint("sb://con\u0000toso"), "Endpoint"],
  ["a host with a placeholder", withEndpoint("sb://<namespace>.servicebus.windows.net/"), "Endpoint"],
  ["an empty port", withEndpoint("sb://contoso:"), "Endpoint"],
  ["port 0", withEndpoint("sb://contoso:0"), "Endpoint"],
  ["port 65536", withEndpoint("sb://contoso:65536"), "Endpoint"],
  ["a negative port", withEndpoint("sb://contoso:-1"), "Endpoint"],
  ["a port that is not a number", withEndpoint(`sb://contoso:${secret}`), "Endpoint"],
  ["a port in hexadecimal", withEndpoint("sb://contoso:0x16"), "Endpoint"],
  ["two ports", withEndpoint("sb://contoso:1:2"), "Endpoint"],
  ["an IPv6 address without brackets", withEndpoint("sb://::1"), "Endpoint"],
  ["an IPv6 address that does not end", withEndpoint("sb://[::1"), "Endpoint"],
  ["an empty IPv6 address", withEndpoint("sb://[]:5672"), "Endpoint"],
  ["text after an IPv6 address", withEndpoint("sb://[::1]x:5672"), "Endpoint"],
  ["no credential", "Endpoint=sb://contoso/", "SharedAccessKey"],
  ["a name without a key", "Endpoint=sb://contoso/;SharedAccessKeyName=Root", "SharedAccessKey"],
  ["a key without a name", `Endpoint=sb://contoso/;SharedAccessKey=${secret}`, "SharedAccessKeyName"],
  ["an empty name", `Endpoint=sb://contoso/;SharedAccessKeyName=;SharedAccessKey=${secret}`, "SharedAccessKeyName"],
  ["an empty key", "Endpoint=sb://contoso/;SharedAccessKeyName=Root;SharedAccessKey=", "SharedAccessKey"],
  ["a key of white space", "Endpoint=sb://contoso/;SharedAccessKeyName=Root;SharedAccessKey=  ;", "SharedAccessKey"],
  ["a name of 257 characters", full.replace("=Root", `=${"n".repeat(257)}`), "SharedAccessKeyName"],
  ["a key of 257 characters", full.replace(secret, `TOPSECRET${"k".repeat(248)}`), "SharedAccessKey"],
  ["a signature beside a name and key", `${full};SharedAccessSignature=${token}`, "SharedAccessSignature"],
  [
    "a signature beside a key",
    `Endpoint=sb://contoso/;SharedAccessKey=${secret};SharedAccessSignature=${token}`,
    "SharedAccessSignature"
  ],
  [
    "a signature without its scheme",
    `Endpoint=sb://contoso/;SharedAccessSignature=sr=x&sig=${secret}`,
    "SharedAccessSignature"
  ],
  ["an empty signature", "Endpoint=sb://contoso/;SharedAccessSignature=", "SharedAccessSignature"],
  ["an empty entity", `${full};EntityPath=`, "EntityPath"],
  ["an emulator that is neither true nor false", `${full};UseDevelopmentEmulator=${secret}`, "UseDevelopmentEmulator"],
  ["an emulator of 1", `${full};UseDevelopmentEmulator=1`, "UseDevelopmentEmulator"]
]

describe("a malformed connection string", () => {
  it.each(malformed)("with %s names the part and no value", (_, text, part) => {
    const result = ConnectionString.parseResult(text)
    if (Result.isSuccess(result)) return assert.fail("parsed")
    const error = result.failure
    assert.instanceOf(error, ConnectionStringError)
    assert.strictEqual(error.part, part)
    assert.include(error.message, part)
    const exit = Effect.runSyncExit(ConnectionString.parse(Redacted.make(text)))
    if (Exit.isSuccess(exit)) return assert.fail("parsed")
    const shown = [
      error.message,
      String(error),
      JSON.stringify(error),
      JSON.stringify(result),
      inspect(error, { depth: 20, showHidden: true }),
      inspect(exit, { depth: 20 }),
      JSON.stringify(exit),
      Cause.pretty(exit.cause),
      error.stack ?? ""
    ]
    for (const text of shown) {
      assert.notInclude(text, "SECRET")
      assert.notInclude(text, "nnnn")
      assert.notInclude(text, "kkkk")
    }
  })

  it.each([[undefined], [null], [42], [{}], [Redacted.make(42)]])("that is no text but %s is refused", (input) => {
    const result = ConnectionString.parseResult(input as unknown as string)
    assert.isTrue(Result.isFailure(result))
  })
})

describe("a long connection string", () => {
  it.each([
    ["of one letter", "x".repeat(100_000)],
    ["of equals signs", "=".repeat(100_000)],
    ["of semicolons", ";".repeat(100_000)],
    ["of spaces and an end", `${" ".repeat(100_000)}x`],
    ["of slashes", withEndpoint(`sb://a${"/".repeat(100_000)}x`)],
    ["that would be valid", `${full};${" ".repeat(100_000)}`]
  ])("%s is refused by its length", (_, text) => {
    const result = ConnectionString.parseResult(text)
    if (Result.isSuccess(result)) return assert.fail("parsed")
    assert.strictEqual(result.failure.part, "the whole string")
    assert.include(result.failure.message, "8192")
  })

  it("of 8192 characters is parsed", () => {
    const text = `${full};EntityPath=`
    assert.strictEqual(parse(text + "e".repeat(8192 - text.length)).entityPath?.length, 8192 - text.length)
    assert.isTrue(Result.isFailure(ConnectionString.parseResult(text + "e".repeat(8193 - text.length))))
  })

  // What is counted is what the parser reads: the text, one pass; each part, once; each value, once.
  it("is read once, whatever it is made of", () => {
    const counted = (text: string) => {
      const original = { split: String.prototype.split, slice: String.prototype.slice, trim: String.prototype.trim }
      let characters = 0
      const count = <F extends (this: string, ...args: ReadonlyArray<never>) => unknown>(f: F) =>
        function(this: string, ...args: ReadonlyArray<never>) {
          characters += this.length
          return f.apply(this, args as never)
        }
      Object.assign(String.prototype, {
        split: count(original.split as never),
        slice: count(original.slice as never),
        trim: count(original.trim as never)
      })
      try {
        ConnectionString.parseResult(text)
      } finally {
        Object.assign(String.prototype, original)
      }
      return characters
    }
    const parts = (length: number, part: string) => part.repeat(Math.floor(length / part.length))
    for (const part of [";", "; ", "TransportType=;", "x=y;", "=", " ", "TransportType =  a ; "]) {
      const half = counted(parts(4096, part))
      const whole = counted(parts(8192, part))
      assert.isAtMost(whole, half * 2.5 + 1000, `${JSON.stringify(part)}: ${half}, then ${whole}`)
    }
  })
})

describe("format", () => {
  it.each([
    ["a shared key", full],
    ["a port", withEndpoint("sb://localhost:5300/")],
    ["an IPv6 address", withEndpoint("sb://[::1]:5672/")],
    ["a signature", `Endpoint=sb://contoso/;SharedAccessSignature=${token}`],
    ["an entity and the emulator", `${full};EntityPath=orders;UseDevelopmentEmulator=true`]
  ])("gives back %s", (_, text) => {
    const formatted = ConnectionString.format(Result.getOrThrow(ConnectionString.parseResult(text)))
    assert.strictEqual(Redacted.value(formatted), text)
    assert.notInclude(inspect(formatted), "SECRET")
    assert.notInclude(JSON.stringify(formatted), "SECRET")
    assert.include(String(formatted), "connection string")
  })

  it("brings what was written differently into one form, which parses to the same", () => {
    const text =
      ` sharedaccesskey=${secret};Endpoint=amqps://CONTOSO//;TransportType=Amqp; sharedaccesskeyname = Root;;`
    const formatted = Redacted.value(ConnectionString.format(Result.getOrThrow(ConnectionString.parseResult(text))))
    assert.strictEqual(formatted, `Endpoint=sb://contoso/;${rest}`)
    assert.deepStrictEqual(parse(formatted), parse(text))
  })

  it("has no secret to write for an identity", () => {
    const formatted = ConnectionString.format({
      host: "contoso",
      port: undefined,
      credential: ServiceBusCredential.identity({ getToken: () => Promise.resolve(null) }),
      entityPath: undefined,
      useDevelopmentEmulator: false
    })
    assert.strictEqual(Redacted.value(formatted), "Endpoint=sb://contoso/")
  })
})

describe("ConnectionStringFromString", () => {
  const schema = ConnectionString.ConnectionStringFromString

  it.effect("encodes no secret that was wiped", () =>
    Effect.gen(function*() {
      const key = Redacted.make("key")
      const parsed = yield* ConnectionString.parse(
        "Endpoint=sb://contoso.servicebus.windows.net/;SharedAccessKeyName=a;SharedAccessKey=b"
      )
      Redacted.wipeUnsafe(key)
      const credential = ServiceBusCredential.sharedKey({ name: "app", key })
      const error = yield* Effect.flip(Schema.encodeEffect(schema)({ ...parsed, credential }))
      assert.include(String(error), "wiped")
    }))

  it("decodes and encodes", () => {
    const parsed = Schema.decodeUnknownSync(schema)(full)
    assert.strictEqual(parsed.host, base.host)
    assert.strictEqual(Schema.encodeSync(schema)(parsed), full)
    assert.isTrue(Schema.is(schema)(parsed))
    assert.isFalse(Schema.is(schema)(full))
  })

  it.each(malformed)("does not decode one with %s, nor shows it", (_, text, part) => {
    for (const options of [undefined, { errors: "all" }] as const) {
      const exit = Schema.decodeUnknownExit(schema, options)(text)
      if (Exit.isSuccess(exit)) return assert.fail("decoded")
      for (const shown of [Cause.pretty(exit.cause), inspect(exit, { depth: 20 }), JSON.stringify(exit)]) {
        assert.include(shown, part)
        assert.notInclude(shown, "SECRET")
      }
    }
  })

  it("does not decode what is no text", () => {
    assert.isTrue(Exit.isFailure(Schema.decodeUnknownExit(schema)(42)))
  })
})

describe("config", () => {
  const read = <A>(config: Config.Config<A>, env: Record<string, string>) =>
    config.parse(ConfigProvider.fromEnv({ env }))

  it.effect("reads the variable of the official samples", () =>
    Effect.gen(function*() {
      const value = yield* read(ConnectionString.config(), { SERVICE_BUS_CONNECTION_STR: full })
      assert.strictEqual(Redacted.value(value), full)
      assert.notInclude(inspect(value), "SECRET")
    }))

  it.effect("reads another variable, also a nested one", () =>
    Effect.gen(function*() {
      const value = yield* read(ConnectionString.config("BUS").pipe(Config.nested("PROD")), { PROD_BUS: full })
      assert.strictEqual(Redacted.value(value), full)
    }))

  it.effect("is installed as any Config is", () =>
    Effect.gen(function*() {
      const value = yield* ConnectionString.config()
      assert.strictEqual((yield* ConnectionString.parse(value)).host, base.host)
    }).pipe(
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ SERVICE_BUS_CONNECTION_STR: full })))
    ))

  it.effect("says which variable is missing", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read(ConnectionString.config(), {}))
      assert.include(error.message, "SERVICE_BUS_CONNECTION_STR")
    }))

  it.effect("can be parsed while it is read, and shows no secret where that fails", () =>
    Effect.gen(function*() {
      const config = Config.schema(ConnectionString.ConnectionStringFromString, "BUS")
      const parsed = yield* read(config, { BUS: full })
      assert.strictEqual(parsed.host, base.host)
      const error = yield* Effect.flip(read(config, { BUS: full.replace("sb://", "") }))
      assert.include(error.message, "Endpoint")
      for (const shown of [error.message, inspect(error, { depth: 20 }), Cause.pretty(Cause.fail(error))]) {
        assert.notInclude(shown, "SECRET")
      }
    }))
})
