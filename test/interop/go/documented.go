// What docs/emulator-clients.md shows, as it stands there.
package main

import (
	"context"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

func init() {
	checks["documented"] = func(c *check) {
		must("what is documented", documented(c.ctx))
		c.name = "orders"
		c.isEmpty(c.receiver())
	}
}

func documented(ctx context.Context) error {
	client, err := azservicebus.NewClientFromConnectionString(os.Getenv("SERVICE_BUS_CONNECTION_STR"), nil)
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	sender, err := client.NewSender("orders", nil)
	if err != nil {
		return err
	}
	if err := sender.SendMessage(ctx, &azservicebus.Message{Body: []byte("text")}, nil); err != nil {
		return err
	}
	receiver, err := client.NewReceiverForQueue("orders", nil)
	if err != nil {
		return err
	}
	messages, err := receiver.ReceiveMessages(ctx, 1, nil)
	if err != nil {
		return err
	}
	return receiver.CompleteMessage(ctx, messages[0], nil)
}
