// The checks of administration with azservicebus/admin, over HTTPS. SSL_CERT_FILE names the authority.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	sb "github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus"
	"github.com/Azure/azure-sdk-for-go/sdk/messaging/azservicebus/admin"
)

func init() {
	os.Setenv("SSL_CERT_FILE", os.Getenv("INTEROP_CA"))
	for name, run := range map[string]func(*check, *admin.Client){
		"admin-namespace":     adminNamespace,
		"admin-queue":         adminQueue,
		"admin-topic":         adminTopic,
		"admin-subscription":  adminSubscription,
		"admin-rules":         adminRules,
		"admin-list":          adminList,
		"admin-all":           adminPages,
		"admin-parameters":    adminParameters,
		"admin-message-size":  adminMessageSize,
		"admin-runtime":       adminRuntime,
		"admin-topic-runtime": adminTopicRuntime,
		"admin-errors":        adminErrors,
		"admin-wrong-key":     adminWrongKey,
	} {
		checks[name] = func(c *check) { run(c, newAdmin("")) }
	}
	checks["admin-standard-port"] = func(c *check) { panic(skip("a connection string may have another one")) }
}

func newAdmin(key string) *admin.Client {
	text := strings.ReplaceAll(os.Getenv("INTEROP_CONNECTION"), ";UseDevelopmentEmulator=true", "")
	endpoint := fmt.Sprintf("sb://localhost:%s/", os.Getenv("INTEROP_HTTPS_PORT"))
	text = regexp.MustCompile(`sb://[^;]+`).ReplaceAllString(text, endpoint)
	if key != "" {
		text = regexp.MustCompile(`SharedAccessKey=[^;]+`).ReplaceAllString(text, "SharedAccessKey="+key)
	}
	client, err := admin.NewClientFromConnectionString(text, nil)
	must("an administration client", err)
	return client
}

func refusedWith(what string, err error, status int) {
	if err == nil {
		fail("%s: nothing failed", what)
	}
	var own *azcore.ResponseError
	if !errors.As(err, &own) {
		fail("%s: not an error of the SDK's own: %T: %v", what, err, err)
	}
	isEqual(what, own.StatusCode, status)
}

func adminNamespace(c *check, a *admin.Client) {
	properties, err := a.GetNamespaceProperties(c.ctx, nil)
	must("properties", err)
	isEqual("sku and name", []string{properties.SKU, properties.Name}, []string{"Standard", "sbemulatorns"})
}

func adminQueue(c *check, a *admin.Client) {
	_, err := a.CreateQueue(c.ctx, c.name+"-target", nil)
	must("the target", err)
	// The client takes URLs alone.
	target := fmt.Sprintf("sb://localhost/%s-target", c.name)
	wanted := admin.QueueProperties{
		LockDuration:                        ptr("PT45S"),
		MaxSizeInMegabytes:                  ptr(int32(2048)),
		RequiresDuplicateDetection:          ptr(true),
		RequiresSession:                     ptr(true),
		DefaultMessageTimeToLive:            ptr("P2D"),
		DeadLetteringOnMessageExpiration:    ptr(true),
		DuplicateDetectionHistoryTimeWindow: ptr("PT1M"),
		MaxDeliveryCount:                    ptr(int32(8)),
		EnableBatchedOperations:             ptr(false),
		Status:                              ptr(admin.EntityStatusReceiveDisabled),
		AutoDeleteOnIdle:                    ptr("PT1H"),
		EnablePartitioning:                  ptr(false),
		ForwardDeadLetteredMessagesTo:       &target,
		UserMetadata:                        ptr("text & <more>"),
		AuthorizationRules: []admin.AuthorizationRule{{
			AccessRights: []admin.AccessRight{admin.AccessRightSend},
			KeyName:      ptr("mine"),
			PrimaryKey:   ptr(strings.Repeat("a", 43) + "="),
			SecondaryKey: ptr(strings.Repeat("b", 43) + "="),
		}},
	}
	_, err = a.CreateQueue(c.ctx, c.name, &admin.CreateQueueOptions{Properties: &wanted})
	must("creating", err)
	read, err := a.GetQueue(c.ctx, c.name, nil)
	must("reading", err)
	got := read.QueueProperties
	isEqual("target", *got.ForwardDeadLetteredMessagesTo, target)
	isEqual("key", got.AuthorizationRules[0].PrimaryKey, wanted.AuthorizationRules[0].PrimaryKey)
	comparable := got
	comparable.ForwardDeadLetteredMessagesTo = &target
	comparable.AuthorizationRules = wanted.AuthorizationRules
	comparable.MaxMessageSizeInKilobytes = nil
	isEqual("read", fmt.Sprint(values(comparable)), fmt.Sprint(values(wanted)))
	got.MaxDeliveryCount = ptr(int32(9))
	got.Status = ptr(admin.EntityStatusActive)
	_, err = a.UpdateQueue(c.ctx, c.name, got, nil)
	must("changing", err)
	read, err = a.GetQueue(c.ctx, c.name, nil)
	must("reading again", err)
	isEqual("changed", []any{*read.MaxDeliveryCount, *read.Status, *read.RequiresSession}, []any{int32(9), admin.EntityStatusActive, true})
	_, err = a.DeleteQueue(c.ctx, c.name, nil)
	must("deleting", err)
	read, err = a.GetQueue(c.ctx, c.name, nil)
	must("reading what is gone", err)
	isTrue(read == nil, "it is still there")
}

