// The AWS SDK for Go v2 behind the pipe of bridges.py. Operations are found by name on the SDK's client, and
// their inputs and outputs are the SDK's own structs.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"reflect"
	"sort"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

// A subscription's events are awaited by the driver; this bounds waiters only.
const waitMax = time.Minute

type request struct {
	Call        string          `json:"call"`
	Pages       string          `json:"pages"`
	Wait        string          `json:"wait"`
	Subscribe   string          `json:"subscribe"`
	Unsubscribe string          `json:"unsubscribe"`
	About       bool            `json:"about"`
	In          json.RawMessage `json:"in"`
}

type message map[string]any

// wireLog notes what came over the wire, for the runner's report.
type wireLog struct {
	next *awshttp.BuildableClient // the SDK's default
	mu   sync.Mutex
	seen map[string]bool
}

func (w *wireLog) Do(r *http.Request) (*http.Response, error) {
	answer, err := w.next.Do(r)
	if err == nil {
		w.mu.Lock()
		w.seen[answer.Proto+" "+answer.Header.Get("Content-Type")] = true
		w.mu.Unlock()
	}
	return answer, err
}

func (w *wireLog) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := []string{}
	for kind := range w.seen {
		all = append(all, kind)
	}
	sort.Strings(all)
	return all
}

var (
	client        *kinesis.Client
	wire          = &wireLog{next: awshttp.NewBuildableClient(), seen: map[string]bool{}}
	outMu         sync.Mutex
	subscriptions = map[string]*kinesis.SubscribeToShardEventStream{}
	// Those that were closed by us.
	unsubscribed sync.Map
)

func send(m message) {
	text, err := json.Marshal(m)
	if err != nil {
		text, _ = json.Marshal(message{"broken": err.Error()})
	}
	outMu.Lock()
	defer outMu.Unlock()
	os.Stdout.Write(append(text, '\n'))
}

// plain turns the driver's marked bytes and times into what encoding/json puts into []byte and time.Time.
func plain(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		if blob, ok := v["$blob"]; ok {
			return blob
		}
		if ms, ok := v["$time"]; ok {
			return time.UnixMilli(int64(ms.(float64))).UTC().Format(time.RFC3339Nano)
		}
		for key := range v {
			v[key] = plain(v[key])
		}
	}
	return value
}

// fill reads the driver's JSON into one of the SDK's input structs.
func fill(raw json.RawMessage, input any) error {
	var value any
	if err := json.Unmarshal(raw, &value); err != nil {
		return err
	}
	text, err := json.Marshal(plain(value))
	if err != nil {
		return err
	}
	return json.Unmarshal(text, input)
}

// encode turns one of the SDK's values into the driver's JSON; nil means absent.
func encode(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return encode(v.Elem())
	case reflect.Struct:
		if at, ok := v.Interface().(time.Time); ok {
			return message{"$time": at.UnixMilli()}
		}
		out := message{}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || field.Name == "ResultMetadata" {
				continue
			}
			// An enum without a value is the empty string.
			if v.Field(i).Kind() == reflect.String && v.Field(i).Len() == 0 {
				continue
			}
			if item := encode(v.Field(i)); item != nil {
				out[field.Name] = item
			}
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return message{"$blob": base64.StdEncoding.EncodeToString(v.Bytes())}
		}
		out := []any{}
		for i := range v.Len() {
			out = append(out, encode(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return nil
		}
		out := message{}
		for _, key := range v.MapKeys() {
			out[key.String()] = encode(v.MapIndex(key))
		}
		return out
	default:
		return v.Interface()
	}
}

func failure(err error) message {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return message{"error": refused.ErrorCode(), "message": refused.ErrorMessage()}
	}
	return message{"broken": err.Error()}
}

