/** The conditions that faults say. */

/** With which the broker ends links, sessions and connections. */
export const endings = [
  "amqp:link:detach-forced",
  "amqp:internal-error",
  "com.microsoft:server-busy",
  "com.microsoft:timeout",
  "amqp:connection:forced",
  "com.microsoft:operation-cancelled"
]

/** With which it refuses operations. */
export const refusals = [
  "com.microsoft:server-busy",
  "com.microsoft:timeout",
  "amqp:internal-error",
  "amqp:resource-limit-exceeded",
  "com.microsoft:operation-cancelled",
  "amqp:unauthorized-access",
  "amqp:not-found"
]
