package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// unusable is how net/http says that a connection takes no more requests; the error has no name.
const unusable = "http2: client conn not usable"

// http2 is one HTTP/2 connection, over TLS or with prior knowledge, that several share. After a
// GOAWAY what is on its way finishes there, and the next request opens another.
type http2 struct {
	options   *options
	transport *http.Transport

	mutex sync.Mutex
	conn  *http.ClientConn
}

func newHTTP2(options *options) *http2 {
	protocols := new(http.Protocols)
	transport := &http.Transport{Protocols: protocols}
	if options.url.Scheme == "https" {
		protocols.SetHTTP2(true)
		transport.TLSClientConfig = tlsConfig(options)
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	return &http2{options: options, transport: transport}
}

func (c *http2) exchange(deadline time.Time) (answer, error) {
	var a answer
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_, response, err := c.roundTrip(ctx, &a, func() *http.Request { return newRequest(c.options, ctx) })
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	if a.body, err = io.ReadAll(response.Body); err != nil {
		return a, plain("read body", err)
	}
	return a, nil
}

// roundTrip sends a request on a connection that takes it, and gives that and the answer's head.
func (c *http2) roundTrip(ctx context.Context, a *answer, request func() *http.Request) (*http.ClientConn, *http.Response, error) {
	for {
		conn, err := c.reserve(ctx, a)
		if err != nil {
			return nil, nil, plain("connect", err)
		}
		// A ClientConn sends a request once, whatever comes of it. One that has been told to end since
		// it was reserved sends nothing.
		response, err := conn.RoundTrip(request())
		if err == nil {
			return conn, response, nil
		}
		if !strings.HasSuffix(err.Error(), unusable) {
			return nil, nil, plain("read head", err)
		}
	}
}

// reserve gives the connection with a stream that is free, a new one where the last was
// told to end.
func (c *http2) reserve(ctx context.Context, a *answer) (*http.ClientConn, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.conn != nil && c.conn.Reserve() == nil {
		return c.conn, nil
	}
	address := c.options.url
	conn, err := c.transport.NewClientConn(ctx, address.Scheme, target(address.Scheme, address.Hostname(), address.Port()))
	if err != nil {
		return nil, err
	}
	if err := conn.Reserve(); err != nil {
		return nil, err
	}
	a.opened++
	c.conn = conn
	return conn, nil
}

func (c *http2) close() {} // others may still use it; it ends with the process
