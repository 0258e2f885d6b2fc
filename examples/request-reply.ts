// Request and reply over two queues: the request says where the answer goes, the answer says which request it is for.
import { Console, Effect } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const Questions = ServiceBusEntity.queue("questions", { body: ServiceBusBody.text })
const Answers = ServiceBusEntity.queue("answers", { body: ServiceBusBody.text })

const answering = Effect.gen(function*() {
  yield* ServiceBusProcessor.make(Questions, (question, message) =>
    Effect.gen(function*() {
      if (message.replyTo === undefined) return
      const replies = yield* ServiceBusSender.make(
        ServiceBusEntity.queue(message.replyTo, { body: ServiceBusBody.text })
      )
      yield* replies.send({ body: question.toUpperCase(), correlationId: message.messageId })
    }).pipe(Effect.scoped))
})

const program = Effect.gen(function*() {
  yield* answering
  const sender = yield* ServiceBusSender.make(Questions)
  const answers = yield* ServiceBusReceiver.make(Answers)
  const id = yield* sender.send({ body: "anybody there?", replyTo: Answers.path })
  const [answer] = yield* answers.receive({ maxWait: "10 seconds" })
  if (answer === undefined) return
  yield* answers.complete(answer)
  yield* Console.log(`"${answer.body}", the answer to ${answer.correlationId === id ? "the question" : "?"}`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Questions), Emulator.entity(Answers)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
