// Package orders is what is tested: orders come in a queue, and each is billed by an invoice in another one.
package orders

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

type Order struct {
	Total float64 `json:"total"`
}

// ErrBad is of an order that nobody can bill.
var ErrBad = errors.New("a bad order")

func Place(ctx context.Context, client *azservicebus.Client, order Order, message azservicebus.Message) error {
	sender, err := client.NewSender("orders", nil)
	if err != nil {
		return err
	}
	defer sender.Close(ctx)
	if message.Body, err = json.Marshal(order); err != nil {
		return err
	}
	return sender.SendMessage(ctx, &message, nil)
}

func Remind(ctx context.Context, client *azservicebus.Client, order Order, at time.Time) error {
	return Place(ctx, client, order, azservicebus.Message{ScheduledEnqueueTime: &at})
}

// BillNext bills an order, and says what became of it. It waits for one as long as its context.
func BillNext(ctx context.Context, client *azservicebus.Client, bill func(Order) (float64, error)) (string, error) {
	receiver, err := client.NewReceiverForQueue("orders", nil)
	if err != nil {
		return "", err
	}
	defer receiver.Close(ctx)
	messages, err := receiver.ReceiveMessages(ctx, 1, nil)
	if err != nil {
		return "", err
	}
	message := messages[0]
	var order Order
	if err := json.Unmarshal(message.Body, &order); err != nil {
		return "", err
	}
	total, err := bill(order)
	if errors.Is(err, ErrBad) {
		reason := "BadOrder"
		return "dead-lettered", receiver.DeadLetterMessage(ctx, message, &azservicebus.DeadLetterOptions{Reason: &reason})
	}
	if err != nil {
		return "abandoned", receiver.AbandonMessage(ctx, message, nil)
	}
	sender, err := client.NewSender("invoices", nil)
	if err != nil {
		return "", err
	}
	defer sender.Close(ctx)
	invoice, err := json.Marshal(Order{Total: total})
	if err != nil {
		return "", err
	}
	if err := sender.SendMessage(ctx, &azservicebus.Message{Body: invoice, MessageID: &message.MessageID}, nil); err != nil {
		return "", err
	}
	return "billed", receiver.CompleteMessage(ctx, message, nil)
}