// values tells what a queue's properties point to.
func values(p admin.QueueProperties) []any {
	return []any{
		deref(p.LockDuration), deref(p.MaxSizeInMegabytes), deref(p.RequiresDuplicateDetection), deref(p.RequiresSession),
		deref(p.DefaultMessageTimeToLive), deref(p.DeadLetteringOnMessageExpiration),
		deref(p.DuplicateDetectionHistoryTimeWindow), deref(p.MaxDeliveryCount), deref(p.EnableBatchedOperations),
		deref(p.Status), deref(p.AutoDeleteOnIdle), deref(p.EnablePartitioning), deref(p.UserMetadata),
	}
}

// holds tells whether every setting that was asked for is there.
func holds(what string, actual, wanted any) {
	fields := func(value any) (read map[string]any) {
		text, err := json.Marshal(value)
		must(what, err)
		must(what, json.Unmarshal(text, &read))
		return read
	}
	got := fields(actual)
	for name, value := range fields(wanted) {
		if value != nil {
			isEqual(what+" "+name, got[name], value)
		}
	}
}

func adminTopic(c *check, a *admin.Client) {
	wanted := admin.TopicProperties{
		MaxSizeInMegabytes: ptr(int32(2048)), RequiresDuplicateDetection: ptr(true), DefaultMessageTimeToLive: ptr("P2D"),
		DuplicateDetectionHistoryTimeWindow: ptr("PT1M"), EnableBatchedOperations: ptr(false),
		Status: ptr(admin.EntityStatusSendDisabled), AutoDeleteOnIdle: ptr("PT1H"), EnablePartitioning: ptr(false),
		SupportOrdering: ptr(true), UserMetadata: ptr("text & <more>"), MaxMessageSizeInKilobytes: ptr(int64(2048)),
	}
	_, err := a.CreateTopic(c.ctx, c.name, &admin.CreateTopicOptions{Properties: &wanted})
	must("creating", err)
	read, err := a.GetTopic(c.ctx, c.name, nil)
	must("reading", err)
	holds("read", read.TopicProperties, wanted)
	read.AutoDeleteOnIdle = ptr("PT2H")
	_, err = a.UpdateTopic(c.ctx, c.name, read.TopicProperties, nil)
	must("changing", err)
	runtime, err := a.GetTopicRuntimeProperties(c.ctx, c.name, nil)
	must("runtime properties", err)
	isEqual("subscriptions", runtime.SubscriptionCount, int32(0))
	_, err = a.DeleteTopic(c.ctx, c.name, nil)
	must("deleting", err)
	read, err = a.GetTopic(c.ctx, c.name, nil)
	must("reading what is gone", err)
	isTrue(read == nil, "it is still there")
}

