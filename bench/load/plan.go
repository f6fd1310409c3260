// Package load asks a server over and over and measures how it answers: as fast as a number of connections can ask
// (closed loop), or at a fixed rate (open loop). In an open loop the time of a request counts from the moment at which it
// was due, so that a server that makes its clients wait cannot hide the requests that they did not send meanwhile.
//
// It speaks just enough HTTP/1.1 to cost little beside the server that it measures.
package load

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Placeholder stands in a Plan's path, headers and body where one of its values goes.
const Placeholder = "{value}"

// A Plan says what to ask whom, how often and for how long.
type Plan struct {
	Address     string // host:port
	Method      string
	Path        string
	Header      map[string]string
	Body        string // JSON if not empty
	Values      []string
	Once        bool // each value is used once, and the run ends early when there are none left
	Connections int
	Rate        float64       // requests a second; 0: as many as the connections can
	WarmUp      time.Duration // asked as later, but not measured
	Duration    time.Duration // measured
	Expect      []int         // statuses; empty: 200
}

func (p Plan) check() error {
	switch {
	case p.Address == "" || p.Method == "" || p.Path == "":
		return errors.New("load: a plan needs Address, Method and Path")
	case p.Connections < 1:
		return errors.New("load: a plan needs Connections")
	case p.Duration <= 0 || p.WarmUp < 0 || p.Rate < 0:
		return errors.New("load: a plan needs a Duration, and nothing in it is negative")
	case p.Once && len(p.Values) == 0:
		return errors.New("load: values that are used once must be there")
	}
	return nil
}

// requests are the bytes of all requests, made before anything is measured: one for each value, or one.
func (p Plan) requests() [][]byte {
	if len(p.Values) == 0 {
		return [][]byte{p.request("")}
	}
	list := make([][]byte, len(p.Values))
	for i, value := range p.Values {
		list[i] = p.request(value)
	}
	return list
}

func (p Plan) request(value string) []byte {
	with := strings.NewReplacer(Placeholder, value)
	body := with.Replace(p.Body)
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n", p.Method, with.Replace(p.Path), p.Address)
	for name, text := range p.Header {
		b = fmt.Appendf(b, "%s: %s\r\n", http.CanonicalHeaderKey(name), with.Replace(text))
	}
	if body != "" {
		b = fmt.Appendf(b, "Content-Type: application/json\r\n")
	}
	if body != "" || p.Method != http.MethodGet {
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

func (p Plan) expected() map[int]bool {
	if len(p.Expect) == 0 {
		return map[int]bool{http.StatusOK: true}
	}
	m := make(map[int]bool, len(p.Expect))
	for _, status := range p.Expect {
		m[status] = true
	}
	return m
}
