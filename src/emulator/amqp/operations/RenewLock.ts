/**
 * `com.microsoft:renew-lock`: starts the clock of the locks with these tokens anew, of all or of none, and answers when each
 * ends, in the order of the tokens. A lock that has ended is refused as `com.microsoft:message-lock-lost` with 410.
 *
 * Source: "Message renew lock" of the Service Bus AMQP request-response guide.
 */
import * as AmqpValue from "../../../AmqpValue.ts"
import { type Operation, required, result } from "./Operation.ts"

export const RenewLock: Operation = {
  name: "com.microsoft:renew-lock",
  right: "Listen",
  kind: "renew",
  run: (connection, queue, request) => {
    const tokens = required.uuids(request.body, "lock-tokens")
    return result(connection, queue.renew(tokens), (until) => ({
      expirations: AmqpValue.array("timestamp", until.map((at) => BigInt(Math.floor(at))))
    }))
  }
}
