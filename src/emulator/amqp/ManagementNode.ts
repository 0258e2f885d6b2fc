/**
 * A request/response node (`$cbs`, `<entity>/$management`): answers each request on a receiving link to the same node in the
 * same session (AMQP management, WD 09; Service Bus AMQP request-response guide).
 *
 * A node knows how a request and its answer are written, not what is asked: `$cbs` is answered by ClaimsNode, `$management` by
 * the operations. A request that is a message is answered once, in the turn in which it came unless a fault was asked for; where
 * the session has no link for answers, it is not carried out.
 */
import * as AmqpValue from "../../AmqpValue.ts"
import { accepted, type Outcome } from "../../internal/amqp/codec/Outcome.ts"
import { Sections } from "../../internal/amqp/codec/Sections.ts"
import { rawItem } from "../../internal/amqp/codec/verbatim.ts"
import { Writer } from "../../internal/amqp/codec/Writer.ts"
import type { DeliveryOwner, IncomingDelivery } from "../../internal/amqp/engine/Delivery.ts"
import type { RheaLink, RheaSession } from "../../internal/amqp/engine/rhea.ts"
import { type Answer, refuse, type Request } from "./NodeRequest.ts"
import type { ServedConnection } from "./ServedConnection.ts"

/** `$cbs` writes its keys with dashes, `$management` in camel case. */
type Keys = "dashed" | "camel"

const names = {
  dashed: { status: "status-code", description: "status-description", condition: "error-condition" },
  camel: { status: "statusCode", description: "statusDescription", condition: "errorCondition" }
}

const writer = new Writer()

/** The links of a connection that the responses of a node go out on, of each session. */
export class ReplyLinks {
  private readonly sessions = new Map<RheaSession, Map<string, Array<RheaLink>>>()
  private readonly connection: Pick<ServedConnection, "onEnd">

  constructor(connection: Pick<ServedConnection, "onEnd">) {
    this.connection = connection
  }

  /** Adds a link, until it ends. */
  add(link: RheaLink, node: string): void {
    let nodes = this.sessions.get(link.session)
    if (nodes === undefined) this.sessions.set(link.session, nodes = new Map())
    nodes.set(node, [...nodes.get(node) ?? [], link])
    this.connection.onEnd(link, () => {
      const left = nodes.get(node)!.filter((other) => other !== link)
      if (left.length > 0) return void nodes.set(node, left)
      nodes.delete(node)
      if (nodes.size === 0) this.sessions.delete(link.session)
    })
  }

  /** The links of a node in the session of a link. */
  of(link: RheaLink, node: string): ReadonlyArray<RheaLink> {
    return this.sessions.get(link.session)?.get(node) ?? []
  }
}

/** Serves the requests that come on `link`; `replies` are the links of its session on which answers can go. */
export const serve = (
  connection: ServedConnection,
  link: RheaLink,
  keys: Keys,
  replies: () => ReadonlyArray<RheaLink>,
  answer: (request: Request, reply: (answer: Answer) => void) => void
): void => {
  const { idle, plane } = connection
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
    connection.namespace.conditions.tooLarge(
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
      // Not a message: there is no caller to answer.
      return
    }
    const links = replies()
    const reply = links.find((other) => addressOf(other) === replyTo || other.name === replyTo) ?? links[0]
    const { "associated-link-name": associated } = request.properties
    idle.touch(link)
    if (typeof associated === "string") idle.touchNamed(associated)
    if (reply === undefined) return
    idle.touch(reply)
    const correlationId = rawItem(message, message.properties, 0)
    const send = (answered: Answer): void => {
      // It may come late, and a link have ended meanwhile: then nobody waits for it.
      if (!connection.links.has(reply)) return
      const target = plane.link(reply)
      target.session.send(target, encode(names[keys], correlationId, answered), {
        settled: reply.remote.attach?.["snd_settle_mode"] === 1,
        owner: settlesSecond
      })
    }
    if (!delivery.isTransactional) return answer(request, send)
    send(refuse(connection.namespace.conditions.transactions(String(link.remote.attach!["target"]?.address ?? ""))))
  }
}

/** A receiver of answers that settles second is answered, and nothing else is done. */
const settlesSecond: DeliveryOwner = {
  onOutcome: (delivery, outcome, settled) => {
    if (!settled) delivery.link.session.settle(delivery, outcome!)
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
