// tfserving-standin stands in for a model server in tests. It has no model: it
// takes what TensorFlow Serving's HTTP interface takes, instances to predict
// from, and gives one made-up prediction for each. Whatever else it is asked, it
// answers with 404 and what it got, so that a wrong rewrite shows at once.
package main

import (
	"encoding/json"
	"flag"
	"net/http"
	"time"

	"backends/internal/server"
)

const predictPath = "/model/test/:predict"

func main() {
	addr := flag.String("addr", ":8000", "address to listen on")
	drain := flag.Duration("drain", 5*time.Second, "how long to serve on after SIGTERM")
	flag.Parse()
	server.Run(*addr, *drain, nil, http.HandlerFunc(handle))
}

func handle(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != predictPath {
		answer(w, http.StatusNotFound, map[string]any{
			"error":  "only POST " + predictPath + " is known here",
			"method": r.Method,
			"host":   r.Host,
			"url":    r.RequestURI,
		})
		return
	}
	var request struct {
		Instances []json.RawMessage `json:"instances"`
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": "body: " + err.Error()})
		return
	}
	predictions := make([]int, len(request.Instances))
	for i := range predictions {
		predictions[i] = i
	}
	answer(w, http.StatusOK, map[string]any{"predictions": predictions})
}

func answer(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}
