// The checks with Dapr's components for Service Bus, used as its runtime uses them. SSL_CERT_FILE names the authority of the
// broker's certificate: the components make their topics and queues over HTTPS.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/dapr/components-contrib/bindings"
	binding "github.com/dapr/components-contrib/bindings/azure/servicebusqueues"
	"github.com/dapr/components-contrib/metadata"
	"github.com/dapr/components-contrib/pubsub"
	"github.com/dapr/components-contrib/pubsub/azure/servicebus/queues"
	"github.com/dapr/components-contrib/pubsub/azure/servicebus/topics"
	"github.com/dapr/kit/logger"
	"sigs.k8s.io/yaml"
)

var log = logger.NewLogger("interop")

func must(what string, err error) {
	if err != nil {
		panic(fmt.Errorf("%s: %w", what, err))
	}
}

func isEqual(what string, actual, expected any) {
	if fmt.Sprint(actual) != fmt.Sprint(expected) {
		panic(fmt.Errorf("%s is %v, not %v", what, actual, expected))
	}
}

// properties are those of the component in a file, for the broker at hand.
func properties() map[string]string {
	text, err := os.ReadFile("dapr/pubsub.yaml")
	must("the component", err)
	var component struct {
		Spec struct {
			Metadata []struct{ Name, Value string }
		}
	}
	must("the component", yaml.Unmarshal(text, &component))
	found := map[string]string{}
	for _, each := range component.Spec.Metadata {
		found[each.Name] = each.Value
	}
	found["connectionString"] = os.Getenv("SERVICE_BUS_CONNECTION_STR")
	return found
}

// opened is a component, which the end of its check closes.
func opened(ctx context.Context, component pubsub.PubSub) pubsub.PubSub {
	must("Init", component.Init(ctx, pubsub.Metadata{Base: metadata.Base{Properties: properties()}}))
	return component
}

func publish(ctx context.Context, component pubsub.PubSub, topic, data string, options map[string]string) {
	must("Publish", component.Publish(ctx, &pubsub.PublishRequest{Topic: topic, Data: []byte(data), Metadata: options}))
}

// take is what came through a channel in time.
func take(ctx context.Context, came <-chan string, count int) []string {
	var all []string
	for len(all) < count {
		select {
		case one := <-came:
			all = append(all, one)
		case <-ctx.Done():
			panic(fmt.Errorf("only %d of %d came: %v", len(all), count, all))
		}
	}
	return all
}

func subscribe(ctx context.Context, component pubsub.PubSub, topic string, options map[string]string, answer func(string) error) <-chan string {
	came := make(chan string, 100)
	must("Subscribe", component.Subscribe(ctx, pubsub.SubscribeRequest{Topic: topic, Metadata: options},
		func(_ context.Context, message *pubsub.NewMessage) error {
			err := answer(string(message.Data))
			came <- string(message.Data)
			return err
		}))
	return came
}

func done(string) error { return nil }

// left is what an entity still has.
func left(ctx context.Context, topic, subscription string, letters bool) []string {
	client, err := azservicebus.NewClientFromConnectionString(os.Getenv("SERVICE_BUS_CONNECTION_STR"), nil)
	must("the client", err)
	defer client.Close(ctx)
	options := &azservicebus.ReceiverOptions{}
	if letters {
		options.SubQueue = azservicebus.SubQueueDeadLetter
	}
	var receiver *azservicebus.Receiver
	if subscription == "" {
		receiver, err = client.NewReceiverForQueue(topic, options)
	} else {
		receiver, err = client.NewReceiverForSubscription(topic, subscription, options)
	}
	must("the receiver", err)
	messages, err := receiver.PeekMessages(ctx, 100, &azservicebus.PeekMessagesOptions{FromSequenceNumber: new(int64)})
	must("peeking", err)
	bodies := []string{}
	for _, message := range messages {
		bodies = append(bodies, string(message.Body))
	}
	return bodies
}

// settled waits until an entity has as many messages as are wanted: an answer of a handler is settled after it came.
func settled(ctx context.Context, topic, subscription string, letters bool, want int) []string {
	for {
		bodies := left(ctx, topic, subscription, letters)
		if len(bodies) == want || ctx.Err() != nil {
			return bodies
		}
		time.Sleep(50 * time.Millisecond)
	}
}

