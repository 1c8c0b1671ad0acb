// Command load drives a callout server directly, without Envoy: a closed loop of N streams over C connections to a
// UNIX socket, each with one call in flight. Unary calls are ext_authz Checks; ext_proc streams are as Envoy's with
// its graceful close: open, one request_headers message, one answer, half-close, end.
//
// The request is serialised once and sent as it is; the answer is not decoded, but counted as ok only when its first
// bytes say so. So the client costs little beside the server on a machine of few cores.
//
// Usage: load -socket PATH -method check|proc [-streams 8] [-connections 1] [-calls 20000] [-host HOST]
// [-context KEY=VALUE,…] [-message FILE]. The context is what an Envoy's route adds: context_extensions of a check,
// gRPC metadata of an ext_proc stream. It prints one line of JSON: calls, ok, failed, seconds, and the first failure's
// text. -print FILE writes the message that it would send.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

const (
	checkMethod = "/envoy.service.auth.v3.Authorization/Check"
	procMethod  = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
	// Envoy's own default of a callout is 200 ms; here the machine is saturated on purpose.
	callTimeout = 5 * time.Second
)

// report is the line that is printed.
type report struct {
	Calls   int     `json:"calls"`
	OK      int64   `json:"ok"`
	Failed  int64   `json:"failed"`
	Seconds float64 `json:"seconds"`
	Failure string  `json:"failure,omitempty"`
}

// bytesCodec passes messages as they are. Its empty name makes the content type plain application/grpc, as Envoy's.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "" }

func (bytesCodec) Marshal(value any) (mem.BufferSlice, error) {
	message, ok := value.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is not a serialised message", value)
	}
	return mem.BufferSlice{mem.SliceBuffer(message)}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, value any) error {
	message, ok := value.(*[]byte)
	if !ok {
		return fmt.Errorf("%T is not a place for a serialised message", value)
	}
	*message = data.Materialize()
	return nil
}

// call makes one call or stream and says why it failed.
type call func(context.Context, *grpc.ClientConn, []byte) error

func check(ctx context.Context, connection *grpc.ClientConn, message []byte) error {
	var answer []byte
	if err := connection.Invoke(ctx, checkMethod, message, &answer); err != nil {
		return err
	}
	return allowed(answer)
}

// processWith gives every stream the same metadata.
func processWith(added map[string]string) call {
	return func(ctx context.Context, connection *grpc.ClientConn, message []byte) error {
		return process(metadata.NewOutgoingContext(ctx, metadata.New(added)), connection, message)
	}
}

func process(ctx context.Context, connection *grpc.ClientConn, message []byte) error {
	description := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := connection.NewStream(ctx, description, procMethod)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(message); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var answer []byte
	if err := stream.RecvMsg(&answer); err != nil {
		return err
	}
	if err := continued(answer); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(&answer); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the half-close: %v instead of the end", err)
	}
	return nil
}

func pairs(list string) map[string]string {
	found := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		if key, value, said := strings.Cut(pair, "="); said {
			found[key] = value
		}
	}
	return found
}

func main() {
	log.SetFlags(0)
	socket := flag.String("socket", "", "UNIX socket of the server")
	method := flag.String("method", "check", "check (ext_authz) or proc (ext_proc)")
	streams := flag.Int("streams", 8, "calls in flight, one a stream")
	connections := flag.Int("connections", 1, "connections that the streams share; Envoy has one a worker")
	calls := flag.Int("calls", 20_000, "calls in all")
	host := flag.String("host", "bench.test", "authority of the request that is asked about")
	context := flag.String("context", "", "what the route adds: KEY=VALUE, separated by commas")
	file := flag.String("message", "", "file with the serialised request; the built-in one by default")
	print := flag.String("print", "", "write the request to this file and end")
	flag.Parse()
	added := pairs(*context)
	var one call
	var message []byte
	switch *method {
	case "check":
		one, message = check, checkRequest(*host, added)
	case "proc":
		one, message = processWith(added), processingRequest(*host)
	default:
		log.Fatal("-method is check or proc")
	}
	if *file != "" {
		content, err := os.ReadFile(*file)
		if err != nil {
			log.Fatal(err)
		}
		message = content
	}
	if *print != "" {
		if err := os.WriteFile(*print, message, 0o600); err != nil {
			log.Fatal(err)
		}
		return
	}
	if *socket == "" || *streams < 1 || *connections < 1 || *calls < 1 {
		log.Fatal("usage: load -socket PATH -method check|proc [-streams N] [-connections C] [-calls N]")
	}
	line, err := json.Marshal(run(*socket, one, message, *streams, *connections, *calls))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// run makes all calls; a failed one is counted and the loop goes on.
func run(socket string, one call, message []byte, streams, connections, calls int) report {
	pool := make([]*grpc.ClientConn, connections)
	for index := range pool {
		connection, err := grpc.NewClient(
			"unix:"+socket,
			grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(bytesCodec{})),
		)
		if err != nil {
			log.Fatal(err)
		}
		defer connection.Close()
		pool[index] = connection
	}
	var left, ok, failed atomic.Int64
	left.Store(int64(calls))
	var first sync.Once
	var failure string
	var group sync.WaitGroup
	start := time.Now()
	for index := range streams {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
				err := one(ctx, pool[index%connections], message)
				cancel()
				if err == nil {
					ok.Add(1)
					continue
				}
				failed.Add(1)
				first.Do(func() { failure = err.Error() })
			}
		})
	}
	group.Wait()
	return report{calls, ok.Load(), failed.Load(), time.Since(start).Seconds(), failure}
}
