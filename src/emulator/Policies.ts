/**
 * The shared access policies that a program gives a namespace, with their keys: what they may be, and what is said where they are
 * not. Keys are kept as they are now: what the program has may be wiped.
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as ConnectionString from "../ConnectionString.ts"
import { EmulatorError } from "../ServiceBusError.ts"
import type * as Authorization from "./security/Authorization.ts"

/**
 * A shared access policy of the broker beside its root policy, to try what happens without a right.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policy {
  readonly name: string
  readonly key: Redacted.Redacted<string>
  readonly rights: ReadonlyArray<"Send" | "Listen" | "Manage">
}

/**
 * Whether a text can be the key of a policy: a connection string trims its values and splits at semicolons, SASL PLAIN ends them
 * at a zero, and no header has a control character.
 *
 * @internal
 */
export const isKey = (text: string): boolean =>
  text.isWellFormed() && text.length >= 1 && text.length <= 256 && text.trim() === text && !/[;\p{Cc}]/u.test(text)

/** A policy's key, kept as it is now: what the program has may be wiped. */
export const keyOf = (
  option: string,
  given: Redacted.Redacted<string> | undefined
): Effect.Effect<Redacted.Redacted<string>, EmulatorError> => {
  const text = typeof given === "string" ? undefined : ConnectionString.textOf(given)
  return typeof text === "string" && isKey(text)
    ? Effect.succeed(Redacted.make(text, { label: "emulator key" }))
    : Effect.fail(
      new EmulatorError({
        problem:
          `${option} must be a Redacted text of 1 to 256 characters, without semicolons, control characters and spaces at its ends`
      })
    )
}

const isRight = (value: unknown): boolean => value === "Manage" || value === "Send" || value === "Listen"

/** The policies beside the root's. They may be values of any kind. */
export const policiesOf = Effect.fnUntraced(function*(
  given: ReadonlyArray<Policy>
): Effect.fn.Return<ReadonlyArray<Authorization.Policy>, EmulatorError> {
  const policies: Array<Authorization.Policy> = []
  const fail = (problem: string, cause?: unknown) =>
    Effect.fail(new EmulatorError({ problem, ...(cause === undefined ? {} : { cause }) }))
  const read = yield* Effect.catch(
    Effect.try({
      try: () => Array.from(given, ({ key, name, rights }) => ({ key, name, rights: Array.from(rights) })),
      catch: (cause) => cause
    }),
    (cause) => fail("policies must be an array of { name, key, rights }", cause)
  )
  for (const [index, { key, name, rights }] of read.entries()) {
    if (typeof name !== "string" || name === "" || !name.isWellFormed()) {
      return yield* fail(`policies[${index}].name must be a text that is not empty`)
    }
    if (!rights.every(isRight)) return yield* fail(`policies[${index}].rights must be of "Manage", "Send" and "Listen"`)
    policies.push({ name, key: yield* keyOf(`policies[${index}].key`, key), rights })
  }
  return policies
})
