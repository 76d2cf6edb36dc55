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

// outcome is what became of one request.
type outcome struct {
	// When it should have been sent, and when it was.
	due, started, ended time.Time
	// Whether it was begun before hold was told to stop.
	asked  bool
	answer answer
	err    error
	// The pod of an echo backend.
	pod string
	// Why it counts as failed; empty if it doesn't.
	complaint string
}

// requester makes one request after the other.
type requester struct {
	exchanger exchanger
	timeout   time.Duration
	ledger    *ledger
}

// run goes on until stop, and until it has made `least` requests. The first is made at `due`.
func (r *requester) run(stop context.Context, due time.Time, interval time.Duration, least int) {
	defer r.exchanger.close()
	for made := 0; ; made++ {
		if made < least {
			pause(time.Until(due))
		} else if pauseUnless(stop, time.Until(due)); stop.Err() != nil {
			return
		}
		if interval == 0 {
			due = time.Now()
		}
		o := r.once(due, stop.Err() == nil)
		r.ledger.add(o)
		if o.complaint != "" {
			pause(afterFailure)
		}
		due = due.Add(interval)
	}
}

func pause(length time.Duration) {
	if length > 0 {
		time.Sleep(length)
	}
}

// pauseUnless ends at once when it is to stop.
func pauseUnless(stop context.Context, length time.Duration) {
	if length <= 0 {
		return
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop.Done():
	}
}

// once makes one request and says what became of it.
func (r *requester) once(due time.Time, asked bool) outcome {
	o := outcome{due: due, started: time.Now(), asked: asked}
	o.answer, o.err = r.exchanger.exchange(o.started.Add(r.timeout))
	o.ended = time.Now()
	if o.err != nil {
		o.complaint = o.err.Error()
		return o
	}
	var echo struct{ Pod string }
	if json.Unmarshal(o.answer.body, &echo) == nil {
		o.pod = echo.Pod
	}
	if o.answer.status < 200 || o.answer.status > 299 {
		o.complaint = fmt.Sprintf("status %d: %.120s", o.answer.status, o.answer.body)
	}
	return o
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
