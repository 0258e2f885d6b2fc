/**
 * Templates of Azure Resource Manager: the shapes of public ones (Azure's quickstarts for Service Bus, its documentation, what
 * `bicep build` writes of programs on GitHub), each in names of its own, and what is refused, by its path.
 */
import { Duration, Effect } from "effect"
import { ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as ConfigFile from "../../../src/emulator/config/ConfigFile.ts"
import { root } from "../../support/codeBlocks.ts"
import { assert, describe, it } from "../../support/vitest.ts"

type Json = Readonly<Record<string, unknown>>

const template = (resources: ReadonlyArray<Json> | Json, rest: Json = {}) =>
  JSON.stringify({
    $schema: "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    contentVersion: "1.0.0.0",
    ...rest,
    resources
  })

const sb = "Microsoft.ServiceBus/namespaces"

/** A parameter that has no value of its own. */
const open = { type: "string", metadata: { description: "given by whoever deploys it" } }

const by = (defaultValue: unknown) => ({ type: "string", defaultValue })

const location = by("[resourceGroup().location]")

/** What is undefined is not given; durations in milliseconds. */
const given = ({ options = {}, ...entity }: Emulator.Entity) => ({
  ...entity,
  options: Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, Duration.isDuration(value) ? Duration.toMillis(value) : value])
  )
})

const read = (
  text: string,
  { parameters = {}, warnings: expected = [], ...options }: {
    readonly parameters?: Readonly<Record<string, string>>
    readonly warnings?: ReadonlyArray<string>
    readonly others?: ReadonlyArray<Emulator.Entity>
  } = {}
) => {
  const { entities, policies, problems, warnings } = ConfigFile.read(text, {
    ...options,
    parameters: new Map(Object.entries(parameters))
  })
  assert.deepStrictEqual([problems, warnings], [[], expected])
  return { entities: entities.map(given), policies }
}

const endless = { defaultTimeToLive: Infinity }

/** What the service gives a queue that says nothing. */
const byDefault = { ...endless, lockDuration: "1 minute", maxDeliveryCount: 10 }

/** As the quickstarts write settings: with switches and numbers as texts, and .NET's longest time. */
const longest = "P10675199DT2H48M5.4775807S"
const settings = {
  lockDuration: "PT5M",
  maxSizeInMegabytes: "1024",
  requiresDuplicateDetection: "false",
  requiresSession: "false",
  defaultMessageTimeToLive: longest,
  deadLetteringOnMessageExpiration: "false",
  duplicateDetectionHistoryTimeWindow: "PT10M",
  maxDeliveryCount: "12",
  autoDeleteOnIdle: longest,
  enablePartitioning: "false",
  enableExpress: "false"
}
const fromSettings = {
  ...endless,
  lockDuration: 300_000,
  maxDeliveryCount: 12,
  deadLetteringOnExpiration: false,
  requiresSession: false,
  autoDeleteOnIdle: Infinity,
  maxSize: 1024 ** 3
}

