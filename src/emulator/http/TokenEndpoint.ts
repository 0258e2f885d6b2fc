/**
 * The endpoints at which clients get tokens of the broker's identities, as Entra has them at `login.microsoftonline.com`: the
 * discovery document, the key set and the token endpoint of every tenant, within TLS; and beside them the endpoint of managed
 * identities that App Service has, within TLS or not.
 *
 * It answers requests out of the identity provider, and knows no sockets. What it does not know is not its own: the management
 * API answers it.
 *
 * Sources: OpenID Connect Discovery 1.0; RFC 6749, sections 2.3.1, 4.4 and 5.2; RFC 7523; what @azure/identity, azure-identity
 * for Python and azidentity for Go ask and make of answers; answers of Entra that users have reported (beside each), and where
 * there is none, its documentation of error codes.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { randomUUID } from "node:crypto"
import { isSame } from "../security/Authorization.ts"
import { type Identity, isTenant } from "../security/Identity.ts"
import { type IdentityProvider, isAudience, type Issued, serviceBus, tenantIdOf } from "../security/IdentityProvider.ts"
import type { HttpAnswer, HttpRequest } from "./HttpMessage.ts"

/** What it is made of. */
interface Options {
  readonly identities: IdentityProvider
  /** That of the server: by it tokens expire. */
  readonly clock: Clock.Clock
  /** The name by which the broker speaks of itself, where a request does not name it. */
  readonly host: string
}

/** A refusal, as RFC 6749 (section 5.2) has it, with the code of Entra where it has one for the case. */
interface Refusal {
  readonly status: number
  readonly error: string
  readonly code?: number
  readonly text: string
  /** The methods that are answered, where another one was used (RFC 9110, section 15.5.6). */
  readonly allow?: string
}

type Answered<A> = Result.Result<A, Refusal>

const refuse = (status: number, error: string, code: number, text: string): Answered<never> =>
  Result.fail({ status, error, code, text })

/** A parameter that is missing (MicrosoftDocs/azure-docs #43780). */
const missing = (name: string): Answered<never> =>
  refuse(400, "invalid_request", 900144, `The request body must contain the following parameter: '${name}'.`)

/** A method that a path does not answer. */
const wrongMethod = (method: string, allow: string): Answered<never> =>
  Result.fail({
    status: 405,
    error: "invalid_request",
    code: 900561,
    text: `The endpoint only accepts ${allow.split(",")[0]} requests. Received a ${method} request.`,
    allow
  })

/** What may have been asked for, at most as long as is good to read. */
const quoted = (text: string): string => text.slice(0, 256)

/** The paths below a tenant, of version 2.0 and of version 1.0, which is that of AD FS too. */
const routes: Readonly<Record<string, "configuration" | "keys" | "token">> = {
  "v2.0/.well-known/openid-configuration": "configuration",
  ".well-known/openid-configuration": "configuration",
  "discovery/v2.0/keys": "keys",
  "discovery/keys": "keys",
  "oauth2/v2.0/token": "token",
  "oauth2/token": "token"
}

/** The parameters of a form that are read. */
const parameters = [
  "grant_type",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
  "scope",
  "resource"
]

/** The scopes that clients add by themselves (OpenID Connect Core 1.0); they ask for nothing here. */
const openId = new Set(["openid", "profile", "email", "offline_access"])

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const json = (status: number, value: object, headers: HttpAnswer["headers"] = {}): HttpAnswer => ({
  status,
  headers: {
    "content-type": "application/json; charset=utf-8",
    "cache-control": "no-store",
    pragma: "no-cache",
    ...headers
  },
  body: JSON.stringify(value)
})

/** Answers requests. */
export class TokenEndpoint {
  private readonly options: Options

  constructor(options: Options) {
    this.options = options
  }

