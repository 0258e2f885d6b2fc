// Ten tests, in parallel: `go test`.
package orders

import (
	"errors"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

func total(order Order) (float64, error) {
	if order.Total < 0 {
		return 0, ErrBad
	}
	return order.Total, nil
}

func isDown(Order) (float64, error) { return 0, errors.New("the bank is down") }

func (n *namespace) place(total float64, message azservicebus.Message) {
	n.Helper()
	n.must(Place(n.ctx, n.client, Order{Total: total}, message))
}

func (n *namespace) bills(bill func(Order) (float64, error), expected string) {
	n.Helper()
	result, err := BillNext(n.ctx, n.client, bill)
	n.must(err)
	n.isEqual(result, expected)
}

func (n *namespace) reason() any {
	n.Helper()
	letters := n.messages("orders/$DeadLetterQueue")
	n.isEqual(len(letters), 1)
	return letters[0].ApplicationProperties["DeadLetterReason"]
}

func TestAnOrderIsBilled(t *testing.T) {
	n := newNamespace(t)
	n.place(9.5, azservicebus.Message{})
	n.bills(total, "billed")
	n.isEqual(n.messages("invoices")[0].Body["text"], `{"total":9.5}`)
	n.isEqual(len(n.messages("orders")), 0)
}

func TestAnInvoiceHasTheIdOfItsOrder(t *testing.T) {
	n := newNamespace(t)
	id := "order-1"
	n.place(1, azservicebus.Message{MessageID: &id})
	n.bills(total, "billed")
	n.isEqual(n.messages("invoices")[0].MessageID, id)
}

func TestABadOrderIsDeadLettered(t *testing.T) {
	n := newNamespace(t)
	n.place(-1, azservicebus.Message{})
	n.bills(total, "dead-lettered")
	n.isEqual(n.reason(), "BadOrder")
}

func TestAnOrderThatCannotBeBilledNowComesAgain(t *testing.T) {
	n := newNamespace(t)
	n.place(2, azservicebus.Message{})
	n.bills(isDown, "abandoned")
	n.bills(total, "billed")
}

func TestAnOrderIsTriedThreeTimes(t *testing.T) {
	n := newNamespace(t)
	n.place(3, azservicebus.Message{})
	for range 3 {
		n.bills(isDown, "abandoned")
	}
	n.isEqual(n.reason(), "MaxDeliveryCountExceeded")
}

func TestWhatAWorkerThatStoodStillHadComesAgain(t *testing.T) {
	n := newNamespace(t)
	n.place(4, azservicebus.Message{})
	receiver, err := n.client.NewReceiverForQueue("orders", nil)
	n.must(err)
	messages, err := receiver.ReceiveMessages(n.ctx, 1, nil)
	n.must(err)
	n.advance("31 seconds")
	var lost *azservicebus.Error
	err = receiver.CompleteMessage(n.ctx, messages[0], nil)
	if !errors.As(err, &lost) || lost.Code != azservicebus.CodeLockLost {
		t.Fatal(err)
	}
	n.must(receiver.Close(n.ctx))
	n.bills(total, "billed")
}

func TestAReminderComesTomorrow(t *testing.T) {
	n := newNamespace(t)
	n.must(Remind(n.ctx, n.client, Order{Total: 5}, n.now().Add(24*time.Hour)))
	n.advance("23 hours")
	n.isEqual(n.messages("orders")[0].State, "scheduled")
	n.advance("1 hour")
	n.bills(total, "billed")
}

func TestAnOfferEnds(t *testing.T) {
	n := newNamespace(t)
	hour := time.Hour
	n.place(6, azservicebus.Message{TimeToLive: &hour})
	n.advance("2 hours")
	n.isEqual(len(n.messages("orders")), 0)
}

func TestABusyBrokerAndAConnectionThatIsCutLoseNoOrder(t *testing.T) {
	n := newNamespace(t)
	busy := map[string]any{"operation": "send", "error": map[string]string{"condition": "com.microsoft:server-busy"}}
	n.http(n.name, "POST", "/faults", busy)
	n.place(7, azservicebus.Message{})
	n.http(n.name, "POST", "/connections/drop", nil)
	n.bills(total, "billed")
}

func TestFinalsAreToldApart(t *testing.T) {
	n := newNamespace(t)
	sender, err := n.client.NewSender("news", nil)
	n.must(err)
	for _, round := range []string{"first", "final"} {
		n.must(sender.SendMessage(n.ctx, &azservicebus.Message{
			Body: []byte(round), ApplicationProperties: map[string]any{"round": round},
		}, nil))
	}
	n.isEqual(len(n.messages("news/Subscriptions/all")), 2)
	finals := n.messages("news/Subscriptions/finals")
	n.isEqual(len(finals), 1)
	n.isEqual(finals[0].Body["text"], "final")
}
