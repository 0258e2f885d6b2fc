/** Every kind of fault. */
import type { Fault } from "../World.ts"
import { network } from "./network.ts"
import { peer } from "./peer.ts"
import { refusal } from "./refusal.ts"
import { user } from "./user.ts"

export const faults: ReadonlyArray<Fault> = [...network, ...peer, ...refusal, ...user]
