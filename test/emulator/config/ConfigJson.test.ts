/**
 * The configuration file of Microsoft's emulator: what its schema has, what real files have beyond it, and what is refused, by its
 * path. The files are shaped as public ones are; the defaults are those of its Config-schema.json.
 */
import { Duration, Effect } from "effect"
import { ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as ConfigFile from "../../../src/emulator/config/ConfigFile.ts"
import { root } from "../../support/codeBlocks.ts"
import { assert, describe, it } from "../../support/vitest.ts"

/** A file with one namespace. */
const file = (namespace: object, rest: object = {}) =>
  JSON.stringify({ UserConfig: { Namespaces: [{ Name: "sbemulatorns", ...namespace }], ...rest } })

/** What a file comes to, which has no problem and leaves nothing out. */
const read = (text: string, options?: Parameters<typeof ConfigFile.read>[1]) => {
  const { entities, problems, warnings, ...rest } = ConfigFile.read(text, options)
  assert.deepStrictEqual([problems, warnings], [[], []])
  return { entities: entities.map(given), ...rest }
}

/** What is undefined is not given; durations in milliseconds. */
const given = ({ options = {}, ...entity }: Emulator.Entity) => ({
  ...entity,
  options: Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, Duration.isDuration(value) ? Duration.toMillis(value) : value])
  )
})

const received = { lockDuration: "1 minute", maxDeliveryCount: 3 }
const hour = { defaultTimeToLive: 3_600_000 }

/** What a queue, or a subscription, of no settings has. */
const byDefault = { ...hour, ...received }

const queue = (properties: object) => file({ Queues: [{ Name: "q", Properties: properties }] })

const rules = (...rules: ReadonlyArray<unknown>) =>
  file({ Topics: [{ Name: "t", Subscriptions: [{ Name: "s", Rules: rules }] }] })

const rule = (properties: object) => rules({ Name: "r", Properties: properties })

const places = "UserConfig.Namespaces[0]"
const property = `${places}.Queues[0].Properties`
const ruleAt = `${places}.Topics[0].Subscriptions[0].Rules[0]`

