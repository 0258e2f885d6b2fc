/**
 * The credentials of `@azure/identity` itself get their tokens from the broker, and open it: our client, Microsoft's, and the
 * administration of both, with the rights of their roles and no others.
 */
import {
  ClientAssertionCredential,
  ClientSecretCredential,
  DefaultAzureCredential,
  EnvironmentCredential,
  ManagedIdentityCredential,
  WorkloadIdentityCredential
} from "@azure/identity"
import { ServiceBusAdministrationClient, ServiceBusClient as Official } from "@azure/service-bus"
import { Context, Effect, Exit, Layer, Option, Redacted, type Scope } from "effect"
import {
  ServiceBusAdministration,
  ServiceBusBody,
  ServiceBusClient,
  ServiceBusCredential,
  ServiceBusEntity,
  ServiceBusReceiver,
  ServiceBusSender
} from "effect-service-bus"
import * as Emulator from "effect-service-bus/emulator"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { selfSigned } from "../../src/emulator/security/Certificate.ts"
import { failsWith } from "../support/harness.ts"
import { trust } from "../support/trust.ts"
import { assert, describe, it } from "../support/vitest.ts"

const Orders = ServiceBusEntity.queue("orders", { body: ServiceBusBody.text })
const News = ServiceBusEntity.topic("news", { body: ServiceBusBody.text })
const Sport = ServiceBusEntity.subscription(News, "sport")
const Weather = ServiceBusEntity.subscription(News, "weather")

const certificate = selfSigned()
trust(certificate.cert)

const secretOf = (clientId: string) => `${clientId}-secret`

const identity = (
  clientId: string,
  roles?: ReadonlyArray<Emulator.RoleOptions>,
  tenant?: string
): Emulator.IdentityOptions => ({ clientId, secret: Redacted.make(secretOf(clientId)), roles, tenant })

const Server = Emulator.layerServer({
  entities: [Emulator.entity(Orders), Emulator.entity(News), Emulator.entity(Sport), Emulator.entity(Weather)],
  identities: [
    identity("owner"),
    identity("of-a-tenant", undefined, "contoso.com"),
    identity("sender", [{ role: "Azure Service Bus Data Sender", entity: Orders }]),
    identity("receiver", [{ role: "Azure Service Bus Data Receiver", entity: "orders" }]),
    identity("reader", [{ role: "Azure Service Bus Data Receiver", entity: Sport }]),
    identity("keeper", [{ role: "Azure Service Bus Data Owner", entity: Orders }]),
    identity("nobody", [])
  ],
  tlsPort: 0,
  httpsPort: 0,
  certificate
})

const tenant = "11111111-1111-1111-1111-111111111111"

const scope = "https://servicebus.azure.net//.default"

const authority = Effect.map(Emulator.Emulator, ({ httpsPort }) => ({
  authorityHost: `https://localhost:${httpsPort}`,
  disableInstanceDiscovery: true,
  retryOptions: { maxRetries: 0 }
}))

const credentialOf = (clientId: string, secret = secretOf(clientId), directory = tenant) =>
  Effect.map(authority, (options) => new ClientSecretCredential(directory, clientId, secret, options))

const namespace = "contoso.servicebus.windows.net"

/** Our client, of a credential of theirs. */
const clientOf = (credential: ServiceBusCredential.TokenCredential) =>
  Layer.unwrap(Effect.map(Emulator.Emulator, ({ certificate, tlsPort }) =>
    Layer.orDie(ServiceBusClient.layer({
      fullyQualifiedNamespace: namespace,
      credential: ServiceBusCredential.identity(credential),
      customEndpointAddress: `sb://localhost:${tlsPort}`,
      ca: certificate,
      retry: { maxRetries: 0 }
    }))))

const official = (credential: ServiceBusCredential.TokenCredential) =>
  Effect.acquireRelease(
    Effect.map(Emulator.Emulator, ({ tlsPort }) =>
      new Official(namespace, credential, {
        customEndpointAddress: `sb://localhost:${tlsPort}`,
        retryOptions: { maxRetries: 0 }
      })),
    (client) => Effect.promise(() => client.close())
  )

/** What went wrong. */
const words = (run: () => PromiseLike<unknown>) =>
  Effect.map(
    Effect.exit(Effect.tryPromise({ try: run, catch: (cause) => cause as Error })),
    (exit) => Exit.isSuccess(exit) ? "it succeeded" : String(exit.cause)
  )

const test = (title: string, body: Effect.Effect<void, unknown, any>) =>
  it.live(title, () => Effect.scoped(body).pipe(Effect.provide(Server)) as Effect.Effect<void>)

