/**
 * Claims-based security: puts a token for each entity that a link is attached to, and puts a new one before it expires,
 * on the same connection, while links stay up (AMQP claims-based security, WD 02; Service Bus protocol guide).
 *
 * The claims of a connection end with it. The tokens that a provider gave belong to the client and outlive its connections.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as RcMap from "effect/RcMap"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as ConnectionString from "../../ConnectionString.ts"
import type { Identity, ServiceBusCredential } from "../../ServiceBusCredential.ts"
import { type AttachError, CredentialError } from "../../ServiceBusError.ts"
import { type Connection, orDeath } from "../amqp/Connection.ts"
import * as errorMap from "../errorMap.ts"
import * as RequestResponseLink from "../management/RequestResponseLink.ts"
import { wholeMillis } from "../monotonicClock.ts"
import * as SasToken from "../SasToken.ts"
import type { Outages } from "./Outages.ts"
import * as RecoveringLink from "./RecoveringLink.ts"

export interface Claims {
  /** Holds a claim on an entity for as long as the scope is open. */
  readonly authorize: (entity: string) => Effect.Effect<void, AttachError, Scope.Scope>
  /** Puts fresh tokens for the claims on an entity before their time; later claims have a fresh one as well. */
  readonly renew: (entity: string) => Effect.Effect<void, AttachError>
}

/** A claim that is held. */
interface Held {
  /** It was over before its time, as the peer says, and no token could be put again since. */
  isStale: boolean
}

/** What a credential gives, and until when it may be used. */
interface Token {
  readonly type: string
  readonly token: Redacted.Redacted<string>
  /** Milliseconds of Unix time. */
  readonly expiresAt: number
}

/** How long SAS tokens that are signed here are valid, as in the official SDKs. */
const lifetime = 3600_000

/** The longest sleep: the wall clock may be set meanwhile, and tokens expire by it. */
const maxSleep = 24 * 3600_000

/** The two slashes are meant: the resource id ends with one (Entra documentation of Service Bus). */
const scope = "https://servicebus.azure.net//.default"

/** How long before its end a token that lasts so long is replaced, in milliseconds: time to try again in. */
const refreshMargin = (left: number): number => Math.min(900_000, left / 4)

const credentialError = (reason: "provider" | "token", description: string, cause?: unknown): CredentialError =>
  new CredentialError({
    operation: "authorize",
    reason,
    description,
    ...(cause === undefined ? {} : { cause })
  })

/** A provider that does not answer in time has failed. */
const withTimeout = <A>(
  timeout: number,
  effect: Effect.Effect<A, CredentialError>
): Effect.Effect<A, CredentialError> =>
  Effect.timeoutOrElse(effect, {
    duration: timeout,
    orElse: () => Effect.fail(credentialError("provider", `the identity gave no token within ${timeout} ms`))
  })

/** When an identity's token expires, checked: what is no time to come would have it asked for again and again. */
const expiryOf = (expiresOn: unknown): Effect.Effect<number, CredentialError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    if (typeof expiresOn === "number" && Number.isFinite(expiresOn) && expiresOn > now) return Effect.succeed(expiresOn)
    const problem = typeof expiresOn !== "number" || !Number.isFinite(expiresOn)
      ? `${typeof expiresOn === "number" ? expiresOn : `a ${typeof expiresOn}`}, which is no time`
      : `${expiresOn}, which is past`
    return Effect.fail(credentialError(
      "token",
      `the identity gave a token whose expiresOnTimestamp is ${problem}: it must be the milliseconds of ` +
        "Unix time at which the token expires"
    ))
  })

/** The error of a credential of the user's that failed with any value. */
const providerError = (cause: unknown): CredentialError => {
  try {
    return credentialError("provider", cause instanceof Error ? cause.message : String(cause), cause)
  } catch {
    return credentialError("provider", "the identity failed with what cannot be read")
  }
}

