// The HTTP side: POST /orders answers once the broker has stored the order; GET /health says whether the broker answers.
import { NodeHttpServer } from "@effect/platform-node"
import { Config, Effect, Layer } from "effect"
import { ServiceBusClient, ServiceBusSender } from "effect-service-bus"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { Order, Orders } from "./Contracts.ts"

const unavailable = (error: { readonly message: string }) =>
  Effect.as(Effect.logWarning(error.message), HttpServerResponse.text(error.message, { status: 503 }))

export const routes = HttpRouter.addAll(Effect.gen(function*() {
  const client = yield* ServiceBusClient.ServiceBusClient
  const orders = yield* ServiceBusSender.make(Orders)
  return [
    HttpRouter.route(
      "POST",
      "/orders",
      Effect.gen(function*() {
        const order = yield* HttpServerRequest.schemaBodyJson(Order)
        yield* orders.send({ messageId: order.id, body: order })
        return HttpServerResponse.empty({ status: 202 })
      }).pipe(
        Effect.catchTags({
          HttpServerError: () => Effect.succeed(HttpServerResponse.empty({ status: 400 })),
          SchemaError: (error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 400 }))
        }),
        Effect.catch(unavailable)
      )
    ),
    HttpRouter.route(
      "GET",
      "/health",
      client.health.pipe(Effect.as(HttpServerResponse.empty()), Effect.catch(unavailable))
    )
  ] as const
}))

export const layer = HttpRouter.serve(routes).pipe(
  Layer.provide(
    NodeHttpServer.layerConfig(createServer, {
      port: Config.Int("PORT").pipe(Config.withDefault(3000)),
      gracefulShutdownTimeout: Config.succeed("10 seconds")
    })
  )
)
