package main

import "maps"

// tally counts requests. A request that was on its way when the time was up is
// finished and counted like the others.
type tally struct {
	Requests int `json:"requests"`
	// No complete answer, or one with another status than 2xx.
	Failed      int            `json:"failed"`
	Status      map[int]int    `json:"status"`
	Errors      map[string]int `json:"errors"`
	Pods        map[string]int `json:"pods"`
	Connections int            `json:"connections"`
	SlowestMS   int64          `json:"slowest_ms"`
	Seconds     float64        `json:"seconds"`
}

func newTally() *tally {
	return &tally{Status: map[int]int{}, Errors: map[string]int{}, Pods: map[string]int{}}
}

func (t *tally) add(other *tally) {
	t.Requests += other.Requests
	t.Failed += other.Failed
	t.Connections += other.Connections
	t.SlowestMS = max(t.SlowestMS, other.SlowestMS)
	addAll(t.Status, other.Status)
	addAll(t.Errors, other.Errors)
	addAll(t.Pods, other.Pods)
}

func addAll[K comparable](to, from map[K]int) {
	for key, count := range maps.All(from) {
		to[key] += count
	}
}
