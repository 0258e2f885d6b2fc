/**
 * The entities of a namespace over HTTP, as somebody sees them who looks after a broker: what there is and how many messages
 * it holds, told again and again at little cost; how an entity is set, which sessions it has, and its last hour.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { EmulatorError } from "../../ServiceBusError.ts"
import * as CountHistory from "../CountHistory.ts"
import type { Namespace } from "../Namespace.ts"
import * as EntityJson from "../state/EntityJson.ts"
import * as MessageJson from "../state/MessageJson.ts"
import { schemas as error } from "./ControlProblem.ts"
import { ControlTarget, withQueue } from "./ControlTarget.ts"
import { EntityCounts } from "./EntityCounts.ts"
import { Overview } from "./Overview.ts"

const Entities = Schema.Struct({
  version: Schema.String,
  isWhole: Schema.Boolean,
  now: Schema.String,
  entities: Schema.Array(EntityCounts)
}).annotate({ identifier: "Entities" })

const Settings = Schema.Struct({
  entity: EntityJson.Entity,
  createdAt: Schema.String,
  updatedAt: Schema.String,
  accessedAt: Schema.String,
  counters: Schema.Record(Schema.String, Schema.Int)
}).annotate({ identifier: "Settings" })

const Session = Schema.Struct({
  sessionId: Schema.String,
  messages: Schema.Int,
  lockedUntil: Schema.optionalKey(Schema.String),
  state: Schema.optionalKey(MessageJson.Content),
  stateUpdatedAt: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Session" })

const Samples = Schema.Struct({
  /** Milliseconds between two. */
  interval: Schema.Int,
  /** Whether there is a history at all: a broker in memory keeps none. */
  isKept: Schema.Boolean,
  samples: Schema.Array(Schema.Struct({
    at: Schema.String,
    active: Schema.Int,
    scheduled: Schema.Int,
    deadLetter: Schema.Int,
    received: Schema.Int,
    completed: Schema.Int
  }))
}).annotate({ identifier: "Samples" })

export const group = HttpApiGroup.make("entities", { topLevel: true }).add(
  HttpApiEndpoint.get("entities", "/entities", {
    query: { since: Schema.optionalKey(Schema.String) },
    success: Entities,
    error
  }).annotate(OpenApi.Summary, "The entities with their counts, or those that have changed since a version"),
  HttpApiEndpoint.get("settings", "/settings", {
    query: { entity: Schema.NonEmptyString },
    success: Settings,
    error
  }).annotate(OpenApi.Summary, "What an entity is declared with, as a dump has it, and what has happened in it"),
  HttpApiEndpoint.get("sessions", "/sessions", {
    query: {
      entity: Schema.NonEmptyString,
      after: Schema.optionalKey(Schema.String),
      max: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })))
    },
    success: Schema.Array(Session),
    error
  }).annotate(OpenApi.Summary, "The sessions of an entity with messages or state, in the order of their ids"),
  HttpApiEndpoint.get("samples", "/samples", {
    query: { entity: Schema.NonEmptyString },
    success: Samples,
    error
  }).annotate(OpenApi.Summary, "The counts of an entity over the last hour, and what happened between two samples")
)

type SessionQuery = { readonly entity: string; readonly after?: string; readonly max?: number }

const overviews = new WeakMap<Namespace, Overview>()

const overviewOf = (namespace: Namespace): Overview => {
  const before = overviews.get(namespace)
  if (before !== undefined) return before
  const overview = new Overview(namespace.broker)
  overviews.set(namespace, overview)
  return overview
}

const sessions = ({ after, entity, max = 100 }: SessionQuery) =>
  withQueue(entity, ({ path, sessions }) =>
    sessions === undefined
      ? Result.fail(new EmulatorError({ problem: `"${path}" has no sessions: an entity that requires them has` }))
      : Result.succeed(
        sessions.list({ count: max, after }).map((id) => {
          const { lockedUntil, messages, state, stateUpdatedAt } = sessions.look(id)
          return MessageJson.present<typeof Session.Type>({
            sessionId: id,
            messages,
            lockedUntil: lockedUntil === undefined ? undefined : iso(lockedUntil),
            state: state === undefined ? undefined : MessageJson.contentToJson(state, "application/json"),
            stateUpdatedAt: stateUpdatedAt === undefined ? undefined : iso(stateUpdatedAt)
          })
        })
      ))

const samples = (entity: string) =>
  Effect.flatMap(ControlTarget, ({ history }) =>
    withQueue(entity, (queue) =>
      Result.succeed({
        interval: CountHistory.interval,
        isKept: history !== undefined,
        samples: (history?.of(queue) ?? []).map((each) => Object.assign({}, each, { at: iso(each.at) }))
      })))

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))

const settings = (entity: string) =>
  withQueue(entity, (queue, { broker }) => {
    const declaration = broker.declaration(queue.path)
    const runtime = broker.runtime(queue.path)
    if (declaration === undefined || runtime === undefined) {
      return Result.fail(
        new EmulatorError({ problem: `"${queue.path}" has the settings of the entity that it belongs to` })
      )
    }
    return Result.succeed({
      entity: EntityJson.toJson(declaration, queue.rules?.list() ?? []),
      createdAt: iso(runtime.createdAt),
      updatedAt: iso(runtime.updatedAt),
      accessedAt: iso(runtime.accessedAt),
      counters: { ...queue.counters }
    })
  })

/** What is done for each. */
export const handlers = {
  entities: ({ query: { since } }: { readonly query: { readonly since?: string } }) =>
    Effect.map(ControlTarget, ({ namespace }) => ({
      ...overviewOf(namespace).since(since),
      now: iso(namespace.clock.currentTimeMillisUnsafe())
    })),
  settings: ({ query: { entity } }: { readonly query: { readonly entity: string } }) => settings(entity),
  sessions: ({ query }: { readonly query: SessionQuery }) => sessions(query),
  samples: ({ query: { entity } }: { readonly query: { readonly entity: string } }) => samples(entity)
}