describe("a secret", () => {
  test(
    "opens our client",
    Effect.gen(function*() {
      const credential = yield* credentialOf("owner")
      yield* Effect.gen(function*() {
        const sender = yield* ServiceBusSender.make(Orders)
        yield* sender.send({ body: "ours" })
        const receiver = yield* ServiceBusReceiver.make(Orders)
        const [message] = yield* receiver.receive()
        assert.strictEqual(message!.body, "ours")
        yield* receiver.complete(message!)
      }).pipe(Effect.scoped, Effect.provide(clientOf(credential)))
    })
  )

  test(
    "opens theirs",
    Effect.gen(function*() {
      const client = yield* official(yield* credentialOf("owner"))
      yield* Effect.promise(() => client.createSender("orders").sendMessages({ body: "theirs" }))
      const receiver = client.createReceiver("orders")
      const [message] = yield* Effect.promise(() => receiver.receiveMessages(1))
      assert.strictEqual(message!.body, "theirs")
      yield* Effect.promise(() => receiver.completeMessage(message!))
    })
  )

  test(
    "opens administration, theirs and ours, where the role is Owner",
    Effect.gen(function*() {
      const { httpsPort } = yield* Emulator.Emulator
      const theirs = (clientId: string) =>
        Effect.map(
          credentialOf(clientId),
          (credential) => new ServiceBusAdministrationClient(`localhost:${httpsPort}`, credential)
        )
      const ours = (clientId: string) =>
        Effect.flatMap(credentialOf(clientId), (credential) =>
          Effect.map(
            Layer.build(ServiceBusAdministration.layer({
              fullyQualifiedNamespace: "localhost",
              port: httpsPort,
              credential: ServiceBusCredential.identity(credential),
              retry: { maxRetries: 0 }
            })),
            (context) => Context.get(context, ServiceBusAdministration.ServiceBusAdministration)
          ))
      const owner = yield* theirs("owner")
      yield* Effect.promise(() => owner.createQueue("made"))
      assert.strictEqual((yield* Effect.promise(() => owner.getQueue("made"))).name, "made")
      const keeper = yield* theirs("keeper")
      assert.strictEqual((yield* Effect.promise(() => keeper.getQueue("orders"))).name, "orders")
      assert.include(
        yield* words(() => keeper.getQueue("made")),
        "Manage,EntityRead claims required for this operation."
      )
      assert.include(yield* words(() => keeper.createQueue("more")), "Manage,EntityWrite claims required")
      assert.include(yield* words(() => keeper.listQueues().next()), "Manage,EntityRead claims required")
      const sender = yield* theirs("sender")
      assert.include(yield* words(() => sender.deleteQueue("orders")), "Manage,EntityDelete claims required")
      assert.isTrue(Option.isSome(yield* (yield* ours("owner")).getQueue("made")))
      assert.isTrue(Option.isSome(yield* (yield* ours("keeper")).getQueue("orders")))
      yield* failsWith("ServiceBusAuthenticationError")((yield* ours("keeper")).getQueue("made"))
      yield* failsWith("ServiceBusAuthenticationError")((yield* ours("receiver")).getQueue("orders"))
    })
  )

  test(
    "gives the rights of the roles, and no others",
    Effect.gen(function*() {
      const as = <A, E>(
        clientId: string,
        effect: Effect.Effect<A, E, ServiceBusClient.ServiceBusClient | Scope.Scope>
      ) =>
        Effect.flatMap(
          credentialOf(clientId),
          (credential) => effect.pipe(Effect.scoped, Effect.provide(clientOf(credential)))
        )
      const refused = failsWith("ServiceBusAuthorizationError")
      yield* as("sender", Effect.flatMap(ServiceBusSender.make(Orders), (sender) => sender.send({ body: "one" })))
      const noListen = yield* as("sender", refused(ServiceBusReceiver.make(Orders)))
      assert.include(noListen.message, "'Listen' claim(s) are required")
      const received = yield* as(
        "receiver",
        Effect.flatMap(
          ServiceBusReceiver.make(Orders),
          (receiver) =>
            Effect.flatMap(receiver.receive(), ([message]) => Effect.as(receiver.complete(message!), message!.body))
        )
      )
      assert.strictEqual(received, "one")
      const noSend = yield* as("receiver", refused(ServiceBusSender.make(Orders)))
      assert.include(noSend.message, "'Send' claim(s) are required")
      yield* as("reader", ServiceBusReceiver.make(Sport))
      yield* as("reader", refused(ServiceBusReceiver.make(Weather)))
      yield* as("reader", refused(ServiceBusReceiver.make(Orders)))
      yield* as("reader", refused(ServiceBusSender.make(News)))
      yield* as("keeper", ServiceBusReceiver.make(Orders))
      yield* as("keeper", refused(ServiceBusReceiver.make(Sport)))
      yield* as("nobody", refused(ServiceBusReceiver.make(Orders)))
      const client = yield* official(yield* credentialOf("nobody"))
      assert.include(
        yield* words(() => client.createSender("orders").sendMessages({ body: "no" })),
        "Unauthorized access. 'Send' claim(s) are required to perform this operation."
      )
    })
  )

  test(
    "that is wrong, of a stranger or of another tenant, and a scope that is not ours, are told apart",
    Effect.gen(function*() {
      const said = (credential: ServiceBusCredential.TokenCredential, of = scope) =>
        words(() => credential.getToken(of))
      const wrong = yield* said(yield* credentialOf("owner", "no secret"))
      assert.include(wrong, "invalid_client: Error(s): 7000215")
      assert.include(wrong, "AADSTS7000215: Invalid client secret provided.")
      assert.notInclude(wrong, "no secret")
      assert.include(yield* said(yield* credentialOf("stranger")), "unauthorized_client: Error(s): 700016")
      assert.include(yield* said(yield* credentialOf("of-a-tenant")), "AADSTS700016")
      assert.strictEqual(
        yield* said(yield* credentialOf("of-a-tenant", undefined, "contoso.com")),
        "it succeeded"
      )
      const owner = yield* credentialOf("owner")
      assert.include(yield* said(owner, "https://vault.azure.net/.default"), "invalid_resource: Error(s): 500011")
      assert.include(yield* said(owner, "https://servicebus.azure.net/send"), "invalid_scope: Error(s): 1002012")
      // A user of our client reads it, too.
      const error = yield* failsWith("CredentialError")(
        ServiceBusSender.make(Orders).pipe(
          Effect.scoped,
          Effect.provide(clientOf(yield* credentialOf("owner", "no secret")))
        )
      )
      assert.include(error.message, "AADSTS7000215: Invalid client secret provided.")
    })
  )

  test(
    "is asked for once, while the token is good",
    Effect.gen(function*() {
      const credential = yield* credentialOf("owner")
      const { expiresOnTimestamp, token } = yield* Effect.promise(() => credential.getToken(scope))
      const left = expiresOnTimestamp - Date.now()
      assert.isTrue(left > 3_590_000 && left <= 3_600_000, String(left))
      assert.strictEqual((yield* Effect.promise(() => credential.getToken(scope))).token, token)
    })
  )
})

