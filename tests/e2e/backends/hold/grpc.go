package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"time"
)

// A message of gRPC begins with its length, and whether it is compressed.
const prefixLength = 5

// frame gives a message as gRPC sends it: a number, which the other side sends back.
func frame(number uint64) []byte {
	framed := make([]byte, prefixLength+8)
	binary.BigEndian.PutUint32(framed[1:], 8)
	binary.BigEndian.PutUint64(framed[prefixLength:], number)
	return framed
}

// readFrame reads the next message, which must be this one.
func readFrame(from io.Reader, number uint64) error {
	read := make([]byte, prefixLength+8)
	if _, err := io.ReadFull(from, read); err != nil {
		return plain("read message", err)
	}
	if !bytes.Equal(read, frame(number)) {
		return fmt.Errorf("another message than the one that was sent")
	}
	return nil
}

// readEnd reads to the end of an answer, which must have no more messages and the status OK.
func readEnd(response *http.Response) error {
	rest, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return plain("read trailers", err)
	case len(rest) > 0:
		return fmt.Errorf("%d bytes that nobody has asked for", len(rest))
	}
	return grpcStatus(response.Trailer)
}

// grpcStatus complains unless the status is OK.
func grpcStatus(fields http.Header) error {
	if status := fields.Get("Grpc-Status"); status != "0" {
		return fmt.Errorf("grpc-status %q: %.120s", status, fields.Get("Grpc-Message"))
	}
	return nil
}

// called says whether an answer is that of a call: its body follows, and a status after that.
func called(response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d instead of a call's", response.StatusCode)
	}
	if response.Header.Get("Grpc-Status") != "" {
		return grpcStatus(response.Header)
	}
	return nil
}

func grpcRequest(ctx context.Context, options *options, body io.ReadCloser) *http.Request {
	request := newRequest(options, ctx)
	request.Method, request.Body, request.ContentLength = http.MethodPost, body, -1
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	return request
}

// unary makes calls of one message each way.
type unary struct{ *http2 }

func (c *unary) exchange(deadline time.Time) (answer, error) {
	var a answer
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	_, response, err := c.roundTrip(ctx, &a, func() *http.Request {
		return grpcRequest(ctx, c.options, io.NopCloser(bytes.NewReader(frame(1))))
	})
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.status = response.StatusCode
	if err := called(response); err != nil {
		return a, err
	}
	if err := readFrame(response.Body, 1); err != nil {
		return a, err
	}
	return a, readEnd(response)
}

// stream has one call open, and sends a message and waits for it to come back. It ends the call,
// and expects the status OK, when the call is old enough or its connection was told to end.
type stream struct {
	*http2
	open *call
}

// call is one that goes on.
type call struct {
	conn     *http.ClientConn
	response *http.Response
	sending  *io.PipeWriter
	cancel   context.CancelFunc
	until    time.Time
	sent     uint64
}

func (s *stream) exchange(deadline time.Time) (answer, error) {
	a := answer{status: http.StatusOK}
	if s.open != nil && (time.Now().After(s.open.until) || s.open.conn.Available() == 0) {
		if err := s.end(deadline); err != nil {
			return a, err
		}
	}
	if s.open == nil {
		if err := s.begin(deadline, &a); err != nil {
			return a, err
		}
	}
	timer := time.AfterFunc(time.Until(deadline), s.open.cancel)
	defer timer.Stop()
	if err := s.open.echo(); err != nil {
		s.forget()
		return a, err
	}
	return a, nil
}

func (s *stream) begin(deadline time.Time, a *answer) error {
	ctx, cancel := context.WithCancel(context.Background())
	timer := time.AfterFunc(time.Until(deadline), cancel)
	defer timer.Stop()
	var writer *io.PipeWriter
	conn, response, err := s.roundTrip(ctx, a, func() *http.Request {
		var reader *io.PipeReader
		reader, writer = io.Pipe()
		return grpcRequest(ctx, s.options, reader)
	})
	if err != nil {
		cancel()
		return err
	}
	s.open = &call{conn: conn, response: response, sending: writer, cancel: cancel, until: time.Now().Add(s.options.lifetime)}
	if err := called(response); err != nil {
		s.forget()
		return err
	}
	return nil
}

func (c *call) echo() error {
	c.sent++
	if _, err := c.sending.Write(frame(c.sent)); err != nil {
		return plain("write message", err)
	}
	return readFrame(c.response.Body, c.sent)
}

// end says that nothing more is sent, and waits for the status.
func (s *stream) end(deadline time.Time) error {
	defer s.forget()
	timer := time.AfterFunc(time.Until(deadline), s.open.cancel)
	defer timer.Stop()
	s.open.sending.Close()
	return readEnd(s.open.response)
}

func (s *stream) forget() {
	s.open.cancel()
	s.open.sending.Close()
	s.open.response.Body.Close()
	s.open = nil
}

func (s *stream) close() {
	if s.open != nil {
		s.forget()
	}
}
