/**
 * Claims-based security: puts a token for each entity that a link is attached to, and puts a new one before it expires,
 * on the same connection, while links stay up (AMQP claims-based security, WD 02; Service Bus protocol guide).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as RcMap from "effect/RcMap"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { ServiceBusCredential } from "../ServiceBusCredential.ts"
import { type AttachError, CredentialError } from "../ServiceBusError.ts"
import type { Connection } from "./amqp/Connection.ts"
import { whole } from "./amqp/monotonic.ts"
import * as errorMap from "./errorMap.ts"
import * as RequestResponse from "./requestResponse.ts"
import * as sas from "./sas.ts"
import * as supervisor from "./supervisor.ts"

export interface Claims {
  /** Holds a claim on an entity for as long as the scope is open. */
  readonly authorize: (entity: string) => Effect.Effect<void, AttachError, Scope.Scope>
}

interface Token {
  readonly type: string
  readonly token: Redacted.Redacted<string>
  /** Milliseconds of Unix time. */
  readonly expiresAt: number
}

/** How long SAS tokens that are signed here are valid, as in the official SDKs. */
const lifetime = 3600_000

/** A timer longer than this is not set: nobody knows what the clock does until then. */
const maxSleep = 24 * 3600_000

/** The two slashes are meant: the resource id ends with one (Entra documentation of Service Bus). */
const scope = "https://servicebus.azure.net//.default"

/** A provider that does not answer is one that fails. */
const within = <A>(timeout: number, effect: Effect.Effect<A, CredentialError>): Effect.Effect<A, CredentialError> =>
  Effect.timeoutOrElse(effect, {
    duration: timeout,
    orElse: () =>
      Effect.fail(
        new CredentialError({ operation: "authorize", description: `the identity gave no token within ${timeout} ms` })
      )
  })

/** When an identity's token expires, checked: what is no time to come would have it asked for again and again. */
const expiryOf = (expiresOn: unknown): Effect.Effect<number, CredentialError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    if (typeof expiresOn === "number" && Number.isFinite(expiresOn) && expiresOn > now) return Effect.succeed(expiresOn)
    const problem = typeof expiresOn !== "number" || !Number.isFinite(expiresOn)
      ? `${typeof expiresOn === "number" ? expiresOn : `a ${typeof expiresOn}`}, which is no time`
      : `${expiresOn}, which is past`
    return Effect.fail(
      new CredentialError({
        operation: "authorize",
        description:
          `the identity gave a token whose expiresOnTimestamp is ${problem}: it must be the milliseconds of ` +
          "Unix time at which the token expires"
      })
    )
  })

/** Whatever the user's credential failed with. */
const failed = (cause: unknown): CredentialError =>
  new CredentialError({
    operation: "authorize",
    description: cause instanceof Error ? cause.message : String(cause),
    cause
  })

const tokenOf = (
  credential: ServiceBusCredential,
  audience: string,
  timeout: number
): Effect.Effect<Token, CredentialError> => {
  switch (credential._tag) {
    case "SharedKey":
      return Effect.map(Clock.currentTimeMillis, (now) => ({
        type: "servicebus.windows.net:sastoken",
        token: sas.sign({
          resource: audience,
          keyName: credential.name,
          key: credential.key,
          expiresAt: (now + lifetime) / 1000
        }),
        expiresAt: now + lifetime
      }))
    case "SharedAccessSignature": {
      const parts = sas.parse(Redacted.value(credential.token))
      return parts === undefined
        ? Effect.fail(new CredentialError({ operation: "authorize", description: "it is not a SAS token" }))
        : Effect.succeed({
          type: "servicebus.windows.net:sastoken",
          token: credential.token,
          expiresAt: parts.expiresAt * 1000
        })
    }
    case "Rotating":
      return within(
        timeout,
        Effect.mapError(credential.current, failed)
      ).pipe(Effect.flatMap((current) => tokenOf(current, audience, timeout)))
    case "Identity":
      return Effect.tryPromise({
        try: (abortSignal) => credential.credential.getToken(scope, { abortSignal }),
        catch: failed
      }).pipe(
        (token) => within(timeout, token),
        Effect.flatMap((token) =>
          token === null || typeof token.token !== "string" || token.token === ""
            ? Effect.fail(new CredentialError({ operation: "authorize", description: "the identity gave no token" }))
            : Effect.map(expiryOf(token.expiresOnTimestamp), (expiresAt) => ({
              type: "jwt",
              token: Redacted.make(token.token),
              expiresAt
            }))
        )
      )
  }
}

export const make: (connection: Connection, options: {
  readonly host: string
  readonly credential: ServiceBusCredential
  readonly timeout: number
}) => Effect.Effect<Claims, AttachError, Scope.Scope> = Effect.fnUntraced(function*(connection, options) {
  // The service detaches the node like any other link that is idle for long, and the connection goes on without it.
  const node = yield* supervisor.make({
    open: () =>
      RequestResponse.make(connection, {
        address: "$cbs",
        entity: "$cbs",
        timeout: options.timeout,
        repeatable: true
      }),
    isLost: (node) => node.isLost()
  })

  const put = Effect.fnUntraced(function*(entity: string) {
    const audience = `sb://${options.host}/${entity}`
    const token = yield* tokenOf(options.credential, audience, options.timeout)
    const response = yield* (yield* node.get).request(
      { operation: "put-token", type: token.type, name: audience },
      Redacted.value(token.token),
      "authorize"
    )
    if (response.status >= 200 && response.status < 300) return token
    return yield* errorMap.fromCbs(response.status, response.condition, response.description, {
      entity,
      operation: "authorize"
    })
  })

  const claim = Effect.fnUntraced(function*(entity: string) {
    let token: Token = yield* put(entity)
    const refresh = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const left = token.expiresAt - now
      // A quarter of the life, at most 15 minutes, is left for trying again when the provider fails.
      yield* Effect.sleep(whole(Math.min(maxSleep, Math.max(1_000, left - Math.min(900_000, left / 4)))))
      if (token.expiresAt - (yield* Clock.currentTimeMillis) > 900_000) return
      token = yield* put(entity).pipe(
        Effect.tapError((error) => Effect.logWarning("Refreshing a Service Bus token failed", error)),
        Effect.retry({ schedule: Schedule.spaced(Duration.seconds(10)), while: () => connection.dead() === undefined })
      )
    })
    yield* refresh.pipe(Effect.forever, Effect.forkScoped)
  })

  const claims = yield* RcMap.make({ lookup: claim })
  return {
    authorize: (entity) =>
      // The map keeps a failure for as long as anybody holds it.
      Effect.tapError(RcMap.get(claims, entity), () => RcMap.invalidate(claims, entity))
  }
})
