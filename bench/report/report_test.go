package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ideaegg/latchkey/bench/report"
)

var update = flag.Bool("update", false, "write the golden files anew")

func example() report.Report {
	busy := 0.25
	checks, bare := []float64{30_000, 34_000, 32_500}, []float64{40_000, 40_000, 50_000}
	return report.Report{
		Machine: report.Machine{
			Date: "2026-02-03", CPU: "Abacus 3000", Cores: 2, System: "linux/amd64", Go: "go1.26.8",
			Commit: "0123abc", Engine: "SQLite", Busy: &busy, Note: "The machine was shared.",
		},
		Settings: report.Settings{Rounds: 3, Seconds: 2},
		Rows: []report.Row{
			{
				Name: "user", What: "GET /user, 64 connections", Unit: "/s", Ours: report.Of(checks...), Limit: report.Of(bare...),
				Ratio: report.RatioOf(checks, bare), Goal: &report.Goal{AtLeast: .7}, Details: map[string]float64{"p50 ms": 1.234, "p99 ms": 56.78},
			},
			{Name: "verify", What: "GET /verify", Unit: "/s", Limit: report.Of(40_000), Goal: &report.Goal{AtLeast: .85}, Note: "not there yet"},
			{Name: "start", What: "start to first 200", Unit: "ms", Ours: report.Of(31.2), Goal: &report.Goal{AtMost: 20}},
			{Name: "memory", What: "resident memory", Unit: "MiB", Ours: report.Of(123.4)},
		},
		Faults: []string{"user: 1 unexpected answers, the first: 500 internal"},
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); -update writes it anew:\n%s", path, diff)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := example().WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.golden", b.Bytes())
}

func TestJSONIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := example().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.golden.json", b.Bytes())
	got, err := report.Read(filepath.Join("testdata", "report.golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(example(), got); diff != "" {
		t.Errorf("got another report back (-want +got):\n%s", diff)
	}
}

func TestMedianOfRounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rounds []float64
		want   *report.Figure
	}{
		{nil, nil},
		{[]float64{3}, &report.Figure{Median: 3, Least: 3, Most: 3}},
		{[]float64{5, 1, 3}, &report.Figure{Median: 3, Least: 1, Most: 5, Rounds: []float64{5, 1, 3}}},
		{[]float64{4, 1, 3, 2}, &report.Figure{Median: 2.5, Least: 1, Most: 4, Rounds: []float64{4, 1, 3, 2}}},
	} {
		if diff := cmp.Diff(c.want, report.Of(c.rounds...)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", c.rounds, diff)
		}
	}
	if got := report.RatioOf([]float64{1, 2}, []float64{2, 0}); got != nil {
		t.Errorf("got %v of a limit that is zero, want nothing", got)
	}
}

func TestComparisonShowsWhatMovedBeyondTheSpread(t *testing.T) {
	t.Parallel()
	row := func(name string, goal *report.Goal, ratios ...float64) report.Row {
		return report.Row{Name: name, Unit: "/s", Ratio: report.Of(ratios...), Ours: report.Of(1), Goal: goal}
	}
	atLeast, atMost := &report.Goal{AtLeast: .8}, &report.Goal{AtMost: 1.5}
	old := report.Report{
		Machine: report.Machine{Commit: "old", Engine: "SQLite"},
		Rows: []report.Row{
			row("slower", atLeast, .81, .82, .83),
			row("faster", atLeast, .7, .71, .72),
			row("within the spread", atLeast, .7, .8, .9),
			row("longer", atMost, 1.1, 1.2),
			row("only before", nil, 1, 2),
			{Name: "never measured"},
			{Name: "appears"},
			{Name: "size", Unit: "MB", Ours: report.Of(20)},
			{Name: "about the same size", Unit: "MB", Ours: report.Of(20)},
		},
	}
	new := report.Report{
		Machine: report.Machine{Commit: "new", Engine: "PostgreSQL"},
		Rows: []report.Row{
			row("slower", atLeast, .7, .71, .72),
			row("faster", atLeast, .81, .82, .83),
			row("within the spread", atLeast, .6, .65, .72),
			row("longer", atMost, 1.3, 1.4),
			{Name: "never measured"},
			row("appears", nil, 1),
			row("only now", nil, 1),
			{Name: "size", Unit: "MB", Ours: report.Of(30)},
			{Name: "about the same size", Unit: "MB", Ours: report.Of(20.5)},
		},
	}
	var b bytes.Buffer
	report.Compare(&b, old, new)
	golden(t, "compare.golden", b.Bytes())

	b.Reset()
	report.Compare(&b, old, old)
	golden(t, "compare_same.golden", b.Bytes())
}
