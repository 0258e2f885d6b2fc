/** Every oracle. */
import { acknowledgement } from "./acknowledgement.ts"
import { delivery } from "./delivery.ts"
import { destructive } from "./destructive.ts"
import { leftovers } from "./leftovers.ts"
import { liveness } from "./liveness.ts"
import type { Oracle } from "./Oracle.ts"
import { order } from "./order.ts"
import { sending } from "./sending.ts"

export const oracles: ReadonlyArray<Oracle> = [
  sending,
  delivery,
  destructive,
  acknowledgement,
  order,
  liveness,
  leftovers
]