describe("other credentials", () => {
  test(
    "an assertion, which is the secret",
    Effect.gen(function*() {
      const options = yield* authority
      const of = (assertion: string) =>
        new ClientAssertionCredential(tenant, "owner", () => Promise.resolve(assertion), options)
      yield* Effect.promise(() => of(secretOf("owner")).getToken(scope))
      assert.include(yield* words(() => of("a.b.c").getToken(scope)), "AADSTS700027")
    })
  )

  // One test, because the environment is one.
  test(
    "those of the environment, without a word in code",
    Effect.gen(function*() {
      const { httpsPort, port } = yield* Emulator.Emulator
      const folder = mkdtempSync(join(tmpdir(), "identity-"))
      const file = join(folder, "token")
      writeFileSync(file, `${secretOf("owner")}\n`)
      const names = [
        "AZURE_AUTHORITY_HOST",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER"
      ]
      const before = Object.fromEntries(names.map((name) => [name, process.env[name]]))
      const set = (values: Readonly<Record<string, string | undefined>>) => {
        for (const name of names) {
          if (values[name] === undefined) delete process.env[name]
          else process.env[name] = values[name]
        }
      }
      yield* Effect.addFinalizer(() =>
        Effect.sync(() => {
          set(before)
          rmSync(folder, { recursive: true })
        })
      )
      const sends = (credential: ServiceBusCredential.TokenCredential) =>
        ServiceBusSender.make(Orders).pipe(
          Effect.flatMap((sender) => sender.send({ body: "sent" })),
          Effect.scoped,
          Effect.provide(clientOf(credential))
        )
      const authority = {
        AZURE_AUTHORITY_HOST: `https://localhost:${httpsPort}`,
        AZURE_TENANT_ID: "adfs",
        AZURE_CLIENT_ID: "owner"
      }
      set({ ...authority, AZURE_CLIENT_SECRET: secretOf("owner") })
      yield* sends(new EnvironmentCredential())
      yield* sends(new DefaultAzureCredential())
      // Any other tenant is one that login.microsoftonline.com is asked about, unless code says not to.
      process.env["AZURE_TENANT_ID"] = tenant
      yield* sends(new DefaultAzureCredential({ disableInstanceDiscovery: true } as never))
      set({ ...authority, AZURE_FEDERATED_TOKEN_FILE: file })
      yield* sends(new WorkloadIdentityCredential())
      yield* sends(new DefaultAzureCredential())
      set({ IDENTITY_ENDPOINT: `http://localhost:${port}/msi/token`, IDENTITY_HEADER: secretOf("owner") })
      yield* sends(new DefaultAzureCredential())
      yield* sends(new ManagedIdentityCredential("owner"))
      // The endpoint and the header are those of the first of the process, tokens are kept for all of them.
      assert.include(
        yield* words(() => new ManagedIdentityCredential("sender").getToken(scope)),
        "No User Assigned or Delegated Managed Identity found for specified ClientId"
      )
      assert.lengthOf(yield* Effect.flatMap(Emulator.Emulator, (emulator) => emulator.messages(Orders)), 7)
    })
  )
})
