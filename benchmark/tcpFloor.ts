// The lower bound: the same bytes over loopback TCP with no protocol at all. A connection starts with one byte that says what
// it is for and four that say how large bodies, or requests, are:
//   S   takes requests of so many bytes and answers each with the bytes of a disposition
//   R   takes grants (the bytes of a flow) and gives a window of messages for each
//   C   like R, and a grant comes with a disposition, which is answered
import type * as Net from "node:net"
import { disposition, Template } from "./frames.ts"

/** The bytes of a flow that gives credit. */
export const flowBytes = 40
/** How many messages a grant is for: half of the window of 100. */
export const grant = 50

const answer = disposition(0, true, 0, 0)
export const dispositionBytes = answer.length

export const serveTcp = (socket: Net.Socket): void => {
  socket.setNoDelay(true)
  socket.on("error", () => {})
  let kind = ""
  let unit = 0
  let template: Template | undefined
  let next = 0
  let waiting = 0
  socket.on("data", (chunk: Buffer) => {
    let { length } = chunk
    if (kind === "") {
      kind = String.fromCharCode(chunk[0]!)
      const size = chunk.readUInt32BE(1)
      length -= 5
      if (kind === "S") unit = size
      else {
        unit = kind === "R" ? flowBytes : flowBytes + dispositionBytes
        template = new Template(size, 0, kind === "R")
      }
    }
    waiting += length
    for (; waiting >= unit; waiting -= unit) {
      if (kind !== "R") socket.write(answer)
      if (template === undefined) continue
      for (let left = grant; left > 0;) {
        const count = Math.min(left, template.count)
        socket.write(template.take(count, 0, next))
        next += count
        left -= count
      }
    }
  })
}
