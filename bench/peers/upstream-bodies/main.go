// A server for bodies: a GET of a path that ends in /N is answered with N bytes; a POST is answered
// when its body has been read to its end, with how many bytes that were. It listens on the address
// of its first argument.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"strconv"
)

const largest = 64 << 20

func main() {
	if len(os.Args) != 2 || os.Args[1] == "--version" {
		fmt.Println("upstream-bodies 1.0.0")
		return
	}
	text := bytes.Repeat([]byte("....:....1"), largest/10+1)
	handler := func(answer http.ResponseWriter, request *http.Request) {
		if request.Method == http.MethodPost {
			count, err := io.Copy(io.Discard, request.Body)
			if err != nil {
				http.Error(answer, err.Error(), http.StatusBadRequest)
				return
			}
			fmt.Fprint(answer, count)
			return
		}
		size, err := strconv.Atoi(path.Base(request.URL.Path))
		if err != nil || size < 0 || size > largest {
			http.NotFound(answer, request)
			return
		}
		answer.Header().Set("content-type", "text/plain")
		answer.Header().Set("content-length", strconv.Itoa(size))
		answer.Write(text[:size])
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], http.HandlerFunc(handler)))
	os.Exit(1)
}