func adminSubscription(c *check, a *admin.Client) {
	_, err := a.CreateTopic(c.ctx, c.name, nil)
	must("the topic", err)
	target := c.name + "-target"
	_, err = a.CreateQueue(c.ctx, target, nil)
	must("the target", err)
	// The client does not send a status.
	wanted := admin.SubscriptionProperties{
		LockDuration: ptr("PT45S"), RequiresSession: ptr(true), DefaultMessageTimeToLive: ptr("P2D"),
		DeadLetteringOnMessageExpiration: ptr(true), EnableDeadLetteringOnFilterEvaluationExceptions: ptr(false),
		MaxDeliveryCount: ptr(int32(8)), AutoDeleteOnIdle: ptr("PT1H"),
		EnableBatchedOperations: ptr(false), UserMetadata: ptr("text & <more>"),
	}
	created := wanted
	created.DefaultRule = &admin.RuleProperties{Name: "mine", Filter: &admin.SQLFilter{Expression: "a = 1"}}
	_, err = a.CreateSubscription(c.ctx, c.name, "Sub.one", &admin.CreateSubscriptionOptions{Properties: &created})
	must("creating", err)
	read, err := a.GetSubscription(c.ctx, c.name, "Sub.one", nil)
	must("reading", err)
	holds("read", read.SubscriptionProperties, wanted)
	rule, err := a.GetRule(c.ctx, c.name, "Sub.one", "mine", nil)
	must("its rule", err)
	isEqual("its filter", rule.Filter.(*admin.SQLFilter).Expression, "a = 1")
	_, err = a.CreateSubscription(c.ctx, c.name, "two", &admin.CreateSubscriptionOptions{
		Properties: &admin.SubscriptionProperties{ForwardTo: &target},
	})
	must("forwarding", err)
	read.MaxDeliveryCount = ptr(int32(3))
	_, err = a.UpdateSubscription(c.ctx, c.name, "Sub.one", read.SubscriptionProperties, nil)
	must("changing", err)
	_, err = a.DeleteSubscription(c.ctx, c.name, "two", nil)
	must("deleting", err)
	gone, err := a.GetSubscription(c.ctx, c.name, "two", nil)
	must("reading what is gone", err)
	isTrue(gone == nil, "it is still there")
}

func adminRules(c *check, a *admin.Client) {
	_, err := a.CreateTopic(c.ctx, c.name, nil)
	must("the topic", err)
	_, err = a.CreateSubscription(c.ctx, c.name, "one", nil)
	must("the subscription", err)
	sql := &admin.SQLFilter{Expression: "a = @text AND b > @number", Parameters: map[string]any{"@text": "it's <&>", "@number": int64(7)}}
	correlation := &admin.CorrelationFilter{
		CorrelationID: ptr("c"), MessageID: ptr("m"), To: ptr("t"), ReplyTo: ptr("r"), Subject: ptr("s"), SessionID: ptr("i"),
		ReplyToSessionID: ptr("j"), ContentType: ptr("text/plain"),
		ApplicationProperties: map[string]any{
			"text": "x", "number": int64(7), "real": 1.5, "yes": true, "time": time.Unix(1_700_000_000, 0).UTC(),
		},
	}
	filters := map[string]admin.RuleFilter{
		"sql": sql, "correlation": correlation, "true": &admin.TrueFilter{}, "false": &admin.FalseFilter{},
	}
	for _, name := range []string{"sql", "correlation", "true", "false"} {
		_, err = a.CreateRule(c.ctx, c.name, "one", &admin.CreateRuleOptions{
			Name: ptr(name), Filter: filters[name], Action: &admin.SQLAction{Expression: "SET c = 1"},
		})
		must(name, err)
		read, err := a.GetRule(c.ctx, c.name, "one", name, nil)
		must("reading "+name, err)
		isEqual(name, fmt.Sprintf("%T", read.Filter), fmt.Sprintf("%T", filters[name]))
		isEqual("action", read.Action.(*admin.SQLAction).Expression, "SET c = 1")
	}
	read, err := a.GetRule(c.ctx, c.name, "one", "correlation", nil)
	must("reading", err)
	got := read.Filter.(*admin.CorrelationFilter)
	isEqual("conditions", []any{*got.CorrelationID, *got.Subject, *got.ContentType}, []any{"c", "s", "text/plain"})
	for name, value := range correlation.ApplicationProperties {
		isEqual(name, fmt.Sprint(got.ApplicationProperties[name]), fmt.Sprint(value))
	}
	names := []string{}
	for pager := a.NewListRulesPager(c.name, "one", nil); pager.More(); {
		page, err := pager.NextPage(c.ctx)
		must("listing", err)
		for _, rule := range page.Rules {
			names = append(names, rule.Name)
		}
	}
	isEqual("names", names, []string{"$Default", "correlation", "false", "sql", "true"})
	_, err = a.UpdateRule(c.ctx, c.name, "one", admin.RuleProperties{Name: "sql", Filter: &admin.SQLFilter{Expression: "a = 3"}})
	must("changing", err)
	_, err = a.CreateRule(c.ctx, c.name, "one", &admin.CreateRuleOptions{Name: ptr("bad"), Filter: &admin.SQLFilter{Expression: "a ="}})
	refusedWith("an expression", err, 400)
	_, err = a.DeleteRule(c.ctx, c.name, "one", "sql", nil)
	must("deleting", err)
	gone, err := a.GetRule(c.ctx, c.name, "one", "sql", nil)
	must("reading what is gone", err)
	isTrue(gone == nil, "it is still there")
}

