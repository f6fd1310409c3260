package load_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ideaegg/latchkey/bench/load"
)

// serve starts a server and returns its host:port.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func run(t *testing.T, p load.Plan) load.Result {
	t.Helper()
	result, err := load.Run(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func TestClosedLoopAsksWithEveryValueInTurn(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen[r.Method+" "+r.URL.Path+" "+r.Header.Get("Private-Token")+" "+string(body)]++
		fmt.Fprint(w, "{}")
	})
	got := run(t, load.Plan{
		Address: address, Method: "POST", Path: "/sign/{value}", Header: map[string]string{"private-token": "t-{value}"},
		Body: `{"login":"{value}"}`, Values: []string{"a", "bcd", "e"}, Once: true, Connections: 2, Duration: 5 * time.Second,
	})
	if got.Fault() != "" || got.Statuses[200] != 3 || got.Good.Count != 3 {
		t.Errorf("got %+v, want three answers with 200", got)
	}
	for _, v := range []string{"a", "bcd", "e"} {
		if key := fmt.Sprintf(`POST /sign/%s t-%s {"login":"%s"}`, v, v, v); seen[key] != 1 {
			t.Errorf("got %d requests %s, want 1", seen[key], key)
		}
	}
}

func TestAnswersOfEveryFormAreRead(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) % 5 {
		case 0:
			w.WriteHeader(http.StatusNoContent)
		case 1: // in chunks
			for range 5 {
				fmt.Fprint(w, strings.Repeat("x", 3000))
				w.(http.Flusher).Flush()
			}
		case 2:
			w.Header().Set("Connection", "close")
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, "busy")
		default:
			fmt.Fprint(w, strings.Repeat("y", 20000))
		}
	})
	got := run(t, load.Plan{
		Address: address, Method: "GET", Path: "/", Values: make([]string, 50), Once: true,
		Connections: 1, Duration: 20 * time.Second, Expect: []int{200, 204, 503},
	})
	if got.Fault() != "" || got.Statuses[200] != 30 || got.Statuses[204] != 10 || got.Statuses[503] != 10 {
		t.Errorf("got %+v, want 30, 10 and 10 answers", got)
	}
	if got.Good.Count != 40 || got.Refused.Count != 10 {
		t.Errorf("got %d good and %d refused, want 40 and 10", got.Good.Count, got.Refused.Count)
	}
}

func TestUnexpectedAnswersAndBrokenConnectionsAreShown(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	address := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 2 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "short and stout")
	})
	got := run(t, load.Plan{Address: address, Method: "GET", Path: "/", Values: make([]string, 3), Once: true, Connections: 1, Duration: 5 * time.Second})
	if got.Unexpected != 2 || got.FirstUnexpected != "418 short and stout" || got.Broken != 1 {
		t.Errorf("got %+v, want two unexpected answers and a broken connection", got)
	}
	if want := "2 unexpected answers, the first: 418 short and stout"; got.Fault() != want {
		t.Errorf("got %q, want %q", got.Fault(), want)
	}
}

// TestOpenLoopCountsTheWaitOfUnsentRequests: a server that stops for a while delays those too that should have been asked
// meanwhile. Whoever measures only from sending to answer sees one slow request.
func TestOpenLoopCountsTheWaitOfUnsentRequests(t *testing.T) {
	t.Parallel()
	const stall = time.Second
	var n atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {
		if n.Add(1) == 20 {
			time.Sleep(stall)
		}
	})
	got := run(t, load.Plan{Address: address, Method: "GET", Path: "/", Connections: 1, Rate: 100, Duration: 2 * time.Second})
	if got.Fault() != "" || got.Good.Count != 200 {
		t.Fatalf("got %+v, want 200 answers", got)
	}
	if got.Good.Max < stall {
		t.Errorf("got %v at most, want %v", got.Good.Max, stall)
	}
	if least := stall * 3 / 4; got.Good.P90 < least { // half of the requests were due while it slept
		t.Errorf("got p90 %v, want more than %v", got.Good.P90, least)
	}
}

func TestOpenLoopKeepsToItsRate(t *testing.T) {
	t.Parallel()
	var first, last atomic.Int64
	address := serve(t, func(http.ResponseWriter, *http.Request) {
		now := time.Now().UnixNano()
		first.CompareAndSwap(0, now)
		last.Store(now)
	})
	got := run(t, load.Plan{Address: address, Method: "GET", Path: "/", Connections: 4, Rate: 200, WarmUp: 200 * time.Millisecond, Duration: time.Second})
	if got.Statuses[200] != 240 || got.Late.Count != 240 {
		t.Errorf("got %d answers and %d times, want 240", got.Statuses[200], got.Late.Count)
	}
	if got.Good.Count != 200 {
		t.Errorf("got %d that count, want the 200 behind the warm-up", got.Good.Count)
	}
	if took := time.Duration(last.Load() - first.Load()); took < 1100*time.Millisecond {
		t.Errorf("got all in %v, want them spread over 1.2s", took)
	}
}

func TestPlansThatSayNothingAreRefused(t *testing.T) {
	t.Parallel()
	good := load.Plan{Address: "127.0.0.1:1", Method: "GET", Path: "/", Connections: 1, Duration: time.Second}
	for name, change := range map[string]func(*load.Plan){
		"no address":     func(p *load.Plan) { p.Address = "" },
		"no connections": func(p *load.Plan) { p.Connections = 0 },
		"no duration":    func(p *load.Plan) { p.Duration = 0 },
		"no values":      func(p *load.Plan) { p.Once = true },
		"nobody listens": func(*load.Plan) {},
	} {
		p := good
		change(&p)
		if _, err := load.Run(t.Context(), p); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}