var checks = map[string]func(context.Context){
	"dapr-topics": func(ctx context.Context) {
		component := opened(ctx, topics.NewAzureServiceBusTopics(log))
		defer component.Close()
		came := subscribe(ctx, component, "prices", nil, done)
		publish(ctx, component, "prices", "9.5", nil)
		isEqual("data", take(ctx, came, 1), []string{"9.5"})
		isEqual("what is left", settled(ctx, "prices", "shop", false, 0), []string{})
	},

	// A handler that fails abandons; at the count of the component the message is a dead letter.
	"dapr-dead-letter": func(ctx context.Context) {
		component := opened(ctx, topics.NewAzureServiceBusTopics(log))
		defer component.Close()
		came := subscribe(ctx, component, "failures", nil, func(string) error { return errors.New("no") })
		publish(ctx, component, "failures", "x", nil)
		isEqual("tries", take(ctx, came, 3), []string{"x", "x", "x"})
		isEqual("dead letters", settled(ctx, "failures", "shop", true, 1), []string{"x"})
	},

	"dapr-bulk": func(ctx context.Context) {
		component := opened(ctx, topics.NewAzureServiceBusTopics(log))
		defer component.Close()
		came := make(chan string, 100)
		subscriber := component.(pubsub.BulkSubscriber)
		must("BulkSubscribe", subscriber.BulkSubscribe(ctx, pubsub.SubscribeRequest{Topic: "bulk"},
			func(_ context.Context, message *pubsub.BulkMessage) ([]pubsub.BulkSubscribeResponseEntry, error) {
				answers := []pubsub.BulkSubscribeResponseEntry{}
				for _, entry := range message.Entries {
					came <- string(entry.Event)
					answers = append(answers, pubsub.BulkSubscribeResponseEntry{EntryId: entry.EntryId})
				}
				return answers, nil
			}))
		entries, expected := []pubsub.BulkMessageEntry{}, []string{}
		for index := range 20 {
			data := fmt.Sprintf("%02d", index)
			expected = append(expected, data)
			entries = append(entries, pubsub.BulkMessageEntry{EntryId: data, Event: []byte(data)})
		}
		publisher := component.(pubsub.BulkPublisher)
		answer, err := publisher.BulkPublish(ctx, &pubsub.BulkPublishRequest{Topic: "bulk", Entries: entries})
		must("BulkPublish", err)
		isEqual("failed entries", len(answer.FailedEntries), 0)
		bodies := take(ctx, came, 20)
		sort.Strings(bodies)
		isEqual("data", bodies, expected)
		isEqual("what is left", settled(ctx, "bulk", "shop", false, 0), []string{})
	},

	"dapr-sessions": func(ctx context.Context) {
		component := opened(ctx, topics.NewAzureServiceBusTopics(log))
		defer component.Close()
		options := map[string]string{"requireSessions": "true", "maxConcurrentSessions": "2", "sessionIdleTimeoutInSec": "1"}
		came := subscribe(ctx, component, "carts", options, done)
		for _, each := range []string{"one-a", "two-a", "one-b", "two-b"} {
			publish(ctx, component, "carts", each, map[string]string{"SessionId": each[:3]})
		}
		orders := map[string][]string{}
		for _, each := range take(ctx, came, 4) {
			orders[each[:3]] = append(orders[each[:3]], each)
		}
		isEqual("each in order", orders, map[string][]string{"one": {"one-a", "one-b"}, "two": {"two-a", "two-b"}})
	},

	"dapr-scheduled": func(ctx context.Context) {
		component := opened(ctx, topics.NewAzureServiceBusTopics(log))
		defer component.Close()
		came := subscribe(ctx, component, "later", nil, done)
		// The header has whole seconds.
		due := time.Now().Add(3 * time.Second).UTC().Truncate(time.Second)
		publish(ctx, component, "later", "x", map[string]string{"ScheduledEnqueueTimeUtc": due.Format("Mon, 02 Jan 2006 15:04:05 GMT")})
		take(ctx, came, 1)
		if time.Now().Before(due) {
			panic(errors.New("it came early"))
		}
	},

	"dapr-queues": func(ctx context.Context) {
		component := opened(ctx, queues.NewAzureServiceBusQueues(log))
		defer component.Close()
		came := subscribe(ctx, component, "jobs", nil, done)
		publish(ctx, component, "jobs", "x", nil)
		isEqual("data", take(ctx, came, 1), []string{"x"})
		isEqual("what is left", settled(ctx, "jobs", "", false, 0), []string{})
	},

	// An input and an output binding; one that does not manage entities, on a queue that is there.
	"dapr-binding": func(ctx context.Context) {
		component := binding.NewAzureServiceBusQueues(log)
		all := properties()
		all["queueName"], all["disableEntityManagement"] = "orders", "true"
		must("Init", component.Init(ctx, bindings.Metadata{Base: metadata.Base{Properties: all}}))
		defer component.Close()
		came := make(chan string, 10)
		must("Read", component.Read(ctx, func(_ context.Context, message *bindings.ReadResponse) ([]byte, error) {
			came <- string(message.Data) + " " + message.Metadata["label"]
			return nil, nil
		}))
		_, err := component.Invoke(ctx, &bindings.InvokeRequest{
			Data: []byte("x"), Operation: bindings.CreateOperation, Metadata: map[string]string{"label": "subject"},
		})
		must("Invoke", err)
		isEqual("data", take(ctx, came, 1), []string{"x subject"})
		isEqual("what is left", settled(ctx, "orders", "", false, 0), []string{})
	},
}

func verdict(name string) (line string) {
	defer func() {
		if failure := recover(); failure != nil {
			line = fmt.Sprintf("not ok %s: %v", name, failure)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	checks[name](ctx)
	return "ok " + name
}

func main() {
	log.SetOutputLevel(logger.WarnLevel)
	for _, name := range os.Args[1:] {
		fmt.Println(strings.ReplaceAll(verdict(name), "\n", " "))
	}
}