func adminList(c *check, a *admin.Client) {
	_, err := a.CreateTopic(c.ctx, c.name, nil)
	must("the topic", err)
	for index := 0; index < 25; index++ {
		_, err = a.CreateSubscription(c.ctx, c.name, fmt.Sprintf("s%02d", index), nil)
		must("creating", err)
	}
	names := []string{}
	for pager := a.NewListSubscriptionsPager(c.name, &admin.ListSubscriptionsOptions{MaxPageSize: 10}); pager.More(); {
		page, err := pager.NextPage(c.ctx)
		must("listing", err)
		for _, each := range page.Subscriptions {
			names = append(names, each.SubscriptionName)
		}
	}
	isEqual("how many", len(names), 25)
	isEqual("the last", names[24], "s24")
	_, err = a.DeleteTopic(c.ctx, c.name, nil)
	must("deleting", err)
}

// listed gives the names of a list that are of a check.
func listed[T any](c *check, what string, pages *runtime.Pager[T], namesOf func(T) []string) []string {
	names := []string{}
	for pages.More() {
		page, err := pages.NextPage(c.ctx)
		must(what, err)
		for _, name := range namesOf(page) {
			if strings.HasPrefix(name, c.name+"-") {
				names = append(names, name)
			}
		}
	}
	return names
}

func namesOf[T any](items []T, nameOf func(T) string) []string {
	names := []string{}
	for _, item := range items {
		names = append(names, nameOf(item))
	}
	return names
}

func adminPages(c *check, a *admin.Client) {
	queues, topics, rules := []string{}, []string{}, []string{}
	for index := 0; index < 105; index++ {
		name := fmt.Sprintf("%s-%03d", c.name, index)
		queues, topics, rules = append(queues, name), append(topics, name+"-t"), append(rules, name)
	}
	listQueues := func() []string {
		return listed(c, "queues", a.NewListQueuesPager(nil), func(page admin.ListQueuesResponse) []string {
			return namesOf(page.Queues, func(each admin.QueueItem) string { return each.QueueName })
		})
	}
	listTopics := func() []string {
		return listed(c, "topics", a.NewListTopicsPager(nil), func(page admin.ListTopicsResponse) []string {
			return namesOf(page.Topics, func(each admin.TopicItem) string { return each.TopicName })
		})
	}
	isEqual("queues", listQueues(), queues)
	isEqual("topics", listTopics(), topics)
	isEqual("queues' numbers", listed(c, "queues' numbers", a.NewListQueuesRuntimePropertiesPager(nil),
		func(page admin.ListQueuesRuntimePropertiesResponse) []string {
			return namesOf(page.QueueRuntimeProperties, func(each admin.QueueRuntimePropertiesItem) string { return each.QueueName })
		}), queues)
	isEqual("topics' numbers", listed(c, "topics' numbers", a.NewListTopicsRuntimePropertiesPager(nil),
		func(page admin.ListTopicsRuntimePropertiesResponse) []string {
			return namesOf(page.TopicRuntimeProperties, func(each admin.TopicRuntimePropertiesItem) string { return each.TopicName })
		}), topics)
	isEqual("rules", listed(c, "rules", a.NewListRulesPager(topics[0], "one", nil), func(page admin.ListRulesResponse) []string {
		return namesOf(page.Rules, func(each admin.RuleProperties) string { return each.Name })
	}), rules)
}

