// The checks of identities with azidentity. SSL_CERT_FILE names the authority.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

func init() {
	checks["identity-secret"] = identitySecret
	checks["identity-environment"] = identityEnvironment
	checks["identity-roles"] = identityRoles
	checks["admin-identity"] = adminIdentity
}

func authority() string { return "https://localhost:" + os.Getenv("INTEROP_HTTPS_PORT") }

func secretOf(clientID, secret string) azcore.TokenCredential {
	credential, err := azidentity.NewClientSecretCredential(
		"11111111-1111-1111-1111-111111111111", clientID, secret,
		&azidentity.ClientSecretCredentialOptions{
			ClientOptions:            azcore.ClientOptions{Cloud: cloud.Configuration{ActiveDirectoryAuthorityHost: authority()}},
			DisableInstanceDiscovery: true,
		})
	must("the credential", err)
	return credential
}

// withClient runs a check on a client of a credential; the host must be one that the certificate names.
func withClient(c *check, credential azcore.TokenCredential, run func(*check)) {
	client, err := sb.NewClient("contoso.servicebus.windows.net", credential, &sb.ClientOptions{
		CustomEndpoint: "localhost:" + os.Getenv("INTEROP_TLS_PORT"),
		RetryOptions:   sb.RetryOptions{MaxRetries: -1},
	})
	must("the client", err)
	defer client.Close(context.Background())
	run(&check{name: c.name, ctx: c.ctx, client: client})
}

func identityRoundTrip(c *check) {
	c.send("by an identity")
	receiver := c.receiver()
	message := c.one(receiver)
	isEqual("body", string(message.Body), "by an identity")
	must("completing", receiver.CompleteMessage(c.ctx, message, nil))
}

func identitySecret(c *check) {
	withClient(c, secretOf("interop-owner", "interop-owner-secret"), identityRoundTrip)
	_, err := secretOf("interop-owner", "wrong").GetToken(c.ctx, policy.TokenRequestOptions{
		Scopes: []string{"https://servicebus.azure.net/.default"},
	})
	failsSaying("a wrong secret", err, "AADSTS7000215: Invalid client secret provided.")
}

// under runs a function under variables of the environment, which credentials read when they are made.
func under(variables map[string]string, run func()) {
	for name, value := range variables {
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}
	run()
}

func identityEnvironment(c *check) {
	application := map[string]string{
		"AZURE_AUTHORITY_HOST": authority(),
		"AZURE_TENANT_ID":      "adfs",
		"AZURE_CLIENT_ID":      "interop-owner",
		"AZURE_CLIENT_SECRET":  "interop-owner-secret",
	}
	managed := map[string]string{
		"IDENTITY_ENDPOINT": fmt.Sprintf("http://localhost:%s/msi/token", os.Getenv("INTEROP_PORT")),
		"IDENTITY_HEADER":   "interop-owner-secret",
	}
	for _, variables := range []map[string]string{application, managed} {
		under(variables, func() {
			credential, err := azidentity.NewDefaultAzureCredential(nil)
			must("the default credential", err)
			withClient(c, credential, identityRoundTrip)
		})
	}
	under(managed, func() {
		credential, err := azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ID: azidentity.ClientID("interop-owner"),
		})
		must("the managed identity", err)
		withClient(c, credential, identityRoundTrip)
	})
}

func identityRoles(c *check) {
	withClient(c, secretOf("interop-sender", "interop-sender-secret"), func(c *check) {
		c.send("x")
		_, err := c.receiver().ReceiveMessages(c.ctx, 1, nil)
		failsSaying("receiving", err, "'Listen' claim(s) are required")
	})
}

func adminIdentity(c *check) {
	client := func(clientID string) *admin.Client {
		client, err := admin.NewClient(
			"localhost:"+os.Getenv("INTEROP_HTTPS_PORT"), secretOf(clientID, clientID+"-secret"), nil)
		must("the client", err)
		return client
	}
	_, err := client("interop-owner").CreateQueue(c.ctx, c.name, nil)
	must("creating", err)
	queue, err := client("interop-owner").GetQueue(c.ctx, c.name, nil)
	must("reading", err)
	isTrue(queue != nil, "the queue is not there")
	_, err = client("interop-sender").GetQueue(c.ctx, c.name, nil)
	refusedWith("reading without the role", err, 401)
}
