/** A queue whose codec throws, for what becomes of a message then. */
import { ServiceBusBody, ServiceBusEntity } from "effect-service-bus"
import * as Result from "effect/Result"

/** `texts` again, through a codec that throws at some bodies. */
export const Throwing = ServiceBusEntity.queue("texts", {
  body: ServiceBusBody.make<string>({
    encode: (value) => {
      if (value === "poison") throw new Error("cannot write that")
      return Result.succeed({ kind: "data", data: new TextEncoder().encode(value) })
    },
    decode: (sections) => {
      const text = sections.kind === "data" ? Buffer.from(sections.data as Uint8Array).toString() : ""
      if (text === "poison") throw new Error("bad wire type")
      return Result.succeed(text)
    }
  })
})
