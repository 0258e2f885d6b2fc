/**
 * What a message that is sent again does not have of one that was kept. The broker has the same where a message is sent again as
 * it is: a test compares the two.
 */

/** Properties that tell of a death, which is over. */
export const ofDeath = new Set(["DeadLetterReason", "DeadLetterErrorDescription"])

/** What the broker says of a message and no sender does, and when it was to be there and to end. */
export const notSentAgain = new Set([
  "sequenceNumber",
  "state",
  "enqueuedTime",
  "expiresAt",
  "deliveryCount",
  "wasScheduled",
  "firstSequenceNumber",
  "hops",
  "deadLetterSource",
  "scheduledEnqueueTime",
  "creationTime",
  "absoluteExpiryTime"
])
