/**
 * The checklist that every foreign client goes through, and the entities that the broker has for it: each check has a
 * queue (or topic) under its own name, so that the checks run side by side and one that fails leaves nothing to another.
 */
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const lock = "30 seconds"
const sessions = { requiresSession: true, lockDuration: lock } as const

/** Every check, in the order of the table, with the options of its queue; a check of a topic has `undefined`. */
export const checks: Record<string, Emulator.EntityOptions | undefined> = {
  // Sending and receiving.
  "send-receive": { lockDuration: lock },
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
  // Errors.
  "missing-sender": {},
  "missing-receiver": {},
  "missing-subscription": undefined,
  "wrong-key": {},
  "wrong-kind": sessions,
  // Sizes.
  "size-200k": { lockDuration: lock },
  "size-300k-refused": { lockDuration: lock },
  "size-2m-refused": { lockDuration: lock },
  "size-5m": { lockDuration: lock, maxMessageSize: 100 * 1024 * 1024 },
  // Another transport, where the client can be pointed at it.
  "web-socket": { lockDuration: lock }
}

const topicOf = (name: string): ReadonlyArray<Emulator.Entity> => {
  const topic = ServiceBusEntity.topic(name, { body: ServiceBusBody.bytes })
  return [
    Emulator.entity(topic),
    ...["one", "two"].map((subscription) =>
      Emulator.entity(ServiceBusEntity.subscription(topic, subscription), { lockDuration: lock })
    )
  ]
}

/** What the broker starts with. */
export const entities: ReadonlyArray<Emulator.Entity> = Object.entries(checks).flatMap(([name, options]) =>
  // What is missing must not be there.
  name === "missing-sender" || name === "missing-receiver"
    ? []
    : options === undefined
    ? topicOf(name)
    : [Emulator.entity(name, options)]
)
