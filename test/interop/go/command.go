// The published command with azservicebus for Go: each check starts it, reads its line, and controls it over HTTP by net/http.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
	"github.com/coder/websocket"
)

// start is what a check starts the command with.
type start struct {
	Arguments []string          `json:"arguments"`
	Variables map[string]string `json:"variables"`
}

// ready is what the command prints when it is ready.
type ready struct {
	ConnectionString      string `json:"connectionString"`
	AdminConnectionString string `json:"adminConnectionString"`
	AMQPPort              int    `json:"amqpPort"`
	AdminPort             int    `json:"adminPort"`
	HTTPSPort             int    `json:"httpsPort"`
	TLSPort               int    `json:"tlsPort"`
	WebSocketPort         int    `json:"webSocketPort"`
	Certificate           string `json:"certificate"`
}

type object = map[string]any

func partsOf(connection string) map[string]string {
	parts := map[string]string{}
	for _, part := range strings.Split(connection, ";") {
		if name, value, found := strings.Cut(part, "="); found {
			parts[name] = value
		}
	}
	return parts
}

// connectionOf gives a connection string with other parts; what is empty is not there.
func connectionOf(connection string, others map[string]string) string {
	parts := partsOf(connection)
	for name, value := range others {
		parts[name] = value
	}
	texts := []string{}
	for name, value := range parts {
		if value != "" {
			texts = append(texts, name+"="+value)
		}
	}
	return strings.Join(texts, ";")
}

// broker is the command, while a check runs.
type broker struct {
	ctx     context.Context
	flags   []string
	ready   ready
	members []string
	process *exec.Cmd
	output  *bufio.Reader
	clients []*sb.Client
}

func startBroker(ctx context.Context, with start) *broker {
	process := exec.Command("effect-service-bus", append([]string{"emulator"}, with.Arguments...)...)
	process.Env = os.Environ()
	for name, value := range with.Variables {
		process.Env = append(process.Env, name+"="+value)
	}
	said := &bytes.Buffer{}
	process.Stderr = said
	output, err := process.StdoutPipe()
	must("a pipe", err)
	must("starting the command", process.Start())
	b := &broker{ctx: ctx, flags: with.Arguments, process: process, output: bufio.NewReader(output)}
	line, err := b.output.ReadBytes('\n')
	if err != nil {
		b.close()
		fail("the command did not start: %v: %s", err, said)
	}
	must("its line", json.Unmarshal(line, &b.ready))
	var members object
	must("its members", json.Unmarshal(line, &members))
	for name := range members {
		b.members = append(b.members, name)
	}
	sort.Strings(b.members)
	return b
}

func (b *broker) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	for _, client := range b.clients {
		_ = client.Close(ctx)
	}
	_ = b.process.Process.Kill()
	_ = b.process.Wait()
}

func (b *broker) trust() *tls.Config {
	pool := x509.NewCertPool()
	isTrue(pool.AppendCertsFromPEM([]byte(b.ready.Certificate)), "the certificate is no PEM: %q", b.ready.Certificate)
	return &tls.Config{RootCAs: pool}
}

func (b *broker) transport() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: b.trust()}}
}

func (b *broker) clientOf(connection string, options sb.ClientOptions) *sb.Client {
	if options.RetryOptions.MaxRetries == 0 {
		options.RetryOptions.MaxRetries = 5
	}
	options.RetryOptions.RetryDelay = 100 * time.Millisecond
	client, err := sb.NewClientFromConnectionString(connection, &options)
	must("the client", err)
	b.clients = append(b.clients, client)
	return client
}

func (b *broker) client() *sb.Client { return b.clientOf(b.ready.ConnectionString, sb.ClientOptions{}) }

// secure gives the connection string of a port with TLS.
func (b *broker) secure(port int) string {
	return connectionOf(b.ready.ConnectionString, map[string]string{
		"Endpoint": fmt.Sprintf("sb://localhost:%d/", port), "UseDevelopmentEmulator": "",
	})
}

