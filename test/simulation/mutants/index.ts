/** Every mutant. */
import { administration } from "./administration.ts"
import { connection } from "./connection.ts"
import { forwarding } from "./forwarding.ts"
import { locks } from "./locks.ts"
import type { Mutant } from "./Mutant.ts"
import { persistence } from "./persistence.ts"
import { receipt } from "./receipt.ts"
import { retry } from "./retry.ts"
import { routing } from "./routing.ts"
import { sends } from "./sends.ts"
import { session } from "./session.ts"
import { settlement } from "./settlement.ts"

export const mutants: ReadonlyArray<Mutant> = [
  ...settlement,
  ...sends,
  ...receipt,
  ...locks,
  ...session,
  ...connection,
  ...retry,
  ...routing,
  ...forwarding,
  ...administration,
  ...persistence
]
