// Package server runs a test backend so that it can leave a cluster without
// losing a request.
package server

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// HealthAddr is a port of its own, so that the backend's has no path taken.
const HealthAddr = ":8081"

// What requests may still take once nothing new is accepted.
const finish = 15 * time.Second

// Run serves until SIGTERM. From then on it reports itself as not ready, goes on
// serving for the time of drain, while others learn that its endpoint is gone,
// and at last finishes what is in flight. With secure it speaks TLS and nothing else
// on addr.
func Run(addr string, drain time.Duration, secure *tls.Config, handler http.Handler) {
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	var draining atomic.Bool

	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Addr:      addr,
		Protocols: protocols,
		TLSConfig: secure,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if draining.Load() {
				// Busy connections end here, between two requests, and not under one.
				w.Header().Set("Connection", "close")
			}
			handler.ServeHTTP(w, r)
		}),
	}
	health := &http.Server{
		Addr: HealthAddr,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if draining.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}),
	}
	serve := server.ListenAndServe
	if secure != nil {
		serve = func() error { return server.ListenAndServeTLS("", "") }
	}
	for _, serve := range []func() error{serve, health.ListenAndServe} {
		go func() {
			if err := serve(); err != http.ErrServerClosed {
				log.Fatal(err)
			}
		}()
	}

	<-stop.Done()
	draining.Store(true)
	time.Sleep(drain)
	deadline, cancel := context.WithTimeout(context.Background(), finish)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		log.Fatal(err)
	}
}
