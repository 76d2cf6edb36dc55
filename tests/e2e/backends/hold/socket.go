package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// socket has one WebSocket open, and sends a message and waits for it to come back.
type socket struct {
	options *options
	conn    *websocket.Conn
	until   time.Time
	sent    int
}

func (s *socket) exchange(deadline time.Time) (answer, error) {
	a := answer{status: http.StatusSwitchingProtocols}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if s.conn != nil && time.Now().After(s.until) {
		conn := s.conn
		s.conn = nil
		// Nothing is on its way; that the other side is slow to confirm it, within the library's own five
		// seconds, loses nothing.
		if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return a, plain("close", err)
		}
	}
	if s.conn == nil {
		if err := s.connect(ctx, &a); err != nil {
			return a, err
		}
	}
	if err := s.echo(ctx); err != nil {
		s.close()
		return a, err
	}
	a.status = http.StatusOK // of the message
	return a, nil
}

func (s *socket) connect(ctx context.Context, a *answer) error {
	// One connection each: a request on one that was used before might be sent again.
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: tlsConfig(s.options)}
	conn, response, err := websocket.Dial(ctx, s.options.url.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: s.options.header, Host: s.options.host,
	})
	if response != nil {
		a.status = response.StatusCode
	}
	if err != nil {
		return plain("connect", err)
	}
	a.opened++
	s.conn, s.until, s.sent = conn, time.Now().Add(s.options.lifetime), 0
	return nil
}

func (s *socket) echo(ctx context.Context) error {
	s.sent++
	message := strconv.Itoa(s.sent)
	if err := s.conn.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
		return plain("write message", err)
	}
	_, read, err := s.conn.Read(ctx)
	if err != nil {
		return plain("read message", err)
	}
	if string(read) != message {
		return errors.New("another message than the one that was sent")
	}
	return nil
}

func (s *socket) close() {
	if s.conn != nil {
		s.conn.CloseNow()
		s.conn = nil
	}
}
