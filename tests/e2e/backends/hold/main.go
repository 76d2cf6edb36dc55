// hold keeps a fixed number of connections busy and counts what became of each
// request, so that a test can tell how many a change has cost. It stops after
// -duration or at SIGINT or SIGTERM and prints one line of JSON. At each
// line on its standard input it prints what has ended until then, and goes on counting from
// nothing.
//
// It never sends a request twice, and gives a connection up only when the other side
// has said that it ends: by Connection: close, GOAWAY, or by closing it before a
// request is sent. A connection that ends under a request is a failure.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

var protocols = []string{"h1", "h2", "h2c", "grpc", "grpc-stream", "websocket"}

// options say what is requested, and how.
type options struct {
	url         *url.URL
	host        string
	header      http.Header
	protocol    string
	connections int
	streams     int
	each        bool
	rate        float64
	duration    time.Duration
	atLeast     int
	timeout     time.Duration
	upload      time.Duration
	download    time.Duration
	lifetime    time.Duration
	sessions    tls.ClientSessionCache
}

func parseOptions() (options, error) {
	o := options{header: http.Header{}}
	flag.Func("url", "what to request, http or https", func(text string) (err error) {
		o.url, err = url.Parse(text)
		return err
	})
	flag.StringVar(&o.host, "host", "", "Host header and name for TLS, if not the URL's")
	flag.Func("header", "`name: value`, may be repeated", func(line string) error {
		name, value, _ := strings.Cut(line, ":")
		o.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	})
	flag.StringVar(&o.protocol, "protocol", "h1", "h1: HTTP/1.1; h2: HTTP/2 over TLS; h2c: HTTP/2 with prior knowledge; grpc: unary calls by HTTP/2; grpc-stream: messages to and fro in streams; websocket: the same in WebSockets")
	flag.IntVar(&o.connections, "connections", 4, "how many")
	flag.IntVar(&o.streams, "streams", 1, "requests at a time on each connection; HTTP/2 and gRPC only")
	flag.BoolVar(&o.each, "each", false, "a new connection for each request; h1 only")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second of all connections together; 0: no limit")
	flag.DurationVar(&o.duration, "duration", 0, "when to stop; 0: at a signal")
	flag.IntVar(&o.atLeast, "at-least", 0, "requests to make before it stops")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "of one request")
	flag.DurationVar(&o.upload, "upload", 0, "POST a body that takes so long")
	flag.DurationVar(&o.download, "download", 0, "read the answer so slowly that it takes so long; h1 only")
	flag.DurationVar(&o.lifetime, "lifetime", 4*time.Second, "of a gRPC stream or WebSocket: then it is ended, and another opened")
	resume := flag.Bool("resume", false, "go on with the TLS session of an earlier connection")
	flag.Parse()
	if *resume {
		o.sessions = tls.NewLRUClientSessionCache(0)
	}
	return o, o.check()
}

func (o *options) check() error {
	switch {
	case o.url == nil || o.url.Host == "":
		return fmt.Errorf("-url: need http://… or https://…")
	case !slices.Contains(protocols, o.protocol):
		return fmt.Errorf("-protocol %q: need one of %s", o.protocol, strings.Join(protocols, ", "))
	case o.protocol == "h2" && o.url.Scheme != "https":
		return fmt.Errorf("-protocol h2: need https://…; h2c is for http://…")
	case o.streams != 1 && (o.protocol == "h1" || o.protocol == "websocket"):
		return fmt.Errorf("-streams: HTTP/1.1 has one request at a time; use -connections")
	case o.protocol != "h1" && o.download > 0:
		return fmt.Errorf("-download: h1 only")
	case o.protocol != "h1" && o.each:
		return fmt.Errorf("-each: h1 only")
	}
	return nil
}

func main() {
	options, err := parseOptions()
	if err != nil {
		log.Fatal(err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if options.duration > 0 {
		stop, cancel = context.WithTimeout(stop, options.duration)
		defer cancel()
	}
	ledger := newLedger()
	go tellWhenAsked(ledger)
	run(stop, &options, ledger)
	tell(ledger)
}

func tellWhenAsked(ledger *ledger) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		tell(ledger)
	}
}

func tell(ledger *ledger) {
	if err := json.NewEncoder(os.Stdout).Encode(ledger.take()); err != nil {
		log.Fatal(err)
	}
}

// run makes requests until it is told to stop and has made enough. Those who make them begin one
// after the other, so that they don't all ask at the same moments.
func run(stop context.Context, options *options, ledger *ledger) {
	requesters := options.connections * options.streams
	var interval, offset time.Duration
	if options.rate > 0 {
		offset = time.Duration(float64(time.Second) / options.rate)
		interval = time.Duration(requesters) * offset
	}
	share := (options.atLeast + requesters - 1) / requesters
	due := time.Now()
	var running sync.WaitGroup
	for range options.connections {
		for _, exchanger := range newExchangers(options) {
			r := requester{exchanger: exchanger, timeout: options.timeout, ledger: ledger}
			first := due
			running.Go(func() { r.run(stop, first, interval, share) })
			due = due.Add(offset)
		}
	}
	running.Wait()
}

// newExchangers opens nothing yet: one connection, and who shares it.
func newExchangers(options *options) []exchanger {
	switch options.protocol {
	case "h1":
		return []exchanger{&http1{options: options}}
	case "websocket":
		return []exchanger{&socket{options: options}}
	}
	shared := newHTTP2(options)
	all := make([]exchanger, options.streams)
	for index := range all {
		switch options.protocol {
		case "grpc":
			all[index] = &unary{shared}
		case "grpc-stream":
			all[index] = &stream{http2: shared}
		default:
			all[index] = shared
		}
	}
	return all
}
