// A run counts only when what the client says and what the broker saw are the same.
import type { Stats } from "./connection.ts"
import type { Case, Measured, Peer } from "./measure.ts"

export const verify = (
  job: { readonly peer: Peer; readonly case: Case },
  { total }: Measured,
  { accepted, checked, completed, renewed, wrong }: Stats
): void => {
  // Its bytes have no protocol that could be counted; the peer looks at the content.
  if (job.peer === "tcp") return
  const fail = (problem: string): never => {
    throw new Error(`${job.peer} failed at ${job.case}: ${problem}`)
  }
  if (job.case.startsWith("send")) {
    if (accepted !== total) fail(`the broker accepted ${accepted} messages, the client counted ${total}`)
    if (checked === 0 || wrong > 0) fail(`${wrong} of ${checked} messages had other content`)
  } else if (job.case.startsWith("renew") && renewed !== total) {
    fail(`the broker saw ${renewed} locks renewed, the client counted ${total}`)
  } else if (job.case.startsWith("complete") && completed !== total) {
    fail(`the broker saw ${completed} messages completed, the client counted ${total}`)
  }
}
