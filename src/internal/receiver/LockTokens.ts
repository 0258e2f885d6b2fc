/**
 * Settling messages and renewing their locks by lock tokens, without the receiver that received them: requests to the
 * `$management` node of their entity.
 */
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import {
  type InvalidOptionError,
  type LockRenewalError,
  NotSupportedError,
  type SettleError
} from "../../ServiceBusError.ts"
import { isLockToken, type LockToken } from "../../ServiceBusMessage.ts"
import type { Settlement } from "../../Settlement.ts"
import * as errorMap from "../errorMap.ts"
import * as EntityManagement from "../management/EntityManagement.ts"
import { outOfRange } from "../options.ts"
import type { Requester } from "./ReceiverState.ts"
import * as SettlementOutcome from "./SettlementOutcome.ts"
import * as Settler from "./Settler.ts"

const check = (
  { entity }: Requester<never>,
  tokens: ReadonlyArray<LockToken>
): Effect.Effect<void, InvalidOptionError> =>
  Array.isArray(tokens) && tokens.length > 0 && tokens.every(isLockToken)
    ? Effect.void
    : Effect.fail(outOfRange(entity.path, "tokens", "lock tokens: one GUID or more, in canonical text form"))

/** Settles the messages of tokens, all with one settlement and in one request. */
export const settle = Effect.fnUntraced(function*(
  requester: Requester<never>,
  tokens: ReadonlyArray<LockToken>,
  settlement: Settlement
): Effect.fn.Return<void, SettleError> {
  yield* check(requester, tokens)
  const { isOpen, namespace, reporter, telemetry } = requester
  const entity = requester.entity.path
  const checked = SettlementOutcome.make(requester.entity, settlement)
  if (Result.isFailure(checked)) return yield* Effect.fail(checked.failure)
  const made = checked.success
  if (made.settlement._tag === "RetryAfter") {
    return yield* new NotSupportedError({
      entity,
      operation: "settleByToken",
      description: "a retry sends a copy of the message, and a lock token does not give the message"
    })
  }
  const request = namespace.withManagementNode(
    entity,
    isOpen,
    (node, timeout) =>
      EntityManagement.updateDisposition(node, { entity, tokens, settlement: made.settlement, timeout })
  )
  if (made.truncated.length > 0) yield* SettlementOutcome.reportTruncation(reporter, made, [])
  const disposition = Settler.dispositionOf(made.settlement)
  // No session is named in the request, so that none is lost.
  const run = namespace.retryPolicy.run(request) as Effect.Effect<void, SettleError>
  yield* telemetry.run(disposition, () => run, {
    attributes: () => ({
      "messaging.servicebus.disposition_status": disposition,
      "messaging.batch.message_count": tokens.length
    }),
    onSuccess: () => telemetry.countSettled(disposition, disposition, tokens.length)
  })
})

/** Renews the locks of tokens, all or none, and gives their new ends. */
export const renew = Effect.fnUntraced(function*(
  requester: Requester<never>,
  tokens: ReadonlyArray<LockToken>
): Effect.fn.Return<ReadonlyArray<DateTime.Utc>, LockRenewalError> {
  yield* check(requester, tokens)
  const { isOpen, namespace, telemetry } = requester
  const entity = requester.entity.path
  const request = namespace.withManagementNode(
    entity,
    isOpen,
    (node, timeout) => EntityManagement.renewLocks(node, { entity, tokens, link: undefined, timeout })
  )
  return yield* telemetry.run(
    "renew_message_lock",
    () => namespace.retryPolicy.run(request, { isFinal: errorMap.isLockLost }),
    { attributes: () => ({ "messaging.batch.message_count": tokens.length }) }
  )
})
