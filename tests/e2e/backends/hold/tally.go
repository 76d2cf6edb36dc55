package main

import (
	"maps"
	"time"
)

// The failures that are told one by one; the others are only counted.
const toldFailures = 100

// tally counts requests. A request that was on its way when the time was up is
// finished and counted like the others.
type tally struct {
	Requests int `json:"requests"`
	// Those that were begun before it was told to stop.
	Asked int `json:"asked"`
	// No complete answer, or one with another status than 2xx.
	Failed      int            `json:"failed"`
	Status      map[int]int    `json:"status"`
	Errors      map[string]int `json:"errors"`
	Pods        map[string]int `json:"pods"`
	Connections int            `json:"connections"`
	// Connections that the server closed while no request was on its way.
	ClosedIdle int       `json:"closed_idle"`
	SlowestMS  int64     `json:"slowest_ms"`
	Seconds    float64   `json:"seconds"`
	Failures   []failure `json:"failures,omitempty"`
}

// failure is one request that failed: when it was sent, and how long it took.
type failure struct {
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Kind   string    `json:"kind"`
}

func newTally() *tally {
	return &tally{Status: map[int]int{}, Errors: map[string]int{}, Pods: map[string]int{}}
}

func (t *tally) fail(kind string, at time.Time, took time.Duration) {
	t.Failed++
	if len(t.Failures) < toldFailures {
		t.Failures = append(t.Failures, failure{At: at, TookMS: took.Milliseconds(), Kind: kind})
	}
}

func (t *tally) add(other *tally) {
	t.Requests += other.Requests
	t.Asked += other.Asked
	t.Failed += other.Failed
	t.Connections += other.Connections
	t.ClosedIdle += other.ClosedIdle
	t.SlowestMS = max(t.SlowestMS, other.SlowestMS)
	t.Failures = append(t.Failures, other.Failures...)
	addAll(t.Status, other.Status)
	addAll(t.Errors, other.Errors)
	addAll(t.Pods, other.Pods)
}

func addAll[K comparable](to, from map[K]int) {
	for key, count := range maps.All(from) {
		to[key] += count
	}
}
