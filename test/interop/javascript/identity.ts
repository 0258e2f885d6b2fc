/** The checks of identities with the credentials of @azure/identity. */
import { ClientSecretCredential, DefaultAzureCredential, type TokenCredential } from "@azure/identity"
import { ServiceBusAdministrationClient, ServiceBusClient } from "@azure/service-bus"
import { ok, strictEqual } from "node:assert"
import type { AdministrationPlace } from "./administration.ts"

/** Where the broker is. */
export interface IdentityPlace extends AdministrationPlace {
  readonly tlsPort: number
}

const tenant = "11111111-1111-1111-1111-111111111111"

const authorityOf = ({ httpsPort }: IdentityPlace) => `https://localhost:${httpsPort}`

const secretOf = (place: IdentityPlace, clientId: string, secret = `${clientId}-secret`) =>
  new ClientSecretCredential(tenant, clientId, secret, {
    authorityHost: authorityOf(place),
    disableInstanceDiscovery: true
  })

/** Runs a function with a client of a credential. */
const withClient = async <A>(
  { tlsPort }: IdentityPlace,
  credential: TokenCredential,
  run: (client: ServiceBusClient) => Promise<A>
) => {
  const client = new ServiceBusClient("contoso.servicebus.windows.net", credential, {
    customEndpointAddress: `sb://localhost:${tlsPort}`,
    retryOptions: { maxRetries: 0, timeoutInMs: 8000 }
  })
  try {
    return await run(client)
  } finally {
    await client.close()
  }
}

const roundTrip = (name: string) => async (client: ServiceBusClient) => {
  await client.createSender(name).sendMessages({ body: "by an identity" })
  const receiver = client.createReceiver(name)
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 8000 })
  strictEqual(message?.body, "by an identity")
  await receiver.completeMessage(message)
}

const fails = async (what: string, text: string, action: () => Promise<unknown>) => {
  const error = await action().then(() => undefined, (cause: Error) => cause)
  ok(error?.message.includes(text), `${what}: the error does not say "${text}": ${error?.message}`)
}

/** Runs a function under variables of the environment, which credentials read when they are asked. */
const under = async <A>(variables: Readonly<Record<string, string>>, run: () => Promise<A>) => {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const)
  Object.assign(process.env, variables)
  try {
    return await run()
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    }
  }
}

export const identity: Record<string, (name: string, place: IdentityPlace) => Promise<void>> = {
  "identity-secret": async (name, place) => {
    await withClient(place, secretOf(place, "interop-owner"), roundTrip(name))
    await fails(
      "a wrong secret",
      "AADSTS7000215: Invalid client secret provided.",
      () => secretOf(place, "interop-owner", "wrong").getToken("https://servicebus.azure.net/.default")
    )
  },

  // That of managed identities is in OfficialIdentity.test.ts: the SDK keeps its endpoint for the whole process.
  "identity-environment": (name, place) =>
    under({
      AZURE_AUTHORITY_HOST: authorityOf(place),
      AZURE_TENANT_ID: "adfs",
      AZURE_CLIENT_ID: "interop-owner",
      AZURE_CLIENT_SECRET: "interop-owner-secret"
    }, () => withClient(place, new DefaultAzureCredential(), roundTrip(name))),

  "identity-roles": (name, place) =>
    withClient(place, secretOf(place, "interop-sender"), async (client) => {
      await client.createSender(name).sendMessages({ body: "x" })
      await fails("receiving", "'Listen' claim(s) are required", () => client.createReceiver(name).receiveMessages(1))
    }),

  "admin-identity": async (name, place) => {
    const client = (clientId: string) =>
      new ServiceBusAdministrationClient(`localhost:${place.httpsPort}`, secretOf(place, clientId))
    await client("interop-owner").createQueue(name)
    strictEqual((await client("interop-owner").getQueue(name)).name, name)
    await fails("reading", "claims required", () => client("interop-sender").getQueue(name))
  }
}
