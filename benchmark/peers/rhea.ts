import { createRequire } from "node:module"
import { type Load, type Program, type Programs, repeat, window } from "../measure.ts"
import { applicationProperties, contentType, messageIdOf, orderOf } from "../message.ts"

const require = createRequire(import.meta.url)
const rhea = require("rhea")
const codec = require("rhea/lib/message.js")

const once = (emitter: any, event: string): Promise<any> => new Promise((resolve) => emitter.once(event, resolve))

const connect = (load: Load): any => {
  const connection = rhea.create_container().connect({
    host: "127.0.0.1",
    port: load.port,
    username: "anonymous",
    reconnect: false
  })
  connection.on("disconnected", ({ error }: { readonly error?: Error }) => {
    if (error !== undefined) load.meter.fail(error.message)
  })
  return connection
}

const close = async (connection: any): Promise<void> => {
  const closed = once(connection, "connection_close")
  connection.close()
  await closed
}

const message = (index: number, size: number): object => ({
  message_id: messageIdOf(index),
  content_type: contentType,
  application_properties: applicationProperties,
  body: codec.data_section(Buffer.from(JSON.stringify(orderOf(index, size))))
})

type Send = (content: object | Buffer, format?: number) => void

/** A step sends, and ends when the broker has accepted as many deliveries as it says. */
const sending =
  (step: (load: Load, index: number, send: Send) => { deliveries: number; messages: number }): Program =>
  async (load) => {
    const connection = connect(load)
    const sender = connection.open_sender({ target: load.entity, snd_settle_mode: 0 })
    let waiting = 0
    let answered = () => {}
    sender.on("accepted", () => {
      if (--waiting === 0) answered()
    })
    for (const event of ["rejected", "released", "modified"]) sender.on(event, () => load.meter.fail(event))
    await once(sender, "sendable")
    const send: Send = (content, format) =>
      format === undefined ? sender.send(content) : sender.send(content, undefined, format)
    await repeat(load, (index) =>
      new Promise((resolve) => {
        const { deliveries, messages } = step(load, index, send)
        waiting = deliveries
        answered = () => resolve(messages)
      }))
    await close(connection)
  }

const each = (count: number): Program =>
  sending(({ size }, index, send) => {
    for (let i = 0; i < count; i++) send(message(index + i, size))
    return { deliveries: count, messages: count }
  })

const batch = sending(({ size }, index, send) => {
  const sections = []
  for (let i = 0; i < window; i++) sections.push(codec.data_section(codec.encode(message(index + i, size))).content)
  send(codec.encode({ body: codec.data_sections(sections) }), 0x80013700)
  return { deliveries: 1, messages: window }
})

const receiving = (destructive: boolean): Program => async (load) => {
  const { meter } = load
  const connection = connect(load)
  const receiver = connection.open_receiver({
    source: load.entity,
    snd_settle_mode: destructive ? 1 : 0,
    rcv_settle_mode: destructive ? 0 : 1,
    // Accepting is what makes rhea forget a delivery that came settled.
    autoaccept: destructive,
    credit_window: 0
  })
  let used = 0
  let unsettled = 0
  let idle = () => {}
  const done = () => {
    meter.add(1)
    if (++used < window / 2 || meter.done) return
    receiver.add_credit(used)
    used = 0
  }
  receiver.on("message", (context: any) => {
    if (meter.done) return
    meter.take(JSON.parse(context.message.body.content.toString()))
    if (destructive) return done()
    unsettled++
    context.delivery.accept()
  })
  receiver.on("settled", () => {
    unsettled--
    done()
    if (unsettled === 0) idle()
  })
  receiver.add_credit(window)
  await meter.finished
  if (unsettled > 0) await new Promise<void>((resolve) => idle = resolve)
  await close(connection)
}

export const rheaPeer: Programs = {
  "send-chunk": each(window),
  "send-each": each(window),
  "send-batch": batch,
  "send-sink": batch,
  "send-sequential": each(1),
  "receive-chunk": receiving(true),
  "complete-chunk": receiving(false),
  "complete-each": receiving(false)
}