func (b *broker) administration() *admin.Client {
	client, err := admin.NewClientFromConnectionString(b.ready.AdminConnectionString, &admin.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: b.transport()},
	})
	must("the administration client", err)
	return client
}

// queue has the helpers of the other checklist for a queue.
func (b *broker) queue(client *sb.Client, name string) *check {
	return &check{name: name, ctx: b.ctx, client: client}
}

// httpAs makes a request of the control API with the key of a connection string, and gives what its JSON says.
func (b *broker) httpAs(connection, method, path string, body any) any {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		must("JSON", err)
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(b.ctx, method, b.url(path), content)
	must("a request", err)
	parts := partsOf(connection)
	request.SetBasicAuth(parts["SharedAccessKeyName"], parts["SharedAccessKey"])
	response, err := http.DefaultClient.Do(request)
	must(path, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(path, err)
	isTrue(response.StatusCode < 300, "%s %s: %d %s", method, path, response.StatusCode, text)
	if len(text) == 0 {
		return nil
	}
	var answer any
	must(path, json.Unmarshal(text, &answer))
	return answer
}

func (b *broker) http(method, path string, body any) any {
	return b.httpAs(b.ready.ConnectionString, method, path, body)
}

func (b *broker) url(path string) string {
	return fmt.Sprintf("http://127.0.0.1:%d%s", b.ready.AdminPort, path)
}

func (b *broker) status(path string) int {
	response, err := http.Get(b.url(path))
	must(path, err)
	response.Body.Close()
	return response.StatusCode
}

// each gives one member of each object of a list.
func each(list any, name string) []any {
	values := []any{}
	for _, item := range list.([]any) {
		values = append(values, item.(object)[name])
	}
	return values
}

// settling is a receiver that completes.
type settling interface {
	source
	CompleteMessage(context.Context, *sb.ReceivedMessage, *sb.CompleteMessageOptions) error
	Close(context.Context) error
}

// take receives what there must be, and completes it.
func (b *broker) take(from settling, expected ...string) []*sb.ReceivedMessage {
	c := &check{ctx: b.ctx}
	messages := c.receive(from, len(expected))
	isEqual("bodies", bodies(messages), expected)
	for _, message := range messages {
		must("completing", from.CompleteMessage(b.ctx, message, nil))
	}
	must("closing", from.Close(b.ctx))
	return messages
}

func (b *broker) subscription(client *sb.Client, topic, name string) *sb.Receiver {
	receiver, err := client.NewReceiverForSubscription(topic, name, nil)
	must("the receiver", err)
	return receiver
}

func (b *broker) roundTrip(client *sb.Client, name string) {
	c := b.queue(client, name)
	c.send("one", "zwei ä")
	b.take(c.receiver(), "one", "zwei ä")
}

func (b *broker) forwardsDeadLetters(client *sb.Client) {
	orders := b.queue(client, "orders")
	orders.send("bad")
	r := orders.receiver()
	must("dead-lettering", r.DeadLetterMessage(b.ctx, orders.one(r), nil))
	b.take(b.queue(client, "failed").receiver(), "bad")
}

func (b *broker) now() time.Time { return instant(b.http("GET", "/clock", nil)) }

func (b *broker) advance(by any) time.Time {
	return instant(b.http("POST", "/clock/advance", object{"by": by}))
}

func instant(clock any) time.Time {
	at, err := time.Parse(time.RFC3339, clock.(object)["now"].(string))
	must("an instant", err)
	return at
}

func (b *broker) schedule(client *sb.Client, at time.Time, texts ...string) []string {
	sender := b.queue(client, "orders").sender()
	messages := []*sb.Message{}
	for _, text := range texts {
		messages = append(messages, &sb.Message{Body: []byte(text)})
	}
	numbers, err := sender.ScheduleMessages(b.ctx, messages, at, nil)
	must("scheduling", err)
	names := []string{}
	for _, number := range numbers {
		names = append(names, fmt.Sprint(number))
	}
	return names
}

// dialWebSocket is what the documentation of ClientOptions.NewWebSocketConn has, with a certificate that is trusted.
func dialWebSocket(trusted *tls.Config) func(context.Context, sb.NewWebSocketConnArgs) (net.Conn, error) {
	return func(ctx context.Context, args sb.NewWebSocketConnArgs) (net.Conn, error) {
		connection, _, err := websocket.Dial(ctx, args.Host, &websocket.DialOptions{
			Subprotocols: []string{"amqp"},
			HTTPClient:   &http.Client{Transport: &http.Transport{TLSClientConfig: trusted}},
		})
		if err != nil {
			return nil, err
		}
		return websocket.NetConn(context.Background(), connection, websocket.MessageBinary), nil
	}
}

var commandChecks = map[string]func(*broker){
	"command-plain": func(b *broker) {
		isEqual("members", b.members, []string{"adminConnectionString", "adminPort", "amqpPort", "connectionString"})
		b.roundTrip(b.client(), "orders")
	},

	"command-tls": func(b *broker) {
		// A port in the endpoint would be part of the name that the certificate has to have.
		connection := connectionOf(b.secure(0), map[string]string{"Endpoint": "sb://localhost/"})
		b.roundTrip(b.clientOf(connection, sb.ClientOptions{
			TLSConfig:      b.trust(),
			CustomEndpoint: fmt.Sprintf("localhost:%d", b.ready.TLSPort),
		}), "orders")
	},

	"command-web-socket": func(b *broker) {
		client := b.clientOf(b.secure(b.ready.WebSocketPort), sb.ClientOptions{NewWebSocketConn: dialWebSocket(b.trust())})
		b.roundTrip(client, "orders")
	},

	"command-identity": func(b *broker) {
		isEqual("key", partsOf(b.ready.ConnectionString)["SharedAccessKey"], "of-the-root")
		clientOf := func(id string) *sb.Client {
			authority := cloud.Configuration{ActiveDirectoryAuthorityHost: fmt.Sprintf("https://localhost:%d", b.ready.HTTPSPort)}
			credential, err := azidentity.NewClientSecretCredential("11111111-1111-1111-1111-111111111111", id, id+"-secret",
				&azidentity.ClientSecretCredentialOptions{
					ClientOptions:            azcore.ClientOptions{Cloud: authority, Transport: b.transport()},
					DisableInstanceDiscovery: true,
				})
			must("the credential", err)
			client, err := sb.NewClient("localhost", credential, &sb.ClientOptions{
				TLSConfig:      b.trust(),
				CustomEndpoint: fmt.Sprintf("localhost:%d", b.ready.TLSPort),
				RetryOptions:   sb.RetryOptions{MaxRetries: -1},
			})
			must("the client", err)
			b.clients = append(b.clients, client)
			return client
		}
		shop := b.queue(clientOf("shop"), "orders")
		shop.send("of the shop")
		_, err := shop.receiver().ReceiveMessages(b.ctx, 1, nil)
		failsWith("receiving", err, sb.CodeUnauthorizedAccess)
		b.take(b.queue(clientOf("billing"), "orders").receiver(), "of the shop")
	},

	"command-administration": func(b *broker) {
		written, err := os.ReadFile(b.flags[slices.Index(b.flags, "--write-cert")+1])
		must("the certificate", err)
		isEqual("what it wrote", string(written), b.ready.Certificate)
		a := b.administration()
		_, err = a.CreateQueue(b.ctx, "made", &admin.CreateQueueOptions{
			Properties: &admin.QueueProperties{LockDuration: ptr("PT45S")},
		})
		must("creating", err)
		made, err := a.GetQueue(b.ctx, "made", nil)
		must("reading", err)
		isEqual("lock", deref(made.LockDuration), "PT45S")
		b.roundTrip(b.client(), "made")
		_, err = a.DeleteQueue(b.ctx, "orders", nil)
		must("deleting", err)
		gone, err := a.GetQueue(b.ctx, "orders", nil)
		isTrue(gone == nil && err == nil, "orders is still there: %v, %v", gone, err)
	},

	"command-health": func(b *broker) {
		isEqual("health", b.status("/health"), 200)
		isEqual("without a key", b.status("/messages?entity=orders"), 401)
		document := b.http("GET", "/openapi.json", nil).(object)
		isTrue(strings.HasPrefix(document["openapi"].(string), "3.1"), "not OpenAPI 3.1: %v", document["openapi"])
		b.roundTrip(b.client(), "orders")
	},

	"command-stop": func(b *broker) {
		c := b.queue(b.client(), "orders")
		c.send("locked", "waiting")
		c.one(c.receiver())
		must("SIGTERM", b.process.Process.Signal(syscall.SIGTERM))
		more, err := io.ReadAll(b.output)
		must("its output", err)
		isEqual("more of its output", string(more), "")
		must("its end", b.process.Wait())
		isEqual("exit code", b.process.ProcessState.ExitCode(), 0)
	},

	"command-entities": func(b *broker) {
		client := b.client()
		news := b.queue(client, "news")
		session := ptr("s")
		news.sendMessage(&sb.Message{Body: []byte("cup"), ApplicationProperties: object{"round": "final"}, SessionID: session})
		news.sendMessage(&sb.Message{Body: []byte("more"), SessionID: session})
		b.take(b.subscription(client, "news", "all"), "cup", "more")
		cup := b.take(b.subscription(client, "news", "finals"), "cup")[0]
		isEqual("what the action set", fmt.Sprint(cup.ApplicationProperties["priority"]), "1")
		keyed, err := client.AcceptSessionForSubscription(b.ctx, "news", "keyed", "s", nil)
		must("accepting", err)
		b.take(keyed, "cup", "more")
		b.queue(client, "carts").sendTo("of-ada", "cart")
		next, err := client.AcceptNextSessionForQueue(b.ctx, "carts", nil)
		must("accepting", err)
		b.take(next, "cart")
		b.queue(client, "empty").send("nobody takes it")
		for _, name := range []string{"once", "unique"} {
			c := b.queue(client, name)
			for range 2 {
				c.sendMessage(&sb.Message{Body: []byte(name), MessageID: ptr("the same")})
			}
			c.send("last")
		}
		b.take(b.queue(client, "once").receiver(), "once", "last")
		b.take(b.subscription(client, "unique", "all"), "unique", "last")
		orders := b.queue(client, "orders")
		orders.send("bad")
		r := orders.receiver()
		for range 2 {
			must("abandoning", r.AbandonMessage(b.ctx, orders.one(r), nil))
		}
		isEqual("reason", deref(orders.one(orders.deadLetters()).DeadLetterReason), "MaxDeliveryCountExceeded")
	},

	"command-variables": func(b *broker) {
		isEqual("key", partsOf(b.ready.ConnectionString)["SharedAccessKey"], "of-a-container")
		client := b.client()
		b.roundTrip(client, "orders")
		b.roundTrip(client, "carts")
		news := b.queue(client, "news")
		news.sendMessage(&sb.Message{Body: []byte("third"), ApplicationProperties: object{"round": "third"}})
		news.send("none")
		b.take(b.subscription(client, "news", "finals"), "third")
		b.take(b.subscription(client, "news", "rest"), "none")
	},

	"command-config": func(b *broker) {
		isEqual("key", partsOf(b.ready.ConnectionString)["SharedAccessKey"], "SAS_KEY_VALUE")
		client := b.client()
		news := b.queue(client, "news")
		for _, message := range []*sb.Message{
			{Body: []byte("english"), Subject: ptr("sport"), ApplicationProperties: object{"language": "en"}},
			{Body: []byte("final"), Subject: ptr("cup"), ApplicationProperties: object{"round": "final"}},
			{Body: []byte("rumour"), Subject: ptr("rumour"), ApplicationProperties: object{"round": "final"}},
		} {
			news.sendMessage(message)
		}
		final := b.take(b.subscription(client, "news", "sport"), "english", "final")[1]
		isEqual("what the action set", fmt.Sprint(final.ApplicationProperties["priority"]), "1")
		b.take(b.subscription(client, "news", "archive"), "english", "final", "rumour")
		b.queue(client, "carts").sendTo("of-ada", "cart")
		next, err := client.AcceptNextSessionForQueue(b.ctx, "carts", nil)
		must("accepting", err)
		b.take(next, "cart")
		b.forwardsDeadLetters(client)
	},

	"command-template": func(b *broker) {
		client := b.clientOf(connectionOf(b.ready.ConnectionString, map[string]string{
			"SharedAccessKeyName": "shop", "SharedAccessKey": "SAS_KEY_VALUE",
		}), sb.ClientOptions{})
		news := b.queue(client, "news")
		news.sendMessage(&sb.Message{Body: []byte("goal"), Subject: ptr("sport")})
		news.sendMessage(&sb.Message{Body: []byte("rain"), Subject: ptr("weather")})
		b.take(b.subscription(client, "news", "sport"), "goal")
		b.take(b.subscription(client, "news", "archive"), "goal", "rain")
		b.roundTrip(client, "orders")
		b.forwardsDeadLetters(client)
	},

	"command-namespaces": func(b *broker) {
		of := func(name string) string {
			return connectionOf(b.ready.ConnectionString, map[string]string{"SharedAccessKeyName": name})
		}
		left := func(name string) []any {
			return each(b.httpAs(of(name), "GET", "/messages?entity=orders", nil), "body")
		}
		there := func() []string {
			names := []string{}
			for _, name := range each(b.http("GET", "/namespaces", nil), "name") {
				names = append(names, name.(string))
			}
			sort.Strings(names)
			return names
		}
		var all sync.WaitGroup
		problems := make(chan any, 2)
		for _, name := range []string{"team-a", "team-b"} {
			client := b.clientOf(of(name), sb.ClientOptions{})
			all.Go(func() {
				defer func() { problems <- recover() }()
				c := b.queue(client, "orders")
				c.send(name, name+", too")
				b.take(c.receiver(), name, name+", too")
				c.send("left in " + name)
			})
		}
		all.Wait()
		for range 2 {
			if problem := <-problems; problem != nil {
				panic(problem)
			}
		}
		isEqual("left", left("team-b"), []any{object{"text": "left in team-b"}})
		isEqual("namespaces", there(), []string{"default", "team-a", "team-b"})
		b.http("DELETE", "/namespaces/team-a", nil)
		isEqual("namespaces", there(), []string{"default", "team-b"})
		// It comes again, empty.
		isEqual("left", left("team-a"), []any{})
	},

	"command-namespace-made": func(b *broker) {
		made := b.http("POST", "/namespaces", object{
			"name": "own", "entities": []object{{"kind": "queue", "name": "carts"}},
		}).(object)["connectionString"].(string)
		key := partsOf(b.ready.ConnectionString)["SharedAccessKey"]
		isTrue(partsOf(made)["SharedAccessKey"] != key, "its key is that of the broker")
		b.roundTrip(b.clientOf(made, sb.ClientOptions{}), "carts")
		other := connectionOf(made, map[string]string{"SharedAccessKey": key})
		stranger := b.clientOf(other, sb.ClientOptions{RetryOptions: sb.RetryOptions{MaxRetries: -1}})
		err := b.queue(stranger, "carts").sender().SendMessage(b.ctx, &sb.Message{Body: []byte("x")}, nil)
		failsWith("another key", err, sb.CodeUnauthorizedAccess)
	},

	"command-data": func(b *broker) {
		c := b.queue(b.client(), "orders")
		c.send("taken", "locked", "waiting")
		b.take(c.receiver(), "taken")
		c.one(c.receiver())
		must("SIGKILL", b.process.Process.Kill())
		_ = b.process.Wait()
		again := startBroker(b.ctx, start{Arguments: b.flags})
		defer again.close()
		key := func(of *broker) string { return partsOf(of.ready.ConnectionString)["SharedAccessKey"] }
		isEqual("the key", key(again), key(b))
		left := again.take(again.queue(again.client(), "orders").receiver(), "locked", "waiting")
		// The SDK counts the delivery that it is.
		isEqual("delivery counts", fmt.Sprint(left[0].DeliveryCount, left[1].DeliveryCount), "2 1")
	},

	"command-clock-lock": func(b *broker) {
		c := b.queue(b.client(), "orders")
		c.send("x")
		r := c.receiver()
		message := c.one(r)
		before := b.now()
		isEqual("time", b.advance("PT31S").Sub(before), 31*time.Second)
		failsWith("completing", r.CompleteMessage(b.ctx, message, nil), sb.CodeLockLost)
		isEqual("delivery count", count(c.one(r)), uint32(1))
	},

	"command-clock-schedule": func(b *broker) {
		client := b.client()
		b.schedule(client, b.now().Add(time.Hour), "later")
		b.advance("59 minutes")
		waiting := b.http("GET", "/messages?entity=orders", nil)
		isEqual("bodies", each(waiting, "body"), []any{object{"text": "later"}})
		isEqual("states", each(waiting, "state"), []any{"scheduled"})
		b.advance(60_000)
		b.take(b.queue(client, "orders").receiver(), "later")
	},

	"command-clock-expiry": func(b *broker) {
		_, err := b.administration().CreateQueue(b.ctx, "short", &admin.CreateQueueOptions{
			Properties: &admin.QueueProperties{DeadLetteringOnMessageExpiration: ptr(true)},
		})
		must("creating", err)
		c := b.queue(b.client(), "short")
		c.sendMessage(&sb.Message{Body: []byte("old"), TimeToLive: ptr(time.Minute)})
		b.advance("61 seconds")
		letter := c.one(c.deadLetters())
		isEqual("reason", deref(letter.DeadLetterReason), "TTLExpiredException")
	},

	"command-messages": func(b *broker) {
		put := b.http("POST", "/messages?entity=orders", []object{
			{"messageId": "1", "body": object{"json": object{"total": 9.5}}, "contentType": "application/json", "subject": "new"},
			{"body": "text", "applicationProperties": object{"large": object{"$long": "1099511627776"}, "yes": true}},
		})
		isEqual("numbers", put, object{"sequenceNumbers": []any{"1", "2"}})
		c := b.queue(b.client(), "orders")
		taken := b.take(c.receiver(), `{"total":9.5}`, "text")
		first := taken[0]
		isEqual("first", []any{first.MessageID, deref(first.Subject), deref(first.ContentType)},
			[]any{"1", "new", "application/json"})
		isEqual("properties", taken[1].ApplicationProperties, object{"large": int64(1) << 40, "yes": true})
		c.sendMessage(&sb.Message{
			Body: []byte(`{"total":3}`), MessageID: ptr("3"), ContentType: ptr("application/json"),
			ApplicationProperties: object{"text": "täxt"},
		})
		seen := b.http("GET", "/messages?entity=orders&from=3&max=1", nil).([]any)[0].(object)
		isEqual("seen", []any{seen["messageId"], seen["body"], seen["applicationProperties"], seen["state"], seen["sequenceNumber"]},
			[]any{"3", object{"json": object{"total": 3.0}}, object{"text": "täxt"}, "active", "3"})
	},

	"command-browse": func(b *broker) {
		client := b.client()
		orders := b.queue(client, "orders")
		for _, text := range []string{"one", "two", "three", "four"} {
			orders.send(text)
		}
		first := b.http("GET", "/entities", nil).(object)
		isEqual("entities", each(first["entities"], "path"), []any{"orders", "carts", "news", "news/Subscriptions/sport"})
		isEqual("counts", each(first["entities"], "active"), []any{4.0, 0.0, 0.0, 0.0})
		isEqual("samples", b.http("GET", "/samples?entity=orders", nil).(object)["isKept"], true)
		isEqual("connections", len(b.http("GET", "/connections", nil).([]any)) > 0, true)
		settings := b.http("GET", "/settings?entity=orders", nil).(object)
		isEqual("settings", settings["counters"].(object)["enqueued"], 4.0)
		page := b.http("GET", "/messages/page?entity=orders&before=4&max=2", nil).(object)
		isEqual("page", each(page["messages"], "sequenceNumber"), []any{"2", "3"})
		done := func(path string, body object) []any {
			return each(b.http("POST", path, body).(object)["outcomes"], "isDone")
		}
		isEqual("dead", done("/messages/dead-letter?entity=orders", object{"sequenceNumbers": []any{"1", "2"}, "reason": "Bad"}),
			[]any{true, true})
		isEqual("deleted", done("/messages/delete?entity=orders", object{"sequenceNumbers": []any{"3", "3"}}), []any{true, false})
		isEqual("deferred", done("/messages/defer?entity=orders", object{"sequenceNumbers": []any{"4"}}), []any{true})
		repaired := object{"messages": []object{
			{"sequenceNumber": "1", "message": object{"body": "mended"}}, {"sequenceNumber": "2"},
		}}
		isEqual("resent", done("/messages/resend?entity=orders/$DeadLetterQueue", repaired), []any{true, true})
		b.take(orders.receiver(), "mended", "two")
		isEqual("purged", b.http("POST", "/messages/purge?entity=orders", object{"state": "deferred"}), object{"messages": 1.0})
		b.queue(client, "carts").sendMessage(&sb.Message{Body: []byte("one"), SessionID: ptr("s")})
		isEqual("sessions", each(b.http("GET", "/sessions?entity=carts", nil), "messages"), []any{1.0})
		news := b.queue(client, "news")
		for _, text := range []string{"third", "final"} {
			news.sendMessage(&sb.Message{Body: []byte(text), ApplicationProperties: object{"round": text}})
		}
		rule := object{"name": "finals", "filter": object{"sql": "round = 'final'"}}
		tried := b.http("POST", "/rules/try?entity=news/Subscriptions/sport", rule).(object)
		isEqual("tried", []any{tried["tried"], len(tried["matched"].([]any))}, []any{2.0, 1})
		b.http("POST", "/rules?entity=news/Subscriptions/sport", rule)
		b.http("DELETE", "/rules?entity=news/Subscriptions/sport&name=$Default", nil)
		isEqual("rules", b.http("GET", "/rules?entity=news/Subscriptions/sport", nil), []any{rule})
		changed := b.http("GET", "/entities?since="+first["version"].(string), nil).(object)
		isEqual("changed", each(changed["entities"], "path"), []any{"orders", "carts", "news", "news/Subscriptions/sport"})
	},

	"command-scheduled": func(b *broker) {
		client := b.client()
		numbers := b.schedule(client, time.Now().Add(time.Hour), "first", "second")
		scheduled := func() any { return b.http("GET", "/scheduled?entity=orders", nil) }
		isEqual("numbers", each(scheduled(), "sequenceNumber"), []any{numbers[0], numbers[1]})
		b.http("POST", "/scheduled/reschedule?entity=orders", object{
			"to": "2100-01-01T00:00:00.000Z", "sequenceNumbers": numbers[:1],
		})
		isEqual("time", each(scheduled(), "scheduledEnqueueTime")[0], "2100-01-01T00:00:00.000Z")
		isEqual("delivered", b.http("POST", "/scheduled/deliver?entity=orders", object{}), object{"messages": 2.0})
		// In the order of their times.
		b.take(b.queue(client, "orders").receiver(), "second", "first")
	},

	"command-state": func(b *broker) {
		client := b.client()
		orders := b.queue(client, "orders")
		orders.sendMessage(&sb.Message{Body: []byte("kept"), ApplicationProperties: object{"number": int32(5)}})
		b.queue(client, "carts").send("emptied")
		dump := b.http("GET", "/dump?entity=orders", nil)
		isEqual("reset", b.http("POST", "/reset?entity=carts", nil), object{"messages": 1.0})
		b.http("POST", "/reset", nil)
		isEqual("left", b.http("GET", "/messages?entity=orders", nil), []any{})
		b.http("POST", "/load", dump)
		b.http("POST", "/load", object{"entities": []object{{
			"kind": "queue", "name": "fixture", "messages": []object{{"body": "one"}}, "deadLetters": []object{{"body": "dead"}},
		}}})
		kept := b.take(orders.receiver(), "kept")[0]
		isEqual("number", fmt.Sprint(kept.ApplicationProperties["number"]), "5")
		fixture := b.queue(client, "fixture")
		b.take(fixture.receiver(), "one")
		b.take(fixture.deadLetters(), "dead")
	},

	"command-fault-busy": func(b *broker) {
		added := b.http("POST", "/faults", object{
			"operation": "send", "entity": "orders", "error": object{"condition": "com.microsoft:server-busy"},
		}).(object)
		c := b.queue(b.client(), "orders")
		c.send("in the end")
		fault := b.http("GET", "/faults", nil).([]any)[0].(object)
		isEqual("fault", []any{fault["id"], fault["hits"], fault["isSpent"]}, []any{added["id"], 1.0, true})
		b.take(c.receiver(), "in the end")
	},

	"command-fault-cut": func(b *broker) {
		c := b.queue(b.client(), "orders")
		sender := c.sender()
		r := c.receiver()
		cut := func(text string) {
			must("sending", sender.SendMessage(b.ctx, &sb.Message{Body: []byte(text)}, nil))
			message := c.one(r)
			isEqual("body", string(message.Body), text)
			must("completing", r.CompleteMessage(b.ctx, message, nil))
		}
		cut("before")
		b.http("POST", "/connections/drop", nil)
		cut("after a cut")
		b.http("POST", "/links/detach", object{"entity": "orders"})
		cut("after a detach")
		b.http("POST", "/faults", object{"operation": "send", "action": "disconnect"})
		cut("after all")
	},

	"command-fault-lock": func(b *broker) {
		client := b.client()
		c := b.queue(client, "orders")
		c.send("x")
		r := c.receiver()
		first := c.one(r)
		isEqual("lost", b.http("POST", "/locks/lose", object{"entity": "orders"}), object{"messages": 1.0})
		failsWith("completing", r.CompleteMessage(b.ctx, first, nil), sb.CodeLockLost)
		again := c.one(r)
		isEqual("delivery count", count(again), uint32(1))
		b.http("POST", "/faults", object{"operation": "settle", "action": "loseLock"})
		failsWith("completing again", r.CompleteMessage(b.ctx, again, nil), sb.CodeLockLost)
		carts := b.queue(client, "carts")
		carts.sendTo("s", "x")
		session := carts.accept("s")
		carts.one(session)
		isEqual("lost", b.http("POST", "/locks/lose", object{"entity": "carts", "session": "s"}), object{"messages": 1.0})
		// The SDK takes the session again by itself.
		must("renewing", session.RenewSessionLock(b.ctx, nil))
		isEqual("delivery count", count(carts.one(session)), uint32(1))
	},

	"command-fault-delay": func(b *broker) {
		b.http("POST", "/faults", object{"operation": "send", "action": "delay", "delay": 500})
		c := b.queue(b.client(), "orders")
		started := time.Now()
		c.send("late")
		isTrue(time.Since(started) > 490*time.Millisecond, "it took %v", time.Since(started))
		b.take(c.receiver(), "late")
	},

	"command-faults-listed": func(b *broker) {
		add := func(operation string) string {
			fault := b.http("POST", "/faults", object{"operation": operation, "action": "drop"})
			return fault.(object)["id"].(string)
		}
		listed := func() []any {
			operations := []any{}
			for _, fault := range each(b.http("GET", "/faults", nil), "fault") {
				operations = append(operations, fault.(object)["operation"])
			}
			return operations
		}
		first := add("send")
		add("settle")
		add("attach")
		b.http("DELETE", "/faults/"+first, nil)
		isEqual("faults", listed(), []any{"settle", "attach"})
		b.http("DELETE", "/faults", nil)
		isEqual("faults", listed(), []any{})
		b.roundTrip(b.client(), "orders")
	},
}

func init() {
	var starts map[string]start
	if text := os.Getenv("INTEROP_STARTS"); text != "" {
		must("INTEROP_STARTS", json.Unmarshal([]byte(text), &starts))
	}
	for name, run := range commandChecks {
		checks[name] = func(c *check) {
			b := startBroker(c.ctx, starts[name])
			defer b.close()
			run(b)
		}
	}
}
