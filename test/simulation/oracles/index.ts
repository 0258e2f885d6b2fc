/** Every oracle. */
import { acknowledgement } from "./acknowledgement.ts"
import { administered } from "./administered.ts"
import { backoff } from "./backoff.ts"
import { books } from "./books.ts"
import { credit } from "./credit.ts"
import { deleting } from "./deleting.ts"
import { delivery } from "./delivery.ts"
import { destructive } from "./destructive.ts"
import { due } from "./due.ts"
import { entities } from "./entities.ts"
import { excused } from "./excused.ts"
import { followed } from "./followed.ts"
import { forwarding } from "./forwarding.ts"
import { harness } from "./harness.ts"
import { keeping } from "./keeping.ts"
import { keptState } from "./keptState.ts"
import { leftovers } from "./leftovers.ts"
import { letters } from "./letters.ts"
import { limits } from "./limits.ts"
import { liveness } from "./liveness.ts"
import { looking } from "./looking.ts"
import { noise } from "./noise.ts"
import { numbering } from "./numbering.ts"
import type { Oracle } from "./Oracle.ts"
import { order } from "./order.ts"
import { renewal } from "./renewal.ts"
import { routing } from "./routing.ts"
import { sending } from "./sending.ts"
import { session } from "./session.ts"
import { silence } from "./silence.ts"
import { state } from "./state.ts"
import { unprovoked } from "./unprovoked.ts"
import { wire } from "./wire.ts"

export const oracles: ReadonlyArray<Oracle> = [
  sending,
  delivery,
  destructive,
  acknowledgement,
  letters,
  order,
  silence,
  liveness,
  leftovers,
  renewal,
  credit,
  backoff,
  books,
  session,
  state,
  noise,
  unprovoked,
  followed,
  excused,
  deleting,
  numbering,
  looking,
  limits,
  due,
  keeping,
  wire,
  routing,
  forwarding,
  entities,
  administered,
  keptState,
  harness
]
