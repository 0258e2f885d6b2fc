import * as Net from "node:net"
import { Template } from "../frames.ts"
import { type Load, type Programs, repeat, window } from "../measure.ts"
import { firstId, ids } from "../message.ts"
import { dispositionBytes, flowBytes, grant } from "../tcpFloor.ts"

const connect = async (load: Load, kind: string, size: number): Promise<Net.Socket> => {
  const socket = Net.connect(load.tcpPort, "127.0.0.1")
  socket.setNoDelay(true)
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject))
  const hello = Buffer.alloc(5)
  hello[0] = kind.charCodeAt(0)
  hello.writeUInt32BE(size, 1)
  socket.write(hello)
  return socket
}

/** Sends the bytes of `count` messages at a time and waits for the answer. */
const send = (count: number) => async (load: Load): Promise<void> => {
  const bytes = new Template(load.size, 0, false).take(1, 0, 0)
  const request = Buffer.concat(Array.from({ length: count }, () => bytes))
  const socket = await connect(load, "S", request.length)
  let waiting = 0
  let answered = () => {}
  socket.on("data", (chunk: Buffer) => {
    waiting -= chunk.length
    if (waiting === 0) answered()
  })
  await repeat(load, () =>
    new Promise((resolve) => {
      waiting = dispositionBytes
      answered = () => resolve(count)
      socket.write(request)
    }))
  socket.destroy()
}

const receive = (kind: "R" | "C") => async (load: Load): Promise<void> => {
  const { meter, size } = load
  const socket = await connect(load, kind, size)
  const { length } = new Template(size, 0, kind === "R").take(1, 0, 0)
  const again = Buffer.alloc(kind === "R" ? flowBytes : flowBytes + dispositionBytes)
  // The answer to a disposition stands before the messages of its grant.
  const skipped = kind === "R" ? 0 : dispositionBytes
  const unit = skipped + grant * length
  let at = 0
  socket.on("data", (chunk: Buffer) => {
    // One body is looked for where a read starts within a message's head.
    const start = at % unit < skipped ? -1 : chunk.indexOf("\"id\":")
    if (start >= 0 && start + 12 <= chunk.length) {
      const id = Number(chunk.toString("latin1", start + 5, start + 12))
      if (!(id >= firstId && id < firstId + ids)) meter.fail("a read has no message")
    }
    const before = Math.floor(at / unit)
    at += chunk.length
    const grants = Math.floor(at / unit) - before
    if (grants === 0) return
    meter.add(grants * grant)
    if (meter.done) return
    for (let i = 0; i < grants; i++) socket.write(again)
  })
  for (let i = 0; i < window / grant; i++) socket.write(again)
  await meter.finished
  socket.destroy()
}

export const tcp: Programs = {
  "send-chunk": send(window),
  "send-batch": send(window),
  "send-sink": send(window),
  "send-sequential": send(1),
  "receive-chunk": receive("R"),
  "complete-chunk": receive("C")
}
