/** What a broker with its state in a file forgets, keeps too late, or keeps and should not. */
import type { Mutant } from "./Mutant.ts"

/** Each is seen where the broker is killed. */
const mutant = (
  name: string,
  file: string,
  text: string,
  replacement: string,
  rest: Partial<Mutant> = {}
): Mutant => ({ name, file, isOfBroker: true, text, replacement, fault: "killed", ...rest })

const store = "store/SqliteStore.ts"
const queue = "broker/MessageQueue.ts"

export const persistence: ReadonlyArray<Mutant> = [
  mutant(
    "what is told to a client is committed after its bytes have left",
    "amqp/AmqpConnection.ts",
    "beforeWrite: server.options.commit === undefined ? undefined : () => this.commit(server.options.commit!),",
    "beforeWrite: undefined,",
    { workload: "batches,receiving,processor" }
  ),
  mutant(
    "the last sequence number is not stored",
    store,
    "setProgress.run(id, lastSequence, lastEnqueuedAt, accessedAt, used, sum)",
    "void sum",
    { isDeadly: true }
  ),
  mutant(
    "the last sequence number is not told where a scheduled message gets its own",
    queue,
    "    this.drop(scheduled)\n    this.lastSequence += 1\n    this.shared.store.advanced(this)",
    "    this.drop(scheduled)\n    this.lastSequence += 1"
  ),
  mutant(
    "a message that goes on under another number is not told to be the same",
    queue,
    "    this.shared.store.moved(scheduled, message)\n",
    "",
    { workload: "processor" }
  ),
  mutant(
    "the bytes of a dead letter are gone with the message that it was",
    store,
    "    to.row = from.row\n    from.row = 0",
    "    to.row = Math.abs(from.row)",
    { workload: "letters,processor", isDeadly: true }
  ),
  mutant(
    "the state of a session is not stored",
    queue,
    "  stateChanged(id: string): void {\n    this.shared.store.sessionChanged(this, id)",
    "  stateChanged(_id: string): void {",
    { workload: "sessions" }
  ),
  mutant(
    "the ids of duplicate detection are not stored",
    store,
    "    for (const { id: given, sequence, until } of known) {",
    "    for (const { id: given, sequence, until } of [] as typeof known) {",
    { workload: "forwards" }
  ),
  mutant(
    "a lock that ends with the process is not counted",
    queue,
    "    this.failDelivery(message, now)\n  }\n\n  progress",
    "    this.restore(message, now)\n  }\n\n  progress",
    { workload: "batches,processor" }
  ),
  mutant(
    "a lock is not told, so that what was delivered was not",
    queue,
    "    message.lockToken = lockToken\n    this.shared.store.changed(message)",
    "    message.lockToken = lockToken",
    { workload: "batches,processor" }
  ),
  mutant(
    "a completed message stays in the file",
    queue,
    "    this.shared.deadlines.clear(message)\n    this.shared.store.removed(message)\n    this.drop(message)",
    "    this.shared.deadlines.clear(message)\n    this.drop(message)",
    { workload: "batches,processor" }
  ),
  mutant(
    "every seventh removal is not written",
    store,
    "    for (const row of this.gone) {",
    "    for (const row of this.gone) {\n      if (row % 7 === 3) continue",
    { workload: "batches,processor" }
  ),
  mutant(
    "each change is a transaction of its own: a forwarded copy, and the removal of what it was made of",
    store,
    "    this.changed.add(message)\n    if (!this.isScheduled) this.isChanged()",
    "    this.changed.add(message)\n    if (!this.isScheduled) this.isChanged()\n    this.commit()",
    { workload: "forwards" }
  ),
  mutant(
    "a commit of half of the messages comes first",
    store,
    "    for (const message of this.changed) this.writeMessage(message, inserted)",
    "    let half = this.changed.size / 2\n    for (const message of this.changed) {\n" +
      "      this.writeMessage(message, inserted)\n" +
      "      if (--half < 0) { this.database.exec(\"COMMIT; BEGIN\"); half = Infinity; break }\n    }",
    { workload: "batches,processor" }
  ),
  mutant(
    "a schedule is not stored",
    store,
    "      enqueueAt ?? null,\n",
    "      null,\n",
    { workload: "processor,receiving" }
  ),
  mutant(
    "the properties that a settlement has added are not stored",
    store,
    "properties.length === 0 ? null : writeProperties(properties),",
    "null,",
    { workload: "letters,processor,receiving" }
  ),
  mutant(
    "rules are not told when they change",
    "broker/Topic.ts",
    "      changed: () => this.shared.store.rulesChanged(queue)",
    "      changed: () => {}",
    { workload: "rules" }
  ),
  mutant(
    "an entity that is deleted comes back",
    store,
    "    for (const id of this.deletedEntities) this.deleteEntity(id)\n",
    "",
    { workload: "administration", isDeadly: true }
  ),
  mutant(
    "an update of an entity is not stored",
    "broker/Broker.ts",
    "    registered.updatedAt = this.now()\n    this.shared.store.declared(registered)\n    if",
    "    registered.updatedAt = this.now()\n    if",
    { workload: "administration" }
  ),
  mutant(
    "what is received and deleted stays in the file",
    queue,
    "      this.remove(message)\n      return { message: snapshotOf(message), lockToken, lockedUntil: now }",
    "      this.shared.deadlines.clear(message)\n      this.drop(message)\n      this.size.bytes -= sizeOf(message.incoming)\n" +
      "      return { message: snapshotOf(message), lockToken, lockedUntil: now }",
    { workload: "destructive" }
  ),
  mutant(
    "an answer over HTTP is given before what it tells of is kept",
    "Emulator.ts",
    "store === undefined ? answer : Effect.map(answer, (given) => store.commit() ? given : otherwise())",
    "store === undefined ? answer : answer",
    { workload: "administration" }
  ),
  mutant(
    "a deferred message is as if it were not",
    store,
    "(message.deferred ? isDeferred : 0)",
    "0",
    { by: "test/emulator/store/SqliteStore.restart.test.ts" }
  )
]