// call finds the client's method of that name: func(context.Context, *XInput, ...func(*Options)) (*XOutput, error).
func call(operation string, raw json.RawMessage) (any, error) {
	method := reflect.ValueOf(client).MethodByName(operation)
	if !method.IsValid() {
		return nil, fmt.Errorf("this SDK has no operation %s", operation)
	}
	input := reflect.New(method.Type().In(1).Elem())
	if err := fill(raw, input.Interface()); err != nil {
		return nil, err
	}
	results := method.Call([]reflect.Value{reflect.ValueOf(context.Background()), input})
	if err, _ := results[1].Interface().(error); err != nil {
		return nil, err
	}
	return encode(results[0]), nil
}

func pages(operation string, raw json.RawMessage) (any, error) {
	all := []any{}
	if operation != "ListStreams" {
		return nil, fmt.Errorf("no paginator is wired up for %s", operation)
	}
	input := &kinesis.ListStreamsInput{}
	if err := fill(raw, input); err != nil {
		return nil, err
	}
	for paginator := kinesis.NewListStreamsPaginator(client, input); paginator.HasMorePages(); {
		page, err := paginator.NextPage(context.Background())
		if err != nil {
			return nil, err
		}
		all = append(all, encode(reflect.ValueOf(page)))
	}
	return all, nil
}

func wait(waiter string, raw json.RawMessage) error {
	input := &kinesis.DescribeStreamInput{}
	if err := fill(raw, input); err != nil {
		return err
	}
	switch waiter {
	case "StreamExists":
		return kinesis.NewStreamExistsWaiter(client).Wait(context.Background(), input, waitMax)
	case "StreamNotExists":
		return kinesis.NewStreamNotExistsWaiter(client).Wait(context.Background(), input, waitMax)
	}
	return fmt.Errorf("no waiter is wired up for %s", waiter)
}

func subscribe(name string, raw json.RawMessage) error {
	input := &kinesis.SubscribeToShardInput{}
	if err := fill(raw, input); err != nil {
		return err
	}
	answer, err := client.SubscribeToShard(context.Background(), input)
	if err != nil {
		return err
	}
	stream := answer.GetStream()
	subscriptions[name] = stream
	go func() {
		for event := range stream.Events() {
			switch e := event.(type) {
			case *types.SubscribeToShardEventStreamMemberSubscribeToShardEvent:
				send(message{"subscription": name, "event": encode(reflect.ValueOf(e.Value))})
			default:
				send(message{"subscription": name, "broken": fmt.Sprintf("unknown event %T", event)})
			}
		}
		// What its reader meets when we close the connection under it is no failure of the server.
		_, ours := unsubscribed.Load(stream)
		if err := stream.Err(); err != nil && !ours {
			m := failure(err)
			m["subscription"] = name
			send(m)
			return
		}
		send(message{"subscription": name, "end": true})
	}()
	return nil
}

func handle(r request) (any, error) {
	nothing := message{}
	switch {
	case r.About:
		return message{"client": "AWS SDK for Go v2", "version": aws.SDKVersion, "wire": wire.list()}, nil
	case r.Unsubscribe != "":
		stream := subscriptions[r.Unsubscribe]
		unsubscribed.Store(stream, true)
		_ = stream.Close()
		return nothing, nil
	case r.Call != "":
		return call(r.Call, r.In)
	case r.Pages != "":
		return pages(r.Pages, r.In)
	case r.Wait != "":
		return nothing, wait(r.Wait, r.In)
	default:
		return nothing, subscribe(r.Subscribe, r.In)
	}
}

func main() {
	client = kinesis.New(kinesis.Options{
		Region:       os.Getenv("AWS_REGION"),
		BaseEndpoint: aws.String(os.Getenv("AWS_ENDPOINT_URL")),
		Credentials: credentials.NewStaticCredentialsProvider(
			os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY"), ""),
		HTTPClient: wire,
		Retryer:    aws.NopRetryer{},
	})
	in := bufio.NewReader(os.Stdin)
	for {
		text, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var r request
		if err := json.Unmarshal(text, &r); err != nil {
			send(message{"broken": err.Error()})
			continue
		}
		if out, err := handle(r); err != nil {
			send(failure(err))
		} else {
			send(message{"out": out})
		}
	}
}
