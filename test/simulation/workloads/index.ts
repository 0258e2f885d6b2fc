/** Every workload, each in a file of its own. */
import type { Workload } from "../World.ts"
import { accepting } from "./accepting.ts"
import { administration } from "./administration.ts"
import { batches } from "./batches.ts"
import { clients } from "./clients.ts"
import { destructive } from "./destructive.ts"
import { entities } from "./entities.ts"
import { forwards } from "./forwards.ts"
import { letters } from "./letters.ts"
import { processor } from "./processor.ts"
import { receiving } from "./receiving.ts"
import { retrying } from "./retrying.ts"
import { rules } from "./rules.ts"
import { sessions } from "./sessions.ts"
import { subscriptions } from "./subscriptions.ts"
import { takingSessions } from "./takingSessions.ts"

export const workloads: ReadonlyArray<Workload> = [
  processor,
  receiving,
  destructive,
  sessions,
  batches,
  clients,
  letters,
  accepting,
  takingSessions,
  retrying,
  subscriptions,
  rules,
  forwards,
  entities,
  administration
]