  /** Answers a request; it never fails. Undefined where the request is not for it. */
  answer(request: HttpRequest): Effect.Effect<HttpAnswer> | undefined {
    const at = request.target.indexOf("?")
    const path = at < 0 ? request.target : request.target.slice(0, at)
    const query = new URLSearchParams(at < 0 ? "" : request.target.slice(at + 1))
    if (/^\/msi\/token\/?$/i.test(path) && request.headers["x-identity-header"] !== undefined) {
      return Effect.sync(() => this.managedIdentity(request, query))
    }
    const slash = path.indexOf("/", 1)
    const tenant = path.slice(1, Math.max(1, slash))
    const route = path.slice(slash + 1).toLowerCase()
    // An entity may be called so, too: what is asked about entities names a version of the API.
    if (!isTenant(tenant) || !Object.hasOwn(routes, route) || query.has("api-version")) return undefined
    return Effect.sync(() => this.ofTenant(request, tenant, routes[route]!, route.includes("v2.0")))
  }

  private get now(): number {
    return this.options.clock.currentTimeMillisUnsafe()
  }

  private ofTenant(
    request: HttpRequest,
    tenant: string,
    route: "configuration" | "keys" | "token",
    isV2: boolean
  ): HttpAnswer {
    const answer = Result.flatMap(this.admit(request, tenant, route), () => {
      const authority = `https://${request.headers["host"] ?? this.options.host}/${tenant}`
      switch (route) {
        case "configuration":
          return Result.succeed(configuration(authority, isV2))
        case "keys":
          return Result.succeed({ keys: [this.options.identities.publicKey] })
        case "token":
          return this.token(request, tenant)
      }
    })
    return Result.match(answer, {
      onSuccess: (value) => json(200, value),
      onFailure: (refusal) => this.refused(request, refusal)
    })
  }

  /** Whether there is anything to answer about a tenant. */
  private admit({ isSecure, method }: HttpRequest, tenant: string, route: string): Answered<void> {
    if (!isSecure) {
      return Result.fail({
        status: 400,
        error: "invalid_request",
        text:
          "Secrets and tokens are taken and given within TLS alone: name a port of the broker that has TLS, such as its HTTPS port, by https://."
      })
    }
    if (route === "token" && method !== "POST") return wrongMethod(method, "POST")
    if (route !== "token" && method !== "GET" && method !== "HEAD") return wrongMethod(method, "GET, HEAD")
    const { identities } = this.options.identities
    return identities.length === 0 || identities.some((identity) => isOfTenant(identity, tenant))
      ? Result.succeed(undefined)
      // microsoftgraph/windowsupdates-webapplication-sample #6, microsoftarchive/BatchAI #31.
      : refuse(
        400,
        route === "token" ? "invalid_request" : "invalid_tenant",
        90002,
        `Tenant '${tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud. The broker knows the tenants of its identities.`
      )
  }

  /** A token for an identity that proves itself (RFC 6749, section 4.4). */
  private token(request: HttpRequest, tenant: string): Answered<object> {
    const form = new URLSearchParams(request.body)
    for (const name of parameters) {
      // Error codes of Entra (RFC 6749, section 3.2).
      if (form.getAll(name).length > 1) {
        return refuse(
          400,
          "invalid_request",
          9000411,
          `The request is not properly formatted. The parameter '${name}' is duplicated.`
        )
      }
    }
    const grantType = form.get("grant_type")
    if (grantType === null) return missing("grant_type")
    if (grantType !== "client_credentials") {
      return refuse(
        400,
        "unsupported_grant_type",
        70003,
        `The app requested an unsupported grant type '${
          quoted(grantType)
        }'. The broker has no users: its identities ask by 'client_credentials'.`
      )
    }
    return Result.gen(this, function*() {
      const { identity, proof } = yield* this.authenticate(request, form, tenant)
      const resource = form.get("resource")
      const audience = resource === null ? yield* audienceOf(form.get("scope")) : yield* audienceOfResource(resource)
      const issued = this.options.identities.issue(identity, audience, tenant, this.now, proof)
      return resource === null
        ? {
          token_type: "Bearer",
          expires_in: issued.secondsLeft,
          ext_expires_in: issued.secondsLeft,
          access_token: Redacted.value(issued.token)
        }
        : ofResource(issued, resource)
    })
  }