describe("templates of the quickstarts", () => {
  it("a queue within its namespace, named by parameters (servicebus-create-queue, before Bicep)", () => {
    const text = template([{
      apiVersion: "2017-04-01",
      name: "[parameters('namespaceName')]",
      type: "Microsoft.ServiceBus/Namespaces",
      location: "[parameters('location')]",
      sku: { name: "Standard" },
      properties: {},
      resources: [{
        apiVersion: "2017-04-01",
        name: "[parameters('queueName')]",
        type: "Queues",
        dependsOn: ["[concat('Microsoft.ServiceBus/namespaces/', parameters('namespaceName'))]"],
        properties: settings
      }]
    }], {
      parameters: { namespaceName: open, queueName: open, location },
      variables: {
        version: "2017-04-01",
        ruleId: `[resourceId('${sb}/authorizationRules', parameters('namespaceName'), 'Root')]`
      },
      outputs: { key: { type: "string", value: "[listkeys(variables('ruleId'), variables('version')).primaryKey]" } }
    })
    assert.deepStrictEqual(read(text, { parameters: { QueueName: "orders" } }).entities, [
      { name: "orders", options: fromSettings }
    ])
    assert.deepStrictEqual(ConfigFile.read(text).problems, [
      "resources[0].resources[0].name is not known: the parameter \"queueName\" has no defaultValue; give it one, or --parameter queueName=VALUE"
    ])
  })

  it("a parameter's value is one that a deployment takes", () => {
    const ask = (definition: object, value: string | undefined = undefined) =>
      ConfigFile.read(
        template([{ type: `${sb}/queues`, name: "[concat('ns/q', string(parameters('p')))]", properties: {} }], {
          parameters: { p: definition }
        }),
        { parameters: new Map(value === undefined ? [] : [["p", value]]) }
      )
    const stages = { type: "string", allowedValues: ["dev", "prod"] }
    const count = { type: "int", minValue: 1, maxValue: 3, allowedValues: [1, 2, 3, 4] }
    const short = { type: "string", minLength: 2, maxLength: 3 }
    for (
      const [definition, value] of [
        [stages, "dev"],
        [stages, "PROD"],
        [{ ...stages, defaultValue: "prod" }, undefined],
        [count, "3"],
        [
          { ...count, defaultValue: 2 },
          undefined
        ],
        [short, "abc"]
      ] as const
    ) {
      assert.deepStrictEqual(ask(definition, value).problems, [], value)
    }
    for (
      const [definition, value, problem] of [
        [stages, "weird", "is \"weird\", and allowedValues has [\"dev\",\"prod\"]"],
        [
          { ...stages, defaultValue: "development" },
          undefined,
          "is \"development\", and allowedValues has [\"dev\",\"prod\"]"
        ],
        [count, "4", "is 4, and maxValue is 3"],
        [count, "0", "is \"0\", and allowedValues has [1,2,3,4]"],
        [{ type: "int", minValue: 1 }, "many", "is NaN, and minValue is 1"],
        [short, "a", "has the length 1, and minLength is 2"],
        [short, "abcd", "has the length 4, and maxLength is 3"]
      ] as const
    ) {
      assert.deepStrictEqual(ask(definition, value).problems, [
        `resources[0].name is not known: the parameter "p" ${problem}`
      ])
    }
  })

  it("the same as Bicep writes it: flat, with names by format (servicebus-create-queue)", () => {
    const { entities } = read(
      template([
        { type: sb, apiVersion: "2017-04-01", name: "[parameters('ns')]", location: "[parameters('location')]" },
        {
          type: `${sb}/queues`,
          apiVersion: "2021-01-01-preview",
          name: "[format('{0}/{1}', parameters('ns'), parameters('queueName'))]",
          properties: { lockDuration: "PT5M", maxSizeInMegabytes: 2048, requiresSession: true, maxDeliveryCount: 5 },
          dependsOn: [`[resourceId('${sb}', parameters('ns'))]`]
        }
      ], {
        metadata: { _generator: { name: "bicep", version: "0.4.412.5873", templateHash: "1" } },
        functions: [],
        parameters: { ns: open, queueName: by("orders"), location }
      })
    )
    assert.deepStrictEqual(entities, [{
      name: "orders",
      options: {
        ...endless,
        lockDuration: 300_000,
        maxDeliveryCount: 5,
        requiresSession: true,
        maxSize: 2 * 1024 ** 3
      }
    }])
  })

  const ruleTemplate = (properties: Json) =>
    template([{
      apiVersion: "2018-01-01-preview",
      name: "[parameters('ns')]",
      type: sb,
      properties: { disableLocalAuth: true },
      resources: [{
        apiVersion: "2017-04-01",
        name: "[parameters('topic')]",
        type: "topics",
        dependsOn: [`[resourceId('${sb}/', parameters('ns'))]`],
        properties: { path: "[parameters('topic')]", supportOrdering: "false", enableBatchedOperations: "false" },
        resources: [{
          apiVersion: "2017-04-01",
          name: "[parameters('subscription')]",
          type: "Subscriptions",
          dependsOn: ["[parameters('topic')]"],
          resources: [{
            apiVersion: "2017-04-01",
            name: "[concat(parameters('subscription'), '-filter')]",
            type: "Rules",
            dependsOn: ["[parameters('subscription')]"],
            properties
          }]
        }]
      }]
    }], {
      parameters: { ns: open, topic: by("news"), subscription: by("sport"), sql: by("Tag = 'true'"), location },
      outputs: {}
    })

  it("a topic, a subscription and a rule, each within the other (servicebus-create-topic-subscription-rule)", () => {
    const { entities } = read(ruleTemplate({
      filterType: "SqlFilter",
      sqlFilter: { sqlExpression: "[parameters('sql')]", requiresPreprocessing: "false" },
      action: { sqlExpression: "SET a = 1" }
    }))
    assert.deepStrictEqual(entities, [
      { kind: "topic", name: "news", options: endless },
      {
        kind: "subscription",
        topic: "news",
        name: "sport",
        options: {
          ...byDefault,
          rules: [
            ServiceBusRule.make(
              "sport-filter",
              ServiceBusRule.sql("Tag = 'true'"),
              ServiceBusRule.action("SET a = 1")
            )
          ]
        }
      }
    ])
  })

  it("a rule whose filter has the wrong name would take everything (servicebus-topic-subscription-sqlfilter)", () => {
    const at = "resources[0].resources[0].resources[0].resources[0].properties"
    assert.deepStrictEqual(
      ConfigFile.read(ruleTemplate({ filter: { sqlExpression: "[parameters('sql')]" } })).problems,
      [
        `${at}.filter is not known; it stands within the filter: "sqlFilter": { "sqlExpression": "…" }`,
        `${at} has no filter; give sqlFilter, with the expression "1=1" for every message`
      ]
    )
  })

  it("authorization rules of the namespace and of a queue (servicebus-create-authrule-namespace-and-queue)", () => {
    const { entities, policies } = read(
      template([{
        name: "[parameters('ns')]",
        type: sb,
        resources: [{
          name: "[parameters('queue')]",
          type: "Queues",
          resources: [{ name: "readers", type: "AuthorizationRules", properties: { rights: ["Listen"] } }]
        }]
      }, {
        name: "[variables('ruleName')]",
        type: `${sb}/authorizationRules`,
        location: "[parameters('location')]",
        properties: { Rights: ["Send"] }
      }, {
        // As servicebus-pn-ar has it.
        name: "[concat(parameters('ns'), concat('/', 'owner'))]",
        type: `${sb}/authorizationRules`,
        properties: { rights: ["Send", "Listen", "Manage"] }
      }, {
        name: "[concat(parameters('ns'), '/RootManageSharedAccessKey')]",
        type: `${sb}/AuthorizationRules`,
        properties: { rights: ["Listen", "Manage", "Send"] }
      }], {
        parameters: { ns: open, queue: by("orders"), rule: by("senders"), location },
        variables: { ruleName: "[concat(parameters('ns'), '/', parameters('rule'))]" }
      }),
      {
        warnings: [
          "resources[0].resources[0].resources[0] is an authorization rule of one entity, and left out: use one of the namespace"
        ]
      }
    )
    assert.deepStrictEqual(entities, [{ name: "orders", options: byDefault }])
    assert.deepStrictEqual(policies, [
      { name: "senders", rights: ["Send"] },
      { name: "owner", rights: ["Send", "Listen", "Manage"] }
    ])
  })

  it("resources of other types, with what is in them, are left out (scheduler-service-bus, servicebus-namespace-vnet)", () => {
    const { entities } = read(
      template([
        {
          name: "[variables('ns')]",
          type: sb,
          resources: [{ name: "[parameters('queueName')]", type: "queues" }]
        },
        {
          name: "[variables('collection')]",
          type: "Microsoft.Scheduler/jobCollections",
          resources: [{ type: "jobs", name: "post", properties: { recurrence: "[parameters('recurrence')]" } }]
        },
        {
          type: "Microsoft.Network/virtualNetworks",
          name: "[format('{0}-vn', parameters('vnet'))]",
          copy: { count: 2 }
        },
        { type: "Microsoft.Network/virtualNetworks", name: "second", condition: "[parameters('isSecond')]" },
        { type: `${sb}/virtualnetworkrules`, name: "[format('{0}/{1}', variables('ns'), parameters('vnet'))]" }
      ], {
        parameters: {
          ns: open,
          vnet: open,
          queueName: by("autoposted"),
          recurrence: { type: "object", defaultValue: { interval: 1 } }
        },
        variables: { ns: "[parameters('ns')]", collection: "QueuePoster" }
      }),
      {
        warnings: [
          `resources of other types are left out: Microsoft.Scheduler/jobCollections, Microsoft.Network/virtualNetworks (2), ${sb}/virtualnetworkrules`
        ]
      }
    )
    assert.deepStrictEqual(entities, [{ name: "autoposted", options: byDefault }])
  })
})

