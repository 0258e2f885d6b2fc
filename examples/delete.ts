// Deleting without receiving: a number of messages, everything before a time, one session of many, a dead-letter queue.
import { Console, DateTime, Effect } from "effect"
import {
  ServiceBusBody,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Paper = ServiceBusEntity.subscription(News, "paper")
const Chats = ServiceBusEntity.queue("chats", { body: ServiceBusBody.text, sessions: true })

const program = Effect.gen(function*() {
  const news = yield* ServiceBusSender.make(News)
  yield* news.sendAll(Array.from({ length: 1200 }, (_, i) => ({ body: `old ${i}` })))
  yield* Effect.sleep("5 millis")
  const cutOff = yield* DateTime.now
  yield* news.send({ body: "new" })

  const paper = yield* ServiceBusReceiver.make(Paper)
  const some = yield* paper.deleteMessages({ max: 100, before: cutOff })
  // In requests of 500, until there is nothing left.
  const rest = yield* paper.purge({ before: cutOff })

  const chats = yield* ServiceBusSender.make(Chats)
  yield* chats.sendAll(["ann", "bob", "ann"].map((sessionId) => ({ body: "hi", sessionId })))
  yield* Effect.sleep("5 millis")
  const ofAnn = yield* ServiceBusSession.use(Chats, "ann", (session) => session.purge())

  const [left] = yield* paper.receive()
  yield* paper.deadLetter(left!, { reason: "Unread" })
  const dead = yield* ServiceBusReceiver.make(ServiceBusEntity.deadLetter(Paper))
  const unread = yield* dead.purge()
  yield* Console.log(`deleted ${some} and ${rest} of news, ${ofAnn} of ann, ${unread} dead letter (${left!.body})`)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(News), Emulator.entity(Paper), Emulator.entity(Chats)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
