package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Compare writes what moved from old to new: rows whose rounds, all of them, lie beyond all those of the other run, and
// rows that are only in one of the two. Of a single figure a tenth counts as moved. It compares ratios where there are
// some, because machines and their other work differ.
func Compare(w io.Writer, old, new Report) {
	for _, d := range []struct{ what, old, new string }{
		{"engine", old.Machine.Engine, new.Machine.Engine},
		{"CPU", old.Machine.CPU, new.Machine.CPU},
		{"number of cores", fmt.Sprint(old.Machine.Cores), fmt.Sprint(new.Machine.Cores)},
		{"Go", old.Machine.Go, new.Machine.Go},
		{"number of users", fmt.Sprint(old.Settings.Users), fmt.Sprint(new.Settings.Users)},
	} {
		if d.old != d.new {
			fmt.Fprintf(w, "the %s differs: %s, now %s\n", d.what, d.old, d.new)
		}
	}
	fmt.Fprintf(w, "what moved from commit %s to %s:\n", cmp.Or(old.Machine.Commit, "unknown"), cmp.Or(new.Machine.Commit, "unknown"))
	moved := 0
	say := func(format string, args ...any) {
		moved++
		fmt.Fprintf(w, "  "+format+"\n", args...)
	}
	for _, row := range new.Rows {
		at := slices.IndexFunc(old.Rows, func(o Row) bool { return o.Name == row.Name })
		if at < 0 {
			say("new     %s: %s", row.Name, row.judged().text(row.judgedUnit()))
			continue
		}
		before, after := old.Rows[at].judged(), row.judged()
		switch {
		case before == nil && after == nil:
		case before == nil:
			say("new     %s: %s", row.Name, after.text(row.judgedUnit()))
		case after == nil:
			say("gone    %s: was %s", row.Name, before.text(old.Rows[at].judgedUnit()))
		case isApart(before, after):
			say("%s  %s: %s, was %s%s", row.direction(before, after), row.Name,
				after.text(row.judgedUnit()), before.text(old.Rows[at].judgedUnit()), goalChange(old.Rows[at], row))
		}
	}
	for _, row := range old.Rows {
		if row.judged() != nil && !new.Has(row.Name) {
			say("gone    %s: was %s", row.Name, row.judged().text(row.judgedUnit()))
		}
	}
	if moved == 0 {
		fmt.Fprintln(w, "  nothing beyond the spread of the rounds")
	}
}

func (r Row) judgedUnit() string {
	if r.Ratio != nil {
		return ""
	}
	return r.Unit
}

// isApart says whether no round of one lies among those of the other.
func isApart(a, b *Figure) bool {
	if a.Least == a.Most || b.Least == b.Most {
		larger := max(a.Median, b.Median)
		return larger-min(a.Median, b.Median) > larger/10 && (a.Most < b.Least || b.Most < a.Least)
	}
	return a.Most < b.Least || b.Most < a.Least
}

// direction is "better " or "WORSE  " by what the goal wants more of. Without a goal, what comes by the second should grow,
// and everything else shrink.
func (r Row) direction(before, after *Figure) string {
	wantsMore := r.Unit == "/s"
	if r.Goal != nil {
		wantsMore = r.Goal.AtLeast > 0
	}
	if wantsMore == (after.Median > before.Median) {
		return "better"
	}
	return "WORSE "
}

func goalChange(old, new Row) string {
	was, wasOK := old.Met()
	is, isOK := new.Met()
	switch {
	case !wasOK || !isOK || was == is:
		return ""
	case is:
		return "; the goal is met now"
	}
	return "; the goal is NOT met any more"
}