describe("templates that Bicep writes", () => {
  it("symbolic names, an existing namespace, a topic with its subscription", () => {
    const { entities } = read(
      template({
        sbNamespace: { existing: true, type: sb, apiVersion: "2022-10-01-preview", name: "[parameters('ns')]" },
        alerts: {
          type: `${sb}/topics`,
          apiVersion: "2022-10-01-preview",
          name: "[format('{0}/{1}', parameters('ns'), 'alerts')]",
          properties: { maxSizeInMegabytes: 1024, defaultMessageTimeToLive: "P1D", requiresDuplicateDetection: true },
          dependsOn: ["sbNamespace"]
        },
        alerter: {
          type: `${sb}/topics/subscriptions`,
          apiVersion: "2022-10-01-preview",
          name: "[format('{0}/{1}/{2}', parameters('ns'), 'alerts', 'alerter')]",
          properties: { maxDeliveryCount: 5, lockDuration: "PT1M", deadLetteringOnMessageExpiration: true },
          dependsOn: ["alerts"]
        },
        rule: {
          type: `${sb}/topics/subscriptions/rules`,
          name: "[format('{0}/{1}/{2}/{3}', parameters('ns'), 'alerts', 'alerter', 'red')]",
          properties: {
            filterType: "CorrelationFilter",
            correlationFilter: { label: "red", properties: { region: "[variables('region')]" } }
          }
        },
        secrets: { type: "Microsoft.KeyVault/vaults", name: "[uniqueString(resourceGroup().id)]" }
      }, { languageVersion: "2.0", parameters: { ns: open }, variables: { region: "eu" } }),
      { warnings: ["resources of other types are left out: Microsoft.KeyVault/vaults"] }
    )
    assert.deepStrictEqual(entities, [
      {
        kind: "topic",
        name: "alerts",
        options: { defaultTimeToLive: 86_400_000, duplicateDetectionWindow: 600_000, maxSize: 1024 ** 3 }
      },
      {
        kind: "subscription",
        topic: "alerts",
        name: "alerter",
        options: {
          ...endless,
          lockDuration: 60_000,
          maxDeliveryCount: 5,
          deadLetteringOnExpiration: true,
          rules: [
            ServiceBusRule.make(
              "red",
              ServiceBusRule.correlation({ subject: "red", applicationProperties: { region: "eu" } })
            )
          ]
        }
      }
    ])
  })

  it("a module is a template of its own, with what it is given", () => {
    const module = (scope: string | undefined, name: string) => ({
      type: "Microsoft.Resources/deployments",
      name: "queues",
      properties: {
        ...(scope === undefined ? {} : { expressionEvaluationOptions: { scope } }),
        mode: "Incremental",
        parameters: {
          namespaceName: { value: "[parameters('ns')]" },
          name: { value: "[format('{0}-{1}', parameters('stage'), 'orders')]" }
        },
        template: {
          parameters: { namespaceName: open, name: open },
          variables: { ttl: "PT2H" },
          resources: [{
            type: `${sb}/queues`,
            name,
            properties: { defaultMessageTimeToLive: scope === undefined ? "PT3H" : "[variables('ttl')]" }
          }]
        }
      }
    })
    const { entities } = read(template(
      [
        { type: sb, name: "[parameters('ns')]" },
        module("inner", "[format('{0}/{1}', parameters('namespaceName'), parameters('name'))]"),
        // Without a word of the scope it is the outer one.
        module(undefined, "[format('{0}/{1}-outer', parameters('ns'), parameters('stage'))]")
      ],
      { parameters: { ns: by("[concat('sb-', uniqueString(resourceGroup().id))]"), stage: by("test") } }
    ))
    assert.deepStrictEqual(entities, [
      { name: "test-orders", options: { ...byDefault, defaultTimeToLive: 7_200_000 } },
      { name: "test-outer", options: { ...byDefault, defaultTimeToLive: 10_800_000 } }
    ])
  })

  it("settings and names that are computed, or come in an object", () => {
    const { entities } = read(
      template([
        {
          type: `${sb}/queues`,
          name: "[concat(toLower(variables('ns')), '/', replace(parameters('names')[1], ' ', '-'))]",
          properties: "[parameters('settings')]"
        },
        {
          type: `${sb}/queues`,
          name: "[format('{0}/{1}', toLower(variables('ns')), variables('queues').failed.name)]",
          properties: {
            maxDeliveryCount: "[int(parameters('count'))]",
            requiresSession: "[bool('true')]",
            forwardTo: "[last(split('ns/orders-of-ada', '/'))]",
            userMetadata: "[['{{not}}' an expression"
          }
        },
        { type: `${sb}/queues`, name: "ns-a/ordermanagement~v1~new", condition: true, properties: { forwardTo: "" } },
        { type: `${sb}/queues`, name: "ns-a/never", condition: "[parameters('isNew')]" }
      ], {
        parameters: {
          names: { type: "array", defaultValue: ["first", "Orders of Ada"] },
          settings: { type: "object", defaultValue: { lockDuration: "[concat('PT', '30', 'S')]" } },
          count: { type: "int", defaultValue: 4 },
          isNew: { type: "bool", defaultValue: false },
          unused: { type: "string", nullable: true }
        },
        variables: { ns: "NS-A", queues: { failed: { name: "[format('{0}{{1}}', 'failed')]" } } }
      }),
      { warnings: ["resources[3].condition is false: the resource is left out"] }
    )
    assert.deepStrictEqual(entities, [
      { name: "Orders-of-Ada", options: { ...byDefault, lockDuration: 30_000 } },
      {
        name: "failed{1}",
        options: { ...byDefault, maxDeliveryCount: 4, requiresSession: true, forwardTo: "orders-of-ada" }
      },
      { name: "ordermanagement/v1/new", options: byDefault }
    ])
  })

  it("what exists already in Azure is made here, unless it is declared beside the template", () => {
    const text = template({
      topic: { existing: true, type: `${sb}/topics`, name: "ns/news", properties: { status: "unread" } },
      sub: { type: `${sb}/topics/subscriptions`, name: "ns/news/all" }
    }, { languageVersion: "2.0" })
    const made = read(text, {
      warnings: [
        "resources.topic is an existing resource: it is made with the settings that the service has by default"
      ]
    })
    assert.deepStrictEqual(made.entities.map(({ name }) => name), ["all", "news"])
    const beside = read(text, { others: [{ kind: "topic", name: "NEWS" }] })
    assert.deepStrictEqual(beside.entities.map(({ name }) => name), ["all"])
  })
})

