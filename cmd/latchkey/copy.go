package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/ideaegg/latchkey/internal/config"
	"github.com/ideaegg/latchkey/internal/sqlstore"
)

type copyCommand struct {
	From string `name:"from" required:"" placeholder:"sqlite:PATH" help:"Database to copy from. Example: --from=sqlite:latchkey.db"`
	To   string `name:"to" required:"" placeholder:"postgres://…" help:"Empty database to copy to, or file:PATH for a file that holds its URL. Example: --to=postgres://latchkey:secret@db1/latchkey"`
	JSON bool   `name:"json" help:"Print the counts as JSON for programs."`
}

// Help is the detail that kong shows above the flags.
func (copyCommand) Help() string {
	return "Moves users, sessions, identities, one-time tokens, waiting mail and audit events; tokens go on working. Stop the service first: " +
		"while the copy runs it could not write anyway. If the copy is interrupted the target stays empty, and it can be run again."
}

// Run copies.
func (c copyCommand) Run(w world) error {
	from, err := config.ParseDatabase(c.From)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	to, err := config.ParseDatabase(c.To)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if from.Engine != config.SQLite || to.Engine != config.Postgres {
		return fmt.Errorf("copies from sqlite:PATH to postgres://…, not from %s to %s", from.Engine, to.Engine)
	}
	if err := mustExist(from); err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	bar := newProgressBar(w.stderr)
	counts, err := sqlstore.Copy(w.ctx, storeConfig(from), storeConfig(to), bar.show)
	bar.end()
	if err != nil {
		return fmt.Errorf("nothing was copied: %w", err)
	}
	return c.report(w.stdout, counts)
}

func (c copyCommand) report(out io.Writer, counts []sqlstore.CopiedTable) error {
	if c.JSON {
		return json.NewEncoder(out).Encode(counts)
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "table\tfrom\tto\t")
	for _, n := range counts {
		fmt.Fprintf(t, "%s\t%d\t%d\t\n", n.Name, n.From, n.To)
	}
	return t.Flush()
}

// progressBar draws how far a long work is, on a terminal; elsewhere it draws nothing.
type progressBar struct {
	out   io.Writer // nil: no terminal
	drawn bool
}

func newProgressBar(out io.Writer) *progressBar {
	if f, ok := out.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return &progressBar{}
	}
	return &progressBar{out: out}
}

func (p *progressBar) show(what string, done, total int64) {
	if p.out == nil {
		return
	}
	const width = 30
	filled := width
	if total > 0 {
		filled = int(width * min(done, total) / total)
	}
	p.drawn = true
	fmt.Fprintf(p.out, "\r%-16s [%s%s] %d/%d\x1b[K", what, strings.Repeat("#", filled), strings.Repeat(".", width-filled), done, total)
}

// end leaves the last state on the screen and goes to the next line.
func (p *progressBar) end() {
	if p.drawn {
		fmt.Fprintln(p.out)
	}
}
