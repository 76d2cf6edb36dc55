package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// http1 speaks HTTP/1.1 by itself and not by way of net/http's Transport, which would
// send a failed request again without saying so.
type http1 struct {
	options *options

	conn   net.Conn
	reader *bufio.Reader
}

func (c *http1) exchange(deadline time.Time) (answer, error) {
	var a answer
	if c.conn != nil && isClosed(c.conn) {
		a.closedIdle++
		c.close()
	}
	if c.conn == nil {
		if err := c.connect(deadline); err != nil {
			return a, plain("connect", err)
		}
		a.opened++
	}
	response, err := c.send(deadline, &a)
	if err != nil || response.Close || c.options.each {
		c.close()
	}
	return a, err
}

func (c *http1) send(deadline time.Time, a *answer) (*http.Response, error) {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, plain("connection", err)
	}
	request := newRequest(c.options, context.Background())
	request.Close = c.options.each
	if err := request.Write(c.conn); err != nil {
		return nil, plain("write", err)
	}
	response, err := http.ReadResponse(c.reader, request)
	if err != nil {
		return nil, plain("read head", err)
	}
	a.status = response.StatusCode
	if c.options.download > 0 {
		err = readSlowly(response, c.options.download)
	} else {
		a.body, err = io.ReadAll(response.Body)
	}
	if err != nil {
		return nil, plain("read body", err)
	}
	return response, nil
}

const downloadPieces = 20

// readSlowly reads a body whose length is known in as many pieces, and waits after each.
func readSlowly(response *http.Response, length time.Duration) error {
	piece := response.ContentLength/downloadPieces + 1
	for {
		switch _, err := io.CopyN(io.Discard, response.Body, piece); err {
		case nil:
			pause(length / downloadPieces)
		case io.EOF:
			return nil
		default:
			return err
		}
	}
}

// The first byte of a record by which TLS tells that it ends, or what is wrong.
const tlsAlert = 21

// isClosed says whether the server has ended the connection, as every client can know
// that reads while it has nothing to send.
func isClosed(conn net.Conn) bool {
	secure, isTLS := conn.(*tls.Conn)
	if isTLS {
		conn = secure.NetConn()
	}
	tcp, is := conn.(*net.TCPConn)
	if !is {
		return false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return true
	}
	closed, next := false, make([]byte, 1)
	err = raw.Control(func(fd uintptr) {
		count, _, err := syscall.Recvfrom(int(fd), next, syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		// TLS sends tickets, too, for which nobody has asked.
		isTicket := isTLS && count > 0 && next[0] != tlsAlert
		closed = count <= 0 && err != syscall.EAGAIN || count > 0 && !isTicket
	})
	return closed || err != nil
}

func (c *http1) connect(deadline time.Time) error {
	address := c.options.url
	dialer := net.Dialer{Deadline: deadline}
	conn, err := dialer.Dial("tcp", target(address.Scheme, address.Hostname(), address.Port()))
	if err != nil {
		return err
	}
	if tcp, is := conn.(*net.TCPConn); is && c.options.download > 0 {
		// Otherwise it is the kernel that reads, and fast.
		if err := tcp.SetReadBuffer(16 << 10); err != nil {
			return err
		}
	}
	if address.Scheme == "https" {
		conn = tls.Client(conn, tlsConfig(c.options))
	}
	c.conn, c.reader = conn, bufio.NewReader(conn)
	return nil
}

// tlsConfig verifies nothing: whom it talks to is not what it measures.
func tlsConfig(options *options) *tls.Config {
	name := options.url.Hostname()
	if options.host != "" {
		name = options.host
	}
	return &tls.Config{ServerName: name, InsecureSkipVerify: true, ClientSessionCache: options.sessions}
}

func target(scheme, host, port string) string {
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return net.JoinHostPort(host, port)
}

func (c *http1) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}