describe("what a template cannot have", () => {
  const queue = (rest: Json) => ({ type: `${sb}/queues`, name: "ns/q", ...rest })

  const refused: ReadonlyArray<
    readonly [resources: ReadonlyArray<Json>, problems: ReadonlyArray<string>, rest?: Json]
  > = [
    [[queue({ copy: { name: "each", count: 3 } })], [
      "resources[0].copy is a loop, which is not evaluated here; write out the resources that it makes"
    ]],
    [[queue({ condition: "[equals(parameters('stage'), 'live')]" })], [
      "resources[0].condition is a condition that is not evaluated here; write true or false, or make it a parameter"
    ], { parameters: { stage: by("live") } }],
    [[queue({ condition: "[parameters('isNew')]" })], [
      "resources[0].condition is a condition that is not evaluated here; write true or false, or make it a parameter"
    ], { parameters: { isNew: { type: "bool" } } }],
    [[queue({ name: "[if(equals(1, 1), 'ns/a', 'ns/b')]" })], [
      "resources[0].name is not known: \"if(equals(1, 1), 'ns/a', 'ns/b')\" cannot be known here; write what it comes to"
    ]],
    [[queue({ name: "[format('{0}/{1}', 'ns', guid('a'))]" })], [
      "resources[0].name is not known: \"guid('a')\" cannot be known here; write what it comes to, or make it a parameter"
    ]],
    [[queue({ name: "[concat('ns/', variables('names')[0])]" })], [
      "resources[0].name is not known: the variable \"names\" is not there, or made by a loop (copy), which is not evaluated here; write it out"
    ], { variables: { copy: [{ name: "names", count: 2, input: "q" }] } }],
    [[queue({ name: "[concat('ns/', parameters('typo'))]" })], [
      "resources[0].name is not known: the template has no parameter \"typo\""
    ]],
    [[queue({ name: "[concat('ns/', variables('a'))]" })], [
      "resources[0].name is not known: \"variables('a')\" comes back to itself"
    ], { variables: { a: "[variables('b')]", b: "[variables('a')]" } }],
    [[queue({ name: "[concat('ns/', 'q']" })], [
      "resources[0].name is not known: the expression \"[concat('ns/', 'q']\" cannot be read: \")\" is wanted at its end"
    ]],
    [[queue({ properties: { lockDuration: "[concat('PT', 1, 'M'" } })], [
      "resources[0].properties.lockDuration must be a duration of ISO 8601 from PT1S to PT5M, such as \"PT1M\", not \"[concat('PT', 1, 'M'\""
    ]],
    [[queue({ properties: { lockDuration: "[concat('PT', 1, 'M']" } })], [
      "resources[0].properties.lockDuration is not known: the expression \"[concat('PT', 1, 'M']\" cannot be read: \")\" is wanted at its end"
    ]],
    [[queue({ properties: { maxDeliveryCount: "[parameters('count')]", lockDurations: "PT1M" } })], [
      "resources[0].properties.lockDurations is not known; did you mean lockDuration?",
      "resources[0].properties.maxDeliveryCount is not known: the parameter \"count\" has no defaultValue; give it one, or --parameter count=VALUE"
    ], { parameters: { count: { type: "int" } } }],
    [[{ type: `${sb}/queues` }], ["resources[0] has no name"]],
    [[{ name: "ns/q" }], ["resources[0] has no type"]],
    [[queue({ name: "q" })], [
      "resources[0].name must be {namespaces}/{queues}, a name for each segment of the type Microsoft.ServiceBus/namespaces/queues"
    ]],
    [[queue({}), queue({ name: "other/p" })], [
      "resources[1] is in a second namespace; a file declares one: start another broker, with a template of its own, for it"
    ]],
    [[queue({}), queue({ name: "ns/Q" })], [
      "resources[1] is the queue \"Q\", which resources[0] declares already; remove one of them"
    ]],
    [[{ type: `${sb}/topics/subscriptions`, name: "ns/t/s" }], [
      "resources[0] is the subscription \"s\" of \"t\", and there is no topic \"t\"; declare it too"
    ]],
    [[
      {
        type: `${sb}/topics/subscriptions/rules`,
        name: "ns/t/s/r",
        properties: { sqlFilter: { sqlExpression: "a = 1" } }
      }
    ], ["resources[0] is a rule of the subscription \"t/s\", which the template does not declare; declare it too"]],
    [[{ type: `${sb}/topics/subscriptions/rules`, name: "ns/t/s/r" }], [
      "resources[0] has no properties; a rule has a filter in them"
    ]],
    [[queue({ properties: { forwardTo: "elsewhere" } })], [
      "resources[0].properties.forwardTo has the queue \"q\" forward to \"elsewhere\", and there is no such queue or topic; declare it too"
    ]],
    [[{ type: `${sb}/authorizationRules`, name: "ns/r", properties: { rights: ["Manage"] } }], [
      "resources[0] has the right Manage, which needs Send and Listen too"
    ]],
    [[{ type: `${sb}/authorizationRules`, name: "ns/r" }], [
      "resources[0] has no rights; give Send, Listen, or both with Manage"
    ]],
    [[{ type: `${sb}/authorizationRules`, name: "ns/r", properties: { rights: ["Read"] } }], [
      "resources[0].properties.rights[0] must be \"Send\", \"Listen\" or \"Manage\", not \"Read\"",
      "resources[0] has no rights; give Send, Listen, or both with Manage"
    ]],
    [[
      { type: `${sb}/topics`, name: "ns/t" },
      { type: `${sb}/topics/subscriptions`, name: "ns/t/s", properties: { isClientAffine: true } }
    ], [
      "resources[1].properties.isClientAffine must be false: subscriptions of a client of their own are for JMS, which is not here"
    ]],
    [["queue" as unknown as Json], ["resources[0] must be a resource, not \"queue\""]]
  ]
  for (const [resources, problems, rest] of refused) {
    it(`refuses ${JSON.stringify(resources).slice(0, 120)}: ${problems[0]!.slice(0, 40)}`, () =>
      assert.deepStrictEqual(ConfigFile.read(template(resources, rest)).problems, problems))
  }

  it("expressions that double each other end all the same", () => {
    const doubled = (last: string, call: string) => ({
      ...Object.fromEntries(
        Array.from({ length: 50 }, (_, n) => [`v${n}`, `[${call}(variables('v${n + 1}'), variables('v${n + 1}'))]`])
      ),
      v50: last
    })
    const named = [queue({ name: "[concat('ns/', variables('v0'))]" })]
    const wrong = (variables: Json) => ConfigFile.read(template(named, { variables })).problems.join()
    assert.match(
      wrong(doubled("ab", "concat")),
      /^resources\[0\]\.name is not known: ".*" comes to more than 10000 characters$/
    )
    assert.match(
      wrong(doubled("[variables('v3')]", "concat")),
      /^resources\[0\]\.name is not known: ".*" comes (back to itself|to more than 10000 characters)$/
    )
    assert.match(
      wrong(doubled("ab", "createArray")),
      /^resources\[0\]\.name is not known: ".*" does not fit the arguments of concat$/
    )
    assert.match(
      ConfigFile.read(template([queue({ name: `[${"concat(".repeat(90)}'a'${")".repeat(90)}]` })])).problems.join(),
      /^resources\[0\]\.name is not known: the expression ".*" cannot be read: it goes too deep$/
    )
  })

  it("a module with a loop or a condition, where it has something of Service Bus in it", () => {
    const module = (type: string, rest: Json) =>
      template([{
        type: "Microsoft.Resources/deployments",
        name: "m",
        ...rest,
        properties: { template: { resources: [{ type, name: "ns/q" }] } }
      }])
    assert.deepStrictEqual(ConfigFile.read(module(`${sb}/queues`, { copy: { count: 2 } })).problems, [
      "resources[0].copy is a loop, which is not evaluated here; write out the resources that it makes"
    ])
    assert.deepStrictEqual(ConfigFile.read(module("Microsoft.Web/sites", { copy: { count: 2 } })).problems, [])
    assert.deepStrictEqual(
      ConfigFile.read(
        template([{ type: "Microsoft.Resources/deployments", name: "m", properties: { templateLink: {} } }])
      )
        .warnings,
      ["resources[0] is a template of another file, and left out"]
    )
  })

  it("parameters that it does not have, and a file of parameters in place of a template", () => {
    const wrong = (text: string, parameters: Readonly<Record<string, string>>) =>
      ConfigFile.read(text, { parameters: new Map(Object.entries(parameters)) }).problems
    assert.deepStrictEqual(wrong(template([], { parameters: { a: open } }), { b: "1" }), [
      "--parameter b: the template has no such parameter; it has a"
    ])
    assert.deepStrictEqual(wrong(template([]), { b: "1" }), ["--parameter b: the template has no parameters"])
    assert.deepStrictEqual(wrong("{ \"UserConfig\": { \"Namespaces\": [] } }", { b: "1" }), [
      "--parameter is for the parameters of a template, and this file is none"
    ])
    assert.deepStrictEqual(
      wrong(
        "{ \"$schema\": \"https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#\" }",
        {}
      ),
      ["these are the parameters of a template; give the template, and each value by --parameter NAME=VALUE"]
    )
  })

  it.effect("the example is taken by the broker as it is", () =>
    Effect.gen(function*() {
      const text = readFileSync(join(root, "examples/emulator-config/main.json"), "utf8")
      const { entities, policies } = read(text)
      assert.deepStrictEqual(policies, [{ name: "shop", rights: ["Send", "Listen"] }])
      assert.deepStrictEqual(entities.map(({ name }) => name), ["orders", "failed", "news", "archive", "sport"])
      yield* Effect.provide(Effect.void, Emulator.layer({ entities: ConfigFile.read(text).entities }))
    }))
})
