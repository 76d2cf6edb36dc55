// echo is a backend for tests: it answers every request with an account of it in JSON, but for
// gRPC, WebSockets, and requests for `?bytes=COUNT`.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
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
	TLS       *session    `json:"tls,omitempty"`
}

// session is what a client has asked for and shown in TLS.
type session struct {
	ServerName string `json:"server_name"`
	Client     string `json:"client,omitempty"`
}

func main() {
	addr := flag.String("addr", ":8080", "address to listen on")
	version := flag.String("version", "", "reported with each request")
	drain := flag.Duration("drain", 5*time.Second, "how long to serve on after SIGTERM")
	secret := flag.String("tls", "", "directory with tls.crt and tls.key: speak TLS; clients may show certificates of ca.crt, where there is one")
	flag.Parse()
	pod, err := os.Hostname()
	if err != nil {
		panic(err)
	}
	server.Run(*addr, *drain, secure(*secret), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stream(w, r) {
			return
		}
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
			TLS:       sessionOf(r.TLS),
		})
	}))
}

// secure reads a Secret as pods see it; nil where none is meant.
func secure(directory string) *tls.Config {
	if directory == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key"))
	if err != nil {
		panic(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	if authorities, err := os.ReadFile(filepath.Join(directory, "ca.crt")); err == nil {
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(authorities)
		config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return config
}

func sessionOf(state *tls.ConnectionState) *session {
	if state == nil {
		return nil
	}
	s := &session{ServerName: state.ServerName}
	if len(state.PeerCertificates) > 0 {
		s.Client = state.PeerCertificates[0].Subject.CommonName
	}
	return s
}
