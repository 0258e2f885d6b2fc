/** Every kind of fault, each in a file of its own. */
import type { Fault } from "../World.ts"
import { badHandlers } from "./badHandlers.ts"
import { bareDetach } from "./bareDetach.ts"
import { bareEnd } from "./bareEnd.ts"
import { busy } from "./busy.ts"
import { chunks } from "./chunks.ts"
import { clockJump } from "./clockJump.ts"
import { close } from "./close.ts"
import { deleted } from "./deleted.ts"
import { detach } from "./detach.ts"
import { detachOfClaims } from "./detachOfClaims.ts"
import { detachOfManagement } from "./detachOfManagement.ts"
import { drop } from "./drop.ts"
import { dyingHandlers } from "./dyingHandlers.ts"
import { dyingTokens } from "./dyingTokens.ts"
import { end } from "./end.ts"
import { expiredClaims } from "./expiredClaims.ts"
import { failingHandlers } from "./failingHandlers.ts"
import { failingTokens } from "./failingTokens.ts"
import { flapping } from "./flapping.ts"
import { full } from "./full.ts"
import { halfOpen } from "./halfOpen.ts"
import { hangingHandlers } from "./hangingHandlers.ts"
import { hangingTokens } from "./hangingTokens.ts"
import { interruptions } from "./interruptions.ts"
import { killed } from "./killed.ts"
import { lateAdministration } from "./lateAdministration.ts"
import { latency } from "./latency.ts"
import { lostAdministration } from "./lostAdministration.ts"
import { lostLocks } from "./lostLocks.ts"
import { lostSessions } from "./lostSessions.ts"
import { refusedAdministration } from "./refusedAdministration.ts"
import { refusedAttach } from "./refusedAttach.ts"
import { refusedClaims } from "./refusedClaims.ts"
import { refusedConnections } from "./refusedConnections.ts"
import { refusedEntity } from "./refusedEntity.ts"
import { refusedRenew } from "./refusedRenew.ts"
import { refusedRequests } from "./refusedRequests.ts"
import { refusedRules } from "./refusedRules.ts"
import { refusedSend } from "./refusedSend.ts"
import { refusedSettle } from "./refusedSettle.ts"
import { reset } from "./reset.ts"
import { restart } from "./restart.ts"
import { silence } from "./silence.ts"
import { slowReader } from "./slowReader.ts"
import { starvation } from "./starvation.ts"
import { suspended } from "./suspended.ts"
import { unanswered } from "./unanswered.ts"
import { unforwarded } from "./unforwarded.ts"
import { updated } from "./updated.ts"
import { uselessTokens } from "./uselessTokens.ts"

export const faults: ReadonlyArray<Fault> = [
  reset,
  halfOpen,
  silence,
  latency,
  chunks,
  slowReader,
  refusedConnections,
  detach,
  bareDetach,
  detachOfClaims,
  detachOfManagement,
  end,
  close,
  bareEnd,
  drop,
  flapping,
  restart,
  lostLocks,
  lostSessions,
  expiredClaims,
  starvation,
  unanswered,
  refusedAttach,
  refusedEntity,
  refusedSend,
  refusedSettle,
  refusedRenew,
  refusedRequests,
  refusedClaims,
  busy,
  badHandlers,
  failingHandlers,
  dyingHandlers,
  hangingHandlers,
  interruptions,
  failingTokens,
  hangingTokens,
  dyingTokens,
  uselessTokens,
  clockJump,
  suspended,
  deleted,
  full,
  updated,
  refusedRules,
  unforwarded,
  lostAdministration,
  refusedAdministration,
  lateAdministration,
  killed
]
