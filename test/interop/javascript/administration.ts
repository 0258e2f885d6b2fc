/** The checks of administration with the client of @azure/service-bus, over HTTPS. */
import {
  type CorrelationRuleFilter,
  type CreateQueueOptions,
  type CreateSubscriptionOptions,
  type CreateTopicOptions,
  type RuleProperties,
  ServiceBusAdministrationClient,
  ServiceBusClient,
  type SqlRuleFilter
} from "@azure/service-bus"
import { deepStrictEqual, ok, strictEqual } from "node:assert"

/** Where the broker is. */
export interface AdministrationPlace {
  readonly connection: string
  readonly httpsPort: number
}

const clientOf = (place: AdministrationPlace, key?: string) => {
  const secure = place.connection.replace(/sb:\/\/[^;]+/, `sb://localhost:${place.httpsPort}/`).replace(
    ";UseDevelopmentEmulator=true",
    ""
  )
  return new ServiceBusAdministrationClient(
    key === undefined ? secure : secure.replace(/SharedAccessKey=[^;]+/, `SharedAccessKey=${key}`)
  )
}

const rejects = async (what: string, code: string, statusCode: number | undefined, action: () => Promise<unknown>) => {
  let error: (Error & { readonly code?: string; readonly statusCode?: number }) | undefined
  try {
    await action()
  } catch (cause) {
    error = cause as Error
  }
  if (error === undefined) throw new Error(`${what}: nothing failed`)
  deepStrictEqual([error.code, error.statusCode], [code, statusCode], `${what}: ${error.message}`)
}

const all = async <A>(list: AsyncIterable<A>) => {
  const items: Array<A> = []
  for await (const item of list) items.push(item)
  return items
}

/** What was asked for is there, with what else the client says. */
const includes = (what: string, actual: object, wanted: object) => {
  for (const [name, value] of Object.entries(wanted)) {
    deepStrictEqual((actual as Record<string, unknown>)[name], value, `${what}: ${name}`)
  }
}

const queue = {
  lockDuration: "PT45S",
  maxSizeInMegabytes: 2048,
  requiresDuplicateDetection: true,
  requiresSession: true,
  defaultMessageTimeToLive: "P2D",
  deadLetteringOnMessageExpiration: true,
  duplicateDetectionHistoryTimeWindow: "PT1M",
  maxDeliveryCount: 8,
  enableBatchedOperations: false,
  userMetadata: "text & <more>",
  autoDeleteOnIdle: "PT1H",
  enableExpress: false,
  enablePartitioning: false,
  status: "ReceiveDisabled"
} satisfies CreateQueueOptions

const topic = {
  defaultMessageTimeToLive: "P2D",
  maxSizeInMegabytes: 2048,
  requiresDuplicateDetection: true,
  duplicateDetectionHistoryTimeWindow: "PT1M",
  enableBatchedOperations: false,
  status: "SendDisabled",
  userMetadata: "of a topic",
  supportOrdering: true,
  autoDeleteOnIdle: "PT1H",
  enablePartitioning: false,
  enableExpress: false
} satisfies CreateTopicOptions

const subscription = {
  lockDuration: "PT45S",
  requiresSession: true,
  defaultMessageTimeToLive: "P2D",
  deadLetteringOnMessageExpiration: true,
  deadLetteringOnFilterEvaluationExceptions: false,
  maxDeliveryCount: 8,
  enableBatchedOperations: false,
  userMetadata: "of a subscription",
  autoDeleteOnIdle: "PT1H",
  status: "ReceiveDisabled"
} satisfies CreateSubscriptionOptions