/** A provider is the user's: its defects are failures of it. */
const withProviderErrors = <A>(effect: Effect.Effect<A, unknown>): Effect.Effect<A, CredentialError> =>
  Effect.catchDefect(Effect.mapError(effect, providerError), (defect) => Effect.fail(providerError(defect)))

/**
 * The tokens of a client's credential. What a provider gave is used for every claim and on every connection, until it is
 * time for a new one or the service refuses it; and beyond that as long as it is good, where the provider fails.
 */
interface Tokens {
  /** A token for an audience. With `isRefresh` one that the provider has given for this purpose, or later. */
  readonly get: (audience: string, isRefresh?: boolean) => Effect.Effect<Token, CredentialError>
  /** Drops a token that the service has refused. */
  readonly drop: (token: Token) => void
  /** The last token may be invalid: the provider is asked next time, and the token is still used where that fails. */
  readonly refreshNext: (now: number) => void
}

/** What a provider gave last. Times are milliseconds of Unix time. */
interface Cached<A> {
  readonly value: A
  readonly givenAt: number
  readonly renewAt: number
  readonly expiresAt: number
}

/** What a provider gave last, and asks it again before that expires. */
class ProviderCache<A> {
  private last: Cached<A> | undefined = undefined
  private asking: Fiber.Fiber<A, CredentialError> | undefined = undefined
  private waiting = 0
  private readonly ask: Effect.Effect<{ readonly value: A; readonly expiresAt: number }, CredentialError>

  constructor(ask: Effect.Effect<{ readonly value: A; readonly expiresAt: number }, CredentialError>) {
    this.ask = ask
  }

  get(isRefresh: boolean): Effect.Effect<A, CredentialError> {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const { last } = this
      if (last !== undefined && now < last.renewAt) return Effect.succeed(last.value)
      const asked = last === undefined || isRefresh || now >= last.expiresAt
        ? this.shared
        // The last one is still valid: the next is not waited for as long as an operation may take.
        : withTimeout(refreshTimeout, this.shared)
      return Effect.catch(
        asked,
        (error) =>
          Effect.flatMap(
            Clock.currentTimeMillis,
            (now) =>
              !isRefresh && last !== undefined && last === this.last && now < last.expiresAt
                ? Effect.succeed(last.value)
                : Effect.fail(error)
          )
      )
    })
  }

  /** Asks once for all that wait; it is interrupted with the last of them. */
  private readonly shared: Effect.Effect<A, CredentialError> = Effect.uninterruptibleMask((restore) =>
    Effect.gen({ self: this }, function*() {
      const fiber = this.asking ??= yield* Effect.forkDetach(Effect.interruptible(this.askAndCache))
      this.waiting++
      return yield* Effect.ensuring(
        // It is interrupted from here once nobody waits: otherwise the provider ended so by itself, and has failed.
        Effect.flatMap(restore(Fiber.await(fiber)), (exit) =>
          Exit.isFailure(exit) && !Cause.hasFails(exit.cause)
            ? Effect.fail(providerError(
              Cause.hasInterruptsOnly(exit.cause) ? "the credential interrupted itself" : Cause.squash(exit.cause)
            ))
            : exit),
        Effect.sync(() => {
          if (--this.waiting > 0) return
          this.asking = undefined
          fiber.interruptUnsafe()
        })
      )
    })
  )

  private get askAndCache(): Effect.Effect<A, CredentialError> {
    return Effect.flatMap(this.ask, ({ expiresAt, value }) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        this.last = { value, givenAt: now, expiresAt, renewAt: expiresAt - refreshMargin(expiresAt - now) }
        return value
      }))
  }

  drop(value: A): void {
    // Another may have come meanwhile.
    if (this.last?.value === value) this.last = undefined
  }

  /** A token that was given just now is as good as the next one would be. */
  refreshNext(now: number): void {
    const { last } = this
    if (last !== undefined && now - last.givenAt >= minRefreshAge) this.last = { ...last, renewAt: now }
  }
}

/** How long a provider may take where the last token is good, in milliseconds. */
const refreshTimeout = 5_000

/** A token that is not older is not asked for again because a claim was refused, in milliseconds. */
const minRefreshAge = 60_000