func adminParameters(c *check, a *admin.Client) {
	_, err := a.CreateTopic(c.ctx, c.name, nil)
	must("the topic", err)
	_, err = a.CreateSubscription(c.ctx, c.name, "one", nil)
	must("the subscription", err)
	// The client writes every whole number as an int of 32 bits.
	wanted := map[string]any{
		"@text": "it's <&> ä", "@number": int64(-7), "@large": int64(1<<31 - 1), "@real": 1.5, "@no": false,
		"@time": time.Unix(1_700_000_000, 140_000_000).UTC(),
	}
	_, err = a.CreateRule(c.ctx, c.name, "one", &admin.CreateRuleOptions{
		Name:   ptr("mine"),
		Filter: &admin.SQLFilter{Expression: "a = @text OR b = @number", Parameters: wanted},
		Action: &admin.SQLAction{Expression: "SET a = @text; SET b = @number", Parameters: wanted},
	})
	must("creating", err)
	read, err := a.GetRule(c.ctx, c.name, "one", "mine", nil)
	must("reading", err)
	isEqual("filter", read.Filter.(*admin.SQLFilter).Parameters, wanted)
	isEqual("action", read.Action.(*admin.SQLAction).Parameters, wanted)
	_, err = a.UpdateRule(c.ctx, c.name, "one", read.RuleProperties)
	must("writing back", err)
	read, err = a.GetRule(c.ctx, c.name, "one", "mine", nil)
	must("reading again", err)
	isEqual("written back", read.Action.(*admin.SQLAction).Parameters, wanted)
}

func adminMessageSize(c *check, a *admin.Client) {
	_, err := a.CreateQueue(c.ctx, c.name, &admin.CreateQueueOptions{
		Properties: &admin.QueueProperties{MaxMessageSizeInKilobytes: ptr(int64(2048))},
	})
	must("creating", err)
	read, err := a.GetQueue(c.ctx, c.name, nil)
	must("reading", err)
	isEqual("size", deref(read.MaxMessageSizeInKilobytes), int64(2048))
	c.sendMessage(&sb.Message{Body: make([]byte, 1536*1024)})
	runtime, err := a.GetQueueRuntimeProperties(c.ctx, c.name, nil)
	must("runtime properties", err)
	isEqual("taken", runtime.TotalMessageCount, int64(1))
}

