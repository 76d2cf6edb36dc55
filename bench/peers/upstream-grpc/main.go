// A gRPC server with messages of 130 bytes and nothing else: /bench.Echo/Unary answers with one,
// /bench.Echo/Stream with 100, each sent by itself. It listens on the address of its first argument.
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

const streamed = 100

func main() {
	if len(os.Args) != 2 || os.Args[1] == "--version" {
		fmt.Println("upstream-grpc 1.0.0")
		return
	}
	text := strings.Repeat("....:....1", 13)
	message := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text)))
	message = append(message, text...)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Addr:      os.Args[1],
		Protocols: protocols,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: 1000},
		Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
			io.Copy(io.Discard, request.Body)
			answer.Header().Set("content-type", "application/grpc")
			count := 1
			if strings.HasSuffix(request.URL.Path, "/Stream") {
				count = streamed
			}
			for range count {
				answer.Write(message)
				if count > 1 {
					answer.(http.Flusher).Flush()
				}
			}
			answer.Header().Set(http.TrailerPrefix+"grpc-status", "0")
		}),
	}
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
	os.Exit(1)
}
