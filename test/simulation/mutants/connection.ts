/** Connections that are lost and not replaced, or closed and not gone. */
import type { Mutant } from "./Mutant.ts"

export const connection: ReadonlyArray<Mutant> = [
  {
    name: "a detach without an error is not heard",
    file: "amqp/Link.ts",
    text: "this.listen(this.rhea, `${this.kind}_close`, () => this.die(this.rhea.error))",
    replacement: "",
    by: "test/amqp/Link.detach"
  },
  {
    name: "a detach is not heard",
    file: "amqp/Link.ts",
    text: "if (this.isClosing) return this.dieOf(this.closed())",
    replacement: "if (this.isClosing) this.dieOf(this.closed())\n    if (error !== undefined) return",
    fault: "detach"
  },
  {
    name: "the end of a session is not heard",
    file: "amqp/Link.ts",
    text: "rhea.on(\"session_error\", ended)\n  rhea.on(\"session_close\", ended)",
    replacement: "",
    fault: "end"
  },
  {
    name: "what waits for an event leaves its listener",
    file: "amqp/engine/ClientEndpoints.ts",
    text:
      "    const listener = () => {\n      emitter.removeListener(event, listener)\n      resume(Effect.void)\n    }\n" +
      "    emitter.on(event, listener)\n    if (action() === false) listener()\n    return Effect.sync(() => {\n      emitter.removeListener(event, listener)\n    })",
    replacement: "    emitter.on(event, () => resume(Effect.void))\n    if (action() === false) resume(Effect.void)",
    workload: "receiving",
    seeds: 100
  },
  {
    name: "a lost connection is not given up",
    file: "namespace/Namespace.ts",
    text: "Effect.runForkWith(context)(Effect.andThen(RcRef.invalidate(shared), died))",
    replacement: "Effect.runForkWith(context)(died)",
    also: [["opened === latest ? RcRef.invalidate(shared) : Effect.void", "Effect.void"]],
    by: "test/namespace"
  },
  {
    name: "a timer is left when a connection dies",
    file: "amqp/Connection.ts",
    text:
      "    const fiber = yield* Effect.forkIn(timer, scope, { startImmediately: true })\n    // The scope of a dead connection may stay open for long.\n    connection.onDeath(() => fiber.interruptUnsafe())",
    replacement: "    yield* Effect.forkDetach(timer, { startImmediately: true })"
  },
  {
    name: "a connection that dies leaves its socket open",
    file: "amqp/Connection.ts",
    text: "    death = reason\n    socket.destroy()",
    replacement: "    death = reason"
  },
  {
    name: "a connection whose peer says nothing is kept",
    file: "amqp/Connection.ts",
    text: "return die(errorMap.connectionLost(`the peer said nothing for ${2 * idleTimeout / 1000} seconds`))",
    replacement: "activity.lastRead = monotonic(clock)",
    fault: "half-open"
  },
  {
    name: "the silence of a peer is counted by frames, not by bytes",
    file: "amqp/engine/FrameGuard.ts",
    text: "    this.options.onBytes?.()",
    replacement: "    if (this.size === 0) this.options.onBytes?.()",
    by: "test/amqp"
  },
  {
    name: "a process that was asleep takes its own silence for the peer's",
    file: "amqp/Connection.ts",
    text: "if (monotonic(clock) > due + lateness) yield* Effect.sleep(lateness)",
    replacement: "",
    by: "test/amqp/Connection.heartbeat"
  },
  {
    name: "closing waits for the peer as long as it takes",
    file: "amqp/Connection.ts",
    text: "duration: activity.readsAtUnansweredClose === reads ? 0 : closeTimeout,",
    replacement: "duration: 100 * closeTimeout,",
    workload: "clients",
    fault: "half-open,interruptions",
    seeds: 200
  },
  {
    name: "no heartbeats are sent",
    file: "amqp/Connection.ts",
    text: "if (connection.dead() === undefined) connection.plane.heartbeat()",
    replacement: "",
    by: "test/amqp/Connection.heartbeat"
  },
  {
    name: "more is sent than the peer's window takes",
    file: "amqp/engine/SessionPlane.ts",
    text: "if (outgoing.remote_window - used <= 0) return",
    replacement: "",
    by: "test/amqp/engine"
  },
  {
    name: "a peer that answers nothing is not asked",
    file: "amqp/Connection.ts",
    text: "if (death === undefined && guard.answers === answersBefore) probeRequested.openUnsafe()",
    replacement: "",
    by: "test/amqp/Connection.silence"
  },
  {
    name: "a connection that is being closed outlives its client",
    file: "namespace/Namespace.ts",
    text: "          onClosing()\n",
    replacement: "",
    workload: "clients",
    fault: "half-open,silence,latency",
    seeds: 300
  },
  {
    name: "a connection that its last holder gave up outlives its client",
    file: "namespace/Namespace.ts",
    text: "          onClosing()\n",
    replacement: "",
    by: "test/simulation/Simulation.test"
  },
  {
    name: "a connection that is being opened outlives its client",
    file: "namespace/Namespace.ts",
    text: "acquire: opening.withPermits(1)(RecoveringLink.closedOnFailure(open))",
    replacement: "acquire: RecoveringLink.closedOnFailure(open)",
    workload: "clients",
    fault: "half-open,silence,latency,unanswered,refused claims",
    seeds: 300
  },
  {
    name: "a connection that is opened for what no caller waits for outlives its client",
    file: "namespace/Namespace.ts",
    text: "acquire: opening.withPermits(1)(RecoveringLink.closedOnFailure(open))",
    replacement: "acquire: RecoveringLink.closedOnFailure(open)",
    by: "test/namespace/Namespace.test"
  },
  {
    name: "a sender that was given no credit leaves a timer",
    file: "amqp/Link.ts",
    text: "    this.abort.abort()\n    for (const off",
    replacement: "    for (const off",
    by: "test/amqp/Link.credit"
  },
  {
    name: "an answer that comes when its link is detached is settled on it",
    file: "management/RequestResponseLink.ts",
    text: "      receiver.plane.onDeliveries = undefined\n",
    replacement: "",
    by: "test/simulation/Simulation.test"
  },
  {
    name: "a request is made of a node that is there after what asks is over",
    file: "namespace/Namespace.ts",
    text: "(node) => Effect.flatMap(isOpen, () => request(node, options.timeout))",
    replacement: "(node) => request(node, options.timeout)",
    by: "test/namespace/Namespace.test"
  },
  {
    name: "a request counts as made before it is known whether what asks is over",
    file: "namespace/Namespace.ts",
    text: "(node) => Effect.flatMap(isOpen, () => request(node, options.timeout))",
    replacement: "(node) => Effect.andThen(isOpen, request(node, options.timeout))",
    by: "test/namespace/Namespace.test"
  },
  {
    name: "what comes after so many transfers is not let in",
    file: "amqp/engine/SessionPlane.ts",
    text: "const isHalfUsed = incoming.max_transfer_id - incoming.next_transfer_id < incoming.window / 2",
    replacement: "const isHalfUsed = false",
    by: "test/amqp/engine"
  },
  {
    name: "of more than 2,048 settlements the first are forgotten",
    file: "amqp/engine/SessionPlane.ts",
    text: "      this.received.set(delivery.id, delivery)\n",
    replacement: "      this.received.set(delivery.id, delivery)\n      this.received.delete(delivery.id - 2048)\n",
    by: "test/receiver/Settler.test"
  },
  {
    name: "a connection whose peer breaks the protocol is kept",
    file: "amqp/Connection.ts",
    text: "    rhea._process()\n    die(reason)",
    replacement: "    rhea._process()",
    by: "test/wire"
  },
  {
    name: "an attach that is answered while its fiber yields is waited for",
    file: "amqp/Link.ts",
    text: "      if (this.rhea.is_open()) opened()\n      else this.rhea.once",
    replacement: "      this.rhea.once",
    by: "test/simulation/Simulation.test"
  },
  {
    name: "a session that is begun too late is not ended",
    file: "amqp/engine/ClientEndpoints.ts",
    text: "else session.once(\"session_open\", () => session.close())",
    replacement: "else {}",
    by: "test/ServiceBusClient.interruption"
  },
  {
    name: "what is begun and answered while it is interrupted is not ended",
    file: "amqp/engine/ClientEndpoints.ts",
    text: "if (remote_open) session.close()",
    replacement: "if (remote_open) {}",
    by: "test/ServiceBusClient.interruption"
  },
  {
    name: "more sessions are begun than the peer allows",
    file: "amqp/Link.ts",
    text: "if (rhea.local.channel > channelMax) {",
    replacement: "if (rhea.local.channel > Infinity) {",
    by: "test/wire/ForeignServers"
  },
  {
    name: "a link that cannot be attached leaves its session with its caller",
    file: "namespace/RecoveringLink.ts",
    text: "(exit) => Exit.isSuccess(exit) && isKept(exit.value) ? Effect.void : Scope.close(own, exit)",
    replacement: "() => Effect.void",
    by: "test/namespace"
  },
  {
    name: "a peer whose frames cannot be read is dialled again at once",
    file: "namespace/Namespace.ts",
    text: ": unreadable !== undefined && monotonic(clock) < unreadable.until",
    replacement: ": unreadable !== undefined && monotonic(clock) < 0",
    by: "test/wire"
  },
  {
    name: "what waits for events on a connection is warned of",
    file: "amqp/engine/ClientEndpoints.ts",
    text: "  rhea.setMaxListeners(0)\n",
    replacement: "",
    by: "test/amqp"
  },
  {
    name: "each page of a listing has a connection of its own",
    file: "namespace/Namespace.ts",
    text: "(node, timeout) => Effect.flatMap(keep(entity, node), () => request(node, timeout))",
    replacement: "(node, timeout) => request(node, timeout)",
    by: "test/ServiceBusDeadLetters.test"
  },
  {
    name: "a look at messages that is not answered waits for ever",
    file: "management/RequestResponseLink.ts",
    text: "        deadlines.add(request)\n",
    replacement: "        if (operation !== \"peek\") deadlines.add(request)\n",
    workload: "receiving",
    fault: "unanswered"
  }
]