func adminTopicRuntime(c *check, a *admin.Client) {
	_, err := a.CreateTopic(c.ctx, c.name, nil)
	must("the topic", err)
	for _, name := range []string{"all", "some"} {
		_, err = a.CreateSubscription(c.ctx, c.name, name, nil)
		must(name, err)
	}
	_, err = a.DeleteRule(c.ctx, c.name, "some", "$Default", nil)
	must("deleting the rule", err)
	_, err = a.CreateRule(c.ctx, c.name, "some", &admin.CreateRuleOptions{
		Name:   ptr("large"),
		Filter: &admin.SQLFilter{Expression: "quantity > @least", Parameters: map[string]any{"@least": 5}},
		Action: &admin.SQLAction{Expression: "SET seen = @mark", Parameters: map[string]any{"@mark": "yes"}},
	})
	must("the rule", err)
	for _, quantity := range []int64{3, 7, 9} {
		c.sendMessage(&sb.Message{
			Body: []byte(fmt.Sprint(quantity)), ApplicationProperties: map[string]any{"quantity": quantity},
		})
	}
	sender := c.sender()
	_, err = sender.ScheduleMessages(c.ctx, []*sb.Message{{Body: []byte("x")}}, time.Now().Add(time.Hour), nil)
	must("scheduling", err)
	receiver, err := c.client.NewReceiverForSubscription(c.name, "some", nil)
	must("the receiver", err)
	message := c.one(receiver)
	isEqual("what the action set", []any{string(message.Body), message.ApplicationProperties["seen"]}, []any{"7", "yes"})
	must("dead-lettering", receiver.DeadLetterMessage(c.ctx, message, nil))
	for name, wanted := range map[string][]int64{"all": {3, 3, 0}, "some": {2, 1, 1}} {
		got, err := a.GetSubscriptionRuntimeProperties(c.ctx, c.name, name, nil)
		must(name, err)
		isEqual(name, []int64{got.TotalMessageCount, int64(got.ActiveMessageCount), int64(got.DeadLetterMessageCount)}, wanted)
	}
	topic, err := a.GetTopicRuntimeProperties(c.ctx, c.name, nil)
	must("the topic's numbers", err)
	isEqual("the topic", []int32{topic.SubscriptionCount, topic.ScheduledMessageCount}, []int32{2, 1})
}

func adminRuntime(c *check, a *admin.Client) {
	_, err := a.CreateQueue(c.ctx, c.name, nil)
	must("creating", err)
	sender := c.sender()
	for _, body := range []string{"a", "b", "c"} {
		must("sending", sender.SendMessage(c.ctx, &sb.Message{Body: []byte(body)}, nil))
	}
	_, err = sender.ScheduleMessages(c.ctx, []*sb.Message{{Body: []byte("d")}}, time.Now().Add(time.Hour), nil)
	must("scheduling", err)
	receiver := c.receiver()
	must("dead-lettering", receiver.DeadLetterMessage(c.ctx, c.one(receiver), nil))
	runtime, err := a.GetQueueRuntimeProperties(c.ctx, c.name, nil)
	must("runtime properties", err)
	isEqual("counts", []int64{
		runtime.TotalMessageCount, int64(runtime.ActiveMessageCount), int64(runtime.DeadLetterMessageCount),
		int64(runtime.ScheduledMessageCount),
	}, []int64{4, 2, 1, 1})
	isTrue(runtime.SizeInBytes > 0 && !runtime.AccessedAt.Before(runtime.CreatedAt), "size or times")
}

func adminErrors(c *check, a *admin.Client) {
	_, err := a.CreateQueue(c.ctx, c.name, nil)
	must("creating", err)
	read, err := a.GetQueue(c.ctx, c.name, nil)
	must("reading", err)
	_, err = a.CreateQueue(c.ctx, c.name, nil)
	refusedWith("a conflict", err, 409)
	_, err = a.DeleteQueue(c.ctx, c.name+"-not", nil)
	refusedWith("a deletion of nothing", err, 404)
	_, err = a.UpdateQueue(c.ctx, c.name+"-not", read.QueueProperties, nil)
	refusedWith("an update of nothing", err, 404)
	read.RequiresSession = ptr(true)
	_, err = a.UpdateQueue(c.ctx, c.name, read.QueueProperties, nil)
	refusedWith("sessions afterwards", err, 400)
	_, err = a.CreateQueue(c.ctx, c.name+"-not", &admin.CreateQueueOptions{Properties: &admin.QueueProperties{LockDuration: ptr("PT6M")}})
	refusedWith("a long lock", err, 400)
	_, err = a.CreateSubscription(c.ctx, c.name+"-not", "one", nil)
	refusedWith("a subscription of nothing", err, 404)
}

func adminWrongKey(c *check, a *admin.Client) {
	_, err := newAdmin("d3Jvbmc=").CreateQueue(c.ctx, c.name, nil)
	refusedWith("a wrong key", err, 401)
	gone, err := a.GetQueue(c.ctx, c.name, nil)
	must("reading", err)
	isTrue(gone == nil, "it was made")
}
