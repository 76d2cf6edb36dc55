package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"time"
)

// Keeps a server that refuses connections from being asked without end.
const afterFailure = 10 * time.Millisecond

// client has one connection at most, and at most one request on it.
type client struct {
	request *http.Request
	timeout time.Duration
	tally   *tally

	conn   net.Conn
	reader *bufio.Reader
}

func (c *client) run(ctx context.Context, interval time.Duration) {
	defer c.disconnect()
	next := time.Now()
	for ctx.Err() == nil {
		started := time.Now()
		if !c.once() {
			pause(ctx, afterFailure)
		}
		c.tally.SlowestMS = max(c.tally.SlowestMS, time.Since(started).Milliseconds())
		next = next.Add(interval)
		pause(ctx, time.Until(next))
	}
}

func pause(ctx context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}

// once makes one request, counts it and says whether it went well.
func (c *client) once() bool {
	c.tally.Requests++
	response, body, err := c.exchange()
	if err != nil {
		c.disconnect()
		c.tally.Failed++
		c.tally.Errors[err.Error()]++
		return false
	}
	if response.Close {
		c.disconnect()
	}
	c.tally.Status[response.StatusCode]++
	var echo struct{ Pod string }
	if json.Unmarshal(body, &echo) == nil && echo.Pod != "" {
		c.tally.Pods[echo.Pod]++
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		c.tally.Failed++
		return false
	}
	return true
}

func (c *client) exchange() (*http.Response, []byte, error) {
	deadline := time.Now().Add(c.timeout)
	if c.conn == nil {
		if err := c.connect(deadline); err != nil {
			return nil, nil, plain("connect", err)
		}
	}
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, nil, plain("connection", err)
	}
	if err := c.request.Write(c.conn); err != nil {
		return nil, nil, plain("write", err)
	}
	response, err := http.ReadResponse(c.reader, c.request)
	if err != nil {
		return nil, nil, plain("read head", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, nil, plain("read body", err)
	}
	return response, body, nil
}

func (c *client) connect(deadline time.Time) error {
	address := c.request.URL
	port := address.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[address.Scheme]
	}
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("tcp", net.JoinHostPort(address.Hostname(), port))
	if err != nil {
		return err
	}
	if address.Scheme == "https" {
		name := address.Hostname()
		if c.request.Host != "" {
			name = c.request.Host
		}
		// Whom it talks to is not what it measures.
		conn = tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	}
	c.tally.Connections++
	c.conn, c.reader = conn, bufio.NewReader(conn)
	return nil
}

func (c *client) disconnect() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// plain leaves addresses out of an error, so that equal ones are counted together.
func plain(during string, err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	return errors.New(during + ": " + err.Error())
}
