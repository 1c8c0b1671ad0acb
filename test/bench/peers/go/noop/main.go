// Command noop is the yardstick of the callout benchmark: the least that a gRPC callout can do in Go. It allows
// every ext_authz Check and answers every message of an ext_proc stream with "continue, nothing changed". The server
// is google.golang.org/grpc with its defaults and Envoy's own message types, as a Go author would write it.
//
// Usage: noop SOCKET. It prints READY when the UNIX socket accepts connections.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
)

// authorization allows every request.
type authorization struct {
	authv3.UnimplementedAuthorizationServer
}

func (authorization) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
	}, nil
}

// processor lets every request and response pass unchanged.
type processor struct {
	extprocv3.UnimplementedExternalProcessorServer
}

func (processor) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		headers := &extprocv3.HeadersResponse{
			Response: &extprocv3.CommonResponse{Status: extprocv3.CommonResponse_CONTINUE},
		}
		var response *extprocv3.ProcessingResponse
		switch request.Request.(type) {
		case *extprocv3.ProcessingRequest_RequestHeaders:
			response = &extprocv3.ProcessingResponse{
				Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: headers},
			}
		case *extprocv3.ProcessingRequest_ResponseHeaders:
			response = &extprocv3.ProcessingResponse{
				Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: headers},
			}
		default:
			return grpcstatus.Error(codes.InvalidArgument, "only headers are expected here")
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: noop SOCKET")
	}
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	authv3.RegisterAuthorizationServer(server, authorization{})
	extprocv3.RegisterExternalProcessorServer(server, processor{})
	fmt.Println("READY")
	log.Fatal(server.Serve(listener))
}
