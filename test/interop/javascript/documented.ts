import { ServiceBusClient } from "@azure/service-bus"

const client = new ServiceBusClient(process.env["SERVICE_BUS_CONNECTION_STR"]!)
await client.createSender("orders").sendMessages({ body: { total: 9.5 } })
const receiver = client.createReceiver("orders")
const [message] = await receiver.receiveMessages(1)
await receiver.completeMessage(message!)
await client.close()
