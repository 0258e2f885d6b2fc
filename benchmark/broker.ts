// A frame-level AMQP 1.0 responder, fast enough that a client is never kept waiting for it. It keeps no messages:
//   sink.*          accepts everything
//   src.<size>.*    sends messages without end, as credit and windows allow
//   $cbs, <entity>/$management   put-token and renew-lock
import * as Net from "node:net"
import { Connection, type Options, type Stats } from "./connection.ts"
import { serveTcp } from "./tcpFloor.ts"

interface Broker {
  readonly port: number
  readonly tcpPort: number
  readonly stats: (entity: string) => Stats
  readonly close: () => void
}

const listen = (server: Net.Server): Promise<number> =>
  new Promise((resolve, reject) => {
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => resolve((server.address() as Net.AddressInfo).port))
  })

export const startBroker = async (options: Options): Promise<Broker> => {
  const entities = new Map<string, Stats>()
  const sockets = new Set<Net.Socket>()
  const statsOf = (entity: string): Stats => {
    let stats = entities.get(entity)
    if (stats === undefined) {
      entities.set(entity, stats = { accepted: 0, completed: 0, renewed: 0, checked: 0, wrong: 0 })
    }
    return stats
  }
  const track = (socket: Net.Socket) => {
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
  }
  const amqp = Net.createServer((socket) => {
    track(socket)
    return new Connection(socket, options, statsOf)
  })
  const tcp = Net.createServer((socket) => {
    track(socket)
    serveTcp(socket)
  })
  return {
    port: await listen(amqp),
    tcpPort: await listen(tcp),
    stats: statsOf,
    close: () => {
      amqp.close()
      tcp.close()
      for (const socket of sockets) socket.destroy()
    }
  }
}

/** In a process of its own it tells its ports, and the stats of an entity when asked for them. */
if (import.meta.main) {
  const broker = await startBroker(JSON.parse(process.argv[2] ?? "{\"size\":256}") as Options)
  const { port, tcpPort } = broker
  if (process.send === undefined) console.log(JSON.stringify({ port, tcpPort }))
  else {
    process.send({ port, tcpPort })
    process.on("message", (entity: string) => process.send!(broker.stats(entity)))
    process.on("disconnect", () => process.exit())
  }
}
