/** Retries without pauses, advice that is not followed or never ends, claims that are not put again. */
import type { Mutant } from "./Mutant.ts"

export const retry: ReadonlyArray<Mutant> = [
  {
    name: "a replay sends twice as many as it was asked for",
    file: "deadLetters/DeadLetterReplay.ts",
    text: "rate, max, letters: numbers",
    replacement: "rate, max: max * 2, letters: numbers",
    workload: "letters"
  },
  {
    name: "what is tried again comes a minute late",
    file: "receiver/RetryAfter.ts",
    text: "enqueueAt: now + delay, now",
    replacement: "enqueueAt: now + delay + 60_000, now",
    workload: "retrying"
  },
  {
    name: "what is tried again comes at once",
    file: "receiver/RetryAfter.ts",
    text: "enqueueAt: now + delay, now",
    replacement: "enqueueAt: now, now",
    workload: "retrying"
  },
  {
    name: "delays have no jitter",
    file: "namespace/RetryPolicy.ts",
    text: "Duration.toMillis(duration)) * random))",
    replacement: "Duration.toMillis(duration))))",
    by: "test/namespace/RetryPolicy.pauses"
  },
  {
    name: "a link that is lost soon is attached again at once",
    file: "processor/MessageProcessor.ts",
    text: ": this.totals.received > received || monotonic(clock) - since >= stableAfter",
    replacement: ": monotonic(clock) - since >= 0",
    fault: "flapping"
  },
  {
    name: "there is no pause between tries",
    file: "namespace/RetryPolicy.ts",
    text: "Duration.toMillis(duration)) * random))",
    replacement: "Duration.toMillis(duration)) * random * 0))",
    by: "test/namespace/RetryPolicy.pauses"
  },
  {
    name: "the advice of a busy service never ends",
    file: "namespace/RetryPolicy.ts",
    text: "throttledUntil = Math.max(throttledUntil, now + advice)",
    replacement: "throttledUntil = now + 3_600_000 * advice"
  },
  {
    name: "the advice of a busy service ends with the operation that got it",
    file: "namespace/RetryPolicy.ts",
    text: ": Effect.andThen(pause(throttled), attempt)",
    replacement:
      ": Effect.andThen(Effect.onInterrupt(pause(throttled), () => Effect.sync(() => void (throttledUntil = 0))), attempt)",
    by: "test/namespace/RetryPolicy.pauses"
  },
  {
    name: "the advice of a busy service is not followed",
    file: "namespace/RetryPolicy.ts",
    text: "if (throttled <= 0 || closing.isOpen()) return operation",
    replacement: "if (throttled <= Infinity) return operation",
    by: "test/namespace/RetryPolicy"
  },
  {
    name: "a token that is refused is not replaced",
    file: "namespace/Claims.ts",
    text: "if (error._tag !== \"ServiceBusAuthenticationError\" || tried === 2) return yield* error",
    replacement: "return yield* error",
    by: "test/namespace/Claims"
  },
  {
    name: "a claim that ends is not put again",
    file: "namespace/Claims.ts",
    text: "yield* orDeath(connection, Effect.forever(refreshing)).pipe(Effect.ignore, Effect.forkScoped)",
    replacement: "yield* Effect.succeed(refreshing)",
    by: "test/namespace/Claims"
  },
  {
    name: "a pause between tries outlives its client",
    file: "namespace/RetryPolicy.ts",
    text: "closing.isOpen() ? Effect.void : Effect.raceFirst(Effect.sleep(duration), closing.await)",
    replacement: "Effect.sleep(duration)",
    by: "test/namespace/RetryPolicy.pauses"
  },
  {
    name: "a client that ends does not end the pauses between tries",
    file: "namespace/Namespace.ts",
    text: "        closing.openUnsafe()\n",
    replacement: "",
    by: "test/namespace/Namespace.test"
  },
  {
    name: "a fraction of a millisecond is waited for",
    file: "monotonicClock.ts",
    text: "Math.ceil(millis)",
    replacement: "millis",
    by: "test/ServiceBusClient.clock"
  },
  {
    name: "a quota that is used up ends what runs until it is stopped",
    file: "namespace/RetryPolicy.ts",
    text: "isRetryable(error) || errorMap.isLimitReached(error)",
    replacement: "isRetryable(error)",
    by: "test/namespace"
  },
  {
    name: "a token that is still good is not used where its provider fails",
    file: "namespace/Claims.ts",
    text: "!isRefresh && last !== undefined && last === this.last && now < last.expiresAt",
    replacement: "false",
    by: "test/namespace/Claims"
  },
  {
    name: "one refusal throws away everybody's token",
    file: "namespace/Claims.ts",
    text: "if (this.last?.value === value) this.last = undefined",
    replacement: "this.last = undefined",
    by: "test/namespace/Claims"
  },
  {
    name: "a claim is refreshed after its connection is closed",
    file: "namespace/Claims.ts",
    text: "yield* orDeath(connection, Effect.forever(refreshing)).pipe(Effect.ignore, Effect.forkScoped)",
    replacement: "yield* Effect.forever(refreshing).pipe(Effect.ignore, Effect.forkDetach)",
    workload: "clients"
  },
  {
    name: "what is refused as unauthorized is not tried again under fresh tokens",
    file: "namespace/Namespace.ts",
    text: "options.retry.maxRetries === 0 || !errorMap.isUnauthorized(error) ||",
    replacement: "options.retry.maxRetries === 0 || true ||",
    by: "test/namespace/Claims"
  },
  {
    name: "a token that cannot be put is passed over, and the operation made under the claim that is over",
    file: "namespace/Namespace.ts",
    text: "Effect.andThen(renewed as Effect.Effect<void, Err>, operation)",
    replacement: "Effect.andThen(Effect.ignore(renewed), operation)",
    by: "test/namespace/Claims.test"
  },
  {
    name: "a renewal of a claim that was long ago counts as one of now",
    file: "namespace/Namespace.ts",
    text: "const freshFor = 60_000",
    replacement: "const freshFor = Infinity",
    by: "test/namespace/Claims.expiry"
  },
  {
    name: "a claim for which no token can be put is held as if it were good",
    file: "namespace/Claims.ts",
    text: "held.isStale = true",
    replacement: "held.isStale = false",
    by: "test/namespace/Claims.test"
  }
]
