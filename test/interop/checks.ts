/**
 * The checklist that every foreign client goes through, and the entities that the broker has for it: each check has a
 * queue (or topic) under its own name, so that the checks run side by side and one that fails leaves nothing to another.
 */
import { Duration, Redacted } from "effect"
import { AmqpValue, ServiceBusBody, ServiceBusEntity, ServiceBusRule } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const lock = "30 seconds"
const sessions = { requiresSession: true, lockDuration: lock } as const

/** Every check, in the order of the table, with the options of its queue; a check of a topic has `undefined`. */
export const checks: Record<string, Emulator.EntityOptions | undefined> = {
  // Sending and receiving.
  "send-receive": { lockDuration: lock },
  // What the page on clients shows, as it stands there: it is about a queue "orders".
  "documented": {},
  "receive-and-delete": {},
  "batch": { lockDuration: lock },
  "batch-of-sessions": sessions,
  "fields": { lockDuration: lock },
  "time-to-live": { lockDuration: lock },
  "property-types": { lockDuration: lock },
  "body-kinds": { lockDuration: lock },
  "annotations": { lockDuration: lock },
  "peek": { lockDuration: lock },
  "schedule": { lockDuration: lock },
  "cancel": { lockDuration: lock },
  "duplicates": { lockDuration: lock, duplicateDetectionWindow: "1 minute" },
  // Settling.
  "abandon": { lockDuration: lock },
  "abandon-properties": { lockDuration: lock },
  "released": { lockDuration: lock },
  "defer": { lockDuration: lock },
  "defer-dead-letters": { lockDuration: lock, maxDeliveryCount: 2 },
  "deferred-missing": { lockDuration: lock },
  "dead-letter": { lockDuration: lock },
  "dead-letter-count": { lockDuration: lock },
  "max-delivery-count": { lockDuration: lock, maxDeliveryCount: 2 },
  "lock-renewal": { lockDuration: "3 seconds" },
  "lock-lost": { lockDuration: "1 second" },
  "expiry": { lockDuration: lock, deadLetteringOnExpiration: true },
  // Sessions.
  "session-accept": sessions,
  "session-next": sessions,
  "session-none": sessions,
  "session-order": sessions,
  "session-state": sessions,
  "session-renewal": { ...sessions, lockDuration: "3 seconds" },
  "session-deferred": sessions,
  "session-list": sessions,
  "session-locked": sessions,
  "session-lost": { ...sessions, lockDuration: "1 second" },
  // Topics.
  "topic": undefined,
  "topic-schedule": undefined,
  "topic-peek": undefined,
  "rule-manager": undefined,
  "filters": undefined,
  // Errors.
  "missing-sender": {},
  "missing-receiver": {},
  "missing-subscription": undefined,
  "wrong-key": {},
  // Two more namespaces, by the name of the key in the connection string.
  "namespaces": { lockDuration: lock },
  "wrong-kind": sessions,
  // Sizes.
  "size-200k": { lockDuration: lock },
  "size-300k-refused": { lockDuration: lock },
  "size-2m-refused": { lockDuration: lock },
  "size-5m": { lockDuration: lock, maxMessageSize: 100 * 1024 * 1024 },
  // Other transports, where the client can be pointed at them.
  "tls": { lockDuration: lock },
  // By a library of the language that knows AMQP and nothing of Service Bus.
  "plain-amqp": { lockDuration: lock },
  "web-socket": { lockDuration: lock },
  // Credentials of the SDK for identities, which get their tokens from the broker.
  "identity-secret": { lockDuration: lock },
  "identity-environment": { lockDuration: lock },
  "identity-roles": { lockDuration: lock },
  // Administration, which makes its entities itself.
  "admin-namespace": undefined,
  "admin-queue": undefined,
  "admin-topic": undefined,
  "admin-subscription": undefined,
  "admin-rules": undefined,
  "admin-list": undefined,
  "admin-all": undefined,
  "admin-parameters": undefined,
  "admin-message-size": undefined,
  "admin-runtime": undefined,
  "admin-topic-runtime": undefined,
  "admin-errors": undefined,
  "admin-wrong-key": undefined,
  "admin-identity": undefined,
  "admin-standard-port": undefined
}