export const administration: Record<string, (name: string, place: AdministrationPlace) => Promise<void>> = {
  "admin-namespace": async (_, place) => {
    const { createdAt, messagingSku, name } = await clientOf(place).getNamespaceProperties()
    ok(createdAt instanceof Date)
    deepStrictEqual([messagingSku, name], ["Standard", "sbemulatorns"])
  },

  "admin-queue": async (name, place) => {
    const admin = clientOf(place)
    await admin.createQueue(`${name}-target`)
    const authorizationRules = [{
      claimType: "SharedAccessKey",
      accessRights: ["Send" as const],
      keyName: "mine",
      primaryKey: `${"a".repeat(43)}=`,
      secondaryKey: `${"b".repeat(43)}=`
    }]
    const forwarding = { forwardDeadLetteredMessagesTo: `${name}-target` }
    const created = await admin.createQueue(name, { ...queue, ...forwarding, authorizationRules })
    includes("created", created, { ...queue, name, authorizationRules })
    ok(created.forwardDeadLetteredMessagesTo?.endsWith(`/${name}-target`))
    const read = await admin.getQueue(name)
    includes("read", read, { ...queue, name, authorizationRules })
    const changed = await admin.updateQueue({
      ...read,
      maxDeliveryCount: 9,
      status: "Active",
      lockDuration: "PT1M",
      userMetadata: "other"
    })
    includes("changed", changed, { maxDeliveryCount: 9, status: "Active", lockDuration: "PT1M", userMetadata: "other" })
    includes("read again", await admin.getQueue(name), { maxDeliveryCount: 9, requiresSession: true })
    strictEqual(await admin.queueExists(name), true)
    await admin.deleteQueue(name)
    strictEqual(await admin.queueExists(name), false)
  },

  "admin-topic": async (name, place) => {
    const admin = clientOf(place)
    includes("created", await admin.createTopic(name, topic), { ...topic, name })
    const read = await admin.getTopic(name)
    includes("read", read, { ...topic, name })
    includes("changed", await admin.updateTopic({ ...read, status: "Active", autoDeleteOnIdle: "PT2H" }), {
      status: "Active",
      autoDeleteOnIdle: "PT2H"
    })
    strictEqual((await admin.getTopicRuntimeProperties(name)).subscriptionCount, 0)
    ok((await all(admin.listTopics())).some((each) => each.name === name))
    await admin.deleteTopic(name)
    strictEqual(await admin.topicExists(name), false)
  },

  "admin-subscription": async (name, place) => {
    const admin = clientOf(place)
    await admin.createTopic(name)
    await admin.createQueue(`${name}-target`)
    const wanted = { ...subscription, subscriptionName: "Sub.one", topicName: name }
    includes("created", await admin.createSubscription(name, "Sub.one", subscription), wanted)
    const read = await admin.getSubscription(name, "Sub.one")
    includes("read", read, wanted)
    const forwardTo = `${name}-target`
    await admin.createSubscription(name, "two", { forwardTo })
    ok((await admin.getSubscription(name, "two")).forwardTo?.endsWith(`/${forwardTo}`))
    await admin.updateSubscription({ ...read, maxDeliveryCount: 3, status: "Active" })
    includes("read again", await admin.getSubscription(name, "Sub.one"), { maxDeliveryCount: 3, status: "Active" })
    deepStrictEqual((await all(admin.listSubscriptions(name))).map((each) => each.subscriptionName), ["Sub.one", "two"])
    await admin.deleteSubscription(name, "two")
    strictEqual(await admin.subscriptionExists(name, "two"), false)
    strictEqual(await admin.subscriptionExists(name, "Sub.one"), true)
  },

  "admin-rules": async (name, place) => {
    const admin = clientOf(place)
    await admin.createTopic(name)
    await admin.createSubscription(name, "one", {
      defaultRuleOptions: { name: "first", filter: { sqlExpression: "a = 1" }, action: { sqlExpression: "SET b = 2" } }
    })
    const sql: SqlRuleFilter = {
      sqlExpression: "a = @text AND b > @number",
      sqlParameters: { "@text": "it's <&>", "@number": 1.5 }
    }
    const correlation: CorrelationRuleFilter = {
      correlationId: "c",
      messageId: "m",
      to: "t",
      replyTo: "r",
      subject: "s",
      sessionId: "i",
      replyToSessionId: "j",
      contentType: "text/plain",
      applicationProperties: { text: "x", number: 1.5, yes: true, time: new Date(1_700_000_000_000) }
    }
    await admin.createRule(name, "one", "sql", sql, { sqlExpression: "SET c = @v", sqlParameters: { "@v": "w" } })
    await admin.createRule(name, "one", "correlation", correlation)
    await admin.createRule(name, "one", "true", { sqlExpression: "1=1" })
    const read = await admin.getRule(name, "one", "sql")
    deepStrictEqual(read.filter, sql)
    includes("action", read.action, { sqlExpression: "SET c = @v", sqlParameters: { "@v": "w" } })
    deepStrictEqual((await admin.getRule(name, "one", "correlation")).filter, correlation)
    deepStrictEqual((await all(admin.listRules(name, "one"))).map((rule: RuleProperties) => rule.name), [
      "correlation",
      "first",
      "sql",
      "true"
    ])
    await admin.updateRule(name, "one", { ...read, filter: { sqlExpression: "a = 3" } })
    includes("changed", (await admin.getRule(name, "one", "sql")).filter, { sqlExpression: "a = 3" })
    await rejects(
      "an expression",
      "ServiceError",
      400,
      () => admin.createRule(name, "one", "bad", { sqlExpression: "a =" })
    )
    await admin.deleteRule(name, "one", "sql")
    strictEqual(await admin.ruleExists(name, "one", "sql"), false)
  },

  "admin-list": async (name, place) => {
    const admin = clientOf(place)
    await admin.createTopic(name)
    const names = Array.from({ length: 25 }, (_, index) => `s${String(index).padStart(2, "0")}`)
    for (const each of names) await admin.createSubscription(name, each)
    const pages: Array<ReadonlyArray<string>> = []
    for await (const page of admin.listSubscriptions(name).byPage({ maxPageSize: 10 })) {
      pages.push(page.map((each) => each.subscriptionName))
    }
    deepStrictEqual(pages, [names.slice(0, 10), names.slice(10, 20), names.slice(20)])
    deepStrictEqual(
      (await all(admin.listSubscriptionsRuntimeProperties(name))).map((each) => each.activeMessageCount),
      names.map(() => 0)
    )
    await admin.deleteTopic(name)
  },

  "admin-all": async (name, place) => {
    const admin = clientOf(place)
    const names = Array.from({ length: 105 }, (_, index) => `${name}-${String(index).padStart(3, "0")}`)
    const topics = names.map((each) => `${each}-t`)
    const ours = async (listed: AsyncIterable<{ readonly name: string }>) =>
      (await all(listed)).map((each) => each.name).filter((each) => each.startsWith(`${name}-`))
    deepStrictEqual(await ours(admin.listQueues()), names)
    deepStrictEqual(await ours(admin.listQueuesRuntimeProperties()), names)
    deepStrictEqual(await ours(admin.listTopics()), topics)
    deepStrictEqual(await ours(admin.listTopicsRuntimeProperties()), topics)
    deepStrictEqual((await all(admin.listRules(topics[0]!, "one"))).map((each) => each.name), names)
  },

  "admin-parameters": async (name, place) => {
    const admin = clientOf(place)
    await admin.createTopic(name)
    await admin.createSubscription(name, "one")
    const sqlParameters = {
      "@text": "it's <&> ä",
      "@number": -7,
      "@large": 2 ** 40,
      "@real": 1.5,
      "@no": false
    }
    const filter = { sqlExpression: "a = @text OR b = @number", sqlParameters }
    const action = { sqlExpression: "SET a = @text; SET b = @number", sqlParameters }
    includes("created", await admin.createRule(name, "one", "mine", filter, action), { filter })
    const read = await admin.getRule(name, "one", "mine")
    deepStrictEqual(read.filter, filter)
    includes("action", read.action, action)
    await admin.updateRule(name, "one", read)
    includes("written back", (await admin.getRule(name, "one", "mine")).action, action)
  },

  "admin-message-size": async (name, place) => {
    const admin = clientOf(place)
    const created = await admin.createQueue(name, { maxMessageSizeInKilobytes: 2048 })
    strictEqual(created.maxMessageSizeInKilobytes, 2048)
    strictEqual((await admin.getQueue(name)).maxMessageSizeInKilobytes, 2048)
    const client = new ServiceBusClient(place.connection)
    try {
      await client.createSender(name).sendMessages({ body: "x".repeat(1536 * 1024) })
    } finally {
      await client.close()
    }
    strictEqual((await admin.getQueueRuntimeProperties(name)).totalMessageCount, 1)
  },

  "admin-topic-runtime": async (name, place) => {
    const admin = clientOf(place)
    await admin.createTopic(name)
    await admin.createSubscription(name, "all")
    await admin.createSubscription(name, "some")
    await admin.deleteRule(name, "some", "$Default")
    await admin.createRule(
      name,
      "some",
      "large",
      { sqlExpression: "quantity > @least", sqlParameters: { "@least": 5 } },
      { sqlExpression: "SET seen = @mark", sqlParameters: { "@mark": "yes" } }
    )
    const client = new ServiceBusClient(place.connection)
    try {
      const sender = client.createSender(name)
      for (const quantity of [3, 7, 9]) {
        await sender.sendMessages({ body: quantity, applicationProperties: { quantity } })
      }
      await sender.scheduleMessages({ body: "x" }, new Date(Date.now() + 3600_000))
      const receiver = client.createReceiver(name, "some")
      const [message] = await receiver.receiveMessages(1)
      deepStrictEqual([message!.body, message!.applicationProperties?.["seen"]], [7, "yes"])
      await receiver.deadLetterMessage(message!)
    } finally {
      await client.close()
    }
    const some = { totalMessageCount: 2, activeMessageCount: 1, deadLetterMessageCount: 1 }
    const every = { totalMessageCount: 3, activeMessageCount: 3, deadLetterMessageCount: 0 }
    includes("all", await admin.getSubscriptionRuntimeProperties(name, "all"), every)
    includes("some", await admin.getSubscriptionRuntimeProperties(name, "some"), some)
    const listed = await all(admin.listSubscriptionsRuntimeProperties(name))
    deepStrictEqual(listed.map((each) => each.totalMessageCount), [3, 2])
    includes("the topic", await admin.getTopicRuntimeProperties(name), {
      subscriptionCount: 2,
      scheduledMessageCount: 1
    })
  },

  "admin-runtime": async (name, place) => {
    const admin = clientOf(place)
    await admin.createQueue(name)
    const client = new ServiceBusClient(place.connection)
    try {
      const sender = client.createSender(name)
      await sender.sendMessages([{ body: "a" }, { body: "b" }, { body: "c" }])
      await sender.scheduleMessages({ body: "d" }, new Date(Date.now() + 3600_000))
      const receiver = client.createReceiver(name)
      const [message] = await receiver.receiveMessages(1)
      await receiver.deadLetterMessage(message!)
    } finally {
      await client.close()
    }
    const runtime = await admin.getQueueRuntimeProperties(name)
    includes("counts", runtime, {
      totalMessageCount: 4,
      activeMessageCount: 2,
      deadLetterMessageCount: 1,
      scheduledMessageCount: 1,
      transferMessageCount: 0,
      transferDeadLetterMessageCount: 0
    })
    ok(runtime.sizeInBytes! > 0 && runtime.accessedAt >= runtime.createdAt)
    const listed = (await all(admin.listQueuesRuntimeProperties())).find((each) => each.name === name)
    strictEqual(listed?.totalMessageCount, 4)
  },

  "admin-errors": async (name, place) => {
    const admin = clientOf(place)
    await admin.createQueue(name)
    const read = await admin.getQueue(name)
    await rejects("a conflict", "MessageEntityAlreadyExistsError", 409, () => admin.createQueue(name))
    await rejects("a missing queue", "MessageEntityNotFoundError", 200, () => admin.getQueue(`${name}-not`))
    await rejects("a missing topic", "MessageEntityNotFoundError", 200, () => admin.getTopic(`${name}-not`))
    await rejects(
      "an update of nothing",
      "MessageEntityNotFoundError",
      404,
      () => admin.updateQueue({ ...read, name: `${name}-not` })
    )
    await rejects("a deletion of nothing", "MessageEntityNotFoundError", 404, () => admin.deleteQueue(`${name}-not`))
    await rejects(
      "sessions afterwards",
      "ServiceError",
      400,
      () => admin.updateQueue({ ...read, requiresSession: true })
    )
    await rejects("a long lock", "ServiceError", 400, () => admin.createQueue(`${name}-not`, { lockDuration: "PT6M" }))
    await rejects(
      "a subscription of nothing",
      "MessageEntityNotFoundError",
      404,
      () => admin.createSubscription(`${name}-not`, "one")
    )
  },

  "admin-wrong-key": async (name, place) => {
    const admin = clientOf(place, "d3Jvbmc=")
    await rejects("a wrong key", "UnauthorizedRequestError", 401, () => admin.createQueue(name))
    strictEqual(await clientOf(place).queueExists(name), false)
  }
}
