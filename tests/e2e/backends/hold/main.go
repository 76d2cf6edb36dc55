// hold keeps a fixed number of connections busy and counts what became of each
// request, so that a test can tell how many a change has cost. It stops after
// -duration or at SIGINT or SIGTERM and prints one line of JSON.
//
// It never sends a request twice, and gives a connection up only when the other side
// has said that it ends: by Connection: close, GOAWAY, or by closing it before a
// request is sent. A connection that ends under a request is a failure.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

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
	flag.StringVar(&o.protocol, "protocol", "h1", "h1: HTTP/1.1; h2: HTTP/2 over TLS; h2c: HTTP/2 with prior knowledge")
	flag.IntVar(&o.connections, "connections", 4, "how many")
	flag.IntVar(&o.streams, "streams", 1, "requests at a time on each connection; HTTP/2 only")
	flag.BoolVar(&o.each, "each", false, "a new connection for each request; h1 only")
	flag.Float64Var(&o.rate, "rate", 0, "requests a second of all connections together; 0: no limit")
	flag.DurationVar(&o.duration, "duration", 0, "when to stop; 0: at a signal")
	flag.IntVar(&o.atLeast, "at-least", 0, "requests to make before it stops")
	flag.DurationVar(&o.timeout, "timeout", 10*time.Second, "of one request")
	flag.DurationVar(&o.upload, "upload", 0, "POST a body that takes so long")
	flag.Parse()
	switch {
	case o.url == nil || o.url.Host == "":
		return o, fmt.Errorf("-url: need http://… or https://…")
	case o.protocol != "h1" && o.protocol != "h2" && o.protocol != "h2c":
		return o, fmt.Errorf("-protocol %q: need h1, h2 or h2c", o.protocol)
	case o.protocol == "h2" && o.url.Scheme != "https":
		return o, fmt.Errorf("-protocol h2: need https://…; h2c is for http://…")
	case o.protocol == "h1" && o.streams != 1:
		return o, fmt.Errorf("-streams: HTTP/1.1 has one request at a time; use -connections")
	case o.protocol != "h1" && o.each:
		return o, fmt.Errorf("-each: h1 only")
	}
	return o, nil
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
	started := time.Now()
	total := newTally()
	run(stop, &options, total)
	total.Seconds = time.Since(started).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(total); err != nil {
		log.Fatal(err)
	}
}

// run makes requests until it is told to stop and has made enough.
func run(stop context.Context, options *options, total *tally) {
	requesters := options.connections * options.streams
	var interval time.Duration
	if options.rate > 0 {
		interval = time.Duration(float64(requesters) / options.rate * float64(time.Second))
	}
	share := (options.atLeast + requesters - 1) / requesters
	var running sync.WaitGroup
	var merging sync.Mutex
	for range options.connections {
		for _, exchanger := range newExchangers(options) {
			running.Go(func() {
				r := requester{exchanger: exchanger, timeout: options.timeout, tally: newTally()}
				r.run(stop, interval, share)
				merging.Lock()
				defer merging.Unlock()
				total.add(r.tally)
			})
		}
	}
	running.Wait()
}

// newExchangers opens nothing yet: one connection, and who shares it.
func newExchangers(options *options) []exchanger {
	if options.protocol == "h1" {
		return []exchanger{&http1{options: options}}
	}
	shared := newHTTP2(options)
	all := make([]exchanger, options.streams)
	for index := range all {
		all[index] = shared
	}
	return all
}
