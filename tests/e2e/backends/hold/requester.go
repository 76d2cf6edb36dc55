package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Keeps a server that refuses connections from being asked without end.
const afterFailure = 10 * time.Millisecond

// exchanger makes one request at a time on a connection that it keeps.
type exchanger interface {
	exchange(deadline time.Time) (answer, error)
	close()
}

// answer is a complete one, and what it took.
type answer struct {
	status int
	body   []byte
	// Connections that were opened for it.
	opened int
	// Connections that had been closed while nothing was on its way.
	closedIdle int
}

// requester makes one request after the other.
type requester struct {
	exchanger exchanger
	timeout   time.Duration
	tally     *tally
}

// run goes on until stop, and until it has made `least` requests.
func (r *requester) run(stop context.Context, interval time.Duration, least int) {
	defer r.exchanger.close()
	next := time.Now()
	for stop.Err() == nil || r.tally.Requests < least {
		if stop.Err() == nil {
			r.tally.Asked++
		}
		if !r.once() {
			pause(afterFailure)
		}
		next = next.Add(interval)
		pause(time.Until(next))
	}
}

func pause(length time.Duration) {
	if length > 0 {
		time.Sleep(length)
	}
}

// once makes one request, counts it and says whether it went well.
func (r *requester) once() bool {
	r.tally.Requests++
	started := time.Now()
	answer, err := r.exchanger.exchange(started.Add(r.timeout))
	took := time.Since(started)
	r.tally.SlowestMS = max(r.tally.SlowestMS, took.Milliseconds())
	r.tally.Connections += answer.opened
	r.tally.ClosedIdle += answer.closedIdle
	if err != nil {
		r.tally.fail(err.Error(), started, took)
		r.tally.Errors[err.Error()]++
		return false
	}
	r.tally.Status[answer.status]++
	var echo struct{ Pod string }
	if json.Unmarshal(answer.body, &echo) == nil && echo.Pod != "" {
		r.tally.Pods[echo.Pod]++
	}
	if answer.status < 200 || answer.status > 299 {
		r.tally.fail(fmt.Sprintf("status %d: %.120s", answer.status, answer.body), started, took)
		return false
	}
	return true
}

// newRequest is the one that is made all the time.
func newRequest(options *options, ctx context.Context) *http.Request {
	request := &http.Request{
		Method: http.MethodGet, URL: options.url, Host: options.host, Header: options.header.Clone(),
	}
	if options.upload > 0 {
		request.Method = http.MethodPost
		request.ContentLength = uploadPieces
		request.Body = io.NopCloser(&slowBody{pause: options.upload / uploadPieces, left: uploadPieces})
	}
	return request.WithContext(ctx)
}

const uploadPieces = 20

// slowBody gives a byte, and then waits.
type slowBody struct {
	pause time.Duration
	left  int
}

func (b *slowBody) Read(into []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	pause(b.pause)
	b.left--
	into[0] = 'x'
	return 1, nil
}

// plain leaves addresses out of an error, so that equal ones are counted together.
func plain(during string, err error) error {
	var operation *net.OpError
	if errors.As(err, &operation) {
		err = operation.Err
	}
	return errors.New(during + ": " + err.Error())
}
