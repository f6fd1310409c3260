// Package report is what a benchmark found: rows of figures beside their limits, as a table for people and as JSON, and
// what moved between two of them.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

// A Report is one run.
type Report struct {
	Machine  Machine  `json:"machine"`
	Settings Settings `json:"settings"`
	Rows     []Row    `json:"rows"`
	// Faults are answers that were not as expected, and requests without one.
	Faults []string `json:"faults,omitempty"`
}

// Machine says where and of what a run was made.
type Machine struct {
	Date    string `json:"date"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Memory  string `json:"memory,omitempty"`
	System  string `json:"system"`
	Go      string `json:"go"`
	Commit  string `json:"commit"`
	Engine  string `json:"engine"`
	Storage string `json:"storage,omitempty"`
	// Busy is the share of the cores that others used in the second before the run.
	Busy *float64 `json:"busy_before,omitempty"`
	Note string   `json:"note,omitempty"`
}

// Settings are what else the figures depend on.
type Settings struct {
	Rounds  int     `json:"rounds"`
	Seconds float64 `json:"seconds_a_round"`
	Users   int     `json:"users,omitempty"` // of a comparison of sizes
	Quick   bool    `json:"quick,omitempty"`
}

// A Row is one figure of ours, and where there is one the limit's beside it.
type Row struct {
	Name  string  `json:"name"` // short and stable; rows of two runs are compared by it
	What  string  `json:"what"`
	Unit  string  `json:"unit"`
	Ours  *Figure `json:"ours,omitempty"`
	Limit *Figure `json:"limit,omitempty"`
	Ratio *Figure `json:"ratio,omitempty"` // ours to the limit's, round by round
	Goal  *Goal   `json:"goal,omitempty"`
	Note  string  `json:"note,omitempty"`
	// Details are further figures of the same measurement, as medians.
	Details map[string]float64 `json:"details,omitempty"`
}

// Figure is the median of some rounds and their spread.
type Figure struct {
	Median float64   `json:"median"`
	Least  float64   `json:"least"`
	Most   float64   `json:"most"`
	Rounds []float64 `json:"rounds,omitempty"`
}

// Of returns the Figure of some rounds, nil for none.
func Of(rounds ...float64) *Figure {
	if len(rounds) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(rounds))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	f := &Figure{Median: median, Least: sorted[0], Most: sorted[len(sorted)-1]}
	if len(rounds) > 1 {
		f.Rounds = rounds
	}
	return f
}

// RatioOf returns what ours is of the limit, round by round, nil if there is no limit or a round of it is zero.
func RatioOf(ours, limit []float64) *Figure {
	var ratios []float64
	for i := range min(len(ours), len(limit)) {
		if limit[i] == 0 {
			return nil
		}
		ratios = append(ratios, ours[i]/limit[i])
	}
	return Of(ratios...)
}

// Goal is what a row's ratio, or if there is none our figure, should be.
type Goal struct {
	AtLeast float64 `json:"at_least,omitempty"`
	AtMost  float64 `json:"at_most,omitempty"`
}

// judged is the figure that the goal, and a comparison with another run, look at.
func (r Row) judged() *Figure {
	if r.Ratio != nil {
		return r.Ratio
	}
	return r.Ours
}

// Met says whether the median reaches the goal; ok is false if there is no goal or no figure.
func (r Row) Met() (met, ok bool) {
	f := r.judged()
	if r.Goal == nil || f == nil {
		return false, false
	}
	if r.Goal.AtLeast > 0 {
		return f.Median >= r.Goal.AtLeast, true
	}
	return f.Median <= r.Goal.AtMost, true
}

// Has says whether there is a row of that name.
func (r Report) Has(name string) bool {
	return slices.ContainsFunc(r.Rows, func(row Row) bool { return row.Name == name })
}

// WriteJSON writes the whole report.
func (r Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Read reads what WriteJSON wrote.
func Read(path string) (Report, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Report{}, err
	}
	var r Report
	if err := json.Unmarshal(b, &r); err != nil {
		return Report{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
