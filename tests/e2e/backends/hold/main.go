// hold keeps a fixed number of HTTP/1.1 connections busy and counts what became
// of each request, so that a test can tell how many a change has cost. It stops
// after -duration or at SIGINT or SIGTERM and prints one line of JSON.
//
// It speaks HTTP by itself and not by way of net/http's Transport, which would
// send a failed request again without saying so. Without -rate no connection is
// ever idle, so a server that closes idle ones cannot be the cause of a failure.
package main

import (
	"context"
	"encoding/json"
	"flag"
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

func main() {
	target := flag.String("url", "", "what to request, http or https")
	host := flag.String("host", "", "Host header and name for TLS, if not the URL's")
	connections := flag.Int("connections", 4, "how many, each with one request at a time")
	rate := flag.Float64("rate", 0, "requests a second of all connections together; 0: no limit")
	duration := flag.Duration("duration", 0, "when to stop; 0: at a signal")
	timeout := flag.Duration("timeout", 10*time.Second, "of one request")
	header := http.Header{}
	flag.Func("header", "`name: value`, may be repeated", func(line string) error {
		name, value, _ := strings.Cut(line, ":")
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	})
	flag.Parse()
	address, err := url.Parse(*target)
	if err != nil || address.Host == "" {
		log.Fatalf("-url %q: need http://… or https://…", *target)
	}

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if *duration > 0 {
		ctx, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	request := &http.Request{Method: http.MethodGet, URL: address, Host: *host, Header: header}
	var interval time.Duration
	if *rate > 0 {
		interval = time.Duration(float64(*connections) / *rate * float64(time.Second))
	}

	started := time.Now()
	total := newTally()
	var workers sync.WaitGroup
	var merging sync.Mutex
	for range *connections {
		workers.Go(func() {
			c := client{request: request, timeout: *timeout, tally: newTally()}
			c.run(ctx, interval)
			merging.Lock()
			defer merging.Unlock()
			total.add(c.tally)
		})
	}
	workers.Wait()
	total.Seconds = time.Since(started).Seconds()
	if err := json.NewEncoder(os.Stdout).Encode(total); err != nil {
		log.Fatal(err)
	}
}
