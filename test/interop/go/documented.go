// What docs/emulator-clients.md shows, as it stands there.
package main

import (
	"context"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/go-amqp"
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

// plainAMQP has a message go there and back by go-amqp, which knows AMQP and nothing of Service Bus.
func plainAMQP(ctx context.Context, queue, url, name, key string) error {
	conn, err := amqp.Dial(ctx, url, &amqp.ConnOptions{SASLType: amqp.SASLTypePlain(name, key)})
	if err != nil {
		return err
	}
	defer conn.Close()
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return err
	}
	sender, err := session.NewSender(ctx, queue, nil)
	if err != nil {
		return err
	}
	if err := sender.Send(ctx, amqp.NewMessage([]byte("text")), nil); err != nil {
		return err
	}
	receiver, err := session.NewReceiver(ctx, queue, nil)
	if err != nil {
		return err
	}
	message, err := receiver.Receive(ctx, nil)
	if err != nil {
		return err
	}
	isEqual("body", string(message.GetData()), "text")
	return receiver.AcceptMessage(ctx, message)
}