describe("Config.json", () => {
  it("has every setting of the schema", () => {
    const { entities } = read(file({
      Queues: [{
        Name: "queue.1",
        Properties: {
          DeadLetteringOnMessageExpiration: true,
          DefaultMessageTimeToLive: "PT30M",
          DuplicateDetectionHistoryTimeWindow: "PT20S",
          ForwardDeadLetteredMessagesTo: "",
          ForwardTo: "",
          LockDuration: "PT5S",
          MaxDeliveryCount: 7,
          RequiresDuplicateDetection: true,
          RequiresSession: true
        }
      }],
      Topics: [{
        Name: "topic.1",
        Properties: {
          DefaultMessageTimeToLive: "PT1H",
          DuplicateDetectionHistoryTimeWindow: "PT5M",
          RequiresDuplicateDetection: true
        },
        Subscriptions: [{
          Name: "subscription.1",
          Properties: {
            DeadLetteringOnMessageExpiration: false,
            DefaultMessageTimeToLive: "PT10M",
            LockDuration: "PT1M",
            MaxDeliveryCount: 10,
            ForwardDeadLetteredMessagesTo: "queue.1",
            ForwardTo: "QUEUE.1",
            RequiresSession: true
          },
          Rules: [{
            Name: "app-prop-filter-1",
            Properties: {
              FilterType: "Correlation",
              CorrelationFilter: {
                ContentType: "application/text",
                CorrelationId: "id1",
                Label: "subject1",
                MessageId: "msgid1",
                ReplyTo: "someQueue",
                ReplyToSessionId: "sessionId",
                SessionId: "session1",
                To: "xyz",
                Properties: { env: "test", retries: 3, urgent: true }
              }
            }
          }, {
            Name: "sql",
            Properties: {
              FilterType: "Sql",
              SqlFilter: { SqlExpression: "sys.MessageId = '123456' AND userProp1 = 'value1'" },
              Action: { SqlExpression: "SET sys.To = 'Entity'" }
            }
          }]
        }]
      }]
    }, { Logging: { Type: "File,Console" } }))
    assert.deepStrictEqual(entities, [
      {
        name: "queue.1",
        options: {
          defaultTimeToLive: 1_800_000,
          duplicateDetectionWindow: 20_000,
          lockDuration: 5000,
          maxDeliveryCount: 7,
          deadLetteringOnExpiration: true,
          requiresSession: true
        }
      },
      { kind: "topic", name: "topic.1", options: { ...hour, duplicateDetectionWindow: 300_000 } },
      {
        kind: "subscription",
        topic: "topic.1",
        name: "subscription.1",
        options: {
          defaultTimeToLive: 600_000,
          lockDuration: 60_000,
          maxDeliveryCount: 10,
          deadLetteringOnExpiration: false,
          requiresSession: true,
          forwardTo: "QUEUE.1",
          forwardDeadLetteredMessagesTo: "queue.1",
          rules: [
            ServiceBusRule.make(
              "app-prop-filter-1",
              ServiceBusRule.correlation({
                contentType: "application/text",
                correlationId: "id1",
                subject: "subject1",
                messageId: "msgid1",
                replyTo: "someQueue",
                replyToSessionId: "sessionId",
                sessionId: "session1",
                to: "xyz",
                applicationProperties: { env: "test", retries: 3, urgent: true }
              })
            ),
            ServiceBusRule.make(
              "sql",
              ServiceBusRule.sql("sys.MessageId = '123456' AND userProp1 = 'value1'"),
              ServiceBusRule.action("SET sys.To = 'Entity'")
            )
          ]
        }
      }
    ])
  })

  it("leaves out what it likes, and has the defaults of Microsoft's emulator then", () => {
    const { entities } = read(file({
      Queues: [{ Name: "q" }, { Name: "d", Properties: { RequiresDuplicateDetection: true } }],
      Topics: [{ Name: "t", Subscriptions: [{ Name: "s" }] }, { Name: "alone" }]
    }))
    assert.deepStrictEqual(entities, [
      { name: "q", options: byDefault },
      { name: "d", options: { ...byDefault, duplicateDetectionWindow: 20_000 } },
      { kind: "topic", name: "t", options: hour },
      { kind: "subscription", topic: "t", name: "s", options: byDefault },
      { kind: "topic", name: "alone", options: hour }
    ])
  })

  it("takes what real files have beyond the schema", () => {
    const shapes: ReadonlyArray<string> = [
      // Testcontainers' modules and forks: one of the two lists, no Logging, empty lists and settings.
      file({ Queues: [{ Name: "q", Properties: {} }] }),
      file({ Topics: [{ Name: "t", Subscriptions: [{ Name: "s", Rules: [] }] }] }),
      file({ Queues: [], Topics: [] }),
      file({}),
      // What Aspire writes: a name of its own, and short times.
      JSON.stringify({
        UserConfig: {
          Namespaces: [{
            Name: "servicebusns",
            Queues: [{ Name: "q", Properties: { DefaultMessageTimeToLive: "PT1M" } }]
          }],
          Logging: { Type: "File" }
        }
      }),
      // Times to live and windows of the service, which the emulator's schema does not have.
      queue({ DefaultMessageTimeToLive: "P14D", DuplicateDetectionHistoryTimeWindow: "PT10M" }),
      queue({ DefaultMessageTimeToLive: "P10675199DT2H48M5.4775807S", AutoDeleteOnIdle: "P10675199DT2H48M5.4775807S" }),
      // Serializers that write what is not set.
      queue({ ForwardTo: null, LockDuration: null }),
      // MassTransit's names (installer issue 134).
      file({ Topics: [{ Name: "company.common.messages~orderupdated" }] }),
      // Comments within a filter, after the last value (an issue form).
      `// the config
      { "UserConfig": { "Namespaces": [ { "Name": "sbemulatorns", "Topics": [ { "Name": "t", "Subscriptions": [ { "Name": "s",
        "Rules": [ { "Name": "r", "Properties": { "FilterType": "Correlation", "CorrelationFilter": {
          "ContentType": "application/json"
          // Other supported properties
          // "CorrelationId": "id1",
        } } } ] } ] } ] } ], "Logging": { "Type": "File" }, /* the end */ } }`
    ]
    for (const text of shapes) read(text)
  })

  it("has sizes, states and a limit of connections where a file does", () => {
    const { entities, maxConnections } = read(file({
      Properties: { MaxAllowedConnections: 25 },
      Queues: [{
        Name: "q",
        Properties: {
          MaxSizeInMegabytes: 2048,
          MaxMessageSizeInKilobytes: 1024,
          Status: "SendDisabled",
          AutoDeleteOnIdle: "PT5M",
          EnablePartitioning: true,
          UserMetadata: "ours"
        }
      }]
    }))
    assert.strictEqual(maxConnections, 25)
    assert.deepStrictEqual(entities[0]!.options, {
      ...byDefault,
      maxSize: 2048 * 1024 ** 2,
      maxMessageSize: 1024 ** 2,
      status: "SendDisabled",
      autoDeleteOnIdle: 300_000
    })
  })

  it("a rule named $Default takes the place of the one that takes everything; so do those of test suites", () => {
    const filters = ["[data-topic] IS NOT NULL", "priority % 2 = 0", "To = 'reply'"]
    for (const sql of filters) {
      const { entities } = read(
        rules({ Name: "$Default", Properties: { FilterType: "Sql", SqlFilter: { SqlExpression: sql } } })
      )
      assert.deepStrictEqual(
        (entities[1]!.options as Emulator.SubscriptionOptions).rules,
        [ServiceBusRule.make("$Default", ServiceBusRule.sql(sql))]
      )
    }
  })

  it("the filter that is there is followed, and said where its type says otherwise", () => {
    const { entities, problems, warnings } = ConfigFile.read(
      rule({ FilterType: "Sql", CorrelationFilter: { Label: "red" } })
    )
    assert.deepStrictEqual(problems, [])
    assert.deepStrictEqual(warnings, [
      `${ruleAt}.Properties.FilterType is "Sql", and the filter that is there is of the type "Correlation": the filter is followed`
    ])
    assert.deepStrictEqual(
      (entities[1]!.options as Emulator.SubscriptionOptions).rules![0]!.filter,
      ServiceBusRule.correlation({ subject: "red" })
    )
    // Without a type there is no doubt.
    read(rule({ SqlFilter: { SqlExpression: "a = 1" } }))
  })

  it("what the command was told holds where the file says nothing", () => {
    const { entities } = read(file({ Queues: [{ Name: "q" }, { Name: "o", Properties: { MaxDeliveryCount: 4 } }] }), {
      defaults: { maxDeliveryCount: 9, lockDuration: "2 minutes" }
    })
    assert.deepStrictEqual(entities.map(({ options }) => [options["maxDeliveryCount"], options["lockDuration"]]), [
      [9, "2 minutes"],
      [4, "2 minutes"]
    ])
  })

  const refused: ReadonlyArray<readonly [text: string, problems: ReadonlyArray<string>]> = [
    ["{ \"UserConfig\": ", ["line 1, column 17: the end of the file is no value of JSON"]],
    ["[]", [
      "the file must be an object, not an array",
      "UserConfig is missing: this is neither a Config.json nor a template of Azure Resource Manager (which has resources)"
    ]],
    [JSON.stringify({ UserConfig: {} }), ["UserConfig has no Namespaces"]],
    [JSON.stringify({ UserConfig: { Namespaces: {} } }), [
      "UserConfig.Namespaces must be an array with one namespace, not an object"
    ]],
    [JSON.stringify({ UserConfig: { Namespaces: [{ Name: "a" }, { Name: "b" }] } }), [
      "UserConfig.Namespaces[1] is a second namespace; a file declares one: start another broker, with a file of its own, for it"
    ]],
    [file({}, { Logging: { Type: "Syslog" } }), [
      "UserConfig.Logging.Type must be \"File\", \"Console\", \"File,Console\" or \"Console,File\", not \"Syslog\""
    ]],
    // Installer issues 93, 102, 127 and 131: dropped without a word there, or called a lack of memory.
    [file({ Entities: [{ Type: "Queue", Name: "q" }] }), [
      `${places}.Entities is not known; queues stand in Queues, topics in Topics`
    ]],
    [file({ Queues: ["orders"] }), [
      `${places}.Queues[0] must be an object with a Name, such as { "Name": "orders" }, not "orders"`
    ]],
    [rule({ FilterType: "SqlFilter", SqlExpression: "a = 1" }), [
      `${ruleAt}.Properties.SqlExpression is not known; it stands within the filter: "SqlFilter": { "SqlExpression": "…" }`,
      `${ruleAt}.Properties.FilterType must be "Sql" or "Correlation", not "SqlFilter"`
    ]],
    [queue({ LockDuration: "PT10M" }), [
      `${property}.LockDuration must be a duration of ISO 8601 from PT1S to PT5M, such as "PT1M", not "PT10M"`
    ]],
    [queue({ LockDuration: "00:01:00" }), [
      `${property}.LockDuration must be a duration of ISO 8601 from PT1S to PT5M, such as "PT1M", not "00:01:00"`
    ]],
    [queue({ DefaultMessageTimeToLive: "PT0S" }), [
      `${property}.DefaultMessageTimeToLive must be a duration of ISO 8601 of PT0.001S or more, such as "PT1H", not "PT0S"`
    ]],
    [queue({ DuplicateDetectionHistoryTimeWindow: "PT1S" }), [
      `${property}.DuplicateDetectionHistoryTimeWindow must be a duration of ISO 8601 from PT5S to P7D, such as "PT1M", not "PT1S"`
    ]],
    [queue({ MaxDeliveryCount: 0 }), [`${property}.MaxDeliveryCount must be a whole number from 1 to 2000, not 0`]],
    [queue({ MaxDeliveryCount: 2.5 }), [`${property}.MaxDeliveryCount must be a whole number from 1 to 2000, not 2.5`]],
    [queue({ RequiresSession: "yes" }), [`${property}.RequiresSession must be true or false, not "yes"`]],
    [queue({ Status: "Off" }), [
      `${property}.Status must be "Active", "Disabled", "SendDisabled" or "ReceiveDisabled", not "Off"`
    ]],
    [queue({ MaxDeliverCount: 3 }), [`${property}.MaxDeliverCount is not known; did you mean MaxDeliveryCount?`]],
    [file({ Queues: [{ Name: "q", LockDuration: "PT1M" }] }), [
      `${places}.Queues[0].LockDuration is not known; what may stand here is Name, Properties`
    ]],
    [file({ Queues: [{ Properties: {} }] }), [`${places}.Queues[0] has no Name`]],
    [file({ Queues: [{ Name: "a#b" }] }), [
      `${places}.Queues[0] cannot be: queue "a#b": a name is a well-formed text without \\ @ ? # * and control characters`
    ]],
    [file({ Queues: [{ Name: "q" }, { Name: "Q" }] }), [
      `${places}.Queues[1] is the queue "Q", which ${places}.Queues[0] declares already; remove one of them`
    ]],
    [file({ Queues: [{ Name: "q" }], Topics: [{ Name: "q" }] }), [
      `${places}.Topics[0] is the topic "q", which ${places}.Queues[0] declares already; remove one of them`
    ]],
    [queue({ ForwardTo: "elsewhere" }), [
      `${property}.ForwardTo has the queue "q" forward to "elsewhere", and there is no such queue or topic; declare it too`
    ]],
    [queue({ ForwardDeadLetteredMessagesTo: 5 }), [
      `${property}.ForwardDeadLetteredMessagesTo must be the name of a queue or topic, not 5`
    ]],
    [rules({ Name: "r" }), [`${ruleAt} has no Properties; a rule has a filter in them`]],
    [rules({ Name: "a/b", Properties: { SqlFilter: { SqlExpression: "a = 1" } } }), [
      `${ruleAt}.Name must be a well-formed string of 1 to 50 characters, none of / \\ @ ? # * or a control character, not "a/b"`
    ]],
    [rules(...["a", "b"].map((value) => ({ Name: "r", Properties: { CorrelationFilter: { Label: value } } }))), [
      `${places}.Topics[0].Subscriptions[0].Rules[1] is the rule "r", which its subscription has already; remove one of them`
    ]],
    [rule({ FilterType: "Sql" }), [
      `${ruleAt}.Properties has no filter; give SqlFilter, with the expression "1=1" for every message`
    ]],
    [rule({ FilterType: "Correlation" }), [`${ruleAt}.Properties has no filter; give CorrelationFilter`]],
    [rule({ SqlFilter: { SqlExpression: "a = 1" }, CorrelationFilter: { Label: "b" } }), [
      `${ruleAt}.Properties has both filters; a rule has one: remove SqlFilter or CorrelationFilter`
    ]],
    [rule({ CorrelationFilter: {} }), [
      `${ruleAt}.Properties.CorrelationFilter has no condition; give one of ContentType, CorrelationId, Label, MessageId, ReplyTo, ReplyToSessionId, SessionId, To, Properties`
    ]],
    [rule({ CorrelationFilter: { Label: "" } }), [
      `${ruleAt}.Properties.CorrelationFilter.Label must be a text that is not empty, not ""`
    ]],
    [rule({ CorrelationFilter: { Properties: { a: [1] } } }), [
      `${ruleAt}.Properties.CorrelationFilter.Properties.a must be a text, a number, true or false, not an array`
    ]],
    [rule({ CorrelationFilter: { Subject: "b" } }), [
      `${ruleAt}.Properties.CorrelationFilter.Subject is not known; what may stand here is ContentType, CorrelationId, Label, MessageId, ReplyTo, ReplyToSessionId, SessionId, To, Properties`,
      `${ruleAt}.Properties.CorrelationFilter has no condition; give one of ContentType, CorrelationId, Label, MessageId, ReplyTo, ReplyToSessionId, SessionId, To, Properties`
    ]],
    [rule({ SqlFilter: { SqlExpression: "a = = 1" } }), [
      `${ruleAt}.Properties.SqlFilter.SqlExpression cannot be read. There was an error parsing the SQL expression. [Token line=1, column=4, Token in error= =, Additional details= syntax error, unexpected '=']`
    ]],
    [rule({ SqlFilter: { SqlExpression: "x".repeat(1025) } }), [
      `${ruleAt}.Properties.SqlFilter.SqlExpression must be at most 1024 characters, not 1025`
    ]],
    [rule({ SqlFilter: { SqlExpression: "a = 1" }, Action: { SqlExpression: "PUT a = 1" } }), [
      `${ruleAt}.Properties.Action.SqlExpression cannot be read. There was an error parsing the SQL expression. [Token line=1, column=0, Token in error= PUT, Additional details= syntax error, unexpected IDENTIFIER, expecting SET, or REMOVE]`
    ]]
  ]
  for (const [text, problems] of refused) {
    it(`refuses ${text.slice(0, 120)}`, () => assert.deepStrictEqual(ConfigFile.read(text).problems, problems))
  }

  it("says all that is wrong at once", () => {
    const { problems } = ConfigFile.read(file({
      Queues: ["a", { Name: "b", Properties: { LockDuration: 5, MaxDeliveryCount: -1 } }],
      Topics: [{ Name: "t", Subscriptions: [{ Name: "s", Properties: { ForwardTo: "x", Unknown: 1 } }] }]
    }))
    assert.deepStrictEqual(problems.map((problem) => problem.split(" ")[0]), [
      `${places}.Queues[0]`,
      `${places}.Queues[1].Properties.LockDuration`,
      `${places}.Queues[1].Properties.MaxDeliveryCount`,
      `${places}.Topics[0].Subscriptions[0].Properties.Unknown`,
      `${places}.Topics[0].Subscriptions[0].Properties.ForwardTo`
    ])
  })

  it.effect("the example is taken by the broker as it is", () =>
    Effect.gen(function*() {
      const { entities } = read(readFileSync(join(root, "examples/emulator-config/Config.json"), "utf8"))
      assert.isAbove(entities.length, 4)
      yield* Effect.provide(
        Effect.void,
        Emulator.layer({
          entities: ConfigFile.read(readFileSync(join(root, "examples/emulator-config/Config.json"), "utf8")).entities
        })
      )
    }))

  it("refuses names that every object has as any other", () => {
    const names = ["constructor", "__proto__", "toString"]
    const properties = `{${names.map((name) => `"${name}": {}`).join()}}`
    const { problems } = ConfigFile.read(
      file({ Queues: [{ Name: "q", Properties: "…" }], Topics: [] }).replace("\"…\"", properties)
    )
    assert.deepStrictEqual(
      problems.map((problem) => problem.slice(0, problem.indexOf(" DefaultMessageTimeToLive"))),
      names.map((name) => `UserConfig.Namespaces[0].Queues[0].Properties.${name} is not known; what may stand here is`)
    )
  })
})