const jwt = ({ credential }: Identity, timeout: number): ProviderCache<Token> =>
  new ProviderCache(
    Effect.tryPromise({
      try: (abortSignal) => credential.getToken(scope, { abortSignal }),
      // Made an error below.
      catch: (cause) => cause
    }).pipe(
      Effect.map((given) => ({ token: given?.token, expiresOn: given?.expiresOnTimestamp })),
      withProviderErrors,
      (token) => withTimeout(timeout, token),
      Effect.flatMap(({ expiresOn, token }) =>
        typeof token !== "string" || token === ""
          ? Effect.fail(credentialError("provider", "the identity gave no token"))
          : !token.isWellFormed()
          ? Effect.fail(credentialError("token", "the identity gave a token that is no text"))
          : Effect.map(expiryOf(expiresOn), (expiresAt) => ({
            expiresAt,
            value: { type: "jwt", token: Redacted.make(token), expiresAt }
          }))
      )
    )
  )

/** A token that is signed elsewhere. It is kept as it is now: what the program has may be wiped before it is sent. */
const sasToken = (given: Redacted.Redacted<string>): Effect.Effect<Token, CredentialError> => {
  const text = ConnectionString.textOf(given)
  if (typeof text !== "string") return Effect.fail(wiped())
  const parts = SasToken.parse(text)
  return parts === undefined
    ? Effect.fail(credentialError("token", "it is not a SAS token"))
    : Effect.succeed({
      type: "servicebus.windows.net:sastoken",
      token: Redacted.make(text),
      expiresAt: parts.expiresAt * 1000
    })
}

const wiped = () => credentialError("token", "its secret was wiped")

/** The tokens of a credential. `timeout` is how long a provider may take, in milliseconds. */
export const tokensOf = (credential: ServiceBusCredential, timeout: number): Tokens => {
  switch (credential._tag) {
    case "SharedKey":
      return {
        get: (resource) =>
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            typeof ConnectionString.textOf(credential.key) === "string"
              ? Effect.succeed({
                type: "servicebus.windows.net:sastoken",
                token: SasToken.sign({
                  resource,
                  keyName: credential.name,
                  key: credential.key,
                  expiresAt: (now + lifetime) / 1000
                }),
                expiresAt: now + lifetime
              })
              : Effect.fail(wiped())),
        drop: () => {},
        refreshNext: () => {}
      }
    case "SharedAccessSignature":
      return {
        get: () => sasToken(credential.token),
        drop: () => {},
        refreshNext: () => {}
      }
    case "Identity": {
      const provided = jwt(credential, timeout)
      return {
        get: (_, isRefresh = false) => provided.get(isRefresh),
        drop: (token) => provided.drop(token),
        refreshNext: (now) => provided.refreshNext(now)
      }
    }
    case "Rotating": {
      // A key has no end: what is signed with it is replaced like any other token.
      const provided = new ProviderCache<Tokens>(
        Effect.flatMap(
          withTimeout(timeout, withProviderErrors(credential.current)),
          (current) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) => {
              const expiresAt = current._tag === "SharedAccessSignature"
                ? Effect.map(sasToken(current.token), ({ expiresAt }) => expiresAt)
                : Effect.succeed(now + lifetime)
              return Effect.map(expiresAt, (expiresAt) => ({ expiresAt, value: tokensOf(current, timeout) }))
            })
        )
      )
      const makers = new WeakMap<Token, Tokens>()
      return {
        get: (audience, isRefresh = false) =>
          Effect.flatMap(provided.get(isRefresh), (tokens) =>
            Effect.map(tokens.get(audience, isRefresh), (token) => {
              makers.set(token, tokens)
              return token
            })),
        drop: (token) => {
          const maker = makers.get(token)
          if (maker !== undefined) provided.drop(maker)
        },
        refreshNext: (now) => provided.refreshNext(now)
      }
    }
  }
}

