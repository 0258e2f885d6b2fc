/**
 * An entity with its counts, as `/entities` tells of it.
 *
 * A file of its own because the page, which is checked against it, knows nothing of a broker and of Node.
 */
import * as Schema from "effect/Schema"

/** Messages are counted by their states; those that are locked or deferred are active ones. */
export const EntityCounts = Schema.Struct({
  path: Schema.String,
  kind: Schema.Literals(["queue", "topic", "subscription"]),
  status: Schema.String,
  requiresSession: Schema.Boolean,
  forwardTo: Schema.optionalKey(Schema.String),
  active: Schema.Int,
  scheduled: Schema.Int,
  deadLetter: Schema.Int,
  transferDeadLetter: Schema.Int,
  sizeInBytes: Schema.Int,
  // What has happened since the entity was made, or the broker has started with it.
  enqueued: Schema.Int,
  delivered: Schema.Int,
  completed: Schema.Int,
  receivedAndDeleted: Schema.Int,
  deadLettered: Schema.Int
}).annotate({ identifier: "EntityCounts" })

export type EntityCounts = typeof EntityCounts.Type
