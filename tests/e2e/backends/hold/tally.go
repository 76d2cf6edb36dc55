package main

import (
	"math/bits"
	"sync"
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
	ClosedIdle int   `json:"closed_idle"`
	SlowestMS  int64 `json:"slowest_ms"`
	// How many took so long, in microseconds rounded up by at most a sixteenth: from when the request
	// was due, so that one that had to wait for the one before it counts as slow, too.
	LatencyUS map[int64]int `json:"latency_us"`
	Seconds   float64       `json:"seconds"`
	Failures  []failure     `json:"failures,omitempty"`
}

// failure is one request that failed: when it was sent, and how long it took.
type failure struct {
	At     time.Time `json:"at"`
	TookMS int64     `json:"took_ms"`
	Kind   string    `json:"kind"`
}

func newTally() *tally {
	return &tally{Status: map[int]int{}, Errors: map[string]int{}, Pods: map[string]int{}, LatencyUS: map[int64]int{}}
}

// fail adds a request that got no complete answer, or one that isn't wanted.
func (t *tally) fail(kind string, at time.Time, took time.Duration) {
	t.Failed++
	if len(t.Failures) < toldFailures {
		t.Failures = append(t.Failures, failure{At: at, TookMS: took.Milliseconds(), Kind: kind})
	}
}

// add takes one request in.
func (t *tally) add(o outcome) {
	took := o.ended.Sub(o.started)
	t.Requests++
	if o.asked {
		t.Asked++
	}
	t.SlowestMS = max(t.SlowestMS, took.Milliseconds())
	t.LatencyUS[rounded(o.ended.Sub(o.due).Microseconds())]++
	t.Connections += o.answer.opened
	t.ClosedIdle += o.answer.closedIdle
	if o.err != nil {
		t.Errors[o.err.Error()]++
	} else {
		t.Status[o.answer.status]++
	}
	if o.pod != "" {
		t.Pods[o.pod]++
	}
	if o.complaint != "" {
		t.fail(o.complaint, o.started, took)
	}
}

// rounded keeps the first five bits.
func rounded(number int64) int64 {
	shift := max(bits.Len64(uint64(max(number, 0)))-5, 0)
	return (number + 1<<shift - 1) >> shift << shift
}

// ledger is what all requesters write into. Its tally can be taken out at any time.
type ledger struct {
	mutex   sync.Mutex
	current *tally
	since   time.Time
}

func newLedger() *ledger { return &ledger{current: newTally(), since: time.Now()} }

func (l *ledger) add(o outcome) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.current.add(o)
}

// take gives what has ended since it was last asked, and begins anew.
func (l *ledger) take() *tally {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	taken := l.current
	taken.Seconds = time.Since(l.since).Seconds()
	l.current, l.since = newTally(), time.Now()
	return taken
}
