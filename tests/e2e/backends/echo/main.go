// echo is a backend for tests: it answers every request with an account of it in JSON.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"time"

	"backends/internal/server"
)

type account struct {
	Pod       string      `json:"pod"`
	Version   string      `json:"version,omitempty"`
	Method    string      `json:"method"`
	Host      string      `json:"host"`
	URL       string      `json:"url"`
	Proto     string      `json:"proto"`
	Peer      string      `json:"peer"`
	Headers   http.Header `json:"headers"`
	BodyBytes int64       `json:"body_bytes"`
	Trailers  http.Header `json:"trailers,omitempty"`
}

func main() {
	var options server.Options
	flag.StringVar(&options.Addr, "addr", ":8080", "address to listen on")
	version := flag.String("version", "", "reported with each request")
	flag.DurationVar(&options.Drain, "drain", 5*time.Second, "how long to serve on after SIGTERM")
	flag.StringVar(&options.TLS, "tls", "", "serve TLS with tls.crt and tls.key of this `directory`")
	flag.Parse()
	pod, err := os.Hostname()
	if err != nil {
		panic(err)
	}
	server.Run(options, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		read, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(account{
			Pod:       pod,
			Version:   *version,
			Method:    r.Method,
			Host:      r.Host,
			URL:       r.RequestURI,
			Proto:     r.Proto,
			Peer:      r.RemoteAddr,
			Headers:   r.Header,
			BodyBytes: read,
			Trailers:  r.Trailer,
		})
	}))
}
