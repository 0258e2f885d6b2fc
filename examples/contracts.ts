// Contracts: what the compiler refuses, with what it says, and what the broker refuses where a contract says other than the
// entity is.
import { Console, Context, Effect, Schema, SchemaGetter } from "effect"
import {
  ServiceBusBody,
  ServiceBusDeadLetters,
  ServiceBusEntity,
  ServiceBusFilter,
  type ServiceBusMessage,
  ServiceBusProcessor,
  ServiceBusReceiver,
  ServiceBusSender,
  ServiceBusSession,
  Settlement
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Finite }) {}

const Orders = ServiceBusEntity.queue("orders", { body: Order })
const Carts = ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessions: true, sessionState: Schema.Int })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Dead = ServiceBusEntity.deadLetter(Orders)
const Parcels = ServiceBusEntity.queue("parcels", {
  body: ServiceBusBody.text,
  properties: { region: Schema.String, weight: Schema.Finite }
})

/** The type of a body has its name. */
export const isFree = (order: typeof Orders.Type) => order.total === 0

class Keys extends Context.Service<Keys, { readonly open: (text: string) => string }>()("app/Keys") {}
const Sealed = Schema.String.pipe(Schema.decodeTo(Schema.String, {
  decode: SchemaGetter.transformEffect((text: string) => Effect.map(Keys, (keys) => keys.open(text))),
  encode: SchemaGetter.passthrough()
}))

/** Each line is refused by the compiler, which says what stands above it. */
export const refused = (
  sender: ServiceBusSender.ServiceBusSender<Order>,
  receiver: ServiceBusReceiver.ServiceBusReceiver<Order>,
  looked: ServiceBusMessage.PeekedMessage<Order>
) => [
  // @ts-expect-error A topic is only sent to. Receive from a subscription of it
  ServiceBusReceiver.make(News),
  // @ts-expect-error This entity has sessions. Receive by ServiceBusSession.accept or acceptNext
  ServiceBusReceiver.make(Carts),
  // @ts-expect-error or by ServiceBusProcessor.processSessions
  ServiceBusProcessor.process(Carts, () => Effect.void),
  // @ts-expect-error This entity has sessions.
  ServiceBusProcessor.layer(Carts, () => Effect.void),
  // @ts-expect-error This contract has no sessions. Receive by ServiceBusReceiver.make, or by ServiceBusProcessor.make
  ServiceBusSession.accept(Orders, "ada"),
  // @ts-expect-error This contract has no sessions.
  ServiceBusProcessor.processSessions(Sport, () => Effect.void),
  // @ts-expect-error A plain name has no sessions. Give a contract: ServiceBusEntity.queue(name, { body, sessions: true })
  ServiceBusSession.acceptNext("carts"),
  // @ts-expect-error A sub-queue has no sessions. Receive by ServiceBusReceiver.make
  ServiceBusSession.accept(Dead, "ada"),
  // @ts-expect-error A subscription is only received from. Send to its topic
  ServiceBusSender.make(Sport),
  // @ts-expect-error A sub-queue is only received from. Send to the entity that it belongs to
  ServiceBusSender.make(Dead),
  // @ts-expect-error Only a topic has subscriptions
  ServiceBusEntity.subscription(Orders, "sport"),
  // @ts-expect-error A topic has no dead letters. Its subscriptions have
  ServiceBusEntity.deadLetter(News),
  // @ts-expect-error A sub-queue has no sub-queues. Give the entity that it belongs to
  ServiceBusDeadLetters.browse(Dead),
  // @ts-expect-error A topic has no dead letters. Its subscriptions have
  ServiceBusDeadLetters.replay(News, { to: News }),
  // @ts-expect-error A sub-queue has no sub-queues. Give the entity that it belongs to
  ServiceBusDeadLetters.replay(Dead),
  // @ts-expect-error A subscription is only received from. Send to its topic
  ServiceBusDeadLetters.replay(Sport, { to: Sport }),
  // @ts-expect-error A topic is only sent to. Receive from a subscription of it
  ServiceBusReceiver.settleByToken(News, [], Settlement.complete),
  // @ts-expect-error This entity has sessions. Receive by ServiceBusSession.accept
  ServiceBusReceiver.renewByToken(Carts, []),
  // @ts-expect-error sessionState is the state of sessions: say sessions: true
  ServiceBusEntity.queue("carts", { body: ServiceBusBody.text, sessionState: Schema.Int }),
  // @ts-expect-error This Schema needs services, and a codec runs without: make one with `yield* ServiceBusBody.makeJson(schema)`
  ServiceBusEntity.queue("payments", { body: Sealed }),
  // @ts-expect-error Type 'number' is not assignable to type 'string'
  sender.send({ body: { id: 1, total: 9.5 } }),
  // @ts-expect-error Property 'applicationProperties' is missing in type '{ body: string; }' but required
  Effect.flatMap(ServiceBusSender.make(Parcels), (parcels) => parcels.send({ body: "books" })),
  Effect.flatMap(ServiceBusSender.make(Parcels), (parcels) =>
    // @ts-expect-error Property 'weight' is missing in type '{ region: string; }' but required
    parcels.send({ body: "books", applicationProperties: { region: "eu" } })),
  // @ts-expect-error Type 'readonly string[]' is not assignable to type 'SimpleValue | undefined'
  ServiceBusEntity.queue("parcels", { body: ServiceBusBody.text, properties: { tags: Schema.Array(Schema.String) } }),
  // @ts-expect-error Property 'regoin' does not exist
  ServiceBusFilter.where(Parcels, ({ regoin }) => ServiceBusFilter.equals(regoin, "eu")),
  // @ts-expect-error Argument of type 'string' is not assignable to parameter of type 'Operand<number, number>'
  ServiceBusFilter.where(Parcels, ({ weight }) => ServiceBusFilter.greaterThan(weight, "5")),
  // @ts-expect-error Type '"required"' is not assignable to type '"optional"'
  ServiceBusFilter.action(Parcels, ({ region }) => [ServiceBusFilter.remove(region)]),
  // @ts-expect-error Property 'sessionId' is missing
  Effect.flatMap(ServiceBusSender.make(Carts), (carts) => carts.send({ body: "tea" })),
  // @ts-expect-error Type 'PeekedMessage<Order>' is missing the following properties from type 'LockedMessage<unknown>'
  receiver.complete(looked),
  // @ts-expect-error Argument of type '"MessageLockLostError"' is not assignable
  sender.send({ body: { id: "1", total: 9.5 } }).pipe(Effect.catchTag("MessageLockLostError", () => Effect.void)),
  // @ts-expect-error Property 'settle' does not exist
  Effect.flatMap(ServiceBusReceiver.makeDestructive(Orders), (orders) => orders.settle([], Settlement.complete))
]

// The compiler knows what the contract says. What the entity is, the broker says where the contract is used.
const program = Effect.gen(function*() {
  const undeclared = yield* Effect.flip(ServiceBusReceiver.make("carts"))
  yield* Console.log(undeclared.message)
  const Plain = ServiceBusEntity.queue("orders", { body: Order, sessions: true })
  const overdeclared = yield* Effect.flip(ServiceBusSession.accept(Plain, "ada"))
  yield* Console.log(overdeclared.message)
})

const Broker = Emulator.layer({ entities: [Emulator.entity(Orders), Emulator.entity(Carts)] })

await Effect.runPromise(program.pipe(Effect.scoped, Effect.provide(Broker)))
