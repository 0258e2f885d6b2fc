/** Every workload, each in a file of its own. */
import type { Workload } from "../World.ts"
import { batches } from "./batches.ts"
import { destructive } from "./destructive.ts"
import { processor } from "./processor.ts"
import { receiving } from "./receiving.ts"
import { sessions } from "./sessions.ts"

export const workloads: ReadonlyArray<Workload> = [processor, receiving, destructive, sessions, batches]
