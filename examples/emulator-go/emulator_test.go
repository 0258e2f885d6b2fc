// Starts the broker once, and gives each test a namespace of its own in it, so that tests in parallel do not meet.
package orders

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
)

const root = "RootManageSharedAccessKey"

// broker is what the command prints when it is ready.
var broker struct {
	ConnectionString string `json:"connectionString"`
	AdminPort        int    `json:"adminPort"`
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		command := exec.Command(
			"effect-service-bus", "emulator", "--json", "--port", "0", "--admin-port", "0",
			"--namespaces", "any", "--clock", "manual",
			"--queue", "orders", "--queue", "invoices", "--lock-duration", "30", "--max-delivery-count", "3",
			"--subscription", "news/all", "--rule", "news/finals/cup=round = 'final'",
		)
		command.Stderr = os.Stderr
		output, err := command.StdoutPipe()
		if err != nil {
			panic(err)
		}
		if err := command.Start(); err != nil {
			panic(err)
		}
		defer command.Wait()
		defer command.Process.Signal(syscall.SIGTERM)
		line, err := bufio.NewReader(output).ReadBytes('\n')
		if err != nil {
			panic(err)
		}
		if err := json.Unmarshal(line, &broker); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// namespace is what a test has of the broker for itself.
type namespace struct {
	*testing.T
	ctx    context.Context
	name   string
	client *azservicebus.Client
}

func newNamespace(t *testing.T) *namespace {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	// A subtest's name has a slash, which a namespace's has not.
	n := &namespace{T: t, ctx: ctx, name: strings.ReplaceAll(t.Name(), "/", ".")}
	// The name of the key is the name of the namespace, which is made by its first use.
	connection := strings.Replace(broker.ConnectionString, root, n.name, 1)
	client, err := azservicebus.NewClientFromConnectionString(connection, &azservicebus.ClientOptions{
		RetryOptions: azservicebus.RetryOptions{RetryDelay: 100 * time.Millisecond},
	})
	n.must(err)
	n.client = client
	t.Cleanup(func() {
		_ = client.Close(context.Background())
		n.http(root, "DELETE", "/namespaces/"+n.name, nil)
	})
	return n
}

func (n *namespace) must(err error) {
	n.Helper()
	if err != nil {
		n.Fatal(err)
	}
}

func (n *namespace) isEqual(actual, expected any) {
	n.Helper()
	if fmt.Sprint(actual) != fmt.Sprint(expected) {
		n.Fatalf("%v, not %v", actual, expected)
	}
}

// http does what the broker can do besides: see the page "The broker over HTTP".
func (n *namespace) http(keyName, method, path string, body any) []byte {
	n.Helper()
	content := &bytes.Buffer{}
	if body != nil {
		n.must(json.NewEncoder(content).Encode(body))
	}
	request, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", broker.AdminPort, path), content)
	n.must(err)
	_, key, _ := strings.Cut(broker.ConnectionString, "SharedAccessKey=")
	key, _, _ = strings.Cut(key, ";")
	request.SetBasicAuth(keyName, key)
	response, err := http.DefaultClient.Do(request)
	n.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	n.must(err)
	if response.StatusCode >= 300 {
		n.Fatalf("%s %s: %s %s", method, path, response.Status, text)
	}
	return text
}

type message struct {
	MessageID             string         `json:"messageId"`
	State                 string         `json:"state"`
	Body                  map[string]any `json:"body"`
	ApplicationProperties map[string]any `json:"applicationProperties"`
}

func (n *namespace) messages(entity string) []message {
	n.Helper()
	var list []message
	n.must(json.Unmarshal(n.http(n.name, "GET", "/messages?entity="+url.QueryEscape(entity), nil), &list))
	return list
}

func (n *namespace) advance(by string) {
	n.Helper()
	n.http(n.name, "POST", "/clock/advance", map[string]string{"by": by})
}

func (n *namespace) now() time.Time {
	n.Helper()
	var clock struct{ Now time.Time }
	n.must(json.Unmarshal(n.http(n.name, "GET", "/clock", nil), &clock))
	return clock.Now
}
