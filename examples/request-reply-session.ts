// Request and reply over one reply queue with sessions: each requester accepts a session of its own and receives no reply of another.
import { Console, Effect, Schema } from "effect"
import { ServiceBusEntity, ServiceBusProcessor, ServiceBusSender, ServiceBusSession } from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Numbers = ServiceBusEntity.queue("numbers", { body: Schema.Int })
const Answers = ServiceBusEntity.queue("answers", { body: Schema.Int, sessions: true })

/** Squares what it is sent, and answers to the session that the request names. */
const server = Effect.gen(function*() {
  const answers = yield* ServiceBusSender.make(Answers)
  yield* ServiceBusProcessor.make(Numbers, (number, message) =>
    answers.send({
      body: number * number,
      correlationId: message.messageId,
      sessionId: message.replyToSessionId ?? ""
    }).pipe(Effect.asVoid))
})

const ask = Effect.fn("ask")(function*(client: string, numbers: ReadonlyArray<number>) {
  const sender = yield* ServiceBusSender.make(Numbers)
  return yield* ServiceBusSession.use(Answers, client, (session) =>
    Effect.gen(function*() {
      const replies: Array<number> = []
      for (const number of numbers) {
        const id = yield* sender.send({ body: number, replyTo: "answers", replyToSessionId: client })
        const [reply] = yield* session.receive({ maxWait: "5 seconds" })
        if (reply?.correlationId !== id) return yield* Effect.die("the answer is not ours")
        yield* session.complete(reply)
        replies.push(reply.body)
      }
      return `${client}: ${replies.join(", ")}`
    }))
}, Effect.scoped)

const program = Effect.gen(function*() {
  yield* server
  const lines = yield* Effect.all([ask("ann", [1, 2, 3]), ask("bob", [10, 20])], { concurrency: "unbounded" })
  yield* Console.log(lines.join("; "))
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Numbers), Emulator.entity(Answers)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
