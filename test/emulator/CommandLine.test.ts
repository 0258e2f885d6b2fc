/** What the command refuses before anything listens: each flag by its name, and what to give. */
import { Duration, Effect, Redacted } from "effect"
import { ServiceBusRule } from "effect-service-bus"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll } from "vitest"
import * as CommandLine from "../../src/emulator/CommandLine.ts"
import { failsWith } from "../support/harness.ts"
import { assert, describe, it } from "../support/vitest.ts"

const queue = ["emulator", "--queue", "orders"]
const folder = mkdtempSync(join(tmpdir(), "service-bus-command-line-"))
afterAll(() => rmSync(folder, { recursive: true }))

/** Writes a file of the configuration, and gives the flags for it. */
const configured = (name: string, json: unknown): ReadonlyArray<string> => {
  const file = join(folder, name)
  writeFileSync(file, typeof json === "string" ? json : JSON.stringify(json))
  return ["--config", file]
}

const namespaceOf = (namespace: object) => ({ UserConfig: { Namespaces: [{ Name: "sbemulatorns", ...namespace }] } })
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
    /^--key must be 1 to 256 characters, without semicolons, control characters and spaces at its ends$/
  ],
  [[...queue, "--key", "a\nb"], /^--key must be 1 to 256 characters/],
  [[...queue, "--identity", "hunter2"], /^--identity \(the 1\. of them\) is CLIENT_ID=SECRET$/],
  [
    [...queue, "--identity", "a=b", "--identity", "hunter 2=b"],
    /^--identity \(the 2\. of them\): the client id must be 1 to/
  ],
  [[...queue, "--identity", "a="], /^--identity \(the 1\. of them\): the secret of "a" must be 1 to 256 printable/],
  [
    [...queue, "--identity", "a=hunter 2"],
    /^--identity \(the 1\. of them\): the secret of "a" must be 1 to 256 [^2]*$/
  ],
  [[...queue, "--identity", "a=b", "--identity", "A=c"], /^--identity \(the 2\. of them\): "A" is given twice$/],
  [[...queue, "--role", "a=owner"], /^--role "a=owner": no --identity has the client id "a"$/],
  [[...queue, "--identity", "a=b", "--role", "a=admin"], /^--role is CLIENT_ID=ROLE or .*, not "a=admin"$/],
  [[...queue, "--identity", "a=b", "--role", "a"], /^--role is CLIENT_ID=ROLE or CLIENT_ID=ROLE@ENTITY/],
  [[...queue, "--identity", "a=b", "--role", "a=owner@"], /^--role is CLIENT_ID=ROLE or CLIENT_ID=ROLE@ENTITY/],
  [[...queue, "--identity", "a=b", "--role", "a=sender@/"], /^--role "a=sender@\/": ENTITY is the path of an entity$/],
  [[...queue, "--key="], /^--key must be 1 to 256 characters/],
  [[...queue, "--session-queue", "a#b"], /^--session-queue: queue "a#b": a name is a well-formed text without/],
  [[...queue, "--subscription", "news/"], /^--subscription: a subscription needs a name$/],
  [[...queue, "--subscription", "/all"], /^--subscription: a topic needs a name$/],
  [[...queue, "--topic", "Orders"], /^--topic: "Orders" is declared by --queue already, as another kind$/],
  [[...queue, "--rule", "news/all=a = 1"], /^--rule is TOPIC\/SUBSCRIPTION\/NAME=SQL, not "news\/all=a = 1"$/],
  [[...queue, "--rule", "news/all/red"], /^--rule is TOPIC\/SUBSCRIPTION\/NAME=SQL/],
  [[...queue, "--rule", "news/all/=a = 1"], /^--rule is TOPIC\/SUBSCRIPTION\/NAME=SQL/],
  [
    [...queue, "--rule", "news/all/red="],
    /^--rule "news\/all\/red": its filter\.expression must be a well-formed string/
  ],
  [[...queue, "--rule", "news/all/a*=a = 1"], /^--rule "news\/all\/a\*": its name must be a well-formed string/],
  [
    [...queue, "--rule", "news/all/red=a = = 1"],
    /^--rule "news\/all\/red": its filter cannot be read\. There was an error parsing the SQL expression\. \[Token line=1/
  ],
  [[...queue, "--rule", "news/all/red=a = 1; PUT b = 1"], /^--rule "news\/all\/red": its action cannot be read\. /],
  [[...queue, "--rule", "a/b/c=x = 1", "--rule", "A/b/c=x = 2"], /^--rule "A\/b\/c" is given twice$/],
  [
    [...queue, "--duplicate-window", "60"],
    /^--duplicate-window is for --duplicate-queue, --duplicate-topic and --config/
  ],
  [
    [...queue, "--duplicate-queue", "d", "--duplicate-window", "4"],
    /^--duplicate-window must be a number from 5 to 604800/
  ],
  [[...queue, "--parameter", "a=b"], /^--parameter is for a template that --config names; give both$/],
  [[...queue, "--parameter", "a"], /^--parameter is NAME=VALUE, not "a"$/],
  [[...queue, "--parameter", "a=b", "--parameter", "a=c"], /^--parameter "a" is given twice$/],
  [[...queue, "--config", "no such file"], /^--config: "no such file" cannot be read \(ENOENT/],
  [[...queue, "--namespaces", "some"], /^--namespaces must be any, not "some"; leave it out for one namespace$/],
  [[...queue, "--clock", "fake"], /^--clock must be manual or real, not "fake"$/],
  [[...queue, "--json=yes"], /'--json' does not take an argument; see --help$/],
  [
    [...queue, ...configured("one.json", namespaceOf({ Queues: [{ Name: "q", Properties: { LockDuration: "1" } }] }))],
    /^--config ".*one\.json": UserConfig\.Namespaces\[0\]\.Queues\[0\]\.Properties\.LockDuration must be .*, not "1"$/
  ],
  [
    [...queue, ...configured("two.json", namespaceOf({ Queues: ["a", "b"] }))],
    /^--config ".*two\.json" has 2 problems:\n {2}UserConfig\.Namespaces\[0\]\.Queues\[0\] must be [^\n]*\n {2}UserConfig\.Namespaces\[0\]\.Queues\[1\] must/
  ],
  [
    [...queue, ...configured("many.json", namespaceOf({ Queues: Array.from({ length: 60 }, () => "a") }))],
    /^--config ".*many\.json" has 60 problems:\n(.*\n){50} {2}and 10 more$/
  ],
  [
    [...queue, ...configured("same.json", namespaceOf({ Topics: [{ Name: "orders" }] }))],
    /Topics\[0\] is the topic "orders", which is declared beside the file already; remove one of them$/
  ],
  [
    [...queue, ...configured("text.json", "{ UserConfig")],
    /^--config ".*text\.json": line 1, column 3: "UserConfig" is no name/
  ]
]

/** The same by variables. */
const refusedVariables: ReadonlyArray<readonly [variables: Readonly<Record<string, string>>, problem: RegExp]> = [
  [{ PORT: "67a" }, /^EFFECT_SERVICE_BUS_PORT must be an integer from 0 to 65535, not "67a"$/],
  [{ ADMIN_PORT: "-1" }, /^EFFECT_SERVICE_BUS_ADMIN_PORT must be an integer/],
  [{ SUBSCRIPTION: "news/all,news" }, /^EFFECT_SERVICE_BUS_SUBSCRIPTION is TOPIC\/NAME, not "news"$/],
  [{ QUEUE: "orders,a*b" }, /^EFFECT_SERVICE_BUS_QUEUE: queue "a\*b": a name is/],
  [{ RULE: "news/all=a = 1" }, /^EFFECT_SERVICE_BUS_RULE is TOPIC\/SUBSCRIPTION\/NAME=SQL/],
  [{ CLOCK: "fake" }, /^EFFECT_SERVICE_BUS_CLOCK must be manual or real/],
  [{ KEY: "a;b" }, /^EFFECT_SERVICE_BUS_KEY must be 1 to 256 characters/],
  [{ CONFIG: "no such file" }, /^EFFECT_SERVICE_BUS_CONFIG: "no such file" cannot be read/],
  [{ PARAMETER: "a" }, /^EFFECT_SERVICE_BUS_PARAMETER is NAME=VALUE/],
  [{ JSON: "yes" }, /^EFFECT_SERVICE_BUS_JSON must be true or false, not "yes"$/],
  [{ DUPLICATE_WINDOW: "60" }, /^EFFECT_SERVICE_BUS_DUPLICATE_WINDOW is for --duplicate-queue/]
]

const served = (args: ReadonlyArray<string>, variables?: Readonly<Record<string, string | undefined>>) =>
  Effect.flatMap(
    CommandLine.read(args, variables),
    (read) => read._tag === "Serve" ? Effect.succeed(read) : Effect.die("neither help nor the version was asked for")
  )

describe("the command line", () => {
  for (const [args, problem] of refused) {
    it.effect(`refuses ${args.join(" ")}`, () =>
      Effect.gen(function*() {
        assert.match((yield* failsWith("EmulatorError")(CommandLine.read(args))).problem, problem)
      }))
  }

  for (const [variables, problem] of refusedVariables) {
    it.effect(`refuses ${JSON.stringify(variables)} in the environment`, () =>
      Effect.gen(function*() {
        const named = Object.entries(variables).map(([name, value]) => [`EFFECT_SERVICE_BUS_${name}`, value])
        const refused = CommandLine.read(["emulator"], Object.fromEntries(named))
        assert.match((yield* failsWith("EmulatorError")(refused)).problem, problem)
      }))
  }

  it("its version is that of the package", () => {
    assert.strictEqual(CommandLine.version, JSON.parse(readFileSync("package.json", "utf8")).version)
  })

  it("its help fits a screen", () => {
    const lines = CommandLine.usage.split("\n")
    assert.isAtMost(lines.length, 40)
    assert.deepStrictEqual(lines.filter((line) => line.length > 100), [])
  })

  it.effect("has identities and their roles by flags, or by variables of a line each", () =>
    Effect.gen(function*() {
      const flags = [
        "--identity",
        "Billing=a=b,c",
        "--identity",
        "all=x",
        "--role",
        "billing=Sender@news/Subscriptions/a"
      ]
      const variables = {
        EFFECT_SERVICE_BUS_IDENTITY: "Billing=a=b,c\n all=x\n",
        EFFECT_SERVICE_BUS_ROLE: "billing=Sender@news/Subscriptions/a,billing=receiver"
      }
      const byFlags = yield* CommandLine.read([...queue, ...flags, "--role", "billing=receiver"])
      const byVariables = yield* CommandLine.read(queue, variables)
      for (const read of [byFlags, byVariables]) {
        assert(read._tag === "Serve")
        const [billing, all] = read.server.identities!
        assert.strictEqual(Redacted.value(billing!.secret), "a=b,c")
        assert.deepStrictEqual([billing!.clientId, billing!.roles, all!.clientId, all!.roles], [
          "Billing",
          [
            { role: "Azure Service Bus Data Sender", entity: "news/Subscriptions/a" },
            { role: "Azure Service Bus Data Receiver", entity: undefined }
          ],
          "all",
          undefined
        ])
      }
    }))

  it.effect("has roles on subscriptions as they are declared, and warns of those on nothing that is", () =>
    Effect.gen(function*() {
      const { server, warnings } = yield* served([
        "emulator",
        ...["--subscription", "News/sport", "--subscription", "a/b", "--queue", "A/B", "--identity", "me=secret"],
        ...["news/Sport", "news/subscriptions/sport", "/news/", "a/b", "news/culture"].flatMap(
          (entity) => ["--role", `me=receiver@${entity}`]
        )
      ])
      assert.deepStrictEqual(server.identities![0]!.roles!.map(({ entity }) => entity), [
        "news/Subscriptions/Sport",
        "news/subscriptions/sport",
        "news",
        "a/b",
        "news/culture"
      ])
      assert.deepStrictEqual(warnings, [
        "--role \"me=receiver@news/culture\": no entity \"news/culture\" is declared; the role is on one that is made"
      ])
    }))

  it.effect("is the options of a broker", () =>
    Effect.gen(function*() {
      const read = yield* served([
        ...[...secured, "--topic", "NEWS", "--subscription", "news/all", "--session-queue", "carts", "--key", "=a"],
        ...["--lock-duration", "1.5", "--session-subscription", "prices/carts", "--max-connections", "3"]
      ])
      const options = { lockDuration: Duration.millis(1500), maxDeliveryCount: undefined }
      assert.deepStrictEqual(read.names, ["orders", "carts", "NEWS", "prices", "news/all", "prices/carts"])
      assert.deepStrictEqual(read.server.entities, [
        { name: "orders", options: { ...options, requiresSession: false } },
        { name: "carts", options: { ...options, requiresSession: true } },
        { kind: "topic", name: "NEWS", options: {} },
        { kind: "topic", name: "prices", options: {} },
        { kind: "subscription", topic: "news", name: "all", options: { ...options, requiresSession: false } },
        { kind: "subscription", topic: "prices", name: "carts", options: { ...options, requiresSession: true } }
      ])
      const { host, key, maxConnections, port, tlsPort, webSocketPort } = read.server
      assert.deepStrictEqual([host, port, tlsPort, webSocketPort, maxConnections], ["127.0.0.1", 5672, 0, undefined, 3])
      assert.deepStrictEqual([read.isJson, read.isAdminPortOptional, read.warnings], [false, true, []])
      const ports = (...args: ReadonlyArray<string>) =>
        Effect.map(served(["emulator", ...args]), ({ isAdminPortOptional, server }) => [
          server.port,
          server.httpPort,
          server.httpsPort,
          isAdminPortOptional
        ])
      assert.deepStrictEqual(yield* ports(), [5672, 5300, undefined, true])
      assert.deepStrictEqual(yield* ports("--port", "0"), [0, 0, undefined, true])
      assert.deepStrictEqual(yield* ports("--admin-port", "5300"), [5672, 5300, undefined, false])
      assert.deepStrictEqual(
        yield* ports("--port", "0", "--admin-port", "5301", "--https-port", "443"),
        [0, 5301, 443, false]
      )
      assert.strictEqual(Redacted.value(key!), "=a")
      assert.notInclude(String(key), "=a")
    }))

  it.effect("several flags say something of one entity", () =>
    Effect.gen(function*() {
      const { server } = yield* served([
        ...["emulator", "--queue", "orders", "--session-queue", "Orders", "--duplicate-queue", "orders"],
        ...["--duplicate-topic", "news", "--subscription", "news/all", "--session-subscription", "News/all"],
        ...["--duplicate-window", "30"]
      ])
      const common = { lockDuration: undefined, maxDeliveryCount: undefined }
      const duplicateDetectionWindow = Duration.seconds(30)
      assert.deepStrictEqual(server.entities, [
        { name: "orders", options: { ...common, requiresSession: true, duplicateDetectionWindow } },
        { kind: "topic", name: "news", options: { duplicateDetectionWindow } },
        { kind: "subscription", topic: "news", name: "all", options: { ...common, requiresSession: true } }
      ])
      const { server: { entities: [queue] } } = yield* served(["emulator", "--duplicate-queue", "orders"])
      assert.deepStrictEqual(queue!.options, {
        ...common,
        requiresSession: false,
        duplicateDetectionWindow: Duration.minutes(10)
      })
    }))

  it.effect("a rule is a filter, and an action after the first semicolon that is none of a text", () =>
    Effect.gen(function*() {
      const { names, server } = yield* served([
        ...["emulator", "--rule", "a/news/all/one=kind = 'a;b' AND [x;y] = 1"],
        ...["--rule", "a/news/all/$Default=kind = 'c' ; SET a = 'd;'; REMOVE b", "--rule", "a/news/other/r=1=1;"]
      ])
      assert.deepStrictEqual(names, ["a/news", "a/news/all", "a/news/other"])
      const rules = server.entities.map(({ options }) => options !== undefined && "rules" in options && options.rules)
      assert.deepStrictEqual(rules, [false, [
        ServiceBusRule.make("one", ServiceBusRule.sql("kind = 'a;b' AND [x;y] = 1")),
        ServiceBusRule.make(
          "$Default",
          ServiceBusRule.sql("kind = 'c' "),
          ServiceBusRule.action("SET a = 'd;'; REMOVE b")
        )
      ], [ServiceBusRule.make("r", ServiceBusRule.sql("1=1"))]])
    }))

  it.effect("variables are taken where there is no flag", () =>
    Effect.gen(function*() {
      const named = {
        PORT: "5673",
        ADMIN_PORT: "5301",
        QUEUE: "orders, carts\nfailed",
        SUBSCRIPTION: "news/all,news/other",
        RULE: "news/all/red=color IN ('red', 'rose'); SET a = 1\nnews/all/blue=color = 'blue'",
        KEY: "secret",
        JSON: "1",
        MAX_DELIVERY_COUNT: "4",
        HOST: ""
      }
      const variables = Object.fromEntries(
        Object.entries(named).map(([name, value]) => [`EFFECT_SERVICE_BUS_${name}`, value])
      )
      const { isAdminPortOptional, isJson, names, server, warnings } = yield* served(
        ["emulator", "--port", "5674", "--topic", "prices"],
        variables
      )
      assert.deepStrictEqual(names, ["orders", "carts", "failed", "prices", "news", "news/all", "news/other"])
      assert.deepStrictEqual([server.host, server.port, server.httpPort], ["127.0.0.1", 5674, 5301])
      assert.deepStrictEqual([isJson, isAdminPortOptional, warnings], [true, false, []])
      assert.strictEqual(Redacted.value(server.key!), "secret")
      const [orders] = server.entities
      assert.deepStrictEqual(orders!.options, { lockDuration: undefined, maxDeliveryCount: 4, requiresSession: false })
      const all = server.entities.find(({ name }) => name === "all")!
      assert.deepStrictEqual((all.options as { readonly rules: ReadonlyArray<ServiceBusRule.Rule> }).rules, [
        ServiceBusRule.make(
          "red",
          ServiceBusRule.sql("color IN ('red', 'rose')"),
          ServiceBusRule.action("SET a = 1")
        ),
        ServiceBusRule.make("blue", ServiceBusRule.sql("color = 'blue'"))
      ])
      const isOff = yield* served(["emulator"], { EFFECT_SERVICE_BUS_JSON: "false" })
      assert.isFalse(isOff.isJson)
    }))

  it.effect("a variable that is misspelt is told of, and those that Kubernetes gives are not taken for ours", () =>
    Effect.gen(function*() {
      const { server, warnings } = yield* served(["emulator"], {
        EFFECT_SERVICE_BUS_PRT: "1",
        EFFECT_SERVICE_BUS_HELP: "1",
        // Of a service that is called effect-service-bus.
        EFFECT_SERVICE_BUS_PORT: "tcp://10.0.0.7:5672",
        EFFECT_SERVICE_BUS_SERVICE_HOST: "10.0.0.7",
        EFFECT_SERVICE_BUS_SERVICE_PORT: "5672",
        EFFECT_SERVICE_BUS_SERVICE_PORT_AMQP: "5672",
        EFFECT_SERVICE_BUS_PORT_5672_TCP: "tcp://10.0.0.7:5672",
        EFFECT_SERVICE_BUS_PORT_5672_TCP_ADDR: "10.0.0.7"
      })
      assert.strictEqual(server.port, 5672)
      assert.deepStrictEqual(warnings, [
        "the variable EFFECT_SERVICE_BUS_PRT is none of this command, and has no effect",
        "the variable EFFECT_SERVICE_BUS_HELP is none of this command, and has no effect"
      ])
    }))

  it.effect("a file declares entities beside the flags, with the key of Microsoft's documentation", () =>
    Effect.gen(function*() {
      const file = configured(
        "taken.json",
        namespaceOf({
          Properties: { MaxAllowedConnections: 7 },
          Queues: [{ Name: "failed" }, { Name: "q", Properties: { ForwardTo: "orders" } }]
        })
      )
      const { names, server, warnings } = yield* served([...queue, ...file, "--max-delivery-count", "6"])
      assert.deepStrictEqual(names, ["orders", "failed", "q"])
      assert.deepStrictEqual(
        server.entities.map(({ options }) => (options as { maxDeliveryCount: number }).maxDeliveryCount),
        [
          6,
          6,
          6
        ]
      )
      assert.strictEqual(server.maxConnections, 7)
      assert.strictEqual(Redacted.value(server.key!), "SAS_KEY_VALUE")
      assert.match(
        warnings.join(),
        /^with --config the key is SAS_KEY_VALUE, .*whoever reaches a port.*; --key gives it another/
      )
      const own = yield* served([...queue, ...file, "--key", "own", "--max-connections", "8"])
      assert.deepStrictEqual([Redacted.value(own.server.key!), own.server.maxConnections, own.warnings], ["own", 8, []])
    }))

  it.effect("a template's policies have the key of the broker, and its parameters are given", () =>
    Effect.gen(function*() {
      const type = "Microsoft.ServiceBus/namespaces"
      const file = configured("template.json", {
        parameters: { name: { type: "string" } },
        resources: [
          { type: `${type}/queues`, name: "[concat('ns/', parameters('name'))]" },
          { type: `${type}/authorizationRules`, name: "ns/senders", properties: { rights: ["Send"] } },
          { type: "Microsoft.Web/sites", name: "site" }
        ]
      })
      const { names, server, warnings } = yield* served([
        "emulator",
        ...file,
        "--parameter",
        "name=a=b",
        "--key",
        "secret"
      ])
      assert.deepStrictEqual(names, ["a=b"])
      assert.deepStrictEqual(
        server.policies!.map(({ key, name, rights }) => [name, Redacted.value(key), rights]),
        [["senders", "secret", ["Send"]]]
      )
      assert.match(
        warnings.join(),
        /^--config ".*template\.json": resources of other types are left out: Microsoft\.Web\/sites$/
      )
    }))
})
