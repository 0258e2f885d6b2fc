/** Queues of a broker by themselves, and a consumer that keeps what it gets. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Broker from "../../src/emulator/broker/Broker.ts"
import { assert } from "./vitest.ts"

export const message = (
  id: string,
  options?: { readonly bytes?: number; readonly ttl?: number }
): Broker.IncomingMessage => ({
  payload: new Uint8Array(options?.bytes ?? 1),
  messageId: id,
  sessionId: undefined,
  timeToLive: options?.ttl
})

export const messages = (...ids: ReadonlyArray<string>) => ids.map((id) => message(id))

export const queueOf = Effect.fnUntraced(function*(options?: Broker.EntityOptions) {
  const broker = yield* Broker.make([{ name: "orders", options }])
  return broker.queue("orders")!
})

/** A consumer that keeps what it gets; credit is what was granted less what was delivered. */
export class Taker implements Broker.Consumer {
  readonly mode: Broker.Consumer["mode"]
  readonly arrays: Array<ReadonlyArray<Broker.Delivery>> = []
  readonly attachment: Broker.Attachment
  granted = 0
  taken = 0
  onDeliver: (deliveries: ReadonlyArray<Broker.Delivery>) => void = () => {}

  constructor(queue: Broker.Queue, credit = 0, mode: Broker.Consumer["mode"] = "peekLock") {
    this.mode = mode
    this.attachment = queue.attach(this)
    if (credit > 0) this.grant(credit)
  }
  credit() {
    return this.granted - this.taken
  }
  deliver(deliveries: ReadonlyArray<Broker.Delivery>) {
    this.taken += deliveries.length
    this.arrays.push(deliveries)
    this.onDeliver(deliveries)
  }
  grant(credit: number) {
    this.granted += credit
    this.attachment.wake()
  }
  get deliveries() {
    return this.arrays.flat()
  }
  get ids() {
    return this.deliveries.map((delivery) => delivery.message.messageId)
  }
  get last() {
    return this.deliveries.at(-1)!
  }
}

export const ok = <A>(result: Result.Result<A, Broker.Refusal>): A => {
  if (Result.isFailure(result)) assert.fail(`${result.failure._tag}: ${result.failure.detail}`)
  return result.success
}

export const refused = <A>(result: Result.Result<A, Broker.Refusal>, tag: Broker.Refusal["_tag"]): Broker.Refusal => {
  if (Result.isSuccess(result)) assert.fail("not refused")
  assert.strictEqual(result.failure._tag, tag)
  return result.failure
}

export const stored = (queue: Broker.Queue) => queue.messages().map((each) => each.messageId)
