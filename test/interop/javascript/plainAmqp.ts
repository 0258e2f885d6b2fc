import { strictEqual } from "node:assert"
import { once } from "node:events"
import rhea from "rhea"

/** A message there and back by rhea, which knows AMQP and nothing of Service Bus. */
export const plainAmqp = async (queue: string, text: string): Promise<void> => {
  const parts = Object.fromEntries(text.split(";").map((part) => /^([^=]+)=(.*)$/.exec(part)!.slice(1)))
  const { hostname: host, port } = new URL(parts["Endpoint"].replace("sb:", "http:"))
  const [username, password] = [parts["SharedAccessKeyName"], parts["SharedAccessKey"]]
  const connection = rhea.create_container().connect({
    host,
    port: Number(port),
    username,
    password,
    reconnect: false
  })
  const came = once(connection, "message")
  const settled = once(connection, "settled")
  const sender = connection.open_sender(queue)
  await once(sender, "sendable")
  sender.send({ body: "text" })
  await settled
  connection.open_receiver({ source: queue, autoaccept: false })
  const [{ delivery, message }] = await came
  delivery.accept()
  strictEqual(message.body, "text")
  strictEqual(message.message_annotations["x-opt-sequence-number"], 1)
  connection.close()
  await once(connection, "connection_close")
}
