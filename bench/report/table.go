package report

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for people: a line a row, with the spread of the rounds in brackets, and below it what the
// table has no place for.
func (r Report) WriteTable(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, files on %s, %s, %s, %s, commit %s, %s\n",
		m.CPU, m.Cores, cmp.Or(m.Memory, "unknown memory"), cmp.Or(m.Storage, "an unknown file system"), m.System, m.Go, m.Engine,
		cmp.Or(m.Commit, "unknown"), m.Date)
	if m.Busy != nil {
		fmt.Fprintf(w, "others used %.0f%% of the cores in the second before\n", 100**m.Busy)
	}
	fmt.Fprintf(w, "medians of %d rounds of %gs, in brackets the lowest and the highest\n", r.Settings.Rounds, r.Settings.Seconds)
	if m.Note != "" {
		fmt.Fprintln(w, m.Note)
	}
	fmt.Fprintln(w)

	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tours\tlimit\tratio\tgoal\tmet")
	for _, row := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", row.What, row.Ours.text(row.Unit), row.Limit.text(row.Unit), row.Ratio.text(""), row.goalText(), row.metText())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var notes []string
	for _, row := range r.Rows {
		note := row.Note
		for _, name := range slices.Sorted(maps.Keys(row.Details)) {
			if note != "" {
				note += ", "
			}
			note += name + " " + number(row.Details[name])
		}
		if note != "" {
			notes = append(notes, fmt.Sprintf("  %s: %s", row.Name, note))
		}
	}
	if len(notes) > 0 {
		fmt.Fprintf(w, "\n%s\n", strings.Join(notes, "\n"))
	}
	for _, fault := range r.Faults {
		fmt.Fprintln(w, "\nFAULT:", fault)
	}
	return nil
}

func (f *Figure) text(unit string) string {
	if f == nil {
		return "–"
	}
	text := number(f.Median)
	switch {
	case unit == "":
	case strings.HasPrefix(unit, "/"):
		text += unit
	default:
		text += " " + unit
	}
	if f.Least != f.Most {
		text += " (" + number(f.Least) + "–" + number(f.Most) + ")"
	}
	return text
}

func (r Row) goalText() string {
	if r.Goal == nil {
		return "–"
	}
	sign, value := "≥ ", r.Goal.AtLeast
	if value == 0 {
		sign, value = "≤ ", r.Goal.AtMost
	}
	switch {
	case r.Ratio != nil || r.Limit != nil:
		return sign + number(value)
	case strings.HasPrefix(r.Unit, "/"):
		return sign + number(value) + r.Unit
	}
	return sign + number(value) + " " + r.Unit
}

func (r Row) metText() string {
	met, ok := r.Met()
	switch {
	case !ok:
		return "–"
	case met:
		return "✓"
	}
	return "✗"
}

// number shows three digits or, of what is larger, all before the point, in groups.
func number(v float64) string {
	abs := math.Abs(v)
	decimals := 0
	switch {
	case abs == 0:
	case abs < 10:
		decimals = 2
	case abs < 100:
		decimals = 1
	}
	text := strconv.FormatFloat(v, 'f', decimals, 64)
	if abs < 10_000 {
		return text
	}
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