  /** The identity that a request is of, and how it proves that: by a secret in its form or header, or by an assertion. */
  private authenticate(
    { headers }: HttpRequest,
    form: URLSearchParams,
    tenant: string
  ): Answered<{ readonly identity: Identity; readonly proof: "secret" | "assertion" }> {
    const basic = basicOf(headers["authorization"])
    // The id may stand in both (RFC 6749, section 2.3).
    const isOther = basic !== undefined && (form.get("client_id") ?? basic.clientId) !== basic.clientId
    if (isOther || basic !== undefined && form.has("client_secret")) {
      return Result.fail({
        status: 400,
        error: "invalid_request",
        text: "A client authenticates by its form or by HTTP Basic, not by both."
      })
    }
    const clientId = form.get("client_id") ?? basic?.clientId
    if (clientId === undefined) return missing("client_id")
    const identity = this.options.identities.find(clientId)
    if (identity === undefined || !isOfTenant(identity, tenant)) {
      // The words of microsoftgraph/msgraph-sdk-dotnet #454.
      return refuse(
        400,
        "unauthorized_client",
        700016,
        `Application with identifier '${
          quoted(clientId)
        }' was not found in the directory '${tenant}'. The broker knows the identities that it was started with.`
      )
    }
    const secret = form.get("client_secret") ?? basic?.secret
    const assertion = form.get("client_assertion")
    if (secret !== undefined && assertion === null) {
      // The words of OfficeDev/microsoft-365-agents-toolkit #8621.
      return isSame(identity.secret, secret) ? Result.succeed({ identity, proof: "secret" }) : refuse(
        401,
        "invalid_client",
        7000215,
        `Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '${identity.clientId}'.`
      )
    }
    // haystackeditor/haystack-editor #41.
    if (assertion === null || form.get("client_assertion_type") !== assertionType) {
      return refuse(
        401,
        "invalid_client",
        7000218,
        "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
      )
    }
    return isSame(identity.secret, assertion.trim()) ? Result.succeed({ identity, proof: "assertion" }) : refuse(
      401,
      "invalid_client",
      700027,
      "Client assertion failed signature validation. The broker trusts no other issuer: the assertion is the secret of the identity itself."
    )
  }

  /**
   * A token for the identity whose secret is in the header, as App Service gives it to the program that it runs (App Service
   * documentation, REST endpoint reference of managed identities).
   */
  private managedIdentity({ headers, method }: HttpRequest, query: URLSearchParams): HttpAnswer {
    const failed = (statusCode: number, message: string, headers = {}) =>
      json(statusCode, { statusCode, message }, headers)
    if (method !== "GET") {
      return failed(405, `The endpoint only accepts GET requests. Received a ${method} request.`, { allow: "GET" })
    }
    const secret = headers["x-identity-header"] ?? ""
    const clientId = query.get("client_id")
    const identity = this.options.identities.identities.find((identity) =>
      isSame(identity.secret, secret) &&
      (clientId === null || identity.clientId.toLowerCase() === clientId.toLowerCase())
    )
    if (identity === undefined) {
      return failed(
        400,
        `No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId. IDENTITY_HEADER must be the secret of an identity of the broker${
          clientId === null ? "" : `, and the client id, where one is given, its own, not '${quoted(clientId)}'`
        }.`
      )
    }
    const resource = query.get("resource")
    if (resource === null) return failed(400, "The parameter 'resource' is missing.")
    return Result.match(audienceOfResource(resource), {
      onFailure: ({ code, text }) => failed(400, `AADSTS${code}: ${text}`),
      onSuccess: (audience) => {
        const issued = this.options.identities.issue(
          identity,
          audience,
          identity.tenant ?? "managed-identity",
          this.now,
          "secret"
        )
        return json(200, { ...ofResource(issued, resource), client_id: identity.clientId })
      }
    })
  }