/** Application properties of every type, each with the value that the clients send under its name if they have the type. */
const properties: Readonly<Record<string, AmqpValue.AmqpValue>> = {
  text: "täxt",
  yes: true,
  no: false,
  small: 5,
  negative: -7,
  large: 2 ** 40,
  exact: 2n ** 53n + 1n,
  real: 1.5,
  float: AmqpValue.typed("float", 2.5),
  byte: AmqpValue.typed("byte", -5),
  short: AmqpValue.typed("short", -300),
  ubyte: AmqpValue.typed("ubyte", 200),
  ushort: AmqpValue.typed("ushort", 60_000),
  uint: AmqpValue.typed("uint", 4_000_000_000),
  ulong: AmqpValue.typed("ulong", 2n ** 63n),
  uuid: AmqpValue.uuid("01234567-89ab-cdef-0123-456789abcdef"),
  time: new Date(1_700_000_000_123),
  char: AmqpValue.typed("char", "ä"),
  duration: Duration.millis(90_500),
  uri: new URL("https://example.com/x"),
  bytes: Uint8Array.of(1, 255)
}

/** A rule for each property, by its name; a rule with an action puts its name on the copy that it takes. */
const rulesBy = (filter: (name: string, value: AmqpValue.AmqpValue) => ServiceBusRule.Filter) =>
  Object.entries(properties).map(([name, value]) =>
    ServiceBusRule.make(name, filter(name, value), ServiceBusRule.action("SET taken = TRUE"))
  )

/** The rules of subscriptions that do not take everything. */
const rules: Readonly<Record<string, ReadonlyArray<ServiceBusRule.Rule>>> = {
  "filters/one": rulesBy((name, value) => ServiceBusRule.sql(`[${name}] = @value`, { "@value": value })),
  "filters/two": rulesBy((name, value) => ServiceBusRule.correlation({ applicationProperties: { [name]: value } }))
}

const topicOf = (name: string): ReadonlyArray<Emulator.Entity> => {
  const topic = ServiceBusEntity.topic(name, { body: ServiceBusBody.bytes })
  return [
    Emulator.entity(topic),
    ...["one", "two"].map((subscription) =>
      Emulator.entity(ServiceBusEntity.subscription(topic, subscription), {
        lockDuration: lock,
        rules: rules[`${name}/${subscription}`]
      })
    )
  ]
}

/**
 * More than a page of queues, of topics, of rules of a subscription, and of subscriptions: only looked at. Their names stand before
 * those of what other checks make meanwhile, which would move one to the next page.
 */
const pages = (() => {
  const names = Array.from({ length: 105 }, (_, index) => `admin-all-${String(index).padStart(3, "0")}`)
  const topics = names.map((name) => ServiceBusEntity.topic(`${name}-t`, { body: ServiceBusBody.bytes }))
  const subscriptions = names.map((name) => ServiceBusEntity.subscription(topics[1]!, name.replace("admin-all-", "s")))
  const rules = names.map((name) => ServiceBusRule.make(name, ServiceBusRule.true))
  return [
    ...names.map((name) => Emulator.entity(name)),
    ...topics.map((topic) => Emulator.entity(topic)),
    Emulator.entity(ServiceBusEntity.subscription(topics[0]!, "one"), { rules }),
    ...subscriptions.map((subscription) => Emulator.entity(subscription))
  ]
})()

/** The identities of the broker; the secret of each is its client id and "-secret". */
export const identities: ReadonlyArray<Emulator.IdentityOptions> = [
  { clientId: "interop-owner", secret: Redacted.make("interop-owner-secret") },
  {
    clientId: "interop-sender",
    secret: Redacted.make("interop-sender-secret"),
    roles: [{ role: "Azure Service Bus Data Sender", entity: "identity-roles" }]
  }
]

/** What the broker starts with. */
export const entities: ReadonlyArray<Emulator.Entity> = Object.entries(checks).flatMap(([name, options]) =>
  // What is missing, and what is to be made, must not be there.
  name === "missing-sender" || name === "missing-receiver" || name.startsWith("admin-")
    ? []
    : options === undefined
    ? topicOf(name)
    : [Emulator.entity(name, options)]
).concat(pages, Emulator.entity("orders"))
