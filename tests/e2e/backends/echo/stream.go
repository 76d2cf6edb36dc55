package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/coder/websocket"
)

// stream answers what isn't answered with an account; false where nothing else is asked for.
func stream(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
		echoCall(w, r)
	case r.Header.Get("Upgrade") == "websocket":
		echoSocket(w, r)
	case r.URL.Query().Has("bytes"):
		fill(w, r.URL.Query().Get("bytes"))
	default:
		return false
	}
	return true
}

// echoCall answers each message of a call by itself, at once, whichever service and method it is for.
func echoCall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.WriteHeader(http.StatusOK)
	status := "0"
	// To a message's end, whose prefix comes back with it.
	if err := copyAtOnce(w, r.Body); err != nil {
		status = "13"
	}
	w.Header().Set("Grpc-Status", status)
}

func copyAtOnce(w http.ResponseWriter, from io.Reader) error {
	to := http.NewResponseController(w)
	buffer := make([]byte, 16<<10)
	for {
		if err := to.Flush(); err != nil {
			return err
		}
		count, err := from.Read(buffer)
		if _, err := w.Write(buffer[:count]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// echoSocket sends each message back.
func echoSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // it has answered
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		if err := conn.Write(context.Background(), kind, message); err != nil {
			return
		}
	}
}

// fill answers with so many bytes.
func fill(w http.ResponseWriter, count string) {
	length, err := strconv.ParseInt(count, 10, 64)
	if err != nil || length < 0 {
		http.Error(w, fmt.Sprintf("bytes=%s: need a count", count), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Length", count)
	io.CopyN(w, zeros{}, length)
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(into []byte) (int, error) {
	clear(into)
	return len(into), nil
}