  /** The answer of a refusal: its description begins with the code and ends with three lines, as clients show it. */
  private refused({ headers }: HttpRequest, { allow, code, error, status, text }: Refusal): HttpAnswer {
    const timestamp = `${new Date(this.now).toISOString().slice(0, 19).replace("T", " ")}Z`
    const trace = randomUUID()
    const asked = headers["client-request-id"]
    const correlation = asked !== undefined && /^[0-9a-fA-F-]{36}$/.test(asked) ? asked : randomUUID()
    return json(status, {
      error,
      error_description: `${code === undefined ? "" : `AADSTS${code}: `}${text}` +
        ` Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${timestamp}`,
      error_codes: code === undefined ? [] : [code],
      timestamp,
      trace_id: trace,
      correlation_id: correlation,
      ...(code === undefined ? {} : { error_uri: `https://login.microsoftonline.com/error?code=${code}` })
    }, {
      ...(allow === undefined ? {} : { allow }),
      // RFC 6749, section 5.2.
      ...(status === 401 && basicOf(headers["authorization"]) !== undefined
        ? { "www-authenticate": "Basic realm=\"effect-service-bus\"" }
        : {})
    })
  }
}

const isOfTenant = ({ tenant }: Identity, named: string): boolean =>
  tenant === undefined || tenantIdOf(tenant) === tenantIdOf(named)

/** The metadata of a tenant: MSAL needs the first four, and that the issuer is of the same host. */
const configuration = (authority: string, isV2: boolean) => {
  const version = isV2 ? "/v2.0" : ""
  return {
    issuer: `${authority}${version}`,
    authorization_endpoint: `${authority}/oauth2${version}/authorize`,
    token_endpoint: `${authority}/oauth2${version}/token`,
    jwks_uri: `${authority}/discovery${version}/keys`,
    token_endpoint_auth_methods_supported: ["client_secret_post", "client_secret_basic", "private_key_jwt"],
    grant_types_supported: ["client_credentials"],
    response_types_supported: ["token"],
    subject_types_supported: ["pairwise"],
    id_token_signing_alg_values_supported: ["RS256"]
  }
}

/** The audience of a scope, which is a resource and `/.default`. */
const audienceOf = (scope: string | null): Answered<string> => {
  if (scope === null) return missing("scope")
  const [asked, ...others] = scope.split(/\s+/).filter((each) => each !== "" && !openId.has(each.toLowerCase()))
  if (asked === undefined || others.length > 0) {
    // MicrosoftDocs/azure-docs #36432.
    return refuse(
      400,
      "invalid_scope",
      70011,
      `The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope '${
        quoted(scope)
      }' is not valid: ask for one, ${serviceBus}.default.`
    )
  }
  return asked.endsWith("/.default")
    ? audienceOfResource(asked.slice(0, -"/.default".length))
    // MicrosoftDocs/azure-docs #99862.
    : refuse(
      400,
      "invalid_scope",
      1002012,
      `The provided value for scope ${
        quoted(asked)
      } is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).`
    )
}

/** The audience of a resource. */
const audienceOfResource = (resource: string): Answered<string> =>
  isAudience(resource) ? Result.succeed(resource) : refuse(
    400,
    "invalid_resource",
    500011,
    // backstage/backstage #26017.
    `The resource principal named ${
      quoted(resource)
    } was not found in the tenant. The broker issues tokens for ${serviceBus} and for https://NAMESPACE.servicebus.windows.net/.`
  )

/** The answer of version 1.0, whose numbers are texts. */
const ofResource = (issued: Issued, resource: string) => ({
  token_type: "Bearer",
  expires_in: String(issued.secondsLeft),
  ext_expires_in: String(issued.secondsLeft),
  expires_on: String(issued.expiresAt / 1000),
  not_before: String(issued.issuedAt / 1000),
  resource,
  access_token: Redacted.value(issued.token)
})

/** The id and the secret of a header of Basic, in which both are written as in a form (RFC 6749, section 2.3.1). */
const basicOf = (
  header: string | undefined
): { readonly clientId: string; readonly secret: string } | undefined => {
  const [, encoded] = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header ?? "") ?? []
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, "base64").toString("utf8")
  const colon = text.indexOf(":")
  if (colon < 0) return undefined
  const read = (part: string) => new URLSearchParams(`v=${part.replaceAll("&", "%26")}`).get("v") ?? ""
  return { clientId: read(text.slice(0, colon)), secret: read(text.slice(colon + 1)) }
}
