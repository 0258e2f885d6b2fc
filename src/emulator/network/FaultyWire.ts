/**
 * A connection that is lost or falls silent once so many frames or bytes have passed, of both directions together: within a write
 * where it must, so that exactly so many have.
 */
import type { Socket } from "../../internal/amqp/transport/Socket.ts"
import { type Direction, Wire, type WireNetwork } from "./Wire.ts"

/** When a connection ends, and how. */
export interface Limit {
  readonly unit: "frames" | "bytes"
  readonly count: number
  readonly end: "reset" | "halfOpen"
}

/** The header of a protocol, which is no frame, begins with these bytes (AMQP 1.0 section 2.2). */
const header = 0x414d5150

/** Finds the ends of frames in the bytes of one direction (AMQP 1.0 section 2.3.1). */
class FrameEnds {
  private size = Buffer.alloc(0)
  /** Bytes of the present frame that are still to come; 0 between two. */
  private left = 0
  private isHeader = false

  /** How many bytes there are up to the end of so many frames; undefined where there are fewer. `ended` is told of each frame. */
  find(bytes: Buffer, count: number, ended: () => void): number | undefined {
    let found = 0
    for (let at = 0; at < bytes.length;) {
      if (this.left === 0) {
        const more = bytes.subarray(at, at + 4 - this.size.length)
        this.size = Buffer.concat([this.size, more])
        at += more.length
        if (this.size.length < 4) return undefined
        const size = this.size.readUInt32BE()
        this.isHeader = size === header
        this.left = Math.max(0, (this.isHeader ? 8 : size) - 4)
        this.size = Buffer.alloc(0)
      }
      const taken = Math.min(this.left, bytes.length - at)
      this.left -= taken
      at += taken
      if (this.left > 0 || this.isHeader) continue
      ended()
      if (++found === count) return at
    }
    return undefined
  }
}

/** A connection with a limit. */
export class FaultyWire extends Wire {
  private readonly limit: Limit | undefined
  private readonly onEnd: (wire: FaultyWire) => void
  private readonly frameEnds = { up: new FrameEnds(), down: new FrameEnds() }
  private direction: Direction = "up"
  /** What is left of the limit. */
  private left: number
  private isLost = false

  constructor(network: WireNetwork, inner: Socket, limit: Limit | undefined, onEnd: (wire: FaultyWire) => void) {
    super(network, inner)
    this.limit = limit
    this.left = limit?.count ?? Infinity
    this.onEnd = onEnd
  }

  protected override writing(): void {
    this.direction = "up"
  }

  protected override giving(): void {
    this.direction = "down"
  }

  protected override limited(bytes: Buffer): Buffer {
    if (this.limit === undefined || this.left === 0) return bytes
    let passing: number | undefined
    if (this.limit.unit === "frames") {
      passing = this.frameEnds[this.direction].find(bytes, this.left, () => {
        this.left -= 1
      })
    } else {
      passing = Math.min(bytes.length, this.left)
      this.left -= passing
    }
    return passing === undefined || passing === bytes.length ? bytes : bytes.subarray(0, passing)
  }

  protected override passed(): void {
    if (this.limit === undefined || this.left > 0 || this.isLost) return
    this.isLost = true
    if (this.limit.end === "reset") this.reset()
    else this.halfOpen()
  }

  protected override ended(): void {
    this.onEnd(this)
  }
}