export const make: (connection: Connection, options: {
  readonly host: string
  readonly tokens: Tokens
  readonly timeout: number
  readonly outages: Pick<Outages, "tokenAccepted" | "tokenRefused">
}) => Effect.Effect<Claims, AttachError, Scope.Scope> = Effect.fnUntraced(function*(connection, options) {
  // The service detaches the node like any other link that is idle for long, and the connection goes on without it.
  const node = yield* RecoveringLink.make({
    open: () =>
      RequestResponseLink.make(connection, {
        address: "$cbs",
        entity: "$cbs",
        timeout: options.timeout,
        repeatable: true
      }),
    isLost: (node) => node.isLost()
  })

  /** Puts a token, and has it heard where that fails while the connection lives. */
  const put = (entity: string, isRefresh: boolean): Effect.Effect<Token, AttachError> =>
    Effect.tapError(putToken(entity, isRefresh), (error) =>
      Effect.sync(() => {
        if (connection.dead() === undefined) options.outages.tokenRefused(entity, error, isRefresh)
      }))

  /** A token that is refused is replaced once: it may have been revoked, or its key rotated, before its time. */
  const putToken = Effect.fnUntraced(function*(entity: string, isRefresh: boolean) {
    const audience = `sb://${options.host}/${entity}`
    for (let tried = 1;; tried++) {
      const token = yield* options.tokens.get(audience, isRefresh)
      const response = yield* (yield* node.get).request(
        { operation: "put-token", type: token.type, name: audience },
        Redacted.value(token.token),
        "authorize"
      )
      if (response.status >= 200 && response.status < 300) {
        options.outages.tokenAccepted(entity)
        return token
      }
      const error = errorMap.fromCbs(response.status, response.condition, response.description, {
        entity,
        operation: "authorize"
      })
      if (error._tag !== "ServiceBusAuthenticationError" || tried === 2) return yield* error
      options.tokens.drop(token)
    }
  })

  const claim = Effect.fnUntraced(function*(entity: string) {
    let token: Token = yield* put(entity, false)
    const held: Held = { isStale: false }
    const refresh = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const left = token.expiresAt - now
      yield* Effect.sleep(wholeMillis(Math.min(maxSleep, Math.max(1_000, left - refreshMargin(left)))))
      if (token.expiresAt - (yield* Clock.currentTimeMillis) > 900_000) return
      token = yield* Effect.retry(put(entity, true), {
        schedule: Schedule.spaced(Duration.seconds(10)),
        while: () => connection.dead() === undefined
      })
      held.isStale = false
    })
    // A connection that is over needs no token.
    const refreshing = Effect.catchCause(refresh, (cause) => {
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
      // What it fails with was heard already.
      if (Cause.hasDies(cause) && connection.dead() === undefined) {
        options.outages.tokenRefused(entity, credentialError("provider", "it died", Cause.squash(cause)), true)
      }
      return Effect.sleep(10_000)
    })
    yield* orDeath(connection, Effect.forever(refreshing)).pipe(Effect.ignore, Effect.forkScoped)
    return held
  })

  const claims = yield* RcMap.make({ lookup: claim })
  /** Puts a token again: until one is accepted nothing is attached under the claim. */
  const again = (entity: string, held: Held): Effect.Effect<void, AttachError> =>
    Effect.suspend(() => {
      held.isStale = true
      return Effect.map(put(entity, false), () => {
        held.isStale = false
      })
    })
  return {
    authorize: (entity) =>
      // The map keeps a failure for as long as it is held.
      Effect.tapError(RcMap.get(claims, entity), () => RcMap.invalidate(claims, entity)).pipe(
        Effect.flatMap((held) => held.isStale ? again(entity, held) : Effect.void)
      ),
    renew: (entity) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        options.tokens.refreshNext(now)
        return Effect.forEach(
          [entity, `${entity}/$management`],
          (path) =>
            Effect.flatMap(RcMap.has(claims, path), (isHeld) =>
              isHeld
                ? Effect.scoped(Effect.flatMap(RcMap.get(claims, path), (held) => again(path, held)))
                : Effect.void),
          { discard: true }
        )
      })
  }
})
