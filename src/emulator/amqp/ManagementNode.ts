/**
 * A request/response node (`$cbs`, `<entity>/$management`): answers each request on the receiving link of the same
 * session that asked for it (AMQP management, WD 09; Service Bus protocol guide).
 */
import * as AmqpValue from "../../AmqpValue.ts"
import { accepted, type Outcome } from "../../internal/amqp/codec/Outcome.ts"
import { Sections } from "../../internal/amqp/codec/Sections.ts"
import { rawItem } from "../../internal/amqp/codec/verbatim.ts"
import { Writer } from "../../internal/amqp/codec/Writer.ts"
import type { IncomingDelivery, OutgoingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink } from "../../internal/amqp/engine/rhea.ts"
import { type Answer, refuse, type Request } from "./Request.ts"
import type { Served } from "./ServedConnection.ts"

/** `$cbs` writes its keys with dashes, `$management` in camel case. */
export type Keys = "dashed" | "camel"

const names = {
  dashed: { status: "status-code", description: "status-description", condition: "error-condition" },
  camel: { status: "statusCode", description: "statusDescription", condition: "errorCondition" }
}

const writer = new Writer()

/** Serves the requests that come on `link`; `replies` are the links of its session on which answers can go. */
export const serve = (
  served: Served,
  link: RheaLink,
  keys: Keys,
  replies: () => ReadonlyArray<RheaLink>,
  answer: (request: Request) => Answer
): void => {
  const { idle, plane } = served
  const incoming = plane.link(link)
  incoming.onDeliveries = (deliveries) => {
    for (const delivery of deliveries) {
      const outcome: Outcome = delivery.isTooLarge ? { _tag: "Rejected", error: tooLarge(delivery) } : accepted
      if (!delivery.settled) incoming.session.dispose(delivery, outcome, true)
      if (outcome === accepted) handle(delivery)
    }
    link.add_credit(deliveries.length)
  }

  const tooLarge = ({ id, size }: IncomingDelivery) =>
    served.door.refusals.tooLarge(
      String(link.remote.attach!["target"]?.address ?? ""),
      id,
      size,
      incoming.maxMessageSize
    )

  const handle = (delivery: IncomingDelivery): void => {
    let message: Sections
    let request: Request
    let replyTo: AmqpValue.AmqpValue
    try {
      const sections = new Sections(delivery.payload, 0, delivery.payload.length)
      message = sections
      const properties = sections.readRecord(sections.applicationProperties)
      const body = sections.readBody()
      replyTo = sections.readList(sections.properties)[4]
      request = {
        operation: typeof properties["operation"] === "string" ? properties["operation"] : "",
        properties,
        body: body.kind === "value" ? body.value : null,
        exactBody: () => {
          const exact = sections.readBody(true)
          return exact.kind === "value" ? exact.value : null
        }
      }
    } catch {
      // Not a message: there is nobody to answer.
      return
    }
    const links = replies()
    const reply = links.find((other) => addressOf(other) === replyTo || other.name === replyTo) ?? links[0]
    const { "associated-link-name": associated } = request.properties
    idle.touch(link)
    if (typeof associated === "string") idle.touchNamed(associated)
    if (reply === undefined) return
    idle.touch(reply)
    const answered = delivery.isTransactional
      ? refuse(served.door.refusals.transactions(String(link.remote.attach!["target"]?.address ?? "")))
      : answer(request)
    const payload = encode(names[keys], rawItem(message, message.properties, 0), answered)
    const target = plane.link(reply)
    target.session.send(target, payload, { settled: reply.remote.attach?.["snd_settle_mode"] === 1, owner: unsettled })
  }
}

/** A receiver of answers that settles second is answered, and nothing else is done. */
const unsettled = {
  onOutcome: (
    delivery: OutgoingDelivery,
    outcome: any,
    settled: boolean
  ) => {
    if (!settled) delivery.link.session.settle(delivery, outcome)
  }
}

const addressOf = (link: RheaLink): unknown => link.remote.attach?.["target"]?.["address"]

const encode = (keys: (typeof names)[Keys], correlationId: Buffer | undefined, answer: Answer): Buffer => {
  writer.descriptor(0x73)
  const list = writer.begin(0xd0)
  for (let i = 0; i < 5; i++) writer.null()
  // The very bytes of the request's message-id: clients compare type and value.
  if (correlationId === undefined) writer.null()
  else writer.raw(correlationId)
  writer.end(list, 6)
  writer.descriptor(0x74)
  const isError = "error" in answer
  writer.value({
    // An int, never a uint: some clients read no other type.
    [keys.status]: AmqpValue.typed("int", answer.status),
    [keys.description]: isError ? answer.error.description ?? "" : answer.description,
    ...(isError ? { [keys.condition]: AmqpValue.symbol(answer.error.condition) } : {})
  })
  writer.descriptor(0x77)
  writer.value(isError ? null : answer.body ?? null)
  return writer.take()
}
